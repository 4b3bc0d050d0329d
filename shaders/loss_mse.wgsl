// row_loss = mean over columns of (prediction - target)^2; d_prediction = 2 (prediction - target) / (rows n),
// times the loss scale if there is one. One lane a row. Rows that do not count get zeros.

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

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = flat(global, groups, WORKGROUP);
    if row >= params.batch {
        return;
    }
    let at = row * params.n;
    let columns = f32(params.n);
    var scale = 2.0 / (f32(step.rows) * columns);
    if SCALED == 1u {
        scale *= scaling[SCALE];
    }
    var sum = 0.0;
    // Set where a prediction is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = at; j < at + params.n; j++) {
        var error = 0.0;
        if row < step.rows {
            error = prediction[j] - goal[j];
            let bits = bitcast<u32>(prediction[j]);
            bad = select(bad, 0x7fc00000u, (bits & 0x7f800000u) == 0x7f800000u);
        }
        sum += error * error;
        d_prediction[j] = stored(scale * error);
    }
    row_loss[row] = bitcast<f32>(bitcast<u32>(sum / columns) | bad);
}
