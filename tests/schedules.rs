//! Learning rates against stored PyTorch ones (`tests/oracle/schedules.py`).

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::Value;
use wgrad::Seed;
use wgrad::data::{Dataset, FeatureScaling, Split, Targets, synth};
use wgrad::device::DeviceKind;
use wgrad::export::{read_model, write_model};
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::Sequential;
use wgrad::train::{
    Baseline, EpochStats, Event, KeepWeights, Metric, Predictor, ScheduleKind, TrainOptions,
    TrainedModel, Trainer,
};

fn stored() -> (f64, usize, Vec<Value>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/schedules.json");
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let steps = usize::try_from(stored["steps_per_epoch"].as_u64().unwrap()).unwrap();
    (stored["lr"].as_f64().unwrap(), steps, stored["cases"].as_array().unwrap().clone())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Both sides compute in f64; PyTorch's rates come one from another over 50 steps, and ours from the step alone.
fn assert_rate(what: &str, got: f64, want: f64, peak: f64) {
    assert!((got - want).abs() <= 1e-13 * peak + 1e-12 * want, "{what}: {got}, want {want}");
}

#[test]
fn rates_are_those_stored() {
    let (lr, steps_per_epoch, cases) = stored();
    let mut seen = Vec::new();
    for case in cases.iter().filter(|case| case["values"].is_null()) {
        let text = case["schedule"].as_str().unwrap();
        let schedule: ScheduleKind = text.parse().unwrap();
        seen.push(schedule.name());
        let warmup = case["warmup"].as_f64().unwrap();
        let options = TrainOptions { lr, schedule, warmup, epochs: 10, ..TrainOptions::default() };
        let schedule = options.schedule(steps_per_epoch);
        let want = numbers(&case["rates"]);
        assert_eq!(want.len(), 50);
        for (step, want) in (0..).zip(want) {
            assert_rate(
                &format!("{text} after {warmup}, step {step}"),
                schedule.lr(step),
                want,
                lr,
            );
        }
    }
    for entry in ScheduleKind::VOCABULARY.iter().filter(|entry| entry.name != "plateau") {
        assert!(seen.contains(&entry.name), "{} is not among the cases", entry.name);
    }
}

#[test]
fn plateaus_fall_where_pytorchs_do() {
    let (lr, steps_per_epoch, cases) = stored();
    let cases: Vec<_> = cases.iter().filter(|case| !case["values"].is_null()).collect();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let text = case["schedule"].as_str().unwrap();
        let options =
            TrainOptions { lr, schedule: text.parse().unwrap(), ..TrainOptions::default() };
        let mut schedule = options.schedule(steps_per_epoch);
        let (values, rates) = (numbers(&case["values"]), numbers(&case["rates"]));
        assert!(rates.last() < rates.first(), "{text}: the stored rate never falls");
        for (epoch, (value, want)) in (0..).zip(values.into_iter().zip(rates)) {
            let first = epoch * steps_per_epoch as u64;
            for step in first..first + steps_per_epoch as u64 {
                assert_rate(&format!("{text} epoch {epoch}"), schedule.lr(step), want, lr);
            }
            schedule.observe(Some(value));
        }
    }
}

#[test]
fn warm_up_is_linear_in_front_of_any() {
    for entry in ScheduleKind::VOCABULARY {
        let text = match entry.name {
            "step" | "cosine-restarts" => format!("{}(2)", entry.name),
            "multi-step" => "multi-step([1, 4])".to_string(),
            "exponential" => "exponential(0.5)".to_string(),
            // It rises from 0 by itself, and a warm-up in front of it is refused.
            "cos-log-4" => continue,
            name => name.to_string(),
        };
        let options = TrainOptions {
            schedule: text.parse().unwrap(),
            warmup: 1.6,
            epochs: 10,
            ..TrainOptions::default()
        };
        options.check().unwrap();
        let schedule = options.schedule(5);
        let top = schedule.lr(8);
        for step in 0..8 {
            assert_rate(&text, schedule.lr(step), top * (step + 1) as f64 / 9.0, top);
        }
    }
    let schedule = ScheduleKind::CosLog4;
    let refused = TrainOptions { schedule, warmup: 1.0, ..TrainOptions::default() }.check();
    assert!(refused.unwrap_err().to_string().starts_with("warmup: cos-log-4 rises from 0"));
}

