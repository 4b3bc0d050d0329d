//! One rule for all columns by which a cell is a number or a gap, and what to say where it is neither.
//!
//! In: the text of a cell. Out: a finite f64, a gap, or the problem and its remedy; the place is the reader's.
//! Absent on purpose: decimal commas and thousands separators, which `csv/marks.rs` takes away; what stands in for a gap.

use std::collections::HashSet;

use super::quick_number::quick_number;

/// Number up to which all whole numbers are those of f64: 2^53.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Why a cell is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotNumber {
    Empty,
    /// A usual sign for a missing value.
    Marker,
    NotFinite,
    TooLarge,
    Text,
}

/// Texts that mark a missing value unless others are given: those of pandas.
pub const GAP_MARKS: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Texts that mark a missing value in tables: the empty one, and either pandas' list or a list of the user's.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GapMarks {
    given: Option<HashSet<String>>,
    /// Numbers among the user's marks, which have several spellings: -999 and -999.0.
    numbers: Vec<f64>,
}

impl GapMarks {
    /// Takes the user's list, if there is one.
    pub(super) fn new(given: Option<&[String]>) -> Self {
        let numbers = given.unwrap_or_default().iter();
        let numbers = numbers.filter_map(|text| number(text.trim()).ok());
        // Beyond, a mark would be another number, too, and is compared as a text alone.
        let numbers = numbers.filter(|value| value.abs() < LARGEST_EXACT).collect();
        let given = given.map(|texts| texts.iter().map(|it| it.trim().to_owned()).collect());
        Self { given, numbers }
    }

    /// Returns true if a trimmed cell is a gap in a column of any kind.
    pub(super) fn has(&self, cell: &str) -> bool {
        cell.is_empty()
            || match &self.given {
                Some(texts) => texts.contains(cell),
                None => GAP_MARKS.contains(&cell),
            }
    }

    /// Returns true if a trimmed cell, which is neither number nor gap, is a gap in a column that holds nothing else: `?` or `-`.
    pub(super) fn has_among_numbers(&self, cell: &str) -> bool {
        self.given.is_none() && matches!(cell, "?" | "-")
    }

    /// Returns all texts that are gaps in a column of any kind.
    #[cfg(feature = "onnx")]
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = match &self.given {
            Some(texts) => texts.iter().cloned().collect(),
            None => GAP_MARKS.map(String::from).to_vec(),
        };
        texts.push(String::new());
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    /// Returns the user's marks that no cell of an earlier call has had; `seen` has those that one has had.
    pub(super) fn unused(&self, seen: &HashSet<&str>) -> Vec<String> {
        let of_number = |mark: &str| {
            let value = number(mark).ok();
            value.is_some_and(|value| seen.iter().any(|it| number(it) == Ok(value)))
        };
        let given = self.given.iter().flatten();
        let mut unused: Vec<String> = given
            .filter(|mark| !mark.is_empty() && !seen.contains(mark.as_str()) && !of_number(mark))
            .cloned()
            .collect();
        unused.sort_unstable();
        unused
    }

    /// Returns the number of marks of the user's.
    pub(super) fn given_marks(&self) -> usize {
        self.given.as_ref().map_or(0, HashSet::len)
    }

    /// Returns true if the list is the user's.
    pub(super) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Reads a trimmed cell of a column of numbers; NaN stands for a gap.
    pub(super) fn number(&self, cell: &str) -> Result<f64, NotNumber> {
        // Marks of the user's may look like numbers, such as -999, so they come first.
        if self.is_given() && self.has(cell) {
            return Ok(f64::NAN);
        }
        match number(cell) {
            Ok(value) if self.numbers.contains(&value) => Ok(f64::NAN),
            Err(bad) if bad != NotNumber::TooLarge && self.has(cell) => Ok(f64::NAN),
            other => other,
        }
    }
}

