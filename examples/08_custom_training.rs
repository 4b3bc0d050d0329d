//! A loss and an optimizer of one's own, each given once as a text.
//!
//! ```sh
//! cargo run --release --example 08_custom_training
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use wgrad::prelude::*;

fn main() -> Result<()> {
    let x: Vec<f32> = (0..600).map(|i| i as f32 / 50.0 - 6.0).collect();
    let y = x.iter().map(|x| 100.0 * (x.sin() + 0.2 * x) + 500.0);
    let data = Dataset::from_arrays(&x, 1, Targets::numbers(y))?.split(0.25, Seed(1))?;
    let model = Sequential::new().dense(32).tanh().dense(32).tanh().dense(1);

    // Too low costs four times as much as too high; p and y count in the target's own units.
    let loss = Loss::custom("if(p < y, 4 * (y - p), p - y)")?;
    // A running mean of the gradient, of which the sign alone counts (Lion without its second coefficient).
    let optimizer = Optimizer::custom(
        "beta = 0.95, m = beta * m + (1 - beta) * g, w = w - lr * (sign(m) + decay * w)",
    )?
    .with("weight-decay", 0.01)?;

    let options =
        TrainOptions { loss, optimizer, epochs: 200, lr: 3e-4, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    println!("{}", trainer.run()?);

    // Four fifths of the predictions lie above their targets.
    let trained = trainer.trained();
    let predictions = Predictor::new(trained)?.predict(&x)?;
    let above = predictions.values().iter().zip(data_of(&x)).filter(|(p, y)| *p > y).count();
    println!("{above} of {} predictions are too high", x.len());
    Ok(())
}

/// Returns the targets again.
fn data_of(x: &[f32]) -> impl Iterator<Item = f64> + '_ {
    x.iter().map(|x| 100.0 * (f64::from(x.sin()) + 0.2 * f64::from(*x)) + 500.0)
}
