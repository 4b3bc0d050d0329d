//! Tables of an embedding in front of a network, for columns of many texts.
//!
//! In: layers, rows whose texts are indices. Out: the layers with a table for each such column.
//! Absent on purpose: which columns get tables and how wide these are, which `data` decides.

use crate::data::{ColumnEncoding, Dataset, list};
use crate::error::{Error, Result};
use crate::model::{EmbeddingTable, Params, Sequential};

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
        let mut input = 0;
        for column in &schema.columns {
            let own = input..input + column.width();
            input = own.end;
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
