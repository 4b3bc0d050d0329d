//! Parquet files and Arrow streams as tables.
//!
//! In: a Parquet file, or the bytes of Arrow's stream or file form, to which Feather belongs. Out: the text of a table between commas, with a
//! header; the types that the file declares for its columns.
//! Absent on purpose: nested columns, whose cells are left empty, and zstd within Arrow streams.

mod arrow_rows;
mod cells;
mod parquet_file;
mod unread;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Fields};

use self::arrow_rows::{FileRows, StreamRows};
use self::cells::{CellWriter, declared_type};
use self::parquet_file::ParquetRows;
use super::byte_stream::ByteStream;
use super::cell::shown;
use super::csv::bytes::MOST_CELLS;
use super::kinds::DeclaredType;
use super::text_cells::write_text;

/// First bytes of Arrow's file form.
pub(super) const ARROW_FILE: &[u8] = b"ARROW1";
/// Number of cells of a batch of rows, about.
const BATCH_CELLS: usize = 1 << 15;

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

/// Columns and rows as the text of a table.
pub(super) struct ColumnarText {
    batches: BatchReader,
    /// Places among the columns of a batch, by column of the table; `None` for a column that has no cells.
    places: Vec<Option<usize>>,
    /// Rows of a batch that are still to be written, and their first one.
    batch: Option<(RecordBatch, usize)>,
    text: Vec<u8>,
    /// Bytes of the text that were read.
    read: usize,
    /// Number of rows that were written.
    rows: u64,
    progress: Option<DoneBytes>,
    /// Types of the columns, where the file's types say more than the cells.
    pub(super) declared: Vec<Option<DeclaredType>>,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
}

impl fmt::Debug for ColumnarText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnarText").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl ColumnarText {
    /// Opens a file of the Parquet format or of Arrow's file form; `taken` counts the bytes that are done.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is damaged.
    pub(super) fn file(file: File, first: &[u8], taken: Arc<AtomicU64>) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        if first.starts_with(ARROW_FILE) {
            let open = || FileRows::open(file);
            let reader = guarded(|| open().map_err(|error| damaged("Arrow", &error)))?;
            let (schema, all) = (Arc::clone(&reader.schema), reader.batches() as u64);
            let progress = DoneBytes { bytes, all, done: 0, taken };
            return Self::of(BatchReader::File(Box::new(reader)), schema.fields(), Some(progress));
        }
        let open = || ParquetRows::open(file, BATCH_CELLS);
        let rows = guarded(|| open().map_err(|error| damaged("Parquet", &error)))?;
        let fields = rows.fields.clone();
        let progress = DoneBytes { bytes, all: rows.rows, done: 0, taken };
        Self::of(BatchReader::Parquet(Box::new(rows)), &fields, Some(progress))
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
        Self::of(BatchReader::Stream(Box::new(reader)), schema.fields(), None)
    }

    fn of(batches: BatchReader, fields: &Fields, progress: Option<DoneBytes>) -> io::Result<Self> {
        let format = batches.format();
        if fields.is_empty() || fields.len() > MOST_CELLS {
            let problem =
                format!("{format} data of {} columns; 1 to {MOST_CELLS} are read", fields.len());
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let declared: Vec<_> =
            fields.iter().map(|it| declared_type(it.name(), it.data_type())).collect();
        if declared.iter().zip(fields).all(|(it, field)| {
            field.data_type() == &DataType::Null || matches!(it, Some(DeclaredType::Refused(_)))
        }) {
            let problem = format!("the {format} data has no column of numbers, texts or dates");
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let is_read = |it: &Option<DeclaredType>| !matches!(it, Some(DeclaredType::Refused(_)));
        // Parquet's nested columns are not even decoded.
        let packed = matches!(batches, BatchReader::Parquet(_));
        let mut next = 0;
        let places = declared.iter().enumerate().map(|(column, it)| {
            let place = if packed { next } else { column };
            next += usize::from(is_read(it));
            is_read(it).then_some(place)
        });
        let places = places.collect();
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
        Ok(Self { batches, places, batch: None, text, read: 0, rows: 0, progress, declared, notes })
    }

    /// Makes the next piece of text. Returns false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.read = 0;
        while self.text.is_empty() {
            let (batch, first) = match self.batch.take() {
                Some(rest) => rest,
                None => match self.batches.next()? {
                    Some(batch) => {
                        let is_file = matches!(self.batches, BatchReader::File(_));
                        let done = if is_file { 1 } else { batch.num_rows() as u64 };
                        self.progress.iter_mut().for_each(|progress| progress.add(done));
                        (batch, 0)
                    }
                    None => return Ok(false),
                },
            };
            let rows = (BATCH_CELLS / self.places.len()).max(1).min(batch.num_rows() - first);
            self.write_rows(&batch.slice(first, rows))?;
            self.rows += rows as u64;
            if first + rows < batch.num_rows() {
                self.batch = Some((batch, first + rows));
            }
        }
        Ok(true)
    }

    /// Writes the rows of a batch.
    fn write_rows(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let writer = |place: &Option<usize>| -> Option<CellWriter<'_>> {
            Some(CellWriter::of(batch.column((*place)?).as_ref()))
        };
        let writers: Vec<Option<CellWriter<'_>>> = self.places.iter().map(writer).collect();
        for row in 0..batch.num_rows() {
            let begin = self.text.len();
            for (column, writer) in writers.iter().enumerate() {
                if column > 0 {
                    self.text.push(b',');
                }
                let Some(writer) = writer else { continue };
                writer.write(&mut self.text, row).map_err(|problem| {
                    let line = self.rows + row as u64 + 2;
                    io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!("line {line}, column {}: {problem}", column + 1),
                    )
                })?;
            }
            if self.text.len() == begin {
                // An empty line is no row.
                write_text(&mut self.text, "", true);
            }
            self.text.push(b'\n');
        }
        Ok(())
    }
}

impl Read for ColumnarText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() && !guarded(|| self.refill())? {
            return Ok(0);
        }
        let rest = &self.text[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

/// Runs a decoder, which may panic on damaged data.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(io::Error::other("the columns' data is damaged; copy the file again"))
    })
}

/// Turns a decoder's error into one that names the remedy.
fn damaged(format: &str, error: &ArrowError) -> io::Error {
    let text = error.to_string();
    if text.contains("zstd") {
        return io::Error::new(
            io::ErrorKind::Unsupported,
            "Arrow data that is compressed with zstd within; write it with lz4 or without compression, or as Parquet",
        );
    }
    io::Error::other(format!(
        "the {format} data is damaged or truncated ({text}); copy the file again"
    ))
}
