//! JSON Lines: one event a line, flat, `event` first.
//!
//! In: events. Out: lines for programs.
//! Absent on purpose: rounding; a number is as exact as it is known.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::text::{escape_json_controls, positive_by_column};
use super::{Comparisons, Figures, Outcome};
use crate::data::Positive;
use crate::host::Instant;
use crate::train::{EpochStats, Event, Progress, RunInfo, Summary};

/// Time between two `progress` events, at least.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes events as JSON Lines.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    /// The run folder, named in the last event.
    run: Option<String>,
    /// Network of several that the events are of: words such as `member`, and numbers.
    part: Vec<(&'static str, usize)>,
    progressed: Option<Instant>,
}

#[derive(Serialize)]
struct Started<'a> {
    event: &'a str,
    device: &'a str,
    device_kind: &'a str,
    backend: &'a str,
    driver: &'a str,
    reason: &'a str,
    target: &'a str,
    train_rows: usize,
    valid_rows: usize,
    features: usize,
    /// By column; `null` unless the target is two classes or labels.
    #[serde(serialize_with = "positive_by_column")]
    positive: &'a [Positive],
    parameters: usize,
    epochs: u32,
    steps_per_epoch: usize,
    batch: usize,
    precision: &'a str,
    device_bytes: u64,
    /// `null` if the table lies on the device.
    stream_block_rows: Option<usize>,
    load_seconds: f64,
}

#[derive(Serialize)]
struct Going<'a> {
    event: &'a str,
    epoch: u32,
    step: usize,
    steps: usize,
    loss: Option<f64>,
    samples_per_second: f64,
    seconds_left: f64,
}

#[derive(Serialize)]
struct Warned<'a> {
    event: &'a str,
    message: String,
}

#[derive(Serialize)]
struct Compared<'a> {
    event: &'a str,
    #[serde(flatten)]
    comparisons: &'a Comparisons,
}

#[derive(Serialize)]
struct Failed<'a> {
    event: &'a str,
    message: &'a str,
    code: u8,
}

#[derive(Serialize)]
struct EpochRecord<'a> {
    event: &'a str,
    epoch: u32,
    steps: u64,
    lr: f64,
    #[serde(flatten)]
    figures: Figures,
    seconds: f64,
    samples_per_second: f64,
}

#[derive(Serialize)]
struct EndedRecord<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    epoch: u32,
    steps: u64,
    #[serde(flatten)]
    figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_after: Option<u32>,
    seconds: f64,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, run: None, part: Vec::new(), progressed: None }
    }

    /// Adds to each event the network of several that it is of, such as `"member":3`.
    #[must_use]
    pub fn of_part(self, part: Vec<(&'static str, usize)>) -> Self {
        Self { part, ..self }
    }

    /// Names the run folder in the last event.
    #[must_use]
    pub fn with_run(mut self, run: impl Into<String>) -> Self {
        self.run = Some(run.into());
        self
    }

    /// Where the lines go.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Writes an event; progress only if it is due.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Started(info) => self.started(info),
            Event::Progress(progress) => self.progress(progress),
            Event::Epoch(stats) => self.epoch(stats),
            Event::Warned(warning) => {
                self.line(&Warned { event: "warning", message: warning.to_string() })
            }
            Event::Finished(summary) => self.finished(summary),
        }
    }

    /// Writes what a network is compared with.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn compared(&mut self, comparisons: &Comparisons) -> io::Result<()> {
        self.line(&Compared { event: "compared", comparisons })
    }

    /// Writes how a run ended that someone stopped.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn interrupted(&mut self, outcome: &Outcome) -> io::Result<()> {
        let Outcome { epoch, steps, seconds, .. } = *outcome;
        self.ended("interrupted", (epoch, steps, outcome.figures.clone()), (None, seconds))
    }

    /// Writes what went wrong, and the exit code that follows.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn error(&mut self, message: &str, code: u8) -> io::Result<()> {
        self.line(&Failed { event: "error", message, code })
    }

    /// Writes anything as one line.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        if !self.part.is_empty() {
            insert_part(&mut line, &self.part);
        }
        line.push(b'\n');
        let line = escape_json_controls(line);
        self.out.write_all(&line)?;
        self.out.flush()
    }

    fn started(&mut self, info: &RunInfo) -> io::Result<()> {
        self.line(&Started {
            event: "started",
            device: &info.device.name,
            device_kind: &info.device.kind,
            backend: &info.device.backend,
            driver: &info.device.driver,
            reason: &info.reason,
            target: &info.target,
            train_rows: info.train_rows,
            valid_rows: info.valid_rows,
            features: info.features,
            positive: &info.positive,
            parameters: info.parameters,
            epochs: info.epochs,
            steps_per_epoch: info.steps_per_epoch,
            batch: info.batch,
            precision: info.precision.name(),
            device_bytes: info.device_bytes,
            stream_block_rows: info.streaming.map(|streaming| streaming.block_rows),
            load_seconds: info.load_seconds,
        })
    }

    fn progress(&mut self, progress: &Progress) -> io::Result<()> {
        if self.progressed.is_some_and(|last| last.elapsed() < PAUSE) {
            return Ok(());
        }
        self.progressed = Some(Instant::now());
        let Progress { epoch, step, steps, loss, samples_per_second, seconds_left } = *progress;
        self.line(&Going {
            event: "progress",
            epoch,
            step,
            steps,
            loss,
            samples_per_second,
            seconds_left,
        })
    }

    fn epoch(&mut self, stats: &EpochStats) -> io::Result<()> {
        let EpochStats { epoch, steps, lr, seconds, samples_per_second, .. } = *stats;
        self.line(&EpochRecord {
            event: "epoch",
            epoch,
            steps,
            lr,
            figures: Figures::of(stats),
            seconds,
            samples_per_second,
        })
    }

    fn finished(&mut self, summary: &Summary) -> io::Result<()> {
        let kept = summary.kept.as_ref();
        let (epoch, steps) = kept.map_or((0, 0), |kept| (kept.epoch, kept.steps));
        let stopped = summary.stopped.map(|stopped| stopped.epoch);
        let figures = kept.map(Figures::of).unwrap_or_default();
        self.ended("finished", (epoch, steps, figures), (stopped, summary.seconds))
    }

    fn ended(
        &mut self,
        event: &str,
        (epoch, steps, figures): (u32, u64, Figures),
        (stopped_after, seconds): (Option<u32>, f64),
    ) -> io::Result<()> {
        let run = self.run.take();
        let run = run.as_deref();
        self.line(&EndedRecord { event, run, epoch, steps, figures, stopped_after, seconds })
    }
}

