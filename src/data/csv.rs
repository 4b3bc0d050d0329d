//! Reads CSV tables: whole, as a [`Dataset`], or in chunks.
//!
//! In: a file or a stream with a header, commas and UTF-8. Out: finite features, and targets by `target.rs`.
//! Absent on purpose: encoding of text features, filling of missing values, other separators.

mod bytes;
mod chunks;
mod rows;

use std::path::Path;
use std::sync::Arc;

pub use self::chunks::{FeatureReader, LabelledRows, PartReader, RowChunk};
use self::rows::TableReader;
use super::numbers::NumberVec;
use super::table::{Dataset, Schema, Target, TargetKind};
use super::target::{TargetCells, resolve_all};
use super::{cell, header};
use crate::error::{Error, Result};

impl Dataset {
    /// Reads a table: all columns but the target's are features.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or its content is not valid; the message names line and column.
    pub fn from_csv(path: impl AsRef<Path>, target: Target) -> Result<Self> {
        Self::read_csv(path.as_ref(), &target, None)
    }

    /// Does the same as [`Self::from_csv`], with a column of row weights, which is not a feature. Rows of weight 0 are left
    /// out, whatever their other cells hold.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv`], and for weights that [`Self::with_weights`] refuses.
    pub fn from_csv_weighted(path: impl AsRef<Path>, target: Target, weight: &str) -> Result<Self> {
        Self::read_csv(path.as_ref(), &target, Some(weight))
    }

    /// Reads a whole table, with or without a column of weights.
    fn read_csv(path: &Path, target: &Target, weight: Option<&str>) -> Result<Self> {
        let mut table = TableReader::open(path)?;
        let names = header::names(&table.header);
        let places = header::find_targets(&names, target.column(), &table.source)?;
        let weight_place =
            weight.map(|name| header::find_target(&names, name, &table.source)).transpose()?;
        if let Some(name) = weight.filter(|_| weight_place.is_some_and(|it| places.contains(&it))) {
            let problem = format!("column {} cannot be both target and weight", cell::shown(name));
            return Err(Error::table(&table.source, problem));
        }
        // Every other column is a feature, in the order of the file.
        let other = |place: &usize| !places.contains(place) && weight_place != Some(*place);
        let picks: Vec<usize> = (0..names.len()).filter(other).collect();
        if picks.is_empty() {
            return Err(Error::table(
                // Copied, since reading on changes the table that the names are borrowed from.
                &table.source,
                "no column is left for features; at least one is needed",
            ));
        }
        let owned = |places: &[usize]| places.iter().map(|&it| names[it].to_owned()).collect();
        let (features, targets): (Vec<String>, Vec<String>) = (owned(&picks), owned(&places));

        let mut x = NumberVec::default();
        let (mut weights, mut left_out) = (Vec::new(), 0);
        // Noted while reading, since the digits are lost as soon as a cell is a number.
        let mut inexact = vec![false; table.header.len()];
        let mut cells: Vec<TargetCells> = places.iter().map(|_| TargetCells::default()).collect();
        while table.read()? {
            table.check_count()?;
            if let Some(place) = weight_place {
                let weight = table.weight(place)?;
                if weight == 0.0 {
                    left_out += 1;
                    continue;
                }
                weights.push(weight);
            }
            // In the order of the columns, so that the first of several bad cells is reported.
            for (column, text) in table.record.iter().enumerate() {
                inexact[column] |= cell::loses_digits(text);
                // The last cell decides if a target is classes or numbers, so cells are collected.
                if let Some(target) = places.iter().position(|&place| place == column) {
                    cells[target]
                        .push(text.trim(), table.line)
                        .map_err(|problem| table.refuse_column(column, problem))?;
                } else if weight_place != Some(column) {
                    x.push(
                        cell::feature(text)
                            .map_err(|problem| table.refuse_column(column, problem))?,
                    );
                }
            }
        }
        // Checked here, since without any row the later checks would complain about something else.
        if weight.is_some() && weights.is_empty() {
            return Err(Error::table(&table.source, "all weights are 0; no row would count"));
        }
        // A single target may be classes; several are numbers or labels, resolved together.
        let read = match (cells.len(), cells.pop()) {
            (1, Some(only)) => only.resolve(target, &table.source)?,
            (_, last) => {
                cells.extend(last);
                let names: Vec<&str> = targets.iter().map(String::as_str).collect();
                resolve_all(cells, &names, target, &table.source)?
            }
        };
        // Classes are texts, so they lose no digits.
        let numbers = matches!(read.kind, TargetKind::Number | TargetKind::Numbers(_));
        let told = |column: &usize| inexact[*column] && (numbers || !places.contains(column));
        let counts = |column: &usize| weight_place != Some(*column) && told(column);
        let header = table.header.iter().map(str::trim).enumerate();
        let inexact =
            header.filter(|(it, _)| counts(it)).map(|(_, name)| name.to_owned()).collect();
        let schema = Schema {
            features,
            target: targets.join(","),
            kind: read.kind,
            weight: weight.map(str::to_owned),
        };
        let data = Self {
            schema,
            x: Arc::new(x),
            y: read.y,
            weights: None,
            left_out,
            inexact,
            source: table.source,
            class_lines: read.class_lines,
        };
        // Last, since weights need the finished rows.
        if weight.is_some() { data.with_weights(weights) } else { Ok(data) }
    }

    /// Reads a table with the columns of another one, in any order; further columns are ignored. If the other table had
    /// weights and this one has none, all rows weigh the same.
    ///
    /// # Errors
    ///
    /// As for [`Dataset::from_csv`], and for missing columns and classes that `schema` does not have.
    pub fn from_csv_like(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        let mut reader = PartReader::open(path, schema)?;
        let mut part = reader.empty();
        let mut x = NumberVec::default();
        // Features move to the compact storage row by row, so that the table is never held twice.
        while reader.row(&mut part)? {
            reader.table.check_count()?;
            part.x.drain(..).for_each(|value| x.push(value));
        }
        let LabelledRows { y, weights, .. } = part;
        let data = Self {
            schema: schema.clone(),
            x: Arc::new(x),
            y,
            weights: None,
            left_out: reader.left_out(),
            inexact: Vec::new(),
            source: reader.table.source,
            class_lines: Vec::new(),
        };
        match weights {
            Some(weights) => data.with_weights(weights),
            None => Ok(data),
        }
    }
}

/// Returns the names of a table's columns, without the spaces around them.
///
/// # Errors
///
/// When the file cannot be read or is empty.
pub fn column_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let table = TableReader::open(path.as_ref())?;
    Ok(table.header.iter().map(|name| name.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests;
