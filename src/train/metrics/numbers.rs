//! Figures of predicted numbers, over slices in f64; definitions are those of `sklearn.metrics`, with the weights of rows as
//! `sample_weight`.
//!
//! `None` where a figure is not defined: without rows, or where it would divide by a spread of 0.

use super::compensated_sum::{CompensatedSum, Mean, RootMeanSquare, Squares, each};
use crate::data::{SharedTempFile, Sorter};
use crate::error::Result;

/// Errors y − ŷ.
pub(super) fn errors(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    truth.iter().zip(predicted).map(|(y, p)| y - p)
}

fn mean(values: impl Iterator<Item = f64>, weights: Option<&[f64]>) -> Option<f64> {
    let mut mean = Mean::default();
    mean.extend(values, weights);
    mean.value()
}

/// Arguments of a figure of numbers.
#[derive(Clone, Copy, Debug)]
pub struct NumberRows<'a> {
    /// Each row's number.
    pub truth: &'a [f64],
    /// The number that was predicted for it.
    pub predicted: &'a [f64],
    /// Weight of each row; `None` where all count the same.
    pub weights: Option<&'a [f64]>,
}

/// How far targets lie apart, and predictions from them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct VarianceSums {
    truth: Squares,
    errors: Squares,
    squares: CompensatedSum,
}

impl VarianceSums {
    pub(super) fn add(&mut self, NumberRows { truth, predicted, weights }: NumberRows<'_>) {
        let rows = truth.iter().zip(errors(truth, predicted)).zip(each(weights));
        for ((y, error), weight) in rows.filter(|(_, weight)| *weight > 0.0) {
            self.truth.add(*y, weight);
            self.errors.add(error, weight);
            self.squares.add(weight * (error * error));
        }
    }

    pub(super) fn r2(self) -> Option<f64> {
        let spread = self.truth.value();
        share_explained(self.squares.value(), spread)
    }

    pub(super) fn explained_variance(self) -> Option<f64> {
        let spread = self.truth.value();
        share_explained(self.errors.value(), spread)
    }
}

/// 1 − squares / spread; `None` without a spread, and where the squares are beyond what a float holds.
pub(super) fn share_explained(squares: f64, spread: f64) -> Option<f64> {
    let share = 1.0 - squares / spread;
    (spread > 0.0 && spread.is_finite() && share.is_finite()).then_some(share)
}

fn fit(rows: NumberRows<'_>) -> VarianceSums {
    let mut fit = VarianceSums::default();
    fit.add(rows);
    fit
}

/// 1 − Σ(y − ŷ)² / Σ(y − ȳ)² (`r2_score`); `None` where all targets are equal, for which scikit-learn puts 0 or 1
pub fn r2(rows: NumberRows<'_>) -> Option<f64> {
    fit(rows).r2()
}

/// Mean |y − ŷ| (`mean_absolute_error`)
pub fn mae(NumberRows { truth, predicted, weights }: NumberRows<'_>) -> Option<f64> {
    mean(sizes(truth, predicted), weights)
}

/// |y − ŷ| of each row.
pub(super) fn sizes(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    errors(truth, predicted).map(f64::abs)
}

/// √ mean (y − ŷ)² (`root_mean_squared_error`)
pub fn rmse(NumberRows { truth, predicted, weights }: NumberRows<'_>) -> Option<f64> {
    let mut root = RootMeanSquare::default();
    root.extend(errors(truth, predicted), weights);
    root.value()
}

/// Mean |y − ŷ| / max(|y|, ε), a share and no percentage (`mean_absolute_percentage_error`); huge where a target is 0
pub fn mape(NumberRows { truth, predicted, weights }: NumberRows<'_>) -> Option<f64> {
    mean(shares(truth, predicted), weights)
}

/// |y − ŷ| / max(|y|, ε) of each row.
pub(super) fn shares(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    sizes(truth, predicted).zip(truth).map(|(size, y)| size / y.abs().max(f64::EPSILON))
}

