//! Curves behind figures: the ROC curve behind its area, precision and recall behind average precision, the bins behind the
//! calibration error.

use super::classes::{ClassRows, bin_of, calibration_error, likeliest, rows_of};
use super::compensated_sum::each;
use super::ranking::Scores;
use crate::data::SharedTempFile;

/// Points of a curve that are kept at most, about.
const POINTS: f64 = 400.0;

/// Curves of the scores of one class against all others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RankingCurves {
    /// Points (false positive rate, true positive rate) from the highest threshold to the lowest, as scikit-learn's `roc_curve` has
    /// them; empty without a row of the class, or without another one. Points that a line through its neighbours nearly holds are
    /// left out.
    pub roc: Vec<(f64, f64)>,
    /// Area below the ROC curve, see [`roc_auc`](super::classes::roc_auc).
    pub roc_auc: Option<f64>,
    /// Points (recall, precision) from the highest threshold to the lowest, beginning at (0, 1), as `precision_recall_curve` has them;
    /// empty without a row of the class.
    pub precision_recall: Vec<(f64, f64)>,
    /// Average precision, see [`average_precision`](super::classes::average_precision).
    pub average_precision: Option<f64>,
}

/// Computes the curves of one class.
pub fn ranking_curves(rows: ClassRows<'_>, class: usize) -> RankingCurves {
    let all = rows_of(rows.truth, rows.probabilities).zip(each(rows.weights));
    let mut scores: Vec<(f64, f64, bool)> = all
        .filter(|(_, weight)| *weight > 0.0)
        .map(|((truth, row), weight)| (row[class], weight, truth == class))
        .collect();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let sum =
        |of_it: bool| -> f64 { scores.iter().filter(|it| it.2 == of_it).map(|it| it.1).sum() };
    let (positives, negatives) = (sum(true), sum(false));
    let (mut hits, mut misses) = (0.0, 0.0);
    let (mut roc, mut precision_recall) = (vec![(0.0, 0.0)], vec![(0.0, 1.0)]);
    for (at, (score, weight, of_it)) in scores.iter().enumerate() {
        *(if *of_it { &mut hits } else { &mut misses }) += weight;
        // Equal scores are one threshold.
        if scores.get(at + 1).is_some_and(|next| next.0.total_cmp(score).is_eq()) {
            continue;
        }
        roc.push((misses / negatives, hits / positives));
        precision_recall.push((hits / positives, hits / (hits + misses)));
    }
    let ranking = ranking_of(rows, class);
    let there = |curve: Vec<(f64, f64)>, is_defined: bool| {
        if is_defined { thinned(curve) } else { Vec::new() }
    };
    RankingCurves {
        roc: there(roc, positives > 0.0 && negatives > 0.0),
        roc_auc: ranking.0,
        precision_recall: there(precision_recall, positives > 0.0),
        average_precision: ranking.1,
    }
}

/// Area below the ROC curve, and average precision.
fn ranking_of(rows: ClassRows<'_>, class: usize) -> (Option<f64>, Option<f64>) {
    let mut scores = Scores::new(usize::MAX, &SharedTempFile::default());
    // All scores are in memory, where nothing can fail.
    let ranking = scores.add(rows, class).and_then(|()| scores.ranking()).ok();
    (ranking.and_then(|it| it.roc_auc), ranking.and_then(|it| it.average_precision))
}

/// Leaves out points in the middle of straight pieces, and points that are too near to the last one to be seen.
fn thinned(curve: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let Some(&last) = curve.last() else { return curve };
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (at, &point) in curve.iter().enumerate() {
        let (Some(&before), Some(&after)) = (kept.last(), curve.get(at + 1)) else {
            kept.push(point);
            continue;
        };
        let straight = (point.0 - before.0) * (after.1 - before.1)
            - (point.1 - before.1) * (after.0 - before.0);
        let near = (point.0 - before.0).abs() + (point.1 - before.1).abs() < 1.0 / POINTS;
        if straight.abs() > 1e-15 && (!near || curve.len() as f64 <= POINTS) {
            kept.push(point);
        }
    }
    if kept.last() != Some(&last) {
        kept.push(last);
    }
    kept
}

/// Rows whose confidence is in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConfidenceBin {
    /// Mean of the largest probabilities.
    pub confidence: f64,
    /// Share of rows that are right.
    pub accuracy: f64,
    /// Sum of the rows' weights; of an empty bin 0, and so is all else.
    pub weight: f64,
}

/// Returns bins of equal width by confidence, and the calibration error over them, see
/// [`super::classes::calibration_error`].
pub fn calibration_bins(rows: ClassRows<'_>, bins: usize) -> (Vec<ConfidenceBin>, Option<f64>) {
    let mut all = vec![ConfidenceBin::default(); bins];
    for ((truth, row), weight) in rows_of(rows.truth, rows.probabilities).zip(each(rows.weights)) {
        let best = likeliest(row);
        let bin = &mut all[bin_of(row[best], bins)];
        bin.confidence += weight * row[best];
        bin.accuracy += if best == truth { weight } else { 0.0 };
        bin.weight += weight;
    }
    for bin in all.iter_mut().filter(|bin| bin.weight > 0.0) {
        bin.confidence /= bin.weight;
        bin.accuracy /= bin.weight;
    }
    (all, calibration_error(rows, bins))
}
