//! Bytes in memory that are read under a name, as a file's would be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Bytes by their names, while their owners are there.
static FILES: LazyLock<Mutex<HashMap<PathBuf, Arc<[u8]>>>> = LazyLock::new(Mutex::default);

/// A name under which bytes in memory are read; it ends with this value.
#[derive(Debug)]
pub(crate) struct MemoryFile(PathBuf);

impl MemoryFile {
    /// Takes a name for bytes; `None` if bytes have that name already.
    pub(crate) fn new(name: &str, bytes: Vec<u8>) -> Option<Self> {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        let path = PathBuf::from(name);
        if files.contains_key(&path) {
            return None;
        }
        files.insert(path.clone(), bytes.into());
        Some(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        FILES.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Returns the bytes in memory that have a name.
pub(crate) fn bytes_in_memory(path: &Path) -> Option<Arc<[u8]>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
}
