//! Numbers of a table that memory has no place for, in a temporary file.
//!
//! In: numbers one after the other, a limit on memory. Out: [`NumberVec`], in memory or in a file, and blocks of it in memory.
//! Absent on purpose: rows and columns; what the numbers mean.

use std::sync::{Arc, OnceLock};

use super::numbers::{NumberVec, Numbers, ReadNumbers};
use super::temp_file::TempFile;
use crate::error::Result;

/// Use of the temporary file, for messages.
const PURPOSE: &str = "the table, which is larger than ‘host_memory’ allows it to be in memory";
/// Bytes that are read or written at once.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of a block of rows that is stored column by column.
const COLUMN_BLOCK_BYTES: usize = 16 << 20;

/// Copies of a table that are in memory at once, at most, while it is read, parted and encoded, and a rest for all else.
const COPIES: u64 = 5;

/// Returns the bytes that one copy of a table's features may take in memory, of those that the host may take in all.
pub(super) fn table_memory(host_memory: Option<u64>) -> Option<u64> {
    host_memory.map(|bytes| bytes / COPIES)
}

/// Returns the bytes that the host may take in all, of which one copy of a table's features may take `memory`.
pub(super) fn host_memory(memory: Option<u64>) -> Option<u64> {
    memory.map(|bytes| bytes * COPIES)
}

