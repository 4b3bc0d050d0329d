//! Products of matrices: divided into parts that threads share, each part into tiles that fit the registers.
//!
//! In: a task: two operands, each stored by rows or by columns. Out: their product, with its epilogue.
//! Absent on purpose: the tile's arithmetic, which is in `microkernel`.
//!
//! Each element of a result is summed in one fixed order, whatever the tile, the part and the thread.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use super::instructions::SimdLevel;
use super::microkernel::{BLOCKS, ROWS, Tiles};
use super::pool::{Pool, both};
use super::task::{Epilogue, GemmTask};

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

/// Columns of a symmetric result from which on only one of its two halves is computed.
const SYMMETRIC: usize = 192;
/// Rows and columns that are mirrored at once: their lines stay in a core's cache.
const MIRRORED: usize = 16;

/// Computes a product that is known to be symmetric, such as a matrix by its own transpose: the blocks below the diagonal are copied
/// to above it. Element (i, j) sums the same products in the same order as (j, i), so the bits are those of [`multiply`].
pub(super) fn multiply_symmetric(instructions: SimdLevel, pool: &Pool, part: GemmTask<'_>) {
    let size = part.out.dim().0;
    debug_assert_eq!(part.out.dim(), (size, size), "a symmetric matrix is square");
    if size < SYMMETRIC {
        return multiply(instructions, pool, part);
    }
    // Cut at a whole tile in both directions, so that no tile is a partial one for the cut.
    let tile = instructions.lanes() * ROWS / 2;
    let half = (size / 2).next_multiple_of(tile);
    let (upper, lower) = part.split(Axis(0), half);
    let (first, mut mirrored) = upper.split(Axis(1), half);
    let (below, last) = lower.split(Axis(1), half);
    multiply_symmetric(instructions, pool, first);
    multiply_symmetric(instructions, pool, last);
    let GemmTask { left, right, k, at, mut out, .. } = below;
    let below = GemmTask { left, right, k, at, out: out.view_mut(), finish: Epilogue::Store };
    multiply(instructions, pool, below);
    mirror(&out.view(), &mut mirrored.out);
}

/// Writes the transposed matrix.
fn mirror(from: &ArrayView2<'_, f32>, to: &mut ArrayViewMut2<'_, f32>) {
    let (rows, columns) = from.dim();
    for row in (0..rows).step_by(MIRRORED) {
        for column in (0..columns).step_by(MIRRORED) {
            for i in row..rows.min(row + MIRRORED) {
                for j in column..columns.min(column + MIRRORED) {
                    to[[j, i]] = from[[i, j]];
                }
            }
        }
    }
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
            pool.with_scratch(|scratch| {
                instructions.run(Tiles { part: self, level: instructions, scratch });
            });
            return;
        }
        // Columns first, so that each column of the right operand is packed once. Rows first if the left operand is packed
        // too, which takes longer, and if sums are so short that storing takes longest: threads then do not write to
        // neighbouring lines of memory.
        let rows_first = fits && blocks > 1 && (self.packs_left() || self.k <= SHORT);
        // Cuts lie at whole panels and blocks, so that only the last tile of the result is a partial one.
        let (one, other) = if panels > 1 && !rows_first {
            self.split(Axis(1), panels / 2 * lanes)
        } else {
            self.split(Axis(0), blocks / 2 * ROWS)
        };
        let half = |part: GemmTask<'a>| move || part.divide(instructions, pool, least);
        both(least != usize::MAX, half(one), half(other));
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::MatmulOperand;
    use super::*;

    #[test]
    fn half_of_a_symmetric_product_gives_the_bits_of_all_of_it() {
        let mut pool = Pool::new();
        for (size, k) in [(7, 5), (191, 3), (192, 40), (301, 300), (500, 17)] {
            let values: Vec<f32> =
                (0..size * k).map(|it| ((it * 7919 % 1013) as f32 - 506.0) / 100.0).collect();
            let rows = MatmulOperand::Rows { values: &values, stride: k };
            let columns = MatmulOperand::Columns { values: &values, stride: k };
            // The matrix by its transpose, and the transpose of a matrix of as many numbers by that matrix.
            let by_columns = MatmulOperand::Columns { values: &values, stride: size };
            let by_rows = MatmulOperand::Rows { values: &values, stride: size };
            for (left, right) in [(rows, columns), (by_columns, by_rows)] {
                let level = SimdLevel::widest().for_columns(size);
                let mut results = [vec![0.0_f32; size * size], vec![f32::NAN; size * size]];
                for (index, out) in results.iter_mut().enumerate() {
                    let out = ArrayViewMut2::from_shape((size, size), out).unwrap();
                    let finish = Epilogue::Store;
                    let part = GemmTask { left, right, k, at: (0, 0), out, finish };
                    pool.reserve(scratch(size, k, level.lanes()));
                    if index == 0 {
                        multiply(level, &pool, part);
                    } else {
                        multiply_symmetric(level, &pool, part);
                    }
                }
                assert_eq!(results[0], results[1], "{size} x {k}");
            }
        }
    }
}
