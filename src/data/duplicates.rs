//! Columns that say what an earlier one says already.
//!
//! In: the training rows as inputs. Out: the same rows without such columns, whose names the [`Schema`] keeps.
//! Absent on purpose: columns that are nearly alike, and constant ones, which `remarks.rs` points out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::column::{Column, ColumnEncoding, input_names};
use super::header::list;
use super::row_cells::OddCell;
use super::scaling::ScalingRules;
use super::schema::DuplicateColumn;
#[cfg(doc)]
use super::schema::Schema;
use super::split::Split;
use super::table::Dataset;
use crate::error::Result;
use crate::shape::count;

impl Split {
    /// Leaves out feature columns that an earlier one makes superfluous, and tells of them in the notes: one of the same kind, with the
    /// same values in all training rows, that `scaling` scales by the same method, whether it names the columns or not. Constant columns
    /// stay, and so do those that an input of `kept` belongs to.
    ///
    /// # Errors
    ///
    /// When the temporary file of a stored table cannot be written.
    pub fn without_duplicates(self, kept: &[usize], scaling: &ScalingRules) -> Result<Self> {
        let pairs = self.train.duplicates(kept, scaling);
        if pairs.is_empty() {
            return Ok(self);
        }
        let of_one_table = |valid: &Dataset| valid.notes() == self.train.notes();
        let told = self.valid.as_ref().is_some_and(of_one_table);
        let valid = self.valid.map(|valid| valid.without_columns(&pairs, told)).transpose()?;
        Ok(Self { train: self.train.without_columns(&pairs, true)?, valid })
    }
}

/// Places of a column's inputs among all.
fn spans(columns: &[Column]) -> Vec<std::ops::Range<usize>> {
    let mut next = 0;
    let span = |column: &Column| {
        let first = next;
        next += column.width();
        first..next
    };
    columns.iter().map(span).collect()
}

