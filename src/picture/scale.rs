//! Scales from numbers to coordinates, and the round numbers at which an axis has ticks.
//!
//! In: the ends of a range. Out: coordinates, ticks with their texts.
//! Absent on purpose: drawing.

/// A scale from numbers to coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// True if ticks are whole numbers.
    whole: bool,
    /// Coordinates of the ends.
    ends: (f64, f64),
}

/// A value with a tick, and its text.
pub(super) type Tick = (f64, String);

impl Scale {
    /// A linear scale that holds all values with a little room; those that are not finite are passed over.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values).unwrap_or((0.0, 1.0));
        // Products first: the difference of very large numbers would not be finite.
        let room = if high > low {
            0.04 * high - 0.04 * low
        } else if high == 0.0 {
            1.0
        } else {
            0.05 * high.abs()
        };
        let (low, high) = ((low - room).max(-f64::MAX), (high + room).min(f64::MAX));
        Self { low, high, log: false, whole: false, ends: (0.0, 1.0) }
    }

    /// A linear scale between two numbers.
    pub(super) fn between(low: f64, high: f64) -> Self {
        if low.is_finite() && high.is_finite() && low < high {
            return Self { low, high, log: false, whole: false, ends: (0.0, 1.0) };
        }
        Self::around([low, high].into_iter())
    }

    /// A logarithmic scale if the values are above 0 and their ends a factor of 30 or more apart, else a linear one.
    pub(super) fn by_spread(values: impl Iterator<Item = f64> + Clone) -> Self {
        const FACTOR: f64 = 30.0;
        match range(values.clone()) {
            Some((low, high)) if low > 0.0 && high / low >= FACTOR => {
                let room = (high / low).powf(0.04);
                Self {
                    low: low / room,
                    high: high * room,
                    log: true,
                    whole: false,
                    ends: (0.0, 1.0),
                }
            }
            _ => Self::around(values),
        }
    }

    /// Limits ticks to whole numbers.
    pub(super) fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Sets the coordinates of the ends.
    pub(super) fn to(self, start: f64, end: f64) -> Self {
        Self { ends: (start, end), ..self }
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    pub(super) fn ends(&self) -> (f64, f64) {
        self.ends
    }

    /// True if the value is within the scale.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The coordinate of a value; `None` if it has none.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let (low, high, value) = match self.log {
            true => (self.low.ln(), self.high.ln(), value.ln()),
            false => (self.low, self.high, value),
        };
        // Halves keep the difference of very large ends finite.
        let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        let at = self.ends.0 + share * (self.ends.1 - self.ends.0);
        at.is_finite().then_some(at)
    }

    /// Ticks with their texts, at most `most` of them, but two at least where the range has two round numbers.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        if self.log {
            return self.log_ticks(most);
        }
        let mut step = round_up(self.high / most.max(1) as f64 - self.low / most.max(1) as f64);
        if self.whole {
            step = step.max(1.0);
        }
        let mut values = Vec::new();
        let first = (self.low / step).ceil();
        for place in 0..=most {
            let value = (first + place as f64) * step;
            if value <= self.high {
                values.push(if value == 0.0 { 0.0 } else { value });
            }
        }
        let texts = tick_texts(&values, step);
        values.into_iter().zip(texts).collect()
    }

    /// Ticks at powers of ten, at 1, 2 and 5 times these where there are few, or each of several powers where there are many.
    fn log_ticks(&self, most: usize) -> Vec<Tick> {
        let (first, last) = (self.low.log10().floor(), self.high.log10().ceil());
        let at = |stride: f64, times: &[f64]| -> Vec<Tick> {
            let (mut ticks, mut power) = (Vec::new(), (first / stride).floor() * stride);
            while power <= last {
                let values = times.iter().map(|factor| factor * 10_f64.powf(power));
                ticks.extend(values.filter(|&it| self.holds(it)).map(|it| (it, plain(it))));
                power += stride;
            }
            ticks
        };
        let fine = at(1.0, &[1.0, 2.0, 5.0]);
        if fine.len() <= most {
            return fine;
        }
        // There are some hundred powers of ten at most.
        let mut coarse = (1..400).map(|stride| at(f64::from(stride), &[1.0]));
        coarse.find(|ticks| ticks.len() <= most.max(1)).unwrap_or_default()
    }
}

/// The least and the largest of the finite values.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

