//! A [`Sequential`] as forward nodes, and the graphs that training and inference run.

use super::layers::Forward;
use super::{Graph, Loss, NodeId, Objective, Op, Optimizer, RunningStat, UpdateTransforms};
use crate::error::{Error, Result};
use crate::model::{ParamLayout, Sequential};
use crate::shape::Dim;

/// A training step: forward, loss and backward nodes, with what the update needs.
#[derive(Clone, Debug)]
pub struct Training {
    /// All nodes.
    pub graph: Graph,
    /// The batch's features.
    pub features: NodeId,
    /// The batch's targets.
    pub targets: NodeId,
    /// The scalar loss.
    pub loss: NodeId,
    /// The gradient of each parameter that trains, in the layout's order.
    pub gradients: Vec<NodeId>,
    /// Running statistics and their new values.
    pub running: Vec<RunningStat>,
    /// The model's parameters.
    pub layout: ParamLayout,
    /// The optimizer of the parameters.
    pub optimizer: Optimizer,
    /// Transforms around the optimizer.
    pub moves: UpdateTransforms,
}

impl Training {
    /// Returns the same step with these transforms of gradients and weights.
    ///
    /// # Errors
    /// If a setting is impossible, or does not go with the optimizer.
    pub fn with_moves(mut self, moves: UpdateTransforms) -> Result<Self> {
        moves.check(&self.optimizer)?;
        self.moves = moves;
        Ok(self)
    }
}

/// Purpose of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout drops, and norms of batches take the batch's own statistics.
    Train,
    /// Nothing is random, and each row's result depends on that row only.
    Eval,
}

/// A forward pass alone.
#[derive(Clone, Debug)]
pub struct Inference {
    /// All nodes.
    pub graph: Graph,
    /// The batch's features.
    pub features: NodeId,
    /// Logits or predictions.
    pub prediction: NodeId,
    /// The model's parameters.
    pub layout: ParamLayout,
}

/// Returns the graph of one training step of a model with `inputs` input columns.
///
/// # Errors
/// If the model's sizes are impossible, or the loss does not accept the model's outputs.
pub fn training(
    model: &Sequential,
    inputs: usize,
    loss: impl Into<Objective>,
    optimizer: Optimizer,
) -> Result<Training> {
    let objective: Objective = loss.into();
    optimizer.check()?;
    objective.loss.check()?;
    let (Inference { mut graph, features, prediction, layout }, running) =
        forward(model, inputs, Mode::Train)?;
    let Some((_, Dim::Of(outputs))) = graph.shape(prediction).as_matrix() else {
        return Err(Error::shape("model", "its output is no matrix"));
    };
    let members = model.batch_ensemble().map_or(1, |ensemble| ensemble.members);
    let objective = Objective { members, ..objective };
    let loss = &objective.loss;
    // The graph of predictions combines the members' outputs, so a loss for which it cannot is refused here.
    if model.batch_ensemble().is_some() {
        loss.member_outputs()?;
    }
    let outputs = outputs / members;
    let columns = loss.targets_for(outputs).ok_or_else(|| {
        let each = loss.outputs_each();
        Error::shape("model", format!("{outputs} outputs, but {loss} takes {each} for each target"))
    })?;
    let targets = graph.push("targets", Op::Targets { columns, classes: loss.classes() })?;
    let loss = graph.push("loss", Op::Loss { loss: objective, prediction, targets })?;
    let gradients = graph.backward(loss)?;
    let moves = UpdateTransforms::default();
    Ok(Training { graph, features, targets, loss, gradients, running, layout, optimizer, moves })
}

/// Returns the graph of a forward pass of a model with `inputs` input columns.
///
/// # Errors
/// If the model's sizes are impossible, or it is an ensemble whose predictions depend on the loss: see [`inference_under`].
pub fn inference(model: &Sequential, inputs: usize) -> Result<Inference> {
    if model.batch_ensemble().is_some() {
        let problem =
            "the mean of a batch_ensemble's members depends on the loss; use inference_under";
        return Err(Error::setting("layers", problem));
    }
    Ok(forward(model, inputs, Mode::Eval)?.0)
}

/// Returns the graph of a forward pass of a model that was trained with this loss. Its outputs are those of one network, of an
/// ensemble that shares its weights those that mean the mean of its members' predictions.
///
/// # Errors
/// If the model's sizes are impossible, or the loss has no mean of predictions.
pub fn inference_under(model: &Sequential, inputs: usize, loss: &Loss) -> Result<Inference> {
    let (mut inference, _) = forward(model, inputs, Mode::Eval)?;
    if let Some(ensemble) = model.batch_ensemble() {
        let (x, members, of) = (inference.prediction, ensemble.members, loss.member_outputs()?);
        inference.prediction = inference.graph.push("mean", Op::MemberMean { x, members, of })?;
    }
    Ok(inference)
}

/// Returns the graph of a forward pass, and the running statistics that training updates.
fn forward(model: &Sequential, inputs: usize, mode: Mode) -> Result<(Inference, Vec<RunningStat>)> {
    let layout = model.layout(inputs)?;
    let mut graph = Graph::new();
    let features = graph.push("x", Op::Features { columns: inputs })?;
    // Parameters come first, so that every later node may read them.
    let mut params = Vec::new();
    for (view, it) in layout.views().iter().enumerate() {
        let sizes = it.shape.clone();
        let op = if it.trainable { Op::Param { view, sizes } } else { Op::Kept { view, sizes } };
        params.push(graph.push(&it.name, op)?);
    }
    let mut forward = Forward::new(graph, mode, params);
    let prediction = forward.forward_layers(model, features, "")?;
    let (graph, running) = forward.done();
    Ok((Inference { graph, features, prediction, layout }, running))
}
