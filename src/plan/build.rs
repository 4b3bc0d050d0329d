//! Puts a plan together: slots for what the host gives and takes, steps for both phases, memory.

use std::collections::{HashMap, HashSet};

use super::fuse::{Lowering, element};
use super::memory::{Temporary, assign};
use super::update::Arenas;
use super::{
    BufferId, BufferSpec, Element, Formula, FormulaId, Kernel, Phase, Plan, Ports, Precision, Role,
    Scaling, Slot, SlotSpec, Start, Step, WINDOW,
};
use crate::error::{Error, Result};
use crate::graph::{Graph, Inference, Loss, NodeId, Op, Training};
use crate::model::{Activation, ParamLayout};
use crate::shape::{elements, narrow};

/// How many rows a plan is made for.
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

/// Collects buffers, slots and steps, then shares memory among the temporaries.
#[derive(Clone, Debug, Default)]
pub struct PlanBuilder {
    buffers: Vec<BufferSpec>,
    slots: Vec<SlotSpec>,
    /// Those of the phase being built.
    temporaries: Vec<Temporary>,
    train: (Vec<Temporary>, Vec<Step>),
    eval: (Vec<Temporary>, Vec<Step>),
    measure: (Vec<Temporary>, Vec<Step>),
    formulas: Vec<Formula>,
    /// Places of the formulas that have a text and columns in common: a search through all of them would make plans of many
    /// layers quadratic.
    known: HashMap<(String, usize), Vec<FormulaId>>,
    starts: Vec<(Slot, Start)>,
}

impl PlanBuilder {
    /// A builder without slots.
    pub fn new() -> Self {
        Self::default()
    }

    /// A slot with a buffer of its own.
    ///
    /// # Errors
    /// If its elements cannot be counted in 32 bits.
    pub fn slot(
        &mut self,
        name: &str,
        sizes: Vec<usize>,
        element: Element,
        role: Role,
    ) -> Result<Slot> {
        let len = count(name, &sizes)?;
        let buffer = BufferId(narrow(self.buffers.len()));
        // A buffer of no elements cannot be bound.
        self.buffers.push(BufferSpec {
            name: name.to_string(),
            elements: len.max(1),
            element,
            role,
        });
        Ok(self.view(name, sizes, element, buffer, 0))
    }

    /// A slot inside another one's buffer.
    fn view(
        &mut self,
        name: &str,
        sizes: Vec<usize>,
        element: Element,
        buffer: BufferId,
        offset: usize,
    ) -> Slot {
        self.slots.push(SlotSpec { name: name.to_string(), sizes, element, buffer, offset });
        Slot(narrow(self.slots.len() - 1))
    }

    /// A slot's sizes.
    pub(super) fn sizes(&self, slot: Slot) -> Vec<usize> {
        self.slots[slot.0 as usize].sizes.clone()
    }

    /// Views of each parameter inside an arena.
    pub(super) fn views(&mut self, arena: Slot, layout: &ParamLayout, prefix: &str) -> Vec<Slot> {
        let SlotSpec { buffer, element, .. } = self.slots[arena.0 as usize];
        let view = |it: &crate::model::ParamView| {
            (format!("{prefix}{}", it.name), it.shape.clone(), it.offset)
        };
        let views: Vec<_> = layout.views().iter().map(view).collect();
        let make = |(name, sizes, offset): (String, _, _)| {
            self.view(&name, sizes, element, buffer, offset)
        };
        views.into_iter().map(make).collect()
    }

    /// A slot that lives inside the phase being built; its place is found when the plan is finished.
    pub fn temporary(&mut self, name: &str, sizes: Vec<usize>, element: Element) -> Slot {
        let len = sizes.iter().product();
        let slot = self.view(name, sizes, element, BufferId(u32::MAX), 0);
        self.temporaries.push(Temporary { slot: slot.0 as usize, len, element });
        slot
    }

