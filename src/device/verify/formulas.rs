//! The formulas that are verified: each way in which an operand may lie, each number that a step brings, and each primitive function.

use crate::expr::{Expr, Number, Quantity, Unary};
use crate::plan::{Along, Formula, FormulaId, Kernel, Operand};

/// Formulas over matrices of so many columns.
pub fn formulas(columns: usize) -> Vec<Formula> {
    let x = |index| Expr::input(index);
    let quantity = Expr::quantity;
    let along = |along| Operand::new(along, columns);
    let moved = |shift| Operand { shift, ..along(Along::Both) };
    // One of each kind, and what a step brings.
    let all = x(0) * x(1)
        + x(2) / (2.0 + x(3))
        + quantity(Quantity::Counts) * x(0) / quantity(Quantity::Rows);
    let all = all * quantity(Quantity::Keep(3, Number(0.3)));
    let all_along = [Along::Both, Along::Columns, Along::Rows, Along::Nothing].map(along).to_vec();
    // Operands that overlap in part, on either side, and one that is read twice.
    let shifted = x(0) * 2.0 + x(1) - x(2).tanh();
    let mut formulas = vec![
        Formula::new(&all, all_along, columns),
        Formula::new(&shifted, vec![moved(2), moved(-3), moved(0)], columns),
        Formula::new(
            &x(0).if_less(&x(1), &x(2).max(&x(3)), &x(4).min(&x(5))),
            vec![along(Along::Both); 6],
            columns,
        ),
    ];
    formulas.extend(Unary::ALL.map(|function| {
        let argument = match function {
            Unary::Exp | Unary::Expm1 => x(0).min(&80.0.into()),
            Unary::Ln => x(0).abs().max(&1e-30.into()),
            Unary::Sqrt | Unary::Log1p => x(0).abs(),
            _ => x(0),
        };
        Formula::new(&argument.unary(function), vec![along(Along::Both)], columns)
    }));
    formulas
}

/// The kernels of these formulas.
pub(super) fn kernels() -> Vec<Kernel> {
    let of = |index: usize, formula: &Formula| {
        let id = u16::try_from(index).map_or(FormulaId(0), FormulaId);
        (id, u8::try_from(formula.operands.len()).unwrap_or(u8::MAX))
    };
    let mut kernels = Vec::new();
    for (index, formula) in formulas(1).iter().enumerate() {
        let (formula, operands) = of(index, formula);
        kernels.push(Kernel::Map { formula, operands });
        // The ways of summing do not depend on what is summed.
        if index < 2 {
            kernels.push(Kernel::MapRows { formula, operands });
            kernels.push(Kernel::MapColumns { formula, operands, maximum: index == 1 });
        }
    }
    kernels
}
