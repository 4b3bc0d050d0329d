//! Which rows are held out for validation.
//!
//! In: a data set, a share, a seed, and what columns say of each row. Out: [`Split`], two data sets with the rows in table order.
//! Absent on purpose: a third part for testing; that is another table, for `evaluate`.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use super::cell::shown;
use super::header::list;
use super::kinds::RawKind;
use super::number_builder::part_rows;
use super::schema::TargetKind;
use super::table::Dataset;
use super::targets::Targets;
use crate::error::{Error, Result};
use crate::random::{Purpose, Seed};
use crate::shape::{count, pluralize};

/// Bytes of features up to which both parts of a table are copies. Tests have small tables, and should part some of them in place.
const SMALL_TABLE: u64 = if cfg!(test) { 1 << 10 } else { 256 << 20 };

/// Rows to learn from and rows to judge by.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Rows that training sees.
    pub train: Dataset,
    /// Rows that it never sees, if any were held out.
    pub valid: Option<Dataset>,
}

/// Part of a split that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowPart {
    /// To learn from.
    Train,
    /// To judge by while training.
    Valid,
    /// For a test after training: in neither of the two.
    Test,
}

impl FromStr for RowPart {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let text = text.trim();
        let is = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
        if is(&["train", "training"]) {
            Ok(Self::Train)
        } else if is(&["valid", "validation", "val"]) {
            Ok(Self::Valid)
        } else if is(&["test", "testing"]) {
            Ok(Self::Test)
        } else {
            Err(format!("{} is no part of a split; it must be train, valid or test", shown(text)))
        }
    }
}

/// Columns of a table that decide each row's part of a split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitColumns {
    /// Number of each row's group, counted from 0 in the order of the table.
    pub groups: Option<Vec<u32>>,
    /// Part that each row belongs to.
    pub parts: Option<Vec<RowPart>>,
}

impl SplitColumns {
    /// Returns the number of rows for a test.
    pub fn test_rows(&self) -> usize {
        let parts = self.parts.iter().flatten();
        parts.filter(|part| **part == RowPart::Test).count()
    }
}

impl Split {
    /// Takes two tables as they are.
    ///
    /// # Errors
    ///
    /// When their columns, target or classes differ.
    pub fn with_valid(train: Dataset, valid: Dataset) -> Result<Self> {
        let (train, valid) = together(train, valid)?;
        let (a, b) = (train.schema(), valid.schema());
        let differing = if a.features != b.features {
            format!("feature columns {}, but {}", list(&b.features), list(&a.features))
        } else if a.target != b.target {
            format!("target `{}`, but `{}`", b.target, a.target)
        } else if a.kind != b.kind {
            format!("target with {}, but {}", describe(&b.kind), describe(&a.kind))
        } else {
            return Ok(Self { train, valid: Some(valid) });
        };
        Err(Error::table(
            valid.source(),
            format!(
                "the validation table has {differing} in the training table ({})",
                train.source()
            ),
        ))
    }
}

/// Turns columns of both parts into inputs, fitted to the training rows, where they are not inputs yet.
fn together(train: Dataset, valid: Dataset) -> Result<(Dataset, Dataset)> {
    let columns =
        if train.is_encoded() { train.schema().all_columns() } else { train.fitted_columns()? };
    let train = if train.is_encoded() { train } else { train.encode_by(&columns)? };
    let read_apart = !valid.is_encoded() || valid.schema().columns != train.schema().columns;
    let valid = if read_apart { valid.encode_by(&columns)? } else { valid };
    let valid = valid.fill_from(&train)?;
    // Columns of weights that training begins with may have had no gaps.
    let train = if train.x().has_nan() { train.clone().fill_from(&train)? } else { train };
    Ok((train, valid))
}

/// Returns the places of the rows that are held out, or of the others.
fn places_of(held_out: &[bool], held: bool) -> impl Iterator<Item = u32> {
    (0_u32..).zip(held_out).filter(move |(_, h)| **h == held).map(|(row, _)| row)
}

