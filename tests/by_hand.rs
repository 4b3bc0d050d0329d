//! Training that the caller drives step by step: the numbers of a run, batches of the caller's, gradients.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Tolerance, assert_close};
use ndarray::Array2;
use wgrad::data::synth;
use wgrad::prelude::*;
use wgrad::train::{ClassWeights, Precision};

fn data() -> Split {
    synth::spirals(203, 3, Seed(5)).split(0.2, Seed(1)).unwrap()
}

fn model() -> Sequential {
    Sequential::new().dense(12).tanh().dense(8).tanh().dense(3)
}

fn options() -> TrainOptions {
    TrainOptions { lr: 0.02, epochs: 3, batch_size: 16, ..TrainOptions::default() }
}

/// Rows and targets of a part, as arrays.
fn arrays(data: &Dataset) -> (Array2<f64>, Vec<u32>) {
    let x = Array2::from_shape_vec((data.rows(), data.columns()), data.x().to_vec()).unwrap();
    let Targets::Classes(y) = data.y() else { panic!("no classes") };
    (x, y.clone())
}

/// Without a schedule, a run and the same number of steps by hand are the same bits, wherever the table lies.
#[test]
fn steps_by_hand_are_those_of_a_run() {
    let cases = [
        options(),
        TrainOptions { accumulate: 3, ..options() },
        TrainOptions { class_weights: ClassWeights::Balanced, ..options() },
        TrainOptions { reduction: "sum".parse().unwrap(), lr: 1e-3, ..options() },
        TrainOptions { average: Some("ema(decay=0.9)".parse().unwrap()), ..options() },
    ];
    for kind in common::kinds() {
        for options in &cases {
            let new = |options| Trainer::new(&model(), &data(), options, &kind).unwrap();
            let mut run = new(options);
            run.run().unwrap();
            let want = run.params().unwrap();
            // Kept is the best epoch; what a run ends with is its last.
            let last =
                TrainOptions { keep: Some(wgrad::train::KeepWeights::Last), ..options.clone() };
            let mut run = new(&last);
            run.run().unwrap();
            let (want_last, steps) = (run.params().unwrap(), 3 * run.info().steps_per_epoch);
            let mut by_hand = new(options);
            let stats: Vec<_> = (0..steps).map(|_| by_hand.step().unwrap()).collect();
            assert!(by_hand.params().unwrap() == want_last, "{kind}: {options:?}");
            let end = stats.last().unwrap();
            assert_eq!((end.epoch, end.step, end.lr), (3, steps / 3, options.lr));
            // And a run after steps by hand begins from their weights.
            by_hand.set_params(&new(options).params().unwrap()).unwrap();
            by_hand.run().unwrap();
            assert!(by_hand.params().unwrap() == want, "{kind}: {options:?}");
        }
    }
}

#[test]
fn a_table_that_streams_gives_the_same_steps() {
    let new = |options: &TrainOptions| Trainer::new(&model(), &data(), options, &DeviceKind::Cpu);
    let within = |bytes| TrainOptions { device_memory: Some(bytes), ..options() };
    let least = match new(&within(1)).map(|_| ()) {
        Err(Error::TooLarge { need, limit: 1, .. }) => need,
        other => panic!("{other:?}"),
    };
    let (mut whole, mut streams) = (new(&options()).unwrap(), new(&within(least)).unwrap());
    assert!(streams.info().streaming.is_some(), "it does not stream");
    for step in 0..25 {
        assert_eq!(whole.step().unwrap(), streams.step().unwrap(), "step {step}");
    }
    assert!(whole.params().unwrap() == streams.params().unwrap());
}

