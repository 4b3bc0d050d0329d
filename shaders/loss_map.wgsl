// row_loss and d_prediction of an elementwise loss, one lane a row. `loss_of` gives an element's value and derivatives; the host
// writes it from the loss's formula. Predictions of an element lie side by side, WIDTH of them, and so do the elements of a
// target. Masked rows get zeros; others are multiplied by their weight over the step's divisor.
// The gradient is multiplied by the loss scale if there is one.

struct Params {
    batch: u32,
    n: u32,        // predictions of a row
    columns: u32,  // targets of a row
    period: u32,   // constants
    share: f32,    // of an element in its row's loss
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> prediction: array<f32>;
@group(0) @binding(3) var<storage, read> goal: array<f32>;
@group(0) @binding(4) var<storage, read> constants: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;
@group(0) @binding(6) var<storage, read> scaling: array<f32>;
@group(0) @binding(7) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(8) var<storage, read_write> d_prediction: array<Write>;

fn is_bad(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = flat(global, groups, WORKGROUP);
    if row >= params.batch {
        return;
    }
    if row >= step.rows {
        row_loss[row] = 0.0;
        for (var j = 0u; j < params.n; j++) {
            d_prediction[row * params.n + j] = Write(0.0);
        }
        return;
    }
    var weight = params.share / step.divisor;
    if WEIGHTS == 1u {
        weight *= weights[row];
    }
    var of_slope = weight;
    if SCALED == 1u {
        of_slope *= scaling[SCALE];
    }
    let elements = params.n / WIDTH;
    let each = elements / params.columns;
    var sum = 0.0;
    // Set where a prediction is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = 0u; j < elements; j++) {
        let at = row * params.n + j * WIDTH;
        let first = prediction[at];
        var second = 0.0;
        if WIDTH == 2u {
            second = prediction[at + 1u];
        }
        bad = select(bad, 0x7fc00000u, is_bad(first) || is_bad(second));
        var c = 1.0;
        if CONSTANTS == 1u {
            c = constants[j % params.period];
        }
        let loss = loss_of(first, goal[row * params.columns + j / each], c, second);
        sum += loss.value;
        d_prediction[at] = stored(loss.slope * of_slope);
        if WIDTH == 2u {
            d_prediction[at + 1u] = stored(loss.slope2 * of_slope);
        }
    }
    let value = sum * weight * f32(step.rows);
    row_loss[row] = bitcast<f32>(bitcast<u32>(value) | bad);
}
