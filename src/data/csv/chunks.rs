//! A table in chunks: memory holds a few thousand rows, however many there are.
//!
//! In: a file or a stream, and the schema of the table that a network was trained on. Out: its features, with the records
//! as in the file, for predictions; or with targets and weights, for figures.
//! Absent on purpose: a second pass over any row, so that a stream can be read.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use ::csv::StringRecord;

use super::dialect::TableFormat;
use super::marks::DecimalMark;
use super::rows::TableReader;
use crate::data::cell::GapMarks;
use crate::data::column::ColumnEncoding;
use crate::data::row_cells::{OddCell, RowCells};
use crate::data::schema::{Schema, TargetKind};
use crate::data::target::Labels;
use crate::data::targets::Targets;
use crate::data::{cell, header};
use crate::error::Result;

/// Largest number of bytes of text in a chunk, if it has more than one row: so wide tables come in chunks of fewer rows.
const PIECE: usize = 4 << 20;

/// Some rows of a table, to be predicted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowChunk {
    /// The rows as in the file, with all their columns.
    pub records: Vec<StringRecord>,
    /// Their inputs `[rows, features]`, row-major, in the order of the schema.
    pub x: Vec<f64>,
    /// First line of each row, counted from 1.
    pub lines: Vec<u64>,
    /// Cells that training had not the like of: gaps where it had none, which are NaN in `x`, and texts.
    pub odd: Vec<OddCell>,
}

/// Reads a table of any length a few rows at a time.
#[derive(Debug)]
pub struct FeatureReader {
    table: TableReader,
    picks: Vec<usize>,
    cells: RowCells,
    /// Records of an earlier chunk, whose memory is used again.
    spare: Vec<StringRecord>,
}

impl FeatureReader {
    /// Opens a table that has the feature columns of `schema`, in any order. The target may be
    /// there or not.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or columns are missing.
    pub fn open(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        Self::open_as(path, schema, &TableFormat::default())
    }

