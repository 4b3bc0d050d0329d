//! The hand-written optimizers' passes over the arena, in parts that threads share.
//!
//! In: gradients, weights, state. Out: changed weights and state.

use super::instructions::{SimdLevel, Work};
use super::pool::{Pool, both};
use super::reductions::shared;
use crate::device::cpu::kernels::{Adam, Sgd};
use crate::plan::StepParams;

/// A part of the arena, updated by stochastic gradient descent.
pub(super) struct SgdPart<'a> {
    g: &'a [f32],
    w: &'a mut [f32],
    velocity: Option<&'a mut [f32]>,
    rule: SgdRule,
}

#[derive(Clone, Copy)]
struct SgdRule {
    lr: f32,
    decay: f32,
    momentum: f32,
    nesterov: bool,
}

impl<'a> SgdPart<'a> {
    pub(super) fn new(
        g: &'a [f32],
        w: &'a mut [f32],
        velocity: Option<&'a mut [f32]>,
        sgd: Sgd,
        step: &StepParams,
    ) -> Self {
        let rule = SgdRule {
            lr: step.lr as f32,
            decay: (sgd.weight_decay * step.decay) as f32,
            momentum: sgd.momentum as f32,
            nesterov: sgd.nesterov,
        };
        Self { g, w, velocity, rule }
    }

    pub(super) fn divide(self, instructions: SimdLevel, pool: &Pool) {
        // Each element is updated by itself, so the arena may be cut anywhere.
        if pool.threads() == 1 || !shared(self.w.len()) {
            instructions.run(self);
            return;
        }
        let Self { g, w, velocity, rule } = self;
        let half = w.len() / 2;
        let (g, w) = (g.split_at(half), w.split_at_mut(half));
        let velocity = velocity.map(|velocity| velocity.split_at_mut(half)).unzip();
        let one = Self { g: g.0, w: w.0, velocity: velocity.0, rule };
        let other = Self { g: g.1, w: w.1, velocity: velocity.1, rule };
        both(true, || one.divide(instructions, pool), || other.divide(instructions, pool));
    }
}

impl Work for SgdPart<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { g, w, velocity, rule: SgdRule { lr, decay, momentum, nesterov } } = self;
        match velocity {
            // Without momentum the gradient is the direction, and no state is read.
            None => w.iter_mut().zip(g).for_each(|(w, g)| *w -= lr * (g + decay * *w)),
            Some(velocity) => {
                for ((w, g), v) in w.iter_mut().zip(g).zip(velocity) {
                    let g = g + decay * *w;
                    *v = momentum * *v + g;
                    *w -= lr * if nesterov { g + momentum * *v } else { *v };
                }
            }
        }
    }
}

/// A part of the arena, updated by Adam.
pub(super) struct AdamPart<'a> {
    g: &'a [f32],
    w: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
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

impl<'a> AdamPart<'a> {
    pub(super) fn new(
        g: &'a [f32],
        (w, m, v): (&'a mut [f32], &'a mut [f32], &'a mut [f32]),
        adam: Adam,
        step: &StepParams,
    ) -> Self {
        let decay = adam.weight_decay * step.decay;
        // Computed in f64 and once for the arena: 1 − β in f32 would lose digits.
        let rule = AdamRule {
            beta1: [adam.beta1, 1.0 - adam.beta1].map(|beta| beta as f32),
            beta2: [adam.beta2, 1.0 - adam.beta2].map(|beta| beta as f32),
            eps: adam.eps as f32,
            coupled: if adam.decoupled { 0.0 } else { decay as f32 },
            keep: if adam.decoupled { (1.0 - step.lr * decay) as f32 } else { 1.0 },
            rate: (step.lr / step.correction1) as f32,
            // The inverse, since a multiplication in the loop is faster than a division.
            correction2: (1.0 / step.correction2) as f32,
        };
        Self { g, w, m, v, rule }
    }

    pub(super) fn divide(self, instructions: SimdLevel, pool: &Pool) {
        if pool.threads() == 1 || !shared(self.w.len()) {
            instructions.run(self);
            return;
        }
        let Self { g, w, m, v, rule } = self;
        let half = w.len() / 2;
        let (g, w) = (g.split_at(half), w.split_at_mut(half));
        let (m, v) = (m.split_at_mut(half), v.split_at_mut(half));
        let one = Self { g: g.0, w: w.0, m: m.0, v: v.0, rule };
        let other = Self { g: g.1, w: w.1, m: m.1, v: v.1, rule };
        both(true, || one.divide(instructions, pool), || other.divide(instructions, pool));
    }
}

impl Work for AdamPart<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { g, w, m, v, rule } = self;
        let AdamRule { beta1, beta2, eps, coupled, keep, rate, correction2 } = rule;
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g + coupled * *w;
            *m = beta1[0] * *m + beta1[1] * g;
            *v = beta2[0] * *v + beta2[1] * g * g;
            *w = keep * *w - rate * *m / (v.sqrt() * correction2 + eps);
        }
    }
}
