//! Operations of a forward pass as ONNX nodes: layers are combinations of these, so there is nothing here for any layer.
//!
//! In: a graph, the parameters' values. Out: the name of the network's result.
//! Matrices stand as they are, and a value for each row of the batch as a matrix of one column, so that ONNX's own rule
//! repeats them as the graph does.

use std::collections::{HashMap, HashSet};

use super::builder::Builder;
use super::formula::evaluate;
use super::proto::{Attribute, Kind, size};
use crate::error::{Error, Result};
use crate::expr::{Instruction, Program};
use crate::graph::{Along, Graph, Inference, NodeId, Op, Operand, Space};
use crate::model::{Activation, ParamView, Params};

/// Appends the forward pass of a network whose scaled features have this name. Out: the name of the outputs.
///
/// # Errors
/// If an operation belongs to training alone; the message names it.
pub(super) fn forward(
    to: &mut Builder,
    network: &Inference,
    params: &Params,
    features: String,
) -> Result<String> {
    let values: Vec<_> = params.iter().collect();
    let mut lowering = Lowering {
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
    let Lowering { done, .. } = lowering;
    done.get(&network.prediction)
        .cloned()
        .ok_or_else(|| missing(&network.graph, network.prediction))
}

/// Products that go into a bias and nowhere else: one node does both.
fn biased(graph: &Graph) -> HashSet<NodeId> {
    let mut uses: HashMap<NodeId, usize> = HashMap::new();
    for (_, node) in graph.nodes() {
        for input in node.op.inputs() {
            *uses.entry(input).or_default() += 1;
        }
    }
    let products = graph.nodes().filter_map(|(_, node)| match node.op {
        Op::AddBias { x, .. } if matches!(graph.node(x).op, Op::MatmulNt { .. }) => Some(x),
        _ => None,
    });
    products.filter(|x| uses.get(x) == Some(&1)).collect()
}

fn missing(graph: &Graph, id: NodeId) -> Error {
    Error::shape(&graph.node(id).name, "it is used before it is computed")
}

struct Lowering<'a> {
    to: &'a mut Builder,
    graph: &'a Graph,
    params: &'a [(&'a ParamView, &'a [f32])],
    features: String,
    biased: HashSet<NodeId>,
    /// Names of the results so far.
    done: HashMap<NodeId, String>,
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId, op: &Op) -> Result<()> {
        let name = match op {
            Op::Features { .. } => self.features.clone(),
            Op::Param { view, .. } => {
                let place = || Error::shape("onnx", format!("there is no parameter {view}"));
                let (view, values) = self.params.get(*view).ok_or_else(place)?;
                self.to.floats(&view.name, &view.shape, values)
            }
            // Left to the bias that comes next.
            Op::MatmulNt { .. } if self.biased.contains(&id) => return Ok(()),
            Op::MatmulNt { a, b } => self.gemm([*a, *b], [0, 1], None)?,
            Op::MatmulNn { a, b } => self.gemm([*a, *b], [0, 0], None)?,
            Op::MatmulTn { a, b } => self.gemm([*a, *b], [1, 0], None)?,
            Op::AddBias { x, bias } => match self.graph.node(*x).op {
                Op::MatmulNt { a, b } if self.biased.contains(x) => {
                    self.gemm([a, b], [0, 1], Some(*bias))?
                }
                _ => self.plain("Add", &[*x, *bias])?,
            },
            Op::Add { a, b } => self.plain("Add", &[*a, *b])?,
            Op::Activate { act: Activation::Relu, x } => self.plain("Relu", &[*x])?,
            Op::Activate { act, x } => {
                let x = self.value(*x)?;
                evaluate(self.to, act.value_program(), &[x])?
            }
            Op::Map { f, operands, space } => self.map(&f.program(), operands, *space)?,
            Op::MapColumns { f, operands, space, maximum } => {
                let all = self.map(&f.program(), operands, *space)?;
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
                let column = self.to.integer(size(*column));
                let column =
                    self.to.node("Gather", &[&x, &column], vec![Attribute::int("axis", 1)]);
                let kind = Attribute::int("to", Kind::Int64.number().into());
                let rows = self.to.node("Cast", &[&column], vec![kind]);
                self.to.node("Gather", &[&table, &rows], vec![Attribute::int("axis", 0)])
            }
            Op::Targets { .. }
            | Op::ActivateGrad { .. }
            | Op::MapRows { .. }
            | Op::Dropout { .. }
            | Op::LookupGrad { .. }
            | Op::SumRows { .. }
            | Op::Loss { .. }
            | Op::LossGrad { .. } => {
                let problem = format!("{} belongs to training, and cannot be exported", op.name());
                return Err(Error::shape(&self.graph.node(id).name, problem));
            }
        };
        self.done.insert(id, name);
        Ok(())
    }

    fn value(&self, id: NodeId) -> Result<String> {
        self.done.get(&id).cloned().ok_or_else(|| missing(self.graph, id))
    }

    fn plain(&mut self, op: &str, inputs: &[NodeId]) -> Result<String> {
        let inputs = inputs.iter().map(|&id| self.value(id)).collect::<Result<Vec<_>>>()?;
        let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
        Ok(self.to.node(op, &inputs, vec![]))
    }

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

    /// An expression over all elements of a space.
    fn map(
        &mut self,
        program: &Program,
        operands: &[(NodeId, Operand)],
        space: Space,
    ) -> Result<String> {
        let columns = space.columns();
        let (mut has_rows, mut has_columns) = (matches!(space, Space::Vector(_)), columns == 1);
        let mut inputs = Vec::with_capacity(operands.len());
        for (index, &(id, operand)) in (0_u8..).zip(operands) {
            let x = self.value(id)?;
            let used = program.instructions().contains(&Instruction::Input(index));
            let along_columns = matches!(operand.along, Along::Both | Along::Columns);
            has_rows |= used && matches!(operand.along, Along::Both | Along::Rows);
            has_columns |= used && along_columns;
            inputs.push(if along_columns { self.moved(x, operand, columns) } else { x });
        }
        if !(has_rows && has_columns) {
            let problem = "no operand of it has a value for each element";
            return Err(Error::shape("onnx", problem));
        }
        evaluate(self.to, program, &inputs)
    }

    /// An operand's columns where they stand in the result, and 0 where it has none.
    fn moved(&mut self, x: String, operand: Operand, columns: usize) -> String {
        let (shift, width, columns) =
            (i64::from(operand.shift), size(operand.width), size(columns));
        let (from, to) = ((-shift).max(0).min(width), (columns - shift).clamp(0, width));
        if from >= to {
            return self.to.scalar(0.0);
        }
        let part = if (from, to) == (0, width) { x } else { self.slice(&x, from, to) };
        let (before, after) = (shift.max(0), columns - shift - to);
        if (before, after) == (0, 0) {
            return part;
        }
        let pads = match operand.along {
            Along::Both => self.to.integers(&[0, before, 0, after]),
            _ => self.to.integers(&[before, after]),
        };
        self.to.node("Pad", &[&part, &pads], vec![])
    }

    /// Columns from one to before another.
    fn slice(&mut self, x: &str, from: i64, to: i64) -> String {
        let bounds = [from, to, -1].map(|bound| self.to.integers(&[bound]));
        self.to.node("Slice", &[x, &bounds[0], &bounds[1], &bounds[2]], vec![])
    }
}
