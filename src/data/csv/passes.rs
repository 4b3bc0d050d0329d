//! The passes over a training table: one for numbers and kinds of columns, a second one if there are texts.
//!
//! In: rows as text. Out: a [`Dataset`] whose columns have their kinds.
//! Absent on purpose: rules for kinds, which `kinds.rs` has.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::blocks::each_block;
use super::layout::Layout;
use super::loaded::{LoadedTable, rows_left_out, told_rows};
use super::marks::NumberMarks;
use super::row_block::{ReadRows, RowParser, replace};
use super::rows::TableReader;
use crate::data::cell::{self, GapMarks};
use crate::data::column::index;
use crate::data::column_cells::{ColumnCells, FinishedTexts};
use crate::data::column_notes::{ColumnNote, ColumnNotes, NoteForm};
#[cfg(feature = "parquet")]
use crate::data::columnar::{ColumnBatch, ColumnBatches};
use crate::data::header::{self, option_value};
use crate::data::kinds::{Decision, RawColumn, RawColumns, RawKind, TextRules};
use crate::data::number_builder::{ColumnReplacement, NumberBuilder};
use crate::data::numbers::NumberVec;
use crate::data::open::is_lasting;
use crate::data::schema::{Schema, Target, TargetKind};
use crate::data::stored_numbers::table_memory;
use crate::data::table::Dataset;
use crate::data::table_options::{DateRule, GapRule, ReadProgress, TableOptions};
use crate::data::target::{TargetCells, resolve_all};
use crate::error::{Error, Result};
use crate::shape::narrow;

/// Tells that a column's whole numbers are rounded.
fn told_rounded(name: &str) -> ColumnNote {
    let shown = cell::shown(name);
    let text = format!(
        "{shown} has whole numbers of more digits than 64-bit floats hold, and the nearest ones are used wherever the column is read; \
         if they are names, give ‘ignore’, or ‘columns’ {}",
        option_value(name, ":category")
    );
    ColumnNote { form: NoteForm::RoundedNumbers, text }
}

/// Tells that numbers of a column have lost the zeros before them.
fn told_codes(name: &str, code: &str) -> ColumnNote {
    let text = format!(
        "{} has whole numbers such as {}, and is taken for numbers, which have no zeros before them; if they are codes, give ‘columns’ {}",
        cell::shown(name),
        cell::shown(code),
        option_value(name, ":category")
    );
    ColumnNote { form: NoteForm::Codes, text }
}

/// Code of a gap among the codes of texts.
const GAP: u32 = u32::MAX;

/// Rows as the first pass finds them.
#[derive(Debug)]
pub(super) struct FirstPass {
    marks: GapMarks,
    /// Columns, targets and keys of all rows so far; their numbers are in `x`.
    all: ReadRows,
    x: NumberBuilder,
    /// False if columns are told alone, so that nobody needs their numbers.
    keeps_numbers: bool,
    /// Texts of the columns whose numbers are codes, once all rows were read.
    texts: Vec<Option<FinishedTexts>>,
    /// True for columns in which a comma or a point of a number is taken for a mark, so that texts are not as in the file.
    has_marks: Vec<bool>,
}

impl FirstPass {
    pub(super) fn new(
        table: &TableReader,
        layout: &Layout,
        options: &TableOptions,
        target: &Target,
    ) -> Self {
        let rules = options.rules();
        let column = |&place: &usize| {
            let rule = rules.get(layout.names[place].as_str()).copied();
            ColumnCells::new(rule, table.declared(place), layout.picks.len())
        };
        let columns = layout.picks.iter().map(column).collect();
        let targets = layout.targets.iter().map(|&it| TargetCells::of(table.declared(it), target));
        let marks = GapMarks::new(options.missing.as_deref());
        let memory = table_memory(options.host_memory);
        let all = ReadRows::new(columns, targets.collect(), layout.keys.clone());
        let x = NumberBuilder::within(memory);
        let plain = |place: &usize| {
            table.dialect().marks.get(*place).is_none_or(|marks| *marks == NumberMarks::Plain)
        };
        let has_marks = layout.picks.iter().map(|place| !plain(place)).collect();
        Self { marks, all, x, keeps_numbers: true, texts: Vec::new(), has_marks }
    }

