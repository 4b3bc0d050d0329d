//! The kernels around the update by expressions, in any precision: `update`, `square_sums`, `clip_norm`, `trust_ratios`.
//!
//! In: arenas, the table of factors, a pass's expressions. Out: changed arenas.

use super::{CompiledUpdate, Real};
use crate::expr::{Functions, LANES, Program, StepValue};
use crate::graph::UpdateInput;
use crate::plan::{BLOCK, FACTORS, LossScaler, StepParams, Update};

// A block of an arena has one row of factors, so the programs' blocks must not be longer.
const _: () = assert!(BLOCK == LANES);

pub use crate::graph::MOST_STATES;

/// Arenas of an update, or parts of them that begin at the block `first`; absent arenas are empty.
#[derive(Debug)]
pub struct UpdateArgs<'a, T> {
    /// Variant of the kernel.
    pub update: Update,
    /// Computation.
    pub program: &'a Program,
    /// The same program, prepared for wide vectors.
    pub compiled: &'a CompiledUpdate,
    /// Step parameters.
    pub step: StepParams,
    /// The slot of the loss scale.
    pub scaling: &'a [T],
    /// The table of factors, whole.
    pub table: &'a [T],
    /// Index of the first block.
    pub first: usize,
    /// Gradients.
    pub gradient: &'a [T],
    /// Weights.
    pub weight: &'a mut [T],
    /// States.
    pub states: [&'a mut [T]; MOST_STATES],
    /// Accumulated gradients.
    pub gathered: &'a mut [T],
    /// Averaged weights.
    pub average: &'a mut [T],
    /// The weights' copy in half precision.
    pub half: &'a mut [T],
}

/// Copies some elements of an arena that may be absent.
fn part<T: Copy>(values: &[T], at: usize, to: &mut [T]) {
    if let Some(values) = values.get(at..at + to.len()) {
        to.copy_from_slice(values);
    }
}

impl<'a, T: Real> UpdateArgs<'a, T> {
    /// Returns two halves, cut between blocks.
    pub fn halves(self) -> (Self, Self) {
        let half = self.weight.len() / BLOCK / 2 * BLOCK;
        // An absent arena is empty, and so are both of its halves.
        let cut = |values: &'a mut [T]| {
            let at = half.min(values.len());
            values.split_at_mut(at)
        };
        let Self { update, program, compiled, step, scaling, table, first, .. } = self;
        let gradient = self.gradient.split_at(half.min(self.gradient.len()));
        let weight = cut(self.weight);
        let [a, b, c] = self.states.map(cut);
        let (gathered, average, copy) = (cut(self.gathered), cut(self.average), cut(self.half));
        let one = Self {
            update,
            program,
            compiled,
            step,
            scaling,
            table,
            first,
            gradient: gradient.0,
            weight: weight.0,
            states: [a.0, b.0, c.0],
            gathered: gathered.0,
            average: average.0,
            half: copy.0,
        };
        // The second half's factors begin at a later row of the table, which both share.
        let other = Self {
            update,
            program,
            compiled,
            step,
            scaling,
            table,
            first: first + half / BLOCK,
            gradient: gradient.1,
            weight: weight.1,
            states: [a.1, b.1, c.1],
            gathered: gathered.1,
            average: average.1,
            half: copy.1,
        };
        (one, other)
    }

    /// Updates the arenas.
    #[inline(always)]
    pub fn run<F: Functions<T>>(self) {
        let Self { update, program, step, scaling, table, first, gradient, .. } = self;
        let Self { weight, mut states, gathered, average, half, .. } = self;
        if update.scaled && scaling[OVERFLOW] != T::zero() {
            // Gradients that were accumulated before are dropped with the skipped update.
            gathered.fill(T::zero());
            return;
        }
        let inverse = if update.scaled { scaling[INVERSE] } else { T::one() };
        let clip = table.first().copied().unwrap_or(T::one());
        let mut registers = program.registers::<T>();
        let outputs = program.outputs();
        for at in (0..weight.len()).step_by(BLOCK) {
            let len = BLOCK.min(weight.len() - at);
            // The table's first row holds the clipping factor, so a block's row comes one later.
            let row = (1 + first + at / BLOCK) * FACTORS;
            let factor = |index: usize| table.get(row + index).copied().unwrap_or(T::one());
            program.run::<T, F>(
                &mut registers,
                len,
                |index, to| match UpdateInput::of(index) {
                    UpdateInput::Weight => part(weight, at, to),
                    UpdateInput::Gradient => part(gradient, at, to),
                    UpdateInput::State(state) => {
                        if let Some(state) = states.get(state) {
                            part(state, at, to);
                        }
                    }
                    UpdateInput::Gathered => part(gathered, at, to),
                    UpdateInput::Average => part(average, at, to),
                    UpdateInput::Rate => to.fill(factor(0)),
                    UpdateInput::Decay => to.fill(factor(1)),
                    UpdateInput::Trust => to.fill(factor(2)),
                    UpdateInput::Matrix => to.fill(factor(3)),
                    UpdateInput::Clip => to.fill(clip),
                    UpdateInput::Inverse => to.fill(inverse),
                },
                |quantity, to| {
                    let StepValue::Scalar(index) = quantity else { return };
                    let value = step.scalars[usize::from(index)];
                    to.fill(T::of(value));
                },
            );
            // All results are computed before the first is written, since an expression may read what another one changes.
            let mut results = outputs.iter().map(|&place| &registers[usize::from(place)][..len]);
            // Between updates only the accumulated gradients change; they are the last result.
            if !step.apply {
                if let (true, Some(sum)) = (update.gathers, results.next_back()) {
                    gathered[at..at + len].copy_from_slice(sum);
                }
                continue;
            }
            // Results come in the order of `PassKind`: weight, states, average.
            let mut put = |to: &mut [T]| {
                if let Some(values) = results.next() {
                    to[at..at + len].copy_from_slice(values);
                }
            };
            if update.writes_weight() {
                put(weight);
            }
            if update.writes_states() {
                states.iter_mut().take(update.states.into()).for_each(|state| put(state));
            }
            if update.averages {
                put(average);
            }
            // The update has used the accumulated gradients, so the next ones begin at 0.
            if update.gathers {
                gathered[at..at + len].fill(T::zero());
            }
            if update.half {
                half[at..at + len].copy_from_slice(&weight[at..at + len]);
            }
        }
    }
}

