//! The table of optimizers: for each its settings, what it keeps, and its formulas as expressions.
//!
//! An optimizer is a row here, with everything that its formulas take, including the numbers that change from step to step.
//! Plans turn these expressions into one kernel, `update`.

use super::{Optimizer, OptimizerHostState};
use crate::expr::{Compare, Expr, StepValue};

/// Largest number of states that an optimizer has; the kernel of updates has as many.
pub const MOST_STATES: usize = 3;

/// Settings of an optimizer at most.
pub(super) const MOST_SETTINGS: usize = 8;

/// Range of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// At least 0 and below 1.
    Share,
    /// Finite and 0 or more.
    Positive0,
    /// Finite and above 0.
    Positive,
    /// True or false, kept as 1 or 0.
    Flag,
    /// A whole number from 1 to 20.
    Count,
}

/// A setting: its name in texts, its default, what it may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) default: f64,
    pub(super) range: Range,
}

const fn setting(name: &'static str, default: f64, range: Range) -> Setting {
    Setting { name, default, range }
}

/// Numbers of the step, by their place in [`crate::plan::StepParams::scalars`]: the learning rate, the weight decay, then
/// those of an optimizer's own, the share that averaged weights take of the new ones, and the optimizer's settings.
pub(super) const LR: u8 = 0;
pub(super) const DECAY: u8 = 1;
pub(super) const OWN: u8 = 2;
/// Weight of a step's gradient among those that are accumulated.
pub(in crate::graph) const SHARE: u8 = 5;
pub(in crate::graph) const AVERAGE: u8 = 6;
/// The first of the settings. They are scalars of the step, so that networks that differ in them alone have one plan.
pub(in crate::graph) const SETTINGS: usize = 7;

/// Places of an expression's inputs.
pub(in crate::graph) mod input {
    pub(in crate::graph) const WEIGHT: u8 = 0;
    pub(in crate::graph) const GRADIENT: u8 = 1;
    pub(in crate::graph) const STATE: u8 = 2;
    pub(in crate::graph) const GATHERED: u8 = 5;
    pub(in crate::graph) const AVERAGE: u8 = 6;
    pub(in crate::graph) const RATE: u8 = 7;
    pub(in crate::graph) const DECAY: u8 = 8;
    pub(in crate::graph) const TRUST: u8 = 9;
    pub(in crate::graph) const MATRIX: u8 = 10;
    pub(in crate::graph) const CLIP: u8 = 11;
    pub(in crate::graph) const INVERSE: u8 = 12;
}

/// A setting's place among the scalars of a step, and its value there.
pub(super) struct SettingScalar {
    setting: &'static str,
    pub(super) place: usize,
    pub(super) value: f64,
}

/// Returns the scalars that are an optimizer's settings: those that stand in formulas, of means the share that is kept and what
/// it leaves to 1. Few enough that the rows of many networks fit into one uniform.
pub(super) fn setting_scalars(optimizer: &Optimizer) -> impl Iterator<Item = SettingScalar> {
    let of = |(setting, value): (&'static Setting, f64)| {
        let values = match setting.name {
            "beta1" | "beta2" | "alpha" | "rho" => [Some(value), Some(1.0 - value)],
            "momentum" | "eps" => [Some(value), None],
            _ => [None, None],
        };
        values.into_iter().flatten().map(|value| (setting.name, value))
    };
    let scalars = optimizer.settings().flat_map(of).zip(SETTINGS..);
    scalars.map(|((setting, value), place)| SettingScalar { setting, place, value })
}

/// Inputs of an optimizer's step scalars.
pub(super) struct StepInputs<'a> {
    pub(super) optimizer: &'a Optimizer,
    /// The learning rate.
    pub(super) lr: f64,
    /// Updates so far, this one among them.
    pub(super) t: f64,
    /// True if it is the first update.
    pub(super) first: bool,
    /// 1 − β₁ᵗ
    pub(super) correction1: f64,
    /// √(1 − β₂ᵗ)
    pub(super) correction2: f64,
    /// State of the updates before, which this one changes.
    pub(super) past: &'a mut OptimizerHostState,
}

