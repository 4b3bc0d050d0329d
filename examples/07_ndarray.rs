//! Arrays of ndarray in, names of classes out; the model is saved and read in between.
//!
//! ```sh
//! cargo run --release --example 07_ndarray
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use ndarray::{Array1, Array2, s};
use wgrad::prelude::*;

fn main() -> Result<()> {
    // Points in a square, inside or outside of a circle.
    let x = Array2::from_shape_fn((500, 2), |(row, column)| {
        ((row * (7 + 4 * column)) % 97) as f64 / 48.0 - 1.0
    });
    let y: Array1<usize> =
        x.rows().into_iter().map(|row| usize::from(row.dot(&row) < 0.6)).collect();
    let data = Dataset::from_ndarray(&x, &y)?
        .with_columns(["east", "north"])?
        .with_classes(["outside", "inside"])?;
    let model = Sequential::new().dense(16).tanh().dense(data.classes());
    let options = TrainOptions { epochs: 60, lr: 0.02, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&model, &data.split(0.2, Seed(1))?, &options, &DeviceKind::Cpu)?;
    println!("{}", trainer.run()?);
    let file = std::env::temp_dir().join("wgrad_07_ndarray.safetensors");
    write_model(&trainer.trained(), &file)?;

    let predictor = Predictor::new(read_model(&file)?)?;
    let some = x.slice(s![..4, ..]);
    println!("{:?}", predictor.predict_classes(some)?);
    println!("{:.3}", predictor.predict_array(some)?);
    Ok(())
}
