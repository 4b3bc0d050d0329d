//! Columns by name: checks of a header, and help for a name that it lacks.
//!
//! In: the names of a table's columns. Out: positions, or an error that lists the names.
//! Absent on purpose: cells.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::cell::shown;
use super::name_list::parts_of;
use crate::error::{Error, Result};
use crate::shape::count;

/// Problem of a header whose last columns have no name.
pub(super) const ENDS_IN_COMMA: &str =
    "the header ends in a comma, and so in a column without a name; remove it from all lines";
/// Number of columns up to which all are listed; of more columns only the likely ones are.
const FEW_COLUMNS: usize = 12;
/// Number of columns, and bytes of a name, up to which similar names are searched: more would take too long.
const MANY_COLUMNS: usize = 1 << 14;
const LONG_NAME: usize = 64;

/// Returns the names of a header, without the spaces around them.
pub(super) fn names(header: &::csv::StringRecord) -> Vec<&str> {
    header.iter().map(str::trim).collect()
}

/// Returns true if a header has the columns to be predicted.
pub(super) fn has_targets(names: &[&str], target: &str) -> bool {
    let has = |name: &str| names.contains(&name);
    let parts = parts_of(target, false);
    has(target) || !parts.is_empty() && parts.iter().all(|part| has(part))
}

/// Returns true if a header has all these columns.
pub(super) fn has_all(names: &[&str], wanted: &[&str]) -> bool {
    // Of very many columns each is looked up only once.
    let mut lacking: HashSet<&str> = wanted.iter().copied().collect();
    names.iter().for_each(|name| _ = lacking.remove(name));
    lacking.is_empty()
}

/// Returns the columns to be predicted, in a table all of whose columns are used: the one of that name, else those of the
/// names between its commas, which may stand in quotes.
pub(super) fn find_targets(names: &[&str], target: &str, source: &str) -> Result<Vec<usize>> {
    let parts = parts_of(target, false);
    if names.contains(&target) || parts.is_empty() {
        // A column may have a comma in its name, so the whole name is tried first.
        return Ok(vec![find_target(names, target, source)?]);
    }
    let wanted: Vec<&str> = parts.iter().map(String::as_str).collect();
    if let [one] = wanted[..] {
        return Ok(vec![find_target(names, one, source)?]);
    }
    let there: HashSet<&str> = names.iter().copied().collect();
    let lacking: Vec<&str> = wanted.iter().copied().filter(|name| !there.contains(name)).collect();
    if !lacking.is_empty() {
        return Err(missing(names, &lacking, source));
    }
    // Looking up the first name checks the whole header.
    wanted.first().map(|name| find_target(names, name, source)).transpose()?;
    let place_of: HashMap<&str, usize> =
        names.iter().zip(0..).map(|(&name, at)| (name, at)).collect();
    let mut known = HashSet::with_capacity(wanted.len());
    if let Some(name) = wanted.iter().find(|&name| !known.insert(name)) {
        let problem =
            format!("the target {} is named twice; name it once in ‘target’", shown(name));
        return Err(Error::table(source, problem));
    }
    Ok(wanted.iter().filter_map(|name| place_of.get(name).copied()).collect())
}

/// Returns the column to be predicted, in a table all of whose columns are used.
pub(super) fn find_target(names: &[&str], target: &str, source: &str) -> Result<usize> {
    let refuse = |problem: String| Err(Error::table(source, problem));
    let Some(position) = names.iter().position(|name| *name == target) else {
        return Err(missing(names, &[target], source));
    };
    check_names(names, source)?;
    if names.len() == 1 {
        return refuse(format!(
            "the target {} is the only column; at least one feature column is needed",
            shown(target)
        ));
    }
    Ok(position)
}

