//! One step of training by numbers: forward, loss, gradients, one update of SGD and one of Adam, by hand and by the library.
//!
//! ```sh
//! cargo run --release --example 09_one_step
//! ```
//!
//! `docs/how-a-network-learns.md` walks along these numbers; a test compares the page with what this example prints.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]
#![allow(unreachable_pub, reason = "a test takes this file as a module")]

use std::fmt::Write as _;

use wgrad::prelude::*;

/// The row: two inputs.
const X: [f64; 2] = [1.0, 2.0];
/// Its target.
const Y: f64 = 1.0;
/// Learning rate of both optimizers.
const LR: f64 = 0.1;

/// Weights of the network: two inputs, two hidden neurons with tanh, one output.
#[derive(Clone, Copy)]
pub struct TinyNetwork {
    /// Weights `[hidden, input]`.
    pub w1: [[f64; 2]; 2],
    /// Biases of the hidden neurons.
    pub b1: [f64; 2],
    /// Weights `[hidden]` of the output.
    pub w2: [f64; 2],
    /// Bias of the output.
    pub b2: f64,
}

/// The network before the step.
pub const START: TinyNetwork =
    TinyNetwork { w1: [[0.5, -0.25], [0.75, 0.5]], b1: [0.1, -0.2], w2: [1.0, -0.5], b2: 0.2 };

impl TinyNetwork {
    /// Returns the sums, the hidden values and the prediction for the row.
    pub fn forward(&self) -> ([f64; 2], [f64; 2], f64) {
        let z = [0, 1].map(|j| self.w1[j][0] * X[0] + self.w1[j][1] * X[1] + self.b1[j]);
        let h = z.map(f64::tanh);
        (z, h, self.w2[0] * h[0] + self.w2[1] * h[1] + self.b2)
    }

    /// Returns the derivative of the loss by each weight, from the output backwards.
    fn backward(&self) -> Self {
        let (_, h, prediction) = self.forward();
        let d_prediction = 2.0 * (prediction - Y);
        // A hidden neuron reaches the loss through its weight; tanh has the slope 1 - tanh².
        let d_z = [0, 1].map(|j| d_prediction * self.w2[j] * (1.0 - h[j] * h[j]));
        Self {
            w1: [0, 1].map(|j| [d_z[j] * X[0], d_z[j] * X[1]]),
            b1: d_z,
            w2: [d_prediction * h[0], d_prediction * h[1]],
            b2: d_prediction,
        }
    }

    /// The numbers under the library's names.
    fn named(&self) -> [(&'static str, Vec<usize>, Vec<f64>); 4] {
        [
            ("0.weight", vec![2, 2], self.w1.concat()),
            ("0.bias", vec![2], self.b1.to_vec()),
            ("2.weight", vec![1, 2], self.w2.to_vec()),
            ("2.bias", vec![1], vec![self.b2]),
        ]
    }
}

/// One step by the library, with this optimizer.
struct Step {
    loss: f64,
    prediction: f64,
    gradients: Params,
    after: Params,
    prediction_after: f64,
}

impl Step {
    fn with(optimizer: &str) -> Result<Self> {
        let train = Dataset::from_arrays(&X, 2, Targets::numbers([Y]))?;
        let data = train.split(0.0, Seed(0))?;
        let model = Sequential::new().dense(2).tanh().dense(1);
        let options = TrainOptions {
            loss: Loss::Mse,
            optimizer: optimizer.parse()?,
            lr: LR,
            batch_size: 1,
            // The numbers as they are.
            scale: FeatureScaling::None,
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
        let mut params = trainer.params()?;
        for (name, shape, values) in START.named() {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            params.set(name, &shape, &values)?;
        }
        trainer.set_params(&params)?;
        let predict = |trainer: &mut Trainer| -> Result<f64> {
            trainer.keep_current()?;
            Ok(Predictor::new(trainer.trained())?.predict_array(&X)?[[0, 0]])
        };
        let prediction = predict(&mut trainer)?;
        let loss = trainer.step()?.loss;
        let (gradients, after) = (trainer.gradients()?, trainer.params()?);
        let prediction_after = predict(&mut trainer)?;
        Ok(Self { loss, prediction, gradients, after, prediction_after })
    }
}

/// Prints numbers with four places in columns.
fn line(out: &mut String, name: &str, values: &[f64]) {
    let values: Vec<String> = values.iter().map(|value| format!("{value:>8.4}")).collect();
    let _ = writeln!(out, "{name:<12}{}", values.join(""));
}

/// Prints the parameters of the library under their names.
fn parameters(out: &mut String, params: &Params) {
    for (view, values) in params.iter() {
        let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        line(out, &view.name, &values);
    }
}

/// Panics unless the library has the number that was computed by hand.
fn same(what: &str, by_hand: f64, library: f64) {
    assert!((by_hand - library).abs() < 1e-5, "{what}: {by_hand} by hand, {library} by wgrad");
}

/// Returns all that the example prints.
pub fn text() -> Result<String> {
    let mut out = String::new();
    let (z, h, prediction) = START.forward();
    out += "forward\n";
    line(&mut out, "x", &X);
    line(&mut out, "z", &z);
    line(&mut out, "h = tanh z", &h);
    line(&mut out, "prediction", &[prediction]);
    line(&mut out, "loss", &[(prediction - Y).powi(2)]);

    let sgd = Step::with("sgd")?;
    same("prediction", prediction, sgd.prediction);
    same("loss", (prediction - Y).powi(2), sgd.loss);
    out += "\ngradients\n";
    parameters(&mut out, &sgd.gradients);
    for (name, _, by_hand) in START.backward().named() {
        let library = sgd.gradients.get(name).unwrap_or_default();
        for (&by_hand, &library) in by_hand.iter().zip(library) {
            same(name, by_hand, f64::from(library));
        }
    }

    out += "\nafter one step of SGD\n";
    parameters(&mut out, &sgd.after);
    line(&mut out, "prediction", &[sgd.prediction_after]);
    line(&mut out, "loss", &[(sgd.prediction_after - Y).powi(2)]);

    let adam = Step::with("adam")?;
    out += "\nafter one step of Adam\n";
    parameters(&mut out, &adam.after);
    line(&mut out, "prediction", &[adam.prediction_after]);
    line(&mut out, "loss", &[(adam.prediction_after - Y).powi(2)]);
    Ok(out)
}

#[allow(dead_code, reason = "a test takes this file as a module")]
fn main() -> Result<()> {
    print!("{}", text()?);
    Ok(())
}
