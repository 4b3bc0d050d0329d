//! Optimizers: names, settings and the state that each keeps.
//!
//! In: a name or a text with settings. Out: an [`Optimizer`], its formulas, and the numbers of each update
//! ([`OptimizerSchedule`]). The formulas are rows of `specs.rs`.

mod custom;
mod specs;
mod step_scalars;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::shape::short;
use crate::vocabulary::{Call, Entry, name_and_inner, parts, plain};

use custom::CustomOptimizer;
pub use specs::BetweenPasses;
pub use specs::MOST_STATES;
pub(super) use specs::{AVERAGE, SETTINGS, SHARE, input};
use specs::{CUSTOM, METHODS, MOST_SETTINGS, OptimizerRow, Range, Setting, Terms};
pub use step_scalars::{OptimizerHostState, OptimizerSchedule, SCALARS, UpdateContext};

/// Update of parameters against their gradients: a row of the table of optimizers, with its settings. Formulas and defaults
/// are those of `torch.optim`, or of the papers that [`Optimizer::VOCABULARY`] names. The learning rate is not part of the
/// optimizer: a schedule gives one for each step.
///
/// ```
/// use wgrad::graph::Optimizer;
/// let sgd = Optimizer::sgd().with("momentum", 0.9)?.with("nesterov", 1.0)?;
/// assert_eq!(sgd, Optimizer::by_name("sgd(momentum=0.9, nesterov=true)")?);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Optimizer {
    row: RowOf,
    /// Values in the order of the row's settings; 0 beyond.
    values: [f64; MOST_SETTINGS],
}

/// Source of an optimizer's formulas.
#[derive(Clone, Debug, PartialEq)]
enum RowOf {
    /// Index of a row of the table.
    Table(u8),
    /// Assignments of the user's own.
    Custom(Arc<CustomOptimizer>),
}

/// Settings that are options of their own too.
const OPTIONS: [&str; 6] = ["weight-decay", "momentum", "nesterov", "beta1", "beta2", "eps"];

