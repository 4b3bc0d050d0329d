//! Training from a table to a run folder: begun, gone on with, or only planned.
//!
//! In: a run's settings. Out: a run folder, lines and events.
//! Absent on purpose: settings, and tables to predict.

mod checkpoint_files;
mod checkpoint_writer;
mod find_lr;
mod folder;
mod folds;
mod members;
mod out_of_fold;
mod parts;
mod parts_report;
mod plan;
mod ranks;
mod ready_run;
mod resume;
mod shared_rows;
mod summary;
mod sweep;
mod sweep_merge;
mod sweep_results;
mod sweep_shard;
mod sweep_space;
mod sweep_trials;
mod time_budget;
mod train;
mod tune;
mod tune_end;
mod verbosity;
mod verdict;

pub(super) use find_lr::find_lr;
pub(super) use plan::plan;
pub(super) use ranks::leave as leave_ranks;
pub use ready_run::ReadyRun;
pub(super) use ready_run::constant_target;
pub(super) use resume::resume;
pub(super) use sweep::{Search, sweep};
pub(super) use train::train;
pub(super) use tune::tune;
