//! In which order an epoch visits the rows, and in how many steps.
//!
//! In: counts and a seed. Out: row numbers.
//! Absent on purpose: the rows themselves; gathering them is the device's work.

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

#[cfg(test)]
mod tests {
    use super::*;

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
