//! Writes predicted rows: as a table in a file or on standard output, or as JSON Lines.
//!
//! In: rows as they were read, and their predictions. Out: the rows with the predictions as new columns, or an event each.
//! Absent on purpose: reading, predicting.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use ::csv::StringRecord;
use serde::{Serialize, Serializer};

use crate::cli::output::{Output, failed};
use crate::data::{BinaryColumn, DecimalMark, FeatureReader, RowChunk, TargetKind, list};
use crate::error::{Error, Result};
use crate::export::AtomicFile;
use crate::report::{escape_controls, escape_json_controls};
use crate::train::{Predictions, TrainedModel};

/// A row's prediction, as an event.
#[derive(Serialize)]
struct Predicted<'a> {
    event: &'a str,
    row: u64,
    #[serde(flatten)]
    prediction: Prediction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<Spread<'a>>,
}

/// Standard deviation of the members' predictions, for each number of a row.
#[derive(Serialize)]
#[serde(untagged)]
enum Spread<'a> {
    Number(f64),
    Columns(Pairs<'a, String>),
    Labels(Pairs<'a, BinaryColumn>),
}

/// Predictions for some rows.
pub(crate) struct PredictedRows {
    pub(crate) predictions: Predictions,
    /// Standard deviation of the members' predictions `[rows, columns]`, if it is wished.
    pub(crate) spread: Option<Vec<f64>>,
    /// True for each row that has no prediction; empty if all have one.
    pub(crate) skipped: Vec<bool>,
}

impl From<Predictions> for PredictedRows {
    fn from(predictions: Predictions) -> Self {
        Self { predictions, spread: None, skipped: Vec::new() }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Prediction<'a> {
    /// `null`, for a row that cannot be predicted.
    None {
        predicted: (),
    },
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
        told: BTreeMap<&'a str, Pairs<'a, BinaryColumn>>,
        /// Classes or labels that the numbers are of.
        positive: Labelled<'a>,
    },
}

/// Names and their numbers, in order.
struct Pairs<'a, T>(&'a [T], &'a [f64]);

/// Columns with a name.
trait Named {
    fn name(&self) -> &str;
}

impl Named for String {
    fn name(&self) -> &str {
        self
    }
}

impl Named for BinaryColumn {
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
struct Labelled<'a>(&'a [BinaryColumn], Vec<&'a str>);

impl Serialize for Labelled<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(Named::name).zip(&self.1))
    }
}

/// Columns that predictions add for the target.
pub(crate) struct PredictionColumns<'a> {
    target: &'a str,
    kind: &'a TargetKind,
    /// Names of the columns of numbers.
    columns: Vec<String>,
    /// Kind of these numbers, for classes and labels.
    word: &'static str,
    /// Least number that means yes.
    yes: f64,
    /// True if each column of numbers has another one with the spread over the members of an ensemble.
    spread: bool,
}

impl<'a> PredictionColumns<'a> {
    pub(crate) fn of(trained: &'a TrainedModel) -> Self {
        let schema = &trained.preparation.schema;
        let columns = trained.columns();
        let columns = columns.iter().map(|(target, what)| format!("{target}_{what}")).collect();
        let scores = trained.outputs_are_scores();
        let word = if scores { "scores" } else { "probabilities" };
        let yes = if scores { 0.0 } else { 0.5 };
        Self { target: &schema.target, kind: &schema.kind, columns, word, yes, spread: false }
    }

    /// Adds columns with the spread over the members of an ensemble.
    pub(crate) fn with_spread(self, spread: bool) -> Self {
        Self { spread, ..self }
    }

    /// Returns the table's columns and the new ones; and those new ones whose names were taken, with the names that they
    /// have instead.
    pub(crate) fn header(&self, table: &StringRecord) -> (Vec<String>, Vec<(String, String)>) {
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
        if self.spread {
            new.extend(self.columns.iter().map(|column| format!("{column}_spread")));
        }
        let mut taken: HashSet<String> = names.iter().map(|name| name.trim().to_string()).collect();
        let mut renamed = vec![];
        // Tables of earlier predictions have such columns already, so a number makes the name unique.
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

    /// Number of columns that are added.
    fn added(&self) -> usize {
        let spread = if self.spread { self.columns.len() } else { 0 };
        spread
            + match self.kind {
                TargetKind::Classes(_) => self.columns.len() + 1,
                TargetKind::Labels(_) => 2 * self.columns.len(),
                TargetKind::Number | TargetKind::Numbers(_) => self.columns.len(),
            }
    }

    /// Returns the label's text for a number.
    fn chosen<'l>(&self, label: &'l BinaryColumn, value: f64) -> &'l str {
        &label.values[usize::from(value > self.yes)]
    }

    /// Returns the numbers of a row, and its class.
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
#[derive(Debug)]
enum To {
    File(AtomicFile),
    Stdout(Output),
}

