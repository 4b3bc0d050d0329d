//! Columns by name: checks of a header, and help for a name that it lacks.
//!
//! In: the names of a table's columns. Out: positions, or an error that says which names there are.
//! Absent on purpose: cells.

use crate::error::{Error, Result};

/// Up to this many columns are all listed; of more only the likely ones.
const FEW_COLUMNS: usize = 12;

/// The names of a header, without the spaces around them.
pub(super) fn names(header: &::csv::StringRecord) -> Vec<&str> {
    header.iter().map(str::trim).collect()
}

/// The column to be predicted, in a table all of whose columns count.
pub(super) fn find_target(names: &[&str], target: &str, source: &str) -> Result<usize> {
    let refuse = |problem: String| Err(Error::table(source, problem));
    let Some(position) = names.iter().position(|name| *name == target) else {
        return Err(missing(names, &[target], source));
    };
    if let Some(empty) = names.iter().position(|name| name.is_empty()) {
        return refuse(format!(
            "column {} has no name in the header; name it, or remove it (an index column is not a feature)",
            empty + 1
        ));
    }
    for (second, name) in names.iter().enumerate() {
        if let Some(first) = names[..second].iter().position(|other| other == name) {
            return refuse(twice(name, first, second));
        }
    }
    if names.len() == 1 {
        return refuse(format!(
            "the target `{target}` is the only column; at least one feature column is needed"
        ));
    }
    Ok(position)
}

/// Positions of the wanted columns, in the order wanted; other columns may be of any kind.
pub(super) fn find_all(names: &[&str], wanted: &[&str], source: &str) -> Result<Vec<usize>> {
    let mut found = Vec::with_capacity(wanted.len());
    let mut lacking = Vec::new();
    for name in wanted {
        let mut places = names.iter().enumerate().filter(|(_, other)| *other == name);
        match (places.next(), places.next()) {
            (Some((first, _)), Some((second, _))) => {
                return Err(Error::table(source, twice(name, first, second)));
            }
            (Some((place, _)), None) => found.push(place),
            (None, _) => lacking.push(*name),
        }
    }
    if lacking.is_empty() { Ok(found) } else { Err(missing(names, &lacking, source)) }
}

fn twice(name: &str, first: usize, second: usize) -> String {
    format!("columns {} and {} are both named `{name}`; rename one of them", first + 1, second + 1)
}

fn missing(names: &[&str], lacking: &[&str], source: &str) -> Error {
    let what = match lacking {
        [one] => format!("there is no column `{one}`"),
        many => format!("there are no columns {}", list(many)),
    };
    Error::table(source, format!("{what}; {}", advice(names, lacking)))
}

/// The likeliest reason why a name is not there.
fn advice(names: &[&str], lacking: &[&str]) -> String {
    if let [only] = names {
        for (separator, called) in [(';', "a semicolon"), ('\t', "a tab")] {
            if only.contains(separator) {
                return format!(
                    "the header is one column that contains {called}: the separator must be a comma"
                );
            }
        }
    }
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return "the first line looks like data: a header line with the columns' names is needed"
            .into();
    }
    let mut near: Vec<&str> = Vec::new();
    for wanted in lacking {
        let mut close: Vec<(usize, &str)> = names
            .iter()
            .filter_map(|name| {
                let steps = distance(&wanted.to_lowercase(), &name.to_lowercase());
                // A third of the letters may differ: `labl` finds `label`, `x1` does not find `y2`.
                (steps * 3 <= wanted.chars().count().max(3)).then_some((steps, *name))
            })
            .collect();
        close.sort_unstable();
        for (_, name) in close.into_iter().take(3) {
            if !near.contains(&name) {
                near.push(name);
            }
        }
    }
    if names.len() <= FEW_COLUMNS {
        format!("the table has {}", list(names))
    } else if near.is_empty() {
        format!("the table has {} columns, {} …", names.len(), list(&names[..FEW_COLUMNS]))
    } else {
        format!("did you mean {}?", list(&near[..near.len().min(FEW_COLUMNS)]))
    }
}

/// Names between backquotes; a long list is cut.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> =
        names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Levenshtein's distance: the fewest letters to add, drop or replace to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in
            [("", "", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("é", "e", 1), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn targets_are_found_or_refused() {
        assert_eq!(find_target(&["a", "b", "c"], "b", "f").unwrap(), 1);
        let refused = |names: &[&str], target| {
            find_target(names, target, "f.csv").expect_err("must be refused").to_string()
        };
        assert_eq!(
            refused(&["a", "b"], "c"),
            "f.csv: there is no column `c`; the table has `a`, `b`"
        );
        assert!(refused(&["a", "y", "a"], "y").contains("columns 1 and 3 are both named `a`"));
        assert!(refused(&["", "y"], "y").contains("column 1 has no name"));
        assert!(refused(&["y"], "y").contains("only column"));
        assert!(refused(&["a;b;y"], "y").contains("a semicolon: the separator must be a comma"));
        assert!(refused(&["a\tb"], "y").contains("a tab: the separator must be a comma"));
        assert!(refused(&["5.1", "3.5", "0"], "y").contains("the first line looks like data"));
    }

    #[test]
    fn wide_tables_suggest_near_names() {
        let mut names: Vec<String> = (0..40).map(|i| format!("pixel_{i}")).collect();
        names.push("Digit".into());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let said = find_target(&names, "digits", "f").unwrap_err().to_string();
        assert!(said.ends_with("did you mean `Digit`?"), "{said}");
        let said = find_target(&names, "qqq", "f").unwrap_err().to_string();
        assert!(said.contains("41 columns, `pixel_0`"), "{said}");
    }

    #[test]
    fn all_missing_names_are_listed_at_once() {
        assert_eq!(find_all(&["", "b", "x", "x", "a"], &["a", "b"], "f").unwrap(), [4, 1]);
        let said = find_all(&["a", "x"], &["a", "b", "c"], "f").unwrap_err().to_string();
        assert_eq!(said, "f: there are no columns `b`, `c`; the table has `a`, `x`");
        let said = find_all(&["a", "a"], &["a"], "f").unwrap_err().to_string();
        assert!(said.contains("both named `a`"), "{said}");
    }
}
