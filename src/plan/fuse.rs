//! Lowers a graph's nodes to steps, and fuses what a device should do at once.
//!
//! Fused: matmul + bias + activation; an activation's gradient into the matmul that feeds it; a bias's
//! gradient with its weight's; a loss with its gradient. What does not fit these forms runs as a kernel
//! of its own, with the same result.

use std::collections::{HashMap, HashSet};

use super::build::PlanBuilder;
use super::{Dropout, Element, Formula, FormulaId, Kernel, Precision, Slot, Step};
use crate::error::{Error, Result};
use crate::expr::{Binary, Expr, ExprNode, Number, StepValue};
use crate::graph::{Graph, MOST_OPERANDS, Mapped, NodeId, Objective, Op, Operand, used};
use crate::model::Activation;
use crate::shape::{Dim, narrow};

/// Largest expression that several layers become together: what goes through one part by part must not run out of stack.
const MOST_SIZE: u32 = 2048;

/// Lowers every node that is not fixed. `slots` holds the slots of inputs, parameters and results that
/// have a place already; the others get temporaries. Losses go to `row_loss`.
pub(super) struct Lowering<'a> {
    pub(super) builder: &'a mut PlanBuilder,
    pub(super) graph: &'a Graph,
    pub(super) batch: usize,
    pub(super) precision: Precision,
    /// Where the loss scale lies, if there is one.
    pub(super) scaling: Option<Slot>,
    /// Where the loss's constants lie, and the weights of the batch's rows, if there are any.
    pub(super) constants: Option<Slot>,
    pub(super) weights: Option<Slot>,
    pub(super) slots: HashMap<NodeId, Slot>,
    /// Nodes whose value is wanted outside of the graph, so that it must exist.
    pub(super) wanted: HashSet<NodeId>,
    pub(super) steps: Vec<Step>,
    /// The losses of a batch's rows, once the loss is lowered.
    pub(super) row_loss: Option<Slot>,
    /// Nodes that are left out.
    pub(super) unused: HashSet<NodeId>,
    /// Gradients that are computed in their place in the arena, which no step may read and write at once.
    pub(super) in_arena: HashSet<NodeId>,
    /// Elementwise work that is done where its result is used.
    pub(super) inlined: HashMap<NodeId, Mapped>,
}

impl<'a> Lowering<'a> {
    /// Of a graph for so many rows in single precision, of which no value is wanted yet. Some slots are given, and the steps
    /// that write them.
    pub(super) fn new(
        builder: &'a mut PlanBuilder,
        graph: &'a Graph,
        batch: usize,
        slots: HashMap<NodeId, Slot>,
        steps: Vec<Step>,
    ) -> Self {
        Self {
            builder,
            graph,
            batch,
            precision: Precision::F32,
            scaling: None,
            constants: None,
            weights: None,
            slots,
            wanted: HashSet::new(),
            steps,
            row_loss: None,
            unused: HashSet::new(),
            in_arena: HashSet::new(),
            inlined: HashMap::new(),
        }
    }

    /// Lowers the whole graph.
    pub(super) fn run(&mut self) -> Result<()> {
        let graph = self.graph;
        self.unused = self.dead_nodes();
        let mut done = self.unused.clone();
        for (id, node) in graph.nodes() {
            if done.contains(&id) {
                continue;
            }
            let covered = self.lower(id, &node.op)?;
            done.extend(covered);
        }
        Ok(())
    }

    /// Elementwise work and its sums of which nothing comes that is wanted: a gradient may leave some behind.
    fn dead_nodes(&self) -> HashSet<NodeId> {
        let mut used = self.wanted.clone();
        let mut unused = HashSet::new();
        let all: Vec<_> = self.graph.nodes().collect();
        for (id, node) in all.into_iter().rev() {
            let mapped =
                matches!(node.op, Op::Map { .. } | Op::MapRows { .. } | Op::MapColumns { .. });
            if mapped && !used.contains(&id) {
                unused.insert(id);
            } else {
                used.extend(node.op.inputs());
            }
        }
        unused
    }

