//! Numbers of a table that grow: in memory up to a limit, and beyond it in a temporary file.
//!
//! In: numbers one after the other, or the rows and columns of others to copy. Out: [`NumberVec`].
//! Absent on purpose: what the numbers mean.

use std::sync::Arc;

use super::numbers::{NumberVec, Numbers};
use super::stored_numbers::{BLOCK_BYTES, LoadedNumbers, StoredNumbers, fits_memory};
use crate::error::Result;
use crate::host::threads;

/// Bytes of rows that are parted with a copy of some of them.
const PART_BYTES: usize = if cfg!(test) { 1 << 8 } else { 1 << 23 };

/// A column, and the number that takes the place of each of its numbers: the function gets the row and the number.
pub(super) type ColumnReplacement<'a> = (usize, Box<dyn Fn(usize, f64) -> f64 + 'a>);

/// Takes numbers one after the other. They are in memory up to a limit, and beyond it in a temporary file.
#[derive(Debug)]
pub(super) struct NumberBuilder {
    /// Numbers that are not in the file.
    recent: LoadedNumbers,
    /// Bytes of numbers that may be in memory; `None` for any number.
    memory: Option<u64>,
    stored: Option<StoredNumbers>,
    outcome: Result<()>,
}

impl NumberBuilder {
    /// Takes numbers of which at most `memory` bytes are in memory.
    pub(super) fn within(memory: Option<u64>) -> Self {
        Self { recent: LoadedNumbers::default(), memory, stored: None, outcome: Ok(()) }
    }

    /// Bytes of numbers that may be in memory; `None` for any number.
    pub(super) fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Appends a number. An error in storing it is kept for [`Self::finish`].
    pub(super) fn push(&mut self, value: f64) {
        self.recent.push(value);
        self.store_if_full();
    }

    /// Appends numbers. An error in storing them is kept for [`Self::finish`].
    pub(super) fn append(&mut self, more: &[f64]) {
        self.recent.append(more);
        self.store_if_full();
    }

    /// Moves the numbers in memory to the file, if there are as many as may be in memory.
    fn store_if_full(&mut self) {
        let most = if self.stored.is_some() { Some(BLOCK_BYTES as u64) } else { self.memory };
        if !fits_memory(most, self.recent.bytes()) {
            self.store();
        }
    }

    /// Puts other numbers in the place of those of some columns, in rows of `width` numbers, in one pass.
    pub(super) fn replace_columns(&mut self, width: usize, columns: &[ColumnReplacement<'_>]) {
        if columns.is_empty() {
            return;
        }
        let replace = |numbers: &mut LoadedNumbers, first: usize| {
            // In blocks of rows, which the processor's cache has room for.
            let (rows, block) = (numbers.len() / width, (BLOCK_BYTES / 8 / width).max(1));
            for begin in (0..rows).step_by(block) {
                for (column, by) in columns {
                    let rows = begin..rows.min(begin + block);
                    let by = |row, value| by(first + row, value);
                    numbers.replace_column((*column, width), rows, by);
                }
            }
        };
        let mut first = 0;
        if let Some(stored) = self.stored.take() {
            // A file is written anew, since its numbers may have to be wider.
            let old = NumberVec::Stored(Arc::new(stored));
            let mut new = Self::within(self.memory);
            for block in old.view().blocks(width) {
                let mut block = LoadedNumbers::from(block.view());
                replace(&mut block, first);
                first += block.len() / width;
                new.recent = block;
                new.store();
            }
            self.stored = new.stored;
            self.outcome = std::mem::replace(&mut self.outcome, Ok(())).and(new.outcome);
        }
        replace(&mut self.recent, first);
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
                let double = matches!(recent, LoadedNumbers::Double(_));
                StoredNumbers::create(double).map(|made| self.stored.insert(made))
            }
        };
        self.outcome = stored.and_then(|stored| stored.append(&recent));
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
            None => NumberVec::Loaded(self.recent),
        })
    }
}

