//! Runs a plan's steps one after the other, all values in one arena.

use std::ops::Range;

use super::engine::Engine;
use super::kernels::{self, Adam, Product, Sgd};
use super::loss::{Extra, Goal};
use super::map::{Mapped, Over};
use super::update::{OVERFLOW, Squared, Updated, clip_norm, trust_ratios};
use super::vector::{Instructions, Vector};
use super::{Compiled, Real};
use crate::device::{Device, DeviceInfo, Values, half, memory};
use crate::error::{Error, Result};
use crate::expr::Program;
use crate::model::Activation;
use crate::plan::{
    BufferSpec, Element, Formula, Kernel, MOST_OPERANDS, Phase, Plan, Slot, SlotSpec, Start, Step,
    StepRow, WINDOW,
};

/// The CPU as a device: `CpuDevice<f32>` for use, `CpuDevice<f64>` as the reference.
#[derive(Debug)]
pub struct CpuDevice<T: Real> {
    info: DeviceInfo,
    engine: T::Engine,
    plan: Option<Plan>,
    /// Every float buffer of the plan, end to end: a step borrows disjoint ranges of it.
    floats: Vec<T>,
    /// Every buffer of row numbers and classes, likewise.
    indices: Vec<u32>,
    train: Sequence,
    eval: Sequence,
    measure: Sequence,
    losses: Vec<f32>,
    log: Option<Range<usize>>,
}

/// A phase's steps, ready to run, and the numbers of its window.
#[derive(Debug, Default)]
struct Sequence {
    steps: Vec<Ready>,
    rows: Vec<StepRow>,
}

/// Slots of floats that a step reads at most.
const READS: usize = 5;
/// Those that it reads and writes at most.
const SLOTS: usize = READS + 7;

/// A step with its slots' ranges in the arenas.
#[derive(Debug)]
struct Ready {
    kernel: Kernel,
    /// Float slots: the reads, then the writes; empty ranges where there is none.
    floats: [Range<usize>; SLOTS],
    /// Slots of whole numbers: order, source, destination.
    indices: [Range<usize>; 3],
    /// Rows and columns of the first write.
    out: (usize, usize),
    /// Terms of each sum, for products.
    k: usize,
    /// Whether the second read is the first one again.
    same: bool,
    /// The operands of a formula, which may overlap, and the matrix's rows.
    mapped: Option<(Formula, Vec<Range<usize>>, usize)>,
    /// What an update computes.
    update: Option<Formula>,
    /// The formula, the update or the loss, made ready for wide vectors.
    compiled: Compiled,
    /// What it writes in half precision: computed in the device's own, then rounded.
    halves: Vec<Range<usize>>,
    /// What computes an elementwise loss.
    loss: Option<Program>,
    /// What is not 0 while the step is skipped, and what it empties then.
    guard: Option<(usize, Range<usize>)>,
}

impl<T: Real> CpuDevice<T> {
    /// A device without a plan.
    pub fn new() -> Self {
        Self::with(T::Engine::new())
    }

    fn with(engine: T::Engine) -> Self {
        let threads = engine.threads();
        let plural = if threads == 1 { "" } else { "s" };
        let info = DeviceInfo {
            name: "CPU".to_string(),
            kind: crate::device::CPU.to_string(),
            backend: format!("{}, {threads} thread{plural}", engine.name()),
            driver: String::new(),
        };
        Self {
            info,
            engine,
            plan: None,
            floats: vec![],
            indices: vec![],
            train: Sequence::default(),
            eval: Sequence::default(),
            measure: Sequence::default(),
            losses: vec![],
            log: None,
        }
    }

    /// A slot's floats in the device's own precision.
    ///
    /// # Errors
    /// If no plan is loaded or the slot holds no floats.
    pub fn values(&self, slot: Slot) -> Result<&[T]> {
        let (spec, range) = self.place(slot)?;
        match spec.element {
            Element::F32 | Element::F16 => Ok(&self.floats[range]),
            Element::U32 => {
                Err(self.failure(format!("{} holds whole numbers, not floats", spec.name)))
            }
        }
    }

