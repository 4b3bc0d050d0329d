//! The columns of a table and what is predicted from them, which outlive the table.
//!
//! In: names and kinds of columns. Out: [`Schema`], which a model keeps; [`Target`], by which the user asks.
//! Absent on purpose: rows.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::column::Column;
use super::csv::marks::DecimalMark;

/// Kind of target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// One of these labels; their order is that of the network's outputs.
    Classes(Vec<String>),
    /// A number.
    #[default]
    Number,
    /// A number in each of these columns.
    Numbers(Vec<String>),
    /// Yes or no in each of these columns: 1 or 0.
    Labels(Vec<BinaryColumn>),
}

/// A column of yes or no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryColumn {
    /// Name of the column.
    pub column: String,
    /// Texts that represent 0 and 1.
    pub values: [String; 2],
}

/// The columns of a table and what is predicted from them. It outlives the table: a model keeps
/// it, so that later tables can be read the same way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Names of the network's inputs, in their order: those of the feature columns, if every column is numbers without gaps.
    pub features: Vec<String>,
    /// Name of the target column; of several, their names between commas.
    pub target: String,
    /// How the target is read.
    pub kind: TargetKind,
    /// Name of the column of row weights, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The feature columns and how they become inputs; empty if every column is numbers without gaps, which are inputs as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    /// Texts that mark a gap, besides the empty one, if they are not those of pandas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    /// Sign before decimals, if it was stated: tables to predict are read so, too, unless another one is stated for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<DecimalMark>,
    /// True if decimals had a comma in the table that the model was trained with, so that 1.234 alone is not taken for 1 and a part in
    /// tables to predict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_decimal_comma: bool,
    /// Columns that are no features, since another one says the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<DuplicateColumn>,
}

impl Schema {
    /// Returns the names of the target's columns.
    pub fn targets(&self) -> Vec<&str> {
        match &self.kind {
            TargetKind::Classes(_) | TargetKind::Number => vec![&self.target],
            TargetKind::Numbers(columns) => columns.iter().map(String::as_str).collect(),
            TargetKind::Labels(labels) => {
                labels.iter().map(|label| label.column.as_str()).collect()
            }
        }
    }

    /// Returns the inputs that each feature column becomes, in the order of [`Self::all_columns`].
    pub(crate) fn inputs_of_columns(&self) -> Vec<Range<usize>> {
        let mut first = 0;
        let inputs = |column: &Column| {
            first += column.width();
            first - column.width()..first
        };
        self.all_columns().iter().map(inputs).collect()
    }

    /// Returns true if rows of a table, read as each of two schemas says, are the same inputs and targets.
    pub fn reads_like(&self, other: &Self) -> bool {
        self.features == other.features
            && self.kind == other.kind
            && self.columns == other.columns
            && self.missing == other.missing
            && self.decimal == other.decimal
    }

    /// Returns true if both say the same of a table, whatever mark its decimals have.
    pub(crate) fn is_but_for_marks(&self, other: &Self) -> bool {
        let (decimal, has_decimal_comma) = (other.decimal, other.has_decimal_comma);
        Self { decimal, has_decimal_comma, ..self.clone() } == *other
    }

    /// Returns the number of targets of a row: classes, or columns.
    pub fn outputs(&self) -> usize {
        match &self.kind {
            TargetKind::Classes(labels) => labels.len(),
            TargetKind::Number => 1,
            TargetKind::Numbers(columns) => columns.len(),
            TargetKind::Labels(labels) => labels.len(),
        }
    }
}

/// A target column and how to read it. A name that no column has may be several names with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Classes for text and for few distinct whole numbers, otherwise a number; numbers for several columns.
    Auto(String),
    /// Every distinct value is a class.
    Class(String),
    /// Every cell must be a number.
    Number(String),
    /// Every column holds two distinct values, or 0 and 1.
    Labels(String),
}

impl Target {
    /// Classes for text and for few distinct whole numbers, otherwise a number; numbers for several columns.
    pub fn auto(column: impl Into<String>) -> Self {
        Self::Auto(column.into())
    }

    /// A class for every distinct value.
    pub fn class(column: impl Into<String>) -> Self {
        Self::Class(column.into())
    }

    /// A number in every cell.
    pub fn number(column: impl Into<String>) -> Self {
        Self::Number(column.into())
    }

    /// Two distinct values in every column, or 0 and 1.
    pub fn labels(column: impl Into<String>) -> Self {
        Self::Labels(column.into())
    }

    /// Gives the column another name.
    pub(super) fn rename(&mut self, column: &str) {
        let (Self::Auto(name) | Self::Class(name) | Self::Number(name) | Self::Labels(name)) = self;
        *name = column.to_string();
    }

    /// Returns the column's name, or the names with commas between them.
    pub fn column(&self) -> &str {
        match self {
            Self::Auto(name) | Self::Class(name) | Self::Number(name) | Self::Labels(name) => name,
        }
    }
}

/// A feature column that was left out, since another one has the same values in all training rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateColumn {
    /// Name of the column.
    pub column: String,
    /// Name of the column that has its values, and is a feature.
    pub same_as: String,
}
