//! Losses with their gradients.

use super::{DOWN, Fill, ROUNDOFF, TestSpec, sum_error};
use crate::graph::{Loss, RequiredTarget};
use crate::plan::{Kernel, LossVariant};

pub(super) fn kernels() -> Vec<Kernel> {
    let mut kernels =
        vec![Kernel::LossCrossEntropy { scaled: false }, Kernel::LossMse { scaled: false }];
    for (index, loss) in Loss::all().into_iter().enumerate() {
        // Each has something that the others have not, so that a few pipelines show all there is.
        let constants = matches!(loss.wants(), RequiredTarget::Classes | RequiredTarget::Labels)
            || matches!(loss, Loss::Pinball(_));
        let (weights, mean) = (index % 2 == 0, loss != Loss::Mae);
        let loss = match loss {
            Loss::CrossEntropy { .. } => Loss::CrossEntropy { label_smoothing: 0.1 },
            Loss::PoissonNll { .. } => Loss::PoissonNll { full: true },
            other => other,
        };
        let form = LossVariant { loss, mean, constants, weights, scaled: false };
        let map = loss.formula().is_some();
        kernels.push(if map { Kernel::LossMap(form) } else { Kernel::LossClasses(form) });
    }
    kernels
}

pub(super) fn spec(kernel: Kernel) -> TestSpec {
    match kernel {
        Kernel::LossCrossEntropy { .. } => TestSpec::new(
            |name, [m, n, _]| match name {
                "logits" => Fill::within(8.0, [m, n]),
                "labels" => Fill::below(m, n),
                _ => common(name, m, n),
            },
            |_| (1e-5, 2e-5),
        )
        .half([DOWN]),
        Kernel::LossMse { .. } => TestSpec::new(
            |name, [m, n, _]| common(name, m, n),
            |[_, n, _]| (sum_error(n), 8.0 * ROUNDOFF),
        )
        .cpu_sizes([[130, 17, 99], [300, 257, 300]])
        .half([DOWN]),
        Kernel::LossMap(form) => {
            let spec = TestSpec::new(move |name, [m, n, _]| map_argument(form, name, m, n), limits);
            // Columns in pairs, for mean and variance.
            of_form(spec.sizes([[1, 2, 1], [63, 6, 61], [130, 12, 130]]), form)
        }
        Kernel::LossClasses(form) => {
            let values = move |name: &str, [m, n, _]: super::Triple| match name {
                "logits" => Fill::extreme([m, n]),
                "goal" if form.loss.classes() => Fill::below(m, n),
                "goal" => Fill::positive([m, n]),
                "constants" => Fill::positive([n]),
                _ => common(name, m, n),
            };
            let spec = TestSpec::new(values, limits);
            of_form(spec.sizes([[1, 2, 1], [63, 7, 61], [130, 13, 130]]), form)
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

fn of_form(spec: TestSpec, form: LossVariant) -> TestSpec {
    // Half precision is in the last line of their texts alone: one form of each kernel is enough.
    let half = matches!(form.loss, Loss::Mae | Loss::KlDivergence).then_some(DOWN);
    TestSpec { divisor: Some(37.5), half: half.into_iter().collect(), ..spec }
}

fn map_argument(form: LossVariant, name: &str, m: usize, n: usize) -> Fill {
    let (wants, targets) = (form.loss.wants(), form.loss.targets_for(n).unwrap_or(n));
    match (name, wants) {
        // Of a rate's logarithm; the rate itself overflows early.
        ("prediction", RequiredTarget::Counts) => Fill::within(8.0, [m, n]),
        ("prediction", _) => Fill::extreme([m, n]),
        ("goal", RequiredTarget::Labels) => Fill::truths([m, targets]),
        ("goal", RequiredTarget::Counts) => Fill::positive([m, targets]),
        ("goal", _) => Fill::unit([m, targets]),
        ("constants", RequiredTarget::Labels) => Fill::positive([targets]),
        ("constants", _) => Fill::positive([form.loss.outputs_each()]),
        _ => common(name, m, n),
    }
}
