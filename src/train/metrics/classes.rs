//! Figures of predicted classes and their probabilities, over slices in f64; definitions are those of
//! `sklearn.metrics`, with `zero_division=0` and the weights of rows as `sample_weight`.
//!
//! Probabilities lie row by row, `[rows, classes]`. Rows of weight 0 count as absent. `None` where a figure is not defined: without rows, or where
//! a class that it needs does not occur.

use std::ops::Range;

use super::compensated_sum::{CompensatedSum, Mean, each};
use super::ranking::{Ranking, Scores};
use super::{ClassAverage, Metric};
use crate::data::SharedTempFile;

/// How often each class was right, occurred and was predicted, by the weights of rows: all that figures of predicted classes
/// need.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionCounts {
    hits: Vec<CompensatedSum>,
    weights: Vec<CompensatedSum>,
    predicted: Vec<CompensatedSum>,
    rows: Vec<u64>,
}

/// Weights of a class: of the rows that were rightly taken for it, of its rows, and of all rows taken for it.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: f64,
    rows: f64,
    predicted: f64,
}

impl Counts {
    fn precision(self) -> f64 {
        share(self.hits, self.predicted)
    }

    fn recall(self) -> f64 {
        share(self.hits, self.rows)
    }

    fn f1(self) -> f64 {
        share(2.0 * self.hits, self.rows + self.predicted)
    }
}

/// A figure of a class's counts.
type OfCounts = fn(Counts) -> f64;

/// The figure of counts that a metric averages; `None` for other metrics.
fn averaged(metric: Metric) -> Option<(ClassAverage, OfCounts)> {
    match metric {
        Metric::Precision(average) => Some((average, Counts::precision)),
        Metric::Recall(average) => Some((average, Counts::recall)),
        Metric::F1(average) => Some((average, Counts::f1)),
        _ => None,
    }
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
    /// Rows of it; those of weight 0 are left out.
    pub rows: u64,
    /// Total weight of these rows: their number where all weigh 1.
    pub weight: f64,
    /// Total weight of the rows that were predicted as this class.
    pub predicted: f64,
}

/// Number of rows of each class that were taken for each, whatever they weigh; a list for each true class
/// (`confusion_matrix`).
pub fn confusion(truth: &[u32], predicted: &[u32], classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    for (&y, &p) in truth.iter().zip(predicted) {
        counts[y as usize][p as usize] += 1;
    }
    counts
}

impl ConfusionCounts {
    /// Counts; classes are numbers below the count of classes.
    pub fn of(truth: &[u32], predicted: &[u32], weights: Option<&[f64]>, classes: usize) -> Self {
        let none = || vec![CompensatedSum::default(); classes];
        let (hits, weighed, taken) = (none(), none(), none());
        let mut tally = Self { hits, weights: weighed, predicted: taken, rows: vec![0; classes] };
        tally.add(truth, predicted, weights);
        tally
    }

    /// Counts further rows.
    pub fn add(&mut self, truth: &[u32], predicted: &[u32], weights: Option<&[f64]>) {
        let rows = truth.iter().zip(predicted).zip(each(weights));
        for ((&y, &p), weight) in rows.filter(|(_, weight)| *weight > 0.0) {
            self.rows[y as usize] += 1;
            self.weights[y as usize].add(weight);
            self.predicted[p as usize].add(weight);
            if y == p {
                self.hits[y as usize].add(weight);
            }
        }
    }

    /// Weights of each class.
    fn each(&self) -> impl Iterator<Item = Counts> {
        let counts = self.hits.iter().zip(&self.weights).zip(&self.predicted);
        counts.map(|((hits, rows), predicted)| Counts {
            hits: hits.value(),
            rows: rows.value(),
            predicted: predicted.value(),
        })
    }

    /// Figures of each class.
    pub fn figures(&self) -> Vec<ClassFigures> {
        let figures = |(counts, &rows): (Counts, &u64)| ClassFigures {
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            rows,
            weight: counts.rows,
            predicted: counts.predicted,
        };
        self.each().zip(&self.rows).map(figures).collect()
    }

