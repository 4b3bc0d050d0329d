//! Decides what target columns are: classes, numbers or labels.
//!
//! In: their cells, in table order. Out: [`TargetKind`] and the targets of each row.
//! Absent on purpose: features, files.

use std::collections::HashMap;

use super::cell::{self, GapMarks, NotNumber, shown};
use super::column::places_of_texts;
use super::date;
use super::header::{list, option_value};
use super::kinds::DeclaredType;
use super::schema::{BinaryColumn, Target, TargetKind};
use super::targets::Targets;
use super::text_forms::{TextForms, UsualForm};
use super::text_table::TextTable;
use crate::error::{Error, Result};
use crate::shape::{count, pluralize};

/// Number of distinct whole numbers up to which `Auto` takes them as classes.
const FEW_CLASSES: usize = 20;
/// Number of distinct values up to which their texts are kept in any case.
const MANY_VALUES: usize = 1 << 12;

/// The cells of a target column: each distinct text once, however many rows there are. Of very many different numbers, the numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct TargetCells {
    /// True if the file declares texts, which may look like numbers.
    is_text: bool,
    /// True if texts are needed whatever they are, as for classes.
    keeps_texts: bool,
    /// True if the cells decide whether they are classes or numbers.
    is_open: bool,
    texts: TextTable,
    /// Line of the first row of each text, and number of its rows, by code.
    seen: Vec<(u64, usize)>,
    /// One code for each row.
    codes: Vec<u32>,
    /// Numbers of the rows instead; texts are those of cells that are none.
    numbers: Option<TargetNumbers>,
    /// True if a text came too late: those before are forgotten.
    lost: bool,
    /// True if a number has more digits than f64 keeps.
    pub(super) inexact: bool,
}

/// Numbers of a target.
#[derive(Clone, Debug, Default)]
struct TargetNumbers {
    /// One for each row; NaN for a cell that is no number.
    values: Vec<f64>,
    /// Rows of the cells that are no numbers, with the codes of their texts.
    others: Vec<(u32, u32)>,
    /// True if all are whole.
    whole: bool,
}

/// A target column as read.
#[derive(Debug)]
pub(super) struct ReadTarget {
    pub(super) kind: TargetKind,
    pub(super) y: Targets,
    /// Line of the first row of each class.
    pub(super) class_lines: Vec<u64>,
}

/// A distinct text, the line of its first row, and the count of its rows.
#[derive(Debug)]
struct Distinct<'a> {
    text: &'a str,
    line: u64,
    count: usize,
    number: Result<f64, NotNumber>,
}

impl TargetCells {
    /// Makes the empty column of a declared type, for a target.
    pub(super) fn of(declared: Option<&DeclaredType>, target: &Target) -> Self {
        let is_text = declared == Some(&DeclaredType::Text);
        let keeps_texts = is_text || matches!(target, Target::Class(_) | Target::Labels(_));
        let is_open = matches!(target, Target::Auto(_));
        Self { is_text, keeps_texts, is_open, ..Self::default() }
    }

    /// Keeps all texts, however many there are.
    pub(super) fn keep_texts(&mut self) {
        self.keeps_texts = true;
    }

    /// Returns true if texts are needed that were forgotten.
    pub(super) fn has_lost_texts(&self) -> bool {
        self.lost
    }

    /// Returns the empty column that begins as this one has ended.
    pub(super) fn next_part(&self) -> Self {
        let keeps_texts = self.keeps_texts || self.numbers.is_none() && !self.are_numbers();
        let numbers = self
            .numbers
            .as_ref()
            .map(|it| TargetNumbers { whole: it.whole, ..TargetNumbers::default() });
        let (is_text, is_open) = (self.is_text, self.is_open);
        Self { is_text, is_open, keeps_texts, numbers, ..Self::default() }
    }

    /// Takes the trimmed cell of the next row.
    pub(super) fn push(&mut self, cell: &str, line: u64) {
        let Some(numbers) = &mut self.numbers else {
            let (code, new) = self.texts.code(cell);
            if new {
                self.inexact |= cell::loses_digits(cell);
                self.seen.push((line, 0));
            }
            self.seen[code as usize].1 += 1;
            self.codes.push(code);
            if new && self.texts.len() > MANY_VALUES && !self.keeps_texts {
                self.forget_texts();
            }
            return;
        };
        if let Ok(value) = cell::number(cell) {
            self.inexact |= cell::loses_digits(cell);
            numbers.whole &= value.fract() == 0.0;
            self.lost |= self.is_open && numbers.whole && is_code(cell);
            numbers.values.push(value);
            return;
        }
        self.lost |= self.is_open && !may_be_gap(cell);
        numbers.others.push((numbers.values.len() as u32, self.texts.code(cell).0));
        numbers.values.push(f64::NAN);
        let code = numbers.others.last().map_or(0, |it| it.1 as usize);
        if code == self.seen.len() {
            self.seen.push((line, 0));
        }
        self.seen[code].1 += 1;
    }

