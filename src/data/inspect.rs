//! Columns of a table as they are, and what training would make of them.
//!
//! In: a table. Out: a [`ColumnReport`] for each column, of all of its cells.
//! Absent on purpose: the target, which the user names later.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use serde::Serialize;

use super::cell::GapMarks;
use super::column::date_places;
use super::column_cells::{CellCounts, number_hash};
use super::csv::{AllCells, TableReader, all_cells};
use super::date::{self, DatePart};
use super::encode::told_encoding;
use super::header::{self, list};
use super::kinds::{CategoryRule, ColumnScan, Decision};
use super::open::is_lasting;
use super::scaling::ScalingRules;
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
    /// Number of different values that are no gaps: of numbers, whatever their spelling, counted up to 65,536; of texts up to 1,048,576.
    pub distinct: usize,
    /// True if counting ended there: the column may have more different values.
    pub or_more: bool,
    /// Least and largest number, if there are numbers.
    pub range: Option<(f64, f64)>,
    /// The first different values: numbers in their fewest digits, all else as it is written.
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
    inspect_with(path, &TableOptions::default(), &ScalingRules::default())
}

/// Does the same as [`inspect`], as the options for training would have the table read, and columns scaled.
///
/// # Errors
///
/// As [`inspect`], and when an option names a column that is not there.
pub fn inspect_with(
    path: impl AsRef<Path>,
    options: &TableOptions,
    scaling: &ScalingRules,
) -> Result<Vec<ColumnReport>> {
    inspect_noted(path.as_ref(), options, scaling).map(|(reports, _)| reports)
}

/// Does the same as [`inspect_with`]. Returns remarks on the form of the table, too, such as which sheet of a workbook it is.
pub(crate) fn inspect_noted(
    path: &Path,
    options: &TableOptions,
    scaling: &ScalingRules,
) -> Result<(Vec<ColumnReport>, Vec<String>)> {
    let read = all_cells(path, options, |names, source| {
        header::check_names(names, source)?;
        let ruled: Vec<&str> = options.columns.iter().map(|(name, _)| name.as_str()).collect();
        let ignored: Vec<&str> = options.ignore.iter().map(String::as_str).collect();
        for (setting, wanted) in [("columns", ruled), ("ignore", ignored)] {
            header::find_named(names, &wanted)
                .map_err(|problem| Error::setting(setting, problem))?;
        }
        Ok(())
    })?;
    let AllCells { names, columns, rows: cells, notes } = read;
    let marks = GapMarks::new(options.missing.as_deref());
    let asked = AskedColumns {
        ignored: options.ignore.iter().map(String::as_str).collect(),
        rules: options.rules(),
    };
    let mut reports = Vec::with_capacity(names.len());
    for (name, mut column) in names.into_iter().zip(columns) {
        let counts = column.counts(&marks, options.min_count);
        column.finish(&marks);
        let scan = &column.scan;
        let (kind, becomes) = fate(scan, &name, (&counts, &asked), options);
        let is_number = kind == "number";
        let (distinct, examples) = match is_number {
            true => (counts.numbers, counts.first_numbers),
            false => (counts.texts, counts.examples),
        };
        let gaps = scan.gaps + if is_number { scan.odd } else { 0 };
        let range = scan.range;
        let or_more = counts.ended;
        reports.push(ColumnReport {
            name,
            kind,
            cells,
            gaps,
            distinct,
            or_more,
            range,
            examples,
            becomes,
        });
    }
    tell_duplicates(path, (options, scaling), &marks, &mut reports)?;
    Ok((reports, notes))
}

/// Columns that options name, found by their names.
struct AskedColumns<'a> {
    ignored: HashSet<&'a str>,
    rules: HashMap<&'a str, &'a ColumnRule>,
}

