//! A trained network as an ONNX file, for runtimes in other programs and languages.
//!
//! In: a trained network, or an ensemble of several. Out: one graph of standard operators from raw columns to predictions in their own terms. The
//! same model always gives the same bytes.
//! Absent on purpose: training, and reading such files.

mod builder;
mod formula;
mod ops;
mod pre_post;
mod proto;
mod scaling;

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message as _;

#[cfg(doc)]
use crate::data::Preprocessing;
#[cfg(feature = "cli")]
use crate::data::Schema;
use crate::data::TargetKind;
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::graph::inference_under;
use crate::train::{Ensemble, TrainedModel};
use builder::{ML_DOMAIN, NodeBuilder};
use pre_post::{RESERVED, input_names, prepare, tell};
use proto::{Kind, Model, OperatorSet, StringEntry};

/// Version of ONNX's operators in exported files. onnxruntime supports it from version 1.12 on.
pub const ONNX_OPSET: i64 = 17;
/// Version of the operators of the domain `ai.onnx.ml`, of which files for columns of texts or with gaps need `LabelEncoder`.
const ML_OPSET: i64 = 3;
/// Version of the format, that of the same release of ONNX.
const IR_VERSION: i64 = 8;
/// Largest size of a protobuf message, in bytes.
const MOST_BYTES: usize = i32::MAX as usize;

/// Writes a trained network as an ONNX file, with the operators of [`ONNX_OPSET`]; an [`Ensemble`] as one graph that gives the mean of its members. A crash leaves the old file or the new one.
///
/// The one input `x`, `[batch, columns]` in f32, or in f64 where a column needs it ([`Preprocessing::double`]), takes the columns as they stand in a table, in the order that the metadata
/// under `features` gives; the batch may have any number of rows. A model of columns with texts or gaps has an input for each column
/// instead, `[batch, 1]`, texts for categories and f64 with NaN for gaps for numbers, whose names the metadata give under `inputs`. A
/// column of dates takes days since 1970-01-01 (UTC) with their fraction, as f64; the file makes the date's parts of them. The
/// outputs are
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
pub fn write_onnx(trained: impl Into<Ensemble>, path: impl AsRef<Path>) -> Result<()> {
    let (ensemble, path) = (trained.into(), path.as_ref());
    let networks = ensemble.members();
    let bytes = bytes_of(networks, any_double(networks)).map_err(|error| match error {
        Error::Shape { place, problem } => Error::model_file(path, format!("{place}: {problem}")),
        other => other,
    })?;
    write_file(path, &bytes)
}

/// Returns true if a feature column needs an input in double precision.
pub fn needs_double(trained: impl Into<Ensemble>) -> bool {
    any_double(trained.into().members())
}

/// Returns the columns whose inputs have other names, since a result may have the column's, with the names of these inputs.
#[cfg(feature = "cli")]
pub(crate) fn renamed_inputs(schema: &Schema) -> Vec<(&str, String)> {
    let columns = schema.columns.iter().map(|column| column.name.as_str());
    columns.zip(input_names(schema)).filter(|(column, input)| column != input).collect()
}

fn any_double(networks: &[TrainedModel]) -> bool {
    networks.iter().any(|it| !it.preparation.double.is_empty())
}

/// Returns the bytes that [`write_onnx`] writes, with an input in double precision or in single.
///
/// # Errors
/// If the file would exceed the 2 GiB that the format allows.
pub fn onnx_bytes(trained: impl Into<Ensemble>, double: bool) -> Result<Vec<u8>> {
    bytes_of(trained.into().members(), double)
}