    /// Makes the pass over a table whose columns are to be told.
    pub(super) fn counting(table: &TableReader, layout: &Layout, options: &TableOptions) -> Self {
        let rules = options.rules();
        let column = |&place: &usize| {
            let rule = rules.get(layout.names[place].as_str()).copied();
            ColumnCells::counted(rule, table.declared(place), layout.picks.len())
        };
        let columns = layout.picks.iter().map(column).collect();
        let all = ReadRows::new(columns, Vec::new(), layout.keys.clone());
        let marks = GapMarks::new(options.missing.as_deref());
        let x = NumberBuilder::within(None);
        Self { marks, all, x, keeps_numbers: false, texts: Vec::new(), has_marks: Vec::new() }
    }

    /// Keeps all texts of the targets.
    pub(super) fn keep_target_texts(&mut self) {
        self.all.targets.iter_mut().for_each(TargetCells::keep_texts);
    }

    /// Returns the columns with all of their cells.
    pub(super) fn into_columns(self) -> (Vec<ColumnCells>, usize) {
        (self.all.columns, self.all.rows)
    }

    /// Reads all rows of a table. Returns false where texts of a target are needed that were forgotten.
    pub(super) fn read(
        &mut self,
        table: &mut TableReader,
        layout: &Layout,
        progress: &ReadProgress,
    ) -> Result<bool> {
        if table.has_first_row() {
            table.read()?;
            let mut first = self.all.emptied();
            first.take_record(table, layout, &self.marks)?;
            self.append(first);
        }
        #[cfg(feature = "parquet")]
        if let Some(batches) = table.columns()? {
            return self.read_columns(batches, (table, layout), progress);
        }
        let (mut blocks, form) = table.take_blocks();
        let rows = RowParser { form, layout: layout.clone(), marks: self.marks.clone() };
        // The first block tells which columns have too many texts to be kept. Blocks of an array come one after the other, since rows are
        // counted there instead of lines.
        let parallel = !rows.form.dialect.is_array;
        while let Some(block) = blocks.next()? {
            let read = rows.read(block, self.seen(), &self.all)?;
            self.append_next(read, (table, progress));
            if parallel {
                break;
            }
        }
        if !blocks.ended {
            let empty = self.all.emptied();
            let read = move |block| rows.read(block, 0, &empty);
            let path = blocks.path.clone();
            each_block(
                &path,
                move || blocks.next(),
                read,
                |read| {
                    self.append_next(read, (table, progress));
                    Ok(())
                },
            )?;
        }
        self.check_rows(table)
    }

    /// Reads all rows of a file of columns, as [`Self::read`] does.
    #[cfg(feature = "parquet")]
    fn read_columns(
        &mut self,
        mut batches: ColumnBatches,
        (table, layout): (&mut TableReader, &Layout),
        progress: &ReadProgress,
    ) -> Result<bool> {
        let (_, form) = table.take_blocks();
        let rows = RowParser { form, layout: layout.clone(), marks: self.marks.clone() };
        let path = rows.form.path.clone();
        let failed = {
            let path = path.clone();
            move |source| Error::file("read", &path, source)
        };
        // The first rows tell which columns have too many texts to be kept.
        if let Some(first) = batches.next().map_err(&failed)? {
            let read = rows.read_columns(&first, &self.all)?;
            self.append(read);
            let empty = self.all.emptied();
            let read = move |batch: ColumnBatch| rows.read_columns(&batch, &empty);
            each_block(
                &path,
                move || batches.next().map_err(&failed),
                read,
                |read| {
                    self.append_next(read, (table, progress));
                    Ok(())
                },
            )?;
        }
        self.check_rows(table)
    }

