//! Scaling of features and of a numeric target, and its undoing.
//!
//! In: the training part of a data set. Out: [`Preprocessing`], which a model keeps, so that later
//! rows are scaled by the numbers of the training rows.
//! Absent on purpose: anything learnt from validation rows.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::encode::unscaled;
use super::numbers::Numbers;
use super::table::{Dataset, Schema, TargetKind};
use crate::error::{Error, Result};

/// How features, and the target of a regression, are scaled before training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureScaling {
    /// To mean 0 and standard deviation 1.
    #[default]
    Standard,
    /// Not at all.
    None,
}

impl fmt::Display for FeatureScaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::None => "none",
        })
    }
}

impl FromStr for FeatureScaling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "standard" => Ok(Self::Standard),
            "none" => Ok(Self::None),
            _ => Err(Error::setting(
                "scale",
                format!("`{name}` is not known; known are `standard` and `none`"),
            )),
        }
    }
}

/// Everything that a model needs from its training table to read other rows in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Columns and target.
    pub schema: Schema,
    /// Kind of scaling that gave the numbers below.
    pub scale: FeatureScaling,
    /// Numbers that are subtracted from the features.
    pub mean: Vec<f64>,
    /// Numbers that the differences are divided by; never 0.
    pub std: Vec<f64>,
    /// Numbers that are subtracted from a numeric target, for each of its columns; 0 for classes and labels.
    #[serde(with = "one_or_more")]
    pub target_mean: Vec<f64>,
    /// Numbers that the differences are divided by; 1 for classes and labels, never 0.
    #[serde(with = "one_or_more")]
    pub target_std: Vec<f64>,
    /// Names of feature columns whose values single precision cannot tell apart before they are scaled: these must be given
    /// in double precision for predictions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub double: Vec<String>,
}

/// Stores a list of one element as a plain number, as files had it before there could be more.
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

impl Preprocessing {
    /// Measures the training rows, in f64; a row of weight 2 counts as the row twice.
    ///
    /// The standard deviation is that of the population (divided by n, not by n - 1), as in
    /// [scikit-learn's `StandardScaler`](https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.StandardScaler.html).
    /// A constant column is only shifted to 0.
    pub fn fit(train: &Dataset, scale: FeatureScaling) -> Self {
        let (columns, weights) = (train.columns(), train.weights());
        let (mean, std) = match scale {
            FeatureScaling::None => (vec![0.0; columns], vec![1.0; columns]),
            FeatureScaling::Standard => {
                (0..columns).map(|c| moments(train.column(c), weights)).unzip()
            }
        };
        let (mut mean, mut std): (Vec<f64>, Vec<f64>) = (mean, std);
        // Indicators and indices stay as they are.
        for input in unscaled(&train.schema().columns) {
            (mean[input], std[input]) = (0.0, 1.0);
        }
        // Classes and labels are not numbers to scale.
        let raw = matches!(train.schema().kind, TargetKind::Classes(_) | TargetKind::Labels(_));
        let (target_mean, target_std) = match (train.y().columns(), scale) {
            (Some((y, columns)), FeatureScaling::Standard) if !raw => (0..columns)
                .map(|c| moments(y[c..].iter().step_by(columns).copied(), weights))
                .unzip(),
            (y, _) => {
                let columns = y.map_or(1, |(_, columns)| columns);
                (vec![0.0; columns], vec![1.0; columns])
            }
        };
        // A rounding that is small beside the column's deviation loses nothing that a network could use.
        let lost = |&column: &usize| {
            let rounding = |v: f64| (f64::from(v as f32) - v).abs();
            train.column(column).any(|v| rounding(v) > LEAST_DIGIT * std[column])
        };
        let names = &train.schema().features;
        // A table in single precision has no more digits to lose.
        let double = match train.x().is_single() {
            true => Vec::new(),
            false => (0..columns).filter(lost).map(|c| names[c].clone()).collect(),
        };
        let schema = train.schema().clone();
        Self { schema, scale, mean, std, target_mean, target_std, double }
    }

    /// Returns the same scaling, except for columns that stay as they are, such as indices into a table.
    pub fn with_columns_as_is(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        for column in columns {
            if let (Some(mean), Some(std)) = (self.mean.get_mut(column), self.std.get_mut(column)) {
                (*mean, *std) = (0.0, 1.0);
            }
        }
        self
    }

