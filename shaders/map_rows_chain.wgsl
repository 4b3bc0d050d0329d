// Each result = a formula [m,n], element by element, or its sums over rows [n], top to bottom; a column a lane: chain.wgsl

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let column = flat(global, groups, WORKGROUP);
    if column >= params.n {
        return;
    }
    for (var link = 0u; link < LINKS; link++) {
        let is_sum = among(link, SUMS);
        var sum = 0.0;
        for (var row = 0u; row < params.m; row++) {
            let value = formula(link, row, column);
            sum += value;
            if !is_sum {
                _ = store(link, row * params.n + column, value);
            }
        }
        if is_sum {
            _ = store(link, column, sum);
        }
    }
}
