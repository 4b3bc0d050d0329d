//! A column of a table, and the inputs of a network that it becomes.
//!
//! In: cells as numbers, days or indices of texts. Out: inputs, and their names.
//! Absent on purpose: how a column is fitted to rows, which `encode.rs` does.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::cell;
use super::date::{self, DatePart};

/// A column of a table, and the inputs of a network that it becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name of the column.
    pub name: String,
    /// How its cells become inputs.
    pub encoding: ColumnEncoding,
}

/// How the cells of a column become inputs of a network. Texts are those of the training rows, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ColumnEncoding {
    /// A number as it is.
    Number {
        /// Number that stands in for gaps, if training had some: then a second input is 1 for a gap and else 0. Without it the mean of
        /// the training rows stands in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<f64>,
    },
    /// One of two texts: 0 for the first, 1 for the second, 0.5 for a gap and any other text.
    Binary {
        /// The two texts.
        values: [String; 2],
    },
    /// An input for each text, 1 for the cell's and 0 for the others; all are 0 for a text that training did not have.
    OneHot {
        /// The texts.
        values: Vec<String>,
        /// True if training had gaps: a last input is 1 for these. Without it all inputs are 0 for a gap.
        gaps: bool,
        /// Texts that were too rare, if there were any: an input after those of the texts is 1 for them and for any other text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pooled: Option<PooledTexts>,
    },
    /// A row of an embedding's table: row 0 for gaps and texts that training did not have, then one for each text.
    Embedding {
        /// The texts.
        values: Vec<String>,
        /// Columns of the table.
        dimension: usize,
        /// True if training had gaps, by which row 0 is trained; without gaps and rare texts it holds zeros.
        gaps: bool,
        /// Texts that were too rare, if there were any: they share row 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pooled: Option<PooledTexts>,
    },
    /// Parts of a date, and the days since 1970-01-01 with their fraction.
    Date {
        /// Format of the cells, if it is not ISO 8601.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<String>,
        /// True if cells tell the time of day: then hour and minute are inputs too.
        timed: bool,
        /// True if training had gaps: a last input is 1 for these and else 0. The mean of the training rows stands in for the others.
        gaps: bool,
        /// Places of the parts (year, month, day, weekday, day of year, hour, minute, days) that are no inputs: those that were the same in
        /// all training rows, and those that were not asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        constant: Vec<usize>,
    },
}

/// Texts of a column that share one place, since too few training rows have each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PooledTexts {
    /// Number of these texts.
    pub texts: usize,
    /// Number of training rows that have one of them.
    pub rows: usize,
    /// Number of training rows that a text needs for a place of its own.
    pub least: usize,
}

impl ColumnEncoding {
    /// Texts that share one place; `None` if training had none.
    pub fn pooled(&self) -> Option<&PooledTexts> {
        match self {
            Self::OneHot { pooled, .. } | Self::Embedding { pooled, .. } => pooled.as_ref(),
            Self::Number { .. } | Self::Binary { .. } | Self::Date { .. } => None,
        }
    }

    /// Returns true for the index of a text that training did not have. Among rare texts it is one of many.
    pub(super) fn is_unknown(&self, cell: f64) -> bool {
        self.is_category() && self.pooled().is_none() && cell >= self.values().len() as f64
    }

    /// Texts that the column had in training; empty for numbers and dates.
    pub fn values(&self) -> &[String] {
        match self {
            Self::Number { .. } | Self::Date { .. } => &[],
            Self::Binary { values } => values,
            Self::OneHot { values, .. } | Self::Embedding { values, .. } => values,
        }
    }

    /// Returns true if the training rows had gaps in the column.
    pub fn had_gaps(&self) -> bool {
        match self {
            Self::Number { fill } => fill.is_some(),
            Self::Binary { .. } => false,
            Self::OneHot { gaps, .. } | Self::Embedding { gaps, .. } | Self::Date { gaps, .. } => {
                *gaps
            }
        }
    }

    /// Returns true for texts.
    pub fn is_category(&self) -> bool {
        !matches!(self, Self::Number { .. } | Self::Date { .. })
    }
}

