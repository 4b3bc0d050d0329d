//! Figures of predicted numbers, over slices in f64; definitions are those of `sklearn.metrics`.
//!
//! `None` where a figure is not defined: without rows, or where it would divide by a spread of 0.

/// Errors y − ŷ.
fn errors<'a>(
    truth: &'a [f64],
    predicted: &'a [f64],
) -> impl ExactSizeIterator<Item = f64> + Clone + 'a {
    truth.iter().zip(predicted).map(|(y, p)| y - p)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// 1 − Σ(y − ŷ)² / Σ(y − ȳ)² (`r2_score`); `None` where all targets are equal, for which scikit-learn puts 0 or 1
pub fn r2(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    let centre = mean(truth.iter().copied())?;
    let spread: f64 = truth.iter().map(|y| (y - centre).powi(2)).sum();
    let squares: f64 = errors(truth, predicted).map(|e| e * e).sum();
    (spread > 0.0).then(|| 1.0 - squares / spread)
}

/// Mean |y − ŷ| (`mean_absolute_error`)
pub fn mae(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    mean(errors(truth, predicted).map(f64::abs))
}

/// √ mean (y − ŷ)² (`root_mean_squared_error`)
pub fn rmse(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    mean(errors(truth, predicted).map(|e| e * e)).map(f64::sqrt)
}

/// Mean |y − ŷ| / max(|y|, ε), a share and no percentage (`mean_absolute_percentage_error`); huge where a target is 0
pub fn mape(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    let shares = errors(truth, predicted).zip(truth);
    mean(shares.map(|(e, y)| e.abs() / y.abs().max(f64::EPSILON)))
}

/// Median |y − ŷ|, the mean of the middle two for an even number (`median_absolute_error`)
pub fn median_absolute_error(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> = errors(truth, predicted).map(f64::abs).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let (low, high) = (sizes.len().checked_sub(1)? / 2, sizes.len() / 2);
    Some((sizes[low] + sizes[high]) / 2.0)
}

/// 1 − Var(y − ŷ) / Var(y) (`explained_variance_score`); `None` where all targets are equal, as for [`r2`]
pub fn explained_variance(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    let (centre, bias) = (mean(truth.iter().copied())?, mean(errors(truth, predicted))?);
    let spread: f64 = truth.iter().map(|y| (y - centre).powi(2)).sum();
    let left: f64 = errors(truth, predicted).map(|e| (e - bias).powi(2)).sum();
    (spread > 0.0).then(|| 1.0 - left / spread)
}

/// Mean of q (y − ŷ) where y > ŷ, else (1 − q)(ŷ − y), for predictions of the quantile q (`mean_pinball_loss`)
pub fn pinball(truth: &[f64], predicted: &[f64], quantile: f64) -> Option<f64> {
    mean(errors(truth, predicted).map(|e| (quantile * e).max((quantile - 1.0) * e)))
}

/// Share of targets within their interval, its ends included.
pub fn coverage(truth: &[f64], low: &[f64], high: &[f64]) -> Option<f64> {
    let inside =
        |((y, low), high): ((&f64, &f64), &f64)| f64::from(u8::from(low <= y && y <= high));
    mean(truth.iter().zip(low).zip(high).map(inside))
}

/// Share of targets within the central interval that a normal distribution fills to the level, such as 0.9:
/// mean ± z std with Φ(z) = (1 + level)/2.
pub fn gaussian_coverage(truth: &[f64], mean: &[f64], std: &[f64], level: f64) -> Option<f64> {
    let z = normal_quantile(f64::midpoint(1.0, level));
    let ends =
        |sign: f64| -> Vec<f64> { mean.iter().zip(std).map(|(m, s)| m + sign * z * s).collect() };
    coverage(truth, &ends(-1.0), &ends(1.0))
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
