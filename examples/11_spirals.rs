//! Two interleaved spirals: as many parameters in one hidden layer and in three.
//!
//! ```sh
//! cargo run --release --example 11_spirals -- pictures
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::f64::consts::PI;

use wgrad::picture::{PlaneTexts, class_regions};
use wgrad::prelude::*;

/// Two spirals of two turns each, one a class, with a little noise.
fn spirals(rows: u32) -> Result<Dataset> {
    // Remainders stand in for random numbers between 0 and 1.
    let random = |row: u32, prime: u32| f64::from(row * prime % 1_009) / 1_009.0;
    let point = |row: u32| {
        let radius = 0.1 + 0.9 * random(row, 7_919);
        let angle = f64::from(row % 2) * PI + 4.0 * PI * radius + 0.3 * random(row, 6_007);
        [radius * angle.cos(), radius * angle.sin()]
    };
    let x: Vec<f64> = (0..rows).flat_map(point).collect();
    let classes: Vec<u32> = (0..rows).map(|row| row % 2).collect();
    Dataset::from_arrays(&x, 2, classes)
}

fn main() -> Result<()> {
    let data = spirals(800)?.split(0.25, Seed(1))?;
    let options = TrainOptions {
        schedule: ScheduleKind::COSINE,
        epochs: 120,
        lr: 0.01,
        ..TrainOptions::default()
    };
    // About as many parameters each.
    let (wide, deep) = ([190].as_slice(), [20, 20, 20].as_slice());
    for (name, hidden) in [("spirals-wide", wide), ("spirals-deep", deep)] {
        let model = Sequential::mlp(hidden, Activation::Tanh, 2, Init::Pytorch);
        let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
        let summary = trainer.run()?;
        let parameters = trainer.info().parameters;
        println!("{hidden:?}, {parameters} parameters: {summary}");

        let predictor = Predictor::new(trainer.trained())?;
        let grid = shared::grid(&predictor, (-1.2, 1.2), (-1.2, 1.2), 70)?;
        let accuracy = summary.metrics().and_then(|it| it.accuracy).unwrap_or(0.0) * 100.0;
        let texts = PlaneTexts::new(name, &format!("Hidden layers {hidden:?}"), "x0", "x1")
            .below(format!("{parameters} parameters, {accuracy:.1} % right"));
        shared::save(&class_regions(&texts, &grid, &shared::points_by_class(&data.train)))?;
    }
    Ok(())
}
