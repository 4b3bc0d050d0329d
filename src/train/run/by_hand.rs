//! Training driven by the caller, a step at a time: batches of the table or the caller's own, a learning rate that the
//! caller sets, gradients to inspect.
//!
//! In: a [`Trainer`], batches. Out: [`StepStats`], gradients as [`Params`].
//! Absent on purpose: schedules, early stopping and checkpoints, which belong to [`Trainer::fit`].

use std::sync::Arc;

use super::state::{ByHand, RunState, Underway};
use super::trainer::{upload_constants, upload_table};
use crate::data::{Batches, Dataset, Features, Targets, epoch_order};
use crate::device::Values;
use crate::error::{Error, Result};
use crate::graph::{OptimizerSchedule, Reduction, SHARE, UpdateContext};
use crate::model::Params;
use crate::plan::{Phase, Precision, StepParams};
use crate::ranks::Share;
use crate::shape::{count, narrow, pluralize, short};
use crate::train::criterion::check_values;
use crate::train::embedding_indices::check_dataset;
use crate::train::loss_scale::{check_range, write_scaling};
use crate::train::memory::block_reader::{RowBlock, StreamedTable};
use crate::train::memory::training_table::TrainingTable;
use crate::train::param_io::params_of;
use crate::train::{OnNonFinite, Trainer};

/// Figures of one step of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepStats {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step of the epoch, from 1.
    pub step: usize,
    /// Rows of the batch.
    pub rows: usize,
    /// Loss of the batch, before the update.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
}

impl ByHand {
    fn of(trainer: &Trainer) -> Self {
        Self {
            lr: trainer.options.lr,
            pace: OptimizerSchedule::new(
                trainer.options.optimizer.clone(),
                trainer.options.average,
            ),
            epoch: 0,
            step: 0,
            done: 0,
            order: Vec::new(),
            unscale: None,
            block: RowBlock::default(),
            underway: None,
        }
    }
}

impl Trainer {
    /// Trains on the next batch of the table, in the order in which [`Self::fit`] visits it: the first step begins an epoch from the
    /// present weights, the step after an epoch's last one begins the next epoch.
    ///
    /// The learning rate is [`TrainOptions::lr`](crate::train::TrainOptions::lr) until [`Self::set_lr`] sets another one; schedules, early
    /// stopping and checkpoints are left to you. [`Self::evaluate`] validates, [`Self::keep_current`] makes the present weights those
    /// that [`Self::trained`] and [`Self::save`] take.
    ///
    /// ```
    /// use wgrad::prelude::*;
    ///
    /// let data = wgrad::data::synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
    /// let model = Sequential::new().dense(16).tanh().dense(1);
    /// let options = TrainOptions { loss: Loss::Mse, lr: 0.01, ..TrainOptions::default() };
    /// let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    /// for step in 0..200 {
    ///     trainer.set_lr(0.01 / (1.0 + f64::from(step) / 100.0))?;
    ///     let stats = trainer.step()?;
    ///     if step % 50 == 0 {
    ///         println!("loss {:.4}, gradient {:.4}", stats.loss, trainer.gradients()?.norm());
    ///     }
    /// }
    /// trainer.keep_current()?;
    /// assert!(trainer.evaluate()?.r2 > Some(0.9));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the device failed, the loss is not finite (and steps are not to be skipped), or [`Self::step_on`] has taken the table's place.
    pub fn step(&mut self) -> Result<StepStats> {
        self.check_table()?;
        self.begin_by_hand()?;
        // Taken out of the trainer, so that a step can borrow both.
        let mut hand = self.take_hand();
        let stats = self.step_of_table(&mut hand);
        self.state = RunState::ByHand(hand);
        stats
    }

