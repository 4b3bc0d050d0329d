//! A plan's step as dispatches: constants, parameters, bindings and grid, all pure arithmetic.

use std::ops::Range;

use super::kernels::{KERNELS, KernelSpec, Variant};
use super::load::UNIFORM_STRIDE;
use super::pipeline::STEP_BYTES;
use super::sequence::MAX_STEPS;
use super::shader::{activation_of, class_loss, consts, dropout_of, fused, generated};
use crate::error::{Error, Result};
use crate::model::Activation;
use crate::plan::{
    Along, BLOCK, Dropout, Formula, Kernel, MOST_OPERANDS, Phase, Plan, Slot, Step, Stored,
};

/// States that the kernel `update` binds.
const MOST_STATES: u8 = 3;

/// Workgroups that an axis of a grid may have in WebGPU.
const MAX_GROUPS_PER_AXIS: u32 = 65_535;

/// One dispatch, ready to be made into a pipeline and a bind group.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) spec: &'static KernelSpec,
    pub(super) variant: &'static Variant,
    /// What its numbers are kept in.
    pub(super) stored: Stored,
    pub(super) consts: Vec<(&'static str, u32)>,
    /// WGSL that the host writes: what a formula computes.
    pub(super) generated: String,
    /// Bits of the fields of `Params`.
    pub(super) params: Vec<u32>,
    /// Reads, then writes.
    pub(super) bindings: Vec<Binding>,
    /// Elements of arenas that are bound, where it is not all of them.
    pub(super) part: Option<Range<usize>>,
    pub(super) grid: [u32; 3],
    /// Elements of a buffer of its own.
    pub(super) scratch: usize,
    /// Slots whose values lie in that buffer instead of the plan's own, each with its first element there.
    pub(super) places: Vec<(Slot, usize)>,
    /// Whether the shader is compiled without checks of indices (`pipeline.rs` says why it may be).
    pub(super) unchecked: bool,
    /// Whether one dispatch does as many steps as it has workgroups (`sequence.rs`).
    pub(super) many_steps: bool,
    /// Steps that one dispatch does at most.
    pub(super) most_steps: u32,
}

impl Launch {
    /// Bytes of the steps' rows that are bound.
    pub(super) fn row_bytes(&self) -> u64 {
        if self.many_steps { UNIFORM_STRIDE * u64::from(MAX_STEPS) } else { STEP_BYTES }
    }

    /// Bytes of its parameters.
    pub(super) fn param_bytes(&self) -> u64 {
        4 * self.params.len() as u64
    }
}

/// What is bound in one place of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Binding {
    /// A slot of the plan.
    Slot(Slot),
    /// Anything: the fusion that would use it is absent.
    Absent,
    /// The dispatch's own buffer.
    Scratch,
}

impl From<Option<Slot>> for Binding {
    fn from(slot: Option<Slot>) -> Self {
        slot.map_or(Self::Absent, Self::Slot)
    }
}

/// Workgroups in all, folded into y beyond what an axis may have.
pub(super) fn grid(groups: u32) -> [u32; 3] {
    let y = groups.div_ceil(MAX_GROUPS_PER_AXIS).max(1);
    [groups.div_ceil(y).max(1), y, 1]
}

/// The row of a kernel.
pub(super) fn spec_of(kernel: &Kernel) -> Result<&'static KernelSpec> {
    KERNELS
        .iter()
        .find(|spec| spec.name == kernel.name())
        .ok_or_else(|| Error::shape(kernel.name(), "it has no row in the table of GPU kernels"))
}

