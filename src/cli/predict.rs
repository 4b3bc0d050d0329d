//! `wgrad predict`: a table with the predictions as new columns, a few thousand rows at a time.
//!
//! In: a run and a table of any length. Out: the table's columns as they were, and the new ones.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Exit;
use super::args::PredictArgs;
use super::folder::open_run;
use super::interrupt::Interrupt;
use super::output::{Output, failed};
use crate::data::{Chunk, FeatureReader, Preparation, Schema, TargetKind, list};
use crate::error::{Error, Result};
use crate::export::{AtomicFile, MODEL_FILE};
use crate::report::{Console, JsonLines, counted, duration};
use crate::train::{Predictions, Predictor, check_ids};

/// Rows that are read, predicted and written at once.
pub(super) const ROWS: usize = 4096;

/// A row's prediction, as an event.
#[derive(Serialize)]
struct Predicted<'a> {
    event: &'a str,
    row: u64,
    #[serde(flatten)]
    prediction: Prediction<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Prediction<'a> {
    Class { predicted: &'a str, probabilities: Probabilities<'a> },
    Number { predicted: f64 },
}

/// Classes and their probabilities, in the classes' order.
struct Probabilities<'a>(&'a [String], &'a [f64]);

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (class, probability) in self.0.iter().zip(self.1) {
            map.serialize_entry(class, probability)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Done<'a> {
    event: &'a str,
    rows: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
}

#[derive(Serialize)]
struct Stopped<'a> {
    event: &'a str,
    rows: u64,
}

/// Where rows go.
enum Sink {
    File(::csv::Writer<AtomicFile>),
    Table(::csv::Writer<Output>),
    Json(JsonLines<Output>),
}

