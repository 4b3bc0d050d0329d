//! Small data sets made by formula, for tests, examples and benchmarks.
//!
//! In: sizes and a seed. Out: [`Dataset`]s that are the same on every machine up to the last bits
//! of `sin` and `ln`.
//! Absent on purpose: files.

use std::f64::consts::{PI, TAU};
use std::sync::Arc;

use super::numbers::NumberVec;
use super::schema::{Schema, TargetKind};
use super::stored_numbers::LoadedNumbers;
use super::table::Dataset;
use super::targets::Targets;
use crate::random::{Purpose, Random, Seed};

/// Exclusive or: the corners of a square, the class saying whether both signs differ. Rows go round the
/// corners; each coordinate is -1 or 1 with normal noise of the given standard deviation.
pub fn xor(rows: u32, noise: f64, seed: Seed) -> Dataset {
    let mut random = seed.stream(Purpose::Synthetic);
    let mut x = Vec::with_capacity(rows as usize * 2);
    let mut y = Vec::with_capacity(rows as usize);
    for row in 0..rows {
        let (a, b) = (row & 1, (row >> 1) & 1);
        for bit in [a, b] {
            x.push((f64::from(bit) * 2.0 - 1.0 + noise * random.normal()) as f32);
        }
        y.push(a ^ b);
    }
    dataset("xor", 2, 2, x, Targets::Classes(y))
}

/// Interleaved spirals round the origin, one a class (at least 2), in the unit disc; rows go round the
/// classes. Each makes three quarters of a turn, with a little noise.
pub fn spirals(rows: u32, classes: u32, seed: Seed) -> Dataset {
    let mut random = seed.stream(Purpose::Synthetic);
    let classes = classes.max(2);
    let mut x = Vec::with_capacity(rows as usize * 2);
    let mut y = Vec::with_capacity(rows as usize);
    for row in 0..rows {
        let class = row % classes;
        let radius = random.uniform(0.05, 1.0);
        let angle = TAU * f64::from(class) / f64::from(classes) + 1.5 * PI * radius;
        // Less noise for more arms, so that they stay apart.
        let angle = angle + random.normal() * 0.3 / f64::from(classes);
        x.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
        y.push(class);
    }
    dataset("spirals", 2, classes, x, Targets::Classes(y))
}

/// One period of a sine: y = sin(x) for x uniform in [-π, π), with normal noise on y.
pub fn sine(rows: u32, noise: f64, seed: Seed) -> Dataset {
    let mut random = seed.stream(Purpose::Synthetic);
    let (x, y) = (0..rows)
        .map(|_| {
            let x = random.uniform(-PI, PI);
            (x as f32, f64::from((x.sin() + noise * random.normal()) as f32))
        })
        .unzip();
    dataset("sine", 1, 0, x, Targets::Numbers(y))
}

/// Friedman's first function, without noise, of features uniform in [0, 1):
/// y = 10 sin(π x0 x1) + 20 (x2 - 1/2)² + 10 x3 + 5 x4.
///
/// Further columns do not matter to y; of fewer than 5 (at least 1) the missing ones count as 0. See
/// <https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_friedman1.html>.
pub fn friedman(rows: u32, columns: u32, seed: Seed) -> Dataset {
    let mut random: Random = seed.stream(Purpose::Synthetic);
    let columns = columns.max(1) as usize;
    let mut x: Vec<f32> = Vec::with_capacity(rows as usize * columns);
    let mut y = Vec::with_capacity(rows as usize);
    for _ in 0..rows {
        let start = x.len();
        x.extend((0..columns).map(|_| random.unit() as f32));
        let of = |i: usize| x[start..].get(i).map_or(0.0, |&v| f64::from(v));
        let value = 10.0 * (PI * of(0) * of(1)).sin()
            + 20.0 * (of(2) - 0.5).powi(2)
            + 10.0 * of(3)
            + 5.0 * of(4);
        y.push(f64::from(value as f32));
    }
    dataset("friedman", columns, 0, x, Targets::Numbers(y))
}

fn dataset(source: &str, columns: usize, classes: u32, x: Vec<f32>, y: Targets) -> Dataset {
    let kind = match classes {
        0 => TargetKind::Number,
        _ => TargetKind::Classes((0..classes).map(|class| class.to_string()).collect()),
    };
    let features = (0..columns).map(|column| format!("x{column}")).collect();
    let schema = Schema { features, target: "y".into(), kind, ..Schema::default() };
    Dataset {
        schema,
        x: Arc::new(NumberVec::Loaded(LoadedNumbers::Single(x))),
        memory: None,
        y: Arc::new(y),
        weights: None,
        left_out: 0,
        skipped: Arc::default(),
        places: None,
        inexact: Vec::new(),
        source: source.into(),
        class_lines: Vec::new(),
        raw: None,
        odd: Arc::default(),
        notes: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_sets_are_those_that_arrays_give() {
        for data in [
            xor(103, 0.1, Seed(1)),
            spirals(100, 3, Seed(1)),
            sine(100, 0.1, Seed(1)),
            friedman(100, 7, Seed(1)),
            friedman(100, 2, Seed(1)),
        ] {
            let again = Dataset::from_arrays(data.x(), data.columns(), data.y().clone()).unwrap();
            assert_eq!(again.schema(), data.schema(), "{}", data.source());
            assert_eq!(again.rows(), data.rows(), "{}", data.source());
        }
    }

    #[test]
    fn seeds_and_formulas_decide() {
        assert_eq!(xor(50, 0.3, Seed(1)), xor(50, 0.3, Seed(1)));
        assert_ne!(xor(50, 0.3, Seed(1)), xor(50, 0.3, Seed(2)));
        let clean = xor(4, 0.0, Seed(0));
        assert_eq!(clean.x().to_vec(), [-1.0, -1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 1.0]);
        assert_eq!(clean.y(), &Targets::Classes(vec![0, 1, 1, 0]));

        let wave = sine(200, 0.0, Seed(4));
        let Targets::Numbers(y) = wave.y() else { panic!("classes") };
        assert!(wave.x().iter().zip(y).all(|(x, y)| (x.sin() - y).abs() < 1e-5));

        let spread = spirals(300, 4, Seed(2));
        assert!((0..300).all(|i| spread.row(i).iter().map(|v| v * v).sum::<f64>() <= 1.0001));

        let five = friedman(1, 5, Seed(9));
        let Targets::Numbers(y) = five.y() else { panic!("classes") };
        let v = five.row(0).to_vec();
        let want = 10.0 * (std::f64::consts::PI * v[0] * v[1]).sin()
            + 20.0 * (v[2] - 0.5).powi(2)
            + 10.0 * v[3]
            + 5.0 * v[4];
        assert!((y[0] - want).abs() < 1e-4, "{} {want}", y[0]);
    }
}
