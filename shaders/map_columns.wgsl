// out [m] = sum, or maximum, of a formula over columns, a row a workgroup: operands.wgsl

var<workgroup> partial: array<f32, WORKGROUP>;

fn joined(a: f32, b: f32) -> f32 {
    if MAXIMUM == 1u {
        return select(a, b, b > a);
    }
    return a + b;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.m {
        return;
    }
    var sum = 0.0;
    if MAXIMUM == 1u {
        // Any number of the row is a beginning; a number below all others has no literal.
        sum = formula(row, min(lane, params.n - 1u));
    }
    for (var column = lane; column < params.n; column += WORKGROUP) {
        sum = joined(sum, formula(row, column));
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if lane < half {
            partial[lane] = joined(partial[lane], partial[lane + half]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        out[row] = stored(partial[0]);
    }
}
