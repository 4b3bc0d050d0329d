//! Submissions under way: how many steps each should hold, and the losses they bring back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::plan::WINDOW;

/// How long one submission should take: well below what systems' watchdogs allow.
const AIM: Duration = Duration::from_millis(90);
/// Submissions in flight at most: one runs, one waits.
pub(super) const DEPTH: usize = 2;

/// Measures steps and says how many to submit at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SubmissionSizer {
    /// Smoothed time of a step.
    step: Option<Duration>,
    /// Steps of the largest submission so far.
    last: u32,
}

impl SubmissionSizer {
    /// Steps for the next submission: one at first, then no more than four times the last.
    pub(super) fn steps_per_submission(&self) -> u32 {
        let Some(step) = self.step else { return 1 };
        let fit = AIM.as_nanos() / step.as_nanos().max(1);
        let most = self.last.saturating_mul(4).min(WINDOW as u32);
        u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, most.max(1))
    }

    pub(super) fn submitted(&mut self, steps: u32) {
        // The rest of an epoch or window may be short: that says nothing about the next.
        self.last = self.last.max(steps);
    }

    pub(super) fn measured(&mut self, steps: u32, time: Duration) {
        let step = time / steps.max(1);
        self.step = Some(self.step.map_or(step, |before| (before + step) / 2));
    }
}

/// Where it is told that a buffer was mapped.
pub(super) type MappedReceiver = std::sync::mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>;

/// A submission that may not be done yet.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) index: wgpu::SubmissionIndex,
    pub(super) training: bool,
    pub(super) steps: u32,
    pub(super) at: Instant,
    /// Which staging buffer gets the losses, and whether it is mapped.
    pub(super) staging: Option<(usize, MappedReceiver)>,
    /// Which pair of timestamps it writes, and whether it is mapped; `None` unless somebody measures.
    pub(super) stamp: Option<(usize, MappedReceiver)>,
}

/// Submissions in order, oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) waiting: VecDeque<Submitted>,
    pub(super) train: SubmissionSizer,
    pub(super) eval: SubmissionSizer,
    pub(super) done_at: Option<Instant>,
    /// Submissions so far: the staging buffers are taken in turn.
    pub(super) count: usize,
}

impl InFlight {
    /// Notes that a submission is done, and learns from how long it took, which it returns.
    pub(super) fn landed(&mut self, submitted: &Submitted) -> Duration {
        let now = Instant::now();
        // It could not start before the one before it was done.
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