    /// Sets all of a slot's floats in the device's own precision, which [`Device::write`] would round.
    ///
    /// # Errors
    /// If no plan is loaded, the slot holds no floats, or another number of them.
    pub fn set_values(&mut self, slot: Slot, values: &[T]) -> Result<()> {
        let (spec, range) = self.place(slot)?;
        if !spec.element.is_float() || range.len() != values.len() {
            let problem = format!("{} floats are not what {} holds", values.len(), spec.name);
            return Err(self.failure(problem));
        }
        let half = spec.element == Element::F16;
        self.floats[range.clone()].copy_from_slice(values);
        if half {
            round(&mut self.floats[range]);
        }
        Ok(())
    }

    fn failure(&self, problem: String) -> Error {
        Error::Device { adapter: self.info.name.clone(), problem }
    }

    fn place(&self, slot: Slot) -> Result<(&SlotSpec, Range<usize>)> {
        let plan =
            self.plan.as_ref().ok_or_else(|| self.failure("no plan is loaded".to_string()))?;
        let spec = plan.slot(slot);
        let start = buffer_start(plan, spec) + spec.offset;
        Ok((spec, start..start + spec.len()))
    }

    fn sequence(&mut self, phase: Phase) -> &mut Sequence {
        match phase {
            Phase::Train => &mut self.train,
            Phase::Eval => &mut self.eval,
            Phase::Measure => &mut self.measure,
        }
    }
}

impl CpuDevice<f32> {
    /// A device that computes with these instructions, to check those that the widest stand in front of.
    pub fn using(instructions: Instructions) -> Self {
        Self::with(Vector::using(instructions))
    }
}

impl<T: Real> Default for CpuDevice<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a slot's buffer begins in the arena of its kind: the buffers of that kind lie end to end.
fn buffer_start(plan: &Plan, spec: &SlotSpec) -> usize {
    let before = &plan.buffers()[..spec.buffer.0 as usize];
    before
        .iter()
        .filter(|buffer| buffer.element.is_float() == spec.element.is_float())
        .map(|buffer| buffer.elements)
        .sum()
}

/// Rounds numbers to half precision.
fn round<T: Real>(values: &mut [T]) {
    values.iter_mut().for_each(|value| *value = T::of(half::rounded(value.to_f64())));
}

/// Rows of the matrix that a formula goes over.
fn rows_of(formula: &Formula, kernel: Kernel, operands: &[Range<usize>], out: usize) -> usize {
    match kernel {
        Kernel::MapRows { .. } => formula.rows(operands.iter().map(ExactSizeIterator::len)),
        Kernel::MapColumns { .. } => out,
        _ => out / formula.columns.max(1),
    }
}

