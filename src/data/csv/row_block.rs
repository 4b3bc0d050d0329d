//! Rows of a part of a training table as numbers.
//!
//! In: a block of whole rows, and the form of the table. Out: the cells of the features, targets, weights and keys of these rows.
//! Absent on purpose: kinds of columns, which only the whole table decides.

use super::blocks::TextBlock;
use super::layout::Layout;
use super::row_keys::RowKeys;
use super::rows::{RowForm, TableReader, weight_of};
use crate::data::cell::GapMarks;
use crate::data::column_cells::ColumnCells;
use crate::data::quick_number::{quick_number_within, word_of};
use crate::data::target::TargetCells;
use crate::error::Result;
use crate::shape::narrow;

/// Bytes, of which each is a one.
const ONES: u64 = u64::MAX / 255;

/// Rows as they are read, before the whole table is known.
#[derive(Debug)]
pub(super) struct ReadRows {
    pub(super) columns: Vec<ColumnCells>,
    /// Numbers and codes `[rows, columns]`.
    pub(super) x: Vec<f64>,
    pub(super) targets: Vec<TargetCells>,
    pub(super) weights: Vec<f64>,
    pub(super) keys: RowKeys,
    /// Places of the rows of weight 0 among all rows that were read.
    pub(super) left_out: Vec<u32>,
    pub(super) rows: usize,
}

/// Form and columns by which all blocks of a table are read.
#[derive(Clone, Debug)]
pub(super) struct RowParser {
    pub(super) form: RowForm,
    pub(super) layout: Layout,
    pub(super) marks: GapMarks,
}

impl RowParser {
    /// Reads the rows of a block, which comes behind so many rows, and `before` it others of the same columns.
    ///
    /// # Errors
    ///
    /// When a row is not as it must be.
    pub(super) fn read(&self, block: TextBlock, rows: u64, before: &ReadRows) -> Result<ReadRows> {
        if self.form.plain
            && let Some(read) = self.read_quickly(&block, rows, before)
        {
            return Ok(read);
        }
        // Whatever is not as usual, mistakes too, is read by the reader for all forms.
        let mut read = before.without_rows();
        let mut table = self.form.reader(block, rows);
        while table.read()? {
            read.begin_like(before);
            read.take_record(&table, &self.layout, &self.marks)?;
        }
        Ok(read)
    }

    /// Reads rows without quotes, all of whose cells are as they must be; `None` if there is anything else.
    fn read_quickly(&self, block: &TextBlock, rows: u64, before: &ReadRows) -> Option<ReadRows> {
        let mut read = before.without_rows();
        let text = std::str::from_utf8(&block.bytes).ok()?;
        let bytes = text.as_bytes();
        if memchr::memchr2(b'"', 0, bytes).is_some() {
            return None;
        }
        let returns = memchr::memchr(b'\r', bytes).is_some();
        let dialect = &self.form.dialect;
        let width = self.form.header.len();
        let mut ends = CellEnds::new(bytes, dialect.delimiter);
        let mut cells: Vec<&str> = Vec::with_capacity(width);
        let (mut at, mut line) = (0, block.lines);
        while at < bytes.len() {
            cells.clear();
            line += 1;
            loop {
                let end = ends.next();
                cells.push(text.get(at..end)?);
                at = end + 1;
                if bytes.get(end) != Some(&dialect.delimiter) {
                    break;
                }
            }
            if returns {
                let last = cells.last_mut()?;
                *last = last.strip_suffix('\r').unwrap_or(last);
                // Elsewhere it ends a line, too.
                if cells.iter().any(|cell| cell.contains('\r')) {
                    return None;
                }
            }
            // The reader for all forms skips empty lines, too, unless they may be rows of one column.
            if cells.len() == 1 && cells[0].is_empty() {
                if width == 1 {
                    return None;
                }
                continue;
            }
            if cells.len() != width || cells.iter().copied().eq(&self.form.header) {
                return None;
            }
            read.begin_like(before);
            let row = rows + read.seen();
            let line = if dialect.is_array { dialect.line_of_row(row) } else { line };
            let number = |place: usize| {
                let cell = cells[place];
                // A list of places would take as much memory as that of the cells.
                let begin = cell.as_ptr().addr() - bytes.as_ptr().addr();
                // Longer ones may have more digits than a number keeps, which is noted.
                (cell.len() < 16)
                    .then(|| quick_number_within(bytes, begin..begin + cell.len()))
                    .flatten()
            };
            read.take_cells((&cells, number), line, &self.layout, &self.marks)?;
        }
        Some(read)
    }
}

/// Finds the ends of cells, one after the other.
struct CellEnds<'a> {
    bytes: &'a [u8],
    delimiter: u64,
    /// Place of the next eight bytes.
    next: usize,
    /// Ends among the eight bytes before, as the highest bits of their bytes.
    found: u64,
}

