//! Reads CSV tables: whole, as a [`Dataset`], or in chunks.
//!
//! In: a file or a stream in UTF-8, of a form that `dialect.rs` finds. Out: finite features, and targets by `target.rs`.
//! Absent on purpose: encoding of text features, filling of missing values.

mod bytes;
mod chunks;
mod dialect;
mod marks;
mod row_keys;
mod rows;

use std::path::Path;
use std::sync::Arc;

pub(super) use self::bytes::MOST_CELLS;
pub use self::chunks::{FeatureReader, LabelledRows, PartReader, RowChunk};
pub use self::dialect::TableFormat;
pub use self::marks::DecimalMark;
use self::row_keys::RowKeys;
use self::rows::TableReader;
use super::header::list;
use super::numbers::NumberVec;
use super::open::is_array_file;
use super::split::SplitColumns;
use super::table::{Dataset, Schema, Target, TargetKind};
use super::target::{TargetCells, resolve_all};
use super::{cell, header};
use crate::error::{Error, Result};

/// Columns of a table with a purpose beside the target, and the form of its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Column of row weights, 0 or more. Rows of weight 0 are left out.
    pub weight: Option<String>,
    /// Column that names each row's group, all of whose rows are in one part of a split. It is no feature.
    pub group: Option<String>,
    /// Column that says to which part of a split each row belongs: `train`, `valid` or `test`. It is no feature.
    pub split_column: Option<String>,
    /// Form of the table's text, where it is not to be found from the first rows.
    pub format: TableFormat,
}

/// A table, and what was read of it beside features and targets.
#[derive(Clone, Debug)]
pub struct LoadedTable {
    /// Features and targets.
    pub data: Dataset,
    /// Values of [`TableOptions::group`] and [`TableOptions::split_column`] for each row.
    pub columns: SplitColumns,
    /// Remarks on the form of the text, such as `a semicolon between cells`; none if the form is the usual one.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Reads a table: all columns but the target's are features.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or its content is not valid; the message names line and column.
    pub fn from_csv(path: impl AsRef<Path>, target: Target) -> Result<Self> {
        Ok(Self::load(path, &target, &TableOptions::default())?.data)
    }

    /// Does the same as [`Self::from_csv`], with a column of row weights, which is not a feature. Rows of weight 0 are left
    /// out, whatever their other cells hold.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv`], and for weights that [`Self::with_weights`] refuses.
    pub fn from_csv_weighted(path: impl AsRef<Path>, target: Target, weight: &str) -> Result<Self> {
        let options = TableOptions { weight: Some(weight.into()), ..TableOptions::default() };
        Ok(Self::load(path, &target, &options)?.data)
    }

