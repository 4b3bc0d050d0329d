//! The device is not made to wait: steps upload and read nothing, and an epoch's end finds the next one's steps given.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[cfg(feature = "gpu")]
mod common;

use std::sync::{Arc, Mutex};

use wgrad::Seed;
use wgrad::data::{Split, synth};
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, DeviceInfo, DeviceKind, Values};
use wgrad::model::{Activation, Init, Sequential};
use wgrad::plan::{Phase, Plan, Slot, StepParams};
use wgrad::train::{EpochStats, Event, TrainOptions, Trainer};

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

/// Steps of an epoch that no event has told of are none: whoever stops at an epoch's end has its weights.
#[test]
fn a_run_stopped_at_an_epochs_end_has_that_epochs_weights() {
    let model = Sequential::new().dense(8).relu().dense(3);
    let data = synth::spirals(90, 3, Seed(1)).split(0.2, Seed(1)).unwrap();
    let options = TrainOptions { epochs: 2, batch_size: 16, ..TrainOptions::default() };
    let mut whole = trainer(&model, &data, &options);
    let want = fit(&mut whole);
    let longer = TrainOptions { epochs: 9, ..options };
    for first_asked in ["params", "figures", "another run"] {
        let mut stopped = trainer(&model, &data, &longer);
        let last = |event: &Event| matches!(event, Event::Epoch(stats) if stats.epoch == 2);
        let end = stopped.fit().map(Result::unwrap).find(last).unwrap();
        assert!(matches!(&end, Event::Epoch(stats) if stats.valid == want[1].valid), "{end:?}");
        match first_asked {
            "params" => {
                assert_eq!(stopped.params().unwrap(), whole.params().unwrap());
                assert_eq!(stopped.trained(), whole.trained());
            }
            "figures" => assert_eq!(Some(stopped.evaluate().unwrap()), want[1].valid),
            _ => {
                let mut again = trainer(&model, &data, &longer);
                again.set_params(&whole.params().unwrap()).unwrap();
                fit(&mut again);
                fit(&mut stopped);
                assert_eq!(stopped.params().unwrap(), again.params().unwrap());
            }
        }
    }
}

/// A device that notes what it is asked to do, and the rows of its steps.
struct Noting(CpuDevice<f32>, Arc<Mutex<Vec<&'static str>>>, Arc<Mutex<Vec<StepParams>>>);

impl Noting {
    fn note(&self, what: &'static str) {
        self.1.lock().unwrap().push(what);
    }
}

impl Device for Noting {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }
    fn load(&mut self, plan: &Plan) -> wgrad::Result<()> {
        self.0.load(plan)
    }
    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> wgrad::Result<()> {
        self.note("write");
        self.0.write(slot, first, values)
    }
    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> wgrad::Result<()> {
        self.note("write steps");
        if phase == Phase::Train {
            self.2.lock().unwrap().extend_from_slice(rows);
        }
        self.0.write_steps(phase, rows)
    }
    fn steps_per_submission(&self, _: Phase) -> u32 {
        2
    }
    fn run(&mut self, phase: Phase, steps: std::ops::Range<u32>) -> wgrad::Result<()> {
        self.note(if phase == Phase::Train { "train" } else { "validate" });
        self.0.run(phase, steps)
    }
    fn take_losses(&mut self, wait: bool) -> wgrad::Result<Vec<f32>> {
        if wait {
            self.note("wait");
        }
        self.0.take_losses(wait)
    }
    fn read(&mut self, slot: Slot, len: usize) -> wgrad::Result<Vec<f32>> {
        self.note("read");
        self.0.read(slot, len)
    }
    fn slot_limit(&self) -> Option<u64> {
        self.0.slot_limit()
    }
    fn bytes_for(&self, plan: &Plan) -> u64 {
        self.0.bytes_for(plan)
    }
    fn variants(&self) -> Vec<String> {
        self.0.variants()
    }
}

/// While the host computes an epoch's figures, and while those who are told of them write files, the device trains.
#[test]
fn the_device_has_steps_to_run_when_an_epoch_is_told_of() {
    // A checkpoint needs the optimizer's state besides the weights, and is read before the device goes on.
    for (checkpoint_every, state) in [(0, &[][..]), (1, &["read", "read"][..])] {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let device = Box::new(Noting(CpuDevice::new(), Arc::clone(&notes), Arc::default()));
        let model = Sequential::mlp(&[4], Activation::Tanh, 3, Init::Pytorch);
        let data = synth::spirals(60, 3, Seed(1)).split(0.2, Seed(1)).unwrap();
        let options =
            TrainOptions { epochs: 3, batch_size: 8, checkpoint_every, ..TrainOptions::default() };
        let mut trainer = Trainer::with_device(&model, &data, &options, device).unwrap();
        notes.lock().unwrap().clear();
        let mut told = Vec::new();
        for event in trainer.fit() {
            if let Event::Epoch(_) = event.unwrap() {
                told.push(std::mem::take(&mut *notes.lock().unwrap()));
            }
        }
        // Six steps an epoch, two at once. Nothing is written or read between them.
        let first = ["write", "write steps", "train"];
        let rest = ["train", "train"];
        let end = ["wait", "write", "write steps", "validate", "read", "read"];
        let later = ["wait", "write steps", "validate", "read", "read"];
        assert_eq!(told[0], [&first[..], &rest, &end, state, &first].concat());
        assert_eq!(told[1], [&rest[..], &later, state, &first].concat());
        assert_eq!(told[2], [&rest[..], &later, state].concat());
    }
}

