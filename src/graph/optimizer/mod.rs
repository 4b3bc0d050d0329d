//! Optimizers: names, settings and the state that each keeps.
//!
//! In: a name or a text with settings. Out: an [`Optimizer`], its formulas, and the numbers of each update
//! ([`OptimizerSchedule`]). The formulas are rows of `specs.rs`; those of plain SGD, Adam and `AdamW` are also in the
//! kernels `update_sgd` and `update_adam`, which are faster.

mod specs;
mod step_scalars;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::shape::short;
use crate::vocabulary::{Call, Entry};

pub use specs::BetweenPasses;
pub(super) use specs::{AVERAGE, SHARE, input};
use specs::{METHODS, MOST_SETTINGS, OptimizerRow, Range, Setting, Terms};
pub use step_scalars::{OptimizerHostState, OptimizerSchedule, UpdateContext, UpdateScalars};

/// Update of parameters against their gradients. Formulas and defaults are those of `torch.optim`, or of the papers that
/// [`Optimizer::VOCABULARY`] names. The learning rate is not part of the optimizer: a schedule gives one for each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Optimizer {
    /// g ← g + wd·w;  v ← µ v + g;  w ← w − lr (nesterov ? g + µ v : v)
    Sgd {
        /// µ, 0 for none.
        momentum: f64,
        /// True to look ahead along the momentum.
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
    /// Any other optimizer, and those above with settings that they do not have here: from [`Optimizer::by_name`].
    Other(OptimizerSpec),
}

/// A row of the table of optimizers with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSpec {
    /// Index of the row.
    method: u8,
    /// Values in the order of the row's settings; 0 beyond.
    values: [f64; MOST_SETTINGS],
}

/// Settings that are options of their own too.
const OPTIONS: [&str; 6] = ["weight-decay", "momentum", "nesterov", "beta1", "beta2", "eps"];

impl OptimizerSpec {
    fn method(&self) -> &'static OptimizerRow {
        &METHODS[usize::from(self.method)]
    }

    fn settings(&self) -> impl Iterator<Item = (&'static Setting, f64)> {
        self.method().settings.iter().zip(self.values)
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.settings().find(|(setting, _)| setting.name == name).map(|(_, value)| value)
    }

    /// Returns the value of a setting that the row has.
    fn of(&self, name: &str) -> f64 {
        self.get(name).expect("the optimizer has this setting")
    }

    fn put(&mut self, name: &str, value: f64) {
        let place = self.method().settings.iter().position(|it| it.name == name);
        self.values[place.expect("the optimizer has this setting")] = value;
    }

    /// Returns a row with its defaults, by name.
    fn by_name(name: &str) -> Option<Self> {
        let (method, row) = (0_u8..).zip(&METHODS).find(|(_, row)| row.name == name)?;
        let mut values = [0.0; MOST_SETTINGS];
        values.iter_mut().zip(row.settings).for_each(|(to, setting)| *to = setting.default);
        Some(Self { method, values })
    }

    fn terms(&self, g: Expr) -> Terms<'_> {
        Terms::new(self, g)
    }
}

impl Optimizer {
    /// Names in options and files.
    pub const NAMES: [&str; 13] = [
        "sgd",
        "adam",
        "adamw",
        "rmsprop",
        "adagrad",
        "adadelta",
        "adamax",
        "nadam",
        "radam",
        "lion",
        "lamb",
        "muon",
        "schedule-free",
    ];

    /// Entries for the document of the vocabulary.
    pub const VOCABULARY: &'static [Entry] = vocabulary::VOCABULARY;

