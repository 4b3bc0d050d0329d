//! Rows of a table that stand for all of it.
//!
//! In: a table that has the target, or a run's validation rows. Out: some of its rows, and which they are.
//! Absent on purpose: what is made of them.

use std::path::Path;

use super::ROWS;
use super::input::{TableInput, at_row};
use super::odd_rows::OddRows;
use super::predict::check_finite;
use super::row_sample::RowSampler;
use super::training_rows::{file_checksum, training_rows};
use crate::cli::open_run::VALIDATION;
use crate::data::{DecimalMark, LabelledRows, TableFormat};
use crate::error::{Error, Result};
use crate::report::{Console, pluralize};
use crate::train::Predictor;

/// Rows with targets, and which they are.
#[derive(Debug)]
pub(in crate::cli) struct SomeRows {
    pub(in crate::cli) rows: LabelledRows,
    pub(in crate::cli) told: String,
    /// Warning of rows that the run was trained on, if they were looked for.
    #[cfg_attr(not(feature = "pictures"), expect(dead_code, reason = "only reports tell it"))]
    pub(in crate::cli) seen: Option<String>,
}

/// Reads a run's file of validation rows as [`some_rows`] reads a table. `advice` says what to do without it.
///
/// # Errors
/// As [`some_rows`], and if the file is not as the run wrote it.
pub(in crate::cli) fn validation_rows(
    run: &Path,
    predictor: &Predictor,
    advice: &str,
    console: &mut Console,
) -> Result<Option<SomeRows>> {
    let path = &run.join(VALIDATION);
    let written = training_rows(run).and_then(|digest| digest.validation);
    if let Some(written) = written
        && file_checksum(path)? != written.checksum
    {
        let problem = format!(
            "this file was changed after the run had written {} into it, so that its rows may be others; {advice}",
            pluralize(written.rows, "validation row")
        );
        return Err(Error::table(path.display().to_string(), problem));
    }
    // The file is written in one form, whatever the training table's is.
    let format = TableFormat {
        delimiter: Some(','),
        decimal: Some(DecimalMark::Point),
        header: Some(true),
        ..TableFormat::default()
    };
    some_rows(TableInput::of(path), &format, predictor, (console, "validation row"))
}

/// Reads rows of a table, of a large one some evenly chosen ones; `what` names a row. `None` if no row counts.
///
/// # Errors
/// If the table cannot be read, or a row cannot be predicted.
pub(in crate::cli) fn some_rows(
    input: TableInput<'_>,
    format: &TableFormat,
    predictor: &Predictor,
    (console, what): (&mut Console, &str),
) -> Result<Option<SomeRows>> {
    let trained = predictor.trained();
    let (name, mut odd) = (input.name(), OddRows::default());
    let mut reader = input.parts(&trained.preparation.schema, format)?;
    let mut sampler = RowSampler::default();
    while let Some(mut part) = reader.next_part(ROWS)? {
        let cells = (part.odd.as_slice(), part.lines.as_slice());
        let skipped = odd.mend(trained, &mut part.x, cells, &name)?;
        if !skipped.is_empty() {
            part = part.without(&skipped);
        }
        trained.check_rows((&part.x).into(), |row, problem| {
            at_row(&name, &part.lines, row, problem)
        })?;
        sampler.take(&part);
    }
    odd.tell(trained, "they are left out", console);
    let Some((rows, told)) = sampler.finish(what) else { return Ok(None) };
    let predictions = predictor.predict(&rows.x)?;
    check_finite((&rows.x, &rows.lines), &predictions, &trained.preparation, &name)?;
    Ok(Some(SomeRows { rows, told, seen: None }))
}
