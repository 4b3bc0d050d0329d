//! Losses with their gradients.

use super::super::formulas::loss_formulas;
use super::{DOWN, Fill, ROUNDOFF, TestSpec, sum_error};
use crate::graph::{ClassLoss, Loss, RequiredTarget};
use crate::plan::{FormulaId, Kernel, LossVariant};

pub(super) fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    let own = loss_formulas().map(|(_, loss)| loss).filter(|loss| matches!(loss, Loss::Custom(_)));
    for (index, loss) in Loss::all().into_iter().chain(own).enumerate() {
        // Each has something that the others have not, so that a few pipelines show all there is.
        let constants = matches!(loss.wants(), RequiredTarget::Classes | RequiredTarget::Labels)
            || matches!(loss, Loss::Pinball(_));
        let (weights, mean) = (index % 2 == 0, loss != Loss::Mae);
        let form = LossVariant { mean, constants, weights, scaled: false };
        kernels.push(match loss.over_classes() {
            Some(ClassLoss::CrossEntropy { .. }) => {
                Kernel::LossClasses { loss: ClassLoss::CrossEntropy { label_smoothing: 0.1 }, form }
            }
            Some(loss) => Kernel::LossClasses { loss, form },
            None => by_formula(&loss, form),
        });
    }
    // The plain ones, for which devices may have other loops.
    let form = LossVariant { mean: true, constants: false, weights: false, scaled: false };
    let loss = ClassLoss::CROSS_ENTROPY;
    kernels.extend([Kernel::LossClasses { loss, form }, by_formula(&Loss::Mse, form)]);
    kernels
}

fn is_mse(formula: FormulaId) -> bool {
    loss_formulas().any(|(id, loss)| id == formula && loss == Loss::Mse)
}

/// Returns the kernel of an elementwise loss.
fn by_formula(loss: &Loss, form: LossVariant) -> Kernel {
    let (formula, loss) = loss_formulas()
        .find(|(_, it)| it.name() == loss.name())
        .expect("each elementwise loss has a formula");
    let width = u8::try_from(loss.predictions_each()).expect("a loss has a few inputs");
    Kernel::LossMap { formula, width, form }
}

pub(super) fn spec(kernel: Kernel) -> TestSpec {
    match kernel {
        Kernel::LossClasses { loss, form }
            if form.is_plain() && loss == ClassLoss::CROSS_ENTROPY =>
        {
            TestSpec::new(
                |name, [m, n, _]| match name {
                    "logits" => Fill::within(8.0, [m, n]),
                    "goal" => Fill::below(m, n),
                    _ => common(name, m, n),
                },
                |_| (1e-5, 2e-5),
            )
            .half([DOWN])
        }
        Kernel::LossMap { formula, form, .. } if form.is_plain() && is_mse(formula) => {
            TestSpec::new(
                |name, [m, n, _]| common(name, m, n),
                |[_, n, _]| (sum_error(n), 8.0 * ROUNDOFF),
            )
            .cpu_sizes([[130, 17, 99], [300, 257, 300]])
            .half([DOWN])
        }
        Kernel::LossMap { formula, .. } => {
            let (_, loss) = loss_formulas()
                .find(|(id, _)| *id == formula)
                .expect("the kernel is one of those above");
            // Half precision is in the last line of the shader's text alone: one variant of each kernel is enough.
            let half = loss == Loss::Mae;
            let spec =
                TestSpec::new(move |name, [m, n, _]| map_argument(&loss, name, m, n), limits);
            // Columns in pairs, for mean and variance.
            with_divisor(spec.sizes([[1, 2, 1], [63, 6, 61], [130, 12, 130]]), half)
        }
        Kernel::LossClasses { loss, .. } => {
            let values = move |name: &str, [m, n, _]: super::Triple| match name {
                "logits" => Fill::extreme([m, n]),
                "goal" if loss.loss().classes() => Fill::below(m, n),
                "goal" => Fill::positive([m, n]),
                "constants" => Fill::positive([n]),
                _ => common(name, m, n),
            };
            let spec = TestSpec::new(values, limits);
            let half = loss == ClassLoss::KlDivergence;
            with_divisor(spec.sizes([[1, 2, 1], [63, 7, 61], [130, 13, 130]]), half)
        }
        _ => unreachable!("other kernels are not of this kind"),
    }
}

/// Arguments that all losses have alike: predictions, targets, weights of rows, the loss scale, and what is written.
fn common(name: &str, m: usize, n: usize) -> Fill {
    match name {
        "weights" => Fill::positive([m, 1]),
        "scaling" => Fill::scaling(0),
        "row_loss" => Fill::unit([m]),
        _ => Fill::unit([m, n]),
    }
}

/// Predictions are up to 1e4 in size, and a row's loss is a sum of its columns.
fn limits(_: super::Triple) -> (f64, f64) {
    (2e-6, 4e-6)
}

fn with_divisor(spec: TestSpec, half: bool) -> TestSpec {
    TestSpec { divisor: Some(37.5), half: half.then_some(DOWN).into_iter().collect(), ..spec }
}

fn map_argument(loss: &Loss, name: &str, m: usize, n: usize) -> Fill {
    let (wants, targets) = (loss.wants(), loss.targets_for(n).unwrap_or(n));
    match (name, wants) {
        // Of a rate's logarithm; the rate itself overflows early.
        ("prediction", RequiredTarget::Counts) => Fill::within(8.0, [m, n]),
        ("prediction", _) => Fill::extreme([m, n]),
        ("goal", RequiredTarget::Labels) => Fill::truths([m, targets]),
        ("goal", RequiredTarget::Counts) => Fill::positive([m, targets]),
        ("goal", _) => Fill::unit([m, targets]),
        ("constants", RequiredTarget::Labels) => Fill::positive([targets]),
        ("constants", _) => Fill::positive([loss.outputs_each()]),
        _ => common(name, m, n),
    }
}
