//! Settings that each step brings along, so that networks that differ in them alone have one plan and train in the same
//! dispatches: dropout rates, and numbers of the loss such as label smoothing. Those of the optimizer are scalars of a step, too
//! (`graph/optimizer/specs.rs`).
//!
//! In: a network and its loss. Out: both as plans have them, and the factors by which steps multiply what plans have.
//! Absent on purpose: how the factors go over a run, which is in `schedule`.

use crate::graph::{LOSS_NUMBERS, Loss};
use crate::model::Sequential;

/// The largest dropout rate of a plan; a rate must be below 1, and a power of two changes no digits of the rate.
const LARGEST: f64 = 0.5;

/// Factors of a run's steps, before its schedules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::train) struct StepFactors {
    /// Factor of the plan's dropout rates.
    pub(in crate::train) dropout: f64,
    /// Factors of the plan's numbers of the loss.
    loss: [f64; LOSS_NUMBERS],
    /// True if the first of these numbers is a label smoothing, which has a schedule.
    smooths: bool,
}

impl StepFactors {
    /// Returns the factors that make a plan's settings those of this network and its loss.
    pub(in crate::train) fn of(model: &Sequential, loss: &Loss) -> Self {
        let smooths = loss.label_smoothing() > 0.0;
        Self { dropout: dropout_factor(model), loss: loss.planned().1, smooths }
    }

    /// Returns the factors of the loss's numbers, with this factor of the label smoothing.
    pub(in crate::train) fn loss(&self, smoothing: f64) -> [f64; LOSS_NUMBERS] {
        let mut factors = self.loss;
        if self.smooths {
            factors[0] *= smoothing;
        }
        factors
    }
}

/// Returns the factor of the plan's dropout rates; 1 where the network drops nothing.
fn dropout_factor(model: &Sequential) -> f64 {
    let largest = model.largest_dropout();
    if largest > 0.0 { largest / LARGEST } else { 1.0 }
}

/// Returns the network as its plan has it: the largest dropout rate is the same for all networks.
pub(in crate::train) fn planned_model(model: &Sequential) -> Sequential {
    let by = dropout_factor(model);
    model.with_dropout(&|rate| rate / by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_give_the_settings_back() {
        let text = "dense(4), relu, dropout(0.3), residual(dense(4), dropout(0.15), relu), \
                    branches((dense(2), dropout(0)), (dense(2))), dense(2)";
        let model: Sequential = text.parse().unwrap();
        let loss: Loss = "cross-entropy(label-smoothing=0.2)".parse().unwrap();
        let factors = StepFactors::of(&model, &loss);
        assert_eq!((factors.dropout, factors.loss(1.0)), (0.6, [0.2, 1.0]));
        assert_eq!(factors.loss(0.5), [0.1, 1.0]);
        let planned = planned_model(&model);
        assert_eq!(planned.largest_dropout(), 0.5);
        let back = planned.with_dropout(&|rate| rate * factors.dropout);
        assert_eq!(back.to_string(), model.to_string());
        let other: Sequential = text.replace("0.3", "0.6").replace("0.15", "0.3").parse().unwrap();
        assert_eq!(planned_model(&other), planned);
        let planned = |text: &str| text.parse::<Loss>().unwrap().planned().0.to_string();
        assert_eq!(
            planned("cross-entropy(label-smoothing=0.2)"),
            "cross-entropy(label_smoothing=1)"
        );
        assert_eq!(planned("huber(delta=3)"), planned("huber(delta=0.1)"));
        let focal = |text: &str| StepFactors::of(&model, &text.parse().unwrap()).loss(0.5);
        assert_eq!(focal("binary-focal(gamma=3, alpha=0.4)"), [3.0, 0.4]);
        // Without a part that a number says, the number stays.
        assert_eq!(focal("binary-focal(gamma=0, alpha=-1)"), [1.0, 1.0]);
        let none = "binary-focal(gamma=0, alpha=-1)";
        assert_eq!(planned(none), none.parse::<Loss>().unwrap().to_string());
        // Networks and losses with neither stay as they are.
        for text in ["dense(4), relu, dense(2)", "dense(4), relu, dropout(0), dense(2)"] {
            let model: Sequential = text.parse().unwrap();
            assert_eq!(planned_model(&model), model);
            let none = StepFactors::of(&model, &Loss::CROSS_ENTROPY);
            assert_eq!((none.dropout, none.loss(0.5)), (1.0, [1.0, 1.0]));
        }
        assert_eq!(Loss::CROSS_ENTROPY.planned().0, Loss::CROSS_ENTROPY);
    }
}
