//! Results of a sweep's trials: `sweep.csv`, their order, and the table of the best.
//!
//! In: the figures that each trial has left. Out: a row a trial, as it ends.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::csv::{ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

use super::parts::TrainedPart;
use super::summary::mean_and_std;
use super::sweep_space::{SearchDimension, TrialSettings, is_refused, with_values};
use crate::cli::open_run::SWEEP_RESULTS;
use crate::cli::settings::text_of;
use crate::cli::trial_rank::TrialRank;
use crate::cli::wording::quoted;
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::shape::number;
use crate::train::Metric;

/// Trials that are shown at the end.
const SHOWN: usize = 10;

/// Settings that are tried, by the numbers of the trials.
pub(super) type SettingsByTrial<'a> = BTreeMap<usize, &'a TrialSettings>;

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
    let rank = |it: &TrialResult| TrialRank { value: it.value, stage: it.round, trial: it.trial };
    ranked.sort_by(|a, b| rank(a).order(&rank(b), judged.metric));
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
        let path = folder.join(SWEEP_RESULTS);
        let header = header(space, judged);
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
        settings: &SettingsByTrial<'_>,
    ) -> Result<()> {
        results.sort_by_key(|it| it.trial);
        let rows: String = results.iter().map(|it| row(it, settings[&it.trial])).collect();
        write_file(&self.path, format!("{}{rows}", self.header).as_bytes())
    }
}

fn header(space: &[SearchDimension], judged: Judged) -> String {
    let value = format!("valid_{}", judged.metric);
    let own = ["trial", &value, "std", "epoch", "epochs", "seconds", "problem"];
    // A setting or a variable may have the name of a figure.
    let key = |it: &SearchDimension| match own.contains(&it.key.as_str()) {
        true => cell(&format!("{}_tried", it.key)),
        false => cell(&it.key),
    };
    let keys: Vec<String> = space.iter().map(key).collect();
    format!("trial,{},{}\n", keys.join(","), own[1..].join(","))
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

/// Reads the results of a sweep without successive halving that has ended: those of the trials whose settings are given, and of no others.
///
/// # Errors
/// If the table cannot be read, or is not that of these trials.
pub(super) fn read_results(
    folder: &Path,
    (settings, space): (&SettingsByTrial<'_>, &[SearchDimension]),
    judged: Judged,
) -> Result<Vec<TrialResult>> {
    let path = folder.join(SWEEP_RESULTS);
    let text = fs::read_to_string(&path).map_err(|source| Error::file("read", &path, source))?;
    let changed = |what: &str| {
        let problem = format!(
            "{what}: the file was changed; `wgrad resume {}` writes it again",
            quoted(folder)
        );
        Error::model_file(&path, problem)
    };
    let rows = text
        .strip_prefix(&header(space, judged))
        .ok_or_else(|| changed("its header is not that of the sweep"))?;
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(rows.as_bytes());
    let mut results: Vec<TrialResult> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| changed(&error.to_string()))?;
        let result = result_of(&record, settings)
            .ok_or_else(|| changed("it has a row that is none of the sweep's trials"))?;
        results.push(result);
    }
    let found: Vec<usize> = results.iter().map(|it| it.trial).collect();
    if !found.iter().eq(settings.keys()) {
        return Err(changed("it does not have a row for each trial, in their order"));
    }
    Ok(results)
}

/// Reads a row; `None` if it is none of these trials.
fn result_of(record: &StringRecord, settings: &SettingsByTrial<'_>) -> Option<TrialResult> {
    let mut cells = record.iter();
    let trial = cells.next()?.parse().ok()?;
    for (_, text) in *settings.get(&trial)? {
        (cells.next()? == text).then_some(())?;
    }
    let rest: Vec<&str> = cells.collect();
    let [value, std, epoch, epochs, seconds, problem] = rest[..] else { return None };
    let number = |text: &str| match text {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    };
    Some(TrialResult {
        trial,
        value: number(value)?,
        std: number(std)?,
        epoch: number(epoch)?,
        epochs: epochs.parse().ok()?,
        round: 0,
        seconds: seconds.parse().ok()?,
        problem: Some(problem.to_string()).filter(|it| !it.is_empty()),
    })
}

