// The primitive functions, each good to a few units in the last place of its result or of 1, whatever the driver's own
// may be. NaN stays NaN. Twins: Functions in src/expr/eval.rs, src/device/cpu/simd/approximations.rs.

const INV_SQRT_2PI: f32 = 0.3989422804;
const INV_SQRT_2: f32 = 0.7071067812;

// y, unless x is NaN. Compilers may assume that NaN does not occur, so its bits are tested; clamps
// would otherwise turn it into a number and hide that training has failed.
fn keep_nan(x: f32, y: f32) -> f32 {
    return select(y, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

// Infinity, or NaN, behind a variable: as a constant WGSL refuses it.
fn from_bits(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

fn exp_of(x: f32) -> f32 {
    let y = exp(clamp(x, -87.0, 88.7));
    return keep_nan(x, select(y, from_bits(0x7f800000u), x > 88.7228));
}

// exp(x) - 1
fn expm1_of(x: f32) -> f32 {
    let e = exp_of(x);
    return select(e - 1.0, tanh_of(0.5 * x) * (e + 1.0), abs(x) < 0.5);
}

fn ln_of(x: f32) -> f32 {
    let y = log(max(x, 1e-45));
    let low = select(from_bits(0x7fc00000u), from_bits(0xff800000u), x == 0.0);
    return keep_nan(x, select(low, y, x > 0.0));
}

// ln(1 + x)
fn log1p_of(x: f32) -> f32 {
    // 2 artanh(x / (2 + x)), for |x| up to 1 by its series
    let z = x / (2.0 + x);
    let s = z * z;
    let near = 2.0 * z * (1.0 + s * (0.3333333333 + s * (0.2 + s * (0.1428571429 + s * (0.1111111111
        + s * (0.09090909091 + s * 0.07692307692))))));
    return select(ln_of(1.0 + x), near, x > -0.5 && x < 1.0);
}

// tanh x. Drivers' own may give NaN for large x and lose digits for small.
fn tanh_of(x: f32) -> f32 {
    let c = clamp(x, -10.0, 10.0);
    let s = c * c;
    // Taylor's series, for |x| < 1/4 good to the last bit
    let small = c * (1.0 + s * (-0.3333333333 + s * (0.1333333333 + s * (-0.05396825397 + s * 0.02186948854))));
    let large = 1.0 - 2.0 / (exp(2.0 * c) + 1.0);
    return keep_nan(x, select(large, small, s < 0.0625));
}

// 1 / (1 + exp(-x)), by the form whose exponential cannot overflow
fn sigmoid_of(x: f32) -> f32 {
    let e = exp(-min(abs(x), 87.0));
    let y = select(1.0, e, x < 0.0) / (1.0 + e);
    return keep_nan(x, y);
}

// ln(1 + exp(x))
fn softplus_of(x: f32) -> f32 {
    return keep_nan(x, max(x, 0.0) + log1p_of(exp(-min(abs(x), 87.0))));
}

// Standard normal distribution function. erfc by the Chebyshev fit of Numerical Recipes, 2nd edition,
// section 6.2, whose relative error is below 1.2e-7 everywhere.
fn normal_cdf_of(x: f32) -> f32 {
    let z = min(abs(x) * INV_SQRT_2, 9.0);
    let t = 1.0 / (1.0 + 0.5 * z);
    let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
        + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
    let erfc = t * exp(p - z * z);
    return keep_nan(x, select(1.0 - 0.5 * erfc, 0.5 * erfc, x < 0.0));
}

// exp(-x^2/2) / sqrt(2 pi)
fn normal_density_of(x: f32) -> f32 {
    let c = clamp(x, -20.0, 20.0);
    return keep_nan(x, INV_SQRT_2PI * exp(max(-0.5 * c * c, -87.0)));
}

// sin(x - k pi) for |x - k pi| <= pi/2, with the sign that odd k brings. Vulkan asks for no more than 11 bits of its own
// sine. pi in three parts (Cephes): good for k up to 100,000.
fn sine_around(x: f32, k: f32, odd: f32) -> f32 {
    // k in two parts, so that all products but the last, which is small, are exact.
    let high = round(k * 0.0009765625);
    let low = k - 1024.0 * high;
    let coarse = (x - high * 3216.0) - low * 3.140625;
    let fine = (coarse - high * 0.99072265625) - low * 9.67502593994140625e-4;
    let r = clamp(fine - k * 1.50995799097837643e-7, -1.6, 1.6);
    let s = r * r;
    let y = r * (1.0 + s * (-0.1666666667 + s * (8.333333333e-3 + s * (-1.984126984e-4 + s * (2.755731922e-6
        + s * (-2.505210839e-8 + s * 1.605904384e-10))))));
    let flip = odd - 2.0 * floor(0.5 * odd);
    return keep_nan(x, y * (1.0 - 2.0 * flip));
}

fn sin_of(x: f32) -> f32 {
    let k = round(x * 0.3183098862);
    return sine_around(x, k, k);
}

// cos x = sin(x + pi/2)
fn cos_of(x: f32) -> f32 {
    let k = round(x * 0.3183098862 - 0.5);
    return sine_around(x, k + 0.5, k + 1.0);
}
