//! Methods of scaling, and what each of them measures of a column.
//!
//! In: values of the training rows with their weights. Out: [`MeasuredScaling`], the numbers by which any later value is scaled, and back.
//! Absent on purpose: tables, and which column gets which method, which `preprocess.rs` knows.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::normal::{normal_quantile, normal_share};
use crate::error::{Error, Result};

/// How features, and the target of a regression, are scaled before training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureScaling {
    /// To mean 0 and standard deviation 1.
    #[default]
    Standard,
    /// Median 0 and distance of the quartiles 1; then z / √(1 + (z/3)²), which keeps all values within 3.
    Robust,
    /// From the least and the largest value to 0 and 1.
    MinMax,
    /// To the numbers of a standard normal distribution of the same rank.
    Quantile,
    /// sign(x) · ln(1 + |x|), which any number has; then to mean 0 and standard deviation 1.
    Log,
    /// Not at all.
    None,
}

impl FeatureScaling {
    const ALL: [Self; 6] =
        [Self::Standard, Self::Robust, Self::MinMax, Self::Quantile, Self::Log, Self::None];

    fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Robust => "robust",
            Self::MinMax => "minmax",
            Self::Quantile => "quantile",
            Self::Log => "log",
            Self::None => "none",
        }
    }

    /// Returns true if a target may be scaled so.
    pub fn suits_target(self) -> bool {
        !matches!(self, Self::Robust | Self::MinMax)
    }

    /// Returns true if equal differences stay equal: the scaling is a shift and a factor.
    pub fn is_linear(self) -> bool {
        matches!(self, Self::Standard | Self::MinMax | Self::None)
    }
}

impl fmt::Display for FeatureScaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FeatureScaling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|it| it.name() == wanted).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::setting("scale", format!("unknown name \"{name}\"; known: {known}"))
        })
    }
}

/// How all columns of a table are scaled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalingRules {
    /// Method for features without a rule of their own.
    pub features: FeatureScaling,
    /// Names of columns of numbers, each with its own method.
    pub columns: Vec<(String, FeatureScaling)>,
    /// Method for a numeric target; without one it is standard, or none if the features have none.
    pub target: Option<FeatureScaling>,
    /// True if inputs of 0 and 1, which stand for texts and gaps, are scaled by the method for features.
    pub texts: bool,
}

impl ScalingRules {
    /// Returns the method for a numeric target.
    pub fn target_method(&self) -> FeatureScaling {
        self.target.unwrap_or(match self.features {
            FeatureScaling::None => FeatureScaling::None,
            _ => FeatureScaling::Standard,
        })
    }

    /// Returns the rules for single columns by the columns' names.
    pub(super) fn by_name(&self) -> HashMap<&str, FeatureScaling> {
        self.columns.iter().map(|(name, method)| (name.as_str(), *method)).collect()
    }

    /// Checks the rules by themselves.
    ///
    /// # Errors
    ///
    /// When the target's method has no inverse for every prediction.
    pub fn check(&self) -> Result<()> {
        match self.target {
            Some(method) if !method.suits_target() => {
                let problem =
                    format!("{method} is for features; known: standard, quantile, log, none");
                Err(Error::setting("target_scale", problem))
            }
            _ => Ok(()),
        }
    }
}

impl From<FeatureScaling> for ScalingRules {
    fn from(features: FeatureScaling) -> Self {
        Self { features, ..Self::default() }
    }
}

/// Parts of a scaling beyond a shift and a factor, which most models lack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScalingCurves {
    /// Method of each input; empty if all are standard or none. Inputs of 0 and 1 and indices have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<FeatureScaling>,
    /// Mean of each input in the training rows, which stands in for gaps where training had none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub means: Vec<f64>,
    /// Values at equal steps of rank, by the number of the input.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quantiles: BTreeMap<usize, Vec<f64>>,
    /// Method of a numeric target, if it is log or quantile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<FeatureScaling>,
    /// Values at equal steps of rank, by the number of the target's column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target_quantiles: BTreeMap<usize, Vec<f64>>,
}

