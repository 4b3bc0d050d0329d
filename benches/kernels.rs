//! Throughput of the kernels, on every device there is: products in floating-point operations, the others in bytes.
//!
//! Each kernel is a plan of one step, whose result is compared with the f64 reference before it is timed.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]

mod devices;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::devices;
use wgrad::Activation;
use wgrad::device::verify::{check, every_kernel, formulas};
use wgrad::graph::{ClassLoss, Optimizer, OptimizerSchedule, UpdateContext};
use wgrad::plan::{Kernel, LossVariant, Phase, StepParams};

const NT: Kernel =
    Kernel::MatmulNt { bias: true, act: Activation::Relu, save: false, dropout: None };
const NN: Kernel = Kernel::MatmulNn { act_grad: Activation::Relu, dropout: None };
const TN: Kernel = Kernel::MatmulTn { bias_grad: true };
const CROSS_ENTROPY: Kernel = Kernel::LossClasses {
    loss: ClassLoss::CROSS_ENTROPY,
    form: LossVariant { mean: true, constants: false, weights: false, scaled: false, members: 1 },
};

/// Kernels with their sizes: m, n, k of products; else rows, columns, rows that count. They are those of the
/// workloads' steps: small layers, a batch through layers that a core's cache holds, one through wide layers.
const KERNELS: [(Kernel, [usize; 3]); 12] = [
    (NT, [64, 32, 32]),
    (NT, [128, 512, 784]),
    (NT, [128, 10, 512]),
    (NT, [512, 1024, 1024]),
    (NN, [64, 32, 32]),
    (NN, [128, 512, 512]),
    (NN, [512, 1024, 1024]),
    (TN, [32, 32, 64]),
    (TN, [512, 784, 128]),
    (TN, [10, 512, 128]),
    (TN, [1024, 1024, 512]),
    (CROSS_ENTROPY, [128, 10, 128]),
];

/// Optimizers whose updates are timed, with the numbers that they read and write for each weight.
const UPDATES: [(&str, usize); 2] = [("sgd(weight-decay=0.01)", 3), ("adam(weight-decay=0.01)", 7)];

/// Returns the kernel of one of these optimizers, or of an elementwise formula, among those that are verified.
fn by_formula(text: &str) -> Kernel {
    let formulas = formulas(1);
    let whole = |kernel: &Kernel| matches!(kernel, Kernel::Update(_) | Kernel::Map { .. });
    let is_it = |kernel: &Kernel| {
        let formula = kernel.formula().filter(|_| whole(kernel));
        formula.is_some_and(|it| formulas[it.index()].text == text)
    };
    every_kernel().into_iter().find(is_it).unwrap()
}

/// Software adapters take seconds for more multiplications than this.
const SOFTWARE: usize = 1 << 26;

/// Throughput of one run of the kernel: operations of products, else bytes read and written.
fn work(kernel: &Kernel, [m, n, k]: [usize; 3]) -> Throughput {
    let (elements, floats) = match kernel {
        // A multiplication and an addition a term.
        _ if kernel.is_product() => return Throughput::Elements(2 * (m * n * k) as u64),
        Kernel::Update(_) => {
            (n, UPDATES.iter().find(|(text, _)| by_formula(text) == *kernel).unwrap().1)
        }
        // Operands, and what is written.
        Kernel::Map { operands, .. } => (m * n, usize::from(*operands) + 1),
        // Logits and gradient, or value and result.
        _ => (m * n, 2),
    };
    Throughput::Bytes(4 * (elements * floats) as u64)
}

fn kernels(criterion: &mut Criterion) {
    for (name, mut device) in devices() {
        let updates = UPDATES.map(|(text, _)| (by_formula(text), [1, 1 << 20, 1]));
        let gelu = ["gelu", "gelu gradient"];
        let gelu = gelu.map(|text| (by_formula(text), [512, 1024, 512]));
        for (kernel, sizes) in KERNELS.into_iter().chain(gelu).chain(updates) {
            if name == "software" && sizes.iter().product::<usize>() > SOFTWARE {
                continue;
            }
            let checked = check(device.as_mut(), name, kernel, sizes).unwrap();
            assert!(checked.failure.is_none(), "{kernel} {sizes:?} on {name}: {checked:?}");
            // As many runs as make the wait at their end count for little, at a rate that keeps numbers as they are.
            let large = sizes.iter().product::<usize>() > 1 << 20;
            let runs: u32 = if large { 4 } else { 64 };
            let rows = u32::try_from(sizes[2].min(sizes[0])).unwrap();
            let mut row = StepParams { rows, ..StepParams::default() };
            row.scalars = OptimizerSchedule::new(Optimizer::adamw(), None).next(UpdateContext {
                lr: 1e-12,
                decay: 1.0,
                epoch: 0,
                last: false,
            });
            device.write_steps(Phase::Eval, &vec![row; runs as usize]).unwrap();
            let mut group = criterion.benchmark_group(kernel.name());
            group.sample_size(20).throughput(match work(&kernel, sizes) {
                Throughput::Elements(operations) => {
                    Throughput::Elements(operations * u64::from(runs))
                }
                Throughput::Bytes(bytes) => Throughput::Bytes(bytes * u64::from(runs)),
                other => other,
            });
            let [m, n, k] = sizes;
            group.bench_function(BenchmarkId::new(name, format!("{m}x{n}x{k}")), |bencher| {
                bencher.iter(|| {
                    device.run(Phase::Eval, 0..runs).unwrap();
                    device.take_losses(true).unwrap()
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
