//! A sweep's results, read back for its picture and its report.
//!
//! In: `sweep.csv` and `sweep.toml`. Out: trials in their order, pictures, a page.
//! Absent on purpose: how trials are chosen and trained.

use std::path::{Path, PathBuf};

use ::csv::{Reader, StringRecord};

use crate::cli::open_run::{CONFIG, SWEEP, SWEEP_RESULTS};
use crate::cli::trial_rank::TrialRank;
use crate::cli::wording::quoted;
use crate::error::{Error, Result};
use crate::picture::{self, Picture, TrialAxis, TrialPoint, TrialValues};
use crate::report::{NextCommand, SweepReport, TrialRow};
use crate::train::Metric;

/// Columns behind the settings: the metric, its deviation, kept epoch, epochs, seconds, problem.
const BEHIND: usize = 6;

/// Returns true if a folder is a sweep's.
pub(super) fn is_sweep(run: &Path) -> bool {
    run.join(SWEEP).is_file()
}

/// Returns true for a folder of `wgrad tune`, which is a sweep's and has a model of its own.
pub(super) fn has_model(run: &Path) -> bool {
    run.join(crate::export::MODEL_FILE).is_file()
}

/// The results of a sweep.
pub(super) struct SweepFiles {
    sweep: PathBuf,
    /// Text of `sweep.toml`.
    text: String,
    settings: toml::Table,
    metric: Metric,
    /// Settings that were tried.
    keys: Vec<String>,
    /// The best one first.
    trials: Vec<TrialRow>,
}

