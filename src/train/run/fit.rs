//! The loop over epochs and windows of steps, as an iterator of events.

use std::collections::VecDeque;
use std::sync::Arc;

use super::checkpoint::{Checkpoint, RunPosition};
use super::state::{HeldCheckpoints, RunState, Stage, Underway};
use crate::data::epoch_order;
use crate::device::{Usage, Values};
use crate::error::{Error, Result, caught};
use crate::graph::{Loss, OptimizerSchedule, Reduction, SHARE, UpdateContext};
use crate::host::Instant;
use crate::model::Params;
use crate::plan::{LossScaler, Phase, StepParams, WINDOW};
use crate::shape::{narrow, short};
use crate::train::memory::block_upload::BlockUploader;
use crate::train::run::early_stopping::EarlyStopping;
use crate::train::run::loss_average::{Losses, PendingUpdate};
use crate::train::{
    EarlyStop, EpochStats, Event, Metric, Metrics, OnNonFinite, Progress, Schedules, StepStats,
    Summary, Trainer, Warning,
};

/// Loss of the user's below which it is taken to have no least value: targets are scaled, so that usual losses are about 1.
const FALLING: f64 = -100.0;

/// A run under way. Each call of `next` submits some steps to the device and returns the next event. Nothing happens before
/// the first call.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # fn never(mut trainer: wgrad::Trainer) {
/// trainer.fit(); // would train nothing
/// # }
/// ```
#[must_use = "a run does nothing until its events are taken; use `Trainer::run` to train without them"]
pub struct Fit<'a> {
    pub(in crate::train) trainer: &'a mut Trainer,
    pub(in crate::train) schedules: Schedules,
    /// Optimizer numbers of each update, computed in the order of the updates.
    pub(in crate::train) pace: OptimizerSchedule,
    /// The same numbers, as they were before the updates of the present window of steps.
    pub(in crate::train) window_pace: OptimizerSchedule,
    pub(in crate::train) watch: EarlyStopping,
    /// Why the run ended before its last epoch, if so.
    pub(in crate::train) stopped: Option<EarlyStop>,
    waiting: VecDeque<Event>,
    begun: Instant,
    /// Number of steps that an earlier part of the run has done.
    earlier: u64,
    pub(in crate::train) epoch: Epoch,
    /// Number of steps whose losses are known, since the run began.
    pub(in crate::train) known: u64,
    pub(in crate::train) stage: Stage,
    /// Uploads the rows' blocks, if the table is not on the device.
    pub(in crate::train) feed: Option<BlockUploader>,
    /// Number of steps that the loss scale has skipped, as far as they were reported.
    pub(in crate::train) skipped: f32,
    /// Factor of the learning rate, below 1 if the run went back to a checkpoint.
    pub(in crate::train) slowed: f64,
    /// Number of times that the run was resumed since an epoch ended.
    pub(in crate::train) tries: u32,
    /// Figures of the epoch that ended last.
    last: Option<EpochStats>,
    /// Metrics for which a missing value was already reported.
    without_value: Vec<Metric>,
    /// True once a loss without a minimum was reported.
    told_falling: bool,
}

/// Position inside an epoch.
pub(in crate::train) struct Epoch {
    /// Index, from 0.
    pub(in crate::train) index: u32,
    /// Number of steps submitted to the device.
    pub(in crate::train) step: usize,
    pub(in crate::train) begun: Instant,
    /// Total weight of the rows of each step, if it is not their number.
    pub(in crate::train) weights: Option<Vec<f64>>,
    pub(in crate::train) losses: Losses,
}

impl Epoch {
    fn new(index: u32) -> Self {
        let losses = Losses::default();
        Self { index, step: 0, begun: Instant::now(), weights: None, losses }
    }
}

