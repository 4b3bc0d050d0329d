//! What of a run lies where: whether the training table lies on the device or streams in blocks, and how large the parts of a batch
//! are.
//!
//! In: model, data, options, a device. Out: a loaded plan, the place of the table, blocks of rows.
//! Absent on purpose: steps, which `run` does.

pub(super) mod block_reader;
pub(super) mod block_upload;
pub(super) mod load_plan;
pub(super) mod memory_planner;
pub(super) mod training_table;
