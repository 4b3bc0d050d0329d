//! The primitive functions of expressions in single precision, without branches.
//!
//! In: one number. Out: what `expr::Unary` says of it, within a few units in the last place of the result or of 1.

use super::approximations::{WHOLE, exp, normal, polynomial, sigmoid, tanh};
use super::instructions::fused;
use crate::expr::{Functions, Unary};

/// Arithmetic in single precision; `FUSED` says whether the processor fuses multiplication and addition.
#[derive(Clone, Copy, Debug)]
pub struct F32Math<const FUSED: bool>;

/// Largest x for which eˣ is finite.
const LARGEST: f32 = 88.722_83;
/// 1/(2k + 1) from k = 6 down to 0: artanh z = z Σ z²ᵏ / (2k + 1)
const ARTANH: [f32; 7] = [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0, 1.0];
/// ±1/(2k + 1)! from k = 6 down to 0
const SINE: [f32; 7] = [
    1.605_904_4e-10,
    -2.505_210_8e-8,
    2.755_732e-6,
    -1.984_127e-4,
    8.333_334e-3,
    -1.666_666_7e-1,
    1.0,
];
/// π in three parts (Cephes), the first two of few bits.
const PI: [f32; 3] = [3.140_625, 9.675_026e-4, 1.509_958e-7];
/// 1/√(2π)
const DENSITY: f32 = 0.398_942_3;

/// eˣ for all x
#[inline(always)]
fn exp_any<const FUSED: bool>(x: f32) -> f32 {
    // For large results by the inverse of the root, which stays far from the limits of the format.
    let e = exp::<FUSED>(if x > 0.0 { -0.5 * x } else { x });
    let far = if x > LARGEST { f32::INFINITY } else { (1.0 / e) * (1.0 / e) };
    if x > 0.0 { far } else { e }
}

#[inline(always)]
fn ln<const FUSED: bool>(x: f32) -> f32 {
    // Subnormal numbers are made normal first.
    let small = x < f32::MIN_POSITIVE;
    let (scaled, shift) = if small { (x * 8_388_608.0, 23.0) } else { (x, 0.0) };
    // x = m 2^n with m within √2 of 1
    let bits = scaled.to_bits().wrapping_sub(0x3f35_04f3);
    let n = (bits as i32 >> 23) as f32 - shift;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let z = (m - 1.0) / (m + 1.0);
    let y =
        fused::<FUSED>(n, std::f32::consts::LN_2, 2.0 * z * polynomial::<FUSED, 7>(ARTANH, z * z));
    let y = if x == f32::INFINITY { x } else { y };
    let low = if x == 0.0 { f32::NEG_INFINITY } else { f32::NAN };
    if x > 0.0 { y } else { low }
}

/// ln(1 + x)
#[inline(always)]
// Near 0 the series in x / (2 + x) keeps the digits that 1 + x would lose.
fn log1p<const FUSED: bool>(x: f32) -> f32 {
    let z = x / (2.0 + x);
    let near = 2.0 * z * polynomial::<FUSED, 7>(ARTANH, z * z);
    let far = ln::<FUSED>(1.0 + x);
    if x > -0.5 && x < 1.0 { near } else { far }
}

#[inline(always)]
fn expm1<const FUSED: bool>(x: f32) -> f32 {
    // eˣ − 1 = tanh(x/2) (eˣ + 1), which keeps the digits of small x.
    let e = exp_any::<FUSED>(x);
    let near = tanh::<FUSED>(0.5 * x) * (e + 1.0);
    if x.abs() < 0.5 { near } else { e - 1.0 }
}

#[inline(always)]
fn softplus<const FUSED: bool>(x: f32) -> f32 {
    let far = if x > 0.0 { x } else { 0.0 };
    far + log1p::<FUSED>(exp::<FUSED>(-x.abs()))
}

/// sin(x − kπ), times −1 where `odd` is odd
#[inline(always)]
fn sine_around<const FUSED: bool>(x: f32, k: f32, odd: f32) -> f32 {
    // k in two parts, so that all products but the last, which is small, are exact.
    let high = nearest(k * (1.0 / 1024.0));
    let low = k - 1024.0 * high;
    let coarse = (x - high * (1024.0 * PI[0])) - low * PI[0];
    let fine = (coarse - high * (1024.0 * PI[1])) - low * PI[1];
    let r = fine - k * PI[2];
    // Beyond 100,000 π no digit is right; clamping keeps the result within a sine's range.
    let r = if r > 1.6 { 1.6 } else { r };
    let r = if r < -1.6 { -1.6 } else { r };
    let y = r * polynomial::<FUSED, 7>(SINE, r * r);
    let flip = odd - 2.0 * (0.5 * odd).floor();
    y * (1.0 - 2.0 * flip)
}

