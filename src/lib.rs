//! Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.
//!
//! Modules in reading order; each may use those before it, never those after it:
//! [`error`], [`shape`], [`random`], [`data`], [`model`], [`graph`], [`plan`], [`device`], [`train`],
//! [`export`], [`report`], `cli`.

pub mod error;
pub mod shape;
// Kept in the order of the road, not of the alphabet.
pub mod random;

pub mod data;

pub mod model;

pub mod graph;

pub mod plan;

pub mod device;

pub mod train;

pub mod export;

pub mod report;

#[cfg(feature = "cli")]
pub mod cli;

pub use data::{Dataset, Scale, Split, Target, Targets};
pub use device::DeviceKind;
pub use error::{Error, Result};
pub use export::{read_model, read_weights, write_model};
pub use graph::{Loss, Optimizer};
pub use model::{Activation, Init, Params, Sequential};
pub use random::Seed;
pub use report::Console;
pub use train::{Event, Metrics, Predictor, TrainOptions, TrainedModel, Trainer};
