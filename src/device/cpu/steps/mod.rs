//! Prepared steps: the arguments of each kernel, by name, as ranges of the device's arenas.
//!
//! In: a plan. Out: the steps that `device.rs` runs. Each file has the kernels of one kind.

mod elementwise;
mod losses;
mod products;
mod rows;
mod scaling;
mod updates;

use std::ops::Range;

use super::Real;
use super::kernels::MatmulShape;
use super::update::OVERFLOW;
use crate::device::half;
use crate::plan::{Element, Kernel, Plan, Slot, SlotSpec, Step, StepParams};

/// A step of a plan, prepared to run.
#[derive(Debug)]
pub(super) struct PreparedStep {
    kernel: Kernel,
    work: StepWork,
    /// Slots written in half precision: computed in the device's own precision, then rounded.
    halves: Vec<Range<usize>>,
    guard: Option<Guard>,
}

/// Computation of a step.
#[derive(Debug)]
enum StepWork {
    Rows(rows::Rows),
    Product(products::ProductStep),
    Mapped(Box<elementwise::MappedStep>),
    Loss(Box<losses::LossStep>),
    Scaling(scaling::ScalingStep),
    Update(Box<updates::UpdateStep>),
}

/// A condition under which a step changes nothing.
#[derive(Debug)]
struct Guard {
    /// Index of the number that is not 0 while the step is skipped.
    overflow: usize,
    /// The accumulated gradients, which are set to zero then.
    gathered: Range<usize>,
}

/// A device's memory: every float, and every row number and class.
pub(super) struct ArenaViews<'a, T> {
    pub(super) floats: &'a mut [T],
    pub(super) indices: &'a mut [u32],
}

/// A step's slots by the names of its kernel's arguments.
struct Slots<'a> {
    plan: &'a Plan,
    step: &'a Step,
    starts: &'a [usize],
}

/// Returns the first element of each buffer of a plan in the arena of its kind, in which the buffers lie end to end.
pub(super) fn buffer_starts(plan: &Plan) -> Vec<usize> {
    let (mut floats, mut indices) = (0, 0);
    let start = |buffer: &crate::plan::BufferSpec| {
        let end = if buffer.element.is_float() { &mut floats } else { &mut indices };
        *end += buffer.elements;
        *end - buffer.elements
    };
    plan.buffers().iter().map(start).collect()
}

/// Returns the elements of a slot in the arena of its kind.
pub(super) fn range_of(spec: &SlotSpec, starts: &[usize]) -> Range<usize> {
    let start = starts[spec.buffer.0 as usize] + spec.offset;
    start..start + spec.len()
}

/// Rounds numbers to half precision.
pub(super) fn round<T: Real>(values: &mut [T]) {
    values.iter_mut().for_each(|value| *value = T::of(half::rounded(value.to_f64())));
}

/// Returns parts of an arena that do not overlap, except for empty ones.
fn disjoint<'a, const N: usize, T>(
    arena: &'a mut [T],
    ranges: &[Range<usize>; N],
) -> [&'a mut [T]; N] {
    // Checked by the library, so no unsafe code is needed to write one part while others are read.
    arena.get_disjoint_mut(ranges.clone()).expect("a plan's steps read and write different buffers")
}

/// Makes the second range empty if it is the first one, since disjoint ranges are borrowed; returns whether it was.
fn borrow_once<const N: usize>(ranges: &mut [Range<usize>; N]) -> bool {
    let same = ranges[0] == ranges[1];
    if same {
        ranges[1] = 0..0;
    }
    same
}

