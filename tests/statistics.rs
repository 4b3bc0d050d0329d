//! Running statistics of batch norms: measured anew for averaged weights, and not spoiled by a last batch of one row.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Tolerance, assert_close};
use wgrad::data::{Batches, Dataset, FeatureScaling, Split, epoch_order, synth};
use wgrad::device::DeviceKind;
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::{Params, Sequential};
use wgrad::plan::{Phase, Plan};
use wgrad::train::{Checkpoint, Event, OnNonFinite, TrainOptions, Trainer};
use wgrad::{Error, Result, Seed};

const WAYS: [(&str, Option<&str>); 4] = [
    ("sgd", Some("swa(start=1)")),
    ("adamw", Some("ema(decay=0.9)")),
    ("schedule-free", None),
    ("adamw", None),
];

fn model() -> Sequential {
    let inner = Sequential::new().dense(7).batch_norm();
    Sequential::new().dense(7).batch_norm().tanh().residual(inner).dropout(0.1).dense(1)
}

fn data(rows: u32) -> Split {
    synth::friedman(rows, 6, Seed(4)).split(0.1, Seed(4)).unwrap()
}

fn options((optimizer, average): (&str, Option<&str>)) -> TrainOptions {
    TrainOptions {
        loss: Loss::Mse,
        optimizer: Optimizer::by_name(optimizer).unwrap(),
        average: average.map(|text| text.parse().unwrap()),
        lr: 0.02,
        epochs: 3,
        batch_size: 16,
        scale: FeatureScaling::None,
        // The statistics are those of the last epoch's batches.
        keep: Some(wgrad::train::KeepWeights::Last),
        ..TrainOptions::default()
    }
}

fn bits(params: &Params) -> Vec<u32> {
    params.arena().iter().map(|value| value.to_bits()).collect()
}

/// Trains to the end. Out: the weights, and the losses' bits of each epoch.
fn run(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> Result<(Params, Vec<[u64; 2]>)> {
    let mut trainer = Trainer::new(&model(), data, options, kind)?;
    let mut losses = Vec::new();
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event? {
            let valid = stats.valid.map_or(0.0, |valid| valid.loss);
            losses.push([stats.train_loss, valid].map(f64::to_bits));
        }
    }
    let trained = trainer.trained();
    assert_eq!(trainer.params()?, trained.params);
    Ok((trained.params, losses))
}

fn view<'a>(params: &'a Params, name: &str) -> &'a [f32] {
    params.iter().find(|(view, _)| view.name == name).unwrap().1
}

/// Mean over the rows of batches, of what the first dense layer gives: each column's mean, and its unbiased variance in each
/// batch.
fn measured(train: &Dataset, params: &Params, batches: &[&[u32]]) -> [Vec<f64>; 2] {
    let (weight, bias) = (view(params, "0.weight"), view(params, "0.bias"));
    let columns = train.columns();
    let mut sums = [vec![0.0; bias.len()], vec![0.0; bias.len()]];
    for rows in batches {
        let count = rows.len() as f64;
        for unit in 0..bias.len() {
            let of = |row: &u32| {
                let features = train.row(*row as usize);
                let terms = weight[unit * columns..][..columns].iter().zip(features.iter());
                terms.map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(bias[unit])
            };
            let values: Vec<f64> = rows.iter().map(of).collect();
            let mean = values.iter().sum::<f64>() / count;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            sums[0][unit] += count * mean;
            sums[1][unit] += count * squares / (count - 1.0);
        }
    }
    let rows: usize = batches.iter().map(|rows| rows.len()).sum();
    sums.map(|sums| sums.iter().map(|sum| sum / rows as f64).collect())
}

