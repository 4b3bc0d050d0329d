//! Reads CSV tables: whole, as a [`Dataset`], or in chunks.
//!
//! In: a file or a stream in UTF-8, of a form that `dialect.rs` finds. Out: features of kinds by `kinds.rs`, and targets by `target.rs`.
//! Absent on purpose: what texts and gaps become, which `encode.rs` knows.

mod blocks;
mod bytes;
mod chunks;
mod dialect;
mod marks;
mod passes;
mod row_block;
mod row_keys;
mod rows;

use std::path::Path;
use std::sync::Arc;

pub(super) use self::bytes::MOST_CELLS;
pub use self::chunks::{FeatureReader, LabelledRows, PartReader, RowChunk};
pub use self::dialect::TableFormat;
pub use self::marks::DecimalMark;
use self::passes::{FirstPass, Layout};
pub(super) use self::rows::TableReader;
use super::column_cells::ColumnCells;
use super::number_builder::NumberBuilder;
use super::open::is_array_file;
use super::row_cells::OddCell;
use super::split::SplitColumns;
use super::stored_numbers::table_memory;
use super::table::{Dataset, Schema, Target};
use super::table_options::{ColumnRule, TableOptions};
use super::{cell, header};
use crate::error::{Error, Result};

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
    /// Reads a table: all columns but the target's are features. Numbers, texts and dates are told apart by all cells of a column, and
    /// may have gaps; [`Self::split`] turns them into inputs of a network.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or its content is not valid; the message names line and column.
    pub fn from_csv(path: impl AsRef<Path>, target: Target) -> Result<Self> {
        Self::from_csv_with(path, target, &TableOptions::default())
    }

    /// Does the same as [`Self::from_csv`], with a column of row weights, which is not a feature. Rows of weight 0 are left
    /// out, whatever their other cells hold.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv`], and for weights that [`Self::with_weights`] refuses.
    pub fn from_csv_weighted(path: impl AsRef<Path>, target: Target, weight: &str) -> Result<Self> {
        let options = TableOptions { weight: Some(weight.to_owned()), ..TableOptions::default() };
        Self::from_csv_with(path, target, &options)
    }

    /// Does the same as [`Self::from_csv`], as the options say.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv_weighted`], and for columns that are not there or hold something else than is asked.
    pub fn from_csv_with(
        path: impl AsRef<Path>,
        target: Target,
        options: &TableOptions,
    ) -> Result<Self> {
        Ok(Self::load(path, &target, options)?.data)
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
    /// As for [`Self::from_csv_with`].
    pub fn load(
        path: impl AsRef<Path>,
        target: &Target,
        options: &TableOptions,
    ) -> Result<LoadedTable> {
        let path = path.as_ref();
        let mut options = options.clone();
        // The target of an array may be a file of its own.
        let mut target = target.clone();
        if is_array_file(path) && Path::new(target.column()).is_file() {
            options.format.target_file = Some(target.column().into());
        }
        if options.format.target_file.is_some() {
            target.rename("y");
        }
        let (layout, mut table) = Layout::of(path, &target, &options)?;
        let mut pass = FirstPass::new(&table, &layout, &options, &target);
        if !pass.read(&mut table, &layout)? {
            // Rare: a text that came late decides that very many numbers are none.
            (_, table) = Layout::of(path, &target, &options)?;
            pass = FirstPass::new(&table, &layout, &options, &target);
            pass.keep_target_texts();
            pass.read(&mut table, &layout)?;
        }
        // Checked here, since without any row the later checks would complain about something else.
        if pass.is_empty() {
            return Err(Error::table(&table.source, "all weights are 0; no row would count"));
        }
        let mut notes = Vec::new();
        let (kept, columns) = pass.columns(&table, &layout, &options, &mut notes)?;
        let x = pass.features(path, &layout, &kept, columns)?;
        pass.dataset((x, kept), &layout, (&target, &options), (table, notes))
    }

    /// Reads a table with the columns of another one, in any order; further columns are ignored. If the other table had
    /// weights and this one has none, all rows weigh the same.
    ///
    /// # Errors
    ///
    /// As for [`Dataset::from_csv`], and for missing columns and classes that `schema` does not have.
    pub fn from_csv_like(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        Self::load_like(path, schema, &TableFormat::default(), None).map(|(data, _)| data)
    }

    /// Does the same as [`Self::from_csv_like`] for a text of a stated form; `host_memory` is as in [`TableOptions`]. Returns remarks on
    /// the form, too.
    ///
    /// # Errors
    ///
    /// As for [`Self::from_csv_like`].
    pub fn load_like(
        path: impl AsRef<Path>,
        schema: &Schema,
        format: &TableFormat,
        host_memory: Option<u64>,
    ) -> Result<(Self, Vec<String>)> {
        let mut reader = PartReader::open_as(path, schema, format)?;
        let memory = table_memory(host_memory);
        let mut part = reader.empty();
        let mut x = NumberBuilder::within(memory);
        let mut odd = Vec::new();
        // Features move to the compact storage row by row, so that the table is never held twice.
        while reader.row(&mut part)? {
            reader.table.check_count()?;
            part.x.drain(..).for_each(|value| x.push(value));
            odd.extend(part.odd.drain(..).map(|cell| OddCell { row: part.y.len() - 1, ..cell }));
        }
        if part.y.is_empty() && reader.without_target() > 0 {
            return Err(Error::table(&reader.table.source, "no row has a target"));
        }
        let told = told_rows(reader.without_target(), &schema.target);
        let LabelledRows { y, weights, .. } = part;
        let notes = reader.notes().to_vec();
        let data = Self {
            schema: schema.clone(),
            x: Arc::new(x.finish()?),
            memory,
            y,
            weights: None,
            left_out: reader.left_out(),
            inexact: Vec::new(),
            source: reader.table.source,
            class_lines: Vec::new(),
            raw: None,
            odd: Arc::new(odd),
            notes: Arc::new(told.into_iter().collect()),
        };
        let data = match weights {
            Some(weights) => data.with_weights(weights)?,
            None => data,
        };
        Ok((data, notes))
    }
}

