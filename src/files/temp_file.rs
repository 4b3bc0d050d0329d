//! Temporary files that leave nothing behind.
//!
//! In: bytes that memory has no place for. Out: the same bytes, from any place.
//! Absent on purpose: what the bytes are.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};

/// An open temporary file, which grows at its end and is read at any place.
#[derive(Debug)]
pub(crate) struct TempFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// Use of the file, as messages say it: `it is for …`.
    purpose: &'static str,
}

impl TempFile {
    /// Creates an empty file under a name that nothing has.
    ///
    /// # Errors
    /// If the folder for temporary files takes no file.
    pub(crate) fn create(purpose: &'static str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = temp_folder();
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("wgrad-{}-{number}.tmp", std::process::id()));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    if cfg!(unix) {
                        // Without a name from now on, so that nothing is left of the file, however this process ends.
                        let _ = fs::remove_file(&path);
                    }
                    return Ok(Self { path, file, length: 0, purpose });
                }
                // Left by an earlier process with the same number, or another program's file.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => {
                }
                Err(error) => return Err(refused(path, &error, purpose)),
            }
        }
    }

    /// Number of bytes in the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Path that the file had when it was created.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// If the disk is full, or failed.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let refused = |error| refused(self.path.clone(), &error, self.purpose);
        // Reading at a place moves a file's position on some systems.
        #[cfg(not(unix))]
        io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.length)).map_err(refused)?;
        self.file.write_all(bytes).map_err(refused)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads bytes from a place on. Several threads may read at once.
    ///
    /// # Errors
    /// If the file ends before, or the disk failed.
    pub(crate) fn read(&self, place: u64, bytes: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, place, bytes)
            .map_err(|error| refused(self.path.clone(), &error, self.purpose))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !cfg!(unix) {
            // Nothing can be done about a temporary file that cannot be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns the folder for temporary files: `TMPDIR`, else one that outlives a restart, since the usual one may lie in memory.
pub(crate) fn temp_folder() -> PathBuf {
    let lasting = Path::new("/var/tmp");
    // An empty name is no folder.
    match std::env::var_os("TMPDIR").filter(|name| !name.is_empty()) {
        None if cfg!(unix) && lasting.is_dir() => lasting.to_path_buf(),
        None => std::env::temp_dir(),
        Some(folder) => folder.into(),
    }
}

#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, place: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, place)
}

#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut place: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, place)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                place += read as u64;
            }
        }
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
pub(super) fn read_exact_at(_: &File, _: u64, _: &mut [u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn refused(path: PathBuf, error: &io::Error, purpose: &str) -> Error {
    let problem =
        format!("{error}; it is for {purpose}, and TMPDIR can name a folder with more room");
    Error::file("use the temporary file", path, io::Error::new(error.kind(), problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_any_place_and_the_file_has_no_name() {
        let mut file = TempFile::create("a test").unwrap();
        assert_eq!(file.path().exists(), !cfg!(unix));
        file.append(b"hello ").unwrap();
        let mut bytes = [0; 3];
        file.read(1, &mut bytes).unwrap();
        assert_eq!(&bytes, b"ell");
        file.append(b"there").unwrap();
        file.read(5, &mut bytes).unwrap();
        assert_eq!((&bytes, file.length()), (b" th", 11));
        let said = file.read(9, &mut bytes).unwrap_err().to_string();
        assert!(said.contains("it is for a test") && said.contains("TMPDIR"), "{said}");
    }
}
