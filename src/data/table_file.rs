//! Bytes of a table in a file: a header in JSON, then targets, weights, columns to split by and features in little-endian order, and a
//! checksum of all of them.
//!
//! In: a table that was read. Out: a file, and the same table from it; a file that is damaged is refused before anything of it is used.
//! Absent on purpose: which file belongs to which table: `table_cache.rs` knows that of later runs, `shared_table.rs` that of other ranks.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::csv::LoadedTable;
use super::kinds::RawColumns;
use super::numbers::{NumberBlock, NumberVec, Numbers};
use super::row_cells::OddCell;
use super::schema::{Schema, TargetKind};
use super::split::{RowPart, SplitColumns};
use super::stored_numbers::{BLOCK_BYTES, StoredNumbers, bytes_of, fits_memory};
use super::table::Dataset;
use super::targets::Targets;
use crate::checksum::Checksum;
use crate::error::{Error, Result};
use crate::files::{AtomicFile, FilePart};

/// First bytes of a cached table, with the version of its form.
const MAGIC: &[u8; 16] = b"wgrad table 0002";
/// Bytes before the header's text: [`MAGIC`], and the length of the text.
const START: usize = MAGIC.len() + 8;
/// Bytes of the checksum at the end.
const SUM: usize = 8;

/// A table but for its numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// Path of the table.
    source: String,
    /// All that decided how it was read.
    settings: String,
    rows: usize,
    /// True if features are in double precision.
    double: bool,
    targets: TargetForm,
    has_weights: bool,
    has_groups: bool,
    has_parts: bool,
    schema: Schema,
    raw: Option<RawColumns>,
    left_out: usize,
    /// Places of all rows that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<u32>,
    inexact: Vec<String>,
    class_lines: Vec<u64>,
    notes: Vec<String>,
    format_notes: Vec<String>,
    /// Cells that the training table had not the like of, in a table of validation rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    odd: Vec<OddCell>,
}

/// Form of the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum TargetForm {
    Classes,
    Numbers,
    Columns(usize),
}

impl Header {
    pub(super) fn new(table: &LoadedTable, settings: &str, source: String) -> Self {
        let LoadedTable { data, columns, notes } = table;
        Self {
            source,
            settings: settings.to_owned(),
            rows: data.rows(),
            double: !data.x().is_single(),
            targets: match data.y() {
                Targets::Classes(_) => TargetForm::Classes,
                Targets::Numbers(_) => TargetForm::Numbers,
                Targets::Columns(_, columns) => TargetForm::Columns(*columns),
            },
            has_weights: data.weights().is_some(),
            has_groups: columns.groups.is_some(),
            has_parts: columns.parts.is_some(),
            schema: data.schema.clone(),
            raw: data.raw.as_deref().cloned(),
            left_out: data.left_out,
            skipped: data.skipped.to_vec(),
            inexact: data.inexact.clone(),
            class_lines: data.class_lines.clone(),
            notes: data.notes.to_vec(),
            format_notes: notes.clone(),
            odd: data.odd.to_vec(),
        }
    }

    /// Returns the bytes of the sections before the features, in their order, and of the features; `None` if no file is that long.
    fn sections(&self) -> Option<([usize; 4], usize)> {
        let each = |size: usize| self.rows.checked_mul(size);
        let targets = match self.targets {
            TargetForm::Classes => each(4),
            TargetForm::Numbers => each(8),
            TargetForm::Columns(columns) => each(columns.checked_mul(8)?),
        };
        let small = |there: bool, size: usize| if there { each(size) } else { Some(0) };
        let sections = [
            targets?,
            small(self.has_weights, 8)?,
            small(self.has_groups, 4)?,
            small(self.has_parts, 4)?,
        ];
        let features = self.schema.features.len().checked_mul(if self.double { 8 } else { 4 })?;
        Some((sections, each(features)?))
    }
}

/// Writes bytes and their checksum.
struct Writer<W> {
    write: W,
    sum: Checksum,
    length: u64,
}

impl<W: FnMut(&[u8]) -> Result<()>> Writer<W> {
    /// Writes whole words of four bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sum.bytes(bytes);
        self.length += bytes.len() as u64;
        (self.write)(bytes)
    }

    /// Writes numbers in blocks, so that their bytes need little memory.
    fn numbers<T: Copy, const N: usize>(
        &mut self,
        numbers: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<()> {
        for numbers in numbers.chunks(BLOCK_BYTES / N) {
            self.write(&bytes_of(numbers.iter(), |&number| bytes(number)))?;
        }
        Ok(())
    }

    /// Writes features, which are in memory or in another file.
    fn features(&mut self, x: &NumberVec) -> Result<()> {
        if let NumberVec::Stored(x) = x {
            return x.each_block(|bytes| self.write(bytes));
        }
        match NumberBlock::of(x.view()).view() {
            Numbers::Single(values) => self.numbers(values, f32::to_le_bytes),
            Numbers::Double(values) => self.numbers(values, f64::to_le_bytes),
            Numbers::Stored(_) => unreachable!("a block is in memory"),
        }
    }
}