fn describe(kind: &TargetKind) -> String {
    match kind {
        TargetKind::Classes(labels) => format!("classes {}", list(labels)),
        TargetKind::Number => "numbers".into(),
        TargetKind::Numbers(columns) => format!("numbers in {}", list(columns)),
        TargetKind::Labels(labels) => {
            let columns: Vec<&str> = labels.iter().map(|label| label.column.as_str()).collect();
            format!("labels in {}", list(&columns))
        }
    }
}

impl Dataset {
    /// Holds out a fraction `share` of the rows (0 holds out none), chosen by `seed`. Gaps, texts and dates become inputs, as the training
    /// rows decide.
    ///
    /// The same fraction of each class is taken, rounded such that the total is that of the whole table, and each class has
    /// a row in both parts; but the only row of a class is for training. If rows have weights, it is the same fraction of
    /// each class's weight.
    ///
    /// ```
    /// use wgrad::prelude::*;
    ///
    /// let data = wgrad::data::synth::xor(100, 0.2, Seed(1)).split(0.2, Seed(7))?;
    /// let valid = data.valid.as_ref().map(Dataset::rows);
    /// assert_eq!((data.train.rows(), valid), (80, Some(20)));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `share` is not in [0, 1), or when there are too few rows for it.
    pub fn split(self, share: f64, seed: Seed) -> Result<Split> {
        let Some(total) = self.rows_to_hold_out(share)? else {
            return Ok(Split { train: self.encoded()?, valid: None });
        };
        let rows = self.rows();
        let mut random = seed.stream(Purpose::Split);
        let mut held_out = vec![false; rows];
        match self.y() {
            // Without classes there are no groups to keep in proportion.
            Targets::Numbers(_) | Targets::Columns(..) => {
                // Large tables have little memory to spare.
                let mut rows: Vec<u32> = (0..rows as u32).collect();
                random.shuffle(&mut rows);
                rows[..total].iter().for_each(|&row| held_out[row as usize] = true);
            }
            Targets::Classes(y) => {
                // Class by class, so that a rare class is in both parts.
                let mut members = vec![Vec::new(); self.classes()];
                for (row, &class) in y.iter().enumerate() {
                    members[class as usize].push(row);
                }
                let counts = self.counts_by_class(&members, total, share)?;
                for (mut members, count) in members.into_iter().zip(counts) {
                    random.shuffle(&mut members);
                    let count = match self.weights() {
                        Some(weights) => count_by_weight(&members, weights, share),
                        None => count,
                    };
                    members[..count].iter().for_each(|&row| held_out[row] = true);
                }
            }
        }
        self.parted(&held_out)
    }

    /// Holds out the last rows of the table, a fraction `share` of all (0 holds out none): for rows in the order of time.
    ///
    /// # Errors
    ///
    /// When `share` is not in [0, 1), or when there are too few rows for it.
    pub fn split_last(self, share: f64) -> Result<Split> {
        let Some(total) = self.rows_to_hold_out(share)? else {
            return Ok(Split { train: self.encoded()?, valid: None });
        };
        let first = self.rows() - total;
        let held_out: Vec<bool> = (0..self.rows()).map(|row| row >= first).collect();
        let remark = self.later_rows(first);
        let mut data = self;
        if remark.is_some() {
            data.notes = Arc::new(data.notes.iter().cloned().chain(remark).collect());
        }
        data.parted(&held_out)
    }

    /// Returns a remark on training rows that are later than the rows from `first` on, if a column has dates.
    fn later_rows(&self, first: usize) -> Option<String> {
        /// Share of the training rows from which they are told: a few may have a wrong date.
        const SHARE: usize = 20;
        let columns = self.raw.as_ref()?.columns.iter().enumerate();
        let mut dated = columns.filter(|(_, column)| matches!(column.kind, RawKind::Date { .. }));
        dated.find_map(|(place, column)| {
            let days = |rows: Range<usize>| -> Vec<f64> {
                let of_rows = self.column(place).skip(rows.start).take(rows.len());
                of_rows.filter(|day| !day.is_nan()).collect()
            };
            let (train, mut valid) = (days(0..first), days(first..self.rows()));
            if valid.is_empty() {
                return None;
            }
            let middle = valid.len() / 2;
            let median = *valid.select_nth_unstable_by(middle, f64::total_cmp).1;
            let later = train.iter().filter(|day| **day > median).count();
            (later * SHARE > train.len()).then(|| {
                format!(
                    "the last rows are for validation, but by {} {} of {} training rows are later than most of them; sort the table by time, \
                     the earliest rows first",
                    shown(&column.name),
                    count(later as u64),
                    count(train.len() as u64)
                )
            })
        })
    }

