//! Five networks that differ in their seeds: their mean predicts, their spread says where they do not know.
//!
//! ```sh
//! cargo run --release --example 15_ensemble -- pictures
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use wgrad::data::synth;
use wgrad::picture::{Band, Line, PlaneTexts, curves};
use wgrad::prelude::*;
use wgrad::train::{Member, train_members};

fn main() -> Result<()> {
    let data = synth::sine(100, 0.1, Seed(1)).split(0.2, Seed(1))?;
    let model = Sequential::mlp(&[32, 32], Activation::Tanh, 1, Init::Pytorch);
    let member = |member| {
        let seed = Seed(1).of_member(member);
        let options = TrainOptions {
            loss: Loss::Mse,
            epochs: 100,
            lr: 0.01,
            seed,
            ..TrainOptions::default()
        };
        Member { model: model.clone(), data: data.clone(), options }
    };
    let members: Vec<Member> = (0..5).map(member).collect();
    let trained = train_members(&members, &DeviceKind::Cpu, |_, trainer| {
        trainer.run()?;
        Ok(trainer.trained())
    })?;
    let ensemble = Ensemble::new(trained.into_iter().collect::<Result<_>>()?)?;
    let predictor = Predictor::new(ensemble)?;

    // The rows lie between -3.14 and 3.14; beyond them the networks can only guess.
    let x: Vec<f64> = (-60..=60).map(|i| f64::from(i) / 10.0).collect();
    let (mean, spread) = predictor.predict_with_spread(&x)?;
    for at in [0, 30, 60, 90, 120] {
        println!("x = {:4.1}: {:6.3} ± {:.3}", x[at], mean.values()[at], spread[at]);
    }

    let rows = || x.iter().zip(mean.values()).zip(&spread);
    let band = Band {
        name: "mean ± two spreads".into(),
        points: rows().map(|((&x, mean), s)| (x, mean - 2.0 * s, mean + 2.0 * s)).collect(),
    };
    let line = Line::new("mean of five networks", rows().map(|((&x, &y), _)| (x, y)).collect());
    let Targets::Numbers(y) = data.train.y() else { return Ok(()) };
    let dots = data.train.x().to_vec().into_iter().zip(y.iter().copied()).collect();
    let texts = PlaneTexts::new("ensemble", "An ensemble within and beyond its rows", "x", "y");
    shared::save(&curves(&texts, &[line], &[Line::new("training rows", dots)], &[band]))
}
