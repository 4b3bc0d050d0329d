// row_loss and d_prediction, one lane a row: row_mse.wgsl. Masked rows get zeros.
// The gradient is multiplied by the loss scale if there is one.

struct Params {
    batch: u32,
    n: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> prediction: array<f32>;
@group(0) @binding(3) var<storage, read> goal: array<f32>;
@group(0) @binding(4) var<storage, read> scaling: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_prediction: array<Write>;

fn load_prediction(at: u32) -> f32 {
    return prediction[at];
}

fn load_goal(at: u32) -> f32 {
    return goal[at];
}

fn store_gradient(at: u32, value: f32) {
    var scaled = value;
    if SCALED == 1u {
        scaled *= scaling[SCALE];
    }
    d_prediction[at] = stored(scaled);
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
            d_prediction[row * n + j] = Write(0.0);
        }
        return;
    }
    row_loss[row] = row_mse(row * n, row * n, n, f32(step.rows));
}
