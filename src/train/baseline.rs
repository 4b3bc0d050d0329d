//! Predictions that need no network, to judge one by: always the same, and a linear model.
//!
//! In: a run's rows, options and model. Out: their figures on the validation rows.
//! Absent on purpose: what to say of a network that is no better.

use std::fmt;

use super::{Criterion, KeepWeights, Metrics, TrainOptions, TrainedModel, Trainer};
use crate::data::{Dataset, FeatureScaling, Preprocessing, Split, TargetKind, Targets, list};
use crate::device::DeviceKind;
use crate::error::Result;
use crate::graph::{ClassLoss, Loss, Optimizer};
use crate::model::Sequential;
use crate::shape::narrow;

/// Operations that the linear model may take: well under a second.
const MOST_OPERATIONS: f64 = 2e9;
/// Training rows that a constant prediction is judged by where there are no validation rows.
const SAMPLED: usize = 20_000;
/// Part of a class's share by which two shares are level; single precision keeps it.
const LEVEL: f64 = 1e-5;
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
    /// Computes the figures of the same prediction for every row, under the scaling and the loss of a network: on the
    /// validation rows, or without such rows on some of the training rows.
    pub fn constant(trained: &TrainedModel, data: &Split) -> Self {
        let train = &data.train;
        let step = train.rows().div_ceil(SAMPLED).max(1);
        let sample =
            || train.subset(&(0..narrow(train.rows())).step_by(step).collect::<Vec<u32>>());
        let valid = data.valid.clone().unwrap_or_else(sample);
        let TrainedModel { criterion, preparation, .. } = trained;
        let (name, row) = constant(criterion, train, preparation);
        #[expect(clippy::cast_possible_truncation, reason = "outputs are f32")]
        let row: Vec<f32> = row.into_iter().map(|value| value as f32).collect();
        let outputs = row.repeat(valid.rows());
        let targets = (valid.y(), valid.weights());
        let metrics = Metrics::under(criterion, &outputs, targets, preparation);
        Self { name, metrics }
    }

    /// Returns true if a linear model under this loss says something about the network, and takes well under a second.
    pub fn linear_pays(model: &Sequential, data: &Split, loss: &Loss) -> bool {
        Self::why_no_linear(model, data, loss).is_none()
    }

    /// Returns the reason why a linear model is not computed, if it is not.
    pub fn why_no_linear(model: &Sequential, data: &Split, loss: &Loss) -> Option<&'static str> {
        let columns = data.train.columns();
        let outputs = model.outputs(columns).unwrap_or(usize::MAX);
        let cells = (data.train.rows() * columns) as f64;
        let (trained, solved) = (6.0 * f64::from(EPOCHS) * outputs as f64, columns as f64);
        // Least squares take the table of products of all columns, and solve it.
        let equations = if *loss == Loss::Mse { solved.powi(3) } else { 0.0 };
        // Each step moves all rows of the tables for texts; least squares go without them.
        let tables: usize = data.train.input_tables().map(|(_, rows, width)| rows * width).sum();
        let tables = if *loss == Loss::Mse { 0 } else { tables };
        let short = cells * trained.max(solved) + equations <= MOST_OPERATIONS
            && f64::from(EPOCHS) * STEPS as f64 * tables as f64 <= MOST_OPERATIONS;
        if data.valid.is_none() {
            Some("no rows were held out")
        } else if model.layers().len() <= 1 {
            Some("the network is one itself")
        } else if short {
            None
        } else {
            Some("it would take more than a second for this table")
        }
    }

    /// Computes the figures of a linear model on the validation rows, under the network's loss and scaling: least squares for a
    /// squared error, without columns of many texts; else one dense layer that is trained on the CPU, behind the tables of such
    /// columns; `None` without such rows, or if that diverges.
    ///
    /// # Errors
    /// If data and options do not fit.
    pub fn linear(
        trained: &TrainedModel,
        data: &Split,
        options: &TrainOptions,
    ) -> Result<Option<Self>> {
        if options.loss == Loss::Mse {
            return Ok(Self::least_squares(trained, data));
        }
        let outputs = trained.model.outputs(data.train.columns())?;
        let model = Sequential::new().dense(outputs);
        let options = TrainOptions {
            loss: trained.criterion.at_the_end(&options.loss),
            reduction: options.reduction,
            class_weights: options.class_weights.clone(),
            scale: options.scale,
            optimizer: Optimizer::by_name("adam")?,
            lr: 0.02,
            schedule: "cosine".parse()?,
            epochs: EPOCHS,
            batch_size: data.train.rows().div_ceil(STEPS).clamp(8, 4096),
            // The best epoch by the validation rows would flatter it.
            keep: Some(KeepWeights::Last),
            clip_norm: Some(1.0),
            checkpoint_every: 0,
            seed: options.seed,
            preparation: Some(standard(trained, data)),
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(&model, data, &options, &DeviceKind::Cpu)?;
        let diverged = trainer.fit().any(|event| event.is_err());
        let kept = trainer.kept().filter(|_| !diverged).and_then(|kept| kept.valid.clone());
        let name = match data.train.schema().kind {
            TargetKind::Classes(_) | TargetKind::Labels(_) => "logistic regression",
            TargetKind::Number | TargetKind::Numbers(_) => "a linear model",
        };
        Ok(kept.map(|metrics| Self { name: name.to_string(), metrics }))
    }

    /// Linear regression by weighted least squares, from the normal equations of scaled features.
    fn least_squares(trained: &TrainedModel, data: &Split) -> Option<Self> {
        let valid = data.valid.as_ref()?;
        let (criterion, mut preparation) = (&trained.criterion, standard(trained, data));
        // An index of a text is no number to multiply, so its input is 0 for all rows.
        for (input, ..) in data.train.input_tables() {
            preparation.std[input] = f64::INFINITY;
        }
        let preparation = &preparation;
        let (y, outputs) = data.train.y().columns()?;
        let targets: Vec<f64> = preparation.scaled_targets(y).map(f64::from).collect();
        // A column of ones for the constant term.
        let size = data.train.columns() + 1;
        let with_one = |rows: &Dataset, row: usize| -> Vec<f64> {
            let scaled = preparation.features(rows.row(row));
            scaled.into_iter().map(f64::from).chain([1.0]).collect()
        };
        let (mut squares, mut products) = (vec![0.0; size * size], vec![0.0; size * outputs]);
        for row in 0..data.train.rows() {
            let x = with_one(&data.train, row);
            let weight = data.train.weights().map_or(1.0, |weights| weights[row]);
            for (i, a) in x.iter().enumerate() {
                for (to, b) in squares[i * size..].iter_mut().zip(&x[..=i]) {
                    *to += weight * a * b;
                }
                let own = &targets[row * outputs..][..outputs];
                products[i * outputs..]
                    .iter_mut()
                    .zip(own)
                    .for_each(|(to, y)| *to += weight * a * y);
            }
        }
        let solved = solve(&mut squares, products, size, outputs)?;
        let rows = (0..valid.rows()).flat_map(|row| {
            let x = with_one(valid, row);
            (0..outputs)
                .map(|output| {
                    let terms = x.iter().enumerate();
                    terms.map(|(i, x)| x * solved[i * outputs + output]).sum::<f64>()
                })
                .collect::<Vec<f64>>()
        });
        #[expect(clippy::cast_possible_truncation, reason = "outputs are f32")]
        let predicted: Vec<f32> = rows.map(|value| value as f32).collect();
        let targets = (valid.y(), valid.weights());
        let metrics = Metrics::under(criterion, &predicted, targets, preparation);
        let name = format!("linear regression{}", without_tables(&data.train));
        Some(Self { name, metrics })
    }
}

