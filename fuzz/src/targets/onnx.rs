//! ONNX files of networks of all kinds, with weights and names of all kinds.

use super::Bytes;
pub use super::proto_check::check_export;
use wgrad::data::{BinaryColumn, Preprocessing, ScalingCurves, Schema, TargetKind};
use wgrad::graph::{ClassLoss, Quantiles};
use wgrad::model::{CustomLayer, EmbeddingTable, Gate, Layer, Params};
use wgrad::train::{Criterion, TrainedModel};
use wgrad::{Activation, FeatureScaling, Init, Loss, Sequential};

/// All of it says what the network is.
pub fn onnx(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(trained) = trained(&mut bytes) else { return };
    match wgrad::export::onnx_bytes(&trained, wgrad::export::needs_double(&trained)) {
        Ok(file) => check_export(&file),
        // A refused model must not be a network as it could be trained.
        Err(error) => assert!(trained.check().is_err(), "{error}: {}", trained.model),
    }
}

fn trained(bytes: &mut Bytes<'_>) -> Option<TrainedModel> {
    let columns = 1 + bytes.below(6);
    let named = bytes.byte() % 2 == 1;
    let mut name = |bytes: &mut Bytes<'_>, usual: &str, at: usize| {
        if named { bytes.text() } else { format!("{usual}{at}") }
    };
    let features: Vec<String> = (0..columns).map(|at| name(bytes, "x", at)).collect();
    let targets = 1 + bytes.below(3);
    let texts = |bytes: &mut Bytes<'_>,
                 name: &mut dyn FnMut(&mut Bytes<'_>, &str, usize) -> String| {
        (0..targets).map(|at| name(bytes, "y", at)).collect::<Vec<_>>()
    };
    let (kind, loss) = match bytes.below(9) {
        0 => (TargetKind::Classes(texts(bytes, &mut name)), Loss::CROSS_ENTROPY),
        1 => {
            (TargetKind::Classes(texts(bytes, &mut name)), ClassLoss::Hinge { margin: 1.0 }.into())
        }
        2 => (TargetKind::Number, Loss::Mse),
        3 => (TargetKind::Numbers(texts(bytes, &mut name)), Loss::Mae),
        4 => (
            TargetKind::Numbers(texts(bytes, &mut name)),
            Loss::GaussianNll { full: true, eps: 1e-6 },
        ),
        5 => (TargetKind::Number, Loss::Pinball(Quantiles::new(&[0.1, 0.5]).ok()?)),
        6 => (TargetKind::Number, Loss::PoissonNll { full: false }),
        7 => (TargetKind::Numbers(texts(bytes, &mut name)), ClassLoss::KlDivergence.into()),
        _ => {
            let labels = texts(bytes, &mut name).into_iter();
            let values = ["no".to_string(), name(bytes, "yes", 0)];
            let label = |column| BinaryColumn { column, values: values.clone() };
            let loss = if bytes.byte().is_multiple_of(2) {
                Loss::BinaryCrossEntropy
            } else {
                Loss::BinaryHinge { margin: 1.0 }
            };
            (TargetKind::Labels(labels.map(label).collect()), loss)
        }
    };
    let schema = Schema { features, target: name(bytes, "y", 0), kind, ..Schema::default() };
    let count = schema.targets().len();
    let mut numbers = |len: usize| (0..len).map(|_| f64::from(bytes.float())).collect::<Vec<f64>>();
    let preparation = Preprocessing {
        scale: FeatureScaling::Standard,
        mean: numbers(columns),
        std: numbers(columns),
        target_mean: numbers(count),
        target_std: numbers(count),
        double: vec![],
        curves: ScalingCurves::default(),
        target_range: vec![],
        schema,
    };
    let outputs = loss.outputs_for(preparation.schema.outputs());
    let mut model = Sequential::new();
    if bytes.byte().is_multiple_of(4) {
        let table = EmbeddingTable {
            column: bytes.below(6) % columns,
            vocabulary: 1 + bytes.below(5),
            dimension: 1 + bytes.below(5),
        };
        model = model.embedding([table]);
    }
    model = layers(bytes, model, 0).dense(outputs);
    if bytes.byte().is_multiple_of(8) {
        model = model.layer(Layer::Softmax);
    }
    let layout = model.layout(columns).ok()?;
    let weights = (0..layout.len()).map(|_| bytes.float()).collect();
    let params = Params::from_arena(layout, weights).ok()?;
    Some(TrainedModel { model, params, preparation, criterion: Criterion::from(loss) })
}

/// Some layers, those inside of others not too deep.
fn layers(bytes: &mut Bytes<'_>, mut model: Sequential, depth: usize) -> Sequential {
    for _ in 0..bytes.below(6) {
        let flag = bytes.byte();
        let yes = flag.is_multiple_of(2);
        let activation = Activation::ALL[usize::from(flag) % Activation::ALL.len()];
        let gate = Gate::ALL[usize::from(flag) % Gate::ALL.len()];
        model = match bytes.below(17) {
            0 | 1 => {
                let units = 1 + usize::from(flag % 8);
                let ntk = flag & 16 != 0;
                model.layer(Layer::Dense { units, bias: yes, init: Init::Pytorch, ntk })
            }
            2 | 3 => model.activation(activation),
            4 => model.dropout(0.5),
            5 => model.layer(Layer::BatchNorm { eps: 1e-5, momentum: 0.1, affine: yes }),
            6 => model.layer(Layer::LayerNorm { eps: 1e-5, affine: yes }),
            7 => model.layer(Layer::RmsNorm { eps: None, affine: yes }),
            8 if depth < 3 => model.residual(layers(bytes, Sequential::new(), depth + 1)),
            9 if depth < 3 => {
                let all: Vec<_> = (0..1 + flag % 3)
                    .map(|_| layers(bytes, Sequential::new(), depth + 1))
                    .collect();
                model.branches(all)
            }
            10 => model.layer(Layer::Scale { bias: yes }),
            11 => model.fourier(1 + usize::from(flag % 4), 1.0),
            12 => model.layer(Layer::Prelu { per_column: yes, start: 0.25 }),
            13 => model.gated(gate),
            14 => model.dense_gated(1 + usize::from(flag % 4), gate),
            15 => model.layer(if yes { Layer::Softmax } else { Layer::LogSoftmax }),
            _ => match CustomLayer::new(&bytes.text(), &[]) {
                Ok(custom) => model.custom(custom),
                Err(_) => model.tanh(),
            },
        };
    }
    model
}