/// Writes a table by a function that takes bytes one after the other. Returns the length of the header's text, and of all.
///
/// # Errors
/// If `write` fails.
pub(super) fn write_table_to(
    header: &Header,
    table: &LoadedTable,
    write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(usize, u64)> {
    let LoadedTable { data, columns, .. } = table;
    let refuse = |error: serde_json::Error| Error::table(data.source(), error.to_string());
    let mut text = serde_json::to_vec(header).map_err(refuse)?;
    // Whole words, for the checksum.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut to = Writer { write, sum: Checksum::default(), length: 0 };
    to.write(MAGIC)?;
    to.write(&(text.len() as u64).to_le_bytes())?;
    to.write(&text)?;
    match data.y() {
        Targets::Classes(y) => to.numbers(y, u32::to_le_bytes)?,
        Targets::Numbers(y) | Targets::Columns(y, _) => to.numbers(y, f64::to_le_bytes)?,
    }
    to.numbers(data.weights().unwrap_or_default(), f64::to_le_bytes)?;
    to.numbers(columns.groups.as_deref().unwrap_or_default(), u32::to_le_bytes)?;
    let number = |part| match part {
        RowPart::Train => 0_u32.to_le_bytes(),
        RowPart::Valid => 1_u32.to_le_bytes(),
        RowPart::Test => 2_u32.to_le_bytes(),
    };
    to.numbers(columns.parts.as_deref().unwrap_or_default(), number)?;
    to.features(&data.x)?;
    let sum = to.sum.value();
    to.write(&sum.to_le_bytes())?;
    Ok((text.len(), to.length))
}

/// Writes a table into a file of its own. Returns the features in the new file.
///
/// # Errors
/// If the file cannot be written; an earlier one is then as it was.
pub(super) fn write_table(path: &Path, header: &Header, table: &LoadedTable) -> Result<NumberVec> {
    let mut file = AtomicFile::create(path)?;
    let target = file.target().to_path_buf();
    let write = |bytes: &[u8]| {
        file.write_all(bytes).map_err(|source| Error::file("write", &target, source))
    };
    let (text, _) = write_table_to(header, table, write)?;
    file.commit()?;
    let file = File::open(path).map_err(|source| Error::file("read", path, source))?;
    let (_, first) =
        sizes(header, text).ok_or_else(|| Error::model_file(path, TOO_LARGE.to_string()))?;
    Ok(features(header, FilePart::new(path.to_path_buf(), file, first)))
}

const TOO_LARGE: &str = "it says that it is larger than a file can be";

/// Returns the length of a file and the place of its features, if its header is this long.
fn sizes(header: &Header, text: usize) -> Option<(u64, u64)> {
    let (sections, features) = header.sections()?;
    let parts = sections.into_iter().chain([text, START]);
    let first = parts.into_iter().try_fold(0_usize, usize::checked_add)?;
    let length = first.checked_add(features)?.checked_add(SUM)?;
    Some((length as u64, first as u64))
}

fn features(header: &Header, file: FilePart) -> NumberVec {
    let length = header.rows * header.schema.features.len();
    NumberVec::Stored(Arc::new(StoredNumbers::kept(file, header.double, length)))
}

/// Reads the path of the table that a file was made of.
///
/// # Errors
/// If the file cannot be read, or is none of a cache.
pub(super) fn read_source(path: &Path) -> Result<String> {
    let (file, length) = open(path)?;
    Ok(read_header(path, &file, length)?.0.source)
}

fn open(path: &Path) -> Result<(FilePart, u64)> {
    let file = File::open(path).map_err(|source| Error::file("read", path, source))?;
    with_length(path, file)
}

fn with_length(path: &Path, file: File) -> Result<(FilePart, u64)> {
    let about = file.metadata().map_err(|source| Error::file("read", path, source))?;
    Ok((FilePart::new(path.to_path_buf(), file, 0), about.len()))
}

/// Reads the header. Returns it with the length of its text.
fn read_header(path: &Path, file: &FilePart, length: u64) -> Result<(Header, usize)> {
    let refuse = |problem: &str| Error::model_file(path, problem);
    let mut start = [0; START];
    file.read(0, &mut start)?;
    let (magic, text) = start.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(refuse("it is no table of this version's cache"));
    }
    let text = u64::from_le_bytes(text.try_into().unwrap_or_default());
    // Checked before memory is taken.
    if text > length {
        return Err(refuse("its header is longer than the file"));
    }
    let mut bytes = vec![0; usize::try_from(text).map_err(|_| refuse(TOO_LARGE))?];
    file.read(START as u64, &mut bytes)?;
    let header: Header =
        serde_json::from_slice(&bytes).map_err(|_| refuse("its header is damaged"))?;
    match sizes(&header, bytes.len()) {
        Some((there, _)) if there == length => Ok((header, bytes.len())),
        Some(_) => Err(refuse("it is cut off")),
        None => Err(refuse(TOO_LARGE)),
    }
}

