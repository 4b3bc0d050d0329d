// A product by workgroups of one subgroup: lane j sums REG_M rows of the columns j, j + LANES, ... The lanes
// share the loading of A, each an element of STEP_K columns of LANES / STEP_K rows, and pass them round: a load
// costs a software adapter more than anything else. A small STEP_K keeps the unrolled loop, and so the time
// to compile it, short. LANES is the subgroup's size, which the host has found to be fixed.

const LOAD_ROWS: u32 = LANES / STEP_K;
const LOADS: u32 = REG_M / LOAD_ROWS;

var<workgroup> ended: array<f32, REG_M * REG_N * LANES>;

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
    var a_at: array<u32, LOADS>;
    for (var load = 0u; load < LOADS; load++) {
        let row = row0 + load * LOAD_ROWS + lane / STEP_K;
        a_at[load] = a_index(min(row, params.m - 1u), 0u);
    }
    var b_at: array<u32, REG_N>;
    for (var j = 0u; j < REG_N; j++) {
        b_at[j] = b_index(0u, min(column0 + j * LANES, params.n - 1u));
    }
    let a_stride = select(1u, params.m, has(TRANSPOSE_A));
    let b_stride = select(params.n, 1u, has(TRANSPOSE_B));

    var sums: array<array<f32, REG_N>, REG_M>;
    var lane_sums: array<f32, LOADS>;
    for (var k0 = 0u; k0 < params.k; k0 += STEP_K) {
        var a_lane: array<f32, LOADS>;
        let a_k = k0 + lane % STEP_K;
        for (var load = 0u; load < LOADS; load++) {
            // Zero beyond the last k, where the last element of B is repeated.
            let value = f32(a[a_at[load] + min(a_k, params.k - 1u) * a_stride]);
            a_lane[load] = select(0.0, value, a_k < params.k);
            if has(BIAS_GRAD) {
                lane_sums[load] += a_lane[load];
            }
        }
        for (var kk = 0u; kk < STEP_K; kk++) {
            let b_k = min(k0 + kk, params.k - 1u);
            var b_values: array<f32, REG_N>;
            for (var j = 0u; j < REG_N; j++) {
                b_values[j] = f32(b[b_at[j] + b_k * b_stride]);
            }
            for (var i = 0u; i < REG_M; i++) {
                let a_value = subgroupShuffle(a_lane[i / LOAD_ROWS], i % LOAD_ROWS * STEP_K + kk);
                for (var j = 0u; j < REG_N; j++) {
                    sums[i][j] = fma(a_value, b_values[j], sums[i][j]);
                }
            }
        }
    }
    var a_sums: array<f32, REG_M>;
    if has(BIAS_GRAD) {
        for (var i = 0u; i < REG_M; i++) {
            for (var kk = 0u; kk < STEP_K; kk++) {
                a_sums[i] += subgroupShuffle(lane_sums[i / LOAD_ROWS], i % LOAD_ROWS * STEP_K + kk);
            }
        }
    }
    // Each lane puts its sums down and takes them up again, in single precision whatever `out` holds: a loop that is
    // not unrolled compiles in a third of the time.
    for (var i = 0u; i < REG_M; i++) {
        for (var j = 0u; j < REG_N; j++) {
            ended[(i * REG_N + j) * LANES + lane] = sums[i][j];
        }
    }
    let rows = min(REG_M, params.m - row0);
    for (var i = 0u; i < rows * REG_N; i++) {
        let column = column0 + i % REG_N * LANES;
        if column < params.n {
            finish(row0 + i / REG_N, column, ended[i * LANES + lane]);
        }
    }
    if has(BIAS_GRAD) && column0 == 0u {
        for (var i = 0u; i < REG_M; i++) {
            if i < rows {
                extra_out[row0 + i] = stored(a_sums[i]);
            }
        }
    }
}
