//! `wgrad train --folds K`: cross-validation, whose folds are trained as runs of their own.
//!
//! In: a run's settings. Out: a folder for each fold; and in the run's folder the ensemble of the folds, or a network trained on all
//! rows, figures of all folds, and the predictions of every row by the network that did not see it.
//! Absent on purpose: how folds are drawn, and the training of one network.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

#[cfg(feature = "pictures")]
use super::members::warn_unwritten;
use super::members::{
    introduce, networks_text, open_folder, report_interrupted, report_warnings, with_advice,
    write_history, write_json,
};
use super::out_of_fold::OutOfFold;
use super::parts::{PartsSettings, RunPart, TrainedPart, train_parts};
use super::parts_report::PartPlace;
use super::ready_run::found_rate;
use super::summary::FigureTable;
use super::time_budget::{epochs_in_time, tell};
use super::verbosity::Verbosity;
use super::verdict::{JudgedFold, Verdict, copies, mean_metrics};
use crate::cli::interrupt::Interrupt;
use crate::cli::next::show_after_run;
use crate::cli::open_run::{FOLDS, METRICS, REFIT, TRAINING_ROWS};
use crate::cli::output::{Output, failed};
#[cfg(feature = "pictures")]
use crate::cli::pictures::{TrainingRows, training_report};
use crate::cli::settings::{FoldedTable, RunConfig, check_precision, config_text};
#[cfg(feature = "pictures")]
use crate::cli::tables::sample_of;
use crate::cli::tables::{RowDigest, with_bar};
use crate::cli::{Exit, Failure};
use crate::data::{Dataset, Folds, Schema, Split};
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, write_ensemble};
use crate::report::{Comparisons, Console, Figures, JsonLines, count, pluralize};
use crate::train::{Ensemble, Member, Metrics, RunInfo, Trainer, Warning};

/// End of a cross-validation, as `metrics.json` and the last event have it.
#[derive(Serialize)]
struct FoldsOutcome<'a> {
    folds: u32,
    #[serde(skip_serializing_if = "is_one")]
    repeats: u32,
    /// Figures of the out-of-fold predictions of all rows; of several drawings their mean.
    #[serde(flatten)]
    figures: Figures,
    /// Mean of the folds' own figures.
    fold_mean: &'a Map<String, Value>,
    /// Their standard deviation, with one degree of freedom less than there are folds.
    fold_std: &'a Map<String, Value>,
    /// The figures of each fold.
    each: Vec<FoldFigures>,
    /// `ensemble` of the folds, or `refit` on all rows.
    kept: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refit_epochs: Option<u32>,
    /// Seconds of training of all networks together.
    seconds: f64,
    device: &'a str,
    /// Mean figures of simpler predictions, on the rows that each fold holds out.
    baselines: &'a Comparisons,
    interrupted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

/// Figures of a fold.
#[derive(Serialize)]
struct FoldFigures {
    fold: usize,
    rows: usize,
    #[serde(flatten)]
    figures: Map<String, Value>,
}

/// The last event.
#[derive(Serialize)]
struct FoldsFinished<'a> {
    event: &'static str,
    run: String,
    #[serde(flatten)]
    outcome: &'a FoldsOutcome<'a>,
}

/// Everything that is known of a cross-validation before it trains.
struct PreparedFolds {
    /// The settings, with the epochs that the given time is enough for.
    run: RunConfig,
    table: FoldedTable,
    parts: Vec<RunPart>,
    info: RunInfo,
    warnings: Vec<Warning>,
    /// The text of the run's config.toml.
    config: String,
}

