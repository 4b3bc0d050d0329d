//! Short decimal numbers, which most cells of a table are, read in one pass.
//!
//! In: the text of a cell. Out: the number that the standard library reads, or nothing where it takes more than this.
//! Absent on purpose: exponents, long numbers, anything that would have to be rounded twice.

/// Powers of ten that f64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Largest number of digits whose value an u64 holds in any case.
const MOST_DIGITS: usize = 19;
/// Whole numbers up to this one are exact in f64.
const EXACT: u64 = 1 << 53;

/// Reads digits with a point among them, and a sign before them.
pub(super) fn quick_number(cell: &str) -> Option<f64> {
    let bytes = cell.as_bytes();
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    // One more for the point.
    if digits.len() > MOST_DIGITS + 1 {
        return None;
    }
    let (mut value, mut count, mut point) = (0_u64, 0, None);
    for (place, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            value = value.wrapping_mul(10).wrapping_add(digit.into());
            count += 1;
        } else if byte == b'.' && point.is_none() {
            point = Some(place);
        } else {
            return None;
        }
    }
    if count == 0 || count > MOST_DIGITS || value > EXACT {
        return None;
    }
    let decimals = point.map_or(0, |place| digits.len() - place - 1);
    // Both are exact, so their quotient is rounded once, as it should be.
    let number = value as f64 / POWERS.get(decimals)?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks that a number is read as by the standard library, if it is read.
    fn same(cell: &str) -> bool {
        quick_number(cell).is_none_or(|number| {
            cell.parse::<f64>().is_ok_and(|other| other.to_bits() == number.to_bits())
        })
    }

    #[test]
    fn short_numbers_are_read() {
        for (cell, want) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("+17", 17.0),
            ("0.1", 0.1),
            ("-12.3450", -12.345),
            (".5", 0.5),
            ("5.", 5.0),
            ("9007199254740992", 9_007_199_254_740_992.0),
            ("0.000000000000000001", 1e-18),
        ] {
            assert_eq!(quick_number(cell).map(f64::to_bits), Some(f64::to_bits(want)), "{cell}");
            assert!(same(cell), "{cell}");
        }
        for cell in ["", ".", "-", "+-1", "1e5", "1.2.3", "1,5", " 1", "9007199254740993", "nan"] {
            assert_eq!(quick_number(cell), None, "{cell}");
        }
        // More digits than an u64 holds must not wrap around.
        assert_eq!(quick_number("18446744073709551617"), None);
        assert_eq!(quick_number("00000000000000000001"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn numbers_are_those_of_the_standard_library(cell in "[-+]?[0-9]{0,19}(\\.[0-9]{0,19})?") {
            prop_assert!(same(&cell), "{cell}");
        }

        #[test]
        fn written_numbers_are_read_as_they_were(value: f64, digits in 0_usize..18) {
            let small = value % 1e6;
            for cell in [format!("{value:.digits$}"), format!("{small:.digits$}"), format!("{value:?}")] {
                prop_assert!(same(&cell), "{cell}");
            }
        }

        #[test]
        fn other_texts_are_no_numbers(cell in "[-+.0-9eE,a ]{0,8}") {
            prop_assert!(same(&cell), "{cell}");
        }
    }
}
