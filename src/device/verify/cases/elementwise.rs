//! Cases of elementwise kernels, and of sums over rows and columns.

use super::super::smooth;
use super::{DOWN, Fill, HALF, ROUNDOFF, TestSpec, UP, sum_error};
use crate::model::Activation;
use crate::plan::{Broadcast, FormulaId, Kernel};

/// Returns the kernels of this kind; those with formulas are in `formulas.rs`.
pub(super) fn kernels() -> Vec<Kernel> {
    let mut kernels = vec![
        Kernel::Activate { act: Activation::Identity, bias: true },
        Kernel::Add,
        Kernel::SumRows,
    ];
    for act in Activation::ALL {
        kernels.push(Kernel::Activate { act, bias: false });
        kernels.push(Kernel::ActivateGrad { act });
    }
    kernels
}

/// Returns how a kernel of this kind is verified.
pub(super) fn spec(kernel: Kernel) -> TestSpec {
    match kernel {
        Kernel::Activate { act, .. } => TestSpec::new(
            |name, [m, n, _]| match name {
                "x" => Fill::extreme([m, n]),
                "bias" => Fill::unit([n]),
                _ => Fill::unit([m, n]),
            },
            move |_| match act {
                // 30 x is rounded, for |x| up to 8 by 240 u; the derivative multiplies this by 30.
                Activation::Siren => (2.0 * 240.0 * ROUNDOFF, 2e-5),
                _ => activation_limits(act),
            },
        )
        .half([HALF, UP]),
        Kernel::ActivateGrad { act } => TestSpec::new(
            move |name, [m, n, _]| match (name, act) {
                // These activations save their output, which is at most 1.
                ("saved", Activation::Tanh | Activation::Sigmoid) => Fill::unit([m, n]),
                ("saved", _) => Fill::extreme([m, n]),
                _ => Fill::unit([m, n]),
            },
            move |_| match act {
                Activation::Siren => (2.0 * 30.0 * 240.0 * ROUNDOFF, 2e-5),
                _ => activation_limits(act),
            },
        )
        .half([HALF, DOWN]),
        // This kernel tests the folded grid for all elementwise kernels.
        Kernel::Add => TestSpec::new(|_, [m, n, _]| Fill::unit([m, n]), |_| (0.0, ROUNDOFF))
            .sizes([[1, 1, 1], [31, 57, 31], [65_537, 65, 65_537]])
            .half([HALF]),
        Kernel::SumRows => TestSpec::new(
            |name, [m, n, _]| Fill::unit(if name == "x" { vec![m, n] } else { vec![n] }),
            |[m, ..]| (sum_error(m), 0.0),
        )
        .cpu_sizes([[129, 300, 129]])
        .half([UP]),
        Kernel::MapRows { formula, .. } => TestSpec::new(
            move |name, [m, n, _]| operand(formula, name, m, n).unwrap_or(Fill::unit([n])),
            |[m, ..]| (4.0 * sum_error(m) + 1e-6, 0.0),
        ),
        Kernel::MapColumns { formula, .. } => TestSpec::new(
            move |name, [m, n, _]| operand(formula, name, m, n).unwrap_or(Fill::unit([m])),
            |[_, n, _]| (4.0 * sum_error(n) + 1e-6, 0.0),
        ),
        Kernel::Map { formula, .. } => {
            let spec = TestSpec::new(
                move |name, [m, n, _]| operand(formula, name, m, n).unwrap_or(Fill::unit([m, n])),
                // Exponentials of 80 err by 163 units in the last place.
                |_| (4e-6, 2e-5),
            );
            if is_function(formula) { spec.sizes([[1, 1, 1], [9, 13, 9]]) } else { spec }
        }
        _ => unreachable!("other kernels are not of this kind"),
    }
}

/// Returns the limits of an activation's error, with that of adding a bias.
fn activation_limits(act: Activation) -> (f64, f64) {
    let (abs, rel) = smooth(act);
    (abs + 8.0 * ROUNDOFF, rel + 4.0 * ROUNDOFF)
}

/// Returns whether a formula is a single function, as those after the first three are: these need extreme values.
fn is_function(formula: FormulaId) -> bool {
    formula.0 > 2
}

/// Returns the values of a formula's operand over `[m, n]` with a name such as `x0`; `None` for the result.
fn operand(id: FormulaId, name: &str, m: usize, n: usize) -> Option<Fill> {
    let index: usize = name.strip_prefix('x')?.parse().expect("operands are numbered");
    let formulas = super::super::formulas::formulas(n);
    let operand = formulas[usize::from(id.0)].operands[index];
    Some(match operand.along {
        Broadcast::Both if is_function(id) => Fill::extreme([m, n]),
        Broadcast::Both => Fill::unit([m, n]),
        Broadcast::Columns => Fill::unit([n]),
        Broadcast::Rows => Fill::unit([m]),
        Broadcast::Nothing => Fill::unit([1]),
    })
}
