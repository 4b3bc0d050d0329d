// log[step] = mean of the losses of the valid rows. One workgroup; each lane sums every WORKGROUP-th row,
// then halves are added: a fixed shape, so that the result does not depend on timing.

struct Params {
    batch: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> row_loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> log_out: array<f32>;

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var row = lane; row < min(step.rows, params.batch); row += WORKGROUP) {
        sum += row_loss[row];
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if lane == 0u {
        log_out[step.log] = partial[0] / f32(step.rows);
    }
}
