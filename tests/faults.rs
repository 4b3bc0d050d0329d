//! Faults during a run, and how the run reacts.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::ops::Range;

use wgrad::data::{Dataset, Split, Targets, synth};
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, DeviceInfo, DeviceKind, Values};
use wgrad::graph::Loss;
use wgrad::model::{Activation, Init, Sequential};
use wgrad::plan::{Phase, Plan, Slot, StepParams};
use wgrad::train::{EpochStats, Event, OnNonFinite, TrainOptions, Trainer, Warning};
use wgrad::{Error, Seed};

fn data() -> Split {
    synth::spirals(203, 3, Seed(5)).split(0.2, Seed(1)).unwrap()
}

fn options() -> TrainOptions {
    TrainOptions { lr: 0.02, epochs: 6, batch_size: 16, ..TrainOptions::default() }
}

fn trainer(options: &TrainOptions, device: Box<dyn Device>) -> Trainer {
    let model = Sequential::mlp(&[12, 8], Activation::Tanh, 3, Init::Pytorch);
    Trainer::with_device(&model, &data(), options, device).unwrap()
}

/// Epochs without their times, and the warnings.
fn run(trainer: &mut Trainer, mut each: impl FnMut(&Event)) -> (Vec<EpochStats>, Vec<Warning>) {
    let (mut epochs, mut warnings) = (Vec::new(), Vec::new());
    for event in trainer.fit() {
        let event = event.unwrap();
        each(&event);
        match event {
            Event::Epoch(stats) => {
                epochs.push(EpochStats { seconds: 0.0, samples_per_second: 0.0, ..stats });
            }
            Event::Warned(Warning::SoftwareAdapter) => {}
            Event::Warned(warning) => warnings.push(warning),
            _ => {}
        }
    }
    (epochs, warnings)
}

