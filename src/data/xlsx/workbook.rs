//! Parts of a workbook that cells refer to: its sheets, texts that cells share, formats that make numbers dates.
//!
//! In: the files of a workbook. Out: a [`Workbook`], in memory of a stated size.
//! Absent on purpose: cells.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use quick_xml::events::Event;

use super::xml::{XmlReader, attribute, resolved};
use crate::data::archive::{ArchiveEntry, WORKBOOK, entries};
use crate::data::cell::shown;
use crate::data::header::list;

/// Most bytes of texts that cells share, which are held in memory.
pub(super) const MOST_TEXT: usize = 256 << 20;
/// Most sheets, and most formats of cells.
const MOST_SHEETS: usize = 1 << 10;
const MOST_FORMATS: usize = 1 << 16;

/// Meaning of a number in a cell, by the cell's format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NumberFormat {
    #[default]
    Number,
    /// Days since the beginning of the workbook's calendar.
    Date,
    /// A time of day or a duration, in days.
    Time,
}

/// Texts that cells share, one behind the other.
#[derive(Debug, Default)]
pub(super) struct SharedTexts {
    text: String,
    /// End of each text.
    ends: Vec<usize>,
}

impl SharedTexts {
    pub(super) fn get(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let begin = if place == 0 { 0 } else { self.ends[place - 1] };
        self.text.get(begin..end)
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<usize>()
    }
}

/// A sheet of cells.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    pub(super) name: String,
    /// Name of its file in the archive.
    pub(super) file: String,
    /// True if spreadsheet programs do not show it.
    pub(super) hidden: bool,
}

/// A workbook without its cells.
pub(super) struct Workbook {
    path: PathBuf,
    files: Vec<ArchiveEntry>,
    pub(super) sheets: Vec<Sheet>,
    /// True if days count from 1904-01-01.
    pub(super) from_1904: bool,
    pub(super) texts: SharedTexts,
    /// Meaning of a number, by the number of a cell's format.
    pub(super) formats: Vec<NumberFormat>,
}

