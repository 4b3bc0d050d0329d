//! A table in a CSV file: handwritten digits, 64 grey values a row and the digit as the class.
//!
//! ```sh
//! cargo run --release --example 03_table
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;

use wgrad::prelude::*;

fn main() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/datasets/digits.csv");
    let table = Dataset::from_csv(path, Target::class("digit"))?;
    let classes = table.classes();
    let data = table.split(0.2, Seed(7))?;
    let model = Sequential::new().dense(64).relu().dense(classes);
    let options = TrainOptions {
        loss: Loss::CROSS_ENTROPY,
        optimizer: Optimizer::by_name("adamw")?,
        epochs: 10,
        batch_size: 32,
        lr: 3e-3,
        seed: Seed(7),
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    // The plan of a step, before the first step.
    println!("{}\n", trainer.plan());
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event? {
            let valid = stats.valid.map(|metrics| metrics.to_string()).unwrap_or_default();
            println!("epoch {:2}  train loss {:.4}  valid: {valid}", stats.epoch, stats.train_loss);
        }
    }

    // The first rows that training never saw, by the classes of the table.
    let Some(valid) = &data.valid else { return Ok(()) };
    let predictor = Predictor::new(trainer.trained())?;
    let classes = predictor.predict_classes(valid.x().range(0..10 * valid.columns()))?;
    println!("\nthe first ten are taken for {}", classes.join(" "));
    Ok(())
}
