//! A table that was read, and what is told of rows that were left out.
//!
//! In: the data set, columns to split by, remarks. Out: one value of these.
//! Absent on purpose: reading.

use crate::data::cell;
use crate::data::split::SplitColumns;
use crate::data::table::Dataset;
#[cfg(doc)]
use crate::data::table_options::TableOptions;
use crate::shape::count;

/// A table, and what was read of it beside features and targets.
#[derive(Clone, Debug)]
pub struct LoadedTable {
    /// Features and targets.
    pub data: Dataset,
    /// Values of [`TableOptions::group`] and [`TableOptions::split_column`] for each row.
    pub columns: SplitColumns,
    /// Remarks on the form of the text, such as `a semicolon between cells`, and on its cache; none if the form is the usual one and there
    /// is no cache.
    pub notes: Vec<String>,
}

/// Says how many rows have no target and are left out, if there are any.
pub(super) fn told_rows(rows: usize, target: &str) -> Option<String> {
    rows_left_out(rows, &format!("no value of the target {}", cell::shown(target)))
}

/// Says how many rows have something and so are left out, if there are any.
pub(super) fn rows_left_out(rows: usize, something: &str) -> Option<String> {
    let rows = match rows {
        0 => return None,
        1 => "1 row has".to_string(),
        many => format!("{} rows have", count(many as u64)),
    };
    Some(format!("{rows} {something}: left out"))
}
