//! The table of losses: for each its name, what it compares with, its defaults, and what the vocabulary says of it; and the
//! settings of those that have some.
//!
//! Names, texts, checks and units follow from a row. Absent on purpose: formulas, which are in `formula.rs`.

use std::mem::discriminant;

use super::{ClassLoss, Loss, Quantiles, RequiredTarget};
use crate::vocabulary::{Entry, entry};

/// A loss of the table.
#[derive(Clone, Copy)]
pub(super) struct LossRow {
    pub(super) entry: Entry,
    /// Kind of target that it compares with.
    pub(super) wants: RequiredTarget,
    /// Returns the loss with its defaults.
    pub(super) default: fn() -> Loss,
}

/// Every loss but the user's own, in the order in which help texts list them.
pub(super) const LOSSES: [LossRow; 15] = [
    LossRow {
        entry: entry(
            "cross-entropy",
            "Σ q (−log softmax(x)), q = (1 − ε) of the class and ε / classes of each",
            "label_smoothing 0",
            "torch.nn.CrossEntropyLoss",
        ),
        wants: RequiredTarget::Classes,
        default: || Loss::CROSS_ENTROPY,
    },
    LossRow {
        entry: entry(
            "focal",
            "−(1 − p)^γ log p, p = softmax(x)[class]",
            "gamma 2",
            "Lin et al. 2017, arXiv:1708.02002",
        ),
        wants: RequiredTarget::Classes,
        default: || Loss::Classes(ClassLoss::Focal { gamma: 2.0 }),
    },
    LossRow {
        entry: entry(
            "hinge",
            "Σ max(0, margin − x[class] + x[other]) / classes",
            "margin 1",
            "torch.nn.MultiMarginLoss",
        ),
        wants: RequiredTarget::Classes,
        default: || Loss::Classes(ClassLoss::Hinge { margin: 1.0 }),
    },
    LossRow {
        entry: entry(
            "kl-divergence",
            "Σ t (log t − log softmax(x)), t the row's target probabilities",
            "",
            "torch.nn.KLDivLoss(reduction=\"batchmean\") of log_softmax",
        ),
        wants: RequiredTarget::Shares,
        default: || Loss::Classes(ClassLoss::KlDivergence),
    },
    LossRow {
        entry: entry("mse", "d², d = x − y", "", "torch.nn.MSELoss"),
        wants: RequiredTarget::Numbers,
        default: || Loss::Mse,
    },
    LossRow {
        entry: entry("mae", "|d|", "", "torch.nn.L1Loss"),
        wants: RequiredTarget::Numbers,
        default: || Loss::Mae,
    },
    LossRow {
        entry: entry(
            "huber",
            "d²/2 where |d| < δ, else δ (|d| − δ/2); δ in the target's own units",
            "delta 1",
            "torch.nn.HuberLoss",
        ),
        wants: RequiredTarget::Numbers,
        default: || Loss::Huber { delta: 1.0 },
    },
    LossRow {
        entry: entry(
            "smooth-l1",
            "d²/(2β) where |d| < β, else |d| − β/2; β in the target's own units",
            "beta 1",
            "torch.nn.SmoothL1Loss",
        ),
        wants: RequiredTarget::Numbers,
        default: || Loss::SmoothL1 { beta: 1.0 },
    },
    LossRow {
        entry: entry(
            "log-cosh",
            "log cosh d, d in deviations of the target where that is scaled",
            "",
            "torchmetrics.functional.log_cosh_error (elementwise)",
        ),
        wants: RequiredTarget::Numbers,
        default: || Loss::LogCosh,
    },
    LossRow {
        entry: entry(
            "pinball",
            "max(q (y − x), (q − 1) (y − x)), an output for each quantile q",
            "quantiles 0.5",
            "Koenker and Bassett 1978, doi:10.2307/1913643; sklearn.metrics.mean_pinball_loss",
        ),
        wants: RequiredTarget::Numbers,
        default: || Loss::Pinball(Quantiles::MEDIAN),
    },
    LossRow {
        entry: entry(
            "gaussian-nll",
            "½ (log v + d²/v), v = softplus(raw) + eps; outputs are mean and raw; eps in squares of the target's own units",
            "full false, eps 1e-6",
            "torch.nn.GaussianNLLLoss; the variance as Lakshminarayanan et al. 2017, arXiv:1612.01474",
        ),
        wants: RequiredTarget::Numbers,
        default: || Loss::GaussianNll { full: false, eps: 1e-6 },
    },
    LossRow {
        entry: entry(
            "poisson-nll",
            "eˣ − y x",
            "full false",
            "torch.nn.PoissonNLLLoss(log_input=True)",
        ),
        wants: RequiredTarget::Counts,
        default: || Loss::PoissonNll { full: false },
    },
    LossRow {
        entry: entry(
            "binary-cross-entropy",
            "−(w t log σ(x) + (1 − t) log(1 − σ(x))), w the label's positive weight",
            "",
            "torch.nn.BCEWithLogitsLoss",
        ),
        wants: RequiredTarget::Labels,
        default: || Loss::BinaryCrossEntropy,
    },
    LossRow {
        entry: entry(
            "binary-focal",
            "α (1 − p)^γ (−log p), p the probability of what is true; 1 − α for no",
            "gamma 2, alpha 0.25",
            "torchvision.ops.sigmoid_focal_loss",
        ),
        wants: RequiredTarget::Labels,
        default: || Loss::BinaryFocal { gamma: 2.0, alpha: 0.25 },
    },
    LossRow {
        entry: entry(
            "binary-hinge",
            "max(0, margin − s x), s = ±1",
            "margin 1",
            "Cortes and Vapnik 1995, doi:10.1007/BF00994018; sklearn.metrics.hinge_loss",
        ),
        wants: RequiredTarget::Labels,
        default: || Loss::BinaryHinge { margin: 1.0 },
    },
];