    /// Trains on a batch of your own: features as they stand in a table, `[rows, columns]`, and the targets of each row, of the kind
    /// that the training table has. There may be at most as many rows as
    /// [`TrainOptions::batch_size`](crate::train::TrainOptions::batch_size) says.
    ///
    /// The table that the trainer was made of says how columns and targets are scaled, and gives its place on the device to the
    /// batch: from the first such step on, [`Self::step`] and [`Self::fit`] are errors. Of batches whose gradients are accumulated, each
    /// counts the same.
    ///
    /// ```
    /// use ndarray::{Array, Array2};
    /// use wgrad::prelude::*;
    ///
    /// let sample: Array2<f64> = Array::from_shape_fn((64, 2), |(row, column)| ((row * 7 + column * 3) % 11) as f64);
    /// let sums = |x: &Array2<f64>| x.sum_axis(ndarray::Axis(1));
    /// let data = Dataset::from_ndarray(&sample, &sums(&sample))?.split(0.0, Seed(1))?;
    /// let model = Sequential::new().dense(8).tanh().dense(1);
    /// let options = TrainOptions { loss: Loss::Mse, lr: 0.02, ..TrainOptions::default() };
    /// let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    /// let (half, targets) = (sample.slice(ndarray::s![..32, ..]), sums(&sample));
    /// let first = trainer.step_on(half, targets.slice(ndarray::s![..32]))?;
    /// for _ in 0..300 {
    ///     trainer.step_on(half, targets.slice(ndarray::s![..32]))?;
    /// }
    /// let last = trainer.step_on(half, targets.slice(ndarray::s![..32]))?;
    /// assert!(last.loss < first.loss / 5.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If features and targets do not fit the model, a value is not finite, there are too many rows, the device failed, or the loss is
    /// not finite.
    pub fn step_on<'a>(
        &mut self,
        features: impl Into<Features<'a>>,
        targets: impl Into<Targets>,
    ) -> Result<StepStats> {
        if self.device.ranks().is_some() {
            let problem = "a batch of your own is not shared among ranks; use Trainer::step or Trainer::fit, or train with one rank";
            return Err(Error::setting("batch", problem));
        }
        // The batch is checked before the table gives up its place.
        let batch = self.batch_of(features.into(), targets.into())?;
        self.begin_by_hand()?;
        self.make_place()?;
        let mut hand = self.take_hand();
        let stats = self.step_of_batch(&mut hand, batch);
        self.state = RunState::ByHand(hand);
        stats
    }

    /// Sets the learning rate of the steps that [`Self::step`] and [`Self::step_on`] do from now on.
    ///
    /// # Errors
    /// If the rate is negative or not finite, or the device failed.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        if !(lr.is_finite() && lr >= 0.0) {
            let problem = format!("{}, but it must be a finite number of 0 or more", short(lr));
            return Err(Error::setting("lr", problem));
        }
        self.begin_by_hand()?;
        if let RunState::ByHand(hand) = &mut self.state {
            hand.lr = lr;
        }
        Ok(())
    }

    /// Returns the gradients of the last step that [`Self::step`] or [`Self::step_on`] did, before clipping and
    /// accumulation, under the names of the weights.
    ///
    /// ```
    /// # use wgrad::prelude::*;
    /// # let data = wgrad::data::synth::xor(60, 0.2, Seed(1)).split(0.2, Seed(1))?;
    /// # let model = Sequential::new().dense(4).tanh().dense(2);
    /// # let mut trainer = Trainer::new(&model, &data, &TrainOptions::default(), &DeviceKind::Cpu)?;
    /// trainer.step()?;
    /// let gradients = trainer.gradients()?;
    /// println!("all {:.3}, first layer {:.3}", gradients.norm(), gradients.norm_of("0.weight").unwrap());
    /// for (name, norm) in gradients.norms() {
    ///     println!("{name} {norm:.3}");
    /// }
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If no such step was done, or the device failed.
    pub fn gradients(&mut self) -> Result<Params> {
        let hand = if let RunState::ByHand(hand) = &self.state { Some(hand) } else { None };
        let Some(unscale) = hand.and_then(|hand| hand.unscale) else {
            let problem = "there are none before the first Trainer::step or Trainer::step_on";
            return Err(Error::setting("gradients", problem));
        };
        let slot = self.plan.ports.gradients;
        let mut values = self.device.read(slot, self.plan.slot(slot).len())?;
        // The factor is a power of two, so the digits are kept.
        if unscale != 1.0 {
            values.iter_mut().for_each(|value| *value *= unscale);
        }
        params_of(&self.plan, self.kept.0.layout(), values)
    }

    /// Refuses to visit a table that gave its place to the caller's batches.
    pub(in crate::train) fn check_table(&self) -> Result<()> {
        if matches!(self.table, TrainingTable::Replaced) {
            let problem = "it gave its place on the device to the batches of Trainer::step_on; make another trainer to go over it";
            return Err(Error::setting("table", problem));
        }
        Ok(())
    }

    /// Enters the state of steps by hand, with a fresh optimizer.
    fn begin_by_hand(&mut self) -> Result<()> {
        match &self.state {
            RunState::ByHand(_) => return Ok(()),
            RunState::Resuming(_) => {
                let problem = "steps by hand do not go on from a checkpoint; use Trainer::fit or Trainer::run";
                return Err(Error::setting("checkpoint", problem));
            }
            RunState::Fresh | RunState::Running(_) | RunState::Ended => {}
        }
        self.reset_optimizer()?;
        self.state = RunState::ByHand(Box::new(ByHand::of(self)));
        Ok(())
    }

    /// Takes the state of steps by hand out of the trainer; a step puts it back.
    fn take_hand(&mut self) -> Box<ByHand> {
        match std::mem::replace(&mut self.state, RunState::Ended) {
            RunState::ByHand(hand) => hand,
            _ => Box::new(ByHand::of(self)),
        }
    }

    /// Does the next step of the table.
    fn step_of_table(&mut self, hand: &mut ByHand) -> Result<StepStats> {
        let steps = self.info.steps_per_epoch;
        let options = &self.options;
        if hand.step == 0 {
            let rows = narrow(self.rows);
            hand.order = epoch_order(rows, hand.epoch, options.seed, options.shuffle);
            // A streamed table has its rows uploaded in order, so the device's order stays the identity.
            if self.table.streamed().is_none() {
                let order = self.plan.ports.order;
                self.device.write(order, 0, Values::U32(&hand.order))?;
            }
        }
        let step = hand.step;
        let range = self.batches.range(step..step + 1);
        let rows = range.len();
        let divisor = self.divisor_of(&hand.order[range.clone()]);
        let group = self.accumulation_group(step);
        // The last update of an epoch may have fewer steps, or a smaller last batch.
        let weights = |step: usize| {
            let rows = &hand.order[self.batches.range(step..step + 1)];
            self.divisor_of(rows).unwrap_or(rows.len() as f64)
        };
        let share = match options.reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => weights(step) / group.clone().map(weights).sum::<f64>(),
        };
        let place = match self.table.streamed() {
            None => range.start,
            Some(table) => {
                table.fill(&hand.order[table.rows_of_step(step)], &mut hand.block);
                hand.block.write(self.device.as_mut(), &self.plan, 0)?;
                0
            }
        };
        let last = group.end == steps;
        let batch = HandBatch { place, rows, divisor, share, apply: step + 1 == group.end, last };
        let stats = self.do_step(hand, batch)?;
        hand.underway = Some(Underway { epoch: hand.epoch, dropout: self.factors.dropout });
        // The next step begins the next epoch.
        if hand.step == steps {
            (hand.epoch, hand.step) = (hand.epoch + 1, 0);
        }
        Ok(stats)
    }

    /// Does a step on a batch of the caller's.
    fn step_of_batch(&mut self, hand: &mut ByHand, data: Dataset) -> Result<StepStats> {
        let rows = data.rows();
        let order: Vec<u32> = (0..narrow(rows)).collect();
        let classes = self.criterion.weights_of_classes(data.y());
        let divisor = match (self.criterion.reduction, classes) {
            (Reduction::Sum, _) => Some(self.criterion.divisor(1.0)),
            (Reduction::Mean, None) => None,
            (Reduction::Mean, Some(weights)) => {
                Some(self.criterion.divisor(weights.iter().sum::<f64>()))
            }
        };
        let weights =
            if self.plan.ports.train_weights.is_some() { vec![1.0; rows] } else { vec![] };
        // A streamed table of one block scales the batch as it scales a table.
        let table = StreamedTable {
            data,
            weights: Arc::new(weights),
            preparation: self.preparation.clone(),
            block_rows: rows,
            batches: Batches::new(rows, rows, false),
            share: Share::WHOLE,
        };
        table.fill(&order, &mut hand.block);
        hand.block.write(self.device.as_mut(), &self.plan, 0)?;
        // The caller's batches have no epoch: every `accumulate` steps make one update.
        let each = u64::from(self.options.accumulate.max(1));
        let share = match self.options.reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => 1.0 / each as f64,
        };
        let apply = (hand.done + 1).is_multiple_of(each);
        // Averaged weights are measured on the table's epoch, and none is under way.
        hand.underway = None;
        let batch = HandBatch { place: 0, rows, divisor, share, apply, last: false };
        self.do_step(hand, batch)
    }

    /// Does one step on rows that are on the device.
    fn do_step(&mut self, hand: &mut ByHand, batch: HandBatch) -> Result<StepStats> {
        let mut row = StepParams {
            first: narrow(batch.place),
            rows: narrow(batch.rows),
            step: u32::try_from(hand.done).unwrap_or(u32::MAX),
            seed: self.options.seed.folded(),
            apply: batch.apply,
            divisor: batch.divisor,
            dropout: self.factors.dropout,
            loss: self.factors.loss(1.0),
            ..StepParams::default()
        };
        if row.apply {
            let moment =
                UpdateContext { lr: hand.lr, decay: 1.0, epoch: hand.epoch, last: batch.last };
            row.scalars = hand.pace.next(moment);
        }
        row.scalars[SHARE] = batch.share;
        // Read before the step, which may change the scale of its own gradients.
        let unscale = self.scaling()?.map_or(1.0, |scaling| scaling.inverse);
        self.device.write_steps(Phase::Train, &[row])?;
        self.device.run(Phase::Train, 0..1)?;
        // Waits for the step, since the caller gets its loss.
        let losses = self.device.take_losses(true)?;
        let loss = losses.last().copied().unwrap_or(f32::NAN);
        hand.unscale = Some(unscale);
        hand.done += 1;
        hand.step += 1;
        let epoch = hand.epoch + 1;
        if !loss.is_finite() && self.options.on_nonfinite != OnNonFinite::Skip {
            let what = "the loss";
            return Err(Error::Diverged { step: hand.done, epoch, lr: hand.lr, loss, what });
        }
        Ok(StepStats { epoch, step: hand.step, rows: batch.rows, loss: loss.into(), lr: hand.lr })
    }

    /// Returns the divisor of the losses of some of the table's rows, if it is not the number of rows.
    fn divisor_of(&self, rows: &[u32]) -> Option<f64> {
        let weight = match (self.criterion.reduction, &self.class_weights) {
            (Reduction::Sum, _) => 1.0,
            (Reduction::Mean, None) => return None,
            (Reduction::Mean, Some(weights)) => rows.iter().map(|&row| weights[row as usize]).sum(),
        };
        Some(self.criterion.divisor(weight))
    }

    /// Checks a batch of the caller's, and returns it as a data set.
    fn batch_of(&self, features: Features<'_>, targets: Targets) -> Result<Dataset> {
        let data = Dataset::from_arrays_like(features, targets, &self.preparation.schema)?;
        let most = self.plan.batch;
        if data.rows() > most {
            let problem = format!(
                "{}, but the batch has {}; give smaller batches, or a larger ‘batch_size’ (no larger than the table)",
                count(most as u64),
                pluralize(data.rows() as u64, "row")
            );
            return Err(Error::setting("batch_size", problem));
        }
        check_dataset(self.model.tables(), &data, "")?;
        check_values(&self.criterion.loss, &data)?;
        if self.options.precision == Precision::F16 {
            check_range(&self.preparation, &data)?;
        }
        Ok(data)
    }

    /// Turns the table's place on the device into one for a batch, unless this was done.
    fn make_place(&mut self) -> Result<()> {
        if matches!(self.table, TrainingTable::Replaced) {
            return Ok(());
        }
        // The plan changes in the table's slots only, so the captured values fit the new one.
        let values = self.capture()?;
        self.plan = self.plan.with_train_rows(self.plan.batch);
        self.table = TrainingTable::Replaced;
        self.device.load(&self.plan)?;
        upload_table(self.device.as_mut(), &self.plan, None, (&self.preparation, &[]))?;
        upload_constants(self.device.as_mut(), &self.plan, &self.criterion)?;
        write_scaling(self.device.as_mut(), &self.plan)?;
        self.bring_back(&values)?;
        self.forget_residents();
        Ok(())
    }
}

/// Rows of a step, and how they count.
struct HandBatch {
    /// First row on the device.
    place: usize,
    rows: usize,
    divisor: Option<f64>,
    /// Weight of the step's gradient among those that are accumulated.
    share: f64,
    /// True if the step ends an update.
    apply: bool,
    /// True if the update is the last one of the epoch.
    last: bool,
}