/// The dispatches of a step: one, or several where an arena exceeds `most` elements a binding. `usual` is the activation
/// that shared pipelines are compiled for.
pub(super) fn launches(
    plan: &Plan,
    step: &Step,
    variant: &'static Variant,
    usual: Activation,
    most: usize,
) -> Result<Vec<Launch>> {
    let spec = spec_of(&step.kernel)?;
    let stored = plan.stored(step)?;
    let base = |params, elements| Launch {
        spec,
        variant,
        stored,
        consts: consts(&step.kernel, variant, usual),
        generated: generated(&step.kernel, plan.formulas()),
        params,
        bindings: bindings(&step.kernel, step).into_iter().map(Binding::from).collect(),
        part: None,
        grid: grid(elements),
        scratch: 0,
        places: Vec::new(),
        unchecked: step.kernel.is_product(),
        many_steps: false,
        most_steps: 1,
    };
    let Some(arena) = arena_of(plan, step) else {
        let (params, groups) = sizes(plan, step, variant)?;
        return Ok(vec![base(params, groups)]);
    };
    // These kernels go through arenas element by element, so they may be cut anywhere on the alignment.
    let alignment = stored.read.alignment().max(stored.write.alignment());
    // A workgroup sums the squares of as many blocks as it has lanes.
    let sums = matches!(step.kernel, Kernel::SquareSums { .. });
    let alignment = if sums { BLOCK * variant.tile[1] as usize } else { alignment };
    let part = (most / alignment).max(1) * alignment;
    let parts = (0..arena).step_by(part).map(|start| start..arena.min(start + part));
    parts
        .map(|part| {
            let vectors = narrow(part.len() / 4)?;
            // The first field is the length.
            let mut params = vec![vectors];
            match step.kernel {
                Kernel::Update(_) | Kernel::SquareSums { .. } => {
                    params.push(narrow(part.start / BLOCK)?);
                }
                _ => params.extend(update_settings(&step.kernel, &spec.params[1..])),
            }
            let each = if sums { narrow(BLOCK / 4)? } else { 1 };
            let mut launch = base(params, vectors.div_ceil(each * variant.tile[1]));
            launch.part = Some(part);
            Ok(launch)
        })
        .collect()
}

/// The first activation of a plan; most networks have one only.
pub(super) fn usual_activation(plan: &Plan) -> Activation {
    let steps = Phase::ALL.into_iter().flat_map(|phase| plan.steps(phase));
    let mut acts = steps.map(|step| activation_of(&step.kernel));
    acts.find(|act| *act != Activation::Identity).unwrap_or(Activation::Identity)
}

/// The length of the arena that a kernel goes through, if it is one of those that do.
fn arena_of(plan: &Plan, step: &Step) -> Option<usize> {
    let goes = matches!(
        step.kernel,
        Kernel::UpdateSgd { .. }
            | Kernel::UpdateAdam { .. }
            | Kernel::Update(_)
            | Kernel::SquareSums { .. }
            | Kernel::CheckFinite { .. }
    );
    goes.then(|| plan.slot(step.reads[0]).len())
}

pub(super) fn narrow(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::shape("grid", format!("{value} does not fit 32 bits")))
}

/// Checks that every slot of a product has just the elements that m, n and k imply, and that they can be indexed in
/// 32 bits: products are compiled without checks of their own (`pipeline.rs`).
pub(super) fn agree(plan: &Plan, step: &Step, [m, n, k]: [usize; 3]) -> Result<()> {
    let (reads, writes) = match step.kernel {
        // Of a forward product the third read is a bias, of a backward one the saved activation.
        Kernel::MatmulNt { .. } => ([m * k, n * k, n], [m * n, m * n]),
        Kernel::MatmulTn { .. } => ([m * k, n * k, 0], [m * n, m]),
        _ => ([m * k, n * k, m * n], [m * n, 0]),
    };
    let slots = step.reads.iter().zip(reads).chain(step.writes.iter().zip(writes));
    for (slot, want) in slots {
        let spec = plan.slot(*slot);
        if spec.len() != want || want == 0 {
            let problem = format!(
                "{} has {} elements, not {want} (m {m}, n {n}, k {k})",
                spec.name,
                spec.len()
            );
            return Err(Error::shape(step.kernel.name(), problem));
        }
        narrow(want)?;
    }
    Ok(())
}

