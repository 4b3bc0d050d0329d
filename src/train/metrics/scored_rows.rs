//! Rows with targets and predictions, from which every figure but the loss follows.
//!
//! Rows of weight 0 are left out.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::outputs::{Predictions, point_place, point_predictions};
use super::classes::{self, ConfusionCounts};
use super::compensated_sum::Mean;
use super::rows::{Counted, Weights};
use super::{Metric, numbers};
use crate::data::{Preprocessing, Targets};
use crate::graph::Loss;
use crate::shape::narrow;

/// Lower and upper ends of the rows' intervals.
pub(crate) type IntervalEnds<'a> = (Cow<'a, [f64]>, Cow<'a, [f64]>);

/// Targets and predictions, side by side.
#[derive(Clone, Debug, PartialEq)]
pub enum ScoredRows {
    /// Of classes.
    Classes {
        /// Each row's class.
        truth: Vec<u32>,
        /// Probabilities `[rows, classes]`.
        probabilities: Vec<f64>,
        /// The class that each row was taken for.
        best: Vec<u32>,
        /// How much each row counts.
        weights: Weights,
        /// How often each class was right.
        tally: ConfusionCounts,
    },
    /// Of numbers, in the target's own units.
    Numbers {
        /// Each row's number.
        truth: Vec<f64>,
        /// Prediction of each row.
        predicted: Vec<f64>,
        /// How much each row counts.
        weights: Weights,
        /// Uncertainty of the predictions.
        spread: Uncertainty,
    },
    /// Of several columns. A figure is the mean of theirs, and labels count as two classes each; but precision, recall and F1
    /// of labels are of their yes.
    Columns {
        /// Each column's.
        parts: Vec<Self>,
        /// True if all labels of a row are right, for each row; `None` for numbers.
        right: Option<Vec<bool>>,
    },
}

/// Uncertainty that a loss predicts besides the number.
#[derive(Clone, Debug, PartialEq)]
pub enum Uncertainty {
    /// Nothing.
    None,
    /// Each quantile, with its value for each row.
    Quantiles(Vec<(f64, Vec<f64>)>),
    /// Each row's mean and standard deviation.
    Normal(Vec<f64>, Vec<f64>),
}

impl Uncertainty {
    /// Of the values `[rows, outputs]` that are told of all targets, that of one.
    fn of(told: &[f64], (column, columns): (usize, usize), loss: &Loss) -> Self {
        let each = loss.outputs_each();
        let values = |place: usize| -> Vec<f64> {
            // There may be no rows.
            let mine = told.get(column * each + place..).unwrap_or_default();
            mine.iter().step_by(columns * each).copied().collect()
        };
        match loss {
            Loss::Pinball(quantiles) => {
                let shares = quantiles.as_slice().iter().enumerate();
                Self::Quantiles(shares.map(|(place, &share)| (share, values(place))).collect())
            }
            Loss::GaussianNll { .. } => Self::Normal(values(0), values(1)),
            _ => Self::None,
        }
    }

    /// The values of a quantile, if it is one of those predicted.
    pub(super) fn quantile(&self, wanted: f64) -> Option<&[f64]> {
        let Self::Quantiles(all) = self else { return None };
        all.iter().find(|(share, _)| *share == wanted).map(|(_, values)| values.as_slice())
    }

    /// Lower and upper end of each row's interval: the lowest and the highest quantile, or the ends of the central 95 % of a normal distribution.
    pub fn interval(&self) -> Option<IntervalEnds<'_>> {
        match self {
            Self::Quantiles(all) => match &all[..] {
                [(_, low), .., (_, high)] => Some((low.into(), high.into())),
                _ => None,
            },
            Self::Normal(mean, std) => {
                let (low, high) = numbers::gaussian_interval(mean, std, 0.95);
                Some((low.into(), high.into()))
            }
            Self::None => None,
        }
    }
}

/// Predictions of rows, with the one value that figures need.
struct RowsToScore {
    predictions: Predictions,
    /// Of labels `[rows, labels]`: true for yes.
    yes: Vec<bool>,
    /// Of numbers `[rows, targets]`, in the target's own units; none where only quantiles besides the median are predicted.
    points: Vec<f64>,
}

impl ScoredRows {
    /// Of raw outputs `[rows, outputs]`, and targets and weights as they stand in the table.
    pub fn of(
        outputs: &[f32],
        targets: (&Targets, Option<&[f64]>),
        preparation: &Preprocessing,
        loss: &Loss,
    ) -> Self {
        Self::of_counted(&Counted::of(outputs, targets), preparation, loss)
    }

