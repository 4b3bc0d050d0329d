// out [m, g k] = a b within each of g blocks of columns, a [m, g n], b [g n, k]. One lane an element.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    let wide = params.blocks * params.k;
    if at >= params.m * wide {
        return;
    }
    // The block's first row in b, which is its first column in a.
    let first = at % wide / params.k * params.n;
    let start = at / wide * params.blocks * params.n + first;
    var sum = 0.0;
    for (var i = 0u; i < params.n; i++) {
        sum += a[start + i] * b[(first + i) * params.k + at % params.k];
    }
    out[at] = sum;
}