    /// Lowers one node; out: the later nodes that its step computes too.
    fn lower(&mut self, id: NodeId, op: &Op) -> Result<Vec<NodeId>> {
        match *op {
            Op::Features { .. } | Op::Targets { .. } | Op::Param { .. } | Op::Kept { .. } => {
                if self.slots.contains_key(&id) {
                    return Ok(vec![]);
                }
                Err(Error::shape(&self.graph.node(id).name, "no slot was given for this input"))
            }
            Op::MatmulNt { a, b } => self.matmul_nt(id, a, b),
            Op::MatmulNn { a, b } => self.matmul_nn(id, a, b),
            Op::MatmulTn { a, b } => self.matmul_tn(id, a, b),
            Op::AddBias { x, bias } => self.simple(
                Kernel::Activate { act: Activation::Identity, bias: true },
                &[x, bias],
                id,
            ),
            Op::Add { a, b } => self.simple(Kernel::Add, &[a, b], id),
            Op::Activate { act, x } => self.simple(Kernel::Activate { act, bias: false }, &[x], id),
            Op::ActivateGrad { act, saved, d_y } => {
                self.simple(Kernel::ActivateGrad { act }, &[saved, d_y], id)
            }
            Op::Map { .. } | Op::Normalise { .. } | Op::Dropout { .. } => {
                let mapped = op.elementwise(self.graph).ok_or_else(|| {
                    Error::shape(op.name(), "it is for matrices of the batch's rows")
                })?;
                let kernel = |formula, operands| Kernel::Map { formula, operands };
                self.map(id, mapped, kernel)
            }
            Op::MapRows { ref f, ref operands, space } => {
                let kernel = |formula, operands| Kernel::MapRows { formula, operands };
                self.map(id, (f.clone(), operands.clone(), space), kernel)
            }
            Op::MapColumns { ref f, ref operands, space, maximum } => {
                let kernel = |formula, operands| Kernel::MapColumns { formula, operands, maximum };
                self.map(id, (f.clone(), operands.clone(), space), kernel)
            }
            Op::Lookup { table, x, column } => {
                let column = narrow(column);
                self.simple(Kernel::Lookup { column }, &[table, x], id)
            }
            Op::LookupGrad { x, column, d_y, .. } => {
                let column = narrow(column);
                self.simple(Kernel::LookupGrad { column }, &[x, d_y], id)
            }
            // The product that it is fused with comes later.
            Op::SumRows { x } if self.fused_sum(x).is_some_and(|(_, sum)| sum == id) => Ok(vec![]),
            Op::SumRows { x } => self.simple(Kernel::SumRows, &[x], id),
            Op::Loss { loss, prediction, targets } => self.loss(loss, prediction, targets),
            Op::LossGrad { .. } => Err(Error::shape("loss_grad", "it stands without its loss")),
        }
    }