/// Weighted median |y − ŷ|: the value up to which and from which on half of the weight lies, or the mean of the two between which
/// it is parted in halves (`median_absolute_error`). For rows without weights the plain median.
pub fn median_absolute_error(rows: NumberRows<'_>) -> Option<f64> {
    // Nothing can fail in memory.
    let mut sizes = AbsoluteErrors::new(usize::MAX, &SharedTempFile::default());
    sizes.add(rows).and_then(|()| sizes.median()).ok().flatten()
}

/// Errors without their signs, for their median.
#[derive(Debug)]
pub(super) struct AbsoluteErrors {
    sorter: Sorter,
    weight: CompensatedSum,
}

impl AbsoluteErrors {
    /// Holds at most `most` errors in memory.
    pub(super) fn new(most: usize, scratch: &SharedTempFile) -> Self {
        Self { sorter: Sorter::new(most, scratch), weight: CompensatedSum::default() }
    }

    /// Takes further rows.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(super) fn add(
        &mut self,
        NumberRows { truth, predicted, weights }: NumberRows<'_>,
    ) -> Result<()> {
        let rows = sizes(truth, predicted).zip(each(weights));
        for (size, weight) in rows.filter(|(_, weight)| *weight > 0.0) {
            self.weight.add(weight);
            self.sorter.push(size, weight)?;
        }
        Ok(())
    }

    /// The weighted median; `None` of nothing.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn median(self) -> Result<Option<f64>> {
        let half = self.weight.value() / 2.0;
        // Sums of weights such as 0.1 are rounded.
        let rounding = 2.0 * f64::EPSILON * half;
        let mut sizes = self.sorter.descending()?;
        let mut above = CompensatedSum::default();
        while let Some((high, weight)) = sizes.next()? {
            above.add(weight);
            if above.value() > half + rounding {
                return Ok(Some(high));
            }
            if above.value() >= half - rounding {
                let low = sizes.next()?.map_or(high, |(low, _)| low);
                return Ok(Some((low + high) / 2.0));
            }
        }
        Ok(None)
    }
}

/// 1 − Var(y − ŷ) / Var(y) (`explained_variance_score`); `None` where all targets are equal, as for [`r2`]
pub fn explained_variance(rows: NumberRows<'_>) -> Option<f64> {
    fit(rows).explained_variance()
}

/// Mean of q (y − ŷ) where y > ŷ, else (1 − q)(ŷ − y), for predictions of the quantile q (`mean_pinball_loss`)
pub fn pinball(
    NumberRows { truth, predicted, weights }: NumberRows<'_>,
    quantile: f64,
) -> Option<f64> {
    mean(pinballs(truth, predicted, quantile), weights)
}

/// Returns the pinball loss of each row.
pub(super) fn pinballs(
    truth: &[f64],
    predicted: &[f64],
    quantile: f64,
) -> impl Iterator<Item = f64> {
    errors(truth, predicted).map(move |e| (quantile * e).max((quantile - 1.0) * e))
}

/// Share of targets, by the weights of their rows, within their interval, its ends included.
pub fn coverage(
    NumberRows { truth, predicted: low, weights }: NumberRows<'_>,
    high: &[f64],
) -> Option<f64> {
    mean(inside(truth, low, high), weights)
}

/// 1 for each target within its interval, else 0.
pub(super) fn inside(truth: &[f64], low: &[f64], high: &[f64]) -> impl Iterator<Item = f64> {
    let rows = truth.iter().zip(low).zip(high);
    rows.map(|((y, low), high)| f64::from(u8::from(low <= y && y <= high)))
}

/// Share of targets within the central interval that a normal distribution fills to the level, such as 0.9:
/// mean ± z std with Φ(z) = (1 + level)/2.
pub fn gaussian_coverage(
    NumberRows { truth, predicted: mean, weights }: NumberRows<'_>,
    std: &[f64],
    level: f64,
) -> Option<f64> {
    let (low, high) = gaussian_interval(mean, std, level);
    coverage(NumberRows { truth, predicted: &low, weights }, &high)
}

