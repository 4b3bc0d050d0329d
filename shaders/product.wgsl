// The computation of every product, wherever its operands lie: sizes, how elements are found, and what is fused in at
// the end. out [m,n] = A B with A [m,k] and B [k,n], each possibly stored transposed:
//   matmul_nt: out = a b^T, then bias and activation    (forward)
//   matmul_nn: out = a b, then an activation's gradient (input gradient)
//   matmul_tn: out = a^T b, and the sums of a's columns (weight and bias gradient)
// The shader that this file is put in says where things lie: load_a, load_b, load_extra (bias [n], or saved [m,n]),
// load_out, store_out and store_extra (saved [m,n], or sums [m]), and what dropout multiplies an element by.

struct Size {
    m: u32,
    n: u32,
    k: u32,
    fused: u32,  // bits, whose names the host sets
}

fn has(size: Size, fusion: u32) -> bool {
    return (size.fused & fusion) != 0u;
}

fn a_index(size: Size, row: u32, k: u32) -> u32 {
    return select(row * size.k + k, k * size.m + row, has(size, TRANSPOSE_A));
}

fn b_index(size: Size, k: u32, column: u32) -> u32 {
    return select(k * size.n + column, column * size.k + k, has(size, TRANSPOSE_B));
}

// Ends the sum of one element and stores it.
fn finish(size: Size, row: u32, column: u32, sum: f32) {
    let at = row * size.n + column;
    var z = sum;
    if has(size, BIAS) {
        z += load_extra(column);
    }
    if has(size, SAVE) && !has(size, SAVE_RESULT) {
        store_extra(at, z);
    }
    if has(size, GRADIENT) {
        z *= activation_gradient(load_extra(at));
    }
    if has(size, ACTIVATE) {
        z = activate(z);
    }
    if has(size, SAVE) && has(size, SAVE_RESULT) {
        store_extra(at, z);
    }
    if DROPOUT == 1u {
        z *= dropout(at);
    }
    store_out(at, z);
}
