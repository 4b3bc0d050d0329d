//! An activation and a layer of one's own, each given once as an expression.
//!
//! ```sh
//! cargo run --release --example 04_custom_layer
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use wgrad::prelude::*;

fn main() -> Result<()> {
    // A wave on a slope: what periodic functions are for.
    let x: Vec<f32> = (0..600).map(|i| i as f32 / 50.0 - 6.0).collect();
    let y = x.iter().map(|x| x.sin() + 0.2 * x);
    let data = Dataset::from_arrays(&x, 1, Targets::numbers(y))?.split(0.25, Seed(1))?;

    // Snake (Ziyin et al. 2020, arXiv:2006.08195): x1 is a vector that learns, a number for each column, and starts at 2.
    // Value, gradient and the GPU's code all come from this text.
    let snake = CustomLayer::new("x + sin(x1 * x)^2 / x1", &[2.0])?;
    // An activation is the same without learned vectors, and may call others by their names.
    let smooth = CustomLayer::new("0.5 * (silu(x) + elu(x, 0.5))", &[])?;

    // Layers of one's own stand beside the others, and inside of them.
    let inner = Sequential::new().layer_norm().dense(24).custom(smooth).dense(24);
    let model = Sequential::new().dense(24).custom(snake).residual(inner).dense(1);
    println!("{}\n\n{model}\n", model.summary(data.train.columns())?);

    let options =
        TrainOptions { loss: Loss::Mse, epochs: 100, lr: 0.01, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    for event in trainer.fit() {
        match event? {
            Event::Epoch(stats) if stats.epoch % 25 == 0 => {
                let valid = stats.valid.map(|metrics| metrics.to_string()).unwrap_or_default();
                println!(
                    "epoch {:3}  train loss {:.4}  valid: {valid}",
                    stats.epoch, stats.train_loss
                );
            }
            _ => {}
        }
    }

    // The model keeps the expression's text and its numbers, so that a file of it needs no code.
    let trained = trainer.trained();
    for (view, values) in trained.params.iter().filter(|(view, _)| view.name.ends_with("x1")) {
        println!("\n{} {:?} {:?} ...", view.name, view.shape, &values[..4]);
    }
    Ok(())
}
