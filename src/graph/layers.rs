//! Layers as combinations of operations: one function for each, whose gradient follows from the operations'.
//!
//! In: a layer, the node that it gets. Out: the node that it gives.
//! Absent on purpose: gradients, and whatever the plan fuses.

use super::op::normalised;
use super::{Axis, Broadcast, Graph, IterationSpace, Mode, NodeId, Op, Operand};
use crate::error::{Error, Result};
use crate::expr::{Expr, Number};
use crate::model::{Activation, CustomLayer, EmbeddingTable, Gate, Layer, RMS_EPS, Sequential};
use crate::shape::Dim;

/// A running statistic and what each step of training moves it to:
/// kept ← (1 − momentum) kept + momentum · stat, times rows/(rows − 1) if it is unbiased.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunningStat {
    /// The batch's own.
    pub stat: NodeId,
    /// The parameter, as the layout counts.
    pub view: usize,
    /// Weight of the newest batch.
    pub momentum: f64,
    /// True if the statistic is divided by one row less.
    pub unbiased: bool,
}

/// Builds a forward pass, layer by layer.
pub(super) struct Forward {
    graph: Graph,
    mode: Mode,
    /// Parameters, in the layout's order, and how many of them the layers so far have.
    params: (Vec<NodeId>, usize),
    /// Dropout layers so far.
    dropouts: u32,
    running: Vec<RunningStat>,
}

/// An input of an expression.
fn x(index: u8) -> Expr {
    Expr::input(index)
}

impl Forward {
    /// From a graph with the features and all parameters.
    pub(super) fn new(graph: Graph, mode: Mode, params: Vec<NodeId>) -> Self {
        Self { graph, mode, params: (params, 0), dropouts: 0, running: vec![] }
    }

    /// The graph, and what moves running statistics.
    pub(super) fn done(self) -> (Graph, Vec<RunningStat>) {
        (self.graph, self.running)
    }

    /// All layers of a stack that stands at a place such as `2.`, or nowhere.
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

    fn layer(&mut self, layer: &Layer, input: NodeId, place: &str) -> Result<NodeId> {
        match layer {
            Layer::Dense { bias, ntk, .. } => self.dense(input, place, *bias, *ntk),
            // The identity adds nothing but its place in the numbering.
            Layer::Activation(Activation::Identity) => Ok(input),
            // After elementwise work it is more of that, which may be one kernel with what comes before or after.
            Layer::Activation(act)
                if matches!(self.graph.node(input).op, Op::Map { .. } | Op::Normalise { .. }) =>
            {
                self.map(&format!("h{place}"), act.expr(), &[input])
            }
            Layer::Activation(act) => {
                self.graph.push(format!("h{place}"), Op::Activate { act: *act, x: input })
            }
            Layer::Dropout { rate } => self.dropout(input, place, *rate),
            Layer::BatchNorm { eps, momentum, affine } => {
                self.batch_norm(input, place, (*eps, *momentum), *affine)
            }
            Layer::LayerNorm { eps, affine } => self.layer_norm(input, place, *eps, *affine),
            Layer::RmsNorm { eps, affine } => {
                self.rms_norm(input, place, eps.unwrap_or(RMS_EPS), *affine)
            }
            Layer::Residual(inner) => {
                let f = self.forward_layers(inner, input, &format!("{place}."))?;
                self.graph.push(format!("h{place}"), Op::Add { a: input, b: f })
            }
            Layer::Branches(branches) => {
                let mut parts = Vec::new();
                for (index, branch) in branches.iter().enumerate() {
                    parts.push(self.forward_layers(branch, input, &format!("{place}.{index}."))?);
                }
                self.concat(&parts, place)
            }
            Layer::Embedding(tables) => self.embedding(input, place, tables),
            Layer::Scale { bias } => {
                let weight = self.param(place)?;
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
                let (largest, sum) = self.softmax_stats(input, place)?;
                let f = (x(0) - x(1)).exp() / x(2);
                self.map(&format!("h{place}"), f, &[input, largest, sum])
            }
            Layer::LogSoftmax => {
                let (largest, sum) = self.softmax_stats(input, place)?;
                let f = x(0) - x(1) - x(2).ln();
                self.map(&format!("h{place}"), f, &[input, largest, sum])
            }
            Layer::Custom(custom) => self.custom(input, place, custom),
        }
    }