/// The ends of these intervals.
pub(super) fn gaussian_interval(mean: &[f64], std: &[f64], level: f64) -> (Vec<f64>, Vec<f64>) {
    let z = normal_quantile(f64::midpoint(1.0, level));
    let ends =
        |sign: f64| -> Vec<f64> { mean.iter().zip(std).map(|(m, s)| m + sign * z * s).collect() };
    (ends(-1.0), ends(1.0))
}

/// The z with Φ(z) = share, for shares from a half up, by halving an interval.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    // 40 halves to the last bit in less steps than this.
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        let below = 1.0 - 0.5 * libm::erfc(middle / std::f64::consts::SQRT_2);
        if below < share { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_cover_what_they_should() {
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
        assert!(normal_quantile(0.5) < 1e-12);
        let truth = [0.0, 1.0, 2.0, 3.0];
        let (low, high) = ([0.0, 1.5, 1.0, 4.0], [0.0, 2.0, 3.0, 5.0]);
        let rows = |weights| NumberRows { truth: &truth, predicted: &low, weights };
        assert_eq!(coverage(rows(None), &high), Some(0.5));
        let weights = Some([1.0, 2.0, 4.0, 0.0].as_slice());
        assert_eq!(coverage(rows(weights), &high), Some(5.0 / 7.0));
        let zeros = NumberRows { predicted: &[0.0; 4], ..rows(None) };
        let inside = gaussian_coverage(zeros, &[1.0, 1.0, 1.0, 1.54], 0.95);
        assert_eq!(inside, Some(0.75), "0, 1, and 3 against 3.02; not 2 against 1.96");
        assert_eq!(coverage(NumberRows { truth: &[], predicted: &[], weights: None }, &[]), None);
    }

    #[test]
    fn roots_of_huge_squares_are_finite_and_shares_of_them_are_not_defined() {
        let truth = [1e300, -1e300, 0.0];
        let rows = NumberRows { truth: &truth, predicted: &[0.0; 3], weights: None };
        let want = 1e300 * (2.0_f64 / 3.0).sqrt();
        assert!((rmse(rows).unwrap() / want - 1.0).abs() < 1e-12);
        assert_eq!((r2(rows), explained_variance(rows)), (None, None));
        let weights = Some([1.0, 0.0, 3.0].as_slice());
        assert!((rmse(NumberRows { weights, ..rows }).unwrap() / 5e299 - 1.0).abs() < 1e-12);
        let usual = NumberRows { truth: &[3.0, 4.0], predicted: &[0.0; 2], weights: None };
        assert_eq!(rmse(usual), Some(12.5_f64.sqrt()));
    }

    #[test]
    fn medians_part_the_weight_in_halves() {
        let median = |sizes: &[f64], weights: Option<&[f64]>| {
            let predicted = &vec![0.0; sizes.len()];
            median_absolute_error(NumberRows { truth: sizes, predicted, weights })
        };
        assert_eq!(median(&[3.0, 1.0, 2.0, 4.0], None), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0], None), Some(2.0));
        assert_eq!(median(&[3.0, 1.0, 2.0, 4.0], Some(&[0.1, 0.1, 0.1, 0.1])), Some(2.5));
        assert_eq!(median(&[1.0, 2.0, 3.0], Some(&[1.0, 1.0, 2.0])), Some(2.5));
        assert_eq!(median(&[1.0, 2.0, 3.0], Some(&[1.0, 1.0, 2.5])), Some(3.0));
        assert_eq!(median(&[1.0, 9.0, 9.0], Some(&[0.5, 0.0, 0.0])), Some(1.0));
        assert_eq!(median(&[1.0], Some(&[0.0])), None);
        // Ten times 0.1 is less than 1 in floats, where each sum rounds.
        let sizes: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(median(&sizes, Some(&[0.1; 20])), Some(9.5));
    }
}