/// Tells of columns whose values are those of an earlier one. Only columns that have as many different values and gaps, and become the
/// same, are compared, which takes another pass over the table.
fn tell_duplicates(
    path: &Path,
    (options, scaling): (&TableOptions, &ScalingRules),
    marks: &GapMarks,
    reports: &mut [ColumnReport],
) -> Result<()> {
    let methods = scaling.by_name();
    let mut groups: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, it) in
        reports.iter().enumerate().filter(|(_, it)| it.kind != "none" && it.distinct > 1)
    {
        let method = methods.get(it.name.as_str()).copied().unwrap_or(scaling.features);
        let group = (it.kind, it.gaps, it.distinct, &it.examples, &it.becomes, method.to_string());
        groups.entry(group).or_default().push(at);
    }
    let mut candidates: Vec<usize> =
        groups.into_values().filter(|group| group.len() > 1).flatten().collect();
    candidates.sort_unstable();
    // Standard input cannot be read again.
    if candidates.is_empty() || !is_lasting(path) {
        return Ok(());
    }
    let mut table = TableReader::open(path, &options.format, |_| false)?;
    let is_number: Vec<bool> = candidates.iter().map(|&at| reports[at].kind == "number").collect();
    let of_numbers: HashSet<usize> =
        candidates.iter().zip(&is_number).filter(|it| *it.1).map(|it| *it.0).collect();
    table.read_numbers_in(|column| of_numbers.contains(&column));
    let mut hashes = vec![DefaultHasher::new(); candidates.len()];
    while table.read()? {
        for ((hash, &place), &is_number) in hashes.iter_mut().zip(&candidates).zip(&is_number) {
            let cell = table.record.get(place).unwrap_or_default().trim();
            // Spellings of a number are one value, and so are marks of gaps.
            let number = || marks.number(cell).ok().filter(|value| !value.is_nan());
            match is_number {
                true => number().map(number_hash).hash(hash),
                false => Some(cell).filter(|_| !marks.has(cell)).hash(hash),
            }
        }
    }
    let mut first_of: HashMap<u64, usize> = HashMap::new();
    for (hash, &place) in hashes.iter().map(Hasher::finish).zip(&candidates) {
        let first = *first_of.entry(hash).or_insert(place);
        if first != place {
            let name = list(&[&reports[first].name]);
            reports[place].becomes =
                format!("left out, since it has the values of {name}; ‘duplicates’ keep takes it");
        }
    }
    Ok(())
}

