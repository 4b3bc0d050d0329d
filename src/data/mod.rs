//! From files and arrays to a [`Dataset`].
//!
//! In: CSV tables, slices. Out: finite f32 features row by row, targets, what scaling was done to
//! them, and the order in which an epoch visits the rows.
//! Absent on purpose: models, devices, and any guess that a user cannot see; whatever a table
//! leaves unclear is an error that names the line and the column.

mod batches;
mod cell;
mod csv;
mod header;
mod prepare;
mod sorted;
mod split;
pub mod synth;
mod table;
mod target;

pub use self::batches::{Batches, epoch_order, steps_per_epoch};
pub use self::csv::{Chunk, FeatureReader, Part, PartReader, column_names};
pub(crate) use self::header::list;
pub use self::prepare::{Preparation, Scale};
pub(crate) use self::sorted::{Scratch, Sorter};
pub use self::split::Split;
pub use self::table::{Dataset, Label, Schema, Target, TargetKind, Targets};