/// Compares the checksum at the end of a file with that of its other bytes.
fn check_sum(path: &Path, file: &FilePart, length: u64) -> Result<()> {
    let refuse = || Error::model_file(path, "its checksum is wrong: it is damaged");
    let end = length.checked_sub(SUM as u64).ok_or_else(refuse)?;
    let (mut sum, mut place, mut block) = (Checksum::default(), 0, vec![0; BLOCK_BYTES]);
    while place < end {
        let size = usize::try_from(end - place).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        file.read(place, &mut block[..size])?;
        sum.bytes(&block[..size]);
        place += size as u64;
    }
    let mut stored = [0; SUM];
    file.read(end, &mut stored)?;
    if sum.value() == u64::from_le_bytes(stored) { Ok(()) } else { Err(refuse()) }
}

/// Reads a table that was read with these settings. Its features are in memory if these are fewer than `memory` bytes, else they stay
/// in the file.
///
/// # Errors
/// If the file cannot be read, is damaged, or is of another table.
pub(super) fn read_table(
    (path, file): (&Path, File),
    settings: &str,
    memory: Option<u64>,
) -> Result<LoadedTable> {
    let (file, length) = with_length(path, file)?;
    let (header, text) = read_header(path, &file, length)?;
    check_settings(path, &header, settings)?;
    check_sum(path, &file, length)?;
    read_sections((path, file), (header, text), memory)
}

/// Reads a table of so many bytes within a file that another process has just written, without a pass over all of it for its checksum.
///
/// # Errors
/// If the file cannot be read, or has another table.
#[cfg(feature = "cli")]
pub(super) fn read_table_within(
    path: &Path,
    (file, length): (FilePart, u64),
    settings: &str,
    memory: Option<u64>,
) -> Result<LoadedTable> {
    let (header, text) = read_header(path, &file, length)?;
    check_settings(path, &header, settings)?;
    read_sections((path, file), (header, text), memory)
}

fn check_settings(path: &Path, header: &Header, settings: &str) -> Result<()> {
    match header.settings == settings {
        true => Ok(()),
        false => Err(Error::model_file(path, "it was read with other settings")),
    }
}

/// Reads what follows the header, whose text has this length.
fn read_sections(
    (path, file): (&Path, FilePart),
    (header, text): (Header, usize),
    memory: Option<u64>,
) -> Result<LoadedTable> {
    let ([targets, weights, groups, parts], all) =
        header.sections().ok_or_else(|| Error::model_file(path, TOO_LARGE))?;
    let mut place = (START + text) as u64;
    let mut section = |size: usize| -> Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        file.read(place, &mut bytes)?;
        place += size as u64;
        Ok(bytes)
    };
    let targets = section(targets)?;
    let weights = floats(&section(weights)?);
    let groups = words(&section(groups)?);
    let parts = words(&section(parts)?);
    let y = match header.targets {
        TargetForm::Classes => Targets::Classes(words(&targets)),
        TargetForm::Numbers => Targets::Numbers(floats(&targets)),
        TargetForm::Columns(columns) => Targets::Columns(floats(&targets), columns),
    };
    if let (Targets::Classes(y), TargetKind::Classes(names)) = (&y, &header.schema.kind)
        && y.iter().any(|&class| class as usize >= names.len())
    {
        return Err(Error::model_file(path, "it has a class without a name"));
    }
    let x = features(&header, file.from(place));
    let x = if fits_memory(memory, all as u64) { x.loaded() } else { x };
    let part = |part: &u32| match part {
        0 => RowPart::Train,
        1 => RowPart::Valid,
        _ => RowPart::Test,
    };
    let columns = SplitColumns {
        groups: header.has_groups.then_some(groups),
        parts: header.has_parts.then(|| parts.iter().map(part).collect()),
    };
    let data = Dataset {
        schema: header.schema,
        x: Arc::new(x),
        memory,
        y: Arc::new(y),
        weights: header.has_weights.then(|| Arc::new(weights)),
        left_out: header.left_out,
        skipped: Arc::new(header.skipped),
        places: None,
        inexact: header.inexact,
        source: header.source,
        class_lines: header.class_lines,
        raw: header.raw.map(Arc::new),
        odd: Arc::new(header.odd),
        notes: Arc::new(header.notes),
    };
    Ok(LoadedTable { data, columns, notes: header.format_notes })
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|&word| f64::from_le_bytes(word)).collect()
}