    /// The next parameter of the layer at a place.
    fn param(&mut self, place: &str) -> Result<NodeId> {
        let (params, used) = &mut self.params;
        let param = params.get(*used).copied();
        *used += 1;
        param.ok_or_else(|| {
            Error::shape(format!("layer {place}"), "its parameters are missing from the layout")
        })
    }

    fn columns(&self, id: NodeId) -> usize {
        self.graph.shape(id).dims().last().map_or(1, |dim| dim.size(1))
    }

    /// An expression of operands as they lie beside the first, a matrix of the batch's rows.
    fn broadcast_operands(
        &self,
        operands: &[NodeId],
    ) -> Result<(Vec<(NodeId, Operand)>, IterationSpace)> {
        let first = operands.first().map(|&id| self.graph.shape(id));
        let Some((Dim::Batch, Dim::Of(columns))) = first.and_then(|shape| shape.as_matrix()) else {
            return Err(Error::shape("layer", "what comes in is no matrix of the batch's rows"));
        };
        let space = IterationSpace::Batch(columns);
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

    fn map(&mut self, name: &str, f: Expr, operands: &[NodeId]) -> Result<NodeId> {
        let (operands, space) = self.broadcast_operands(operands)?;
        self.graph.push(name, Op::Map { f, operands, space })
    }

    /// Sums over the batch's rows.
    fn over_rows(&mut self, name: &str, f: Expr, operands: &[NodeId]) -> Result<NodeId> {
        let (operands, space) = self.broadcast_operands(operands)?;
        self.graph.push(name, Op::MapRows { f, operands, space })
    }

    /// Sums over the columns, or the largest.
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

    fn dense(&mut self, input: NodeId, place: &str, bias: bool, ntk: bool) -> Result<NodeId> {
        let name = format!("z{place}");
        let weight = self.param(place)?;
        let product = self.graph.push(&name, Op::MatmulNt { a: input, b: weight })?;
        let bias = if bias { Some(self.param(place)?) } else { None };
        match (ntk, bias) {
            (false, None) => Ok(product),
            (false, Some(bias)) => self.graph.push(&name, Op::AddBias { x: product, bias }),
            (true, _) => {
                let f = x(0) * (1.0 / (self.columns(input) as f64).sqrt())
                    + bias.map_or(0.0.into(), |_| x(1));
                let operands: Vec<_> = [product].into_iter().chain(bias).collect();
                self.map(&name, f, &operands)
            }
        }
    }

    fn dropout(&mut self, input: NodeId, place: &str, rate: f64) -> Result<NodeId> {
        if self.mode == Mode::Eval || rate == 0.0 {
            return Ok(input);
        }
        let stream = self.dropouts;
        self.dropouts += 1;
        let rate = Number(rate);
        self.graph.push(format!("h{place}"), Op::Dropout { x: input, stream, rate })
    }

    /// A matrix normalised by these statistics, times weight plus bias if there are any. `over` is what the statistics are of,
    /// if they are the matrix's own, so that its gradient goes through them.
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

    fn affine(&mut self, place: &str, affine: bool) -> Result<Option<(NodeId, NodeId)>> {
        if affine { Ok(Some((self.param(place)?, self.param(place)?))) } else { Ok(None) }
    }

    fn batch_norm(
        &mut self,
        input: NodeId,
        place: &str,
        (eps, momentum): (f64, f64),
        affine: bool,
    ) -> Result<NodeId> {
        let affine = self.affine(place, affine)?;
        // The views' numbers, for the update.
        let first = self.params.1;
        let kept = (self.param(place)?, self.param(place)?);
        if self.mode == Mode::Eval {
            return self.normalised(place, [input, kept.0, kept.1], (eps, None), affine);
        }
        let share = Axis::Rows.share(self.columns(input));
        let mean = self.over_rows(&format!("mean{place}"), x(0) * &share, &[input])?;
        let squares = (x(0) - x(1)).square() * share;
        let var = self.over_rows(&format!("var{place}"), squares, &[input, mean])?;
        for (stat, view, unbiased) in [(mean, first, false), (var, first + 1, true)] {
            self.running.push(RunningStat { stat, view, momentum, unbiased });
        }
        self.normalised(place, [input, mean, var], (eps, Some(Axis::Rows)), affine)
    }

    fn layer_norm(&mut self, input: NodeId, place: &str, eps: f64, affine: bool) -> Result<NodeId> {
        let affine = self.affine(place, affine)?;
        let share = Axis::Columns.share(self.columns(input));
        let mean = self.over_columns(&format!("mean{place}"), x(0) * &share, &[input], false)?;
        let squares = (x(0) - x(1)).square() * share;
        let var = self.over_columns(&format!("var{place}"), squares, &[input, mean], false)?;
        // Without gradients nothing is gained by keeping the normalised matrix.
        let over = (self.mode == Mode::Train).then_some(Axis::Columns);
        self.normalised(place, [input, mean, var], (eps, over), affine)
    }

    fn rms_norm(&mut self, input: NodeId, place: &str, eps: f64, affine: bool) -> Result<NodeId> {
        let weight = if affine { Some(self.param(place)?) } else { None };
        let share = 1.0 / self.columns(input) as f64;
        let mean =
            self.over_columns(&format!("mean{place}"), x(0).square() * share, &[input], false)?;
        let f = x(0) / (x(1) + eps).sqrt() * weight.map_or(1.0.into(), |_| x(2));
        let operands: Vec<_> = [input, mean].into_iter().chain(weight).collect();
        self.map(&format!("h{place}"), f, &operands)
    }

    /// Each row's largest number, and the sum of the exponentials of what the others are less.
    fn softmax_stats(&mut self, input: NodeId, place: &str) -> Result<(NodeId, NodeId)> {
        let largest = self.over_columns(&format!("largest{place}"), x(0), &[input], true)?;
        let f = (x(0) - x(1)).exp();
        let sum = self.over_columns(&format!("sum{place}"), f, &[input, largest], false)?;
        Ok((largest, sum))
    }

    fn gated(&mut self, input: NodeId, place: &str, gate: Gate) -> Result<NodeId> {
        let all = self.columns(input);
        let half = i32::try_from(all / 2)
            .map_err(|_| Error::shape(format!("layer {place}"), "more than 2^32 columns"))?;
        let g = match gate {
            Gate::Glu => x(1).sigmoid(),
            Gate::Swiglu => x(1) * x(1).sigmoid(),
            Gate::Geglu => x(1) * x(1).normal_cdf(),
        };
        let operand = |shift| (input, Operand { shift, ..Operand::new(Broadcast::Both, all) });
        let operands = vec![operand(0), operand(-half)];
        let space = IterationSpace::Batch(all / 2);
        self.graph.push(format!("h{place}"), Op::Map { f: x(0) * g, operands, space })
    }

    fn fourier(&mut self, input: NodeId, place: &str) -> Result<NodeId> {
        let weight = self.param(place)?;
        let z = self.graph.push(format!("z{place}"), Op::MatmulNt { a: input, b: weight })?;
        let angle = x(0) * std::f64::consts::TAU;
        let cosines = self.map(&format!("cos{place}"), angle.cos(), &[z])?;
        let sines = self.map(&format!("sin{place}"), angle.sin(), &[z])?;
        self.concat(&[cosines, sines], place)
    }

    fn custom(&mut self, input: NodeId, place: &str, custom: &CustomLayer) -> Result<NodeId> {
        let mut operands = vec![input];
        for _ in custom.start() {
            operands.push(self.param(place)?);
        }
        self.map(&format!("h{place}"), custom.expr().clone(), &operands)
    }

    /// The tables' rows, then the columns that have no table.
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
        let all = self.columns(input);
        let has = |column: usize| tables.iter().any(|table| table.column == column);
        let mut from = 0;
        while from < all {
            let run = (from..all).take_while(|&column| !has(column)).count();
            if run > 0 {
                let shift = -i32::try_from(from)
                    .map_err(|_| Error::shape(format!("layer {place}"), "too many columns"))?;
                let operand = Operand { shift, ..Operand::new(Broadcast::Both, all) };
                let (operands, space) = (vec![(input, operand)], IterationSpace::Batch(run));
                let name = format!("x{place}.{from}");
                parts.push(self.graph.push(name, Op::Map { f: x(0), operands, space })?);
            }
            from += run + 1;
        }
        self.concat(&parts, place)
    }

    /// Matrices of the batch's rows beside one another: a sum of parts that are nothing where others stand.
    fn concat(&mut self, parts: &[NodeId], place: &str) -> Result<NodeId> {
        let most = super::MOST_OPERANDS - 1;
        if let [one] = parts {
            return Ok(*one);
        }
        let total: usize = parts.iter().map(|&part| self.columns(part)).sum();
        let space = IterationSpace::Batch(total);
        let (mut from, mut done): (usize, Option<NodeId>) = (0, None);
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
