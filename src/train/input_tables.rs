//! Tables of an embedding in front of a network, for columns of many texts.
//!
//! In: layers, rows whose texts are indices. Out: the layers with a table for each such column.
//! Absent on purpose: which columns get tables and how wide these are, which `data` decides.

use crate::data::{Batches, ColumnEncoding, Dataset, list, option_value};
use crate::error::{Error, Result};
use crate::model::{EmbeddingTable, Layer, NumberEmbedding, Params, Sequential};
use crate::shape::count;
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
         epoch of {} updates for that alone; give ‘columns’ {} for a narrower table, a larger ‘min_count’ for fewer rows, or a larger \
         ‘batch_size’ for fewer updates",
        count(table.vocabulary as u64),
        list(&[name]),
        count(table.dimension as u64),
        count(batches.batch() as u64),
        about(seconds),
        count(steps as u64),
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

/// Returns the layers with an embedding in front that has a table for each column of indices of texts, where they have none yet; and
/// an embedding of numbers behind it, or in front, gets the columns that are numbers, where it names none.
///
/// # Errors
/// If a table of the layers is for an input that is no index, or has fewer rows than there are texts; or an embedding of numbers
/// names a column of texts.
pub fn with_input_tables(model: &Sequential, data: &Dataset) -> Result<Sequential> {
    let mut tables = model.tables().to_vec();
    check(&tables, data)?;
    let own = tables.clone();
    let new = data
        .input_tables()
        .map(|(column, vocabulary, dimension)| EmbeddingTable { column, vocabulary, dimension })
        .filter(|table| own.iter().all(|own| own.column != table.column));
    tables.extend(new);
    let rest = usize::from(!own.is_empty());
    let mut layers: Vec<Layer> = model.layers()[rest..].to_vec();
    if let Some(Layer::NumberEmbedding(numbers)) = layers.first() {
        let found = numbers_behind(numbers, data, (&own, &tables))?;
        layers.splice(..1, found.map(Layer::NumberEmbedding));
    }
    let front =
        if tables.is_empty() { Sequential::new() } else { Sequential::new().embedding(tables) };
    Ok(layers.into_iter().fold(front, Sequential::layer))
}

