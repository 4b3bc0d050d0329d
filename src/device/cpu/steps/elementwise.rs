//! Elementwise kernels, and sums over rows and columns: `activate`, `activate_grad`, `add`, `sum_rows`, and formulas.

use std::ops::Range;

use super::super::engine::CpuKernels;
use super::super::kernels::MatmulShape;
use super::super::map::{ElementwiseArgs, SumOver};
use super::super::{Compiled, Real};
use super::{Slots, StepWork, borrow_once, disjoint};
use crate::model::Activation;
use crate::plan::{Formula, Kernel, MOST_OPERANDS, StepParams};

#[derive(Debug)]
pub(super) struct Elementwise {
    kind: ElementwiseKind,
    /// Rows and columns of the result.
    sizes: (usize, usize),
    /// Two arguments and the result. If both arguments are the same slot, the second range is empty.
    floats: [Range<usize>; 3],
    same: bool,
}

#[derive(Debug)]
enum ElementwiseKind {
    Activate { act: Activation, bias: bool },
    ActivateGrad { act: Activation },
    Add,
    SumRows,
}

impl Elementwise {
    fn of(slots: &Slots<'_>, kind: ElementwiseKind, mut floats: [Range<usize>; 3]) -> StepWork {
        let same = borrow_once(&mut floats);
        StepWork::Elementwise(Self { kind, sizes: slots.matrix("out"), floats, same })
    }

    /// Returns the sizes of the result; reading two numbers and writing one costs four.
    pub(super) fn sizes(&self) -> MatmulShape {
        MatmulShape { m: self.sizes.0, n: self.sizes.1, k: 4 }
    }

    pub(super) fn run<T: Real>(&self, engine: &T::CpuKernels, floats: &mut [T]) {
        let [a, b, out] = disjoint(floats, &self.floats);
        let (a, b) = (&*a, if self.same { &*a } else { &*b });
        let columns = self.sizes.1;
        match self.kind {
            ElementwiseKind::Activate { act, bias } => {
                engine.activate(a, bias.then_some(b), act, out, columns);
            }
            ElementwiseKind::ActivateGrad { act } => engine.activate_grad(a, b, act, out),
            ElementwiseKind::Add => engine.add(a, b, out),
            ElementwiseKind::SumRows => engine.sum_rows(a, out, columns),
        }
    }
}

pub(super) fn activate(slots: &Slots<'_>, act: Activation, bias: bool) -> StepWork {
    Elementwise::of(
        slots,
        ElementwiseKind::Activate { act, bias },
        slots.floats(["x", "bias", "out"]),
    )
}

pub(super) fn activate_grad(slots: &Slots<'_>, act: Activation) -> StepWork {
    Elementwise::of(
        slots,
        ElementwiseKind::ActivateGrad { act },
        slots.floats(["saved", "d_y", "out"]),
    )
}

pub(super) fn add(slots: &Slots<'_>) -> StepWork {
    Elementwise::of(slots, ElementwiseKind::Add, slots.floats(["a", "b", "out"]))
}

pub(super) fn sum_rows(slots: &Slots<'_>) -> StepWork {
    let [x, out] = slots.floats(["x", "out"]);
    Elementwise::of(slots, ElementwiseKind::SumRows, [x, 0..0, out])
}

/// A formula over its operands, which may overlap.
#[derive(Debug)]
pub(super) struct MappedStep {
    formula: Formula,
    /// The same formula, prepared for wide vectors.
    compiled: Compiled,
    operands: Vec<Range<usize>>,
    out: Range<usize>,
    /// Rows of the matrix that the formula goes over.
    rows: usize,
    over: SumOver,
}

pub(super) fn mapped(slots: &Slots<'_>) -> StepWork {
    let formula = slots.formula();
    let operands: Vec<_> = slots.step.reads.iter().map(|&slot| slots.range(slot)).collect();
    let [out] = slots.floats(["out"]);
    let flat = (out.len() / formula.columns.max(1), SumOver::Nothing);
    let (rows, over) = match slots.step.kernel {
        Kernel::MapRows { .. } => {
            (formula.rows(operands.iter().map(ExactSizeIterator::len)), SumOver::Rows)
        }
        Kernel::MapColumns { maximum: false, .. } => (out.len(), SumOver::Columns),
        Kernel::MapColumns { maximum: true, .. } => (out.len(), SumOver::Largest),
        _ => flat,
    };
    let compiled = Compiled::of(&formula);
    StepWork::Mapped(Box::new(MappedStep { formula, compiled, operands, out, rows, over }))
}

impl MappedStep {
    pub(super) fn sizes(&self) -> MatmulShape {
        MatmulShape { m: self.rows, n: self.formula.columns, k: self.compiled.cost() }
    }

    pub(super) fn run<T: Real>(&self, engine: &T::CpuKernels, floats: &mut [T], step: &StepParams) {
        let Self { formula, compiled, rows, over, .. } = self;
        let (before, rest) = floats.split_at_mut(self.out.start);
        let (out, after) = rest.split_at_mut(self.out.len());
        let mut operands: [&[T]; MOST_OPERANDS] = [&[]; MOST_OPERANDS];
        for (operand, range) in operands.iter_mut().zip(&self.operands) {
            // No step reads what it writes.
            *operand = match range.start.checked_sub(self.out.end) {
                Some(start) => &after[start..start + range.len()],
                None => &before[range.clone()],
            };
        }
        engine.map(
            ElementwiseArgs { formula, compiled, operands, rows: *rows, step: *step },
            *over,
            out,
        );
    }
}