#[test]
fn weight_decay_dropout_and_smoothing_have_schedules_of_their_own() {
    let options = TrainOptions {
        lr: 0.1,
        warmup: 1.0,
        epochs: 4,
        decay_schedule: "flat-cosine".parse().unwrap(),
        dropout_schedule: "step(1, 0.5)".parse().unwrap(),
        smoothing_schedule: "polynomial".parse().unwrap(),
        ..TrainOptions::default()
    };
    let schedules = options.schedules(5);
    for step in 0..20 {
        let factors = schedules.factors(step);
        let t = step as f64 / 20.0;
        let flat_cos = 0.5 * (1.0 + (std::f64::consts::PI * ((2.0 * t).max(1.0) - 1.0)).cos());
        assert_rate("lr", factors.lr, 0.1 * ((step + 1) as f64 / 6.0).min(1.0), 0.1);
        assert_rate("weight decay", factors.weight_decay, flat_cos, 1.0);
        assert_rate("dropout", factors.dropout, 0.5_f64.powf((step / 5) as f64), 1.0);
        assert_rate("smoothing", factors.smoothing, 1.0 - t, 1.0);
    }
    assert!(!schedules.watching());
    let plateau = TrainOptions { decay_schedule: "plateau".parse().unwrap(), ..options };
    assert!(plateau.schedules(5).watching());
}

#[test]
fn the_loss_of_a_step_has_the_scheduled_smoothing() {
    let x = [0.5, -1.0, 2.0, 1.5, -0.25, 0.75];
    let train = || Dataset::from_arrays(&x, 1, Targets::Classes(vec![0, 1, 2, 0, 1, 2])).unwrap();
    // Losses of the epochs of a network that does not move.
    let losses = |loss: &str, schedule: &str| -> Vec<f64> {
        let options = TrainOptions {
            loss: loss.parse().unwrap(),
            optimizer: Optimizer::sgd(),
            lr: 1e-30,
            smoothing_schedule: schedule.parse().unwrap(),
            epochs: 3,
            batch_size: 6,
            ..TrainOptions::default()
        };
        let split = Split { train: train(), valid: Some(train()) };
        let model = Sequential::new().dense(3);
        let mut trainer = Trainer::new(&model, &split, &options, &DeviceKind::Cpu).unwrap();
        let epochs = trainer.fit().map(Result::unwrap);
        let epochs = epochs.filter_map(|event| match event {
            Event::Epoch(stats) => Some(stats),
            _ => None,
        });
        let of_valid = |stats: &EpochStats| stats.valid.as_ref().unwrap().loss;
        let found: Vec<_> = epochs.map(|stats| (stats.train_loss, of_valid(&stats))).collect();
        // The validation rows are the training rows: in all epochs their loss has the smoothing of the last step.
        assert!((found[0].1 - found[2].1).abs() < 1e-12, "{loss}: {found:?}");
        assert!((found[2].0 - found[2].1).abs() < 1e-6, "{loss}: {found:?}");
        found.into_iter().map(|(train, _)| train).collect()
    };
    let falling = losses("cross-entropy(label-smoothing=0.4)", "step(every=1, gamma=0.5)");
    assert!((falling[0] - falling[2]).abs() > 1e-3, "{falling:?}");
    for (epoch, smoothing) in ["0.4", "0.2", "0.1"].into_iter().enumerate() {
        let loss = format!("cross-entropy(label-smoothing={smoothing})");
        let want = losses(&loss, "constant")[epoch];
        assert!((falling[epoch] - want).abs() < 1e-6, "{epoch}: {} {want}", falling[epoch]);
    }
}