impl ScalingCurves {
    /// Returns true if there is nothing beyond a shift and a factor.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the curve of an input.
    pub(super) fn of_input(&self, input: usize) -> Curve<'_> {
        match self.methods.get(input) {
            Some(FeatureScaling::Robust) => Curve::SmoothClip,
            Some(FeatureScaling::Log) => Curve::Log,
            Some(FeatureScaling::Quantile) => {
                self.quantiles.get(&input).map_or(Curve::Constant, |table| Curve::Ranks(table))
            }
            _ => Curve::Line,
        }
    }

    /// Returns the curve of a target's column.
    pub(super) fn of_target(&self, column: usize) -> Curve<'_> {
        match self.target {
            Some(FeatureScaling::Log) => Curve::Log,
            Some(FeatureScaling::Quantile) => self
                .target_quantiles
                .get(&column)
                .map_or(Curve::Constant, |table| Curve::Ranks(table)),
            _ => Curve::Line,
        }
    }

    /// Checks the numbers for so many inputs and columns of the target, as they come from a file.
    pub(crate) fn check(&self, inputs: usize, targets: usize) -> Result<(), String> {
        let (methods, means) = (self.methods.len(), self.means.len());
        if ![(0, 0), (inputs, inputs)].contains(&(methods, means)) {
            return Err(format!(
                "{methods} methods and {means} means of scaling for {inputs} inputs"
            ));
        }
        if !self.means.iter().all(|mean| mean.is_finite()) {
            return Err("a mean that is no finite number".to_string());
        }
        if self.target.is_some_and(|method| method.is_linear() || !method.suits_target()) {
            return Err("a target that is scaled as no target is".to_string());
        }
        let of = |tables: &BTreeMap<usize, Vec<f64>>, count: usize| {
            tables.iter().all(|(&at, table)| {
                let rises = table.windows(2).all(|pair| pair[0] <= pair[1]);
                let ends = table.first().zip(table.last());
                let finite = table.iter().all(|value| value.is_finite());
                at < count && rises && finite && ends.is_some_and(|(low, high)| low < high)
            })
        };
        if !of(&self.quantiles, inputs) || !of(&self.target_quantiles, targets) {
            return Err("quantiles that do not rise, or of no column".to_string());
        }
        Ok(())
    }
}

/// Function between a number and its scaled value, beside a shift and a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Curve<'a> {
    /// (x - mean) / std.
    Line,
    /// z / √(1 + (z/3)²) of the line's z.
    SmoothClip,
    /// The line of sign(x) · ln(1 + |x|).
    Log,
    /// The normal distribution's number of the same rank among these values.
    Ranks(&'a [f64]),
    /// The difference from the one value that training had, cut where ranks are cut. It comes back as that value.
    Constant,
}

/// Deviation of an input that had one value in all training rows. No step moves the weights of such an input, so that another value must
/// not reach them: this deviation makes 0 of it.
pub(crate) const OF_CONSTANT: f64 = f64::MAX;
/// Limit of a robustly scaled value.
pub(crate) const CLIP: f64 = 3.0;
/// Size to which a value is cut before it is clipped smoothly, so that its square is finite.
pub(crate) const LARGE: f64 = 1e100;
/// Largest result of a scaling by rank, as scikit-learn has it: that of the rank 1e-7.
pub(crate) const MOST_RANK: f64 = 5.199_337_582_605_575;
/// Most values that a scaling by rank keeps of a column.
const MOST_QUANTILES: usize = 1000;