    /// Holds out whole groups of rows, chosen by `seed`, that have about a fraction `share` of all rows (0 holds out none): for
    /// rows that resemble each other, such as those of one patient.
    ///
    /// # Errors
    ///
    /// When `share` is not in [0, 1), when `columns` has no group for each row, or when there is one group only.
    pub fn split_by_group(self, share: f64, columns: &SplitColumns, seed: Seed) -> Result<Split> {
        let Some(total) = self.rows_to_hold_out(share)? else {
            return Ok(Split { train: self.encoded()?, valid: None });
        };
        let groups = columns.groups.as_deref().unwrap_or_default();
        self.check_columns(groups.len())?;
        let count = groups.iter().max().map_or(0, |last| *last as usize + 1);
        let mut sizes = vec![0_usize; count];
        groups.iter().for_each(|&group| sizes[group as usize] += 1);
        let mut order: Vec<usize> = (0..count).filter(|&group| sizes[group] > 0).collect();
        if order.len() < 2 {
            let problem = "all rows are of one group, so that none can be held out as a whole; use ‘valid’ 0 for none, or another column";
            return Err(Error::table(self.source(), problem));
        }
        seed.stream(Purpose::Split).shuffle(&mut order);
        let mut held = vec![false; count];
        let (mut taken, mut chosen) = (0, 0);
        for &group in &order {
            // A group belongs to them if at least half of it lies within the share.
            if 2 * taken + sizes[group] <= 2 * total && chosen + 1 < order.len() {
                held[group] = true;
                taken += sizes[group];
                chosen += 1;
            }
        }
        // If all groups are larger than twice the share, the smallest one comes nearest.
        if chosen == 0
            && let Some(&least) = order.iter().min_by_key(|&&group| sizes[group])
        {
            held[least] = true;
        }
        let held_out: Vec<bool> = groups.iter().map(|&group| held[group as usize]).collect();
        self.parted(&held_out)
    }

    /// Splits as a column of the table says. Rows for a test are in neither part.
    ///
    /// # Errors
    ///
    /// When `columns` has no part for each row, or no row is for training.
    pub fn split_by_part(self, columns: &SplitColumns) -> Result<Split> {
        let parts = columns.parts.as_deref().unwrap_or_default();
        self.check_columns(parts.len())?;
        let rows = |wanted: RowPart| -> Vec<u32> {
            (0_u32..).zip(parts).filter(|(_, part)| **part == wanted).map(|it| it.0).collect()
        };
        let (train, valid) = (rows(RowPart::Train), rows(RowPart::Valid));
        if train.is_empty() {
            let problem =
                "no row is for training; the column of parts must say train for some of them";
            return Err(Error::table(self.source(), problem));
        }
        if valid.is_empty() {
            return Ok(Split { train: self.into_subset(&train)?.encoded()?, valid: None });
        }
        let valid = self.held_out(&valid)?;
        let (train, valid) = together(self.into_subset(&train)?, valid)?;
        Ok(Split { train, valid: Some(valid) })
    }

    /// Returns a copy of the rows that are held out, which know their places in this table.
    fn held_out(&self, rows: &[u32]) -> Result<Self> {
        let held = self.try_subset(rows)?;
        Ok(Self { places: Some(Arc::new(rows.iter().copied().collect())), ..held })
    }

    /// Checks that a column by which rows are split has a value for each of them.
    fn check_columns(&self, values: usize) -> Result<()> {
        if values == self.rows() {
            return Ok(());
        }
        let problem = format!(
            "{}, but the column to split by has {}",
            pluralize(self.rows() as u64, "row"),
            pluralize(values as u64, "value")
        );
        Err(Error::table(self.source(), problem))
    }

