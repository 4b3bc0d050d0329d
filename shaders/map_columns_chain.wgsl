// Each result = a formula [m,n], element by element, or its sum or maximum over columns [m]; a row a workgroup: chain.wgsl

var<workgroup> partial: array<f32, WORKGROUP>;
// The row's sums and maxima, as they are stored, by the numbers of their formulas.
var<workgroup> sums: array<f32, LINKS>;

fn joined(maximum: bool, a: f32, b: f32) -> f32 {
    if maximum {
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
    for (var link = 0u; link < LINKS; link++) {
        if !among(link, SUMS) {
            for (var column = lane; column < params.n; column += WORKGROUP) {
                _ = store(link, row * params.n + column, formula(link, row, column));
            }
            continue;
        }
        let maximum = among(link, MAXIMA);
        var sum = 0.0;
        if maximum {
            // Any number of the row is a beginning; a number below all others has no literal.
            sum = formula(link, row, min(lane, params.n - 1u));
        }
        for (var column = lane; column < params.n; column += WORKGROUP) {
            sum = joined(maximum, sum, formula(link, row, column));
        }
        partial[lane] = sum;
        workgroupBarrier();
        for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
            if lane < half {
                partial[lane] = joined(maximum, partial[lane], partial[lane + half]);
            }
            workgroupBarrier();
        }
        if lane == 0u {
            sums[link] = store(link, row, partial[0]);
        }
        workgroupBarrier();
    }
}