impl Curve<'_> {
    /// Scales a value; NaN stays NaN.
    pub(super) fn scale(self, x: f64, mean: f64, std: f64) -> f64 {
        let line = |x: f64| (x - mean) / std;
        match self {
            Self::Line => line(x),
            Self::SmoothClip => {
                let z = line(x).clamp(-LARGE, LARGE);
                z / 1_f64.hypot(z / CLIP)
            }
            Self::Log => line(x.abs().ln_1p().copysign(x)),
            Self::Constant => line(x).clamp(-MOST_RANK, MOST_RANK),
            Self::Ranks(table) => match rank(table, x) {
                rank if rank.is_nan() => rank,
                rank if rank <= 0.0 => -MOST_RANK,
                rank if rank >= 1.0 => MOST_RANK,
                rank => normal_quantile(rank).clamp(-MOST_RANK, MOST_RANK),
            },
        }
    }

    /// Returns the value that was scaled.
    pub(super) fn restore(self, z: f64, mean: f64, std: f64) -> f64 {
        let line = z * std + mean;
        match self {
            Self::Line | Self::SmoothClip => line,
            Self::Log => line.abs().exp_m1().copysign(line),
            Self::Ranks(table) => at_rank(table, normal_share(z)),
            // Cells that are no numbers have to show.
            Self::Constant => {
                if z.is_nan() {
                    z
                } else {
                    mean
                }
            }
        }
    }
}

/// Returns the rank of a value from 0 to 1, by linear interpolation; the middle of its ranks if a column has it often.
fn rank(table: &[f64], x: f64) -> f64 {
    let last = table.len() - 1;
    if x.is_nan() {
        return x;
    }
    if x <= table[0] {
        return 0.0;
    }
    if x >= table[last] {
        return 1.0;
    }
    let first = table.partition_point(|&value| value < x);
    let next = table.partition_point(|&value| value <= x);
    let steps = if next > first {
        (first + next - 1) as f64 / 2.0
    } else {
        let (low, high) = (table[first - 1], table[first]);
        (first - 1) as f64 + (x - low) / (high - low)
    };
    steps / last as f64
}

/// Returns the value of a rank from 0 to 1.
fn at_rank(table: &[f64], rank: f64) -> f64 {
    let last = table.len() - 1;
    let place = rank * last as f64;
    if place.is_nan() {
        return place;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to last")]
    let at = (place.max(0.0) as usize).min(last.saturating_sub(1));
    let (low, high) = (table[at], table[(at + 1).min(last)]);
    low + (high - low) * (place - at as f64).clamp(0.0, 1.0)
}

/// Scaling of one column, measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MeasuredScaling {
    pub(super) mean: f64,
    pub(super) std: f64,
    /// Values at equal steps of rank; empty but for a scaling by rank.
    pub(super) quantiles: Vec<f64>,
    /// The values' own mean and deviation.
    pub(super) moments: (f64, f64),
    /// True if there are values, and all are the same.
    constant: bool,
}

impl MeasuredScaling {
    /// Measures values with weights. A constant column is only shifted, to 0.
    pub(super) fn of(
        values: impl Iterator<Item = f64> + Clone,
        weights: Option<&[f64]>,
        method: FeatureScaling,
    ) -> Self {
        let own = moments(values.clone(), weights);
        let first = values.clone().next();
        let constant = first.is_some_and(|first| values.clone().all(|value| value == first));
        let line = |(mean, std)| Self { mean, std, quantiles: Vec::new(), moments: own, constant };
        let sorted = || Sorted::of(values.clone().collect(), weights);
        match method {
            FeatureScaling::None => line((0.0, 1.0)),
            FeatureScaling::Standard => line(own),
            FeatureScaling::Log => {
                let logs = values.map(|x| x.abs().ln_1p().copysign(x));
                line(moments(logs, weights))
            }
            FeatureScaling::MinMax => {
                let (low, high) = values
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
                let range = (high - low).min(f64::MAX);
                // Without a value there is nothing to scale.
                if low > high { line((0.0, 1.0)) } else { line((low, above_zero(range))) }
            }
            FeatureScaling::Robust => {
                let sorted = sorted();
                if sorted.values.is_empty() {
                    return line((0.0, 1.0));
                }
                let range = sorted.at(0.75) - sorted.at(0.25);
                let whole = (sorted.at(1.0) - sorted.at(0.0)) / 2.0;
                let unit = if range > 0.0 { range } else { whole }.min(f64::MAX);
                line((sorted.at(0.5), above_zero(unit)))
            }
            FeatureScaling::Quantile => {
                let sorted = sorted();
                let count = sorted.values.len().min(MOST_QUANTILES);
                if count < 2 || sorted.at(0.0) == sorted.at(1.0) {
                    return line((own.0, 1.0));
                }
                let step = |at: usize| sorted.at(at as f64 / (count - 1) as f64);
                let mut quantiles: Vec<f64> = (0..count).map(step).collect();
                // Interpolation between equal values may round either way.
                for at in 1..count {
                    quantiles[at] = quantiles[at].max(quantiles[at - 1]);
                }
                Self { quantiles, ..line((0.0, 1.0)) }
            }
        }
    }
}