    /// Reads a whole table with columns of row weights, groups and parts, where the options name them. These are no features.
    ///
    /// ```no_run
    /// use wgrad::data::{TableFormat, TableOptions};
    /// use wgrad::{Dataset, Target};
    ///
    /// let format = TableFormat { delimiter: Some(';'), ..TableFormat::default() };
    /// let options = TableOptions { group: Some("patient".into()), format, ..TableOptions::default() };
    /// let table = Dataset::load("visits.csv", &Target::class("ill"), &options)?;
    /// let split = table.data.split_by_group(0.2, &table.columns, wgrad::Seed(1))?;
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv_weighted`], and for columns that are missing.
    pub fn load(
        path: impl AsRef<Path>,
        target: &Target,
        options: &TableOptions,
    ) -> Result<LoadedTable> {
        let weight = options.weight.as_deref();
        let mut format = options.format.clone();
        // The target of an array may be a file of its own.
        let mut target = target.clone();
        if is_array_file(path.as_ref()) && Path::new(target.column()).is_file() {
            format.target_file = Some(target.column().into());
        }
        if format.target_file.is_some() {
            target.rename("y");
        }
        let target = &target;
        let wanted = |names: &[&str]| header::has_targets(names, target.column());
        let mut table = TableReader::open(path.as_ref(), &format, wanted)?;
        let names = header::names(&table.header);
        let places = header::find_targets(&names, target.column(), &table.source)
            .map_err(|error| table.explain(error))?;
        let weight_place = weight
            .map(|name| header::find_target(&names, name, &table.source))
            .transpose()
            .map_err(|error| table.explain(error))?;
        if let Some(name) = weight.filter(|_| weight_place.is_some_and(|it| places.contains(&it))) {
            let problem = format!("column {} cannot be both target and weight", cell::shown(name));
            return Err(Error::table(&table.source, problem));
        }
        let taken: Vec<usize> = places.iter().copied().chain(weight_place).collect();
        let mut keys = RowKeys::find(
            &table,
            (options.group.as_deref(), options.split_column.as_deref()),
            &taken,
        )?;
        // Every other column is a feature, in the order of the file.
        let other = |place: &usize| !taken.contains(place) && !keys.has(*place);
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

        // Between commas, texts with commas in them are classes, unless someone says that they are numbers.
        let numbers = table.dialect().delimiter != b','
            || options.format.decimal.is_some()
            || matches!(target, Target::Number(_));
        table.read_numbers_in(|column| !keys.has(column) && (numbers || !places.contains(&column)));

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
            keys.push(&table)?;
            // In the order of the columns, so that the first of several bad cells is reported.
            let mut bad = None;
            for (column, text) in table.record.iter().enumerate() {
                inexact[column] |= cell::loses_digits(text);
                // The last cell decides if a target is classes or numbers, so cells are collected.
                if let Some(target) = places.iter().position(|&place| place == column) {
                    cells[target]
                        .push(text.trim(), table.line)
                        .map_err(|problem| table.refuse_column(column, problem))?;
                } else if weight_place != Some(column) && !keys.has(column) {
                    match cell::feature(text) {
                        Ok(value) => x.push(value),
                        Err(problem) => {
                            bad = Some((column, problem));
                            break;
                        }
                    }
                }
            }
            if let Some((column, problem)) = bad {
                return Err(table.refuse_all(column, problem, &picks));
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
        let counts =
            |column: &usize| weight_place != Some(*column) && !keys.has(*column) && told(column);
        let header = table.header.iter().map(str::trim).enumerate();
        let inexact =
            header.filter(|(it, _)| counts(it)).map(|(_, name)| name.to_owned()).collect();
        let table_notes = table.dialect().notes.clone();
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
        let RowKeys { groups, parts, .. } = keys;
        let columns = SplitColumns {
            groups: options.group.is_some().then_some(groups),
            parts: options.split_column.is_some().then_some(parts),
        };
        // Last, since weights need the finished rows.
        let data = if weight.is_some() { data.with_weights(weights)? } else { data };
        Ok(LoadedTable { data, columns, notes: table_notes })
    }

    /// Reads a table with the columns of another one, in any order; further columns are ignored. If the other table had
    /// weights and this one has none, all rows weigh the same.
    ///
    /// # Errors
    ///
    /// As for [`Dataset::from_csv`], and for missing columns and classes that `schema` does not have.
    pub fn from_csv_like(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        Self::load_like(path, schema, &TableFormat::default()).map(|(data, _)| data)
    }

    /// Does the same as [`Self::from_csv_like`] for a text of a stated form. Returns remarks on the form, too.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv_like`].
    pub fn load_like(
        path: impl AsRef<Path>,
        schema: &Schema,
        format: &TableFormat,
    ) -> Result<(Self, Vec<String>)> {
        let mut reader = PartReader::open_as(path, schema, format)?;
        let mut part = reader.empty();
        let mut x = NumberVec::default();
        // Features move to the compact storage row by row, so that the table is never held twice.
        while reader.row(&mut part)? {
            reader.table.check_count()?;
            part.x.drain(..).for_each(|value| x.push(value));
        }
        let LabelledRows { y, weights, .. } = part;
        let notes = reader.notes().to_vec();
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
        let data = match weights {
            Some(weights) => data.with_weights(weights)?,
            None => data,
        };
        Ok((data, notes))
    }
}

/// Returns the names of a table's columns, without the spaces around them.
///
/// # Errors
///
/// When the file cannot be read or is empty.
pub fn column_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let table = TableReader::open(path.as_ref(), &TableFormat::default(), |_| false)?;
    Ok(table.header.iter().map(|name| name.trim().to_owned()).collect())
}

#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod tests;
