//! A history that was written before, read back.

use std::path::Path;

use crate::error::{Error, Result};

/// The lines of a `history.csv`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryTable {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// A list for each epoch; a figure that was not defined is `None`.
    pub epochs: Vec<Vec<Option<f64>>>,
}

impl HistoryTable {
    /// Reads a `history.csv`. Lines that are not whole, as of a run that is writing, are passed over.
    ///
    /// # Errors
    /// If the file cannot be read, or has no header.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::file("read", path, source))?;
        let mut lines = text.lines();
        let header = lines.next().filter(|line| line.starts_with("epoch,"));
        let Some(header) = header else {
            return Err(Error::table(
                path.display().to_string(),
                "no history of a run: its header is missing",
            ));
        };
        let columns: Vec<String> = header.split(',').map(str::to_string).collect();
        let cells = |line: &str| -> Vec<Option<f64>> {
            line.split(',').map(|cell| cell.parse().ok()).collect()
        };
        let epochs = lines.map(cells).filter(|line| line.len() == columns.len()).collect();
        Ok(Self { columns, epochs })
    }

    /// Points (epoch, figure) of a column; a figure that was not defined is NaN. `None` if there is no such column.
    pub fn points(&self, column: &str) -> Option<Vec<(f64, f64)>> {
        let place = self.columns.iter().position(|name| name == column)?;
        let number = |cell: Option<f64>| cell.unwrap_or(f64::NAN);
        Some(self.epochs.iter().map(|line| (number(line[0]), number(line[place]))).collect())
    }

    /// Names of the metrics of the validation rows other than the loss.
    pub fn metrics(&self) -> Vec<&str> {
        let names = self.columns.iter().filter_map(|name| name.strip_prefix("valid_"));
        names.filter(|name| *name != "loss").collect()
    }
}