    /// Returns the number of rows that are a fraction `share` of all; `None` for 0.
    fn rows_to_hold_out(&self, share: f64) -> Result<Option<usize>> {
        if !(0.0..1.0).contains(&share) {
            return Err(Error::setting(
                "valid",
                format!("a share must be at least 0 and below 1, but this is {share}"),
            ));
        }
        if share == 0.0 {
            return Ok(None);
        }
        let rows = self.rows();
        // The whole number is rounded once, so that many small classes do not add up their rounding.
        let total = (rows as f64 * share).round() as usize;
        if total == 0 || total >= rows {
            let part = if total == 0 { "validation" } else { "training" };
            return Err(Error::table(
                self.source(),
                format!(
                    "a validation share of {share} of {} leaves no row for {part}; \
                     use another ‘valid’, or ‘valid’ 0 for none",
                    pluralize(rows as u64, "row")
                ),
            ));
        }
        Ok(Some(total))
    }

    /// Parts the rows, and turns their columns into inputs. Both parts keep the order of the table, whatever the order of drawing was.
    fn parted(self, held_out: &[bool]) -> Result<Split> {
        let parted = match self.parted_in_place(held_out) {
            Ok((train, valid)) => {
                let (train, valid) = together(train, valid)?;
                return Ok(Split { train, valid: Some(valid) });
            }
            Err(whole) => *whole,
        };
        parted.parted_by_copies(held_out)
    }

    /// Parts the rows of a table of numbers in memory that nobody else has, without a second copy of any of them; returns other tables as
    /// they are.
    fn parted_in_place(mut self, held_out: &[bool]) -> Result<(Self, Self), Box<Self>> {
        // Columns that become inputs are copied anyway, after which the numbers of the whole are not needed any more. Nor are those of the
        // training rows of a small table once a device has them, while the other part would keep them.
        if !self.is_encoded() || !self.odd.is_empty() || self.x.bytes() <= SMALL_TABLE {
            return Err(Box::new(self));
        }
        let x = match Arc::try_unwrap(std::mem::take(&mut self.x)) {
            Ok(x) => x,
            Err(shared) => {
                self.x = shared;
                return Err(Box::new(self));
            }
        };
        let (train_x, valid_x) = match x.parted(self.columns(), held_out) {
            Ok(parts) => parts,
            Err(x) => {
                self.x = Arc::new(x);
                return Err(Box::new(self));
            }
        };
        let nothing = Arc::new(Targets::Classes(Vec::new()));
        let (train_y, valid_y) =
            Arc::unwrap_or_clone(std::mem::replace(&mut self.y, nothing)).parted(held_out);
        let weights = self.weights.take().map(|weights| {
            let mut weights = Arc::unwrap_or_clone(weights);
            let kept = part_rows(&mut weights, 1, held_out);
            let valid = weights.split_off(kept);
            weights.shrink_to_fit();
            (Arc::new(weights), Arc::new(valid))
        });
        let (train_weights, valid_weights) = weights.unzip();
        // The first row of a class in a part need not be the first one in the file.
        self.class_lines = Vec::new();
        let valid = Self {
            x: Arc::new(valid_x),
            y: Arc::new(valid_y),
            weights: valid_weights,
            places: Some(Arc::new(places_of(held_out, true).collect())),
            ..self.clone()
        };
        Ok((
            Self { x: Arc::new(train_x), y: Arc::new(train_y), weights: train_weights, ..self },
            valid,
        ))
    }

    /// Parts the rows, of which each part gets a copy.
    fn parted_by_copies(self, held_out: &[bool]) -> Result<Split> {
        let valid = self.held_out(&places_of(held_out, true).collect::<Vec<u32>>())?;
        let train = self.into_subset(&places_of(held_out, false).collect::<Vec<u32>>())?;
        let (train, valid) = together(train, valid)?;
        Ok(Split { train, valid: Some(valid) })
    }

