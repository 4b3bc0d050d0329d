//! Builds a plan: slots for the data that the host writes and reads, and the steps of each phase.

use std::collections::{HashMap, HashSet};

use super::fuse::Lowering;
use super::update::UpdateArenas;
use super::{
    Broadcast, Element, EvalPlan, EvalPorts, Formula, Kernel, Operand, Phase, Plan, PlanBuilder,
    Precision, Role, Slot, Step, TrainPlan, TrainPorts, WINDOW,
};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Graph, Inference, Loss, NodeId, Objective, Op, RunningStat, Training};
use crate::model::ParamLayout;

/// Numbers of rows that a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of a training batch.
    pub batch: usize,
    /// Rows of the training table.
    pub train_rows: usize,
    /// Rows of a batch in the eval phase.
    pub eval_batch: usize,
    /// Rows that the eval phase holds at once; 0 for no eval phase.
    pub eval_rows: usize,
}

impl Plan {
    /// Returns the plan of training in single precision, with an eval phase for validation if `sizes.eval_rows` is not 0.
    ///
    /// # Errors
    /// If sizes are zero where they may not be, or too large to count.
    pub fn training(step: &Training, inference: &Inference, sizes: Sizes) -> Result<TrainPlan> {
        Self::training_in(Precision::F32, step, inference, sizes)
    }

    /// Returns the plan of training. The eval phase is always in single precision: it evaluates the weights that are saved.
    ///
    /// # Errors
    /// As [`Self::training`].
    pub fn training_in(
        precision: Precision,
        step: &Training,
        inference: &Inference,
        sizes: Sizes,
    ) -> Result<TrainPlan> {
        positive("batch_size", sizes.batch)?;
        let mut builder = PlanBuilder::new();
        // In half precision the views lie further apart, so that both arenas can have the same offsets.
        let layout = precision.layout(&step.layout)?;
        let arenas = builder.arenas(precision, step, &layout)?;
        let views = builder.parameter_views(&arenas, step, &layout);
        let ports = builder.data(arenas, step, sizes.train_rows)?;
        let pass = builder.forward_and_backward(precision, step, (sizes.batch, &ports), &views)?;
        // The check stands before the first change of a weight or a statistic, so a step can still be skipped.
        let mut steps = pass.steps;
        steps.extend(builder.check(step, &ports)?);
        // Averaged weights have running statistics of their own, updated from the same batch statistics.
        let averaged = ports.averaged.map(|arena| builder.views(arena, &layout, "average_"));
        let weights: Vec<&[Slot]> = [Some(&views.weights), averaged.as_ref()]
            .into_iter()
            .flatten()
            .map(Vec::as_slice)
            .collect();
        // Before the update, whose last step may clear the flag by which statistics are skipped.
        steps.extend(builder.statistics(step, (&pass.slots, &ports), &weights, false)?);
        steps.extend(builder.update(step, &layout, &ports)?);
        builder.phase(Phase::Train, steps);
        if let Some(averaged) = averaged {
            builder.measure_phase(step, sizes.batch, &averaged, &ports)?;
        }
        // Validation has the weights that a saved model has.
        let eval = if sizes.eval_rows > 0 {
            let weights = match ports.averaged {
                Some(averaged) => builder.views(averaged, &layout, ""),
                None => views.weights,
            };
            Some(builder.eval_phase(inference, sizes, &weights)?)
        } else {
            None
        };
        let plan = builder.finish(sizes.batch, sizes.eval_batch);
        // A kernel without a variant in half precision is reported before a device is asked: the adapter does not matter
        // for that.
        plan.train.iter().try_for_each(|step| plan.stored(step).map(|_| ()))?;
        Ok(TrainPlan { plan, ports, eval })
    }

    /// Returns the plan of prediction alone.
    ///
    /// # Errors
    /// If sizes are zero, or too large to count.
    pub fn inference(inference: &Inference, sizes: Sizes) -> Result<EvalPlan> {
        positive("eval_rows", sizes.eval_rows)?;
        let mut builder = PlanBuilder::new();
        let params =
            builder.slot("params", vec![inference.layout.len()], Element::F32, Role::Params)?;
        let weights = builder.views(params, &inference.layout, "");
        let ports = builder.eval_phase(inference, sizes, &weights)?;
        Ok(EvalPlan { plan: builder.finish(sizes.batch, sizes.eval_batch), params, ports })
    }
}

