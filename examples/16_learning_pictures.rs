//! The pictures of `docs/how-a-network-learns.md`.
//!
//! ```sh
//! cargo run --release --example 16_learning_pictures -- docs/pictures
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

#[path = "09_one_step.rs"]
mod one_step;
mod shared;

use one_step::{START, TinyNetwork};
use wgrad::data::synth;
use wgrad::picture::{Line, NeuronLayer, PlaneTexts, by_epoch, curves, neurons};
use wgrad::prelude::*;

fn main() -> Result<()> {
    network()?;
    activations()?;
    loss_of_a_weight()?;
    learning_rates()?;
    optimizers()?;
    batches()?;
    over_fitting()
}

/// The tiny network with the numbers of a forward pass.
fn network() -> Result<()> {
    let (_, h, prediction) = START.forward();
    let number = |value: f64| format!("{value:.3}");
    let bias = |value: f64| format!("bias {value}");
    let layer = |name: &str, inside: Vec<String>, below: Vec<String>, weights| NeuronLayer {
        name: name.into(),
        inside,
        below,
        weights,
    };
    let layers = [
        layer("inputs x", vec!["1".into(), "2".into()], vec![], vec![]),
        layer(
            "hidden, h = tanh z",
            h.map(number).to_vec(),
            START.b1.map(bias).to_vec(),
            START.w1.map(|row| row.to_vec()).to_vec(),
        ),
        layer(
            "prediction",
            vec![number(prediction)],
            vec![bias(START.b2)],
            vec![START.w2.to_vec()],
        ),
    ];
    shared::save(&neurons("learn-network", "Forward: two inputs, one prediction", &layers))
}

/// Four activation functions.
fn activations() -> Result<()> {
    let line = |activation: Activation| {
        let x = (-80..=80).map(|i| f64::from(i) / 20.0);
        let program = activation.value_program();
        Line::new(activation.name(), x.map(|x| (x, program.value(&[x]))).collect())
    };
    let names = [Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::Gelu];
    let texts = PlaneTexts::new("learn-activations", "Activation functions", "z", "activation");
    shared::save(&curves(&texts, &names.map(line), &[], &[]))
}

/// The loss of the tiny network by one of its weights, and its tangent where the network stands.
fn loss_of_a_weight() -> Result<()> {
    let loss = |weight: f64| {
        let network = TinyNetwork { w2: [START.w2[0], weight], ..START };
        (network.forward().2 - 1.0).powi(2)
    };
    let at = START.w2[1];
    let slope = (loss(at + 1e-6) - loss(at - 1e-6)) / 2e-6;
    let range = |low: i32, high: i32| (low..=high).map(|i| f64::from(i) / 50.0);
    let curve = range(-60, 120).map(|weight| (weight, loss(weight))).collect();
    let tangent = range(-45, 5).map(|weight| (weight, loss(at) + slope * (weight - at))).collect();
    let next = at - 0.1 * slope;
    let texts = PlaneTexts::new("learn-loss", "Loss by one weight", "weight 2.weight[1]", "loss")
        .below(format!("slope {slope:.2} at {at}; one step of 0.1 times the slope to {next:.3}"));
    let lines = [Line::new("loss", curve), Line::new("tangent", tangent)];
    let dots = [
        Line::new("before the step", vec![(at, loss(at))]),
        Line::new("after it", vec![(next, loss(next))]),
    ];
    shared::save(&curves(&texts, &lines, &dots, &[]))
}

/// Trains a network on a sine and returns its training and validation loss by epoch, with the trained network.
fn run(
    name: &str,
    data: &Split,
    units: usize,
    options: &TrainOptions,
) -> Result<([Line; 2], TrainedModel)> {
    let model = Sequential::new().dense(units).tanh().dense(units).tanh().dense(1);
    let mut trainer = Trainer::new(&model, data, options, &DeviceKind::Cpu)?;
    let mut lines = [Line::new(name, vec![]), Line::new(name, vec![])];
    for event in trainer.fit() {
        match event {
            Ok(Event::Epoch(stats)) => {
                let epoch = f64::from(stats.epoch);
                lines[0].points.push((epoch, stats.train_loss));
                lines[1].points.extend(stats.valid.map(|valid| (epoch, valid.loss)));
            }
            // A rate that is too large ends in numbers that are not finite.
            Err(Error::Diverged { .. }) => break,
            other => {
                other?;
            }
        }
    }
    Ok((lines, trainer.trained()))
}

