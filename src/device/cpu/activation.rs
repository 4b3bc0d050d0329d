//! The activations' formulas, those that are written out; their twins are in `shaders/activation.wgsl`. Of others it runs
//! the programs.

use super::Real;
use crate::model::Activation;

/// Slope of the leaky rectifier below 0, as PyTorch's default.
pub const LEAKY_SLOPE: f64 = 0.01;
/// Coefficient of x³ in the tanh form of gelu (Hendrycks and Gimpel 2016, arXiv:1606.08415).
const GELU_CUBIC: f64 = 0.044_715;

/// y = act(x)
pub fn value<T: Real>(act: Activation, x: T) -> T {
    match act {
        Activation::Identity => x,
        // NaN passes: a comparison that is false keeps x.
        Activation::Relu => {
            if x < T::zero() {
                T::zero()
            } else {
                x
            }
        }
        Activation::LeakyRelu => {
            if x < T::zero() {
                T::of(LEAKY_SLOPE) * x
            } else {
                x
            }
        }
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Gelu => x * normal_cdf(x),
        Activation::GeluTanh => T::of(0.5) * x * (T::one() + gelu_inner(x).tanh()),
        Activation::Silu => x * sigmoid(x),
        other => T::of(other.value_program().value(&[x.to_f64()])),
    }
}

/// dy/dx, from y where [`Activation::gradient_from_output`] says so, else from x
pub fn gradient<T: Real>(act: Activation, saved: T) -> T {
    let one = T::one();
    match act {
        Activation::Identity => one,
        Activation::Relu => {
            if saved > T::zero() {
                one
            } else {
                T::zero()
            }
        }
        Activation::LeakyRelu => {
            if saved > T::zero() {
                one
            } else {
                T::of(LEAKY_SLOPE)
            }
        }
        Activation::Tanh => one - saved * saved,
        Activation::Sigmoid => saved * (one - saved),
        // Φ(x) + x φ(x)
        Activation::Gelu => {
            let density = (T::of(-0.5) * saved * saved).exp()
                * T::of(1.0 / (2.0 * std::f64::consts::PI).sqrt());
            normal_cdf(saved) + saved * density
        }
        Activation::GeluTanh => {
            let t = gelu_inner(saved).tanh();
            let inner = gelu_factor::<T>() * (one + T::of(3.0 * GELU_CUBIC) * saved * saved);
            let sech2 = one - t * t;
            // At large |x| the derivative of the argument may overflow where sech² is 0 already.
            let tail =
                if sech2 == T::zero() { T::zero() } else { T::of(0.5) * saved * sech2 * inner };
            T::of(0.5) * (one + t) + tail
        }
        // s + x s (1 − s)
        Activation::Silu => {
            let s = sigmoid(saved);
            s + saved * s * (one - s)
        }
        other => T::of(other.slope_program().value(&[saved.to_f64()])),
    }
}

/// 1 / (1 + e⁻ˣ), by the form whose exponential cannot overflow
fn sigmoid<T: Real>(x: T) -> T {
    if x < T::zero() {
        let e = x.exp();
        e / (T::one() + e)
    } else {
        T::one() / (T::one() + (-x).exp())
    }
}

/// Φ(x) = ½ (1 + erf(x/√2))
fn normal_cdf<T: Real>(x: T) -> T {
    T::of(0.5) * (T::one() + (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

fn gelu_factor<T: Real>() -> T {
    T::of((2.0 / std::f64::consts::PI).sqrt())
}

fn gelu_inner<T: Real>(x: T) -> T {
    gelu_factor::<T>() * (x + T::of(GELU_CUBIC) * x * x * x)
}