/// Views of a training plan's parameters.
struct ParameterViews {
    /// The weights in single precision.
    weights: Vec<Slot>,
    /// The weights that products read: the copy in half precision where there is one.
    factors: Vec<Slot>,
    /// The gradients of the parameters that train.
    gradients: Vec<Slot>,
}

/// Forward and backward steps, and the slots of the nodes' values.
struct ForwardBackward {
    steps: Vec<Step>,
    slots: HashMap<NodeId, Slot>,
}

/// A batch's rows, picked from the table.
struct BatchNodes {
    steps: Vec<Step>,
    x: Slot,
    y: Slot,
    weights: Option<Slot>,
}

impl PlanBuilder {
    fn parameter_views(
        &mut self,
        arenas: &UpdateArenas,
        step: &Training,
        layout: &ParamLayout,
    ) -> ParameterViews {
        let weights = self.views(arenas.params, layout, "");
        let factors = match arenas.half_params {
            Some(half) => self.views(half, layout, ""),
            None => weights.clone(),
        };
        // Parameters that do not train have a place in the arena of gradients, but no node computes it.
        let gradients = self.views(arenas.gradients, layout, "d_");
        let train = layout.views().iter().zip(gradients).filter(|(view, _)| view.trainable);
        let gradients: Vec<_> = train.map(|(_, slot)| slot).collect();
        debug_assert_eq!(gradients.len(), step.gradients.len(), "each has one node");
        ParameterViews { weights, factors, gradients }
    }

    /// Adds the slots of the table and of the log to those that the update needs.
    fn data(&mut self, arenas: UpdateArenas, step: &Training, rows: usize) -> Result<TrainPorts> {
        let objective = objective_of(step);
        let columns = column_count(&step.graph, step.features);
        let train_x = self.slot("train.x", vec![rows, columns], Element::F32, Role::Data)?;
        let (sizes, element) = match step.graph.node(step.targets).op {
            Op::Targets { classes: false, columns } => (vec![rows, columns], Element::F32),
            _ => (vec![rows], Element::U32),
        };
        let train_y = self.slot("train.y", sizes, element, Role::Data)?;
        let order = self.slot("order", vec![rows], Element::U32, Role::Data)?;
        let train_weights = if objective.weights {
            Some(self.slot("train.weights", vec![rows, 1], Element::F32, Role::Data)?)
        } else {
            None
        };
        // A loss's constants are one for each quantile, class or target column.
        let constants = if objective.constants {
            let len = match &objective.loss {
                Loss::Pinball(quantiles) => quantiles.as_slice().len(),
                // A vector of classes has no columns of its own.
                loss if loss.classes() => class_count(&step.graph, step.targets),
                _ => column_count(&step.graph, step.targets),
            };
            Some(self.slot("constants", vec![len], Element::F32, Role::Data)?)
        } else {
            None
        };
        let log = self.slot("log", vec![WINDOW], Element::F32, Role::Log)?;
        let UpdateArenas { params, gradients, states, averaged, gathered, half_params, scaling } =
            arenas;
        Ok(TrainPorts {
            params,
            half_params,
            scaling,
            gradients,
            states,
            gathered,
            averaged,
            train_x,
            train_y,
            train_weights,
            constants,
            order,
            log,
        })
    }

    /// Adds the steps that pick a batch's rows from the table.
    fn batch(
        &mut self,
        precision: Precision,
        step: &Training,
        rows: usize,
        ports: &TrainPorts,
    ) -> Result<BatchNodes> {
        let columns = column_count(&step.graph, step.features);
        let x_element = precision.of_node(&step.graph, step.features);
        let x = self.temporary("x", vec![rows, columns], x_element);
        let y_sizes = step.graph.shape(step.targets).sizes(rows);
        // Classes are whole numbers, so they share no buffer with floats.
        let y = match self.element(ports.train_y) {
            Element::U32 => self.slot("y", y_sizes, Element::U32, Role::Activations)?,
            element => self.temporary("y", y_sizes, element),
        };
        let gather = Kernel::Gather { ordered: true, targets: true };
        let reads = vec![ports.train_x, ports.order, ports.train_y];
        let mut steps = vec![self.step(gather, reads, vec![x, y])?];
        // Weights of rows are picked by the same order, so that they stay with their rows.
        let weights = match ports.train_weights {
            Some(table) => {
                let gather = Kernel::Gather { ordered: true, targets: false };
                let picked = self.temporary("weights", vec![rows, 1], Element::F32);
                steps.push(self.step(gather, vec![table, ports.order], vec![picked])?);
                Some(picked)
            }
            None => None,
        };
        Ok(BatchNodes { steps, x, y, weights })
    }

