//! A run from its first step to its end: the trainer, the loop over epochs, steps by hand, checkpoints and going on from them.
//!
//! In: a loaded plan, options. Out: events, kept weights, checkpoints.
//! Absent on purpose: where rows lie, which `memory` decides; figures, which `metrics` computes.

pub(super) mod by_hand;
pub(super) mod checkpoint;
pub(super) mod early_stopping;
pub(super) mod fit;
pub(super) mod loss_average;
mod recovery;
mod resume;
mod run_settings;
mod state;
pub(super) mod trainer;
