//! The trainer on the CPU: it learns, repeats itself bit for bit, counts every row once, and tells what it does.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{SEEDS, Tolerance, assert_close, drive, normal_f32};
use wgrad::data::{Dataset, FeatureScaling, Preprocessing, Split, Targets, epoch_order, synth};
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, DeviceKind, Values};
use wgrad::graph::{Loss, Optimizer, inference, training};
use wgrad::model::{Activation, Init, Params, Sequential};
use wgrad::plan::{Phase, Plan, Sizes, WINDOW};
use wgrad::train::{
    EpochStats, Event, Predictions, Predictor, ScheduleKind, TrainOptions, Trainer, Warning,
};
use wgrad::{Error, Seed};

fn unsplit(train: Dataset) -> Split {
    Split { train, valid: None }
}

fn mlp(hidden: &[usize], outputs: usize) -> Sequential {
    Sequential::mlp(hidden, Activation::Tanh, outputs, Init::Pytorch)
}

fn trainer(model: &Sequential, data: &Split, options: &TrainOptions) -> Trainer {
    Trainer::new(model, data, options, &DeviceKind::Cpu).unwrap()
}

/// Trains to the end. Out: the epochs' figures.
fn fit(trainer: &mut Trainer) -> Vec<EpochStats> {
    let mut epochs = Vec::new();
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event.unwrap() {
            epochs.push(stats);
        }
    }
    epochs
}

fn options(loss: Loss, epochs: u32, batch_size: usize, lr: f64) -> TrainOptions {
    TrainOptions { loss, epochs, batch_size, lr, ..TrainOptions::default() }
}

/// A regression small enough to compute by hand: 53 rows of 3 columns, unscaled.
fn small() -> Split {
    let (x, y) = (normal_f32(53 * 3, Seed(1)), normal_f32(53, Seed(2)));
    unsplit(Dataset::from_arrays(&x, 3, Targets::numbers(y)).unwrap())
}

fn small_options(batch_size: usize) -> TrainOptions {
    TrainOptions { scale: FeatureScaling::None, ..options(Loss::Mse, 1, batch_size, 0.01) }
}

// ---- It learns ----

#[test]
fn xor_is_learned() {
    let data = synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1)).unwrap();
    let mut trainer = trainer(&mlp(&[8], 2), &data, &options(Loss::CROSS_ENTROPY, 40, 16, 0.02));
    let epochs = fit(&mut trainer);
    let (first, last) = (&epochs[0], &epochs[39]);
    assert!(
        last.train_loss < 0.1 * first.train_loss,
        "{} to {}",
        first.train_loss,
        last.train_loss
    );
    // With noise of 0.2 a corner is five deviations away from the border.
    assert!(last.valid.as_ref().unwrap().accuracy.unwrap() >= 0.98, "{last:?}");
}

#[test]
fn spirals_are_learned() {
    let data = synth::spirals(300, 2, Seed(2)).split(0.2, Seed(2)).unwrap();
    let mut trainer =
        trainer(&mlp(&[32, 32], 2), &data, &options(Loss::CROSS_ENTROPY, 120, 32, 0.01));
    let epochs = fit(&mut trainer);
    let (first, last) = (&epochs[0], &epochs[119]);
    assert!(
        last.train_loss < 0.3 * first.train_loss,
        "{} to {}",
        first.train_loss,
        last.train_loss
    );
    assert!(last.valid.as_ref().unwrap().accuracy.unwrap() >= 0.9, "{last:?}");
}

#[test]
fn friedman_is_learned() {
    let data = synth::friedman(500, 7, Seed(3)).split(0.2, Seed(3)).unwrap();
    let mut trainer = trainer(&mlp(&[32], 1), &data, &options(Loss::Mse, 60, 32, 0.01));
    let epochs = fit(&mut trainer);
    let (first, last) = (&epochs[0], &epochs[59]);
    assert!(
        last.train_loss < 0.1 * first.train_loss,
        "{} to {}",
        first.train_loss,
        last.train_loss
    );
    // A linear fit reaches 0.75.
    assert!(last.valid.as_ref().unwrap().r2.unwrap() >= 0.9, "{last:?}");
}