    /// Takes a finite number that its text has exactly. Returns false, and takes nothing, if the text may be needed.
    #[cfg(feature = "parquet")]
    pub(super) fn push_number(&mut self, value: f64) -> bool {
        let Some(numbers) = &mut self.numbers else { return false };
        let whole = numbers.whole && value.fract() == 0.0;
        // A whole number may be the code of a class.
        if self.is_open && whole {
            return false;
        }
        numbers.whole = whole;
        numbers.values.push(value);
        true
    }

    /// Returns true if all texts are numbers, or may mark gaps among them.
    fn are_numbers(&self) -> bool {
        let fits = |text: &str| may_be_gap(text) || cell::number(text).is_ok();
        let codes = self.is_open && self.texts.iter().any(is_code);
        self.texts.iter().all(fits) && !codes
    }

    /// Keeps numbers instead of texts, or all texts if some of them are none.
    fn forget_texts(&mut self) {
        if self.is_open && !self.are_numbers() {
            self.keeps_texts = true;
            return;
        }
        let (texts, seen) = (std::mem::take(&mut self.texts), std::mem::take(&mut self.seen));
        let mut numbers = TargetNumbers { whole: true, ..TargetNumbers::default() };
        let mut others = vec![None; texts.len()];
        let known: Vec<f64> =
            texts.iter().map(|text| cell::number(text).unwrap_or(f64::NAN)).collect();
        for (code, value) in known.iter().enumerate() {
            if value.is_nan() {
                others[code] = Some(self.texts.code(texts.text(code as u32)).0);
                self.seen.push(seen[code]);
            } else {
                numbers.whole &= value.fract() == 0.0;
            }
        }
        numbers.values.reserve(self.codes.len());
        for (row, code) in (0_u32..).zip(self.codes.drain(..)) {
            numbers.values.push(known[code as usize]);
            numbers.others.extend(others[code as usize].map(|code| (row, code)));
        }
        self.codes = Vec::new();
        self.numbers = Some(numbers);
    }

    /// Takes the cells of the next part of the column.
    pub(super) fn append(&mut self, mut part: Self) {
        self.inexact |= part.inexact;
        self.lost |= part.lost;
        if part.numbers.is_some() && self.numbers.is_none() {
            self.forget_texts();
            // A part of numbers behind one that has texts.
            self.lost |= self.numbers.is_none();
        }
        if self.numbers.is_some() && part.numbers.is_none() {
            self.lost |= self.is_open && !part.are_numbers();
            part.is_open = false;
            part.forget_texts();
        }
        let mut codes = Vec::with_capacity(part.texts.len());
        for (text, &(line, count)) in part.texts.iter().zip(&part.seen) {
            let (code, new) = self.texts.code(text);
            if new {
                self.seen.push((line, 0));
            }
            self.seen[code as usize].1 += count;
            codes.push(code);
        }
        match (&mut self.numbers, part.numbers) {
            (Some(numbers), Some(of_part)) => {
                let first = numbers.values.len() as u32;
                let others = of_part.others.iter();
                numbers
                    .others
                    .extend(others.map(|&(row, code)| (first + row, codes[code as usize])));
                numbers.values.extend(of_part.values);
                numbers.whole &= of_part.whole;
            }
            _ => self.codes.extend(part.codes.iter().map(|&code| codes[code as usize])),
        }
        if self.texts.len() > MANY_VALUES && !self.keeps_texts && self.numbers.is_none() {
            self.forget_texts();
        }
    }

    /// Returns true for each row that has no value of one of the targets.
    pub(super) fn gap_rows(
        columns: &[Self],
        target: &Target,
        marks: &GapMarks,
        rows: usize,
    ) -> Vec<bool> {
        let mut gaps = vec![false; rows];
        for column in columns {
            let codes = column.gap_codes(target, marks);
            if !codes.contains(&true) {
                continue;
            }
            match &column.numbers {
                Some(numbers) => numbers
                    .others
                    .iter()
                    .for_each(|&(row, code)| gaps[row as usize] |= codes[code as usize]),
                None => {
                    let of_rows = column.codes.iter().map(|&code| codes[code as usize]);
                    gaps.iter_mut().zip(of_rows).for_each(|(gap, own)| *gap |= own);
                }
            }
        }
        gaps
    }

