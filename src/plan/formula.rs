//! Elementwise work in plans: programs of expressions, and how operands lie beside the result.
//!
//! Absent on purpose: how programs are run, which is the devices' affair.

use crate::expr::{Expr, Program};

/// A formula's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FormulaId(pub(crate) u16);

/// Operands that a formula has at most: WebGPU has eight storage buffers a kernel.
pub const MOST_OPERANDS: usize = 6;

/// In which directions an operand goes along with a result `[m, n]`; in the others its values are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Along {
    /// A matrix `[m, w]`.
    Both,
    /// A value for each column: `[w]`.
    Columns,
    /// A value for each row: `[m]`.
    Rows,
    /// One value: `[1]`.
    Nothing,
}

/// An operand: its column c stands in column c + shift of the result; where it has none it counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Its directions.
    pub along: Along,
    /// Columns by which it is moved.
    pub shift: i32,
    /// Its own columns; 1 where it does not go along with columns.
    pub width: usize,
}

impl Operand {
    /// One that is not moved, of a matrix of so many columns.
    pub fn new(along: Along, columns: usize) -> Self {
        let width = if matches!(along, Along::Both | Along::Columns) { columns } else { 1 };
        Self { along, shift: 0, width }
    }
}

/// What a kernel computes for each element `[row, column]` of a matrix, from the elements of its operands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// What is computed; inputs are the operands.
    pub program: Program,
    /// The same for people.
    pub text: String,
    /// How the operands lie, in the order of the step's reads.
    pub operands: Vec<Operand>,
    /// Columns of the matrix.
    pub columns: usize,
}

impl Formula {
    /// From an expression.
    pub fn new(expr: &Expr, operands: Vec<Operand>, columns: usize) -> Self {
        Self { program: expr.program(), text: expr.to_string(), operands, columns }
    }

    /// Rows of the matrix, from the lengths of the operands; 1 if none goes along with them.
    pub fn rows(&self, lengths: impl Iterator<Item = usize>) -> usize {
        let rows =
            self.operands.iter().zip(lengths).filter_map(|(operand, len)| match operand.along {
                Along::Rows => Some(len),
                // One that is moved is narrower than the matrix, or wider; `graph` says by how much.
                Along::Both => Some(len / operand.width.max(1)),
                Along::Columns | Along::Nothing => None,
            });
        rows.max().unwrap_or(1)
    }

    /// Whether elements may be gone through in memory's order, whatever their row: no operand is repeated or moved.
    pub fn flat(&self) -> bool {
        self.operands.iter().all(|operand| match operand.along {
            Along::Both => operand.shift == 0 && operand.width == self.columns,
            Along::Rows => self.columns == 1,
            Along::Columns => false,
            Along::Nothing => true,
        })
    }
}
