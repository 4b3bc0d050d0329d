//! Cells of a column as numbers, while the whole column is not known yet.
//!
//! In: cells in the order of the rows. Out: for each a number; the count of cells by which `kinds.rs` decides; at the end the numbers that
//! the decision asks for.
//! Absent on purpose: rows, and where the numbers are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cell::{self, GapMarks};
use super::kinds::{CellClass, ColumnScan, DeclaredType, HashList, RawKind, SHOWN_CELLS};
use super::table_options::ColumnRule;
use super::text_table::TextTable;
use crate::shape::shortest;

/// Most different numbers of a column whose texts are kept, in case that it holds texts as well.
/// Tests have few rows, and should have columns of too many all the same.
const FEW_NUMBERS: usize = if cfg!(any(test, fuzzing)) { 1 << 4 } else { 1 << 12 };
/// Most different numbers of all columns of a wide table, and most of one that has more columns than these.
const NUMBERS_OF_ALL: usize = 1 << 21;
const FEWEST_NUMBERS: usize = 1 << 4;
/// Most different numbers of a column that are counted for a report, of all columns of a wide table, and of a column of a wider one.
const COUNTED_NUMBERS: usize = 1 << 16;
const COUNTED_OF_ALL: usize = 1 << 26;
const FEWEST_COUNTED: usize = 1 << 10;
/// Number of examples in a report.
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
    /// Most different numbers whose texts are kept.
    most: usize,
    /// Different cells, counted where their texts are forgotten and that is asked.
    different: Option<Box<DifferentCells>>,
    /// True if a number has more digits than f64 keeps.
    pub(super) inexact: bool,
    /// True if a whole number is another one as f64, as long ids are.
    pub(super) rounded: bool,
}

/// Different cells that are no gaps, counted.
#[derive(Clone, Debug)]
struct DifferentCells {
    /// Hashes of numbers, whatever their spelling; texts are counted for the decision on the kind.
    numbers: HashList,
    /// Most numbers that are counted.
    most: usize,
    /// True once the whole table has more than are counted, so that no part needs to count.
    full: Arc<AtomicBool>,
    /// The first different texts, and the first different numbers.
    texts: Vec<String>,
    first: Vec<(u64, String)>,
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
    fn new(most: usize) -> Self {
        let (texts, first) = (Vec::new(), Vec::new());
        Self { numbers: HashList::default(), most, full: Arc::default(), texts, first }
    }

    /// Returns the empty count of the next part.
    fn next_part(&self) -> Self {
        Self { full: Arc::clone(&self.full), ..Self::new(self.most) }
    }

    /// Returns false if no further cell would be counted.
    fn takes_more(&self) -> bool {
        self.texts.len() < EXAMPLES || !self.full.load(Ordering::Relaxed)
    }

    /// Counts a cell that is no gap, with its number, if it is one.
    fn add(&mut self, cell: &str, value: Option<f64>) {
        self.add_text(cell);
        let Some(value) = value.filter(|_| !self.full.load(Ordering::Relaxed)) else { return };
        let hash = number_hash(value);
        if self.numbers.len() < self.most
            && self.numbers.insert(hash)
            && self.first.len() < EXAMPLES
        {
            self.first.push((hash, number_text(cell, value)));
        }
    }

    fn add_text(&mut self, cell: &str) {
        if self.texts.len() < EXAMPLES && !self.texts.iter().any(|it| it == cell) {
            self.texts.push(cell.to_owned());
        }
    }

    fn append(&mut self, part: Self) {
        part.texts.iter().for_each(|text| self.add_text(text));
        let free = EXAMPLES - self.first.len();
        let new = part.first.into_iter().filter(|(hash, _)| !self.numbers.contains(hash));
        self.first.extend(new.take(free).collect::<Vec<_>>());
        for hash in part.numbers {
            if self.numbers.len() >= self.most {
                self.full.store(true, Ordering::Relaxed);
                break;
            }
            self.numbers.insert(hash);
        }
    }
}

/// Different cells of a column that are no gaps, for a report.
#[derive(Clone, Debug, Default)]
pub(super) struct CellCounts {
    /// Number of different texts; where texts are kept no more, spellings of a number count as one.
    pub(super) texts: usize,
    /// The first different texts.
    pub(super) examples: Vec<String>,
    /// Number of different numbers, whatever their spelling, as far as they are counted.
    pub(super) numbers: usize,
    /// The first different numbers.
    pub(super) first_numbers: Vec<String>,
    /// Number of different texts that enough rows have; `None` where texts are counted no more.
    pub(super) frequent: Option<usize>,
    /// True if counting of numbers, or of texts, ended before the table did.
    pub(super) ended: bool,
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
    /// Makes the empty column, one of so many of a table.
    pub(super) fn new(
        rule: Option<&ColumnRule>,
        declared: Option<&DeclaredType>,
        columns: usize,
    ) -> Self {
        let keeps_all = matches!(
            rule,
            Some(ColumnRule::Category | ColumnRule::OneHot | ColumnRule::Embedding(_))
        );
        let most = (NUMBERS_OF_ALL / columns.max(1)).clamp(FEWEST_NUMBERS, FEW_NUMBERS);
        Self {
            scan: ColumnScan::new(rule, declared),
            known: None,
            forgets: false,
            keeps_all,
            most,
            different: None,
            inexact: false,
            rounded: false,
        }
    }