    /// Returns the number of rows of each class to hold out, `total` together.
    fn counts_by_class(
        &self,
        members: &[Vec<usize>],
        total: usize,
        share: f64,
    ) -> Result<Vec<usize>> {
        let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
        let lone = sizes.iter().filter(|&&size| size == 1).count();
        let present = sizes.iter().filter(|&&size| size > 1).count();
        let rows = self.rows();
        // A lone row is for training, where it can be learned of.
        let sizes: Vec<usize> =
            sizes.into_iter().map(|size| if size == 1 { 0 } else { size }).collect();
        let parted = rows - lone;
        if total < present || total + present > parted {
            let (part, left) =
                if total < present { ("validation", total) } else { ("training", rows - total) };
            let edge = present as f64 / rows as f64;
            let most = parted.saturating_sub(present) as f64 / rows as f64;
            if present == 0 || most < edge {
                return Err(Error::table(
                    self.source(),
                    format!(
                        "{} of {} classes have one row only, so that no rows are left to hold out; add rows, or hold out none \
                         with ‘valid’ 0",
                        count(lone as u64),
                        count(members.iter().filter(|rows| !rows.is_empty()).count() as u64)
                    ),
                ));
            }
            let remedy = if total < present {
                format!("at least {:.3}", (edge * 1000.0).ceil() / 1000.0)
            } else {
                format!("at most {:.3}", (most * 1000.0).floor() / 1000.0)
            };
            let (rows, left) = (pluralize(rows as u64, "row"), count(left as u64));
            let leaves =
                format!("a validation share of {share} of {rows} leaves {left} for {part}");
            let but = match lone {
                0 => format!(", but each of {} classes needs one there", count(present as u64)),
                _ => format!(
                    ": {} of {} classes have one row only, which is for training, and of each of the others both parts \
                     need one",
                    count(lone as u64),
                    count((lone + present) as u64),
                ),
            };
            return Err(Error::table(
                self.source(),
                format!("{leaves}{but}; use ‘valid’ {remedy}, or ‘valid’ 0 for none"),
            ));
        }
        Ok(largest_remainder(&sizes, total))
    }

    /// Classes that have one row only, each with the line of it where that is known.
    #[cfg(feature = "cli")]
    pub(crate) fn lone_classes(&self) -> Vec<(String, Option<u64>)> {
        let (Targets::Classes(y), TargetKind::Classes(labels)) = (self.y(), &self.schema().kind)
        else {
            return Vec::new();
        };
        let mut sizes = vec![0_usize; labels.len()];
        y.iter().for_each(|&class| sizes[class as usize] += 1);
        let lone = labels.iter().zip(sizes).enumerate().filter(|(_, (_, size))| *size == 1);
        lone.map(|(class, (label, _))| (label.clone(), self.class_lines.get(class).copied()))
            .collect()
    }
}

/// Number of the first rows of a class whose weights come nearest to the share of its weight; at least 1, and at most all
/// but 1, and 0 of a class with a single row.
fn count_by_weight(members: &[usize], weights: &[f64], share: f64) -> usize {
    // The row of a class that has no other one is for training.
    let Some(most) = members.len().checked_sub(1).filter(|most| *most > 0) else { return 0 };
    let wanted = share * members.iter().map(|&row| weights[row]).sum::<f64>();
    let mut taken = 0.0;
    // A row belongs to them if more than half of its weight lies within the share.
    let count = members.iter().take_while(|&&row| {
        taken += weights[row];
        taken - weights[row] / 2.0 < wanted
    });
    count.count().clamp(1, most)
}

