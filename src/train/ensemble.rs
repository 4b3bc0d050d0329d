//! [`Ensemble`]: several trained networks that predict together.
//!
//! In: networks for the same columns and target, and the raw outputs of each. Out: raw outputs of one network that would predict
//! the mean, so that predictions and figures come from them as from those of one network; and the spread of the members.
//! Absent on purpose: devices, which `predictor.rs` knows; training.

use std::borrow::Borrow;
use std::sync::Arc;

use super::outputs::Predictions;
use super::predict::TrainedModel;
use crate::data::{TargetKind, list};
use crate::error::{Error, Result};
use crate::graph::{ClassLoss, Loss};

/// Trained networks for the same columns and the same target, whose mean is the prediction: the mean of probabilities for
/// classes and labels (of scores under a hinge loss), and for numbers the mean in the target's own units: of the value, of each
/// quantile, or the mean and standard deviation of the mixture of the members' normal distributions.
///
/// A single network is an ensemble of one, and predicts the same bits as by itself. Copies of an ensemble share its members.
///
/// ```
/// use wgrad::prelude::*;
/// use wgrad::train::{Member, train_members};
///
/// let data = wgrad::data::synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1))?;
/// let model = Sequential::new().dense(8).tanh().dense(2);
/// let member = |member| {
///     let seed = Seed(1).of_member(member);
///     let options = TrainOptions { epochs: 40, lr: 0.02, seed, ..TrainOptions::default() };
///     Member { model: model.clone(), data: data.clone(), options }
/// };
/// let members: Vec<Member> = (0..3).map(member).collect();
/// let trained = train_members(&members, &DeviceKind::Cpu, |_, trainer| {
///     trainer.run()?;
///     Ok(trainer.trained())
/// })?;
/// let ensemble = Ensemble::new(trained.into_iter().collect::<Result<_>>()?)?;
/// let predictor = Predictor::new(ensemble)?;
/// let (mean, spread) = predictor.predict_with_spread(&[1.0, -1.0])?;
/// assert!(mean.values()[1] > 0.5 && spread[1] < 0.5);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble(Arc<Vec<TrainedModel>>);

impl From<TrainedModel> for Ensemble {
    fn from(trained: TrainedModel) -> Self {
        Self(Arc::new(vec![trained]))
    }
}

impl From<&TrainedModel> for Ensemble {
    fn from(trained: &TrainedModel) -> Self {
        trained.clone().into()
    }
}

impl From<&Self> for Ensemble {
    fn from(ensemble: &Self) -> Self {
        ensemble.clone()
    }
}

impl Ensemble {
    /// Takes networks as members. Layers, weights, scaling and losses may differ, as long as all predict the same columns from
    /// the same inputs.
    ///
    /// # Errors
    /// If there is no network, or a network has other columns, classes or predictions than the first one; the message names the
    /// member, counted from 0.
    pub fn new(members: Vec<TrainedModel>) -> Result<Self> {
        let Some(first) = members.first() else {
            return Err(Error::shape("ensemble", "no members; give at least one trained network"));
        };
        let own = &first.preparation.schema;
        for (place, member) in members.iter().enumerate().skip(1) {
            let schema = &member.preparation.schema;
            let mut problems = own.differences(schema);
            if problems.is_empty() && !own.reads_like(schema) {
                problems
                    .push("texts, stand-ins for gaps or the form of columns differ".to_string());
            }
            if problems.is_empty() && first.columns() != member.columns() {
                let columns = |trained: &TrainedModel| {
                    let columns = trained.columns();
                    list(&columns.iter().map(|(_, told)| told.as_str()).collect::<Vec<_>>())
                };
                problems.push(format!(
                    "it predicts {} and not {}",
                    columns(member),
                    columns(first)
                ));
            }
            if !problems.is_empty() {
                let problem = format!(
                    "member {place} is not for the columns of member 0: {}; take networks that were trained on the same columns",
                    problems.join("; ")
                );
                return Err(Error::shape("ensemble", problem));
            }
        }
        Ok(Self(Arc::new(members)))
    }