impl To {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match self {
            Self::File(file) => file.write_all(bytes),
            // A terminal would obey control characters in cells; a reader of a pipe gets the bytes as they are.
            Self::Stdout(out) if io::stdout().is_terminal() => {
                let text = escape_controls(&String::from_utf8_lossy(bytes));
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            // Flushed, so that the reader of a pipe gets rows as soon as they exist.
            Self::Stdout(out) => out.write_all(bytes).and_then(|()| out.flush()),
        };
        written.map_err(|source| self.refused(source))
    }

    /// Returns the error for a result that cannot be written.
    fn refused(&self, source: io::Error) -> Error {
        match self {
            Self::File(file) => Error::file("write", file.target(), source),
            Self::Stdout(_) => failed(source),
        }
    }
}

/// Form of the text that predictions are written in: that of the table which was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellStyle {
    delimiter: u8,
    decimal: DecimalMark,
    header: bool,
}

impl Default for CellStyle {
    fn default() -> Self {
        Self { delimiter: b',', decimal: DecimalMark::Point, header: true }
    }
}

impl CellStyle {
    pub(crate) fn of(reader: &FeatureReader) -> Self {
        // Only signs of one byte are read.
        let delimiter = u8::try_from(reader.delimiter()).unwrap_or(b',');
        Self { delimiter, decimal: reader.decimal(), header: reader.has_header() }
    }

    /// Says how the result differs from the usual form, and names its new columns where it has no header.
    pub(crate) fn text(self, new: &[String]) -> String {
        let mut told = Vec::new();
        if self.delimiter != b',' {
            told.push("the same sign between cells".to_string());
        }
        if self.decimal == DecimalMark::Comma {
            told.push("decimals with a comma".to_string());
        }
        if !self.header {
            told.push(format!("no header, and at the end {}", list(new)));
        }
        if told.is_empty() {
            String::new()
        } else {
            format!("; the result has {}", told.join(", "))
        }
    }
}

/// Destination of predicted rows.
#[derive(Debug)]
pub(crate) struct PredictionWriter {
    to: To,
    json: bool,
    style: CellStyle,
    /// Rows as text, until they are written in one piece.
    text: Vec<u8>,
}

impl PredictionWriter {
    /// Opens the file, if there is one, else standard output, there for a table or for events.
    pub(crate) fn open(
        file: Option<&Path>,
        json: bool,
        header: &[String],
        style: CellStyle,
    ) -> Result<Self> {
        let to = match file {
            Some(path) => To::File(AtomicFile::create(path)?),
            None => To::Stdout(Output::new()),
        };
        // With a file, the events on standard output are only the final ones.
        let mut sink = Self { to, json: json && file.is_none(), style, text: Vec::new() };
        if !sink.json && style.header {
            push_cells(&mut sink.text, header.iter().map(String::as_str), style);
            sink.text.push(b'\n');
        }
        Ok(sink)
    }

    /// Writes rows; `first` of them were written before.
    pub(crate) fn write(
        &mut self,
        chunk: &RowChunk,
        predicted: &PredictedRows,
        told: &PredictionColumns<'_>,
        first: u64,
    ) -> Result<()> {
        let PredictedRows { predictions, spread, skipped } = predicted;
        // Checked once for all rows, so that writing a row cannot meet another kind.
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
        for (row, record) in chunk.records.iter().enumerate() {
            let values = told.row(predictions, row);
            let skips = skipped.get(row) == Some(&true);
            let width = told.columns.len();
            let spread = spread.as_ref().map(|it| &it[row * width..(row + 1) * width]);
            if self.json {
                let prediction = match skips {
                    true => Prediction::None { predicted: () },
                    false => prediction(told, values),
                };
                let row = first + row as u64 + 1;
                let spread = spread.filter(|_| !skips).map(|it| spread_of(told, it));
                let line = Predicted { event: "predicted", row, prediction, spread };
                let line =
                    serde_json::to_vec(&line).map_err(|error| self.to.refused(error.into()))?;
                self.text.extend(escape_json_controls(line));
                self.text.push(b'\n');
            } else if skips {
                push_cells(&mut self.text, record.iter(), self.style);
                self.text.extend(std::iter::repeat_n(self.style.delimiter, told.added()));
                self.text.push(b'\n');
            } else {
                push_row(&mut self.text, record, (told, self.style), values);
                for value in spread.into_iter().flatten() {
                    push_number(&mut self.text, format_args!("{value:?}"), self.style);
                }
                self.text.push(b'\n');
            }
        }
        // One write for a part: single rows would cost a system call each.
        self.to.write(&self.text)?;
        self.text.clear();
        Ok(())
    }

    /// Returns true if the reader of the output has closed it.
    pub(crate) fn closed(&self) -> bool {
        match &self.to {
            To::File(_) => false,
            To::Stdout(out) => out.closed(),
        }
    }

