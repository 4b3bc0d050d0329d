//! Marks in numbers: which sign stands before the decimals of a column, and which between its thousands.
//!
//! In: cells. Out: the marks of a column, by which its numbers are written as Rust reads them.
//! Absent on purpose: thousands with blanks or apostrophes, of which `text_forms` tells.

use serde::{Deserialize, Serialize};

use crate::data::cell::shown;

/// Sign before the decimals of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecimalMark {
    /// 1.5, and in thousands 1,234.5.
    Point,
    /// 1,5, and in thousands 1.234,5.
    Comma,
}

impl DecimalMark {
    /// Returns the name that options use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Comma => "comma",
        }
    }
}

/// Marks of a column's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NumberMarks {
    /// A decimal point, and nothing between thousands: cells stay as they are.
    #[default]
    Plain,
    /// A decimal point, and commas between thousands.
    Thousands,
    /// A decimal comma. With `groups`, a number such as 1.234 has a point between thousands.
    Comma { groups: bool },
    /// Numbers such as 1,234 or 1.234 that could be either, so that none of them is read.
    Unclear,
}

/// Evidence that a cell gives of its column's marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberForm {
    /// No number.
    Text,
    /// A number without marks; `long` where thousands would have a mark.
    Whole { long: bool },
    /// Such as 1.5.
    Point,
    /// Such as 1.234.
    PointOrThousands,
    /// Such as 1,5.
    Comma,
    /// Such as 1.234,5 or 1.234.567.
    CommaWithThousands,
    /// Such as 1,234.
    CommaOrThousands,
    /// Such as 1,234.5 or 1,234,567.
    Thousands,
}

/// Returns true for one letter of digits or more.
pub(in crate::data) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns true for groups of three digits with a mark between them, at least two groups.
pub(in crate::data) fn grouped(text: &str, mark: &str) -> bool {
    let mut groups = text.split(mark);
    let first = groups.next().unwrap_or_default();
    let begins = digits(first) && first.len() <= 3 && !first.starts_with('0');
    begins && text.contains(mark) && groups.all(|group| group.len() == 3 && digits(group))
}

/// Returns the form of a trimmed cell.
fn form(cell: &str) -> NumberForm {
    // Most cells are numbers as Rust reads them, and need no closer look.
    let body = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == ',' || c == '.') {
        return NumberForm::Text;
    }
    if !body.contains(',') {
        return match cell.parse::<f64>() {
            Ok(_) if grouped(body, ".") => NumberForm::PointOrThousands,
            Ok(_) if body.contains('.') => NumberForm::Point,
            Ok(_) => NumberForm::Whole { long: digits(body) && body.len() > 3 },
            Err(_) if grouped(body, ".") => NumberForm::CommaWithThousands,
            Err(_) => NumberForm::Text,
        };
    }
    let (last, fraction) = body.rsplit_once(',').unwrap_or((body, ""));
    if grouped(last, ".") && digits(fraction) {
        NumberForm::CommaWithThousands
    } else if grouped(body, ",") {
        if last.contains(',') { NumberForm::Thousands } else { NumberForm::CommaOrThousands }
    } else if thousands(cell).is_some() {
        NumberForm::Thousands
    } else if body.matches(',').count() == 1
        && !body.contains('.')
        && body.replace(',', ".").parse::<f64>().is_ok()
    {
        NumberForm::Comma
    } else {
        NumberForm::Text
    }
}

/// Writes a number with commas between its thousands without them.
fn thousands(cell: &str) -> Option<String> {
    let body = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let whole = body.split('.').next().unwrap_or_default();
    let rest = &body[whole.len()..];
    (grouped(whole, ",") && !rest.contains(',')).then(|| cell.replace(',', ""))
}

/// Writes a number with a decimal comma, and perhaps with points between its thousands, with a point.
fn decimal_comma(cell: &str, groups: bool) -> Option<String> {
    let body = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let whole = body.split(',').next().unwrap_or_default();
    let grouped = grouped(whole, ".");
    // A comma behind the whole part tells that points in it stand between thousands.
    let fits = !whole.contains('.') || grouped && (groups || body.len() > whole.len());
    let rest = &body[whole.len()..];
    if !fits || rest.contains('.') || rest.matches(',').count() > 1 {
        return None;
    }
    Some(cell.replace('.', "").replace(',', "."))
}

