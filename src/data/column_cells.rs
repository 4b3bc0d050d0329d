//! Cells of a column as numbers, while the whole column is not known yet.
//!
//! In: cells in the order of the rows. Out: for each a number; the count of cells by which `kinds.rs` decides; at the end the numbers that
//! the decision asks for.
//! Absent on purpose: rows, and where the numbers are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cell::{self, GapMarks};
use super::kinds::{
    CellClass, ColumnScan, DeclaredType, HashList, RawKind, SHOWN_CELLS, text_hash,
};
use super::table_options::ColumnRule;
use super::text_table::TextTable;

/// Most different numbers of a column whose texts are kept, in case that it holds texts as well.
/// Tests have few rows, and should have columns of too many all the same.
const FEW_NUMBERS: usize = if cfg!(any(test, fuzzing)) { 1 << 4 } else { 1 << 12 };
/// Most different numbers that are counted for a report, and number of examples in it.
pub(super) const COUNTED_CELLS: usize = 1 << 16;
const EXAMPLES: usize = 3;
/// Most texts that a part of a table has room for from the beginning.
const MOST_ROOM: usize = 1 << 13;
/// Number of different texts from which a column has to repeat some of them, or they are not kept.
const MANY_TEXTS: usize = 1 << 16;

/// A column of a table, or of a part of one.
///
/// While the column has few different cells, each cell is the code of its text. Of more cells that are numbers, the texts are forgotten.
#[derive(Clone, Debug)]
pub(super) struct ColumnCells {
    pub(super) scan: ColumnScan,
    /// Texts that are known; nothing before the first cell, since a table may have very many columns.
    known: Option<Box<KnownTexts>>,
    /// True once there were too many texts to be kept.
    forgets: bool,
    /// True if all texts are needed, since the column is asked to be a category.
    keeps_all: bool,
    /// Different cells, counted where their texts are forgotten and that is asked.
    different: Option<Box<DifferentCells>>,
    /// True if a number has more digits than f64 keeps.
    pub(super) inexact: bool,
}

/// Different cells that are no gaps, counted.
#[derive(Clone, Debug, Default)]
struct DifferentCells {
    hashes: HashList,
    /// True once the whole table has more than are counted, so that no part needs to count.
    full: Arc<AtomicBool>,
    /// The first of them.
    examples: Vec<String>,
}

impl DifferentCells {
    /// Returns the empty count of the next part.
    fn next_part(&self) -> Self {
        Self { full: Arc::clone(&self.full), ..Self::default() }
    }

    fn add(&mut self, cell: &str) {
        if !self.full.load(Ordering::Relaxed)
            && self.hashes.len() < COUNTED_CELLS
            && self.hashes.insert(text_hash(cell))
            && self.examples.len() < EXAMPLES
        {
            self.examples.push(cell.to_owned());
        }
    }

    fn append(&mut self, part: Self) {
        let free = EXAMPLES - self.examples.len();
        let new = part.examples.into_iter().filter(|it| !self.hashes.contains(&text_hash(it)));
        self.examples.extend(new.take(free).collect::<Vec<_>>());
        for hash in part.hashes {
            if self.hashes.len() >= COUNTED_CELLS {
                self.full.store(true, Ordering::Relaxed);
                break;
            }
            self.hashes.insert(hash);
        }
    }
}

/// Different cells of a column, and how many of each there are.
#[derive(Clone, Debug, Default)]
struct KnownTexts {
    texts: TextTable,
    cells: Vec<KnownCell>,
    /// Number of different numbers.
    numbers: usize,
    /// Number of cells that are neither number nor gap, and lines of the first of them.
    misfits: usize,
    misfit_lines: Vec<u64>,
}

/// A cell that a column has once or more often.
#[derive(Clone, Copy, Debug)]
struct KnownCell {
    /// Line of the first one.
    line: u64,
    count: usize,
    class: CellClass,
}

impl ColumnCells {
    pub(super) fn new(rule: Option<&ColumnRule>, declared: Option<&DeclaredType>) -> Self {
        let keeps_all = matches!(
            rule,
            Some(ColumnRule::Category | ColumnRule::OneHot | ColumnRule::Embedding(_))
        );
        let scan = ColumnScan::new(rule, declared);
        Self { scan, known: None, forgets: false, keeps_all, different: None, inexact: false }
    }

    /// Makes the empty column whose different cells are counted.
    pub(super) fn counted(rule: Option<&ColumnRule>, declared: Option<&DeclaredType>) -> Self {
        Self { different: Some(Box::default()), ..Self::new(rule, declared) }
    }

