//! Samples a second of whole training steps, on every device there is: forward, loss, backward, update.
//!
//! The workloads are those of `wgrad bench`. Each device's first losses are compared with those of the f64
//! reference before it is timed.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]
#![expect(clippy::print_stderr, reason = "a benchmark says which devices it has and lacks")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgrad::device::{Device, DeviceKind, open};
use wgrad::plan::Phase;
use wgrad::train::WORKLOADS;

/// Steps that are given to the device at once, so that waiting for it does not count for much.
fn steps_of(batch: usize) -> u32 {
    if batch < 100 { 256 } else { 8 }
}

/// The CPU device, a GPU and a software adapter, as far as this build and this machine have them.
fn devices() -> Vec<(&'static str, Box<dyn Device>)> {
    let mut devices = Vec::new();
    for (name, kind) in
        [("cpu", DeviceKind::Cpu), ("gpu", DeviceKind::Gpu), ("software", DeviceKind::Software)]
    {
        match open(&kind) {
            Ok((device, _)) => {
                eprintln!("{name}: {}", device.info());
                devices.push((name, device));
            }
            Err(error) => eprintln!("{name} is left out: {error}"),
        }
    }
    devices
}

fn train_step(criterion: &mut Criterion) {
    for workload in WORKLOADS {
        let mut group = criterion.benchmark_group(format!("train_step/{}", workload.name));
        let steps = steps_of(workload.batch);
        group.sample_size(10);
        group.throughput(Throughput::Elements(workload.batch as u64 * u64::from(steps)));
        for (name, mut device) in devices() {
            if workload.hardware_only && name != "gpu" {
                continue;
            }
            // Checks the losses, and leaves the device loaded at a rate that keeps numbers as they are.
            workload.measure(device.as_mut(), Duration::ZERO).unwrap();
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
