//! Layers against stored PyTorch results (`tests/oracle/layers.py`): losses, gradients of parameters and of inputs, running
//! statistics, outputs outside of training, and runs of networks that have all of them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::oracle::Oracle;
use common::{Tolerance, assert_close, drive, normal_f32};
use serde::Deserialize;
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, Values};
use wgrad::graph::{Loss, Optimizer, Training, inference, training};
use wgrad::model::{Params, Sequential};
use wgrad::plan::{Phase, Plan, Precision, Sizes, Slot, StepParams, TrainPlan};
use wgrad::{Dataset, DeviceKind, Predictor, Seed, Split, Targets, TrainOptions, Trainer};

/// Both sides compute in f64 and differ in the order of additions; norms of inputs of 1e4 lose some digits of these.
const F64: f64 = 1e-9;
/// The same in f32.
const F32: f64 = 1e-4;

#[derive(Clone, Debug, Deserialize)]
struct Case {
    name: String,
    text: String,
    steps: usize,
    loss: Loss,
    optimizer: String,
    lr: f64,
    momentum: f64,
}

impl Case {
    fn all(oracle: &Oracle) -> Vec<Self> {
        serde_json::from_str(oracle.metadata("cases")).unwrap()
    }

    fn optimizer(&self) -> Optimizer {
        match Optimizer::by_name(&self.optimizer).unwrap() {
            sgd if sgd.name() == "sgd" => sgd.with("momentum", self.momentum).unwrap(),
            other => other,
        }
    }
}

/// A device whose numbers are had as exactly as it has them.
enum Machine {
    Reference(Box<CpuDevice<f64>>),
    Single(Box<dyn Device>),
}

impl Machine {
    fn reference() -> Self {
        Self::Reference(Box::default())
    }

    /// All devices of single precision there are.
    fn singles() -> Vec<Self> {
        let mut all = vec![Self::Single(Box::new(CpuDevice::<f32>::new()))];
        #[cfg(feature = "gpu")]
        all.extend(common::gpu().map(|gpu| Self::Single(Box::new(gpu))));
        all
    }

    fn device(&mut self) -> &mut dyn Device {
        match self {
            Self::Reference(device) => device.as_mut(),
            Self::Single(device) => device.as_mut(),
        }
    }

    fn numbers(&mut self, plan: &Plan, slot: Slot) -> Vec<f64> {
        match self {
            Self::Reference(device) => device.values(slot).unwrap().to_vec(),
            Self::Single(device) => {
                let read = device.read(slot, plan.slot(slot).len()).unwrap();
                read.into_iter().map(f64::from).collect()
            }
        }
    }
}

/// A case's network on a device, with its table and its first parameters.
struct Loaded {
    step: Training,
    plan: TrainPlan,
    rows: usize,
}

fn load(machine: &mut Machine, oracle: &Oracle, case: &Case, batch: usize) -> Loaded {
    let model: Sequential = case.text.parse().unwrap();
    let of = |name: &str| format!("{}/{name}", case.name);
    let [rows, columns] = *oracle.shape(&of("x")) else { panic!("{}: no matrix", case.name) };
    let step = training(&model, columns, case.loss.clone(), case.optimizer()).unwrap();
    let sizes = Sizes { batch, train_rows: rows, eval_batch: 4, eval_rows: rows };
    let plan = Plan::training(&step, &inference(&model, columns).unwrap(), sizes).unwrap();
    let mut params = Params::zeros(step.layout.clone());
    for view in step.layout.views() {
        let name = of(&format!("init/{}", view.name));
        params.set(&view.name, oracle.shape(&name), &oracle.values_f32(&name)).unwrap();
    }
    let (x, y) = (oracle.values_f32(&of("x")), oracle.values_f32(&of("y")));
    let classes: Vec<u32> = y.iter().map(|&class| class as u32).collect();
    let y = if case.loss.classes() { Values::U32(&classes) } else { Values::F32(&y) };
    drive::load(machine.device(), &plan, &x, y, params.arena());
    machine.device().write(plan.eval.unwrap().eval_x, 0, Values::F32(&x)).unwrap();
    Loaded { step, plan, rows }
}

/// Outputs of the present weights for the whole table.
fn outputs(machine: &mut Machine, Loaded { plan, rows, .. }: &Loaded) -> Vec<f64> {
    let narrow = |value: usize| u32::try_from(value).unwrap();
    let row = |first: usize| StepParams {
        first: narrow(first),
        rows: narrow(4.min(rows - first)),
        ..StepParams::default()
    };
    let steps: Vec<_> = (0..*rows).step_by(4).map(row).collect();
    machine.device().write_steps(Phase::Eval, &steps).unwrap();
    machine.device().run(Phase::Eval, 0..narrow(steps.len())).unwrap();
    machine.numbers(plan, plan.eval.unwrap().predictions)
}