impl SweepFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// If one is missing or damaged.
    pub(super) fn read(sweep: &Path) -> Result<Self> {
        let path = sweep.join(SWEEP);
        let text =
            std::fs::read_to_string(&path).map_err(|source| Error::file("read", &path, source))?;
        let settings: toml::Table =
            text.parse().map_err(|error| Error::model_file(&path, format!("damaged: {error}")))?;
        let path = sweep.join(SWEEP_RESULTS);
        if !path.exists() {
            let problem = format!(
                "no {SWEEP_RESULTS}: the sweep has not begun; `wgrad resume {}` goes on",
                quoted(sweep)
            );
            return Err(Error::model_file(sweep, problem));
        }
        let damaged = |problem: String| Error::table(path.display().to_string(), problem);
        let mut reader = Reader::from_path(&path).map_err(|error| damaged(error.to_string()))?;
        let header = reader.headers().map_err(|error| damaged(error.to_string()))?.clone();
        let tried = header
            .len()
            .checked_sub(BEHIND + 1)
            .ok_or_else(|| damaged("no table of trials".into()))?;
        let keys = header.iter().skip(1).take(tried).map(String::from).collect();
        let metric = header.get(1 + tried).and_then(|name| name.strip_prefix("valid_"));
        let metric: Metric = metric
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| damaged("no column of a metric".into()))?;
        let mut trials = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| damaged(error.to_string()))?;
            trials.push(
                trial_row(&record, tried)
                    .ok_or_else(|| damaged("a row that is no trial's".into()))?,
            );
        }
        let halving = settings.get("search").and_then(toml::Value::as_str) == Some("halving");
        sort(&mut trials, metric, halving);
        let trials = trials.into_iter().map(|it| it.0).collect();
        Ok(Self { sweep: sweep.to_path_buf(), text, settings, metric, keys, trials })
    }

    /// Draws the trials: the metric by the setting if one number was tried, else parallel axes.
    pub(super) fn pictures(&self) -> Vec<Picture> {
        let axes = self.axes();
        let metric = self.metric_text();
        if let ([axis], Some(figures)) = (&axes[..], self.numbers(|it| it.value))
            && let TrialValues::Numbers(values) = &axis.values
        {
            let point = |((row, &setting), &figure): ((&TrialRow, &f64), &f64)| TrialPoint {
                name: format!("trial {}", row.trial),
                setting,
                figure,
            };
            let points: Vec<TrialPoint> =
                self.trials.iter().zip(values).zip(&figures).map(point).collect();
            let best = self.trials.first().and_then(|best| best.value).map(|_| 0);
            return vec![picture::trials((&axis.name, &metric), &points, best)];
        }
        let figures = self.trials.iter().map(|it| it.value.unwrap_or(f64::NAN)).collect();
        let figure = TrialAxis { name: metric, values: TrialValues::Numbers(figures) };
        let all: Vec<TrialAxis> = axes.into_iter().chain([figure]).collect();
        let valued: Vec<usize> =
            (0..self.trials.len()).filter(|&it| self.trials[it].value.is_some()).collect();
        vec![picture::parallel_coordinates(&all, &valued)]
    }

    /// Returns a number of each trial, NaN where a trial has none; `None` if no trial has one.
    fn numbers(&self, of: impl Fn(&TrialRow) -> Option<f64>) -> Option<Vec<f64>> {
        let all: Vec<f64> = self.trials.iter().map(|it| of(it).unwrap_or(f64::NAN)).collect();
        all.iter().any(|it| it.is_finite()).then_some(all)
    }

    fn metric_text(&self) -> String {
        format!("valid {}", self.metric)
    }

    /// Returns the values of each setting in the trials' order.
    fn axes(&self) -> Vec<TrialAxis> {
        let axis = |(place, key): (usize, &String)| {
            let texts = || self.trials.iter().map(|it| it.settings[place].clone());
            let numbers: Option<Vec<f64>> = texts().map(|text| text.parse().ok()).collect();
            let values = match numbers {
                Some(numbers) => TrialValues::Numbers(numbers),
                None => TrialValues::Texts(texts().collect()),
            };
            TrialAxis { name: key.clone(), values }
        };
        self.keys.iter().enumerate().map(axis).collect()
    }

    /// Returns the report.
    pub(super) fn page(self, mut warnings: Vec<String>) -> String {
        warnings.extend(self.unfinished());
        if let Some((number, of)) = self.shard() {
            warnings.push(format!(
                "this is shard {number} of {of} alone; the best trial of all is known when the shards are merged"
            ));
        }
        let shared = |key: &str| {
            let shared = self.settings.get("settings").and_then(|it| it.get(key));
            shared.map_or_else(
                || "the table".to_string(),
                |it| it.as_str().map_or(it.to_string(), String::from),
            )
        };
        let (pictures, commands) = (self.pictures(), self.commands());
        let shard = self.shard().map(|(number, of)| format!("shard {number} of {of}"));
        SweepReport {
            shard,
            sweep: self.sweep.display().to_string(),
            table: shared("table"),
            targets: shared("target"),
            metric: self.metric_text(),
            higher_is_better: self.metric.higher_is_better(),
            keys: self.keys,
            trials: self.trials,
            pictures,
            warnings,
            settings: self.text,
            commands,
        }
        .html()
    }

    /// Returns the number of the shard and how many there are, if the sweep has only a part of the trials.
    fn shard(&self) -> Option<(i64, i64)> {
        let shard = self.settings.get("shard")?;
        let number = |key: &str| shard.get(key).and_then(toml::Value::as_integer);
        Some((number("number")?, number("of").filter(|of| *of > 0)?))
    }

    /// Says how many trials are missing of a sweep that has not ended.
    fn unfinished(&self) -> Option<String> {
        let mut all = self.settings.get("trials").and_then(toml::Value::as_integer)?;
        if let Some((number, of)) = self.shard() {
            // Every so many trials, from that of the shard's number.
            all = (all - number + of) / of;
        }
        let ended = i64::try_from(self.trials.len()).unwrap_or(i64::MAX);
        let sweep = quoted(&self.sweep);
        (ended < all).then(|| {
            format!(
                "{ended} of {all} trials have ended; `wgrad resume {sweep}` goes on with the others"
            )
        })
    }

    fn commands(&self) -> Vec<NextCommand> {
        let Some(best) = self.trials.first().filter(|best| best.value.is_some()) else {
            return Vec::new();
        };
        let folder = self.sweep.join("trials").join(best.trial.to_string());
        let (run, config) = (quoted(&folder), quoted(&folder.join(CONFIG)));
        let command =
            |purpose: &str, command: String| NextCommand { purpose: purpose.into(), command };
        let picture = command(
            "This picture as a file",
            format!("wgrad plot {} --what trials", quoted(&self.sweep)),
        );
        if self.shard().is_some() {
            let merge = "wgrad sweep --merge FOLDER_OF_EACH_SHARD --out OTHER".to_string();
            return vec![command("The best trial of all shards", merge), picture];
        }
        let mut commands = vec![command(
            "Train the best trial again",
            format!("wgrad train --config {config} --out OTHER"),
        )];
        if folder.join(crate::export::MODEL_FILE).exists() {
            commands.push(command(
                "Predict with the best trial's network",
                format!("wgrad predict {run} TABLE --out predicted.csv"),
            ));
            commands.push(command("Its report", format!("wgrad report {run}")));
        }
        commands.push(picture);
        commands
    }
}

/// Reads a row; returns with the trial the epochs that it was given.
fn trial_row(record: &StringRecord, tried: usize) -> Option<(TrialRow, u32)> {
    let cell = |place: usize| record.get(place).unwrap_or_default();
    let behind = |place: usize| cell(1 + tried + place);
    let row = TrialRow {
        trial: cell(0).parse().ok()?,
        settings: (0..tried).map(|place| cell(1 + place).to_string()).collect(),
        value: behind(0).parse().ok(),
        std: behind(1).parse().ok(),
        epoch: behind(2).parse().ok(),
        seconds: behind(4).parse().ok()?,
        problem: Some(behind(5).to_string()).filter(|it| !it.is_empty()),
    };
    Some((row, behind(3).parse().ok()?))
}

/// Sorts trials, the best first; of successive halving those of later rounds before others, and trials without a value last.
fn sort(trials: &mut [(TrialRow, u32)], metric: Metric, halving: bool) {
    // A later round has more epochs.
    let rank = |(it, epochs): &(TrialRow, u32)| TrialRank {
        value: it.value,
        stage: if halving { *epochs as usize } else { 0 },
        trial: it.trial,
    };
    trials.sort_by(|a, b| rank(a).order(&rank(b), metric));
}
