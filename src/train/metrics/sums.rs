//! Sums over rows that come in parts.
//!
//! In: numbers in the order of their rows. Out: sums, means and spreads: the same bits, however the rows are parted.
//! Absent on purpose: what the numbers are.

/// A sum as exact as one rounding of it, however many terms it has: what each addition rounds off is summed as well
/// (Knuth's two-sum).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    pub(super) fn add(&mut self, term: f64) {
        let sum = self.high + term;
        let added = sum - self.high;
        self.low += (self.high - (sum - added)) + (term - added);
        self.high = sum;
    }

    pub(super) fn value(self) -> f64 {
        // Beyond what a float holds there is nothing to correct.
        if self.high.is_finite() { self.high + self.low } else { self.high }
    }
}

/// A mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mean {
    sum: Sum,
    count: u64,
}

impl Mean {
    pub(super) fn of(terms: impl Iterator<Item = f64>) -> Self {
        let mut mean = Self::default();
        mean.extend(terms);
        mean
    }

    pub(super) fn extend(&mut self, terms: impl Iterator<Item = f64>) {
        for term in terms {
            self.sum.add(term);
            self.count += 1;
        }
    }

    /// `None` of nothing.
    pub(super) fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.value() / self.count as f64)
    }
}

/// The squared distances of numbers from their mean, summed as they come (Welford); exactly 0 where all are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Squares {
    count: u64,
    mean: f64,
    squares: Sum,
}

impl Squares {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        let step = value - self.mean;
        self.mean += step / self.count as f64;
        self.squares.add(step * (value - self.mean));
    }

    /// Σ (x − x̄)²
    pub(super) fn value(self) -> f64 {
        self.squares.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_lose_nothing() {
        let terms = [1e16, 1.0, -1e16, 1e-3, 1e16, 1.0, -1e16];
        let mut sum = Sum::default();
        terms.iter().for_each(|&term| sum.add(term));
        assert_eq!(sum.value(), 2.001);
        let mut tenths = Sum::default();
        (0..10_000_000).for_each(|_| tenths.add(0.1));
        // 0.1 as a float is 0.1 + 5.55e-18.
        assert_eq!(tenths.value(), 1e6);
        let mut endless = Sum::default();
        [f64::MAX, f64::MAX, 1.0].into_iter().for_each(|term| endless.add(term));
        assert_eq!(endless.value(), f64::INFINITY);
        assert_eq!(Mean::of([].into_iter()).value(), None);
        assert_eq!(Mean::of([1.0, 2.0, 6.0].into_iter()).value(), Some(3.0));
    }

    #[test]
    fn spreads_do_not_cancel() {
        // Far from 0 and close together: Σx² − (Σx)²/n would have no digit left.
        let mut spread = Squares::default();
        for i in 0..1_000_000 {
            spread.add(1e9 + f64::from(i % 5));
        }
        assert!((spread.value() - 2e6).abs() < 1e-3, "{}", spread.value());
        let mut alike = Squares::default();
        (0..1000).for_each(|_| alike.add(0.1));
        assert_eq!(alike.value(), 0.0);
    }
}