impl<'a> CellEnds<'a> {
    fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        Self { bytes, delimiter: ONES * u64::from(delimiter), next: 0, found: 0 }
    }

    /// Returns the place of the next delimiter or line end, or the end of the bytes.
    fn next(&mut self) -> usize {
        /// Sets the highest bit of each byte that is zero.
        fn zeros(word: u64) -> u64 {
            let low = ONES * 0x7f;
            !((word & low).wrapping_add(low) | word | low)
        }
        while self.found == 0 {
            let Some(rest) = self.bytes.get(self.next..).filter(|rest| !rest.is_empty()) else {
                return self.bytes.len();
            };
            let word = match rest.first_chunk::<8>() {
                Some(word) => u64::from_le_bytes(*word),
                // Zeros behind the end are neither.
                None => word_of(rest) as u64,
            };
            self.next += 8;
            self.found = zeros(word ^ self.delimiter) | zeros(word ^ (ONES * u64::from(b'\n')));
        }
        let place = self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        self.next - 8 + place
    }
}

/// Trims a cell, which mostly has no blanks.
pub(super) fn trimmed(cell: &str) -> &str {
    let plain = |byte: Option<&u8>| byte.is_none_or(|byte| (b'!'..=b'~').contains(byte));
    let bytes = cell.as_bytes();
    if plain(bytes.first()) && plain(bytes.last()) { cell } else { cell.trim() }
}

impl ReadRows {
    /// Makes room for the rows of columns without a cell.
    pub(super) fn new(columns: Vec<ColumnCells>, targets: Vec<TargetCells>, keys: RowKeys) -> Self {
        let (x, weights) = (Vec::new(), Vec::new());
        Self { columns, x, targets, weights, keys, left_out: Vec::new(), rows: 0 }
    }

    /// Returns the number of rows that were read, those of weight 0 among them.
    pub(super) fn seen(&self) -> u64 {
        (self.rows + self.left_out.len()) as u64
    }

    /// Returns rows of the same columns, of which there are none.
    pub(super) fn emptied(&self) -> Self {
        let mut rows = self.without_rows();
        rows.begin_like(self);
        rows
    }

    /// Returns nothing, not even columns: a table may have very many of them, and no row.
    pub(super) fn without_rows(&self) -> Self {
        Self::new(Vec::new(), Vec::new(), self.keys.emptied())
    }

    /// Makes the columns for the first row, which comes behind others.
    pub(super) fn begin_like(&mut self, before: &Self) {
        if self.columns.is_empty() {
            self.columns = before.columns.iter().map(ColumnCells::next_part).collect();
            self.targets = before.targets.iter().map(TargetCells::next_part).collect();
        }
    }

    /// Takes the current row of a table.
    pub(super) fn take_record(
        &mut self,
        table: &TableReader,
        layout: &Layout,
        marks: &GapMarks,
    ) -> Result<()> {
        if let Some(place) = layout.weight {
            let weight = table.weight(place)?;
            if weight == 0.0 {
                self.left_out.push(narrow(self.seen() as usize));
                return Ok(());
            }
            self.weights.push(weight);
        }
        let cell = |place: usize| table.record.get(place).unwrap_or_default();
        let keys = self.keys.push(cell);
        keys.map_err(|(place, problem)| table.refuse_column(place, problem))?;
        self.take((cell, |_| None), table.line, layout, marks);
        // Numbers may be the same as names that are numbers.
        let is_number =
            |&place: &usize| marks.number(cell(place).trim()).is_ok_and(|it| !it.is_nan());
        if table.record == table.header && !layout.picks.iter().all(is_number) {
            table.check_not_header()?;
        }
        Ok(())
    }

    /// Takes the cells of a row; `None` if one of them is not as it must be.
    fn take_cells(
        &mut self,
        (cells, number): (&[&str], impl Fn(usize) -> Option<f64>),
        line: u64,
        layout: &Layout,
        marks: &GapMarks,
    ) -> Option<()> {
        if let Some(place) = layout.weight {
            let weight = weight_of(cells[place]).ok()?;
            if weight == 0.0 {
                self.left_out.push(narrow(self.seen() as usize));
                return Some(());
            }
            self.weights.push(weight);
        }
        self.keys.push(|place| cells[place]).ok()?;
        self.take((|place| cells[place], number), line, layout, marks);
        Some(())
    }

    /// Takes the cells of features and targets, by their places; of some cells `number` knows the number already.
    fn take<'a>(
        &mut self,
        (cell, number): (impl Fn(usize) -> &'a str, impl Fn(usize) -> Option<f64>),
        line: u64,
        layout: &Layout,
        marks: &GapMarks,
    ) {
        let width = layout.picks.len();
        for (at, (&place, column)) in layout.picks.iter().zip(&mut self.columns).enumerate() {
            if column.takes_numbers(marks)
                && let Some(value) = number(place)
            {
                column.push_number(value);
                self.x.push(value);
                continue;
            }
            let (value, numbers) = column.push(trimmed(cell(place)), line, marks);
            self.x.push(value);
            if let Some(numbers) = numbers {
                let before = self.x[..self.rows * width].iter_mut().skip(at).step_by(width);
                replace(before, &numbers);
            }
        }
        // The last cell decides if a target is classes or numbers, so cells are collected.
        for (&place, cells) in layout.targets.iter().zip(&mut self.targets) {
            cells.push(trimmed(cell(place)), line);
        }
        self.rows += 1;
    }
}

/// Puts other numbers in the place of indices of them.
pub(super) fn replace<'a>(indices: impl Iterator<Item = &'a mut f64>, by: &[f64]) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "indices")]
    indices.for_each(|index| *index = by[*index as usize]);
}
