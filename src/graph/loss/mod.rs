//! Losses: names, settings, what they accept and what their outputs mean.
//!
//! A loss is a row of the table in `table.rs`, with its settings. An elementwise one has an expression in `formula.rs`, from which the
//! kernel `loss_map` gets its value and its gradient on every device. Those over classes are variants of one kernel,
//! `loss_classes`.

mod custom;
mod formula;
mod objective;
mod table;
mod text;

use serde::{Deserialize, Serialize};

pub use custom::CustomLoss;
pub use formula::LossFormula;
pub use objective::{Objective, Reduction};

use crate::data::TargetKind;
use crate::error::{Error, Result};
use crate::shape::short;
use table::{LossSetting, SettingValue, TargetUnit};

/// Settings of a loss that are numbers, at most.
pub const LOSS_NUMBERS: usize = 2;

/// Loss that training minimises: a mean over the rows of a batch. Its text is a name, with arguments where it has some:
/// `huber(delta=1.5)`, `pinball(0.1, 0.5, 0.9)`.
///
/// ```
/// use wgrad::prelude::*;
///
/// let huber: Loss = "huber(delta=1.5)".parse()?;
/// let own = Loss::custom("if(p < y, 4 * (y - p), p - y)")?;
/// assert!(huber.check().is_ok() && own.check().is_ok());
/// assert!("hubert".parse::<Loss>().is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Loss {
    /// A loss over classes, whose sums run over a row: cross-entropy and the like.
    Classes(ClassLoss),
    /// (prediction − target)², mean over columns too, as `torch.nn.MSELoss`
    Mse,
    /// |prediction − target|, as `torch.nn.L1Loss`
    Mae,
    /// d²/2 where |d| < δ, else δ (|d| − δ/2), as `torch.nn.HuberLoss`
    Huber {
        /// δ, in the target's own units.
        delta: f64,
    },
    /// d²/(2β) where |d| < β, else |d| − β/2, as `torch.nn.SmoothL1Loss`
    SmoothL1 {
        /// β, in the target's own units.
        beta: f64,
    },
    /// log cosh d
    LogCosh,
    /// max(q e, (q − 1) e) with e = target − prediction, for each quantile q a prediction of each target (Koenker and
    /// Bassett 1978, doi:10.2307/1913643)
    Pinball(Quantiles),
    /// ½ (log v + (mean − target)²/v), v = softplus(raw) + eps, the network giving mean and raw for each target: as
    /// `torch.nn.GaussianNLLLoss` of that variance (Lakshminarayanan et al. 2017, arXiv:1612.01474)
    GaussianNll {
        /// True if ½ log 2π is added.
        full: bool,
        /// The least variance, in squares of the target's own units.
        eps: f64,
    },
    /// exp(output) − target · output, as `torch.nn.PoissonNLLLoss`
    PoissonNll {
        /// True if Stirling's log of the factorial is added for targets above 1.
        full: bool,
    },
    /// −(w t log σ(logit) + (1 − t) log(1 − σ(logit))), w a label's positive weight, as `torch.nn.BCEWithLogitsLoss`
    BinaryCrossEntropy,
    /// α (1 − p)^γ · cross-entropy, p the probability of the true class, as `torchvision.ops.sigmoid_focal_loss`
    BinaryFocal {
        /// γ
        gamma: f64,
        /// α for yes, 1 − α for no; below 0 for neither.
        alpha: f64,
    },
    /// max(0, margin − s · output), s = 1 for yes and −1 for no
    BinaryHinge {
        /// How far the output has to lie on its side.
        margin: f64,
    },
    /// The user's own: `custom(abs(y - p))`, an expression of a prediction p and its target y in the target's own units.
    Custom(CustomLoss),
}

/// A loss over classes, whose sums run over a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClassLoss {
    /// −log softmax(logits)\[class\], or against (1 − ε) · the class + ε · all classes alike, as
    /// `torch.nn.CrossEntropyLoss(label_smoothing=ε)`
    CrossEntropy {
        /// ε, from 0 to 1.
        label_smoothing: f64,
    },
    /// −(1 − p)^γ log p with p = softmax(logits)\[class\] (Lin et al. 2017, arXiv:1708.02002)
    Focal {
        /// γ, how much less rows count that are right already.
        gamma: f64,
    },
    /// Σ max(0, margin − logit\[class\] + logit\[other\]) / classes, as `torch.nn.MultiMarginLoss`
    Hinge {
        /// How far the class's logit has to lie above the others.
        margin: f64,
    },
    /// Σ t (log t − log softmax(logits)), t the target probabilities of a row, as `torch.nn.KLDivLoss("batchmean")` of
    /// `log_softmax`
    KlDivergence,
}

