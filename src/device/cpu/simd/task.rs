//! A product to be computed, or a part of one, and how it is cut in two.
//!
//! Absent on purpose: arithmetic, and which parts are worth a thread.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use crate::model::Activation;

/// An operand, and how it is stored: `stride` is the distance of its rows, or of its columns.
#[derive(Clone, Copy)]
pub(super) enum MatmulOperand<'a> {
    /// Element (i, j) at i · stride + j.
    Rows { values: &'a [f32], stride: usize },
    /// Element (i, j) at j · stride + i.
    Columns { values: &'a [f32], stride: usize },
    /// A right operand that was packed before, by [`super::microkernel::Packing`] for the same instructions.
    Panels { values: &'a [f32] },
}

/// Operations on a sum before it is stored.
pub(super) enum Epilogue<'a> {
    /// Nothing.
    Store,
    /// act(sum + bias); `saved` gets act's argument. `bias` runs along the result's columns, or along its rows.
    Activate {
        bias: Option<&'a [f32]>,
        along_rows: bool,
        act: Activation,
        saved: Option<ArrayViewMut2<'a, f32>>,
    },
    /// sum · act'(saved)
    Gradient { act: Activation, saved: ArrayView2<'a, f32> },
}

/// A part of a product: the rows and columns of the result from `at` on.
pub(super) struct GemmTask<'a> {
    pub(super) left: MatmulOperand<'a>,
    pub(super) right: MatmulOperand<'a>,
    /// Number of terms of each sum.
    pub(super) k: usize,
    pub(super) at: (usize, usize),
    pub(super) out: ArrayViewMut2<'a, f32>,
    pub(super) finish: Epilogue<'a>,
}

impl GemmTask<'_> {
    /// Cuts the part in two along an axis.
    pub(super) fn split(self, axis: Axis, index: usize) -> (Self, Self) {
        let Self { left, right, k, at, out, finish } = self;
        let (out_one, out_other) = out.split_at(axis, index);
        let (finish_one, finish_other) = finish.split(axis, index);
        let at_other = if axis == Axis(0) { (at.0 + index, at.1) } else { (at.0, at.1 + index) };
        (
            Self { left, right, k, at, out: out_one, finish: finish_one },
            Self { left, right, k, at: at_other, out: out_other, finish: finish_other },
        )
    }
}

impl Epilogue<'_> {
    fn split(self, axis: Axis, index: usize) -> (Self, Self) {
        match self {
            Self::Store => (Self::Store, Self::Store),
            // The bias is shared whole: each part finds its place in it by `at`.
            Self::Activate { bias, along_rows, act, saved } => {
                let (one, other) = saved.map(|saved| saved.split_at(axis, index)).unzip();
                (
                    Self::Activate { bias, along_rows, act, saved: one },
                    Self::Activate { bias, along_rows, act, saved: other },
                )
            }
            Self::Gradient { act, saved } => {
                let (one, other) = saved.split_at(axis, index);
                (Self::Gradient { act, saved: one }, Self::Gradient { act, saved: other })
            }
        }
    }
}