/// Reads a trimmed cell.
pub(super) fn number(cell: &str) -> Result<f64, NotNumber> {
    const MARKERS: [&str; 9] = ["na", "n/a", "#n/a", "nan", "null", "none", "missing", "?", "-"];
    if cell.is_empty() {
        return Err(NotNumber::Empty);
    }
    if let Some(value) = quick_number(cell) {
        return Ok(value);
    }
    match cell.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) if cell.bytes().any(|b| b.is_ascii_digit()) => Err(NotNumber::TooLarge),
        _ if MARKERS.iter().any(|marker| cell.eq_ignore_ascii_case(marker)) => {
            Err(NotNumber::Marker)
        }
        Ok(_) => Err(NotNumber::NotFinite),
        Err(_) => Err(NotNumber::Text),
    }
}

/// Spellings of yes and of no: those of the formats whose cells are of a type of their own, of pandas and of R.
const LOGICAL: [[&str; 3]; 2] = [["true", "True", "TRUE"], ["false", "False", "FALSE"]];

/// Returns all spellings of yes or no, if a text is one of them; else none.
pub(super) fn spellings(text: &str) -> &'static [&'static str] {
    LOGICAL.iter().find(|all| all.contains(&text)).map_or(&[], |all| all)
}

/// Returns true if a number has more digits than f64 keeps: a whole number beyond 2^53 that is another one there, or one of more
/// than 17 digits.
pub(super) fn loses_digits(cell: &str) -> bool {
    // The usual cell is short.
    if cell.len() < 16 {
        return false;
    }
    let cell = cell.trim();
    if let (Ok(whole), Ok(value)) = (cell.parse::<i128>(), cell.parse::<f64>()) {
        return value as i128 != whole;
    }
    let digits = cell.split(['e', 'E']).next().unwrap_or_default().bytes();
    digits.filter(u8::is_ascii_digit).skip_while(|&digit| digit == b'0').count() > 17
}

/// Reads a cell of a feature column.
pub(super) fn feature(cell: &str) -> Result<f64, String> {
    // Most cells have no blanks, which are looked for letter by letter.
    if let Some(value) = quick_number(cell) {
        return Ok(value);
    }
    let cell = cell.trim();
    number(cell).map_err(|bad| match bad {
        NotNumber::Text => {
            let remedy = comma(cell).unwrap_or("correct it");
            format!("{} is not a number, but the column holds numbers; {remedy}", shown(cell))
        }
        other => other.explain(cell),
    })
}

/// Reads a trimmed cell of a target that is a number.
pub(super) fn target(cell: &str) -> Result<f64, String> {
    number(cell).map_err(|bad| match bad {
        NotNumber::Text => {
            let remedy = comma(cell).unwrap_or("correct it");
            format!("{} is not a number, but the target is one; {remedy}", shown(cell))
        }
        other => other.explain(cell),
    })
}

/// Returns a hint for a number with commas in it.
pub(super) fn comma(cell: &str) -> Option<&'static str> {
    let (whole, fraction) = cell.split_once('.').unwrap_or((cell, "0"));
    let mut groups = whole.trim_start_matches(['+', '-']).split(',');
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A number such as 0,803 or 012,345 has no thousands.
    let leads = |group: &str| group.len() <= 3 && digits(group) && !group.starts_with('0');
    let first = groups.next().is_some_and(leads);
    let rest = cell.contains(',') && groups.all(|group| group.len() == 3 && digits(group));
    if first && rest && digits(fraction) {
        return Some("write thousands without separators, and decimals with a point");
    }
    let decimal = cell.contains(',') && number(&cell.replace(',', ".")).is_ok();
    let decimal = decimal || is_grouped_by_points(cell);
    decimal.then_some("write decimals with a point, or give ‘decimal’ comma")
}

/// Returns true for a number such as 1.234,56: points between thousands, and a decimal comma.
fn is_grouped_by_points(cell: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((whole, fraction)) = cell.split_once(',') else { return false };
    let mut groups = whole.trim_start_matches(['+', '-']).split('.');
    let first = groups.next().is_some_and(|group| group.len() <= 3 && digits(group));
    first && groups.all(|group| group.len() == 3 && digits(group)) && digits(fraction)
}

