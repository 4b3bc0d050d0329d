//! Cases of `verify`: every kernel with every fusion, at awkward sizes, on random values.
//!
//! In: a kernel and sizes. Out: a plan of one step, and the first values of its slots. Each file has the kernels of one
//! kind: their fusions, and for each kernel a [`TestSpec`] with everything that is particular to it.

mod elementwise;
mod losses;
mod products;
mod rows;
mod scaling;
mod updates;

use crate::error::Result;
use crate::plan::{
    Argument, Declaration, Element, FACTORS, Kernel, LossScaler, Phase, Plan, PlanBuilder, Role,
    Slot, SlotPrecision, StepParams, StorageTypes,
};
use crate::random::{Purpose, Random, Seed};
use crate::shape::narrow;

/// Three sizes, whose meaning depends on the kernel: for products m, n, k; else rows, columns, valid rows.
pub(super) type Triple = [usize; 3];

/// Sizes and first values of an argument, by its name and the case's sizes.
type FirstValues = Box<dyn Fn(&str, Triple) -> Fill>;

/// Description of how a kernel is verified.
struct TestSpec {
    /// Initial values of its arguments.
    values: FirstValues,
    /// Absolute and relative limits of the error.
    limits: Box<dyn Fn(Triple) -> (f64, f64)>,
    sizes: Vec<Triple>,
    cpu_sizes: Vec<Triple>,
    half: Vec<StorageTypes>,
    arena: bool,
    divisor: Option<f64>,
}

/// Half precision in the slots that are read and in those that are written.
const HALF: StorageTypes = StorageTypes { read: Element::F16, write: Element::F16 };
/// From single precision to half.
const DOWN: StorageTypes = StorageTypes { read: Element::F32, write: Element::F16 };
/// From half precision to single.
const UP: StorageTypes = StorageTypes { read: Element::F16, write: Element::F32 };

/// Unit roundoff in single precision.
const ROUNDOFF: f64 = 1.0 / 16_777_216.0;

/// Returns the error of a sum of this many terms, as [`TestSpec::new`] derives it.
fn sum_error(terms: usize) -> f64 {
    (terms as f64 + 4.0) * ROUNDOFF * (terms as f64) / 2.0
}

impl TestSpec {
    /// Makes a spec from the first values of arguments, by their names and the sizes, and from the absolute and relative
    /// limits of the error.
    ///
    /// Limits come from the length of the sums and from what WGSL promises of its functions. Unit roundoff u = 2⁻²⁴. A sum of
    /// k products of numbers up to 1 errs by at most about k u times the sum of their sizes (Higham 2002, section 3.1), which
    /// is at most k; inputs here average a quarter of that. WGSL allows exp 3 + 2|x| ulp, division 2.5 ulp, log an absolute
    /// 2⁻²¹.
    fn new(
        values: impl Fn(&str, Triple) -> Fill + 'static,
        limits: impl Fn(Triple) -> (f64, f64) + 'static,
    ) -> Self {
        Self {
            values: Box::new(values),
            limits: Box::new(limits),
            sizes: vec![[1, 1, 1], [5, 1, 3], [63, 7, 63], [65, 64, 64], [130, 13, 1]],
            cpu_sizes: vec![],
            half: vec![],
            arena: false,
            divisor: None,
        }
    }

    /// Sets awkward sizes instead of the usual ones: one, tiles less and plus one, primes, more than 65,535 workgroups.
    fn sizes(self, sizes: impl Into<Vec<Triple>>) -> Self {
        Self { sizes: sizes.into(), ..self }
    }

    /// Adds sizes for the CPU, which would take software adapters too long.
    fn cpu_sizes(self, cpu_sizes: impl Into<Vec<Triple>>) -> Self {
        Self { cpu_sizes: cpu_sizes.into(), ..self }
    }

    /// Sets the variants in half precision that plans may ask for.
    fn half(self, half: impl Into<Vec<StorageTypes>>) -> Self {
        Self { half: half.into(), ..self }
    }

    /// Says that the kernel visits an arena, which may be bound in parts; other slots may not.
    fn arena(self) -> Self {
        Self { arena: true, ..self }
    }
}

/// Returns the spec of a kernel: the one place that knows each kernel's kind.
fn spec_of(kernel: &Kernel) -> TestSpec {
    match kernel {
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
            products::spec(*kernel)
        }
        Kernel::Map { .. } | Kernel::MapRows { .. } | Kernel::MapColumns { .. } => {
            elementwise::spec(*kernel)
        }
        Kernel::Gather { .. }
        | Kernel::Lookup { .. }
        | Kernel::LookupGrad { .. }
        | Kernel::PutRows => rows::spec(*kernel),
        Kernel::LossMap { .. } | Kernel::LossClasses { .. } => losses::spec(*kernel),
        Kernel::LogLoss | Kernel::CheckFinite { .. } | Kernel::Rescale { .. } => {
            scaling::spec(*kernel)
        }
        Kernel::UpdateRunning { .. }
        | Kernel::Update(_)
        | Kernel::SquareSums { .. }
        | Kernel::ClipNorm { .. }
        | Kernel::TrustRatios => updates::spec(*kernel),
    }
}

/// Returns every kernel with every fusion that plans may ask for.
pub fn every_kernel() -> Vec<Kernel> {
    [
        rows::kernels(),
        products::kernels(),
        losses::kernels(),
        scaling::kernels(),
        updates::kernels(),
        super::formulas::kernels(),
    ]
    .concat()
}

