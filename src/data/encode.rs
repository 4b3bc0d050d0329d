//! From columns of a table to inputs of a network: gaps filled, texts and dates as numbers.
//!
//! In: the training rows of a table with gaps, texts or dates. Out: [`Column`], fitted to these rows and stored with a model, and by it
//! the inputs of any row.
//! Absent on purpose: scaling, which `preprocess.rs` does to the inputs; reading of cells.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::cell::shown;
use super::column::{
    Column, ColumnEncoding, PooledTexts, date_places, embedded, encode_row, index, input_names,
    places_of_texts, unscaled,
};
use super::column_notes::{ColumnNote, ColumnNotes, NoteForm};
use super::date::{self, DatePart};
use super::header::{list, option_value};
use super::kinds::{CategoryRule, RawColumn, RawColumns, RawKind, TextRules};
use super::number_builder::NumberBuilder;
use super::row_cells::OddCell;
use super::table::Dataset;
use super::table_options::GapRule;
use crate::error::{Error, Result};
use crate::shape::{count, pluralize};

/// Number of texts up to which each has an input of its own.
const FEW_VALUES: usize = 16;
/// Largest number of texts each of which may have an input of its own: more inputs would fill memory and disks.
const MOST_ONE_HOT: usize = 1 << 16;
/// Widest table of an embedding whose width is not said.
const WIDEST: f64 = 600.0;

/// Returns the width of a table for this many texts: min(600, round(1.6 · n^0.56)), as fast.ai has it.
fn usual_width(values: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 600")]
    let width = (1.6 * (values as f64).powf(0.56)).round().clamp(1.0, WIDEST) as usize;
    width
}

/// Returns the number that half of the weight lies below, between the two middle ones if these differ.
fn median(mut sorted: Vec<(f64, f64)>) -> f64 {
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = sorted.iter().map(|it| it.1).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (place, &(value, weight)) in sorted.iter().enumerate() {
        below += weight;
        if below > half {
            return value;
        }
        if below == half {
            let next = sorted.get(place + 1).map_or(value, |it| it.0);
            return value + (next - value) / 2.0;
        }
    }
    0.0
}

/// Returns the same as [`median`] of values that weigh the same, without sorting all of them.
fn plain_median(mut values: Vec<f64>) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let (middle, even) = ((values.len() - 1) / 2, values.len().is_multiple_of(2));
    let (_, &mut value, above) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let next = above.iter().copied().min_by(f64::total_cmp).filter(|_| even);
    next.map_or(value, |next| value + (next - value) / 2.0)
}

/// Returns the mean of values with weights; 0 without weight.
fn mean(values: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, total) = values.fold((0.0, 0.0), |(a, b), (cell, w)| (a + w * cell, b + w));
    if total > 0.0 { sum / total } else { 0.0 }
}

impl Dataset {
    /// Returns true if columns with gaps, texts or dates are inputs of a network; so is every table without such columns.
    pub fn is_encoded(&self) -> bool {
        self.raw.is_none()
    }

    /// Turns gaps, texts and dates into inputs, fitted to all rows of the table. [`Self::split`] does so with its training rows.
    ///
    /// # Errors
    ///
    /// When no column is left that tells anything.
    pub fn encoded(self) -> Result<Self> {
        if self.is_encoded() {
            return Ok(self);
        }
        let columns = self.fitted_columns()?;
        let encoded = self.encode_by(&columns)?;
        // Parts of a date have no number of their own for a gap.
        let gaps = encoded.x().has_nan();
        if gaps { encoded.clone().fill_from(&encoded) } else { Ok(encoded) }
    }

    /// Returns the tables that an embedding needs for the columns of indices of texts.
    pub(crate) fn input_tables(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        embedded(&self.schema.columns).into_iter()
    }

    /// Returns the inputs that are numbers, but for indices of texts and what is 0 or 1 for a text or a gap.
    pub(crate) fn number_inputs(&self) -> Vec<usize> {
        let others: HashSet<usize> = unscaled(&self.schema.columns).into_iter().collect();
        (0..self.columns()).filter(|input| !others.contains(input)).collect()
    }

