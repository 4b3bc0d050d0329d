//! Losses: values and gradients against stored PyTorch results and against differences, at extreme inputs, with weights of
//! rows and classes, and whole runs with each of them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::oracle::Oracle;
use common::{Tolerance, assert_close, normal};
use serde::Deserialize;
use wgrad::data::{FeatureScaling, Preprocessing, Split, Targets, synth};
use wgrad::device::DeviceKind;
use wgrad::device::cpu::Real;
use wgrad::device::cpu::loss::{LossInputs, LossTargets, loss_classes, loss_map};
use wgrad::graph::{Loss, Optimizer, Reduction, RequiredTarget};
use wgrad::plan::{LossVariant, Precision, StepParams};
use wgrad::train::{ClassWeights, Criterion, EpochStats, Predictions};
use wgrad::{Dataset, Event, Predictor, Seed, Sequential, TrainOptions, Trainer};

/// A case of `tests/oracle/losses.safetensors`.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    loss: Loss,
    kind: String,
    reduction: Reduction,
}

/// A batch, and what counts in it.
struct Batch<T> {
    outputs: Vec<T>,
    targets: Vec<T>,
    classes: Vec<u32>,
    constants: Vec<T>,
    weights: Option<Vec<T>>,
    rows: usize,
    divisor: f64,
}

impl<T: Real> Batch<T> {
    /// Losses of the rows and the gradient, as the kernel gives them.
    fn run(&self, loss: Loss, reduction: Reduction) -> (Vec<T>, Vec<T>) {
        self.run_members(loss, reduction, 1)
    }

    /// The same of so many members, whose outputs stand side by side in each row.
    fn run_members(&self, loss: Loss, reduction: Reduction, members: u32) -> (Vec<T>, Vec<T>) {
        let form = LossVariant {
            mean: reduction == Reduction::Mean,
            constants: !self.constants.is_empty(),
            weights: self.weights.is_some(),
            scaled: false,
            members,
        };
        let rows = u32::try_from(self.rows).unwrap();
        let step = StepParams { rows, divisor: Some(self.divisor), ..StepParams::default() };
        let extra = LossInputs {
            constants: form.constants.then_some(&*self.constants),
            weights: self.weights.as_deref(),
            members: members as usize,
        };
        let mut losses = vec![T::of(7.0); self.rows];
        let mut gradient = vec![T::of(7.0); self.outputs.len()];
        let outs = (losses.as_mut_slice(), gradient.as_mut_slice());
        match loss {
            Loss::Classes(of) => {
                let goal = match loss.classes() {
                    true => LossTargets::Classes(&self.classes),
                    false => LossTargets::Numbers(&self.targets),
                };
                loss_classes(of, (&self.outputs, goal), extra, outs, &step);
            }
            _ => {
                let values = (&*self.outputs, &*self.targets);
                let program = loss.formula().unwrap().program();
                loss_map((&form, &program), values, extra, outs, &step);
            }
        }
        (losses, gradient)
    }

    /// The loss of the batch.
    fn value(&self, loss: Loss, reduction: Reduction) -> f64 {
        self.run(loss, reduction).0.iter().map(|loss| loss.to_f64()).sum::<f64>() / self.rows as f64
    }
}

fn batch_of<T: Real>(oracle: &Oracle, case: &Case) -> Batch<T> {
    let of = |name: &str| format!("{}/{name}", case.name);
    let read = |name: &str| oracle.values(&of(name)).iter().map(|&v| T::of(v)).collect::<Vec<T>>();
    let some = |name: &str| oracle.has(&of(name)).then(|| read(name));
    let targets = read("targets");
    let classes: Vec<u32> = targets.iter().map(|class| class.to_f64() as u32).collect();
    let rows = oracle.shape(&of("outputs"))[0];
    let (weights, class_weights) = (some("weights"), some("class_weights"));
    let of_class = |row: usize| match &class_weights {
        Some(weights) if case.loss.classes() => weights[classes[row] as usize].to_f64(),
        _ => 1.0,
    };
    let weight = |row: usize| weights.as_ref().map_or(1.0, |weights| weights[row].to_f64());
    let total = (0..rows).map(|row| weight(row) * of_class(row)).sum();
    let divisor = if case.reduction == Reduction::Mean { total } else { 1.0 };
    let constants = match case.loss {
        Loss::Pinball(quantiles) => quantiles.as_slice().iter().map(|&q| T::of(q)).collect(),
        _ => class_weights.unwrap_or_default(),
    };
    let outputs = read("outputs");
    Batch { outputs, targets, classes, constants, weights, rows, divisor }
}

