// out [m,n] = a formula of the operands, element by element: operands.wgsl

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at < params.m * params.n {
        out[at] = stored(formula(at / params.n, at % params.n));
    }
}