    /// Adds the steps from a batch's rows to the gradients in their arena, and to the loss in the log.
    fn forward_and_backward(
        &mut self,
        precision: Precision,
        step: &Training,
        (rows, ports): (usize, &TrainPorts),
        views: &ParameterViews,
    ) -> Result<ForwardBackward> {
        let BatchNodes { steps, x, y, weights } = self.batch(precision, step, rows, ports)?;
        let mut slots = HashMap::from([(step.features, x), (step.targets, y)]);
        slots.extend(param_slots(&step.graph, &views.factors));
        // Gradients are computed in the arena where possible; the others are copied there at the end.
        let shared = shared_gradients(step);
        let (copied, direct): (Vec<_>, Vec<_>) = step
            .gradients
            .iter()
            .copied()
            .zip(views.gradients.iter().copied())
            .partition(|(node, _)| shared.contains(node));
        let in_arena = direct.iter().map(|&(node, _)| node).collect();
        slots.extend(direct);
        let stats = step.running.iter().map(|it| it.stat);
        let mut lowering = Lowering {
            precision,
            // If the loss scale exists only to skip steps, gradients are not multiplied by it.
            scaling: ports.scaling.filter(|_| precision == Precision::F16),
            constants: ports.constants,
            weights,
            wanted: step.gradients.iter().copied().chain(stats).collect(),
            in_arena,
            ..Lowering::new(self, &step.graph, rows, slots, steps)
        };
        lowering.run()?;
        let row_loss = lowering.row_loss.expect("a training step's graph has a loss");
        let Lowering { mut steps, slots, .. } = lowering;
        // The mean loss is logged right after the loss, so that the buffer of the rows' losses is free for the backward pass.
        let loss = steps.iter().position(|step| step.writes.contains(&row_loss));
        let after = loss.expect("the loss was lowered") + 1;
        steps.insert(after, self.step(Kernel::LogLoss, vec![row_loss], vec![ports.log])?);
        for (node, d_weight) in copied {
            // As one row, whatever the shape.
            let columns = self.sizes(d_weight).iter().product();
            let whole = Operand::new(Broadcast::Both, columns);
            let formula = self.formula(Formula::new(&Expr::input(0), vec![whole], columns))?;
            let copy = Kernel::Map { formula, operands: 1 };
            steps.push(self.step(copy, vec![slots[&node]], vec![d_weight])?);
        }
        Ok(ForwardBackward { steps, slots })
    }

    /// Returns the steps that update the running statistics among the given weights by those of the batch. With `measured`,
    /// they become means over the batches.
    fn statistics(
        &self,
        step: &Training,
        (slots, ports): (&HashMap<NodeId, Slot>, &TrainPorts),
        weights: &[&[Slot]],
        measured: bool,
    ) -> Result<Vec<Step>> {
        let guard = ports.scaling.filter(|_| step.moves.skips);
        let update = |it: &RunningStat, weights: &[Slot]| {
            let momentum = (!measured).then_some(it.momentum);
            let (unbiased, guarded) = (it.unbiased, guard.is_some());
            let kernel = Kernel::UpdateRunning { momentum, unbiased, guarded };
            let reads = [Some(slots[&it.stat]), guard].into_iter().flatten().collect();
            self.step(kernel, reads, vec![weights[it.view]])
        };
        // Parameters and averaged weights each have their own statistics, so each is updated.
        let all = step.running.iter().flat_map(|it| weights.iter().map(move |some| (it, *some)));
        all.map(|(it, weights)| update(it, weights)).collect()
    }

