//! Losses as texts, and what the vocabulary says of them.

use std::fmt;
use std::str::FromStr;

use super::{Loss, Quantiles};
use crate::error::{Error, Result};
use crate::vocabulary::{Call, Entry, name_and_inner, plain, written};

impl Loss {
    /// Every loss, in the order in which help texts list them.
    pub const VOCABULARY: &'static [Entry] = &[
        Entry {
            name: "cross-entropy",
            formula: "Σ q (−log softmax(x)), q = (1 − ε) of the class and ε / classes of each",
            parameters: "label_smoothing 0",
            source: "torch.nn.CrossEntropyLoss",
        },
        Entry {
            name: "focal",
            formula: "−(1 − p)^γ log p, p = softmax(x)[class]",
            parameters: "gamma 2",
            source: "Lin et al. 2017, arXiv:1708.02002",
        },
        Entry {
            name: "hinge",
            formula: "Σ max(0, margin − x[class] + x[other]) / classes",
            parameters: "margin 1",
            source: "torch.nn.MultiMarginLoss",
        },
        Entry {
            name: "kl-divergence",
            formula: "Σ t (log t − log softmax(x)), t the row's target probabilities",
            parameters: "",
            source: "torch.nn.KLDivLoss(reduction=\"batchmean\") of log_softmax",
        },
        Entry {
            name: "mse", formula: "d², d = x − y", parameters: "", source: "torch.nn.MSELoss"
        },
        Entry { name: "mae", formula: "|d|", parameters: "", source: "torch.nn.L1Loss" },
        Entry {
            name: "huber",
            formula: "d²/2 where |d| < δ, else δ (|d| − δ/2); δ in the target's own units",
            parameters: "delta 1",
            source: "torch.nn.HuberLoss",
        },
        Entry {
            name: "smooth-l1",
            formula: "d²/(2β) where |d| < β, else |d| − β/2; β in the target's own units",
            parameters: "beta 1",
            source: "torch.nn.SmoothL1Loss",
        },
        Entry {
            name: "log-cosh",
            formula: "log cosh d, d in deviations of the target where that is scaled",
            parameters: "",
            source: "torchmetrics.functional.log_cosh_error (elementwise)",
        },
        Entry {
            name: "pinball",
            formula: "max(q (y − x), (q − 1) (y − x)), an output for each quantile q",
            parameters: "quantiles 0.5",
            source: "Koenker and Bassett 1978, doi:10.2307/1913643; sklearn.metrics.mean_pinball_loss",
        },
        Entry {
            name: "gaussian-nll",
            formula: "½ (log v + d²/v), v = softplus(raw) + eps; outputs are mean and raw; eps in squares of the target's own units",
            parameters: "full false, eps 1e-6",
            source: "torch.nn.GaussianNLLLoss; the variance as Lakshminarayanan et al. 2017, arXiv:1612.01474",
        },
        Entry {
            name: "poisson-nll",
            formula: "eˣ − y x",
            parameters: "full false",
            source: "torch.nn.PoissonNLLLoss(log_input=True)",
        },
        Entry {
            name: "binary-cross-entropy",
            formula: "−(w t log σ(x) + (1 − t) log(1 − σ(x))), w the label's positive weight",
            parameters: "",
            source: "torch.nn.BCEWithLogitsLoss",
        },
        Entry {
            name: "binary-focal",
            formula: "α (1 − p)^γ (−log p), p the probability of what is true; 1 − α for no",
            parameters: "gamma 2, alpha 0.25",
            source: "torchvision.ops.sigmoid_focal_loss",
        },
        Entry {
            name: "binary-hinge",
            formula: "max(0, margin − s x), s = ±1",
            parameters: "margin 1",
            source: "Cortes and Vapnik 1995, doi:10.1007/BF00994018; sklearn.metrics.hinge_loss",
        },
    ];

    /// Every loss with its defaults, in the same order.
    pub fn all() -> Vec<Self> {
        let read = |entry: &Entry| entry.name.parse();
        // Each is read by a test.
        Self::VOCABULARY.iter().filter_map(|entry| read(entry).ok()).collect()
    }

    /// The name in options and files, without arguments.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy { .. } => "cross-entropy",
            Self::Focal { .. } => "focal",
            Self::Hinge { .. } => "hinge",
            Self::KlDivergence => "kl-divergence",
            Self::Mse => "mse",
            Self::Mae => "mae",
            Self::Huber { .. } => "huber",
            Self::SmoothL1 { .. } => "smooth-l1",
            Self::LogCosh => "log-cosh",
            Self::Pinball(_) => "pinball",
            Self::GaussianNll { .. } => "gaussian-nll",
            Self::PoissonNll { .. } => "poisson-nll",
            Self::BinaryCrossEntropy => "binary-cross-entropy",
            Self::BinaryFocal { .. } => "binary-focal",
            Self::BinaryHinge { .. } => "binary-hinge",
            Self::Custom(_) => "custom",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let text = match self {
            Self::CrossEntropy { label_smoothing } if *label_smoothing != 0.0 => {
                written(name, &[("label_smoothing", label_smoothing)])
            }
            Self::Focal { gamma } => written(name, &[("gamma", gamma)]),
            Self::Hinge { margin } | Self::BinaryHinge { margin } => {
                written(name, &[("margin", margin)])
            }
            Self::Huber { delta } => written(name, &[("delta", delta)]),
            Self::SmoothL1 { beta } => written(name, &[("beta", beta)]),
            Self::Pinball(quantiles) => {
                let list: Vec<String> = quantiles.as_slice().iter().map(f64::to_string).collect();
                format!("{name}({})", list.join(", "))
            }
            Self::GaussianNll { full, eps } => written(name, &[("full", full), ("eps", eps)]),
            Self::PoissonNll { full } => written(name, &[("full", full)]),
            Self::BinaryFocal { gamma, alpha } => {
                written(name, &[("gamma", gamma), ("alpha", alpha)])
            }
            Self::CrossEntropy { .. }
            | Self::KlDivergence
            | Self::Mse
            | Self::Mae
            | Self::LogCosh
            | Self::BinaryCrossEntropy => name.to_string(),
            Self::Custom(custom) => custom.to_string(),
        };
        f.write_str(&text)
    }
}

