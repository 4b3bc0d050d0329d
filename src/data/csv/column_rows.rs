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

/// Number of codes of texts that are remembered; few in tests, so that one takes the place of another there.
const RECENT: usize = if cfg!(any(test, fuzzing)) { 1 << 2 } else { 1 << 12 };
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
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{
        ArrayRef, Date32Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    };
    use arrow_ipc::writer::FileWriter;

    use crate::data::columnar::ColumnBatches;
    use crate::data::{
        ColumnRule, Dataset, DateRule, ScalingRules, TableOptions, Target, inspect_with,
    };

    /// Reads a table of the tests, in batches of few rows.
    fn load(path: &Path, target: &Target, options: &TableOptions) -> Result<Dataset, String> {
        let read = Dataset::load(path, target, options).and_then(|read| read.data.encoded());
        read.map_err(|error| error.to_string().replace(&path.display().to_string(), "table"))
    }

    /// Writes a file of columns, and the same table as text.
    fn write(folder: &Path, columns: Vec<(&str, ArrayRef)>) -> [std::path::PathBuf; 2] {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let paths = [folder.join("t.arrow"), folder.join("t.csv")];
        let batch = RecordBatch::try_from_iter(columns.clone()).unwrap();
        let file = File::create(&paths[0]).unwrap();
        let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let mut text = (names.join(",") + "\n").into_bytes();
        let mut batches = ColumnBatches::reopen(&paths[0], Arc::default()).unwrap().unwrap();
        while let Some(batch) = batches.next().unwrap() {
            batch.write(&mut text).unwrap();
        }
        fs::write(&paths[1], text).unwrap();
        paths
    }

    /// Columns with few and with many different numbers, texts and dates, and gaps; in one of them a text among numbers, perhaps.
    fn columns(slip: bool) -> Vec<(&'static str, ArrayRef)> {
        let rows = 1500_i64;
        let town =
            |i: i64| Some(["Rome", "Bonn, east", "Oslo", " Kiel "][(i * i % 11 % 4) as usize]);
        let mixed = |i: i64| match i {
            977 if slip => "slip".to_string(),
            _ => (i % 300).to_string(),
        };
        vec![
            ("few", Arc::new(Int64Array::from_iter_values((0..rows).map(|i| i % 7)))),
            (
                "many",
                Arc::new(Int64Array::from_iter(
                    (0..rows).map(|i| (i % 9 > 0).then_some(i * 31 % 1009)),
                )),
            ),
            ("large", Arc::new(Int64Array::from_iter_values((0..rows).map(|i| (1 << 53) + i)))),
            (
                "real",
                Arc::new(Float64Array::from_iter(
                    (0..rows).map(|i| (i % 11 > 0).then_some(i as f64 / 7.0)),
                )),
            ),
            (
                "odd",
                Arc::new(Float64Array::from_iter_values(
                    (0..rows).map(|i| if i == 700 { f64::NAN } else { -(i as f64) }),
                )),
            ),
            (
                "day",
                Arc::new(Date32Array::from_iter(
                    (0..rows).map(|i| (i % 13 > 0).then_some((i * 17 % 800) as i32)),
                )),
            ),
            ("town", Arc::new((0..rows).map(town).collect::<DictionaryArray<Int32Type>>())),
            (
                "text",
                Arc::new(StringArray::from_iter(
                    (0..rows).map(|i| (i % 5 > 0).then(|| format!("t {}", i % 90))),
                )),
            ),
            ("mixed", Arc::new(StringArray::from_iter_values((0..rows).map(mixed)))),
            ("y", Arc::new(Float64Array::from_iter_values((0..rows).map(|i| i as f64 * 0.3)))),
        ]
    }

    #[test]
    fn batches_have_the_cells_of_the_same_table_as_text() {
        let folder = tempfile::tempdir().unwrap();
        let ruled = |rules: &[(&str, ColumnRule)]| -> TableOptions {
            // Types that a file declares are told here, for the text.
            let columns = [("mixed", ColumnRule::Number)].iter().chain(rules);
            let columns = columns.map(|(name, rule)| (name.to_string(), rule.clone())).collect();
            TableOptions { columns, ..TableOptions::default() }
        };
        for slip in [false, true] {
            let [arrow, csv] = write(folder.path(), columns(slip));
            for options in [
                ruled(&[]),
                ruled(&[("few", ColumnRule::OneHot), ("many", ColumnRule::Embedding(None))]),
                ruled(&[
                    ("day", ColumnRule::Date(DateRule::default())),
                    ("real", ColumnRule::Number),
                ]),
                ruled(&[("many", "date(%Y)".parse().unwrap())]),
                TableOptions { missing: Some(vec!["5".into(), "Oslo".into()]), ..ruled(&[]) },
            ] {
                for target in [
                    Target::Number("y".into()),
                    Target::Auto("few".into()),
                    Target::Class("town".into()),
                    Target::Auto("many".into()),
                ] {
                    let (read, want) =
                        (load(&arrow, &target, &options), load(&csv, &target, &options));
                    let about = |data: &Dataset| {
                        (
                            data.schema().clone(),
                            data.y().clone(),
                            data.inexact().to_vec(),
                            data.x().to_vec(),
                        )
                    };
                    assert!(
                        read.as_ref().map(about) == want.as_ref().map(about),
                        "{slip} {target:?} {options:?}: {:?} {:?}",
                        read.err(),
                        want.err()
                    );
                }
                let scaling = ScalingRules::default();
                let report =
                    |path: &Path| format!("{:?}", inspect_with(path, &options, &scaling).unwrap());
                assert_eq!(report(&arrow), report(&csv), "{options:?}");
            }
        }
    }

    #[test]
    fn a_header_among_rows_of_texts_is_refused_as_in_text() {
        let folder = tempfile::tempdir().unwrap();
        let text = |i: usize, name: &str| {
            if i == 40 { name.to_string() } else { format!("{}", i % 3) + "x" }
        };
        let column = |name: &'static str| -> (&str, ArrayRef) {
            (name, Arc::new(StringArray::from_iter_values((0..90).map(|i| text(i, name)))))
        };
        let [arrow, csv] = write(folder.path(), vec![column("a"), column("y")]);
        let [read, want] = [arrow, csv].map(|path| {
            load(&path, &Target::Class("y".into()), &TableOptions::default()).unwrap_err()
        });
        assert_eq!(read, want);
        assert!(read.contains("42"), "{read}");
    }
}
