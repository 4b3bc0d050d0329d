//! The losses that share a kernel, in f32 or f64: elementwise ones by their formula, and those over classes.
//!
//! In: a batch's outputs and targets, and its valid rows. Out: losses of rows, multiplied by weight · rows / divisor, so
//! that their mean over rows is the loss of the step; and the gradient, multiplied by weight / divisor.

use super::Real;
use crate::expr::{F64Math, LANES, Program, StepValue};
use crate::graph::ClassLoss;
use crate::plan::{LossVariant, StepParams};

/// Targets of a loss.
#[derive(Clone, Copy, Debug)]
pub enum LossTargets<'a, T> {
    /// A class a row.
    Classes(&'a [u32]),
    /// Numbers `[batch, columns]`.
    Numbers(&'a [T]),
}

/// Inputs of a loss besides predictions and targets.
#[derive(Clone, Copy, Debug)]
pub struct LossInputs<'a, T> {
    /// Constants for each column or class, repeated.
    pub constants: Option<&'a [T]>,
    /// Weights of the rows.
    pub weights: Option<&'a [T]>,
    /// Members whose predictions stand side by side in a row: its loss is the mean of theirs.
    pub members: usize,
}

/// Returns the factors of a row's loss and of its gradient.
pub(super) fn factors<T: Real>(extra: LossInputs<'_, T>, row: usize, step: &StepParams) -> (T, T) {
    let weight = extra.weights.map_or(1.0, |weights| weights[row].to_f64());
    let share = weight / step.divided_by();
    (T::of(share * f64::from(step.rows)), T::of(share))
}

/// An elementwise loss: predictions `[batch, n]`, targets `[batch, t]`. The formula is evaluated in f64 for either type: a
/// batch's outputs are few compared with its products.
pub fn loss_map<T: Real>(
    (form, program): (&LossVariant, &Program),
    (prediction, target): (&[T], &[T]),
    extra: LossInputs<'_, T>,
    (row_loss, d): (&mut [T], &mut [T]),
    step: &StepParams,
) {
    let batch = row_loss.len();
    let (n, columns) = (prediction.len() / batch, target.len() / batch);
    // Predictions of an element, elements of a row, elements of a target.
    let width = program.outputs().len() - 1;
    let elements = n / width;
    // Every member has all the row's targets.
    let of_member = elements / extra.members;
    let each = of_member / columns;
    let mean = 1.0 / (if form.mean { elements } else { extra.members }) as f64;
    let mut registers = program.registers::<f64>();
    d.fill(T::zero());
    for (row, loss) in row_loss.iter_mut().enumerate() {
        *loss = T::zero();
        if row >= step.rows as usize {
            continue;
        }
        let (of_loss, of_slope) = factors(extra, row, step);
        let mut sum = 0.0;
        // In runs of the program's length, since its registers hold that many numbers.
        for start in (0..elements).step_by(LANES) {
            let len = LANES.min(elements - start);
            let of = |index: u8, element: usize| match index {
                1 => target[row * columns + element % of_member / each].to_f64(),
                2 => extra.constants.map_or(1.0, |c| c[element % c.len()].to_f64()),
                _ => prediction[row * n + element * width + usize::from(index == 3)].to_f64(),
            };
            program.run::<f64, F64Math>(
                &mut registers,
                len,
                |index, to| {
                    to.iter_mut().enumerate().for_each(|(lane, to)| *to = of(index, start + lane));
                },
                |quantity, to| {
                    let StepValue::Loss(place) = quantity else { return };
                    to.fill(step.loss[usize::from(place)]);
                },
            );
            // The program's first result is the loss, the others are its derivatives by each prediction.
            let value = |output: usize| &registers[usize::from(program.outputs()[output])][..len];
            sum += value(0).iter().sum::<f64>();
            for which in 0..width {
                for (lane, slope) in value(1 + which).iter().enumerate() {
                    let at = row * n + (start + lane) * width + which;
                    d[at] = T::of(slope * mean) * of_slope;
                }
            }
        }
        *loss = T::of(sum * mean) * of_loss;
    }
}