fn options(optimizer: &str, lr: f64, batch_size: usize, epochs: u32) -> Result<TrainOptions> {
    let optimizer = optimizer.parse()?;
    Ok(TrainOptions {
        loss: Loss::Mse,
        optimizer,
        lr,
        batch_size,
        epochs,
        ..TrainOptions::default()
    })
}

/// The same network with three learning rates.
fn learning_rates() -> Result<()> {
    let data = synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
    let mut lines = Vec::new();
    for lr in [0.001, 0.05, 0.35] {
        let options = options("sgd", lr, 16, 30)?;
        lines.push(run(&format!("rate {lr}"), &data, 16, &options)?.0[0].clone());
    }
    shared::save(&by_epoch(
        ("learn-rates", "Training loss with three learning rates"),
        &lines,
        None,
    ))
}

/// The same network with three optimizers.
fn optimizers() -> Result<()> {
    let data = synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
    let mut lines = Vec::new();
    for (optimizer, lr) in [("sgd", 0.03), ("sgd(momentum=0.9)", 0.03), ("adam", 0.01)] {
        let options = options(optimizer, lr, 16, 30)?;
        lines.push(run(optimizer, &data, 16, &options)?.0[0].clone());
    }
    shared::save(&by_epoch(
        ("learn-optimizers", "Training loss with three optimizers"),
        &lines,
        None,
    ))
}

/// The same network with batches of three sizes.
fn batches() -> Result<()> {
    let data = synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
    let mut lines = Vec::new();
    for (name, batch) in [("1 row", 1), ("16 rows", 16), ("all 160 rows", 160)] {
        lines.push(run(name, &data, 16, &options("sgd", 0.03, batch, 30)?)?.0[0].clone());
    }
    shared::save(&by_epoch(
        ("learn-batches", "Training loss with batches of three sizes"),
        &lines,
        None,
    ))
}

/// A network with many weights and few rows: both losses, and the curve that it learns by heart.
fn over_fitting() -> Result<()> {
    let data = synth::sine(40, 0.4, Seed(3)).split(0.5, Seed(1))?;
    let options = TrainOptions { keep: Some("last".parse()?), ..options("adam", 0.01, 20, 400)? };
    let ([train, valid], last) = run("", &data, 32, &options)?;
    let least = valid.points.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an epoch")]
    let best = least.map_or(1, |point| point.0 as u32);
    let lines =
        [Line { name: "train".into(), ..train }, Line { name: "validation".into(), ..valid }];
    let title = "20 rows to train, 1,153 weights";
    shared::save(&by_epoch(("learn-overfit", title), &lines, Some(best)))?;

    let stopped = TrainOptions { epochs: best, ..options };
    let (_, best_model) = run("", &data, 32, &stopped)?;
    let x: Vec<f64> = (-31..=31).map(|i| f64::from(i) / 10.0).collect();
    let curve = |name: String, model: TrainedModel| -> Result<Line> {
        let y = Predictor::new(model)?.predict_array(&x)?;
        Ok(Line::new(name, x.iter().copied().zip(y.iter().copied()).collect()))
    };
    let lines =
        [curve(format!("after epoch {best}"), best_model)?, curve("after epoch 400".into(), last)?];
    let Targets::Numbers(y) = data.train.y() else { return Ok(()) };
    let rows = data.train.x().to_vec().into_iter().zip(y.iter().copied()).collect();
    let texts = PlaneTexts::new("learn-by-heart", "A curve learned by heart", "x", "y");
    println!("least validation loss in epoch {best}");
    shared::save(&curves(&texts, &lines, &[Line::new("training rows", rows)], &[]))
}
