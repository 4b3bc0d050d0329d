//! A `state_dict` that PyTorch saved, of a network with every layer, taken in and given back (`tests/oracle/state_dict.py`).
//! `scripts/check_state_dict.py` takes files the other way too, into PyTorch.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::oracle::Oracle;
use common::{Tolerance, assert_close};
use safetensors::{Dtype, SafeTensors};
use wgrad::data::Preprocessing;
use wgrad::model::{Layer, Params, Sequential};
use wgrad::{Dataset, FeatureScaling, Loss, Predictor, Targets, TrainedModel};
use wgrad::{read_model, read_weights, write_model};

const COLUMNS: usize = 6;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/state_dict.safetensors")
}

fn network(oracle: &Oracle) -> Sequential {
    oracle.metadata("text").parse().unwrap()
}

/// PyTorch's weights under the same network, and its inputs.
fn taken_in(oracle: &Oracle) -> (TrainedModel, Vec<f32>) {
    let (model, x) = (network(oracle), oracle.values_f32("x"));
    let mut params = Params::zeros(model.layout(COLUMNS).unwrap());
    read_weights(file(), &mut params).unwrap();
    let y = Targets::Columns(vec![0.0; oracle.values("eval").len()], 3);
    let data = Dataset::from_arrays(&x, COLUMNS, y).unwrap();
    let preparation = Preprocessing::fit(&data, FeatureScaling::None);
    (TrainedModel { model, params, preparation, criterion: Loss::Mse.into() }, x)
}

/// The layers of a network, those inside of others too.
fn names(model: &Sequential, found: &mut Vec<&'static str>) {
    for layer in model.layers() {
        found.push(layer.name());
        match layer {
            Layer::Residual(inner) => names(inner, found),
            Layer::BatchEnsemble(ensemble) => names(&ensemble.layers, found),
            Layer::Branches(branches) => branches.iter().for_each(|it| names(it, found)),
            _ => {}
        }
    }
}

#[test]
fn the_network_has_every_layer() {
    let mut found = Vec::new();
    names(&network(&Oracle::read("state_dict_run")), &mut found);
    for entry in Layer::VOCABULARY {
        assert!(found.contains(&entry.name), "no {} among {found:?}", entry.name);
    }
}

#[test]
fn its_weights_give_its_outputs() {
    let oracle = Oracle::read("state_dict_run");
    let (trained, x) = taken_in(&oracle);
    for kind in common::kinds() {
        let predictor = Predictor::new(trained.clone()).unwrap();
        let predictor = predictor.on_for_rows(&kind, 16).unwrap();
        let got = predictor.predict(&x).unwrap();
        let want = oracle.values("eval");
        let what = format!("outputs on {}", predictor.device());
        assert_close(&what, got.values(), want, Tolerance::scaled(1e-5, want));
    }
}

/// Tensors as a file has them.
fn tensors(bytes: &[u8]) -> BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let tensor = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        (name.to_string(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    file.iter().map(tensor).collect()
}

#[test]
fn its_tensors_come_back_byte_for_byte() {
    let (trained, x) = taken_in(&Oracle::read("state_dict_run"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_model(&trained, &path).unwrap();
    let mut want = tensors(&std::fs::read(file()).unwrap());
    // `load_state_dict` does without these counts.
    let before = want.len();
    want.retain(|name, _| !name.ends_with("num_batches_tracked"));
    assert_eq!(before - want.len(), 2);
    assert_eq!(tensors(&std::fs::read(&path).unwrap()), want);
    let again = read_model(&path).unwrap();
    assert_eq!(again.params, trained.params);
    let predicted =
        |trained: &TrainedModel| Predictor::new(trained.clone()).unwrap().predict(&x).unwrap();
    assert_eq!(predicted(&again).values(), predicted(&trained).values());
}
