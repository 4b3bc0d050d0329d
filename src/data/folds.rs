//! Folds of a cross-validation: every row is held out once.
//!
//! In: a data set, the number of folds, a seed, and groups of rows. Out: the fold of each row.
//! Absent on purpose: the splits themselves, which [`Dataset::split_by_part`] makes of the folds.

use super::header::list;
use super::schema::TargetKind;
use super::split::{RowPart, SplitColumns};
use super::table::Dataset;
use super::targets::Targets;
use crate::error::{Error, Result};
use crate::random::{Purpose, Random, Seed};
use crate::shape::{self, pluralize};

/// The fold of each row, by which each fold is held out in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    count: u32,
    of_rows: Vec<u32>,
}

impl Folds {
    /// Returns the number of folds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns the fold of each row, from 0.
    pub fn of_rows(&self) -> &[u32] {
        &self.of_rows
    }

    /// Returns the rows of a fold, in the order of the table.
    pub fn rows(&self, fold: u32) -> Vec<u32> {
        (0_u32..).zip(&self.of_rows).filter(|(_, of)| **of == fold).map(|it| it.0).collect()
    }

    /// Returns the part of each row when a fold is held out, for [`Dataset::split_by_part`].
    pub fn parts(&self, fold: u32) -> SplitColumns {
        let part = |of: &u32| if *of == fold { RowPart::Valid } else { RowPart::Train };
        SplitColumns { groups: None, parts: Some(self.of_rows.iter().map(part).collect()) }
    }

    /// Returns the numbers of rows of the smallest and the largest fold.
    pub fn sizes(&self) -> (usize, usize) {
        let mut sizes = vec![0; self.count as usize];
        self.of_rows.iter().for_each(|&fold| sizes[fold as usize] += 1);
        (sizes.iter().min().copied().unwrap_or(0), sizes.iter().max().copied().unwrap_or(0))
    }
}

impl Dataset {
    /// Draws `count` folds of the rows. Each fold has as many rows of each class as the others, or one more; and with numbers or
    /// labels as many rows. With `groups`, the number of each row's group, all rows of a group are in one fold: the largest groups
    /// go first, each to the fold in which classes, or else rows, are then spread most evenly.
    ///
    /// ```
    /// use wgrad::prelude::*;
    ///
    /// let data = wgrad::data::synth::xor(200, 0.2, Seed(1));
    /// let folds = data.folds(5, None, Seed(3))?;
    /// for fold in 0..folds.count() {
    ///     let split = data.clone().split_by_part(&folds.parts(fold))?;
    ///     assert_eq!((split.train.rows(), split.valid.unwrap().rows()), (160, 40));
    /// }
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are fewer than 2 folds, more folds than rows or groups, a class with fewer rows than folds, or one whose groups are
    /// too few for it to be in the training rows of every fold, or a group larger than two folds.
    pub fn folds(&self, count: u32, groups: Option<&[u32]>, seed: Seed) -> Result<Folds> {
        if count < 2 {
            let problem =
                format!("{count}, but there must be at least 2, so that each has rows to train on");
            return Err(Error::setting("folds", problem));
        }
        if count as usize > self.rows() {
            let problem = format!(
                "{count} folds of {}; take at most as many as rows",
                pluralize(self.rows() as u64, "row")
            );
            return Err(Error::setting("folds", problem));
        }
        self.check_classes(count)?;
        let mut random = seed.stream(Purpose::Split);
        let of_rows = match groups {
            Some(groups) => self.folds_of_groups(count, groups, &mut random)?,
            None => self.folds_of_rows(count, &mut random),
        };
        Ok(Folds { count, of_rows })
    }

    /// Returns the number of classes, and each row's; one class where the target is none.
    fn classes_of_rows(&self) -> (usize, Option<&[u32]>) {
        match self.y() {
            Targets::Classes(y) => (self.classes(), Some(y)),
            Targets::Numbers(_) | Targets::Columns(..) => (1, None),
        }
    }

    fn class_name(&self, class: usize) -> String {
        match &self.schema().kind {
            TargetKind::Classes(names) => list(&names[class..=class]),
            _ => class.to_string(),
        }
    }

    /// Refuses classes with too few rows.
    fn check_classes(&self, count: u32) -> Result<()> {
        let (classes, Some(y)) = self.classes_of_rows() else { return Ok(()) };
        let mut rows = vec![0_usize; classes];
        y.iter().for_each(|&class| rows[class as usize] += 1);
        // A class without any row is no class of this table.
        let rare = (0..classes).filter(|&it| rows[it] > 0).min_by_key(|&class| rows[class]);
        match rare {
            Some(class) if rows[class] < count as usize => {
                let problem = format!(
                    "the class {} has {} of these rows, fewer than the {count} folds, so that a fold would be without it; take fewer \
                     folds, or add or leave out rows of this class",
                    self.class_name(class),
                    rows[class]
                );
                Err(Error::table(self.source(), problem))
            }
            _ => Ok(()),
        }
    }

