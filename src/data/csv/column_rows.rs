//! Rows of a file of columns as numbers, column by column.
//!
//! In: a batch of rows of a Parquet or Arrow file. Out: the same as of their text, without making texts of numbers, and once for each
//! different text or date.
//! Absent on purpose: rows with weights or keys, and rows with something wrong: their text is read, so that there is one source of messages.

use super::blocks::TextBlock;
use super::row_block::{ReadRows, RowParser, replace, trimmed};
use crate::data::cell::GapMarks;
use crate::data::column_cells::ColumnCells;
use crate::data::columnar::{ColumnBatch, ColumnValues, guarded};
use crate::data::target::TargetCells;
use crate::error::{Error, Result};

/// Number of codes of texts that are remembered.
const RECENT: usize = 1 << 12;
/// An odd number whose bits are evenly spread: the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Codes of texts by the keys of their cells: of keys with one slot, the last one.
struct RecentCodes(Vec<Option<(u64, u32)>>);

impl RecentCodes {
    fn slot(key: u64) -> usize {
        (key.wrapping_mul(SPREAD) >> (u64::BITS - RECENT.ilog2())) as usize
    }

    fn get(&self, key: u64) -> Option<u32> {
        let slot = self.0.get(Self::slot(key)).copied().flatten();
        slot.filter(|(known, _)| *known == key).map(|(_, code)| code)
    }

    fn put(&mut self, key: u64, code: u32) {
        self.0.resize(RECENT, None);
        self.0[Self::slot(key)] = Some((key, code));
    }
}

impl RowParser {
    /// Reads the rows of a batch, which comes behind others of the same columns.
    ///
    /// # Errors
    ///
    /// When a row is not as it must be.
    pub(super) fn read_columns(&self, batch: &ColumnBatch, before: &ReadRows) -> Result<ReadRows> {
        // A decoder may panic on damaged data, as may what reads its values.
        let read = guarded(|| Ok(self.read_columns_quickly(batch, before))).ok().flatten();
        if let Some(read) = read {
            return Ok(read);
        }
        let mut bytes = Vec::new();
        let failed = |source| Error::file("read", &self.form.path, source);
        batch.write(&mut bytes).map_err(failed)?;
        self.read(TextBlock { bytes, lines: 0 }, batch.first(), before)
    }

    /// Reads rows that are as they must be; `None` if there is anything else.
    fn read_columns_quickly(&self, batch: &ColumnBatch, before: &ReadRows) -> Option<ReadRows> {
        let layout = &self.layout;
        if !self.form.plain
            || layout.weight.is_some()
            || layout.keys.is_some()
            || self.may_have_header(batch)
        {
            return None;
        }
        let mut read = before.without_rows();
        read.begin_like(before);
        let (rows, width) = (batch.rows(), layout.picks.len());
        // The first row is in the line behind the header.
        let first = batch.first() + 2;
        read.x = vec![0.0; rows * width];
        for (at, (&place, column)) in layout.picks.iter().zip(&mut read.columns).enumerate() {
            let cells = batch.column(place);
            take_column(&cells, (at, width), (first, &self.marks), column, &mut read.x)?;
        }
        for (&place, target) in layout.targets.iter().zip(&mut read.targets) {
            take_target(&batch.column(place), (first, rows), target)?;
        }
        read.rows = rows;
        Some(read)
    }

    /// Returns true if a row may be the header once more, which only a table of nothing but texts may have.
    fn may_have_header(&self, batch: &ColumnBatch) -> bool {
        let name = self.form.header.get(0).unwrap_or_default();
        let Some(cells) = batch.column(0).filter(|_| batch.is_text()) else { return false };
        let mut text = Vec::new();
        (0..batch.rows()).any(|row| {
            text.clear();
            cells.write(&mut text, row).is_err() || text == name.as_bytes()
        })
    }
}