impl NumberMarks {
    /// Writes a trimmed cell as Rust reads numbers; `None` where it stays as it is.
    ///
    /// # Errors
    ///
    /// For a number that does not go with the column's others.
    pub(super) fn plain(self, cell: &str) -> Result<Option<String>, String> {
        if self == Self::Plain {
            return Ok(None);
        }
        let form = form(cell);
        if matches!(form, NumberForm::Text | NumberForm::Whole { .. }) {
            return Ok(None);
        }
        match self {
            Self::Plain => Ok(None),
            Self::Thousands => Ok(thousands(cell)),
            Self::Comma { groups } => match decimal_comma(cell, groups) {
                Some(number) => Ok(Some(number)),
                None => Err(format!(
                    "{} has a point, but in the numbers of this column decimals have a comma; correct it, or say which mark \
                     they have with ‘decimal’ point or ‘decimal’ comma",
                    shown(cell)
                )),
            },
            Self::Unclear => Err(format!(
                "{} may have a decimal mark or one between thousands, and the first rows do not show which; give ‘decimal’ point \
                 or ‘decimal’ comma",
                shown(cell)
            )),
        }
    }
}

/// Evidence that the cells of a column have given of its marks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MarksEvidence {
    pub(super) numbers: u16,
    pub(super) texts: u16,
    long: bool,
    point: bool,
    point_or_thousands: bool,
    comma: bool,
    comma_groups: bool,
    comma_or_thousands: bool,
    thousands: bool,
}

impl MarksEvidence {
    /// Takes a trimmed cell; an empty one shows nothing.
    pub(super) fn add(&mut self, cell: &str) {
        if cell.is_empty() {
            return;
        }
        let form = form(cell);
        if form == NumberForm::Text {
            self.texts = self.texts.saturating_add(1);
            return;
        }
        self.numbers = self.numbers.saturating_add(1);
        match form {
            NumberForm::Text => {}
            NumberForm::Whole { long } => self.long |= long,
            NumberForm::Point => self.point = true,
            NumberForm::PointOrThousands => self.point_or_thousands = true,
            NumberForm::Comma => self.comma = true,
            NumberForm::CommaWithThousands => (self.comma, self.comma_groups) = (true, true),
            NumberForm::CommaOrThousands => self.comma_or_thousands = true,
            NumberForm::Thousands => self.thousands = true,
        }
    }

    /// Returns true if the decimals have a comma for certain.
    fn is_comma(self) -> bool {
        self.comma && !self.is_point()
    }

    /// Returns true if a point is the decimal mark for certain.
    fn is_point(self) -> bool {
        self.point || self.thousands
    }
}

/// Returns the columns that are read with a decimal point, but whose numbers with a point all look like thousands: beside whole numbers
/// that are too short for a mark, in a table without any other number that tells.
pub(super) fn either_mark(columns: &[MarksEvidence], marks: &[NumberMarks]) -> Vec<usize> {
    let told = |it: &MarksEvidence| it.is_point() || it.comma || it.comma_or_thousands;
    if columns.iter().any(told) {
        return vec![];
    }
    let either = |place: &usize| {
        let MarksEvidence { point_or_thousands, long, texts, .. } = columns[*place];
        point_or_thousands && !long && texts == 0 && marks[*place] == NumberMarks::Plain
    };
    (0..columns.len()).filter(either).collect()
}

