//! Numbers of a table that memory has no place for, in a temporary file or in one of the cache of tables.
//!
//! In: numbers in memory. Out: the same numbers from a file: some, or each n-th of them.
//! Absent on purpose: what is stored and what is not, which `number_builder.rs` decides; what the numbers mean.

use std::ops::Range;
use std::sync::OnceLock;

use super::numbers::Numbers;
use crate::error::{Result, give_up};
use crate::files::{FilePart, TempFile};

/// Use of the temporary file, for messages.
const PURPOSE: &str = "the table, which is larger than ‘host_memory’ allows it to be in memory";
/// Bytes that are read or written at once.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of a block of rows that is stored column by column.
const COLUMN_BLOCK_BYTES: usize = 16 << 20;

/// Copies of a table that are in memory at once, at most, while it is read, parted and encoded, and a rest for all else.
const COPIES: u64 = 5;

/// Returns the bytes that one copy of a table's features may take in memory, of those that the host may take in all.
pub(super) fn table_memory(host_memory: Option<u64>) -> Option<u64> {
    host_memory.map(|bytes| bytes / COPIES)
}

/// Returns true if numbers of so many bytes are in memory, where `memory` of them may be.
pub(super) fn fits_memory(memory: Option<u64>, bytes: u64) -> bool {
    memory.is_none_or(|memory| bytes < memory)
}

/// Returns the bytes that the host may take in all, of which one copy of a table's features may take `memory`.
pub(super) fn host_memory(memory: Option<u64>) -> Option<u64> {
    memory.map(|bytes| bytes * COPIES)
}

/// Numbers in memory, kept in single precision for as long as that loses nothing: a table of pixels or counts takes half the memory.
#[derive(Clone, Debug)]
pub(crate) enum LoadedNumbers {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Default for LoadedNumbers {
    fn default() -> Self {
        Self::Single(Vec::new())
    }
}

/// Returns true if single precision holds a number. NaN stands for a gap, and is as good in single precision.
fn is_single(value: f64) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
    let single = value as f32;
    f64::from(single) == value || value.is_nan()
}

impl LoadedNumbers {
    /// Appends a number. The first one that single precision cannot hold moves all of them to double.
    pub(super) fn push(&mut self, value: f64) {
        if let Self::Single(values) = self {
            if is_single(value) {
                #[expect(clippy::cast_possible_truncation, reason = "single precision holds it")]
                values.push(value as f32);
                return;
            }
            let mut wide = Vec::with_capacity(values.len().max(4) + 1);
            wide.extend(values.iter().map(|&value| f64::from(value)));
            *self = Self::Double(wide);
        }
        if let Self::Double(values) = self {
            values.push(value);
        }
    }

    /// Appends numbers.
    pub(super) fn append(&mut self, more: &[f64]) {
        if let Self::Single(values) = self
            && more.iter().all(|&value| is_single(value))
        {
            #[expect(clippy::cast_possible_truncation, reason = "single precision holds them")]
            values.extend(more.iter().map(|&value| value as f32));
            return;
        }
        self.widen();
        if let Self::Double(values) = self {
            values.extend_from_slice(more);
        }
    }

    /// Takes no numbers yet, with room for `length` of them in single or double precision.
    pub(super) fn with_capacity(single: bool, length: usize) -> Self {
        if single {
            Self::Single(Vec::with_capacity(length))
        } else {
            Self::Double(Vec::with_capacity(length))
        }
    }

    /// Moves all numbers to double precision.
    fn widen(&mut self) {
        if let Self::Single(values) = self {
            *self = Self::Double(values.iter().map(|&value| value.into()).collect());
        }
    }

    /// Puts another number in the place of each number of a column in some rows of `width` numbers; `by` gets the row and the number.
    pub(super) fn replace_column(
        &mut self,
        (column, width): (usize, usize),
        rows: Range<usize>,
        by: impl Fn(usize, f64) -> f64,
    ) {
        let mut row = rows.start;
        if let Self::Single(values) = self {
            let rows = &mut values[rows.start * width..rows.end * width];
            let mut places = rows.iter_mut().skip(column).step_by(width);
            for place in places.by_ref() {
                let value = by(row, f64::from(*place));
                row += 1;
                if !is_single(value) {
                    // The rest is replaced in double precision.
                    drop(places);
                    self.widen();
                    self.set((row - 1) * width + column, value);
                    break;
                }
                #[expect(clippy::cast_possible_truncation, reason = "single precision holds it")]
                (*place = value as f32);
            }
        }
        if let Self::Double(values) = self {
            let rows = &mut values[row * width..rows.end * width];
            for place in rows.iter_mut().skip(column).step_by(width) {
                *place = by(row, *place);
                row += 1;
            }
        }
    }

