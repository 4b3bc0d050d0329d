//! In which order an epoch visits the rows, and in how many steps.
//!
//! In: counts and a seed. Out: row numbers.
//! Absent on purpose: the rows themselves; gathering them is the device's work.

use std::ops::Range;

use crate::random::{Purpose, Seed};

/// Every row once: in table order, or shuffled anew for each epoch (counted from 0).
///
/// The order depends on nothing but the arguments, so that a resumed run goes on with the same one.
pub fn epoch_order(rows: u32, epoch: u32, seed: Seed, shuffle: bool) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows).collect();
    if shuffle {
        seed.stream(Purpose::Order(epoch)).shuffle(&mut order);
    }
    order
}

/// Steps of an epoch. The last, smaller batch counts: no row is dropped. A batch of 0 counts as 1.
pub fn steps_per_epoch(rows: usize, batch: usize) -> usize {
    rows.div_ceil(batch.max(1))
}

/// An epoch's rows, in their order, as batches. All are of one size but the last, which has what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    rows: usize,
    batch: usize,
    /// Rows of the batch before the last, where it shares its rows with a last one of a single row.
    shared: Option<usize>,
}

impl Batches {
    /// Batches of a number of rows. With `no_single`, a last batch of one row shares the rows of the one before it evenly.
    pub fn new(rows: usize, batch: usize, no_single: bool) -> Self {
        let batch = batch.max(1);
        let single = rows > batch && rows % batch == 1;
        // Of batches of two rows, one of them always keeps a single row.
        let shared = (no_single && single && batch > 2).then(|| (batch + 1).div_ceil(2));
        Self { rows, batch, shared }
    }

    /// Number of steps in an epoch.
    pub fn steps(&self) -> usize {
        steps_per_epoch(self.rows, self.batch)
    }

    /// Number of rows in a full batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Place of a step's first row in the epoch's order; the number of rows for what follows the last step.
    pub fn first(&self, step: usize) -> usize {
        match self.shared {
            Some(shared) if step + 1 == self.steps() => (step - 1) * self.batch + shared,
            _ => (step * self.batch).min(self.rows),
        }
    }

    /// Places of the rows of some steps, one after the other, in the epoch's order.
    pub fn range(&self, steps: Range<usize>) -> Range<usize> {
        self.first(steps.start)..self.first(steps.end)
    }

    /// Number of rows in a step's batch.
    pub fn rows(&self, step: usize) -> usize {
        self.range(step..step + 1).len()
    }

    /// True if the last batch, or each, has a single row.
    pub fn has_single(&self) -> bool {
        self.steps().checked_sub(1).is_some_and(|last| self.rows(last) == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_batches_share_a_single_row() {
        let rows = |rows, batch, no_single| -> Vec<usize> {
            let batches = Batches::new(rows, batch, no_single);
            let each: Vec<usize> = (0..batches.steps()).map(|step| batches.rows(step)).collect();
            // One after the other, and every row once.
            let firsts = (0..=each.len()).map(|step| batches.first(step));
            let sums = (0..=each.len()).map(|step| each[..step].iter().sum::<usize>());
            assert!(firsts.eq(sums) && each.iter().sum::<usize>() == batches.rows);
            assert_eq!(batches.has_single(), each.contains(&1));
            each
        };
        assert_eq!(rows(65, 64, true), [33, 32]);
        assert_eq!(rows(65, 64, false), [64, 1]);
        assert_eq!(rows(13, 4, true), [4, 4, 3, 2]);
        assert_eq!(rows(7, 3, true), [3, 2, 2]);
        assert_eq!(rows(5, 2, true), [2, 2, 1]);
        assert_eq!(rows(14, 4, true), [4, 4, 4, 2]);
        assert_eq!(rows(12, 4, true), [4, 4, 4]);
        assert_eq!(rows(3, 4, true), [3]);
        assert_eq!(rows(1, 4, true), [1]);
        assert_eq!(rows(3, 1, true), [1, 1, 1]);
        assert_eq!(rows(0, 4, true), [0; 0]);
    }

    #[test]
    fn orders_are_permutations_that_differ_by_epoch_and_seed() {
        let order = epoch_order(1757, 3, Seed(1), true);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, epoch_order(1757, 3, Seed(1), false));
        assert_eq!(sorted, (0..1757).collect::<Vec<_>>());
        assert_eq!(order, epoch_order(1757, 3, Seed(1), true));
        assert_ne!(order, epoch_order(1757, 4, Seed(1), true));
        assert_ne!(order, epoch_order(1757, 3, Seed(2), true));
        assert!(epoch_order(0, 0, Seed(0), true).is_empty());
    }

    #[test]
    fn the_last_batch_counts() {
        for (rows, batch, want) in
            [(0, 4, 0), (1, 4, 1), (4, 4, 1), (5, 4, 2), (8, 3, 3), (2, 0, 2)]
        {
            assert_eq!(steps_per_epoch(rows, batch), want, "{rows} {batch}");
        }
    }
}
