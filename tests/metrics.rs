//! Figures of predictions against stored scikit-learn ones (`tests/oracle/metrics.py`).

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use serde_json::Value;
use wgrad::train::Metric;
use wgrad::train::metrics::classes::{Tally, confusion};
use wgrad::train::metrics::{Outcomes, Spread, TableFigures, numbers};

fn stored(family: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/metrics.json");
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    stored[family].as_array().unwrap().clone()
}

fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(floats).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

fn classes_of(value: &Value) -> Vec<u32> {
    let classes = value.as_array().unwrap().iter();
    classes.map(|class| u32::try_from(class.as_u64().unwrap()).unwrap()).collect()
}

/// Both sides compute in f64 and add at most 90 terms in another order.
fn assert_same(what: &str, got: Option<f64>, want: &Value) {
    match (got, want.as_f64()) {
        (Some(got), Some(want)) => {
            assert!((got - want).abs() <= 1e-13 + 1e-12 * want.abs(), "{what}: {got}, want {want}");
        }
        (got, want) => assert_eq!(got, want, "{what}"),
    }
}

fn classes_outcomes(case: &Value) -> Outcomes {
    let (truth, probabilities) = (classes_of(&case["truth"]), floats(&case["probabilities"]));
    let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
    let first_of_largest = |row: &[f64]| {
        let largest = row.iter().copied().fold(0.0, f64::max);
        u32::try_from(row.iter().position(|&p| p == largest).unwrap()).unwrap()
    };
    let best: Vec<u32> = probabilities.chunks_exact(classes).map(first_of_largest).collect();
    let tally = Tally::of(&truth, &best, classes);
    Outcomes::Classes { truth, probabilities, best, tally }
}

fn numbers_outcomes(case: &Value) -> Outcomes {
    let (truth, predicted) = (floats(&case["truth"]), floats(&case["predicted"]));
    Outcomes::Numbers { truth, predicted, spread: Spread::None }
}

#[test]
fn figures_are_scikit_learns() {
    let mut compared: BTreeSet<String> = BTreeSet::new();
    let classes = stored("classes").into_iter().map(|case| (classes_outcomes(&case), case));
    let numbers = stored("numbers").into_iter().map(|case| (numbers_outcomes(&case), case));
    for (outcomes, case) in classes.chain(numbers) {
        for (name, want) in case["figures"].as_object().unwrap() {
            let metric: Metric = name.parse().unwrap();
            assert_same(&format!("{}: {name}", case["name"]), outcomes.figure(metric), want);
            compared.insert(metric.to_string());
        }
    }
    // Intervals have stored figures of their own.
    let elsewhere = |name: &str| ["loss", "coverage"].contains(&name);
    for entry in Metric::VOCABULARY.iter().filter(|entry| !elsewhere(entry.name)) {
        let name = entry.name.replace("BINS", "15").replace("QUANTILE", "0.9").replace('K', "3");
        assert!(compared.contains(&name), "{name} was never compared");
    }
}

/// Some rows of these.
fn rows_of(outcomes: &Outcomes, rows: std::ops::Range<usize>) -> Outcomes {
    match outcomes {
        Outcomes::Classes { truth, probabilities, best, .. } => {
            let classes = probabilities.len() / truth.len();
            let probabilities = probabilities[rows.start * classes..rows.end * classes].to_vec();
            let [truth, best] = [truth, best].map(|all| all[rows.clone()].to_vec());
            let tally = Tally::of(&truth, &best, classes);
            Outcomes::Classes { truth, probabilities, best, tally }
        }
        Outcomes::Numbers { truth, predicted, spread } => {
            let of = |all: &[f64]| all[rows.clone()].to_vec();
            let spread = match spread {
                Spread::None => Spread::None,
                Spread::Quantiles(all) => {
                    Spread::Quantiles(all.iter().map(|(share, all)| (*share, of(all))).collect())
                }
                Spread::Normal(mean, std) => Spread::Normal(of(mean), of(std)),
            };
            Outcomes::Numbers { truth: of(truth), predicted: of(predicted), spread }
        }
        Outcomes::Columns { parts, right } => {
            let parts: Vec<Outcomes> = parts.iter().map(|it| rows_of(it, rows.clone())).collect();
            let all_right = |row: usize| {
                parts.iter().all(|part| match part {
                    Outcomes::Classes { truth, best, .. } => truth[row] == best[row],
                    _ => false,
                })
            };
            let right =
                right.map(|_| (rows.len(), (0..rows.len()).filter(|&r| all_right(r)).count()));
            Outcomes::Columns { parts, right }
        }
    }
}

fn count(outcomes: &Outcomes) -> usize {
    match outcomes {
        Outcomes::Classes { truth, .. } => truth.len(),
        Outcomes::Numbers { truth, .. } => truth.len(),
        Outcomes::Columns { parts, .. } => count(&parts[0]),
    }
}

/// Figures of a table that comes in parts of so many rows; so many numbers are sorted in memory.
fn in_parts(
    outcomes: &Outcomes,
    asked: &[Metric],
    rows: usize,
    sorted: usize,
) -> Vec<(Metric, Option<f64>)> {
    let mut figures = TableFigures::sorting(asked.to_vec(), sorted);
    for first in (0..count(outcomes)).step_by(rows) {
        let last = (first + rows).min(count(outcomes));
        figures.add(&rows_of(outcomes, first..last)).unwrap();
    }
    figures.finish().unwrap()
}

