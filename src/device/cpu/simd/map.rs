//! Formulas of plans over their operands, in parts that threads share.
//!
//! In: a formula, operands, the kind of sum. Out: values, their sums, or their maximum.
//!
//! Each sum is added in one fixed order, whatever the part.

use super::activation;
use super::block_eval::{BLOCK, Block, BlockValues, Inputs};
use super::compile::{Compiled, Source, VariesAlong};
use super::instructions::{SimdLevel, Work};
use super::interpreter::{AddTo, Fold, Value};
use super::pool::{Pool, both};
use crate::device::cpu::map::{ElementwiseArgs, SumOver, keep, rate_in};
use crate::expr::{Expr, Number, StepValue};
use crate::model::Activation;
use crate::plan::{Broadcast, Formula, Operand, StepParams};
use crate::random::key;

/// Cost below which a part is not worth a thread: about 40 µs, since waking a thread takes some of these.
const WORTHWHILE: usize = 1 << 18;
/// Columns below which a matrix is visited as a whole, if possible, rather than row by row.
const NARROW: usize = 64;

/// A plan's formula, prepared for wide vectors.
#[derive(Debug)]
pub struct CompiledMap {
    pub(super) program: Compiled,
    /// The loop that computes the same in less time, if there is one.
    pub(super) known: Option<KnownMap>,
}

impl CompiledMap {
    /// Prepares a plan's formula.
    pub(in crate::device::cpu) fn of(formula: &Formula, over: SumOver) -> Self {
        Self { program: Compiled::of(formula), known: KnownMap::of(formula, over) }
    }

    /// Returns the cost of the formula for one element.
    pub(in crate::device::cpu) fn cost(&self) -> usize {
        self.program.cost()
    }
}

/// A formula that is written out. Nothing above knows of these loops: a formula is one of them if its program is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum KnownMap {
    /// An activation of one operand.
    Activation(Activation),
    /// A gradient times an activation's derivative.
    ActivationGradient(Activation),
    /// Sum of two operands.
    Sum,
    /// Sum of a matrix and a number for each of its columns.
    Bias,
    /// Sums of a matrix's columns.
    ColumnSums,
}

impl KnownMap {
    /// Returns the loop for a formula.
    fn of(formula: &Formula, over: SumOver) -> Option<Self> {
        let Formula { program, operands, columns, .. } = formula;
        let whole = |at: usize| operands[at] == Operand::new(Broadcast::Both, *columns);
        let is = |expr: Expr| *program == expr.program();
        let x = Expr::input;
        let written = |act: &Activation| activation::is_written_out(*act);
        let mut all = Activation::ALL.into_iter().filter(written).skip(1);
        match (over, operands.len()) {
            (SumOver::Rows, 1) if whole(0) && is(x(0)) => Some(Self::ColumnSums),
            (SumOver::Nothing, 1) if whole(0) => {
                all.find(|act| program == act.value_program()).map(Self::Activation)
            }
            (SumOver::Nothing, 2) if whole(0) && whole(1) && is(x(0) + x(1)) => Some(Self::Sum),
            (SumOver::Nothing, 2) if whole(0) && whole(1) => {
                all.find(|act| is(act.gradient())).map(Self::ActivationGradient)
            }
            (SumOver::Nothing, 2)
                if whole(0)
                    && operands[1] == Operand::new(Broadcast::Columns, *columns)
                    && is(x(0) + x(1)) =>
            {
                Some(Self::Bias)
            }
            _ => None,
        }
    }
}

impl Compiled {
    /// Prepares a plan's formula.
    fn of(formula: &Formula) -> Self {
        let flat = flat(formula);
        let input = |index: u8| match formula.operands[usize::from(index)].along {
            Broadcast::Nothing => VariesAlong::One,
            _ if flat => VariesAlong::Both,
            Broadcast::Rows => VariesAlong::Rows,
            Broadcast::Columns => VariesAlong::Columns,
            Broadcast::Both => VariesAlong::Both,
        };
        let quantity = |quantity| match quantity {
            StepValue::Rows | StepValue::Scalar(_) | StepValue::Loss(_) => VariesAlong::One,
            StepValue::Counts if !flat => VariesAlong::Rows,
            StepValue::Counts | StepValue::Keep(..) => VariesAlong::Both,
        };
        Self::new(&formula.program, input, quantity)
    }
}