fn oracle() -> (Oracle, Vec<Case>) {
    let oracle = Oracle::read("losses");
    let cases: Vec<Case> = serde_json::from_str(oracle.metadata("cases")).unwrap();
    assert!(cases.len() >= 100, "only {} cases", cases.len());
    (oracle, cases)
}

/// Compares numbers where PyTorch has finite ones, and infinite ones with themselves. Where it has NaN there must be a
/// number.
fn assert_like(what: &str, got: &[f64], want: &[f64], tolerance: Tolerance) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let what = format!("{what}[{i}]");
        if want.is_finite() {
            assert_close(&what, &[got], &[want], tolerance);
        } else if want.is_nan() {
            assert!(got.is_finite(), "{what}: {got}");
        } else {
            assert_eq!(got, want, "{what}");
        }
    }
}

fn compare<T: Real>(case: &Case, oracle: &Oracle, tolerance: impl Fn(&[f64]) -> Tolerance) {
    let batch = batch_of::<T>(oracle, case);
    let (losses, gradient) = batch.run(case.loss.clone(), case.reduction);
    let of = |name: &str| oracle.values(&format!("{}/{name}", case.name));
    let wide = |values: &[T]| values.iter().map(|value| value.to_f64()).collect::<Vec<f64>>();
    // The kernel's losses bear weight · rows / divisor.
    let factor = batch.rows as f64 / batch.divisor;
    let weights = batch.weights.as_ref().map(|weights| wide(weights));
    let weight = |row: usize| weights.as_ref().map_or(1.0, |weights| weights[row]);
    // Of numbers that single precision does not hold, infinity is right.
    let held = |value: f64| T::of(value).to_f64();
    let rows: Vec<f64> =
        of("rows").iter().enumerate().map(|(i, l)| held(l * weight(i) * factor)).collect();
    assert_like(&format!("{} rows", case.name), &wide(&losses), &rows, tolerance(&rows));
    let gradients: Vec<f64> = of("gradient").iter().map(|&g| held(g)).collect();
    let what = format!("{} gradient", case.name);
    assert_like(&what, &wide(&gradient), &gradients, tolerance(&gradients));
    if of("loss")[0].is_finite() {
        let value = batch.value(case.loss.clone(), case.reduction);
        assert_close(&format!("{} loss", case.name), &[value], of("loss"), tolerance(of("loss")));
    }
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let (oracle, cases) = oracle();
    for case in cases.iter().filter(|case| !case.name.ends_with("/extreme")) {
        // Both sides compute in f64; PyTorch's 1 − p loses digits that ours keeps.
        compare::<f64>(case, &oracle, |_| Tolerance { abs: 1e-12, rel: 1e-11 });
        // A handful of roundings of 6e-8 of numbers of the largest's size.
        compare::<f32>(case, &oracle, |want| Tolerance::scaled(2e-6, want));
    }
}