/// The rows' entries.
pub(super) const ENTRIES: [Entry; LOSSES.len()] = {
    let mut entries = [LOSSES[0].entry; LOSSES.len()];
    let mut index = 1;
    while index < LOSSES.len() {
        entries[index] = LOSSES[index].entry;
        index += 1;
    }
    entries
};

/// A setting of a loss: its name in texts, and its value, which may be changed.
pub(super) struct LossSetting<'a> {
    pub(super) name: &'static str,
    pub(super) value: SettingValue<'a>,
    /// Unit in which the value counts.
    pub(super) unit: TargetUnit,
    /// True if 0, the default, is left out of texts.
    pub(super) brief: bool,
}

pub(super) enum SettingValue<'a> {
    Number(&'a mut f64, SettingRange),
    Flag(&'a mut bool),
}

/// Range of a number.
#[derive(Clone, Copy)]
pub(super) enum SettingRange {
    Above0,
    From0,
    Share,
    ShareOrNone,
}

/// Unit of a setting, as far as it depends on the target.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum TargetUnit {
    None,
    /// The target's own.
    Plain,
    /// Squares of it.
    Squared,
}

impl SettingRange {
    pub(super) fn fits(self, value: f64) -> bool {
        match self {
            Self::Above0 => value > 0.0,
            Self::From0 => value >= 0.0,
            Self::Share => (0.0..=1.0).contains(&value),
            Self::ShareOrNone => value <= 1.0,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Above0 => "above 0",
            Self::From0 => "0 or more",
            Self::Share => "from 0 to 1",
            Self::ShareOrNone => "from 0 to 1, or below 0 for none",
        }
    }
}

fn number<'a>(name: &'static str, value: &'a mut f64, range: SettingRange) -> LossSetting<'a> {
    let value = SettingValue::Number(value, range);
    LossSetting { name, value, unit: TargetUnit::None, brief: false }
}

fn flag<'a>(name: &'static str, value: &'a mut bool) -> LossSetting<'a> {
    LossSetting { name, value: SettingValue::Flag(value), unit: TargetUnit::None, brief: false }
}

impl<'a> LossSetting<'a> {
    fn unit(self, unit: TargetUnit) -> Self {
        Self { unit, ..self }
    }

    /// Returns the value; `None` of a flag.
    pub(super) fn number(self) -> Option<&'a mut f64> {
        match self.value {
            SettingValue::Number(value, _) => Some(value),
            SettingValue::Flag(_) => None,
        }
    }
}

impl Loss {
    /// Returns the loss's row; `None` for a loss of the user's own.
    pub(super) fn row(&self) -> Option<&'static LossRow> {
        static ROWS: [LossRow; LOSSES.len()] = LOSSES;
        ROWS.iter().find(|row| match (self, (row.default)()) {
            (Self::Classes(own), Self::Classes(other)) => discriminant(own) == discriminant(&other),
            (own, other) => discriminant(own) == discriminant(&other),
        })
    }

    /// Returns the settings, in the order of texts. Quantiles are none, since there may be several.
    pub(super) fn settings(&mut self) -> Vec<LossSetting<'_>> {
        use SettingRange::{Above0, From0, Share, ShareOrNone};
        match self {
            Self::Classes(ClassLoss::CrossEntropy { label_smoothing }) => {
                vec![LossSetting {
                    brief: true,
                    ..number("label_smoothing", label_smoothing, Share)
                }]
            }
            Self::Classes(ClassLoss::Focal { gamma }) => vec![number("gamma", gamma, From0)],
            Self::Classes(ClassLoss::Hinge { margin }) | Self::BinaryHinge { margin } => {
                vec![number("margin", margin, Above0)]
            }
            Self::Huber { delta } => vec![number("delta", delta, Above0).unit(TargetUnit::Plain)],
            Self::SmoothL1 { beta } => vec![number("beta", beta, Above0).unit(TargetUnit::Plain)],
            Self::GaussianNll { full, eps } => {
                vec![flag("full", full), number("eps", eps, Above0).unit(TargetUnit::Squared)]
            }
            Self::PoissonNll { full } => vec![flag("full", full)],
            Self::BinaryFocal { gamma, alpha } => {
                vec![number("gamma", gamma, From0), number("alpha", alpha, ShareOrNone)]
            }
            Self::Classes(ClassLoss::KlDivergence)
            | Self::Mse
            | Self::Mae
            | Self::LogCosh
            | Self::Pinball(_)
            | Self::BinaryCrossEntropy
            | Self::Custom(_) => vec![],
        }
    }
}
