//! Reads CSV tables: whole, as a [`Dataset`], or in chunks.
//!
//! In: a file or a stream in UTF-8, of a form that `dialect.rs` finds. Out: features of kinds by `kinds.rs`, and targets by `target.rs`.
//! Absent on purpose: what texts and gaps become, which `encode.rs` knows.

mod blocks;
mod byte_source;
pub(super) mod bytes;
mod chunks;
#[cfg(feature = "parquet")]
mod column_rows;
pub(super) mod dialect;
mod layout;
mod loaded;
pub(super) mod marks;
mod passes;
mod row_block;
mod row_keys;
mod rows;

use std::path::Path;
use std::sync::Arc;

pub use self::chunks::{FeatureReader, LabelledRows, PartReader, RowChunk};
pub use self::dialect::TableFormat;
use self::layout::Layout;
pub use self::loaded::LoadedTable;
use self::loaded::told_rows;
pub use self::marks::DecimalMark;
use self::passes::FirstPass;
pub(super) use self::rows::TableReader;
use super::column_cells::ColumnCells;
use super::number_builder::NumberBuilder;
use super::open::{is_array_file, is_lasting};
use super::row_cells::OddCell;
use super::schema::{Schema, Target};
use super::split::SplitColumns;
use super::stored_numbers::table_memory;
use super::table::Dataset;
use super::table_cache::CacheEntry;
use super::table_options::TableOptions;
use super::{cell, header};
use crate::error::{Error, Result};
use crate::shape::narrow;