    /// Scores rows, after masked ones and rows of weight 0 were left out.
    pub(super) fn of_counted(rows: &Counted<'_>, preparation: &Preprocessing, loss: &Loss) -> Self {
        let (outputs, targets) = (&*rows.outputs, &*rows.targets);
        let predictions = Predictions::new(outputs, preparation, loss);
        // Outputs are logits, so 0 is a probability of one half.
        let yes: Vec<bool> = match &predictions {
            Predictions::Labels(_) => outputs.iter().map(|&output| output > 0.0).collect(),
            _ => Vec::new(),
        };
        // A loss may predict quantiles or a variance; figures need one number for each target, in the target's own units, as users
        // read the figures.
        let points: Vec<f64> = match (&predictions, targets.columns()) {
            (Predictions::Numbers(_), Some((_, columns))) => {
                let points = point_predictions(outputs, columns, loss).unwrap_or_default();
                let restored =
                    |(at, &point): (usize, &f32)| preparation.restore_target(point, at % columns);
                points.iter().enumerate().map(restored).collect()
            }
            _ => Vec::new(),
        };
        let predicted = RowsToScore { predictions, yes, points };
        Self::of_predicted(predicted, (targets, &rows.weights), preparation, loss)
    }

    /// Scores predictions in the target's own units, as [`Predictor::predict`](crate::train::Predictor::predict) returns them, of rows
    /// whose weights are above 0.
    pub fn of_predictions(
        predictions: Predictions,
        (targets, weights): (&Targets, Option<&[f64]>),
        preparation: &Preprocessing,
        loss: &Loss,
    ) -> Self {
        let half = if loss.gives_scores() { 0.0 } else { 0.5 };
        let (mut yes, mut points) = (Vec::new(), Vec::new());
        match &predictions {
            Predictions::Labels(told) => yes = told.iter().map(|&told| told > half).collect(),
            Predictions::Numbers(told) => {
                let of = |place: usize| told.iter().skip(place).step_by(loss.outputs_each());
                points = point_place(loss).map(of).into_iter().flatten().copied().collect();
            }
            Predictions::Classes { .. } => {}
        }
        let predicted = RowsToScore { predictions, yes, points };
        Self::of_predicted(predicted, (targets, &weights.map(Arc::from)), preparation, loss)
    }

    fn of_predicted(
        RowsToScore { predictions, yes, points }: RowsToScore,
        (targets, weights): (&Targets, &Weights),
        preparation: &Preprocessing,
        loss: &Loss,
    ) -> Self {
        // Losses of the hinge kind give scores instead of probabilities.
        let scores = loss.gives_scores();
        match (predictions, targets.columns()) {
            (Predictions::Classes { best, probabilities }, _) => {
                let Targets::Classes(truth) = targets else { return Self::none() };
                let classes = preparation.schema.outputs();
                let best: Vec<u32> = best.into_iter().map(narrow).collect();
                let tally = ConfusionCounts::of(truth, &best, weights.as_deref(), classes);
                let (truth, weights) = (truth.clone(), weights.clone());
                Self::Classes { truth, probabilities, best, weights, tally }
            }
            // Each label is a choice between two classes, so the same figures serve.
            (Predictions::Labels(told), Some((truth, columns))) => {
                let parts = (0..columns).map(|column| {
                    let of = |yes: &dyn Fn(usize) -> bool| -> Vec<u32> {
                        let column = (column..truth.len()).step_by(columns);
                        column.map(|at| u32::from(yes(at))).collect()
                    };
                    let (truth, best) = (of(&|at| truth[at] > 0.0), of(&|at| yes[at]));
                    let positive = told.iter().skip(column).step_by(columns);
                    let probabilities =
                        positive.flat_map(|&p| [if scores { -p } else { 1.0 - p }, p]).collect();
                    let tally = ConfusionCounts::of(&truth, &best, weights.as_deref(), 2);
                    Self::Classes { truth, probabilities, best, weights: weights.clone(), tally }
                });
                // A row is right only if all its labels are.
                let pairs = yes.chunks_exact(columns).zip(truth.chunks_exact(columns));
                let right = pairs
                    .map(|(yes, truth)| yes.iter().zip(truth).all(|(&yes, &y)| yes == (y > 0.0)));
                let right = Some(right.collect());
                Self::Columns { parts: parts.collect(), right }
            }
            (Predictions::Numbers(told), Some((truth, columns))) => {
                let part = |column: usize| {
                    let truth = truth.iter().skip(column).step_by(columns);
                    let points = points.iter().skip(column).step_by(columns);
                    Self::Numbers {
                        truth: truth.copied().collect(),
                        predicted: points.copied().collect(),
                        weights: weights.clone(),
                        spread: Uncertainty::of(&told, (column, columns), loss),
                    }
                };
                // A single column keeps its own figures, several are averaged.
                match columns {
                    1 => part(0),
                    _ => {
                        let parts = (0..columns).map(part).collect();
                        Self::Columns { parts, right: None }
                    }
                }
            }
            // The schema of a preprocessing is that of its targets, so other pairs cannot occur.
            _ => Self::none(),
        }
    }