    /// Takes the scaling of columns and targets from another table with the same names.
    pub fn take_from(&mut self, other: &Self) {
        let places = |names: Vec<&str>| -> HashMap<String, usize> {
            names.into_iter().zip(0..).map(|(name, at)| (name.to_string(), at)).collect()
        };
        let features =
            |schema: &'_ Schema| places(schema.features.iter().map(String::as_str).collect());
        // By name, since the other table may have its columns in another order.
        let (own, others) = (features(&self.schema), features(&other.schema));
        for (name, at) in own {
            if let Some(&from) = others.get(&name) {
                (self.mean[at], self.std[at]) = (other.mean[from], other.std[from]);
            }
        }
        self.double.extend(other.double.iter().cloned());
        self.double.sort_unstable();
        self.double.dedup();
        let (own, others) = (places(self.schema.targets()), places(other.schema.targets()));
        for (name, at) in own {
            if let Some(&from) = others.get(&name) {
                self.target_mean[at] = other.target_mean[from];
                self.target_std[at] = other.target_std[from];
            }
        }
    }

    /// Returns the same scaling, except for a target that stays as it is.
    pub fn with_target_as_is(mut self) -> Self {
        self.target_mean.fill(0.0);
        self.target_std.fill(1.0);
        self
    }

    /// Returns the same scaling, except for a target that is divided by √ mean y² of its column and not shifted: its sign
    /// stays.
    pub fn with_target_divided(mut self, train: &Dataset) -> Self {
        let Some((y, columns)) = train.y().columns() else { return self };
        let values = |c: usize| y[c..].iter().step_by(columns).copied();
        let size = |c| {
            let (mean, std) = moments(values(c), train.weights());
            // `moments` returns a deviation of 1 for a constant column.
            let constant = values(c).all(|value| value == mean);
            let size = if constant { mean.abs() } else { mean.hypot(std) };
            if size > 0.0 { size } else { 1.0 }
        };
        self.target_mean.fill(0.0);
        self.target_std = (0..columns).map(size).collect();
        self
    }

    /// Returns the same scaling, except for target columns that are all divided by one number, √ mean of their variances,
    /// so that a difference means the same in each of them.
    pub fn with_one_target_std(mut self) -> Self {
        let squares: f64 = self.target_std.iter().map(|std| std * std).sum();
        let std = (squares / self.target_std.len().max(1) as f64).sqrt();
        self.target_std.fill(std);
        self
    }

    /// Puts the mean of the training rows where an input of rows `[rows, features]` is NaN, which is a gap in a column that had none in
    /// training. Inputs in `ids` name rows of tables, and stay. Returns the row and the place of the first input whose mean is not known.
    #[cfg(feature = "cli")]
    pub(crate) fn fill_gaps(&self, x: &mut [f64], ids: &[usize]) -> Option<(usize, usize)> {
        let columns = self.mean.len().max(1);
        let mut unknown = None;
        for (at, value) in x.iter_mut().enumerate().filter(|(_, value)| value.is_nan()) {
            let (row, input) = (at / columns, at % columns);
            match self.scale {
                _ if ids.contains(&input) => {}
                FeatureScaling::Standard => *value = self.mean[input],
                FeatureScaling::None => unknown = unknown.or(Some((row, input))),
            }
        }
        unknown
    }

