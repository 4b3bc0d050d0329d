//! The kernels that plans may name. Every device has each of them under the same name.

use std::fmt;

use super::FormulaId;
use crate::graph::{Loss, Objective, PassKind, Reduction};
use crate::model::Activation;

/// What a loss's kernel computes, and what it reads beside predictions and targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossForm {
    /// Which loss.
    pub loss: Loss,
    /// Whether it is a mean over the columns of an element too.
    pub mean: bool,
    /// Whether there are constants: one for each column, or each class, over and over.
    pub constants: bool,
    /// Whether each row has a weight.
    pub weights: bool,
    /// Whether the gradient is multiplied by the loss scale.
    pub scaled: bool,
}

impl LossForm {
    /// How many slots it reads.
    fn reads(self) -> usize {
        2 + usize::from(self.constants) + usize::from(self.weights) + usize::from(self.scaled)
    }
}

/// Dropout of a result: see `graph::Op::Dropout`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Which masks.
    pub stream: u32,
    /// Share of elements that become 0.
    pub rate: f64,
}

/// A kernel and what is fused into it. Shapes come from the slots of its step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// out = the batch's rows of a table; rows beyond the count are zero.
    /// Reads x `[rows,columns]`, (order `[rows]`), (y); writes `x_out`, (`y_out`).
    Gather {
        /// Whether rows are picked through an order, or lie in sequence.
        ordered: bool,
        /// Whether targets are picked too.
        targets: bool,
    },
    /// out = dropout(act(a bᵀ + bias)). Reads a `[m,k]`, b `[n,k]`, (bias `[n]`); writes out `[m,n]`, (saved `[m,n]`).
    MatmulNt {
        /// Whether a bias is added.
        bias: bool,
        /// Applied last.
        act: Activation,
        /// Whether what act's gradient needs is kept for the backward pass: its argument, or what it gives.
        save: bool,
        /// Applied after act.
        dropout: Option<Dropout>,
    },
    /// out = dropout(a b), times act'(saved). Reads a `[m,k]`, b `[k,n]`, (saved `[m,n]`); writes out `[m,n]`.
    MatmulNn {
        /// The activation whose gradient is applied last; identity for none.
        act_grad: Activation,
        /// That of the forward pass.
        dropout: Option<Dropout>,
    },
    /// out = aᵀ b, and the sums of a's columns. Reads a `[k,m]`, b `[k,n]`; writes out `[m,n]`, (sums `[m]`).
    MatmulTn {
        /// Whether a's columns are summed too: the bias's gradient.
        bias_grad: bool,
    },
    /// out = act(x + bias). Reads x `[m,n]`, (bias `[n]`); writes out `[m,n]`.
    Activate {
        /// The function.
        act: Activation,
        /// Whether a bias is added first.
        bias: bool,
    },
    /// out = `d_y` · act'(saved). Reads saved, `d_y`; writes out.
    ActivateGrad {
        /// The function.
        act: Activation,
    },
    /// out = a + b. Reads a, b; writes out.
    Add,
    /// out = a formula of the operands, element by element. Reads up to six operands; writes out `[m,n]`, `[n]` or `[m]`.
    Map {
        /// What is computed.
        formula: FormulaId,
        /// Number of operands.
        operands: u8,
    },
    /// out = sums of a formula over rows, top to bottom. Reads up to six operands; writes out `[n]`.
    MapRows {
        /// What is summed.
        formula: FormulaId,
        /// Number of operands.
        operands: u8,
    },
    /// out = sum, or maximum, of a formula over columns. Reads up to six operands; writes out `[m]`.
    MapColumns {
        /// What is summed.
        formula: FormulaId,
        /// Number of operands.
        operands: u8,
        /// Whether the largest is taken instead of the sum.
        maximum: bool,
    },
    /// out row = table row of the whole number in x's column. Reads table `[v,d]`, x `[m,n]`; writes out `[m,d]`.
    Lookup {
        /// Column of the numbers.
        column: u32,
    },
    /// out row = sum of `d_y` over the rows that count whose number it is, top to bottom. Reads x `[m,n]`, `d_y` `[m,d]`;
    /// writes out `[v,d]`.
    LookupGrad {
        /// Column of the numbers.
        column: u32,
    },
    /// out = sums of x's columns. Reads x `[m,n]`; writes out `[n]`.
    SumRows,
    /// Loss of each row, and the mean loss's gradient.
    /// Reads logits `[batch,classes]`, labels `[batch]`, (scaling); writes `row_loss` `[batch]`, `d_logits`.
    LossCrossEntropy {
        /// Whether the gradient is multiplied by the loss scale.
        scaled: bool,
    },
    /// Loss of each row, and the mean loss's gradient.
    /// Reads prediction `[batch,n]`, target `[batch,n]`, (scaling); writes `row_loss` `[batch]`, `d_prediction`.
    LossMse {
        /// Whether the gradient is multiplied by the loss scale.
        scaled: bool,
    },
    /// Loss of each row by a formula for its elements, times weight · rows / divisor, and its gradient over the divisor.
    /// Reads prediction `[batch,n]`, target `[batch,t]`, (constants), (weights `[batch]`), (scaling);
    /// writes `row_loss` `[batch]`, `d_prediction`.
    LossMap(LossForm),
    /// Loss of each row over its classes, times weight · rows / divisor, and its gradient over the divisor.
    /// Reads logits `[batch,n]`, labels `[batch]` or shares `[batch,n]`, (constants `[n]`), (weights `[batch]`), (scaling);
    /// writes `row_loss` `[batch]`, `d_logits`.
    LossClasses(LossForm),
    /// log\[step\] = mean of the losses of the rows that count. Reads `row_loss`; writes log.
    LogLoss,
    /// The batch's rows of a table = x's rows that count. Reads x `[batch,n]`; writes out `[rows,n]`.
    PutRows,
    /// out ← (1 − momentum) out + momentum · stat, times rows / (rows − 1) if it is unbiased; of one row no variance is
    /// unbiased, and out stays. Reads stat `[n]`; changes out `[n]`.
    UpdateRunning {
        /// Weight of the newest batch; `None` for the share that the step's own numbers say.
        momentum: Option<f64>,
        /// Whether the statistic is divided by one row less.
        unbiased: bool,
        /// Whether it stays as it is in a step that is skipped, or where the statistic is no finite number.
        guarded: bool,
    },
    /// Notes in scaling whether a gradient is NaN or infinite. Reads gradients, (log); changes scaling.
    CheckFinite {
        /// Whether the step's loss is looked at as well.
        loss: bool,
    },
    /// Ends a move: sets the loss scale for the next one, and marks the losses of steps that were skipped.
    /// Changes scaling, (log).
    Rescale {
        /// Whether there is a loss scale.
        scaled: bool,
        /// Whether steps of which a loss is no finite number are skipped.
        guarded: bool,
    },
    /// One pass over the arena. Reads gradients, (scaling); changes params, (velocity), (params in half precision).
    UpdateSgd {
        /// µ
        momentum: f64,
        /// Whether to look ahead.
        nesterov: bool,
        /// Coupled decay.
        weight_decay: f64,
        /// Whether gradients bear the loss scale, and a copy in half precision is kept.
        scaled: bool,
        /// Whether nothing changes in a step that is skipped.
        guarded: bool,
    },
    /// One pass over the arena. Reads gradients, (scaling); changes params, m, v, (params in half precision).
    UpdateAdam {
        /// Decay of m.
        beta1: f64,
        /// Decay of v.
        beta2: f64,
        /// Keeps the divisor from 0.
        eps: f64,
        /// Decay.
        weight_decay: f64,
        /// Whether the decay acts on the weights themselves (`AdamW`).
        decoupled: bool,
        /// Whether gradients bear the loss scale, and a copy in half precision is kept.
        scaled: bool,
        /// Whether nothing changes in a step that is skipped.
        guarded: bool,
    },
    /// One pass over the arena by expressions. Reads gradients, (scaling), (factors); changes params, states, (gathered
    /// gradients), (averaged params), (params in half precision).
    Update(Update),
    /// Sums of the squares of each block of an arena. Reads the arena, and if it is of gradients also (gathered ones),
    /// (scaling), factors; writes sums.
    SquareSums {
        /// Whether it is of gradients, of which those of parameters that stay count as 0.
        gradient: bool,
        /// Whether others were gathered before, which are added.
        gathers: bool,
        /// Whether they bear the loss scale.
        scaled: bool,
    },
    /// In front of the factors: min(1, max / (norm + 1e-6)). Reads sums of squares; changes factors.
    ClipNorm {
        /// The largest norm.
        max: f64,
    },
    /// In the factors of each parameter's blocks: its norm over that of its direction, 1 where one of them is 0. Reads
    /// sums of both's squares, views (first block and number of blocks, for each parameter); changes factors.
    TrustRatios,
}