impl ClassLoss {
    /// Cross-entropy without label smoothing.
    pub const CROSS_ENTROPY: Self = Self::CrossEntropy { label_smoothing: 0.0 };
}

impl ClassLoss {
    /// Returns the loss with a factor of its setting.
    pub(crate) fn times(self, factor: f64) -> Self {
        match self {
            Self::CrossEntropy { label_smoothing } => {
                Self::CrossEntropy { label_smoothing: label_smoothing * factor }
            }
            Self::Focal { gamma } => Self::Focal { gamma: gamma * factor },
            Self::Hinge { margin } => Self::Hinge { margin: margin * factor },
            Self::KlDivergence => self,
        }
    }
}

impl From<ClassLoss> for Loss {
    fn from(loss: ClassLoss) -> Self {
        Self::Classes(loss)
    }
}

/// Kind of target that a loss requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredTarget {
    /// A class a row.
    Classes,
    /// Numbers of any size; they are scaled.
    Numbers,
    /// Numbers of 0 or more, as they are.
    Counts,
    /// Probabilities in several columns, as they are.
    Shares,
    /// 0 or 1 in each column.
    Labels,
}

impl Loss {
    /// Cross-entropy without label smoothing.
    pub const CROSS_ENTROPY: Self = Self::Classes(ClassLoss::CROSS_ENTROPY);

    /// Returns the label smoothing; 0 of losses without any.
    pub fn label_smoothing(&self) -> f64 {
        match *self {
            Self::Classes(ClassLoss::CrossEntropy { label_smoothing }) => label_smoothing,
            _ => 0.0,
        }
    }

    /// Returns the loss as plans have it, each setting that is a number above 0 as 1, and the factors that make these the loss's own, in the
    /// order of texts. A number of 0 or below says that a part of the loss is absent, and stays.
    pub(crate) fn planned(&self) -> (Self, [f64; LOSS_NUMBERS]) {
        let (mut planned, mut factors) = (self.clone(), [1.0; LOSS_NUMBERS]);
        let settings = planned.settings().into_iter().filter_map(LossSetting::number);
        for (value, factor) in settings.zip(&mut factors) {
            if *value > 0.0 {
                *factor = std::mem::replace(value, 1.0);
            }
        }
        (planned, factors)
    }

    /// Returns the loss of a kind of target that a run has without a choice: cross-entropy for classes, the squared error for numbers,
    /// binary cross-entropy for labels.
    pub fn usual(kind: &TargetKind) -> Self {
        match kind {
            TargetKind::Classes(_) => Self::CROSS_ENTROPY,
            TargetKind::Number | TargetKind::Numbers(_) => Self::Mse,
            TargetKind::Labels(_) => Self::BinaryCrossEntropy,
        }
    }

    /// The usual losses: of classes, of numbers.
    pub const PLAIN: [Self; 2] = [Self::CROSS_ENTROPY, Self::Mse];

    /// Makes a loss of the user's own: an expression of the prediction `p` and the target `y`, such as `abs(y - p)`. See
    /// [`CustomLoss`].
    ///
    /// # Errors
    /// If the text is no expression, or no loss.
    pub fn custom(text: &str) -> Result<Self> {
        CustomLoss::new(text).map(Self::Custom)
    }

    /// Returns whether its targets are classes.
    pub fn classes(&self) -> bool {
        self.wants() == RequiredTarget::Classes
    }

    /// True if outputs for classes or labels are scores, as with hinge losses, and not probabilities.
    pub(crate) fn gives_scores(&self) -> bool {
        matches!(self, Self::Classes(ClassLoss::Hinge { .. }) | Self::BinaryHinge { .. })
    }

    /// Returns the kind of target that the loss requires.
    pub fn wants(&self) -> RequiredTarget {
        // An expression of the user's own is of numbers, and no row of the table.
        self.row().map_or(RequiredTarget::Numbers, |row| row.wants)
    }

    /// Returns whether targets of this kind are what it compares with.
    pub fn fits(&self, kind: &TargetKind) -> bool {
        match kind {
            TargetKind::Classes(_) => self.wants() == RequiredTarget::Classes,
            TargetKind::Labels(_) => self.wants() == RequiredTarget::Labels,
            TargetKind::Number => {
                matches!(self.wants(), RequiredTarget::Numbers | RequiredTarget::Counts)
            }
            TargetKind::Numbers(_) => {
                matches!(
                    self.wants(),
                    RequiredTarget::Numbers | RequiredTarget::Counts | RequiredTarget::Shares
                )
            }
        }
    }

