// out = (1 - momentum) out + momentum stat, times rows / (rows - 1) if UNBIASED; of one row no variance is unbiased.
// MEAN: the momentum is the step's share. GUARDED, a step that is skipped changes nothing, nor does a statistic that is NaN or infinite, by its bits.

struct Params {
    len: u32,
    momentum: f32,
    rest: f32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> stat: array<f32>;
@group(0) @binding(3) var<storage, read> scaling: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at >= params.len {
        return;
    }
    let finite = (bitcast<u32>(stat[at]) & 0x7f800000u) != 0x7f800000u;
    if GUARDED == 1u && (scaling[OVERFLOW] != 0.0 || !finite) {
        return;
    }
    var factor = params.momentum;
    var rest = params.rest;
    if MEAN == 1u {
        factor = step.s5;
        rest = 1.0 - step.s5;
    }
    if UNBIASED == 1u {
        if step.rows < 2u {
            return;
        }
        factor *= f32(step.rows) / f32(step.rows - 1u);
    }
    out[at] = rest * out[at] + factor * stat[at];
}