/// Trains the folds, or goes on with them.
pub(super) fn train_folds(
    config: &RunConfig,
    talk: Verbosity,
    begins: bool,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(talk.quiet)?;
    let prepared = prepare(config, talk.quiet)?;
    let PreparedFolds { run: config, table, parts, info, warnings, config: text } = &prepared;
    interrupt.arm();
    let folder = open_folder(&config.out, text, begins)?;
    let mut console = talk.console();
    table.format.iter().for_each(|text| console.say("table", text));
    let mut told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let shown =
        introduce(&mut console, (info, &networks_text(parts.len())), talk, warnings.clone())?;
    console.say("folds", &folds_text(&table.folds));
    let settings = PartsSettings {
        word: "fold",
        on_end: &|_| Ok(()),
        device: &config.device,
        checkpoints: config.checkpoints,
        interrupt: &interrupt,
        talk,
    };
    let advised = |failure| with_advice(failure, &config.out);
    let end = train_parts(parts, &settings, (console, shown))
        .and_then(|end| end.whole(parts, settings.word))
        .map_err(advised)?;
    let mut console = end.console;
    told.extend(end.warnings);
    if end.stopped {
        report_interrupted(&mut console, &config.out);
        return Ok(Exit::Interrupted);
    }
    let trained: Vec<TrainedPart> =
        parts.iter().map(|part| TrainedPart::read(&part.folder)).collect::<Result<_>>()?;
    let run = TrainedFolds { table, parts, info, trained: &trained, config };
    let (kept, mut console) = match &table.whole {
        None => (Kept { ensemble: run.ensemble()?, refit: None, seconds: 0.0 }, console),
        Some(whole) => {
            let (part, epochs) = run.refit(whole)?;
            let settings = PartsSettings { word: "refit", ..settings };
            let trained_on = format!(
                "one network on all {}, for {}: the mean of the epochs that the folds keep",
                pluralize(whole.train.rows() as u64, "row"),
                pluralize(epochs.into(), "epoch")
            );
            console.say("refit", &trained_on);
            let parts = [part];
            let end = train_parts(&parts, &settings, (console, Default::default()))
                .and_then(|end| end.whole(&parts, settings.word))
                .map_err(advised)?;
            let mut console = end.console;
            told.extend(end.warnings);
            if end.stopped {
                report_interrupted(&mut console, &config.out);
                return Ok(Exit::Interrupted);
            }
            let TrainedPart { trained, metrics } = TrainedPart::read(&parts[0].folder)?;
            let seconds = metrics.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
            (Kept { ensemble: trained.into(), refit: Some(epochs), seconds }, console)
        }
    };
    run.finish(folder.path(), &kept, (talk, told), &mut console)?;
    Ok(Exit::Done)
}

/// Says how many rows the folds have.
fn folds_text(drawings: &[Folds]) -> String {
    let sizes = drawings.iter().map(Folds::sizes);
    let (least, most) = sizes.fold((usize::MAX, 0), |all, it| (all.0.min(it.0), all.1.max(it.1)));
    let rows = match least == most {
        true => pluralize(most as u64, "row"),
        false => format!("{} to {} rows", count(least as u64), count(most as u64)),
    };
    let folds = drawings.first().map_or(0, Folds::count);
    let drawn = if drawings.len() > 1 {
        format!(", drawn {} times", drawings.len())
    } else {
        String::new()
    };
    format!("{folds} of {rows}{drawn}")
}

/// Does everything that can fail before there is a folder.
fn prepare(config: &RunConfig, quiet: bool) -> Result<PreparedFolds> {
    let table = with_bar(quiet, &config.table, |progress| config.data_of_folds(progress))?;
    let mut warnings = table.notes.clone();
    if table.whole.is_none() {
        check_same_inputs(&table.splits)?;
    }
    let located = |error| config.locate(error);
    let (mut parts, mut info, mut lr) = (Vec::new(), None, None);
    let run = in_time(config, &table.splits, quiet)?;
    let config = &run;
    let logs = config.tensorboard_of(&config.out);
    for (number, split) in table.splits.iter().enumerate() {
        let folder = config.out.join(FOLDS).join(number.to_string());
        let own = config.of_fold(number as u32, folder.clone());
        let (model, mut options) = (own.model(split)?, own.options(&split.train, None));
        if lr.is_none() {
            // Found on the first fold's training rows, for all folds.
            warnings.extend(found_rate(&own, (&model, split), &mut options, quiet)?);
        }
        options.lr = *lr.get_or_insert(options.lr);
        if info.is_none() {
            warnings.extend(config.check_groups(&model, split)?);
            let digest = RowDigest::of(&split.train);
            let held_out = split.valid.as_ref();
            warnings.extend(held_out.and_then(|rows| copies(&digest, rows, "of the first fold")));
            let trainer = Trainer::new(&model, split, &options, &config.device).map_err(located)?;
            check_precision(options.precision, &trainer.info().device).map_err(located)?;
            warnings.extend_from_slice(trainer.warnings());
            info = Some(trainer.info().clone());
        }
        let info = info.as_ref().expect("the first fold has made it");
        let text = config_text(&own, &options, info)?;
        let member = Member { model, data: split.clone(), options };
        let place = PartPlace(vec![("fold", number)]);
        let tensorboard = logs.as_ref().map(|logs| logs.join(place.folder()));
        parts.push(RunPart { folder, config: text, member, weights: None, tensorboard, place });
    }
    let info = info.expect("there are at least two folds");
    if let Some(whole) = &table.whole {
        // Nothing of the last network's settings should be refused after all others are trained.
        let own = config.of_refit(1, config.out.join(REFIT));
        let (model, options) = (own.model(whole)?, own.options(&whole.train, None));
        let advised = |error| match located(error) {
            Error::Setting { name, problem } => {
                let problem = format!(
                    "{problem} (for the network that --refit trains on all rows, without validation rows)"
                );
                Error::Setting { name, problem }
            }
            other => other,
        };
        Trainer::new(&model, whole, &options, &config.device).map_err(advised)?;
    }
    warnings.extend(few_rows(&table));
    let options = parts[0].member.options.clone();
    let config = config_text(config, &options, &info)?;
    Ok(PreparedFolds { run, table, parts, info, warnings, config })
}

