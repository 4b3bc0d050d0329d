//! The place of the rows that a run trains on.

use super::block_reader::StreamedTable;
use crate::data::Dataset;

/// The place of the training table.
pub(in crate::train) enum TrainingTable {
    /// On the device; with a copy on the host if the device may be lost.
    Resident(Option<Box<Dataset>>),
    /// On the host, from which blocks of rows are uploaded.
    Streamed(Box<StreamedTable>),
    /// Not available any more: the caller's batches have its place on the device.
    Replaced,
}

impl TrainingTable {
    /// Returns the table, if it streams.
    pub(in crate::train) fn streamed(&self) -> Option<&StreamedTable> {
        match self {
            Self::Streamed(table) => Some(table),
            Self::Resident(_) | Self::Replaced => None,
        }
    }

    /// Returns the host's copy of a table on the device.
    pub(in crate::train) fn copy(&self) -> Option<&Dataset> {
        match self {
            Self::Resident(copy) => copy.as_deref(),
            Self::Streamed(_) | Self::Replaced => None,
        }
    }
}
