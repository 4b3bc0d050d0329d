//! Scaling of features and of a numeric target, and its undoing.
//!
//! In: the training part of a data set. Out: [`Preparation`], which a model keeps, so that later
//! rows are scaled by the numbers of the training rows.
//! Absent on purpose: anything learnt from validation rows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::table::{Dataset, Schema, TargetKind, Targets};
use crate::error::{Error, Result};

/// How features, and the target of a regression, are scaled before training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// To mean 0 and standard deviation 1.
    #[default]
    Standard,
    /// Not at all.
    None,
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::None => "none",
        })
    }
}

impl FromStr for Scale {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "standard" => Ok(Self::Standard),
            "none" => Ok(Self::None),
            _ => Err(Error::setting(
                "--scale",
                format!("`{name}` is not known; known are `standard` and `none`"),
            )),
        }
    }
}

/// What a model needs to know of its training table to read other rows as it read that one's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// Columns and target.
    pub schema: Schema,
    /// How the numbers below were chosen.
    pub scale: Scale,
    /// Subtracted from each feature.
    pub mean: Vec<f64>,
    /// Then divided by; never 0.
    pub std: Vec<f64>,
    /// Subtracted from a numeric target, for each of its columns; 0 for classes and labels.
    #[serde(with = "one_or_more")]
    pub target_mean: Vec<f64>,
    /// Then divided by; 1 for classes and labels, never 0.
    #[serde(with = "one_or_more")]
    pub target_std: Vec<f64>,
}

/// A list that stands as a plain number where it has one element, as it did before there could be more.
mod one_or_more {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        One(f64),
        More(Vec<f64>),
    }

    pub(super) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        match values {
            [one] => one.serialize(to),
            more => more.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(match Values::deserialize(from)? {
            Values::One(one) => vec![one],
            Values::More(more) => more,
        })
    }
}

impl Preparation {
    /// Measures the training rows.
    ///
    /// The standard deviation is that of the population (divided by n, not by n - 1), as in
    /// [scikit-learn's `StandardScaler`](https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.StandardScaler.html).
    /// A constant column is only shifted to 0.
    pub fn fit(train: &Dataset, scale: Scale) -> Self {
        let columns = train.columns();
        let (mean, std) = match scale {
            Scale::None => (vec![0.0; columns], vec![1.0; columns]),
            Scale::Standard => {
                (0..columns).map(|c| moments(train.x()[c..].iter().step_by(columns))).unzip()
            }
        };
        let raw = matches!(train.schema().kind, TargetKind::Classes(_) | TargetKind::Labels(_));
        let (target_mean, target_std) = match (train.y().columns(), scale) {
            (Some((y, columns)), Scale::Standard) if !raw => {
                (0..columns).map(|c| moments(y[c..].iter().step_by(columns))).unzip()
            }
            (y, _) => {
                let columns = y.map_or(1, |(_, columns)| columns);
                (vec![0.0; columns], vec![1.0; columns])
            }
        };
        Self { schema: train.schema().clone(), scale, mean, std, target_mean, target_std }
    }

    /// The same, but for columns that stay as they are, such as those that name rows of a table.
    pub fn with_columns_as_is(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        for column in columns {
            if let (Some(mean), Some(std)) = (self.mean.get_mut(column), self.std.get_mut(column)) {
                (*mean, *std) = (0.0, 1.0);
            }
        }
        self
    }

    /// The same, but for a target that stays as it is.
    pub fn with_target_as_is(mut self) -> Self {
        self.target_mean.fill(0.0);
        self.target_std.fill(1.0);
        self
    }

    /// Rows as the network takes them; `x` is `[rows, features]`, row-major. Computed in f64.
    pub fn features(&self, x: &[f32]) -> Vec<f32> {
        let mut scaled = Vec::with_capacity(x.len());
        self.extend_features(x, &mut scaled);
        scaled
    }

    /// Appends rows as the network takes them to others, so that a large table needs no second copy.
    pub(crate) fn extend_features(&self, x: &[f32], scaled: &mut Vec<f32>) {
        debug_assert!(x.len().is_multiple_of(self.mean.len()), "whole rows");
        for row in x.chunks_exact(self.mean.len()) {
            let scaling = self.mean.iter().zip(&self.std);
            scaled.extend(
                row.iter()
                    .zip(scaling)
                    .map(|(&v, (mean, std))| ((f64::from(v) - mean) / std) as f32),
            );
        }
    }

