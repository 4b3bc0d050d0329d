//! Reads CSV tables: whole, as a [`Dataset`], or in pieces, for predictions.
//!
//! In: a file with a header, commas and UTF-8. Out: finite f32 features, and targets by `target.rs`.
//! Absent on purpose: encoding of text features, filling of missing values, other separators.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::table::{Dataset, Schema, Target, TargetKind, Targets};
use super::target::{Labels, TargetCells, resolve_all};
use super::{cell, header};
use crate::error::{Error, Result};

/// Bytes read from the file at once.
const BUFFER: usize = 1 << 16;
/// Bytes of a row at most: a quotation mark that is never closed must not bring a whole large file into memory.
const MOST_ROW: usize = 1 << 26;

impl Dataset {
    /// Reads a table: all columns but the target's are features.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or anything in it is not as it must be; the message names line
    /// and column.
    pub fn from_csv(path: impl AsRef<Path>, target: Target) -> Result<Self> {
        Self::read_csv(path.as_ref(), &target, None)
    }

    /// As [`Self::from_csv`], with a column that says how much each row counts; it is no feature.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv`], and for weights that [`Self::with_weights`] refuses.
    pub fn from_csv_weighted(path: impl AsRef<Path>, target: Target, weight: &str) -> Result<Self> {
        Self::read_csv(path.as_ref(), &target, Some(weight))
    }

    fn read_csv(path: &Path, target: &Target, weight: Option<&str>) -> Result<Self> {
        let mut table = Table::open(path)?;
        let names = header::names(&table.header);
        let places = header::find_targets(&names, target.column(), &table.source)?;
        let weight_place =
            weight.map(|name| header::find_target(&names, name, &table.source)).transpose()?;
        if let Some(name) = weight.filter(|_| weight_place.is_some_and(|it| places.contains(&it))) {
            let problem = format!("column {} cannot be both target and weight", cell::shown(name));
            return Err(Error::table(&table.source, problem));
        }
        let other = |place: &usize| !places.contains(place) && weight_place != Some(*place);
        let picks: Vec<usize> = (0..names.len()).filter(other).collect();
        if picks.is_empty() {
            return Err(Error::table(
                &table.source,
                "no column is left for features; at least one is needed",
            ));
        }
        let owned = |places: &[usize]| places.iter().map(|&it| names[it].to_owned()).collect();
        let (features, targets): (Vec<String>, Vec<String>) = (owned(&picks), owned(&places));

        let mut x = Vec::new();
        let mut cells: Vec<TargetCells> = places.iter().map(|_| TargetCells::default()).collect();
        let mut weights = Vec::new();
        while table.read()? {
            // In the order of the columns, so that of several bad cells the first one is told of.
            for (column, text) in table.record.iter().enumerate() {
                if let Some(target) = places.iter().position(|&place| place == column) {
                    cells[target]
                        .push(text.trim(), table.line)
                        .map_err(|problem| table.refuse_column(column, problem))?;
                } else if weight_place == Some(column) {
                    weights.push(table.weight(column)?);
                } else {
                    x.push(
                        cell::feature(text)
                            .map_err(|problem| table.refuse_column(column, problem))?,
                    );
                }
            }
        }
        let read = match (cells.len(), cells.pop()) {
            (1, Some(only)) => only.resolve(target, &table.source)?,
            (_, last) => {
                cells.extend(last);
                let names: Vec<&str> = targets.iter().map(String::as_str).collect();
                resolve_all(cells, &names, target, &table.source)?
            }
        };
        let schema = Schema {
            features,
            target: targets.join(","),
            kind: read.kind,
            weight: weight.map(str::to_owned),
        };
        let data = Self {
            schema,
            x: Arc::new(x),
            y: read.y,
            weights: None,
            source: table.source,
            class_lines: read.class_lines,
        };
        if weight.is_some() { data.with_weights(weights) } else { Ok(data) }
    }

