//! The settings that determine a run's bits, as a checkpoint records them: names and texts that no renaming in this crate
//! changes.
//!
//! In: options. Out: [`RunSettings`], and the differences between two of them.
//! Absent on purpose: settings of duration, place and frequency, which do not change the numbers.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::FeatureScaling;
use crate::graph::{Average, Loss, Optimizer, Reduction};
use crate::plan::Precision;
use crate::train::{ClassWeights, KeepWeights, Metric, OnNonFinite, ScheduleKind, TrainOptions};

/// Version of the record. A change in the meaning of a name or of a text needs another number.
const VERSION: u32 = 2;
/// Text of a setting that is not used.
const NONE: &str = "none";

/// The settings of a run, each as a text under a fixed name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredSettings", into = "StoredSettings")]
pub(crate) struct RunSettings(BTreeMap<String, String>);

/// The record in a file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredSettings {
    /// From version 2 on.
    Named {
        #[serde(rename = "version")]
        version: u32,
        #[serde(rename = "values")]
        values: BTreeMap<String, String>,
    },
    /// Version 1: the options as Rust's `{:#?}` printed them.
    Printed(String),
}

impl From<RunSettings> for StoredSettings {
    fn from(settings: RunSettings) -> Self {
        Self::Named { version: VERSION, values: settings.0 }
    }
}

impl From<StoredSettings> for RunSettings {
    fn from(stored: StoredSettings) -> Self {
        match stored {
            StoredSettings::Named { version: VERSION, values } => Self(values),
            // Names of another version may mean something else, so none is compared.
            StoredSettings::Named { .. } => Self(BTreeMap::new()),
            StoredSettings::Printed(text) => Self(of_printed(&text)),
        }
    }
}

impl RunSettings {
    /// Records the options that decide what is computed.
    pub(in crate::train) fn of(options: &TrainOptions) -> Self {
        // Every field is named, so that a new option cannot be forgotten here.
        let TrainOptions {
            loss,
            reduction,
            class_weights,
            optimizer,
            clip_norm,
            clip_value,
            accumulate,
            groups,
            average,
            lr,
            schedule,
            warmup,
            decay_schedule,
            dropout_schedule,
            smoothing_schedule,
            epochs: _,
            stop_patience: _,
            stop_metric,
            stop_delta: _,
            keep: _,
            metrics,
            batch_size,
            shuffle,
            scale,
            column_scales,
            target_scale,
            scale_texts,
            clamp,
            keep_later: _,
            drop_last,
            seed,
            precision,
            tuning: _,
            checkpoint_every: _,
            on_nonfinite,
            device_memory: _,
            preparation: _,
            schedule_epochs: _,
        } = options;
        let values = [
            ("loss", loss.to_string()),
            ("reduction", reduction.to_string()),
            ("class_weights", class_weights.to_string()),
            ("optimizer", optimizer.to_string()),
            ("clip_norm", or_none(clip_norm.as_ref())),
            ("clip_value", or_none(clip_value.as_ref())),
            ("accumulate", accumulate.to_string()),
            ("groups", listed(groups, "; ")),
            ("average", or_none(average.as_ref())),
            ("lr", lr.to_string()),
            ("schedule", schedule.to_string()),
            ("warmup", warmup.to_string()),
            ("decay_schedule", decay_schedule.to_string()),
            ("dropout_schedule", dropout_schedule.to_string()),
            ("stop_metric", stop_metric.to_string()),
            ("keep", options.keeps().name().to_string()),
            ("metrics", listed(metrics, ",")),
            ("batch_size", batch_size.to_string()),
            ("shuffle", shuffle.to_string()),
            ("scale", scale.to_string()),
            ("seed", seed.0.to_string()),
            ("precision", precision.to_string()),
            ("on_nonfinite", on_nonfinite.name().to_string()),
        ];
        let by_column: Vec<String> =
            column_scales.iter().map(|(name, method)| format!("{name}:{method}")).collect();
        let of_columns = ("column_scales", listed(&by_column, ", "));
        let of_target = ("target_scale", or_none(target_scale.as_ref()));
        // Only what is not as usual: earlier records do not have these names.
        let switch = |on: bool| if on { "true" } else { NONE }.to_string();
        let switches = [
            ("scale_texts", switch(*scale_texts)),
            ("clamp", switch(*clamp)),
            ("drop_last", switch(*drop_last)),
        ];
        let smoothing = match smoothing_schedule {
            ScheduleKind::Constant => NONE.to_string(),
            kind => kind.to_string(),
        };
        let further = [of_columns, of_target, ("smoothing_schedule", smoothing)];
        let further = further.into_iter().chain(switches);
        let further = further.filter(|(_, text)| text != NONE);
        let values = values.into_iter().chain(further);
        Self(values.map(|(name, text)| (name.to_string(), text)).collect())
    }

