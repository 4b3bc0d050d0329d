//! Optimizers: names, settings and how much state each keeps.
//! The formulas live with the kernels `update_sgd` and `update_adam`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How parameters move against their gradients. Formulas and defaults are those of `torch.optim`.
/// The learning rate is not part of it: a schedule gives one for each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// g ← g + wd·w;  v ← µ v + g;  w ← w − lr (nesterov ? g + µ v : v)
    Sgd {
        /// µ, 0 for none.
        momentum: f64,
        /// Whether to look ahead along the momentum.
        nesterov: bool,
        /// wd, coupled.
        weight_decay: f64,
    },
    /// g ← g + wd·w, then m, v running means of g and g²;
    /// w ← w − lr m̂ / (√v̂ + eps)  (Kingma and Ba 2014, arXiv:1412.6980)
    Adam {
        /// Decay of m.
        beta1: f64,
        /// Decay of v.
        beta2: f64,
        /// Keeps the divisor from 0.
        eps: f64,
        /// wd, coupled.
        weight_decay: f64,
    },
    /// w ← w − lr·wd·w, then Adam without decay  (Loshchilov and Hutter 2017, arXiv:1711.05101)
    AdamW {
        /// Decay of m.
        beta1: f64,
        /// Decay of v.
        beta2: f64,
        /// Keeps the divisor from 0.
        eps: f64,
        /// wd, decoupled.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// The names in options and files.
    pub const NAMES: [&str; 3] = ["sgd", "adam", "adamw"];

    /// An optimizer with PyTorch's defaults, by name.
    ///
    /// # Errors
    /// If there is none of this name; the message lists the known ones.
    pub fn by_name(name: &str) -> Result<Self> {
        let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
        match name.to_ascii_lowercase().as_str() {
            "sgd" => Ok(Self::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }),
            "adam" => Ok(Self::Adam { beta1, beta2, eps, weight_decay: 0.0 }),
            "adamw" => Ok(Self::AdamW { beta1, beta2, eps, weight_decay: 0.01 }),
            _ => Err(Error::setting(
                "--optimizer",
                format!("unknown name \"{name}\"; known: {}", Self::NAMES.join(", ")),
            )),
        }
    }

    /// The name in options and files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
        }
    }

    /// Names of the arenas of state it keeps, each as large as the parameters.
    pub fn states(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum, .. } if *momentum == 0.0 => &[],
            Self::Sgd { .. } => &["velocity"],
            Self::Adam { .. } | Self::AdamW { .. } => &["m", "v"],
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one lies outside of what it may be; the message names it.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: f64, fits: bool, range: &str| {
            if fits {
                Ok(())
            } else {
                Err(Error::setting(name, format!("{value}, but it must be {range}")))
            }
        };
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => {
                within(
                    "--momentum",
                    momentum,
                    (0.0..1.0).contains(&momentum),
                    "at least 0 and below 1",
                )?;
                if nesterov && momentum == 0.0 {
                    return Err(Error::setting("--nesterov", "it needs a --momentum above 0"));
                }
                within(
                    "--weight-decay",
                    weight_decay,
                    weight_decay >= 0.0 && weight_decay.is_finite(),
                    "a finite number of 0 or more",
                )
            }
            Self::Adam { beta1, beta2, eps, weight_decay }
            | Self::AdamW { beta1, beta2, eps, weight_decay } => {
                within("--beta1", beta1, (0.0..1.0).contains(&beta1), "at least 0 and below 1")?;
                within("--beta2", beta2, (0.0..1.0).contains(&beta2), "at least 0 and below 1")?;
                within("--eps", eps, eps > 0.0 && eps.is_finite(), "a finite number above 0")?;
                within(
                    "--weight-decay",
                    weight_decay,
                    weight_decay >= 0.0 && weight_decay.is_finite(),
                    "a finite number of 0 or more",
                )
            }
        }
    }

    /// Divisors that undo the running means' start at zero, at step t (from 1): 1 − β₁ᵗ and √(1 − β₂ᵗ).
    pub fn corrections(&self, t: u64) -> (f64, f64) {
        let t = i32::try_from(t).unwrap_or(i32::MAX);
        match *self {
            Self::Sgd { .. } => (1.0, 1.0),
            Self::Adam { beta1, beta2, .. } | Self::AdamW { beta1, beta2, .. } => {
                (1.0 - beta1.powi(t), (1.0 - beta2.powi(t)).sqrt())
            }
        }
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_checked_defaults() {
        for name in Optimizer::NAMES {
            let optimizer = Optimizer::by_name(name).unwrap();
            assert_eq!(optimizer.name(), name);
            optimizer.check().unwrap();
        }
        assert!(Optimizer::by_name("sdg").unwrap_err().to_string().contains("sgd, adam, adamw"));
        assert_eq!(Optimizer::default(), Optimizer::by_name("adamw").unwrap());
    }

    #[test]
    fn impossible_settings_name_themselves() {
        let bad = Optimizer::Sgd { momentum: 1.0, nesterov: false, weight_decay: 0.0 };
        assert_eq!(
            bad.check().unwrap_err().to_string(),
            "--momentum: 1, but it must be at least 0 and below 1"
        );
        let bad = Optimizer::Adam { beta1: 0.9, beta2: f64::NAN, eps: 1e-8, weight_decay: 0.0 };
        assert!(bad.check().unwrap_err().to_string().contains("--beta2"));
        let bad = Optimizer::Sgd { momentum: 0.0, nesterov: true, weight_decay: 0.0 };
        assert!(bad.check().unwrap_err().to_string().contains("--nesterov"));
    }

    #[test]
    fn corrections_start_at_the_decay() {
        let (first, second) = Optimizer::default().corrections(1);
        assert!((first - 0.1).abs() < 1e-12 && (second - 0.001_f64.sqrt()).abs() < 1e-12);
        assert_eq!(Optimizer::default().corrections(u64::MAX), (1.0, 1.0));
    }
}
