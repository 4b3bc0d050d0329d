// out [n] = sums of a formula over rows, top to bottom: operands.wgsl

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let column = flat(global, groups, WORKGROUP);
    if column >= params.n {
        return;
    }
    var sum = 0.0;
    for (var row = 0u; row < params.m; row++) {
        sum += formula(row, column);
    }
    out[column] = stored(sum);
}
