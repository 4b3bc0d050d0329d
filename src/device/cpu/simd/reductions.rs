//! The sums of rows and of squares, and the squared error: loops that the compiler vectorises.
//!
//! In: slices. Out: the results of `cpu::kernels`.
//! Absent on purpose: products, updates, functions of one number.

use super::instructions::{SimdLevel, Work};
use super::pool::{Pool, both};
use crate::plan::{BLOCK, StepParams};

/// Number of elements below which a part is not worth a thread: about 10 µs where memory takes the time.
pub(super) const WORTHWHILE: usize = 1 << 14;

/// Number of partial sums of a row: the same in every instruction set, so that all give the same numbers.
pub(super) const SUMS: usize = 16;

/// Returns whether a pass over this many elements is shared among threads.
pub(super) fn shared(elements: usize) -> bool {
    elements >= 2 * WORTHWHILE
}

/// out = sums of x's columns from `first` on, x `[_,n]`
pub(super) struct SumRows<'a> {
    pub(super) x: &'a [f32],
    pub(super) out: &'a mut [f32],
    pub(super) n: usize,
    pub(super) first: usize,
}

impl Work for SumRows<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        self.out.fill(0.0);
        // Row by row, so that the sums of neighbouring columns are one vector.
        for row in self.x.chunks_exact(self.n) {
            let row = &row[self.first..];
            self.out.iter_mut().zip(row).for_each(|(out, x)| *out += x);
        }
    }
}

/// Some rows of the squared error and its gradient.
pub(super) struct MsePart<'a> {
    prediction: &'a [f32],
    target: &'a [f32],
    row_loss: &'a mut [f32],
    d: &'a mut [f32],
    n: usize,
    /// Number of valid rows.
    rows: usize,
    /// 2 / (rows · n) of the whole batch.
    scale: f32,
}

impl<'a> MsePart<'a> {
    pub(super) fn new(
        prediction: &'a [f32],
        target: &'a [f32],
        (row_loss, d): (&'a mut [f32], &'a mut [f32]),
        n: usize,
        step: &StepParams,
    ) -> Self {
        let rows = step.rows as usize;
        let scale = (2.0 / (f64::from(step.rows) * n as f64)) as f32;
        Self { prediction, target, row_loss, d, n, rows, scale }
    }

    pub(super) fn divide(self, instructions: SimdLevel, pool: &Pool) {
        let Self { prediction, target, row_loss, d, n, rows, scale } = self;
        let half = row_loss.len() / 2;
        if pool.threads() == 1 || !shared(d.len()) || half == 0 {
            instructions.run(Self { prediction, target, row_loss, d, n, rows, scale });
            return;
        }
        let (prediction, target) = (prediction.split_at(half * n), target.split_at(half * n));
        let (row_loss, d) = (row_loss.split_at_mut(half), d.split_at_mut(half * n));
        let one = Self {
            prediction: prediction.0,
            target: target.0,
            row_loss: row_loss.0,
            d: d.0,
            n,
            // The first half may hold all valid rows.
            rows: rows.min(half),
            scale,
        };
        let other = Self {
            prediction: prediction.1,
            target: target.1,
            row_loss: row_loss.1,
            d: d.1,
            n,
            rows: rows.saturating_sub(half),
            scale,
        };
        both(true, || one.divide(instructions, pool), || other.divide(instructions, pool));
    }
}

impl Work for MsePart<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { prediction, target, row_loss, d, n, rows, scale } = self;
        let counted = rows * n;
        // The error is stored first, so that the row's loss is summed from adjacent numbers.
        for ((d, prediction), target) in d[..counted].iter_mut().zip(prediction).zip(target) {
            *d = prediction - target;
        }
        d[counted..].fill(0.0);
        row_loss[rows..].fill(0.0);
        for (loss, d) in row_loss[..rows].iter_mut().zip(d.chunks_exact(n)) {
            *loss = squares(d) / n as f32;
        }
        // Scaled last, since the loss is the sum of the unscaled squares.
        d[..counted].iter_mut().for_each(|d| *d *= scale);
    }
}

/// Returns Σ x², in partial sums that are then added.
#[inline(always)]
fn squares(x: &[f32]) -> f32 {
    let (whole, rest) = x.as_chunks::<SUMS>();
    let mut sums = [0.0_f32; SUMS];
    for x in whole {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x * x;
        }
    }
    let rest: f32 = rest.iter().fold(0.0, |sum, x| sum + x * x);
    sums.iter().fold(rest, |sum, x| sum + x)
}

/// sums\[i\] = Σ x² over the block i of an arena: see `cpu::update::square_sums`.
pub(super) struct SquareSums<'a> {
    pub(super) x: &'a [f32],
    pub(super) gathered: Option<&'a [f32]>,
    /// Factor of x.
    pub(super) scale: f32,
    pub(super) sums: &'a mut [f32],
}

impl Work for SquareSums<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { x, gathered, scale, sums } = self;
        // The length of an arena is a multiple of a block.
        let (blocks, _) = x.as_chunks::<BLOCK>();
        let mut block_of = [0.0; BLOCK];
        for (index, (sum, x)) in sums.iter_mut().zip(blocks).enumerate() {
            match gathered.and_then(|it| it[index * BLOCK..].first_chunk::<BLOCK>()) {
                Some(gathered) => {
                    for lane in 0..BLOCK {
                        block_of[lane] = gathered[lane] + scale * x[lane];
                    }
                }
                None => {
                    for lane in 0..BLOCK {
                        block_of[lane] = scale * x[lane];
                    }
                }
            }
            *sum = squares(&block_of);
        }
    }
}
