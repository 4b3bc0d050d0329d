//! Layers as combinations of operations: one function for each, whose gradient follows from the operations'.
//!
//! In: a layer, its input node. Out: its output node.
//! Absent on purpose: gradients, and the plan's fusions.

use std::collections::HashSet;
use std::ops::Range;

use super::batch_ensemble::SharedMembers;
use super::op::normalised;
use super::{Axis, Broadcast, Graph, IterationSpace, Mode, NodeId, Op, Operand};
use crate::error::{Error, Result};
use crate::expr::{Expr, Number};
use crate::model::{
    Activation, CustomLayer, EmbeddingTable, Gate, Layer, NumberEmbedding, NumberEmbeddingKind,
    RMS_EPS, Sequential, runs,
};
use crate::shape::Dim;

/// A running statistic and its update in each step of training: kept ← (1 − momentum) kept + momentum · stat, with stat
/// times rows/(rows − 1) if it is unbiased.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunningStat {
    /// The batch's own statistic.
    pub stat: NodeId,
    /// Index of the running statistic among the layout's views.
    pub view: usize,
    /// Weight of the newest batch.
    pub momentum: f64,
    /// True if the statistic is divided by one row less.
    pub unbiased: bool,
}

/// Builds a forward pass, layer by layer.
pub(super) struct Forward {
    pub(super) graph: Graph,
    mode: Mode,
    /// The ensemble whose members' columns come in, if the layers are those of one.
    pub(super) members: Option<SharedMembers>,
    /// Parameters in the layout's order, and the number of them that the layers so far have taken.
    params: (Vec<NodeId>, usize),
    /// Number of dropout layers so far.
    dropouts: u32,
    running: Vec<RunningStat>,
}

/// Returns an input of an expression.
fn x(index: u8) -> Expr {
    Expr::input(index)
}

impl Forward {
    /// Starts from a graph with the features and all parameters.
    pub(super) fn new(graph: Graph, mode: Mode, params: Vec<NodeId>) -> Self {
        Self { graph, mode, members: None, params: (params, 0), dropouts: 0, running: vec![] }
    }

    /// Returns the graph, and the running statistics.
    pub(super) fn done(self) -> (Graph, Vec<RunningStat>) {
        (self.graph, self.running)
    }

    /// Appends all layers of a stack whose nodes' names begin with a place such as `2.`, or with nothing.
    pub(super) fn forward_layers(
        &mut self,
        model: &Sequential,
        input: NodeId,
        place: &str,
    ) -> Result<NodeId> {
        let mut hidden = input;
        for (index, layer) in model.layers().iter().enumerate() {
            hidden = self.layer(layer, hidden, &format!("{place}{index}"))?;
        }
        Ok(hidden)
    }

