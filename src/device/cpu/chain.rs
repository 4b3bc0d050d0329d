//! Chains of formulas: the kernels `map_chain`, `map_rows_chain` and `map_columns_chain` in any precision.
//!
//! In: formulas, operands, sizes. Out: the results of all formulas, as if each were a kernel of its own.

use std::ops::Range;

use super::engine::CpuKernels;
use super::kernels::round;
use super::map::{ElementwiseArgs, SumOver};
use super::{CompiledMap, Real};
use crate::plan::{Broadcast, Formula, MOST_LINKS, MOST_OPERANDS, StepParams};

/// A formula of a chain, ready to run.
#[derive(Debug)]
pub struct PreparedLink {
    /// Computation.
    pub formula: Formula,
    /// The same formula, prepared for wide vectors.
    pub compiled: CompiledMap,
    /// Reduction of the formula's values.
    pub over: SumOver,
    /// For each operand its index among the slots that the chain reads, followed by its results.
    pub arguments: Vec<usize>,
    /// True if the result is rounded to half precision, which later formulas then read.
    pub half: bool,
}

/// Formulas over a matrix, or over some rows of it, which are computed one after the other.
#[derive(Clone, Copy, Debug)]
pub struct ChainArgs<'a, T> {
    /// The formulas.
    pub links: &'a [PreparedLink],
    /// The slots that are read; the first `inputs` of them are there.
    pub reads: [&'a [T]; MOST_OPERANDS],
    /// Number of slots that are read.
    pub inputs: usize,
    /// Rows of the matrix, or of the part of it that the slots hold.
    pub rows: usize,
    /// The first of these rows.
    pub first_row: usize,
    /// Step parameters.
    pub step: StepParams,
}

/// The results of a chain; those that it does not have are empty.
pub type ChainResults<'a, T> = [&'a mut [T]; MOST_LINKS];

impl<'a, T: Real> ChainArgs<'a, T> {
    /// Computes the formulas over all rows, one after the other, by the kernels of a device.
    pub fn run(&self, kernels: &impl CpuKernels<T>, outs: ChainResults<'_, T>) {
        let mut outs = outs;
        for (at, link) in self.links.iter().enumerate() {
            // Results before this one are read, so they are borrowed apart from the one that is written.
            let (before, rest) = outs.split_at_mut(at);
            let mut operands: [&[T]; MOST_OPERANDS] = [&[]; MOST_OPERANDS];
            for (operand, &argument) in operands.iter_mut().zip(&link.arguments) {
                *operand = match argument.checked_sub(self.inputs) {
                    Some(result) => &*before[result],
                    None => self.reads[argument],
                };
            }
            let PreparedLink { formula, compiled, over, .. } = link;
            let &Self { rows, first_row, step, .. } = self;
            let mapped = ElementwiseArgs { formula, compiled, operands, rows, first_row, step };
            kernels.map(mapped, *over, &mut *rest[0]);
            if link.half {
                round(&mut *rest[0]);
            }
        }
    }

    /// Returns the chain over some of its rows.
    pub fn part(&self, rows: &Range<usize>) -> Self {
        let mut reads = self.reads;
        for link in self.links {
            for (operand, &argument) in link.formula.operands.iter().zip(&link.arguments) {
                let Some(read) = reads.get_mut(argument).filter(|_| argument < self.inputs) else {
                    continue;
                };
                // Other operands are the same for all rows.
                let each = match operand.along {
                    Broadcast::Both => operand.width,
                    Broadcast::Rows => 1,
                    Broadcast::Columns | Broadcast::Nothing => continue,
                };
                *read = &self.reads[argument][rows.start * each..rows.end * each];
            }
        }
        Self { reads, rows: rows.len(), first_row: self.first_row + rows.start, ..*self }
    }

    /// Cuts results in two before a row.
    pub fn split<'b>(
        &self,
        row: usize,
        outs: ChainResults<'b, T>,
    ) -> (ChainResults<'b, T>, ChainResults<'b, T>) {
        let mut index = 0;
        let mut other: ChainResults<'b, T> = std::array::from_fn(|_| Default::default());
        let one = outs.map(|out| {
            let each = self.links.get(index).map_or(0, |link| match link.over {
                SumOver::Nothing => link.formula.columns,
                _ => 1,
            });
            let (first, second) = out.split_at_mut(row * each);
            other[index] = second;
            index += 1;
            first
        });
        (one, other)
    }

    /// Returns the cost of a row.
    pub fn row_cost(&self) -> usize {
        let of = |link: &PreparedLink| link.formula.columns * link.compiled.cost();
        self.links.iter().map(of).sum()
    }

    /// Returns whether each row is computed by itself.
    pub fn by_rows(&self) -> bool {
        self.links.iter().all(|link| link.over != SumOver::Rows)
    }
}
