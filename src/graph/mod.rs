//! The mathematics of a training step: one append-only, shape-checked graph.
//!
//! In: a model, a loss, an optimizer. Out: forward, backward and update nodes.
//! Absent on purpose: memory, kernels, wgpu.

mod average;
mod backward;
mod batch_ensemble;
mod broadcast;
mod forward;
mod groups;
mod layers;
mod loss;
mod op;
mod optimizer;
mod update_transforms;
mod usual;

pub use average::Average;
pub(crate) use backward::used;
pub use broadcast::{Broadcast, IterationSpace, MOST_OPERANDS, Operand};
pub use forward::{Inference, Mode, Training, inference, inference_under, training};
pub use groups::{Group, GroupFactors, factors};
pub use layers::RunningStat;
pub use loss::{
    ClassLoss, CustomLoss, LOSS_NUMBERS, Loss, LossFormula, Objective, Quantiles, Reduction,
    RequiredTarget,
};
pub use op::{Axis, Mapped, MemberOutputs, NodeId, Op};
pub use optimizer::{
    BetweenPasses, MOST_STATES, Optimizer, OptimizerHostState, OptimizerSchedule, SCALARS,
    UpdateContext,
};
pub use update_transforms::{Pass, PassKind, UpdateInput, UpdateTransforms};
pub use usual::{ActivationGradient, Biased};

/// Where among a step's scalars stands what its gradient counts among those that are gathered.
pub const SHARE: usize = optimizer::SHARE as usize;
/// Where among a step's scalars the optimizer's settings begin.
pub const SETTINGS: usize = optimizer::SETTINGS;

use crate::error::Result;
use crate::shape::Shape;

/// An operation with its checked shape and a name for people.
#[derive(Clone, Debug)]
pub struct Node {
    /// Operation.
    pub op: Op,
    /// Shape of the result.
    pub shape: Shape,
    /// Its name in printed plans: `h1`, `d_z2`.
    pub name: String,
}

/// Nodes in an order in which each uses only earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// For each node the later nodes that read it, in their order. Planning asks for them at each node, so a search through
    /// the graph would make it quadratic.
    users: Vec<Vec<NodeId>>,
}

impl Graph {
    /// A graph without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an operation.
    ///
    /// # Errors
    /// If the shapes of its inputs do not fit; the message names the operation and both shapes.
    pub fn push(&mut self, name: impl Into<String>, op: Op) -> Result<NodeId> {
        let shape = op.shape(self)?;
        let id = NodeId(self.nodes.len());
        for input in op.inputs() {
            let users = &mut self.users[input.0];
            // A node that reads another one twice is one user.
            if users.last() != Some(&id) {
                users.push(id);
            }
        }
        self.nodes.push(Node { op, shape, name: name.into() });
        self.users.push(Vec::new());
        Ok(id)
    }

    /// The nodes, inputs first.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index), node))
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The nodes that read a node's result, in their order.
    pub fn users(&self, id: NodeId) -> &[NodeId] {
        &self.users[id.0]
    }

    /// The graph's nodes up to one of them, under the same numbers.
    #[must_use]
    pub fn up_to(&self, last: NodeId) -> Self {
        let within = |users: &Vec<NodeId>| {
            users.iter().copied().filter(|&user| user <= last).collect::<Vec<_>>()
        };
        Self {
            nodes: self.nodes[..=last.0].to_vec(),
            users: self.users[..=last.0].iter().map(within).collect(),
        }
    }

    /// The shape of a node's result.
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.nodes[id.0].shape
    }
}
