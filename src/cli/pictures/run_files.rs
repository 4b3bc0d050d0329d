//! Files of a run, read back for pictures and reports.

use std::path::Path;

use serde_json::Value;

use crate::cli::open_run::{CONFIG, HISTORY, VALIDATION, figures_of, text_of};
use crate::cli::tables::{OddRows, ROWS, RowSampler, TableInput, at_row, check_finite};
use crate::data::{DecimalMark, LabelledRows, TableFormat};
use crate::error::{Error, Result};
use crate::report::{Console, HistoryTable};
use crate::train::{Metric, Predictor};

/// Relative difference of losses that other instructions and devices make.
const ROUNDING: f64 = 1e-3;

/// A run's files besides its model.
#[derive(Debug, Default)]
pub(super) struct RunFiles {
    pub(super) history: Option<HistoryTable>,
    /// Content of `metrics.json`.
    pub(super) outcome: Option<Value>,
    /// Text of `config.toml`.
    pub(super) settings: Option<String>,
}

impl RunFiles {
    /// Reads what is there; a model file alone has none of them.
    ///
    /// # Errors
    /// If a file is there and cannot be read.
    pub(super) fn read(run: &Path) -> Result<Self> {
        let history = Some(run.join(HISTORY)).filter(|path| run.is_dir() && path.exists());
        Ok(Self {
            history: history.map(HistoryTable::read).transpose()?,
            outcome: figures_of(run)?.map(Value::Object),
            settings: text_of(run, CONFIG)?,
        })
    }

    /// The epoch whose weights are kept.
    pub(super) fn kept(&self) -> Option<u32> {
        let epoch = self.outcome.as_ref()?.get("epoch")?.as_u64()?;
        u32::try_from(epoch).ok()
    }

    /// The training table as the settings name it.
    pub(super) fn table(&self) -> Option<String> {
        let settings: toml::Table = self.settings.as_ref()?.parse().ok()?;
        Some(settings.get("table")?.as_str()?.to_string())
    }
}

/// Rows with targets for pictures, and which they are.
pub(super) struct Rows {
    pub(super) rows: LabelledRows,
    pub(super) told: String,
}

/// Reads the table given, or else the run's validation rows; `None` if a run has none of these.
///
/// # Errors
/// If a table cannot be read or predicted, or the validation rows are not those that the run's figures are of.
pub(super) fn rows_for(
    (run, table): (&Path, Option<&Path>),
    format: &TableFormat,
    predictor: &Predictor,
    (files, console): (&RunFiles, &mut Console),
) -> Result<Option<Rows>> {
    if let Some(table) = table {
        let rows = read(TableInput::of(table), format, predictor, console, "row")?;
        return Ok(rows.map(|rows| Rows {
            told: format!("{} of {}", rows.told, TableInput::of(table).name()),
            ..rows
        }));
    }
    let path = run.join(VALIDATION);
    if !run.is_dir() || !path.exists() {
        return Ok(None);
    }
    // The file is written in one form, whatever the training table's is.
    let format = TableFormat {
        delimiter: Some(','),
        decimal: Some(DecimalMark::Point),
        header: Some(true),
        ..TableFormat::default()
    };
    let rows = read(TableInput::of(&path), &format, predictor, console, "validation row")?;
    if let Some(rows) = &rows {
        check_same(&path, rows, predictor, files)?;
    }
    Ok(rows)
}

fn read(
    input: TableInput<'_>,
    format: &TableFormat,
    predictor: &Predictor,
    console: &mut Console,
    what: &str,
) -> Result<Option<Rows>> {
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
    Ok(Some(Rows { rows, told }))
}

/// Checks that the validation rows give the loss that the run had on them.
fn check_same(path: &Path, rows: &Rows, predictor: &Predictor, files: &RunFiles) -> Result<()> {
    let outcome = files.outcome.as_ref();
    let figure = |name: &str| outcome.and_then(|it| it.get(name)).and_then(Value::as_f64);
    let (Some(want), false) = (figure("valid_loss"), rows.told.contains(" of ")) else {
        return Ok(());
    };
    let mut evaluator = crate::train::StreamingEvaluator::new(predictor.trained());
    predictor.evaluate_chunk(&rows.rows, &mut evaluator)?;
    let got = evaluator.finish()?.metrics.value(Metric::Loss).unwrap_or(f64::NAN);
    if (got - want).abs() <= ROUNDING * want.abs().max(1e-6) {
        return Ok(());
    }
    let problem = format!(
        "the loss on these rows is {got}, and that of the run's validation rows was {want}: the file or the model was changed; give \
         a TABLE"
    );
    Err(Error::table(path.display().to_string(), problem))
}
