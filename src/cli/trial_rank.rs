//! The order of a sweep's trials.
//!
//! In: what decides the place of two trials. Out: which is better.
//! Absent on purpose: results and their files.

use std::cmp::Ordering;

use crate::train::Metric;

/// Figures that decide a trial's place among others.
pub(super) struct TrialRank {
    /// The metric; `None` if it has no value.
    pub(super) value: Option<f64>,
    /// Larger for a trial that successive halving let go on for longer.
    pub(super) stage: usize,
    pub(super) trial: usize,
}

impl TrialRank {
    /// Compares two trials. The better one is less; a later stage is before others, and a trial without a value last.
    pub(super) fn order(&self, other: &Self, metric: Metric) -> Ordering {
        let sign = if metric.higher_is_better() { -1.0 } else { 1.0 };
        let place =
            |it: &Self| it.value.filter(|it| it.is_finite()).map_or(f64::INFINITY, |it| sign * it);
        (self.value.is_none().cmp(&other.value.is_none()))
            .then(other.stage.cmp(&self.stage))
            .then(place(self).total_cmp(&place(other)))
            .then(self.trial.cmp(&other.trial))
    }
}
