//! Training: epochs over batches, told as a stream of events.
//!
//! In: data, a model, options, a device. Out: [`Event`]s and a [`TrainedModel`].
//! Absent on purpose: terminals, files, wgpu.

mod baseline;
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
mod predict;
mod profile;
mod recover;
mod room;
mod run_settings;
mod runtime;
mod scaling;
mod schedule;
mod stream;
mod target_scaling;
mod trainer;
mod watch;
mod workload;

pub use baseline::Baseline;
pub(crate) use checkpoint::About;
pub use checkpoint::Checkpoint;
pub use criterion::{ClassWeights, Criterion};
pub use event::{EpochStats, Event, Progress, RunInfo, Summary, Warning};
pub use fit::Fit;
#[cfg(feature = "cli")]
pub(crate) use ids::check_dataset;
pub use metrics::{Assessment, Evaluation, Metric, Metrics};
pub use options::{Keep, OnNonFinite, TrainOptions};
pub use predict::{Predictions, Predictor, TrainedModel};
pub use profile::{Clock, EpochUse, KernelCost, Profile};
pub use room::{Limit, Room, Streaming};
pub use runtime::Runtime;
pub use schedule::{Factors, Plateau, Schedule, ScheduleKind, Schedules};
pub use trainer::Trainer;
pub use watch::Stopped;
pub use workload::{Measurement, WORKLOADS, Workload};
