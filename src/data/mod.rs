//! From files and arrays to a [`Dataset`].
//!
//! In: tables as text or arrays, slices. Out: finite features row by row, as exact as the table has them, targets, what scaling was done to
//! them, and the order in which an epoch visits the rows.
//! Absent on purpose: models, devices, and any guess that a user cannot see; whatever a table
//! leaves unclear is an error that names the line and the column.

mod arrange;
mod arrays;
mod batches;
mod cell;
mod csv;
mod external_sort;
mod features;
mod header;
mod numbers;
mod open;
mod positive;
mod preprocess;
mod quick_number;
mod remarks;
mod split;
pub mod synth;
mod table;
mod target;

pub use self::arrange::Arranged;
pub use self::batches::{Batches, epoch_order, steps_per_epoch};
pub use self::csv::{
    DecimalMark, FeatureReader, LabelledRows, LoadedTable, PartReader, RowChunk, TableFormat,
    TableOptions, column_names,
};
pub(crate) use self::external_sort::{SharedTempFile, Sorter};
pub use self::features::Features;
pub(crate) use self::header::list;
pub use self::numbers::Numbers;
pub use self::positive::Positive;
pub use self::preprocess::{FeatureScaling, Preprocessing};
pub use self::remarks::Remarks;
pub use self::split::{RowPart, Split, SplitColumns};
pub use self::table::{BinaryColumn, Dataset, Schema, Target, TargetKind, Targets};
