//! The loop over epochs and windows of steps, as an iterator of events.

use std::collections::VecDeque;
use std::time::Instant;

use super::feed::Feed;
use super::predict::port;
use super::watch::Watch;
use super::{EpochStats, Event, Metrics, Progress, Schedules, Stopped, Summary, Trainer, Warning};
use crate::data::epoch_order;
use crate::device::{Usage, Values};
use crate::error::{Error, Result};
use crate::model::Params;
use crate::plan::{Phase, Scaling, StepRow, WINDOW};
use crate::shape::narrow;

/// A run under way. Each `next` gives the device some steps and returns what is new.
pub struct Fit<'a> {
    trainer: &'a mut Trainer,
    schedules: Schedules,
    watch: Watch,
    /// Why the run ended before its last epoch, if so.
    stopped: Option<Stopped>,
    waiting: VecDeque<Event>,
    begun: Instant,
    epoch: Epoch,
    /// Steps whose losses are known, since the run began.
    known: u64,
    /// How giving the device an epoch's first steps went, if that was done ahead.
    given: Option<Result<()>>,
    /// The rows' way to the device, if the table does not lie there.
    feed: Option<Feed>,
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
        let schedules = trainer.options.schedules(trainer.info.steps_per_epoch);
        let watch = Watch::new(&trainer.options);
        let mut waiting = VecDeque::from([Event::Started(trainer.info.clone())]);
        waiting.extend(trainer.warnings.drain(..).map(Event::Warned));
        Self {
            trainer,
            schedules,
            watch,
            stopped: None,
            waiting,
            begun: Instant::now(),
            epoch: Epoch::new(0),
            known: 0,
            given: None,
            feed: None,
            skipped: 0.0,
            done: false,
        }
    }

    /// The trainer at work: its kept weights are those of the last epoch told of.
    pub fn trainer(&self) -> &Trainer {
        self.trainer
    }

    /// What host and device did since the last call, as the device tells it; the first call begins the counting.
    pub fn take_usage(&mut self) -> Option<Usage> {
        self.trainer.device.take_usage()
    }

    /// Rows of a step of any epoch.
    fn rows_of(&self, step: usize) -> usize {
        let batch = self.trainer.plan.batch;
        batch.min(self.trainer.rows - step * batch)
    }

    fn advance(&mut self) -> Result<Event> {
        let (epochs, steps) = (self.trainer.options.epochs, self.trainer.info.steps_per_epoch);
        if self.epoch.index >= epochs || self.stopped.is_some() {
            return self.finish();
        }
        match self.given.take() {
            Some(given) => {
                given?;
                self.trainer.ahead = false;
            }
            None => self.give_steps()?,
        }
        if self.epoch.step == steps {
            return self.end_epoch();
        }
        let losses = self.trainer.device.take_losses(false)?;
        self.learn_of(&losses)?;
        Ok(Event::Progress(self.progress(epochs, steps)))
    }

    /// Leaves the device with the weights that are kept.
    fn finish(&mut self) -> Result<Event> {
        self.done = true;
        let seconds = self.begun.elapsed().as_secs_f64();
        self.trainer.take_kept()?;
        let kept = self.trainer.kept().cloned();
        Ok(Event::Finished(Summary {
            kept,
            epochs: self.epoch.index,
            stopped: self.stopped,
            seconds,
        }))
    }

    /// Gives the device some steps of the epoch, and before its first ones what the epoch needs.
    fn give_steps(&mut self) -> Result<()> {
        let steps = self.trainer.info.steps_per_epoch;
        if self.epoch.step == 0 {
            if self.epoch.index == 0 {
                self.trainer.forget()?;
                self.feed = self.start_feed()?;
            }
            self.epoch.begun = Instant::now();
            if self.feed.is_none() {
                self.write_order()?;
            }
        }
        let in_window = self.epoch.step % WINDOW;
        if in_window == 0 {
            self.write_window()?;
        }
        let stride = self.trainer.device.stride(Phase::Train).max(1) as usize;
        let at = (self.epoch.index, self.epoch.step);
        let there = match &mut self.feed {
            Some(feed) => feed.bring(self.trainer.device.as_mut(), &self.trainer.plan, at)?,
            None => steps,
        };
        let count = stride.min(steps - self.epoch.step).min(WINDOW - in_window).min(there);
        self.trainer.device.run(Phase::Train, narrow(in_window)..narrow(in_window + count))?;
        self.epoch.step += count;
        Ok(())
    }

    fn start_feed(&self) -> Result<Option<Feed>> {
        let Trainer { table, plan, options, .. } = &*self.trainer;
        table.as_ref().map(|table| Feed::start(table, plan.batch, options)).transpose()
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
                let factors = self.schedules.factors(global);
                let in_order = step * self.trainer.plan.batch;
                let first = self.feed.as_ref().map(|feed| feed.first(self.epoch.index, step));
                StepRow {
                    first: narrow(first.unwrap_or(in_order)),
                    rows: narrow(self.rows_of(step)),
                    log: narrow(step % WINDOW),
                    lr: factors.lr,
                    correction1,
                    correction2,
                    step: u32::try_from(global).unwrap_or(u32::MAX),
                    seed: self.trainer.options.seed.folded(),
                    dropout: factors.dropout,
                    decay: factors.weight_decay,
                    ..StepRow::default()
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
                return Err(self.diverged("the loss", self.epoch.index, step, loss));
            }
            let rows = self.rows_of(usize::try_from(step % steps).unwrap_or(0)) as u64;
            self.epoch.loss_sum += f64::from(loss) * rows as f64;
            self.epoch.loss_rows += rows;
        }
        Ok(())
    }

    fn diverged(&self, what: &'static str, epoch: u32, step: u64, loss: f32) -> Error {
        let lr = self.schedules.lr.lr(step);
        Error::Diverged { step: step + 1, epoch: epoch + 1, lr, loss, what }
    }

    fn end_epoch(&mut self) -> Result<Event> {
        let losses = self.trainer.device.take_losses(true)?;
        self.learn_of(&losses)?;
        let trained = self.epoch.begun.elapsed().as_secs_f64();
        let outputs = self.trainer.valid_outputs()?;
        let (params, scaling) = (self.trainer.params()?, self.trainer.scaling()?);
        let seconds = self.epoch.begun.elapsed().as_secs_f64();
        let next = Epoch::new(self.epoch.index + 1);
        let ended = std::mem::replace(&mut self.epoch, next);
        // All that the host needs of this epoch is read: the device goes on while it computes, writes and tells. Rates that
        // follow from this epoch's figures have to wait for them.
        if self.epoch.index < self.trainer.options.epochs && !self.schedules.watching() {
            self.given = Some(self.give_steps());
            self.trainer.ahead = true;
        }
        let valid = outputs.and_then(|outputs| self.trainer.valid_metrics(&outputs));
        let exhausted = scaling.and_then(|scaling| self.tell_skipped(&ended, scaling));
        if let Some(error) = exhausted.or_else(|| self.not_finite(&ended, &params, valid.as_ref()))
        {
            // The weights that are wrong stay, and not those of steps after them.
            self.trainer.write_params(&params)?;
            return Err(error);
        }
        let stats = EpochStats {
            epoch: ended.index + 1,
            steps: self.known,
            train_loss: ended.loss_sum / ended.loss_rows.max(1) as f64,
            valid,
            lr: self.schedules.lr.lr(self.known.saturating_sub(1)),
            seconds,
            samples_per_second: self.trainer.rows as f64 / trained.max(1e-9),
        };
        self.judge(&stats, params);
        Ok(Event::Epoch(stats))
    }

    /// Keeps an epoch that is to be kept, and lets schedules and early stopping see how it went.
    fn judge(&mut self, stats: &EpochStats, params: Params) {
        let value_of = |metric| match &stats.valid {
            Some(valid) => valid.value(metric),
            None => Some(stats.train_loss),
        };
        self.schedules.observe(value_of);
        if self.watch.observe(stats.epoch, value_of(self.watch.metric())) {
            self.trainer.kept = (params, Some(stats.clone()));
            self.trainer.present = None;
        } else {
            self.trainer.present = Some(params);
        }
        let more = self.epoch.index < self.trainer.options.epochs;
        self.stopped = self.watch.stop(stats.epoch).filter(|_| more);
    }

    /// What ends the run, if a weight or a figure of the epoch that ended is no number.
    fn not_finite(&self, ended: &Epoch, params: &Params, valid: Option<&Metrics>) -> Option<Error> {
        let last = self.known.saturating_sub(1);
        // The last update of an epoch shows in its weights first, and in no loss yet.
        if let Some(bad) = params.arena().iter().find(|value| !value.is_finite()) {
            return Some(self.diverged("a weight", ended.index, last, *bad));
        }
        let metrics = valid.filter(|metrics| !metrics.loss.is_finite())?;
        #[expect(clippy::cast_possible_truncation, reason = "only shown to people")]
        Some(self.diverged("the validation loss", ended.index, last, metrics.loss as f32))
    }

    /// Warns of steps of an epoch that changed nothing; what ends the run, if no scale makes its gradients finite.
    fn tell_skipped(&mut self, ended: &Epoch, scaling: Scaling) -> Option<Error> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the difference of two counts"
        )]
        let skipped = (scaling.skipped - self.skipped) as u32;
        self.skipped = scaling.skipped;
        if skipped == 0 {
            return None;
        }
        if scaling.inverse >= Scaling::LARGEST as f32 {
            let last = self.known.saturating_sub(1);
            return Some(self.diverged("a gradient", ended.index, last, f32::INFINITY));
        }
        let (epoch, scale) = (ended.index + 1, scaling.scale.into());
        self.waiting.push_back(Event::Warned(Warning::StepsSkipped { epoch, skipped, scale }));
        None
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
