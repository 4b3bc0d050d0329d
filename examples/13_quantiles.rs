//! A regression that says how sure it is: three quantiles of each prediction.
//!
//! ```sh
//! cargo run --release --example 13_quantiles -- pictures
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use wgrad::picture::{Band, Line, PlaneTexts, curves};
use wgrad::prelude::*;

fn main() -> Result<()> {
    // A wave whose noise grows from left to right. The remainders stand in for random numbers.
    let noise = |row: u32| f64::from(row * 7_919 % 1_009) / 1_009.0 - 0.5;
    let x: Vec<f64> = (0..1000).map(|row| f64::from(row) / 100.0).collect();
    let y: Vec<f64> =
        (0..).zip(&x).map(|(row, x)| x.sin() * 2.0 + noise(row) * (0.3 + 0.3 * x)).collect();
    let data = Dataset::from_arrays(&x, 1, Targets::numbers(y.clone()))?.split(0.2, Seed(1))?;

    let quantiles = "pinball(0.1, 0.5, 0.9)";
    let model = Sequential::new().dense(32).tanh().dense(32).tanh().dense(3);
    let options = TrainOptions {
        loss: quantiles.parse()?,
        schedule: ScheduleKind::COSINE,
        epochs: 100,
        lr: 0.01,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
    println!("{}", trainer.run()?);

    let rows = Predictor::new(trainer.trained())?.predict_array(&x)?;
    let below = |quantile: usize| {
        let rows = rows.column(quantile);
        100.0 * y.iter().zip(rows).filter(|(y, limit)| y < limit).count() as f64 / y.len() as f64
    };
    for (at, share) in [0.1, 0.5, 0.9].into_iter().enumerate() {
        println!("below the quantile {share}: {:.1} % of the rows", below(at));
    }

    let band = Band {
        name: "from the 0.1 to the 0.9 quantile".into(),
        points: x.iter().zip(rows.rows()).map(|(&x, row)| (x, row[0], row[2])).collect(),
    };
    let median = x.iter().zip(rows.rows()).map(|(&x, row)| (x, row[1])).collect();
    let dots = x.iter().copied().zip(y).step_by(4).collect();
    let texts = PlaneTexts::new("quantile-band", "Quantiles of a noisy wave", "x", "y");
    let (median, dots) = (Line::new("median", median), Line::new("rows", dots));
    shared::save(&curves(&texts, &[median], &[dots], &[band]))
}
