//! [`Trainer`]: data, model and options brought together on a device.

use std::sync::Arc;
use std::time::Instant;

use super::checkpoint::{Captured, Checkpoint, Origin};
use super::fitted::{Fitted, fitted};
use super::mistakes::mistakes;
use super::predict::{run_all, run_eval};
use super::room::{Room, takes_batches};
use super::scaling::{check_range, params_of, read_params, write_params, write_scaling};
use super::stream::{Block, Table};
use super::target_scaling::{TargetScaling, target_scaling};
use super::{
    Criterion, EpochStats, Fit, Keep, Metrics, RunInfo, TrainOptions, TrainedModel, Warning,
};
use crate::data::{
    Batches, Dataset, Preparation, Scale, Split, TargetKind, Targets, epoch_order, list,
};
use crate::device::{Device, DeviceKind, Values, open_tuned};
use crate::error::{Error, Result};
use crate::graph::{Reduction, SHARE};
use crate::model::{Params, Sequential};
use crate::plan::{Phase, Precision, Scaling, Slot, StepRow, TrainPlan};
use crate::shape::narrow;

/// Trains one model on one table.
pub struct Trainer {
    pub(super) options: TrainOptions,
    pub(super) device: Box<dyn Device>,
    pub(super) plan: TrainPlan,
    pub(super) rows: usize,
    pub(super) batches: Batches,
    pub(super) info: RunInfo,
    pub(super) warnings: Vec<Warning>,
    pub(super) model: Sequential,
    preparation: Preparation,
    pub(super) criterion: Criterion,
    /// The weight of each training row's class, if not all classes weigh the same: a batch's mean is over these.
    pub(super) class_weights: Option<Vec<f64>>,
    /// Weights of the training rows as the device takes them; empty where all count the same.
    step_weights: Arc<Vec<f32>>,
    /// The weights and figures that a save keeps: those of the last good epoch, or of the best one.
    pub(super) kept: (Params, Option<EpochStats>),
    /// The weights with which the last epoch ended, if they are not those that are kept.
    pub(super) present: Option<Params>,
    valid: Option<Valid>,
    /// The training table, if it does not lie on the device.
    pub(super) table: Option<Table>,
    /// The training table, if it lies on a device that may be lost.
    source: Option<Dataset>,
    pub(super) origin: Origin,
    /// The last checkpoint, and whether the next run goes on from it.
    pub(super) last: Option<Arc<Checkpoint>>,
    pub(super) resumes: bool,
    /// The checkpoint of the epoch that ended last, if that is the best one.
    pub(super) best: Option<Arc<Checkpoint>>,
    /// Whether a run has left optimizer state behind.
    pub(super) used: bool,
    /// Whether the device has steps that no event has told of: the first ones of an epoch, given to it while the host
    /// was still busy with the end of the epoch before.
    pub(super) ahead: bool,
    /// The epoch under way, from 0, and what its dropout rates are multiplied by.
    pub(super) underway: Option<(u32, f64)>,
}

/// The validation part.
struct Valid {
    data: Dataset,
    /// Whether its features lie on the device.
    resident: bool,
}

/// Bytes of features that are scaled at once on their way to the device.
const UPLOAD_BYTES: usize = 1 << 20;
/// Number of batches at most that the running statistics of averaged weights are measured on.
const MEASURED: usize = 64;

impl Trainer {
    /// Plans the run, opens the device and loads data and initial weights.
    ///
    /// # Errors
    /// If model, data and options do not fit, or the device cannot be had or is too small.
    pub fn new(
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
        device: &DeviceKind,
    ) -> Result<Self> {
        let begun = Instant::now();
        let options = &options.with_keep(data.valid.as_ref().map_or(0, Dataset::rows));
        // What is wrong with the settings is told before any device is opened.
        let room = Room { model, data, options, device: None };
        room.check()?;
        let (device, reason) = open_tuned(device, &options.tuning)?;
        Self::on(device, reason, room, begun)
    }