/// Checks that each column has a name of its own.
pub(super) fn check_names(names: &[&str], source: &str) -> Result<()> {
    let refuse = |problem: String| Err(Error::table(source, problem));
    if let Some(empty) = names.iter().position(|name| name.is_empty()) {
        // Several empty names at the end come from commas there, which is another mistake than a forgotten name.
        if names[empty..].iter().all(|name| name.is_empty()) {
            return refuse(ENDS_IN_COMMA.into());
        }
        return refuse(format!(
            "column {} has no name in the header; name it, or remove it (an index column is not a feature)",
            empty + 1
        ));
    }
    let mut known = HashMap::with_capacity(names.len());
    for (second, name) in names.iter().enumerate() {
        match known.entry(*name) {
            Entry::Occupied(first) => return refuse(twice(name, *first.get(), second)),
            Entry::Vacant(free) => _ = free.insert(second),
        }
    }
    Ok(())
}

/// Returns the positions of the wanted columns, in the order wanted; other columns may be anything.
pub(super) fn find_all(names: &[&str], wanted: &[&str], source: &str) -> Result<Vec<usize>> {
    // The second place is kept, so that only names that are wanted must be unique.
    let mut places: HashMap<&str, (usize, Option<usize>)> = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        places
            .entry(name)
            .and_modify(|(_, second)| _ = second.get_or_insert(place))
            .or_insert((place, None));
    }
    // All missing columns are collected, so that one message names them.
    let mut found = Vec::with_capacity(wanted.len());
    let mut lacking = Vec::new();
    for name in wanted {
        match places.get(name) {
            Some(&(first, Some(second))) => {
                return Err(Error::table(source, twice(name, first, second)));
            }
            Some(&(place, None)) => found.push(place),
            None => lacking.push(*name),
        }
    }
    if lacking.is_empty() {
        return Ok(found);
    }
    let mut error = missing(names, &lacking, source);
    if let Error::Table { problem, .. } = &mut error {
        problem.push_str("; is this the right table?");
    }
    Err(error)
}

/// Returns the positions of columns that a setting names, or the problem and the names that come near.
pub(super) fn find_named(names: &[&str], wanted: &[&str]) -> Result<Vec<usize>, String> {
    let place_of: HashMap<&str, usize> = names.iter().copied().zip(0..).collect();
    let lacking: Vec<&str> =
        wanted.iter().copied().filter(|name| !place_of.contains_key(name)).collect();
    if lacking.is_empty() {
        return Ok(wanted.iter().filter_map(|name| place_of.get(name).copied()).collect());
    }
    Err(format!("{}{}", missing_text(names, &lacking), commas(names, &lacking)))
}

/// Returns the message for a name that two columns have.
fn twice(name: &str, first: usize, second: usize) -> String {
    format!(
        "columns {} and {} are both named {}; rename one of them",
        first + 1,
        second + 1,
        shown(name)
    )
}

/// Returns the error for missing columns.
fn missing(names: &[&str], lacking: &[&str], source: &str) -> Error {
    Error::table(source, missing_text(names, lacking))
}

/// Says how a list names a column whose name has commas, if one was parted at them.
fn commas(names: &[&str], lacking: &[&str]) -> String {
    let parted = |name: &&&str| name.split(',').any(|part| lacking.contains(&part.trim()));
    match names.iter().filter(|name| name.contains(',')).find(parted) {
        Some(name) => format!("; a name with a comma stands in quotes: {}", option_value(name, "")),
        None => String::new(),
    }
}

fn missing_text(names: &[&str], lacking: &[&str]) -> String {
    let what = match lacking {
        [one] => format!("there is no column {}", shown(one)),
        many => format!("there are no columns {}", list(many)),
    };
    format!("{what}; {}", advice(names, lacking))
}

