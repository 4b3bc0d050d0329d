//! Lowers a graph's nodes to steps, and fuses nodes that a device should compute in one kernel.
//!
//! Fused: matmul + bias + activation; an activation's gradient into the matmul that feeds it; a bias's gradient with its
//! weight's; a loss with its gradient; formulas over one matrix (`chain.rs`). A node that fits none of these patterns becomes a
//! kernel of its own, with the same result.

use std::collections::{HashMap, HashSet};

use super::chain::chained;
use super::{Dropout, Element, Formula, FormulaId, Kernel, PlanBuilder, Precision, Slot, Step};
use crate::error::{Error, Result};
use crate::expr::{Binary, Expr, ExprNode, StepValue};
use crate::graph::{
    ActivationGradient, Biased, Graph, MOST_OPERANDS, Mapped, NodeId, Objective, Op, Operand, used,
};
use crate::model::Activation;
use crate::shape::narrow;

/// Largest size of an expression made from several layers: functions that walk an expression recursively must not exhaust
/// the stack.
const MOST_SIZE: u32 = 2048;

/// Lowers every node that has no slot yet. `slots` holds the slots of inputs, parameters and results that are placed
/// already; the others get temporaries. The rows' losses go to `row_loss`.
pub(super) struct Lowering<'a> {
    pub(super) builder: &'a mut PlanBuilder,
    pub(super) graph: &'a Graph,
    pub(super) batch: usize,
    pub(super) precision: Precision,
    /// Slot of the loss scale, if there is one.
    pub(super) scaling: Option<Slot>,
    /// Slots of the loss's constants and of the weights of the batch's rows, if there are any.
    pub(super) constants: Option<Slot>,
    pub(super) weights: Option<Slot>,
    pub(super) slots: HashMap<NodeId, Slot>,
    /// Nodes whose value is read outside of the graph, so that it must be stored.
    pub(super) wanted: HashSet<NodeId>,
    pub(super) steps: Vec<Step>,
    /// The losses of a batch's rows, once the loss is lowered.
    pub(super) row_loss: Option<Slot>,
    /// Nodes that are left out, since nothing reads their value.
    pub(super) unused: HashSet<NodeId>,
    /// Gradients that are computed in their place in the arena. No step may read and write the arena at once.
    pub(super) in_arena: HashSet<NodeId>,
    /// Elementwise nodes that are computed inside the kernel of their user.
    pub(super) inlined: HashMap<NodeId, Mapped>,
}