/// The next of 1, 2, 5 times a power of ten.
fn round_up(step: f64) -> f64 {
    if !(step > 0.0 && step.is_finite()) {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    // A step that is round already must not become the next one by its last bit.
    let found = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= step * (1.0 - 1e-9));
    found.unwrap_or(10.0) * power
}

/// Captions of an axis, all with the same number of places.
fn tick_texts(values: &[f64], step: f64) -> Vec<String> {
    let most = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let places = |of: f64| -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and not negative"
        )]
        let places = (-(of.log10() + 1e-9).floor()).clamp(0.0, 17.0) as usize;
        places
    };
    let text = |&value: &f64| match most {
        _ if value == 0.0 => "0".to_string(),
        most if (1e-3..1e6).contains(&most) => grouped(value, places(step)),
        // Neighbours differ in their digits.
        _ => {
            let digits = places(step / 10_f64.powf(value.abs().log10().floor()));
            sign(format!("{value:.digits$e}"))
        }
    };
    values.iter().map(text).collect()
}

/// A number with thousands between commas.
pub(super) fn grouped(value: f64, places: usize) -> String {
    let text = format!("{:.places$}", value.abs());
    let (whole, rest) = match text.split_once('.') {
        Some((whole, rest)) => (whole, format!(".{rest}")),
        None => (text.as_str(), String::new()),
    };
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let is_zero = !text.contains(|c: char| c.is_ascii_digit() && c != '0');
    let minus = if value < 0.0 && !is_zero { "−" } else { "" };
    format!("{minus}{grouped}{rest}")
}

/// A power of ten, or a few times one.
fn plain(value: f64) -> String {
    if (1e-3..1e5).contains(&value) {
        let text = format!("{value:.3}");
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    sign(format!("{value:.0e}"))
}

/// Writes hyphens of numbers as minus signs.
fn sign(text: String) -> String {
    text.replace('-', "−")
}

/// A number in a few digits, for texts beside marks.
pub(super) fn few_digits(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return sign(value.to_string());
    }
    if !(1e-3..1e6).contains(&size) {
        return sign(format!("{value:.2e}"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 5")]
    let places = (2.0 - size.log10().floor()).clamp(0.0, 5.0) as usize;
    let text = grouped(value, places);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale, most: usize) -> Vec<String> {
        scale.ticks(most).into_iter().map(|it| it.1).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(Scale::between(0.0, 1.0), 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(Scale::between(1.0, 3.0).whole(), 8), ["1", "2", "3"]);
        assert_eq!(
            texts(Scale::between(-20_000.0, 50_000.0), 4),
            ["−20,000", "0", "20,000", "40,000"]
        );
        assert_eq!(texts(Scale::between(0.0, 4e-6), 4), ["0", "1e−6", "2e−6", "3e−6", "4e−6"]);
        assert_eq!(
            texts(Scale::between(1_000_000.0, 1_000_002.0), 2),
            ["1.000000e6", "1.000001e6", "1.000002e6"]
        );
    }

    #[test]
    fn powers_of_ten_suit_their_range() {
        assert_eq!(
            texts(Scale::by_spread([0.01, 1.0].into_iter()), 9),
            ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
        );
        assert_eq!(
            texts(Scale::by_spread([1e-6, 1.0].into_iter()), 4),
            ["1e−6", "1e−4", "0.01", "1"]
        );
        assert!(!Scale::by_spread([0.5, 1.0].into_iter()).is_log());
        assert!(!Scale::by_spread([0.0, 1.0].into_iter()).is_log());
    }

    #[test]
    fn ends_without_a_range_have_one() {
        for values in
            [vec![], vec![0.0], vec![7.0], vec![f64::NAN, f64::INFINITY], vec![-1e308, 1e308]]
        {
            let scale = Scale::around(values.iter().copied()).to(0.0, 100.0);
            assert!(
                scale
                    .at(values.first().copied().filter(|it| it.is_finite()).unwrap_or(0.5))
                    .is_some(),
                "{values:?}"
            );
        }
        let scale = Scale::around([7.0].into_iter()).to(0.0, 100.0);
        assert!((scale.at(7.0).unwrap() - 50.0).abs() < 1e-9);
    }

    #[test]
    fn few_digits_tell_enough() {
        assert_eq!(
            [0.0, 0.1234, 12.0, 1234.6, -3.5, 1e7].map(few_digits),
            ["0", "0.123", "12", "1,235", "−3.5", "1.00e7"]
        );
    }
}
