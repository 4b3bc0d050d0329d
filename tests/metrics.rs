//! Figures of predictions against stored scikit-learn ones (`tests/oracle/metrics.py`).

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use serde_json::Value;
use wgrad::train::Metric;
use wgrad::train::metrics::classes::{ConfusionCounts, confusion};
use wgrad::train::metrics::{
    ClassAverage, ScoredRows, TableFigures, Uncertainty, Weights, numbers,
};

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

fn weights_of(case: &Value) -> Weights {
    case["weights"].as_array().map(|_| floats(&case["weights"]).into())
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

fn classes_outcomes(case: &Value) -> ScoredRows {
    let (truth, probabilities) = (classes_of(&case["truth"]), floats(&case["probabilities"]));
    let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
    let first_of_largest = |row: &[f64]| {
        let largest = row.iter().copied().fold(0.0, f64::max);
        u32::try_from(row.iter().position(|&p| p == largest).unwrap()).unwrap()
    };
    let best: Vec<u32> = probabilities.chunks_exact(classes).map(first_of_largest).collect();
    made_classes(truth, probabilities, best, weights_of(case))
}

fn made_classes(
    truth: Vec<u32>,
    probabilities: Vec<f64>,
    best: Vec<u32>,
    weights: Weights,
) -> ScoredRows {
    let classes = probabilities.len() / truth.len();
    let tally = ConfusionCounts::of(&truth, &best, weights.as_deref(), classes);
    ScoredRows::Classes { truth, probabilities, best, weights, tally }
}

fn labels_outcomes(case: &Value) -> ScoredRows {
    let columns = case["truth"][0].as_array().unwrap().len();
    let (truth, yes) = (floats(&case["truth"]), floats(&case["probabilities"]));
    let taken = |p: &f64| u32::from(*p > 0.5);
    let part = |column: usize| {
        let truth: Vec<u32> =
            truth[column..].iter().step_by(columns).map(|&y| u32::from(y > 0.5)).collect();
        let yes = || yes[column..].iter().step_by(columns);
        let probabilities = yes().flat_map(|&p| [1.0 - p, p]).collect();
        made_classes(truth, probabilities, yes().map(taken).collect(), weights_of(case))
    };
    let rows = truth.chunks_exact(columns).zip(yes.chunks_exact(columns));
    let right = rows.map(|(y, p)| y.iter().zip(p).all(|(y, p)| (*y > 0.5) == (*p > 0.5)));
    let right = Some(right.collect());
    ScoredRows::Columns { parts: (0..columns).map(part).collect(), right }
}

/// All stored cases with what comes of their rows.
fn cases() -> impl Iterator<Item = (ScoredRows, Value)> {
    type Make = fn(&Value) -> ScoredRows;
    let made: [(&str, Make); 3] =
        [("classes", classes_outcomes), ("labels", labels_outcomes), ("numbers", numbers_outcomes)];
    made.into_iter()
        .flat_map(|(family, make)| stored(family).into_iter().map(move |case| (make(&case), case)))
}

fn numbers_outcomes(case: &Value) -> ScoredRows {
    let (truth, predicted) = (floats(&case["truth"]), floats(&case["predicted"]));
    ScoredRows::Numbers { truth, predicted, weights: weights_of(case), spread: Uncertainty::None }
}

#[test]
fn figures_are_scikit_learns() {
    let mut compared: BTreeSet<String> = BTreeSet::new();
    for (outcomes, case) in cases() {
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
fn rows_of(outcomes: &ScoredRows, rows: std::ops::Range<usize>) -> ScoredRows {
    match outcomes {
        ScoredRows::Classes { truth, probabilities, best, weights, .. } => {
            let classes = probabilities.len() / truth.len();
            let probabilities = probabilities[rows.start * classes..rows.end * classes].to_vec();
            let [truth, best] = [truth, best].map(|all| all[rows.clone()].to_vec());
            made_classes(truth, probabilities, best, some(weights, rows))
        }
        ScoredRows::Numbers { truth, predicted, weights, spread } => {
            let of = |all: &[f64]| all[rows.clone()].to_vec();
            let spread = match spread {
                Uncertainty::None => Uncertainty::None,
                Uncertainty::Quantiles(all) => Uncertainty::Quantiles(
                    all.iter().map(|(share, all)| (*share, of(all))).collect(),
                ),
                Uncertainty::Normal(mean, std) => Uncertainty::Normal(of(mean), of(std)),
            };
            let (truth, predicted) = (of(truth), of(predicted));
            ScoredRows::Numbers { truth, predicted, weights: some(weights, rows), spread }
        }
        ScoredRows::Columns { parts, right } => {
            let parts: Vec<ScoredRows> = parts.iter().map(|it| rows_of(it, rows.clone())).collect();
            let right = right.as_ref().map(|right| right[rows].to_vec());
            ScoredRows::Columns { parts, right }
        }
    }
}

fn some(weights: &Weights, rows: std::ops::Range<usize>) -> Weights {
    weights.as_ref().map(|weights| weights[rows].into())
}

fn count(outcomes: &ScoredRows) -> usize {
    match outcomes {
        ScoredRows::Classes { truth, .. } => truth.len(),
        ScoredRows::Numbers { truth, .. } => truth.len(),
        ScoredRows::Columns { parts, .. } => count(&parts[0]),
    }
}

/// Figures of a table that comes in parts of so many rows; so many numbers are sorted in memory.
fn in_parts(
    outcomes: &ScoredRows,
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
    for (outcomes, case) in cases() {
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
    let two: Vec<ScoredRows> = stored("classes")
        .iter()
        .filter(|case| case["classes"] == 2)
        .take(2)
        .map(classes_outcomes)
        .collect();
    let rows = two.iter().map(count).min().unwrap();
    let parts: Vec<ScoredRows> = two.iter().map(|it| rows_of(it, 0..rows)).collect();
    let all_right = |row: usize| {
        parts.iter().all(|part| match part {
            ScoredRows::Classes { truth, best, .. } => truth[row] == best[row],
            _ => false,
        })
    };
    let right = Some((0..rows).map(all_right).collect());
    let labels = ScoredRows::Columns { parts, right };
    let numbers: Vec<ScoredRows> = stored("numbers").iter().take(3).map(numbers_outcomes).collect();
    let rows = numbers.iter().map(count).min().unwrap();
    let numbers = numbers.iter().map(|it| rows_of(it, 0..rows)).collect();
    let numbers = ScoredRows::Columns { parts: numbers, right: None };
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
        let ScoredRows::Classes { truth, best, tally, .. } = classes_outcomes(&case) else {
            panic!("numbers")
        };
        let counts = confusion(&truth, &best, case["each"].as_array().unwrap().len());
        let got: Vec<f64> = counts.iter().flatten().map(|&count| count as f64).collect();
        // Rows are counted there, whatever they weigh.
        if case["weights"].is_null() {
            assert_eq!(got, floats(&case["confusion"]), "{}", case["name"]);
        }
        for (class, want) in tally.figures().iter().zip(case["each"].as_array().unwrap()) {
            for (got, want) in [class.precision, class.recall, class.f1, class.weight]
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
        let weights = weights_of(&case);
        let rows =
            numbers::NumberRows { truth: &truth, predicted: &low, weights: weights.as_deref() };
        let coverage = numbers::coverage(rows, &high);
        assert_same("coverage", coverage, &case["coverage"]);
        let spread = Uncertainty::Quantiles(vec![(0.1, low.clone()), (0.9, high.clone())]);
        let (truth, predicted) = (truth.clone(), low.clone());
        let outcomes = ScoredRows::Numbers { truth, predicted, weights, spread };
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

/// All figures there are, of these rows at once and in parts.
fn all_figures(outcomes: &ScoredRows) -> Vec<(Metric, Option<f64>)> {
    let mut asked = vec![Metric::Accuracy, Metric::R2, Metric::Mae, Metric::Rmse, Metric::Coverage];
    asked.extend([0, 2, 9].into_iter().flat_map(Metric::suiting));
    asked.extend([Metric::Pinball(0.1), Metric::Pinball(0.8)]);
    let whole = in_parts(outcomes, &asked, usize::MAX / 2, usize::MAX);
    assert_eq!(in_parts(outcomes, &asked, 3, 2), whole);
    for &(metric, value) in &whole {
        assert_close(&metric, outcomes.figure(metric), value);
    }
    whole
}

fn assert_close(metric: &Metric, got: Option<f64>, want: Option<f64>) {
    let close = |(got, want): (f64, f64)| (got - want).abs() <= 1e-13 + 1e-12 * want.abs();
    assert!(got.zip(want).map_or(got == want, close), "{metric}: {got:?}, want {want:?}");
}

/// These rows, each as often as its weight says.
fn repeated(outcomes: &ScoredRows, weights: &[u32]) -> ScoredRows {
    fn each<T: Copy>(all: &[T], weights: &[u32], width: usize) -> Vec<T> {
        let rows = all.chunks_exact(width).zip(weights);
        rows.flat_map(|(row, &times)| row.repeat(times as usize)).collect()
    }
    match outcomes {
        ScoredRows::Classes { truth, probabilities, best, .. } => {
            let classes = probabilities.len() / truth.len();
            let probabilities = each(probabilities, weights, classes);
            made_classes(each(truth, weights, 1), probabilities, each(best, weights, 1), None)
        }
        ScoredRows::Numbers { truth, predicted, spread, .. } => {
            let (truth, predicted) = (each(truth, weights, 1), each(predicted, weights, 1));
            let spread = match spread {
                Uncertainty::Normal(mean, std) => {
                    Uncertainty::Normal(each(mean, weights, 1), each(std, weights, 1))
                }
                other => other.clone(),
            };
            ScoredRows::Numbers { truth, predicted, weights: None, spread }
        }
        ScoredRows::Columns { parts, right } => ScoredRows::Columns {
            parts: parts.iter().map(|part| repeated(part, weights)).collect(),
            right: right.as_ref().map(|right| each(right, weights, 1)),
        },
    }
}

/// The same rows with weights.
fn weighed(outcomes: &ScoredRows, all: &[f64]) -> ScoredRows {
    match outcomes.clone() {
        ScoredRows::Classes { truth, probabilities, best, .. } => {
            made_classes(truth, probabilities, best, Some(all.into()))
        }
        ScoredRows::Numbers { truth, predicted, spread, .. } => {
            ScoredRows::Numbers { truth, predicted, weights: Some(all.into()), spread }
        }
        ScoredRows::Columns { parts, right } => ScoredRows::Columns {
            parts: parts.iter().map(|part| weighed(part, all)).collect(),
            right,
        },
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Classes(u32),
    Labels,
    Numbers,
}

/// Numbers of a row, from which its target and its prediction are made.
type Draw = (u32, [u32; 3]);

/// Rows of a kind with many ties, made of small whole numbers.
fn rows_from(kind: Kind, draws: &[Draw]) -> ScoredRows {
    let classes = |count: u32, truth: &dyn Fn(&Draw) -> u32, at: usize| {
        let truth: Vec<u32> = draws.iter().map(|draw| truth(draw) % count).collect();
        let row = |(_, draw): &Draw| {
            let raw: Vec<f64> =
                (0..count as usize).map(|k| f64::from(1 + draw[(at + k) % 3])).collect();
            let sum: f64 = raw.iter().sum();
            raw.into_iter().map(move |p| p / sum).collect::<Vec<_>>()
        };
        let p: Vec<f64> = draws.iter().flat_map(row).collect();
        let best = p.chunks_exact(count as usize).map(|row| {
            let largest = row.iter().copied().fold(0.0, f64::max);
            u32::try_from(row.iter().position(|&p| p == largest).unwrap()).unwrap()
        });
        let best = best.collect();
        made_classes(truth, p, best, None)
    };
    match kind {
        Kind::Classes(count) => classes(count, &|draw| draw.0, 0),
        Kind::Labels => {
            let parts: Vec<ScoredRows> =
                (0..3).map(|label| classes(2, &|draw| draw.0 >> label, label)).collect();
            let right = |row: usize| {
                parts.iter().all(|part| match part {
                    ScoredRows::Classes { truth, best, .. } => truth[row] == best[row],
                    _ => false,
                })
            };
            let right = Some((0..draws.len()).map(right).collect());
            ScoredRows::Columns { parts, right }
        }
        Kind::Numbers => {
            let of = |at: usize| draws.iter().map(move |draw| f64::from(draw.1[at]));
            let truth = draws.iter().map(|draw| f64::from(draw.0) / 3.0).collect();
            let spread =
                Uncertainty::Normal(of(1).collect(), of(2).map(|s| s / 2.0 + 0.1).collect());
            ScoredRows::Numbers { truth, predicted: of(0).collect(), weights: None, spread }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whole_weights_are_as_good_as_repeated_rows(
        kind in prop_oneof![
            (2_u32..4).prop_map(Kind::Classes), Just(Kind::Labels), Just(Kind::Numbers)
        ],
        rows in prop::collection::vec((0_u32..8, [0_u32..6, 0_u32..6, 0_u32..6], 0_u32..4), 1..30)
    ) {
        let draws: Vec<_> = rows.iter().map(|&(truth, draw, _)| (truth, draw)).collect();
        let weights: Vec<u32> = rows.iter().map(|row| row.2).collect();
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let plain = rows_from(kind, &draws);
        let wide: Vec<f64> = weights.iter().copied().map(f64::from).collect();
        let got = all_figures(&weighed(&plain, &wide));
        let want = all_figures(&repeated(&plain, &weights));
        for (&(metric, got), &(_, want)) in got.iter().zip(&want) {
            assert_close(&metric, got, want);
        }
        // A common factor changes nothing.
        let third: Vec<f64> = wide.iter().map(|weight| weight / 3.0).collect();
        for (&(metric, value), &(_, want)) in all_figures(&weighed(&plain, &third)).iter().zip(&want) {
            assert_close(&metric, value, want);
        }
        // Weights of 1 are none, to the bit.
        let ones = weighed(&plain, &vec![1.0; draws.len()]);
        prop_assert_eq!(all_figures(&ones), all_figures(&plain));
        for (metric, _) in &want {
            prop_assert_eq!(ones.figure(*metric), plain.figure(*metric));
        }
    }
}

#[test]
fn the_positive_class_is_the_later_of_two() {
    let outcomes = classes_outcomes(&stored("classes")[0]);
    let ScoredRows::Classes { tally, .. } = &outcomes else { panic!("numbers") };
    let positive = tally.figures()[1];
    for (metric, want) in [
        (Metric::Precision(ClassAverage::Binary), positive.precision),
        (Metric::Recall(ClassAverage::Binary), positive.recall),
        (Metric::F1(ClassAverage::Binary), positive.f1),
    ] {
        assert_eq!(outcomes.figure(metric), Some(want));
        assert!(want > 0.0 && want < 1.0, "{metric}: {want}");
    }
}
