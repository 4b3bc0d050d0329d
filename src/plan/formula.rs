//! Elementwise kernels in plans: programs of expressions over operands.
//!
//! Absent on purpose: the execution of programs, which is done by the devices.

use crate::expr::{Expr, Program};
use crate::graph::{Broadcast, Loss, Operand};

/// Index of a formula in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FormulaId(pub(crate) u16);

impl FormulaId {
    /// Returns the formula's place among the plan's.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// Computation of a kernel for each element `[row, column]` of a matrix, from the elements of its operands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// Program whose inputs are the operands.
    pub program: Program,
    /// The same expression as text, for people.
    pub text: String,
    /// Broadcasts of the operands, in the order of the step's reads.
    pub operands: Vec<Operand>,
    /// Columns of the matrix.
    pub columns: usize,
}

impl Formula {
    /// Makes a formula from an expression.
    pub fn new(expr: &Expr, operands: Vec<Operand>, columns: usize) -> Self {
        Self { program: expr.program(), text: expr.to_string(), operands, columns }
    }

    /// Returns true for the formula of the plain squared error, for which devices may have a loop of their own.
    pub fn is_mse(&self) -> bool {
        Loss::Mse.formula().is_some_and(|mse| mse.program() == self.program)
    }

    /// Returns the rows of the matrix, from the lengths of the operands; 1 if no operand varies by rows.
    pub fn rows(&self, lengths: impl Iterator<Item = usize>) -> usize {
        let rows =
            self.operands.iter().zip(lengths).filter_map(|(operand, len)| match operand.along {
                Broadcast::Rows => Some(len),
                // A shifted operand is narrower or wider than the matrix; `graph` knows by how much.
                Broadcast::Both => Some(len / operand.width.max(1)),
                Broadcast::Columns | Broadcast::Nothing => None,
            });
        rows.max().unwrap_or(1)
    }

    /// Returns whether elements may be visited in the order of memory, whatever their row: no operand is repeated or shifted.
    pub fn flat(&self) -> bool {
        self.operands.iter().all(|operand| match operand.along {
            Broadcast::Both => operand.shift == 0 && operand.width == self.columns,
            Broadcast::Rows => self.columns == 1,
            Broadcast::Columns => false,
            Broadcast::Nothing => true,
        })
    }
}