impl Dataset {
    /// Reads a table: all columns but the target's are features. Numbers, texts and dates are told apart by all cells of a column, and
    /// may have gaps; [`Self::split`] turns them into inputs of a network.
    ///
    /// ```
    /// use wgrad::prelude::*;
    ///
    /// # let folder = std::env::temp_dir().join(format!("wgrad-from-csv-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("flats.csv");
    /// std::fs::write(&path, "area,balcony,rent\n70,yes,900\n55,no,700\n,no,650\n61,yes,800\n")?;
    /// let table = Dataset::from_csv(&path, Target::number("rent"))?;
    /// assert_eq!((table.rows(), table.schema().target.as_str()), (4, "rent"));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Reads a whole table, of standard input for `-`, with columns of row weights, groups and parts, where the options name them. These are no features.
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
        if Path::new(target.column()).is_file() && is_array_file(path) {
            options.format.target_file = Some(target.column().into());
        }
        if options.format.target_file.is_some() {
            target.rename("y");
        }
        let Some(mut cache) = CacheEntry::new(path, &target, &options) else {
            return Self::read_whole(path, &target, &options);
        };
        match cache.load() {
            Some(table) => Ok(table),
            None => Self::read_whole(path, &target, &options).map(|table| cache.keep(table)),
        }
    }

    /// Reads the cells of a whole table.
    fn read_whole(path: &Path, target: &Target, options: &TableOptions) -> Result<LoadedTable> {
        let (layout, mut table) = Layout::of(path, target, options)?;
        let mut pass = FirstPass::new(&table, &layout, options, target);
        if !pass.read(&mut table, &layout, &options.progress)? {
            // Rare: a text that came late decides that very many numbers are none.
            if !is_lasting(path) {
                let problem = format!(
                    "column {}: more than 4,096 different numbers, and texts as well; give ‘task’ regress or classify, or a file, which \
                     can be read twice",
                    cell::shown(target.column())
                );
                return Err(Error::table(&table.source, problem));
            }
            (_, table) = Layout::of(path, target, options)?;
            pass = FirstPass::new(&table, &layout, options, target);
            pass.keep_target_texts();
            pass.read(&mut table, &layout, &options.progress)?;
        }
        // Checked here, since without any row the later checks would complain about something else.
        if pass.is_empty() {
            return Err(Error::table(
                &table.source,
                "all weights are 0, so that no row would count; name another column in ‘weight’, or leave it out",
            ));
        }
        let mut notes = Vec::new();
        let (kept, columns) = pass.columns(&table, &layout, options, &mut notes)?;
        let x = pass.features(path, &layout, &kept, columns)?;
        pass.dataset((x, kept), &layout, (target, options), (table, notes))
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
        Self::load_like_kept(path.as_ref(), schema, format, (host_memory, None))
    }

    /// Does the same as [`Self::load_like`]; a table that is larger than memory is kept in a folder as numbers, as by [`Self::load`].
    pub(crate) fn load_like_kept(
        path: &Path,
        schema: &Schema,
        format: &TableFormat,
        (host_memory, cache): (Option<u64>, Option<&Path>),
    ) -> Result<(Self, Vec<String>)> {
        let memory = table_memory(host_memory);
        let mut entry =
            cache.and_then(|folder| CacheEntry::like(path, (schema, format), (folder, memory)));
        if let Some(table) = entry.as_mut().and_then(CacheEntry::load) {
            return Ok((table.data, table.notes));
        }
        let (data, notes) = Self::read_like(path, schema, format, memory)?;
        let table = LoadedTable { data, columns: SplitColumns::default(), notes };
        let table = match entry {
            Some(entry) => entry.keep(table),
            None => table,
        };
        Ok((table.data, table.notes))
    }

    /// Reads a table as one of this schema, whose features may take `memory` in memory.
    fn read_like(
        path: &Path,
        schema: &Schema,
        format: &TableFormat,
        memory: Option<u64>,
    ) -> Result<(Self, Vec<String>)> {
        let mut reader = PartReader::open_as(path, schema, format)?;
        let mut part = reader.empty();
        let mut x = NumberBuilder::within(memory);
        let (mut odd, mut skipped) = (Vec::new(), Vec::new());
        // Features move to the compact storage row by row, so that the table is never held twice.
        while reader.row(&mut part)? {
            reader.table.check_count()?;
            // Rows that the reader passed over stand before this one.
            let place = part.y.len() - 1 + reader.left_out() + reader.without_target();
            let first = part.y.len() - 1 + skipped.len();
            skipped.extend((first..place).map(narrow));
            part.x.drain(..).for_each(|value| x.push(value));
            odd.extend(part.odd.drain(..).map(|cell| OddCell { row: part.y.len() - 1, ..cell }));
        }
        if part.y.is_empty() && reader.without_target() > 0 {
            return Err(Error::table(
                &reader.table.source,
                "no row has a value of the target; fill some in, or use the table to predict only",
            ));
        }
        let told = told_rows(reader.without_target(), &schema.target);
        let LabelledRows { y, weights, .. } = part;
        let notes = reader.notes().to_vec();
        let data = Self {
            schema: schema.clone(),
            x: Arc::new(x.finish()?),
            memory,
            y: Arc::new(y),
            weights: None,
            left_out: reader.left_out(),
            skipped: Arc::new(skipped),
            places: None,
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

/// Columns of a table with all of their cells.
pub(super) struct AllCells {
    pub(super) names: Vec<String>,
    pub(super) columns: Vec<ColumnCells>,
    pub(super) rows: usize,
    /// Remarks on the form of the table.
    pub(super) notes: Vec<String>,
}

/// Reads all cells of a table; `check` sees the names of its columns and of the table first.
pub(super) fn all_cells(
    path: &Path,
    options: &TableOptions,
    check: impl FnOnce(&[&str], &str) -> Result<()>,
) -> Result<AllCells> {
    let mut table = TableReader::open(path, &options.format, |_| false)?;
    let layout = Layout::of_all(&table, options);
    let names: Vec<&str> = layout.names.iter().map(String::as_str).collect();
    check(&names, &table.source).map_err(|error| table.explain(error))?;
    let texts = layout.texts(options);
    table.read_numbers_in(|column| !texts.contains(&column));
    let mut pass = FirstPass::counting(&table, &layout, options);
    pass.read(&mut table, &layout, &options.progress)?;
    let (columns, rows) = pass.into_columns();
    let notes = table.dialect().notes.clone();
    Ok(AllCells { names: layout.names, columns, rows, notes })
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
mod block_tests;
#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod tests;