    /// Returns the inputs that are indices of texts without a gap or a rare text in training, which would train row 0 of their tables.
    pub(crate) fn untrained_tables(&self) -> impl Iterator<Item = usize> {
        let is_table =
            |column: &&Column| matches!(column.encoding, ColumnEncoding::Embedding { .. });
        let gaps: Vec<bool> = self
            .schema
            .columns
            .iter()
            .filter(is_table)
            .map(|column| column.encoding.had_gaps() || column.encoding.pooled().is_some())
            .collect();
        let places = embedded(&self.schema.columns).into_iter().map(|table| table.0);
        places.zip(gaps).filter(|(_, gaps)| !gaps).map(|(place, _)| place)
    }

    /// Fits the encoding of each column to the rows.
    pub(super) fn fitted_columns(&self) -> Result<Vec<Column>> {
        let Some(raw) = &self.raw else {
            return Ok(self.schema.all_columns());
        };
        // A column without a value in these rows has no mean, no texts and nothing to learn from.
        let holds = |place: usize| self.column(place).any(|cell| !cell.is_nan());
        let fitted = raw.columns.iter().enumerate().filter(|(place, _)| holds(*place));
        let columns: Vec<Column> =
            fitted.map(|(place, column)| self.fitted(place, column, raw)).collect();
        let crowded = |it: &&Column| matches!(&it.encoding, ColumnEncoding::OneHot { values, .. } if values.len() > MOST_ONE_HOT);
        if let Some(column) = columns.iter().find(crowded) {
            let name = list(&[&column.name]);
            let problem = format!(
                "column {name} has {} different texts, of which at most {} may have an input each; give ‘columns’ \
                 {} for a table, a larger ‘min_count’ for fewer texts, or ‘ignore’ {}",
                count(column.encoding.values().len() as u64),
                count(MOST_ONE_HOT as u64),
                option_value(&column.name, ":embedding(8)"),
                option_value(&column.name, "")
            );
            return Err(Error::table(self.source(), problem).at_column(&column.name));
        }
        if input_names(&columns).is_empty() {
            let problem = "no column holds anything in the training rows, so there is nothing to learn from; fill in values, or split the \
                 rows in another way";
            return Err(Error::table(self.source(), problem));
        }
        Ok(columns)
    }

    /// Returns the cells of a column that are no gaps, with the weights of their rows.
    fn known(&self, column: usize) -> impl Iterator<Item = (f64, f64)> {
        let weights = self.weights();
        let cells = self.column(column).enumerate().filter(|(_, cell)| !cell.is_nan());
        cells.map(move |(row, cell)| (cell, weights.map_or(1.0, |weights| weights[row])))
    }

    fn fitted(&self, place: usize, column: &RawColumn, raw: &RawColumns) -> Column {
        let gaps = self.column(place).any(f64::is_nan);
        let encoding = match &column.kind {
            RawKind::Number => {
                let fill = match raw.gaps {
                    GapRule::Median => gaps.then(|| match self.weights() {
                        None => plain_median(self.known(place).map(|it| it.0).collect()),
                        Some(_) => median(self.known(place).collect()),
                    }),
                    GapRule::Mean => gaps.then(|| mean(self.known(place))),
                    GapRule::Zero => gaps.then_some(0.0),
                    // There are no gaps under these rules.
                    GapRule::Error | GapRule::Drop => None,
                };
                ColumnEncoding::Number { fill }
            }
            RawKind::Category { values, rule } => {
                let mut rows = vec![0_usize; values.len()];
                self.column(place).filter(|cell| !cell.is_nan()).for_each(|cell| {
                    rows[index(cell)] += 1;
                });
                let least = raw.texts.min_count.max(1);
                let rare = || rows.iter().copied().filter(|&rows| rows > 0 && rows < least);
                let pooled = PooledTexts { texts: rare().count(), rows: rare().sum(), least };
                let pairs = values.iter().zip(&rows).filter(|(_, rows)| **rows >= least);
                let values = pairs.map(|(value, _)| value.clone()).collect();
                let pooled = (pooled.texts > 0).then_some(pooled);
                category(values, (gaps, pooled), (*rule, raw.texts))
            }
            RawKind::Date { format, timed, parts: asked } => {
                let mut days = self.column(place).filter(|days| !days.is_nan());
                let first = days.next().map_or([f64::NAN; 8], date::parts);
                let mut same = [true; 8];
                days.for_each(|days| {
                    let parts = date::parts(days);
                    (0..8).for_each(|at| same[at] &= parts[at].to_bits() == first[at].to_bits());
                });
                // The days stay as they are, so that a column of dates is one.
                same[date::ELAPSED] = false;
                // Within one year the day of the year is the days since 1970 but for a constant.
                let adds = |part: DatePart| part != DatePart::DayOfYear || !same[0];
                let is_asked = |at: usize| match DatePart::ALL[at] {
                    part if asked.is_empty() => DatePart::USUAL.contains(&part) && adds(part),
                    part => asked.contains(&part),
                };
                // Without an input of its own for hours, a time of day is none that was left out.
                let of_rows = |at: &usize| *timed || !DatePart::ALL[*at].is_of_time();
                let all = (0..DatePart::ALL.len()).filter(of_rows);
                let constant = all.filter(|&at| same[at] || !is_asked(at)).collect();
                ColumnEncoding::Date { format: format.clone(), timed: *timed, gaps, constant }
            }
        };
        Column { name: column.name.clone(), encoding }
    }

