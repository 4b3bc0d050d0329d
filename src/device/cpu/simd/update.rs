//! The optimizers that are used most: passes over the arena written out by hand, in parts that threads share.
//!
//! In: an update's formula, arenas. Out: changed arenas.
//! Absent on purpose: all other updates, which are computed by their expressions.
//!
//! Nothing above knows of these loops: an update is one of them if its program is.

use super::compile::Compiled;
use super::instructions::{SimdLevel, Work};
use super::pool::{Pool, both};
use super::reductions::shared;
use crate::device::cpu::update::{INVERSE, OVERFLOW, UpdateArgs};
use crate::graph::{Optimizer, PassKind, SETTINGS, UpdateTransforms};
use crate::plan::{Formula, StepParams, Update, UpdatePass};

/// An update's expressions, prepared for wide vectors.
#[derive(Debug)]
pub struct CompiledUpdate {
    pub(super) program: Compiled,
    /// The loop that computes the same in less time, if there is one.
    pub(super) known: Option<KnownUpdate>,
}

impl CompiledUpdate {
    /// Prepares an update's expressions.
    pub(in crate::device::cpu) fn of(formula: &Formula, update: &Update) -> Self {
        let program = Compiled::of_update(&formula.program, update);
        Self { program, known: KnownUpdate::of(formula, update) }
    }
}

/// An update that is written out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum KnownUpdate {
    /// Stochastic gradient descent.
    Sgd { momentum: bool, nesterov: bool, decays: bool },
    /// Adam, or `AdamW` if the decay is decoupled.
    Adam { decays: bool, decoupled: bool },
}

impl KnownUpdate {
    /// Returns the loop for a formula. Its text proposes an optimizer; it is that one if the programs are equal.
    fn of(formula: &Formula, update: &Update) -> Option<Self> {
        let Update { pass: PassKind::Whole, table: false, scaled, guarded, .. } = *update else {
            return None;
        };
        let optimizer = Optimizer::by_name(&formula.text).ok()?;
        let moves = UpdateTransforms { skips: guarded, ..UpdateTransforms::default() };
        match &UpdatePass::all(&optimizer, &moves, false, scaled)[..] {
            [own] if own.formula.program == formula.program && !update.gathers => {}
            _ => return None,
        }
        let of = |name: &str| optimizer.setting(name).unwrap_or(0.0);
        let decays = of("weight-decay") != 0.0;
        match optimizer.name() {
            "sgd" if of("dampening") == 0.0 => {
                let (momentum, nesterov) = (of("momentum") != 0.0, of("nesterov") != 0.0);
                Some(Self::Sgd { momentum, nesterov, decays })
            }
            name @ ("adam" | "adamw") if of("amsgrad") == 0.0 => {
                Some(Self::Adam { decays, decoupled: name == "adamw" })
            }
            _ => None,
        }
    }

    /// Updates the arenas.
    pub(super) fn run(self, arenas: UpdateArgs<'_, f32>, instructions: SimdLevel, pool: &Pool) {
        let UpdateArgs { update, step, scaling, gradient: g, weight: w, states, half, .. } = arenas;
        if !step.apply || (update.scaled && scaling[OVERFLOW] != 0.0) {
            return;
        }
        let [one, two, _] = states;
        let inverse = if update.scaled { scaling[INVERSE] } else { 1.0 };
        match self {
            Self::Sgd { momentum, nesterov, decays } => {
                // Without momentum the arena is absent, and must not be read.
                let velocity = momentum.then_some(one);
                let rule = SgdRule::new(nesterov, decays, &step);
                SgdPart { g, w: &mut *w, velocity, inverse, rule }.divide(instructions, pool);
            }
            Self::Adam { decays, decoupled } => {
                let rule = AdamRule::new((decays, decoupled), &step);
                AdamPart { g, w: &mut *w, m: one, v: two, inverse, rule }
                    .divide(instructions, pool);
            }
        }
        if update.half {
            half.copy_from_slice(w);
        }
    }
}

/// A part of the arena, updated by stochastic gradient descent.
struct SgdPart<'a> {
    g: &'a [f32],
    w: &'a mut [f32],
    velocity: Option<&'a mut [f32]>,
    /// Factor that removes the loss scale from the gradients.
    inverse: f32,
    rule: SgdRule,
}

#[derive(Clone, Copy)]
struct SgdRule {
    lr: f32,
    decay: f32,
    momentum: f32,
    nesterov: bool,
}

impl SgdRule {
    #[expect(clippy::cast_possible_truncation, reason = "a step's numbers in single precision")]
    fn new(nesterov: bool, decays: bool, step: &StepParams) -> Self {
        let [lr, decay, ..] = step.scalars;
        let momentum = step.scalars[SETTINGS] as f32;
        Self { lr: lr as f32, decay: if decays { decay as f32 } else { 0.0 }, momentum, nesterov }
    }
}

impl SgdPart<'_> {
    fn divide(self, instructions: SimdLevel, pool: &Pool) {
        // Each element is updated by itself, so the arena may be cut anywhere.
        if pool.threads() == 1 || !shared(self.w.len()) {
            instructions.run(self);
            return;
        }
        let Self { g, w, velocity, inverse, rule } = self;
        let half = w.len() / 2;
        let (g, w) = (g.split_at(half), w.split_at_mut(half));
        let velocity = velocity.map(|velocity| velocity.split_at_mut(half)).unzip();
        let one = SgdPart { g: g.0, w: w.0, velocity: velocity.0, inverse, rule };
        let other = SgdPart { g: g.1, w: w.1, velocity: velocity.1, inverse, rule };
        both(true, || one.divide(instructions, pool), || other.divide(instructions, pool));
    }
}

