//! Updates of weights and running statistics: `update`, `update_running`, and the kernels around them, `square_sums`,
//! `clip_norm`, `trust_ratios`, which `update.rs` computes.

use super::super::engine::CpuKernels;
use super::super::update::{self, SquareSumArgs, UpdateArgs};
use super::super::{CompiledUpdate, Real};
use super::{Slots, StepWork, disjoint};
use crate::device::cases::formulas::update_kernels;
use crate::device::cases::{Cases, Fill, ROUNDOFF, TestSpec, Triple, scalings, update_scaling};
use crate::graph::SHARE;
use crate::plan::{self, BLOCK, Kernel, StepParams};
use crate::shape::narrow;

/// out ← (1 − momentum) out + momentum · stat, with stat times rows / (rows − 1) if it is unbiased; if guarded, a statistic
/// that is not finite changes nothing; without a momentum of its own the kernel takes the fraction in the step parameters
fn update_running<T: Real>(
    stat: &[T],
    out: &mut [T],
    (momentum, unbiased, guarded): (Option<f64>, bool, bool),
    step: &StepParams,
) {
    let momentum = momentum.unwrap_or(step.scalars[SHARE]);
    let rows = f64::from(step.rows);
    // One row has no unbiased variance.
    if unbiased && step.rows < 2 {
        return;
    }
    let factor = if unbiased { momentum * rows / (rows - 1.0) } else { momentum };
    for (out, &stat) in out.iter_mut().zip(stat) {
        if guarded && !stat.to_f64().is_finite() {
            continue;
        }
        *out = T::of(1.0 - momentum) * *out + T::of(factor) * stat;
    }
}

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    Some(match slots.step.kernel {
        Kernel::UpdateRunning { momentum, unbiased, guarded } => {
            slots.plain(move |[stat, _, out], step| {
                update_running(stat, out, (momentum, unbiased, guarded), step);
            })
        }
        Kernel::Update(update) => by_expressions(slots, update),
        Kernel::SquareSums { gradient, gathers, scaled } => {
            let floats = slots.floats::<5>();
            StepWork::<T>::new(slots.passed(), move |engine, arenas, step| {
                let [x, gathered, scaling, table, sums] = disjoint(arenas.floats, &floats);
                // Absent ones are empty ranges; as options the kernel need not test lengths.
                let of = SquareSumArgs {
                    x,
                    gathered: gathers.then_some(&*gathered),
                    scaling: scaled.then_some(&*scaling),
                    table: gradient.then_some(&*table),
                };
                engine.square_sums(of, sums, step);
            })
        }
        Kernel::ClipNorm { max } => {
            slots.plain(move |[sums, table], _| update::clip_norm(sums, table, max))
        }
        Kernel::TrustRatios => {
            let (floats, indices) = (slots.floats::<4>(), slots.indices::<4>());
            StepWork::new(slots.passed(), move |_, arenas, _| {
                let [weights, directions, _, table] = disjoint(arenas.floats, &floats);
                let views = &arenas.indices[indices[2].clone()];
                update::trust_ratios(weights, directions, views, table);
            })
        }
        _ => return None,
    })
}

