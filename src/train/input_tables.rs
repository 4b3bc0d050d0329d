//! Tables of an embedding in front of a network, for columns of many texts.
//!
//! In: layers, rows whose texts are indices. Out: the layers with a table for each such column.
//! Absent on purpose: which columns get tables and how wide these are, which `data` decides.

use crate::data::{Batches, ColumnEncoding, Dataset, list, option_value};
use crate::error::{Error, Result};
use crate::model::{EmbeddingTable, Params, Sequential};
use crate::train::TrainOptions;

/// Bytes a second that updates of very many weights move, about, on a CPU and on a GPU.
const CPU_BYTES: f64 = 10e9;
const GPU_BYTES: f64 = 200e9;
/// Seconds of an epoch from which on the updates of a table are worth a remark.
const SLOW: f64 = 60.0;

/// Returns a remark if the updates of tables take most of a long epoch: each step goes over all rows of a table, though its batch has few.
pub(super) fn slow_tables(
    model: &Sequential,
    data: &Dataset,
    (options, batches): (&TrainOptions, &Batches),
    on_cpu: bool,
) -> Option<String> {
    let table = model.tables().iter().max_by_key(|it| it.vocabulary * it.dimension)?;
    let numbers = table.vocabulary * table.dimension;
    let states = options.optimizer.states().len();
    // Gradients are cleared, added to and read; weights and states are read and written.
    let bytes = 4.0 * numbers as f64 * (3 + 2 * (1 + states)) as f64;
    let steps = options.updates_per_epoch(batches.steps());
    let seconds = bytes * steps as f64 / if on_cpu { CPU_BYTES } else { GPU_BYTES };
    if seconds < SLOW || table.vocabulary < 2 * batches.batch() {
        return None;
    }
    // Layers of the user's may have tables for inputs of any kind.
    let name = data.schema().features.get(table.column).map_or("", String::as_str);
    Some(format!(
        "each step updates all {} rows of the embedding's table of {}, {} numbers wide, though a batch of {} has few of them: about {} an \
         epoch of {steps} updates for that alone; give ‘columns’ {} for a narrower table, a larger ‘min_count’ for fewer rows, or a larger \
         ‘batch_size’ for fewer updates",
        table.vocabulary,
        list(&[name]),
        table.dimension,
        batches.batch(),
        about(seconds),
        option_value(name, ":embedding(8)")
    ))
}

/// Returns a rough time in words.
fn about(seconds: f64) -> String {
    match seconds {
        it if it < 120.0 => format!("{it:.0} seconds"),
        it if it < 7200.0 => format!("{:.0} minutes", it / 60.0),
        it => format!("{:.0} hours", it / 3600.0),
    }
}

/// Returns the layers with an embedding in front that has a table for each column of indices of texts, where they have none yet.
///
/// # Errors
/// If a table of the layers is for an input that is no index, or has fewer rows than there are texts.
pub fn with_input_tables(model: &Sequential, data: &Dataset) -> Result<Sequential> {
    let schema = data.schema();
    if schema.columns.is_empty() {
        return Ok(model.clone());
    }
    let mut tables = model.tables().to_vec();
    check(&tables, data)?;
    let new: Vec<EmbeddingTable> = data
        .input_tables()
        .map(|(column, vocabulary, dimension)| EmbeddingTable { column, vocabulary, dimension })
        .filter(|table| tables.iter().all(|own| own.column != table.column))
        .collect();
    if new.is_empty() {
        return Ok(model.clone());
    }
    let rest = usize::from(!tables.is_empty());
    tables.extend(new);
    let layers = model.layers()[rest..].iter().cloned();
    Ok(layers.fold(Sequential::new().embedding(tables), Sequential::layer))
}

/// Checks that tables are for columns of numbers, or for indices of texts and large enough.
fn check(tables: &[EmbeddingTable], data: &Dataset) -> Result<()> {
    let schema = data.schema();
    for table in tables {
        for (column, own) in schema.columns.iter().zip(schema.inputs_of_columns()) {
            if !own.contains(&table.column) {
                continue;
            }
            let name = list(&[&column.name]);
            let problem = match &column.encoding {
                ColumnEncoding::Number { .. } if table.column == own.start => continue,
                ColumnEncoding::Embedding { values, .. } if table.vocabulary > values.len() => {
                    continue;
                }
                ColumnEncoding::Embedding { values, .. } => format!(
                    "a table of {} rows for {name}, which has {} texts and needs a row more; leave the table out, and it is made",
                    table.vocabulary,
                    values.len()
                ),
                _ => format!(
                    "a table for an input that {name} became, {}, which is no index; take another column",
                    list(&[&schema.features[table.column]])
                ),
            };
            return Err(Error::shape("embedding", problem));
        }
    }
    Ok(())
}

/// Sets row 0 of tables to zeros where training has no gaps that could train it, so that a text that training did not have adds nothing.
pub(crate) fn clear_unused_rows(
    params: &mut Params,
    model: &Sequential,
    data: &Dataset,
) -> Result<()> {
    let unused: Vec<usize> = data.untrained_tables().collect();
    for (place, table) in model.tables().iter().enumerate() {
        if !unused.contains(&table.column) {
            continue;
        }
        let name = format!("0.{place}.weight");
        let Some(mut values) = params.get(&name).map(<[f32]>::to_vec) else { continue };
        values[..table.dimension].fill(0.0);
        params.set(&name, &[table.vocabulary, table.dimension], &values)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    #[test]
    fn tables_whose_updates_take_long_are_told_with_a_time() {
        let x: Vec<f64> = (0..40_000).map(f64::from).collect();
        let data = Dataset::from_arrays(&x, 1, Targets::Numbers(x.clone())).unwrap();
        let (options, batches) = (TrainOptions::default(), Batches::new(40_000, 100, false));
        let told = |vocabulary, dimension, on_cpu| {
            let tables = [EmbeddingTable { column: 0, vocabulary, dimension }];
            let model = Sequential::new().embedding(tables).dense(1);
            slow_tables(&model, &data, (&options, &batches), on_cpu)
        };
        // 600 million numbers, each moved nine times in each of 400 updates.
        let said = told(1_000_000, 600, true).unwrap();
        assert!(said.contains("about 14 minutes an epoch of 400 updates"), "{said}");
        assert!(said.contains("give ‘columns’ \"x0:embedding(8)\""), "{said}");
        assert_eq!(told(1_000_000, 600, false), None);
        assert_eq!(told(1000, 600, true), None);
    }
}
