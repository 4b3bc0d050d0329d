//! `config.toml`: the settings as resolved, to be used again, and a record of what ran.
//!
//! Absent on purpose: the time of day, so that the same run leaves the same file; single settings, which `options.rs` declares.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::config::RunConfig;
use super::options::OPTIONS;
use super::recipes::TakenRecipe;
use super::sources::RECORD;
use crate::error::{Error, Result};
use crate::train::{RunInfo, TrainOptions};

/// The file: each setting that has a value, in the order of the options, then the record.
struct ConfigFile<'a> {
    run: &'a RunConfig,
    record: Record<'a>,
}

impl Serialize for ConfigFile<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut file = to.serialize_map(None)?;
        for row in OPTIONS {
            if let Some(shown) = (row.show)(self.run) {
                file.serialize_entry(row.key, &shown)?;
            }
        }
        file.serialize_entry(RECORD, &self.record)?;
        file.end()
    }
}

/// Program, device and kernels of a run. People read it, `--config` ignores it.
#[derive(Serialize)]
struct Record<'a> {
    created_by: &'a str,
    device: &'a str,
    kind: &'a str,
    backend: &'a str,
    driver: &'a str,
    reason: &'a str,
    variants: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

/// Returns the text of a run's `config.toml`.
pub(crate) fn config_text(
    config: &RunConfig,
    options: &TrainOptions,
    info: &RunInfo,
) -> Result<String> {
    let record = Record {
        created_by: concat!("wgrad ", env!("CARGO_PKG_VERSION")),
        device: &info.device.name,
        kind: &info.device.kind,
        backend: &info.device.backend,
        driver: &info.device.driver,
        reason: &info.reason,
        variants: &info.variants,
        recipe: config.recipe().map(TakenRecipe::name),
        data: info.streaming.map(|streaming| streaming.to_string()),
    };
    let file = ConfigFile { run: &config.with_options(options), record };
    toml::to_string(&file).map_err(|error| Error::setting("config.toml", error.to_string()))
}
