//! Steps whose loss or gradients are no finite numbers change nothing where they are skipped: the run is the one without them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::VecDeque;
use std::ops::Range;

use common::{Tolerance, assert_close, normal_f32};
use wgrad::data::{Dataset, FeatureScaling, Split, Targets};
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, DeviceInfo, DeviceKind, Values};
use wgrad::export::{read_checkpoint, write_checkpoint};
use wgrad::graph::Loss;
use wgrad::model::{Activation, Init, Sequential};
use wgrad::plan::{Phase, Plan, Precision, Slot, StepParams};
use wgrad::train::{EpochStats, Event, OnNonFinite, TrainOptions, Trainer, Warning};
use wgrad::{Error, Seed};

const ROWS: usize = 70;
const BATCH: usize = 16;
/// The one that is too large, in the third of five batches.
const BAD_ROW: usize = 37;

/// Fault of that row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bad {
    /// A feature that is finite, but no product of it.
    Feature,
    /// A target whose loss is infinite, and whose gradient is not.
    Target,
    /// A feature whose product with the gradient is infinite, while the loss is not.
    Gradient,
}

fn data(bad: &[usize], how: Bad) -> Split {
    let (mut x, mut y) = (normal_f32(ROWS * 3, Seed(1)), normal_f32(ROWS, Seed(2)));
    for &row in bad {
        match how {
            Bad::Feature => x[row * 3 + 1] = 3e38,
            Bad::Target => y[row] = 1e22,
            Bad::Gradient => x[row * 3..][..3].fill(1e38),
        }
    }
    let train = Dataset::from_arrays(&x, 3, Targets::numbers(y)).unwrap();
    let (x, y) = (normal_f32(20 * 3, Seed(3)), normal_f32(20, Seed(4)));
    Split { train, valid: Some(Dataset::from_arrays(&x, 3, Targets::numbers(y)).unwrap()) }
}

fn options() -> TrainOptions {
    TrainOptions {
        loss: Loss::Mse,
        lr: 0.01,
        epochs: 3,
        batch_size: BATCH,
        shuffle: false,
        scale: FeatureScaling::None,
        on_nonfinite: OnNonFinite::Skip,
        ..TrainOptions::default()
    }
}

fn model() -> Sequential {
    Sequential::mlp(&[12, 8], Activation::Relu, 1, Init::Pytorch)
}

/// A device that leaves some steps of each epoch out, and says 0 for their losses. It is given one step at a time.
struct LeavingOut {
    device: Box<dyn Device>,
    left_out: Range<u32>,
    /// Which of the steps given were run.
    given: VecDeque<bool>,
}

impl Device for LeavingOut {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }
    fn load(&mut self, plan: &Plan) -> wgrad::Result<()> {
        self.device.load(plan)
    }
    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> wgrad::Result<()> {
        self.device.write(slot, first, values)
    }
    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> wgrad::Result<()> {
        self.device.write_steps(phase, rows)
    }
    fn steps_per_submission(&self, _: Phase) -> u32 {
        1
    }
    fn run(&mut self, phase: Phase, steps: Range<u32>) -> wgrad::Result<()> {
        if phase != Phase::Train {
            return self.device.run(phase, steps);
        }
        for step in steps {
            let run = !self.left_out.contains(&step);
            self.given.push_back(run);
            if run {
                self.device.run(phase, step..step + 1)?;
            }
        }
        Ok(())
    }
    fn take_losses(&mut self, _: bool) -> wgrad::Result<Vec<f32>> {
        let mut known = self.device.take_losses(true)?.into_iter();
        Ok(self.given.drain(..).map(|run| if run { known.next().unwrap() } else { 0.0 }).collect())
    }
    fn read(&mut self, slot: Slot, len: usize) -> wgrad::Result<Vec<f32>> {
        self.device.read(slot, len)
    }
    fn slot_limit(&self) -> Option<u64> {
        self.device.slot_limit()
    }
    fn bytes_for(&self, plan: &Plan) -> u64 {
        self.device.bytes_for(plan)
    }
    fn variants(&self) -> Vec<String> {
        self.device.variants()
    }
}

impl LeavingOut {
    fn new(device: Box<dyn Device>, left_out: Range<u32>) -> Box<Self> {
        Box::new(Self { device, left_out, given: VecDeque::new() })
    }
}

/// Result of a run: its epochs without their times, and the warnings about steps.
type RunResult = (Vec<EpochStats>, Vec<Warning>);

fn run(trainer: &mut Trainer) -> Result<RunResult, Error> {
    let (mut epochs, mut warnings) = (Vec::new(), Vec::new());
    for event in trainer.fit() {
        match event? {
            Event::Epoch(stats) => {
                epochs.push(EpochStats { seconds: 0.0, samples_per_second: 0.0, ..stats });
            }
            Event::Warned(warning @ Warning::StepsLost { .. }) => warnings.push(warning),
            Event::Warned(warning @ Warning::StepsSkipped { .. }) => panic!("{warning}"),
            _ => {}
        }
    }
    Ok((epochs, warnings))
}

