//! The loop over epochs and windows of steps, as an iterator of events.

use std::collections::VecDeque;
use std::time::Instant;

use super::predict::port;
use super::{EpochStats, Event, Progress, Schedule, Summary, Trainer, Warning};
use crate::data::epoch_order;
use crate::device::Values;
use crate::error::{Error, Result};
use crate::plan::{Phase, Scaling, StepRow, WINDOW};
use crate::shape::narrow;

/// A run under way. Each `next` gives the device some steps and returns what is new.
pub struct Fit<'a> {
    trainer: &'a mut Trainer,
    schedule: Schedule,
    waiting: VecDeque<Event>,
    begun: Instant,
    epoch: Epoch,
    /// Steps whose losses are known, since the run began.
    known: u64,
    /// Steps that the loss scale has skipped, as far as they were told of.
    skipped: f32,
    done: bool,
}

/// Where an epoch stands.
struct Epoch {
    /// From 0.
    index: u32,
    /// Steps given to the device.
    step: usize,
    begun: Instant,
    /// Losses of its steps, each times its rows.
    loss_sum: f64,
    loss_rows: u64,
}

impl Epoch {
    fn new(index: u32) -> Self {
        Self { index, step: 0, begun: Instant::now(), loss_sum: 0.0, loss_rows: 0 }
    }
}

impl<'a> Fit<'a> {
    pub(super) fn new(trainer: &'a mut Trainer) -> Self {
        let schedule = trainer.options.schedule(trainer.info.steps_per_epoch);
        let mut waiting = VecDeque::from([Event::Started(trainer.info.clone())]);
        waiting.extend(trainer.warnings.drain(..).map(Event::Warned));
        Self {
            trainer,
            schedule,
            waiting,
            begun: Instant::now(),
            epoch: Epoch::new(0),
            known: 0,
            skipped: 0.0,
            done: false,
        }
    }

    /// The trainer at work: its kept weights are those of the last epoch told of.
    pub fn trainer(&self) -> &Trainer {
        self.trainer
    }

    /// Rows of a step of any epoch.
    fn rows_of(&self, step: usize) -> usize {
        let batch = self.trainer.plan.batch;
        batch.min(self.trainer.rows - step * batch)
    }

    fn advance(&mut self) -> Result<Event> {
        let (epochs, steps) = (self.trainer.options.epochs, self.trainer.info.steps_per_epoch);
        if self.epoch.index >= epochs {
            self.done = true;
            let kept = self.trainer.kept().cloned();
            return Ok(Event::Finished(Summary {
                kept,
                seconds: self.begun.elapsed().as_secs_f64(),
            }));
        }
        if self.epoch.step == 0 {
            if self.epoch.index == 0 {
                self.trainer.forget()?;
            }
            self.epoch.begun = Instant::now();
            self.write_order()?;
        }
        let in_window = self.epoch.step % WINDOW;
        if in_window == 0 {
            self.write_window()?;
        }
        let stride = self.trainer.device.stride(Phase::Train).max(1) as usize;
        let count = stride.min(steps - self.epoch.step).min(WINDOW - in_window);
        self.trainer.device.run(Phase::Train, narrow(in_window)..narrow(in_window + count))?;
        self.epoch.step += count;
        if self.epoch.step == steps {
            return self.end_epoch();
        }
        let losses = self.trainer.device.take_losses(false)?;
        self.learn_of(&losses)?;
        Ok(Event::Progress(self.progress(epochs, steps)))
    }

    fn write_order(&mut self) -> Result<()> {
        let trainer = &mut *self.trainer;
        let rows = u32::try_from(trainer.rows)
            .map_err(|_| Error::shape("train.x", "more than 2^32 rows"))?;
        let order =
            epoch_order(rows, self.epoch.index, trainer.options.seed, trainer.options.shuffle);
        trainer.device.write(port(trainer.plan.ports.order, "order")?, 0, Values::U32(&order))
    }

    /// Uploads the changing numbers of the next steps, at most a window of them.
    fn write_window(&mut self) -> Result<()> {
        let steps = self.trainer.info.steps_per_epoch;
        let rows: Vec<StepRow> = (self.epoch.step..steps.min(self.epoch.step + WINDOW))
            .map(|step| {
                let global = u64::from(self.epoch.index) * steps as u64 + step as u64;
                let (correction1, correction2) =
                    self.trainer.options.optimizer.corrections(global + 1);
                StepRow {
                    first: narrow(step * self.trainer.plan.batch),
                    rows: narrow(self.rows_of(step)),
                    log: narrow(step % WINDOW),
                    lr: self.schedule.lr(global),
                    correction1,
                    correction2,
                }
            })
            .collect();
        self.trainer.device.write_steps(Phase::Train, &rows)
    }

