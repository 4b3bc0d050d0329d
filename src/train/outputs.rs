//! The meaning of a network's raw outputs under its loss: classes with probabilities, numbers in the target's own units, labels.
//!
//! In: raw outputs `[rows, outputs]`. Out: [`Predictions`], and one value for each target, which figures compare.
//! Absent on purpose: targets, devices.

use std::borrow::Cow;

use crate::data::{Preprocessing, TargetKind};
use crate::expr::{F64Math, Unary};
use crate::graph::{ClassLoss, Loss};
use crate::host::threads;

/// Predictions for some rows: what the outputs mean under the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// For classes.
    Classes {
        /// The likeliest class of each row, by number; 0 where an output is NaN, and its probabilities with it.
        best: Vec<usize>,
        /// Probabilities `[rows, classes]`; scores under a hinge loss, which has no probabilities.
        probabilities: Vec<f64>,
    },
    /// For numbers `[rows, outputs]`, in the target's own units: the value, or its quantiles, or its mean and standard
    /// deviation, for each target.
    Numbers(Vec<f64>),
    /// For labels `[rows, labels]`: the probability of yes; under a hinge loss a score, above 0 for yes.
    Labels(Vec<f64>),
}

impl Predictions {
    /// Of raw outputs `[rows, outputs]`.
    pub(super) fn new(outputs: &[f32], preparation: &Preprocessing, loss: &Loss) -> Self {
        let targets = preparation.schema.outputs();
        let wide = outputs.iter().map(|&x| f64::from(x));
        match &preparation.schema.kind {
            TargetKind::Classes(classes) => {
                let best = by_rows((outputs, classes.len()), 1, |logits, best| {
                    best[0] = argmax(logits).unwrap_or(0);
                });
                let hinge = matches!(loss, Loss::Classes(ClassLoss::Hinge { .. }));
                let probabilities =
                    if hinge { wide.collect() } else { softmax(outputs, classes.len()) };
                Self::Classes { best, probabilities }
            }
            TargetKind::Labels(_) if matches!(loss, Loss::BinaryHinge { .. }) => {
                Self::Labels(wide.collect())
            }
            TargetKind::Labels(_) => {
                Self::Labels(wide.map(|x| F64Math::apply(Unary::Sigmoid, x)).collect())
            }
            TargetKind::Number | TargetKind::Numbers(_) => {
                let each = loss.outputs_each();
                let column = |at: usize| at / each % targets;
                let restored = |at: usize| preparation.restore_target(outputs[at], column(at));
                Self::Numbers(match loss {
                    Loss::Classes(ClassLoss::KlDivergence) => softmax(outputs, targets),
                    Loss::PoissonNll { .. } => wide.map(f64::exp).collect(),
                    &Loss::GaussianNll { eps, .. } => wide
                        .enumerate()
                        .map(|(at, raw)| match at % 2 {
                            0 => restored(at),
                            _ => {
                                let variance = F64Math::apply(Unary::Softplus, raw) + eps;
                                variance.sqrt() * preparation.target_std[column(at)]
                            }
                        })
                        .collect(),
                    _ => by_rows((outputs, targets * each), targets * each, |row, to| {
                        for (at, (&raw, to)) in row.iter().zip(to).enumerate() {
                            *to = preparation.restore_target(raw, column(at));
                        }
                    }),
                })
            }
        }
    }

    /// Returns the numbers, whatever they mean, as many for each row.
    pub fn into_values(self) -> Vec<f64> {
        match self {
            Self::Classes { probabilities: values, .. }
            | Self::Numbers(values)
            | Self::Labels(values) => values,
        }
    }

    /// The numbers, whatever they mean, as many for each row.
    pub fn values(&self) -> &[f64] {
        match self {
            Self::Classes { probabilities: values, .. }
            | Self::Numbers(values)
            | Self::Labels(values) => values,
        }
    }
}

/// Place of the one value that stands for a target among its outputs; `None` where only quantiles besides the median are predicted.
pub(super) fn point_place(loss: &Loss) -> Option<usize> {
    if let Loss::Pinball(quantiles) = loss { quantiles.median() } else { Some(0) }
}

/// The one value that stands for each target's outputs, in the units of the loss: the mean, the median; `None` where there is none.
pub(super) fn point_predictions<'a>(
    outputs: &'a [f32],
    targets: usize,
    loss: &Loss,
) -> Option<Cow<'a, [f32]>> {
    let each = loss.outputs_each();
    let picked = |first: usize| {
        outputs.chunks_exact(each).map(|outputs| outputs[first]).collect::<Vec<_>>().into()
    };
    #[expect(clippy::cast_possible_truncation, reason = "outputs are f32")]
    Some(match loss {
        Loss::Pinball(_) | Loss::GaussianNll { .. } => picked(point_place(loss)?),
        Loss::PoissonNll { .. } => outputs.iter().map(|x| x.exp()).collect::<Vec<_>>().into(),
        Loss::Classes(ClassLoss::KlDivergence) => {
            softmax(outputs, targets).into_iter().map(|p| p as f32).collect::<Vec<_>>().into()
        }
        _ => outputs.into(),
    })
}

/// Softmax of each row `[rows, width]`.
fn softmax(outputs: &[f32], width: usize) -> Vec<f64> {
    by_rows((outputs, width), width, |logits, probabilities| {
        let max = logits.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(f64::from(x)));
        for (to, &x) in probabilities.iter_mut().zip(logits) {
            *to = (f64::from(x) - max).exp();
        }
        let sum: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|it| *it /= sum);
    })
}

/// Number of outputs up to which more threads than one cost more time than they save.
const FEW: usize = 1 << 12;

/// Returns the results `[rows, wide]` of rows `[rows, width]`, each of which `row` computes from one of them; threads share the rows.
fn by_rows<T: Copy + Default + Send>(
    (outputs, width): (&[f32], usize),
    wide: usize,
    row: impl Fn(&[f32], &mut [T]) + Sync,
) -> Vec<T> {
    let mut results = vec![T::default(); outputs.len() / width * wide];
    threads::by_rows((outputs, width), (&mut results, wide), FEW / width, row);
    results
}

/// The place of the largest value, the first of equal ones; `None` if one is NaN.
pub(super) fn argmax(values: &[f32]) -> Option<usize> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    Some(best)
}
