// The activations' formulas; their twins are in src/device/cpu/activation.rs.
// The host sets ACT, and a constant for each activation's number.

const LEAKY_SLOPE: f32 = 0.01;
const GELU_CUBIC: f32 = 0.044715;
const SQRT_2_OVER_PI: f32 = 0.7978845608;
const INV_SQRT_2PI: f32 = 0.3989422804;
const INV_SQRT_2: f32 = 0.7071067812;

// y, unless x is NaN. Compilers may assume that NaN does not occur, so its bits are tested; clamps
// would otherwise turn it into a number and hide that training has failed.
fn keep_nan(x: f32, y: f32) -> f32 {
    return select(y, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

// tanh x. Drivers' own may give NaN for large x and lose digits for small.
fn tanh_safe(x: f32) -> f32 {
    let c = clamp(x, -10.0, 10.0);
    let s = c * c;
    // Taylor's series, for |x| < 1/4 good to the last bit
    let small = c * (1.0 + s * (-0.3333333333 + s * (0.1333333333 + s * (-0.05396825397 + s * 0.02186948854))));
    let large = 1.0 - 2.0 / (exp(2.0 * c) + 1.0);
    return keep_nan(x, select(large, small, s < 0.0625));
}

// 1 / (1 + exp(-x)), by the form whose exponential cannot overflow
fn sigmoid(x: f32) -> f32 {
    let e = exp(-min(abs(x), 87.0));
    let y = select(1.0, e, x < 0.0) / (1.0 + e);
    return keep_nan(x, y);
}

// Standard normal distribution function. erfc by the Chebyshev fit of Numerical Recipes, 2nd edition,
// section 6.2, whose relative error is below 1.2e-7 everywhere.
fn normal_cdf(x: f32) -> f32 {
    let z = min(abs(x) * INV_SQRT_2, 9.0);
    let t = 1.0 / (1.0 + 0.5 * z);
    let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
        + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
    let erfc = t * exp(p - z * z);
    return keep_nan(x, select(1.0 - 0.5 * erfc, 0.5 * erfc, x < 0.0));
}

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
        case TANH: { return tanh_safe(x); }
        case SIGMOID: { return sigmoid(x); }
        case GELU: { return x * normal_cdf(x); }
        case GELU_TANH: { return 0.5 * x * (1.0 + tanh_safe(gelu_inner(x))); }
        case SILU: { return x * sigmoid(x); }
        default: { return x; }
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
            return normal_cdf(saved) + c * INV_SQRT_2PI * exp(max(-0.5 * c * c, -87.0));
        }
        case GELU_TANH: {
            let c = clamp(saved, -20.0, 20.0);
            let t = tanh_safe(gelu_inner(saved));
            let inner = SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * c * c);
            return 0.5 * (1.0 + t) + 0.5 * c * (1.0 - t * t) * inner;
        }
        case SILU: {
            let s = sigmoid(saved);
            return s + clamp(saved, -100.0, 100.0) * s * (1.0 - s);
        }
        default: { return 1.0; }
    }
}
