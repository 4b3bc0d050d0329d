//! Columns of whole numbers that name rows of an embedding's tables.
//!
//! In: rows as they stand in a table. Out: nothing, or the place of the first number that names no row.
//! Absent on purpose: devices, which rely on these checks.

use crate::data::{Dataset, Numbers, Schema};
use crate::error::{Error, Result};
use crate::model::EmbeddingTable;

/// Checks rows `[rows, features]`; `place` makes an error of a row and its problem.
///
/// # Errors
/// If a number is not whole, negative, or beyond its table.
pub(super) fn check_ids(
    tables: &[EmbeddingTable],
    x: Numbers<'_>,
    schema: &Schema,
    place: impl Fn(usize, String) -> Error,
) -> Result<()> {
    let columns = schema.features.len();
    for table in tables {
        let name = schema.features.get(table.column).map_or("", String::as_str);
        let fits =
            |value: f64| value.fract() == 0.0 && value >= 0.0 && value < table.vocabulary as f64;
        let values = x.every(table.column, columns);
        if let Some((row, value)) = values.enumerate().find(|(_, value)| !fits(*value)) {
            let problem = format!(
                "{value} in column `{name}`, but it must be a whole number from 0 to {}, a row of the embedding's table; correct it, \
                 or make the table larger",
                table.vocabulary - 1
            );
            return Err(place(row, problem).at_column(name));
        }
    }
    Ok(())
}

/// Checks a data set; rows are counted from 1, as they stand in it.
///
/// # Errors
/// As [`check_ids`].
pub(crate) fn check_dataset(tables: &[EmbeddingTable], data: &Dataset, part: &str) -> Result<()> {
    let place = |row: usize, problem| {
        let problem = format!("row {}: {problem}", row + 1);
        Error::table(format!("{}{part}", data.source()), problem).at_row(row)
    };
    check_ids(tables, data.x(), data.schema(), place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    #[test]
    fn numbers_that_name_no_row_are_told_with_their_place() {
        let tables = [EmbeddingTable { column: 1, vocabulary: 3, dimension: 2 }];
        let checked = |ids: [f32; 3]| {
            let x = [7.5, ids[0], -1.0, ids[1], 0.0, ids[2]];
            let data = Dataset::from_arrays(&x, 2, Targets::Numbers(vec![0.0; 3])).unwrap();
            check_dataset(&tables, &data, "")
        };
        assert!(checked([0.0, 2.0, 1.0]).is_ok());
        for (ids, part) in [
            (
                [0.0, 1.0, 3.0],
                "arrays: row 3: 3 in column `x1`, but it must be a whole number from 0 to 2",
            ),
            ([0.5, 9.0, 0.0], "arrays: row 1: 0.5"),
            ([0.0, -1.0, 0.0], "arrays: row 2: -1"),
        ] {
            let said = checked(ids).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}
