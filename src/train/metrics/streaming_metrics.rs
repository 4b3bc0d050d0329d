//! Figures of a table that is read in parts.
//!
//! In: [`ScoredRows`] of some rows after the others. Out: the figures of all rows, with the same bits as from all at once.
//! Absent on purpose: the loss; most rows. A figure is a sum over rows, but for those of the order of rows, whose scores lie in a
//! file where they are many: 8 bytes a row for the median, for two classes and for each label, and for each class of more; 16
//! where rows have weights.

use super::classes::{self, Bins, ClassFigures, ConfusionCounts};
use super::compensated_sum::{Mean, RootMeanSquare};
use super::numbers::{self, AbsoluteErrors, VarianceSums};
use super::ranking::Scores;
use super::scored_rows::{Uncertainty, shares};
use super::{Metric, ScoredRows};
use crate::data::SharedTempFile;
use crate::error::Result;

/// Number of scores and errors that are sorted in memory, all together: 8 MiB.
const SORTED: usize = 1 << 20;
/// Least number of these for one class or column.
const LEAST: usize = 512;

/// Some metrics over rows that are read in parts.
#[derive(Debug)]
pub struct TableFigures {
    asked: Vec<Metric>,
    /// Number of values that are sorted in memory.
    sorted: usize,
    scratch: SharedTempFile,
    /// State of each column of the target, once there are rows.
    columns: Vec<ColumnState>,
    /// Fraction of rows whose labels are all right; `None` if the target is not labels.
    right: Option<Mean>,
}

/// State of one column of the target.
#[derive(Debug)]
enum ColumnState {
    Classes { tally: ConfusionCounts, kept: Vec<MetricState>, scores: Vec<Scores> },
    Numbers { kept: Vec<MetricState> },
}

/// State of one metric.
#[derive(Debug)]
enum MetricState {
    /// The metric follows from the counts that all metrics share, or belongs to other targets.
    None,
    Mean(Mean),
    Root(RootMeanSquare),
    Bins(Bins),
    Fit(Box<VarianceSums>),
    Sizes(AbsoluteErrors),
}

impl TableFigures {
    /// Starts without rows.
    pub fn new(asked: Vec<Metric>) -> Self {
        Self::sorting(asked, SORTED)
    }

    /// Does the same as [`Self::new`], with this many numbers in memory for sorting.
    pub fn sorting(asked: Vec<Metric>, numbers: usize) -> Self {
        let (scratch, columns) = (SharedTempFile::default(), Vec::new());
        Self { asked, sorted: numbers, scratch, columns, right: None }
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// If a temporary file cannot be written.
    pub fn add(&mut self, outcomes: &ScoredRows) -> Result<()> {
        let parts = match outcomes {
            ScoredRows::Columns { parts, right } => {
                if let Some(right) = right {
                    let share = self.right.get_or_insert_default();
                    share.extend(shares(right), outcomes.weights());
                }
                parts.as_slice()
            }
            one => std::slice::from_ref(one),
        };
        // The first rows show how many columns and classes there are.
        if self.columns.is_empty() {
            let new = |part| self.column(part, parts.len());
            self.columns = parts.iter().map(new).collect();
        }
        let mut columns = self.columns.iter_mut().zip(parts);
        columns.try_for_each(|(column, part)| column.add(part, &self.asked))
    }

    /// Returns the empty state of one column of several.
    fn column(&self, part: &ScoredRows, columns: usize) -> ColumnState {
        // The memory for sorting is shared by all sorters, but each gets a useful least part.
        let most = |sorters: usize| (self.sorted / sorters.max(1)).max(LEAST.min(self.sorted));
        match part {
            ScoredRows::Classes { truth, probabilities, .. } => {
                let classes = probabilities.len() / truth.len().max(1);
                let kept = |metric: &Metric| match metric {
                    Metric::TopK(_) | Metric::LogLoss | Metric::Brier => {
                        MetricState::Mean(Mean::default())
                    }
                    Metric::CalibrationError(bins) => MetricState::Bins(Bins::new(*bins)),
                    _ => MetricState::None,
                };
                let of_order =
                    |metric: &Metric| matches!(metric, Metric::RocAuc | Metric::AveragePrecision);
                // Rankings are the only figures that store rows, so they are kept only on request.
                let ranked =
                    if self.asked.iter().any(of_order) { classes::ranked(classes) } else { 0..0 };
                let most = most(columns * ranked.len());
                ColumnState::Classes {
                    tally: ConfusionCounts::of(&[], &[], None, classes),
                    kept: self.asked.iter().map(kept).collect(),
                    scores: ranked.map(|_| Scores::new(most, &self.scratch)).collect(),
                }
            }
            _ => {
                let kept = |metric: &Metric| match metric {
                    Metric::R2 | Metric::ExplainedVariance => MetricState::Fit(Box::default()),
                    Metric::MedianAbsoluteError => {
                        // The errors of all rows are needed in order, so they are sorted.
                        MetricState::Sizes(AbsoluteErrors::new(most(columns), &self.scratch))
                    }
                    Metric::Rmse => MetricState::Root(RootMeanSquare::default()),
                    _ if metric.of_classes() == Some(false) => MetricState::Mean(Mean::default()),
                    _ => MetricState::None,
                };
                ColumnState::Numbers { kept: self.asked.iter().map(kept).collect() }
            }
        }
    }

    /// Returns the figures of each class; none if the target is not classes.
    pub fn classes(&self) -> Vec<ClassFigures> {
        match (self.columns.as_slice(), self.right) {
            ([ColumnState::Classes { tally, .. }], None) => tally.figures(),
            _ => Vec::new(),
        }
    }

    /// Returns the requested metrics, in their order, each as [`ScoredRows::figure`] computes it.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn finish(self) -> Result<Vec<(Metric, Option<f64>)>> {
        // Counts of hits are pooled over labels before a figure is computed from them.
        let labels = self.right.map(|_| {
            let tallies = self.columns.iter().filter_map(|column| match column {
                ColumnState::Classes { tally, .. } => Some(tally.clone()),
                ColumnState::Numbers { .. } => None,
            });
            tallies.collect::<Vec<_>>()
        });
        let columns: Result<Vec<Vec<Option<f64>>>> =
            self.columns.into_iter().map(|column| column.finish(&self.asked)).collect();
        let columns = columns?;
        let figure = |(place, metric): (usize, Metric)| {
            // The same cases as in `ScoredRows::figure`, so that both give the same number.
            let value = match (self.right, &labels) {
                (Some(right), _) if metric == Metric::Accuracy => right.value(),
                (_, Some(labels)) if metric.of_hits() => classes::of_labels(labels, metric),
                _ => {
                    let each: Option<Vec<f64>> = columns.iter().map(|all| all[place]).collect();
                    each.and_then(|each| Mean::of(each.into_iter()))
                }
            };
            (metric, value.filter(|value| value.is_finite()))
        };
        Ok(self.asked.into_iter().enumerate().map(figure).collect())
    }
}

