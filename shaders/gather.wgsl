// The batch's rows of a table, picked by the epoch's order or lying in sequence. Of the targets, 32-bit words are
// copied as they are, so that classes and floats take the same way. Masked rows become zero.

struct Params {
    batch: u32,
    columns: u32,
    y_columns: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> y: array<u32>;
@group(0) @binding(5) var<storage, read_write> x_out: array<Write>;
@group(0) @binding(6) var<storage, read_write> y_out: array<u32>;

fn source_row(i: u32) -> u32 {
    if ORDERED == 1u {
        return order[step.first + i];
    }
    return step.first + i;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = flat(global, groups, WORKGROUP);
    if at < params.batch * params.columns {
        let i = at / params.columns;
        var value = 0.0;
        if i < step.rows {
            value = x[source_row(i) * params.columns + at % params.columns];
        }
        x_out[at] = stored(value);
    }
    if TARGETS == 1u && at < params.batch * params.y_columns {
        let i = at / params.y_columns;
        var word = 0u;
        if i < step.rows {
            word = y[source_row(i) * params.y_columns + at % params.y_columns];
        }
        y_out[at] = word;
    }
}
