//! Plans with what the host writes and reads in them: of training, and of prediction alone.
//!
//! Devices run the [`Plan`] inside, and know nothing of ports.

use std::fmt;
use std::ops::Deref;

use super::{Plan, Slot};

/// The slots of a training plan that the host writes and reads.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainPorts {
    /// Parameters, the whole arena.
    pub params: Slot,
    /// Their copy in half precision, written by each update and by whoever writes the parameters.
    pub half_params: Option<Slot>,
    /// The loss scale and what belongs to it, as [`super::LossScaler`] says; in single precision where steps may be skipped.
    pub scaling: Option<Slot>,
    /// Gradients, the whole arena.
    pub gradients: Slot,
    /// Optimizer state, one arena each.
    pub states: Vec<Slot>,
    /// Gradients of the steps since the weights last moved, where several are added up.
    pub gathered: Option<Slot>,
    /// The weights that validation and saved models take, where they are not the parameters themselves. Whoever writes
    /// the parameters writes these too.
    pub averaged: Option<Slot>,
    /// Training features `[rows, columns]`.
    pub train_x: Slot,
    /// Training targets `[rows]` or `[rows, columns]`.
    pub train_y: Slot,
    /// Weight of each training row `[rows, 1]`, if they differ.
    pub train_weights: Option<Slot>,
    /// A loss's constants, one for each column or class, if it has some.
    pub constants: Option<Slot>,
    /// Row order of the epoch `[rows]`.
    pub order: Slot,
    /// Losses of a window's steps.
    pub log: Slot,
}

impl TrainPorts {
    /// The weights that are validated and saved.
    pub fn evaluated(&self) -> Slot {
        self.averaged.unwrap_or(self.params)
    }
}

/// The slots of an eval phase that the host writes and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalPorts {
    /// Features of the rows to predict `[rows, columns]`.
    pub eval_x: Slot,
    /// Logits or predictions of those rows.
    pub predictions: Slot,
}

/// A plan of training, and of validation if there are rows for that. It is a [`Plan`] wherever one is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainPlan {
    pub(super) plan: Plan,
    /// Slots that training reads and writes.
    pub ports: TrainPorts,
    /// Slots that validation reads and writes, in plans that have an eval phase.
    pub eval: Option<EvalPorts>,
}

impl TrainPlan {
    /// The same plan with one of its training steps alone, for timing it by itself.
    pub fn alone(&self, step: usize) -> Self {
        let train = self.plan.train.get(step).cloned().into_iter().collect();
        let plan = Plan { train, eval: Vec::new(), measure: Vec::new(), ..self.plan.clone() };
        Self { plan, ports: self.ports.clone(), eval: None }
    }

    /// Returns the same plan for a training table of another number of rows.
    pub(crate) fn with_train_rows(&self, rows: usize) -> Self {
        let mut whole = self.clone();
        let ports = &self.ports;
        let tables =
            [Some(ports.train_x), Some(ports.train_y), ports.train_weights, Some(ports.order)];
        for slot in tables.into_iter().flatten() {
            let spec = &mut whole.plan.slots[slot.0 as usize];
            spec.sizes[0] = rows;
            let (len, buffer) = (spec.len(), spec.buffer);
            whole.plan.buffers[buffer.0 as usize].elements = len.max(1);
        }
        whole
    }
}

/// A plan of prediction alone. It is a [`Plan`] wherever one is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalPlan {
    pub(super) plan: Plan,
    /// Parameters, the whole arena.
    pub params: Slot,
    /// Slots that prediction reads and writes.
    pub ports: EvalPorts,
}

impl Deref for TrainPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

impl Deref for EvalPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

impl fmt::Display for TrainPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt(f)
    }
}

impl fmt::Display for EvalPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt(f)
    }
}
