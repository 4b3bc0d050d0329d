//! A table row by row, as text.
//!
//! In: bytes. Out: records with their lines, each as long as the header, and their numbers on request.
//! Absent on purpose: the meaning of columns.

use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::blocks::{BlockCutter, TextBlock};
use super::byte_source::ByteSource;
use super::bytes::{BOM, Beyond, MOST_CELLS, MOST_ROW, Watched};
use super::dialect::{DELIMITERS, Dialect, TableFormat, name_of};
use super::marks::NumberMarks;
use crate::data::cell;
#[cfg(feature = "parquet")]
use crate::data::columnar::ColumnBatches;
use crate::data::header;
use crate::data::kinds::DeclaredType;
#[cfg(feature = "parquet")]
use crate::data::open::is_lasting;
use crate::data::open::{MAGIC, TableBytes};
use crate::data::schema::Schema;
use crate::error::{Error, Result};

/// Bytes read from the file at once.
const BUFFER: usize = 1 << 16;
/// Number of lines that the sample has at least, if it is not as long as [`LONGEST_SAMPLE`].
const SAMPLE_LINES: usize = 20;
/// Largest number of bytes by which the form of a table is found.
const LONGEST_SAMPLE: usize = 1 << 20;

/// An open table and its current row. Header and rows have the columns with a name only, and numbers without marks other than a
/// decimal point.
#[derive(Debug)]
pub(in crate::data) struct TableReader {
    reader: Reader<Watched<ByteSource>>,
    path: PathBuf,
    pub(super) source: String,
    pub(in crate::data) header: StringRecord,
    pub(in crate::data) record: StringRecord,
    /// First line of the current row, counted from 1.
    pub(in crate::data) line: u64,
    rows: u64,
    dialect: Dialect,
    /// Types of the columns, as far as the file declares them.
    declared: Vec<Option<DeclaredType>>,
    /// Bytes that were taken of a compressed file, or by blocks.
    taken: Option<Arc<AtomicU64>>,
    /// True if header and rows are as in the file.
    plain: bool,
    /// Header and current row as in the file, where these differ from `header` and `record`.
    raw_header: StringRecord,
    raw: StringRecord,
    /// True if `record` is the first row already, because there is no header.
    pending: bool,
    /// Line after the current row.
    next_line: u64,
    /// A row with its line, before which blank lines stand that are rows themselves.
    held: Option<(u64, StringRecord)>,
    /// True for a part of a table, which may have no rows.
    is_part: bool,
}

/// Form of a table's rows, by which parts of it are read.
#[derive(Clone, Debug)]
pub(super) struct RowForm {
    pub(super) path: PathBuf,
    source: String,
    pub(super) header: StringRecord,
    pub(super) dialect: Dialect,
    declared: Vec<Option<DeclaredType>>,
    raw_header: StringRecord,
    /// True if rows are as in the file.
    pub(super) plain: bool,
    newline: u8,
}

impl RowForm {
    /// Returns a reader of the rows of a block that comes behind so many rows.
    pub(super) fn reader(&self, block: TextBlock, rows: u64) -> TableReader {
        let mut text = block.bytes;
        // The parser takes a mark from the beginning of its text, which is the beginning of the file for it alone.
        if text.starts_with(&BOM) {
            text.splice(0..0, BOM);
        }
        let bytes = ByteSource { sample: Cursor::new(text), ..ByteSource::default() };
        let delimiter = self.dialect.delimiter;
        let watched = Watched::part(bytes, delimiter, block.lines, self.newline);
        TableReader {
            reader: parser(watched, delimiter),
            path: self.path.clone(),
            source: self.source.clone(),
            header: self.header.clone(),
            record: StringRecord::new(),
            line: block.lines,
            rows,
            dialect: self.dialect.clone(),
            declared: self.declared.clone(),
            taken: None,
            plain: self.plain,
            raw_header: self.raw_header.clone(),
            raw: StringRecord::new(),
            pending: false,
            next_line: 0,
            held: None,
            is_part: true,
        }
    }
}

/// Makes the parser of a text.
fn parser(bytes: Watched<ByteSource>, delimiter: u8) -> Reader<Watched<ByteSource>> {
    // Lengths of rows are checked by the reader, not by the parser, for a message with both lengths.
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(BUFFER)
        .from_reader(bytes)
}