#[test]
fn extreme_inputs_give_numbers() {
    let (oracle, cases) = oracle();
    let extreme: Vec<_> = cases.iter().filter(|case| case.name.ends_with("/extreme")).collect();
    assert_eq!(extreme.len(), 24);
    for case in extreme {
        // log cosh and cross-entropies are differences of numbers of up to 1e4.
        compare::<f64>(case, &oracle, |_| Tolerance { abs: 1e-11, rel: 1e-9 });
        compare::<f32>(case, &oracle, |_| Tolerance { abs: 4e-6, rel: 4e-6 });
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

#[test]
fn the_validation_loss_is_the_same() {
    let (oracle, cases) = oracle();
    for case in cases.iter().filter(|case| !case.name.ends_with("/extreme")) {
        let batch = batch_of::<f32>(&oracle, case);
        let columns = batch.targets.len() / batch.rows;
        let y = match case.loss.classes() {
            true => Targets::Classes(batch.classes.clone()),
            false => Targets::Columns(wide(&batch.targets), columns),
        };
        let x: Vec<f32> = (0..batch.rows).map(|row| row as f32).collect();
        let data = Dataset::from_arrays(&x, 1, y).unwrap();
        let data = if case.kind == "labels" { data.as_labels().unwrap() } else { data };
        let preparation = Preprocessing::fit(&data, FeatureScaling::None);
        let pinball = matches!(case.loss, Loss::Pinball(_));
        let class_weights = if pinball { vec![] } else { batch.constants.clone() };
        let (reduction, usual) = (case.reduction, Criterion::from(case.loss.clone()));
        let criterion = Criterion { reduction, class_weights, ..usual };
        let weights = batch.weights.as_deref().map(wide);
        let targets = (data.y(), weights.as_deref());
        let got = criterion.value(&batch.outputs, targets, &preparation);
        let want = oracle.values(&format!("{}/loss", case.name));
        assert_close(&case.name, &[got], want, Tolerance { abs: 1e-12, rel: 1e-11 });
    }
}

/// A batch of smooth random values for a loss, with weights of everything.
fn random_batch(loss: Loss, seed: u64) -> Batch<f64> {
    let (rows, targets) = (5, 3);
    let n = loss.outputs_for(targets);
    let outputs = normal(rows * n, Seed(seed));
    let draw = normal(rows * targets, Seed(seed + 10));
    let goal = |y: f64| match loss.wants() {
        RequiredTarget::Labels => f64::from(u8::from(y > 0.0)),
        RequiredTarget::Counts => (3.0 * y.abs()).floor(),
        RequiredTarget::Shares => y.abs() / 4.0,
        RequiredTarget::Classes | RequiredTarget::Numbers => y,
    };
    let constants = match loss {
        Loss::Pinball(quantiles) => quantiles.as_slice().to_vec(),
        _ => vec![0.5, 1.0, 2.5],
    };
    Batch {
        outputs,
        targets: draw.into_iter().map(goal).collect(),
        classes: vec![2, 0, 1, 1, 2],
        constants,
        weights: Some(vec![1.0, 0.5, 2.0, 0.0, 1.5]),
        rows,
        divisor: 3.5,
    }
}

#[test]
fn gradients_are_those_of_differences() {
    let more =
        ["cross-entropy(label_smoothing=0.2)", "pinball(0.2, 0.7)", "poisson-nll(full=true)"];
    let more = more.map(|text| text.parse::<Loss>().unwrap());
    for loss in Loss::all().into_iter().chain(more) {
        for (reduction, seed) in [(Reduction::Mean, 1), (Reduction::Sum, 2)] {
            let mut batch = random_batch(loss.clone(), seed);
            let gradient = batch.run(loss.clone(), reduction).1;
            for (at, &slope) in gradient.iter().enumerate() {
                let (there, h) = (batch.outputs[at], 1e-6);
                let mut value = |x: f64| {
                    batch.outputs[at] = x;
                    batch.value(loss.clone(), reduction)
                };
                let numeric = (value(there + h) - value(there - h)) / (2.0 * h);
                batch.outputs[at] = there;
                let what = format!("{loss}, {reduction}, output {at}");
                let tolerance = Tolerance { abs: 1e-8, rel: 1e-6 };
                assert_close(&what, &[slope], &[numeric], tolerance);
            }
            assert!(gradient.iter().any(|g| *g != 0.0), "{loss}");
        }
    }
}

/// Members have the row's targets each, and weigh the same.
#[test]
fn the_loss_of_members_is_the_mean_of_their_losses() {
    let quantiles = "pinball(0.2, 0.7)".parse::<Loss>().unwrap();
    for loss in Loss::all().into_iter().chain([quantiles]) {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let with = |outputs: Vec<f64>| Batch { outputs, ..random_batch(loss.clone(), 7) };
            let Batch { outputs, rows, .. } = random_batch(loss.clone(), 7);
            let (len, n) = (outputs.len(), outputs.len() / rows);
            let concat = |each: &[Vec<f64>]| -> Vec<f64> {
                let of_row = |row: usize| each.iter().flat_map(move |it| &it[row * n..][..n]);
                (0..rows).flat_map(of_row).copied().collect()
            };
            let each: Vec<_> = (20..23).map(|seed| normal(len, Seed(seed))).collect();
            let alone: Vec<(Vec<f64>, Vec<f64>)> =
                each.iter().map(|it| with(it.clone()).run(loss.clone(), reduction)).collect();
            let together = with(concat(&each));
            let (losses, gradient) = together.run_members(loss.clone(), reduction, 3);
            let mean = |row: usize| alone.iter().map(|(losses, _)| losses[row]).sum::<f64>() / 3.0;
            let want: Vec<f64> = (0..rows).map(mean).collect();
            let limit = Tolerance { abs: 1e-12, rel: 1e-12 };
            assert_close(&format!("{loss}, {reduction}"), &losses, &want, limit);
            let third = |slopes: &Vec<f64>| slopes.iter().map(|slope| slope / 3.0).collect();
            let slopes: Vec<Vec<f64>> = alone.iter().map(|(_, slopes)| third(slopes)).collect();
            let want = concat(&slopes);
            assert_close(&format!("slopes of {loss}, {reduction}"), &gradient, &want, limit);
        }
    }
}

#[test]
fn rows_that_do_not_count_are_zeros() {
    for loss in Loss::all() {
        let batch = random_batch(loss.clone(), 3);
        let fewer = Batch { rows: 5, ..batch };
        let form =
            LossVariant { mean: true, constants: true, weights: true, scaled: false, members: 1 };
        let step = StepParams { rows: 2, ..StepParams::default() };
        let extra = LossInputs {
            constants: Some(&*fewer.constants),
            weights: fewer.weights.as_deref(),
            members: 1,
        };
        let (mut losses, mut gradient) = (vec![f64::NAN; 5], vec![f64::NAN; fewer.outputs.len()]);
        let outs = (losses.as_mut_slice(), gradient.as_mut_slice());
        match loss {
            Loss::Classes(of) => {
                let numbers = LossTargets::Numbers(&fewer.targets);
                let goal =
                    if loss.classes() { LossTargets::Classes(&fewer.classes) } else { numbers };
                loss_classes(of, (&fewer.outputs, goal), extra, outs, &step);
            }
            _ => {
                let values = (&*fewer.outputs, &*fewer.targets);
                let program = loss.formula().unwrap().program();
                loss_map((&form, &program), values, extra, outs, &step);
            }
        }
        let n = fewer.outputs.len() / 5;
        assert!(losses[2..].iter().chain(&gradient[2 * n..]).all(|&v| v == 0.0), "{loss}");
        assert!(losses[..2].iter().chain(&gradient[..2 * n]).all(|v| v.is_finite()), "{loss}");
    }
}

#[test]
fn outputs_that_are_no_numbers_show_in_the_loss() {
    for loss in Loss::all() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for at in 0..loss.outputs_for(3) {
                let mut batch = random_batch(loss.clone(), 4);
                batch.outputs[at] = bad;
                let value = batch.value(loss.clone(), Reduction::Mean);
                // An output may be as sure as it likes of what is true.
                assert!(
                    !bad.is_nan() || value.is_nan(),
                    "{loss}, output {at}: {bad} gives {value}"
                );
            }
        }
    }
}

