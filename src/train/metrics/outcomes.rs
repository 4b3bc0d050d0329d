//! What came of rows, from which every figure but the loss follows.

use super::super::Predictions;
use super::classes::{self, Tally};
use super::{Metric, numbers};
use crate::data::{Preparation, Targets};

/// Targets and predictions, side by side.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcomes {
    /// Of classes.
    Classes {
        /// Each row's class.
        truth: Vec<u32>,
        /// Probabilities `[rows, classes]`.
        probabilities: Vec<f64>,
        /// The class that each row was taken for.
        best: Vec<u32>,
        /// How often each class was right.
        tally: Tally,
    },
    /// Of numbers, in the target's own units.
    Numbers {
        /// Each row's number.
        truth: Vec<f64>,
        /// What was predicted for it.
        predicted: Vec<f64>,
    },
}

impl Outcomes {
    /// Of raw outputs `[rows, outputs]` and targets as they stand in the table.
    pub fn of(outputs: &[f32], targets: &Targets, preparation: &Preparation) -> Self {
        match (Predictions::new(outputs, preparation), targets) {
            (Predictions::Classes { best, probabilities }, Targets::Classes(truth)) => {
                let classes = probabilities.len() / truth.len().max(1);
                let best: Vec<u32> = best.into_iter().map(crate::shape::narrow).collect();
                let tally = Tally::of(truth, &best, classes);
                Self::Classes { truth: truth.clone(), probabilities, best, tally }
            }
            (Predictions::Numbers(predicted), Targets::Numbers(truth)) => {
                Self::Numbers { truth: truth.iter().copied().map(f64::from).collect(), predicted }
            }
            // The schema of a preparation is that of its targets.
            _ => Self::Numbers { truth: Vec::new(), predicted: Vec::new() },
        }
    }

    /// One figure; `None` where it is not defined for these rows, or belongs to other targets. The loss, which is the
    /// network's own, is none of them.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        let value = match self {
            Self::Classes { truth, probabilities, tally, .. } => {
                let p = probabilities.as_slice();
                match metric {
                    Metric::Accuracy => tally.accuracy(),
                    Metric::BalancedAccuracy => tally.balanced_accuracy(),
                    Metric::TopK(k) => classes::top_k(truth, p, k),
                    Metric::Precision(by) => tally.average(by, |class| class.precision),
                    Metric::Recall(by) => tally.average(by, |class| class.recall),
                    Metric::F1(by) => tally.average(by, |class| class.f1),
                    Metric::Matthews => tally.matthews(),
                    Metric::LogLoss => classes::log_loss(truth, p),
                    Metric::Brier => classes::brier(truth, p),
                    Metric::RocAuc => classes::roc_auc(truth, p),
                    Metric::AveragePrecision => classes::average_precision(truth, p),
                    Metric::CalibrationError(bins) => classes::calibration_error(truth, p, bins),
                    _ => None,
                }
            }
            Self::Numbers { truth, predicted } => match metric {
                Metric::R2 => numbers::r2(truth, predicted),
                Metric::Mae => numbers::mae(truth, predicted),
                Metric::Rmse => numbers::rmse(truth, predicted),
                Metric::Mape => numbers::mape(truth, predicted),
                Metric::MedianAbsoluteError => numbers::median_absolute_error(truth, predicted),
                Metric::ExplainedVariance => numbers::explained_variance(truth, predicted),
                Metric::Pinball(quantile) => numbers::pinball(truth, predicted, quantile),
                _ => None,
            },
        };
        value.filter(|value| value.is_finite())
    }
}
