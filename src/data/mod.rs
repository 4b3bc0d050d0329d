//! From files and arrays to a [`Dataset`].
//!
//! In: CSV tables, slices. Out: finite features row by row, as exact as the table has them, targets, what scaling was done to
//! them, and the order in which an epoch visits the rows.
//! Absent on purpose: models, devices, and any guess that a user cannot see; whatever a table
//! leaves unclear is an error that names the line and the column.

mod arrange;
mod batches;
mod cell;
mod csv;
mod features;
mod header;
mod numbers;
mod positive;
mod prepare;
mod remarks;
mod sorted;
mod split;
pub mod synth;
mod table;
mod target;

pub use self::arrange::Arranged;
pub use self::batches::{Batches, epoch_order, steps_per_epoch};
pub use self::csv::{Chunk, FeatureReader, Part, PartReader, column_names};
pub use self::features::Features;
pub(crate) use self::header::list;
pub use self::numbers::Numbers;
pub use self::positive::Positive;
pub use self::prepare::{Preparation, Scale};
pub use self::remarks::Remarks;
pub(crate) use self::sorted::{Scratch, Sorter};
pub use self::split::Split;
pub use self::table::{Dataset, Label, Schema, Target, TargetKind, Targets};