    /// A formula's place among the plan's; one that is there already is not added again.
    ///
    /// # Errors
    /// If there are more than can be counted.
    pub fn formula(&mut self, formula: Formula) -> Result<FormulaId> {
        let known = self.known.entry((formula.text.clone(), formula.columns)).or_default();
        let same = |id: &&FormulaId| self.formulas[usize::from(id.0)] == formula;
        if let Some(&id) = known.iter().find(same) {
            return Ok(id);
        }
        let id = u16::try_from(self.formulas.len()).map(FormulaId);
        let id = id.map_err(|_| {
            Error::shape("plan", "more than 65,536 formulas; use fewer layers of different kinds")
        })?;
        known.push(id);
        self.formulas.push(formula);
        Ok(id)
    }

    /// Says what a slot begins with, instead of zeros.
    pub(crate) fn start(&mut self, slot: Slot, values: Start) {
        self.starts.push((slot, values));
    }

    /// A checked step.
    ///
    /// # Errors
    /// If the kernel reads or writes another number of slots, or one slot's buffer is both read and written:
    /// WebGPU checks usage for whole buffers, so a value changed in place counts as written only.
    pub fn step(&self, kernel: Kernel, reads: Vec<Slot>, writes: Vec<Slot>) -> Result<Step> {
        if (reads.len(), writes.len()) != kernel.arity() {
            let problem = format!(
                "{} reads and {} writes, not {:?}",
                reads.len(),
                writes.len(),
                kernel.arity()
            );
            return Err(Error::shape(kernel.name(), problem));
        }
        let buffer = |slot: &Slot| self.slots[slot.0 as usize].buffer;
        let known = |id: &BufferId| id.0 != u32::MAX;
        for read in &reads {
            let clash = |write: &&Slot| {
                *write == read || (known(&buffer(read)) && buffer(write) == buffer(read))
            };
            if let Some(write) = writes.iter().find(clash) {
                let name = |slot: &Slot| self.slots[slot.0 as usize].name.clone();
                let problem = format!(
                    "{} and {} share a buffer, but one is read and one written",
                    name(read),
                    name(write)
                );
                return Err(Error::shape(kernel.name(), problem));
            }
        }
        Ok(Step { kernel, reads, writes })
    }

    /// Ends a phase: takes its steps.
    pub fn phase(&mut self, phase: Phase, steps: Vec<Step>) {
        let temporaries = std::mem::take(&mut self.temporaries);
        match phase {
            Phase::Train => self.train = (temporaries, steps),
            Phase::Eval => self.eval = (temporaries, steps),
            Phase::Measure => self.measure = (temporaries, steps),
        }
    }

    /// The finished plan: its temporaries get their places.
    pub fn finish(self, batch: usize, eval_batch: usize, ports: Ports) -> Plan {
        let Self {
            mut buffers,
            mut slots,
            train: (of_train, train),
            eval: (of_eval, eval),
            measure: (of_measure, measure),
            formulas,
            starts,
            ..
        } = self;
        let (places, shared) = assign(&[
            (Phase::Train, of_train.as_slice(), train.as_slice()),
            (Phase::Eval, of_eval.as_slice(), eval.as_slice()),
            (Phase::Measure, of_measure.as_slice(), measure.as_slice()),
        ]);
        // A temporary that no step uses would be a bug of the lowering; it gets no place.
        for (slot, (buffer, offset)) in places {
            slots[slot].buffer = BufferId(narrow(buffers.len() + buffer));
            slots[slot].offset = offset;
        }
        for (index, (element, elements)) in shared.into_iter().enumerate() {
            let (name, role) = (format!("temporary{index}"), Role::Activations);
            buffers.push(BufferSpec { name, elements, element, role });
        }
        Plan { batch, eval_batch, buffers, slots, train, eval, measure, formulas, starts, ports }
    }
}

impl Plan {
    /// The plan of training in single precision, with an eval phase for validation if `sizes.eval_rows` is not 0.
    ///
    /// # Errors
    /// If sizes are zero where they may not be, or too large to count.
    pub fn training(step: &Training, inference: &Inference, sizes: Sizes) -> Result<Self> {
        Self::training_in(Precision::F32, step, inference, sizes)
    }

