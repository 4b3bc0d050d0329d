//! An image as a network: grey values from coordinates, with and without Fourier features.
//!
//! ```sh
//! cargo run --release --example 12_image -- pictures
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use ndarray::{Array2, Axis, concatenate};
use wgrad::prelude::*;

/// Pixels of a side.
const SIDE: usize = 40;

/// Grey value at a point of the unit square: rings and stripes, which have edges.
fn grey(x: f64, y: f64) -> f64 {
    let (dx, dy) = (x - 0.5, y - 0.5);
    let radius = (dx * dx + dy * dy).sqrt();
    let rings = (radius * 40.0).sin() > 0.0;
    let stripes = ((x + y) * 24.0).sin() > 0.0;
    match radius < 0.35 {
        true => f64::from(u8::from(rings)),
        false => 0.25 + 0.5 * f64::from(u8::from(stripes)),
    }
}

fn main() -> Result<()> {
    let place = |pixel: usize| (pixel as f64 + 0.5) / SIDE as f64;
    let image =
        Array2::from_shape_fn((SIDE, SIDE), |(row, column)| grey(place(column), place(row)));
    // A row for each pixel: its coordinates from -1 to 1, and its grey value.
    let pixels = Array2::from_shape_fn((SIDE * SIDE, 2), |(pixel, axis)| {
        2.0 * place([pixel % SIDE, pixel / SIDE][axis]) - 1.0
    });
    let targets = Targets::numbers(image.iter().copied());
    let data = Dataset::from_ndarray(&pixels, targets)?.split(0.0, Seed(1))?;

    let plain = Sequential::new().dense(48).relu();
    // cos and sin of 32 random waves in front (Tancik et al. 2020, arXiv:2006.10739).
    let waves = Sequential::new().fourier(64, 3.0).dense(48).relu();
    let options = TrainOptions {
        loss: Loss::Mse,
        scale: FeatureScaling::None,
        schedule: ScheduleKind::COSINE,
        epochs: 40,
        lr: 5e-3,
        batch_size: 64,
        ..TrainOptions::default()
    };
    let mut panels = vec![image.clone()];
    for (name, front) in [("coordinates", plain), ("Fourier features", waves)] {
        let model = front.dense(48).relu().dense(1);
        let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
        trainer.run()?;
        let answer = Predictor::new(trainer.trained())?.predict_array(&pixels)?;
        let error = answer.iter().zip(&image).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        println!("{name:16}  mean squared error {:.4}", error / image.len() as f64);
        panels.push(Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
            answer[[row * SIDE + column, 0]]
        }));
    }
    // The image, and what each network makes of it, with white between.
    let white = Array2::ones((SIDE, 2));
    let parts = [panels[0].view(), white.view(), panels[1].view(), white.view(), panels[2].view()];
    let Ok(panels_in_a_row) = concatenate(Axis(1), &parts) else { return Ok(()) };
    shared::save_png("image", &panels_in_a_row, 4)
}
