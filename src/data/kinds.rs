//! Kinds of columns, decided by all of their cells.
//!
//! In: the cells of a column one after the other, and what is asked of the column. Out: numbers, texts, dates, or the reason why it is
//! left out.
//! Absent on purpose: what a network gets of a column, which `encode.rs` decides on the training rows.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use super::cell::{self, GapMarks, NotNumber, shown};
use super::column_notes::{ColumnNote, NoteForm};
use super::date::{self, DatePart};
use super::header::option_value;
use super::quick_number::quick_number;
use super::table_options::{ColumnRule, DateRule, GapRule};
use super::target::is_code;
use super::text_forms::TextForms;
use super::text_table::hash_of;
use crate::shape::count;

/// Fewest filled cells by which a column of texts may be judged to identify rows.
const FEW_CELLS: usize = 20;
/// Mean length from which different texts are called free text.
const LONG_TEXT: usize = 40;
/// Number of texts that are looked at for dates in any case.
const TRIED_DATES: usize = 10;
/// Number of cells with one problem that a message shows.
pub(super) const SHOWN_CELLS: usize = 5;
/// Most different texts of a column that are counted; more identify rows.
const MANY_TEXTS: usize = 1 << 20;

/// How the texts of a category become inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CategoryRule {
    /// As the number of texts decides.
    Auto,
    OneHot,
    /// With a table of this many columns, if that is said.
    Embedding(Option<usize>),
}

/// Rules for all columns of texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextRules {
    /// Number of training rows that a text needs for a place of its own.
    pub(super) min_count: usize,
    /// Number of texts up to which each has an input of its own, if it is said.
    pub(super) one_hot: Option<usize>,
    /// Columns of an embedding's table whose width is not said, if they are said.
    #[serde(default)]
    pub(super) width: Option<usize>,
}

/// Kind of a column of a table that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum RawKind {
    /// Numbers, or NaN for gaps.
    Number,
    /// Indices into texts, or NaN for gaps.
    Category { values: Vec<String>, rule: CategoryRule },
    /// Days since 1970-01-01, or NaN for gaps.
    Date {
        format: Option<String>,
        timed: bool,
        /// Parts that are asked for; none for the usual ones.
        #[serde(default)]
        parts: Vec<DatePart>,
    },
}

/// Type that a file declares for a column, where it says more than the cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeclaredType {
    /// Texts, though all of them may look like numbers.
    Text,
    /// The index of a data frame.
    Index,
    /// Values that no cell can have, in the plural.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "only those files declare it"))]
    Refused(String),
}

/// A column of a table that was read, before it becomes inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RawColumn {
    pub(super) name: String,
    pub(super) kind: RawKind,
}

/// Columns of a table that was read, before they become inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RawColumns {
    pub(super) columns: Vec<RawColumn>,
    pub(super) gaps: GapRule,
    pub(super) texts: TextRules,
    /// The user's marks of gaps.
    pub(super) missing: Option<Vec<String>>,
}

/// Returns a hash by which different texts are counted without being kept.
pub(super) fn text_hash(text: &str) -> u64 {
    hash_of(text, 0)
}

/// Hashes, which need not be hashed once more.
pub(super) type HashList = HashSet<u64, BuildHasherDefault<SameHash>>;

/// Takes a hash for its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SameHash(u64);

impl Hasher for SameHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Part that a cell has in the decision on its column's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellClass {
    Gap,
    Number,
    /// A mark that is a gap among numbers; a date where dates are asked for.
    Odd,
    /// Anything else, dates too.
    Text,
}

/// Kind that a column turns out to have.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    Number,
    Category(CategoryRule),
    Date {
        rule: DateRule,
        timed: bool,
    },
    /// No feature, for this reason.
    LeftOut(String),
}

/// A cell, with its line.
#[derive(Clone, Debug)]
struct Place {
    line: u64,
    text: String,
    bad: NotNumber,
}

