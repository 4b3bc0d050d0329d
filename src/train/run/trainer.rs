//! [`Trainer`]: data, model and options brought together on a device.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checkpoint::{DeviceState, RunFingerprint, data_checksum};
use super::state::{HeldCheckpoints, RunState, RunningState, Underway};
use crate::checksum::Checksum;
use crate::data::{
    Batches, Dataset, FeatureScaling, Oddities, Preprocessing, Split, TargetKind, Targets,
    epoch_order, list,
};
use crate::device::{Device, DeviceKind, MemberHandle, RankDevice, Values, open_tuned};
use crate::error::{Error, Result, caught};
use crate::graph::{Loss, Reduction, SHARE};
use crate::host::Instant;
use crate::model::{Params, Sequential};
use crate::plan::{LossScaler, Phase, Precision, Slot, StepParams, TrainPlan};
use crate::ranks::{Ranks, Share};
use crate::shape::narrow;
use crate::train::input_tables::{clear_unused_rows, slow_tables, with_input_tables};
use crate::train::loss_scale::{check_range, write_scaling};
use crate::train::memory::block_reader::{RowBlock, StreamedTable};
use crate::train::memory::load_plan::{LoadedPlan, fitted};
use crate::train::memory::memory_planner::{MemoryPlanner, takes_batches};
use crate::train::memory::training_table::TrainingTable;
use crate::train::mistakes::mistakes;
use crate::train::param_io::{params_of, read_params, write_params};
use crate::train::predict::{run_all, run_eval};
use crate::train::start_values::start_from_rows;
use crate::train::step_factors::StepFactors;
use crate::train::target_scaling::{TargetScaling, target_scaling};
use crate::train::{
    Criterion, EpochStats, Event, Fit, KeepWeights, Metrics, RunInfo, ScheduleKind, StepStats,
    Summary, TrainOptions, TrainedModel, Warning,
};

/// Trains one model on one table.
///
/// ```
/// use wgrad::prelude::*;
///
/// let data = wgrad::data::synth::xor(200, 0.2, Seed(1)).split(0.2, Seed(1))?;
/// let model = Sequential::new().dense(8).tanh().dense(2);
/// let options = TrainOptions { epochs: 40, lr: 0.02, ..TrainOptions::default() };
/// let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
/// trainer.run()?;
/// assert!(trainer.evaluate()?.accuracy > Some(0.9));
/// println!("first weights: {:?}", trainer.params()?.get("0.weight"));
/// # Ok::<(), wgrad::Error>(())
/// ```
pub struct Trainer {
    pub(in crate::train) options: TrainOptions,
    pub(in crate::train) device: Box<dyn Device>,
    pub(in crate::train) plan: TrainPlan,
    pub(in crate::train) rows: usize,
    pub(in crate::train) batches: Batches,
    pub(in crate::train) info: RunInfo,
    pub(in crate::train) warnings: Vec<Warning>,
    pub(in crate::train) model: Sequential,
    pub(in crate::train) factors: StepFactors,
    pub(in crate::train) preparation: Preprocessing,
    pub(in crate::train) criterion: Criterion,
    /// The weight of each training row's class, if the classes differ in weight: a batch's mean is over these weights.
    pub(in crate::train) class_weights: Option<Vec<f64>>,
    /// Weights of the training rows as the device takes them; empty if all rows weigh the same.
    step_weights: Arc<Vec<f32>>,
    /// The weights and figures that a save takes: those of the last good epoch, or of the best one.
    pub(in crate::train) kept: (Params, Option<EpochStats>),
    valid: Option<ValidPart>,
    /// Place of the training table.
    pub(in crate::train) table: TrainingTable,
    pub(in crate::train) origin: RunFingerprint,
    pub(in crate::train) state: RunState,
    pub(in crate::train) checkpoints: HeldCheckpoints,
    /// Function that is called for each step of a run.
    pub(in crate::train) hook: Option<Hook>,
}

/// A function that is called for each step.
pub(in crate::train) type Hook = Box<dyn FnMut(&StepStats) + Send>;

/// The validation part.
struct ValidPart {
    data: Dataset,
    /// True if its features are on the device.
    resident: bool,
}

/// Bytes of features that are scaled at once during the upload.
const UPLOAD_BYTES: usize = 1 << 20;
/// Largest number of batches on which the running statistics of averaged weights are measured.
const MEASURED: usize = 64;

impl Trainer {
    /// Plans the run, opens the device and loads data and initial weights.
    ///
    /// # Errors
    /// If model, data and options do not fit, or the device cannot be opened or is too small.
    pub fn new(
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
        device: &DeviceKind,
    ) -> Result<Self> {
        Self::checked(model, data, options, |room, begun| {
            let (device, reason) = open_tuned(device, &room.options.tuning)?;
            Self::on(device, reason, room, begun)
        })
    }

    /// Does the same as [`Self::new`] on a device that is open already, with the settings of its owner.
    ///
    /// # Errors
    /// If model, data and options do not fit, or the device is too small.
    pub fn with_device(
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
        device: Box<dyn Device>,
    ) -> Result<Self> {
        Self::checked(model, data, options, |room, begun| {
            Self::on(device, "it was open".to_string(), room, begun)
        })
    }