fn bits(trainer: &mut Trainer) -> Vec<u32> {
    trainer.params().unwrap().arena().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_lost_device_is_opened_again_and_the_bits_are_the_same() {
    let Some(device) = common::gpu() else { return };
    let mut whole = trainer(&options(), Box::new(device));
    let (want, warnings) = run(&mut whole, |_| {});
    assert_eq!(warnings, []);
    // While the first epoch runs, and others.
    for lost_in in [1, 2, 6] {
        let Some(device) = common::gpu() else { return };
        let (handle, mut lost) = (device.wgpu().clone(), false);
        let mut trainer = trainer(&options(), Box::new(device));
        let (got, warnings) = run(&mut trainer, |event| {
            let in_it = match event {
                Event::Progress(progress) => progress.epoch == lost_in,
                Event::Epoch(stats) => stats.epoch + 1 == lost_in,
                _ => false,
            };
            if in_it && !std::mem::replace(&mut lost, true) {
                handle.destroy();
            }
        });
        assert_eq!(got, want, "lost in epoch {lost_in}");
        assert_eq!(bits(&mut trainer), bits(&mut whole), "lost in epoch {lost_in}");
        let [Warning::DeviceLost { same: true, .. }] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert!(warnings[0].to_string().contains("lost"), "{}", warnings[0]);
    }
}

#[test]
fn a_device_lost_without_checkpoints_is_an_error() {
    let Some(device) = common::gpu() else { return };
    let handle = device.wgpu().clone();
    let without = TrainOptions { checkpoint_every: 0, ..options() };
    let mut trainer = trainer(&without, Box::new(device));
    let mut fit = trainer.fit();
    fit.next().unwrap().unwrap();
    handle.destroy();
    let error = fit.find_map(Result::err);
    assert!(matches!(error, Some(Error::Device { .. })), "{error:?}");
}

/// Targets that a rate this large makes grow beyond all numbers.
fn diverging(
    kind: &DeviceKind,
    on_nonfinite: OnNonFinite,
) -> (Trainer, Vec<Warning>, Option<Error>) {
    let x: Vec<f32> = (0..64).map(|i| i as f32 / 8.0 - 4.0).collect();
    let y = x.iter().map(|x| 3.0 * x + 1.0);
    let train = Dataset::from_arrays(&x, 1, Targets::numbers(y)).unwrap();
    let model = Sequential::new().dense(1);
    let options = TrainOptions {
        loss: Loss::Mse,
        optimizer: "sgd".parse().unwrap(),
        lr: 12.0,
        epochs: 40,
        batch_size: 16,
        on_nonfinite,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&model, &Split { train, valid: None }, &options, kind).unwrap();
    let (mut warnings, mut error) = (Vec::new(), None);
    for event in trainer.fit() {
        match event {
            Ok(Event::Warned(Warning::SoftwareAdapter)) => {}
            Ok(Event::Warned(warning)) => warnings.push(warning),
            Err(found) => error = Some(found),
            Ok(_) => {}
        }
    }
    (trainer, warnings, error)
}

#[test]
fn a_run_that_diverges_stops_or_goes_back_and_slows_down() {
    let Some(kind) = common::gpu_kind() else { return };
    let mut ends = Vec::new();
    for kind in [DeviceKind::Cpu, kind] {
        let (_, warnings, error) = diverging(&kind, OnNonFinite::Stop);
        assert!(matches!(error, Some(Error::Diverged { .. })) && warnings.is_empty(), "{error:?}");
        let (mut trainer, warnings, error) = diverging(&kind, OnNonFinite::Back);
        assert!(error.is_none(), "{error:?}");
        let slowed: Vec<f64> = warnings
            .iter()
            .map(|warning| match warning {
                Warning::WentBack { slowed, .. } => *slowed,
                other => panic!("{other}"),
            })
            .collect();
        assert!(!slowed.is_empty());
        for (index, slowed) in slowed.iter().enumerate() {
            assert_eq!(*slowed, 0.5_f64.powi(index as i32 + 1));
        }
        let kept = trainer.kept().unwrap();
        assert!(kept.epoch == 40 && kept.train_loss < 1e-3, "{kept:?}");
        assert!(bits(&mut trainer).iter().all(|&bits| f32::from_bits(bits).is_finite()));
        ends.push(slowed.len());
    }
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn batches_that_do_not_fit_go_in_parts_with_the_same_result() {
    let Some(mut device) = common::gpu() else { return };
    let model = Sequential::mlp(&[128], Activation::Tanh, 3, Init::Pytorch);
    let options = TrainOptions { lr: 0.01, epochs: 4, batch_size: 64, ..TrainOptions::default() };
    let data = data();
    let mut whole = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
    run(&mut whole, |_| {});
    // A batch's hidden layer takes 32 KiB.
    device.limit_bindings(Some(16 << 10));
    let mut parts = Trainer::with_device(&model, &data, &options, Box::new(device)).unwrap();
    assert_eq!((parts.info().batch, parts.info().steps_per_epoch), (32, 6));
    let (_, warnings) = run(&mut parts, |_| {});
    let [Warning::SmallerSteps { batch: 64, step: 32, .. }] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    let tolerance = common::Tolerance { abs: 1e-5, rel: 1e-4 };
    let (got, want) = (parts.params().unwrap(), whole.params().unwrap());
    common::assert_close("weights", got.arena(), want.arena(), tolerance);
    // Weights that do not fit are not helped by smaller steps.
    let mut device = common::gpu().unwrap();
    device.limit_bindings(Some(1 << 10));
    let error = Trainer::with_device(&model, &data, &options, Box::new(device)).err();
    assert!(matches!(error, Some(Error::TooLarge { .. })), "{error:?}");
}

/// A device that has not the memory for more than so many bytes, as a driver says it: while the plan is loaded.
struct Scarce {
    device: Box<dyn Device>,
    bytes: u64,
}

impl Device for Scarce {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }
    fn load(&mut self, plan: &Plan) -> wgrad::Result<()> {
        if self.device.bytes_for(plan) > self.bytes {
            let adapter = self.device.info().name.clone();
            return Err(Error::OutOfMemory { adapter, problem: "out of memory".to_string() });
        }
        self.device.load(plan)
    }
    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> wgrad::Result<()> {
        self.device.write(slot, first, values)
    }
    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> wgrad::Result<()> {
        self.device.write_steps(phase, rows)
    }
    fn steps_per_submission(&self, phase: Phase) -> u32 {
        self.device.steps_per_submission(phase)
    }
    fn run(&mut self, phase: Phase, steps: Range<u32>) -> wgrad::Result<()> {
        self.device.run(phase, steps)
    }
    fn take_losses(&mut self, wait: bool) -> wgrad::Result<Vec<f32>> {
        self.device.take_losses(wait)
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

#[test]
fn devices_out_of_memory_get_smaller_steps_or_a_clear_error() {
    let Some(gpu) = common::gpu() else { return };
    let model = Sequential::mlp(&[128], Activation::Tanh, 3, Init::Pytorch);
    let options = TrainOptions { lr: 0.01, epochs: 4, batch_size: 64, ..TrainOptions::default() };
    let data = data();
    let plan = |batch_size, accumulate| {
        let options = TrainOptions { batch_size, accumulate, ..options.clone() };
        Plan::of_run(&model, &data, &options).unwrap()
    };
    for device in [Box::new(CpuDevice::<f32>::new()) as Box<dyn Device>, Box::new(gpu)] {
        let name = device.info().to_string();
        let mut whole = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
        run(&mut whole, |_| {});
        // Enough for a fourth of the batch, but not for half of it.
        let bytes = device.bytes_for(&plan(16, 4));
        assert!(device.bytes_for(&plan(32, 2)) > bytes, "{name}");
        let scarce = Box::new(Scarce { device, bytes });
        let mut parts = Trainer::with_device(&model, &data, &options, scarce).unwrap();
        assert_eq!(parts.info().batch, 16, "{name}");
        let (_, warnings) = run(&mut parts, |_| {});
        let [Warning::SmallerSteps { batch: 64, step: 16, .. }] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        let tolerance = common::Tolerance { abs: 1e-5, rel: 1e-4 };
        let (got, want) = (parts.params().unwrap(), whole.params().unwrap());
        common::assert_close(&name, got.arena(), want.arena(), tolerance);
    }
    // An error that no smaller step mends is reported as it was.
    let scarce = Box::new(Scarce { device: Box::new(CpuDevice::<f32>::new()), bytes: 1 << 10 });
    let error = Trainer::with_device(&model, &data, &options, scarce).err();
    assert!(matches!(error, Some(Error::OutOfMemory { .. })), "{error:?}");
}

/// A gradient that is no number while the loss is one shows in the weights, and so in the next loss: it costs no step of an
/// epoch more.
#[test]
fn gradients_that_are_no_numbers_are_found_with_the_next_step() {
    let Some(kind) = common::gpu_kind() else { return };
    // Forty steps of one row; from the thirteenth on, features whose product with the gradient is infinite.
    let x: Vec<f32> = (0..40).map(|i| if i < 12 { 1.0 } else { 3e37 }).collect();
    let train = Dataset::from_arrays(&x, 1, Targets::Numbers(vec![1.0; 40])).unwrap();
    let data = Split { train, valid: None };
    let options = TrainOptions {
        loss: "huber(delta=100)".parse().unwrap(),
        optimizer: "sgd".parse().unwrap(),
        scale: wgrad::data::FeatureScaling::None,
        lr: 1e-6,
        batch_size: 1,
        shuffle: false,
        ..TrainOptions::default()
    };
    for kind in [DeviceKind::Cpu, kind] {
        let near_0 = Init::Constant { value: 1e-3 };
        let model = Sequential::mlp(&[], Activation::Identity, 1, near_0);
        let mut trainer = Trainer::new(&model, &data, &options, &kind).unwrap();
        let error = trainer.fit().find_map(Result::err);
        let Some(Error::Diverged { step, what, .. }) = error else { panic!("{kind}: {error:?}") };
        assert_eq!((step, what), (14, "the loss"), "{kind}");
    }
}
