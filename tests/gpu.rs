//! The GPU device on whatever adapter there is: every kernel against the f64 reference, and what the step
//! loop must not do. One device is shared, because adapters compile kernels slowly.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says so")]

mod common;

use common::gpu;
use wgrad::data::{FeatureScaling, Split, synth};
use wgrad::device::cpu::CpuDevice;
use wgrad::device::gpu::GpuDevice;
use wgrad::device::verify::{check, check_form, every_kernel, half_kernels, sizes_of, verify_gpu};
use wgrad::device::{Device, DeviceInfo, DeviceKind, Values};
use wgrad::expr::Expr;
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::{Activation, Init, Sequential};
use wgrad::plan::{
    Broadcast, Element, Formula, Kernel, Operand, Phase, Plan, PlanBuilder, Role, Slot, StepParams,
    TrainPlan,
};
use wgrad::train::{Event, TrainOptions, Trainer};
use wgrad::{Error, Seed};

#[test]
fn every_kernel_and_variant_agrees_with_the_reference() {
    let Some(mut device) = gpu() else { return };
    let mut failures = Vec::new();
    let tally = verify_gpu(&mut device, &mut |check| {
        failures.extend(check.failure.clone().map(|f| format!("{check:?} {f}")))
    });
    let tally = tally.unwrap();
    assert!(failures.is_empty(), "{}: {failures:#?}", tally.device);
    assert_eq!(tally.failed, 0);
    assert!(tally.passed > 250, "{tally:?}");
}

/// A device whose results are a little off.
struct Off<D>(D);

