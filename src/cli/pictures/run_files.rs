//! Files of a run, read back for pictures and reports.

use std::path::Path;

use serde_json::Value;

use crate::cli::open_run::{CONFIG, HISTORY, VALIDATION, figures_of, text_of};
use crate::cli::tables::{SomeRows, TableInput, some_rows, told_training_rows, validation_rows};
use crate::data::TableFormat;
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::report::{
    Console, HistoryTable, NetworkFigures, NetworkHistory, history_pictures,
    network_history_pictures,
};
use crate::train::{Metric, Predictor};

/// Relative difference of losses that other instructions and devices make.
const ROUNDING: f64 = 1e-3;

/// A run's files besides its model.
#[derive(Debug, Default)]
pub(super) struct RunFiles {
    /// Figures by epoch of a run of one network.
    pub(super) history: Option<HistoryTable>,
    /// Histories of the networks of a run of several.
    pub(super) histories: Vec<NetworkHistory>,
    /// Figures of these networks.
    pub(super) networks: Vec<NetworkFigures>,
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
        let mut files = Self {
            outcome: figures_of(run)?.map(Value::Object),
            settings: text_of(run, CONFIG)?,
            ..Self::default()
        };
        let Some(path) = Some(run.join(HISTORY)).filter(|path| run.is_dir() && path.exists())
        else {
            return Ok(files);
        };
        match HistoryTable::read_networks(&path)? {
            None => files.history = Some(HistoryTable::read(&path)?),
            Some((word, histories)) => files.read_networks(run, &word, histories)?,
        }
        Ok(files)
    }

    /// Reads the figures of the networks of a run of several, whose folders are `members/3` for the word `member`.
    fn read_networks(
        &mut self,
        run: &Path,
        word: &str,
        histories: Vec<HistoryTable>,
    ) -> Result<()> {
        for (number, history) in histories.into_iter().enumerate() {
            let folder = run.join(format!("{word}s")).join(number.to_string());
            let (figures, name) =
                (figures_of(&folder)?.unwrap_or_default(), format!("{word} {number}"));
            let kept = figures.get("epoch").and_then(Value::as_u64);
            let kept = kept.and_then(|epoch| u32::try_from(epoch).ok());
            self.histories.push(NetworkHistory { name: name.clone(), history, kept });
            self.networks.push(NetworkFigures { name, figures });
        }
        Ok(())
    }

    /// Draws losses, metrics and learning rate by epoch.
    pub(super) fn history_pictures(&self) -> Vec<Picture> {
        match &self.history {
            Some(history) => history_pictures(history, self.kept()),
            None if self.histories.is_empty() => Vec::new(),
            None => network_history_pictures(&self.histories),
        }
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

/// Reads the table given, or else the run's validation rows; `None` if a run has none of these. Warns of rows of a table that the run
/// was trained on.
///
/// # Errors
/// If a table cannot be read or predicted, or the validation rows are not those that the run's figures are of.
pub(super) fn rows_for(
    (run, table): (&Path, Option<&Path>),
    format: &TableFormat,
    predictor: &Predictor,
    (files, console): (&RunFiles, &mut Console),
) -> Result<Option<SomeRows>> {
    if let Some(table) = table {
        let rows = some_rows(TableInput::of(table), format, predictor, (console, "row"))?;
        return Ok(rows.map(|rows| {
            let seen = told_training_rows(run, &rows.rows);
            seen.iter().for_each(|text| console.warn(text));
            let told = format!("{} of {}", rows.told, TableInput::of(table).name());
            SomeRows { told, seen, ..rows }
        }));
    }
    let path = run.join(VALIDATION);
    if !run.is_dir() || !path.exists() {
        return Ok(None);
    }
    let rows = validation_rows(run, predictor, "give a TABLE", console)?;
    if let Some(rows) = &rows {
        check_same(&path, rows, predictor, files)?;
    }
    Ok(rows)
}

/// Returns true if a figure is that of the run but for rounding. One that is no number is not.
pub(super) fn same_figure(got: f64, want: f64) -> bool {
    (got - want).abs() <= ROUNDING * want.abs().max(1e-6)
}

/// Checks that the validation rows give the loss that the run had on them.
fn check_same(path: &Path, rows: &SomeRows, predictor: &Predictor, files: &RunFiles) -> Result<()> {
    let outcome = files.outcome.as_ref();
    let figure = |name: &str| outcome.and_then(|it| it.get(name)).and_then(Value::as_f64);
    let (Some(want), false) = (figure("valid_loss"), rows.told.contains(" of ")) else {
        return Ok(());
    };
    let mut evaluator = crate::train::StreamingEvaluator::new(predictor.trained());
    predictor.evaluate_chunk(&rows.rows, &mut evaluator)?;
    let got = evaluator.finish()?.metrics.value(Metric::Loss).unwrap_or(f64::NAN);
    if same_figure(got, want) {
        return Ok(());
    }
    let problem = format!(
        "the loss on these rows is {got}, and that of the run's validation rows was {want}: the file or the model was changed; give a \
         TABLE"
    );
    Err(Error::table(path.display().to_string(), problem))
}
