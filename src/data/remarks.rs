//! Points out columns that look like mistakes: identifiers, constants, and columns that give the target away.
//!
//! In: training rows. Out: names of columns, by the kind of mistake.
//! Absent on purpose: mending the table, which people decide.

use std::collections::HashSet;

use super::column::{ColumnEncoding, embedded};
use super::column_copies::ColumnCopies;
use super::header::list;
use super::schema::TargetKind;
use super::table::Dataset;
use super::targets::Targets;

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

impl Dataset {
    /// Describes the target: classes with their rows, or numbers with their range.
    pub fn target_summary(&self) -> String {
        const SHOWN: usize = 10;
        let name = |name: &str| list(&[name]);
        let rows =
            |count: usize| if count == 1 { "1 row".to_string() } else { format!("{count} rows") };
        match (&self.schema().kind, self.y()) {
            (TargetKind::Classes(names), Targets::Classes(y)) => {
                let mut counts = vec![0_usize; names.len()];
                y.iter().for_each(|&class| counts[class as usize] += 1);
                let classes = names.iter().zip(&counts).take(SHOWN);
                let classes: Vec<String> =
                    classes.map(|(class, count)| format!("{} {count}", name(class))).collect();
                let more = match names.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!(
                    "{}, one of {} classes, with their rows: {}{more}",
                    name(&self.schema().target),
                    names.len(),
                    classes.join(", ")
                )
            }
            (TargetKind::Labels(labels), y) => {
                let (y, columns) = y.columns().unwrap_or_default();
                let yes = |column: usize| {
                    y.iter().skip(column).step_by(columns).filter(|&&y| y > 0.0).count()
                };
                let told: Vec<String> = labels
                    .iter()
                    .enumerate()
                    .take(SHOWN)
                    .map(|(column, label)| {
                        format!(
                            "{} is {} in {}",
                            name(&label.column),
                            name(&label.values[1]),
                            rows(yes(column))
                        )
                    })
                    .collect();
                let more = match labels.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("yes or no: {}{more}", told.join(", "))
            }
            (_, y) => {
                let (y, columns) = y.columns().unwrap_or_default();
                let told: Vec<String> = self
                    .schema()
                    .targets()
                    .into_iter()
                    .enumerate()
                    .take(SHOWN)
                    .map(|(column, target)| {
                        let values = y.iter().skip(column).step_by(columns);
                        let (low, high) = values
                            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &y| {
                                (a.min(y), b.max(y))
                            });
                        format!("{}, a number from {} to {}", name(target), short(low), short(high))
                    })
                    .collect();
                let more = match columns.saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("{}{more}", told.join("; "))
            }
        }
    }

    /// Examines each feature column by itself.
    pub fn remarks(&self) -> Remarks {
        let mut remarks = Remarks::default();
        let rows = self.rows();
        let step = rows.div_ceil(MANY_ROWS).max(1);
        let looks = rows.saturating_mul(self.columns()) / step <= MANY_VALUES;
        let scaled = number_inputs(self);
        let tables: HashSet<usize> =
            embedded(&self.schema().columns).into_iter().map(|table| table.0).collect();
        let mut copies = ColumnCopies::new(self);
        for (column, name) in self.schema().features.iter().enumerate() {
            let is_constant = match copies.get(column) {
                Some(values) => same(values.iter().copied()),
                None => same(self.column(column)),
            };
            if is_constant {
                // One date or one text of all is seen in other ways.
                if scaled[column] {
                    remarks.constant.push(name.clone());
                }
                continue;
            }
            if rows < FEW_ROWS || !looks {
                continue;
            }
            if scaled[column]
                && numbers_rows(self.column(column), name, rows)
                && !self.follows(column, step)
            {
                remarks.identifiers.push(name.clone());
            } else if self.columns() > 1 && !tables.contains(&column) && self.reveals(column, step)
            {
                remarks.revealing.push(name.clone());
            }
        }
        remarks
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

/// Tells which inputs are a column of numbers as it is.
fn number_inputs(data: &Dataset) -> Vec<bool> {
    let schema = data.schema();
    if schema.columns.is_empty() {
        return vec![true; schema.features.len()];
    }
    let inputs = schema.columns.iter().flat_map(|column| {
        let number = matches!(column.encoding, ColumnEncoding::Number { .. });
        (0..column.width()).map(move |place| number && place == 0)
    });
    inputs.collect()
}

/// A number in few digits.
fn short(value: f64) -> String {
    let plain = format!("{value}");
    if plain.len() <= 14 { plain } else { format!("{value:.6e}") }
}

/// Returns true if values count rows: all different whole numbers without gaps, or under a name that says so.
fn numbers_rows(values: impl Iterator<Item = f64> + Clone, name: &str, rows: usize) -> bool {
    if values.clone().any(|value| value.fract() != 0.0 || value.abs() > 9e15) {
        return false;
    }
    let mut different: HashSet<u64> = HashSet::with_capacity(rows);
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        if !different.insert(value.to_bits()) {
            return false;
        }
        (least, most) = (least.min(value), most.max(value));
    }
    let name = name.to_lowercase();
    let called = ["id", "index", "key", "row", "no", "nr", "number"].iter().any(|word| {
        name == *word
            || name.ends_with(&format!("_{word}"))
            || name.starts_with(&format!("{word}_"))
    });
    // A part of the rows was held out: up to half of the numbers may be missing.
    called || most - least < 2.0 * rows as f64
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

    #[test]
    fn usual_columns_are_not() {
        let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/datasets/digits.csv");
        let data = Dataset::from_csv(digits, crate::data::Target::Class("digit".into())).unwrap();
        let remarks = data.remarks();
        assert!(remarks.identifiers.is_empty() && remarks.revealing.is_empty(), "{remarks:?}");
        assert!(!remarks.constant.is_empty());
    }
}