fn ready(plan: &Plan, step: &Step) -> Ready {
    let spec = |slot: &Slot| plan.slot(*slot);
    let range = |spec: &SlotSpec| {
        let start = buffer_start(plan, spec) + spec.offset;
        start..start + spec.len()
    };
    let mut floats = [const { 0..0 }; SLOTS];
    let mut indices = [const { 0..0 }; 3];
    let same = step.reads.len() > 1 && step.reads[0] == step.reads[1];
    for (i, slot) in step.reads.iter().enumerate() {
        match (step.kernel, spec(slot).element) {
            // The order is the one read of whole numbers that is no table.
            (Kernel::Gather { ordered: true, .. }, Element::U32) if i == 1 => {
                indices[0] = range(spec(slot))
            }
            (_, Element::U32) => indices[1] = range(spec(slot)),
            _ if i == 1 && same => {}
            _ => floats[i] = range(spec(slot)),
        }
    }
    for (i, slot) in step.writes.iter().enumerate() {
        match spec(slot).element {
            Element::F32 | Element::F16 => floats[READS + i] = range(spec(slot)),
            Element::U32 => indices[2] = range(spec(slot)),
        }
    }
    let (a_rows, a_columns) = step.reads.first().map_or((0, 0), |slot| spec(slot).matrix());
    let writes = step.writes.iter().map(spec);
    let halves = writes.filter(|slot| slot.element == Element::F16).map(range).collect();
    let k = if matches!(step.kernel, Kernel::MatmulTn { .. }) { a_rows } else { a_columns };
    let out = spec(&step.writes[0]).matrix();
    let loss = match step.kernel {
        Kernel::LossMap(form) => form.loss.formula().map(|formula| formula.program()),
        _ => None,
    };
    let formula = step.kernel.formula().map(|id| plan.formula(id).clone());
    let compiled = match (step.kernel, &formula, &loss) {
        (Kernel::Update(update), Some(formula), _) => {
            Compiled::of_update(&formula.program, &update)
        }
        (_, Some(formula), _) => Compiled::of(formula),
        (Kernel::LossMap(form), None, Some(loss)) => Compiled::of_loss(loss, &form),
        (_, None, _) => Compiled::default(),
    };
    let (update, formula) = match step.kernel {
        Kernel::Update(_) => (formula, None),
        _ => (None, formula),
    };
    let mapped = formula.map(|formula| {
        let operands: Vec<_> = step.reads.iter().map(|slot| range(spec(slot))).collect();
        let rows = rows_of(&formula, step.kernel, &operands, spec(&step.writes[0]).len());
        (formula, operands, rows)
    });
    if mapped.is_some() {
        floats = [const { 0..0 }; SLOTS];
        floats[READS] = range(spec(&step.writes[0]));
    }
    let guard = step.kernel.is_guarded().then(|| {
        let gathered = match step.kernel {
            Kernel::Update(update) if update.gathers => {
                range(spec(&step.writes[1 + usize::from(update.states)]))
            }
            _ => 0..0,
        };
        (range(spec(&step.reads[1])).start + OVERFLOW, gathered)
    });
    Ready {
        kernel: step.kernel,
        floats,
        indices,
        out,
        k,
        same,
        mapped,
        update,
        compiled,
        halves,
        loss,
        guard,
    }
}

impl Ready {
    /// Sizes of what is written first, and of sums.
    fn product(&self) -> Product {
        Product { m: self.out.0, n: self.out.1, k: self.k }
    }

    /// The same for products; of other steps, the sizes of what they go through, and what an element costs.
    fn work(&self) -> Product {
        match &self.mapped {
            Some((formula, _, rows)) => {
                Product { m: *rows, n: formula.columns, k: self.compiled.cost() }
            }
            None if self.kernel.is_product() => self.product(),
            None if self.loss.is_some() => {
                let n = self.floats[READS + 1].len() / self.out.0.max(1);
                Product { m: self.out.0, n, k: self.compiled.cost() }
            }
            // Reading two and writing one.
            None => Product { k: 4, ..self.product() },
        }
    }