    /// Appends one layer and returns its output node.
    pub(super) fn layer(&mut self, layer: &Layer, input: NodeId, place: &str) -> Result<NodeId> {
        match layer {
            Layer::Dense { bias, ntk, .. } => match self.members {
                Some(members) => self.shared_dense(input, place, (*bias, *ntk), members),
                None => self.dense(input, place, *bias, *ntk),
            },
            Layer::BatchEnsemble(ensemble) => self.batch_ensemble(input, place, ensemble),
            // The identity adds no node, but keeps its number, so that the names of later layers stay.
            Layer::Activation(Activation::Identity) => Ok(input),
            Layer::Activation(act) => self.graph.activate(format!("h{place}"), *act, input),
            Layer::Dropout { rate } => self.dropout(input, place, *rate),
            Layer::BatchNorm { eps, momentum, affine } => {
                self.batch_norm(input, place, (*eps, *momentum), *affine)
            }
            Layer::LayerNorm { eps, affine } => self.layer_norm(input, place, *eps, *affine),
            Layer::RmsNorm { eps, affine } => {
                self.rms_norm(input, place, eps.unwrap_or(RMS_EPS), *affine)
            }
            // The sum needs both matrices, so the input stays alive until the inner layers are done.
            Layer::Residual(inner) => {
                let f = self.forward_layers(inner, input, &format!("{place}."))?;
                self.graph.add(format!("h{place}"), input, f)
            }
            // Every branch reads the same input; their outputs are put side by side.
            Layer::Branches(branches) => {
                let mut parts = Vec::new();
                for (index, branch) in branches.iter().enumerate() {
                    parts.push(self.forward_layers(branch, input, &format!("{place}.{index}."))?);
                }
                self.concat(&parts, place)
            }
            Layer::Embedding(tables) => self.embedding(input, place, tables),
            Layer::NumberEmbedding(numbers) => self.number_embedding(input, place, numbers),
            Layer::Parametric(act) => {
                let weight = self.param(place)?;
                let f = x(0) + x(1) * (act.expr() - x(0));
                self.map(&format!("h{place}"), f, &[input, weight])
            }
            Layer::Scale { bias } => {
                let weight = self.param(place)?;
                // Weight before bias: the order of the layout decides which parameter is which.
                let shift = if *bias { Some(self.param(place)?) } else { None };
                let f = x(0) * x(1) + shift.map_or(0.0.into(), |_| x(2));
                let operands: Vec<_> = [input, weight].into_iter().chain(shift).collect();
                self.map(&format!("h{place}"), f, &operands)
            }
            Layer::Fourier { .. } => self.fourier(input, place),
            Layer::Prelu { .. } => {
                let weight = self.param(place)?;
                let f = x(0).if_at_most(&0.0.into(), &(x(1) * x(0)), &x(0));
                self.map(&format!("h{place}"), f, &[input, weight])
            }
            Layer::Gated(gate) => self.gated(input, place, *gate),
            Layer::Softmax => {
                // Subtracting each row's largest number keeps the exponentials from overflowing.
                let (largest, sum) = self.softmax_stats(input, place)?;
                let f = (x(0) - x(1)).exp() / x(2);
                self.map(&format!("h{place}"), f, &[input, largest, sum])
            }
            Layer::LogSoftmax => {
                // As a difference of logarithms, so that small probabilities keep their digits.
                let (largest, sum) = self.softmax_stats(input, place)?;
                let f = x(0) - x(1) - x(2).ln();
                self.map(&format!("h{place}"), f, &[input, largest, sum])
            }
            Layer::Custom(custom) => self.custom(input, place, custom),
        }
    }

    /// Returns the next parameter of the layer at a place.
    pub(super) fn param(&mut self, place: &str) -> Result<NodeId> {
        let (params, used) = &mut self.params;
        let param = params.get(*used).copied();
        *used += 1;
        param.ok_or_else(|| {
            Error::shape(format!("layer {place}"), "its parameters are missing from the layout")
        })
    }

    /// Returns the number of columns of a node.
    pub(super) fn columns(&self, id: NodeId) -> usize {
        self.graph.shape(id).dims().last().map_or(1, |dim| dim.size(1))
    }

    /// Returns operands with their broadcasts beside the first one, a matrix of the batch's rows.
    fn broadcast_operands(
        &self,
        operands: &[NodeId],
    ) -> Result<(Vec<(NodeId, Operand)>, IterationSpace)> {
        let first = operands.first().map(|&id| self.graph.shape(id));
        let Some((Dim::Batch, Dim::Of(columns))) = first.and_then(|shape| shape.as_matrix()) else {
            return Err(Error::shape("layer", "what comes in is no matrix of the batch's rows"));
        };
        let space = IterationSpace::Batch(columns);
        // A node's shape decides its broadcast, so layers need not state it.
        let operand = |&id: &NodeId| {
            let shape = self.graph.shape(id);
            let along = space.along(shape).ok_or_else(|| {
                Error::shape(&self.graph.node(id).name, format!("{shape} does not fit {space:?}"))
            })?;
            let own = shape.dims().last().map_or(1, |dim| dim.size(1));
            Ok((id, Operand::new(along, own)))
        };
        Ok((operands.iter().map(operand).collect::<Result<_>>()?, space))
    }

