//! Tables that stream: the same bits as with the table on the device, whatever the blocks, and a budget that holds.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeSet;

use wgrad::data::{Dataset, FeatureScaling, Split, TableOptions, Target, Targets, synth};
#[cfg(feature = "gpu")]
use wgrad::device::Device;
use wgrad::device::DeviceKind;
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::{Activation, Init, Sequential};
use wgrad::plan::Precision;
#[cfg(feature = "gpu")]
use wgrad::train::MemoryPlanner;
use wgrad::train::{EpochStats, Event, Limit, RunInfo, TrainOptions, Trainer};
use wgrad::{Error, Result, Seed};

/// Result of a run, without its times.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Bits of the weights.
    weights: Vec<u32>,
    /// Bits of each epoch's train loss.
    losses: Vec<u64>,
    /// Bits of each epoch's validation loss.
    valid: Vec<Option<u64>>,
    steps: Vec<u64>,
}

fn model(data: &Split) -> Sequential {
    Sequential::mlp(&[11, 6], Activation::Tanh, data.train.outputs(), Init::Pytorch)
}

fn run(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> Result<(Outcome, RunInfo)> {
    let mut trainer = Trainer::new(&model(data), data, options, kind)?;
    let mut epochs: Vec<EpochStats> = Vec::new();
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event? {
            epochs.push(stats);
        }
    }
    let outcome = Outcome {
        weights: trainer.params()?.arena().iter().map(|value| value.to_bits()).collect(),
        losses: epochs.iter().map(|stats| stats.train_loss.to_bits()).collect(),
        valid: epochs
            .iter()
            .map(|stats| stats.valid.as_ref().map(|valid| valid.loss.to_bits()))
            .collect(),
        steps: epochs.iter().map(|stats| stats.steps).collect(),
    };
    Ok((outcome, trainer.info().clone()))
}

