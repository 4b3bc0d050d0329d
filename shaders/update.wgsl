// A pass over arenas by expressions. The host puts in front the bindings of the arenas that the pass has, `formula(at, factors)`,
// which reads them, and the functions `is_skipped`, `factors_of`, `gather` and `store`. Four elements a lane: arenas are
// multiples of 64, and each 64 elements have one row of factors. A step that is skipped changes nothing. Steps that only
// gather gradients change only the accumulated gradients.

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
alias V = vec4<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    if is_skipped() {
        // Gradients that were accumulated before are dropped with the skipped update.
        gather(at, V());
        return;
    }
    let after = formula(at, factors_of(at));
    if step.apply == 0u {
        gather(at, after.gathered);
        return;
    }
    store(at, after);
    gather(at, V());
}
