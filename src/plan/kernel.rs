//! The kernels that plans may name. Every device has each of them under the same name.

use std::fmt;

use super::declaration::{
    Argument, Declaration, Feature, factor, flag, operand_list, result, result_list, single, value,
    word,
};
use super::{Chain, ChainKind, FormulaId, LinkResult, LossScaler, Slot, Step};
use crate::graph::{ClassLoss, Loss, MemberOutputs, PassKind};
use crate::model::Activation;

/// Variant of a loss's kernel: its inputs besides predictions and targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossVariant {
    /// True if the loss is a mean over the columns of a row too.
    pub mean: bool,
    /// True if there are constants: one for each column, or each class, repeated.
    pub constants: bool,
    /// True if each row has a weight.
    pub weights: bool,
    /// True if the gradient is multiplied by the loss scale.
    pub scaled: bool,
    /// Number of members whose predictions stand side by side in a row, each with the row's targets: the row's loss is the
    /// mean of theirs.
    pub members: u32,
}

impl LossVariant {
    /// Returns true for the mean over rows of equal weight, without constants, of one network.
    pub fn is_plain(self) -> bool {
        self.mean && !self.constants && !self.weights && self.members == 1
    }
}

/// Dropout of a result: see `graph::Op::Dropout`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Number of the random stream that gives the masks.
    pub stream: u32,
    /// Fraction of elements that become 0.
    pub rate: f64,
}

