//! Where predicted rows go: a table in a file or on standard output, or JSON Lines.
//!
//! In: rows as they were read, and their predictions. Out: the rows with the predictions as new columns, or an event each.
//! Absent on purpose: reading, predicting.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use ::csv::{StringRecord, Writer, WriterBuilder};
use serde::{Serialize, Serializer};

use super::output::{Output, failed};
use crate::data::{Chunk, Label, TargetKind};
use crate::error::{Error, Result};
use crate::export::AtomicFile;
use crate::train::{Predictions, TrainedModel};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 16;

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
    Class {
        predicted: &'a str,
        #[serde(flatten)]
        told: BTreeMap<&'a str, Pairs<'a, String>>,
    },
    Number {
        predicted: f64,
    },
    /// Columns as in a table, and what stands in them.
    Columns {
        predicted: Pairs<'a, String>,
    },
    Labels {
        predicted: Labelled<'a>,
        #[serde(flatten)]
        told: BTreeMap<&'a str, Pairs<'a, Label>>,
    },
}

/// Names and their numbers, in order.
struct Pairs<'a, T>(&'a [T], &'a [f64]);

/// What bears a name.
trait Named {
    fn name(&self) -> &str;
}

impl Named for String {
    fn name(&self) -> &str {
        self
    }
}

impl Named for Label {
    fn name(&self) -> &str {
        &self.column
    }
}

impl<T: Named> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(Named::name).zip(self.1))
    }
}

/// Labels and the text of each.
struct Labelled<'a>(&'a [Label], Vec<&'a str>);

impl Serialize for Labelled<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(Named::name).zip(&self.1))
    }
}

/// What predictions tell of the target.
pub(super) struct Told<'a> {
    target: &'a str,
    kind: &'a TargetKind,
    /// Names of the columns of numbers.
    columns: Vec<String>,
    /// What these numbers are for classes and labels.
    word: &'static str,
    /// The least number that says yes.
    yes: f64,
}

impl<'a> Told<'a> {
    pub(super) fn of(trained: &'a TrainedModel) -> Self {
        let schema = &trained.preparation.schema;
        let columns = trained.columns();
        let columns = columns.iter().map(|(target, what)| format!("{target}_{what}")).collect();
        let scores = trained.tells_scores();
        let word = if scores { "scores" } else { "probabilities" };
        let yes = if scores { 0.0 } else { 0.5 };
        Self { target: &schema.target, kind: &schema.kind, columns, word, yes }
    }

    /// The table's columns and the new ones; and of these the ones whose own names were taken, with what they are called.
    pub(super) fn header(&self, table: &StringRecord) -> (Vec<String>, Vec<(String, String)>) {
        let mut names: Vec<String> = table.iter().map(String::from).collect();
        let mut new = vec![];
        match self.kind {
            TargetKind::Classes(_) => {
                new.push(format!("{}_predicted", self.target));
                new.extend_from_slice(&self.columns);
            }
            TargetKind::Labels(labels) => {
                for (label, column) in labels.iter().zip(&self.columns) {
                    new.extend([format!("{}_predicted", label.column), column.clone()]);
                }
            }
            TargetKind::Number | TargetKind::Numbers(_) => new.extend_from_slice(&self.columns),
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

    /// The label's text for a number.
    fn chosen<'l>(&self, label: &'l Label, value: f64) -> &'l str {
        &label.values[usize::from(value > self.yes)]
    }

    /// The numbers of a row, and the class of it.
    fn row<'p>(&self, predictions: &'p Predictions, row: usize) -> (&'p [f64], usize) {
        let width = self.columns.len();
        let best = match predictions {
            Predictions::Classes { best, .. } => best[row],
            Predictions::Numbers(_) | Predictions::Labels(_) => 0,
        };
        (&predictions.values()[row * width..(row + 1) * width], best)
    }
}

/// A table's file, or standard output.
pub(super) enum To {
    File(AtomicFile),
    Stdout(Output),
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

impl To {
    /// What it means that it cannot be written.
    fn refused(&self, source: io::Error) -> Error {
        match self {
            Self::File(file) => Error::file("write", file.target(), source),
            Self::Stdout(_) => failed(source),
        }
    }
}

/// Where rows go.
pub(super) enum Sink {
    /// A table, and the text of the number that is about to be written.
    Table(Writer<To>, String),
    Json(Output),
}

impl Sink {
    /// Opens the file, if there is one, else standard output, there for a table or for events.
    pub(super) fn open(file: Option<&Path>, json: bool, header: &[String]) -> Result<Self> {
        let to = match file {
            Some(path) => To::File(AtomicFile::create(path)?),
            None if json => return Ok(Self::Json(Output::new())),
            None => To::Stdout(Output::new()),
        };
        let mut to = WriterBuilder::new().buffer_capacity(BUFFER).from_writer(to);
        to.write_record(header).map_err(|error| to.get_ref().refused(error.into()))?;
        Ok(Self::Table(to, String::new()))
    }

