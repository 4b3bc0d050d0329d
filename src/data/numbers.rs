//! Numbers as a table has them: in single precision where that holds each of them exactly, else in double.
//!
//! In: numbers one after the other, or slices of the caller's. Out: [`Numbers`], a view that gives each as f64.
//! Absent on purpose: rows and columns, scaling; the file of a large table, which `stored_numbers.rs` has.

use std::ops::Range;
use std::sync::Arc;

use super::stored_numbers::{NumberBlock, NumberBuilder, StoredNumbers, StoredSlice};
use crate::error::Result;

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

/// Numbers that grow, kept in single precision for as long as that loses nothing: a table of pixels or counts takes
/// half the memory.
#[derive(Clone, Debug)]
pub(super) enum NumberVec {
    Single(Vec<f32>),
    Double(Vec<f64>),
    /// Complete: nothing is appended any more.
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
            Self::Stored(values) => values.part(i, 1).read().view().at(0),
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

    /// All numbers, copied.
    pub fn to_vec(self) -> Vec<f64> {
        self.iter().collect()
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

/// Numbers that were read from a file: each `step`-th from place `first` on.
#[derive(Clone, Default)]
pub(super) struct ReadNumbers {
    pub(super) first: usize,
    pub(super) step: usize,
    pub(super) values: NumberVec,
}

impl ReadNumbers {
    /// Returns the number at a place that a step leads to, if it was read.
    fn at(&self, place: usize) -> Option<f64> {
        let values = self.values.view();
        let index = place.checked_sub(self.first)?.checked_div(self.step)?;
        (index < values.len()).then(|| values.at(index))
    }
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

impl Default for NumberVec {
    fn default() -> Self {
        Self::Single(Vec::new())
    }
}

impl PartialEq for NumberVec {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl From<Numbers<'_>> for NumberVec {
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

impl NumberVec {
    /// Appends a number. The first one that single precision cannot hold moves all of them to double.
    ///
    /// # Panics
    /// If the numbers are stored in a file.
    pub(super) fn push(&mut self, value: f64) {
        match self {
            Self::Double(values) => values.push(value),
            Self::Single(values) => {
                #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
                let single = value as f32;
                // NaN stands for a gap, and is as good in single precision.
                if f64::from(single) == value || value.is_nan() {
                    values.push(single);
                    return;
                }
                let mut wide = Vec::with_capacity(values.len().max(4) + 1);
                wide.extend(values.iter().map(|&value| f64::from(value)));
                wide.push(value);
                *self = Self::Double(wide);
            }
            Self::Stored(_) => unreachable!("stored numbers are complete"),
        }
    }

    /// Number of bytes that the numbers take.
    pub(super) fn bytes(&self) -> u64 {
        let view = self.view();
        let size = if view.is_single() { size_of::<f32>() } else { size_of::<f64>() };
        (view.len() * size) as u64
    }

    pub(super) fn view(&self) -> Numbers<'_> {
        match self {
            Self::Single(values) => Numbers::Single(values),
            Self::Double(values) => Numbers::Double(values),
            Self::Stored(values) => Numbers::Stored(values.view()),
        }
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
        match self {
            Self::Single(values) => Ok(Self::Single(copy(values, places, size))),
            Self::Double(values) => Ok(Self::Double(copy(values, places, size))),
            Self::Stored(values) => {
                let mut taken = NumberBuilder::within(memory);
                let most = values.view().block_length(size) / size.max(1);
                // Places that follow one another are read together.
                let mut left = places;
                while let Some(&first) = left.first() {
                    let follows = (first..).zip(left).take(most).take_while(|(at, it)| at == *it);
                    let count = follows.count();
                    let part = values.view().part(first as usize * size, count * size).read();
                    part.view().iter().for_each(|value| taken.push(value));
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

    #[test]
    fn single_precision_holds_what_it_can_and_no_more() {
        let mut values = NumberVec::default();
        for value in [1.0, -0.5, 16_777_216.0] {
            values.push(value);
        }
        assert!(matches!(values, NumberVec::Single(_)));
        // The first whole number that f32 has not.
        values.push(16_777_217.0);
        assert!(matches!(values, NumberVec::Double(_)));
        values.push(0.1);
        assert_eq!(values.view().to_vec(), [1.0, -0.5, 16_777_216.0, 16_777_217.0, 0.1]);
        assert_eq!(
            values.gather(&[1, 0], 2, None).unwrap().view().to_vec(),
            [16_777_216.0, 16_777_217.0, 1.0, -0.5]
        );
        for lost in [1e39, 1e-60, f64::MAX] {
            let mut values = NumberVec::default();
            values.push(lost);
            assert_eq!(values.view().to_vec(), [lost]);
        }
    }

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