/// The gradient of SGD's first step is what the weights moved by, over the rate.
#[test]
fn gradients_are_what_weights_move_along() {
    for kind in common::kinds() {
        let options = TrainOptions { optimizer: "sgd".parse().unwrap(), ..options() };
        let mut trainer = Trainer::new(&model(), &data(), &options, &kind).unwrap();
        assert!(trainer.gradients().unwrap_err().to_string().starts_with("gradients: there are"));
        let before = trainer.params().unwrap();
        trainer.set_lr(0.5).unwrap();
        assert_eq!(trainer.step().unwrap().lr, 0.5);
        let (gradients, after) = (trainer.gradients().unwrap(), trainer.params().unwrap());
        let moved = before.arena().iter().zip(after.arena()).map(|(a, b)| f64::from(a - b) / 0.5);
        let moved: Vec<f64> = moved.collect();
        let tolerance = Tolerance { abs: 1e-6, rel: 1e-5 };
        assert_close(&format!("{kind}"), gradients.arena(), &moved, tolerance);
        let all: f64 = gradients.norms().map(|(_, norm)| norm * norm).sum();
        assert!((all.sqrt() - gradients.norm()).abs() < 1e-12 && gradients.norm() > 0.01);
        assert!(trainer.set_lr(-1.0).unwrap_err().to_string().starts_with("lr: -1, but"));
    }
}

/// A batch of the caller's is a step on a table of just these rows, in the scaling of the trainer's own table.
#[test]
fn batches_of_the_callers_train_like_a_table_of_them() {
    let table = data();
    let (x, y) = arrays(&table.train);
    for kind in common::kinds() {
        let options = TrainOptions { shuffle: false, ..options() };
        let new = || Trainer::new(&model(), &table, &options, &kind).unwrap();
        let (mut own, mut of_table) = (new(), new());
        for (rows, y) in (0..).step_by(16).zip(y.chunks(16)) {
            let got = own.step_on(x.slice(ndarray::s![rows..rows + y.len(), ..]), y.to_vec());
            let (got, want) = (got.unwrap(), of_table.step().unwrap());
            assert_eq!((got.loss, got.rows), (want.loss, want.rows), "{kind}, row {rows}");
        }
        assert!(own.params().unwrap() == of_table.params().unwrap(), "{kind}");
        // Validation goes on, the table does not.
        assert_eq!(own.evaluate().unwrap(), of_table.evaluate().unwrap());
        for error in [own.step().unwrap_err(), own.run().unwrap_err()] {
            assert!(error.to_string().starts_with("table: it gave its place"), "{error}");
        }
    }
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let table = data();
    let mut trainer = Trainer::new(&model(), &table, &options(), &DeviceKind::Cpu).unwrap();
    let before = trainer.params().unwrap();
    let mut said = |x: &[f64], y: Targets| trainer.step_on(x, y).unwrap_err().to_string();
    for (said, want) in [
        (said(&[1.0; 3], vec![0_u32, 1].into()), "3 feature values, but 2 targets and 2 columns"),
        (said(&[1.0; 4], vec![0.5, 1.0].into()), "the targets are not of the kind"),
        (said(&[1.0; 4], vec![0_u32, 3].into()), "row 1, target `y`: class 3, but there are 3"),
        (said(&[1.0, f64::NAN], vec![0_u32].into()), "row 0, column `x1`: NaN is not a finite"),
        (said(&[1.0; 34], vec![0_u32; 17].into()), "batch_size: 16, but the batch has 17 rows"),
        (said(&[], Vec::<u32>::new().into()), "at least one row is needed"),
    ] {
        assert!(said.contains(want), "{said}");
    }
    // Nothing happened by then, and the table is still there.
    assert!(trainer.params().unwrap() == before);
    trainer.step().unwrap();
}

/// Under a loss scale gradients come out of it.
#[test]
fn gradients_bear_no_loss_scale() {
    for kind in common::half_kinds() {
        let new = |precision| {
            let options = TrainOptions { precision, ..options() };
            let mut trainer = Trainer::new(&model(), &data(), &options, &kind).unwrap();
            trainer.step().unwrap();
            trainer.gradients().unwrap()
        };
        let (half, single) = (new(Precision::F16), new(Precision::F32));
        let tolerance = Tolerance { abs: 2e-3, rel: 2e-2 };
        assert_close(&format!("{kind}"), half.arena(), single.arena(), tolerance);
    }
}
