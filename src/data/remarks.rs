//! Points out columns that look like mistakes: identifiers, constants, and columns that give the target away.
//!
//! In: training rows. Out: names of columns, by the kind of mistake.
//! Absent on purpose: mending the table, which people decide.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::column::ColumnEncoding;
use super::column_copies::ColumnCopies;
use super::header::list;
use super::schema::TargetKind;
use super::table::Dataset;
use super::targets::Targets;
use crate::shape::{brief, count, pluralize};

/// Number of rows below which a column is not judged.
const FEW_ROWS: usize = 20;
/// Number of rows that are examined for columns that give the target away.
const MANY_ROWS: usize = 20_000;
/// Largest number of values that are examined.
const MANY_VALUES: usize = 20_000_000;
/// Least correlation with a number that only its own copy has.
const COPY: f64 = 0.999_99;

/// Columns of a table that look like mistakes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Columns with one value only.
    pub constant: Vec<String>,
    /// Columns that number the rows.
    pub identifiers: Vec<String>,
    /// Columns each of which determines the target alone.
    pub revealing: Vec<String>,
}

/// Joins the first ten texts, and says how many more there are.
fn first_few(texts: impl ExactSizeIterator<Item = String>, separator: &str) -> String {
    const SHOWN: usize = 10;
    let more = match texts.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {} more", count(more as u64)),
    };
    texts.take(SHOWN).collect::<Vec<_>>().join(separator) + &more
}

impl Dataset {
    /// Describes the target: classes with their rows, or numbers with their range.
    pub fn target_summary(&self) -> String {
        let name = |name: &str| list(&[name]);
        match (&self.schema().kind, self.y()) {
            (TargetKind::Classes(names), Targets::Classes(y)) => {
                let mut counts = vec![0_usize; names.len()];
                y.iter().for_each(|&class| counts[class as usize] += 1);
                let classes = names.iter().zip(&counts);
                let classes =
                    classes.map(|(class, rows)| format!("{} {}", name(class), count(*rows as u64)));
                format!(
                    "{}, one of {} classes, with their rows: {}",
                    name(&self.schema().target),
                    count(names.len() as u64),
                    first_few(classes, ", ")
                )
            }
            (TargetKind::Labels(labels), y) => {
                let (y, columns) = y.columns().unwrap_or_default();
                let labels = labels.iter().enumerate().map(|(column, label)| {
                    let values = y.iter().skip(column).step_by(columns);
                    let rows = pluralize(values.filter(|&&y| y > 0.0).count() as u64, "row");
                    let (column, yes) = (name(&label.column), name(&label.values[1]));
                    format!("{column} is {yes} in {rows}")
                });
                format!("yes or no: {}", first_few(labels, ", "))
            }
            (_, y) => {
                let (y, columns) = y.columns().unwrap_or_default();
                let targets = self.schema().targets().into_iter().enumerate();
                let targets = targets.map(|(column, target)| {
                    let values = y.iter().skip(column).step_by(columns);
                    let ends = (f64::INFINITY, f64::NEG_INFINITY);
                    let (low, high) = values.fold(ends, |(a, b), &y| (a.min(y), b.max(y)));
                    format!("{}, a number from {} to {}", name(target), brief(low), brief(high))
                });
                first_few(targets, "; ")
            }
        }
    }

