//! Columns of a table as they are, and what training would make of them.
//!
//! In: a table. Out: a [`ColumnReport`] for each column, of all of its cells.
//! Absent on purpose: the target, which the user names later.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use serde::Serialize;

use super::cell::GapMarks;
use super::csv::{TableReader, column_cells};
use super::encode::usual_encoding;
use super::header::{self, list};
use super::kinds::{CategoryRule, ColumnScan, Decision};
use super::table_options::{ColumnRule, GapRule, TableOptions};
use crate::error::{Error, Result};

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
    /// Number of different cells that are no gaps; of numbers counted up to 65,536, of texts up to 1,048,576.
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
    inspect_with(path, &TableOptions::default())
}

/// Does the same as [`inspect`], as the options for training would have the table read.
///
/// # Errors
///
/// As [`inspect`], and when an option names a column that is not there.
pub fn inspect_with(path: impl AsRef<Path>, options: &TableOptions) -> Result<Vec<ColumnReport>> {
    let (names, columns, cells) = column_cells(path.as_ref(), options, |names| {
        let ruled: Vec<&str> = options.columns.iter().map(|(name, _)| name.as_str()).collect();
        let ignored: Vec<&str> = options.ignore.iter().map(String::as_str).collect();
        for (setting, wanted) in [("columns", ruled), ("ignore", ignored)] {
            header::find_named(names, &wanted)
                .map_err(|problem| Error::setting(setting, problem))?;
        }
        Ok(())
    })?;
    let marks = GapMarks::new(options.missing.as_deref());
    let mut reports = Vec::with_capacity(names.len());
    for (name, mut column) in names.into_iter().zip(columns) {
        let (distinct, examples) = column.different();
        column.finish(&marks);
        let scan = &column.scan;
        let (kind, becomes) = fate(scan, &name, (distinct, options));
        let odd = if kind == "number" { scan.odd } else { 0 };
        reports.push(ColumnReport {
            name,
            kind,
            cells,
            gaps: scan.gaps + odd,
            distinct: distinct - usize::from(odd > 0),
            range: scan.range,
            examples,
            becomes,
        });
    }
    tell_duplicates(path.as_ref(), options, &mut reports)?;
    Ok(reports)
}

/// Tells of columns whose cells are those of an earlier one. Only columns that have as many different cells and gaps are compared, which
/// takes another pass over the table.
fn tell_duplicates(
    path: &Path,
    options: &TableOptions,
    reports: &mut [ColumnReport],
) -> Result<()> {
    let mut alike: HashMap<_, Vec<usize>> = HashMap::new();
    for (place, it) in reports.iter().enumerate() {
        if it.kind != "none" && it.distinct > 1 {
            alike.entry((it.kind, it.gaps, it.distinct, &it.examples)).or_default().push(place);
        }
    }
    let several = alike.into_values().filter(|places| places.len() > 1);
    let mut candidates: Vec<usize> = several.flatten().collect();
    candidates.sort_unstable();
    if candidates.is_empty() {
        return Ok(());
    }
    let mut table = TableReader::open(path, &options.format, |_| false)?;
    let mut hashes = vec![DefaultHasher::new(); candidates.len()];
    while table.read()? {
        for (hash, &place) in hashes.iter_mut().zip(&candidates) {
            table.record.get(place).unwrap_or_default().trim().hash(hash);
        }
    }
    let mut known: HashMap<u64, String> = HashMap::new();
    for (hash, &place) in hashes.iter().zip(&candidates) {
        match known.entry(hash.finish()) {
            Entry::Vacant(free) => _ = free.insert(list(&[&reports[place].name])),
            Entry::Occupied(name) => {
                let name = name.get();
                reports[place].becomes = format!(
                    "left out, since it has the cells of {name}; ‘duplicates’ keep takes it"
                );
            }
        }
    }
    Ok(())
}

/// Returns the kind of a column, and what training makes of it.
fn fate(
    scan: &ColumnScan,
    name: &str,
    (different, options): (usize, &TableOptions),
) -> (&'static str, String) {
    let is_ignored = options.ignore.iter().any(|it| it == name);
    if is_ignored || options.rule(name) == Some(&ColumnRule::Ignore) {
        return ("none", "left out, as it is asked".to_string());
    }
    let gaps = scan.gaps > 0;
    let and_gaps = |gaps: bool| if gaps { ", and an input that marks gaps" } else { "" };
    match scan.decide(name, GapRule::Median) {
        Ok((Decision::Number, _)) => {
            let gaps = gaps || scan.odd > 0;
            let filled = if gaps { " with the median for gaps" } else { "" };
            ("number", format!("the number{filled}{}", and_gaps(gaps)))
        }
        Ok((Decision::Category(rule), _)) => {
            let one_hot = match rule {
                CategoryRule::Auto => options.one_hot,
                CategoryRule::OneHot => Some(usize::MAX),
                CategoryRule::Embedding(_) => Some(0),
            };
            let rare = match options.min_count {
                0 | 1 => String::new(),
                least => format!("; texts with fewer than {least} training rows share one place"),
            };
            ("category", usual_encoding(different, gaps, one_hot) + &rare)
        }
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
    fn columns_with_the_cells_of_another_one_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let mut text = String::from("a,b,c,d\n");
        for i in 0..30 {
            // The columns c and a have the same different cells, in another order.
            text += &format!("{},{},{},{}\n", i % 5, i % 3, (i + i / 5) % 5, i % 5);
        }
        std::fs::write(&path, text).unwrap();
        let told: Vec<String> = inspect(&path).unwrap().into_iter().map(|it| it.becomes).collect();
        assert_eq!(told[..3], ["the number"; 3].map(String::from));
        assert_eq!(told[3], "left out, since it has the cells of `a`; ‘duplicates’ keep takes it");
    }

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
        let options = TableOptions {
            ignore: vec!["id".into()],
            columns: vec![("n".into(), ColumnRule::Category), ("text".into(), ColumnRule::OneHot)],
            missing: Some(vec!["?".into(), "x".into()]),
            one_hot: Some(4),
            ..TableOptions::default()
        };
        let told = inspect_with(&path, &options).unwrap();
        let kinds: Vec<&str> = told.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, ["category", "number", "category", "category", "none", "date", "number"]);
        assert!(told[0].becomes.contains("an embedding's table, 41 x"), "{}", told[0].becomes);
        assert_eq!((told[6].gaps, told[4].becomes.as_str()), (1, "left out, as it is asked"));
        let wrong = TableOptions { ignore: vec!["ide".into()], ..TableOptions::default() };
        let said = inspect_with(&path, &wrong).unwrap_err().to_string();
        assert!(said.starts_with("ignore: there is no column `ide`"), "{said}");
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
