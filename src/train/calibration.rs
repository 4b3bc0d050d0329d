//! Temperature scaling: probabilities that are right as often as they say.
//!
//! In: a trained network or an ensemble, rows that it was not trained on. Out: the same networks with other last layers, and what
//! changed.
//! Absent on purpose: files; predictions, which stay those of any network.

use super::ensemble::{Ensemble, combined};
use super::metrics::{Metric, ScoredRows};
use super::predict::TrainedModel;
use super::predictor::Predictor;
use crate::data::{Dataset, Features, LabelledRows, TargetKind, Targets};
use crate::error::{Error, Result};
use crate::model::{Layer, Params};

/// Least and largest temperature: probabilities beyond these are as good as certain, or alike.
const RANGE: (f64, f64) = (0.05, 20.0);
/// Temperatures that are tried before the best of them is refined, evenly spaced by their logarithm.
const COARSE: u32 = 60;
/// Rounds of golden section, each of which leaves 0.618 of the interval: the temperature is found to 1e-7 of itself.
const ROUNDS: u32 = 30;

/// Result of [`Predictor::calibrate`].
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Number by which raw outputs are divided. Above 1, the network was too sure; below 1, not sure enough.
    pub temperature: f64,
    /// Number of rows by which it was found.
    pub rows: usize,
    /// Mean log loss of these rows before and after, of several labels the mean over them.
    pub log_loss: (f64, f64),
    /// Expected calibration error of these rows over 15 bins before and after, of several labels the mean over them.
    pub calibration_error: (f64, f64),
}

impl Predictor {
    /// Returns networks whose probabilities are calibrated by a temperature T: softmax(z / T) for classes, σ(z / T) for labels, with
    /// the T of the least mean log loss of the rows (Guo et al. 2017, arXiv:1706.04599). Of an ensemble all members have one T, that
    /// of the mean of their probabilities. The likeliest class of a single network stays the same. The last layer's weights and bias
    /// are divided by T, so that models, ONNX files and predictions need nothing more.
    ///
    /// Rows that the network was trained on make it too sure: take others, such as the validation rows.
    ///
    /// ```
    /// use wgrad::prelude::*;
    ///
    /// let data = wgrad::data::synth::xor(300, 0.9, Seed(1)).split(0.5, Seed(1))?;
    /// let model = Sequential::new().dense(32).relu().dense(2);
    /// let options = TrainOptions { epochs: 60, lr: 0.02, ..TrainOptions::default() };
    /// let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    /// trainer.run()?;
    ///
    /// let predictor = Predictor::new(trainer.trained())?;
    /// let (calibrated, found) = predictor.calibrate(data.valid.as_ref().unwrap())?;
    /// assert!(found.temperature > 1.0 && found.log_loss.1 < found.log_loss.0);
    /// let predictor = Predictor::new(calibrated)?;
    /// # let _ = predictor;
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If predictions are no probabilities, the last layer is not `dense`, or there is no best temperature; and as
    /// [`Self::evaluate`].
    pub fn calibrate(&self, data: &Dataset) -> Result<(Ensemble, Calibration)> {
        self.check_table(data)?;
        self.calibrated(&data.x().into(), (data.y(), data.weights()))
    }

    /// Does the same as [`Self::calibrate`] with rows as they stand in a table.
    ///
    /// # Errors
    /// As [`Self::calibrate`] and [`Self::predict`].
    pub fn calibrate_rows(&self, rows: &LabelledRows) -> Result<(Ensemble, Calibration)> {
        self.calibrated(&(&rows.x).into(), (&rows.y, rows.weights.as_deref()))
    }

    fn calibrated(
        &self,
        x: &Features<'_>,
        targets: (&Targets, Option<&[f64]>),
    ) -> Result<(Ensemble, Calibration)> {
        let members = self.ensemble().members();
        members.iter().try_for_each(check)?;
        let outputs = self.outputs_of_members(x)?;
        let scored = |temperature: f64| scored(members, &outputs, targets, temperature);
        let loss = |temperature: f64| scored(temperature).figure(Metric::LogLoss);
        if loss(1.0).is_none() {
            let problem = "no row counts: each has the weight 0, or a class that the model does not know; give rows that count";
            return Err(Error::setting("calibrate", problem));
        }
        let temperature = best_temperature(|it| loss(it).unwrap_or(f64::INFINITY))?;
        let figures = |metric: Metric| {
            let of = |temperature| scored(temperature).figure(metric).unwrap_or(f64::NAN);
            (of(1.0), of(temperature))
        };
        let found = Calibration {
            temperature,
            rows: targets.0.len(),
            log_loss: figures(Metric::LogLoss),
            calibration_error: figures(Metric::CalibrationError(15)),
        };
        let divided = members.iter().map(|member| divided(member, temperature));
        Ok((Ensemble::new(divided.collect::<Result<_>>()?)?, found))
    }
}

