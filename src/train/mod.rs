//! Training: epochs over batches, reported as a stream of events.
//!
//! In: data, a model, options, a device. Out: [`Event`]s and a [`TrainedModel`].
//! Absent on purpose: terminals, files, wgpu.

mod baseline;
mod calibration;
mod criterion;
mod embedding_indices;
mod ensemble;
mod event;
pub mod explain;
mod input_tables;
mod loss_scale;
mod member_times;
mod members;
mod memory;
pub mod metrics;
mod mistakes;
mod options;
mod output_table;
mod outputs;
mod param_io;
mod predict;
mod prediction_times;
mod predictor;
mod profile;
mod recipe;
mod run;
mod schedule;
#[cfg(feature = "cli")]
mod selection;
mod start_values;
mod step_factors;
mod target_scaling;
mod workload;

#[doc(inline)]
pub use crate::device::{DeviceKind, Tune, Tuning};
#[doc(inline)]
pub use crate::graph::{Average, Group, Loss, Optimizer, Reduction};
#[doc(inline)]
pub use crate::plan::Precision;
#[doc(inline)]
pub use crate::random::Seed;

pub use baseline::Baseline;
pub use calibration::Calibration;
pub use criterion::{ClassWeights, Criterion};
#[cfg(feature = "cli")]
pub(crate) use embedding_indices::check_dataset;
pub use ensemble::Ensemble;
pub use event::{EpochStats, Event, Progress, RunInfo, Summary, Warning};
pub use input_tables::with_input_tables;
pub use member_times::MemberMeasurement;
pub use members::{Member, train_members};
pub use memory::memory_planner::{Limit, MemoryPlanner, Streaming};
pub use metrics::{Evaluation, Metric, Metrics, StreamingEvaluator};
pub use options::{KeepWeights, OnNonFinite, TrainOptions, usual_batch_size};
pub use output_table::OutputTable;
pub use outputs::Predictions;
pub use predict::TrainedModel;
pub use prediction_times::PredictionTime;
pub use predictor::Predictor;
pub use profile::{Clock, EpochUse, KernelCost, Profile};
pub use recipe::Recipe;
pub use run::by_hand::StepStats;
pub use run::checkpoint::Checkpoint;
pub(crate) use run::checkpoint::CheckpointHeader;
pub use run::early_stopping::EarlyStop;
pub use run::fit::Fit;
pub use run::trainer::Trainer;
pub use schedule::{Plateau, Schedule, ScheduleKind, ScheduledFactors, Schedules};
#[cfg(feature = "cli")]
pub(crate) use selection::select_members;
pub use workload::{Measurement, WORKLOADS, Workload};
