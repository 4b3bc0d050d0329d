//! Throughput of the CPU device's kernels: products in floating-point operations, the update in bytes.
//!
//! Each result is compared with the same kernel in f64 before it is timed.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{Tolerance, assert_close, normal_f32};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgrad::Seed;
use wgrad::device::cpu::Real;
use wgrad::device::cpu::kernels::{Adam, Product, matmul_nn, matmul_nt, matmul_tn, update_adam};
use wgrad::model::Activation;
use wgrad::plan::StepRow;

/// A product as its name in plans says, without anything fused to it.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Nt,
    Nn,
    Tn,
}

impl Layout {
    fn name(self) -> &'static str {
        match self {
            Self::Nt => "matmul_nt",
            Self::Nn => "matmul_nn",
            Self::Tn => "matmul_tn",
        }
    }

    fn run<T: Real>(self, a: &[T], b: &[T], out: &mut [T], product: Product) {
        match self {
            Self::Nt => matmul_nt((a, b, None), Activation::Identity, (out, None), product),
            Self::Nn => matmul_nn((a, b, None), Activation::Identity, out, product),
            Self::Tn => matmul_tn((a, b), (out, None), product),
        }
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Sums of k products, each rounded: off by at most k · 2⁻²³ times the sum of their sizes.
fn check_product(layout: Layout, a: &[f32], b: &[f32], got: &[f32], product: Product) {
    let (a, b) = (widened(a), widened(b));
    let sizes = |values: &[f64]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
    let (mut want, mut bound) = (vec![0.0; got.len()], vec![0.0; got.len()]);
    layout.run(&a, &b, &mut want, product);
    layout.run(&sizes(&a), &sizes(&b), &mut bound, product);
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let abs = product.k as f64 * f64::from(f32::EPSILON) * bound[i];
        assert_close(layout.name(), &[*got], &[*want], Tolerance { abs, rel: 0.0 });
    }
}

fn products(criterion: &mut Criterion) {
    // The product of small layers, of one that fills caches, and those of a batch through wide layers.
    let shapes = [(64, 32, 32), (128, 512, 784), (512, 512, 512), (512, 1024, 1024)];
    for layout in [Layout::Nt, Layout::Nn, Layout::Tn] {
        let mut group = criterion.benchmark_group(layout.name());
        for (m, n, k) in shapes {
            let product = Product { m, n, k };
            let (a, b) = (normal_f32(m * k, Seed(1)), normal_f32(n * k, Seed(2)));
            let mut out = vec![0.0; m * n];
            layout.run(&a, &b, &mut out, product);
            check_product(layout, &a, &b, &out, product);
            // A multiplication and an addition a term.
            group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
            group.bench_function(BenchmarkId::new("cpu", format!("{m}x{n}x{k}")), |bencher| {
                bencher.iter(|| layout.run(black_box(&a), black_box(&b), &mut out, product));
            });
        }
        group.finish();
    }
}

fn updates(criterion: &mut Criterion) {
    let adam = Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, decoupled: true };
    let step =
        StepRow { lr: 1e-3, correction1: 0.1, correction2: 0.001_f64.sqrt(), ..StepRow::default() };
    let mut group = criterion.benchmark_group("update_adam");
    for len in [1 << 12, 1 << 20] {
        let (g, mut w) = (normal_f32(len, Seed(1)), normal_f32(len, Seed(2)));
        let (mut m, mut v) = (vec![0.0_f32; len], vec![0.0_f32; len]);
        let mut want = widened(&w);
        update_adam(
            &widened(&g),
            (&mut want, &mut vec![0.0; len], &mut vec![0.0; len]),
            adam,
            &step,
        );
        update_adam(&g, (&mut w, &mut m, &mut v), adam, &step);
        // A handful of roundings of numbers of size w and lr.
        assert_close("update_adam", &w, &want, Tolerance { abs: 1e-8, rel: 1e-6 });
        // Reads g, w, m, v and writes w, m, v.
        group.throughput(Throughput::Bytes(7 * 4 * len as u64));
        group.bench_function(BenchmarkId::new("cpu", len), |bencher| {
            bencher.iter(|| update_adam(black_box(&g), (&mut w, &mut m, &mut v), adam, &step));
        });
    }
    group.finish();
}

criterion_group!(benches, products, updates);
criterion_main!(benches);