    /// A figure that follows from these counts alone; `None` for others.
    pub(super) fn figure(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Accuracy => self.accuracy(),
            Metric::BalancedAccuracy => self.balanced_accuracy(),
            Metric::Matthews => self.matthews(),
            _ => {
                let (average, of) = averaged(metric)?;
                self.average(average, of)
            }
        }
    }

    /// The sums of all classes.
    fn all(&self) -> Counts {
        let mut all = [CompensatedSum::default(); 3];
        for class in self.each() {
            all[0].add(class.hits);
            all[1].add(class.rows);
            all[2].add(class.predicted);
        }
        let [hits, rows, predicted] = all.map(CompensatedSum::value);
        Counts { hits, rows, predicted }
    }

    /// Share of rows whose class is right (`accuracy_score`)
    pub fn accuracy(&self) -> Option<f64> {
        let Counts { hits, rows, .. } = self.all();
        (rows > 0.0).then(|| share(hits, rows))
    }

    /// Mean recall of the classes that occur among the targets (`balanced_accuracy_score`)
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let there = self.figures().into_iter().filter(|class| class.rows > 0);
        mean(there.map(|class| class.recall))
    }

    /// One figure of classes, averaged (`precision_score`, `recall_score`, `f1_score`). Where each row has one class, the
    /// micro average of all three is the accuracy.
    fn average(&self, average: ClassAverage, of: OfCounts) -> Option<f64> {
        match average {
            ClassAverage::Micro => self.accuracy(),
            ClassAverage::Macro => {
                let there = |class: &Counts| class.rows > 0.0 || class.predicted > 0.0;
                mean(self.each().filter(there).map(of))
            }
            ClassAverage::Binary => {
                let mut classes = self.each();
                let positive = classes.nth(1).filter(|_| classes.next().is_none());
                positive.filter(|_| self.rows.iter().any(|&rows| rows > 0)).map(of)
            }
        }
    }

    /// Gorodkin's form of Matthews' correlation for any number of classes; 0 where targets or predictions are all alike
    /// (`matthews_corrcoef`)
    pub fn matthews(&self) -> Option<f64> {
        let Counts { hits: right, rows: all, .. } = self.all();
        let (mut both, mut of_truth, mut of_predicted) = (0.0, 0.0, 0.0);
        let (mut occurring, mut taken) = (0, 0);
        for Counts { rows, predicted, .. } in self.each() {
            both += rows * predicted;
            of_truth += rows * rows;
            of_predicted += predicted * predicted;
            occurring += usize::from(rows > 0.0);
            taken += usize::from(predicted > 0.0);
        }
        let spread = (all * all - of_predicted) * (all * all - of_truth);
        // Counted, since sums of weights are rounded.
        let alike = occurring < 2 || taken < 2 || spread <= 0.0;
        let value = if alike { 0.0 } else { (right * all - both) / spread.sqrt() };
        (all > 0.0).then_some(value)
    }
}

/// Precision, recall and F1 of labels, each a tally of its no and its yes: of the yes alone, as scikit-learn's for a matrix of
/// labels. The micro average is over all labels together. `None` for other metrics.
pub(super) fn of_labels(labels: &[ConfusionCounts], metric: Metric) -> Option<f64> {
    let (average, of) = averaged(metric)?;
    let yes = || labels.iter().filter_map(|label| label.each().nth(1));
    if !labels.iter().any(|label| label.rows.iter().any(|&rows| rows > 0)) {
        return None;
    }
    match average {
        ClassAverage::Macro => mean(yes().map(of)),
        ClassAverage::Micro => Some(of(yes().fold(Counts::default(), |all, label| Counts {
            hits: all.hits + label.hits,
            rows: all.rows + label.rows,
            predicted: all.predicted + label.predicted,
        }))),
        ClassAverage::Binary => yes().next().filter(|_| labels.len() == 1).map(of),
    }
}

/// A ratio of weights; 0 of nothing.
fn share(part: f64, all: f64) -> f64 {
    if all == 0.0 { 0.0 } else { part / all }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    Mean::of(values)
}

fn weighted(values: impl Iterator<Item = f64>, weights: Option<&[f64]>) -> Option<f64> {
    let mut mean = Mean::default();
    mean.extend(values, weights);
    mean.value()
}

/// Arguments of a figure of probabilities.
#[derive(Clone, Copy, Debug)]
pub struct ClassRows<'a> {
    /// Each row's class.
    pub truth: &'a [u32],
    /// Probabilities `[rows, classes]`.
    pub probabilities: &'a [f64],
    /// Weight of each row; `None` where all count the same.
    pub weights: Option<&'a [f64]>,
}