fn compare_single(machine: &mut Machine, oracle: &Oracle, case: &Case, rel: f64) {
    const BATCH: usize = 6;
    let loaded = load(machine, oracle, case, BATCH);
    let Loaded { step, plan, rows } = &loaded;
    let what = format!("{} on {}", case.name, machine.device().info());
    let of = |name: &str| oracle.values(&format!("{}/{name}", case.name));
    let narrow = |value: usize| u32::try_from(value).unwrap();
    let mut compared = 0;
    for batch in 0..2 {
        let (first, count) = (batch * BATCH, BATCH.min(rows - batch * BATCH));
        let row = StepParams { first: narrow(first), rows: narrow(count), ..StepParams::default() };
        drive::run(machine.device(), Phase::Train, &[row]);
        let loss = machine.numbers(plan, plan.ports.log)[0];
        let want = of("loss")[batch];
        let limit = Tolerance { abs: 0.0, rel };
        assert_close(&format!("{what}, loss of batch {batch}"), &[loss], &[want], limit);
        let gradients = machine.numbers(plan, plan.ports.gradients);
        for view in step.layout.views() {
            let got = &gradients[view.range()];
            let what = format!("{what}, gradient of {} in batch {batch}", view.name);
            if view.trainable {
                let want = of(&format!("grad{batch}/{}", view.name));
                // A value of 0 in f64 may be a denormal number in f32.
                let Tolerance { abs, rel } = Tolerance::scaled(rel, want);
                assert_close(&what, got, want, Tolerance { abs: abs + 1e-37, rel });
                compared += want.len();
            } else {
                assert!(got.iter().all(|&g| g == 0.0), "{what}: {got:?}");
            }
        }
    }
    assert!(compared > 20, "{what}: only {compared} gradients");
    let params = machine.numbers(plan, plan.ports.params);
    for view in step.layout.views() {
        let kept = &params[view.range()];
        let part = if view.trainable { "init" } else { "after" };
        let want = of(&format!("{part}/{}", view.name));
        // Devices may take denormal numbers for 0.
        let Tolerance { abs, rel } =
            Tolerance::scaled(if view.trainable { 0.0 } else { rel }, want);
        let limit = Tolerance { abs: abs + 1e-37, rel };
        assert_close(&format!("{what}, {} after", view.name), kept, want, limit);
    }
    let want = of("eval");
    let limit = Tolerance::scaled(rel, want);
    assert_close(&format!("{what}, eval"), &outputs(machine, &loaded), want, limit);
}

#[test]
fn forward_and_gradients() {
    let oracle = Oracle::read("layers");
    let cases = Case::all(&oracle);
    let mut singles = Machine::singles();
    let mut tried = 0;
    for case in cases.iter().filter(|case| case.steps == 0) {
        compare_single(&mut Machine::reference(), &oracle, case, F64);
        for machine in &mut singles {
            compare_single(machine, &oracle, case, F32);
        }
        tried += 1;
    }
    assert!(tried >= 52, "only {tried} cases");
}

fn compare_run(machine: &mut Machine, oracle: &Oracle, case: &Case, rel: f64) {
    let loaded = load(machine, oracle, case, 8);
    let Loaded { step, plan, .. } = &loaded;
    let what = format!("{} on {}", case.name, machine.device().info());
    let of = |name: &str| oracle.values(&format!("{}/{name}", case.name));
    let rows = drive::step_rows(plan, &case.optimizer(), 0, case.steps, |_| case.lr);
    drive::run(machine.device(), Phase::Train, &rows);
    let losses = machine.numbers(plan, plan.ports.log);
    let limit = Tolerance { abs: 0.0, rel };
    assert_close(&format!("{what}, losses"), &losses[..case.steps], of("losses"), limit);
    let params = machine.numbers(plan, plan.ports.params);
    for view in step.layout.views() {
        let want = of(&format!("after/{}", view.name));
        let what = format!("{what}, {}", view.name);
        assert_close(&what, &params[view.range()], want, Tolerance::scaled(rel, want));
        let start = of(&format!("init/{}", view.name));
        let fixed = case.name == "tables" && view.name == "1.1.0.weight";
        assert_eq!(start == want, fixed, "{what}: whether the oracle's run moved it");
    }
    let want = of("eval");
    let limit = Tolerance::scaled(rel, want);
    assert_close(&format!("{what}, eval"), &outputs(machine, &loaded), want, limit);
}

