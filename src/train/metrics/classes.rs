//! Figures of predicted classes and their probabilities, over slices in f64; definitions are those of
//! `sklearn.metrics`, with `zero_division=0`.
//!
//! Probabilities lie row by row, `[rows, classes]`. `None` where a figure is not defined: without rows, or where
//! a class that it needs does not occur.

use std::ops::Range;

use super::ranking::{Ranking, Scores};
use super::sums::{Mean, Sum};
use super::{Average, Metric};
use crate::data::Scratch;

/// How often each class was right, occurred and was predicted: all that figures of predicted classes need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    hits: Vec<u64>,
    rows: Vec<u64>,
    predicted: Vec<u64>,
}

/// Figures of one class: `sklearn.metrics.precision_recall_fscore_support`; 0 where they would divide by 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassFigures {
    /// Share of the rows that were taken for it and are of it.
    pub precision: f64,
    /// Share of its rows that were taken for it.
    pub recall: f64,
    /// 2 · precision · recall / (precision + recall)
    pub f1: f64,
    /// Rows of it.
    pub rows: u64,
    /// Rows taken for it.
    pub predicted: u64,
}

/// How often each class was taken for each, a list for each true class (`confusion_matrix`).
pub fn confusion(truth: &[u32], predicted: &[u32], classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    for (&y, &p) in truth.iter().zip(predicted) {
        counts[y as usize][p as usize] += 1;
    }
    counts
}

impl Tally {
    /// Counts; classes are numbers below the count of classes.
    pub fn of(truth: &[u32], predicted: &[u32], classes: usize) -> Self {
        let none = || vec![0; classes];
        let mut tally = Self { hits: none(), rows: none(), predicted: none() };
        tally.add(truth, predicted);
        tally
    }

    /// Counts further rows.
    pub fn add(&mut self, truth: &[u32], predicted: &[u32]) {
        for (&y, &p) in truth.iter().zip(predicted) {
            self.rows[y as usize] += 1;
            self.predicted[p as usize] += 1;
            self.hits[y as usize] += u64::from(y == p);
        }
    }

    /// Hits, rows and predictions of each class.
    fn each(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let counts = self.hits.iter().zip(&self.rows).zip(&self.predicted);
        counts.map(|((&hits, &rows), &predicted)| (hits, rows, predicted))
    }

    /// Figures of each class.
    pub fn figures(&self) -> Vec<ClassFigures> {
        let figures = |(hits, rows, predicted)| ClassFigures {
            precision: share(hits, predicted),
            recall: share(hits, rows),
            f1: share(2 * hits, rows + predicted),
            rows,
            predicted,
        };
        self.each().map(figures).collect()
    }

    /// A figure that follows from these counts alone; `None` for others.
    pub(super) fn figure(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Accuracy => self.accuracy(),
            Metric::BalancedAccuracy => self.balanced_accuracy(),
            Metric::Precision(by) => self.average(by, |class| class.precision),
            Metric::Recall(by) => self.average(by, |class| class.recall),
            Metric::F1(by) => self.average(by, |class| class.f1),
            Metric::Matthews => self.matthews(),
            _ => None,
        }
    }

    /// Share of rows whose class is right (`accuracy_score`)
    pub fn accuracy(&self) -> Option<f64> {
        let (hits, rows): (u64, u64) = (self.hits.iter().sum(), self.rows.iter().sum());
        (rows > 0).then(|| share(hits, rows))
    }

    /// Mean recall of the classes that occur among the targets (`balanced_accuracy_score`)
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let there = self.figures().into_iter().filter(|class| class.rows > 0);
        mean(there.map(|class| class.recall))
    }

    /// One figure of classes, averaged (`precision_score`, `recall_score`, `f1_score`). Where each row has one class, the
    /// micro average of all three is the accuracy.
    pub fn average(&self, average: Average, of: impl Fn(ClassFigures) -> f64) -> Option<f64> {
        match average {
            Average::Micro => self.accuracy(),
            Average::Macro => {
                let there = |class: &ClassFigures| class.rows > 0 || class.predicted > 0;
                mean(self.figures().into_iter().filter(there).map(of))
            }
        }
    }

    /// Gorodkin's form of Matthews' correlation for any number of classes; 0 where targets or predictions are all alike
    /// (`matthews_corrcoef`)
    pub fn matthews(&self) -> Option<f64> {
        let (mut right, mut all) = (0.0, 0.0);
        let (mut both, mut of_truth, mut of_predicted) = (0.0, 0.0, 0.0);
        for (hits, rows, predicted) in self.each() {
            let (rows, predicted) = (rows as f64, predicted as f64);
            right += hits as f64;
            all += rows;
            both += rows * predicted;
            of_truth += rows * rows;
            of_predicted += predicted * predicted;
        }
        let spread = (all * all - of_predicted) * (all * all - of_truth);
        let value = if spread == 0.0 { 0.0 } else { (right * all - both) / spread.sqrt() };
        (all > 0.0).then_some(value)
    }
}

