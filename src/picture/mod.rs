//! Pictures as SVG: one function a picture, from numbers and names to a [`Picture`].
//!
//! In: numbers and names. Out: SVG, light or dark as the reader prefers, without scripts or parts from elsewhere.
//! Absent on purpose: networks, tables, files, devices.
//!
//! ```
//! use wgrad::picture::{Line, by_epoch};
//!
//! let train = Line::new("train", vec![(1.0, 0.9), (2.0, 0.4), (3.0, 0.3)]);
//! let picture = by_epoch(("loss", "Loss"), &[train], Some(3));
//! assert!(picture.svg().contains("epoch 3 kept"));
//! ```
//!
//! The SVG is written here and not by a library for plots: those that were compared have fixed colours, so that a file is either
//! light or dark, and put labels on one another; and the widest of them would double the program. `docs/pictures.md` has the figures.

mod classes;
mod columns;
mod epochs;
mod frame;
mod neurons;
mod numbers;
mod plane;
mod scale;
mod svg;
mod trials;

pub use classes::{
    CalibrationBin, ClassesOrLabels, RankCurve, calibration, class_figures, confusion,
    precision_recall, roc,
};
pub use columns::{
    Dependence, DependenceValues, Importance, LayerBox, MapPoint, dependence, embedding_map,
    importance, network, small_histogram,
};
pub use epochs::{Line, NetworkLine, by_epoch, by_epoch_of_networks, learning_rate};
pub use neurons::{NeuronLayer, neurons};
pub use numbers::{
    Intervals, NumberFigures, intervals, predicted_actual, quantile_coverage, residuals,
};
pub use plane::{Band, ClassGrid, PlaneTexts, class_regions, curves};
pub use svg::{Picture, STYLE, escape};
pub use trials::{TrialAxis, TrialPoint, TrialValues, parallel_coordinates, rates_by_loss, trials};