/// A kernel and what is fused into it. Shapes come from the slots of its step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// out = the batch's rows of a table; rows beyond the count are zero.
    /// Reads x `[rows,columns]`, (order `[rows]`), (y); writes `x_out`, (`y_out`).
    Gather {
        /// True if rows are picked through an order; false if they lie in sequence.
        ordered: bool,
        /// True if targets are picked too.
        targets: bool,
    },
    /// out = dropout(act(a bᵀ + bias)). Reads a `[m,k]`, b `[n,k]`, (bias `[n]`); writes out `[m,n]`, (saved `[m,n]`).
    MatmulNt {
        /// True if a bias is added.
        bias: bool,
        /// Activation, applied before dropout.
        act: Activation,
        /// True if the value that act's derivative needs is saved for the backward pass: act's argument, or its result.
        save: bool,
        /// Applied after act.
        dropout: Option<Dropout>,
    },
    /// out = dropout(a b), times act'(saved). Reads a `[m,k]`, b `[k,n]`, (saved `[m,n]`); writes out `[m,n]`.
    MatmulNn {
        /// The activation whose derivative is applied last; identity for none.
        act_grad: Activation,
        /// Dropout of the forward pass.
        dropout: Option<Dropout>,
    },
    /// out = aᵀ b, and the sums of a's columns. Reads a `[k,m]`, b `[k,n]`; writes out `[m,n]`, (sums `[m]`).
    MatmulTn {
        /// True if a's columns are summed too: the bias's gradient.
        bias_grad: bool,
    },
    /// out = a bᵀ within each block of columns. Reads a `[m,g k]`, b `[g n,k]`; writes out `[m,g n]`.
    BlockNt {
        /// Number of blocks.
        blocks: u32,
    },
    /// out = a b within each block of columns. Reads a `[m,g n]`, b `[g n,k]`; writes out `[m,g k]`.
    BlockNn {
        /// Number of blocks.
        blocks: u32,
    },
    /// out = aᵀ b within each block of columns, summed from top to bottom. Reads a `[m,g n]`, b `[m,g k]`; writes out
    /// `[g n,k]`.
    BlockTn {
        /// Number of blocks.
        blocks: u32,
    },
    /// out = x's columns so many times side by side. Reads x `[m,n]`; writes out `[m,times n]`.
    RepeatColumns {
        /// Number of repetitions.
        times: u32,
    },
    /// out = the sum of x's blocks of columns, first to last. Reads x `[m,g n]`; writes out `[m,n]`.
    SumBlocks {
        /// Number of blocks.
        blocks: u32,
    },
    /// out = outputs of a network that would predict the mean of the members' predictions. Reads x `[m,g n]`; writes out
    /// `[m,n]`.
    MemberMean {
        /// Number of members.
        members: u32,
        /// Meaning of the outputs.
        of: MemberOutputs,
    },
    /// out = a formula of the operands, element by element. Reads up to six operands; writes out `[m,n]`, `[n]` or `[m]`.
    Map {
        /// Computation.
        formula: FormulaId,
        /// Number of operands.
        operands: u8,
    },
    /// out = sums of a formula over rows, top to bottom. Reads up to six operands; writes out `[n]`.
    MapRows {
        /// Terms of the sum.
        formula: FormulaId,
        /// Number of operands.
        operands: u8,
    },
    /// out = sum, or maximum, of a formula over columns. Reads up to six operands; writes out `[m]`.
    MapColumns {
        /// Terms of the sum.
        formula: FormulaId,
        /// Number of operands.
        operands: u8,
        /// True if the maximum is taken instead of the sum.
        maximum: bool,
    },
    /// Each result = a formula of the operands and of the results before it, or its sums, over one matrix. Reads up to six
    /// operands; writes up to five results.
    Chain(Chain),
    /// out row = the table's row whose number stands in x's column. Reads table `[v,d]`, x `[m,n]`; writes out `[m,d]`.
    Lookup {
        /// Column of the numbers.
        column: u32,
    },
    /// out row = sum of `d_y` over the valid rows that have its number, top to bottom. Reads x `[m,n]`, `d_y` `[m,d]`;
    /// writes out `[v,d]`.
    LookupGrad {
        /// Column of the numbers.
        column: u32,
    },
    /// Loss of each row by a formula for its elements, times weight · rows / divisor, and its gradient over the divisor.
    /// Reads prediction `[batch,n]`, target `[batch,t]`, (constants), (weights `[batch]`), (scaling);
    /// writes `row_loss` `[batch]`, `d_prediction`.
    LossMap {
        /// Value and derivatives for an element.
        formula: FormulaId,
        /// Number of predictions of an element.
        width: u8,
        /// Variant of the kernel.
        form: LossVariant,
    },
    /// Loss of each row over its classes, times weight · rows / divisor, and its gradient over the divisor.
    /// Reads logits
    /// `[batch,n]`, labels `[batch]` or fractions `[batch,n]`, (constants `[n]`), (weights `[batch]`), (scaling); writes
    /// `row_loss` `[batch]`, `d_logits`.
    LossClasses {
        /// The loss.
        loss: ClassLoss,
        /// Variant of the kernel.
        form: LossVariant,
    },
    /// log\[step\] = mean of the losses of the valid rows. Reads `row_loss`; writes log.
    LogLoss,
    /// The batch's rows of a table = x's valid rows. Reads x `[batch,n]`; writes out `[rows,n]`.
    PutRows,
    /// out ← (1 − momentum) out + momentum · stat, with stat times rows / (rows − 1) if it is unbiased; one row has no
    /// unbiased variance, so out stays. Reads stat `[n]`; changes out `[n]`.
    UpdateRunning {
        /// Weight of the newest batch; `None` for the one in the step parameters.
        momentum: Option<f64>,
        /// True if the statistic is divided by one row less.
        unbiased: bool,
        /// True if out stays unchanged in a step that is skipped, or where the statistic is not finite.
        guarded: bool,
    },
    /// Notes in scaling whether a gradient is NaN or infinite. Reads gradients, (log); changes scaling.
    CheckFinite {
        /// True if the step's loss is checked as well.
        loss: bool,
    },
    /// Ends an update: sets the loss scale for the next one, and marks the losses of steps that were skipped.
    /// Changes scaling, (log).
    Rescale {
        /// True if there is a loss scale.
        scaled: bool,
        /// True if steps whose loss is not finite are skipped.
        guarded: bool,
    },
    /// One pass over the arena by expressions. Reads gradients, (scaling), (factors); changes params, states, (accumulated
    /// gradients), (averaged params), (params in half precision).
    Update(Update),
    /// Sums of the squares of each block of an arena. Reads the arena, and for gradients also (accumulated ones),
    /// (scaling), factors; writes sums.
    SquareSums {
        /// True for gradients, of which those of parameters that do not train count as 0.
        gradient: bool,
        /// True if gradients were accumulated before, which are added.
        gathers: bool,
        /// True if gradients are multiplied by the loss scale.
        scaled: bool,
    },
    /// In front of the factors: min(1, max / (norm + 1e-6)). Reads sums of squares; changes factors.
    ClipNorm {
        /// The largest norm.
        max: f64,
    },
    /// In the factors of each parameter's blocks: its norm over that of its direction, 1 where one of the norms is 0. Reads
    /// the sums of both's squares, views (first block and number of blocks, for each parameter); changes factors.
    TrustRatios,
}

