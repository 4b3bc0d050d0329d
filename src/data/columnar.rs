//! Parquet files and Arrow streams as tables.
//!
//! In: a Parquet file, or the bytes of Arrow's stream or file form, to which Feather belongs. Out: the text of a table between commas, with a
//! header; the types that the file declares for its columns; the same rows column by column, for files.
//! Absent on purpose: nested columns, whose cells are left empty, and zstd within Arrow streams.

mod arrow_rows;
mod cells;
mod parquet_file;
mod stated_sizes;
mod thrift;
mod unread;

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Fields};

use self::arrow_rows::{FileRows, StreamRows};
pub(super) use self::cells::ColumnValues;
use self::cells::{CellWriter, declared_type};
use self::parquet_file::ParquetRows;
use super::byte_stream::ByteStream;
use super::cell::shown;
use super::csv::bytes::MOST_CELLS;
use super::kinds::DeclaredType;
use super::text_cells::write_text;

/// First bytes of Arrow's file form.
pub(super) const ARROW_FILE: &[u8] = b"ARROW1";
/// First bytes of a Parquet file.
pub(super) const PARQUET: &[u8] = b"PAR1";
/// Number of cells of a batch of rows that becomes text, about.
const BATCH_CELLS: usize = 1 << 15;
/// Number of cells of a batch of rows that is read by columns: each batch finds its different texts anew. Tests have few rows, and should
/// have several batches all the same.
const BLOCK_CELLS: usize = if cfg!(any(test, fuzzing)) { 1 << 7 } else { 1 << 18 };
/// Rows of a file that are read: a few bytes may stand for any number of equal rows, which fuzzing has no time for.
const MOST_ROWS: Option<u64> = if cfg!(fuzzing) { Some(1 << 13) } else { None };

/// Reader of batches of rows.
enum BatchReader {
    Parquet(Box<ParquetRows>),
    File(Box<FileRows>),
    Stream(Box<StreamRows>),
}

impl BatchReader {
    /// Name of the format.
    fn format(&self) -> &'static str {
        match self {
            Self::Parquet(_) => "Parquet",
            Self::File(_) | Self::Stream(_) => "Arrow",
        }
    }

    /// Returns the next rows, if there are some.
    fn next(&mut self) -> io::Result<Option<RecordBatch>> {
        let next = match self {
            Self::Parquet(rows) => rows.next(),
            Self::File(reader) => reader.next(),
            Self::Stream(reader) => reader.next(),
        };
        next.transpose().map_err(|error| damaged(self.format(), &error))
    }
}

/// Bytes of a file that are done, by the rows or batches that are.
struct DoneBytes {
    bytes: u64,
    /// Rows or batches in all, and those that were read.
    all: u64,
    done: u64,
    taken: Arc<AtomicU64>,
}

impl DoneBytes {
    fn add(&mut self, done: u64) {
        self.done += done;
        let bytes = u128::from(self.bytes) * u128::from(self.done) / u128::from(self.all.max(1));
        self.taken.store(u64::try_from(bytes).unwrap_or(self.bytes), Ordering::Relaxed);
    }
}

/// Rows of a file in batches, with the places of the table's columns in them.
pub(super) struct ColumnBatches {
    batches: BatchReader,
    /// Places among the columns of a batch, by column of the table; `None` for a column that has no cells.
    places: Arc<Vec<Option<usize>>>,
    /// Rows of a batch of the file that are still to be given, and their first one.
    rest: Option<(RecordBatch, usize)>,
    /// Number of cells of a batch, about.
    cells: usize,
    /// Number of rows that were given.
    rows: u64,
    progress: Option<DoneBytes>,
}

/// Some rows of a file.
pub(super) struct ColumnBatch {
    batch: RecordBatch,
    places: Arc<Vec<Option<usize>>>,
    /// Number of rows of the file before these.
    first: u64,
}

/// Columns and rows as the text of a table.
pub(super) struct ColumnarText {
    batches: ColumnBatches,
    text: Vec<u8>,
    /// Bytes of the text that were read.
    read: usize,
    /// Types of the columns, where the file's types say more than the cells.
    pub(super) declared: Vec<Option<DeclaredType>>,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
}

impl fmt::Debug for ColumnarText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnarText").field("rows", &self.batches.rows).finish_non_exhaustive()
    }
}