/// Params and workgroups of every kernel but the updates.
fn sizes(plan: &Plan, step: &Step, variant: &Variant) -> Result<(Vec<u32>, u32)> {
    let read = |i: usize| plan.slot(step.reads[i]);
    let write = |i: usize| plan.slot(step.writes[i]);
    let (rows, columns) = write(0).matrix();
    let [tile_m, tile_n] = variant.tile;
    let flat = |elements: u32| elements.div_ceil(tile_n);
    Ok(match step.kernel {
        Kernel::Gather { targets, .. } => {
            let y_columns = if targets { write(1).len() / rows } else { 0 };
            let elements = narrow(rows * columns.max(y_columns))?;
            (vec![narrow(rows)?, narrow(columns)?, narrow(y_columns)?], flat(elements))
        }
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
            let (a_rows, a_columns) = read(0).matrix();
            let k = if matches!(step.kernel, Kernel::MatmulTn { .. }) { a_rows } else { a_columns };
            agree(plan, step, [rows, columns, k])?;
            let (m, n) = (narrow(rows)?, narrow(columns)?);
            let groups = u64::from(m.div_ceil(tile_m)) * u64::from(n.div_ceil(tile_n));
            let groups = u32::try_from(groups)
                .map_err(|_| Error::shape("matmul", "too many tiles for 32 bits"))?;
            let dropout = dropout_of(&step.kernel).unwrap_or(Dropout { stream: 0, rate: 0.0 });
            #[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
            let thin = [dropout.stream, (dropout.rate as f32).to_bits()];
            ([vec![m, n, narrow(k)?, fused(&step.kernel)], thin.to_vec()].concat(), groups)
        }
        Kernel::Activate { .. } => {
            let len = narrow(rows * columns)?;
            (vec![len, narrow(columns)?], flat(len))
        }
        Kernel::Lookup { column } | Kernel::LookupGrad { column } => {
            let forward = matches!(step.kernel, Kernel::Lookup { .. });
            let (table, x) = if forward { (read(0), read(1)) } else { (write(0), read(0)) };
            let ((v, d), (m, n)) = (table.matrix(), x.matrix());
            let params = [m, n, d, v].map(narrow).into_iter().collect::<Result<Vec<_>>>()?;
            ([params, vec![column]].concat(), flat(narrow(rows * columns)?))
        }
        Kernel::ActivateGrad { .. } | Kernel::Add => {
            let len = narrow(rows * columns)?;
            (vec![len], flat(len))
        }
        Kernel::Map { formula, .. }
        | Kernel::MapRows { formula, .. }
        | Kernel::MapColumns { formula, .. } => mapped(plan, step, plan.formula(formula), tile_n)?,
        Kernel::SumRows => {
            let (m, n) = read(0).matrix();
            (vec![narrow(m)?, narrow(n)?], flat(narrow(n)?))
        }
        Kernel::LossCrossEntropy { .. } | Kernel::LossMse { .. } => {
            let (batch, n) = read(0).matrix();
            (vec![narrow(batch)?, narrow(n)?], flat(narrow(batch)?))
        }
        Kernel::LossMap(form) => {
            let ((batch, n), (_, columns)) = (read(0).matrix(), read(1).matrix());
            let period = if form.constants { read(2).len() } else { 1 };
            let width = form.loss.formula().map_or(1, |formula| formula.predictions());
            let share = if form.mean { width as f32 / n as f32 } else { 1.0 };
            let [batch, n, columns] = [narrow(batch)?, narrow(n)?, narrow(columns)?];
            (vec![batch, n, columns, narrow(period)?, share.to_bits()], flat(batch))
        }
        Kernel::LossClasses(form) => {
            let (batch, n) = read(0).matrix();
            #[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
            let setting = class_loss(form.loss).1 as f32;
            (vec![narrow(batch)?, narrow(n)?, setting.to_bits()], flat(narrow(batch)?))
        }
        Kernel::LogLoss => (vec![narrow(read(0).len())?], 1),
        Kernel::PutRows => {
            let (batch, n) = read(0).matrix();
            (vec![narrow(n)?], flat(narrow(batch * n)?))
        }
        Kernel::UpdateRunning { momentum, .. } => {
            let len = narrow(write(0).len())?;
            // Without one, the step's row has it.
            let momentum = momentum.unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
            let bits = |value: f64| (value as f32).to_bits();
            (vec![len, bits(momentum), bits(1.0 - momentum)], flat(len))
        }
        Kernel::Rescale { .. } => (vec![0], 1),
        // They have an arena.
        Kernel::CheckFinite { .. }
        | Kernel::UpdateSgd { .. }
        | Kernel::UpdateAdam { .. }
        | Kernel::Update(_)
        | Kernel::SquareSums { .. } => (vec![], 0),
        #[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
        Kernel::ClipNorm { max } => (vec![narrow(read(0).len())?, (max as f32).to_bits()], 1),
        Kernel::TrustRatios => {
            let views = narrow(read(2).len() / 2)?;
            (vec![views], views)
        }
    })
}