/// Mixes a number into a hash; 0 and -0 are one number.
fn mixed(hash: u64, value: f64) -> u64 {
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    let mixed = (hash.rotate_left(5) ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

impl Dataset {
    /// Returns the places of columns that equal an earlier one, with the place of that one. Memory holds one hash for each column.
    fn duplicates(&self, kept: &[usize], scaling: &ScalingRules) -> Vec<(usize, usize)> {
        let columns = self.schema.all_columns();
        let spans = spans(&columns);
        let named = scaling.by_name();
        let method = |at: usize| named.get(columns[at].name.as_str()).copied();
        let column_of: Vec<usize> =
            spans.iter().enumerate().flat_map(|(at, span)| span.clone().map(move |_| at)).collect();
        let width = self.columns();
        let (mut hashes, mut varied) = (vec![0_u64; columns.len()], vec![false; columns.len()]);
        let first: Vec<f64> = self.x().iter().take(width).collect();
        for (place, value) in self.x().iter().enumerate() {
            let input = place % width;
            let at = column_of[input];
            hashes[at] = mixed(hashes[at], value);
            varied[at] |= value != first[input];
        }
        let kept: HashSet<usize> =
            kept.iter().filter_map(|&input| column_of.get(input).copied()).collect();
        // A method for a column without numbers is a mistake that fitting tells of.
        let mistaken = |at: usize| {
            method(at).is_some() && !matches!(columns[at].encoding, ColumnEncoding::Number { .. })
        };
        let stays = |at: usize| !varied[at] || kept.contains(&at) || mistaken(at);
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut pairs = Vec::new();
        for at in (0..columns.len()).filter(|&at| !stays(at)) {
            let alike = known.entry(hashes[at]).or_default();
            // A hash may be that of two different columns.
            let equal = |&other: &usize| {
                columns[at].encoding == columns[other].encoding
                    && method(at).unwrap_or(scaling.features)
                        == method(other).unwrap_or(scaling.features)
                    && spans[at]
                        .clone()
                        .zip(spans[other].clone())
                        .all(|(a, b)| self.column(a).eq(self.column(b)))
            };
            match alike.iter().copied().find(equal) {
                Some(other) => pairs.push((at, other)),
                None => alike.push(at),
            }
        }
        pairs
    }

    /// Leaves columns out, each of which equals another one.
    fn without_columns(mut self, pairs: &[(usize, usize)], tell: bool) -> Result<Self> {
        let columns = self.schema.all_columns();
        let gone: HashSet<usize> = pairs.iter().map(|(column, _)| *column).collect();
        let goes = |at: usize| gone.contains(&at);
        let width = self.columns();
        let spans = spans(&columns);
        let picks: Vec<usize> =
            (0..columns.len()).filter(|&at| !goes(at)).flat_map(|at| spans[at].clone()).collect();
        let memory = self.memory;
        let mut x = Arc::unwrap_or_clone(std::mem::take(&mut self.x));
        x.keep_columns(&picks, width, memory)?;
        self.x = Arc::new(x);
        let left: Vec<Column> =
            (0..columns.len()).filter(|&at| !goes(at)).map(|at| columns[at].clone()).collect();
        // Cells name the places of their columns.
        let mut next = 0;
        let places: Vec<Option<usize>> = (0..columns.len())
            .map(|at| {
                let place = (!goes(at)).then_some(next);
                next += usize::from(place.is_some());
                place
            })
            .collect();
        let moved = |cell: &OddCell| Some(OddCell { column: places[cell.column]?, ..cell.clone() });
        let odd = self.odd.iter().filter_map(moved).collect();
        self.odd = Arc::new(odd);
        self.schema.features = input_names(&left);
        if !self.schema.columns.is_empty() {
            self.schema.columns = left;
        }
        let name = |at: usize| columns[at].name.clone();
        let duplicates = pairs
            .iter()
            .map(|&(column, other)| DuplicateColumn { column: name(column), same_as: name(other) });
        self.schema.duplicates.extend(duplicates);
        if tell {
            let mut notes = self.notes.to_vec();
            notes.extend(told(&self.schema.duplicates));
            self.notes = Arc::new(notes);
        }
        Ok(self)
    }
}

/// Says which columns are left out: each by itself, or many in one sentence.
fn told(duplicates: &[DuplicateColumn]) -> Vec<String> {
    const FEW: usize = 3;
    let names = |it: &DuplicateColumn| (list(&[&it.column]), list(&[&it.same_as]));
    let each = |it: &DuplicateColumn| {
        let (column, other) = names(it);
        format!(
            "{column} has the values of {other} in all training rows, and is left out; ‘duplicates’ keep takes both"
        )
    };
    if duplicates.len() <= FEW {
        return duplicates.iter().map(each).collect();
    }
    let first = duplicates.iter().take(FEW).map(names);
    let first: Vec<String> = first.map(|(column, other)| format!("{column} as {other}")).collect();
    vec![format!(
        "{} columns have the values of another one in all training rows, and are left out: {} and {} more; ‘duplicates’ keep takes all",
        count(duplicates.len() as u64),
        first.join(", "),
        count((duplicates.len() - FEW) as u64)
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FeatureScaling, Target, Targets};

    #[test]
    fn equal_columns_are_left_out_of_both_parts() {
        // x2 is x0, x3 is constant like x4, and x5 differs from x1 in one row.
        let row = |i: f64| [i, i * i, i, 7.0, 7.0, if i == 3.0 { 8.0 } else { i * i }];
        let x: Vec<f64> = (0..8).flat_map(|i| row(f64::from(i))).collect();
        let data = |x: &[f64]| {
            Dataset::from_arrays(x, 6, Targets::Numbers(vec![0.5; x.len() / 6])).unwrap()
        };
        let split = Split::with_valid(data(&x), data(&x[..12])).unwrap();
        let made = split.clone().without_duplicates(&[], &ScalingRules::default()).unwrap();
        assert_eq!(made.train.schema().features, ["x0", "x1", "x3", "x4", "x5"]);
        let valid = made.valid.as_ref().unwrap();
        assert_eq!(valid.row(1).to_vec(), [1.0, 1.0, 7.0, 7.0, 1.0]);
        assert_eq!(valid.schema(), made.train.schema());
        let note = &made.train.notes()[0];
        assert!(note.starts_with("`x2` has the values of `x0` in all training rows"), "{note}");
        // Of many columns a few are named.
        let same = data(&x.chunks(6).flat_map(|row| [row[1]; 6]).collect::<Vec<_>>());
        let many = Split { train: same, valid: None }
            .without_duplicates(&[], &ScalingRules::default())
            .unwrap();
        let want = "5 columns have the values of another one in all training rows, and are left out: `x1` as `x0`, `x2` as `x0`, \
                    `x3` as `x0` and 2 more; ‘duplicates’ keep takes all";
        assert_eq!(many.train.notes(), [want]);
        // An input that has to stay is neither left out nor a reason to leave out another.
        assert_eq!(
            split.clone().without_duplicates(&[2], &ScalingRules::default()).unwrap(),
            split
        );
        assert_eq!(
            split.clone().without_duplicates(&[0], &ScalingRules::default()).unwrap(),
            split
        );
    }

    #[test]
    fn columns_of_one_method_of_scaling_are_compared_named_or_not() {
        let x: Vec<f64> = (0..8).flat_map(|i| [f64::from(i); 3]).collect();
        let data = Dataset::from_arrays(&x, 3, Targets::Numbers(vec![0.5; 8])).unwrap();
        let split = data.split(0.0, crate::random::Seed(1)).unwrap();
        let (robust, log) = (FeatureScaling::Robust, FeatureScaling::Log);
        let left = |features, columns: &[(&str, FeatureScaling)]| {
            let columns = columns.iter().map(|(name, it)| ((*name).to_string(), *it)).collect();
            let scaling = ScalingRules { features, columns, ..ScalingRules::default() };
            let made = split.clone().without_duplicates(&[], &scaling).unwrap();
            // A rule for a column that was left out is no mistake.
            crate::data::Preprocessing::fit_by(&made.train, &scaling).unwrap();
            made.train.schema().features.clone()
        };
        let standard = FeatureScaling::Standard;
        assert_eq!(left(standard, &[]), ["x0"]);
        assert_eq!(left(standard, &[("x0", robust), ("x2", robust)]), ["x0", "x1"]);
        assert_eq!(left(robust, &[("x2", robust)]), ["x0"]);
        assert_eq!(left(standard, &[("x1", robust), ("x2", log)]), ["x0", "x1", "x2"]);
    }

    #[test]
    fn texts_gaps_and_dates_are_compared_with_their_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let mut text = String::from("a,b,c,d,e,f,g,y\n");
        for i in 0..40 {
            let port = ["C", "Q", "S", ""][i % 4];
            let other = ["C", "Q", "S", "-"][i % 4];
            let renamed = ["X", "Y", "Z", ""][i % 4];
            let age = if i % 5 == 0 { String::new() } else { (i % 11).to_string() };
            text += &format!("{port},{age},{port},{other},{age},{},{renamed},{i}\n", i % 11);
        }
        std::fs::write(&path, text).unwrap();
        let data = Dataset::from_csv(&path, Target::number("y")).unwrap().split_last(0.2).unwrap();
        let made = data.without_duplicates(&[], &ScalingRules::default()).unwrap();
        // A gap is no text, the column f has values where b has gaps, and g has other texts than a.
        let names: Vec<&str> = made.train.schema().read_columns();
        assert_eq!(names, ["a", "b", "d", "f", "g"]);
        let pairs: Vec<[&str; 2]> = made
            .train
            .schema()
            .duplicates
            .iter()
            .map(|it| [it.column.as_str(), it.same_as.as_str()])
            .collect();
        assert_eq!(pairs, [["c", "a"], ["e", "b"]]);
        assert_eq!(made.train.columns(), made.train.schema().features.len());
    }
}
