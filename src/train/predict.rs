//! A trained network and its predictions.

use std::borrow::Cow;

use crate::data::{Dataset, Numbers, Part, Preparation, TargetKind, list, steps_per_epoch};
use crate::device::{Device, DeviceInfo, DeviceKind, Values, open};
use crate::error::{Error, Result};
use crate::expr::{Double, Unary};
use crate::graph::{Loss, inference};
use crate::model::{Params, Sequential};
use crate::plan::{EvalPlan, EvalPorts, Phase, Plan, Sizes, StepRow, WINDOW};
use crate::shape::narrow;

use super::Criterion;
use super::ids::check_ids;
use super::metrics::{Assessment, Evaluation, Metrics, argmax};

/// All that is needed to predict: network, weights, and what was done to the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedModel {
    /// The layers.
    pub model: Sequential,
    /// The weights.
    pub params: Params,
    /// Columns, classes and scaling.
    pub preparation: Preparation,
    /// What it was trained for.
    pub criterion: Criterion,
}

/// Elements that a tensor of the eval phase holds at most, if one row allows it: 16 MiB.
const EVAL_ELEMENTS: usize = 1 << 22;
/// Rows of a batch in the eval phase, if there are so many and no layer is too wide.
const EVAL_BATCH: usize = 256;

/// The eval phase's rows for a table of so many, all or a part at a time, and the rows of its batches, for a
/// network whose widest layer or input has so many columns.
pub(super) fn eval_sizes(rows: usize, widest: usize, batch: usize) -> (usize, usize) {
    let fit = (EVAL_ELEMENTS / widest.max(1)).max(1);
    // Training's own batch has to fit anyhow.
    let eval_batch = EVAL_BATCH.min(fit).max(batch).min(rows);
    let most = fit.clamp(eval_batch.max(1), eval_batch.max(1) * WINDOW);
    (rows.min(most), eval_batch)
}

/// Runs the eval phase over a table's rows `[rows, columns]`, which it scales, a part at a time.
/// Out: raw outputs `[rows, outputs]`. With `resident`, the rows lie on the device from last time.
pub(super) fn run_eval(
    device: &mut dyn Device,
    (plan, &EvalPorts { eval_x, predictions }): (&Plan, &EvalPorts),
    (x, preparation): (Numbers<'_>, &Preparation),
    resident: bool,
) -> Result<Vec<f32>> {
    let (capacity, columns) = plan.slot(eval_x).matrix();
    let (_, outputs) = plan.slot(predictions).matrix();
    let mut results = Vec::with_capacity(x.len() / columns * outputs);
    let mut scaled = Vec::new();
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

/// The eval phase's steps over so many rows in sequence.
fn eval_rows(rows: usize, batch: usize) -> Vec<StepRow> {
    (0..steps_per_epoch(rows, batch))
        .map(|step| StepRow {
            first: narrow(step * batch),
            rows: narrow(batch.min(rows - step * batch)),
            ..StepRow::default()
        })
        .collect()
}

/// Gives all steps to the device, as many at once as it asks for.
pub(super) fn run_all(device: &mut dyn Device, phase: Phase, from: usize, to: usize) -> Result<()> {
    let (mut from, to) = (narrow(from), narrow(to));
    while from < to {
        let end = to.min(from + device.stride(phase).max(1));
        device.run(phase, from..end)?;
        from = end;
    }
    Ok(())
}

/// What predicts so many rows at once, about.
///
/// # Errors
/// If the network is none, or its sizes are impossible.
pub(super) fn eval_plan(trained: &TrainedModel, rows: usize) -> Result<EvalPlan> {
    trained.check()?;
    let columns = trained.preparation.schema.features.len();
    let graph = inference(&trained.model, columns)?;
    let widest = trained.model.widest(columns)?;
    let (eval_rows, eval_batch) = eval_sizes(rows.max(1), widest, 1);
    Plan::inference(&graph, Sizes { batch: eval_batch, train_rows: 0, eval_batch, eval_rows })
}

/// Brings a plan and weights to a device.
///
/// # Errors
/// If the device is too small for them, or failed.
pub(super) fn load(device: &mut dyn Device, plan: &EvalPlan, params: &Params) -> Result<()> {
    device.load(plan)?;
    device.write(plan.params, 0, Values::F32(params.arena()))
}

/// A trained network on a device, ready for rows.
pub struct Predictor {
    trained: TrainedModel,
    device: Box<dyn Device>,
    reason: String,
    plan: EvalPlan,
}

impl Predictor {
    /// Loads a trained network. `rows` says how many rows will come at once, about.
    ///
    /// # Errors
    /// If the device cannot be had, or is too small for the network.
    pub fn new(trained: &TrainedModel, kind: &DeviceKind, rows: usize) -> Result<Self> {
        let plan = eval_plan(trained, rows)?;
        let (mut device, reason) = open(kind)?;
        load(device.as_mut(), &plan, &trained.params)?;
        Ok(Self { trained: trained.clone(), device, reason, plan })
    }

    /// Where it runs, and why there.
    pub fn device(&self) -> (&DeviceInfo, &str) {
        (self.device.info(), &self.reason)
    }

    /// Predictions for rows as they stand in a table, `[rows, columns]`, in single or double precision.
    ///
    /// # Errors
    /// If the values are no whole number of rows, one that must name a row of a table does not, one is beyond what single
    /// precision holds after scaling, or the device failed.
    pub fn predict<'a>(&mut self, x: impl Into<Numbers<'a>>) -> Result<Predictions> {
        let outputs = self.outputs(x.into())?;
        Ok(Predictions::new(&outputs, &self.trained.preparation, self.trained.criterion.loss))
    }

    /// Figures over a table that has the target.
    ///
    /// # Errors
    /// If its columns are not the model's, or the device failed.
    pub fn evaluate(&mut self, data: &Dataset) -> Result<Metrics> {
        let outputs = self.outputs_for(data)?;
        let TrainedModel { criterion, preparation, .. } = &self.trained;
        Ok(Metrics::under(criterion, &outputs, (data.y(), data.weights()), preparation))
    }

    /// All figures over a table that has the target: those that suit it, each class's, and which was taken for which.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn assess(&mut self, data: &Dataset) -> Result<Evaluation> {
        let outputs = self.outputs_for(data)?;
        let mut assessment = Assessment::new(&self.trained);
        assessment.add(&outputs, (data.y(), data.weights()))?;
        assessment.finish()
    }

    /// Adds rows as they stand in a table, and their targets, to the figures of a table that comes in parts.
    /// Out: the rows' predictions.
    ///
    /// # Errors
    /// As [`Self::predict`], and if a temporary file cannot be written.
    pub fn assess_part(&mut self, part: &Part, to: &mut Assessment) -> Result<Predictions> {
        let outputs = self.outputs((&part.x).into())?;
        to.add(&outputs, (&part.y, part.weights.as_deref()))?;
        Ok(Predictions::new(&outputs, &self.trained.preparation, self.trained.criterion.loss))
    }

    fn outputs_for(&mut self, data: &Dataset) -> Result<Vec<f32>> {
        let wanted = &self.trained.preparation.schema;
        if data.schema() != wanted {
            return Err(Error::table(
                &data.schema().target,
                "the table's columns or classes are not the model's",
            ));
        }
        self.outputs(data.x())
    }

    fn outputs(&mut self, x: Numbers<'_>) -> Result<Vec<f32>> {
        self.trained.rows(x)?;
        run_eval(
            self.device.as_mut(),
            (&self.plan, &self.plan.ports),
            (x, &self.trained.preparation),
            false,
        )
    }
}

