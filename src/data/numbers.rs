//! Numbers as a table has them: in single precision where that holds each of them exactly, else in double.
//!
//! In: numbers one after the other, or slices of the caller's. Out: [`Numbers`], a view that gives each as f64.
//! Absent on purpose: rows and columns, scaling.

use std::ops::Range;

/// A view of numbers in single or double precision; each is read as f64.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// In single precision.
    Single(&'a [f32]),
    /// In double precision.
    Double(&'a [f64]),
}

/// Numbers that grow, kept in single precision for as long as that loses nothing: a table of pixels or counts takes
/// half the memory.
#[derive(Clone, Debug)]
pub(super) enum NumberVec {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl<'a> Numbers<'a> {
    /// Number of numbers.
    pub fn len(self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
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
        }
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
        (first..self.len()).step_by(step.max(1)).map(move |i| self.at(i))
    }

    /// All numbers, copied.
    pub fn to_vec(self) -> Vec<f64> {
        self.iter().collect()
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
        }
    }
}

/// Returns true if single precision holds a number. NaN stands for a gap, and is as good in single precision.
fn is_single(value: f64) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
    let single = value as f32;
    f64::from(single) == value || value.is_nan()
}

impl NumberVec {
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

    /// Moves all numbers to double precision.
    fn widen(&mut self) {
        if let Self::Single(values) = self {
            *self = Self::Double(values.iter().map(|&value| value.into()).collect());
        }
    }

    /// Puts other numbers in the place of a column's, in rows of `width` numbers: those that its numbers are indices of.
    pub(super) fn replace_indices(&mut self, (column, width): (usize, usize), by: &[f64]) {
        if !by.iter().all(|&value| is_single(value)) {
            self.widen();
        }
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "single precision holds them")]
            #[expect(clippy::cast_sign_loss, reason = "indices")]
            Self::Single(values) => {
                values
                    .iter_mut()
                    .skip(column)
                    .step_by(width)
                    .for_each(|it| *it = by[*it as usize] as f32);
            }
            Self::Double(values) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "indices"
                )]
                values.iter_mut().skip(column).step_by(width).for_each(|it| *it = by[*it as usize]);
            }
        }
    }

    /// Puts a number for each row in the place of a column's, in rows of `width` numbers.
    pub(super) fn replace_column(
        &mut self,
        (column, width): (usize, usize),
        by: impl Iterator<Item = f64> + Clone,
    ) {
        if !by.clone().all(is_single) {
            self.widen();
        }
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "single precision holds them")]
            Self::Single(values) => {
                values
                    .iter_mut()
                    .skip(column)
                    .step_by(width)
                    .zip(by)
                    .for_each(|(it, by)| *it = by as f32);
            }
            Self::Double(values) => {
                values.iter_mut().skip(column).step_by(width).zip(by).for_each(|(it, by)| *it = by);
            }
        }
    }

    /// Copies the given columns of rows of `width` numbers, in the given order.
    pub(super) fn columns(&self, picks: &[usize], width: usize) -> Self {
        fn copy<T: Copy>(values: &[T], picks: &[usize], width: usize) -> Vec<T> {
            values.chunks_exact(width).flat_map(|row| picks.iter().map(|&at| row[at])).collect()
        }
        match self {
            Self::Single(values) => Self::Single(copy(values, picks, width)),
            Self::Double(values) => Self::Double(copy(values, picks, width)),
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

    pub(super) fn view(&self) -> Numbers<'_> {
        match self {
            Self::Single(values) => Numbers::Single(values),
            Self::Double(values) => Numbers::Double(values),
        }
    }

    /// Copies the parts of `size` numbers at the given places, in the given order.
    pub(super) fn gather(&self, places: &[u32], size: usize) -> Self {
        fn copy<T: Copy>(values: &[T], places: &[u32], size: usize) -> Vec<T> {
            let mut taken = Vec::with_capacity(places.len() * size);
            for &place in places {
                taken.extend_from_slice(&values[place as usize * size..][..size]);
            }
            taken
        }
        match self {
            Self::Single(values) => Self::Single(copy(values, places, size)),
            Self::Double(values) => Self::Double(copy(values, places, size)),
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
            values.gather(&[1, 0], 2).view().to_vec(),
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
