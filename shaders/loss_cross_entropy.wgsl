// row_loss = log sum exp(logits) - logits[label]; d_logits = (softmax - onehot) / rows, times the
// loss scale if there is one. One lane a row. Rows that do not count get zeros.

struct Params {
    batch: u32,
    n: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> scaling: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_logits: array<Write>;

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
    var top = logits[at];
    // Set where a logit is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = 0u; j < n; j++) {
        let x = logits[at + j];
        top = max(top, x);
        bad = select(bad, 0x7fc00000u, (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u);
    }
    var sum = 0.0;
    for (var j = 0u; j < n; j++) {
        sum += exp(max(logits[at + j] - top, -87.0));
    }
    let label = labels[row];
    let loss = log(sum) - (logits[at + label] - top);
    row_loss[row] = bitcast<f32>(bitcast<u32>(loss) | bad);
    let rows = f32(step.rows);
    var scale = 1.0;
    if SCALED == 1u {
        scale = scaling[SCALE];
    }
    for (var j = 0u; j < n; j++) {
        let p = exp(max(logits[at + j] - top, -87.0)) / sum;
        d_logits[at + j] = stored(scale * ((p - select(0.0, 1.0, j == label)) / rows));
    }
}
