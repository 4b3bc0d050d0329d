//! How a table is read, where that is not left to its cells.
//!
//! In: names of columns and what is asked of them. Out: [`TableOptions`], which readers of training tables take.
//! Absent on purpose: what a column is taken for where nothing is asked, which `kinds.rs` decides.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::cell::shown;
use super::csv::dialect::TableFormat;
use super::date::DatePart;
use crate::error::{Error, Result};

/// Number that stands in for a gap in a column of numbers that has gaps in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapRule {
    /// The median of the training rows.
    #[default]
    Median,
    /// The mean of the training rows.
    Mean,
    /// 0.
    Zero,
    /// Nothing: a gap is an error.
    Error,
    /// Nothing: training and validation rows with a gap in a feature are left out.
    Drop,
}

impl GapRule {
    const ALL: [Self; 5] = [Self::Median, Self::Mean, Self::Zero, Self::Error, Self::Drop];
}

impl fmt::Display for GapRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Median => "median",
            Self::Mean => "mean",
            Self::Zero => "zero",
            Self::Error => "error",
            Self::Drop => "drop",
        })
    }
}

impl FromStr for GapRule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|rule| rule.to_string() == wanted).ok_or_else(|| {
            let known = Self::ALL.map(|rule| rule.to_string()).join(", ");
            Error::setting("gaps", format!("unknown name \"{name}\"; known: {known}"))
        })
    }
}

/// How dates are read, and what a network gets of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DateRule {
    /// Format of `%Y`, `%m`, `%b` (name of a month in English), `%d`, `%H`, `%I` with `%p`, `%M`, `%S` and letters
    /// between them; `None` for ISO 8601.
    pub format: Option<String>,
    /// Parts that are inputs; none for the usual ones.
    pub parts: Vec<DatePart>,
}

impl DateRule {
    /// Reads a format, names of parts, or both, with commas between them.
    fn read(text: &str) -> Result<Self> {
        let (mut format, mut parts) = (text.trim(), Vec::new());
        // A format may have commas of its own, so parts are taken from the end.
        while !format.is_empty() {
            let (rest, last) = format.rsplit_once(',').unwrap_or(("", format));
            let name = last.trim().to_ascii_lowercase().replace([' ', '_'], "-");
            let Some(part) = DatePart::ALL.into_iter().find(|part| part.name() == name) else {
                break;
            };
            parts.push(part);
            format = rest.trim_end();
        }
        parts.sort_unstable();
        parts.dedup();
        let known = DatePart::ALL.map(DatePart::name).join(", ");
        let refuse = |problem: String| Err(Error::setting("columns", problem));
        match format {
            "" => Ok(Self { format: None, parts }),
            _ if format.contains("%Y") => Ok(Self { format: Some(format.to_owned()), parts }),
            _ if format.contains('%') => refuse(format!(
                "the format {} has no %Y; write one such as %d.%m.%Y or %Y-%m-%d %H:%M",
                shown(format)
            )),
            _ => refuse(format!(
                "{} is neither a format such as %d.%m.%Y nor a part of a date; parts are {known}",
                shown(format)
            )),
        }
    }
}

impl fmt::Display for DateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.iter().map(|part| part.name());
        let inner: Vec<&str> = self.format.as_deref().into_iter().chain(parts).collect();
        if inner.is_empty() { f.write_str("date") } else { write!(f, "date({})", inner.join(", ")) }
    }
}

/// Kind that a column is taken for, if its cells are not to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRule {
    /// Numbers.
    Number,
    /// Texts, one-hot or by an embedding, as their number decides.
    Category,
    /// Texts, each with an input of its own.
    OneHot,
    /// Texts, each with a row of an embedding's table, of this many columns if it is said.
    Embedding(Option<usize>),
    /// Dates or times.
    Date(DateRule),
    /// No feature.
    Ignore,
}

impl fmt::Display for ColumnRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("number"),
            Self::Category => f.write_str("category"),
            Self::OneHot => f.write_str("one-hot"),
            Self::Embedding(None) => f.write_str("embedding"),
            Self::Embedding(Some(width)) => write!(f, "embedding({width})"),
            Self::Date(rule) => rule.fmt(f),
            Self::Ignore => f.write_str("ignore"),
        }
    }
}

impl FromStr for ColumnRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let refuse = |problem: String| Err(Error::setting("columns", problem));
        let (name, inner) = match text.split_once('(') {
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(inner) => (name.trim(), Some(inner.trim())),
                None => return refuse(format!("{} lacks its closing bracket", shown(text))),
            },
            None => (text, None),
        };
        match (name.to_ascii_lowercase().as_str(), inner) {
            ("number", None) => Ok(Self::Number),
            ("category", None) => Ok(Self::Category),
            ("one-hot", None) => Ok(Self::OneHot),
            ("embedding", None) => Ok(Self::Embedding(None)),
            ("embedding", Some(width)) => match width.parse() {
                Ok(width) if (1..=4096).contains(&width) => Ok(Self::Embedding(Some(width))),
                _ => refuse(format!(
                    "{} in {} is no width from 1 to 4096",
                    shown(width),
                    shown(text)
                )),
            },
            ("date", None) => Ok(Self::Date(DateRule::default())),
            ("date", Some(inner)) => DateRule::read(inner).map(Self::Date),
            ("ignore", None) => Ok(Self::Ignore),
            _ => refuse(format!(
                "unknown kind {}; known: number, category, one-hot, embedding, embedding(WIDTH), date, date(FORMAT), date(PARTS), ignore",
                shown(text)
            )),
        }
    }
}

