//! The passes over a training table: one for numbers and kinds of columns, a second one if there are texts.
//!
//! In: rows as text. Out: a [`Dataset`] whose columns have their kinds.
//! Absent on purpose: rules for kinds, which `kinds.rs` has.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::dialect::TableFormat;
use super::row_keys::RowKeys;
use super::rows::TableReader;
use super::{LoadedTable, rows_left_out, told_rows};
use crate::data::cell::{self, GapMarks};
use crate::data::header;
use crate::data::kinds::{ColumnScan, Decision, RawColumn, RawColumns, RawKind, TextRules};
use crate::data::numbers::NumberVec;
use crate::data::table::{Dataset, Schema, Target, TargetKind};
use crate::data::table_options::{ColumnRule, GapRule, TableOptions};
use crate::data::target::{TargetCells, resolve_all};
use crate::error::{Error, Result};

/// Code of a gap among the codes of texts.
const GAP: u32 = u32::MAX;

/// Places of the columns.
#[derive(Debug)]
pub(super) struct Layout {
    /// Names of all columns.
    names: Vec<String>,
    targets: Vec<usize>,
    weight: Option<usize>,
    /// Columns that are read as features.
    picks: Vec<usize>,
    /// Columns by which rows are split.
    keys: RowKeys,
    /// Form of the text, as far as it is stated.
    format: TableFormat,
}

impl Layout {
    /// Opens a table and finds its columns.
    pub(super) fn of(
        path: &Path,
        target: &Target,
        options: &TableOptions,
    ) -> Result<(Self, TableReader)> {
        let wanted = |names: &[&str]| header::has_targets(names, target.column());
        let mut table = TableReader::open(path, &options.format, wanted)?;
        let mut layout = Self::in_header(&table, target, options)?;
        // A second pass takes the first line as this one does; that of an array is always a header, which may not be stated.
        if !table.dialect().is_array {
            layout.format.header = Some(table.dialect().header);
        }
        // Between commas, texts with commas in them are classes, unless someone says that they are numbers.
        let numbers = table.dialect().delimiter != b','
            || options.format.decimal.is_some()
            || matches!(target, Target::Number(_));
        let is_text = |column: usize| {
            let rule = layout.names.get(column).and_then(|name| options.rule(name));
            rule.is_some_and(|rule| *rule != ColumnRule::Number)
        };
        table.read_numbers_in(|column| {
            !layout.keys.has(column)
                && !is_text(column)
                && (numbers || !layout.targets.contains(&column))
        });
        Ok((layout, table))
    }