/// Reads the bytes by which the form of a table is found. Returns the bytes, whether these are all, and the error that ended them.
fn sample(bytes: &mut TableBytes) -> (Vec<u8>, bool, Option<io::Error>) {
    let mut sample = Vec::new();
    let mut lines = 0;
    while sample.len() < BUFFER || lines < SAMPLE_LINES && sample.len() < LONGEST_SAMPLE {
        let begin = sample.len();
        // Memory that grows with the table, since most are shorter.
        sample.resize(begin + BUFFER.min(begin.max(1 << 12)), 0);
        let read = bytes.read(&mut sample[begin..]);
        let asked = sample.len() - begin;
        sample.truncate(begin + read.as_ref().map_or(0, |&count| count));
        lines += sample[begin..].iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (sample, false, Some(error)),
            Ok(0) => return (sample, true, None),
            // The rows of a pipe are to be read as they come, once there are some.
            Ok(count) if !bytes.at_hand && count < asked && lines >= 2 && count > MAGIC => break,
            Ok(_) => {}
        }
    }
    let whole = sample.ends_with(b"\n") || sample.ends_with(b"\r");
    (sample, whole, None)
}

impl TableReader {
    /// Opens a file of a form that is found, but for what is stated. The first line is taken for a header if it has the columns
    /// that `wanted` asks for.
    pub(in crate::data) fn open(
        path: &Path,
        stated: &TableFormat,
        wanted: impl Fn(&[&str]) -> bool,
    ) -> Result<Self> {
        let bytes = TableBytes::open(path, stated.files(), &wanted);
        Self::from_bytes(bytes, path, (stated, None), wanted)
    }

    /// Opens a file of a form that is found, whose first line is a header if it has the columns of a schema.
    pub(super) fn open_like(path: &Path, schema: &Schema, stated: &TableFormat) -> Result<Self> {
        let wanted = |names: &[&str]| header::has_all(names, &schema.read_columns());
        let bytes = TableBytes::open(path, stated.files(), &wanted);
        Self::from_bytes(bytes, path, (stated, Some(schema)), wanted)
    }

    /// Does the same as [`Self::open_like`] for bytes from any source; messages call it by `name`.
    pub(super) fn from_reader_like(
        reader: impl Read + Send + 'static,
        name: &str,
        schema: &Schema,
        stated: &TableFormat,
    ) -> Result<Self> {
        let wanted = |names: &[&str]| header::has_all(names, &schema.read_columns());
        let bytes = TableBytes::of(reader, stated.files());
        Self::from_bytes(bytes, Path::new(name), (stated, Some(schema)), wanted)
    }