/// Returns the kind of a column, and what training makes of it.
fn fate(
    scan: &ColumnScan,
    name: &str,
    (counts, asked): (&CellCounts, &AskedColumns<'_>),
    options: &TableOptions,
) -> (&'static str, String) {
    if asked.ignored.contains(name) || asked.rules.get(name) == Some(&&ColumnRule::Ignore) {
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
        Ok((Decision::Category(rule), note)) => {
            let told = told_category((rule, gaps), counts, options);
            // The form that most cells have, with the remedy.
            let note = note.map_or(String::new(), |note| format!("; {}", note.text));
            ("category", told + &note)
        }
        Ok((Decision::Date { rule, timed }, _)) => {
            let asked = if rule.parts.is_empty() { &DatePart::USUAL[..] } else { &rule.parts };
            let is_asked = |at: &usize| asked.contains(&DatePart::ALL[*at]);
            let parts = date_places(timed, &[]).filter(is_asked).map(|at| date::PARTS[at]);
            let parts: Vec<&str> = parts.collect();
            ("date", format!("{}{}", parts.join(", "), and_gaps(gaps)))
        }
        Ok((Decision::LeftOut(note), _)) => ("none", note),
        Err((line, problem)) => ("mixed", format!("refused: line {line}: {problem}")),
    }
}

/// Says what training makes of texts. All rows are counted here, of which training has a part.
fn told_category(
    (rule, gaps): (CategoryRule, bool),
    counts: &CellCounts,
    options: &TableOptions,
) -> String {
    let told = |values, pooled| told_encoding(values, (gaps, pooled), (rule, options.one_hot));
    let least = options.min_count;
    if least <= 1 {
        return told(counts.texts, false);
    }
    let share = format!("; texts with fewer than {least} training rows share one place");
    match counts.frequent {
        Some(frequent) => told(frequent, frequent < counts.texts) + &share,
        // Texts that are not kept are not counted one by one.
        None => format!("at most {}{share}", told(counts.texts, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::FeatureScaling;

    #[test]
    fn a_count_that_ended_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let rows: String = (0..70_000).map(|i| format!("{}.5,{}\n", i, i % 70)).collect();
        std::fs::write(&path, format!("many,few\n{rows}")).unwrap();
        let told = inspect(&path).unwrap();
        assert_eq!((told[0].distinct, told[0].or_more), (65_536, true));
        assert_eq!((told[1].distinct, told[1].or_more), (70, false));
    }

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
        assert_eq!(told[3], "left out, since it has the values of `a`; ‘duplicates’ keep takes it");
    }

    #[test]
    fn numbers_are_counted_by_value_and_shown_in_few_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let spelled = |i: u32| match i % 3 {
            0 => format!("{}.0", i % 10),
            1 => format!("{}e0", i % 10),
            _ => (i % 10).to_string(),
        };
        let mut text = String::from("a,b,many,id,city\n");
        for i in 0..60 {
            // A text of the city 0 to 3 is in 10 rows or more, each of the others in one.
            let city = if i < 40 { i % 4 } else { i };
            // More different numbers than texts are kept of, each in two spellings.
            let many = if i < 30 { format!("{i}") } else { format!("{}.00", i - 30) };
            let id = 9_007_199_254_740_992_u64 + u64::from(i % 2);
            text += &format!("{},{},{many},{id},c{city}\n", spelled(i), i % 10);
        }
        std::fs::write(&path, text).unwrap();
        let options = TableOptions { min_count: 2, one_hot: Some(2), ..TableOptions::default() };
        let scaling = ScalingRules::default();
        let told = inspect_with(&path, &options, &scaling).unwrap();
        let distinct: Vec<usize> = told.iter().map(|it| it.distinct).collect();
        assert_eq!(distinct, [10, 10, 30, 1, 24]);
        assert_eq!(told[0].examples, ["0", "1", "2"]);
        assert_eq!(
            told[1].becomes,
            "left out, since it has the values of `a`; ‘duplicates’ keep takes it"
        );
        assert_eq!(told[2].examples, ["0", "1", "2"]);
        assert_eq!(told[3].examples, ["9007199254740992"]);
        let want = "a row of an embedding's table, 5 x 3; texts with fewer than 2 training rows share one place";
        assert_eq!(told[4].becomes, want);
        // Another method of scaling makes another column.
        let scaling = ScalingRules {
            columns: vec![("b".into(), FeatureScaling::Log)],
            ..ScalingRules::default()
        };
        assert_eq!(inspect_with(&path, &options, &scaling).unwrap()[1].becomes, "the number");
        std::fs::write(&path, "a,b,a\n1,2,3\n").unwrap();
        let said = inspect(&path).unwrap_err().to_string();
        assert!(said.contains("columns 1 and 3 are both named `a`"), "{said}");
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
        let told = inspect_with(&path, &options, &ScalingRules::default()).unwrap();
        let kinds: Vec<&str> = told.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, ["category", "number", "category", "category", "none", "date", "number"]);
        assert!(told[0].becomes.contains("an embedding's table, 41 x"), "{}", told[0].becomes);
        assert_eq!((told[6].gaps, told[4].becomes.as_str()), (1, "left out, as it is asked"));
        let wrong = TableOptions { ignore: vec!["ide".into()], ..TableOptions::default() };
        let said = inspect_with(&path, &wrong, &ScalingRules::default()).unwrap_err().to_string();
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