/// Returns an embedding of numbers behind tables, some of which the layers had; `None` if there are no numbers.
fn numbers_behind(
    numbers: &NumberEmbedding,
    data: &Dataset,
    (own, tables): (&[EmbeddingTable], &[EmbeddingTable]),
) -> Result<Option<NumberEmbedding>> {
    let has =
        |tables: &[EmbeddingTable], column: usize| tables.iter().any(|it| it.column == column);
    // Columns count behind the tables, those without a table in their order.
    let behind = |tables: &[EmbeddingTable]| -> Vec<Option<usize>> {
        let mut next: usize = tables.iter().map(|table| table.dimension).sum();
        let place = |column| {
            (!has(tables, column)).then(|| {
                next += 1;
                next - 1
            })
        };
        (0..data.columns()).map(place).collect()
    };
    let after = behind(tables);
    let all: Vec<usize> = match &numbers.columns {
        None => data.number_inputs().into_iter().filter_map(|column| after[column]).collect(),
        // The layers' own tables were in front already.
        Some(columns) if own.len() == tables.len() => columns.clone(),
        Some(columns) => {
            let before = behind(own);
            let moved = |&column: &usize| {
                let input = before.iter().position(|place| *place == Some(column));
                input.and_then(|input| after[input]).ok_or_else(|| {
                    let problem = format!(
                        "{}: column {column} holds texts, which have an embedding of their own; leave columns out, and those of \
                         numbers are taken",
                        Layer::NumberEmbedding(numbers.clone())
                    );
                    Error::setting("layers", problem)
                })
            };
            columns.iter().map(moved).collect::<Result<_>>()?
        }
    };
    let inputs = after.iter().flatten().count();
    // Without other columns the layer stays as it is written.
    let whole = tables.is_empty() && all.len() == inputs && numbers.columns.is_none();
    let columns = if whole { None } else { Some(all) };
    let found = NumberEmbedding { columns, ..numbers.clone() };
    Ok(Some(found).filter(|it| it.columns.as_ref().is_none_or(|columns| !columns.is_empty())))
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
                    count(table.vocabulary as u64),
                    count(values.len() as u64)
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

    /// Numbers, a column of two texts, one of twenty texts, and one with gaps.
    fn mixed() -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let row = |at: usize| {
            let gap = if at.is_multiple_of(7) { String::new() } else { format!("{}.5", at % 13) };
            format!("{at}.25,t{},m{:02},{gap},{}\n", at % 2, at % 20, at % 9)
        };
        let rows: String = (0..60).map(row).collect();
        std::fs::write(&path, format!("a,two,many,gaps,y\n{rows}")).unwrap();
        let options = crate::data::TableOptions::default();
        let target = crate::data::Target::Number("y".to_string());
        Dataset::from_csv_with(path, target, &options).unwrap().encoded().unwrap()
    }

    #[test]
    fn embeddings_of_numbers_get_the_columns_that_are_numbers() {
        let made = |text: &str, data: &Dataset| {
            with_input_tables(&text.parse().unwrap(), data).map(|model| model.to_string())
        };
        let data = mixed();
        // Inputs are a, two, many, gaps, and whether gaps is missing; the table of many has 9 columns, and goes in front.
        assert_eq!(data.number_inputs(), [0, 3]);
        let front = "embedding(2=21x9)";
        let filled = made("pbld, dense(1)", &data).unwrap();
        assert_eq!(filled, format!("{front}, pbld(columns=9 11), dense(1)"));
        // A second time nothing changes, as when a model is trained on.
        assert_eq!(made(&filled, &data).unwrap(), filled);
        let own = made("pl(columns=0-1), dense(1)", &data).unwrap();
        assert_eq!(own, format!("{front}, pl(columns=9-10), dense(1)"));
        let said = made("pl(columns=1-2), dense(1)", &data).unwrap_err().to_string();
        assert!(said.contains("column 2 holds texts"), "{said}");
        // Columns that the layers look up are no numbers.
        let looked_up = made("embedding(0=60x2), pbld, dense(1)", &data).unwrap();
        assert_eq!(looked_up, "embedding(0=60x2, 2=21x9), pbld(columns=12), dense(1)");
        let x: Vec<f64> = (0..20).map(f64::from).collect();
        let plain = Dataset::from_arrays(&x, 2, Targets::Numbers(x[..10].to_vec())).unwrap();
        assert_eq!(made("pbld, dense(1)", &plain).unwrap(), "pbld, dense(1)");
    }

    /// A table of texts alone has nothing to embed as a number.
    #[test]
    fn embeddings_of_numbers_vanish_without_numbers() {
        let data = mixed();
        let texts = NumberEmbedding {
            columns: None,
            ..crate::model::NumberEmbeddingKind::Pbld.embedding()
        };
        let tables: Vec<EmbeddingTable> = (0..data.columns())
            .map(|column| EmbeddingTable { column, vocabulary: 100, dimension: 1 })
            .collect();
        assert_eq!(numbers_behind(&texts, &data, (&tables, &tables)).unwrap(), None);
    }

    #[test]
    fn inputs_of_texts_are_scaled_where_it_is_asked_for() {
        use crate::data::{FeatureScaling, Preprocessing, ScalingRules};
        let data = mixed();
        let fit = |texts| {
            let rules = ScalingRules { texts, ..FeatureScaling::Robust.into() };
            Preprocessing::fit_by(&data, &rules).unwrap()
        };
        let (robust, none) = (FeatureScaling::Robust, FeatureScaling::None);
        assert_eq!(fit(false).methods(), [robust, none, none, robust, none]);
        // Indices of texts stay as they are.
        assert_eq!(fit(true).methods(), [robust, robust, none, robust, robust]);
        // Of 60 rows 30 have the second text: the quartiles are 0 and 1, the median one half.
        assert_eq!((fit(true).mean[1], fit(true).std[1]), (0.5, 1.0));
    }
}
