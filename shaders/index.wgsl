// The number of an invocation in a grid that may be folded into y, since an axis holds 65,535
// workgroups at most.

fn flat(global: vec3<u32>, groups: vec3<u32>, workgroup_size: u32) -> u32 {
    return global.x + global.y * groups.x * workgroup_size;
}
