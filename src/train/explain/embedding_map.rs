//! Maps of embeddings: each category at the first two principal components of its row in the table.

use crate::data::ColumnEncoding;
use crate::train::TrainedModel;

/// Rounds of the power iteration, which ends earlier where it stands still.
const ROUNDS: usize = 500;

/// A category's place on a map.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoryPlace {
    /// Text of the category.
    pub text: String,
    /// First principal component.
    pub x: f64,
    /// Second principal component.
    pub y: f64,
}

/// Categories of a column on a plane.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingMap {
    /// Name of the column.
    pub column: String,
    /// The categories, in their order.
    pub places: Vec<CategoryPlace>,
    /// Share of the variance that the two components have, from 0 to 1.
    pub explained: f64,
}

/// Returns a map of each column of texts that has an embedding with at least three categories. The sign of a component is such that its
/// entry of the largest size is positive.
pub fn embedding_maps(trained: &TrainedModel) -> Vec<EmbeddingMap> {
    let schema = &trained.preparation.schema;
    let mut maps = Vec::new();
    for (column, inputs) in schema.columns.iter().zip(schema.inputs_of_columns()) {
        let first = inputs.start;
        let ColumnEncoding::Embedding { values, .. } = &column.encoding else { continue };
        let tables = trained.model.tables();
        let Some(place) = tables.iter().position(|table| table.column == first) else { continue };
        let weights = trained.params.get(&format!("0.{place}.weight"));
        let (Some(weights), true) = (weights, values.len() >= 3) else { continue };
        // Row 0 is for gaps and texts that training did not have.
        let rows: Vec<Vec<f64>> = weights
            .chunks_exact(tables[place].dimension)
            .skip(1)
            .map(|row| row.iter().map(|&value| f64::from(value)).collect())
            .collect();
        let (points, explained) = principal_plane(&rows);
        let places = values.iter().zip(points);
        let places = places.map(|(text, (x, y))| CategoryPlace { text: text.clone(), x, y });
        maps.push(EmbeddingMap {
            column: column.name.clone(),
            places: places.collect(),
            explained,
        });
    }
    maps
}

/// Points of rows on their first two principal components, and the share of the variance that these have.
fn principal_plane(rows: &[Vec<f64>]) -> (Vec<(f64, f64)>, f64) {
    let width = rows.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..width)
        .map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / rows.len() as f64)
        .collect();
    let centred: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&mean).map(|(x, mean)| x - mean).collect()).collect();
    let mut covariance = vec![vec![0.0; width]; width];
    for row in &centred {
        for (line, a) in covariance.iter_mut().zip(row) {
            line.iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b);
        }
    }
    let all: f64 = (0..width).map(|at| covariance[at][at]).sum();
    let (first, first_share) = leading(&covariance);
    for (line, a) in covariance.iter_mut().zip(&first) {
        line.iter_mut().zip(&first).for_each(|(value, b)| *value -= first_share * a * b);
    }
    let (second, second_share) =
        if width > 1 { leading(&covariance) } else { (vec![0.0; width], 0.0) };
    let along = |row: &[f64], axis: &[f64]| row.iter().zip(axis).map(|(x, a)| x * a).sum::<f64>();
    let points = centred.iter().map(|row| (along(row, &first), along(row, &second))).collect();
    let explained = if all > 0.0 { (first_share + second_share) / all } else { 0.0 };
    (points, explained.clamp(0.0, 1.0))
}

/// The eigenvector of the largest eigenvalue of a symmetric matrix without negative ones, and that value, by power iteration.
fn leading(matrix: &[Vec<f64>]) -> (Vec<f64>, f64) {
    let times = |axis: &[f64]| -> Vec<f64> {
        matrix.iter().map(|line| line.iter().zip(axis).map(|(a, x)| a * x).sum()).collect()
    };
    let norm = |axis: &[f64]| axis.iter().map(|x| x * x).sum::<f64>().sqrt();
    // The line with the largest diagonal is not orthogonal to the eigenvector looked for.
    let largest = (0..matrix.len()).max_by(|&a, &b| matrix[a][a].total_cmp(&matrix[b][b]));
    let Some(mut axis) = largest.map(|at| matrix[at].clone()).filter(|axis| norm(axis) > 0.0)
    else {
        return (vec![0.0; matrix.len()], 0.0);
    };
    let mut value = 0.0;
    for _ in 0..ROUNDS {
        let size = norm(&axis);
        axis.iter_mut().for_each(|x| *x /= size);
        let next = times(&axis);
        let grown = norm(&next);
        let still = (grown - value).abs() <= 1e-12 * grown;
        (value, axis) = (grown, next);
        if still || grown == 0.0 {
            break;
        }
    }
    let size = norm(&axis).max(f64::MIN_POSITIVE);
    let peak =
        axis.iter().copied().fold(0.0, |peak: f64, x| if x.abs() > peak.abs() { x } else { peak });
    let sign = if peak < 0.0 { -1.0 } else { 1.0 };
    axis.iter_mut().for_each(|x| *x *= sign / size);
    (axis, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_found_again() {
        // Points of a plane in four dimensions: first along (1, 1, 0, 0), less along (0, 0, 1, 0); the last one is the same for all.
        let rows: Vec<Vec<f64>> =
            [(-2.0, 0.5), (0.0, -1.0), (2.0, 0.5)].map(|(a, b)| vec![a, a, b, 7.0]).to_vec();
        let (points, explained) = principal_plane(&rows);
        let root = 2.0_f64.sqrt();
        for ((x, y), (a, b)) in points.iter().zip([(-2.0, 0.5), (0.0, -1.0), (2.0, 0.5)]) {
            assert!((x - a * root).abs() < 1e-6 && (y - b).abs() < 1e-6, "{x} {y}");
        }
        assert!((explained - 1.0).abs() < 1e-9, "{explained}");
        assert_eq!(principal_plane(&vec![vec![1.0]; 3]).1, 0.0);
    }
}
