//! A plan's step as dispatches: constants, parameters, bindings and grid, all pure arithmetic.

use std::ops::Range;

use super::codes::activation_of;
use super::kernels::{KernelSpec, Variant, spec_of};
use super::limits::{MAX_STEPS, STEP_BYTES, UNIFORM_STRIDE};
use super::member_text::ROWS_BYTES;
use super::shader::{consts, generated};
use super::sizes::{Arguments, DispatchSizes, Grid, narrow};
use crate::error::Result;
use crate::model::Activation;
use crate::plan::{
    Argument, BLOCK, BufferId, ChainKind, Declaration, Element, Kernel, Phase, Plan, Slot, Step,
    StorageTypes,
};

/// Workgroups that an axis of a grid may have in WebGPU.
const MAX_GROUPS_PER_AXIS: u32 = 65_535;

/// One dispatch, ready for the creation of its pipeline and bind group.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) spec: &'static KernelSpec,
    pub(super) variant: &'static Variant,
    /// Storage types of the kernel's arrays.
    pub(super) stored: StorageTypes,
    pub(super) consts: Vec<(&'static str, u32)>,
    /// WGSL that the host writes: the function of a formula.
    pub(super) generated: String,
    /// Bits of the fields of `Params`.
    pub(super) params: Vec<u32>,
    /// Bindings that are only read.
    pub(super) reads: Vec<Binding>,
    /// Bindings that are written.
    pub(super) writes: Vec<Binding>,
    /// Range of the arenas' elements that is bound, if it is not all of them.
    pub(super) part: Option<Range<usize>>,
    /// Number of elements of the arena that the kernel visits; 0 for kernels that visit none.
    pub(super) arena: usize,
    pub(super) grid: [u32; 3],
    /// Number of elements of a buffer of the dispatch's own.
    pub(super) scratch: usize,
    /// The plan's buffers whose values are stored in that buffer instead, each with its first element there.
    pub(super) places: Vec<(BufferId, usize)>,
    /// True if the shader is compiled without checks of indices (`pipeline.rs` says why this is safe).
    pub(super) unchecked: bool,
    /// True if one dispatch runs as many steps as it has workgroups (`fused_step.rs`).
    pub(super) many_steps: bool,
    /// Largest number of steps that one dispatch runs.
    pub(super) most_steps: u32,
    /// Number of members that the dispatch computes at once; 1 for one network.
    pub(super) members: u32,
}

impl Dispatch {
    /// Returns the bytes of the steps' rows that are bound.
    pub(super) fn row_bytes(&self) -> u64 {
        if self.members > 1 {
            return ROWS_BYTES;
        }
        if self.many_steps { UNIFORM_STRIDE * u64::from(MAX_STEPS) } else { STEP_BYTES }
    }

    /// Returns the bytes of the parameters.
    pub(super) fn param_bytes(&self) -> u64 {
        4 * self.params.len() as u64
    }
}

/// Resource bound at one index of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Binding {
    /// A slot of the plan.
    Slot(Slot),
    /// Any buffer: the fusion that would use it is absent.
    Absent,
    /// The dispatch's own buffer.
    Scratch,
}

impl From<Option<Slot>> for Binding {
    fn from(slot: Option<Slot>) -> Self {
        slot.map_or(Self::Absent, Self::Slot)
    }
}

/// Returns the grid of a number of workgroups, folded into y beyond the limit of an axis.
pub(super) fn grid(groups: u32) -> [u32; 3] {
    let y = groups.div_ceil(MAX_GROUPS_PER_AXIS).max(1);
    [groups.div_ceil(y).max(1), y, 1]
}