    /// Returns the members.
    pub fn members(&self) -> &[TrainedModel] {
        &self.0
    }

    /// Returns the first member, whose columns, classes and loss are those of all.
    pub fn first(&self) -> &TrainedModel {
        &self.0[0]
    }

    /// Returns the members.
    pub fn into_members(self) -> Vec<TrainedModel> {
        Arc::unwrap_or_clone(self.0)
    }

    /// Returns the raw outputs `[rows, outputs]` of a network with the first member's scaling and loss that would predict the
    /// mean of what the members' raw outputs mean.
    pub(super) fn combined(&self, outputs: &[Vec<f32>]) -> Vec<f32> {
        combined(self.first(), &self.0, outputs)
    }

    /// Returns the standard deviation of the members' predictions `[rows, columns]` around their mean, with one degree of freedom
    /// less than there are members.
    pub(super) fn spread(&self, outputs: &[Vec<f32>]) -> Vec<f64> {
        let values = values(&self.0, outputs);
        let count = values.len() as f64;
        let deviation = |at: usize| {
            let mean = values.iter().map(|it| it[at]).sum::<f64>() / count;
            let squares: f64 = values.iter().map(|it| (it[at] - mean).powi(2)).sum();
            (squares / (count - 1.0)).sqrt()
        };
        (0..values[0].len()).map(deviation).collect()
    }
}

/// Returns true if outputs of a network are numbers on the scale of its target.
pub(super) fn is_scaled(network: &TrainedModel) -> bool {
    let numbers =
        matches!(network.preparation.schema.kind, TargetKind::Number | TargetKind::Numbers(_));
    let unscaled = matches!(
        network.criterion.loss,
        Loss::Classes(ClassLoss::KlDivergence) | Loss::PoissonNll { .. }
    );
    numbers && !unscaled
}

/// Returns raw outputs `[rows, outputs]` with the scaling and the loss of a network that mean the mean of what the members' raw
/// outputs mean.
#[expect(clippy::cast_possible_truncation, reason = "raw outputs are f32")]
pub(super) fn combined(
    to: &TrainedModel,
    members: &[impl Borrow<TrainedModel>],
    outputs: &[Vec<f32>],
) -> Vec<f32> {
    let loss = &to.criterion.loss;
    let (schema, count) = (&to.preparation.schema, outputs[0].len());
    match &schema.kind {
        _ if loss.gives_scores() => {
            let sum = |at: usize| outputs.iter().map(|it| f64::from(it[at])).sum::<f64>();
            (0..count).map(|at| (sum(at) / outputs.len() as f64) as f32).collect()
        }
        TargetKind::Classes(classes) => log_mean_softmax(outputs, classes.len()),
        TargetKind::Labels(_) => {
            let side = |sign: f64, at: usize| {
                log_mean_exp(outputs.iter().map(|it| log_sigmoid(sign * f64::from(it[at]))))
            };
            (0..count).map(|at| (side(1.0, at) - side(-1.0, at)) as f32).collect()
        }
        TargetKind::Number | TargetKind::Numbers(_) => match loss {
            Loss::Classes(ClassLoss::KlDivergence) => log_mean_softmax(outputs, schema.outputs()),
            Loss::PoissonNll { .. } => {
                let mean = |at: usize| log_mean_exp(outputs.iter().map(|it| f64::from(it[at])));
                (0..count).map(|at| mean(at) as f32).collect()
            }
            _ => combined_numbers(to, &values(members, outputs)),
        },
    }
}

