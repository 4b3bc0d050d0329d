// g += wd w; v = momentum v + g; w -= lr (nesterov ? g + momentum v : v). Four elements a lane: arenas
// are multiples of 128. With a loss scale, it is taken out of g, a step with an
// overflow changes nothing, and half_weight keeps w in half precision.

struct Params {
    len: u32,  // in vectors of four
    momentum: f32,
    weight_decay: f32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scaling: array<f32>;
@group(0) @binding(4) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> velocity: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> half_weight: array<vec4<Write>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    if SCALED == 1u && scaling[OVERFLOW] != 0.0 {
        return;
    }
    let w = weight[at];
    var g = gradient[at];
    if SCALED == 1u {
        g *= scaling[INVERSE];
    }
    g += params.weight_decay * w;
    var change = g;
    if MOMENTUM == 1u {
        let v = params.momentum * velocity[at] + g;
        velocity[at] = v;
        change = v;
        if NESTEROV == 1u {
            change = g + params.momentum * v;
        }
    }
    let w_new = w - step.lr * change;
    weight[at] = w_new;
    if SCALED == 1u {
        half_weight[at] = vec4(stored(w_new.x), stored(w_new.y), stored(w_new.z), stored(w_new.w));
    }
}
