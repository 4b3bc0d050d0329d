//! The stored PyTorch results beside `tests/oracle/make.py`, which documents their layout.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use wgrad::device::{Device, Values};
use wgrad::graph::{Loss, Optimizer, inference, training};
use wgrad::model::{Activation, Init, Layer, Params, Sequential};
use wgrad::plan::{Phase, Plan, Sizes, TrainPlan};

use super::drive;

/// A file of `tests/oracle`, its numbers widened to f64 (classes too).
pub struct Oracle {
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
    metadata: HashMap<String, String>,
}

impl Oracle {
    /// Reads `tests/oracle/NAME.safetensors`.
    pub fn read(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/oracle/{name}.safetensors"));
        let bytes =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap_or_default();
        let hint = "written by another version of make.py; run it again and adapt these tests";
        assert_eq!(
            metadata.get("version").map(String::as_str),
            Some("1"),
            "{}: {hint}",
            path.display()
        );
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.iter().map(|(name, view)| {
            (name.to_string(), (view.shape().to_vec(), widen(name, view.dtype(), view.data())))
        });
        Self { tensors: tensors.collect(), metadata }
    }

    /// A tensor's values.
    pub fn values(&self, name: &str) -> &[f64] {
        self.tensors
            .get(name)
            .map_or_else(|| panic!("the oracle has no {name}"), |(_, values)| values)
    }

    /// A tensor's values as the single precision they were stored in.
    pub fn values_f32(&self, name: &str) -> Vec<f32> {
        self.values(name).iter().map(|&value| value as f32).collect()
    }

    /// A tensor's shape.
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensors[name].0
    }

    /// Returns whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Returns the file's metadata under a name.
    pub fn metadata(&self, name: &str) -> &str {
        &self.metadata[name]
    }

    /// The trajectories' table of cases.
    pub fn cases(&self) -> Vec<Case> {
        serde_json::from_str(&self.metadata["cases"]).unwrap()
    }
}

fn widen(name: &str, dtype: Dtype, data: &[u8]) -> Vec<f64> {
    match dtype {
        Dtype::F32 => {
            data.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect()
        }
        Dtype::F64 => data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
        // Class numbers are small.
        Dtype::I64 => data.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect(),
        other => panic!("{name}: {other:?} is not expected"),
    }
}

/// A case of the trajectories.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name, before the slash of its tensors' names.
    pub name: String,
    /// Widths from input to output.
    pub sizes: Vec<usize>,
    layers: Vec<CaseLayer>,
    /// Loss to minimise.
    pub loss: Loss,
    optimizer: String,
    lr: f64,
    momentum: f64,
    nesterov: bool,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    /// Rows of a batch.
    pub batch: usize,
    /// Steps of the run.
    pub steps: usize,
    scheduled: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum CaseLayer {
    Dense { dense: usize, bias: bool },
    Activation { activation: Activation },
}

impl Case {
    /// The network.
    pub fn model(&self) -> Sequential {
        self.layers.iter().fold(Sequential::new(), |model, layer| {
            model.layer(match *layer {
                CaseLayer::Dense { dense, bias } => {
                    Layer::Dense { units: dense, bias, init: Init::Pytorch, ntk: false }
                }
                CaseLayer::Activation { activation } => Layer::Activation(activation),
            })
        })
    }

    /// The optimizer with its settings.
    pub fn optimizer(&self) -> Optimizer {
        let Self { momentum, nesterov, beta1, beta2, eps, weight_decay, .. } = *self;
        let name = &self.optimizer;
        let settings = match name.as_str() {
            "sgd" => format!("momentum={momentum}, nesterov={nesterov}"),
            _ => format!("beta1={beta1}, beta2={beta2}, eps={eps}"),
        };
        Optimizer::by_name(&format!("{name}({settings}, weight-decay={weight_decay})")).unwrap()
    }
}

/// Runs a case's steps on any device. Out: the plan, whose ports tell where weights and losses lie, and the
/// losses as the device reports them.
pub fn replay(device: &mut dyn Device, oracle: &Oracle, case: &Case) -> (TrainPlan, Vec<f32>) {
    let (model, optimizer) = (case.model(), case.optimizer());
    let of = |name: &str| format!("{}/{name}", case.name);
    let x = oracle.values_f32(&of("x"));
    let [rows, inputs] = *oracle.shape(&of("x")) else { panic!("{}: x is no matrix", case.name) };
    let step = training(&model, inputs, case.loss.clone(), optimizer.clone()).unwrap();
    let sizes = Sizes { batch: case.batch, train_rows: rows, eval_batch: 0, eval_rows: 0 };
    let plan = Plan::training(&step, &inference(&model, inputs).unwrap(), sizes).unwrap();

    let mut params = Params::zeros(step.layout.clone());
    for view in step.layout.views() {
        let name = of(&format!("init/{}", view.name));
        params.set(&view.name, oracle.shape(&name), &oracle.values_f32(&name)).unwrap();
    }
    let y = oracle.values_f32(&of("y"));
    let classes: Vec<u32> = y.iter().map(|&class| class as u32).collect();
    let y = if case.loss.classes() { Values::U32(&classes) } else { Values::F32(&y) };
    drive::load(device, &plan, &x, y, params.arena());

    let lr = |step: usize| if case.scheduled { oracle.values(&of("lr"))[step] } else { case.lr };
    let losses =
        drive::run(device, Phase::Train, &drive::step_rows(&plan, &optimizer, 0, case.steps, lr));
    (plan, losses)
}
