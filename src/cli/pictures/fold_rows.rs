//! Out-of-fold predictions of a cross-validation, read back for pictures.
//!
//! In: `out_of_fold.csv`. Out: rows with targets and predictions, evenly chosen of many.
//! Absent on purpose: how they were predicted.

use std::path::Path;

use ::csv::{Reader, StringRecord};
use serde_json::Value;

use super::run_files::{RunFiles, same_figure};
use crate::cli::open_run::OUT_OF_FOLD;
use crate::data::{Schema, TargetKind, Targets};
use crate::error::{Error, Result};
use crate::report::{count, pluralize};
use crate::train::metrics::ScoredRows;
use crate::train::{Metric, Predictions, TrainedModel};

/// Rows that pictures show at most.
const MOST: usize = 20_000;

/// Rows of a cross-validation, each predicted by the network that was not trained on it, and which rows they are.
pub(super) struct FoldRows {
    pub(super) rows: ScoredRows,
    pub(super) told: String,
}

/// Reads the predictions of a cross-validation; `None` for other runs.
///
/// # Errors
/// If the file cannot be read, or its rows do not give the figures of the run.
pub(super) fn fold_rows(
    run: &Path,
    trained: &TrainedModel,
    files: &RunFiles,
) -> Result<Option<FoldRows>> {
    let path = run.join(OUT_OF_FOLD);
    let Some(all) = files.outcome.as_ref().and_then(rows_of).filter(|_| path.exists()) else {
        return Ok(None);
    };
    let table = FoldTable::read(&path, &trained.preparation.schema, trained.columns().len(), all)?;
    let rows = ScoredRows::of_predictions(
        table.predictions,
        (&table.targets, table.weights.as_deref()),
        &trained.preparation,
        &trained.criterion.loss,
    );
    let several = files.outcome.as_ref().and_then(|it| it.get("repeats")).is_some();
    if table.rows == all && !several {
        check_same(&path, &rows, files)?;
    }
    let mut told = match table.rows == all {
        true => pluralize(all as u64, "row"),
        false => format!(
            "{} of {}, evenly chosen",
            count(table.rows as u64),
            pluralize(all as u64, "row")
        ),
    };
    told += ", each predicted by the network that was not trained on it";
    if several {
        told += ", of the first drawing of folds";
    }
    Ok(Some(FoldRows { rows, told }))
}

/// Returns the number of rows of a drawing of folds.
fn rows_of(outcome: &Value) -> Option<usize> {
    let folds = usize::try_from(outcome.get("folds")?.as_u64()?).ok()?;
    let each = outcome.get("each")?.as_array()?;
    let rows = each.iter().take(folds).map(|it| it.get("rows")?.as_u64());
    usize::try_from(rows.sum::<Option<u64>>()?).ok()
}

/// Checks that the predictions give a figure that the run has.
fn check_same(path: &Path, rows: &ScoredRows, files: &RunFiles) -> Result<()> {
    for (metric, name) in [(Metric::Accuracy, "valid_accuracy"), (Metric::Mae, "valid_mae")] {
        let want = files.outcome.as_ref().and_then(|it| it.get(name)).and_then(Value::as_f64);
        let (Some(want), Some(got)) = (want, rows.figure(metric)) else { continue };
        if !same_figure(got, want) {
            let problem = format!(
                "the {metric} of these predictions is {got}, and that of the run was {want}: the file was changed; give a TABLE"
            );
            return Err(Error::table(path.display().to_string(), problem));
        }
    }
    Ok(())
}

/// Targets and predictions of rows, as the file has them.
struct FoldTable {
    targets: Targets,
    weights: Option<Vec<f64>>,
    predictions: Predictions,
    rows: usize,
}

