//! Names, lists and expressions as users write them in options.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::allowance;
use crate::memory::within;
use wgrad::graph::{Average, Group, Reduction, factors};
use wgrad::model::{Layer, Params, expression};
use wgrad::plan::Precision;
use wgrad::train::{ClassWeights, KeepWeights, Metric, OnNonFinite, Schedule, ScheduleKind};
use wgrad::{Activation, DeviceKind, FeatureScaling, Init, Loss, Optimizer, Seed, Sequential};

/// Columns of weights, at most, that an initialisation is tried on.
const MOST_WEIGHTS: usize = 1 << 12;

/// The first byte says what the rest is.
pub fn text(data: &[u8]) {
    let Some((&what, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    within(4 * allowance(data), || match what % 16 {
        0 | 1 => layers(text),
        2 | 3 => activation(text),
        4 => drop(kept::<Loss>(text)),
        5 | 6 => schedule(text),
        7 => optimizer(text),
        8 => initialisation(text),
        9 => group(text),
        10 => drop(kept::<Average>(text)),
        11 => drop(Metric::list("--metrics", text)),
        12 => drop(kept::<ClassWeights>(text)),
        13 => {
            let _ = kept::<Activation>(text);
            let _ = kept::<FeatureScaling>(text);
            let _ = kept::<Reduction>(text);
        }
        14 => {
            let _ = text.parse::<DeviceKind>();
            let _ = text.parse::<Precision>();
        }
        _ => {
            let _ = text.parse::<KeepWeights>();
            let _ = text.parse::<OnNonFinite>();
        }
    });
}

/// Parses a text, and checks that the value is the same after it was written and read again.
fn kept<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let read: T = text.parse().ok()?;
    let written = read.to_string();
    match written.parse::<T>() {
        // A NaN is not equal to itself.
        Ok(again) => {
            assert!(again == read || format!("{again:?}") == format!("{read:?}"), "{written}")
        }
        Err(_) => panic!("{text:?} is written as {written:?}, which cannot be read"),
    }
    Some(read)
}

fn layers(text: &str) {
    let Some(model) = kept::<Sequential>(text) else { return };
    let Ok(layout) = model.layout(3) else { return };
    let stored = serde_json::to_string(&model).expect("layers can be stored");
    let again: Sequential = serde_json::from_str(&stored).expect("and read again");
    assert_eq!(again, model);
    let summary = model.summary(3).expect("its sizes are known").to_string();
    assert!(summary.contains(" parameters, ") || summary.contains("1 parameter, "), "{summary}");
    assert!(model.max_width(3).is_ok());
    assert!(layout.count() <= layout.len());
}

fn activation(text: &str) {
    let Ok(f) = expression(text) else { return };
    let slope = f.derivative(0).program();
    for x in [-1e30, -2.0, 0.0, 0.5, f64::NAN] {
        let _ = (f.program().value(&[x]), slope.value(&[x]));
    }
    let (wgsl, results) = f.program().wgsl(|_| "x".into(), |_| "q".into());
    assert_eq!((results.len(), wgsl.lines().count()), (1, f.program().instructions().len()));
    if let Ok(custom) = wgrad::model::CustomLayer::of(f.clone(), &[]) {
        let model = Sequential::new().layer(Layer::Custom(custom));
        assert_eq!(kept::<Sequential>(&model.to_string()), Some(model));
    }
}

fn schedule(text: &str) {
    let Some(kind) = kept::<ScheduleKind>(text) else { return };
    for (warmup, epochs, steps) in [(0, 3, 5), (4, 2, 3), (0, u32::MAX, 1 << 20)] {
        let mut schedule = Schedule::new(kind.clone(), 0.1, warmup, epochs, steps);
        for step in [0, 1, 2, 7, 1_000_000, u64::from(u32::MAX) << 19] {
            let rate = schedule.lr(step);
            assert!((0.0..=0.101).contains(&rate), "{kind} at {step}: {rate}");
            schedule.observe(Some(step as f64));
        }
        schedule.observe(None);
    }
}

fn optimizer(text: &str) {
    let Ok(optimizer) = Optimizer::by_name(text) else { return };
    let written = optimizer.to_string();
    assert_eq!(Optimizer::by_name(&written).ok(), Some(optimizer.clone()), "{written}");
    let _ = optimizer.check();
}

fn initialisation(text: &str) {
    let Some(init) = kept::<Init>(text) else { return };
    let model =
        Sequential::new().layer(Layer::dense_from(7, init)).layer(Layer::dense_from(2, init));
    assert!(model.layout(5).is_ok_and(|layout| layout.len() <= MOST_WEIGHTS));
    let _ = Params::init(&model, 5, Seed(1));
}

fn group(text: &str) {
    let Ok(group) = text.parse::<Group>() else { return };
    let layout = Sequential::new().dense(3).batch_norm().dense(2).layout(4).expect("a model");
    let _ = factors(&[group], &layout);
}