    /// Makes an optimizer with PyTorch's defaults, by name, or with settings: `adam(amsgrad=true, beta1=0.8)`.
    ///
    /// # Errors
    /// If there is no optimizer of this name, or it has no such setting; the message lists the known ones.
    pub fn by_name(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::setting("optimizer", problem);
        let mut call = Call::parse("optimizer", text)?;
        let name = call.name().to_string();
        let rule = OptimizerSpec::by_name(&name).ok_or_else(|| {
            wrong(format!("unknown name \"{name}\"; known: {}", Self::NAMES.join(", ")))
        })?;
        // Settings are looked up in the row, so that a new optimizer needs no code here.
        let mut optimizer = Self::of_rule(rule);
        for (key, value) in call.settings()? {
            let range = rule.method().settings.iter().find(|it| it.name == key).map(|it| it.range);
            let Some(range) = range else {
                let known: Vec<_> = rule.method().settings.iter().map(|it| it.name).collect();
                let known = known.join(", ");
                return Err(wrong(format!("{name} has no setting \"{key}\"; it has {known}")));
            };
            let number = match (range, value.as_str()) {
                (Range::Flag, "true") => Some(1.0),
                (Range::Flag, "false") => Some(0.0),
                (Range::Flag, _) => None,
                _ => value.parse().ok(),
            };
            let wanted = if range == Range::Flag { "true or false" } else { "a number" };
            let number =
                number.ok_or_else(|| wrong(format!("{key}: \"{value}\" is not {wanted}")))?;
            optimizer.set(&key, number)?;
        }
        Ok(optimizer)
    }

