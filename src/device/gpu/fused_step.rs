//! Whole steps of training a small network as one dispatch: a table of operations for `shaders/sequence.wgsl`.
//!
//! In: a plan. Out: a dispatch that runs a whole training step, or several, or nothing if a step is of a kind that the shader
//! does not know.
//! Absent on purpose: the eval phase, whose batches may run side by side; half precision, since all values of a step lie in one
//! buffer of single precision.

use super::codes::{activation_of, class_loss, dropout_of, fused};
use super::dispatch::{Binding, Dispatch};
use super::fused_text::{LossText, MAX_OPS, OpKind, StepText, UpdatePlaces};
use super::kernels::{SEQUENCE, SEQUENCE_BINDINGS, Variant};
use super::limits::MAX_STEPS;
use super::shader::assemble;
use super::sizes::{bits, check_shapes, narrow, product_sizes};
use crate::error::{Error, Result};
use crate::graph::ClassLoss;
use crate::model::Activation;
use crate::plan::{
    BLOCK, Broadcast, BufferId, Dropout, Element, FormulaId, InitialValues, Kernel, LossVariant,
    Phase, Plan, Role, Slot, Step, StorageTypes, Update,
};

/// Number of words of an operation in the table.
const OP_WORDS: usize = 16;

/// Number of iterations of all its loops together that a lane may make in a dispatch: Mesa 22.3's lavapipe ends loops,
/// silently, after 65,535. The count is an estimate, so this limit is well below.
const MAX_TURNS: usize = 32_000;

/// One operation, its fields as the shader names them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct FusedOp {
    kind: OpKind,
    m: usize,
    n: usize,
    k: usize,
    a: usize,
    b: usize,
    out: usize,
    extra: usize,
    extra_out: usize,
    fused: u32,
    stream: usize,
    rate: f64,
    act: usize,
    formula: usize,
    c: usize,
    d: usize,
}

/// Returns the dispatch that runs whole training steps; `None` if the shader cannot.
///
/// # Errors
/// If sizes do not fit 32 bits, or slots do not have the sizes of their kernels.
pub(super) fn sequence(plan: &Plan, variant: &'static Variant) -> Result<Option<Dispatch>> {
    let steps = plan.steps(Phase::Train);
    let lanes = variant.consts.iter().find(|(name, _)| *name == "LANES");
    let lanes = lanes.expect("the forms of a sequence say how many lanes they have").1;
    let is_update = |step: &&Step| matches!(step.kernel, Kernel::Update(_));
    let update = steps.iter().find(is_update);
    let Some(weights) = update.and_then(|update| update.slot("weight")) else { return Ok(None) };
    // Averaged weights that other phases read lie in the plan's buffer; a dispatch copies them as it copies the weights.
    let mut averages = shared_arenas(plan, weights);
    let average = averages.pop();
    // Products between an update's passes take many turns, for which one workgroup is too few.
    let products =
        steps.iter().skip_while(|step| !is_update(step)).any(|it| it.kernel.is_product());
    if plan.has_half() || !averages.is_empty() || products {
        return Ok(None);
    }
    let mut builder = StepBuilder::new(plan, (weights, average), lanes as usize);
    for step in steps {
        if builder.push(step)?.is_none() {
            return Ok(None);
        }
    }
    // A lane's loops over all steps together are limited, so the network's size limits the steps of a dispatch. The table ends
    // with an operation of the kind END.
    let loop_iterations = builder.loop_iterations(variant);
    if builder.ops.len() >= MAX_OPS || loop_iterations > MAX_TURNS {
        return Ok(None);
    }
    let most_steps = narrow(MAX_TURNS / loop_iterations.max(1))?.min(MAX_STEPS);
    builder.finish(variant, most_steps).map(Some)
}

/// Returns the WGSL of the dispatch that runs whole training steps of a plan; `None` if the shader cannot.
///
/// # Errors
/// As `sequence`.
pub fn whole_step_wgsl(plan: &Plan, variant: &'static Variant) -> Result<Option<String>> {
    let text = |it: Dispatch| assemble(it.spec, variant, it.stored, &it.consts, &it.generated);
    Ok(sequence(plan, variant)?.map(text))
}

