// row_loss and d_logits, one lane a row: row_cross_entropy.wgsl. Rows that do not count get zeros.

struct Params {
    batch: u32,
    n: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_logits: array<f32>;

fn load_prediction(at: u32) -> f32 {
    return logits[at];
}

fn store_gradient(at: u32, value: f32) {
    d_logits[at] = value;
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
            d_logits[row * n + j] = 0.0;
        }
        return;
    }
    row_loss[row] = row_cross_entropy(row * n, n, labels[row], f32(step.rows));
}
