//! Figures of the order of scores.
//!
//! In: scores and weights of rows that are of a class, and of rows that are not. Out: the areas under two curves.
//! Absent on purpose: where a score comes from. Such a figure needs all scores in order; so of many rows they go through a file
//! ([`Sorter`]), and the figure stays exact.

use super::compensated_sum::CompensatedSum;
use crate::data::{SharedTempFile, Sorter};
use crate::error::Result;

/// Scores of one class against all others.
#[derive(Debug)]
pub(super) struct Scores {
    of_it: Sorter,
    others: Sorter,
    /// Weight of the rows of the class.
    positives: CompensatedSum,
}

/// Figures of scores in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranking {
    /// Share of pairs of a row of the class and another one that are in order, ties counted half; a pair counts for the
    /// product of its weights. `None` without a pair.
    pub(super) roc_auc: Option<f64>,
    /// Σ (Rₙ − Rₙ₋₁) Pₙ over thresholds n, from the highest; `None` without a row of the class.
    pub(super) average_precision: Option<f64>,
}

impl Scores {
    /// Keeps at most so many scores in memory.
    pub(super) fn new(most: usize, scratch: &SharedTempFile) -> Self {
        let half = || Sorter::new(most / 2, scratch);
        Self { of_it: half(), others: half(), positives: CompensatedSum::default() }
    }

    /// Takes the score and the weight of a row, and whether it is of the class.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(super) fn push(&mut self, score: f64, weight: f64, of_it: bool) -> Result<()> {
        match of_it {
            _ if weight <= 0.0 => Ok(()),
            true => {
                self.positives.add(weight);
                self.of_it.push(score, weight)
            }
            false => self.others.push(score, weight),
        }
    }

    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn ranking(self) -> Result<Ranking> {
        let positives = self.positives.value();
        let (mut of_it, mut others) = (self.of_it.descending()?, self.others.descending()?);
        let (mut next_of_it, mut next_other) = (of_it.next()?, others.next()?);
        let (mut hits, mut misses, mut pairs) =
            (CompensatedSum::default(), CompensatedSum::default(), CompensatedSum::default());
        let mut area = 0.0;
        // From the highest down, equal ones at once: misses so far were ahead of these hits.
        loop {
            let score = match (next_of_it, next_other) {
                (Some((a, _)), Some((b, _))) if b.total_cmp(&a).is_gt() => b,
                (Some((a, _)), _) => a,
                (None, Some((b, _))) => b,
                (None, None) => break,
            };
            let same = |next: Option<(f64, f64)>| {
                next.filter(|(it, _)| it.total_cmp(&score).is_eq()).map(|(_, weight)| weight)
            };
            let (mut hit, mut miss) = (CompensatedSum::default(), CompensatedSum::default());
            while let Some(weight) = same(next_of_it) {
                hit.add(weight);
                next_of_it = of_it.next()?;
            }
            while let Some(weight) = same(next_other) {
                miss.add(weight);
                next_other = others.next()?;
            }
            let (hit, miss) = (hit.value(), miss.value());
            pairs.add(hit * misses.value() + hit * miss / 2.0);
            hits.add(hit);
            misses.add(miss);
            area += hit / positives * (hits.value() / (hits.value() + misses.value()));
        }
        let all = hits.value() * misses.value();
        let roc_auc = (all > 0.0).then(|| 1.0 - pairs.value() / all);
        Ok(Ranking { roc_auc, average_precision: (positives > 0.0).then_some(area) })
    }
}