    fn run<T: Real>(
        &self,
        engine: &T::Engine,
        floats: &mut [T],
        indices: &mut [u32],
        step: &StepRow,
    ) {
        if let Some((overflow, gathered)) = &self.guard
            && floats[*overflow] != T::zero()
        {
            // What was gathered before goes with it.
            return floats[gathered.clone()].fill(T::zero());
        }
        if let Some((formula, operands, rows)) = &self.mapped {
            return self.map::<T>(engine, floats, (formula, operands, *rows), step);
        }
        let parts = floats.get_disjoint_mut(self.floats.clone());
        let [a, b, c, d, e, out, out2, out3, out4, out5, out6, out7] =
            parts.expect("a plan's steps read and write different buffers");
        let parts = indices.get_disjoint_mut(self.indices.clone());
        let [order, table, picked] =
            parts.expect("a plan's steps read and write different buffers");
        let (a, b, c, d, e) = (&*a, if self.same { &*a } else { &*b }, &*c, &*d, &*e);
        let (m, n) = self.out;
        let product = self.product();
        match self.kernel {
            Kernel::Gather { ordered, targets } => {
                let order = ordered.then_some(&*order);
                kernels::gather(a, order, out, n, step);
                if targets && !picked.is_empty() {
                    kernels::gather(table, order, picked, 1, step);
                } else if targets {
                    // Targets are the read after the order.
                    kernels::gather(c, order, out2, out2.len() / m, step);
                }
            }
            Kernel::MatmulNt { bias, act, save, dropout } => {
                // With dropout, what the gradient is computed from may be the result before it.
                let result = dropout.is_some() && act.gradient_from_output();
                let saved = (save && !result).then_some(&mut *out2);
                engine.matmul_nt((a, b, bias.then_some(c)), act, (out, saved), product);
                if save && result {
                    out2.copy_from_slice(out);
                }
                engine.dropout(out, dropout, step);
            }
            Kernel::MatmulNn { act_grad, dropout } => {
                let saved = (act_grad != Activation::Identity).then_some(c);
                engine.matmul_nn((a, b, saved), act_grad, out, product);
                engine.dropout(out, dropout, step);
            }
            Kernel::MatmulTn { bias_grad } => {
                engine.matmul_tn((a, b), (out, bias_grad.then_some(out2)), product);
            }
            Kernel::Activate { act, bias } => engine.activate(a, bias.then_some(b), act, out, n),
            Kernel::ActivateGrad { act } => engine.activate_grad(a, b, act, out),
            // They were done before.
            Kernel::Map { .. } | Kernel::MapRows { .. } | Kernel::MapColumns { .. } => {}
            Kernel::Lookup { column } => kernels::lookup(a, b, column as usize, out, m),
            Kernel::LookupGrad { column } => {
                kernels::lookup_grad(a, b, column as usize, (out, m), step);
            }
            Kernel::Add => engine.add(a, b, out),
            Kernel::SumRows => engine.sum_rows(a, out, n),
            Kernel::LossCrossEntropy { scaled } => {
                let columns = out2.len() / out.len();
                engine.loss_cross_entropy(a, table, (out, out2), columns, step);
                if scaled {
                    kernels::scale(out2, c);
                }
            }
            Kernel::LossMse { scaled } => {
                let columns = out2.len() / out.len();
                engine.loss_mse(a, b, (out, out2), columns, step);
                if scaled {
                    kernels::scale(out2, c);
                }
            }
            Kernel::LossMap(form) | Kernel::LossClasses(form) => {
                let mut more = [c, d, e].into_iter();
                let mut next = |present: bool| if present { more.next() } else { None };
                let (constants, weights) = (next(form.constants), next(form.weights));
                let (extra, scaling) = (Extra { constants, weights }, next(form.scaled));
                let outs = (out, &mut *out2);
                match &self.loss {
                    Some(program) => {
                        let of = (&form, program, &self.compiled);
                        engine.loss_map(of, (a, b), extra, outs, step);
                    }
                    None => {
                        let classes = form.loss.classes();
                        let goal = if classes { Goal::Classes(table) } else { Goal::Numbers(b) };
                        engine.loss_classes(&form, (a, goal), extra, outs, step);
                    }
                }
                if let Some(scaling) = scaling {
                    kernels::scale(out2, scaling);
                }
            }
            Kernel::LogLoss => kernels::log_loss(a, out, step),
            Kernel::PutRows => kernels::put_rows(a, out, n, step),
            Kernel::UpdateRunning { momentum, unbiased, guarded } => {
                kernels::update_running(a, out, (momentum, unbiased, guarded), step);
            }
            Kernel::CheckFinite { loss } => {
                kernels::check_finite(a, loss.then(|| b[step.log as usize]), out);
            }
            Kernel::Rescale { scaled, guarded } => {
                let log = step.log as usize;
                if !guarded || kernels::end_guarded(out, &mut out2[log], scaled, step.apply) {
                    kernels::rescale(out);
                }
            }
            Kernel::UpdateSgd { momentum, nesterov, weight_decay, scaled, .. } => {
                let (velocity, half) =
                    if momentum == 0.0 { (None, out2) } else { (Some(out2), out3) };
                let sgd = Sgd { momentum, nesterov, weight_decay };
                let update = |g: &[T], w: &mut [T]| engine.update_sgd(g, w, velocity, sgd, step);
                kernels::update(a, scaled.then_some((b, half)), out, update);
            }
            Kernel::UpdateAdam { beta1, beta2, eps, weight_decay, decoupled, scaled, .. } => {
                let adam = Adam { beta1, beta2, eps, weight_decay, decoupled };
                let update =
                    |g: &[T], w: &mut [T]| engine.update_adam(g, (w, out2, out3), adam, step);
                kernels::update(a, scaled.then_some((b, out4)), out, update);
            }
            Kernel::Update(update) => {
                let mut reads = [b, c].into_iter();
                let mut read = |there: bool| if there { reads.next() } else { None };
                let scaling = read(update.reads_scaling()).unwrap_or_default();
                let table = read(update.table).unwrap_or_default();
                let mut writes = [out2, out3, out4, out5, out6, out7].into_iter();
                let mut write =
                    |there: bool| if there { writes.next() } else { None }.unwrap_or_default();
                let states = [0, 1, 2].map(|index| write(index < update.states));
                let gathered = write(update.gathers);
                let average = write(update.averages);
                let half = write(update.writes_half());
                let Some(formula) = &self.update else { return };
                let program = &formula.program;
                engine.update(Updated {
                    update,
                    program,
                    compiled: &self.compiled,
                    step: *step,
                    scaling,
                    table,
                    first: 0,
                    gradient: a,
                    weight: out,
                    states,
                    gathered,
                    average,
                    half,
                });
            }
            Kernel::SquareSums { gradient, gathers, scaled } => {
                let mut reads = [b, c, d].into_iter();
                let mut read = |there: bool| if there { reads.next() } else { None };
                let (gathered, scaling) = (read(gathers), read(scaled));
                let of = Squared { x: a, gathered, scaling, table: read(gradient) };
                engine.square_sums(of, out, step);
            }
            Kernel::ClipNorm { max } => clip_norm(a, out, max),
            Kernel::TrustRatios => trust_ratios(a, b, table, out),
        }
        for range in &self.halves {
            round(&mut floats[range.clone()]);
        }
    }

