//! Chains: formulas over one matrix that one kernel computes one after the other, each of which may read the results before it.
//! So a norm with its activation is one or two kernels in each direction, and its matrix is visited once.
//!
//! In: the steps of a phase, in their order. Out: the same computations in fewer steps.
//! Absent on purpose: layers, since every run of formulas over one matrix is treated alike.

use std::collections::{HashMap, HashSet};

use super::{
    Broadcast, Formula, FormulaId, Kernel, MOST_OPERANDS, Operand, Plan, PlanBuilder, Slot, Step,
};

/// Largest number of a chain's formulas: those of a layer norm with an activation.
pub const MOST_LINKS: usize = 5;

/// Number of steps after a chain's first one among which its others are searched, so that planning takes no longer than the
/// number of steps.
const SEARCHED: usize = 16;

/// Slots that a chain reads and writes at most: WebGPU has eight storage buffers a kernel.
const MOST_SLOTS: usize = 8;

/// Direction in which a chain's formulas are summed, which decides what may run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Nothing is summed: each element is computed by itself.
    Elements,
    /// Some formulas are summed over rows, and the others are not: each column is computed by itself.
    Rows,
    /// Some formulas are summed over columns, and the others are not: each row is computed by itself.
    Columns,
}

/// Result of a chain's formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkResult {
    /// A value for each element.
    Elements,
    /// Sums over the chain's axis.
    Sum,
    /// The maximum over the columns.
    Largest,
}

/// A formula of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Computation.
    pub formula: FormulaId,
    /// Use of the formula's values.
    pub result: LinkResult,
    /// True if a step outside of the chain reads the result. Else GPUs may keep a row's sum in a workgroup's memory.
    pub stored: bool,
    /// Number of the formula's operands.
    operands: u8,
    /// For each operand its index among the slots that the chain reads, followed by the results of the chain.
    arguments: [u8; MOST_OPERANDS],
}

impl Link {
    /// Makes a link with a stored result from its formula, the use of the formula's values, and the indices of its operands
    /// among the slots that the chain reads, followed by its results.
    pub(crate) fn new(formula: FormulaId, result: LinkResult, operands: &[u8]) -> Self {
        let mut arguments = [0; MOST_OPERANDS];
        arguments[..operands.len()].copy_from_slice(operands);
        Self { formula, result, stored: true, operands: few(operands.len()), arguments }
    }

    /// Returns the indices of the operands among the slots that the chain reads, followed by its results.
    pub fn arguments(&self) -> impl Iterator<Item = usize> {
        let count = self.operands.into();
        self.arguments.into_iter().take(count).map(usize::from)
    }

    /// Returns the kernel that computes this formula alone.
    fn kernel(&self, kind: ChainKind) -> Kernel {
        let &Self { formula, operands, result, .. } = self;
        match (kind, result) {
            (_, LinkResult::Elements) => Kernel::Map { formula, operands },
            (ChainKind::Rows, _) => Kernel::MapRows { formula, operands },
            (_, result) => {
                let maximum = result == LinkResult::Largest;
                Kernel::MapColumns { formula, operands, maximum }
            }
        }
    }
}

/// Formulas over one matrix, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Direction of the sums.
    pub kind: ChainKind,
    /// Number of slots that are read.
    pub reads: u8,
    links: [Option<Link>; MOST_LINKS],
}

impl Chain {
    /// Makes a chain that reads this many slots.
    pub(crate) fn new(kind: ChainKind, reads: u8, links: &[Link]) -> Self {
        let mut all = [None; MOST_LINKS];
        all.iter_mut().zip(links).for_each(|(to, link)| *to = Some(*link));
        Self { kind, reads, links: all }
    }

    /// Returns the formulas, in their order. Each writes one slot.
    pub fn links(&self) -> impl Iterator<Item = Link> {
        self.links.into_iter().flatten()
    }

    /// Returns the number of formulas.
    pub fn len(&self) -> u8 {
        few(self.links().count())
    }

    /// Returns whether there is no formula.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether GPUs bind the slot of a result: not that of a row's sum which only the chain reads.
    pub fn binds(&self, link: &Link) -> bool {
        let kept = self.kind == ChainKind::Columns && link.result != LinkResult::Elements;
        link.stored || !kept
    }

    /// Returns a number whose bit i says whether a condition holds for the formula i.
    pub(super) fn bits(&self, holds: impl Fn(&Link) -> bool) -> u32 {
        self.links().enumerate().map(|(at, link)| u32::from(holds(&link)) << at).sum()
    }

    /// Returns the steps that compute the same one by one.
    pub fn parts(&self, step: &Step) -> Vec<Step> {
        let slots: Vec<Slot> = step.reads.iter().chain(&step.writes).copied().collect();
        let part = |(link, &out): (Link, &Slot)| Step {
            kernel: link.kernel(self.kind),
            reads: link.arguments().map(|at| slots[at]).collect(),
            writes: vec![out],
        };
        self.links().zip(&step.writes).map(part).collect()
    }
}