impl TrainedModel {
    /// Checks that weights are those of the layers, and outputs those that the target needs.
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
                format!("{outputs} outputs, but the target needs {wanted}"),
            ));
        }
        if self.params.layout() != &self.model.layout(columns)? {
            return Err(Error::shape("model", "its weights are not those of its layers"));
        }
        Ok(())
    }

    /// Checks values as they stand in a table. Out: how many rows they are.
    pub(super) fn rows(&self, x: Numbers<'_>) -> Result<usize> {
        let columns = self.preparation.schema.features.len();
        if !x.len().is_multiple_of(columns) {
            let problem =
                format!("{} values are no whole number of rows of {columns} columns", x.len());
            return Err(Error::shape("predict", problem));
        }
        self.check_rows(x, |row| format!("row {} of those given", row + 1))?;
        Ok(x.len() / columns)
    }

    /// Checks rows `[rows, columns]` as they stand in a table; `place` says where one of them stands.
    ///
    /// # Errors
    /// If a number that must name a row of a table does not, or single precision cannot hold one after scaling.
    pub(crate) fn check_rows(&self, x: Numbers<'_>, place: impl Fn(usize) -> String) -> Result<()> {
        let schema = &self.preparation.schema;
        check_ids(self.model.tables(), x, schema, &place)?;
        let Some((row, column)) = self.preparation.beyond_single(x) else { return Ok(()) };
        let problem = format!(
            "column {}: {:e} is too far from what training saw: scaled, 32-bit floats cannot hold it; correct it or remove the \
             row",
            list(&schema.features[column..=column]),
            x.at(row * schema.features.len() + column)
        );
        Err(Error::table(place(row), problem))
    }
}

/// Predictions for some rows: what the outputs mean under the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// For classes.
    Classes {
        /// The likeliest class of each row, by number; 0 where an output is NaN, and its probabilities with it.
        best: Vec<usize>,
        /// Probabilities `[rows, classes]`; scores under a hinge loss, which has no probabilities.
        probabilities: Vec<f64>,
    },
    /// For numbers `[rows, outputs]`, in the target's own units: the value, or its quantiles, or its mean and standard
    /// deviation, for each target.
    Numbers(Vec<f64>),
    /// For labels `[rows, labels]`: the probability of yes; under a hinge loss a score, above 0 for yes.
    Labels(Vec<f64>),
}

