//! Pictures and reports of runs: `wgrad plot`, `wgrad report`, and the report at the end of a training.
//!
//! In: a run folder, rows with targets. Out: SVG files, an HTML page.
//! Absent on purpose: how pictures and pages are made.

mod plot;
mod report;
mod run_files;

pub(super) use plot::plot;
pub(super) use report::{TrainingRows, evaluate, report, training_report};

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};

/// Products of numbers that a report at the end of a training may take to explain columns: some tenths of a second. A program
/// without optimisation takes fifty times as long for each.
pub(super) const TRAINING_WORK: u64 =
    if cfg!(debug_assertions) { 20_000_000 } else { 1_000_000_000 };
/// The same for a command that was asked for pictures.
pub(super) const ASKED_WORK: u64 = 100 * TRAINING_WORK;

/// Checks that a file of the user's would not be lost: only files that this program wrote before are replaced.
fn check_replaceable(path: &Path, mark: &str, option: &str) -> Result<()> {
    let mut start = Vec::new();
    let Ok(file) = File::open(path) else { return Ok(()) };
    // A file that cannot be read is not known to be ours.
    let _ = file.take(600).read_to_end(&mut start);
    if start.is_empty() || String::from_utf8_lossy(&start).contains(mark) {
        return Ok(());
    }
    let problem = format!(
        "{} is there and not of wgrad's making; choose another place, or remove it",
        path.display()
    );
    Err(Error::setting(option, problem))
}
