//! Results of a sweep's trials: `sweep.csv`, their order, and the table of the best.
//!
//! In: the figures that each trial has left. Out: a row a trial, as it ends.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::parts::TrainedPart;
use super::summary::mean_and_std;
use super::sweep_space::{SearchDimension, TrialSettings};
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::shape::number;
use crate::train::Metric;

/// The file of all results.
pub(super) const RESULTS: &str = "sweep.csv";
/// Trials that are shown at the end.
const SHOWN: usize = 10;

/// The metric of the validation rows by which trials are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) metric: Metric,
}

/// Result of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TrialResult {
    pub(super) trial: usize,
    /// The metric on the validation rows, with folds the mean over them; `None` if it has no value.
    pub(super) value: Option<f64>,
    /// Standard deviation over the folds.
    pub(super) std: Option<f64>,
    /// Epoch that is kept, with folds the mean over them.
    pub(super) epoch: Option<f64>,
    /// Epochs that the trial was given.
    pub(super) epochs: u32,
    /// Round of successive halving after which the trial ended, from 0.
    pub(super) round: usize,
    pub(super) seconds: f64,
    /// Why it could not be trained.
    pub(super) problem: Option<String>,
}

impl TrialResult {
    /// Reads what the networks of a finished trial have left.
    pub(super) fn read(
        trial: usize,
        folders: &[PathBuf],
        (epochs, round, judged): (u32, usize, Judged),
    ) -> Result<Self> {
        let parts: Vec<TrainedPart> =
            folders.iter().map(|it| TrainedPart::read(it)).collect::<Result<_>>()?;
        let values = |name: &str| -> Option<Vec<f64>> {
            parts.iter().map(|it| it.metrics.get(name)?.as_f64()).collect()
        };
        let value = values(&format!("valid_{}", judged.metric)).map(|it| mean_and_std(&it));
        Ok(Self {
            trial,
            value: value.map(|it| it.0),
            std: value.and_then(|it| it.1),
            epoch: values("epoch").map(|it| mean_and_std(&it).0),
            epochs,
            round,
            seconds: values("seconds").map_or(0.0, |it| it.iter().sum()),
            problem: None,
        })
    }

    /// Returns the result of a trial that could not be trained.
    pub(super) fn failed(trial: usize, (epochs, round): (u32, usize), problem: &str) -> Self {
        let problem = Some(problem.to_string());
        Self { trial, value: None, std: None, epoch: None, epochs, round, seconds: 0.0, problem }
    }
}

/// Returns the results in their order, the best first: those of later rounds before others, and those without a value last.
pub(super) fn best_first(results: &[TrialResult], judged: Judged) -> Vec<&TrialResult> {
    let mut ranked: Vec<&TrialResult> = results.iter().collect();
    let sign = if judged.metric.higher_is_better() { -1.0 } else { 1.0 };
    let place = |it: &TrialResult| {
        it.value.filter(|it| it.is_finite()).map_or(f64::INFINITY, |it| sign * it)
    };
    ranked.sort_by(|a, b| {
        (a.value.is_none().cmp(&b.value.is_none()))
            .then(b.round.cmp(&a.round))
            .then(place(a).total_cmp(&place(b)))
            .then(a.trial.cmp(&b.trial))
    });
    ranked
}

/// The growing table of results.
pub(super) struct SweepTable {
    path: PathBuf,
    header: String,
    judged: Judged,
    rows: Mutex<(File, HashSet<usize>)>,
}

impl SweepTable {
    /// Begins the table; rows of trials that were finished before follow as they are found again.
    pub(super) fn begin(folder: &Path, space: &[SearchDimension], judged: Judged) -> Result<Self> {
        let path = folder.join(RESULTS);
        let keys: Vec<String> = space.iter().map(|it| cell(&it.key)).collect();
        let header = format!(
            "trial,{},valid_{},std,epoch,epochs,seconds,problem\n",
            keys.join(","),
            judged.metric
        );
        write_file(&path, header.as_bytes())?;
        let file = File::options().append(true).open(&path);
        let file = file.map_err(|source| Error::file("write", &path, source))?;
        Ok(Self { path, header, judged, rows: Mutex::new((file, HashSet::new())) })
    }

