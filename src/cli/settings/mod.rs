//! Settings of a run: declared, read, checked, and written down.
//!
//! In: options as typed, a file. Out: [`RunConfig`], the text of `config.toml`.
//! Absent on purpose: what is done with them.

mod config;
mod config_file;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod network;
mod option;
mod options;
mod paths;
mod raw_settings;
mod values;

pub(crate) use config::{Checkpoints, RunConfig, Valid, suits};
pub(crate) use config_file::config_text;
#[cfg(fuzzing)]
pub use fuzzing::check_settings;
pub(crate) use option::Settings;
pub(crate) use option::{PlanSettings, ResumeSettings, TrainSettings};
pub(crate) use paths::path_text;
pub(crate) use raw_settings::RawSettings;
