//! A table that the page has given, and the network that was trained last.

use serde::Serialize;
use wgrad::data::{ColumnReport, LabelledRows, TableInMemory, inspect};
use wgrad::export::ensemble_from_bytes;
use wgrad::report::{HistoryTable, target_texts};
use wgrad::train::{Ensemble, EpochStats};
use wgrad::{Error, Result};

use crate::training::Unfinished;

/// The page's table and network.
#[derive(Default)]
pub(crate) struct Session {
    table: Option<(String, TableInMemory)>,
    pub(crate) trained: Option<TrainedRun>,
    /// The run that made the network, if it can go on.
    pub(crate) unfinished: Option<Unfinished>,
}

/// A network with what its report tells.
pub(crate) struct TrainedRun {
    pub(crate) ensemble: Ensemble,
    /// Name of the table.
    pub(crate) table: String,
    /// Rows for pictures of predictions, and which they are.
    pub(crate) valid: Option<(LabelledRows, String)>,
    /// Training rows for summaries of columns, and which they are.
    pub(crate) train: Option<(LabelledRows, String)>,
    pub(crate) history: HistoryTable,
    /// Figures of the epochs, for `history.csv`.
    pub(crate) epochs: Vec<EpochStats>,
    /// Content of `metrics.json`.
    pub(crate) outcome: Option<serde_json::Value>,
    pub(crate) settings: Option<String>,
    pub(crate) warnings: Vec<String>,
}

/// The columns of a table.
#[derive(Serialize)]
pub(crate) struct Columns {
    table: String,
    columns: Vec<ColumnReport>,
}

/// Target and columns of a network that was opened.
#[derive(Serialize)]
pub(crate) struct ModelAnswer {
    target: String,
    /// Columns that it needs.
    columns: Vec<String>,
    networks: usize,
    told: Vec<String>,
}

impl Session {
    /// Takes the bytes of a table, in place of an earlier one.
    pub(crate) fn take_table(&mut self, name: &str, bytes: Vec<u8>) -> Result<()> {
        // Dropped first, since the new one may have its name.
        self.table = None;
        self.table = Some((name.to_string(), TableInMemory::new(name, bytes)?));
        Ok(())
    }

    /// Returns the table and its name.
    pub(crate) fn table(&self) -> Result<(&str, &TableInMemory)> {
        let none = || Error::setting("table", "there is none yet; choose a file");
        self.table.as_ref().map(|(name, table)| (name.as_str(), table)).ok_or_else(none)
    }

    /// Returns the trained network.
    pub(crate) fn trained(&self) -> Result<&TrainedRun> {
        let none = || Error::setting("network", "none is trained yet; train one first");
        self.trained.as_ref().ok_or_else(none)
    }

    /// Describes the columns of the table.
    pub(crate) fn columns(&self) -> Result<Columns> {
        let (name, table) = self.table()?;
        Ok(Columns { table: name.to_string(), columns: inspect(table)? })
    }

    /// Takes a network that was trained elsewhere.
    pub(crate) fn take_model(&mut self, name: &str, bytes: &[u8]) -> Result<ModelAnswer> {
        let ensemble = ensemble_from_bytes(bytes)?;
        let schema = &ensemble.first().preparation.schema;
        let answer = ModelAnswer {
            target: schema.targets().join(", "),
            columns: schema.read_columns().into_iter().map(str::to_string).collect(),
            networks: ensemble.members().len(),
            told: target_texts(&ensemble.first().preparation).into_iter().map(|it| it.1).collect(),
        };
        self.unfinished = None;
        self.trained = Some(TrainedRun {
            ensemble,
            table: name.to_string(),
            valid: None,
            train: None,
            history: HistoryTable::default(),
            epochs: Vec::new(),
            outcome: None,
            settings: None,
            warnings: Vec::new(),
        });
        Ok(answer)
    }
}
