//! Handwritten digits, and a look at those that the network takes for others.
//!
//! ```sh
//! cargo run --release --example 14_digits -- pictures
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::path::Path;

use ndarray::{Array2, s};
use wgrad::prelude::*;

fn main() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/datasets/digits.csv");
    let table = Dataset::from_csv(path, Target::class("digit"))?;
    let model = Sequential::new().dense(64).relu().dropout(0.2).dense(table.classes());
    // Held out: rows that only say how good the network is. A fifth of the others chooses the epoch.
    let outer = table.split(0.3, Seed(7))?;
    let Some(test) = &outer.valid else { return Ok(()) };
    let data = outer.train.split(0.2, Seed(8))?;
    let options = TrainOptions { epochs: 25, lr: 3e-3, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    println!("{}", trainer.run()?);

    let predictor = Predictor::new(trainer.trained())?;
    println!("on {} rows that nothing was chosen by: {}", test.rows(), predictor.evaluate(test)?);
    let Targets::Classes(truth) = test.y() else { return Ok(()) };
    let taken = predictor.predict_classes(test.x())?;
    let wrong: Vec<usize> =
        (0..test.rows()).filter(|&row| taken[row] != truth[row].to_string()).collect();
    println!("{} are taken for another digit, such as", wrong.len());
    // The first ten side by side, each 8 by 8 grey values from 0 to 16, dark on light.
    let mut sheet = Array2::ones((8, 10 * 9));
    for (place, &row) in wrong.iter().take(10).enumerate() {
        println!("  row {row}: a {} for a {}", truth[row], taken[row]);
        let pixels = test.row(row).to_vec();
        let image = Array2::from_shape_fn((8, 8), |(y, x)| 1.0 - pixels[y * 8 + x] / 16.0);
        sheet.slice_mut(s![.., place * 9..place * 9 + 8]).assign(&image);
    }
    shared::save_png("wrong-digits", &sheet, 5)
}
