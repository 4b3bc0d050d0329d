//! Texts that look like dates of usual forms, or like numbers with a sign or unit: what is told of a column that is read as texts.
//!
//! In: the texts of a column. Out: the form that most of them have, and what to do about it.
//! Absent on purpose: reading of them, since a text alone tells neither day from month nor one currency from the next.

use super::cell::{self, shown};
use super::csv::marks::{digits, grouped};
use super::date;
use super::header::option_value;
use crate::shape::count;

/// Usual forms of dates that ISO 8601 does not have; the text alone does not tell day from month.
const USUAL_DATES: [&str; 17] = [
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d. %b %Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p",
];
/// Bytes of a text that may be a date or a number with a unit.
const LONGEST: usize = 40;
/// Letters of a unit.
const LONGEST_UNIT: usize = 5;
/// Number of texts that are tried in any case.
const TRIED: usize = 10;

/// Blanks and apostrophes that stand between thousands.
const BETWEEN: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '’'];

/// Place of a sign or unit in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnitPlace {
    Before,
    Behind,
    BetweenThousands,
}

/// Sign or unit of a number: `%`, `$`, `kg`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    text: String,
    place: UnitPlace,
}

impl Unit {
    /// Returns the unit of a trimmed text that is a number with one.
    fn of(cell: &str) -> Option<Self> {
        let mark = cell.chars().find(|letter| BETWEEN.contains(letter));
        let unit = mark.map(|it| Self { text: it.into(), place: UnitPlace::BetweenThousands });
        if let Some(unit) = unit.filter(|unit| unit.is_of(cell)) {
            return Some(unit);
        }
        let begin = cell.find(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter))?;
        let end = cell.rfind(|letter: char| letter.is_ascii_digit())? + 1;
        let before = cell[..begin].trim();
        // A minus may stand before a currency, too.
        let (before, after) = match cell.strip_prefix(['-', '+']) {
            Some(rest) if before.is_empty() => {
                let begin = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.')?;
                (rest[..begin].trim(), cell[end..].trim())
            }
            _ => (before, cell.get(end..)?.trim()),
        };
        let (text, place) = match (before.is_empty(), after.is_empty()) {
            (false, true) => (before, UnitPlace::Before),
            (true, false) => (after, UnitPlace::Behind),
            _ => return None,
        };
        let is_letter = |it: char| it.is_alphabetic() || !it.is_ascii() || "%$°/".contains(it);
        let letters = text.chars().count();
        // Letters before digits name things, such as `type 1`, unless they are a currency.
        let is_currency = letters == 3 && text.chars().all(|it| it.is_ascii_uppercase());
        let leads = place == UnitPlace::Before;
        let names = leads && text.chars().any(char::is_alphabetic) && !is_currency;
        let unit = Self { text: text.to_owned(), place };
        let fits = letters <= LONGEST_UNIT && text.chars().all(is_letter) && !names;
        (fits && unit.is_of(cell)).then_some(unit)
    }

    /// Returns true if a trimmed text is a number with this unit.
    fn is_of(&self, cell: &str) -> bool {
        let (sign, body) = match cell.strip_prefix(['-', '+']) {
            Some(body) => (true, body),
            None => (false, cell),
        };
        let number = match self.place {
            UnitPlace::Before => {
                let number = body.strip_prefix(self.text.as_str()).map(str::trim);
                number.filter(|it| !(sign && it.starts_with(['-', '+'])))
            }
            UnitPlace::Behind => cell.strip_suffix(self.text.as_str()).map(str::trim),
            UnitPlace::BetweenThousands => {
                let (whole, decimals) = body.split_once(['.', ',']).unwrap_or((body, "0"));
                return grouped(whole, &self.text) && digits(decimals);
            }
        };
        number.is_some_and(|it| cell::number(it).is_ok() || cell::comma(it).is_some())
    }
}

/// Numbers of a column's texts that have usual forms.
#[derive(Clone, Debug, Default)]
pub(super) struct TextForms {
    /// Texts that were looked at, and those that were not since most others have no form.
    texts: usize,
    dates: [usize; USUAL_DATES.len()],
    /// Unit of the first number with one, and the number of texts with the same.
    unit: Option<(Unit, usize)>,
}

/// A form that most filled cells of a column have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UsualForm {
    /// Dates of this form, of which there are so many; the second form fits all of them, too.
    Dates(&'static str, usize, Option<&'static str>),
    /// Numbers with this sign or unit, and how many.
    Numbers(String, usize),
}