#[test]
fn the_predictor_agrees_with_the_validation() {
    let data = synth::spirals(150, 3, Seed(2)).split(0.2, Seed(2)).unwrap();
    let mut trainer = trainer(&mlp(&[16], 3), &data, &options(Loss::CROSS_ENTROPY, 5, 32, 0.01));
    let last = fit(&mut trainer).pop().unwrap().valid.unwrap();
    let valid = data.valid.unwrap();
    let predictor = Predictor::new(trainer.trained()).unwrap();
    let predictor = predictor.on_for_rows(&DeviceKind::Cpu, valid.rows()).unwrap();
    let again = predictor.evaluate(&valid).unwrap();
    assert_close("loss", &[again.loss], &[last.loss], Tolerance { abs: 0.0, rel: 1e-6 });
    assert_eq!(again.accuracy, last.accuracy);
    let Predictions::Classes { best, probabilities } = predictor.predict(valid.x()).unwrap() else {
        panic!("numbers")
    };
    let Targets::Classes(y) = valid.y() else { panic!("numbers") };
    let right = best.iter().zip(y).filter(|(best, y)| **best == **y as usize).count();
    assert_eq!(Some(right as f64 / y.len() as f64), last.accuracy);
    let sums: Vec<f64> = probabilities.chunks(3).map(|row| row.iter().sum()).collect();
    assert_close("sums", &sums, &vec![1.0; y.len()], Tolerance { abs: 1e-12, rel: 0.0 });
}

// ---- The same again ----

#[test]
fn a_seed_gives_the_same_bits_and_another_seed_others() {
    let data = synth::spirals(100, 3, Seed(2)).split(0.2, Seed(2)).unwrap();
    let run = |seed: Seed| {
        let options = TrainOptions { seed, ..options(Loss::CROSS_ENTROPY, 3, 16, 0.01) };
        let mut trainer = trainer(&mlp(&[12, 7], 3), &data, &options);
        let losses: Vec<u64> =
            fit(&mut trainer).iter().map(|epoch| epoch.train_loss.to_bits()).collect();
        let bits: Vec<u32> =
            trainer.params().unwrap().arena().iter().map(|value| value.to_bits()).collect();
        (losses, bits)
    };
    let runs: Vec<_> = SEEDS.into_iter().map(run).collect();
    assert_eq!(runs[0], run(SEEDS[0]));
    assert!(runs[0] != runs[1] && runs[0] != runs[2] && runs[1] != runs[2]);
}

#[test]
fn the_seed_decides_the_order_too() {
    let data = small();
    let start = Params::init(&mlp(&[4], 1), 3, Seed(9)).unwrap();
    let run = |seed: Seed, shuffle: bool| {
        let options = TrainOptions { seed, shuffle, ..small_options(8) };
        let mut trainer = trainer(&mlp(&[4], 1), &data, &options);
        trainer.set_params(&start).unwrap();
        fit(&mut trainer);
        trainer.params().unwrap()
    };
    assert_ne!(run(Seed(1), true), run(Seed(2), true));
    assert_ne!(run(Seed(1), true), run(Seed(1), false));
    assert_eq!(run(Seed(1), false), run(Seed(2), false));
}

#[test]
fn every_tensor_moves() {
    for optimizer in Optimizer::NAMES {
        let data = synth::spirals(60, 3, Seed(2)).split(0.2, Seed(2)).unwrap();
        let optimizer = Optimizer::by_name(optimizer).unwrap();
        let options = TrainOptions {
            optimizer: optimizer.clone(),
            ..options(Loss::CROSS_ENTROPY, 1, 16, 0.01)
        };
        let mut trainer = trainer(&mlp(&[12, 7], 3), &data, &options);
        let before = trainer.params().unwrap();
        fit(&mut trainer);
        let after = trainer.params().unwrap();
        for ((view, before), (_, after)) in before.iter().zip(after.iter()) {
            assert!(
                before.iter().zip(after).all(|(b, a)| b != a),
                "{optimizer:?} {}: part of it stays",
                view.name
            );
        }
        assert_eq!(before.iter().count(), 6);
    }
}

// ---- Every row once ----

