//! The kernels of plans on the CPU, in f32 or f64. Each file has those of one kind: for each kernel the function that computes
//! it, written plainly; its call with the arguments that the kernel's declaration names, as ranges of the device's arenas;
//! and its cases, by which `verify` compares the kernel on every device.
//!
//! In: a plan. Out: the steps that `device.rs` runs. All matrices are row-major slices with their sizes beside them. The rows
//! of a step are a batch's valid rows; the others are masked.

mod blocks;
mod elementwise;
mod losses;
mod members;
mod products;
mod rows;
mod scaling;
mod updates;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Real;
use super::update::OVERFLOW;
use crate::device::cases::Cases;
use crate::device::half;
use crate::error::{Error, Result};
use crate::plan::{Declaration, Element, Kernel, Plan, Slot, SlotSpec, Step, StepParams};

pub(super) use losses::rows_of_cross_entropy;
pub use losses::{loss_cross_entropy, loss_mse};
use products::PackedWeights;
pub use products::{
    MatmulShape, activate, activation_backward, dropout, matmul_nn, matmul_nt, matmul_tn, sum_rows,
};

/// Returns the computation of a step if its kernel is of one kind.
type PrepareKind<T> = fn(&Slots<'_>) -> Option<StepWork<T>>;

/// Returns how every kernel is verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    let kinds = [
        rows::cases(),
        products::cases(),
        blocks::cases(),
        losses::cases(),
        members::cases(),
        scaling::cases(),
        updates::cases(),
        elementwise::cases(),
    ];
    kinds.into_iter().flatten().collect()
}

/// A step of a plan, prepared to run.
#[derive(Debug)]
pub(super) struct PreparedStep<T: Real> {
    kernel: Kernel,
    work: StepWork<T>,
    /// Slots written in half precision: computed in the device's own precision, then rounded.
    halves: Vec<Range<usize>>,
    guard: Option<Guard>,
}

/// Computation of a step.
struct StepWork<T: Real> {
    sizes: MatmulShape,
    run: RunStep<T>,
    /// Weights that the step keeps packed, if it does.
    weights: Option<Arc<PackedWeights<T>>>,
}

/// Runs a step with these step parameters.
type RunStep<T> =
    Box<dyn Fn(&<T as Real>::CpuKernels, ArenaViews<'_, T>, &StepParams) + Send + Sync>;

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

    /// Returns all arguments that the kernel's declaration names, in its order; those that are absent or of the other kind are
    /// empty.
    fn of_kind<const N: usize>(&self, floats: bool) -> [Range<usize>; N] {
        let Declaration { name, reads, writes, .. } = self.step.kernel.declaration();
        let mut slots = self.step.reads.iter().chain(&self.step.writes);
        let arguments = reads.iter().chain(&writes).map(|argument| {
            let slot = if argument.present { slots.next() } else { None };
            let slot = slot.filter(|slot| self.spec(**slot).element.is_float() == floats);
            slot.map_or(0..0, |&slot| self.range(slot))
        });
        let arguments: Vec<_> = arguments.collect();
        let count = arguments.len();
        arguments
            .try_into()
            .unwrap_or_else(|_| panic!("{name} declares {count} arguments, not {N}"))
    }

    /// Returns the arguments that hold floats.
    fn floats<const N: usize>(&self) -> [Range<usize>; N] {
        self.of_kind(true)
    }

    /// Returns the arguments that hold whole numbers.
    fn indices<const N: usize>(&self) -> [Range<usize>; N] {
        self.of_kind(false)
    }

    /// Returns the sizes of a kernel that passes once over what it writes first; reading two and writing one costs four.
    fn passed(&self) -> MatmulShape {
        MatmulShape { m: 1, n: self.spec(self.step.writes[0]).len(), k: 4 }
    }

    /// Returns the work of a function of the kernel's arguments, all of them floats.
    fn plain<T: Real, const N: usize>(
        &self,
        run: impl Fn([&mut [T]; N], &StepParams) + Send + Sync + 'static,
    ) -> StepWork<T> {
        let ranges = self.floats();
        StepWork::new(self.passed(), move |_, arenas, step| {
            run(disjoint(arenas.floats, &ranges), step)
        })
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
        let argument = |name| self.step.slot(name).map_or(0..0, |slot| self.range(slot));
        let gathered = match self.step.kernel {
            Kernel::Update(_) => argument("gathered"),
            _ => 0..0,
        };
        Some(Guard { overflow: argument("scaling").start + OVERFLOW, gathered })
    }

    /// Returns the computation of the step.
    fn prepare<T: Real>(&self) -> Result<StepWork<T>> {
        let kinds: [PrepareKind<T>; 8] = [
            rows::prepare,
            products::prepare,
            blocks::prepare,
            losses::prepare,
            members::prepare,
            scaling::prepare,
            updates::prepare,
            elementwise::prepare,
        ];
        kinds
            .into_iter()
            .find_map(|kind| kind(self))
            .ok_or_else(|| Error::shape(self.step.kernel.name(), "it has no function on the CPU"))
    }
}

impl<T: Real> StepWork<T> {
    /// Makes the work of a step; for a kernel that is no product, m · n · k is its cost.
    fn new(
        sizes: MatmulShape,
        run: impl Fn(&T::CpuKernels, ArenaViews<'_, T>, &StepParams) + Send + Sync + 'static,
    ) -> Self {
        Self { sizes, run: Box::new(run), weights: None }
    }
}

impl<T: Real> fmt::Debug for StepWork<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepWork").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl<T: Real> PreparedStep<T> {
    /// Prepares a step of a plan whose buffers begin at these places.
    ///
    /// # Errors
    /// If the kernel has no function on the CPU.
    pub(super) fn of(plan: &Plan, step: &Step, starts: &[usize]) -> Result<Self> {
        let slots = Slots { plan, step, starts };
        let half = |slot: &&Slot| slots.spec(**slot).element == Element::F16;
        let halves = step.writes.iter().filter(half).map(|&slot| slots.range(slot)).collect();
        Ok(Self { kernel: step.kernel, work: slots.prepare()?, halves, guard: slots.guard() })
    }

    /// Returns the kernel and its sizes: for products their own, for others with the cost of an element.
    pub(super) fn sizes(&self) -> (Kernel, MatmulShape) {
        (self.kernel, self.work.sizes)
    }

    /// Drops what the step keeps of elements that are written.
    pub(super) fn forget(&self, written: &Range<usize>) {
        self.work.weights.iter().for_each(|weights| weights.forget(written));
    }

    /// Runs the step with these step parameters.
    pub(super) fn run(&self, engine: &T::CpuKernels, arenas: ArenaViews<'_, T>, step: &StepParams) {
        let ArenaViews { floats, indices } = arenas;
        if let Some(Guard { overflow, gathered }) = &self.guard
            && floats[*overflow] != T::zero()
        {
            // Gradients that were accumulated before are dropped with the skipped update.
            return floats[gathered.clone()].fill(T::zero());
        }
        (self.work.run)(engine, ArenaViews { floats, indices }, step);
        // Rounded once at the end, as a GPU does when it stores a result.
        for range in &self.halves {
            round(&mut floats[range.clone()]);
        }
    }
}