    /// Returns true for each text that stands for a gap: the empty one, and marks where all else are numbers; a class may be called
    /// `None`, unless the list of marks is the user's.
    fn gap_codes(&self, target: &Target, marks: &GapMarks) -> Vec<bool> {
        let is_mark = |text: &str| marks.has(text) || marks.has_among_numbers(text);
        let classes = matches!(target, Target::Class(_));
        let number = |text: &str| cell::number(text).is_ok();
        let mut others = self.texts.iter().filter(|text| !is_mark(text)).peekable();
        let filled = self.numbers.is_some() || others.peek().is_some();
        let among_numbers = !classes && filled && others.all(number);
        let is_gap = |text: &str| {
            text.is_empty() || marks.is_given() && marks.has(text) || among_numbers && is_mark(text)
        };
        self.texts.iter().map(is_gap).collect()
    }

    /// Leaves all rows out but these, which are in order.
    pub(super) fn keep(&mut self, rows: &[u32]) {
        if let Some(numbers) = &mut self.numbers {
            numbers.values = rows.iter().map(|&row| numbers.values[row as usize]).collect();
            let others = numbers.others.iter().filter_map(|&(row, code)| {
                rows.binary_search(&row).ok().map(|place| (place as u32, code))
            });
            numbers.others = others.collect();
        } else {
            self.codes = rows.iter().map(|&row| self.codes[row as usize]).collect();
        }
        // Texts without a row are forgotten, and the others keep their order.
        let (texts, seen) = (std::mem::take(&mut self.texts), std::mem::take(&mut self.seen));
        let mut counts = vec![0; texts.len()];
        let others = self.numbers.iter_mut().flat_map(|numbers| &mut numbers.others);
        let mut codes: Vec<&mut u32> =
            others.map(|(_, code)| code).chain(&mut self.codes).collect();
        codes.iter().for_each(|code| counts[**code as usize] += 1);
        let mut new = vec![0; texts.len()];
        for (code, text) in texts.iter().enumerate() {
            if counts[code] > 0 {
                new[code] = self.texts.code(text).0;
                self.seen.push((seen[code].0, counts[code]));
            }
        }
        codes.iter_mut().for_each(|code| **code = new[**code as usize]);
    }

    /// Reads the column as `target` says.
    pub(super) fn resolve(&mut self, target: &Target, source: &str) -> Result<ReadTarget> {
        if self.numbers.is_some() {
            let y = Targets::Numbers(self.values(target.column(), source, None)?);
            return Ok(ReadTarget { kind: TargetKind::Number, y, class_lines: Vec::new() });
        }
        let is_text = self.is_text;
        let column = self.column(target.column(), source);
        match target {
            Target::Class(_) => column.classes(),
            Target::Number(_) => column.numbers(),
            Target::Auto(_) if is_text => {
                let rows = column.codes.len();
                column.labels_of_texts(rows)
            }
            Target::Auto(_) => column.infer(),
            Target::Labels(_) => {
                let (label, y) = column.label()?;
                let kind = TargetKind::Labels(vec![label]);
                Ok(ReadTarget { kind, y: Targets::Columns(y, 1), class_lines: Vec::new() })
            }
        }
    }

    /// Returns remarks on classes that the column may not mean: marks of gaps, and numbers with a sign or unit. `asked` if a person says
    /// that these are classes.
    pub(super) fn doubtful_classes(
        &self,
        name: &str,
        marks: &GapMarks,
        asked: bool,
    ) -> Vec<String> {
        if self.numbers.is_some() || marks.is_given() {
            return Vec::new();
        }
        let column = self.column(name, "");
        // Many people call a class None.
        let is_mark = |text: &str| !text.is_empty() && text != "None" && marks.has(text);
        let mark = |it: &Distinct<'_>| {
            format!(
                "{} is a class of {}, of {}; if it marks a missing value, give ‘missing’ {}",
                shown(it.text),
                shown(name),
                pluralize(it.count as u64, "row"),
                option_value(it.text, "")
            )
        };
        let marks = column.distinct.iter().filter(|it| is_mark(it.text)).map(mark);
        let form = if asked { None } else { column.number_form(self.codes.len()) };
        let form = form.map(|form| format!("{} is taken for classes, but {form}", shown(name)));
        marks.chain(form).collect()
    }

    /// Returns the texts that the user's list has for gaps.
    pub(super) fn given_marks<'a>(&'a self, marks: &'a GapMarks) -> impl Iterator<Item = &'a str> {
        self.texts.iter().filter(|text| marks.is_given() && marks.has(text))
    }

    fn column<'a>(&'a self, name: &'a str, source: &'a str) -> TargetColumn<'a> {
        // Each distinct text is read as a number once, however many rows have it.
        let distinct = self.texts.iter().zip(&self.seen).map(|(text, &(line, count))| Distinct {
            text,
            line,
            count,
            number: cell::number(text),
        });
        let otherwise = "predict classes with ‘task’ classify";
        TargetColumn { name, source, distinct: distinct.collect(), codes: &self.codes, otherwise }
    }

    /// Takes the numbers of a column, or returns an error at the first cell that is none.
    fn values(
        &mut self,
        name: &str,
        source: &str,
        otherwise: Option<&'static str>,
    ) -> Result<Vec<f64>> {
        let mut column = self.column(name, source);
        column.otherwise = otherwise.unwrap_or(column.otherwise);
        if self.numbers.is_none() {
            return column.values();
        }
        if let Some(text) = column.distinct.first() {
            return Err(column.not_a_number(text));
        }
        Ok(self.numbers.as_mut().map_or_else(Vec::new, |it| std::mem::take(&mut it.values)))
    }
}