/// A pass of the kernel `update`, and the parts that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// Expressions of the pass.
    pub formula: FormulaId,
    /// Which of the optimizer's passes this is.
    pub pass: PassKind,
    /// Number of arenas of state.
    pub states: u8,
    /// True if gradients are accumulated over several steps.
    pub gathers: bool,
    /// True if averaged weights are kept.
    pub averages: bool,
    /// True if there is a table of factors.
    pub table: bool,
    /// True if gradients are multiplied by the loss scale.
    pub scaled: bool,
    /// True if nothing changes in a step that is skipped.
    pub guarded: bool,
    /// True if the copy of the weights in half precision is written.
    pub half: bool,
}

impl Update {
    /// Returns whether the slot of the loss scale is read.
    pub fn reads_scaling(&self) -> bool {
        self.scaled || self.guarded
    }

    /// Returns whether the pass changes the weights.
    pub fn writes_weight(&self) -> bool {
        matches!(self.pass, PassKind::Whole | PassKind::Second)
    }

    /// Returns whether the pass reads the gradients and changes the states.
    pub fn writes_states(&self) -> bool {
        matches!(self.pass, PassKind::Whole | PassKind::First)
    }

    /// Returns the number of states that the pass changes.
    pub fn changed_states(&self) -> u8 {
        if self.writes_states() { self.states } else { 0 }
    }
}

impl Kernel {
    /// Returns the same loss or update with a loss scale.
    pub fn with_loss_scale(mut self) -> Self {
        if let Self::LossMap { form: LossVariant { scaled, .. }, .. }
        | Self::LossClasses { form: LossVariant { scaled, .. }, .. }
        | Self::Update(Update { scaled, .. }) = &mut self
        {
            *scaled = true;
        }
        self
    }

    /// Returns the same kernel, so that a skipped step changes nothing.
    pub fn with_guard(mut self) -> Self {
        if let Self::UpdateRunning { guarded, .. } | Self::Update(Update { guarded, .. }) =
            &mut self
        {
            *guarded = true;
        }
        self
    }

    /// Returns whether the kernel does nothing in a step that is skipped; its second read says so.
    pub fn is_guarded(&self) -> bool {
        matches!(
            self,
            Self::UpdateRunning { guarded: true, .. } | Self::Update(Update { guarded: true, .. })
        )
    }