/// The same run on a device driven by hand. Out: each step's loss and rows, and the weights.
fn by_hand(
    model: &Sequential,
    data: &Split,
    options: &TrainOptions,
) -> (Vec<(f64, usize)>, Vec<f32>) {
    let (train, rows) = (&data.train, data.train.rows());
    let batch = options.batch_size.min(rows);
    let step =
        training(model, train.columns(), options.loss.clone(), options.optimizer.clone()).unwrap();
    let sizes = Sizes { batch, train_rows: rows, eval_batch: 0, eval_rows: 0 };
    let plan = Plan::training(&step, &inference(model, train.columns()).unwrap(), sizes).unwrap();
    let preparation = Preprocessing::fit(train, options.scale);
    let y: Vec<f32> = preparation.scaled_targets(train.y().columns().unwrap().0).collect();
    let params = Params::init(model, train.columns(), options.seed).unwrap();
    let mut device = CpuDevice::<f32>::new();
    drive::load(
        &mut device,
        &plan,
        &preparation.features(train.x()),
        Values::F32(&y),
        params.arena(),
    );
    let steps_per_epoch = rows.div_ceil(batch);
    let schedule = options.schedule(steps_per_epoch);
    let mut steps = Vec::new();
    for epoch in 0..options.epochs {
        let order = epoch_order(u32::try_from(rows).unwrap(), epoch, options.seed, options.shuffle);
        device.write(plan.ports.order, 0, Values::U32(&order)).unwrap();
        // One window a step: nothing is left to the trainer's windows.
        for step in 0..steps_per_epoch {
            let global = epoch as usize * steps_per_epoch + step;
            let lr = |step: usize| schedule.lr(step as u64);
            let row = drive::step_rows(&plan, &options.optimizer, global, 1, lr);
            let losses = drive::run(&mut device, Phase::Train, &row);
            steps.push((f64::from(losses[0]), row[0].rows as usize));
        }
    }
    let params = plan.ports.params;
    (steps, device.read(params, plan.slot(params).len()).unwrap())
}

#[test]
fn the_partial_batch_counts_by_its_rows() {
    let (data, model) = (small(), mlp(&[4], 1));
    for batch in [1, 8, 16, 52, 53] {
        let options =
            TrainOptions { epochs: 3, schedule: ScheduleKind::COSINE, ..small_options(batch) };
        let (steps, weights) = by_hand(&model, &data, &options);
        let steps_per_epoch = steps.len() / 3;
        let mut trainer = trainer(&model, &data, &options);
        let epochs = fit(&mut trainer);
        let what = format!("batch {batch}");
        for (stats, steps) in epochs.iter().zip(steps.chunks(steps_per_epoch)) {
            assert_eq!(steps.iter().map(|(_, rows)| rows).sum::<usize>(), 53);
            let want = steps.iter().map(|(loss, rows)| loss * *rows as f64).sum::<f64>() / 53.0;
            // Both add the same numbers in the same order.
            assert_close(&what, &[stats.train_loss], &[want], Tolerance { abs: 0.0, rel: 1e-14 });
        }
        assert_eq!((epochs.len(), epochs[2].steps), (3, steps.len() as u64), "{what}");
        assert_eq!(trainer.params().unwrap().arena(), weights, "{what}");
    }
}

/// With a rate so small that weights stay, the epoch's loss is that of the whole table.
#[test]
fn the_epochs_loss_is_the_mean_over_rows() {
    let (data, model) = (small(), mlp(&[4], 1));
    let sgd = Optimizer::by_name("sgd").unwrap();
    let loss = |batch_size: usize| {
        let options =
            TrainOptions { optimizer: sgd.clone(), lr: 1e-12, ..small_options(batch_size) };
        fit(&mut trainer(&model, &data, &options))[0].train_loss
    };
    let whole = loss(53);
    for batch in [1, 8, 16, 52] {
        // 53 terms of single precision, added in another order.
        assert_close(
            &format!("batch {batch}"),
            &[loss(batch)],
            &[whole],
            Tolerance { abs: 0.0, rel: 1e-5 },
        );
    }
}

#[test]
fn a_batch_larger_than_the_data_is_one_batch() {
    let (data, model) = (small(), mlp(&[4], 1));
    let run = |batch_size: usize| {
        let mut trainer = trainer(&model, &data, &small_options(batch_size));
        let events: Vec<Event> = trainer.fit().map(Result::unwrap).collect();
        let warned = events.contains(&Event::Warned(Warning::OneBatch { batch: 1000, rows: 53 }));
        (trainer.info().steps_per_epoch, trainer.info().batch, warned, trainer.params().unwrap())
    };
    let (large, exact) = (run(1000), run(53));
    assert_eq!((large.0, large.1, large.2), (1, 53, true));
    assert_eq!((exact.0, exact.1, exact.2), (1, 53, false));
    assert_eq!(large.3, exact.3);
}

