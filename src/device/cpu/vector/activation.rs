//! Activations over many values at once: the match on the function stands outside of the loops.
//!
//! In: values. Out: the same values as `cpu::activation` gives one by one.

use crate::device::cpu::activation::{LEAKY_SLOPE, gradient, value};
use crate::model::Activation;

/// Each value becomes act of it.
#[inline(always)]
pub(super) fn values(act: Activation, values: &mut [f32]) {
    match act {
        Activation::Identity => {}
        // NaN passes: a comparison that is false keeps x.
        Activation::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::LeakyRelu => each(values, |x| if x < 0.0 { LEAKY_SLOPE as f32 * x } else { x }),
        _ => values.iter_mut().for_each(|x| *x = value(act, *x)),
    }
}

/// Each value is multiplied by act' of what was saved.
#[inline(always)]
pub(super) fn times_gradients(act: Activation, values: &mut [f32], saved: &[f32]) {
    match act {
        Activation::Identity => {}
        Activation::Relu => pairs(values, saved, |d, y| d * if y > 0.0 { 1.0 } else { 0.0 }),
        Activation::LeakyRelu => {
            pairs(values, saved, |d, y| d * if y > 0.0 { 1.0 } else { LEAKY_SLOPE as f32 });
        }
        _ => values.iter_mut().zip(saved).for_each(|(d, &s)| *d *= gradient(act, s)),
    }
}

#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|x| *x = function(*x));
}

#[inline(always)]
fn pairs(values: &mut [f32], saved: &[f32], function: impl Fn(f32, f32) -> f32) {
    values.iter_mut().zip(saved).for_each(|(d, &s)| *d = function(*d, s));
}
