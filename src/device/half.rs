//! IEEE half precision: rounding to it, and its bits.
//!
//! In: numbers of any precision. Out: the nearest of the 63,488 finite halves, ties to even; infinity from 65,520 on.
//! Absent on purpose: arithmetic, which is always done in a wider type.

use crate::plan::HALF_MAX;

/// Returns the nearest half.
pub(super) fn rounded(x: f64) -> f64 {
    if !x.is_finite() {
        return x;
    }
    // Halves near x are multiples of 2^(e - 10), where 2^e is the largest power of two up to x, at least 2^-14.
    let biased = ((x.to_bits() >> 52) & 0x7ff).max(1023 - 14);
    // Multiplying by powers of two is exact.
    let unit = f64::from_bits((biased - 10) << 52);
    let near = (x / unit).round_ties_even() * unit;
    if near.abs() > f64::from(HALF_MAX) { f64::INFINITY.copysign(x) } else { near }
}

/// Returns the bits of the nearest half.
#[cfg(feature = "gpu")]
pub(super) fn bits(x: f32) -> u16 {
    let near = rounded(x.into()).abs();
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    // Below the normal range, bits count units of 2^-24; above it, each power of two has 1024 steps.
    let magnitude = if near.is_nan() {
        0x7e00
    } else if near > f64::from(HALF_MAX) {
        0x7c00
    } else {
        let exponent = ((near.to_bits() >> 52) & 0x7ff).max(1023 - 14) - (1023 - 14);
        let unit = f64::from_bits((exponent + 1023 - 24) << 52);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number below 2048, and an exponent below 32"
        )]
        let (steps, exponent) = ((near / unit) as u16, exponent as u16);
        // Added, not combined: 1024 steps carry into the exponent, as they should.
        (exponent << 10) + steps
    };
    sign | magnitude
}

/// Returns the number that a half's bits represent.
#[cfg(feature = "gpu")]
pub(super) fn value(bits: u16) -> f32 {
    let (exponent, steps) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => steps * 2_f32.powi(-24),
        0x1f if steps == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + steps) * 2_f32.powi(exponent - 25),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_are_rounded_as_ieee_says() {
        for (x, want) in [
            (1.0, 1.0),
            (1.0 + 2_f64.powi(-11), 1.0),
            (1.0 + 3.0 * 2_f64.powi(-11), 1.0 + 2_f64.powi(-9)),
            (1.0 + 2_f64.powi(-11) + 1e-12, 1.0 + 2_f64.powi(-10)),
            (0.1, 0.099_975_585_937_5),
            (2049.0, 2048.0),
            (65_519.9, 65_504.0),
            (65_520.0, f64::INFINITY),
            (-1e300, f64::NEG_INFINITY),
            (2_f64.powi(-24), 2_f64.powi(-24)),
            (2_f64.powi(-25), 0.0),
            (1.5 * 2_f64.powi(-24), 2_f64.powi(-23)),
            (1e-300, 0.0),
        ] {
            assert_eq!(rounded(x), want, "{x}");
            assert_eq!(rounded(-x), -want, "{x}");
        }
        assert!(rounded(f64::NAN).is_nan());
        assert!(rounded(-0.0).is_sign_negative());
    }

    #[test]
    #[cfg(feature = "gpu")]
    fn all_bits_come_back() {
        for bits_in in 0..=u16::MAX {
            let x = value(bits_in);
            if x.is_nan() {
                assert!(value(bits(x)).is_nan(), "{bits_in:x}");
            } else {
                assert_eq!(bits(x), bits_in, "{x}");
                assert_eq!(rounded(x.into()), f64::from(x));
            }
        }
    }

    #[test]
    #[cfg(feature = "gpu")]
    fn between_two_halves_the_nearer_is_taken_and_ties_go_to_the_even_one() {
        for low in 0..0x7bff_u16 {
            let (a, b) = (f64::from(value(low)), f64::from(value(low + 1)));
            let (even, middle) = (if low % 2 == 0 { a } else { b }, (a + b) / 2.0);
            assert_eq!(rounded(middle), even, "{middle}");
            assert_eq!(rounded(middle - (b - a) / 1e6), a, "{middle}");
            assert_eq!(rounded(middle + (b - a) / 1e6), b, "{middle}");
        }
    }
}
