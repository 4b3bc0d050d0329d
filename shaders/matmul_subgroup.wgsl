// A product by workgroups of one subgroup: lane j sums REG_M rows of the columns j, j + LANES, ... Each lane
// loads one element of a row of A, and the subgroup passes them round: a load costs a software adapter
// more than anything else. LANES is the subgroup's size, which the host has found to be fixed.

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tiles_n = (params.n + LANES * REG_N - 1u) / (LANES * REG_N);
    let tiles_m = (params.m + REG_M - 1u) / REG_M;
    let tile = group.x + group.y * groups.x;
    if tile >= tiles_n * tiles_m {
        return;
    }
    let row0 = (tile / tiles_n) * REG_M;
    let column0 = (tile % tiles_n) * LANES * REG_N + lane;

    // Elements beyond the edge repeat the last one and are not stored: no branch in the loop.
    var a_at: array<u32, REG_M>;
    for (var i = 0u; i < REG_M; i++) {
        a_at[i] = a_index(min(row0 + i, params.m - 1u), 0u);
    }
    var b_at: array<u32, REG_N>;
    for (var j = 0u; j < REG_N; j++) {
        b_at[j] = b_index(0u, min(column0 + j * LANES, params.n - 1u));
    }
    let a_stride = select(1u, params.m, TRANSPOSE_A == 1u);
    let b_stride = select(params.n, 1u, TRANSPOSE_B == 1u);

    var sums: array<array<f32, REG_N>, REG_M>;
    var a_sums: array<f32, REG_M>;
    let whole = params.k / LANES * LANES;
    for (var k0 = 0u; k0 < whole; k0 += LANES) {
        var a_lane: array<f32, REG_M>;
        for (var i = 0u; i < REG_M; i++) {
            a_lane[i] = a[a_at[i] + (k0 + lane) * a_stride];
            if BIAS_GRAD == 1u {
                a_sums[i] += a_lane[i];
            }
        }
        for (var kk = 0u; kk < LANES; kk++) {
            var b_values: array<f32, REG_N>;
            for (var j = 0u; j < REG_N; j++) {
                b_values[j] = b[b_at[j] + (k0 + kk) * b_stride];
            }
            for (var i = 0u; i < REG_M; i++) {
                let a_value = subgroupShuffle(a_lane[i], kk);
                for (var j = 0u; j < REG_N; j++) {
                    sums[i][j] = fma(a_value, b_values[j], sums[i][j]);
                }
            }
        }
    }
    if BIAS_GRAD == 1u {
        for (var i = 0u; i < REG_M; i++) {
            a_sums[i] = subgroupAdd(a_sums[i]);
        }
    }
    for (var k = whole; k < params.k; k++) {
        for (var i = 0u; i < REG_M; i++) {
            let a_value = a[a_at[i] + k * a_stride];
            if BIAS_GRAD == 1u {
                a_sums[i] += a_value;
            }
            for (var j = 0u; j < REG_N; j++) {
                sums[i][j] = fma(a_value, b[b_at[j] + k * b_stride], sums[i][j]);
            }
        }
    }
    for (var i = 0u; i < REG_M; i++) {
        let row = row0 + i;
        if row >= params.m {
            break;
        }
        for (var j = 0u; j < REG_N; j++) {
            let column = column0 + j * LANES;
            if column < params.n {
                finish(row, column, sums[i][j]);
            }
        }
        if BIAS_GRAD == 1u && column0 == 0u {
            extra_out[row] = a_sums[i];
        }
    }
}