fn bits(trainer: &mut Trainer) -> Vec<u32> {
    trainer.params().unwrap().arena().iter().map(|value| value.to_bits()).collect()
}

/// The CPU, and the adapter with every kernel in a dispatch of its own, if there is one.
fn devices() -> Vec<Box<dyn Device>> {
    #[cfg_attr(not(feature = "gpu"), expect(unused_mut, reason = "no adapters"))]
    let mut devices: Vec<Box<dyn Device>> = vec![Box::new(CpuDevice::<f32>::new())];
    #[cfg(feature = "gpu")]
    if let Some(mut device) = common::gpu() {
        device.force_variant(Some("tile_16x16"));
        devices.push(Box::new(device));
    }
    devices
}

/// A run that skips what is wrong with one row against one on the same rows from which the steps of that move are taken out.
fn is_the_run_without(name: &str, model: &Sequential, bad: Bad, options: &TrainOptions) {
    let data = data(&[BAD_ROW], bad);
    let each = options.accumulate as usize;
    let first = BAD_ROW / BATCH / each * each;
    let left_out = first as u32..(first + each) as u32;
    for (device, other) in devices().into_iter().zip(devices()) {
        let name = format!("{name} on {}", device.info());
        let exact = device.info().is_cpu();
        let mut skipping = Trainer::with_device(model, &data, options, device).unwrap();
        let (epochs, warnings) = run(&mut skipping).unwrap();
        let (skipped, batches) = (1, options.accumulate);
        let want = [1, 2, 3].map(|epoch| Warning::StepsLost { epoch, skipped, batches });
        assert_eq!(warnings, want, "{name}");

        let left = LeavingOut::new(other, left_out.clone());
        let stops = TrainOptions { on_nonfinite: OnNonFinite::Stop, ..options.clone() };
        let mut without = Trainer::with_device(model, &data, &stops, left).unwrap();
        let (want, _) = run(&mut without).unwrap();
        assert_eq!(epochs.len(), want.len());
        // The rows that were left out count for nothing.
        let share = (ROWS - each * BATCH) as f64 / ROWS as f64;
        for (got, want) in epochs.iter().zip(&want) {
            let loss = Tolerance { abs: 0.0, rel: if exact { 1e-12 } else { 1e-5 } };
            assert_close(&name, &[got.train_loss], &[want.train_loss / share], loss);
        }
        if exact {
            assert!(bits(&mut skipping) == bits(&mut without), "{name}: other weights");
            let valid = |epochs: &[EpochStats]| -> Vec<_> {
                epochs.iter().map(|stats| stats.valid.clone()).collect()
            };
            assert_eq!(valid(&epochs), valid(&want), "{name}");
        } else {
            let (got, want) = (skipping.params().unwrap(), without.params().unwrap());
            assert_close(&name, got.arena(), want.arena(), Tolerance { abs: 1e-6, rel: 1e-5 });
        }
    }
}

#[test]
fn skipped_steps_are_none_for_every_optimizer() {
    for name in wgrad::graph::Optimizer::NAMES {
        let optimizer = name.parse().unwrap();
        is_the_run_without(name, &model(), Bad::Feature, &TrainOptions { optimizer, ..options() });
    }
    let momentum = "sgd(momentum=0.9, nesterov=true)".parse().unwrap();
    let options = TrainOptions { optimizer: momentum, ..options() };
    is_the_run_without("momentum", &model(), Bad::Feature, &options);
}

#[test]
fn skipped_steps_are_none_whatever_is_done_besides() {
    let with = |change: fn(&mut TrainOptions)| {
        let mut options = options();
        change(&mut options);
        options
    };
    let cases = [
        ("norm", with(|o| o.clip_norm = Some(0.5))),
        ("value", with(|o| o.clip_value = Some(0.01))),
        ("average", with(|o| o.average = Some("ema(decay=0.9)".parse().unwrap()))),
        ("accumulate", with(|o| o.accumulate = 2)),
        (
            "all",
            with(|o| {
                (o.accumulate, o.clip_norm, o.clip_value) = (2, Some(0.5), Some(0.1));
                o.average = Some("ema(decay=0.9)".parse().unwrap());
                o.groups = vec!["0.*: lr=0.5".parse().unwrap()];
                o.schedule = "cosine".parse().unwrap();
            }),
        ),
    ];
    for (name, options) in &cases {
        is_the_run_without(name, &model(), Bad::Feature, options);
    }
    // Running statistics stay as they are, those of averaged weights too.
    let normed = Sequential::new().dense(12).batch_norm().relu().dropout(0.25).dense(1);
    is_the_run_without("batch norm", &normed, Bad::Target, &options());
    is_the_run_without("batch norm, average", &normed, Bad::Target, &cases[2].1);
    // A value that such layers make harmless is no reason to skip, but it is left out of their statistics.
    for device in devices() {
        let data = data(&[BAD_ROW], Bad::Feature);
        let mut trainer = Trainer::with_device(&normed, &data, &options(), device).unwrap();
        run(&mut trainer).unwrap();
    }
}

