// Steps of training one after the other in one dispatch, by one workgroup: for networks so small that starting a
// dispatch takes longer than its arithmetic. Each step is a list of operations. Their results for one another are in
// `scratch`, beside copies of weights and gradients, so that products are compiled once; the host has found a place in it
// for every value.

struct Op {
    kind: u32,
    m: u32,
    n: u32,
    k: u32,
    a: u32,          // where operands and results lie in scratch
    b: u32,
    out: u32,
    extra: u32,
    extra_out: u32,
    fused: u32,
    stream: u32,     // of dropout
    rate: f32,       // 0 for none
}

struct Params {
    ops: array<Op, MAX_OPS>,
}

struct Row {
    @size(256) step: Step,
}

@group(0) @binding(0) var<uniform> rows: array<Row, MAX_STEPS>;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> y: array<u32>;
@group(0) @binding(5) var<storage, read_write> weights: array<f32>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;
@group(0) @binding(7) var<storage, read_write> state2: array<f32>;
@group(0) @binding(8) var<storage, read_write> log_out: array<f32>;
@group(0) @binding(9) var<storage, read_write> scratch: array<f32>;

// The step and the operation under way, for the functions below.
var<private> step: Step;
var<private> op: Op;

// Factor of dropout for an element.
fn dropout(at: u32) -> f32 {
    return keep(op.stream, op.rate, at);
}

fn load_a(at: u32) -> f32 {
    return scratch[op.a + at];
}

fn load_b(at: u32) -> f32 {
    return scratch[op.b + at];
}

fn load_extra(at: u32) -> f32 {
    return scratch[op.extra + at];
}

fn load_out(at: u32) -> f32 {
    return scratch[op.out + at];
}

fn store_out(at: u32, value: f32) {
    scratch[op.out + at] = value;
}

fn store_extra(at: u32, value: f32) {
    scratch[op.extra_out + at] = value;
}

fn load_prediction(at: u32) -> f32 {
    return scratch[op.a + at];
}

fn load_goal(at: u32) -> f32 {
    return bitcast<f32>(y[at]);
}

fn store_gradient(at: u32, value: f32) {
    scratch[op.out + at] = value;
}

// The table's row of the batch's row i. Orders are the host's, but a read beyond the table must be impossible.
fn source_row(i: u32, table_rows: u32) -> u32 {
    return min(order[min(step.first + i, table_rows - 1u)], table_rows - 1u);
}

// The batch's rows [m,n] of a table of k rows; masked rows become zero.
fn gather(lane: u32) {
    // Row and column go on without a division for each element.
    var row = lane / op.n;
    var column = lane % op.n;
    while row < op.m {
        var value = 0.0;
        if row < step.rows {
            value = x[source_row(row, op.k) * op.n + column];
        }
        scratch[op.out + row * op.n + column] = value;
        row += LANES / op.n;
        column += LANES % op.n;
        if column >= op.n {
            column -= op.n;
            row += 1u;
        }
    }
}

// Losses of m rows of n, and their gradients, against a table of k rows.
fn loss(lane: u32) {
    for (var row = lane; row < op.m; row += LANES) {
        var value = 0.0;
        if row < step.rows {
            let source = source_row(row, op.k);
            if CLASSES == 1u {
                value = row_cross_entropy(row * op.n, op.n, min(y[source], op.n - 1u), f32(step.rows));
            } else {
                value = row_mse(row * op.n, source * op.n, op.n, f32(step.rows));
            }
        } else {
            for (var j = 0u; j < op.n; j++) {
                store_gradient(row * op.n + j, 0.0);
            }
        }
        scratch[op.extra_out + row] = value;
    }
}

// Each lane's part of a sum over m values; a later operation adds the parts: a fixed shape.
fn partial_sums(lane: u32) {
    var sum = 0.0;
    for (var row = lane; row < min(step.rows, op.m); row += LANES) {
        sum += scratch[op.a + row];
    }
    scratch[op.out + lane] = sum;
}

// The update of m weights, in scratch and in the state's buffers: the host writes `update_element`.
fn update(lane: u32) {
    for (var at = lane; at < op.m; at += LANES) {
        update_element(at);
    }
}

// As many steps as the dispatch has workgroups, of which the first does all.
fn run(lane: u32, group: u32, count: u32) {
    if group > 0u {
        return;
    }
    let len = arrayLength(&weights);
    for (var at = lane; at < len; at += LANES) {
        scratch[at] = weights[at];
    }
    storageBarrier();
    for (var index = 0u; index < min(count, MAX_STEPS); index++) {
        step = rows[index].step;
        for (var at = 0u; at < MAX_OPS; at++) {
            let kind = params.ops[at].kind;
            if kind == END {
                break;
            }
            op = params.ops[at];
            switch kind {
                case GATHER: {
                    gather(lane);
                }
                case PRODUCT: {
                    product(Size(op.m, op.n, op.k, op.fused), lane);
                }
                case LOSS: {
                    loss(lane);
                }
                case PARTIAL_SUMS: {
                    partial_sums(lane);
                }
                case LOG_LOSS: {
                    if lane == 0u {
                        var sum = 0.0;
                        for (var part = 0u; part < LANES; part++) {
                            sum += scratch[op.a + part];
                        }
                        log_out[step.log] = sum / f32(step.rows);
                    }
                }
                default: {
                    update(lane);
                }
            }
            storageBarrier();
        }
    }
    for (var at = lane; at < len; at += LANES) {
        weights[at] = scratch[at];
    }
}