#[test]
fn a_positive_weight_is_that_of_the_rows_that_say_yes() {
    for text in ["binary-cross-entropy", "binary-focal", "binary-hinge"] {
        let loss: Loss = text.parse().unwrap();
        let mut batch = random_batch(loss.clone(), 7);
        (batch.weights, batch.divisor) = (None, 1.0);
        let (with, with_slopes) = batch.run(loss.clone(), Reduction::Sum);
        batch.constants = vec![];
        let (_, slopes) = batch.run(loss, Reduction::Sum);
        let weight =
            |at: usize| if batch.targets[at] == 1.0 { [0.5, 1.0, 2.5][at % 3] } else { 1.0 };
        let want: Vec<f64> = slopes.iter().enumerate().map(|(at, d)| d * weight(at)).collect();
        let tolerance = Tolerance { abs: 1e-14, rel: 1e-12 };
        assert_close(text, &with_slopes, &want, tolerance);
        assert!(with.iter().all(|loss| *loss >= 0.0));
    }
}

// ---- Whole runs ----

/// A table with targets of the kind that a loss wants, which two features tell.
fn table(loss: Loss, rows: usize) -> Dataset {
    let x: Vec<f32> = normal(2 * rows, Seed(5)).into_iter().map(|x| x as f32).collect();
    let features = || x.chunks(2).map(|x| (f64::from(x[0]), f64::from(x[1])));
    let noise = normal(rows, Seed(6));
    let y = match loss.wants() {
        RequiredTarget::Classes => {
            let class = |(a, b): (f64, f64)| if a + b > 0.7 { 2 } else { u32::from(a > b) };
            Targets::Classes(features().map(class).collect())
        }
        RequiredTarget::Labels => {
            let labels = |(a, b): (f64, f64)| [a > b, a + b > 0.0];
            let labels = features().flat_map(labels).map(|yes| f64::from(u8::from(yes)));
            Targets::Columns(labels.collect(), 2)
        }
        RequiredTarget::Counts => {
            let rate = |(a, b): (f64, f64)| (0.5 * a + b).exp().round();
            Targets::Numbers(features().map(rate).collect())
        }
        RequiredTarget::Shares => {
            let shares = |(a, _): (f64, f64)| [1.0 / (1.0 + a.exp()), 1.0 / (1.0 + (-a).exp())];
            Targets::Columns(features().flat_map(shares).collect(), 2)
        }
        RequiredTarget::Numbers => {
            let rows = features().zip(&noise);
            let numbers = |((a, b), e): ((f64, f64), &f64)| [10.0 + 3.0 * a + 0.1 * e, a * b];
            Targets::Columns(rows.flat_map(numbers).collect(), 2)
        }
    };
    let data = Dataset::from_arrays(&x, 2, y).unwrap();
    if loss.wants() == RequiredTarget::Labels { data.as_labels().unwrap() } else { data }
}

