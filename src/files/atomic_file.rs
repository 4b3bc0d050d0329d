//! Files that are there whole or not at all.
//!
//! In: bytes for a target. Out: the target, replaced in one go once everything is on disk.
//! Absent on purpose: what the bytes mean.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};

/// A file that is written under a temporary name beside its target, and renamed over it by [`Self::commit`].
/// Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    /// `None` where the target is no ordinary file: a pipe or a device is written to directly.
    temporary: Option<PathBuf>,
    file: BufWriter<File>,
}

impl AtomicFile {
    /// Opens a temporary file beside `target`.
    ///
    /// # Errors
    /// If the folder is not there or cannot be written, or the target is a folder.
    pub fn create(target: impl AsRef<Path>) -> Result<Self> {
        let named = target.as_ref();
        let refuse = |source| Error::file("write", named, source);
        // A link stays a link: the file that it leads to is replaced.
        let target = fs::canonicalize(named).unwrap_or_else(|_| named.to_path_buf());
        if let Ok(known) = fs::metadata(&target) {
            if known.is_dir() {
                return Err(refuse(io::Error::from(io::ErrorKind::IsADirectory)));
            }
            if !known.is_file() {
                let file = File::options().write(true).open(&target).map_err(refuse)?;
                return Ok(Self { target, temporary: None, file: BufWriter::new(file) });
            }
        }
        let Some(name) = target.file_name() else {
            return Err(refuse(io::Error::new(io::ErrorKind::InvalidInput, "this names no file")));
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        // Unique among processes and threads; a name that an earlier process left behind may be used again.
        hidden.push(format!(
            ".{}.{}.tmp",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        let temporary = target.with_file_name(hidden);
        let file = File::create(&temporary).map_err(refuse)?;
        Ok(Self { target, temporary: Some(temporary), file: BufWriter::new(file) })
    }

    /// Brings everything to disk and puts it in the target's place.
    ///
    /// # Errors
    /// If the system cannot; the target is then as it was.
    pub fn commit(mut self) -> Result<()> {
        self.finish().map_err(|source| Error::file("write", &self.target, source))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some(temporary) = &self.temporary {
            self.file.get_ref().sync_all()?;
            fs::rename(temporary, &self.target)?;
            self.temporary = None;
        }
        Ok(())
    }

    /// The file that is about to be replaced.
    pub fn target(&self) -> &Path {
        &self.target
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing more can be done about a temporary file that does not go away.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a whole file at once, as [`AtomicFile`].
///
/// # Errors
/// If the file cannot be written; an earlier one is then as it was.
pub fn write_file(target: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let target = target.as_ref();
    let mut file = AtomicFile::create(target)?;
    file.write_all(bytes).map_err(|source| Error::file("write", target, source))?;
    file.commit()
}

/// True if an open file or folder is what stands at a path now: neither moved away, nor removed, nor replaced.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |known: fs::Metadata| (known.dev(), known.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => id(ours) == id(there),
        _ => false,
    }
}

/// True if an open file or folder is what stands at a path now; files that are open are not moved here.
#[cfg(not(unix))]
pub(crate) fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn targets_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_file(&path, b"one").unwrap();
        {
            let mut file = AtomicFile::create(&path).unwrap();
            file.write_all(b"half of tw").unwrap();
            file.flush().unwrap();
            assert_eq!(names(folder.path()).len(), 2);
            assert_eq!(fs::read(&path).unwrap(), b"one");
        }
        assert_eq!(names(folder.path()), ["a.txt"]);
        write_file(&path, b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"two".to_vec(), 1));
    }

    #[test]
    fn impossible_targets_are_named() {
        let folder = tempfile::tempdir().unwrap();
        write_file(folder.path().join("file"), b"").unwrap();
        for bad in ["file/inside", "nowhere/a", ""] {
            let path = folder.path().join(bad);
            let said = write_file(&path, b"x").unwrap_err().to_string();
            assert!(
                said.starts_with("cannot write ") && said.contains(&path.display().to_string()),
                "{said}"
            );
        }
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error_and_stays_a_device() {
        let said = write_file("/dev/full", b"x").unwrap_err().to_string();
        assert!(said.contains("/dev/full"), "{said}");
        write_file("/dev/null", b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
