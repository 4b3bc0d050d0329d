//! Updates of weights and running statistics: `update`, `update_running`, and the kernels around them, `square_sums`,
//! `clip_norm`, `trust_ratios`.

use std::ops::Range;

use super::super::engine::CpuKernels;
use super::super::kernels::{self, MatmulShape};
use super::super::update::{self, SquareSumArgs, UpdateArgs};
use super::super::{CompiledUpdate, Real};
use super::{ArenaViews, Slots, StepWork, disjoint};
use crate::expr::Program;
use crate::plan::{self, Kernel, StepParams};

#[derive(Debug)]
pub(super) struct UpdateStep {
    kind: UpdateKind,
    /// Number of elements of the first slot that is written.
    len: usize,
}

#[derive(Debug)]
enum UpdateKind {
    /// The statistic, and the running statistic.
    Running { how: (Option<f64>, bool, bool), floats: [Range<usize>; 2] },
    /// Gradients, the loss scale, factors, weights, three states, accumulated gradients, averages, weights in half precision.
    ByExpressions {
        update: plan::Update,
        program: Program,
        /// The same, prepared for wide vectors.
        compiled: Box<CompiledUpdate>,
        floats: [Range<usize>; 10],
    },
    /// The arena, accumulated gradients, the loss scale, factors, sums.
    SquareSums { gathers: bool, scaled: bool, gradient: bool, floats: [Range<usize>; 5] },
    /// Sums and factors.
    ClipNorm { max: f64, floats: [Range<usize>; 2] },
    /// Sums of the squares of weights and of directions, factors; and the blocks of each parameter.
    TrustRatios { floats: [Range<usize>; 3], views: Range<usize> },
}

fn work(kind: UpdateKind, written: &Range<usize>) -> StepWork {
    StepWork::Update(Box::new(UpdateStep { len: written.len(), kind }))
}

pub(super) fn running(slots: &Slots<'_>, how: (Option<f64>, bool, bool)) -> StepWork {
    let floats = slots.floats(["stat", "out"]);
    let written = floats[1].clone();
    work(UpdateKind::Running { how, floats }, &written)
}

pub(super) fn update(slots: &Slots<'_>, update: plan::Update) -> StepWork {
    let formula = slots.formula();
    let compiled = Box::new(CompiledUpdate::of(&formula, &update));
    let floats = slots.floats([
        "gradient",
        "scaling",
        "factors",
        "weight",
        "state0",
        "state1",
        "state2",
        "gathered",
        "average",
        "half_weight",
    ]);
    let written = floats[3].clone();
    let program = formula.program;
    work(UpdateKind::ByExpressions { update, program, compiled, floats }, &written)
}

pub(super) fn square_sums(slots: &Slots<'_>) -> StepWork {
    let Kernel::SquareSums { gradient, gathers, scaled } = slots.step.kernel else {
        unreachable!("only this kernel comes here")
    };
    let floats = slots.floats(["x", "gathered", "scaling", "factors", "sums"]);
    let written = floats[4].clone();
    work(UpdateKind::SquareSums { gathers, scaled, gradient, floats }, &written)
}

pub(super) fn clip_norm(slots: &Slots<'_>, max: f64) -> StepWork {
    let floats = slots.floats(["sums", "factors"]);
    let written = floats[1].clone();
    work(UpdateKind::ClipNorm { max, floats }, &written)
}

pub(super) fn trust_ratios(slots: &Slots<'_>) -> StepWork {
    let floats = slots.floats(["weights", "directions", "factors"]);
    let [views] = slots.indices(["views"]);
    let written = floats[2].clone();
    work(UpdateKind::TrustRatios { floats, views }, &written)
}

impl UpdateStep {
    /// The elements that are gone through; reading two and writing one costs four.
    pub(super) fn sizes(&self) -> MatmulShape {
        MatmulShape { m: 1, n: self.len, k: 4 }
    }

    pub(super) fn run<T: Real>(
        &self,
        engine: &T::CpuKernels,
        arenas: &mut ArenaViews<'_, T>,
        step: &StepParams,
    ) {
        // The order of the ranges is the one in which the functions above asked for them.
        match &self.kind {
            UpdateKind::Running { how, floats } => {
                let [stat, out] = disjoint(arenas.floats, floats);
                kernels::update_running(stat, out, *how, step);
            }
            UpdateKind::ByExpressions { update, program, compiled, floats } => {
                // Every arena of the update is there or empty, so one kernel serves all variants.
                let [gradient, scaling, table, weight, rest @ ..] = disjoint(arenas.floats, floats);
                let [state0, state1, state2, gathered, average, half] = rest;
                engine.update(UpdateArgs {
                    update: *update,
                    program,
                    compiled,
                    step: *step,
                    // The device holds whole arenas; threads cut them later.
                    scaling,
                    table,
                    first: 0,
                    gradient,
                    weight,
                    states: [state0, state1, state2],
                    gathered,
                    average,
                    half,
                });
            }
            UpdateKind::SquareSums { gathers, scaled, gradient, floats } => {
                let [x, gathered, scaling, table, sums] = disjoint(arenas.floats, floats);
                // Absent ones are empty ranges; as options the kernel need not test lengths.
                let of = SquareSumArgs {
                    x,
                    gathered: gathers.then_some(&*gathered),
                    scaling: scaled.then_some(&*scaling),
                    table: gradient.then_some(&*table),
                };
                engine.square_sums(of, sums, step);
            }
            UpdateKind::ClipNorm { max, floats } => {
                let [sums, table] = disjoint(arenas.floats, floats);
                update::clip_norm(sums, table, *max);
            }
            UpdateKind::TrustRatios { floats, views } => {
                let [weights, directions, table] = disjoint(arenas.floats, floats);
                let views = &arenas.indices[views.clone()];
                update::trust_ratios(weights, directions, views, table);
            }
        }
    }
}
