// A product without workgroup memory: each lane sums REG_M x REG_N elements straight from the buffers.
// For software adapters, where barriers and workgroup memory cost more than they save.

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
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
    for (var k = 0u; k < params.k; k++) {
        var b_values: array<f32, REG_N>;
        for (var j = 0u; j < REG_N; j++) {
            b_values[j] = b[b_at[j] + k * b_stride];
        }
        for (var i = 0u; i < REG_M; i++) {
            let a_value = a[a_at[i] + k * a_stride];
            if BIAS_GRAD == 1u {
                a_sums[i] += a_value;
            }
            for (var j = 0u; j < REG_N; j++) {
                sums[i][j] = fma(a_value, b_values[j], sums[i][j]);
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
