//! Form of a table's text, found from its first rows: delimiter, header, columns that are none, marks in numbers.
//!
//! In: the table's first bytes, and what the user has said of its form. Out: the form of the whole table, and remarks on all
//! that is not as usual.
//! Absent on purpose: any guess that changes how a table between commas with a header is read.

use std::path::{Path, PathBuf};

use ::csv::{ByteRecord, ReaderBuilder};

use super::bytes::BOM;
use super::marks::{DecimalMark, MarksEvidence, NumberMarks, decide, either_mark};
use crate::data::cell::shown;
use crate::data::header::list;
use crate::data::sheet_rows::SheetRows;
use crate::error::{Error, Result};

/// Largest number of rows that are looked at.
const ROWS: u64 = 1000;
/// Delimiters that are searched, with their names: the first is the usual one.
pub(super) const DELIMITERS: [(u8, &str); 4] =
    [(b',', "comma"), (b';', "semicolon"), (b'\t', "tab"), (b'|', "vertical bar")];

/// Form of a table's text. What is `None` is found from the table's first rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFormat {
    /// Sign between cells: a single byte that is no quote, line end, digit, letter, point or sign of a number.
    pub delimiter: Option<char>,
    /// Sign before the decimals of numbers.
    pub decimal: Option<DecimalMark>,
    /// True if the first line has the columns' names. Without, the columns are named `c1`, `c2` …
    pub header: Option<bool>,
    /// File of an array with the target of each row, for a table that is an array too; the target's name is `y` then.
    pub target_file: Option<PathBuf>,
    /// Name of a workbook's sheet; without one, the first that is not hidden.
    pub sheet: Option<String>,
}

impl TableFormat {
    /// Returns the file of an array's target and the name of a workbook's sheet, which tables of other forms lack.
    pub(super) fn files(&self) -> (Option<&Path>, Option<&str>) {
        (self.target_file.as_deref(), self.sheet.as_deref())
    }

    /// Returns the form of the text of an array or of columns, which has a header, or of a sheet, which may have one.
    pub(super) fn of_array(&self, source: &str, is_sheet: bool) -> Result<Self> {
        let marks = self.delimiter.is_some() || self.decimal.is_some();
        if marks && is_sheet {
            let problem = "the file is an Excel workbook, and has no ‘delimiter’ or ‘decimal’ mark; leave these options out";
            return Err(Error::table(source, problem));
        }
        if marks || self.header.is_some() && !is_sheet {
            let problem = "the file is no text, and has no ‘delimiter’, ‘decimal’ mark or ‘header’; leave these options out";
            return Err(Error::table(source, problem));
        }
        let header = if is_sheet { self.header } else { Some(true) };
        let (target_file, sheet) = (self.target_file.clone(), self.sheet.clone());
        Ok(Self { delimiter: Some(','), decimal: None, header, target_file, sheet })
    }
}

/// Form of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) header: bool,
    /// Number of bytes before the table, of a first line such as `sep=;`.
    pub(super) skip: usize,
    /// True if the first cell of each row is a name of the row, which the header lacks.
    pub(super) row_names: bool,
    /// True for the text of an array, of columns or of a sheet.
    pub(super) is_array: bool,
    /// Rows of the sheet whose text this is.
    pub(super) sheet: Option<SheetRows>,
    /// True if the header has an empty name for it.
    pub(super) unnamed: bool,
    /// Number of empty columns without a name at the end of each row.
    pub(super) trailing: usize,
    /// Number of cells of a row.
    pub(super) width: usize,
    /// Marks in the numbers of each column that has a name.
    pub(super) marks: Vec<NumberMarks>,
    /// Decimal mark of a table whose user has said so, or whose numbers have commas.
    pub(super) comma: bool,
    /// True if the user has said which decimal mark numbers have.
    pub(super) decimal_is_stated: bool,
    /// Number of cells of the first line.
    first: usize,
    /// Remarks on what is not as usual.
    pub(super) notes: Vec<String>,
    /// Reason why the form cannot be told.
    pub(super) problem: Option<String>,
}

/// Rows of the sample for one delimiter.
struct SampleRows {
    first: ByteRecord,
    /// Lengths of the rows after the first, each with its number of rows.
    lengths: Vec<(usize, u64)>,
}

impl SampleRows {
    /// Number of rows after the first that have a length.
    fn of_length(&self, length: usize) -> u64 {
        self.lengths.iter().filter(|it| it.0 == length).map(|it| it.1).sum()
    }

    fn count(&self) -> u64 {
        self.lengths.iter().map(|it| it.1).sum()
    }

    /// Returns true if this delimiter parts nearly all rows alike, into two cells or more.
    fn is_steady(&self) -> bool {
        let width = self.first.len();
        let fitting = self.of_length(width).max(self.of_length(width + 1));
        width > 1 && fitting * 10 >= self.count() * 9
    }
}