    /// Deals the rows to the folds, one class after the other.
    fn folds_of_rows(&self, count: u32, random: &mut Random) -> Vec<u32> {
        let (classes, y) = self.classes_of_rows();
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); classes];
        for row in 0..self.rows() as u32 {
            members[y.map_or(0, |y| y[row as usize] as usize)].push(row);
        }
        let mut folds = vec![0; self.rows()];
        // The next class goes on with the fold after the last one, so that all folds have the same size.
        let mut next = 0;
        for mut rows in members {
            random.shuffle(&mut rows);
            for row in rows {
                folds[row as usize] = next;
                next = (next + 1) % count;
            }
        }
        folds
    }

    fn folds_of_groups(&self, count: u32, groups: &[u32], random: &mut Random) -> Result<Vec<u32>> {
        let refuse = |problem: String| Err(Error::table(self.source(), problem));
        if groups.len() != self.rows() {
            let (rows, there) = (self.rows(), groups.len());
            return refuse(format!(
                "{}, but the column of groups has {}",
                pluralize(rows as u64, "row"),
                pluralize(there as u64, "value")
            ));
        }
        let (classes, y) = self.classes_of_rows();
        let all = groups.iter().max().map_or(0, |last| *last as usize + 1);
        // Rows of each class in each group, and the first row of the group.
        let mut sizes = vec![vec![0_usize; classes]; all];
        let mut first = vec![None; all];
        for (row, &group) in groups.iter().enumerate() {
            sizes[group as usize][y.map_or(0, |y| y[row] as usize)] += 1;
            first[group as usize].get_or_insert(row);
        }
        let total = |group: usize| sizes[group].iter().sum::<usize>();
        let mut order: Vec<usize> = (0..all).filter(|&group| total(group) > 0).collect();
        if order.len() < count as usize {
            let problem = format!(
                "{count} folds of {}; take at most as many as groups",
                pluralize(order.len() as u64, "group")
            );
            return Err(Error::setting("folds", problem));
        }
        random.shuffle(&mut order);
        order.sort_by_key(|&group| std::cmp::Reverse(total(group)));
        let largest = total(order[0]);
        let fair = self.rows().div_ceil(count as usize);
        // With a fold for each group, folds are as unequal as groups are.
        if largest > 2 * fair && order.len() > count as usize {
            let row = first[order[0]].unwrap_or(0) + 1;
            let fit = (2 * self.rows() / largest).max(1);
            return refuse(format!(
                "the group of row {row} has {} of {}, more than two of {count} folds hold; take at most {} folds, a \
                 fold for each of the {} groups, or another column of groups",
                shape::count(largest as u64),
                pluralize(self.rows() as u64, "row"),
                fit.max(2),
                shape::count(order.len() as u64)
            ));
        }
        let of_groups = spread_groups(&order, &sizes, count);
        let folds: Vec<u32> = groups.iter().map(|&group| of_groups[group as usize]).collect();
        self.check_training(count, &folds)?;
        Ok(folds)
    }

    /// Refuses folds whose training rows lack a class.
    fn check_training(&self, count: u32, folds: &[u32]) -> Result<()> {
        let (classes, Some(y)) = self.classes_of_rows() else { return Ok(()) };
        for class in 0..classes {
            let of_class = folds.iter().zip(y).filter(|(_, of)| **of as usize == class);
            let mut seen = vec![false; count as usize];
            of_class.for_each(|(&fold, _)| seen[fold as usize] = true);
            if seen.iter().filter(|seen| **seen).count() == 1 {
                let problem = format!(
                    "all rows of the class {} are in groups of one fold, so that its network would train without this class; take \
                     other groups, or leave the class out",
                    self.class_name(class)
                );
                return Err(Error::table(self.source(), problem));
            }
        }
        Ok(())
    }
}

