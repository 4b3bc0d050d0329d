//! Formulas of plans over their operands: the kernels `map`, `map_rows` and `map_columns` in any precision.
//!
//! In: a formula, operands, sizes. Out: its values, their sums, or their maximum.

use crate::expr::{Binary, Functions, LANES, Number, StepValue};
use crate::plan::{Broadcast, Formula, MOST_OPERANDS, StepParams};
use crate::random::{key, unit_at};

use super::{CompiledMap, Real};

/// A formula with its operands, over a matrix of `rows` rows.
#[derive(Clone, Copy, Debug)]
pub struct ElementwiseArgs<'a, T> {
    /// Computation.
    pub formula: &'a Formula,
    /// The same formula, prepared for wide vectors.
    pub compiled: &'a CompiledMap,
    /// The operands; those that the formula does not have are empty.
    pub operands: [&'a [T]; MOST_OPERANDS],
    /// Rows of the matrix, or of the part of it that the operands hold.
    pub rows: usize,
    /// The first of these rows, by which step values are found.
    pub first_row: usize,
    /// Step parameters.
    pub step: StepParams,
}

/// Reduction of a formula's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumOver {
    /// All values are kept: `[rows, columns]`.
    Nothing,
    /// Values are summed over rows, top to bottom: `[columns]`.
    Rows,
    /// Values are summed over columns: `[rows]`.
    Columns,
    /// The maximum of each row is taken: `[rows]`.
    Largest,
}

/// Returns the factor by which dropout multiplies the element at `at`.
#[inline(always)]
pub fn keep<T: Real>(key: u32, rate: f32, at: u32) -> T {
    if unit_at(key, at) < rate { T::zero() } else { T::of_f32(1.0 / (1.0 - rate)) }
}

/// Returns the rate of dropout in a step, as shaders compute it.
pub fn rate_in(step: &StepParams, rate: f64) -> f32 {
    rate as f32 * step.dropout as f32
}

impl<T: Real> ElementwiseArgs<'_, T> {
    /// Computes the formula in `len` columns of a row from `column` on, one register for each result; if the formula is
    /// `flat`, the matrix is treated as one row of all its elements.
    #[inline(always)]
    fn block<F: Functions<T>>(
        &self,
        registers: &mut [[T; LANES]],
        (row, column): (usize, usize),
        len: usize,
        flat: bool,
    ) {
        let columns = self.formula.columns;
        let first = (self.first_row + row) * columns + column;
        self.formula.program.run::<T, F>(
            registers,
            len,
            |index, to| {
                let index = usize::from(index);
                let (operand, values) = (self.formula.operands[index], self.operands[index]);
                let at = match operand.along {
                    Broadcast::Nothing => return to.fill(values[0]),
                    _ if flat => return to.copy_from_slice(&values[column..column + len]),
                    Broadcast::Rows => return to.fill(values[row]),
                    Broadcast::Both => row,
                    Broadcast::Columns => 0,
                };
                let width = operand.width;
                let values = &values[at * width..][..width];
                let shift = operand.shift as isize;
                let start = column as isize - shift;
                // The usual case: the operand has all these columns, so they are copied at once.
                if start >= 0 && start as usize + len <= width {
                    return to.copy_from_slice(&values[start as usize..][..len]);
                }
                // Beyond either end of a shifted operand there are zeros.
                for (lane, to) in to.iter_mut().enumerate() {
                    let at = usize::try_from(start + lane as isize).ok();
                    *to = at.and_then(|at| values.get(at)).copied().unwrap_or_default();
                }
            },
            |quantity, to| match quantity {
                StepValue::Rows => to.fill(T::of(self.step.rows.into())),
                StepValue::Counts => {
                    let counted = self.step.rows as usize * columns;
                    for (at, to) in (first..).zip(to) {
                        *to = if at < counted { T::one() } else { T::zero() };
                    }
                }
                StepValue::Keep(stream, Number(rate)) => {
                    let key = key(self.step.seed, self.step.step, stream);
                    let rate = rate_in(&self.step, rate);
                    // Elements are counted in 32 bits everywhere.
                    let first = (first as u32).wrapping_add(self.step.first_element(columns));
                    for (at, to) in (0..).zip(to) {
                        *to = keep(key, rate, first.wrapping_add(at));
                    }
                }
                StepValue::Scalar(index) => {
                    to.fill(T::of(self.step.scalars[usize::from(index)]));
                }
                StepValue::Loss(index) => to.fill(T::of(self.step.loss[usize::from(index)])),
            },
        );
    }

    /// Returns the register of the result.
    fn out(&self) -> usize {
        self.formula.program.outputs()[0].into()
    }

    /// Computes the formula, and its sums or maxima.
    #[inline(always)]
    pub fn run<F: Functions<T>>(&self, over: SumOver, out: &mut [T]) {
        match over {
            SumOver::Nothing => self.map::<F>(out),
            SumOver::Rows => self.sum_rows::<F>(out),
            SumOver::Columns => self.over_columns::<F>(false, out),
            SumOver::Largest => self.over_columns::<F>(true, out),
        }
    }

    /// out `[rows, columns]`
    #[inline(always)]
    fn map<F: Functions<T>>(&self, out: &mut [T]) {
        let mut registers = self.formula.program.registers::<T>();
        let flat = self.formula.flat();
        let columns = if flat { out.len() } else { self.formula.columns };
        for (row, out) in out.chunks_exact_mut(columns.max(1)).enumerate() {
            for (block, out) in out.chunks_mut(LANES).enumerate() {
                self.block::<F>(&mut registers, (row, block * LANES), out.len(), flat);
                out.copy_from_slice(&registers[self.out()][..out.len()]);
            }
        }
    }

    /// out `[columns]` = sums over rows, top to bottom
    #[inline(always)]
    fn sum_rows<F: Functions<T>>(&self, out: &mut [T]) {
        let mut registers = self.formula.program.registers::<T>();
        out.fill(T::zero());
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            for row in 0..self.rows {
                self.block::<F>(&mut registers, (row, block * LANES), out.len(), false);
                out.iter_mut().zip(&registers[self.out()]).for_each(|(out, &value)| *out += value);
            }
        }
    }

    /// out `[rows]` = sums, or the largest, over columns
    #[inline(always)]
    fn over_columns<F: Functions<T>>(&self, maximum: bool, out: &mut [T]) {
        let mut registers = self.formula.program.registers::<T>();
        let function = if maximum { Binary::Max } else { Binary::Add };
        let start = if maximum { F::constant(f64::NEG_INFINITY) } else { T::zero() };
        let columns = self.formula.columns;
        for (row, out) in out.iter_mut().enumerate() {
            let mut lanes = [start; LANES];
            for column in (0..columns).step_by(LANES) {
                let len = LANES.min(columns - column);
                self.block::<F>(&mut registers, (row, column), len, false);
                for (lane, &value) in lanes.iter_mut().zip(&registers[self.out()]).take(len) {
                    *lane = match function {
                        Binary::Max => F::combine(Binary::Max, *lane, value),
                        _ => *lane + value,
                    };
                }
            }
            *out = lanes.into_iter().fold(start, |sum, lane| F::combine(function, sum, lane));
        }
    }
}
