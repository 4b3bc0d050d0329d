//! A table in the order of the columns, classes and targets of an earlier table, to which weights belong.
//!
//! In: a data set, the [`Schema`] of the earlier table. Out: the same rows in its order, and the names that do not match.
//! Absent on purpose: weights, and what to do about a mismatch.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::column::ColumnEncoding;
use super::header::list;
use super::schema::{BinaryColumn, Schema, TargetKind};
use super::table::Dataset;
use super::target::classes_of;
use super::targets::Targets;

/// A data set in another one's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Arranged {
    /// Rows as before; columns, classes and targets in the other one's order as far as both have the same names.
    pub data: Dataset,
    /// Differences of the feature columns.
    pub features: Vec<String>,
    /// Differences of the targets.
    pub targets: Vec<String>,
}

impl Schema {
    /// Lists the columns, targets and classes that only one of two tables has, whatever their order.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut problems = differences(&other.features, &self.features, "column", "columns");
        let names = |schema: &Self| -> Vec<String> {
            schema.targets().into_iter().map(String::from).collect()
        };
        problems.extend(differences(&names(other), &names(self), "target", "targets"));
        match (&self.kind, &other.kind) {
            (TargetKind::Classes(own), TargetKind::Classes(theirs)) => {
                problems.extend(differences(theirs, own, "class", "classes"));
            }
            (TargetKind::Number, TargetKind::Number)
            | (TargetKind::Numbers(_), TargetKind::Numbers(_))
            | (TargetKind::Labels(_), TargetKind::Labels(_)) => {}
            (own, theirs) => problems.push(other_kind(theirs, own)),
        }
        problems
    }
}

impl Schema {
    /// Says what of a table, read as an earlier one was, is not as it was there: columns that are equal to another one or no longer are,
    /// columns that only one of the two has, and columns and targets of another kind. Empty if all that a model depends on is the same.
    pub fn changes(&self, was: &Self) -> Vec<String> {
        let name = |name: &str| list(&[name]);
        let (has, had) = (self.read_columns(), was.read_columns());
        let (has, had): (HashSet<&str>, HashSet<&str>) =
            (has.into_iter().collect(), had.into_iter().collect());
        let parted = was.duplicates.iter().filter(|it| has.contains(it.column.as_str()));
        let joined = self.duplicates.iter().filter(|it| had.contains(it.column.as_str()));
        let explained: HashSet<&str> =
            parted.clone().chain(joined.clone()).map(|it| it.column.as_str()).collect();
        let parted: Vec<String> = parted.map(|it| {
            format!(
                "{} had the values of {} in all training rows and was left out, and has others now",
                name(&it.column),
                name(&it.same_as)
            )
        }).collect();
        let joined: Vec<String> = joined.map(|it| {
            format!(
                "{} has the values of {} in all training rows now and is left out, and had others",
                name(&it.column),
                name(&it.same_as)
            )
        }).collect();
        let rest = |schema: &Self| -> Vec<String> {
            let columns = schema.read_columns().into_iter();
            columns.filter(|it| !explained.contains(it)).map(String::from).collect()
        };
        let mut changes = few(parted);
        changes.extend(few(joined));
        changes.extend(differences(&rest(self), &rest(was), "column", "columns"));
        let kinds: HashMap<&str, &ColumnEncoding> =
            was.columns.iter().map(|it| (it.name.as_str(), &it.encoding)).collect();
        let other = self
            .columns
            .iter()
            .filter(|it| kinds.get(it.name.as_str()).is_some_and(|was| **was != it.encoding));
        let other: Vec<&str> = other.map(|it| it.name.as_str()).collect();
        if !other.is_empty() {
            let has = plural(other.len(), "has", "have");
            changes.push(format!("{} {has} other texts, gaps or dates", list(&other)));
        }
        let without_columns = |schema: &Self| Self { features: Vec::new(), ..schema.clone() };
        changes.extend(without_columns(was).differences(&without_columns(self)));
        changes
    }
}

/// Returns the first of many sentences, and the number of the others.
fn few(mut sentences: Vec<String>) -> Vec<String> {
    const FEW: usize = 3;
    let more = sentences.len().saturating_sub(FEW);
    sentences.truncate(FEW);
    if more > 0 {
        sentences.push(format!("the same of {more} more"));
    }
    sentences
}

/// Returns the difference between two kinds of targets.
fn other_kind(now: &TargetKind, then: &TargetKind) -> String {
    let [now, then] = [now, then].map(|kind| match kind {
        TargetKind::Classes(_) => "a class",
        TargetKind::Number => "a number",
        TargetKind::Numbers(_) => "several numbers",
        TargetKind::Labels(_) => "yes or no in each column",
    });
    format!("the target is {now}, and was {then}")
}