    /// Returns the empty column that begins as this one has ended: with texts, or without.
    pub(super) fn next_part(&self) -> Self {
        // A part has about the texts of the whole.
        let known = self.known.as_ref().map(|known| {
            let texts = TextTable::with_room(known.cells.len().min(MOST_ROOM));
            Box::new(KnownTexts { texts, ..KnownTexts::default() })
        });
        let different = self.different.as_ref().map(|it| Box::new(it.next_part()));
        let (forgets, keeps_all) = (self.forgets, self.keeps_all);
        Self { scan: self.scan.emptied(), known, forgets, keeps_all, different, inexact: false }
    }

    /// Returns the number of different cells that are no gaps, and the first of them; of numbers at most [`COUNTED_CELLS`] are counted.
    pub(super) fn different(&self) -> (usize, Vec<String>) {
        if let Some(known) = &self.known {
            let cells = known.texts.iter().zip(&known.cells);
            let filled = cells.filter(|(_, cell)| cell.class != CellClass::Gap);
            let first = filled.clone().take(EXAMPLES).map(|(text, _)| text.to_owned());
            return (filled.clone().count(), first.collect());
        }
        match &self.different {
            Some(cells) => {
                // Texts are counted further than numbers, since their number decides what becomes of them.
                (cells.hashes.len().max(self.scan.different_texts()), cells.examples.clone())
            }
            None => (0, Vec::new()),
        }
    }

    /// Takes a trimmed cell. Returns its number, or the code of its text; with a list of numbers by code, where all codes so far become
    /// the numbers that they stand for.
    pub(super) fn push(
        &mut self,
        cell: &str,
        line: u64,
        marks: &GapMarks,
    ) -> (f64, Option<Vec<f64>>) {
        if self.forgets {
            self.inexact |= cell::loses_digits(cell);
            if let Some(different) = &mut self.different
                && !marks.has(cell)
            {
                different.add(cell);
            }
            return (self.scan.push(cell, line, marks), None);
        }
        let known = self.known.get_or_insert_default();
        let (code, new) = known.texts.code(cell);
        if !new {
            known.count(code, line);
            return (code.into(), None);
        }
        self.inexact |= cell::loses_digits(cell);
        known.add(line, self.scan.class(cell, marks));
        known.count(code, line);
        if self.keeps_all || !known.is_full() {
            return (code.into(), None);
        }
        let values = self.forget_texts(marks);
        (values.last().copied().unwrap_or(f64::NAN), Some(values))
    }

    /// Returns true if a number of this column may be taken without its text.
    #[cfg(feature = "parquet")]
    pub(super) fn takes_numbers(&self, marks: &GapMarks) -> bool {
        let counts = |it: &DifferentCells| {
            !it.full.load(Ordering::Relaxed) && it.hashes.len() < COUNTED_CELLS
        };
        self.forgets
            && self.scan.is_open()
            && !marks.is_given()
            && !self.different.as_deref().is_some_and(counts)
    }

    /// Takes a finite number that its text has exactly, where the column [takes numbers](Self::takes_numbers).
    #[cfg(feature = "parquet")]
    pub(super) fn push_number(&mut self, value: f64) {
        self.scan.push_number(value);
    }

