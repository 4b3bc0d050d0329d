//! Samples a second of whole training steps, on every device there is: forward, loss, backward, update.
//!
//! The workloads are those of `wgrad bench`; `ndarray` is the same step written by hand, without this crate. Each device's first losses are compared with those of the f64
//! reference before it is timed.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]
#![expect(
    clippy::print_stderr,
    reason = "a benchmark says how the CPU device stands to its baseline"
)]

mod by_hand;
mod devices;

use std::time::Duration;

use by_hand::ByHand;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::devices;
use wgrad::plan::Phase;
use wgrad::train::WORKLOADS;

/// Steps that are given to the device at once, so that waiting for it does not count for much.
fn steps_of(batch: usize) -> u32 {
    if batch < 100 { 256 } else { 8 }
}

fn train_step(criterion: &mut Criterion) {
    for workload in WORKLOADS {
        let mut group = criterion.benchmark_group(format!("train_step/{}", workload.name));
        let steps = steps_of(workload.batch);
        group.sample_size(10);
        group.throughput(Throughput::Elements(workload.batch as u64 * u64::from(steps)));
        let mut rows = devices();
        if !workload.hardware_only {
            rows.insert(0, ("ndarray", Box::new(ByHand::new(workload.clone()).unwrap())));
        }
        let mut medians = Vec::new();
        for (name, mut device) in rows {
            if workload.hardware_only && name != "gpu" {
                continue;
            }
            // Checks the losses, and leaves the device loaded at a rate that keeps numbers as they are.
            let found = workload.measure(device.as_mut(), Duration::from_millis(500)).unwrap();
            medians.push(found.step_seconds);
            if let ("cpu", [by_hand, cpu]) = (name, &medians[..]) {
                eprintln!("{}: {:.2} of the time of ndarray by hand", workload.name, cpu / by_hand);
            }
            let id = BenchmarkId::new(name, format!("{steps} steps of {}", workload.batch));
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    device.run(Phase::Train, 3..3 + steps).unwrap();
                    device.take_losses(true).unwrap()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, train_step);
criterion_main!(benches);
