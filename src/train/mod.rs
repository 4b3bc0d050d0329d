//! Training: epochs over batches, told as a stream of events.
//!
//! In: data, a model, options, a device. Out: [`Event`]s and a [`TrainedModel`].
//! Absent on purpose: terminals, files, wgpu.

mod baseline;
mod by_hand;
mod checkpoint;
mod criterion;
mod event;
mod feed;
mod fit;
mod fitted;
mod ids;
mod losses;
pub mod metrics;
mod mistakes;
mod options;
mod outputs;
mod predict;
mod predictor;
mod profile;
mod recover;
mod room;
mod run_settings;
mod scaling;
mod schedule;
mod stream;
mod target_scaling;
mod trainer;
mod watch;
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
pub use by_hand::StepStats;
pub(crate) use checkpoint::About;
pub use checkpoint::Checkpoint;
pub use criterion::{ClassWeights, Criterion};
pub use event::{EpochStats, Event, Progress, RunInfo, Summary, Warning};
pub use fit::Fit;
#[cfg(feature = "cli")]
pub(crate) use ids::check_dataset;
pub use metrics::{Evaluation, Metric, Metrics, StreamingEvaluator};
pub use options::{Keep, OnNonFinite, TrainOptions};
pub use outputs::Predictions;
pub use predict::TrainedModel;
pub use predictor::Predictor;
pub use profile::{Clock, EpochUse, KernelCost, Profile};
pub use room::{Limit, Room, Streaming};
pub use schedule::{Factors, Plateau, Schedule, ScheduleKind, Schedules};
pub use trainer::Trainer;
pub use watch::Stopped;
pub use workload::{Measurement, WORKLOADS, Workload};
