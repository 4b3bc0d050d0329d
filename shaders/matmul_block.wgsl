// A product by large tiles in workgroup memory, for big matrices on GPUs: TILE x TILE of the result a workgroup of 256
// lanes, 8 x 8 a lane, in four blocks of 4 x 4, so that each lane reads its operands as vectors. While one pair of tiles
// is multiplied, the next one is on its way from memory; two pairs in workgroup memory take turns, with one barrier each.

const TILE: u32 = 128u;
const TILE_K: u32 = 8u;
const LANES: u32 = 256u;
// Elements of each tile that a lane loads.
const LOADS: u32 = TILE * TILE_K / LANES;
const VECTORS: u32 = TILE_K * TILE / 4u;

// Two tiles each, k outermost.
var<workgroup> a_tiles: array<vec4<f32>, 2u * VECTORS>;
var<workgroup> b_tiles: array<vec4<f32>, 2u * VECTORS>;

// Which element of a tile a lane loads: neighbouring lanes read neighbouring words of memory.
// x: along the tile, y: along k
fn element(lane: u32, load: u32, k_inner: bool) -> vec2<u32> {
    let e = lane + load * LANES;
    return select(vec2<u32>(e % TILE, e / TILE), vec2<u32>(e / TILE_K, e % TILE_K), k_inner);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let size = size_of_product();
    let tiles_n = (size.n + TILE - 1u) / TILE;
    let tiles_m = (size.m + TILE - 1u) / TILE;
    let tile = group.x + group.y * groups.x;
    // The same for the whole workgroup, so that barriers below are uniform.
    if tile >= tiles_n * tiles_m {
        return;
    }
    let row0 = tile / tiles_n * TILE;
    let column0 = tile % tiles_n * TILE;
    let lane_m = lane / 16u;
    let lane_n = lane % 16u;
    let a_inner = !has(size, TRANSPOSE_A);
    let b_inner = has(size, TRANSPOSE_B);

    var sums: array<array<vec4<f32>, 2>, 8>;
    var a_sums: array<vec4<f32>, 2>;
    var a_next: array<f32, LOADS>;
    var b_next: array<f32, LOADS>;
    let steps = (size.k + TILE_K - 1u) / TILE_K;
    // One turn more than there are tiles: each turn multiplies the tiles that the one before has brought.
    for (var turn = 0u; turn <= steps; turn++) {
        let k0 = turn * TILE_K;
        if turn < steps {
            for (var load = 0u; load < LOADS; load++) {
                let at = element(lane, load, a_inner);
                let row = row0 + at.x;
                let k = k0 + at.y;
                var value = 0.0;
                if row < size.m && k < size.k {
                    value = load_a(a_index(size, row, k));
                }
                a_next[load] = value;
            }
            for (var load = 0u; load < LOADS; load++) {
                let at = element(lane, load, b_inner);
                let column = column0 + at.x;
                let k = k0 + at.y;
                var value = 0.0;
                if column < size.n && k < size.k {
                    value = load_b(b_index(size, k, column));
                }
                b_next[load] = value;
            }
        }
        if turn > 0u {
            let base = (turn - 1u) % 2u * VECTORS;
            for (var kk = 0u; kk < TILE_K; kk++) {
                let at = base + kk * (TILE / 4u);
                let a0 = a_tiles[at + lane_m];
                let a1 = a_tiles[at + 16u + lane_m];
                let b0 = b_tiles[at + lane_n];
                let b1 = b_tiles[at + 16u + lane_n];
                if has(size, BIAS_GRAD) {
                    a_sums[0] += a0;
                    a_sums[1] += a1;
                }
                for (var i = 0u; i < 4u; i++) {
                    sums[i][0] = fma(vec4<f32>(a0[i]), b0, sums[i][0]);
                    sums[i][1] = fma(vec4<f32>(a0[i]), b1, sums[i][1]);
                    sums[i + 4u][0] = fma(vec4<f32>(a1[i]), b0, sums[i + 4u][0]);
                    sums[i + 4u][1] = fma(vec4<f32>(a1[i]), b1, sums[i + 4u][1]);
                }
            }
        }
        if turn < steps {
            let base = turn % 2u * VECTORS;
            for (var load = 0u; load < LOADS; load++) {
                let a_at = element(lane, load, a_inner);
                let b_at = element(lane, load, b_inner);
                a_tiles[base + (a_at.y * TILE + a_at.x) / 4u][a_at.x % 4u] = a_next[load];
                b_tiles[base + (b_at.y * TILE + b_at.x) / 4u][b_at.x % 4u] = b_next[load];
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 8u; i++) {
        let row = row0 + i / 4u * 64u + lane_m * 4u + i % 4u;
        if row < size.m {
            for (var j = 0u; j < 8u; j++) {
                let column = column0 + j / 4u * 64u + lane_n * 4u + j % 4u;
                if column < size.n {
                    finish(size, row, column, sums[i][j / 4u][j % 4u]);
                }
            }
            if has(size, BIAS_GRAD) && column0 + lane_n == 0u {
                store_extra(row, a_sums[i / 4u][i % 4u]);
            }
        }
    }
}