    /// The plan of training. The eval phase is in single precision always: it tells of the weights that are kept.
    ///
    /// # Errors
    /// As [`Self::training`].
    pub fn training_in(
        precision: Precision,
        step: &Training,
        inference: &Inference,
        sizes: Sizes,
    ) -> Result<Self> {
        positive("batch_size", sizes.batch)?;
        let mut builder = PlanBuilder::new();
        let mut ports = Ports::default();
        let layout = precision.layout(&step.layout)?;
        let params = builder.slot("params", vec![layout.len()], Element::F32, Role::Params)?;
        let gradients =
            builder.slot("gradients", vec![layout.len()], Element::F32, Role::Gradients)?;
        builder.arenas_of_update(step, &layout, &mut ports)?;
        if precision == Precision::F16 {
            let sizes = vec![layout.len()];
            let half = builder.slot("half_params", sizes, Element::F16, Role::Params)?;
            ports.half_params = Some(half);
        }
        if precision == Precision::F16 || step.moves.skips {
            let scaling = builder.slot("scaling", vec![Scaling::LEN], Element::F32, Role::State)?;
            ports.scaling = Some(scaling);
        }
        // Where it is for skipping steps alone, no gradient bears it.
        let scaling = ports.scaling.filter(|_| precision == Precision::F16);
        let weights = builder.views(params, &layout, "");
        let factors = match ports.half_params {
            Some(half) => builder.views(half, &layout, ""),
            None => weights.clone(),
        };
        let d_weights = builder.views(gradients, &layout, "d_");
        let moving = layout.views().iter().zip(d_weights).filter(|(view, _)| view.trainable);
        let moving: Vec<_> = moving.map(|(_, slot)| slot).collect();
        let columns = column_count(&step.graph, step.features);
        let train_x =
            builder.slot("train.x", vec![sizes.train_rows, columns], Element::F32, Role::Data)?;
        let (y_sizes, y_element) = match step.graph.node(step.targets).op {
            Op::Targets { classes: false, columns } => {
                (vec![sizes.train_rows, columns], Element::F32)
            }
            _ => (vec![sizes.train_rows], Element::U32),
        };
        let train_y = builder.slot("train.y", y_sizes, y_element, Role::Data)?;
        let order = builder.slot("order", vec![sizes.train_rows], Element::U32, Role::Data)?;
        let objective = match step.graph.node(step.loss).op {
            Op::Loss { loss, .. } => loss,
            _ => return Err(Error::shape("training", "the graph has no loss")),
        };
        if objective.weights {
            let sizes = vec![sizes.train_rows, 1];
            let slot = builder.slot("train.weights", sizes, Element::F32, Role::Data)?;
            ports.train_weights = Some(slot);
        }
        if objective.constants {
            let columns = column_count(&step.graph, step.targets);
            let len = match objective.loss {
                Loss::Pinball(quantiles) => quantiles.as_slice().len(),
                // A vector of classes has no columns of its own.
                loss if loss.classes() => class_count(&step.graph, step.targets),
                _ => columns,
            };
            let slot = builder.slot("constants", vec![len], Element::F32, Role::Data)?;
            ports.constants = Some(slot);
        }
        let log = builder.slot("log", vec![WINDOW], Element::F32, Role::Log)?;

        let x_element = element(&step.graph, precision, step.features);
        let x = builder.temporary("x", vec![sizes.batch, columns], x_element);
        let y_batch = step.graph.shape(step.targets).sizes(sizes.batch);
        // Classes are no floats, so they share no buffer with them.
        let y = match y_element {
            Element::U32 => builder.slot("y", y_batch, y_element, Role::Activations)?,
            _ => builder.temporary("y", y_batch, y_element),
        };
        let gather = Kernel::Gather { ordered: true, targets: true };
        let mut steps = vec![builder.step(gather, vec![train_x, order, train_y], vec![x, y])?];
        let row_weights = match ports.train_weights {
            Some(table) => {
                let gather = Kernel::Gather { ordered: true, targets: false };
                let picked = builder.temporary("weights", vec![sizes.batch, 1], Element::F32);
                steps.push(builder.step(gather, vec![table, order], vec![picked])?);
                Some(picked)
            }
            None => None,
        };
        let mut slots = HashMap::from([(step.features, x), (step.targets, y)]);
        slots.extend(param_slots(&step.graph, &factors));
        let shared = shared_gradients(step);
        let (copied, direct): (Vec<_>, Vec<_>) =
            step.gradients.iter().copied().zip(moving).partition(|(node, _)| shared.contains(node));
        let stats = step.running.iter().map(|it| it.stat);
        let in_arena = direct.iter().map(|&(node, _)| node).collect();
        slots.extend(direct);
        let mut lowering = Lowering {
            builder: &mut builder,
            graph: &step.graph,
            batch: sizes.batch,
            precision,
            scaling,
            constants: ports.constants,
            weights: row_weights,
            slots,
            wanted: step.gradients.iter().copied().chain(stats).collect(),
            steps,
            row_loss: None,
            unused: HashSet::new(),
            in_arena,
            inlined: HashMap::new(),
        };
        lowering.run()?;
        let row_loss =
            lowering.row_loss.ok_or_else(|| Error::shape("training", "the graph has no loss"))?;
        let Lowering { mut steps, slots, .. } = lowering;
        // Beside the loss, so that the row losses' buffer is free for the backward pass.
        let after =
            steps.iter().position(|s| s.writes.contains(&row_loss)).map_or(steps.len(), |i| i + 1);
        steps.insert(after, builder.step(Kernel::LogLoss, vec![row_loss], vec![log])?);
        for (node, d_weight) in copied {
            let copy = Kernel::Activate { act: Activation::Identity, bias: false };
            steps.push(builder.step(copy, vec![slots[&node]], vec![d_weight])?);
        }
        steps.extend(builder.check(step, (gradients, log), &ports)?);
        // Averaged weights are validated with the same statistics.
        let averaged = ports.averaged.map(|arena| builder.views(arena, &layout, "average_"));
        for it in &step.running {
            let guard = ports.scaling.filter(|_| step.moves.skips);
            let guarded = guard.is_some();
            let momentum = Some(it.momentum);
            let kernel = Kernel::UpdateRunning { momentum, unbiased: it.unbiased, guarded };
            for views in [Some(&weights), averaged.as_ref()].into_iter().flatten() {
                let reads = [Some(slots[&it.stat]), guard].into_iter().flatten().collect();
                steps.push(builder.step(kernel, reads, vec![views[it.view]])?);
            }
        }
        steps.extend(builder.update(step, &layout, Arenas { params, gradients, log }, &ports)?);
        builder.phase(Phase::Train, steps);

        ports = Ports {
            params: Some(params),
            gradients: Some(gradients),
            train_x: Some(train_x),
            train_y: Some(train_y),
            order: Some(order),
            log: Some(log),
            ..ports
        };
        if let Some(averaged) = averaged {
            builder.measure_phase(step, sizes.batch, (train_x, order), &averaged, &ports)?;
        }
        if sizes.eval_rows > 0 {
            let weights = match ports.averaged {
                Some(averaged) => builder.views(averaged, &layout, ""),
                None => weights,
            };
            builder.eval_phase(inference, sizes, &weights, &mut ports)?;
        }
        let plan = builder.finish(sizes.batch, sizes.eval_batch, ports);
        // Before any device is asked: what has no form in half precision is no matter of adapters.
        plan.train.iter().try_for_each(|step| plan.stored(step).map(|_| ()))?;
        Ok(plan)
    }