    /// Checks the number of rows. Returns false where texts of a target are needed that were forgotten.
    fn check_rows(&self, table: &TableReader) -> Result<bool> {
        if self.seen() == 0 {
            return Err(table.without_rows());
        }
        if self.seen() > u64::from(u32::MAX) {
            let problem = format!("more rows than {}; split the table", u32::MAX);
            return Err(Error::table(&table.source, problem));
        }
        Ok(!self.all.targets.iter().any(TargetCells::has_lost_texts))
    }

    /// Number of rows that were read.
    fn seen(&self) -> u64 {
        self.all.seen()
    }

    /// Returns true if all rows were left out by their weights.
    pub(super) fn is_empty(&self) -> bool {
        self.all.rows == 0
    }

    /// Takes the rows that come next, and tells how far the reading is.
    fn append_next(&mut self, part: ReadRows, (table, progress): (&TableReader, &ReadProgress)) {
        self.append(part);
        progress.tell(table.bytes(), self.seen());
    }

    /// Takes the rows that come next.
    fn append(&mut self, mut part: ReadRows) {
        let width = self.all.columns.len();
        let columns = self.all.columns.iter_mut().zip(part.columns);
        let mut recoded_before: Vec<ColumnReplacement<'_>> = Vec::new();
        for (column, (own, of_part)) in columns.enumerate() {
            let recoded = own.append(of_part, &self.marks);
            if !self.keeps_numbers {
                continue;
            }
            if let Some(numbers) = recoded.own {
                recoded_before.push((column, Box::new(move |_, it| numbers[index(it)])));
            }
            if let Some(numbers) = recoded.of_part {
                replace(part.x.iter_mut().skip(column).step_by(width), &numbers);
            }
        }
        if self.keeps_numbers {
            // Together, since each pass over a table in a file reads and writes all of it.
            self.x.replace_columns(width, &recoded_before);
            self.x.append(&part.x);
        }
        let targets = self.all.targets.iter_mut().zip(part.targets);
        targets.for_each(|(own, of_part)| own.append(of_part));
        self.all.keys.append(part.keys);
        self.all.weights.append(&mut part.weights);
        // Tables of more rows than 32 bits count are refused once all are read.
        let before = self.all.seen() as u32;
        self.all.left_out.extend(part.left_out.iter().map(|row| before.wrapping_add(*row)));
        self.all.rows += part.rows;
    }

    /// Decides the kinds. Returns the places among the picked columns of those that are features, with their kinds; texts are still to
    /// be read.
    pub(super) fn columns(
        &mut self,
        table: &TableReader,
        layout: &Layout,
        options: &TableOptions,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<usize>, Vec<RawColumn>)> {
        let marks = &self.marks;
        self.texts = self.all.columns.iter_mut().map(|column| column.finish(marks)).collect();
        let (mut kept, mut columns) = (Vec::new(), Vec::new());
        let mut of_columns = ColumnNotes::default();
        let mut wrong: Option<(u64, usize, String)> = None;
        for (at, (column, &place)) in self.all.columns.iter().zip(&layout.picks).enumerate() {
            let name = &layout.names[place];
            let (decision, note) = match column.scan.decide(name, options.gaps) {
                Ok(decided) => decided,
                // The first of several bad cells is the one to tell.
                Err((line, problem)) => {
                    if wrong.as_ref().is_none_or(|it| line < it.0) {
                        wrong = Some((line, place, problem));
                    }
                    continue;
                }
            };
            of_columns.push(name, note);
            if decision == Decision::Number && column.rounded {
                of_columns.push(name, Some(told_rounded(name)));
            }
            if let (Decision::Number, true, Some(code)) =
                (&decision, column.scan.is_open(), column.scan.code())
            {
                of_columns.push(name, Some(told_codes(name, code)));
            }
            let kind = match decision {
                Decision::Number => RawKind::Number,
                Decision::Category(rule) => RawKind::Category { values: Vec::new(), rule },
                Decision::Date { rule: DateRule { format, parts }, timed } => {
                    RawKind::Date { format, timed, parts }
                }
                Decision::LeftOut(_) => continue,
            };
            kept.push(at);
            columns.push(RawColumn { name: name.clone(), kind });
        }
        notes.extend(of_columns.into_sentences());
        if let Some((line, place, problem)) = wrong {
            return Err(table.refuse_column_at(line, place, problem));
        }
        let seen = self.all.columns.iter().flat_map(|column| &column.scan.marks);
        let of_targets = self.all.targets.iter().flat_map(|cells| cells.given_marks(&self.marks));
        let unused = self.marks.unused(&seen.map(String::as_str).chain(of_targets).collect());
        if !unused.is_empty() {
            let unused = header::list(&unused);
            notes.push(format!("no cell of a feature is {unused}, which ‘missing’ names"));
        }
        if kept.is_empty() {
            let problem = format!("no column is left for features: {}", notes.join("; "));
            return Err(Error::table(&table.source, problem));
        }
        Ok((kept, columns))
    }

