//! Scaling beyond a shift and a factor as ONNX nodes: logarithms, smooth clipping, ranks in a normal distribution; and the parts of a date.
//!
//! In: values in f64. Out: the same values as the program scales them, to about 1e-13.
//! Absent on purpose: networks, and single precision, in which ranks would be lost.

use super::builder::NodeBuilder;
use super::proto::{Attribute, Kind, size};
use crate::data::{
    CENTRAL, CENTRE, CLIP, FeatureScaling, LARGE, MOST_RANK, Preprocessing, SHARE_BELOW, TAIL,
    WIDEST_Z,
};

/// Share below which, and above one minus which, a rank is beyond the largest result.
const LEAST_SHARE: f64 = 1e-8;
/// Number below which e^x - 1 is a sum of powers.
const SMALL: f64 = 1e-4;

/// Appends nodes on values in f64, one operator after the other.
struct Maths<'a> {
    to: &'a mut NodeBuilder,
}

impl Maths<'_> {
    fn one(&mut self, op: &str, x: &str) -> String {
        self.to.node(op, &[x], vec![])
    }

    fn two(&mut self, op: &str, a: &str, b: &str) -> String {
        self.to.node(op, &[a, b], vec![])
    }

    /// Applies an operator to values and a number.
    fn with(&mut self, op: &str, x: &str, number: f64) -> String {
        let number = self.to.doubles("number", &[number]);
        self.two(op, x, &number)
    }

    fn select(&mut self, which: &str, yes: &str, no: &str) -> String {
        self.to.node("Where", &[which, yes, no], vec![])
    }

    fn cast(&mut self, x: &str, kind: Kind) -> String {
        self.to.node("Cast", &[x], vec![Attribute::int("to", kind.number().into())])
    }

    /// Cuts values to a range.
    fn clip(&mut self, x: &str, low: f64, high: f64) -> String {
        let raised = self.with("Max", x, low);
        self.with("Min", &raised, high)
    }

    /// Takes columns of values `[rows, columns]`.
    fn columns(&mut self, x: &str, which: &[i64]) -> String {
        let which = self.to.integers(which);
        self.to.node("Gather", &[x, &which], vec![Attribute::int("axis", 1)])
    }

    fn concat(&mut self, parts: &[String]) -> String {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.to.node("Concat", &parts, vec![Attribute::int("axis", 1)])
    }

    fn polynomial(&mut self, coefficients: &[f64], x: &str) -> String {
        let mut sum = self.to.doubles("coefficient", &coefficients[..1]);
        for &coefficient in &coefficients[1..] {
            let product = self.two("Mul", &sum, x);
            sum = self.with("Add", &product, coefficient);
        }
        sum
    }

    fn quotient(&mut self, (above, below): (&[f64], &[f64]), x: &str) -> String {
        let (above, below) = (self.polynomial(above, x), self.polynomial(below, x));
        self.two("Div", &above, &below)
    }

    /// sign(x) · ln(1 + |x|). The sum 1 + |x| loses digits of a small x, which a factor restores.
    fn signed_log(&mut self, x: &str) -> String {
        let magnitude = self.one("Abs", x);
        let sum = self.with("Add", &magnitude, 1.0);
        let log = self.one("Log", &sum);
        let rest = self.with("Sub", &sum, 1.0);
        let zero = self.to.doubles("number", &[0.0]);
        let (nothing, one) = (self.two("Equal", &rest, &zero), self.to.doubles("number", &[1.0]));
        let divisor = self.select(&nothing, &one, &rest);
        let factor = self.two("Div", &magnitude, &divisor);
        let exact = self.two("Mul", &log, &factor);
        // Beyond 2^53 the factor is 1, and of the largest numbers infinity over infinity.
        let limit = self.to.doubles("number", &[1e15]);
        let small = self.two("Less", &magnitude, &limit);
        let wide = self.select(&small, &exact, &log);
        let value = self.select(&nothing, &magnitude, &wide);
        let sign = self.one("Sign", x);
        self.two("Mul", &sign, &value)
    }

    /// sign(x) · (e^|x| - 1).
    fn signed_exp(&mut self, x: &str) -> String {
        let magnitude = self.one("Abs", x);
        let exp = self.one("Exp", &magnitude);
        let large = self.with("Sub", &exp, 1.0);
        let series = self.polynomial(&[1.0 / 6.0, 0.5, 1.0, 0.0], &magnitude);
        let limit = self.to.doubles("number", &[SMALL]);
        let small = self.two("Less", &magnitude, &limit);
        let value = self.select(&small, &series, &large);
        let sign = self.one("Sign", x);
        self.two("Mul", &sign, &value)
    }

    /// z / √(1 + (z/3)²).
    fn smooth_clip(&mut self, z: &str) -> String {
        let z = self.clip(z, -LARGE, LARGE);
        let part = self.with("Div", &z, CLIP);
        let square = self.two("Mul", &part, &part);
        let sum = self.with("Add", &square, 1.0);
        let root = self.one("Sqrt", &sum);
        self.two("Div", &z, &root)
    }

    /// The rank of values `[rows, 1]` among rising ones, from 0 to 1.
    fn rank(&mut self, x: &str, table: &[f64]) -> String {
        let values = self.to.doubles("quantiles", table);
        let last = table.len() - 1;
        let counted = |maths: &mut Self, op: &str| {
            let below = maths.two(op, &values, x);
            let below = maths.cast(&below, Kind::Int64);
            let axis = maths.to.integers(&[1]);
            let count = maths.to.node("ReduceSum", &[&below, &axis], vec![]);
            let (one, none) = (maths.to.integers(&[1]), maths.to.integers(&[0]));
            let most = maths.to.integers(&[size(last) - 1]);
            let at = maths.two("Sub", &count, &one);
            let at = maths.two("Max", &at, &none);
            let at = maths.two("Min", &at, &most);
            let next = maths.two("Add", &at, &one);
            let low = maths.two("Gather", &values, &at);
            let high = maths.two("Gather", &values, &next);
            let (part, step) = (maths.two("Sub", x, &low), maths.two("Sub", &high, &low));
            let part = maths.two("Div", &part, &step);
            let at = maths.cast(&at, Kind::Double);
            maths.two("Add", &at, &part)
        };
        // A value that stands there often has many ranks, and takes the middle of the first and the last.
        let (first, next) = (counted(self, "Less"), counted(self, "LessOrEqual"));
        let sum = self.two("Add", &first, &next);
        let rank = self.with("Div", &sum, 2.0 * last as f64);
        let (zero, one) = (self.to.doubles("number", &[0.0]), self.to.doubles("number", &[1.0]));
        let low = self.with("LessOrEqual", x, table[0]);
        let high = self.with("GreaterOrEqual", x, table[last]);
        let rank = self.select(&high, &one, &rank);
        self.select(&low, &zero, &rank)
    }

    /// The number below which a share of the standard normal distribution lies.
    fn normal_quantile(&mut self, share: &str) -> String {
        let share = self.clip(share, LEAST_SHARE, 1.0 - LEAST_SHARE);
        let q = self.with("Sub", &share, 0.5);
        let square = self.two("Mul", &q, &q);
        let limit = self.to.doubles("number", &[CENTRAL * CENTRAL]);
        let near = self.two("Sub", &limit, &square);
        let near = self.quotient((&CENTRE.0, &CENTRE.1), &near);
        let near = self.two("Mul", &q, &near);
        let one = self.to.doubles("number", &[1.0]);
        let other = self.two("Sub", &one, &share);
        let smaller = self.two("Min", &share, &other);
        let log = self.one("Log", &smaller);
        let log = self.one("Neg", &log);
        let root = self.one("Sqrt", &log);
        let far = self.with("Sub", &root, 1.6);
        let far = self.quotient((&TAIL.0, &TAIL.1), &far);
        let sign = self.one("Sign", &q);
        let far = self.two("Mul", &sign, &far);
        let distance = self.one("Abs", &q);
        let central = self.with("LessOrEqual", &distance, CENTRAL);
        let z = self.select(&central, &near, &far);
        self.clip(&z, -MOST_RANK, MOST_RANK)
    }

    /// The share of the standard normal distribution below a number.
    fn normal_share(&mut self, z: &str) -> String {
        let magnitude = self.one("Abs", z);
        let magnitude = self.with("Min", &magnitude, WIDEST_Z);
        let square = self.two("Mul", &magnitude, &magnitude);
        let exponent = self.with("Div", &square, -2.0);
        let density = self.one("Exp", &exponent);
        let quotient = self.quotient((&SHARE_BELOW.0, &SHARE_BELOW.1), &magnitude);
        let below = self.two("Mul", &density, &quotient);
        let one = self.to.doubles("number", &[1.0]);
        let above = self.two("Sub", &one, &below);
        let positive = self.with("Greater", z, 0.0);
        self.select(&positive, &above, &below)
    }

    /// The value of a rank from 0 to 1 among rising ones.
    fn at_rank(&mut self, rank: &str, table: &[f64]) -> String {
        let values = self.to.doubles("quantiles", table);
        let last = table.len() - 1;
        let place = self.with("Mul", rank, last as f64);
        let whole = self.one("Floor", &place);
        let whole = self.clip(&whole, 0.0, (last - 1) as f64);
        let at = self.cast(&whole, Kind::Int64);
        let one = self.to.integers(&[1]);
        let next = self.two("Add", &at, &one);
        let (low, high) = (self.two("Gather", &values, &at), self.two("Gather", &values, &next));
        let part = self.two("Sub", &place, &whole);
        let step = self.two("Sub", &high, &low);
        let rest = self.two("Mul", &step, &part);
        self.two("Add", &low, &rest)
    }

    /// Whole quotient and rest of a division by a whole number.
    fn divided(&mut self, x: &str, by: f64) -> (String, String) {
        let quotient = self.with("Div", x, by);
        let quotient = self.one("Floor", &quotient);
        let taken = self.with("Mul", &quotient, by);
        let rest = self.two("Sub", x, &taken);
        (quotient, rest)
    }
}

