//! Ranks that train one network together: the same bits on every rank and in every run, and the weights of one rank with whole
//! batches within rounding. The ranks are threads here; `scripts/test_mpi.sh` starts processes.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Tolerance, assert_close, kinds, normal_f32};
use wgrad::data::{Dataset, FeatureScaling, Split, Targets, synth};
use wgrad::device::DeviceKind;
use wgrad::graph::{Loss, Reduction};
use wgrad::model::Sequential;
use wgrad::ranks::{Ranks, thread_ranks};
use wgrad::train::{
    Checkpoint, ClassWeights, EarlyStop, Event, OnNonFinite, TrainOptions, Trainer, Warning,
};
use wgrad::{Result, Seed};

/// The largest difference from one rank over several epochs, relative to the weight or to 1.
const NEAR: Tolerance = Tolerance { abs: 1e-5, rel: 1e-5 };

/// A network, its rows and its options.
#[derive(Clone)]
struct Case {
    layers: Sequential,
    data: Split,
    options: TrainOptions,
}

/// Outcome of a rank.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    weights: Vec<f32>,
    losses: Vec<f64>,
    stopped: Option<EarlyStop>,
}

impl Outcome {
    fn bits(&self) -> Vec<u32> {
        self.weights.iter().map(|it| it.to_bits()).collect()
    }
}

/// Options under which rounding is not magnified: a step's length follows from the gradient, not from its sign.
fn options(batch_size: usize) -> TrainOptions {
    TrainOptions {
        optimizer: "sgd(momentum=0.9)".parse().unwrap(),
        lr: 0.02,
        epochs: 5,
        batch_size,
        ..TrainOptions::default()
    }
}

fn case(layers: &str, data: Dataset, options: TrainOptions) -> Case {
    let data = data.split(0.2, Seed(3)).unwrap();
    Case { layers: layers.parse().unwrap(), data, options }
}

/// A table of numbers to predict.
fn numbers(rows: usize) -> Dataset {
    let x = normal_f32(rows * 5, Seed(1));
    let y = (0..rows).map(|row| f64::from(x[row * 5] - 0.5 * x[row * 5 + 3] + 0.3));
    Dataset::from_arrays(&x, 5, Targets::Numbers(y.collect())).unwrap()
}

fn outcome(trainer: &mut Trainer) -> Result<Outcome> {
    let (mut losses, mut stopped) = (Vec::new(), None);
    for event in trainer.fit() {
        match event? {
            Event::Epoch(stats) => {
                losses.push(stats.train_loss);
                losses.extend(stats.valid.map(|valid| valid.loss));
            }
            Event::Finished(summary) => stopped = summary.stopped,
            _ => {}
        }
    }
    Ok(Outcome { weights: trainer.params()?.arena().to_vec(), losses, stopped })
}

fn alone(case: &Case, kind: &DeviceKind) -> Outcome {
    let Case { layers, data, options } = case;
    outcome(&mut Trainer::new(layers, data, options, kind).unwrap()).unwrap()
}