/// Each row's class and probabilities.
pub(super) fn rows_of<'a>(
    truth: &'a [u32],
    probabilities: &'a [f64],
) -> impl ExactSizeIterator<Item = (usize, &'a [f64])> + 'a {
    let classes = probabilities.len().checked_div(truth.len()).unwrap_or(0).max(1);
    truth.iter().map(|&class| class as usize).zip(probabilities.chunks_exact(classes))
}

/// Share of rows whose class is among the k likeliest; of equal probabilities the later class counts as likelier
/// (`top_k_accuracy_score`)
pub fn top_k(ClassRows { truth, probabilities, weights }: ClassRows<'_>, k: usize) -> Option<f64> {
    weighted(top_k_hits(truth, probabilities, k), weights)
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
pub fn log_loss(ClassRows { truth, probabilities, weights }: ClassRows<'_>) -> Option<f64> {
    weighted(log_losses(truth, probabilities), weights)
}

/// Returns the log loss of each row.
pub(super) fn log_losses<'a>(
    truth: &'a [u32],
    probabilities: &'a [f64],
) -> impl Iterator<Item = f64> + 'a {
    let kept = |p: f64| p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    rows_of(truth, probabilities).map(move |(class, row)| -kept(row[class]).ln())
}

/// Mean (p₁ − y)² for two classes, else mean Σₖ (pₖ − \[y = k\])² (`brier_score_loss`)
pub fn brier(ClassRows { truth, probabilities, weights }: ClassRows<'_>) -> Option<f64> {
    weighted(distances(truth, probabilities), weights)
}

/// Returns the squared distance of each row.
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

/// Mean over bins of equal width, weighted by what their rows weigh, of |accuracy − mean confidence|, both weighted means, where
/// the confidence is the largest probability (Guo et al. 2017, arXiv:1706.04599). A bin holds its upper end; of equal
/// probabilities the first is taken.
pub fn calibration_error(rows: ClassRows<'_>, bins: usize) -> Option<f64> {
    let mut all = Bins::new(bins);
    all.add(rows);
    all.value()
}

/// Returns the likeliest class of a row; of equal probabilities the first.
pub(super) fn likeliest(row: &[f64]) -> usize {
    let mut best = 0;
    for (class, p) in row.iter().enumerate() {
        if *p > row[best] {
            best = class;
        }
    }
    best
}

/// Bins of equal width, and by how much more often rows in each are right than they are confident.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bins {
    sums: Vec<CompensatedSum>,
    weight: CompensatedSum,
}

impl Bins {
    pub(super) fn new(bins: usize) -> Self {
        Self { sums: vec![CompensatedSum::default(); bins], weight: CompensatedSum::default() }
    }

    pub(super) fn add(&mut self, ClassRows { truth, probabilities, weights }: ClassRows<'_>) {
        let rows = rows_of(truth, probabilities).zip(each(weights));
        for ((class, row), weight) in rows.filter(|(_, weight)| *weight > 0.0) {
            let best = likeliest(row);
            let bin = bin_of(row[best], self.sums.len());
            self.sums[bin].add(weight * (f64::from(u8::from(best == class)) - row[best]));
            self.weight.add(weight);
        }
    }

    pub(super) fn value(&self) -> Option<f64> {
        let sum: f64 = self.sums.iter().map(|sum| sum.value().abs()).sum();
        let weight = self.weight.value();
        (weight > 0.0).then(|| sum / weight)
    }
}

/// The bin of equal width, upper end included, that holds a confidence.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of bins"
)]
pub(super) fn bin_of(confidence: f64, bins: usize) -> usize {
    let above = (confidence * bins as f64).ceil().clamp(1.0, bins as f64);
    // NaN, which is reported to whoever predicts it, falls into the first bin.
    (above as usize).saturating_sub(1)
}

/// Share of pairs of a row that is of a class and one that is not whose scores are in that order, ties counted half
/// (`roc_auc_score`). For two classes it is the second one's; for more, the mean over classes (`multi_class="ovr"`).
/// `None` unless each class occurs, and another one.
pub fn roc_auc(rows: ClassRows<'_>) -> Option<f64> {
    over_classes(&rankings(rows)?, |ranking| ranking.roc_auc)
}