    /// Returns the name of the kernel's shader, reference, test and benchmark.
    pub fn name(&self) -> &'static str {
        self.declaration().name
    }

    /// Returns whether the kernel is one of the three matmuls.
    pub fn is_product(&self) -> bool {
        matches!(self, Self::MatmulNt { .. } | Self::MatmulNn { .. } | Self::MatmulTn { .. })
    }

    /// Returns the formula that the kernel names; of the formulas of a chain the first.
    pub fn formula(&self) -> Option<FormulaId> {
        match *self {
            Self::Map { formula, .. }
            | Self::MapRows { formula, .. }
            | Self::MapColumns { formula, .. }
            | Self::LossMap { formula, .. }
            | Self::Update(Update { formula, .. }) => Some(formula),
            Self::Chain(chain) => chain.links().next().map(|link| link.formula),
            _ => None,
        }
    }

    /// Returns the number of slots that the kernel reads and that it writes.
    pub fn arity(&self) -> (usize, usize) {
        let Declaration { reads, writes, .. } = self.declaration();
        let present = |arguments: Vec<Argument>| arguments.iter().filter(|it| it.present).count();
        (present(reads), present(writes))
    }

    /// Returns the kernel's one declaration: name, arguments and fusions. The number of a step's slots, the bindings and
    /// constants of its shader, the arguments of its function on the CPU and its name in printed plans follow from it.
    pub fn declaration(&self) -> Declaration {
        match *self {
            Self::Gather { ordered, targets } => Declaration::of("gather")
                .reads([single("x"), single("order").when(ordered), single("y").when(targets)])
                .writes([result("x_out"), single("y_out").when(targets)])
                .features([flag("ORDERED", ordered), flag("TARGETS", targets).shown("targets")]),
            Self::MatmulNt { bias, act, save, dropout } => Declaration::of("matmul_nt")
                .reads([factor("a"), factor("b"), factor("extra").when(bias)])
                .writes([result("out"), result("extra_out").when(save)])
                .features([
                    flag("TRANSPOSE_B", true),
                    flag("BIAS", bias).shown("bias"),
                    flag("ACTIVATE", act != Activation::Identity).shown(act.name()),
                    flag("SAVE", save).shown("save"),
                    // The result before dropout is saved, where the derivative needs it, else the argument.
                    flag("SAVE_RESULT", save && dropout.is_some() && act.gradient_from_output()),
                    flag("DROPOUT", dropout.is_some()).shown("dropout"),
                ]),
            Self::MatmulNn { act_grad, dropout } => {
                // The identity's derivative is 1: nothing is read and nothing multiplied.
                let grad = act_grad != Activation::Identity;
                Declaration::of("matmul_nn")
                    .reads([factor("a"), factor("b"), factor("extra").when(grad)])
                    // Matmuls share one shader, so each declares the same slots, even one that it never has.
                    .writes([result("out"), result("extra_out").when(false)])
                    .features([
                        flag("DROPOUT", dropout.is_some()).shown("dropout"),
                        flag("GRADIENT", grad).shown(format!("{}_grad", act_grad.name())),
                    ])
            }
            Self::MatmulTn { bias_grad } => Declaration::of("matmul_tn")
                .reads([factor("a"), factor("b"), factor("extra").when(false)])
                .writes([result("out"), result("extra_out").when(bias_grad)])
                .features([
                    flag("TRANSPOSE_A", true),
                    flag("BIAS_GRAD", bias_grad).shown("bias_grad"),
                ]),
            Self::Map { operands, .. } => Declaration::of("map")
                .reads(operand_list(operands))
                .writes([result("out")])
                .generated(),
            Self::MapRows { operands, .. } => Declaration::of("map_rows")
                .reads(operand_list(operands))
                .writes([result("out")])
                .generated(),
            Self::MapColumns { operands, maximum, .. } => Declaration::of("map_columns")
                .reads(operand_list(operands))
                .writes([result("out")])
                .generated()
                .features([flag("MAXIMUM", maximum).shown("maximum")]),
            Self::Chain(chain) => match chain.kind {
                ChainKind::Elements => Declaration::of("map_chain"),
                ChainKind::Rows => Declaration::of("map_rows_chain"),
                ChainKind::Columns => Declaration::of("map_columns_chain"),
            }
            .reads(operand_list(chain.reads))
            .writes(result_list(chain.len(), chain.bits(|link| chain.binds(link))))
            .generated()
            .features([
                value("LINKS", chain.len().into()),
                value("SUMS", chain.bits(|link| link.result != LinkResult::Elements)),
                value("MAXIMA", chain.bits(|link| link.result == LinkResult::Largest)),
            ]),
            Self::BlockNt { .. } => Declaration::of("block_nt")
                .reads([single("a"), single("b")])
                .writes([single("out")]),
            Self::BlockNn { .. } => Declaration::of("block_nn")
                .reads([single("a"), single("b")])
                .writes([single("out")]),
            Self::BlockTn { .. } => Declaration::of("block_tn")
                .reads([single("a"), single("b")])
                .writes([single("out")]),
            Self::RepeatColumns { .. } => {
                Declaration::of("repeat_columns").reads([single("x")]).writes([single("out")])
            }
            Self::SumBlocks { .. } => {
                Declaration::of("sum_blocks").reads([single("x")]).writes([single("out")])
            }
            Self::MemberMean { of, .. } => Declaration::of("member_mean")
                .reads([single("x")])
                .writes([single("out")])
                .features([value("OUTPUTS", of as u32), word(true, of.name())]),
            Self::Lookup { .. } => Declaration::of("lookup")
                .reads([single("table"), single("x")])
                .writes([single("out")]),
            Self::LookupGrad { .. } => Declaration::of("lookup_grad")
                .reads([single("x"), single("d_y")])
                .writes([single("out")]),
            Self::LossMap { width, form, .. } => Declaration::of("loss_map")
                .reads(form.reads("prediction"))
                .writes([single("row_loss"), result("d_prediction")])
                .features(form.features())
                .features([value("WIDTH", width.into())]),
            Self::LossClasses { loss, form } => Declaration::of("loss_classes")
                .reads(form.reads("logits"))
                .writes([single("row_loss"), result("d_logits")])
                .features([word(true, Loss::from(loss).name())])
                .features(form.features()),
            Self::LogLoss => {
                Declaration::of("log_loss").reads([single("row_loss")]).writes([single("log_out")])
            }
            Self::PutRows => {
                Declaration::of("put_rows").reads([single("x")]).writes([single("out")])
            }
            Self::UpdateRunning { momentum, unbiased, guarded } => {
                Declaration::of("update_running")
                    .reads([single("stat"), single("scaling").when(guarded)])
                    .writes([single("out")])
                    .features([
                        flag("MEAN", momentum.is_none()).shown("mean"),
                        flag("UNBIASED", unbiased).shown("unbiased"),
                        flag("GUARDED", guarded).shown("guard"),
                    ])
            }
            Self::CheckFinite { loss } => Declaration::of("check_finite")
                .reads([single("gradient"), single("log_in").when(loss)])
                .writes([single("scaling")])
                .features([flag("LOSS", loss).shown("loss")]),
            Self::Rescale { scaled, guarded } => Declaration::of("rescale")
                .writes([single("scaling"), single("log_out").when(guarded)])
                .features([
                    value("GROW_AFTER", LossScaler::GROW_AFTER),
                    value("LARGEST", LossScaler::LARGEST),
                    flag("GUARDED", guarded).shown("guard"),
                    flag("SCALED", scaled),
                    word(guarded && scaled, "scale"),
                ]),
            Self::Update(update) => update.declaration(),
            Self::SquareSums { gradient, gathers, scaled } => Declaration::of("square_sums")
                .reads([
                    single("x"),
                    single("gathered").when(gathers),
                    single("scaling").when(scaled),
                    single("factors").when(gradient),
                ])
                .writes([single("sums")])
                .features([
                    flag("GRADIENT", gradient),
                    flag("GATHERS", gathers).shown("gather"),
                    flag("SCALED", scaled).shown("scale"),
                ]),
            Self::ClipNorm { .. } => {
                Declaration::of("clip_norm").reads([single("sums")]).writes([single("factors")])
            }
            Self::TrustRatios => Declaration::of("trust_ratios")
                .reads([single("weights"), single("directions"), single("views")])
                .writes([single("factors")]),
        }
    }
}