    fn none() -> Self {
        let (truth, predicted) = (Vec::new(), Vec::new());
        Self::Numbers { truth, predicted, weights: None, spread: Uncertainty::None }
    }

    /// Returns the weights of the rows; `None` if all rows weigh the same.
    pub(super) fn weights(&self) -> Option<&[f64]> {
        match self {
            Self::Classes { weights, .. } | Self::Numbers { weights, .. } => weights.as_deref(),
            Self::Columns { parts, .. } => parts.first()?.weights(),
        }
    }

    /// Returns a figure; `None` if it is not defined for these rows, or belongs to other targets. The loss of the network
    /// is not among the figures.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        let value = match self {
            Self::Classes { truth, probabilities, weights, tally, .. } => {
                let weights = weights.as_deref();
                let rows = classes::ClassRows { truth, probabilities, weights };
                match metric {
                    Metric::TopK(k) => classes::top_k(rows, k),
                    Metric::LogLoss => classes::log_loss(rows),
                    Metric::Brier => classes::brier(rows),
                    Metric::RocAuc => classes::roc_auc(rows),
                    Metric::AveragePrecision => classes::average_precision(rows),
                    Metric::CalibrationError(bins) => classes::calibration_error(rows, bins),
                    _ => tally.figure(metric),
                }
            }
            Self::Numbers { truth, predicted, weights, spread } => {
                let weights = weights.as_deref();
                let rows = numbers::NumberRows { truth, predicted, weights };
                match metric {
                    Metric::R2 => numbers::r2(rows),
                    Metric::Mae => numbers::mae(rows),
                    Metric::Rmse => numbers::rmse(rows),
                    Metric::Mape => numbers::mape(rows),
                    Metric::MedianAbsoluteError => numbers::median_absolute_error(rows),
                    Metric::ExplainedVariance => numbers::explained_variance(rows),
                    // A network with quantiles is judged by its own quantile, others by their one prediction.
                    Metric::Pinball(quantile) => {
                        let predicted = spread.quantile(quantile).unwrap_or(predicted);
                        numbers::pinball(numbers::NumberRows { predicted, ..rows }, quantile)
                    }
                    Metric::Coverage => {
                        let (low, high) = spread.interval()?;
                        numbers::coverage(numbers::NumberRows { predicted: &low, ..rows }, &high)
                    }
                    _ => None,
                }
            }
            // Of several labels, accuracy counts rows in which all are right.
            Self::Columns { right: Some(right), .. } if metric == Metric::Accuracy => {
                let mut share = Mean::default();
                share.extend(shares(right), self.weights());
                share.value()
            }
            // Counts of hits can be pooled over labels, which macro and micro averages need.
            Self::Columns { parts, right: Some(_) } if metric.of_hits() => {
                let tallies = parts.iter().filter_map(|part| match part {
                    Self::Classes { tally, .. } => Some(tally.clone()),
                    _ => None,
                });
                classes::of_labels(&tallies.collect::<Vec<_>>(), metric)
            }
            // All other figures of several columns are the mean of the columns' figures.
            Self::Columns { parts, .. } => {
                let each: Option<Vec<f64>> = parts.iter().map(|part| part.figure(metric)).collect();
                each.map(|each| each.iter().sum::<f64>() / each.len() as f64)
            }
        };
        // 0 / 0 has no value, which is not the same as 0.
        value.filter(|value| value.is_finite())
    }
}

/// 1 for each row that is right, else 0.
pub(super) fn shares(right: &[bool]) -> impl Iterator<Item = f64> {
    right.iter().map(|&right| f64::from(u8::from(right)))
}