    /// Takes in the losses of the steps that follow those known; one that is not finite ends the run.
    fn learn_of(&mut self, losses: &[f32]) -> Result<()> {
        let steps = self.trainer.info.steps_per_epoch as u64;
        for &loss in losses {
            let step = self.known;
            self.known += 1;
            if !loss.is_finite() {
                return Err(self.diverged("the loss", step, loss));
            }
            let rows = self.rows_of(usize::try_from(step % steps).unwrap_or(0)) as u64;
            self.epoch.loss_sum += f64::from(loss) * rows as f64;
            self.epoch.loss_rows += rows;
        }
        Ok(())
    }

    fn diverged(&self, what: &'static str, step: u64, loss: f32) -> Error {
        Error::Diverged {
            step: step + 1,
            epoch: self.epoch.index + 1,
            lr: self.schedule.lr(step),
            loss,
            what,
        }
    }

    fn end_epoch(&mut self) -> Result<Event> {
        let losses = self.trainer.device.take_losses(true)?;
        self.learn_of(&losses)?;
        let trained = self.epoch.begun.elapsed().as_secs_f64();
        let valid = self.trainer.validate()?;
        let params = self.trainer.params()?;
        let last = self.known.saturating_sub(1);
        // The last update of an epoch shows in its weights first, and in no loss yet.
        if let Some(bad) = params.arena().iter().find(|value| !value.is_finite()) {
            return Err(self.diverged("a weight", last, *bad));
        }
        #[expect(clippy::cast_possible_truncation, reason = "only shown to people")]
        if let Some(metrics) = valid.filter(|metrics| !metrics.loss.is_finite()) {
            return Err(self.diverged("the validation loss", last, metrics.loss as f32));
        }
        let stats = EpochStats {
            epoch: self.epoch.index + 1,
            steps: self.known,
            train_loss: self.epoch.loss_sum / self.epoch.loss_rows.max(1) as f64,
            valid,
            lr: self.schedule.lr(last),
            seconds: self.epoch.begun.elapsed().as_secs_f64(),
            samples_per_second: self.trainer.rows as f64 / trained.max(1e-9),
        };
        self.trainer.kept = (params, Some(stats.clone()));
        self.tell_skipped()?;
        self.epoch = Epoch::new(self.epoch.index + 1);
        Ok(Event::Epoch(stats))
    }

    /// Warns of steps of this epoch that changed nothing.
    fn tell_skipped(&mut self) -> Result<()> {
        let Some(scaling) = self.trainer.scaling()? else { return Ok(()) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the difference of two counts"
        )]
        let skipped = (scaling.skipped - self.skipped) as u32;
        self.skipped = scaling.skipped;
        if skipped > 0 && scaling.inverse >= Scaling::LARGEST as f32 {
            // No scale makes these gradients finite.
            let last = self.known.saturating_sub(1);
            return Err(self.diverged("a gradient", last, f32::INFINITY));
        }
        if skipped > 0 {
            let (epoch, scale) = (self.epoch.index + 1, scaling.scale.into());
            self.waiting.push_back(Event::Warned(Warning::StepsSkipped { epoch, skipped, scale }));
        }
        Ok(())
    }

    fn progress(&self, epochs: u32, steps: usize) -> Progress {
        let batch = self.trainer.plan.batch as f64;
        let given = f64::from(self.epoch.index) * steps as f64 + self.epoch.step as f64;
        let seconds = self.begun.elapsed().as_secs_f64().max(1e-9);
        Progress {
            epoch: self.epoch.index + 1,
            step: self.epoch.step,
            steps,
            loss: (self.epoch.loss_rows > 0)
                .then(|| self.epoch.loss_sum / self.epoch.loss_rows as f64),
            samples_per_second: given * batch / seconds,
            seconds_left: (f64::from(epochs) * steps as f64 - given) * seconds / given.max(1.0),
        }
    }
}

impl Iterator for Fit<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(Ok(event));
        }
        if self.done {
            return None;
        }
        let event = self.advance();
        self.done |= event.is_err();
        Some(event)
    }
}
