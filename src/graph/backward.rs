//! Reverse-mode differentiation: one gradient rule for each operation, written as construction of nodes.

use super::{Axis, Biased, Broadcast, Graph, IterationSpace, NodeId, Op, Operand};
use crate::error::{Error, Result};
use crate::expr::{Expr, ExprNode, Number};
use crate::shape::Dim;

impl Graph {
    /// Appends the gradient of a scalar loss with respect to every parameter that trains.
    ///
    /// Returns the gradients' nodes, in the order of those parameters' views.
    ///
    /// # Errors
    /// If `loss` is not a loss, a parameter does not reach it, or an operation on the way has no gradient rule.
    pub fn backward(&mut self, loss: NodeId) -> Result<Vec<NodeId>> {
        let Op::Loss { loss: kind, prediction, targets } = self.node(loss).op.clone() else {
            return Err(Error::shape("backward", format!("{} is no loss", self.node(loss).name)));
        };
        // Nodes that no parameter enters, such as the features, need no gradient.
        let needed = self.depends_on_params(loss);
        let mut grads: Vec<Option<NodeId>> = vec![None; loss.0];
        let name = format!("d_{}", self.node(prediction).name);
        grads[prediction.0] =
            Some(self.push(name, Op::LossGrad { loss: kind, prediction, targets })?);
        // From the last node to the first: a node's gradient is complete once all its users are done.
        for index in (0..loss.0).rev() {
            let Some(d_y) = grads[index].filter(|_| needed[index]) else { continue };
            for (input, d_input) in self.rule(NodeId(index), d_y, &needed)? {
                grads[input.0] = Some(match grads[input.0] {
                    None => d_input,
                    // A node used twice gets the sum of both gradients.
                    Some(other) => {
                        let name = format!("d_{}", self.node(input).name);
                        self.add(name, other, d_input)?
                    }
                });
            }
        }
        // Sorted by view, so that the result does not depend on the order of the nodes.
        let mut of_params = Vec::new();
        for (node, grad) in self.nodes.iter().zip(grads) {
            if let Op::Param { view, .. } = node.op {
                let missing = || Error::shape(&node.name, "the loss does not depend on it");
                of_params.push((view, grad.ok_or_else(missing)?));
            }
        }
        of_params.sort_by_key(|&(view, _)| view);
        Ok(of_params.into_iter().map(|(_, grad)| grad).collect())
    }

    /// Returns for each node up to `last` whether a parameter enters it, by a path that has a gradient.
    fn depends_on_params(&self, last: NodeId) -> Vec<bool> {
        let mut needed = vec![false; last.0];
        for index in 0..last.0 {
            let op = &self.nodes[index].op;
            needed[index] = match op {
                Op::Param { .. } => true,
                // No gradient goes through a maximum.
                Op::MapColumns { maximum: true, .. } => false,
                _ => op.inputs().iter().any(|input| needed[input.0]),
            };
        }
        needed
    }

