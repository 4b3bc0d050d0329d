// Stochastic gradient descent's update of an arena: sgd.wgsl. Four elements a lane: arenas are multiples of 64.

struct Params {
    len: u32,  // in vectors of four
    momentum: f32,
    weight_decay: f32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    var before = vec4<f32>();
    if MOMENTUM == 1u {
        before = velocity[at];
    }
    let after = sgd(weight[at], gradient[at], before);
    weight[at] = after.weight;
    if MOMENTUM == 1u {
        velocity[at] = after.velocity;
    }
}