/// A pass of the kernel `update`, and what takes part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// Its expressions.
    pub formula: FormulaId,
    /// Which of the optimizer's passes it is.
    pub pass: PassKind,
    /// Arenas of state.
    pub states: u8,
    /// Whether gradients are gathered over several steps.
    pub gathers: bool,
    /// Whether averaged weights are kept.
    pub averages: bool,
    /// Whether there is a table of factors.
    pub table: bool,
    /// Whether gradients bear the loss scale, and a copy in half precision is kept.
    pub scaled: bool,
    /// Whether nothing changes in a step that is skipped.
    pub guarded: bool,
}

impl Update {
    /// Whether the slot of the loss scale is read.
    pub fn reads_scaling(&self) -> bool {
        self.scaled || self.guarded
    }

    /// Whether the copy of the weights in half precision is written.
    pub fn writes_half(&self) -> bool {
        self.scaled && self.pass != PassKind::First
    }
}

impl Kernel {
    /// The kernel of a loss: its own in its plain form, else one that all of its kind share.
    pub fn loss(objective: &Objective, scaled: bool) -> Self {
        let Objective { loss, reduction, weights, constants } = *objective;
        let form =
            LossForm { loss, mean: reduction == Reduction::Mean, constants, weights, scaled };
        match loss {
            Loss::CrossEntropy if objective.is_plain() => Self::LossCrossEntropy { scaled },
            Loss::Mse if objective.is_plain() => Self::LossMse { scaled },
            _ if loss.formula().is_some() => Self::LossMap(form),
            _ => Self::LossClasses(form),
        }
    }

