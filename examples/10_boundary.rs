//! Exclusive or, drawn: which class the network gives to each point of the plane, after 1, 5, 10 and 40 epochs.
//!
//! ```sh
//! cargo run --release --example 10_boundary -- pictures
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use wgrad::data::synth;
use wgrad::picture::{PlaneTexts, class_regions};
use wgrad::prelude::*;

fn main() -> Result<()> {
    let data = synth::xor(200, 0.3, Seed(1)).split(0.25, Seed(1))?;
    let model = Sequential::new().dense(8).tanh().dense(2);
    let options = TrainOptions { batch_size: 16, lr: 0.02, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    let steps = trainer.info().steps_per_epoch;
    for epoch in 1..=40 {
        for _ in 0..steps {
            trainer.step()?;
        }
        if ![1, 5, 10, 40].contains(&epoch) {
            continue;
        }
        // The weights of this moment, as a network that predicts.
        trainer.keep_current()?;
        let metrics = trainer.evaluate()?;
        println!("epoch {epoch:2}: {metrics}");
        let predictor = Predictor::new(trainer.trained())?;
        let grid = shared::grid(&predictor, (-2.0, 2.0), (-2.0, 2.0), 60)?;
        let accuracy = 100.0 * metrics.accuracy.unwrap_or(0.0);
        let (name, title) = (format!("xor-{epoch}"), format!("Exclusive or, epoch {epoch}"));
        let texts = PlaneTexts::new(&name, &title, "x0", "x1")
            .below(format!("{accuracy:.0} % of the validation rows are right"));
        shared::save(&class_regions(&texts, &grid, &shared::points_by_class(&data.train)))?;
    }
    Ok(())
}
