//! The elementwise nodes that occur most, by name: sums, biases, activations. Plans fuse them into products.
//!
//! In: nodes. Out: nodes of the general operations; and of such a node, which of these it is.
//! Absent on purpose: gradients, which are those of the general operations.

use super::{Graph, IterationSpace, NodeId, Op};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::model::Activation;

/// A matrix to whose rows a bias is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Biased {
    /// The matrix.
    pub x: NodeId,
    /// Added to each row.
    pub bias: NodeId,
}

/// A gradient times an activation's derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationGradient {
    /// The function.
    pub act: Activation,
    /// y or x, as [`Activation::gradient_from_output`] says.
    pub saved: NodeId,
    /// Gradient of the loss with respect to y.
    pub d_y: NodeId,
}

/// x₀ + x₁
fn plus() -> Expr {
    Expr::input(0) + Expr::input(1)
}

impl Graph {
    /// Appends y = a + b, both of one shape.
    ///
    /// # Errors
    /// If the shapes differ; the message names both.
    pub fn add(&mut self, name: impl Into<String>, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.over(name, "add", plus(), &[a, b])
    }

    /// Appends y = x + 1 biasᵀ, x `[m,n]`, bias `[n]`.
    ///
    /// # Errors
    /// If the shapes do not fit; the message names both.
    pub fn add_bias(&mut self, name: impl Into<String>, x: NodeId, bias: NodeId) -> Result<NodeId> {
        let space = self.space("add_bias", x)?;
        if self.shape(bias).dims() != [crate::shape::Dim::Of(space.columns())] {
            return Err(self.mismatch("add_bias", x, bias));
        }
        let columns = super::Operand::new(super::Broadcast::Columns, space.columns());
        let operands = vec![(x, space.whole()), (bias, columns)];
        self.push(name, Op::Map { f: plus(), operands, space })
    }

    /// Appends y = act(x), element by element.
    ///
    /// # Errors
    /// If x has no elements to go over.
    pub fn activate(
        &mut self,
        name: impl Into<String>,
        act: Activation,
        x: NodeId,
    ) -> Result<NodeId> {
        self.over(name, "activate", act.expr(), &[x])
    }

    /// Appends an expression of nodes of one shape.
    pub(super) fn over(
        &mut self,
        name: impl Into<String>,
        what: &str,
        f: Expr,
        nodes: &[NodeId],
    ) -> Result<NodeId> {
        let space = self.space(what, nodes[0])?;
        if let Some(&other) = nodes.iter().find(|&&id| self.shape(id) != self.shape(nodes[0])) {
            return Err(self.mismatch(what, nodes[0], other));
        }
        let operands = nodes.iter().map(|&id| (id, space.whole())).collect();
        self.push(name, Op::Map { f, operands, space })
    }

    fn space(&self, what: &str, id: NodeId) -> Result<IterationSpace> {
        let (shape, name) = (self.shape(id), &self.node(id).name);
        let problem = || Error::shape(what, format!("{name} is {shape}, a matrix is needed"));
        IterationSpace::of(shape).ok_or_else(problem)
    }

    fn mismatch(&self, what: &str, a: NodeId, b: NodeId) -> Error {
        let text = |id: NodeId| format!("{}{}", self.node(id).name, self.shape(id));
        Error::shape(what, format!("{} does not fit {}", text(a), text(b)))
    }

    /// Returns whether a node is computed by an expression of its own kind, so that reading its arguments again may cost less
    /// than keeping its value: an elementwise node that is no sum, bias or activation.
    pub(crate) fn is_elementwise(&self, id: NodeId) -> bool {
        let op = &self.node(id).op;
        match op {
            Op::Normalise { .. } => true,
            Op::Map { .. } => {
                op.as_bias().is_none() && op.as_activation().is_none() && !op.is_sum()
            }
            _ => false,
        }
    }
}

impl Op {
    /// Returns whether the operation adds two nodes of one shape.
    pub fn is_sum(&self) -> bool {
        let Self::Map { f, operands, space } = self else { return false };
        operands.len() == 2 && operands.iter().all(|it| space.is_full(it.1)) && *f == plus()
    }

