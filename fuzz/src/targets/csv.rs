//! Tables: read whole, read again by what was learnt of them, read in pieces, split and scaled.

use super::{allowance, same_inputs, with_file};
use crate::memory::within;
use wgrad::data::{FeatureReader, PartReader, Preprocessing, Targets, column_names};
use wgrad::{Dataset, FeatureScaling, Seed, Target};

/// A cell of a few bytes may become as many inputs as its column has texts, which a whole table may have by the cell.
const INPUTS: usize = 4;

/// The first byte says how the rest is to be read.
pub fn csv(data: &[u8]) {
    let Some((&how, table)) = data.split_first() else { return };
    let column = if how & 4 == 0 { "y" } else { "y,z" }.to_string();
    let target = match how & 3 {
        0 => Target::Auto(column),
        1 => Target::Class(column),
        2 => Target::Number(column),
        _ => Target::Labels(column),
    };
    let weight = (how & 8 != 0).then_some("w");
    with_file("csv", table, |path| {
        within(allowance(table), || {
            let _ = column_names(path);
        });
        let read = within(allowance(table), || match weight {
            None => Dataset::from_csv(path, target),
            Some(weight) => Dataset::from_csv_weighted(path, target, weight),
        });
        let Ok(read) = read else { return };
        assert!(read.rows() > 0 && read.x().len() == read.rows() * read.columns());
        let Ok(read) = read.encoded() else { return };
        assert!(read.x().len() == read.rows() * read.columns());
        assert!(read.x().iter().all(|value| value.is_finite()));
        match read.y() {
            Targets::Classes(y) => assert!(y.iter().all(|&y| (y as usize) < read.classes())),
            Targets::Numbers(y) | Targets::Columns(y, _) => {
                assert!(y.iter().all(|value| value.is_finite()));
            }
        }

        let again =
            within(INPUTS * allowance(table), || Dataset::from_csv_like(path, read.schema()));
        let again = again.expect("a table is like itself");
        assert!(same_inputs(&again.x().to_vec(), &read.x().to_vec()));
        assert_eq!((again.y(), again.weights()), (read.y(), read.weights()));

        assert!(again.odd_cells().is_empty());

        // A row of weight 0 or without a target may hold anything, and its cells are no features of the whole.
        if read.left_out() == 0 && read.notes().is_empty() {
            let mut reader =
                FeatureReader::open(path, read.schema()).expect("the columns are there");
            let mut x = Vec::new();
            while let Some(chunk) = reader.next_chunk(3).expect("the rows are good") {
                x.extend(chunk.x);
            }
            assert!(same_inputs(&x, &read.x().to_vec()));
        }

        let mut parts = within(allowance(table), || PartReader::open(path, read.schema()))
            .expect("the columns are there");
        let (mut x, mut rows) = (Vec::new(), 0);
        while let Some(part) = parts.next_part(5).expect("the rows are good") {
            rows += part.y.len();
            x.extend(part.x);
        }
        assert!(rows == read.rows() && same_inputs(&x, &read.x().to_vec()));

        let Ok(split) = read.split(0.3, Seed(1)) else { return };
        let preparation = Preprocessing::fit(&split.train, FeatureScaling::Standard);
        let scaled = preparation.features(split.train.x());
        // Differences of the largest numbers that there are exceed them; training refuses these.
        let beyond = preparation.beyond_single(split.train.x()).is_some();
        assert!(beyond || scaled.iter().all(|value| value.is_finite()), "{preparation:?}");
    });
}
