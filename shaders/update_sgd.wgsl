// g += wd w; v = momentum v + g; w -= lr (nesterov ? g + momentum v : v). Four elements a lane: arenas
// are multiples of 64.

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
    let w = weight[at];
    let g = gradient[at] + params.weight_decay * w;
    var change = g;
    if MOMENTUM == 1u {
        let v = params.momentum * velocity[at] + g;
        velocity[at] = v;
        change = v;
        if NESTEROV == 1u {
            change = g + params.momentum * v;
        }
    }
    weight[at] = w - step.lr * change;
}