    /// The row that says all of it.
    fn rule(&self) -> OptimizerSpec {
        let named = |name: &str, settings: &[(&str, f64)]| {
            let mut rule =
                OptimizerSpec::by_name(name).expect("the table has all plain optimizers");
            settings.iter().for_each(|&(name, value)| rule.put(name, value));
            rule
        };
        let moments = |beta1, beta2, eps, decay| {
            [("beta1", beta1), ("beta2", beta2), ("eps", eps), ("weight-decay", decay)]
        };
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => named(
                "sgd",
                &[
                    ("momentum", momentum),
                    ("nesterov", f64::from(u8::from(nesterov))),
                    ("weight-decay", weight_decay),
                ],
            ),
            Self::Adam { beta1, beta2, eps, weight_decay } => {
                named("adam", &moments(beta1, beta2, eps, weight_decay))
            }
            Self::AdamW { beta1, beta2, eps, weight_decay } => {
                named("adamw", &moments(beta1, beta2, eps, weight_decay))
            }
            Self::Other(rule) => rule,
        }
    }

    /// The same in its plain form, where there is one.
    fn of_rule(rule: OptimizerSpec) -> Self {
        let of = |name: &str| rule.of(name);
        let weight_decay = of("weight-decay");
        let means = || (of("beta1"), of("beta2"), of("eps"));
        match rule.method().name {
            "sgd" if of("dampening") == 0.0 => Self::Sgd {
                momentum: of("momentum"),
                nesterov: of("nesterov") != 0.0,
                weight_decay,
            },
            "adam" if of("amsgrad") == 0.0 => {
                let (beta1, beta2, eps) = means();
                Self::Adam { beta1, beta2, eps, weight_decay }
            }
            "adamw" if of("amsgrad") == 0.0 => {
                let (beta1, beta2, eps) = means();
                Self::AdamW { beta1, beta2, eps, weight_decay }
            }
            _ => Self::Other(rule),
        }
    }

    /// The name in options and files.
    pub fn name(&self) -> &'static str {
        self.rule().method().name
    }

    /// PyTorch's learning rate, or the paper's, for where none is given.
    pub fn default_lr(&self) -> f64 {
        self.rule().method().lr
    }

    /// Names of the arenas of state it keeps, each as large as the parameters.
    pub fn states(&self) -> &'static [&'static str] {
        let rule = self.rule();
        (rule.method().states)(&rule.terms(Expr::constant(0.0)))
    }

    /// Which state holds the weights for use, if they are not those that gradients are taken at.
    pub fn evaluated(&self) -> Option<usize> {
        self.rule().method().evaluated
    }

    /// New values of the weight and of each state, from a gradient.
    pub(super) fn formulas(&self, gradient: Expr) -> Vec<Expr> {
        let rule = self.rule();
        (rule.method().formulas)(&rule.terms(gradient))
    }

    /// The weight's new value by a second pass; `None` for those that take one.
    pub(super) fn second(&self) -> Option<Expr> {
        let rule = self.rule();
        rule.method().second.map(|(_, second)| second(&rule.terms(Expr::constant(0.0))))
    }

    /// Returns the work between two passes; `None` for optimizers with one pass.
    pub fn between(&self) -> Option<BetweenPasses> {
        let rule = self.rule();
        rule.method().second.map(|(between, _)| between(&rule.terms(Expr::constant(0.0))))
    }

    /// A setting's value; `None` if it has none of this name. Flags are 1 or 0.
    pub fn setting(&self, name: &str) -> Option<f64> {
        self.rule().get(name)
    }

    /// Returns whether it has a setting of this name.
    ///
    /// # Errors
    /// If it has not; the message says whose it is.
    pub fn must_have(&self, name: &str) -> Result<()> {
        if self.setting(name).is_none() {
            return Err(Error::setting(
                place(name),
                format!(
                    "the optimizer {} has no such setting; it belongs to {}",
                    self.name(),
                    owners(name)
                ),
            ));
        }
        Ok(())
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// If it has none of this name; the message says whose it is.
    pub fn set(&mut self, name: &str, value: f64) -> Result<()> {
        self.must_have(name)?;
        let mut rule = self.rule();
        rule.put(name, value);
        *self = Self::of_rule(rule);
        Ok(())
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one lies outside of what it may be; the message names it.
    pub fn check(&self) -> Result<()> {
        let rule = self.rule();
        for (setting, value) in rule.settings() {
            let (fits, range) = match setting.range {
                Range::Share => ((0.0..1.0).contains(&value), "at least 0 and below 1"),
                Range::Positive0 => {
                    (value >= 0.0 && value.is_finite(), "a finite number of 0 or more")
                }
                Range::Positive => (value > 0.0 && value.is_finite(), "a finite number above 0"),
                Range::Flag => (value == 0.0 || value == 1.0, "true or false"),
                Range::Count => (
                    (1.0..=20.0).contains(&value) && value.fract() == 0.0,
                    "a whole number from 1 to 20",
                ),
            };
            if !fits {
                let problem = format!("{}, but it must be {range}", short(value));
                let own = OPTIONS.contains(&setting.name);
                let problem = if own { problem } else { format!("{}: {problem}", setting.name) };
                return Err(Error::setting(place(setting.name), problem));
            }
        }
        if rule.method().name != "sgd" {
            return Ok(());
        }
        let dampening = rule.of("dampening");
        if rule.of("nesterov") != 0.0 {
            if rule.of("momentum") == 0.0 {
                return Err(Error::setting("nesterov", "it needs a ‘momentum’ above 0"));
            }
            if dampening != 0.0 {
                return Err(Error::setting("nesterov", "it needs a dampening of 0"));
            }
        }
        if dampening > 1.0 {
            let problem = format!("dampening: {dampening}, but it must be at most 1");
            return Err(Error::setting("optimizer", problem));
        }
        Ok(())
    }

    /// Divisors that undo the running means' start at zero, at step t (from 1): 1 − β₁ᵗ and √(1 − β₂ᵗ).
    pub fn corrections(&self, t: u64) -> (f64, f64) {
        let t = i32::try_from(t).unwrap_or(i32::MAX);
        let rule = self.rule();
        match (rule.get("beta1"), rule.get("beta2")) {
            (Some(beta1), Some(beta2)) => (1.0 - beta1.powi(t), (1.0 - beta2.powi(t)).sqrt()),
            _ => (1.0, 1.0),
        }
    }
}

/// Returns the name that errors have for a setting: its own, or that of the optimizer.
fn place(name: &str) -> String {
    if OPTIONS.contains(&name) { name.replace('-', "_") } else { "optimizer".to_string() }
}

/// Who has a setting of this name.
fn owners(name: &str) -> String {
    let has = |row: &&OptimizerRow| row.settings.iter().any(|setting| setting.name == name);
    let names: Vec<_> = METHODS.iter().filter(has).map(|row| row.name).collect();
    match names.as_slice() {
        [] => "none".to_string(),
        [one] => (*one).to_string(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::by_name(text)
    }
}

impl TryFrom<String> for Optimizer {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::by_name(&text)
    }
}

impl From<Optimizer> for String {
    fn from(optimizer: Optimizer) -> Self {
        optimizer.to_string()
    }
}

impl fmt::Display for Optimizer {
    /// The text that [`Optimizer::by_name`] reads, without settings that have their defaults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule();
        let changed = rule.settings().filter(|(setting, value)| *value != setting.default);
        let text = |(setting, value): (&Setting, f64)| match setting.range {
            Range::Flag => format!("{}={}", setting.name, value != 0.0),
            _ => format!("{}={value}", setting.name),
        };
        let changed: Vec<_> = changed.map(text).collect();
        f.write_str(self.name())?;
        if changed.is_empty() { Ok(()) } else { write!(f, "({})", changed.join(", ")) }
    }
}
