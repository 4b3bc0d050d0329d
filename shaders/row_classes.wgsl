// Loss of one row's logits [n] over classes, which begin at `at`, and its gradient; KIND says which loss, of_plan is its number: the label smoothing,
// gamma, the margin, which the step multiplies. The loss is multiplied by weight and the batch's rows, the gradient by of_slope. The shader that this file is
// put in says where things lie: load_prediction, load_label, load_goal, load_constant (weight of a class), store_gradient.

// The wanted share of a class; not a probability, since classes may have weights.
fn wanted(row: u32, n: u32, smoothing: f32, j: u32) -> f32 {
    if KIND == SHARES {
        return load_goal(row * n + j);
    }
    return (select(0.0, 1.0 - smoothing, j == load_label(row)) + smoothing / f32(n)) * load_constant(j);
}

// exp of a number that is not above 0
fn small_exp(x: f32) -> f32 {
    return exp(max(x, -87.0));
}

fn row_of_classes(row: u32, at: u32, n: u32, of_plan: f32, weight: f32, of_slope: f32) -> f32 {
    let setting = of_plan * step.loss0;
    let of_row = row_top(at, n);
    let top = of_row.top;
    let bad = of_row.bad;
    var value = 0.0;
    if KIND == HINGE {
        let label = load_label(row);
        let least = setting - load_prediction(at + label);
        let share = load_constant(label) / f32(n);
        var short = 0.0;
        for (var j = 0u; j < n; j++) {
            let missing = least + load_prediction(at + j);
            let counts = j != label && missing > 0.0;
            value += select(0.0, missing * share, counts);
            short += select(0.0, share, counts);
            if j != label {
                store_gradient(at + j, select(0.0, share, counts) * of_slope);
            }
        }
        store_gradient(at + label, -short * of_slope);
    } else {
        var sum = 0.0;
        var rest = 0.0;
        for (var j = 0u; j < n; j++) {
            let e = small_exp(load_prediction(at + j) - top);
            sum += e;
            if KIND == FOCAL {
                rest += select(e, 0.0, j == load_label(row));
            }
        }
        let log_sum = log(sum);
        if KIND == FOCAL {
            let label = load_label(row);
            rest /= sum;
            let log_p = load_prediction(at + label) - top - log_sum;
            let p = small_exp(load_prediction(at + label) - top) / sum;
            let power = small_exp(setting * log(max(rest, 1e-37)));
            // log p / (1 - p) tends to -1 as p tends to 1.
            let ratio = select(-1.0, log_p / max(rest, 1e-37), rest > 1e-37);
            let slope = -load_constant(label) * power * (1.0 - setting * p * ratio);
            value = -load_constant(label) * power * log_p;
            for (var j = 0u; j < n; j++) {
                let other = -small_exp(load_prediction(at + j) - top) / sum;
                store_gradient(at + j, slope * select(other, rest, j == label) * of_slope);
            }
        } else {
            var all = 0.0;
            for (var j = 0u; j < n; j++) {
                let share = wanted(row, n, setting, j);
                all += share;
                value += share * (log_sum - (load_prediction(at + j) - top));
                if KIND == SHARES {
                    value += select(0.0, share * log(max(share, 1e-37)), share > 0.0);
                }
            }
            for (var j = 0u; j < n; j++) {
                let p = small_exp(load_prediction(at + j) - top) / sum;
                store_gradient(at + j, (p * all - wanted(row, n, setting, j)) * of_slope);
            }
        }
    }
    return bitcast<f32>(bitcast<u32>(value * weight * f32(step.rows)) | bad);
}