/// Returns whether the matrix is visited as one row. Otherwise the mask of valid rows is a number for each row.
fn flat(formula: &Formula) -> bool {
    let counts = formula.program.uses(|quantity| quantity == StepValue::Counts);
    formula.flat() && (!counts || formula.columns < NARROW)
}

/// Returns whether a pass of this cost is shared among threads.
pub(super) fn shared(cost: usize) -> bool {
    cost >= 2 * WORTHWHILE
}

/// Operands of a formula, and how they are visited.
struct Operands<'a> {
    mapped: ElementwiseArgs<'a, f32>,
    flat: bool,
    instructions: SimdLevel,
}

impl Operands<'_> {
    /// Copies the numbers of an operand's row from a column of the matrix on; 0 where the operand has none.
    fn row(&self, index: usize, row: usize, column: usize, to: &mut [f32]) {
        let operand = self.mapped.formula.operands[index];
        let values = &self.mapped.operands[index][row * operand.width..][..operand.width];
        let start = column as isize - operand.shift as isize;
        match usize::try_from(start) {
            Ok(start) if start + to.len() <= values.len() => {
                to.copy_from_slice(&values[start..][..to.len()]);
            }
            // Beyond either end of a shifted operand there are zeros.
            _ => {
                for (lane, to) in to.iter_mut().enumerate() {
                    let at = usize::try_from(start + lane as isize).ok();
                    *to = at.and_then(|at| values.get(at)).copied().unwrap_or_default();
                }
            }
        }
    }
}

impl Inputs for Operands<'_> {
    fn one(&self, source: Source) -> f32 {
        match source {
            Source::Input(index) => self.mapped.operands[usize::from(index)][0],
            Source::Quantity(quantity) => one_of(quantity, &self.mapped.step),
            Source::Constant(_) | Source::Apply(_) => unreachable!("it is no input"),
        }
    }

    fn rows(&self, source: Source, first: usize, to: &mut [f32]) {
        if let Source::Input(index) = source {
            to.copy_from_slice(&self.mapped.operands[usize::from(index)][first..][..to.len()]);
        } else {
            for (row, to) in (self.mapped.first_row + first..).zip(to) {
                *to = if row < self.mapped.step.rows as usize { 1.0 } else { 0.0 };
            }
        }
    }

    fn columns(&self, source: Source, first: usize, to: &mut [f32]) {
        if let Source::Input(index) = source {
            self.row(index.into(), 0, first, to);
        }
    }

    fn slice(&self, source: Source, block: Block) -> Option<&[f32]> {
        let Source::Input(index) = source else { return None };
        let index = usize::from(index);
        let (operand, values) = (self.mapped.formula.operands[index], self.mapped.operands[index]);
        // As one row, an operand has the same elements in the same order as the matrix.
        if self.flat {
            return Some(&values[block.column..][..block.len()]);
        }
        if operand.shift == 0 && operand.width == self.mapped.formula.columns {
            return Some(&values[block.row * operand.width + block.column..][..block.len()]);
        }
        // A shifted operand is one piece only within a row that it covers.
        let start = usize::try_from(block.column as isize - operand.shift as isize).ok()?;
        let fits = block.rows == 1 && start + block.columns <= operand.width;
        fits.then(|| &values[block.row * operand.width + start..][..block.columns])
    }

    fn fill(&self, source: Source, block: Block, to: &mut [f32]) {
        let columns = self.mapped.formula.columns;
        let first = if self.flat { block.column } else { block.row * columns + block.column };
        let first = self.mapped.first_row * columns + first;
        match source {
            Source::Input(index) => {
                for (row, to) in to.chunks_exact_mut(block.columns).enumerate() {
                    self.row(index.into(), block.row + row, block.column, to);
                }
            }
            Source::Quantity(StepValue::Keep(stream, Number(rate))) => {
                let step = &self.mapped.step;
                let key = key(step.seed, step.step, stream);
                let first = first + step.first_element(columns) as usize;
                self.instructions.run(Masks { key, rate: rate_in(step, rate), first, to });
            }
            _ => {
                let counted = self.mapped.step.rows as usize * columns;
                for (at, to) in (first..).zip(to) {
                    *to = if at < counted { 1.0 } else { 0.0 };
                }
            }
        }
    }
}