impl StepInputs<'_> {
    /// A setting of the row's own.
    fn of(&self, name: &str) -> f64 {
        self.optimizer.of(name)
    }
}

/// An optimizer's own numbers of a step, which its formulas find by their places.
pub(super) type OwnScalars = fn(StepInputs<'_>) -> [f64; 3];

/// Returns a parameter's learning rate in this step.
pub(super) fn learning_rate() -> Expr {
    Expr::quantity(StepValue::Scalar(LR)) * Expr::input(input::RATE)
}

/// Returns a parameter's weight decay in this step.
pub(super) fn weight_decay() -> Expr {
    Expr::quantity(StepValue::Scalar(DECAY)) * Expr::input(input::DECAY)
}

/// Terms of a row's formulas.
pub(super) struct Terms<'a> {
    optimizer: &'a Optimizer,
    /// The gradient, after all transforms of it.
    pub(super) g: Expr,
}

impl<'a> Terms<'a> {
    pub(super) fn new(optimizer: &'a Optimizer, g: Expr) -> Self {
        Self { optimizer, g }
    }

    /// A setting of the row's own, which each step brings along.
    fn of(&self, name: &str) -> Expr {
        self.scalar(name, 0)
    }

    /// 1 − a setting that is a share; computed in f64, since 1 − β in f32 would lose digits.
    fn rest(&self, name: &str) -> Expr {
        self.scalar(name, 1)
    }

    fn scalar(&self, name: &str, which: usize) -> Expr {
        let places = setting_scalars(self.optimizer).filter(|it| it.setting == name);
        let place = places.map(|it| it.place).nth(which).expect("the row has this setting");
        Expr::quantity(StepValue::Scalar(u8::try_from(place).expect("there are a few scalars")))
    }

    /// A setting on which the form of the formulas depends.
    fn number(&self, name: &str) -> f64 {
        self.optimizer.of(name)
    }

    fn on(&self, name: &str) -> bool {
        self.number(name) != 0.0
    }

    fn w(&self) -> Expr {
        Expr::input(input::WEIGHT)
    }

    fn state(&self, index: u8) -> Expr {
        Expr::input(input::STATE + index)
    }

    /// One of the step's numbers that are the optimizer's own.
    fn own(&self, index: u8) -> Expr {
        Expr::quantity(StepValue::Scalar(OWN + index))
    }

    /// Returns the factor of this parameter's learning rate.
    fn share(&self) -> Expr {
        Expr::input(input::RATE)
    }

    fn lr(&self) -> Expr {
        learning_rate()
    }

    fn decay(&self) -> Expr {
        if self.on("weight-decay") { weight_decay() } else { Expr::constant(0.0) }
    }

    /// g + wd·w
    fn coupled(&self) -> Expr {
        &self.g + self.decay() * self.w()
    }

    /// w − lr·wd·w
    fn kept(&self) -> Expr {
        self.w() * (1.0 - self.lr() * self.decay())
    }

    /// Gradient and weight after decay of either kind.
    fn decayed(&self, decoupled: bool) -> (Expr, Expr) {
        if decoupled { (self.g.clone(), self.kept()) } else { (self.coupled(), self.w()) }
    }

    /// A running mean: β x + (1 − β) y
    fn mean(&self, beta: &str, x: Expr, y: Expr) -> Expr {
        self.of(beta) * x + self.rest(beta) * y
    }

    /// The running means of Adam's family, in states 0 and 1.
    fn moments(&self, g: &Expr) -> (Expr, Expr) {
        (
            self.mean("beta1", self.state(0), g.clone()),
            self.mean("beta2", self.state(1), g.square()),
        )
    }
}

/// Work between an optimizer's two passes, of which the first leaves a direction in the last state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BetweenPasses {
    /// Each parameter's norm over that of its direction becomes its trust ratio.
    Norms,
    /// The directions of matrices are made orthogonal, nearly, by Newton and Schulz's iteration.
    Orthogonal {
        /// Turns of the iteration.
        turns: u32,
        /// Keeps the norm that the directions are divided by from 0.
        eps: f64,
        /// True if trust ratios are 0.2 √max(rows, columns), so that moves are as long as `AdamW`'s; else
        /// √max(1, rows / columns).
        match_rms: bool,
    },
}

