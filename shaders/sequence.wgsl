// Steps of training one after the other in one dispatch, by one workgroup: for networks so small that starting a
// dispatch takes longer than its arithmetic. Each step is a list of operations. Their results for one another are in
// `scratch`, beside copies of weights and gradients, so that products are compiled once; the host has found a place in it
// for every value. The host writes what depends on the plan: `operate`, which calls the function of an operation's kind, the
// formulas, the updates, the loss of a row, and the activations.

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
    act: u32,        // which of the plan's activations
    formula: u32,    // which of the plan's formulas
    c: u32,
    d: u32,
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
@group(0) @binding(5) var<storage, read> row_weights: array<f32>;
@group(0) @binding(6) var<storage, read_write> weights: array<f32>;
@group(0) @binding(7) var<storage, read_write> average: array<f32>;
@group(0) @binding(8) var<storage, read_write> log_out: array<f32>;
@group(0) @binding(9) var<storage, read_write> scratch: array<f32>;

alias V = f32;

// The step and the operation under way, for the functions below.
var<private> step: Step;
var<private> op: Op;

// Factor of dropout for an element.
fn dropout(at: u32) -> f32 {
    return keep(op.stream, op.rate, at + step.batch_row * op.n);
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

// Classes are numbers here; a class beyond the last must be impossible.
fn load_label(row: u32) -> u32 {
    return min(u32(scratch[op.b + row]), op.n - 1u);
}

fn load_goal(at: u32) -> f32 {
    return scratch[op.b + at];
}

fn load_constant(j: u32) -> f32 {
    if CONSTANTS == 1u {
        return scratch[op.extra + j % op.stream];
    }
    return 1.0;
}

fn store_gradient(at: u32, value: f32) {
    scratch[op.out + at] = value;
}

// An element of a moved operand of this width; columns left of its first wrap round to far beyond its last.
fn moved(start: u32, at: u32, width: u32) -> f32 {
    if at >= width {
        return 0.0;
    }
    return scratch[start + at];
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn is_skipped() -> bool {
    return GUARDED == 1u && scratch[SCALING + OVERFLOW] != 0.0;
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

// The targets of the batch's rows, b columns of them; classes become numbers, which are exact.
fn gather_targets(lane: u32) {
    for (var at = lane; at < op.m * op.b; at += LANES) {
        let row = at / op.b;
        var value = 0.0;
        if row < step.rows {
            let word = y[source_row(row, op.k) * op.b + at % op.b];
            value = bitcast<f32>(word);
            if CLASSES == 1u {
                value = f32(word);
            }
        }
        scratch[op.extra_out + at] = value;
    }
}

// The weights of the batch's rows.
fn gather_weights(lane: u32) {
    for (var row = lane; row < op.m; row += LANES) {
        var value = 0.0;
        if row < step.rows {
            value = row_weights[source_row(row, op.k)];
        }
        scratch[op.out + row] = value;
    }
}

// A formula [m,n], element by element.
fn map(lane: u32) {
    for (var at = lane; at < op.m * op.n; at += LANES) {
        scratch[op.out + at] = formula(at / op.n, at % op.n);
    }
}

// Sums of a formula over m rows, top to bottom.
fn map_rows(lane: u32) {
    for (var column = lane; column < op.n; column += LANES) {
        var sum = 0.0;
        for (var row = 0u; row < op.m; row++) {
            sum += formula(row, column);
        }
        scratch[op.out + column] = sum;
    }
}

// Sums of a formula over n columns, or the largest numbers.
fn map_columns(lane: u32) {
    for (var row = lane; row < op.m; row += LANES) {
        var sum = formula(row, 0u);
        for (var column = 1u; column < op.n; column++) {
            let value = formula(row, column);
            sum = select(sum + value, select(sum, value, value > sum), op.fused == 1u);
        }
        scratch[op.out + row] = sum;
    }
}

// The row of a table of k rows whose number stands in a row of features [m,n].
fn looked_up(features: u32, row: u32) -> u32 {
    return min(u32(max(scratch[features + row * op.n + op.stream], 0.0)), op.k - 1u);
}

// Rows [m,c] of a table at a, by the numbers in features at b.
fn lookup(lane: u32) {
    for (var at = lane; at < op.m * op.c; at += LANES) {
        scratch[op.out + at] = scratch[op.a + looked_up(op.b, at / op.c) * op.c + at % op.c];
    }
}

// The gradient of a table [k,c]: sums of the gradients at b over the valid rows that have its number in the features at a.
fn lookup_grad(lane: u32) {
    for (var at = lane; at < op.k * op.c; at += LANES) {
        var sum = 0.0;
        for (var row = 0u; row < min(op.m, step.rows); row++) {
            if looked_up(op.a, row) == at / op.c {
                sum += scratch[op.b + row * op.c + at % op.c];
            }
        }
        scratch[op.out + at] = sum;
    }
}

// Losses of m rows of n, and their gradients.
fn losses(lane: u32) {
    for (var row = lane; row < op.m; row += LANES) {
        var value = 0.0;
        if row < step.rows {
            var weight = 1.0 / step.divisor;
            if WEIGHTS == 1u {
                weight *= scratch[op.c + row];
            }
            value = loss_of_row(row, weight);
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
    for (var at = lane; at < op.m; at += LANES) {
        sum += scratch[op.a + at];
    }
    scratch[op.out + lane] = sum;
}

// The sum of what all lanes have found.
fn total(start: u32) -> f32 {
    var sum = 0.0;
    for (var part = 0u; part < LANES; part++) {
        sum += scratch[start + part];
    }
    return sum;
}

fn log_loss(lane: u32) {
    if lane == 0u {
        log_out[step.log] = total(op.a) / f32(step.rows);
    }
}

// A running statistic of m numbers; of one row no variance is unbiased.
fn update_running(lane: u32) {
    var factor = op.rate;
    if op.fused == 1u {
        if step.rows < 2u {
            return;
        }
        factor *= f32(step.rows) / f32(step.rows - 1u);
    }
    for (var at = lane; at < op.m; at += LANES) {
        let stat = scratch[op.a + at];
        if GUARDED == 0u || (!is_skipped() && is_finite(stat)) {
            scratch[op.out + at] = (1.0 - op.rate) * scratch[op.out + at] + factor * stat;
        }
    }
}

// For each lane 1 if one of its numbers is NaN or infinite.
fn find_bad(lane: u32) {
    var found = 0.0;
    for (var at = lane; at < op.m; at += LANES) {
        found = select(1.0, found, is_finite(scratch[op.a + at]));
    }
    scratch[op.out + lane] = found;
}

// Notes it, and whether the step's loss is NaN or infinite.
fn note_bad(lane: u32) {
    if lane > 0u {
        return;
    }
    let noted = scratch[SCALING + OVERFLOW];
    if total(op.a) > 0.0 {
        scratch[SCALING + OVERFLOW] = max(noted, 1.0);
    }
    if op.fused == 1u && !is_finite(log_out[step.log]) {
        scratch[SCALING + OVERFLOW] = 1.5;
    }
}

// The end of a step that may be skipped: its loss becomes NaN, and the next update begins anew.
fn end_guarded(lane: u32) {
    if lane == 0u && is_skipped() {
        log_out[step.log] = from_bits(0x7fc00000u);
        if step.apply == 1u {
            scratch[SCALING + OVERFLOW] = 0.0;
        }
    }
}

// Sums of the squares of m blocks of 64. Of gradients x = accumulated + fraction g, and 0 where the rate's factor is 0.
fn square_sums(lane: u32) {
    for (var block = lane; block < op.m; block += LANES) {
        var sum = 0.0;
        for (var i = 0u; i < 64u; i++) {
            var value = scratch[op.a + block * 64u + i];
            if op.stream == 1u {
                value = scratch[op.b + block * 64u + i] + step.s5 * value;
            }
            sum += value * value;
        }
        if op.fused == 1u && scratch[op.extra + 4u * (1u + block)] == 0.0 {
            sum = 0.0;
        }
        scratch[op.out + block] = sum;
    }
}

// In front of the factors: min(1, max / (norm + 1e-6)). NaN stays.
fn clip_norm(lane: u32) {
    if lane == 0u {
        let clip = op.rate / (sqrt(total(op.a)) + 1e-6);
        scratch[op.out] = select(clip, 1.0, clip > 1.0);
    }
}

// In the factors of a parameter's m blocks from k on: its norm over that of its direction, 1 where one of them is 0.
fn trust_ratio(lane: u32) {
    if lane > 0u {
        return;
    }
    var weight = 0.0;
    var direction = 0.0;
    for (var i = op.k; i < op.k + op.m; i++) {
        weight += scratch[op.a + i];
        direction += scratch[op.b + i];
    }
    let norm = sqrt(weight);
    let divisor = sqrt(direction);
    let ratio = select(norm / divisor, 1.0, norm == 0.0 || divisor == 0.0);
    for (var i = op.k; i < op.k + op.m; i++) {
        scratch[op.out + 4u * (1u + i) + 2u] = ratio;
    }
}

// An update of m weights.
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
        if AVERAGES == 1u {
            scratch[AVERAGE + at] = average[at];
        }
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
            operate(kind, lane);
            storageBarrier();
        }
    }
    for (var at = lane; at < len; at += LANES) {
        weights[at] = scratch[at];
        if AVERAGES == 1u {
            average[at] = scratch[AVERAGE + at];
        }
    }
}
