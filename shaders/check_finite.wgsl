// scaling[OVERFLOW] = 1 if an element of the gradients is NaN or infinite, by its bits, and with LOSS 1.5 if the step's loss
// is; else left as it is. Four elements a lane: arenas are multiples of 64. Lanes set bits, and those of 1.5 hold those of 1,
// so their order does not matter.

struct Params {
    len: u32,  // in vectors of four
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> gradient: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> log_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> scaling: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    if any((gradient[at] & vec4(0x7f800000u)) == vec4(0x7f800000u)) {
        atomicOr(&scaling[OVERFLOW], 0x3f800000u);
    }
    if LOSS == 1u && at == 0u && (log_in[step.log] & 0x7f800000u) == 0x7f800000u {
        atomicOr(&scaling[OVERFLOW], 0x3fc00000u);
    }
}