    /// Examines each feature column by itself; of a text column all inputs together.
    pub fn remarks(&self) -> Remarks {
        let mut remarks = Remarks::default();
        let rows = self.rows();
        let step = rows.div_ceil(MANY_ROWS).max(1);
        let looks = rows.saturating_mul(self.columns()) / step <= MANY_VALUES;
        let is_judged = rows >= FEW_ROWS && looks;
        let mut copies = ColumnCopies::new(self);
        let raw = raw_columns(self);
        // A table of one column is about what that column tells.
        let looks_for_copies = is_judged && raw.len() > 1;
        for ColumnInputs { name, inputs, kind } in &raw {
            if *kind == ColumnContent::Text {
                if looks_for_copies && self.texts_reveal(inputs.clone(), step) {
                    remarks.revealing.push(name.clone());
                }
                continue;
            }
            let mut reveals = false;
            for column in inputs.clone() {
                let is_number = *kind == ColumnContent::Number && column == inputs.start;
                let is_constant = match copies.get(column) {
                    Some(values) => same(values.iter().copied()),
                    None => same(self.column(column)),
                };
                if is_constant {
                    // One date of all is seen in other ways.
                    if is_number {
                        remarks.constant.push(self.schema().features[column].clone());
                    }
                    continue;
                }
                if !is_judged {
                    continue;
                }
                if is_number
                    && numbers_rows(self.column(column), name, rows)
                    && !self.follows(column, step)
                {
                    remarks.identifiers.push(name.clone());
                } else if looks_for_copies && !reveals {
                    reveals = self.reveals(column, step);
                }
            }
            if reveals {
                remarks.revealing.push(name.clone());
            }
        }
        remarks
    }

    /// Returns true if all rows of each text of a column have one target, and chance alone would not do that.
    fn texts_reveal(&self, inputs: Range<usize>, step: usize) -> bool {
        let texts: Vec<u64> = (0..self.rows())
            .step_by(step)
            .map(|row| {
                let values = self.row(row).range(inputs.clone()).iter();
                // Of several inputs at most one is not 0; a single one holds a number for each text.
                let mut set = values.zip(0_u64..).filter(|(value, _)| *value != 0.0);
                match set.next() {
                    Some((value, _)) if inputs.len() == 1 => value.to_bits(),
                    Some((_, place)) => place + 1,
                    None => 0,
                }
            })
            .collect();
        match self.y() {
            Targets::Classes(y) => {
                determines(&texts, y.iter().step_by(step).map(|&class| u64::from(class)))
            }
            Targets::Numbers(y) => determines(&texts, y.iter().step_by(step).map(|y| y.to_bits())),
            Targets::Columns(y, columns) => (0..*columns).any(|target| {
                let own = y.iter().skip(target).step_by(*columns).step_by(step);
                determines(&texts, own.map(|y| y.to_bits()))
            }),
        }
    }

    /// Returns true if a column alone determines the target of every row: a class for each range of its values, or a number
    /// that is a linear function of it.
    fn reveals(&self, column: usize, step: usize) -> bool {
        let values = self.column(column).step_by(step);
        match self.y() {
            Targets::Classes(y) => {
                let mut pairs: Vec<(f64, u32)> =
                    values.zip(y.iter().step_by(step).copied()).collect();
                pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let classes: HashSet<u32> = pairs.iter().map(|&(_, class)| class).collect();
                let stretches = 1 + pairs.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
                // Equal values with two classes determine nothing.
                let mixed = pairs.windows(2).any(|p| p[0].0 == p[1].0 && p[0].1 != p[1].1);
                classes.len() > 1 && stretches == classes.len() && !mixed
            }
            Targets::Numbers(y) => {
                correlation(values.zip(y.iter().step_by(step).copied())).abs() > COPY
            }
            Targets::Columns(y, columns) => (0..*columns).any(|target| {
                let own = y.iter().skip(target).step_by(*columns).step_by(step).copied();
                correlation(values.clone().zip(own)).abs() > COPY
            }),
        }
    }

    /// Returns true if a numeric target goes with a column, as it may with time.
    fn follows(&self, column: usize, step: usize) -> bool {
        const SOME: f64 = 0.3;
        let Targets::Numbers(y) = self.y() else { return false };
        let values = self.column(column).step_by(step);
        correlation(values.zip(y.iter().step_by(step).copied())).abs() > SOME
    }
}

/// Returns true if all values are one.
fn same(mut values: impl Iterator<Item = f64>) -> bool {
    let first = values.next();
    values.all(|value| Some(value) == first)
}

/// Kind of the cells of a column of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ColumnContent {
    Number,
    Date,
    Text,
}

/// A column as the table has it, with its inputs.
struct ColumnInputs {
    name: String,
    inputs: Range<usize>,
    kind: ColumnContent,
}

