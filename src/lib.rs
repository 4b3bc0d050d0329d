//! Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.
//!
//! ```
//! use wgrad::prelude::*;
//!
//! let data = wgrad::data::synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
//! let model = Sequential::new().dense(16).tanh().dense(1);
//! let options = TrainOptions { loss: Loss::Mse, lr: 1e-2, epochs: 40, ..TrainOptions::default() };
//! let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
//! let summary = trainer.run()?;
//! assert!(summary.metrics().unwrap().r2 > Some(0.9));
//!
//! let predictor = Predictor::new(trainer.trained())?;
//! println!("sin(1) is about {:.3}", predictor.predict_array(&[1.0])?[[0, 0]]);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! # Three ways to train
//!
//! * [`Trainer::run`] trains to the end and returns a [`Summary`](train::Summary).
//! * [`Trainer::fit`] is an iterator of [`Event`]s: take them to show progress, to write a
//!   [`Checkpoint`](train::Checkpoint), or to stop.
//! * [`Trainer::step`] and [`Trainer::step_on`] do one step, on the next batch of the
//!   table or on one of your own: set the learning rate before it, look at [`Trainer::gradients`] after it.
//!
//! A longer text for beginners, with commands and pictures, is the [guide](https://github.com/wgrad/wgrad/blob/main/docs/guide/README.md); its page on
//! [the library](https://github.com/wgrad/wgrad/blob/main/docs/guide/10-library.md) comes first.
//!
//! # Modules
//!
//! | module | for |
//! |---|---|
//! | [`prelude`] | all names that most programs need, at once |
//! | [`data`] | tables from CSV files and arrays, targets, scaling, splits |
//! | [`model`] | layers, activations, initial weights, parameters by name |
//! | [`train`] | options, losses, optimizers, schedules, training, metrics, predictions |
//! | [`export`] | models, checkpoints and weights as files; ONNX |
//! | `picture` | pictures as SVG, from numbers and names (feature `pictures`) |
//! | [`report`] | progress on a terminal, JSON lines, tables of figures |
//! | [`error`] | the one error type |
//! | [`internals`] | the workshop: expressions, graphs, plans, devices; for those who change this crate or add a device |
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `gpu` (default) | training and predictions on GPUs, through wgpu; without it, on the CPU alone |
//! | `pictures` (default) | the module `picture`; no further crates |
//! | `onnx` (default) | [`export::write_onnx`] |
//! | `web` | training in a page, through WebGPU, for the target `wasm32-unknown-unknown`: [`docs/browser.md`](https://github.com/wgrad/wgrad/blob/main/docs/browser.md) |
//! | `cli` (default) | the program `wgrad`; leave it out in a library: `default-features = false, features = ["gpu"]` |
//!
//! # Errors
//!
//! Every fallible function returns [`Error`], whose variants and fields you can match: [`Error::Setting`] names the field that is
//! wrong, [`Error::Table`] has file, line, row and column. Its text says what was expected, what was found and what to do.
//! Nothing that you pass, and no file, causes a panic.
//!
//! # From the program's options to fields
//!
//! Options of `wgrad train` are fields of [`TrainOptions`] with `_` for `-`, such as `batch_size` for
//! `--batch-size`, but for these:
//!
//! | option | here |
//! |---|---|
//! | `--target`, `--task` | [`Target`]: `Target::class("digit")`, `Target::number("price")`, `Target::labels("up,hot")` |
//! | `--weight` | [`Dataset::from_csv_weighted`], [`Dataset::with_weights`] |
//! | `--delimiter`, `--decimal`, `--header`, `--group`, `--split-column`, `--host-memory`, `--table-cache` | [`data::TableOptions`] for [`Dataset::load`] |
//! | `--positive` | [`Dataset::with_positive`] |
//! | `--valid` | [`Dataset::split`], [`Dataset::split_last`], [`Dataset::split_by_group`], [`Dataset::split_by_part`], [`Split::with_valid`] |
//! | `--hidden`, `--activation`, `--norm`, `--dropout`, `--layers` | [`Sequential`]: `Sequential::new().dense(64).relu()`, or its text: `"dense(64), relu".parse()` |
//! | `--init` | [`Init`] of each layer; [`Trainer::set_params`] with [`export::read_weights`] for a file |
//! | `--weight-decay`, `--momentum`, `--nesterov`, `--beta1`, `--beta2`, `--eps` | fields of [`Optimizer`]: `"adamw(weight-decay=0.05)".parse()` |
//! | `--no-decay`, `--freeze` | [`TrainOptions::groups`]: `"bias: decay=0".parse()` |
//! | `--device` | [`DeviceKind`] |
//! | `--tune`, `--tune-ms` | [`TrainOptions::tuning`] |
//! | `--out` | [`Trainer::save`], [`export::write_model`] |
//! | `--checkpoint-minutes`, `--keep-checkpoints` | [`Fit::checkpoint`](train::Fit::checkpoint) and [`export::write_checkpoint`], when you like |
//!
//! Losses, optimizers, schedules, activations, layers and metrics read the texts that the options take: `"focal(gamma=3)".parse()`.