/// The scaling of a network's target, with features of mean 0 and deviation 1, whatever the network's own: a linear model comes
/// to its end in few steps with these.
fn standard(trained: &TrainedModel, data: &Split) -> Preprocessing {
    let TrainedModel { preparation, .. } = trained;
    let mut own = Preprocessing::fit(&data.train, FeatureScaling::Standard);
    own.target_mean.clone_from(&preparation.target_mean);
    own.target_std.clone_from(&preparation.target_std);
    own.curves.target = preparation.curves.target;
    own.curves.target_quantiles.clone_from(&preparation.curves.target_quantiles);
    own
}

/// Names the columns that least squares go without: those of indices of texts.
fn without_tables(train: &Dataset) -> String {
    let schema = train.schema();
    let names: Vec<&str> =
        train.input_tables().map(|(input, ..)| schema.features[input].as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" without {}", list(&names)) }
}

/// Solves A x = B for a symmetric A `[size, size]`, of which the lower half is given, by Cholesky's decomposition; `None` if that
/// fails. Directions in which A says nothing are held by a little on its diagonal.
fn solve(a: &mut [f64], mut b: Vec<f64>, size: usize, outputs: usize) -> Option<Vec<f64>> {
    let largest = (0..size).map(|i| a[i * size + i]).fold(0.0, f64::max);
    for i in 0..size {
        a[i * size + i] += 1e-9 * largest;
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| a[i * size + k] * a[j * size + k]).sum();
            let rest = a[i * size + j] - known;
            a[i * size + j] = match i == j {
                true if rest <= 0.0 => return None,
                true => rest.sqrt(),
                false => rest / a[j * size + j],
            };
        }
    }
    for output in 0..outputs {
        for i in 0..size {
            let known: f64 = (0..i).map(|k| a[i * size + k] * b[k * outputs + output]).sum();
            b[i * outputs + output] = (b[i * outputs + output] - known) / a[i * size + i];
        }
        for i in (0..size).rev() {
            let known: f64 = (i + 1..size).map(|k| a[k * size + i] * b[k * outputs + output]).sum();
            b[i * outputs + output] = (b[i * outputs + output] - known) / a[i * size + i];
        }
    }
    Some(b)
}

