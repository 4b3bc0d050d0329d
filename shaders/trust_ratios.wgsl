// In the factors of each parameter's blocks: its norm over that of its direction, 1 where one of them is 0. A parameter a
// workgroup, in a fixed order.

struct Params {
    len: u32,  // parameters
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> directions: array<f32>;
@group(0) @binding(4) var<storage, read> views: array<u32>;
@group(0) @binding(5) var<storage, read_write> factors: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Beyond the last parameter the last one is done again: all lanes must come to the barriers.
    let view = min(group.x + group.y * groups.x, params.len - 1u);
    let first = views[2u * view];
    let count = views[2u * view + 1u];
    var weight = 0.0;
    var direction = 0.0;
    for (var i = lane; i < count; i += WORKGROUP) {
        weight += weights[first + i];
        direction += directions[first + i];
    }
    let norm = sqrt(total(lane, weight));
    let divisor = sqrt(total(lane, direction));
    let ratio = select(norm / divisor, 1.0, norm == 0.0 || divisor == 0.0);
    for (var i = lane; i < count; i += WORKGROUP) {
        factors[1u + first + i].z = ratio;
    }
}
