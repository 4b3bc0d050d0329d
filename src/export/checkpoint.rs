//! `checkpoint.safetensors`: the kept weights under PyTorch's names, the state of a run as `state/NAME`, and in the metadata
//! where the run stands. A checksum covers all of it.
//!
//! In and out: a [`Checkpoint`]. The same checkpoint always gives the same bytes.
//! Absent on purpose: what training makes of it; when to write one.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use super::weights::{STATE, fill, open, read_bytes};
use crate::checksum::Checksum;
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::train::{Checkpoint, CheckpointHeader};

/// The one key of the metadata: of several, the order would change from file to file.
const KEY: &str = "wgrad.checkpoint";
/// Version of what stands under the key. Since version 2 a run's settings have fixed names; version 1 had them as a text of
/// Rust's.
const FORMAT: u32 = 2;
/// The first version that is read.
const OLDEST: u32 = 1;

/// Value under the key.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(rename = "format")]
    format: u32,
    /// Of names, sizes and values of all tensors, and of what follows.
    #[serde(rename = "checksum")]
    checksum: String,
    /// Names of the state's tensors, in their order.
    #[serde(rename = "slots")]
    slots: Vec<String>,
    /// An [`CheckpointHeader`] as text, so that its checksum is that of its bytes.
    #[serde(rename = "about")]
    about: String,
}

/// The part of [`Head`] that no later format changes.
#[derive(Deserialize)]
struct CheckpointFormat {
    #[serde(rename = "format")]
    format: u32,
}

/// Writes a run's state. A crash leaves the old file or the new one.
///
/// ```
/// use wgrad::prelude::*;
///
/// # let data = wgrad::data::synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
/// # let model = Sequential::new().dense(8).tanh().dense(1);
/// # let options = TrainOptions { loss: Loss::Mse, epochs: 2, ..TrainOptions::default() };
/// # let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
/// let file = std::env::temp_dir().join(format!("wgrad-checkpoint-{}.safetensors", std::process::id()));
/// let mut fit = trainer.fit();
/// while let Some(event) = fit.next() {
///     // After the first epoch: all that the next steps depend on.
///     if let Event::Epoch(_) = event? {
///         let checkpoint = fit.checkpoint()?;
///         write_checkpoint(&checkpoint, &file)?;
///         break;
///     }
/// }
/// drop(fit);
/// let mut later = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
/// later.resume(read_checkpoint(&file)?)?;
/// assert!(later.run()?.last.is_some_and(|last| last.epoch == 2));
/// # std::fs::remove_file(&file).ok();
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be written.
pub fn write_checkpoint(checkpoint: &Checkpoint, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let bytes = checkpoint_bytes(checkpoint).map_err(|reason| {
        Error::model_file(path, format!("a checkpoint cannot be encoded: {reason}"))
    })?;
    write_file(path, &bytes)
}

/// The bytes of the file.
pub(crate) fn checkpoint_bytes(checkpoint: &Checkpoint) -> Result<Vec<u8>, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let Checkpoint { about, slots, kept } = checkpoint;
    let about = serde_json::to_string(about).map_err(|error| failed(&error))?;
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = kept
        .iter()
        .map(|(view, values)| (view.name.clone(), view.shape.clone(), bytes_of(values)))
        .collect();
    tensors.extend(
        slots
            .iter()
            .map(|(name, values)| (format!("{STATE}{name}"), vec![values.len()], bytes_of(values))),
    );
    tensors.sort();
    let parts = tensors.iter().map(|(name, shape, data)| (name.as_str(), &shape[..], &data[..]));
    let names: Vec<String> = slots.iter().map(|(name, _)| name.clone()).collect();
    let head =
        Head { format: FORMAT, checksum: checksum(parts, &names, &about), slots: names, about };
    let head = serde_json::to_string(&head).map_err(|error| failed(&error))?;
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, shape, data)| {
            TensorView::new(Dtype::F32, shape.clone(), data).map(|view| (name.as_str(), view))
        })
        .collect();
    views
        .and_then(|views| serialize(views, Some(HashMap::from([(KEY.to_string(), head)]))))
        .map_err(|error| failed(&error))
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Of tensors in the order of their names.
fn checksum<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>,
    slots: &[String],
    about: &str,
) -> String {
    let mut sum = Checksum::default();
    for (name, shape, data) in tensors {
        sum.text(name);
        sum.length(shape.len());
        shape.iter().for_each(|&size| sum.length(size));
        for word in data.as_chunks().0 {
            sum.word(u32::from_le_bytes(*word));
        }
    }
    slots.iter().for_each(|name| sum.text(name));
    sum.text(about);
    format!("{:016x}", sum.value())
}