/// An epoch of more steps than the device holds the numbers of is run in several parts.
#[test]
fn epochs_longer_than_a_window_lose_nothing() {
    let rows = WINDOW + 76;
    let (x, y) = (normal_f32(rows * 2, Seed(4)), normal_f32(rows, Seed(5)));
    let data = unsplit(Dataset::from_arrays(&x, 2, Targets::numbers(y)).unwrap());
    let options = TrainOptions { lr: 1e-3, ..small_options(1) };
    let (steps, weights) = by_hand(&mlp(&[3], 1), &data, &options);
    let mut trainer = trainer(&mlp(&[3], 1), &data, &options);
    let epochs = fit(&mut trainer);
    assert_eq!((steps.len(), epochs[0].steps), (rows, rows as u64));
    let want = steps.iter().map(|(loss, _)| loss).sum::<f64>() / rows as f64;
    assert_close("loss", &[epochs[0].train_loss], &[want], Tolerance { abs: 0.0, rel: 1e-12 });
    assert_eq!(trainer.params().unwrap().arena(), weights);
}

// ---- What it tells ----

#[test]
fn events_come_in_order() {
    let data = synth::spirals(300, 3, Seed(2)).split(0.2, Seed(2)).unwrap();
    // 60 steps an epoch: the device takes them in several parts.
    let mut trainer = trainer(&mlp(&[4], 3), &data, &options(Loss::CROSS_ENTROPY, 3, 4, 0.01));
    let events: Vec<Event> = trainer.fit().map(Result::unwrap).collect();
    assert!(
        matches!(&events[0], Event::Started(info) if info.steps_per_epoch == 60 && info.train_rows == 240)
    );
    let (mut epoch, mut step, mut progress) = (1, 0, 0);
    for event in &events[1..events.len() - 1] {
        match event {
            Event::Progress(news) => {
                assert_eq!((news.epoch, news.steps), (epoch, 60));
                assert!(news.step > step && news.step < 60, "{news:?} after step {step}");
                assert!(
                    news.loss.is_none_or(f64::is_finite) && news.seconds_left >= 0.0,
                    "{news:?}"
                );
                (step, progress) = (news.step, progress + 1);
            }
            Event::Epoch(stats) => {
                assert_eq!((stats.epoch, stats.steps), (epoch, u64::from(epoch) * 60));
                assert!(
                    stats.train_loss.is_finite() && stats.valid.as_ref().unwrap().rows == 60,
                    "{stats:?}"
                );
                (epoch, step) = (epoch + 1, 0);
            }
            other => panic!("{other:?} in the middle"),
        }
    }
    assert!(epoch == 4 && progress >= 3, "{epoch} {progress}");
    let Some(Event::Finished(summary)) = events.last() else { panic!("{:?}", events.last()) };
    assert_eq!(summary.kept.as_ref().unwrap().epoch, 3);
    assert_eq!(trainer.kept().unwrap(), summary.kept.as_ref().unwrap());
}

#[test]
fn without_validation_there_are_no_figures_of_it() {
    let mut trainer = trainer(&mlp(&[4], 1), &small(), &small_options(8));
    assert!(fit(&mut trainer).iter().all(|epoch| epoch.valid.is_none()));
    assert_eq!(trainer.info().valid_rows, 0);
    assert!(trainer.evaluate().unwrap_err().to_string().starts_with("valid: "));
}

#[test]
fn a_column_of_one_value_only_is_warned_of() {
    let x = vec![3.0; 20];
    let y = normal_f32(20, Seed(2));
    let data = unsplit(Dataset::from_arrays(&x, 1, Targets::numbers(y)).unwrap());
    let mut trainer = trainer(&mlp(&[4], 1), &data, &options(Loss::Mse, 1, 4, 0.01));
    let events: Vec<Event> = trainer.fit().map(Result::unwrap).collect();
    assert_eq!(
        events[1],
        Event::Warned(Warning::ConstantColumns { columns: vec!["x0".to_string()] })
    );
}

// ---- What goes wrong ----