    fn in_header(table: &TableReader, target: &Target, options: &TableOptions) -> Result<Self> {
        let names = header::names(&table.header);
        let source = &table.source;
        let targets = header::find_targets(&names, target.column(), source)
            .map_err(|error| table.explain(error))?;
        let weight = options.weight.as_deref();
        let weight_place = weight
            .map(|name| header::find_target(&names, name, source))
            .transpose()
            .map_err(|error| table.explain(error))?;
        if let Some(name) = weight.filter(|_| weight_place.is_some_and(|it| targets.contains(&it)))
        {
            let problem = format!("column {} cannot be both target and weight", cell::shown(name));
            return Err(Error::table(source, problem));
        }
        let used: Vec<usize> = targets.iter().copied().chain(weight_place).collect();
        let split_by = (options.group.as_deref(), options.split_column.as_deref());
        let keys = RowKeys::find(table, split_by, &used)?;
        let taken = |place: usize| used.contains(&place);
        // Only a column that is no feature anyway may be ignored without a contradiction.
        let of = |setting: &str, wanted: &[&str]| -> Result<Vec<usize>> {
            let places = header::find_named(&names, wanted)
                .map_err(|problem| Error::setting(setting, problem))?;
            let splits = |place: usize| setting != "ignore" && keys.has(place);
            match places.iter().find(|&&place| taken(place) || splits(place)) {
                Some(&place) => {
                    let name = cell::shown(names[place]);
                    let problem = format!(
                        "{name} is target or weight, or the rows are split by it, and so it is no feature"
                    );
                    Err(Error::setting(setting, problem))
                }
                None => Ok(places),
            }
        };
        // Sets, since a table may have very many columns.
        let set = |setting: &str, wanted: &[String]| -> Result<HashSet<usize>> {
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            Ok(of(setting, &wanted)?.into_iter().collect())
        };
        let ignored = set("ignore", &options.ignore)?;
        let only = options.features.as_ref().map(|it| set("features", it)).transpose()?;
        let ruled: Vec<&str> = options.columns.iter().map(|(name, _)| name.as_str()).collect();
        of("columns", &ruled)?;
        // Every other column is a feature, in the order of the file.
        let is_feature = |place: &usize| {
            !taken(*place)
                && !keys.has(*place)
                && !ignored.contains(place)
                && only.as_ref().is_none_or(|only| only.contains(place))
                && options.rule(names[*place]) != Some(&ColumnRule::Ignore)
        };
        let picks: Vec<usize> = (0..names.len()).filter(is_feature).collect();
        let features: HashSet<&str> = picks.iter().map(|&place| names[place]).collect();
        let left_out = |(name, rule): &&(String, ColumnRule)| {
            *rule != ColumnRule::Ignore && !features.contains(name.as_str())
        };
        if let Some((name, rule)) = options.columns.iter().find(left_out) {
            let problem = format!(
                "{} is no feature, since ‘features’ lacks it or ‘ignore’ has it; leave {rule} out for it",
                cell::shown(name)
            );
            return Err(Error::setting("columns", problem));
        }
        if picks.is_empty() {
            let problem = "no column is left for features; at least one is needed";
            return Err(Error::table(source, problem));
        }
        let names = names.into_iter().map(String::from).collect();
        let format = options.format.clone();
        Ok(Self { names, targets, weight: weight_place, picks, keys, format })
    }
}

/// Rows as the first pass finds them.
#[derive(Debug)]
pub(super) struct FirstPass {
    marks: GapMarks,
    scans: Vec<ColumnScan>,
    x: NumberVec,
    targets: Vec<TargetCells>,
    pub(super) weights: Vec<f64>,
    keys: RowKeys,
    left_out: usize,
    rows: usize,
    /// Marks of gaps of the user's that cells have had.
    seen_marks: HashSet<String>,
    /// True for columns with numbers of more digits than f64 keeps; noted while reading, since the digits are lost as soon as a cell is
    /// a number.
    inexact: Vec<bool>,
}

impl FirstPass {
    pub(super) fn new(table: &TableReader, layout: &Layout, options: &TableOptions) -> Self {
        let scan = |&place: &usize| ColumnScan::new(options.rule(&layout.names[place]));
        Self {
            marks: GapMarks::new(options.missing.as_deref()),
            scans: layout.picks.iter().map(scan).collect(),
            x: NumberVec::default(),
            targets: layout.targets.iter().map(|_| TargetCells::default()).collect(),
            weights: Vec::new(),
            keys: layout.keys.clone(),
            left_out: 0,
            rows: 0,
            seen_marks: HashSet::new(),
            inexact: vec![false; table.header.len()],
        }
    }

    /// Takes the table's current row.
    pub(super) fn row(&mut self, table: &TableReader, layout: &Layout) -> Result<()> {
        if let Some(place) = layout.weight {
            let weight = table.weight(place)?;
            if weight == 0.0 {
                self.left_out += 1;
                return Ok(());
            }
            self.weights.push(weight);
        }
        self.keys.push(table)?;
        self.rows += 1;
        let mut odd = false;
        for (&place, scan) in layout.picks.iter().zip(&mut self.scans) {
            let text = table.record.get(place).unwrap_or_default();
            self.inexact[place] |= cell::loses_digits(text);
            let value = scan.push(text.trim(), table.line, &self.marks);
            odd |= value.is_nan();
            self.x.push(value);
        }
        if self.marks.is_given() && self.seen_marks.len() < self.marks.given_marks() {
            self.note_marks(table, layout);
        }
        if odd {
            table.check_not_header()?;
        }
        // The last cell decides if a target is classes or numbers, so cells are collected.
        for (&place, cells) in layout.targets.iter().zip(&mut self.targets) {
            let text = table.record.get(place).unwrap_or_default();
            self.inexact[place] |= cell::loses_digits(text);
            cells.push(text.trim(), table.line);
        }
        Ok(())
    }

