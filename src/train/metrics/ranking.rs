//! Figures of the order of scores.
//!
//! In: scores of rows that are of a class, and of rows that are not. Out: the areas under two curves.
//! Absent on purpose: where a score comes from. Such a figure needs all scores in order; so of many rows they go through a file
//! ([`Sorter`]), and the figure stays exact.

use crate::data::{Scratch, Sorter};
use crate::error::Result;

/// Scores of one class against all others.
#[derive(Debug)]
pub(super) struct Scores {
    of_it: Sorter,
    others: Sorter,
}

/// What scores in order come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranking {
    /// Share of pairs of a row of the class and another one that are in order, ties counted half; `None` without a pair.
    pub(super) roc_auc: Option<f64>,
    /// Σ (Rₙ − Rₙ₋₁) Pₙ over thresholds n, from the highest.
    pub(super) average_precision: f64,
}

impl Scores {
    /// Keeps at most so many scores in memory.
    pub(super) fn new(most: usize, scratch: &Scratch) -> Self {
        let half = || Sorter::new(most / 2, scratch);
        Self { of_it: half(), others: half() }
    }

    /// Takes the score of a row, and whether it is of the class.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(super) fn push(&mut self, score: f64, of_it: bool) -> Result<()> {
        if of_it { self.of_it.push(score) } else { self.others.push(score) }
    }

    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn ranking(self) -> Result<Ranking> {
        let positives = (self.of_it.count() as f64).max(1.0);
        let (mut of_it, mut others) = (self.of_it.descending()?, self.others.descending()?);
        let (mut next_of_it, mut next_other) = (of_it.next()?, others.next()?);
        let (mut hits, mut misses, mut pairs, mut area) = (0.0, 0.0, 0.0, 0.0);
        // From the highest down, equal ones at once: misses so far were ahead of these hits.
        loop {
            let score = match (next_of_it, next_other) {
                (Some(a), Some(b)) if b.total_cmp(&a).is_gt() => b,
                (Some(a), _) => a,
                (None, Some(b)) => b,
                (None, None) => break,
            };
            let same = |next: Option<f64>| next.is_some_and(|it| it.total_cmp(&score).is_eq());
            let (mut hit, mut miss) = (0.0, 0.0);
            while same(next_of_it) {
                hit += 1.0;
                next_of_it = of_it.next()?;
            }
            while same(next_other) {
                miss += 1.0;
                next_other = others.next()?;
            }
            pairs += hit * misses + hit * miss / 2.0;
            hits += hit;
            misses += miss;
            area += hit / positives * (hits / (hits + misses));
        }
        let roc_auc = (hits * misses > 0.0).then(|| 1.0 - pairs / (hits * misses));
        Ok(Ranking { roc_auc, average_precision: area })
    }
}