    /// Writes rows; `first` of them were written before.
    pub(super) fn write(
        &mut self,
        chunk: &Chunk,
        predictions: &Predictions,
        told: &Told<'_>,
        first: u64,
    ) -> Result<()> {
        let kinds = matches!(
            (predictions, told.kind),
            (Predictions::Classes { .. }, TargetKind::Classes(_))
                | (Predictions::Labels(_), TargetKind::Labels(_))
                | (Predictions::Numbers(_), TargetKind::Number | TargetKind::Numbers(_))
        );
        if !kinds {
            let problem = "what was predicted is of another kind than the target";
            return Err(Error::shape("predict", problem));
        }
        match self {
            Self::Table(to, text) => {
                for (row, record) in chunk.records.iter().enumerate() {
                    write_row(to, text, record, told, told.row(predictions, row))
                        .map_err(|error| to.get_ref().refused(error.into()))?;
                }
                // A file is written as it comes; whoever reads from a pipe gets whole rows.
                match to.get_ref() {
                    To::File(_) => Ok(()),
                    To::Stdout(_) => to.flush().map_err(failed),
                }
            }
            Self::Json(to) => {
                for row in 0..chunk.records.len() {
                    let prediction = prediction(told, told.row(predictions, row));
                    let row = first + row as u64 + 1;
                    let line = Predicted { event: "predicted", row, prediction };
                    let written = serde_json::to_writer(&mut *to, &line).map_err(io::Error::from);
                    written.and_then(|()| to.write_all(b"\n")).map_err(failed)?;
                }
                to.flush().map_err(failed)
            }
        }
    }

    /// Whether the reader has gone.
    pub(super) fn closed(&self) -> bool {
        match self {
            Self::Table(to, _) => match to.get_ref() {
                To::File(_) => false,
                To::Stdout(out) => out.closed(),
            },
            Self::Json(out) => out.closed(),
        }
    }

    /// Brings all to where it goes: a file is there from now on.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Table(mut to, _) => {
                let flushed = to.flush();
                flushed.map_err(|error| to.get_ref().refused(error))?;
                match to.into_inner().map_err(|error| failed(error.into_error()))? {
                    To::File(file) => file.commit(),
                    To::Stdout(out) => out.end(),
                }
            }
            Self::Json(out) => out.end(),
        }
    }
}

/// Writes the cells of a row as they were, and the new ones.
fn write_row(
    to: &mut Writer<To>,
    text: &mut String,
    record: &StringRecord,
    told: &Told<'_>,
    (values, best): (&[f64], usize),
) -> std::result::Result<(), ::csv::Error> {
    record.iter().try_for_each(|cell| to.write_field(cell))?;
    // A probability in as many digits as an f32 holds.
    let share = |text: &mut String, value: f64| write!(text, "{:?}", value as f32);
    let number = |text: &mut String, value: f64| write!(text, "{value:?}");
    if let TargetKind::Classes(classes) = told.kind {
        to.write_field(&classes[best])?;
    }
    for (place, &value) in values.iter().enumerate() {
        text.clear();
        // Text can always be appended to a string.
        let _ = match told.kind {
            TargetKind::Number | TargetKind::Numbers(_) => number(text, value),
            TargetKind::Classes(_) => share(text, value),
            TargetKind::Labels(labels) => {
                to.write_field(told.chosen(&labels[place], value))?;
                share(text, value)
            }
        };
        to.write_field(&*text)?;
    }
    to.write_record(None::<&[u8]>)
}

/// A row's prediction for programs.
fn prediction<'a>(told: &'a Told<'_>, (values, best): (&'a [f64], usize)) -> Prediction<'a> {
    match told.kind {
        TargetKind::Classes(classes) => {
            let told = BTreeMap::from([(told.word, Pairs(classes, values))]);
            Prediction::Class { predicted: &classes[best], told }
        }
        TargetKind::Labels(labels) => {
            let pairs = labels.iter().zip(values);
            let chosen = pairs.map(|(label, &value)| told.chosen(label, value)).collect();
            let told = BTreeMap::from([(told.word, Pairs(labels.as_slice(), values))]);
            Prediction::Labels { predicted: Labelled(labels, chosen), told }
        }
        TargetKind::Number | TargetKind::Numbers(_) => match values {
            [predicted] => Prediction::Number { predicted: *predicted },
            _ => Prediction::Columns { predicted: Pairs(&told.columns, values) },
        },
    }
}