    /// Returns rows as the network takes them; `x` is `[rows, features]`, row-major. Computed in f64, rounded once at the end.
    pub fn features<'a>(&self, x: impl Into<Numbers<'a>>) -> Vec<f32> {
        let x = x.into();
        let mut scaled = Vec::with_capacity(x.len());
        self.extend_features(x, &mut scaled);
        scaled
    }

    /// Appends rows as the network takes them, so that a large table needs no second copy.
    pub(crate) fn extend_features(&self, x: Numbers<'_>, scaled: &mut Vec<f32>) {
        match x {
            Numbers::Single(x) => self.extend(x, scaled),
            Numbers::Double(x) => self.extend(x, scaled),
            Numbers::Stored(_) => {
                x.blocks(self.mean.len()).for_each(|it| self.extend_features(it.view(), scaled));
            }
        }
    }

    fn extend<T: Copy + Into<f64>>(&self, x: &[T], scaled: &mut Vec<f32>) {
        debug_assert!(x.len().is_multiple_of(self.mean.len()), "whole rows");
        for row in x.chunks_exact(self.mean.len()) {
            let scaling = self.mean.iter().zip(&self.std);
            scaled.extend(
                row.iter().zip(scaling).map(|(&v, (mean, std))| ((v.into() - mean) / std) as f32),
            );
        }
    }

    /// Returns numbers of whole rows of the target's columns as the loss takes them.
    pub fn scaled_targets(&self, y: &[f64]) -> impl Iterator<Item = f32> {
        let scaling = self.target_mean.iter().zip(&self.target_std).cycle();
        y.iter().zip(scaling).map(|(&y, (mean, std))| ((y - mean) / std) as f32)
    }

    /// Returns a number predicted for a target's column in the units of the table.
    pub fn restore_target(&self, y: f32, column: usize) -> f64 {
        f64::from(y) * self.target_std[column] + self.target_mean[column]
    }

    /// Finds the first feature of rows `[rows, features]` that single precision cannot hold after scaling: its row and
    /// column.
    pub fn beyond_single(&self, x: Numbers<'_>) -> Option<(usize, usize)> {
        let columns = self.mean.len().max(1);
        let mut first = 0;
        for block in x.blocks(columns) {
            let found = match block.view() {
                Numbers::Single(x) => self.first_beyond(x),
                Numbers::Double(x) => self.first_beyond(x),
                Numbers::Stored(_) => None,
            };
            if let Some((row, column)) = found {
                return Some((first + row, column));
            }
            first += block.view().len() / columns;
        }
        None
    }

    fn first_beyond<T: Copy + Into<f64>>(&self, x: &[T]) -> Option<(usize, usize)> {
        let columns = self.mean.len().max(1);
        x.chunks(columns).enumerate().find_map(|(row, values)| {
            let mut scaling = values.iter().zip(self.mean.iter().zip(&self.std));
            // Written so that NaN is found too.
            let beyond = |(&v, (mean, std)): (&T, (&f64, &f64))| {
                !(((v.into() - mean) / std) as f32).is_finite()
            };
            Some((row, scaling.position(beyond)?))
        })
    }

    /// Returns the fraction of a feature column's different values, in some of the rows, that cannot be told from another
    /// one once they are scaled and rounded to single precision.
    pub fn lost_values(&self, data: &Dataset, column: usize) -> f64 {
        let (mean, std) = (self.mean[column], self.std[column]);
        lost(data.column(column), data.rows(), mean, std)
    }

    /// Returns the same as [`Self::lost_values`] for a target's column; 0 for classes.
    pub fn lost_targets(&self, data: &Dataset, column: usize) -> f64 {
        let Some((y, columns)) = data.y().columns() else { return 0.0 };
        let (mean, std) = (self.target_mean[column], self.target_std[column]);
        lost(y[column..].iter().step_by(columns).copied(), data.rows(), mean, std)
    }
}

/// Fraction of a column's deviation by which rounding may move its values before that is a loss.
const LEAST_DIGIT: f64 = 1e-5;
/// Largest number of values that are compared with one another.
const COMPARED: usize = 4096;

/// Returns the fraction of the different values that equal another one when they are scaled and rounded.
fn lost(values: impl Iterator<Item = f64>, rows: usize, mean: f64, std: f64) -> f64 {
    let mut different: Vec<f64> = values.step_by(rows.div_ceil(COMPARED).max(1)).collect();
    different.sort_by(f64::total_cmp);
    // Scaling keeps the order, so equal results are neighbours.
    different.dedup();
    let mut scaled: Vec<f32> =
        different.iter().map(|value| ((value - mean) / std) as f32).collect();
    scaled.dedup();
    1.0 - scaled.len() as f64 / different.len().max(1) as f64
}