#[test]
fn losses_alone_and_gradients_alone_are_seen() {
    is_the_run_without("loss", &model(), Bad::Target, &options());
    // Weights so near to 0, and moved so little, that the prediction stays finite.
    let huber = TrainOptions {
        loss: "huber(delta=100)".parse().unwrap(),
        optimizer: "sgd".parse().unwrap(),
        lr: 1e-6,
        ..options()
    };
    let near_0 = Init::Constant { value: 1e-3 };
    let linear = Sequential::mlp(&[], Activation::Identity, 1, near_0);
    is_the_run_without("gradient", &linear, Bad::Gradient, &huber);
}

#[test]
fn in_half_precision_the_loss_scale_stays() {
    let options = TrainOptions { precision: Precision::F16, ..options() };
    let data = data(&[BAD_ROW], Bad::Target);
    for kind in common::half_kinds() {
        let mut trainer = Trainer::new(&model(), &data, &options, &kind).unwrap();
        let (_, warnings) = run(&mut trainer).unwrap();
        assert_eq!(warnings.len(), 3, "{kind}: {warnings:?}");
        let scaling = trainer.scaling().unwrap().unwrap();
        assert_eq!((scaling.scale, scaling.skipped, scaling.overflow), (65_536.0, 0.0, 0.0));
        assert!(bits(&mut trainer).iter().all(|&bits| f32::from_bits(bits).is_finite()));
    }
}

#[test]
fn a_run_without_such_steps_has_the_bits_of_one_that_would_stop() {
    let data = data(&[], Bad::Feature);
    let stops = TrainOptions { on_nonfinite: OnNonFinite::Stop, ..options() };
    let [skipping, stopping] = [&options(), &stops].map(|options| {
        let mut trainer = Trainer::new(&model(), &data, options, &DeviceKind::Cpu).unwrap();
        (run(&mut trainer).unwrap(), bits(&mut trainer))
    });
    assert!(skipping == stopping);
}

#[test]
fn where_all_steps_are_skipped_the_run_ends_with_what_to_do() {
    let all: Vec<usize> = (0..ROWS).collect();
    for device in devices() {
        let name = device.info().to_string();
        let data = data(&all, Bad::Feature);
        let mut trainer = Trainer::with_device(&model(), &data, &options(), device).unwrap();
        let begun = bits(&mut trainer);
        let error = run(&mut trainer).unwrap_err();
        assert!(matches!(error, Error::NothingLearned { epoch: 1, steps: 5 }), "{name}: {error}");
        assert!(error.to_string().contains("all 5 steps of epoch 1 were skipped"), "{error}");
        assert!(bits(&mut trainer) == begun, "{name}: weights have moved");
    }
}

/// Stopped after each step in turn, also within the move that is skipped.
#[test]
fn runs_that_skip_go_on_with_the_same_bits() {
    let data = data(&[BAD_ROW], Bad::Feature);
    let options = TrainOptions { accumulate: 2, clip_norm: Some(0.5), ..options() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.safetensors");
    for whole in devices() {
        let name = whole.info().to_string();
        let mut whole = Trainer::with_device(&model(), &data, &options, whole).unwrap();
        let want = (run(&mut whole).unwrap(), bits(&mut whole));
        let mut places = Vec::new();
        for stop in 1..14 {
            let turn = |_| devices().into_iter().find(|it| it.info().to_string() == name).unwrap();
            let [first, second] = [0, 1].map(turn).map(|device| {
                Trainer::with_device(&model(), &data, &options, LeavingOut::new(device, 0..0))
            });
            let (mut first, mut second) = (first.unwrap(), second.unwrap());
            let mut fit = first.fit();
            let mut epochs = Vec::new();
            let mut take = |event: Event| {
                if let Event::Epoch(stats) = event {
                    epochs.push(EpochStats { seconds: 0.0, samples_per_second: 0.0, ..stats });
                }
            };
            let mut steps = 0;
            while steps < stop {
                let event = fit.next().unwrap().unwrap();
                steps += u32::from(matches!(event, Event::Progress(_) | Event::Epoch(_)));
                take(event);
            }
            let checkpoint = fit.checkpoint().unwrap();
            places.push(checkpoint.step());
            write_checkpoint(&checkpoint, &path).unwrap();
            second.resume(read_checkpoint(&path).unwrap()).unwrap();
            second.fit().for_each(|event| take(event.unwrap()));
            assert_eq!(epochs, want.0.0, "{name}, stopped after {stop} steps");
            assert!(bits(&mut second) == want.1, "{name}, stopped after {stop} steps");
        }
        assert!(places.contains(&3), "no stop within the move that is skipped: {places:?}");
    }
}
