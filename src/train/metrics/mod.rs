//! Figures of predictions against targets, in f64 on the host, so that they are the same for all devices.
//!
//! In: raw outputs, read once an epoch, and targets. Out: the usual figures, and those that were asked for.
//! Absent on purpose: devices; a sum over predictions costs the host less than reading them.

pub mod classes;
mod evaluation;
mod metric;
pub mod numbers;
mod outcomes;
mod vocabulary;

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::data::{Preparation, Targets};
use crate::graph::Loss;
pub use evaluation::Evaluation;
pub use metric::{Average, Metric};
pub use outcomes::Outcomes;

/// How well predictions fit. Those that do not apply to the task are `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Rows compared.
    pub rows: usize,
    /// Mean loss, in the units that training uses (a scaled target stays scaled).
    pub loss: f64,
    /// Share of rows whose largest logit is their class's; the first of equal ones counts.
    pub accuracy: Option<f64>,
    /// 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; `None` where all targets are equal
    pub r2: Option<f64>,
    /// Mean |y − ŷ|, in the target's own units
    pub mae: Option<f64>,
    /// √ mean (y − ŷ)², in the target's own units
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
    pub fn of(outputs: &[f32], targets: &Targets, preparation: &Preparation, loss: Loss) -> Self {
        match (targets, loss) {
            (Targets::Classes(classes), _) => Self::of_classes(outputs, classes),
            (Targets::Numbers(numbers), _) => Self::of_numbers(outputs, numbers, preparation),
        }
    }

    /// As [`Self::of`], and others besides.
    pub fn with(
        outputs: &[f32],
        targets: &Targets,
        preparation: &Preparation,
        (loss, others): (Loss, &[Metric]),
    ) -> Self {
        let mut metrics = Self::of(outputs, targets, preparation, loss);
        if !others.is_empty() {
            let outcomes = Outcomes::of(outputs, targets, preparation);
            metrics.asked = others.iter().map(|&other| (other, outcomes.figure(other))).collect();
        }
        metrics
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

    fn of_classes(logits: &[f32], classes: &[u32]) -> Self {
        let rows = classes.len();
        let width = logits.len() / rows.max(1);
        let (mut loss, mut right) = (0.0, 0_usize);
        for (logits, &class) in logits.chunks_exact(width.max(1)).zip(classes) {
            let max = logits.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(f64::from(x)));
            let sum: f64 = logits.iter().map(|&x| (f64::from(x) - max).exp()).sum();
            loss += sum.ln() + max - f64::from(logits[class as usize]);
            right += usize::from(argmax(logits) == Some(class as usize));
        }
        let accuracy = Some(right as f64 / rows as f64);
        Self { rows, loss: loss / rows as f64, accuracy, ..Self::default() }
    }

    fn of_numbers(outputs: &[f32], targets: &[f32], preparation: &Preparation) -> Self {
        let count = targets.len() as f64;
        let mean = targets.iter().map(|&y| f64::from(y)).sum::<f64>() / count;
        let (mut squares, mut absolute, mut spread) = (0.0, 0.0, 0.0);
        for (&output, &y) in outputs.iter().zip(targets) {
            let error = preparation.restore_target(output) - f64::from(y);
            squares += error * error;
            absolute += error.abs();
            spread += (f64::from(y) - mean).powi(2);
        }
        Self {
            rows: targets.len(),
            // Scaling divides errors by the target's deviation.
            loss: squares / count / preparation.target_std.powi(2),
            accuracy: None,
            r2: (spread > 0.0).then(|| 1.0 - squares / spread),
            mae: Some(absolute / count),
            rmse: Some((squares / count).sqrt()),
            asked: Vec::new(),
        }
    }

    /// Metrics and values of the figures that apply and are defined, loss first.
    pub fn entries(&self) -> Vec<(Metric, f64)> {
        let usual = [Metric::Loss, Metric::Accuracy, Metric::R2, Metric::Mae, Metric::Rmse];
        let usual = usual.into_iter().map(|metric| (metric, self.value(metric)));
        let all = usual.chain(self.asked.iter().copied());
        all.filter_map(|(metric, value)| value.map(|value| (metric, value))).collect()
    }
}

/// The place of the largest value, the first of equal ones; `None` if one is NaN.
pub(super) fn argmax(values: &[f32]) -> Option<usize> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    Some(best)
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rows, if self.rows == 1 { "row" } else { "rows" })?;
        for (metric, value) in self.entries() {
            if metric == Metric::Accuracy {
                write!(f, ", accuracy {:.2} %", 100.0 * value)?;
            } else {
                write!(f, ", {metric} {value:.4}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Scale, Schema, TargetKind};

    fn preparation(target_mean: f64, target_std: f64) -> Preparation {
        let schema =
            Schema { features: vec!["x".into()], target: "y".into(), kind: TargetKind::Number };
        Preparation {
            schema,
            scale: Scale::Standard,
            mean: vec![0.0],
            std: vec![1.0],
            target_mean,
            target_std,
        }
    }

    #[test]
    fn classification_figures() {
        let logits = [2.0, 1.0, 0.0, 0.0, 3.0, 3.0];
        let metrics = Metrics::of(
            &logits,
            &Targets::Classes(vec![0, 1]),
            &preparation(0.0, 1.0),
            Loss::CrossEntropy,
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