    /// Lists the settings that both records have and that differ. A setting that the earlier record has not has the value
    /// that it had then.
    pub(in crate::train) fn differences(&self, earlier: &Self) -> Vec<String> {
        let pairs = self.0.iter().filter_map(|(name, now)| Some((name, now, earlier.0.get(name)?)));
        pairs
            .filter(|(_, now, then)| now != then)
            .map(|(name, now, then)| format!("{name}: {now} (it was {name}: {then})"))
            .collect()
    }
}

/// The text of a value, or the word for no value.
fn or_none(value: Option<&impl Display>) -> String {
    value.map_or_else(|| NONE.to_string(), ToString::to_string)
}

/// The texts of all values, or the word for no value.
fn listed(values: &[impl Display], separator: &str) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    if texts.is_empty() { NONE.to_string() } else { texts.join(separator) }
}

/// Reads the settings of version 1. Numbers, yes or no, and names with or without numbers are read; a value of another form,
/// such as groups, or an optimizer without a name of its own, is left out, so that it is not compared.
fn of_printed(text: &str) -> BTreeMap<String, String> {
    let fields = fields_of(text);
    let read = |name: &str| -> Option<String> {
        let value = fields.get(name)?;
        let value = match value.strip_prefix("Some(") {
            Some(inner) => inner.strip_suffix(')')?.trim_end_matches(','),
            None if value == "None" => return Some(NONE.to_string()),
            None => value,
        };
        match name {
            "clip_norm" | "clip_value" | "lr" | "warmup" => {
                value.parse::<f64>().ok().map(|it| it.to_string())
            }
            "accumulate" | "batch_size" => value.parse::<usize>().ok().map(|it| it.to_string()),
            "seed" => {
                let inner = value.strip_prefix("Seed(")?.strip_suffix(')')?;
                inner.trim_end_matches(',').parse::<u64>().ok().map(|it| it.to_string())
            }
            "shuffle" => value.parse::<bool>().ok().map(|it| it.to_string()),
            "loss" => read_as::<Loss>(value),
            "reduction" => read_as::<Reduction>(value),
            "class_weights" => read_as::<ClassWeights>(value),
            "optimizer" => read_as::<Optimizer>(value),
            "average" => read_as::<Average>(value),
            "schedule" | "decay_schedule" | "dropout_schedule" => read_as::<ScheduleKind>(value),
            "stop_metric" => read_as::<Metric>(value),
            "scale" => read_as::<FeatureScaling>(value),
            "precision" => read_as::<Precision>(value),
            "keep" => {
                spellings(value).find_map(|it| Some(it.parse::<KeepWeights>().ok()?.name().into()))
            }
            "on_nonfinite" => {
                spellings(value).find_map(|it| Some(it.parse::<OnNonFinite>().ok()?.name().into()))
            }
            "metrics" | "groups" => (value == "[]").then(|| NONE.to_string()),
            _ => None,
        }
    };
    fields.keys().filter_map(|name| Some((name.clone(), read(name)?))).collect()
}

/// The fields of a printed struct, their values without line breaks and indentation.
fn fields_of(text: &str) -> BTreeMap<String, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match line.trim().split_once(": ") {
            Some((name, value)) if indent == 4 => fields.push((name.into(), value.into())),
            _ if indent >= 4 => {
                if let Some((_, value)) = fields.last_mut() {
                    value.push_str(line.trim());
                }
            }
            _ => {}
        }
    }
    fields.into_iter().map(|(name, value)| (name, value.trim_end_matches(',').into())).collect()
}

/// A printed value in the text that its type has now; `None` if the type does not read it.
fn read_as<T: FromStr + Display>(printed: &str) -> Option<String> {
    spellings(printed).find_map(|it| Some(it.parse::<T>().ok()?.to_string()))
}