    /// As [`Self::new`], on a device that is open already, and set up as its owner likes.
    ///
    /// # Errors
    /// If model, data and options do not fit, or the device is too small.
    pub fn with_device(
        model: &Sequential,
        data: &Split,
        options: &TrainOptions,
        device: Box<dyn Device>,
    ) -> Result<Self> {
        let begun = Instant::now();
        let options = &options.with_keep(data.valid.as_ref().map_or(0, Dataset::rows));
        let room = Room { model, data, options, device: None };
        room.check()?;
        Self::on(device, "it was open".to_string(), room, begun)
    }

    fn on(
        mut device: Box<dyn Device>,
        reason: String,
        room: Room<'_>,
        begun: Instant,
    ) -> Result<Self> {
        let Room { model, data, options, .. } = room;
        let train = &data.train;
        let weights = (options.loss, options.reduction, &options.class_weights);
        let criterion = Criterion::of(weights, train)?;
        let TargetScaling { preparation, loss, note, warnings } = scaled(model, options, train)?;
        let criterion = Criterion { loss, ..criterion };
        check_single(&preparation, data)?;
        if options.precision == Precision::F16 {
            check_range(&preparation, train)?;
        }
        let options = &TrainOptions { loss, ..options.clone() };
        let room = Room { options, ..room };
        let Fitted { options, plan, streaming, warning } = fitted(device.as_mut(), room)?;
        let options = &options;
        let no_single = takes_batches(model, train.columns())?;
        let batches = Batches::new(train.rows(), plan.batch, no_single);
        let step_weights = Arc::new(criterion.step_weights(train));
        let table = streaming.map(|streaming| Table {
            data: train.clone(),
            weights: Arc::clone(&step_weights),
            preparation: preparation.clone(),
            block_rows: streaming.block_rows,
            batches,
        });
        let source = table.is_none().then_some(train);
        bring_table(device.as_mut(), &plan, source, (&preparation, &step_weights))?;
        bring_constants(device.as_mut(), &plan, &criterion)?;
        let source = source.filter(|_| !device.info().is_cpu()).cloned();
        let params = Params::init(model, train.columns(), options.seed)?;
        write_params(device.as_mut(), &plan, &params)?;
        write_scaling(device.as_mut(), &plan)?;
        let valid = data.valid.clone().map(|data| Valid { data, resident: false });
        let on_their_way = table.as_ref().map_or(0, Table::bytes_on_their_way);
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
            batch: plan.batch,
            precision: options.precision,
            device_bytes: device.bytes_for(&plan) + on_their_way,
            target_note: note,
            streaming,
            load_seconds: begun.elapsed().as_secs_f64(),
            variants: device.variants(),
        };
        let origin = Origin::of(options, (&info.device, info.variants.clone()), data, plan.batch);
        let mut trainer = Self {
            source,
            origin,
            last: None,
            resumes: false,
            best: None,
            options: options.clone(),
            rows: train.rows(),
            batches,
            kept: (params, None),
            present: None,
            warnings: Vec::new(),
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
            used: false,
            ahead: false,
            underway: None,
        };
        trainer.warnings = trainer.first_warnings(data);
        trainer.warnings.extend(warnings);
        let problems = mistakes(model, train.columns(), options, &batches)?.into_iter();
        trainer.warnings.extend(problems.map(|problem| Warning::Mistake { problem }));
        trainer.warnings.extend(warning);
        if let Some(valid) = &trainer.valid {
            let undefined = trainer.options.undefined(&valid.data).into_iter();
            trainer
                .warnings
                .extend(undefined.map(|(metric, problem)| Warning::Undefined { metric, problem }));
        }
        let problems = trainer.device.take_warnings().into_iter();
        trainer.warnings.extend(problems.map(|problem| Warning::Device { problem }));
        Ok(trainer)
    }

    fn first_warnings(&self, data: &Split) -> Vec<Warning> {
        let train = &data.train;
        let mut warnings = Vec::new();
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
            return Err(Error::shape("weights", "they are not those of the model's layers"));
        }
        self.write_params(params)?;
        self.kept = (params.clone(), None);
        (self.present, self.last, self.best, self.resumes) = (None, None, None, false);
        self.underway = None;
        Ok(())
    }

    /// Makes these the present weights.
    pub(super) fn write_params(&mut self, params: &Params) -> Result<()> {
        self.ahead = false;
        write_params(self.device.as_mut(), &self.plan, params)
    }

    /// Takes back steps that were given ahead, if the run was stopped before an event told of them.
    fn settle(&mut self) -> Result<()> {
        if self.ahead {
            let params = self.present.take().unwrap_or_else(|| self.kept.0.clone());
            self.write_params(&params)?;
            self.underway = None;
        }
        Ok(())
    }

    /// Makes the kept weights the present ones, at the end of a run.
    pub(super) fn take_kept(&mut self) -> Result<()> {
        if self.present.take().is_some() || self.ahead {
            let params = self.kept.0.clone();
            self.write_params(&params)?;
        }
        Ok(())
    }

    /// Opens a lost device again and brings back what does not change while training. Out: whether it takes the same forms
    /// of its kernels.
    pub(super) fn reopen(&mut self) -> Result<bool> {
        self.device.reopen()?;
        self.load_again()?;
        Ok(self.device.variants() == self.info.variants)
    }

    /// Loads the plan again and brings all values that a run begins with; those of a checkpoint take their place.
    pub(super) fn load_again(&mut self) -> Result<()> {
        self.device.load(&self.plan)?;
        let scaling = (&self.preparation, self.step_weights.as_slice());
        bring_table(self.device.as_mut(), &self.plan, self.source.as_ref(), scaling)?;
        bring_constants(self.device.as_mut(), &self.plan, &self.criterion)?;
        if let Some(valid) = &mut self.valid {
            valid.resident = false;
        }
        write_scaling(self.device.as_mut(), &self.plan)?;
        let params = self.kept.0.clone();
        self.write_params(&params)
    }

    /// Trains from the present weights, with optimizer state and schedule at their start, or after
    /// [`Self::resume`] from where that run stood; each call of the
    /// iterator's `next` does some steps. Stop calling, and training stops.
    pub fn fit(&mut self) -> Fit<'_> {
        Fit::new(self)
    }

    /// Makes the optimizer forget an earlier run, and takes losses that it left untaken.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.settle()?;
        if std::mem::replace(&mut self.used, true) {
            self.device.take_losses(true)?;
            // Averaged weights are the present ones, and go on as those that move.
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

    fn zero_state(&mut self) -> Result<()> {
        let ports = &self.plan.ports;
        for &state in ports.states.iter().chain(&ports.gathered) {
            let zeros = vec![0.0; self.plan.slot(state).len()];
            self.device.write(state, 0, Values::F32(&zeros))?;
        }
        Ok(())
    }

    /// The loss scale and how many steps it has skipped, those included that the device was given ahead of any news;
    /// `None` in single precision. It waits for the device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn scaling(&mut self) -> Result<Option<Scaling>> {
        let Some(slot) = self.loss_scale() else { return Ok(None) };
        Ok(scaling_of(&self.device.read(slot, Scaling::LEN)?))
    }

    /// The slot of the loss scale; in single precision there is none, even if steps may be skipped.
    fn loss_scale(&self) -> Option<Slot> {
        self.plan.ports.half_params.and(self.plan.ports.scaling)
    }

    /// What [`Self::params`] and [`Self::scaling`] would read, out of values that were read already.
    pub(super) fn captured(&self, slots: &Captured) -> Result<(Params, Option<Scaling>)> {
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

    /// Figures of the present weights on the validation part; `None` without one.
    ///
    /// # Errors
    /// If the device failed.
    pub fn validate(&mut self) -> Result<Option<Metrics>> {
        self.settle()?;
        let outputs = self.valid_outputs()?;
        Ok(outputs.and_then(|outputs| self.valid_metrics(&outputs)))
    }

    /// Raw outputs of the present weights for the validation part.
    pub(super) fn valid_outputs(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(valid) = &mut self.valid else { return Ok(None) };
        let rows = (valid.data.x(), &self.preparation);
        let plan = &self.plan;
        let ports = plan.eval.as_ref().expect("a run that validates has an eval phase");
        let outputs = run_eval(self.device.as_mut(), (plan, ports), rows, valid.resident)?;
        // What fits at once stays on the device.
        valid.resident = plan.slot(ports.eval_x).matrix().0 >= valid.data.rows();
        Ok(Some(outputs))
    }

    /// Gives averaged weights the running statistics that batch norms have under them, instead of those of the weights that
    /// move: the mean over at most [`MEASURED`] of the epoch's batches, spread over it. Nothing else changes. Where the table
    /// streams, its rows go to a block's place from `free` on, which no step needs any more.
    pub(super) fn measure(&mut self, free: usize) -> Result<()> {
        let Some((epoch, dropout)) = self.underway.take() else { return Ok(()) };
        if self.plan.steps(Phase::Measure).is_empty() {
            return Ok(());
        }
        let Self { batches, options, device, plan, .. } = self;
        let steps = batches.steps();
        let count = steps.min(MEASURED);
        let picked: Vec<usize> = (0..count).map(|index| index * steps / count).collect();
        let order = match &self.table {
            Some(_) => epoch_order(narrow(self.rows), epoch, options.seed, options.shuffle),
            None => Vec::new(),
        };
        let at_once = self.table.as_ref().map_or(count, Table::block_steps);
        let (mut block, mut seen) = (Block::default(), 0);
        for some in picked.chunks(at_once.max(1)) {
            let mut rows = Vec::new();
            let mut numbers = Vec::new();
            for &step in some {
                let range = batches.range(step..step + 1);
                seen += range.len();
                let global = u64::from(epoch) * steps as u64 + step as u64;
                let streams = self.table.is_some();
                let mut row = StepRow {
                    first: narrow(if streams { free + rows.len() } else { range.start }),
                    rows: narrow(range.len()),
                    step: u32::try_from(global).unwrap_or(u32::MAX),
                    seed: options.seed.folded(),
                    dropout,
                    ..StepRow::default()
                };
                // So the result is a mean over rows, and nothing of what was there before.
                row.scalars[SHARE] = range.len() as f64 / seen as f64;
                numbers.push(row);
                rows.extend(order.get(range).unwrap_or_default());
            }
            if let Some(table) = &self.table {
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

    /// What such outputs are worth.
    pub(super) fn valid_metrics(&self, outputs: &[f32]) -> Option<Metrics> {
        let valid = self.valid.as_ref()?;
        let others = self.options.others();
        let targets = (valid.data.y(), valid.data.weights());
        let metrics = Metrics::under(&self.criterion, outputs, targets, &self.preparation);
        Some(metrics.with(&others, outputs, targets, (&self.preparation, self.options.loss)))
    }

    /// Figures of the present weights on the validation part.
    ///
    /// # Errors
    /// If there is no validation part, or the device failed.
    pub fn evaluate(&mut self) -> Result<Metrics> {
        self.validate()?
            .ok_or_else(|| Error::setting("--valid", "0, so there is nothing to evaluate on"))
    }

    /// The present weights, waited for.
    ///
    /// # Errors
    /// If the device failed.
    pub fn params(&mut self) -> Result<Params> {
        self.settle()?;
        read_params(self.device.as_mut(), &self.plan, self.kept.0.layout())
    }

    /// Makes the present weights those that are kept, if they are finite: after a run was stopped inside an epoch.
    ///
    /// # Errors
    /// If the device failed.
    pub fn keep_present(&mut self) -> Result<()> {
        self.settle()?;
        self.measure(0)?;
        let params = self.params()?;
        if params.arena().iter().all(|value| value.is_finite()) {
            self.kept.0 = params;
        }
        Ok(())
    }

    /// The network as it is kept: the last good epoch's weights, or the best one's, as [`TrainOptions::keep`] says.
    pub fn trained(&self) -> TrainedModel {
        TrainedModel {
            model: self.model.clone(),
            params: self.kept.0.clone(),
            preparation: self.preparation.clone(),
            criterion: self.criterion.clone(),
        }
    }

    /// Which epoch's weights the run keeps.
    pub fn keeps(&self) -> Keep {
        self.options.keeps()
    }

    /// Figures of the kept epoch; `None` before the first has ended.
    pub fn kept(&self) -> Option<&EpochStats> {
        self.kept.1.as_ref()
    }

    /// What is about to run, or runs.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The plan that runs.
    pub fn plan(&self) -> &TrainPlan {
        &self.plan
    }
}

/// Fits the scaling of features and target, or takes that which is given.
fn scaled(model: &Sequential, options: &TrainOptions, train: &Dataset) -> Result<TargetScaling> {
    let preparation = match &options.preparation {
        Some(given) if given.schema == *train.schema() => given.clone(),
        Some(_) => {
            let problem =
                "its columns, classes or target are not those of the table, in the same order";
            return Err(Error::setting("preparation", problem));
        }
        None => {
            let ids = model.tables().iter().map(|table| table.column);
            Preparation::fit(train, options.scale).with_columns_as_is(ids)
        }
    };
    target_scaling(model, options, train, (preparation, options.preparation.is_some()))
}

/// Refuses values that single precision cannot hold even after scaling.
fn check_single(preparation: &Preparation, data: &Split) -> Result<()> {
    for part in std::iter::once(&data.train).chain(&data.valid) {
        let schema = part.schema();
        let refuse = |column: &str, value: f64| {
            let problem = format!(
                "column {} has {value:e}, which 32-bit floats cannot hold even after scaling; correct the value{}",
                list(&[column]),
                if preparation.scale == Scale::None { ", or give --scale standard" } else { "" }
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

/// Names of columns of which more than one different value in a hundred is lost by rounding to single precision; of random
/// numbers of all digits it is one in ten thousand.
fn lost_digits(preparation: &Preparation, train: &Dataset) -> Vec<String> {
    const MUCH: f64 = 0.01;
    let schema = train.schema();
    let features = (0..train.columns())
        .filter(|&column| preparation.lost_values(train, column) > MUCH)
        .map(|column| schema.features[column].clone());
    let numbers = matches!(schema.kind, TargetKind::Number | TargetKind::Numbers(_));
    let targets = schema.targets().into_iter().enumerate().filter(|_| numbers);
    let targets = targets
        .filter(|&(column, _)| preparation.lost_targets(train, column) > MUCH)
        .map(|(_, name)| name.to_string());
    features.chain(targets).collect()
}

/// Names of columns with numbers of more digits than f64 keeps, if what is lost counts beside what the numbers differ by.
fn lost_in_double(preparation: &Preparation, train: &Dataset) -> Vec<String> {
    const MUCH: f64 = 1e-3;
    let counts = |name: &&String| {
        let largest = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(0.0, |largest: f64, value| largest.max(value.abs()))
        };
        let schema = train.schema();
        let (size, std) = match schema.features.iter().position(|it| it == *name) {
            Some(column) => (largest(&mut train.column(column)), preparation.std[column]),
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
        // Distance of neighbours among numbers of this size.
        size * f64::EPSILON > MUCH * std
    };
    train.inexact().iter().filter(counts).cloned().collect()
}

/// The numbers of the slot of the loss scale.
fn scaling_of(values: &[f32]) -> Option<Scaling> {
    values.try_into().ok().map(Scaling::of)
}

/// Brings the table to the device, or without one makes its places ready for blocks of a table.
fn bring_table(
    device: &mut dyn Device,
    plan: &TrainPlan,
    table: Option<&Dataset>,
    (preparation, weights): (&Preparation, &[f32]),
) -> Result<()> {
    if let Some(table) = table {
        return write_table(device, plan, (table, weights), preparation);
    }
    // Rows come in the order in which they are used.
    let order = plan.ports.order;
    let places: Vec<u32> = (0..narrow(plan.slot(order).len())).collect();
    device.write(order, 0, Values::U32(&places))
}

/// Brings what the loss takes besides outputs and targets.
fn bring_constants(device: &mut dyn Device, plan: &TrainPlan, criterion: &Criterion) -> Result<()> {
    match plan.ports.constants {
        Some(constants) => device.write(constants, 0, Values::F32(&criterion.constants())),
        None => Ok(()),
    }
}

/// Brings a whole table to the device, a part at a time, so that the host never holds it twice.
fn write_table(
    device: &mut dyn Device,
    plan: &TrainPlan,
    (train, weights): (&Dataset, &[f32]),
    preparation: &Preparation,
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