    /// The same loss or update under a loss scale.
    pub fn under_scale(mut self) -> Self {
        if let Self::LossCrossEntropy { scaled }
        | Self::LossMse { scaled }
        | Self::LossMap(LossForm { scaled, .. })
        | Self::LossClasses(LossForm { scaled, .. })
        | Self::UpdateSgd { scaled, .. }
        | Self::UpdateAdam { scaled, .. }
        | Self::Update(Update { scaled, .. }) = &mut self
        {
            *scaled = true;
        }
        self
    }

    /// The same, so that a step that is skipped changes nothing.
    pub fn under_guard(mut self) -> Self {
        if let Self::UpdateRunning { guarded, .. }
        | Self::UpdateSgd { guarded, .. }
        | Self::UpdateAdam { guarded, .. }
        | Self::Update(Update { guarded, .. }) = &mut self
        {
            *guarded = true;
        }
        self
    }

    /// Whether it does nothing in a step that is skipped; its second read says so.
    pub fn is_guarded(&self) -> bool {
        matches!(
            self,
            Self::UpdateRunning { guarded: true, .. }
                | Self::UpdateSgd { guarded: true, .. }
                | Self::UpdateAdam { guarded: true, .. }
                | Self::Update(Update { guarded: true, .. })
        )
    }

