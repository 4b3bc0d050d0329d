// The end of a step, for which the loss scale of the next is set: half after an overflow, twice after GROW_AFTER steps without
// one. Where steps with a loss that is not finite are skipped, such a step's loss becomes NaN, so that the host leaves it out,
// its whole move is skipped with it, and the scale stays. One lane.

struct Params {
    unused: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> scaling: array<f32>;
@group(0) @binding(3) var<storage, read_write> log_out: array<u32>;

@compute @workgroup_size(1)
fn main() {
    if GUARDED == 1u {
        let lost = scaling[OVERFLOW] > 1.0;
        if scaling[OVERFLOW] != 0.0 && (lost || SCALED == 0u) {
            log_out[step.log] = 0x7fc00000u;
        }
        if step.apply == 0u {
            return;
        }
        if lost || SCALED == 0u {
            scaling[OVERFLOW] = 0.0;
            return;
        }
    }
    // Of the scale and of its inverse: powers of two, so that both stay exact.
    var factors = vec2(1.0, 1.0);
    if scaling[OVERFLOW] != 0.0 {
        scaling[OVERFLOW] = 0.0;
        scaling[SKIPPED] += 1.0;
        scaling[GOOD] = 0.0;
        if scaling[INVERSE] < f32(LARGEST) {
            factors = vec2(0.5, 2.0);
        }
    } else {
        scaling[GOOD] += 1.0;
        if scaling[GOOD] >= f32(GROW_AFTER) {
            scaling[GOOD] = 0.0;
            if scaling[SCALE] < f32(LARGEST) {
                factors = vec2(2.0, 0.5);
            }
        }
    }
    scaling[SCALE] *= factors.x;
    scaling[INVERSE] *= factors.y;
}
