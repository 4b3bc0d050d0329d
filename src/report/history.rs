//! `history.csv`: a line for each epoch, written as the epoch ends.
//!
//! In: figures of epochs. Out: lines that a spreadsheet reads, each on disk before the next epoch begins.
//! Absent on purpose: the renaming of whole files; a written line stays.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{is_at, write_file};
use crate::train::{EpochStats, Metric, Metrics};

/// Beginning of the header.
const FIRST: &str = "epoch,steps,lr,train_loss,";

/// A growing `history.csv`.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    file: File,
    /// Names of the metrics; known from the first epoch on.
    metrics: Option<Vec<Metric>>,
    /// True if there is a header.
    begun: bool,
}

impl History {
    /// Begins an empty history; an earlier file of this name is replaced.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|source| Error::file("create", &path, source))?;
        Ok(Self { path, file, metrics: None, begun: false })
    }

    /// Continues a history: lines of epochs after `epochs` are removed, and later lines are appended. Returns besides the
    /// problem of the file, if lines of these epochs are damaged or missing; damaged ones are left out.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn resume(path: impl AsRef<Path>, epochs: u32) -> Result<(Self, Option<String>)> {
        let path = path.as_ref().to_path_buf();
        let CutFile { file, begun, lacking } = cut(&path, epochs)?;
        let problem = lacking.map(|lacking| {
            format!("{}: {lacking}; the run goes on, and its other lines stay", path.display())
        });
        Ok((Self { path, file, metrics: None, begun }, problem))
    }

    /// Removes the lines of epochs after this one.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn cut(&mut self, epochs: u32) -> Result<()> {
        let CutFile { file, begun, .. } = cut(&self.path, epochs)?;
        (self.file, self.begun) = (file, begun);
        Ok(())
    }

    /// True if the file is at this place: neither moved nor removed.
    pub fn is_at(&self, path: impl AsRef<Path>) -> bool {
        is_at(&self.file, path.as_ref())
    }

    /// Writes all lines so far to a new file, and continues there.
    ///
    /// # Errors
    /// If the old file, wherever it is, cannot be read, or the new one cannot be written.
    pub fn write_again(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref().to_path_buf();
        let refuse = |source| Error::file("write", &path, source);
        let mut text = Vec::new();
        let mut old = self.file().map_err(|_| refuse(ErrorKind::NotFound.into()))?;
        old.seek(SeekFrom::Start(0)).and_then(|_| old.read_to_end(&mut text)).map_err(refuse)?;
        write_file(&path, &text)?;
        (self.file, self.path) = (opened(&path)?, path);
        Ok(())
    }

    /// Returns the file, for callers that have to bring it to disk.
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
        // The first epoch decides the columns, which later lines must match.
        let metrics = self.metrics.get_or_insert_with(|| names(stats));
        if !std::mem::replace(&mut self.begun, true) {
            let valid: String = metrics.iter().map(|name| format!("valid_{name},")).collect();
            text = format!("{FIRST}{valid}seconds,samples_per_second\n");
        }
        text += &format!("{},{},{},{},", stats.epoch, stats.steps, stats.lr, stats.train_loss);
        for metric in metrics.iter() {
            // A figure that is not defined, such as r2 of equal targets, is an empty cell.
            let value = stats.valid.as_ref().and_then(|valid| valid.value(*metric));
            text += &value.map_or(",".to_string(), |value| format!("{value},"));
        }
        text += &format!("{:.6},{:.1}\n", stats.seconds, stats.samples_per_second);
        // One write for each line, so that a reader never sees half of one.
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush());
        written.map_err(|source| Error::file("write", &self.path, source))
    }
}

/// A history whose later lines are removed.
struct CutFile {
    /// The file, to be appended to.
    file: File,
    /// True if it has a header.
    begun: bool,
    /// Which lines are missing, if any.
    lacking: Option<String>,
}