    /// act(a bᵀ + bias), with act's argument saved if the backward pass reads it.
    fn matmul_nt(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Vec<NodeId>> {
        let (mut last, mut covered) = (id, vec![]);
        let mut bias_node = None;
        if let Some((user, &Op::AddBias { x, bias })) = self.only_user(last)
            && x == last
            && self.slots.contains_key(&bias)
        {
            (last, bias_node) = (user, Some(bias));
            covered.push(user);
        }
        let (mut kept, mut act, mut save) = (last, Activation::Identity, false);
        if let Some((user, function, saved)) = self.activation_of(last) {
            (last, act, save) = (user, function, saved);
            covered.push(user);
        }
        let mut dropout = None;
        if let Some((user, stream, rate, saved)) = self.dropout_of(last) {
            dropout = Some(Dropout { stream, rate: rate.0 });
            if saved {
                (kept, save) = (last, true);
            }
            last = user;
            covered.push(user);
        }
        let mut reads = vec![self.slot(a)?, self.slot(b)?];
        if let Some(bias) = bias_node {
            reads.push(self.slot(bias)?);
        }
        let mut writes = vec![self.place(last)];
        if save {
            // One kernel writes both, in one precision.
            let element = element(self.graph, self.precision, last);
            writes.push(self.place_of(kept, element));
        }
        self.push(
            Kernel::MatmulNt { bias: bias_node.is_some(), act, save, dropout },
            reads,
            writes,
        )?;
        Ok(covered)
    }

    /// a b, times an activation's gradient if that is all that becomes of it.
    fn matmul_nn(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Vec<NodeId>> {
        let mut reads = vec![self.slot(a)?, self.slot(b)?];
        let (mut last, mut covered, mut dropout) = (id, vec![], None);
        if let Some((user, &Op::Dropout { stream, rate, .. })) = self.only_user(id) {
            dropout = Some(Dropout { stream, rate: rate.0 });
            last = user;
            covered.push(user);
        }
        if let Some((user, &Op::ActivateGrad { act, saved, d_y })) = self.only_user(last)
            && d_y == last
            && let Some(&saved) = self.slots.get(&saved)
        {
            // The identity's gradient is 1, and its kernel reads nothing more.
            if act != Activation::Identity {
                reads.push(saved);
            }
            let out = self.place(user);
            self.push(Kernel::MatmulNn { act_grad: act, dropout }, reads, vec![out])?;
            covered.push(user);
            return Ok(covered);
        }
        let out = self.place(last);
        let kernel = Kernel::MatmulNn { act_grad: Activation::Identity, dropout };
        self.push(kernel, reads, vec![out])?;
        Ok(covered)
    }

    /// aᵀ b, and the sums of a's columns if a bias needs them.
    fn matmul_tn(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Vec<NodeId>> {
        let sums = self.fused_sum(a).filter(|&(product, _)| product == id).map(|(_, sum)| sum);
        let reads = vec![self.slot(a)?, self.slot(b)?];
        let mut writes = vec![self.place(id)];
        if let Some(sums) = sums {
            writes.push(self.place(sums));
        }
        self.push(Kernel::MatmulTn { bias_grad: sums.is_some() }, reads, writes)?;
        Ok(sums.into_iter().collect())
    }

    /// The loss of each row together with the gradient.
    fn loss(
        &mut self,
        loss: Objective,
        prediction: NodeId,
        targets: NodeId,
    ) -> Result<Vec<NodeId>> {
        let wanted = Op::LossGrad { loss, prediction, targets };
        let mut users = self.graph.users(prediction).iter().copied();
        let grad = users.find(|&user| self.graph.node(user).op == wanted);
        let grad = grad.ok_or_else(|| Error::shape("loss", "its gradient is missing"))?;
        let row_loss = self.builder.temporary("row_loss", vec![self.batch], Element::F32);
        self.row_loss = Some(row_loss);
        let scaled = self.scaling.is_some();
        let kernel = Kernel::loss(&loss, scaled);
        let mut reads = vec![self.slot(prediction)?, self.slot(targets)?];
        reads.extend(self.constants);
        reads.extend(self.weights);
        reads.extend(self.scaling);
        let out = self.place(grad);
        self.push(kernel, reads, vec![row_loss, out])?;
        Ok(vec![grad])
    }

    /// Elementwise work. That whose result is used by other such work alone is done there.
    fn map(
        &mut self,
        id: NodeId,
        (f, operands, space): Mapped,
        kernel: impl Fn(FormulaId, u8) -> Kernel,
    ) -> Result<Vec<NodeId>> {
        let op = &self.graph.node(id).op;
        let whole = matches!(op, Op::Map { .. } | Op::Normalise { .. } | Op::Dropout { .. });
        let (f, operands) = self.with_inlined(f, operands)?;
        let mapped = (f, operands, space);
        if whole && self.can_inline(id, &mapped) {
            self.inlined.insert(id, mapped);
            return Ok(vec![]);
        }
        self.push_map(id, mapped, kernel)?;
        Ok(vec![])
    }

    fn push_map(
        &mut self,
        id: NodeId,
        (f, operands, space): Mapped,
        kernel: impl Fn(FormulaId, u8) -> Kernel,
    ) -> Result<()> {
        let reads = operands.iter().map(|&(id, _)| self.slot(id)).collect::<Result<_>>()?;
        let count = operand_count(&operands);
        let lie = operands.into_iter().map(|(_, operand)| operand).collect();
        let formula = self.builder.formula(Formula::new(&f, lie, space.columns()))?;
        let out = self.place(id);
        self.push(kernel(formula, count), reads, vec![out])
    }

    /// Returns whether a result is read, in its place, by other elementwise work of the same space and by nothing else; and only once,
    /// unless it is made anew as fast as it is read.
    fn can_inline(&self, id: NodeId, (f, operands, space): &Mapped) -> bool {
        let users = self.users(id);
        let full = operands.iter().filter(|&&(_, operand)| space.is_full(operand)).count();
        let again = users.len() == 1 || (full <= 1 && is_polynomial(f));
        let fits = |&(_, op): &(NodeId, &Op)| match op {
            Op::Map { operands, space: other, .. }
            | Op::MapRows { operands, space: other, .. }
            | Op::MapColumns { operands, space: other, .. } => {
                let its = operands.iter().filter(|(node, _)| *node == id);
                other == space && its.into_iter().all(|&(_, operand)| space.is_full(operand))
            }
            Op::Dropout { .. } => true,
            Op::Normalise { x, .. } => *x == id,
            _ => false,
        };
        let in_arena = |id: &NodeId| self.in_arena.contains(id);
        let from_arena = operands.iter().any(|(operand, _)| in_arena(operand));
        let both = from_arena && users.iter().any(|(user, _)| in_arena(user));
        again && !both && !users.is_empty() && !self.wanted.contains(&id) && users.iter().all(fits)
    }

    /// The same with what was left for it put in, as far as a kernel has room for the operands.
    fn with_inlined(
        &mut self,
        mut f: Expr,
        mut operands: Vec<(NodeId, Operand)>,
    ) -> Result<(Expr, Vec<(NodeId, Operand)>)> {
        let mut index = 0;
        while index < operands.len() {
            let (node, _) = operands[index];
            let Some((inner, theirs, _)) = self.inlined.get(&node).cloned() else {
                index += 1;
                continue;
            };
            let first = operand_count(&operands);
            let moved: Vec<_> = (first..).take(theirs.len()).map(Expr::input).collect();
            let inner = inner.with(&moved);
            let all: Vec<_> = operands.iter().copied().chain(theirs.iter().copied()).collect();
            let its: Vec<bool> = all.iter().map(|(other, _)| *other == node).collect();
            let put = f.replaced(&mut |it| match it {
                ExprNode::Input(at) if its[usize::from(*at)] => Some(inner.clone()),
                _ => None,
            });
            let (put, kept) = used(&put, &all);
            if kept.len() <= MOST_OPERANDS && put.size() <= MOST_SIZE {
                (f, operands) = (put, kept);
                index = 0;
            } else {
                let mapped = self.inlined.remove(&node).expect("it was found among them");
                let kernel = |formula, operands| Kernel::Map { formula, operands };
                self.push_map(node, mapped, kernel)?;
            }
        }
        Ok((f, operands))
    }

    fn simple(&mut self, kernel: Kernel, inputs: &[NodeId], id: NodeId) -> Result<Vec<NodeId>> {
        let reads = inputs.iter().map(|&input| self.slot(input)).collect::<Result<_>>()?;
        let out = self.place(id);
        self.push(kernel, reads, vec![out])?;
        Ok(vec![])
    }

    fn push(&mut self, kernel: Kernel, reads: Vec<Slot>, writes: Vec<Slot>) -> Result<()> {
        self.steps.push(self.builder.step(kernel, reads, writes)?);
        Ok(())
    }

    /// The slot of a node that an earlier step, or the caller, has given.
    fn slot(&self, id: NodeId) -> Result<Slot> {
        self.slots.get(&id).copied().ok_or_else(|| {
            Error::shape(&self.graph.node(id).name, "it is used before it is computed")
        })
    }

    /// The slot a node's value goes to.
    fn place(&mut self, id: NodeId) -> Slot {
        self.place_of(id, element(self.graph, self.precision, id))
    }

    fn place_of(&mut self, id: NodeId, element: Element) -> Slot {
        let node = self.graph.node(id);
        *self.slots.entry(id).or_insert_with(|| {
            self.builder.temporary(&node.name, node.shape.sizes(self.batch), element)
        })
    }

    /// The nodes that use a value, without those that are left out.
    fn users(&self, id: NodeId) -> Vec<(NodeId, &'a Op)> {
        let graph = self.graph;
        let users = graph.users(id).iter().filter(|user| !self.unused.contains(user));
        users.map(|&user| (user, &graph.node(user).op)).collect()
    }

    /// The one node that uses this value, if nobody else wants it.
    fn only_user(&self, id: NodeId) -> Option<(NodeId, &'a Op)> {
        let mut users = self.users(id);
        if users.len() == 1 && !self.wanted.contains(&id) { users.pop() } else { None }
    }

    /// The activation that is applied to a value, and whether the value itself is needed later.
    fn activation_of(&self, id: NodeId) -> Option<(NodeId, Activation, bool)> {
        if self.wanted.contains(&id) {
            return None;
        }
        let (mut found, mut save) = (None, false);
        for (user, op) in self.users(id) {
            match *op {
                Op::Activate { act, .. } if found.is_none() => found = Some((user, act)),
                Op::ActivateGrad { saved, d_y, .. } if saved == id && d_y != id => save = true,
                _ => return None,
            }
        }
        found.map(|(user, act)| (user, act, save))
    }

    /// The dropout of an activation's or a product's result, and whether that result itself is needed later, by the
    /// activation's gradient.
    fn dropout_of(&self, id: NodeId) -> Option<(NodeId, u32, Number, bool)> {
        if self.wanted.contains(&id) {
            return None;
        }
        let (mut found, mut save) = (None, false);
        for (user, op) in self.users(id) {
            match *op {
                Op::Dropout { stream, rate, .. } if found.is_none() => {
                    found = Some((user, stream, rate));
                }
                Op::ActivateGrad { act, saved, d_y } if saved == id && d_y != id => {
                    // Of a product by itself two things would have to be kept.
                    let its = matches!(self.graph.node(id).op, Op::Activate { act: its, .. } if its == act);
                    save = its && act.gradient_from_output();
                    if !save {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        found.map(|(user, stream, rate)| (user, stream, rate, save))
    }

    /// The product aᵀ b that computes the sums of a's columns too, and the node of these sums.
    fn fused_sum(&self, a: NodeId) -> Option<(NodeId, NodeId)> {
        let find = |fits: &dyn Fn(&Op) -> bool| {
            let mut users = self.graph.users(a).iter().copied();
            users.find(|&user| fits(&self.graph.node(user).op))
        };
        let product = find(&|op| matches!(*op, Op::MatmulTn { a: left, .. } if left == a))?;
        let sum = find(&|op| *op == Op::SumRows { x: a })?;
        // Whoever uses the sums must come after the product.
        self.users(sum).iter().all(|&(user, _)| user > product).then_some((product, sum))
    }
}

/// Number of operands, of which a kernel has a few.
fn operand_count<T>(operands: &[T]) -> u8 {
    u8::try_from(operands.len()).expect("a kernel has a few operands")
}

/// Returns whether an expression adds and multiplies only, and nothing random.
fn is_polynomial(f: &Expr) -> bool {
    match f.node() {
        ExprNode::Quantity(it) => !matches!(it, StepValue::Keep(..)),
        ExprNode::Const(_) | ExprNode::Input(_) => true,
        ExprNode::Binary(Binary::Add | Binary::Sub | Binary::Mul, a, b) => {
            is_polynomial(a) && is_polynomial(b)
        }
        ExprNode::Unary(..) | ExprNode::Binary(..) | ExprNode::Select(..) => false,
    }
}

/// Returns the storage type of a node's value: half precision for values of the batch's rows if the plan says so, but for the
/// prediction, of whose digits the loss needs all.
pub(super) fn element(graph: &Graph, precision: Precision, id: NodeId) -> Element {
    let rows = graph.shape(id).dims().first() == Some(&Dim::Batch);
    let is_it = |op: &Op| matches!(*op, Op::Loss { prediction, .. } if prediction == id);
    let predicted = graph.users(id).iter().any(|&user| is_it(&graph.node(user).op));
    if precision == Precision::F16 && rows && !predicted { Element::F16 } else { Element::F32 }
}
