//! The host's memory stays what it is, epoch after epoch. Linux tells how much there is.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use wgrad::data::{Split, synth};
use wgrad::device::DeviceKind;
use wgrad::graph::Loss;
use wgrad::model::{Activation, Init, Sequential};
use wgrad::train::{Event, TrainOptions, Trainer};
use wgrad::{Error, Seed};

const BATCH: usize = 64;
const COLUMNS: u32 = 250;
/// Bytes of a batch's features.
const BATCH_BYTES: usize = 4 * BATCH * COLUMNS as usize;
/// Epochs until all memory is at hand, and epochs after that.
const EARLY: u32 = 20;
const MORE: u32 = 180;
/// A quarter of what a batch an epoch would come to.
const LIMIT: usize = MORE as usize * BATCH_BYTES / 4;

/// Bytes of this process in memory: the second number of `statm`, in pages.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    // Pages are 4 KiB or, on some machines, larger; then growth looks smaller than it is, but by a known factor.
    4096 * text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

fn model() -> Sequential {
    Sequential::mlp(&[16], Activation::Relu, 1, Init::Pytorch)
}

/// Trains on. Out: by how much memory grew after the early epochs. `each` is called with every epoch.
fn growth(
    data: &Split,
    options: &TrainOptions,
    kind: &DeviceKind,
    mut each: impl FnMut(),
) -> usize {
    let mut trainer = Trainer::new(&model(), data, options, kind).unwrap();
    assert_eq!(trainer.info().streaming.is_some(), options.device_memory.is_some());
    let mut early = 0;
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event.unwrap() {
            each();
            if stats.epoch == EARLY {
                early = resident();
            }
        }
    }
    assert!(early > 0);
    resident().saturating_sub(early)
}

/// The cases, each in a process of its own: memory that an earlier one freed would hide what a later one keeps.
const CASES: [(&str, bool, bool); 3] =
    [("whole", false, false), ("blocks", true, false), ("leaks", false, true)];
const CASE: &str = "WGRAD_MEMORY_CASE";

#[test]
fn host_memory_is_constant_over_epochs() {
    if let Ok(case) = std::env::var(CASE) {
        return run(&case);
    }
    let run = |kind: &DeviceKind, name: &str| -> usize {
        let exe = std::env::current_exe().unwrap();
        let args = ["--exact", "host_memory_is_constant_over_epochs", "--nocapture"];
        let case = format!("{kind} {name}");
        let output = std::process::Command::new(exe).args(args).env(CASE, &case).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{case}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let grown = text.lines().find_map(|line| line.split_once("grown by ")).unwrap().1;
        grown.trim().parse().unwrap()
    };
    let kinds = common::kinds();
    for kind in &kinds {
        for (name, _, leaks) in CASES {
            let grown = run(kind, name);
            // A batch an epoch that nobody frees is seen.
            assert_eq!(grown > LIMIT, leaks, "{kind} {name}: {grown} bytes more, limit {LIMIT}");
        }
    }
}

/// One case, in a process of its own.
#[allow(clippy::print_stdout, reason = "the other process reads it")]
fn run(case: &str) {
    let (kind, name) = case.split_once(' ').unwrap();
    let kind: DeviceKind = kind.parse().unwrap();
    let (_, blocks, leaks) = CASES.into_iter().find(|(known, ..)| *known == name).unwrap();
    let data = synth::friedman(1000, COLUMNS, Seed(1)).split(0.2, Seed(1)).unwrap();
    let mut options = TrainOptions {
        loss: Loss::Mse,
        epochs: EARLY + MORE,
        batch_size: BATCH,
        ..TrainOptions::default()
    };
    if blocks {
        let tiny = TrainOptions { device_memory: Some(1), ..options.clone() };
        let least = match Trainer::new(&model(), &data, &tiny, &kind).err() {
            Some(Error::TooLarge { need, .. }) => need,
            other => panic!("a byte is enough, or {other:?}"),
        };
        options.device_memory = Some(least);
    }
    let mut kept = Vec::new();
    let grown = growth(&data, &options, &kind, || {
        if leaks {
            kept.push(vec![1_u8; BATCH_BYTES]);
        }
    });
    println!("grown by {grown}");
}
