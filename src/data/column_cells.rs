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
use crate::shape::shortest;

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
    /// Texts as they are written.
    texts: CountedCells,
    /// Numbers, whatever their spelling.
    numbers: CountedCells,
    /// True once the whole table has more of both than are counted, so that no part needs to count.
    full: Arc<AtomicBool>,
}

/// Different cells by their hashes, and the first of them.
#[derive(Clone, Debug, Default)]
struct CountedCells {
    hashes: HashList,
    first: Vec<(u64, String)>,
}

impl CountedCells {
    fn is_full(&self) -> bool {
        self.hashes.len() >= COUNTED_CELLS
    }

    fn add(&mut self, hash: u64, cell: impl FnOnce() -> String) {
        if !self.is_full() && self.hashes.insert(hash) && self.first.len() < EXAMPLES {
            self.first.push((hash, cell()));
        }
    }

    fn append(&mut self, part: Self) {
        let free = EXAMPLES - self.first.len();
        let new = part.first.into_iter().filter(|(hash, _)| !self.hashes.contains(hash));
        self.first.extend(new.take(free).collect::<Vec<_>>());
        for hash in part.hashes {
            if self.is_full() {
                return;
            }
            self.hashes.insert(hash);
        }
    }

    fn examples(&self) -> Vec<String> {
        self.first.iter().map(|(_, cell)| cell.clone()).collect()
    }
}

/// Returns a hash of a number, which no other number has; 0 and -0 are one number.
pub(super) fn number_hash(value: f64) -> u64 {
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    let spread = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ (spread >> 32)
}

/// Returns a number in its fewest digits; one with more digits than f64 keeps as it is written.
fn number_text(cell: &str, value: f64) -> String {
    if cell::loses_digits(cell) { cell.to_owned() } else { shortest(value) }
}

impl DifferentCells {
    /// Returns the empty count of the next part.
    fn next_part(&self) -> Self {
        Self { full: Arc::clone(&self.full), ..Self::default() }
    }

    /// Counts a cell that is no gap, with its number or NaN.
    fn add(&mut self, cell: &str, value: f64) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        self.texts.add(text_hash(cell), || cell.to_owned());
        if !value.is_nan() {
            self.numbers.add(number_hash(value), || number_text(cell, value));
        }
    }

    fn append(&mut self, part: Self) {
        self.texts.append(part.texts);
        self.numbers.append(part.numbers);
        if self.texts.is_full() && self.numbers.is_full() {
            self.full.store(true, Ordering::Relaxed);
        }
    }
}

/// Different cells of a column that are no gaps, for a report.
#[derive(Clone, Debug, Default)]
pub(super) struct CellCounts {
    /// Number of different texts; of texts that are numbers at most [`COUNTED_CELLS`] are counted.
    pub(super) texts: usize,
    /// The first different texts.
    pub(super) examples: Vec<String>,
    /// Number of different numbers, whatever their spelling, up to [`COUNTED_CELLS`].
    pub(super) numbers: usize,
    /// The first different numbers.
    pub(super) first_numbers: Vec<String>,
    /// Number of different texts that enough rows have; `None` where texts are counted no more.
    pub(super) frequent: Option<usize>,
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

    /// Returns the number of different cells that are no gaps, and the first of them; a text is frequent that `least` rows have.
    pub(super) fn counts(&self, marks: &GapMarks, least: usize) -> CellCounts {
        let Some(known) = &self.known else {
            let Some(different) = &self.different else { return CellCounts::default() };
            return CellCounts {
                // Texts are counted further than numbers, since their number decides what becomes of them.
                texts: different.texts.hashes.len().max(self.scan.different_texts()),
                examples: different.texts.examples(),
                numbers: different.numbers.hashes.len(),
                first_numbers: different.numbers.examples(),
                frequent: None,
            };
        };
        let cells = known.texts.iter().zip(&known.cells);
        let filled = cells.filter(|(_, cell)| cell.class != CellClass::Gap);
        let mut numbers = CountedCells::default();
        for (text, _) in filled.clone().filter(|(_, cell)| cell.class == CellClass::Number) {
            let value = marks.number(text).unwrap_or(f64::NAN);
            numbers.add(number_hash(value), || number_text(text, value));
        }
        CellCounts {
            texts: filled.clone().count(),
            examples: filled.clone().take(EXAMPLES).map(|(text, _)| text.to_owned()).collect(),
            numbers: numbers.hashes.len(),
            first_numbers: numbers.examples(),
            frequent: Some(filled.filter(|(_, cell)| cell.count >= least).count()),
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
            let value = self.scan.push(cell, line, marks);
            if let Some(different) = &mut self.different
                && !marks.has(cell)
            {
                different.add(cell, value);
            }
            return (value, None);
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

    /// Forgets the texts. Returns their numbers by code; NaN for all that is none.
    fn forget_texts(&mut self, marks: &GapMarks) -> Vec<f64> {
        if let (Some(different), Some(known)) = (&mut self.different, &self.known) {
            let cells = known.texts.iter().zip(&known.cells);
            let filled = cells.filter(|(_, cell)| cell.class != CellClass::Gap);
            filled.for_each(|(text, cell)| {
                let is_number = cell.class == CellClass::Number;
                let value = marks.number(text).ok().filter(|_| is_number);
                different.add(text, value.unwrap_or(f64::NAN));
            });
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