impl FromStr for Loss {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // The argument of this one is an expression, in which a comma or a sign means something else.
        if let Ok((name, inner)) = name_and_inner(text)
            && plain(name) == "custom"
        {
            return Self::custom(inner);
        }
        let mut call = Call::parse("loss", text)?;
        // `Call` reads numbers; these two losses have a switch as well.
        let truth = |call: &mut Call<'_>, key: &'static str| match call.text(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(call.wrong(key, format!("is \"{other}\", not true or false"))),
        };
        let loss = match call.name() {
            "cross-entropy" => {
                Self::CrossEntropy { label_smoothing: call.number_or("label_smoothing", 0.0)? }
            }
            "focal" => Self::Focal { gamma: call.number_or("gamma", 2.0)? },
            "hinge" => Self::Hinge { margin: call.number_or("margin", 1.0)? },
            "kl-divergence" => Self::KlDivergence,
            "mse" => Self::Mse,
            "mae" => Self::Mae,
            "huber" => Self::Huber { delta: call.number_or("delta", 1.0)? },
            "smooth-l1" => Self::SmoothL1 { beta: call.number_or("beta", 1.0)? },
            "log-cosh" => Self::LogCosh,
            "pinball" => {
                // The one argument that may be repeated.
                let mut quantiles = Vec::new();
                while let Some(quantile) = call.number("quantile")? {
                    quantiles.push(quantile);
                }
                if quantiles.is_empty() {
                    Self::Pinball(Quantiles::MEDIAN)
                } else {
                    Self::Pinball(Quantiles::new(&quantiles)?)
                }
            }
            "gaussian-nll" => {
                let full = truth(&mut call, "full")?;
                Self::GaussianNll { full, eps: call.number_or("eps", 1e-6)? }
            }
            "poisson-nll" => Self::PoissonNll { full: truth(&mut call, "full")? },
            "binary-cross-entropy" => Self::BinaryCrossEntropy,
            "binary-focal" => {
                let gamma = call.number_or("gamma", 2.0)?;
                Self::BinaryFocal { gamma, alpha: call.number_or("alpha", 0.25)? }
            }
            "binary-hinge" => Self::BinaryHinge { margin: call.number_or("margin", 1.0)? },
            _ => {
                let known: Vec<_> = Self::VOCABULARY.iter().map(|entry| entry.name).collect();
                let problem =
                    format!("unknown name \"{text}\"; known: {}, custom", known.join(", "));
                return Err(Error::setting("loss", problem));
            }
        };
        // Arguments that no loss has read are mistakes; ranges are checked last, on the finished loss.
        call.end()?;
        loss.check()?;
        Ok(loss)
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

impl TryFrom<String> for Loss {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_lists_exactly_the_known_names() {
        let names: Vec<_> = Loss::VOCABULARY.iter().map(|entry| entry.name).collect();
        let all = Loss::all();
        assert_eq!(all.iter().map(|loss| loss.name()).collect::<Vec<_>>(), names);
        let kinds: std::collections::HashSet<_> = all.iter().map(std::mem::discriminant).collect();
        assert_eq!(kinds.len(), names.len());
        assert!(std::mem::size_of::<Loss>() < 200);
    }

    #[test]
    fn texts_come_back() {
        for text in [
            "cross-entropy",
            "cross-entropy(label_smoothing=0.1)",
            "focal(gamma=1.5)",
            "huber(delta=1.5)",
            "smooth-l1(beta=0.5)",
            "pinball(0.1, 0.5, 0.9)",
            "gaussian-nll(full=true, eps=0.0001)",
            "poisson-nll(full=false)",
            "binary-focal(gamma=2, alpha=-1)",
            "binary-hinge(margin=2)",
        ] {
            let loss: Loss = text.parse().unwrap();
            assert_eq!(loss.to_string(), text);
            let json = serde_json::to_string(&loss).unwrap();
            assert_eq!(
                (json.as_str(), serde_json::from_str(&json).ok()),
                (&*format!("\"{text}\""), Some(loss))
            );
        }
        for loss in Loss::all() {
            assert_eq!(loss.to_string().parse::<Loss>().unwrap(), loss);
        }
        assert_eq!("Cross_Entropy(0)".parse::<Loss>().unwrap(), Loss::CROSS_ENTROPY);
        assert_eq!("huber".parse::<Loss>().unwrap(), Loss::Huber { delta: 1.0 });
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, want) in [
            ("l3", "unknown name \"l3\"; known: cross-entropy, focal"),
            ("huber(beta=1)", "unknown argument \"beta\"; huber has delta"),
            ("huber(0)", "delta of huber is 0, but it must be above 0"),
            ("mse(1)", "mse has no arguments"),
            ("pinball(0.5, 0.1)", "must rise"),
            ("pinball(1)", "the quantile 1, but it must lie between 0 and 1"),
            ("poisson-nll(full=yes)", "full of poisson-nll is \"yes\", not true or false"),
            ("cross-entropy(label-smoothing=2)", "must be from 0 to 1"),
        ] {
            let said = text.parse::<Loss>().unwrap_err().to_string();
            assert!(said.starts_with("loss: ") && said.contains(want), "{said}");
        }
    }
}
