//! A run in the page: from the table to a trained network, with news of each epoch.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use wgrad::data::{Dataset, LabelledRows};
use wgrad::device::gpu::GpuDevice;
use wgrad::picture::Picture;
use wgrad::report::{Figures, HistoryTable, Outcome, history_pictures, prediction_pictures};
use wgrad::train::{Checkpoint, Ensemble, EpochStats, Event, RunInfo, Summary};
use wgrad::{DeviceKind, Error, Predictor, Result, Trainer};

use crate::check::{CheckAnswer, verify_for};
use crate::session::{Session, TrainedRun};
use crate::settings::{Ready, Settings};
use crate::{stop_is_wanted, tell};

/// News of a run.
#[derive(Serialize)]
#[serde(tag = "news", rename_all = "snake_case")]
enum News<'a> {
    /// The kernels of the adapter were compared with the reference.
    Verified(&'a CheckAnswer),
    Started(Started<'a>),
    Warning {
        text: String,
    },
    Progress {
        epoch: u32,
        step: usize,
        steps: usize,
        seconds_left: f64,
    },
    Epoch(Epoch),
}

#[derive(Serialize)]
struct Started<'a> {
    device: String,
    reason: &'a str,
    train_rows: usize,
    valid_rows: usize,
    target: &'a str,
    features: usize,
    parameters: usize,
    epochs: u32,
    batch: usize,
    model: String,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Epoch {
    epoch: u32,
    train_loss: f64,
    /// Figures of the rows that are held out, by name.
    valid: Vec<(String, f64)>,
    /// Curves so far, if it is time for new ones.
    pictures: Vec<PictureAnswer>,
}

/// A picture as the page shows it.
#[derive(Serialize)]
pub(crate) struct PictureAnswer {
    name: String,
    title: String,
    svg: String,
}

impl PictureAnswer {
    pub(crate) fn of(picture: &Picture) -> Self {
        let (name, title) = (picture.name().to_string(), picture.title().to_string());
        Self { name, title, svg: picture.inline() }
    }
}

/// End of a run.
#[derive(Serialize)]
pub(crate) struct TrainAnswer {
    /// The summary in words.
    told: String,
    device: String,
    /// True if somebody stopped the run.
    stopped: bool,
    /// Epochs that were trained.
    epochs: usize,
    /// True if the run can go on from here.
    may_go_on: bool,
    /// Content of `metrics.json`.
    outcome: Value,
    /// Names of the figures of an epoch, and the figures of all epochs.
    columns: Vec<String>,
    history: Vec<Vec<Option<f64>>>,
    /// Losses, figures and learning rate by epoch.
    curves: Vec<PictureAnswer>,
    /// Predictions of the rows that are held out.
    pictures: Vec<PictureAnswer>,
    warnings: Vec<String>,
}

/// Seconds between two drawings of the curves, and rows of the pictures at most.
const REDRAWN: f64 = 0.25;
const MOST_ROWS: usize = 20_000;

/// A run that was stopped, or has done its epochs, and what it takes to go on with it.
pub(crate) struct Unfinished {
    ready: Ready,
    settings: Settings,
    /// Name of the table.
    table: String,
    checkpoint: Checkpoint,
    done: Done,
}

/// What a run has told so far.
#[derive(Clone, Default)]
struct Done {
    history: HistoryTable,
    epochs: Vec<EpochStats>,
    warnings: Vec<String>,
    seconds: f64,
}

/// Trains on the session's table, and leaves the network there.
pub(crate) fn train(session: &mut Session, settings: &Settings) -> Result<TrainAnswer> {
    let (name, table) = session.table()?;
    let (table, ready) = (name.to_string(), settings.ready(table)?);
    // The rows of an earlier run make room.
    session.unfinished = None;
    let run = Run::new(&ready)?;
    follow_to_end(session, (table, settings.clone()), ready, run)
}

/// Goes on with the run that was trained last, up to this number of epochs in all: the steps are those of a run that was never stopped.
pub(crate) fn go_on(session: &mut Session, epochs: u32) -> Result<TrainAnswer> {
    let none =
        || Error::setting("run", "there is none to go on with; train a network in this page first");
    let mut unfinished = session.unfinished.take().ok_or_else(none)?;
    let before = (unfinished.ready.options.epochs, unfinished.settings.epochs);
    (unfinished.ready.options.epochs, unfinished.settings.epochs) = (epochs, epochs);
    let run = unfinished.check(epochs).and_then(|()| unfinished.run());
    match run {
        Ok(run) => {
            let Unfinished { ready, settings, table, .. } = unfinished;
            follow_to_end(session, (table, settings), ready, run)
        }
        Err(error) => {
            (unfinished.ready.options.epochs, unfinished.settings.epochs) = before;
            session.unfinished = Some(unfinished);
            Err(error)
        }
    }
}

impl Unfinished {
    fn check(&self, epochs: u32) -> Result<()> {
        if epochs > self.checkpoint.epoch() {
            return self.ready.options.check();
        }
        let problem =
            format!("{epochs}, but {} have been trained; give more", self.checkpoint.epoch());
        Err(Error::setting("epochs", problem))
    }

    /// Loads the run in the state in which it was left.
    fn run(&self) -> Result<Run> {
        let mut run = Run::new(&self.ready)?;
        run.trainer.resume(self.checkpoint.clone())?;
        run.done = self.done.clone();
        Ok(run)
    }
}

/// Trains to the end, or until somebody stops the run, and leaves the network in the session.
fn follow_to_end(
    session: &mut Session,
    (name, settings): (String, Settings),
    ready: Ready,
    mut run: Run,
) -> Result<TrainAnswer> {
    let Followed { ended, checkpoint } = run.follow(&ready)?;
    let stopped = ended.is_none();
    let (trained, device) = (run.trainer.trained(), run.device());
    let kept = run.trainer.kept().cloned();
    let done = run.done;
    let outcome = outcome(&trained, (&ended, kept.as_ref(), done.seconds), (&device, stopped))?;
    let rows = |data: &Dataset, what: &str| {
        (rows_of(data), format!("{} {what}", data.rows().min(MOST_ROWS)))
    };
    let valid = ready.data.valid.as_ref().map(|data| rows(data, "validation rows"));
    let predictor = Predictor::new(trained.clone())?;
    let curves = history_pictures(&done.history, trained_epoch(&outcome));
    let pictures = match &valid {
        Some((rows, _)) => prediction_pictures(&predictor, rows)?,
        None => Vec::new(),
    };
    let answer = TrainAnswer {
        told: ended.as_ref().map_or_else(|| "stopped".to_string(), Summary::to_string),
        device,
        stopped,
        epochs: done.epochs.len(),
        may_go_on: checkpoint.is_some(),
        outcome: outcome.clone(),
        columns: done.history.columns.clone(),
        history: done.history.epochs.clone(),
        curves: curves.iter().map(PictureAnswer::of).collect(),
        pictures: pictures.iter().map(PictureAnswer::of).collect(),
        warnings: done.warnings.clone(),
    };
    session.trained = Some(TrainedRun {
        ensemble: Ensemble::from(trained),
        table: name.clone(),
        valid,
        train: Some(rows(&ready.data.train, "training rows")),
        history: done.history.clone(),
        epochs: done.epochs.clone(),
        outcome: Some(outcome),
        settings: Some(settings.text(ready.options.batch_size)),
        warnings: done.warnings.clone(),
    });
    session.unfinished = checkpoint.map(|checkpoint| Unfinished {
        ready,
        settings,
        table: name,
        checkpoint: Arc::unwrap_or_clone(checkpoint),
        done,
    });
    Ok(answer)
}

/// A run under way.
pub(crate) struct Run {
    trainer: Trainer,
    done: Done,
}

/// How a run ended.
struct Followed {
    /// `None` if somebody stopped the run.
    ended: Option<Summary>,
    /// State from which the run can go on; `None` after it has ended early by itself.
    checkpoint: Option<Arc<Checkpoint>>,
}

impl Run {
    /// Opens the device, checks the kernels that the run needs, and loads everything.
    fn new(ready: &Ready) -> Result<Self> {
        Ok(Self { trainer: trainer(ready)?, done: Done::default() })
    }

    fn device(&self) -> String {
        self.trainer.info().device.to_string()
    }

    /// Trains to the end, or until somebody stops the run: then there is no summary.
    fn follow(&mut self, ready: &Ready) -> Result<Followed> {
        let Self { trainer, done } = self;
        let model = trainer.trained().model.to_string();
        let begun = now();
        let mut drawn = f64::NEG_INFINITY;
        let mut followed = Followed { ended: None, checkpoint: None };
        let mut fit = trainer.fit();
        while let Some(event) = fit.next() {
            match event? {
                Event::Started(info) => tell(&News::Started(started(&info, &model, &ready.notes))),
                Event::Warned(warning) => {
                    let text = warning.to_string();
                    // A run that goes on begins with the warnings that it had before.
                    if !done.warnings.contains(&text) {
                        done.warnings.push(text.clone());
                    }
                    tell(&News::Warning { text });
                }
                Event::Progress(it) => tell(&News::Progress {
                    epoch: it.epoch,
                    step: it.step,
                    steps: it.steps,
                    seconds_left: it.seconds_left,
                }),
                Event::Epoch(stats) => {
                    append(&mut done.history, &stats);
                    let is_last = stats.epoch == ready.options.epochs;
                    let is_time = is_last || now() - drawn >= REDRAWN;
                    let pictures =
                        if is_time { history_pictures(&done.history, None) } else { vec![] };
                    if is_time {
                        drawn = now();
                    }
                    tell(&News::Epoch(Epoch {
                        epoch: stats.epoch,
                        train_loss: stats.train_loss,
                        valid: entries(&stats),
                        pictures: pictures.iter().map(PictureAnswer::of).collect(),
                    }));
                    done.epochs.push(stats);
                    if is_last {
                        // The end puts the kept weights in place of these.
                        followed.checkpoint = Some(fit.checkpoint()?);
                    }
                }
                Event::Finished(finished) => followed.ended = Some(finished),
            }
            wgrad::device::gpu::yield_to_browser();
            if followed.ended.is_none() && stop_is_wanted() {
                followed.checkpoint = Some(fit.checkpoint()?);
                break;
            }
        }
        drop(fit);
        done.seconds += now() - begun;
        if followed.ended.is_none() && done.epochs.is_empty() {
            // Nothing is kept yet but the weights before the first step.
            trainer.keep_current()?;
        }
        Ok(followed)
    }
}

/// Opens the device of a run and loads the run. On an adapter only kernels that were right are used; if there is none of a kernel, the CPU
/// device trains.
fn trainer(ready: &Ready) -> Result<Trainer> {
    let Ready { data, model, options, device, .. } = ready;
    let on_cpu = || Trainer::new(model, data, options, &DeviceKind::Cpu);
    let kind = match device {
        DeviceKind::Auto => &DeviceKind::Gpu,
        DeviceKind::Cpu => return on_cpu(),
        other => other,
    };
    let may_fall_back = *device == DeviceKind::Auto;
    let fallen = |error: Error| {
        if !may_fall_back {
            return Err(error);
        }
        let text = format!("the CPU trains: {error}");
        tell(&News::Warning { text });
        on_cpu()
    };
    let mut gpu = match GpuDevice::open(kind) {
        Ok((gpu, _)) => gpu,
        Err(Error::NoAdapter { .. }) if may_fall_back => return on_cpu(),
        Err(error) => return fallen(error),
    };
    // The plan is the same on every device with room for it.
    let plan = on_cpu()?.plan().clone();
    let checked = match verify_for(&mut gpu, &plan) {
        Ok(checked) => checked,
        Err(error) => return fallen(error),
    };
    tell(&News::Verified(&checked));
    Trainer::with_device(model, data, options, Box::new(gpu)).or_else(fallen)
}

fn started<'a>(info: &'a RunInfo, model: &str, notes: &'a [String]) -> Started<'a> {
    Started {
        device: info.device.to_string(),
        reason: &info.reason,
        train_rows: info.train_rows,
        valid_rows: info.valid_rows,
        target: &info.target,
        features: info.features,
        parameters: info.parameters,
        epochs: info.epochs,
        batch: info.batch,
        model: model.to_string(),
        notes,
    }
}

/// Returns the figures of an epoch on the rows that are held out.
fn entries(stats: &EpochStats) -> Vec<(String, f64)> {
    let all = stats.valid.iter().flat_map(|valid| valid.entries());
    all.map(|(metric, value)| (metric.to_string(), value)).collect()
}

/// Appends an epoch to the table by which curves are drawn.
fn append(history: &mut HistoryTable, stats: &EpochStats) {
    let valid = stats.valid.as_ref().map(|valid| valid.all()).unwrap_or_default();
    if history.columns.is_empty() {
        history.columns = ["epoch", "steps", "lr", "train_loss"].map(str::to_string).to_vec();
        history.columns.extend(valid.iter().map(|(metric, _)| format!("valid_{metric}")));
    }
    let mut line = vec![
        Some(f64::from(stats.epoch)),
        Some(stats.steps as f64),
        Some(stats.lr),
        Some(stats.train_loss),
    ];
    line.extend(valid.into_iter().map(|(_, value)| value));
    line.resize(history.columns.len(), None);
    history.epochs.push(line);
}

/// Returns some rows of a data set as those of a table.
fn rows_of(data: &Dataset) -> LabelledRows {
    let rows: Vec<u32> = (0..u32::try_from(data.rows().min(MOST_ROWS)).unwrap_or(0)).collect();
    let data = data.subset(&rows);
    LabelledRows {
        x: data.x().to_vec(),
        y: data.y().clone(),
        weights: data.weights().map(<[f64]>::to_vec),
        lines: vec![0; data.rows()],
        odd: Vec::new(),
    }
}

/// Returns what `metrics.json` would hold.
fn outcome(
    trained: &wgrad::TrainedModel,
    (ended, kept, seconds): (&Option<Summary>, Option<&EpochStats>, f64),
    (device, interrupted): (&str, bool),
) -> Result<Value> {
    let outcome = Outcome {
        epoch: kept.map_or(0, |it| it.epoch),
        steps: kept.map_or(0, |it| it.steps),
        figures: kept.map(Figures::of).unwrap_or_default(),
        positive: trained.preparation.schema.positives(),
        stopped_after: ended
            .as_ref()
            .and_then(|it| it.stopped.as_ref().and(it.last.as_ref()))
            .map(|it| it.epoch),
        seconds,
        device: device.to_string(),
        baselines: None,
        interrupted,
    };
    serde_json::to_value(&outcome).map_err(|error| Error::setting("outcome", error.to_string()))
}

fn trained_epoch(outcome: &Value) -> Option<u32> {
    outcome.get("epoch")?.as_u64().and_then(|epoch| u32::try_from(epoch).ok())
}

/// Returns the seconds of the browser's clock.
fn now() -> f64 {
    milliseconds() / 1e3
}

#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}