    /// Turns the columns into inputs as those of another table became inputs, if they have the same names and kinds. Returns the problem
    /// besides, if they have not.
    #[cfg(feature = "cli")]
    pub(crate) fn encoded_like(self, schema: &super::schema::Schema) -> (Self, Option<String>) {
        if self.is_encoded() && schema.columns.is_empty() {
            return (self, None);
        }
        let columns = schema.all_columns();
        let known: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let own = self.schema.features.iter();
        let new: Vec<&String> = own.filter(|name| !known.contains(name.as_str())).collect();
        if !new.is_empty() {
            let is = if new.len() == 1 { "column is" } else { "columns are" };
            let problem = format!("{is} new: {}", list(&new));
            return (self, Some(problem));
        }
        match self.clone().encode_by(&columns) {
            Ok(encoded) => (encoded, None),
            Err(Error::Table { problem, .. }) => (self, Some(problem)),
            Err(other) => (self, Some(other.to_string())),
        }
    }

    /// Turns the columns into inputs as these columns of another table became inputs.
    ///
    /// # Errors
    ///
    /// When columns are missing, or of another kind.
    pub(super) fn encode_by(self, columns: &[Column]) -> Result<Self> {
        let plain = |name: &String| RawColumn { name: name.clone(), kind: RawKind::Number };
        let missing = self.raw.as_ref().and_then(|raw| raw.missing.clone());
        let own: Vec<RawColumn> = match &self.raw {
            Some(raw) => raw.columns.clone(),
            None => self.schema.features.iter().map(plain).collect(),
        };
        let place_of: HashMap<&str, usize> =
            own.iter().map(|it| it.name.as_str()).zip(0..).collect();
        let picks: Vec<(usize, Option<Vec<usize>>)> = columns
            .iter()
            .map(|column| matched((&own, &place_of), column))
            .collect::<Result<_, String>>()
            .map_err(|problem| Error::table(&self.source, problem))?;
        let (mut x, mut odd) = (NumberBuilder::within(self.memory), Vec::new());
        let width = self.columns();
        let blocks = self.x().blocks(width);
        let mut row = 0;
        for block in blocks {
            for own_cells in block.view().chunks(width) {
                let cells = picks.iter().enumerate().map(|(column, (place, indices))| {
                    let cell = own_cells.at(*place);
                    let encoding = &columns[column].encoding;
                    if cell.is_nan() {
                        if !encoding.had_gaps() {
                            odd.push(OddCell { row, column, text: None });
                        }
                        return cell;
                    }
                    let Some(indices) = indices else { return cell };
                    let found = indices[index(cell)];
                    if let (true, RawKind::Category { values, .. }) =
                        (encoding.is_unknown(found as f64), &own[*place].kind)
                    {
                        odd.push(OddCell { row, column, text: Some(values[index(cell)].clone()) });
                    }
                    found as f64
                });
                encode_row(columns, cells, |input| x.push(input));
                row += 1;
            }
        }
        let mut schema = self.schema.clone();
        // Numbers without gaps are a table as before there were kinds of columns.
        let numbers = |it: &Column| it.encoding == ColumnEncoding::Number { fill: None };
        let simple = columns.iter().all(numbers) && missing.is_none();
        schema.columns = if simple { Vec::new() } else { columns.to_vec() };
        schema.features = input_names(columns);
        schema.missing = missing;
        let mut notes = self.notes.to_vec();
        if self.raw.is_some() {
            notes.extend(told_columns(&own, columns).into_sentences());
        }
        let notes = Arc::new(notes);
        let x = Arc::new(x.finish()?);
        Ok(Self { schema, x, raw: None, odd: Arc::new(odd), notes, ..self })
    }

