//! Members trained side by side have the same bits as each of them trained alone.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeSet;

use common::{kinds, labels, normal_f32};
use wgrad::data::{Dataset, Targets};
use wgrad::graph::Loss;
use wgrad::plan::{Phase, Plan, Precision, StepParams};
use wgrad::train::{
    DeviceKind, Event, Member, Metric, OnNonFinite, TrainOptions, Trainer, train_members,
};
use wgrad::{Error, Result, Seed};

const ROWS: usize = 150;
const MEMBERS: u64 = 5;

/// A table with classes or numbers.
fn table(classes: u32) -> Dataset {
    let x = normal_f32(ROWS * 4, Seed(1));
    let y = match classes {
        0 => Targets::numbers(normal_f32(ROWS, Seed(2))),
        _ => Targets::Classes(labels(ROWS, classes, Seed(2))),
    };
    Dataset::from_arrays(&x, 4, y).unwrap()
}

/// Outcome of a member: bits of its weights, figures, and why the device was taken.
type Outcome = (Vec<u32>, String, String);

fn trained(trainer: &mut Trainer) -> Result<Outcome> {
    let reason = trainer.info().reason.clone();
    let summary = trainer.run()?;
    let model = trainer.trained();
    let bits = model.params.arena().iter().map(|it| it.to_bits()).collect();
    Ok((bits, format!("{:?} {:?}", summary.stopped, summary.metrics()), reason))
}

/// Five members with their own seeds, rates, decays and rows.
fn members(layers: &str, classes: u32, options: &TrainOptions, folds: bool) -> Vec<Member> {
    let table = table(classes);
    let shared = table.clone().split(0.2, Seed(9)).unwrap();
    let member = |index: u64| {
        let data =
            if folds { table.clone().split(0.2, Seed(index)).unwrap() } else { shared.clone() };
        let options = TrainOptions {
            seed: Seed(index),
            lr: options.lr * (1.0 + 0.3 * index as f64),
            ..options.clone()
        };
        Member { model: layers.parse().unwrap(), data, options }
    };
    (0..MEMBERS).map(member).collect()
}

fn alone(member: &Member, kind: &DeviceKind) -> Outcome {
    let Member { model, data, options } = member;
    trained(&mut Trainer::new(model, data, options, kind).unwrap()).unwrap()
}

/// Compares members trained side by side with the same members alone, on all devices.
fn check(name: &str, layers: &str, classes: u32, options: TrainOptions) {
    let options = TrainOptions { epochs: 3, batch_size: 32, lr: 1e-2, ..options };
    for kind in kinds() {
        for folds in [false, true] {
            let members = members(layers, classes, &options, folds);
            let together = train_members(&members, &kind, |_, trainer| trained(trainer)).unwrap();
            for (index, (member, outcome)) in members.iter().zip(together).enumerate() {
                let what = format!("{name}, member {index}, folds {folds}, {kind}");
                let (bits, figures, reason) =
                    outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
                let (want, figures_alone, _) = alone(member, &kind);
                // On the CPU a member has a device of its own.
                let together = reason == "5 networks train side by side";
                assert_eq!(together, kind != DeviceKind::Cpu, "{what}: {reason}");
                assert!(bits == want, "{what}: other weights");
                assert_eq!(figures, figures_alone, "{what}");
            }
        }
    }
}

fn of_classes(text: &str) -> TrainOptions {
    TrainOptions {
        loss: Loss::CROSS_ENTROPY,
        optimizer: text.parse().unwrap(),
        ..TrainOptions::default()
    }
}

fn of_numbers(text: &str) -> TrainOptions {
    TrainOptions { loss: Loss::Mse, ..of_classes(text) }
}

#[test]
fn small_networks() {
    check("adam", "dense(16), relu, dense(3)", 3, of_classes("adam"));
    check("numbers", "dense(16), tanh, dense(1)", 0, of_numbers("adamw(weight-decay=0.05)"));
}

#[test]
fn norms_and_dropout() {
    let layers = "dense(16), batch_norm, relu, dropout(0.2), dense(16), layer_norm, gelu, dense(3)";
    check("norms", layers, 3, of_classes("lion"));
    let layers = "dense(12), residual(dense(12), rms_norm, silu), dense(3)";
    check("residual", layers, 3, of_classes("lamb"));
}

