//! `wgrad predict`: a table with the predictions as new columns, a few thousand rows at a time.
//!
//! In: a run and a table of any length. Out: the table's columns as they were, and the new ones.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Serialize, Serializer};

use super::Exit;
use super::args::PredictArgs;
use super::folder::open_run;
use super::interrupt::Interrupt;
use super::output::{Output, check_out, failed};
use crate::data::{Chunk, FeatureReader, Label, Preparation, TargetKind, list};
use crate::error::{Error, Result};
use crate::export::{AtomicFile, MODEL_FILE};
use crate::report::{Console, JsonLines, counted, duration};
use crate::train::{Predictions, Predictor, TrainedModel, check_ids};

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
    if let Some(out) = &args.out {
        let (model, weights) = (args.run.join(MODEL_FILE), args.weights.as_ref());
        let inputs = [&args.table, &args.run, &model, weights.unwrap_or(&model)];
        check_out("--out", out, &inputs.map(PathBuf::as_path), args.force)?;
    }
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, args.weights.as_deref(), &mut console)?;
    let mut reader = FeatureReader::open(&args.table, &trained.preparation.schema)?;
    let told = Told::of(&trained);
    let (header, renamed) = header(&reader, &told);
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
        check_ids(trained.model.tables(), &chunk.x, &trained.preparation.schema, place)?;
        let predictions = predictor.predict(&chunk.x)?;
        check_finite(&chunk, &predictions, &trained.preparation, &args.table)?;
        Ok(Some((chunk, predictions)))
    };
    // A table that cannot be read or predicted leaves no file and no header behind.
    let mut part = next_part()?;
    let mut sink = Sink::open(args, &header)?;
    while let Some((chunk, predictions)) = part {
        sink.write(&chunk, &predictions, &told, rows)?;
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
    let values = predictions.values();
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
fn header(reader: &FeatureReader, told: &Told<'_>) -> (Vec<String>, Vec<(String, String)>) {
    let mut names: Vec<String> = reader.headers().iter().map(String::from).collect();
    let mut new = vec![];
    match told.kind {
        TargetKind::Classes(_) => {
            new.push(format!("{}_predicted", told.target));
            new.extend_from_slice(&told.columns);
        }
        TargetKind::Labels(labels) => {
            for (label, column) in labels.iter().zip(&told.columns) {
                new.extend([format!("{}_predicted", label.column), column.clone()]);
            }
        }
        TargetKind::Number | TargetKind::Numbers(_) => new.extend_from_slice(&told.columns),
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

/// What predictions tell of the target.
struct Told<'a> {
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
    fn of(trained: &'a TrainedModel) -> Self {
        let schema = &trained.preparation.schema;
        let columns = trained.columns();
        let columns = columns.iter().map(|(target, what)| format!("{target}_{what}")).collect();
        let scores = trained.tells_scores();
        let word = if scores { "scores" } else { "probabilities" };
        let yes = if scores { 0.0 } else { 0.5 };
        Self { target: &schema.target, kind: &schema.kind, columns, word, yes }
    }
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
        told: &Told<'_>,
        first: u64,
    ) -> Result<()> {
        let values = predictions.values();
        let width = told.columns.len();
        for (row, record) in chunk.records.iter().enumerate() {
            let values = &values[row * width..(row + 1) * width];
            let (cells, prediction) = match (predictions, told.kind) {
                (Predictions::Classes { best, .. }, TargetKind::Classes(classes)) => {
                    let predicted = &classes[best[row]];
                    let numbers = values.iter().map(|&value| cell(value));
                    let cells = std::iter::once(predicted.clone()).chain(numbers).collect();
                    let told = BTreeMap::from([(told.word, Pairs(classes, values))]);
                    (cells, Prediction::Class { predicted, told })
                }
                (Predictions::Labels(_), TargetKind::Labels(labels)) => {
                    let pairs = labels.iter().zip(values);
                    let chosen: Vec<&str> = pairs
                        .map(|(label, &value)| &*label.values[usize::from(value > told.yes)])
                        .collect();
                    let pairs = chosen.iter().zip(values);
                    let cells: Vec<String> = pairs
                        .flat_map(|(text, &value)| [(*text).to_string(), cell(value)])
                        .collect();
                    let told = BTreeMap::from([(told.word, Pairs(labels.as_slice(), values))]);
                    (cells, Prediction::Labels { predicted: Labelled(labels, chosen), told })
                }
                (Predictions::Numbers(_), _) => {
                    let cells = values.iter().map(|value| format!("{value:?}")).collect();
                    let prediction = match values {
                        [predicted] => Prediction::Number { predicted: *predicted },
                        _ => Prediction::Columns { predicted: Pairs(&told.columns, values) },
                    };
                    (cells, prediction)
                }
                _ => {
                    let problem = "what was predicted is of another kind than the target";
                    return Err(Error::shape("predict", problem));
                }
            };
            if let Self::Json(json) = self {
                let row = first + row as u64 + 1;
                let line = Predicted { event: "predicted", row, prediction };
                json.line(&line).map_err(failed)?;
            } else {
                let old = record.iter().map(|cell| cell.as_bytes().to_vec());
                let new: Vec<String> = cells;
                let cells: Vec<Vec<u8>> =
                    old.chain(new.into_iter().map(String::into_bytes)).collect();
                self.record(cells)?;
            }
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
