//! `history.csv`: a line per epoch, written as the epoch ends.
//!
//! In: figures of epochs. Out: lines that a spreadsheet reads, each on disk before the next epoch begins.
//! Absent on purpose: the renaming of whole files; a line that is there stays there.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::export::write_file;
use crate::train::{EpochStats, Metric, Metrics};

/// A growing `history.csv`.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    file: File,
    /// Names of the metrics; known with the first epoch.
    metrics: Option<Vec<Metric>>,
    /// Whether there is a header.
    begun: bool,
}

impl History {
    /// Begins an empty history; an earlier file of this name is replaced.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = File::create(&path).map_err(|source| Error::file("create", &path, source))?;
        Ok(Self { path, file, metrics: None, begun: false })
    }

    /// Goes on with a history: what it says of epochs after this one goes, and later lines are appended.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn resume(path: impl AsRef<Path>, epochs: u32) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let (file, begun) = cut(&path, epochs)?;
        Ok(Self { path, file, metrics: None, begun })
    }

    /// Takes away what was said of epochs after this one.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn cut(&mut self, epochs: u32) -> Result<()> {
        (self.file, self.begun) = cut(&self.path, epochs)?;
        Ok(())
    }

    /// The file, for whoever has to know that it is on disk.
    ///
    /// # Errors
    /// If the system has no more handles.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|source| Error::file("write", &self.path, source))
    }

    /// Names the place to which the file was moved.
    pub fn moved_to(&mut self, path: impl AsRef<Path>) {
        self.path = path.as_ref().to_path_buf();
    }

    /// Appends an epoch, and before the first one the header.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, stats: &EpochStats) -> Result<()> {
        let mut text = String::new();
        let metrics = self.metrics.get_or_insert_with(|| names(stats));
        if !std::mem::replace(&mut self.begun, true) {
            let valid: String = metrics.iter().map(|name| format!("valid_{name},")).collect();
            text = format!("epoch,steps,lr,train_loss,{valid}seconds,samples_per_second\n");
        }
        text += &format!("{},{},{},{},", stats.epoch, stats.steps, stats.lr, stats.train_loss);
        for metric in metrics.iter() {
            // A figure that is not defined, such as r2 of equal targets, is an empty cell.
            let value = stats.valid.as_ref().and_then(|valid| valid.value(*metric));
            text += &value.map_or(",".to_string(), |value| format!("{value},"));
        }
        text += &format!("{:.6},{:.1}\n", stats.seconds, stats.samples_per_second);
        // One write a line: a reader never sees half of one.
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush());
        written.map_err(|source| Error::file("write", &self.path, source))
    }
}

/// Takes away lines of epochs after this one. Out: the file, to be appended to, and whether it has a header.
fn cut(path: &Path, epochs: u32) -> Result<(File, bool)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Error::file("read", path, source)),
    };
    let of_epoch = |line: &str| {
        let epoch = line.split(',').next().and_then(|cell| cell.parse().ok());
        epoch.is_some_and(|epoch: u32| epoch <= epochs) && line.ends_with('\n')
    };
    let lines = text.split_inclusive('\n').enumerate();
    let kept: String = lines
        .filter(|(index, line)| epochs > 0 && (*index == 0 || of_epoch(line)))
        .map(|(_, line)| line)
        .collect();
    write_file(path, kept.as_bytes())?;
    let file = File::options().append(true).open(path);
    let file = file.map_err(|source| Error::file("write", path, source))?;
    Ok((file, !kept.is_empty()))
}

/// The metrics of a run like this one.
fn names(stats: &EpochStats) -> Vec<Metric> {
    let valid = stats.valid.iter();
    valid.flat_map(Metrics::all).map(|(metric, _)| metric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(valid: Option<Metrics>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let mut history = History::create(&path).unwrap();
        let stats = EpochStats {
            epoch: 1,
            steps: 4,
            train_loss: 0.5,
            valid,
            lr: 0.001,
            seconds: 0.25,
            samples_per_second: 400.0,
        };
        history.append(&stats).unwrap();
        history.append(&EpochStats { epoch: 2, steps: 8, ..stats }).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_history_goes_on_after_an_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let stats = |epoch| EpochStats {
            epoch,
            steps: 4,
            train_loss: 0.5,
            valid: None,
            lr: 0.001,
            seconds: 0.25,
            samples_per_second: 400.0,
        };
        let mut history = History::create(&path).unwrap();
        (1..=3).for_each(|epoch| history.append(&stats(epoch)).unwrap());
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}4,16,0.00")).unwrap();
        for from in [2, 0, 3] {
            let mut history = History::resume(&path, from).unwrap();
            (from + 1..=3).for_each(|epoch| history.append(&stats(epoch)).unwrap());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole, "after epoch {from}");
        }
        std::fs::remove_file(&path).unwrap();
        History::resume(&path, 0).unwrap().append(&stats(1)).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("epoch,"));
    }

    #[test]
    fn columns_are_those_of_the_task() {
        assert_eq!(
            written(None),
            "epoch,steps,lr,train_loss,seconds,samples_per_second\n1,4,0.001,0.5,0.250000,400.0\n2,8,0.001,0.5,0.250000,400.0\n"
        );
        let classes = Metrics { rows: 2, loss: 0.25, accuracy: Some(0.5), ..Metrics::default() };
        assert!(written(Some(classes)).starts_with(
            "epoch,steps,lr,train_loss,valid_loss,valid_accuracy,seconds,samples_per_second\n1,4,0.001,0.5,0.25,0.5,0.25"
        ));
        let constant =
            Metrics { rows: 2, loss: 0.25, mae: Some(1.0), rmse: Some(2.0), ..Metrics::default() };
        let asked = vec![(Metric::Mape, Some(0.5)), (Metric::ExplainedVariance, None)];
        assert!(written(Some(Metrics { asked, ..constant.clone() })).contains(
            ",valid_rmse,valid_mape,valid_explained_variance,seconds,samples_per_second\n1,4,0.001,0.5,0.25,,1,2,0.5,,0.25"
        ));
        assert!(written(Some(constant)).contains(
            ",valid_r2,valid_mae,valid_rmse,seconds,samples_per_second\n1,4,0.001,0.5,0.25,,1,2,"
        ));
    }
}