#[test]
fn trajectories() {
    let oracle = Oracle::read("layers");
    let cases = Case::all(&oracle);
    let runs: Vec<_> = cases.iter().filter(|case| case.steps > 0).collect();
    assert_eq!(runs.len(), 4);
    for case in runs {
        compare_run(&mut Machine::reference(), &oracle, case, F64);
        for machine in &mut Machine::singles() {
            compare_run(machine, &oracle, case, 10.0 * F32);
        }
    }
}

/// A step of a network of one row's batch: a batch norm's output is its bias, and only the mean runs.
#[test]
fn batches_of_one_row() {
    let model: Sequential = "batch_norm, layer_norm, rms_norm".parse().unwrap();
    let optimizer = Optimizer::sgd();
    let step = training(&model, 3, Loss::Mse, optimizer).unwrap();
    let sizes = Sizes { batch: 1, train_rows: 1, eval_batch: 0, eval_rows: 0 };
    let plan = Plan::training(&step, &inference(&model, 3).unwrap(), sizes).unwrap();
    let start = Params::init(&model, 3, Seed(0)).unwrap();
    for mut machine in std::iter::once(Machine::reference()).chain(Machine::singles()) {
        let (x, y) = ([1.0, -1e4, 3.0], [0.5, 0.0, -0.5]);
        drive::load(machine.device(), &plan, &x, Values::F32(&y), start.arena());
        let mut row = StepParams { rows: 1, ..StepParams::default() };
        row.scalars[0] = 0.1;
        let losses = drive::run(machine.device(), Phase::Train, &[row]);
        // All outputs are 0.
        assert_close("loss", &losses, &[0.5_f32 / 3.0], Tolerance { abs: 0.0, rel: 1e-6 });
        let params = machine.numbers(&plan, plan.ports.params);
        assert!(params.iter().all(|value| value.is_finite()), "{params:?}");
        let of = |name: &str| {
            let view = step.layout.views().iter().find(|view| view.name == name).unwrap();
            params[view.range()].to_vec()
        };
        let limit = Tolerance { abs: 1e-9, rel: 1e-6 };
        assert_close("mean", &of("0.running_mean"), &[0.1, -1000.0, 0.3], limit);
        assert_eq!(of("0.running_var"), [1.0; 3]);
    }
}

/// Masks are had from the gradient of a scale's bias in front of dropout, which is the mask over the mean's divisor where
/// all else is linear and each column has one row.
#[test]
fn dropout_is_one_mask_on_all_devices() {
    const COLUMNS: usize = 4000;
    let model: Sequential = "scale, dropout(0.3)".parse().unwrap();
    let optimizer = Optimizer::sgd();
    let step = training(&model, COLUMNS, Loss::Mse, optimizer).unwrap();
    let sizes = Sizes { batch: 1, train_rows: 1, eval_batch: 1, eval_rows: 1 };
    let plan = Plan::training(&step, &inference(&model, COLUMNS).unwrap(), sizes).unwrap();
    let start = Params::init(&model, COLUMNS, Seed(0)).unwrap();
    let (x, y) = (vec![1.0; COLUMNS], vec![0.0; COLUMNS]);
    let bias = step.layout.views()[1].range();
    // y = mask and the loss is the mean of y², so that the gradient is 2 mask² / columns.
    let mask = |machine: &mut Machine, at: u32, seed: u32, dropout: f64| -> Vec<f64> {
        drive::load(machine.device(), &plan, &x, Values::F32(&y), start.arena());
        let row = StepParams { rows: 1, step: at, seed, dropout, ..StepParams::default() };
        drive::run(machine.device(), Phase::Train, &[row]);
        let gradients = machine.numbers(&plan, plan.ports.gradients);
        gradients[bias.clone()].iter().map(|g| (g * COLUMNS as f64 / 2.0).sqrt()).collect()
    };
    let mut reference = Machine::reference();
    let want = mask(&mut reference, 5, 9, 1.0);
    for mut machine in Machine::singles() {
        let limit = Tolerance { abs: 0.0, rel: 1e-5 };
        assert_close("mask", &mask(&mut machine, 5, 9, 1.0), &want, limit);
    }
    let zeros = want.iter().filter(|&&value| value == 0.0).count() as f64 / COLUMNS as f64;
    let mean = want.iter().sum::<f64>() / COLUMNS as f64;
    // Four standard deviations of shares of 4,000.
    assert!((zeros - 0.3).abs() < 0.03 && (mean - 1.0).abs() < 0.042, "{zeros} {mean}");
    assert!(want.iter().all(|&v| v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-6));
    assert_ne!(mask(&mut reference, 6, 9, 1.0), want, "another step");
    assert_ne!(mask(&mut reference, 5, 8, 1.0), want, "another seed");
    let half = mask(&mut reference, 5, 9, 0.5);
    let zeros = half.iter().filter(|&&value| value == 0.0).count() as f64 / COLUMNS as f64;
    assert!((zeros - 0.15).abs() < 0.025, "half the rate drops {zeros}");
    // Outside of training nothing is dropped.
    assert_outputs(&mut reference, &plan, &x);
}

