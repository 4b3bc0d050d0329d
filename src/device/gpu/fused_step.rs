//! Whole steps of training a small network as one dispatch: a table of operations for `shaders/sequence.wgsl`.
//!
//! In: a plan. Out: a dispatch that runs a whole training step, or several, or nothing if a step is not of the few kinds
//! that the shader knows.
//! Absent on purpose: the eval phase, whose batches may run side by side.

use std::fmt::Write as _;

use super::codes::{FUSIONS, activation_of, dropout_of, fused, number, short};
use super::dispatch::{Binding, Dispatch, usual_activation};
use super::kernels::{SEQUENCE, SEQUENCE_BINDINGS, Variant};
use super::limits::MAX_STEPS;
use super::shader::step_value;
use super::sizes::{bits, check_shapes, narrow, product_sizes};
use crate::error::Result;
use crate::graph::{Loss, PassKind, UpdateInput};
use crate::model::Activation;
use crate::plan::{
    BufferId, Dropout, Formula, Kernel, Phase, Plan, Role, Slot, Step, StorageTypes, Update,
};

/// Largest number of operations of a step: the table is a uniform of fixed size.
const MAX_OPS: usize = 32;
/// Number of words of an operation in the table.
const OP_WORDS: usize = 12;

/// Number of iterations of all its loops together that a lane may make in a dispatch: Mesa 22.3's lavapipe ends loops,
/// silently, after 65,535. The count is an estimate, so this limit is well below.
const MAX_TURNS: usize = 32_000;

/// Kinds of operations: names in the shader, and their numbers there.
const KINDS: [(&str, u32); 7] = [
    ("END", 0),
    ("GATHER", 1),
    ("PRODUCT", 2),
    ("LOSS", 3),
    ("PARTIAL_SUMS", 4),
    ("LOG_LOSS", 5),
    ("UPDATE", 6),
];

/// One operation, its fields as the shader names them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct FusedOp {
    kind: &'static str,
    m: usize,
    n: usize,
    k: usize,
    a: usize,
    b: usize,
    out: usize,
    extra: usize,
    extra_out: usize,
    fused: u32,
    dropout: Option<Dropout>,
}

/// Returns the dispatch that runs whole training steps; `None` if the shader cannot.
///
/// # Errors
/// If sizes do not fit 32 bits.
pub(super) fn sequence(plan: &Plan, variant: &'static Variant) -> Result<Option<Dispatch>> {
    let steps = plan.steps(Phase::Train);
    let lanes = variant.consts.iter().find(|(name, _)| *name == "LANES");
    let lanes = lanes.expect("the forms of a sequence say how many lanes they have").1;
    // A fused step ends with an update in one pass.
    let is_update = |step: &&Step| matches!(step.kernel, Kernel::Update(_));
    let update = steps.iter().find(is_update);
    let Some(weights) = update.and_then(|update| update.slot("weight")) else { return Ok(None) };
    // Each step of the plan is one operation or more.
    let many = steps.len() >= MAX_OPS;
    if steps.is_empty() || many || acts(steps).len() > 1 || plan.has_half() {
        return Ok(None);
    }
    let mut builder = StepBuilder::new(plan, weights, lanes as usize);
    for step in steps {
        if builder.push(step)?.is_none() {
            return Ok(None);
        }
    }
    // A lane's loops over all steps together are limited, so the network's size limits the steps of a dispatch.
    let loop_iterations = builder.loop_iterations(variant);
    match builder.update {
        // The table ends with an operation of the kind END.
        Some(update) if builder.ops.len() < MAX_OPS && loop_iterations <= MAX_TURNS => {
            let most_steps = narrow(MAX_TURNS / loop_iterations.max(1))?.min(MAX_STEPS);
            builder.finish(update, variant, most_steps).map(Some)
        }
        _ => Ok(None),
    }
}

/// Returns the activations of some steps, each once: a fused step is compiled for one activation.
fn acts(steps: &[Step]) -> Vec<Activation> {
    let mut acts = Vec::new();
    for act in steps.iter().map(|step| activation_of(&step.kernel)) {
        if act != Activation::Identity && !acts.contains(&act) {
            acts.push(act);
        }
    }
    acts
}