/// Moves the rows of `width` values that are not `held` before those that are; both stay in their order. Returns the number of the first.
pub(super) fn part_rows<T: Copy + Send>(values: &mut [T], width: usize, held: &[bool]) -> usize {
    let rows = held.len();
    if size_of_val(values) <= PART_BYTES || rows < 2 {
        let (mut kept, mut others) = (0, Vec::new());
        for (row, &is_held) in held.iter().enumerate() {
            let range = row * width..(row + 1) * width;
            if is_held {
                others.extend_from_slice(&values[range]);
            } else {
                values.copy_within(range, kept * width);
                kept += 1;
            }
        }
        values[kept * width..].copy_from_slice(&others);
        return kept;
    }
    // Both halves by themselves, and then what is in the wrong place of each.
    let middle = rows / 2;
    let (left, right) = values.split_at_mut(middle * width);
    let (left_held, right_held) = held.split_at(middle);
    let (left, right) =
        threads::join(|| part_rows(left, width, left_held), || part_rows(right, width, right_held));
    values[left * width..(middle + right) * width].rotate_left((middle - left) * width);
    left + right
}

impl NumberVec {
    /// Returns the same numbers in memory.
    pub(super) fn loaded(self) -> Self {
        let Self::Stored(stored) = &self else { return self };
        let mut loaded =
            LoadedNumbers::with_capacity(stored.view().is_single(), stored.view().len());
        for block in self.view().blocks(1) {
            match (&mut loaded, block.view()) {
                (LoadedNumbers::Single(to), Numbers::Single(from)) => to.extend_from_slice(from),
                (LoadedNumbers::Double(to), Numbers::Double(from)) => to.extend_from_slice(from),
                (to, from) => from.iter().for_each(|value| to.push(value)),
            }
        }
        Self::Loaded(loaded)
    }

    /// Parts rows of `width` numbers in memory without a second copy of them. Returns those that are not `held`, and those that are, in
    /// the order of the table; the numbers themselves if they are in a file.
    pub(super) fn parted(self, width: usize, held: &[bool]) -> Result<(Self, Self), Self> {
        let mut numbers = match self {
            Self::Loaded(numbers) => numbers,
            Self::Shared(..) | Self::Stored(_) => return Err(self),
        };
        let rows = match &mut numbers {
            LoadedNumbers::Single(values) => part_rows(values, width, held),
            LoadedNumbers::Double(values) => part_rows(values, width, held),
        };
        let (all, end) = (Arc::new(numbers), rows * width);
        let second = Self::Shared(Arc::clone(&all), end..all.len());
        Ok((Self::Shared(all, 0..end), second))
    }

    /// Keeps the given columns of rows of `width` numbers, which are in order.
    ///
    /// # Errors
    /// If numbers in a file cannot be written anew.
    pub(super) fn keep_columns(
        &mut self,
        picks: &[usize],
        width: usize,
        memory: Option<u64>,
    ) -> Result<()> {
        match self {
            Self::Loaded(numbers) => numbers.keep_columns(picks, width),
            Self::Shared(..) | Self::Stored(_) => *self = self.columns(picks, width, memory)?,
        }
        Ok(())
    }

    /// Keeps the given rows of `width` numbers, which are in order.
    ///
    /// # Errors
    /// As [`Self::keep_columns`].
    pub(super) fn keep_rows(
        &mut self,
        rows: &[u32],
        width: usize,
        memory: Option<u64>,
    ) -> Result<()> {
        match self {
            Self::Loaded(numbers) => numbers.keep_rows(rows, width),
            Self::Shared(..) | Self::Stored(_) => *self = self.gather(rows, width, memory)?,
        }
        Ok(())
    }

    /// Copies the given columns of rows of `width` numbers, in the given order; beyond `memory` bytes to a file.
    ///
    /// # Errors
    /// If that file cannot be written.
    pub(super) fn columns(
        &self,
        picks: &[usize],
        width: usize,
        memory: Option<u64>,
    ) -> Result<Self> {
        let mut copy = NumberBuilder::within(memory);
        for block in self.view().blocks(width) {
            for row in block.view().chunks(width) {
                picks.iter().for_each(|&at| copy.push(row.at(at)));
            }
        }
        copy.finish()
    }

