//! The CPU's matrix products by shape, beside those of the crates gemm and matrixmultiply, on one thread and on all.
//!
//! The shapes are those of the workloads of `wgrad bench`; `cargo bench --bench products -- mnist` takes those of one. The column
//! `fused` is ours with the bias and the activation of a layer, for which the others would need a second pass.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::process::Command;
use std::time::Instant;

use gemm_common::Parallelism;
use ndarray::Array2;
use ndarray::linalg::general_mat_mul;
use wgrad::Activation;
use wgrad::device::Device;
use wgrad::device::cpu::CpuDevice;
use wgrad::device::verify::check;
use wgrad::plan::{Kernel, Phase, StepParams};
use wgrad::train::{WORKLOADS, Workload};

/// Rounds, in each of which all three take their turn; the fastest turn counts, since what else the machine does only adds.
const ROUNDS: usize = 25;
/// Seconds of a turn.
const TURN: f64 = 0.01;

/// Forms of a product: of a layer's values, of the gradient of its input, of the gradient of its weights.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Nt,
    Nn,
    Tn,
}

impl Form {
    /// The product alone, or with what a layer fuses into it: bias and activation, the activation's slope, the bias's gradient.
    fn kernel(self, fused: bool) -> Kernel {
        let act = if fused { Activation::Relu } else { Activation::Identity };
        match self {
            Self::Nt => Kernel::MatmulNt { bias: fused, act, save: false, dropout: None },
            Self::Nn => Kernel::MatmulNn { act_grad: act, dropout: None },
            Self::Tn => Kernel::MatmulTn { bias_grad: fused },
        }
    }
}

/// The products of a workload's step, `[m, n, k]`, each shape once.
fn products(workload: &Workload) -> Vec<(Form, [usize; 3])> {
    let mut found = Vec::new();
    for (layer, widths) in workload.widths.windows(2).enumerate() {
        let (inputs, outputs, batch) = (widths[0], widths[1], workload.batch);
        found.push((Form::Nt, [batch, outputs, inputs]));
        // The table needs no gradient.
        if layer > 0 {
            found.push((Form::Nn, [batch, inputs, outputs]));
        }
        found.push((Form::Tn, [outputs, inputs, batch]));
    }
    found.dedup();
    found
}

/// Factors and result of a product, as matrices by rows.
struct Matrices {
    a: Array2<f32>,
    b: Array2<f32>,
    out: Array2<f32>,
}