/// A ratio of counts; 0 of nothing.
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    Mean::of(values).value()
}

/// Each row's class and probabilities.
fn rows_of<'a>(
    truth: &'a [u32],
    probabilities: &'a [f64],
) -> impl ExactSizeIterator<Item = (usize, &'a [f64])> + 'a {
    let classes = probabilities.len().checked_div(truth.len()).unwrap_or(0).max(1);
    truth.iter().map(|&class| class as usize).zip(probabilities.chunks_exact(classes))
}

/// Share of rows whose class is among the k likeliest; of equal probabilities the later class counts as likelier
/// (`top_k_accuracy_score`)
pub fn top_k(truth: &[u32], probabilities: &[f64], k: usize) -> Option<f64> {
    mean(top_k_hits(truth, probabilities, k))
}

/// 1 for each row whose class is among the k likeliest, else 0.
pub(super) fn top_k_hits<'a>(
    truth: &'a [u32],
    probabilities: &'a [f64],
    k: usize,
) -> impl Iterator<Item = f64> + 'a {
    rows_of(truth, probabilities).map(move |(class, row)| {
        let before = row
            .iter()
            .enumerate()
            .filter(|&(other, &p)| p > row[class] || (p == row[class] && other > class));
        f64::from(u8::from(before.count() < k))
    })
}

/// Mean −log of the probability of the right class, kept within ε and 1 − ε of f64 (`log_loss`)
pub fn log_loss(truth: &[u32], probabilities: &[f64]) -> Option<f64> {
    mean(log_losses(truth, probabilities))
}

/// That of each row.
pub(super) fn log_losses<'a>(
    truth: &'a [u32],
    probabilities: &'a [f64],
) -> impl Iterator<Item = f64> + 'a {
    let kept = |p: f64| p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    rows_of(truth, probabilities).map(move |(class, row)| -kept(row[class]).ln())
}

/// Mean (p₁ − y)² for two classes, else mean Σₖ (pₖ − \[y = k\])² (`brier_score_loss`)
pub fn brier(truth: &[u32], probabilities: &[f64]) -> Option<f64> {
    mean(distances(truth, probabilities))
}

/// That of each row.
pub(super) fn distances<'a>(
    truth: &'a [u32],
    probabilities: &'a [f64],
) -> impl Iterator<Item = f64> + 'a {
    rows_of(truth, probabilities).map(|(class, row)| {
        let of = |(k, p): (usize, &f64)| (p - f64::from(u8::from(k == class))).powi(2);
        let sum: f64 = row.iter().enumerate().map(of).sum();
        if row.len() == 2 { sum / 2.0 } else { sum }
    })
}

/// Mean over bins of equal width, weighted by rows, of |accuracy − mean confidence|, where the confidence is the largest
/// probability (Guo et al. 2017, arXiv:1706.04599). A bin holds its upper end; of equal probabilities the first is taken.
pub fn calibration_error(truth: &[u32], probabilities: &[f64], bins: usize) -> Option<f64> {
    let mut all = Bins::new(bins);
    all.add(truth, probabilities);
    all.value()
}

/// Bins of equal width, and by how much more often rows in each are right than they are confident.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bins {
    sums: Vec<Sum>,
    rows: u64,
}