/// The plan's slots that a fused step binds, beside the weights.
#[derive(Clone, Copy, Default)]
struct Bound {
    x: Option<Slot>,
    order: Option<Slot>,
    y: Option<Slot>,
    states: [Option<Slot>; 2],
    log: Option<Slot>,
}

/// Collects operations and places every value in the scratch: first the weights, then the gradients, as many and at the
/// same distances, then the values that are used inside a step.
struct StepBuilder<'a> {
    plan: &'a Plan,
    weights: Slot,
    ops: Vec<FusedOp>,
    bound: Bound,
    /// First element of each buffer of temporaries.
    places: Vec<(BufferId, usize)>,
    /// First element of each slot that is neither a table nor a weight.
    slots: Vec<(Slot, usize)>,
    scratch: usize,
    lanes: usize,
    classes: bool,
    update: Option<Update>,
}

impl<'a> StepBuilder<'a> {
    fn new(plan: &'a Plan, weights: Slot, lanes: usize) -> Self {
        let (ops, places, slots, bound) = (vec![], vec![], vec![], Bound::default());
        let scratch = 2 * plan.slot(weights).len();
        Self {
            plan,
            weights,
            ops,
            bound,
            places,
            slots,
            scratch,
            lanes,
            classes: false,
            update: None,
        }
    }

    /// Returns the place of a slot in the scratch; `None` for tables, which are bound.
    fn place(&mut self, slot: Slot) -> Option<usize> {
        let spec = self.plan.slot(slot);
        let buffer = self.plan.buffer(spec.buffer);
        let place = match buffer.role {
            Role::Params => return Some(spec.offset),
            Role::Gradients => self.plan.slot(self.weights).len() + spec.offset,
            Role::Activations => {
                // Buffers keep their layout, so slots that share memory in the plan share it here.
                let found = self.places.iter().find(|(id, _)| *id == spec.buffer).map(|it| it.1);
                let start = found.unwrap_or_else(|| {
                    let start = self.take(buffer.elements);
                    self.places.push((spec.buffer, start));
                    start
                });
                start + spec.offset
            }
            Role::Data | Role::State | Role::Log => return None,
        };
        self.slots.push((slot, place));
        Some(place)
    }

    /// Takes elements at the end of the scratch.
    fn take(&mut self, elements: usize) -> usize {
        let start = self.scratch;
        self.scratch += elements;
        start
    }

