//! Settings of a run: declared, read, checked, and written down.
//!
//! In: options as typed, a file. Out: [`RunConfig`], the text of `config.toml`.
//! Absent on purpose: the use of the settings.

mod arguments;
mod config;
mod config_file;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod name_list;
mod network;
mod option;
mod options;
mod paths;
mod raw_settings;
mod resolve;
mod sources;
mod values;

pub(crate) use arguments::{
    FindLrSettings, PlanSettings, ResumeSettings, Settings, SweepSettings, TrainSettings,
};
pub(crate) use config::{CheckpointSettings, FoldedTable, RunConfig, ValidSource, check_precision};
pub(crate) use config_file::config_text;
#[cfg(fuzzing)]
pub use fuzzing::check_settings;
pub(crate) use paths::path_text;
pub(crate) use raw_settings::{CHECKPOINT, text_of};
pub(crate) use sources::{option_key, read_table};
pub(crate) use values::{column_options, table_format};

use crate::error::Result;

/// Reads the settings of a command, with those of the file that it names.
pub(crate) fn run_config(settings: &Settings) -> Result<RunConfig> {
    resolve::resolve(sources::merge(settings)?)
}
