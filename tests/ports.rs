//! Slots that a plan promises: after training and evaluation, every device gives the values of the f64 reference for each,
//! or says that it has not kept them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Tolerance, assert_close, normal_f32};
use wgrad::Seed;
use wgrad::data::{Dataset, Split, Targets};
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, Values};
use wgrad::graph::{Loss, Optimizer, OptimizerSchedule, SHARE, UpdateContext};
use wgrad::model::{Activation, Init, Params, Sequential};
use wgrad::plan::{Element, LossScaler, Phase, Plan, Precision, Slot, StepParams, TrainPlan};
use wgrad::train::{OnNonFinite, TrainOptions};

const ROWS: usize = 20;
const COLUMNS: usize = 3;

fn case(optimizer: &str, change: impl Fn(TrainOptions) -> TrainOptions) -> (String, TrainOptions) {
    let base = TrainOptions {
        loss: Loss::Mse,
        optimizer: Optimizer::by_name(optimizer).unwrap(),
        batch_size: 8,
        ..TrainOptions::default()
    };
    let options = change(base);
    (format!("{optimizer} {:?} {:?}", options.loss, options.precision), options)
}

fn cases() -> Vec<(String, TrainOptions)> {
    let half = |it: TrainOptions| TrainOptions { precision: Precision::F16, ..it };
    let skip = |it: TrainOptions| TrainOptions { on_nonfinite: OnNonFinite::Skip, ..it };
    let more = |it: TrainOptions| TrainOptions {
        accumulate: 2,
        clip_norm: Some(0.5),
        average: Some("ema(decay=0.5)".parse().unwrap()),
        ..it
    };
    let classes = |it: TrainOptions| TrainOptions { loss: Loss::CROSS_ENTROPY, ..it };
    let log_cosh = |it: TrainOptions| TrainOptions { loss: Loss::LogCosh, ..it };
    vec![
        case("sgd", |it| it),
        case("sgd(momentum=0.9)", |it| it),
        case("adamw", |it| it),
        case("adamw", classes),
        case("adamw", log_cosh),
        case("adamw", skip),
        case("adamw", more),
        case("adamw", |it| more(skip(it))),
        case("adamw", half),
        case("sgd(momentum=0.9)", |it| classes(half(it))),
        case("adamw", |it| half(more(it))),
        case("adamw", |it| half(more(skip(it)))),
        case("schedule-free", |it| it),
        case("lamb", |it| it),
        case("muon", |it| it),
        case("adagrad", |it| it),
    ]
}

/// Two steps' gradients are one move where they are added up; the last batch is a partial one.
fn steps(options: &TrainOptions) -> Vec<StepParams> {
    let mut pace = OptimizerSchedule::new(options.optimizer.clone(), options.average);
    let step = |index: u32| {
        let apply = options.accumulate == 1 || index % 2 == 1;
        let mut row = StepParams {
            first: index % 3 * 8,
            rows: if index % 3 == 2 { 4 } else { 8 },
            log: index,
            step: index,
            apply,
            ..StepParams::default()
        };
        if apply {
            let moment = UpdateContext { lr: 0.01, decay: 1.0, epoch: 0, last: false };
            row.scalars = pace.next(moment);
        }
        row.scalars[SHARE] = if options.accumulate == 1 { 1.0 } else { 0.5 };
        row
    };
    (0..5).map(step).collect()
}

fn train(device: &mut dyn Device, plan: &TrainPlan, options: &TrainOptions, model: &Sequential) {
    let ports = &plan.ports;
    let floats = |device: &mut dyn Device, slot: Option<Slot>, values: &[f32]| {
        if let Some(slot) = slot {
            device.write(slot, 0, Values::F32(values)).unwrap();
        }
    };
    device.load(plan).unwrap();
    floats(device, Some(ports.train_x), &normal_f32(ROWS * COLUMNS, Seed(1)));
    if options.loss.classes() {
        let classes: Vec<u32> = (0..ROWS).map(|row| u32::try_from(row % 2).unwrap()).collect();
        device.write(ports.train_y, 0, Values::U32(&classes)).unwrap();
    } else {
        floats(device, Some(ports.train_y), &normal_f32(ROWS, Seed(2)));
    }
    let order: Vec<u32> = (0..u32::try_from(ROWS).unwrap()).rev().collect();
    device.write(ports.order, 0, Values::U32(&order)).unwrap();
    let params = Params::init(model, COLUMNS, Seed(3)).unwrap();
    let layout = options.precision.layout(params.layout()).unwrap();
    let params = params.laid_out(layout);
    for slot in [Some(ports.params), ports.half_params, ports.averaged] {
        floats(device, slot, params.arena());
    }
    let start = if ports.half_params.is_some() { LossScaler::START } else { LossScaler::NONE };
    floats(device, ports.scaling, &start.values());
    let rows = steps(options);
    device.write_steps(Phase::Train, &rows).unwrap();
    device.run(Phase::Train, 0..2).unwrap();
    device.run(Phase::Train, 2..5).unwrap();
    assert_eq!(device.take_losses(true).unwrap().len(), 5);
    floats(device, plan.eval.map(|it| it.eval_x), &normal_f32(4 * COLUMNS, Seed(5)));
    let row = StepParams { rows: 4, ..StepParams::default() };
    device.write_steps(Phase::Eval, &[row]).unwrap();
    device.run(Phase::Eval, 0..1).unwrap();
}