impl LossVariant {
    /// Returns the arguments that a loss's kernel reads.
    fn reads(self, prediction: &'static str) -> [Argument; 5] {
        [
            single(prediction),
            single("goal"),
            single("constants").when(self.constants),
            single("weights").when(self.weights),
            single("scaling").when(self.scaled),
        ]
    }

    fn features(self) -> [Feature; 5] {
        [
            value("MEMBERS", self.members).shown_if(self.members != 1, "members"),
            word(!self.mean, "sum"),
            flag("CONSTANTS", self.constants).shown("constants"),
            flag("WEIGHTS", self.weights).shown("weights"),
            flag("SCALED", self.scaled).shown("scale"),
        ]
    }
}

impl Update {
    fn declaration(&self) -> Declaration {
        let states = ["state0", "state1", "state2"];
        let states = (0..).zip(states).map(|(state, name)| single(name).when(state < self.states));
        Declaration::of("update")
            .reads([
                single("gradient").when(self.writes_states()),
                single("scaling").when(self.reads_scaling()),
                single("factors").when(self.table),
            ])
            .writes([single("weight")])
            .writes(states)
            .writes([
                single("gathered").when(self.gathers),
                single("average").when(self.averages),
                result("half_weight").when(self.half),
            ])
            .generated()
            .features([
                word(self.pass == PassKind::First, "first"),
                word(self.pass == PassKind::Second, "second"),
                word(self.pass == PassKind::Copies, "copies"),
                word(self.gathers, "gather"),
                word(self.averages, "average"),
                word(self.scaled, "scale"),
                word(self.guarded, "guard"),
            ])
    }
}

impl Step {
    /// Returns the slot of one of the kernel's arguments; `None` for an argument that this variant of the kernel does not have.
    ///
    /// # Panics
    /// If the kernel has no argument of that name in any variant.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        let Declaration { name: kernel, reads, writes, .. } = self.kernel.declaration();
        for (arguments, slots) in [(reads, &self.reads), (writes, &self.writes)] {
            let mut slots = slots.iter().copied();
            for argument in arguments {
                let slot = if argument.present { slots.next() } else { None };
                if argument.name == name {
                    return slot;
                }
            }
        }
        panic!("the kernel {kernel} has no argument {name}")
    }
}

impl fmt::Display for Kernel {
    /// Writes the name, and after it the fusions: `matmul_nt +bias +relu`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Declaration { name, features, .. } = self.declaration();
        f.write_str(name)?;
        features.iter().filter_map(Feature::word).try_for_each(|word| write!(f, " +{word}"))
    }
}