/// Does the same on so many ranks, and returns the results in their order.
fn on_ranks<R: Send>(count: usize, job: impl Fn(Ranks) -> R + Sync) -> Vec<R> {
    let job = &job;
    std::thread::scope(|scope| {
        let spawn = |ranks| scope.spawn(move || job(ranks));
        let threads: Vec<_> = thread_ranks(count).into_iter().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Trains on so many ranks, checks that all have the same outcome, and returns it.
fn together(case: &Case, kind: &DeviceKind, count: usize) -> Outcome {
    let Case { layers, data, options } = case;
    let outcomes = on_ranks(count, |ranks| {
        outcome(&mut Trainer::of_rank(layers, data, options, kind, ranks).unwrap()).unwrap()
    });
    let first = &outcomes[0];
    for (rank, other) in outcomes.iter().enumerate() {
        assert!(first.bits() == other.bits(), "rank {rank} has other weights");
        assert_eq!(first, other, "rank {rank}");
    }
    first.clone()
}

/// Compares ranks with one rank, and two runs with each other.
fn check(what: &str, case: &Case, kind: &DeviceKind, counts: &[usize]) {
    let want = alone(case, kind);
    for &count in counts {
        let what = format!("{what} on {count} ranks, {kind}");
        let got = together(case, kind, count);
        assert_close(&what, &got.weights, &want.weights, NEAR);
        assert_close(&what, &got.losses, &want.losses, NEAR);
        assert_eq!(got.stopped, want.stopped, "{what}");
        assert!(together(case, kind, count) == got, "{what}: another run has other bits");
    }
}

#[test]
fn ranks_have_the_weights_of_one_rank_within_rounding() {
    let spirals = || synth::spirals(203, 3, Seed(5));
    // 163 training rows: the last batch has 3, of which one of four ranks gets none.
    let plain = case("dense(16), tanh, dense(3)", spirals(), options(32));
    let clipped = TrainOptions { clip_norm: Some(0.1), accumulate: 2, ..options(20) };
    let by_class = TrainOptions { class_weights: ClassWeights::Balanced, ..options(32) };
    let summed =
        TrainOptions { loss: Loss::Mse, reduction: Reduction::Sum, lr: 0.0005, ..options(30) };
    let pinball = TrainOptions { loss: "pinball(0.1,0.5,0.9)".parse().unwrap(), ..options(31) };
    let skips = TrainOptions { on_nonfinite: OnNonFinite::Skip, ..options(32) };
    let weighted = numbers(150).with_weights((1..151).map(|it| f64::from(it % 4) + 0.5).collect());
    let mse = TrainOptions { loss: Loss::Mse, ..options(32) };
    let cases = [
        ("plain", plain),
        ("clipped and accumulated", case("dense(12), relu, dense(3)", spirals(), clipped)),
        ("classes with weights", case("dense(12), relu, dense(3)", spirals(), by_class)),
        ("sums of losses", case("dense(8), tanh, dense(1)", numbers(120), summed)),
        ("quantiles", case("dense(8), tanh, dense(3)", numbers(120), pinball)),
        ("skipping", case("dense(12), tanh, dense(3)", spirals(), skips)),
        ("rows with weights", case("dense(8), tanh, dense(1)", weighted.unwrap(), mse)),
    ];
    for (what, case) in &cases {
        check(what, case, &DeviceKind::Cpu, &[2, 3, 4]);
    }
}

/// Layers whose values depend on the whole batch, or on a row's place in it.
fn of_batches() -> Vec<(&'static str, Case)> {
    let dropout =
        "dense(16), tanh, dropout(0.3), dense(8), silu, layer_norm, dropout(0.2), dense(3)";
    let batch_norm = "dense(12), batch_norm, tanh, residual(dense(12), batch_norm, silu), dense(3)";
    let both = "batch_norm, dense(9), dropout(0.2), batch_norm(affine=false), tanh, dense(3)";
    // A dense layer before a batch norm may grow without a change of the loss, so larger steps magnify rounding.
    let options = |batch| TrainOptions { lr: 0.005, ..options(batch) };
    let of = |layers| case(layers, synth::spirals(203, 3, Seed(5)), options(32));
    // With weights a batch's mean is over these weights, and so is the gradient that a batch norm sums.
    let weighted = TrainOptions { class_weights: ClassWeights::Balanced, ..options(32) };
    let weighted = case(batch_norm, synth::spirals(203, 3, Seed(5)), weighted);
    vec![
        ("dropout", of(dropout)),
        ("batch norm", of(batch_norm)),
        ("batch norm and dropout", of(both)),
        ("batch norm with weights", weighted),
    ]
}

#[test]
fn batch_norms_and_dropout_are_those_of_the_whole_batch() {
    for (what, case) in of_batches() {
        check(what, &case, &DeviceKind::Cpu, &[2, 4]);
    }
}

#[test]
fn ranks_with_an_adapter_have_the_weights_of_one_rank() {
    for kind in kinds().into_iter().filter(|kind| *kind != DeviceKind::Cpu) {
        let plain = case("dense(16), tanh, dense(3)", synth::spirals(203, 3, Seed(5)), options(32));
        check("plain", &plain, &kind, &[2]);
        for (what, case) in of_batches() {
            let options = TrainOptions { epochs: 2, ..case.options.clone() };
            check(what, &Case { options, ..case }, &kind, &[2]);
        }
    }
}

#[test]
fn gradients_of_large_networks_are_added_while_the_backward_pass_goes_on() {
    // 180 thousand parameters: several messages.
    let mse = TrainOptions { loss: Loss::Mse, epochs: 1, lr: 0.005, ..options(24) };
    let layers = "dense(300), relu, dense(300), batch_norm, silu, dense(300), tanh, dense(1)";
    let large = case(layers, numbers(60), mse);
    check("large", &large, &DeviceKind::Cpu, &[3]);
}

#[test]
fn a_step_that_is_skipped_is_skipped_on_all_ranks() {
    let (mut x, y) = (normal_f32(70 * 3, Seed(1)), normal_f32(70, Seed(2)));
    // Finite, but no product of it is: in the third of five batches, and on one of two ranks alone.
    x[37 * 3 + 1] = 3e38;
    let train = Dataset::from_arrays(&x, 3, Targets::numbers(y)).unwrap();
    let options = TrainOptions {
        loss: Loss::Mse,
        shuffle: false,
        scale: FeatureScaling::None,
        on_nonfinite: OnNonFinite::Skip,
        ..options(16)
    };
    let layers = "dense(12), relu, dense(1)".parse().unwrap();
    let bad = Case { layers, data: Split { train, valid: None }, options };
    check("a bad row", &bad, &DeviceKind::Cpu, &[2]);
    // Without the guard the loss ends the run, on each rank.
    let ends = TrainOptions { on_nonfinite: OnNonFinite::Stop, ..bad.options.clone() };
    let errors = on_ranks(2, |ranks| {
        let trainer = Trainer::of_rank(&bad.layers, &bad.data, &ends, &DeviceKind::Cpu, ranks);
        trainer.unwrap().run().unwrap_err().to_string()
    });
    assert!(errors[0] == errors[1] && errors[0].contains("step 3"), "{errors:?}");
}

#[test]
fn more_ranks_than_rows_of_a_batch_change_nothing() {
    let few = case(
        "dense(6), batch_norm, tanh, dense(1)",
        numbers(20),
        TrainOptions { loss: Loss::Mse, ..options(3) },
    );
    check("few", &few, &DeviceKind::Cpu, &[5]);
}

#[test]
fn all_ranks_stop_after_the_same_epoch() {
    let stops = TrainOptions {
        loss: Loss::Mse,
        epochs: 60,
        stop_patience: Some(2),
        lr: 0.05,
        ..options(16)
    };
    let case = case("dense(24), tanh, dense(1)", synth::friedman(80, 6, Seed(2)), stops);
    let stopped = together(&case, &DeviceKind::Cpu, 3).stopped;
    assert!(stopped.is_some(), "it was to stop early");
}

/// Trains with the weights of a checkpoint after the second epoch: returns the warnings, and the outcome of the first rank.
fn resumed(case: &Case, checkpoint: &Checkpoint, count: usize) -> (Vec<String>, Outcome) {
    let Case { layers, data, options } = case;
    let outcomes = on_ranks(count, |ranks| {
        let mut trainer = Trainer::of_rank(layers, data, options, &DeviceKind::Cpu, ranks).unwrap();
        trainer.resume(checkpoint.clone()).unwrap();
        let told = trainer.warnings().iter().filter(|it| matches!(it, Warning::OtherBits { .. }));
        let told: Vec<String> = told.map(ToString::to_string).collect();
        (told, outcome(&mut trainer).unwrap())
    });
    assert!(outcomes.iter().all(|it| it.1.bits() == outcomes[0].1.bits()));
    outcomes.into_iter().next().unwrap()
}

#[test]
fn a_resumed_run_has_the_same_bits_on_as_many_ranks_and_says_so_on_others() {
    let options = TrainOptions { checkpoint_every: 1, ..options(32) };
    let layers = "dense(12), batch_norm, relu, dropout(0.1), dense(3)";
    let case = case(layers, synth::spirals(203, 3, Seed(5)), options);
    let Case { layers, data, options } = &case;
    let runs = on_ranks(2, |ranks| {
        let mut trainer = Trainer::of_rank(layers, data, options, &DeviceKind::Cpu, ranks).unwrap();
        let (mut second, mut losses) = (None, Vec::new());
        let mut fit = trainer.fit();
        while let Some(event) = fit.next() {
            if let Event::Epoch(stats) = event.unwrap() {
                losses.push(stats.train_loss);
                if stats.epoch == 2 {
                    second = fit.trainer().checkpoint().map(|it| Checkpoint::clone(it));
                }
            }
        }
        drop(fit);
        (second.unwrap(), trainer.params().unwrap().arena().to_vec())
    });
    let (checkpoint, weights) = &runs[0];
    let (told, same) = resumed(&case, checkpoint, 2);
    assert!(told.is_empty(), "{told:?}");
    assert!(same.weights == *weights, "other bits than those of the run that never stopped");
    let (told, other) = resumed(&case, checkpoint, 3);
    assert!(told[0].contains("3 ranks train together, and 2 ranks did"), "{told:?}");
    assert_close("three ranks", &other.weights, weights, NEAR);
    // A run of one process goes on with it, too.
    let mut trainer = Trainer::new(layers, data, options, &DeviceKind::Cpu).unwrap();
    trainer.resume(checkpoint.clone()).unwrap();
    let told = trainer.warnings().iter().map(ToString::to_string).find(|it| it.contains("ranks"));
    assert!(told.unwrap().contains("2 ranks did"));
    assert_close("one", &outcome(&mut trainer).unwrap().weights, weights, NEAR);
}

#[test]
fn steps_by_hand_are_those_of_whole_batches() {
    let case = case(
        "dense(8), tanh, dense(1)",
        numbers(70),
        TrainOptions { loss: Loss::Mse, ..options(16) },
    );
    let Case { layers, data, options } = &case;
    let steps = |trainer: &mut Trainer| -> Vec<f64> {
        (0..7).map(|_| trainer.step().unwrap().loss).collect()
    };
    let want = steps(&mut Trainer::new(layers, data, options, &DeviceKind::Cpu).unwrap());
    let all = on_ranks(2, |ranks| {
        let mut trainer = Trainer::of_rank(layers, data, options, &DeviceKind::Cpu, ranks).unwrap();
        let losses = steps(&mut trainer);
        let x = ndarray::Array2::<f64>::zeros((4, 5));
        let refused = trainer.step_on(&x, vec![0.0; 4]).unwrap_err().to_string();
        assert!(refused.contains("not shared among ranks"), "{refused}");
        losses
    });
    assert!(all[0] == all[1]);
    assert_close("losses", &all[0], &want, NEAR);
}

#[test]
fn what_ranks_cannot_do_is_refused_on_all_of_them() {
    let averaged = TrainOptions { average: Some("ema(decay=0.9)".parse().unwrap()), ..options(32) };
    let spirals = synth::spirals(203, 3, Seed(5));
    let case = case("dense(8), batch_norm, tanh, dense(3)", spirals, averaged);
    let errors = on_ranks(2, |ranks| {
        let Case { layers, data, options } = &case;
        let made = Trainer::of_rank(layers, data, options, &DeviceKind::Cpu, ranks);
        made.err().unwrap().to_string()
    });
    assert!(errors.iter().all(|it| it.contains("use a layer norm")), "{errors:?}");
}

#[test]
fn an_error_of_one_rank_ends_the_others() {
    let case = case("dense(8), tanh, dense(3)", synth::spirals(60, 3, Seed(5)), options(32));
    let errors = on_ranks(3, |ranks| {
        let Case { layers, data, options } = &case;
        // The second rank alone has a setting that is refused.
        let batch_size = if ranks.share().rank == 1 { 0 } else { 32 };
        let options = TrainOptions { batch_size, ..options.clone() };
        let made = Trainer::of_rank(layers, data, &options, &DeviceKind::Cpu, ranks);
        made.err().unwrap().to_string()
    });
    assert!(errors[0].contains("rank 1 of 3: batch_size: 0"), "{errors:?}");
    assert!(errors[1].starts_with("batch_size: 0"), "{errors:?}");
    assert_eq!(errors[0], errors[2]);
}

#[test]
fn ranks_with_other_settings_or_rows_are_refused() {
    let case = case("dense(8), tanh, dense(3)", synth::spirals(60, 3, Seed(5)), options(32));
    let Case { layers, data, options } = &case;
    let rows = synth::spirals(60, 3, Seed(6)).split(0.2, Seed(3)).unwrap();
    let faster = TrainOptions { lr: 0.01, ..options.clone() };
    let wider: Sequential = "dense(9), tanh, dense(3)".parse().unwrap();
    let others = [(layers, &rows, options), (layers, data, &faster), (&wider, data, options)];
    for (told, (layers, data, options)) in
        ["training rows", "lr", "other layers"].iter().zip(others)
    {
        let errors = on_ranks(2, |ranks| {
            let its = if ranks.share().rank == 1 {
                (layers, data, options)
            } else {
                (&case.layers, &case.data, &case.options)
            };
            let made = Trainer::of_rank(its.0, its.1, its.2, &DeviceKind::Cpu, ranks);
            made.err().unwrap().to_string()
        });
        let fits = |it: &String| it.contains("rank 1 has not the same") && it.contains(told);
        assert!(errors.iter().all(fits), "{told}: {errors:?}");
    }
}

#[test]
fn ranks_whose_weights_drift_apart_are_told() {
    let case = case("dense(8), tanh, dense(3)", synth::spirals(60, 3, Seed(5)), options(32));
    let errors = on_ranks(2, |ranks| {
        let Case { layers, data, options } = &case;
        let rank = ranks.share().rank;
        let mut trainer = Trainer::of_rank(layers, data, options, &DeviceKind::Cpu, ranks).unwrap();
        // As if one device had rounded an update in another way.
        let mut weights = trainer.params().unwrap().arena().to_vec();
        weights[0] += 1e-6 * rank as f32;
        let layout = trainer.params().unwrap().layout().clone();
        trainer.set_params(&wgrad::model::Params::from_arena(layout, weights).unwrap()).unwrap();
        trainer.run().unwrap_err().to_string()
    });
    assert!(
        errors.iter().all(|it| it.contains("rank 1 has other weights than rank 0")),
        "{errors:?}"
    );
}