/// A run whose label smoothing goes to 0 aims at the plain loss: by that its epochs, and a linear model, are judged.
#[test]
fn epochs_are_judged_under_the_smoothing_of_the_schedules_end() {
    let data = synth::xor(160, 0.4, Seed(4)).split(0.3, Seed(4)).unwrap();
    let model = Sequential::new().dense(8).tanh().dense(2);
    let run = |loss: &str, schedule: &str| {
        let options = TrainOptions {
            loss: loss.parse().unwrap(),
            smoothing_schedule: schedule.parse().unwrap(),
            epochs: 12,
            lr: 0.02,
            keep: Some(KeepWeights::Best),
            metrics: vec![Metric::LogLoss],
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
        let events: Vec<Event> = trainer.fit().map(Result::unwrap).collect();
        let valid = events.into_iter().filter_map(|event| match event {
            Event::Epoch(stats) => Some(stats.valid.unwrap()),
            _ => None,
        });
        let found: Vec<(f64, f64)> =
            valid.map(|it| (it.loss, it.value(Metric::LogLoss).unwrap())).collect();
        (found, trainer, options)
    };
    let smooth = "cross-entropy(label-smoothing=0.6)";
    for schedule in ["cosine", "polynomial(power=2)", "step(every=3, gamma=0)"] {
        let (found, trainer, options) = run(smooth, schedule);
        for (loss, log_loss) in &found {
            assert!((loss - log_loss).abs() < 1e-9, "{schedule}: {found:?}");
        }
        let least = |of: fn(&(f64, f64)) -> f64| {
            (1_u32..).zip(&found).min_by(|a, b| of(a.1).total_cmp(&of(b.1))).unwrap().0
        };
        assert_eq!(trainer.kept().unwrap().epoch, least(|it| it.1), "{schedule}");
        // The model has the loss as it was given, and its figures in another place are the same.
        let trained = trainer.trained();
        assert_eq!(trained.criterion.loss, options.loss);
        let file = tempfile::NamedTempFile::new().unwrap();
        write_model(&trained, file.path()).unwrap();
        let read = read_model(file.path()).unwrap();
        assert_eq!(read, trained);
        let again = Predictor::new(read).unwrap();
        let again = again.evaluate(data.valid.as_ref().unwrap()).unwrap().loss;
        let kept = trainer.kept().unwrap().valid.as_ref().unwrap().loss;
        assert!((again / kept - 1.0).abs() < 1e-6, "{schedule}: {again} {kept}");
        let (_, plain, plainly) = run("cross-entropy", "constant");
        let linear = |trained: &TrainedModel, options: &TrainOptions| {
            Baseline::linear(trained, &data, options).unwrap().unwrap().metrics.loss
        };
        let [ours, theirs] = [linear(&trained, &options), linear(&plain.trained(), &plainly)];
        assert_eq!(ours.to_bits(), theirs.to_bits(), "{schedule}: {ours} {theirs}");
    }
    // Without a schedule, and under one whose falls nobody knows beforehand, the smoothing is the loss's own.
    for schedule in ["constant", "plateau"] {
        let (found, ..) = run(smooth, schedule);
        assert!(found.iter().all(|(loss, log_loss)| loss > &(log_loss + 1e-3)), "{found:?}");
    }
}

/// Ones with dropout of r, which are 0 or 1 / (1 − r), have the mean square 1 / (1 − r).
#[test]
fn a_run_drops_as_much_as_its_layers_say() {
    let rows = 4096;
    let train =
        || Dataset::from_arrays(&vec![1.0; rows], 1, Targets::numbers(vec![0.0; rows])).unwrap();
    for rate in [0.1, 0.3, 0.6] {
        let options = TrainOptions {
            loss: Loss::Mse,
            optimizer: Optimizer::sgd(),
            lr: 1e-30,
            epochs: 1,
            batch_size: rows,
            scale: FeatureScaling::None,
            ..TrainOptions::default()
        };
        let model = Sequential::new().dropout(rate).dense(1);
        let split = Split { train: train(), valid: None };
        let begun = || {
            let mut trainer = Trainer::new(&model, &split, &options, &DeviceKind::Cpu).unwrap();
            let mut params = trainer.params().unwrap();
            params.set("1.weight", &[1, 1], &[1.0]).unwrap();
            params.set("1.bias", &[1], &[0.0]).unwrap();
            trainer.set_params(&params).unwrap();
            trainer
        };
        let mut run = begun();
        let of_run = run.fit().map(Result::unwrap).find_map(|event| match event {
            Event::Epoch(stats) => Some(stats.train_loss),
            _ => None,
        });
        let by_hand = begun().step().unwrap().loss;
        let want = 1.0 / (1.0 - rate);
        // Five standard deviations of a mean over so many rows.
        let limit = 5.0 * want * (rate / (1.0 - rate) / rows as f64).sqrt();
        for (what, got) in [("a run", of_run.unwrap()), ("a step by hand", by_hand)] {
            assert!((got - want).abs() < limit, "dropout of {rate}, {what}: {got}, want {want}");
        }
    }
}

/// y = 2 a − 3 b + 1 at the corners of a rectangle, a = ±1 and b = ±`narrow`: a bowl that is 1/narrow² times as steep along
/// one axis as along another.
fn plane(narrow: f32) -> Split {
    let corners = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
    let x: Vec<f32> = corners.iter().flat_map(|(a, b)| [*a, b * narrow]).collect();
    let y = x.chunks_exact(2).map(|row| 2.0 * row[0] - 3.0 * row[1] + 1.0);
    let train = Dataset::from_arrays(&x, 2, Targets::numbers(y)).unwrap();
    Split { train, valid: None }
}

/// Every schedule on a round bowl and on one that is 64 times as steep along one axis as along another.
#[test]
fn minima_are_reached() {
    let mut reached = Vec::new();
    for text in [
        "constant",
        "step(every=500, gamma=0.5)",
        "multi-step([1000, 1500], 0.2)",
        "exponential(0.999)",
        "polynomial",
        "cosine",
        "cosine-restarts(100, 2)",
        "one-cycle",
        "flat-cosine",
        "cos-log-4",
        "inverse-sqrt(200)",
        "plateau(factor=0.5, patience=50)",
    ] {
        let schedule: ScheduleKind = text.parse().unwrap();
        reached.push(schedule.name());
        for narrow in [1.0, 0.125] {
            // An epoch is one step over all four rows.
            let options = TrainOptions {
                loss: Loss::Mse,
                optimizer: Optimizer::by_name("sgd(momentum=0.9)").unwrap(),
                lr: 0.05,
                schedule: schedule.clone(),
                epochs: 2048,
                batch_size: 4,
                scale: FeatureScaling::None,
                ..TrainOptions::default()
            };
            let model = Sequential::new().dense(1);
            let mut trainer =
                Trainer::new(&model, &plane(narrow), &options, &DeviceKind::Cpu).unwrap();
            let end = trainer.fit().map(Result::unwrap).last().unwrap();
            assert!(matches!(end, Event::Finished(_)));
            let params = trainer.trained().params;
            let got: Vec<f32> = params.iter().flat_map(|(_, values)| values.to_vec()).collect();
            for (got, want) in got.iter().zip([2.0, -3.0, 1.0]) {
                assert!((got - want).abs() < 1e-3, "{text} narrow {narrow}: {got}, want {want}");
            }
        }
    }
    let names: Vec<_> = ScheduleKind::VOCABULARY.iter().map(|entry| entry.name).collect();
    assert_eq!(reached, names);
}