fn run(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> (Trainer, Vec<EpochStats>) {
    let outputs = options.loss.outputs_for(data.train.outputs());
    let model = Sequential::new().dense(24).tanh().dense(outputs);
    let mut trainer = Trainer::new(&model, data, options, kind).unwrap();
    let mut epochs = vec![];
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event.unwrap() {
            epochs.push(stats);
        }
    }
    (trainer, epochs)
}

/// Trains with a loss, and judges by what its outputs mean.
fn learn(loss: Loss, kind: &DeviceKind, epochs: u32) {
    let data = table(loss.clone(), 400).split(0.25, Seed(1)).unwrap();
    let keep = Some(wgrad::train::KeepWeights::Last);
    let options = TrainOptions {
        loss: loss.clone(),
        epochs,
        lr: 0.01,
        batch_size: 25,
        keep,
        ..TrainOptions::default()
    };
    let (trainer, epochs) = run(&data, &options, kind);
    let (first, last) = (&epochs[0], epochs.last().unwrap());
    assert!(last.train_loss < first.train_loss, "{loss}: {first:?} {last:?}");
    let valid = last.valid.clone().unwrap();
    match loss.wants() {
        RequiredTarget::Classes | RequiredTarget::Labels => {
            assert!(valid.accuracy > Some(0.85), "{loss}: {valid:?}")
        }
        _ => assert!(valid.r2 > Some(0.8), "{loss}: {valid:?}"),
    }
    let predictor = Predictor::new(trainer.trained()).unwrap().on(kind).unwrap();
    let rows = data.valid.as_ref().unwrap();
    let again = predictor.evaluate(rows).unwrap();
    assert_close("loss", &[again.loss], &[valid.loss], Tolerance { abs: 1e-6, rel: 1e-5 });
    let predicted = predictor.predict(rows.x()).unwrap();
    assert!(predicted.values().iter().all(|value| value.is_finite()), "{loss}");
    let targets = rows.y().columns();
    match (loss.clone(), &predicted) {
        (Loss::Pinball(quantiles), Predictions::Numbers(values)) => {
            // So many of the targets lie below each quantile, about.
            let (y, _) = targets.unwrap();
            let each = quantiles.as_slice().len();
            for (which, &q) in quantiles.as_slice().iter().enumerate() {
                let below = y.iter().enumerate().filter(|&(at, &y)| y < values[at * each + which]);
                let share = below.count() as f64 / y.len() as f64;
                assert!((share - q).abs() < 0.2, "{q}: {share}");
            }
        }
        (Loss::GaussianNll { .. }, Predictions::Numbers(values)) => {
            // Deviations from the first target's mean are a few of its standard deviations, which is in its units.
            let (y, _) = targets.unwrap();
            let rows = values.chunks(4).zip(y.chunks(2));
            let near = rows.filter(|(told, y)| (told[0] - y[0]).abs() < 3.0 * told[1]);
            assert!(near.count() >= 85, "{loss}");
            assert!(values.iter().skip(1).step_by(4).all(|&std| std > 0.0 && std < 3.0), "{loss}");
        }
        _ => {}
    }
}