/// A value that follows from a row's settings.
type FromSettings<T> = fn(&Terms<'_>) -> T;

/// A row.
pub(super) struct OptimizerRow {
    pub(super) name: &'static str,
    pub(super) settings: &'static [Setting],
    /// PyTorch's learning rate where none is given.
    pub(super) lr: f64,
    /// Names of the arenas it keeps under these settings.
    pub(super) states: FromSettings<&'static [&'static str]>,
    /// New values: of the weight, then of each state.
    pub(super) formulas: FromSettings<Vec<Expr>>,
    /// Numbers of its own that the formulas take and that change from step to step.
    pub(super) scalars: OwnScalars,
    /// Of those that take two passes: what happens in between, and the second one's new value of the weight.
    pub(super) second: Option<(FromSettings<BetweenPasses>, FromSettings<Expr>)>,
    /// Which state holds the weights that are for use, where those that gradients are taken at are others.
    pub(super) evaluated: Option<usize>,
}

impl std::fmt::Debug for OptimizerRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const WEIGHT_DECAY: Setting = setting("weight-decay", 0.0, Range::Positive0);
const BETA1: Setting = setting("beta1", 0.9, Range::Share);
const BETA2: Setting = setting("beta2", 0.999, Range::Share);
const EPS: Setting = setting("eps", 1e-8, Range::Positive);
const DECOUPLED: Setting = setting("decoupled", 0.0, Range::Flag);

macro_rules! method {
    ($name:literal, $lr:literal, [$($setting:expr),*], $states:expr, $formulas:expr) => {
        method!($name, $lr, [$($setting),*], $states, $formulas, |_| [0.0; 3])
    };
    ($name:literal, $lr:literal, [$($setting:expr),*], $states:expr, $formulas:expr, $scalars:expr) => {
        OptimizerRow {
            name: $name,
            settings: &[$($setting),*],
            lr: $lr,
            states: $states,
            formulas: $formulas,
            scalars: $scalars,
            second: None,
            evaluated: None,
        }
    };
}

/// Rows of an optimizer of the user's own, whose formulas are its text; the one number of its own is that of the update. The second
/// one is for texts that do not read the weight decay.
pub(super) static CUSTOM: [OptimizerRow; 2] = [custom(&[WEIGHT_DECAY]), custom(&[])];

const fn custom(settings: &'static [Setting]) -> OptimizerRow {
    let formulas = |t: &Terms<'_>| t.optimizer.own_formulas(&t.g);
    let row = method!("custom", 1e-3, [], |_| &[], formulas, |step| [step.t, 0.0, 0.0]);
    OptimizerRow { settings, ..row }
}

