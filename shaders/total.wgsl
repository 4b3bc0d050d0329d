// The sum of what all lanes of a workgroup have, in a fixed order.

var<workgroup> parts: array<f32, WORKGROUP>;

fn total(lane: u32, part: f32) -> f32 {
    parts[lane] = part;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if lane < half {
            parts[lane] += parts[lane + half];
        }
        workgroupBarrier();
    }
    let sum = parts[0];
    // Before the next sum overwrites it.
    workgroupBarrier();
    return sum;
}