/// Inserts the number of a network behind the name of a line's event, which comes first.
fn insert_part(line: &mut Vec<u8>, part: &[(&'static str, usize)]) {
    const FIRST: &[u8] = b"{\"event\":\"";
    let name = line.strip_prefix(FIRST).and_then(|rest| rest.iter().position(|&it| it == b'"'));
    if let Some(name) = name {
        let place = FIRST.len() + name + 1;
        let part: String =
            part.iter().map(|(word, number)| format!(",\"{word}\":{number}")).collect();
        line.splice(place..place, part.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{EarlyStop, Metric, Metrics, Warning};

    #[test]
    fn events_of_one_of_several_networks_name_it() {
        let mut out = Vec::new();
        let mut json = JsonLines::new(&mut out).of_part(vec![("trial", 4), ("fold", 3)]);
        json.error("wrong", 2).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "{\"event\":\"error\",\"trial\":4,\"fold\":3,\"message\":\"wrong\",\"code\":2}\n"
        );
    }

    #[test]
    fn events_are_flat_lines_with_event_first() {
        let valid =
            Some(Metrics { rows: 2, loss: 0.25, accuracy: Some(0.5), ..Metrics::default() });
        let stats = EpochStats {
            epoch: 1,
            steps: 4,
            train_loss: 0.5,
            valid,
            lr: 0.001,
            seconds: 0.25,
            samples_per_second: 400.0,
        };
        let valid = stats.valid.clone().map(|valid| Metrics {
            asked: vec![(Metric::RocAuc, Some(0.75)), (Metric::Brier, None)],
            ..valid
        });
        let asked = EpochStats { valid, ..stats.clone() };
        let stopped = Some(EarlyStop { epoch: 3, metric: Metric::Loss, patience: 2, delta: 0.0 });
        let progress = Progress {
            epoch: 1,
            step: 2,
            steps: 4,
            loss: None,
            samples_per_second: 1.0,
            seconds_left: 2.0,
        };
        let mut out = Vec::new();
        let mut json = JsonLines::new(&mut out).with_run("runs/a");
        for event in [
            Event::Warned(Warning::ConstantColumns { columns: vec!["a \"word\"".into()] }),
            Event::Progress(progress),
            // Too soon after the first.
            Event::Progress(progress),
            Event::Epoch(stats.clone()),
            Event::Finished(Summary {
                kept: Some(stats),
                last: None,
                epochs: 1,
                stopped: None,
                seconds: 1.0,
            }),
            Event::Finished(Summary {
                kept: Some(asked),
                last: None,
                epochs: 3,
                stopped,
                seconds: 1.0,
            }),
        ] {
            json.event(&event).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        let want = [
            r#"{"event":"warning","message":"columns with one value only tell the network nothing: `a \"word\"`"}"#,
            r#"{"event":"progress","epoch":1,"step":2,"steps":4,"loss":null,"samples_per_second":1.0,"seconds_left":2.0}"#,
            r#"{"event":"epoch","epoch":1,"steps":4,"lr":0.001,"train_loss":0.5,"valid_loss":0.25,"valid_accuracy":0.5,"seconds":0.25,"samples_per_second":400.0}"#,
            r#"{"event":"finished","run":"runs/a","epoch":1,"steps":4,"train_loss":0.5,"valid_loss":0.25,"valid_accuracy":0.5,"seconds":1.0}"#,
            r#"{"event":"finished","epoch":1,"steps":4,"train_loss":0.5,"valid_loss":0.25,"valid_accuracy":0.5,"valid_roc_auc":0.75,"valid_brier":null,"stopped_after":3,"seconds":1.0}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), want);
    }
}