/// The cells of a column, counted.
#[derive(Clone, Debug)]
pub(super) struct ColumnScan {
    rule: Option<Box<ColumnRule>>,
    declared: Option<DeclaredType>,
    pub(super) numbers: usize,
    pub(super) gaps: usize,
    /// Cells with a mark that is a gap only if the column holds nothing but numbers beside it.
    pub(super) odd: usize,
    pub(super) texts: usize,
    first_gap: Option<Box<Place>>,
    first_odd: Option<Box<Place>>,
    first_text: Option<Box<Place>>,
    /// First cell that is neither a gap nor a date, once a date was looked for.
    first_undated: Option<Box<Place>>,
    /// Number of dates.
    dated: usize,
    /// Forms of texts that are no dates, once there is such a text.
    forms: Option<Box<TextForms>>,
    /// Number of cells with the problem of the first text, beside that one, and the lines of the first of them.
    more: usize,
    more_lines: Vec<u64>,
    hashes: HashList,
    letters: usize,
    /// True while every text is a date.
    dates: bool,
    /// True while every text of a column of texts could be read as a number.
    numeric_texts: bool,
    /// True if every text is tried for a date, since there are few.
    tries_all: bool,
    timed: bool,
    /// Flags: a time has an offset from UTC; a time has none.
    zones: [bool; 2],
    /// Least and largest number.
    pub(super) range: Option<(f64, f64)>,
    /// Marks of gaps of the user's that the column has.
    pub(super) marks: HashSet<String>,
    /// First number with zeros before it that codes may have: two digits have a month and an hour, too.
    code: Option<Box<Place>>,
}

/// Returns the decision that a column is no feature, and tells of it.
fn left_out(form: NoteForm, text: String) -> (Decision, Option<ColumnNote>) {
    (Decision::LeftOut(text.clone()), Some(ColumnNote { form, text }))
}

impl ColumnScan {
    pub(super) fn new(rule: Option<&ColumnRule>, declared: Option<&DeclaredType>) -> Self {
        Self {
            rule: rule.cloned().map(Box::new),
            declared: declared.cloned(),
            numbers: 0,
            gaps: 0,
            odd: 0,
            texts: 0,
            first_gap: None,
            first_odd: None,
            first_text: None,
            first_undated: None,
            dated: 0,
            forms: None,
            more: 0,
            more_lines: Vec::new(),
            hashes: HashList::default(),
            letters: 0,
            dates: true,
            numeric_texts: true,
            tries_all: false,
            timed: false,
            zones: [false; 2],
            range: None,
            marks: HashSet::new(),
            code: None,
        }
    }