impl<D: Device> Device for Off<D> {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }
    fn load(&mut self, plan: &Plan) -> wgrad::Result<()> {
        self.0.load(plan)
    }
    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> wgrad::Result<()> {
        self.0.write(slot, first, values)
    }
    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> wgrad::Result<()> {
        self.0.write_steps(phase, rows)
    }
    fn steps_per_submission(&self, phase: Phase) -> u32 {
        self.0.steps_per_submission(phase)
    }
    fn run(&mut self, phase: Phase, steps: std::ops::Range<u32>) -> wgrad::Result<()> {
        self.0.run(phase, steps)
    }
    fn take_losses(&mut self, wait: bool) -> wgrad::Result<Vec<f32>> {
        self.0.take_losses(wait)
    }
    fn read(&mut self, slot: Slot, len: usize) -> wgrad::Result<Vec<f32>> {
        let mut values = self.0.read(slot, len)?;
        // One element of a thousand, by one part in two hundred: what a mistake at an edge looks like.
        let last = values.len() - 1;
        values[last] = values[last] * 1.005 + 1e-3;
        Ok(values)
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

#[test]
fn the_check_sees_one_wrong_element_of_any_kernel() {
    let mut device = Off(CpuDevice::<f32>::new());
    for kernel in every_kernel() {
        // The longest sums have the widest limits; the second size is of ordinary length for all.
        let sizes = sizes_of(&kernel);
        let sizes = *sizes.get(1).unwrap_or(&sizes[0]);
        let check = check(&mut device, "off", kernel, sizes).unwrap();
        assert!(check.failure.is_some(), "{check:?}");
    }
    for (kernel, stored) in half_kernels() {
        let sizes = sizes_of(&kernel);
        let sizes = *sizes.get(1).unwrap_or(&sizes[0]);
        let check = check_form(&mut device, "off", (kernel, stored), sizes).unwrap();
        assert!(check.failure.is_some(), "{check:?}");
    }
}

/// A plan and loaded device for a small classifier, with steps ready to run.
fn classifier(device: &mut dyn Device, data: &Split, options: &TrainOptions) -> TrainPlan {
    let model = Sequential::mlp(&[24, 12], Activation::Relu, data.train.outputs(), Init::Pytorch);
    let plan = Plan::of_run(&model, data, options).unwrap();
    device.load(&plan).unwrap();
    let rows: Vec<StepParams> = (0..64)
        .map(|log| StepParams {
            rows: 8,
            log,
            scalars: common::first_scalars(&options.optimizer, 1e-3),
            ..StepParams::default()
        })
        .collect();
    device.write_steps(Phase::Train, &rows).unwrap();
    plan
}

#[test]
fn the_step_loop_makes_nothing() {
    let Some(mut device) = gpu() else { return };
    // As dispatches one by one, and as the adapter chooses: whole steps in one dispatch.
    for form in [Some("tile_16x16"), None] {
        device.force_variant(form);
        makes_nothing(&mut device);
    }
}

fn makes_nothing(device: &mut GpuDevice) {
    let data = synth::spirals(90, 3, Seed(1)).split(0.2, Seed(1)).unwrap();
    classifier(device, &data, &TrainOptions { batch_size: 8, ..TrainOptions::default() });
    let count = |device: &GpuDevice| {
        let counters = device.wgpu().get_internal_counters().hal;
        [
            counters.buffers.read(),
            counters.bind_groups.read(),
            counters.bind_group_layouts.read(),
            counters.compute_pipelines.read(),
            counters.pipeline_layouts.read(),
            counters.shader_modules.read(),
        ]
    };
    device.run(Phase::Train, 0..1).unwrap();
    device.take_losses(true).unwrap();
    let before = count(device);
    assert!(before.iter().all(|&made| made > 0), "the counters count nothing: {before:?}");
    for from in (1..61).step_by(6) {
        device.run(Phase::Train, from..from + 6).unwrap();
        assert_eq!(count(device), before, "at step {from}");
    }
    assert_eq!(device.take_losses(true).unwrap().len(), 60);
    assert_eq!(count(device), before);
}

/// Bytes of the buffers that wgpu has made and not freed, its copies of values on their way among them.
fn bytes_made(device: &wgrad::device::gpu::GpuDevice) -> u64 {
    u64::try_from(device.wgpu().get_internal_counters().hal.buffer_memory.read()).unwrap()
}

#[test]
fn memory_is_what_was_said() {
    // Dispatches, and a network whose steps are one dispatch with scratch of its own.
    for (columns, hidden) in [(300, [257, 100]), (20, [24, 12])] {
        let Some(mut device) = gpu() else { return };
        check_memory(&mut device, columns, &hidden);
    }
}

fn check_memory(device: &mut wgrad::device::gpu::GpuDevice, columns: u32, hidden: &[usize]) {
    let data = synth::friedman(2000, columns, Seed(1)).split(0.2, Seed(1)).unwrap();
    let options = TrainOptions { loss: Loss::Mse, batch_size: 64, ..TrainOptions::default() };
    let model = Sequential::mlp(hidden, Activation::Gelu, 1, Init::Pytorch);
    let plan = Plan::of_run(&model, &data, &options).unwrap();
    // The objects that wgpu keeps for itself exist before the plan is loaded.
    let before = bytes_made(device);
    if before == 0 {
        eprintln!("SKIPPED, wgpu does not count bytes on {}", device.info());
        return;
    }
    device.load(&plan).unwrap();
    let said = device.bytes_for(&plan);
    let mut most = bytes_made(device) - before;
    // Values on their way and a table of steps' numbers take less than 1.25 MiB.
    assert!(most <= said && most + (5 << 18) + (64 << 10) >= said, "{most} of {said} when loaded");
    let order: Vec<u32> = (0..1600).collect();
    let scalars = common::first_scalars(&options.optimizer, 0.0);
    let rows: Vec<StepParams> = (0..1024)
        .map(|log| StepParams { rows: 64, log, scalars, ..StepParams::default() })
        .collect();
    for _ in 0..3 {
        device.write(plan.ports.train_x, 0, Values::F32(&singles(&data.train))).unwrap();
        most = most.max(bytes_made(device) - before);
        device.write(plan.ports.order, 0, Values::U32(&order)).unwrap();
        device.write_steps(Phase::Train, &rows).unwrap();
        most = most.max(bytes_made(device) - before);
        for first in [0, 2, 4] {
            device.run(Phase::Train, first..first + 2).unwrap();
            most = most.max(bytes_made(device) - before);
        }
        device.take_losses(true).unwrap();
        device.read(plan.ports.params, 100).unwrap();
        most = most.max(bytes_made(device) - before);
    }
    // Allocations are rounded up, by less than a page each.
    assert!(most <= said + (64 << 10), "{most} of {said}");
}

fn singles(data: &wgrad::Dataset) -> Vec<f32> {
    data.x().iter().map(|value| value as f32).collect()
}

#[test]
fn losses_come_in_order_and_all() {
    let Some(mut device) = gpu() else { return };
    let data = synth::spirals(90, 3, Seed(1)).split(0.0, Seed(1)).unwrap();
    let options = TrainOptions { batch_size: 8, ..TrainOptions::default() };
    let mut results = Vec::new();
    let mut cpu = CpuDevice::<f32>::new();
    let mut plain = gpu().unwrap();
    plain.force_variant(Some("tile_16x16"));
    for device in [&mut device as &mut dyn Device, &mut plain, &mut cpu] {
        let plan = classifier(device, &data, &options);
        let params = wgrad::model::Params::init(
            &Sequential::mlp(&[24, 12], Activation::Relu, 3, Init::Pytorch),
            data.train.columns(),
            Seed(2),
        )
        .unwrap();
        let order: Vec<u32> = (0..90).rev().collect();
        device.write(plan.ports.params, 0, Values::F32(params.arena())).unwrap();
        device.write(plan.ports.train_x, 0, Values::F32(&singles(&data.train))).unwrap();
        device.write(plan.ports.order, 0, Values::U32(&order)).unwrap();
        let mut losses = Vec::new();
        for from in [0, 1, 2, 5, 13, 40] {
            let to = [1, 2, 5, 13, 40, 64]
                [[0, 1, 2, 5, 13, 40].iter().position(|&f| f == from).unwrap()];
            device.run(Phase::Train, from..to).unwrap();
            losses.extend(device.take_losses(false).unwrap());
        }
        losses.extend(device.take_losses(true).unwrap());
        assert_eq!(losses.len(), 64);
        assert!(device.take_losses(true).unwrap().is_empty());
        results.push(losses);
    }
    for of_gpu in &results[..2] {
        for (got, want) in of_gpu.iter().zip(&results[2]) {
            assert!((got - want).abs() <= 1e-4 * want.abs(), "{got} {want}");
        }
    }
}

fn train(
    data: &Split,
    options: &TrainOptions,
    kind: &DeviceKind,
    hidden: [usize; 2],
) -> (Vec<f32>, Vec<f64>) {
    let model = Sequential::mlp(&hidden, Activation::Gelu, data.train.outputs(), Init::Pytorch);
    let mut trainer = Trainer::new(&model, data, options, kind).unwrap();
    if *kind != DeviceKind::Cpu {
        // A network of narrow layers is trained by whole steps in one dispatch, one with a wide layer is not.
        let lines = &trainer.info().variants;
        assert_eq!(
            lines.iter().any(|line| line.contains("sequence")),
            hidden[0] <= 128,
            "{lines:?}"
        );
    }
    let mut losses = Vec::new();
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event.unwrap() {
            losses.push(stats.train_loss);
        }
    }
    (trainer.params().unwrap().arena().to_vec(), losses)
}