    /// Appends an elementwise expression of operands.
    pub(super) fn map(&mut self, name: &str, f: Expr, operands: &[NodeId]) -> Result<NodeId> {
        let (operands, space) = self.broadcast_operands(operands)?;
        self.graph.push(name, Op::Map { f, operands, space })
    }

    /// Appends sums over the batch's rows.
    fn over_rows(&mut self, name: &str, f: Expr, operands: &[NodeId]) -> Result<NodeId> {
        let (operands, space) = self.broadcast_operands(operands)?;
        self.graph.push(name, Op::MapRows { f, operands, space })
    }

    /// Appends sums over the columns, or the maximum.
    fn over_columns(
        &mut self,
        name: &str,
        f: Expr,
        operands: &[NodeId],
        maximum: bool,
    ) -> Result<NodeId> {
        let (operands, space) = self.broadcast_operands(operands)?;
        self.graph.push(name, Op::MapColumns { f, operands, space, maximum })
    }

    /// Appends a dense layer.
    fn dense(&mut self, input: NodeId, place: &str, bias: bool, ntk: bool) -> Result<NodeId> {
        let name = format!("z{place}");
        let weight = self.param(place)?;
        let product = self.graph.push(&name, Op::MatmulNt { a: input, b: weight })?;
        let bias = if bias { Some(self.param(place)?) } else { None };
        // A plain bias is a node of its own, so that the plan can fuse it with the matmul.
        match (ntk, bias) {
            (false, None) => Ok(product),
            (false, Some(bias)) => self.graph.add_bias(&name, product, bias),
            (true, _) => {
                let f = x(0) * (1.0 / (self.columns(input) as f64).sqrt())
                    + bias.map_or(0.0.into(), |_| x(1));
                let operands: Vec<_> = [product].into_iter().chain(bias).collect();
                self.map(&name, f, &operands)
            }
        }
    }

    /// Appends dropout, which does nothing outside of training.
    fn dropout(&mut self, input: NodeId, place: &str, rate: f64) -> Result<NodeId> {
        if self.mode == Mode::Eval || rate == 0.0 {
            return Ok(input);
        }
        // Each layer has a stream of its own, so that masks of different layers are independent.
        let stream = self.dropouts;
        self.dropouts += 1;
        let rate = Number(rate);
        self.graph.push(format!("h{place}"), Op::Dropout { x: input, stream, rate })
    }

    /// Appends a matrix normalised by these statistics, times weight plus bias if there are any. `over` is the axis of the
    /// statistics if they are the matrix's own, so that its gradient goes through them.
    fn normalised(
        &mut self,
        place: &str,
        [input, mean, var]: [NodeId; 3],
        (eps, over): (f64, Option<Axis>),
        affine: Option<(NodeId, NodeId)>,
    ) -> Result<NodeId> {
        let name = format!("h{place}");
        let f = normalised(x(0), x(1), x(2), eps);
        let eps = Number(eps);
        // Given statistics are constants, so the norm is one elementwise expression; own ones need their gradient rule.
        match (over, affine) {
            (None, None) => self.map(&name, f, &[input, mean, var]),
            (None, Some((weight, bias))) => {
                self.map(&name, f * x(3) + x(4), &[input, mean, var, weight, bias])
            }
            (Some(over), None) => {
                self.graph.push(name, Op::Normalise { x: input, mean, var, eps, over })
            }
            (Some(over), Some((weight, bias))) => {
                let op = Op::Normalise { x: input, mean, var, eps, over };
                let normal = self.graph.push(format!("n{place}"), op)?;
                self.map(&name, x(0) * x(1) + x(2), &[normal, weight, bias])
            }
        }
    }

    /// Returns weight and bias of a norm, if it has them.
    fn affine(&mut self, place: &str, affine: bool) -> Result<Option<(NodeId, NodeId)>> {
        if affine { Ok(Some((self.param(place)?, self.param(place)?))) } else { Ok(None) }
    }