    /// Does the same as [`Self::new`] for one rank among several that train one network together. Each rank makes its own trainer, of the
    /// same rows and options, and calls the same methods in the same order. Of each batch the device of a rank gets the rank's share of
    /// the rows; losses, gradients and the statistics of batch norms are added over all ranks, in their order. So all ranks have the same
    /// weights bit for bit, and those of one rank with the whole batch within rounding.
    ///
    /// ```
    /// use wgrad::prelude::*;
    /// use wgrad::ranks::thread_ranks;
    ///
    /// let data = wgrad::data::synth::xor(200, 0.2, Seed(1)).split(0.2, Seed(1))?;
    /// let model = Sequential::new().dense(8).tanh().dense(2);
    /// let options = TrainOptions { epochs: 40, lr: 0.02, ..TrainOptions::default() };
    /// let trained = std::thread::scope(|scope| {
    ///     let rank = |ranks| {
    ///         let (model, data, options) = (&model, &data, &options);
    ///         scope.spawn(move || -> Result<f64> {
    ///             let mut trainer = Trainer::of_rank(model, data, options, &DeviceKind::Cpu, ranks)?;
    ///             trainer.run()?;
    ///             Ok(trainer.evaluate()?.loss)
    ///         })
    ///     };
    ///     let threads: Vec<_> = thread_ranks(2).into_iter().map(rank).collect();
    ///     threads.into_iter().map(|it| it.join().unwrap()).collect::<Result<Vec<f64>>>()
    /// })?;
    /// assert_eq!(trained[0], trained[1]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::new`]; and if another rank failed, the devices are of different kinds, or weights are averaged in a network with a
    /// batch norm.
    pub fn of_rank(
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
        device: &DeviceKind,
        ranks: Ranks,
    ) -> Result<Self> {
        let made = Self::checked(model, data, options, |room, begun| {
            let (device, reason) = open_tuned(device, &room.options.tuning)?;
            let device = Box::new(RankDevice::new(device, ranks.clone())?);
            let trainer = Self::on(device, reason, room, begun)?;
            let block_rows = trainer.info.streaming.map_or(0, |it| it.block_rows);
            trainer.origin.check_ranks(&trainer.model, &ranks, block_rows)?;
            Ok(trainer)
        });
        // The others wait for this rank.
        made.inspect_err(|error| ranks.fail(&error.to_string()))
    }

    /// Does the same as [`Self::with_device`] for a member of several that train side by side, and takes this for the reason
    /// why the device was chosen.
    pub(in crate::train) fn for_member(
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
        handle: MemberHandle,
        reason: &str,
    ) -> Result<Self> {
        Self::checked(model, data, options, |room, begun| {
            Self::on(Box::new(handle), reason.to_string(), room, begun)
        })
    }

    /// Returns the plan of a run on an open device, and what becomes of the columns; no plan if its table would stream.
    pub(in crate::train) fn planned(
        device: &dyn Device,
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
    ) -> Result<(Option<TrainPlan>, Preprocessing)> {
        Self::checked(model, data, options, |MemoryPlanner { model, data, options, .. }, _| {
            let TargetScaling { preparation, loss, .. } =
                scaled(model, options, &data.train, None)?;
            let options = &TrainOptions { loss, ..options.clone() };
            let room = MemoryPlanner { model, data, options, device: Some(device) };
            let (plan, streaming) = room.plan()?;
            Ok((Some(plan).filter(|_| streaming.is_none()), preparation))
        })
    }

