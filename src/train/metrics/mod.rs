//! Figures of predictions against targets, in f64 on the host, so that they are the same for all devices.
//!
//! In: raw outputs, read once an epoch, and targets. Out: the usual figures, and those that were asked for.
//! Absent on purpose: devices; a sum over predictions costs the host less than reading them.

pub mod classes;
mod compensated_sum;
pub mod curves;
mod evaluation;
mod metric;
pub mod numbers;
mod ranking;
mod rows;
mod scored_rows;
mod streaming_metrics;
mod undefined;
mod vocabulary;

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::compensated_sum::{Mean, RootMeanSquare, each};
use self::rows::Counted;
use super::Criterion;
use super::outputs::{argmax, point_predictions};
use crate::data::{Preprocessing, TargetKind, Targets};
use crate::graph::Loss;
use crate::shape::pluralize;
pub use evaluation::{Evaluation, StreamingEvaluator};
pub use metric::{ClassAverage, Metric};
pub use rows::Weights;
pub use scored_rows::{ScoredRows, Uncertainty};
pub use streaming_metrics::TableFigures;

/// How well predictions fit. Those that do not apply to the task are `None`.
///
/// ```
/// use wgrad::prelude::*;
///
/// # let data = wgrad::data::synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
/// # let model = Sequential::new().dense(8).tanh().dense(1);
/// # let options = TrainOptions { loss: Loss::Mse, epochs: 2, ..TrainOptions::default() };
/// # let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
/// # trainer.run()?;
/// let metrics = trainer.evaluate()?;
/// assert!(metrics.loss > 0.0 && metrics.mae.is_some() && metrics.accuracy.is_none());
/// println!("{metrics}");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Rows compared; those of weight 0 are left out, as in all figures.
    #[serde(rename = "rows")]
    pub rows: usize,
    /// Mean loss, in the units that training uses (a scaled target stays scaled).
    #[serde(rename = "loss")]
    pub loss: f64,
    /// Share of rows whose largest logit is their class's (the first of equal ones counts), or all of whose labels are right.
    #[serde(rename = "accuracy")]
    pub accuracy: Option<f64>,
    /// 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; `None` where all targets are equal. Of several targets this is the mean, as are the next two.
    #[serde(rename = "r2")]
    pub r2: Option<f64>,
    /// Mean |y − ŷ|, in the target's own units
    #[serde(rename = "mae")]
    pub mae: Option<f64>,
    /// √ mean (y − ŷ)², in the target's own units
    #[serde(rename = "rmse")]
    pub rmse: Option<f64>,
    /// Others that were asked for; `None` where one is not defined for these rows.
    #[serde(flatten, serialize_with = "by_name", deserialize_with = "from_names")]
    pub asked: Vec<(Metric, Option<f64>)>,
}

fn by_name<S: Serializer>(
    asked: &[(Metric, Option<f64>)],
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    to.collect_map(asked.iter().map(|(metric, value)| (metric.to_string(), value)))
}

/// Pairs of a metric and its value, in their order.
type Asked = Vec<(Metric, Option<f64>)>;

fn from_names<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Asked, D::Error> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Asked;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("metrics by their names")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Asked, A::Error> {
            let mut asked = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, Option<f64>>()? {
                let metric = name.parse().map_err(serde::de::Error::custom)?;
                asked.push((metric, value));
            }
            Ok(asked)
        }
    }
    from.deserialize_map(Names)
}

impl Metrics {
    /// Figures of raw outputs `[rows, outputs]` against targets as they stand in the table.
    pub fn of(outputs: &[f32], targets: &Targets, preparation: &Preprocessing, loss: Loss) -> Self {
        Self::under(&loss.into(), outputs, (targets, None), preparation)
    }

    /// As [`Self::of`], with the loss as training has it. Weights of rows enter into all figures, those of classes into the
    /// loss alone.
    pub fn under(
        criterion: &Criterion,
        outputs: &[f32],
        targets: (&Targets, Option<&[f64]>),
        preparation: &Preprocessing,
    ) -> Self {
        let rows = Counted::of(outputs, targets);
        let (outputs, targets, weights) = (&*rows.outputs, &*rows.targets, rows.weights.as_deref());
        let columns = preparation.schema.outputs();
        let metrics = match (&preparation.schema.kind, targets) {
            _ if rows.rows() == 0 => Self::default(),
            (_, Targets::Classes(classes)) => Self::of_classes(outputs, classes, weights),
            (TargetKind::Labels(_), Targets::Numbers(y) | Targets::Columns(y, _)) => {
                Self::of_labels(outputs, (y, columns), weights)
            }
            (_, Targets::Numbers(y) | Targets::Columns(y, _)) => {
                match point_predictions(outputs, columns, &criterion.loss) {
                    Some(points) => Self::of_numbers(&points, (y, columns), weights, preparation),
                    None => Self::default(),
                }
            }
        };
        let raw_weights = rows.raw_weights.as_deref();
        let loss = criterion.value(outputs, (targets, raw_weights), preparation);
        Self { rows: rows.rows(), loss, ..metrics }
    }