/// Scheduled values reach the device with each step.
#[test]
fn steps_bring_their_rate_and_shares() {
    let rows = Arc::new(Mutex::new(Vec::new()));
    let device = Box::new(Noting(CpuDevice::new(), Arc::default(), Arc::clone(&rows)));
    let model = Sequential::mlp(&[4], Activation::Tanh, 3, Init::Pytorch);
    let data = synth::spirals(60, 3, Seed(1)).split(0.2, Seed(1)).unwrap();
    let options = TrainOptions {
        epochs: 3,
        batch_size: 8,
        warmup: 0.5,
        decay_schedule: "flat-cosine".parse().unwrap(),
        dropout_schedule: "step(every=1, gamma=0.5)".parse().unwrap(),
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::with_device(&model, &data, &options, device).unwrap();
    fit(&mut trainer);
    let schedules = options.schedules(6);
    assert_eq!(rows.lock().unwrap().len(), 18);
    for (step, row) in (0..).zip(rows.lock().unwrap().iter()) {
        let want = schedules.factors(step);
        let decay = options.optimizer.setting("weight-decay").unwrap() * want.weight_decay;
        assert_eq!((row.scalars[0], row.scalars[1], row.dropout), (want.lr, decay, want.dropout));
    }
    let last = schedules.factors(17);
    assert!(last.weight_decay < 0.1 && last.dropout == 0.25);
}

/// Within a window, the losses are all that comes back, a number a step, and nothing goes in.
#[cfg(feature = "gpu")]
#[test]
fn steps_upload_nothing_and_read_their_losses_alone() {
    // As dispatches one by one, and as whole steps in one dispatch.
    for one_by_one in [true, false] {
        let Some(mut device) = common::gpu() else { return };
        device.force_variant(one_by_one.then_some("tile_16x16"));
        counts(device, one_by_one);
    }
}

#[cfg(feature = "gpu")]
fn counts(mut device: wgrad::device::gpu::GpuDevice, one_by_one: bool) {
    let model = Sequential::mlp(&[24, 12], Activation::Relu, 3, Init::Pytorch);
    let data = synth::spirals(90, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
    let options = TrainOptions { batch_size: 8, ..TrainOptions::default() };
    let plan = Plan::of_run(&model, &data, &options).unwrap();
    device.load(&plan).unwrap();
    let scalars = common::first_scalars(&options.optimizer, 0.0);
    let row = StepParams { rows: 8, scalars, ..StepParams::default() };
    assert!(device.take_usage().is_none(), "the first call begins the counting");
    device.write_steps(Phase::Train, &[row; 60]).unwrap();
    let window = device.take_usage().unwrap();
    // A row of a uniform table takes 256 bytes: WebGPU's alignment.
    assert_eq!((window.uploads, window.uploaded_bytes), (1, 60 * 256));
    for from in (0..60).step_by(6) {
        device.run(Phase::Train, from..from + 6).unwrap();
    }
    assert_eq!(device.take_losses(true).unwrap().len(), 60);
    let usage = device.take_usage().unwrap();
    assert_eq!((usage.uploads, usage.uploaded_bytes), (0, 0));
    assert_eq!((usage.submissions, usage.reads, usage.read_bytes), (10, 10, 60 * 4));
    let each = plan.steps(Phase::Train).len() as u64;
    assert_eq!(usage.dispatches, if one_by_one { 60 * each } else { 10 });
    assert!(usage.encode_seconds > 0.0 && usage.busy_seconds > 0.0, "{usage:?}");
    // All of it happened while the clock ran; clocks of host and device differ a little.
    assert!(usage.busy_seconds < 1.1 * usage.seconds, "{usage:?}");
    // Submissions in flight when another plan is loaded are not waited for, and measuring continues.
    device.run(Phase::Train, 0..6).unwrap();
    device.load(&plan).unwrap();
    device.write_steps(Phase::Train, &[row; 60]).unwrap();
    for from in (0..60).step_by(10) {
        device.run(Phase::Train, from..from + 10).unwrap();
    }
    assert_eq!(device.take_losses(true).unwrap().len(), 60);
}

/// Kernels timed one by one do what they do otherwise, and take time.
#[cfg(feature = "gpu")]
#[test]
fn kernels_timed_one_by_one_train_the_same() {
    let Some(mut device) = common::gpu() else { return };
    let model = Sequential::mlp(&[24], Activation::Relu, 3, Init::Pytorch);
    let data = synth::spirals(90, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
    let options = TrainOptions { batch_size: 8, ..TrainOptions::default() };
    let plan = Plan::of_run(&model, &data, &options).unwrap();
    let params = wgrad::model::Params::init(&model, data.train.columns(), Seed(2)).unwrap();
    let row = StepParams {
        rows: 8,
        scalars: common::first_scalars(&options.optimizer, 1e-2),
        ..StepParams::default()
    };
    let mut results = Vec::new();
    for timed in [false, true] {
        device.load(&plan).unwrap();
        device.write(plan.ports.params, 0, Values::F32(params.arena())).unwrap();
        device
            .write(
                plan.ports.train_x,
                0,
                Values::F32(&data.train.x().iter().map(|v| v as f32).collect::<Vec<_>>()),
            )
            .unwrap();
        device.write_steps(Phase::Train, &[row; 5]).unwrap();
        if timed {
            let Some(seconds) = device.time_steps(Phase::Train, 0..5).unwrap() else { return };
            assert_eq!(seconds.len(), 5);
            let kernels = plan.steps(Phase::Train).len();
            assert!(seconds.iter().all(|step| step.len() == kernels), "{seconds:?}");
            assert!(seconds.iter().flatten().sum::<f64>() > 0.0, "{seconds:?}");
        } else {
            device.run(Phase::Train, 0..5).unwrap();
        }
        results.push(device.read(plan.ports.params, params.arena().len()).unwrap());
    }
    assert_ne!(results[0], params.arena());
    assert_eq!(results[0], results[1]);
}
