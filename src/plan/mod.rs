//! The order of work and the memory it needs: a [`Plan`] of steps that name kernels and slots.
//!
//! In: a graph and sizes. Out: data that prints itself and that any device can run.
//! Absent on purpose: floating-point arithmetic, wgpu.

mod build;
mod builder;
mod chain;
mod declaration;
mod formula;
mod fuse;
mod kernel;
mod memory;
mod partial_sums;
mod phases;
mod precision;
mod print;
mod update;

pub use build::Sizes;
pub use builder::PlanBuilder;
pub use chain::{Chain, ChainKind, Link, LinkResult, MOST_LINKS};
pub use declaration::{Argument, Declaration, Feature, SlotPrecision};
pub use formula::{Formula, FormulaId};

use crate::graph::LOSS_NUMBERS;
pub use crate::graph::{Broadcast, MOST_OPERANDS, Operand, SCALARS};
pub use kernel::{Dropout, Kernel, LossVariant, Update};
pub use memory::Memory;
pub use partial_sums::PartialSum;
pub use phases::{EvalPlan, EvalPorts, TrainPlan, TrainPorts};
pub use precision::{HALF_MAX, LossScaler, Precision, StorageTypes};
pub(crate) use update::UpdatePass;
pub use update::{BLOCK, FACTORS};

/// Number of steps whose step parameters the device holds at once; a longer epoch is run in several parts.
pub const WINDOW: usize = 1024;

/// A named piece of memory that steps read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) u32);

/// One allocation on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub(crate) u32);

/// Element type of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Row numbers and classes, 32 bits each.
    U32,
}

impl Element {
    /// Returns the bytes of `count` elements.
    pub fn bytes(self, count: usize) -> u64 {
        let each = if self == Self::F16 { 2 } else { 4 };
        each * count as u64
    }

    /// Returns the number of elements between places where a binding may begin: 256 bytes, WebGPU's default.
    pub fn alignment(self) -> usize {
        if self == Self::F16 { 128 } else { 64 }
    }

    /// Returns whether elements are floats of any precision.
    pub fn is_float(self) -> bool {
        self != Self::U32
    }
}

/// Purpose of a buffer; decides under which heading its bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Tables, row order, predictions.
    Data,
    /// Parameters.
    Params,
    /// Gradients.
    Gradients,
    /// Optimizer state.
    State,
    /// Values that live inside a step.
    Activations,
    /// Losses of the steps that have run.
    Log,
}

/// A slot: its name, sizes and place.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotSpec {
    /// Name in printed plans and messages.
    pub name: String,
    /// Sizes, slowest first.
    pub sizes: Vec<usize>,
    /// Element type.
    pub element: Element,
    /// The buffer that holds the slot.
    pub buffer: BufferId,
    /// First element in that buffer.
    pub offset: usize,
    /// The slot whose elements these are, if this one is the same in another shape.
    pub same_as: Option<Slot>,
}

impl SlotSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.sizes.iter().product()
    }

    /// Returns whether the slot has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of bytes.
    pub fn bytes(&self) -> u64 {
        self.element.bytes(self.len())
    }

    /// Elements of the slot in its buffer.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }

    /// Returns rows and columns; a vector counts as one row.
    pub fn matrix(&self) -> (usize, usize) {
        match self.sizes[..] {
            [rows, columns] => (rows, columns),
            _ => (1, self.len()),
        }
    }
}

/// A buffer: its name, size and purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferSpec {
    /// Name in printed plans and messages.
    pub name: String,
    /// Number of elements.
    pub elements: usize,
    /// Element type.
    pub element: Element,
    /// Purpose.
    pub role: Role,
}

impl BufferSpec {
    /// Number of bytes on a device, a multiple of four.
    pub fn bytes(&self) -> u64 {
        self.element.bytes(self.elements).next_multiple_of(4)
    }
}

/// One dispatch: a kernel, the slots that it reads and those that it writes (or changes in place).
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Computation.
    pub kernel: Kernel,
    /// Slots that are only read, in the kernel's order.
    pub reads: Vec<Slot>,
    /// Slots that are written or changed, in the kernel's order.
    pub writes: Vec<Slot>,
}

/// The sequences of steps in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Forward, loss, backward, update over one batch.
    Train,
    /// Forward over one batch; predictions are collected.
    Eval,
    /// Forward over one training batch with the averaged weights, as in training; the running statistics that belong to them
    /// become the mean over the batches. Only plans with averaged weights and a batch norm have this phase.
    Measure,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 3] = [Self::Train, Self::Eval, Self::Measure];
}

/// Step parameters: numbers that change from step to step, computed ahead on the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepParams {
    /// First of the batch's rows, in the epoch's order.
    pub first: u32,
    /// Number of valid rows; the others of the batch are masked.
    pub rows: u32,
    /// Place of the first row in the whole batch, of which several ranks have a share each: by it random numbers of rows are
    /// those of the whole batch.
    pub batch_row: u32,
    /// Index in the log at which the loss is written.
    pub log: u32,
    /// Steps before this one since the run began: random numbers of a step follow from this number and the seed.
    pub step: u32,
    /// The run's seed, folded to 32 bits.
    pub seed: u32,
    /// True if the weights are updated after this step; else its gradients are only added to those since the last update.
    pub apply: bool,
    /// Factor of dropout rates.
    pub dropout: f64,
    /// Factors of the loss's settings that are numbers, in the order of its text.
    pub loss: [f64; LOSS_NUMBERS],
    /// Divisor of the sum of the rows' losses; `None` for the number of valid rows.
    pub divisor: Option<f64>,
    /// Numbers of the update, which its formulas find by their places: the learning rate, the weight decay, then those of
    /// the optimizer, its settings last. `graph::OptimizerSchedule` computes them.
    pub scalars: [f64; SCALARS],
}

