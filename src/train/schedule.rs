//! The learning rate of each step.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate goes over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The same for all steps
    #[default]
    Constant,
    /// lr/2 (1 + cos(π t/T)), as `torch.optim.lr_scheduler.CosineAnnealingLR` (Loshchilov and Hutter 2016, arXiv:1608.03983)
    Cosine,
    /// From lr/25 up to lr over the first 30 % of the steps, then down to lr/250,000, both along a cosine, as
    /// `torch.optim.lr_scheduler.OneCycleLR` (Smith and Topin 2017, arXiv:1708.07120); the momentum stays
    OneCycle,
}

impl ScheduleKind {
    /// Every schedule, in the order in which help texts list them.
    pub const ALL: [Self; 3] = [Self::Constant, Self::Cosine, Self::OneCycle];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
            Self::OneCycle => "one-cycle",
        }
    }
}

impl fmt::Display for ScheduleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ScheduleKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|schedule| schedule.name() == wanted).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|s| s.name()).collect();
            Error::setting(
                "--schedule",
                format!("unknown name \"{name}\"; known: {}", known.join(", ")),
            )
        })
    }
}

/// A schedule with its peak rate and the warm-up in front of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The shape after the warm-up.
    pub kind: ScheduleKind,
    /// The peak learning rate.
    pub lr: f64,
    /// Steps over which the rate rises linearly to the schedule's first.
    pub warmup: u64,
    /// Steps in all, warm-up included.
    pub total: u64,
}

impl Schedule {
    /// The learning rate of a step, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        if step < self.warmup {
            // The first step is not lost on a rate of 0.
            return self.after_warmup(0) * (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        self.after_warmup(step - self.warmup)
    }

    /// The rate of a step of the schedule proper.
    fn after_warmup(&self, step: u64) -> f64 {
        let total = self.total.saturating_sub(self.warmup).max(1) as f64;
        let t = step as f64;
        match self.kind {
            ScheduleKind::Constant => self.lr,
            ScheduleKind::Cosine => self.lr * 0.5 * (1.0 + (PI * t / total).cos()),
            ScheduleKind::OneCycle => {
                let (first, last) = (self.lr / 25.0, self.lr / 25.0 / 1e4);
                let (top, end) = (0.3 * total - 1.0, total - 1.0);
                let between = |from: f64, to: f64, share: f64| {
                    // A cycle of a step or two has phases of no length.
                    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 };
                    to + (from - to) / 2.0 * (1.0 + (PI * share).cos())
                };
                if t <= top {
                    between(first, self.lr, t / top)
                } else {
                    between(self.lr, last, (t - top) / (end - top))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(kind: ScheduleKind, warmup: u64, total: u64) -> Vec<f64> {
        let schedule = Schedule { kind, lr: 0.1, warmup, total };
        (0..total).map(|step| schedule.lr(step)).collect()
    }

    #[test]
    fn cosine_is_pytorchs() {
        // CosineAnnealingLR(optimizer, T_max=4) with lr = 0.1
        let want = [0.1, 0.085_355_339_059_327_38, 0.05, 0.014_644_660_940_672_627];
        for (got, want) in rates(ScheduleKind::Cosine, 0, 4).into_iter().zip(want) {
            assert!((got - want).abs() < 1e-15, "{got} {want}");
        }
    }

    #[test]
    fn one_cycle_is_pytorchs() {
        // OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
        let rates = rates(ScheduleKind::OneCycle, 0, 10);
        assert!((rates[0] - 0.004).abs() < 1e-15 && (rates[1] - 0.052).abs() < 1e-15);
        assert!((rates[2] - 0.1).abs() < 1e-15 && (rates[9] - 4e-7).abs() < 1e-15);
        assert!(rates[2..].windows(2).all(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn warmup_rises_to_the_schedule() {
        let rates = rates(ScheduleKind::Constant, 4, 8);
        for (got, want) in rates.iter().zip([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1]) {
            assert!((got - want).abs() < 1e-15, "{rates:?}");
        }
    }

    #[test]
    fn no_length_of_run_gives_a_bad_rate() {
        for kind in ScheduleKind::ALL {
            for total in 1..20 {
                for warmup in 0..=total {
                    for rate in rates(kind, warmup, total) {
                        assert!(
                            rate.is_finite() && (0.0..=0.100_000_1).contains(&rate),
                            "{kind} {warmup}/{total}: {rate}"
                        );
                    }
                }
            }
        }
    }
}
