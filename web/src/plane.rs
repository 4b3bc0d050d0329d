//! The playground: a network learns classes of points in a plane, and the plane is drawn as it learns.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use wgrad::data::synth;
use wgrad::picture::{ClassGrid, Line, PlaneTexts, class_regions};
use wgrad::random::{Purpose, Seed};
use wgrad::train::{Event, Predictions, TrainOptions};
use wgrad::{
    Activation, Dataset, DeviceKind, Error, Init, Predictor, Result, Sequential, Targets,
    TrainedModel, Trainer,
};

use crate::training::PictureAnswer;
use crate::{stop_is_wanted, tell};

/// Settings of the playground.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaneSettings {
    /// `xor`, `circles`, `moons`, `spirals`, or `drawn`.
    data: String,
    /// Points drawn by hand: x, y and class 0 or 1.
    points: Vec<(f64, f64, u32)>,
    noise: f64,
    hidden: Vec<usize>,
    activation: String,
    lr: f64,
    epochs: u32,
    seed: u64,
}

#[derive(Serialize)]
struct PlaneNews {
    news: &'static str,
    epoch: u32,
    loss: f64,
    accuracy: Option<f64>,
    picture: PictureAnswer,
}

#[derive(Serialize)]
pub(crate) struct PlaneAnswer {
    epochs: u32,
    loss: f64,
    accuracy: Option<f64>,
    picture: PictureAnswer,
}

/// Points of a data set that is made, and cells of the grid along each side.
const POINTS: u32 = 300;
const CELLS: usize = 50;
/// Drawings of a run at most.
const DRAWINGS: u32 = 60;

/// Trains on points, and tells the page how the plane looks.
pub(crate) fn play(settings: &PlaneSettings) -> Result<PlaneAnswer> {
    let data = settings.data()?;
    let seed = Seed(settings.seed);
    let activation: Activation = settings.activation.parse()?;
    let model = Sequential::mlp(&settings.hidden, activation, 2, Init::default());
    let options = TrainOptions {
        lr: settings.lr,
        epochs: settings.epochs,
        seed,
        checkpoint_every: 0,
        // The picture shows the network as it is, not the best one so far.
        keep: Some(wgrad::train::KeepWeights::Last),
        ..TrainOptions::default()
    };
    options.check()?;
    let plane = Plane::of(&data);
    let split = wgrad::Split { train: data, valid: None };
    // A few hundred points take the CPU less time than an adapter needs to begin.
    let mut trainer = Trainer::new(&model, &split, &options, &DeviceKind::Cpu)?;
    let each = (settings.epochs / DRAWINGS).max(1);
    let (mut epochs, mut loss) = (0, f64::NAN);
    let mut fit = trainer.fit();
    while let Some(event) = fit.next() {
        if let Event::Epoch(stats) = event? {
            (epochs, loss) = (stats.epoch, stats.train_loss);
            if stats.epoch % each == 0 {
                let (picture, accuracy) = plane.draw(fit.trainer().trained())?;
                tell(&PlaneNews { news: "plane", epoch: epochs, loss, accuracy, picture });
                wgrad::device::gpu::yield_to_browser();
                if stop_is_wanted() {
                    break;
                }
            }
        }
    }
    drop(fit);
    trainer.keep_current()?;
    let (picture, accuracy) = plane.draw(trainer.trained())?;
    Ok(PlaneAnswer { epochs, loss, accuracy, picture })
}

impl PlaneSettings {
    fn data(&self) -> Result<Dataset> {
        let seed = Seed(self.seed);
        match self.data.as_str() {
            "xor" => return Ok(synth::xor(POINTS, self.noise, seed)),
            "spirals" => return Ok(synth::spirals(POINTS, 2, seed)),
            _ => {}
        }
        let mut random = seed.stream(Purpose::Synthetic);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for point in 0..POINTS {
            let class = point % 2;
            let [a, b] = match self.data.as_str() {
                "circles" => {
                    let (angle, radius) = (random.uniform(-PI, PI), [1.0, 0.45][class as usize]);
                    [radius * angle.cos(), radius * angle.sin()]
                }
                "moons" => {
                    let angle = random.uniform(0.0, PI);
                    let upper = [angle.cos() - 0.5, angle.sin() - 0.25];
                    if class == 0 { upper } else { [-upper[0], -upper[1]] }
                }
                "drawn" => break,
                other => {
                    let problem = format!(
                        "unknown name ‘{other}’; known: xor, circles, moons, spirals, drawn"
                    );
                    return Err(Error::setting("data", problem));
                }
            };
            let mut noisy = |value: f64| value + self.noise * random.normal();
            x.extend([noisy(a), noisy(b)]);
            y.push(class);
        }
        for &(a, b, class) in &self.points {
            if self.data == "drawn" {
                x.extend([a, b]);
                y.push(class.min(1));
            }
        }
        if y.iter().all(|class| y.first() == Some(class)) {
            let problem = "points of one class only; draw points of both";
            return Err(Error::setting("points", problem));
        }
        Dataset::from_arrays(&x, 2, Targets::Classes(y))
    }
}

/// The plane with its points.
struct Plane {
    x: Vec<f64>,
    classes: Vec<Line>,
    y: Vec<u32>,
    ends: [(f64, f64); 2],
}

impl Plane {
    fn of(data: &Dataset) -> Self {
        let x = data.x().to_vec();
        let y = match data.y() {
            Targets::Classes(y) => y.clone(),
            _ => Vec::new(),
        };
        let points = |class: u32| {
            let own = x.chunks_exact(2).zip(&y).filter(|(_, own)| **own == class);
            own.map(|(point, _)| (point[0], point[1])).collect()
        };
        let classes = vec![Line::new("class 0", points(0)), Line::new("class 1", points(1))];
        let ends = [0, 1].map(|axis| {
            let values = x.iter().skip(axis).step_by(2);
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| {
                (low.min(v), high.max(v))
            });
            let room = 0.1 * (high - low).max(1e-3);
            (low - room, high + room)
        });
        Self { x, classes, y, ends }
    }

    /// Draws the class of each place, and returns the share of the points whose class is right.
    fn draw(&self, trained: TrainedModel) -> Result<(PictureAnswer, Option<f64>)> {
        let predictor = Predictor::new(trained)?;
        let middles = ClassGrid::middles(self.ends[0], self.ends[1], (CELLS, CELLS));
        let places: Vec<f64> = middles.iter().flatten().copied().collect();
        let cells = classes(&predictor.predict(&places)?);
        let cells = cells.chunks_exact(CELLS).map(<[(usize, f64)]>::to_vec).collect();
        let grid = ClassGrid { x: self.ends[0], y: self.ends[1], cells };
        let texts =
            PlaneTexts::new("plane", "Class of each point", "first column", "second column");
        let found = classes(&predictor.predict(&self.x)?);
        let right = found.iter().zip(&self.y).filter(|(it, y)| it.0 == **y as usize).count();
        let accuracy = (!self.y.is_empty()).then(|| right as f64 / self.y.len() as f64);
        Ok((PictureAnswer::of(&class_regions(&texts, &grid, &self.classes)), accuracy))
    }
}

/// Returns the likeliest class of each row with its probability.
fn classes(predictions: &Predictions) -> Vec<(usize, f64)> {
    match predictions {
        Predictions::Classes { best, probabilities } => {
            let rows = best.iter().zip(probabilities.chunks_exact(2));
            rows.map(|(&best, row)| (best, row[best])).collect()
        }
        _ => Vec::new(),
    }
}
