// The loss scale of the next step: half after an overflow, twice after GROW_AFTER steps without one. One lane.

struct Params {
    unused: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> scaling: array<f32>;

@compute @workgroup_size(1)
fn main() {
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