/// Returns the bytes of the graph of an ensemble's members.
fn bytes_of(networks: &[TrainedModel], double: bool) -> Result<Vec<u8>> {
    networks.iter().try_for_each(TrainedModel::check)?;
    let trained = &networks[0];
    let kind = if double { Kind::Double } else { Kind::Float };
    let schema = &trained.preparation.schema;
    let weights: usize = networks.iter().map(|it| it.params.layout().count()).sum();
    let weights = weights.saturating_mul(size_of::<f32>());
    let too_large = |bytes: usize| {
        let problem = format!(
            "the weights take {bytes} bytes, but an ONNX file holds at most {MOST_BYTES}; export a smaller network"
        );
        Error::shape("onnx", problem)
    };
    // Checked before the weights are copied.
    if weights > MOST_BYTES {
        return Err(too_large(weights));
    }
    let mut to = NodeBuilder::default();
    // The names of inputs and outputs are promised to users, so no inner value may take them first.
    to.reserve(&RESERVED);
    let (scaled, inputs) = prepare(&mut to, networks, kind);
    let mut outputs = Vec::with_capacity(networks.len());
    for (network, scaled) in networks.iter().zip(scaled) {
        let graph =
            inference_under(&network.model, schema.features.len(), &network.criterion.loss)?;
        outputs.push(ops::forward(&mut to, &graph, &network.params, scaled)?);
    }
    let results = tell(&mut to, networks, &outputs)?;
    let mut metadata =
        vec![entry("features", &schema.read_columns())?, entry("target", &schema.target)?];
    let columns = trained.columns();
    // A target may have several outputs, so both parts make the name.
    let columns: Vec<_> = columns.iter().map(|(target, what)| format!("{target}_{what}")).collect();
    metadata.push(entry("outputs", &columns)?);
    if let TargetKind::Classes(classes) = &schema.kind {
        metadata.push(entry("classes", classes)?);
    }
    // Sorted by column, so that the same model always gives the same bytes.
    let positive = schema.positives();
    if !positive.is_empty() {
        let by_column: BTreeMap<_, _> =
            positive.iter().map(|it| (it.column.as_str(), it.class.as_str())).collect();
        metadata.push(entry("positive", &by_column)?);
    }
    let version = |domain: &str, version| OperatorSet {
        domain: Some(domain.to_string()),
        version: Some(version),
    };
    let mut opset_import = vec![version("", ONNX_OPSET)];
    if !schema.columns.is_empty() {
        metadata.push(entry("inputs", &input_names(schema))?);
        opset_import.push(version(ML_DOMAIN, ML_OPSET));
    }
    let model = Model {
        ir_version: Some(IR_VERSION),
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: format!("predicts {}", schema.target),
        graph: Some(to.graph("network", inputs, results)),
        opset_import,
        metadata_props: metadata,
    };
    // The weights are not all: names and nodes count too.
    let bytes = model.encoded_len();
    if bytes > MOST_BYTES {
        return Err(too_large(bytes));
    }
    Ok(model.encode_to_vec())
}

fn entry(key: &str, value: &impl serde::Serialize) -> Result<StringEntry> {
    let value =
        serde_json::to_string(value).map_err(|error| Error::shape("onnx", error.to_string()))?;
    Ok(StringEntry { key: key.into(), value })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::data::{Dataset, FeatureScaling, Preprocessing, Targets};
    use crate::graph::Loss;
    use crate::model::{Params, Sequential};
    use crate::random::Seed;

    fn trained() -> TrainedModel {
        let x: Vec<f32> = (0..12).map(|i| (i as f32).sqrt()).collect();
        let data = Dataset::from_arrays(&x, 3, Targets::Classes(vec![0, 1, 0, 1])).unwrap();
        let model = Sequential::new().dense(4).relu().dense(4).relu().dense_without_bias(2);
        let params = Params::init(&model, 3, Seed(1)).unwrap();
        let preparation = Preprocessing::fit(&data, FeatureScaling::Standard);
        TrainedModel { model, params, preparation, criterion: Loss::CROSS_ENTROPY.into() }
    }

    #[test]
    fn every_name_is_given_once_and_before_it_is_used() {
        let trained = Ensemble::from(trained());
        let bytes = onnx_bytes(&trained, false).unwrap();
        assert_eq!(bytes, onnx_bytes(&trained, false).unwrap());
        let graph = Model::decode(bytes.as_slice()).unwrap().graph.unwrap();
        let mut known: HashSet<&str> = HashSet::new();
        let given = graph.input.iter().map(|it| &it.name);
        for name in given.chain(graph.initializer.iter().map(|it| &it.name)) {
            assert!(known.insert(name), "{name} twice");
        }
        for node in &graph.node {
            assert!(node.input.iter().all(|name| known.contains(name.as_str())), "{node:?}");
            assert!(node.output.iter().all(|name| known.insert(name)), "{node:?}");
        }
        assert!(graph.output.iter().all(|it| known.contains(it.name.as_str())));
        // Products take their biases along.
        let ops: Vec<_> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
        let network = ["Gemm", "Relu", "Gemm", "Relu", "Gemm"];
        assert_eq!(ops[4..9], network, "{ops:?}");
        let terms: Vec<_> =
            graph.node[4..9].iter().step_by(2).map(|node| node.input.len()).collect();
        assert_eq!(terms, [3, 3, 2]);
    }

    #[test]
    fn a_network_whose_parts_do_not_fit_is_refused() {
        let mut trained = trained();
        trained.model = Sequential::new().dense(3);
        let place = tempfile::tempdir().unwrap();
        let said = write_onnx(trained, place.path().join("m.onnx")).unwrap_err().to_string();
        assert!(said.contains("m.onnx: model: it gives 3 outputs, but the target needs 2; take a model of this target"), "{said}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