/// Indices in the slot of the loss scale, as [`LossScaler`] has them.
pub(super) const INVERSE: usize = 1;
pub(super) const OVERFLOW: usize = 3;
const _: () = assert!(LossScaler::LEN == 5);

/// Arrays whose squares are summed.
#[derive(Clone, Copy, Debug)]
pub struct SquareSumArgs<'a, T> {
    /// The arena.
    pub x: &'a [T],
    /// Gradients that were accumulated before.
    pub gathered: Option<&'a [T]>,
    /// The slot of the loss scale by which the gradients are multiplied.
    pub scaling: Option<&'a [T]>,
    /// The table of factors.
    pub table: Option<&'a [T]>,
}

/// sums\[block\] = Σ x² over a block of the arena. For gradients x = accumulated + fraction · g without the loss scale, and
/// 0 where the rate's factor is 0.
pub fn square_sums<T: Real>(of: SquareSumArgs<'_, T>, sums: &mut [T], step: &StepParams) {
    let SquareSumArgs { x, gathered, scaling, table } = of;
    let share = gathered.map_or(T::one(), |_| T::of(step.scalars[crate::graph::SHARE]));
    let scale = share * scaling.map_or(T::one(), |scaling| scaling[INVERSE]);
    for (block, (sum, x)) in sums.iter_mut().zip(x.chunks(BLOCK)).enumerate() {
        // Parameters whose rate has the factor 0 stay as they are, and must not count in the norm.
        let stays = |table: &[T]| table[(1 + block) * FACTORS] == T::zero();
        let gathered = gathered.map(|gathered| &gathered[block * BLOCK..]);
        *sum = T::zero();
        if table.is_none_or(|table| !stays(table)) {
            for (i, &x) in x.iter().enumerate() {
                let x = gathered.map_or(T::zero(), |gathered| gathered[i]) + scale * x;
                *sum += x * x;
            }
        }
    }
}

/// table\[0\] = min(1, max / (√Σ + 1e-6)), as `torch.nn.utils.clip_grad_norm_`
pub fn clip_norm<T: Real>(sums: &[T], table: &mut [T], max: f64) {
    let norm = sums.iter().map(|sum| sum.to_f64()).sum::<f64>().sqrt();
    let clip = max / (norm + 1e-6);
    // min() would turn NaN into 1; this way NaN stays.
    table[0] = T::of(if clip > 1.0 { 1.0 } else { clip });
}

/// Writes to the table's rows of each parameter the ratio of its norm to that of its direction, 1 where one of them is 0.
pub fn trust_ratios<T: Real>(params: &[T], directions: &[T], views: &[u32], table: &mut [T]) {
    for view in views.chunks_exact(2) {
        let blocks = view[0] as usize..(view[0] + view[1]) as usize;
        let norm =
            |sums: &[T]| sums[blocks.clone()].iter().map(|sum| sum.to_f64()).sum::<f64>().sqrt();
        let (weight, direction) = (norm(params), norm(directions));
        // A parameter of zeros would otherwise never move.
        let ratio = if weight == 0.0 || direction == 0.0 { 1.0 } else { weight / direction };
        for block in blocks {
            table[(1 + block) * FACTORS + 2] = T::of(ratio);
        }
    }
}
