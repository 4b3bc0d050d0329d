// A product by cooperative matrices of SIZE x SIZE: a workgroup is one subgroup and computes 2 x 2 of them. Factors are
// halves, sums single precision. Both factors pass through workgroup memory, where all beyond an edge is zero, and so
// do the sums: which lane holds which element of a cooperative matrix is not known.

const TILE: u32 = 2u * SIZE;
const TILE_M: u32 = TILE;
const TILE_N: u32 = TILE;

var<workgroup> a_tile: array<Read, TILE * TILE_K>;
var<workgroup> b_tile: array<Read, TILE_K * TILE>;
var<workgroup> ended: array<f32, TILE * TILE>;

fn put_a(base: u32, at: vec2<u32>, value: Read) {
    a_tile[base + at.x * TILE_K + at.y] = value;
}

fn put_b(base: u32, at: vec2<u32>, value: Read) {
    b_tile[base + at.y * TILE + at.x] = value;
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
    // The same for the whole workgroup, so that all below is uniform.
    if tile >= tiles_n * tiles_m {
        return;
    }
    let row0 = (tile / tiles_n) * TILE;
    let column0 = (tile % tiles_n) * TILE;

    var sums00: Sums;
    var sums01: Sums;
    var sums10: Sums;
    var sums11: Sums;
    // Of the rows of A that this lane adds up for a bias's gradient.
    var a_sums: array<f32, (TILE + LANES - 1u) / LANES>;
    for (var k0 = 0u; k0 < size.k; k0 += TILE_K) {
        load_tiles(size, lane, LANES, 0u, row0, column0, k0);
        workgroupBarrier();
        for (var kk = 0u; kk < TILE_K; kk += SIZE) {
            let a0 = coopLoadT<Left>(&a_tile[kk], TILE_K);
            let a1 = coopLoadT<Left>(&a_tile[SIZE * TILE_K + kk], TILE_K);
            let b0 = coopLoadT<Right>(&b_tile[kk * TILE], TILE);
            let b1 = coopLoadT<Right>(&b_tile[kk * TILE + SIZE], TILE);
            sums00 = coopMultiplyAdd(a0, b0, sums00);
            sums01 = coopMultiplyAdd(a0, b1, sums01);
            sums10 = coopMultiplyAdd(a1, b0, sums10);
            sums11 = coopMultiplyAdd(a1, b1, sums11);
        }
        if has(size, BIAS_GRAD) && column0 == 0u {
            for (var i = lane; i < TILE; i += LANES) {
                for (var kk = 0u; kk < TILE_K; kk++) {
                    a_sums[i / LANES] += f32(a_tile[i * TILE_K + kk]);
                }
            }
        }
        workgroupBarrier();
    }
    coopStoreT(sums00, &ended[0], TILE);
    coopStoreT(sums01, &ended[SIZE], TILE);
    coopStoreT(sums10, &ended[SIZE * TILE], TILE);
    coopStoreT(sums11, &ended[SIZE * TILE + SIZE], TILE);
    workgroupBarrier();
    for (var e = lane; e < TILE * TILE; e += LANES) {
        let row = row0 + e / TILE;
        let column = column0 + e % TILE;
        if row < size.m && column < size.n {
            finish(size, row, column, ended[e]);
        }
    }
    if has(size, BIAS_GRAD) && column0 == 0u {
        for (var i = lane; i < TILE; i += LANES) {
            if row0 + i < size.m {
                store_extra(row0 + i, a_sums[i / LANES]);
            }
        }
    }
}