impl Optimizer {
    fn method(&self) -> &'static OptimizerRow {
        match &self.row {
            RowOf::Table(index) => &METHODS[usize::from(*index)],
            RowOf::Custom(custom) => &CUSTOM[usize::from(!custom.decays())],
        }
    }

    fn settings(&self) -> impl Iterator<Item = (&'static Setting, f64)> {
        self.method().settings.iter().zip(self.values)
    }

    /// Returns the value of a setting that the row has.
    fn of(&self, name: &str) -> f64 {
        self.setting(name).expect("the optimizer has this setting")
    }

    /// Returns a row with its defaults, by name.
    fn of_row(name: &str) -> Option<Self> {
        let (index, row) = (0_u8..).zip(&METHODS).find(|(_, row)| row.name == name)?;
        let mut values = [0.0; MOST_SETTINGS];
        values.iter_mut().zip(row.settings).for_each(|(to, setting)| *to = setting.default);
        Some(Self { row: RowOf::Table(index), values })
    }

    /// Returns the new values of an optimizer of the user's own; none for those of the table.
    fn own_formulas(&self, gradient: &Expr) -> Vec<Expr> {
        match &self.row {
            RowOf::Table(_) => vec![],
            RowOf::Custom(custom) => custom.formulas(gradient),
        }
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
        // Assignments are no settings.
        if let Ok((name, inner)) = name_and_inner(text)
            && plain(name) == "custom"
        {
            return Self::custom_with_settings(inner);
        }
        let mut call = Call::parse("optimizer", text)?;
        let name = call.name().to_string();
        let mut optimizer = Self::of_row(&name).ok_or_else(|| {
            wrong(format!("unknown name \"{name}\"; known: {}, custom", Self::NAMES.join(", ")))
        })?;
        // Settings are looked up in the row, so that a new optimizer needs no code here.
        let settings = optimizer.method().settings;
        for (key, value) in call.settings()? {
            let range = settings.iter().find(|it| it.name == key).map(|it| it.range);
            let Some(range) = range else {
                let known: Vec<_> = settings.iter().map(|it| it.name).collect();
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

    /// Makes an optimizer of the user's own from assignments, which are done in their order for each weight:
    /// `v = 0.9 * v + g, w = w - lr * v`.
    ///
    /// `w` is the weight, `g` its gradient after clipping, `lr` the learning rate, `t` the number of this update from 1 on, and
    /// `decay` the weight decay, the setting `weight-decay`. A name that is read before it is assigned is a state, of which
    /// there may be three: it keeps its value from update to update and starts at 0. Any other name is an intermediate value
    /// or a constant. Formulas are computed in single precision.
    ///
    /// ```
    /// use wgrad::graph::Optimizer;
    /// let sign = Optimizer::custom("beta = 0.9, m = beta * m + (1 - beta) * g, w = w - lr * (sign(m) + decay * w)")?;
    /// assert_eq!(sign.states(), ["custom_m"]);
    /// let decaying = sign.with("weight-decay", 0.1)?;
    /// assert_eq!(Optimizer::by_name(&decaying.to_string())?, decaying);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the text is no list of assignments, or assigns nothing to `w`.
    pub fn custom(assignments: &str) -> Result<Self> {
        let custom = CustomOptimizer::new(assignments)?;
        Ok(Self { row: RowOf::Custom(Arc::new(custom)), values: [0.0; MOST_SETTINGS] })
    }

    /// Reads `assignments` with the setting `weight-decay=…` among them.
    fn custom_with_settings(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::setting("optimizer", problem);
        let (settings, assignments): (Vec<&str>, Vec<&str>) =
            parts(text).map_err(wrong)?.into_iter().partition(|part| decay_setting(part).is_some());
        let mut optimizer = Self::custom(&assignments.join(", "))?;
        for value in settings.into_iter().filter_map(decay_setting) {
            let value = value.trim();
            let number = value.parse();
            let number =
                number.map_err(|_| wrong(format!("weight-decay: \"{value}\" is not a number")))?;
            optimizer.set("weight-decay", number)?;
        }
        Ok(optimizer)
    }

    /// Plain stochastic gradient descent; settings are added by [`Self::with`].
    pub fn sgd() -> Self {
        Self::of_row("sgd").expect("the table has sgd")
    }

    /// Adam with its defaults.
    pub fn adam() -> Self {
        Self::of_row("adam").expect("the table has adam")
    }

    /// `AdamW` with its defaults.
    pub fn adamw() -> Self {
        Self::of_row("adamw").expect("the table has adamw")
    }

    /// Returns the same optimizer with another value of a setting; flags are 1 or 0.
    ///
    /// # Errors
    /// If the optimizer has no setting of this name; the message says whose it is.
    pub fn with(mut self, name: &str, value: f64) -> Result<Self> {
        self.set(name, value)?;
        Ok(self)
    }

    /// The name in options and files.
    pub fn name(&self) -> &'static str {
        self.method().name
    }

    /// PyTorch's learning rate, or the paper's, for where none is given.
    pub fn default_lr(&self) -> f64 {
        self.method().lr
    }

    /// Names of the arenas of state it keeps, each as large as the parameters.
    pub fn states(&self) -> Vec<String> {
        match &self.row {
            RowOf::Table(_) => {
                let names = (self.method().states)(&self.terms(Expr::constant(0.0)));
                names.iter().map(ToString::to_string).collect()
            }
            RowOf::Custom(custom) => custom.states(),
        }
    }

    /// Which state holds the weights for use, if they are not those that gradients are taken at.
    pub fn evaluated(&self) -> Option<usize> {
        self.method().evaluated
    }

    /// New values of the weight and of each state, from a gradient.
    pub(super) fn formulas(&self, gradient: Expr) -> Vec<Expr> {
        (self.method().formulas)(&self.terms(gradient))
    }

    /// The weight's new value by a second pass; `None` for those that take one.
    pub(super) fn second(&self) -> Option<Expr> {
        self.method().second.map(|(_, second)| second(&self.terms(Expr::constant(0.0))))
    }

    /// Returns true if a weight whose gradient has always been 0 keeps its bits, as long as it does not decay.
    pub(crate) fn rests_without_gradient(&self) -> bool {
        matches!(self.name(), "sgd" | "adam" | "adamw")
    }

    /// Returns the work between two passes; `None` for optimizers with one pass.
    pub fn between(&self) -> Option<BetweenPasses> {
        self.method().second.map(|(between, _)| between(&self.terms(Expr::constant(0.0))))
    }

    /// A setting's value; `None` if it has none of this name. Flags are 1 or 0.
    pub fn setting(&self, name: &str) -> Option<f64> {
        self.settings().find(|(setting, _)| setting.name == name).map(|(_, value)| value)
    }

    /// Returns true if an option of its own says each setting that differs from its default, such as `weight_decay`.
    #[cfg(feature = "cli")]
    pub(crate) fn is_said_by_options(&self) -> bool {
        let by_options =
            |(it, value): (&Setting, f64)| OPTIONS.contains(&it.name) || value == it.default;
        matches!(self.row, RowOf::Table(_)) && self.settings().all(by_options)
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
        let place = self.method().settings.iter().position(|it| it.name == name);
        self.values[place.expect("the optimizer has this setting")] = value;
        Ok(())
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one lies outside of what it may be; the message names it.
    pub fn check(&self) -> Result<()> {
        for (setting, value) in self.settings() {
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
        if self.name() != "sgd" {
            return Ok(());
        }
        let dampening = self.of("dampening");
        if self.of("nesterov") != 0.0 {
            if self.of("momentum") == 0.0 {
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
        match (self.setting("beta1"), self.setting("beta2")) {
            (Some(beta1), Some(beta2)) => (1.0 - beta1.powi(t), (1.0 - beta2.powi(t)).sqrt()),
            _ => (1.0, 1.0),
        }
    }
}

/// Returns the value of `weight-decay=…`; `None` for assignments.
fn decay_setting(part: &str) -> Option<&str> {
    let (name, value) = part.split_once('=')?;
    (plain(name) == "weight-decay").then_some(value)
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
        Self::adamw()
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
        let changed = self.settings().filter(|(setting, value)| *value != setting.default);
        let text = |(setting, value): (&Setting, f64)| match setting.range {
            Range::Flag => format!("{}={}", setting.name, value != 0.0),
            _ => format!("{}={value}", setting.name),
        };
        let own = match &self.row {
            RowOf::Table(_) => None,
            RowOf::Custom(custom) => Some(custom.to_string()),
        };
        let changed: Vec<_> = own.into_iter().chain(changed.map(text)).collect();
        f.write_str(self.name())?;
        if changed.is_empty() { Ok(()) } else { write!(f, "({})", changed.join(", ")) }
    }
}