    /// Notes which of the user's marks of gaps the current row has.
    fn note_marks(&mut self, table: &TableReader, layout: &Layout) {
        for &place in layout.picks.iter().chain(&layout.targets) {
            let text = table.record.get(place).unwrap_or_default().trim();
            let is_mark = !text.is_empty() && self.marks.number(text).is_ok_and(f64::is_nan);
            if is_mark && !self.seen_marks.contains(text) {
                self.seen_marks.insert(text.to_owned());
            }
        }
    }

    /// Decides the kinds. Returns the places among the picked columns of those that are features, with their kinds; texts are still to
    /// be read.
    pub(super) fn columns(
        &self,
        table: &TableReader,
        layout: &Layout,
        options: &TableOptions,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<usize>, Vec<RawColumn>)> {
        let (mut kept, mut columns) = (Vec::new(), Vec::new());
        let mut wrong: Option<(u64, usize, String)> = None;
        for (at, (scan, &place)) in self.scans.iter().zip(&layout.picks).enumerate() {
            let name = &layout.names[place];
            let (decision, note) = match scan.decide(name, options.gaps) {
                Ok(decided) => decided,
                // The first of several bad cells is the one to tell.
                Err((line, problem)) => {
                    if wrong.as_ref().is_none_or(|it| line < it.0) {
                        wrong = Some((line, place, problem));
                    }
                    continue;
                }
            };
            notes.extend(note);
            let kind = match decision {
                Decision::Number => RawKind::Number,
                Decision::Category(rule) => RawKind::Category { values: Vec::new(), rule },
                Decision::Date { format, timed } => RawKind::Date { format, timed },
                Decision::LeftOut(_) => continue,
            };
            kept.push(at);
            columns.push(RawColumn { name: name.clone(), kind });
        }
        if let Some((line, place, problem)) = wrong {
            return Err(table.refuse_column_at(line, place, problem));
        }
        let unused = self.marks.unused(&self.seen_marks);
        if !unused.is_empty() {
            notes.push(format!("no cell is {}, which ‘missing’ names", header::list(&unused)));
        }
        if kept.is_empty() {
            let problem = format!("no column is left for features: {}", notes.join("; "));
            return Err(Error::table(&table.source, problem));
        }
        Ok((kept, columns))
    }

    /// Returns the features of the kept columns, after a second pass over the table if some are texts.
    pub(super) fn features(
        &mut self,
        path: &Path,
        layout: &Layout,
        kept: &[usize],
        mut columns: Vec<RawColumn>,
    ) -> Result<(NumberVec, Vec<RawColumn>)> {
        let is_text = |column: &RawColumn| matches!(column.kind, RawKind::Category { .. });
        let texts: Vec<usize> = (0..columns.len()).filter(|&at| is_text(&columns[at])).collect();
        let x = std::mem::take(&mut self.x);
        let width = self.scans.len();
        if texts.is_empty() {
            let x = if kept.len() == width { x } else { x.columns(kept, width) };
            return Ok((x, columns));
        }
        let places: Vec<usize> = texts.iter().map(|&at| layout.picks[kept[at]]).collect();
        let mut codes = vec![None; columns.len()];
        for (&at, (values, of_rows)) in texts.iter().zip(self.texts(path, layout, &places)?) {
            if let RawKind::Category { values: to, .. } = &mut columns[at].kind {
                *to = values;
            }
            codes[at] = Some(of_rows);
        }
        let mut merged = NumberVec::default();
        let view = x.view();
        for row in 0..self.rows {
            for (at, &from) in kept.iter().enumerate() {
                merged.push(match &codes[at] {
                    Some(codes) if codes[row] == GAP => f64::NAN,
                    Some(codes) => codes[row].into(),
                    None => view.at(row * width + from),
                });
            }
        }
        Ok((merged, columns))
    }

