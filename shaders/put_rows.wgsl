// The batch's rows of a table = the valid rows of x, x [batch,n]

struct Params {
    n: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at < step.rows * params.n {
        out[step.first * params.n + at] = x[at];
    }
}