    /// Does work with model, data and options as a run takes them, after their check: mistakes in the settings are reported
    /// before any device is opened. Errors of a stored table, whose rows are read on the way, are returned.
    fn checked<R>(
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
        work: impl FnOnce(MemoryPlanner<'_>, Instant) -> Result<R>,
    ) -> Result<R> {
        caught(|| {
            let begun = Instant::now();
            let options = &options.with_keep(data.valid.as_ref().map_or(0, Dataset::rows));
            // Columns of many texts have tables in front of the layers.
            let model = &with_input_tables(model, &data.train)?;
            let room = MemoryPlanner { model, data, options, device: None };
            room.check()?;
            work(room, begun)
        })
    }

    /// Loads plan, data and initial weights on an open device.
    fn on(
        mut device: Box<dyn Device>,
        reason: String,
        room: MemoryPlanner<'_>,
        begun: Instant,
    ) -> Result<Self> {
        let MemoryPlanner { model, data, options, .. } = room;
        let train = &data.train;
        let criterion = Criterion::of(options, train)?;
        // The scaling may change the loss's settings, which are given in the target's units.
        let ranks = device.ranks().cloned();
        let TargetScaling { preparation, loss, note, warnings } =
            scaled(model, options, train, ranks.as_ref())?;
        let mut criterion = Criterion { loss: loss.clone(), ..criterion };
        // The rank that has read the rows checks them for all of its machine.
        let checks = !ranks.as_ref().is_some_and(Ranks::has_rows_of_another);
        // Checked on the scaled values, since scaling may bring a large number into range.
        if checks {
            check_single(&preparation, data)?;
        }
        if checks && options.precision == Precision::F16 {
            check_range(&preparation, train)?;
        }
        let checksum = of_rows(ranks.as_ref(), || Ok(data_checksum(data)))?;
        let options = &TrainOptions { loss, ..options.clone() };
        // From here on the options are those that the run has in effect.
        let room = MemoryPlanner { options, ..room };
        let LoadedPlan { options, plan, streaming, warning } = fitted(device.as_mut(), room)?;
        let options = &options;
        // A batch norm cannot take a last batch of one row, so the batches avoid it.
        let no_single = takes_batches(model, train.columns())?;
        // The batches of all ranks together; those of the plan are one rank's.
        let batch = options.batch_size.min(train.rows());
        let visited = options.visited_rows(train.rows(), batch);
        let batches = Batches::new(visited, batch, no_single);
        criterion.final_smoothing = options.schedules(batches.steps()).smoothing.last();
        let share = device.ranks().map_or(Share::WHOLE, Ranks::share);
        let step_weights = Arc::new(criterion.step_weights(train));
        let streamed = streaming.map(|streaming| StreamedTable {
            data: train.clone(),
            weights: Arc::clone(&step_weights),
            preparation: preparation.clone(),
            block_rows: streaming.block_rows,
            batches,
            share,
        });
        // A table that streams is not uploaded; its slots are prepared for blocks.
        let resident = streamed.is_none().then_some(train);
        upload_table(device.as_mut(), &plan, resident, (&preparation, &step_weights))?;
        upload_constants(device.as_mut(), &plan, &criterion)?;
        let mut params = Params::init(model, train.columns(), options.seed)?;
        clear_unused_rows(&mut params, model, train)?;
        start_from_rows(&mut params, model, train, (&preparation, options))?;
        write_params(device.as_mut(), &plan, &params)?;
        write_scaling(device.as_mut(), &plan)?;
        let valid = data.valid.clone().map(|data| ValidPart { data, resident: false });
        let on_their_way = streamed.as_ref().map_or(0, StreamedTable::bytes_on_their_way);
        // On the CPU the device cannot be lost, so no second copy is kept.
        let copy = || (!device.info().is_cpu()).then(|| Box::new(train.clone()));
        let table = streamed.map_or_else(
            || TrainingTable::Resident(copy()),
            |table| TrainingTable::Streamed(Box::new(table)),
        );
        let info = RunInfo {
            device: device.info().clone(),
            reason,
            train_rows: train.rows(),
            valid_rows: data.valid.as_ref().map_or(0, Dataset::rows),
            target: train.target_summary(),
            features: train.columns(),
            positive: train.schema().positives(),
            parameters: params.layout().count(),
            epochs: options.epochs,
            steps_per_epoch: batches.steps(),
            batch,
            precision: options.precision,
            device_bytes: device.bytes_for(&plan) + on_their_way,
            target_note: note,
            smoothing_moves: options.smoothing_schedule != ScheduleKind::Constant,
            streaming,
            load_seconds: begun.elapsed().as_secs_f64(),
            variants: device.variants(),
        };
        // After loading, since the variants are part of the fingerprint.
        let on = (&info.device, info.variants.clone(), share.count);
        let origin = RunFingerprint::of(options, on, (train.rows(), checksum), batch);
        let mut trainer = Self {
            origin,
            state: RunState::Fresh,
            checkpoints: HeldCheckpoints::default(),
            options: options.clone(),
            rows: train.rows(),
            batches,
            kept: (params, None),
            warnings: Vec::new(),
            factors: StepFactors::of(model, &options.loss),
            model: model.clone(),
            info,
            device,
            plan,
            preparation,
            class_weights: criterion.weights_of_classes(train.y()),
            step_weights,
            criterion,
            valid,
            table,
            hook: None,
        };
        trainer.warnings = trainer.all_warnings(data, warnings, warning)?;
        Ok(trainer)
    }

    /// Returns the warnings before the run, in a fixed order: data, settings, memory, metrics, device.
    fn all_warnings(
        &mut self,
        data: &Split,
        of_scaling: Vec<Warning>,
        of_memory: Option<Warning>,
    ) -> Result<Vec<Warning>> {
        let of_another = self.device.ranks().is_some_and(Ranks::has_rows_of_another);
        // The rank that has read the rows looks through them.
        let mut warnings = if of_another { Vec::new() } else { self.first_warnings(data) };
        warnings.extend(of_scaling);
        let columns = data.train.columns();
        let problems = mistakes(&self.model, columns, &self.options, &self.batches)?.into_iter();
        warnings.extend(problems.map(|problem| Warning::Mistake { problem }));
        let cpu = self.info.device.is_cpu();
        let slow = slow_tables(&self.model, &data.train, (&self.options, &self.batches), cpu);
        warnings.extend(slow.map(|problem| Warning::Mistake { problem }));
        warnings.extend(of_memory);
        if let Some(valid) = &self.valid {
            let undefined = self.options.undefined(&valid.data).into_iter();
            warnings
                .extend(undefined.map(|(metric, problem)| Warning::Undefined { metric, problem }));
        }
        let problems = self.device.take_warnings().into_iter();
        warnings.extend(problems.map(|problem| Warning::Device { problem }));
        Ok(warnings)
    }

    /// Returns the warnings about the data.
    fn first_warnings(&self, data: &Split) -> Vec<Warning> {
        let train = &data.train;
        let mut warnings: Vec<Warning> =
            train.notes().iter().map(|note| Warning::Noted { problem: note.clone() }).collect();
        // Parts of one table have the same notes.
        let apart = data.valid.iter().filter(|valid| valid.notes() != train.notes());
        for part in std::iter::once(train).chain(&data.valid) {
            let mut oddities = Oddities::default();
            oddities.add(part.odd_cells(), &[]);
            let which =
                if std::ptr::eq(part, train) { "the training rows" } else { "the validation rows" };
            let told = oddities.told(part.schema()).into_iter();
            warnings
                .extend(told.map(|told| Warning::Noted { problem: format!("{which}: {told}") }));
        }
        for valid in apart {
            let notes = valid.notes().iter();
            warnings.extend(
                notes.map(|note| Warning::Noted { problem: format!("{}: {note}", valid.source()) }),
            );
        }
        let left_out = train.left_out();
        if left_out > 0 {
            warnings.push(Warning::LeftOut { rows: left_out });
        }
        let columns = lost_digits(&self.preparation, train);
        if !columns.is_empty() {
            warnings.push(Warning::LostDigits { columns });
        }
        let columns = lost_in_double(&self.preparation, train);
        if !columns.is_empty() {
            let problem = format!(
                "double precision (64-bit) cannot hold all digits of {}, which differ by little beside their size; subtract what \
                 the numbers have in common, or take them for classes",
                list(&columns)
            );
            warnings.push(Warning::Noted { problem });
        }
        let batch = self.options.batch_size.min(train.rows());
        let batch = batch.saturating_mul(self.options.accumulate as usize);
        // A batch in which a class is often missing cannot give its rows the weight that they have in the table.
        let few = batch < 2 * train.classes();
        if self.class_weights.is_some() && self.options.reduction == Reduction::Mean && few {
            warnings.push(Warning::SmallBatches { batch });
        }
        if self.options.batch_size > train.rows() {
            warnings.push(Warning::OneBatch { batch: self.options.batch_size, rows: train.rows() });
        }
        if self.info.device.is_software() {
            warnings.push(Warning::SoftwareAdapter);
        }
        let remarks = train.remarks();
        if !remarks.constant.is_empty() {
            warnings.push(Warning::ConstantColumns { columns: remarks.constant });
        }
        if !remarks.identifiers.is_empty() {
            warnings.push(Warning::Identifiers { columns: remarks.identifiers });
        }
        if !remarks.revealing.is_empty() {
            warnings.push(Warning::Revealing { columns: remarks.revealing });
        }
        warnings
    }

    /// Starts from these weights instead of random ones.
    ///
    /// # Errors
    /// If their layout is not the model's, or the device failed.
    pub fn set_params(&mut self, params: &Params) -> Result<()> {
        if params.layout() != self.kept.0.layout() {
            return Err(Error::shape(
                "weights",
                "they are not those of the model's layers; give parameters that the same model made",
            ));
        }
        self.write_params(params)?;
        self.kept = (params.clone(), None);
        // Checkpoints belong to the weights that are being replaced.
        self.checkpoints = HeldCheckpoints::default();
        match &mut self.state {
            RunState::Fresh => {}
            // Steps by hand continue with the optimizer's state as it is.
            RunState::ByHand(hand) => hand.underway = None,
            RunState::Resuming(_) | RunState::Running(_) | RunState::Ended => {
                self.state = RunState::Ended;
            }
        }
        Ok(())
    }

    /// Writes weights to the device.
    pub(in crate::train) fn write_params(&mut self, params: &Params) -> Result<()> {
        if let RunState::Running(running) = &mut self.state {
            running.ahead = false;
        }
        write_params(self.device.as_mut(), &self.plan, params)
    }

    /// Discards steps that were submitted ahead, if the run was stopped before an event reported them.
    fn flush(&mut self) -> Result<()> {
        if let RunState::Running(running @ RunningState { ahead: true, .. }) = &mut self.state {
            let params = running.present.take().unwrap_or_else(|| self.kept.0.clone());
            running.underway = None;
            self.write_params(&params)?;
        }
        Ok(())
    }

    /// Makes the kept weights the present ones at the end of a run.
    pub(in crate::train) fn take_kept(&mut self) -> Result<()> {
        // Nothing to write if the last epoch's weights are the kept ones and no step ran since.
        if let RunState::Running(running) = &mut self.state
            && (running.present.take().is_some() || running.ahead)
        {
            let params = self.kept.0.clone();
            self.write_params(&params)?;
        }
        self.state = RunState::Ended;
        Ok(())
    }

    /// Opens a lost device again and uploads the data that training does not change. Returns whether the device takes the
    /// same variants of its kernels.
    pub(in crate::train) fn reopen(&mut self) -> Result<bool> {
        self.device.reopen()?;
        self.load_again()?;
        Ok(self.device.variants() == self.info.variants)
    }

    /// Loads the plan again and uploads all values that a run begins with; those of a checkpoint replace them later.
    pub(in crate::train) fn load_again(&mut self) -> Result<()> {
        self.device.load(&self.plan)?;
        let scaling = (&self.preparation, self.step_weights.as_slice());
        upload_table(self.device.as_mut(), &self.plan, self.table.copy(), scaling)?;
        upload_constants(self.device.as_mut(), &self.plan, &self.criterion)?;
        // A newly loaded plan has no validation rows on the device.
        self.forget_residents();
        write_scaling(self.device.as_mut(), &self.plan)?;
        let params = self.kept.0.clone();
        self.write_params(&params)
    }

    /// Trains from the present weights, with optimizer state and schedule at their start, or after [`Self::resume`] from
    /// the checkpoint's position; each call of the iterator's `next` does some steps. Stop calling, and training stops.
    pub fn fit(&mut self) -> Fit<'_> {
        Fit::new(self)
    }

