//! Features and targets as callers have them: slices, vectors, arrays of ndarray.
//!
//! In: numbers of the caller's, in single or double precision. Out: [`Features`] in row-major order, and [`Targets`].
//! Absent on purpose: checks, which [`Dataset`](super::Dataset) makes.

use std::borrow::Cow;

use ndarray::{ArrayBase, ArrayView, ArrayView1, ArrayView2, Data, Dimension, Ix2};

use super::numbers::Numbers;
use super::targets::Targets;

/// Rows of features in row-major order, borrowed where they lie so already, and copied where not.
///
/// Whatever takes features takes slices and vectors of `f32` or `f64`, and two-dimensional arrays of ndarray, owned or views.
///
/// ```
/// use ndarray::array;
/// use wgrad::data::Features;
///
/// let x = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
/// assert_eq!(Features::from(&x).columns(), Some(2));
/// // Columns of a larger array do not lie in row-major order, and are copied.
/// assert_eq!(Features::from(x.t()).numbers().to_vec(), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Features<'a> {
    values: FeatureValues<'a>,
    columns: Option<usize>,
}

#[derive(Clone, Debug)]
enum FeatureValues<'a> {
    Single(Cow<'a, [f32]>),
    Double(Cow<'a, [f64]>),
}

impl Features<'_> {
    /// All values, row after row.
    pub fn numbers(&self) -> Numbers<'_> {
        match &self.values {
            FeatureValues::Single(values) => Numbers::Single(values),
            FeatureValues::Double(values) => Numbers::Double(values),
        }
    }

    /// Number of columns; `None` for a plain slice, which does not tell.
    pub fn columns(&self) -> Option<usize> {
        self.columns
    }
}

impl<'a> From<Numbers<'a>> for Features<'a> {
    fn from(values: Numbers<'a>) -> Self {
        let values = match values {
            Numbers::Single(values) => FeatureValues::Single(values.into()),
            Numbers::Double(values) => FeatureValues::Double(values.into()),
            Numbers::Stored(_) => FeatureValues::Double(values.to_vec().into()),
        };
        Self { values, columns: None }
    }
}

impl<'a, T> From<&'a [T]> for Features<'a>
where
    &'a [T]: Into<Numbers<'a>>,
{
    fn from(values: &'a [T]) -> Self {
        let numbers: Numbers<'a> = values.into();
        numbers.into()
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Features<'a>
where
    &'a [T]: Into<Numbers<'a>>,
{
    fn from(values: &'a [T; N]) -> Self {
        let numbers: Numbers<'a> = values.as_slice().into();
        numbers.into()
    }
}

impl<'a, T> From<&'a Vec<T>> for Features<'a>
where
    &'a [T]: Into<Numbers<'a>>,
{
    fn from(values: &'a Vec<T>) -> Self {
        let numbers: Numbers<'a> = values.as_slice().into();
        numbers.into()
    }
}

/// Elements of an array in row-major order.
fn in_order<'a, T: Clone>(array: &ArrayView2<'a, T>) -> Cow<'a, [T]> {
    match array.to_slice() {
        Some(values) => values.into(),
        None => array.iter().cloned().collect::<Vec<_>>().into(),
    }
}

impl<'a> From<ArrayView2<'a, f32>> for Features<'a> {
    fn from(array: ArrayView2<'a, f32>) -> Self {
        Self { values: FeatureValues::Single(in_order(&array)), columns: Some(array.ncols()) }
    }
}

impl<'a> From<ArrayView2<'a, f64>> for Features<'a> {
    fn from(array: ArrayView2<'a, f64>) -> Self {
        Self { values: FeatureValues::Double(in_order(&array)), columns: Some(array.ncols()) }
    }
}

impl<'a, T, S> From<&'a ArrayBase<S, Ix2>> for Features<'a>
where
    S: Data<Elem = T>,
    ArrayView2<'a, T>: Into<Features<'a>>,
{
    fn from(array: &'a ArrayBase<S, Ix2>) -> Self {
        array.view().into()
    }
}

