//! The devices there are: listed, checked and timed.
//!
//! In: names of devices. Out: lines, tables, verdicts.
//! Absent on purpose: runs.

mod adapters;
mod bench;
mod profile;
mod verify;

pub(super) use adapters::adapters;
pub(super) use bench::bench;
pub(super) use verify::verify;