impl Column {
    /// A column of numbers that has no gaps in training.
    pub fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), encoding: ColumnEncoding::Number { fill: None } }
    }

    /// Returns the names of the column's inputs.
    pub fn inputs(&self) -> Vec<String> {
        let name = &self.name;
        let missing = |gaps: bool| gaps.then(|| format!("{name} is missing"));
        match &self.encoding {
            ColumnEncoding::Number { fill } => {
                std::iter::once(name.clone()).chain(missing(fill.is_some())).collect()
            }
            ColumnEncoding::Binary { values } => vec![format!("{name}={}", values[1])],
            ColumnEncoding::OneHot { values, gaps, pooled } => {
                let values = values.iter().map(|value| format!("{name}={value}"));
                let rare = pooled.as_ref().map(|_| format!("{name} is rare"));
                values.chain(rare).chain(missing(*gaps)).collect()
            }
            ColumnEncoding::Embedding { .. } => vec![name.clone()],
            ColumnEncoding::Date { timed, gaps, constant, .. } => {
                let parts = date_places(*timed, constant);
                let parts = parts.map(|at| format!("{name} {}", date::PARTS[at]));
                parts.chain(missing(*gaps)).collect()
            }
        }
    }

    /// Returns the number of the column's inputs.
    pub fn width(&self) -> usize {
        match &self.encoding {
            ColumnEncoding::Number { fill } => 1 + usize::from(fill.is_some()),
            ColumnEncoding::Binary { .. } | ColumnEncoding::Embedding { .. } => 1,
            ColumnEncoding::OneHot { values, gaps, pooled } => {
                values.len() + usize::from(pooled.is_some()) + usize::from(*gaps)
            }
            ColumnEncoding::Date { timed, gaps, constant, .. } => {
                date_places(*timed, constant).count() + usize::from(*gaps)
            }
        }
    }

    /// Tells which of the column's inputs are numbers to scale; the others stay as they are.
    fn scaled(&self) -> Vec<bool> {
        let inputs = self.width();
        let numbers = match &self.encoding {
            ColumnEncoding::Number { .. } => 1,
            ColumnEncoding::Date { gaps, .. } => inputs - usize::from(*gaps),
            _ => 0,
        };
        (0..inputs).map(|input| input < numbers).collect()
    }

    /// Gives the inputs of a cell to `put`: a number, the days of a date, the index of a text (any larger one for other texts), or NaN for
    /// a gap. An input that is NaN has the mean of the training rows.
    fn encode(&self, cell: f64, put: &mut impl FnMut(f64)) {
        let gap = cell.is_nan();
        match &self.encoding {
            ColumnEncoding::Number { fill: None } => put(cell),
            ColumnEncoding::Number { fill: Some(fill) } => {
                put(if gap { *fill } else { cell });
                put(f64::from(gap));
            }
            // NaN and indices beyond the texts are neither 0 nor 1.
            ColumnEncoding::Binary { .. } => {
                put(if cell == 0.0 || cell == 1.0 { cell } else { 0.5 })
            }
            ColumnEncoding::OneHot { values, gaps, pooled } => {
                (0..values.len()).for_each(|value| put(f64::from(cell == value as f64)));
                if pooled.is_some() {
                    put(f64::from(cell >= values.len() as f64));
                }
                if *gaps {
                    put(f64::from(gap));
                }
            }
            ColumnEncoding::Embedding { values, .. } => {
                put(if cell < values.len() as f64 { cell + 1.0 } else { 0.0 });
            }
            ColumnEncoding::Date { timed, gaps, constant, .. } => {
                let parts = if gap { [f64::NAN; 8] } else { date::parts(cell) };
                date_places(*timed, constant).for_each(|at| put(parts[at]));
                if *gaps {
                    put(f64::from(gap));
                }
            }
        }
    }
}

/// Gives the inputs of a row's cells to `put`.
pub(super) fn encode_row(
    columns: &[Column],
    row: impl Iterator<Item = f64>,
    mut put: impl FnMut(f64),
) {
    for (column, cell) in columns.iter().zip(row) {
        column.encode(cell, &mut put);
    }
}

/// Returns the names of all inputs. A name that a second input would have gets a number.
pub(super) fn input_names(columns: &[Column]) -> Vec<String> {
    let mut known = HashSet::new();
    let mut names = Vec::new();
    for wanted in columns.iter().flat_map(Column::inputs) {
        let mut name = wanted.clone();
        for number in 2_u64.. {
            if known.insert(name.clone()) {
                break;
            }
            name = format!("{wanted} ({number})");
        }
        names.push(name);
    }
    names
}