/// Reads several columns as `target` says, together one target.
pub(super) fn resolve_all(
    cells: &mut [TargetCells],
    names: &[&str],
    target: &Target,
    source: &str,
) -> Result<ReadTarget> {
    let count = names.len();
    let (kind, values) = match target {
        Target::Class(_) => {
            let problem = format!(
                "the target is {count} columns, but classes stand in one; use ‘task’ labels for yes or no in each \
                 column, or ‘task’ regress for a number in each"
            );
            return Err(Error::table(source, problem));
        }
        Target::Labels(_) => {
            let columns = cells.iter().zip(names).map(|(cells, name)| cells.column(name, source));
            let read: Vec<(BinaryColumn, Vec<f64>)> =
                columns.map(TargetColumn::label).collect::<Result<_>>()?;
            let (labels, values): (Vec<_>, Vec<_>) = read.into_iter().unzip();
            (TargetKind::Labels(labels), values)
        }
        Target::Auto(_) | Target::Number(_) => {
            // Several columns are never taken as classes.
            let columns = cells.iter_mut().zip(names);
            let labels = Some("take yes or no in each column with ‘task’ labels");
            let values = columns.map(|(cells, name)| cells.values(name, source, labels));
            let values = values.collect::<Result<Vec<_>>>()?;
            (TargetKind::Numbers(names.iter().map(|name| (*name).to_owned()).collect()), values)
        }
    };
    // Row by row, as the loss reads them.
    let rows = values.first().map_or(0, Vec::len);
    let y = (0..rows).flat_map(|row| values.iter().map(move |column| column[row])).collect();
    Ok(ReadTarget { kind, y: Targets::Columns(y, count), class_lines: Vec::new() })
}

struct TargetColumn<'a> {
    name: &'a str,
    source: &'a str,
    /// Distinct texts by code, which is the order of their first rows.
    distinct: Vec<Distinct<'a>>,
    codes: &'a [u32],
    /// Another kind that the target may be of instead of numbers, for a message.
    otherwise: &'static str,
}