impl ColumnState {
    fn add(&mut self, part: &ScoredRows, asked: &[Metric]) -> Result<()> {
        match (self, part) {
            (
                Self::Classes { tally, kept, scores },
                ScoredRows::Classes { truth, probabilities, best, weights, .. },
            ) => {
                let weights = weights.as_deref();
                tally.add(truth, best, weights);
                let p = probabilities.as_slice();
                let rows = classes::ClassRows { truth, probabilities: p, weights };
                for (kept, metric) in kept.iter_mut().zip(asked) {
                    match (kept, *metric) {
                        // Each of these metrics is a mean over rows, and differs only in the rows' values.
                        (MetricState::Mean(mean), Metric::TopK(k)) => {
                            mean.extend(classes::top_k_hits(truth, p, k), weights);
                        }
                        (MetricState::Mean(mean), Metric::LogLoss) => {
                            mean.extend(classes::log_losses(truth, p), weights);
                        }
                        (MetricState::Mean(mean), _) => {
                            mean.extend(classes::distances(truth, p), weights)
                        }
                        (MetricState::Bins(bins), _) => bins.add(rows),
                        _ => {}
                    }
                }
                let ranked = classes::ranked(p.len() / truth.len().max(1));
                scores.iter_mut().zip(ranked).try_for_each(|(it, class)| it.add(rows, class))
            }
            (Self::Numbers { kept }, ScoredRows::Numbers { truth, predicted, weights, spread }) => {
                let rows = numbers::NumberRows { truth, predicted, weights: weights.as_deref() };
                let mut pairs = kept.iter_mut().zip(asked);
                pairs.try_for_each(|(kept, &metric)| kept.add(metric, rows, spread))
            }
            _ => Ok(()),
        }
    }

    fn finish(self, asked: &[Metric]) -> Result<Vec<Option<f64>>> {
        match self {
            Self::Classes { tally, kept, scores } => {
                let rankings: Result<Vec<_>> = scores.into_iter().map(Scores::ranking).collect();
                let rankings = rankings?;
                let figure = |(kept, metric): (MetricState, &Metric)| match (kept, *metric) {
                    (MetricState::Mean(mean), _) => mean.value(),
                    (MetricState::Bins(bins), _) => bins.value(),
                    (_, Metric::RocAuc) => classes::over_classes(&rankings, |it| it.roc_auc),
                    (_, Metric::AveragePrecision) => {
                        classes::over_classes(&rankings, |it| it.average_precision)
                    }
                    (_, metric) => tally.figure(metric),
                };
                Ok(kept.into_iter().zip(asked).map(figure).collect())
            }
            Self::Numbers { kept } => {
                kept.into_iter().zip(asked).map(|(kept, metric)| kept.finish(*metric)).collect()
            }
        }
    }
}

impl MetricState {
    /// Adds rows of numbers.
    fn add(
        &mut self,
        metric: Metric,
        rows: numbers::NumberRows<'_>,
        spread: &Uncertainty,
    ) -> Result<()> {
        let numbers::NumberRows { truth, predicted, weights } = rows;
        match self {
            Self::Fit(fit) => fit.add(rows),
            Self::Sizes(sizes) => return sizes.add(rows),
            Self::Root(root) => root.extend(numbers::errors(truth, predicted), weights),
            Self::Mean(mean) => match metric {
                Metric::Mae => mean.extend(numbers::sizes(truth, predicted), weights),
                Metric::Mape => mean.extend(numbers::shares(truth, predicted), weights),
                // The network's own quantile, or its one prediction if it has none.
                Metric::Pinball(quantile) => {
                    let predicted = spread.quantile(quantile).unwrap_or(predicted);
                    mean.extend(numbers::pinballs(truth, predicted, quantile), weights);
                }
                _ => {
                    if let Some((low, high)) = spread.interval() {
                        mean.extend(numbers::inside(truth, &low, &high), weights);
                    }
                }
            },
            Self::None | Self::Bins(_) => {}
        }
        Ok(())
    }

    /// Returns the figure of a metric of numbers.
    fn finish(self, metric: Metric) -> Result<Option<f64>> {
        Ok(match (self, metric) {
            (Self::Fit(fit), Metric::R2) => fit.r2(),
            (Self::Fit(fit), _) => fit.explained_variance(),
            (Self::Sizes(sizes), _) => sizes.median()?,
            (Self::Root(root), _) => root.value(),
            (Self::Mean(mean), _) => mean.value(),
            _ => None,
        })
    }
}
