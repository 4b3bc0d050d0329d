//! Permutation importance (Breiman 2001, doi:10.1023/A:1010933404324, for any predictor): how much the loss rises when the cells of a
//! column are shuffled among the rows.

use crate::data::LabelledRows;
use crate::error::Result;
use crate::random::{Purpose, Seed};
use crate::train::{Metrics, Predictor};

/// Importance of a column of a table, with all inputs that it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnImportance {
    /// Name of the column.
    pub column: String,
    /// Loss with the column's cells shuffled less the loss as it is, for each repeat.
    pub rises: Vec<f64>,
}

impl ColumnImportance {
    /// Mean over the repeats.
    pub fn mean(&self) -> f64 {
        self.rises.iter().sum::<f64>() / self.rises.len().max(1) as f64
    }
}

/// Importance of all columns.
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationImportance {
    /// Loss of the rows as they are.
    pub loss: f64,
    /// Number of rows.
    pub rows: usize,
    /// The columns, in their order.
    pub columns: Vec<ColumnImportance>,
}

/// Shuffles the cells of each column `repeats` times, all inputs of a column together, and compares the losses. Rows, in their order,
/// and seed decide the result.
///
/// # Errors
/// As [`Predictor::predict`].
pub fn permutation_importance(
    predictor: &Predictor,
    rows: &LabelledRows,
    repeats: usize,
    seed: Seed,
) -> Result<PermutationImportance> {
    let schema = &predictor.trained().preparation.schema;
    let (width, count) = (schema.features.len(), rows.y.len());
    let loss = |x: &[f64]| -> Result<f64> {
        let outputs = predictor.outputs(&x.into())?;
        let trained = predictor.trained();
        let targets = (&rows.y, rows.weights.as_deref());
        Ok(Metrics::under(&trained.criterion, &outputs, targets, &trained.preparation).loss)
    };
    let base = loss(&rows.x)?;
    let mut random = seed.stream(Purpose::Permutation);
    let mut columns = Vec::new();
    let mut shuffled = rows.x.clone();
    for (name, inputs) in schema.read_columns().into_iter().zip(schema.inputs_of_columns()) {
        let mut rises = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            let mut order: Vec<usize> = (0..count).collect();
            random.shuffle(&mut order);
            for (row, &from) in order.iter().enumerate() {
                let cells = &rows.x[from * width..][inputs.clone()];
                shuffled[row * width..][inputs.clone()].copy_from_slice(cells);
            }
            rises.push(loss(&shuffled)? - base);
        }
        for row in 0..count {
            let cells = &rows.x[row * width..][inputs.clone()];
            shuffled[row * width..][inputs.clone()].copy_from_slice(cells);
        }
        columns.push(ColumnImportance { column: name.to_string(), rises });
    }
    Ok(PermutationImportance { loss: base, rows: count, columns })
}
