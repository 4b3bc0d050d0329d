//! Early stopping, the best epoch's weights, and rates that wait for an epoch's figures.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::normal_f32;
use wgrad::Seed;
use wgrad::data::{Dataset, Split, Targets, synth};
use wgrad::device::DeviceKind;
use wgrad::graph::Loss;
use wgrad::model::{Activation, Init, Params, Sequential};
use wgrad::train::{EpochStats, Event, KeepWeights, Metric, Summary, TrainOptions, Trainer};

/// Targets that have nothing to do with the features: what is learned of them is wrong for other rows.
fn noise() -> Split {
    let rows = |seed| {
        let (x, y) = (normal_f32(40 * 3, Seed(seed)), normal_f32(40, Seed(seed + 1)));
        Dataset::from_arrays(&x, 3, Targets::numbers(y)).unwrap()
    };
    Split { train: rows(1), valid: Some(rows(3)) }
}

fn options() -> TrainOptions {
    TrainOptions { loss: Loss::Mse, lr: 0.01, epochs: 40, batch_size: 8, ..TrainOptions::default() }
}

fn trainer(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> Trainer {
    let outputs = data.train.outputs();
    let model = Sequential::mlp(&[32], Activation::Tanh, outputs, Init::Pytorch);
    Trainer::new(&model, data, options, kind).unwrap()
}

fn run(trainer: &mut Trainer) -> (Vec<EpochStats>, Summary) {
    let (mut epochs, mut end) = (Vec::new(), None);
    for event in trainer.fit() {
        match event.unwrap() {
            Event::Epoch(stats) => epochs.push(stats),
            Event::Finished(summary) => end = Some(summary),
            _ => {}
        }
    }
    (epochs, end.unwrap())
}

fn best_of(epochs: &[EpochStats]) -> &EpochStats {
    let loss = |stats: &EpochStats| stats.valid.as_ref().unwrap().loss;
    epochs.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap()
}

/// The weights of a run of so many epochs that keeps the last one.
fn weights_after(epochs: u32, kind: &DeviceKind) -> Params {
    let keep = Some(KeepWeights::Last);
    let mut trainer = trainer(&noise(), &TrainOptions { epochs, keep, ..options() }, kind);
    run(&mut trainer);
    trainer.trained().params
}

#[test]
fn a_run_stops_early_and_keeps_its_best_epoch() {
    for kind in common::kinds() {
        let options = TrainOptions { stop_patience: Some(4), ..options() };
        let mut trainer = trainer(&noise(), &options, &kind);
        let (epochs, summary) = run(&mut trainer);
        let best = best_of(&epochs);
        let stopped = summary.stopped.unwrap();
        assert_eq!((stopped.epoch, stopped.metric), (best.epoch + 4, Metric::Loss));
        assert_eq!((summary.epochs as usize, epochs.len()), (epochs.len(), stopped.epoch as usize));
        assert!(best.epoch > 1 && summary.epochs < options.epochs, "{}", best.epoch);
        assert_eq!((summary.kept.as_ref(), trainer.kept()), (Some(best), Some(best)));
        // They are those of a run that ends there, and the device has them too.
        let kept = trainer.trained().params;
        assert_eq!(kept, weights_after(best.epoch, &kind));
        assert_eq!(trainer.params().unwrap(), kept);
        assert_eq!(trainer.evaluate().unwrap(), best.valid.clone().unwrap());
    }
}

#[test]
fn the_best_epoch_is_kept_without_an_early_end_and_the_last_on_choice() {
    for kind in common::kinds() {
        let options = TrainOptions { epochs: 12, keep: Some(KeepWeights::Best), ..options() };
        let mut best = trainer(&noise(), &options, &kind);
        let (epochs, summary) = run(&mut best);
        let kept = best_of(&epochs);
        assert!(kept.epoch < 12 && summary.stopped.is_none());
        assert_eq!((summary.kept.as_ref(), summary.epochs), (Some(kept), 12));
        assert_eq!(best.trained().params, weights_after(kept.epoch, &kind));

        let options = TrainOptions {
            stop_patience: Some(4),
            keep: Some(KeepWeights::Last),
            ..options.clone()
        };
        let mut last = trainer(&noise(), &options, &kind);
        let (epochs, summary) = run(&mut last);
        assert_eq!(summary.kept.as_ref(), epochs.last());
        assert_eq!(last.trained().params, weights_after(summary.epochs, &kind));
        assert_eq!(last.params().unwrap(), last.trained().params);
    }
}

/// The device has begun the next epoch when an epoch's end is told, and the weights of that end are not those kept.
#[test]
fn who_stops_after_an_epoch_has_its_weights_and_the_best_ones() {
    for kind in common::kinds() {
        let options = TrainOptions { keep: Some(KeepWeights::Best), ..options() };
        let mut trainer = trainer(&noise(), &options, &kind);
        let epochs: Vec<_> = trainer
            .fit()
            .filter_map(|event| match event.unwrap() {
                Event::Epoch(stats) => Some(stats),
                _ => None,
            })
            .take(11)
            .collect();
        let best = best_of(&epochs).epoch;
        assert!(best < 11);
        assert_eq!(trainer.params().unwrap(), weights_after(11, &kind));
        assert_eq!(trainer.trained().params, weights_after(best, &kind));
        // Another run begins with the present weights and forgets all else.
        let (again, _) = run(&mut trainer);
        assert_eq!(again.len(), 40);
    }
}

#[test]
fn any_metric_may_be_watched_and_asked_for() {
    let data = synth::spirals(120, 3, Seed(1)).split(0.25, Seed(1)).unwrap();
    let options = TrainOptions {
        lr: 0.01,
        epochs: 30,
        stop_patience: Some(3),
        stop_metric: "roc_auc".parse().unwrap(),
        metrics: Metric::list("metrics", "f1_macro,top_2,accuracy").unwrap(),
        ..TrainOptions::default()
    };
    let mut trainer = trainer(&data, &options, &DeviceKind::Cpu);
    let (epochs, summary) = run(&mut trainer);
    let auc =
        |stats: &EpochStats| stats.valid.as_ref().unwrap().value(options.stop_metric).unwrap();
    let kept = summary.kept.unwrap();
    assert!(epochs.iter().all(|stats| auc(stats) <= auc(&kept)));
    let names: Vec<_> =
        kept.valid.unwrap().entries().into_iter().map(|(metric, _)| metric.to_string()).collect();
    assert_eq!(names, ["loss", "accuracy", "f1_macro", "top_2", "roc_auc"]);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let refused = |data: &Split, options: TrainOptions| {
        let model = Sequential::new().dense(data.train.outputs());
        let trainer = Trainer::new(&model, data, &options, &DeviceKind::Cpu);
        trainer.err().unwrap().to_string()
    };
    let without = Split { valid: None, ..noise() };
    let patient = TrainOptions { stop_patience: Some(3), ..options() };
    assert_eq!(
        refused(&without, patient.clone()),
        "stop_patience: loss of validation rows is watched, but there are no validation rows; give ‘valid’ 0.2 or a table"
    );
    let best = TrainOptions { keep: Some(KeepWeights::Best), ..options() };
    assert!(refused(&without, best).starts_with("keep: loss of validation rows"));
    let asked = TrainOptions { metrics: vec![Metric::Mape], ..options() };
    assert!(refused(&without, asked).starts_with("metrics: they are those of validation rows"));
    let plateau = |text: &str| TrainOptions { schedule: text.parse().unwrap(), ..options() };
    assert!(
        refused(&without, plateau("plateau(metric=r2)"))
            .starts_with("schedule: plateau watches r2, but there are no validation rows")
    );
    assert!(
        refused(&noise(), plateau("plateau(metric=accuracy)"))
            .starts_with("schedule: accuracy is for classes")
    );
    let accuracy = TrainOptions { stop_metric: Metric::Accuracy, ..patient };
    assert!(refused(&noise(), accuracy).starts_with("stop_metric: accuracy is for classes"));
}

/// No loss is better than the first by all of it, so that the rate halves after each epoch from the second on: as it does
/// by milestones, bit for bit, but known only as each epoch ends.
#[test]
fn a_plateau_rules_the_next_epochs_steps_from_their_first() {
    for kind in common::kinds() {
        for data in [noise(), Split { valid: None, ..noise() }] {
            let plateau = "plateau(factor=0.5, patience=0, threshold=1)";
            let [falls, steps] = [plateau, "multi-step([2, 3, 4, 5], 0.5)"].map(|schedule| {
                let schedule = schedule.parse().unwrap();
                let options = TrainOptions { schedule, epochs: 6, ..options() };
                let mut trainer = trainer(&data, &options, &kind);
                let rates: Vec<f64> = run(&mut trainer).0.iter().map(|stats| stats.lr).collect();
                (rates, trainer.trained().params)
            });
            assert_eq!(falls.0, [0.01, 0.01, 0.005, 0.0025, 0.00125, 0.000_625]);
            assert_eq!(falls, steps);
        }
    }
}
