//! Settings of a run: declared, read, checked, and written down.
//!
//! In: options as typed, a file. Out: [`RunConfig`], the text of `config.toml`.
//! Absent on purpose: the use of the settings.

mod arguments;
mod config;
mod config_file;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod in_memory;
mod init_network;
mod network;
mod option;
mod options;
mod paths;
mod raw_settings;
mod recipes;
mod resolve;
mod sources;
mod values;

pub(crate) use arguments::{
    FindLrSettings, PlanSettings, ResumeSettings, Settings, SweepSettings, TrainSettings,
};
pub(crate) use config::{
    CheckpointSettings, FoldedTable, PreparedTable, RunConfig, ValidSource, check_precision,
};
pub(crate) use config_file::config_text;
#[cfg(fuzzing)]
pub use fuzzing::check_settings;
pub(crate) use in_memory::{config_of, option_helps};
pub(crate) use network::OF_PLAIN;
pub(crate) use paths::{path_of, path_text};
pub(crate) use raw_settings::{CHECKPOINT, text_of};
pub(crate) use recipes::TargetKinds;
pub(crate) use resolve::all_layers;
pub(crate) use sources::{OF_OPTIMIZER, option_key, read_table};
pub(crate) use values::{column_options, seconds_of, table_format};

use crate::error::Result;

/// Reads the settings of a command, with those of the file that it names.
pub(crate) fn run_config(settings: &Settings) -> Result<RunConfig> {
    run_config_knowing(settings, &mut TargetKinds::default())
}

/// As [`run_config`], with kinds of targets that are known, to which it adds those that it finds.
pub(crate) fn run_config_knowing(
    settings: &Settings,
    known: &mut TargetKinds,
) -> Result<RunConfig> {
    let given = recipes::by_default(sources::merge(settings)?, known);
    let given = init_network::with_network(given);
    resolve::resolve(recipes::with_recipe(given, known)?)
}
