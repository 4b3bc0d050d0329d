//! Figures without a value on some rows, whatever is predicted: the targets alone decide that.
//!
//! In: a metric, rows, the loss. Out: why the metric has no value there, or says nothing.
//! Absent on purpose: what follows from it.

use std::collections::BTreeSet;

use super::super::outputs::point_place;
use super::Metric;
use super::rows::Counted;
use crate::data::{Dataset, TargetKind, Targets, list};
use crate::graph::Loss;

impl Metric {
    /// Why the metric has no value on these rows, or the same value whatever is predicted; `None` where predictions decide.
    pub(crate) fn undefined(self, rows: &Dataset, loss: &Loss) -> Option<String> {
        self.without_rows(loss).or_else(|| self.on_targets(rows))
    }

    /// A metric that to advise instead of this one.
    pub(crate) fn instead(self) -> &'static str {
        match self {
            Self::R2 | Self::ExplainedVariance | Self::Coverage => "mae or rmse",
            Self::LogLoss | Self::Brier | Self::CalibrationError(_) => "accuracy or roc_auc",
            _ => "loss or accuracy",
        }
    }

    /// Returns why a metric has no value under this loss, whatever the rows are.
    pub(super) fn without_rows(self, loss: &Loss) -> Option<String> {
        let scores = loss.gives_scores();
        let quantile = match (self, loss) {
            (Self::Pinball(wanted), Loss::Pinball(quantiles)) => {
                quantiles.as_slice().contains(&wanted)
            }
            _ => false,
        };
        let is_of_point = self.of_classes() == Some(false) && self != Self::Coverage && !quantile;
        let interval = match loss {
            Loss::Pinball(quantiles) => quantiles.as_slice().len() > 1,
            Loss::GaussianNll { .. } => true,
            _ => false,
        };
        let name = loss.name();
        match self {
            _ if scores && self.of_probabilities() => Some(format!(
                "has no value, since the loss {name} gives scores and no probabilities"
            )),
            _ if is_of_point && point_place(loss).is_none() => Some(format!(
                "has no value, since the loss {loss} predicts no median, which it is of; add the quantile 0.5"
            )),
            Self::Coverage if !interval => {
                Some(format!("has no value, since the loss {name} predicts no interval"))
            }
            _ => None,
        }
    }

    /// Returns why a metric has no value on these rows, whatever is predicted.
    fn on_targets(self, rows: &Dataset) -> Option<String> {
        // Rows of weight 0 belong to no figure, so they are left out first.
        let counted = Counted::of(&[], (rows.y(), rows.weights()));
        let schema = rows.schema();
        match (&*counted.targets, &schema.kind) {
            (Targets::Classes(y), TargetKind::Classes(names)) => self.on_classes(y, names),
            (y, TargetKind::Labels(labels)) => {
                let (y, columns) = y.columns()?;
                let values = |column: usize| -> BTreeSet<bool> {
                    y.iter().skip(column).step_by(columns).map(|&y| y > 0.0).collect()
                };
                let values: Vec<BTreeSet<bool>> = (0..columns).map(values).collect();
                let missing =
                    |column: &usize| (0..2).find(|&value| !values[*column].contains(&(value == 1)));
                let text = |column: usize, value: usize| {
                    let label = &labels[column];
                    format!("{} in {}", list(&label.values[value..=value]), list(&[&label.column]))
                };
                // A ranking needs rows of both kinds in every column.
                match self {
                    Self::RocAuc | Self::AveragePrecision => {
                        let column = (0..columns).find(|column| missing(column).is_some())?;
                        let value = missing(&column)?;
                        Some(format!("has no value on them: none has {}", text(column, value)))
                    }
                    Self::Matthews if (0..columns).all(|column| missing(&column).is_some()) => {
                        Some("is 0 on them whatever is predicted: they are all alike".into())
                    }
                    _ if self.of_hits() && values.iter().all(|there| !there.contains(&true)) => {
                        let none = text(0, 1);
                        Some(format!("is 0 on them whatever is predicted: none has {none}"))
                    }
                    _ => None,
                }
            }
            (y, _) => {
                let (y, columns) = y.columns()?;
                // Without any spread of the target, its explained fraction is 0 / 0.
                let alike = |column: &usize| {
                    let mut values = y.iter().skip(*column).step_by(columns);
                    let first = values.next();
                    values.all(|value| Some(value) == first)
                };
                if !matches!(self, Self::R2 | Self::ExplainedVariance) {
                    return None;
                }
                let column = (0..columns).find(alike)?;
                if y.len() == columns {
                    return Some("has no value on them: there is only one row".into());
                }
                let name = list(&schema.targets()[column..=column]);
                Some(format!("has no value on them: {name} is {} in all of them", y[column]))
            }
        }
    }

    fn on_classes(self, y: &[u32], names: &[String]) -> Option<String> {
        let there: BTreeSet<u32> = y.iter().copied().collect();
        let absent: Vec<&String> = (0_u32..)
            .zip(names)
            .filter(|(class, _)| !there.contains(class))
            .map(|it| it.1)
            .collect();
        match self {
            Self::RocAuc | Self::AveragePrecision if !absent.is_empty() => {
                Some(format!("has no value on them: none is of class {}", list(&absent)))
            }
            Self::Matthews if there.len() < 2 => {
                Some("is 0 on them whatever is predicted: they are all of one class".into())
            }
            _ if self.of_positive() && names.len() == 2 && !there.contains(&1) => Some(format!(
                "is 0 on them whatever is predicted: none is of the positive class {}",
                list(&names[1..])
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Quantiles;
    use crate::train::metrics::ClassAverage;

    fn rows(y: Targets) -> Dataset {
        let x: Vec<f32> = (0..y.len()).map(|i| i as f32).collect();
        Dataset::from_arrays(&x, 1, y).unwrap()
    }

    fn said(metric: Metric, rows: &Dataset) -> String {
        metric.undefined(rows, &Loss::Mse).unwrap_or_default()
    }

    #[test]
    fn numbers_have_to_differ() {
        for metric in [Metric::R2, Metric::ExplainedVariance] {
            let one = rows(Targets::Numbers(vec![3.0]));
            assert_eq!(said(metric, &one), "has no value on them: there is only one row");
            let alike = rows(Targets::Columns(vec![1.0, 2.5, 0.0, 2.5], 2));
            assert_eq!(said(metric, &alike), "has no value on them: `y1` is 2.5 in all of them");
            let differ = rows(Targets::Numbers(vec![1.0, 1.0, 7.0]));
            assert_eq!(said(metric, &differ), "");
            let weighed = differ.with_weights(vec![1.0, 2.0, 0.0]).unwrap();
            assert_eq!(said(metric, &weighed), "has no value on them: `y` is 1 in all of them");
            assert_eq!(said(Metric::Mae, &weighed), "");
        }
    }

    #[test]
    fn classes_have_to_occur() {
        let all = rows(Targets::Classes(vec![0, 1, 1]));
        let negative = all.clone().with_weights(vec![1.0, 0.0, 0.0]).unwrap();
        let [f1, f1_macro] = [ClassAverage::Binary, ClassAverage::Macro].map(Metric::F1);
        for metric in [Metric::RocAuc, Metric::AveragePrecision, Metric::Matthews, f1] {
            assert_eq!(said(metric, &all), "");
            assert!(!said(metric, &negative).is_empty(), "{metric}");
        }
        assert!(said(Metric::RocAuc, &negative).ends_with("none is of class `1`"));
        assert!(said(f1, &negative).ends_with("none is of the positive class `1`"));
        let three = rows(Targets::Classes(vec![0, 2, 2]));
        assert!(said(Metric::AveragePrecision, &three).ends_with("none is of class `1`"));
        for metric in [Metric::Accuracy, Metric::LogLoss, Metric::BalancedAccuracy, f1_macro] {
            assert_eq!(said(metric, &negative), "", "{metric}");
        }
    }

    #[test]
    fn labels_have_to_occur() {
        let labels = |y: &[f64]| rows(Targets::Columns(y.to_vec(), 2)).as_labels().unwrap();
        let half = labels(&[0.0, 1.0, 0.0, 0.0]);
        assert_eq!(said(Metric::RocAuc, &half), "has no value on them: none has `1` in `y0`");
        assert_eq!(said(Metric::F1(ClassAverage::Macro), &half), "");
        assert_eq!(said(Metric::Matthews, &half), "");
        let none = labels(&[0.0, 0.0, 0.0, 0.0]);
        assert!(said(Metric::F1(ClassAverage::Micro), &none).starts_with("is 0 on them whatever"));
        assert!(said(Metric::Matthews, &none).starts_with("is 0 on them whatever"));
        let certain = labels(&[0.0, 1.0, 1.0, 1.0]);
        assert!(said(Metric::AveragePrecision, &certain).ends_with("none has `0` in `y1`"));
    }

    #[test]
    fn losses_have_to_give_what_is_measured() {
        let numbers = rows(Targets::Numbers(vec![1.0, 2.0]));
        let quantiles = |q: &[f64]| Loss::Pinball(Quantiles::new(q).unwrap());
        assert!(said(Metric::Coverage, &numbers).ends_with("the loss mse predicts no interval"));
        assert!(Metric::Coverage.undefined(&numbers, &quantiles(&[0.5])).is_some());
        assert_eq!(Metric::Coverage.undefined(&numbers, &quantiles(&[0.1, 0.9])), None);
        let classes = rows(Targets::Classes(vec![0, 1]));
        let hinge: Loss = "hinge".parse().unwrap();
        for metric in [Metric::LogLoss, Metric::Brier, Metric::CalibrationError(10)] {
            assert!(metric.undefined(&classes, &hinge).unwrap().contains("hinge gives scores"));
            assert_eq!(metric.undefined(&classes, &Loss::CROSS_ENTROPY), None);
        }
    }
}
