//! Exclusive or, the smallest task that needs a hidden layer.
//!
//! ```sh
//! cargo run --release --example 01_xor
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use ndarray::array;
use wgrad::data::synth;
use wgrad::prelude::*;

fn main() -> Result<()> {
    // 200 points round the corners of a square; a quarter of them is held out.
    let data = synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1))?;
    let model = Sequential::new().dense(8).tanh().dense(2);
    println!("{}\n", model.summary(data.train.columns())?);

    let options = TrainOptions {
        loss: Loss::CROSS_ENTROPY,
        epochs: 40,
        batch_size: 16,
        lr: 0.02,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    println!("{}\n", trainer.run()?);

    // The trained network, asked about the four corners.
    let corners = array![[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]];
    let predictor = Predictor::new(trainer.trained())?;
    let probabilities = predictor.predict_array(&corners)?;
    for (row, class) in predictor.predict_classes(&corners)?.into_iter().enumerate() {
        println!("{} is class {class}, {:.3}", corners.row(row), probabilities.row(row));
    }
    Ok(())
}
