// The largest logit of a row of n, and the bits of NaN if one of them is NaN or infinite. The shader that this file is put in says where
// things lie: load_prediction.

struct RowTop {
    top: f32,
    bad: u32,
}

fn row_top(at: u32, n: u32) -> RowTop {
    var top = load_prediction(at);
    // Set where a logit is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = 0u; j < n; j++) {
        let x = load_prediction(at + j);
        top = max(top, x);
        bad = select(bad, 0x7fc00000u, (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u);
    }
    return RowTop(top, bad);
}
