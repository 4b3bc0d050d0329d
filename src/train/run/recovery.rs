//! Checkpoints of a run under way, and resuming from them: after a stop, a lost device, numbers that are not finite.
//!
//! In: a checkpoint in memory. Out: a [`Fit`] in the checkpoint's position.
//! Absent on purpose: files.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, RunPosition};
use super::state::Stage;
use crate::error::{Error, Result};
use crate::graph::OptimizerSchedule;
use crate::host::Instant;
use crate::plan::WINDOW;
use crate::train::run::early_stopping::EarlyStopping;
use crate::train::run::fit::Epoch;
use crate::train::run::loss_average::Losses;
use crate::train::{Event, Fit, KeepWeights, OnNonFinite, Warning};

/// Number of times that a run is resumed without an epoch that ends, before it is given up.
const TRIES: u32 = 10;
/// Number of these times that the run goes back to the last checkpoint, before it goes back to its beginning: the numbers
/// of the last checkpoint may be too large for any rate.
const NEAR: u32 = 3;

impl Fit<'_> {
    /// Returns the run in its present position, with all submitted steps, which are waited for. Right after an epoch was
    /// reported, it is the run as that epoch ended.
    ///
    /// # Errors
    /// If the device failed, or a loss is not finite.
    pub fn checkpoint(&mut self) -> Result<Arc<Checkpoint>> {
        let ended = self.trainer.checkpoints.newest.as_ref();
        let at_its_end = |last: &&Arc<Checkpoint>| last.epoch() == self.epoch.index;
        // Steps that were submitted ahead belong to an epoch that no event has mentioned.
        if let Some(last) = ended.filter(|last| self.trainer.state.is_ahead() && at_its_end(last)) {
            return Ok(last.clone());
        }
        match &self.stage {
            // No step has run since the checkpoint.
            Stage::Beginning(Some(from)) => return Ok(Arc::clone(from)),
            Stage::Beginning(None) => self.begin()?,
            Stage::Standing | Stage::Ahead(_) | Stage::Over => {}
        }
        // The position counts steps whose losses are recorded, so all of them are waited for.
        let losses = self.trainer.device.take_losses(true)?;
        self.record_losses(&losses)?;
        let slots = self.trainer.capture()?;
        let place = self.place();
        Ok(Arc::new(self.trainer.checkpoint_of(slots, place)))
    }

    /// Returns the run's position, if all losses are known.
    pub(in crate::train) fn place(&self) -> RunPosition {
        // The optimizer numbers of a window are computed when the window begins.
        let begun = !self.epoch.step.is_multiple_of(WINDOW);
        let [lr, decay, dropout, smoothing_fall] = self.schedules.falls();
        let pace = if begun { &self.window_pace } else { &self.pace };
        RunPosition {
            epoch: self.epoch.index,
            step: self.epoch.step,
            loss_sum: self.epoch.losses.sum,
            loss_weight: self.epoch.losses.weight,
            open: self.epoch.losses.open,
            lost: self.epoch.losses.lost,
            falls: [lr, decay, dropout],
            smoothing_fall,
            marks: self.watch.marks(),
            past: pace.past(),
            skipped: self.skipped,
            slowed: self.slowed,
        }
    }

    /// True if a checkpoint is due at an epoch's end, given the number of epochs that have ended.
    pub(in crate::train) fn is_due(&self, ended: u32) -> bool {
        let every = self.trainer.options.checkpoint_every;
        every > 0 && (ended.is_multiple_of(every) || ended == self.trainer.options.epochs)
    }

    /// True if a checkpoint is due at an epoch's end if the epoch is the best.
    pub(in crate::train) fn may_be_best(&self) -> bool {
        let options = &self.trainer.options;
        options.checkpoint_every > 0 && options.keeps() == KeepWeights::Best
    }

    /// Prepares the device for the next step: fresh, or with a checkpoint's values.
    pub(in crate::train) fn begin(&mut self) -> Result<()> {
        self.trainer.check_table()?;
        let from = match &mut self.stage {
            Stage::Beginning(from) => from.take(),
            Stage::Standing | Stage::Ahead(_) | Stage::Over => return Ok(()),
        };
        match from {
            Some(checkpoint) => {
                self.trainer.restore(&checkpoint)?;
                // Without a checkpoint of the beginning, a resumed run can go back to where it was resumed.
                let goes_back = self.trainer.options.on_nonfinite == OnNonFinite::Back;
                if goes_back && self.trainer.checkpoints.first.is_none() {
                    self.trainer.checkpoints.first = Some(checkpoint);
                }
            }
            None => {
                self.trainer.reset_optimizer()?;
                let options = &self.trainer.options;
                let goes_back = options.on_nonfinite == OnNonFinite::Back;
                // A CPU cannot be lost, so there the first checkpoint serves only going back.
                let of_use = goes_back || !self.trainer.info.device.is_cpu();
                if of_use && options.checkpoint_every > 0 {
                    let slots = self.trainer.capture()?;
                    let place = self.place();
                    let first = self.trainer.checkpoint_of(slots, place);
                    self.trainer.checkpoints.newest = Some(Arc::new(first));
                }
                if goes_back {
                    self.trainer.checkpoints.first = self.trainer.checkpoints.newest.clone();
                }
            }
        }
        // After the position is set: the stream begins at the step that comes next.
        self.feed = self.start_feed()?;
        self.stage = Stage::Standing;
        Ok(())
    }

    /// Sets the host's state of the run to a checkpoint's; the device follows with the next step.
    pub(in crate::train) fn restore_state(&mut self, checkpoint: Arc<Checkpoint>) {
        let RunPosition { epoch, step, .. } = checkpoint.about.place;
        let place = &checkpoint.about.place;
        let (options, steps) = (&self.trainer.options, self.trainer.info.steps_per_epoch);
        self.schedules = options.schedules(steps);
        let [lr, decay, dropout] = place.falls;
        self.schedules.restore_state([lr, decay, dropout, place.smoothing_fall], self.slowed);
        self.pace =
            OptimizerSchedule::after(place.past, options.optimizer.clone(), options.average);
        self.watch = EarlyStopping::new(options);
        self.watch.restore_state(place.marks);
        // A checkpoint of an epoch's end may be one at which early stopping ends the run.
        let ended = step == 0 && epoch > 0 && epoch < options.epochs;
        self.stopped = if ended { self.watch.stop(epoch) } else { None };
        self.epoch = Epoch {
            index: epoch,
            step,
            begun: Instant::now(),
            weights: None,
            losses: Losses {
                sum: place.loss_sum,
                weight: place.loss_weight,
                open: place.open,
                lost: place.lost,
            },
        };
        self.known = u64::from(epoch) * steps as u64 + step as u64;
        self.skipped = place.skipped;
        // The stream is started anew from the checkpoint's position.
        self.feed = None;
        self.stage = Stage::Beginning(Some(checkpoint));
    }

    /// Resumes from the last checkpoint after an error, if that can help.
    ///
    /// # Errors
    /// The error itself, if it cannot.
    pub(in crate::train) fn recover(&mut self, error: Error) -> Result<Event> {
        let Some(last) = self.trainer.checkpoints.newest.clone().filter(|_| self.tries < TRIES)
        else {
            return Err(error);
        };
        let problem = error.to_string();
        let lost = "the device was lost";
        // Asked first, since a lost device may show itself by any error.
        if self.trainer.device.lost() {
            let (place, ended) = (last.about.place.to_string(), last.epoch());
            let same = self.trainer.reopen().map_err(|second| Error::Device {
                adapter: self.trainer.info.device.name.clone(),
                problem: format!("{problem}; and it cannot be opened again: {second}"),
            })?;
            self.tries += 1;
            self.restore_state(last);
            // The first error of a lost device may be anything, so the message says what happened.
            let told = problem.contains(lost);
            let problem = if told { problem } else { format!("{lost}: {problem}") };
            return Ok(Event::Warned(Warning::DeviceLost { problem, place, ended, same }));
        }
        let back = self.trainer.options.on_nonfinite == OnNonFinite::Back;
        // Only diverged numbers can become better with a smaller rate.
        if !back || !matches!(error, Error::Diverged { .. }) {
            return Err(error);
        }
        // After a few tries from the last checkpoint, its numbers are the suspects.
        let far = self.trainer.checkpoints.first.clone().filter(|_| self.tries >= NEAR);
        let mut back_to = far.unwrap_or(last);
        let (place, ended) = (back_to.about.place.to_string(), back_to.epoch());
        self.tries += 1;
        self.slowed *= 0.5;
        // The factor is stored with the checkpoint, so that a later resume uses it too.
        Arc::make_mut(&mut back_to).about.place.slowed = self.slowed;
        self.trainer.checkpoints.newest = Some(back_to.clone());
        self.restore_state(back_to);
        Ok(Event::Warned(Warning::WentBack { problem, place, ended, slowed: self.slowed }))
    }
}
