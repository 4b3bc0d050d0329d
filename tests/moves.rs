//! Transforms of gradients and weights around optimizers, through the trainer: accumulation, frozen parameters, groups,
//! averaged weights, clipping; in half precision too; and how many dispatches it takes.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Tolerance, assert_close, kinds, normal_f32};
use wgrad::Seed;
use wgrad::data::{Dataset, FeatureScaling, Split, Targets, synth};
use wgrad::device::DeviceKind;
use wgrad::graph::{Average, Group, Loss, Optimizer, UpdateTransforms, inference, training};
use wgrad::model::{Activation, Init, Params, Sequential};
use wgrad::plan::{Phase, Plan, Precision, Sizes};
use wgrad::train::{Event, OnNonFinite, Predictor, TrainOptions, Trainer};

fn model() -> Sequential {
    Sequential::mlp(&[6, 5], Activation::Tanh, 1, Init::Pytorch)
}

/// A regression of 53 rows of 3 columns, so that batches of 16 leave one of 5.
fn small() -> Split {
    let (x, y) = (normal_f32(53 * 3, Seed(1)), normal_f32(53, Seed(2)));
    Split { train: Dataset::from_arrays(&x, 3, Targets::numbers(y)).unwrap(), valid: None }
}

fn options(optimizer: &str) -> TrainOptions {
    let optimizer = Optimizer::by_name(optimizer).unwrap();
    let (loss, scale) = (Loss::Mse, FeatureScaling::None);
    TrainOptions { loss, scale, optimizer, lr: 0.01, epochs: 3, ..TrainOptions::default() }
}

