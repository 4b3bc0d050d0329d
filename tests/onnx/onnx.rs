//! Exported networks, run by tract, give what [`Predictor`] gives.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use tract_onnx::prelude::*;
use wgrad::data::{BinaryColumn, FeatureScaling, Preprocessing, TargetKind};
use wgrad::export::onnx_bytes;
use wgrad::graph::RequiredTarget;
use wgrad::model::Layer;
use wgrad::train::Predictions;
use wgrad::{
    Activation, Dataset, Loss, Params, Predictor, Seed, Sequential, Targets, TrainedModel,
};

const COLUMNS: usize = 5;
const ROWS: usize = 37;
/// The column whose values are whole numbers from 0 to 4.
const NUMBERED: usize = 4;
const LIMIT: f64 = 1e-5;

/// Rows whose columns are of very different sizes, one of them far from 0; some rows far from the others.
fn rows() -> Vec<f32> {
    let noise = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    let scales = [1.0, 300.0, 2.0, 1e-3, 1.0];
    let middles = [0.0, -50.0, 1e6, 0.5, 3.0];
    (0..ROWS * COLUMNS)
        .map(|i| {
            let (row, column) = (i / COLUMNS, i % COLUMNS);
            if column == NUMBERED {
                return (row % 5) as f32;
            }
            let far = if row % 9 == 8 { 1e3 } else { 1.0 };
            middles[column] + far * scales[column] * noise(i)
        })
        .collect()
}

fn trained(model: Sequential, targets: Targets, loss: Loss) -> TrainedModel {
    let data = Dataset::from_arrays(&rows(), COLUMNS, targets).unwrap();
    let mut params = Params::init(&model, COLUMNS, Seed(3)).unwrap();
    // Statistics and factors that would otherwise be 0 or 1.
    let moved =
        |values: &[f32]| (0..).zip(values).map(|(i, v)| v + 0.1 + (i % 3) as f32 / 10.0).collect();
    let vectors = params.iter().filter(|(view, _)| view.shape.len() == 1);
    let vectors: Vec<(String, Vec<f32>)> =
        vectors.map(|(view, values)| (view.name.clone(), moved(values))).collect();
    for (name, values) in vectors {
        params.set(&name, &[values.len()], &values).unwrap();
    }
    let mut preparation = Preprocessing::fit(&data, FeatureScaling::Standard)
        .with_columns_as_is(model.tables().iter().map(|table| table.column));
    if !loss.scales_target() {
        preparation = preparation.with_target_as_is();
    }
    if loss.wants() == RequiredTarget::Labels {
        let values = ["no".to_string(), "yes".to_string()];
        let label =
            |column: &String| BinaryColumn { column: column.clone(), values: values.clone() };
        if let TargetKind::Numbers(columns) = &preparation.schema.kind {
            preparation.schema.kind = TargetKind::Labels(columns.iter().map(label).collect());
        }
    }
    TrainedModel { model, params, preparation, criterion: loss.into() }
}

/// Returns a network with this number of outputs; an ensemble that shares weights has them already.
fn closed(model: Sequential, outputs: usize) -> Sequential {
    if model.batch_ensemble().is_some() { model } else { model.dense(outputs) }
}

fn classes(model: Sequential) -> TrainedModel {
    let y = (0..ROWS as u32).map(|row| row % 3).collect();
    trained(closed(model, 3), Targets::Classes(y), Loss::CROSS_ENTROPY)
}

fn numbers(model: Sequential) -> TrainedModel {
    let y = (0..ROWS).map(|row| 1000.0 + 40.0 * (row as f64).sin()).collect();
    trained(closed(model, 1), Targets::Numbers(y), Loss::Mse)
}

/// Returns the output of tract for an exported file and its first `rows` rows.
fn run(file: &[u8], output: &str, rows: usize, x: &[f32]) -> Vec<f64> {
    let model = tract_onnx::onnx().model_for_read(&mut &*file).unwrap();
    let plan = model
        .with_outputs_by_name([output])
        .unwrap()
        .with_input_fact(0, f32::fact([rows, COLUMNS]).into())
        .unwrap()
        .into_optimized()
        .unwrap()
        .into_runnable()
        .unwrap();
    let x = Tensor::from_shape(&[rows, COLUMNS], &x[..rows * COLUMNS]).unwrap();
    let result = plan.run(tvec!(x.into())).unwrap();
    let wide = result[0].cast_to::<f64>().unwrap();
    wide.to_plain_array_view::<f64>().unwrap().iter().copied().collect()
}

fn check(what: &str, trained: &TrainedModel) {
    let (file, x) = (onnx_bytes(trained, false).unwrap(), rows());
    let predictor = Predictor::new(trained.clone()).unwrap();
    let told = predictor.predict(&x).unwrap();
    let output = match told {
        Predictions::Numbers(_) => "prediction",
        _ if trained.outputs_are_scores() => "scores",
        _ => "probabilities",
    };
    let want = told.values();
    let columns = want.len() / ROWS;
    for rows in [1, ROWS] {
        let got = run(&file, output, rows, &x);
        assert_eq!(got.len(), rows * columns, "{what}");
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let limit = LIMIT * want.abs().max(1.0);
            assert!((got - want).abs() <= limit, "{what}, row {}: {got}, not {want}", i / columns);
        }
    }
}

