//! Formulas element by element, and their sums over rows and columns: `map`, `map_rows`, `map_columns`.

use std::ops::Range;

use super::super::engine::CpuKernels;
use super::super::kernels::MatmulShape;
use super::super::map::{ElementwiseArgs, SumOver};
use super::super::{CompiledMap, Real};
use super::{Slots, StepWork};
use crate::plan::{Formula, Kernel, MOST_OPERANDS, StepParams};

/// A formula over its operands, which may overlap.
#[derive(Debug)]
pub(super) struct MappedStep {
    formula: Formula,
    /// The same formula, prepared for wide vectors.
    compiled: CompiledMap,
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
    let compiled = CompiledMap::of(&formula, over);
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