    /// Puts the mean of the training rows where an input is NaN, which is a gap in a column that has none there.
    ///
    /// # Errors
    ///
    /// When the temporary file of a stored table cannot be written.
    pub(super) fn fill_from(mut self, train: &Self) -> Result<Self> {
        if !self.x().has_nan() {
            return Ok(self);
        }
        let columns = self.columns();
        let means: Vec<f64> = (0..columns).map(|column| mean(train.known(column))).collect();
        let mut x = NumberBuilder::within(self.memory);
        for (place, value) in self.x().iter().enumerate() {
            x.push(if value.is_nan() { means[place % columns] } else { value });
        }
        self.x = Arc::new(x.finish()?);
        Ok(self)
    }
}

/// Says which columns of a table are no inputs, and what of others is not kept.
fn told_columns(own: &[RawColumn], columns: &[Column]) -> ColumnNotes {
    let known: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let lacking = own.iter().filter(|column| !known.contains(column.name.as_str()));
    let mut notes = ColumnNotes::default();
    for column in lacking {
        let name = list(&[&column.name]);
        let text = format!("{name} holds nothing but gaps in the training rows, and is left out");
        notes.push(&column.name, Some(ColumnNote { form: NoteForm::NothingButGaps, text }));
    }
    for column in columns {
        notes.push(&column.name, told_pooled(column).or_else(|| told_parts(column)));
    }
    notes
}

/// Says that the parts of a date that are asked for are the same in all training rows, or that they do not tell the date.
fn told_parts(column: &Column) -> Option<ColumnNote> {
    let ColumnEncoding::Date { timed, constant, .. } = &column.encoding else { return None };
    let name = list(&[&column.name]);
    let parts: Vec<usize> = date_places(*timed, constant).collect();
    if !parts.is_empty() && !parts.contains(&date::ELAPSED) {
        let parts: Vec<&str> = parts.iter().map(|&at| date::PARTS[at]).collect();
        let text = format!(
            "of {name} only {} is kept: where rows are written again, as in validation.csv, they have other dates with the same parts",
            parts.join(", ")
        );
        return Some(ColumnNote { form: NoteForm::OtherDates, text });
    }
    parts.is_empty().then(|| {
        let text = format!("the parts of {name} that are asked for are the same in all training rows, and tell nothing");
        ColumnNote { form: NoteForm::NothingButGaps, text }
    })
}

/// Says how many texts of a column share one place, if some do.
fn told_pooled(column: &Column) -> Option<ColumnNote> {
    let PooledTexts { texts, rows, least } = column.encoding.pooled()?;
    let share = match column.encoding {
        ColumnEncoding::Embedding { .. } => "row 0 of the embedding's table",
        _ => "one input",
    };
    let (have, of) = match texts {
        1 => ("text has", "it"),
        _ => ("texts have", "all of them"),
    };
    let text = format!(
        "{} {have} fewer than {least} training rows in {}, {} with {of}: they share {share} with any other text",
        count(*texts as u64),
        list(&[&column.name]),
        count(*rows as u64)
    );
    Some(ColumnNote { form: NoteForm::RareTexts, text })
}

/// Returns how the texts of the training rows become inputs.
fn category(
    values: Vec<String>,
    (gaps, pooled): (bool, Option<PooledTexts>),
    (rule, texts): (CategoryRule, TextRules),
) -> ColumnEncoding {
    let few = values.len() <= texts.one_hot.unwrap_or(FEW_VALUES);
    let embedded = |values: Vec<String>, width: Option<usize>, pooled| {
        let dimension = width.or(texts.width).unwrap_or_else(|| usual_width(values.len()));
        ColumnEncoding::Embedding { values, dimension, gaps, pooled }
    };
    match rule {
        CategoryRule::Embedding(width) => embedded(values, width, pooled),
        CategoryRule::Auto if !few => embedded(values, None, pooled),
        CategoryRule::OneHot | CategoryRule::Auto => match <[String; 2]>::try_from(values) {
            Ok(values) if !gaps && pooled.is_none() && rule == CategoryRule::Auto => {
                ColumnEncoding::Binary { values }
            }
            Ok(values) => ColumnEncoding::OneHot { values: values.to_vec(), gaps, pooled },
            Err(values) => ColumnEncoding::OneHot { values, gaps, pooled },
        },
    }
}