impl TargetColumn<'_> {
    /// Decides as [`Target::Auto`] describes.
    fn infer(self) -> Result<ReadTarget> {
        let rows = self.codes.len();
        // Without a text among the cells, only the number of distinct values tells classes from numbers.
        let Some(odd) = self.distinct.iter().find(|cell| cell.number.is_err()) else {
            let mut whole: Vec<Option<i64>> =
                self.distinct.iter().map(|cell| whole_value(cell.text)).collect();
            let all_whole = whole.iter().all(Option::is_some);
            if all_whole && self.distinct.iter().any(|cell| is_code(cell.text)) {
                return self.labels_of_texts(rows);
            }
            whole.sort_unstable();
            whole.dedup();
            // Other spellings are texts of their own, each of which is a class.
            let plain = self.distinct.iter().all(|cell| whole_number(cell.text).is_some());
            let count = if plain { whole.len() } else { self.distinct.len() };
            // Few values, and each often enough: a short column of numbers has few distinct ones too.
            let few = count <= FEW_CLASSES && count * 2 < rows;
            // A single value is no choice between classes, but a number can be trained on.
            let classes = count > 1 && few && all_whole;
            return if classes { self.classes() } else { self.numbers() };
        };
        let numeric: usize =
            self.distinct.iter().filter(|cell| cell.number.is_ok()).map(|cell| cell.count).sum();
        let many = self.identifies(rows);
        // Such a column of numbers with some `NA` or `inf` would otherwise get a class of that name.
        let no_label =
            self.distinct.iter().find(|cell| !matches!(cell.number, Ok(_) | Err(NotNumber::Text)));
        // Mostly numbers: the texts among them are more likely mistakes than classes.
        if numeric * 2 >= rows && (many || no_label.is_some()) {
            return Err(self.not_a_number(odd));
        }
        self.labels_of_texts(rows)
    }

    /// Returns whether there are too many different texts for classes.
    fn identifies(&self, rows: usize) -> bool {
        self.distinct.len() * 2 > rows
    }

    /// Returns classes, unless nearly every row has a text of its own.
    fn labels_of_texts(self, rows: usize) -> Result<ReadTarget> {
        if !self.identifies(rows) {
            return self.classes();
        }
        let numbers = self.distinct.iter().all(|cell| cell.number.is_ok());
        if let Some(form) = self.number_form(rows) {
            let problem = format!(
                "column {}: {form}, or take each text as a class with ‘task’ classify",
                shown(self.name)
            );
            return Err(Error::table(self.source, problem).at_column(self.name));
        }
        let dates = self.distinct.iter().filter(|cell| date::parse(cell.text, None).is_some());
        let dates: usize = dates.map(|cell| cell.count).sum();
        if dates * 2 > rows {
            let problem = format!(
                "column {}: {} of {} cells are dates, and no network predicts a date; make a number of it, such as the days since a day, or \
                 take each as a class with ‘task’ classify",
                shown(self.name),
                count(dates as u64),
                count(rows as u64)
            );
            return Err(Error::table(self.source, problem).at_column(self.name));
        }
        let or_numbers = if numbers { ", or as a number with ‘task’ regress" } else { "" };
        Err(Error::table(
            self.source,
            format!(
                "column {}: {} different texts in {} look like an identifier, not like classes; \
                 choose another ‘target’, or take each as a class with ‘task’ classify{or_numbers}",
                shown(self.name),
                count(self.distinct.len() as u64),
                pluralize(rows as u64, "row")
            ),
        )
        .at_column(self.name))
    }

    /// Says what to do with texts most of which are numbers of another form, if they are.
    fn number_form(&self, rows: usize) -> Option<String> {
        let commas = self.distinct.iter().filter_map(|it| Some((it, cell::comma(it.text)?)));
        let commas: Vec<(&Distinct<'_>, &str)> = commas.collect();
        let cells: usize = commas.iter().map(|(it, _)| it.count).sum();
        if cells * 2 > rows {
            // 1,234 may have thousands or decimals; 12,34 has decimals.
            let (example, remedy) =
                *commas.iter().find(|(_, remedy)| remedy.contains("decimal’")).or(commas.first())?;
            let example = shown(example.text);
            return Some(format!(
                "{} of {} cells look like numbers with a comma, such as {example}; {remedy}",
                count(cells as u64),
                count(rows as u64)
            ));
        }
        let mut forms = TextForms::default();
        for cell in &self.distinct {
            let before = forms.clone();
            forms.note(cell.text, true);
            forms.repeat_since(&before, cell.count.saturating_sub(1));
        }
        let form = forms.usual(rows).filter(|form| matches!(form, UsualForm::Numbers(..)))?;
        Some(format!("{}; {}", form.counted(rows), form.remedy(self.name)))
    }

    /// Returns a number for each row.
    fn numbers(self) -> Result<ReadTarget> {
        let y = Targets::Numbers(self.values()?);
        Ok(ReadTarget { kind: TargetKind::Number, y, class_lines: Vec::new() })
    }

    /// Returns a number for each row, or an error at the first cell that is none.
    fn values(&self) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.distinct.len());
        for cell in &self.distinct {
            values.push(cell.number.map_err(|_| self.not_a_number(cell))?);
        }
        Ok(self.codes.iter().map(|&code| values[code as usize]).collect())
    }

    /// Returns yes or no for each row: of two texts, the later one in the order of classes is yes.
    fn label(self) -> Result<(BinaryColumn, Vec<f64>)> {
        let column = self.name.to_owned();
        let values = self.distinct.iter().map(|cell| whole_number(cell.text));
        let values: Option<Vec<i64>> = values.collect();
        // A column of only 0 or only 1 is a label without a row of the other kind.
        let lone = values.filter(|values| values.windows(2).all(|pair| pair[0] == pair[1]));
        let lone = lone.and_then(|values| values.first().copied().filter(|it| matches!(it, 0 | 1)));
        if let Some(value) = lone {
            // Every row has the same value, but the other value is known.
            let values = ["0", "1"].map(String::from);
            return Ok((BinaryColumn { column, values }, vec![value as f64; self.codes.len()]));
        }
        let (source, texts) = (self.source.to_owned(), self.distinct.len());
        let refuse = |found: String| {
            let problem = format!(
                "column {}: {found}, but a label is one of two texts, or 0 or 1",
                shown(&column)
            );
            Error::table(&source, problem).at_column(&column)
        };
        if texts < 2 {
            return Err(refuse("every row has the same text".into()));
        }
        // The rule for the order of classes also decides which of two texts is yes.
        let read = self.classes()?;
        let (TargetKind::Classes(labels), Targets::Classes(y)) = (read.kind, read.y) else {
            return Err(refuse("no classes".into()));
        };
        let values = <[String; 2]>::try_from(labels).map_err(|labels| {
            refuse(format!("{} different values, {}", labels.len(), list(&labels)))
        })?;
        Ok((BinaryColumn { column, values }, y.into_iter().map(f64::from).collect()))
    }

    /// Returns the classes in order, and the rows' indices.
    fn classes(self) -> Result<ReadTarget> {
        let mut order: Vec<usize> = (0..self.distinct.len()).collect();
        let whole: Option<Vec<i64>> =
            self.distinct.iter().map(|cell| whole_number(cell.text)).collect();
        match &whole {
            // A stable sort, so that of `1` and `1.0` the one that comes first in the table names the class.
            Some(values) => order.sort_by_key(|&code| values[code]),
            None => order.sort_by(|&a, &b| self.distinct[a].text.cmp(self.distinct[b].text)),
        }
        let (mut labels, mut class_lines): (Vec<String>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut class_of = vec![0_u32; self.distinct.len()];
        let mut previous = None;
        for code in order {
            let value = whole.as_ref().map(|values| values[code]);
            // Equal numbers in different spellings are one class.
            if value.is_none() || value != previous {
                labels.push(self.distinct[code].text.to_owned());
                class_lines.push(self.distinct[code].line);
            }
            previous = value;
            class_of[code] = labels.len() as u32 - 1;
        }
        if let [only] = labels.as_slice() {
            return Err(Error::table(
                self.source,
                format!(
                    "column {}: every row has the class {}; add rows of another class, or choose another ‘target’",
                    shown(self.name),
                    shown(only)
                ),
            )
            .at_column(self.name));
        }
        let y = self.codes.iter().map(|&code| class_of[code as usize]).collect();
        Ok(ReadTarget { kind: TargetKind::Classes(labels), y: Targets::Classes(y), class_lines })
    }

    fn not_a_number(&self, cell: &Distinct<'_>) -> Error {
        let problem = cell::target(cell.text).err().unwrap_or_default();
        let problem = format!("column {}: {problem}, or {}", shown(self.name), self.otherwise);
        Error::table(self.source, problem).at_line(cell.line).at_column(self.name)
    }
}