/// Combines the members' predictions of numbers `[rows, columns]`, and scales the result as a network does.
#[expect(clippy::cast_possible_truncation, reason = "raw outputs are f32")]
fn combined_numbers(to: &TrainedModel, values: &[Vec<f64>]) -> Vec<f32> {
    let preparation = &to.preparation;
    let targets = preparation.schema.outputs().max(1);
    let mean = |at: usize| values.iter().map(|it| it[at]).sum::<f64>() / values.len() as f64;
    let Loss::GaussianNll { eps, .. } = to.criterion.loss else {
        let each = to.criterion.loss.outputs_each();
        let scaled = |at: usize| preparation.scaled_target(mean(at), at / each % targets);
        return (0..values[0].len()).map(scaled).collect();
    };
    let mut combined = Vec::with_capacity(values[0].len());
    for at in (0..values[0].len()).step_by(2) {
        let (target, mean) = (at / 2 % targets, mean(at));
        // Variance of a mixture: the mean of the variances, and the variance of the means.
        let variance = |it: &Vec<f64>| it[at + 1].powi(2) + (it[at] - mean).powi(2);
        let variance = values.iter().map(variance).sum::<f64>() / values.len() as f64;
        let scaled = variance / preparation.target_std[target].powi(2) - eps;
        combined.push(preparation.scaled_target(mean, target));
        combined.push(inverse_softplus(scaled) as f32);
    }
    combined
}

/// Returns each member's predictions `[rows, columns]`, in the target's units.
fn values(members: &[impl Borrow<TrainedModel>], outputs: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let values = |(member, outputs): (&_, &Vec<f32>)| {
        let member: &TrainedModel = Borrow::borrow(member);
        Predictions::new(outputs, &member.preparation, &member.criterion.loss).into_values()
    };
    members.iter().zip(outputs).map(values).collect()
}

/// Returns ln of the mean of the members' softmax of each row `[rows, width]`, whose softmax is that mean.
#[expect(clippy::cast_possible_truncation, reason = "raw outputs are f32")]
fn log_mean_softmax(outputs: &[Vec<f32>], width: usize) -> Vec<f32> {
    let normalised: Vec<Vec<f64>> = outputs.iter().map(|it| log_softmax(it, width)).collect();
    let mean = |at: usize| log_mean_exp(normalised.iter().map(|it| it[at]));
    (0..outputs[0].len()).map(|at| mean(at) as f32).collect()
}

fn log_softmax(outputs: &[f32], width: usize) -> Vec<f64> {
    let mut normalised = Vec::with_capacity(outputs.len());
    for logits in outputs.chunks_exact(width) {
        let sum = log_sum_exp(logits.iter().map(|&x| f64::from(x)));
        normalised.extend(logits.iter().map(|&x| f64::from(x) - sum));
    }
    normalised
}

/// Returns ln Σ exp x, which no x makes too large.
fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    max + values.map(|x| (x - max).exp()).sum::<f64>().ln()
}

/// Returns ln of the mean of exp x.
fn log_mean_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    log_sum_exp(values) - count.ln()
}

