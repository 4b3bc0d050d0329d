// A sequence by a workgroup of one subgroup.

fn product(size: Size, lane: u32) {
    let tiles = tiles_of(size);
    for (var tile = 0u; tile < tiles; tile++) {
        product_tile(size, tile, lane);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    run(lane, group.x, groups.x);
}
