// In front of the factors: min(1, max / (norm + 1e-6)), the norm from sums of squares. One workgroup, in a fixed order.

struct Params {
    len: u32,
    limit: f32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> factors: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var at = lane; at < params.len; at += WORKGROUP) {
        sum += sums[at];
    }
    let clip = params.limit / (sqrt(total(lane, sum)) + 1e-6);
    if lane == 0u {
        // NaN stays.
        factors[0].x = select(clip, 1.0, clip > 1.0);
    }
}
