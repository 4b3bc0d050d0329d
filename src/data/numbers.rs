//! Numbers as a table has them: in single precision where that holds each of them exactly, else in double.
//!
//! In: numbers one after the other, or slices of the caller's. Out: [`Numbers`], a view that gives each as f64.
//! Absent on purpose: rows and columns, scaling; the file of a large table, which `stored_numbers.rs` has.

use std::ops::Range;
use std::sync::Arc;

use super::stored_numbers::{LoadedNumbers, ReadBuffer, ReadNumbers, StoredNumbers, StoredSlice};

/// A view of numbers in single or double precision; each is read as f64.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// In single precision.
    Single(&'a [f32]),
    /// In double precision.
    Double(&'a [f64]),
    /// In a temporary file, from which they are read when they are needed; [`Self::blocks`] reads many at once.
    Stored(StoredSlice<'a>),
}

/// All numbers of a table, in memory or in a file.
#[derive(Clone, Debug)]
pub(super) enum NumberVec {
    Loaded(LoadedNumbers),
    /// A range of numbers in memory that several data sets share.
    Shared(Arc<LoadedNumbers>, Range<usize>),
    Stored(Arc<StoredNumbers>),
}

impl<'a> Numbers<'a> {
    /// Number of numbers.
    pub fn len(self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Stored(values) => values.len(),
        }
    }

    /// Returns true if there is no number.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number at place `i`.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn at(self, i: usize) -> f64 {
        match self {
            Self::Single(values) => values[i].into(),
            Self::Double(values) => values[i],
            Self::Stored(values) => values.part(i, 1).read().get(0).expect("one number was read"),
        }
    }

    /// Numbers of a range of places.
    ///
    /// # Panics
    ///
    /// When the range goes beyond the end.
    pub fn range(self, range: Range<usize>) -> Self {
        match self {
            Self::Single(values) => Self::Single(&values[range]),
            Self::Double(values) => Self::Double(&values[range]),
            Self::Stored(values) => Self::Stored(values.part(range.start, range.len())),
        }
    }

    /// Returns the same numbers in memory: those of a file are read into `buffer`, whose memory is used again.
    pub(crate) fn in_memory(self, buffer: &'a mut ReadBuffer) -> Self {
        match self {
            Self::Stored(values) => values.read_into(buffer),
            Self::Single(_) | Self::Double(_) => self,
        }
    }

    /// Returns true if the numbers are in single precision.
    pub fn is_single(self) -> bool {
        match self {
            Self::Single(_) => true,
            Self::Double(_) => false,
            Self::Stored(values) => values.is_single(),
        }
    }

    /// Returns the numbers in memory, in order: all in one block if they are in memory already, else as many at once as are read
    /// well, whole groups of `unit` numbers (0 counts as 1).
    pub fn blocks(self, unit: usize) -> impl Iterator<Item = NumberBlock<'a>> + use<'a> {
        let size = match self {
            Self::Stored(values) => values.block_length(unit),
            Self::Single(_) | Self::Double(_) => self.len(),
        };
        self.chunks(size).map(NumberBlock::of)
    }

    /// Parts of `size` numbers each, the last of which may be shorter. A size of 0 counts as 1.
    pub fn chunks(self, size: usize) -> impl Iterator<Item = Self> + Clone + use<'a> {
        let size = size.max(1);
        (0..self.len()).step_by(size).map(move |at| self.range(at..self.len().min(at + size)))
    }

    /// Every number, in order.
    pub fn iter(self) -> impl Iterator<Item = f64> + Clone + use<'a> {
        self.every(0, 1)
    }

    /// Numbers from place `first` on, every `step`-th of them: a column of rows of `step` numbers.
    pub fn every(self, first: usize, step: usize) -> impl Iterator<Item = f64> + Clone + use<'a> {
        NumberIter { numbers: self, next: first, step: step.max(1), read: ReadNumbers::default() }
    }

    /// Returns true if one of the numbers is NaN, which marks a gap.
    pub(super) fn has_nan(self) -> bool {
        self.blocks(1).any(|block| match block.view() {
            Numbers::Single(values) => values.iter().any(|value| value.is_nan()),
            Numbers::Double(values) => values.iter().any(|value| value.is_nan()),
            Numbers::Stored(_) => false,
        })
    }

    /// All numbers, copied.
    pub fn to_vec(self) -> Vec<f64> {
        self.iter().collect()
    }
}

