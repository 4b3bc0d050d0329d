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

const BATCHES: usize = 64;
/// Batches of a block: the least, and about as many as a submission has.
const BLOCKS: [u64; 2] = [1, 8];
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
    let ways = BLOCKS.map(|block| Some(least + 5 * (block - 1) * batch));
    let mut trainers: Vec<Trainer> =
        [None].into_iter().chain(ways).map(|memory| with(memory).unwrap()).collect();
    let mut speeds = vec![Vec::new(); trainers.len()];
    for _ in 0..EPOCHS {
        for (trainer, speeds) in trainers.iter_mut().zip(&mut speeds) {
            speeds.push(epoch(trainer));
        }
        let want = trainers[0].params().unwrap();
        assert!(trainers.iter_mut().all(|trainer| trainer.params().unwrap() == want));
    }
    let median = |speeds: &mut Vec<f64>| {
        speeds.sort_by(f64::total_cmp);
        speeds[speeds.len() / 2]
    };
    let speeds: Vec<f64> = speeds.iter_mut().map(median).collect();
    println!("{} on {}", workload.name, trainers[0].info().device);
    for (trainer, speed) in trainers.iter().zip(&speeds) {
        let info = trainer.info();
        let way = info.streaming.map_or("lies on the device".to_string(), |way| way.to_string());
        let share = 100.0 * speed / speeds[0];
        println!("  {speed:>7.0} rows/s, {share:>5.1} %, {} bytes: {way}", info.device_bytes);
    }
}

fn main() {
    let workload = Workload::by_name("mnist").unwrap();
    let data = table(&workload);
    for name in std::env::args().skip(1).filter(|name| !name.starts_with("--")) {
        compare(&workload, &data, &name.parse().unwrap());
    }
}