    /// Does the same as [`Self::open`] for a text of a stated form.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_as(path: impl AsRef<Path>, schema: &Schema, format: &TableFormat) -> Result<Self> {
        Self::of(TableReader::open_like(path.as_ref(), schema, format)?, schema)
    }

    /// Reads from anything, such as standard input; messages call it by `name`.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        name: &str,
        schema: &Schema,
    ) -> Result<Self> {
        Self::from_reader_as(reader, name, schema, &TableFormat::default())
    }

    /// Does the same as [`Self::from_reader`] for a text of a stated form.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn from_reader_as(
        reader: impl Read + Send + 'static,
        name: &str,
        schema: &Schema,
        format: &TableFormat,
    ) -> Result<Self> {
        Self::of(TableReader::from_reader_like(reader, name, schema, format)?, schema)
    }

    /// Returns remarks on the form of the text, such as `a semicolon between cells`; none if the form is the usual one.
    pub fn notes(&self) -> &[String] {
        &self.table.dialect().notes
    }

    fn of(mut table: TableReader, schema: &Schema) -> Result<Self> {
        table.name_like(schema);
        let wanted = schema.read_columns();
        let picks = header::find_all(&header::names(&table.header), &wanted, &table.source)
            .map_err(|error| table.explain(error))?;
        table.check_cells(&picks)?;
        let numbers = number_places(schema, &picks);
        table.read_numbers_in(|column| numbers.contains(&column));
        Ok(Self { table, picks, cells: RowCells::new(schema), spare: Vec::new() })
    }

    /// Returns all column names, as in the file; names by place for a file without a header.
    pub fn headers(&self) -> &StringRecord {
        self.table.file_header()
    }

    /// Returns true if the file has a header.
    pub fn has_header(&self) -> bool {
        self.table.dialect().header
    }

    /// Returns the sign between the file's cells.
    pub fn delimiter(&self) -> char {
        self.table.dialect().delimiter.into()
    }

    /// Returns the sign before the decimals of the file's numbers.
    pub fn decimal(&self) -> DecimalMark {
        if self.table.dialect().comma { DecimalMark::Comma } else { DecimalMark::Point }
    }

    /// Returns the number of bytes of the table that were read so far.
    pub fn bytes(&self) -> u64 {
        self.table.bytes()
    }

    /// Returns the next rows, at most `rows` (0 counts as 1) and fewer only at the end, or if they have very many or long
    /// cells; `None` after it.
    ///
    /// # Errors
    ///
    /// When a row is not as it must be; the message names line and column.
    pub fn next_chunk(&mut self, rows: usize) -> Result<Option<RowChunk>> {
        let mut chunk = RowChunk::default();
        Ok(self.refill(&mut chunk, rows)?.then_some(chunk))
    }

    /// Does the same as [`Self::next_chunk`], in the memory of an earlier chunk. Returns whether there was a row.
    ///
    /// # Errors
    ///
    /// As [`Self::next_chunk`].
    pub fn refill(&mut self, chunk: &mut RowChunk, rows: usize) -> Result<bool> {
        // Rows take over the records of the earlier chunk, so that steady reading allocates nothing.
        self.spare.append(&mut chunk.records);
        chunk.x.clear();
        chunk.lines.clear();
        chunk.odd.clear();
        let mut bytes = 0;
        while chunk.records.len() < rows.max(1) && bytes < PIECE && self.table.read()? {
            let row = chunk.records.len();
            let record = (&self.table.record, self.picks.as_slice());
            let read = self.cells.read(record, row, &mut chunk.x, &mut chunk.odd);
            read.map_err(|(place, problem)| self.table.refuse_column(place, problem))?;
            let spare = self.spare.pop().unwrap_or_default();
            let record = self.table.take_record(spare);
            // An empty cell takes memory too: that of its end.
            bytes += record.as_slice().len() + record.len() * size_of::<usize>();
            chunk.records.push(record);
            chunk.lines.push(self.table.line);
        }
        Ok(!chunk.records.is_empty())
    }
}

/// Returns the places of the columns that hold numbers, among those of the columns that a schema reads.
fn number_places(schema: &Schema, picks: &[usize]) -> HashSet<usize> {
    let is_number = |at: usize| {
        schema.columns.get(at).is_none_or(|it| matches!(it.encoding, ColumnEncoding::Number { .. }))
    };
    picks.iter().enumerate().filter(|(at, _)| is_number(*at)).map(|(_, &place)| place).collect()
}

/// Some rows of a table with their targets, to be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledRows {
    /// Inputs `[rows, features]`, row-major, in the order of the schema.
    pub x: Vec<f64>,
    /// Targets of each row.
    pub y: Targets,
    /// Weight of each row, above 0; `None` if all rows weigh the same.
    pub weights: Option<Vec<f64>>,
    /// First line of each row, counted from 1.
    pub lines: Vec<u64>,
    /// Cells that training had not the like of: gaps where it had none, which are NaN in `x`, and texts.
    pub odd: Vec<OddCell>,
}

impl LabelledRows {
    /// Returns the rows for which `skipped` is false.
    #[cfg(feature = "cli")]
    pub(crate) fn without(self, skipped: &[bool]) -> Self {
        let kept: Vec<u32> =
            (0..).zip(skipped).filter(|(_, skip)| !**skip).map(|it| it.0).collect();
        self.subset(&kept)
    }

    /// Returns some rows, in the order given.
    #[cfg(any(feature = "cli", feature = "pictures"))]
    pub(crate) fn subset(&self, rows: &[u32]) -> Self {
        let columns = self.x.len() / self.lines.len().max(1);
        let row = |&row: &u32| &self.x[row as usize * columns..][..columns];
        let weights = |all: &Vec<f64>| rows.iter().map(|&row| all[row as usize]).collect();
        Self {
            x: rows.iter().flat_map(row).copied().collect(),
            y: self.y.subset(rows),
            weights: self.weights.as_ref().map(weights),
            lines: rows.iter().map(|&row| self.lines[row as usize]).collect(),
            odd: Vec::new(),
        }
    }
}