    fn from_bytes(
        bytes: io::Result<TableBytes>,
        path: &Path,
        (stated, earlier): (&TableFormat, Option<&Schema>),
        wanted: impl Fn(&[&str]) -> bool,
    ) -> Result<Self> {
        let source = if path == Path::new("-") {
            "standard input".into()
        } else {
            path.display().to_string()
        };
        let mut bytes = bytes.map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => Error::table(&source, error.to_string()),
            _ => Error::file("read", path, error),
        })?;
        let taken = bytes.counter();
        let stated = match bytes.array_notes() {
            // The mark that was stated for the training table holds, unless another mark is stated for this one.
            None => {
                let decimal = stated.decimal.or(earlier.and_then(|it| it.decimal));
                TableFormat { decimal, ..stated.clone() }
            }
            Some(array) => stated.of_array(&source, array.sheet.is_some())?,
        };
        let (sample, whole, failed) = sample(&mut bytes);
        let comma_before = earlier.is_some_and(|it| it.has_decimal_comma);
        let mut dialect = Dialect::find((&sample, whole), (&stated, comma_before), wanted);
        if let Some(problem) = dialect.problem.take() {
            return Err(Error::table(&source, problem));
        }
        let mut array = bytes.array_notes().cloned();
        if let Some(array) = &mut array {
            match array.sheet.take() {
                Some(rows) => dialect.take_sheet(rows, &array.notes, &stated),
                None => dialect.take_as_written(&array.notes),
            }
            // Names of rows are no column of the table.
            let names = usize::from(dialect.row_names).min(array.declared.len());
            array.declared.drain(..names);
        }
        let mut sample = Cursor::new(sample);
        sample.set_position(dialect.skip as u64);
        let bytes = ByteSource { sample, failed, rest: Some(bytes) };
        let watched = Watched::new(bytes, dialect.delimiter, u64::from(dialect.skip > 0));
        let reader = parser(watched, dialect.delimiter);
        let mut table = Self {
            reader,
            path: path.to_path_buf(),
            source,
            header: StringRecord::new(),
            record: StringRecord::new(),
            line: 0,
            rows: 0,
            dialect,
            declared: array.unwrap_or_default().declared,
            taken,
            plain: true,
            raw_header: StringRecord::new(),
            raw: StringRecord::new(),
            pending: false,
            next_line: 0,
            held: None,
            is_part: false,
        };
        if !table.advance()? {
            let problem = "the file is empty; a header line with the columns' names is needed";
            return Err(Error::table(&table.source, problem));
        }
        table.begin();
        Ok(table)
    }

    /// Takes the first record for the header, or for the first row where there is none.
    fn begin(&mut self) {
        self.next_line = self.line + self.lines_inside() + 1;
        let length = self.record.len();
        // A first line that is longer than the sample has not shown its columns.
        self.dialect.fit(length);
        self.plain = self.dialect.is_plain(length);
        if self.plain {
            self.header = std::mem::take(&mut self.record);
            return;
        }
        let used = self.dialect.marks.len();
        if !self.dialect.header {
            self.pending = true;
            self.header = (0..used).map(Dialect::name).collect();
            return;
        }
        self.raw_header = std::mem::take(&mut self.record);
        let unnamed = usize::from(self.dialect.unnamed);
        self.header = self.raw_header.iter().skip(unnamed).take(used).collect();
        // A header that is shorter than the rows would name their columns wrongly once there are more of them.
        let named = self.dialect.width + unnamed - usize::from(self.dialect.row_names);
        (length..named).for_each(|_| self.raw_header.push_field(""));
    }

    /// Returns true if the first row was read with the header, which is none.
    pub(super) fn has_first_row(&self) -> bool {
        self.pending
    }

    /// Gives all rows behind the header, or behind the first row, to others, who read them by the form.
    pub(super) fn take_blocks(&mut self) -> (BlockCutter, RowForm) {
        let offset = self.reader.position().byte();
        let delimiter = self.dialect.delimiter;
        let watched = self.reader.get_mut();
        let (newline, lines) = (watched.newline(), watched.lines_before(offset));
        let nothing = parser(Watched::new(ByteSource::default(), delimiter, 0), delimiter);
        let taken = std::mem::replace(&mut self.reader, nothing).into_inner();
        let (source, rest) = taken.into_rest(offset);
        let read = Arc::new(AtomicU64::new(offset + self.dialect.skip as u64));
        // Of a compressed file, the bytes that were taken are counted already.
        self.taken.get_or_insert_with(|| Arc::clone(&read));
        let form = RowForm {
            path: self.path.clone(),
            source: self.source.clone(),
            header: self.header.clone(),
            dialect: self.dialect.clone(),
            declared: self.declared.clone(),
            raw_header: self.raw_header.clone(),
            plain: self.plain,
            newline,
        };
        let path = self.path.clone();
        let source = Cursor::new(rest).chain(source);
        let rest = Vec::new();
        let blocks = BlockCutter {
            source,
            path,
            delimiter,
            newline,
            lines,
            rest,
            size: None,
            read,
            ended: false,
        };
        (blocks, form)
    }

    /// Opens the rows of a file of columns, which this table is the text of, to be read by columns; `None` for any other table.
    #[cfg(feature = "parquet")]
    pub(super) fn columns(&self) -> Result<Option<ColumnBatches>> {
        let Some(taken) = self.taken.as_ref().filter(|_| self.dialect.is_array) else {
            return Ok(None);
        };
        if !is_lasting(&self.path) {
            return Ok(None);
        }
        ColumnBatches::reopen(&self.path, Arc::clone(taken))
            .map_err(|source| Error::file("read", &self.path, source))
    }

    /// Returns the error of a table without rows.
    pub(super) fn without_rows(&self) -> Error {
        Error::table(&self.source, "a header, but no rows; add some, or choose another table")
    }

    /// Returns the header as in the file, with an empty name for each further column; the names of the columns where the file
    /// has no header.
    pub(super) fn file_header(&self) -> &StringRecord {
        if self.plain || !self.dialect.header { &self.header } else { &self.raw_header }
    }

    /// Returns the type that the file declares for a column, if it says more than the cells.
    pub(in crate::data) fn declared(&self, column: usize) -> Option<&DeclaredType> {
        self.declared.get(column)?.as_ref()
    }

    /// Checks that columns hold something that cells can have.
    pub(super) fn check_cells(&self, columns: &[usize]) -> Result<()> {
        for &column in columns {
            if let Some(DeclaredType::Refused(what)) = self.declared(column) {
                let name = self.header.get(column).unwrap_or_default().trim();
                let problem = format!(
                    "column {}: it holds {what}, but numbers, texts or dates are needed",
                    cell::shown(name)
                );
                return Err(Error::table(&self.source, problem).at_column(name));
            }
        }
        Ok(())
    }

    /// Returns the form of the table.
    pub(super) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Names the columns of a file without a header as the schema does, if the schema is of such a file, too, and these columns
    /// are its features alone.
    pub(super) fn name_like(&mut self, schema: &Schema) {
        let targets = schema.targets();
        let features = schema.read_columns();
        let names = features.iter().copied().chain(targets);
        let mut places = names.map(|name| name.strip_prefix('c')?.parse::<usize>().ok());
        let last = places.try_fold(0, |last, place| Some(last.max(place?)));
        let count = self.header.len();
        let alone = last.is_some_and(|last| count < last) && count == features.len();
        if alone && !self.dialect.header {
            self.header = features.iter().collect();
            self.dialect.notes.retain(|note| !note.contains("columns are named"));
            self.dialect.notes.push(
                "the first line looks like data: the columns are the model's features, in their order".into(),
            );
        }
    }

    /// Reads numbers with their marks in these columns only; cells of others are texts.
    pub(in crate::data) fn read_numbers_in(&mut self, columns: impl Fn(usize) -> bool) {
        for (column, marks) in self.dialect.marks.iter_mut().enumerate() {
            if !columns(column) {
                *marks = NumberMarks::Plain;
            }
        }
    }

    /// Takes the current row as it is in the file.
    pub(super) fn take_record(&mut self, spare: StringRecord) -> StringRecord {
        let record = if self.plain { &mut self.record } else { &mut self.raw };
        std::mem::replace(record, spare)
    }

    /// Adds to an error about missing columns that the file may have a header after all.
    pub(super) fn explain(&self, mut error: Error) -> Error {
        if let (Error::Table { problem, .. }, false) = (&mut error, self.dialect.header) {
            problem.push_str(
                "; the first line was taken for data, so that columns are named by their place: name them so, or give ‘header’ yes \
                 if it has their names",
            );
        }
        if let Error::Table { problem, .. } = &mut error {
            self.explain_title(problem);
        }
        error
    }

    /// Puts another reason into an error about the header of a sheet whose first row looks like a title.
    fn explain_title(&self, problem: &mut String) {
        let Some(rows) = self.dialect.sheet.as_ref().filter(|_| self.dialect.header) else {
            return;
        };
        let names = || self.header.iter().map(str::trim);
        let ends_unnamed = names().next_back().is_some_and(str::is_empty);
        let mut named = names().filter(|name| !name.is_empty());
        let (row, only, last) = (rows.number(0), named.next(), named.next_back());
        match (only, last) {
            (Some(title), None) if ends_unnamed => {
                *problem = format!(
                    "row {row} looks like a title: {} is its only cell, and columns behind it have no name; delete the row, so that the \
                     first one has the columns' names",
                    cell::shown(title)
                );
            }
            (_, Some(last)) if problem.as_str() == header::ENDS_IN_COMMA => {
                *problem = format!(
                    "columns behind {} have cells, but no name in row {row}; name them, or empty these cells",
                    cell::shown(last)
                );
            }
            _ => {}
        }
    }

    /// Reads the next row, if there is one. A table without rows is an error.
    pub(in crate::data) fn read(&mut self) -> Result<bool> {
        if !std::mem::take(&mut self.pending) && !self.next_record()? {
            let none = self.rows == 0 && !self.is_part;
            return if none { Err(self.without_rows()) } else { Ok(false) };
        }
        self.rows += 1;
        if self.dialect.is_array {
            // A text in a cell may have several lines, which the file has not.
            self.line = self.dialect.line_of_row(self.rows - 1);
        }
        let want = if self.plain { self.header.len() } else { self.dialect.width };
        if self.record.len() != want {
            return Err(self.wrong_length(want));
        }
        if !self.plain {
            self.write_plainly()?;
        }
        Ok(true)
    }

    /// Takes the next record. In a table of one column a blank line before another row is a row whose cell is empty; the parser passes over
    /// such lines.
    fn next_record(&mut self) -> Result<bool> {
        let width = if self.plain { self.header.len() } else { self.dialect.width };
        if width != 1 || self.dialect.is_array || self.is_part {
            return self.advance();
        }
        let line = self.next_line;
        if self.held.is_none() {
            if !self.advance()? {
                return Ok(false);
            }
            if self.line > line {
                self.held = Some((self.line, std::mem::take(&mut self.record)));
            }
        }
        match self.held.take() {
            Some(held) if line < held.0 => {
                self.held = Some(held);
                self.line = line;
                self.record.clear();
                self.record.push_field("");
            }
            Some((line, record)) => (self.line, self.record) = (line, record),
            None => {}
        }
        self.next_line = self.line + self.lines_inside() + 1;
        Ok(true)
    }

    /// Number of line ends within the current record, inside of quotes.
    fn lines_inside(&self) -> u64 {
        let newline = self.reader.get_ref().newline();
        self.record.as_slice().bytes().filter(|&byte| byte == newline).count() as u64
    }

    /// Returns the error of a row of another length than the others, whose usual cause its cells show.
    fn wrong_length(&self, want: usize) -> Error {
        let got = self.record.len();
        let columns = if got == 1 { "column" } else { "columns" };
        let sign = name_of(self.dialect.delimiter);
        let others = if want == self.header.len() && self.dialect.header {
            "the header has"
        } else {
            "the rows before have"
        };
        let mut problem = format!("{got} {columns}, but {others} {want}");
        if self.record.as_slice().contains('\n') {
            problem += "; a quoted cell runs over several lines: is a closing quote missing?";
        } else if got == 1 && self.record[0].trim().is_empty() {
            problem += ": a line of blanks; remove it";
        } else if self.record[0].starts_with('#') {
            problem += "; if the line is a comment, remove it";
        } else if got > want && self.record.iter().skip(want).all(|cell| cell.trim().is_empty()) {
            problem += &format!("; the line ends in a {sign}: remove it");
        } else if got > want {
            problem += &format!("; a text with a {sign} in it must stand in quotes");
        }
        if let Some(other) = self.other_delimiter() {
            let option = other.trim_start_matches("vertical ");
            problem += &format!(
                "; the header has a {other} between its names: if that stands between all cells, give ‘delimiter’ {option}"
            );
        }
        self.at_line(problem)
    }

    /// Returns the name of another sign that parts the header into more names than the delimiter does.
    fn other_delimiter(&self) -> Option<&'static str> {
        if !self.dialect.header || self.dialect.is_array {
            return None;
        }
        let signs = |sign: u8| self.header.as_slice().bytes().filter(|&byte| byte == sign).count();
        let others = DELIMITERS.iter().filter(|(sign, _)| *sign != self.dialect.delimiter);
        let (signs, name) =
            others.map(|&(sign, name)| (signs(sign), name)).max_by_key(|it| it.0)?;
        // Names with such a sign in them have fewer of it.
        (signs >= self.header.len()).then_some(name)
    }

    /// Moves the current row to `raw`, and puts its columns with a name into `record`, with plain numbers.
    fn write_plainly(&mut self) -> Result<()> {
        std::mem::swap(&mut self.record, &mut self.raw);
        self.record.clear();
        let mut cells = self.raw.iter().skip(usize::from(self.dialect.row_names));
        let mut wrong = None;
        for (column, (cell, marks)) in cells.by_ref().zip(&self.dialect.marks).enumerate() {
            match marks.plain(cell.trim()) {
                Ok(None) => self.record.push_field(cell),
                Ok(Some(number)) => self.record.push_field(&number),
                Err(problem) => {
                    wrong = Some((column, problem));
                    break;
                }
            }
        }
        if let Some((column, problem)) = wrong {
            return Err(self.refuse_column(column, problem));
        }
        let begin = usize::from(self.dialect.row_names) + self.dialect.marks.len();
        if let Some(cell) = self.raw.iter().skip(begin).find(|cell| !cell.trim().is_empty()) {
            let problem = format!(
                "{} stands in a column without a name, which the first rows leave empty; name the column in the header, or \
                 remove the cell",
                cell::shown(cell)
            );
            return Err(self.at_line(problem));
        }
        Ok(())
    }

    /// Checks that a data set may have this many rows.
    pub(super) fn check_count(&self) -> Result<()> {
        if self.rows > u64::from(u32::MAX) {
            return Err(self.at_line(format!("more rows than {}; split the table", u32::MAX)));
        }
        Ok(())
    }

    /// Returns the number of bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        match &self.taken {
            Some(taken) => taken.load(Ordering::Relaxed),
            None => self.dialect.skip as u64 + self.reader.position().byte(),
        }
    }

    /// Parses the next record, whatever its length.
    fn advance(&mut self) -> Result<bool> {
        let before = self.line;
        // Limits are for one row, so they begin anew with each.
        self.reader.get_mut().begin_row();
        let outcome = self.reader.read_record(&mut self.record);
        // The parser's own line of a record is that of the end of the last one, before blank lines
        // and before the second half of CR LF. So count back from this record's end.
        let end = self.reader.position().byte();
        let bytes = self.reader.get_mut();
        let (newline, lines) = (bytes.newline(), bytes.lines_before(end));
        // Line ends inside of quotes belong to the record, and its own end comes after its last line.
        let ended_by_newline = bytes.at(end.wrapping_sub(1)) == Some(newline);
        let inside = self.record.as_slice().bytes().filter(|&b| b == newline).count() as u64;
        self.line = (lines + 1).saturating_sub(u64::from(ended_by_newline) + inside).max(before);
        // These two kinds of error were made by `Watched`, which knows the line and the reason.
        outcome.map_err(|err| match err.into_kind() {
            ErrorKind::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                self.faulty(source)
            }
            ErrorKind::Io(source) if source.kind() == io::ErrorKind::FileTooLarge => {
                self.too_long(source)
            }
            ErrorKind::Io(source) => Error::file("read", &self.path, source),
            ErrorKind::Utf8 { err, .. } => self.at_line(format!(
                "column {} is not UTF-8 text; save the table in that encoding",
                err.field() + 1
            )),
            other => self.at_line(format!("not readable as CSV ({other:?})")),
        })
    }

    /// Returns the error that the check of the bytes found.
    fn faulty(&self, source: io::Error) -> Error {
        match self.reader.get_ref().fault() {
            Some(fault) => Error::table(&self.source, fault.problem.clone()).at_line(fault.line),
            None => Error::file("read", &self.path, source),
        }
    }

    /// Returns the error of a row beyond one of the limits.
    fn too_long(&mut self, source: io::Error) -> Error {
        let bytes = self.reader.get_ref();
        // An open quote explains an endless row better than its length does.
        if let Some(line) = bytes.open_quote() {
            self.line = line;
            return self.at_line(format!(
                "a quote opens a cell here and is not closed within {MOST_ROW} bytes; close it, or take it away"
            ));
        }
        match bytes.beyond() {
            Some(Beyond::Bytes) => self.at_line(format!(
                "a row of more than {MOST_ROW} bytes; is a closing quote missing, or the end of a line?"
            )),
            Some(Beyond::Cells) => self.at_line(format!(
                "a row of more than {MOST_CELLS} columns; is the end of a line missing?"
            )),
            None => Error::file("read", &self.path, source),
        }
    }

    /// Returns the current row's weight.
    pub(super) fn weight(&self, column: usize) -> Result<f64> {
        let text = self.record.get(column).unwrap_or_default();
        weight_of(text).map_err(|problem| self.refuse_column(column, problem))
    }

    /// Returns an error at the current row's line.
    pub(super) fn at_line(&self, problem: String) -> Error {
        Error::table(&self.source, problem).at_line(self.line)
    }

    /// Refuses a row that repeats the header.
    pub(super) fn check_not_header(&self) -> Result<()> {
        if self.record != self.header {
            return Ok(());
        }
        let problem = "the line repeats the header, as where files were joined; remove it";
        Err(self.at_line(problem.into()))
    }

    /// Returns an error about a cell of the current row.
    pub(super) fn refuse_column(&self, column: usize, problem: String) -> Error {
        // A repeated header fails at its first cell, and has a clearer explanation.
        match self.check_not_header() {
            Err(error) => error,
            Ok(()) => self.refuse_column_at(self.line, column, problem),
        }
    }

    /// Returns an error about a cell of an earlier row.
    pub(super) fn refuse_column_at(&self, line: u64, column: usize, problem: String) -> Error {
        let name = self.header.get(column).unwrap_or_default().trim();
        let problem = format!("column {}: {problem}", cell::shown(name));
        Error::table(&self.source, problem).at_line(line).at_column(name)
    }
}

/// Reads a weight, or says what is wrong with it.
pub(super) fn weight_of(text: &str) -> Result<f64, String> {
    match cell::feature(text) {
        Ok(value) if value < 0.0 => {
            Err(format!("a weight of {}, but it must be 0 or more", cell::shown(text)))
        }
        Err(_) if !cell::spellings(text.trim()).is_empty() => Err(format!(
            "{} is no weight, which is a number: how much the row counts; write 1 for rows that count and 0 for others",
            cell::shown(text)
        )),
        read => read,
    }
}
