//! Checkpoints: descriptions of any kind under a checksum that is right, and runs that go on from them.

use std::collections::HashMap;
use std::sync::OnceLock;

use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};

use super::{allowance, scratch, with_file};
use crate::memory::within;
use wgrad::checksum::Checksum;
use wgrad::data::{Split, synth};
use wgrad::export::{read_checkpoint, write_checkpoint};
use wgrad::graph::Average;
use wgrad::train::Metric;
use wgrad::{DeviceKind, Event, Loss, Seed, Sequential, TrainOptions, Trainer};

const KEY: &str = "wgrad.checkpoint";
/// Events after which a run that goes on is left alone.
const EVENTS: usize = 8;

/// The text that says where a run stands.
pub fn checkpoint(data: &[u8]) {
    let Ok(about) = std::str::from_utf8(data) else { return };
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    let file = signed(WHOLE.get_or_init(trained_checkpoint), about);
    let read =
        with_file("checkpoint", &file, |path| within(allowance(&file), || read_checkpoint(path)));
    let Ok(read) = read else { return };
    let mut trainer = trainer();
    if trainer.resume(read).is_err() {
        return;
    }
    for event in trainer.fit().take(EVENTS) {
        if event.is_err() {
            break;
        }
    }
}

fn trainer() -> Trainer {
    let data: Split =
        synth::sine(24, 0.1, Seed(3)).split(0.25, Seed(1)).expect("enough rows to split");
    let options = TrainOptions {
        loss: Loss::Mse,
        epochs: 3,
        batch_size: 8,
        schedule: "plateau(patience=0)".parse().expect("a schedule"),
        average: Some(Average::Ema { decay: 0.9, warmup: 0.0 }),
        stop_patience: Some(2),
        metrics: vec![Metric::Mape],
        ..TrainOptions::default()
    };
    let model = Sequential::new().dense(3).tanh().dense(1);
    Trainer::new(&model, &data, &options, &DeviceKind::Cpu).expect("a run that is possible")
}

/// A checkpoint's file after an epoch of training.
pub fn trained_checkpoint() -> Vec<u8> {
    let mut trainer = trainer();
    let mut fit = trainer.fit();
    while !matches!(fit.next().expect("more events").expect("good ones"), Event::Epoch(_)) {}
    let path = scratch("trained-checkpoint");
    write_checkpoint(fit.trainer().checkpoint().expect("one an epoch"), &path).expect("writable");
    let bytes = std::fs::read(&path).expect("it was written");
    let _ = std::fs::remove_file(path);
    bytes
}

/// Returns the description of the run in a checkpoint's file.
pub fn about_of(file: &[u8]) -> String {
    head_of(file)["about"].as_str().expect("a text").to_string()
}

fn head_of(file: &[u8]) -> Value {
    let (_, header) = SafeTensors::read_metadata(file).expect("a file of tensors");
    let head = header.metadata().as_ref().and_then(|all| all.get(KEY)).expect("a checkpoint");
    serde_json::from_str(head).expect("a description")
}

/// The same file with another description, and a checksum that covers it.
fn signed(file: &[u8], about: &str) -> Vec<u8> {
    let mut head = head_of(file);
    let tensors = SafeTensors::deserialize(file).expect("a file of tensors");
    let mut all = tensors.tensors();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut sum = Checksum::default();
    for (name, tensor) in &all {
        sum.text(name);
        sum.length(tensor.shape().len());
        tensor.shape().iter().for_each(|&size| sum.length(size));
        tensor.data().as_chunks().0.iter().for_each(|&word| sum.word(u32::from_le_bytes(word)));
    }
    let slots = head["slots"].as_array().expect("names of slots");
    slots.iter().for_each(|name| sum.text(name.as_str().expect("a name")));
    sum.text(about);
    head["checksum"] = json!(format!("{:016x}", sum.value()));
    head["about"] = json!(about);
    let views = all.iter().map(|(name, tensor)| {
        let view = TensorView::new(tensor.dtype(), tensor.shape().to_vec(), tensor.data());
        (name, view.expect("as it was"))
    });
    serialize(views, Some(HashMap::from([(KEY.to_string(), head.to_string())]))).expect("a file")
}