/// Returns the rows with the predictions of networks whose raw outputs are divided by a temperature.
fn scored(
    members: &[TrainedModel],
    outputs: &[Vec<f32>],
    targets: (&Targets, Option<&[f64]>),
    temperature: f64,
) -> ScoredRows {
    #[expect(clippy::cast_possible_truncation, reason = "raw outputs are f32")]
    let divide = |raw: &f32| (f64::from(*raw) / temperature) as f32;
    let mut each: Vec<Vec<f32>> =
        outputs.iter().map(|it| it.iter().map(divide).collect()).collect();
    let first = &members[0];
    let outputs = match each.len() {
        1 => each.swap_remove(0),
        _ => combined(first, members, &each),
    };
    ScoredRows::of(&outputs, targets, &first.preparation, &first.criterion.loss)
}

/// Returns the temperature of the least loss.
fn best_temperature(loss: impl Fn(f64) -> f64) -> Result<f64> {
    let (low, high) = (RANGE.0.ln(), RANGE.1.ln());
    let at = |place: u32| low + (high - low) * f64::from(place) / f64::from(COARSE);
    let of = |log: f64| loss(log.exp());
    let best = (0..=COARSE).min_by(|a, b| of(at(*a)).total_cmp(&of(at(*b)))).unwrap_or(0);
    if best == 0 || best == COARSE {
        let problem = if best == 0 {
            "each row is predicted right, so that no temperature is the best: there are too few rows, or the model was trained on them; \
             give others"
        } else {
            "the classes of these rows have nothing to do with the predictions: are they of the right table?"
        };
        return Err(Error::setting("calibrate", problem));
    }
    let (mut left, mut right) = (at(best - 1), at(best + 1));
    let share = (5.0_f64.sqrt() - 1.0) / 2.0;
    for _ in 0..ROUNDS {
        let (a, b) = (right - share * (right - left), left + share * (right - left));
        if of(a) <= of(b) {
            right = b;
        } else {
            left = a;
        }
    }
    Ok(f64::midpoint(left, right).exp())
}

/// Checks that a network has probabilities, and a last layer whose outputs can be divided.
fn check(trained: &TrainedModel) -> Result<()> {
    let refuse = |problem: String| Err(Error::setting("calibrate", problem));
    let kind = &trained.preparation.schema.kind;
    if matches!(kind, TargetKind::Number | TargetKind::Numbers(_)) {
        return refuse(
            "the model predicts numbers, which have no probabilities; it is for classes and labels"
                .into(),
        );
    }
    let loss = &trained.criterion.loss;
    if loss.gives_scores() {
        return refuse(format!(
            "outputs under {loss} are scores and no probabilities; train with another loss"
        ));
    }
    match trained.model.layers().last() {
        Some(Layer::Dense { .. }) => Ok(()),
        last => {
            let last = last.map_or("none".to_string(), ToString::to_string);
            refuse(format!(
                "the last layer is {last}, whose outputs cannot be divided by a number; let dense be the last one"
            ))
        }
    }
}

