//! Rows that are picked from tables or put there.

use super::{DOWN, Fill, TestSpec, sum_error};
use crate::plan::Kernel;

pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::Gather { ordered: true, targets: true },
        Kernel::Gather { ordered: false, targets: false },
        Kernel::Lookup { column: 0 },
        Kernel::LookupGrad { column: 0 },
        Kernel::PutRows,
    ]
}

pub(super) fn spec(kernel: Kernel) -> TestSpec {
    let exact = |_| (0.0, 0.0);
    match kernel {
        Kernel::Gather { targets, .. } => {
            let spec = TestSpec::new(
                |name, [m, n, _]| match name {
                    "x" => Fill::unit([m + 7, n]),
                    "order" => Fill::below(m + 7, m + 7),
                    "y" => Fill::unit([m + 7, 3]),
                    "y_out" => Fill::unit([m, 3]),
                    _ => Fill::unit([m, n]),
                },
                exact,
            );
            // Tables are in single precision, batches of their rows in half.
            if targets { spec.half([DOWN]) } else { spec }
        }
        // The table has rows that nobody names, and numbers beyond it mean its last row.
        Kernel::Lookup { .. } => TestSpec::new(
            |name, [m, n, _]| match name {
                "table" => Fill::unit([7, n]),
                "x" => Fill::numbers(m, 8),
                _ => Fill::unit([m, n]),
            },
            exact,
        ),
        Kernel::LookupGrad { .. } => TestSpec::new(
            |name, [m, n, _]| match name {
                "x" => Fill::numbers(m, 8),
                "d_y" => Fill::unit([m, n]),
                _ => Fill::unit([7, n]),
            },
            |[m, ..]| (sum_error(m), 0.0),
        ),
        Kernel::PutRows => TestSpec::new(
            |name, [m, n, _]| Fill::unit(if name == "x" { [m, n] } else { [m + 7, n] }),
            exact,
        ),
        _ => unreachable!("other kernels are not of this kind"),
    }
}
