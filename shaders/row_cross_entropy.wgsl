// Cross-entropy of one row of logits [n] and its gradient; out: log sum exp(logits) - logits[label].
// The gradient is (softmax - onehot) / rows. The shader that this file is put in says where things lie:
// load_prediction, store_gradient.

fn row_cross_entropy(at: u32, n: u32, label: u32, rows: f32) -> f32 {
    let of_row = row_top(at, n);
    let top = of_row.top;
    let bad = of_row.bad;
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