    /// Appends a batch norm, with its own statistics in training and the running ones otherwise.
    fn batch_norm(
        &mut self,
        input: NodeId,
        place: &str,
        (eps, momentum): (f64, f64),
        affine: bool,
    ) -> Result<NodeId> {
        let affine = self.affine(place, affine)?;
        // Indices of the running statistics among the views, for their update.
        let first = self.params.1;
        let kept = (self.param(place)?, self.param(place)?);
        if self.mode == Mode::Eval {
            return self.normalised(place, [input, kept.0, kept.1], (eps, None), affine);
        }
        // Masked rows are left out of the statistics by this factor.
        let share = Axis::Rows.share(self.columns(input));
        let mean = self.over_rows(&format!("mean{place}"), x(0) * &share, &[input])?;
        // The variance by the distances from the mean: the difference of two large sums would lose digits.
        let squares = (x(0) - x(1)).square() * share;
        let var = self.over_rows(&format!("var{place}"), squares, &[input, mean])?;
        // The running variance is the unbiased one, as in PyTorch.
        for (stat, view, unbiased) in [(mean, first, false), (var, first + 1, true)] {
            self.running.push(RunningStat { stat, view, momentum, unbiased });
        }
        self.normalised(place, [input, mean, var], (eps, Some(Axis::Rows)), affine)
    }

    /// Appends a layer norm, whose statistics are those of each row.
    fn layer_norm(&mut self, input: NodeId, place: &str, eps: f64, affine: bool) -> Result<NodeId> {
        let affine = self.affine(place, affine)?;
        let share = Axis::Columns.share(self.columns(input));
        let mean = self.over_columns(&format!("mean{place}"), x(0) * &share, &[input], false)?;
        let squares = (x(0) - x(1)).square() * share;
        let var = self.over_columns(&format!("var{place}"), squares, &[input, mean], false)?;
        // Without gradients, storing the normalised matrix gains nothing.
        let over = (self.mode == Mode::Train).then_some(Axis::Columns);
        self.normalised(place, [input, mean, var], (eps, over), affine)
    }

    /// Appends an RMS norm, which divides each row by the root of its mean square.
    fn rms_norm(&mut self, input: NodeId, place: &str, eps: f64, affine: bool) -> Result<NodeId> {
        let weight = if affine { Some(self.param(place)?) } else { None };
        let share = 1.0 / self.columns(input) as f64;
        let mean =
            self.over_columns(&format!("mean{place}"), x(0).square() * share, &[input], false)?;
        let f = x(0) / (x(1) + eps).sqrt() * weight.map_or(1.0.into(), |_| x(2));
        let operands: Vec<_> = [input, mean].into_iter().chain(weight).collect();
        self.map(&format!("h{place}"), f, &operands)
    }

    /// Appends each row's largest number, and the sum of the exponentials of the differences from it.
    fn softmax_stats(&mut self, input: NodeId, place: &str) -> Result<(NodeId, NodeId)> {
        let largest = self.over_columns(&format!("largest{place}"), x(0), &[input], true)?;
        let f = (x(0) - x(1)).exp();
        let sum = self.over_columns(&format!("sum{place}"), f, &[input, largest], false)?;
        Ok((largest, sum))
    }

    /// Appends a gated unit: one half of the columns times a function of the other half.
    fn gated(&mut self, input: NodeId, place: &str, gate: Gate) -> Result<NodeId> {
        let all = self.columns(input);
        let half = i32::try_from(all / 2)
            .map_err(|_| Error::shape(format!("layer {place}"), "more than 2^32 columns"))?;
        let g = match gate {
            Gate::Glu => x(1).sigmoid(),
            Gate::Swiglu => x(1) * x(1).sigmoid(),
            Gate::Geglu => x(1) * x(1).normal_cdf(),
        };
        // The second half is the same matrix, shifted to the left by half its columns.
        let operand = |shift| (input, Operand { shift, ..Operand::new(Broadcast::Both, all) });
        let operands = vec![operand(0), operand(-half)];
        let space = IterationSpace::Batch(all / 2);
        self.graph.push(format!("h{place}"), Op::Map { f: x(0) * g, operands, space })
    }

