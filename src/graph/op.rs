//! The closed set of operations: one line of mathematics and one shape rule each.
//!
//! Gradient rules stand in `backward.rs`, in the same order.

use super::{Broadcast, Graph, IterationSpace, MOST_OPERANDS, Objective, Operand};
use crate::error::{Error, Result};
use crate::expr::{Expr, Number, StepValue};
use crate::shape::{Dim, Shape};

/// Index of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

/// Axis of a statistic of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The valid rows: a value for each column.
    Rows,
    /// The columns: a value for each row.
    Columns,
}

impl Axis {
    /// Returns the broadcast of the statistic beside the matrix.
    pub(super) fn along(self) -> Broadcast {
        match self {
            Self::Rows => Broadcast::Columns,
            Self::Columns => Broadcast::Rows,
        }
    }

    /// Returns the weight of an element in a mean over a matrix with this number of columns. Masked rows of the batch hold
    /// numbers as well, so their weight is 0.
    pub(super) fn share(self, columns: usize) -> Expr {
        match self {
            Self::Rows => Expr::quantity(StepValue::Counts) / Expr::quantity(StepValue::Rows),
            Self::Columns => (1.0 / columns as f64).into(),
        }
    }
}

/// Meaning of the outputs of members whose mean is the prediction, as a loss defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberOutputs {
    /// Numbers, or scores: y = mean of x
    Values,
    /// Logits of classes: y = ln of the mean of softmax(x), so that softmax(y) is that mean
    Classes,
    /// Logits of labels: y = logit of the mean of σ(x)
    Labels,
    /// Logarithms: y = ln of the mean of eˣ
    Logarithms,
}

impl MemberOutputs {
    /// Every meaning.
    pub const ALL: [Self; 4] = [Self::Values, Self::Classes, Self::Labels, Self::Logarithms];

    /// The name in printed plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Classes => "classes",
            Self::Labels => "labels",
            Self::Logarithms => "logarithms",
        }
    }
}

