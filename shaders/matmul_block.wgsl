// A product by large tiles in workgroup memory, for big matrices on GPUs: TILE x TILE of the result a workgroup of 256
// lanes, 8 x 8 a lane, in four blocks of 4 x 4, so that each lane reads its operands as vectors. While one pair of tiles
// is multiplied, the next one is on its way from memory; two pairs in workgroup memory take turns, with one barrier each.

const TILE: u32 = 128u;
const TILE_M: u32 = TILE;
const TILE_N: u32 = TILE;
const TILE_K: u32 = 8u;
const LANES: u32 = 256u;
// Elements of each tile that a lane loads.
const LOADS: u32 = TILE * TILE_K / LANES;
const VECTORS: u32 = TILE_K * TILE / 4u;

// Two tiles each, k outermost.
var<workgroup> a_tiles: array<vec4<f32>, 2u * VECTORS>;
var<workgroup> b_tiles: array<vec4<f32>, 2u * VECTORS>;

fn put_a(base: u32, at: vec2<u32>, value: Read) {
    a_tiles[base + (at.y * TILE + at.x) / 4u][at.x % 4u] = f32(value);
}

fn put_b(base: u32, at: vec2<u32>, value: Read) {
    b_tiles[base + (at.y * TILE + at.x) / 4u][at.x % 4u] = f32(value);
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

    var sums: array<array<vec4<f32>, 2>, 8>;
    var a_sums: array<vec4<f32>, 2>;
    var a_next: array<Read, LOADS>;
    var b_next: array<Read, LOADS>;
    let steps = (size.k + TILE_K - 1u) / TILE_K;
    // One turn more than there are tiles: each turn multiplies the tiles that the one before has brought.
    for (var turn = 0u; turn <= steps; turn++) {
        let k0 = turn * TILE_K;
        if turn < steps {
            for (var load = 0u; load < LOADS; load++) {
                let a_at = a_element(lane + load * LANES, size);
                let b_at = b_element(lane + load * LANES, size);
                a_next[load] = a_value(size, row0 + a_at.x, k0 + a_at.y);
                b_next[load] = b_value(size, k0 + b_at.y, column0 + b_at.x);
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
                let e = lane + load * LANES;
                put_a(base, a_element(e, size), a_next[load]);
                put_b(base, b_element(e, size), b_next[load]);
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