/// Returns the value of a class that is written as a plain whole number: `3` and `3.0` are one class, but `03`, `+3` and
/// `3e0` are texts of their own.
fn whole_number(text: &str) -> Option<i64> {
    let plain = !is_code(text) && !text.contains(['+', 'e', 'E']);
    if plain { whole_value(text) } else { None }
}

/// Returns true for a text that may mark a gap among numbers.
fn may_be_gap(text: &str) -> bool {
    text.is_empty()
        || !matches!(cell::number(text), Ok(_) | Err(NotNumber::Text | NotNumber::TooLarge))
}

/// Returns the index of a class among others, by its text or as a whole number.
pub(super) fn class_of(text: &str, classes: &[String]) -> Option<usize> {
    Labels::new(classes).class(text).ok().map(|class| class as usize)
}

/// Returns the indices of the texts among the classes, if they are classes.
pub(super) fn classes_of(texts: &[String], classes: &[String]) -> Vec<Option<usize>> {
    let labels = Labels::new(classes);
    texts.iter().map(|text| labels.class(text).ok().map(|class| class as usize)).collect()
}

/// True if two classes are in their natural order.
pub(super) fn in_order(first: &str, second: &str) -> bool {
    match (whole_number(first), whole_number(second)) {
        (Some(first), Some(second)) => first < second,
        _ => first < second,
    }
}

/// Returns whether a number begins with a zero without a value, as codes do: `01`, `007`.
pub(super) fn is_code(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).as_bytes();
    matches!(digits, [b'0', next, ..] if next.is_ascii_digit())
}

/// Returns a whole number in any spelling: `3`, `3.0`, `3e0`, `03`.
fn whole_value(text: &str) -> Option<i64> {
    // Up to this size every whole number is an f64.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    text.parse::<i64>().ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
    })
}

/// Looks up the class of a cell of another table.
#[derive(Debug)]
pub(super) struct Labels {
    labels: Vec<String>,
    by_text: HashMap<String, u32>,
    /// Empty unless all labels are whole numbers: then `1.0` finds `1`.
    by_number: HashMap<i64, u32>,
}