impl NotNumber {
    /// Problem and remedy; for text, the remedy depends on what the column is for.
    pub(super) fn explain(self, cell: &str) -> String {
        let cell = shown(cell);
        match self {
            Self::Empty => "the cell is empty; fill in a value or remove the row".into(),
            Self::Marker => {
                format!("{cell} is no number but a missing value; fill it in or remove the row")
            }
            Self::NotFinite => {
                format!("{cell} is not a finite number; correct it or remove the row")
            }
            Self::TooLarge => {
                format!("{cell} is too large for a number (at most 1.8e308); rescale the column")
            }
            Self::Text => format!("{cell} is not a number"),
        }
    }
}

/// A cell or a name as messages show it: short, on one line, and without anything that a terminal would obey.
pub(super) fn shown(cell: &str) -> String {
    const LONGEST: usize = 40;
    let cell = cell.trim();
    let mut text = String::new();
    for letter in cell.chars().take(LONGEST) {
        match letter {
            '\'' | '"' | '\\' => text.push(letter),
            _ => text.extend(letter.escape_debug()),
        }
    }
    if cell.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_the_rest() {
        for (cell, want) in [
            ("1.5", Ok(1.5)),
            ("-0", Ok(-0.0)),
            ("+2e-3", Ok(0.002)),
            (".5", Ok(0.5)),
            ("3.5e38", Ok(3.5e38)),
            ("1e-60", Ok(1e-60)),
            ("16777217", Ok(16_777_217.0)),
            ("", Err(NotNumber::Empty)),
            ("1.8e308", Err(NotNumber::TooLarge)),
            ("-1e999", Err(NotNumber::TooLarge)),
            ("inf", Err(NotNumber::NotFinite)),
            ("-Infinity", Err(NotNumber::NotFinite)),
            ("nan", Err(NotNumber::Marker)),
            ("NA", Err(NotNumber::Marker)),
            ("?", Err(NotNumber::Marker)),
            ("1,5", Err(NotNumber::Text)),
            ("1_000", Err(NotNumber::Text)),
            ("0x10", Err(NotNumber::Text)),
            ("true", Err(NotNumber::Text)),
        ] {
            assert_eq!(number(cell), want, "{cell}");
        }
    }

    #[test]
    fn numbers_of_many_digits_are_known() {
        for (cell, lost) in [
            ("9007199254740992", false),
            ("9007199254740993", true),
            (" 1234567890123456789", true),
            ("10000000000000000000000", false),
            ("0.1234567890123456", false),
            ("0.30000000000000004", false),
            ("4000000000000000.00123", true),
            ("1.7e300", false),
        ] {
            assert_eq!(loses_digits(cell), lost, "{cell}");
        }
    }

    #[test]
    fn cells_are_shown_short_and_on_one_line() {
        assert_eq!(shown(" a\nb "), "`a\\nb`");
        assert_eq!(shown("\u{1b}[2J\0 it's"), "`\\u{1b}[2J\\0 it's`");
        assert_eq!(shown(&"é".repeat(41)), format!("`{}…`", "é".repeat(40)));
        assert_eq!(shown(&"é".repeat(40)), format!("`{}`", "é".repeat(40)));
    }

    #[test]
    fn marks_that_are_numbers_stand_for_the_number() {
        let marks = GapMarks::new(Some(&["-999".into(), "unknown".into()]));
        for gap in ["-999", "-999.0", "-9.99e2", "unknown", ""] {
            assert!(marks.number(gap).is_ok_and(f64::is_nan), "{gap}");
        }
        assert_eq!(marks.number("999"), Ok(999.0));
        assert_eq!(marks.number("NA"), Err(NotNumber::Marker));
    }

    #[test]
    fn commas_have_their_remedies() {
        let thousands = Some("write thousands without separators, and decimals with a point");
        let decimal = Some("write decimals with a point, or give ‘decimal’ comma");
        for (cell, want) in [
            ("1,000", thousands),
            ("-12,345,678.5", thousands),
            ("1,5", decimal),
            ("1234,567", decimal),
            ("1,00,0", None),
            ("-0,803", decimal),
            ("1.066,10", decimal),
            ("-1.234.066,5", decimal),
            ("1.06,10", None),
            ("1.066,", None),
            (",000", decimal),
            ("a,b", None),
            ("1000", None),
        ] {
            assert_eq!(comma(cell), want, "{cell}");
        }
    }
}
