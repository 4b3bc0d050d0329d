//! Files that a crash leaves whole or absent.
//!
//! In: bytes. Out: a file that replaces another one in one go, or a temporary one that nothing is left of.
//! Absent on purpose: what the bytes mean.

mod atomic_file;
mod file_part;
mod memory_file;
mod temp_file;

pub(crate) use self::atomic_file::is_at;
pub use self::atomic_file::{AtomicFile, write_file};
pub(crate) use self::file_part::FilePart;
pub(crate) use self::memory_file::{MemoryFile, bytes_in_memory};
pub(crate) use self::temp_file::TempFile;
#[cfg(feature = "cli")]
pub(crate) use self::temp_file::temp_folder;