    /// Copies the parts of `size` numbers at the given places, in the given order; beyond `memory` bytes to a file.
    ///
    /// # Errors
    /// If that file cannot be written.
    pub(super) fn gather(&self, places: &[u32], size: usize, memory: Option<u64>) -> Result<Self> {
        fn copy<T: Copy>(values: &[T], places: &[u32], size: usize) -> Vec<T> {
            let mut taken = Vec::with_capacity(places.len() * size);
            for &place in places {
                taken.extend_from_slice(&values[place as usize * size..][..size]);
            }
            taken
        }
        match self.view() {
            Numbers::Single(values) => {
                Ok(Self::Loaded(LoadedNumbers::Single(copy(values, places, size))))
            }
            Numbers::Double(values) => {
                Ok(Self::Loaded(LoadedNumbers::Double(copy(values, places, size))))
            }
            Numbers::Stored(values) => {
                let mut taken = NumberBuilder::within(memory);
                let most = values.block_length(size) / size.max(1);
                // Places that follow one another are read together.
                let mut left = places;
                while let Some(&first) = left.first() {
                    let follows = (first..).zip(left).take(most).take_while(|(at, it)| at == *it);
                    let count = follows.count();
                    let part = values.part(first as usize * size, count * size).read();
                    Numbers::from(&part).iter().for_each(|value| taken.push(value));
                    left = &left[count..];
                }
                taken.finish()
            }
        }
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
    fn rows_are_parted_in_place() {
        for (rows, width) in [(1, 1), (2, 3), (40, 1), (1000, 3), (777, 20)] {
            let values: Vec<f64> = (0..rows * width).map(|i| i as f64 / 10.0).collect();
            for every in [1, 2, 5, 2000] {
                let held: Vec<bool> = (0..rows).map(|row| row * 7 % every == 0).collect();
                let places = |part: bool| -> Vec<u32> {
                    (0..rows as u32).filter(|row| held[*row as usize] == part).collect()
                };
                let whole = built(&values, None);
                let want = [false, true].map(|it| whole.gather(&places(it), width, None).unwrap());
                let (kept, others) = whole.clone().parted(width, &held).unwrap();
                assert_eq!([kept.view(), others.view()], [want[0].view(), want[1].view()]);
                // A part is a table like any other.
                let columns = others.columns(&[width - 1], width, None).unwrap();
                assert_eq!(
                    columns.view(),
                    want[1].columns(&[width - 1], width, None).unwrap().view()
                );
            }
        }
        let stored = built(&[1.0, 2.0], Some(1));
        assert!(stored.parted(1, &[true, false]).is_err());
    }

    #[test]
    fn few_numbers_stay_in_memory() {
        assert!(matches!(built(&[1.0, 2.0], Some(9)), NumberVec::Loaded(_)));
        assert!(matches!(built(&[1.0, 2.0], Some(8)), NumberVec::Stored(_)));
    }

    #[test]
    fn single_precision_holds_what_it_can_and_no_more() {
        assert!(built(&[1.0, -0.5, 16_777_216.0], None).view().is_single());
        // The first whole number that f32 has not.
        let values = built(&[1.0, -0.5, 16_777_216.0, 16_777_217.0, 0.1], None);
        assert!(!values.view().is_single());
        assert_eq!(values.view().to_vec(), [1.0, -0.5, 16_777_216.0, 16_777_217.0, 0.1]);
        assert_eq!(
            values.gather(&[1, 0], 2, None).unwrap().view().to_vec(),
            [16_777_216.0, 16_777_217.0, 1.0, -0.5]
        );
        for lost in [1e39, 1e-60, f64::MAX] {
            assert_eq!(built(&[lost], None).view().to_vec(), [lost]);
        }
    }
}