    fn set(&mut self, place: usize, value: f64) {
        if let Self::Double(values) = self {
            values[place] = value;
        }
    }

    /// Keeps the given columns of rows of `width` numbers, which are in order, without a copy of the whole.
    pub(super) fn keep_columns(&mut self, picks: &[usize], width: usize) {
        fn keep<T: Copy>(values: &mut Vec<T>, picks: &[usize], width: usize) {
            let rows = values.len() / width.max(1);
            for row in 0..rows {
                for (to, from) in picks.iter().enumerate() {
                    values[row * picks.len() + to] = values[row * width + from];
                }
            }
            values.truncate(rows * picks.len());
            values.shrink_to_fit();
        }
        match self {
            Self::Single(values) => keep(values, picks, width),
            Self::Double(values) => keep(values, picks, width),
        }
    }

    /// Keeps the given rows of `width` numbers, which are in order, without a copy of the whole.
    pub(super) fn keep_rows(&mut self, rows: &[u32], width: usize) {
        fn keep<T: Copy>(values: &mut Vec<T>, rows: &[u32], width: usize) {
            for (to, &from) in rows.iter().enumerate() {
                let from = from as usize * width;
                values.copy_within(from..from + width, to * width);
            }
            values.truncate(rows.len() * width);
            values.shrink_to_fit();
        }
        match self {
            Self::Single(values) => keep(values, rows, width),
            Self::Double(values) => keep(values, rows, width),
        }
    }

    /// Number of numbers.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }

    /// Number at place `i`; `None` beyond the end.
    pub(super) fn get(&self, i: usize) -> Option<f64> {
        match self {
            Self::Single(values) => values.get(i).map(|&value| value.into()),
            Self::Double(values) => values.get(i).copied(),
        }
    }

    /// Number of bytes that the numbers take.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Single(values) => size_of_val(values.as_slice()),
            Self::Double(values) => size_of_val(values.as_slice()),
        };
        bytes as u64
    }
}

/// Memory for numbers that are read from a file, some after others.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    single: Vec<f32>,
    double: Vec<f64>,
}

/// Numbers that were read from a file: each `step`-th from place `first` on.
#[derive(Clone, Default)]
pub(super) struct ReadNumbers {
    first: usize,
    step: usize,
    values: LoadedNumbers,
}

impl ReadNumbers {
    /// Returns the number at a place that a step leads to, if it was read.
    pub(super) fn at(&self, place: usize) -> Option<f64> {
        self.values.get(place.checked_sub(self.first)?.checked_div(self.step)?)
    }
}

/// File of numbers.
#[derive(Debug)]
enum NumberFile {
    /// A file of this process alone, which can grow.
    Temporary(TempFile),
    /// A file that other runs read, too.
    Kept(FilePart),
}

impl NumberFile {
    fn read(&self, place: u64, bytes: &mut [u8]) -> Result<()> {
        match self {
            Self::Temporary(file) => file.read(place, bytes),
            Self::Kept(file) => file.read(place, bytes),
        }
    }
}

/// Numbers in a file, all in single or all in double precision.
#[derive(Debug)]
pub(super) struct StoredNumbers {
    file: NumberFile,
    double: bool,
    length: usize,
    /// The same numbers column by column, made when a first column is asked for; `None` inside if the disk has no place for them.
    columns: OnceLock<Option<ColumnStore>>,
}

/// Numbers of rows of a table, column by column within blocks of rows, so that reading a column does not read all others.
#[derive(Debug)]
struct ColumnStore {
    file: TempFile,
    /// Numbers of a row.
    width: usize,
    /// Rows of a block, except of the last one.
    block_rows: usize,
}

impl ColumnStore {
    fn of(numbers: &StoredNumbers, width: usize) -> Result<Self> {
        let block_rows = (COLUMN_BLOCK_BYTES / numbers.size() / width).max(1);
        let mut file = TempFile::create(PURPOSE)?;
        for first in (0..numbers.length).step_by(block_rows * width) {
            let length = (block_rows * width).min(numbers.length - first);
            file.append(&match numbers.view().part(first, length).read() {
                LoadedNumbers::Single(values) => bytes_by_column(&values, width, f32::to_le_bytes),
                LoadedNumbers::Double(values) => bytes_by_column(&values, width, f64::to_le_bytes),
            })?;
        }
        Ok(Self { file, width, block_rows })
    }
}