/// Returns the dispatches of a step: one, or several if an arena exceeds `most` elements a binding. `usual` is the
/// activation that shared pipelines are compiled for.
pub(super) fn launches(
    plan: &Plan,
    step: &Step,
    variant: &'static Variant,
    usual: Activation,
    most: usize,
) -> Result<Vec<Dispatch>> {
    let spec = spec_of(&step.kernel)?;
    let stored = plan.stored(step)?;
    let declaration = step.kernel.declaration();
    let arena = arena_of(plan, step, spec);
    let elements = [&step.reads, &step.writes].map(|slots| elements_of(plan, slots));
    // Parts of an arena differ only in parameters, grid and range.
    let base = |params, groups| Dispatch {
        spec,
        variant,
        stored,
        consts: consts(&step.kernel, variant, usual),
        generated: generated(&step.kernel, plan.formulas(), [&elements[0], &elements[1]]),
        params,
        reads: bindings(&declaration, &declaration.reads, &step.reads),
        writes: bindings(&declaration, &declaration.writes, &step.writes),
        part: None,
        arena,
        grid: grid(groups),
        scratch: 0,
        places: Vec::new(),
        unchecked: step.kernel.is_product(),
        many_steps: false,
        most_steps: 1,
        members: 1,
    };
    // Kernels whose grid follows from their slots are one dispatch each.
    let settings = match spec.grid {
        Grid::Sizes(sizes) => {
            let DispatchSizes { params, groups } =
                sizes(&Arguments { plan, step, tile: variant.tile })?;
            return Ok(vec![base(params, groups)]);
        }
        Grid::Arena(settings) => settings,
    };
    // A workgroup sums the squares of as many blocks as it has lanes.
    let sums = matches!(step.kernel, Kernel::SquareSums { .. });
    let alignment = match sums {
        true => BLOCK * variant.tile[1] as usize,
        // Other kernels visit arenas element by element, so a part may begin at any multiple of the alignment.
        false => stored.read.alignment().max(stored.write.alignment()),
    };
    let part = (most / alignment).max(1) * alignment;
    let parts = (0..arena).step_by(part).map(|start| start..arena.min(start + part));
    parts
        .map(|part| {
            // Parameters count vectors of four floats, which a lane takes at once.
            let vectors = narrow(part.len() / 4)?;
            let params = [vec![vectors], settings(&step.kernel, part.start)?].concat();
            let each = if sums { narrow(BLOCK / 4)? } else { 1 };
            let mut launch = base(params, vectors.div_ceil(each * variant.tile[1]));
            launch.part = Some(part);
            Ok(launch)
        })
        .collect()
}

/// Returns the number of elements of the arena that a kernel visits; 0 for kernels that visit none.
fn arena_of(plan: &Plan, step: &Step, spec: &KernelSpec) -> usize {
    match (&spec.grid, &step.kernel) {
        (Grid::Sizes(_), _) => 0,
        // Passes without gradients change the weights all the same.
        (Grid::Arena(_), Kernel::Update(_)) => plan.slot(step.writes[0]).len(),
        (Grid::Arena(_), _) => plan.slot(step.reads[0]).len(),
    }
}

/// Returns the bindings of arguments, in their order; absent ones keep their index where the shader's own text has them.
fn bindings(declaration: &Declaration, arguments: &[Argument], slots: &[Slot]) -> Vec<Binding> {
    let mut slots = slots.iter().copied();
    let mut slot = |it: &Argument| if it.present { slots.next() } else { None };
    let all = arguments.iter().map(|it| (it, slot(it)));
    all.filter(|(it, _)| declaration.binds(it)).map(|(_, slot)| Binding::from(slot)).collect()
}

/// Returns the element types of slots.
fn elements_of(plan: &Plan, slots: &[Slot]) -> Vec<Element> {
    slots.iter().map(|&slot| plan.slot(slot).element).collect()
}

/// Returns the first activation of a plan; most networks have only one.
pub(super) fn usual_activation(plan: &Plan) -> Activation {
    let steps = Phase::ALL.into_iter().flat_map(|phase| plan.steps(phase));
    let mut acts = steps.map(|step| activation_of(&step.kernel));
    acts.find(|act| *act != Activation::Identity).unwrap_or(Activation::Identity)
}

/// Returns the iterations of all loops together of a lane of a step's dispatch, by the sizes that may be large: terms of
/// sums, of which products take two in an iteration, and rows or columns that one lane visits.
pub(super) fn loop_iterations(plan: &Plan, step: &Step) -> usize {
    let read = |i: usize| step.reads.get(i).map_or((0, 0), |&slot| plan.slot(slot).matrix());
    let ((rows, columns), longest) =
        (read(0), step.reads.iter().map(|&s| plan.slot(s).matrix().0).max());
    match step.kernel {
        Kernel::MatmulTn { .. } => rows / 2,
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } => columns / 2,
        Kernel::MapRows { .. } => longest.unwrap_or(0),
        Kernel::Chain(chain) => {
            let (rows, columns) = plan.chain_sizes(&chain, step);
            let each = match chain.kind {
                ChainKind::Elements => 1,
                ChainKind::Rows => rows,
                ChainKind::Columns => columns.div_ceil(64),
            };
            each * usize::from(chain.len())
        }
        Kernel::LookupGrad { .. } | Kernel::BlockTn { .. } => rows,
        Kernel::BlockNt { blocks } | Kernel::BlockNn { blocks } => columns / blocks.max(1) as usize,
        Kernel::SumBlocks { blocks } => blocks as usize,
        Kernel::MemberMean { .. } => 4 * columns,
        // A vector counts as one row.
        Kernel::LogLoss => columns,
        Kernel::LossClasses { .. } => 4 * columns,
        Kernel::LossMap { .. } => columns,
        // The lanes of one workgroup share the iterations.
        Kernel::ClipNorm { .. } | Kernel::TrustRatios => 3 * columns.div_ceil(256),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_whose_slots_disagree_are_refused() {
        use crate::plan::{PlanBuilder, Role};
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
            let plan = builder.finish(3, 3);
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