/// Returns the columns as the table has them; of arrays, each feature is a column of numbers.
fn raw_columns(data: &Dataset) -> Vec<ColumnInputs> {
    let schema = data.schema();
    if schema.columns.is_empty() {
        let features = schema.features.iter().cloned().enumerate();
        let number =
            |(at, name)| ColumnInputs { name, inputs: at..at + 1, kind: ColumnContent::Number };
        return features.map(number).collect();
    }
    let mut first = 0;
    let columns = schema.columns.iter().map(|column| {
        let inputs = first..first + column.width();
        first = inputs.end;
        let kind = match column.encoding {
            ColumnEncoding::Number { .. } => ColumnContent::Number,
            ColumnEncoding::Date { .. } => ColumnContent::Date,
            _ => ColumnContent::Text,
        };
        ColumnInputs { name: column.name.clone(), inputs, kind }
    });
    columns.collect()
}

/// Returns true if equal texts always have equal targets, and that is no accident. If targets were dealt out at random, each further
/// row of a text would have the target of the first with the share that this target has of all rows; the product of these shares is
/// the probability of the accident, which has to be below one in 100,000.
fn determines(texts: &[u64], targets: impl Iterator<Item = u64> + Clone) -> bool {
    const ACCIDENT: f64 = 1e-5;
    let mut counts: HashMap<u64, usize> = HashMap::new();
    let mut of_text: HashMap<u64, u64> = HashMap::new();
    let mut repeated: HashMap<u64, usize> = HashMap::new();
    for (&text, target) in texts.iter().zip(targets) {
        *counts.entry(target).or_default() += 1;
        match of_text.get(&text) {
            Some(&first) if first == target => *repeated.entry(target).or_default() += 1,
            Some(_) => return false,
            None => _ = of_text.insert(text, target),
        }
    }
    let rows = texts.len() as f64;
    let logarithm: f64 = counts
        .iter()
        .map(|(target, &count)| {
            let repeats = repeated.get(target).copied().unwrap_or(0);
            repeats as f64 * (count as f64 / rows).ln()
        })
        .sum();
    logarithm < ACCIDENT.ln()
}

/// Returns true if values count rows: all different whole numbers without gaps, or under a name that says so.
fn numbers_rows(values: impl Iterator<Item = f64> + Clone, name: &str, rows: usize) -> bool {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.clone() {
        if value.fract() != 0.0 || value.abs() > 9e15 {
            return false;
        }
        (least, most) = (least.min(value), most.max(value));
    }
    // A part of the rows was held out: up to half of the numbers may be missing.
    let is_dense = most - least < 2.0 * rows as f64;
    let name = name.to_lowercase();
    let called = || {
        ["id", "index", "key", "row", "no", "nr", "number"].iter().any(|word| {
            name == *word
                || name.ends_with(&format!("_{word}"))
                || name.starts_with(&format!("{word}_"))
        })
    };
    if is_dense {
        // One bit for each number that there may be, since tables may have very many rows.
        let mut seen = vec![0_u64; rows / 32 + 1];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let is_new = |value: f64| {
            let place = (value - least) as usize;
            let (word, bit) = (&mut seen[place / 64], 1 << (place % 64));
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        };
        let mut values = values;
        return values.all(is_new);
    }
    let mut different = HashSet::new();
    called() && values.map(f64::to_bits).all(|bits| different.insert(bits))
}