/// The slots of the ports that hold floats, by name.
fn floats(plan: &TrainPlan) -> Vec<(String, Slot)> {
    let it = &plan.ports;
    let always = [it.params, it.gradients, it.train_x, it.train_y, it.order, it.log];
    let some = [
        it.half_params,
        it.scaling,
        it.gathered,
        it.averaged,
        it.train_weights,
        it.constants,
        plan.eval.map(|it| it.eval_x),
        plan.eval.map(|it| it.predictions),
    ];
    let all = always.into_iter().chain(some.into_iter().flatten()).chain(it.states.clone());
    let named = all.map(|slot| (plan.slot(slot).name.clone(), slot));
    named.filter(|(_, slot)| plan.slot(*slot).element != Element::U32).collect()
}

fn compare(device: &mut dyn Device) {
    for (name, options) in cases() {
        let outputs = if options.loss.classes() { 2 } else { 1 };
        let model = Sequential::mlp(&[4], Activation::Tanh, outputs, Init::Pytorch);
        let y = if options.loss.classes() {
            Targets::Classes((0..ROWS).map(|row| u32::try_from(row % 2).unwrap()).collect())
        } else {
            Targets::numbers(normal_f32(ROWS, Seed(2)))
        };
        let table = |rows, y| {
            Dataset::from_arrays(&normal_f32(rows * COLUMNS, Seed(1)), COLUMNS, y).unwrap()
        };
        let few = match &y {
            Targets::Classes(y) => Targets::Classes(y[..4].to_vec()),
            _ => Targets::Numbers(vec![0.0, 1.0, 2.0, 3.0]),
        };
        let data = Split { train: table(ROWS, y), valid: Some(table(4, few)) };
        let plan = Plan::of_run(&model, &data, &options).unwrap();
        if plan.has_half() && !device_has_half(device, &plan) {
            continue;
        }
        let mut reference = CpuDevice::<f64>::new();
        train(&mut reference, &plan, &options, &model);
        train(device, &plan, &options, &model);
        let rel = if options.precision == Precision::F16 { 2e-2 } else { 1e-4 };
        let close = |what: &str, got: &[f32], want: &[f64]| {
            assert_close(&format!("{name}: {what}"), got, want, Tolerance::scaled(rel, want));
        };
        let ports = floats(&plan);
        assert!(ports.iter().any(|(name, _)| name == "gradients"));
        for (what, slot) in &ports {
            let want = reference.values(*slot).unwrap().to_vec();
            let got = device.read(*slot, want.len()).unwrap();
            close(what, &got, &want);
            let moves = ["params", "gradients", "predictions", "log"].contains(&what.as_str());
            assert!(!moves || want.iter().any(|value| value.abs() > 1e-4), "{name}: {what}");
        }
        // Each layer's own gradients and weights; and of what lives inside a step, whatever the last one left.
        let used = |slot: &Slot| {
            let mut steps = plan.steps(Phase::Train).iter();
            steps.any(|step| step.reads.contains(slot) || step.writes.contains(slot))
        };
        let (mut views, mut refused) = (0, 0);
        for (slot, spec) in plan.slots().filter(|(_, spec)| spec.element == Element::F32) {
            if spec.name.starts_with("d_") && spec.name.ends_with(".weight") {
                let want = reference.values(slot).unwrap().to_vec();
                close(&spec.name, &device.read(slot, want.len()).unwrap(), &want);
                views += 1;
            } else if used(&slot)
                && let Err(error) = device.read(slot, spec.len())
            {
                assert!(error.to_string().contains("read it on the CPU device"), "{error}");
                refused += 1;
            }
        }
        assert!(views == 2 && refused <= 1, "{name}: {views} {refused}");
        // Written values are read back, wherever the slot lies.
        let gradients = plan.ports.gradients;
        let values = normal_f32(plan.slot(gradients).len(), Seed(9));
        device.write(gradients, 0, Values::F32(&values)).unwrap();
        assert_eq!(device.read(gradients, values.len()).unwrap(), values, "{name}");
    }
}

fn device_has_half(device: &mut dyn Device, plan: &Plan) -> bool {
    match device.load(plan) {
        Ok(()) => true,
        Err(error) => {
            assert!(error.to_string().contains("SHADER_F16"), "{error}");
            false
        }
    }
}

#[test]
fn the_cpu_has_what_plans_promise() {
    compare(&mut CpuDevice::<f32>::new());
}

#[cfg(feature = "gpu")]
#[test]
fn the_adapter_has_what_plans_promise() {
    let Some(mut device) = common::gpu() else { return };
    // As the adapter chooses, which is whole steps in one dispatch for some; and kernel by kernel.
    compare(&mut device);
    let model = Sequential::mlp(&[4], Activation::Tanh, 1, Init::Pytorch);
    let (_, options) = case("adamw", |it| it);
    let y = Targets::numbers(normal_f32(ROWS, Seed(2)));
    let x = normal_f32(ROWS * COLUMNS, Seed(1));
    let train = Dataset::from_arrays(&x, COLUMNS, y).unwrap();
    let plan = Plan::of_run(&model, &Split { train, valid: None }, &options).unwrap();
    device.load(&plan).unwrap();
    assert!(device.whole_steps().is_some(), "none of the cases above was one dispatch");
    device.force_variant(Some("tile_16x16"));
    compare(&mut device);
}