impl ColumnBatches {
    /// Opens a file of the Parquet format or of Arrow's file form again, whose text has shown that it is one; `None` for any other.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is damaged.
    pub(super) fn reopen(path: &Path, taken: Arc<AtomicU64>) -> io::Result<Option<Self>> {
        let mut first = Vec::with_capacity(ARROW_FILE.len());
        let mut file = File::open(path)?;
        file.by_ref().take(ARROW_FILE.len() as u64).read_to_end(&mut first)?;
        if !first.starts_with(PARQUET) && !first.starts_with(ARROW_FILE) {
            return Ok(None);
        }
        let (batches, fields) = Self::open(file, &first, BLOCK_CELLS, taken)?;
        batches.of(&fields).map(|(batches, _)| Some(batches))
    }

    /// Opens a file whose first bytes are these. Returns the batches of all of its columns, and these.
    fn open(
        file: File,
        first: &[u8],
        cells: usize,
        taken: Arc<AtomicU64>,
    ) -> io::Result<(Self, Fields)> {
        let bytes = file.metadata()?.len();
        if first.starts_with(ARROW_FILE) {
            let open = || FileRows::open(file);
            let reader = guarded(|| open().map_err(|error| damaged("Arrow", &error)))?;
            let (schema, all) = (Arc::clone(&reader.schema), reader.batches() as u64);
            let progress = DoneBytes { bytes, all, done: 0, taken };
            let batches = BatchReader::File(Box::new(reader));
            return Ok((Self::new(batches, cells, Some(progress)), schema.fields().clone()));
        }
        let open = || ParquetRows::open(file, cells);
        let rows = guarded(|| open().map_err(|error| damaged("Parquet", &error)))?;
        let fields = rows.fields.clone();
        let progress = DoneBytes { bytes, all: rows.rows, done: 0, taken };
        Ok((Self::new(BatchReader::Parquet(Box::new(rows)), cells, Some(progress)), fields))
    }

    fn new(batches: BatchReader, cells: usize, progress: Option<DoneBytes>) -> Self {
        Self { batches, places: Arc::default(), rest: None, cells, rows: 0, progress }
    }

    /// Finds the places of a file's columns. Returns the types that the file declares, too.
    fn of(mut self, fields: &Fields) -> io::Result<(Self, Vec<Option<DeclaredType>>)> {
        let format = self.batches.format();
        if fields.is_empty() || fields.len() > MOST_CELLS {
            let problem = format!(
                "{format} data of {} columns, but 1 to {MOST_CELLS} can be read; save the columns that are needed",
                fields.len()
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let declared: Vec<_> =
            fields.iter().map(|it| declared_type(it.name(), it.data_type())).collect();
        if declared.iter().zip(fields).all(|(it, field)| {
            field.data_type() == &DataType::Null || matches!(it, Some(DeclaredType::Refused(_)))
        }) {
            let problem = format!(
                "the {format} data has no column of numbers, texts or dates; save values of these types"
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let is_read = |it: &Option<DeclaredType>| !matches!(it, Some(DeclaredType::Refused(_)));
        // Parquet's nested columns are not even decoded.
        let packed = matches!(self.batches, BatchReader::Parquet(_));
        let mut next = 0;
        let places = declared.iter().enumerate().map(|(column, it)| {
            let place = if packed { next } else { column };
            next += usize::from(is_read(it));
            is_read(it).then_some(place)
        });
        self.places = Arc::new(places.collect());
        Ok((self, declared))
    }

    /// Returns the next rows, at least one, if there are more.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub(super) fn next(&mut self) -> io::Result<Option<ColumnBatch>> {
        guarded(|| self.next_rows())
    }

    fn next_rows(&mut self) -> io::Result<Option<ColumnBatch>> {
        loop {
            let (batch, first) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.batches.next()? {
                    Some(batch) => {
                        let is_file = matches!(self.batches, BatchReader::File(_));
                        let done = if is_file { 1 } else { batch.num_rows() as u64 };
                        self.progress.iter_mut().for_each(|progress| progress.add(done));
                        (batch, 0)
                    }
                    None => return Ok(None),
                },
            };
            let rows = (self.cells / self.places.len()).max(1).min(batch.num_rows() - first);
            let part = batch.slice(first, rows);
            if first + rows < batch.num_rows() {
                self.rest = Some((batch, first + rows));
            }
            if rows == 0 {
                continue;
            }
            if let Some(most) = MOST_ROWS.filter(|most| self.rows >= *most) {
                return Err(io::Error::other(format!("more than {most} rows")));
            }
            let (places, first) = (Arc::clone(&self.places), self.rows);
            self.rows += rows as u64;
            return Ok(Some(ColumnBatch { batch: part, places, first }));
        }
    }
}

impl ColumnBatch {
    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Number of rows of the file before these.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the cells of a column of the table; `None` for a column that has none.
    pub(super) fn column(&self, column: usize) -> Option<ColumnValues<'_>> {
        let place = self.places.get(column).copied().flatten()?;
        Some(ColumnValues::of(self.batch.column(place).as_ref()))
    }

    /// Returns true if all columns hold texts, so that a row may look like a header.
    pub(super) fn is_text(&self) -> bool {
        let columns = self.batch.columns().iter();
        columns.map(|it| declared_type("", it.data_type())).all(|it| it == Some(DeclaredType::Text))
    }

    /// Appends the rows as text.
    ///
    /// # Errors
    ///
    /// For a text that no table of texts may hold.
    pub(super) fn write(&self, text: &mut Vec<u8>) -> io::Result<()> {
        guarded(|| self.write_rows(text))
    }

    fn write_rows(&self, text: &mut Vec<u8>) -> io::Result<()> {
        let writer = |place: &Option<usize>| -> Option<CellWriter<'_>> {
            Some(CellWriter::of(self.batch.column((*place)?).as_ref()))
        };
        let writers: Vec<Option<CellWriter<'_>>> = self.places.iter().map(writer).collect();
        for row in 0..self.rows() {
            let begin = text.len();
            for (column, writer) in writers.iter().enumerate() {
                if column > 0 {
                    text.push(b',');
                }
                let Some(writer) = writer else { continue };
                writer.write(text, row).map_err(|problem| {
                    let line = self.first + row as u64 + 2;
                    io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!("line {line}, column {}: {problem}", column + 1),
                    )
                })?;
            }
            if text.len() == begin {
                // An empty line is no row.
                write_text(text, "", true);
            }
            text.push(b'\n');
        }
        Ok(())
    }
}