    /// Builds the gradients of one node's inputs, from the gradient of its result.
    fn rule(&mut self, id: NodeId, d_y: NodeId, needed: &[bool]) -> Result<Vec<(NodeId, NodeId)>> {
        let op = self.node(id).op.clone();
        if let Some(out) = self.usual_rule((id, &op), d_y, needed)? {
            return Ok(out);
        }
        let mut out = Vec::new();
        let named = |graph: &Self, input: NodeId| format!("d_{}", graph.node(input).name);
        // Pushes the gradient of `input`, if anyone needs it.
        let mut give = |graph: &mut Self, input: NodeId, op: Op| -> Result<()> {
            if needed[input.0] {
                let name = named(graph, input);
                out.push((input, graph.push(name, op)?));
            }
            Ok(())
        };
        match op {
            Op::Features { .. } | Op::Targets { .. } | Op::Param { .. } | Op::Kept { .. } => {}
            Op::MatmulNt { a, b } => {
                // y = a bᵀ:  d_b = d_yᵀ a,  d_a = d_y b
                give(self, b, Op::MatmulTn { a: d_y, b: a })?;
                give(self, a, Op::MatmulNn { a: d_y, b })?;
            }
            Op::MatmulNn { a, b } => {
                // y = a b:  d_b = aᵀ d_y,  d_a = d_y bᵀ
                give(self, b, Op::MatmulTn { a, b: d_y })?;
                give(self, a, Op::MatmulNt { a: d_y, b })?;
            }
            Op::MatmulTn { a, b } => {
                // y = aᵀ b:  d_b = a d_y,  d_a = b d_yᵀ
                give(self, b, Op::MatmulNn { a, b: d_y })?;
                give(self, a, Op::MatmulNt { a: b, b: d_y })?;
            }
            // The same rules hold within each block.
            Op::BlockNt { a, b, blocks } => {
                give(self, b, Op::BlockTn { a: d_y, b: a, blocks })?;
                give(self, a, Op::BlockNn { a: d_y, b, blocks })?;
            }
            Op::BlockNn { a, b, blocks } => {
                give(self, b, Op::BlockTn { a, b: d_y, blocks })?;
                give(self, a, Op::BlockNt { a: d_y, b, blocks })?;
            }
            Op::BlockTn { a, b, blocks } => {
                give(self, b, Op::BlockNn { a, b: d_y, blocks })?;
                give(self, a, Op::BlockNt { a: b, b: d_y, blocks })?;
            }
            // Each repetition passes its gradient on, and each block gets the gradient of the sum.
            Op::RepeatColumns { x, times } => {
                give(self, x, Op::SumBlocks { x: d_y, blocks: times })?;
            }
            Op::SumBlocks { x, blocks } => {
                give(self, x, Op::RepeatColumns { x: d_y, times: blocks })?;
            }
            // The same numbers in another shape.
            Op::SplitMembers { x, members } => {
                give(self, x, Op::JoinMembers { x: d_y, members })?;
            }
            Op::JoinMembers { x, members } => {
                give(self, x, Op::SplitMembers { x: d_y, members })?;
            }
            // The result's own direction: a value for each row, for each column, or for both.
            Op::Map { f, operands, space } => {
                let along = space.whole().along;
                return self.map_rule((&f, &operands, space), (d_y, along), needed);
            }
            // Every row's f gets the gradient of the sum.
            Op::MapRows { f, operands, space } => {
                return self.map_rule((&f, &operands, space), (d_y, Broadcast::Columns), needed);
            }
            Op::MapColumns { f, operands, space, maximum: false } => {
                let along = if matches!(space, IterationSpace::Vector(_)) {
                    Broadcast::Nothing
                } else {
                    Broadcast::Rows
                };
                return self.map_rule((&f, &operands, space), (d_y, along), needed);
            }
            // A maximum serves where the result does not depend on it, so it passes no gradient on.
            Op::MapColumns { maximum: true, .. } => {}
            Op::Normalise { x, var, eps, over, .. } if needed[x.0] => {
                let op = self.normalise_rule((id, var, eps, over), d_y)?;
                give(self, x, op)?;
            }
            Op::Normalise { .. } => {}
            // The mask is the same: y = mask x, d_x = mask d_y.
            Op::Dropout { x, stream, rate } => {
                give(self, x, Op::Dropout { x: d_y, stream, rate })?;
            }
            // Only the table gets a gradient: the indices in x are no parameters.
            Op::Lookup { table, x, column } => {
                if let Some((Dim::Of(rows), _)) = self.shape(table).as_matrix() {
                    give(self, table, Op::LookupGrad { x, column, d_y, rows })?;
                }
            }
            Op::MemberMean { .. } => {
                let problem = "it has no gradient rule: each member has a loss of its own";
                return Err(Error::shape(self.node(id).op.name(), problem));
            }
            Op::LookupGrad { .. } | Op::Loss { .. } | Op::LossGrad { .. } => {
                let place = self.node(id).op.name();
                return Err(Error::shape(
                    place,
                    "it has no gradient rule: gradients are of first order only",
                ));
            }
        }
        Ok(out)
    }
}

impl Graph {
    /// Builds the gradients of the operands of a sum, a bias or an activation, which need less than those of any expression;
    /// `None` for other nodes.
    fn usual_rule(
        &mut self,
        (id, op): (NodeId, &Op),
        d_y: NodeId,
        needed: &[bool],
    ) -> Result<Option<Vec<(NodeId, NodeId)>>> {
        let Op::Map { space, .. } = *op else { return Ok(None) };
        let name = |graph: &Self, input: NodeId| format!("d_{}", graph.node(input).name);
        let mut out = Vec::new();
        if op.is_sum() {
            // Both terms get the gradient itself; no node is needed.
            out.extend(op.inputs().into_iter().map(|term| (term, d_y)));
        } else if let Some(Biased { x, bias }) = op.as_bias() {
            // The bias was repeated for each row, so its gradient is the sum over the rows.
            if needed[bias.0] {
                let (f, operands) = (Expr::input(0), vec![(d_y, space.whole())]);
                let sums = self.push(name(self, bias), Op::MapRows { f, operands, space })?;
                out.push((bias, sums));
            }
            out.push((x, d_y));
        } else if let Some((act, x)) = op.as_activation()
            && !self.is_elementwise(x)
        {
            if needed[x.0] {
                // Reading the result lets the forward pass drop the argument.
                let saved = if act.gradient_from_output() { id } else { x };
                let operands = vec![(d_y, space.whole()), (saved, space.whole())];
                let op = Op::Map { f: act.gradient(), operands, space };
                out.push((x, self.push(name(self, x), op)?));
            }
        } else {
            return Ok(None);
        }
        out.retain(|(input, _)| needed[input.0]);
        Ok(Some(out))
    }
}