/// Classes from indices of type `usize`; an index beyond 32 bits becomes `u32::MAX`, which no table may have.
fn classes(values: impl Iterator<Item = usize>) -> Targets {
    Targets::Classes(values.map(|class| u32::try_from(class).unwrap_or(u32::MAX)).collect())
}

macro_rules! targets {
    ($($number:ty),*) => {$(
        impl From<Vec<$number>> for Targets {
            fn from(values: Vec<$number>) -> Self {
                Self::numbers(values)
            }
        }

        impl From<&[$number]> for Targets {
            fn from(values: &[$number]) -> Self {
                Self::numbers(values.iter().copied())
            }
        }

        impl From<ArrayView1<'_, $number>> for Targets {
            fn from(values: ArrayView1<'_, $number>) -> Self {
                Self::numbers(values.iter().copied())
            }
        }

        impl From<ArrayView2<'_, $number>> for Targets {
            fn from(values: ArrayView2<'_, $number>) -> Self {
                Self::Columns(values.iter().map(|&value| value.into()).collect(), values.ncols())
            }
        }
    )*};
}
targets!(f32, f64);

impl From<Vec<u32>> for Targets {
    fn from(values: Vec<u32>) -> Self {
        Self::Classes(values)
    }
}

impl From<&[u32]> for Targets {
    fn from(values: &[u32]) -> Self {
        Self::Classes(values.to_vec())
    }
}

impl From<ArrayView1<'_, u32>> for Targets {
    fn from(values: ArrayView1<'_, u32>) -> Self {
        Self::Classes(values.to_vec())
    }
}

impl From<Vec<usize>> for Targets {
    fn from(values: Vec<usize>) -> Self {
        classes(values.into_iter())
    }
}

impl From<&[usize]> for Targets {
    fn from(values: &[usize]) -> Self {
        classes(values.iter().copied())
    }
}

impl From<ArrayView1<'_, usize>> for Targets {
    fn from(values: ArrayView1<'_, usize>) -> Self {
        classes(values.iter().copied())
    }
}

impl<'a, T, S, D> From<&'a ArrayBase<S, D>> for Targets
where
    S: Data<Elem = T>,
    D: Dimension,
    ArrayView<'a, T, D>: Into<Targets>,
{
    fn from(values: &'a ArrayBase<S, D>) -> Self {
        values.view().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array, s};

    #[test]
    fn arrays_come_in_row_major_order_without_a_copy_where_they_lie_so() {
        let x: Array2<f32> = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let whole = Features::from(x.view());
        assert!(matches!(&whole.values, FeatureValues::Single(Cow::Borrowed(_))));
        assert_eq!((whole.numbers().to_vec().len(), whole.columns()), (6, Some(3)));
        let some = Features::from(x.slice(s![.., 1..]));
        assert!(matches!(&some.values, FeatureValues::Single(Cow::Owned(_))));
        assert_eq!((some.numbers().to_vec(), some.columns()), (vec![2.0, 3.0, 5.0, 6.0], Some(2)));
        assert_eq!(Features::from(&[1.0_f64, 2.0]).columns(), None);
    }

    #[test]
    fn targets_come_from_vectors_and_arrays() {
        assert_eq!(Targets::from(vec![0_usize, 2]), Targets::Classes(vec![0, 2]));
        assert_eq!(Targets::from(&array![1_u32, 0]), Targets::Classes(vec![1, 0]));
        assert_eq!(Targets::from(&array![0.5_f32]), Targets::Numbers(vec![0.5]));
        let two = Targets::from(&array![[1.0, 2.0], [3.0, 4.0]].reversed_axes());
        assert_eq!(two, Targets::Columns(vec![1.0, 3.0, 2.0, 4.0], 2));
    }
}
