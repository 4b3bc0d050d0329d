// out [m,d]: row = the table's row of the number in x's column, table [v,d], x [m,n]

struct Params {
    m: u32,
    n: u32,
    d: u32,
    v: u32,
    column: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.m * params.d {
        return;
    }
    let number = x[at / params.d * params.n + params.column];
    let row = min(u32(max(number, 0.0)), params.v - 1u);
    out[at] = table[row * params.d + at % params.d];
}