impl Workbook {
    /// Opens a workbook.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is damaged, or holds more than the stated memory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut workbook = Self {
            path: path.to_owned(),
            files: entries(path)?,
            sheets: Vec::new(),
            from_1904: false,
            texts: SharedTexts::default(),
            formats: Vec::new(),
        };
        workbook.read_sheets()?;
        if let Some(file) = workbook.reader("xl/styles.xml", &Arc::default())? {
            workbook.formats = formats(file)?;
        }
        if let Some(file) = workbook.reader("xl/sharedStrings.xml", &Arc::default())? {
            workbook.texts = shared_texts(file)?;
        }
        Ok(workbook)
    }

    /// Opens a file of the archive, whose bytes `taken` counts; `None` if there is none of this name.
    pub(super) fn reader(
        &self,
        name: &str,
        taken: &Arc<AtomicU64>,
    ) -> io::Result<Option<XmlReader>> {
        // Some programs write names with other cases.
        let file = self.files.iter().find(|it| it.name.eq_ignore_ascii_case(name));
        file.map(|it| Ok(XmlReader::new(it.open(&self.path, taken)?, name))).transpose()
    }

    /// Returns the sheet of a name, or the first one that is shown; the first one of all where none is.
    pub(super) fn sheet(&self, wanted: Option<&str>) -> io::Result<&Sheet> {
        let sheet = match wanted {
            None => self.sheets.iter().find(|it| !it.hidden).or(self.sheets.first()),
            Some(name) => self.sheets.iter().find(|it| it.name.trim() == name.trim()),
        };
        sheet.ok_or_else(|| {
            let names: Vec<&str> = self.sheets.iter().map(|it| it.name.as_str()).collect();
            let problem = match wanted {
                Some(name) => {
                    format!("there is no sheet {}; the workbook has {}", shown(name), list(&names))
                }
                None => "the workbook has no sheet of cells".to_string(),
            };
            io::Error::new(io::ErrorKind::Unsupported, problem)
        })
    }

    /// Says which other sheets there are, and how one of them is read; empty if there is none.
    pub(super) fn others(&self, name: &str) -> String {
        let named = |hidden: bool| -> Vec<&str> {
            let others = self.sheets.iter().filter(|it| it.name != name && it.hidden == hidden);
            others.map(|it| it.name.as_str()).collect()
        };
        let (open, hidden) = (named(false), named(true));
        let mut told = String::new();
        if !open.is_empty() {
            told += &format!("; for another sheet give ‘sheet’: {}", list(&open));
        }
        if !hidden.is_empty() {
            told += &format!("; for a hidden sheet give ‘sheet’: {}", list(&hidden));
        }
        told
    }

    /// Reads the names of the sheets, and of their files.
    fn read_sheets(&mut self) -> io::Result<()> {
        let taken = Arc::default();
        let lacks =
            || io::Error::new(io::ErrorKind::Unsupported, "the workbook has no list of sheets");
        let mut files = Vec::new();
        if let Some(mut xml) = self.reader("xl/_rels/workbook.xml.rels", &taken)? {
            loop {
                match xml.next()? {
                    Event::Start(it) if it.local_name().as_ref() == "Relationship" => {
                        let is_cells =
                            attribute(&it, "Type").is_some_and(|it| it.ends_with("/worksheet"));
                        let pair = attribute(&it, "Id").zip(attribute(&it, "Target"));
                        files.extend(pair.filter(|_| is_cells && files.len() < MOST_SHEETS));
                    }
                    Event::Eof => break,
                    _ => {}
                }
            }
        }
        let mut xml = self.reader(WORKBOOK, &taken)?.ok_or_else(lacks)?;
        let (mut sheets, mut from_1904) = (Vec::new(), false);
        loop {
            match xml.next()? {
                Event::Start(it) if it.local_name().as_ref() == "workbookPr" => {
                    let value = attribute(&it, "date1904");
                    from_1904 = value.is_some_and(|it| it == "1" || it == "true");
                }
                Event::Start(it)
                    if it.local_name().as_ref() == "sheet" && sheets.len() < MOST_SHEETS =>
                {
                    let name = attribute(&it, "name").unwrap_or_default();
                    let id = it.attributes().flatten().find(|it| {
                        it.key.as_ref() != "sheetId" && it.key.local_name().as_ref() == "id"
                    });
                    let file =
                        files.iter().find(|file| id.as_ref().is_some_and(|id| *id.value == file.0));
                    let hidden = attribute(&it, "state").is_some_and(|it| it != "visible");
                    // Sheets of charts have no cells.
                    sheets.extend(file.map(|file| Sheet {
                        name,
                        file: place_in_archive(&file.1),
                        hidden,
                    }));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        (self.sheets, self.from_1904) = (sheets, from_1904);
        Ok(())
    }
}

/// Returns the name in the archive of a file that the list of sheets refers to.
fn place_in_archive(target: &str) -> String {
    match target.strip_prefix('/') {
        Some(whole) => whole.to_owned(),
        None => format!("xl/{}", target.trim_start_matches("./")),
    }
}

/// Reads the texts that cells share.
fn shared_texts(mut xml: XmlReader) -> io::Result<SharedTexts> {
    let mut texts = SharedTexts::default();
    // Letters count in `t`, but not where they tell how a text is spoken.
    let (mut in_text, mut spoken) = (false, false);
    loop {
        match xml.next()? {
            Event::Start(it) => match it.local_name().as_ref() {
                "t" => in_text = true,
                "rPh" => spoken = true,
                _ => {}
            },
            Event::End(it) => match it.local_name().as_ref() {
                "t" => in_text = false,
                "rPh" => spoken = false,
                "si" => texts.ends.push(texts.text.len()),
                _ => {}
            },
            Event::Text(it) if in_text && !spoken => texts.text.push_str(&it.xml10_content()),
            Event::CData(it) if in_text && !spoken => texts.text.push_str(&it),
            Event::GeneralRef(it) if in_text && !spoken => match resolved(&it) {
                Some(text) => texts.text.push_str(&text),
                None => return Err(xml.damaged("an entity that stands for nothing")),
            },
            Event::Eof => return Ok(texts),
            _ => {}
        }
        if texts.bytes() > MOST_TEXT {
            let problem = format!(
                "the workbook has more than {} MiB of texts; save the sheet as CSV",
                MOST_TEXT >> 20
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
    }
}

/// Reads what the formats of cells make of numbers.
fn formats(mut xml: XmlReader) -> io::Result<Vec<NumberFormat>> {
    let mut own: Vec<(u32, NumberFormat)> = Vec::new();
    let mut formats = Vec::new();
    let mut of_cells = false;
    loop {
        match xml.next()? {
            Event::Start(it) => match it.local_name().as_ref() {
                "numFmt" => {
                    let id = attribute(&it, "numFmtId").and_then(|it| it.parse().ok());
                    let code = attribute(&it, "formatCode").unwrap_or_default();
                    own.extend(id.map(|id| (id, by_code(&code))));
                }
                "cellXfs" => of_cells = true,
                "xf" if of_cells => {
                    let id = attribute(&it, "numFmtId").and_then(|it| it.parse().ok()).unwrap_or(0);
                    let stated = own.iter().find(|it| it.0 == id).map(|it| it.1);
                    formats.push(stated.unwrap_or_else(|| by_number(id)));
                }
                _ => {}
            },
            Event::End(it) if it.local_name().as_ref() == "cellXfs" => of_cells = false,
            Event::Eof => return Ok(formats),
            _ => {}
        }
        if own.len().max(formats.len()) > MOST_FORMATS {
            return Err(xml.damaged(&format!("more than {MOST_FORMATS} formats of cells")));
        }
    }
}

/// Returns the meaning of a format that every workbook has.
fn by_number(id: u32) -> NumberFormat {
    match id {
        14..=17 | 22 | 27..=31 | 34..=36 | 50..=58 => NumberFormat::Date,
        18..=21 | 32 | 33 | 45..=47 => NumberFormat::Time,
        _ => NumberFormat::Number,
    }
}

/// Returns the meaning of a format by its letters, of which some stand in quotes, in brackets or behind a backslash.
fn by_code(code: &str) -> NumberFormat {
    // Only the form of positive numbers counts.
    let (mut date, mut time, mut month) = (false, false, false);
    let mut letters = code.chars();
    while let Some(letter) = letters.next() {
        match letter.to_ascii_lowercase() {
            ';' => break,
            '"' => _ = letters.by_ref().find(|&it| it == '"'),
            '\\' | '_' | '*' => _ = letters.next(),
            '[' => {
                let within: String = letters.by_ref().take_while(|&it| it != ']').collect();
                // Hours, minutes and seconds of a duration; all else is a colour, a condition or a currency.
                let within = within.to_ascii_lowercase();
                let all =
                    |letter: char| !within.is_empty() && within.chars().all(|it| it == letter);
                time |= all('h') || all('m') || all('s');
            }
            'y' | 'd' | 'e' if letter != 'E' => date = true,
            'h' | 's' => time = true,
            'm' => month = true,
            'g' if code.to_ascii_lowercase().contains("general") => return NumberFormat::Number,
            '0' | '#' | '?' if !time && !date => return NumberFormat::Number,
            _ => {}
        }
    }
    match (date, time, month) {
        (true, ..) | (false, false, true) => NumberFormat::Date,
        (false, true, _) => NumberFormat::Time,
        (false, false, false) => NumberFormat::Number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_a_format_tell_dates_and_times() {
        use NumberFormat::{Date, Number, Time};
        for (code, want) in [
            ("General", Number),
            ("0.00", Number),
            ("#,##0.00 \"days\"", Number),
            ("[Red]0;[Blue]-0", Number),
            ("0.00E+00", Number),
            ("\\d0", Number),
            ("_-* #,##0\\ [$EUR-407]_-", Number),
            ("yyyy-mm-dd", Date),
            ("[$-409]d\\-mmm\\-yy;@", Date),
            ("mmm", Date),
            ("dd.mm.yyyy\\ hh:mm", Date),
            ("h:mm:ss AM/PM", Time),
            ("[h]:mm", Time),
            ("mm:ss.0", Time),
            ("", Number),
        ] {
            assert_eq!(by_code(code), want, "{code}");
        }
        assert_eq!(
            [14, 18, 22, 46, 0, 49].map(by_number),
            [Date, Time, Date, Time, Number, Number]
        );
    }
}