/// Returns the place of a column among those of a table, and the index of each text in the column.
fn matched(
    (own, place_of): (&[RawColumn], &HashMap<&str, usize>),
    column: &Column,
) -> Result<(usize, Option<Vec<usize>>), String> {
    let Some(&place) = place_of.get(column.name.as_str()) else {
        return Err(format!("there is no column {}", shown(&column.name)));
    };
    let indices = match (&own[place].kind, &column.encoding) {
        (RawKind::Number, ColumnEncoding::Number { .. })
        | (RawKind::Date { .. }, ColumnEncoding::Date { .. }) => None,
        (RawKind::Category { values, .. }, encoding) if encoding.is_category() => {
            let known = places_of_texts(encoding.values());
            let other = encoding.values().len();
            let index = |value: &String| known.get(value.as_str()).copied().unwrap_or(other);
            Some(values.iter().map(index).collect())
        }
        (own, _) => {
            let own = match own {
                RawKind::Number => "numbers",
                RawKind::Category { .. } => "texts",
                RawKind::Date { .. } => "dates",
            };
            let (had, rule) = match &column.encoding {
                ColumnEncoding::Number { .. } => ("numbers", ":number"),
                ColumnEncoding::Date { .. } => ("dates", ":date"),
                _ => ("texts", ":category"),
            };
            return Err(format!(
                "column {} holds {own}, and {had} where the encoding comes from; correct its cells, or give ‘columns’ {}",
                shown(&column.name),
                option_value(&column.name, rule)
            ));
        }
    };
    Ok((place, indices))
}

/// Describes how this many texts become inputs; with `pooled`, there are rare ones besides.
pub(super) fn told_encoding(
    values: usize,
    (gaps, pooled): (bool, bool),
    (rule, one_hot): (CategoryRule, Option<usize>),
) -> String {
    let few = values <= one_hot.unwrap_or(FEW_VALUES);
    let table = |width: Option<usize>| {
        let width = width.unwrap_or_else(|| usual_width(values));
        format!("a row of an embedding's table, {} x {width}", count(values as u64 + 1))
    };
    match rule {
        CategoryRule::Embedding(width) => table(width),
        CategoryRule::Auto if !few => table(None),
        CategoryRule::Auto if values == 2 && !gaps && !pooled => "an input of 0 or 1".to_string(),
        CategoryRule::Auto | CategoryRule::OneHot => {
            let rare = if pooled { ", one for rare ones" } else { "" };
            let gaps = if gaps { ", and one for gaps" } else { "" };
            format!("an input for each of {}{rare}{gaps}", pluralize(values as u64, "text"))
        }
    }
}

impl RawColumns {
    /// Returns true if every column is numbers without gaps, so that the table needs no encoding.
    pub(super) fn is_plain(&self, has_gaps: bool) -> bool {
        !has_gaps && self.columns.iter().all(|column| column.kind == RawKind::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TableOptions;
    use crate::random::{Purpose, Seed};

    #[test]
    fn very_many_texts_get_no_input_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let text: String = (0..=MOST_ONE_HOT).map(|i| format!("u{i},{}\n", i % 3)).collect();
        std::fs::write(&path, format!("user,y\n{text}")).unwrap();
        let load = |columns: &str, min_count| {
            let columns = vec![("user".into(), columns.parse().unwrap())];
            let options = TableOptions { columns, min_count, ..TableOptions::default() };
            let target = crate::data::Target::number("y");
            Dataset::load(&path, &target, &options).unwrap().data.encoded()
        };
        let said = load("one-hot", 1).unwrap_err().to_string();
        assert!(
            said.contains("column `user` has 65,537 different texts, of which at most 65,536 may have an input each"),
            "{said}"
        );
        assert!(load("embedding(2)", 1).is_ok());
        // Rare texts have one input together.
        assert_eq!(load("one-hot", 2).unwrap().columns(), 1);
    }

    #[test]
    fn a_median_without_weights_is_that_of_equal_weights() {
        for (values, want) in
            [(vec![], 0.0), (vec![3.0], 3.0), (vec![4.0, 1.0], 2.5), (vec![9.0, -1.0, 2.0], 2.0)]
        {
            assert_eq!(plain_median(values), want);
        }
        let mut random = Seed(4).stream(Purpose::Split);
        for count in [5, 10, 501, 1000] {
            let values: Vec<f64> =
                (0..count).map(|_| (random.normal() * 9.0).round() / 3.0).collect();
            let weighted = median(values.iter().map(|&value| (value, 2.0)).collect());
            assert_eq!(plain_median(values), weighted);
        }
    }
}