#[test]
fn training_agrees_with_the_cpu_and_repeats_its_bits() {
    let Some(kind) = common::gpu_kind() else { return };
    let classes = synth::spirals(133, 3, Seed(4)).split(0.2, Seed(4)).unwrap();
    let numbers = synth::friedman(101, 6, Seed(4)).split(0.2, Seed(4)).unwrap();
    let base = TrainOptions {
        epochs: 4,
        batch_size: 32,
        lr: 1e-2,
        scale: FeatureScaling::Standard,
        ..TrainOptions::default()
    };
    let sgd = Optimizer::by_name("sgd(momentum=0.9, nesterov=true, weight-decay=1e-3)").unwrap();
    for (data, options, hidden) in [
        (&classes, base.clone(), [19, 7]),
        (&classes, base.clone(), [130, 7]),
        (&numbers, TrainOptions { loss: Loss::Mse, optimizer: sgd, ..base }, [19, 7]),
    ] {
        let (weights, losses) = train(data, &options, &kind, hidden);
        let (again, _) = train(data, &options, &kind, hidden);
        assert_eq!(weights, again, "the same seed on the same device gives the same bits");
        let (want, want_losses) = train(data, &options, &DeviceKind::Cpu, hidden);
        for (got, want) in weights.iter().zip(&want) {
            assert!((got - want).abs() <= 1e-3 * want.abs() + 1e-4, "{got} {want}");
        }
        for (got, want) in losses.iter().zip(&want_losses) {
            assert!((got - want).abs() <= 1e-4 * want, "{got} {want}");
        }
    }
}

