// The activations that are written out; their twins are in src/device/cpu/activation.rs. The host sets ACT, a constant for
// each activation's number, and writes value_by_formula and slope_by_formula for the others, both of x.

const LEAKY_SLOPE: f32 = 0.01;
const GELU_CUBIC: f32 = 0.044715;
const SQRT_2_OVER_PI: f32 = 0.7978845608;

// sqrt(2/pi) (x + 0.044715 x^3); |x| beyond 20 changes no result, but its cube might overflow
fn gelu_inner(x: f32) -> f32 {
    let c = clamp(x, -20.0, 20.0);
    return SQRT_2_OVER_PI * (c + GELU_CUBIC * c * c * c);
}

// y = act(x)
fn activate(x: f32) -> f32 {
    switch ACT {
        case RELU: { return select(x, 0.0, x < 0.0); }
        case LEAKY_RELU: { return select(x, LEAKY_SLOPE * x, x < 0.0); }
        case TANH: { return tanh_of(x); }
        case SIGMOID: { return sigmoid_of(x); }
        case GELU: { return x * normal_cdf_of(x); }
        case GELU_TANH: { return 0.5 * x * (1.0 + tanh_of(gelu_inner(x))); }
        case SILU: { return x * sigmoid_of(x); }
        case IDENTITY: { return x; }
        default: { return value_by_formula(x); }
    }
}

// dy/dx, from y for relu, leaky relu, tanh and sigmoid, else from x
fn activation_gradient(saved: f32) -> f32 {
    switch ACT {
        case RELU: { return select(0.0, 1.0, saved > 0.0); }
        case LEAKY_RELU: { return select(LEAKY_SLOPE, 1.0, saved > 0.0); }
        case TANH: { return 1.0 - saved * saved; }
        case SIGMOID: { return saved * (1.0 - saved); }
        case GELU: {
            let c = clamp(saved, -20.0, 20.0);
            return normal_cdf_of(saved) + c * normal_density_of(c);
        }
        case GELU_TANH: {
            let c = clamp(saved, -20.0, 20.0);
            let t = tanh_of(gelu_inner(saved));
            let inner = SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * c * c);
            return 0.5 * (1.0 + t) + 0.5 * c * (1.0 - t * t) * inner;
        }
        case SILU: {
            let s = sigmoid_of(saved);
            return s + clamp(saved, -100.0, 100.0) * s * (1.0 - s);
        }
        case IDENTITY: { return 1.0; }
        default: { return slope_by_formula(saved); }
    }
}