#[test]
fn optimizers_and_transforms() {
    let layers = "dense(16), relu, dense(3)";
    check("muon", layers, 3, of_classes("muon"));
    check("schedule-free", layers, 3, of_classes("schedule-free"));
    let clipped = TrainOptions { clip_norm: Some(0.5), accumulate: 2, ..of_classes("adamw") };
    check("clipped", layers, 3, clipped);
    let averaged = TrainOptions {
        average: Some("ema(decay=0.9)".parse().unwrap()),
        on_nonfinite: OnNonFinite::Skip,
        ..of_classes("sgd(momentum=0.9)")
    };
    check("averaged", "dense(16), batch_norm, relu, dense(3)", 3, averaged);
}

#[test]
fn schedules_stops_and_losses() {
    let plateau = TrainOptions {
        schedule: "plateau(patience=1)".parse().unwrap(),
        stop_patience: Some(1),
        stop_metric: Metric::Loss,
        ..of_numbers("adam")
    };
    check("plateau", "dense(16), relu, dense(1)", 0, plateau);
    let focal = TrainOptions { loss: "focal(gamma=2)".parse().unwrap(), ..of_classes("nadam") };
    check("focal", "dense(16), relu, dense(3)", 3, focal);
    let quantiles =
        TrainOptions { loss: "pinball(0.1, 0.9)".parse().unwrap(), ..of_numbers("rmsprop") };
    check("quantiles", "dense(16), relu, dense(2)", 0, quantiles);
}

#[test]
fn wide_networks_and_half_precision() {
    check("wide", "dense(200), relu, dense(150), relu, dense(3)", 3, of_classes("adam"));
    let half = TrainOptions { precision: Precision::F16, ..of_classes("adamw") };
    let layers = "dense(32), relu, dense(3)";
    for kind in common::half_kinds() {
        let members = members(layers, 3, &TrainOptions { epochs: 2, ..half.clone() }, false);
        let together = train_members(&members, &kind, |_, trainer| trained(trainer)).unwrap();
        for (member, outcome) in members.iter().zip(together) {
            assert!(outcome.unwrap().0 == alone(member, &kind).0, "half precision, {kind}");
        }
    }
}

#[test]
fn members_of_other_shapes_and_failing_ones_leave_the_others_alone() {
    for kind in kinds() {
        let mut members = members("dense(8), relu, dense(3)", 3, &of_classes("adam"), false);
        members[1].model = "dense(9), tanh, dense(3)".parse().unwrap();
        members[2].options.lr = f64::NAN;
        members[3].options.lr = 1e30;
        let together = train_members(&members, &kind, |index, trainer| {
            // A member that stops in the middle of its run.
            if index == 4 {
                let ended = trainer.fit().find(|event| matches!(event, Ok(Event::Epoch(_))));
                assert!(ended.is_some());
                return Err(Error::setting("epochs", "enough"));
            }
            trained(trainer)
        });
        let together = together.unwrap();
        assert!(together[0].as_ref().unwrap().0 == alone(&members[0], &kind).0, "{kind}");
        assert!(together[1].as_ref().unwrap().0 == alone(&members[1], &kind).0, "{kind}");
        assert!(together[2].as_ref().unwrap_err().to_string().contains("lr"));
        assert!(matches!(together[3], Err(Error::Diverged { .. })), "{:?}", together[3]);
        assert!(together[4].as_ref().unwrap_err().to_string().contains("enough"));
    }
}

#[test]
fn the_number_of_dispatches_does_not_grow_with_the_members() {
    let Some(kind) = common::gpu_kind() else { return };
    for (layers, per_step) in
        [("dense(16), relu, dense(3)", false), ("dense(300), relu, dense(3)", true)]
    {
        let member = &members(layers, 3, &of_classes("adam"), false)[0];
        let plan = Plan::of_run(&member.model, &member.data, &member.options).unwrap();
        let counted = [1, 64].map(|members: u32| {
            let (mut device, _) = wgrad::device::open(&kind).unwrap();
            device.members().unwrap().load_members(&plan, members).unwrap();
            assert!(device.take_usage().is_none());
            let rows = vec![StepParams { rows: 32, ..StepParams::default() }; 8];
            let many = device.members().unwrap();
            if members == 1 {
                device.write_steps(Phase::Train, &rows).unwrap();
                device.run(Phase::Train, 0..8).unwrap();
            } else {
                for member in 0..members {
                    many.write_member_steps(member, Phase::Train, &rows).unwrap();
                }
                let of: Vec<(u32, u32)> = (0..members).map(|member| (member, 0)).collect();
                many.run_members(Phase::Train, &of, 8).unwrap();
                assert_eq!(many.take_member_losses(63, true).unwrap().len(), 8);
            }
            device.take_usage().unwrap().dispatches
        });
        assert_eq!(counted[0], counted[1], "{layers}: {counted:?}");
        assert_eq!(counted[0] >= 8, per_step, "{layers}: {counted:?}");
    }
}