#[test]
fn every_loss_trains() {
    for loss in Loss::all() {
        // Three quantiles in place of one.
        let three = || "pinball(0.1, 0.5, 0.9)".parse().unwrap();
        let loss = if matches!(loss, Loss::Pinball(_)) { three() } else { loss };
        learn(loss, &DeviceKind::Cpu, 60);
    }
}

#[cfg(feature = "gpu")]
#[test]
fn losses_of_each_kind_train_on_the_gpu() {
    let Some(kind) = common::gpu_kind() else { return };
    for text in ["gaussian-nll", "binary-cross-entropy", "kl-divergence", "focal"] {
        learn(text.parse().unwrap(), &kind, 40);
    }
}

#[test]
fn losses_train_in_half_precision() {
    for kind in common::half_kinds() {
        for text in ["binary-cross-entropy", "pinball(0.2, 0.8)", "cross-entropy(0.1)"] {
            let loss: Loss = text.parse().unwrap();
            let weights = (0..300).map(|row| f64::from(row % 3)).collect();
            let data = table(loss.clone(), 300)
                .with_weights(weights)
                .unwrap()
                .split(0.2, Seed(1))
                .unwrap();
            let of = |precision| {
                let options =
                    TrainOptions { loss: loss.clone(), precision, ..TrainOptions::default() };
                TrainOptions { epochs: 8, lr: 0.01, batch_size: 32, ..options }
            };
            let losses = |run: (Trainer, Vec<EpochStats>)| {
                run.1.iter().map(|epoch| epoch.train_loss).collect::<Vec<f64>>()
            };
            let single = losses(run(&data, &of(Precision::F32), &DeviceKind::Cpu));
            let half = losses(run(&data, &of(Precision::F16), &kind));
            let tolerance = Tolerance { abs: 0.01, rel: 0.01 };
            assert_close(&format!("{text} on {kind}"), &half, &single, tolerance);
            assert_ne!(half, single, "it must make some difference");
        }
    }
}

fn whole_batches(loss: Loss, class_weights: ClassWeights) -> TrainOptions {
    let (optimizer, lr, batch_size) = (Optimizer::by_name("sgd").unwrap(), 0.05, 1000);
    let scale = FeatureScaling::None;
    let options = TrainOptions {
        loss,
        class_weights,
        optimizer,
        lr,
        batch_size,
        scale,
        ..TrainOptions::default()
    };
    TrainOptions { epochs: 12, ..options }
}