/// Returns the bytes of rows of `width` numbers, column after column.
fn bytes_by_column<T: Copy, const N: usize>(
    values: &[T],
    width: usize,
    bytes: impl Fn(T) -> [u8; N],
) -> Vec<u8> {
    let column = |column: usize| values[column..].iter().step_by(width);
    bytes_of((0..width).flat_map(column), |&value| bytes(value))
}

/// Returns the bytes of values, one after the other.
pub(super) fn bytes_of<T, const N: usize>(
    values: impl Iterator<Item = T>,
    bytes: impl Fn(T) -> [u8; N],
) -> Vec<u8> {
    let mut all = Vec::with_capacity(values.size_hint().0 * N);
    // Whole arrays at once, which is several times as fast as byte by byte.
    values.for_each(|value| all.extend_from_slice(&bytes(value)));
    all
}

/// A view of numbers that lie in a file.
#[derive(Clone, Copy, Debug)]
pub struct StoredSlice<'a> {
    numbers: &'a StoredNumbers,
    first: usize,
    length: usize,
}

impl StoredNumbers {
    pub(super) fn create(double: bool) -> Result<Self> {
        let file = NumberFile::Temporary(TempFile::create(PURPOSE)?);
        Ok(Self { file, double, length: 0, columns: OnceLock::new() })
    }

    /// Takes `length` numbers that a file has, in little-endian order.
    pub(super) fn kept(file: FilePart, double: bool, length: usize) -> Self {
        Self { file: NumberFile::Kept(file), double, length, columns: OnceLock::new() }
    }

    /// Calls `each` for the bytes of all numbers, block after block; all but the last one have [`BLOCK_BYTES`].
    ///
    /// # Errors
    /// If the file cannot be read, or `each` says so.
    pub(super) fn each_block(&self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let all = self.length * self.size();
        let mut bytes = vec![0; BLOCK_BYTES.min(all)];
        for place in (0..all).step_by(BLOCK_BYTES) {
            let block = &mut bytes[..BLOCK_BYTES.min(all - place)];
            self.file.read(place as u64, block)?;
            each(block)?;
        }
        Ok(())
    }

    /// Appends numbers. Those that single precision would not hold make that all are stored in double.
    pub(super) fn append(&mut self, numbers: &LoadedNumbers) -> Result<()> {
        match (self.double, numbers) {
            (false, LoadedNumbers::Single(values)) => {
                self.append_bytes(values, |&value| value.to_le_bytes())
            }
            (true, LoadedNumbers::Single(values)) => {
                self.append_bytes(values, |&value| f64::from(value).to_le_bytes())
            }
            (true, LoadedNumbers::Double(values)) => {
                self.append_bytes(values, |&value| value.to_le_bytes())
            }
            (false, LoadedNumbers::Double(_)) => {
                let mut wide = Self::create(true)?;
                for first in (0..self.length).step_by(BLOCK_BYTES) {
                    let length = BLOCK_BYTES.min(self.length - first);
                    wide.append(&self.view().part(first, length).read())?;
                }
                *self = wide;
                self.append(numbers)
            }
        }
    }

    fn append_bytes<T, const N: usize>(
        &mut self,
        values: &[T],
        bytes: impl Fn(&T) -> [u8; N],
    ) -> Result<()> {
        // In blocks, so that the bytes need little memory beside the numbers.
        for values in values.chunks(BLOCK_BYTES / N) {
            let bytes = bytes_of(values.iter(), &bytes);
            match &mut self.file {
                NumberFile::Temporary(file) => file.append(&bytes)?,
                // Numbers of a file that other runs read are never added to.
                NumberFile::Kept(_) => unreachable!("numbers are appended to temporary files"),
            }
            self.length += values.len();
        }
        Ok(())
    }

    /// Returns the numbers column by column, for rows of `width` numbers, unless the disk has no place for them.
    fn columns(&self, width: usize) -> Option<&ColumnStore> {
        let made = || ColumnStore::of(self, width).ok();
        self.columns.get_or_init(made).as_ref().filter(|columns| columns.width == width)
    }

    /// Reads numbers of one of the files, which `read` reads.
    fn read(
        &self,
        read: impl Fn(u64, &mut [u8]) -> Result<()>,
        first: usize,
        length: usize,
    ) -> LoadedNumbers {
        let size = self.size();
        let mut bytes = vec![0; length * size];
        let read = read((first * size) as u64, &mut bytes);
        read.unwrap_or_else(|error| give_up(error));
        if self.double {
            let (values, _) = bytes.as_chunks();
            LoadedNumbers::Double(values.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
        } else {
            let (values, _) = bytes.as_chunks();
            LoadedNumbers::Single(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
        }
    }

    pub(super) fn view(&self) -> StoredSlice<'_> {
        StoredSlice { numbers: self, first: 0, length: self.length }
    }

    /// Number of bytes of a number.
    fn size(&self) -> usize {
        if self.double { size_of::<f64>() } else { size_of::<f32>() }
    }
}

impl<'a> StoredSlice<'a> {
    pub(super) fn len(self) -> usize {
        self.length
    }