/// An operation. Layers are combinations of these, so that a new layer needs no new gradient.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The batch's rows of features: x `[batch, columns]`
    Features {
        /// Number of columns.
        columns: usize,
    },
    /// Targets of the batch's rows: numbers `[batch, columns]`, or a class each `[batch]`
    Targets {
        /// Number of columns, or of classes.
        columns: usize,
        /// True if these are classes.
        classes: bool,
    },
    /// A parameter, the `view`th of the model's layout
    Param {
        /// Index into the layout's views.
        view: usize,
        /// Its sizes.
        sizes: Vec<usize>,
    },
    /// A parameter that no gradient moves: running statistics, a fixed matrix
    Kept {
        /// Index into the layout's views.
        view: usize,
        /// Its sizes.
        sizes: Vec<usize>,
    },
    /// y = a bᵀ, a `[m,k]`, b `[n,k]`
    MatmulNt {
        /// Left factor.
        a: NodeId,
        /// Right factor, used transposed.
        b: NodeId,
    },
    /// y = a b, a `[m,k]`, b `[k,n]`
    MatmulNn {
        /// Left factor.
        a: NodeId,
        /// Right factor.
        b: NodeId,
    },
    /// y = aᵀ b, a `[k,m]`, b `[k,n]`
    MatmulTn {
        /// Left factor, used transposed.
        a: NodeId,
        /// Right factor.
        b: NodeId,
    },
    /// y = a bᵀ for each block of columns by itself: a `[m, g k]`, b `[g n, k]` to y `[m, g n]`, g blocks. It is the product
    /// with a matrix that is 0 outside of g blocks on its diagonal, without the zeros
    BlockNt {
        /// Left factor.
        a: NodeId,
        /// Right factor, used transposed: the rows of all blocks below one another.
        b: NodeId,
        /// Number of blocks.
        blocks: usize,
    },
    /// y = a b for each block by itself: a `[m, g n]`, b `[g n, k]` to y `[m, g k]`
    BlockNn {
        /// Left factor.
        a: NodeId,
        /// Right factor.
        b: NodeId,
        /// Number of blocks.
        blocks: usize,
    },
    /// y = aᵀ b for each block by itself: a `[m, g n]`, b `[m, g k]` to y `[g n, k]`
    BlockTn {
        /// Left factor, used transposed.
        a: NodeId,
        /// Right factor.
        b: NodeId,
        /// Number of blocks.
        blocks: usize,
    },
    /// y holds x's columns several times side by side: x `[batch, n]` to y `[batch, times n]`
    RepeatColumns {
        /// Matrix of the batch's rows.
        x: NodeId,
        /// How often its columns stand there.
        times: usize,
    },
    /// y = the sum of x's blocks of columns: x `[batch, g n]` to y `[batch, n]`, g blocks
    SumBlocks {
        /// Matrix of the batch's rows.
        x: NodeId,
        /// Number of blocks.
        blocks: usize,
    },
    /// The members' columns of each row below one another: x `[batch, g n]` to y `[g batch, n]`. Both lie in memory alike, so
    /// nothing is computed
    SplitMembers {
        /// Matrix of the batch's rows.
        x: NodeId,
        /// Number of members.
        members: usize,
    },
    /// The members' rows side by side: x `[g batch, n]` to y `[batch, g n]`, the inverse of `SplitMembers`
    JoinMembers {
        /// Matrix of the members' rows.
        x: NodeId,
        /// Number of members.
        members: usize,
    },
    /// The outputs of a network that would predict the mean of the members' predictions: x `[batch, g n]` to y `[batch, n]`
    MemberMean {
        /// The members' outputs side by side.
        x: NodeId,
        /// Number of members.
        members: usize,
        /// Meaning of the outputs.
        of: MemberOutputs,
    },
    /// y = f(operands), element by element over `space`
    Map {
        /// Computation; inputs are the operands.
        f: Expr,
        /// Values, and their broadcasts.
        operands: Vec<(NodeId, Operand)>,
        /// The result's elements.
        space: IterationSpace,
    },
    /// y = Σ f(operands) over the rows of `space`: `[columns]`
    MapRows {
        /// Terms of the sum.
        f: Expr,
        /// Values, and their broadcasts.
        operands: Vec<(NodeId, Operand)>,
        /// The elements that are summed.
        space: IterationSpace,
    },
    /// y = Σ f(operands), or the maximum, over the columns of `space`: `[batch]`, or `[1]` for a vector. A maximum has no
    /// gradient: it serves where the result does not depend on it, as in softmax.
    MapColumns {
        /// Terms of the sum.
        f: Expr,
        /// Values, and their broadcasts.
        operands: Vec<(NodeId, Operand)>,
        /// The elements that are summed.
        space: IterationSpace,
        /// True if the maximum is taken instead of the sum.
        maximum: bool,
    },
    /// y = (x − mean) / √(var + eps), where mean and var are x's own over its rows or its columns: the gradient goes to x
    /// alone, and includes the way through mean and var
    Normalise {
        /// Matrix of the batch's rows.
        x: NodeId,
        /// Its means.
        mean: NodeId,
        /// Its variances.
        var: NodeId,
        /// Added to the variances.
        eps: Number,
        /// Axis of the statistics.
        over: Axis,
    },
    /// y = x times 0 with probability `rate`, else times 1 / (1 − rate); the same mask wherever the stream is the same
    Dropout {
        /// Matrix that dropout is applied to.
        x: NodeId,
        /// Number of the random stream, different for each layer.
        stream: u32,
        /// Fraction of elements that become 0.
        rate: Number,
    },
    /// y row = table row of the number in x's column: x `[batch,m]`, table `[v,d]` to y `[batch,d]`
    Lookup {
        /// The table.
        table: NodeId,
        /// Matrix with the indices.
        x: NodeId,
        /// Column of the indices.
        column: usize,
    },
    /// d_table row = Σ d_y over the rows that have its index: x `[batch,m]`, d_y `[batch,d]` to `[rows,d]`
    LookupGrad {
        /// Matrix with the indices.
        x: NodeId,
        /// Column of the indices.
        column: usize,
        /// Gradient of the loss with respect to the rows that were looked up.
        d_y: NodeId,
        /// Rows of the table.
        rows: usize,
    },
    /// Loss over the valid rows: `[1]`
    Loss {
        /// The loss, its reduction and its weights.
        loss: Objective,
        /// Logits or predictions.
        prediction: NodeId,
        /// Targets.
        targets: NodeId,
    },
    /// ∂ loss / ∂ prediction, a mean's divisor included
    LossGrad {
        /// The loss, its reduction and its weights.
        loss: Objective,
        /// Logits or predictions.
        prediction: NodeId,
        /// Targets.
        targets: NodeId,
    },
}

