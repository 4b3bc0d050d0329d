//! Columns of a table as they are, and what training would make of them.
//!
//! In: a table. Out: a [`ColumnReport`] for each column, of all of its cells.
//! Absent on purpose: the target, which the user names later.

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use super::cell::GapMarks;
use super::csv::{TableFormat, TableReader};
use super::encode::usual_encoding;
use super::kinds::{ColumnScan, Decision, text_hash};
use super::table_options::GapRule;
use crate::error::Result;

/// Examples of a column's cells.
const EXAMPLES: usize = 3;
/// Most different cells of a column that are counted.
const MANY_CELLS: usize = 1 << 20;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnReport {
    /// Name of the column.
    pub name: String,
    /// Kind of the column: number, category, date, none if it is left out, or mixed if training refuses it.
    pub kind: &'static str,
    /// Number of cells.
    pub cells: usize,
    /// Number of cells that are gaps.
    pub gaps: usize,
    /// Number of different cells that are no gaps; counted up to 1,048,576.
    pub distinct: usize,
    /// Least and largest number, if there are numbers.
    pub range: Option<(f64, f64)>,
    /// The first different cells.
    pub examples: Vec<String>,
    /// Description of what training makes of the column as a feature.
    pub becomes: String,
}

/// Reads all cells of a table. Returns a report of each column.
///
/// # Errors
///
/// When the file cannot be read, or is no table.
pub fn inspect(path: impl AsRef<Path>) -> Result<Vec<ColumnReport>> {
    let mut table = TableReader::open(path.as_ref(), &TableFormat::default(), |_| false)?;
    let names: Vec<String> = table.header.iter().map(|name| name.trim().to_owned()).collect();
    let marks = GapMarks::default();
    let mut scans: Vec<ColumnScan> =
        (0..names.len()).map(|it| ColumnScan::new(None, table.declared(it))).collect();
    let mut different: Vec<HashSet<u64>> = vec![HashSet::new(); names.len()];
    let mut examples: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    let mut cells = 0;
    while table.read()? {
        cells += 1;
        for (place, text) in table.record.iter().enumerate() {
            let text = text.trim();
            scans[place].push(text, table.line, &marks);
            if marks.has(text) || different[place].len() >= MANY_CELLS {
                continue;
            }
            if different[place].insert(text_hash(text)) && examples[place].len() < EXAMPLES {
                examples[place].push(text.to_owned());
            }
        }
    }
    let mut reports = Vec::with_capacity(names.len());
    for (place, (name, scan)) in names.into_iter().zip(scans).enumerate() {
        let distinct = different[place].len();
        let (kind, becomes) = fate(&scan, &name, distinct);
        let odd = if kind == "number" { scan.odd } else { 0 };
        reports.push(ColumnReport {
            name,
            kind,
            cells,
            gaps: scan.gaps + odd,
            distinct: distinct - usize::from(odd > 0),
            range: scan.range,
            examples: std::mem::take(&mut examples[place]),
            becomes,
        });
    }
    Ok(reports)
}

/// Returns the kind of a column, and what training makes of it.
fn fate(scan: &ColumnScan, name: &str, different: usize) -> (&'static str, String) {
    let gaps = scan.gaps > 0;
    let and_gaps = |gaps: bool| if gaps { ", and an input that marks gaps" } else { "" };
    match scan.decide(name, GapRule::Median) {
        Ok((Decision::Number, _)) => {
            let gaps = gaps || scan.odd > 0;
            let filled = if gaps { " with the median for gaps" } else { "" };
            ("number", format!("the number{filled}{}", and_gaps(gaps)))
        }
        Ok((Decision::Category(_), _)) => ("category", usual_encoding(different, gaps)),
        Ok((Decision::Date { timed, .. }, _)) => {
            let time = if timed { ", hour, minute" } else { "" };
            let parts =
                format!("year, month, day, weekday, day of year{time}, days{}", and_gaps(gaps));
            ("date", parts)
        }
        Ok((Decision::LeftOut(note), _)) => ("none", note),
        Err((line, problem)) => ("mixed", format!("refused: line {line}: {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_told_with_their_fate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let mut text = String::from("n,gap,text,city,id,when,mixed\n");
        for i in 0..40 {
            let mixed = if i == 5 { "x".to_string() } else { i.to_string() };
            let gap = if i % 9 == 0 { "?".to_string() } else { (i % 4).to_string() };
            text += &format!(
                "{i},{gap},{},c{},id{i},2020-01-{:02},{mixed}\n",
                ["a", "b", ""][i % 3],
                i % 20,
                i % 28 + 1
            );
        }
        std::fs::write(&path, text).unwrap();
        let told = inspect(&path).unwrap();
        let kinds: Vec<&str> = told.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, ["number", "number", "category", "category", "none", "date", "mixed"]);
        assert_eq!((told[1].gaps, told[1].distinct, told[1].range), (5, 4, Some((0.0, 3.0))));
        assert_eq!((told[2].gaps, told[2].distinct), (13, 2));
        assert_eq!(told[2].examples, ["a", "b"]);
        for (column, part) in [
            (0, "the number"),
            (1, "with the median for gaps, and an input that marks gaps"),
            (2, "an input for each of 2 texts, and one for gaps"),
            (3, "a row of an embedding's table, 21 x 9"),
            (4, "an identifier"),
            (6, "refused: line 7: `x` is not a number"),
        ] {
            assert!(told[column].becomes.contains(part), "{}", told[column].becomes);
        }
    }
}