/// Calls `each` for the rows of a sample; a last row that may be cut is left out.
fn each_row(sample: &[u8], whole: bool, delimiter: u8, mut each: impl FnMut(&ByteRecord)) {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(sample);
    let mut record = ByteRecord::new();
    let mut before: Option<ByteRecord> = None;
    let mut rows = 0;
    // A row is taken when the next one begins, since only then it is known to be whole.
    while rows < ROWS && matches!(reader.read_byte_record(&mut record), Ok(true)) {
        let mut spare = before.take().unwrap_or_default();
        if rows > 0 {
            each(&spare);
        }
        std::mem::swap(&mut spare, &mut record);
        before = Some(spare);
        rows += 1;
    }
    if let Some(last) = before.filter(|_| whole || rows == 1) {
        each(&last);
    }
}

/// Returns a trimmed cell; bytes that are no text are refused later, with their place.
fn text_of(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default().trim()
}

fn rows_of(sample: &[u8], whole: bool, delimiter: u8) -> SampleRows {
    let mut rows = SampleRows { first: ByteRecord::new(), lengths: Vec::new() };
    let mut first = true;
    each_row(sample, whole, delimiter, |record| {
        if std::mem::take(&mut first) {
            rows.first = record.clone();
        } else if let Some(known) = rows.lengths.iter_mut().find(|it| it.0 == record.len()) {
            known.1 += 1;
        } else {
            rows.lengths.push((record.len(), 1));
        }
    });
    rows
}

/// Returns the delimiter that a first line such as `sep=;` names, and the number of bytes until the next line.
fn sep_line(sample: &[u8]) -> Option<(u8, usize)> {
    let bom = if sample.starts_with(&BOM) { BOM.len() } else { 0 };
    let end = sample.iter().take(16).position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let next = match sample[end..] {
        [b'\r', b'\n', ..] => end + 2,
        _ => end + 1,
    };
    let line = sample.get(bom..end)?;
    // Spaces only, since a tab may be the delimiter that is named.
    let end = line.iter().rposition(|&byte| byte != b' ')? + 1;
    let line = &line[..end];
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (key, delimiter) = line.split_at_checked(4)?;
    match delimiter {
        [delimiter] if key.eq_ignore_ascii_case(b"sep=") && is_delimiter(*delimiter) => {
            Some((*delimiter, next))
        }
        _ => None,
    }
}

/// Returns true for a byte that may stand between cells.
pub(super) fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || byte == b' ' || byte.is_ascii_punctuation() && !b"\".+-".contains(&byte)
}

/// Returns the name of a delimiter in messages.
pub(super) fn name_of(delimiter: u8) -> String {
    let known = DELIMITERS.iter().find(|it| it.0 == delimiter);
    known.map_or_else(|| shown(&char::from(delimiter).to_string()), |it| it.1.to_string())
}

impl Dialect {
    /// Finds the form of a table by its first bytes, `whole` if these are all. The header has the columns that `wanted` asks
    /// for, if the first line has them.
    pub(super) fn find(
        (sample, whole): (&[u8], bool),
        (stated, comma_before): (&TableFormat, bool),
        wanted: impl Fn(&[&str]) -> bool,
    ) -> Self {
        let mut found = Self::default();
        let named = sep_line(sample);
        let sample = match named {
            Some((_, skip)) => {
                found.skip = skip;
                &sample[skip..]
            }
            None => sample.strip_prefix(&BOM).unwrap_or(sample),
        };
        let said = stated.delimiter.and_then(|it| u8::try_from(it).ok());
        let (delimiter, rows) = choose(sample, whole, said.or(named.map(|it| it.0)));
        found.delimiter = delimiter;
        if let Some((named, _)) = named {
            let by = if said.is_some_and(|said| said != named) { " (not followed)" } else { "" };
            found
                .notes
                .push(format!("a first line that names a {} between cells{by}", name_of(named)));
        } else if delimiter != b',' {
            found.notes.push(format!("a {} between cells", name_of(delimiter)));
        }
        found.columns((sample, whole), &rows, (stated, comma_before), wanted);
        found
    }