impl Dataset {
    /// Brings columns, classes and targets into the order of `schema`, by their names. If names do not match, that part of
    /// the data set stays unchanged, and the result lists the differences.
    pub fn arranged_like(mut self, schema: &Schema) -> Arranged {
        let features = self.arrange_features(schema);
        let targets = self.arrange_targets(schema);
        Arranged { data: self, features, targets }
    }

    /// Reorders the features; returns the differences if that is not possible.
    fn arrange_features(&mut self, schema: &Schema) -> Vec<String> {
        let wanted = &schema.features;
        let problems = differences(&self.schema.features, wanted, "column", "columns");
        // Columns that are no inputs yet are of other kinds than those of the other table.
        if !self.is_encoded() {
            return problems;
        }
        // Only a mere difference of order can be undone.
        if problems.is_empty() && self.schema.features != *wanted {
            let place_of = places(&self.schema.features);
            // Both lists have the same names, so every look-up succeeds.
            let picks: Vec<usize> =
                wanted.iter().filter_map(|name| place_of.get(name.as_str()).copied()).collect();
            match self.x.columns(&picks, wanted.len(), self.memory) {
                Ok(x) => self.x = Arc::new(x),
                Err(error) => return vec![error.to_string()],
            }
            self.schema.features.clone_from(wanted);
            self.schema.columns.clone_from(&schema.columns);
            self.schema.missing.clone_from(&schema.missing);
        }
        problems
    }

    /// Reorders the targets; returns the differences if that is not possible.
    fn arrange_targets(&mut self, schema: &Schema) -> Vec<String> {
        let other_name = |own: &str| {
            let name = |name: &str| list(&[name]);
            let same = own == schema.target;
            (!same)
                .then(|| format!("the target is {}, and was {}", name(own), name(&schema.target)))
        };
        match (&self.schema.kind.clone(), &schema.kind) {
            (TargetKind::Classes(own), TargetKind::Classes(wanted)) => {
                let mut problems: Vec<String> =
                    other_name(&self.schema.target).into_iter().collect();
                // Missing classes are no problem: only rows of unknown classes are.
                let places = classes_of(own, wanted);
                let new: Vec<&String> = own
                    .iter()
                    .zip(&places)
                    .filter(|(_, place)| place.is_none())
                    .map(|(name, _)| name)
                    .collect();
                if !new.is_empty() {
                    problems.push(format!(
                        "{} new: {}",
                        plural(new.len(), "class is", "classes are"),
                        list(&new)
                    ));
                }
                if !problems.is_empty() {
                    return problems;
                }
                // A class without rows here keeps its output in the network.
                let classes: Vec<usize> = places.into_iter().flatten().collect();
                if let Targets::Classes(y) = Arc::make_mut(&mut self.y) {
                    y.iter_mut().for_each(|class| *class = classes[*class as usize] as u32);
                }
                // The lines belong to the earlier numbering of classes.
                self.class_lines = Vec::new();
                self.schema.kind = schema.kind.clone();
                problems
            }
            (TargetKind::Number, TargetKind::Number) => {
                other_name(&self.schema.target).into_iter().collect()
            }
            (TargetKind::Numbers(own), TargetKind::Numbers(wanted)) => {
                let problems = differences(own, wanted, "target", "targets");
                if problems.is_empty() {
                    let place_of = places(own);
                    let picks =
                        // Numbers have no yes and no that could be exchanged.
                        wanted.iter().map(|name| (place_of[name.as_str()], false)).collect();
                    self.pick_targets(picks, schema);
                }
                problems
            }
            (TargetKind::Labels(own), TargetKind::Labels(wanted)) => {
                self.labels(own, wanted, schema)
            }
            (own, wanted) => vec![other_kind(own, wanted)],
        }
    }

    /// Reorders columns of labels, and exchanges yes and no where a column has them the other way round.
    fn labels(
        &mut self,
        own: &[BinaryColumn],
        wanted: &[BinaryColumn],
        schema: &Schema,
    ) -> Vec<String> {
        let names =
            |labels: &[BinaryColumn]| labels.iter().map(|it| it.column.clone()).collect::<Vec<_>>();
        let (own_names, wanted_names) = (names(own), names(wanted));
        let mut problems = differences(&own_names, &wanted_names, "target", "targets");
        let place_of = places(&own_names);
        let mut picks = Vec::with_capacity(wanted.len());
        for label in wanted {
            let Some(&place) = place_of.get(label.column.as_str()) else { continue };
            let values = &own[place].values;
            let swapped = values[0] == label.values[1] && values[1] == label.values[0];
            if !swapped && *values != label.values {
                problems.push(format!(
                    "{} holds {}, and held {}",
                    list(&[&label.column]),
                    list(values),
                    list(&label.values)
                ));
            }
            picks.push((place, swapped));
        }
        if problems.is_empty() {
            self.pick_targets(picks, schema);
        }
        problems
    }