/// With this rate the weights of a linear function grow by a factor of thousands a step.
#[test]
fn divergence_ends_the_run_and_keeps_the_last_good_epoch() {
    let sgd = Optimizer::by_name("sgd").unwrap();
    let options = TrainOptions { optimizer: sgd, epochs: 50, lr: 3000.0, ..small_options(53) };
    let model = Sequential::new().dense(1);
    let mut trainer = trainer(&model, &small(), &options);
    let (mut good, mut error, mut after_error) = (Vec::new(), None, 0);
    for event in trainer.fit() {
        after_error += u32::from(error.is_some());
        match event {
            Ok(Event::Epoch(stats)) => good.push(stats),
            Ok(Event::Finished(_)) => panic!("it finished"),
            Ok(_) => {}
            Err(found) => error = Some(found),
        }
    }
    assert_eq!(after_error, 0, "events after the error");
    let Some(Error::Diverged { step, epoch, lr, loss, .. }) = error else { panic!("{error:?}") };
    assert!((2..50).contains(&epoch), "epoch {epoch}");
    // One step an epoch: an infinite loss is that of the step, infinite weights are the last step's doing.
    assert!(
        (good.len() + 1) as u64 == step && u64::from(epoch) == step,
        "step {step}, epoch {epoch}"
    );
    assert!((lr - 3000.0).abs() < 1e-9 && !loss.is_finite(), "lr {lr}, loss {loss}");

    let kept = trainer.kept().unwrap().clone();
    assert_eq!(Some(&kept), good.last());
    let trained = trainer.trained();
    assert!(trained.params.arena().iter().all(|value| value.is_finite()));
    // The kept weights are those after the last good epoch: a run that ends there has them.
    let options = TrainOptions { epochs: kept.epoch, ..options };
    let mut shorter = Trainer::new(&model, &small(), &options, &DeviceKind::Cpu).unwrap();
    fit(&mut shorter);
    assert_eq!(trained.params, shorter.params().unwrap());
}

/// The last update of an epoch shows in no loss: its weights are looked at.
#[test]
fn weights_that_became_infinite_are_not_kept() {
    let sgd = Optimizer::by_name("sgd").unwrap();
    let options = TrainOptions { optimizer: sgd, lr: 1e39, ..small_options(53) };
    let mut trainer = trainer(&mlp(&[4], 1), &small(), &options);
    let start = trainer.params().unwrap();
    let error = trainer.fit().find_map(Result::err);
    assert!(matches!(error, Some(Error::Diverged { step: 1, epoch: 1, .. })), "{error:?}");
    assert_eq!((trainer.kept(), trainer.trained().params), (None, start));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let data = small();
    let refused = |model: &Sequential, options: &TrainOptions| {
        Trainer::new(model, &data, options, &DeviceKind::Cpu).err().unwrap().to_string()
    };
    let model = mlp(&[4], 1);
    assert!(refused(&mlp(&[4], 2), &small_options(8)).contains("2 outputs"));
    let loss = TrainOptions { loss: Loss::CROSS_ENTROPY, ..small_options(8) };
    assert!(refused(&model, &loss).starts_with("loss: "));
    assert!(refused(&model, &small_options(0)).starts_with("batch_size: "));
    assert!(
        refused(&model, &TrainOptions { epochs: 0, ..small_options(8) }).starts_with("epochs: ")
    );
    assert!(
        refused(&model, &TrainOptions { lr: f64::NAN, ..small_options(8) }).starts_with("lr: ")
    );
    let other = Params::init(&mlp(&[5], 1), 3, Seed(0)).unwrap();
    assert!(trainer(&model, &data, &small_options(8)).set_params(&other).is_err());
}

#[test]
fn a_second_fit_starts_the_optimizer_anew() {
    // Two trainers with the same weights: one of them has trained before and was stopped inside an epoch.
    let data = synth::spirals(90, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
    let model = Sequential::new().dense(8).relu().dense(3);
    let options = TrainOptions { epochs: 2, batch_size: 16, ..TrainOptions::default() };
    let start = wgrad::model::Params::init(&model, data.train.columns(), Seed(9)).unwrap();
    let mut results = Vec::new();
    for used in [false, true] {
        let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
        if used {
            trainer.fit().take(2).for_each(|event| drop(event.unwrap()));
        }
        trainer.set_params(&start).unwrap();
        trainer.fit().for_each(|event| drop(event.unwrap()));
        results.push(trainer.params().unwrap());
    }
    assert_eq!(results[0], results[1]);
}