impl Work for SgdPart<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { g, w, velocity, inverse, rule } = self;
        let SgdRule { lr, decay, momentum, nesterov } = rule;
        match velocity {
            // Without momentum the gradient is the direction, and no state is read.
            None => {
                for (w, g) in w.iter_mut().zip(g) {
                    *w -= lr * (g * inverse + decay * *w);
                }
            }
            Some(velocity) => {
                for ((w, g), v) in w.iter_mut().zip(g).zip(velocity) {
                    let g = g * inverse + decay * *w;
                    *v = momentum * *v + g;
                    *w -= lr * if nesterov { g + momentum * *v } else { *v };
                }
            }
        }
    }
}

/// A part of the arena, updated by Adam.
struct AdamPart<'a> {
    g: &'a [f32],
    w: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    /// Factor that removes the loss scale from the gradients.
    inverse: f32,
    rule: AdamRule,
}

#[derive(Clone, Copy)]
struct AdamRule {
    /// Decay of m, and 1 minus it.
    beta1: [f32; 2],
    /// Decay of v, and 1 minus it.
    beta2: [f32; 2],
    eps: f32,
    coupled: f32,
    keep: f32,
    rate: f32,
    correction2: f32,
}

impl AdamRule {
    #[expect(clippy::cast_possible_truncation, reason = "a step's numbers in single precision")]
    fn new((decays, decoupled): (bool, bool), step: &StepParams) -> Self {
        let [lr, decay, rate, correction2, ..] = step.scalars;
        let decay = if decays { decay } else { 0.0 };
        let [beta1, rest1, beta2, rest2, eps, ..] =
            step.scalars[SETTINGS..].first_chunk::<5>().expect("Adam has five").map(|it| it as f32);
        Self {
            beta1: [beta1, rest1],
            beta2: [beta2, rest2],
            eps,
            coupled: if decoupled { 0.0 } else { decay as f32 },
            keep: if decoupled { (1.0 - lr * decay) as f32 } else { 1.0 },
            rate: rate as f32,
            // The inverse, since a multiplication in the loop is faster than a division.
            correction2: (1.0 / correction2) as f32,
        }
    }
}

impl AdamPart<'_> {
    fn divide(self, instructions: SimdLevel, pool: &Pool) {
        if pool.threads() == 1 || !shared(self.w.len()) {
            instructions.run(self);
            return;
        }
        let Self { g, w, m, v, inverse, rule } = self;
        let half = w.len() / 2;
        let (g, w) = (g.split_at(half), w.split_at_mut(half));
        let (m, v) = (m.split_at_mut(half), v.split_at_mut(half));
        let one = AdamPart { g: g.0, w: w.0, m: m.0, v: v.0, inverse, rule };
        let other = AdamPart { g: g.1, w: w.1, m: m.1, v: v.1, inverse, rule };
        both(true, || one.divide(instructions, pool), || other.divide(instructions, pool));
    }
}

impl Work for AdamPart<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { g, w, m, v, inverse, rule } = self;
        let AdamRule { beta1, beta2, eps, coupled, keep, rate, correction2 } = rule;
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g * inverse + coupled * *w;
            *m = beta1[0] * *m + beta1[1] * g;
            *v = beta2[0] * *v + beta2[1] * g * g;
            *w = keep * *w - rate * *m / (v.sqrt() * correction2 + eps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loop that a plan's only pass of an optimizer takes, with these transforms.
    fn known(text: &str, moves: &UpdateTransforms) -> Option<KnownUpdate> {
        let optimizer = Optimizer::by_name(text).unwrap();
        let pass = UpdatePass::all(&optimizer, moves, false, false).remove(0);
        KnownUpdate::of(&pass.formula, &pass.update)
    }

    #[test]
    fn loops_are_taken_for_the_optimizers_that_they_compute() {
        let plain = UpdateTransforms::default();
        let sgd = |momentum, nesterov, decays| KnownUpdate::Sgd { momentum, nesterov, decays };
        assert_eq!(known("sgd", &plain), Some(sgd(false, false, false)));
        let text = "sgd(momentum=0.5, nesterov=true, weight-decay=0.1)";
        assert_eq!(known(text, &plain), Some(sgd(true, true, true)));
        let adam = |decays, decoupled| KnownUpdate::Adam { decays, decoupled };
        // Settings that are equal, or 0, make no other programs.
        assert_eq!(known("adam(beta1=0.5, beta2=0.5)", &plain), Some(adam(false, false)));
        assert_eq!(known("adamw(beta1=0)", &plain), Some(adam(true, true)));
        let skips = UpdateTransforms { skips: true, ..plain.clone() };
        assert!(known("adamw", &skips).is_some());
        for text in
            ["sgd(momentum=0.5, dampening=0.5)", "adam(amsgrad=true)", "lion", "lamb", "nadam"]
        {
            assert_eq!(known(text, &plain), None, "{text}");
        }
        for moves in [
            UpdateTransforms { accumulate: true, ..plain.clone() },
            UpdateTransforms { clip_value: Some(1.0), ..plain.clone() },
            UpdateTransforms { clip_norm: Some(1.0), ..plain.clone() },
            UpdateTransforms { average: Some("ema".parse().unwrap()), ..plain },
        ] {
            assert_eq!(known("adam", &moves), None, "{moves:?}");
        }
    }

    #[test]
    fn a_text_alone_is_no_proof() {
        let (plain, adam) = (UpdateTransforms::default(), Optimizer::adam());
        let UpdatePass { mut formula, update } =
            UpdatePass::all(&adam, &plain, false, false).remove(0);
        formula.text = "adam(amsgrad=true)".to_string();
        assert_eq!(KnownUpdate::of(&formula, &update), None);
    }
}