/// Params and workgroups of a formula's kernel: sizes, and how each operand lies.
fn mapped(plan: &Plan, step: &Step, formula: &Formula, workgroup: u32) -> Result<(Vec<u32>, u32)> {
    let out = plan.slot(step.writes[0]).len();
    let lengths = || step.reads.iter().map(|&slot| plan.slot(slot).len());
    let n = formula.columns;
    let m = match step.kernel {
        Kernel::MapRows { .. } => formula.rows(lengths()),
        Kernel::MapColumns { .. } => out,
        _ => out / n.max(1),
    };
    narrow(m.saturating_mul(n))?;
    let mut params = vec![narrow(m)?, narrow(n)?];
    for index in 0..MOST_OPERANDS {
        let Some(operand) = formula.operands.get(index) else {
            params.extend([0; 4]);
            continue;
        };
        let width = narrow(operand.width)?;
        let (rows, columns, width) = match operand.along {
            Along::Both => (width, 1, width),
            Along::Columns => (0, 1, width),
            Along::Rows => (1, 0, narrow(n)?),
            Along::Nothing => (0, 0, narrow(n)?),
        };
        params.extend([rows, columns, operand.shift.cast_unsigned(), width]);
    }
    let groups = match step.kernel {
        Kernel::MapColumns { .. } => narrow(m)?,
        _ => narrow(out)?.div_ceil(workgroup),
    };
    Ok((params, groups))
}

/// Turns of all its loops together that a lane of a step's dispatch makes, by the sizes that may be large: terms of sums, of
/// which products take two a turn, and rows or columns that one lane goes through.
pub(super) fn turns(plan: &Plan, step: &Step) -> usize {
    let read = |i: usize| step.reads.get(i).map_or((0, 0), |&slot| plan.slot(slot).matrix());
    let ((rows, columns), longest) =
        (read(0), step.reads.iter().map(|&s| plan.slot(s).matrix().0).max());
    match step.kernel {
        Kernel::MatmulTn { .. } => rows / 2,
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } => columns / 2,
        Kernel::MapRows { .. } => longest.unwrap_or(0),
        Kernel::SumRows | Kernel::LookupGrad { .. } => rows,
        // A vector counts as one row.
        Kernel::LogLoss => columns,
        Kernel::LossCrossEntropy { .. } => 3 * columns,
        Kernel::LossMse { .. } => columns,
        // One workgroup's lanes share them.
        Kernel::ClipNorm { .. } | Kernel::TrustRatios => 3 * columns.div_ceil(256),
        _ => 0,
    }
}

/// The bits of an update's settings, in the order of these names of fields; 0 for one that the kernel does not have.
#[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
pub(super) fn update_settings(kernel: &Kernel, names: &[&str]) -> Vec<u32> {
    let settings = match *kernel {
        Kernel::UpdateSgd { momentum, weight_decay, .. } => {
            vec![("momentum", momentum), ("weight_decay", weight_decay)]
        }
        Kernel::UpdateAdam { beta1, beta2, eps, weight_decay, .. } => vec![
            ("beta1", beta1),
            ("beta2", beta2),
            ("rest1", 1.0 - beta1),
            ("rest2", 1.0 - beta2),
            ("eps", eps),
            ("weight_decay", weight_decay),
        ],
        _ => vec![],
    };
    let of = |name: &&str| settings.iter().find(|(other, _)| other == name).map_or(0.0, |it| it.1);
    names.iter().map(|name| (of(name) as f32).to_bits()).collect()
}