/// An expression of operands, over the elements of a space.
pub type Mapped = (Expr, Vec<(NodeId, Operand)>, IterationSpace);

impl Op {
    /// Returns the operation as an expression for each element of its result, if it is elementwise.
    pub fn elementwise(&self, graph: &Graph) -> Option<Mapped> {
        let (x, f, others): (NodeId, Expr, Vec<(NodeId, Broadcast)>) = match *self {
            Self::Map { ref f, ref operands, space } => {
                return Some((f.clone(), operands.clone(), space));
            }
            Self::Normalise { x, mean, var, eps, over } => {
                let f = normalised(Expr::input(0), Expr::input(1), Expr::input(2), eps.0);
                (x, f, vec![(mean, over.along()), (var, over.along())])
            }
            Self::Dropout { x, stream, rate } => {
                let kept = Expr::quantity(StepValue::Keep(stream, rate));
                (x, Expr::input(0) * kept, vec![])
            }
            _ => return None,
        };
        let Some((Dim::Batch, Dim::Of(columns))) = graph.shape(x).as_matrix() else { return None };
        let all = std::iter::once((x, Broadcast::Both)).chain(others);
        let operands = all.map(|(id, along)| (id, Operand::new(along, columns))).collect();
        Some((f, operands, IterationSpace::Batch(columns)))
    }

