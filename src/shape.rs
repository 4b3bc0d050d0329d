//! Shapes of tensors, row-major, with the batch left open.
//!
//! In: sizes. Out: checked shapes and element counts.
//! Absent on purpose: values, strides, devices.

use std::fmt;

/// One dimension: a fixed size, or the batch, which a plan fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Rows of a batch; the number is chosen when the plan is made.
    Batch,
    /// Rows of a batch times the members of an ensemble that shares weights: the members' rows for one row of the batch lie
    /// below one another.
    Members(usize),
    /// A size known from the model.
    Of(usize),
}

impl Dim {
    /// The size for a batch of so many rows.
    pub fn size(self, batch: usize) -> usize {
        match self {
            Self::Batch => batch,
            Self::Members(members) => batch * members,
            Self::Of(size) => size,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch => write!(f, "batch"),
            Self::Members(members) => write!(f, "batch*{members}"),
            Self::Of(size) => write!(f, "{size}"),
        }
    }
}

/// Dimensions of a tensor, slowest first: `[batch, 64]`, `[10, 64]`, `[10]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<Dim>);

impl Shape {
    /// A vector `[n]`.
    pub fn vector(n: usize) -> Self {
        Self(vec![Dim::Of(n)])
    }

    /// A matrix `[rows, columns]`.
    pub fn matrix(rows: Dim, columns: Dim) -> Self {
        Self(vec![rows, columns])
    }

    /// One value a row of the batch: `[batch]`.
    pub fn per_row() -> Self {
        Self(vec![Dim::Batch])
    }

    /// One value for each member and row of the batch.
    pub fn per_member(members: usize) -> Self {
        Self(vec![Dim::Members(members)])
    }

    /// The dimensions, slowest first.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// Rows and columns, if this is a matrix.
    pub fn as_matrix(&self) -> Option<(Dim, Dim)> {
        match self.0[..] {
            [rows, columns] => Some((rows, columns)),
            _ => None,
        }
    }

    /// The sizes for a batch of so many rows.
    pub fn sizes(&self, batch: usize) -> Vec<usize> {
        self.0.iter().map(|dim| dim.size(batch)).collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(","))
    }
}

/// Number of elements of a tensor of these sizes; `None` if it does not fit a `usize`.
pub fn elements(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

/// A count as kernels hold it.
///
/// # Panics
/// If it does not fit. Slots are checked to have fewer than 2³² elements, and all that is counted lies in one.
pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).expect("what lies in a slot can be counted in 32 bits")
}

/// Bytes as people read them, in binary units: `1.2 MiB`.
pub fn bytes_text(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// A count with commas between thousands: `12,345`. Every line that is printed has counts so; numbers that name one thing, such as those
/// of lines, epochs and steps, have no commas, and files for programs have none.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a count with its noun, in the plural unless there is one: `1 row`, `12,345 rows`.
pub fn pluralize(value: u64, what: &str) -> String {
    format!("{} {what}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A number as people read it, in at most a dozen letters: four places after the point, or powers of ten where these would say
/// nothing or be very many.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() || (1e-3..1e6).contains(&size) {
        return fixed(value);
    }
    format!("{value:.3e}")
}

/// A number with all its digits, unless these are more than a dozen.
pub fn short(value: f64) -> String {
    let text = value.to_string();
    if text.len() <= 12 { text } else { format!("{value:.5e}") }
}

/// A number in six digits, without a power of ten where it is not very large or small.
pub fn brief(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return short(value);
    }
    if !(1e-5..1e15).contains(&size) {
        let text = format!("{value:.5e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10")]
    let places = (5.0 - size.log10().floor()).max(0.0) as usize;
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

/// A number in the fewest digits that tell it from any other, without a power of ten where it is not very large or small.
pub fn shortest(value: f64) -> String {
    if value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// A number with four places after the point, for columns in which small ones are as good as 0; one of many digits by powers of
/// ten.
pub fn fixed(value: f64) -> String {
    if value.is_finite() && value.abs() >= 1e6 {
        format!("{value:.3e}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_batch() {
        let shape = Shape::matrix(Dim::Batch, Dim::Of(7));
        assert_eq!(shape.sizes(5), [5, 7]);
        assert_eq!(shape.to_string(), "[batch,7]");
        assert_eq!(elements(&shape.sizes(5)), Some(35));
        assert_eq!(elements(&[usize::MAX, 2]), None);
    }

    #[test]
    fn numbers_are_short() {
        for (value, want) in [
            (0.0, "0.0000"),
            (0.12345, "0.1235"),
            (-123_456.789, "-123456.7890"),
            (1e70, "1.000e70"),
            (-f64::MAX, "-1.798e308"),
            (1e-5, "1.000e-5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), want);
            assert!(number(value).len() <= 12 && fixed(value).len() <= 12, "{value}");
        }
        assert_eq!((short(0.25), short(1e70)), ("0.25".into(), "1.00000e70".into()));
        assert_eq!((fixed(1e-5), fixed(-1e70)), ("0.0000".into(), "-1.000e70".into()));
        for (value, all, few) in [
            (13.62, "13.62", "13.62"),
            (-1e-7, "-1e-7", "-1e-7"),
            (1.0 / 3.0, "0.3333333333333333", "0.333333"),
            (123_456_789.25, "123456789.25", "123456789"),
            (2e20 / 3.0, "6.666666666666666e19", "6.66667e19"),
            (0.0, "0", "0"),
            (f64::INFINITY, "inf", "inf"),
        ] {
            assert_eq!((shortest(value).as_str(), brief(value).as_str()), (all, few));
        }
    }

    #[test]
    fn bytes_are_binary() {
        assert_eq!(bytes_text(1023), "1023 B");
        assert_eq!(bytes_text(1536), "1.5 KiB");
        assert_eq!(bytes_text(3 << 30), "3.0 GiB");
    }
}