    /// Finds the columns: header, names of rows, empty columns, and marks in numbers.
    fn columns(
        &mut self,
        (sample, whole): (&[u8], bool),
        rows: &SampleRows,
        (stated, comma_before): (&TableFormat, bool),
        wanted: impl Fn(&[&str]) -> bool,
    ) {
        let count = rows.count();
        let mut width = rows.first.len();
        // A single row of another length is rather a mistake.
        let longer = count > 1 && rows.of_length(width + 1) == count;
        // As pandas writes its index.
        let unnamed = count > 1
            && width > 1
            && rows
                .first
                .iter()
                .enumerate()
                .all(|(at, title)| text_of(title).is_empty() == (at == 0));
        let mut columns = vec![MarksEvidence::default(); width + usize::from(longer)];
        // Names of rows differ from each other.
        let mut names = Vec::new();
        let mut first = true;
        each_row(sample, whole, self.delimiter, |record| {
            if std::mem::take(&mut first) {
                return;
            }
            for (column, cell) in columns.iter_mut().zip(record) {
                column.add(text_of(cell));
            }
            if longer || unnamed {
                names.push(record.get(0).map(text_of).unwrap_or_default().to_string());
            }
        });
        let empty = |column: &MarksEvidence| column.numbers == 0 && column.texts == 0;
        let titles: Vec<&str> = rows.first.iter().map(text_of).collect();
        self.first = titles.len();
        let data = looks_like_data(&titles, &columns);
        self.header = stated.header.unwrap_or_else(|| wanted(&titles) || !data);
        names.sort_unstable();
        let differ = names.windows(2).all(|pair| pair[0] != pair[1])
            && names.first().is_some_and(|name| !name.is_empty());
        if unnamed && self.header && !longer {
            (self.row_names, self.unnamed) = (differ, differ);
        }
        if longer && self.header {
            if columns.last().is_some_and(empty) {
                width += 1;
            } else {
                self.row_names = differ;
                width += usize::from(self.row_names);
                self.problem = halves(&rows.first, &columns, &names, self.delimiter);
            }
        }
        self.width = width;
        // Empty columns have no name, or there are no names.
        let nameless = |place: usize| titles.get(place).is_none_or(|title| title.is_empty());
        let at_end = (0..width).rev().take_while(|&place| {
            nameless(place) && columns.get(place).is_some_and(empty) && count > 0
        });
        self.trailing = at_end.count().min(width.saturating_sub(1));
        let begin = usize::from(self.row_names);
        columns.resize(width.max(begin), MarksEvidence::default());
        let used = &columns[begin..width - self.trailing];
        self.marks = decide(used, stated.decimal, (self.delimiter, comma_before));
        let either = match stated.decimal.is_none() && self.delimiter != b',' {
            true => either_mark(used, &self.marks),
            false => vec![],
        };
        self.comma = stated.decimal == Some(DecimalMark::Comma);
        self.decimal_is_stated = stated.decimal.is_some();
        self.remark(&titles, stated, &either);
    }

    /// Takes the text of an array or of columns, which was written as it is to be read; `notes` are on that.
    pub(super) fn take_as_written(&mut self, notes: &[String]) {
        let cells = self.first;
        (self.is_array, self.width, self.trailing) = (true, cells, 0);
        (self.row_names, self.unnamed, self.comma) = (false, false, false);
        self.marks = vec![NumberMarks::Plain; cells];
        self.notes = notes.to_vec();
    }

    /// Takes the text of a sheet, whose first row may be no header, and whose first column may have the names of rows.
    pub(super) fn take_sheet(&mut self, rows: SheetRows, notes: &[String], stated: &TableFormat) {
        let (row_names, unnamed) = (self.row_names, self.unnamed);
        self.take_as_written(notes);
        (self.row_names, self.unnamed, self.sheet) = (row_names, unnamed, Some(rows));
        self.marks.truncate(self.width - usize::from(row_names));
        self.remark(&[], stated, &[]);
    }

    /// Returns the line in messages of a row of an array or a sheet, which has so many rows before it.
    pub(super) fn line_of_row(&self, before: u64) -> u64 {
        match &self.sheet {
            Some(rows) => rows.number(before + u64::from(self.header)),
            // The header is line 1.
            None => before + 2,
        }
    }

    /// Returns true if a table whose first line has so many cells needs no treatment.
    pub(super) fn is_plain(&self, cells: usize) -> bool {
        let all = self.header && !self.row_names && self.trailing == 0 && self.width == cells;
        all && self.marks.iter().all(|marks| *marks == NumberMarks::Plain)
    }

    /// Forgets the columns if the first line has another number of cells than its beginning has shown.
    pub(super) fn fit(&mut self, cells: usize) {
        if self.first != cells {
            (self.first, self.width, self.trailing) = (cells, cells, 0);
            (self.row_names, self.unnamed) = (false, false);
            let marks =
                if self.comma { NumberMarks::Comma { groups: true } } else { NumberMarks::Plain };
            self.marks = vec![marks; cells];
        }
    }

    /// Returns the name of a column without a header.
    pub(super) fn name(column: usize) -> String {
        format!("c{}", column + 1)
    }