impl TextForms {
    /// Counts a text that has no other kind, which is tried `in_any_case` or only while most others have a form.
    pub(super) fn note(&mut self, cell: &str, in_any_case: bool) {
        self.texts += 1;
        if cell.len() > LONGEST {
            return;
        }
        let is_worth = |found: usize| in_any_case || found * 2 + TRIED > self.texts;
        if is_worth(self.dates.iter().copied().max().unwrap_or(0)) {
            for (dates, format) in self.dates.iter_mut().zip(USUAL_DATES) {
                *dates += usize::from(date::parse(cell, Some(format)).is_some());
            }
        }
        if !is_worth(self.united()) {
            return;
        }
        match &mut self.unit {
            Some((unit, texts)) => *texts += usize::from(unit.is_of(cell)),
            none => *none = Unit::of(cell).map(|unit| (unit, 1)),
        }
    }

    /// Number of texts that are numbers with the unit of the first of them.
    fn united(&self) -> usize {
        self.unit.as_ref().map_or(0, |it| it.1)
    }

    /// Counts what was counted since `before` so many times more.
    pub(super) fn repeat_since(&mut self, before: &Self, times: usize) {
        let more = (self.united() - before.united()) * times;
        if let Some((_, texts)) = &mut self.unit {
            *texts += more;
        }
        for (dates, before) in self.dates.iter_mut().zip(before.dates) {
            *dates += (*dates - before) * times;
        }
        self.texts += (self.texts - before.texts) * times;
    }

    /// Counts the texts of the next part of the column, too.
    pub(super) fn append(&mut self, part: Self) {
        self.texts += part.texts;
        for (dates, of_part) in self.dates.iter_mut().zip(part.dates) {
            *dates += of_part;
        }
        self.unit = match (self.unit.take(), part.unit) {
            (Some((unit, texts)), Some((other, more))) if unit == other => {
                Some((unit, texts + more))
            }
            (own, other) => own.or(other),
        };
    }

    /// Returns the form that most of so many filled cells have, if there is one.
    pub(super) fn usual(&self, filled: usize) -> Option<UsualForm> {
        let most = self.dates.iter().copied().max().unwrap_or(0);
        if most * 2 > filled {
            let mut forms = USUAL_DATES.iter().zip(self.dates).filter(|it| it.1 == most);
            let first = *forms.next()?.0;
            return Some(UsualForm::Dates(first, most, forms.next().map(|it| *it.0)));
        }
        let (unit, texts) = self.unit.as_ref().filter(|it| it.1 * 2 > filled)?;
        Some(UsualForm::Numbers(unit.text.clone(), *texts))
    }
}

/// Names a sign or unit, of which a blank would not be seen.
fn sign(unit: &str) -> String {
    if unit.trim().is_empty() { "blanks between thousands".to_string() } else { shown(unit) }
}

