//! Decides which epoch is the best so far, and whether the run should stop.
//!
//! In: a metric's value as each epoch ends. Out: whether to keep the epoch, whether to stop.
//! Absent on purpose: weights and devices.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::train::options::KeepWeights;
use crate::train::{Metric, TrainOptions};

/// Why a run ended before its last epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStop {
    /// The epoch after which the run ended, from 1.
    pub epoch: u32,
    /// Metric of the validation rows that was watched.
    pub metric: Metric,
    /// Epochs without an improvement.
    pub patience: u32,
    /// Difference by which an epoch has to be better than the best to count as an improvement.
    pub delta: f64,
}

impl fmt::Display for EarlyStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, metric, patience, delta } = self;
        let moved = if metric.higher_is_better() { "risen" } else { "fallen" };
        let by = if *delta > 0.0 { format!(" by more than {delta}") } else { String::new() };
        let epochs = if *patience == 1 { "epoch" } else { "epochs" };
        write!(
            f,
            "stopped after epoch {epoch}: valid {metric} has not {moved}{by} for {patience} {epochs}"
        )
    }
}

/// Judges a run's epochs by a metric.
#[derive(Clone, Debug)]
pub(in crate::train) struct EarlyStopping {
    metric: Metric,
    keep: KeepWeights,
    patience: Option<u32>,
    delta: f64,
    /// True if of epochs of equal value the last is kept.
    keep_later: bool,
    marks: EarlyStoppingState,
}

/// Best values of the epochs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EarlyStoppingState {
    /// Best value so far.
    #[serde(rename = "best")]
    best: Option<f64>,
    /// The value that has to be improved by `delta`, and its epoch.
    #[serde(rename = "mark")]
    mark: Option<(f64, u32)>,
    /// Epochs since then without a value: patience does not run out on them.
    #[serde(rename = "without", default, skip_serializing_if = "is_zero")]
    without: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl EarlyStoppingState {
    /// True if `epochs` epochs can have led to this state.
    pub(in crate::train) fn fits(&self, epochs: u32) -> bool {
        let since = self.mark.map_or(0, |(_, epoch)| epoch);
        since.checked_add(self.without).is_some_and(|epoch| epoch <= epochs)
    }
}

impl EarlyStopping {
    pub(in crate::train) fn new(options: &TrainOptions) -> Self {
        Self {
            metric: options.stop_metric,
            keep: options.keeps(),
            patience: options.stop_patience,
            delta: options.stop_delta,
            keep_later: options.keep_later,
            marks: EarlyStoppingState::default(),
        }
    }

    pub(in crate::train) fn marks(&self) -> EarlyStoppingState {
        self.marks
    }

    /// Restores the state after earlier epochs.
    pub(in crate::train) fn restore_state(&mut self, marks: EarlyStoppingState) {
        self.marks = marks;
    }

    pub(in crate::train) fn metric(&self) -> Metric {
        self.metric
    }

    /// Records an epoch, counted from 1, by its value; an epoch without a value is neither better nor worse. Returns
    /// whether its weights are to be kept instead of an earlier epoch's.
    pub(in crate::train) fn observe(&mut self, epoch: u32, value: Option<f64>) -> bool {
        let better = |value: f64, than: Option<f64>, by: f64| match than {
            None => true,
            Some(than) if self.metric.higher_is_better() => value > than + by,
            Some(than) => value < than - by,
        };
        // While no epoch has a value, the newest counts as the best.
        let equal = value.is_some() && value == self.marks.best;
        let best = value
            .map_or(self.marks.best.is_none(), |value| better(value, self.marks.best, 0.0))
            || self.keep_later && equal;
        // The best epoch needs any improvement, patience one of at least `delta`: so slow progress is kept and still ends.
        let marks = value
            .is_some_and(|value| better(value, self.marks.mark.map(|(mark, _)| mark), self.delta));
        if best {
            self.marks.best = value;
        }
        if marks {
            self.marks.mark = value.map(|value| (value, epoch));
            self.marks.without = 0;
        } else if value.is_none() {
            self.marks.without += 1;
        }
        best || self.keep == KeepWeights::Last
    }