#[test]
fn every_activation_is_exported() {
    for activation in Activation::ALL {
        let hidden = || Sequential::new().dense(16).activation(activation);
        check(
            &format!("classes, {activation}"),
            &classes(hidden().dense(8).activation(activation)),
        );
        check(&format!("numbers, {activation}"), &numbers(hidden()));
    }
}

#[test]
fn every_layer_is_exported() {
    let networks = [
        "dense(8, bias=false, ntk=true), batch_norm, relu, dropout(0.3)",
        "dense(8, ntk=true), layer_norm, tanh, dense(6), rms_norm, prelu, rms_norm(affine=false)",
        "batch_norm(affine=false), dense(8), prelu(per_column=true), scale, layer_norm(affine=false)",
        "residual(dense(5), tanh, residual(dense(5), relu)), dense(4), scale(bias=false)",
        "branches((dense(6), relu), (identity), (fourier(3, sigma=0.1))), dense(6), log_softmax",
        "branches((dense(1)), (dense(2)), (dense(3)), (dense(4)), (dense(1)), (dense(2)), (dense(3)))",
        "embedding(4=5x3), dense(8), geglu(6), swiglu(5), glu(4)",
        "dense(8), softmax, dense(8), glu, fourier(2, sigma=0.3, learned=true)",
        "pbld(frequencies=4), scale(bias=false), dense(8, ntk=true), parametric(selu)",
        "pl(frequencies=3, columns=0 2-3), plr(outputs=2, columns=1-4), dense(6), parametric(mish)",
        "dense(6), custom(x + sin(x1 * x) * x2, 1, 0.5), custom(if(x < 0, 0.1 * x, log1p(x) + expm1(-x)))",
        "batch_ensemble(4, dense(8), relu, dropout(0.1), residual(dense(8), tanh), batch_norm, dense(OUT))",
        "ple(bins=4, outputs=2, columns=0-2), dense(6), tanh",
        "pbld(frequencies=4), batch_ensemble(5, mini=true, dense(8, ntk=true), silu, dense(OUT))",
    ];
    let texts = networks.join(", ");
    let known = Layer::VOCABULARY;
    assert!(known.len() > 10);
    for layer in known {
        assert!(texts.contains(layer.name), "{} is in no network", layer.name);
    }
    for network in networks {
        let with = |outputs: &str| network.replace("OUT", outputs).parse().unwrap();
        check(network, &classes(with("3")));
        check(network, &numbers(with("1")));
    }
}

#[test]
fn networks_without_hidden_layers_biases_or_scaling_are_exported() {
    check("none hidden", &classes(Sequential::new()));
    check("no bias", &classes(Sequential::new().dense_without_bias(8).relu()));
    let mut plain = classes(Sequential::new().dense(8).tanh());
    plain.preparation.mean.fill(0.0);
    plain.preparation.std.fill(1.0);
    check("not scaled", &plain);
}

#[test]
fn what_every_loss_makes_of_outputs_is_exported() {
    for entry in Loss::VOCABULARY {
        let loss: Loss = entry.name.parse().unwrap();
        let hidden = Sequential::new().dense(8).tanh();
        let (targets, columns) = match loss.wants() {
            RequiredTarget::Classes => {
                (Targets::Classes((0..ROWS as u32).map(|row| row % 3).collect()), 3)
            }
            RequiredTarget::Labels => (Targets::Columns([1.0, 0.0].repeat(ROWS), 2), 2),
            RequiredTarget::Shares => (Targets::Columns([0.25, 0.75].repeat(ROWS), 2), 2),
            RequiredTarget::Numbers | RequiredTarget::Counts => {
                let y = (0..2 * ROWS).map(|i| 1000.0 + (i % 7 * i) as f64).collect();
                (Targets::Columns(y, 2), 2)
            }
        };
        let outputs = loss.outputs_for(columns);
        if loss.member_outputs().is_ok() {
            let shared = format!("batch_ensemble(4, dense(8), tanh, dense({outputs}))");
            let shared = trained(shared.parse().unwrap(), targets.clone(), loss.clone());
            check(&format!("{} of members", entry.name), &shared);
        }
        check(entry.name, &trained(hidden.dense(outputs), targets, loss));
    }
}

#[test]
fn the_likeliest_class_goes_by_its_name() {
    let trained = classes(Sequential::new().dense(8).relu());
    let file = onnx_bytes(&trained, false).unwrap();
    let model = tract_onnx::onnx().model_for_read(&mut &*file).unwrap();
    let names: Vec<_> =
        model.output_outlets().unwrap().iter().map(|it| model.outlet_label(*it)).collect();
    assert_eq!(names, [Some("label"), Some("probabilities")]);
}