/// Returns a step value that is the same everywhere.
#[expect(clippy::cast_possible_truncation, reason = "a step's numbers in single precision")]
pub(super) fn one_of(quantity: StepValue, step: &StepParams) -> f32 {
    match quantity {
        StepValue::Scalar(index) => step.scalars[usize::from(index)] as f32,
        StepValue::Loss(index) => step.loss[usize::from(index)] as f32,
        _ => f64::from(step.rows) as f32,
    }
}

/// Factors of dropout for consecutive elements.
pub(super) struct Masks<'a> {
    pub(super) key: u32,
    pub(super) rate: f32,
    pub(super) first: usize,
    pub(super) to: &'a mut [f32],
}

impl Work for Masks<'_> {
    type Out = ();

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "elements are counted in 32 bits everywhere"
    )]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        for (at, to) in (self.first as u32..).zip(self.to) {
            *to = keep(self.key, self.rate, at);
        }
    }
}

/// A part of a formula's matrix.
pub(super) struct MapPart<'a> {
    mapped: ElementwiseArgs<'a, f32>,
    over: SumOver,
    flat: bool,
    first: (usize, usize),
    size: (usize, usize),
    out: &'a mut [f32],
}

impl<'a> MapPart<'a> {
    pub(super) fn new(mapped: ElementwiseArgs<'a, f32>, over: SumOver, out: &'a mut [f32]) -> Self {
        // A sum needs to know where rows end, so only matrices without one are visited as one row.
        let flat = over == SumOver::Nothing && flat(mapped.formula);
        let columns = mapped.formula.columns;
        let size = match over {
            SumOver::Nothing if flat => (1, out.len()),
            SumOver::Nothing => (out.len() / columns.max(1), columns),
            _ => (mapped.rows, columns),
        };
        Self { mapped, over, flat, first: (0, 0), size, out }
    }

    pub(super) fn divide(self, instructions: SimdLevel, pool: &Pool) {
        let cost = self.size.0 * self.size.1 * self.mapped.compiled.cost();
        // A part must hold its sums whole: sums over rows are cut by columns, sums over columns by rows.
        let by_columns = self.flat || self.over == SumOver::Rows;
        let divisible =
            if by_columns { self.size.1 >= 2 * BLOCK.min(NARROW) } else { self.size.0 > 1 };
        if pool.threads() == 1 || !shared(cost) || !divisible {
            self.run(instructions);
            return;
        }
        let (one, other) = self.split(by_columns);
        both(true, || one.divide(instructions, pool), || other.divide(instructions, pool));
    }

    fn split(self, by_columns: bool) -> (Self, Self) {
        let Self { mapped, over, flat, first, size: (rows, columns), out } = self;
        let (sizes, firsts) = if by_columns {
            let half = (columns / 2).next_multiple_of(NARROW);
            ([(rows, half), (rows, columns - half)], [first, (first.0, first.1 + half)])
        } else {
            let half = rows / 2;
            ([(half, columns), (rows - half, columns)], [first, (first.0 + half, first.1)])
        };
        let at = match over {
            SumOver::Nothing => sizes[0].0 * sizes[0].1,
            SumOver::Rows => sizes[0].1,
            SumOver::Columns | SumOver::Largest => sizes[0].0,
        };
        // The outputs of the parts are disjoint slices, so that threads need no lock.
        let (one, other) = out.split_at_mut(at);
        let part = |index: usize, out| Self {
            mapped,
            over,
            flat,
            first: firsts[index],
            size: sizes[index],
            out,
        };
        (part(0, one), part(1, other))
    }

