// out = d_y act'(saved)

struct Params {
    len: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> saved: array<Read>;
@group(0) @binding(3) var<storage, read> d_y: array<Write>;
@group(0) @binding(4) var<storage, read_write> out: array<Write>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at < params.len {
        out[at] = stored(f32(d_y[at]) * activation_gradient(f32(saved[at])));
    }
}