    /// Reads a table that has the columns of another one, in any order; further columns are ignored. Where the other
    /// one had weights and this one has not, all rows count the same.
    ///
    /// # Errors
    ///
    /// As for [`Dataset::from_csv`], and for missing columns and classes that `schema` does not know.
    pub fn from_csv_like(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        let mut table = Table::open(path.as_ref())?;
        let names = header::names(&table.header);
        let mut wanted: Vec<&str> = schema.features.iter().map(String::as_str).collect();
        wanted.extend(schema.targets());
        let weight = schema.weight.as_deref().filter(|weight| names.contains(weight));
        wanted.extend(weight);
        let mut picks = header::find_all(&names, &wanted, &table.source)?;
        let weight_place = weight.and_then(|_| picks.pop());
        let places = picks.split_off(schema.features.len());

        let (mut x, mut weights) = (Vec::new(), Vec::new());
        let mut y = match &schema.kind {
            TargetKind::Classes(_) => Targets::Classes(Vec::new()),
            TargetKind::Number => Targets::Numbers(Vec::new()),
            TargetKind::Numbers(_) | TargetKind::Labels(_) => {
                Targets::Columns(Vec::new(), places.len())
            }
        };
        let labels = Labels::of(&schema.kind);
        while table.read()? {
            table.features(&picks, &mut x)?;
            for (target, &place) in places.iter().enumerate() {
                let text = table.record.get(place).unwrap_or_default().trim();
                let pushed = match (&mut y, labels.get(target)) {
                    (Targets::Classes(y), Some(labels)) => {
                        labels.class(text).map(|class| y.push(class))
                    }
                    (Targets::Columns(y, _), Some(labels)) => {
                        labels.class(text).map(|class| y.push(class as f32))
                    }
                    (Targets::Numbers(y) | Targets::Columns(y, _), None) => {
                        cell::target(text).map(|value| y.push(value))
                    }
                    _ => Ok(()),
                };
                pushed.map_err(|problem| table.refuse_column(place, problem))?;
            }
            if let Some(place) = weight_place {
                weights.push(table.weight(place)?);
            }
        }
        let data = Self {
            schema: schema.clone(),
            x: Arc::new(x),
            y,
            weights: None,
            source: table.source,
            class_lines: Vec::new(),
        };
        if weight.is_some() { data.with_weights(weights) } else { Ok(data) }
    }
}

/// The names of a table's columns, without the spaces around them.
///
/// # Errors
///
/// When the file cannot be read or is empty.
pub fn column_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let table = Table::open(path.as_ref())?;
    Ok(table.header.iter().map(|name| name.trim().to_owned()).collect())
}

/// Some rows of a table, on their way to a prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The rows as they stand in the file, with all their columns.
    pub records: Vec<StringRecord>,
    /// Their features `[rows, features]`, row-major, in the order of the schema.
    pub x: Vec<f32>,
    /// First line of each row, counted from 1.
    pub lines: Vec<u64>,
}

/// Reads a table of any length a few rows at a time.
#[derive(Debug)]
pub struct FeatureReader {
    table: Table,
    picks: Vec<usize>,
}

impl FeatureReader {
    /// Opens a table that has the feature columns of `schema`, in any order. The target may be
    /// there or not.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or columns are missing.
    pub fn open(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        let table = Table::open(path.as_ref())?;
        let wanted: Vec<&str> = schema.features.iter().map(String::as_str).collect();
        let picks = header::find_all(&header::names(&table.header), &wanted, &table.source)?;
        Ok(Self { table, picks })
    }

    /// All column names, as they stand in the file.
    pub fn headers(&self) -> &StringRecord {
        &self.table.header
    }

    /// The next rows, at most `rows` (0 counts as 1) and fewer only at the end; `None` after it.
    ///
    /// # Errors
    ///
    /// When a row is not as it must be; the message names line and column.
    pub fn next_chunk(&mut self, rows: usize) -> Result<Option<Chunk>> {
        let mut chunk = Chunk { records: Vec::new(), x: Vec::new(), lines: Vec::new() };
        while chunk.records.len() < rows.max(1) && self.table.read()? {
            self.table.features(&self.picks, &mut chunk.x)?;
            chunk.records.push(self.table.record.clone());
            chunk.lines.push(self.table.line);
        }
        Ok(if chunk.records.is_empty() { None } else { Some(chunk) })
    }
}

