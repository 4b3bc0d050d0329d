//! Where a table comes from: a file, or with `-` standard input.
//!
//! In: what was typed. Out: readers, and what messages call the table.
//! Absent on purpose: the table's columns.

use std::fs;
use std::io;
use std::path::Path;

use crate::data::{FeatureReader, PartReader, Schema, TableFormat};
use crate::error::{Error, Result};

/// Stands for standard input as a table, and for standard output as a file.
const PIPE: &str = "-";

/// A table that is read once, from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableInput<'a>(&'a Path);

impl<'a> TableInput<'a> {
    pub(crate) fn of(path: &'a Path) -> Self {
        Self(path)
    }

    /// Returns the table's name for messages.
    pub(crate) fn name(self) -> String {
        if is_pipe(self.0) { "standard input".to_string() } else { self.0.display().to_string() }
    }

    /// Its bytes, where these are known before it is read.
    pub(crate) fn bytes(self) -> Option<u64> {
        let known = if is_pipe(self.0) { stdin_metadata() } else { fs::metadata(self.0).ok() };
        known.filter(fs::Metadata::is_file).map(|known| known.len())
    }

    /// Opens the table for predictions; `format` is what is stated of its text.
    pub(crate) fn features(self, schema: &Schema, format: &TableFormat) -> Result<FeatureReader> {
        if is_pipe(self.0) {
            FeatureReader::from_reader_as(io::stdin(), &self.name(), schema, format)
        } else {
            FeatureReader::open_as(self.0, schema, format)
        }
    }

    /// With targets and weights.
    pub(crate) fn parts(self, schema: &Schema, format: &TableFormat) -> Result<PartReader> {
        if is_pipe(self.0) {
            PartReader::from_reader_as(io::stdin(), &self.name(), schema, format)
        } else {
            PartReader::open_as(self.0, schema, format)
        }
    }
}

/// Returns true for `-`.
pub(crate) fn is_pipe(path: &Path) -> bool {
    path == Path::new(PIPE)
}

/// Of the file that a shell puts there with `<`.
#[cfg(unix)]
fn stdin_metadata() -> Option<fs::Metadata> {
    use std::os::fd::AsFd;
    let stdin = io::stdin().as_fd().try_clone_to_owned().ok()?;
    fs::File::from(stdin).metadata().ok()
}

#[cfg(not(unix))]
fn stdin_metadata() -> Option<fs::Metadata> {
    None
}

/// Returns an error about one of the rows of a part of a table.
pub(crate) fn at_row(table: &str, lines: &[u64], row: usize, problem: String) -> Error {
    Error::table(table, problem).at_line(lines.get(row).copied().unwrap_or(0))
}