/// Compares with the statistics of `torch.optim.swa_utils.update_bn` over the last epoch's batches.
#[test]
fn averaged_weights_have_the_statistics_that_they_lead_to() {
    // A last batch of 9 rows; and one of a single row, which takes some from the one before.
    for rows in [170, 179] {
        let data = data(rows);
        let count = data.train.rows();
        for (kind, way) in
            common::kinds().iter().flat_map(|kind| WAYS[..3].iter().map(move |way| (kind, way)))
        {
            for on_nonfinite in [OnNonFinite::Stop, OnNonFinite::Skip] {
                let options = TrainOptions { on_nonfinite, ..options(*way) };
                let (params, _) = run(&data, &options, kind).unwrap();
                let order = epoch_order(u32::try_from(count).unwrap(), 2, options.seed, true);
                let batches = Batches::new(count, 16, true);
                let batches: Vec<&[u32]> = (0..batches.steps())
                    .map(|step| &order[batches.range(step..step + 1)])
                    .collect();
                let [mean, var] = measured(&data.train, &params, &batches);
                let what = format!("{way:?} on {kind}");
                let limit = Tolerance { abs: 1e-5, rel: 1e-4 };
                assert_close(&what, view(&params, "1.running_mean"), &mean, limit);
                assert_close(&what, view(&params, "1.running_var"), &var, limit);
            }
        }
    }
}

/// At most 64 batches, spread over the epoch.
#[test]
fn long_epochs_are_measured_in_part() {
    let data = data(400);
    let count = data.train.rows();
    let options = TrainOptions { batch_size: 4, epochs: 1, shuffle: false, ..options(WAYS[0]) };
    let (params, _) = run(&data, &options, &DeviceKind::Cpu).unwrap();
    let (order, batches) =
        ((0..u32::try_from(count).unwrap()).collect::<Vec<_>>(), Batches::new(count, 4, true));
    assert_eq!(batches.steps(), 90);
    let picked: Vec<&[u32]> = (0..64)
        .map(|index| index * 90 / 64)
        .map(|step| &order[batches.range(step..step + 1)])
        .collect();
    let [mean, var] = measured(&data.train, &params, &picked);
    let limit = Tolerance { abs: 1e-5, rel: 1e-4 };
    assert_close("mean", view(&params, "1.running_mean"), &mean, limit);
    assert_close("var", view(&params, "1.running_var"), &var, limit);
}

/// Tables that stream, and runs that were stopped anywhere, have the same bits: with averages, and with a last row alone.
#[test]
fn streams_and_stopped_runs_have_the_same_bits() {
    let data = data(179);
    assert_eq!(data.train.rows() % 16, 1);
    for (kind, way) in
        common::kinds().iter().flat_map(|kind| WAYS.iter().map(move |way| (kind, way)))
    {
        // Adapters take long, and have one way to lay a run out.
        if *kind != DeviceKind::Cpu && *way != WAYS[1] {
            continue;
        }
        for accumulate in [1, 3] {
            let options = TrainOptions { accumulate, ..options(*way) };
            let (params, losses) = run(&data, &options, kind).unwrap();
            let want = (bits(&params), losses);
            let tiny = TrainOptions { device_memory: Some(1), ..options.clone() };
            let least = match run(&data, &tiny, kind).unwrap_err() {
                Error::TooLarge { need, .. } => need,
                other => panic!("{other}"),
            };
            for budget in [least, least + 1500, least + 3000] {
                let options = TrainOptions { device_memory: Some(budget), ..options.clone() };
                let (params, losses) = run(&data, &options, kind).unwrap();
                assert!((bits(&params), losses) == want, "{way:?} in {budget} bytes on {kind}");
            }
            // The CPU tells of 16 steps at once, so these are in the middle, at the end, and further on.
            for events in [1, 3, 4, 5] {
                let checkpoint = {
                    let mut trainer = Trainer::new(&model(), &data, &options, kind).unwrap();
                    let mut fit = trainer.fit();
                    for _ in 0..events {
                        fit.next().unwrap().unwrap();
                    }
                    Checkpoint::clone(&fit.checkpoint().unwrap())
                };
                let mut trainer = Trainer::new(&model(), &data, &options, kind).unwrap();
                trainer.resume(checkpoint).unwrap();
                trainer.fit().for_each(|event| {
                    event.unwrap();
                });
                assert!(bits(&trainer.trained().params) == want.0, "{way:?} {events} on {kind}");
            }
        }
    }
}

