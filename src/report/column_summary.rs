//! Columns of rows as a reader looks at them: kind, gaps, range, a few bars.
//!
//! In: rows as a network takes them, and the preprocessing that made them so. Out: a [`ColumnSummary`] for each column and target.

use std::collections::HashMap;

use crate::data::{Column, ColumnEncoding, LabelledRows, Preprocessing, TargetKind, Targets};
use crate::shape::brief;

use super::text::count;

/// Bars of a histogram.
const BARS: usize = 24;
/// Texts that are named with their rows.
const NAMED: usize = 4;

/// A column of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnSummary {
    /// Name of the column.
    pub name: String,
    /// Kind: number, category, date, class or label.
    pub kind: &'static str,
    /// True for a target.
    pub is_target: bool,
    /// Rows with a gap.
    pub gaps: u64,
    /// Range, or the most frequent texts with their rows.
    pub values: String,
    /// Rows of each bar: of equal ranges from the least number to the largest, or of texts, the most frequent first.
    pub bars: Vec<u64>,
}

/// Summarises the feature columns, then the targets, of these rows.
pub fn column_summaries(preparation: &Preprocessing, rows: &LabelledRows) -> Vec<ColumnSummary> {
    let schema = &preparation.schema;
    let width = schema.features.len().max(1);
    let mut summaries = Vec::new();
    for (column, inputs) in schema.all_columns().into_iter().zip(schema.inputs_of_columns()) {
        let cells = rows.x.chunks_exact(width).map(|row| &row[inputs.clone()]);
        summaries.push(of_column(&column, cells));
    }
    summaries.extend(of_targets(&schema.kind, &schema.targets(), &rows.y));
    summaries
}

fn of_column<'a>(column: &Column, cells: impl Iterator<Item = &'a [f64]>) -> ColumnSummary {
    let name = column.name.clone();
    let gaps = column.encoding.had_gaps();
    let is_gap = |cell: &[f64]| gaps && cell.last() == Some(&1.0);
    if column.encoding.is_category() {
        return of_texts(name, "category", cells.map(|cell| column.cell_of(cell)));
    }
    let is_date = matches!(column.encoding, ColumnEncoding::Date { .. });
    let kind = if is_date { "date" } else { "number" };
    let Some(place) = column.ordering_input() else {
        // A date of which no part is an input has nothing to show.
        return ColumnSummary { name, kind, ..ColumnSummary::default() };
    };
    let (mut numbers, mut without) = (Vec::new(), 0);
    let (mut least, mut largest): (Option<&[f64]>, Option<&[f64]>) = (None, None);
    for cell in cells {
        if is_gap(cell) || !cell[place].is_finite() {
            without += 1;
            continue;
        }
        numbers.push(cell[place]);
        least = least.filter(|it| it[place] <= cell[place]).or(Some(cell));
        largest = largest.filter(|it| it[place] >= cell[place]).or(Some(cell));
    }
    let part = column.inputs().get(place).map(|it| it[column.name.len()..].trim().to_string());
    let text = |cell: &[f64]| match (kind, column.cell_of(cell), &part) {
        ("date", whole, _) if !whole.is_empty() => whole,
        // Parts alone are those of many dates.
        ("date", _, Some(part)) => format!("{part} {}", brief(cell[place])),
        _ => brief(cell[place]),
    };
    let values = match (least, largest) {
        (Some(least), Some(largest)) if least[place] < largest[place] => {
            format!("{} to {}", text(least), text(largest))
        }
        (Some(one), _) => format!("{} only", text(one)),
        _ => String::new(),
    };
    ColumnSummary { name, kind, is_target: false, gaps: without, values, bars: histogram(&numbers) }
}

/// Rows in equal ranges from the least number to the largest; one bar if all are equal.
fn histogram(numbers: &[f64]) -> Vec<u64> {
    let (low, high) = numbers
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    if low.is_nan() || low >= high {
        return vec![numbers.len() as u64];
    }
    // Few whole numbers have a bar each.
    let whole = high - low < BARS as f64 && numbers.iter().all(|x| x.fract() == 0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the bars")]
    let bars = if whole { (high - low) as usize + 1 } else { BARS };
    let mut counts = vec![0; bars];
    for x in numbers {
        // Halves keep the difference of very large numbers finite.
        let share = (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        let place = if whole { x - low } else { share * bars as f64 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below 0")]
        let bar = (place as usize).min(bars - 1);
        counts[bar] += 1;
    }
    counts
}

fn of_texts(
    name: String,
    kind: &'static str,
    texts: impl Iterator<Item = String>,
) -> ColumnSummary {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    of_counts((name, kind), counts)
}

fn of_counts(
    (name, kind): (String, &'static str),
    mut counts: HashMap<String, u64>,
) -> ColumnSummary {
    let gaps = counts.remove("").unwrap_or(0);
    let mut counted: Vec<(String, u64)> = counts.into_iter().collect();
    counted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let named = counted.iter().take(NAMED).map(|(text, rows)| format!("{text} ({})", count(*rows)));
    let mut values = named.collect::<Vec<_>>().join(", ");
    if counted.len() > NAMED {
        values += &format!(", {} more", count((counted.len() - NAMED) as u64));
    }
    let bars = counted.iter().take(BARS).map(|it| it.1).collect();
    ColumnSummary { name, kind, is_target: false, gaps, values, bars }
}

fn of_targets(kind: &TargetKind, names: &[&str], y: &Targets) -> Vec<ColumnSummary> {
    let target = |summary: ColumnSummary| ColumnSummary { is_target: true, ..summary };
    if let (TargetKind::Classes(classes), Targets::Classes(y)) = (kind, y) {
        let texts = y.iter().map(|&class| classes[class as usize].clone());
        return vec![target(of_texts(names[0].to_string(), "class", texts))];
    }
    let Some((y, columns)) = y.columns() else { return Vec::new() };
    let of = |(place, name): (usize, &&str)| {
        let values = y.iter().skip(place).step_by(columns).copied();
        if let TargetKind::Labels(labels) = kind {
            let texts = values.map(|y| labels[place].values[usize::from(y > 0.0)].clone());
            return target(of_texts(name.to_string(), "label", texts));
        }
        let column = Column::number(*name);
        // A masked target is NaN, and is counted as a gap.
        let values: Vec<[f64; 1]> = values.map(|y| [y]).collect();
        target(of_column(&column, values.iter().map(<[f64; 1]>::as_slice)))
    };
    names.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_counted() {
        assert_eq!(histogram(&[1.0, 2.0, 2.0, 4.0]), [1, 2, 0, 1]);
        assert_eq!(histogram(&[0.5, 0.5]), [2]);
        assert_eq!(histogram(&[0.0, 0.5, 1.0]).iter().sum::<u64>(), 3);
        assert_eq!(histogram(&[-1e308, 1e308]).len(), BARS);
        let texts = ["b", "a", "", "b", "c", "d", "e"].map(String::from);
        let summary = of_texts("x".into(), "category", texts.into_iter());
        assert_eq!(
            (summary.gaps, summary.values.as_str()),
            (1, "b (2), a (1), c (1), d (1), 1 more")
        );
        assert_eq!(summary.bars, [2, 1, 1, 1, 1]);
    }
}
