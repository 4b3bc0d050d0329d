// A pass over arenas by expressions: the host puts `formula(at, factors)` in front, which reads them. Four elements a
// lane: arenas are multiples of 64, and each 64 elements have one row of factors. With a loss scale, or GUARDED, a step that
// is skipped changes nothing; with a scale half_weight keeps the weights in half precision. Steps that only gather gradients
// change only the accumulated gradients.

struct Params {
    len: u32,    // in vectors of four
    first: u32,  // the first block of 64
}

struct Results {
    weight: vec4<f32>,
    state0: vec4<f32>,
    state1: vec4<f32>,
    state2: vec4<f32>,
    average: vec4<f32>,
    gathered: vec4<f32>,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scaling: array<f32>;
@group(0) @binding(4) var<storage, read> factors: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> state0: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> state1: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> state2: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> gathered: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read_write> average: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> half_weight: array<vec4<Write>>;

alias V = vec4<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    if (SCALED == 1u || GUARDED == 1u) && scaling[OVERFLOW] != 0.0 {
        // Gradients that were accumulated before are dropped with the skipped update.
        if GATHERS == 1u {
            gathered[at] = V();
        }
        return;
    }
    var row = V(1.0);
    if TABLE == 1u {
        row = factors[1u + params.first + at / 16u];
    }
    let after = formula(at, row);
    if step.apply == 0u {
        if GATHERS == 1u {
            gathered[at] = after.gathered;
        }
        return;
    }
    if WEIGHT == 1u {
        weight[at] = after.weight;
    }
    if STATES > 0u {
        state0[at] = after.state0;
    }
    if STATES > 1u {
        state1[at] = after.state1;
    }
    if STATES > 2u {
        state2[at] = after.state2;
    }
    if AVERAGES == 1u {
        average[at] = after.average;
    }
    if GATHERS == 1u {
        gathered[at] = V();
    }
    if SCALED == 1u && WEIGHT == 1u {
        let w = after.weight;
        half_weight[at] = vec4(stored(w.x), stored(w.y), stored(w.z), stored(w.w));
    }
}