    /// Returns the numbers from place `first` on, `length` of them.
    pub(super) fn part(self, first: usize, length: usize) -> Self {
        assert!(first + length <= self.length, "a range within the numbers");
        Self { first: self.first + first, length, ..self }
    }

    /// Returns true if the numbers are in single precision.
    pub(super) fn is_single(self) -> bool {
        !self.numbers.double
    }

    /// Returns how many numbers are read at once, if these should be whole groups of `unit`.
    pub(super) fn block_length(self, unit: usize) -> usize {
        let unit = unit.max(1);
        (BLOCK_BYTES / self.numbers.size() / unit).max(1) * unit
    }

    /// Reads all numbers of the view into memory.
    ///
    /// # Panics
    /// If the disk failed, by [`give_up`]: the file is this process' own, so nothing else can have changed it.
    pub(super) fn read(self) -> LoadedNumbers {
        self.numbers.read(|place, to| self.numbers.file.read(place, to), self.first, self.length)
    }

    /// Reads all numbers of the view into a buffer, whose memory is used again.
    ///
    /// # Panics
    /// As [`Self::read`].
    pub(crate) fn read_into(self, buffer: &mut ReadBuffer) -> Numbers<'_> {
        let size = self.numbers.size();
        let ReadBuffer { bytes, single, double } = buffer;
        // Of rows that are as long as the one before, nothing is filled twice.
        bytes.resize(self.length * size, 0);
        let read = self.numbers.file.read((self.first * size) as u64, bytes);
        read.unwrap_or_else(|error| give_up(error));
        if self.numbers.double {
            double.clear();
            double.extend(bytes.as_chunks().0.iter().map(|&it| f64::from_le_bytes(it)));
            Numbers::Double(double)
        } else {
            single.clear();
            single.extend(bytes.as_chunks().0.iter().map(|&it| f32::from_le_bytes(it)));
            Numbers::Single(single)
        }
    }

    /// Reads numbers from a place on, each `step`-th, as many at once as are read well.
    ///
    /// # Panics
    /// As [`Self::read`].
    pub(super) fn read_from(self, place: usize, step: usize) -> ReadNumbers {
        let whole = self.length == self.numbers.length && self.length.is_multiple_of(step);
        let columns = if whole && step > 1 { self.numbers.columns(step) } else { None };
        if let Some(columns) = columns {
            let (row, column) = (place / step, place % step);
            let block = row / columns.block_rows;
            let first = block * columns.block_rows;
            let rows = columns.block_rows.min(self.length / step - first);
            let read = |place, to: &mut [u8]| columns.file.read(place, to);
            let values = self.numbers.read(read, first * step + column * rows, rows);
            return ReadNumbers { first: first * step + column, step, values };
        }
        let length = self.block_length(1).min(self.length - place);
        ReadNumbers { first: place, step: 1, values: self.part(place, length).read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, caught};

    #[test]
    fn a_file_that_cannot_be_read_again_is_an_error() {
        let mut numbers = StoredNumbers::create(false).unwrap();
        let mut loaded = LoadedNumbers::default();
        loaded.append(&[1.0, 2.0, 3.0]);
        numbers.append(&loaded).unwrap();
        // As if the disk had lost the last numbers.
        numbers.length = 5;
        let of = |work: &dyn Fn()| {
            let outcome: Result<()> = caught(|| {
                work();
                Ok(())
            });
            outcome.map_err(|error| error.to_string())
        };
        assert_eq!(of(&|| drop(numbers.view().part(0, 3).read())), Ok(()));
        for said in [
            of(&|| drop(numbers.view().read())),
            of(&|| assert!(!numbers.view().read_into(&mut ReadBuffer::default()).is_empty())),
            of(&|| drop(Numbers::Stored(numbers.view()).to_vec())),
        ] {
            let said = said.unwrap_err();
            assert!(said.contains("cannot use the temporary file"), "{said}");
        }
        let other: Result<()> = caught(|| Err(Error::setting("lr", "no")));
        assert_eq!(other.unwrap_err().to_string(), "lr: no");
    }
}