impl<'a> Fit<'a> {
    pub(in crate::train) fn new(trainer: &'a mut Trainer) -> Self {
        let pace =
            OptimizerSchedule::new(trainer.options.optimizer.clone(), trainer.options.average);
        let schedules = trainer.options.schedules(trainer.info.steps_per_epoch);
        let watch = EarlyStopping::new(&trainer.options);
        let mut waiting = VecDeque::from([Event::Started(trainer.info.clone())]);
        waiting.extend(trainer.warnings.drain(..).map(Event::Warned));
        // Only a resumed trainer hands over a checkpoint; a run that was left before its end starts anew.
        let from = match &trainer.state {
            RunState::Resuming(checkpoint) => Some(Arc::clone(checkpoint)),
            _ => None,
        };
        trainer.checkpoints =
            HeldCheckpoints { newest: from.clone(), ..HeldCheckpoints::default() };
        let mut fit = Self {
            trainer,
            schedules,
            window_pace: pace.clone(),
            pace,
            watch,
            stopped: None,
            waiting,
            begun: Instant::now(),
            earlier: 0,
            epoch: Epoch::new(0),
            known: 0,
            stage: Stage::Beginning(None),
            feed: None,
            skipped: 0.0,
            slowed: 1.0,
            tries: 0,
            last: None,
            without_value: Vec::new(),
            told_falling: false,
        };
        // The host's state is restored now, the device's when the first step is taken.
        if let Some(checkpoint) = from {
            fit.slowed = checkpoint.about.place.slowed;
            fit.restore_state(checkpoint);
            fit.earlier = fit.known;
        }
        fit
    }

    /// Returns the trainer of the run: its kept weights are those of the last epoch reported.
    pub fn trainer(&self) -> &Trainer {
        self.trainer
    }

    /// Returns the work of host and device since the last call, as the device counts it; the first call begins the counting.
    pub fn take_usage(&mut self) -> Option<Usage> {
        self.trainer.device.take_usage()
    }

    /// Returns the number of rows of a step of any epoch.
    fn rows_of(&self, step: usize) -> usize {
        self.trainer.batches.rows(step)
    }

    /// Returns the index of the update that a step of the run belongs to; both are counted from 0.
    fn update_index(&self, step: u64) -> u64 {
        let steps = self.trainer.info.steps_per_epoch;
        let moves = self.trainer.options.updates_per_epoch(steps) as u64;
        let each = u64::from(self.trainer.options.accumulate.max(1));
        step / steps as u64 * moves + step % steps as u64 / each
    }

    /// Returns the learning rate of a step of the run.
    fn lr_at(&self, step: u64) -> f64 {
        self.schedules.lr.lr(self.update_index(step))
    }

    /// Does one piece of the run and returns its event.
    fn advance(&mut self) -> Result<Event> {
        let (epochs, steps) = (self.trainer.options.epochs, self.trainer.info.steps_per_epoch);
        if self.epoch.index >= epochs || self.stopped.is_some() {
            return self.finish();
        }
        match std::mem::replace(&mut self.stage, Stage::Standing) {
            // The first steps of this epoch were submitted at the end of the one before.
            Stage::Ahead(given) => {
                given?;
                self.trainer.state.running().ahead = false;
            }
            stage => {
                self.stage = stage;
                self.submit_steps()?;
            }
        }
        // The event of the last steps is the epoch's own.
        if self.epoch.step == steps {
            return self.end_epoch();
        }
        // Losses that have arrived are taken without waiting, so that the device never idles for a progress report.
        let losses = self.trainer.device.take_losses(false)?;
        self.record_losses(&losses)?;
        Ok(Event::Progress(self.progress(epochs, steps)))
    }

