//! Memory of a run: the place of the training table, on the device or in blocks that stream, and the size of the parts of a batch.
//!
//! In: model, data, options, a device. Out: a loaded plan, the place of the table, blocks of rows.
//! Absent on purpose: steps, which `run` does.

pub(super) mod block_reader;
pub(super) mod block_upload;
pub(super) mod load_plan;
pub(super) mod memory_planner;
pub(super) mod training_table;