/// An open table and its current row.
#[derive(Debug)]
struct Table {
    reader: Reader<LastBytes<File>>,
    path: PathBuf,
    source: String,
    header: StringRecord,
    record: StringRecord,
    /// First line of the current row, counted from 1.
    line: u64,
    rows: u64,
}

impl Table {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::file("read", path, source))?;
        // Lengths of rows are checked here, not by the parser, for a message with both lengths.
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER)
            .from_reader(LastBytes { inner: file, start: 0, bytes: Vec::new(), left: MOST_ROW });
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

    /// Goes to the next row, if there is one. A table without any is an error.
    fn read(&mut self) -> Result<bool> {
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
        if self.rows > u64::from(u32::MAX) {
            return Err(self.at_line(format!("more rows than {}; split the table", u32::MAX)));
        }
        let (got, want) = (self.record.len(), self.header.len());
        if got != want {
            let columns = if got == 1 { "column" } else { "columns" };
            let mut problem = format!("{got} {columns}, but the header has {want}");
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

    /// Parses the next record, whatever its length.
    fn advance(&mut self) -> Result<bool> {
        let before = self.reader.position().line();
        self.reader.get_mut().left = MOST_ROW;
        let outcome = self.reader.read_record(&mut self.record);
        // The parser's own line of a record is that of the end of the last one, before blank lines
        // and before the second half of CR LF. So count back from this record's end.
        let end = self.reader.position();
        let ended_by_newline = self.reader.get_ref().at(end.byte().wrapping_sub(1)) == Some(b'\n');
        let inside = self.record.as_slice().bytes().filter(|&b| b == b'\n').count() as u64;
        self.line = end.line().saturating_sub(u64::from(ended_by_newline) + inside).max(before);
        outcome.map_err(|err| match err.into_kind() {
            ErrorKind::Io(_) if self.reader.get_ref().left == 0 => self.at_line(format!(
                "a row of more than {MOST_ROW} bytes; is a closing quote missing, or the end of a line?"
            )),
            ErrorKind::Io(source) => Error::file("read", &self.path, source),
            ErrorKind::Utf8 { err, .. } => self.at_line(format!(
                "column {} is not UTF-8 text; save the table in that encoding",
                err.field() + 1
            )),
            other => self.at_line(format!("not readable as CSV ({other:?})")),
        })
    }

    /// Appends the current row's features.
    fn features(&self, picks: &[usize], x: &mut Vec<f32>) -> Result<()> {
        for &column in picks {
            let text = self.record.get(column).unwrap_or_default();
            x.push(cell::feature(text).map_err(|problem| self.refuse_column(column, problem))?);
        }
        Ok(())
    }

    /// The current row's weight.
    fn weight(&self, column: usize) -> Result<f32> {
        let text = self.record.get(column).unwrap_or_default();
        let value = cell::feature(text).map_err(|problem| self.refuse_column(column, problem))?;
        if value < 0.0 {
            let problem = format!("a weight of {}, but it must be 0 or more", cell::shown(text));
            return Err(self.refuse_column(column, problem));
        }
        Ok(value)
    }

    fn at_line(&self, problem: String) -> Error {
        Error::table(format!("{}:{}", self.source, self.line), problem)
    }

    fn refuse_column(&self, column: usize, problem: String) -> Error {
        let name = self.header.get(column).unwrap_or_default().trim();
        self.at_line(format!("column {}: {problem}", cell::shown(name)))
    }
}

/// Passes bytes on and remembers the last ones, because the parser does not tell how a record ended.
#[derive(Debug)]
struct LastBytes<R> {
    inner: R,
    /// Offset of `bytes` in the file.
    start: u64,
    bytes: Vec<u8>,
    /// How many more may be asked for until the next row.
    left: usize,
}

impl<R> LastBytes<R> {
    fn at(&self, offset: u64) -> Option<u8> {
        let i = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(i).copied()
    }
}

impl<R: Read> Read for LastBytes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let n = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(n);
        if n > 0 {
            self.start += self.bytes.len() as u64;
            self.bytes.clear();
            self.bytes.extend_from_slice(&buffer[..n]);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
