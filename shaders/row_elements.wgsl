// Loss of one row's n predictions, which begin at `start`, under an elementwise loss, and its gradient. `loss_of` gives an element's value and derivatives; the host writes it
// from the loss's formula. Predictions of an element lie side by side, WIDTH of them, and so do the elements of each of
// the row's `columns` targets. The loss is multiplied by weight and the batch's rows, the gradient by of_slope. The shader that
// this file is put in says where things lie: load_prediction, load_goal, load_constant, store_gradient.

fn is_bad(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u;
}

fn row_of_elements(row: u32, start: u32, n: u32, columns: u32, weight: f32, of_slope: f32) -> f32 {
    let elements = n / WIDTH;
    let each = elements / columns;
    var sum = 0.0;
    // Set where a prediction is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = 0u; j < elements; j++) {
        let at = start + j * WIDTH;
        let first = load_prediction(at);
        var second = 0.0;
        if WIDTH == 2u {
            second = load_prediction(at + 1u);
        }
        bad = select(bad, 0x7fc00000u, is_bad(first) || is_bad(second));
        let loss = loss_of(first, load_goal(row * columns + j / each), load_constant(j), second);
        sum += loss.value;
        store_gradient(at, loss.slope * of_slope);
        if WIDTH == 2u {
            store_gradient(at + 1u, loss.slope2 * of_slope);
        }
    }
    return bitcast<f32>(bitcast<u32>(sum * weight * f32(step.rows)) | bad);
}
