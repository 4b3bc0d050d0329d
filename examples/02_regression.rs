//! A curve from noisy points: one number from another, with a learning rate that falls along a cosine.
//!
//! ```sh
//! cargo run --release --example 02_regression
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use wgrad::data::synth;
use wgrad::prelude::*;

fn main() -> Result<()> {
    let data = synth::sine(400, 0.1, Seed(1)).split(0.2, Seed(1))?;
    let model = Sequential::mlp(&[32, 32], Activation::Gelu, 1, Init::Pytorch);
    let options = TrainOptions {
        loss: Loss::Mse,
        schedule: ScheduleKind::COSINE,
        epochs: 60,
        batch_size: 32,
        lr: 0.01,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    for event in trainer.fit() {
        match event? {
            Event::Started(info) => println!("{} parameters on {}", info.parameters, info.device),
            Event::Warned(warning) => println!("note: {warning}"),
            Event::Epoch(stats) if stats.epoch % 10 == 0 => {
                let valid = stats.valid.map(|metrics| metrics.to_string()).unwrap_or_default();
                println!(
                    "epoch {:2}  lr {:.5}  train loss {:.4}  valid: {valid}",
                    stats.epoch, stats.lr, stats.train_loss
                );
            }
            _ => {}
        }
    }

    // Features and predictions are in the table's own units: scaling is undone.
    let x = [-3.0, -1.5, 0.0, 1.5, 3.0_f32];
    let y = Predictor::new(trainer.trained())?.predict_array(&x)?;
    println!();
    for (x, y) in x.iter().zip(&y) {
        println!("sin({x:4.1}) = {:7.4}, predicted {y:7.4}", x.sin());
    }
    Ok(())
}