/// Returns the likeliest reason why a name is missing.
fn advice(names: &[&str], lacking: &[&str]) -> String {
    if let Some(first) = names.first().filter(|name| name.starts_with('#'))
        && (first.starts_with("# ") || names.len() == 1)
    {
        return "the first line looks like a comment, but it must be the header; remove it".into();
    }
    // A single column usually means another separator.
    if let [only] = names {
        if only.is_empty() {
            return "the first line is blank, but it must be the header; remove it".into();
        }
        for (separator, called) in
            [(';', "semicolon"), ('\t', "tab"), ('|', "vertical bar"), (',', "comma")]
        {
            if only.contains(separator) {
                let option = called.trim_start_matches("vertical ");
                return format!(
                    "the header is one column that contains a {called}: give ‘delimiter’ {option}, or leave that option out"
                );
            }
        }
    }
    // Names that are all numbers are a first row, not a header.
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return "the first line looks like data: a header line with the columns' names is needed"
            .into();
    }
    // Columns of an array, whose target has a file of its own.
    if names.first() == Some(&"x0") && lacking == ["y"] {
        return format!(
            "for the targets of an array, name their file in ‘target’; the table has {}",
            list(names)
        );
    }
    let mut near: Vec<&str> = Vec::new();
    // Of very many missing names the first ones are enough, since each is compared with all names.
    let short = |name: &&&str| !name.is_empty() && name.len() <= LONG_NAME;
    for wanted in lacking.iter().filter(short).take(FEW_COLUMNS) {
        let mut close: Vec<(usize, &str)> = names
            .iter()
            .take(MANY_COLUMNS)
            .filter(short)
            .filter_map(|name| {
                let steps = distance(&wanted.to_lowercase(), &name.to_lowercase());
                // A third of the letters may differ: `labl` finds `label`, `x1` does not find `y2`.
                (steps * 3 <= wanted.chars().count().max(3)).then_some((steps, *name))
            })
            .collect();
        // The nearest names first; a few of them are enough.
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
        format!(
            "the table has {} columns, {} …",
            count(names.len() as u64),
            list(&names[..FEW_COLUMNS])
        )
    } else {
        format!("did you mean {}?", list(&near[..near.len().min(FEW_COLUMNS)]))
    }
}

/// Returns names between backquotes; a long list is cut.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 20;
    let first: Vec<String> = names.iter().take(SHOWN).map(|name| shown(name.as_ref())).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {} more", first.join(", "), count(more as u64)),
    }
}

/// Returns a name of a column, or a mark of gaps, with what follows it, as one word of a shell that options with lists take: a name with a
/// comma in quotes of its own, and all of it in quotes that keep it whole.
pub(crate) fn option_value(name: &str, rest: &str) -> String {
    /// Letters up to which a name is given as it is.
    const LONGEST: usize = 200;
    let is_usual = |letter: char| !letter.is_control();
    let name = match name.chars().all(is_usual) && name.chars().count() <= LONGEST {
        true => name.trim().to_string(),
        false => shown(name).trim_matches('`').to_string(),
    };
    let plain = |letter: char| letter.is_alphanumeric() || "_-./".contains(letter);
    if rest.is_empty() && !name.is_empty() && name.chars().all(plain) && !name.starts_with('-') {
        return name;
    }
    let parted = name.contains([',', '(', ')']) || name.starts_with('"');
    let value = match parted {
        true => format!("\"{}\"{rest}", name.replace('"', "\\\"")),
        false => format!("{name}{rest}"),
    };
    if value.contains(['"', '$', '`', '\\', '!']) {
        format!("'{}'", value.replace('\'', "'\\''"))
    } else {
        format!("\"{value}\"")
    }
}

