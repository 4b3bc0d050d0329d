//! Elementwise work in plans: programs of expressions over operands.
//!
//! Absent on purpose: how programs are run, which is the devices' affair.

use crate::expr::{Expr, Program};
use crate::graph::{Broadcast, Operand};

/// A formula's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FormulaId(pub(crate) u16);

/// Computation of a kernel for each element `[row, column]` of a matrix, from the elements of its operands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// Computation; inputs are the operands.
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
                Broadcast::Rows => Some(len),
                // One that is moved is narrower than the matrix, or wider; `graph` says by how much.
                Broadcast::Both => Some(len / operand.width.max(1)),
                Broadcast::Columns | Broadcast::Nothing => None,
            });
        rows.max().unwrap_or(1)
    }

    /// Returns whether elements may be gone through in memory's order, whatever their row: no operand is repeated or moved.
    pub fn flat(&self) -> bool {
        self.operands.iter().all(|operand| match operand.along {
            Broadcast::Both => operand.shift == 0 && operand.width == self.columns,
            Broadcast::Rows => self.columns == 1,
            Broadcast::Columns => false,
            Broadcast::Nothing => true,
        })
    }
}
