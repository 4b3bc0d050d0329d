//! Evaluates compiled programs over a matrix, block by block.
//!
//! In: a compiled program, and its inputs. Out: its results in a block.
//! Absent on purpose: the use of the results, threads.

use super::compile::{Compiled, CompiledOp, Source};
use super::instructions::SimdLevel;
use super::interpreter::{Actions, RowValues};

/// Largest number of elements of a block: enough that changing from operation to operation costs little, few enough that
/// the values between them stay in the nearest cache.
pub(super) const BLOCK: usize = 256;

/// Numbers left free between registers, so that these do not all map to the same cache lines.
const GAP: usize = 16;

/// Number of arguments for which no memory is allocated; few programs have more.
const FEW: usize = 12;

/// Rows and columns of a matrix; either one row or whole rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) row: usize,
    pub(super) rows: usize,
    pub(super) column: usize,
    pub(super) columns: usize,
}

impl Block {
    pub(super) fn len(self) -> usize {
        self.rows * self.columns
    }
}

/// Inputs and step values of a program.
pub(super) trait Inputs {
    /// Returns a value that is the same everywhere.
    fn one(&self, source: Source) -> f32;
    /// Writes a value that varies along rows, from `first` on.
    fn rows(&self, source: Source, first: usize, to: &mut [f32]);
    /// Writes a value that varies along columns, from `first` on.
    fn columns(&self, source: Source, first: usize, to: &mut [f32]);
    /// Returns a value that varies along both, if a block of it is one piece of memory.
    fn slice(&self, source: Source, block: Block) -> Option<&[f32]>;
    /// Writes a value that varies along both, where it is not one piece.
    fn fill(&self, source: Source, block: Block, to: &mut [f32]);
}

/// A program's values over a part of a matrix.
#[derive(Debug)]
pub(super) struct BlockValues<'a> {
    compiled: &'a Compiled,
    instructions: SimdLevel,
    /// First row and column of the part.
    first: (usize, usize),
    /// Rows and columns of the part.
    size: (usize, usize),
    /// Number of rows of a block.
    group: usize,
    ones: Vec<f32>,
    rows: Vec<f32>,
    /// Values of columns, repeated for each row of a block.
    columns: Vec<f32>,
    /// Values of rows, repeated along a block of several rows.
    spread: Vec<f32>,
    filled: Vec<f32>,
    registers: Vec<f32>,
}

impl<'a> BlockValues<'a> {
    /// Prepares values over `size` rows and columns from `first` on. With `whole`, these are all columns of the matrix, so
    /// that blocks may have several rows.
    pub(super) fn new(
        compiled: &'a Compiled,
        inputs: &impl Inputs,
        instructions: SimdLevel,
        (first, size): ((usize, usize), (usize, usize)),
        whole: bool,
    ) -> Self {
        // Narrow matrices have blocks of several rows, or each block would hold too few numbers.
        let group = if whole { (BLOCK / size.1.max(1)).clamp(1, size.0.max(1)) } else { 1 };
        let width = if group > 1 { group * size.1 } else { BLOCK.min(size.1) };
        let mut values = Self {
            compiled,
            instructions,
            first,
            size,
            group,
            ones: vec![0.0; compiled.ones.len()],
            rows: vec![0.0; compiled.rows.len() * size.0],
            columns: vec![0.0; compiled.columns.len() * size.1 * group],
            spread: vec![0.0; if group > 1 { compiled.rows.len() * width } else { 0 }],
            filled: vec![0.0; compiled.arguments.len() * width],
            registers: vec![0.0; compiled.registers * (width + GAP)],
        };
        values.prepare(inputs);
        values
    }

    /// Returns the number of rows of a block.
    pub(super) fn group(&self) -> usize {
        self.group
    }

    /// Returns the largest number of elements of a block.
    fn width(&self) -> usize {
        if self.group > 1 { self.group * self.size.1 } else { BLOCK.min(self.size.1) }
    }