/// Returns the outputs that are nearly best for all rows alike, and the name of the prediction.
fn constant(
    criterion: &Criterion,
    train: &Dataset,
    preparation: &Preprocessing,
) -> (String, Vec<f64>) {
    // Rows and classes weigh as they do in training, or the comparison would not be fair.
    let weights = criterion.row_weights(train.y(), train.weights());
    let weight = |row: usize| weights.as_ref().map_or(1.0, |weights| weights[row]);
    let total: f64 = (0..train.rows()).map(weight).sum();
    if let (TargetKind::Classes(names), Targets::Classes(y)) = (&train.schema().kind, train.y()) {
        let (mut shares, mut rows) = (vec![0.0; names.len()], vec![0_usize; names.len()]);
        for (row, &class) in y.iter().enumerate() {
            shares[class as usize] += weight(row) / total;
            rows[class as usize] += 1;
        }
        let most = shares.iter().copied().fold(0.0, f64::max);
        // Balanced classes weigh the same but for rounding: of these the one with most rows is right most often, and is put a little above.
        let level: Vec<usize> =
            (0..names.len()).filter(|&class| shares[class] >= most * (1.0 - LEVEL)).collect();
        let best = level.iter().copied().max_by_key(|&class| rows[class]).unwrap_or(0);
        if level.len() > 1 {
            shares[best] = most * (1.0 + LEVEL);
        }
        let name = format!("always {}", list(&[&names[best]]));
        // A class without a row still has a small probability, so that its logarithm is finite.
        return (name, shares.iter().map(|share| share.max(1e-6).ln()).collect());
    }
    let (y, columns) = train.y().columns().unwrap_or_default();
    let labels = matches!(train.schema().kind, TargetKind::Labels(_));
    let outputs = (0..columns).flat_map(|first| {
        // In the scaled units of the network's outputs. Computed anew for each pass: a large table's would take much memory.
        let rows = || {
            let values = preparation.scaled_targets(y).map(f64::from);
            let column = values.skip(first).step_by(columns.max(1)).enumerate();
            column.map(|(row, value)| (value, weight(row)))
        };
        WeightedColumn { rows, total }.best(labels, &criterion.loss)
    });
    let outputs = outputs.collect();
    let name = match &criterion.loss {
        _ if labels => "always the more frequent",
        Loss::Pinball(quantiles) if quantiles.median().is_none() => "always the same quantiles",
        Loss::Mae
        | Loss::Huber { .. }
        | Loss::SmoothL1 { .. }
        | Loss::LogCosh
        | Loss::Pinball(_) => "always the median",
        // The mean in the scaled units, which is another number than that of the target.
        _ => match preparation.target_method() {
            FeatureScaling::Log => "always the mean by logarithms",
            FeatureScaling::Quantile => "always the mean by ranks",
            _ => "always the mean",
        },
    };
    (name.to_string(), outputs)
}

