//! Tables that a trained network predicts or is judged by, a few thousand rows at a time.
//!
//! In: a run and a table of any length. Out: predictions, figures.
//! Absent on purpose: training.

mod calibrate;
mod evaluate;
mod info;
mod input;
mod inspect;
mod odd_rows;
mod predict;
mod prediction_writer;
mod prefetch;
mod reading;
mod row_sample;
mod some_rows;
mod training_rows;

pub(super) use calibrate::calibrate;
pub(super) use evaluate::evaluate;
pub(super) use info::info;
#[cfg(feature = "pictures")]
pub(super) use input::TableInput;
pub(super) use inspect::inspect;
pub(super) use predict::predict;
pub(super) use prediction_writer::{CellStyle, PredictionColumns, PredictionWriter};
pub(super) use reading::with_bar;
#[cfg(feature = "pictures")]
pub(super) use row_sample::sample_of;
#[cfg(feature = "pictures")]
pub(super) use some_rows::{SomeRows, some_rows, validation_rows};
#[cfg(feature = "pictures")]
pub(super) use training_rows::told_training_rows;
pub(super) use training_rows::{FileDigest, RowDigest, file_checksum};

/// Rows that are read, predicted and written at once, if these are not very long.
pub(super) const ROWS: usize = 4096;
