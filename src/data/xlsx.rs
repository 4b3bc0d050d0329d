//! Excel workbooks (`.xlsx`) as tables.
//!
//! In: a workbook, the name of a sheet. Out: the text of a table between commas, with a header; the types that cells declare for columns.
//! Absent on purpose: formulas, formats that have no part in a value, workbooks of Excel 97 and binary ones. The archive and its XML are
//! read here rather than by a crate for spreadsheets, since those take the memory that a file promises.

mod cells;
mod workbook;
mod xml;

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use self::cells::{CellKind, FilledCell, SheetCells, cell_name};
use self::workbook::{Sheet, Workbook};
use super::cell::shown;
use super::kinds::DeclaredType;
use super::sheet_rows::SheetRows;
use super::text_cells::write_text;

/// Bytes of text that are made at once.
const PIECE: usize = 1 << 16;
/// Most bytes of a row as text.
const LONGEST_ROW: usize = 64 << 20;

/// Columns and rows of a sheet, found by a pass over its cells.
#[derive(Default)]
struct SheetLayout {
    /// Row of the header, or of the first row where there is none, counted from 0.
    header: u32,
    /// Names of the columns of the sheet up to the last filled one; empty without a name.
    names: Vec<String>,
    /// Number of texts and of other cells in each of these below the header.
    counts: Vec<(u64, u64)>,
    rows: SheetRows,
}

/// A sheet as the text of a table.
pub(super) struct SheetText {
    workbook: Workbook,
    cells: SheetCells,
    /// A cell of the next row, which was read ahead; its text is that of `cells`.
    next: Option<FilledCell>,
    /// Columns of the sheet that are columns of the table.
    columns: Vec<u32>,
    text: Vec<u8>,
    /// Bytes of the text that were read.
    read: usize,
    /// Types of the columns, where cells say more than their texts.
    pub(super) declared: Vec<Option<DeclaredType>>,
    /// Rows of the sheet that the lines of the text are.
    pub(super) rows: SheetRows,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
}

impl fmt::Debug for SheetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SheetText").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl SheetText {
    /// Opens a sheet of a workbook, the first one where none is named; `taken` counts the bytes of the file that are done.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is damaged, holds more than is read in memory, or has no such sheet.
    pub(super) fn open(
        path: &Path,
        sheet: Option<&str>,
        taken: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let workbook = Workbook::open(path)?;
        let Sheet { name, file, .. } = workbook.sheet(sheet)?.clone();
        let open = |taken: &Arc<AtomicU64>| -> io::Result<SheetCells> {
            let xml = workbook.reader(&file, taken)?;
            let lacks =
                || refused(format!("the workbook lacks the file of the sheet {}", shown(&name)));
            Ok(SheetCells::new(xml.ok_or_else(lacks)?))
        };
        let layout = layout(&workbook, open(&Arc::default())?)?.ok_or_else(|| {
            refused(format!("the sheet {} is empty{}", shown(&name), workbook.others(&name)))
        })?;
        let mut cells = open(taken)?;
        // The first row is known.
        let mut next = cells.next(&workbook)?;
        while next.is_some_and(|cell| cell.row == layout.header) {
            next = cells.next(&workbook)?;
        }
        let is_column =
            |&column: &usize| !layout.names[column].is_empty() || layout.counts[column] != (0, 0);
        let places: Vec<usize> = (0..layout.names.len()).filter(is_column).collect();
        let declared = |&place: &usize| {
            let (texts, others) = layout.counts[place];
            (texts > 0 && others == 0).then_some(DeclaredType::Text)
        };
        let mut text = Vec::new();
        for (at, &place) in places.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            // In quotes in any case, since a name may look like anything.
            write_text(&mut text, &layout.names[place], true);
        }
        text.push(b'\n');
        let declared = places.iter().map(declared).collect();
        let columns = places.iter().map(|&place| place as u32).collect();
        let notes = vec![told(&workbook, &name, &layout)];
        let rows = layout.rows;
        Ok(Self { workbook, cells, next, columns, text, read: 0, declared, rows, notes })
    }

    /// Makes the next piece of text. Returns false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.read = 0;
        while self.text.len() < PIECE {
            let Some(first) = self.next.take() else { break };
            self.write_row(first)?;
        }
        Ok(!self.text.is_empty())
    }

    /// Writes the row of a cell.
    fn write_row(&mut self, first: FilledCell) -> io::Result<()> {
        let begin = self.text.len();
        let mut cell = Some(first);
        for (at, &column) in self.columns.iter().enumerate() {
            if at > 0 {
                self.text.push(b',');
            }
            let Some(own) = cell.filter(|it| it.row == first.row && it.column == column) else {
                continue;
            };
            if self.cells.text.contains('\0') {
                let place = cell_name(own.row, own.column);
                return Err(refused(format!("cell {place}: a text with a NUL byte; remove it")));
            }
            write_text(&mut self.text, &self.cells.text, false);
            if self.text.len() - begin > LONGEST_ROW {
                let problem = format!("row {}: more than {LONGEST_ROW} bytes", own.row + 1);
                return Err(refused(problem));
            }
            cell = self.cells.next(&self.workbook)?;
        }
        self.next = cell;
        if self.text.len() == begin {
            // An empty line is no row.
            write_text(&mut self.text, "", true);
        }
        self.text.push(b'\n');
        Ok(())
    }
}

impl Read for SheetText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() && !self.refill()? {
            return Ok(0);
        }
        let count = (&self.text[self.read..]).read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

/// Reads all cells of a sheet to find its columns and rows. The first row that is not empty may be the header; `None` if there is none.
fn layout(workbook: &Workbook, mut cells: SheetCells) -> io::Result<Option<SheetLayout>> {
    let mut layout = SheetLayout::default();
    let (mut header, mut last) = (None, None);
    while let Some(cell) = cells.next_of_sound_file(workbook)? {
        let column = cell.column as usize;
        if layout.names.len() <= column {
            layout.names.resize(column + 1, String::new());
            layout.counts.resize(column + 1, (0, 0));
        }
        if last.replace(cell.row) != Some(cell.row) {
            layout.rows.push(cell.row);
        }
        if cell.row == *header.get_or_insert(cell.row) {
            layout.names[column] = cells.text.trim().to_owned();
            continue;
        }
        let counts = &mut layout.counts[column];
        match cell.kind {
            CellKind::Text => counts.0 += 1,
            _ => counts.1 += 1,
        }
    }
    Ok(header.map(|header| SheetLayout { header, ..layout }))
}

/// Says which sheet is read, and where its rows are.
fn told(workbook: &Workbook, name: &str, layout: &SheetLayout) -> String {
    let mut told =
        format!("the sheet {} of an Excel workbook; lines in messages are its rows", shown(name));
    if layout.rows.has_gaps() {
        told += "; rows without cells are left out";
    }
    told + &workbook.others(name)
}

fn refused(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, problem.into())
}