impl Graph {
    /// Builds the gradients of the operands of an elementwise node: d_x = d_y ∂f/∂x, summed over the directions in which
    /// x's values are repeated. `d_y` is the gradient of f's value at each element, with the broadcast `along`.
    fn map_rule(
        &mut self,
        (f, operands, space): (&Expr, &[(NodeId, Operand)], IterationSpace),
        (d_y, along): (NodeId, Broadcast),
        needed: &[bool],
    ) -> Result<Vec<(NodeId, NodeId)>> {
        let mut out = Vec::new();
        let d_operand = (d_y, Operand::new(along, space.columns()));
        for (index, &(x, operand)) in (0_u8..).zip(operands) {
            // The derivative by an operand that f does not read is 0, and has no node.
            let slope = f.derivative(index);
            if !needed[x.0] || slope.number() == Some(0.0) {
                continue;
            }
            // The incoming gradient becomes one more operand, after those of f.
            let last = u8::try_from(operands.len()).expect("a kernel has a few operands");
            let all: Vec<_> = operands.iter().copied().chain([d_operand]).collect();
            let (g, all) = used(&(Expr::input(last) * slope), &all);
            // The gradient is computed at x's own elements, so the operands are shifted back by x's shift.
            let moved = all.into_iter().map(|(id, mut it)| {
                if matches!(it.along, Broadcast::Both | Broadcast::Columns) {
                    it.shift -= operand.shift;
                }
                (id, it)
            });
            let moved: Vec<_> = moved.collect();
            let columns = operand.width;
            let name = format!("d_{}", self.node(x).name);
            // A value that is repeated gets the sum of its repetitions' gradients: the broadcast decides the sum.
            let op = match (operand.along, space) {
                (Broadcast::Both, _) => {
                    Op::Map { f: g, operands: moved, space: space.with_columns(columns) }
                }
                (Broadcast::Columns, IterationSpace::Vector(_)) => {
                    Op::Map { f: g, operands: moved, space: IterationSpace::Vector(columns) }
                }
                (Broadcast::Columns, _) => {
                    Op::MapRows { f: g, operands: moved, space: space.with_columns(columns) }
                }
                (Broadcast::Rows, IterationSpace::PerRow) => {
                    Op::Map { f: g, operands: moved, space }
                }
                (Broadcast::Rows, _) => {
                    Op::MapColumns { f: g, operands: moved, space, maximum: false }
                }
                (Broadcast::Nothing, IterationSpace::Vector(_)) => {
                    Op::MapColumns { f: g, operands: moved, space, maximum: false }
                }
                // Repeated in both directions: summed over rows first, then over columns.
                (Broadcast::Nothing, _) => {
                    let sums = Op::MapRows { f: g, operands: moved, space };
                    let sums = self.push(format!("{name}_columns"), sums)?;
                    let along = Operand::new(Broadcast::Columns, space.columns());
                    let (f, space) = (Expr::input(0), IterationSpace::Vector(space.columns()));
                    Op::MapColumns { f, operands: vec![(sums, along)], space, maximum: false }
                }
            };
            out.push((x, self.push(name, op)?));
        }
        Ok(out)
    }
}