    /// Reads the texts of columns: for each its different texts in order, and the place of each row's text among them.
    fn texts(
        &self,
        path: &Path,
        layout: &Layout,
        places: &[usize],
    ) -> Result<Vec<(Vec<String>, Vec<u32>)>> {
        // Of an archive the same arrays are read again.
        let wanted = |names: &[&str]| names.iter().eq(&layout.names);
        let mut table = TableReader::open(path, &layout.format, wanted)?;
        // A text stays as it is, though it may look like a number.
        table.read_numbers_in(|column| layout.weight == Some(column));
        let mut known: Vec<HashMap<String, u32>> = vec![HashMap::new(); places.len()];
        let mut codes: Vec<Vec<u32>> = vec![Vec::with_capacity(self.rows); places.len()];
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
        if codes.iter().any(|codes| codes.len() != self.rows) {
            let problem = "the table has columns of texts, which takes reading it twice, and the second time it was another one; give a \
                           file that does not change, not a pipe";
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
        let all = keep.len() == self.rows;
        let x = if all { x } else { x.gather(&keep, width) };
        if !all {
            self.targets.iter_mut().for_each(|cells| cells.keep(&keep));
            self.keys.keep(&keep);
            if options.weight.is_some() {
                self.weights = keep.iter().map(|&row| self.weights[row as usize]).collect();
            }
        }
        let targets: Vec<String> =
            layout.targets.iter().map(|&it| layout.names[it].clone()).collect();
        let mut cells = std::mem::take(&mut self.targets);
        // A single target may be classes; several are numbers or labels, resolved together.
        let read = match (cells.len(), cells.pop()) {
            (1, Some(only)) => only.resolve(target, &table.source)?,
            (_, last) => {
                cells.extend(last);
                let names: Vec<&str> = targets.iter().map(String::as_str).collect();
                resolve_all(cells, &names, target, &table.source)?
            }
        };
        let inexact = self.inexact_columns(layout, (&kept, &columns), &read.kind);
        let schema = Schema {
            features: columns.iter().map(|column| column.name.clone()).collect(),
            target: targets.join(","),
            kind: read.kind,
            weight: options.weight.clone(),
            decimal: options.format.decimal,
            ..Schema::default()
        };
        let format_notes = table.dialect().notes.clone();
        let texts = TextRules { min_count: options.min_count, one_hot: options.one_hot };
        let raw =
            RawColumns { columns, gaps: options.gaps, texts, missing: options.missing.clone() };
        let plain = raw.is_plain(x.view().iter().any(f64::is_nan)) && raw.missing.is_none();
        let data = Dataset {
            schema,
            x: Arc::new(x),
            y: read.y,
            weights: None,
            left_out: self.left_out,
            inexact,
            source: table.source,
            class_lines: read.class_lines,
            raw: (!plain).then(|| Arc::new(raw)),
            odd: Arc::default(),
            notes: Arc::new(notes),
        };
        // Last, since weights need the finished rows.
        let data = if options.weight.is_some() { data.with_weights(self.weights)? } else { data };
        Ok(LoadedTable { data, columns: self.keys.finish(), notes: format_notes })
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
        let gap_rows = TargetCells::gap_rows(&self.targets, target, &self.marks, self.rows);
        let (mut without, mut dropped) = (0, 0);
        let mut keep = Vec::with_capacity(self.rows);
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
        let features: Vec<usize> = features.map(|(&at, _)| layout.picks[at]).collect();
        let told = |place: &usize| {
            self.inexact[*place]
                && (features.contains(place) || numbers && layout.targets.contains(place))
        };
        (0..layout.names.len()).filter(told).map(|it| layout.names[it].clone()).collect()
    }
}
