//! Rows as figures take them: raw outputs, targets and weights, without the rows of weight 0, which count as absent.
//!
//! Absent on purpose: figures.

use std::borrow::Cow;
use std::sync::Arc;

use crate::data::Targets;
use crate::shape::narrow;

/// How much each row counts; all the same where there are none.
pub type Weights = Option<Arc<[f64]>>;

/// Rows whose weight is above 0.
pub(super) struct Counted<'a> {
    /// Raw outputs `[rows, outputs]`.
    pub(super) outputs: Cow<'a, [f32]>,
    pub(super) targets: Cow<'a, Targets>,
    /// As they stand in the table.
    pub(super) raw_weights: Option<Cow<'a, [f64]>>,
    pub(super) weights: Weights,
}

impl<'a> Counted<'a> {
    pub(super) fn of(
        outputs: &'a [f32],
        (targets, weights): (&'a Targets, Option<&'a [f64]>),
    ) -> Self {
        let there = |weights: &[f64]| weights.iter().all(|&weight| weight > 0.0);
        let Some(all) = weights.filter(|weights| !there(weights)) else {
            return Self {
                outputs: outputs.into(),
                targets: Cow::Borrowed(targets),
                raw_weights: weights.map(Cow::Borrowed),
                weights: weights.map(Arc::from),
            };
        };
        let rows: Vec<usize> = (0..all.len()).filter(|&row| all[row] > 0.0).collect();
        let width = outputs.len() / all.len().max(1);
        let kept = rows.iter().flat_map(|row| &outputs[row * width..(row + 1) * width]);
        let weights: Vec<f64> = rows.iter().map(|&row| all[row]).collect();
        let numbers: Vec<u32> = rows.iter().map(|&row| narrow(row)).collect();
        Self {
            outputs: kept.copied().collect(),
            targets: Cow::Owned(targets.subset(&numbers)),
            weights: Some(Arc::from(weights.as_slice())),
            raw_weights: Some(weights.into()),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.targets.len()
    }
}