/// A printed value as options may spell it: `AdamW{beta1: 0.9,}` as `adam-w(beta1=0.9)`, `adam_w(beta1=0.9)` and
/// `adamw(beta1=0.9)`.
fn spellings(printed: &str) -> impl Iterator<Item = String> {
    let (name, rest) = match printed.find([' ', '{', '(']) {
        Some(at) => printed.split_at(at),
        None => (printed, ""),
    };
    let inner = rest.trim().trim_start_matches(['{', '(']).trim_end_matches(['}', ')']);
    let arguments: Vec<String> = inner
        .split(',')
        .map(|part| part.trim().replacen(": ", "=", 1))
        .filter(|part| !part.is_empty())
        .collect();
    let with_hyphens: Vec<String> = arguments.iter().map(|it| hyphenated(it)).collect();
    ["-", "_", ""].into_iter().flat_map(move |between| {
        let name = lowercase(name, between);
        if arguments.is_empty() {
            return vec![name];
        }
        let written = |arguments: &[String]| format!("{name}({})", arguments.join(", "));
        vec![written(&with_hyphens), written(&arguments)]
    })
}

/// `weight_decay=0.01` as `weight-decay=0.01`.
fn hyphenated(argument: &str) -> String {
    match argument.split_once('=') {
        Some((name, value)) => format!("{}={value}", name.replace('_', "-")),
        None => argument.to_string(),
    }
}

/// `CrossEntropy` as `cross-entropy`.
fn lowercase(name: &str, between: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push_str(between);
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    /// Version 1 of the options that `options` returns.
    const PRINTED: &str = include_str!("run_settings/printed.txt");

    fn options() -> TrainOptions {
        TrainOptions {
            loss: "focal(gamma=3)".parse().unwrap(),
            clip_norm: Some(1.0),
            metrics: vec![Metric::Brier],
            batch_size: 8,
            average: Some("ema(decay=0.99)".parse().unwrap()),
            groups: vec!["bias: lr=0.5".parse().unwrap()],
            optimizer: "adamw(weight-decay=0.05)".parse().unwrap(),
            lr: 3e-3,
            schedule: "step(every=10, gamma=0.5)".parse().unwrap(),
            decay_schedule: ScheduleKind::COSINE,
            keep: Some(KeepWeights::Best),
            accumulate: 2,
            seed: Seed(u64::MAX),
            scale: FeatureScaling::None,
            on_nonfinite: OnNonFinite::Skip,
            ..TrainOptions::default()
        }
    }

    #[test]
    fn records_have_fixed_names_and_come_back() {
        let record = RunSettings::of(&options());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, include_str!("run_settings/version_2.json").trim_end());
        assert_eq!(serde_json::from_str::<RunSettings>(&text).unwrap(), record);
        assert_eq!(record.differences(&record), [""; 0]);
        let other = RunSettings::of(&TrainOptions { lr: 0.5, epochs: 7, ..options() });
        assert_eq!(other.differences(&record), ["lr: 0.5 (it was lr: 0.003)"]);
    }

    #[test]
    fn records_of_version_1_are_read() {
        let stored = serde_json::to_string(PRINTED.trim_end()).unwrap();
        let old: RunSettings = serde_json::from_str(&stored).unwrap();
        let now = RunSettings::of(&options());
        assert_eq!(now.differences(&old), [""; 0]);
        // All are read but lists.
        let missing: Vec<_> = now.0.keys().filter(|name| !old.0.contains_key(*name)).collect();
        assert_eq!(missing, ["groups", "metrics"]);
        let other = TrainOptions {
            loss: Loss::CROSS_ENTROPY,
            clip_norm: None,
            average: None,
            optimizer: "adamw(weight-decay=0.01)".parse().unwrap(),
            schedule: ScheduleKind::Constant,
            batch_size: 7,
            seed: Seed(1),
            shuffle: false,
            ..options()
        };
        let differ = RunSettings::of(&other).differences(&old);
        for name in [
            "average",
            "batch_size",
            "clip_norm",
            "loss",
            "optimizer",
            "schedule",
            "seed",
            "shuffle",
        ] {
            assert!(differ.iter().any(|it| it.starts_with(&format!("{name}: "))), "{differ:?}");
        }
        assert_eq!(differ.len(), 8, "{differ:?}");
    }

    #[test]
    fn records_of_later_versions_are_not_compared() {
        let later = r#"{"version":3,"values":{"lr":"0.1"}}"#;
        let later: RunSettings = serde_json::from_str(later).unwrap();
        assert_eq!(RunSettings::of(&options()).differences(&later), [""; 0]);
    }
}
