//! Exponential, sigmoid, tanh and the normal distribution without branches, so that vectors of them are computed at once.
//!
//! In: one number. Out: the function's value, within a few units in the last place of 1. NaN stays NaN: a comparison with
//! NaN is false, and its branch keeps the argument.

use super::instructions::fused;

/// 1.5 · 2²³: adding it to a small number leaves the nearest integer in the last bits.
pub(super) const WHOLE: f32 = 12_582_912.0;
/// The first bits of ln 2, so few that its integer multiples are exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
/// ln 2 minus these bits: -2.12194440e-4.
#[expect(clippy::cast_possible_truncation, reason = "a constant in single precision")]
const LN_2_LOW: f32 = (std::f64::consts::LN_2 - 355.0 / 512.0) as f32;
/// Below it eˣ is less than the smallest normal number, and negligible beside 1.
const SMALLEST: f32 = -87.0;
/// 1/7!, 1/6! … 1/0!
const EXP: [f32; 8] =
    [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
/// Coefficients of x⁸, x⁶ … x⁰ in tanh x / x.
const TANH: [f32; 5] = [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0];
/// Below it the series of tanh is exact enough, and the form with the exponential loses digits.
const TANH_SERIES: f32 = 0.25;
/// Abramowitz and Stegun (1964), 7.1.26: erf z = 1 − (a₁ t + … + a₅ t⁵) e^(−z²), t = 1 / (1 + p z), z ≥ 0, within
/// 1.5e-7. Here a₅ … a₁, 0.
const ERF: [f32; 6] = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6, 0.0];
const ERF_P: f32 = 0.327_591_1;

/// Evaluates a polynomial, highest power first.
#[inline(always)]
pub(super) fn polynomial<const FUSED: bool, const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    let mut sum = 0.0;
    for coefficient in coefficients {
        sum = fused::<FUSED>(sum, x, coefficient);
    }
    sum
}

/// eˣ for x ≤ 0
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    let x = if x < SMALLEST { SMALLEST } else { x };
    // x = n ln 2 + r, |r| ≤ ½ ln 2
    let shifted = fused::<FUSED>(x, std::f32::consts::LOG2_E, WHOLE);
    let n = shifted - WHOLE;
    let r = fused::<FUSED>(n, -LN_2_LOW, fused::<FUSED>(n, -LN_2_HIGH, x));
    // The exponent's bits: n + 127.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    polynomial::<FUSED, 8>(EXP, r) * power
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub(super) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    let e = exp::<FUSED>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// tanh x
#[inline(always)]
pub(super) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    // By e^(−2|x|), which cannot overflow.
    let e = exp::<FUSED>(-2.0 * x.abs());
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    let near = x * polynomial::<FUSED, 5>(TANH, x * x);
    if x.abs() < TANH_SERIES { near } else { far }
}

/// Φ(x) and √(2π) φ(x)
#[inline(always)]
pub(super) fn normal<const FUSED: bool>(x: f32) -> (f32, f32) {
    // For |x|, since the formula holds for z ≥ 0; the other half follows by symmetry.
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / fused::<FUSED>(ERF_P, z, 1.0);
    let e = exp::<FUSED>(-0.5 * x * x);
    let tail = 0.5 * polynomial::<FUSED, 6>(ERF, t) * e;
    (if x < 0.0 { tail } else { 1.0 - tail }, e)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest distance of a function from its reference, over many arguments.
    fn worst(function: impl Fn(f32) -> f32, want: impl Fn(f64) -> f64, limits: [f32; 2]) -> f64 {
        let steps = 200_000;
        let arguments =
            (0..=steps).map(|i| limits[0] + (limits[1] - limits[0]) * i as f32 / steps as f32);
        let errors = arguments.map(|x| {
            let (got, want) = (f64::from(function(x)), want(f64::from(x)));
            assert!(got.is_finite(), "{x}: {got}");
            (got - want).abs()
        });
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_those_of_double_precision_within_units_of_one() {
        let u = f64::from(f32::EPSILON);
        let sigmoid64 = |x: f64| 1.0 / (1.0 + (-x).exp());
        let normal64 = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let wide = [-100.0, 100.0];
        assert!(worst(exp::<false>, f64::exp, [-100.0, 0.0]) < 1.5 * u);
        assert!(worst(exp::<true>, f64::exp, [-100.0, 0.0]) < 1.5 * u);
        assert!(worst(sigmoid::<false>, sigmoid64, wide) < 2.0 * u);
        assert!(worst(sigmoid::<true>, sigmoid64, [-9.0, 9.0]) < 2.0 * u);
        assert!(worst(tanh::<false>, f64::tanh, wide) < 2.0 * u);
        assert!(worst(tanh::<true>, f64::tanh, [-9.0, 9.0]) < 2.0 * u);
        // Half of the formula's 1.5e-7, and half of five roundings of numbers up to 1.5.
        assert!(worst(|x| normal::<false>(x).0, normal64, wide) < 3.0 * u);
        assert!(worst(|x| normal::<true>(x).0, normal64, [-9.0, 9.0]) < 3.0 * u);
        // Small results keep their digits.
        let relative = |x: f32| tanh::<true>(x) / x;
        assert!(worst(relative, |x| x.tanh() / x, [1e-30, 1.0]) < 3.0 * u);
    }

    #[test]
    fn nan_stays_and_ends_are_exact() {
        for x in [exp::<true>, sigmoid::<true>, tanh::<true>, |x| normal::<true>(x).0] {
            assert!(x(f32::NAN).is_nan());
        }
        assert_eq!([exp::<true>(0.0), sigmoid::<true>(0.0), tanh::<true>(0.0)], [1.0, 0.5, 0.0]);
        assert_eq!(
            [sigmoid::<true>(1e4), tanh::<true>(-1e4), normal::<true>(1e4).0],
            [1.0, -1.0, 1.0]
        );
        assert!(sigmoid::<true>(-1e4) < 1e-37 && normal::<true>(-1e4).0 < 1e-37);
    }
}
