// sums[block] = the sum of x^2 over 64 elements of an arena, a block a lane: all lanes load side by side, then each adds up
// its own block in order. Of gradients x = accumulated + fraction g without the loss scale, and 0 where the rate's factor is 0.

struct Params {
    len: u32,    // in vectors of four
    first: u32,  // the first block
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gathered: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scaling: array<f32>;
@group(0) @binding(5) var<storage, read> factors: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

const VECTORS: u32 = 16u;  // of a block

var<workgroup> squares: array<f32, WORKGROUP * VECTORS>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = (group.x + group.y * groups.x) * WORKGROUP;  // the group's first block
    var scale = 1.0;
    if GATHERS == 1u {
        scale = step.s5;
    }
    if SCALED == 1u {
        scale *= scaling[INVERSE];
    }
    for (var i = 0u; i < VECTORS; i++) {
        let at = start * VECTORS + i * WORKGROUP + lane;
        var value = vec4<f32>();
        if at < params.len {
            value = scale * x[at];
            if GATHERS == 1u {
                value += gathered[at];
            }
        }
        squares[i * WORKGROUP + lane] = dot(value, value);
    }
    workgroupBarrier();
    let block = start + lane;
    if block * VECTORS >= params.len {
        return;
    }
    var sum = 0.0;
    for (var i = 0u; i < VECTORS; i++) {
        sum += squares[lane * VECTORS + i];
    }
    if GRADIENT == 1u {
        sum = select(sum, 0.0, factors[1u + params.first + block].x == 0.0);
    }
    sums[params.first + block] = sum;
}