impl Labels {
    /// Prepares the look-up for each column; for numbers there is nothing to look up.
    pub(super) fn of(kind: &TargetKind) -> Vec<Self> {
        match kind {
            TargetKind::Classes(labels) => vec![Self::new(labels)],
            TargetKind::Labels(labels) => {
                labels.iter().map(|label| Self::new(&label.values)).collect()
            }
            TargetKind::Number | TargetKind::Numbers(_) => vec![],
        }
    }

    fn new(labels: &[String]) -> Self {
        let indexed = || (0_u32..).zip(labels);
        // If one class is no number, `1.0` and `1` are different texts.
        let numbers: Option<HashMap<i64, u32>> =
            indexed().map(|(class, label)| Some((whole_number(label)?, class))).collect();
        let by_text = places_of_texts(labels).into_iter();
        Self {
            labels: labels.to_vec(),
            by_text: by_text.map(|(text, place)| (text.to_owned(), place as u32)).collect(),
            by_number: numbers.unwrap_or_default(),
        }
    }

    /// Returns the class of a trimmed cell.
    pub(super) fn class(&self, cell: &str) -> Result<u32, String> {
        // The exact text first, which is the usual case and the faster one.
        if let Some(&class) = self.by_text.get(cell) {
            return Ok(class);
        }
        if cell.is_empty() {
            return Err(NotNumber::Empty.explain(cell));
        }
        let by_number = whole_number(cell).and_then(|value| self.by_number.get(&value));
        by_number.copied().ok_or_else(|| {
            format!(
                "class {} did not occur in training, which knew {}; correct it, or remove the row",
                shown(cell),
                list(&self.labels)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cells: &[&str], target: Target) -> Result<ReadTarget> {
        let mut column = TargetCells::default();
        for (line, cell) in (2..).zip(cells) {
            column.push(cell, line);
        }
        column.resolve(&target, "t.csv")
    }

    #[test]
    fn numbers_of_another_form_are_told_with_their_remedy() {
        for (row, wanted) in [
            (
                ["1.417,16 €", "392,81 €", "5,5 €", "x"],
                "3 of 4 cells are numbers with `€`; take `€` out",
            ),
            (
                ["$1417.16", "$392.81", "$5.5", "$7"],
                "4 of 4 cells are numbers with `$`; take `$` out",
            ),
            (
                ["884,90", "1,066", "x", "5,25"],
                "such as `884,90`; write decimals with a point, or give ‘decimal’ comma",
            ),
            (["1,066", "1,884", "1,905", "2,905"], "write thousands without separators"),
        ] {
            let said = auto(&row).unwrap_err().to_string();
            assert!(said.contains(wanted) && said.contains("‘task’ classify"), "{said}");
            assert!(!said.contains("identifier"), "{said}");
        }
        let names = auto(&["Ann", "Bob", "Eve", "1 €"]).unwrap_err().to_string();
        assert!(names.contains("look like an identifier"), "{names}");
    }

    fn auto(cells: &[&str]) -> Result<ReadTarget> {
        read(cells, Target::Auto("y".into()))
    }

    fn labels(read: &ReadTarget) -> Vec<&str> {
        let TargetKind::Classes(labels) = &read.kind else { panic!("a number") };
        labels.iter().map(String::as_str).collect()
    }

    #[test]
    fn whole_numbers_are_ordered_by_value_and_text_by_letters() {
        let read = auto(&["10", "2", "1", "10", "2", "1", "2"]).unwrap();
        assert_eq!(labels(&read), ["1", "2", "10"]);
        assert_eq!(read.y, Targets::Classes(vec![2, 1, 0, 2, 1, 0, 1]));
        assert_eq!(read.class_lines, [4, 3, 2]);
        let read = auto(&["b", "a", "10", "b", "9", "a", "b", "b"]).unwrap();
        assert_eq!(labels(&read), ["10", "9", "a", "b"]);
        assert_eq!(read.y, Targets::Classes(vec![3, 2, 0, 3, 1, 2, 3, 3]));
        assert_eq!(read.class_lines, [4, 6, 3, 2]);
    }

    #[test]
    fn spellings_of_a_whole_number_are_one_class() {
        let read = auto(&["1.0", "0", "1", "0.0", "1", "-0"]).unwrap();
        assert_eq!(labels(&read), ["0", "1.0"]);
        assert_eq!(read.y, Targets::Classes(vec![1, 0, 1, 0, 1, 0]));
        assert_eq!(read.class_lines, [3, 2]);
        let known = &Labels::of(&read.kind)[0];
        assert_eq!(
            (known.class("1"), known.class("0.0"), known.class("1.0")),
            (Ok(1), Ok(0), Ok(1))
        );
        assert!(known.class("2").unwrap_err().contains("class `2` did not occur"));
        assert!(known.class("01").is_err() && known.class("+1").is_err());
        let text = TargetKind::Classes(vec!["1".into(), "b".into()]);
        assert!(Labels::of(&text)[0].class("1.0").is_err());
    }

    #[test]
    fn codes_are_texts_and_keep_their_spelling() {
        for (cells, want) in [
            (&["01", "1", "01", "1", "01"], &["01", "1"][..]),
            (&["1e3", "1000", "1000", "1e3", "1e3"], &["1000", "1e3"]),
            (&["+1", "1", "+1", "1", "1"], &["+1", "1"]),
            (&["007", "010", "010", "007", "010"], &["007", "010"]),
        ] {
            let read = auto(cells).unwrap();
            assert_eq!(labels(&read), want);
            let Targets::Classes(y) = &read.y else { panic!("numbers") };
            for (cell, &class) in cells.iter().zip(y) {
                assert_eq!(want[class as usize], *cell);
                assert_eq!(Labels::of(&read.kind)[0].class(cell), Ok(class));
            }
        }
        let many: Vec<String> = (0..100).map(|i| format!("{:03}", i % 30)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(labels(&auto(&many).unwrap()).len(), 30);
        let said = auto(&["01", "02", "03", "04"]).unwrap_err().to_string();
        assert!(said.ends_with("‘task’ classify, or as a number with ‘task’ regress"), "{said}");
        // Numbers that are no codes stay numbers.
        assert_eq!(auto(&["0.5", "1e3", "1", "1", "1"]).unwrap().kind, TargetKind::Number);
    }

    #[test]
    fn auto_tells_numbers_from_classes() {
        let is_number = |cells: &[&str]| auto(cells).unwrap().kind == TargetKind::Number;
        assert!(is_number(&["0.5", "1", "1", "1", "1", "1"]));
        assert!(is_number(&["3", "3", "3", "3"]), "one value is no choice");
        assert!(is_number(&["0", "1", "1", "0"]), "as many as half the rows");
        assert!(!is_number(&["0", "1", "1", "0", "1"]));
        assert!(!is_number(&["a", "b", "b", "a"]));
        let many =
            |distinct: usize| (0..100).map(|i| (i % distinct).to_string()).collect::<Vec<_>>();
        let texts =
            |v: &[String]| auto(&v.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().kind;
        assert_ne!(texts(&many(20)), TargetKind::Number);
        assert_eq!(texts(&many(21)), TargetKind::Number);
    }

    #[test]
    fn unclear_columns_are_refused_with_the_first_odd_cell() {
        let said = |cells: &[&str]| auto(cells).expect_err("refused").to_string();
        let text = said(&["1.5", "2.5", "x y", "3.5", "z"]);
        assert!(text.starts_with("t.csv:4: column `y`: `x y` is not a number"), "{text}");
        assert!(text.ends_with("‘task’ classify"), "{text}");
        let marker = said(&["1", "0", "1", "0", "1", "NA", "1", "0"]);
        assert!(marker.starts_with("t.csv:7: column `y`: `NA`"), "{marker}");
        let endless = said(&["1", "inf", "0", "1", "0", "1", "0"]);
        assert!(endless.starts_with("t.csv:3: column `y`: `inf` is not a finite"), "{endless}");
        let dates = said(&["2024-01-01", "2024-01-02", "2024-01-03", "later"]);
        assert!(
            dates.contains("3 of 4 cells are dates, and no network predicts a date"),
            "{dates}"
        );
        let names = said(&["ann", "bob", "eve", "ann"]);
        assert!(names.contains("3 different texts in 4 rows look like an identifier"), "{names}");
        assert!(said(&["a", "a", "a"]).contains("every row has the class `a`"));
    }

    #[test]
    fn what_is_asked_for_is_done() {
        let y = || "y".to_owned();
        let read_as = |cells: &[&str], target| read(cells, target).map(|read| read.kind);
        let kind = read_as(&["0.5", "a", "b"], Target::Class(y())).unwrap();
        assert_eq!(kind, TargetKind::Classes(["0.5", "a", "b"].map(String::from).to_vec()));
        assert_eq!(
            read_as(&["1", "0", "1", "0", "1"], Target::Number(y())).unwrap(),
            TargetKind::Number
        );
        assert!(read_as(&["3", "3"], Target::Class(y())).is_err());
        let said = read_as(&["1", "2", "1e309"], Target::Number(y())).unwrap_err().to_string();
        assert!(said.starts_with("t.csv:4: column `y`: `1e309` is too large"), "{said}");
    }
}