    /// Returns whether a numeric target is scaled for it, if scaling is on.
    pub fn scales_target(&self) -> bool {
        self.wants() == RequiredTarget::Numbers
    }

    /// Returns true if a parameter counts in units of the target.
    pub fn has_target_units(&self) -> bool {
        self.clone().settings().iter().any(|setting| setting.unit != TargetUnit::None)
    }

    /// The loss for a target that was divided by `unit`: the same but for a factor that all rows share. The least variance
    /// stays at 1e-12 or more, which is where f32 ends.
    #[must_use]
    pub fn in_units_of(&self, unit: f64) -> Self {
        if unit == 1.0 {
            return self.clone();
        }
        if let Self::Custom(custom) = self {
            return Self::Custom(custom.in_units_of(unit));
        }
        let mut loss = self.clone();
        for LossSetting { value, unit: own, .. } in loss.settings() {
            match (value, own) {
                (SettingValue::Number(value, _), TargetUnit::Plain) => *value /= unit,
                (SettingValue::Number(value, _), TargetUnit::Squared) => {
                    *value = (*value / (unit * unit)).max(1e-12);
                }
                _ => {}
            }
        }
        loss
    }

    /// Outputs of the network for each target: quantiles, or mean and raw variance, side by side.
    pub fn outputs_each(&self) -> usize {
        match *self {
            Self::Pinball(quantiles) => quantiles.as_slice().len(),
            Self::GaussianNll { .. } => 2,
            _ => 1,
        }
    }

    /// Returns the outputs of the network for this number of targets: classes, or columns.
    pub fn outputs_for(&self, targets: usize) -> usize {
        targets * self.outputs_each()
    }

    /// Returns the number of targets for this number of outputs; `None` if it is not whole.
    pub fn targets_for(&self, outputs: usize) -> Option<usize> {
        outputs.is_multiple_of(self.outputs_each()).then(|| outputs / self.outputs_each())
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one lies outside of what it may be; the message names it.
    pub fn check(&self) -> Result<()> {
        for LossSetting { name, value, .. } in self.clone().settings() {
            let SettingValue::Number(value, range) = value else { continue };
            if !(range.fits(*value) && value.is_finite()) {
                let (loss, value, range) = (self.name(), short(*value), range.text());
                let problem = format!("{name} of {loss} is {value}, but it must be {range}");
                return Err(Error::setting("loss", problem));
            }
        }
        Ok(())
    }
}

/// Quantiles that are predicted at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    count: usize,
    values: [f64; Self::MOST],
}

impl Quantiles {
    /// Place of the median among them, if it is one.
    pub fn median(&self) -> Option<usize> {
        self.as_slice().iter().position(|&quantile| quantile == 0.5)
    }

    /// How many there may be.
    pub const MOST: usize = 20;

    /// Takes quantiles, in their order.
    ///
    /// # Errors
    /// If there are none or too many, one is not between 0 and 1, or they do not rise.
    pub fn new(quantiles: &[f64]) -> Result<Self> {
        let refuse = |problem: String| Err(Error::setting("loss", problem));
        if quantiles.is_empty() || quantiles.len() > Self::MOST {
            let count = quantiles.len();
            let problem = format!(
                "{count} quantiles, but pinball takes 1 to {}: pinball(0.1, 0.9)",
                Self::MOST
            );
            return refuse(problem);
        }
        if let Some(bad) = quantiles.iter().find(|q| !(**q > 0.0 && **q < 1.0)) {
            return refuse(format!("the quantile {bad}, but it must lie between 0 and 1"));
        }
        if !quantiles.is_sorted_by(|a, b| a < b) {
            return refuse("the quantiles of pinball must rise".into());
        }
        let mut values = [0.0; Self::MOST];
        values[..quantiles.len()].copy_from_slice(quantiles);
        Ok(Self { count: quantiles.len(), values })
    }

    /// The median alone.
    pub const MEDIAN: Self = {
        let mut values = [0.0; Self::MOST];
        values[0] = 0.5;
        Self { count: 1, values }
    };

    /// The quantiles.
    pub fn as_slice(&self) -> &[f64] {
        &self.values[..self.count]
    }
}