/// Returns every kernel with every fusion that plans in half precision may ask for, and its storage types.
pub fn half_kernels() -> Vec<(Kernel, StorageTypes)> {
    // Kernels with a loss scale are for half precision alone.
    let updates = super::formulas::passes().iter().map(|(_, update)| *update);
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

/// Returns loss scales before a step: without an event, about to double, at the largest, after an overflow, at the
/// smallest, after a loss that is not finite.
fn scalings() -> [LossScaler; 6] {
    let good = LossScaler { scale: 4.0, inverse: 0.25, good: 5.0, overflow: 0.0, skipped: 3.0 };
    let largest = LossScaler::LARGEST as f32;
    let last = LossScaler { good: (LossScaler::GROW_AFTER - 1) as f32, ..good };
    [
        good,
        last,
        LossScaler { scale: largest, inverse: 1.0 / largest, ..last },
        LossScaler { overflow: 1.0, ..good },
        LossScaler { scale: 1.0 / largest, inverse: largest, overflow: 1.0, ..good },
        LossScaler { overflow: LossScaler::LOST, ..good },
    ]
}

/// Returns which of these an update finds: the first, or the one after an overflow if the third size is 0.
fn update_scaling(k: usize) -> usize {
    if k == 0 { 3 } else { 0 }
}

/// Index in the log of a case's step.
const LOG: usize = 3;

/// Sizes and first values of an argument.
struct Fill {
    sizes: Vec<usize>,
    values: Generator,
}

/// Draws a value for an element.
type Draw<T> = Box<dyn Fn(&mut Random, usize) -> T>;

enum Generator {
    Floats(Draw<f64>),
    Indices(Draw<u32>),
}

impl Fill {
    fn floats(
        sizes: impl Into<Vec<usize>>,
        value: impl Fn(&mut Random, usize) -> f64 + 'static,
    ) -> Self {
        Self { sizes: sizes.into(), values: Generator::Floats(Box::new(value)) }
    }

    fn indices(len: usize, value: impl Fn(&mut Random, usize) -> u32 + 'static) -> Self {
        Self { sizes: vec![len], values: Generator::Indices(Box::new(value)) }
    }

    /// Returns numbers that are uniform within ±bound.
    fn within(bound: f64, sizes: impl Into<Vec<usize>>) -> Self {
        Self::floats(sizes, move |random, _| random.uniform(-bound, bound))
    }

    /// Returns numbers that are uniform within ±1.
    fn unit(sizes: impl Into<Vec<usize>>) -> Self {
        Self::within(1.0, sizes)
    }

    /// Returns numbers that are uniform in 0..1.
    fn positive(sizes: impl Into<Vec<usize>>) -> Self {
        Self::floats(sizes, |random, _| random.unit())
    }

    /// Returns 0 or 1 at random.
    fn truths(sizes: impl Into<Vec<usize>>) -> Self {
        Self::floats(sizes, |random, _| f64::from(random.below(2)))
    }

    /// Returns numbers that are uniform within ±8, and first some that overflow in carelessly written functions.
    fn extreme(sizes: impl Into<Vec<usize>>) -> Self {
        const EDGES: [f64; 10] = [0.0, -0.0, 1e4, -1e4, 88.5, -88.5, 1e-30, -1e-30, 20.5, -20.5];
        Self::floats(sizes, |random, i| {
            EDGES.get(i).copied().unwrap_or_else(|| random.uniform(-8.0, 8.0))
        })
    }

    /// Returns integers below `bound` as floats, in three columns.
    fn numbers(rows: usize, bound: u32) -> Self {
        Self::floats([rows, 3], move |random, _| random.below(bound).into())
    }

    /// Returns integers below `bound`.
    fn below(len: usize, bound: usize) -> Self {
        let bound = narrow(bound);
        Self::indices(len, move |random, _| random.below(bound))
    }

    /// Returns the slot of one of the loss scales.
    fn scaling(which: usize) -> Self {
        let values = scalings()[which].values();
        Self::floats([LossScaler::LEN], move |_, i| values[i].into())
    }

    /// Returns the losses of eight steps, of which the case's own may be infinite.
    fn log(lost: bool) -> Self {
        Self::floats(
            [8],
            move |random, i| {
                if lost && i == LOG { f64::INFINITY } else { random.unit() }
            },
        )
    }

    /// Returns a table of factors for this many blocks; the second block's parameter stays as it is, every other one is a
    /// matrix.
    fn factors(blocks: usize) -> Self {
        Self::floats([1 + blocks, FACTORS], |random, i| match i % FACTORS {
            0 if i == 2 * FACTORS => 0.0,
            3 => (i / FACTORS % 2) as f64,
            _ => 0.1 + random.unit(),
        })
    }
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
        for (place, formula) in super::formulas::formulas(n).into_iter().enumerate() {
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
                SlotPrecision::Write => stored.write,
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
    let Declaration { reads, writes, .. } = kernel.declaration();
    let (reads, writes) = (slots(&reads)?, slots(&writes)?);
    // Every number differs from its neutral value, so that a kernel that ignores one is found.
    let row = StepParams {
        first: 5,
        rows: if spec.arena { 1 } else { narrow(k.min(m)) },
        log: narrow(LOG),
        step: 77,
        seed: 12345,
        divisor: spec.divisor,
        apply: k != 2,
        scalars: [0.01, 0.02, 0.5, 0.3, 0.2, 0.1, 0.25, 0.4],
        ..StepParams::default()
    };
    let step = builder.step(kernel, reads, writes.clone())?;
    builder.phase(Phase::Eval, vec![step]);
    Ok(Case { plan: builder.finish(m, m), starts, writes, row })
}