    /// Trains as [`Self::fit`] does, to the end, and returns how the run went. Warnings are left out; take the events of
    /// [`Self::fit`] to see them.
    ///
    /// ```
    /// use wgrad::prelude::*;
    ///
    /// let data = wgrad::data::synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1))?;
    /// let model = Sequential::new().dense(8).tanh().dense(2);
    /// let options = TrainOptions { epochs: 40, lr: 0.02, ..TrainOptions::default() };
    /// let summary = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?.run()?;
    /// assert_eq!(summary.epochs, 40);
    /// assert!(summary.best_epoch() > Some(1) && summary.metrics().unwrap().accuracy > Some(0.9));
    /// println!("{summary}");
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the device failed, or a number is not finite.
    pub fn run(&mut self) -> Result<Summary> {
        let mut summary = None;
        for event in self.fit() {
            if let Event::Finished(finished) = event? {
                summary = Some(finished);
            }
        }
        Ok(summary.expect("a run without an error ends with its summary"))
    }

    /// Sets a function that is called for each step of later runs, in order, as its loss becomes known; the device may be
    /// many steps ahead by then. Steps that are repeated after the run went back are reported again.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use std::sync::Arc;
    /// use wgrad::prelude::*;
    ///
    /// # let data = wgrad::data::synth::xor(60, 0.2, Seed(1)).split(0.2, Seed(1))?;
    /// # let model = Sequential::new().dense(4).tanh().dense(2);
    /// # let options = TrainOptions { epochs: 3, batch_size: 16, ..TrainOptions::default() };
    /// let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    /// let steps = Arc::new(AtomicUsize::new(0));
    /// let counted = Arc::clone(&steps);
    /// trainer.on_step(move |step| {
    ///     assert!(step.loss > 0.0 && step.lr == 1e-3);
    ///     counted.fetch_add(1, Ordering::Relaxed);
    /// });
    /// trainer.run()?;
    /// assert_eq!(steps.load(Ordering::Relaxed), 9);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn on_step(&mut self, hook: impl FnMut(&StepStats) + Send + 'static) {
        self.hook = Some(Box::new(hook));
    }

    /// Notes that the device no longer holds rows of the validation part.
    pub(in crate::train) fn forget_residents(&mut self) {
        if let Some(valid) = &mut self.valid {
            valid.resident = false;
        }
    }

    /// Resets the optimizer after an earlier run, and discards losses that nobody has taken.
    pub(in crate::train) fn reset_optimizer(&mut self) -> Result<()> {
        self.flush()?;
        let before = std::mem::replace(&mut self.state, RunState::Running(RunningState::default()));
        // A fresh device has zeros already.
        if !matches!(before, RunState::Fresh) {
            self.device.take_losses(true)?;
            // The next run begins from the averaged weights, which become both its parameters and its first average.
            if self.plan.ports.averaged.is_some() {
                let params = self.params()?;
                self.zero_state()?;
                self.write_params(&params)?;
            } else {
                self.zero_state()?;
            }
            write_scaling(self.device.as_mut(), &self.plan)?;
        }
        Ok(())
    }

    /// Sets the optimizer's state and the accumulated gradients to zero.
    fn zero_state(&mut self) -> Result<()> {
        let ports = &self.plan.ports;
        for &state in ports.states.iter().chain(&ports.gathered) {
            let zeros = vec![0.0; self.plan.slot(state).len()];
            self.device.write(state, 0, Values::F32(&zeros))?;
        }
        Ok(())
    }

    /// Returns the loss scale and the number of steps that it has skipped, including steps submitted ahead of any report;
    /// `None` in single precision. The call waits for the device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn scaling(&mut self) -> Result<Option<LossScaler>> {
        let Some(slot) = self.loss_scale() else { return Ok(None) };
        Ok(scaling_of(&self.device.read(slot, LossScaler::LEN)?))
    }

    /// Returns the slot of the loss scale; in single precision there is none, even if steps may be skipped.
    fn loss_scale(&self) -> Option<Slot> {
        self.plan.ports.half_params.and(self.plan.ports.scaling)
    }

    /// Returns the values that [`Self::params`] and [`Self::scaling`] would read, from values that were read already.
    pub(in crate::train) fn captured(
        &self,
        slots: &DeviceState,
    ) -> Result<(Params, Option<LossScaler>)> {
        let values = |slot: Slot| {
            let name = &self.plan.slot(slot).name;
            slots.iter().find(|(other, _)| other == name).map(|(_, values)| values)
        };
        let weights = values(self.plan.ports.evaluated())
            .ok_or_else(|| Error::shape("checkpoint", "it has no weights"))?;
        let params = params_of(&self.plan, self.kept.0.layout(), weights.clone())?;
        let scaling = self.loss_scale().and_then(values).and_then(|values| scaling_of(values));
        Ok((params, scaling))
    }

    /// Returns the figures of the present weights on the validation part; `None` without one.
    ///
    /// # Errors
    /// If the device failed.
    pub(crate) fn validate(&mut self) -> Result<Option<Metrics>> {
        self.flush()?;
        let outputs = self.valid_outputs()?;
        Ok(outputs.and_then(|outputs| self.valid_metrics(&outputs)))
    }

    /// Returns the raw outputs of the present weights for the validation part.
    pub(in crate::train) fn valid_outputs(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(valid) = &mut self.valid else { return Ok(None) };
        let rows = (valid.data.x(), &self.preparation);
        let plan = &self.plan;
        let ports = plan.eval.as_ref().expect("a run that validates has an eval phase");
        let outputs = run_eval(self.device.as_mut(), (plan, ports), rows, valid.resident)?;
        // Rows that all fit at once stay on the device for the next epoch.
        valid.resident = plan.slot(ports.eval_x).matrix().0 >= valid.data.rows();
        Ok(Some(outputs))
    }

    /// Gives averaged weights the running statistics that belong to them, instead of those of the weights that are trained:
    /// the mean over at most [`MEASURED`] of the epoch's batches, spread evenly. Nothing else changes. If the table
    /// streams, its rows are written from `free` on, to a block's place that no step needs any more.
    pub(in crate::train) fn measure(&mut self, free: usize) -> Result<()> {
        let Some(Underway { epoch, dropout }) = self.state.take_underway() else { return Ok(()) };
        if self.plan.steps(Phase::Measure).is_empty() {
            return Ok(());
        }
        let Self { batches, options, device, plan, .. } = self;
        let steps = batches.steps();
        let count = steps.min(MEASURED);
        // Spread over the whole epoch, since batches next to each other may be alike in a table that is not shuffled.
        let picked: Vec<usize> = (0..count).map(|index| index * steps / count).collect();
        let table = self.table.streamed();
        let order = match table {
            Some(_) => epoch_order(narrow(self.rows), epoch, options.seed, options.shuffle),
            None => Vec::new(),
        };
        // One block's place is free, so a streamed table is measured in parts of a block.
        let at_once = table.map_or(count, StreamedTable::block_steps);
        let (mut block, mut seen) = (RowBlock::default(), 0);
        for some in picked.chunks(at_once.max(1)) {
            let mut rows = Vec::new();
            let mut numbers = Vec::new();
            for &step in some {
                let range = batches.range(step..step + 1);
                seen += range.len();
                let global = u64::from(epoch) * steps as u64 + step as u64;
                let streams = table.is_some();
                let mut row = StepParams {
                    first: narrow(if streams { free + rows.len() } else { range.start }),
                    rows: narrow(range.len()),
                    step: u32::try_from(global).unwrap_or(u32::MAX),
                    seed: options.seed.folded(),
                    dropout,
                    ..StepParams::default()
                };
                // With these fractions the result is a mean over rows, and nothing remains of the earlier value.
                row.scalars[SHARE] = range.len() as f64 / seen as f64;
                numbers.push(row);
                rows.extend(order.get(range).unwrap_or_default());
            }
            if let Some(table) = table {
                table.fill(&rows, &mut block);
                let x = plan.ports.train_x;
                let columns = plan.slot(x).matrix().1;
                device.write(x, free * columns, Values::F32(&block.x))?;
            }
            device.write_steps(Phase::Measure, &numbers)?;
            run_all(device.as_mut(), Phase::Measure, 0, numbers.len())?;
        }
        Ok(())
    }

    /// Returns the figures of raw outputs for the validation part.
    pub(in crate::train) fn valid_metrics(&self, outputs: &[f32]) -> Option<Metrics> {
        let valid = self.valid.as_ref()?;
        let others = self.options.others();
        let targets = (valid.data.y(), valid.data.weights());
        let metrics = Metrics::under(&self.criterion, outputs, targets, &self.preparation);
        Some(metrics.with(&others, outputs, targets, (&self.preparation, &self.options.loss)))
    }

    /// Returns the usual figures of the present weights on the validation part, and those that the options ask for.
    ///
    /// # Errors
    /// If there is no validation part, or the device failed.
    pub fn evaluate(&mut self) -> Result<Metrics> {
        self.validate()?
            .ok_or_else(|| Error::setting("valid", "there are no validation rows to evaluate on; hold some out, or evaluate another data set"))
    }

    /// Returns the present weights; waits for the device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn params(&mut self) -> Result<Params> {
        self.flush()?;
        read_params(self.device.as_mut(), &self.plan, self.kept.0.layout())
    }

    /// Refuses to go on if the ranks, of which this may be one, have different weights.
    pub(in crate::train) fn check_ranks(&self, params: &Params) -> Result<()> {
        let Some(ranks) = self.device.ranks() else { return Ok(()) };
        let mut sum = Checksum::default();
        sum.floats(params.arena());
        let sums = ranks.gather(&sum.value().to_le_bytes())?;
        let Some(other) = sums.iter().position(|it| *it != sums[0]) else { return Ok(()) };
        let problem = format!(
            "rank {other} has other weights than rank 0, though both were given the same gradients: use devices of one kind, with the \
             same driver, on all ranks"
        );
        Err(Error::Device { adapter: self.info.device.name.clone(), problem })
    }

    /// Keeps the present weights, if they are finite: for a run that was stopped inside an epoch.
    ///
    /// # Errors
    /// If the device failed.
    pub fn keep_current(&mut self) -> Result<()> {
        self.flush()?;
        self.measure(0)?;
        let params = self.params()?;
        if params.arena().iter().all(|value| value.is_finite()) {
            self.kept.0 = params;
        }
        Ok(())
    }

    /// Returns the trained network: the last good epoch's weights, or the best one's, as [`TrainOptions::keep`] says.
    pub fn trained(&self) -> TrainedModel {
        TrainedModel {
            model: self.model.clone(),
            params: self.kept.0.clone(),
            preparation: self.preparation.clone(),
            criterion: self.criterion.clone(),
        }
    }

    /// Returns which epoch's weights the run keeps.
    pub fn keeps(&self) -> KeepWeights {
        self.options.keeps()
    }

    /// Returns the figures of the kept epoch; `None` before the first epoch has ended.
    pub fn kept(&self) -> Option<&EpochStats> {
        self.kept.1.as_ref()
    }

    /// Returns the steps of an epoch whose gradients are accumulated with a step's own before one update.
    pub(in crate::train) fn accumulation_group(&self, step: usize) -> Range<usize> {
        let each = self.options.accumulate.max(1) as usize;
        let first = step / each * each;
        first..(first + each).min(self.info.steps_per_epoch)
    }

    /// Returns the warnings with which the next run of [`Self::fit`] begins.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the description of the run.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// Returns the plan of the run.
    pub fn plan(&self) -> &TrainPlan {
        &self.plan
    }
}