    /// Takes target columns in another order, of which some change yes for no.
    fn pick_targets(&mut self, picks: Vec<(usize, bool)>, schema: &Schema) {
        if let Targets::Columns(y, columns) = Arc::make_mut(&mut self.y) {
            let taken = y.chunks_exact(*columns).flat_map(|row| {
                picks.iter().map(move |&(place, swapped)| match swapped {
                    true => 1.0 - row[place],
                    false => row[place],
                })
            });
            *y = taken.collect();
        }
        self.schema.kind = schema.kind.clone();
        self.schema.target.clone_from(&schema.target);
    }
}

fn places(names: &[String]) -> HashMap<&str, usize> {
    names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect()
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// Says which names only one of two lists has.
fn differences(own: &[String], wanted: &[String], one: &str, many: &str) -> Vec<String> {
    let (has, had) = (places(own), places(wanted));
    let only = |names: &[String], other: &HashMap<&str, usize>| -> Vec<String> {
        names.iter().filter(|name| !other.contains_key(name.as_str())).cloned().collect()
    };
    let (new, gone) = (only(own, &had), only(wanted, &has));
    let told = |names: Vec<String>, what: &str| {
        let is = plural(names.len(), "is", "are");
        let noun = plural(names.len(), one, many);
        (!names.is_empty()).then(|| format!("{noun} {} {is} {what}", list(&names)))
    };
    told(new, "new").into_iter().chain(told(gone, "missing")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(features: &[&str], target: &str, kind: TargetKind) -> Schema {
        let features = features.iter().map(|name| (*name).to_string()).collect();
        Schema { features, target: target.into(), kind, ..Schema::default() }
    }

    fn classes(names: &[&str]) -> TargetKind {
        TargetKind::Classes(names.iter().map(|name| (*name).to_string()).collect())
    }

    fn named(mut data: Dataset, schema: Schema) -> Dataset {
        data.schema = schema;
        data
    }

    #[test]
    fn columns_and_classes_go_by_name() {
        let data =
            Dataset::from_arrays(&[1.0, 2.0, 3.0, 4.0], 2, Targets::Classes(vec![0, 1])).unwrap();
        let data = named(data, schema(&["a", "b"], "y", classes(&["u", "v"])));
        let wanted = schema(&["b", "a"], "y", classes(&["w", "v", "u"]));
        let made = data.clone().arranged_like(&wanted);
        assert_eq!((made.features.len(), made.targets.len()), (0, 0));
        assert_eq!(made.data.x().to_vec(), [2.0, 1.0, 4.0, 3.0]);
        assert_eq!(made.data.y(), &Targets::Classes(vec![2, 1]));
        assert_eq!(made.data.schema(), &wanted);

        let made = data.clone().arranged_like(&schema(&["b", "c"], "z", classes(&["u", "x"])));
        assert_eq!(made.features, ["column `a` is new", "column `c` is missing"]);
        assert_eq!(made.targets, ["the target is `y`, and was `z`", "class is new: `v`"]);
        assert_eq!(made.data, data);
    }

    #[test]
    fn targets_go_by_name_and_labels_by_their_texts() {
        let y = || Targets::Columns(vec![1.0, 0.0, 0.0, 0.0], 2);
        let data = || Dataset::from_arrays(&[1.0, 2.0], 1, y()).unwrap();
        let numbers = |names: [&str; 2]| TargetKind::Numbers(names.map(String::from).to_vec());
        let of = |kind, target: &str| schema(&["x"], target, kind);
        let made = named(data(), of(numbers(["p", "q"]), "p,q"))
            .arranged_like(&of(numbers(["q", "p"]), "q,p"));
        assert_eq!(made.data.y(), &Targets::Columns(vec![0.0, 1.0, 0.0, 0.0], 2));
        assert_eq!(made.data.schema().target, "q,p");
        let label = |column: &str, values: [&str; 2]| BinaryColumn {
            column: column.into(),
            values: values.map(String::from),
        };
        let kind =
            |a: [&str; 2], b: [&str; 2]| TargetKind::Labels(vec![label("p", a), label("q", b)]);
        let own = named(data(), of(kind(["no", "yes"], ["0", "1"]), "p,q"));
        let made = own.clone().arranged_like(&of(kind(["yes", "no"], ["0", "1"]), "p,q"));
        assert_eq!(made.data.y(), &Targets::Columns(vec![0.0, 0.0, 1.0, 0.0], 2));
        let made = own.arranged_like(&of(kind(["off", "on"], ["0", "1"]), "p,q"));
        assert_eq!(made.targets, ["`p` holds `no`, `yes`, and held `off`, `on`"]);
    }
}