/// Returns ln(1 / (1 + exp(−x))).
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// Returns the x whose ln(1 + exp x) is `y`; for y of 0 or less, which rounding may give, a very small one.
fn inverse_softplus(y: f64) -> f64 {
    let y = y.max(1e-30);
    // exp y alone would be too large for large y.
    y + (-(-y).exp_m1()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, FeatureScaling, Preprocessing, Targets};
    use crate::graph::Quantiles;
    use crate::model::{Params, Sequential};
    use crate::random::Seed;

    /// Networks for a target, each with weights and scaling of its own.
    fn members(y: Targets, loss: Loss, outputs: usize) -> Vec<TrainedModel> {
        let x: Vec<f32> = (0..24).map(|i| ((i * 7 + 3) % 11) as f32).collect();
        let data = Dataset::from_arrays(&x, 3, y).unwrap();
        let model = Sequential::new().dense(5).tanh().dense(outputs);
        (0..3_u8)
            .map(|member| {
                let mut preparation = Preprocessing::fit(&data, FeatureScaling::Standard);
                preparation.target_mean.iter_mut().for_each(|it| *it += f64::from(member));
                preparation.target_std.iter_mut().for_each(|it| *it *= 1.0 + f64::from(member));
                let params = Params::init(&model, 3, Seed(member.into())).unwrap();
                let criterion = loss.clone().into();
                TrainedModel { model: model.clone(), params, preparation, criterion }
            })
            .collect()
    }

    fn outputs(rows: usize, width: usize) -> Vec<Vec<f32>> {
        let value = |at: usize| ((at * 37 + 11) % 23) as f32 / 4.0 - 2.5;
        (0..3).map(|member| (0..rows * width).map(|at| value(at * 3 + member)).collect()).collect()
    }

    /// Checks what the combined outputs of three members mean, against `want` of each member's values at a place.
    fn means(y: Targets, loss: Loss, width: usize, want: impl Fn(&[Vec<f64>], usize) -> f64) {
        let ensemble = Ensemble::new(members(y, loss.clone(), width)).unwrap();
        let outputs = outputs(8, width);
        let combined = ensemble.combined(&outputs);
        let first = ensemble.first();
        let got = Predictions::new(&combined, &first.preparation, &loss).into_values();
        let each = values(ensemble.members(), &outputs);
        for (at, &got) in got.iter().enumerate() {
            let want = want(&each, at);
            assert!(
                (got - want).abs() <= 2e-6 * (1.0 + want.abs()),
                "{loss} at {at}: {got} {want}"
            );
        }
    }

    fn mean(each: &[Vec<f64>], at: usize) -> f64 {
        each.iter().map(|it| it[at]).sum::<f64>() / each.len() as f64
    }

    #[test]
    fn the_combined_outputs_mean_the_mean_of_the_members() {
        let classes = || Targets::Classes(vec![0, 1, 2, 0, 1, 2, 0, 1]);
        let numbers = || Targets::Numbers((0..8).map(|i| f64::from(i * i)).collect());
        means(classes(), Loss::CROSS_ENTROPY, 3, mean);
        means(classes(), "hinge".parse().unwrap(), 3, mean);
        means(numbers(), Loss::Mse, 1, mean);
        means(numbers(), "poisson-nll".parse().unwrap(), 1, mean);
        let quantiles = Loss::Pinball(Quantiles::new(&[0.1, 0.5, 0.9]).unwrap());
        means(numbers(), quantiles, 3, mean);
        means(numbers(), "gaussian-nll".parse().unwrap(), 2, |each, at| match at % 2 {
            0 => mean(each, at),
            _ => {
                let squares = |it: &Vec<f64>| it[at].powi(2) + it[at - 1].powi(2);
                let squares = each.iter().map(squares).sum::<f64>() / 3.0;
                (squares - mean(each, at - 1).powi(2)).sqrt()
            }
        });
    }

    #[test]
    fn the_spread_is_the_deviation_of_the_members() {
        let y = Targets::Numbers((0..8).map(f64::from).collect());
        let ensemble = Ensemble::new(members(y, Loss::Mse, 1)).unwrap();
        let outputs = outputs(8, 1);
        let each = values(ensemble.members(), &outputs);
        for (at, got) in ensemble.spread(&outputs).into_iter().enumerate() {
            let mean = mean(&each, at);
            let want = each.iter().map(|it| (it[at] - mean).powi(2)).sum::<f64>() / 2.0;
            assert!((got - want.sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn extreme_outputs_stay_numbers() {
        assert_eq!(log_sigmoid(-1e4), -1e4);
        assert!(log_sigmoid(1e4).abs() < 1e-300);
        assert!((inverse_softplus(50.0) - 50.0).abs() < 1e-12);
        assert!(((inverse_softplus(1e-9).exp().ln_1p()) / 1e-9 - 1.0).abs() < 1e-6);
        let far = vec![vec![300.0, -300.0], vec![-300.0, 300.0]];
        let combined = log_mean_softmax(&far, 2);
        assert!(combined.iter().all(|it| (it - 0.5_f32.ln()).abs() < 1e-6), "{combined:?}");
    }

    #[test]
    fn members_of_other_columns_are_refused() {
        let y = Targets::Numbers((0..8).map(f64::from).collect());
        let mut all = members(y, Loss::Mse, 1);
        all[2].preparation.schema.features[1] = "other".to_string();
        let said = Ensemble::new(all).unwrap_err().to_string();
        assert!(said.contains("member 2") && said.contains("other"), "{said}");
        assert!(Ensemble::new(Vec::new()).unwrap_err().to_string().contains("no members"));
    }
}