fn assert_outputs(machine: &mut Machine, plan: &TrainPlan, x: &[f32]) {
    machine.device().write(plan.eval.unwrap().eval_x, 0, Values::F32(x)).unwrap();
    let row = StepParams { rows: 1, ..StepParams::default() };
    machine.device().write_steps(Phase::Eval, &[row]).unwrap();
    machine.device().run(Phase::Eval, 0..1).unwrap();
    let got = machine.numbers(plan, plan.eval.unwrap().predictions);
    assert!(got.iter().zip(x).all(|(&got, &x)| got == f64::from(x)), "{got:?}");
}

/// Two dropout layers drop different elements.
#[test]
fn layers_of_dropout_have_masks_of_their_own() {
    let graph = |text: &str| {
        let model: Sequential = text.parse().unwrap();
        let step = training(&model, 4, Loss::Mse, Optimizer::default()).unwrap();
        let sizes = Sizes { batch: 2, train_rows: 2, eval_batch: 0, eval_rows: 0 };
        Plan::training(&step, &inference(&model, 4).unwrap(), sizes).unwrap().to_string()
    };
    let text = graph("scale, dropout(0.5), scale, dropout(0.25)");
    assert!(text.contains("keep0(0.5)") && text.contains("keep1(0.25)"), "{text}");
    assert!(!graph("dropout(0), dense(1)").contains("keep"));
}

fn table() -> Split {
    let rows = 60;
    let mut x = normal_f32(rows * 3, Seed(4));
    for (row, x) in x.chunks_exact_mut(3).enumerate() {
        x[1] = (row % 5) as f32;
    }
    let y = x.chunks_exact(3).map(|x| x[0] * (x[1] - 2.0));
    Dataset::from_arrays(&x, 3, Targets::numbers(y)).unwrap().split(0.25, Seed(1)).unwrap()
}

/// Trains, keeps, and predicts: columns of a table's numbers stay unscaled, and numbers beyond it are refused.
#[test]
fn embeddings_train_and_predict() {
    let model: Sequential =
        "embedding(1=5x3), dense(24), layer_norm, silu, dropout(0.1), dense(1)".parse().unwrap();
    let options = TrainOptions { epochs: 60, lr: 0.02, loss: Loss::Mse, ..TrainOptions::default() };
    let data = table();
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
    for event in trainer.fit() {
        event.unwrap();
    }
    assert!(trainer.evaluate().unwrap().r2.unwrap() > 0.5);
    let trained = trainer.trained();
    assert_eq!((trained.preparation.mean[1], trained.preparation.std[1]), (0.0, 1.0));
    let predictor = Predictor::new(trained.clone()).unwrap();
    assert!(predictor.predict(&[0.0, 4.0, 0.0]).is_ok());
    let said = predictor.predict(&[0.0, 4.0, 0.0, 0.0, 5.0, 0.0]).unwrap_err().to_string();
    assert!(said.contains("row 2 of those given: 5 in column `x1`"), "{said}");
    let small = "embedding(1=4x3), dense(1)".parse().unwrap();
    let refused = Trainer::new(&small, &data, &options, &DeviceKind::Cpu);
    assert!(refused.err().unwrap().to_string().contains("4 in column `x1`"));
}

