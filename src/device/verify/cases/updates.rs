//! Cases of updates of weights and running statistics, and of the kernels around them.

use super::{Fill, ROUNDOFF, TestSpec, Triple, update_scaling};
use crate::plan::{BLOCK, Kernel};
use crate::shape::narrow;

/// Returns the kernels of this kind; updates by expressions are in `formulas.rs`.
pub(super) fn kernels() -> Vec<Kernel> {
    let running =
        |momentum, unbiased, guarded| Kernel::UpdateRunning { momentum, unbiased, guarded };
    vec![
        running(Some(0.1), false, false),
        running(Some(0.1), true, false),
        running(Some(0.1), true, true),
        running(None, false, false),
        running(None, true, true),
        Kernel::SquareSums { gradient: false, gathers: false, scaled: false },
        Kernel::SquareSums { gradient: true, gathers: true, scaled: false },
        Kernel::SquareSums { gradient: true, gathers: false, scaled: true },
        Kernel::ClipNorm { max: 0.5 },
        Kernel::ClipNorm { max: 1e6 },
        Kernel::TrustRatios,
    ]
}

/// Returns how a kernel of this kind is verified.
pub(super) fn spec(kernel: Kernel) -> TestSpec {
    match kernel {
        Kernel::UpdateRunning { guarded, .. } => TestSpec::new(
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
        ),
        Kernel::Update(update) => TestSpec::new(
            move |name, sizes| match name {
                "factors" => Fill::factors(sizes[1].div_ceil(BLOCK)),
                // Means of squares, and of the squared values themselves, such that no difference of them is near 0.
                "state0" => Fill::floats([sizes[1]], |random, _| 1.0 + 0.9 * random.unit()),
                "state1" | "state2" => {
                    Fill::floats([sizes[1]], |random, _| 0.05 + 0.9 * random.unit())
                }
                _ => updated(name, update.scaled, sizes),
            },
            |_| (2e-6, 1e-5),
        )
        .arena()
        // The third size is 0 if gradients have overflowed, 2 if they are only accumulated.
        .sizes([[1, 1792, 1], [1, 128, 0], [1, 128, 2]])
        .cpu_sizes([[1, 7, 1], [1, 100_003, 1]]),
        Kernel::SquareSums { .. } => TestSpec::new(
            |name, [_, n, _]| match name {
                "scaling" => Fill::scaling(0),
                "factors" => Fill::factors(n / BLOCK),
                "sums" => Fill::unit([n / BLOCK]),
                _ => Fill::unit([n]),
            },
            |_| (1e-6, 128.0 * ROUNDOFF),
        )
        .arena()
        .sizes([[1, 64, 1], [1, 4160, 1], [1, 8192, 1]]),
        Kernel::ClipNorm { .. } => TestSpec::new(
            |name, [_, n, _]| if name == "sums" { Fill::positive([n]) } else { Fill::factors(2) },
            |[_, n, _]| (0.0, (n as f64 + 16.0) * ROUNDOFF),
        )
        .sizes([[1, 1, 1], [1, 257, 1], [1, 1000, 1]]),
        Kernel::TrustRatios => TestSpec::new(
            |name, [m, n, _]| match name {
                // The last parameter's norm is 0.
                "weights" => {
                    Fill::floats(
                        [m * n],
                        move |random, i| {
                            if i < (m - 1) * n { random.unit() } else { 0.0 }
                        },
                    )
                }
                "directions" => Fill::positive([m * n]),
                "views" => {
                    Fill::indices(2 * m, move |_, i| narrow(if i % 2 == 0 { i / 2 * n } else { n }))
                }
                _ => Fill::factors(m * n),
            },
            |[_, n, _]| (0.0, (n as f64 + 16.0) * ROUNDOFF),
        ),
        _ => unreachable!("other kernels are not of this kind"),
    }
}

/// Returns the arguments that all updates have in common. Gradients are multiplied by the loss scale, if there is one.
fn updated(name: &str, scaled: bool, [_, n, k]: Triple) -> Fill {
    let which = update_scaling(k);
    match name {
        "gradient" if scaled => Fill::within(super::scalings()[which].scale.into(), [n]),
        "scaling" => Fill::scaling(which),
        _ => Fill::unit([n]),
    }
}