#[test]
fn members_have_their_own_decays_schedules_dropout_and_smoothing() {
    for kind in kinds() {
        let options = TrainOptions { epochs: 3, lr: 1e-2, ..of_classes("adamw") };
        let mut members = members("dense(12), relu, dropout(0.1), dense(3)", 3, &options, true);
        for (index, member) in members.iter_mut().enumerate() {
            let decay = format!("adamw(weight-decay={})", 0.02 * (index + 1) as f64);
            let smoothing = 0.05 * (index + 1) as f64;
            let loss = format!("cross-entropy(label-smoothing={smoothing})");
            member.options.loss = loss.parse().unwrap();
            member.options.optimizer = decay.parse().unwrap();
            member.options.schedule =
                ["constant", "cosine", "polynomial", "step(every=1)", "cosine"][index]
                    .parse()
                    .unwrap();
        }
        members[4].model = "dense(12), relu, dropout(0.4), dense(3)".parse().unwrap();
        members[1].options.smoothing_schedule = "cosine".parse().unwrap();
        members[3].options.dropout_schedule = "polynomial".parse().unwrap();
        as_alone_side_by_side("dropout", &members, &kind);
    }
}

/// Trains five members side by side, and compares their weights with those of each alone, which must differ.
fn as_alone_side_by_side(name: &str, members: &[Member], kind: &DeviceKind) {
    let together = train_members(members, kind, |_, trainer| trained(trainer)).unwrap();
    let mut all = BTreeSet::new();
    for (index, (member, outcome)) in members.iter().zip(together).enumerate() {
        let (bits, _, reason) = outcome.unwrap();
        assert!(bits == alone(member, kind).0, "{name}, member {index}, {kind}");
        assert!(all.insert(bits), "{name}: member {index} is as another one, {kind}");
        let together = reason == "5 networks train side by side";
        assert_eq!(together, *kind != DeviceKind::Cpu, "{name}, {index}: {reason}");
    }
}

/// The same network and seed five times, with settings of the optimizer that differ in `{}` alone.
#[test]
fn members_have_their_own_momentum_and_betas() {
    for text in [
        "sgd(momentum={}, nesterov=true)",
        "adam(beta1={})",
        "adamw(beta2={}, eps=0.001)",
        "adamw(eps={})",
        "rmsprop(alpha={}, momentum=0.5)",
        "adadelta(rho={})",
        "nadam(beta1={})",
        "radam(beta1={})",
        "lion(beta1={})",
        "lamb(beta2={})",
        "muon(momentum={}, beta2=0.9)",
        "schedule-free(beta1={})",
    ] {
        for kind in kinds() {
            let options = TrainOptions { epochs: 2, lr: 1e-2, ..of_classes("adam") };
            let mut members = members("dense(12), relu, dense(3)", 3, &options, false);
            for (index, member) in members.iter_mut().enumerate() {
                let value = [0.5, 0.7, 0.8, 0.9, 0.95][index];
                member.options.seed = Seed(1);
                member.options.lr = 1e-2;
                member.options.optimizer = text.replace("{}", &value.to_string()).parse().unwrap();
            }
            as_alone_side_by_side(text, &members, &kind);
        }
    }
}

/// Folds of one table differ in the target's deviation, by which a loss in the target's own units is divided.
#[test]
fn members_have_their_own_numbers_of_the_loss() {
    for (text, classes, folds) in [
        ("huber(delta=0.3)", 0, true),
        ("huber(delta={})", 0, false),
        ("smooth-l1(beta={})", 0, false),
        ("gaussian-nll(eps={})", 0, false),
        ("focal(gamma={})", 3, false),
        ("hinge(margin={})", 3, false),
    ] {
        for kind in kinds() {
            let options = TrainOptions { epochs: 2, lr: 1e-2, ..of_classes("adam") };
            let outputs = if classes > 0 { 3 } else { 1 + usize::from(text.starts_with("gauss")) };
            let layers = format!("dense(12), relu, dense({outputs})");
            let mut members = members(&layers, classes, &options, folds);
            for (index, member) in members.iter_mut().enumerate() {
                let value = [0.1, 0.2, 0.4, 0.8, 1.5][index];
                member.options.seed = Seed(1);
                member.options.lr = 1e-2;
                member.options.loss = text.replace("{}", &value.to_string()).parse().unwrap();
            }
            as_alone_side_by_side(text, &members, &kind);
        }
    }
}
