// A chain: LINKS formulas over a matrix [m,n], each of which may read the results before it. The host puts in front the bindings
// of the slots that the formulas read and write; `formula(link, row, column)`, which computes one of them; and
// `store(link, at, value)`, which writes an element of its result and returns it as it is stored. A lane reads only those
// elements that it has written itself.

struct Params {
    m: u32,
    n: u32,
}

@group(0) @binding(1) var<uniform> params: Params;

alias V = f32;

// Whether a formula is one of those whose bits are set.
fn among(link: u32, bits: u32) -> bool {
    return ((bits >> link) & 1u) == 1u;
}