    /// Appends a step's operations; returns `None` if the shader has none for it.
    fn push(&mut self, step: &Step) -> Result<Option<()>> {
        let op = match step.kernel {
            Kernel::Gather { ordered: true, targets: true } => self.gather(step),
            Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
                self.product(step)?
            }
            Kernel::LossMap { .. } | Kernel::LossClasses { .. } => self.loss(step),
            Kernel::LogLoss => self.log_loss(step),
            Kernel::Update(update) => self.update(step, update),
            _ => None,
        };
        self.ops.extend(op);
        Ok(op.map(|_| ()))
    }

    /// Returns the operation that picks a batch's rows; a second one is not known to the shader.
    fn gather(&mut self, step: &Step) -> Option<FusedOp> {
        let [x, order, y] = step.reads[..] else { return None };
        if self.bound.x.is_some() {
            return None;
        }
        (self.bound.x, self.bound.order, self.bound.y) = (Some(x), Some(order), Some(y));
        let ((m, n), (k, _)) =
            (self.plan.slot(step.writes[0]).matrix(), self.plan.slot(x).matrix());
        let out = self.place(step.writes[0])?;
        Some(FusedOp { kind: "GATHER", m, n, k, out, ..FusedOp::default() })
    }

    /// Returns the operation of a product.
    fn product(&mut self, step: &Step) -> Result<Option<FusedOp>> {
        let plan = self.plan;
        let [m, n, k] = product_sizes(plan, step);
        // The shader runs without checks of indices, so sizes are checked here.
        check_shapes(plan, step, [m, n, k])?;
        let mut places = |slots: &[Slot]| -> Option<Vec<usize>> {
            slots.iter().map(|&slot| self.place(slot)).collect()
        };
        let (reads, writes) = (places(&step.reads), places(&step.writes));
        Ok(reads.zip(writes).map(|(reads, writes)| FusedOp {
            kind: "PRODUCT",
            m,
            n,
            k,
            a: reads[0],
            b: reads[1],
            extra: reads.get(2).copied().unwrap_or(0),
            out: writes[0],
            extra_out: writes.get(1).copied().unwrap_or(0),
            fused: fused(&step.kernel),
            dropout: dropout_of(&step.kernel),
        }))
    }

    /// Returns the operation of a loss. The shader reads the batch's targets from the table, not from the slot that the
    /// plan gathers into.
    fn loss(&mut self, step: &Step) -> Option<FusedOp> {
        // The shader has the plain cross-entropy and the plain squared error.
        self.classes = match step.kernel {
            Kernel::LossClasses { loss, form } if form.is_plain() && !form.scaled => {
                (loss.loss() == Loss::CROSS_ENTROPY).then_some(true)
            }
            Kernel::LossMap { formula, form, .. } if form.is_plain() && !form.scaled => {
                self.plan.formula(formula).is_mse().then_some(false)
            }
            _ => None,
        }?;
        let (rows, columns) = self.plan.slot(self.bound.y?).matrix();
        // A vector of classes counts as one row.
        let k = if self.classes { columns } else { rows };
        let (m, n) = self.plan.slot(step.reads[0]).matrix();
        let a = self.place(step.reads[0])?;
        let (extra_out, out) = (self.place(step.writes[0])?, self.place(step.writes[1])?);
        Some(FusedOp { kind: "LOSS", m, n, k, a, out, extra_out, ..FusedOp::default() })
    }

    /// Returns the operation of the mean loss, after one that makes a partial sum for each lane.
    fn log_loss(&mut self, step: &Step) -> Option<FusedOp> {
        self.bound.log = Some(step.writes[0]);
        let (a, out) = (self.place(step.reads[0])?, self.take(self.lanes));
        let m = self.plan.slot(step.reads[0]).len();
        self.ops.push(FusedOp { kind: "PARTIAL_SUMS", m, a, out, ..FusedOp::default() });
        Some(FusedOp { kind: "LOG_LOSS", a: out, ..FusedOp::default() })
    }

    /// Returns the operation of the update.
    fn update(&mut self, step: &Step, update: Update) -> Option<FusedOp> {
        let Update { pass, gathers, averages, table, guarded, .. } = update;
        if pass != PassKind::Whole || gathers || averages || table || guarded {
            return None;
        }
        self.update = Some(update);
        let states = &step.writes[1..];
        // The shader binds two states at most.
        if step.writes[0] != self.weights || states.len() > 2 {
            return None;
        }
        self.bound.states = [states.first().copied(), states.get(1).copied()];
        let (m, a) = (self.plan.slot(self.weights).len(), self.place(step.reads[0])?);
        Some(FusedOp { kind: "UPDATE", m, a, ..FusedOp::default() })
    }

    /// Returns the iterations of a lane's loops in one step, with those that copy the weights in and out.
    fn loop_iterations(&self, variant: &Variant) -> usize {
        let [tile_m, tile_n] = variant.tile.map(|size| size as usize);
        let each = |elements: usize| elements.div_ceil(self.lanes);
        let loop_iterations = |op: &FusedOp| match op.kind {
            "GATHER" => each(op.m * op.n) + 1,
            "PRODUCT" => {
                let tiles = op.m.div_ceil(tile_m) * op.n.div_ceil(tile_n);
                // A subgroup visits all tiles together, single lanes each a fraction of them; both visit a tile's elements
                // once more at its end.
                let tiles = if variant.subgroup.is_some() { tiles } else { each(tiles) };
                tiles
                    * (op.k
                        + tile_m * tile_n / if variant.subgroup.is_some() { self.lanes } else { 1 }
                        + 1)
            }
            "LOSS" => each(op.m) * (3 * op.n + 1),
            "LOG_LOSS" => self.lanes,
            _ => each(op.m) + 1,
        };
        // The weights are copied to the scratch and back once in a dispatch; counting this for each step errs on the safe
        // side.
        let copies = 2 * each(self.plan.slot(self.weights).len());
        self.ops.iter().map(loop_iterations).sum::<usize>() + self.ops.len() + copies
    }

    /// Returns the dispatch of the collected operations.
    fn finish(
        self,
        update: Update,
        variant: &'static Variant,
        most_steps: u32,
    ) -> Result<Dispatch> {
        let Self { plan, weights, ops, bound, slots: places, scratch, classes, .. } = self;
        let mut params = Vec::with_capacity(MAX_OPS * OP_WORDS);
        for op in &ops {
            let kind = KINDS.iter().find(|(name, _)| *name == op.kind);
            params.push(kind.expect("every operation is of a kind in the list").1);
            for value in [op.m, op.n, op.k, op.a, op.b, op.out, op.extra, op.extra_out] {
                params.push(narrow(value)?);
            }
            let Dropout { stream, rate } = op.dropout.unwrap_or(Dropout { stream: 0, rate: 0.0 });
            params.extend([op.fused, stream, bits(rate)]);
        }
        // Unused operations are zeros, and 0 is END.
        params.resize(MAX_OPS * OP_WORDS, 0);
        // The shader indexes the scratch in 32 bits.
        narrow(scratch)?;
        let dropout = ops.iter().any(|op| op.dropout.is_some());
        let consts = sequence_consts(usual_activation(plan), (classes, dropout));
        let generated = sequence_update(plan.formula(update.formula), update);
        let Bound { x, order, y, states: [state, state2], log } = bound;
        let writes = [Some(weights), state, state2, log].map(Binding::from);
        Ok(Dispatch {
            spec: &SEQUENCE,
            variant,
            stored: StorageTypes::F32,
            consts,
            generated,
            params,
            reads: [x, order, y].map(Binding::from).to_vec(),
            writes: [writes.as_slice(), &[Binding::Scratch]].concat(),
            part: None,
            arena: 0,
            grid: [1, 1, 1],
            scratch,
            places,
            unchecked: true,
            many_steps: true,
            most_steps,
        })
    }
}