/// Divides `total` in proportion to `sizes`, at least 1 and at most all but 1 of each that is not 0.
///
/// Hamilton's method: whole parts first, then one more where the remainder is largest (the first
/// of equals), in whole numbers, so that no rounding decides. Needs sizes other than 1 and a
/// total within the bounds.
fn largest_remainder(sizes: &[usize], total: usize) -> Vec<usize> {
    let rows: usize = sizes.iter().sum();
    // Products of two row counts, each below 2^32, and their difference: beyond an i64.
    let owed = |size: usize, count: usize| {
        (size as i128) * (total as i128) - (count as i128) * (rows as i128)
    };
    let mut counts: Vec<usize> = sizes
        .iter()
        .map(|&size| match size {
            0 => 0,
            _ => ((size as u128 * total as u128 / rows as u128) as usize).clamp(1, size - 1),
        })
        .collect();
    let mut given: usize = counts.iter().sum();
    while given < total {
        let open = (0..sizes.len()).filter(|&c| counts[c] + 1 < sizes[c]);
        let Some(c) = open.max_by_key(|&c| (owed(sizes[c], counts[c]), std::cmp::Reverse(c)))
        else {
            break;
        };
        counts[c] += 1;
        given += 1;
    }
    // The lower bound of 1 may have given away too much.
    while given > total {
        let open = (0..sizes.len()).filter(|&c| counts[c] > 1);
        let Some(c) = open.min_by_key(|&c| (owed(sizes[c], counts[c]), c)) else { break };
        counts[c] -= 1;
        given -= 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One feature that tells the row's number.
    fn classes(y: Vec<u32>) -> Dataset {
        let x: Vec<f32> = (0..y.len()).map(|i| i as f32).collect();
        Dataset::from_arrays(&x, 1, Targets::Classes(y)).unwrap()
    }

    fn numbers(rows: usize) -> Dataset {
        let x: Vec<f64> = (0..rows).map(|i| i as f64).collect();
        Dataset::from_arrays(&x, 1, Targets::Numbers(x.clone())).unwrap()
    }

    #[test]
    fn remainders_decide() {
        // Quotas 2.5, 1.5, 1.0: the first of two equal remainders gets the odd row.
        assert_eq!(largest_remainder(&[25, 15, 10], 5), [3, 1, 1]);
        // Quotas 9.8, 0.1, 0.1, and each class needs one.
        assert_eq!(largest_remainder(&[980, 10, 10], 10), [8, 1, 1]);
        // Quotas 1.4, 1.4 and 4.2, but one row of each must stay.
        assert_eq!(largest_remainder(&[2, 2, 6], 8 - 1), [1, 1, 5]);
        assert_eq!(largest_remainder(&[4, 0, 4], 2), [1, 0, 1]);
    }

    #[test]
    fn of_each_class_the_same_share_of_its_weight_is_held_out() {
        // One row of class 0 weighs as much as the 90 others.
        let y: Vec<u32> = (0..200).map(|i| i % 2).collect();
        let weights: Vec<f64> =
            (0..200).map(|i| if i < 20 && i % 2 == 0 { 9.0 } else { 1.0 }).collect();
        for seed in 0..20 {
            let data = classes(y.clone()).with_weights(weights.clone()).unwrap();
            let valid = data.split(0.2, Seed(seed)).unwrap().valid.unwrap();
            let Targets::Classes(labels) = valid.y() else { panic!("numbers") };
            let weight = |class: u32| -> f64 {
                let rows = labels.iter().zip(valid.weights().unwrap());
                rows.filter(|(label, _)| **label == class).map(|(_, weight)| weight).sum()
            };
            // 0.2 of 180 and of 100, within half of the row at the edge.
            assert!((weight(0) - 36.0).abs() <= 4.5, "{}", weight(0));
            assert_eq!(weight(1), 20.0);
        }
        assert_eq!(count_by_weight(&[0], &weights, 0.9), 0);
        assert_eq!(count_by_weight(&[0, 1], &weights, 0.01), 1);
    }

    #[test]
    fn a_seed_decides_the_rows() {
        let data = classes((0..60).map(|i| i % 3).collect());
        let split = |seed| data.clone().split(0.2, Seed(seed)).unwrap();
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
        assert_eq!(
            data.clone().split(0.0, Seed(1)).unwrap(),
            Split { train: data.clone(), valid: None }
        );
    }

    #[test]
    fn impossible_splits_are_refused() {
        let said =
            |data: Dataset, share| data.split(share, Seed(0)).expect_err("refused").to_string();
        for share in [-0.1, 1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(said(numbers(9), share).starts_with("valid: a share must be"), "{share}");
        }
        assert!(said(numbers(4), 0.1).contains("no row for validation"));
        assert!(said(numbers(4), 0.9).contains("no row for training"));
        assert!(said(numbers(1), 0.5).contains("no row for training"));
        let lone = said(classes(vec![0, 1, 2]), 0.3);
        assert!(lone.starts_with("arrays: 3 of 3 classes have one row only"), "{lone}");
        let few = said(classes(vec![0, 0, 0, 0, 1]), 0.8);
        assert!(
            few.contains("leaves 1 for training") && few.contains("‘valid’ at most 0.600"),
            "{few}"
        );
        let wide = said(classes((0..30).map(|i| i % 10).collect()), 0.2);
        assert!(wide.contains("6 for validation, but each of 10 classes"), "{wide}");
        assert!(wide.contains("‘valid’ at least 0.334"), "{wide}");
        // Classes of one row are told apart from the others, which alone are held out of.
        let mixed = said(classes((0..20).chain([0]).collect()), 0.2);
        assert!(
            mixed.contains(
                "leaves 17 for training: 19 of 20 classes have one row only, which is for"
            ) && mixed.contains("‘valid’ at most 0.047"),
            "{mixed}"
        );
        let narrow = said(classes((0..30).map(|i| i % 10).collect()), 0.8);
        assert!(narrow.contains("‘valid’ at most 0.666"), "{narrow}");
        for share in [0.334, 0.666] {
            assert!(classes((0..30).map(|i| i % 10).collect()).split(share, Seed(0)).is_ok());
        }
    }

    #[test]
    fn a_row_that_is_alone_of_its_class_is_for_training() {
        let data = classes(vec![0, 0, 1, 0, 0, 2, 3, 3]);
        let lone = data.lone_classes();
        assert_eq!(lone, [("1".to_string(), None), ("2".to_string(), None)]);
        for seed in 0..8 {
            let Split { train, valid } = data.clone().split(0.5, Seed(seed)).unwrap();
            let valid = valid.unwrap();
            assert_eq!((train.rows(), valid.rows()), (4, 4));
            let Targets::Classes(held) = valid.y() else { unreachable!() };
            let mut held = held.clone();
            held.sort_unstable();
            assert_eq!(held, [0, 0, 0, 3]);
            assert!(
                train.x().to_vec().contains(&2.0) && train.x().to_vec().contains(&5.0),
                "{:?}",
                train.x()
            );
        }
    }

    #[test]
    fn the_last_rows_are_held_out_in_their_order() {
        let Split { train, valid } = numbers(10).split_last(0.3).unwrap();
        assert_eq!(train.x().to_vec(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(valid.unwrap().x().to_vec(), [7.0, 8.0, 9.0]);
        assert_eq!(numbers(10).split_last(0.0).unwrap().valid, None);
        let said = numbers(4).split_last(0.1).unwrap_err().to_string();
        assert!(said.contains("no row for validation"), "{said}");
    }

    #[test]
    fn a_group_is_on_one_side() {
        // Groups of one to eight rows, which lie between each other.
        let groups: Vec<u32> = (0..8_u32).flat_map(|group| group..8).collect();
        let columns = SplitColumns { groups: Some(groups.clone()), parts: None };
        let mut held = Vec::new();
        for seed in 0..20 {
            let data = numbers(groups.len());
            let Split { train, valid } = data.split_by_group(0.25, &columns, Seed(seed)).unwrap();
            let of = |part: &Dataset| -> std::collections::BTreeSet<u32> {
                part.x().iter().map(|row| groups[row as usize]).collect()
            };
            let valid = valid.unwrap();
            assert!(of(&train).is_disjoint(&of(&valid)));
            assert_eq!(train.rows() + valid.rows(), groups.len());
            // 9 rows, within half of the largest group.
            assert!((5..=13).contains(&valid.rows()), "{}", valid.rows());
            held.push(of(&valid));
        }
        held.dedup();
        assert!(held.len() > 5, "{held:?}");
        let split = |groups: Vec<u32>, share| {
            let columns = SplitColumns { groups: Some(groups), parts: None };
            numbers(4).split_by_group(share, &columns, Seed(1))
        };
        assert_eq!(split(vec![0, 0, 0, 1], 0.5).unwrap().valid.unwrap().rows(), 1);
        assert_eq!(split(vec![0, 0, 1, 1], 0.8).unwrap().train.rows(), 2);
        for (groups, want) in [(vec![0; 4], "one group"), (vec![0, 1], "has 2 values")] {
            let said = split(groups, 0.5).unwrap_err().to_string();
            assert!(said.contains(want), "{said}");
        }
    }

    #[test]
    fn a_column_says_which_part_a_row_is_in() {
        let parts = |text: &str| SplitColumns {
            groups: None,
            parts: Some(text.split(' ').map(|part| part.parse().unwrap()).collect()),
        };
        let columns = parts("train TEST valid Train val test");
        let Split { train, valid } = numbers(6).split_by_part(&columns).unwrap();
        assert_eq!((train.x().to_vec(), columns.test_rows()), (vec![0.0, 3.0], 2));
        assert_eq!(valid.unwrap().x().to_vec(), [2.0, 4.0]);
        assert_eq!(numbers(2).split_by_part(&parts("train test")).unwrap().valid, None);
        let said = numbers(2).split_by_part(&parts("valid test")).unwrap_err().to_string();
        assert!(said.contains("no row is for training"), "{said}");
        assert!("tran".parse::<RowPart>().unwrap_err().contains("`tran` is no part"));
    }

    #[test]
    fn tables_of_a_split_agree() {
        let data = classes(vec![0, 1, 0, 1]);
        assert!(Split::with_valid(data.clone(), data.subset(&[0])).is_ok());
        let said = |valid: Dataset| {
            Split::with_valid(data.clone(), valid).expect_err("refused").to_string()
        };
        assert!(
            said(classes(vec![0, 1, 2])).contains("classes `0`, `1`, `2`, but classes `0`, `1` in")
        );
        assert!(said(numbers(3)).contains("numbers, but classes"));
        let mut renamed = data.clone();
        renamed.schema.features[0] = "z".into();
        assert!(said(renamed).contains("feature columns `z`, but `x0`"));
    }

    proptest! {
        #[test]
        fn rows_are_parted_once_in_order_and_by_class(
            sizes in prop::collection::vec(2_usize..40, 2..6), share in 0.0..1.0_f64, seed: u64
        ) {
            let mut y: Vec<u32> =
                sizes.iter().enumerate().flat_map(|(c, &n)| vec![c as u32; n]).collect();
            Seed(seed).stream(Purpose::Synthetic).shuffle(&mut y);
            let rows = y.len();
            let total = (rows as f64 * share).round() as usize;
            let possible = share > 0.0 && (sizes.len()..=rows - sizes.len()).contains(&total);
            let Ok(Split { train, valid: Some(valid) }) = classes(y.clone()).split(share, Seed(seed)) else {
                prop_assert!(!possible, "{sizes:?} {share}");
                return Ok(());
            };
            prop_assert!(possible);
            prop_assert_eq!(valid.rows(), total);
            for part in [&train, &valid] {
                prop_assert!(part.x().iter().is_sorted());
                let Targets::Classes(labels) = part.y() else { unreachable!() };
                for (x, label) in part.x().iter().zip(labels) {
                    prop_assert_eq!(*label, y[x as usize]);
                }
            }
            let mut all = [train.x().to_vec(), valid.x().to_vec()].concat();
            all.sort_by(f64::total_cmp);
            prop_assert_eq!(all, (0..rows).map(|i| i as f64).collect::<Vec<_>>());

            let Targets::Classes(labels) = valid.y() else { unreachable!() };
            let quotas: Vec<f64> = sizes.iter().map(|&n| n as f64 * total as f64 / rows as f64).collect();
            let free = quotas.iter().zip(&sizes).all(|(&q, &n)| q >= 1.0 && q <= n as f64 - 1.0);
            for (class, (&size, quota)) in sizes.iter().zip(quotas).enumerate() {
                let held = labels.iter().filter(|&&label| label as usize == class).count();
                prop_assert!(held >= 1 && held < size);
                // Where no bound interferes, largest remainders stay within one row of the share.
                prop_assert!(!free || (held as f64 - quota).abs() < 1.0, "{held} {quota}");
            }
        }

        #[test]
        fn numbers_are_parted_once(rows in 2_usize..200, share in 0.0..1.0_f64, seed: u64) {
            let total = (rows as f64 * share).round() as usize;
            if let Ok(Split { train, valid: Some(valid) }) = numbers(rows).split(share, Seed(seed)) {
                prop_assert_eq!(valid.rows(), total);
                prop_assert!(train.x().iter().is_sorted() && valid.x().iter().is_sorted());
                let mut all = [train.x().to_vec(), valid.x().to_vec()].concat();
                all.sort_by(f64::total_cmp);
                prop_assert_eq!(all, (0..rows).map(|i| i as f64).collect::<Vec<_>>());
            } else {
                prop_assert!(share == 0.0 || total == 0 || total == rows);
            }
        }
    }
}
