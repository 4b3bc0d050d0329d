// The operands of a formula: where the element beside [row, column] of the result lies in each. An operand that does not
// go along with rows or columns has stride 0 there; one that is moved stands `shift` columns further to the right and
// counts as 0 where it has no column. The host puts `formula(row, column)` in front, which uses load0 ... load5.

struct Params {
    m: u32,
    n: u32,
    rows0: u32,     // stride of a row
    columns0: u32,  // stride of a column
    shift0: u32,
    width0: u32,    // columns that it stands in
    rows1: u32,
    columns1: u32,
    shift1: u32,
    width1: u32,
    rows2: u32,
    columns2: u32,
    shift2: u32,
    width2: u32,
    rows3: u32,
    columns3: u32,
    shift3: u32,
    width3: u32,
    rows4: u32,
    columns4: u32,
    shift4: u32,
    width4: u32,
    rows5: u32,
    columns5: u32,
    shift5: u32,
    width5: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x0: array<f32>;
@group(0) @binding(3) var<storage, read> x1: array<f32>;
@group(0) @binding(4) var<storage, read> x2: array<f32>;
@group(0) @binding(5) var<storage, read> x3: array<f32>;
@group(0) @binding(6) var<storage, read> x4: array<f32>;
@group(0) @binding(7) var<storage, read> x5: array<f32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;

alias V = f32;

// Columns left of an operand's first wrap round to far beyond its last.
fn load0(row: u32, column: u32) -> f32 {
    let at = column - params.shift0;
    if at >= params.width0 {
        return 0.0;
    }
    return x0[row * params.rows0 + at * params.columns0];
}

fn load1(row: u32, column: u32) -> f32 {
    let at = column - params.shift1;
    if at >= params.width1 {
        return 0.0;
    }
    return x1[row * params.rows1 + at * params.columns1];
}

fn load2(row: u32, column: u32) -> f32 {
    let at = column - params.shift2;
    if at >= params.width2 {
        return 0.0;
    }
    return x2[row * params.rows2 + at * params.columns2];
}

fn load3(row: u32, column: u32) -> f32 {
    let at = column - params.shift3;
    if at >= params.width3 {
        return 0.0;
    }
    return x3[row * params.rows3 + at * params.columns3];
}

fn load4(row: u32, column: u32) -> f32 {
    let at = column - params.shift4;
    if at >= params.width4 {
        return 0.0;
    }
    return x4[row * params.rows4 + at * params.columns4];
}

fn load5(row: u32, column: u32) -> f32 {
    let at = column - params.shift5;
    if at >= params.width5 {
        return 0.0;
    }
    return x5[row * params.rows5 + at * params.columns5];
}