/// A run that is stopped inside an epoch keeps averaged weights with statistics of their own, too.
#[test]
fn weights_that_are_kept_inside_an_epoch_are_measured() {
    let data = data(600);
    let options = TrainOptions { batch_size: 8, ..options(WAYS[1]) };
    let mut trainer = Trainer::new(&model(), &data, &options, &DeviceKind::Cpu).unwrap();
    {
        let mut fit = trainer.fit();
        fit.next().unwrap().unwrap();
        let Event::Progress(progress) = fit.next().unwrap().unwrap() else { panic!("no progress") };
        assert!(progress.step < progress.steps);
    }
    let before = trainer.params().unwrap();
    trainer.keep_current().unwrap();
    let after = trainer.trained().params;
    assert_eq!(view(&before, "0.weight"), view(&after, "0.weight"));
    assert_ne!(view(&before, "1.running_mean"), view(&after, "1.running_mean"));
    trainer.keep_current().unwrap();
    assert_eq!(after, trainer.trained().params);
}

/// Nothing is measured where there is nothing to measure.
#[test]
fn only_averaged_weights_with_a_batch_norm_are_measured() {
    let data = data(60);
    let plain = Sequential::new().dense(7).layer_norm().tanh().dense(1);
    let steps = |model: &Sequential, way| {
        let plan = Plan::of_run(model, &data, &options(way)).unwrap();
        plan.steps(Phase::Measure).len()
    };
    assert_eq!((steps(&plain, WAYS[0]), steps(&model(), WAYS[3])), (0, 0));
    // Without the loss, gradients and updates.
    let plan = Plan::of_run(&model(), &data, &options(WAYS[0])).unwrap();
    assert!(steps(&model(), WAYS[0]) > 0);
    assert!(plan.steps(Phase::Measure).len() * 2 < plan.steps(Phase::Train).len());
}

/// A last row alone makes no batch of a network with a batch norm, and no network is worth less for it.
#[test]
fn a_last_row_alone_spoils_nothing() {
    for kind in common::kinds() {
        let losses: Vec<f64> = [176, 177]
            .into_iter()
            .map(|rows| {
                let data = Split { train: synth::friedman(rows, 6, Seed(4)), valid: None };
                let options = TrainOptions {
                    epochs: 12,
                    scale: FeatureScaling::Standard,
                    ..options(WAYS[3])
                };
                let mut trainer = Trainer::new(&model(), &data, &options, &kind).unwrap();
                trainer.fit().for_each(|event| {
                    event.unwrap();
                });
                let trained = trainer.trained();
                let kind = DeviceKind::Cpu;
                let predictor = wgrad::train::Predictor::new(trained.clone()).unwrap();
                let predictor = predictor.on_for_rows(&kind, data.train.rows()).unwrap();
                predictor.evaluate(&data.train).unwrap().loss
            })
            .collect();
        assert!(losses[1] < 1.3 * losses[0] && losses[0] < 0.6, "{losses:?} on {kind}");
    }
}

#[test]
fn batches_of_one_row_are_refused_for_batch_norms() {
    let said = |rows: u32, batch_size, model: &Sequential| {
        let data = Split { train: synth::friedman(rows, 6, Seed(4)), valid: None };
        let options = TrainOptions { batch_size, ..options(WAYS[3]) };
        Trainer::new(model, &data, &options, &DeviceKind::Cpu).err().map(|error| error.to_string())
    };
    let norm = model();
    let want = [
        (20, 1, "batch_size: 1, but the network has a batch norm"),
        (1, 32, "there is only one training row"),
        (21, 2, "batch_size: 2, so one row is left of the 21 training rows"),
    ];
    for (rows, batch, want) in want {
        let said = said(rows, batch, &norm).unwrap();
        assert!(said.contains(want) && said.contains("layer norm"), "{said}");
    }
    for (rows, batch) in [(20, 2), (21, 3), (22, 3), (21, 20), (2, 32)] {
        assert_eq!(said(rows, batch, &norm), None, "{rows} {batch}");
    }
    let plain = Sequential::new().dense(7).layer_norm().tanh().dense(1);
    assert_eq!(said(20, 1, &plain), None);
}