/// Numbers in a temporary file, all in single or all in double precision.
#[derive(Debug)]
pub(super) struct StoredNumbers {
    file: TempFile,
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
        for block in Numbers::Stored(numbers.view()).chunks(block_rows * width) {
            let Numbers::Stored(block) = block else { continue };
            file.append(&match block.read() {
                NumberVec::Single(values) => bytes_by_column(&values, width, f32::to_le_bytes),
                NumberVec::Double(values) => bytes_by_column(&values, width, f64::to_le_bytes),
                NumberVec::Stored(_) => Vec::new(),
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
    (0..width).flat_map(column).flat_map(|&value| bytes(value)).collect()
}

/// A view of numbers that lie in a temporary file.
#[derive(Clone, Copy, Debug)]
pub struct StoredSlice<'a> {
    numbers: &'a StoredNumbers,
    first: usize,
    length: usize,
}

impl StoredNumbers {
    fn create(double: bool) -> Result<Self> {
        let (file, columns) = (TempFile::create(PURPOSE)?, OnceLock::new());
        Ok(Self { file, double, length: 0, columns })
    }

    fn append(&mut self, numbers: Numbers<'_>) -> Result<()> {
        let bytes: Vec<u8> = match (self.double, numbers) {
            (false, Numbers::Single(values)) => {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
            _ if self.double => numbers.iter().flat_map(f64::to_le_bytes).collect(),
            // Single precision would not hold these: all that was stored is stored again.
            _ => {
                self.widen()?;
                return self.append(numbers);
            }
        };
        self.length += numbers.len();
        self.file.append(&bytes)
    }

    /// Moves all numbers to a file in double precision.
    fn widen(&mut self) -> Result<()> {
        let mut wide = Self::create(true)?;
        for block in Numbers::Stored(self.view()).blocks(1) {
            wide.append(block.view())?;
        }
        *self = wide;
        Ok(())
    }

    /// Returns the numbers column by column, for rows of `width` numbers, unless the disk has no place for them.
    fn columns(&self, width: usize) -> Option<&ColumnStore> {
        let made = || ColumnStore::of(self, width).ok();
        self.columns.get_or_init(made).as_ref().filter(|columns| columns.width == width)
    }

    /// Reads numbers of one of the files.
    fn read(&self, file: &TempFile, first: usize, length: usize) -> NumberVec {
        let size = self.size();
        let mut bytes = vec![0; length * size];
        let read = file.read((first * size) as u64, &mut bytes);
        read.unwrap_or_else(|error| panic!("the stored table cannot be read again: {error}"));
        if self.double {
            let (values, _) = bytes.as_chunks();
            NumberVec::Double(values.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
        } else {
            let (values, _) = bytes.as_chunks();
            NumberVec::Single(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
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
    /// If the disk failed: the file is this process' own, so nothing else can have changed it.
    pub(super) fn read(self) -> NumberVec {
        self.numbers.read(&self.numbers.file, self.first, self.length)
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
            let values = self.numbers.read(&columns.file, first * step + column * rows, rows);
            return ReadNumbers { first: first * step + column, step, values };
        }
        let length = self.block_length(1).min(self.length - place);
        ReadNumbers { first: place, step: 1, values: self.part(place, length).read() }
    }
}

/// Some numbers of a table, in memory.
#[derive(Clone, Debug)]
pub struct NumberBlock<'a> {
    numbers: Numbers<'a>,
    /// The same numbers, if they had to be read from a file.
    read: Option<NumberVec>,
}

impl<'a> NumberBlock<'a> {
    pub(super) fn of(numbers: Numbers<'a>) -> Self {
        let read = match numbers {
            Numbers::Stored(stored) => Some(stored.read()),
            Numbers::Single(_) | Numbers::Double(_) => None,
        };
        Self { numbers, read }
    }

    /// Returns the numbers, which are never [`Numbers::Stored`].
    pub fn view(&self) -> Numbers<'_> {
        self.read.as_ref().map_or(self.numbers, NumberVec::view)
    }
}

/// Takes numbers one after the other. They are in memory up to a limit, and beyond it in a temporary file.
#[derive(Debug)]
pub(super) struct NumberBuilder {
    /// Numbers that are not in the file.
    recent: NumberVec,
    /// Bytes of numbers that may be in memory; `None` for any number.
    memory: Option<u64>,
    stored: Option<StoredNumbers>,
    outcome: Result<()>,
}

impl NumberBuilder {
    /// Takes numbers of which at most `memory` bytes are in memory.
    pub(super) fn within(memory: Option<u64>) -> Self {
        Self { recent: NumberVec::default(), memory, stored: None, outcome: Ok(()) }
    }

    /// Bytes of numbers that may be in memory; `None` for any number.
    pub(super) fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Appends a number. An error in storing it is kept for [`Self::finish`].
    pub(super) fn push(&mut self, value: f64) {
        self.recent.push(value);
        let Some(memory) = self.memory else { return };
        let most = match self.stored {
            Some(_) => BLOCK_BYTES as u64,
            None => memory,
        };
        if self.recent.bytes() >= most {
            self.store();
        }
    }

    /// Moves the numbers in memory to the file.
    fn store(&mut self) {
        let recent = std::mem::take(&mut self.recent);
        if self.outcome.is_err() {
            return;
        }
        let stored = match &mut self.stored {
            Some(stored) => Ok(stored),
            None => {
                let double = matches!(recent, NumberVec::Double(_));
                StoredNumbers::create(double).map(|made| self.stored.insert(made))
            }
        };
        let view = recent.view();
        self.outcome = stored.and_then(|stored| {
            view.chunks(BLOCK_BYTES / size_of::<f64>()).try_for_each(|part| stored.append(part))
        });
    }

    /// Returns all numbers.
    ///
    /// # Errors
    /// If the temporary file could not be written.
    pub(super) fn finish(mut self) -> Result<NumberVec> {
        if self.stored.is_some() {
            self.store();
        }
        self.outcome?;
        Ok(match self.stored {
            Some(stored) => NumberVec::Stored(Arc::new(stored)),
            None => self.recent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of which single precision holds all but those from `double` on.
    fn numbers(count: u32, double: u32) -> Vec<f64> {
        (0..count).map(|i| if i < double { f64::from(i) } else { f64::from(i) / 10.0 }).collect()
    }

    fn built(values: &[f64], memory: Option<u64>) -> NumberVec {
        let mut builder = NumberBuilder::within(memory);
        values.iter().for_each(|&value| builder.push(value));
        builder.finish().unwrap()
    }

    #[test]
    fn stored_numbers_are_those_that_memory_would_hold() {
        // Beyond a block in either precision, and with the change of precision in a later block.
        for (count, double) in [(10, 20), (700_000, u32::MAX), (700_000, 600_000), (300_000, 0)] {
            let values = numbers(count, double);
            let (memory, stored) = (built(&values, None), built(&values, Some(16)));
            assert!(
                matches!(stored, NumberVec::Stored(_)) && !matches!(memory, NumberVec::Stored(_))
            );
            assert_eq!(stored.view(), memory.view());
            assert_eq!(stored.view().to_vec(), values);
            assert_eq!(stored.view().is_single(), memory.view().is_single());
            let (stored, memory) = (stored.view(), memory.view());
            let last = count as usize - 1;
            assert_eq!(stored.at(last), memory.at(last));
            assert_eq!(stored.range(3..7).to_vec(), values[3..7]);
            assert!(stored.every(1, 3).eq(memory.every(1, 3)));
            // Columns of whole rows, from a middle row on as well.
            let width = if count == 10 { 2 } else { 100 };
            for first in [0, width - 1, 3 * width + 1] {
                assert!(stored.every(first, width).eq(memory.every(first, width)), "{first}");
            }
            let chunks = |numbers: Numbers<'_>| numbers.chunks(4).map(Numbers::to_vec).last();
            assert_eq!(chunks(stored), chunks(memory));
            let blocks: Vec<f64> =
                stored.blocks(3).flat_map(|block| block.view().to_vec()).collect();
            assert_eq!(blocks, values);
        }
    }

    #[test]
    fn columns_and_rows_of_stored_numbers_are_copied() {
        let values = numbers(600_000, 300_000);
        let (memory, stored) = (built(&values, None), built(&values, Some(100)));
        for (picks, rows) in
            [(vec![2, 0], vec![5_u32, 4, 199_999, 0]), (vec![1], (0..150_000).collect())]
        {
            let columns = [&memory, &stored].map(|it| it.columns(&picks, 3, Some(100)).unwrap());
            assert_eq!(columns[0].view(), columns[1].view());
            assert!(matches!(columns[1], NumberVec::Stored(_)));
            let taken = [&memory, &stored].map(|it| it.gather(&rows, 3, Some(1_000_000)).unwrap());
            assert_eq!(taken[0].view(), taken[1].view());
            assert_eq!(taken[0].view().at(0), values[rows[0] as usize * 3]);
        }
    }

    #[test]
    fn few_numbers_stay_in_memory() {
        assert!(matches!(built(&[1.0, 2.0], Some(9)), NumberVec::Single(_)));
        assert!(matches!(built(&[1.0, 2.0], Some(8)), NumberVec::Stored(_)));
    }
}