impl MeasuredScaling {
    /// Returns what is subtracted from a feature, and what the difference is divided by.
    pub(super) fn of_feature(&self, method: FeatureScaling) -> (f64, f64) {
        let is_dead = self.constant && method != FeatureScaling::None;
        (self.mean, if is_dead { OF_CONSTANT } else { self.std })
    }
}

fn above_zero(unit: f64) -> f64 {
    if unit > 0.0 { unit } else { 1.0 }
}

/// Values in order, with the weight below each of them.
struct Sorted {
    values: Vec<f64>,
    /// Weight of the values before each one, and of all, in units of the least weight; empty if all weigh the same.
    before: Vec<f64>,
}

impl Sorted {
    fn of(mut values: Vec<f64>, weights: Option<&[f64]>) -> Self {
        let Some(weights) = weights else {
            values.sort_by(f64::total_cmp);
            return Self { values, before: Vec::new() };
        };
        let mut pairs: Vec<(f64, f64)> = values.into_iter().zip(weights.iter().copied()).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let least = weights.iter().copied().fold(f64::INFINITY, f64::min);
        let mut before = vec![0.0];
        let mut sum = 0.0;
        before.extend(pairs.iter().map(|(_, weight)| {
            sum += weight / least;
            sum
        }));
        Self { values: pairs.into_iter().map(|it| it.0).collect(), before }
    }

    /// Returns the quantile of a share by linear interpolation, as numpy has it. A row of weight 2 counts as two rows where the least
    /// weight is 1.
    fn at(&self, share: f64) -> f64 {
        let last = self.values.len() - 1;
        let (at, part) = if self.before.is_empty() {
            let place = share * last as f64;
            (place.floor(), place.fract())
        } else {
            // Rows of one weight stand one unit apart, and a heavier one covers several units.
            let place = share * (self.before[last + 1] - 1.0);
            let at = self.before[1..=last].partition_point(|&sum| sum <= place);
            (at as f64, (place - (self.before[at + 1] - 1.0)).clamp(0.0, 1.0))
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to last"
        )]
        let at = (at as usize).min(last);
        let (low, high) = (self.values[at], self.values[(at + 1).min(last)]);
        // The difference of two very large numbers may be infinite.
        if low == high { low } else { low * (1.0 - part) + high * part }
    }
}

