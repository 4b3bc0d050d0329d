// out [m, g n] = a bᵀ within each of g blocks of columns, a [m, g k], b [g n, k]. One lane an element.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    let wide = params.blocks * params.n;
    if at >= params.m * wide {
        return;
    }
    let column = at % wide;
    let start = at / wide * params.blocks * params.k + column / params.n * params.k;
    var sum = 0.0;
    for (var i = 0u; i < params.k; i++) {
        sum += a[start + i] * b[column * params.k + i];
    }
    out[at] = sum;
}
