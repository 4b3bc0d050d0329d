//! Columns that say to which part of a split a row belongs: its group, or the part itself.
//!
//! In: rows. Out: a number for each group, a part for each row.
//! Absent on purpose: the split, which `split.rs` makes.

use super::rows::TableReader;
use crate::data::split::{RowPart, SplitColumns};
use crate::data::text_table::TextTable;
use crate::data::{cell, header};
use crate::error::{Error, Result};

/// Returns a whole number without the decimals that some programs write of it: `1.0` and `1` are one group.
fn without_decimals(text: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, rest))
            if digits(whole.strip_prefix('-').unwrap_or(whole))
                && digits(rest)
                && rest.bytes().all(|byte| byte == b'0') =>
        {
            whole
        }
        _ => text,
    }
}

/// Keys of the rows of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct RowKeys {
    group: Option<usize>,
    part: Option<usize>,
    known: TextTable,
    pub(super) groups: Vec<u32>,
    pub(super) parts: Vec<RowPart>,
}

impl RowKeys {
    /// Looks up the columns; none of them may be among `taken`.
    pub(super) fn find(
        table: &TableReader,
        (group, part): (Option<&str>, Option<&str>),
        taken: &[usize],
    ) -> Result<Self> {
        let names = header::names(&table.header);
        let place = |name: Option<&str>| -> Result<Option<usize>> {
            let Some(name) = name else { return Ok(None) };
            let place = header::find_target(&names, name, &table.source)
                .map_err(|error| table.explain(error))?;
            if taken.contains(&place) {
                let problem = format!(
                    "column {} cannot be both target or weight and the column by which rows are split; name another one in ‘group’ or \
                     ‘split_column’",
                    cell::shown(name)
                );
                return Err(Error::table(&table.source, problem));
            }
            Ok(Some(place))
        };
        Ok(Self { group: place(group)?, part: place(part)?, ..Self::default() })
    }

    /// Returns true if there is a column of keys.
    #[cfg(feature = "parquet")]
    pub(super) fn is_some(&self) -> bool {
        self.group.is_some() || self.part.is_some()
    }

    /// Returns true for a column of keys, which is no feature.
    pub(super) fn has(&self, column: usize) -> bool {
        self.group == Some(column) || self.part == Some(column)
    }

    /// Keeps the keys of these rows only.
    pub(super) fn keep(&mut self, rows: &[u32]) {
        fn kept<T: Copy>(keys: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().filter_map(|&row| keys.get(row as usize).copied()).collect()
        }
        self.groups = kept(&self.groups, rows);
        self.parts = kept(&self.parts, rows);
    }

    /// Returns the keys of all rows, for the columns that are there.
    pub(super) fn finish(self) -> SplitColumns {
        SplitColumns {
            groups: self.group.map(|_| self.groups),
            parts: self.part.map(|_| self.parts),
        }
    }

    /// Returns the same columns without rows.
    pub(super) fn emptied(&self) -> Self {
        Self { group: self.group, part: self.part, ..Self::default() }
    }

    /// Takes the keys of the next row, whose cells are given by their places. An error is a place and a problem.
    pub(super) fn push<'a>(
        &mut self,
        cell: impl Fn(usize) -> &'a str,
    ) -> Result<(), (usize, String)> {
        if let Some(column) = self.group {
            let text = cell(column).trim();
            if text.is_empty() {
                let problem = "the cell is empty, but it has to name the row's group; fill it in or remove the row";
                return Err((column, problem.into()));
            }
            self.groups.push(self.known.code(without_decimals(text)).0);
        }
        if let Some(column) = self.part {
            self.parts.push(cell(column).parse().map_err(|problem: String| (column, problem))?);
        }
        Ok(())
    }

    /// Takes the keys of the rows that come next.
    pub(super) fn append(&mut self, part: Self) {
        let codes: Vec<u32> = part.known.iter().map(|text| self.known.code(text).0).collect();
        self.groups.extend(part.groups.iter().map(|&group| codes[group as usize]));
        self.parts.extend(part.parts);
    }
}