impl ColumnarText {
    /// Opens a file of the Parquet format or of Arrow's file form; `taken` counts the bytes that are done.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is damaged.
    pub(super) fn file(file: File, first: &[u8], taken: Arc<AtomicU64>) -> io::Result<Self> {
        let (batches, fields) = ColumnBatches::open(file, first, BATCH_CELLS, taken)?;
        Self::of(batches, &fields)
    }

    /// Opens Arrow's stream form.
    ///
    /// # Errors
    ///
    /// As for [`Self::file`].
    pub(super) fn stream(bytes: ByteStream) -> io::Result<Self> {
        let open = || StreamRows::open(bytes);
        let reader = guarded(|| open().map_err(|error| damaged("Arrow", &error)))?;
        let schema = Arc::clone(&reader.schema);
        let batches = ColumnBatches::new(BatchReader::Stream(Box::new(reader)), BATCH_CELLS, None);
        Self::of(batches, schema.fields())
    }

    fn of(batches: ColumnBatches, fields: &Fields) -> io::Result<Self> {
        let format = batches.batches.format();
        let (batches, declared) = batches.of(fields)?;
        let mut notes = vec![format!("{format} data; the first row is line 2 in messages")];
        for (field, declared) in fields.iter().zip(&declared) {
            if let Some(DeclaredType::Refused(what)) = declared {
                notes.push(format!("{} holds {what}, which are left empty", shown(field.name())));
            }
        }
        let mut text = Vec::new();
        for (column, field) in fields.iter().enumerate() {
            if column > 0 {
                text.push(b',');
            }
            // In quotes in any case, since a name may look like anything.
            text.extend(format!("\"{}\"", field.name().replace('"', "\"\"")).into_bytes());
        }
        text.push(b'\n');
        Ok(Self { batches, text, read: 0, declared, notes })
    }

    /// Makes the next piece of text. Returns false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.read = 0;
        let Some(batch) = self.batches.next()? else { return Ok(false) };
        batch.write(&mut self.text)?;
        Ok(true)
    }
}

impl Read for ColumnarText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() && !self.refill()? {
            return Ok(0);
        }
        let count = (&self.text[self.read..]).read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

thread_local! {
    /// True while a decoder runs whose panics are errors of the file.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder, which may panic on damaged data. Nothing is told of such a panic but the error.
pub(super) fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                usual(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.unwrap_or_else(|_| {
        Err(io::Error::other("the columns' data is damaged; copy the file again"))
    })
}

/// Turns a decoder's error into one that names the remedy.
fn damaged(format: &str, error: &ArrowError) -> io::Error {
    let text = error.to_string();
    if format == "Arrow" && text.contains("zstd") {
        return io::Error::new(
            io::ErrorKind::Unsupported,
            "Arrow data that is compressed with zstd within; write it with lz4 or without compression, or as Parquet",
        );
    }
    if let Some(codec) = text.split("Disabled feature at compile time: ").nth(1) {
        return io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "{format} data that is compressed with {codec} within; write it with snappy, gzip, lz4 or zstd"
            ),
        );
    }
    io::Error::other(format!(
        "the {format} data is damaged or truncated ({text}); copy the file again"
    ))
}
