//! A trained model in another program, which needs neither a GPU nor the command line.
//!
//! ```sh
//! cargo run --release --no-default-features --example 05_use_model -- runs/digits/model.safetensors
//! ```
//!
//! Without a file it trains a small network first, to have one.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::PathBuf;

use wgrad::data::synth;
use wgrad::prelude::*;

fn main() -> Result<()> {
    let file = match std::env::args_os().nth(1) {
        Some(file) => PathBuf::from(file),
        None => trained()?,
    };

    // All that is needed: the file, once, and rows.
    let predictor = Predictor::new(read_model(&file)?)?;
    let columns = &predictor.trained().preparation.schema.features;
    println!("{} predicts from {}", file.display(), columns.join(", "));

    // Threads share it. Each asks about a row of its own, with values as they would stand in a table.
    std::thread::scope(|scope| {
        let ask = |value: f32| predictor.predict(&vec![value; columns.len()]);
        let threads = [-1.0, 0.0, 1.0].map(|value| (value, scope.spawn(move || ask(value))));
        for (value, thread) in threads {
            if let Ok(predictions) = thread.join() {
                println!("all columns {value}: {:.3?}", predictions?.values());
            }
        }
        Ok(())
    })
}

/// A model file of a small network.
fn trained() -> Result<PathBuf> {
    let data = synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1))?;
    let model = Sequential::new().dense(8).tanh().dense(2);
    let options =
        TrainOptions { loss: Loss::CROSS_ENTROPY, epochs: 40, lr: 0.02, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    trainer.run()?;
    let file = std::env::temp_dir().join("wgrad_05_use_model.safetensors");
    write_model(&trainer.trained(), &file)?;
    Ok(file)
}
