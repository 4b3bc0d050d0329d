//! The cells of a sheet, one after the other.
//!
//! In: the XML of a sheet, and the workbook that it refers to. Out: each filled cell with its place, its kind and its text as a table has
//! it: numbers as they are written, dates in ISO 8601, times in seconds.
//! Absent on purpose: formulas, of which the stored value counts; colours, merged cells, all else that has no value.

use std::io;

use quick_xml::events::{BytesStart, Event};

use super::workbook::{NumberFormat, Workbook};
use super::xml::{XmlReader, resolved};
use crate::data::cell;
use crate::data::date;

/// Most rows and columns of a sheet.
const MOST_ROWS: u32 = 1 << 20;
const MOST_COLUMNS: u32 = 1 << 14;
/// Most bytes of a cell's text: 32,767 letters, each of which may be written as an entity or in four bytes.
const LONGEST_TEXT: usize = 1 << 20;
const DAY_MILLISECONDS: f64 = 86_400_000.0;
/// Days from the first day of a calendar to 1970-01-01: of the one that takes 1900 for a leap year, and of the one from 1904.
const EPOCHS: [i64; 2] = [25_569, 24_107];
/// Day that the usual calendar has and 1900 had not; those before it are one later.
const NO_DAY: i64 = 60;
/// Days up to the end of the year 9999.
const LAST_DAY: f64 = 2_958_466.0;

/// Kind of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellKind {
    /// A number, or a time in seconds.
    Number,
    Text,
    /// `true` or `false`.
    Logical,
    Date,
    /// The result of a formula that failed, such as `#DIV/0!`.
    Fault,
}

/// Type of the content of a cell, as its tag says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    #[default]
    Number,
    Shared,
    Text,
    Logical,
    Fault,
    Date,
}

/// Part of a cell whose letters are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    None,
    Value,
    Inline,
}

/// A filled cell. Rows and columns count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilledCell {
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) kind: CellKind,
}

/// A cell whose tag was read, and what was read of it so far.
#[derive(Default)]
struct OpenCell {
    /// The row and the column, which come next where tags do not say.
    row: u32,
    column: u32,
    content: Content,
    format: usize,
    has_formula: bool,
    part: Part,
    /// True within a text that tells how another one is spoken.
    spoken: bool,
    raw: String,
}

/// Reader of the cells of a sheet.
pub(super) struct SheetCells {
    xml: XmlReader,
    cell: OpenCell,
    /// Text of the current cell.
    pub(super) text: String,
    ended: bool,
}

impl SheetCells {
    pub(super) fn new(xml: XmlReader) -> Self {
        Self { xml, cell: OpenCell::default(), text: String::new(), ended: false }
    }

    /// Returns the next filled cell, whose text is in [`Self::text`]; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// When the sheet is damaged, rows or columns do not come in their order, or a formula has no value.
    pub(super) fn next(&mut self, workbook: &Workbook) -> io::Result<Option<FilledCell>> {
        while !self.ended {
            let (event, cell) = (self.xml.next()?, &mut self.cell);
            let letters = cell.part != Part::None && !cell.spoken;
            let mut problem = None;
            match event {
                Event::Start(it) => match it.local_name().as_ref() {
                    "row" => problem = cell.begin_row(&it).err(),
                    "c" => problem = cell.begin(&it).err(),
                    "v" => cell.part = Part::Value,
                    "f" => cell.has_formula = true,
                    "t" => cell.part = Part::Inline,
                    "rPh" => cell.spoken = true,
                    _ => {}
                },
                Event::Text(it) if letters => cell.raw.push_str(&it.xml10_content()),
                Event::CData(it) if letters => cell.raw.push_str(&it),
                Event::GeneralRef(it) if letters => match resolved(&it) {
                    Some(text) => cell.raw.push_str(&text),
                    None => problem = Some("an entity that stands for nothing"),
                },
                Event::End(it) => match it.local_name().as_ref() {
                    "v" | "t" => cell.part = Part::None,
                    "rPh" => cell.spoken = false,
                    "c" => {
                        if let Some(filled) = self.finish(workbook)? {
                            return Ok(Some(filled));
                        }
                    }
                    "row" => cell.row += 1,
                    "sheetData" => {
                        // The checksum, which shows a changed digit of any cell, is compared at the end.
                        self.xml.finish()?;
                        self.ended = true;
                    }
                    _ => {}
                },
                Event::Eof => problem = Some("it ends in the middle"),
                _ => {}
            }
            if let Some(problem) = problem {
                return Err(self.xml.damaged(problem));
            }
            if self.cell.raw.len() > LONGEST_TEXT {
                return Err(self.xml.damaged("a cell with a longer text than cells have"));
            }
        }
        Ok(None)
    }

