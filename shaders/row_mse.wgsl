// Squared error of one row of predictions [n] and its gradient; out: mean over columns of (prediction - goal)^2.
// The gradient is 2 (prediction - goal) / (rows n). The shader that this file is put in says where things lie:
// load_prediction, load_goal, store_gradient.

fn row_mse(at: u32, goal_at: u32, n: u32, rows: f32) -> f32 {
    let columns = f32(n);
    let scale = 2.0 / (rows * columns);
    var sum = 0.0;
    // Set where a prediction is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var j = 0u; j < n; j++) {
        let prediction = load_prediction(at + j);
        let error = prediction - load_goal(goal_at + j);
        bad = select(bad, 0x7fc00000u, (bitcast<u32>(prediction) & 0x7f800000u) == 0x7f800000u);
        sum += error * error;
        store_gradient(at + j, scale * error);
    }
    return bitcast<f32>(bitcast<u32>(sum / columns) | bad);
}
