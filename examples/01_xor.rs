//! Exclusive or, the smallest task that needs a hidden layer.
//!
//! ```sh
//! cargo run --release --example 01_xor
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use wgrad::data::synth;
use wgrad::device::DeviceKind;
use wgrad::graph::Loss;
use wgrad::model::Sequential;
use wgrad::train::{Event, Predictions, Predictor, TrainOptions, Trainer};
use wgrad::{Result, Seed};

fn main() -> Result<()> {
    // 200 points round the corners of a square; a quarter of them is held out.
    let data = synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1))?;
    let model = Sequential::new().dense(8).tanh().dense(2);
    println!("{}\n", model.summary(data.train.columns())?);

    let options = TrainOptions {
        loss: Loss::CrossEntropy,
        epochs: 40,
        batch_size: 16,
        lr: 0.02,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    for event in trainer.fit() {
        match event? {
            Event::Epoch(stats) if stats.epoch % 10 == 0 => {
                let valid = stats.valid.map(|metrics| metrics.to_string()).unwrap_or_default();
                println!(
                    "epoch {:2}  train loss {:.4}  valid: {valid}",
                    stats.epoch, stats.train_loss
                );
            }
            _ => {}
        }
    }

    // The trained network, asked about the four corners.
    let corners = [-1.0, -1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 1.0];
    let mut predictor = Predictor::new(&trainer.trained(), &DeviceKind::Cpu, 4)?;
    if let Predictions::Classes { best, probabilities } = predictor.predict(&corners)? {
        println!();
        for (row, corner) in corners.chunks(2).enumerate() {
            let class = best[row];
            println!(
                "{corner:?} is class {class} with probability {:.3}",
                probabilities[2 * row + class]
            );
        }
    }
    Ok(())
}
