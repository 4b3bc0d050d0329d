//! Entries of schedules for the document of the vocabulary.

use super::ScheduleKind;
use crate::vocabulary::{Entry, entry};

impl ScheduleKind {
    /// Entries of all schedules, in the order of help texts.
    pub const VOCABULARY: &'static [Entry] = &[
        entry("constant", "1", "", "torch.optim.lr_scheduler.ConstantLR with factor 1"),
        entry(
            "step",
            "gamma^floor(t/every)",
            "every (epochs), gamma 0.1",
            "torch.optim.lr_scheduler.StepLR",
        ),
        entry(
            "multi-step",
            "gamma^(milestones that are past)",
            "milestones (epochs, [30, 80]), gamma 0.1",
            "torch.optim.lr_scheduler.MultiStepLR",
        ),
        entry(
            "exponential",
            "gamma^(t in epochs)",
            "gamma",
            "torch.optim.lr_scheduler.ExponentialLR, smooth within epochs",
        ),
        entry("polynomial", "(1 - t/T)^power", "power 1", "torch.optim.lr_scheduler.PolynomialLR"),
        entry(
            "cosine",
            "end + (1 - end)/2 (1 + cos(pi t/T))",
            "end 0 (share of the peak)",
            "torch.optim.lr_scheduler.CosineAnnealingLR",
        ),
        entry(
            "cosine-restarts",
            "cosine over cycles of every, every mult, every mult^2 ...",
            "every (epochs), mult 1, end 0 (share of the peak)",
            "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts",
        ),
        entry(
            "one-cycle",
            "up from 1/div_factor, down to 1/(div_factor final_div_factor), along cosines",
            "pct_start 0.3, div_factor 25, final_div_factor 10000",
            "torch.optim.lr_scheduler.OneCycleLR, momentum as it is",
        ),
        entry(
            "flat-cosine",
            "1 until flat, then end + (1 - end)/2 (1 + cos(pi (t/T - flat)/(1 - flat)))",
            "flat 0.5 (share of the steps), end 0 (share of the peak)",
            "Holzmueller et al. 2024, arXiv:2407.04491",
        ),
        entry(
            "cos-log-4",
            "1/2 (1 - cos(2 pi log2(1 + 15 t/T)))",
            "",
            "Holzmueller et al. 2024, arXiv:2407.04491",
        ),
        entry(
            "inverse-sqrt",
            "sqrt(timescale/(timescale + t))",
            "timescale (epochs; the warm-up, or 1 epoch without one)",
            "Vaswani et al. 2017, arXiv:1706.03762",
        ),
        entry(
            "plateau",
            "times factor after more than patience epochs in which metric was no better than its best by threshold",
            "factor 0.1, patience 10, threshold 0.0001, mode rel (or abs), cooldown 0, min 0 (share of the peak), \
             eps 1e-8, metric loss",
            "torch.optim.lr_scheduler.ReduceLROnPlateau",
        ),
    ];
}