    /// Returns the matrix and the bias, if the operation adds one to each row.
    pub fn as_bias(&self) -> Option<Biased> {
        let Self::Map { f, operands, space } = self else { return None };
        let &[(x, whole), (bias, columns)] = operands.as_slice() else { return None };
        let matrix = !matches!(space, IterationSpace::Vector(_) | IterationSpace::PerRow);
        let along = super::Operand::new(super::Broadcast::Columns, space.columns());
        let fits = matrix && space.is_full(whole) && columns == along;
        (fits && *f == plus()).then_some(Biased { x, bias })
    }

    /// Returns the function and its argument, if the operation is an activation.
    pub fn as_activation(&self) -> Option<(Activation, NodeId)> {
        let Self::Map { f, operands, space } = self else { return None };
        let &[(x, whole)] = operands.as_slice() else { return None };
        if space.is_full(whole) { Activation::of_value(f).map(|act| (act, x)) } else { None }
    }

    /// Returns the function and its operands, if the operation multiplies a gradient by an activation's derivative.
    pub fn as_activation_gradient(&self) -> Option<ActivationGradient> {
        let Self::Map { f, operands, space } = self else { return None };
        let &[(d_y, whole), (saved, other)] = operands.as_slice() else { return None };
        if !(space.is_full(whole) && space.is_full(other)) {
            return None;
        }
        Activation::of_gradient(f).map(|act| ActivationGradient { act, saved, d_y })
    }

    /// Returns the matrix, if the operation sums its columns.
    pub fn as_column_sums(&self) -> Option<NodeId> {
        let Self::MapRows { f, operands, space } = self else { return None };
        let &[(x, whole)] = operands.as_slice() else { return None };
        (space.is_full(whole) && *f == Expr::input(0)).then_some(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Broadcast, Operand};

    /// A graph with features `[batch, 3]`, a matrix `[4, 3]` and a vector `[3]`.
    fn graph() -> (Graph, [NodeId; 3]) {
        let mut graph = Graph::new();
        let x = graph.push("x", Op::Features { columns: 3 }).unwrap();
        let w = graph.push("w", Op::Param { view: 0, sizes: vec![4, 3] }).unwrap();
        let b = graph.push("b", Op::Param { view: 1, sizes: vec![3] }).unwrap();
        (graph, [x, w, b])
    }

    #[test]
    fn nodes_are_recognised_by_their_expressions() {
        let (mut graph, [x, w, bias]) = graph();
        for x in [x, w] {
            let sum = graph.add("sum", x, x).unwrap();
            let biased = graph.add_bias("z", x, bias).unwrap();
            let act = graph.activate("h", Activation::Gelu, x).unwrap();
            let op = |id: NodeId| graph.node(id).op.clone();
            assert!(op(sum).is_sum() && !op(biased).is_sum() && !op(act).is_sum());
            assert_eq!(op(biased).as_bias(), Some(Biased { x, bias }));
            assert_eq!((op(sum).as_bias(), op(act).as_bias()), (None, None));
            assert_eq!(op(act).as_activation(), Some((Activation::Gelu, x)));
            assert_eq!(op(sum).as_activation(), None);
            assert!([sum, biased, act].into_iter().all(|id| !graph.is_elementwise(id)));
        }
    }

    #[test]
    fn operands_that_are_moved_are_no_terms() {
        let (mut graph, [x, _, bias]) = graph();
        let space = IterationSpace::Batch(3);
        let moved = |shift| (x, Operand { shift, ..Operand::new(Broadcast::Both, 3) });
        let mut push = |f: Expr, operands| graph.push("y", Op::Map { f, operands, space }).unwrap();
        let columns = (bias, Operand::new(Broadcast::Columns, 3));
        let nodes = [
            push(plus(), vec![moved(0), moved(1)]),
            push(plus(), vec![moved(1), columns]),
            push(Activation::Relu.expr(), vec![moved(-1)]),
            push(Expr::input(0), vec![moved(0)]),
        ];
        for id in nodes {
            let op = &graph.node(id).op;
            assert!(!op.is_sum() && op.as_bias().is_none() && op.as_activation().is_none());
            assert!(graph.is_elementwise(id));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let (mut graph, [x, w, bias]) = graph();
        let said = graph.add("sum", x, w).unwrap_err().to_string();
        assert!(said.contains("x[batch,3]") && said.contains("w[4,3]"), "{said}");
        let said = graph.add_bias("z", x, w).unwrap_err().to_string();
        assert!(said.contains("x[batch,3]") && said.contains("w[4,3]"), "{said}");
        assert!(graph.add("sum", bias, bias).is_ok());
    }
}