    /// Returns the code that [`Self::push`] gave; `None` for a number.
    #[cfg(feature = "parquet")]
    pub(super) fn code_of(&self, value: f64) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a code")]
        self.known.as_ref().map(|_| value as u32)
    }

    /// Takes a cell with the text of this code once more. Returns false, and takes nothing, if codes are no longer kept.
    #[cfg(feature = "parquet")]
    pub(super) fn push_again(&mut self, code: u32, line: u64) -> bool {
        let Some(known) = &mut self.known else { return false };
        known.count(code, line);
        true
    }

    /// Forgets the texts. Returns their numbers by code; NaN for all that is none.
    fn forget_texts(&mut self, marks: &GapMarks) -> Vec<f64> {
        if let (Some(different), Some(known)) = (&mut self.different, &self.known) {
            let cells = known.texts.iter().zip(&known.cells);
            let filled = cells.filter(|(_, cell)| cell.class != CellClass::Gap);
            filled.for_each(|(text, _)| different.add(text));
        }
        self.forgets = true;
        self.known.take().map_or_else(Vec::new, |known| known.tell(&mut self.scan, marks))
    }

    /// Takes the cells of the next part of the column. `own` says what becomes of the codes or numbers before, and `of_part` of those of the
    /// part; `None` leaves them.
    pub(super) fn append(&mut self, mut part: Self, marks: &GapMarks) -> Recoded {
        let mut recoded = Recoded::default();
        self.inexact |= part.inexact;
        if self.forgets || part.forgets {
            recoded.own = (!self.forgets).then(|| self.forget_texts(marks));
            recoded.of_part = (!part.forgets).then(|| part.forget_texts(marks));
            if let (Some(own), Some(different)) = (&mut self.different, part.different) {
                own.append(*different);
            }
            self.scan.append(part.scan);
            return recoded;
        }
        let Some(of_part) = &part.known else { return recoded };
        let known = self.known.get_or_insert_default();
        let mut codes = Vec::with_capacity(of_part.cells.len());
        for (text, cell) in of_part.texts.iter().zip(&of_part.cells) {
            let (code, new) = known.texts.code(text);
            if new {
                known.add(cell.line, cell.class);
            }
            known.cells[code as usize].count += cell.count;
            codes.push(f64::from(code));
        }
        known.misfits += of_part.misfits;
        let free = SHOWN_CELLS.saturating_sub(known.misfit_lines.len());
        known.misfit_lines.extend(of_part.misfit_lines.iter().take(free));
        recoded.of_part = Some(codes);
        if !self.keeps_all && known.is_full() {
            let values = self.forget_texts(marks);
            let numbers = |code: &f64| values[*code as usize];
            recoded.of_part = recoded.of_part.map(|codes| codes.iter().map(numbers).collect());
            recoded.own = Some(values);
        }
        recoded
    }

    /// Counts all cells, once the last one is there. Returns their texts.
    pub(super) fn finish(&mut self, marks: &GapMarks) -> Option<FinishedTexts> {
        if self.forgets {
            return None;
        }
        let known = self.known.take().unwrap_or_default();
        let gaps = known.cells.iter().map(|cell| cell.class == CellClass::Gap).collect();
        let texts = known.texts.clone();
        let values = known.tell(&mut self.scan, marks);
        Some(FinishedTexts { texts, values, gaps })
    }
}

/// Numbers that take the place of codes.
#[derive(Debug, Default)]
pub(super) struct Recoded {
    pub(super) own: Option<Vec<f64>>,
    pub(super) of_part: Option<Vec<f64>>,
}

impl KnownTexts {
    /// Adds a cell that is new, without its count.
    fn add(&mut self, line: u64, class: CellClass) {
        self.numbers += usize::from(class == CellClass::Number);
        self.cells.push(KnownCell { line, count: 0, class });
    }

    /// Counts one cell more.
    fn count(&mut self, code: u32, line: u64) {
        let cell = &mut self.cells[code as usize];
        cell.count += 1;
        if cell.class == CellClass::Text {
            self.misfits += 1;
            if self.misfit_lines.len() < SHOWN_CELLS {
                self.misfit_lines.push(line);
            }
        }
    }

    /// Returns true if the texts take more memory than they are likely to be worth.
    fn is_full(&self) -> bool {
        let many = self.cells.len() >= MANY_TEXTS && self.cells.len() * 2 > self.misfits;
        self.numbers > FEW_NUMBERS || many
    }

    /// Counts all cells. Returns their numbers by code.
    fn tell(self, scan: &mut ColumnScan, marks: &GapMarks) -> Vec<f64> {
        let cells = self.texts.iter().zip(&self.cells);
        let tell = |(text, cell): (&str, &KnownCell)| {
            scan.push_known(text, (cell.line, cell.count), marks)
        };
        let values = cells.map(tell).collect();
        scan.set_misfit_lines(&self.misfit_lines);
        values
    }
}

/// Texts of a column whose cells are codes.
#[derive(Debug)]
pub(super) struct FinishedTexts {
    texts: TextTable,
    values: Vec<f64>,
    gaps: Vec<bool>,
}

impl FinishedTexts {
    /// Returns the kind, with the texts in order for a category, and the number that takes the place of each code; NaN for a gap.
    pub(super) fn numbers(self, kind: RawKind) -> (RawKind, Vec<f64>) {
        let RawKind::Category { rule, .. } = kind else { return (kind, self.values) };
        let (values, numbers) = self.sorted();
        (RawKind::Category { values, rule }, numbers)
    }

    fn sorted(self) -> (Vec<String>, Vec<f64>) {
        let mut order: Vec<u32> = (0..self.texts.len() as u32).collect();
        order.retain(|&code| !self.gaps[code as usize]);
        order.sort_unstable_by_key(|&code| self.texts.text(code));
        let mut numbers = vec![f64::NAN; self.gaps.len()];
        (0_u32..).zip(&order).for_each(|(place, &code)| numbers[code as usize] = place.into());
        (order.iter().map(|&code| self.texts.text(code).to_owned()).collect(), numbers)
    }
}
