//! Sums over rows that come in parts.
//!
//! In: numbers in the order of their rows. Out: sums, means and spreads: the same bits, however the rows are parted.
//! Absent on purpose: what the numbers are.

/// A sum as exact as one rounding of it, however many terms it has: what each addition rounds off is summed as well
/// (Knuth's two-sum).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct CompensatedSum {
    high: f64,
    low: f64,
}

impl CompensatedSum {
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

/// Weights of rows, one for each: all 1 where none are given.
pub(super) fn each(weights: Option<&[f64]>) -> impl Iterator<Item = f64> {
    let ones = usize::from(weights.is_none());
    let ones = std::iter::repeat_n(1.0, ones).cycle();
    weights.unwrap_or_default().iter().copied().chain(ones)
}

/// A weighted mean. Weights of 1 give the bits of a plain mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mean {
    sum: CompensatedSum,
    weight: CompensatedSum,
}

impl Mean {
    /// The plain mean of some terms; `None` of nothing.
    pub(super) fn of(terms: impl Iterator<Item = f64>) -> Option<f64> {
        let mut mean = Self::default();
        mean.extend(terms, None);
        mean.value()
    }

    pub(super) fn extend(&mut self, terms: impl Iterator<Item = f64>, weights: Option<&[f64]>) {
        for (term, weight) in terms.zip(each(weights)) {
            self.add(term, weight);
        }
    }

    pub(super) fn add(&mut self, term: f64, weight: f64) {
        // A term that is not finite would make a product with 0 NaN.
        if weight > 0.0 {
            self.sum.add(weight * term);
            self.weight.add(weight);
        }
    }

    /// `None` of nothing.
    pub(super) fn value(self) -> Option<f64> {
        let weight = self.weight.value();
        (weight > 0.0).then(|| self.sum.value() / weight)
    }
}

/// The root of a weighted mean of squares, of numbers whose squares are beyond what a float holds, too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RootMeanSquare {
    squares: Mean,
    /// Squares of the numbers times [`Self::SMALL`].
    small: Mean,
}

impl RootMeanSquare {
    /// 2^-540: the square of the largest float times it is 2^968, which leaves room for a sum over many rows.
    const SMALL: f64 = f64::from_bits((1023 - 540) << 52);

    pub(super) fn extend(&mut self, terms: impl Iterator<Item = f64>, weights: Option<&[f64]>) {
        for (term, weight) in terms.zip(each(weights)) {
            self.add(term, weight);
        }
    }

    pub(super) fn add(&mut self, term: f64, weight: f64) {
        self.squares.add(term * term, weight);
        self.small.add((term * Self::SMALL).powi(2), weight);
    }

    /// `None` of nothing.
    pub(super) fn value(self) -> Option<f64> {
        let root = self.squares.value()?.sqrt();
        if root.is_finite() { Some(root) } else { Some(self.small.value()?.sqrt() / Self::SMALL) }
    }
}

/// The squared distances of numbers from their weighted mean, summed as they come (Welford, West 1979); exactly 0 where all
/// are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Squares {
    weight: CompensatedSum,
    mean: f64,
    squares: CompensatedSum,
}

impl Squares {
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        if weight <= 0.0 {
            return;
        }
        if self.weight.value() == 0.0 {
            // Exactly: a product with a weight and its quotient may round.
            self.mean = value;
        }
        self.weight.add(weight);
        let step = value - self.mean;
        self.mean += weight * step / self.weight.value();
        self.squares.add(weight * step * (value - self.mean));
    }

    /// Σ w (x − x̄)²
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
        let mut sum = CompensatedSum::default();
        terms.iter().for_each(|&term| sum.add(term));
        assert_eq!(sum.value(), 2.001);
        let mut tenths = CompensatedSum::default();
        (0..10_000_000).for_each(|_| tenths.add(0.1));
        // 0.1 as a float is 0.1 + 5.55e-18.
        assert_eq!(tenths.value(), 1e6);
        let mut endless = CompensatedSum::default();
        [f64::MAX, f64::MAX, 1.0].into_iter().for_each(|term| endless.add(term));
        assert_eq!(endless.value(), f64::INFINITY);
        assert_eq!(Mean::of([].into_iter()), None);
        assert_eq!(Mean::of([1.0, 2.0, 6.0].into_iter()), Some(3.0));
        let mut weighted = Mean::default();
        weighted.extend([1.0, f64::NAN, 6.0].into_iter(), Some(&[0.5, 0.0, 2.0]));
        assert_eq!(weighted.value(), Some(5.0));
        assert_eq!(each(None).take(3).collect::<Vec<_>>(), [1.0; 3]);
        assert_eq!(each(Some(&[])).count(), 0, "no rows are not rows without weights");
    }

    #[test]
    fn spreads_do_not_cancel() {
        // Far from 0 and close together: Σx² − (Σx)²/n would have no digit left.
        let mut spread = Squares::default();
        for i in 0..1_000_000 {
            spread.add(1e9 + f64::from(i % 5), 1.0);
        }
        assert!((spread.value() - 2e6).abs() < 1e-3, "{}", spread.value());
        let mut alike = Squares::default();
        (0..1000).for_each(|i| alike.add(0.1, 0.1 + f64::from(i % 7)));
        assert_eq!(alike.value(), 0.0);
        let (mut weighted, mut repeated) = (Squares::default(), Squares::default());
        for i in 0..100_u32 {
            weighted.add(f64::from(i * i % 17), f64::from(i % 4));
            (0..i % 4).for_each(|_| repeated.add(f64::from(i * i % 17), 1.0));
        }
        assert!((weighted.value() - repeated.value()).abs() < 1e-11 * repeated.value());
    }
}
