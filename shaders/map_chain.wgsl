// Each result [m,n] = a formula, element by element: chain.wgsl

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at < params.m * params.n {
        for (var link = 0u; link < LINKS; link++) {
            _ = store(link, at, formula(link, at / params.n, at % params.n));
        }
    }
}