/// Every optimizer, in the order in which help texts list them.
pub(super) static METHODS: [OptimizerRow; 13] = [
    method!(
        "sgd",
        1e-3,
        [
            setting("momentum", 0.0, Range::Share),
            setting("dampening", 0.0, Range::Positive0),
            setting("nesterov", 0.0, Range::Flag),
            WEIGHT_DECAY
        ],
        |t| if t.on("momentum") { &["velocity"] } else { &[] },
        sgd,
        |step| [if step.first { 1.0 } else { 1.0 - step.of("dampening") }, 0.0, 0.0]
    ),
    method!(
        "adam",
        1e-3,
        [BETA1, BETA2, EPS, WEIGHT_DECAY, setting("amsgrad", 0.0, Range::Flag)],
        |t| if t.on("amsgrad") { &["m", "v", "largest_v"] } else { &["m", "v"] },
        |t| adam(t, false),
        |step| [step.lr / step.correction1, step.correction2, 0.0]
    ),
    method!(
        "adamw",
        1e-3,
        [
            BETA1,
            BETA2,
            EPS,
            setting("weight-decay", 0.01, Range::Positive0),
            setting("amsgrad", 0.0, Range::Flag)
        ],
        |t| if t.on("amsgrad") { &["m", "v", "largest_v"] } else { &["m", "v"] },
        |t| adam(t, true),
        |step| [step.lr / step.correction1, step.correction2, 0.0]
    ),
    method!(
        "rmsprop",
        1e-2,
        [
            setting("alpha", 0.99, Range::Share),
            EPS,
            WEIGHT_DECAY,
            setting("momentum", 0.0, Range::Share),
            setting("centered", 0.0, Range::Flag)
        ],
        |t| match (t.on("centered"), t.on("momentum")) {
            (false, false) => &["square_mean"],
            (false, true) => &["square_mean", "velocity"],
            (true, false) => &["square_mean", "mean"],
            (true, true) => &["square_mean", "mean", "velocity"],
        },
        rmsprop
    ),
    method!(
        "adagrad",
        1e-2,
        [
            setting("lr-decay", 0.0, Range::Positive0),
            WEIGHT_DECAY,
            setting("initial-accumulator", 0.0, Range::Positive0),
            setting("eps", 1e-10, Range::Positive)
        ],
        |_| &["sum"],
        |t| {
            let g = t.coupled();
            let sum = t.state(0) + t.own(0) + g.square();
            vec![t.w() - t.own(1) * t.share() * g / (sum.sqrt() + t.of("eps")), sum]
        },
        |step| {
            let start = if step.first { step.of("initial-accumulator") } else { 0.0 };
            [start, step.lr / (1.0 + (step.t - 1.0) * step.of("lr-decay")), 0.0]
        }
    ),
    method!(
        "adadelta",
        1.0,
        [setting("rho", 0.9, Range::Share), setting("eps", 1e-6, Range::Positive), WEIGHT_DECAY],
        |_| &["square_mean", "change_mean"],
        |t| {
            let (g, eps) = (t.coupled(), t.of("eps"));
            let square = t.mean("rho", t.state(0), g.square());
            let change = (t.state(1) + &eps).sqrt() / (&square + eps).sqrt() * g;
            let changes = t.mean("rho", t.state(1), change.square());
            vec![t.w() - t.lr() * change, square, changes]
        }
    ),
    method!(
        "adamax",
        2e-3,
        [BETA1, BETA2, EPS, WEIGHT_DECAY],
        |_| &["m", "largest"],
        |t| {
            let g = t.coupled();
            let m = t.mean("beta1", t.state(0), g.clone());
            let largest = (t.of("beta2") * t.state(1)).max(&(g.abs() + t.of("eps")));
            vec![t.w() - t.own(0) * t.share() * &m / &largest, m, largest]
        },
        |step| [step.lr / step.correction1, 0.0, 0.0]
    ),
    method!(
        "nadam",
        2e-3,
        [
            BETA1,
            BETA2,
            EPS,
            WEIGHT_DECAY,
            setting("momentum-decay", 4e-3, Range::Positive0),
            DECOUPLED
        ],
        |_| &["m", "v"],
        |t| {
            let (g, w) = t.decayed(t.on("decoupled"));
            let (m, v) = t.moments(&g);
            let divisor = v.sqrt() / t.own(2) + t.of("eps");
            let change = (t.own(0) * g + t.own(1) * &m) / divisor;
            vec![w - t.share() * change, m, v]
        },
        nadam_scalars
    ),
    method!(
        "radam",
        1e-3,
        [BETA1, BETA2, EPS, WEIGHT_DECAY, DECOUPLED],
        |_| &["m", "v"],
        |t| {
            let (g, w) = t.decayed(t.on("decoupled"));
            let (m, v) = t.moments(&g);
            let change = (t.own(0) / (v.sqrt() + t.of("eps")) + t.own(1)) * &m;
            vec![w - t.share() * change, m, v]
        },
        radam_scalars
    ),
    method!(
        "lion",
        1e-4,
        [BETA1, setting("beta2", 0.99, Range::Share), WEIGHT_DECAY],
        |_| &["m"],
        |t| {
            let direction = t.mean("beta1", t.state(0), t.g.clone()).sign();
            let m = t.mean("beta2", t.state(0), t.g.clone());
            vec![t.kept() - t.lr() * direction, m]
        }
    ),
    OptimizerRow {
        name: "lamb",
        settings: &[
            BETA1,
            BETA2,
            setting("eps", 1e-6, Range::Positive),
            setting("weight-decay", 0.01, Range::Positive0),
        ],
        lr: 1e-3,
        states: |_| &["m", "v", "direction"],
        formulas: |t| {
            let (m, v) = t.moments(&t.g);
            let divisor = v.sqrt() / t.own(1) + t.of("eps");
            let direction = t.own(0) * &m / divisor + t.decay() * t.w();
            vec![t.w(), m, v, direction]
        },
        scalars: |step| [1.0 / step.correction1, step.correction2, 0.0],
        second: Some((
            |_| BetweenPasses::Norms,
            |t| t.w() - t.lr() * Expr::input(input::TRUST) * t.state(2),
        )),
        evaluated: None,
    },
    OptimizerRow {
        name: "muon",
        settings: &[
            setting("momentum", 0.95, Range::Share),
            setting("nesterov", 1.0, Range::Flag),
            setting("weight-decay", 0.1, Range::Positive0),
            setting("eps", 1e-7, Range::Positive),
            setting("steps", 5.0, Range::Count),
            setting("match-rms", 0.0, Range::Flag),
            BETA1,
            BETA2,
        ],
        lr: 1e-3,
        states: |_| &["m", "v", "direction"],
        formulas: muon,
        scalars: |step| [1.0 / step.correction1, step.correction2, 0.0],
        second: Some((
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 20")]
            |t| BetweenPasses::Orthogonal {
                turns: t.number("steps") as u32,
                eps: t.number("eps"),
                match_rms: t.on("match-rms"),
            },
            |t| t.kept() - t.lr() * Expr::input(input::TRUST) * t.state(2),
        )),
        evaluated: None,
    },
    OptimizerRow {
        name: "schedule-free",
        settings: &[
            BETA1,
            BETA2,
            EPS,
            WEIGHT_DECAY,
            setting("r", 0.0, Range::Positive0),
            setting("lr-power", 2.0, Range::Positive0),
        ],
        lr: 2.5e-3,
        states: |_| &["z", "v", "x"],
        formulas: schedule_free,
        scalars: schedule_free_scalars,
        second: None,
        evaluated: Some(2),
    },
];