fn assert_same_run(what: &str, a: &(Trainer, Vec<EpochStats>), b: &(Trainer, Vec<EpochStats>)) {
    let tolerance = Tolerance { abs: 1e-6, rel: 1e-5 };
    let losses = |run: &[EpochStats]| run.iter().map(|epoch| epoch.train_loss).collect::<Vec<_>>();
    assert_close(&format!("{what} loss"), &losses(&a.1), &losses(&b.1), tolerance);
    let params = |trainer: &Trainer| trainer.trained().params.arena().to_vec();
    assert_close(&format!("{what} weights"), &params(&a.0), &params(&b.0), tolerance);
}

#[test]
fn a_weight_of_two_is_as_good_as_the_row_twice() {
    for text in ["cross-entropy", "mse", "huber", "kl-divergence", "binary-cross-entropy"] {
        let loss: Loss = text.parse().unwrap();
        let data = table(loss.clone(), 40);
        let twice: Vec<u32> = (0..40).chain(0..10).collect();
        let weights = (0..40).map(|row| if row < 10 { 2.0 } else { 1.0 }).collect();
        let (valid, options) = (None, whole_batches(loss, ClassWeights::None));
        let doubled = Split { train: data.subset(&twice), valid: valid.clone() };
        let weighted = Split { train: data.with_weights(weights).unwrap(), valid };
        let cpu = DeviceKind::Cpu;
        assert_same_run(text, &run(&weighted, &options, &cpu), &run(&doubled, &options, &cpu));
    }
}

#[test]
fn weights_of_classes_are_those_of_their_rows() {
    let loss = Loss::CROSS_ENTROPY;
    let data = table(loss.clone(), 60);
    let Targets::Classes(classes) = data.y() else { panic!("numbers") };
    let weights: Vec<f64> = classes.iter().map(|&class| [0.5, 1.0, 3.0][class as usize]).collect();
    let weighted = Split { train: data.clone().with_weights(weights).unwrap(), valid: None };
    let plain = Split { train: data, valid: None };
    let named = vec![("0".to_string(), 0.5), ("2".to_string(), 3.0)];
    let by_class = whole_batches(loss.clone(), ClassWeights::Of(named));
    let cpu = DeviceKind::Cpu;
    let by_row = run(&weighted, &whole_batches(loss, ClassWeights::None), &cpu);
    assert_same_run("classes", &run(&plain, &by_class, &cpu), &by_row);
}

#[test]
fn a_weight_of_zero_is_as_good_as_no_row_also_in_small_batches() {
    let loss: Loss = "mae".parse().unwrap();
    let data = table(loss.clone(), 60);
    // The second batch of ten counts for nothing at all.
    let weights = (0..60).map(|row| if (10..20).contains(&row) { 0.0 } else { 1.0 }).collect();
    let kept: Vec<u32> = (0..10).chain(20..60).collect();
    let fewer = Split { train: data.subset(&kept), valid: None };
    let weighted = Split { train: data.with_weights(weights).unwrap(), valid: None };
    let options = whole_batches(loss, ClassWeights::None);
    let options = TrainOptions { batch_size: 10, shuffle: false, ..options };
    let cpu = DeviceKind::Cpu;
    assert_same_run("zero", &run(&weighted, &options, &cpu), &run(&fewer, &options, &cpu));
}

#[test]
fn a_sum_is_a_mean_times_its_rows() {
    let loss: Loss = "huber".parse().unwrap();
    let data = Split { train: table(loss.clone(), 40), valid: None };
    let mean = whole_batches(loss, ClassWeights::None);
    // Rows and columns.
    let sum = TrainOptions { reduction: Reduction::Sum, lr: mean.lr / 80.0, ..mean.clone() };
    let cpu = DeviceKind::Cpu;
    let (a, mut b) = (run(&data, &mean, &cpu), run(&data, &sum, &cpu));
    b.1.iter_mut().for_each(|epoch| epoch.train_loss /= 80.0);
    assert_same_run("sum", &a, &b);
}