/// Returns the work of an update's pass.
fn by_expressions<T: Real>(slots: &Slots<'_>, update: plan::Update) -> StepWork<T> {
    let formula = slots.formula();
    let compiled = CompiledUpdate::of(&formula, &update);
    let floats = slots.floats::<10>();
    StepWork::<T>::new(slots.passed(), move |engine, arenas, &step| {
        // Every arena of the update is there or empty, so one kernel serves all variants.
        let [gradient, scaling, table, weight, rest @ ..] = disjoint(arenas.floats, &floats);
        let [state0, state1, state2, gathered, average, half] = rest;
        engine.update(UpdateArgs {
            update,
            program: &formula.program,
            compiled: &compiled,
            step,
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
    })
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    let running =
        |momentum, unbiased, guarded| Kernel::UpdateRunning { momentum, unbiased, guarded };
    vec![
        Cases::of(
            [
                running(Some(0.1), false, false),
                running(Some(0.1), true, false),
                running(Some(0.1), true, true),
                running(None, false, false),
                running(None, true, true),
            ],
            running_spec,
        ),
        Cases::of(
            [
                Kernel::SquareSums { gradient: false, gathers: false, scaled: false },
                Kernel::SquareSums { gradient: true, gathers: true, scaled: false },
                Kernel::SquareSums { gradient: true, gathers: false, scaled: true },
            ],
            |_| {
                TestSpec::new(
                    |name, [_, n, _]| match name {
                        "scaling" => Fill::scaling(0),
                        "factors" => Fill::factors(n / BLOCK),
                        "sums" => Fill::unit([n / BLOCK]),
                        _ => Fill::unit([n]),
                    },
                    |_| (1e-6, 128.0 * ROUNDOFF),
                )
                .arena()
                .sizes([[1, 64, 1], [1, 4160, 1], [1, 8192, 1]])
            },
        ),
        Cases::of([Kernel::ClipNorm { max: 0.5 }, Kernel::ClipNorm { max: 1e6 }], |_| {
            TestSpec::new(
                |name, [_, n, _]| {
                    if name == "sums" { Fill::positive([n]) } else { Fill::factors(2) }
                },
                |[_, n, _]| (0.0, (n as f64 + 16.0) * ROUNDOFF),
            )
            .sizes([[1, 1, 1], [1, 257, 1], [1, 1000, 1]])
        }),
        Cases::of([Kernel::TrustRatios], |_| {
            TestSpec::new(trust_values, |[_, n, _]| (0.0, (n as f64 + 16.0) * ROUNDOFF))
        }),
        Cases::of(update_kernels(), update_spec),
    ]
}

fn running_spec(kernel: Kernel) -> TestSpec {
    let guarded = matches!(kernel, Kernel::UpdateRunning { guarded: true, .. });
    TestSpec::new(
        move |name, [m, n, k]| match name {
            // The last statistic is NaN, which only guarded kernels are given.
            "stat" => Fill::floats([n], move |random, i| {
                let lost = guarded && n > 1 && i + 1 == n;
                if lost { f64::NAN } else { random.uniform(-1.0, 1.0) }
            }),
            // The step is skipped with the sizes that have fewer valid rows than rows.
            "scaling" => Fill::scaling(if k < m { 3 } else { 0 }),
            _ => Fill::unit([n]),
        },
        |_| (8.0 * ROUNDOFF, 8.0 * ROUNDOFF),
    )
}

fn trust_values(name: &str, [m, n, _]: Triple) -> Fill {
    match name {
        // The last parameter's norm is 0.
        "weights" => Fill::floats(
            [m * n],
            move |random, i| {
                if i < (m - 1) * n { random.unit() } else { 0.0 }
            },
        ),
        "directions" => Fill::positive([m * n]),
        "views" => Fill::indices(2 * m, move |_, i| narrow(if i % 2 == 0 { i / 2 * n } else { n })),
        _ => Fill::factors(m * n),
    }
}

fn update_spec(kernel: Kernel) -> TestSpec {
    let scaled = matches!(kernel, Kernel::Update(update) if update.scaled);
    TestSpec::new(
        move |name, sizes| match name {
            "factors" => Fill::factors(sizes[1].div_ceil(BLOCK)),
            // Means of squares, and of the squared values themselves, such that no difference of them is near 0.
            "state0" => Fill::floats([sizes[1]], |random, _| 1.0 + 0.9 * random.unit()),
            "state1" | "state2" => Fill::floats([sizes[1]], |random, _| 0.05 + 0.9 * random.unit()),
            _ => updated(name, scaled, sizes),
        },
        |_| (2e-6, 1e-5),
    )
    .arena()
    // The third size is 0 if gradients have overflowed, 2 if they are only accumulated.
    .sizes([[1, 1792, 1], [1, 128, 0], [1, 128, 2]])
    .cpu_sizes([[1, 7, 1], [1, 100_003, 1]])
}

/// Returns the arguments that all updates have in common. Gradients are multiplied by the loss scale, if there is one.
fn updated(name: &str, scaled: bool, [_, n, k]: Triple) -> Fill {
    let which = update_scaling(k);
    match name {
        "gradient" if scaled => Fill::within(scalings()[which].scale.into(), [n]),
        "scaling" => Fill::scaling(which),
        _ => Fill::unit([n]),
    }
}