/// Appends the scaling of inputs `[rows, inputs]` in f64.
pub(super) fn scale_inputs(to: &mut NodeBuilder, x: &str, preparation: &Preprocessing) -> String {
    let inputs = preparation.mean.len();
    let curves = &preparation.curves;
    let which = |method: FeatureScaling| -> Vec<bool> {
        (0..inputs).map(|input| curves.methods.get(input) == Some(&method)).collect()
    };
    let (logs, clipped) = (which(FeatureScaling::Log), which(FeatureScaling::Robust));
    let mut scaled = x.to_string();
    let mut maths = Maths { to };
    if logs.contains(&true) {
        let log = maths.signed_log(x);
        let flags = maths.to.flags("is_log", &logs);
        scaled = maths.select(&flags, &log, x);
    }
    let mean = maths.to.doubles("mean", &preparation.mean);
    let std = maths.to.doubles("std", &preparation.std);
    let moved = maths.two("Sub", &scaled, &mean);
    scaled = maths.two("Div", &moved, &std);
    if clipped.contains(&true) {
        let clip = maths.smooth_clip(&scaled);
        let flags = maths.to.flags("is_robust", &clipped);
        scaled = maths.select(&flags, &clip, &scaled);
    }
    let constant = |input: usize| {
        curves.methods.get(input) == Some(&FeatureScaling::Quantile)
            && !curves.quantiles.contains_key(&input)
    };
    let constant: Vec<bool> = (0..inputs).map(constant).collect();
    if constant.contains(&true) {
        let cut = maths.clip(&scaled, -MOST_RANK, MOST_RANK);
        let flags = maths.to.flags("is_constant", &constant);
        scaled = maths.select(&flags, &cut, &scaled);
    }
    if curves.quantiles.is_empty() {
        return scaled;
    }
    let mut ranks = Vec::with_capacity(curves.quantiles.len());
    for (&input, table) in &curves.quantiles {
        let column = maths.columns(x, &[size(input)]);
        ranks.push(maths.rank(&column, table));
    }
    let ranks = maths.concat(&ranks);
    let normal = maths.normal_quantile(&ranks);
    let all = maths.concat(&[scaled, normal]);
    // Each rank goes to the place of its column.
    let mut places: Vec<i64> = (0..inputs).map(size).collect();
    for (at, &input) in curves.quantiles.keys().enumerate() {
        places[input] = size(inputs + at);
    }
    maths.columns(&all, &places)
}