    /// Returns the operation's name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Features { .. } => "features",
            Self::Targets { .. } => "targets",
            Self::Param { .. } => "param",
            Self::Kept { .. } => "kept",
            Self::MatmulNt { .. } => "matmul_nt",
            Self::MatmulNn { .. } => "matmul_nn",
            Self::MatmulTn { .. } => "matmul_tn",
            Self::BlockNt { .. } => "block_nt",
            Self::BlockNn { .. } => "block_nn",
            Self::BlockTn { .. } => "block_tn",
            Self::RepeatColumns { .. } => "repeat_columns",
            Self::SumBlocks { .. } => "sum_blocks",
            Self::SplitMembers { .. } => "split_members",
            Self::JoinMembers { .. } => "join_members",
            Self::MemberMean { .. } => "member_mean",
            Self::Map { .. } => "map",
            Self::MapRows { .. } => "map_rows",
            Self::MapColumns { .. } => "map_columns",
            Self::Normalise { .. } => "normalise",
            Self::Dropout { .. } => "dropout",
            Self::Lookup { .. } => "lookup",
            Self::LookupGrad { .. } => "lookup_grad",
            Self::Loss { .. } => "loss",
            Self::LossGrad { .. } => "loss_grad",
        }
    }

    /// Returns the nodes that the operation reads.
    pub fn inputs(&self) -> Vec<NodeId> {
        match *self {
            Self::Map { ref operands, .. }
            | Self::MapRows { ref operands, .. }
            | Self::MapColumns { ref operands, .. } => operands.iter().map(|(id, _)| *id).collect(),
            Self::Normalise { x, mean, var, .. } => vec![x, mean, var],
            Self::Lookup { table, x, .. } => vec![table, x],
            Self::LookupGrad { x, d_y, .. } => vec![x, d_y],
            Self::Features { .. }
            | Self::Targets { .. }
            | Self::Param { .. }
            | Self::Kept { .. } => vec![],
            Self::MatmulNt { a, b }
            | Self::MatmulNn { a, b }
            | Self::MatmulTn { a, b }
            | Self::BlockNt { a, b, .. }
            | Self::BlockNn { a, b, .. }
            | Self::BlockTn { a, b, .. } => {
                vec![a, b]
            }
            Self::Dropout { x, .. }
            | Self::RepeatColumns { x, .. }
            | Self::SumBlocks { x, .. }
            | Self::SplitMembers { x, .. }
            | Self::JoinMembers { x, .. }
            | Self::MemberMean { x, .. } => vec![x],
            Self::Loss { prediction, targets, .. } | Self::LossGrad { prediction, targets, .. } => {
                vec![prediction, targets]
            }
        }
    }

    /// Returns the shape of the result, or an error that names both shapes.
    pub(super) fn shape(&self, graph: &Graph) -> Result<Shape> {
        let matrix = |id: NodeId| {
            let shape = graph.shape(id);
            shape.as_matrix().ok_or_else(|| {
                Error::shape(
                    self.name(),
                    format!("{} is {shape}, a matrix is needed", graph.node(id).name),
                )
            })
        };
        // The message names both nodes, since either may be the wrong one.
        let agree = |a: NodeId, b: NodeId, fits: bool| {
            if fits {
                return Ok(());
            }
            let text = |id: NodeId| format!("{}{}", graph.node(id).name, graph.shape(id));
            Err(Error::shape(self.name(), format!("{} does not fit {}", text(a), text(b))))
        };
        match *self {
            Self::Features { columns } => Ok(Shape::matrix(Dim::Batch, Dim::Of(columns))),
            Self::Targets { columns, classes: false } => {
                Ok(Shape::matrix(Dim::Batch, Dim::Of(columns)))
            }
            Self::Targets { classes: true, .. } => Ok(Shape::per_row()),
            Self::Param { ref sizes, .. } | Self::Kept { ref sizes, .. } => match sizes[..] {
                [n] => Ok(Shape::vector(n)),
                [rows, columns] => Ok(Shape::matrix(Dim::Of(rows), Dim::Of(columns))),
                _ => Err(Error::shape(
                    "param",
                    format!("{sizes:?} is neither a vector nor a matrix"),
                )),
            },
            // Only the summed dimension must agree; the other two make the shape.
            Self::MatmulNt { a, b } => {
                let ((m, k), (n, k2)) = (matrix(a)?, matrix(b)?);
                agree(a, b, k == k2)?;
                Ok(Shape::matrix(m, n))
            }
            Self::MatmulNn { a, b } => {
                let ((m, k), (k2, n)) = (matrix(a)?, matrix(b)?);
                agree(a, b, k == k2)?;
                Ok(Shape::matrix(m, n))
            }
            Self::MatmulTn { a, b } => {
                let ((k, m), (k2, n)) = (matrix(a)?, matrix(b)?);
                agree(a, b, k == k2)?;
                Ok(Shape::matrix(m, n))
            }
            Self::BlockNt { a, b, blocks } => {
                let ((m, width), (n, k)) = (matrix(a)?, matrix(b)?);
                agree(a, b, of_blocks(k, blocks) == Some(width) && in_blocks(n, blocks).is_some())?;
                Ok(Shape::matrix(m, n))
            }
            Self::BlockNn { a, b, blocks } => {
                let ((m, width), (n, k)) = (matrix(a)?, matrix(b)?);
                let wide = of_blocks(k, blocks).filter(|_| in_blocks(n, blocks).is_some());
                agree(a, b, width == n && wide.is_some())?;
                Ok(Shape::matrix(m, wide.unwrap_or(k)))
            }
            Self::BlockTn { a, b, blocks } => {
                let ((m, n), (m2, width)) = (matrix(a)?, matrix(b)?);
                let k = in_blocks(width, blocks).filter(|_| in_blocks(n, blocks).is_some());
                agree(a, b, m == m2 && k.is_some())?;
                Ok(Shape::matrix(n, k.unwrap_or(width)))
            }
            Self::RepeatColumns { x, times } => {
                let (m, n) = matrix(x)?;
                let wide = of_blocks(n, times).filter(|_| m == Dim::Batch);
                Ok(Shape::matrix(m, wide.ok_or_else(|| self.wrong_blocks(graph, x, times))?))
            }
            Self::SumBlocks { x, blocks } => {
                let (m, n) = matrix(x)?;
                let each = in_blocks(n, blocks).filter(|_| m == Dim::Batch);
                Ok(Shape::matrix(m, each.ok_or_else(|| self.wrong_blocks(graph, x, blocks))?))
            }
            Self::SplitMembers { x, members } => {
                let (m, n) = matrix(x)?;
                let each = in_blocks(n, members).filter(|_| m == Dim::Batch);
                let each = each.ok_or_else(|| self.wrong_blocks(graph, x, members))?;
                Ok(Shape::matrix(Dim::Members(members), each))
            }
            Self::JoinMembers { x, members } => {
                let (m, n) = matrix(x)?;
                let wide = of_blocks(n, members).filter(|_| m == Dim::Members(members));
                let wide = wide.ok_or_else(|| self.wrong_blocks(graph, x, members))?;
                Ok(Shape::matrix(Dim::Batch, wide))
            }
            Self::MemberMean { x, members, .. } => {
                let (m, n) = matrix(x)?;
                let each = in_blocks(n, members).filter(|_| m == Dim::Batch);
                Ok(Shape::matrix(m, each.ok_or_else(|| self.wrong_blocks(graph, x, members))?))
            }
            Self::Map { ref operands, space, .. } => {
                self.fit(graph, operands, space)?;
                Ok(space.shape())
            }
            Self::MapRows { ref operands, space, .. } => {
                self.fit(graph, operands, space)?;
                Ok(Shape::vector(space.columns()))
            }
            Self::MapColumns { ref operands, space, .. } => {
                self.fit(graph, operands, space)?;
                Ok(match space {
                    IterationSpace::Vector(_) => Shape::vector(1),
                    IterationSpace::Matrix(rows, _) => Shape::vector(rows),
                    IterationSpace::Members(members, _) => Shape::per_member(members),
                    IterationSpace::Batch(_) | IterationSpace::PerRow => Shape::per_row(),
                })
            }
            Self::Normalise { x, mean, var, over, .. } => {
                let (m, n) = matrix(x)?;
                for stat in [mean, var] {
                    let wanted = if over == Axis::Rows { n } else { m };
                    agree(x, stat, graph.shape(stat).dims() == [wanted])?;
                }
                Ok(graph.shape(x).clone())
            }
            Self::Dropout { x, .. } => Ok(graph.shape(x).clone()),
            // The indices must stand in a column that x has.
            Self::Lookup { table, x, column } => {
                let ((_, d), (rows, columns)) = (matrix(table)?, matrix(x)?);
                agree(x, table, column < columns.size(0))?;
                Ok(Shape::matrix(rows, d))
            }
            Self::LookupGrad { x, d_y, rows, column } => {
                let ((_, columns), (_, d)) = (matrix(x)?, matrix(d_y)?);
                agree(x, d_y, column < columns.size(0))?;
                Ok(Shape::matrix(Dim::Of(rows), d))
            }
            // Which shapes fit depends on the loss: classes need a vector, numbers a matrix.
            Self::Loss { ref loss, prediction, targets } => {
                let (_, columns) = matrix(prediction)?;
                agree(prediction, targets, loss.accepts(columns, graph, prediction, targets))?;
                Ok(Shape::vector(1))
            }
            Self::LossGrad { prediction, .. } => Ok(graph.shape(prediction).clone()),
        }
    }

    /// Returns the error of a matrix that does not consist of so many blocks or members.
    fn wrong_blocks(&self, graph: &Graph, x: NodeId, blocks: usize) -> Error {
        let text = format!("{}{}", graph.node(x).name, graph.shape(x));
        Error::shape(self.name(), format!("{text} does not fit {blocks} blocks"))
    }

    /// Checks that the number of operands is one that a kernel takes, and that their shapes fit their broadcasts.
    fn fit(
        &self,
        graph: &Graph,
        operands: &[(NodeId, Operand)],
        space: IterationSpace,
    ) -> Result<()> {
        if operands.len() > MOST_OPERANDS || operands.is_empty() {
            let problem = format!("{} operands; 1 to {MOST_OPERANDS} are possible", operands.len());
            return Err(Error::shape(self.name(), problem));
        }
        for &(id, operand) in operands {
            let shape = graph.shape(id);
            let wanted = Operand::new(operand.along, shape.dims().last().map_or(1, |d| d.size(1)));
            // In a space of one column, a value for each row and a matrix look the same, so either is accepted.
            if space.along(shape) != Some(operand.along) && space.columns() != 1
                || operand.width != wanted.width
            {
                let problem =
                    format!("{}{shape} does not fit {}", graph.node(id).name, space.shape());
                return Err(Error::shape(self.name(), problem));
            }
        }
        Ok(())
    }
}

/// Returns the columns of all blocks together, if each has this number.
fn of_blocks(each: Dim, blocks: usize) -> Option<Dim> {
    match each {
        Dim::Of(each) if blocks > 0 => each.checked_mul(blocks).map(Dim::Of),
        _ => None,
    }
}

/// Returns the columns of each block, if all together have this number.
fn in_blocks(all: Dim, blocks: usize) -> Option<Dim> {
    match all {
        Dim::Of(all) if blocks > 0 && all.is_multiple_of(blocks) => Some(Dim::Of(all / blocks)),
        _ => None,
    }
}

/// (x − mean) / √(var + eps)
pub(super) fn normalised(x: Expr, mean: Expr, var: Expr, eps: f64) -> Expr {
    (x - mean) / (var + eps).sqrt()
}