    fn run(self, instructions: SimdLevel) {
        let Self { mapped, over, flat, first, size: (rows, columns), out } = self;
        let operands = Operands { mapped, flat, instructions };
        let whole = !flat && columns == mapped.formula.columns;
        let region = (first, (rows, columns));
        // Blocks of several rows are possible only if the part has whole rows.
        let mut values =
            BlockValues::new(&mapped.compiled.program, &operands, instructions, region, whole);
        let group = values.group();
        if over == SumOver::Rows {
            out.fill(0.0);
        }
        let wide = if group > 1 { columns } else { BLOCK };
        for row in (0..rows).step_by(group) {
            let count = group.min(rows - row);
            let mut largest = f32::NEG_INFINITY;
            let mut sum = 0.0;
            for column in (0..columns).step_by(wide.max(1)) {
                let width = wide.min(columns - column);
                let block = Block {
                    row: first.0 + row,
                    rows: count,
                    column: first.1 + column,
                    columns: width,
                };
                match over {
                    SumOver::Nothing => {
                        let to = &mut out[row * columns + column..][..block.len()];
                        values.run(&operands, block, Some(to));
                    }
                    SumOver::Rows => {
                        // Row by row, from top to bottom: the order of the sum is part of the result.
                        for values in values.result(&operands, block).chunks_exact(width) {
                            let to = &mut out[column..][..width];
                            instructions.run(AddTo { value: Value::Many(values), to });
                        }
                    }
                    SumOver::Columns | SumOver::Largest => {
                        let maximum = over == SumOver::Largest;
                        let results = values.result(&operands, block).chunks_exact(width);
                        for (out, values) in out[row..].iter_mut().zip(results) {
                            let value = instructions.run(Fold { values, maximum });
                            // A block of several rows has whole rows, so each fold is a row's result; else a row's blocks
                            // are combined.
                            sum = if group > 1 { value } else { sum + value };
                            largest = if value > largest || group > 1 { value } else { largest };
                            *out = if maximum { largest } else { sum };
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::SimdLevel;
    use crate::expr::{Expr, F64Math};
    use crate::plan::Operand;

    const OVERS: [SumOver; 4] =
        [SumOver::Nothing, SumOver::Rows, SumOver::Columns, SumOver::Largest];

    /// A formula with operands of all kinds, and their lengths for so many rows.
    fn formula(columns: usize, rows: usize) -> (Formula, Vec<usize>) {
        let [x, moved, column, row, one] = [0, 1, 2, 3, 4].map(Expr::input);
        let keep = Expr::quantity(StepValue::Keep(3, Number(0.25)));
        let counts = Expr::quantity(StepValue::Counts);
        let f = (&x - &row * counts) * (&column + 1.5).sqrt() * keep
            + moved.if_less(&one, &(&row * 0.5), &(&moved * &x).tanh()) / (column * &row).exp();
        let wide = Operand { along: Broadcast::Both, shift: -3, width: columns + 5 };
        let operands = vec![
            Operand::new(Broadcast::Both, columns),
            wide,
            Operand::new(Broadcast::Columns, columns),
            Operand::new(Broadcast::Rows, columns),
            Operand::new(Broadcast::Nothing, columns),
        ];
        let lengths = vec![rows * columns, rows * wide.width, columns, rows, 1];
        (Formula::new(&f, operands, columns), lengths)
    }

    fn values(len: usize, stream: u32) -> Vec<f32> {
        let of = |at| crate::random::unit_at(stream, at) - 0.25;
        (0..u32::try_from(len).unwrap()).map(of).collect()
    }

    #[test]
    fn loops_are_taken_for_the_formulas_that_they_compute() {
        let x = Expr::input;
        let (whole, column) =
            (Operand::new(Broadcast::Both, 7), Operand::new(Broadcast::Columns, 7));
        let known = |expr: &Expr, operands: &[Operand], over| {
            KnownMap::of(&Formula::new(expr, operands.to_vec(), 7), over)
        };
        let (all, rows) = (SumOver::Nothing, SumOver::Rows);
        for act in [Activation::Relu, Activation::Gelu, Activation::Silu] {
            assert_eq!(known(&act.expr(), &[whole], all), Some(KnownMap::Activation(act)));
            let gradient = Some(KnownMap::ActivationGradient(act));
            assert_eq!(known(&act.gradient(), &[whole; 2], all), gradient);
            assert_eq!(known(&act.expr(), &[whole], rows), None);
            assert_eq!(known(&act.expr(), &[column], all), None);
        }
        let sum = x(0) + x(1);
        assert_eq!(known(&sum, &[whole; 2], all), Some(KnownMap::Sum));
        assert_eq!(known(&sum, &[whole, column], all), Some(KnownMap::Bias));
        assert_eq!(known(&sum, &[whole, Operand { shift: 1, ..whole }], all), None);
        assert_eq!(known(&x(0), &[whole], rows), Some(KnownMap::ColumnSums));
        for expr in [x(0), Activation::Mish.expr(), x(0).tanh() + 1.0] {
            assert_eq!(known(&expr, &[whole], all), None, "{expr}");
        }
    }

    #[test]
    fn blocks_of_any_sizes_compute_what_the_reference_does() {
        // Rows narrower than a block, as wide, and wider; some rows do not count.
        for (rows, columns) in [(1, 1), (7, 1), (9, 10), (5, 64), (33, 100), (3, 256), (4, 700)] {
            let (formula, lengths) = formula(columns, rows);
            let compiled = CompiledMap { program: Compiled::of(&formula), known: None };
            let step =
                StepParams { rows: rows as u32 - 1, step: 5, seed: 9, ..StepParams::default() };
            let floats: Vec<_> = (1..).zip(&lengths).map(|(i, &len)| values(len, i)).collect();
            let doubles: Vec<Vec<f64>> =
                floats.iter().map(|it| it.iter().map(|&x| x.into()).collect()).collect();
            for over in OVERS {
                let len = match over {
                    SumOver::Nothing => rows * columns,
                    SumOver::Rows => columns,
                    SumOver::Columns | SumOver::Largest => rows,
                };
                let operands = std::array::from_fn(|i| doubles.get(i).map_or(&[][..], |it| it));
                let (formula, compiled) = (&formula, &compiled);
                let mut want = vec![0.0; len];
                ElementwiseArgs { formula, compiled, operands, rows, first_row: 0, step }
                    .run::<F64Math>(over, &mut want);
                let operands = std::array::from_fn(|i| floats.get(i).map_or(&[][..], |it| it));
                let mapped =
                    ElementwiseArgs { formula, compiled, operands, rows, first_row: 0, step };
                let mut got = vec![f32::NAN; len];
                MapPart::new(mapped, over, &mut got).run(SimdLevel::widest());
                let limit = 1e-5 * if over == SumOver::Rows { rows } else { columns.max(8) } as f64;
                for (at, (got, want)) in got.iter().zip(&want).enumerate() {
                    let close = (f64::from(*got) - want).abs() <= limit;
                    assert!(close, "{over:?} of {rows}x{columns} at {at}: {got} {want}");
                }
                let by_columns = over == SumOver::Rows;
                if (by_columns && columns > NARROW) || (!by_columns && rows > 1) {
                    let mut halves = vec![f32::NAN; len];
                    let (one, other) = MapPart::new(mapped, over, &mut halves).split(by_columns);
                    one.run(SimdLevel::widest());
                    other.run(SimdLevel::widest());
                    assert_eq!(got, halves, "{over:?} of {rows}x{columns}");
                }
            }
        }
    }
}