/// v ← µ v + (1 − dampening) g, of the first step v ← g
fn sgd(t: &Terms<'_>) -> Vec<Expr> {
    let g = t.coupled();
    if !t.on("momentum") {
        return vec![t.w() - t.lr() * g];
    }
    let momentum = t.of("momentum");
    let share = if t.on("dampening") { t.own(0) } else { Expr::constant(1.0) };
    let velocity = &momentum * t.state(0) + share * &g;
    let change = if t.on("nesterov") { g + momentum * &velocity } else { velocity.clone() };
    vec![t.w() - t.lr() * change, velocity]
}

/// The lengths of the move along the gradient and along its mean, with Nesterov's look ahead.
fn nadam_scalars(step: StepInputs<'_>) -> [f64; 3] {
    let (beta1, decay) = (step.of("beta1"), step.of("momentum-decay"));
    let share = |t: f64| beta1 * (1.0 - 0.5 * 0.96_f64.powf(t * decay));
    let StepInputs { lr, t, correction2, past, .. } = step;
    past.product *= share(t);
    let next = share(t + 1.0);
    [
        lr * (1.0 - share(t)) / (1.0 - past.product),
        lr * next / (1.0 - past.product * next),
        correction2,
    ]
}

/// Length of the update with the second mean, once that mean is of enough gradients, or without it.
fn radam_scalars(step: StepInputs<'_>) -> [f64; 3] {
    let beta2 = step.of("beta2");
    let StepInputs { lr, t, correction1, correction2, .. } = step;
    let all = 2.0 / (1.0 - beta2) - 1.0;
    let power = beta2.powf(t);
    let now = all - 2.0 * t * power / (1.0 - power);
    if now > 5.0 {
        let wide = (now - 4.0) * (now - 2.0) * all;
        let rectified = (wide / ((all - 4.0) * (all - 2.0) * now)).sqrt();
        [lr / correction1 * correction2 * rectified, 0.0, 0.0]
    } else {
        [0.0, lr / correction1, 0.0]
    }
}