/// Returns mean and standard deviation of values with weights; (value, 1) if all are the same, (0, 1) if there are none.
fn moments(values: impl Iterator<Item = f64> + Clone, weights: Option<&[f64]>) -> (f64, f64) {
    let Some(first) = values.clone().next() else { return (0.0, 1.0) };
    // Values are compared themselves: the rounding of a mean would hide that a column is constant.
    if values.clone().all(|v| v == first) {
        return (first, 1.0);
    }
    // Squares of very large and very small values would leave the range of f64; dividing by a power of two loses no digit.
    let largest = values.clone().fold(0.0, |largest: f64, v| largest.max(v.abs()));
    let unit = if (1e-100..1e100).contains(&largest) { 1.0 } else { power_of_two(largest) };
    let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let weighted = || values.clone().enumerate().map(|(row, v)| (v / unit, weight(row)));
    let (mut n, mut sum) = (0.0, 0.0);
    for (v, w) in weighted() {
        n += w;
        sum += w * v;
    }
    let mut mean = sum / n;
    // A second pass around the mean, since a difference of two large sums would lose digits.
    let (mut rest, mut squares) = (0.0, 0.0);
    for (v, w) in weighted() {
        rest += w * (v - mean);
        squares += w * (v - mean).powi(2);
    }
    let (mut std, off) = ((squares / n).sqrt(), rest / n);
    // If values are far from 0 and close to one another, the sum has lost their differences.
    if off.abs() > 1e-6 * std {
        mean += off;
        squares = weighted().map(|(v, w)| w * (v - mean).powi(2)).sum();
        std = (squares / n).sqrt();
    }
    let std = std * unit;
    (mean * unit, if std > 0.0 { std } else { 1.0 })
}

