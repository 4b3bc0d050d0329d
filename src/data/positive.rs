//! Which of two classes is the positive one.
//!
//! In: a target of two classes, or labels. Out: the same, ordered so that the positive class is the later one, of index 1.
//! Absent on purpose: figures; to them index 1 is positive, whatever its name.

use std::sync::Arc;

use super::cell::shown;
use super::header::list;
use super::schema::{Schema, TargetKind};
use super::table::Dataset;
use super::target::{class_of, in_order};
use super::targets::Targets;
use crate::error::{Error, Result};

/// Which of two classes is meant where one is: the probability of a label, precision, recall and F1 without an average, and
/// rankings are of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positive {
    /// Name of the target column.
    pub column: String,
    /// The class; 1 for the network.
    pub class: String,
    /// The other one.
    pub other: String,
    /// True if the class is the later one in the order of classes, as it is unless one is chosen.
    pub later: bool,
}

impl Schema {
    /// The positive class of a target of two classes, and of each label; none for other targets.
    pub fn positives(&self) -> Vec<Positive> {
        let of = |column: &str, other: &str, class: &str| Positive {
            column: column.to_string(),
            class: class.to_string(),
            other: other.to_string(),
            later: in_order(other, class),
        };
        match &self.kind {
            TargetKind::Classes(names) => match &names[..] {
                [other, class] => vec![of(&self.target, other, class)],
                _ => vec![],
            },
            TargetKind::Labels(labels) => {
                let labels = labels.iter().map(|it| (&it.column, &it.values));
                labels.map(|(column, [other, class])| of(column, other, class)).collect()
            }
            TargetKind::Number | TargetKind::Numbers(_) => vec![],
        }
    }
}

impl Dataset {
    /// The same rows, with this one of two classes as the positive one, and in each column of labels.
    ///
    /// # Errors
    /// If the target is of another kind, or there is no such class; the message says what there is.
    pub fn with_positive(mut self, class: &str) -> Result<Self> {
        let class = class.trim();
        self.turn(class).map_err(|problem| Error::setting("positive", problem))?;
        Ok(self)
    }

    fn turn(&mut self, class: &str) -> Result<(), String> {
        let (wanted, target) = (shown(class), shown(&self.schema.target));
        match (&mut self.schema.kind, Arc::make_mut(&mut self.y)) {
            (TargetKind::Classes(names), Targets::Classes(y)) if names.len() == 2 => {
                let place = class_of(class, names).ok_or_else(|| {
                    format!("{wanted} is no class of {target}; there are {}", list(names))
                })?;
                if place == 0 {
                    names.swap(0, 1);
                    y.iter_mut().for_each(|class| *class = 1 - *class);
                    self.class_lines.reverse();
                }
                Ok(())
            }
            (TargetKind::Labels(labels), Targets::Columns(y, columns)) => {
                for (column, label) in labels.iter_mut().enumerate() {
                    let place = class_of(class, &label.values).ok_or_else(|| {
                        format!(
                            "{wanted} does not stand in {}, which holds {}; it has to be a value of every label",
                            shown(&label.column),
                            list(&label.values)
                        )
                    })?;
                    if place == 0 {
                        label.values.swap(0, 1);
                        let values = y.iter_mut().skip(column).step_by(*columns);
                        values.for_each(|value| *value = 1.0 - *value);
                    }
                }
                Ok(())
            }
            (TargetKind::Classes(names), _) => Err(format!(
                "{wanted} is to be the positive one of two classes, but {target} has {}: {}; leave the option out",
                names.len(),
                list(names)
            )),
            _ => Err(format!(
                "{wanted} is to be the positive one of two classes, but {target} is a number; use ‘task’ classify or \
                 labels, or leave the option out"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str], y: Vec<u32>) -> Dataset {
        let x: Vec<f32> = (0..y.len()).map(|i| i as f32).collect();
        let mut data = Dataset::from_arrays(&x, 1, Targets::Classes(y)).unwrap();
        data.schema.kind = TargetKind::Classes(names.iter().map(|name| (*name).into()).collect());
        data
    }

    #[test]
    fn the_positive_class_is_the_later_one_or_chosen() {
        let data = classes(&["fraud", "legit"], vec![0, 1, 1]);
        let later = Positive {
            column: "y".into(),
            class: "legit".into(),
            other: "fraud".into(),
            later: true,
        };
        assert_eq!(data.schema().positives(), [later]);
        assert_eq!(data.clone().with_positive("legit").unwrap(), data);
        let turned = data.with_positive(" fraud").unwrap();
        assert_eq!(turned.y(), &Targets::Classes(vec![1, 0, 0]));
        let [positive] = &turned.schema().positives()[..] else { panic!("one column") };
        assert_eq!((&*positive.class, positive.later), ("fraud", false));
        // Numbers are in the order of numbers, and found in other spellings.
        let numbers = classes(&["2", "10"], vec![0, 1, 1]);
        assert!(numbers.schema().positives()[0].later);
        assert_eq!(numbers.with_positive("2.0").unwrap().y(), &Targets::Classes(vec![1, 0, 0]));
    }

    #[test]
    fn every_label_has_the_positive_value() {
        let y = Targets::Columns(vec![0.0, 1.0, 1.0, 1.0], 2);
        let data = Dataset::from_arrays(&[1.0, 2.0], 1, y).unwrap().as_labels().unwrap();
        let turned = data.clone().with_positive("0").unwrap();
        assert_eq!(turned.y(), &Targets::Columns(vec![1.0, 0.0, 0.0, 0.0], 2));
        assert_eq!(turned.with_positive("1").unwrap(), data);
        let said = data.with_positive("yes").unwrap_err().to_string();
        assert!(said.contains("`yes` does not stand in `y0`, which holds `0`, `1`"), "{said}");
    }

    #[test]
    fn other_targets_are_refused_with_what_there_is() {
        let said = |data: Dataset, class: &str| data.with_positive(class).unwrap_err().to_string();
        let two = said(classes(&["a", "b"], vec![0, 1]), "c");
        assert_eq!(two, "positive: `c` is no class of `y`; there are `a`, `b`");
        let three = said(classes(&["a", "b", "c"], vec![0, 1, 2]), "c");
        assert!(three.contains("`y` has 3: `a`, `b`, `c`; leave the option out"), "{three}");
        let number = Dataset::from_arrays(&[1.0, 2.0], 1, Targets::Numbers(vec![1.0, 2.0]));
        assert!(said(number.unwrap(), "1").contains("`y` is a number; use ‘task’ classify"));
    }
}
