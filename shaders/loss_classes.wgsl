// row_loss and d_logits of a loss over classes, one lane a row: row_classes.wgsl. Of several members, whose logits stand side by
// side, a row's loss is the mean. Masked rows get zeros; others are multiplied by
// their weight over the step's divisor. Constants are the weights of classes. The gradient is multiplied by the loss scale if there
// is one.

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

fn load_prediction(at: u32) -> f32 {
    return logits[at];
}

fn load_label(row: u32) -> u32 {
    return goal[row];
}

fn load_goal(at: u32) -> f32 {
    return bitcast<f32>(goal[at]);
}

fn load_constant(j: u32) -> f32 {
    if CONSTANTS == 1u {
        return constants[j];
    }
    return 1.0;
}

fn store_gradient(at: u32, value: f32) {
    d_logits[at] = stored(value);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = flat(global, groups, WORKGROUP);
    if row >= params.batch {
        return;
    }
    let n = params.n;
    if row >= step.rows {
        row_loss[row] = 0.0;
        for (var j = 0u; j < n; j++) {
            d_logits[row * n + j] = Write(0.0);
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
    weight /= f32(MEMBERS);
    of_slope /= f32(MEMBERS);
    let each = n / MEMBERS;
    var sum = 0.0;
    for (var j = 0u; j < n; j += each) {
        sum += row_of_classes(row, row * n + j, each, params.setting, weight, of_slope);
    }
    row_loss[row] = sum;
}
