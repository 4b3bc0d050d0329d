//! Operations of a forward pass as ONNX nodes: layers are combinations of these, so no layer needs code here.
//!
//! In: a graph, the parameters' values. Out: the name of the network's result. Matrices keep their shape, and a value for
//! each row of the batch becomes a matrix of one column, so that ONNX's own rule broadcasts both as the graph does.

use std::collections::{HashMap, HashSet};

use super::builder::NodeBuilder;
use super::formula::evaluate;
use super::proto::{Attribute, Kind, size};
use crate::error::{Error, Result};
use crate::expr::{Instruction, Program};
use crate::graph::{
    Biased, Broadcast, Graph, Inference, IterationSpace, MemberOutputs, NodeId, Op, Operand,
};
use crate::model::{Activation, ParamView, Params};

/// Appends the forward pass of a network whose scaled features have this name. Returns the name of the outputs.
///
/// # Errors
/// If an operation belongs to training alone; the message names it.
pub(super) fn forward(
    to: &mut NodeBuilder,
    network: &Inference,
    params: &Params,
    features: String,
) -> Result<String> {
    let values: Vec<_> = params.iter().collect();
    let mut lowering = OnnxLowering {
        to,
        graph: &network.graph,
        params: &values,
        features,
        biased: biased(&network.graph),
        done: HashMap::new(),
    };
    for (id, node) in network.graph.nodes() {
        lowering.to.at(&node.name);
        lowering.node(id, &node.op)?;
    }
    let OnnxLowering { done, .. } = lowering;
    done.get(&network.prediction)
        .cloned()
        .ok_or_else(|| missing(&network.graph, network.prediction))
}

/// Returns the products that are read by a bias and nothing else: one node computes both.
fn biased(graph: &Graph) -> HashSet<NodeId> {
    let mut uses: HashMap<NodeId, usize> = HashMap::new();
    for (_, node) in graph.nodes() {
        for input in node.op.inputs() {
            *uses.entry(input).or_default() += 1;
        }
    }
    let products = graph.nodes().filter_map(|(_, node)| match node.op.as_bias().map(|it| it.x) {
        Some(x) if matches!(graph.node(x).op, Op::MatmulNt { .. }) => Some(x),
        _ => None,
    });
    products.filter(|x| uses.get(x) == Some(&1)).collect()
}

fn missing(graph: &Graph, id: NodeId) -> Error {
    Error::shape(&graph.node(id).name, "it is used before it is computed")
}

struct OnnxLowering<'a> {
    to: &'a mut NodeBuilder,
    graph: &'a Graph,
    params: &'a [(&'a ParamView, &'a [f32])],
    features: String,
    biased: HashSet<NodeId>,
    /// Names of the results so far.
    done: HashMap<NodeId, String>,
}