    /// Completes the output: from now on a file has its name.
    pub(crate) fn finish(self) -> Result<()> {
        match self.to {
            To::File(file) => file.commit(),
            To::Stdout(out) => out.end(),
        }
    }
}

/// Appends the cells of a row unchanged, and the predictions.
fn push_row(
    to: &mut Vec<u8>,
    record: &StringRecord,
    (told, style): (&PredictionColumns<'_>, CellStyle),
    (values, best): (&[f64], usize),
) {
    push_cells(to, record.iter(), style);
    if let TargetKind::Classes(classes) = told.kind {
        to.push(style.delimiter);
        push_cell(to, &classes[best], style);
    }
    for (place, &value) in values.iter().enumerate() {
        match told.kind {
            TargetKind::Number | TargetKind::Numbers(_) => {
                push_number(to, format_args!("{value:?}"), style);
            }
            // A probability has as many digits as an f32 holds.
            TargetKind::Classes(_) => push_number(to, format_args!("{:?}", value as f32), style),
            TargetKind::Labels(labels) => {
                to.push(style.delimiter);
                push_cell(to, told.chosen(&labels[place], value), style);
                push_number(to, format_args!("{:?}", value as f32), style);
            }
        }
    }
}

/// Appends a delimiter and a number.
fn push_number(to: &mut Vec<u8>, number: fmt::Arguments<'_>, style: CellStyle) {
    to.push(style.delimiter);
    let begin = to.len();
    // Appending to memory cannot fail.
    let _ = to.write_fmt(number);
    if style.decimal == DecimalMark::Comma
        && let Some(point) = to[begin..].iter().position(|&byte| byte == b'.')
    {
        to[begin + point] = b',';
        // Between commas a number with one needs quotes.
        if style.delimiter == b',' {
            to.insert(begin, b'"');
            to.push(b'"');
        }
    }
}

fn push_cells<'a>(to: &mut Vec<u8>, cells: impl Iterator<Item = &'a str>, style: CellStyle) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            to.push(style.delimiter);
        }
        push_cell(to, cell, style);
    }
}

/// Appends a cell, in quotes if it needs them.
fn push_cell(to: &mut Vec<u8>, cell: &str, style: CellStyle) {
    // Without an early end, so that the loop is vectorised.
    let special = cell.bytes().fold(false, |any, byte| {
        any | (byte == style.delimiter) | (byte == b'"') | (byte == b'\n') | (byte == b'\r')
    });
    if !special {
        to.extend_from_slice(cell.as_bytes());
        return;
    }
    to.push(b'"');
    to.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    to.push(b'"');
}

/// Returns a row's spread for programs.
fn spread_of<'a>(told: &'a PredictionColumns<'_>, values: &'a [f64]) -> Spread<'a> {
    match told.kind {
        TargetKind::Classes(classes) => Spread::Columns(Pairs(classes, values)),
        TargetKind::Labels(labels) => Spread::Labels(Pairs(labels, values)),
        TargetKind::Number | TargetKind::Numbers(_) => match values {
            [value] => Spread::Number(*value),
            _ => Spread::Columns(Pairs(&told.columns, values)),
        },
    }
}

/// Returns a row's prediction for programs.
fn prediction<'a>(
    told: &'a PredictionColumns<'_>,
    (values, best): (&'a [f64], usize),
) -> Prediction<'a> {
    match told.kind {
        TargetKind::Classes(classes) => {
            let told = BTreeMap::from([(told.word, Pairs(classes, values))]);
            Prediction::Class { predicted: &classes[best], told }
        }
        TargetKind::Labels(labels) => {
            let pairs = labels.iter().zip(values);
            let chosen = pairs.map(|(label, &value)| told.chosen(label, value)).collect();
            let told = BTreeMap::from([(told.word, Pairs(labels.as_slice(), values))]);
            let yes = labels.iter().map(|label| label.values[1].as_str()).collect();
            let positive = Labelled(labels, yes);
            Prediction::Labels { predicted: Labelled(labels, chosen), told, positive }
        }
        TargetKind::Number | TargetKind::Numbers(_) => match values {
            [predicted] => Prediction::Number { predicted: *predicted },
            _ => Prediction::Columns { predicted: Pairs(&told.columns, values) },
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cells_are_quoted_as_by_the_csv_crate(
            cells in prop::collection::vec("[ -~é\",\\r\\n]{0,6}", 2..6)
        ) {
            let mut ours = Vec::new();
            push_cells(&mut ours, cells.iter().map(String::as_str), CellStyle::default());
            ours.push(b'\n');
            let mut theirs = ::csv::Writer::from_writer(Vec::new());
            theirs.write_record(&cells).unwrap();
            prop_assert_eq!(ours, theirs.into_inner().unwrap());
        }
    }
}