    /// Returns the features of the kept columns, after a second pass over the table if it has texts that were forgotten.
    pub(super) fn features(
        &mut self,
        path: &Path,
        layout: &Layout,
        kept: &[usize],
        mut columns: Vec<RawColumn>,
    ) -> Result<(NumberVec, Vec<RawColumn>)> {
        let width = self.all.columns.len();
        let memory = self.x.memory();
        let mut x = std::mem::replace(&mut self.x, NumberBuilder::within(memory));
        let (mut forgotten, mut replacements) = (Vec::new(), Vec::<ColumnReplacement<'_>>::new());
        for (at, (column, &from)) in columns.iter_mut().zip(kept).enumerate() {
            let is_category = matches!(column.kind, RawKind::Category { .. });
            let texts = self.texts[from].take();
            // A text stays as it is in the file, though it may look like a number.
            let as_in_file = !(is_category && self.has_marks[from]);
            if let Some(texts) = texts.filter(|_| as_in_file) {
                let kind = std::mem::replace(&mut column.kind, RawKind::Number);
                let (kind, numbers) = texts.numbers(kind);
                column.kind = kind;
                replacements.push((from, Box::new(move |_, it| numbers[index(it)])));
            } else if is_category {
                forgotten.push(at);
            }
        }
        if !forgotten.is_empty() {
            let places: Vec<usize> = forgotten.iter().map(|&at| layout.picks[kept[at]]).collect();
            for (&at, (values, codes)) in forgotten.iter().zip(self.texts(path, layout, &places)?) {
                if let RawKind::Category { values: to, .. } = &mut columns[at].kind {
                    *to = values;
                }
                let number = |code: u32| if code == GAP { f64::NAN } else { code.into() };
                replacements.push((kept[at], Box::new(move |row, _| number(codes[row]))));
            }
        }
        x.replace_columns(width, &replacements);
        drop(replacements);
        let mut x = x.finish()?;
        if kept.len() < width {
            x.keep_columns(kept, width, memory)?;
        }
        Ok((x, columns))
    }

    /// Reads the texts of columns: for each its different texts in order, and the place of each row's text among them.
    fn texts(
        &self,
        path: &Path,
        layout: &Layout,
        places: &[usize],
    ) -> Result<Vec<(Vec<String>, Vec<u32>)>> {
        if !is_lasting(path) {
            let name = cell::shown(&layout.names[places[0]]);
            let problem = format!(
                "column {name}: texts after very many different numbers, or beside numbers with commas, for which the table has to be read \
                 twice; give a file, or ‘columns’ {}",
                option_value(&layout.names[places[0]], ":category")
            );
            return Err(Error::table(path.display().to_string(), problem));
        }
        // Of an archive the same arrays are read again.
        let wanted = |names: &[&str]| names.iter().eq(&layout.names);
        let mut table = TableReader::open(path, &layout.format, wanted)?;
        // A text stays as it is, though it may look like a number.
        table.read_numbers_in(|column| layout.weight == Some(column));
        let mut known: Vec<HashMap<String, u32>> = vec![HashMap::new(); places.len()];
        let mut codes: Vec<Vec<u32>> = vec![Vec::with_capacity(self.all.rows); places.len()];
        while table.read()? {
            if layout.weight.map(|place| table.weight(place)).transpose()? == Some(0.0) {
                continue;
            }
            for ((&place, known), codes) in places.iter().zip(&mut known).zip(&mut codes) {
                let text = table.record.get(place).unwrap_or_default().trim();
                let next = u32::try_from(known.len()).unwrap_or(GAP);
                codes.push(match known.get(text) {
                    _ if self.marks.has(text) => GAP,
                    Some(&code) => code,
                    None => *known.entry(text.to_owned()).or_insert(next),
                });
            }
        }
        if codes.iter().any(|codes| codes.len() != self.all.rows) {
            let problem = "the table has columns of very many texts, which takes reading it twice, and the second time it was another \
                           one; give a file that does not change";
            return Err(Error::table(&table.source, problem));
        }
        let sorted = known.into_iter().zip(codes).map(|(known, mut codes)| {
            let mut values: Vec<(String, u32)> = known.into_iter().collect();
            values.sort_unstable();
            let mut order = vec![0; values.len()];
            values.iter().zip(0..).for_each(|((_, code), place)| order[*code as usize] = place);
            codes
                .iter_mut()
                .filter(|code| **code != GAP)
                .for_each(|code| *code = order[*code as usize]);
            (values.into_iter().map(|(text, _)| text).collect(), codes)
        });
        Ok(sorted.collect())
    }

    /// Makes the data set: rows without a target are left out, and the target is resolved.
    pub(super) fn dataset(
        mut self,
        ((x, columns), kept): ((NumberVec, Vec<RawColumn>), Vec<usize>),
        layout: &Layout,
        (target, options): (&Target, &TableOptions),
        (table, mut notes): (TableReader, Vec<String>),
    ) -> Result<LoadedTable> {
        let width = columns.len();
        let keep = self.kept_rows((&x, width), (target, options.gaps), &mut notes);
        if keep.is_empty() {
            let problem = format!("no row is left: {}", notes.join("; "));
            return Err(Error::table(&table.source, problem));
        }
        let (mut x, memory) = (x, table_memory(options.host_memory));
        let all = &mut self.all;
        let skipped = skipped_rows(&all.left_out, &keep, all.seen());
        if keep.len() < all.rows {
            x.keep_rows(&keep, width, memory)?;
            all.targets.iter_mut().for_each(|cells| cells.keep(&keep));
            all.keys.keep(&keep);
            if options.weight.is_some() {
                all.weights = keep.iter().map(|&row| all.weights[row as usize]).collect();
            }
        }
        let targets: Vec<String> =
            layout.targets.iter().map(|&it| layout.names[it].clone()).collect();
        // Large tables have little memory to spare.
        drop(keep);
        let cells = &mut self.all.targets;
        // A single target may be classes; several are numbers or labels, resolved together.
        let read = if let [only] = cells.as_mut_slice() {
            let read = only.resolve(target, &table.source)?;
            if matches!(read.kind, TargetKind::Classes(_)) {
                let asked = matches!(target, Target::Class(_));
                notes.extend(only.doubtful_classes(&targets[0], &self.marks, asked));
            }
            read
        } else {
            let names: Vec<&str> = targets.iter().map(String::as_str).collect();
            resolve_all(cells, &names, target, &table.source)?
        };
        let inexact = self.inexact_columns(layout, (&kept, &columns), &read.kind);
        let schema = Schema {
            features: columns.iter().map(|column| column.name.clone()).collect(),
            target: targets.join(","),
            kind: read.kind,
            weight: options.weight.clone(),
            decimal: options.format.decimal,
            has_decimal_comma: table.dialect().comma,
            ..Schema::default()
        };
        let format_notes = table.dialect().notes.clone();
        let (min_count, one_hot) = (options.min_count, options.one_hot);
        let texts = TextRules { min_count, one_hot, width: options.embedding_width };
        let raw =
            RawColumns { columns, gaps: options.gaps, texts, missing: options.missing.clone() };
        let plain = raw.is_plain(x.view().has_nan()) && raw.missing.is_none();
        let data = Dataset {
            schema,
            x: Arc::new(x),
            memory,
            y: Arc::new(read.y),
            weights: None,
            left_out: self.all.left_out.len(),
            skipped: Arc::new(skipped),
            places: None,
            inexact,
            source: table.source,
            class_lines: read.class_lines,
            raw: (!plain).then(|| Arc::new(raw)),
            odd: Arc::default(),
            notes: Arc::new(notes),
        };
        // Last, since weights need the finished rows.
        let data =
            if options.weight.is_some() { data.with_weights(self.all.weights)? } else { data };
        Ok(LoadedTable { data, columns: self.all.keys.finish(), notes: format_notes })
    }

    /// Returns the rows that are kept: those with a target, and under [`GapRule::Drop`] without gaps.
    fn kept_rows(
        &self,
        (x, width): (&NumberVec, usize),
        (target, rule): (&Target, GapRule),
        notes: &mut Vec<String>,
    ) -> Vec<u32> {
        let has_gap =
            |row: usize| x.view().range(row * width..(row + 1) * width).iter().any(f64::is_nan);
        let gap_rows = TargetCells::gap_rows(&self.all.targets, target, &self.marks, self.all.rows);
        let (mut without, mut dropped) = (0, 0);
        let mut keep = Vec::with_capacity(self.all.rows);
        for (row, no_target) in (0_u32..).zip(gap_rows) {
            let gap = rule == GapRule::Drop && has_gap(row as usize);
            without += usize::from(no_target);
            dropped += usize::from(!no_target && gap);
            if !(no_target || gap) {
                keep.push(row);
            }
        }
        notes.extend(told_rows(without, target.column()));
        notes.extend(rows_left_out(dropped, "a gap in a feature"));
        keep
    }

    /// Returns the names of columns of numbers with more digits than f64 keeps; classes and texts lose none.
    fn inexact_columns(
        &self,
        layout: &Layout,
        (kept, columns): (&[usize], &[RawColumn]),
        kind: &TargetKind,
    ) -> Vec<String> {
        let numbers = matches!(kind, TargetKind::Number | TargetKind::Numbers(_));
        let features = kept.iter().zip(columns).filter(|(_, it)| it.kind == RawKind::Number);
        let features = features.filter(|(at, _)| self.all.columns[**at].inexact);
        let mut places: Vec<usize> = features.map(|(&at, _)| layout.picks[at]).collect();
        let targets = layout.targets.iter().zip(&self.all.targets);
        places.extend(targets.filter(|(_, it)| numbers && it.inexact).map(|it| it.0));
        places.sort_unstable();
        places.iter().map(|&place| layout.names[place].clone()).collect()
    }
}

/// Returns the places, among all `seen` rows, of those of weight 0 and of those that are not kept; `keep` are places among the others.
fn skipped_rows(weightless: &[u32], keep: &[u32], seen: u64) -> Vec<u32> {
    let others = seen as usize - weightless.len();
    let mut skipped = Vec::with_capacity(seen as usize - keep.len());
    if keep.len() == others {
        skipped.extend(weightless);
        return skipped;
    }
    let (mut weightless, mut keep) =
        (weightless.iter().copied().peekable(), keep.iter().copied().peekable());
    let mut place = 0;
    for row in 0..narrow(seen as usize) {
        if weightless.next_if_eq(&row).is_some() {
            skipped.push(row);
            continue;
        }
        if keep.next_if_eq(&place).is_none() {
            skipped.push(row);
        }
        place += 1;
    }
    skipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_rows_are_places_among_all_rows() {
        // Rows 1 and 4 of 7 weigh nothing; of 0, 2, 3, 5, 6 the second and the last are not kept.
        assert_eq!(skipped_rows(&[1, 4], &[0, 2, 3], 7), [1, 2, 4, 6]);
        assert_eq!(skipped_rows(&[1], &[0, 1], 3), [1]);
        assert!(skipped_rows(&[], &[0, 1], 2).is_empty());
    }
}
