//! Short decimal numbers, which most cells of a table are, read in one pass.
//!
//! In: the text of a cell. Out: the number that the standard library reads, or nothing where it takes more than this.
//! Absent on purpose: exponents, long numbers, anything that would have to be rounded twice.

use std::ops::Range;

/// Powers of ten that f64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Largest number of digits whose value an u64 holds in any case.
const MOST_DIGITS: usize = 19;
/// Whole numbers up to this one are exact in f64.
const EXACT: u64 = 1 << 53;

/// Bytes, of which each is a one.
const ONES: u128 = u128::MAX / 255;
/// Highest bit of each byte.
const HIGHEST: u128 = ONES << 7;

/// Reads digits with a point among them, and a sign before them.
pub(super) fn quick_number(cell: &str) -> Option<f64> {
    quick_number_within(cell.as_bytes(), 0..cell.len())
}

/// Reads a cell of a longer text, as [`quick_number`] does; with the bytes behind it, its length needs no branches.
pub(super) fn quick_number_within(text: &[u8], cell: Range<usize>) -> Option<f64> {
    let first = *text.get(cell.start)?;
    // Half of all signs would be guessed wrongly, too.
    let begin = cell.start + usize::from(matches!(first, b'-' | b'+'));
    let digits = text.get(begin..cell.end)?;
    let number = match (digits.len(), text[begin..].first_chunk::<16>()) {
        (count @ 1..=16, Some(bytes)) => {
            let own = u128::MAX >> (8 * (16 - count));
            short_number(u128::from_le_bytes(*bytes) & own, count)?
        }
        (count @ 1..=16, None) => short_number(word_of(digits), count)?,
        _ => long_number(digits)?,
    };
    let sign = u64::from(first == b'-') << 63;
    Some(f64::from_bits(number.to_bits() | sign))
}

/// Reads up to 16 digits with a point among them, all at once: `length` bytes, the first of them lowest, with zeros behind them.
fn short_number(word: u128, length: usize) -> Option<f64> {
    let others = word ^ (ONES * u128::from(b'.'));
    // The lowest byte that is zero has its highest bit set.
    let points = others.wrapping_sub(ONES) & !others & HIGHEST;
    let place = points.trailing_zeros() & !7;
    let (digits, count, decimals) = if points == 0 {
        (word, length, 0)
    } else {
        let before = word & ((1 << place) - 1);
        let behind = word >> place >> 8 << place;
        let count = length - 1;
        (before | behind, count, count - place as usize / 8)
    };
    if count == 0 {
        return None;
    }
    // The last digit in the highest byte, and zeros before the first one.
    let free = 8 * (16 - count);
    let digits = (digits << free) ^ ((ONES * u128::from(b'0')) << free);
    // A byte above 9 has its highest bit, or gets it.
    if (digits | digits.wrapping_add(ONES * 0x76)) & HIGHEST != 0 {
        return None;
    }
    let value = eight_digits(digits as u64) * 100_000_000 + eight_digits((digits >> 64) as u64);
    // Both are exact, so their quotient is rounded once, as it should be.
    (value <= EXACT).then(|| value as f64 / POWERS[decimals])
}

/// Returns up to 16 bytes as a number, the first of them lowest, with zeros behind them.
pub(super) fn word_of(bytes: &[u8]) -> u128 {
    let count = bytes.len();
    // Two parts that may overlap, where the same bytes stand in both.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let [first, last] = [first, last].map(|it| u128::from(u64::from_le_bytes(*it)));
        return first | last << (8 * (count - 8));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let [first, last] = [first, last].map(|it| u64::from(u32::from_le_bytes(*it)));
        return (first | last << (8 * (count - 4))).into();
    }
    match *bytes {
        [] => 0,
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, ..] => u32::from_le_bytes([a, b, c, 0]).into(),
    }
}

/// Returns the number of eight digits from 0 to 9, of which the lowest byte is the first: neighbours are joined to numbers of two digits,
/// these to numbers of four, and these to one.
fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

/// Reads any number of digits with a point among them, one after the other.
fn long_number(digits: &[u8]) -> Option<f64> {
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
    Some(value as f64 / POWERS.get(decimals)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks that a number is read as by the standard library, if it is read, and within a longer text as alone.
    fn same(cell: &str) -> bool {
        let alone = quick_number(cell).map(f64::to_bits);
        for behind in ["", ",", ",1.5,2\n", ",..........--------", ",00000000000000000000"] {
            let text = format!("7.{cell}{behind}");
            let within = quick_number_within(text.as_bytes(), 2..2 + cell.len());
            assert_eq!(within.map(f64::to_bits), alone, "{text}");
        }
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
