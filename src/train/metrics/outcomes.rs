//! What came of rows, from which every figure but the loss follows.

use std::borrow::Cow;

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
        /// What was predicted besides.
        spread: Spread,
    },
    /// Of several columns. A figure is the mean of theirs; labels count as two classes each.
    Columns {
        /// Each column's.
        parts: Vec<Self>,
        /// Rows, and those of them all of whose labels are right; `None` for numbers.
        right: Option<(usize, usize)>,
    },
}

/// What a loss predicts of a number besides the number.
#[derive(Clone, Debug, PartialEq)]
pub enum Spread {
    /// Nothing.
    None,
    /// Each quantile, with its value for each row.
    Quantiles(Vec<(f64, Vec<f64>)>),
    /// Each row's mean and standard deviation.
    Normal(Vec<f64>, Vec<f64>),
}

/// The lower ends of intervals and the upper ones, a row each.
type Interval<'a> = (Cow<'a, [f64]>, Cow<'a, [f64]>);

impl Spread {
    /// Of the values `[rows, outputs]` that are told of all targets, that of one.
    fn of(told: &[f64], (column, columns): (usize, usize), loss: Loss) -> Self {
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

    /// The lowest and the highest quantile, or the ends of the central 95 % of a normal distribution.
    pub(super) fn interval(&self) -> Option<Interval<'_>> {
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
                    let of = |yes: &dyn Fn(usize) -> bool| -> Vec<u32> {
                        let column = (column..truth.len()).step_by(columns);
                        column.map(|at| u32::from(yes(at))).collect()
                    };
                    let (truth, best) = (of(&|at| truth[at] > 0.0), of(&|at| outputs[at] > 0.0));
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
                let right = Some((truth.len() / columns, right.count()));
                Self::Columns { parts: parts.collect(), right }
            }
            (Predictions::Numbers(told), Some((truth, columns))) => {
                let points = points(outputs, columns, loss);
                let part = |column: usize| {
                    let truth = truth[column..].iter().step_by(columns);
                    let points = points[column..].iter().step_by(columns);
                    Self::Numbers {
                        truth: truth.copied().collect(),
                        predicted: points
                            .map(|&point| preparation.restore_target(point, column))
                            .collect(),
                        spread: Spread::of(&told, (column, columns), loss),
                    }
                };
                match columns {
                    1 => part(0),
                    _ => {
                        let parts = (0..columns).map(part).collect();
                        Self::Columns { parts, right: None }
                    }
                }
            }
            // The schema of a preparation is that of its targets.
            _ => Self::none(),
        }
    }

    fn none() -> Self {
        Self::Numbers { truth: Vec::new(), predicted: Vec::new(), spread: Spread::None }
    }

    /// One figure; `None` where it is not defined for these rows, or belongs to other targets. The loss, which is the
    /// network's own, is none of them.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        let value = match self {
            Self::Classes { truth, probabilities, tally, .. } => {
                let p = probabilities.as_slice();
                match metric {
                    Metric::TopK(k) => classes::top_k(truth, p, k),
                    Metric::LogLoss => classes::log_loss(truth, p),
                    Metric::Brier => classes::brier(truth, p),
                    Metric::RocAuc => classes::roc_auc(truth, p),
                    Metric::AveragePrecision => classes::average_precision(truth, p),
                    Metric::CalibrationError(bins) => classes::calibration_error(truth, p, bins),
                    _ => tally.figure(metric),
                }
            }
            Self::Numbers { truth, predicted, spread } => match metric {
                Metric::R2 => numbers::r2(truth, predicted),
                Metric::Mae => numbers::mae(truth, predicted),
                Metric::Rmse => numbers::rmse(truth, predicted),
                Metric::Mape => numbers::mape(truth, predicted),
                Metric::MedianAbsoluteError => numbers::median_absolute_error(truth, predicted),
                Metric::ExplainedVariance => numbers::explained_variance(truth, predicted),
                Metric::Pinball(quantile) => {
                    let predicted = spread.quantile(quantile).unwrap_or(predicted);
                    numbers::pinball(truth, predicted, quantile)
                }
                Metric::Coverage => {
                    let (low, high) = spread.interval()?;
                    numbers::coverage(truth, &low, &high)
                }
                _ => None,
            },
            Self::Columns { right, .. } if metric == Metric::Accuracy => {
                right.map(|(rows, right)| right as f64 / rows as f64)
            }
            Self::Columns { parts, .. } => {
                let each: Option<Vec<f64>> = parts.iter().map(|part| part.figure(metric)).collect();
                each.map(|each| each.iter().sum::<f64>() / each.len() as f64)
            }
        };
        value.filter(|value| value.is_finite())
    }
}