#[inline(always)]
fn nearest(x: f32) -> f32 {
    if x.abs() < 4_194_304.0 { (x + WHOLE) - WHOLE } else { x }
}

#[inline(always)]
fn sin<const FUSED: bool>(x: f32) -> f32 {
    let k = nearest(x * std::f32::consts::FRAC_1_PI);
    sine_around::<FUSED>(x, k, k)
}

#[inline(always)]
fn cos<const FUSED: bool>(x: f32) -> f32 {
    let k = nearest(x * std::f32::consts::FRAC_1_PI - 0.5);
    sine_around::<FUSED>(x, k + 0.5, k + 1.0)
}

impl<const FUSED: bool> Functions<f32> for F32Math<FUSED> {
    #[inline(always)]
    fn constant(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn apply(function: Unary, x: f32) -> f32 {
        match function {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Sign => {
                let sign = if x < 0.0 { -1.0 } else { x };
                if x > 0.0 { 1.0 } else { sign }
            }
            Unary::Exp => exp_any::<FUSED>(x),
            Unary::Expm1 => expm1::<FUSED>(x),
            Unary::Ln => ln::<FUSED>(x),
            Unary::Log1p => log1p::<FUSED>(x),
            Unary::Sqrt => x.sqrt(),
            Unary::Sin => sin::<FUSED>(x),
            Unary::Cos => cos::<FUSED>(x),
            Unary::Tanh => tanh::<FUSED>(x),
            Unary::Sigmoid => sigmoid::<FUSED>(x),
            Unary::Softplus => softplus::<FUSED>(x),
            Unary::NormalCdf => normal::<FUSED>(x).0,
            Unary::NormalDensity => exp::<FUSED>(-0.5 * x * x) * DENSITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::F64Math;

    /// Every function on many arguments of its kind, against double precision.
    fn check<const FUSED: bool>() {
        for function in Unary::ALL {
            let limits = match function {
                Unary::Exp | Unary::Expm1 => [-100.0, 88.0],
                Unary::Ln | Unary::Sqrt => [1e-3, 1e4],
                Unary::Log1p => [-0.9, 1e3],
                _ => [-100.0, 100.0],
            };
            let steps = 100_000;
            for i in 0..=steps {
                let x = limits[0] + (limits[1] - limits[0]) * i as f32 / steps as f32;
                let got = f64::from(F32Math::<FUSED>::apply(function, x));
                let want = F64Math::apply(function, f64::from(x));
                // Units in the last place of the result, and of 1: arguments are rounded on their way.
                let limit =
                    4.0 * f64::from(f32::EPSILON) * (1.0_f64.min(want.abs()).max(0.5) + want.abs());
                assert!((got - want).abs() <= limit, "{function:?}({x}): {got} {want}");
            }
        }
    }

    #[test]
    fn functions_are_those_of_double_precision() {
        check::<false>();
        #[cfg(any(target_feature = "fma", target_arch = "aarch64"))]
        check::<true>();
    }

    #[test]
    fn ends_and_small_numbers_are_right() {
        type One = F32Math<false>;
        for function in Unary::ALL {
            assert!(One::apply(function, f32::NAN).is_nan(), "{function:?}");
        }
        assert_eq!(One::apply(Unary::Exp, 1e4), f32::INFINITY);
        assert_eq!(One::apply(Unary::Ln, 0.0), f32::NEG_INFINITY);
        assert!(One::apply(Unary::Ln, -1.0).is_nan());
        assert_eq!(One::apply(Unary::Softplus, 1e4), 1e4);
        assert_eq!(One::apply(Unary::Sign, 0.0), 0.0);
        // Small results keep their digits, down to denormal numbers.
        for (function, x) in [
            (Unary::Expm1, 1e-6),
            (Unary::Log1p, -1e-6),
            (Unary::Log1p, 1e-20),
            (Unary::Ln, 1e-40),
            (Unary::Ln, 1.000_001),
            (Unary::Sin, 1e-5),
            (Unary::Tanh, -1e-5),
        ] {
            let (got, want) =
                (f64::from(One::apply(function, x)), F64Math::apply(function, x.into()));
            assert!((got / want - 1.0).abs() < 1e-6, "{function:?}({x}): {got} {want}");
        }
        for x in [1e3_f32, -7e3, 1e4, 3e5, -2.9e5] {
            for function in [Unary::Sin, Unary::Cos] {
                let got = f64::from(One::apply(function, x));
                assert!(
                    (got - F64Math::apply(function, x.into())).abs() < 1e-6,
                    "{function:?}({x})"
                );
            }
        }
    }
}
