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
    /// A size known from the model.
    Of(usize),
}

impl Dim {
    /// The size for a batch of so many rows.
    pub fn size(self, batch: usize) -> usize {
        match self {
            Self::Batch => batch,
            Self::Of(size) => size,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch => write!(f, "batch"),
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

/// A count as kernels hold it. Slots are checked to have fewer than 2³² elements, so nothing is lost for what lies in one.
pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
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
    fn bytes_are_binary() {
        assert_eq!(bytes_text(1023), "1023 B");
        assert_eq!(bytes_text(1536), "1.5 KiB");
        assert_eq!(bytes_text(3 << 30), "3.0 GiB");
    }
}