    /// Returns why to stop after this epoch, if so.
    pub(in crate::train) fn stop(&self, epoch: u32) -> Option<EarlyStop> {
        let patience = self.patience?;
        let since = self.marks.mark.map_or(0, |(_, epoch)| epoch);
        let Self { metric, delta, .. } = *self;
        (epoch - since - self.marks.without >= patience).then_some(EarlyStop {
            epoch,
            metric,
            patience,
            delta,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs that are kept, and the one after which the run stops.
    fn judged(options: TrainOptions, values: &[Option<f64>]) -> (Vec<u32>, Option<u32>) {
        let mut watch = EarlyStopping::new(&options);
        let mut kept = Vec::new();
        for (epoch, &value) in (1..).zip(values) {
            if watch.observe(epoch, value) {
                kept.push(epoch);
            }
            if let Some(stopped) = watch.stop(epoch) {
                return (kept, Some(stopped.epoch));
            }
        }
        (kept, None)
    }

    #[test]
    fn the_best_is_kept_and_patience_ends() {
        let patient = TrainOptions { stop_patience: Some(2), ..TrainOptions::default() };
        let falling = [3.0, 2.0, 2.5, 1.0, 1.0, 1.5, 0.5].map(Some);
        assert_eq!(judged(patient.clone(), &falling), (vec![1, 2, 4], Some(6)));
        let rising = TrainOptions { stop_metric: Metric::Accuracy, ..patient.clone() };
        assert_eq!(judged(rising, &falling), (vec![1], Some(3)));
        // Small improvements are kept, but gain no time.
        let coarse = TrainOptions { stop_delta: 0.75, ..patient.clone() };
        assert_eq!(judged(coarse, &[3.0, 2.5, 2.4, 1.0].map(Some)), (vec![1, 2, 3], Some(3)));
        let last = TrainOptions { keep: Some(KeepWeights::Last), ..patient.clone() };
        assert_eq!(judged(last, &falling).0, [1, 2, 3, 4, 5, 6]);
        // An equal value is kept where it is asked for, and gains no time.
        let later = TrainOptions { keep_later: true, ..patient.clone() };
        assert_eq!(judged(later, &falling), (vec![1, 2, 4, 5], Some(6)));
        let best = TrainOptions { keep: Some(KeepWeights::Best), ..TrainOptions::default() };
        assert_eq!(judged(best, &falling), (vec![1, 2, 4, 7], None));
        assert_eq!(judged(TrainOptions::default(), &falling).0.len(), 7);
    }

    #[test]
    fn epochs_without_a_value_are_neither_better_nor_worse() {
        let patient = TrainOptions { stop_patience: Some(2), ..TrainOptions::default() };
        assert_eq!(judged(patient.clone(), &[None, None, Some(1.0)]), (vec![1, 2, 3], None));
        assert_eq!(judged(patient.clone(), &[None; 9]), ((1..=9).collect(), None));
        let values = [None, Some(1.0), None, Some(0.5), None];
        assert_eq!(judged(patient.clone(), &values), (vec![1, 2, 4], None));
        // The second epoch that is no better is the fifth.
        let values = [Some(1.0), Some(2.0), None, None, Some(2.0), Some(0.5)];
        assert_eq!(judged(patient, &values), (vec![1], Some(5)));
    }

    #[test]
    fn marks_of_earlier_versions_are_read_and_impossible_ones_refused() {
        let marks: EarlyStoppingState =
            serde_json::from_str(r#"{"best":1.0,"mark":[1.0,3]}"#).unwrap();
        assert!(marks.fits(3) && !marks.fits(2));
        let text = serde_json::to_string(&marks).unwrap();
        assert!(!text.contains("without"), "{text}");
        let marks = EarlyStoppingState { without: 2, ..marks };
        assert!(marks.fits(5) && !marks.fits(4));
        assert!(!EarlyStoppingState { without: u32::MAX, ..marks }.fits(u32::MAX));
        assert_eq!(
            serde_json::from_str::<EarlyStoppingState>(&serde_json::to_string(&marks).unwrap())
                .unwrap(),
            marks
        );
    }
}
