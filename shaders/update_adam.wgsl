// m, v = running means of g and g^2; w = keep w - rate m / (sqrt(v) / correction2 + eps), with
// rate = lr / correction1. Decay is coupled (g += wd w) or decoupled (keep = 1 - lr wd). Four elements a
// lane: arenas are multiples of 128. With a loss scale, it is taken out of g, a step with an
// overflow changes nothing, and half_weight keeps w in half precision.

struct Params {
    len: u32,  // in vectors of four
    beta1: f32,
    beta2: f32,
    rest1: f32,  // 1 - beta1, rounded once
    rest2: f32,
    eps: f32,
    weight_decay: f32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scaling: array<f32>;
@group(0) @binding(4) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> half_weight: array<vec4<Write>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    if SCALED == 1u && scaling[OVERFLOW] != 0.0 {
        return;
    }
    var w = weight[at];
    var g = gradient[at];
    if SCALED == 1u {
        g *= scaling[INVERSE];
    }
    if DECOUPLED == 1u {
        w *= 1.0 - step.lr * params.weight_decay;
    } else {
        g += params.weight_decay * w;
    }
    let m_new = params.beta1 * m[at] + params.rest1 * g;
    let v_new = params.beta2 * v[at] + params.rest2 * g * g;
    m[at] = m_new;
    v[at] = v_new;
    let w_new = w - step.rate * m_new / (sqrt(v_new) / step.correction2 + params.eps);
    weight[at] = w_new;
    if SCALED == 1u {
        half_weight[at] = vec4(stored(w_new.x), stored(w_new.y), stored(w_new.z), stored(w_new.w));
    }
}