/// Returns the arenas of state that phases beside training read or write. The slot that marks skipped steps is none: between
/// updates it marks nothing, and nothing is what the plan's own buffer has.
fn shared_arenas(plan: &Plan, weights: Slot) -> Vec<Slot> {
    let steps = [Phase::Eval, Phase::Measure].into_iter().flat_map(|phase| plan.steps(phase));
    let slots = steps.flat_map(|step| step.reads.iter().chain(&step.writes));
    let buffer = |slot: Slot| plan.slot(slot).buffer;
    let mut found: Vec<Slot> = Vec::new();
    for &slot in slots {
        let spec = plan.buffer(buffer(slot));
        let is_arena = spec.role == Role::State && spec.elements == plan.slot(weights).len();
        if is_arena && !found.iter().any(|&other| buffer(other) == buffer(slot)) {
            found.push(slot);
        }
    }
    // The arena itself, not a parameter's view of it.
    let whole = |slot: Slot| {
        plan.slots().find(|(_, spec)| spec.buffer == buffer(slot)).map_or(slot, |it| it.0)
    };
    found.into_iter().map(whole).collect()
}

/// The plan's slots that a fused step binds, beside the weights.
#[derive(Clone, Copy, Default)]
struct Bound {
    x: Option<Slot>,
    order: Option<Slot>,
    y: Option<Slot>,
    row_weights: Option<Slot>,
    log: Option<Slot>,
}

/// Collects operations and places every value in the scratch: first the weights, then the gradients, as many and at the
/// same distances, then the other arenas and the values that are used inside a step.
struct StepBuilder<'a> {
    plan: &'a Plan,
    weights: Slot,
    average: Option<Slot>,
    ops: Vec<FusedOp>,
    bound: Bound,
    /// First element of each buffer that lies in the scratch, beside the weights.
    places: Vec<(BufferId, usize)>,
    scratch: usize,
    lanes: usize,
    acts: Vec<Activation>,
    maps: Vec<FormulaId>,
    updates: Vec<(FormulaId, Update, UpdatePlaces)>,
    loss: Option<(LossText, LossVariant)>,
    /// First element of the slot that marks skipped steps.
    scaling: Option<usize>,
}

impl<'a> StepBuilder<'a> {
    fn new(plan: &'a Plan, (weights, average): (Slot, Option<Slot>), lanes: usize) -> Self {
        Self {
            plan,
            weights,
            average,
            ops: vec![],
            bound: Bound::default(),
            places: vec![],
            scratch: plan.slot(weights).len(),
            lanes,
            acts: vec![],
            maps: vec![],
            updates: vec![],
            loss: None,
            scaling: None,
        }
    }

    /// Returns the place of a slot in the scratch; `None` for the log, which is bound, and for weights of another arena.
    fn place(&mut self, slot: Slot) -> Option<usize> {
        let spec = self.plan.slot(slot);
        let buffer = self.plan.buffer(spec.buffer);
        match buffer.role {
            Role::Params if spec.buffer == self.plan.slot(self.weights).buffer => {
                return Some(spec.offset);
            }
            Role::Params | Role::Log => return None,
            Role::Gradients | Role::Activations | Role::State | Role::Data => {}
        }
        // Buffers keep their layout, so slots that share memory in the plan share it here.
        let found = self.places.iter().find(|(id, _)| *id == spec.buffer).map(|it| it.1);
        let start = found.unwrap_or_else(|| {
            let start = self.take(buffer.elements);
            self.places.push((spec.buffer, start));
            start
        });
        Some(start + spec.offset)
    }

    /// Returns the place of one of the kernel's arguments; 0 for one that this variant of the kernel does not have.
    fn argument(&mut self, step: &Step, name: &str) -> Option<usize> {
        step.slot(name).map_or(Some(0), |slot| self.place(slot))
    }