impl Slots<'_> {
    fn spec(&self, slot: Slot) -> &SlotSpec {
        self.plan.slot(slot)
    }

    fn range(&self, slot: Slot) -> Range<usize> {
        range_of(self.spec(slot), self.starts)
    }

    /// Returns the slots of arguments, and empty ranges for arguments that are absent or of the other kind.
    fn of_kind<const N: usize>(&self, names: [&str; N], floats: bool) -> [Range<usize>; N] {
        names.map(|name| {
            let slot = self.step.slot(name);
            let slot = slot.filter(|&slot| self.spec(slot).element.is_float() == floats);
            slot.map_or(0..0, |slot| self.range(slot))
        })
    }

    /// Returns the arguments that hold floats.
    fn floats<const N: usize>(&self, names: [&str; N]) -> [Range<usize>; N] {
        self.of_kind(names, true)
    }

    /// Returns the arguments that hold whole numbers.
    fn indices<const N: usize>(&self, names: [&str; N]) -> [Range<usize>; N] {
        self.of_kind(names, false)
    }

    /// Returns the rows and columns of an argument that every variant of the kernel has.
    fn matrix(&self, name: &str) -> (usize, usize) {
        let slot = self.step.slot(name).expect("every form of the kernel has this argument");
        self.spec(slot).matrix()
    }

    /// Returns the formula of a kernel.
    fn formula(&self) -> crate::plan::Formula {
        let id = self.step.kernel.formula().expect("the kernels of formulas name one");
        self.plan.formula(id).clone()
    }

    /// Returns the guard that makes the step change nothing, if there is one.
    fn guard(&self) -> Option<Guard> {
        if !self.step.kernel.is_guarded() {
            return None;
        }
        let [scaling] = self.floats(["scaling"]);
        let gathered = match self.step.kernel {
            Kernel::Update(_) => self.floats(["gathered"])[0].clone(),
            _ => 0..0,
        };
        Some(Guard { overflow: scaling.start + OVERFLOW, gathered })
    }

    /// Returns the computation of the step.
    fn work(&self) -> StepWork {
        match self.step.kernel {
            Kernel::Gather { ordered, .. } => rows::gather(self, ordered),
            Kernel::Lookup { column } => rows::lookup(self, column),
            Kernel::LookupGrad { column } => rows::lookup_grad(self, column),
            Kernel::PutRows => rows::put_rows(self),
            Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
                products::product(self)
            }
            Kernel::Map { .. } | Kernel::MapRows { .. } | Kernel::MapColumns { .. } => {
                elementwise::mapped(self)
            }
            Kernel::LossMap { form, .. } => losses::map(self, form),
            Kernel::LossClasses { loss, form } => losses::classes(self, loss, form),
            Kernel::LogLoss => scaling::log_loss(self),
            Kernel::CheckFinite { loss } => scaling::check_finite(self, loss),
            Kernel::Rescale { scaled, guarded } => scaling::rescale(self, scaled, guarded),
            Kernel::UpdateRunning { momentum, unbiased, guarded } => {
                updates::running(self, (momentum, unbiased, guarded))
            }
            Kernel::Update(update) => updates::update(self, update),
            Kernel::SquareSums { .. } => updates::square_sums(self),
            Kernel::ClipNorm { max } => updates::clip_norm(self, max),
            Kernel::TrustRatios => updates::trust_ratios(self),
        }
    }
}

impl PreparedStep {
    /// Prepares a step of a plan whose buffers begin at these places.
    pub(super) fn of(plan: &Plan, step: &Step, starts: &[usize]) -> Self {
        let slots = Slots { plan, step, starts };
        let half = |slot: &&Slot| slots.spec(**slot).element == Element::F16;
        let halves = step.writes.iter().filter(half).map(|&slot| slots.range(slot)).collect();
        Self { kernel: step.kernel, work: slots.work(), halves, guard: slots.guard() }
    }

    /// Returns the kernel and its sizes: for products their own, for others with the cost of an element.
    pub(super) fn sizes(&self) -> (Kernel, MatmulShape) {
        let sizes = match &self.work {
            StepWork::Product(step) => step.sizes(),
            StepWork::Mapped(step) => step.sizes(),
            StepWork::Loss(loss) => loss.sizes(),
            StepWork::Rows(rows) => rows.sizes(),
            StepWork::Update(update) => update.sizes(),
            // Its work is a few numbers.
            StepWork::Scaling(_) => MatmulShape { m: 1, n: 1, k: 1 },
        };
        (self.kernel, sizes)
    }

    /// Runs the step with these step parameters.
    pub(super) fn run<T: Real>(
        &self,
        engine: &T::CpuKernels,
        mut arenas: ArenaViews<'_, T>,
        step: &StepParams,
    ) {
        if let Some(Guard { overflow, gathered }) = &self.guard
            && arenas.floats[*overflow] != T::zero()
        {
            // Gradients that were accumulated before are dropped with the skipped update.
            return arenas.floats[gathered.clone()].fill(T::zero());
        }
        match &self.work {
            StepWork::Rows(rows) => rows.run(&mut arenas, step),
            StepWork::Product(product) => product.run(engine, arenas.floats, step),
            StepWork::Mapped(mapped) => mapped.run(engine, arenas.floats, step),
            StepWork::Loss(loss) => loss.run(engine, &mut arenas, step),
            StepWork::Scaling(scaling) => scaling.run(arenas.floats, step),
            StepWork::Update(update) => update.run(engine, &mut arenas, step),
        }
        // Rounded once at the end, as a GPU does when it stores a result.
        for range in &self.halves {
            round(&mut arenas.floats[range.clone()]);
        }
    }
}