    /// The name that its shader, its reference, its test and its benchmark bear.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gather { .. } => "gather",
            Self::MatmulNt { .. } => "matmul_nt",
            Self::MatmulNn { .. } => "matmul_nn",
            Self::MatmulTn { .. } => "matmul_tn",
            Self::Activate { .. } => "activate",
            Self::ActivateGrad { .. } => "activate_grad",
            Self::Add => "add",
            Self::Map { .. } => "map",
            Self::MapRows { .. } => "map_rows",
            Self::MapColumns { .. } => "map_columns",
            Self::Lookup { .. } => "lookup",
            Self::LookupGrad { .. } => "lookup_grad",
            Self::SumRows => "sum_rows",
            Self::LossCrossEntropy { .. } => "loss_cross_entropy",
            Self::LossMse { .. } => "loss_mse",
            Self::LossMap(_) => "loss_map",
            Self::LossClasses(_) => "loss_classes",
            Self::LogLoss => "log_loss",
            Self::PutRows => "put_rows",
            Self::UpdateRunning { .. } => "update_running",
            Self::CheckFinite { .. } => "check_finite",
            Self::Rescale { .. } => "rescale",
            Self::UpdateSgd { .. } => "update_sgd",
            Self::UpdateAdam { .. } => "update_adam",
            Self::Update(_) => "update",
            Self::SquareSums { .. } => "square_sums",
            Self::ClipNorm { .. } => "clip_norm",
            Self::TrustRatios => "trust_ratios",
        }
    }

    /// Whether it is one of the three products.
    pub fn is_product(&self) -> bool {
        matches!(self, Self::MatmulNt { .. } | Self::MatmulNn { .. } | Self::MatmulTn { .. })
    }

    /// The formula that it names.
    pub fn formula(&self) -> Option<FormulaId> {
        match *self {
            Self::Map { formula, .. }
            | Self::MapRows { formula, .. }
            | Self::MapColumns { formula, .. }
            | Self::Update(Update { formula, .. }) => Some(formula),
            _ => None,
        }
    }

    /// How many slots it reads and writes.
    pub fn arity(&self) -> (usize, usize) {
        match *self {
            Self::Gather { ordered, targets } => {
                (1 + usize::from(ordered) + usize::from(targets), 1 + usize::from(targets))
            }
            Self::MatmulNt { bias, save, .. } => (2 + usize::from(bias), 1 + usize::from(save)),
            Self::MatmulNn { act_grad, .. } => {
                (2 + usize::from(act_grad != Activation::Identity), 1)
            }
            Self::MatmulTn { bias_grad } => (2, 1 + usize::from(bias_grad)),
            Self::Activate { bias, .. } => (1 + usize::from(bias), 1),
            Self::ActivateGrad { .. }
            | Self::Add
            | Self::Lookup { .. }
            | Self::LookupGrad { .. } => (2, 1),
            Self::Map { operands, .. }
            | Self::MapRows { operands, .. }
            | Self::MapColumns { operands, .. } => (usize::from(operands), 1),
            Self::SumRows | Self::LogLoss | Self::PutRows => (1, 1),
            Self::UpdateRunning { guarded, .. } => (1 + usize::from(guarded), 1),
            Self::CheckFinite { loss } => (1 + usize::from(loss), 1),
            Self::LossCrossEntropy { scaled } | Self::LossMse { scaled } => {
                (2 + usize::from(scaled), 2)
            }
            Self::LossMap(form) | Self::LossClasses(form) => (form.reads(), 2),
            Self::Rescale { guarded, .. } => (0, 1 + usize::from(guarded)),
            Self::UpdateSgd { momentum, scaled, guarded, .. } => {
                let writes = 1 + usize::from(momentum != 0.0) + usize::from(scaled);
                (1 + usize::from(scaled || guarded), writes)
            }
            Self::UpdateAdam { scaled, guarded, .. } => {
                (1 + usize::from(scaled || guarded), 3 + usize::from(scaled))
            }
            Self::Update(update) => {
                let count = |parts: &[bool]| parts.iter().filter(|it| **it).count();
                let more = count(&[update.gathers, update.averages, update.writes_half()]);
                let reads = 1 + count(&[update.reads_scaling(), update.table]);
                (reads, 1 + usize::from(update.states) + more)
            }
            Self::SquareSums { gradient, gathers, scaled } => {
                let more = [gradient, gathers, scaled].into_iter().filter(|it| *it).count();
                (1 + more, 1)
            }
            Self::ClipNorm { .. } => (1, 1),
            Self::TrustRatios => (3, 1),
        }
    }
}

