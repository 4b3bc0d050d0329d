//! The states of a trainer and of a run, each with its data.

use std::sync::Arc;

use super::checkpoint::Checkpoint;
use crate::error::Result;
use crate::graph::OptimizerSchedule;
use crate::model::Params;
use crate::train::memory::block_reader::RowBlock;

/// The state of a trainer between two calls.
pub(in crate::train) enum RunState {
    /// Nothing has been trained yet: the optimizer's state on the device is zero.
    Fresh,
    /// The next run continues from the checkpoint.
    Resuming(Arc<Checkpoint>),
    /// A run is under way, or was left before its end.
    Running(RunningState),
    /// The caller drives the steps.
    ByHand(Box<ByHand>),
    /// A run has ended, or its weights were replaced: its optimizer state is still on the device.
    Ended,
}

/// The part of a run under way that outlives the iterator of its events.
#[derive(Default)]
pub(in crate::train) struct RunningState {
    /// True if the device has steps that no event has reported: the first ones of an epoch, submitted while the host was
    /// still busy with the end of the epoch before.
    pub(in crate::train) ahead: bool,
    /// The weights at the end of the last epoch, if they are not the kept ones.
    pub(in crate::train) present: Option<Params>,
    /// The epoch that has begun since running statistics were last measured.
    pub(in crate::train) underway: Option<Underway>,
}

/// State of training by hand.
pub(in crate::train) struct ByHand {
    pub(super) lr: f64,
    /// Optimizer numbers of each update, computed in the order of the updates.
    pub(super) pace: OptimizerSchedule,
    /// Index of the epoch, from 0.
    pub(super) epoch: u32,
    /// Number of steps of the epoch that are done.
    pub(super) step: usize,
    /// Number of steps that are done.
    pub(super) done: u64,
    /// Order in which the epoch visits the table's rows.
    pub(super) order: Vec<u32>,
    /// Factor that removes the loss scale from the last step's gradients; `None` before the first step.
    pub(super) unscale: Option<f32>,
    /// Rows on their way to the device, if the table is not there.
    pub(super) block: RowBlock,
    /// The epoch that has begun since running statistics were last measured.
    pub(in crate::train) underway: Option<Underway>,
}

/// An epoch under way.
#[derive(Clone, Copy)]
pub(in crate::train) struct Underway {
    /// Index of the epoch, from 0.
    pub(in crate::train) epoch: u32,
    /// Factor of the dropout rates.
    pub(in crate::train) dropout: f64,
}

impl RunState {
    /// Returns the run under way, or begins one if there is none.
    pub(in crate::train) fn running(&mut self) -> &mut RunningState {
        if !matches!(self, Self::Running(_)) {
            *self = Self::Running(RunningState::default());
        }
        match self {
            Self::Running(running) => running,
            _ => unreachable!("it was made one that runs"),
        }
    }

    /// True if the device has steps that no event has reported.
    pub(in crate::train) fn is_ahead(&self) -> bool {
        matches!(self, Self::Running(RunningState { ahead: true, .. }))
    }

    /// Takes the epoch under way, so that it is measured once.
    pub(in crate::train) fn take_underway(&mut self) -> Option<Underway> {
        match self {
            Self::Running(running) => running.underway.take(),
            Self::ByHand(hand) => hand.underway.take(),
            Self::Fresh | Self::Resuming(_) | Self::Ended => None,
        }
    }
}

/// The stage of a run under way.
pub(in crate::train) enum Stage {
    /// The device is not in the position of the next step: it continues from the checkpoint, or begins anew without one.
    Beginning(Option<Arc<Checkpoint>>),
    /// The device is in the position of the next step.
    Standing,
    /// The first steps of the next epoch were submitted ahead, with this outcome.
    Ahead(Result<()>),
    /// The run is over.
    Over,
}

/// Checkpoints that a trainer holds in memory.
#[derive(Default)]
pub(in crate::train) struct HeldCheckpoints {
    /// The newest one.
    pub(in crate::train) newest: Option<Arc<Checkpoint>>,
    /// The checkpoint of the epoch that ended last, if it is the best one.
    pub(in crate::train) best: Option<Arc<Checkpoint>>,
    /// Where the run began, if it may go back that far.
    pub(in crate::train) first: Option<Arc<Checkpoint>>,
}
