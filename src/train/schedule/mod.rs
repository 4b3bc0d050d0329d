//! The values of each step: the learning rate, and the fractions of weight decay, dropout and label smoothing.
//!
//! In: a kind, a peak, the lengths of run, epoch and warm-up. Out: a value for each step, computed ahead.
//! Absent on purpose: devices; all of it is arithmetic in f64 on the host.

mod kind;
mod plateau;
mod vocabulary;

use std::f64::consts::PI;

use super::Metric;
pub use kind::ScheduleKind;
pub use plateau::Plateau;
pub(crate) use plateau::PlateauReduction;

/// A schedule with its peak rate and the warm-up in front of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    peak: f64,
    /// Number of steps over which the rate rises linearly to the schedule's first value.
    warmup: u64,
    /// Number of all steps, warm-up included.
    total: u64,
    steps_per_epoch: f64,
    /// State of a plateau's rate; other kinds do not use it.
    fall: PlateauReduction,
}

impl Schedule {
    /// Makes a schedule over a number of epochs and of steps in each; the warm-up, in steps, is part of them. A kind that
    /// depends on the length of the run keeps its last step's value after the end.
    pub fn new(
        kind: ScheduleKind,
        peak: f64,
        warmup: u64,
        epochs: u32,
        steps_per_epoch: usize,
    ) -> Self {
        let total = u64::from(epochs) * steps_per_epoch as u64;
        Self {
            kind,
            peak,
            warmup,
            total,
            steps_per_epoch: steps_per_epoch as f64,
            fall: PlateauReduction::new(),
        }
    }

    /// Returns the learning rate of a step, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        self.peak * self.factor(step)
    }

    /// Returns the fraction of the peak for a step, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup {
            // The rate is above 0 from the first step on, so that no step is lost.
            return self.after_warmup(0) * (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        self.after_warmup(step - self.warmup)
    }

    /// Returns the metric that [`Self::observe`] needs as each epoch ends, before the next epoch's values are asked for.
    pub fn watches(&self) -> Option<Metric> {
        match &self.kind {
            ScheduleKind::Plateau(plateau) => Some(plateau.metric),
            _ => None,
        }
    }

    /// Records the value of an epoch that ended; `None` if it is not defined.
    pub fn observe(&mut self, value: Option<f64>) {
        if let ScheduleKind::Plateau(plateau) = &self.kind {
            self.fall.observe(plateau, self.peak, value);
        }
    }

    /// Returns the fraction to which the schedule leads: the end of a curve over the whole run, else that of the last step; 1 for a
    /// plateau, whose reductions nobody knows beforehand.
    pub fn last(&self) -> f64 {
        match self.kind {
            ScheduleKind::Plateau(_) => 1.0,
            _ if self.kind.depends_on_length() => self.curve(self.steps_after_warmup()),
            _ => self.factor(self.total.saturating_sub(1)),
        }
    }

    /// Returns the number of steps after the warm-up, at least one.
    fn steps_after_warmup(&self) -> f64 {
        self.total.saturating_sub(self.warmup).max(1) as f64
    }

    /// Returns the fraction for a step of the schedule proper.
    fn after_warmup(&self, step: u64) -> f64 {
        // A longer run than planned stays at the end of the curve instead of leaving it.
        let last = match self.kind.depends_on_length() {
            true => self.steps_after_warmup() - 1.0,
            false => f64::INFINITY,
        };
        self.curve((step as f64).min(last))
    }

    /// Returns the fraction for a time after the warm-up, in steps.
    fn curve(&self, t: f64) -> f64 {
        let total = self.steps_after_warmup();
        match &self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Step { every, gamma } => gamma.powf((t / self.steps(*every)).floor()),
            ScheduleKind::MultiStep { milestones, gamma } => {
                let past = milestones.iter().filter(|&&epochs| t >= self.steps(epochs)).count();
                gamma.powf(past as f64)
            }
            ScheduleKind::Exponential { gamma } => gamma.powf(t / self.steps_per_epoch),
            ScheduleKind::Polynomial { power } => (1.0 - t / total).max(0.0).powf(*power),
            ScheduleKind::Cosine { end } => cosine(1.0, *end, t / total),
            ScheduleKind::CosineRestarts { every, mult, end } => {
                cosine(1.0, *end, in_cycle(t, self.steps(*every), (*mult).into()))
            }
            ScheduleKind::OneCycle { pct_start, div_factor, final_div_factor } => {
                let (first, last) = (1.0 / div_factor, 1.0 / div_factor / final_div_factor);
                // The peak is reached at a step, so phases are counted from the first step to the last, as in PyTorch.
                let (top, end) = (pct_start * total - 1.0, total - 1.0);
                if t <= top {
                    cosine(first, 1.0, t / top)
                } else {
                    cosine(1.0, last, (t - top) / (end - top))
                }
            }
            ScheduleKind::FlatCosine { flat, end } => {
                let share = t / total;
                if share <= *flat { 1.0 } else { cosine(1.0, *end, (share - flat) / (1.0 - flat)) }
            }
            ScheduleKind::CosLog4 => {
                0.5 * (1.0 - (2.0 * PI * (1.0 + 15.0 * (t / total).min(1.0)).log2()).cos())
            }
            ScheduleKind::InverseSqrt { timescale } => {
                let warmup =
                    // Without a time scale of its own, the curve continues from the warm-up.
                    if self.warmup > 0 { self.warmup as f64 } else { self.steps_per_epoch };
                let timescale = timescale.map_or(warmup, |epochs| self.steps(epochs));
                (timescale / (timescale + t)).sqrt()
            }
            ScheduleKind::Plateau(_) => self.fall.share,
        }
    }

    /// Returns epochs in whole steps, at least one.
    fn steps(&self, epochs: f64) -> f64 {
        (epochs * self.steps_per_epoch).round().max(1.0)
    }
}