/// Returns mean and standard deviation of values with weights; (value, 1) if all are the same, (0, 1) if there are none.
pub(super) fn moments(
    values: impl Iterator<Item = f64> + Clone,
    weights: Option<&[f64]>,
) -> (f64, f64) {
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
    use super::*;

    const X: [f64; 12] = [3.0, -1.5, 0.0, 0.0, 0.0, 12.0, 7.25, 100.0, 2.5, -8.0, 0.0, 4.0];

    fn scaled(method: FeatureScaling, weights: Option<&[f64]>, x: &[f64], new: &[f64]) -> Vec<f64> {
        let own = MeasuredScaling::of(x.iter().copied(), weights, method);
        let curves = ScalingCurves {
            methods: vec![method],
            quantiles: (!own.quantiles.is_empty())
                .then(|| (0, own.quantiles.clone()))
                .into_iter()
                .collect(),
            ..ScalingCurves::default()
        };
        new.iter().map(|&x| curves.of_input(0).scale(x, own.mean, own.std)).collect()
    }

    fn close(got: &[f64], want: &[f64], limit: f64) {
        assert_eq!(got.len(), want.len());
        let near = got.iter().zip(want).all(|(a, b)| (a - b).abs() <= limit);
        assert!(near, "{got:?}, not {want:?}");
    }

    #[test]
    fn methods_give_what_scikit_learn_gives() {
        // StandardScaler, MinMaxScaler, RobustScaler with z / √(1 + (z/3)²), StandardScaler of sign(x) log1p |x|.
        for (method, want) in [
            (
                FeatureScaling::Standard,
                [-0.251_801_258_071_113_7, 3.268_879_395_319_592_7, -0.651_053_703_300_987_6],
            ),
            (FeatureScaling::MinMax, [0.101_851_851_851_851_85, 1.0, 0.0]),
            (
                FeatureScaling::Robust,
                [0.360_994_102_557_712_14, 2.968_442_252_355_895, -1.618_402_114_301_028_3],
            ),
            (
                FeatureScaling::Log,
                [0.302_930_472_453_144_97, 2.192_915_814_121_86, -1.794_673_405_437_003],
            ),
            (FeatureScaling::None, [3.0, 100.0, -8.0]),
        ] {
            close(&scaled(method, None, &X, &[X[0], X[7], X[9]]), &want, 1e-14);
        }
        // QuantileTransformer(n_quantiles=12, output_distribution="normal").
        let new = [3.0, 0.0, -8.0, 100.0, -20.0, 500.0, 2.6, 50.0, -1.0];
        let want = [
            0.348_755_695_517_044_7,
            -0.472_789_120_992_267_2,
            -5.199_337_582_605_575,
            5.199_337_582_703_42,
            -5.199_337_582_605_575,
            5.199_337_582_703_42,
            0.160_195_247_839_394_12,
            1.629_034_172_041_152_8,
            -1.168_948_844_531_482,
        ];
        close(&scaled(FeatureScaling::Quantile, None, &X, &new), &want, 1e-9);
        // The same with 1000 quantiles of 3000 values.
        let many: Vec<f64> =
            (0..3000).map(|i| (f64::from(i * 7919 % 3001) / 300.0).powi(2)).collect();
        let new = [0.001, 0.5, 1.0, 33.333, 72.5, 99.0];
        let want = [
            -2.7323727990329227,
            -1.470356777548635,
            -1.2813638824231761,
            0.19475145538667857,
            1.0425414192617755,
            2.574845784478392,
        ];
        close(&scaled(FeatureScaling::Quantile, None, &many, &new), &want, 1e-9);
    }

    #[test]
    fn targets_come_back_from_their_curves() {
        let own = MeasuredScaling::of(X.iter().copied(), None, FeatureScaling::Quantile);
        let back = |z| Curve::Ranks(&own.quantiles).restore(z, 0.0, 1.0);
        // QuantileTransformer.inverse_transform.
        let want = [
            -8.0,
            -0.382_188_310_130_958_2,
            1.25,
            2.898_512_822_039_239,
            77.977_872_274_162_51,
            100.0,
        ];
        close(&[-9.0, -1.0, 0.0, 0.3, 2.0, 9.0].map(back), &want, 1e-8);
        let own = MeasuredScaling::of(X.iter().copied(), None, FeatureScaling::Log);
        for x in [-1e6, -3.0, 0.0, 1e-9, 2.0, 1e12] {
            let back =
                Curve::Log.restore(Curve::Log.scale(x, own.mean, own.std), own.mean, own.std);
            assert!((back - x).abs() <= 1e-12 * x.abs().max(1.0), "{x} {back}");
        }
    }

    #[test]
    fn a_weight_of_2_counts_twice_among_ranks() {
        let weights = [1.0, 2.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0];
        let shares = [0.1, 0.25, 0.5, 0.75, 0.9];
        // numpy.quantile of the values, each as often as its weight says.
        let want = [-4.75, -0.375, 0.0, 3.25, 9.625];
        for factor in [1.0, 0.25] {
            let weights = weights.map(|weight| weight * factor);
            let sorted = Sorted::of(X.to_vec(), Some(&weights));
            close(&shares.map(|share| sorted.at(share)), &want, 1e-12);
        }
        // numpy.quantile of the values as they are.
        let plain = Sorted::of(X.to_vec(), None);
        let same = Sorted::of(X.to_vec(), Some(&[7.0; 12]));
        close(
            &shares.map(|share| plain.at(share)),
            &[-1.3499999999999999, 0.0, 1.25, 4.8125, 11.525000000000002],
            1e-12,
        );
        close(
            &shares.map(|share| same.at(share)),
            &[-1.3499999999999999, 0.0, 1.25, 4.8125, 11.525000000000002],
            1e-12,
        );
    }

    #[test]
    fn columns_of_one_value_become_0_and_extremes_stay_finite() {
        for method in FeatureScaling::ALL.into_iter().filter(|it| *it != FeatureScaling::None) {
            assert_eq!(scaled(method, None, &[4.5; 5], &[4.5]), [0.0], "{method}");
            // The whole range has to be a number, too.
            let wide = if method == FeatureScaling::MinMax { 8e307 } else { 1e308 };
            let wide = [-wide, 1.0, 2.0, wide];
            let z = scaled(method, None, &wide, &wide);
            assert!(
                z.iter().all(|z| z.is_finite()) && z.is_sorted() && z[0] < z[3],
                "{method} {z:?}"
            );
            assert!(scaled(method, None, &X, &[f64::NAN])[0].is_nan(), "{method}");
        }
        // Nothing leaves the range of ranks, in either direction.
        let cut = scaled(FeatureScaling::Quantile, None, &[4.5; 5], &[-100.0, 4.0, 5.0, 100.0]);
        assert_eq!(cut, [-MOST_RANK, -0.5, 0.5, MOST_RANK]);
        let target = ScalingCurves { target: Some(FeatureScaling::Quantile), ..Default::default() };
        let back = |z| target.of_target(0).restore(z, 4.5, 1.0);
        assert_eq!((back(-9.0), back(0.3)), (4.5, 4.5));
        assert!(back(f64::NAN).is_nan());
        // Half of the values are one, so the whole range is the unit.
        let mostly = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0];
        let want = 2.0 / 1_f64.hypot(2.0 / 3.0);
        close(&scaled(FeatureScaling::Robust, None, &mostly, &[8.0]), &[want], 1e-15);
    }

    #[test]
    fn methods_have_one_name_everywhere() {
        for method in FeatureScaling::ALL {
            assert_eq!(method.to_string().parse::<FeatureScaling>().unwrap(), method);
            assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{method}\""));
        }
        let said = "max".parse::<FeatureScaling>().unwrap_err().to_string();
        assert_eq!(
            said,
            "scale: unknown name \"max\"; known: standard, robust, minmax, quantile, log, none"
        );
    }

    #[test]
    fn damaged_curves_are_refused() {
        let good = ScalingCurves {
            methods: vec![FeatureScaling::Quantile],
            means: vec![1.0],
            quantiles: [(0, vec![0.0, 1.0, 1.0, 3.0])].into(),
            ..ScalingCurves::default()
        };
        assert_eq!(good.check(1, 1), Ok(()));
        let broken = |change: &dyn Fn(&mut ScalingCurves)| {
            let mut curves = good.clone();
            change(&mut curves);
            curves.check(1, 1).is_err()
        };
        assert!(broken(&|it| it.methods.push(FeatureScaling::Log)));
        assert!(broken(&|it| it.means[0] = f64::NAN));
        assert!(broken(&|it| it.target = Some(FeatureScaling::Robust)));
        for table in [vec![1.0, 0.0], vec![1.0, 1.0], vec![2.0], vec![], vec![0.0, f64::INFINITY]] {
            assert!(broken(&|it| it.quantiles = [(0, table.clone())].into()), "{table:?}");
        }
        assert!(broken(&|it| it.quantiles = [(1, vec![0.0, 1.0])].into()));
    }
}
