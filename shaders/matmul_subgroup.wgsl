// A product by workgroups of one subgroup, a tile each.

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let size = size_of_product();
    let tile = group.x + group.y * groups.x;
    if tile < tiles_of(size) {
        product_tile(size, tile, lane);
    }
}