/// Reads a table of any length with its target a few rows at a time. A whole [`Dataset`](crate::data::Dataset) promises
/// that some weight is above 0; here the caller, who sees all parts, checks that.
#[derive(Debug)]
pub struct PartReader {
    pub(super) table: TableReader,
    picks: Vec<usize>,
    places: Vec<usize>,
    weight: Option<usize>,
    kind: TargetKind,
    labels: Vec<Labels>,
    left_out: usize,
    cells: RowCells,
    marks: GapMarks,
    /// True if targets are numbers, or classes that are.
    numbers: bool,
    without_target: usize,
}

impl PartReader {
    /// Opens a table with the columns of another one, in any order; further columns are ignored. If the other table had
    /// weights and this one has none, all rows weigh the same.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or columns are missing.
    pub fn open(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        Self::open_as(path, schema, &TableFormat::default())
    }

    /// Does the same as [`Self::open`] for a text of a stated form.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_as(path: impl AsRef<Path>, schema: &Schema, format: &TableFormat) -> Result<Self> {
        Self::of(TableReader::open_like(path.as_ref(), schema, format)?, schema)
    }

    /// Reads from anything, such as standard input; messages call it by `name`.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        name: &str,
        schema: &Schema,
    ) -> Result<Self> {
        Self::from_reader_as(reader, name, schema, &TableFormat::default())
    }

    /// Does the same as [`Self::from_reader`] for a text of a stated form.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn from_reader_as(
        reader: impl Read + Send + 'static,
        name: &str,
        schema: &Schema,
        format: &TableFormat,
    ) -> Result<Self> {
        Self::of(TableReader::from_reader_like(reader, name, schema, format)?, schema)
    }

    /// Returns remarks on the form of the text, such as `a semicolon between cells`; none if the form is the usual one.
    pub fn notes(&self) -> &[String] {
        &self.table.dialect().notes
    }

    fn of(mut table: TableReader, schema: &Schema) -> Result<Self> {
        let names = header::names(&table.header);
        let mut wanted = schema.read_columns();
        let features = wanted.len();
        wanted.extend(schema.targets());
        let weight = schema.weight.as_deref().filter(|weight| names.contains(weight));
        // All columns are looked up together, so that one message names all that are missing.
        wanted.extend(weight);
        let mut picks = header::find_all(&names, &wanted, &table.source)
            .map_err(|error| table.explain(error))?;
        table.check_cells(&picks)?;
        let weight = weight.and_then(|_| picks.pop());
        let places = picks.split_off(features);
        // As for the table that the schema is of.
        let numbers = table.dialect().delimiter != b','
            || table.dialect().decimal_is_stated
            || matches!(schema.kind, TargetKind::Number | TargetKind::Numbers(_));
        let all = number_places(schema, &picks).into_iter().chain(weight);
        let all: HashSet<usize> = all.chain(places.iter().copied().filter(|_| numbers)).collect();
        table.read_numbers_in(|column| all.contains(&column));
        let (kind, labels) = (schema.kind.clone(), Labels::of(&schema.kind));
        let is_number = |text: &String| cell::number(text).is_ok();
        let numbers = match &kind {
            TargetKind::Number | TargetKind::Numbers(_) => true,
            TargetKind::Classes(classes) => classes.iter().all(is_number),
            TargetKind::Labels(labels) => labels.iter().all(|it| it.values.iter().all(is_number)),
        };
        let (cells, marks) = (RowCells::new(schema), GapMarks::new(schema.missing.as_deref()));
        Ok(Self {
            table,
            picks,
            places,
            weight,
            kind,
            labels,
            left_out: 0,
            cells,
            marks,
            numbers,
            without_target: 0,
        })
    }

    /// Returns the number of bytes of the table that were read so far.
    pub fn bytes(&self) -> u64 {
        self.table.bytes()
    }

    /// Returns true if the table has the column of weights.
    pub fn has_weights(&self) -> bool {
        self.weight.is_some()
    }

    /// Number of rows of weight 0 that were left out so far.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Number of rows without a target that were left out so far.
    pub fn without_target(&self) -> usize {
        self.without_target
    }

    /// Returns the next rows with a target and a weight above 0, at most `rows` (0 counts as 1) and fewer only at the end, or if they
    /// have very many features; `None` after it.
    ///
    /// # Errors
    ///
    /// When a row is not valid, or its class is not in `schema`; the message names line and column.
    pub fn next_part(&mut self, rows: usize) -> Result<Option<LabelledRows>> {
        let mut part = self.empty();
        let mut bytes = 0;
        while part.lines.len() < rows.max(1) && bytes < PIECE && self.row(&mut part)? {
            part.lines.push(self.table.line);
            bytes += self.table.record.as_slice().len();
        }
        Ok((!part.lines.is_empty()).then_some(part))
    }

    /// Returns a part without rows.
    pub(super) fn empty(&self) -> LabelledRows {
        let y = match &self.kind {
            TargetKind::Classes(_) => Targets::Classes(Vec::new()),
            TargetKind::Number => Targets::Numbers(Vec::new()),
            TargetKind::Numbers(_) | TargetKind::Labels(_) => {
                Targets::Columns(Vec::new(), self.places.len())
            }
        };
        LabelledRows {
            x: Vec::new(),
            y,
            weights: self.weight.map(|_| Vec::new()),
            lines: Vec::new(),
            odd: Vec::new(),
        }
    }

    /// Returns true if the current row has no value of a target: the cell is empty, or marks a gap among numbers.
    fn lacks_target(&self) -> bool {
        let numbers = self.numbers;
        self.places.iter().any(|&place| {
            let text = self.table.record.get(place).unwrap_or_default().trim();
            text.is_empty()
                || (numbers || self.marks.is_given()) && self.marks.has(text)
                || numbers && self.marks.has_among_numbers(text)
        })
    }

    /// Appends the next row with a target and a weight above 0, except for its line. Returns false if there is none.
    pub(super) fn row(&mut self, part: &mut LabelledRows) -> Result<bool> {
        loop {
            if !self.table.read()? {
                return Ok(false);
            }
            let weight = self.weight.map(|place| self.table.weight(place)).transpose()?;
            // A row of weight 0 may hold anything, such as a filler for a missing value, so its cells are not read.
            if weight == Some(0.0) {
                self.left_out += 1;
                continue;
            }
            if self.lacks_target() {
                self.without_target += 1;
                continue;
            }
            part.weights.iter_mut().for_each(|weights| weights.extend(weight));
            break;
        }
        let (table, row) = (&self.table, part.y.len());
        let record = (&table.record, self.picks.as_slice());
        let read = self.cells.read(record, row, &mut part.x, &mut part.odd);
        read.map_err(|(place, problem)| table.refuse_column(place, problem))?;
        for (target, &place) in self.places.iter().enumerate() {
            let text = table.record.get(place).unwrap_or_default().trim();
            let pushed = match (&mut part.y, self.labels.get(target)) {
                (Targets::Classes(y), Some(labels)) => {
                    labels.class(text).map(|class| y.push(class))
                }
                (Targets::Columns(y, _), Some(labels)) => {
                    labels.class(text).map(|class| y.push(f64::from(class)))
                }
                (Targets::Numbers(y) | Targets::Columns(y, _), None) => {
                    cell::target(text).map(|value| y.push(value))
                }
                _ => Ok(()),
            };
            pushed.map_err(|problem| table.refuse_column(place, problem))?;
        }
        Ok(true)
    }
}
