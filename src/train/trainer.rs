//! [`Trainer`]: data, model and options brought together on a device.

use std::time::Instant;

use super::predict::{eval_sizes, port, run_eval, widest};
use super::scaling::{check_range, write_params, write_scaling};
use super::{EpochStats, Fit, Metrics, RunInfo, TrainOptions, TrainedModel, Warning};
use crate::data::{Dataset, Preparation, Split, Targets, steps_per_epoch};
use crate::device::{Device, DeviceKind, Values, open};
use crate::error::{Error, Result};
use crate::graph::{inference, training};
use crate::model::{Params, Sequential};
use crate::plan::{Memory, Plan, Precision, Scaling, Sizes};

/// Trains one model on one table.
pub struct Trainer {
    pub(super) options: TrainOptions,
    pub(super) device: Box<dyn Device>,
    pub(super) plan: Plan,
    pub(super) rows: usize,
    pub(super) info: RunInfo,
    pub(super) warnings: Vec<Warning>,
    model: Sequential,
    preparation: Preparation,
    /// The weights and figures that a save keeps: those of the last good epoch.
    pub(super) kept: (Params, Option<EpochStats>),
    valid: Option<Valid>,
    /// Whether a run has left optimizer state behind.
    used: bool,
}

/// The validation part, ready for the device.
struct Valid {
    x: Vec<f32>,
    y: Targets,
    resident: bool,
}