/// Bytes and rows of a table that were read so far, to be looked at by another thread while a table is read.
#[derive(Clone, Debug, Default)]
pub struct ReadProgress(Arc<ReadCounters>);

#[derive(Debug, Default)]
struct ReadCounters {
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl ReadProgress {
    /// Number of bytes of the file that were read.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Number of rows that were read.
    pub fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    pub(super) fn tell(&self, bytes: u64, rows: u64) {
        self.0.bytes.store(bytes, Ordering::Relaxed);
        self.0.rows.store(rows, Ordering::Relaxed);
    }
}

/// How far a table was read does not tell options apart.
impl PartialEq for ReadProgress {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// How a training table is read.
///
/// ```
/// use wgrad::data::{ColumnRule, TableOptions};
/// use wgrad::{Dataset, Target};
///
/// let options = TableOptions {
///     ignore: vec!["pixel_0_0".into()],
///     columns: vec![("pixel_0_1".into(), ColumnRule::Ignore)],
///     ..TableOptions::default()
/// };
/// let table = "examples/datasets/digits.csv";
/// let data = Dataset::from_csv_with(table, Target::class("digit"), &options)?;
/// assert_eq!(data.columns(), 62);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableOptions {
    /// Column of row weights, which is no feature.
    pub weight: Option<String>,
    /// Columns that are no features.
    pub ignore: Vec<String>,
    /// The only columns that are features, if they are said.
    pub features: Option<Vec<String>>,
    /// Columns and what they are taken for.
    pub columns: Vec<(String, ColumnRule)>,
    /// Texts that mark a missing value, besides the empty one, instead of pandas' list.
    pub missing: Option<Vec<String>>,
    /// Rule for what stands in for gaps in numbers.
    pub gaps: GapRule,
    /// Number of training rows that a text of a category needs for a place of its own; rarer ones share one.
    pub min_count: usize,
    /// Number of texts up to which each has an input of its own, and beyond which a category has an embedding's table; without a
    /// choice 16.
    pub one_hot: Option<usize>,
    /// Columns of an embedding's table, unless its column says how many; without a choice by the number of texts.
    pub embedding_width: Option<usize>,
    /// Column that names each row's group, all of whose rows are in one part of a split. It is no feature.
    pub group: Option<String>,
    /// Column that says to which part of a split each row belongs: `train`, `valid` or `test`. It is no feature.
    pub split_column: Option<String>,
    /// Form of the table's text, where it is not to be found from the first rows.
    pub format: TableFormat,
    /// Bytes of memory that reading and training may take on the host, about; `None` for any number. A table that is larger than a
    /// fifth of it is kept in a temporary file, with the same results.
    pub host_memory: Option<u64>,
    /// Folder in which a table that does not fit `host_memory` is kept as numbers, so that the next reading of the same file with the
    /// same options takes no time; `None` to keep none. [`Dataset::load`](super::Dataset::load) looks there, and says in its notes when
    /// a table came from there.
    pub table_cache: Option<PathBuf>,
    /// Progress of the reading.
    pub progress: ReadProgress,
}

impl TableOptions {
    /// Returns what is asked of columns, to be found by their names: of very many columns each may have a rule.
    pub(super) fn rules(&self) -> HashMap<&str, &ColumnRule> {
        // The first rule of a name holds.
        self.columns.iter().rev().map(|(name, rule)| (name.as_str(), rule)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_shown_alike_or_refused() {
        for text in [
            "number",
            "category",
            "one-hot",
            "embedding",
            "embedding(8)",
            "date",
            "date(%d.%m.%Y %H:%M)",
            "date(elapsed)",
            "date(month, weekday)",
            "date(%d, %m %Y, day-of-year, hour)",
            "ignore",
        ] {
            assert_eq!(text.parse::<ColumnRule>().unwrap().to_string(), text);
        }
        for (text, part) in [
            ("text", "unknown kind `text`; known: number"),
            ("embedding(0)", "no width"),
            ("embedding(3", "closing bracket"),
            ("date(%d)", "no %Y"),
            (
                "date(moon)",
                "nor a part of a date; parts are year, month, day, weekday, day-of-year, hour, minute, elapsed",
            ),
            ("date(moon, month)", "`moon` is neither a format"),
            ("number(3)", "unknown kind"),
        ] {
            let said = text.parse::<ColumnRule>().unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
        let rule = |text: &str| text.parse::<ColumnRule>().unwrap().to_string();
        assert_eq!(rule("date( Weekday ,month, day of year)"), "date(month, weekday, day-of-year)");
        for rule in GapRule::ALL {
            assert_eq!(rule.to_string().parse::<GapRule>().unwrap(), rule);
        }
        assert!("mode".parse::<GapRule>().unwrap_err().to_string().contains("median, mean"));
    }
}
