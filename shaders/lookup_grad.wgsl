// out [v,d]: row = sum of d_y [m,d] over the valid rows whose number in x's column it is, top to bottom; x [m,n].
// One lane an element of the table: sums need no atomics, and have one order.

struct Params {
    m: u32,
    n: u32,
    d: u32,
    v: u32,
    column: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> d_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.v * params.d {
        return;
    }
    let number = at / params.d;
    var sum = 0.0;
    for (var row = 0u; row < min(params.m, step.rows); row++) {
        let its = min(u32(max(x[row * params.n + params.column], 0.0)), params.v - 1u);
        if its == number {
            sum += d_y[row * params.d + at % params.d];
        }
    }
    out[at] = sum;
}
