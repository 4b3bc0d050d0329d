//! Products of matrices: divided into parts that threads share, each part into tiles that fit the registers.
//!
//! In: two operands, each stored by rows or by columns. Out: their product, with its epilogue.
//! Absent on purpose: the tile's arithmetic, which is in `microkernel`.
//!
//! Each element of a result is summed in one fixed order, whatever the tile, the part and the thread.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use super::instructions::SimdLevel;
use super::microkernel::{BLOCKS, ROWS, Tiles};
use super::pool::{Pool, both};
use crate::model::Activation;

/// An operand, and how it is stored: `stride` is the distance of its rows, or of its columns.
#[derive(Clone, Copy)]
pub(super) enum MatmulOperand<'a> {
    /// Element (i, j) at i · stride + j.
    Rows { values: &'a [f32], stride: usize },
    /// Element (i, j) at j · stride + i.
    Columns { values: &'a [f32], stride: usize },
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

/// Floats of the right operand that a part packs: half a mebibyte, which stays in a core's own cache.
const PACKED: usize = 1 << 17;
/// Number of multiplications below which a part is not worth a thread: about 5 µs.
const WORTHWHILE: usize = 1 << 18;

/// Number of terms up to which a sum takes less time than storing it.
const SHORT: usize = 32;
/// Parts for each thread, so that the others can take over from a thread that is held up.
const PARTS_PER_THREAD: usize = 2;

/// Returns the floats of scratch that one part of a product needs.
pub(super) fn scratch(columns: usize, k: usize, lanes: usize) -> usize {
    let panels = (PACKED / (k * lanes).max(1)).clamp(1, columns.div_ceil(lanes).max(1));
    (panels * lanes + BLOCKS * ROWS) * k
}

/// Returns whether a product of this many multiplications is shared among threads.
pub(super) fn shared(multiplications: usize) -> bool {
    multiplications >= 2 * WORTHWHILE
}

/// Computes a product, on all threads of the pool if it is large enough.
pub(super) fn multiply(instructions: SimdLevel, pool: &Pool, part: GemmTask<'_>) {
    let work = part.out.len() * part.k;
    // Without sharing, parts are cut only to fit the scratch.
    let least = if shared(work) && pool.threads() > 1 {
        (work / (PARTS_PER_THREAD * pool.threads())).max(WORTHWHILE)
    } else {
        usize::MAX
    };
    part.divide(instructions, pool, least);
}

impl<'a> GemmTask<'a> {
    /// Halves the part until its right operand fits the scratch and its work is at most about `least`.
    fn divide(self, instructions: SimdLevel, pool: &Pool, least: usize) {
        let lanes = instructions.lanes();
        let (rows, columns) = self.out.dim();
        let (panels, blocks) = (columns.div_ceil(lanes), rows.div_ceil(ROWS));
        let fits = panels <= 1 || panels * lanes * self.k <= PACKED;
        // Two thirds, so that the halves of a part just above `least` are not too small.
        let small = self.out.len() * self.k / 3 * 2 <= least;
        // A single panel and block cannot be cut further without splitting a tile.
        if (fits && small) || (panels <= 1 && blocks <= 1) {
            pool.with_scratch(|scratch| instructions.run(Tiles { part: self, scratch }));
            return;
        }
        // Columns first, so that each column of the right operand is packed once. Rows first if the left operand is packed
        // too, which takes longer, and if sums are so short that storing takes longest: threads then do not write to
        // neighbouring lines of memory.
        let packs_left = matches!(self.left, MatmulOperand::Columns { .. });
        let rows_first = fits && blocks > 1 && (packs_left || self.k <= SHORT);
        // Cuts lie at whole panels and blocks, so that only the last tile of the result is a partial one.
        let (one, other) = if panels > 1 && !rows_first {
            self.split(Axis(1), panels / 2 * lanes)
        } else {
            self.split(Axis(0), blocks / 2 * ROWS)
        };
        let half = |part: GemmTask<'a>| move || part.divide(instructions, pool, least);
        both(least != usize::MAX, half(one), half(other));
    }

    /// Cuts the part in two along an axis.
    fn split(self, axis: Axis, index: usize) -> (Self, Self) {
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