/// Bytes that the smallest blocks need.
fn least(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> u64 {
    let tiny = TrainOptions { device_memory: Some(1), ..options.clone() };
    match run(data, &tiny, kind).unwrap_err() {
        Error::TooLarge { need, limit: 1, limit_name: "device_memory", .. } => need,
        other => panic!("{other}"),
    }
}

/// Runs with budgets from the least that will do to nearly all that the table on the device takes, and compares.
/// Out: the blocks' rows that were seen.
fn compare(data: &Split, options: &TrainOptions, kind: &DeviceKind) -> BTreeSet<usize> {
    let (want, info) = run(data, options, kind).unwrap();
    // Fewer rows than a batch to validate on, so that their number of rows at a time is always the same.
    assert_eq!(info.streaming, None);
    let (least, most) = (least(data, options, kind), info.device_bytes);
    assert!(least < most, "{least} {most}");
    let mut seen = BTreeSet::new();
    for share in 0..5 {
        let budget = least + (most - 1 - least) * share / 4;
        let options = TrainOptions { device_memory: Some(budget), ..options.clone() };
        let (got, info) = run(data, &options, kind).unwrap();
        let streaming = info.streaming.unwrap();
        assert_eq!(streaming.limit, Limit::Budget(budget));
        assert!(info.device_bytes <= budget, "{} of {budget}", info.device_bytes);
        assert_eq!(streaming.block_rows % info.batch, 0);
        assert_eq!(got, want, "{streaming}, shuffled: {}", options.shuffle);
        seen.insert(streaming.block_rows);
    }
    let enough = TrainOptions { device_memory: Some(most), ..options.clone() };
    assert_eq!(run(data, &enough, kind).unwrap().1.streaming, None);
    seen
}

/// Classes and numbers, rows that end in the middle of a batch and of a block, in order and shuffled.
fn compare_all(kind: &DeviceKind) {
    let classes = synth::spirals(301, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
    let numbers = synth::friedman(307, 9, Seed(2)).split(0.02, Seed(2)).unwrap();
    let sgd = Optimizer::by_name("sgd(momentum=0.9)").unwrap();
    let base = TrainOptions { epochs: 3, batch_size: 7, lr: 1e-2, ..TrainOptions::default() };
    for shuffle in [true, false] {
        let options = TrainOptions { shuffle, ..base.clone() };
        let seen = compare(&classes, &options, kind);
        assert!(seen.len() > 2 && seen.contains(&7), "{seen:?}");
        let scale = if shuffle { FeatureScaling::Standard } else { FeatureScaling::None };
        let options = TrainOptions { loss: Loss::Mse, optimizer: sgd.clone(), scale, ..options };
        assert!(compare(&numbers, &options, kind).len() > 2);
    }
}

#[test]
fn streaming_gives_the_bits_of_a_table_on_the_cpu() {
    compare_all(&DeviceKind::Cpu);
    // More steps than a window, from batches of one row.
    let data = synth::friedman(1100, 5, Seed(3)).split(0.0, Seed(3)).unwrap();
    let options =
        TrainOptions { loss: Loss::Mse, epochs: 2, batch_size: 1, ..TrainOptions::default() };
    compare(&data, &options, &DeviceKind::Cpu);
    // Blocks are scaled by curves as a whole table is.
    let (scale, target_scale) = (FeatureScaling::Quantile, Some(FeatureScaling::Log));
    let column_scales =
        vec![("x1".into(), FeatureScaling::Robust), ("x2".into(), FeatureScaling::Log)];
    let options = TrainOptions { batch_size: 16, scale, target_scale, column_scales, ..options };
    compare(&data, &options, &DeviceKind::Cpu);
}

#[cfg(feature = "gpu")]
#[test]
fn streaming_gives_the_bits_of_a_table_on_the_adapter() {
    let Some(kind) = common::gpu_kind() else { return };
    compare_all(&kind);
}

#[test]
fn streaming_gives_the_bits_of_a_table_in_half_precision() {
    let data = synth::spirals(301, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
    let (lr, precision) = (1e-2, Precision::F16);
    let options =
        TrainOptions { epochs: 3, batch_size: 7, lr, precision, ..TrainOptions::default() };
    for kind in common::half_kinds() {
        assert!(compare(&data, &options, &kind).len() > 2);
    }
}

/// A table larger than a slot may be streams unasked.
#[cfg(feature = "gpu")]
#[test]
fn a_table_beyond_the_adapters_limit_streams() {
    let Some(mut device) = common::gpu() else { return };
    device.limit_bindings(Some(1 << 14));
    let data = synth::friedman(1000, 9, Seed(2)).split(0.5, Seed(2)).unwrap();
    let options = TrainOptions { loss: Loss::Mse, batch_size: 16, ..TrainOptions::default() };
    let model = model(&data);
    let plan = |options| {
        MemoryPlanner { model: &model, data: &data, options, device: Some(&device) }.plan()
    };
    let (plan_there, streaming) = plan(&options).unwrap();
    let streaming = streaming.unwrap();
    // 2 blocks of 9 columns.
    assert_eq!((streaming.limit, streaming.block_rows), (Limit::Slot(1 << 14), 224));
    for (_, slot) in plan_there.slots() {
        assert!(4 * slot.len() <= 1 << 14, "{}", slot.name);
    }
    // A budget that the table fits does not help.
    let large = TrainOptions { device_memory: Some(1 << 40), ..options.clone() };
    assert_eq!(plan(&large).unwrap().1.unwrap().limit, Limit::Slot(1 << 14));
    device.load(&plan_there).unwrap();
    device.limit_bindings(None);
    let room =
        MemoryPlanner { model: &model, data: &data, options: &options, device: Some(&device) };
    assert_eq!(room.plan().unwrap().1, None);
}

#[test]
fn a_run_starts_anew_after_one_that_was_stopped_inside_a_block() {
    let data = synth::spirals(301, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
    let base = TrainOptions { epochs: 2, batch_size: 7, ..TrainOptions::default() };
    let budget = least(&data, &base, &DeviceKind::Cpu) + 1000;
    let options = TrainOptions { device_memory: Some(budget), ..base.clone() };
    let mut trainer = Trainer::new(&model(&data), &data, &options, &DeviceKind::Cpu).unwrap();
    assert!(trainer.info().streaming.is_some());
    let begun = trainer.params().unwrap();
    // Started, and two times some steps.
    assert_eq!(trainer.fit().take(3).filter(|event| event.is_ok()).count(), 3);
    assert_ne!(trainer.params().unwrap(), begun);
    trainer.set_params(&begun).unwrap();
    assert!(trainer.fit().all(|event| event.is_ok()));
    let weights: Vec<u32> =
        trainer.params().unwrap().arena().iter().map(|value| value.to_bits()).collect();
    assert_eq!(weights, run(&data, &base, &DeviceKind::Cpu).unwrap().0.weights);
}

#[test]
fn what_cannot_be_made_smaller_is_refused_with_what_would_do() {
    // One batch of all rows leaves nothing to stream.
    let data = synth::xor(40, 0.1, Seed(1)).split(0.0, Seed(1)).unwrap();
    let options = TrainOptions { batch_size: 64, ..TrainOptions::default() };
    let need = least(&data, &options, &DeviceKind::Cpu);
    let enough = TrainOptions { device_memory: Some(need), epochs: 1, ..options.clone() };
    assert_eq!(run(&data, &enough, &DeviceKind::Cpu).unwrap().1.streaming, None);
    let short = TrainOptions { device_memory: Some(need - 1), ..options };
    let said = run(&data, &short, &DeviceKind::Cpu).unwrap_err().to_string();
    assert!(said.contains(&format!("needs {need} bytes")), "{said}");
    assert!(said.contains("‘device_memory’") && said.contains("smaller ‘batch_size’"), "{said}");
    let zero = TrainOptions { device_memory: Some(0), ..enough };
    let said = run(&data, &zero, &DeviceKind::Cpu).unwrap_err().to_string();
    assert_eq!(said, "device_memory: 0, but it must be above 0");
}

#[test]
fn validation_keeps_to_the_budget() {
    // Far more rows to validate than to train on.
    let x: Vec<f32> = (0..4000_u16).map(|value| f32::from(value % 97)).collect();
    let of = |x: &[f32]| {
        let y = x.chunks(8).map(|row| row[0] + row[1]);
        Dataset::from_arrays(x, 8, Targets::numbers(y)).unwrap()
    };
    let data = Split { train: of(&x[..800]), valid: Some(of(&x)) };
    let base =
        TrainOptions { loss: Loss::Mse, epochs: 2, batch_size: 16, ..TrainOptions::default() };
    let (want, whole) = run(&data, &base, &DeviceKind::Cpu).unwrap();
    let budget = whole.device_bytes / 2;
    let options = TrainOptions { device_memory: Some(budget), ..base };
    let (got, info) = run(&data, &options, &DeviceKind::Cpu).unwrap();
    assert!(info.device_bytes <= budget);
    // The table fits once validation has fewer rows at a time.
    assert_eq!((info.streaming, got.weights), (None, want.weights));
    assert_eq!(info.valid_rows, 500);
}

/// A table with numbers of many digits, texts few and many, dates, gaps, weights and rows without a target.
fn write_mixed(path: &std::path::Path) {
    let cities = ["Rome", "Oslo", "Lima", "Bern"];
    let row = |i: u32| {
        let number = |every: u32, value: f64| match i % every {
            3 => String::new(),
            _ => value.to_string(),
        };
        format!(
            "{},{},{},p{},20{:02}-{:02}-11,{},{}\n",
            number(17, f64::from(i) / 7.0),
            number(u32::MAX, f64::from(i * i % 101)),
            cities[(i * i % 7 % 4) as usize],
            i * 31 % 40,
            i % 30,
            i % 12 + 1,
            i % 5,
            number(23, f64::from(i % 13) - f64::from(i % 4) / 3.0),
        )
    };
    let rows: String = (0..4000).map(row).collect();
    std::fs::write(path, format!("size,count,city,port,day,weight,y\n{rows}")).unwrap();
}

#[test]
fn a_table_in_a_file_gives_the_bits_of_one_in_memory() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("mixed.csv");
    write_mixed(&path);
    let read = |host_memory: Option<u64>| {
        let weight = Some("weight".to_string());
        let options = TableOptions { host_memory, weight, ..TableOptions::default() };
        let data = Dataset::load(&path, &Target::number("y"), &options).unwrap().data;
        data.split(0.2, Seed(3)).unwrap()
    };
    let model = |data: &Split| {
        let layers = Sequential::mlp(&[9], Activation::Tanh, 1, Init::Pytorch);
        wgrad::train::with_input_tables(&layers, &data.train).unwrap()
    };
    let options =
        TrainOptions { epochs: 2, batch_size: 64, loss: Loss::Mse, ..TrainOptions::default() };
    let run = |data: &Split| {
        let mut trainer = Trainer::new(&model(data), data, &options, &DeviceKind::Cpu).unwrap();
        trainer.run().unwrap();
        let params = trainer.params().unwrap();
        let bits: Vec<u32> = params.arena().iter().map(|value| value.to_bits()).collect();
        (bits, trainer.info().streaming)
    };
    let parts = |data: &Split| {
        let parts = [Some(&data.train), data.valid.as_ref()].map(Option::unwrap);
        parts.map(|it| {
            let weights = it.weights().map(<[_]>::to_vec);
            (it.x().to_vec(), it.y().clone(), it.schema().clone(), weights)
        })
    };
    let whole = read(None);
    assert!(!whole.train.is_stored());
    let (want, streaming) = run(&whole);
    assert_eq!(streaming, None);
    // Streamed from the file, and so small on the device that it fits there.
    for (memory, streams) in [(200_000, true), (400_000, false)] {
        let stored = read(Some(memory));
        assert!(stored.train.is_stored());
        assert!(parts(&stored) == parts(&whole));
        let (got, streaming) = run(&stored);
        let limit = streaming.map(|streaming| streaming.limit);
        assert_eq!(limit, streams.then_some(Limit::Host(memory / 2)));
        assert!(got == want, "{memory}");
    }
}