impl FoldTable {
    /// Reads at most [`MOST`] of `all` rows; `columns` are the predicted numbers of a row.
    fn read(path: &Path, schema: &Schema, columns: usize, all: usize) -> Result<Self> {
        let damaged = |problem: String| Error::table(path.display().to_string(), problem);
        let mut reader = Reader::from_path(path).map_err(|error| damaged(error.to_string()))?;
        let header = reader.headers().map_err(|error| damaged(error.to_string()))?.clone();
        let first = if header.get(1) == Some("repeat") { 3 } else { 2 };
        let cells =
            CellReader { schema, path, columns, first, weight: has_weights(schema, &header) };
        let step = all.div_ceil(MOST).max(1);
        let (mut truth, mut weights, mut best, mut values) = (vec![], vec![], vec![], vec![]);
        let mut rows = 0;
        for (place, record) in reader.records().enumerate().take(all) {
            let record = record.map_err(|error| damaged(error.to_string()))?;
            if place % step != 0 {
                continue;
            }
            rows += 1;
            cells.targets(&record, &mut truth)?;
            if cells.weight {
                weights.push(cells.number(&record, first + schema.targets().len())?);
            }
            cells.predictions(&record, (&mut best, &mut values))?;
        }
        let targets = schema.targets().len();
        let (targets, predictions) = match &schema.kind {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "numbers of classes"
            )]
            TargetKind::Classes(_) => (
                Targets::Classes(truth.iter().map(|&class| class as u32).collect()),
                Predictions::Classes { best, probabilities: values },
            ),
            TargetKind::Labels(_) => {
                (Targets::Columns(truth, targets), Predictions::Labels(values))
            }
            TargetKind::Number => (Targets::Numbers(truth), Predictions::Numbers(values)),
            TargetKind::Numbers(_) => {
                (Targets::Columns(truth, targets), Predictions::Numbers(values))
            }
        };
        Ok(Self { targets, weights: cells.weight.then_some(weights), predictions, rows })
    }
}

/// True if a column of weights follows the targets.
fn has_weights(schema: &Schema, header: &StringRecord) -> bool {
    schema.weight.as_ref().is_some_and(|weight| header.iter().any(|name| name == weight))
}

/// Reads the cells of a row: its place, the targets, the weight if rows have one, and the predictions.
struct CellReader<'a> {
    schema: &'a Schema,
    path: &'a Path,
    /// Predicted numbers of a row.
    columns: usize,
    /// Place of the first target.
    first: usize,
    weight: bool,
}

impl CellReader<'_> {
    fn number(&self, record: &StringRecord, place: usize) -> Result<f64> {
        let cell = record.get(place).unwrap_or_default();
        cell.parse().map_err(|_| self.odd(record, cell))
    }

    fn odd(&self, record: &StringRecord, cell: &str) -> Error {
        let line = record.position().map_or(0, ::csv::Position::line);
        let problem =
            format!("\"{cell}\" was not written there: the file was changed; give a TABLE");
        Error::table(self.path.display().to_string(), problem).at_line(line)
    }

    fn class(&self, record: &StringRecord, place: usize, names: &[String]) -> Result<usize> {
        let cell = record.get(place).unwrap_or_default();
        names.iter().position(|name| name == cell).ok_or_else(|| self.odd(record, cell))
    }

    /// Reads the actual values: the number of a class, 0 or 1 for a label.
    fn targets(&self, record: &StringRecord, to: &mut Vec<f64>) -> Result<()> {
        match &self.schema.kind {
            TargetKind::Classes(names) => to.push(self.class(record, self.first, names)? as f64),
            TargetKind::Labels(labels) => {
                for (column, label) in labels.iter().enumerate() {
                    to.push(self.class(record, self.first + column, &label.values)? as f64);
                }
            }
            TargetKind::Number | TargetKind::Numbers(_) => {
                for column in 0..self.schema.targets().len() {
                    to.push(self.number(record, self.first + column)?);
                }
            }
        }
        Ok(())
    }

    fn predictions(
        &self,
        record: &StringRecord,
        (best, values): (&mut Vec<usize>, &mut Vec<f64>),
    ) -> Result<()> {
        let first = self.first + self.schema.targets().len() + usize::from(self.weight);
        // The class or yes and no stand before their numbers.
        let (begin, step) = match &self.schema.kind {
            TargetKind::Classes(names) => {
                best.push(self.class(record, first, names)?);
                (first + 1, 1)
            }
            TargetKind::Labels(_) => (first + 1, 2),
            TargetKind::Number | TargetKind::Numbers(_) => (first, 1),
        };
        for column in 0..self.columns {
            values.push(self.number(record, begin + step * column)?);
        }
        Ok(())
    }
}