/// The settings that trials have, and those of all trials that have names of variables in their texts.
pub(super) struct TriedSettings<'a> {
    pub(super) settings: &'a SettingsByTrial<'a>,
    pub(super) space: &'a [SearchDimension],
    pub(super) shared: &'a toml::Table,
    /// Remark on the order of the trials.
    pub(super) note: Option<&'a str>,
}

impl TriedSettings<'_> {
    /// Returns the keys whose values have a column.
    fn keys(&self) -> impl Iterator<Item = &String> {
        let tells = |it: &&SearchDimension| it.range.tells(it.variable);
        self.space.iter().filter(tells).map(|it| &it.key)
    }

    /// Returns settings of all trials whose texts have names of variables in them, such as `layers`.
    fn texts(&self) -> impl Iterator<Item = (&String, String)> {
        let marks: Vec<String> = (self.space.iter().filter(|it| it.variable))
            .map(|it| format!("{{{}}}", it.key))
            .collect();
        let texts = self.shared.iter().filter(|(key, _)| !is_refused(key));
        let texts = texts.filter_map(|(key, value)| Some((key, text_of(value)?)));
        texts.filter(move |(_, text)| marks.iter().any(|mark| text.contains(mark)))
    }
}

/// Returns the lines of a table of the best trials, and below it the layers and other long texts of each.
pub(super) fn best_table(
    ranked: &[&TrialResult],
    tried: &TriedSettings<'_>,
    judged: Judged,
) -> Vec<String> {
    let several = ranked.iter().any(|it| it.std.is_some());
    let mut rows = vec![vec!["trial".to_string(), judged.metric.to_string()]];
    rows[0].extend(several.then(|| "std".to_string()));
    rows[0].push("epoch".to_string());
    rows[0].extend(tried.keys().cloned());
    let shown = || ranked.iter().take(SHOWN).filter(|it| it.value.is_some());
    for result in shown() {
        let mut cells = vec![result.trial.to_string(), result.value.map_or(String::new(), number)];
        cells.extend(several.then(|| result.std.map_or(String::new(), number)));
        cells.push(result.epoch.map_or(String::new(), |it| it.to_string()));
        let own = tried.settings[&result.trial];
        let text = |key: &String| own.iter().find(|(name, _)| name == key).map_or("", |it| &it.1);
        // The names of layers need no comma at their end.
        cells.extend(tried.keys().map(|key| text(key).trim_end_matches(", ").to_string()));
        rows.push(cells);
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    for (key, text) in tried.texts() {
        lines.push(key.clone());
        let width = widths[0];
        let whole = |trial: usize| with_values(&text, tried.space, tried.settings[&trial]);
        lines.extend(shown().map(|it| format!("{:>width$}  {}", it.trial, whole(it.trial))));
    }
    lines.extend(tried.note.map(ToString::to_string));
    lines
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

    #[test]
    fn rows_are_read_as_they_were_written() {
        let place = tempfile::tempdir().unwrap();
        let space = [SearchDimension {
            key: "hidden".to_string(),
            range: super::super::sweep_space::SearchRange::List(Vec::new()),
            variable: false,
            points: None,
        }];
        let judged = Judged { metric: Metric::Loss };
        let texts = [3, 5].map(|trial| vec![("hidden".to_string(), format!("64,{trial}"))]);
        let settings: SettingsByTrial<'_> = [3, 5].into_iter().zip(&texts).collect();
        let problem = "a \"loss\",\nof two lines";
        let mut results = [
            TrialResult { seconds: 0.125, std: Some(1e-300), ..result(3, Some(0.1 + 0.2), 0) },
            TrialResult { problem: Some(problem.to_string()), ..result(5, None, 0) },
        ];
        results[0].problem = None;
        let table = SweepTable::begin(place.path(), &space, judged).unwrap();
        table.finish(&mut results, &settings).unwrap();
        let read = |settings: &SettingsByTrial<'_>| {
            read_results(place.path(), (settings, &space), judged).map_err(|it| it.to_string())
        };
        assert_eq!(read(&settings).unwrap(), results);
        let others: SettingsByTrial<'_> = [3, 5].into_iter().zip(texts.iter().rev()).collect();
        assert!(read(&others).unwrap_err().contains("none of the sweep's trials"));
        let more: SettingsByTrial<'_> =
            [3, 5, 7].into_iter().zip(texts.iter().chain(&texts)).collect();
        assert!(read(&more).unwrap_err().contains("a row for each trial"));
    }
}