/// Reads a run's state that [`write_checkpoint`] wrote, and checks all of it.
///
/// # Errors
/// If the file cannot be read, is damaged, or is of another kind or format; the message says what to do.
pub fn read_checkpoint(path: impl AsRef<Path>) -> Result<Checkpoint> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    let tensors = open(path, &bytes)?;
    let refuse = |problem: String| Error::model_file(path, problem);
    let (_, header) =
        SafeTensors::read_metadata(&bytes).map_err(|error| refuse(error.to_string()))?;
    let Some(head) = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)) else {
        let problem = "a safetensors file, but no checkpoint of wgrad; give the checkpoint.safetensors of a run folder";
        return Err(refuse(problem.to_string()));
    };
    checked(&tensors, head).map_err(|problem| {
        refuse(format!("damaged: {problem}; take an earlier checkpoint, or a copy"))
    })
}

fn checked(tensors: &SafeTensors<'_>, head: &str) -> Result<Checkpoint, String> {
    let unreadable =
        |error: serde_json::Error| format!("its description is not readable ({error})");
    let CheckpointFormat { format } = serde_json::from_str(head).map_err(unreadable)?;
    if !(OLDEST..=FORMAT).contains(&format) {
        return Err(format!(
            "format {format}, but this version of wgrad reads formats {OLDEST} to {FORMAT}; use the version that wrote it"
        ));
    }
    let head: Head = serde_json::from_str(head).map_err(unreadable)?;
    let mut all = tensors.tensors();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some((name, tensor)) = all.iter().find(|(_, tensor)| tensor.dtype() != Dtype::F32) {
        return Err(format!("`{name}` holds {:?}, but must hold F32", tensor.dtype()));
    }
    let parts = all.iter().map(|(name, tensor)| (name.as_str(), tensor.shape(), tensor.data()));
    let found = checksum(parts, &head.slots, &head.about);
    if found != head.checksum {
        return Err(format!("its checksum is {found}, but should be {}", head.checksum));
    }
    let about: CheckpointHeader = serde_json::from_str(&head.about).map_err(unreadable)?;
    let layout = about.model.layout(about.columns).map_err(|error| error.to_string())?;
    let kept = fill(tensors, &layout)?;
    let mut slots = Vec::with_capacity(head.slots.len());
    for name in head.slots {
        let tensor = tensors
            .tensor(&format!("{STATE}{name}"))
            .map_err(|_| format!("`{STATE}{name}` is missing"))?;
        let values = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        slots.push((name, values.collect()));
    }
    Ok(Checkpoint { about, slots, kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth;
    use crate::device::DeviceKind;
    use crate::graph::Loss;
    use crate::model::Sequential;
    use crate::random::Seed;
    use crate::train::{Event, Metric, TrainOptions, Trainer};

    fn checkpoint() -> Checkpoint {
        let data = synth::sine(40, 0.1, Seed(3)).split(0.25, Seed(1)).unwrap();
        let model = Sequential::new().dense(4).tanh().dense(1);
        let metrics = vec![Metric::Mape, Metric::ExplainedVariance];
        let options = TrainOptions {
            loss: Loss::Mse,
            epochs: 3,
            batch_size: 8,
            metrics,
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu).unwrap();
        let mut fit = trainer.fit();
        while !matches!(fit.next().unwrap().unwrap(), Event::Epoch(_)) {}
        Checkpoint::clone(fit.trainer().checkpoint().unwrap())
    }

    #[test]
    fn checkpoints_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let written = checkpoint();
        write_checkpoint(&written, &a).unwrap();
        let back = read_checkpoint(&a).unwrap();
        assert_eq!(back, written);
        write_checkpoint(&back, &b).unwrap();
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    }

    #[test]
    fn every_damaged_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let bytes = checkpoint_bytes(&checkpoint()).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            std::fs::write(&path, &other).unwrap();
            // White space in the header means nothing.
            if other[at].is_ascii_whitespace() || bytes[at].is_ascii_whitespace() {
                continue;
            }
            let read = read_checkpoint(&path);
            assert!(read.is_err(), "a changed byte {at} of {} went unseen", bytes.len());
        }
        for len in (0..bytes.len()).step_by(97) {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert!(read_checkpoint(&path).unwrap_err().to_string().contains("c.safetensors"));
        }
    }
}
