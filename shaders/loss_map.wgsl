// row_loss and d_prediction of an elementwise loss, one lane a row: row_elements.wgsl. Of several members, whose predictions stand
// side by side, a row's loss is the mean. Masked rows get zeros; others are multiplied
// by their weight over the step's divisor. The gradient is multiplied by the loss scale if there is one.

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

fn load_prediction(at: u32) -> f32 {
    return prediction[at];
}

fn load_goal(at: u32) -> f32 {
    return goal[at];
}

fn load_constant(j: u32) -> f32 {
    if CONSTANTS == 1u {
        return constants[j % params.period];
    }
    return 1.0;
}

fn store_gradient(at: u32, value: f32) {
    d_prediction[at] = stored(value);
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
    let each = params.n / MEMBERS;
    var sum = 0.0;
    for (var j = 0u; j < params.n; j += each) {
        sum += row_of_elements(row, row * params.n + j, each, params.columns, weight, of_slope);
    }
    row_loss[row] = sum;
}