    /// Computes the values that are equal everywhere, in a row or in a column: each by one operation on those before it.
    fn prepare(&mut self, inputs: &impl Inputs) {
        let Self { compiled, instructions, .. } = *self;
        let ((first_row, first_column), (rows, columns)) = (self.first, self.size);
        let none = ScalarEval { ones: &[], rows: RowValues::One(&[], 0), columns: (&[], 0) };
        // A value's operands stand before it in its list, so splitting the list there gives both.
        for (at, &source) in compiled.ones.iter().enumerate() {
            let (before, rest) = self.ones.split_at_mut(at);
            let to = &mut rest[..1];
            match source {
                Source::Constant(value) => to[0] = value,
                Source::Apply(action) => {
                    ScalarEval { ones: before, ..none }.run(&action, instructions, to)
                }
                source => to[0] = inputs.one(source),
            }
        }
        let none = ScalarEval { ones: &self.ones, ..none };
        for (at, &source) in compiled.rows.iter().enumerate() {
            let (before, rest) = self.rows.split_at_mut(at * rows);
            let to = &mut rest[..rows];
            match source {
                Source::Apply(action) => {
                    // One row's value is computed for all rows of the part at once.
                    let rows = RowValues::Several(before, rows);
                    ScalarEval { rows, ..none }.run(&action, instructions, to);
                }
                source => inputs.rows(source, first_row, to),
            }
        }
        let stride = columns * self.group;
        for (at, &source) in compiled.columns.iter().enumerate() {
            let (before, rest) = self.columns.split_at_mut(at * stride);
            let to = &mut rest[..columns];
            match source {
                Source::Apply(action) => {
                    let columns = (&*before, stride);
                    ScalarEval { columns, ..none }.run(&action, instructions, to);
                }
                source => inputs.columns(source, first_column, to),
            }
            // A block of several rows reads a column's values once for each row, so they are repeated here.
            for copy in 1..self.group {
                rest.copy_within(..columns, copy * columns);
            }
        }
    }

    /// Computes a block. If `to` is given, the last result goes there instead of to a register.
    pub(super) fn run(&mut self, inputs: &impl Inputs, block: Block, to: Option<&mut [f32]>) {
        let (len, width) = (block.len(), self.width());
        // Only arguments that are not one piece of memory are copied.
        for (at, &source) in self.compiled.arguments.iter().enumerate() {
            if inputs.slice(source, block).is_none() {
                inputs.fill(source, block, &mut self.filled[at * width..][..len]);
            }
        }
        // Often all rows of a block have the same values, as the factors of one parameter; then no row needs its own copy.
        let (first, rows) = (block.row - self.first.0, self.size.0);
        let several = self.group > 1 && {
            let of = |&at: &usize| &self.rows[at * rows + first..][..block.rows];
            let differ = |values: &[f32]| values.iter().any(|value| *value != values[0]);
            self.compiled.spread.iter().map(of).any(differ)
        };
        if several {
            for &at in &self.compiled.spread {
                let values = &self.rows[at * rows + first..][..block.rows];
                let to = &mut self.spread[at * width..][..len];
                for (&value, to) in values.iter().zip(to.chunks_exact_mut(block.columns)) {
                    to.fill(value);
                }
            }
        }
        let slice = |(at, &source): (usize, &Source)| {
            inputs.slice(source, block).unwrap_or(&self.filled[at * width..][..len])
        };
        // An array on the stack for the usual case, since a block must not allocate.
        let mut few: [&[f32]; FEW] = [&[]; FEW];
        let many: Vec<_>;
        let sources = self.compiled.arguments.iter().enumerate();
        let arguments = if sources.len() <= FEW {
            few.iter_mut().zip(sources).for_each(|(few, source)| *few = slice(source));
            &few[..]
        } else {
            many = sources.map(slice).collect();
            &many[..]
        };
        let rows = if several {
            RowValues::Several(&self.spread, width)
        } else {
            RowValues::One(self.rows.get(first..).unwrap_or(&[]), rows)
        };
        let columns = self.columns.get(block.column - self.first.1..).unwrap_or(&[]);
        self.instructions.run(Actions {
            actions: &self.compiled.actions,
            len,
            ones: &self.ones,
            rows,
            columns: (columns, self.size.1 * self.group),
            arguments,
            registers: (&mut self.registers, width + GAP),
            to,
        });
    }

    /// Returns a result in the block that was computed last.
    pub(super) fn computed(&self, index: usize, block: Block) -> &[f32] {
        &self.registers[self.compiled.outputs[index] * (self.width() + GAP)..][..block.len()]
    }

    /// Computes a block of a program with one result, and returns it.
    pub(super) fn result(&mut self, inputs: &impl Inputs, block: Block) -> &[f32] {
        self.run(inputs, block, None);
        self.computed(0, block)
    }
}

/// Evaluates single operations on values that vary along rows or columns only.
#[derive(Clone, Copy)]
struct ScalarEval<'a> {
    ones: &'a [f32],
    rows: RowValues<'a>,
    columns: (&'a [f32], usize),
}

impl ScalarEval<'_> {
    fn run(self, action: &CompiledOp, instructions: SimdLevel, to: &mut [f32]) {
        let Self { ones, rows, columns } = self;
        instructions.run(Actions {
            actions: &[CompiledOp { out: 0, ..*action }],
            len: to.len(),
            ones,
            rows,
            columns,
            arguments: &[],
            registers: (&mut [], 0),
            to: Some(to),
        });
    }
}