impl Graph {
    /// Builds the gradient of a normalised matrix: `d_x = (d_y − mean(d_y) − y mean(d_y y)) / √(var + eps)`, with means
    /// over the axis of the statistics (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, with its sums combined).
    fn normalise_rule(
        &mut self,
        (y, var, eps, over): (NodeId, NodeId, Number, Axis),
        d_y: NodeId,
    ) -> Result<Op> {
        let x = Expr::input;
        let columns = self.shape(y).dims().last().map_or(1, |dim| dim.size(1));
        let space = IterationSpace::Batch(columns);
        let full = |id| (id, Operand::new(Broadcast::Both, columns));
        // If y is multiplied by a vector, d_y = d w: sums over rows are w times those of d, which are also the gradients of
        // bias and weight.
        let (d, weight) = match (over, &self.node(d_y).op) {
            (Axis::Rows, Op::Map { f, operands, .. }) if *f == x(0) * x(1) => match operands[..] {
                [d, (w, along)] if along.along == Broadcast::Columns => (d.0, Some((w, along))),
                _ => (d_y, None),
            },
            _ => (d_y, None),
        };
        let mut sum = |part: &str, f: Expr, operands: Vec<(NodeId, Operand)>| {
            let op = match over {
                Axis::Rows => Op::MapRows { f, operands, space },
                Axis::Columns => Op::MapColumns { f, operands, space, maximum: false },
            };
            // The gradient of weight or bias may be the same sum, so an equal node is used again.
            let there = self.users(d).iter().copied().find(|&user| self.node(user).op == op);
            let name = format!("d_{part}_{}", self.node(y).name);
            there.map_or_else(|| self.push(name, op), Ok)
        };
        let plain = sum("mean", x(0), vec![full(d)])?;
        let along_y = sum("slope", x(0) * x(1), vec![full(d), full(y)])?;
        let beside = |id| (id, Operand::new(over.along(), columns));
        let mut operands = vec![full(d), beside(plain), full(y), beside(along_y), beside(var)];
        let mut f = x(0) - (x(1) + x(2) * x(3)) * over.share(columns);
        // The weight was taken out of the sums, so it is multiplied in here.
        if let Some(weight) = weight {
            operands.push(weight);
            f = f * x(5);
        }
        Ok(Op::Map { f: f / (x(4) + eps.0).sqrt(), operands, space })
    }
}

/// Returns an expression without the operands that it does not use, each of the others once.
pub(crate) fn used(f: &Expr, operands: &[(NodeId, Operand)]) -> (Expr, Vec<(NodeId, Operand)>) {
    let mut kept: Vec<(NodeId, Operand)> = Vec::new();
    let f = f.replaced(&mut |node| match node {
        ExprNode::Input(index) => {
            let operand = operands[usize::from(*index)];
            let place = kept.iter().position(|other| *other == operand).unwrap_or_else(|| {
                kept.push(operand);
                kept.len() - 1
            });
            Some(Expr::input(u8::try_from(place).expect("a formula has a few operands")))
        }
        _ => None,
    });
    (f, kept)
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, Optimizer, training};
    use super::*;
    use crate::model::{Activation, Sequential};

    #[test]
    fn gradients_have_the_shapes_of_their_parameters() {
        let model =
            Sequential::new().dense(5).activation(Activation::Gelu).dense_without_bias(3).tanh();
        let step = training(&model, 4, Loss::CROSS_ENTROPY, Optimizer::default()).unwrap();
        for (view, &grad) in step.layout.views().iter().zip(&step.gradients) {
            assert_eq!(step.graph.shape(grad).sizes(9), view.shape, "{}", view.name);
        }
    }

    #[test]
    fn the_input_gets_no_gradient() {
        let model = Sequential::new().dense(5).relu().dense(3);
        let step = training(&model, 4, Loss::Mse, Optimizer::default()).unwrap();
        let products =
            step.graph.nodes().filter(|(_, n)| matches!(n.op, Op::MatmulNn { .. })).count();
        assert_eq!(products, 1);
    }

    #[test]
    fn a_node_used_twice_gets_a_sum() {
        let mut graph = Graph::new();
        let x = graph.push("x", Op::Features { columns: 3 }).unwrap();
        let w = graph.push("w", Op::Param { view: 0, sizes: vec![3, 3] }).unwrap();
        let h = graph.push("h", Op::MatmulNt { a: x, b: w }).unwrap();
        let twice = graph.add("twice", h, h).unwrap();
        let y = graph.push("y", Op::Targets { columns: 3, classes: false }).unwrap();
        let loss = graph
            .push("loss", Op::Loss { loss: Loss::Mse.into(), prediction: twice, targets: y })
            .unwrap();
        graph.backward(loss).unwrap();
        let sums = graph.nodes().filter(|(id, n)| *id > loss && n.op.is_sum()).count();
        assert_eq!(sums, 1);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors_with_both() {
        let mut graph = Graph::new();
        let x = graph.push("x", Op::Features { columns: 3 }).unwrap();
        let w = graph.push("w", Op::Param { view: 0, sizes: vec![2, 4] }).unwrap();
        let message = graph.push("z", Op::MatmulNt { a: x, b: w }).unwrap_err().to_string();
        assert!(message.contains("x[batch,3]") && message.contains("w[2,4]"), "{message}");
    }
}