/// Some numbers of a table, in memory.
#[derive(Clone, Debug)]
pub struct NumberBlock<'a> {
    numbers: Numbers<'a>,
    /// The same numbers, if they had to be read from a file.
    read: Option<LoadedNumbers>,
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
        self.read.as_ref().map_or(self.numbers, Numbers::from)
    }
}

/// An iterator over numbers, which keeps a block of those that are stored.
#[derive(Clone)]
struct NumberIter<'a> {
    numbers: Numbers<'a>,
    next: usize,
    step: usize,
    /// Some of the numbers, if they are stored.
    read: ReadNumbers,
}

impl Iterator for NumberIter<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let at = self.next;
        if at >= self.numbers.len() {
            return None;
        }
        self.next = at.saturating_add(self.step);
        let Numbers::Stored(stored) = self.numbers else { return Some(self.numbers.at(at)) };
        if let Some(value) = self.read.at(at) {
            return Some(value);
        }
        self.read = stored.read_from(at, self.step);
        self.read.at(at)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.numbers.len().saturating_sub(self.next).div_ceil(self.step);
        (left, Some(left))
    }
}

/// Numbers are equal if they have the same values, whatever the precision that they are kept in.
impl PartialEq for Numbers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a> From<&'a [f32]> for Numbers<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::Single(values)
    }
}

impl<'a> From<&'a [f64]> for Numbers<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::Double(values)
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Numbers<'a>
where
    &'a [T]: Into<Numbers<'a>>,
{
    fn from(values: &'a [T; N]) -> Self {
        values.as_slice().into()
    }
}

impl<'a, T> From<&'a Vec<T>> for Numbers<'a>
where
    &'a [T]: Into<Numbers<'a>>,
{
    fn from(values: &'a Vec<T>) -> Self {
        values.as_slice().into()
    }
}

impl<'a> From<&'a LoadedNumbers> for Numbers<'a> {
    fn from(numbers: &'a LoadedNumbers) -> Self {
        match numbers {
            LoadedNumbers::Single(values) => Self::Single(values),
            LoadedNumbers::Double(values) => Self::Double(values),
        }
    }
}

impl Default for NumberVec {
    fn default() -> Self {
        Self::Loaded(LoadedNumbers::default())
    }
}

impl PartialEq for NumberVec {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl From<Numbers<'_>> for LoadedNumbers {
    fn from(values: Numbers<'_>) -> Self {
        match values {
            Numbers::Single(values) => Self::Single(values.to_vec()),
            Numbers::Double(values) => {
                let mut copy = Self::Single(Vec::with_capacity(values.len()));
                values.iter().for_each(|&value| copy.push(value));
                copy
            }
            Numbers::Stored(values) => values.read(),
        }
    }
}

impl From<Numbers<'_>> for NumberVec {
    fn from(values: Numbers<'_>) -> Self {
        Self::Loaded(values.into())
    }
}

impl NumberVec {
    /// Number of bytes that the numbers take, in memory or in a file.
    pub(super) fn bytes(&self) -> u64 {
        let view = self.view();
        let size = if view.is_single() { size_of::<f32>() } else { size_of::<f64>() };
        (view.len() * size) as u64
    }

    pub(super) fn view(&self) -> Numbers<'_> {
        match self {
            Self::Loaded(numbers) => numbers.into(),
            Self::Shared(numbers, range) => Numbers::from(&**numbers).range(range.clone()),
            Self::Stored(values) => Numbers::Stored(values.view()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_both_precisions_read_alike() {
        let (single, double) = ([1.0_f32, 2.5, 3.0], [1.0_f64, 2.5, 3.0]);
        let (a, b): (Numbers<'_>, Numbers<'_>) = ((&single).into(), (&double).into());
        assert_eq!(a, b);
        assert_ne!(a, b.range(0..2));
        for view in [a, b] {
            assert_eq!(view.every(1, 2).collect::<Vec<_>>(), [2.5]);
            assert_eq!(view.chunks(2).map(Numbers::len).collect::<Vec<_>>(), [2, 1]);
        }
    }
}