/// Removes lines of epochs after this one, and damaged ones.
fn cut(path: &Path, epochs: u32) -> Result<CutFile> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::file("read", path, source)),
    };
    // Damaged bytes must not prevent the other lines from being read.
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.split_inclusive('\n');
    let header = lines.next().unwrap_or_default();
    let sound = header.starts_with(FIRST) && header.ends_with(",samples_per_second\n");
    let columns = header.split(',').count();
    // Without a header the meaning of the lines is unknown.
    let mut kept = if sound && epochs > 0 { header.to_string() } else { String::new() };
    let mut missing = Vec::new();
    let mut next = 1;
    for line in lines.filter(|_| sound) {
        let mut cells = line.trim_end().split(',');
        let epoch = cells.next().and_then(|cell| cell.parse::<u32>().ok());
        let numbers = cells.all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok());
        let whole = line.ends_with('\n') && line.split(',').count() == columns && numbers;
        if let Some(epoch) = epoch.filter(|epoch| whole && (next..=epochs).contains(epoch)) {
            missing.extend(next..epoch);
            kept += line;
            next = epoch + 1;
        }
    }
    missing.extend(next..=epochs);
    // A few numbers are enough: after a long damage the list would be long.
    let lacking = (!missing.is_empty()).then(|| {
        let (few, more) = missing.split_at(missing.len().min(10));
        let few: Vec<String> = few.iter().map(u32::to_string).collect();
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let which = if missing.len() == 1 { "epoch" } else { "epochs" };
        format!("damaged or lost, so that it says nothing of {which} {}{more}", few.join(", "))
    });
    write_file(path, kept.as_bytes())?;
    Ok(CutFile { file: opened(path)?, begun: !kept.is_empty(), lacking })
}

/// Opens a history to append to it.
fn opened(path: &Path) -> Result<File> {
    let file = File::options().read(true).append(true).open(path);
    file.map_err(|source| Error::file("write", path, source))
}

/// Returns the metrics of a run, by one of its epochs.
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

    fn stats(epoch: u32) -> EpochStats {
        EpochStats {
            epoch,
            steps: 4,
            train_loss: 0.5,
            valid: None,
            lr: 0.001,
            seconds: 0.25,
            samples_per_second: 400.0,
        }
    }

    #[test]
    fn a_history_goes_on_after_an_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let mut history = History::create(&path).unwrap();
        (1..=3).for_each(|epoch| history.append(&stats(epoch)).unwrap());
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}4,16,0.00")).unwrap();
        for from in [2, 0, 3] {
            let (mut history, problem) = History::resume(&path, from).unwrap();
            assert_eq!(problem, None);
            (from + 1..=3).for_each(|epoch| history.append(&stats(epoch)).unwrap());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole, "after epoch {from}");
        }
        std::fs::remove_file(&path).unwrap();
        History::resume(&path, 0).unwrap().0.append(&stats(1)).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("epoch,"));

        // Garbage, a line that was cut, one that is not text.
        for (line, damage) in [(2, &b"2,8,0.0"[..]), (1, b"x\n"), (3, b"\xff\xfe,,,\n"), (2, b"")] {
            let mut lines: Vec<&[u8]> =
                whole.as_bytes().split_inclusive(|&byte| byte == b'\n').collect();
            lines[line] = damage;
            std::fs::write(&path, lines.concat()).unwrap();
            let (mut history, problem) = History::resume(&path, 3).unwrap();
            let problem = problem.unwrap();
            assert!(problem.contains("damaged or lost"), "{problem}");
            history.append(&EpochStats { epoch: 4, ..stats(4) }).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let mended: Vec<&str> = text.lines().collect();
            assert_eq!(
                (mended[0], mended.last().unwrap().split_once(',').unwrap().0),
                (whole.lines().next().unwrap(), "4")
            );
            assert!(
                mended[1..].iter().all(|line| whole.contains(line) || line.starts_with("4,")),
                "{text}"
            );
        }
        std::fs::write(&path, whole.replacen("epoch", "epxch", 1)).unwrap();
        let (mut history, problem) = History::resume(&path, 3).unwrap();
        assert!(problem.unwrap().ends_with(
            "says nothing of epochs 1, 2, 3; the run goes on, and its other lines stay"
        ));
        history.append(&stats(4)).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("epoch,steps"));
    }

    #[test]
    fn a_history_that_was_taken_away_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("history.csv"), folder.path().join("again.csv"));
        let mut history = History::create(&path).unwrap();
        history.append(&stats(1)).unwrap();
        assert!(history.is_at(&path) && !history.is_at(&other));
        std::fs::remove_file(&path).unwrap();
        assert!(!history.is_at(&path));
        history.append(&stats(2)).unwrap();
        history.write_again(&other).unwrap();
        history.append(&stats(3)).unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap().lines().count(), 4);
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
