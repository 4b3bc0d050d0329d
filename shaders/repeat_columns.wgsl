// out [m, g n] = x's columns [m, n] g times side by side. One lane an element.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    let wide = params.blocks * params.n;
    if at >= params.m * wide {
        return;
    }
    out[at] = x[at / wide * params.n + at % params.n];
}