    /// Makes the empty column whose different cells are counted.
    pub(super) fn counted(
        rule: Option<&ColumnRule>,
        declared: Option<&DeclaredType>,
        columns: usize,
    ) -> Self {
        let most = (COUNTED_OF_ALL / columns.max(1)).clamp(FEWEST_COUNTED, COUNTED_NUMBERS);
        let different = Some(Box::new(DifferentCells::new(most)));
        Self { different, ..Self::new(rule, declared, columns) }
    }

    /// Returns the empty column that begins as this one has ended: with texts, or without.
    pub(super) fn next_part(&self) -> Self {
        // A part has about the texts of the whole.
        let known = self.known.as_ref().map(|known| {
            let texts = TextTable::with_room(known.cells.len().min(MOST_ROOM));
            Box::new(KnownTexts { texts, ..KnownTexts::default() })
        });
        let different = self.different.as_ref().map(|it| Box::new(it.next_part()));
        let scan = self.scan.emptied();
        let (forgets, keeps_all, most) = (self.forgets, self.keeps_all, self.most);
        Self { scan, known, forgets, keeps_all, most, different, inexact: false, rounded: false }
    }

    /// Returns the number of different cells that are no gaps, and the first of them; a text is frequent that `least` rows have.
    pub(super) fn counts(&self, marks: &GapMarks, least: usize) -> CellCounts {
        let Some(known) = &self.known else {
            let Some(different) = &self.different else { return CellCounts::default() };
            return CellCounts {
                texts: different.numbers.len() + self.scan.different_texts(),
                examples: different.texts.clone(),
                numbers: different.numbers.len(),
                first_numbers: different.first.iter().map(|(_, text)| text.clone()).collect(),
                frequent: None,
                ended: different.numbers.len() >= different.most || !self.scan.counts_texts(),
            };
        };
        let cells = known.texts.iter().zip(&known.cells);
        let filled = cells.filter(|(_, cell)| cell.class != CellClass::Gap);
        let mut numbers = DifferentCells::new(usize::MAX);
        for (text, _) in filled.clone().filter(|(_, cell)| cell.class == CellClass::Number) {
            numbers.add(text, marks.number(text).ok());
        }
        CellCounts {
            texts: filled.clone().count(),
            examples: filled.clone().take(EXAMPLES).map(|(text, _)| text.to_owned()).collect(),
            numbers: numbers.numbers.len(),
            first_numbers: numbers.first.into_iter().map(|(_, text)| text).collect(),
            frequent: Some(filled.filter(|(_, cell)| cell.count >= least).count()),
            ended: false,
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
            self.note_digits(cell);
            let numbers = self.scan.numbers;
            let value = self.scan.push(cell, line, marks);
            if let Some(different) = &mut self.different
                && different.takes_more()
                && !marks.has(cell)
            {
                different.add(cell, Some(value).filter(|_| self.scan.numbers > numbers));
            }
            return (value, None);
        }
        let known = self.known.get_or_insert_default();
        let (code, new) = known.texts.code(cell);
        if !new {
            known.count(code, line);
            return (code.into(), None);
        }
        known.add(line, self.scan.class(cell, marks));
        known.count(code, line);
        let full = known.is_full(self.most);
        self.note_digits(cell);
        if self.keeps_all || !full {
            return (code.into(), None);
        }
        let values = self.forget_texts(marks);
        (values.last().copied().unwrap_or(f64::NAN), Some(values))
    }

    /// Returns true if a number of this column may be taken without its text.
    pub(super) fn takes_numbers(&self, marks: &GapMarks) -> bool {
        let counts =
            |it: &DifferentCells| !it.full.load(Ordering::Relaxed) && it.numbers.len() < it.most;
        self.forgets
            && self.scan.is_open()
            && !marks.is_given()
            && !self.different.as_deref().is_some_and(counts)
    }

    /// Takes a finite number that its text has exactly, where the column [takes numbers](Self::takes_numbers).
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

    /// Notes if a number has more digits than f64 keeps.
    fn note_digits(&mut self, cell: &str) {
        if cell::loses_digits(cell) {
            self.inexact = true;
            self.rounded |= cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        }
    }

    /// Forgets the texts. Returns their numbers by code; NaN for all that is none.
    fn forget_texts(&mut self, marks: &GapMarks) -> Vec<f64> {
        if let (Some(different), Some(known)) = (&mut self.different, &self.known) {
            let cells = known.texts.iter().zip(&known.cells);
            let filled = cells.filter(|(_, cell)| cell.class != CellClass::Gap);
            filled.for_each(|(text, cell)| {
                let is_number = cell.class == CellClass::Number;
                different.add(text, marks.number(text).ok().filter(|_| is_number));
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
        self.rounded |= part.rounded;
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
        if !self.keeps_all && known.is_full(self.most) {
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
    fn is_full(&self, numbers: usize) -> bool {
        let many = self.cells.len() >= MANY_TEXTS && self.cells.len() * 2 > self.misfits;
        self.numbers > numbers || many
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
