//! A trained network, and the eval phase of a plan.
//!
//! In: layers, weights, rows. Out: raw outputs.
//! Absent on purpose: the meaning of outputs, which `outputs.rs` knows.

use crate::data::{Numbers, Preprocessing, TargetKind, list, steps_per_epoch};
use crate::device::{Device, Values};
use crate::error::{Error, Result};
use crate::graph::{Loss, inference_under};
use crate::model::{Params, Sequential};
use crate::plan::{EvalPlan, EvalPorts, Phase, Plan, Sizes, StepParams, WINDOW};
use crate::shape::{count, narrow};

use super::Criterion;
use super::embedding_indices::check_ids;

/// Everything that is needed to predict: network, weights, and the preparation of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedModel {
    /// The layers.
    pub model: Sequential,
    /// The weights.
    pub params: Params,
    /// Columns, classes and scaling.
    pub preparation: Preprocessing,
    /// The loss that the model was trained with.
    pub criterion: Criterion,
}

/// Largest number of elements of a tensor of the eval phase, if one row allows it: 16 MiB.
const EVAL_ELEMENTS: usize = 1 << 22;
/// Rows of a batch in the eval phase, if there are as many and no layer is too wide.
pub(super) const EVAL_BATCH: usize = 256;

/// Returns the eval phase's rows for a table of `rows` rows, all or a part at a time, and the rows of its batches, for a
/// network whose widest layer or input has `max_width` columns.
pub(super) fn eval_sizes(rows: usize, max_width: usize, batch: usize) -> (usize, usize) {
    let fit = (EVAL_ELEMENTS / max_width.max(1)).max(1);
    // Training's own batch has to fit anyway, so a batch of the eval phase may be as large.
    let eval_batch = EVAL_BATCH.min(fit).max(batch).min(rows);
    // A window holds the parameters of a limited number of steps.
    let most = fit.clamp(eval_batch.max(1), eval_batch.max(1) * WINDOW);
    (rows.min(most), eval_batch)
}

