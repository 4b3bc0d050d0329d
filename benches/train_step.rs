//! Samples a second of whole training steps, on every device there is: forward, loss, backward, update.
//!
//! Each device's first losses are compared with those of the f64 reference before it is timed.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]
#![expect(clippy::print_stderr, reason = "a benchmark says which devices it lacks")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Tolerance, assert_close, drive, labels, normal_f32};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgrad::Seed;
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, DeviceKind, Values, open};
use wgrad::graph::{Loss, Optimizer, inference, training};
use wgrad::model::{Activation, Init, Params, Sequential};
use wgrad::plan::{Phase, Plan, Sizes};

/// A network, its batch, and how it is trained.
struct Workload {
    name: &'static str,
    inputs: usize,
    hidden: &'static [usize],
    outputs: usize,
    batch: usize,
    loss: Loss,
    optimizer: &'static str,
    lr: f64,
    /// Steps that are given to the device at once, so that waiting for it does not count for much.
    steps: usize,
}

const WORKLOADS: [Workload; 3] = [
    Workload {
        name: "tiny",
        inputs: 8,
        hidden: &[32, 32],
        outputs: 1,
        batch: 64,
        loss: Loss::Mse,
        optimizer: "adam",
        lr: 1e-3,
        steps: 256,
    },
    Workload {
        name: "mnist",
        inputs: 784,
        hidden: &[512, 512],
        outputs: 10,
        batch: 128,
        loss: Loss::CrossEntropy,
        optimizer: "adam",
        lr: 1e-3,
        steps: 16,
    },
    Workload {
        name: "wide",
        inputs: 512,
        hidden: &[1024, 1024],
        outputs: 512,
        batch: 512,
        loss: Loss::Mse,
        optimizer: "sgd",
        lr: 1e-2,
        steps: 4,
    },
];
/// Steps whose losses are compared.
const CHECKED: usize = 3;
/// Batches of the table.
const BATCHES: usize = 4;

/// What a workload gives to a device.
struct Prepared {
    plan: Plan,
    optimizer: Optimizer,
    x: Vec<f32>,
    numbers: Vec<f32>,
    classes: Vec<u32>,
    params: Params,
}

impl Workload {
    fn prepare(&self) -> Prepared {
        let model = Sequential::mlp(self.hidden, Activation::Relu, self.outputs, Init::Pytorch);
        let optimizer = Optimizer::by_name(self.optimizer).unwrap();
        let step = training(&model, self.inputs, self.loss, optimizer).unwrap();
        let rows = self.batch * BATCHES;
        let sizes = Sizes { batch: self.batch, train_rows: rows, eval_batch: 0, eval_rows: 0 };
        Prepared {
            plan: Plan::training(&step, &inference(&model, self.inputs).unwrap(), sizes).unwrap(),
            optimizer,
            x: normal_f32(rows * self.inputs, Seed(1)),
            numbers: normal_f32(rows * self.outputs, Seed(2)),
            classes: labels(rows, u32::try_from(self.outputs).unwrap(), Seed(2)),
            params: Params::init(&model, self.inputs, Seed(3)).unwrap(),
        }
    }

    /// Loads the workload and runs its first steps. Out: their losses.
    fn begin(&self, device: &mut dyn Device, prepared: &Prepared) -> Vec<f32> {
        let y = if self.loss.classes() {
            Values::U32(&prepared.classes)
        } else {
            Values::F32(&prepared.numbers)
        };
        drive::load(device, &prepared.plan, &prepared.x, y, prepared.params.arena());
        let rows = drive::step_rows(&prepared.plan, &prepared.optimizer, 0, CHECKED, |_| self.lr);
        drive::run(device, Phase::Train, &rows)
    }
}

/// The CPU device, and a GPU if this build and this machine have one.
fn devices() -> Vec<(&'static str, Box<dyn Device>)> {
    let mut devices: Vec<(_, Box<dyn Device>)> = vec![("cpu", Box::new(CpuDevice::<f32>::new()))];
    match open(&DeviceKind::Gpu) {
        Ok((gpu, _)) => {
            eprintln!("gpu: {}", gpu.info());
            devices.push(("gpu", gpu));
        }
        Err(error) => eprintln!("no gpu: {error}"),
    }
    devices
}

fn train_step(criterion: &mut Criterion) {
    for workload in &WORKLOADS {
        let prepared = workload.prepare();
        let want = workload.begin(&mut CpuDevice::<f64>::new(), &prepared);
        let mut group = criterion.benchmark_group(format!("train_step/{}", workload.name));
        group.sample_size(10);
        group.throughput(Throughput::Elements((workload.batch * workload.steps) as u64));
        for (name, mut device) in devices() {
            let got = workload.begin(device.as_mut(), &prepared);
            // Single precision with sums of up to 1024 terms, through three updates.
            assert_close(workload.name, &got, &want, Tolerance { abs: 0.0, rel: 1e-4 });
            // A rate of next to nothing keeps the numbers as they are while steps repeat.
            let steps = drive::step_rows(
                &prepared.plan,
                &prepared.optimizer,
                CHECKED,
                workload.steps,
                |_| 1e-12,
            );
            let id =
                BenchmarkId::new(name, format!("{} steps of {}", workload.steps, workload.batch));
            group.bench_function(id, |bencher| {
                bencher.iter(|| drive::run(device.as_mut(), Phase::Train, &steps));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, train_step);
criterion_main!(benches);