impl<'a> Lowering<'a> {
    /// Prepares the lowering of a graph for `batch` rows in single precision, of which no value is wanted yet. The slots
    /// that are placed already, and the steps that write them, are given.
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
        // A lowered node may cover later ones; these are skipped when the loop reaches them.
        let mut done = self.unused.clone();
        for (id, node) in graph.nodes() {
            if done.contains(&id) {
                continue;
            }
            let covered = self.lower(id, &node.op)?;
            done.extend(covered);
        }
        let wanted = self.wanted.iter().filter_map(|id| self.slots.get(id).copied()).collect();
        self.steps = chained(self.builder, &self.steps, &wanted);
        Ok(())
    }

    /// Returns the elementwise nodes and reductions on which no wanted value depends: building gradients may leave some behind.
    fn dead_nodes(&self) -> HashSet<NodeId> {
        // A node's users come after it, so one pass from the last node to the first sees all users before the node itself.
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

    /// Lowers one node and returns the later nodes that its step computes too.
    fn lower(&mut self, id: NodeId, op: &Op) -> Result<Vec<NodeId>> {
        match *op {
            Op::Features { .. } | Op::Targets { .. } | Op::Param { .. } | Op::Kept { .. } => {
                // Whoever made the lowering placed inputs and parameters; none can be computed here.
                if self.slots.contains_key(&id) {
                    return Ok(vec![]);
                }
                Err(Error::shape(&self.graph.node(id).name, "no slot was given for this input"))
            }
            Op::MatmulNt { a, b } => self.matmul_nt(id, a, b),
            Op::MatmulNn { a, b } => self.matmul_nn(id, a, b),
            Op::MatmulTn { a, b } => self.matmul_tn(id, a, b),
            Op::BlockNt { a, b, blocks } => {
                self.simple(Kernel::BlockNt { blocks: narrow(blocks) }, &[a, b], id)
            }
            Op::BlockNn { a, b, blocks } => {
                self.simple(Kernel::BlockNn { blocks: narrow(blocks) }, &[a, b], id)
            }
            Op::BlockTn { a, b, blocks } => {
                self.simple(Kernel::BlockTn { blocks: narrow(blocks) }, &[a, b], id)
            }
            Op::RepeatColumns { x, times } => {
                self.simple(Kernel::RepeatColumns { times: narrow(times) }, &[x], id)
            }
            Op::SumBlocks { x, blocks } => {
                self.simple(Kernel::SumBlocks { blocks: narrow(blocks) }, &[x], id)
            }
            Op::MemberMean { x, members, of } => {
                self.simple(Kernel::MemberMean { members: narrow(members), of }, &[x], id)
            }
            // No step: the slot of the same elements in another shape.
            Op::SplitMembers { x, .. } | Op::JoinMembers { x, .. } => {
                let (slot, node) = (self.slot(x)?, self.graph.node(id));
                let sizes = node.shape.sizes(self.batch);
                let reshaped = self.builder.reshaped(&node.name, sizes, slot);
                self.slots.insert(id, reshaped);
                Ok(vec![])
            }
            // All three are elementwise expressions, so one kernel and one way of inlining serve them.
            Op::Map { .. } | Op::Normalise { .. } | Op::Dropout { .. } => {
                let mapped = op.elementwise(self.graph).ok_or_else(|| {
                    Error::shape(op.name(), "it is for matrices of the batch's rows")
                })?;
                let kernel = |formula, operands| Kernel::Map { formula, operands };
                self.map(id, mapped, kernel)
            }
            // The product that it is fused with comes later.
            Op::MapRows { .. } if self.is_fused_sum(id, op) => Ok(vec![]),
            Op::MapRows { ref f, ref operands, space } => {
                // A reduction may take its operands inline, but is never inlined itself (`map`).
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
            Op::Loss { ref loss, prediction, targets } => self.loss(loss, prediction, targets),
            // `loss` covers the gradient's node, so this one is reached only without its loss.
            Op::LossGrad { .. } => Err(Error::shape("loss_grad", "it stands without its loss")),
        }
    }

    /// Lowers act(a bᵀ + bias), with act's argument saved if the backward pass reads it.
    fn matmul_nt(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Vec<NodeId>> {
        // Each fusion extends the chain by one node: `last` is the node whose value the kernel writes.
        let (mut last, mut covered) = (id, vec![]);
        let mut bias_node = None;
        // The bias must be placed already: a bias that a later step computes cannot be read here.
        if let Some((user, op)) = self.only_user(last)
            && let Some(Biased { x, bias }) = op.as_bias()
            && x == last
            && self.slots.contains_key(&bias)
        {
            (last, bias_node) = (user, Some(bias));
            covered.push(user);
        }
        // `kept` is the node that the backward pass reads beside the result.
        let (mut kept, mut act, mut save) = (last, Activation::Identity, false);
        if let Some(found) = self.activation_of(last) {
            (last, act, save) = (found.user, found.act, found.save);
            covered.push(found.user);
        }
        // Dropout is drawn in the kernel, so its mask needs no memory.
        let mut dropout = None;
        if let Some(found) = self.dropout_of(last) {
            dropout = Some(found.dropout);
            if found.save {
                (kept, save) = (last, true);
            }
            last = found.user;
            covered.push(found.user);
        }
        let mut reads = vec![self.slot(a)?, self.slot(b)?];
        if let Some(bias) = bias_node {
            reads.push(self.slot(bias)?);
        }
        let mut writes = vec![self.place(last)];
        if save {
            // One kernel writes both slots, so both have one precision.
            let element = self.precision.of_node(self.graph, last);
            writes.push(self.place_of(kept, element));
        }
        self.push(
            Kernel::MatmulNt { bias: bias_node.is_some(), act, save, dropout },
            reads,
            writes,
        )?;
        Ok(covered)
    }

    /// Lowers a b, multiplied by an activation's derivative if that product is the only user.
    fn matmul_nn(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Vec<NodeId>> {
        let mut reads = vec![self.slot(a)?, self.slot(b)?];
        let (mut last, mut covered, mut dropout) = (id, vec![], None);
        // The backward pass of dropout comes before the activation's derivative, as dropout came after the activation.
        if let Some((user, &Op::Dropout { stream, rate, .. })) = self.only_user(id) {
            dropout = Some(Dropout { stream, rate: rate.0 });
            last = user;
            covered.push(user);
        }
        // The saved value must be placed already; else the derivative stays a kernel of its own.
        if let Some((user, op)) = self.only_user(last)
            && let Some(ActivationGradient { act, saved, d_y }) = op.as_activation_gradient()
            && d_y == last
            && let Some(&saved) = self.slots.get(&saved)
        {
            reads.push(saved);
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

    /// Lowers aᵀ b, and the sums of a's columns if a bias's gradient needs them.
    fn matmul_tn(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<Vec<NodeId>> {
        // Only one of several products with this left factor may compute the sums.
        let sums = self.fused_sum(a).filter(|&(product, _)| product == id).map(|(_, sum)| sum);
        let reads = vec![self.slot(a)?, self.slot(b)?];
        let mut writes = vec![self.place(id)];
        if let Some(sums) = sums {
            writes.push(self.place(sums));
        }
        self.push(Kernel::MatmulTn { bias_grad: sums.is_some() }, reads, writes)?;
        Ok(sums.into_iter().collect())
    }

    /// Lowers the loss of each row together with the loss's gradient.
    fn loss(
        &mut self,
        loss: &Objective,
        prediction: NodeId,
        targets: NodeId,
    ) -> Result<Vec<NodeId>> {
        // Both nodes have the same operands, and the kernel computes both from one pass over the row.
        let wanted = Op::LossGrad { loss: loss.clone(), prediction, targets };
        let mut users = self.graph.users(prediction).iter().copied();
        let grad = users.find(|&user| self.graph.node(user).op == wanted);
        let grad = grad.ok_or_else(|| Error::shape("loss", "its gradient is missing"))?;
        let row_loss = self.builder.temporary("row_loss", vec![self.batch], Element::F32);
        self.row_loss = Some(row_loss);
        let scaled = self.scaling.is_some();
        let kernel = self.builder.loss(loss, scaled)?;
        let mut reads = vec![self.slot(prediction)?, self.slot(targets)?];
        // The order of the optional slots is the one that the kernel's declaration states.
        reads.extend(self.constants);
        reads.extend(self.weights);
        reads.extend(self.scaling);
        let out = self.place(grad);
        self.push(kernel, reads, vec![row_loss, out])?;
        Ok(vec![grad])
    }

    /// Lowers an elementwise node or a reduction. An elementwise node that only other such nodes read is inlined into them.
    fn map(
        &mut self,
        id: NodeId,
        (f, operands, space): Mapped,
        kernel: impl Fn(FormulaId, u8) -> Kernel,
    ) -> Result<Vec<NodeId>> {
        let op = &self.graph.node(id).op;
        let whole = matches!(op, Op::Map { .. } | Op::Normalise { .. } | Op::Dropout { .. });
        // Operands first: a node that is inlined itself then carries its inlined operands along.
        let (f, operands) = self.with_inlined(f, operands)?;
        let mapped = (f, operands, space);
        // No step yet: the node's users take the expression.
        if whole && !self.stands_alone(op) && self.can_inline(id, &mapped) {
            self.inlined.insert(id, mapped);
            return Ok(vec![]);
        }
        self.push_map(id, mapped, kernel)?;
        Ok(vec![])
    }

    /// Appends the step of an elementwise node or a reduction.
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

    /// Returns whether a node is an activation of a value that is kept, or an activation's gradient: a kernel of its own, since
    /// devices may have a loop for it that is faster than that of its expression.
    fn stands_alone(&self, op: &Op) -> bool {
        let kept = op.as_activation().is_some_and(|(_, x)| !self.graph.is_elementwise(x));
        kept || op.as_activation_gradient().is_some()
    }

    /// Returns whether a node's value is read, element by element, only by other elementwise nodes of the same space; and
    /// by one node only, unless computing the value again costs no more than reading it.
    fn can_inline(&self, id: NodeId, (f, operands, space): &Mapped) -> bool {
        let users = self.users(id);
        // Recomputing is cheap where at most one whole matrix is read and nothing but sums and products is computed.
        let full = operands.iter().filter(|&&(_, operand)| space.is_full(operand)).count();
        let again = users.len() == 1 || (full <= 1 && is_polynomial(f));
        let fits = |&(_, op): &(NodeId, &Op)| match op {
            _ if self.stands_alone(op) => false,
            Op::Map { operands, space: other, .. }
            // The user must read each element at its own place: neither repeated nor shifted.
            | Op::MapRows { operands, space: other, .. }
            | Op::MapColumns { operands, space: other, .. } => {
                let its = operands.iter().filter(|(node, _)| *node == id);
                other == space && its.into_iter().all(|&(_, operand)| space.is_full(operand))
            }
            Op::Dropout { .. } => true,
            Op::Normalise { x, .. } => *x == id,
            _ => false,
        };
        // A user that writes a gradient in the arena would then read the arena too, which WebGPU forbids.
        let in_arena = |id: &NodeId| self.in_arena.contains(id);
        let from_arena = operands.iter().any(|(operand, _)| in_arena(operand));
        let both = from_arena && users.iter().any(|(user, _)| in_arena(user));
        again && !both && !users.is_empty() && !self.wanted.contains(&id) && users.iter().all(fits)
    }

    /// Returns the expression with its inlined operands put in, as long as a kernel can bind the operands.
    fn with_inlined(
        &mut self,
        mut f: Expr,
        mut operands: Vec<(NodeId, Operand)>,
    ) -> Result<(Expr, Vec<(NodeId, Operand)>)> {
        let mut index = 0;
        // Loops until no operand is inlined any more: an expression that was put in may bring inlined operands of its own.
        while index < operands.len() {
            let (node, _) = operands[index];
            let Some((inner, theirs, _)) = self.inlined.get(&node).cloned() else {
                index += 1;
                continue;
            };
            // The inner expression's inputs are renumbered to follow those of the outer one.
            let first = operand_count(&operands);
            let moved: Vec<_> = (first..).take(theirs.len()).map(Expr::input).collect();
            let inner = inner.with(&moved);
            let all: Vec<_> = operands.iter().copied().chain(theirs.iter().copied()).collect();
            let its: Vec<bool> = all.iter().map(|(other, _)| *other == node).collect();
            // An operand may occur several times, each with its own index.
            let put = f.replaced(&mut |it| match it {
                ExprNode::Input(at) if its[usize::from(*at)] => Some(inner.clone()),
                _ => None,
            });
            // Equal operands become one, so a kernel's bindings are counted after that.
            let (put, kept) = used(&put, &all);
            if kept.len() <= MOST_OPERANDS && put.size() <= MOST_SIZE {
                // The new operands have other indices, so the search begins anew.
                (f, operands) = (put, kept);
                index = 0;
            } else {
                // Too large: the operand becomes a step of its own, before this one, and is then read as a slot.
                let mapped = self.inlined.remove(&node).expect("it was found among them");
                let kernel = |formula, operands| Kernel::Map { formula, operands };
                self.push_map(node, mapped, kernel)?;
            }
        }
        Ok((f, operands))
    }

    /// Appends a step that reads the slots of these nodes and writes the node's own.
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

    /// Returns the slot of a node that an earlier step, or the caller, has placed.
    fn slot(&self, id: NodeId) -> Result<Slot> {
        self.slots.get(&id).copied().ok_or_else(|| {
            Error::shape(&self.graph.node(id).name, "it is used before it is computed")
        })
    }

    /// Returns the slot that a node's value goes to.
    fn place(&mut self, id: NodeId) -> Slot {
        self.place_of(id, self.precision.of_node(self.graph, id))
    }

    /// Returns the slot of a node, or a new temporary of this element type.
    fn place_of(&mut self, id: NodeId, element: Element) -> Slot {
        let node = self.graph.node(id);
        *self.slots.entry(id).or_insert_with(|| {
            self.builder.temporary(&node.name, node.shape.sizes(self.batch), element)
        })
    }

    /// Returns the nodes that use a value, without those that are left out.
    fn users(&self, id: NodeId) -> Vec<(NodeId, &'a Op)> {
        let graph = self.graph;
        let users = graph.users(id).iter().filter(|user| !self.unused.contains(user));
        users.map(|&user| (user, &graph.node(user).op)).collect()
    }

    /// Returns the one node that uses this value, if the value is not read elsewhere.
    fn only_user(&self, id: NodeId) -> Option<(NodeId, &'a Op)> {
        let mut users = self.users(id);
        if users.len() == 1 && !self.wanted.contains(&id) { users.pop() } else { None }
    }

    /// Returns the activation that is applied to a value, and whether the value itself is read later.
    fn activation_of(&self, id: NodeId) -> Option<AppliedActivation> {
        if self.wanted.contains(&id) {
            return None;
        }
        let (mut found, mut save) = (None, false);
        for (user, op) in self.users(id) {
            // A second activation, or any other user, needs the value as it is, so nothing is fused.
            match (op.as_activation(), op.as_activation_gradient()) {
                (Some((act, _)), _) if found.is_none() => found = Some((user, act)),
                (_, Some(it)) if it.saved == id && it.d_y != id => save = true,
                _ => return None,
            }
        }
        found.map(|(user, act)| AppliedActivation { user, act, save })
    }

    /// Returns the dropout of an activation's or a product's result, and whether that result itself is read later by the
    /// activation's derivative.
    fn dropout_of(&self, id: NodeId) -> Option<AppliedDropout> {
        if self.wanted.contains(&id) {
            return None;
        }
        let (mut found, mut save) = (None, false);
        for (user, op) in self.users(id) {
            match (op, op.as_activation_gradient()) {
                (&Op::Dropout { stream, rate, .. }, _) if found.is_none() => {
                    found = Some((user, Dropout { stream, rate: rate.0 }));
                }
                (_, Some(ActivationGradient { act, saved, d_y })) if saved == id && d_y != id => {
                    // The kernel saves one value. If the derivative reads the activation's argument, argument and result
                    // would both have to be saved.
                    let its = self.graph.node(id).op.as_activation().is_some_and(|it| it.0 == act);
                    save = its && act.gradient_from_output();
                    if !save {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        found.map(|(user, dropout)| AppliedDropout { user, dropout, save })
    }

    /// Returns whether a product computes the sums of this node.
    fn is_fused_sum(&self, id: NodeId, op: &Op) -> bool {
        let fused = op.as_column_sums().and_then(|x| self.fused_sum(x));
        fused.is_some_and(|(_, sum)| sum == id)
    }

    /// Returns the product aᵀ b that computes the sums of a's columns too, and the node of these sums.
    fn fused_sum(&self, a: NodeId) -> Option<(NodeId, NodeId)> {
        let users = self.users(a);
        let find = |fits: &dyn Fn(&Op) -> bool| {
            users.iter().find(|(_, op)| fits(op)).map(|&(user, _)| user)
        };
        // Searched from `a`, so that the product and the sums find each other whichever is lowered first.
        let product = find(&|op| matches!(*op, Op::MatmulTn { a: left, .. } if left == a))?;
        let sum = find(&|op| op.as_column_sums() == Some(a))?;
        // Whoever uses the sums must come after the product.
        self.users(sum).iter().all(|&(user, _)| user > product).then_some((product, sum))
    }
}

/// An activation that is applied to a value.
struct AppliedActivation {
    /// The node of the result.
    user: NodeId,
    act: Activation,
    /// True if the value itself is read later.
    save: bool,
}

/// Dropout of a value.
struct AppliedDropout {
    /// The node of the result.
    user: NodeId,
    dropout: Dropout,
    /// True if the value itself is read later.
    save: bool,
}

/// Returns the number of operands as a kernel stores it.
fn operand_count<T>(operands: &[T]) -> u8 {
    u8::try_from(operands.len()).expect("a kernel has a few operands")
}

/// Returns whether an expression consists of additions, subtractions and multiplications only, and is not random.
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