/// A target column's values, each with the weight of its row, and the sum of the weights.
struct WeightedColumn<F> {
    rows: F,
    total: f64,
}

impl<F: Fn() -> I, I: Iterator<Item = (f64, f64)>> WeightedColumn<F> {
    fn mean(&self) -> f64 {
        (self.rows)().map(|(value, weight)| weight * value).sum::<f64>() / self.total
    }

    /// Returns the value at which the weights, from the least value on, reach each fraction of all weights.
    fn quantiles(&self, shares: &[f64]) -> Vec<f64> {
        let mut sorted: Vec<(f64, f64)> = (self.rows)().collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = |&share: &f64| {
            let mut reached = 0.0;
            let place = sorted.iter().position(|(_, weight)| {
                reached += weight;
                reached >= share * self.total
            });
            place.map_or(0.0, |place| sorted[place].0)
        };
        shares.iter().map(at).collect()
    }

    /// Returns the outputs that are best for all rows alike: the mean, the median, a quantile, or the logit of a frequency.
    fn best(&self, labels: bool, loss: &Loss) -> Vec<f64> {
        match loss {
            _ if labels => {
                let share = self.mean().clamp(1e-6, 1.0 - 1e-6);
                vec![(share / (1.0 - share)).ln()]
            }
            Loss::Pinball(quantiles) => self.quantiles(quantiles.as_slice()),
            Loss::GaussianNll { .. } => {
                let center = self.mean();
                let squares = (self.rows)().map(|(v, weight)| weight * (v - center).powi(2));
                let variance = squares.sum::<f64>() / self.total;
                // Softplus of this number is the variance.
                vec![center, variance.max(1e-9).exp_m1().ln()]
            }
            Loss::PoissonNll { .. } | Loss::Classes(ClassLoss::KlDivergence) => {
                vec![self.mean().max(1e-9).ln()]
            }
            Loss::Mae | Loss::Huber { .. } | Loss::SmoothL1 { .. } | Loss::LogCosh => {
                self.quantiles(&[0.5])
            }
            _ => vec![self.mean()],
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
        assert!(Baseline::linear_pays(&model, data, &options.loss));
        let why = |model: &Sequential| Baseline::why_no_linear(model, data, &options.loss);
        assert_eq!(why(&Sequential::new().dense(outputs)), Some("the network is one itself"));
        let trained = Trainer::new(&model, data, options, &DeviceKind::Cpu).unwrap().trained();
        let linear = Baseline::linear(&trained, data, options).unwrap().unwrap();
        (Baseline::constant(&trained, data), linear)
    }

    #[test]
    fn least_squares_of_very_many_columns_do_not_pay() {
        let pays = |columns: usize| {
            let x = vec![0.5; 20 * columns];
            let data = Dataset::from_arrays(&x, columns, Targets::Numbers(vec![1.0; 20])).unwrap();
            let data = data.split_last(0.2).unwrap();
            let model = Sequential::new().dense(4).relu().dense(1);
            Baseline::linear_pays(&model, &data, &Loss::Mse)
        };
        assert_eq!((pays(1000), pays(1500), pays(4000)), (true, false, false));
    }

    #[test]
    fn large_tables_of_texts_do_not_pay_where_each_step_moves_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let rows: String =
            (0..4000).map(|i| format!("u{},{},{}\n", i % 2000, i % 7, i % 2)).collect();
        std::fs::write(&path, format!("user,x,y\n{rows}")).unwrap();
        let pays = |width: usize, loss: Loss| {
            let rule = format!("embedding({width})").parse().unwrap();
            let options = crate::data::TableOptions {
                columns: vec![("user".into(), rule)],
                ..Default::default()
            };
            let target = crate::data::Target::number("y");
            let data = Dataset::load(&path, &target, &options).unwrap().data;
            let data = data.split_last(0.1).unwrap();
            Baseline::linear_pays(&Sequential::new().dense(4).relu().dense(1), &data, &loss)
        };
        assert!(pays(8, Loss::Mae) && pays(800, Loss::Mse));
        assert!(!pays(800, Loss::Mae));
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
    fn of_balanced_classes_the_more_frequent_one_stands_for_all() {
        let x: Vec<f64> = (0..200).map(f64::from).collect();
        for rare in [0, 1] {
            let class = |i: u32| if i % 5 < 2 { rare } else { 1 - rare };
            let data = Dataset::from_arrays(&x, 1, Targets::Classes((0..200).map(class).collect()));
            let data = data.unwrap().split(0.25, Seed(1)).unwrap();
            let options = TrainOptions {
                class_weights: crate::train::ClassWeights::Balanced,
                ..TrainOptions::default()
            };
            let (constant, _) = baselines(&data, 2, &options);
            assert_eq!(constant.name, format!("always `{}`", 1 - rare));
            assert_eq!(constant.metrics.accuracy, Some(0.6));
            assert!((constant.metrics.loss - 2_f64.ln()).abs() < 1e-4, "{}", constant.metrics.loss);
        }
    }

    #[test]
    fn quantiles_without_the_median_have_a_loss_alone() {
        let x: Vec<f64> = (0..200).map(f64::from).collect();
        let y = Targets::Numbers(x.iter().map(|x| x * x).collect());
        let data = Dataset::from_arrays(&x, 1, y).unwrap().split(0.25, Seed(1)).unwrap();
        let named = |loss: &str| {
            let loss: Loss = loss.parse().unwrap();
            let options = TrainOptions { loss: loss.clone(), ..TrainOptions::default() };
            let (constant, linear) = baselines(&data, loss.outputs_each(), &options);
            let there = |it: &Metrics| [it.r2, it.mae, it.rmse].map(|it| it.is_some());
            assert_eq!(there(&constant.metrics), there(&linear.metrics));
            assert!(constant.metrics.loss > 0.0);
            (constant.name, there(&constant.metrics)[1])
        };
        for loss in ["pinball(0.1, 0.9)", "pinball(0.8)", "pinball(0.2, 0.4, 0.9)"] {
            assert_eq!(named(loss), ("always the same quantiles".to_string(), false), "{loss}");
        }
        assert_eq!(named("pinball(0.1, 0.5)"), ("always the median".to_string(), true));
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
        assert!(line.metrics.rmse.unwrap() < 1e-3, "{line}");
        // Of rows that weigh 20 more than half of the weight: their value is the median.
        let y: Vec<f64> = (0..200).map(|i| if i % 4 == 0 { 100.0 } else { 0.0 }).collect();
        let weights = y.iter().map(|&y| if y > 0.0 { 20.0 } else { 1.0 }).collect();
        let data = Dataset::from_arrays(&x, 1, Targets::Numbers(y)).unwrap();
        let data = data.with_weights(weights).unwrap().split(0.2, Seed(2)).unwrap();
        let (median, _) =
            baselines(&data, 1, &TrainOptions { loss: Loss::Mae, ..TrainOptions::default() });
        let valid = data.valid.as_ref().unwrap();
        let wrong: f64 = valid
            .y()
            .columns()
            .unwrap()
            .0
            .iter()
            .zip(valid.weights().unwrap())
            .map(|(y, weight)| (y - 100.0).abs() * weight)
            .sum();
        let want = wrong / valid.weights().unwrap().iter().sum::<f64>();
        assert!((median.metrics.mae.unwrap() - want).abs() < 1e-3, "{median} {want}");
    }
}