/// Returns the places of inputs that are indices of embeddings' rows.
pub(super) fn indices(columns: &[Column]) -> Vec<usize> {
    let index = |column: &Column| matches!(column.encoding, ColumnEncoding::Embedding { .. });
    let each = columns.iter().flat_map(|it| std::iter::repeat_n(index(it), it.width()));
    each.enumerate().filter(|(_, index)| *index).map(|(input, _)| input).collect()
}

/// Returns the places of inputs that are no numbers to scale.
pub(super) fn unscaled(columns: &[Column]) -> Vec<usize> {
    let scaled = columns.iter().flat_map(Column::scaled);
    scaled.enumerate().filter(|(_, scaled)| !scaled).map(|(input, _)| input).collect()
}

/// Returns the place of each embedded column's input, with rows and columns of its table.
pub(super) fn embedded(columns: &[Column]) -> Vec<(usize, usize, usize)> {
    let mut place = 0;
    let mut tables = Vec::new();
    for column in columns {
        if let ColumnEncoding::Embedding { values, dimension, .. } = &column.encoding {
            tables.push((place, values.len() + 1, *dimension));
        }
        place += column.width();
    }
    tables
}

impl Column {
    /// Returns the place among the column's inputs of the number that orders its cells: the number itself, the days of a date, or
    /// the last of its parts; `None` for texts, and for a date of which no part is an input.
    pub(crate) fn ordering_input(&self) -> Option<usize> {
        match &self.encoding {
            ColumnEncoding::Number { .. } => Some(0),
            ColumnEncoding::Date { gaps, .. } => self.width().checked_sub(1 + usize::from(*gaps)),
            _ => None,
        }
    }
}

/// Returns the places of the parts of a date that are inputs, without those that are left out.
pub(crate) fn date_places(timed: bool, left_out: &[usize]) -> impl Iterator<Item = usize> {
    let is_of_time = |at: usize| DatePart::ALL[at].is_of_time();
    (0..date::PARTS.len()).filter(move |at| (timed || !is_of_time(*at)) && !left_out.contains(at))
}

/// Returns the texts of a category with their places, and behind them other spellings of yes and no: a program writes `True`, the next one
/// `true`. A category that has several spellings of one of the two gets none besides.
pub(crate) fn spelled_texts(values: &[String]) -> Vec<(&str, usize)> {
    let mut texts: Vec<(&str, usize)> = values.iter().map(String::as_str).zip(0..).collect();
    for (place, value) in values.iter().enumerate() {
        let spellings = cell::spellings(value);
        let is_one = |it: &&String| spellings.contains(&it.as_str());
        if !spellings.is_empty() && values.iter().filter(is_one).count() == 1 {
            texts.extend(spellings.iter().filter(|&it| it != value).map(|&it| (it, place)));
        }
    }
    texts
}

/// Returns the place of each text of a category, in all spellings of [`spelled_texts`].
pub(super) fn places_of_texts(values: &[String]) -> HashMap<&str, usize> {
    spelled_texts(values).into_iter().collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "indices are whole and small"
)]
pub(super) fn index(cell: f64) -> usize {
    cell as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_as_many_inputs_as_names() {
        let values = || vec!["a".to_string(), "b".to_string(), "c".to_string()];
        let pooled = || Some(PooledTexts { texts: 2, rows: 3, least: 4 });
        let mut encodings = vec![
            ColumnEncoding::Number { fill: None },
            ColumnEncoding::Number { fill: Some(2.5) },
            ColumnEncoding::Binary { values: ["a".into(), "b".into()] },
        ];
        for gaps in [false, true] {
            for pooled in [None, pooled()] {
                let (values, pooled) = (values(), pooled);
                encodings.push(ColumnEncoding::OneHot {
                    values: values.clone(),
                    gaps,
                    pooled: pooled.clone(),
                });
                encodings.push(ColumnEncoding::Embedding { values, dimension: 2, gaps, pooled });
            }
            for (timed, constant) in
                [(false, vec![]), (true, vec![0, 6]), (false, vec![1, 4]), (false, vec![0, 2, 7])]
            {
                encodings.push(ColumnEncoding::Date { format: None, timed, gaps, constant });
            }
        }
        for encoding in encodings {
            let column = Column { name: "c".into(), encoding };
            assert_eq!(column.width(), column.inputs().len(), "{column:?}");
        }
    }
}
