//! Rows of a workbook's sheet that have cells.
//!
//! In: their numbers, in order. Out: the number of each.
//! Absent on purpose: their cells.

use std::sync::Arc;

/// Numbers of the rows that have cells, as runs without an empty row within.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SheetRows {
    /// Number of rows that have cells.
    count: u32,
    /// Of each run, how many rows with cells stand before it, and its first row; counted from 0. Shared by all readers of the table.
    runs: Arc<Vec<(u32, u32)>>,
}

impl SheetRows {
    /// Takes the next row that has cells, counted from 0.
    #[cfg(feature = "xlsx")]
    pub(super) fn push(&mut self, row: u32) {
        let follows = self.runs.last().is_some_and(|run| row - run.1 == self.count - run.0);
        if !follows {
            Arc::make_mut(&mut self.runs).push((self.count, row));
        }
        self.count += 1;
    }

    /// Returns true if rows without cells stand between others.
    #[cfg(feature = "xlsx")]
    pub(super) fn has_gaps(&self) -> bool {
        self.runs.len() > 1
    }

    /// Returns the number in the sheet, counted from 1, of a row that has so many rows with cells before it.
    pub(super) fn number(&self, before: u64) -> u64 {
        let runs = self.runs.partition_point(|run| u64::from(run.0) <= before);
        let run = runs.checked_sub(1).map_or((0, 0), |at| self.runs[at]);
        u64::from(run.1) + before - u64::from(run.0) + 1
    }
}

#[cfg(all(test, feature = "xlsx"))]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_numbers_across_gaps() {
        for rows in [vec![0, 1, 2], vec![3], vec![2, 3, 5, 6, 7, 20], vec![1, 3, 5]] {
            let mut numbers = SheetRows::default();
            rows.iter().for_each(|&row| numbers.push(row));
            let found: Vec<u64> = (0..rows.len() as u64).map(|at| numbers.number(at)).collect();
            assert_eq!(found, rows.iter().map(|&row| u64::from(row) + 1).collect::<Vec<_>>());
            let last = rows.len() as u32 - 1;
            assert_eq!(numbers.has_gaps(), rows[rows.len() - 1] - rows[0] != last, "{rows:?}");
        }
    }
}