/// Returns Levenshtein's distance: the fewest letters to add, drop or replace to turn `a` into `b`.
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
    fn names_are_one_word_of_a_shell() {
        for (name, rest, want) in [
            ("age", "", "age"),
            ("age", ":category", "\"age:category\""),
            ("day of it", "", "\"day of it\""),
            ("a, b", ":category", "'\"a, b\":category'"),
            ("price ($)", "", "'\"price ($)\"'"),
            ("it's $5", "", "'it'\\''s $5'"),
            ("-1", "", "\"-1\""),
            ("a\nb", "", "'a\\nb'"),
        ] {
            assert_eq!(option_value(name, rest), want);
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
        assert!(refused(&["a;b;y"], "y").contains("a semicolon: give ‘delimiter’ semicolon"));
        assert!(refused(&["a|b|y"], "y").contains("a vertical bar: give ‘delimiter’ bar"));
        assert!(refused(&["# made by hand"], "y").contains("looks like a comment"));
        assert!(refused(&["# a", "b"], "y").contains("looks like a comment"));
        assert!(refused(&["#a", "b"], "y").contains("the table has `#a`, `b`"));
        assert!(refused(&[""], "y").contains("the first line is blank"));
        assert!(refused(&["a", "y", "", ""], "y").contains("the header ends in a comma"));
        assert!(refused(&["a", "", "y"], "y").contains("column 2 has no name"));
        let strange = refused(&["\u{1b}[2J", "\u{1b}[2J", "y"], "y");
        assert!(strange.contains("both named `\\u{1b}[2J`"), "{strange}");
        let strange = refused(&["a\nb\u{7}"], "y");
        assert!(strange.contains("the table has `a\\nb\\u{7}`"), "{strange}");
        assert!(refused(&["a\tb"], "y").contains("a tab: give ‘delimiter’ tab"));
        assert!(refused(&["5.1", "3.5", "0"], "y").contains("the first line looks like data"));
    }

    #[test]
    fn several_targets_stand_between_commas_and_names_with_commas_in_quotes() {
        let names = ["a", "x, y", "b", "c"];
        let found = |target: &str| find_targets(&names, target, "f").map_err(|it| it.to_string());
        assert_eq!(found("x, y"), Ok(vec![1]));
        assert_eq!(found("\"x, y\""), Ok(vec![1]));
        assert_eq!(found("c, \"x, y\""), Ok(vec![3, 1]));
        assert_eq!(found("a,b"), Ok(vec![0, 2]));
        assert!(found("a,x,y").unwrap_err().contains("there are no columns `x`, `y`"));
        assert!(has_targets(&names, "c,\"x, y\"") && !has_targets(&names, "c,x"));
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
    fn very_wide_headers_are_checked_in_one_pass() {
        let names: Vec<String> = (0..200_000).map(|i| format!("column_{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let begun = std::time::Instant::now();
        assert_eq!(find_target(&names, "column_199999", "f").unwrap(), 199_999);
        assert_eq!(find_all(&names, &names, "f").unwrap().len(), 200_000);
        // Comparing each with each would take minutes.
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }

    #[test]
    fn names_of_any_length_and_number_are_missed_soon() {
        let long = "n".repeat(1 << 20);
        let many: Vec<String> = (0..200_000).map(|i| format!("{i:060}")).collect();
        let names: Vec<&str> =
            std::iter::once(long.as_str()).chain(many.iter().map(String::as_str)).collect();
        let wanted: Vec<String> = (0..20).map(|i| format!("{i}{}", "n".repeat(1 << 20))).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        // Letter by letter, this would take days.
        let said = find_all(&names, &wanted, "f").unwrap_err().to_string();
        assert!(said.contains("200,001 columns") && said.len() < 2000, "{said}");
    }

    #[test]
    fn a_list_that_parts_a_name_is_told_how_to_write_it() {
        let names = ["a, b", "x", "c,d"];
        assert_eq!(
            commas(&names, &["a", "b"]),
            "; a name with a comma stands in quotes: '\"a, b\"'"
        );
        assert_eq!(commas(&names, &["y"]), "");
        assert_eq!(commas(&["a", "x"], &["b"]), "");
    }

    #[test]
    fn all_missing_names_are_listed_at_once() {
        assert_eq!(find_all(&["", "b", "x", "x", "a"], &["a", "b"], "f").unwrap(), [4, 1]);
        let said = find_all(&["a", "x"], &["a", "b", "c"], "f").unwrap_err().to_string();
        assert_eq!(
            said,
            "f: there are no columns `b`, `c`; the table has `a`, `x`; is this the right table?"
        );
        let said = find_all(&["x0", "x1"], &["y"], "f").unwrap_err().to_string();
        assert!(
            said.contains("for the targets of an array, name their file in ‘target’"),
            "{said}"
        );
        let said = find_all(&["a", "a"], &["a"], "f").unwrap_err().to_string();
        assert!(said.contains("both named `a`"), "{said}");
    }
}
