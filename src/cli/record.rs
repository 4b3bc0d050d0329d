//! `config.toml`: the settings as resolved, to be used again, and a record of what ran.
//!
//! Absent on purpose: the time of day, so that the same run leaves the same file.

use serde::{Serialize, Serializer};

use super::config::{RunConfig, Start, Valid};
use super::layers::{Network, activation_text};
use crate::error::{Error, Result};
use crate::graph::Optimizer;
use crate::train::{Keep, RunInfo, TrainOptions};

/// The file's keys, in the order of the options.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    table: String,
    target: String,
    task: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    norm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<String>,
    loss: &'static str,
    optimizer: &'static str,
    lr: f64,
    weight_decay: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    momentum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nesterov: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta2: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eps: Option<f64>,
    schedule: String,
    warmup: f64,
    decay_schedule: String,
    dropout_schedule: String,
    epochs: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_patience: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_metric: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_delta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<String>,
    batch_size: usize,
    #[serde(serialize_with = "share_or_file")]
    valid: Valid,
    shuffle: bool,
    scale: String,
    #[serde(serialize_with = "number_or_text")]
    seed: u64,
    init: String,
    precision: &'static str,
    device: String,
    tune: &'static str,
    tune_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_memory: Option<String>,
    out: String,
    record: Record,
}

/// What ran; read by people, ignored by `--config`.
#[derive(Serialize)]
struct Record {
    created_by: String,
    device: String,
    kind: String,
    backend: String,
    driver: String,
    reason: String,
    variants: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

/// The text of a run's `config.toml`.
pub(super) fn config_text(
    config: &RunConfig,
    options: &TrainOptions,
    info: &RunInfo,
) -> Result<String> {
    let (mut momentum, mut nesterov, mut adam) = (None, None, None);
    let weight_decay = match options.optimizer {
        Optimizer::Sgd { momentum: m, nesterov: n, weight_decay } => {
            (momentum, nesterov) = (Some(m), Some(n));
            weight_decay
        }
        Optimizer::Adam { beta1, beta2, eps, weight_decay }
        | Optimizer::AdamW { beta1, beta2, eps, weight_decay } => {
            adam = Some((beta1, beta2, eps));
            weight_decay
        }
    };
    let (plain, layers) = match &config.network {
        Network::Layers(text) => (None, Some(text.clone())),
        Network::Plain { hidden, norm, activation, dropout } => {
            (Some((hidden, activation, *norm, *dropout)), None)
        }
    };
    let watches = options.stop_patience.is_some() || options.keeps() == Keep::Best;
    let file = File {
        table: config.table.display().to_string(),
        target: config.target.clone(),
        task: if options.loss.classes() { "classify" } else { "regress" },
        hidden: plain.map(|plain| plain.0.clone()),
        activation: plain.map(|plain| activation_text(plain.1)),
        norm: plain.map(|plain| plain.2.name()),
        dropout: plain.map(|plain| plain.3),
        layers,
        loss: options.loss.name(),
        optimizer: options.optimizer.name(),
        lr: options.lr,
        weight_decay,
        momentum,
        nesterov,
        beta1: adam.map(|adam| adam.0),
        beta2: adam.map(|adam| adam.1),
        eps: adam.map(|adam| adam.2),
        schedule: options.schedule.to_string(),
        warmup: options.warmup,
        decay_schedule: options.decay_schedule.to_string(),
        dropout_schedule: options.dropout_schedule.to_string(),
        epochs: options.epochs,
        stop_patience: options.stop_patience,
        stop_metric: watches.then(|| options.stop_metric.to_string()),
        stop_delta: options.stop_patience.map(|_| options.stop_delta),
        // What follows from the patience is left to it, also where it is given anew.
        keep: options.keep.map(Keep::name),
        metrics: options.metrics.iter().map(ToString::to_string).collect(),
        batch_size: options.batch_size,
        valid: config.valid.clone(),
        shuffle: options.shuffle,
        scale: options.scale.to_string(),
        seed: options.seed.0,
        init: match &config.start {
            Start::Scheme(init) => init.to_string(),
            Start::File(path) => path.display().to_string(),
        },
        precision: options.precision.name(),
        device: config.device.to_string(),
        tune: options.tuning.tune.name(),
        tune_ms: u32::try_from(options.tuning.budget.as_millis()).unwrap_or(u32::MAX),
        // As a text: whole numbers of TOML end at 2^63.
        device_memory: options.device_memory.map(|bytes| bytes.to_string()),
        out: config.out.display().to_string(),
        record: Record {
            created_by: concat!("wgrad ", env!("CARGO_PKG_VERSION")).to_string(),
            device: info.device.name.clone(),
            kind: info.device.kind.clone(),
            backend: info.device.backend.clone(),
            driver: info.device.driver.clone(),
            reason: info.reason.clone(),
            variants: info.variants.clone(),
            data: info.streaming.map(|streaming| streaming.to_string()),
        },
    };
    toml::to_string(&file).map_err(|error| Error::setting("config.toml", error.to_string()))
}

fn share_or_file<S: Serializer>(valid: &Valid, to: S) -> std::result::Result<S::Ok, S::Error> {
    match valid {
        Valid::Share(share) => to.serialize_f64(*share),
        Valid::File(path) => to.serialize_str(&path.to_string_lossy()),
    }
}

/// Whole numbers of TOML end at 2^63.
fn number_or_text<S: Serializer>(seed: &u64, to: S) -> std::result::Result<S::Ok, S::Error> {
    match i64::try_from(*seed) {
        Ok(seed) => to.serialize_i64(seed),
        Err(_) => to.serialize_str(&seed.to_string()),
    }
}
