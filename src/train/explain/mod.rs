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
