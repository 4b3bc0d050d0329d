//! Pictures and reports of runs: `wgrad plot`, `wgrad report`, and the report at the end of a training.
//!
//! In: a run folder, rows with targets. Out: SVG files, an HTML page.
//! Absent on purpose: how pictures and pages are made.

mod fold_rows;
mod plot;
mod report;
mod run_files;
mod sweep_files;

pub(super) use plot::plot;
pub(super) use report::{TrainingRows, evaluate, report, sweep_report, training_report};

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::write_file;
use crate::picture::rates_by_loss;

/// Products of numbers that a report at the end of a training may take to explain columns: some tenths of a second. A program
/// without optimisation takes fifty times as long for each.
pub(super) const TRAINING_WORK: u64 =
    if cfg!(debug_assertions) { 20_000_000 } else { 1_000_000_000 };
/// The same for a command that was asked for pictures.
pub(super) const ASKED_WORK: u64 = 100 * TRAINING_WORK;

/// Sign by which a picture of this program's making is known.
const PICTURE: &str = "class=\"wgrad\"";

/// Checks that `--picture` names an SVG file, and would not replace a file of the user's.
pub(super) fn check_picture(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|form| !form.eq_ignore_ascii_case("svg")) {
        let problem =
            format!("{}, but pictures are SVG files; end the name in .svg", path.display());
        return Err(Error::setting("--picture", problem));
    }
    check_replaceable(path, PICTURE, "--picture")
}

/// Writes the picture of the losses that learning rates came to.
pub(super) fn write_rates(path: &Path, rates: &[(f64, f64)], suggested: Option<f64>) -> Result<()> {
    write_file(path, rates_by_loss(rates, suggested).svg().as_bytes())
}

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