impl UsualForm {
    /// Name of the form, for a sentence.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Dates(..) => "dates of another form",
            Self::Numbers(..) => "numbers with a sign or unit",
        }
    }

    /// Says how many cells have the form.
    pub(super) fn counted(&self, filled: usize) -> String {
        match self {
            Self::Dates(_, cells, _) => {
                format!(
                    "{} of {} cells look like dates",
                    count(*cells as u64),
                    count(filled as u64)
                )
            }
            Self::Numbers(unit, cells) => {
                let (cells, filled) = (count(*cells as u64), count(filled as u64));
                format!("{cells} of {filled} cells are numbers with {}", sign(unit))
            }
        }
    }

    /// Says what to do for a column of this name.
    pub(super) fn remedy(&self, name: &str) -> String {
        match self {
            Self::Dates(form, _, other) => {
                let value = |form: &str| option_value(name, &format!(":date({form})"));
                let or = other.map_or(String::new(), |other| {
                    format!(", or {} if days come first", value(other))
                });
                format!("give ‘columns’ {} to take them as dates{or}", value(form))
            }
            // The minus sign of typography, U+2212, and the dash that stands for it.
            Self::Numbers(unit, _) if ["\u{2212}", "\u{2013}"].contains(&unit.as_str()) => {
                format!(
                    "write `-` for {}, which is no minus to computers, to have numbers",
                    shown(unit)
                )
            }
            Self::Numbers(unit, _) => {
                format!("take {} out of the cells to have numbers", sign(unit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(cells: &[&str]) -> Option<UsualForm> {
        let mut forms = TextForms::default();
        cells.iter().for_each(|cell| forms.note(cell, false));
        forms.usual(cells.len())
    }

    #[test]
    fn signs_and_units_are_found_beside_numbers() {
        for (cells, unit) in [
            (["32%", "5.5%", "-1%"], "%"),
            (["$50", "-$3", "$1,200.50"], "$"),
            (["€ 3", "€ 12,50", "€ 7"], "€"),
            (["€ 1.066,10", "€ 884,90", "-€2.000,5"], "€"),
            (["1.5 kg", "20 kg", "3e2 kg"], "kg"),
            (["EUR 3", "EUR -4", "EUR 5"], "EUR"),
            (["20°C", "-3°C", "7.5°C"], "°C"),
            (["n/a", "5 km/h", "6 km/h"], "km/h"),
            (["1 234", "-12 345 678", "1 000,5"], " "),
            (["1'234.50", "12'345", "x"], "'"),
            (["1\u{202f}234", "2\u{202f}345", "3\u{202f}456"], "\u{202f}"),
        ] {
            let count = cells.iter().filter(|it| it.contains(unit)).count();
            assert_eq!(usual(&cells), Some(UsualForm::Numbers(unit.into(), count)), "{cells:?}");
        }
        let found = usual(&["1 234", "2 345", "3 456"]).unwrap();
        assert_eq!(
            found.remedy("c"),
            "take blanks between thousands out of the cells to have numbers"
        );
        for cells in [
            ["type 1", "type 2", "type 3"],
            ["a1", "a2", "a3"],
            ["10-20%", "20-30%", "30-40%"],
            ["10:20", "11:30", "12:45"],
            ["$5", "€5", "£5"],
            ["1st", "2nd", "3rd"],
            ["12 34", "0 123", "1234 567"],
            ["%", "$", "kg"],
        ] {
            assert_eq!(usual(&cells), None, "{cells:?}");
        }
    }

    #[test]
    fn dates_are_those_of_most_cells_not_of_the_first() {
        let all = |first: &str, form: &dyn Fn(usize) -> String| {
            let cells: Vec<String> =
                std::iter::once(first.to_string()).chain((1..30).map(form)).collect();
            usual(&cells.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let found = all("closed", &|day| format!("{day:02}.01.2024"));
        assert_eq!(found, Some(UsualForm::Dates("%d.%m.%Y", 29, None)));
        // A date alone does not make a column of dates.
        assert_eq!(all("01.02.2024", &|row| format!("room {row}")), None);
        // With a time of day.
        let found = all("01.02.2024 9:00", &|day| format!("{day:02}.01.2024 19:00"));
        assert_eq!(found, Some(UsualForm::Dates("%d.%m.%Y %H:%M", 30, None)));
        let found = all("1/2/2024 9:00:30", &|day| format!("{}/01/2024 19:00:59", day % 12 + 1));
        let (first, second) = ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S");
        assert_eq!(found, Some(UsualForm::Dates(first, 30, Some(second))));
        let found = all("1/2/2024 9:00 AM", &|day| format!("1/{day}/2024 7:05 pm"));
        assert_eq!(found, Some(UsualForm::Dates("%m/%d/%Y %I:%M %p", 30, None)));
        // Names of months, short or whole.
        for (form, format) in
            [("Oct 2020", "%d %b %Y"), ("October 2020", "%d %b %Y"), ("oct 2020", "%d %b %Y")]
        {
            let found = all("closed", &|day| format!("{day} {form}"));
            assert_eq!(found, Some(UsualForm::Dates(format, 29, None)), "{form}");
        }
        let found = all("closed", &|day| format!("Oct {day}, 2020")).unwrap();
        assert_eq!(
            found.remedy("day"),
            "give ‘columns’ \"day:date(%b %d, %Y)\" to take them as dates"
        );
        // The first cell may be either; the others tell.
        let found = all("01/02/2024", &|day| format!("{day:02}/01/2024"));
        assert_eq!(found, Some(UsualForm::Dates("%d/%m/%Y", 30, None)));
        let found = usual(&["01/02/2024", "03/04/2024"]).unwrap();
        assert_eq!(found, UsualForm::Dates("%m/%d/%Y", 2, Some("%d/%m/%Y")));
        assert_eq!(
            found.remedy("day of it"),
            "give ‘columns’ \"day of it:date(%m/%d/%Y)\" to take them as dates, or \"day of it:date(%d/%m/%Y)\" if days come first"
        );
    }

    #[test]
    fn parts_and_repeated_texts_count_like_single_ones() {
        let (mut whole, mut parts, mut next) =
            (TextForms::default(), TextForms::default(), TextForms::default());
        for _ in 0..4 {
            whole.note("5 kg", true);
        }
        whole.note("6 kg", true);
        let before = parts.clone();
        parts.note("5 kg", true);
        parts.repeat_since(&before, 3);
        next.note("6 kg", true);
        parts.append(next);
        assert_eq!(parts.usual(5), whole.usual(5));
        assert_eq!(parts.usual(5), Some(UsualForm::Numbers("kg".into(), 5)));
    }
}