    /// The plan of prediction alone.
    ///
    /// # Errors
    /// If sizes are zero, or too large to count.
    pub fn inference(inference: &Inference, sizes: Sizes) -> Result<Self> {
        positive("rows to predict", sizes.eval_rows)?;
        let mut builder = PlanBuilder::new();
        let params =
            builder.slot("params", vec![inference.layout.len()], Element::F32, Role::Params)?;
        let weights = builder.views(params, &inference.layout, "");
        let mut ports = Ports { params: Some(params), ..Ports::default() };
        builder.eval_phase(inference, sizes, &weights, &mut ports)?;
        Ok(builder.finish(sizes.batch, sizes.eval_batch, ports))
    }
}

impl PlanBuilder {
    /// The steps that measure the running statistics of averaged weights, if there are any.
    fn measure_phase(
        &mut self,
        step: &Training,
        batch: usize,
        (table, order): (Slot, Slot),
        weights: &[Slot],
        ports: &Ports,
    ) -> Result<()> {
        let Some(last) = step.running.iter().map(|it| it.stat).max() else { return Ok(()) };
        let graph = step.graph.up_to(last);
        let columns = column_count(&graph, step.features);
        let x = self.temporary("x", vec![batch, columns], Element::F32);
        let gather = Kernel::Gather { ordered: true, targets: false };
        let mut slots = HashMap::from([(step.features, x)]);
        slots.extend(param_slots(&graph, weights));
        let steps = vec![self.step(gather, vec![table, order], vec![x])?];
        let mut lowering = Lowering {
            builder: self,
            graph: &graph,
            batch,
            precision: Precision::F32,
            scaling: None,
            constants: None,
            weights: None,
            slots,
            wanted: step.running.iter().map(|it| it.stat).collect(),
            steps,
            row_loss: None,
            unused: HashSet::new(),
            in_arena: HashSet::new(),
            inlined: HashMap::new(),
        };
        lowering.run()?;
        let Lowering { mut steps, slots, .. } = lowering;
        let guard = ports.scaling.filter(|_| step.moves.skips);
        for it in &step.running {
            let (unbiased, guarded) = (it.unbiased, guard.is_some());
            let kernel = Kernel::UpdateRunning { momentum: None, unbiased, guarded };
            let reads = [Some(slots[&it.stat]), guard].into_iter().flatten().collect();
            steps.push(self.step(kernel, reads, vec![weights[it.view]])?);
        }
        self.phase(Phase::Measure, steps);
        Ok(())
    }

