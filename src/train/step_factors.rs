//! Settings that each step brings along, so that networks that differ in them alone have one plan and train in the same
//! dispatches: dropout rates and label smoothing.
//!
//! In: a network and its loss. Out: both as plans have them, and the factors by which steps multiply what plans have.
//! Absent on purpose: how the factors go over a run, which is in `schedule`.

use crate::graph::{ClassLoss, Loss};
use crate::model::Sequential;

/// The largest dropout rate of a plan; a rate must be below 1, and a power of two changes no digits of the rate.
const LARGEST: f64 = 0.5;

/// Factors of a run's steps, before its schedules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::train) struct StepFactors {
    /// Factor of the plan's dropout rates.
    pub(in crate::train) dropout: f64,
    /// Factor of the plan's label smoothing.
    pub(in crate::train) smoothing: f64,
}

impl StepFactors {
    /// Returns the factors that make a plan's settings those of this network and its loss.
    pub(in crate::train) fn of(model: &Sequential, loss: &Loss) -> Self {
        Self { dropout: dropout_factor(model), smoothing: smoothing_of(loss).unwrap_or(1.0) }
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

/// Returns the loss as a plan has it: label smoothing, if there is any, is 1.
pub(in crate::train) fn planned_loss(loss: Loss) -> Loss {
    match smoothing_of(&loss) {
        Some(_) => Loss::Classes(ClassLoss::CrossEntropy { label_smoothing: 1.0 }),
        None => loss,
    }
}

/// Returns the label smoothing of a loss that has some.
fn smoothing_of(loss: &Loss) -> Option<f64> {
    Some(loss.label_smoothing()).filter(|smoothing| *smoothing > 0.0)
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
        assert_eq!(factors, StepFactors { dropout: 0.6, smoothing: 0.2 });
        let planned = planned_model(&model);
        assert_eq!(planned.largest_dropout(), 0.5);
        let back = planned.with_dropout(&|rate| rate * factors.dropout);
        assert_eq!(back.to_string(), model.to_string());
        let other: Sequential = text.replace("0.3", "0.6").replace("0.15", "0.3").parse().unwrap();
        assert_eq!(planned_model(&other), planned);
        assert_eq!(planned_loss(loss), "cross-entropy(label-smoothing=1)".parse().unwrap());
        // Networks and losses with neither stay as they are.
        for text in ["dense(4), relu, dense(2)", "dense(4), relu, dropout(0), dense(2)"] {
            let model: Sequential = text.parse().unwrap();
            assert_eq!(planned_model(&model), model);
            let none = StepFactors::of(&model, &Loss::CROSS_ENTROPY);
            assert_eq!(none, StepFactors { dropout: 1.0, smoothing: 1.0 });
        }
        assert_eq!(planned_loss(Loss::CROSS_ENTROPY), Loss::CROSS_ENTROPY);
    }
}
