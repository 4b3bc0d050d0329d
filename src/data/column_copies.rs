//! Columns of a table with long rows, copied some at a time.
//!
//! In: a table in memory. Out: the values of a column, one behind the other.
//! Absent on purpose: tables of short rows, and tables in a file, which have columns of their own.

use super::numbers::Numbers;
use super::table::Dataset;

/// Number of columns from which rows are long.
const MANY_COLUMNS: usize = 128;
/// Number of neighbouring columns that are copied at once, since these share lines of the processor's memory.
const AT_ONCE: usize = 16;
/// Most bytes of the copies.
const MOST_BYTES: usize = 32 << 20;

/// Copies of neighbouring columns. Columns asked for in their order are copied once, where reading each for itself steps over all others.
pub(crate) struct ColumnCopies<'a> {
    data: &'a Dataset,
    /// The first column of the copies, and their number.
    first: usize,
    count: usize,
    /// `[count, rows]`.
    values: Vec<f64>,
}

impl<'a> ColumnCopies<'a> {
    pub(crate) fn new(data: &'a Dataset) -> Self {
        Self { data, first: 0, count: 0, values: Vec::new() }
    }

    /// Returns the values of a column; `None` where the table is not worth copies.
    pub(crate) fn get(&mut self, column: usize) -> Option<&[f64]> {
        let (rows, columns) = (self.data.rows(), self.data.columns());
        let long = columns >= MANY_COLUMNS && rows * AT_ONCE * size_of::<f64>() <= MOST_BYTES;
        if !long || matches!(self.data.x(), Numbers::Stored(_)) {
            return None;
        }
        if !(self.first..self.first + self.count).contains(&column) {
            (self.first, self.count) = (column, AT_ONCE.min(columns - column));
            self.values.clear();
            self.values.resize(self.count * rows, 0.0);
            for row in 0..rows {
                let own = self.data.row(row).range(column..column + self.count);
                for (place, value) in own.iter().enumerate() {
                    self.values[place * rows + row] = value;
                }
            }
        }
        let place = column - self.first;
        Some(&self.values[place * rows..(place + 1) * rows])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    #[test]
    fn copies_are_the_columns() {
        for columns in [5, 130, 131] {
            let x: Vec<f64> = (0..7 * columns).map(|at| at as f64 / 8.0).collect();
            let data = Dataset::from_arrays(&x, columns, Targets::Numbers(vec![0.0; 7])).unwrap();
            let mut copies = ColumnCopies::new(&data);
            for column in (0..columns).chain([3, columns - 1, 17]) {
                let want: Vec<f64> = data.column(column).collect();
                let got = copies.get(column).map(<[f64]>::to_vec);
                assert_eq!(got, (columns >= MANY_COLUMNS).then_some(want), "{column}");
            }
        }
    }
}