/// A loss over classes: logits `[batch, n]`.
pub fn loss_classes<T: Real>(
    loss: ClassLoss,
    from: (&[T], LossTargets<'_, T>),
    extra: LossInputs<'_, T>,
    (row_loss, d_logits): (&mut [T], &mut [T]),
    step: &StepParams,
) {
    rows_of_classes(loss, from, extra, (0, row_loss, d_logits), step);
}

/// Computes some rows of the loss, from `first` on: the results are those of these rows, everything else is of the whole batch.
pub(super) fn rows_of_classes<T: Real>(
    of: ClassLoss,
    (logits, goal): (&[T], LossTargets<'_, T>),
    extra: LossInputs<'_, T>,
    (first, row_loss, d_logits): (usize, &mut [T], &mut [T]),
    step: &StepParams,
) {
    let n = d_logits.len() / row_loss.len();
    let of_member = n / extra.members;
    let of = of.times(step.loss[0]);
    // Rows beyond the valid ones keep a gradient of 0.
    d_logits.fill(T::zero());
    for (at, loss) in row_loss.iter_mut().enumerate() {
        let row = first + at;
        *loss = T::zero();
        if row >= step.rows as usize {
            continue;
        }
        let part = row * n..(row + 1) * n;
        let goal = match goal {
            LossTargets::Classes(labels) => RowGoal::Class(labels[row] as usize),
            LossTargets::Numbers(shares) => {
                RowGoal::Shares(&shares[row * of_member..][..of_member])
            }
        };
        let d = &mut d_logits[at * n..(at + 1) * n];
        let (of_loss, of_slope) = factors(extra, row, step);
        let members = logits[part].chunks_exact(of_member).zip(d.chunks_exact_mut(of_member));
        for (logits, d) in members {
            *loss += row_of_classes(of, logits, goal, extra.constants, d);
        }
        let share = T::of(1.0 / extra.members as f64);
        *loss *= of_loss * share;
        d.iter_mut().for_each(|d| *d *= of_slope * share);
    }
}

/// Target of one row.
#[derive(Clone, Copy)]
enum RowGoal<'a, T> {
    Class(usize),
    Shares(&'a [T]),
}

/// Returns the loss of a row, and writes its gradient.
fn row_of_classes<T: Real>(
    loss: ClassLoss,
    logits: &[T],
    goal: RowGoal<'_, T>,
    weights: Option<&[T]>,
    d: &mut [T],
) -> T {
    let weight = |class: usize| weights.map_or(T::one(), |weights| weights[class]);
    // Targets of fractions have no one class; losses that need one are not used with them.
    let label = match goal {
        RowGoal::Class(class) => class,
        RowGoal::Shares(_) => usize::MAX,
    };
    let smoothing = match loss {
        ClassLoss::Hinge { margin } => return hinge_row(margin, logits, (label, weight(label)), d),
        ClassLoss::Focal { gamma } => return focal_row(gamma, logits, (label, weight(label)), d),
        ClassLoss::CrossEntropy { label_smoothing } => label_smoothing,
        ClassLoss::KlDivergence => 0.0,
    };
    let (sure, even) = (T::of(1.0 - smoothing), T::of(smoothing / logits.len() as f64));
    // The wanted probability of each class; for fractions, the loss also has their own logarithms.
    let wanted = |class: usize| match goal {
        RowGoal::Class(label) if class == label => (sure + even) * weight(class),
        RowGoal::Class(_) => even * weight(class),
        RowGoal::Shares(shares) => shares[class],
    };
    softmax_row(logits, wanted, matches!(goal, RowGoal::Shares(_)), d)
}

/// Returns the hinge loss of a row with its class and weight, and writes its gradient.
fn hinge_row<T: Real>(margin: f64, logits: &[T], (label, weight): (usize, T), d: &mut [T]) -> T {
    let share = weight / T::of(logits.len() as f64);
    let mut sum = T::zero();
    d.fill(T::zero());
    for class in (0..logits.len()).filter(|class| *class != label) {
        let short = T::of(margin) - logits[label] + logits[class];
        // NaN is not at most 0, so it is added and reaches the loss.
        if short <= T::zero() {
            continue;
        }
        sum += short;
        d[class] = share;
        d[label] -= share;
    }
    sum * share
}

/// Writes the exponentials of a row's logits less the largest one; returns the largest logit and the sum.
fn exponentials<T: Real>(logits: &[T], d: &mut [T]) -> (T, T) {
    // NaN must not be lost here: a maximum that skips it would hide it from the loss. The largest logit is subtracted, so
    // that no exponential overflows.
    let max = logits.iter().fold(logits[0], |max, &x| if x > max { x } else { max });
    let mut sum = T::zero();
    for (d, &x) in d.iter_mut().zip(logits) {
        *d = (x - max).exp();
        sum += *d;
    }
    (max, sum)
}

/// Returns the focal loss of a row with its class and weight, and writes its gradient.
fn focal_row<T: Real>(gamma: f64, logits: &[T], (label, weight): (usize, T), d: &mut [T]) -> T {
    let (zero, one) = (T::zero(), T::one());
    let (max, sum) = exponentials(logits, d);
    // 1 − p as a sum of the other classes, since subtracting from 1 would lose digits.
    let others = d.iter().enumerate().filter(|(class, _)| *class != label);
    let rest = others.fold(zero, |rest, (_, &e)| rest + e) / sum;
    let log_p = logits[label] - max - sum.ln();
    let p = d[label] / sum;
    // 0 · ln 0 would be NaN, so gamma 0 is a case of its own.
    let power = if gamma == 0.0 { one } else { (T::of(gamma) * rest.ln()).exp() };
    // log p / (1 − p) tends to −1 as p tends to 1.
    let ratio = if rest > zero { log_p / rest } else { -one };
    let slope = -weight * power * (one - T::of(gamma) * p * ratio);
    for (class, d) in d.iter_mut().enumerate() {
        *d = slope * if class == label { rest } else { -*d / sum };
    }
    -weight * power * log_p
}

/// Returns Σ wanted · (−log softmax) of a row, and writes its gradient; with `shares` also the wanted fractions' own logarithms.
fn softmax_row<T: Real>(logits: &[T], wanted: impl Fn(usize) -> T, shares: bool, d: &mut [T]) -> T {
    let (max, sum) = exponentials(logits, d);
    let ln_sum = sum.ln();
    let (mut value, mut all) = (T::zero(), T::zero());
    for (class, &x) in logits.iter().enumerate() {
        let share = wanted(class);
        all += share;
        // A class with probability 0 adds no loss even if its surprise is infinite; but NaN stays.
        let surprise = ln_sum - (x - max);
        if share != T::zero() || surprise.to_f64().is_nan() {
            value += share * surprise;
        }
        // The term does not depend on the logits; with it the loss is 0 for a perfect prediction.
        if shares && share > T::zero() {
            value += share * share.ln();
        }
    }
    // Fractions need not sum to 1, so softmax is multiplied by their sum.
    for (class, d) in d.iter_mut().enumerate() {
        *d = *d / sum * all - wanted(class);
    }
    value
}
