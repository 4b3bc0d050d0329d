//! The targets of rows.
//!
//! In: classes or numbers. Out: [`Targets`].
//! Absent on purpose: texts, which `target.rs` reads; names, which the schema has.

use super::number_builder::part_rows;

/// The targets of each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Indices into the labels of [`TargetKind::Classes`](super::TargetKind::Classes).
    Classes(Vec<u32>),
    /// Values of [`TargetKind::Number`](super::TargetKind::Number).
    Numbers(Vec<f64>),
    /// Values `[rows, columns]` of [`TargetKind::Numbers`](super::TargetKind::Numbers) or [`TargetKind::Labels`](super::TargetKind::Labels), and the number of columns.
    Columns(Vec<f64>, usize),
}

impl Targets {
    /// A number for each row, in single or double precision.
    pub fn numbers(values: impl IntoIterator<Item = impl Into<f64>>) -> Self {
        Self::Numbers(values.into_iter().map(Into::into).collect())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(y) => y.len(),
            Self::Numbers(y) => y.len(),
            Self::Columns(y, columns) => y.len() / (*columns).max(1),
        }
    }

    /// Values `[rows, columns]` and the number of columns; `None` for classes.
    pub fn columns(&self) -> Option<(&[f64], usize)> {
        match self {
            Self::Classes(_) => None,
            Self::Numbers(y) => Some((y, 1)),
            Self::Columns(y, columns) => Some((y, *columns)),
        }
    }

    /// Returns whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the targets of the rows that are not `held`, and of those that are, each in their order.
    pub(super) fn parted(self, held: &[bool]) -> (Self, Self) {
        fn parted<T: Copy + Send>(mut y: Vec<T>, width: usize, held: &[bool]) -> [Vec<T>; 2] {
            let kept = part_rows(&mut y, width, held);
            let others = y.split_off(kept * width);
            y.shrink_to_fit();
            [y, others]
        }
        match self {
            Self::Classes(y) => parted(y, 1, held).map(Self::Classes),
            Self::Numbers(y) => parted(y, 1, held).map(Self::Numbers),
            Self::Columns(y, columns) => {
                parted(y, columns, held).map(|y| Self::Columns(y, columns))
            }
        }
        .into()
    }

    /// Returns the targets of some rows, in their order.
    pub(crate) fn subset(&self, rows: &[u32]) -> Self {
        match self {
            Self::Classes(y) => Self::Classes(rows.iter().map(|&i| y[i as usize]).collect()),
            Self::Numbers(y) => Self::Numbers(rows.iter().map(|&i| y[i as usize]).collect()),
            Self::Columns(y, columns) => {
                let row = |&i: &u32| &y[i as usize * columns..][..*columns];
                Self::Columns(rows.iter().flat_map(row).copied().collect(), *columns)
            }
        }
    }
}