/// Gives each group, in this order, to the fold in which the rows of each class are then spread most evenly.
fn spread_groups(order: &[usize], sizes: &[Vec<usize>], count: u32) -> Vec<u32> {
    let classes = sizes.first().map_or(0, Vec::len);
    let totals: Vec<usize> =
        (0..classes).map(|class| sizes.iter().map(|size| size[class]).sum()).collect();
    let mut held = vec![vec![0_usize; classes]; count as usize];
    let mut of_groups = vec![0; sizes.len()];
    for (place, &group) in order.iter().enumerate() {
        // The growth of the sum of squared shares, which is least where all folds have the same.
        let growth = |fold: usize| -> f64 {
            let grown = |class: usize| {
                let (own, new) = (held[fold][class] as f64, sizes[group][class] as f64);
                (2.0 * own * new + new * new) / (totals[class].max(1) as f64).powi(2)
            };
            (0..classes).map(grown).sum()
        };
        let rows = |fold: usize| held[fold].iter().sum::<usize>();
        let empty = (0..count as usize).filter(|&fold| rows(fold) == 0).count();
        // The last groups go to folds that have none yet.
        let must_fill = order.len() - place <= empty;
        let fold = (0..count as usize)
            .filter(|&fold| !must_fill || rows(fold) == 0)
            .min_by(|&a, &b| growth(a).total_cmp(&growth(b)).then(rows(a).cmp(&rows(b))))
            .unwrap_or(0);
        of_groups[group] = fold as u32;
        (0..classes).for_each(|class| held[fold][class] += sizes[group][class]);
    }
    of_groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(y: impl Into<Targets>) -> Dataset {
        let y = y.into();
        let x: Vec<f32> = (0..y.len()).map(|row| row as f32).collect();
        Dataset::from_arrays(&x, 1, y).unwrap()
    }

    fn counts(folds: &Folds, of: impl Fn(usize) -> bool) -> Vec<usize> {
        let rows = |fold| folds.rows(fold).iter().filter(|row| of(**row as usize)).count();
        (0..folds.count()).map(rows).collect()
    }

    #[test]
    fn every_fold_has_its_part_of_each_class_and_every_row_is_held_out_once() {
        let y: Vec<u32> =
            (0..103).map(|row| u32::from(row % 10 == 0) + u32::from(row % 4 == 0)).collect();
        let data = dataset(y.clone());
        let folds = data.folds(5, None, Seed(4)).unwrap();
        for class in 0..3 {
            let counts = counts(&folds, |row| y[row] == class);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{class}: {counts:?}");
        }
        assert_eq!(folds.sizes(), (20, 21));
        assert_eq!((0..5).map(|fold| folds.rows(fold).len()).sum::<usize>(), 103);
        assert_eq!(folds, data.folds(5, None, Seed(4)).unwrap());
        assert_ne!(folds, data.folds(5, None, Seed(5)).unwrap());
    }

    #[test]
    fn groups_stay_whole_and_folds_even() {
        let y: Vec<u32> = (0..120).map(|row| row / 3 % 2).collect();
        let groups: Vec<u32> = (0..120).map(|row| row / 3).collect();
        let data = dataset(y.clone());
        let folds = data.folds(4, Some(&groups), Seed(0)).unwrap();
        for (row, group) in groups.iter().enumerate() {
            assert_eq!(folds.of_rows()[row], folds.of_rows()[*group as usize * 3]);
        }
        assert_eq!(counts(&folds, |row| y[row] == 0), [15; 4]);
        assert_eq!(folds.sizes(), (30, 30));
        // A fold for each group, however unequal.
        let unequal: Vec<u32> =
            (0..120).map(|row| if row < 90 { 0 } else { row % 2 + 1 }).collect();
        let numbers = dataset(vec![0.5; 120]);
        assert_eq!(numbers.folds(3, Some(&unequal), Seed(0)).unwrap().sizes(), (15, 90));
    }

    #[test]
    fn impossible_folds_are_refused() {
        let said = |data: &Dataset, count, groups: Option<&[u32]>| {
            data.folds(count, groups, Seed(0)).unwrap_err().to_string()
        };
        let numbers = dataset(vec![0.0; 10]);
        assert!(said(&numbers, 1, None).starts_with("folds: 1, but there must be at least 2"));
        assert!(said(&numbers, 11, None).contains("11 folds of 10 rows"));
        let groups: Vec<u32> = (0..10).map(|row| row / 5).collect();
        assert!(said(&numbers, 3, Some(&groups)).contains("3 folds of 2 groups"));
        let large: Vec<u32> = (0..20).map(|row| if row < 15 { 0 } else { row }).collect();
        let told = said(&dataset(vec![0.0; 20]), 3, Some(&large));
        assert!(told.contains("the group of row 1 has 15 of 20 rows"), "{told}");
        let classes = dataset(vec![0_u32, 0, 0, 0, 0, 0, 0, 1, 1, 0]);
        assert!(
            said(&classes, 3, None).contains("`1` has 2 of these rows, fewer than the 3 folds")
        );
        let groups = [0, 1, 2, 3, 4, 5, 6, 7, 7, 8];
        assert!(said(&classes, 2, Some(&groups)).contains("all rows of the class `1`"));
    }
}