    /// Appends Fourier features: cosines and sines of a product with fixed or learned frequencies.
    fn fourier(&mut self, input: NodeId, place: &str) -> Result<NodeId> {
        let weight = self.param(place)?;
        let z = self.graph.push(format!("z{place}"), Op::MatmulNt { a: input, b: weight })?;
        let angle = x(0) * std::f64::consts::TAU;
        let cosines = self.map(&format!("cos{place}"), angle.cos(), &[z])?;
        let sines = self.map(&format!("sin{place}"), angle.sin(), &[z])?;
        self.concat(&[cosines, sines], place)
    }

    /// Appends a layer whose expression the user gave.
    fn custom(&mut self, input: NodeId, place: &str, custom: &CustomLayer) -> Result<NodeId> {
        let mut operands = vec![input];
        for _ in custom.start() {
            operands.push(self.param(place)?);
        }
        self.map(&format!("h{place}"), custom.expr().clone(), &operands)
    }

    /// Appends the rows of the embedding tables, then the columns that have no table.
    fn embedding(
        &mut self,
        input: NodeId,
        place: &str,
        tables: &[EmbeddingTable],
    ) -> Result<NodeId> {
        let mut parts = Vec::new();
        for (index, it) in tables.iter().enumerate() {
            let (table, column) = (self.param(place)?, it.column);
            let name = format!("e{place}.{index}");
            parts.push(self.graph.push(name, Op::Lookup { table, x: input, column })?);
        }
        let has: HashSet<usize> = tables.iter().map(|table| table.column).collect();
        let rest: Vec<usize> =
            (0..self.columns(input)).filter(|column| !has.contains(column)).collect();
        parts.extend(self.picked(input, place, &rest)?);
        self.concat(&parts, place)
    }

    /// Returns some columns of a matrix, in their order, as parts to put side by side: one for each run of neighbours, since
    /// fewer parts make fewer nodes.
    fn picked(&mut self, input: NodeId, place: &str, columns: &[usize]) -> Result<Vec<NodeId>> {
        let all = self.columns(input);
        if columns.len() == all {
            return Ok(vec![input]);
        }
        let part = |run: Range<usize>| {
            // Shifted to the left, so that the run's first column becomes column 0.
            let shift = -i32::try_from(run.start)
                .map_err(|_| Error::shape(format!("layer {place}"), "too many columns"))?;
            let operand = Operand { shift, ..Operand::new(Broadcast::Both, all) };
            let (operands, space) = (vec![(input, operand)], IterationSpace::Batch(run.len()));
            let name = format!("x{place}.{}", run.start);
            self.graph.push(name, Op::Map { f: x(0), operands, space })
        };
        runs(columns).into_iter().map(part).collect()
    }

