//! Cells of rows as a model takes them, and those that training had not the like of.
//!
//! In: records of a table, the [`Schema`] of the table that a model was trained on. Out: inputs of the network; [`OddCell`] for a gap
//! where training had none, and for a text that it did not have; [`Oddities`], which counts these.
//! Absent on purpose: files, targets.

#[cfg(feature = "cli")]
use std::collections::HashSet;
use std::collections::{BTreeMap, HashMap};

use ::csv::StringRecord;
use serde::{Deserialize, Serialize};

use super::cell::{self, GapMarks, NotNumber, shown};
use super::column::{Column, ColumnEncoding, date_places, encode_row, index, places_of_texts};
use super::date;
use super::header::list;
use super::schema::Schema;
#[cfg(feature = "cli")]
use super::table_options::{ColumnRule, DateRule, TableOptions};

/// Text that stands for the rare ones, which inputs do not tell apart.
const POOLED_TEXT: &str = "(rare)";
/// Examples that are told of each column.
const EXAMPLES: usize = 3;

/// A cell that training had not the like of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OddCell {
    /// Place of its row among those that were read together.
    pub row: usize,
    /// Place of its column in [`Schema::read_columns`].
    pub column: usize,
    /// The text, which training did not have; `None` for a gap.
    pub text: Option<String>,
}

/// Reads the cells of rows.
#[derive(Debug)]
pub(super) struct RowCells {
    columns: Vec<Column>,
    /// Indices of the texts of each column.
    indices: Vec<HashMap<String, u32>>,
    marks: GapMarks,
    cells: Vec<f64>,
}

impl RowCells {
    pub(super) fn new(schema: &Schema) -> Self {
        let columns = schema.all_columns();
        let indices = |column: &Column| {
            let places = places_of_texts(column.encoding.values()).into_iter();
            places.map(|(text, place)| (text.to_owned(), place as u32)).collect()
        };
        Self {
            indices: columns.iter().map(indices).collect(),
            columns,
            marks: GapMarks::new(schema.missing.as_deref()),
            cells: Vec::new(),
        }
    }

    /// Appends the inputs of a record, whose columns stand at `picks`, to `x`. An error is a place in the record and a problem.
    pub(super) fn read(
        &mut self,
        (record, picks): (&StringRecord, &[usize]),
        row: usize,
        x: &mut Vec<f64>,
        odd: &mut Vec<OddCell>,
    ) -> Result<(), (usize, String)> {
        self.cells.clear();
        for (place, &pick) in picks.iter().enumerate() {
            let text = record.get(pick).unwrap_or_default().trim();
            let cell = self.cell(place, text).map_err(|problem| (pick, problem))?;
            let encoding = &self.columns[place].encoding;
            if cell.is_nan() && !encoding.had_gaps() {
                odd.push(OddCell { row, column: place, text: None });
            } else if encoding.is_unknown(cell) {
                odd.push(OddCell { row, column: place, text: Some(text.to_owned()) });
            }
            self.cells.push(cell);
        }
        encode_row(&self.columns, self.cells.iter().copied(), |input| x.push(input));
        Ok(())
    }

    /// Reads a trimmed cell of a column: NaN for a gap.
    fn cell(&self, place: usize, text: &str) -> Result<f64, String> {
        match &self.columns[place].encoding {
            ColumnEncoding::Number { .. } => match self.marks.number(text) {
                Err(NotNumber::Empty) => Ok(f64::NAN),
                Err(_) if self.marks.has_among_numbers(text) => Ok(f64::NAN),
                Err(_) => cell::feature(text),
                Ok(value) => Ok(value),
            },
            _ if self.marks.has(text) => Ok(f64::NAN),
            ColumnEncoding::Date { format, .. } => match date::parse(text, format.as_deref()) {
                Some((days, _)) => Ok(days),
                None => Err(match format {
                    Some(format) => format!(
                        "{} is no date of the form {}, which the column had in training",
                        shown(text),
                        shown(format)
                    ),
                    None => format!(
                        "{} is no date such as 2026-11-28 or 2026-11-28T10:20, which the column had in training",
                        shown(text)
                    ),
                }),
            },
            encoding => {
                let other = encoding.values().len() as f64;
                Ok(self.indices[place].get(text).map_or(other, |&index| f64::from(index)))
            }
        }
    }
}

