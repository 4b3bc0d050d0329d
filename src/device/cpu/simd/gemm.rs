//! Products of matrices: divided into parts that threads share, each part into tiles that fit the registers.
//!
//! In: a task: two operands, each stored by rows or by columns. Out: their product, with its epilogue.
//! Absent on purpose: the tile's arithmetic, which is in `microkernel`.
//!
//! Each element of a result is summed in one fixed order, whatever the tile, the part and the thread.

use ndarray::Axis;

use super::instructions::SimdLevel;
use super::microkernel::{BLOCKS, ROWS, Tiles};
use super::pool::{Pool, both};
use super::task::GemmTask;

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