impl Bins {
    pub(super) fn new(bins: usize) -> Self {
        Self { sums: vec![Sum::default(); bins], rows: 0 }
    }

    pub(super) fn add(&mut self, truth: &[u32], probabilities: &[f64]) {
        for (class, row) in rows_of(truth, probabilities) {
            let mut best = 0;
            for (other, p) in row.iter().enumerate() {
                if *p > row[best] {
                    best = other;
                }
            }
            let bin = bin_of(row[best], self.sums.len());
            self.sums[bin].add(f64::from(u8::from(best == class)) - row[best]);
            self.rows += 1;
        }
    }

    pub(super) fn value(&self) -> Option<f64> {
        let sum: f64 = self.sums.iter().map(|sum| sum.value().abs()).sum();
        (self.rows > 0).then(|| sum / self.rows as f64)
    }
}

/// The bin of equal width, upper end included, that holds a confidence.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of bins"
)]
fn bin_of(confidence: f64, bins: usize) -> usize {
    let above = (confidence * bins as f64).ceil().clamp(1.0, bins as f64);
    // What is no number, which whoever predicts it is told of, falls into the first.
    (above as usize).saturating_sub(1)
}

/// Share of pairs of a row that is of a class and one that is not whose scores are in that order, ties counted half
/// (`roc_auc_score`). For two classes it is the second one's; for more, the mean over classes (`multi_class="ovr"`).
/// `None` unless each class occurs, and another one.
pub fn roc_auc(truth: &[u32], probabilities: &[f64]) -> Option<f64> {
    over_classes(&rankings(truth, probabilities)?, |ranking| ranking.roc_auc)
}

/// Σ (Rₙ − Rₙ₋₁) Pₙ over thresholds n, from the highest (`average_precision_score`). For two classes it is the second
/// one's; for more, the mean over classes. A class that does not occur counts as 0.
pub fn average_precision(truth: &[u32], probabilities: &[f64]) -> Option<f64> {
    over_classes(&rankings(truth, probabilities)?, |ranking| Some(ranking.average_precision))
}

/// The classes whose scores are ranked: the second of two, else all.
pub(super) fn ranked(classes: usize) -> Range<usize> {
    if classes == 2 { 1..2 } else { 0..classes }
}

/// The mean over classes of what their scores come to; `None` where one has none.
pub(super) fn over_classes(
    rankings: &[Ranking],
    of: impl Fn(&Ranking) -> Option<f64>,
) -> Option<f64> {
    let figures: Option<Vec<f64>> = rankings.iter().map(of).collect();
    mean(figures?.into_iter())
}

/// What the scores of each class come to, all in memory, where nothing can fail.
fn rankings(truth: &[u32], probabilities: &[f64]) -> Option<Vec<Ranking>> {
    let classes = ranked(probabilities.len().checked_div(truth.len())?);
    let of = |class: usize| {
        let mut scores = Scores::new(usize::MAX, &Scratch::default());
        scores.add(truth, probabilities, class).and_then(|()| scores.ranking()).ok()
    };
    classes.map(of).collect()
}

impl Scores {
    /// Takes the scores of a class.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn add(
        &mut self,
        truth: &[u32],
        p: &[f64],
        class: usize,
    ) -> crate::error::Result<()> {
        rows_of(truth, p).try_for_each(|(y, row)| self.push(row[class], y == class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_their_upper_ends() {
        let bins = [0.0, 0.05, 0.1, 0.11, 0.9, 1.0, f64::NAN].map(|p| bin_of(p, 10));
        assert_eq!(bins, [0, 0, 0, 1, 8, 9, 0]);
    }

    #[test]
    fn nothing_is_not_defined() {
        let none = Tally::of(&[], &[], 3);
        assert_eq!(
            (none.accuracy(), none.balanced_accuracy(), none.matthews()),
            (None, None, None)
        );
        assert_eq!(none.average(Average::Macro, |class| class.f1), None);
        assert_eq!((top_k(&[], &[], 2), brier(&[], &[]), roc_auc(&[], &[])), (None, None, None));
        assert_eq!((log_loss(&[], &[]), calibration_error(&[], &[], 10)), (None, None));
        assert_eq!(average_precision(&[], &[]), None);
    }
}