impl Plan {
    /// The plan that [`Trainer`] would run for this model, data and options.
    ///
    /// # Errors
    /// If they do not fit one another.
    pub fn of_run(model: &Sequential, data: &Split, options: &TrainOptions) -> Result<Self> {
        options.check()?;
        let train = &data.train;
        let (columns, outputs) = (train.columns(), model.outputs(train.columns())?);
        if train.outputs() != outputs {
            let problem =
                format!("it gives {outputs} outputs, but the target needs {}", train.outputs());
            return Err(Error::shape("model", problem));
        }
        if options.loss.classes() != (train.classes() > 0) {
            let kind = if train.classes() > 0 { "classes" } else { "numbers" };
            return Err(Error::setting(
                "--loss",
                format!("{} does not fit targets that are {kind}", options.loss),
            ));
        }
        let batch = options.batch_size.min(train.rows());
        let valid_rows = data.valid.as_ref().map_or(0, Dataset::rows);
        let (eval_rows, eval_batch) = eval_sizes(valid_rows, widest(model, columns)?, batch);
        let sizes = Sizes { batch, train_rows: train.rows(), eval_batch, eval_rows };
        let step = training(model, columns, options.loss, options.optimizer)?;
        Plan::training_in(options.precision, &step, &inference(model, columns)?, sizes)
    }
}

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
        let plan = Plan::of_run(model, data, options)?;
        let (device, reason) = open(device)?;
        Self::on(device, reason, plan, (model, data, options), begun)
    }

    fn on(
        mut device: Box<dyn Device>,
        reason: String,
        plan: Plan,
        (model, data, options): (&Sequential, &Split, &TrainOptions),
        begun: Instant,
    ) -> Result<Self> {
        let preparation = Preparation::fit(&data.train, options.scale);
        let train = &data.train;
        let x = preparation.features(train.x());
        if options.precision == Precision::F16 {
            check_range(&x, train)?;
        }
        device.load(&plan)?;
        device.write(port(plan.ports.train_x, "train.x")?, 0, Values::F32(&x))?;
        let y = port(plan.ports.train_y, "train.y")?;
        match preparation.targets(train.y()) {
            Targets::Classes(classes) => device.write(y, 0, Values::U32(&classes))?,
            Targets::Numbers(numbers) => device.write(y, 0, Values::F32(&numbers))?,
        }
        let params = Params::init(model, train.columns(), options.seed)?;
        write_params(device.as_mut(), &plan, params.arena())?;
        write_scaling(device.as_mut(), &plan)?;
        let valid = data.valid.as_ref().map(|valid| Valid {
            x: preparation.features(valid.x()),
            y: valid.y().clone(),
            resident: false,
        });
        let info = RunInfo {
            device: device.info().clone(),
            reason,
            train_rows: train.rows(),
            valid_rows: data.valid.as_ref().map_or(0, Dataset::rows),
            features: train.columns(),
            parameters: params.layout().count(),
            epochs: options.epochs,
            steps_per_epoch: steps_per_epoch(train.rows(), plan.batch),
            batch: plan.batch,
            precision: options.precision,
            device_bytes: Memory::of(&plan).total(),
            load_seconds: begun.elapsed().as_secs_f64(),
            variants: device.variants(),
        };
        let mut trainer = Self {
            options: options.clone(),
            rows: train.rows(),
            kept: (params, None),
            warnings: Vec::new(),
            model: model.clone(),
            info,
            device,
            plan,
            preparation,
            valid,
            used: false,
        };
        trainer.warnings = trainer.first_warnings(&data.train);
        Ok(trainer)
    }

    fn first_warnings(&mut self, train: &Dataset) -> Vec<Warning> {
        let told = self.device.take_warnings().into_iter();
        let mut warnings: Vec<_> = told.map(|problem| Warning::Device { problem }).collect();
        if self.options.batch_size > train.rows() {
            warnings.push(Warning::OneBatch { batch: self.options.batch_size, rows: train.rows() });
        }
        if self.info.device.is_software() {
            warnings.push(Warning::SoftwareAdapter);
        }
        let constant = |column: &usize| {
            (1..train.rows()).all(|row| train.row(row)[*column] == train.row(0)[*column])
        };
        let columns: Vec<_> = (0..train.columns()).filter(constant).collect();
        // A few blank pixels are no news; a table of only such columns is.
        if columns.len() == train.columns() {
            let names =
                columns.iter().map(|&column| train.schema().features[column].clone()).collect();
            warnings.push(Warning::ConstantColumns { columns: names });
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
        write_params(self.device.as_mut(), &self.plan, params.arena())?;
        self.kept = (params.clone(), None);
        Ok(())
    }

    /// Trains from the present weights, with optimizer state and schedule at their start; each call of the
    /// iterator's `next` does some steps. Stop calling, and training stops.
    pub fn fit(&mut self) -> Fit<'_> {
        Fit::new(self)
    }

    /// Makes the optimizer forget an earlier run, and takes losses that it left untaken.
    pub(super) fn forget(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.used, true) {
            self.device.take_losses(true)?;
            let zeros = vec![0.0; self.kept.0.layout().len()];
            for &state in &self.plan.ports.states {
                self.device.write(state, 0, Values::F32(&zeros))?;
            }
            write_scaling(self.device.as_mut(), &self.plan)?;
        }
        Ok(())
    }

    /// The loss scale and how many steps it has skipped; `None` in single precision. It waits for the device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn scaling(&mut self) -> Result<Option<Scaling>> {
        let Some(slot) = self.plan.ports.scaling else { return Ok(None) };
        let read = self.device.read(slot, Scaling::LEN)?;
        let mut values = [0.0; Scaling::LEN];
        values.copy_from_slice(&read);
        Ok(Some(Scaling::of(values)))
    }

    /// Figures of the present weights on the validation part; `None` without one.
    ///
    /// # Errors
    /// If the device failed.
    pub fn validate(&mut self) -> Result<Option<Metrics>> {
        let Some(valid) = &mut self.valid else { return Ok(None) };
        let outputs = run_eval(self.device.as_mut(), &self.plan, &valid.x, valid.resident)?;
        let eval_x = port(self.plan.ports.eval_x, "eval.x")?;
        // What fits at once stays on the device.
        valid.resident = self.plan.slot(eval_x).matrix().0 >= valid.y.len();
        Ok(Some(Metrics::of(&outputs, &valid.y, &self.preparation, self.options.loss)))
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
        let layout = self.kept.0.layout().clone();
        let values = self.device.read(port(self.plan.ports.params, "params")?, layout.len())?;
        Params::from_arena(layout, values)
    }

    /// Makes the present weights those that are kept, if they are finite: after a run was stopped inside an epoch.
    ///
    /// # Errors
    /// If the device failed.
    pub fn keep_present(&mut self) -> Result<()> {
        let params = self.params()?;
        if params.arena().iter().all(|value| value.is_finite()) {
            self.kept.0 = params;
        }
        Ok(())
    }

    /// The network as it is kept: the last good epoch's weights.
    pub fn trained(&self) -> TrainedModel {
        TrainedModel {
            model: self.model.clone(),
            params: self.kept.0.clone(),
            preparation: self.preparation.clone(),
            loss: self.options.loss,
        }
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
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}