    /// Notes what was found; the points of the columns `either` may stand between thousands, though they are read as decimal points.
    fn remark(&mut self, titles: &[&str], stated: &TableFormat, either: &[usize]) {
        let used = self.marks.len();
        if !self.header {
            let why = if stated.header.is_none() {
                "the first line looks like data"
            } else {
                "no header"
            };
            self.notes.push(format!("{why}: columns are named `c1` to `c{used}`"));
        }
        if self.row_names {
            self.notes
                .push("the header lacks a name for the first column, which is left out".into());
        }
        if self.trailing > 0 {
            let columns = if self.trailing == 1 { "an empty column" } else { "empty columns" };
            self.notes.push(format!("{columns} without a name at the end, left out"));
        }
        let name = |place: usize| match titles.get(place) {
            Some(title) if self.header => (*title).to_string(),
            _ => Self::name(place),
        };
        let with = |wanted: fn(&NumberMarks) -> bool| -> Vec<String> {
            let places = (0..used).filter(|&place| wanted(&self.marks[place]));
            places.map(name).collect()
        };
        let comma = with(|marks| matches!(marks, NumberMarks::Comma { .. }));
        let thousands = with(|marks| *marks == NumberMarks::Thousands);
        let mut notes = Vec::new();
        if comma.len() == used && used > 0 {
            notes.push("decimals with a comma".to_string());
        } else if !comma.is_empty() {
            notes.push(format!("decimals with a comma in {}", list(&comma)));
        }
        if !thousands.is_empty() && stated.decimal.is_none() {
            notes.push(format!("commas between thousands in {}", list(&thousands)));
        }
        let either: Vec<String> = either.iter().map(|&place| name(place)).collect();
        if !either.is_empty() {
            notes.push(format!(
                "1.234 is 1 and a part in {}; if its points stand between thousands, give ‘decimal’ comma",
                list(&either)
            ));
        }
        self.comma |= !comma.is_empty();
        self.notes.extend(notes);
    }
}

/// Chooses the delimiter, unless it is stated.
fn choose(sample: &[u8], whole: bool, stated: Option<u8>) -> (u8, SampleRows) {
    if let Some(delimiter) = stated {
        return (delimiter, rows_of(sample, whole, delimiter));
    }
    let usual = rows_of(sample, whole, b',');
    let numbers = |delimiter| {
        let (mut cells, mut numbers) = (0_u64, 0_u64);
        each_row(sample, whole, delimiter, |record| {
            for cell in record {
                let mut evidence = MarksEvidence::default();
                evidence.add(text_of(cell));
                cells += 1;
                numbers += u64::from(evidence.numbers);
            }
        });
        (numbers, cells)
    };
    // Names that a comma parts are a header between commas, whatever other signs there are. Only a first line of numbers
    // may have decimal commas.
    let digits = |cell: &[u8]| cell.iter().any(u8::is_ascii_digit);
    let certain = usual.is_steady() && !usual.first.iter().all(digits);
    if certain || sample.is_empty() {
        return (b',', usual);
    }
    let mut best = (b',', usual);
    for (delimiter, _) in &DELIMITERS[1..] {
        let rows = rows_of(sample, whole, *delimiter);
        if !rows.is_steady() {
            continue;
        }
        let better = if best.1.is_steady() {
            // Of two that part rows alike, more of the right one's cells are numbers.
            let ((a, all), (b, own)) = (numbers(best.0), numbers(*delimiter));
            u128::from(b) * u128::from(all) > u128::from(a) * u128::from(own)
        } else {
            true
        };
        if better {
            best = (*delimiter, rows);
        }
    }
    best
}

/// Says why the rows below a single name may be numbers with a decimal comma, in two halves: both are digits, and the first ones do not
/// count the rows.
fn halves(
    first: &ByteRecord,
    columns: &[MarksEvidence],
    names: &[String],
    delimiter: u8,
) -> Option<String> {
    let mut counted: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    counted.sort_unstable();
    let counts = counted.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let digits = columns.iter().all(|column| column.texts == 0 && column.numbers > 0);
    let doubtful = first.len() == 1 && delimiter == b',' && digits && !counts;
    doubtful.then(|| {
        "below one name each row has two numbers with a comma between: a number with a decimal comma, or the name of a row and a number; \
         give ‘delimiter’ semicolon for the one, or name both columns in the header for the other"
            .to_string()
    })
}

/// Returns true if the first line has a number where all rows have one, and no text above numbers.
fn looks_like_data(titles: &[&str], columns: &[MarksEvidence]) -> bool {
    let mut numbers = false;
    for (title, column) in titles.iter().zip(columns) {
        if column.numbers == 0 || column.texts > column.numbers / 20 {
            continue;
        }
        let mut first = MarksEvidence::default();
        first.add(title);
        if first.texts > 0 {
            return false;
        }
        numbers |= first.numbers > 0;
    }
    numbers
}