#[test]
fn what_is_too_large_is_named() {
    let Some(mut device) = gpu() else { return };
    // A megabyte a binding, and a weight of one row more.
    device.limit_bindings(Some(1 << 20));
    let (columns, units) = (64, (1 << 20) / 4 / 64 + 1);
    let data = wgrad::data::Dataset::from_arrays(
        &vec![0.5; 4 * columns],
        columns,
        wgrad::data::Targets::Numbers(vec![1.0, 2.0, 3.0, 4.0]),
    );
    let data = data.unwrap().split(0.0, Seed(0)).unwrap();
    let model = Sequential::mlp(&[units], Activation::Relu, 1, Init::Pytorch);
    let options = TrainOptions { loss: Loss::Mse, ..TrainOptions::default() };
    let error = device.load(&Plan::of_run(&model, &data, &options).unwrap()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("0.weight") && message.contains("maxStorageBufferBindingSize"),
        "{message}"
    );
}

#[test]
fn an_arena_larger_than_a_binding_is_updated_in_parts() {
    let Some(mut device) = gpu() else { return };
    for kernel in every_kernel() {
        // Sums of squares are cut into parts of 64 blocks of 64.
        let (limit, len) = match kernel {
            Kernel::Update(_) => (256, 1792),
            Kernel::SquareSums { .. } => (8192, 20_544),
            _ => continue,
        };
        device.limit_bindings(Some(4 * limit));
        let check = check(&mut device, "plain", kernel, [1, len, 1]).unwrap();
        device.limit_bindings(None);
        assert_eq!(check.failure, None);
    }
}

#[test]
fn the_largest_of_infinities_is_one() {
    let Some(mut device) = gpu() else { return };
    let mut builder = PlanBuilder::new();
    let mut slot = |sizes| builder.slot("s", sizes, Element::F32, Role::Data).unwrap();
    let (x, largest) = (slot(vec![2, 3]), slot(vec![2]));
    let operands = vec![Operand::new(Broadcast::Both, 3)];
    let formula = builder.formula(Formula::new(&Expr::input(0), operands, 3)).unwrap();
    let kernel = Kernel::MapColumns { formula, operands: 1, maximum: true };
    let step = builder.step(kernel, vec![x], vec![largest]).unwrap();
    builder.phase(Phase::Eval, vec![step]);
    device.load(&builder.finish(2, 2)).unwrap();
    let low = f32::NEG_INFINITY;
    device.write(x, 0, Values::F32(&[low, low, low, -1e38, low, -3e38])).unwrap();
    device.write_steps(Phase::Eval, &[StepParams::default()]).unwrap();
    device.run(Phase::Eval, 0..1).unwrap();
    assert_eq!(device.read(largest, 2).unwrap(), [low, -1e38]);
}