/// Pearson's correlation; 0 where it is not defined.
fn correlation(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let n = pairs.clone().count() as f64;
    let (sx, sy) = pairs.clone().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mx, my) = (sx / n, sy / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xx += (x - mx).powi(2);
        yy += (y - my).powi(2);
        xy += (x - mx) * (y - my);
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx.sqrt() * yy.sqrt()) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{TableOptions, Target};

    #[test]
    fn odd_columns_are_pointed_out_by_kind() {
        let rows = 60_u32;
        // A number for each row, a constant, noise, and a column that the class follows from.
        let x: Vec<f64> = (0..rows)
            .flat_map(|i| {
                let noise = f64::from(i * 7919 % 61) / 7.0;
                let class = i % 2;
                [f64::from(1000 + i), 4.0, noise, f64::from(class) * 10.0 + noise]
            })
            .collect();
        let y = Targets::Classes((0..rows).map(|i| i % 2).collect());
        let remarks = Dataset::from_arrays(&x, 4, y).unwrap().remarks();
        assert_eq!(remarks.constant, ["x1"]);
        assert_eq!(remarks.identifiers, ["x0"]);
        assert_eq!(remarks.revealing, ["x3"]);

        let copies: Vec<f64> = (0..rows)
            .flat_map(|i| {
                let noise = f64::from(i * 7919 % 61);
                [noise.sqrt(), 2.0 * noise.sqrt() + 1e-9 * f64::from(i % 3), noise]
            })
            .collect();
        let y =
            Targets::Numbers((0..rows).map(|i| 5.0 - f64::from(i * 7919 % 61).sqrt()).collect());
        let remarks = Dataset::from_arrays(&copies, 3, y).unwrap().remarks();
        assert_eq!(
            (remarks.revealing, remarks.identifiers.len()),
            (vec!["x0".into(), "x1".into()], 0)
        );
    }

    /// Returns the columns of `x,t,u,y` that tell the target, with `t` and `u` taken for this.
    fn revealing(target: Target, rule: &str, row: impl Fn(u32) -> String) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let rows: String = (0..120).map(|i| row(i) + "\n").collect();
        std::fs::write(&path, format!("x,t,u,y\n{rows}")).unwrap();
        let rules = ["t", "u"].map(|name| (name.to_string(), rule.parse().unwrap()));
        let options = TableOptions { columns: rules.into(), ..TableOptions::default() };
        Dataset::from_csv_with(&path, target, &options)
            .unwrap()
            .encoded()
            .unwrap()
            .remarks()
            .revealing
    }

    #[test]
    fn texts_that_have_one_class_each_are_pointed_out_by_their_column() {
        let noise = |i: u32| i * 7919 % 61;
        let class = Target::Class("y".into());
        for rule in ["category", "one-hot", "embedding(3)"] {
            // `t` renames three classes, and has two names for one of them; `u` is wrong in one row.
            let row = |i: u32| {
                let y = noise(i) % 3;
                let t = if y == 2 { 2 + noise(i) % 2 } else { y };
                let u = if i == 77 { (y + 1) % 3 } else { y };
                format!("{}.5,text {t},word {u},class {y}", noise(i))
            };
            assert_eq!(revealing(class.clone(), rule, row), ["t"], "{rule}");
            // Of two classes, and by gaps.
            let row = |i: u32| {
                let y = noise(i) % 2;
                let t = if y == 1 { String::new() } else { format!("text {}", noise(i) % 3) };
                format!("{}.5,{t},word {},class {y}", noise(i), noise(i) % 5)
            };
            assert_eq!(revealing(class.clone(), rule, row), ["t"], "{rule}");
            // Each text has one number.
            let row = |i: u32| format!("{}.5,text {i},word {},{}", i % 7, i % 4, (i % 4) * (i % 4));
            assert_eq!(revealing(Target::Number("y".into()), rule, row), ["u"], "{rule}");
            // Texts that occur once or twice tell nothing, and nor does one rare class.
            let row = |i: u32| format!("{}.5,text {i},word {},class {}", noise(i), i / 20, i == 0);
            assert!(revealing(class.clone(), rule, row).is_empty(), "{rule}");
        }
    }

    #[test]
    fn gaps_of_numbers_are_pointed_out_by_their_column() {
        let row = |i: u32| {
            let y = i * 7919 % 61 % 2;
            let x = if y == 1 { String::new() } else { format!("{}.5", i % 7) };
            format!("{x},{},{},class {y}", ["a", "b"][i as usize % 2], ["c", "d"][i as usize / 60])
        };
        assert_eq!(revealing(Target::Class("y".into()), "category", row), ["x"]);
    }

    #[test]
    fn usual_columns_are_not() {
        let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/datasets/digits.csv");
        let data = Dataset::from_csv(digits, crate::data::Target::Class("digit".into())).unwrap();
        let remarks = data.remarks();
        assert!(remarks.identifiers.is_empty() && remarks.revealing.is_empty(), "{remarks:?}");
        assert!(!remarks.constant.is_empty());
    }
}
