//! `config.toml`: the settings as resolved, to be used again, and a record of what ran.
//!
//! Absent on purpose: the time of day, so that the same run leaves the same file.

use serde::{Serialize, Serializer};

use super::config::{INIT_SCALE, RunConfig, Start, Valid};
use super::layers::{Network, activation_text};
use super::paths::path_text;
use crate::error::{Error, Result};
use crate::graph::{Group, Optimizer, Reduction, Wants};
use crate::train::{ClassWeights, Keep, Metric, RunInfo, TrainOptions};

/// The file's keys, in the order of the options.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    table: String,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<String>,
    task: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    positive: Option<String>,
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
    loss: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reduction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_weights: Option<String>,
    optimizer: String,
    lr: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f64>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    clip_norm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clip_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accumulate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    average: Option<String>,
    schedule: String,
    warmup: f64,
    decay_schedule: String,
    dropout_schedule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_epochs: Option<u32>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    init_strict: Option<bool>,
    precision: &'static str,
    device: String,
    tune: &'static str,
    tune_ms: u32,
    checkpoint_every: u32,
    checkpoint_minutes: f64,
    keep_checkpoints: u32,
    on_nonfinite: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_memory: Option<String>,
    out: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupRecord>,
    record: Record,
}

/// A table of `[[groups]]`.
#[derive(Serialize)]
struct GroupRecord {
    #[serde(rename = "match")]
    matches: String,
    lr: f64,
    decay: f64,
    frozen: bool,
}

impl GroupRecord {
    fn of(group: &Group) -> Self {
        let Group { matches, lr, decay, frozen } = group.clone();
        Self { matches, lr, decay, frozen }
    }
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
    let (network, layers) = match &config.network {
        Network::Layers(text) => (None, Some(text.clone())),
        Network::Plain { hidden, norm, activation, dropout } => {
            (Some((hidden, activation, *norm, *dropout)), None)
        }
    };
    // Of a plain optimizer each setting is a key of its own; others are one text.
    let plain = !matches!(options.optimizer, Optimizer::Other(_));
    let setting = |name: &str| options.optimizer.setting(name).filter(|_| plain);
    let groups = options.groups.iter().map(GroupRecord::of).collect();
    let watches = options.stop_patience.is_some()
        || options.keeps() == Keep::Best
        || options.stop_metric != Metric::Loss;
    let file = File {
        table: path_text(&config.table),
        target: config.target.clone(),
        weight: config.weight.clone(),
        task: match options.loss.wants() {
            Wants::Classes => "classify",
            Wants::Labels => "labels",
            Wants::Numbers | Wants::Counts | Wants::Shares => "regress",
        },
        positive: config.positive.clone(),
        hidden: network.map(|it| it.0.clone()),
        activation: network.map(|it| activation_text(it.1)),
        norm: network.map(|it| it.2.name()),
        dropout: network.map(|it| it.3),
        layers,
        loss: options.loss.to_string(),
        // Only what is not as usual: older versions would refuse these keys.
        reduction: (options.reduction != Reduction::Mean).then(|| options.reduction.name()),
        class_weights: (options.class_weights != ClassWeights::None)
            .then(|| options.class_weights.to_string()),
        optimizer: if plain {
            options.optimizer.name().to_string()
        } else {
            options.optimizer.to_string()
        },
        lr: options.lr,
        weight_decay: setting("weight-decay"),
        momentum: setting("momentum"),
        nesterov: setting("nesterov").map(|on| on != 0.0),
        beta1: setting("beta1"),
        beta2: setting("beta2"),
        eps: setting("eps"),
        clip_norm: options.clip_norm,
        clip_value: options.clip_value,
        accumulate: (options.accumulate > 1).then_some(options.accumulate),
        average: options.average.map(|average| average.to_string()),
        schedule: options.schedule.to_string(),
        warmup: options.warmup,
        decay_schedule: options.decay_schedule.to_string(),
        dropout_schedule: options.dropout_schedule.to_string(),
        schedule_epochs: options.schedule_epochs,
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
        scale: match options.preparation {
            Some(_) => INIT_SCALE.to_string(),
            None => options.scale.to_string(),
        },
        seed: options.seed.0,
        init: match &config.start {
            Start::Scheme(init) => init.to_string(),
            Start::File(path) => path_text(path),
        },
        init_strict: (!config.init_strict).then_some(false),
        precision: options.precision.name(),
        device: config.device.to_string(),
        tune: options.tuning.tune.name(),
        tune_ms: u32::try_from(options.tuning.budget.as_millis()).unwrap_or(u32::MAX),
        checkpoint_every: options.checkpoint_every,
        checkpoint_minutes: config.checkpoints.minutes,
        keep_checkpoints: config.checkpoints.keep,
        on_nonfinite: options.on_nonfinite.name(),
        // As a text: whole numbers of TOML end at 2^63.
        device_memory: options.device_memory.map(|bytes| bytes.to_string()),
        out: path_text(&config.out),
        groups,
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
        Valid::File(path) => to.serialize_str(&path_text(path)),
    }
}

/// Whole numbers of TOML end at 2^63.
fn number_or_text<S: Serializer>(seed: &u64, to: S) -> std::result::Result<S::Ok, S::Error> {
    match i64::try_from(*seed) {
        Ok(seed) => to.serialize_i64(seed),
        Err(_) => to.serialize_str(&seed.to_string()),
    }
}
