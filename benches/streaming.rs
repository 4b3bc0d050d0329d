//! Rows a second with the table on the device and with the same table in blocks, on the network of the mnist workload.
//!
//! `cargo bench --bench streaming -- software cpu` names the devices. Epochs of both ways alternate, medians are
//! compared, and the weights must be the same bits before anything is told.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]
#![expect(clippy::print_stdout, reason = "the results of a benchmark")]

use wgrad::data::{Dataset, Split, Targets};
use wgrad::device::DeviceKind;
use wgrad::random::Purpose;
use wgrad::train::{Event, TrainOptions, Trainer, Workload};
use wgrad::{Error, Seed};

const BATCHES: usize = 80;
/// Batches of a block, about.
const BLOCK: u64 = 8;
const EPOCHS: usize = 5;

fn table(workload: &Workload) -> Split {
    let (columns, classes) = (workload.widths[0], workload.widths[workload.widths.len() - 1]);
    let rows = BATCHES * workload.batch;
    let mut random = Seed(1).stream(Purpose::Synthetic);
    let x: Vec<f32> = (0..rows * columns).map(|_| random.normal() as f32).collect();
    let y = (0..rows).map(|row| u32::try_from(row * 7 % classes).unwrap()).collect();
    let train = Dataset::from_arrays(&x, columns, Targets::Classes(y)).unwrap();
    Split { train, valid: None }
}

/// Rows a second of one epoch from the present weights.
fn epoch(trainer: &mut Trainer) -> f64 {
    let epochs = trainer.fit().filter_map(|event| match event.unwrap() {
        Event::Epoch(stats) => Some(stats.samples_per_second),
        _ => None,
    });
    epochs.last().unwrap()
}

fn compare(workload: &Workload, data: &Split, kind: &DeviceKind) {
    let options =
        TrainOptions { batch_size: workload.batch, epochs: 1, lr: 1e-4, ..TrainOptions::default() };
    let with = |device_memory| {
        let options = TrainOptions { device_memory, ..options.clone() };
        Trainer::new(&workload.model(), data, &options, kind)
    };
    let least = match with(Some(1)).err().unwrap() {
        Error::TooLarge { need, .. } => need,
        other => panic!("{other}"),
    };
    // Two blocks lie on the device, three may be on their way to it.
    let batch = 4 * workload.batch as u64 * (workload.widths[0] as u64 + 2);
    let mut whole = with(None).unwrap();
    let mut blocks = with(Some(least + 5 * (BLOCK - 1) * batch)).unwrap();
    let streaming = blocks.info().streaming.unwrap();
    let mut speeds = (Vec::new(), Vec::new());
    for _ in 0..EPOCHS {
        speeds.0.push(epoch(&mut whole));
        speeds.1.push(epoch(&mut blocks));
        assert_eq!(whole.params().unwrap(), blocks.params().unwrap(), "other weights");
    }
    let median = |speeds: &mut Vec<f64>| {
        speeds.sort_by(f64::total_cmp);
        speeds[speeds.len() / 2]
    };
    let (on, in_blocks) = (median(&mut speeds.0), median(&mut speeds.1));
    println!("{} on {}: {on:.0} rows/s with the table there", workload.name, whole.info().device);
    println!("  {streaming}: {in_blocks:.0} rows/s, {:.1} %", 100.0 * in_blocks / on);
    println!("  {} and {} bytes there", whole.info().device_bytes, blocks.info().device_bytes);
}

fn main() {
    let workload = Workload::by_name("mnist").unwrap();
    let data = table(&workload);
    for name in std::env::args().skip(1).filter(|name| !name.starts_with("--")) {
        compare(&workload, &data, &name.parse().unwrap());
    }
}
