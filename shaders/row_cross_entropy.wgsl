// Cross-entropy of one row of logits [n] and its gradient; out: log sum exp(logits) - logits[label].
// The gradient is (softmax - onehot) / rows. The shader that this file is put in says where things lie:
// load_prediction, store_gradient.

fn row_cross_entropy(at: u32, n: u32, label: u32, rows: f32) -> f32 {
    var top = load_prediction(at);
    // Set where a logit is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = 0u; j < n; j++) {
        let x = load_prediction(at + j);
        top = max(top, x);
        bad = select(bad, 0x7fc00000u, (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u);
    }
    var sum = 0.0;
    for (var j = 0u; j < n; j++) {
        sum += exp(max(load_prediction(at + j) - top, -87.0));
    }
    let loss = log(sum) - (load_prediction(at + label) - top);
    for (var j = 0u; j < n; j++) {
        let p = exp(max(load_prediction(at + j) - top, -87.0)) / sum;
        store_gradient(at + j, (p - select(0.0, 1.0, j == label)) / rows);
    }
    return bitcast<f32>(bitcast<u32>(loss) | bad);
}
