//! What came of rows, from which every figure but the loss follows.

use super::super::Predictions;
use super::super::predict::points;
use super::classes::{self, Tally};
use super::{Metric, numbers};
use crate::data::{Preparation, Targets};
use crate::graph::Loss;
use crate::shape::narrow;

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
    /// Of several columns. A figure is the mean of theirs; labels count as two classes each.
    Columns {
        /// Each column's.
        parts: Vec<Self>,
        /// Share of rows all of whose labels are right; `None` for numbers.
        accuracy: Option<f64>,
    },
}

impl Outcomes {
    /// Of raw outputs `[rows, outputs]` and targets as they stand in the table.
    pub fn of(outputs: &[f32], targets: &Targets, preparation: &Preparation, loss: Loss) -> Self {
        let scores = matches!(loss, Loss::Hinge { .. } | Loss::BinaryHinge { .. });
        match (Predictions::new(outputs, preparation, loss), targets.columns()) {
            (Predictions::Classes { best, probabilities }, _) => {
                let Targets::Classes(truth) = targets else { return Self::none() };
                let classes = probabilities.len() / truth.len().max(1);
                let best: Vec<u32> = best.into_iter().map(narrow).collect();
                let tally = Tally::of(truth, &best, classes);
                Self::Classes { truth: truth.clone(), probabilities, best, tally }
            }
            (Predictions::Labels(told), Some((truth, columns))) => {
                let parts = (0..columns).map(|column| {
                    let of = |values: &[f32]| -> Vec<u32> {
                        let column = values[column..].iter().step_by(columns);
                        column.map(|&value| u32::from(value > 0.0)).collect()
                    };
                    let (truth, best) = (of(truth), of(outputs));
                    let yes = told[column..].iter().step_by(columns);
                    let probabilities =
                        yes.flat_map(|&p| [if scores { -p } else { 1.0 - p }, p]).collect();
                    let tally = Tally::of(&truth, &best, 2);
                    Self::Classes { truth, probabilities, best, tally }
                });
                let pairs = outputs.chunks_exact(columns).zip(truth.chunks_exact(columns));
                let right = pairs.filter(|(outputs, truth)| {
                    outputs.iter().zip(*truth).all(|(&x, &y)| (x > 0.0) == (y > 0.0))
                });
                let accuracy = Some(right.count() as f64 / (truth.len() / columns) as f64);
                Self::Columns { parts: parts.collect(), accuracy }
            }
            (Predictions::Numbers(_), Some((truth, columns))) => {
                let points = points(outputs, columns, loss);
                let part = |column: usize| {
                    let truth = truth[column..].iter().step_by(columns);
                    let points = points[column..].iter().step_by(columns);
                    Self::Numbers {
                        truth: truth.copied().map(f64::from).collect(),
                        predicted: points
                            .map(|&point| preparation.restore_target(point, column))
                            .collect(),
                    }
                };
                match columns {
                    1 => part(0),
                    _ => {
                        let parts = (0..columns).map(part).collect();
                        Self::Columns { parts, accuracy: None }
                    }
                }
            }
            // The schema of a preparation is that of its targets.
            _ => Self::none(),
        }
    }

    fn none() -> Self {
        Self::Numbers { truth: Vec::new(), predicted: Vec::new() }
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
            Self::Columns { accuracy, .. } if metric == Metric::Accuracy => *accuracy,
            Self::Columns { parts, .. } => {
                let each: Option<Vec<f64>> = parts.iter().map(|part| part.figure(metric)).collect();
                each.map(|each| each.iter().sum::<f64>() / each.len() as f64)
            }
        };
        value.filter(|value| value.is_finite())
    }
}
