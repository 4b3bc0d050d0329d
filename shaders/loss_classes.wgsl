// row_loss and d_logits of a loss over classes, one lane a row; KIND says which, setting is its number: the label smoothing,
// gamma, the margin. Masked rows get zeros; others are multiplied by their weight over the step's divisor. Constants are the
// weights of classes. The gradient is multiplied by the loss scale if there is one.

struct Params {
    batch: u32,
    n: u32,
    setting: f32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> goal: array<u32>;
@group(0) @binding(4) var<storage, read> constants: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;
@group(0) @binding(6) var<storage, read> scaling: array<f32>;
@group(0) @binding(7) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(8) var<storage, read_write> d_logits: array<Write>;

fn class_weight(label: u32) -> f32 {
    if CONSTANTS == 1u {
        return constants[label];
    }
    return 1.0;
}

// The wanted share of a class; not a probability, since classes may have weights.
fn wanted(row: u32, j: u32) -> f32 {
    if KIND == SHARES {
        return bitcast<f32>(goal[row * params.n + j]);
    }
    let even = params.setting / f32(params.n);
    return (select(0.0, 1.0 - params.setting, j == goal[row]) + even) * class_weight(j);
}

// exp of a number that is not above 0
fn small_exp(x: f32) -> f32 {
    return exp(max(x, -87.0));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = flat(global, groups, WORKGROUP);
    if row >= params.batch {
        return;
    }
    let n = params.n;
    let at = row * n;
    if row >= step.rows {
        row_loss[row] = 0.0;
        for (var j = 0u; j < n; j++) {
            d_logits[at + j] = Write(0.0);
        }
        return;
    }
    var weight = 1.0 / step.divisor;
    if WEIGHTS == 1u {
        weight *= weights[row];
    }
    var of_slope = weight;
    if SCALED == 1u {
        of_slope *= scaling[SCALE];
    }
    var top = logits[at];
    // Set where a logit is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = 0u; j < n; j++) {
        let x = logits[at + j];
        top = max(top, x);
        bad = select(bad, 0x7fc00000u, (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u);
    }
    var value = 0.0;
    if KIND == HINGE {
        let label = goal[row];
        let least = params.setting - logits[at + label];
        let share = class_weight(label) / f32(n);
        var short = 0.0;
        for (var j = 0u; j < n; j++) {
            let missing = least + logits[at + j];
            let counts = j != label && missing > 0.0;
            value += select(0.0, missing * share, counts);
            short += select(0.0, share, counts);
            if j != label {
                d_logits[at + j] = stored(select(0.0, share, counts) * of_slope);
            }
        }
        d_logits[at + label] = stored(-short * of_slope);
    } else {
        var sum = 0.0;
        var rest = 0.0;
        for (var j = 0u; j < n; j++) {
            let e = small_exp(logits[at + j] - top);
            sum += e;
            if KIND == FOCAL {
                rest += select(e, 0.0, j == goal[row]);
            }
        }
        let log_sum = log(sum);
        if KIND == FOCAL {
            let label = goal[row];
            rest /= sum;
            let log_p = logits[at + label] - top - log_sum;
            let p = small_exp(logits[at + label] - top) / sum;
            let power = small_exp(params.setting * log(max(rest, 1e-37)));
            // log p / (1 - p) tends to -1 as p tends to 1.
            let ratio = select(-1.0, log_p / max(rest, 1e-37), rest > 1e-37);
            let slope = -class_weight(label) * power * (1.0 - params.setting * p * ratio);
            value = -class_weight(label) * power * log_p;
            for (var j = 0u; j < n; j++) {
                let other = -small_exp(logits[at + j] - top) / sum;
                d_logits[at + j] = stored(slope * select(other, rest, j == label) * of_slope);
            }
        } else {
            var all = 0.0;
            for (var j = 0u; j < n; j++) {
                let share = wanted(row, j);
                all += share;
                value += share * (log_sum - (logits[at + j] - top));
                if KIND == SHARES {
                    value += select(0.0, share * log(max(share, 1e-37)), share > 0.0);
                }
            }
            for (var j = 0u; j < n; j++) {
                let p = small_exp(logits[at + j] - top) / sum;
                d_logits[at + j] = stored((p * all - wanted(row, j)) * of_slope);
            }
        }
    }
    row_loss[row] = bitcast<f32>(bitcast<u32>(value * weight * f32(step.rows)) | bad);
}
