//! The end of a file that outlives the process, read at any place.
//!
//! In: a file, and the place from which on it is of interest. Out: bytes from any place.
//! Absent on purpose: writing, which `atomic_file.rs` does.

use std::fs::File;
use std::path::PathBuf;

use super::temp_file::read_exact_at;
use crate::error::{Error, Result};

/// Bytes of an open file from a place on. They stay readable where the system lets go of the name only, as Unix does, when the file
/// is deleted or replaced.
#[derive(Debug)]
pub(crate) struct FilePart {
    path: PathBuf,
    file: File,
    first: u64,
}

impl FilePart {
    /// Takes the bytes of a file from place `first` on.
    pub(crate) fn new(path: PathBuf, file: File, first: u64) -> Self {
        Self { path, file, first }
    }

    /// Reads bytes from a place on, counted from the first of the part. Several threads may read at once.
    ///
    /// # Errors
    /// If the file ends before, or the disk failed.
    pub(crate) fn read(&self, place: u64, bytes: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, self.first + place, bytes)
            .map_err(|error| Error::file("read", &self.path, error))
    }

    /// Returns the same file from a place on, counted from the first of this part.
    pub(crate) fn from(self, place: u64) -> Self {
        Self { first: self.first + place, ..self }
    }
}