/// Trains to the end. Out: the weights that are kept after each epoch.
fn run(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> Vec<Params> {
    let mut trainer = Trainer::new(&model(), data, options, kind).unwrap();
    let mut weights = Vec::new();
    let mut fit = trainer.fit();
    while let Some(event) = fit.next() {
        if let Event::Epoch(_) = event.unwrap() {
            weights.push(fit.trainer().trained().params);
        }
    }
    weights
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let data = small();
    for kind in kinds() {
        for (text, clip_norm, batch, each) in [
            ("sgd(momentum=0.9)", None, 8, 2),
            ("adamw", Some(0.5), 8, 2),
            ("lamb", None, 5, 3),
            // More than an epoch has: one move an epoch.
            ("rmsprop", None, 16, 10),
        ] {
            let large = TrainOptions {
                batch_size: (batch * each).min(53),
                clip_norm,
                schedule: "cosine".parse().unwrap(),
                ..options(text)
            };
            let parts =
                TrainOptions { batch_size: batch, accumulate: each as u32, ..large.clone() };
            let (want, got) = (run(&data, &large, &kind), run(&data, &parts, &kind));
            for (want, got) in want.iter().zip(&got) {
                let tolerance = Tolerance::scaled(2e-5, want.arena());
                assert_close(&format!("{text} on {kind}"), got.arena(), want.arena(), tolerance);
            }
            assert_ne!(got[0], got[2], "{text}: nothing moves");
        }
    }
}

#[test]
fn frozen_parameters_stay_bit_for_bit() {
    let data = small();
    for kind in kinds() {
        // Pipelines take long to compile on software adapters.
        let names: &[&str] =
            if kind == DeviceKind::Cpu { &Optimizer::NAMES } else { &["adamw", "schedule-free"] };
        for text in names {
            let average = (*text == "adamw").then(|| "ema(decay=0.7)".parse().unwrap());
            let plain = TrainOptions { average, clip_value: Some(0.5), ..options(text) };
            let groups = vec![Group::frozen("2.*"), Group::without_decay("bias")];
            let frozen = TrainOptions { groups, ..plain.clone() };
            let start = Params::init(&model(), 3, frozen.seed).unwrap();
            let end = run(&data, &frozen, &kind).pop().unwrap();
            let free = run(&data, &plain, &kind).pop().unwrap();
            for ((view, before), ((_, after), (_, free))) in
                start.iter().zip(end.iter().zip(free.iter()))
            {
                let stays = view.name.starts_with("2.");
                assert_eq!(before == after, stays, "{text} on {kind}: {}", view.name);
                assert_ne!(before, free, "{text} on {kind}: {}", view.name);
            }
        }
    }
}

#[test]
fn a_rate_of_half_in_a_group_is_half_the_rate() {
    let data = small();
    for text in ["sgd(dampening=0.5, momentum=0.9)", "adamax", "lion"] {
        let halved = TrainOptions { groups: vec!["*: lr=0.5".parse().unwrap()], ..options(text) };
        let want = run(&data, &TrainOptions { lr: 0.005, ..options(text) }, &DeviceKind::Cpu);
        let got = run(&data, &halved, &DeviceKind::Cpu);
        let tolerance = Tolerance::scaled(1e-6, want[2].arena());
        assert_close(text, got[2].arena(), want[2].arena(), tolerance);
    }
}

#[test]
fn stochastic_weight_averaging_keeps_the_mean_of_epochs() {
    let data = small();
    for kind in kinds() {
        let plain = TrainOptions { epochs: 5, batch_size: 16, ..options("sgd(momentum=0.9)") };
        let average = Some(Average::Swa { start: 2, each_step: false });
        let epochs = run(&data, &plain, &kind);
        let kept = run(&data, &TrainOptions { average, ..plain }, &kind);
        for (index, kept) in kept.iter().enumerate() {
            // Before the start, the average is the weights themselves.
            let of = if index < 2 { &epochs[index..=index] } else { &epochs[2..=index] };
            let sum = |at: usize| of.iter().map(|it| f64::from(it.arena()[at])).sum::<f64>();
            let mean: Vec<f64> =
                (0..kept.arena().len()).map(|at| sum(at) / of.len() as f64).collect();
            let tolerance = Tolerance { abs: 1e-6, rel: 1e-6 };
            assert_close(&format!("{kind}: epoch {index}"), kept.arena(), &mean, tolerance);
        }
    }
}

/// Averaged weights are what validation sees, what is kept, and what another run goes on from.
#[test]
fn averaged_weights_are_used_for_validation_and_kept() {
    let data = synth::friedman(301, 6, Seed(4)).split(0.2, Seed(4)).unwrap();
    let valid = data.valid.clone().unwrap();
    for kind in kinds() {
        for (text, average) in [("adamw", Some("ema(decay=0.9)")), ("schedule-free", None)] {
            let average = average.map(|text| text.parse().unwrap());
            let options =
                TrainOptions { average, scale: FeatureScaling::Standard, ..options(text) };
            let mut trainer = Trainer::new(&model(), &data, &options, &kind).unwrap();
            let (mut last, mut again) = (None, Vec::new());
            for event in trainer.fit() {
                if let Event::Epoch(stats) = event.unwrap() {
                    last = stats.valid;
                }
            }
            let kept = trainer.trained();
            let predictor = Predictor::new(kept.clone()).unwrap();
            let (got, want) = (last.unwrap().loss, predictor.evaluate(&valid).unwrap().loss);
            assert_close(text, &[got], &[want], Tolerance { abs: 0.0, rel: 1e-5 });
            assert_eq!(trainer.params().unwrap(), kept.params, "{text} on {kind}");
            // A second run begins at the same weights as a new trainer that is given them.
            let mut other = Trainer::new(&model(), &data, &options, &kind).unwrap();
            other.set_params(&kept.params).unwrap();
            for trainer in [&mut trainer, &mut other] {
                trainer.fit().for_each(|event| {
                    event.unwrap();
                });
                again.push(trainer.params().unwrap());
            }
            assert_eq!(again[0], again[1], "{text} on {kind}");
            assert_ne!(again[0], kept.params, "{text} on {kind}");
        }
    }
}

/// Clipped to a norm c, SGD's first step has the length lr · c.
#[test]
fn a_clipped_step_has_the_norm_that_it_may_have() {
    let data = small();
    for kind in kinds() {
        let options = TrainOptions {
            clip_norm: Some(1e-3),
            epochs: 1,
            batch_size: 53,
            lr: 1.0,
            ..options("sgd")
        };
        let start = Params::init(&model(), 3, options.seed).unwrap();
        let end = run(&data, &options, &kind).pop().unwrap();
        let squares = start.arena().iter().zip(end.arena()).map(|(a, b)| f64::from(a - b).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        assert_close(&kind.to_string(), &[norm], &[1e-3], Tolerance { abs: 0.0, rel: 2e-3 });
    }
}

#[test]
fn half_precision_goes_with_all_of_it() {
    let data = synth::friedman(301, 6, Seed(4)).split(0.2, Seed(4)).unwrap();
    for text in ["nadam", "lamb"] {
        let of = |precision| TrainOptions {
            precision,
            scale: FeatureScaling::Standard,
            epochs: 8,
            accumulate: 2,
            clip_norm: Some(1.0),
            groups: vec![Group::without_decay("bias"), Group::frozen("2.bias")],
            average: Some("ema(decay=0.9)".parse().unwrap()),
            ..options(text)
        };
        let losses = |options: &TrainOptions, kind: &DeviceKind| {
            let mut trainer = Trainer::new(&model(), &data, options, kind).unwrap();
            let mut losses = Vec::new();
            for event in trainer.fit() {
                if let Event::Epoch(stats) = event.unwrap() {
                    losses.push(stats.valid.unwrap().loss);
                }
            }
            (losses, trainer.params().unwrap())
        };
        let (want, _) = losses(&of(Precision::F32), &DeviceKind::Cpu);
        for kind in common::half_kinds() {
            let (got, end) = losses(&of(Precision::F16), &kind);
            let tolerance = Tolerance { abs: 0.0, rel: 0.05 };
            assert_close(&format!("{text} on {kind}"), &got, &want, tolerance);
            assert_ne!(got, want, "{text} on {kind}: it must make some difference");
            let start = Params::init(&model(), data.train.columns(), Seed(0)).unwrap();
            let of = |params: &Params| {
                params.iter().find(|(view, _)| view.name == "2.bias").unwrap().1.to_vec()
            };
            assert_eq!(of(&end), of(&start), "{text} on {kind}: frozen");
        }
    }
}

#[test]
fn dispatches_do_not_grow_with_the_optimizer() {
    let count = |optimizer: &str, moves: UpdateTransforms| {
        let optimizer = Optimizer::by_name(optimizer).unwrap();
        let step = training(&model(), 3, Loss::Mse, optimizer).unwrap().with_moves(moves).unwrap();
        let sizes = Sizes { batch: 8, train_rows: 8, eval_batch: 8, eval_rows: 8 };
        let plan = Plan::training(&step, &inference(&model(), 3).unwrap(), sizes).unwrap();
        plan.steps(Phase::Train).len()
    };
    let least = count("sgd", UpdateTransforms::default());
    for name in Optimizer::NAMES {
        let more = match name {
            "lamb" => 4,
            // Another update; for each of three matrices its norm, and five turns of five.
            "muon" => 1 + 3 * (3 + 5 * 5),
            _ => 0,
        };
        assert_eq!(count(name, UpdateTransforms::default()), least + more, "{name}");
        let average = (name != "schedule-free").then(|| "ema".parse().unwrap());
        let mut moves = UpdateTransforms {
            accumulate: true,
            clip_value: Some(1.0),
            groups: vec![Group::frozen("0.*")],
            average,
            ..UpdateTransforms::default()
        };
        assert_eq!(count(name, moves.clone()), least + more, "{name}");
        // The gradients' norm takes two, whatever the network.
        moves.clip_norm = Some(1.0);
        assert_eq!(count(name, moves), least + more + 2, "{name}");
    }
}

/// Where one dispatch would bind more than eight buffers the update is cut in two, and changes no bit.
#[test]
fn an_update_in_two_dispatches_is_the_same_update() {
    let data = small();
    for kind in kinds() {
        let whole = TrainOptions {
            average: Some("ema(decay=0.7)".parse().unwrap()),
            clip_norm: Some(0.5),
            accumulate: 2,
            groups: vec![Group::frozen("0.bias"), Group::without_decay("bias")],
            ..options("adam(amsgrad=true, weight-decay=0.01)")
        };
        // Skipping of steps needs the ninth buffer.
        let cut = TrainOptions { on_nonfinite: OnNonFinite::Skip, ..whole.clone() };
        let (want, got) = (run(&data, &whole, &kind), run(&data, &cut, &kind));
        for (want, got) in want.iter().zip(&got) {
            assert_eq!(got.arena(), want.arena(), "{kind}");
        }
        assert_ne!(got[0].arena(), got[1].arena(), "{kind}: nothing moves");
    }
}