/// Σ (Rₙ − Rₙ₋₁) Pₙ over thresholds n, from the highest (`average_precision_score`). For two classes it is the second
/// one's; for more, the mean over classes. `None` unless each of these classes occurs, for which scikit-learn warns and puts 0.
pub fn average_precision(rows: ClassRows<'_>) -> Option<f64> {
    over_classes(&rankings(rows)?, |ranking| ranking.average_precision)
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

/// Returns the ranking of each class's scores, all in memory, where nothing can fail.
fn rankings(rows: ClassRows<'_>) -> Option<Vec<Ranking>> {
    let classes = ranked(rows.probabilities.len().checked_div(rows.truth.len())?);
    let of = |class: usize| {
        let mut scores = Scores::new(usize::MAX, &SharedTempFile::default());
        scores.add(rows, class).and_then(|()| scores.ranking()).ok()
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
        ClassRows { truth, probabilities: p, weights }: ClassRows<'_>,
        class: usize,
    ) -> crate::error::Result<()> {
        let mut rows = rows_of(truth, p).zip(each(weights));
        rows.try_for_each(|((y, row), weight)| self.push(row[class], weight, y == class))
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
        let none = ConfusionCounts::of(&[], &[], None, 3);
        assert_eq!(
            (none.accuracy(), none.balanced_accuracy(), none.matthews()),
            (None, None, None)
        );
        for average in [ClassAverage::Macro, ClassAverage::Micro, ClassAverage::Binary] {
            assert_eq!(none.figure(Metric::F1(average)), None);
            assert_eq!(
                of_labels(&[ConfusionCounts::of(&[], &[], None, 2)], Metric::F1(average)),
                None
            );
            assert_eq!(of_labels(&[], Metric::F1(average)), None);
        }
        let rows = ClassRows { truth: &[], probabilities: &[], weights: None };
        assert_eq!((top_k(rows, 2), brier(rows), roc_auc(rows)), (None, None, None));
        assert_eq!((log_loss(rows), calibration_error(rows, 10)), (None, None));
        assert_eq!(average_precision(rows), None);
        // As good as absent.
        let (truth, probabilities) = (&[0, 1][..], &[0.5, 0.5, 0.25, 0.75][..]);
        let rows = ClassRows { truth, probabilities, weights: Some(&[0.0, 0.0]) };
        assert_eq!((top_k(rows, 1), brier(rows), roc_auc(rows)), (None, None, None));
        assert_eq!(ConfusionCounts::of(&[0, 1], &[1, 1], rows.weights, 2).accuracy(), None);
    }

    #[test]
    fn weights_that_are_no_whole_numbers_do_not_blur_what_is_alike() {
        let weights = [0.1, 0.2, 0.3, 0.7, 1.1, 0.4];
        let tally = ConfusionCounts::of(&[0, 1, 2, 0, 1, 2], &[1; 6], Some(&weights), 3);
        assert_eq!(tally.matthews(), Some(0.0));
        let tally = ConfusionCounts::of(&[2; 6], &[0, 1, 2, 0, 1, 2], Some(&weights), 3);
        assert_eq!(tally.matthews(), Some(0.0));
    }

    #[test]
    fn labels_count_their_yes_alone() {
        // hits 1, yes 2, taken for yes 1; hits 0, yes 1, taken for yes 2.
        let labels = [
            ConfusionCounts::of(&[1, 1, 0, 0], &[1, 0, 0, 0], None, 2),
            ConfusionCounts::of(&[0, 0, 0, 1], &[1, 1, 0, 0], None, 2),
        ];
        let of = |metric: fn(ClassAverage) -> Metric, by| of_labels(&labels, metric(by)).unwrap();
        assert_eq!(of(Metric::Precision, ClassAverage::Macro), 0.5);
        assert_eq!(of(Metric::Precision, ClassAverage::Micro), 1.0 / 3.0);
        assert_eq!(of(Metric::Recall, ClassAverage::Macro), 0.25);
        assert_eq!(of(Metric::Recall, ClassAverage::Micro), 1.0 / 3.0);
        assert_eq!(of(Metric::F1, ClassAverage::Macro), 1.0 / 3.0);
        assert_eq!(of_labels(&labels, Metric::F1(ClassAverage::Binary)), None, "of which label?");
        assert_eq!(of_labels(&labels[..1], Metric::Recall(ClassAverage::Binary)), Some(0.5));
        assert_eq!(of_labels(&labels, Metric::Accuracy), None);
    }
}