impl StepParams {
    /// Returns the divisor of the sum of the rows' losses.
    pub fn divided_by(&self) -> f64 {
        self.divisor.unwrap_or_else(|| self.rows.into())
    }

    /// Returns the place of the first row's first element in a matrix of the whole batch, counted in 32 bits as shaders do.
    pub(crate) fn first_element(&self, columns: usize) -> u32 {
        self.batch_row.wrapping_mul(columns as u32)
    }
}

impl Default for StepParams {
    /// Returns parameters of a step without rows, with a learning rate of 0, and all else without effect.
    fn default() -> Self {
        Self {
            first: 0,
            rows: 0,
            batch_row: 0,
            log: 0,
            step: 0,
            seed: 0,
            apply: true,
            dropout: 1.0,
            loss: [1.0; LOSS_NUMBERS],
            divisor: None,
            scalars: [0.0; SCALARS],
        }
    }
}

/// Initial values of a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum InitialValues {
    /// Floats, rounded to the precision of the device.
    Floats(Vec<f64>),
    /// Whole numbers.
    Indices(Vec<u32>),
}

/// Everything that is decided before the first dispatch: order, fusion, memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Rows of a training batch.
    pub batch: usize,
    /// Rows of a batch in the eval phase.
    pub eval_batch: usize,
    pub(crate) buffers: Vec<BufferSpec>,
    pub(crate) slots: Vec<SlotSpec>,
    pub(crate) train: Vec<Step>,
    pub(crate) eval: Vec<Step>,
    pub(crate) measure: Vec<Step>,
    pub(crate) formulas: Vec<Formula>,
    /// Initial values of slots that do not begin with zeros.
    pub(crate) starts: Vec<(Slot, InitialValues)>,
    /// Slots that the host writes once and no step changes, whose values several members that train side by side have in
    /// common.
    pub(crate) shared: Vec<Slot>,
    /// True if the device runs parts of a training step, between which the host changes values: then no dispatch may run more
    /// than one of the plan's steps.
    pub(crate) in_parts: bool,
}

impl Plan {
    /// Returns the slot that a slot is another shape of; of others the slot itself.
    pub(crate) fn original(&self, slot: Slot) -> Slot {
        self.slot(slot).same_as.unwrap_or(slot)
    }

    /// One slot.
    pub fn slot(&self, slot: Slot) -> &SlotSpec {
        &self.slots[slot.0 as usize]
    }

    /// Returns the formula that a kernel names.
    pub fn formula(&self, id: FormulaId) -> &Formula {
        &self.formulas[usize::from(id.0)]
    }

    /// The formulas of the plan's kernels.
    pub fn formulas(&self) -> &[Formula] {
        &self.formulas
    }

    /// Returns the initial values of slots that do not begin with zeros. Devices write them as they load the plan.
    pub fn starts(&self) -> &[(Slot, InitialValues)] {
        &self.starts
    }

    /// Returns the slots whose values are the same for all members that train side by side.
    pub(crate) fn shared(&self) -> &[Slot] {
        &self.shared
    }

    /// Returns whether a buffer, by its index, holds nothing but shared slots.
    pub(crate) fn is_shared(&self, buffer: usize) -> bool {
        let mut inside =
            self.slots().filter(|(_, spec)| spec.buffer.0 as usize == buffer).peekable();
        inside.peek().is_some() && inside.all(|(slot, _)| self.shared.contains(&slot))
    }

    /// Returns the bytes of the buffers for so many members, with what they share once.
    pub(crate) fn bytes_for_members(&self, members: u32) -> u64 {
        let each = |(index, buffer): (usize, &BufferSpec)| {
            let copies = if self.is_shared(index) { 1 } else { u64::from(members) };
            buffer.bytes().saturating_mul(copies)
        };
        self.buffers.iter().enumerate().map(each).fold(0, u64::saturating_add)
    }

    /// All slots.
    pub fn slots(&self) -> impl Iterator<Item = (Slot, &SlotSpec)> {
        (0..).map(Slot).zip(&self.slots)
    }

    /// All buffers.
    pub fn buffers(&self) -> &[BufferSpec] {
        &self.buffers
    }

    /// One buffer.
    pub fn buffer(&self, buffer: BufferId) -> &BufferSpec {
        &self.buffers[buffer.0 as usize]
    }

    /// Returns the slot of the losses of training steps; `None` without such steps.
    pub fn log(&self) -> Option<Slot> {
        self.train.iter().find(|step| step.kernel == Kernel::LogLoss)?.slot("log_out")
    }

    /// The steps of a phase, in order.
    pub fn steps(&self, phase: Phase) -> &[Step] {
        match phase {
            Phase::Train => &self.train,
            Phase::Eval => &self.eval,
            Phase::Measure => &self.measure,
        }
    }
}