/// Returns the settings with the epochs that the time of `--time-budget` is enough for.
fn in_time(config: &RunConfig, splits: &[Split], quiet: bool) -> Result<RunConfig> {
    let split = &splits[0];
    let (model, options) = (config.model(split)?, config.options(&split.train, None));
    let count = u32::try_from(splits.len()).unwrap_or(u32::MAX);
    match epochs_in_time(config, (&model, split), &options, count)? {
        None => Ok(config.clone()),
        Some((epochs, text)) => {
            tell(&text, quiet);
            Ok(config.of_epochs(epochs))
        }
    }
}

/// Refuses folds whose networks cannot be one ensemble, since columns become other inputs in each.
pub(super) fn check_same_inputs(splits: &[Split]) -> Result<()> {
    let schema = |split: &Split| -> Schema { split.train.schema().clone() };
    let first = schema(&splits[0]);
    let Some(other) = splits.iter().position(|split| !first.reads_like(split.train.schema()))
    else {
        return Ok(());
    };
    let changes = schema(&splits[other]).changes(&first);
    let problem = format!(
        "the networks of the folds cannot be one ensemble, since each fold's training rows decide how columns become inputs, and these \
         differ between fold 0 and fold {other}: {}; give --refit, which keeps one network trained on all rows",
        changes.join("; ")
    );
    Err(Error::setting("--folds", problem))
}

/// Warns of folds that are very small.
fn few_rows(table: &FoldedTable) -> Option<Warning> {
    let (least, most) = table.folds.first()?.sizes();
    (most > 2 * least).then(|| {
        let problem = format!(
            "groups stay whole, so that folds have from {} to {} rows: figures of small folds say little",
            count(least as u64),
            count(most as u64)
        );
        Warning::Noted { problem }
    })
}

/// The network that a cross-validation keeps.
pub(super) struct Kept {
    pub(super) ensemble: Ensemble,
    /// Epochs of a network that was trained on all rows.
    pub(super) refit: Option<u32>,
    /// Seconds of its training.
    pub(super) seconds: f64,
}

/// Folds that are all trained.
pub(super) struct TrainedFolds<'a> {
    pub(super) table: &'a FoldedTable,
    pub(super) parts: &'a [RunPart],
    pub(super) info: &'a RunInfo,
    pub(super) trained: &'a [TrainedPart],
    pub(super) config: &'a RunConfig,
}