    pub(super) fn judged(&self) -> Judged {
        self.judged
    }

    /// Appends the row of a trial that has ended, unless it is there.
    pub(super) fn append(&self, result: &TrialResult, settings: &TrialSettings) -> Result<()> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, written) = &mut *rows;
        if !written.insert(result.trial) {
            return Ok(());
        }
        // One write for each row, so that a reader never sees half of one.
        let written =
            file.write_all(row(result, settings).as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|source| Error::file("write", &self.path, source))
    }

    /// Writes all rows in the order of the trials.
    pub(super) fn finish(
        &self,
        results: &mut [TrialResult],
        settings: &[&TrialSettings],
    ) -> Result<()> {
        results.sort_by_key(|it| it.trial);
        let rows: String = results.iter().map(|it| row(it, settings[it.trial])).collect();
        write_file(&self.path, format!("{}{rows}", self.header).as_bytes())
    }
}

fn row(result: &TrialResult, settings: &TrialSettings) -> String {
    let told = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let settings: Vec<String> = settings.iter().map(|(_, text)| cell(text)).collect();
    format!(
        "{},{},{},{},{},{},{:.3},{}\n",
        result.trial,
        settings.join(","),
        told(result.value),
        told(result.std),
        told(result.epoch),
        result.epochs,
        result.seconds,
        cell(result.problem.as_deref().unwrap_or_default())
    )
}

/// Returns a text as a cell, in quotes if it needs them.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_string()
    }
}

/// Returns the lines of a table of the best trials.
pub(super) fn best_table(
    ranked: &[&TrialResult],
    (settings, space): (&[&TrialSettings], &[SearchDimension]),
    judged: Judged,
) -> Vec<String> {
    let several = ranked.iter().any(|it| it.std.is_some());
    let mut rows = vec![vec!["trial".to_string(), judged.metric.to_string()]];
    rows[0].extend(several.then(|| "std".to_string()));
    rows[0].push("epoch".to_string());
    rows[0].extend(space.iter().map(|it| it.key.clone()));
    for result in ranked.iter().take(SHOWN).filter(|it| it.value.is_some()) {
        let mut cells = vec![result.trial.to_string(), result.value.map_or(String::new(), number)];
        cells.extend(several.then(|| result.std.map_or(String::new(), number)));
        cells.push(result.epoch.map_or(String::new(), |it| it.to_string()));
        cells.extend(settings[result.trial].iter().map(|(_, text)| text.clone()));
        rows.push(cells);
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(trial: usize, value: Option<f64>, round: usize) -> TrialResult {
        TrialResult { value, ..TrialResult::failed(trial, (9, round), "") }
    }

    #[test]
    fn the_best_come_first_whichever_way_the_metric_goes() {
        let results = [
            result(0, Some(0.5), 1),
            result(1, None, 1),
            result(2, Some(0.2), 1),
            result(3, Some(0.1), 0),
        ];
        let order = |metric| -> Vec<usize> {
            best_first(&results, Judged { metric }).iter().map(|it| it.trial).collect()
        };
        // Trials that ended earlier had fewer epochs.
        assert_eq!(order(Metric::Loss), [2, 0, 3, 1]);
        assert_eq!(order(Metric::Accuracy), [0, 2, 3, 1]);
    }

    #[test]
    fn rows_are_quoted() {
        let settings = vec![("hidden".to_string(), "64,8".to_string())];
        let told = row(&result(3, Some(0.25), 0), &settings);
        assert_eq!(told, "3,\"64,8\",0.25,,,9,0.000,\n");
    }
}
