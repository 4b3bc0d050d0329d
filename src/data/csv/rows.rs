//! A table row by row, as text.
//!
//! In: bytes. Out: records with their lines, each as long as the header, and their numbers on request.
//! Absent on purpose: the meaning of columns.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::bytes::{Beyond, MOST_CELLS, MOST_ROW, Watched};
use super::cell;
use crate::error::{Error, Result};

/// Bytes read from the file at once.
const BUFFER: usize = 1 << 16;

/// An open table and its current row.
#[derive(Debug)]
pub(in crate::data) struct TableReader {
    reader: Reader<Watched<ByteSource>>,
    path: PathBuf,
    pub(super) source: String,
    pub(in crate::data) header: StringRecord,
    pub(in crate::data) record: StringRecord,
    /// First line of the current row, counted from 1.
    pub(in crate::data) line: u64,
    rows: u64,
}

/// Source of the bytes.
struct ByteSource(Box<dyn Read + Send>);

impl fmt::Debug for ByteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Read for ByteSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl TableReader {
    pub(in crate::data) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::file("read", path, source))?;
        Self::from_reader(file, path)
    }

    /// Opens a table of bytes from any source; messages call it by `path`.
    pub(super) fn from_reader(reader: impl Read + Send + 'static, path: &Path) -> Result<Self> {
        // Lengths of rows are checked here, not by the parser, for a message with both lengths.
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER)
            .from_reader(Watched::new(ByteSource(Box::new(reader))));
        let mut table = Self {
            reader,
            path: path.to_path_buf(),
            source: path.display().to_string(),
            header: StringRecord::new(),
            record: StringRecord::new(),
            line: 0,
            rows: 0,
        };
        if !table.advance()? {
            let problem = "the file is empty; a header line with the columns' names is needed";
            return Err(Error::table(&table.source, problem));
        }
        table.header = std::mem::take(&mut table.record);
        Ok(table)
    }

    /// Reads the next row, if there is one. A table without rows is an error.
    pub(in crate::data) fn read(&mut self) -> Result<bool> {
        if !self.advance()? {
            if self.rows == 0 {
                return Err(Error::table(
                    &self.source,
                    "a header, but no rows; at least one is needed",
                ));
            }
            return Ok(false);
        }
        self.rows += 1;
        let (got, want) = (self.record.len(), self.header.len());
        if got != want {
            let columns = if got == 1 { "column" } else { "columns" };
            let mut problem = format!("{got} {columns}, but the header has {want}");
            // A row of another length has a usual cause, which its cells show.
            if self.record.as_slice().contains('\n') {
                problem += "; a quoted cell runs over several lines: is a closing quote missing?";
            } else if got == 1 && self.record[0].trim().is_empty() {
                problem += ": a line of blanks; remove it";
            } else if self.record[0].starts_with('#') {
                problem += "; if the line is a comment, remove it";
            } else if got > want && self.record.iter().skip(want).all(|cell| cell.trim().is_empty())
            {
                problem += "; the line ends in a comma: remove it";
            } else if got > want {
                problem += "; a text with a comma in it must stand in quotes";
            }
            return Err(self.at_line(problem));
        }
        Ok(true)
    }

    /// Checks that a data set may have this many rows.
    pub(super) fn check_count(&self) -> Result<()> {
        if self.rows > u64::from(u32::MAX) {
            return Err(self.at_line(format!("more rows than {}; split the table", u32::MAX)));
        }
        Ok(())
    }

    /// Returns the number of bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Parses the next record, whatever its length.
    fn advance(&mut self) -> Result<bool> {
        let before = self.line;
        // Limits are for one row, so they begin anew with each.
        self.reader.get_mut().begin_row();
        let outcome = self.reader.read_record(&mut self.record);
        // The parser's own line of a record is that of the end of the last one, before blank lines
        // and before the second half of CR LF. So count back from this record's end.
        let end = self.reader.position().byte();
        let bytes = self.reader.get_mut();
        let (newline, lines) = (bytes.newline(), bytes.lines_before(end));
        // Line ends inside of quotes belong to the record, and its own end comes after its last line.
        let ended_by_newline = bytes.at(end.wrapping_sub(1)) == Some(newline);
        let inside = self.record.as_slice().bytes().filter(|&b| b == newline).count() as u64;
        self.line = (lines + 1).saturating_sub(u64::from(ended_by_newline) + inside).max(before);
        // These two kinds of error were made by `Watched`, which knows the line and the reason.
        outcome.map_err(|err| match err.into_kind() {
            ErrorKind::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                self.faulty(source)
            }
            ErrorKind::Io(source) if source.kind() == io::ErrorKind::FileTooLarge => {
                self.too_long(source)
            }
            ErrorKind::Io(source) => Error::file("read", &self.path, source),
            ErrorKind::Utf8 { err, .. } => self.at_line(format!(
                "column {} is not UTF-8 text; save the table in that encoding",
                err.field() + 1
            )),
            other => self.at_line(format!("not readable as CSV ({other:?})")),
        })
    }

    /// Returns the error that the check of the bytes found.
    fn faulty(&self, source: io::Error) -> Error {
        match self.reader.get_ref().fault() {
            Some(fault) => Error::table(&self.source, fault.problem.clone()).at_line(fault.line),
            None => Error::file("read", &self.path, source),
        }
    }

    /// Returns the error of a row beyond one of the limits.
    fn too_long(&mut self, source: io::Error) -> Error {
        let bytes = self.reader.get_ref();
        // An open quote explains an endless row better than its length does.
        if let Some(line) = bytes.open_quote() {
            self.line = line;
            return self.at_line(format!(
                "a quote opens a cell here and is not closed within {MOST_ROW} bytes; close it, or take it away"
            ));
        }
        match bytes.beyond() {
            Some(Beyond::Bytes) => self.at_line(format!(
                "a row of more than {MOST_ROW} bytes; is a closing quote missing, or the end of a line?"
            )),
            Some(Beyond::Cells) => self.at_line(format!(
                "a row of more than {MOST_CELLS} columns; is the end of a line missing?"
            )),
            None => Error::file("read", &self.path, source),
        }
    }

    /// Returns the current row's weight.
    pub(super) fn weight(&self, column: usize) -> Result<f64> {
        let text = self.record.get(column).unwrap_or_default();
        let value = cell::feature(text).map_err(|problem| self.refuse_column(column, problem))?;
        if value < 0.0 {
            let problem = format!("a weight of {}, but it must be 0 or more", cell::shown(text));
            return Err(self.refuse_column(column, problem));
        }
        Ok(value)
    }

    /// Returns an error at the current row's line.
    pub(super) fn at_line(&self, problem: String) -> Error {
        Error::table(&self.source, problem).at_line(self.line)
    }

    /// Refuses a row that repeats the header.
    pub(super) fn check_not_header(&self) -> Result<()> {
        if self.record != self.header {
            return Ok(());
        }
        let problem = "the line repeats the header, as where files were joined; remove it";
        Err(self.at_line(problem.into()))
    }

    /// Returns an error about a cell of the current row.
    pub(super) fn refuse_column(&self, column: usize, problem: String) -> Error {
        // A repeated header fails at its first cell, and has a clearer explanation.
        match self.check_not_header() {
            Err(error) => error,
            Ok(()) => self.refuse_column_at(self.line, column, problem),
        }
    }

    /// Returns an error about a cell of an earlier row.
    pub(super) fn refuse_column_at(&self, line: u64, column: usize, problem: String) -> Error {
        let name = self.header.get(column).unwrap_or_default().trim();
        let problem = format!("column {}: {problem}", cell::shown(name));
        Error::table(&self.source, problem).at_line(line).at_column(name)
    }
}
