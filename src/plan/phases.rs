//! Plans with the slots that the host writes and reads in them: plans of training, and of prediction alone.
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
    /// The loss scale and its counters, as [`super::LossScaler`] describes them; in single precision where steps may be
    /// skipped.
    pub scaling: Option<Slot>,
    /// Gradients, the whole arena.
    pub gradients: Slot,
    /// Optimizer state, one arena each.
    pub states: Vec<Slot>,
    /// Gradients accumulated since the last update, where several steps make one update.
    pub gathered: Option<Slot>,
    /// The weights that validation and saved models take, where these are not the parameters themselves. Whoever writes the
    /// parameters writes these too.
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
    /// Returns the weights that are validated and saved.
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

/// A plan of training, and of validation if there are rows to validate. It derefs to a [`Plan`].
#[derive(Clone, Debug, PartialEq)]
pub struct TrainPlan {
    pub(super) plan: Plan,
    /// Slots that training reads and writes.
    pub ports: TrainPorts,
    /// Slots that validation reads and writes, in plans that have an eval phase.
    pub eval: Option<EvalPorts>,
}

impl TrainPlan {
    /// Returns the same plan with one of its training steps alone, so that the step can be timed by itself.
    pub fn alone(&self, step: usize) -> Self {
        let train = self.plan.train.get(step).cloned().into_iter().collect();
        let plan = Plan { train, eval: Vec::new(), measure: Vec::new(), ..self.plan.clone() };
        Self { plan, ports: self.ports.clone(), eval: None }
    }

    /// Returns the same plan for a training table of another number of rows.
    pub(crate) fn with_train_rows(&self, rows: usize) -> Self {
        let ports = &self.ports;
        // These four alone have a size that depends on the table's rows.
        let tables =
            [Some(ports.train_x), Some(ports.train_y), ports.train_weights, Some(ports.order)];
        self.with_first_sizes(tables.into_iter().flatten(), rows)
    }

    /// Returns the same plan with an eval phase that holds another number of rows.
    pub(crate) fn with_eval_rows(&self, rows: usize) -> Self {
        let tables = self.eval.map(|ports| [ports.eval_x, ports.predictions]);
        self.with_first_sizes(tables.into_iter().flatten(), rows)
    }

    fn with_first_sizes(&self, slots: impl Iterator<Item = Slot>, rows: usize) -> Self {
        let mut whole = self.clone();
        for slot in slots {
            let spec = &mut whole.plan.slots[slot.0 as usize];
            spec.sizes[0] = rows;
            let (len, buffer) = (spec.len(), spec.buffer);
            whole.plan.buffers[buffer.0 as usize].elements = len.max(1);
        }
        whole
    }

    /// Returns the plan without what may differ between members that train side by side: rows, values to start from, and the
    /// texts of formulas, which name settings that are step parameters.
    pub(crate) fn without_own_values(&self) -> Self {
        let mut plan = self.with_train_rows(1).with_eval_rows(1);
        plan.plan.starts.clear();
        plan.plan.formulas.iter_mut().for_each(|formula| formula.text.clear());
        plan
    }

    /// Returns the plan for several members, for which these slots have the same values.
    pub(crate) fn sharing(&self, shared: Vec<Slot>) -> Plan {
        Plan { shared, ..self.plan.clone() }
    }
}

/// A plan of prediction alone. It derefs to a [`Plan`].
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