    /// Takes elements at the end of the scratch.
    fn take(&mut self, elements: usize) -> usize {
        let start = self.scratch;
        self.scratch += elements;
        start
    }

    fn len(&self, slot: Slot) -> usize {
        self.plan.slot(slot).len()
    }

    /// Checks that a slot has this many elements: the shader runs without checks of indices.
    fn check(&self, step: &Step, slot: Slot, want: usize) -> Result<()> {
        let spec = self.plan.slot(slot);
        if spec.len() == want {
            return Ok(());
        }
        let problem = format!("{} has {} elements, not {want}", spec.name, spec.len());
        Err(Error::shape(step.kernel.name(), problem))
    }

    /// Appends a step's operations; returns `None` if the shader has none for it.
    fn push(&mut self, step: &Step) -> Result<Option<()>> {
        // Operations of one dispatch cost no start of their own, so each formula of a chain is one.
        if let Kernel::Chain(chain) = step.kernel {
            for part in chain.parts(step) {
                if self.push(&part)?.is_none() {
                    return Ok(None);
                }
            }
            return Ok(Some(()));
        }
        let op = match step.kernel {
            Kernel::Gather { ordered: true, targets: true } => self.gather(step),
            Kernel::Gather { ordered: true, targets: false } => self.gather_weights(step),
            Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
                self.product(step)?
            }
            Kernel::Map { .. } | Kernel::MapRows { .. } | Kernel::MapColumns { .. } => {
                self.map(step)?
            }
            Kernel::Lookup { column } | Kernel::LookupGrad { column } => self.lookup(step, column),
            Kernel::LossMap { .. } | Kernel::LossClasses { .. } => self.loss(step)?,
            Kernel::LogLoss => self.log_loss(step),
            Kernel::UpdateRunning { momentum: Some(momentum), unbiased, .. } => {
                self.running(step, momentum, unbiased)?
            }
            Kernel::CheckFinite { loss } => self.check_finite(step, loss),
            Kernel::Rescale { scaled: false, guarded: true } => {
                Some(FusedOp { kind: OpKind::EndGuarded, ..FusedOp::default() })
            }
            Kernel::SquareSums { gradient, gathers, scaled: false } => {
                self.square_sums(step, gradient, gathers)?
            }
            Kernel::ClipNorm { max } => self.clip_norm(step, max),
            Kernel::TrustRatios => self.trust_ratios(step)?,
            Kernel::Update(update) if !update.scaled => self.update(step, update)?,
            _ => None,
        };
        self.ops.extend(op);
        Ok(op.map(|_| ()))
    }

    /// Returns the operation that picks a batch's rows, after the one for their targets.
    fn gather(&mut self, step: &Step) -> Option<FusedOp> {
        let [x, order, y] = step.reads[..] else { return None };
        // A second table of features is not known to the shader.
        if self.bound.x.is_some() {
            return None;
        }
        (self.bound.x, self.bound.order, self.bound.y) = (Some(x), Some(order), Some(y));
        let ((m, n), (k, _)) =
            (self.plan.slot(step.writes[0]).matrix(), self.plan.slot(x).matrix());
        let (out, extra_out) = (self.place(step.writes[0])?, self.place(step.writes[1])?);
        let b = self.len(step.writes[1]) / m.max(1);
        let targets =
            FusedOp { kind: OpKind::GatherTargets, m, k, b, extra_out, ..FusedOp::default() };
        self.ops.push(targets);
        Some(FusedOp { kind: OpKind::Gather, m, n, k, out, ..FusedOp::default() })
    }

    /// Returns the operation that picks the weights of a batch's rows.
    fn gather_weights(&mut self, step: &Step) -> Option<FusedOp> {
        let [table, _] = step.reads[..] else { return None };
        let (k, columns) = self.plan.slot(table).matrix();
        if self.bound.row_weights.is_some() || columns != 1 {
            return None;
        }
        self.bound.row_weights = Some(table);
        let (m, out) = (self.len(step.writes[0]), self.place(step.writes[0])?);
        Some(FusedOp { kind: OpKind::GatherWeights, m, k, out, ..FusedOp::default() })
    }

    /// Returns the operation of a product.
    fn product(&mut self, step: &Step) -> Result<Option<FusedOp>> {
        let plan = self.plan;
        let [m, n, k] = product_sizes(plan, step);
        // The shader runs without checks of indices, so sizes are checked here.
        check_shapes(plan, step, [m, n, k])?;
        let act = activation_of(&step.kernel);
        let known = self.acts.iter().position(|other| *other == act);
        let act = known.unwrap_or_else(|| {
            if act != Activation::Identity {
                self.acts.push(act);
            }
            self.acts.len().saturating_sub(1)
        });
        let mut places = |slots: &[Slot]| -> Option<Vec<usize>> {
            slots.iter().map(|&slot| self.place(slot)).collect()
        };
        let (reads, writes) = (places(&step.reads), places(&step.writes));
        let Dropout { stream, rate } =
            dropout_of(&step.kernel).unwrap_or(Dropout { stream: 0, rate: 0.0 });
        Ok(reads.zip(writes).map(|(reads, writes)| FusedOp {
            kind: OpKind::Product,
            m,
            n,
            k,
            a: reads[0],
            b: reads[1],
            extra: reads.get(2).copied().unwrap_or(0),
            out: writes[0],
            extra_out: writes.get(1).copied().unwrap_or(0),
            fused: fused(&step.kernel),
            stream: stream as usize,
            rate,
            act,
            ..FusedOp::default()
        }))
    }

    /// Returns the operation of a formula, whose operands' places stand in the fields that its text reads.
    fn map(&mut self, step: &Step) -> Result<Option<FusedOp>> {
        let id = step.kernel.formula().expect("the kernels of formulas name one");
        let formula = self.plan.formula(id);
        let (out, n) = (self.len(step.writes[0]), formula.columns);
        let lengths = step.reads.iter().map(|&slot| self.len(slot));
        let (kind, m, results) = match step.kernel {
            Kernel::MapRows { .. } => (OpKind::MapRows, formula.rows(lengths), n),
            Kernel::MapColumns { .. } => (OpKind::MapColumns, out, out),
            _ => (OpKind::Map, out / n.max(1), out / n.max(1) * n),
        };
        self.check(step, step.writes[0], results)?;
        for (operand, &slot) in formula.operands.iter().zip(&step.reads) {
            let want = match operand.along {
                Broadcast::Both => m * operand.width,
                Broadcast::Columns => operand.width,
                Broadcast::Rows => m,
                Broadcast::Nothing => 1,
            };
            self.check(step, slot, want)?;
        }
        let known = self.maps.iter().position(|other| *other == id);
        let index = known.unwrap_or_else(|| {
            self.maps.push(id);
            self.maps.len() - 1
        });
        let maximum = matches!(step.kernel, Kernel::MapColumns { maximum: true, .. });
        let places: Option<Vec<usize>> = step.reads.iter().map(|&slot| self.place(slot)).collect();
        let (Some(places), Some(out)) = (places, self.place(step.writes[0])) else {
            return Ok(None);
        };
        let at = |index: usize| places.get(index).copied().unwrap_or(0);
        Ok(Some(FusedOp {
            kind,
            m,
            n,
            out,
            a: at(0),
            b: at(1),
            extra: at(2),
            c: at(3),
            d: at(4),
            stream: at(5),
            fused: maximum.into(),
            formula: index,
            ..FusedOp::default()
        }))
    }

    /// Returns the operation of a look-up, or of its gradient.
    fn lookup(&mut self, step: &Step, column: u32) -> Option<FusedOp> {
        let gradient = matches!(step.kernel, Kernel::LookupGrad { .. });
        let (kind, table) = if gradient {
            (OpKind::LookupGrad, step.writes[0])
        } else {
            (OpKind::Lookup, step.reads[0])
        };
        let ((m, n), (k, c)) =
            (self.plan.slot(step.slot("x")?).matrix(), self.plan.slot(table).matrix());
        let (a, b) = (self.place(step.reads[0])?, self.place(step.reads[1])?);
        let (out, stream) = (self.place(step.writes[0])?, column as usize);
        Some(FusedOp { kind, m, n, k, c, a, b, out, stream, ..FusedOp::default() })
    }

    /// Returns the operation of a loss.
    fn loss(&mut self, step: &Step) -> Result<Option<FusedOp>> {
        let (text, form, setting) = match step.kernel {
            Kernel::LossClasses { loss, form } => {
                let plain = form.is_plain() && loss == ClassLoss::CROSS_ENTROPY;
                let text = if plain { LossText::CrossEntropy } else { LossText::Classes(loss) };
                (text, form, class_loss(loss).1)
            }
            Kernel::LossMap { formula, width, form } => {
                (LossText::Elements { formula, width }, form, 0.0)
            }
            _ => return Ok(None),
        };
        if form.scaled || form.members != 1 || self.loss.is_some() {
            return Ok(None);
        }
        self.loss = Some((text, form));
        let (m, n) = self.plan.slot(step.reads[0]).matrix();
        let goal = self.len(step.reads[1]);
        self.check(step, step.writes[1], m * n)?;
        let period = step.slot("constants").map_or(1, |slot| self.len(slot)).max(1);
        let names = ["goal", "constants", "weights", "row_loss"];
        let prediction = self.place(step.reads[0]);
        let places: Option<Vec<usize>> =
            names.iter().map(|name| self.argument(step, name)).collect();
        let (Some(a), Some(places), Some(out)) = (prediction, places, self.place(step.writes[1]))
        else {
            return Ok(None);
        };
        Ok(Some(FusedOp {
            kind: OpKind::Losses,
            m,
            n,
            k: goal / m.max(1),
            a,
            b: places[0],
            extra: places[1],
            c: places[2],
            extra_out: places[3],
            out,
            stream: period,
            rate: setting,
            ..FusedOp::default()
        }))
    }

    /// Appends an operation that makes a partial sum for each lane, and returns the place of these sums.
    fn partial_sums(&mut self, kind: OpKind, (a, m): (usize, usize)) -> usize {
        let out = self.take(self.lanes);
        self.ops.push(FusedOp { kind, m, a, out, ..FusedOp::default() });
        out
    }

    /// Returns the operation of the mean loss, after one that sums the rows' losses; those of masked rows are 0.
    fn log_loss(&mut self, step: &Step) -> Option<FusedOp> {
        self.bound.log = Some(step.writes[0]);
        let from = (self.place(step.reads[0])?, self.len(step.reads[0]));
        let a = self.partial_sums(OpKind::PartialSums, from);
        Some(FusedOp { kind: OpKind::LogLoss, a, ..FusedOp::default() })
    }

    /// Returns the operation of a running statistic.
    fn running(&mut self, step: &Step, momentum: f64, unbiased: bool) -> Result<Option<FusedOp>> {
        let m = self.len(step.writes[0]);
        self.check(step, step.reads[0], m)?;
        let (Some(a), Some(out)) = (self.place(step.reads[0]), self.place(step.writes[0])) else {
            return Ok(None);
        };
        let (kind, fused) = (OpKind::UpdateRunning, unbiased.into());
        Ok(Some(FusedOp { kind, m, a, out, fused, rate: momentum, ..FusedOp::default() }))
    }

    /// Returns the operation that notes values that are not finite, after one in which each lane looks for some.
    fn check_finite(&mut self, step: &Step, loss: bool) -> Option<FusedOp> {
        self.scaling = Some(self.place(step.writes[0])?);
        let from = (self.place(step.reads[0])?, self.len(step.reads[0]));
        let a = self.partial_sums(OpKind::FindBad, from);
        Some(FusedOp { kind: OpKind::NoteBad, a, fused: loss.into(), ..FusedOp::default() })
    }

    /// Returns the operation of the sums of squares.
    fn square_sums(
        &mut self,
        step: &Step,
        gradient: bool,
        gathers: bool,
    ) -> Result<Option<FusedOp>> {
        let m = self.len(step.writes[0]);
        self.check(step, step.reads[0], m * BLOCK)?;
        let names = ["x", "gathered", "factors", "sums"];
        let places: Option<Vec<usize>> =
            names.iter().map(|name| self.argument(step, name)).collect();
        Ok(places.map(|places| FusedOp {
            kind: OpKind::SquareSums,
            m,
            a: places[0],
            b: places[1],
            extra: places[2],
            out: places[3],
            fused: gradient.into(),
            stream: gathers.into(),
            ..FusedOp::default()
        }))
    }

    /// Returns the operation that clips the norm, after one that adds the sums of squares.
    fn clip_norm(&mut self, step: &Step, max: f64) -> Option<FusedOp> {
        let from = (self.place(step.reads[0])?, self.len(step.reads[0]));
        let (a, out) = (self.partial_sums(OpKind::PartialSums, from), self.place(step.writes[0])?);
        Some(FusedOp { kind: OpKind::ClipNorm, a, out, rate: max, ..FusedOp::default() })
    }

    /// Returns the last of the operations of the trust ratios, one for each parameter.
    fn trust_ratios(&mut self, step: &Step) -> Result<Option<FusedOp>> {
        let [weights, directions, views] = step.reads[..] else { return Ok(None) };
        let start = self.plan.starts().iter().find(|(slot, _)| *slot == views);
        let Some((_, InitialValues::Indices(views))) = start else { return Ok(None) };
        let (places, out) =
            (self.place(weights).zip(self.place(directions)), self.place(step.writes[0]));
        let (Some((a, b)), Some(out)) = (places, out) else { return Ok(None) };
        let blocks = self.len(weights);
        let mut ops = Vec::new();
        for view in views.chunks_exact(2) {
            let (k, m) = (view[0] as usize, view[1] as usize);
            if k + m > blocks {
                return Err(Error::shape(step.kernel.name(), "a parameter lies beyond the arena"));
            }
            let kind = OpKind::TrustRatio;
            ops.push(FusedOp { kind, m, k, a, b, out, ..FusedOp::default() });
        }
        let last = ops.pop();
        self.ops.extend(ops);
        Ok(last)
    }

    /// Returns the operation of a pass of the update.
    fn update(&mut self, step: &Step, update: Update) -> Result<Option<FusedOp>> {
        let m = self.len(self.weights);
        if step.writes[0] != self.weights {
            return Ok(None);
        }
        let arena = |name: &str| step.slot(name).filter(|_| name != "scaling");
        for name in ["gradient", "state0", "state1", "state2", "gathered", "average"] {
            if let Some(slot) = arena(name) {
                self.check(step, slot, m)?;
            }
        }
        let names = ["gradient", "state0", "state1", "state2", "gathered", "average", "factors"];
        let places: Option<Vec<usize>> =
            names.iter().map(|name| self.argument(step, name)).collect();
        let Some(places) = places else { return Ok(None) };
        let [gradient, state0, state1, state2, gathered, average, factors] = places[..] else {
            return Ok(None);
        };
        let states = [state0, state1, state2];
        let places = UpdatePlaces { gradient, states, gathered, average, factors };
        self.updates.push((update.formula, update, places));
        let formula = self.updates.len() - 1;
        Ok(Some(FusedOp { kind: OpKind::Update, m, formula, ..FusedOp::default() }))
    }

    /// Returns the iterations of a lane's loops in one step, with those that copy the weights in and out.
    fn loop_iterations(&self, variant: &Variant) -> usize {
        let [tile_m, tile_n] = variant.tile.map(|size| size as usize);
        let each = |elements: usize| elements.div_ceil(self.lanes);
        let loop_iterations = |op: &FusedOp| match op.kind {
            OpKind::Gather | OpKind::Map => each(op.m * op.n) + 1,
            OpKind::GatherTargets => each(op.m * op.b) + 1,
            OpKind::Product => {
                let tiles = op.m.div_ceil(tile_m) * op.n.div_ceil(tile_n);
                // A subgroup visits all tiles together, single lanes each a fraction of them; both visit a tile's elements
                // once more at its end.
                let tiles = if variant.subgroup.is_some() { tiles } else { each(tiles) };
                tiles
                    * (op.k
                        + tile_m * tile_n / if variant.subgroup.is_some() { self.lanes } else { 1 }
                        + 1)
            }
            OpKind::MapRows => each(op.n) * (op.m + 1),
            OpKind::MapColumns => each(op.m) * (op.n + 1),
            OpKind::Lookup => each(op.m * op.c) + 1,
            OpKind::LookupGrad => each(op.k * op.c) * (op.m + 1),
            OpKind::Losses => each(op.m) * (4 * op.n + 1),
            OpKind::SquareSums => each(op.m) * (BLOCK + 1),
            OpKind::LogLoss | OpKind::NoteBad | OpKind::ClipNorm => self.lanes,
            OpKind::TrustRatio => 2 * op.m,
            _ => each(op.m) + 1,
        };
        // The weights are copied to the scratch and back once in a dispatch; counting this for each step errs on the safe
        // side.
        let copies = 4 * each(self.len(self.weights));
        self.ops.iter().map(loop_iterations).sum::<usize>() + self.ops.len() + copies
    }

    /// Returns the dispatch of the collected operations.
    fn finish(mut self, variant: &'static Variant, most_steps: u32) -> Result<Dispatch> {
        let mut params = Vec::with_capacity(MAX_OPS * OP_WORDS);
        for op in &self.ops {
            params.push(op.kind as u32);
            for value in [op.m, op.n, op.k, op.a, op.b, op.out, op.extra, op.extra_out] {
                params.push(narrow(value)?);
            }
            params.extend([op.fused, narrow(op.stream)?, bits(op.rate)]);
            for value in [op.act, op.formula, op.c, op.d] {
                params.push(narrow(value)?);
            }
        }
        // Unused operations are zeros, and 0 is END.
        params.resize(MAX_OPS * OP_WORDS, 0);
        let average = self.average.map(|slot| self.place(slot).expect("state has a place"));
        // The shader indexes the scratch in 32 bits.
        narrow(self.scratch)?;
        let Self { plan, weights, ops, bound, places, scratch, .. } = self;
        let mut kinds: Vec<OpKind> = ops.iter().map(|op| op.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let text = StepText {
            plan,
            kinds,
            acts: self.acts,
            maps: self.maps,
            updates: self.updates,
            loss: self.loss,
            classes: bound.y.is_some_and(|y| plan.slot(y).element == Element::U32),
            dropout: ops.iter().any(|op| op.kind == OpKind::Product && op.rate != 0.0),
            scaling: self.scaling,
            average,
        };
        let Bound { x, order, y, row_weights, log } = bound;
        let writes = [Some(weights), self.average, log].map(Binding::from);
        Ok(Dispatch {
            spec: &SEQUENCE,
            variant,
            stored: StorageTypes::F32,
            consts: text.consts(),
            generated: text.wgsl(),
            params,
            reads: [x, order, y, row_weights].map(Binding::from).to_vec(),
            writes: [writes.as_slice(), &[Binding::Scratch]].concat(),
            part: None,
            arena: 0,
            grid: [1, 1, 1],
            scratch,
            // The plan's own buffer has the averaged weights between dispatches.
            places: {
                let shared = self.average.map(|slot| plan.slot(slot).buffer);
                places.into_iter().filter(|(id, _)| Some(*id) != shared).collect()
            },
            unchecked: true,
            many_steps: true,
            most_steps,
            members: 1,
        })
    }
}

/// Returns whether an adapter can bind all slots of a fused step.
pub(super) fn can_bind(limits: &wgpu::Limits) -> bool {
    let bindings: usize = SEQUENCE_BINDINGS.iter().map(|names| names.len()).sum();
    limits.max_storage_buffers_per_shader_stage as usize >= bindings
}