    /// Does the same as [`Self::next`], and tells of a damaged archive rather than of what that has made of a cell.
    pub(super) fn next_of_sound_file(
        &mut self,
        workbook: &Workbook,
    ) -> io::Result<Option<FilledCell>> {
        self.next(workbook).map_err(|error| self.xml.damage().unwrap_or(error))
    }

    /// Ends a cell. Returns it, unless it is empty.
    fn finish(&mut self, workbook: &Workbook) -> io::Result<Option<FilledCell>> {
        let (row, column) = (self.cell.row, self.cell.column);
        self.cell.column += 1;
        self.text.clear();
        let kind = self.cell.write(workbook, &mut self.text).map_err(|problem| {
            let problem = format!("cell {}: {problem}", cell_name(row, column));
            io::Error::new(io::ErrorKind::Unsupported, problem)
        })?;
        let kind = kind.filter(|_| !self.text.is_empty());
        Ok(kind.map(|kind| FilledCell { row, column, kind }))
    }
}

impl OpenCell {
    /// Takes the tag of a row.
    fn begin_row(&mut self, tag: &BytesStart<'_>) -> Result<(), &'static str> {
        let row = number_of(tag, "r").map_or(self.row, |row| row.wrapping_sub(1));
        if row < self.row || row >= MOST_ROWS {
            return Err("rows that do not come in their order");
        }
        (self.row, self.column) = (row, 0);
        Ok(())
    }

    /// Takes the tag of a cell.
    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), &'static str> {
        (self.content, self.format, self.has_formula) = (Content::Number, 0, false);
        (self.part, self.spoken) = (Part::None, false);
        self.raw.clear();
        for it in tag.attributes().flatten() {
            match it.key.as_ref() {
                "r" => {
                    let place = cell_place(&it.value).ok_or("a cell without a place")?;
                    if place.0 != self.row || place.1 < self.column {
                        return Err("cells that do not come in their order");
                    }
                    self.column = place.1;
                }
                "s" => self.format = it.value.parse().unwrap_or(0),
                "t" => {
                    self.content = match it.value.as_ref() {
                        "s" => Content::Shared,
                        "str" | "inlineStr" => Content::Text,
                        "b" => Content::Logical,
                        "e" => Content::Fault,
                        "d" => Content::Date,
                        _ => Content::Number,
                    };
                }
                _ => {}
            }
        }
        if self.column >= MOST_COLUMNS { Err("more columns than a sheet has") } else { Ok(()) }
    }

    /// Appends the text of the cell that has ended. Returns its kind; `None` if it is empty.
    fn write(&self, workbook: &Workbook, text: &mut String) -> Result<Option<CellKind>, String> {
        let is_text = self.content == Content::Text;
        let raw = if is_text { self.raw.as_str() } else { self.raw.trim() };
        if raw.is_empty() && self.has_formula && !is_text {
            return Err("a formula without its value, which the program that wrote the workbook has not computed; open the workbook in a \
                        spreadsheet program and save it"
                .into());
        }
        if raw.is_empty() {
            return Ok(None);
        }
        let kind = match self.content {
            Content::Shared => {
                let shared = raw.parse().ok().and_then(|place| workbook.texts.get(place));
                text.push_str(shared.ok_or("a text that the workbook lacks")?);
                return Ok(Some(CellKind::Text));
            }
            Content::Logical => {
                text.push_str(if raw == "0" || raw == "false" { "false" } else { "true" });
                return Ok(Some(CellKind::Logical));
            }
            Content::Number => return self.write_number(raw, workbook, text).map(Some),
            Content::Text => CellKind::Text,
            Content::Fault => CellKind::Fault,
            Content::Date => CellKind::Date,
        };
        text.push_str(raw);
        Ok(Some(kind))
    }

    /// Appends a number, or the date or time that the cell's format makes of it.
    fn write_number(
        &self,
        raw: &str,
        workbook: &Workbook,
        text: &mut String,
    ) -> Result<CellKind, String> {
        let value = cell::number(raw).map_err(|_| format!("{} is no number", cell::shown(raw)))?;
        match workbook.formats.get(self.format).copied().unwrap_or_default() {
            // As it is written, so that no digit is lost.
            NumberFormat::Number => text.push_str(raw),
            NumberFormat::Time => {
                let seconds = (value * DAY_MILLISECONDS).round() / 1000.0;
                text.push_str(&seconds.to_string());
            }
            NumberFormat::Date => {
                let date = date_text(value, workbook.from_1904);
                text.push_str(
                    &date.ok_or_else(|| format!("{raw} is no date of the years up to 9999"))?,
                );
                return Ok(CellKind::Date);
            }
        }
        Ok(CellKind::Number)
    }
}