/// Returns the largest power of two up to a positive number.
fn power_of_two(value: f64) -> f64 {
    2_f64.powi(value.log2().floor().clamp(-1022.0, 1023.0) as i32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::Targets;

    fn numbers<'a>(x: impl Into<Numbers<'a>>, columns: usize) -> Dataset {
        let x = x.into();
        let y = (0..x.len() / columns).map(|i| 10.0 + 2.0 * i as f64).collect();
        Dataset::from_arrays(x, columns, Targets::Numbers(y)).unwrap()
    }

    #[test]
    fn columns_stay_as_they_are_on_demand() {
        let data = Dataset::from_arrays(&[1.0, 5.0, 3.0, 7.0], 2, Targets::Numbers(vec![0.0, 1.0]));
        let fit =
            Preprocessing::fit(&data.unwrap(), FeatureScaling::Standard).with_columns_as_is([1, 9]);
        assert_eq!(fit.features(&[1.0, 5.0, 3.0, 7.0]), [-1.0, 5.0, 1.0, 7.0]);
    }

    #[test]
    fn moments_are_those_of_the_population() {
        // Column 0 is 1, 2, 3, 4: mean 2.5, variance 1.25. Column 1 is constant and not exact in binary.
        let data = numbers(&[1.0, 0.1, 2.0, 0.1, 3.0, 0.1, 4.0, 0.1], 2);
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        assert_eq!(fit.mean, [2.5, 0.1]);
        assert_eq!(fit.std, [1.25_f64.sqrt(), 1.0]);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![13.0], &vec![5.0_f64.sqrt()]));
        // 0.5 / sqrt(1.25), rounded once.
        assert_eq!(fit.features(&[2.5, 0.1, 3.0, 0.1]), [0.0, 0.0, 0.447_213_6, 0.0]);

        let none = Preprocessing::fit(&data, FeatureScaling::None);
        assert_eq!(
            (none.mean.as_slice(), none.std.as_slice()),
            ([0.0; 2].as_slice(), [1.0; 2].as_slice())
        );
        assert_eq!(none.features(data.x())[..4], [1.0, 0.1, 2.0, 0.1]);
        assert_eq!(none.scaled_targets(&[10.0, 0.1]).collect::<Vec<_>>(), [10.0, 0.1]);
        assert_eq!(none.restore_target(0.25, 0), 0.25);
    }

    #[test]
    fn classes_are_never_scaled() {
        let y = Targets::Classes(vec![0, 1, 5]);
        let data = Dataset::from_arrays(&[1.0, 2.0, 3.0], 1, y).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![0.0], &vec![1.0]));
    }

    #[test]
    fn each_target_column_has_its_own_scaling() {
        let y = Targets::Columns(vec![10.0, 0.0, 14.0, 1.0, 18.0, 1.0, 14.0, 0.0], 2);
        let data = Dataset::from_arrays(&[1.0, 2.0, 3.0, 4.0], 1, y).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        assert_eq!(
            (&fit.target_mean, &fit.target_std),
            (&vec![14.0, 0.5], &vec![8_f64.sqrt(), 0.5])
        );
        let scaled: Vec<f32> = fit.scaled_targets(data.y().columns().unwrap().0).collect();
        assert_eq!(scaled[2..6], [0.0, 1.0, 2_f32.sqrt(), 1.0]);
        assert_eq!((fit.restore_target(1.0, 1), fit.restore_target(0.0, 0)), (1.0, 14.0));
        let labels =
            Dataset::from_arrays(&[1.0, 2.0], 1, Targets::Columns(vec![0.0, 1.0, 1.0, 1.0], 2));
        let fit =
            Preprocessing::fit(&labels.unwrap().as_labels().unwrap(), FeatureScaling::Standard);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![0.0; 2], &vec![1.0; 2]));
    }

    #[test]
    fn one_target_is_written_as_a_number() {
        let data = numbers(&[1.0, 2.0], 1);
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        let text = serde_json::to_string(&fit).unwrap();
        assert!(text.contains("\"target_mean\":11.0,\"target_std\":1.0"), "{text}");
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), fit);
        let two = Preprocessing { target_mean: vec![1.0, 2.0], target_std: vec![1.0; 2], ..fit };
        let text = serde_json::to_string(&two).unwrap();
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), two, "{text}");
    }

    #[test]
    fn scales_have_one_name_everywhere() {
        for scale in [FeatureScaling::Standard, FeatureScaling::None] {
            assert_eq!(scale.to_string().parse::<FeatureScaling>().unwrap(), scale);
            assert_eq!(serde_json::to_string(&scale).unwrap(), format!("\"{scale}\""));
        }
        let said = "minmax".parse::<FeatureScaling>().unwrap_err().to_string();
        assert_eq!(said, "scale: `minmax` is not known; known are `standard` and `none`");
    }

    /// Scaled rows of a column.
    fn scaled(x: &[f64]) -> (Preprocessing, Vec<f32>) {
        let fit = Preprocessing::fit(&numbers(x, 1), FeatureScaling::Standard);
        let scaled = fit.features(x);
        (fit, scaled)
    }

    #[test]
    fn digits_far_behind_the_first_survive_scaling() {
        // In single precision both are 100100040.
        let (fit, z) = scaled(&[100_100_037.0, 100_100_039.0]);
        assert_eq!((z, fit.double), (vec![-1.0, 1.0], vec!["x0".to_string()]));
        assert!(scaled(&[0.1, 0.2]).0.double.is_empty());
        // Seconds since 1970, minutes apart.
        let y: Vec<f64> = (0..800).map(|i| 1.7e9 + 200.0 * f64::from(i).sin()).collect();
        let data = Dataset::from_arrays(&vec![0.5; 800], 1, Targets::Numbers(y.clone())).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        for (z, y) in fit.scaled_targets(&y).zip(&y) {
            assert!((fit.restore_target(z, 0) - y).abs() < 1e-4, "{z} {y}");
        }
        // A sum of these has lost what they differ by.
        let far: Vec<f64> = (0..1000).map(|i| 1e15 + f64::from(i % 2)).collect();
        let (fit, z) = scaled(&far);
        assert_eq!((fit.mean[0], fit.std[0], z[0], z[1]), (1e15 + 0.5, 0.5, -1.0, 1.0));
    }

    #[test]
    fn values_beyond_single_precision_are_scaled() {
        for unit in [1e60, 1e-60, 1e300, 1e-300, 1e-310] {
            let (_, z) = scaled(&[-unit, unit, 0.0, 0.0]);
            let want = 2_f32.sqrt();
            assert!((z[0] + want).abs() < 1e-6 && (z[1] - want).abs() < 1e-6, "{unit:e}: {z:?}");
        }
        let fit = Preprocessing::fit(&numbers(&[1.0, 2.0, 3.0, 5.0], 2), FeatureScaling::Standard);
        assert_eq!(fit.beyond_single((&[1.0, 2.0, 3.0, 1e39]).into()), Some((1, 1)));
        assert_eq!(fit.beyond_single((&[1.0, 2.0, 3.0, 1e38]).into()), None);
    }

    #[test]
    fn values_that_fall_together_are_counted() {
        let lost = |x: &[f64]| {
            let data = numbers(x, 1);
            Preprocessing::fit(&data, FeatureScaling::Standard).lost_values(&data, 0)
        };
        let ids: Vec<f64> = (0..100).map(|i| 1e12 + f64::from(i)).collect();
        assert_eq!(lost(&ids), 0.0);
        // One far away makes the others alike.
        let outlier: Vec<f64> = ids.iter().copied().chain([1e30]).collect();
        assert!(lost(&outlier) > 0.95);
        assert_eq!(lost(&[3.0; 5]), 0.0);
    }

    #[test]
    fn weights_enter_the_scaling() {
        let x = [1.0, 5.0, 2.0, 9.0];
        let y = vec![3.0, 4.0, 8.0, -999_999_999.0];
        let weighted = Dataset::from_arrays(&x, 1, Targets::Numbers(y)).unwrap();
        let weighted = weighted.with_weights(vec![1.0, 2.0, 1.0, 0.0]).unwrap();
        let repeated = Dataset::from_arrays(
            &[1.0, 5.0, 5.0, 2.0],
            1,
            Targets::Numbers(vec![3.0, 4.0, 4.0, 8.0]),
        );
        let (fit, want) = (
            Preprocessing::fit(&weighted, FeatureScaling::Standard),
            Preprocessing::fit(&repeated.unwrap(), FeatureScaling::Standard),
        );
        assert_eq!((&fit.mean, &fit.target_mean), (&vec![3.25], &vec![4.75]));
        assert!((fit.std[0] - want.std[0]).abs() < 1e-15);
        assert!((fit.target_std[0] - want.target_std[0]).abs() < 1e-15);
    }

    #[test]
    fn targets_are_divided_or_share_a_deviation() {
        let y = Targets::Columns(vec![3.0, 0.0, 5.0, 8.0], 2);
        let data = Dataset::from_arrays(&[1.0, 2.0], 1, y).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        let one = fit.clone().with_one_target_std();
        assert_eq!((one.target_mean, one.target_std), (vec![4.0, 4.0], vec![8.5_f64.sqrt(); 2]));
        let divided = fit.with_target_divided(&data);
        assert_eq!(divided.target_mean, [0.0, 0.0]);
        assert!((divided.target_std[0] - 17_f64.sqrt()).abs() < 1e-12);
        let constant =
            Dataset::from_arrays(&[1.0, 2.0], 1, Targets::Numbers(vec![-7.0; 2])).unwrap();
        let fit =
            Preprocessing::fit(&constant, FeatureScaling::Standard).with_target_divided(&constant);
        assert_eq!(fit.target_std, [7.0]);
    }

    proptest! {
        #[test]
        fn scaled_columns_have_moments_0_and_1_and_targets_come_back(
            rows in prop::collection::vec((-1e6_f64..1e6, -1e-3_f64..1e-3, -1e4_f64..1e4), 2..80)
        ) {
            let x: Vec<f64> = rows.iter().flat_map(|r| [r.0, r.1]).collect();
            let y: Vec<f64> = rows.iter().map(|r| r.2).collect();
            let data = Dataset::from_arrays(&x, 2, Targets::Numbers(y.clone())).unwrap();
            let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
            let scaled = fit.features(&x);
            for c in 0..2 {
                let (mean, std) = moments(scaled[c..].iter().step_by(2).map(|&v| f64::from(v)), None);
                // Each scaled value is rounded to f32: at most sqrt(80) * 2^-24 off, and constants give std 1.
                prop_assert!(mean.abs() < 1e-6 && (std - 1.0).abs() < 1e-6, "{mean} {std}");
            }
            for (&want, z) in y.iter().zip(fit.scaled_targets(&y)) {
                let got = fit.restore_target(z, 0);
                // Half an ulp of z, in units of the target.
                let limit = f64::from(z.abs()) * fit.target_std[0] * 2_f64.powi(-24) + 1e-9;
                prop_assert!((got - want).abs() <= limit, "{got} {want} {limit:e}");
            }
        }
    }
}
