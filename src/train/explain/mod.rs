//! Explanations of a trained network by its columns.
//!
//! In: a [`Predictor`](super::Predictor), rows of a table. Out: the importance of columns, the mean prediction by a column's value, a map
//! of an embedding's categories.
//! Absent on purpose: pictures, files.

mod dependence;
mod embedding_map;
mod importance;

pub use dependence::{ColumnDependence, partial_dependence};
pub use embedding_map::{CategoryPlace, EmbeddingMap, embedding_maps};
pub use importance::{ColumnImportance, PermutationImportance, permutation_importance};

use std::ops::Range;

use crate::data::Schema;

/// Inputs of each feature column, in the order of [`Schema::read_columns`].
fn inputs_of_columns(schema: &Schema) -> Vec<Range<usize>> {
    let mut first = 0;
    let inputs = |width: usize| {
        first += width;
        first - width..first
    };
    schema.all_columns().iter().map(|column| column.width()).map(inputs).collect()
}