    fn eval_phase(
        &mut self,
        inference: &Inference,
        sizes: Sizes,
        weights: &[Slot],
        ports: &mut Ports,
    ) -> Result<()> {
        positive("eval batch", sizes.eval_batch)?;
        let graph = &inference.graph;
        let columns = column_count(graph, inference.features);
        let outputs = column_count(graph, inference.prediction);
        let eval_x =
            self.slot("eval.x", vec![sizes.eval_rows, columns], Element::F32, Role::Data)?;
        let predictions =
            self.slot("predictions", vec![sizes.eval_rows, outputs], Element::F32, Role::Data)?;
        let x = self.temporary("x", vec![sizes.eval_batch, columns], Element::F32);
        let gather = Kernel::Gather { ordered: false, targets: false };
        let mut slots = HashMap::from([(inference.features, x)]);
        slots.extend(param_slots(graph, weights));
        let steps = vec![self.step(gather, vec![eval_x], vec![x])?];
        let mut lowering = Lowering {
            builder: self,
            graph,
            batch: sizes.eval_batch,
            precision: Precision::F32,
            scaling: None,
            constants: None,
            weights: None,
            slots,
            wanted: HashSet::from([inference.prediction]),
            steps,
            row_loss: None,
            unused: HashSet::new(),
            in_arena: HashSet::new(),
            inlined: HashMap::new(),
        };
        lowering.run()?;
        let Lowering { mut steps, slots, .. } = lowering;
        let out = slots[&inference.prediction];
        steps.push(self.step(Kernel::PutRows, vec![out], vec![predictions])?);
        self.phase(Phase::Eval, steps);
        (ports.eval_x, ports.predictions) = (Some(eval_x), Some(predictions));
        Ok(())
    }
}

/// The gradients that are those of several parameters, or enter another one: they cannot be computed in their place in the
/// arena, which no step may read and write at once.
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

/// Classes of targets that are some.
fn class_count(graph: &Graph, targets: NodeId) -> usize {
    match graph.node(targets).op {
        Op::Targets { columns, .. } => columns,
        _ => 0,
    }
}

fn count(name: &str, sizes: &[usize]) -> Result<usize> {
    elements(sizes).filter(|&len| u32::try_from(len).is_ok()).ok_or_else(|| {
        Error::shape(
            name,
            format!("{sizes:?} has more than 2^32 elements; use fewer rows or smaller layers"),
        )
    })
}

fn positive(name: &str, value: usize) -> Result<()> {
    if value == 0 { Err(Error::setting(name, "0, but at least 1 is needed")) } else { Ok(()) }
}