    /// Targets as the loss takes them: numbers scaled, classes as they are.
    pub fn targets(&self, y: &Targets) -> Targets {
        match y {
            Targets::Classes(_) => y.clone(),
            Targets::Numbers(y) => Targets::Numbers(self.scaled_targets(y).collect()),
            Targets::Columns(y, columns) => {
                Targets::Columns(self.scaled_targets(y).collect(), *columns)
            }
        }
    }

    /// Numbers of whole rows of the target's columns as the loss takes them.
    pub(crate) fn scaled_targets(&self, y: &[f32]) -> impl Iterator<Item = f32> {
        let scaling = self.target_mean.iter().zip(&self.target_std).cycle();
        y.iter().zip(scaling).map(|(&y, (mean, std))| ((f64::from(y) - mean) / std) as f32)
    }

    /// A number predicted for a target's column in the units of the table.
    pub fn restore_target(&self, y: f32, column: usize) -> f64 {
        f64::from(y) * self.target_std[column] + self.target_mean[column]
    }
}

/// Mean and standard deviation; (value, 1) where all values are the same, (0, 1) where there are none.
fn moments<'a>(values: impl Iterator<Item = &'a f32> + Clone) -> (f64, f64) {
    let Some(&first) = values.clone().next() else { return (0.0, 1.0) };
    // Compared as they are: the rounding of a mean would hide that a column is constant.
    if values.clone().all(|&v| v == first) {
        return (f64::from(first), 1.0);
    }
    let (mut n, mut sum) = (0.0, 0.0);
    for &v in values.clone() {
        n += 1.0;
        sum += f64::from(v);
    }
    let mean = sum / n;
    let squares: f64 = values.map(|&v| (f64::from(v) - mean).powi(2)).sum();
    (mean, (squares / n).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(x: &[f32], columns: usize) -> Dataset {
        let y = (0..x.len() / columns).map(|i| 10.0 + 2.0 * i as f32).collect();
        Dataset::from_arrays(x, columns, Targets::Numbers(y)).unwrap()
    }

    #[test]
    fn columns_stay_as_they_are_on_demand() {
        let data = Dataset::from_arrays(&[1.0, 5.0, 3.0, 7.0], 2, Targets::Numbers(vec![0.0, 1.0]));
        let fit = Preparation::fit(&data.unwrap(), Scale::Standard).with_columns_as_is([1, 9]);
        assert_eq!(fit.features(&[1.0, 5.0, 3.0, 7.0]), [-1.0, 5.0, 1.0, 7.0]);
    }

    #[test]
    fn moments_are_those_of_the_population() {
        // Column 0 is 1, 2, 3, 4: mean 2.5, variance 1.25. Column 1 is constant and not exact in binary.
        let data = numbers(&[1.0, 0.1, 2.0, 0.1, 3.0, 0.1, 4.0, 0.1], 2);
        let fit = Preparation::fit(&data, Scale::Standard);
        assert_eq!(fit.mean, [2.5, f64::from(0.1_f32)]);
        assert_eq!(fit.std, [1.25_f64.sqrt(), 1.0]);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![13.0], &vec![5.0_f64.sqrt()]));
        // 0.5 / sqrt(1.25), rounded once.
        assert_eq!(fit.features(&[2.5, 0.1, 3.0, 0.1]), [0.0, 0.0, 0.447_213_6, 0.0]);

        let none = Preparation::fit(&data, Scale::None);
        assert_eq!(
            (none.mean.as_slice(), none.std.as_slice()),
            ([0.0; 2].as_slice(), [1.0; 2].as_slice())
        );
        assert_eq!(none.features(data.x()), data.x());
        assert_eq!(&none.targets(data.y()), data.y());
        assert_eq!(none.restore_target(0.25, 0), 0.25);
    }

    #[test]
    fn classes_are_never_scaled() {
        let y = Targets::Classes(vec![0, 1, 5]);
        let data = Dataset::from_arrays(&[1.0, 2.0, 3.0], 1, y.clone()).unwrap();
        let fit = Preparation::fit(&data, Scale::Standard);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![0.0], &vec![1.0]));
        assert_eq!(fit.targets(&y), y);
    }

    #[test]
    fn each_target_column_has_its_own_scaling() {
        let y = Targets::Columns(vec![10.0, 0.0, 14.0, 1.0, 18.0, 1.0, 14.0, 0.0], 2);
        let data = Dataset::from_arrays(&[1.0, 2.0, 3.0, 4.0], 1, y).unwrap();
        let fit = Preparation::fit(&data, Scale::Standard);
        assert_eq!(
            (&fit.target_mean, &fit.target_std),
            (&vec![14.0, 0.5], &vec![8_f64.sqrt(), 0.5])
        );
        let Targets::Columns(scaled, 2) = fit.targets(data.y()) else { panic!("one column") };
        assert_eq!(scaled[2..6], [0.0, 1.0, 2_f32.sqrt(), 1.0]);
        assert_eq!((fit.restore_target(1.0, 1), fit.restore_target(0.0, 0)), (1.0, 14.0));
        let labels =
            Dataset::from_arrays(&[1.0, 2.0], 1, Targets::Columns(vec![0.0, 1.0, 1.0, 1.0], 2));
        let fit = Preparation::fit(&labels.unwrap().as_labels().unwrap(), Scale::Standard);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![0.0; 2], &vec![1.0; 2]));
    }

    #[test]
    fn one_target_is_written_as_a_number() {
        let data = numbers(&[1.0, 2.0], 1);
        let fit = Preparation::fit(&data, Scale::Standard);
        let text = serde_json::to_string(&fit).unwrap();
        assert!(text.contains("\"target_mean\":11.0,\"target_std\":1.0"), "{text}");
        assert_eq!(serde_json::from_str::<Preparation>(&text).unwrap(), fit);
        let two = Preparation { target_mean: vec![1.0, 2.0], target_std: vec![1.0; 2], ..fit };
        let text = serde_json::to_string(&two).unwrap();
        assert_eq!(serde_json::from_str::<Preparation>(&text).unwrap(), two, "{text}");
    }

    #[test]
    fn scales_have_one_name_everywhere() {
        for scale in [Scale::Standard, Scale::None] {
            assert_eq!(scale.to_string().parse::<Scale>().unwrap(), scale);
            assert_eq!(serde_json::to_string(&scale).unwrap(), format!("\"{scale}\""));
        }
        let said = "minmax".parse::<Scale>().unwrap_err().to_string();
        assert_eq!(said, "--scale: `minmax` is not known; known are `standard` and `none`");
    }

    proptest! {
        #[test]
        fn scaled_columns_have_moments_0_and_1_and_targets_come_back(
            rows in prop::collection::vec((-1e6_f32..1e6, -1e-3_f32..1e-3, -1e4_f32..1e4), 2..80)
        ) {
            let x: Vec<f32> = rows.iter().flat_map(|r| [r.0, r.1]).collect();
            let y: Vec<f32> = rows.iter().map(|r| r.2).collect();
            let data = Dataset::from_arrays(&x, 2, Targets::Numbers(y.clone())).unwrap();
            let fit = Preparation::fit(&data, Scale::Standard);
            let scaled = fit.features(&x);
            for c in 0..2 {
                let (mean, std) = moments(scaled[c..].iter().step_by(2));
                // Each scaled value is rounded to f32: at most sqrt(80) * 2^-24 off, and constants give std 1.
                prop_assert!(mean.abs() < 1e-6 && (std - 1.0).abs() < 1e-6, "{mean} {std}");
            }
            let Targets::Numbers(z) = fit.targets(data.y()) else { unreachable!() };
            for (&want, &z) in y.iter().zip(&z) {
                let got = fit.restore_target(z, 0);
                // Half an ulp of z, in units of the target.
                let limit = f64::from(z.abs()) * fit.target_std[0] * 2_f64.powi(-24) + 1e-9;
                prop_assert!((got - f64::from(want)).abs() <= limit, "{got} {want} {limit:e}");
            }
        }
    }
}