impl fmt::Display for Kernel {
    /// The name, and after it what is fused in: `matmul_nt +bias +relu`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut plus = |on: bool, what: &str| if on { write!(f, " +{what}") } else { Ok(()) };
        match *self {
            Self::Gather { targets, .. } => plus(targets, "targets"),
            Self::MatmulNt { bias, act, save, dropout } => {
                plus(bias, "bias")?;
                plus(act != Activation::Identity, act.name())?;
                plus(save, "save")?;
                plus(dropout.is_some(), "dropout")
            }
            Self::MatmulNn { act_grad, dropout } => {
                plus(dropout.is_some(), "dropout")?;
                plus(act_grad != Activation::Identity, &format!("{}_grad", act_grad.name()))
            }
            Self::MatmulTn { bias_grad } => plus(bias_grad, "bias_grad"),
            Self::Activate { act, bias } => {
                plus(bias, "bias")?;
                plus(act != Activation::Identity, act.name())
            }
            Self::ActivateGrad { act } => plus(true, act.name()),
            Self::LossCrossEntropy { scaled } | Self::LossMse { scaled } => plus(scaled, "scale"),
            Self::LossMap(form) | Self::LossClasses(form) => {
                plus(true, form.loss.name())?;
                plus(!form.mean, "sum")?;
                plus(form.constants, "constants")?;
                plus(form.weights, "weights")?;
                plus(form.scaled, "scale")
            }
            Self::UpdateSgd { momentum, nesterov, weight_decay, scaled, guarded } => {
                plus(momentum != 0.0, "momentum")?;
                plus(nesterov, "nesterov")?;
                plus(weight_decay != 0.0, "decay")?;
                plus(scaled, "scale")?;
                plus(guarded, "guard")
            }
            Self::UpdateAdam { weight_decay, decoupled, scaled, guarded, .. } => {
                plus(weight_decay != 0.0, if decoupled { "decoupled_decay" } else { "decay" })?;
                plus(scaled, "scale")?;
                plus(guarded, "guard")
            }
            Self::MapColumns { maximum, .. } => plus(maximum, "maximum"),
            Self::UpdateRunning { momentum, unbiased, guarded } => {
                plus(momentum.is_none(), "mean")?;
                plus(unbiased, "unbiased")?;
                plus(guarded, "guard")
            }
            Self::Update(update) => {
                plus(update.pass == PassKind::First, "first")?;
                plus(update.pass == PassKind::Second, "second")?;
                plus(update.gathers, "gather")?;
                plus(update.averages, "average")?;
                plus(update.scaled, "scale")?;
                plus(update.guarded, "guard")
            }
            Self::SquareSums { gathers, scaled, .. } => {
                plus(gathers, "gather")?;
                plus(scaled, "scale")
            }
            Self::ClipNorm { .. } | Self::TrustRatios => Ok(()),
            Self::Lookup { .. }
            | Self::LookupGrad { .. }
            | Self::Map { .. }
            | Self::MapRows { .. }
            | Self::Add
            | Self::SumRows
            | Self::LogLoss
            | Self::PutRows => Ok(()),
            Self::CheckFinite { loss } => plus(loss, "loss"),
            Self::Rescale { scaled, guarded } => {
                plus(guarded, "guard")?;
                plus(guarded && scaled, "scale")
            }
        }
    }
}
