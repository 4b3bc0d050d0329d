// What all products share: sizes, bindings, how elements are found, and what is fused in at the end.
// out [m,n] = A B with A [m,k] and B [k,n], each possibly stored transposed:
//   matmul_nt: out = a b^T, then bias and activation    (forward)
//   matmul_nn: out = a b, then an activation's gradient (input gradient)
//   matmul_tn: out = a^T b, and the sums of a's columns (weight and bias gradient)

struct Params {
    m: u32,
    n: u32,
    k: u32,
    fused: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<Read>;
@group(0) @binding(3) var<storage, read> b: array<Read>;
@group(0) @binding(4) var<storage, read> extra: array<Read>;            // bias [n], or saved [m,n]
@group(0) @binding(5) var<storage, read_write> out: array<Write>;
@group(0) @binding(6) var<storage, read_write> extra_out: array<Write>;  // saved [m,n], or sums [m]

// Whether something is fused in: constants where each combination has a pipeline of its own, else a uniform.
fn has(fusion: u32) -> bool {
    return (select(FUSED, params.fused, ONE_PIPELINE == 1u) & fusion) != 0u;
}

fn a_index(row: u32, k: u32) -> u32 {
    return select(row * params.k + k, k * params.m + row, has(TRANSPOSE_A));
}

fn b_index(k: u32, column: u32) -> u32 {
    return select(k * params.n + column, column * params.k + k, has(TRANSPOSE_B));
}

// Ends the sum of one element and stores it.
fn finish(row: u32, column: u32, sum: f32) {
    let at = row * params.n + column;
    var z = sum;
    if has(BIAS) {
        z += f32(extra[column]);
    }
    if has(SAVE) {
        extra_out[at] = stored(z);
    }
    if has(GRADIENT) {
        z *= activation_gradient(f32(extra[at]));
    }
    if has(ACTIVATE) {
        z = activate(z);
    }
    out[at] = stored(z);
}
