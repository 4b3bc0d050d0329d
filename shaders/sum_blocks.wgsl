// out [m, n] = the sum of x's g blocks of columns [m, g n], first to last. One lane an element.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.m * params.n {
        return;
    }
    let start = at / params.n * params.blocks * params.n + at % params.n;
    var sum = 0.0;
    for (var i = 0u; i < params.blocks; i++) {
        sum += x[start + i * params.n];
    }
    out[at] = sum;
}