/// Returns a value that follows from the rows; of several ranks on one machine the one computes it that has read them.
fn of_rows<T: Serialize + DeserializeOwned>(
    ranks: Option<&Ranks>,
    compute: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match ranks {
        Some(ranks) => ranks.of_rows(compute),
        None => compute(),
    }
}

/// Fits the scaling of features and target, or checks and takes the given one.
fn scaled(
    model: &Sequential,
    options: &TrainOptions,
    train: &Dataset,
    ranks: Option<&Ranks>,
) -> Result<TargetScaling> {
    let preparation = match &options.preparation {
        Some(given) if given.schema.is_but_for_marks(train.schema()) => given.clone(),
        Some(_) => {
            let problem = "its columns, classes or target are not those of the table, in the same order; arrange the table like it, or leave it out";
            return Err(Error::setting("preparation", problem));
        }
        // Columns of indices into embedding tables are not numbers to scale.
        None => {
            let ids: Vec<usize> = model.tables().iter().map(|table| table.column).collect();
            let names = &train.schema().features;
            let scaled_id =
                |(name, _): &&(String, FeatureScaling)| ids.iter().any(|&id| names[id] == *name);
            if let Some((name, method)) = options.column_scales.iter().find(scaled_id) {
                let problem = format!(
                    "{} is the index of an embedding's rows, which is not scaled; leave {method} out for it",
                    list(&[name])
                );
                return Err(Error::setting("columns", problem));
            }
            of_rows(ranks, || Preprocessing::fit_by(train, &options.scaling()))?
                .with_columns_as_is(ids)
        }
    };
    let scaling =
        target_scaling(model, options, train, (preparation, options.preparation.is_some()))?;
    if !options.clamp {
        return Ok(scaling);
    }
    check_clamp(&scaling.loss, train)?;
    let preparation = scaling.preparation.with_target_range(train);
    Ok(TargetScaling { preparation, ..scaling })
}