    /// Returns the empty column of the same rule and type.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.rule.as_deref(), self.declared.as_ref())
    }

    /// Returns true if nothing but its cells says what the column holds.
    pub(super) fn is_open(&self) -> bool {
        self.rule.is_none() && self.declared.is_none()
    }

    /// Counts a cell that is a number.
    pub(super) fn push_number(&mut self, value: f64) {
        self.numbers += 1;
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
    }

    /// Returns true if cells that look like numbers are none.
    fn is_text(&self) -> bool {
        self.declared == Some(DeclaredType::Text) && self.rule.is_none()
    }

    /// Returns the part that a trimmed cell has.
    pub(super) fn class(&self, cell: &str, marks: &GapMarks) -> CellClass {
        if let Some(ColumnRule::Date(rule)) = self.rule.as_deref() {
            return match date::parse(cell, rule.format.as_deref()) {
                _ if marks.has(cell) => CellClass::Gap,
                Some(_) => CellClass::Odd,
                None => CellClass::Text,
            };
        }
        // Most cells are plain numbers.
        if !self.is_text() && !marks.is_given() && quick_number(cell).is_some() {
            return CellClass::Number;
        }
        let number = match self.is_text() && !marks.has(cell) {
            true => Err(NotNumber::Text),
            false => marks.number(cell),
        };
        match number {
            Ok(value) if value.is_nan() => CellClass::Gap,
            Ok(_) => CellClass::Number,
            Err(NotNumber::Empty) => CellClass::Gap,
            Err(_) if marks.has_among_numbers(cell) => CellClass::Odd,
            Err(_) => CellClass::Text,
        }
    }

    /// Counts a trimmed cell that the column has so often, for the first time in this line; lines of others are told by
    /// [`Self::set_misfit_lines`]. Returns its number, or the days of a date; NaN for all else.
    pub(super) fn push_known(
        &mut self,
        cell: &str,
        (line, count): (u64, usize),
        marks: &GapMarks,
    ) -> f64 {
        let before = (self.numbers, self.gaps, self.odd);
        let (texts, dated, letters) = (self.texts, self.dated, self.letters);
        let forms = self.forms.clone().unwrap_or_default();
        let misfits = self.misfits();
        self.tries_all = true;
        let value = self.push(cell, line, marks);
        self.tries_all = false;
        self.note_code(cell, line);
        // The same once more for each other cell.
        let others = count - 1;
        self.numbers += (self.numbers - before.0) * others;
        self.gaps += (self.gaps - before.1) * others;
        self.odd += (self.odd - before.2) * others;
        self.more += (self.misfits() - misfits) * others;
        self.texts += (self.texts - texts) * others;
        self.dated += (self.dated - dated) * others;
        if let Some(own) = &mut self.forms {
            own.repeat_since(&forms, others);
        }
        self.letters += (self.letters - letters) * others;
        value
    }

    /// Notes a number that looks like a code.
    fn note_code(&mut self, cell: &str, line: u64) {
        let is_long = cell.len() > 2 && cell.bytes().all(|byte| byte.is_ascii_digit());
        if self.code.is_none() && is_long && is_code(cell) {
            let (text, bad) = (cell.to_owned(), NotNumber::Text);
            self.code = Some(Box::new(Place { line, text, bad }));
        }
    }

    /// Returns the first number that looks like a code.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_ref().map(|it| it.text.as_str())
    }

    /// Notes a mark of the user's that the column has.
    fn note_mark(&mut self, cell: &str, marks: &GapMarks) {
        let noted = !marks.is_given() || cell.is_empty() || self.marks.len() >= marks.given_marks();
        if !noted && !self.marks.contains(cell) {
            self.marks.insert(cell.to_owned());
        }
    }

    /// Number of different texts; more than [`MANY_TEXTS`] are not told apart.
    pub(super) fn different_texts(&self) -> usize {
        self.hashes.len()
    }

    /// Returns whether a text that the column has not had yet would be counted.
    pub(super) fn counts_texts(&self) -> bool {
        self.hashes.len() < MANY_TEXTS
    }

    /// Number of cells that do not fit.
    fn misfits(&self) -> usize {
        usize::from(self.first_text.is_some()) + self.more
    }

    /// Takes the lines of the first cells that do not fit.
    pub(super) fn set_misfit_lines(&mut self, lines: &[u64]) {
        self.more_lines = lines.iter().skip(1).copied().collect();
    }

    /// Counts the cells of the next part of the column, too.
    pub(super) fn append(&mut self, part: Self) {
        self.numbers += part.numbers;
        self.gaps += part.gaps;
        self.odd += part.odd;
        self.texts += part.texts;
        self.letters += part.letters;
        self.dated += part.dated;
        if let Some(forms) = part.forms {
            self.forms.get_or_insert_default().append(*forms);
        }
        self.dates &= part.dates;
        self.numeric_texts &= part.numeric_texts;
        self.marks.extend(part.marks);
        self.code = self.code.take().or(part.code);
        self.timed |= part.timed;
        self.zones = [0, 1].map(|at| self.zones[at] | part.zones[at]);
        if let (Some(first), Some(_)) = (&part.first_text, &self.first_text) {
            self.more += part.more + 1;
            let lines = std::iter::once(first.line).chain(part.more_lines);
            let free = (SHOWN_CELLS - 1).saturating_sub(self.more_lines.len());
            self.more_lines.extend(lines.take(free));
        } else if part.first_text.is_some() {
            (self.more, self.more_lines) = (part.more, part.more_lines);
        }
        self.first_gap = self.first_gap.take().or(part.first_gap);
        self.first_odd = self.first_odd.take().or(part.first_odd);
        self.first_text = self.first_text.take().or(part.first_text);
        self.first_undated = self.first_undated.take().or(part.first_undated);
        for hash in part.hashes {
            if self.hashes.len() < MANY_TEXTS {
                self.hashes.insert(hash);
            }
        }
        self.range = match (self.range, part.range) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (own, other) => own.or(other),
        };
    }

    /// Counts a trimmed cell. Returns its number, or the days of a date; NaN for all else.
    pub(super) fn push(&mut self, cell: &str, line: u64, marks: &GapMarks) -> f64 {
        // Most cells are.
        if self.is_open()
            && !marks.is_given()
            && let Some(value) = quick_number(cell)
        {
            self.push_number(value);
            return value;
        }
        if matches!(self.rule.as_deref(), Some(ColumnRule::Date(_))) {
            return self.push_date(cell, line, marks);
        }
        let place = |bad| Some(Box::new(Place { line, text: cell.to_owned(), bad }));
        // Texts of digits stay texts, unless someone says that they are numbers.
        let read = if self.is_text() && !marks.has(cell) {
            Err(NotNumber::Text)
        } else {
            marks.number(cell)
        };
        let bad = match read {
            Ok(value) if value.is_nan() => {
                self.gaps += 1;
                self.note_mark(cell, marks);
                self.first_gap = self.first_gap.take().or_else(|| {
                    place(if cell.is_empty() { NotNumber::Empty } else { NotNumber::Marker })
                });
                return value;
            }
            Ok(value) => {
                self.push_number(value);
                return value;
            }
            Err(NotNumber::Empty) => {
                self.gaps += 1;
                self.first_gap = self.first_gap.take().or_else(|| place(NotNumber::Empty));
                return f64::NAN;
            }
            Err(bad) => bad,
        };
        if marks.has_among_numbers(cell) {
            self.odd += 1;
            self.first_odd = self.first_odd.take().or_else(|| place(NotNumber::Marker));
            self.first_undated = self.first_undated.take().or_else(|| place(NotNumber::Marker));
            self.note_text(cell);
            return f64::NAN;
        }
        self.texts += 1;
        self.numeric_texts = self.numeric_texts && self.is_text() && marks.number(cell).is_ok();
        self.note_text(cell);
        self.note_misfit(line, || Place { line, text: cell.to_owned(), bad });
        // Once most texts are no dates, the others need not be tried.
        if self.tries_all || self.dates || self.dated * 2 + TRIED_DATES > self.texts {
            if let Some((days, timed)) = date::parse(cell, None) {
                self.timed |= timed;
                if timed {
                    self.zones[usize::from(!date::has_zone(cell))] = true;
                }
                self.dated += 1;
                return days;
            }
            self.dates = false;
            self.first_undated = self.first_undated.take().or_else(|| place(NotNumber::Text));
        }
        self.forms.get_or_insert_default().note(cell, self.tries_all);
        f64::NAN
    }

    /// Counts a trimmed cell of a column that is asked to hold dates.
    fn push_date(&mut self, cell: &str, line: u64, marks: &GapMarks) -> f64 {
        let place = |bad| Place { line, text: cell.to_owned(), bad };
        if marks.has(cell) {
            self.gaps += 1;
            self.note_mark(cell, marks);
            self.first_gap =
                self.first_gap.take().or_else(|| Some(Box::new(place(NotNumber::Empty))));
            return f64::NAN;
        }
        self.texts += 1;
        let format = match self.rule.as_deref() {
            Some(ColumnRule::Date(rule)) => rule.format.as_deref(),
            _ => None,
        };
        if let Some((days, timed)) = date::parse(cell, format) {
            self.timed |= timed;
            return days;
        }
        self.dates = false;
        self.note_misfit(line, || place(NotNumber::Text));
        f64::NAN
    }

    /// Keeps the first misfit, and counts the others, so that one message tells all that has to be corrected.
    fn note_misfit(&mut self, line: u64, place: impl FnOnce() -> Place) {
        if self.first_text.is_none() {
            self.first_text = Some(Box::new(place()));
            return;
        }
        self.more += 1;
        if self.more_lines.len() + 1 < SHOWN_CELLS {
            self.more_lines.push(line);
        }
    }

    /// Says where other cells have the problem of the first misfit.
    fn others(&self) -> String {
        let lines: Vec<String> = self.more_lines.iter().map(u64::to_string).collect();
        let rest = match self.more - lines.len() {
            0 => String::new(),
            rest => format!(" and {} more", count(rest as u64)),
        };
        match lines.as_slice() {
            [] => String::new(),
            [line] => format!("; the same in line {line}"),
            lines => format!("; the same in lines {}{rest}", lines.join(", ")),
        }
    }

    fn note_text(&mut self, cell: &str) {
        self.letters += cell.len();
        if self.hashes.len() < MANY_TEXTS {
            self.hashes.insert(text_hash(cell));
        }
    }

    /// Decides the kind, and what to tell of it. An error is a line and a problem.
    pub(super) fn decide(
        &self,
        name: &str,
        gaps: GapRule,
    ) -> Result<(Decision, Option<ColumnNote>), (u64, String)> {
        let (decision, note) = self.kind(name)?;
        let taken = !matches!(decision, Decision::LeftOut(_));
        let among_numbers = (decision == Decision::Number).then_some(self.first_odd.as_ref());
        let first = self.first_gap.iter().chain(among_numbers.flatten()).min_by_key(|it| it.line);
        if let (GapRule::Error, true, Some(gap)) = (gaps, taken, first) {
            return Err((gap.line, gap.bad.explain(&gap.text)));
        }
        Ok((decision, note))
    }

    fn kind(&self, name: &str) -> Result<(Decision, Option<ColumnNote>), (u64, String)> {
        let filled = self.numbers + self.odd + self.texts;
        let shown_name = shown(name);
        if let Some(DeclaredType::Refused(what)) = &self.declared {
            let problem = format!(
                "the column holds {what}, which are no inputs; give ‘ignore’ {}",
                option_value(name, "")
            );
            return Err((1, problem));
        }
        if let Some(ruled) = self.ruled() {
            return ruled.map(|decision| (decision, None));
        }
        if self.declared == Some(DeclaredType::Index) && self.rule.is_none() {
            let note = format!("{shown_name} is the index of a data frame, and is left out");
            return Ok(left_out(NoteForm::Index, note));
        }
        if filled == 0 {
            let note = format!("{shown_name} holds nothing but gaps, and is left out");
            return Ok(left_out(NoteForm::NothingButGaps, note));
        }
        let Some(first) = &self.first_text else {
            if self.numbers > 0 || self.rule.is_some() {
                let note = self.first_odd.as_ref().map(|odd| {
                    let (cells, are) =
                        if self.odd == 1 { ("cell", "is") } else { ("cells", "are") };
                    format!(
                        "{} {cells} of {shown_name} with {} {are} taken for gaps",
                        count(self.odd as u64),
                        shown(&odd.text)
                    )
                });
                let note = note.map(|text| ColumnNote { form: NoteForm::MarksAreGaps, text });
                return Ok((Decision::Number, note));
            }
            // Nothing but marks.
            let note = format!("{shown_name} holds nothing but gaps, and is left out");
            return Ok(left_out(NoteForm::NothingButGaps, note));
        };
        if self.dates && self.numbers + self.odd == 0 && self.rule.is_none() {
            return Ok(self.dates_of(&shown_name));
        }
        if let Some(bad) = self.first_undated.as_ref().filter(|_| self.rule.is_none())
            && self.dated * 2 > filled
        {
            return Err((bad.line, self.not_all_dates(bad, name, filled)));
        }
        // Texts among numbers are more likely slips or marks of gaps than values of a category.
        let comma = cell::comma(&first.text).is_some();
        if self.rule.is_some() || comma || self.numbers * 2 >= filled {
            return Err((first.line, self.no_number(first, name, filled) + &self.others()));
        }
        let (texts, different) = (self.texts + self.odd, self.hashes.len());
        let form = self.forms.as_ref().and_then(|forms| forms.usual(filled));
        if texts >= FEW_CELLS && different * 2 > texts || different == MANY_TEXTS {
            let like = match &form {
                Some(form) => form.name(),
                None if self.letters / texts >= LONG_TEXT => "free text",
                None => "an identifier",
            };
            let as_values = || {
                let category = option_value(name, ":category");
                if self.numeric_texts {
                    let number = option_value(name, ":number");
                    return format!(
                        "give ‘columns’ {number} to read them as numbers, or {category} to take them as values"
                    );
                }
                format!("give ‘columns’ {category} to take them as values")
            };
            let remedy = form.map_or_else(as_values, |form| form.remedy(name));
            let note = format!(
                "{shown_name} holds {} different texts in {} cells, which look like {like}, and is left out; {remedy}",
                count(different as u64),
                count(texts as u64)
            );
            return Ok(left_out(NoteForm::Identifies, note));
        }
        let note = form.map(|form| {
            let (counted, remedy) = (form.counted(filled), form.remedy(name));
            let text = format!("{shown_name} is taken for texts, but {counted}; {remedy}");
            ColumnNote { form: NoteForm::LooksLikeOther, text }
        });
        Ok((Decision::Category(CategoryRule::Auto), note))
    }

    /// Returns the kind of a column of dates, and a remark on times of which it is unclear where they count.
    fn dates_of(&self, shown_name: &str) -> (Decision, Option<ColumnNote>) {
        let mixed = self.zones == [true; 2];
        let note = mixed.then(|| ColumnNote {
            form: NoteForm::Zones,
            text: format!(
                "{shown_name} has times with an offset from UTC and times without, which are taken for UTC; write all of them alike"
            ),
        });
        (Decision::Date { rule: DateRule::default(), timed: self.timed }, note)
    }

    /// Returns the kind that is asked for, unless that is numbers, which are decided as any others.
    fn ruled(&self) -> Option<Result<Decision, (u64, String)>> {
        let rule = match self.rule.as_deref()? {
            ColumnRule::Category => CategoryRule::Auto,
            ColumnRule::OneHot => CategoryRule::OneHot,
            ColumnRule::Embedding(width) => CategoryRule::Embedding(*width),
            ColumnRule::Date(rule) => {
                let format = rule.format.as_deref();
                let of_time = rule.parts.iter().find(|part| part.is_of_time());
                return Some(match (self.first_text.as_ref(), of_time) {
                    (Some(bad), _) => Err((bad.line, Self::no_date(bad, format) + &self.others())),
                    (None, Some(part)) if !self.timed && self.texts > 0 => {
                        let part = part.name();
                        Err((
                            1,
                            format!(
                                "the dates have no time of day, and so no {part}; leave it out"
                            ),
                        ))
                    }
                    (None, _) => Ok(Decision::Date { rule: rule.clone(), timed: self.timed }),
                });
            }
            ColumnRule::Number | ColumnRule::Ignore => return None,
        };
        Some(Ok(Decision::Category(rule)))
    }

    /// Says why a column of numbers is none.
    fn no_number(&self, first: &Place, name: &str, filled: usize) -> String {
        let text = shown(&first.text);
        if first.bad == NotNumber::Marker {
            return format!(
                "{text} is no number but looks like a missing value; name it in ‘missing’, as in {}, fill it in, or remove the row",
                option_value(&first.text, "")
            );
        }
        if first.bad != NotNumber::Text {
            return first.bad.explain(&first.text);
        }
        if let Some(remedy) = cell::comma(&first.text) {
            return format!("{text} is not a number, and features must be numbers; {remedy}");
        }
        if self.numbers == 0 {
            return format!(
                "{text} is not a number, and no cell of {} is; leave the rule out, or give another",
                shown(name)
            );
        }
        let are = if self.numbers == 1 { "is" } else { "are" };
        format!(
            "{text} is not a number, but {} of {} cells {are}; correct it, or give ‘missing’ {} if it marks a gap, or \
             ‘columns’ {} to take all cells as texts",
            count(self.numbers as u64),
            count(filled as u64),
            option_value(&first.text, ""),
            option_value(name, ":category")
        )
    }

    fn not_all_dates(&self, bad: &Place, name: &str, filled: usize) -> String {
        format!(
            "{} is no date, but {} of {} cells are; correct it, or give ‘missing’ {} if it marks a gap, or ‘columns’ {} to take all \
             cells as texts",
            shown(&bad.text),
            count(self.dated as u64),
            count(filled as u64),
            option_value(&bad.text, ""),
            option_value(name, ":category")
        )
    }

    fn no_date(bad: &Place, format: Option<&str>) -> String {
        let wanted = match format {
            Some(format) => format!("does not fit the format {}", shown(format)),
            None => "is no date such as 2026-11-28 or 2026-11-28T10:20; say the format, as in date(%d.%m.%Y)".into(),
        };
        format!("{} {wanted}", shown(&bad.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(cells: &[&str], rule: Option<ColumnRule>) -> Result<Decision, (u64, String)> {
        let mut scan = ColumnScan::new(rule.as_ref(), None);
        let marks = GapMarks::default();
        for (cell, line) in cells.iter().zip(2..) {
            scan.push(cell, line, &marks);
        }
        scan.decide("c", GapRule::Median).map(|(decision, _)| decision)
    }

    #[test]
    fn all_cells_decide_the_kind() {
        let category = Ok(Decision::Category(CategoryRule::Auto));
        assert_eq!(decided(&["1", "", "NA", "2.5", "?"], None), Ok(Decision::Number));
        assert_eq!(decided(&["a", "b", "1", "", "c"], None), category);
        let dates = Ok(Decision::Date { rule: DateRule::default(), timed: true });
        assert_eq!(decided(&["2020-01-01", "", "2020-01-01T10:00"], None), dates);
        assert_eq!(decided(&["1", "2"], Some(ColumnRule::Category)), category);
        assert!(matches!(decided(&["", "NA", "?"], None), Ok(Decision::LeftOut(_))));
        // Texts that differ from row to row.
        let names: Vec<String> = (0..30).map(|i| format!("name {i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Ok(Decision::LeftOut(note)) = decided(&names, None) else { panic!("taken") };
        assert!(
            note.contains("30 different texts in 30 cells, which look like an identifier"),
            "{note}"
        );
        let said = decided(&["yes", "no"], Some(ColumnRule::Number)).unwrap_err();
        assert_eq!(said.1.split(';').next(), Some("`yes` is not a number, and no cell of `c` is"));
        // A file that declares texts may hold numbers in them.
        for (last, remedy) in [
            ("0.5", "\"c:number\" to read them as numbers, or"),
            ("x", "give ‘columns’ \"c:category\""),
        ] {
            let mut scan = ColumnScan::new(None, Some(&DeclaredType::Text));
            let cells = (0..30).map(|i| format!("{i}.25")).chain([last.to_string()]);
            cells.for_each(|cell| _ = scan.push(&cell, 2, &GapMarks::default()));
            let decided = scan.decide("c", GapRule::Median);
            let Ok((Decision::LeftOut(note), _)) = decided else { panic!("taken") };
            assert!(note.contains(remedy), "{note}");
        }
        assert_eq!(decided(&names[..19], None), category);
        assert_eq!(decided(&names, Some(ColumnRule::Category)), category);
    }

    #[test]
    fn few_texts_among_numbers_are_refused_with_their_line() {
        let mut cells = vec!["1"; 100];
        cells[7] = "12O";
        let (line, said) = decided(&cells, None).unwrap_err();
        assert_eq!(line, 9);
        assert!(said.contains("`12O` is not a number, but 99 of 100 cells are"), "{said}");
        assert!(said.contains("\"c:category\""), "{said}");
        // Where half of the cells are numbers, the texts are no values.
        for (texts, refused) in [(10, true), (50, true), (51, false)] {
            let cells: Vec<&str> = (0..100).map(|i| if i < texts { "x" } else { "1" }).collect();
            assert_eq!(decided(&cells, None).is_err(), refused, "{texts}");
        }
        assert!(decided(&["1", "inf"], None).unwrap_err().1.contains("not a finite number"));
        assert!(decided(&["1,5", "2,5", "3,5"], None).unwrap_err().1.contains("decimals"));
        let mut dates = vec!["2024-01-31"; 40];
        for (bad, line) in [("2024-02-30", 22), ("?", 22)] {
            dates[20] = bad;
            let said = decided(&dates, None).unwrap_err();
            assert!(said.0 == line && said.1.contains("is no date, but 39 of 40"), "{said:?}");
        }
        let european: Vec<String> =
            (1..=40).map(|day| format!("{:02}.01.2024", day % 7 + 1)).collect();
        let mut scan = ColumnScan::new(None, None);
        for (cell, line) in european.iter().zip(2..) {
            scan.push(cell, line, &GapMarks::default());
        }
        let note = scan.decide("c", GapRule::Median).unwrap().1.unwrap().text;
        assert!(note.contains("\"c:date(%d.%m.%Y)\""), "{note}");
        let said =
            decided(&["2020-01-01", "x"], Some(ColumnRule::Date(DateRule::default()))).unwrap_err();
        assert!(said.0 == 3 && said.1.contains("`x` is no date"), "{said:?}");
        let hours: ColumnRule = "date(hour)".parse().unwrap();
        assert!(decided(&["2020-01-01T10:00"], Some(hours.clone())).is_ok());
        let said = decided(&["2020-01-01"], Some(hours)).unwrap_err();
        assert!(said.1.contains("no time of day, and so no hour"), "{said:?}");
    }
}
