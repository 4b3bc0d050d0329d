// A sequence by a workgroup of many lanes: in a product, each sums REG_M x REG_N elements by itself.

fn product(size: Size, lane: u32) {
    let blocks_n = (size.n + REG_N - 1u) / REG_N;
    let blocks = blocks_n * ((size.m + REG_M - 1u) / REG_M);
    let a_stride = select(1u, size.m, has(size, TRANSPOSE_A));
    let b_stride = select(size.n, 1u, has(size, TRANSPOSE_B));
    for (var block = lane; block < blocks; block += LANES) {
        let row0 = block / blocks_n * REG_M;
        let column0 = block % blocks_n * REG_N;
        // Chromium's compiler starts variables of a loop at zero in the first turn only, unless their value is written.
        // Elements beyond the edge repeat the last one and are not stored: no branch in the loop.
        var a_at = array<u32, REG_M>();
        for (var i = 0u; i < REG_M; i++) {
            a_at[i] = a_index(size, min(row0 + i, size.m - 1u), 0u);
        }
        var b_at = array<u32, REG_N>();
        for (var j = 0u; j < REG_N; j++) {
            b_at[j] = b_index(size, 0u, min(column0 + j, size.n - 1u));
        }
        var sums = array<array<f32, REG_N>, REG_M>();
        var a_sums = array<f32, REG_M>();
        for (var k = 0u; k < size.k; k++) {
            var b_values = array<f32, REG_N>();
            for (var j = 0u; j < REG_N; j++) {
                b_values[j] = load_b(b_at[j] + k * b_stride);
            }
            for (var i = 0u; i < REG_M; i++) {
                let a_value = load_a(a_at[i] + k * a_stride);
                a_sums[i] += a_value;
                for (var j = 0u; j < REG_N; j++) {
                    sums[i][j] = fma(a_value, b_values[j], sums[i][j]);
                }
            }
        }
        for (var i = 0u; i < REG_M; i++) {
            let row = row0 + i;
            if row < size.m {
                for (var j = 0u; j < REG_N; j++) {
                    if column0 + j < size.n {
                        finish(size, row, column0 + j, sums[i][j]);
                    }
                }
                if has(size, BIAS_GRAD) && column0 == 0u {
                    store_extra(row, a_sums[i]);
                }
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    run(lane, group.x, groups.x);
}
