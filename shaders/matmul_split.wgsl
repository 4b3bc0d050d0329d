// A product by small tiles whose sums are split among SPLITS groups of lanes, for results too small to fill a GPU by
// tiles alone: each group sums its own part of k, and the parts are added in order, so that the shape of the sum is fixed.

const GROUP: u32 = (TILE / REG) * (TILE / REG);
const LANES: u32 = GROUP * SPLITS;
const TILE_M: u32 = TILE;
const TILE_N: u32 = TILE;

// A tile of each group, k outermost.
var<workgroup> a_tile: array<f32, SPLITS * TILE_K * TILE>;
var<workgroup> b_tile: array<f32, SPLITS * TILE_K * TILE>;
// Each group's part of the sums.
var<workgroup> parts: array<f32, SPLITS * TILE * TILE>;
var<workgroup> a_parts: array<f32, SPLITS * TILE>;

fn put_a(base: u32, at: vec2<u32>, value: Read) {
    a_tile[base + at.y * TILE + at.x] = f32(value);
}

fn put_b(base: u32, at: vec2<u32>, value: Read) {
    b_tile[base + at.y * TILE + at.x] = f32(value);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
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
    let split = local / GROUP;
    let lane = local % GROUP;
    let lane_m = lane / (TILE / REG);
    let lane_n = lane % (TILE / REG);
    let base = split * TILE_K * TILE;
    // Whole steps for each group; the last groups may have less to do, or nothing.
    let steps = (size.k + TILE_K * SPLITS - 1u) / (TILE_K * SPLITS);
    let k_first = split * steps * TILE_K;

    var sums: array<array<f32, REG>, REG>;
    var a_sums: array<f32, REG>;
    for (var at = 0u; at < steps; at++) {
        let k0 = k_first + at * TILE_K;
        load_tiles(size, lane, GROUP, base, row0, column0, k0);
        workgroupBarrier();
        for (var kk = 0u; kk < TILE_K; kk++) {
            var b_values = array<f32, REG>();
            for (var j = 0u; j < REG; j++) {
                b_values[j] = b_tile[base + kk * TILE + lane_n * REG + j];
            }
            for (var i = 0u; i < REG; i++) {
                let a_value = a_tile[base + kk * TILE + lane_m * REG + i];
                a_sums[i] += a_value;
                for (var j = 0u; j < REG; j++) {
                    sums[i][j] = fma(a_value, b_values[j], sums[i][j]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < REG; i++) {
        let row = lane_m * REG + i;
        for (var j = 0u; j < REG; j++) {
            parts[(split * TILE + row) * TILE + lane_n * REG + j] = sums[i][j];
        }
        if lane_n == 0u {
            a_parts[split * TILE + row] = a_sums[i];
        }
    }
    workgroupBarrier();
    for (var e = local; e < TILE * TILE; e += LANES) {
        let row = row0 + e / TILE;
        let column = column0 + e % TILE;
        if row < size.m && column < size.n {
            var sum = 0.0;
            for (var part = 0u; part < SPLITS; part++) {
                sum += parts[part * TILE * TILE + e];
            }
            finish(size, row, column, sum);
        }
    }
    if has(size, BIAS_GRAD) && column0 == 0u && local < TILE && row0 + local < size.m {
        var sum = 0.0;
        for (var part = 0u; part < SPLITS; part++) {
            sum += a_parts[part * TILE + local];
        }
        store_extra(row0 + local, sum);
    }
}
