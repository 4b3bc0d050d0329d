//! `wgrad predict`: a table with the predictions as new columns, a few thousand rows at a time.
//!
//! In: a run and a table of any length. Out: the table's columns as they were, and the new ones.

use std::time::Instant;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Exit;
use super::args::PredictArgs;
use super::evaluate::open_run;
use super::interrupt::Interrupt;
use super::output::{Output, failed};
use crate::data::{Chunk, FeatureReader, Schema, TargetKind};
use crate::error::{Error, Result};
use crate::export::AtomicFile;
use crate::report::{Console, JsonLines, count, duration};
use crate::train::{Predictions, Predictor};

/// Rows that are read, predicted and written at once.
const ROWS: usize = 4096;

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

/// Where rows go.
enum Sink {
    File(::csv::Writer<AtomicFile>),
    Table(::csv::Writer<Output>),
    Json(JsonLines<Output>),
}

pub(super) fn predict(args: &PredictArgs) -> Result<Exit> {
    let kind = args.device.parse()?;
    let trained = open_run(&args.run)?;
    let schema = &trained.preparation.schema;
    let mut reader = FeatureReader::open(&args.table, schema)?;
    let header = header(&reader, schema, &args.table.display().to_string())?;
    let mut predictor = Predictor::new(&trained, &kind, ROWS)?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let (device, reason) = predictor.device();
    console.line(&format!("device  {device}: {reason}"));
    // A table that cannot be read leaves no file and no header behind.
    let mut next = reader.next_chunk(ROWS)?;
    let interrupt = Interrupt::listen()?;
    interrupt.arm();
    let (begun, mut rows) = (Instant::now(), 0_u64);
    let mut sink = Sink::open(args, &header)?;
    while let Some(chunk) = next {
        let predictions = predictor.predict(&chunk.x)?;
        sink.write(&chunk, &predictions, schema, rows)?;
        rows += chunk.records.len() as u64;
        if interrupt.asked() {
            return Ok(Exit::Interrupted);
        }
        if sink.closed() {
            return Ok(Exit::Done);
        }
        next = reader.next_chunk(ROWS)?;
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
    console.line(&format!("{} rows in {}", count(rows), duration(seconds)));
    Ok(Exit::Done)
}

/// The table's columns and the new ones, none of which may be there already.
fn header(reader: &FeatureReader, schema: &Schema, source: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = reader.headers().iter().map(String::from).collect();
    let mut new = vec![format!("{}_predicted", schema.target)];
    if let TargetKind::Classes(classes) = &schema.kind {
        new.extend(classes.iter().map(|class| format!("{}_probability_{class}", schema.target)));
    }
    if let Some(taken) = new.iter().find(|name| names.iter().any(|there| there.trim() == *name)) {
        let problem = format!(
            "it has a column `{taken}` already, which the predictions need; rename or remove that column"
        );
        return Err(Error::table(source, problem));
    }
    names.append(&mut new);
    Ok(names)
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
                (Predictions::Numbers(numbers), _) => (cell(numbers[row]), &[][..]),
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

    fn finish(self) -> Result<()> {
        match self {
            Self::File(mut to) => {
                let target = to.get_ref().target().to_path_buf();
                to.flush().map_err(|error| Error::file("write", &target, error))?;
                let file = to
                    .into_inner()
                    .map_err(|error| Error::file("write", &target, error.into_error()))?;
                file.commit()
            }
            Self::Table(mut to) => to.flush().map_err(failed),
            Self::Json(_) => Ok(()),
        }
    }
}

/// A number in as many digits as an f32 holds.
fn cell(value: f64) -> String {
    format!("{:?}", value as f32)
}