impl TrainedFolds<'_> {
    pub(super) fn ensemble(&self) -> Result<Ensemble> {
        Ensemble::new(self.trained.iter().map(|part| part.trained.clone()).collect())
    }

    /// Returns the network to train on all rows, and its epochs.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of epochs is a number of epochs"
    )]
    fn refit(&self, whole: &Split) -> Result<(RunPart, u32)> {
        let kept = FigureTable::of(self.trained).values("epoch").unwrap_or_default();
        let mean = kept.iter().sum::<f64>() / kept.len().max(1) as f64;
        let epochs = (mean.round() as u32).max(1);
        let folder: PathBuf = self.config.out.join(REFIT);
        let own = self.config.of_refit(epochs, folder.clone());
        let (model, mut options) = (own.model(whole)?, own.options(&whole.train, None));
        options.lr = self.parts[0].member.options.lr;
        let config = config_text(&own, &options, self.info)?;
        let member = Member { model, data: whole.clone(), options };
        let place = PartPlace(vec![("refit", 0)]);
        let logs = self.config.tensorboard_of(&self.config.out);
        let tensorboard = logs.map(|logs| logs.join(REFIT));
        Ok((RunPart { folder, config, member, weights: None, tensorboard, place }, epochs))
    }

    /// Writes the kept network, predictions and figures.
    pub(super) fn finish(
        &self,
        folder: &Path,
        kept: &Kept,
        (talk, mut told): (Verbosity, Vec<String>),
        console: &mut Console,
    ) -> Result<()> {
        let Self { table, parts, info, .. } = *self;
        write_ensemble(&kept.ensemble, folder.join(MODEL_FILE))?;
        write_history(parts, folder, "fold")?;
        let digest = match &table.whole {
            Some(whole) => RowDigest::of(&whole.train),
            // The ensemble's networks have seen all rows together.
            None => {
                let first = &table.splits[0];
                let rows: Vec<_> = std::iter::once(&first.train).chain(&first.valid).collect();
                RowDigest::of_all(&rows)
            }
        };
        digest.write(&folder.join(TRAINING_ROWS))?;
        let out_of_fold = OutOfFold::new(self.trained, table, &parts[0].member.options)?;
        out_of_fold.write(folder)?;
        let metrics = &mean_metrics(&out_of_fold.metrics);
        let figures = FigureTable::of(self.trained);
        let spread = figures.spread();
        let compared = self.compared()?;
        let outcome = FoldsOutcome {
            folds: self.config.folds,
            repeats: self.config.folds_repeats,
            figures: Figures::new(spread.mean_of("train_loss"), Some(metrics)),
            fold_mean: &spread.mean,
            fold_std: &spread.std,
            each: self.each(),
            kept: if kept.refit.is_some() { "refit" } else { "ensemble" },
            refit_epochs: kept.refit,
            seconds: figures.sum("seconds") + kept.seconds,
            device: &info.device.to_string(),
            baselines: &compared.comparisons,
            interrupted: false,
        };
        write_json(&outcome, &folder.join(METRICS))?;
        compared.lines.iter().for_each(|line| console.say("compare", line));
        let warnings: Vec<Warning> = compared.warning.into_iter().collect();
        told.extend(warnings.iter().map(ToString::to_string));
        report_warnings(console, talk, warnings)?;
        #[cfg(feature = "pictures")]
        if talk.report {
            let sample = sample_of(&table.data, "row");
            let rows = TrainingRows { valid: None, train: Some((&sample.0, &sample.1)) };
            let written = training_report(folder, kept.ensemble.clone(), &rows, told);
            warn_unwritten(written.map(|_| ()), talk, console)?;
        }
        // Without reports nobody asks for them.
        #[cfg(not(feature = "pictures"))]
        drop(told);
        for line in spread.lines() {
            console.say("folds", &line);
        }
        if talk.json {
            let run = folder.display().to_string();
            let line = FoldsFinished { event: "finished", run, outcome: &outcome };
            JsonLines::new(Output::new()).line(&line).map_err(failed)?;
        } else if !talk.quiet {
            Output::new().line(&result(folder, kept, metrics))?;
        }
        let logs = self.config.tensorboard_of(&self.config.out);
        show_after_run(console, folder, logs.as_deref());
        Ok(())
    }

    /// Compares the networks with simpler predictions, on the folds of the first drawing.
    fn compared(&self) -> Result<Verdict> {
        let folds = self.table.folds.first().map_or(0, Folds::count) as usize;
        let figure = |part: &TrainedPart, name: &str| part.metrics.get(name)?.as_f64();
        let judged = self.trained.iter().zip(&self.table.splits).zip(self.parts).take(folds);
        let judged = judged.map(|((part, split), run)| JudgedFold {
            trained: &part.trained,
            split,
            options: &run.member.options,
            loss: figure(part, "valid_loss"),
            accuracy: figure(part, "valid_accuracy"),
        });
        Verdict::of_folds(&judged.collect::<Vec<_>>())
    }

    /// Returns the figures of each fold.
    fn each(&self) -> Vec<FoldFigures> {
        let splits = self.table.splits.iter();
        let fold = |(fold, (part, split)): (usize, (&TrainedPart, &Split))| {
            // Its other entries are the same for all folds, or the run's.
            let told = |name: &str| {
                ["epoch", "steps", "stopped_after", "train_loss"].contains(&name)
                    || name.starts_with("valid_")
            };
            let figures = part.metrics.iter().filter(|(name, _)| told(name));
            let figures = figures.map(|(name, value)| (name.clone(), value.clone())).collect();
            let rows = split.valid.as_ref().map_or(0, Dataset::rows);
            FoldFigures { fold, rows, figures }
        };
        self.trained.iter().zip(splits).enumerate().map(fold).collect()
    }
}

/// Returns the last line.
fn result(folder: &Path, kept: &Kept, metrics: &Metrics) -> String {
    let what = match kept.refit {
        Some(epochs) => {
            format!("trained on all rows for {}", pluralize(epochs.into(), "epoch"))
        }
        None => format!("ensemble of {}", pluralize(kept.ensemble.members().len() as u64, "fold")),
    };
    format!("{}: {what}; out of fold {metrics}", folder.display())
}