/// Refuses to keep predictions within the range of the targets where they are no single numbers in the target's own units.
fn check_clamp(loss: &Loss, train: &Dataset) -> Result<()> {
    let refuse = |problem: String| Err(Error::setting("clamp", problem));
    match &train.schema().kind {
        TargetKind::Number | TargetKind::Numbers(_) if !loss.scales_target() => refuse(format!(
            "{} predicts no numbers in the target's own units that could be kept within its range; leave it out",
            loss.name()
        )),
        TargetKind::Number | TargetKind::Numbers(_) if matches!(loss, Loss::GaussianNll { .. }) => {
            refuse(
                "gaussian-nll predicts a deviation beside the mean, and a mean that is cut has another one; leave it out"
                    .to_string(),
            )
        }
        TargetKind::Number | TargetKind::Numbers(_) => Ok(()),
        TargetKind::Classes(_) | TargetKind::Labels(_) => {
            refuse("the target is no number, and has no range; leave it out".to_string())
        }
    }
}

/// Refuses values that single precision cannot hold even after scaling.
fn check_single(preparation: &Preprocessing, data: &Split) -> Result<()> {
    for part in std::iter::once(&data.train).chain(&data.valid) {
        let schema = part.schema();
        let refuse = |column: &str, value: f64| {
            let problem = format!(
                "column {} has {value:e}, which 32-bit floats cannot hold even after scaling; correct the value{}",
                list(&[column]),
                if preparation.scale == FeatureScaling::None {
                    ", or give ‘scale’ standard"
                } else {
                    ""
                }
            );
            Err(Error::table(part.source(), problem))
        };
        if let Some((row, column)) = preparation.beyond_single(part.x()) {
            return refuse(&schema.features[column], part.row(row).at(column));
        }
        let Some((y, columns)) = part.y().columns() else { continue };
        if let Some(at) = preparation.scaled_targets(y).position(|value| !value.is_finite()) {
            return refuse(schema.targets()[at % columns], y[at]);
        }
    }
    Ok(())
}