fn adam(t: &Terms<'_>, decoupled: bool) -> Vec<Expr> {
    let (g, w) = t.decayed(decoupled);
    let (m, v) = t.moments(&g);
    let largest = if t.on("amsgrad") { t.state(2).max(&v) } else { v.clone() };
    let divisor = largest.sqrt() / t.own(1) + t.of("eps");
    let mut new = vec![w - t.own(0) * t.share() * &m / divisor, m, v];
    if t.on("amsgrad") {
        new.push(largest);
    }
    new
}

fn rmsprop(t: &Terms<'_>) -> Vec<Expr> {
    let g = t.coupled();
    let square = t.mean("alpha", t.state(0), g.square());
    let mut states = vec![square.clone()];
    let mut variance = square;
    if t.on("centered") {
        let mean = t.mean("alpha", t.state(1), g.clone());
        // Rounding may take it below 0.
        variance = (&variance - mean.square()).max(&Expr::constant(0.0));
        states.push(mean);
    }
    let mut change = g / (variance.sqrt() + t.of("eps"));
    if t.on("momentum") {
        let index = if t.on("centered") { 2 } else { 1 };
        change = t.of("momentum") * t.state(index) + change;
        states.push(change.clone());
    }
    let mut new = vec![t.w() - t.lr() * change];
    new.extend(states);
    new
}

/// Direction of `AdamW` for parameters that are not matrices, in the same states.
fn muon(t: &Terms<'_>) -> Vec<Expr> {
    let (momentum, matrix) = (t.of("momentum"), Expr::input(input::MATRIX));
    let of = |yes: &Expr, no: &Expr| Expr::select(Compare::Eq, &matrix, &1.0.into(), yes, no);
    let velocity = &momentum * t.state(0) + &t.g;
    let ahead = if t.on("nesterov") { &t.g + momentum * &velocity } else { velocity.clone() };
    let (m, v) = t.moments(&t.g);
    let adam = t.own(0) * &m / (v.sqrt() / t.own(1) + 1e-8);
    vec![t.w(), of(&velocity, &m), v, of(&ahead, &adam)]
}

/// The weight of where z is now in x, the mean of where z has been; and whether it is the first step.
fn schedule_free_scalars(step: StepInputs<'_>) -> [f64; 3] {
    let (r, lr_power) = (step.of("r"), step.of("lr-power"));
    let StepInputs { lr, t, first, correction2, past, .. } = step;
    past.largest = past.largest.max(lr);
    let weight = t.powf(r) * past.largest.powf(lr_power);
    past.sum += weight;
    // As long as all rates are 0, nothing has moved.
    let share = if past.sum > 0.0 { weight / past.sum } else { 1.0 };
    [share, correction2, f64::from(u8::from(first))]
}

/// Gradients are taken at y = w, between z, which is updated, and x, the mean of the values of z.
fn schedule_free(t: &Terms<'_>) -> Vec<Expr> {
    let y = t.w();
    let (share, first) = (t.own(0), t.own(2));
    // All three begin where the weights do.
    let begun = |state: Expr| Expr::select(Compare::Eq, &first, &1.0.into(), &y, &state);
    let (z, x) = (begun(t.state(0)), begun(t.state(2)));
    let v = t.mean("beta2", t.state(1), t.g.square());
    let change = &t.g / (v.sqrt() / t.own(1) + t.of("eps")) + t.decay() * &y;
    let moved = &z - t.lr() * &change;
    let mean = (1.0 - &share) * x + &share * &moved;
    // y + c (z − y) − lr (1 − β + β c) change
    let step = t.lr() * (t.rest("beta1") + t.of("beta1") * &share) * change;
    vec![&y + &share * (z - &y) - step, moved, v, mean]
}
