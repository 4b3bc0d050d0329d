//! A trained network as an ONNX file, for runtimes in other programs and languages.
//!
//! In: a [`TrainedModel`]. Out: one graph of standard operators from raw columns to what predictions mean. The same model
//! always gives the same bytes.
//! Absent on purpose: training, and reading such files.

mod builder;
mod ends;
mod formula;
mod ops;
mod proto;

use std::path::Path;

use prost::Message as _;

use super::file::write_file;
use crate::data::TargetKind;
use crate::error::{Error, Result};
use crate::graph::inference;
use crate::train::TrainedModel;
use builder::Builder;
use ends::{INPUT, RESERVED, prepare, tell};
use proto::{Entry, Kind, Model, OperatorSet, ValueInfo};

/// The version of ONNX's operators in exported files. onnxruntime knows it from version 1.12 on.
pub const ONNX_OPSET: i64 = 17;
/// The version of the format, that of the same release of ONNX.
const IR_VERSION: i64 = 8;
/// What a protobuf message may hold.
const MOST_BYTES: usize = i32::MAX as usize;

/// Writes a trained network as an ONNX file, with the operators of [`ONNX_OPSET`]. A crash leaves the old file or the new one.
///
/// The one input `x`, `[batch, columns]` in f32, takes the columns as they stand in a table, in the order that the metadata
/// under `features` gives; the batch may have any number of rows. The outputs are
/// - for classes `label`, the likeliest class's name `[batch]`, and `probabilities`, f32 `[batch, classes]`;
/// - for labels `labels`, what is likelier of each `[batch, labels]`, and `probabilities`, f32 `[batch, labels]`;
/// - for numbers `prediction`, f64 in the targets' own units, with a column for each target, or one for each of its quantiles, or
///   for its mean and its standard deviation;
/// - `scores` instead of `probabilities` where a loss gives none.
///
/// Metadata, each a JSON text: `features`, `target`, `outputs` with the names of the columns of probabilities or numbers, and for
/// classes `classes`.
///
/// # Errors
/// If the file cannot be written, or would exceed the 2 GiB that the format allows.
pub fn write_onnx(trained: &TrainedModel, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let bytes = onnx_bytes(trained).map_err(|error| match error {
        Error::Shape { place, problem } => Error::model_file(path, format!("{place}: {problem}")),
        other => other,
    })?;
    write_file(path, &bytes)
}

/// What [`write_onnx`] writes.
///
/// # Errors
/// If it would exceed the 2 GiB that the format allows.
pub fn onnx_bytes(trained: &TrainedModel) -> Result<Vec<u8>> {
    trained.check()?;
    let schema = &trained.preparation.schema;
    let weights = trained.params.layout().count().saturating_mul(size_of::<f32>());
    let too_large = |bytes: usize| {
        let problem = format!("{bytes} bytes, but an ONNX file holds at most {MOST_BYTES}");
        Error::shape("onnx", problem)
    };
    // Before the copies are made.
    if weights > MOST_BYTES {
        return Err(too_large(weights));
    }
    let network = inference(&trained.model, schema.features.len())?;
    let mut to = Builder::default();
    to.reserve(&RESERVED);
    let scaled = prepare(&mut to, &trained.preparation);
    let outputs = ops::forward(&mut to, &network, &trained.params, scaled)?;
    let results = tell(&mut to, trained, &outputs)?;
    let about = format!("columns as in a table: {}", schema.features.join(", "));
    let input = ValueInfo::rows(INPUT, Kind::Float, Some(schema.features.len()), about);
    let mut metadata = vec![entry("features", &schema.features)?, entry("target", &schema.target)?];
    let columns = trained.columns();
    let columns: Vec<_> = columns.iter().map(|(target, what)| format!("{target}_{what}")).collect();
    metadata.push(entry("outputs", &columns)?);
    if let TargetKind::Classes(classes) = &schema.kind {
        metadata.push(entry("classes", classes)?);
    }
    let model = Model {
        ir_version: Some(IR_VERSION),
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: format!("predicts {}", schema.target),
        graph: Some(to.graph("network", input, results)),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(ONNX_OPSET) }],
        metadata_props: metadata,
    };
    let bytes = model.encoded_len();
    if bytes > MOST_BYTES {
        return Err(too_large(bytes));
    }
    Ok(model.encode_to_vec())
}

fn entry(key: &str, value: &impl serde::Serialize) -> Result<Entry> {
    let value =
        serde_json::to_string(value).map_err(|error| Error::shape("onnx", error.to_string()))?;
    Ok(Entry { key: key.into(), value })
}