impl Schema {
    /// Returns the feature columns: columns of numbers where the schema has names alone.
    pub(crate) fn all_columns(&self) -> Vec<Column> {
        match self.columns.is_empty() {
            true => self.features.iter().map(Column::number).collect(),
            false => self.columns.clone(),
        }
    }

    /// Returns the names of the columns that a table must have for the features.
    pub fn read_columns(&self) -> Vec<&str> {
        match self.columns.is_empty() {
            true => self.features.iter().map(String::as_str).collect(),
            false => self.columns.iter().map(|column| column.name.as_str()).collect(),
        }
    }

    /// Returns the input that is a column of numbers; `None` for another column.
    pub(super) fn number_input(&self, name: &str) -> Option<usize> {
        if self.columns.is_empty() {
            return self.features.iter().position(|feature| feature == name);
        }
        let mut inputs = 0;
        for column in &self.columns {
            if column.name == name {
                let is_number = matches!(column.encoding, ColumnEncoding::Number { .. });
                return is_number.then_some(inputs);
            }
            inputs += column.width();
        }
        None
    }

    /// Returns options by which another table with columns of these names is read as this one was, where the given ones do not say
    /// otherwise; with `drop`, without its duplicate columns.
    #[cfg(feature = "cli")]
    pub(crate) fn reading(
        &self,
        given: &TableOptions,
        names: &[String],
        drop: bool,
    ) -> TableOptions {
        let mut options = given.clone();
        options.missing = options.missing.or_else(|| self.missing.clone());
        // Sets, since a table may have very many columns.
        let names: HashSet<&String> = names.iter().collect();
        let ignored: HashSet<&String> = given.ignore.iter().collect();
        let only: Option<HashSet<&String>> = given.features.as_ref().map(|it| it.iter().collect());
        let rules = given.rules();
        for column in &self.columns {
            let rule = match &column.encoding {
                ColumnEncoding::Number { .. } => ColumnRule::Number,
                ColumnEncoding::Date { format, .. } => {
                    ColumnRule::Date(DateRule { format: format.clone(), parts: Vec::new() })
                }
                _ => ColumnRule::Category,
            };
            let is_feature = only.as_ref().is_none_or(|it| it.contains(&column.name))
                && !ignored.contains(&column.name);
            let free = is_feature && !rules.contains_key(column.name.as_str());
            if names.contains(&column.name) && free {
                options.columns.push((column.name.clone(), rule));
            }
        }
        let duplicates = self.duplicates.iter().filter(|_| drop).map(|it| &it.column);
        let dropped: HashSet<&String> =
            duplicates.filter(|it| names.contains(it) && !ignored.contains(it)).collect();
        options.columns.retain(|(name, _)| !dropped.contains(name));
        let in_order = self.duplicates.iter().map(|it| &it.column);
        options.ignore.extend(in_order.filter(|it| dropped.contains(it)).cloned());
        options
    }

    /// Returns the texts that mark a gap in a column of any kind.
    #[cfg(feature = "onnx")]
    pub(crate) fn gap_texts(&self) -> Vec<String> {
        GapMarks::new(self.missing.as_deref()).texts()
    }

    /// Returns the column whose cells an input comes from.
    pub(crate) fn column_of_input(&self, input: usize) -> &str {
        let mut inputs = 0;
        for column in &self.columns {
            inputs += column.width();
            if input < inputs {
                return &column.name;
            }
        }
        self.features.get(input).map_or("", String::as_str)
    }

    /// Returns the cells of a table that inputs came from; a text that training did not have is lost in them.
    #[cfg(feature = "cli")]
    pub(crate) fn cells_of(&self, inputs: &[f64]) -> Vec<String> {
        if self.columns.is_empty() {
            return inputs.iter().map(f64::to_string).collect();
        }
        let mut rest = inputs;
        let text = |column: &Column| {
            let (own, others) = rest.split_at(column.width());
            rest = others;
            column.cell_of(own)
        };
        self.columns.iter().map(text).collect()
    }
}