    /// The same, and others besides.
    #[must_use]
    pub fn with(
        mut self,
        others: &[Metric],
        outputs: &[f32],
        targets: (&Targets, Option<&[f64]>),
        (preparation, loss): (&Preprocessing, &Loss),
    ) -> Self {
        if !others.is_empty() {
            let outcomes = ScoredRows::of(outputs, targets, preparation, loss);
            // Scores of hinge losses are ranked, but they are no probabilities.
            let scores = loss.gives_scores();
            let told = |other: Metric| !(scores && other.of_probabilities());
            let figure = |&other: &Metric| (other, outcomes.figure(other).filter(|_| told(other)));
            self.asked = others.iter().map(figure).collect();
        }
        self
    }

    /// One of the figures; `None` if it is not defined, or was not asked for.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Loss => Some(self.loss),
            Metric::Accuracy => self.accuracy,
            Metric::R2 => self.r2,
            Metric::Mae => self.mae,
            Metric::Rmse => self.rmse,
            _ => self.asked.iter().find(|(asked, _)| *asked == metric)?.1,
        }
    }

    /// Of rows that are right or wrong.
    fn of_right(right: impl Iterator<Item = bool>, weights: Option<&[f64]>) -> Self {
        let mut accuracy = Mean::default();
        accuracy.extend(right.map(|right| f64::from(u8::from(right))), weights);
        Self { accuracy: accuracy.value(), ..Self::default() }
    }

    fn of_classes(logits: &[f32], classes: &[u32], weights: Option<&[f64]>) -> Self {
        let width = logits.len() / classes.len().max(1);
        let rows_of = logits.chunks_exact(width.max(1)).zip(classes);
        let right = rows_of.map(|(logits, class)| argmax(logits) == Some(*class as usize));
        Self::of_right(right, weights)
    }

    fn of_labels(
        logits: &[f32],
        (labels, columns): (&[f64], usize),
        weights: Option<&[f64]>,
    ) -> Self {
        let right = |(logits, labels): (&[f32], &[f64])| {
            logits.iter().zip(labels).all(|(&x, &label)| !x.is_nan() && (x > 0.0) == (label > 0.0))
        };
        let pairs = logits.chunks_exact(columns.max(1)).zip(labels.chunks_exact(columns.max(1)));
        Self::of_right(pairs.map(right), weights)
    }

    fn of_numbers(
        point_predictions: &[f32],
        (targets, columns): (&[f64], usize),
        weights: Option<&[f64]>,
        preparation: &Preprocessing,
    ) -> Self {
        let rows = targets.len() / columns.max(1);
        let count: f64 = each(weights).take(rows).sum();
        let (mut r2, mut mae, mut rmse) = (Some(0.0), 0.0, 0.0);
        for column in 0..columns {
            let targets = || {
                let column = targets[column..].iter().step_by(columns).copied();
                column.zip(each(weights))
            };
            let mean = targets().map(|(y, weight)| weight * y).sum::<f64>() / count;
            let (mut squares, mut absolute, mut spread) = (0.0, 0.0, 0.0);
            let mut root = RootMeanSquare::default();
            for (&point, (y, weight)) in
                point_predictions[column..].iter().step_by(columns).zip(targets())
            {
                let error = preparation.restore_target(point, column) - y;
                squares += weight * (error * error);
                root.add(error, weight);
                absolute += weight * error.abs();
                spread += weight * (y - mean).powi(2);
            }
            // Compared as they are: a mean is rounded.
            let first = targets().next().map(|(y, _)| y);
            let varies = targets().any(|(y, _)| Some(y) != first);
            let share = numbers::share_explained(squares, spread).filter(|_| varies);
            r2 = r2.zip(share).map(|(sum, share)| sum + share / columns as f64);
            mae += absolute / count / columns as f64;
            // Of usual squares the plain sum, and so the bits that it always had.
            let plain = (squares / count).sqrt();
            let own = if plain.is_finite() { plain } else { root.value().unwrap_or(plain) };
            rmse += own / columns as f64;
        }
        Self { r2, mae: Some(mae), rmse: Some(rmse), ..Self::default() }
    }

    /// Metrics and values of the figures that apply and are defined, loss first.
    pub fn entries(&self) -> Vec<(Metric, f64)> {
        let all = self.all().into_iter();
        all.filter_map(|(metric, value)| value.map(|value| (metric, value))).collect()
    }

    /// Metrics and values of all figures that apply, loss first; `None` where one is not defined for these rows.
    pub fn all(&self) -> Vec<(Metric, Option<f64>)> {
        let usual: &[Metric] = match self.accuracy {
            Some(_) => &[Metric::Loss, Metric::Accuracy],
            None => &[Metric::Loss, Metric::R2, Metric::Mae, Metric::Rmse],
        };
        let usual = usual.iter().map(|&metric| (metric, self.value(metric)));
        usual.chain(self.asked.iter().copied()).collect()
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&pluralize(self.rows as u64, "row"))?;
        for (metric, value) in self.entries() {
            if metric == Metric::Accuracy {
                write!(f, ", accuracy {:.2} %", 100.0 * value)?;
            } else {
                write!(f, ", {metric} {}", metric.shown(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FeatureScaling, ScalingCurves, Schema};

    fn preparation(target_mean: f64, target_std: f64) -> Preprocessing {
        let schema = Schema {
            features: vec!["x".into()],
            target: "y".into(),
            kind: TargetKind::Number,
            ..Schema::default()
        };
        Preprocessing {
            schema,
            scale: FeatureScaling::Standard,
            mean: vec![0.0],
            std: vec![1.0],
            target_mean: vec![target_mean],
            target_std: vec![target_std],
            double: vec![],
            curves: ScalingCurves::default(),
            target_range: vec![],
        }
    }

    #[test]
    fn figures_of_quantiles_are_those_of_the_median() {
        let preparation = preparation(0.0, 1.0);
        let targets = Targets::Numbers(vec![1.0, 2.0, 4.0]);
        // Three quantiles of each row, of which the second and the first are the median's.
        let outputs = [0.0, 1.5, 9.0, 1.0, 2.5, 9.0, 2.0, 4.0, 9.0];
        for (loss, mae) in [
            ("pinball(0.1, 0.5, 0.9)", Some(1.0 / 3.0)),
            ("pinball(0.5, 0.7, 0.9)", Some(4.0 / 3.0)),
            ("pinball(0.2, 0.4, 0.9)", None),
        ] {
            let loss: Loss = loss.parse().unwrap();
            let metrics = Metrics::of(&outputs, &targets, &preparation, loss.clone());
            assert_eq!(
                metrics.mae.map(|it| (it * 1e6).round()),
                mae.map(|it: f64| (it * 1e6).round())
            );
            assert_eq!(
                (metrics.r2.is_some(), metrics.rmse.is_some()),
                (mae.is_some(), mae.is_some())
            );
            assert!(metrics.loss > 0.0);
            let asked = [
                Metric::Mape,
                Metric::MedianAbsoluteError,
                Metric::ExplainedVariance,
                Metric::Pinball(0.3),
            ];
            let others = metrics.with(&asked, &outputs, (&targets, None), (&preparation, &loss));
            for metric in asked {
                assert_eq!(others.value(metric).is_some(), mae.is_some(), "{loss} {metric}");
                assert_eq!(metric.without_rows(&loss).is_none(), mae.is_some(), "{loss} {metric}");
            }
            // Figures of quantiles themselves are there in any case.
            let asked = [Metric::Pinball(0.9), Metric::Coverage];
            let others = others.with(&asked, &outputs, (&targets, None), (&preparation, &loss));
            assert!(
                asked
                    .iter()
                    .all(|it| others.value(*it).is_some() && it.without_rows(&loss).is_none())
            );
        }
    }

    #[test]
    fn classification_figures() {
        let logits = [2.0, 1.0, 0.0, 0.0, 3.0, 3.0];
        let metrics = Metrics::of(
            &logits,
            &Targets::Classes(vec![0, 1]),
            &preparation(0.0, 1.0),
            Loss::CROSS_ENTROPY,
        );
        // scipy.special.logsumexp([2,1,0]) - 2 and logsumexp([0,3,3]) - 3
        let want = (0.407_605_964_444_380_1 + 0.717_735_918_666_702_6) / 2.0;
        assert!((metrics.loss - want).abs() < 1e-12, "{}", metrics.loss);
        assert_eq!(metrics.accuracy, Some(1.0));
        assert_eq!(argmax(&[1.0, f32::NAN]), None);
    }

    #[test]
    fn regression_figures_are_in_the_targets_units() {
        // Outputs 0 and 1 stand for 10 and 12; targets are 11 and 13.
        let metrics = Metrics::of(
            &[0.0, 1.0],
            &Targets::Numbers(vec![11.0, 13.0]),
            &preparation(10.0, 2.0),
            Loss::Mse,
        );
        assert_eq!((metrics.mae, metrics.rmse, metrics.r2), (Some(1.0), Some(1.0), Some(0.0)));
        assert!((metrics.loss - 0.25).abs() < 1e-12);
        let constant =
            Metrics::of(&[0.0], &Targets::Numbers(vec![11.0]), &preparation(10.0, 2.0), Loss::Mse);
        assert_eq!(constant.r2, None);
    }
}