    /// Leaves the device with the weights that are kept.
    fn finish(&mut self) -> Result<Event> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let seconds = self.begun.elapsed().as_secs_f64();
        if let Stage::Beginning(Some(checkpoint)) = stage {
            // The run was resumed after its last epoch, so no step has brought the checkpoint to the device.
            self.trainer.restore(&checkpoint)?;
        }
        self.trainer.take_kept()?;
        let kept = self.trainer.kept().cloned();
        Ok(Event::Finished(Summary {
            kept,
            last: self.last.take(),
            epochs: self.epoch.index,
            stopped: self.stopped,
            seconds,
        }))
    }

    /// Submits some steps of the epoch to the device, after the data that the epoch needs, if they are its first.
    fn submit_steps(&mut self) -> Result<()> {
        let steps = self.trainer.info.steps_per_epoch;
        let fresh = matches!(self.stage, Stage::Beginning(_));
        if fresh {
            self.begin()?;
        }
        // A run may begin inside an epoch, so its first call uploads the order even then.
        if fresh || self.epoch.step == 0 {
            self.epoch.begun = Instant::now();
            self.epoch.weights = self.weights()?;
            if self.feed.is_none() {
                self.write_order()?;
            }
        }
        // Step parameters are uploaded for a whole window, so a submission must end with it.
        let in_window = self.epoch.step % WINDOW;
        if fresh || in_window == 0 {
            self.write_window()?;
        }
        let steps_per_submission =
            self.trainer.device.steps_per_submission(Phase::Train).max(1) as usize;
        let at = (self.epoch.index, self.epoch.step);
        // A streamed table limits the steps to those whose rows have arrived.
        let there = match &mut self.feed {
            Some(feed) => feed.bring(self.trainer.device.as_mut(), &self.trainer.plan, at)?,
            None => steps,
        };
        let count =
            steps_per_submission.min(steps - self.epoch.step).min(WINDOW - in_window).min(there);
        self.trainer.device.run(Phase::Train, narrow(in_window)..narrow(in_window + count))?;
        self.epoch.step += count;
        Ok(())
    }

    /// Starts to stream the table from the run's position on, if it streams.
    pub(in crate::train) fn start_feed(&self) -> Result<Option<BlockUploader>> {
        let Trainer { table, options, .. } = &*self.trainer;
        let first = (self.epoch.index, self.epoch.step);
        table.streamed().map(|table| BlockUploader::start(table, options, first)).transpose()
    }

    /// Returns the order in which the epoch visits the rows.
    fn order(&self) -> Result<Vec<u32>> {
        let Trainer { rows, options, .. } = &*self.trainer;
        let rows =
            u32::try_from(*rows).map_err(|_| Error::shape("train.x", "more than 2^32 rows"))?;
        Ok(epoch_order(rows, self.epoch.index, options.seed, options.shuffle))
    }

    /// Returns the total weight of the rows of each of the epoch's steps: 1 if their losses are only added.
    fn weights(&self) -> Result<Option<Vec<f64>>> {
        let Trainer { class_weights, criterion, batches, info, .. } = &*self.trainer;
        match (criterion.reduction, class_weights) {
            (Reduction::Sum, _) => Ok(Some(vec![1.0; info.steps_per_epoch])),
            (Reduction::Mean, None) => Ok(None),
            // Weights follow the epoch's order, so a step's total is known before it runs.
            (Reduction::Mean, Some(weights)) => {
                let weight = |rows: &[u32]| rows.iter().map(|&row| weights[row as usize]).sum();
                let order = self.order()?;
                let rows = |step: usize| weight(&order[batches.range(step..step + 1)]);
                Ok(Some((0..batches.steps()).map(rows).collect()))
            }
        }
    }

    /// Returns the divisor of the losses of a step of the epoch, where that is not the number of its rows.
    fn divisor(&self, step: usize) -> Option<f64> {
        let weights = self.epoch.weights.as_ref()?;
        Some(self.trainer.criterion.divisor(weights[step]))
    }

    /// Uploads the order in which the epoch visits the rows.
    fn write_order(&mut self) -> Result<()> {
        let order = self.order()?;
        let trainer = &mut *self.trainer;
        trainer.device.write(trainer.plan.ports.order, 0, Values::U32(&order))
    }

    /// Uploads the step parameters of the window that holds the next step.
    fn write_window(&mut self) -> Result<()> {
        let steps = self.trainer.info.steps_per_epoch;
        let first = self.epoch.step - self.epoch.step % WINDOW;
        // A checkpoint inside the window needs the numbers from before it.
        self.window_pace = self.pace.clone();
        let mut rows = Vec::with_capacity(WINDOW);
        for step in first..steps.min(first + WINDOW) {
            rows.push(self.step_params(step));
        }
        if let Some(last) = rows.last() {
            let underway = Underway { epoch: self.epoch.index, dropout: last.dropout };
            self.trainer.state.running().underway = Some(underway);
        }
        self.trainer.device.write_steps(Phase::Train, &rows)
    }

    /// Returns the step parameters of a step of the epoch; steps are asked for in order.
    fn step_params(&mut self, step: usize) -> StepParams {
        let steps = self.trainer.info.steps_per_epoch;
        let global = u64::from(self.epoch.index) * steps as u64 + step as u64;
        let in_order = self.trainer.batches.first(step);
        let first = self.feed.as_ref().map(|feed| feed.first(self.epoch.index, step));
        let group = self.trainer.accumulation_group(step);
        let factors = self.schedules.factors(self.update_index(global));
        let of_network = self.trainer.factors;
        let mut row = StepParams {
            first: narrow(first.unwrap_or(in_order)),
            rows: narrow(self.rows_of(step)),
            log: narrow(step % WINDOW),
            step: u32::try_from(global).unwrap_or(u32::MAX),
            seed: self.trainer.options.seed.folded(),
            apply: step + 1 == group.end,
            divisor: self.divisor(step),
            dropout: factors.dropout * of_network.dropout,
            loss: of_network.loss(factors.smoothing),
            ..StepParams::default()
        };
        // The optimizer's numbers advance with updates only, not with each accumulated step.
        if row.apply {
            row.scalars = self.pace.next(UpdateContext {
                lr: factors.lr,
                decay: factors.weight_decay,
                epoch: self.epoch.index,
                last: group.end == steps,
            });
        }
        // Each step's gradient is the mean over its own rows, so it is weighted by their fraction of all rows of the
        // update; one that is a sum is added as it is.
        row.scalars[SHARE] = match self.trainer.options.reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => {
                let rows = |step| self.divisor(step).unwrap_or(self.rows_of(step) as f64);
                rows(step) / group.map(rows).sum::<f64>()
            }
        };
        row
    }

    /// Records the losses of the steps after the known ones. A loss that is not finite ends the run, or means that the
    /// device has skipped the step.
    pub(in crate::train) fn record_losses(&mut self, losses: &[f32]) -> Result<()> {
        let steps = self.trainer.info.steps_per_epoch as u64;
        let skips = self.trainer.options.on_nonfinite == OnNonFinite::Skip;
        for &loss in losses {
            let step = self.known;
            self.known += 1;
            if !loss.is_finite() && !skips {
                return Err(self.diverged("the loss", self.epoch.index, step, loss));
            }
            // A step's place in its epoch, since losses may arrive late.
            let step = usize::try_from(step % steps).unwrap_or(0);
            let weight = match &self.epoch.weights {
                Some(weights) => weights[step],
                None => self.rows_of(step) as f64,
            };
            let (rows, lr) = (self.rows_of(step), self.lr_at(self.known - 1));
            if let Some(hook) = &mut self.trainer.hook {
                let epoch = self.epoch.index + 1;
                hook(&StepStats { epoch, step: step + 1, rows, loss: loss.into(), lr });
            }
            // If steps may be skipped, losses count only when their whole update is known to be made.
            if skips {
                let ends = self.trainer.accumulation_group(step).end == step + 1;
                self.epoch.losses.add_to_move(loss, weight, ends);
            } else {
                self.epoch.losses.add(loss, weight);
            }
        }
        Ok(())
    }

    fn diverged(&self, what: &'static str, epoch: u32, step: u64, loss: f32) -> Error {
        Error::Diverged { step: step + 1, epoch: epoch + 1, lr: self.lr_at(step), loss, what }
    }

    /// Ends an epoch: validates, decides which weights to keep, and reports.
    fn end_epoch(&mut self) -> Result<Event> {
        let losses = self.trainer.device.take_losses(true)?;
        self.record_losses(&losses)?;
        let trained = self.epoch.begun.elapsed().as_secs_f64();
        // The last block of the epoch is free once its steps have run.
        let free = self.feed.as_ref().map_or(0, |feed| feed.last(self.epoch.index));
        self.trainer.measure(free)?;
        let outputs = self.trainer.valid_outputs()?;
        let due = self.is_due(self.epoch.index + 1);
        // A capture includes the weights, so they are not read a second time.
        let slots = if due || self.may_be_best() { Some(self.trainer.capture()?) } else { None };
        let (params, scaling) = match &slots {
            Some(slots) => self.trainer.captured(slots)?,
            None => (self.trainer.params()?, self.trainer.scaling()?),
        };
        self.trainer.check_ranks(&params)?;
        let past = self.pace.past();
        let seconds = self.epoch.begun.elapsed().as_secs_f64();
        let next = Epoch::new(self.epoch.index + 1);
        let ended = std::mem::replace(&mut self.epoch, next);
        // The host has read everything that it needs of this epoch, so the device goes on while the host computes and
        // reports. Rates that depend on this epoch's figures have to wait for them.
        if self.epoch.index < self.trainer.options.epochs && !self.schedules.watching() {
            self.stage = Stage::Ahead(self.submit_steps());
            self.trainer.state.running().ahead = true;
        }
        let valid = outputs.and_then(|outputs| self.trainer.valid_metrics(&outputs));
        let exhausted = scaling.and_then(|scaling| self.report_skipped(&ended, scaling));
        let nothing = self.report_lost(&ended);
        if let Some(error) =
            exhausted.or(nothing).or_else(|| self.not_finite(&ended, &params, valid.as_ref()))
        {
            // The weights of this epoch stay, so that the error describes them, and not those of later steps.
            self.trainer.write_params(&params)?;
            return Err(error);
        }
        let stats = EpochStats {
            epoch: ended.index + 1,
            steps: self.known,
            train_loss: ended.losses.told(self.trainer.criterion.reduction),
            valid,
            lr: self.lr_at(self.known.saturating_sub(1)),
            seconds,
            samples_per_second: self.trainer.rows as f64 / trained.max(1e-9),
        };
        self.report_falling(&stats);
        let kept = self.judge(&stats, params);
        self.tries = 0;
        self.trainer.checkpoints.best = None;
        if let Some(slots) = slots.filter(|_| due || kept) {
            // The device may have run the next epoch's first steps, so the position is that of this epoch's end.
            // The next epoch begins with no losses of its own.
            let place = RunPosition {
                epoch: stats.epoch,
                step: 0,
                past,
                loss_sum: 0.0,
                loss_weight: 0.0,
                open: PendingUpdate::default(),
                lost: 0,
                ..self.place()
            };
            self.hold_checkpoint(self.trainer.checkpoint_of(slots, place), due, kept);
        }
        self.last = Some(stats.clone());
        Ok(Event::Epoch(stats))
    }

    /// Holds the checkpoint of an epoch's end, as the newest one if one is due, and as the best one if the epoch is kept.
    fn hold_checkpoint(&mut self, checkpoint: Checkpoint, due: bool, kept: bool) {
        let checkpoint = Arc::new(checkpoint);
        let best = kept && self.may_be_best();
        self.trainer.checkpoints.best = best.then(|| Arc::clone(&checkpoint));
        if due {
            self.trainer.checkpoints.newest = Some(checkpoint);
        }
    }

    /// Keeps an epoch's weights if the options say so, and passes its figures to schedules and early stopping. Returns
    /// whether the epoch is kept.
    fn judge(&mut self, stats: &EpochStats, params: Params) -> bool {
        let value_of = |metric| match &stats.valid {
            Some(valid) => valid.value(metric),
            None => Some(stats.train_loss),
        };
        // Reported once for each metric: the same warning in every epoch would hide others.
        for (option, metric) in self.trainer.options.steering() {
            if value_of(metric).is_none() && !self.without_value.contains(&metric) {
                self.without_value.push(metric);
                let epoch = stats.epoch;
                self.waiting.push_back(Event::Warned(Warning::NoValue { epoch, option, metric }));
            }
        }
        self.schedules.observe(value_of);
        let kept = self.watch.observe(stats.epoch, value_of(self.watch.metric()));
        if kept {
            self.trainer.kept = (params, Some(stats.clone()));
            self.trainer.state.running().present = None;
        } else {
            self.trainer.state.running().present = Some(params);
        }
        // After the last epoch there is nothing left to stop.
        let more = self.epoch.index < self.trainer.options.epochs;
        self.stopped = self.watch.stop(stats.epoch).filter(|_| more);
        kept
    }

    /// Returns the error that ends the run, if a weight or a figure of the epoch that ended is not finite.
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

    /// Warns of steps of an epoch that changed nothing. Returns the error that ends the run, if no scale makes its
    /// gradients finite.
    fn report_skipped(&mut self, ended: &Epoch, scaling: LossScaler) -> Option<Error> {
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
        if scaling.inverse >= LossScaler::LARGEST as f32 {
            let last = self.known.saturating_sub(1);
            return Some(self.diverged("a gradient", ended.index, last, f32::INFINITY));
        }
        let (epoch, scale) = (ended.index + 1, scaling.scale.into());
        self.waiting.push_back(Event::Warned(Warning::StepsSkipped { epoch, skipped, scale }));
        None
    }

    /// Warns of updates of an epoch that were skipped. Returns the error that ends the run, if all of them were.
    fn report_lost(&mut self, ended: &Epoch) -> Option<Error> {
        let (epoch, skipped) = (ended.index + 1, ended.losses.lost);
        let options = &self.trainer.options;
        let moves = options.updates_per_epoch(self.trainer.info.steps_per_epoch);
        if skipped as usize == moves {
            return Some(Error::NothingLearned { epoch, steps: skipped });
        }
        if skipped > 0 {
            let batches = options.accumulate;
            self.waiting.push_back(Event::Warned(Warning::StepsLost { epoch, skipped, batches }));
        }
        None
    }

    /// Warns once of a loss of the user's that falls without end.
    fn report_falling(&mut self, stats: &EpochStats) {
        let is_own = matches!(self.trainer.criterion.loss, Loss::Custom(_));
        if is_own && !self.told_falling && stats.train_loss < FALLING {
            self.told_falling = true;
            let problem = format!(
                "the loss is {} after epoch {} and may fall without end: a loss of your own needs a least value, or the network only learns \
                 to make it smaller; write one that is least where a prediction is right",
                short(stats.train_loss),
                stats.epoch
            );
            self.waiting.push_back(Event::Warned(Warning::Mistake { problem }));
        }
    }

    fn progress(&self, epochs: u32, steps: usize) -> Progress {
        let batch = self.trainer.batches.batch() as f64;
        let given = f64::from(self.epoch.index) * steps as f64 + self.epoch.step as f64;
        let seconds = self.begun.elapsed().as_secs_f64().max(1e-9);
        // Only the steps of this part of the run took this part's time.
        let here = (given - self.earlier as f64).max(1.0);
        Progress {
            epoch: self.epoch.index + 1,
            step: self.epoch.step,
            steps,
            loss: (self.epoch.losses.weight > 0.0)
                .then(|| self.epoch.losses.told(self.trainer.criterion.reduction)),
            samples_per_second: here * batch / seconds,
            seconds_left: (f64::from(epochs) * steps as f64 - given) * seconds / here,
        }
    }
}

impl Iterator for Fit<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(Ok(event));
        }
        if matches!(self.stage, Stage::Over) {
            return None;
        }
        // Recovery turns some errors into a warning, and the run continues.
        let event = caught(|| self.advance()).or_else(|error| self.recover(error));
        if event.is_err() {
            self.stage = Stage::Over;
        }
        Some(event)
    }
}