/// Returns a whole number that an attribute holds.
fn number_of(tag: &BytesStart<'_>, name: &str) -> Option<u32> {
    let found = tag.attributes().flatten().find(|it| it.key.as_ref() == name)?;
    found.value.parse().ok()
}

/// Returns row and column of a place such as `B3`.
fn cell_place(text: &str) -> Option<(u32, u32)> {
    let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
    // Three letters are more columns than there are.
    if !(1..=3).contains(&letters) {
        return None;
    }
    let column = text[..letters].bytes().fold(0, |all, it| all * 26 + u32::from(it - b'A') + 1);
    let row: u32 = text[letters..].parse().ok()?;
    Some((row.checked_sub(1)?, column - 1))
}

/// Returns the name of a place: `B3` of row 2 and column 1.
pub(super) fn cell_name(row: u32, column: u32) -> String {
    let (mut letters, mut rest) = (Vec::new(), column + 1);
    while rest > 0 {
        letters.push(b'A' + ((rest - 1) % 26) as u8);
        rest = (rest - 1) / 26;
    }
    let letters: String = letters.iter().rev().map(|&it| char::from(it)).collect();
    format!("{letters}{}", row + 1)
}

/// Returns the date of a number of days in the workbook's calendar, in ISO 8601; with the time of day, if there is one.
fn date_text(days: f64, from_1904: bool) -> Option<String> {
    let epoch = EPOCHS[usize::from(from_1904)];
    let last = LAST_DAY - (EPOCHS[0] - epoch) as f64;
    if !(0.0..last).contains(&days) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
    let all = (days * DAY_MILLISECONDS).round() as i64;
    let (mut day, rest) = (all.div_euclid(86_400_000), all.rem_euclid(86_400_000));
    if !from_1904 && day < NO_DAY {
        day += 1;
    }
    let (year, month, date) = date::civil(day - epoch);
    let mut text = format!("{year:04}-{month:02}-{date:02}");
    if rest > 0 {
        let (second, part) = (rest / 1000, rest % 1000);
        text += &format!("T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        if part > 0 {
            text += &format!(".{part:03}");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_names() {
        for (name, place) in [
            ("A1", (0, 0)),
            ("Z9", (8, 25)),
            ("AA10", (9, 26)),
            ("XFD1048576", (1_048_575, 16_383)),
        ] {
            assert_eq!(cell_place(name), Some(place));
            assert_eq!(cell_name(place.0, place.1), name);
        }
        for name in ["", "1", "A", "A0", "AAAA1", "a1", "A1B", "A99999999999"] {
            assert_eq!(cell_place(name), None, "{name}");
        }
    }

    #[test]
    fn days_are_dates_of_both_calendars() {
        for (days, from_1904, want) in [
            (25_569.0, false, Some("1970-01-01")),
            (44_197.5, false, Some("2021-01-01T12:00:00")),
            (44_197.000_001, false, Some("2021-01-01T00:00:00.086")),
            (1.0, false, Some("1900-01-01")),
            (59.0, false, Some("1900-02-28")),
            (61.0, false, Some("1900-03-01")),
            (0.0, true, Some("1904-01-01")),
            (42_735.0, true, Some("2021-01-01")),
            (2_958_465.0, false, Some("9999-12-31")),
            (2_958_466.0, false, None),
            (2_957_004.0, true, None),
            (-1.0, false, None),
        ] {
            assert_eq!(date_text(days, from_1904).as_deref(), want, "{days}");
        }
    }
}