impl Plan {
    /// Returns the rows and columns of the matrix that a chain goes over.
    pub fn chain_sizes(&self, chain: &Chain, step: &Step) -> (usize, usize) {
        let first = &chain.parts(step)[0];
        let formula = self.formula(first.kernel.formula().expect("a link has a formula"));
        sizes(&first.kernel, first, formula, |slot| self.slot(slot).len())
    }
}

/// Returns a number of slots or links as a chain stores it.
fn few(count: usize) -> u8 {
    u8::try_from(count).expect("a kernel binds a few slots")
}

/// Returns the rows and columns of the matrix that a formula's step goes over.
fn sizes(
    kernel: &Kernel,
    step: &Step,
    formula: &Formula,
    len: impl Fn(Slot) -> usize,
) -> (usize, usize) {
    let (out, columns) = (len(step.writes[0]), formula.columns);
    let rows = match kernel {
        Kernel::MapRows { .. } => formula.rows(step.reads.iter().map(|&slot| len(slot))),
        Kernel::MapColumns { .. } => out,
        _ => out / columns.max(1),
    };
    (rows, columns)
}

/// A step that computes a formula, as a part of a chain.
#[derive(Clone, Copy)]
struct FormulaStep {
    formula: FormulaId,
    result: LinkResult,
    /// The kind of a chain with this part alone.
    kind: ChainKind,
    sizes: (usize, usize),
}

impl FormulaStep {
    /// Returns a step as a part; `None` if its kernel computes no formula over a matrix, or an operand is moved.
    fn of(builder: &PlanBuilder, step: &Step) -> Option<Self> {
        let (result, kind) = match step.kernel {
            Kernel::Map { .. } => (LinkResult::Elements, ChainKind::Elements),
            Kernel::MapRows { .. } => (LinkResult::Sum, ChainKind::Rows),
            Kernel::MapColumns { maximum: false, .. } => (LinkResult::Sum, ChainKind::Columns),
            Kernel::MapColumns { maximum: true, .. } => (LinkResult::Largest, ChainKind::Columns),
            _ => return None,
        };
        let id = step.kernel.formula()?;
        let formula = builder.formula_of(id);
        let len = |slot| builder.sizes(slot).iter().product();
        let sizes = sizes(&step.kernel, step, formula, len);
        let in_place = |operand: &Operand| match operand.along {
            Broadcast::Both | Broadcast::Columns => {
                operand.shift == 0 && operand.width == formula.columns
            }
            Broadcast::Rows | Broadcast::Nothing => true,
        };
        let fits = formula.operands.iter().all(in_place) && sizes.0 * sizes.1 > 0;
        fits.then_some(Self { formula: id, result, kind, sizes })
    }
}

/// The steps of a phase, and what is known of their slots.
struct Steps<'a> {
    builder: &'a PlanBuilder,
    steps: &'a [Step],
    /// The steps that read a slot.
    readers: HashMap<Slot, Vec<usize>>,
    /// Slots that are read after these steps.
    wanted: &'a HashSet<Slot>,
}

/// A chain while it is collected.
struct Draft<'a> {
    all: &'a Steps<'a>,
    kind: ChainKind,
    sizes: (usize, usize),
    /// The parts, with their indices among the steps.
    parts: Vec<(FormulaStep, usize)>,
}

