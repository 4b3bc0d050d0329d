//! Submissions under way: the number of steps that each should have, and the losses that each brings back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::host::Instant;
use crate::plan::WINDOW;

/// Time that one submission should take: well below the limits of systems' watchdogs.
const AIM: Duration = Duration::from_millis(90);
/// Largest number of submissions in flight: one runs, one waits.
pub(super) const DEPTH: usize = 2;

/// Measures steps and decides how many to submit at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SubmissionSizer {
    /// Smoothed time of a step.
    step: Option<Duration>,
    /// Steps of the largest submission so far.
    last: u32,
}

impl SubmissionSizer {
    /// Returns the steps of the next submission: one at first, then at most four times the largest one before.
    pub(super) fn steps_per_submission(&self) -> u32 {
        let Some(step) = self.step else { return 1 };
        let fit = AIM.as_nanos() / step.as_nanos().max(1);
        let most = self.last.saturating_mul(4).min(WINDOW as u32);
        // At most four times the largest one so far, since the first measurements of a step are rough.
        u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, most.max(1))
    }

    /// Notes the size of a submission.
    pub(super) fn submitted(&mut self, steps: u32) {
        // The rest of an epoch or window may be short, and says nothing about the next submission.
        self.last = self.last.max(steps);
    }

    /// Notes how long steps took.
    pub(super) fn measured(&mut self, steps: u32, time: Duration) {
        let step = time / steps.max(1);
        // Half of the old value damps single outliers.
        self.step = Some(self.step.map_or(step, |before| (before + step) / 2));
    }
}

/// Channel on which wgpu reports that a buffer was mapped.
pub(super) type MappedReceiver = std::sync::mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>;

/// A submission that may not be done yet.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) index: wgpu::SubmissionIndex,
    pub(super) training: bool,
    pub(super) steps: u32,
    /// Members whose losses come back, one after the other; empty for one network.
    pub(super) members: Vec<u32>,
    pub(super) at: Instant,
    /// Index of the staging buffer that gets the losses, and the channel that reports its mapping.
    pub(super) staging: Option<(usize, MappedReceiver)>,
    /// Index of the pair of timestamps that the submission writes, and the channel that reports its mapping; `None` unless
    /// somebody measures.
    pub(super) stamp: Option<(usize, MappedReceiver)>,
}

impl Submitted {
    /// Returns the bytes of the losses that come back.
    pub(super) fn loss_bytes(&self) -> u64 {
        4 * u64::from(self.steps) * self.members.len().max(1) as u64
    }
}

/// Submissions in order, oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) waiting: VecDeque<Submitted>,
    pub(super) train: SubmissionSizer,
    pub(super) eval: SubmissionSizer,
    pub(super) done_at: Option<Instant>,
    /// Number of submissions so far: the staging buffers are used in turn.
    pub(super) count: usize,
}

impl InFlight {
    /// Notes that a submission is done, updates the time of a step, and returns how long the submission took.
    pub(super) fn landed(&mut self, submitted: &Submitted) -> Duration {
        let now = Instant::now();
        // A submission cannot start before the one before it is done.
        let start = self.done_at.map_or(submitted.at, |done| done.max(submitted.at));
        let pace = if submitted.training { &mut self.train } else { &mut self.eval };
        let time = now.saturating_duration_since(start);
        pace.measured(submitted.steps, time);
        self.done_at = Some(now);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_grow_by_measure() {
        let mut pace = SubmissionSizer::default();
        assert_eq!(pace.steps_per_submission(), 1);
        pace.submitted(1);
        pace.measured(1, Duration::from_millis(1));
        assert_eq!(pace.steps_per_submission(), 4);
        pace.submitted(1000);
        assert_eq!(pace.steps_per_submission(), 90);
        pace.measured(1, Duration::from_secs(3));
        assert_eq!(pace.steps_per_submission(), 1);
    }
}
