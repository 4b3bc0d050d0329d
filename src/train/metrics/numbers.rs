//! Figures of predicted numbers, over slices in f64; definitions are those of `sklearn.metrics`.
//!
//! `None` where a figure is not defined: without rows, or where it would divide by a spread of 0.

use super::sums::{Mean, Squares, Sum};
use crate::data::Sorter;
use crate::error::Result;

/// Errors y − ŷ.
fn errors(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    truth.iter().zip(predicted).map(|(y, p)| y - p)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    Mean::of(values).value()
}

/// How far targets lie apart, and predictions from them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Fit {
    truth: Squares,
    errors: Squares,
    squares: Sum,
}

impl Fit {
    pub(super) fn add(&mut self, truth: &[f64], predicted: &[f64]) {
        for (y, error) in truth.iter().zip(errors(truth, predicted)) {
            self.truth.add(*y);
            self.errors.add(error);
            self.squares.add(error * error);
        }
    }

    pub(super) fn r2(self) -> Option<f64> {
        let spread = self.truth.value();
        (spread > 0.0).then(|| 1.0 - self.squares.value() / spread)
    }

    pub(super) fn explained_variance(self) -> Option<f64> {
        let spread = self.truth.value();
        (spread > 0.0).then(|| 1.0 - self.errors.value() / spread)
    }
}

fn fit(truth: &[f64], predicted: &[f64]) -> Fit {
    let mut fit = Fit::default();
    fit.add(truth, predicted);
    fit
}

/// 1 − Σ(y − ŷ)² / Σ(y − ȳ)² (`r2_score`); `None` where all targets are equal, for which scikit-learn puts 0 or 1
pub fn r2(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    fit(truth, predicted).r2()
}

/// Mean |y − ŷ| (`mean_absolute_error`)
pub fn mae(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    mean(sizes(truth, predicted))
}

/// |y − ŷ| of each row.
pub(super) fn sizes(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    errors(truth, predicted).map(f64::abs)
}

/// √ mean (y − ŷ)² (`root_mean_squared_error`)
pub fn rmse(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    mean(squares(truth, predicted)).map(f64::sqrt)
}

/// (y − ŷ)² of each row.
pub(super) fn squares(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    errors(truth, predicted).map(|e| e * e)
}

/// Mean |y − ŷ| / max(|y|, ε), a share and no percentage (`mean_absolute_percentage_error`); huge where a target is 0
pub fn mape(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    mean(shares(truth, predicted))
}

/// |y − ŷ| / max(|y|, ε) of each row.
pub(super) fn shares(truth: &[f64], predicted: &[f64]) -> impl Iterator<Item = f64> {
    sizes(truth, predicted).zip(truth).map(|(size, y)| size / y.abs().max(f64::EPSILON))
}

/// Median |y − ŷ|, the mean of the middle two for an even number (`median_absolute_error`)
pub fn median_absolute_error(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> = sizes(truth, predicted).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let (low, high) = (sizes.len().checked_sub(1)? / 2, sizes.len() / 2);
    Some((sizes[low] + sizes[high]) / 2.0)
}

/// The same of sizes that were given to a sorter.
///
/// # Errors
/// If its temporary file cannot be read.
pub(super) fn median(sizes: Sorter) -> Result<Option<f64>> {
    let count = sizes.count();
    if count == 0 {
        return Ok(None);
    }
    let mut sizes = sizes.descending()?;
    for _ in 0..(count - 1) / 2 {
        sizes.next()?;
    }
    let high = sizes.next()?;
    let low = if count.is_multiple_of(2) { sizes.next()? } else { high };
    Ok(low.zip(high).map(|(low, high)| (low + high) / 2.0))
}

/// 1 − Var(y − ŷ) / Var(y) (`explained_variance_score`); `None` where all targets are equal, as for [`r2`]
pub fn explained_variance(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    fit(truth, predicted).explained_variance()
}

/// Mean of q (y − ŷ) where y > ŷ, else (1 − q)(ŷ − y), for predictions of the quantile q (`mean_pinball_loss`)
pub fn pinball(truth: &[f64], predicted: &[f64], quantile: f64) -> Option<f64> {
    mean(pinballs(truth, predicted, quantile))
}

/// That of each row.
pub(super) fn pinballs(
    truth: &[f64],
    predicted: &[f64],
    quantile: f64,
) -> impl Iterator<Item = f64> {
    errors(truth, predicted).map(move |e| (quantile * e).max((quantile - 1.0) * e))
}

/// Share of targets within their interval, its ends included.
pub fn coverage(truth: &[f64], low: &[f64], high: &[f64]) -> Option<f64> {
    mean(inside(truth, low, high))
}

/// 1 for each target within its interval, else 0.
pub(super) fn inside(truth: &[f64], low: &[f64], high: &[f64]) -> impl Iterator<Item = f64> {
    let rows = truth.iter().zip(low).zip(high);
    rows.map(|((y, low), high)| f64::from(u8::from(low <= y && y <= high)))
}

/// Share of targets within the central interval that a normal distribution fills to the level, such as 0.9:
/// mean ± z std with Φ(z) = (1 + level)/2.
pub fn gaussian_coverage(truth: &[f64], mean: &[f64], std: &[f64], level: f64) -> Option<f64> {
    let (low, high) = gaussian_interval(mean, std, level);
    coverage(truth, &low, &high)
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
        assert_eq!(coverage(&truth, &[0.0, 1.5, 1.0, 4.0], &[0.0, 2.0, 3.0, 5.0]), Some(0.5));
        let inside = gaussian_coverage(&truth, &[0.0; 4], &[1.0, 1.0, 1.0, 1.54], 0.95);
        assert_eq!(inside, Some(0.75), "0, 1, and 3 against 3.02; not 2 against 1.96");
        assert_eq!(coverage(&[], &[], &[]), None);
    }
}
