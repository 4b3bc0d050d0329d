//! Plans of one step, which a device and the reference run on the same values.
//!
//! In: a kernel and sizes. Out: the plan, and the first values of its slots.

use std::sync::LazyLock;

use crate::device::cases::formulas::{formulas, passes};
use crate::device::cases::{Cases, DOWN, Fill, Generator, LOG, TestSpec, Triple};
use crate::device::cpu::kernels::cases;
use crate::error::Result;
use crate::plan::{
    Argument, Declaration, Element, Kernel, Phase, Plan, PlanBuilder, Role, Slot, SlotPrecision,
    StepParams, StorageTypes,
};
use crate::random::{Purpose, Seed};
use crate::shape::narrow;

/// Collected once, since each of many checks asks for its kernel's.
static CASES: LazyLock<Vec<Cases>> = LazyLock::new(cases);

/// Returns how a kernel is verified.
fn spec_of(kernel: &Kernel) -> TestSpec {
    let cases = CASES.iter().find(|cases| cases.has(kernel));
    cases.expect("each file of the CPU's kernels has the cases of its kernels").spec(*kernel)
}

/// Returns every kernel with every fusion that plans may ask for.
pub fn every_kernel() -> Vec<Kernel> {
    CASES.iter().flat_map(|cases| cases.kernels.iter().copied()).collect()
}

/// Returns every kernel with every fusion that plans in half precision may ask for, and its storage types.
pub fn half_kernels() -> Vec<(Kernel, StorageTypes)> {
    // Kernels with a loss scale are for half precision alone.
    let updates = passes().iter().map(|(_, update)| *update);
    let updates = updates.filter(|update| update.scaled).map(|it| (Kernel::Update(it), DOWN));
    let forms = |kernel: Kernel| {
        let half = spec_of(&kernel).half.into_iter();
        half.map(move |stored| (kernel.with_loss_scale(), stored))
    };
    every_kernel().into_iter().flat_map(forms).chain(updates).collect()
}

/// Returns the sizes at which a kernel is verified on every device.
pub fn sizes_of(kernel: &Kernel) -> Vec<Triple> {
    spec_of(kernel).sizes
}

/// Returns further sizes for the CPU: edges of its tiles of 6 rows and 8, 16 or 32 columns, sums of more terms than are
/// added up at once, and results that several threads share.
pub(super) fn cpu_sizes_of(kernel: &Kernel) -> Vec<Triple> {
    spec_of(kernel).cpu_sizes
}

/// Returns the absolute and relative limits of a kernel's error.
pub(super) fn limits(kernel: &Kernel, sizes: Triple) -> (f64, f64) {
    (spec_of(kernel).limits)(sizes)
}

/// Initial values of a slot.
pub(super) enum CaseValues {
    Floats(Vec<f32>),
    Indices(Vec<u32>),
}

/// A plan of one step, and the first values of its slots.
pub(super) struct Case {
    pub(super) plan: Plan,
    pub(super) starts: Vec<(Slot, CaseValues)>,
    pub(super) writes: Vec<Slot>,
    pub(super) row: StepParams,
}

/// Makes a plan of one step with random values; slots that are written start random too, so that elements that should stay
/// are compared as well.
pub(super) fn build(kernel: Kernel, stored: StorageTypes, sizes: Triple) -> Result<Case> {
    let [m, n, k] = sizes;
    let spec = spec_of(&kernel);
    let mut builder = PlanBuilder::new();
    // A kernel names its formula by index, so the plan gets all of them in their fixed order.
    if kernel.formula().is_some() {
        for (place, formula) in formulas(n).into_iter().enumerate() {
            let id = builder.formula(formula)?;
            assert_eq!(id.index(), place, "no two of these formulas are equal");
        }
    }
    // A fixed seed, so that a failure can be repeated.
    let (mut starts, mut random) = (vec![], Seed(11).stream(Purpose::Synthetic));
    // An arena may be bound in parts, which depends on the buffer's role.
    let role = if spec.arena { Role::State } else { Role::Data };
    let mut slots = |arguments: &[Argument]| -> Result<Vec<Slot>> {
        let present = arguments.iter().filter(|argument| argument.present);
        let slot = |&Argument { name, precision, .. }: &Argument| {
            // The declaration says which precision each argument has, so no case repeats it.
            let element = match precision {
                SlotPrecision::Read | SlotPrecision::Own => stored.read,
                SlotPrecision::Write | SlotPrecision::OwnWrite => stored.write,
                SlotPrecision::Single => Element::F32,
            };
            let Fill { sizes, values } = (spec.values)(name, sizes);
            let count = 0..sizes.iter().product();
            let (element, start) = match values {
                Generator::Floats(value) => {
                    #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
                    let values = count.map(|i| value(&mut random, i) as f32).collect();
                    (element, CaseValues::Floats(values))
                }
                Generator::Indices(value) => {
                    let values = count.map(|i| value(&mut random, i)).collect();
                    (Element::U32, CaseValues::Indices(values))
                }
            };
            // Only floats are bound in parts.
            let role = if element == Element::U32 { Role::Data } else { role };
            let slot = builder.slot(name, sizes, element, role)?;
            starts.push((slot, start));
            Ok(slot)
        };
        present.map(slot).collect()
    };
    let declaration = kernel.declaration();
    let Declaration { reads, writes, .. } = &declaration;
    let (reads, all) = (slots(reads)?, slots(writes)?);
    // A shader leaves a result as it is that it does not bind.
    let present = writes.iter().filter(|argument| argument.present);
    let bound = present.zip(&all).filter(|(argument, _)| declaration.binds(argument));
    let writes = bound.map(|(_, &slot)| slot).collect();
    // Every number differs from its neutral value, so that a kernel that ignores one is found.
    let row = StepParams {
        first: 5,
        rows: if spec.arena { 1 } else { narrow(k.min(m)) },
        log: narrow(LOG),
        step: 77,
        seed: 12345,
        divisor: spec.divisor,
        loss: [0.75, 0.6],
        apply: k != 2,
        scalars: [0.01, 0.02, 0.5, 0.3, 0.2, 0.25, 0.4, 0.8, 0.2, 0.7, 0.3, 0.05, 0.6],
        ..StepParams::default()
    };
    let step = builder.step(kernel, reads, all)?;
    builder.phase(Phase::Eval, vec![step]);
    Ok(Case { plan: builder.finish(m, m), starts, writes, row })
}