/// Runs the eval phase over a table's rows `[rows, columns]`, which this function scales, a part at a time. Returns raw
/// outputs `[rows, outputs]`. With `resident`, the rows are on the device since the last call.
pub(super) fn run_eval(
    device: &mut dyn Device,
    (plan, &EvalPorts { eval_x, predictions }): (&Plan, &EvalPorts),
    (x, preparation): (Numbers<'_>, &Preprocessing),
    resident: bool,
) -> Result<Vec<f32>> {
    let (capacity, columns) = plan.slot(eval_x).matrix();
    let (_, outputs) = plan.slot(predictions).matrix();
    let mut results = Vec::with_capacity(x.len() / columns * outputs);
    let mut scaled = Vec::new();
    // A part fills the slot of the eval phase; the last one may be smaller.
    for part in x.chunks(capacity * columns) {
        let rows = part.len() / columns;
        if !resident {
            scaled.clear();
            preparation.extend_features(part, &mut scaled);
            device.write(eval_x, 0, Values::F32(&scaled))?;
        }
        let steps = eval_rows(rows, plan.eval_batch);
        device.write_steps(Phase::Eval, &steps)?;
        run_all(device, Phase::Eval, 0, steps.len())?;
        results.extend(device.read(predictions, rows * outputs)?);
    }
    Ok(results)
}

/// Returns the eval phase's steps over `rows` rows in sequence.
pub(super) fn eval_rows(rows: usize, batch: usize) -> Vec<StepParams> {
    (0..steps_per_epoch(rows, batch))
        .map(|step| StepParams {
            first: narrow(step * batch),
            rows: narrow(batch.min(rows - step * batch)),
            ..StepParams::default()
        })
        .collect()
}

/// Submits all steps to the device, as many at once as it asks for.
pub(super) fn run_all(device: &mut dyn Device, phase: Phase, from: usize, to: usize) -> Result<()> {
    let (mut from, to) = (narrow(from), narrow(to));
    while from < to {
        let end = to.min(from + device.steps_per_submission(phase).max(1));
        device.run(phase, from..end)?;
        from = end;
    }
    Ok(())
}

/// Plans predictions of about `rows` rows at once.
///
/// # Errors
/// If the network is empty, or its sizes are impossible.
pub(super) fn eval_plan(trained: &TrainedModel, rows: usize) -> Result<EvalPlan> {
    trained.check()?;
    let columns = trained.preparation.schema.features.len();
    let graph = inference_under(&trained.model, columns, &trained.criterion.loss)?;
    let max_width = trained.model.max_width(columns)?;
    let (eval_rows, eval_batch) = eval_sizes(rows.max(1), max_width, 1);
    Plan::inference(&graph, Sizes { batch: eval_batch, train_rows: 0, eval_batch, eval_rows })
}

/// Loads a plan and weights to a device.
///
/// # Errors
/// If the device is too small for them, or failed.
pub(super) fn load(device: &mut dyn Device, plan: &EvalPlan, params: &Params) -> Result<()> {
    device.load(plan)?;
    device.write(plan.params, 0, Values::F32(params.arena()))
}

impl TrainedModel {
    /// Checks that the weights are those of the layers, and the outputs those that the target needs.
    ///
    /// # Errors
    /// If they are not; the message names both sizes.
    pub fn check(&self) -> Result<()> {
        let columns = self.preparation.schema.features.len();
        let outputs = self.model.outputs(columns)?;
        let wanted = self.criterion.loss.outputs_for(self.preparation.schema.outputs());
        if outputs != wanted {
            return Err(Error::shape(
                "model",
                format!(
                    "it gives {outputs} outputs, but the target needs {wanted}; take a model of this target, or train one"
                ),
            ));
        }
        if self.params.layout() != &self.model.layout(columns)? {
            return Err(Error::shape(
                "model",
                "its weights are not those of its layers; take the weights and the layers of one network",
            ));
        }
        Ok(())
    }

    /// Checks values in the form of a table. Returns the number of rows.
    pub(super) fn rows(&self, x: Numbers<'_>) -> Result<usize> {
        let columns = self.preparation.schema.features.len();
        if !x.len().is_multiple_of(columns) {
            let problem = format!(
                "{} values are no whole number of rows of {} columns",
                count(x.len() as u64),
                count(columns as u64)
            );
            return Err(Error::shape("predict", problem));
        }
        self.check_rows(x, |row, problem| {
            Error::table(format!("row {} of those given", row + 1), problem).at_row(row)
        })?;
        Ok(x.len() / columns)
    }

    /// Checks rows `[rows, columns]` in the form of a table; `place` makes an error of a row and its problem.
    ///
    /// # Errors
    /// If an index into an embedding table is none, or single precision cannot hold a number after scaling.
    pub(crate) fn check_rows(
        &self,
        x: Numbers<'_>,
        place: impl Fn(usize, String) -> Error,
    ) -> Result<()> {
        let schema = &self.preparation.schema;
        check_ids(self.model.tables(), x, schema, &place)?;
        let Some((row, column)) = self.preparation.beyond_single(x) else { return Ok(()) };
        let (name, value) =
            (list(&schema.features[column..=column]), x.at(row * schema.features.len() + column));
        let problem = match value.is_nan() {
            true => format!(
                "column {name}: a gap, NaN, for which the model has no number; fill in a value, call `fill_gaps` before, or remove the row"
            ),
            false => format!(
                "column {name}: {value:e} is too far from what training saw: scaled, 32-bit floats cannot hold it; correct it or \
                 remove the row"
            ),
        };
        Err(place(row, problem).at_column(&schema.features[column]))
    }
}

impl TrainedModel {
    /// Puts the mean of the training rows where an input of rows `[rows, inputs]` is NaN, as `wgrad predict` does: a gap in numbers
    /// where training had none, or in a date. [`FeatureReader`](crate::data::FeatureReader) leaves them to the caller.
    ///
    /// # Errors
    ///
    /// When the mean is not known, since nothing was scaled.
    pub fn fill_gaps(&self, x: &mut [f64]) -> Result<()> {
        let ids: Vec<usize> = self.model.tables().iter().map(|table| table.column).collect();
        let Some((row, input)) = self.preparation.fill_gaps(x, &ids) else { return Ok(()) };
        let problem = format!(
            "column {}: a gap, and the model, which does not scale, has no mean to stand in; fill in a value or remove the row",
            list(&[self.preparation.schema.column_of_input(input)])
        );
        Err(Error::table(format!("row {} of those given", row + 1), problem).at_row(row))
    }

    /// The columns of [`Predictions::Numbers`](super::Predictions::Numbers), and for labels and classes those of their probabilities: the target's name
    /// and what the column tells of it, such as `predicted`, `std`, `quantile_0.9`, `probability` or `probability_CLASS`.
    pub fn columns(&self) -> Vec<(&str, String)> {
        let schema = &self.preparation.schema;
        let loss = &self.criterion.loss;
        let word = if self.outputs_are_scores() { "score" } else { "probability" };
        if let TargetKind::Classes(classes) = &schema.kind {
            return classes.iter().map(|it| (&*schema.target, format!("{word}_{it}"))).collect();
        }
        if let TargetKind::Labels(labels) = &schema.kind {
            // 0 and 1 show by themselves which one is meant.
            let usual = |values: &[String; 2]| values.each_ref().map(String::as_str) == ["0", "1"];
            let told = |values: &[String; 2]| match usual(values) {
                true => word.to_string(),
                false => format!("{word}_{}", values[1]),
            };
            return labels.iter().map(|it| (&*it.column, told(&it.values))).collect();
        }
        let told: Vec<String> = match loss {
            Loss::Pinball(quantiles) => {
                quantiles.as_slice().iter().map(|q| format!("quantile_{q}")).collect()
            }
            Loss::GaussianNll { .. } => vec!["predicted".to_string(), "std".to_string()],
            _ => vec!["predicted".to_string()],
        };
        let targets = schema.targets().into_iter();
        targets.flat_map(|target| told.iter().map(move |it| (target, it.clone()))).collect()
    }
}

impl TrainedModel {
    /// True if the outputs for classes or labels are scores, as with hinge losses, and not probabilities.
    pub fn outputs_are_scores(&self) -> bool {
        self.criterion.loss.gives_scores()
    }
}