/// A fixed matrix stays as it is, bit for bit, under every optimizer's decay; running statistics are moved by their layer alone.
#[test]
fn what_no_gradient_moves_does_not_decay() {
    let model: Sequential = "fourier(3), batch_norm, dense(1)".parse().unwrap();
    let mut statistics = Vec::new();
    for name in Optimizer::NAMES {
        let options = TrainOptions {
            epochs: 1,
            loss: Loss::Mse,
            // All rows are one batch, so that its statistics are the same before any move.
            batch_size: 64,
            optimizer: format!("{name}(weight_decay=0.1)")
                .parse()
                .unwrap_or_else(|_| Optimizer::by_name(name).unwrap()),
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(&model, &table(), &options, &DeviceKind::Cpu).unwrap();
        let start = trainer.params().unwrap();
        for event in trainer.fit() {
            event.unwrap();
        }
        let end = trainer.params().unwrap();
        let of = |params: &Params, name: &str| {
            let (_, values) = params.iter().find(|(view, _)| view.name == name).unwrap();
            values.to_vec()
        };
        assert_eq!(of(&start, "0.weight"), of(&end, "0.weight"), "{name}");
        assert_ne!(of(&start, "2.weight"), of(&end, "2.weight"), "{name}");
        // Averaged weights have statistics that were measured for them.
        if !matches!(options.optimizer.name(), "schedule-free") {
            statistics.push((of(&end, "1.running_mean"), of(&end, "1.running_var")));
        }
    }
    assert!(statistics.windows(2).all(|pair| pair[0] == pair[1]), "{statistics:?}");
}

/// Files keep all layers and their running statistics.
#[test]
fn files_keep_all_layers() {
    let model: Sequential =
        "embedding(1=5x2), residual(batch_norm, dense(4)), custom(x * x1, 2), fourier(3), \
                             branches((dense(2)), (prelu)), rms_norm, dense(1)"
            .parse()
            .unwrap();
    let options = TrainOptions { epochs: 2, loss: Loss::Mse, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&model, &table(), &options, &DeviceKind::Cpu).unwrap();
    for event in trainer.fit() {
        event.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let trained = trainer.trained();
    wgrad::write_model(&trained, &path).unwrap();
    assert_eq!(wgrad::read_model(&path).unwrap(), trained);
    let names: Vec<_> = trained.params.layout().views().iter().map(|v| v.name.as_str()).collect();
    let want = [
        "0.0.weight",
        "1.0.weight",
        "1.0.bias",
        "1.0.running_mean",
        "1.0.running_var",
        "1.1.weight",
        "1.1.bias",
        "2.x1",
        "3.weight",
        "4.0.0.weight",
        "4.0.0.bias",
        "4.1.0.weight",
        "5.weight",
        "6.weight",
        "6.bias",
    ];
    assert_eq!(names, want);
}

#[test]
fn half_precision_says_what_it_lacks() {
    let some: Sequential = "dense(4), relu, residual(dense(4), relu), dense(1)".parse().unwrap();
    let options =
        TrainOptions { precision: Precision::F16, loss: Loss::Mse, ..TrainOptions::default() };
    assert!(Plan::of_run(&some, &table(), &options).is_ok());
    for text in [
        "dense(4), batch_norm, relu, dense(1)",
        "embedding(1=5x2), dense(1)",
        "dense(4), glu, dense(1)",
    ] {
        let said =
            Plan::of_run(&text.parse().unwrap(), &table(), &options).unwrap_err().to_string();
        assert!(
            said.starts_with("precision: f16, but layer ")
                && said.contains("has no form in half precision")
                && said.contains("use ‘precision’ f32"),
            "{said}"
        );
    }
}

#[test]
fn impossible_networks_name_the_layer() {
    for (text, part) in [
        (
            "dense(4), residual(dense(3))",
            "layers: layer 1 (residual(dense(3))): the layers inside give 3 columns for 4",
        ),
        ("dense(5), glu", "layer 1 (glu): 5 columns come in"),
        (
            "dense(5), embedding(0=2x2)",
            "layer 1 (embedding(0=2x2)): it must be the network's first layer",
        ),
        (
            "residual(embedding(0=2x2))",
            "layer 0 (residual(embedding(0=2x2))): an embedding stands inside; let it be",
        ),
        ("embedding(7=2x2)", "there is no column 7; there are 3, counted from 0"),
        ("embedding(0=2x2, 0=3x3)", "column 0 has two tables"),
        ("embedding(0=0x2)", "a table of 0 x 2"),
        (
            "dropout(1)",
            "layers: layer 0 (dropout(1)): rate 1, but it must be at least 0 and below 1",
        ),
        ("batch_norm(momentum=2)", "momentum 2"),
        ("layer_norm(eps=0)", "eps 0"),
        ("fourier(0)", "0 frequencies"),
        ("fourier(2, sigma=-1)", "sigma -1"),
        ("residual(dense(0))", "layers: layer 0.0 (dense(0)): 0 units"),
        ("branches((dense(2)), (dense(0)))", "layers: layer 0.1.0 (dense(0)): 0 units"),
    ] {
        let said = text.parse::<Sequential>().unwrap().layout(3).unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
    }
}
