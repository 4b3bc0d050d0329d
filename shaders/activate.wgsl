// out = act(x + bias), x [len/n, n], bias [n]

struct Params {
    len: u32,
    n: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<Read>;
@group(0) @binding(3) var<storage, read> bias: array<Read>;
@group(0) @binding(4) var<storage, read_write> out: array<Write>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    var z = f32(x[at]);
    if BIAS == 1u {
        z += f32(bias[at % params.n]);
    }
    out[at] = stored(activate(z));
}