/// Decides on the marks of all columns of a table. `comma_before` tells that decimals had a comma in the table that a model was trained
/// with.
pub(super) fn decide(
    columns: &[MarksEvidence],
    stated: Option<DecimalMark>,
    (delimiter, comma_before): (u8, bool),
) -> Vec<NumberMarks> {
    let comma = columns.iter().any(|it| it.is_comma());
    let point = columns.iter().any(|it| it.is_point());
    let of = |it: &MarksEvidence| match stated {
        Some(DecimalMark::Comma) => NumberMarks::Comma { groups: true },
        Some(DecimalMark::Point) => NumberMarks::Thousands,
        // Between commas decimals have a point, unless someone says otherwise.
        None if delimiter == b',' => {
            let all = (it.thousands || it.comma_or_thousands) && !it.comma && !it.long;
            if all { NumberMarks::Thousands } else { NumberMarks::Plain }
        }
        None if it.is_comma() => NumberMarks::Comma { groups: it.comma_groups },
        None if it.comma => NumberMarks::Plain,
        None if it.is_point() => {
            let all = (it.thousands || it.comma_or_thousands) && !it.long;
            if all { NumberMarks::Thousands } else { NumberMarks::Plain }
        }
        None => match (comma, point) {
            // A column of 1.234 alone, beside decimal commas, may have either mark.
            (true, false) => NumberMarks::Comma { groups: false },
            (false, true) if it.comma_or_thousands && !it.long => NumberMarks::Thousands,
            (false, false) if comma_before && it.point_or_thousands && !it.long => {
                NumberMarks::Unclear
            }
            (false, _) if !it.comma_or_thousands => NumberMarks::Plain,
            (true, true) if it.comma_or_thousands || it.point_or_thousands => NumberMarks::Unclear,
            (true, true) => NumberMarks::Plain,
            _ => NumberMarks::Unclear,
        },
    };
    columns.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(columns: &[&[&str]], delimiter: u8) -> Vec<NumberMarks> {
        let evidence: Vec<MarksEvidence> = columns
            .iter()
            .map(|cells| {
                let mut evidence = MarksEvidence::default();
                cells.iter().for_each(|cell| evidence.add(cell));
                evidence
            })
            .collect();
        decide(&evidence, None, (delimiter, false))
    }

    #[test]
    fn points_that_may_stand_between_thousands_are_told_and_refused_after_decimal_commas() {
        let evidence = |cells: &[&str]| {
            let mut evidence = MarksEvidence::default();
            cells.iter().for_each(|cell| evidence.add(cell));
            evidence
        };
        let plain = NumberMarks::Plain;
        for (cells, beside, either) in [
            (["900", "1.500"], "2", true),
            (["1.500", "2.500"], "2", true),
            // Whole numbers of four digits have no marks.
            (["1.500", "2500"], "2", false),
            (["1.500", "2.5"], "2", false),
            (["1.500", "2.500"], "0.5", false),
            (["1.500", "a"], "2", false),
        ] {
            let columns = [evidence(&cells), evidence(&[beside])];
            let decided = |before| decide(&columns, None, (b';', before));
            assert_eq!(decided(false), [plain, plain], "{cells:?}");
            let places: &[usize] = if either { &[0] } else { &[] };
            assert_eq!(either_mark(&columns, &decided(false)), places, "{cells:?} beside {beside}");
            let unclear = matches!(decided(true)[0], NumberMarks::Unclear);
            assert_eq!(unclear, either || cells[1] == "a", "{cells:?} beside {beside}");
        }
    }

    #[test]
    fn marks_of_columns_are_decided_by_all_their_numbers() {
        let comma = |groups| NumberMarks::Comma { groups };
        for (columns, delimiter, want) in [
            (vec![["1,5", "2,25"], ["1", "2"]], b';', vec![comma(false), comma(false)]),
            (vec![["1.234,5", "2"], ["1.234", "a"]], b';', vec![comma(true), comma(false)]),
            (vec![["1.5", "2.25"], ["1", "2"]], b';', vec![NumberMarks::Plain, NumberMarks::Plain]),
            (
                vec![["1.5", "2.25"], ["1,234", "2"]],
                b';',
                vec![NumberMarks::Plain, NumberMarks::Thousands],
            ),
            (
                vec![["1,234", "2,345"], ["1", "2"]],
                b';',
                vec![NumberMarks::Unclear, NumberMarks::Plain],
            ),
            (vec![["0,5", "1,234"], ["1,234", "2"]], b'\t', vec![comma(false), comma(false)]),
            (vec![["0,5", "1,2"], ["1.5", "2"]], b'\t', vec![comma(false), NumberMarks::Plain]),
            (
                vec![["1,234", "2"], ["1", "2"]],
                b',',
                vec![NumberMarks::Thousands, NumberMarks::Plain],
            ),
            (
                vec![["1,234", "2345"], ["1,5", "2"]],
                b',',
                vec![NumberMarks::Plain, NumberMarks::Plain],
            ),
            (
                vec![["1,234.5", "0.5"], ["a,b", "2"]],
                b',',
                vec![NumberMarks::Thousands, NumberMarks::Plain],
            ),
        ] {
            let cells: Vec<&[&str]> = columns.iter().map(|cells| cells.as_slice()).collect();
            assert_eq!(decided(&cells, delimiter), want, "{columns:?}");
        }
    }

    #[test]
    fn numbers_with_marks_become_plain_ones_or_are_refused() {
        let comma = |groups| NumberMarks::Comma { groups };
        for (marks, cell, want) in [
            (comma(false), "1,5", Some("1.5")),
            (comma(false), "-1.234.567,25", Some("-1234567.25")),
            (comma(false), "+0,5e-3", Some("+0.5e-3")),
            (comma(false), ",5", Some(".5")),
            (comma(true), "1.234", Some("1234")),
            (comma(false), "17", None),
            (comma(false), "NA", None),
            (comma(false), "north, east", None),
            (NumberMarks::Thousands, "-1,234.5", Some("-1234.5")),
            (NumberMarks::Thousands, "12,345,678", Some("12345678")),
            (NumberMarks::Thousands, "1,5", None),
            (NumberMarks::Thousands, "0.5", None),
            (NumberMarks::Plain, "1,5", None),
        ] {
            assert_eq!(marks.plain(cell).unwrap().as_deref(), want, "{marks:?} {cell}");
        }
        for (marks, cell) in [
            (comma(false), "1.234"),
            (comma(true), "1.5"),
            (comma(true), "1,234.5"),
            (NumberMarks::Unclear, "1,234"),
        ] {
            assert!(marks.plain(cell).unwrap_err().contains("‘decimal’"), "{marks:?} {cell}");
        }
    }
}