#[test]
fn parts_have_scikit_learns_figures_to_the_same_bit() {
    let classes = stored("classes").into_iter().map(|case| (classes_outcomes(&case), case));
    let numbers = stored("numbers").into_iter().map(|case| (numbers_outcomes(&case), case));
    for (outcomes, case) in classes.chain(numbers) {
        let wanted = case["figures"].as_object().unwrap();
        let asked: Vec<Metric> = wanted.keys().map(|name| name.parse().unwrap()).collect();
        let whole = in_parts(&outcomes, &asked, usize::MAX / 2, usize::MAX);
        for ((metric, got), want) in whole.iter().zip(wanted.values()) {
            assert_same(&format!("{}: {metric} in parts", case["name"]), *got, want);
        }
        // Few sorted numbers, so that they go through a file.
        for (rows, sorted) in [(1, usize::MAX), (1, 2), (7, 16), (64, 3), (1000, 1)] {
            let parts = in_parts(&outcomes, &asked, rows, sorted);
            assert_eq!(parts, whole, "{}: {rows} rows, {sorted} sorted", case["name"]);
        }
    }
}

#[test]
fn several_columns_in_parts_are_as_at_once() {
    let two: Vec<Outcomes> = stored("classes")
        .iter()
        .filter(|case| case["classes"] == 2)
        .take(2)
        .map(classes_outcomes)
        .collect();
    let rows = two.iter().map(count).min().unwrap();
    let labels = Outcomes::Columns {
        parts: two.iter().map(|it| rows_of(it, 0..rows)).collect(),
        right: Some((0, 0)),
    };
    let labels = rows_of(&labels, 0..rows);
    let numbers: Vec<Outcomes> = stored("numbers").iter().take(3).map(numbers_outcomes).collect();
    let rows = numbers.iter().map(count).min().unwrap();
    let numbers = numbers.iter().map(|it| rows_of(it, 0..rows)).collect();
    let numbers = Outcomes::Columns { parts: numbers, right: None };
    let mut accuracies = vec![];
    for (outcomes, classes) in [(labels, 2), (numbers, 0)] {
        let mut asked = Metric::suiting(classes);
        asked.extend(if classes == 0 {
            [Metric::R2, Metric::Mae]
        } else {
            [Metric::Accuracy, Metric::Loss]
        });
        let whole = in_parts(&outcomes, &asked, usize::MAX / 2, usize::MAX);
        for (metric, value) in &whole {
            let want = outcomes.figure(*metric);
            let close = |(a, b): (f64, f64)| (a - b).abs() <= 1e-13 + 1e-12 * b.abs();
            assert!(value.zip(want).map_or(*value == want, close), "{metric}: {value:?} {want:?}");
            accuracies.extend(value.filter(|_| *metric == Metric::Accuracy));
        }
        for (rows, sorted) in [(1, 4), (7, usize::MAX)] {
            assert_eq!(in_parts(&outcomes, &asked, rows, sorted), whole, "{rows} rows");
        }
    }
    assert!(matches!(accuracies[..], [share] if share > 0.0 && share < 1.0), "{accuracies:?}");
}

#[test]
fn each_class_has_scikit_learns_figures() {
    for case in stored("classes") {
        let Outcomes::Classes { truth, best, tally, .. } = classes_outcomes(&case) else {
            panic!("numbers")
        };
        let counts = confusion(&truth, &best, case["each"].as_array().unwrap().len());
        let got: Vec<f64> = counts.iter().flatten().map(|&count| count as f64).collect();
        assert_eq!(got, floats(&case["confusion"]), "{}", case["name"]);
        for (class, want) in tally.figures().iter().zip(case["each"].as_array().unwrap()) {
            let rows = class.rows as f64;
            for (got, want) in [class.precision, class.recall, class.f1, rows]
                .into_iter()
                .zip(want.as_array().unwrap())
            {
                assert_same(&case["name"].to_string(), Some(got), want);
            }
        }
    }
}

#[test]
fn intervals_cover_their_share() {
    let cases = stored("intervals");
    assert!(!cases.is_empty());
    for case in cases {
        let [truth, low, high] = ["truth", "low", "high"].map(|key| floats(&case[key]));
        assert_same("coverage", numbers::coverage(&truth, &low, &high), &case["coverage"]);
        let spread = Spread::Quantiles(vec![(0.1, low.clone()), (0.9, high.clone())]);
        let outcomes = Outcomes::Numbers { truth: truth.clone(), predicted: low.clone(), spread };
        assert_same("coverage", outcomes.figure(Metric::Coverage), &case["coverage"]);
        for rows in [3, 1000] {
            let [(_, got)] = in_parts(&outcomes, &[Metric::Coverage], rows, 1)[..] else {
                panic!("one figure")
            };
            assert_same("coverage in parts", got, &case["coverage"]);
        }
    }
}

#[test]
fn what_belongs_to_other_targets_is_not_defined() {
    let classes = classes_outcomes(&stored("classes")[0]);
    let numbers = numbers_outcomes(&stored("numbers")[0]);
    for metric in Metric::suiting(0) {
        assert_eq!(classes.figure(metric), None, "{metric}");
    }
    for metric in Metric::suiting(9) {
        assert_eq!(numbers.figure(metric), None, "{metric}");
    }
}