/// Returns a network whose raw outputs are divided by a temperature.
fn divided(trained: &TrainedModel, temperature: f64) -> Result<TrainedModel> {
    let params = &trained.params;
    let prefix = format!("{}.", trained.model.layers().len() - 1);
    let mut values = params.arena().to_vec();
    for view in params.layout().views().iter().filter(|view| view.name.starts_with(&prefix)) {
        for value in &mut values[view.range()] {
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let divided = (f64::from(*value) / temperature) as f32;
            *value = divided;
        }
    }
    let params = Params::from_arena(params.layout().clone(), values)?;
    Ok(TrainedModel { params, ..trained.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, FeatureScaling, Preprocessing, Targets};
    use crate::graph::Loss;
    use crate::model::Sequential;
    use crate::random::Seed;

    /// A network of two classes whose raw outputs are 0 and `sure` · x.
    fn network(sure: f32) -> (TrainedModel, Dataset) {
        // Of ten rows with x = 1, eight are of class 1; of those with x = −1, two are.
        let x: Vec<f32> = (0..20).map(|row| if row < 10 { 1.0 } else { -1.0 }).collect();
        let y = (0..20).map(|row| u32::from(!(8..18).contains(&row))).collect();
        let data = Dataset::from_arrays(&x, 1, Targets::Classes(y)).unwrap();
        let model = Sequential::new().dense(2);
        let mut params = Params::init(&model, 1, Seed(1)).unwrap();
        params.set("0.weight", &[2, 1], &[0.0, sure]).unwrap();
        params.set("0.bias", &[2], &[0.0, 0.0]).unwrap();
        let preparation = Preprocessing::fit(&data, FeatureScaling::None);
        let criterion = Loss::CROSS_ENTROPY.into();
        (TrainedModel { model, params, preparation, criterion }, data)
    }

    #[test]
    fn the_temperature_is_that_of_the_least_log_loss() {
        // The least loss is where the probability of class 1 is 0.8: where the output is ln 4.
        for sure in [6.0, 0.5] {
            let (trained, data) = network(sure);
            let predictor = Predictor::new(&trained).unwrap();
            let (calibrated, found) = predictor.calibrate(&data).unwrap();
            let want = f64::from(sure) / 4.0_f64.ln();
            assert!((found.temperature / want - 1.0).abs() < 1e-6, "{found:?} {want}");
            let least = -(0.8 * 0.8_f64.ln() + 0.2 * 0.2_f64.ln());
            assert!((found.log_loss.1 - least).abs() < 1e-6, "{found:?}");
            assert!(found.calibration_error.0 > 0.1 && found.calibration_error.1 < 1e-6);
            let values = Predictor::new(calibrated).unwrap().predict(&[1.0_f64]).unwrap();
            assert!((values.values()[1] - 0.8).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn of_an_ensemble_the_mean_of_probabilities_is_calibrated() {
        let (trained, data) = network(6.0);
        let other = network(3.0).0;
        let ensemble = Ensemble::new(vec![trained, other]).unwrap();
        let (calibrated, found) = Predictor::new(ensemble).unwrap().calibrate(&data).unwrap();
        let metrics = Predictor::new(calibrated).unwrap().predict(&[1.0_f64]).unwrap();
        assert!((metrics.values()[1] - 0.8).abs() < 1e-6, "{metrics:?} {found:?}");
    }

    #[test]
    fn what_cannot_be_calibrated_is_refused() {
        let refused = |trained: &TrainedModel, data: &Dataset| {
            Predictor::new(trained).unwrap().calibrate(data).unwrap_err().to_string()
        };
        let (trained, data) = network(6.0);
        let hinge =
            TrainedModel { criterion: "hinge".parse::<Loss>().unwrap().into(), ..trained.clone() };
        assert!(refused(&hinge, &data).contains("are scores and no probabilities"));
        let model = Sequential::new().dense(2).tanh();
        let params = Params::init(&model, 1, Seed(1)).unwrap();
        let last = TrainedModel { model, params, ..trained.clone() };
        assert!(
            refused(&last, &data).contains("the last layer is tanh"),
            "{}",
            refused(&last, &data)
        );
        // Rows of one sign and their own class have no best temperature.
        let x = [1.0_f32, 1.0, -1.0];
        let right = Dataset::from_arrays(&x, 1, Targets::Classes(vec![1, 1, 0])).unwrap();
        assert!(refused(&trained, &right).contains("each row is predicted right"));
        let wrong = Dataset::from_arrays(&x, 1, Targets::Classes(vec![0, 0, 1])).unwrap();
        assert!(refused(&trained, &wrong).contains("nothing to do with the predictions"));
        let numbers = Dataset::from_arrays(&x, 1, Targets::Numbers(vec![1.0, 2.0, 3.0])).unwrap();
        let preparation = Preprocessing::fit(&numbers, FeatureScaling::None);
        let model = Sequential::new().dense(1);
        let params = Params::init(&model, 1, Seed(1)).unwrap();
        let of_numbers = TrainedModel { model, params, preparation, criterion: Loss::Mse.into() };
        assert!(refused(&of_numbers, &numbers).contains("predicts numbers"));
    }
}
