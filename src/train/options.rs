//! What a run is told, checked.

use super::{Schedule, ScheduleKind};
use crate::data::Scale;
use crate::device::Tuning;
use crate::error::{Error, Result};
use crate::graph::{Average, Group, Loss, Moves, Optimizer};
use crate::plan::Precision;
use crate::random::Seed;

/// Settings of a run, with defaults that suit most tables.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// What is made small.
    pub loss: Loss,
    /// How weights move.
    pub optimizer: Optimizer,
    /// The largest norm of all gradients together; `None` for any.
    pub clip_norm: Option<f64>,
    /// The largest size of an element of the gradients; `None` for any.
    pub clip_value: Option<f64>,
    /// Steps whose gradients are added up before weights move: as one batch of all their rows.
    pub accumulate: u32,
    /// Parameters with a learning rate and weight decay of their own, or frozen ones.
    pub groups: Vec<Group>,
    /// Averaged weights, which validation and the saved model then take.
    pub average: Option<Average>,
    /// Peak learning rate.
    pub lr: f64,
    /// How the rate goes over the run.
    pub schedule: ScheduleKind,
    /// Epochs over which the rate rises at first; may be a fraction.
    pub warmup: f64,
    /// Passes over the training rows.
    pub epochs: u32,
    /// Rows of a batch; more than there are makes one batch of all.
    pub batch_size: usize,
    /// Whether rows come in a new order each epoch.
    pub shuffle: bool,
    /// What is done to features, and to the target of a regression.
    pub scale: Scale,
    /// From which all random choices follow.
    pub seed: Seed,
    /// What the values between a step's kernels are kept in.
    pub precision: Precision,
    /// How a GPU chooses among the forms of its products.
    pub tuning: Tuning,
    /// Bytes that the run may take on the device; `None` for what the device allows. A training table beyond that
    /// stays with the host and comes in blocks.
    pub device_memory: Option<u64>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            loss: Loss::CrossEntropy,
            optimizer: Optimizer::default(),
            clip_norm: None,
            clip_value: None,
            accumulate: 1,
            groups: Vec::new(),
            average: None,
            lr: 1e-3,
            schedule: ScheduleKind::Constant,
            warmup: 0.0,
            epochs: 30,
            batch_size: 32,
            shuffle: true,
            scale: Scale::Standard,
            seed: Seed(0),
            precision: Precision::F32,
            tuning: Tuning::default(),
            device_memory: None,
        }
    }
}

impl TrainOptions {
    /// Checks each setting by itself.
    ///
    /// # Errors
    /// If one lies outside of what it may be; the message names it.
    pub fn check(&self) -> Result<()> {
        self.optimizer.check()?;
        self.moves().check(&self.optimizer)?;
        let positive = |name: &str, fits: bool, value: String| {
            if fits {
                Ok(())
            } else {
                Err(Error::setting(name, format!("{value}, but it must be above 0")))
            }
        };
        if !self.lr.is_finite() {
            let problem = format!("{}, but it must be a finite number above 0", self.lr);
            return Err(Error::setting("--lr", problem));
        }
        positive("--lr", self.lr > 0.0, self.lr.to_string())?;
        positive("--epochs", self.epochs > 0, self.epochs.to_string())?;
        positive("--batch-size", self.batch_size > 0, self.batch_size.to_string())?;
        positive("--accumulate", self.accumulate > 0, self.accumulate.to_string())?;
        let memory = self.device_memory.unwrap_or(1);
        positive("--device-memory", memory > 0, memory.to_string())?;
        if !(self.warmup >= 0.0 && self.warmup.is_finite()) {
            let problem = format!("{}, but it must be a finite number of 0 or more", self.warmup);
            return Err(Error::setting("--warmup", problem));
        }
        if self.warmup > f64::from(self.epochs) {
            let problem = format!(
                "{} epochs, but the run has {}; give at most that",
                self.warmup, self.epochs
            );
            return Err(Error::setting("--warmup", problem));
        }
        Ok(())
    }

    /// What is done to gradients and weights around the optimizer.
    pub fn moves(&self) -> Moves {
        Moves {
            accumulate: self.accumulate > 1,
            clip_norm: self.clip_norm,
            clip_value: self.clip_value,
            groups: self.groups.clone(),
            average: self.average,
        }
    }

    /// Moves of the weights in an epoch of so many steps; the last one may follow fewer steps than the others.
    pub fn moves_per_epoch(&self, steps_per_epoch: usize) -> usize {
        steps_per_epoch.div_ceil(self.accumulate.max(1) as usize)
    }

    /// The rates of the moves in a run of so many steps an epoch.
    pub fn schedule(&self, steps_per_epoch: usize) -> Schedule {
        let steps_per_epoch = self.moves_per_epoch(steps_per_epoch);
        let total = u64::from(self.epochs) * steps_per_epoch as u64;
        // Checked to be neither negative nor above the run's length.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of steps"
        )]
        let warmup = (self.warmup * steps_per_epoch as f64).round() as u64;
        Schedule { kind: self.schedule, lr: self.lr, warmup, total }
    }
}
