//! The losses, in parts of rows that threads share; losses with an expression in single precision.
//!
//! In: a batch's outputs and targets, and its valid rows. Out: the results of `cpu::loss` and `cpu::kernels`, within
//! rounding.
//! Absent on purpose: the squared error, which is in `reductions`.

use super::block_eval::{BLOCK, Block, BlockValues, Inputs};
use super::compile::{Compiled, Source, VariesAlong};
use super::instructions::SimdLevel;
use super::interpreter::{Fold, Scaled};
use super::map::{one_of, shared};
use super::pool::{Pool, both};
use crate::device::cpu::loss::{LossInputs, factors};
use crate::expr::Program;
use crate::plan::{LossVariant, StepParams};

impl Compiled {
    /// Prepares a loss's expressions: its value, and the derivative for each prediction.
    pub(in crate::device::cpu) fn of_loss(program: &Program, form: &LossVariant) -> Self {
        let input = |index| match index {
            2 if form.constants => VariesAlong::Columns,
            2 => VariesAlong::One,
            _ => VariesAlong::Both,
        };
        Self::new(program, input, |_| VariesAlong::One)
    }
}

/// Runs work over parts of a batch's rows, each given by its first row, the rows' losses and the gradient.
pub(super) fn in_rows(
    pool: &Pool,
    cost: usize,
    (row_loss, d): (&mut [f32], &mut [f32]),
    work: &(impl Fn(usize, &mut [f32], &mut [f32]) + Sync),
) {
    fn part(
        cost: usize,
        first: usize,
        (row_loss, d): (&mut [f32], &mut [f32]),
        work: &(impl Fn(usize, &mut [f32], &mut [f32]) + Sync),
    ) {
        // A row is the least part: its loss is one sum.
        let rows = row_loss.len();
        if rows < 2 || !shared(d.len() * cost) {
            return work(first, row_loss, d);
        }
        let half = rows / 2;
        let (one, other) = d.split_at_mut(d.len() / rows * half);
        let (row_one, row_other) = row_loss.split_at_mut(half);
        both(
            true,
            || part(cost, first, (row_one, one), work),
            || part(cost, first + half, (row_other, other), work),
        );
    }
    if pool.threads() == 1 {
        return work(0, row_loss, d);
    }
    part(cost, 0, (row_loss, d), work);
}

/// An elementwise loss: predictions `[batch, n]`, targets `[batch, t]`.
#[derive(Clone, Copy)]
pub(super) struct LossMap<'a> {
    pub(super) form: &'a LossVariant,
    pub(super) compiled: &'a Compiled,
    pub(super) prediction: &'a [f32],
    pub(super) target: &'a [f32],
    pub(super) extra: LossInputs<'a, f32>,
    pub(super) step: &'a StepParams,
    /// Number of the batch's rows.
    pub(super) batch: usize,
}

impl LossMap<'_> {
    /// Returns the number of predictions of an element; those of a row are adjacent.
    fn width(&self) -> usize {
        self.compiled.outputs.len() - 1
    }

    /// Returns the number of elements of a row.
    fn elements(&self) -> usize {
        self.prediction.len() / self.batch / self.width()
    }

    /// Computes the losses and gradients of rows from `first` on.
    #[expect(clippy::cast_possible_truncation, reason = "factors in single precision")]
    pub(super) fn run(
        &self,
        first: usize,
        row_loss: &mut [f32],
        d: &mut [f32],
        instructions: SimdLevel,
    ) {
        let (width, elements) = (self.width(), self.elements());
        // Masked rows have no loss and no gradient; formulas are not evaluated there, since their rows may hold anything.
        let counted = (self.step.rows as usize).saturating_sub(first).min(row_loss.len());
        row_loss[counted..].fill(0.0);
        d[counted * elements * width..].fill(0.0);
        if counted == 0 {
            return;
        }
        let mean = 1.0 / (if self.form.mean { elements } else { self.extra.members }) as f64;
        let region = ((first, 0), (counted, elements));
        let mut values = BlockValues::new(self.compiled, self, instructions, region, true);
        let group = values.group();
        let wide = if group > 1 { elements } else { BLOCK };
        for row in (0..counted).step_by(group) {
            let rows = group.min(counted - row);
            // A long row is summed over several blocks, so its sum starts at 0.
            row_loss[row..row + rows].fill(0.0);
            for column in (0..elements).step_by(wide) {
                let columns = wide.min(elements - column);
                let block = Block { row: first + row, rows, column, columns };
                values.run(self, block, None);
                let part = |row: usize| row * columns..(row + 1) * columns;
                for at in 0..rows {
                    let (of_loss, of_slope) = factors(self.extra, first + row + at, self.step);
                    let losses = &values.computed(0, block)[part(at)];
                    let sum = instructions.run(Fold { values: losses, maximum: false });
                    row_loss[row + at] += sum * (mean as f32) * of_loss;
                    let d = &mut d[((row + at) * elements + column) * width..][..columns * width];
                    for which in 0..width {
                        let slopes = &values.computed(1 + which, block)[part(at)];
                        let by = mean as f32 * of_slope;
                        // One prediction an element: the gradient is one piece, which vectors write at once.
                        if width == 1 {
                            instructions.run(Scaled { values: slopes, by, out: d });
                        } else {
                            let places = d.iter_mut().skip(which).step_by(width);
                            places.zip(slopes).for_each(|(d, slope)| *d = slope * by);
                        }
                    }
                }
            }
        }
    }
}

impl Inputs for LossMap<'_> {
    fn one(&self, source: Source) -> f32 {
        match source {
            Source::Quantity(quantity) => one_of(quantity, self.step),
            // A loss without constants has 1 in their place.
            _ => 1.0,
        }
    }

    fn rows(&self, _source: Source, _first: usize, _to: &mut [f32]) {}

    fn columns(&self, _source: Source, first: usize, to: &mut [f32]) {
        let Some(constants) = self.extra.constants else { return to.fill(1.0) };
        for (column, to) in (first..).zip(to) {
            *to = constants[column % constants.len()];
        }
    }

    fn slice(&self, source: Source, block: Block) -> Option<&[f32]> {
        let elements = self.elements();
        let values = match source {
            Source::Input(1) if self.target.len() == self.batch * elements => self.target,
            Source::Input(0) if self.width() == 1 => self.prediction,
            _ => return None,
        };
        Some(&values[block.row * elements + block.column..][..block.len()])
    }

    fn fill(&self, source: Source, block: Block, to: &mut [f32]) {
        let Source::Input(index) = source else { return };
        let (width, elements) = (self.width(), self.elements());
        let columns = self.target.len() / self.batch;
        // Every member has all the row's targets.
        let of_member = elements / self.extra.members;
        let each = of_member / columns;
        for (row, to) in (block.row..).zip(to.chunks_exact_mut(block.columns)) {
            for (element, to) in (block.column..).zip(to) {
                *to = if index == 1 {
                    self.target[row * columns + element % of_member / each]
                } else {
                    self.prediction[(row * elements + element) * width + usize::from(index == 3)]
                };
            }
        }
    }
}