/// Returns the constants of a fused step's shader: for one activation and one loss, with or without dropout.
pub fn sequence_consts(
    act: Activation,
    (classes, dropout): (bool, bool),
) -> Vec<(&'static str, u32)> {
    let mut all = FUSIONS.to_vec();
    all.extend(KINDS);
    all.extend([
        ("MAX_OPS", MAX_OPS as u32),
        ("MAX_STEPS", MAX_STEPS),
        ("CLASSES", u32::from(classes)),
        ("ACT", number(act)),
        ("SHORT_ACT", short(act, dropout)),
        ("DROPOUT", u32::from(dropout)),
        // An activation whose derivative follows from its result saves the result only if dropout changes it.
        ("SAVE_RESULT", u32::from(act.gradient_from_output())),
    ]);
    all
}

/// Returns the function that updates an element of the weights and of the states.
pub fn sequence_update(formula: &Formula, update: Update) -> String {
    let states = ["state", "state2"];
    let input = |index: u8| match UpdateInput::of(index) {
        UpdateInput::Weight => "scratch[op.out + at]".to_string(),
        UpdateInput::Gradient => "scratch[op.a + at]".to_string(),
        UpdateInput::State(state) => format!("{}[at]", states[state]),
        // Passes with other inputs are not part of a fused step.
        _ => "1.0".to_string(),
    };
    let (body, out) = formula.program.wgsl(input, step_value);
    let mut store = format!("    scratch[op.out + at] = {};\n", out[0]);
    for (state, result) in states.iter().zip(&out[1..]).take(update.states.into()) {
        let _ = writeln!(store, "    {state}[at] = {result};");
    }
    format!("alias V = f32;\nfn update_element(at: u32) {{\n{body}{store}}}\n")
}

/// Returns whether an adapter can bind all slots of a fused step.
pub(super) fn can_bind(limits: &wgpu::Limits) -> bool {
    let bindings: usize = SEQUENCE_BINDINGS.iter().map(|names| names.len()).sum();
    limits.max_storage_buffers_per_shader_stage as usize >= bindings
}
