//! Predictions that need no network, to judge one by: always the same, and a linear model.
//!
//! In: a run's rows, options and model. Out: their figures on the validation rows.
//! Absent on purpose: what to say of a network that is no better.

use std::fmt;

use super::{Criterion, Keep, Metric, Metrics, ScheduleKind, TrainOptions, Trainer};
use crate::data::{Dataset, Split, TargetKind, Targets, list};
use crate::device::{DeviceKind, Tune, Tuning};
use crate::error::Result;
use crate::graph::{Loss, Optimizer};
use crate::model::Sequential;

/// Operations that the linear model may take: well under a second.
const MOST_OPERATIONS: f64 = 2e9;
/// Passes of the linear model over the rows, and steps of each pass.
const EPOCHS: u32 = 40;
const STEPS: usize = 40;

/// A prediction to compare a network with.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Says how it predicts.
    pub name: String,
    /// Its figures on the validation rows.
    pub metrics: Metrics,
}

/// What a run's table is worth without a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Baselines {
    /// The same prediction for every row.
    pub constant: Baseline,
    /// One dense layer, trained with the same loss; `None` where the network is nothing else, or where it would take long.
    pub linear: Option<Baseline>,
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.metrics)
    }
}

impl Baselines {
    /// Computes the figures on the validation rows; `None` without such rows.
    ///
    /// # Errors
    /// If the linear model cannot be trained.
    pub fn of(model: &Sequential, data: &Split, options: &TrainOptions) -> Result<Option<Self>> {
        let Some(valid) = &data.valid else { return Ok(None) };
        let columns = data.train.columns();
        let outputs = model.outputs(columns)?;
        let linear = Sequential::new().dense(outputs);
        let options = TrainOptions {
            optimizer: Optimizer::by_name("adam")?,
            lr: 0.02,
            schedule: "cosine".parse()?,
            decay_schedule: ScheduleKind::Constant,
            dropout_schedule: ScheduleKind::Constant,
            warmup: 0.0,
            epochs: EPOCHS,
            batch_size: data.train.rows().div_ceil(STEPS).clamp(8, 4096),
            stop_patience: None,
            stop_metric: Metric::Loss,
            keep: Some(Keep::Best),
            clip_norm: Some(1.0),
            accumulate: 1,
            groups: Vec::new(),
            average: None,
            checkpoint_every: 0,
            precision: crate::plan::Precision::F32,
            tuning: Tuning { tune: Tune::Off, ..Tuning::default() },
            device_memory: None,
            preparation: None,
            ..options.clone()
        };
        let mut trainer = Trainer::new(&linear, data, &options, &DeviceKind::Cpu)?;
        let trained = trainer.trained();
        let (name, row) = constant(&trained.criterion, &data.train, |y| {
            trained.preparation.scaled_targets(y).map(f64::from).collect()
        });
        #[expect(clippy::cast_possible_truncation, reason = "outputs are f32")]
        let row: Vec<f32> = row.into_iter().map(|value| value as f32).collect();
        let outputs_of_all = row.repeat(valid.rows());
        let constant = Baseline {
            name,
            metrics: Metrics::under(
                &trained.criterion,
                &outputs_of_all,
                (valid.y(), valid.weights()),
                &trained.preparation,
            ),
        };
        let operations = 6.0 * f64::from(EPOCHS) * (data.train.rows() * columns * outputs) as f64;
        let another =
            model.layers().iter().any(|layer| layer.name() != "dense") || model.layers().len() > 1;
        let linear = if another && operations <= MOST_OPERATIONS {
            for event in trainer.fit() {
                // A linear model that diverges is none to compare with.
                if event.is_err() {
                    return Ok(Some(Self { constant, linear: None }));
                }
            }
            let kept = trainer.kept().and_then(|kept| kept.valid.clone());
            let name = match data.train.schema().kind {
                TargetKind::Classes(_) | TargetKind::Labels(_) => "logistic regression",
                TargetKind::Number | TargetKind::Numbers(_) => "linear regression",
            };
            kept.map(|metrics| Baseline { name: name.to_string(), metrics })
        } else {
            None
        };
        Ok(Some(Self { constant, linear }))
    }
}