impl Predictions {
    /// Of raw outputs `[rows, outputs]`.
    pub(super) fn new(outputs: &[f32], preparation: &Preparation, loss: Loss) -> Self {
        let targets = preparation.schema.outputs();
        let wide = outputs.iter().map(|&x| f64::from(x));
        match &preparation.schema.kind {
            TargetKind::Classes(classes) => {
                let rows = outputs.chunks_exact(classes.len());
                let best = rows.map(|logits| argmax(logits).unwrap_or(0)).collect();
                let hinge = matches!(loss, Loss::Hinge { .. });
                let probabilities =
                    if hinge { wide.collect() } else { softmax(outputs, classes.len()) };
                Self::Classes { best, probabilities }
            }
            TargetKind::Labels(_) if matches!(loss, Loss::BinaryHinge { .. }) => {
                Self::Labels(wide.collect())
            }
            TargetKind::Labels(_) => {
                Self::Labels(wide.map(|x| Double::apply(Unary::Sigmoid, x)).collect())
            }
            TargetKind::Number | TargetKind::Numbers(_) => {
                let each = loss.outputs_each();
                let column = |at: usize| at / each % targets;
                let restored = |at: usize| preparation.restore_target(outputs[at], column(at));
                Self::Numbers(match loss {
                    Loss::KlDivergence => softmax(outputs, targets),
                    Loss::PoissonNll { .. } => wide.map(f64::exp).collect(),
                    Loss::GaussianNll { eps, .. } => wide
                        .enumerate()
                        .map(|(at, raw)| match at % 2 {
                            0 => restored(at),
                            _ => {
                                let variance = Double::apply(Unary::Softplus, raw) + eps;
                                variance.sqrt() * preparation.target_std[column(at)]
                            }
                        })
                        .collect(),
                    _ => (0..outputs.len()).map(restored).collect(),
                })
            }
        }
    }

    /// The numbers, whatever they mean, as many for each row.
    pub fn values(&self) -> &[f64] {
        match self {
            Self::Classes { probabilities: values, .. }
            | Self::Numbers(values)
            | Self::Labels(values) => values,
        }
    }
}

impl TrainedModel {
    /// The columns of [`Predictions::Numbers`], and for labels and classes those of their probabilities: the target's name
    /// and what the column tells of it, such as `predicted`, `std`, `quantile_0.9`, `probability` or `probability_CLASS`.
    pub fn columns(&self) -> Vec<(&str, String)> {
        let schema = &self.preparation.schema;
        let loss = self.criterion.loss;
        let word = if self.tells_scores() { "score" } else { "probability" };
        if let TargetKind::Classes(classes) = &schema.kind {
            return classes.iter().map(|it| (&*schema.target, format!("{word}_{it}"))).collect();
        }
        if let TargetKind::Labels(labels) = &schema.kind {
            // 0 and 1 say by themselves which is meant.
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
    /// Whether what it tells of classes or labels are scores, as under hinge losses, and no probabilities.
    pub fn tells_scores(&self) -> bool {
        matches!(self.criterion.loss, Loss::Hinge { .. } | Loss::BinaryHinge { .. })
    }
}

/// The one value that stands for each target's outputs, in the units of the loss: the mean, the middle quantile.
pub(super) fn points(outputs: &[f32], targets: usize, loss: Loss) -> Cow<'_, [f32]> {
    let each = loss.outputs_each();
    let picked = |first: usize| {
        outputs.chunks_exact(each).map(|outputs| outputs[first]).collect::<Vec<_>>().into()
    };
    #[expect(clippy::cast_possible_truncation, reason = "outputs are f32")]
    match loss {
        Loss::Pinball(_) => picked(each / 2),
        Loss::GaussianNll { .. } => picked(0),
        Loss::PoissonNll { .. } => outputs.iter().map(|x| x.exp()).collect::<Vec<_>>().into(),
        Loss::KlDivergence => {
            softmax(outputs, targets).into_iter().map(|p| p as f32).collect::<Vec<_>>().into()
        }
        _ => outputs.into(),
    }
}

/// Softmax of each row `[rows, width]`.
fn softmax(outputs: &[f32], width: usize) -> Vec<f64> {
    let mut probabilities = Vec::with_capacity(outputs.len());
    for logits in outputs.chunks_exact(width) {
        let max = logits.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(f64::from(x)));
        let sum: f64 = logits.iter().map(|&x| (f64::from(x) - max).exp()).sum();
        probabilities.extend(logits.iter().map(|&x| (f64::from(x) - max).exp() / sum));
    }
    probabilities
}
