// Adam's and AdamW's update of an arena: adam.wgsl. Four elements a lane: arenas are multiples of 64.
// With a loss scale, it is taken out of the gradient, a step with an overflow changes nothing, and half_weight keeps
// the weights in half precision. GUARDED steps that are skipped change nothing either.

struct Params {
    len: u32,  // in vectors of four
    beta1: f32,
    beta2: f32,
    rest1: f32,
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
    if (SCALED == 1u || GUARDED == 1u) && scaling[OVERFLOW] != 0.0 {
        return;
    }
    var g = gradient[at];
    if SCALED == 1u {
        g *= scaling[INVERSE];
    }
    let after = adam(weight[at], g, m[at], v[at]);
    weight[at] = after.weight;
    m[at] = after.m;
    v[at] = after.v;
    if SCALED == 1u {
        let w = after.weight;
        half_weight[at] = vec4(stored(w.x), stored(w.y), stored(w.z), stored(w.w));
    }
}