impl OnnxLowering<'_> {
    fn node(&mut self, id: NodeId, op: &Op) -> Result<()> {
        let name = match op {
            Op::Features { .. } => self.features.clone(),
            Op::Param { view, .. } | Op::Kept { view, .. } => {
                let place = || Error::shape("onnx", format!("there is no parameter {view}"));
                let (view, values) = self.params.get(*view).ok_or_else(place)?;
                self.to.floats(&view.name, &view.shape, values)
            }
            // The node of the bias, which comes next, computes the product too.
            Op::MatmulNt { .. } if self.biased.contains(&id) => return Ok(()),
            Op::MatmulNt { a, b } => self.gemm([*a, *b], [0, 1], None)?,
            Op::MatmulNn { a, b } => self.gemm([*a, *b], [0, 0], None)?,
            Op::MatmulTn { a, b } => self.gemm([*a, *b], [1, 0], None)?,
            Op::BlockNt { a, b, blocks } => self.block_product(*a, *b, *blocks)?,
            Op::RepeatColumns { x, times } => {
                let (x, repeats) = (self.value(*x)?, self.to.integers(&[1, size(*times)]));
                self.to.node("Tile", &[&x, &repeats], vec![])
            }
            // The rows are the rest of the elements, whatever the batch.
            Op::SplitMembers { x, .. } | Op::JoinMembers { x, .. } => {
                let columns = self.graph.shape(id).dims().last().map_or(1, |dim| dim.size(1));
                let (x, sizes) = (self.value(*x)?, self.to.integers(&[-1, size(columns)]));
                self.to.node("Reshape", &[&x, &sizes], vec![])
            }
            Op::MemberMean { x, members, of } => self.member_mean(id, *x, *members, *of)?,
            Op::Map { f, operands, space } => match (op.as_bias(), op.as_activation()) {
                (Some(Biased { x, bias }), _) => match self.graph.node(x).op {
                    Op::MatmulNt { a, b } if self.biased.contains(&x) => {
                        self.gemm([a, b], [0, 1], Some(bias))?
                    }
                    _ => self.plain("Add", &[x, bias])?,
                },
                // A runtime has an operator for ReLU; other activations are written out, so that their values are the
                // crate's own.
                (_, Some((Activation::Relu, x))) => self.plain("Relu", &[x])?,
                _ => self.map(&f.program(), operands, *space)?,
            },
            Op::MapColumns { f, operands, space, maximum } => {
                let all = self.map(&f.program(), operands, *space)?;
                // In this version of ONNX, the axes of a maximum are an attribute, those of a sum an input.
                if *maximum {
                    let axes = vec![Attribute::ints("axes", &[-1])];
                    self.to.node("ReduceMax", &[&all], axes)
                } else {
                    let axes = self.to.integers(&[-1]);
                    self.to.node("ReduceSum", &[&all, &axes], vec![])
                }
            }
            Op::Lookup { table, x, column } => {
                let (table, x) = (self.value(*table)?, self.value(*x)?);
                // The column is a scalar index, so the result has one dimension less: an index for each row.
                let column = self.to.integer(size(*column));
                let column =
                    self.to.node("Gather", &[&x, &column], vec![Attribute::int("axis", 1)]);
                let kind = Attribute::int("to", Kind::Int64.number().into());
                let rows = self.to.node("Cast", &[&column], vec![kind]);
                self.to.node("Gather", &[&table, &rows], vec![Attribute::int("axis", 0)])
            }
            Op::Targets { .. }
            | Op::MapRows { .. }
            | Op::Normalise { .. }
            | Op::Dropout { .. }
            | Op::LookupGrad { .. }
            | Op::BlockNn { .. }
            | Op::BlockTn { .. }
            | Op::SumBlocks { .. }
            | Op::Loss { .. }
            | Op::LossGrad { .. } => {
                let problem = format!("{} belongs to training, and cannot be exported", op.name());
                return Err(Error::shape(&self.graph.node(id).name, problem));
            }
        };
        self.done.insert(id, name);
        Ok(())
    }

    /// Returns the name of a node's result.
    fn value(&self, id: NodeId) -> Result<String> {
        self.done.get(&id).cloned().ok_or_else(|| missing(self.graph, id))
    }

    /// Appends an operator on the results of nodes.
    fn plain(&mut self, op: &str, inputs: &[NodeId]) -> Result<String> {
        let inputs = inputs.iter().map(|&id| self.value(id)).collect::<Result<Vec<_>>>()?;
        let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
        Ok(self.to.node(op, &inputs, vec![]))
    }

    /// Appends a product, with a bias if there is one.
    fn gemm(
        &mut self,
        [a, b]: [NodeId; 2],
        [transpose_a, transpose_b]: [i64; 2],
        bias: Option<NodeId>,
    ) -> Result<String> {
        let (a, b) = (self.value(a)?, self.value(b)?);
        let bias = bias.map(|bias| self.value(bias)).transpose()?;
        let inputs: Vec<_> = [&a, &b].into_iter().chain(&bias).map(String::as_str).collect();
        let attributes =
            vec![Attribute::int("transA", transpose_a), Attribute::int("transB", transpose_b)];
        Ok(self.to.node("Gemm", &inputs, attributes))
    }

    /// Appends a product within blocks: one of each row and block, as a stack of matrices.
    fn block_product(&mut self, a: NodeId, b: NodeId, blocks: usize) -> Result<String> {
        let of = |id: NodeId| self.graph.shape(id).sizes(1);
        let &[all, k] = of(b).as_slice() else {
            return Err(Error::shape("onnx", "a product within blocks needs matrices"));
        };
        let (a, b, blocks, all, k) =
            (self.value(a)?, self.value(b)?, size(blocks), size(all), size(k));
        let stacked = self.to.integers(&[-1, blocks, 1, k]);
        let a = self.to.node("Reshape", &[&a, &stacked], vec![]);
        let stacked = self.to.integers(&[blocks, -1, k]);
        let b = self.to.node("Reshape", &[&b, &stacked], vec![]);
        let b = self.to.node("Transpose", &[&b], vec![Attribute::ints("perm", &[0, 2, 1])]);
        let product = self.to.node("MatMul", &[&a, &b], vec![]);
        let flat = self.to.integers(&[-1, all]);
        Ok(self.to.node("Reshape", &[&product, &flat], vec![]))
    }

    /// Appends the outputs of a network that would predict the mean of the members' predictions.
    fn member_mean(
        &mut self,
        id: NodeId,
        x: NodeId,
        members: usize,
        of: MemberOutputs,
    ) -> Result<String> {
        let columns = self.graph.shape(id).dims().last().map_or(1, |dim| dim.size(1));
        let sizes = self.to.integers(&[-1, size(members), size(columns)]);
        let x = self.value(x)?;
        let x = self.to.node("Reshape", &[&x, &sizes], vec![]);
        let flat = self.to.integers(&[-1, size(columns)]);
        // ln of the mean of exp over the members, which are the second axis.
        let log_mean = |lowering: &mut Self, x: &str| {
            let sum = lowering.log_sum_exp(x, 1);
            let count = lowering.to.scalar((members as f64).ln());
            lowering.to.node("Sub", &[&sum, &count], vec![])
        };
        let mean = match of {
            MemberOutputs::Values => {
                let (axes, share) = (self.to.integers(&[1]), self.to.scalar(1.0 / members as f64));
                let sum = self.to.node("ReduceSum", &[&x, &axes], vec![]);
                self.to.node("Mul", &[&sum, &share], vec![])
            }
            MemberOutputs::Logarithms => log_mean(self, &x),
            MemberOutputs::Classes => {
                let sum = self.log_sum_exp(&x, 2);
                let logs = self.to.node("Sub", &[&x, &sum], vec![]);
                log_mean(self, &logs)
            }
            MemberOutputs::Labels => {
                let negative = self.to.node("Neg", &[&x], vec![]);
                let [yes, no] = [&x, &negative].map(|it| {
                    let log = self.log_sigmoid(it);
                    log_mean(self, &log)
                });
                self.to.node("Sub", &[&yes, &no], vec![])
            }
        };
        Ok(self.to.node("Reshape", &[&mean, &flat], vec![]))
    }

    /// Appends ln Σ exp x over an axis, which stays as one of size 1.
    fn log_sum_exp(&mut self, x: &str, axis: i64) -> String {
        let top = self.to.node("ReduceMax", &[x], vec![Attribute::ints("axes", &[axis])]);
        let below = self.to.node("Sub", &[x, &top], vec![]);
        let exp = self.to.node("Exp", &[&below], vec![]);
        let axes = self.to.integers(&[axis]);
        let sum = self.to.node("ReduceSum", &[&exp, &axes], vec![]);
        let log = self.to.node("Log", &[&sum], vec![]);
        self.to.node("Add", &[&log, &top], vec![])
    }

    /// Appends ln σ(x) = min(x, 0) − ln(1 + exp(−|x|)).
    fn log_sigmoid(&mut self, x: &str) -> String {
        let (zero, one) = (self.to.scalar(0.0), self.to.scalar(1.0));
        let low = self.to.node("Min", &[x, &zero], vec![]);
        let size = self.to.node("Abs", &[x], vec![]);
        let size = self.to.node("Neg", &[&size], vec![]);
        let exp = self.to.node("Exp", &[&size], vec![]);
        let sum = self.to.node("Add", &[&exp, &one], vec![]);
        let log = self.to.node("Log", &[&sum], vec![]);
        self.to.node("Sub", &[&low, &log], vec![])
    }

    /// Appends an expression over all elements of a space.
    fn map(
        &mut self,
        program: &Program,
        operands: &[(NodeId, Operand)],
        space: IterationSpace,
    ) -> Result<String> {
        let columns = space.columns();
        // The result's shape comes from the operands, so one of them must have all rows, and one all columns.
        let (mut has_rows, mut has_columns) =
            (matches!(space, IterationSpace::Vector(_)), columns == 1);
        let mut inputs = Vec::with_capacity(operands.len());
        for (index, &(id, operand)) in (0_u8..).zip(operands) {
            let x = self.value(id)?;
            let used = program.instructions().contains(&Instruction::Input(index));
            let along_columns = matches!(operand.along, Broadcast::Both | Broadcast::Columns);
            has_rows |= used && matches!(operand.along, Broadcast::Both | Broadcast::Rows);
            has_columns |= used && along_columns;
            // A value for each row is broadcast over the columns by ONNX; others must have the result's columns.
            inputs.push(if along_columns { self.moved(x, operand, columns) } else { x });
        }
        if !(has_rows && has_columns) {
            let problem = "no operand of it has a value for each element";
            return Err(Error::shape("onnx", problem));
        }
        evaluate(self.to, program, &inputs)
    }

    /// Returns an operand's columns at their places in the result, with 0 where the operand has none.
    fn moved(&mut self, x: String, operand: Operand, columns: usize) -> String {
        let (shift, width, columns) =
            (i64::from(operand.shift), size(operand.width), size(columns));
        // The part of the operand that falls inside the result.
        let (from, to) = ((-shift).max(0).min(width), (columns - shift).clamp(0, width));
        if from >= to {
            return self.to.scalar(0.0);
        }
        let part = if (from, to) == (0, width) { x } else { self.slice(&x, from, to) };
        let (before, after) = (shift.max(0), columns - shift - to);
        if (before, after) == (0, 0) {
            return part;
        }
        // A matrix is padded on its second axis, a vector on its only one.
        let pads = match operand.along {
            Broadcast::Both => self.to.integers(&[0, before, 0, after]),
            _ => self.to.integers(&[before, after]),
        };
        self.to.node("Pad", &[&part, &pads], vec![])
    }

    /// Appends a slice of columns.
    fn slice(&mut self, x: &str, from: i64, to: i64) -> String {
        let bounds = [from, to, -1].map(|bound| self.to.integers(&[bound]));
        self.to.node("Slice", &[x, &bounds[0], &bounds[1], &bounds[2]], vec![])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::onnx::proto::OnnxNode;
    use crate::expr::Expr;
    use crate::model::Sequential;

    /// Returns the nodes for an operation over features of four columns, with the numbers of constants in them.
    fn nodes(op: impl FnOnce(NodeId) -> Op) -> Result<Vec<(OnnxNode, Vec<Vec<i64>>)>> {
        let layout = Sequential::new().dense(1).layout(4).unwrap();
        let mut graph = Graph::new();
        let features = graph.push("x", Op::Features { columns: 4 }).unwrap();
        let prediction = graph.push("y", op(features)).unwrap();
        let network = Inference { graph, features, prediction, layout: layout.clone() };
        let mut to = NodeBuilder::default();
        forward(&mut to, &network, &Params::zeros(layout), "x".into())?;
        let graph = to.graph("", vec![], vec![]);
        let constant = |name: &String| -> Vec<i64> {
            let tensor = graph.initializer.iter().find(|tensor| tensor.name == *name);
            let bytes = tensor.and_then(|tensor| tensor.raw_data.as_deref()).unwrap_or_default();
            bytes.chunks_exact(8).map(|it| i64::from_le_bytes(it.try_into().unwrap())).collect()
        };
        let with_numbers =
            |node: &OnnxNode| (node.clone(), node.input[1..].iter().map(constant).collect());
        Ok(graph.node.iter().map(with_numbers).collect())
    }

    fn moved(shift: i32, columns: usize) -> Vec<(String, Vec<Vec<i64>>)> {
        let operand = Operand { shift, ..Operand::new(Broadcast::Both, 4) };
        let map = |x| Op::Map {
            f: Expr::input(0),
            operands: vec![(x, operand)],
            space: IterationSpace::Batch(columns),
        };
        nodes(map).unwrap().into_iter().map(|(node, numbers)| (node.op_type, numbers)).collect()
    }

    #[test]
    fn operands_stand_where_they_are_moved_to() {
        let slice = |from, to| ("Slice".to_string(), vec![vec![from], vec![to], vec![-1]]);
        let pad = |before, after| ("Pad".to_string(), vec![vec![0, before, 0, after]]);
        assert_eq!(moved(0, 4), []);
        assert_eq!(moved(0, 2), [slice(0, 2)]);
        assert_eq!(moved(-2, 2), [slice(2, 4)]);
        assert_eq!(moved(-3, 3), [slice(3, 4), pad(0, 2)]);
        assert_eq!(moved(1, 7), [pad(1, 2)]);
        assert_eq!(moved(2, 4), [slice(0, 2), pad(2, 0)]);
    }

    #[test]
    fn what_belongs_to_training_is_refused() {
        let rate = crate::expr::Number(0.5);
        let said = nodes(|x| Op::Dropout { x, stream: 0, rate }).unwrap_err().to_string();
        assert_eq!(said, "y: dropout belongs to training, and cannot be exported");
        let counts = Expr::quantity(crate::expr::StepValue::Counts) * Expr::input(0);
        let operand = Operand::new(Broadcast::Both, 4);
        let map = |x| Op::Map {
            f: counts,
            operands: vec![(x, operand)],
            space: IterationSpace::Batch(4),
        };
        let said = nodes(map).unwrap_err().to_string();
        assert!(said.contains("Counts is known only while training"), "{said}");
    }
}