/// A step's slots in the order of the row's bindings.
fn bindings(kernel: &Kernel, step: &Step) -> Vec<Option<Slot>> {
    let mut reads = step.reads.iter().copied();
    let mut writes = step.writes.iter().copied();
    let mut take = |present: bool| if present { reads.next() } else { None };
    let mut put = |present: bool| if present { writes.next() } else { None };
    match *kernel {
        Kernel::Gather { ordered, targets } => {
            vec![take(true), take(ordered), take(targets), put(true), put(targets)]
        }
        Kernel::MatmulNt { bias, save, .. } => {
            vec![take(true), take(true), take(bias), put(true), put(save)]
        }
        Kernel::MatmulNn { act_grad, .. } => {
            vec![take(true), take(true), take(act_grad != Activation::Identity), put(true), None]
        }
        Kernel::MatmulTn { bias_grad } => {
            vec![take(true), take(true), None, put(true), put(bias_grad)]
        }
        Kernel::Activate { bias, .. } => vec![take(true), take(bias), put(true)],
        Kernel::ActivateGrad { .. }
        | Kernel::Add
        | Kernel::Lookup { .. }
        | Kernel::LookupGrad { .. } => vec![take(true), take(true), put(true)],
        Kernel::Map { .. } | Kernel::MapRows { .. } | Kernel::MapColumns { .. } => {
            let mut slots: Vec<_> = (0..MOST_OPERANDS).map(|_| take(true)).collect();
            slots.push(put(true));
            slots
        }
        Kernel::SumRows | Kernel::LogLoss | Kernel::PutRows => vec![take(true), put(true)],
        Kernel::UpdateRunning { guarded, .. } => vec![take(true), take(guarded), put(true)],
        Kernel::CheckFinite { loss } => vec![take(true), take(loss), put(true)],
        Kernel::LossCrossEntropy { scaled } | Kernel::LossMse { scaled } => {
            vec![take(true), take(true), take(scaled), put(true), put(true)]
        }
        Kernel::LossMap(form) | Kernel::LossClasses(form) => {
            let (pair, more) =
                ([take(true), take(true)], [form.constants, form.weights, form.scaled]);
            let outs = [put(true), put(true)];
            pair.into_iter().chain(more.map(take)).chain(outs).collect()
        }
        Kernel::Rescale { guarded, .. } => vec![put(true), put(guarded)],
        Kernel::UpdateSgd { momentum, scaled, guarded, .. } => {
            let reads = [take(true), take(scaled || guarded)];
            [reads, [put(true), put(momentum != 0.0)]]
                .concat()
                .into_iter()
                .chain([put(scaled)])
                .collect()
        }
        Kernel::UpdateAdam { scaled, guarded, .. } => {
            let reads = [take(true), take(scaled || guarded)];
            let writes = [put(true), put(true), put(true), put(scaled)];
            reads.into_iter().chain(writes).collect()
        }
        Kernel::Update(update) => {
            let reads = [take(true), take(update.reads_scaling()), take(update.table)];
            let mut slots = reads.to_vec();
            slots.push(put(true));
            slots.extend((0..MOST_STATES).map(|state| put(state < update.states)));
            slots.extend([put(update.gathers), put(update.averages), put(update.writes_half())]);
            slots
        }
        Kernel::SquareSums { gradient, gathers, scaled } => {
            vec![take(true), take(gathers), take(scaled), take(gradient), put(true)]
        }
        Kernel::ClipNorm { .. } => vec![take(true), put(true)],
        Kernel::TrustRatios => vec![take(true), take(true), take(true), put(true)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_whose_slots_disagree_are_refused() {
        use crate::plan::{Element, Phase, PlanBuilder, Ports, Role};
        for (b_rows, fits) in [(5, true), (4, false)] {
            let mut builder = PlanBuilder::new();
            let mut slot = |sizes| builder.slot("s", sizes, Element::F32, Role::Data).unwrap();
            let (a, b, out) = (slot(vec![3, 2]), slot(vec![b_rows, 2]), slot(vec![3, 5]));
            let kernel = Kernel::MatmulNt {
                bias: false,
                act: Activation::Identity,
                save: false,
                dropout: None,
            };
            let step = builder.step(kernel, vec![a, b], vec![out]).unwrap();
            builder.phase(Phase::Eval, vec![step.clone()]);
            let plan = builder.finish(3, 3, Ports::default());
            let variant = &spec_of(&kernel).unwrap().variants[0];
            assert_eq!(
                launches(&plan, &step, variant, Activation::Identity, 1 << 20).is_ok(),
                fits
            );
        }
    }

    #[test]
    fn grids_fold_and_cover() {
        for groups in [0, 1, 65_535, 65_536, 100_000, 5_000_000, 65_535 * 65_535] {
            let [x, y, z] = grid(groups);
            assert!(x.min(y) >= 1 && x.max(y) <= MAX_GROUPS_PER_AXIS && z == 1, "{groups}");
            assert!(u64::from(x) * u64::from(y) >= u64::from(groups), "{groups}");
        }
        assert_eq!(grid(65_535), [65_535, 1, 1]);
    }
}