/// Returns the names of columns that lose more than one different value in a hundred by rounding to single precision;
/// random numbers with all digits lose one in ten thousand.
fn lost_digits(preparation: &Preprocessing, train: &Dataset) -> Vec<String> {
    const MUCH: f64 = 0.01;
    let schema = train.schema();
    let lost = preparation.lost_of_all(train).into_iter().zip(&schema.features);
    let features = lost.filter(|(lost, _)| *lost > MUCH).map(|(_, name)| name.clone());
    let numbers = matches!(schema.kind, TargetKind::Number | TargetKind::Numbers(_));
    let targets = schema.targets().into_iter().enumerate().filter(|_| numbers);
    let targets = targets
        .filter(|&(column, _)| preparation.lost_targets(train, column) > MUCH)
        .map(|(_, name)| name.to_string());
    features.chain(targets).collect()
}

/// Returns the names of columns with numbers of more digits than f64 holds, if the lost digits matter beside the
/// differences of the numbers.
fn lost_in_double(preparation: &Preprocessing, train: &Dataset) -> Vec<String> {
    const MUCH: f64 = 1e-3;
    if train.inexact().is_empty() {
        return Vec::new();
    }
    let (schema, methods) = (train.schema(), preparation.methods());
    let place_of: HashMap<&str, usize> =
        schema.features.iter().map(String::as_str).zip(0..).collect();
    let counts = |name: &&String| {
        let largest = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(0.0, |largest: f64, value| largest.max(value.abs()))
        };
        let (size, std) = match place_of.get(name.as_str()) {
            Some(&column) => {
                let std = preparation.deviation(train, column, methods[column]);
                (largest(&mut train.column(column)), std)
            }
            None => {
                let Some((y, columns)) = train.y().columns() else { return false };
                let Some(column) = schema.targets().iter().position(|it| *it == name.as_str())
                else {
                    return false;
                };
                let values = y.iter().skip(column).step_by(columns).copied();
                (largest(&mut values.into_iter()), preparation.target_std[column])
            }
        };
        // The product is the distance between neighbouring f64 numbers of this size.
        size * f64::EPSILON > MUCH * std
    };
    train.inexact().iter().filter(counts).cloned().collect()
}

