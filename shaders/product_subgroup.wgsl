// A tile of a product by one subgroup: lane j sums REG_M rows of the columns j, j + LANES, ... The lanes
// share the loading of A, each an element of STEP_K columns of LANES / STEP_K rows, and pass them round: a load
// costs a software adapter more than anything else. A small STEP_K keeps the unrolled loop, and so the time
// to compile it, short. LANES is the subgroup's size, which the host has found to be fixed.

const LOAD_ROWS: u32 = LANES / STEP_K;
const LOADS: u32 = REG_M / LOAD_ROWS;

fn tiles_of(size: Size) -> u32 {
    return (size.n + LANES * REG_N - 1u) / (LANES * REG_N) * ((size.m + REG_M - 1u) / REG_M);
}

fn product_tile(size: Size, tile: u32, lane: u32) {
    let tiles_n = (size.n + LANES * REG_N - 1u) / (LANES * REG_N);
    let row0 = (tile / tiles_n) * REG_M;
    let column0 = (tile % tiles_n) * LANES * REG_N + lane;

    // Elements beyond the edge repeat the last one and are not stored: no branch in the loop.
    var a_at: array<u32, LOADS>;
    for (var load = 0u; load < LOADS; load++) {
        let row = row0 + load * LOAD_ROWS + lane / STEP_K;
        a_at[load] = a_index(size, min(row, size.m - 1u), 0u);
    }
    var b_at: array<u32, REG_N>;
    for (var j = 0u; j < REG_N; j++) {
        b_at[j] = b_index(size, 0u, min(column0 + j * LANES, size.n - 1u));
    }
    let a_stride = select(1u, size.m, has(size, TRANSPOSE_A));
    let b_stride = select(size.n, 1u, has(size, TRANSPOSE_B));

    var sums: array<array<f32, REG_N>, REG_M>;
    var lane_sums: array<f32, LOADS>;
    for (var k0 = 0u; k0 < size.k; k0 += STEP_K) {
        var a_lane = array<f32, LOADS>();
        let a_k = k0 + lane % STEP_K;
        for (var load = 0u; load < LOADS; load++) {
            // Zero beyond the last k, where the last element of B is repeated.
            let value = load_a(a_at[load] + min(a_k, size.k - 1u) * a_stride);
            a_lane[load] = select(0.0, value, a_k < size.k);
            if has(size, BIAS_GRAD) {
                lane_sums[load] += a_lane[load];
            }
        }
        for (var kk = 0u; kk < STEP_K; kk++) {
            let b_k = min(k0 + kk, size.k - 1u);
            var b_values = array<f32, REG_N>();
            for (var j = 0u; j < REG_N; j++) {
                b_values[j] = load_b(b_at[j] + b_k * b_stride);
            }
            for (var i = 0u; i < REG_M; i++) {
                let a_value = subgroupShuffle(a_lane[i / LOAD_ROWS], i % LOAD_ROWS * STEP_K + kk);
                for (var j = 0u; j < REG_N; j++) {
                    sums[i][j] = fma(a_value, b_values[j], sums[i][j]);
                }
            }
        }
    }
    if has(size, BIAS_GRAD) {
        // A row's sum lies in STEP_K neighbouring lanes; the first of them stores it.
        for (var load = 0u; load < LOADS; load++) {
            var sum = 0.0;
            for (var kk = 0u; kk < STEP_K; kk++) {
                sum += subgroupShuffle(lane_sums[load], lane / STEP_K * STEP_K + kk);
            }
            let row = row0 + load * LOAD_ROWS + lane / STEP_K;
            if column0 == lane && lane % STEP_K == 0u && row < size.m {
                store_extra(row, sum);
            }
        }
    }
    // A bias is loaded once for all rows, and a function of few instructions applied here.
    for (var j = 0u; j < REG_N; j++) {
        var bias = 0.0;
        if has(size, BIAS) {
            bias = load_extra(min(column0 + j * LANES, size.n - 1u));
        }
        for (var i = 0u; i < REG_M; i++) {
            sums[i][j] += bias;
            if SHORT_ACT == 1u && has(size, ACTIVATE) {
                sums[i][j] = activate(sums[i][j]);
            }
        }
    }
    // Values that are taken up again below must not have been rounded.
    var exact: array<f32, REG_M * REG_N>;
    if ROUNDS == 1u {
        for (var i = 0u; i < REG_M; i++) {
            for (var j = 0u; j < REG_N; j++) {
                exact[i * REG_N + j] = sums[i][j];
            }
        }
    }
    for (var i = 0u; i < REG_M; i++) {
        let row = row0 + i;
        if row >= size.m {
            break;
        }
        for (var j = 0u; j < REG_N; j++) {
            let column = column0 + j * LANES;
            if column < size.n {
                store_out(row * size.n + column, sums[i][j]);
            }
        }
    }
    // For the rest each lane takes up its own sums again: a loop that is not unrolled compiles in a third of the time.
    if DROPOUT == 1u || has(size, GRADIENT | SAVE) || (SHORT_ACT == 0u && has(size, ACTIVATE)) {
        let rows = min(REG_M, size.m - row0);
        for (var i = 0u; i < rows * REG_N; i++) {
            let row = row0 + i / REG_N;
            let column = column0 + i % REG_N * LANES;
            if column < size.n {
                let at = row * size.n + column;
                var z = load_out(at);
                if ROUNDS == 1u {
                    z = exact[i];
                }
                if SHORT_ACT == 1u {
                    store_out(at, z * activation_gradient(load_extra(at)));
                } else {
                    finish(Size(size.m, size.n, size.k, size.fused & ~BIAS), row, column, z);
                }
            }
        }
    }
}