/// Writes the trimmed text of a cell; `None` for one that no table may hold. A column that is not read has empty cells.
fn text_of<'a>(
    cells: &Option<ColumnValues<'_>>,
    row: usize,
    text: &'a mut Vec<u8>,
) -> Option<&'a str> {
    text.clear();
    if let Some(cells) = cells {
        cells.write(text, row).ok()?;
    }
    std::str::from_utf8(text).ok().map(trimmed)
}

/// Takes the cells of a feature column, and puts their numbers or codes to their places in rows of `width`.
fn take_column(
    cells: &Option<ColumnValues<'_>>,
    (at, width): (usize, usize),
    (first, marks): (u64, &GapMarks),
    column: &mut ColumnCells,
    x: &mut [f64],
) -> Option<()> {
    let (mut recent, mut text) = (RecentCodes(Vec::new()), Vec::new());
    for row in 0..x.len() / width {
        let (place, line) = (row * width + at, first + row as u64);
        if column.takes_numbers(marks)
            && let Some(number) = cells.as_ref().and_then(|cells| cells.number(row))
        {
            column.push_number(number);
            x[place] = number;
            continue;
        }
        let key = cells.as_ref().and_then(|cells| cells.key(row));
        if let Some(code) = key.and_then(|key| recent.get(key))
            && column.push_again(code, line)
        {
            x[place] = code.into();
            continue;
        }
        let (value, numbers) = column.push(text_of(cells, row, &mut text)?, line, marks);
        x[place] = value;
        if let Some(numbers) = numbers {
            replace(x[..row * width].iter_mut().skip(at).step_by(width), &numbers);
        } else if let (Some(key), Some(code)) = (key, column.code_of(value)) {
            recent.put(key, code);
        }
    }
    Some(())
}

/// Takes the cells of a target.
fn take_target(
    cells: &Option<ColumnValues<'_>>,
    (first, rows): (u64, usize),
    target: &mut TargetCells,
) -> Option<()> {
    let mut text = Vec::new();
    for row in 0..rows {
        let number = cells.as_ref().and_then(|cells| cells.number(row));
        if !number.is_some_and(|number| target.push_number(number)) {
            target.push(text_of(cells, row, &mut text)?, first + row as u64);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Dataset;
    use crate::data::{ColumnRule, TableOptions, Target, inspect};

    /// Reads a table of the tests, in batches of few rows.
    fn load(name: &str, target: Target, options: &TableOptions) -> Dataset {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        Dataset::load(path, &target, options).unwrap().data.encoded().unwrap()
    }

    #[test]
    fn batches_have_the_cells_of_the_same_table_as_text() {
        // Texts of digits are told by the type in one file, and have to be told by an option in the other.
        let zip = || vec![("zip".to_string(), ColumnRule::Category)];
        let of_csv = TableOptions { columns: zip(), ..TableOptions::default() };
        for target in
            [Target::Number("y".into()), Target::Auto("f64".into()), Target::Class("city".into())]
        {
            for missing in [None, Some(vec!["a".to_string(), "-5".to_string()])] {
                let options = TableOptions { missing: missing.clone(), ..TableOptions::default() };
                let of_csv = TableOptions { missing, ..of_csv.clone() };
                let want = load("mixed.csv", target.clone(), &of_csv);
                for name in ["mixed.parquet", "mixed.arrow"] {
                    let read = load(name, target.clone(), &options);
                    assert_eq!(read.schema(), want.schema(), "{name}");
                    assert_eq!((read.x(), read.y()), (want.x(), want.y()), "{name}");
                    assert_eq!(read.inexact(), want.inexact(), "{name}");
                }
            }
        }
    }

    #[test]
    fn reports_have_the_numbers_of_the_same_table_as_text() {
        let report = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
            let columns = inspect(path).unwrap().into_iter().filter(|it| it.name != "zip");
            columns
                .map(|it| (it.name, it.kind, it.cells, it.gaps, it.distinct, it.range))
                .collect::<Vec<_>>()
        };
        assert_eq!(report("mixed.parquet"), report("mixed.csv"));
    }
}