/// Returns the names of a table's columns, all of their cells, and the number of rows; `check` sees the names first.
pub(super) fn column_cells(
    path: &Path,
    options: &TableOptions,
    check: impl FnOnce(&[&str]) -> Result<()>,
) -> Result<(Vec<String>, Vec<ColumnCells>, usize)> {
    let mut table = TableReader::open(path, &options.format, |_| false)?;
    let layout = Layout::of_all(&table, &options.format);
    let names: Vec<&str> = layout.names.iter().map(String::as_str).collect();
    check(&names)?;
    table.read_numbers_in(|column| {
        let rule = names.get(column).and_then(|name| options.rule(name));
        rule.is_none_or(|rule| *rule == ColumnRule::Number)
    });
    let mut pass = FirstPass::counting(&table, &layout, options);
    pass.read(&mut table, &layout)?;
    let (columns, rows) = pass.into_columns();
    Ok((layout.names, columns, rows))
}

/// Says how many rows have no target and are left out, if there are any.
fn told_rows(rows: usize, target: &str) -> Option<String> {
    rows_left_out(rows, &format!("no value of the target {}", cell::shown(target)))
}

/// Says how many rows have something and so are left out, if there are any.
fn rows_left_out(rows: usize, something: &str) -> Option<String> {
    let rows = match rows {
        0 => return None,
        1 => "1 row has".to_string(),
        many => format!("{many} rows have"),
    };
    Some(format!("{rows} {something}: left out"))
}

/// Returns the names of a table's columns, without the spaces around them.
///
/// # Errors
///
/// When the file cannot be read or is empty.
pub fn column_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
    column_names_as(path, "", &TableFormat::default())
}

/// Returns the names of the columns of a table of a stated form with a target, without the spaces around them.
pub(crate) fn column_names_as(
    path: impl AsRef<Path>,
    target: &str,
    format: &TableFormat,
) -> Result<Vec<String>> {
    let wanted = |names: &[&str]| header::has_targets(names, target);
    let table = TableReader::open(path.as_ref(), format, wanted)?;
    Ok(table.header.iter().map(|name| name.trim().to_owned()).collect())
}

#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod tests;