    /// Adds the steps that measure the running statistics of averaged weights, if there are any.
    fn measure_phase(
        &mut self,
        step: &Training,
        batch: usize,
        weights: &[Slot],
        ports: &TrainPorts,
    ) -> Result<()> {
        // Nothing after the last statistic is needed, so the graph ends there: no loss, no targets.
        let Some(last) = step.running.iter().map(|it| it.stat).max() else { return Ok(()) };
        let graph = step.graph.up_to(last);
        let columns = column_count(&graph, step.features);
        let x = self.temporary("x", vec![batch, columns], Element::F32);
        let gather = Kernel::Gather { ordered: true, targets: false };
        let mut slots = HashMap::from([(step.features, x)]);
        slots.extend(param_slots(&graph, weights));
        let steps = vec![self.step(gather, vec![ports.train_x, ports.order], vec![x])?];
        let mut lowering = Lowering {
            wanted: step.running.iter().map(|it| it.stat).collect(),
            ..Lowering::new(self, &graph, batch, slots, steps)
        };
        lowering.run()?;
        let Lowering { mut steps, slots, .. } = lowering;
        steps.extend(self.statistics(step, (&slots, ports), &[weights], true)?);
        self.phase(Phase::Measure, steps);
        Ok(())
    }

    /// Adds the eval phase: forward steps from a batch of the table to its predictions.
    fn eval_phase(
        &mut self,
        inference: &Inference,
        sizes: Sizes,
        weights: &[Slot],
    ) -> Result<EvalPorts> {
        positive("eval batch", sizes.eval_batch)?;
        let graph = &inference.graph;
        let columns = column_count(graph, inference.features);
        let outputs = column_count(graph, inference.prediction);
        let eval_x =
            self.slot("eval.x", vec![sizes.eval_rows, columns], Element::F32, Role::Data)?;
        let predictions =
            self.slot("predictions", vec![sizes.eval_rows, outputs], Element::F32, Role::Data)?;
        let x = self.temporary("x", vec![sizes.eval_batch, columns], Element::F32);
        // Batches of the eval phase lie in sequence, so there is no order to look up.
        let gather = Kernel::Gather { ordered: false, targets: false };
        let mut slots = HashMap::from([(inference.features, x)]);
        slots.extend(param_slots(graph, weights));
        let steps = vec![self.step(gather, vec![eval_x], vec![x])?];
        let mut lowering = Lowering {
            wanted: HashSet::from([inference.prediction]),
            ..Lowering::new(self, graph, sizes.eval_batch, slots, steps)
        };
        lowering.run()?;
        let Lowering { mut steps, slots, .. } = lowering;
        let out = slots[&inference.prediction];
        steps.push(self.step(Kernel::PutRows, vec![out], vec![predictions])?);
        self.phase(Phase::Eval, steps);
        Ok(EvalPorts { eval_x, predictions })
    }
}

/// Returns the objective of a training step.
fn objective_of(step: &Training) -> Objective {
    match &step.graph.node(step.loss).op {
        Op::Loss { loss, .. } => loss.clone(),
        _ => unreachable!("the node of a training step's loss is one"),
    }
}

/// Returns the gradients that belong to several parameters, or are an operand of another gradient: they cannot be computed
/// in their place in the arena, since no step may read and write the arena at once.
fn shared_gradients(step: &Training) -> HashSet<NodeId> {
    let (mut gradients, mut shared) = (HashSet::new(), HashSet::new());
    for &gradient in &step.gradients {
        if !gradients.insert(gradient) {
            shared.insert(gradient);
        }
    }
    let enters = |user: &NodeId| {
        let elementwise = matches!(step.graph.node(*user).op, Op::Map { .. });
        gradients.contains(user) || !elementwise
    };
    let entering = gradients.iter().filter(|&&it| step.graph.users(it).iter().any(enters));
    shared.extend(entering);
    shared
}

/// Returns the slots of the graph's parameters and buffers among the weights.
fn param_slots(graph: &Graph, weights: &[Slot]) -> Vec<(NodeId, Slot)> {
    let view = |(id, node): (NodeId, &crate::graph::Node)| match node.op {
        Op::Param { view, .. } | Op::Kept { view, .. } => weights.get(view).map(|&slot| (id, slot)),
        _ => None,
    };
    graph.nodes().filter_map(view).collect()
}

fn column_count(graph: &Graph, id: NodeId) -> usize {
    graph.shape(id).dims().last().map_or(1, |dim| dim.size(1))
}

/// Returns the number of classes of targets that are classes.
fn class_count(graph: &Graph, targets: NodeId) -> usize {
    match graph.node(targets).op {
        Op::Targets { columns, .. } => columns,
        _ => 0,
    }
}

fn positive(name: &str, value: usize) -> Result<()> {
    if value == 0 { Err(Error::setting(name, "0, but at least 1 is needed")) } else { Ok(()) }
}
