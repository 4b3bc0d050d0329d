//! The activations that are used most, written out over many values at once: the match on the function stands outside of the
//! loops.
//!
//! In: values. Out: what the activation's expression says of each, within a few roundings.

use super::approximations::{normal, sigmoid, tanh};
use crate::model::Activation;

/// Slope of the leaky rectifier below 0.
const LEAKY: f32 = 0.01;
/// 1/√(2π)
const DENSITY: f32 = 0.398_942_3;
/// √(2/π) and its product with 0.044715: gelu's tanh form is x · sigmoid(2 (a x + b x³)).
const GELU: [f32; 2] = [0.797_884_6, 0.035_677_41];
/// Beyond it gelu's slope is 0 or 1.
const GELU_END: f32 = 20.0;

/// Returns whether there are loops for an activation.
pub(super) fn is_written_out(act: Activation) -> bool {
    (act as usize) <= Activation::Silu as usize
}

/// Each value becomes act of it, if act is written out.
#[inline(always)]
pub(super) fn values<const FUSED: bool>(act: Activation, values: &mut [f32]) {
    match act {
        Activation::Identity => {}
        // NaN passes: a comparison that is false keeps x.
        Activation::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::LeakyRelu => each(values, |x| if x < 0.0 { LEAKY * x } else { x }),
        Activation::Tanh => each(values, tanh::<FUSED>),
        Activation::Sigmoid => each(values, sigmoid::<FUSED>),
        Activation::Gelu => each(values, |x| x * normal::<FUSED>(x).0),
        Activation::GeluTanh => each(values, |x| x * sigmoid::<FUSED>(gelu_argument(x))),
        Activation::Silu => each(values, |x| x * sigmoid::<FUSED>(x)),
        // Those that have only an expression are done after the product: see `elementwise`.
        _ => {}
    }
}

/// Each value is multiplied by act' of what was saved, if act is written out.
#[inline(always)]
pub(super) fn times_gradients<const FUSED: bool>(
    act: Activation,
    values: &mut [f32],
    saved: &[f32],
) {
    match act {
        Activation::Identity => {}
        Activation::Relu => pairs(values, saved, |y| if y > 0.0 { 1.0 } else { 0.0 }),
        Activation::LeakyRelu => pairs(values, saved, |y| if y > 0.0 { 1.0 } else { LEAKY }),
        Activation::Tanh => pairs(values, saved, |y| 1.0 - y * y),
        Activation::Sigmoid => pairs(values, saved, |y| y * (1.0 - y)),
        // Φ(x) + x φ(x)
        Activation::Gelu => pairs(values, saved, |x| {
            let (below, density) = normal::<FUSED>(x);
            below + x * (density * DENSITY)
        }),
        // s + x s (1 − s) · 2 (a + 3 b x²)
        Activation::GeluTanh => pairs(values, saved, |x| {
            let s = sigmoid::<FUSED>(gelu_argument(x));
            let x = if x > GELU_END { GELU_END } else { x };
            let x = if x < -GELU_END { -GELU_END } else { x };
            s + x * (s * (1.0 - s)) * 2.0 * (GELU[0] + 3.0 * GELU[1] * x * x)
        }),
        // s + x s (1 − s)
        Activation::Silu => pairs(values, saved, |x| {
            let s = sigmoid::<FUSED>(x);
            s + x * (s * (1.0 - s))
        }),
        _ => {}
    }
}

#[inline(always)]
fn gelu_argument(x: f32) -> f32 {
    2.0 * (GELU[0] * x + GELU[1] * x * x * x)
}

#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|x| *x = function(*x));
}

#[inline(always)]
fn pairs(values: &mut [f32], saved: &[f32], slope: impl Fn(f32) -> f32) {
    values.iter_mut().zip(saved).for_each(|(d, &saved)| *d *= slope(saved));
}
