// out [g n, k] = aᵀ b within each of g blocks of columns, a [m, g n], b [m, g k], summed from top to bottom.
// One lane an element: sums need no atomics, and have one order.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    let wide = params.blocks * params.n;
    if at >= wide * params.k {
        return;
    }
    let row = at / params.k;
    let column = row / params.n * params.k + at % params.k;
    var sum = 0.0;
    for (var i = 0u; i < params.m; i++) {
        sum += a[i * wide + row] * b[i * params.blocks * params.k + column];
    }
    out[at] = sum;
}
