//! Event files for [TensorBoard](https://www.tensorflow.org/tensorboard).
//!
//! In: figures of epochs. Out: in a folder, the folders `train` and `validation` with a file each, so that curves of one name share a
//! picture. A run that goes on begins new files, which say from which epoch on they replace the earlier ones.
//! Absent on purpose: steps within an epoch.

mod proto;
mod records;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use prost::Message as _;

use self::proto::{EventContent, LogEvent, LogSummary, START, SessionLog, SummaryValue, VERSION};
use self::records::record;
use crate::error::{Error, Result};
use crate::train::{EpochStats, Metric};

/// Writes the figures of a run's epochs for TensorBoard.
///
/// ```no_run
/// use wgrad::report::TensorBoard;
/// # let stats: wgrad::train::EpochStats = todo!();
///
/// let mut log = TensorBoard::new("logs/first", 0);
/// log.epoch(&stats)?;
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    /// The first epoch of this part of the run.
    next: u32,
    train: Option<EventFile>,
    valid: Option<EventFile>,
}

impl TensorBoard {
    /// Begins, or goes on after `epochs` epochs: figures of later epochs in earlier files of the folder count no more. Files are made
    /// with the first epoch.
    pub fn new(folder: impl Into<PathBuf>, epochs: u32) -> Self {
        Self { folder: folder.into(), next: epochs + 1, train: None, valid: None }
    }

    /// Says that the run goes back to the end of an epoch: figures of later epochs count no more.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn go_back(&mut self, epochs: u32) -> Result<()> {
        self.next = epochs + 1;
        for file in [&mut self.train, &mut self.valid].into_iter().flatten() {
            file.start(epochs + 1)?;
        }
        Ok(())
    }

    /// Writes the figures of an epoch: training loss, learning rate and rows a second, and all figures of the validation rows that
    /// have a value.
    ///
    /// # Errors
    /// If a file cannot be made or written.
    pub fn epoch(&mut self, stats: &EpochStats) -> Result<()> {
        let of_training = [
            ("loss".to_string(), stats.train_loss),
            ("learning rate".to_string(), stats.lr),
            ("rows per second".to_string(), stats.samples_per_second),
        ];
        let train = opened(&mut self.train, &self.folder.join("train"), self.next)?;
        train.figures(stats.epoch, &of_training)?;
        let Some(valid) = &stats.valid else { return Ok(()) };
        let name = |metric: Metric| match metric {
            Metric::Loss => "loss".to_string(),
            other => other.to_string(),
        };
        let figures: Vec<(String, f64)> =
            valid.entries().into_iter().map(|(metric, value)| (name(metric), value)).collect();
        let valid = opened(&mut self.valid, &self.folder.join("validation"), self.next)?;
        valid.figures(stats.epoch, &figures)
    }
}

/// Returns the file, which is made in the folder if there is none yet.
fn opened<'a>(
    file: &'a mut Option<EventFile>,
    folder: &Path,
    next: u32,
) -> Result<&'a mut EventFile> {
    if file.is_none() {
        *file = Some(EventFile::create(folder, next)?);
    }
    Ok(file.as_mut().expect("it was made"))
}

/// A file of events.
#[derive(Debug)]
struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Makes a file that begins with its version and the epoch that comes next. Its name sorts behind those of earlier files.
    fn create(folder: &Path, next: u32) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| Error::file("create", folder, source))?;
        let now = since_1970();
        let name = format!(
            "events.out.tfevents.{:010}.{:09}.{}.wgrad",
            now.as_secs(),
            now.subsec_nanos(),
            std::process::id()
        );
        let path = folder.join(name);
        let file = File::options().append(true).create(true).open(&path);
        let file = file.map_err(|source| Error::file("create", &path, source))?;
        let mut file = Self { path, file };
        file.write(0, EventContent::FileVersion(VERSION.to_string()))?;
        file.start(next)?;
        Ok(file)
    }

    /// Says that the figures of an epoch and of later ones follow, whatever was written before.
    fn start(&mut self, epoch: u32) -> Result<()> {
        self.write(epoch, EventContent::SessionLog(SessionLog { status: START }))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the format has single precision")]
    fn figures(&mut self, epoch: u32, figures: &[(String, f64)]) -> Result<()> {
        let value = |(tag, value): &(String, f64)| SummaryValue {
            tag: tag.clone(),
            simple_value: Some(*value as f32),
        };
        let finite = figures.iter().filter(|it| it.1.is_finite());
        let summary = LogSummary { value: finite.map(value).collect() };
        self.write(epoch, EventContent::Summary(summary))
    }

    fn write(&mut self, epoch: u32, content: EventContent) -> Result<()> {
        let event = LogEvent {
            wall_time: since_1970().as_secs_f64(),
            step: epoch.into(),
            content: Some(content),
        };
        // One write for each record, so that a reader never sees half of one.
        let written = self.file.write_all(&record(&event.encode_to_vec()));
        written.map_err(|source| Error::file("write", &self.path, source))
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