/// Returns a point of half a cosine wave from one value to another.
fn cosine(from: f64, to: f64, share: f64) -> f64 {
    // A cycle of one or two steps has phases of length 0.
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 };
    to + (from - to) / 2.0 * (1.0 + (PI * share).cos())
}

/// Returns the position of a step in its cycle, if each cycle is `times` as long as the one before.
fn in_cycle(step: f64, first: f64, times: f64) -> f64 {
    if times == 1.0 {
        return step % first / first;
    }
    let (mut step, mut length) = (step, first);
    while step >= length {
        step -= length;
        length *= times;
    }
    step / length
}

/// The schedules of a run, each with its own peak.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedules {
    /// Learning rate.
    pub lr: Schedule,
    /// Fraction of the weight decay.
    pub decay: Schedule,
    /// Fraction of the dropout rates.
    pub dropout: Schedule,
    /// Fraction of the label smoothing.
    pub smoothing: Schedule,
}

/// Scheduled values of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduledFactors {
    /// Learning rate.
    pub lr: f64,
    /// Factor of the optimizer's weight decay, 0 to 1.
    pub weight_decay: f64,
    /// Factor of the layers' dropout rates, 0 to 1.
    pub dropout: f64,
    /// Factor of the loss's label smoothing, 0 to 1.
    pub smoothing: f64,
}

impl Schedules {
    /// Returns the values of a step, counted from 0 over the run.
    pub fn factors(&self, step: u64) -> ScheduledFactors {
        ScheduledFactors {
            lr: self.lr.lr(step),
            weight_decay: self.decay.factor(step),
            dropout: self.dropout.factor(step),
            smoothing: self.smoothing.factor(step),
        }
    }

    /// Returns the reductions of all plateaus.
    pub(super) fn falls(&self) -> [PlateauReduction; 4] {
        [self.lr.fall, self.decay.fall, self.dropout.fall, self.smoothing.fall]
    }

    /// Restores the reductions, with a peak of the learning rate that is `slowed` times the schedule's own.
    pub(super) fn restore_state(
        &mut self,
        [lr, decay, dropout, smoothing]: [PlateauReduction; 4],
        slowed: f64,
    ) {
        (self.lr.fall, self.decay.fall) = (lr, decay);
        (self.dropout.fall, self.smoothing.fall) = (dropout, smoothing);
        self.lr.peak *= slowed;
    }

    /// True if the next epoch's values depend on how this one ended.
    pub fn watching(&self) -> bool {
        let all = [&self.lr, &self.decay, &self.dropout, &self.smoothing];
        all.iter().any(|schedule| schedule.watches().is_some())
    }

    /// Records an epoch that ended, by the value of each watched metric.
    pub fn observe(&mut self, value_of: impl Fn(Metric) -> Option<f64>) {
        for schedule in [&mut self.lr, &mut self.decay, &mut self.dropout, &mut self.smoothing] {
            if let Some(metric) = schedule.watches() {
                schedule.observe(value_of(metric));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(kind: ScheduleKind, warmup: u64, total: u64) -> Vec<f64> {
        let epochs = u32::try_from(total).unwrap();
        let schedule = Schedule::new(kind, 0.1, warmup, epochs, 1);
        (0..total).map(|step| schedule.lr(step)).collect()
    }

    #[test]
    fn cosine_is_pytorchs() {
        // CosineAnnealingLR(optimizer, T_max=4) with lr = 0.1
        let want = [0.1, 0.085_355_339_059_327_38, 0.05, 0.014_644_660_940_672_627];
        for (got, want) in rates(ScheduleKind::COSINE, 0, 4).into_iter().zip(want) {
            assert!((got - want).abs() < 1e-15, "{got} {want}");
        }
    }

    #[test]
    fn one_cycle_is_pytorchs() {
        // OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
        let rates = rates("one-cycle".parse().unwrap(), 0, 10);
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
        for text in [
            "constant",
            "step(2)",
            "multi-step([1, 2.5, 9])",
            "exponential(0.5)",
            "polynomial(0.5)",
            "cosine(0.1)",
            "cosine-restarts(3)",
            "cosine-restarts(1, 2)",
            "one-cycle",
            "one-cycle(0, 1, 1)",
            "one-cycle(1)",
            "flat-cosine",
            "flat-cosine(1)",
            "flat-cosine(0, 1)",
            "cos-log-4",
            "inverse-sqrt",
            "inverse-sqrt(0.01)",
            "plateau",
        ] {
            let kind: ScheduleKind = text.parse().unwrap();
            for total in 1..20 {
                for warmup in 0..=total {
                    for rate in rates(kind.clone(), warmup, total) {
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
