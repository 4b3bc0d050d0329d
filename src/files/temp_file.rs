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
    /// True while the file has a name.
    named: bool,
}

/// Files that this process has open, by their numbers, as Linux shows them to other processes of the same user.
#[cfg(feature = "cli")]
const OPEN_FILES: &str = "/proc/self/fd";

impl TempFile {
    /// Creates an empty file under a name that nothing has.
    ///
    /// # Errors
    /// If the folder for temporary files takes no file.
    pub(crate) fn create(purpose: &'static str) -> Result<Self> {
        Self::create_as(purpose, !cfg!(unix))
    }

    /// Creates an empty file that other processes of the same user can open under [`Self::path_for_others`]. On Linux the file has no name of
    /// its own, so that nothing is left of it, however this process ends; elsewhere it has one until [`Self::forget_name`].
    ///
    /// # Errors
    /// As [`Self::create`].
    #[cfg(feature = "cli")]
    pub(crate) fn create_for_others(purpose: &'static str) -> Result<Self> {
        Self::create_as(purpose, !Path::new(OPEN_FILES).is_dir())
    }

    fn create_as(purpose: &'static str, named: bool) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = temp_folder();
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("wgrad-{}-{number}.tmp", std::process::id()));
            let mut options = File::options();
            options.read(true).write(true).create_new(true);
            // Rows of a table are nobody else's.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(&path) {
                Ok(file) => {
                    let mut made = Self { path, file, length: 0, purpose, named: true };
                    if !named {
                        // Without a name from now on, so that nothing is left of the file, however this process ends.
                        made.forget_name();
                    }
                    return Ok(made);
                }
                // Left by an earlier process with the same number, or another program's file.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => {
                }
                Err(error) => return Err(refused(path, &error, purpose)),
            }
        }
    }

    /// Returns the path under which other processes can open the file, while this one has it open.
    #[cfg(feature = "cli")]
    pub(crate) fn path_for_others(&self) -> PathBuf {
        #[cfg(unix)]
        if !self.named {
            let number = std::os::fd::AsRawFd::as_raw_fd(&self.file);
            return format!("/proc/{}/fd/{number}", std::process::id()).into();
        }
        self.path.clone()
    }

    /// Removes the name of the file, where the system lets an open file be without one; whoever has the file open can still use it.
    pub(crate) fn forget_name(&mut self) {
        // If the system does not, the name goes with the file.
        self.named = self.named && !(cfg!(unix) && fs::remove_file(&self.path).is_ok());
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
        if self.named {
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

    #[cfg(all(unix, feature = "cli"))]
    #[test]
    fn others_open_a_file_that_leaves_no_name() {
        use std::os::unix::fs::PermissionsExt;

        let read = |path: &Path| fs::read(path).unwrap();
        let mut file = TempFile::create_for_others("a test").unwrap();
        file.append(b"rows").unwrap();
        assert_eq!(read(&file.path_for_others()), b"rows");
        assert_eq!(file.path().exists(), !cfg!(target_os = "linux"));
        // As on systems that show no open files.
        let mut file = TempFile::create_as("a test", true).unwrap();
        file.append(b"rows").unwrap();
        let path = file.path_for_others();
        assert_eq!((read(&path), path.as_path()), (b"rows".to_vec(), file.path()));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
        let other = File::open(&path).unwrap();
        file.forget_name();
        assert!(!path.exists());
        file.append(b" and more").unwrap();
        assert_eq!(std::io::read_to_string(other).unwrap(), "rows and more");
        let file = TempFile::create_as("a test", true).unwrap();
        let path = file.path_for_others();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
    }
}