impl Column {
    /// Returns the cell that a column's inputs came from; a text that training did not have is lost in them.
    pub(crate) fn cell_of(&self, inputs: &[f64]) -> String {
        let is_gap = |gaps: bool| gaps && inputs.last() == Some(&1.0);
        let first = inputs.first().copied().unwrap_or(f64::NAN);
        let nth = |values: &[String], place: usize| values.get(place).cloned().unwrap_or_default();
        match &self.encoding {
            ColumnEncoding::Number { fill } if is_gap(fill.is_some()) => String::new(),
            ColumnEncoding::Number { .. } => first.to_string(),
            ColumnEncoding::Binary { values } if first == 0.0 => values[0].clone(),
            ColumnEncoding::Binary { values } if first == 1.0 => values[1].clone(),
            ColumnEncoding::Binary { .. } => String::new(),
            ColumnEncoding::OneHot { gaps, .. } if is_gap(*gaps) => String::new(),
            ColumnEncoding::OneHot { values, pooled, .. } => {
                match inputs.iter().position(|&input| input == 1.0) {
                    Some(place) if place < values.len() => nth(values, place),
                    Some(_) if pooled.is_some() => POOLED_TEXT.to_string(),
                    _ => String::new(),
                }
            }
            ColumnEncoding::Embedding { values, pooled, .. } => {
                // Row 0 is for gaps and other texts.
                let place = if first >= 1.0 { index(first) - 1 } else { usize::MAX };
                let other = if pooled.is_some() { POOLED_TEXT } else { "" };
                values.get(place).map_or(other.to_string(), String::clone)
            }
            ColumnEncoding::Date { gaps, .. } if is_gap(*gaps) => String::new(),
            ColumnEncoding::Date { format, timed, constant, .. } => {
                let mut known = [None; date::PARTS.len()];
                for (at, &input) in date_places(*timed, constant).zip(inputs) {
                    known[at] = Some(input);
                }
                // Parts alone are those of many dates, any of which gives the same inputs.
                let days = date::with_parts(known);
                days.map_or(String::new(), |days| date::text(days, format.as_deref(), *timed))
            }
        }
    }
}

/// Number and first examples of odd cells, by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    columns: BTreeMap<usize, ColumnOddities>,
}

/// Number and first examples of odd cells of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ColumnOddities {
    gaps: u64,
    lines: Vec<u64>,
    texts: u64,
    examples: Vec<String>,
}

impl Oddities {
    /// Adds cells of rows that begin in these lines; without lines, none is told.
    pub fn add(&mut self, odd: &[OddCell], lines: &[u64]) {
        for cell in odd {
            let column = self.columns.entry(cell.column).or_default();
            match &cell.text {
                None => {
                    column.gaps += 1;
                    if column.lines.len() < EXAMPLES {
                        column.lines.extend(lines.get(cell.row));
                    }
                }
                Some(text) => {
                    column.texts += 1;
                    if column.examples.len() < EXAMPLES && !column.examples.contains(text) {
                        column.examples.push(text.clone());
                    }
                }
            }
        }
    }

    /// Returns a sentence for each column that has gaps, and for each that has texts, and how the model takes these cells.
    pub fn told(&self, schema: &Schema) -> Vec<String> {
        let names = schema.read_columns();
        let mut told = Vec::new();
        for (&place, column) in &self.columns {
            let name = shown(names.get(place).copied().unwrap_or_default());
            let encoding = schema.columns.get(place).map(|column| &column.encoding);
            let count = |number: u64, one: &str, many: &str| match number {
                1 => format!("1 {one}"),
                _ => format!("{number} {many}"),
            };
            if column.gaps > 0 {
                let lines: Vec<String> = column.lines.iter().map(u64::to_string).collect();
                let place = match lines.len() {
                    0 => String::new(),
                    1 => format!(" (line {})", lines[0]),
                    _ => format!(
                        " (lines {}{})",
                        lines.join(", "),
                        if column.gaps > lines.len() as u64 { " …" } else { "" }
                    ),
                };
                told.push(format!(
                    "{} in {name}{place}, which had none in training: {}",
                    count(column.gaps, "gap", "gaps"),
                    stand_in(encoding)
                ));
            }
            if column.texts > 0 {
                told.push(format!(
                    "{} of {name} with texts that did not occur in training, such as {}: {}",
                    count(column.texts, "cell", "cells"),
                    list(&column.examples),
                    stand_in(encoding)
                ));
            }
        }
        told
    }
}

/// Says how a model takes a cell that training had not the like of.
fn stand_in(encoding: Option<&ColumnEncoding>) -> &'static str {
    match encoding {
        None | Some(ColumnEncoding::Number { .. } | ColumnEncoding::Date { .. }) => {
            "the mean of the training rows stands in"
        }
        Some(ColumnEncoding::Binary { .. }) => "they count half as either text",
        Some(ColumnEncoding::OneHot { .. }) => "they count as none of the known texts",
        Some(ColumnEncoding::Embedding { .. }) => "they share row 0 of the embedding's table",
    }
}
