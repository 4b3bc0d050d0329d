//! Predictions that need no network, to judge one by: always the same, and a linear model.
//!
//! In: a run's rows, options and model. Out: their figures on the validation rows.
//! Absent on purpose: what to say of a network that is no better.

use std::fmt;

use super::{Criterion, Keep, Metrics, TrainOptions, TrainedModel, Trainer};
use crate::data::{Dataset, Preparation, Split, TargetKind, Targets, list};
use crate::device::DeviceKind;
use crate::error::Result;
use crate::graph::{Loss, Optimizer, Reduction};
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

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.metrics)
    }
}

impl Baseline {
    /// Computes the figures of the same prediction for every row, under the scaling and the loss of a network; `None` without
    /// validation rows.
    pub fn constant(trained: &TrainedModel, data: &Split) -> Option<Self> {
        let valid = data.valid.as_ref()?;
        let TrainedModel { criterion, preparation, .. } = trained;
        let (name, row) = constant(criterion, &data.train, preparation);
        #[expect(clippy::cast_possible_truncation, reason = "outputs are f32")]
        let row: Vec<f32> = row.into_iter().map(|value| value as f32).collect();
        let outputs = row.repeat(valid.rows());
        let targets = (valid.y(), valid.weights());
        let metrics = Metrics::under(criterion, &outputs, targets, preparation);
        Some(Self { name, metrics })
    }

    /// Returns true if a linear model says something about the network, and takes well under a second.
    pub fn linear_pays(model: &Sequential, data: &Split) -> bool {
        let columns = data.train.columns();
        let outputs = model.outputs(columns).unwrap_or(usize::MAX);
        let values = (data.train.rows() * columns) as f64 * outputs as f64;
        data.valid.is_some()
            && model.layers().len() > 1
            && 6.0 * f64::from(EPOCHS) * values <= MOST_OPERATIONS
    }

    /// Trains one dense layer on the CPU with the network's loss and scaling, and computes its figures on the validation rows;
    /// `None` without such rows, or if that diverges.
    ///
    /// # Errors
    /// If data and options do not fit.
    pub fn linear(
        trained: &TrainedModel,
        data: &Split,
        options: &TrainOptions,
    ) -> Result<Option<Self>> {
        let model = Sequential::new().dense(trained.model.outputs(data.train.columns())?);
        let options = TrainOptions {
            loss: options.loss,
            reduction: Reduction::Mean,
            class_weights: options.class_weights.clone(),
            scale: options.scale,
            optimizer: Optimizer::by_name("adam")?,
            lr: 0.02,
            schedule: "cosine".parse()?,
            epochs: EPOCHS,
            batch_size: data.train.rows().div_ceil(STEPS).clamp(8, 4096),
            keep: Some(Keep::Best),
            clip_norm: Some(1.0),
            checkpoint_every: 0,
            seed: options.seed,
            preparation: Some(trained.preparation.clone()),
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(&model, data, &options, &DeviceKind::Cpu)?;
        let diverged = trainer.fit().any(|event| event.is_err());
        let kept = trainer.kept().filter(|_| !diverged).and_then(|kept| kept.valid.clone());
        let name = match data.train.schema().kind {
            TargetKind::Classes(_) | TargetKind::Labels(_) => "logistic regression",
            TargetKind::Number | TargetKind::Numbers(_) => "linear regression",
        };
        Ok(kept.map(|metrics| Self { name: name.to_string(), metrics }))
    }
}

/// The outputs that are best for all rows alike, about, and what they predict.
fn constant(
    criterion: &Criterion,
    train: &Dataset,
    preparation: &Preparation,
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
            let values: Vec<f64> = preparation.scaled_targets(y).map(f64::from).collect();
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
    use crate::random::Seed;

    /// Both baselines of a table, for a network of one hidden layer.
    fn baselines(data: &Split, outputs: usize, options: &TrainOptions) -> (Baseline, Baseline) {
        let model = Sequential::new().dense(4).relu().dense(outputs);
        assert!(Baseline::linear_pays(&model, data));
        assert!(!Baseline::linear_pays(&Sequential::new().dense(outputs), data));
        let trained = Trainer::new(&model, data, options, &DeviceKind::Cpu).unwrap().trained();
        let linear = Baseline::linear(&trained, data, options).unwrap().unwrap();
        (Baseline::constant(&trained, data).unwrap(), linear)
    }

    #[test]
    fn classes_have_their_frequencies_and_a_logistic_regression() {
        // Three quarters are class 0, told by the first column.
        let x: Vec<f64> = (0..400).flat_map(|i| [f64::from(i % 4), f64::from(i % 7)]).collect();
        let y = Targets::Classes((0..400).map(|i| u32::from(i % 4 == 3)).collect());
        let data = Dataset::from_arrays(&x, 2, y).unwrap().split(0.25, Seed(1)).unwrap();
        let (constant, linear) = baselines(&data, 2, &TrainOptions::default());
        assert_eq!((constant.name.as_str(), constant.metrics.accuracy), ("always `0`", Some(0.75)));
        // The entropy of 3/4 and 1/4.
        assert!((constant.metrics.loss - 0.562_335).abs() < 1e-6, "{}", constant.metrics.loss);
        assert_eq!(linear.name, "logistic regression");
        assert_eq!(linear.metrics.accuracy, Some(1.0));
    }

    #[test]
    fn numbers_have_their_mean_or_median_and_a_line() {
        let x: Vec<f64> = (0..200).map(f64::from).collect();
        let y: Vec<f64> = (0..200).map(|i| if i % 10 == 0 { 1000.0 } else { 7.0 }).collect();
        let of = |y: Vec<f64>, loss| {
            let data = Dataset::from_arrays(&x, 1, Targets::Numbers(y)).unwrap();
            let data = data.split(0.2, Seed(2)).unwrap();
            baselines(&data, 1, &TrainOptions { loss, ..TrainOptions::default() })
        };
        let (mean, _) = of(y.clone(), Loss::Mse);
        assert_eq!(mean.name, "always the mean");
        assert!(mean.metrics.r2.unwrap().abs() < 0.1, "{mean}");
        let (median, _) = of(y, Loss::Mae);
        assert_eq!(median.name, "always the median");
        // Wrong by 993 for the rows of 1000, and by nothing for the others.
        let error = median.metrics.mae.unwrap();
        assert!((error / 993.0 * 40.0).fract() < 1e-3, "{median}");
        let (_, line) = of(x.iter().map(|x| 3.0 - 5.0 * x).collect(), Loss::Mse);
        assert_eq!(line.name, "linear regression");
        assert!(line.metrics.r2.unwrap() > 0.999, "{line}");
    }
}