/// The outputs that are best for all rows alike, about, and what they predict.
fn constant(
    criterion: &Criterion,
    train: &Dataset,
    scaled: impl Fn(&[f64]) -> Vec<f64>,
) -> (String, Vec<f64>) {
    let weights = criterion.row_weights(train.y(), train.weights());
    let weight = |row: usize| weights.as_ref().map_or(1.0, |weights| weights[row]);
    let total: f64 = (0..train.rows()).map(weight).sum();
    match (&train.schema().kind, train.y()) {
        (TargetKind::Classes(names), Targets::Classes(y)) => {
            let mut shares = vec![0.0; names.len()];
            y.iter()
                .enumerate()
                .for_each(|(row, &class)| shares[class as usize] += weight(row) / total);
            let best = (0..names.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b]));
            let name = format!("always {}", list(&[&names[best.unwrap_or(0)]]));
            // A class without a row still has some probability.
            (name, shares.iter().map(|share| share.max(1e-6).ln()).collect())
        }
        (kind, y) => {
            let (y, columns) = y.columns().unwrap_or_default();
            let values = scaled(y);
            let column = |column: usize| values[column..].iter().step_by(columns.max(1)).copied();
            let mean = |c: usize| {
                column(c).enumerate().map(|(row, value)| weight(row) * value).sum::<f64>() / total
            };
            let outputs = (0..columns).flat_map(|c| match (kind, criterion.loss) {
                (TargetKind::Labels(_), _) => {
                    let share = mean(c).clamp(1e-6, 1.0 - 1e-6);
                    vec![(share / (1.0 - share)).ln()]
                }
                (_, Loss::Pinball(quantiles)) => {
                    let mut sorted: Vec<f64> = column(c).collect();
                    sorted.sort_by(f64::total_cmp);
                    let at = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
                    quantiles.as_slice().iter().map(|&q| at(q)).collect()
                }
                (_, Loss::GaussianNll { .. }) => {
                    let center = mean(c);
                    let squares = column(c).enumerate();
                    let variance =
                        squares.map(|(row, v)| weight(row) * (v - center).powi(2)).sum::<f64>()
                            / total;
                    // softplus of this is the variance.
                    vec![center, variance.max(1e-9).exp_m1().ln()]
                }
                (_, Loss::PoissonNll { .. } | Loss::KlDivergence) => vec![mean(c).max(1e-9).ln()],
                (_, Loss::Mae | Loss::Huber { .. } | Loss::SmoothL1 { .. } | Loss::LogCosh) => {
                    let mut sorted: Vec<f64> = column(c).collect();
                    sorted.sort_by(f64::total_cmp);
                    vec![sorted[sorted.len() / 2]]
                }
                _ => vec![mean(c)],
            });
            let outputs = outputs.collect();
            let name = match (kind, criterion.loss) {
                (TargetKind::Labels(_), _) => "always the more frequent",
                (
                    _,
                    Loss::Mae
                    | Loss::Huber { .. }
                    | Loss::SmoothL1 { .. }
                    | Loss::LogCosh
                    | Loss::Pinball(_),
                ) => "always the median",
                _ => "always the mean",
            };
            (name.to_string(), outputs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth;
    use crate::random::Seed;

    #[test]
    fn a_constant_and_a_line_are_what_they_are() {
        // Three quarters are class 0, told by the first column.
        let x: Vec<f64> = (0..400).flat_map(|i| [f64::from(i % 4), f64::from(i % 7)]).collect();
        let y = Targets::Classes((0..400).map(|i| u32::from(i % 4 == 3)).collect());
        let data = Dataset::from_arrays(&x, 2, y).unwrap().split(0.25, Seed(1)).unwrap();
        let model = Sequential::new().dense(8).relu().dense(2);
        let options = TrainOptions::default();
        let Baselines { constant, linear } =
            Baselines::of(&model, &data, &options).unwrap().unwrap();
        assert_eq!((constant.name.as_str(), constant.metrics.accuracy), ("always `0`", Some(0.75)));
        // The entropy of 3/4 and 1/4.
        assert!((constant.metrics.loss - 0.562_335).abs() < 1e-3, "{}", constant.metrics.loss);
        let linear = linear.unwrap();
        assert_eq!(
            (linear.name.as_str(), linear.metrics.accuracy),
            ("logistic regression", Some(1.0))
        );
        assert!(
            Baselines::of(&Sequential::new().dense(2), &data, &options)
                .unwrap()
                .unwrap()
                .linear
                .is_none()
        );
    }

    #[test]
    fn numbers_have_their_mean_or_median() {
        let y: Vec<f64> = (0..200).map(|i| if i % 10 == 0 { 1000.0 } else { 7.0 }).collect();
        let x: Vec<f64> = (0..200).map(f64::from).collect();
        let data = Dataset::from_arrays(&x, 1, Targets::Numbers(y)).unwrap();
        let data = data.split(0.2, Seed(2)).unwrap();
        let model = Sequential::new().dense(4).tanh().dense(1);
        let of = |loss| {
            let options = TrainOptions { loss, ..TrainOptions::default() };
            Baselines::of(&model, &data, &options).unwrap().unwrap().constant
        };
        assert_eq!(of(Loss::Mse).name, "always the mean");
        assert!(of(Loss::Mse).metrics.r2.unwrap().abs() < 0.1);
        let median = of(Loss::Mae);
        let valid = data.valid.as_ref().unwrap().y().columns().unwrap().0;
        let want = valid.iter().map(|y| (y - 7.0).abs()).sum::<f64>() / valid.len() as f64;
        assert!((median.metrics.mae.unwrap() - want).abs() < 1e-3 * want.max(1.0), "{median}");
        let spirals = synth::spirals(90, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
        let three = Sequential::new().dense(3);
        assert!(Baselines::of(&three, &spirals, &TrainOptions::default()).unwrap().is_none());
    }
}
