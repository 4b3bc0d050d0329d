//! [`Trainer`]: data, model and options brought together on a device.

use std::time::Instant;

use super::predict::{eval_sizes, port, run_eval, widest};
use super::{EpochStats, Fit, Metrics, RunInfo, TrainOptions, TrainedModel, Warning};
use crate::data::{Dataset, Preparation, Split, Targets, steps_per_epoch};
use crate::device::{Device, DeviceKind, Values, open_tuned};
use crate::error::{Error, Result};
use crate::graph::{inference, training};
use crate::model::{Params, Sequential};
use crate::plan::{Memory, Plan, Sizes};

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
    /// Whether the device has steps that no event has told of: the first ones of an epoch, given to it while the host
    /// was still busy with the end of the epoch before.
    pub(super) ahead: bool,
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
        Plan::training(&step, &inference(model, columns)?, sizes)
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
        let (device, reason) = open_tuned(device, &options.tuning)?;
        Self::on(device, reason, plan, (model, data, options), begun)
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
        let plan = Plan::of_run(model, data, options)?;
        Self::on(device, "it was open".to_string(), plan, (model, data, options), begun)
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
        device.load(&plan)?;
        device.write(
            port(plan.ports.train_x, "train.x")?,
            0,
            Values::F32(&preparation.features(train.x())),
        )?;
        let y = port(plan.ports.train_y, "train.y")?;
        match preparation.targets(train.y()) {
            Targets::Classes(classes) => device.write(y, 0, Values::U32(&classes))?,
            Targets::Numbers(numbers) => device.write(y, 0, Values::F32(&numbers))?,
        }
        let params = Params::init(model, train.columns(), options.seed)?;
        device.write(port(plan.ports.params, "params")?, 0, Values::F32(params.arena()))?;
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
            ahead: false,
        };
        trainer.warnings = trainer.first_warnings(&data.train);
        let problems = trainer.device.take_warnings().into_iter();
        trainer.warnings.extend(problems.map(|problem| Warning::Device { problem }));
        Ok(trainer)
    }

    fn first_warnings(&self, train: &Dataset) -> Vec<Warning> {
        let mut warnings = Vec::new();
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
        self.write_params(params)?;
        self.kept = (params.clone(), None);
        Ok(())
    }

    /// Makes these the present weights.
    pub(super) fn write_params(&mut self, params: &Params) -> Result<()> {
        self.ahead = false;
        let port = port(self.plan.ports.params, "params")?;
        self.device.write(port, 0, Values::F32(params.arena()))
    }

    /// Takes back steps that were given ahead, if the run was stopped before an event told of them.
    fn settle(&mut self) -> Result<()> {
        if self.ahead {
            let params = self.kept.0.clone();
            self.write_params(&params)?;
        }
        Ok(())
    }

    /// Trains from the present weights, with optimizer state and schedule at their start; each call of the
    /// iterator's `next` does some steps. Stop calling, and training stops.
    pub fn fit(&mut self) -> Fit<'_> {
        Fit::new(self)
    }

    /// Makes the optimizer forget an earlier run, and takes losses that it left untaken.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.settle()?;
        if std::mem::replace(&mut self.used, true) {
            self.device.take_losses(true)?;
            let zeros = vec![0.0; self.kept.0.layout().len()];
            for &state in &self.plan.ports.states {
                self.device.write(state, 0, Values::F32(&zeros))?;
            }
        }
        Ok(())
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
        let outputs = run_eval(self.device.as_mut(), &self.plan, &valid.x, valid.resident)?;
        let eval_x = port(self.plan.ports.eval_x, "eval.x")?;
        // What fits at once stays on the device.
        valid.resident = self.plan.slot(eval_x).matrix().0 >= valid.y.len();
        Ok(Some(outputs))
    }

    /// What such outputs are worth.
    pub(super) fn valid_metrics(&self, outputs: &[f32]) -> Option<Metrics> {
        let valid = self.valid.as_ref()?;
        Some(Metrics::of(outputs, &valid.y, &self.preparation, self.options.loss))
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