    fn map<T: Real>(
        &self,
        engine: &T::Engine,
        floats: &mut [T],
        (formula, operands, rows): (&Formula, &[Range<usize>], usize),
        step: &StepRow,
    ) {
        let out = self.floats[READS].clone();
        let (before, rest) = floats.split_at_mut(out.start);
        let (out, after) = rest.split_at_mut(out.len());
        let mut values: [&[T]; MOST_OPERANDS] = [&[]; MOST_OPERANDS];
        let end = before.len() + out.len();
        for (values, range) in values.iter_mut().zip(operands) {
            // No step reads what it writes.
            *values = match range.start.checked_sub(end) {
                Some(start) => &after[start..start + range.len()],
                None => &before[range.clone()],
            };
        }
        let over = match self.kernel {
            Kernel::MapRows { .. } => Over::Rows,
            Kernel::MapColumns { maximum: false, .. } => Over::Columns,
            Kernel::MapColumns { .. } => Over::Largest,
            _ => Over::Nothing,
        };
        let compiled = &self.compiled;
        engine.map(Mapped { formula, compiled, operands: values, rows, step: *step }, over, out);
    }
}

impl<T: Real> Device for CpuDevice<T> {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, plan: &Plan) -> Result<()> {
        let total = |floats: bool| -> usize {
            plan.buffers()
                .iter()
                .filter(|buffer| buffer.element.is_float() == floats)
                .map(|buffer| buffer.elements)
                .sum()
        };
        memory::check(plan, self.bytes_for(plan), &self.info)?;
        let refused = |_| {
            self.failure("the system gives no more memory; use smaller layers or fewer rows".into())
        };
        let (mut floats, mut indices) = (Vec::new(), Vec::new());
        floats.try_reserve_exact(total(true)).map_err(refused)?;
        floats.resize(total(true), T::zero());
        indices.try_reserve_exact(total(false)).map_err(refused)?;
        indices.resize(total(false), 0);
        (self.floats, self.indices) = (floats, indices);
        let steps = |phase| plan.steps(phase).iter().map(|step| ready(plan, step)).collect();
        self.train = Sequence { steps: steps(Phase::Train), rows: vec![] };
        self.eval = Sequence { steps: steps(Phase::Eval), rows: vec![] };
        self.measure = Sequence { steps: steps(Phase::Measure), rows: vec![] };
        let sequences = [&self.train, &self.eval, &self.measure];
        let sizes = sequences.into_iter().flat_map(|sequence| &sequence.steps);
        self.engine.prepare(&sizes.map(|step| (step.kernel, step.work())).collect::<Vec<_>>());
        // `run` then pushes without growing it, as long as losses are taken each window.
        self.losses = Vec::with_capacity(WINDOW);
        self.plan = Some(plan.clone());
        self.log = match plan.ports.log {
            Some(log) => Some(self.place(log)?.1),
            None => None,
        };
        for (slot, start) in plan.starts() {
            match start {
                Start::Floats(values) => {
                    let values: Vec<T> = values.iter().map(|&value| T::of(value)).collect();
                    self.set_values(*slot, &values)?;
                }
                Start::Indices(values) => self.write(*slot, 0, Values::U32(values))?,
            }
        }
        Ok(())
    }

    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()> {
        let (spec, range) = self.place(slot)?;
        let (name, element) = (spec.name.clone(), spec.element);
        let range = range.start + first..range.start + first + values.len();
        if first + values.len() > self.place(slot)?.1.len() {
            return Err(
                self.failure(format!("{} values do not fit {name} from {first} on", values.len()))
            );
        }
        match (values, element) {
            (Values::F32(values), Element::F32 | Element::F16) => {
                for (to, &from) in self.floats[range.clone()].iter_mut().zip(values) {
                    *to = T::of_f32(from);
                }
                if element == Element::F16 {
                    round(&mut self.floats[range]);
                }
            }
            (Values::U32(values), Element::U32) => self.indices[range].copy_from_slice(values),
            _ => return Err(self.failure(format!("{name} holds another kind of numbers"))),
        }
        Ok(())
    }

    fn write_steps(&mut self, phase: Phase, rows: &[StepRow]) -> Result<()> {
        if rows.len() > WINDOW {
            return Err(self
                .failure(format!("{} steps at once, at most {WINDOW} are possible", rows.len())));
        }
        let sequence = self.sequence(phase);
        sequence.rows.clear();
        sequence.rows.extend_from_slice(rows);
        Ok(())
    }

    fn stride(&self, _phase: Phase) -> u32 {
        // Steps are done when `run` returns: a handful at a time keeps news coming.
        16
    }

    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()> {
        let sequence = match phase {
            Phase::Train => &self.train,
            Phase::Eval => &self.eval,
            Phase::Measure => &self.measure,
        };
        let rows = sequence.rows.get(steps.start as usize..steps.end as usize);
        let rows =
            rows.ok_or_else(|| self.failure(format!("steps {steps:?} lie outside of the window")))?;
        let (engine, floats, indices) = (&self.engine, &mut self.floats, &mut self.indices);
        let log = self.log.as_ref().filter(|_| phase == Phase::Train);
        engine.enter(|| {
            for row in rows {
                for step in &sequence.steps {
                    step.run(engine, floats, indices, row);
                }
                if let Some(log) = log {
                    self.losses.push(floats[log.start + row.log as usize].to_f32());
                }
            }
        });
        Ok(())
    }

    fn take_losses(&mut self, _wait: bool) -> Result<Vec<f32>> {
        Ok(self.losses.drain(..).collect())
    }

    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>> {
        let values = self.values(slot)?;
        let values = values
            .get(..len)
            .ok_or_else(|| self.failure(format!("{len} elements are more than the slot's")))?;
        Ok(values.iter().map(|value| value.to_f32()).collect())
    }

    fn slot_limit(&self) -> Option<u64> {
        None
    }

    fn bytes_for(&self, plan: &Plan) -> u64 {
        let bytes = |buffer: &BufferSpec| match buffer.element {
            Element::F32 | Element::F16 => std::mem::size_of::<T>() * buffer.elements,
            Element::U32 => 4 * buffer.elements,
        };
        plan.buffers().iter().map(|buffer| bytes(buffer) as u64).sum()
    }

    fn variants(&self) -> Vec<String> {
        vec![format!("matmul: {}", self.engine.products())]
    }
}