/// Appends what brings predictions `[rows, columns · each]` back from the target's curve, in f64: `line` has been multiplied and shifted,
/// and `z` has not.
pub(super) fn restore_target(
    to: &mut NodeBuilder,
    (line, z): (&str, &str),
    preparation: &Preprocessing,
    each: usize,
) -> String {
    let mut maths = Maths { to };
    match preparation.curves.target {
        Some(FeatureScaling::Log) => maths.signed_exp(line),
        Some(FeatureScaling::Quantile) => {
            let shares = maths.normal_share(z);
            let mut parts = Vec::new();
            for column in 0..preparation.target_mean.len() {
                let own: Vec<i64> = (column * each..(column + 1) * each).map(size).collect();
                parts.push(match preparation.curves.target_quantiles.get(&column) {
                    Some(table) => {
                        let ranks = maths.columns(&shares, &own);
                        maths.at_rank(&ranks, table)
                    }
                    // A constant target has one value.
                    None => {
                        let (line, mean) =
                            (maths.columns(line, &own), preparation.target_mean[column]);
                        maths.clip(&line, mean, mean)
                    }
                });
            }
            maths.concat(&parts)
        }
        _ => line.to_string(),
    }
}

/// Appends the parts of dates that are days since 1970-01-01 with their fraction, `[rows, 1]`: year, month, day, weekday, day of year, hour
/// and minute.
pub(super) fn date_parts(to: &mut NodeBuilder, days: &str) -> [String; 7] {
    let mut maths = Maths { to };
    // Rounded to milliseconds, as the program does.
    let milliseconds = maths.with("Mul", days, 86_400_000.0);
    let milliseconds = maths.with("Add", &milliseconds, 0.5);
    let milliseconds = maths.one("Floor", &milliseconds);
    let (day, rest) = maths.divided(&milliseconds, 86_400_000.0);
    let (hour, rest) = maths.divided(&rest, 3_600_000.0);
    let (minute, _) = maths.divided(&rest, 60_000.0);
    let since_monday = maths.with("Add", &day, 3.0);
    let (_, weekday) = maths.divided(&since_monday, 7.0);
    // Years begin in March here, so that a leap day is the last one.
    let shifted = maths.with("Add", &day, 719_468.0);
    let (era, of_era) = maths.divided(&shifted, 146_097.0);
    let mut years = of_era.clone();
    for (op, by) in [("Sub", 1460.0), ("Add", 36_524.0), ("Sub", 146_096.0)] {
        let (whole, _) = maths.divided(&of_era, by);
        years = maths.two(op, &years, &whole);
    }
    let (years, _) = maths.divided(&years, 365.0);
    let begun = maths.with("Mul", &years, 365.0);
    let (leaps, _) = maths.divided(&years, 4.0);
    let (centuries, _) = maths.divided(&years, 100.0);
    let begun = maths.two("Add", &begun, &leaps);
    let begun = maths.two("Sub", &begun, &centuries);
    let of_year = maths.two("Sub", &of_era, &begun);
    let five = maths.polynomial(&[5.0, 2.0], &of_year);
    let (months, _) = maths.divided(&five, 153.0);
    let before = maths.polynomial(&[153.0, 2.0], &months);
    let (before, _) = maths.divided(&before, 5.0);
    let date = maths.two("Sub", &of_year, &before);
    let date = maths.with("Add", &date, 1.0);
    let early = maths.with("Less", &months, 10.0);
    let (spring, winter) = (maths.with("Add", &months, 3.0), maths.with("Sub", &months, 9.0));
    let month = maths.select(&early, &spring, &winter);
    let eras = maths.with("Mul", &era, 400.0);
    let year = maths.two("Add", &years, &eras);
    let next = maths.with("Add", &year, 1.0);
    let year = maths.select(&early, &year, &next);
    let of_year = maths.day_of_year((&of_year, &early), &year);
    [year, month, date, weekday, of_year, hour, minute]
}

impl Maths<'_> {
    /// The day of a year from the day that is counted from March: January and February stand at the end there.
    fn day_of_year(&mut self, (from_march, spring): (&str, &str), year: &str) -> String {
        let by = |maths: &mut Self, divisor: f64| {
            let (_, rest) = maths.divided(year, divisor);
            let zero = maths.to.doubles("number", &[0.0]);
            maths.two("Equal", &rest, &zero)
        };
        let (fourth, hundredth, four_hundredth) = (by(self, 4.0), by(self, 100.0), by(self, 400.0));
        let not = self.one("Not", &hundredth);
        let usual = self.two("And", &fourth, &not);
        let leap = self.two("Or", &usual, &four_hundredth);
        let leap = self.cast(&leap, Kind::Double);
        // 1 March is day 60, or 61 in a leap year; 1 January is 306 days after 1 March.
        let later = self.with("Add", from_march, 60.0);
        let later = self.two("Add", &later, &leap);
        let sooner = self.with("Sub", from_march, 305.0);
        self.select(spring, &later, &sooner)
    }
}
