//! Rows that training had not the like of: gaps where it had none, texts and ids that it did not have.
//!
//! In: rows as they were read. Out: the same with stand-ins for gaps, and the rows whose ids no table has; what to tell of all of them,
//! once.
//! Absent on purpose: what stands in for a text, which `data` knows.

use super::input::at_row;
use crate::data::{OddCell, Oddities, list};
use crate::error::Result;
use crate::report::{Console, pluralize};
use crate::train::TrainedModel;

/// Examples of ids that are told.
const EXAMPLES: usize = 3;

/// Odd cells of all rows so far.
#[derive(Debug, Default)]
pub(crate) struct OddRows {
    oddities: Oddities,
    /// Rows with an id that no table has.
    unknown: u64,
    /// First ids and their columns.
    examples: Vec<(String, f64)>,
}

impl OddRows {
    /// Puts stand-ins into rows `[rows, inputs]` that begin in these lines. Returns true for each row that cannot be predicted, since it
    /// has an id that no table has; nothing if there is none.
    pub(crate) fn mend(
        &mut self,
        trained: &TrainedModel,
        x: &mut [f64],
        (odd, lines): (&[OddCell], &[u64]),
        table: &str,
    ) -> Result<Vec<bool>> {
        let (preparation, tables) = (&trained.preparation, trained.model.tables());
        let (schema, columns) = (&preparation.schema, preparation.schema.features.len());
        let ids: Vec<usize> = tables.iter().map(|table| table.column).collect();
        // Gaps among ids are told with the ids.
        let names = schema.read_columns();
        let is_id = |cell: &&OddCell| {
            cell.text.is_none() && ids.iter().any(|&id| names[cell.column] == schema.features[id])
        };
        let told: Vec<OddCell> = odd.iter().filter(|cell| !is_id(cell)).cloned().collect();
        self.oddities.add(&told, lines);
        // A date's gap is no odd cell where training had gaps, but its parts have to have a number too.
        if let Some((row, input)) = preparation.fill_gaps(x, &ids) {
            let problem = format!(
                "column {}: the cell is empty, and the model, which was trained with --scale none, has no mean to stand in for a gap \
                 in a date, or in numbers that had none in training; fill in a value or remove the row",
                list(&[schema.column_of_input(input)])
            );
            return Err(at_row(table, lines, row, problem));
        }
        let mut skipped = Vec::new();
        for table in tables {
            for (row, cells) in x.chunks_exact_mut(columns).enumerate() {
                let id = cells[table.column];
                if id.fract() == 0.0 && id >= 0.0 && id < table.vocabulary as f64 {
                    continue;
                }
                // Any row of the table will do, since the prediction is not shown.
                cells[table.column] = 0.0;
                skipped.resize(lines.len(), false);
                self.unknown += u64::from(!skipped[row]);
                skipped[row] = true;
                let name = &schema.features[table.column];
                let known = |it: &(String, f64)| it.0 == *name && it.1.to_bits() == id.to_bits();
                if self.examples.len() < EXAMPLES && !self.examples.iter().any(known) {
                    self.examples.push((name.clone(), id));
                }
            }
        }
        Ok(skipped)
    }

    /// Tells of all odd cells, once. `fate` says what becomes of rows with unknown ids.
    pub(crate) fn tell(&self, trained: &TrainedModel, fate: &str, console: &mut Console) {
        for told in self.oddities.told(&trained.preparation.schema) {
            console.warn(&told);
        }
        if self.unknown == 0 {
            return;
        }
        let examples: Vec<String> = self
            .examples
            .iter()
            .map(|(name, id)| match id.is_nan() {
                true => format!("a gap in {}", list(&[name])),
                false => format!("{id} in {}", list(&[name])),
            })
            .collect();
        console.warn(&format!(
            "{} with an id that is no row of the embedding's table, such as {}: {fate}",
            pluralize(self.unknown, "row"),
            examples.join(", ")
        ));
    }
}