    /// Appends an embedding of numbers: products within blocks, of which each column is one.
    fn number_embedding(
        &mut self,
        input: NodeId,
        place: &str,
        it: &NumberEmbedding,
    ) -> Result<NodeId> {
        let all = self.columns(input);
        let columns = it.embedded(all);
        let blocks = columns.len();
        let parts = self.picked(input, place, &columns)?;
        let numbers = self.concat(&parts, place)?;
        if it.kind == NumberEmbeddingKind::Ple {
            let embedded = self.piecewise_linear(numbers, place, blocks)?;
            let mut parts = vec![embedded];
            parts.extend(self.picked(input, place, &it.passed(all))?);
            return self.concat(&parts, place);
        }
        let frequency = self.param(place)?;
        let z = Op::BlockNt { a: numbers, b: frequency, blocks };
        let z = self.graph.push(format!("z{place}"), z)?;
        let angle = x(0) * std::f64::consts::TAU;
        let linear = if it.kind == NumberEmbeddingKind::Pbld {
            let (phase, weight) = (self.param(place)?, self.param(place)?);
            let waves = self.map(&format!("cos{place}"), (angle + x(1)).cos(), &[z, phase])?;
            let product = Op::BlockNt { a: waves, b: weight, blocks };
            self.graph.push(format!("w{place}"), product)?
        } else {
            let (of_cosines, of_sines) = (self.param(place)?, self.param(place)?);
            let cosines = self.map(&format!("cos{place}"), angle.cos(), &[z])?;
            let sines = self.map(&format!("sin{place}"), angle.sin(), &[z])?;
            let cosines = Op::BlockNt { a: cosines, b: of_cosines, blocks };
            let cosines = self.graph.push(format!("wc{place}"), cosines)?;
            let sines = Op::BlockNt { a: sines, b: of_sines, blocks };
            let sines = self.graph.push(format!("ws{place}"), sines)?;
            self.graph.add(format!("w{place}"), cosines, sines)?
        };
        let shift = self.param(place)?;
        let mut embedded = self.graph.add_bias(format!("e{place}"), linear, shift)?;
        if it.kind == NumberEmbeddingKind::Plr {
            embedded = self.graph.activate(format!("r{place}"), Activation::Relu, embedded)?;
        }
        let passed = it.passed(all);
        let mut parts = vec![embedded];
        parts.extend(self.picked(input, place, &passed)?);
        self.concat(&parts, place)
    }

    /// Appends a piecewise-linear embedding of numbers, each of which is a block.
    fn piecewise_linear(&mut self, numbers: NodeId, place: &str, blocks: usize) -> Result<NodeId> {
        let slope = self.param(place)?;
        let z = Op::BlockNt { a: numbers, b: slope, blocks };
        let z = self.graph.push(format!("z{place}"), z)?;
        let (offset, low, high) = (self.param(place)?, self.param(place)?, self.param(place)?);
        let line = x(0) + x(1);
        let below_high = line.if_at_most(&x(3), &line, &x(3));
        let within = line.if_at_most(&x(2), &x(2), &below_high);
        let parts = self.map(&format!("p{place}"), within, &[z, offset, low, high])?;
        let weight = self.param(place)?;
        let bent = Op::BlockNt { a: parts, b: weight, blocks };
        let bent = self.graph.push(format!("w{place}"), bent)?;
        let linear = self.param(place)?;
        let straight = Op::BlockNt { a: numbers, b: linear, blocks };
        let straight = self.graph.push(format!("l{place}"), straight)?;
        let sum = self.graph.add(format!("w{place}"), bent, straight)?;
        let shift = self.param(place)?;
        self.graph.add_bias(format!("e{place}"), sum, shift)
    }

    /// Puts matrices of the batch's rows side by side: a sum of parts, each of which is 0 outside of its columns.
    fn concat(&mut self, parts: &[NodeId], place: &str) -> Result<NodeId> {
        let most = super::MOST_OPERANDS - 1;
        // A single part is the result already.
        if let [one] = parts {
            return Ok(*one);
        }
        let total: usize = parts.iter().map(|&part| self.columns(part)).sum();
        let space = IterationSpace::Batch(total);
        let (mut from, mut done): (usize, Option<NodeId>) = (0, None);
        // A kernel binds a few operands only, so many parts are summed in several nodes, each with the sum so far.
        for some in parts.chunks(most) {
            let mut operands: Vec<_> =
                done.iter().map(|&id| (id, Operand::new(Broadcast::Both, total))).collect();
            for &part in some {
                let shift = i32::try_from(from)
                    .map_err(|_| Error::shape(format!("layer {place}"), "too many columns"))?;
                let width = self.columns(part);
                operands.push((part, Operand { shift, ..Operand::new(Broadcast::Both, width) }));
                from += width;
            }
            let inputs = (0..).map(Expr::input).take(operands.len());
            let f = inputs.reduce(|sum, input| sum + input).unwrap_or_else(|| 0.0.into());
            done = Some(self.graph.push(format!("h{place}"), Op::Map { f, operands, space })?);
        }
        done.ok_or_else(|| Error::shape(format!("layer {place}"), "nothing stands side by side"))
    }
}