impl<'a> Draft<'a> {
    /// Returns the steps of the parts.
    fn steps(&self) -> impl DoubleEndedIterator<Item = &'a Step> + ExactSizeIterator {
        self.parts.iter().map(|&(_, at)| &self.all.steps[at])
    }

    /// Returns the slots that the parts read and no part before them has written, each once.
    fn reads(&self) -> Vec<Slot> {
        let mut reads = Vec::new();
        for (at, step) in self.steps().enumerate() {
            let made = |slot: &Slot| self.steps().take(at).any(|it| it.writes.contains(slot));
            for slot in &step.reads {
                if !made(slot) && !reads.contains(slot) {
                    reads.push(*slot);
                }
            }
        }
        reads
    }

    /// Returns the slots that the parts write.
    fn writes(&self) -> Vec<Slot> {
        self.steps().map(|step| step.writes[0]).collect()
    }

    /// Returns the part that computes a slot.
    fn maker(&self, slot: Slot) -> Option<FormulaStep> {
        let at = self.steps().position(|step| step.writes.contains(&slot))?;
        Some(self.parts[at].0)
    }

    /// Returns whether something outside of the chain reads a slot.
    fn stored(&self, slot: Slot) -> bool {
        let inside = |at: &usize| self.parts.iter().any(|(_, part)| part == at);
        let readers = self.all.readers.get(&slot);
        self.all.wanted.contains(&slot) || !readers.is_some_and(|all| all.iter().all(inside))
    }

    /// Returns the kind of the chain with one more part; `None` if no kernel computes both.
    fn kind_with(&self, part: FormulaStep, step: &Step) -> Option<ChainKind> {
        match (self.kind, part.kind) {
            (one, other) if one == other => Some(one),
            // A row that is computed by itself may have elements beside sums.
            (ChainKind::Elements, ChainKind::Columns)
            | (ChainKind::Columns, ChainKind::Elements) => Some(ChainKind::Columns),
            // So may a column, but GPUs have more lanes for elements alone: only those that are summed come with it.
            (ChainKind::Elements, ChainKind::Rows) => {
                step.reads.iter().any(|&slot| self.maker(slot).is_some()).then_some(ChainKind::Rows)
            }
            _ => None,
        }
    }

    /// Adds a part if one kernel can compute all of them; returns whether it has.
    fn add(&mut self, part: FormulaStep, at: usize) -> bool {
        let step = &self.all.steps[at];
        let Some(kind) = self.kind_with(part, step) else { return false };
        let known = |slot: &Slot| {
            self.steps().any(|it| it.reads.contains(slot) || it.writes.contains(slot))
        };
        let is_elements =
            |&slot: &Slot| self.maker(slot).is_some_and(|it| it.result == LinkResult::Elements);
        // A maximum begins with any element of the row, which another lane of a GPU may have computed.
        let late = part.result == LinkResult::Largest && step.reads.iter().any(is_elements);
        // Formulas that share nothing would gain nothing from one another.
        let apart = !step.reads.iter().any(known);
        if self.sizes != part.sizes || self.parts.len() == MOST_LINKS || late || apart {
            return false;
        }
        let before = std::mem::replace(&mut self.kind, kind);
        self.parts.push((part, at));
        let fits = self.step().is_some();
        if !fits {
            self.parts.pop();
            self.kind = before;
        }
        fits
    }

    /// Returns the step of the chain, of a single part the step itself; `None` if a kernel cannot bind all slots, since
    /// they are too many, or one that is read shares a buffer with one that is written.
    fn step(&self) -> Option<Step> {
        if let [(_, at)] = self.parts[..] {
            return Some(self.all.steps[at].clone());
        }
        let (reads, writes) = (self.reads(), self.writes());
        if reads.len() > MOST_OPERANDS {
            return None;
        }
        let slots: Vec<Slot> = reads.iter().chain(&writes).copied().collect();
        let link = |((part, _), step): (&(FormulaStep, usize), &Step)| {
            let place = |slot: &Slot| slots.iter().position(|other| other == slot);
            let arguments = step.reads.iter().map(place);
            let arguments: Vec<u8> =
                arguments.map(|at| few(at.expect("each operand is read or computed"))).collect();
            let stored = self.stored(step.writes[0]);
            Link { stored, ..Link::new(part.formula, part.result, &arguments) }
        };
        let links: Vec<Link> = self.parts.iter().zip(self.steps()).map(link).collect();
        let chain = Chain::new(self.kind, few(reads.len()), &links);
        let bound = reads.len() + links.iter().filter(|link| chain.binds(link)).count();
        let step = self.all.builder.step(Kernel::Chain(chain), reads, writes).ok();
        step.filter(|_| bound <= MOST_SLOTS)
    }
}

/// Returns steps that compute the same, with formulas over one matrix joined to chains. A formula is computed earlier than
/// before, where a chain takes it over a formula in between that it does not read. The values of `wanted` slots are read
/// after the steps.
pub(super) fn chained(builder: &PlanBuilder, steps: &[Step], wanted: &HashSet<Slot>) -> Vec<Step> {
    let parts: Vec<Option<FormulaStep>> =
        steps.iter().map(|step| FormulaStep::of(builder, step)).collect();
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        step.reads.iter().for_each(|&slot| readers.entry(slot).or_default().push(at));
    }
    let all = Steps { builder, steps, readers, wanted };
    let mut taken = vec![false; steps.len()];
    let mut result = Vec::with_capacity(steps.len());
    for (first, step) in steps.iter().enumerate() {
        if taken[first] {
            continue;
        }
        let Some(part) = parts[first] else {
            result.push(step.clone());
            continue;
        };
        let FormulaStep { kind, sizes, .. } = part;
        let mut draft = Draft { all: &all, kind, sizes, parts: vec![(part, first)] };
        // Results of the formulas in between, which stay behind.
        let mut left: Vec<Slot> = Vec::new();
        for (next, step) in steps.iter().enumerate().skip(first + 1).take(SEARCHED) {
            // Any other kernel ends the search.
            let Some(part) = parts[next] else { break };
            if taken[next] {
                continue;
            }
            let waits = step.reads.iter().any(|slot| left.contains(slot));
            taken[next] = !waits && draft.add(part, next);
            if !taken[next] {
                left.extend(&step.writes);
            }
        }
        result.push(draft.step().expect("each part was added where a kernel can bind all slots"));
    }
    result
}
