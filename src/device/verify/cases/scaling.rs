//! The log of losses, and the slot that says which steps are skipped.

use super::{Fill, ROUNDOFF, TestSpec, scalings};
use crate::plan::Kernel;

pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::LogLoss,
        Kernel::CheckFinite { loss: false },
        Kernel::CheckFinite { loss: true },
        Kernel::Rescale { scaled: true, guarded: false },
        Kernel::Rescale { scaled: true, guarded: true },
        Kernel::Rescale { scaled: false, guarded: true },
    ]
}

pub(super) fn spec(kernel: Kernel) -> TestSpec {
    match kernel {
        Kernel::LogLoss => TestSpec::new(
            |name, [m, ..]| Fill::unit(if name == "row_loss" { [m] } else { [8] }),
            |[m, ..]| ((m as f64 + 4.0) * ROUNDOFF, 4.0 * ROUNDOFF),
        ),
        // The third is the place of an infinite element, from 1; 0 for none.
        Kernel::CheckFinite { .. } => TestSpec::new(
            |name, [_, n, k]| match name {
                "gradient" => Fill::floats([n], move |random, i| match i + 1 {
                    place if place != k => random.uniform(-1.0, 1.0),
                    place if place == n => f64::NEG_INFINITY,
                    _ => f64::NAN,
                }),
                "log_in" => Fill::log(n == 256 || k == n),
                _ => Fill::scaling(0),
            },
            |_| (0.0, 0.0),
        )
        .arena()
        .sizes([[1, 128, 0], [1, 1792, 1792], [1, 1792, 0], [1, 256, 1]]),
        // The third says after which steps: `scalings` has them.
        Kernel::Rescale { .. } => TestSpec::new(
            |name, [.., k]| if name == "scaling" { Fill::scaling(k) } else { Fill::log(false) },
            |_| (0.0, 0.0),
        )
        .sizes((0..scalings().len()).map(|after| [1, 1, after]).collect::<Vec<_>>()),
        _ => unreachable!("other kernels are not of this kind"),
    }
}
