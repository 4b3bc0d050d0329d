//! The log of losses, and the slot that marks skipped steps: `log_loss`, `check_finite`, `rescale`.

use std::ops::Range;

use super::super::Real;
use super::super::kernels;
use super::{Slots, StepWork, disjoint};
use crate::plan::StepParams;

#[derive(Debug)]
pub(super) enum ScalingStep {
    /// The losses of rows, and the log.
    LogLoss([Range<usize>; 2]),
    /// The gradients, the log and the slot.
    CheckFinite { loss: bool, floats: [Range<usize>; 3] },
    /// The slot, and the log.
    Rescale { scaled: bool, guarded: bool, floats: [Range<usize>; 2] },
}

pub(super) fn log_loss(slots: &Slots<'_>) -> StepWork {
    StepWork::Scaling(ScalingStep::LogLoss(slots.floats(["row_loss", "log_out"])))
}

pub(super) fn check_finite(slots: &Slots<'_>, loss: bool) -> StepWork {
    let floats = slots.floats(["gradient", "log_in", "scaling"]);
    StepWork::Scaling(ScalingStep::CheckFinite { loss, floats })
}

pub(super) fn rescale(slots: &Slots<'_>, scaled: bool, guarded: bool) -> StepWork {
    let floats = slots.floats(["scaling", "log_out"]);
    StepWork::Scaling(ScalingStep::Rescale { scaled, guarded, floats })
}

impl ScalingStep {
    pub(super) fn run<T: Real>(&self, floats: &mut [T], step: &StepParams) {
        let at = step.log as usize;
        match self {
            Self::LogLoss(ranges) => {
                let [row_loss, log] = disjoint(floats, ranges);
                kernels::log_loss(row_loss, log, step);
            }
            Self::CheckFinite { loss, floats: ranges } => {
                let [gradient, log, scaling] = disjoint(floats, ranges);
                // The step's own loss, which `log_loss` has written before.
                kernels::check_finite(gradient, loss.then(|| log[at]), scaling);
            }
            Self::Rescale { scaled, guarded, floats: ranges } => {
                let [scaling, log] = disjoint(floats, ranges);
                // Without a guard there is only the loss scale to adjust, after every update.
                if !guarded || kernels::end_guarded(scaling, &mut log[at], *scaled, step.apply) {
                    kernels::rescale(scaling);
                }
            }
        }
    }
}