/// Returns the loss scale of its slot's values.
fn scaling_of(values: &[f32]) -> Option<LossScaler> {
    values.try_into().ok().map(LossScaler::of)
}

/// Uploads the table; without one, prepares its slots for blocks of a table.
pub(in crate::train) fn upload_table(
    device: &mut dyn Device,
    plan: &TrainPlan,
    table: Option<&Dataset>,
    (preparation, weights): (&Preprocessing, &[f32]),
) -> Result<()> {
    if let Some(table) = table {
        return write_table(device, plan, (table, weights), preparation);
    }
    // Blocks have the rows in the order in which they are used, so the order is the identity.
    let order = plan.ports.order;
    let places: Vec<u32> = (0..narrow(plan.slot(order).len())).collect();
    device.write(order, 0, Values::U32(&places))
}

/// Uploads the constants of the loss.
pub(in crate::train) fn upload_constants(
    device: &mut dyn Device,
    plan: &TrainPlan,
    criterion: &Criterion,
) -> Result<()> {
    match plan.ports.constants {
        Some(constants) => device.write(constants, 0, Values::F32(&criterion.constants())),
        None => Ok(()),
    }
}

/// Uploads a whole table a part at a time, so that the host never holds it twice.
fn write_table(
    device: &mut dyn Device,
    plan: &TrainPlan,
    (train, weights): (&Dataset, &[f32]),
    preparation: &Preprocessing,
) -> Result<()> {
    let x = plan.ports.train_x;
    let part = (UPLOAD_BYTES / 4 / train.columns()).max(1) * train.columns();
    let mut scaled = Vec::with_capacity(part.min(train.x().len()));
    for (index, rows) in train.x().chunks(part).enumerate() {
        scaled.clear();
        preparation.extend_features(rows, &mut scaled);
        device.write(x, index * part, Values::F32(&scaled))?;
    }
    let y = plan.ports.train_y;
    match train.y() {
        Targets::Classes(classes) => device.write(y, 0, Values::U32(classes)),
        Targets::Numbers(numbers) | Targets::Columns(numbers, _) => {
            let scaled: Vec<f32> = preparation.scaled_targets(numbers).collect();
            device.write(y, 0, Values::F32(&scaled))
        }
    }?;
    match plan.ports.train_weights {
        Some(slot) => device.write(slot, 0, Values::F32(weights)),
        None => Ok(()),
    }
}