pub mod error;

#[doc(hidden)]
pub mod shape;
// An empty line after each keeps the order of the road, not of the alphabet.

#[doc(hidden)]
pub mod random;

#[doc(hidden)]
pub mod checksum;

mod host;

mod files;

#[doc(hidden)]
pub mod vocabulary;

#[cfg(feature = "pictures")]
pub mod picture;

#[doc(hidden)]
pub mod expr;

pub mod data;

pub mod model;

#[doc(hidden)]
pub mod graph;

#[doc(hidden)]
pub mod plan;

pub mod ranks;

#[doc(hidden)]
pub mod device;

pub mod train;

pub mod export;

pub mod report;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;

/// The workshop: what this crate is made of, for those who change it, add a device or look at a plan. Programs that train and predict
/// need none of it, and between versions it changes more than all else. Each module is also at the crate's root: `wgrad::plan`.
pub mod internals {
    #[doc(inline)]
    pub use crate::{checksum, device, expr, graph, plan, random, shape, vocabulary};
}

/// The names that most programs need: `use wgrad::prelude::*;`.
pub mod prelude {
    pub use crate::data::{Dataset, FeatureScaling, Features, Split, Target, TargetKind, Targets};
    pub use crate::device::DeviceKind;
    pub use crate::error::{Error, Result};
    pub use crate::export::{
        read_checkpoint, read_ensemble, read_model, write_checkpoint, write_ensemble, write_model,
    };
    pub use crate::graph::{Loss, Optimizer};
    pub use crate::model::{Activation, CustomLayer, Init, Params, Sequential};
    pub use crate::random::Seed;
    pub use crate::report::Console;
    pub use crate::train::{
        Ensemble, Event, Metric, Metrics, Predictions, Predictor, ScheduleKind, Summary,
        TrainOptions, TrainedModel, Trainer,
    };
}

#[doc(no_inline)]
pub use data::{Dataset, FeatureScaling, Split, Target, Targets};
#[doc(no_inline)]
pub use device::DeviceKind;
#[doc(no_inline)]
pub use error::{Error, Result};
#[cfg(feature = "onnx")]
#[doc(no_inline)]
pub use export::write_onnx;
#[doc(no_inline)]
pub use export::{read_model, read_weights, write_model};
#[doc(no_inline)]
pub use graph::{Loss, Optimizer};
#[doc(no_inline)]
pub use model::{Activation, Init, Params, Sequential};
#[doc(no_inline)]
pub use random::Seed;
#[doc(no_inline)]
pub use report::Console;
#[doc(no_inline)]
pub use train::{Event, Metrics, Predictor, TrainOptions, TrainedModel, Trainer};

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The examples of the documents, run as tests.
#[cfg(doctest)]
pub mod documents {
    #[doc = include_str!("../docs/models.md")]
    pub struct Models;
    #[doc = include_str!("../docs/several.md")]
    pub struct Several;
    #[doc = include_str!("../docs/guide/08-predict-serve-export.md")]
    pub struct GuideExport;
    #[doc = include_str!("../docs/guide/10-library.md")]
    pub struct GuideLibrary;
    #[doc = include_str!("../docs/guide/11-own-parts.md")]
    pub struct GuideOwnParts;
    #[doc = include_str!("../docs/course/01-xor.md")]
    pub struct CourseXor;
    #[doc = include_str!("../docs/course/03-image.md")]
    pub struct CourseImage;
    #[doc = include_str!("../docs/course/09-server.md")]
    pub struct CourseServer;
}
