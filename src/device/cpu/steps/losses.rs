//! Losses with their gradients: `loss_map`, `loss_classes`. The plain cross-entropy and the plain squared error have loops of their
//! own, which are faster; a step takes them if its loss or its program is that one.

use std::ops::Range;

use super::super::engine::CpuKernels;
use super::super::kernels::{self, MatmulShape};
use super::super::loss::{LossInputs, LossTargets};
use super::super::{Compiled, Real};
use super::{ArenaViews, Slots, StepWork, disjoint};
use crate::expr::Program;
use crate::graph::ClassLoss;
use crate::plan::{LossVariant, StepParams};

#[derive(Debug)]
pub(super) struct LossStep {
    kind: LossKind,
    /// Predictions, targets that are numbers, constants, weights of rows, the loss scale, the losses of rows and the gradient.
    floats: [Range<usize>; 7],
    /// Targets that are classes.
    classes: Range<usize>,
    scaled: bool,
}

#[derive(Debug)]
enum LossKind {
    /// The plain cross-entropy.
    CrossEntropy,
    /// The plain squared error.
    Mse,
    /// A formula for each element, and the same prepared for wide vectors.
    Map(LossVariant, Program, Box<Compiled>),
    Classes(ClassLoss, LossVariant),
}

pub(super) fn map(slots: &Slots<'_>, form: LossVariant) -> StepWork {
    let formula = slots.formula();
    if form.is_plain() && formula.is_mse() {
        return formed(slots, (LossKind::Mse, form), ["prediction", "d_prediction"]);
    }
    let program = formula.program;
    let compiled = Box::new(Compiled::of_loss(&program, &form));
    let kind = LossKind::Map(form, program, compiled);
    formed(slots, (kind, form), ["prediction", "d_prediction"])
}

pub(super) fn classes(slots: &Slots<'_>, loss: ClassLoss, form: LossVariant) -> StepWork {
    let kind = if form.is_plain() && loss == ClassLoss::CROSS_ENTROPY {
        LossKind::CrossEntropy
    } else {
        LossKind::Classes(loss, form)
    };
    formed(slots, (kind, form), ["logits", "d_logits"])
}

fn formed(
    slots: &Slots<'_>,
    (kind, form): (LossKind, LossVariant),
    [prediction, gradient]: [&str; 2],
) -> StepWork {
    let names = [prediction, "goal", "constants", "weights", "scaling", "row_loss", gradient];
    // Targets are either classes or numbers, so one of the two ranges is empty.
    let [classes] = slots.indices(["goal"]);
    let floats = slots.floats(names);
    StepWork::Loss(Box::new(LossStep { kind, floats, classes, scaled: form.scaled }))
}

impl LossStep {
    /// Returns the sizes of the gradient, with the cost of an element.
    pub(super) fn sizes(&self) -> MatmulShape {
        let n = self.floats[6].len();
        match &self.kind {
            LossKind::Map(_, _, compiled) => MatmulShape { m: 1, n, k: compiled.cost() },
            _ => MatmulShape { m: 1, n: self.floats[5].len(), k: 4 },
        }
    }

    pub(super) fn run<T: Real>(
        &self,
        engine: &T::CpuKernels,
        arenas: &mut ArenaViews<'_, T>,
        step: &StepParams,
    ) {
        let [prediction, goal, constants, weights, scaling, row_loss, gradient] =
            disjoint(arenas.floats, &self.floats);
        let classes = &arenas.indices[self.classes.clone()];
        // The gradient has the sizes of the predictions, of which a slot's length alone tells the columns.
        let columns = gradient.len() / row_loss.len();
        let outs = (row_loss, &mut *gradient);
        let extra = |form: &LossVariant| LossInputs {
            constants: form.constants.then_some(&*constants),
            weights: form.weights.then_some(&*weights),
        };
        match &self.kind {
            LossKind::CrossEntropy => {
                engine.loss_cross_entropy(prediction, classes, outs, columns, step);
            }
            LossKind::Mse => engine.loss_mse(prediction, goal, outs, columns, step),
            LossKind::Map(form, program, compiled) => {
                let from: (&[T], &[T]) = (prediction, goal);
                engine.loss_map((form, program, compiled), from, extra(form), outs, step);
            }
            // The same slot holds classes or numbers, as the loss has them.
            LossKind::Classes(loss, form) => {
                let goal = if loss.loss().classes() {
                    LossTargets::Classes(classes)
                } else {
                    LossTargets::Numbers(goal)
                };
                engine.loss_classes(*loss, (prediction, goal), extra(form), outs, step);
            }
        }
        // The loss itself is logged unscaled, so only the gradient is multiplied.
        if self.scaled {
            kernels::scale(gradient, scaling);
        }
    }
}