impl Matrices {
    fn new(form: Form, [m, n, k]: [usize; 3]) -> Self {
        let filled = |rows, columns| {
            Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 7 + j * 3) % 11) as f32 * 0.1)
        };
        let (a, b) = match form {
            Form::Nt => (filled(m, k), filled(n, k)),
            Form::Nn => (filled(m, k), filled(k, n)),
            Form::Tn => (filled(k, m), filled(k, n)),
        };
        Self { a, b, out: Array2::zeros((m, n)) }
    }

    /// By matrixmultiply, through ndarray.
    fn by_matrixmultiply(&mut self, form: Form) {
        let a = if form == Form::Tn { self.a.t() } else { self.a.view() };
        let b = if form == Form::Nt { self.b.t() } else { self.b.view() };
        general_mat_mul(1.0, &a, &b, 0.0, &mut self.out);
    }

    /// By gemm, on the pool that we take too.
    fn by_gemm(&mut self, form: Form) {
        let a = if form == Form::Tn { self.a.t() } else { self.a.view() };
        let b = if form == Form::Nt { self.b.t() } else { self.b.view() };
        let threads = rayon::current_num_threads();
        let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
        let ((m, k), n) = (a.dim(), b.ncols());
        let [row, column] = *self.out.strides() else { return };
        #[expect(unsafe_code, reason = "the crate has no safe function")]
        // SAFETY: pointers, sizes and strides are those of arrays that live until the call ends, and the result is none
        // of the factors.
        unsafe {
            // It prefers results by columns, so it computes the transposed product.
            gemm_f32::gemm::f32::get_gemm_fn()(
                n,
                m,
                k,
                self.out.as_mut_ptr(),
                row,
                column,
                false,
                b.as_ptr(),
                b.strides()[0],
                b.strides()[1],
                a.as_ptr(),
                a.strides()[0],
                a.strides()[1],
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// Seconds of one call: a turn's time by its number of calls.
fn seconds(calls: u32, mut turn: impl FnMut(u32)) -> f64 {
    let begin = Instant::now();
    turn(calls);
    begin.elapsed().as_secs_f64() / f64::from(calls)
}

/// Returns a device with the plan of one product, whose result is right.
fn device(kernel: Kernel, sizes: [usize; 3], calls: u32) -> CpuDevice<f32> {
    let mut device = CpuDevice::<f32>::new();
    let checked = check(&mut device, "cpu", kernel, sizes).unwrap();
    assert!(checked.failure.is_none(), "{kernel} {sizes:?}: {checked:?}");
    let row = StepParams { rows: u32::try_from(sizes[0]).unwrap(), ..StepParams::default() };
    device.write_steps(Phase::Eval, &vec![row; calls as usize]).unwrap();
    device
}

/// Times one product in turns, and prints its line: GFLOP/s of each, and ours as a share of the best of the others.
fn compare(form: Form, sizes: [usize; 3]) {
    let [m, n, k] = sizes;
    let mut matrices = Matrices::new(form, sizes);
    matrices.by_gemm(form);
    let expected = matrices.out.clone();
    matrices.by_matrixmultiply(form);
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * b.abs().max(1.0);
    assert!(expected.iter().zip(&matrices.out).all(close), "the two crates differ");

    let begin = Instant::now();
    matrices.by_gemm(form);
    let calls = (TURN / begin.elapsed().as_secs_f64()).clamp(1.0, 500.0) as u32;
    let mut devices = [false, true].map(|fused| device(form.kernel(fused), sizes, calls));
    let mut fastest = [f64::INFINITY; 4];
    for _ in 0..ROUNDS {
        let [alone, fused] = devices.each_mut().map(|device| {
            seconds(calls, |calls| {
                device.run(Phase::Eval, 0..calls).unwrap();
                device.take_losses(true).unwrap();
            })
        });
        let times = [
            alone,
            fused,
            seconds(calls, |calls| (0..calls).for_each(|_| matrices.by_gemm(form))),
            seconds(calls, |calls| (0..calls).for_each(|_| matrices.by_matrixmultiply(form))),
        ];
        fastest = std::array::from_fn(|one| fastest[one].min(times[one]));
    }
    let [ours, fused, gemm, matrixmultiply] = fastest.map(|time| 2e-9 * (m * n * k) as f64 / time);
    println!(
        "{:<10} {:>14} {ours:>8.1} {fused:>8.1} {gemm:>8.1} {matrixmultiply:>15.1} {:>8.2}",
        form.kernel(false).name(),
        format!("{m}x{n}x{k}"),
        ours / gemm.max(matrixmultiply),
    );
}

fn main() {
    let threads = rayon::current_num_threads();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let device = CpuDevice::<f32>::new();
    println!("\n{}, {threads} threads, GFLOP/s", device.info());
    println!(
        "{:<10} {:>14} {:>8} {:>8} {:>8} {:>15} {:>8}",
        "form", "m x n x k", "wgrad", "fused", "gemm", "matrixmultiply", "of best"
    );
    // The others take minutes on a processor.
    for workload in WORKLOADS.iter().filter(|workload| !workload.hardware_only) {
        if wanted.is_empty() || wanted.iter().any(|name| *name == workload.name) {
            products(workload).into_iter().for_each(|(form, sizes)| compare(form, sizes));
        }
    }
    // The number of threads is fixed when a process starts.
    if threads > 1 {
        let mut alone = Command::new(std::env::current_exe().unwrap());
        alone.args(wanted).env("RAYON_NUM_THREADS", "1").env("MATMUL_NUM_THREADS", "1");
        assert!(alone.status().unwrap().success(), "the run on one thread failed");
    }
}
