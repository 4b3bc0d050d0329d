// A product by tiles in workgroup memory: TILE_M x TILE_N of the result a workgroup, REG_M x REG_N a
// lane, for GPUs with many lanes. Both tiles lie with k outermost, so that the inner loop reads
// neighbouring words.

const LANES_M: u32 = TILE_M / REG_M;
const LANES_N: u32 = TILE_N / REG_N;
const LANES: u32 = LANES_M * LANES_N;

var<workgroup> a_tile: array<f32, TILE_K * TILE_M>;
var<workgroup> b_tile: array<f32, TILE_K * TILE_N>;

fn put_a(base: u32, at: vec2<u32>, value: Read) {
    a_tile[base + at.y * TILE_M + at.x] = f32(value);
}

fn put_b(base: u32, at: vec2<u32>, value: Read) {
    b_tile[base + at.y * TILE_N + at.x] = f32(value);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let size = size_of_product();
    let tiles_n = (size.n + TILE_N - 1u) / TILE_N;
    let tiles_m = (size.m + TILE_M - 1u) / TILE_M;
    let tile = group.x + group.y * groups.x;
    // The same for the whole workgroup, so that barriers below are uniform.
    if tile >= tiles_n * tiles_m {
        return;
    }
    let row0 = (tile / tiles_n) * TILE_M;
    let column0 = (tile % tiles_n) * TILE_N;
    let lane_m = lane / LANES_N;
    let lane_n = lane % LANES_N;

    var sums: array<array<f32, REG_N>, REG_M>;
    var a_sums: array<f32, REG_M>;
    for (var k0 = 0u; k0 < size.k; k0 += TILE_K) {
        load_tiles(size, lane, LANES, 0u, row0, column0, k0);
        workgroupBarrier();
        for (var kk = 0u; kk < TILE_K; kk++) {
            var b_values = array<f32, REG_N>();
            for (var j = 0u; j < REG_N; j++) {
                b_values[j] = b_tile[kk * TILE_N + lane_n + j * LANES_N];
            }
            for (var i = 0u; i < REG_M; i++) {
                let a_value = a_tile[kk * TILE_M + lane_m + i * LANES_M];
                if has(size, BIAS_GRAD) {
                    a_sums[i] += a_value;
                }
                for (var j = 0u; j < REG_N; j++) {
                    sums[i][j] = fma(a_value, b_values[j], sums[i][j]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < REG_M; i++) {
        let row = row0 + lane_m + i * LANES_M;
        if row >= size.m {
            continue;
        }
        for (var j = 0u; j < REG_N; j++) {
            let column = column0 + lane_n + j * LANES_N;
            if column < size.n {
                finish(size, row, column, sums[i][j]);
            }
        }
        if has(size, BIAS_GRAD) && column0 + lane_n == 0u {
            store_extra(row, a_sums[i]);
        }
    }
}
