//! The bytes of a table from its beginning, though some were read already.
//!
//! In: the sample by which the form was found, and the rest. Out: all bytes in order.
//! Absent on purpose: rows.

use std::io::{self, Cursor, Read};

use crate::data::open::TableBytes;

/// Source of the bytes: first those by which the form was found.
#[derive(Debug, Default)]
pub(super) struct ByteSource {
    pub(super) sample: Cursor<Vec<u8>>,
    /// Error that ended the sample.
    pub(super) failed: Option<io::Error>,
    /// Nothing for rows that are in memory.
    pub(super) rest: Option<TableBytes>,
}

impl Read for ByteSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.sample.read(buffer)?;
        if n > 0 {
            return Ok(n);
        }
        // The memory is not needed any more.
        self.sample = Cursor::default();
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.rest.as_mut().map_or(Ok(0), |rest| rest.read(buffer)),
        }
    }
}
