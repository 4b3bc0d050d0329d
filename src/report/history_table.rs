//! A history that was written before, read back.

use std::path::Path;

use crate::error::{Error, Result};

/// Networks without lines between two with lines; more are a damaged file.
const MOST_MISSING: usize = 1000;

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
        let (path, text) = (path.as_ref(), text_of(path.as_ref())?);
        if !text.starts_with("epoch,") {
            return Err(no_history(path));
        }
        let mut lines = text.lines();
        let columns = columns_of(lines.next().unwrap_or_default());
        let epochs = lines.map(cells).filter(|line| line.len() == columns.len()).collect();
        Ok(Self { columns, epochs })
    }

    /// Reads the `history.csv` of a run of several networks, whose first column is the number of the network. Returns the word for
    /// a network, such as `member`, and the history of each network by its number; `None` if the file is of one network.
    ///
    /// # Errors
    /// If the file cannot be read, or has no header.
    pub fn read_networks(path: impl AsRef<Path>) -> Result<Option<(String, Vec<Self>)>> {
        let (path, text) = (path.as_ref(), text_of(path.as_ref())?);
        if text.starts_with("epoch,") {
            return Ok(None);
        }
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let (word, columns) = header.split_once(',').ok_or_else(|| no_history(path))?;
        if !columns.starts_with("epoch,") {
            return Err(no_history(path));
        }
        let columns = columns_of(columns);
        let mut networks: Vec<Self> = Vec::new();
        for line in lines {
            let Some((number, line)) = line.split_once(',') else { continue };
            let (Ok(number), line) = (number.parse::<usize>(), cells(line)) else { continue };
            // Networks come in their order; one that is missing has no lines.
            if line.len() != columns.len() || number > networks.len() + MOST_MISSING {
                continue;
            }
            while networks.len() <= number {
                networks.push(Self { columns: columns.clone(), epochs: Vec::new() });
            }
            networks[number].epochs.push(line);
        }
        Ok(Some((word.to_string(), networks)))
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

fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| Error::file("read", path, source))
}

fn no_history(path: &Path) -> Error {
    Error::table(path.display().to_string(), "no history of a run: its header is missing")
}

fn columns_of(header: &str) -> Vec<String> {
    header.split(',').map(str::to_string).collect()
}

fn cells(line: &str) -> Vec<Option<f64>> {
    line.split(',').map(|cell| cell.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_several_networks_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let text =
            "fold,epoch,steps,lr,train_loss\n0,1,4,0.1,0.5\n0,2,8,0.1,0.4\n2,1,4,0.1,\n2,2,8,0.1\n";
        std::fs::write(&path, text).unwrap();
        let (word, networks) = HistoryTable::read_networks(&path).unwrap().unwrap();
        assert_eq!((word.as_str(), networks.len()), ("fold", 3));
        assert_eq!(networks[0].points("train_loss").unwrap(), [(1.0, 0.5), (2.0, 0.4)]);
        assert!(networks[1].epochs.is_empty());
        assert!(networks[2].points("train_loss").unwrap()[0].1.is_nan());
        assert!(HistoryTable::read(&path).is_err());
        std::fs::write(&path, "epoch,steps\n1,4\n").unwrap();
        assert_eq!(HistoryTable::read_networks(&path).unwrap(), None);
        assert_eq!(HistoryTable::read(&path).unwrap().epochs.len(), 1);
        std::fs::write(&path, "a,b\n").unwrap();
        assert!(HistoryTable::read_networks(&path).is_err());
    }
}
