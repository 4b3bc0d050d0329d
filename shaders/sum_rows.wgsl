// out [n] = sums of the columns of x [m,n], top to bottom

struct Params {
    m: u32,
    n: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<Read>;
@group(0) @binding(3) var<storage, read_write> out: array<Write>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let column = flat(global, groups, WORKGROUP);
    if column >= params.n {
        return;
    }
    var sum = 0.0;
    for (var row = 0u; row < params.m; row++) {
        sum += f32(x[row * params.n + column]);
    }
    out[column] = stored(sum);
}
