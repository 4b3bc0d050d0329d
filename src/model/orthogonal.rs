//! Random orthogonal matrices.
//!
//! In: a stream of random numbers. Out: the Q of a normal matrix's QR whose R has a positive diagonal, which makes Q
//! uniform over all orthogonal matrices.
//! Absent on purpose: reflections; Gram and Schmidt's method, done twice, is as exact for matrices like these, gives the
//! positive diagonal by itself, and is mostly products of matrices.

use ndarray::{Array2, ArrayView2, s};

use crate::random::Random;

/// Vectors that are made orthogonal to all before them at once.
const PANEL: usize = 32;

/// Fills `[rows, columns]`: `torch.nn.init.orthogonal_`.
pub(super) fn orthogonal(
    values: &mut [f32],
    (rows, columns): (usize, usize),
    gain: f64,
    random: &mut Random,
) {
    let (few, many) = (rows.min(columns), rows.max(columns));
    // A vector to each row: there are no more of them than they are long.
    let mut q = Array2::from_shape_simple_fn((few, many), || random.normal());
    for first in (0..few).step_by(PANEL) {
        let end = few.min(first + PANEL);
        let (before, mut rest) = q.multi_slice_mut((s![..first, ..], s![first..end, ..]));
        // Once leaves what rounding adds where vectors are nearly dependent; twice is enough.
        for _ in 0..2 {
            let shares = rest.dot(&before.t());
            rest -= &shares.dot(&before);
            orthonormalise(&mut rest);
        }
    }
    let q: ArrayView2<'_, f64> = if rows <= columns { q.view() } else { q.t() };
    for (value, q) in values.iter_mut().zip(q.iter()) {
        *value = (gain * q) as f32;
    }
}

/// Makes the rows of a panel orthogonal to each other and of length 1.
fn orthonormalise(panel: &mut ndarray::ArrayViewMut2<'_, f64>) {
    for row in 0..panel.nrows() {
        let (before, mut rest) = panel.multi_slice_mut((s![..row, ..], s![row, ..]));
        for other in before.rows() {
            let share = other.dot(&rest);
            rest.scaled_add(-share, &other);
        }
        let length = rest.dot(&rest).sqrt();
        rest /= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed};

    #[test]
    fn rows_or_columns_are_orthogonal() {
        for (rows, columns) in [(1, 1), (3, 2), (2, 3), (33, 33), (100, 70), (70, 130), (64, 64)] {
            let mut values = vec![0.0; rows * columns];
            orthogonal(&mut values, (rows, columns), 3.0, &mut Seed(1).stream(Purpose::Init));
            let w = Array2::from_shape_vec((rows, columns), values).unwrap().mapv(f64::from);
            let products = if rows <= columns { w.dot(&w.t()) } else { w.t().dot(&w) };
            for ((i, j), product) in products.indexed_iter() {
                let want = if i == j { 9.0 } else { 0.0 };
                // In f64 it is exact to 1e-14; each weight is then rounded to f32.
                assert!((product - want).abs() < 9.0 * 1e-6, "{rows}x{columns} {i},{j}: {product}");
            }
        }
    }

    #[test]
    fn signs_are_those_of_a_positive_diagonal() {
        // Q of a 1x1 matrix is the sign of its value: half of them are negative.
        let mut random = Seed(2).stream(Purpose::Init);
        let negative = (0..200).filter(|_| {
            let mut value = [0.0];
            orthogonal(&mut value, (1, 1), 1.0, &mut random);
            assert_eq!(value[0].abs(), 1.0);
            value[0] < 0.0
        });
        assert!((70..130).contains(&negative.count()));
    }
}