pub(super) fn predict(args: &PredictArgs) -> Result<Exit> {
    let kind = args.device.parse()?;
    check_out(args)?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, &mut console)?;
    let schema = &trained.preparation.schema;
    let mut reader = FeatureReader::open(&args.table, schema)?;
    let (header, renamed) = header(&reader, schema);
    if args.out.is_some() || !args.json {
        for (wanted, taken) in &renamed {
            let source = args.table.display();
            console
                .line(&format!("{source} has a column {wanted} already; the new one is {taken}"));
        }
    }
    let mut predictor = Predictor::new(&trained, &kind, ROWS)?;
    let (device, reason) = predictor.device();
    console.line(&format!("device  {device}: {reason}"));
    let interrupt = Interrupt::listen(args.quiet)?;
    interrupt.arm();
    let (begun, mut rows) = (Instant::now(), 0_u64);
    let mut next_part = || -> Result<Option<(Chunk, Predictions)>> {
        let Some(chunk) = reader.next_chunk(ROWS)? else { return Ok(None) };
        let line = |row: usize| chunk.lines.get(row).copied().unwrap_or(0);
        let place = |row| format!("{}:{}", args.table.display(), line(row));
        check_ids(trained.model.tables(), &chunk.x, schema, place)?;
        let predictions = predictor.predict(&chunk.x)?;
        check_finite(&chunk, &predictions, &trained.preparation, &args.table)?;
        Ok(Some((chunk, predictions)))
    };
    // A table that cannot be read or predicted leaves no file and no header behind.
    let mut part = next_part()?;
    let mut sink = Sink::open(args, &header)?;
    while let Some((chunk, predictions)) = part {
        sink.write(&chunk, &predictions, schema, rows)?;
        rows += chunk.records.len() as u64;
        if sink.closed() {
            return Ok(Exit::Done);
        }
        part = next_part()?;
        if part.is_some() && interrupt.asked() {
            stopped(args, sink, rows)?;
            return Ok(Exit::Interrupted);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    sink.finish()?;
    if args.json {
        let out = args.out.as_ref().map(|path| path.display().to_string());
        let mut stdout = Output::new();
        JsonLines::new(&mut stdout)
            .line(&Done { event: "finished", rows, seconds, out })
            .map_err(failed)?;
    }
    console.line(&format!("{} in {}", counted(rows, "row"), duration(seconds)));
    Ok(Exit::Done)
}

/// Whether the predictions may go to `--out`. Nothing is made or changed.
fn check_out(args: &PredictArgs) -> Result<()> {
    let Some(out) = args.out.as_deref() else { return Ok(()) };
    // What is not there yet, and pipes and devices, hold nothing that could be lost.
    if !fs::metadata(out).is_ok_and(|known| known.is_file()) {
        return Ok(());
    }
    let refuse =
        |problem: &str| Err(Error::setting("--out", format!("{} {problem}", out.display())));
    let place = fs::canonicalize(out).ok();
    let inputs = [args.table.clone(), args.run.clone(), args.run.join(MODEL_FILE)];
    if place.is_some() && inputs.iter().any(|input| fs::canonicalize(input).ok() == place) {
        return refuse("is what this command reads; choose another file");
    }
    if !args.force {
        return refuse("is there already; choose another file, or replace it with --force");
    }
    Ok(())
}

/// Ends in the middle of a table, at a user's wish.
fn stopped(args: &PredictArgs, mut sink: Sink, rows: u64) -> Result<()> {
    let mut text = format!("stopped after {}", counted(rows, "row"));
    match &args.out {
        Some(out) => text += &format!("; {} was not written", out.display()),
        None => sink.flush()?,
    }
    if args.json {
        JsonLines::new(Output::new())
            .line(&Stopped { event: "interrupted", rows })
            .map_err(failed)?;
    }
    // Not progress but the result, so that --quiet does not hide it. With stderr closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
    Ok(())
}

/// Whether all predictions are numbers.
pub(super) fn check_finite(
    chunk: &Chunk,
    predictions: &Predictions,
    preparation: &Preparation,
    table: &Path,
) -> Result<()> {
    let values = match predictions {
        Predictions::Classes { probabilities, .. } => probabilities,
        Predictions::Numbers(numbers) => numbers,
    };
    let Some(wrong) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let (rows, columns) = (chunk.records.len(), preparation.schema.features.len());
    let row = wrong / (values.len() / rows.max(1)).max(1);
    let place = format!("{}:{}", table.display(), chunk.lines.get(row).copied().unwrap_or(0));
    let features = chunk.x.get(row * columns..(row + 1) * columns).unwrap_or_default();
    let distance = |column: usize| {
        let (mean, std) = (preparation.mean[column], preparation.std[column]);
        ((f64::from(features[column]) - mean) / std).abs()
    };
    let farthest =
        (0..features.len()).max_by(|&a, &b| distance(a).total_cmp(&distance(b))).map(|column| {
            format!(
                ": {:?} in column {} is the farthest from what training saw",
                features[column],
                list(&preparation.schema.features[column..=column])
            )
        });
    let problem = format!(
        "the prediction for this row is not a finite number, as extreme values make it{}; correct or remove the row",
        farthest.unwrap_or_default()
    );
    Err(Error::table(place, problem))
}

/// The table's columns and the new ones; and of these the ones whose own names were taken, with what they are called.
fn header(reader: &FeatureReader, schema: &Schema) -> (Vec<String>, Vec<(String, String)>) {
    let mut names: Vec<String> = reader.headers().iter().map(String::from).collect();
    let mut new = vec![format!("{}_predicted", schema.target)];
    if let TargetKind::Classes(classes) = &schema.kind {
        new.extend(classes.iter().map(|class| format!("{}_probability_{class}", schema.target)));
    }
    let mut taken: HashSet<String> = names.iter().map(|name| name.trim().to_string()).collect();
    let mut renamed = vec![];
    for wanted in new {
        let mut name = wanted.clone();
        for number in 2_u64.. {
            if taken.insert(name.trim().to_string()) {
                break;
            }
            name = format!("{wanted}_{number}");
        }
        if name != wanted {
            renamed.push((wanted, name.clone()));
        }
        names.push(name);
    }
    (names, renamed)
}

impl Sink {
    fn open(args: &PredictArgs, header: &[String]) -> Result<Self> {
        let mut sink = match &args.out {
            Some(path) => Self::File(::csv::Writer::from_writer(AtomicFile::create(path)?)),
            None if args.json => return Ok(Self::Json(JsonLines::new(Output::new()))),
            None => Self::Table(::csv::Writer::from_writer(Output::new())),
        };
        sink.record(header)?;
        Ok(sink)
    }

    fn record<T: AsRef<[u8]>>(&mut self, cells: impl IntoIterator<Item = T>) -> Result<()> {
        match self {
            Self::File(to) => to.write_record(cells).map_err(|error| {
                let target = to.get_ref().target().to_path_buf();
                Error::file("write", target, error.into())
            }),
            Self::Table(to) => to.write_record(cells).map_err(|error| failed(error.into())),
            Self::Json(_) => Ok(()),
        }
    }

    fn write(
        &mut self,
        chunk: &Chunk,
        predictions: &Predictions,
        schema: &Schema,
        first: u64,
    ) -> Result<()> {
        for (row, record) in chunk.records.iter().enumerate() {
            let (predicted, probabilities) = match (predictions, &schema.kind) {
                (Predictions::Classes { best, probabilities }, TargetKind::Classes(classes)) => {
                    let width = classes.len();
                    (classes[best[row]].clone(), &probabilities[row * width..(row + 1) * width])
                }
                (Predictions::Numbers(numbers), _) => (format!("{:?}", numbers[row]), &[][..]),
                _ => {
                    return Err(Error::shape(
                        "predict",
                        "classes were predicted, but the target is a number",
                    ));
                }
            };
            let Self::Json(json) = self else {
                let new = std::iter::once(predicted).chain(probabilities.iter().map(|&p| cell(p)));
                let cells: Vec<Vec<u8>> = record
                    .iter()
                    .map(|cell| cell.as_bytes().to_vec())
                    .chain(new.map(String::into_bytes))
                    .collect();
                self.record(cells)?;
                continue;
            };
            let prediction = match (predictions, &schema.kind) {
                (Predictions::Numbers(numbers), _) => {
                    Prediction::Number { predicted: numbers[row] }
                }
                (_, TargetKind::Classes(classes)) => Prediction::Class {
                    predicted: &predicted,
                    probabilities: Probabilities(classes, probabilities),
                },
                _ => continue,
            };
            json.line(&Predicted { event: "predicted", row: first + row as u64 + 1, prediction })
                .map_err(failed)?;
        }
        Ok(())
    }

    fn closed(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Table(to) => to.get_ref().closed(),
            Self::Json(json) => json.get_ref().closed(),
        }
    }

    /// Passes on what is left for stdout.
    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Table(to) => to.flush().map_err(failed),
            Self::File(_) | Self::Json(_) => Ok(()),
        }
    }

    fn finish(mut self) -> Result<()> {
        match self {
            Self::File(mut to) => {
                let target = to.get_ref().target().to_path_buf();
                to.flush().map_err(|error| Error::file("write", &target, error))?;
                let file = to
                    .into_inner()
                    .map_err(|error| Error::file("write", &target, error.into_error()))?;
                file.commit()
            }
            Self::Table(_) | Self::Json(_) => self.flush(),
        }
    }
}

/// A probability in as many digits as an f32 holds.
fn cell(value: f64) -> String {
    format!("{:?}", value as f32)
}
