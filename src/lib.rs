//! Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.
//!
//! ```
//! use wgrad::{DeviceKind, Event, Loss, Seed, Sequential, TrainOptions, Trainer, data::synth};
//!
//! let data = synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
//! let model = Sequential::new().dense(16).tanh().dense(1);
//! let options = TrainOptions { loss: Loss::Mse, lr: 1e-2, epochs: 40, ..TrainOptions::default() };
//! let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
//! for event in trainer.fit() {
//!     if let Event::Epoch(stats) = event? {
//!         println!("epoch {}: loss {:.4}", stats.epoch, stats.train_loss);
//!     }
//! }
//! assert!(trainer.evaluate()?.r2 > Some(0.9));
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! Modules in reading order; each may use those before it, never those after it:
//! [`error`], [`shape`], [`random`], [`vocabulary`], [`expr`], [`data`], [`model`], [`graph`], [`plan`], [`device`], [`train`],
//! [`export`], [`report`], and with the feature `cli` the program's `cli`.

pub mod error;
pub mod shape;
// An empty line after each keeps the order of the road, not of the alphabet.

pub mod random;

pub mod checksum;

pub mod vocabulary;

pub mod expr;

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
#[cfg(feature = "onnx")]
pub use export::write_onnx;
pub use export::{read_model, read_weights, write_model};
pub use graph::{Loss, Optimizer};
pub use model::{Activation, Init, Params, Sequential};
pub use random::Seed;
pub use report::Console;
pub use train::{Event, Metrics, Predictor, Runtime, TrainOptions, TrainedModel, Trainer};

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
