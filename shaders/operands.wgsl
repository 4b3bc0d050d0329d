// The matrix that a formula goes over, and how its operands lie there: an operand that does not go along with rows or columns
// has stride 0 there; one that is moved stands `shift` columns further to the right and counts as 0 where it has no column. The
// host puts in front the bindings of the operands that the formula has, and `formula(row, column)`, which reads them.

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

alias V = f32;
