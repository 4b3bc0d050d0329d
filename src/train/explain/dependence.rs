//! Partial dependence (Friedman 2001, doi:10.1214/aos/1013203451): the mean prediction when all rows have the same cell in one column.

use std::collections::BTreeMap;

use crate::data::{Column, ColumnEncoding, LabelledRows};
use crate::error::Result;
use crate::train::Predictor;

/// Cells of a column at which the prediction is computed, at most.
const VALUES: usize = 20;
/// Texts of a category at which it is.
const TEXTS: usize = 12;

/// Mean predictions by the cell of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDependence {
    /// Name of the column.
    pub column: String,
    /// Cells in the order of their values, of categories the most frequent first.
    pub cells: Vec<String>,
    /// The cells as numbers; `None` for texts and dates.
    pub numbers: Option<Vec<f64>>,
    /// Means `[cells, predicted columns]`, as [`TrainedModel::columns`](crate::train::TrainedModel::columns) names the columns.
    pub means: Vec<f64>,
}

/// Computes the mean prediction by the cells of one column, over all rows given, whose other cells stay as they are. The cells are such
/// as the rows have: of numbers and dates 20 from the least to the largest by rank, of categories the 12 most frequent. `None` if the
/// rows have but one cell, or the column is not there.
///
/// # Errors
/// As [`Predictor::predict`].
pub fn partial_dependence(
    predictor: &Predictor,
    rows: &LabelledRows,
    column: &str,
) -> Result<Option<ColumnDependence>> {
    let schema = &predictor.trained().preparation.schema;
    let width = schema.features.len();
    let columns = schema.all_columns();
    let Some(place) = columns.iter().position(|it| it.name == column) else { return Ok(None) };
    let inputs = schema.inputs_of_columns()[place].clone();
    let all: Vec<&[f64]> = rows.x.chunks_exact(width).map(|row| &row[inputs.clone()]).collect();
    let chosen = chosen_cells(&columns[place], &all);
    if chosen.len() < 2 {
        return Ok(None);
    }
    let mut changed = rows.x.clone();
    let mut means = Vec::new();
    for cell in &chosen {
        for row in changed.chunks_exact_mut(width) {
            row[inputs.clone()].copy_from_slice(cell);
        }
        let predictions = predictor.predict(&changed)?;
        let values = predictions.values();
        let outputs = values.len() / rows.y.len().max(1);
        for output in 0..outputs {
            let sum: f64 = values.iter().skip(output).step_by(outputs).sum();
            means.push(sum / rows.y.len() as f64);
        }
    }
    let is_number = matches!(columns[place].encoding, ColumnEncoding::Number { .. });
    Ok(Some(ColumnDependence {
        column: column.to_string(),
        cells: chosen.iter().map(|cell| columns[place].cell_of(cell)).collect(),
        numbers: is_number.then(|| chosen.iter().map(|cell| cell[0]).collect()),
        means,
    }))
}

/// Chooses different cells, as the inputs that they become.
fn chosen_cells<'a>(column: &Column, cells: &[&'a [f64]]) -> Vec<&'a [f64]> {
    if column.encoding.is_category() {
        return frequent_cells(column, cells);
    }
    // A date of which no part is an input changes nothing.
    let Some(order) = column.ordering_input() else { return Vec::new() };
    let gaps = column.encoding.had_gaps();
    let is_gap = |cell: &&[f64]| gaps && cell.last() == Some(&1.0);
    let mut there: Vec<&[f64]> = cells.iter().copied().filter(|cell| !is_gap(cell)).collect();
    there.sort_by(|a, b| a[order].total_cmp(&b[order]));
    let last = there.len().saturating_sub(1);
    let ranks = (0..VALUES).map(|rank| rank * last / (VALUES - 1));
    let mut chosen: Vec<&[f64]> = Vec::new();
    for cell in ranks.filter_map(|rank| there.get(rank)) {
        if chosen.last().is_none_or(|last| last[order] < cell[order]) {
            chosen.push(cell);
        }
    }
    chosen
}

/// The most frequent texts, a gap among them.
fn frequent_cells<'a>(column: &Column, cells: &[&'a [f64]]) -> Vec<&'a [f64]> {
    let mut counts: BTreeMap<String, (usize, &[f64])> = BTreeMap::new();
    for cell in cells {
        counts.entry(column.cell_of(cell)).or_insert((0, cell)).0 += 1;
    }
    let mut counted: Vec<(usize, &[f64])> = counts.into_values().collect();
    // Of texts that are as frequent, the order of the alphabet stays.
    counted.sort_by_key(|it| std::cmp::Reverse(it.0));
    counted.into_iter().take(TEXTS).map(|it| it.1).collect()
}
