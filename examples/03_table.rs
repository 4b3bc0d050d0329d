//! A table in a CSV file: handwritten digits, 64 grey values a row and the digit as the class.
//!
//! ```sh
//! cargo run --release --example 03_table
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;

use wgrad::data::{Dataset, Target, TargetKind};
use wgrad::device::DeviceKind;
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::Sequential;
use wgrad::train::{Event, Predictions, Predictor, TrainOptions, Trainer};
use wgrad::{Result, Seed};

fn main() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/datasets/digits.csv");
    let table = Dataset::from_csv(path, Target::Class("digit".to_string()))?;
    let classes = table.classes();
    let data = table.split(0.2, Seed(7))?;
    let model = Sequential::new().dense(64).relu().dense(classes);
    let options = TrainOptions {
        loss: Loss::CrossEntropy,
        optimizer: Optimizer::by_name("adamw")?,
        epochs: 10,
        batch_size: 32,
        lr: 3e-3,
        seed: Seed(7),
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    // What a step does, before it does it.
    println!("{}\n", trainer.plan());
    for event in trainer.fit() {
        if let Event::Epoch(stats) = event? {
            let valid = stats.valid.map(|metrics| metrics.to_string()).unwrap_or_default();
            println!("epoch {:2}  train loss {:.4}  valid: {valid}", stats.epoch, stats.train_loss);
        }
    }

    // The first rows that training never saw, by the labels of the table.
    let (trained, Some(valid)) = (trainer.trained(), &data.valid) else { return Ok(()) };
    let TargetKind::Classes(labels) = &valid.schema().kind else { return Ok(()) };
    let mut predictor = Predictor::new(&trained, &DeviceKind::Cpu, valid.rows())?;
    if let Predictions::Classes { best, .. } =
        predictor.predict(valid.x().range(0..10 * valid.columns()))?
    {
        let names: Vec<_> = best.into_iter().map(|class| labels[class].as_str()).collect();
        println!("\nthe first ten are taken for {}", names.join(" "));
    }
    Ok(())
}