#[test]
fn weighted_rows_stream_with_the_same_bits() {
    let loss: Loss = "gaussian-nll".parse().unwrap();
    let weights: Vec<f64> = (0..203).map(|row| f64::from(row % 4)).collect();
    let data = table(loss.clone(), 203).with_weights(weights).unwrap().split(0.1, Seed(1)).unwrap();
    let options = TrainOptions { loss, epochs: 3, batch_size: 8, ..TrainOptions::default() };
    let cpu = DeviceKind::Cpu;
    let (resident, _) = run(&data, &options, &cpu);
    let bytes = resident.info().device_bytes;
    let budget = TrainOptions { device_memory: Some(bytes - 3000), ..options };
    let (streamed, _) = run(&data, &budget, &cpu);
    assert!(streamed.info().streaming.is_some() && resident.info().streaming.is_none());
    assert_eq!(streamed.trained(), resident.trained());
}

#[test]
fn a_target_that_must_stay_as_it_is_does() {
    let poisson: Loss = "poisson-nll".parse().unwrap();
    let data = table(poisson.clone(), 50).split(0.2, Seed(1)).unwrap();
    let options = TrainOptions { loss: poisson, epochs: 1, ..TrainOptions::default() };
    let (trainer, _) = run(&data, &options, &DeviceKind::Cpu);
    let preparation = trainer.trained().preparation;
    assert_eq!((preparation.target_mean, preparation.target_std), (vec![0.0], vec![1.0]));
    assert_ne!(preparation.mean, vec![0.0; 2]);
    let negative = synth::friedman(50, 5, Seed(1));
    let Targets::Numbers(y) = negative.y() else { panic!("classes") };
    let y = y.iter().map(|y| y - 20.0).collect();
    let data = Dataset::from_arrays(negative.x(), 5, Targets::Numbers(y)).unwrap();
    let model = Sequential::new().dense(1);
    let split = Split { train: data, valid: None };
    let refused = Trainer::new(&model, &split, &options, &DeviceKind::Cpu).err().unwrap();
    assert!(refused.to_string().contains("poisson-nll needs targets of 0 or more"), "{refused}");
}

/// A loss of one's own means what its text says, in the target's own units, however the target is scaled for training.
#[test]
fn losses_of_ones_own_count_in_the_targets_units() {
    let x: Vec<f64> = (0..400).map(|i| f64::from(i) / 100.0 - 2.0).collect();
    let y = |shift: f64| Targets::Numbers(x.iter().map(|x| 300.0 * x * x + shift).collect());
    for (text, shift) in [("abs(y - p)", 5000.0), ("max(p, y) - min(p, y)", 900.0)] {
        let data = Dataset::from_arrays(&x, 1, y(shift)).unwrap().split(0.25, Seed(1)).unwrap();
        let loss = Loss::custom(text).unwrap();
        let options =
            TrainOptions { loss, epochs: 40, lr: 0.01, batch_size: 25, ..TrainOptions::default() };
        for kind in common::kinds() {
            let (trainer, epochs) = run(&data, &options, &kind);
            let last = epochs.last().unwrap().valid.clone().unwrap();
            let (loss, mae) = (last.loss, last.mae.unwrap());
            assert!((loss / mae - 1.0).abs() < 1e-4, "{text} on {kind}: {last:?}");
            assert!(loss < 60.0, "{text} on {kind}: {last:?}");
            // The file's text is the same loss of scaled numbers.
            let trained = trainer.trained();
            let again: Loss = trained.criterion.loss.to_string().parse().unwrap();
            assert_eq!(again, trained.criterion.loss);
            let mean = trained.preparation.target_mean[0];
            assert_eq!(mean != 0.0, text.contains("y - p"), "{text}: {mean}");
        }
    }
}

#[test]
fn losses_of_ones_own_are_for_numbers() {
    let data = table(Loss::CROSS_ENTROPY, 40).split(0.25, Seed(1)).unwrap();
    let loss = Loss::custom("(y - p) ^ 2").unwrap();
    let options = TrainOptions { loss, ..TrainOptions::default() };
    let model = Sequential::new().dense(3);
    let said = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).err().unwrap();
    let want =
        "custom((y - p) * (y - p)) does not fit targets that are classes; it compares with numbers";
    assert!(said.to_string().contains(want), "{said}");
}
