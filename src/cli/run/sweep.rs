//! `wgrad sweep`: many runs with different settings, side by side, and the best of them.
//!
//! In: a file of settings with ranges, a number of trials. Out: a run folder for each trial, a table of all, the best one ready to
//! use. A killed sweep goes on: finished trials stay, others go on from their checkpoints.
//! Absent on purpose: the drawing of settings; the training of one network.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use super::folds::{FOLDS, Kept, TrainedFolds, check_same_inputs};
use super::members::{introduce, report_interrupted, write_json};
use super::parts::{TrainedPart, remove_part, remove_parts};
use super::sweep_results::{Judged, SweepTable, TrialResult, best_first, best_table};
use super::sweep_space::{SearchDimension, TrialSettings, grid_trials, random_trials, take_ranges};
use super::sweep_trials::{PreparedSweep, Round, SweepTrial, TrialRows, of_trial, prepare};
use super::train::Verbosity;
use super::verdict::Judge;
use crate::cli::args::SweepArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::open_run::CONFIG;
use crate::cli::output::{Output, failed};
use crate::cli::settings::{Settings, option_key, path_text, read_table, run_config};
use crate::cli::wording::quoted;
use crate::cli::{Exit, Failure};
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::report::{Console, JsonLines, pluralize};
use crate::train::{Member, Trainer};

/// The file that says what a sweep tries.
pub(super) const SWEEP: &str = "sweep.toml";
/// Folder of the trials in a sweep's folder.
const TRIALS: &str = "trials";
/// The results of earlier rounds, by which trials went on or not.
const ROUNDS: &str = "rounds.json";
/// Of successive halving, the factor of epochs from round to round, and the share of trials that go on.
const ETA: u32 = 3;

/// Way in which settings are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// Drawn at random.
    #[default]
    Random,
    /// All combinations.
    Grid,
    /// Drawn at random, and the best third goes on with three times the epochs, again and again.
    Halving,
}

/// A sweep as its folder records it.
#[derive(Debug, Serialize, Deserialize)]
struct Sweep {
    trials: u32,
    search: Search,
    /// Settings that all trials have.
    settings: toml::Table,
    space: Vec<SearchDimension>,
}

pub(crate) fn sweep(args: &SweepArgs) -> Result<Exit, Failure> {
    let settings = &args.settings.0;
    let Some(path) = settings.file() else {
        let problem = "missing; name a TOML file with ranges, such as lr = { log = [1e-4, 1e-1] }";
        return Err(Error::setting("--config", problem).into());
    };
    let mut table = read_table(path)?;
    table.remove("record");
    let space = take_ranges(&mut table, &path.display().to_string())?;
    if space.is_empty() {
        let problem = "no ranges in this file, so that all trials would be the same; give some, such as lr = { log = [1e-4, 1e-1] }";
        return Err(Error::setting(path.display().to_string(), problem).into());
    }
    for (key, text) in settings.texts() {
        if space.iter().any(|it| it.key == key) {
            let problem =
                format!("{} has a range for it; leave one of the two out", path.display());
            return Err(Error::setting(format!("--{key}"), problem).into());
        }
        table.insert(key.to_string(), text.into());
    }
    if !table.contains_key("out") {
        let name = Path::new(table.get("table").and_then(toml::Value::as_str).unwrap_or("table"));
        let name = name.file_stem().unwrap_or_default().to_string_lossy();
        table.insert("out".to_string(), format!("runs/{name}-sweep").into());
    }
    let trials = match (args.search, args.trials) {
        (Search::Grid, None) => u32::try_from(grid_trials(&space)?.len()).unwrap_or(u32::MAX),
        (Search::Grid, Some(_)) => {
            let problem =
                "a grid has as many trials as combinations; leave it out, or give --search random";
            return Err(Error::setting("--trials", problem).into());
        }
        (_, Some(0)) => {
            return Err(Error::setting("--trials", "0, but it must be above 0").into());
        }
        (_, trials) => trials.unwrap_or(20),
    };
    let sweep = Sweep { trials, search: args.search, settings: table, space };
    let out = PathBuf::from(sweep.settings.get("out").and_then(toml::Value::as_str).unwrap_or(""));
    RunFolder::check(&out, args.force).map_err(|error| match error {
        Error::Setting { name, problem } if out.join(SWEEP).exists() => {
            let problem = format!("{problem}; or go on with it: wgrad resume {}", quoted(&out));
            Error::Setting { name, problem }
        }
        other => other,
    })?;
    run(&sweep, &out, Verbosity { json: args.json, quiet: args.quiet }, true)
}

/// Goes on with the sweep in a folder.
pub(super) fn resume_sweep(out: &Path, talk: Verbosity) -> Result<Exit, Failure> {
    let path = out.join(SWEEP);
    let text = fs::read_to_string(&path).map_err(|source| Error::file("read", &path, source))?;
    let sweep = toml::from_str(&text)
        .map_err(|error| Error::model_file(&path, format!("damaged: {error}")))?;
    run(&sweep, out, talk, false)
}

impl Sweep {
    /// Returns the trials with their settings, each with its folder.
    fn trials(&self, out: &Path) -> Result<Vec<SweepTrial>> {
        let base = run_config(&self.given(&Vec::new(), out)?)?;
        let seed = base.seed();
        let all = match self.search {
            Search::Grid => grid_trials(&self.space)?,
            Search::Random | Search::Halving => random_trials(&self.space, self.trials, seed),
        };
        let trial = |(number, settings): (usize, TrialSettings)| {
            let folder = out.join(TRIALS).join(number.to_string());
            let config = run_config(&self.given(&settings, &folder)?);
            let config = config.map_err(|error| of_trial(error, number, &settings))?;
            Ok(SweepTrial { number, settings, config })
        };
        all.into_iter().enumerate().map(trial).collect()
    }

    /// Returns settings with those of a trial.
    fn given(&self, trial: &TrialSettings, out: &Path) -> Result<Settings> {
        let base = Settings::default().with_table(self.settings.clone(), SWEEP.to_string());
        let with = |settings: Settings, (key, text): &(String, String)| {
            let key = option_key(key).map_err(|problem| Error::setting(key, problem))?;
            Ok(settings.with(key, text.as_str()))
        };
        Ok(trial.iter().try_fold(base, with)?.with("out", path_text(out)))
    }

    /// Returns the epochs of each round: of successive halving a few, each with three times as many as the one before.
    fn rounds(&self, epochs: u32) -> Vec<u32> {
        let mut rounds = vec![epochs];
        let mut trials = self.trials;
        while self.search == Search::Halving && trials > ETA && rounds[0] >= ETA {
            rounds.insert(0, rounds[0].div_ceil(ETA));
            trials = trials.div_ceil(ETA);
        }
        rounds
    }
}

/// Trains all trials, or goes on with them.
fn run(sweep: &Sweep, out: &Path, talk: Verbosity, begins: bool) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(talk.quiet)?;
    let prepared = prepare(sweep.trials(out)?, talk.quiet)?;
    interrupt.arm();
    let _lock = open_folder(sweep, out, begins)?;
    let mut console = if talk.quiet { Console::quiet() } else { Console::stderr() };
    prepared.format.iter().for_each(|text| console.say("table", text));
    let count = prepared.trials.len();
    let text = format!(
        "the first of {}; the others have other settings",
        pluralize(count as u64, "trial")
    );
    let mut shown =
        introduce(&mut console, (&prepared.info, &text), talk, prepared.warnings.clone())?;
    let told = prepared.trials[0].config.told();
    let rounds = sweep.rounds(told.epochs);
    let judged = Judged { metric: told.stop_metric };
    let table = SweepTable::begin(out, &sweep.space, judged)?;
    let mut earlier = read_rounds(out);
    earlier.truncate(rounds.len().saturating_sub(1));
    let mut going: Vec<usize> = (0..count).collect();
    let mut results: Vec<TrialResult> = Vec::new();
    for (round, &epochs) in rounds.iter().enumerate() {
        let last = round + 1 == rounds.len();
        let of_round = match earlier.get(round) {
            Some(known) => known.clone(),
            None => {
                let under = Round { prepared: &prepared, going: &going, epochs, round, last };
                let (end, of_round) =
                    under.train(&table, (&interrupt, talk), (console, shown.clone()))?;
                console = end.console;
                if end.stopped {
                    report_interrupted(&mut console, out);
                    return Ok(Exit::Interrupted);
                }
                for (place, failure) in &end.failed {
                    shown.insert(format!("{place}: {failure}"));
                }
                of_round
            }
        };
        if last {
            results.extend(of_round);
            break;
        }
        let (on, ended) = halved(&of_round, judged);
        if earlier.len() <= round {
            earlier.push(of_round);
            write_json(&earlier, &out.join(ROUNDS))?;
        }
        for result in &ended {
            table.append(result, &prepared.trials[result.trial].settings)?;
        }
        let text = format!(
            "{} of {} go on after {}",
            on.len(),
            pluralize(going.len() as u64, "trial"),
            pluralize(epochs.into(), "epoch")
        );
        console.say("halving", &text);
        results.extend(ended);
        going = on;
    }
    finish(out, (&prepared, &mut results), (&table, judged), (sweep, talk))?;
    Ok(Exit::Done)
}

/// Writes the results in their order, completes the best trial, and reports.
fn finish(
    out: &Path,
    (prepared, results): (&PreparedSweep, &mut [TrialResult]),
    (table, judged): (&SweepTable, Judged),
    (sweep, talk): (&Sweep, Verbosity),
) -> Result<()> {
    let settings: Vec<&TrialSettings> = prepared.trials.iter().map(|it| &it.settings).collect();
    table.finish(results, &settings)?;
    let ranked = best_first(results, judged);
    let Some(best) = ranked.first().filter(|best| best.value.is_some()) else {
        let metric = judged.metric;
        let problem = format!("no trial came to an end with a value of {metric}: see sweep.csv");
        return Err(Error::model_file(out, problem));
    };
    let ready = complete(prepared, best.trial)?;
    report(out, (&ranked, &settings), (judged, ready), (sweep, talk))
}

/// Makes the folder and records the sweep, or opens that of a sweep that goes on. Keeps other processes out.
fn open_folder(sweep: &Sweep, out: &Path, begins: bool) -> Result<Option<fs::File>> {
    fs::create_dir_all(out).map_err(|source| Error::file("create", out, source))?;
    let lock = super::folder::lock(out)?;
    if begins {
        RunFolder::remove_all(out);
        let trials = out.join(TRIALS);
        // Folders of trials may have folders of folds.
        for entry in fs::read_dir(&trials).into_iter().flatten().flatten() {
            remove_parts(&entry.path().join(FOLDS));
            remove_part(&entry.path());
        }
        remove_parts(&trials);
        let _ = fs::remove_file(out.join(ROUNDS));
        let text =
            toml::to_string(sweep).map_err(|error| Error::setting(SWEEP, error.to_string()))?;
        write_file(out.join(SWEEP), text.as_bytes())?;
    }
    Ok(lock)
}

/// Returns the results of earlier rounds; none where they cannot be read, after which the rounds are judged again.
fn read_rounds(out: &Path) -> Vec<Vec<TrialResult>> {
    let text = fs::read_to_string(out.join(ROUNDS)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Returns the trials of the next round, in their order, and the results of the others.
fn halved(results: &[TrialResult], judged: Judged) -> (Vec<usize>, Vec<TrialResult>) {
    let ranked = best_first(results, judged);
    let with_value = ranked.iter().filter(|it| it.value.is_some()).count();
    let count = results.len().div_ceil(ETA as usize).min(with_value);
    let mut on: Vec<usize> = ranked[..count].iter().map(|it| it.trial).collect();
    on.sort_unstable();
    (on, ranked[count..].iter().map(|it| (*it).clone()).collect())
}

/// Writes the files of the best trial that the others lack: predictions of validation rows, the digest of training rows, and with
/// folds the ensemble. Returns false if the networks of its folds cannot be an ensemble.
fn complete(prepared: &PreparedSweep, best: usize) -> Result<bool> {
    let SweepTrial { config, .. } = &prepared.trials[best];
    let parts = prepared.parts(best, config.told().epochs)?;
    let read = parts.iter().map(|part| TrainedPart::read(&part.folder));
    let trained: Vec<TrainedPart> = read.collect::<Result<_>>()?;
    match &*prepared.rows[best] {
        TrialRows::Split(split) => {
            let Member { model, options, .. } = &parts[0].member;
            let trainer = Trainer::new(model, split, options, &config.device)?;
            let judge = Judge::new(&trainer, split, options);
            judge.write_digest(&config.out)?;
            judge.write_validation(&(&trained[0].trained).into(), &config.out)?;
            Ok(true)
        }
        TrialRows::Folds(table) if check_same_inputs(&table.splits).is_err() => Ok(false),
        TrialRows::Folds(table) => {
            let (trained, info) = (&trained[..], &prepared.info);
            let folds = TrainedFolds { table, parts: &parts, info, trained, config };
            let kept = Kept { ensemble: folds.ensemble()?, refit: None, seconds: 0.0 };
            let talk = Verbosity { json: false, quiet: true };
            folds.finish(&config.out, &kept, talk, &mut Console::quiet())?;
            Ok(true)
        }
    }
}

/// The last event.
#[derive(Serialize)]
struct SweepFinished<'a> {
    event: &'static str,
    run: String,
    trials: usize,
    metric: String,
    best: &'a TrialResult,
    settings: HashMap<&'a str, &'a str>,
}

/// Reports the best trials, and how the best one is used.
fn report(
    out: &Path,
    (ranked, settings): (&[&TrialResult], &[&TrialSettings]),
    (judged, ready): (Judged, bool),
    (sweep, talk): (&Sweep, Verbosity),
) -> Result<()> {
    let best = ranked[0];
    let folder = out.join(TRIALS).join(best.trial.to_string());
    if talk.json {
        let own = settings[best.trial].iter().map(|(key, text)| (key.as_str(), text.as_str()));
        let line = SweepFinished {
            event: "finished",
            run: folder.display().to_string(),
            trials: ranked.len(),
            metric: judged.metric.to_string(),
            best,
            settings: own.collect(),
        };
        return JsonLines::new(Output::new()).line(&line).map_err(failed);
    }
    if talk.quiet {
        return Ok(());
    }
    let mut lines = Output::new();
    for line in best_table(ranked, (settings, &sweep.space), judged) {
        lines.line(&line)?;
    }
    let (text, refit) = match ready {
        true => ("is ready to use", ""),
        // Columns become other inputs in each fold.
        false => ("has a network for each fold, which cannot be one ensemble", " --refit"),
    };
    lines.line(&format!("the best one {text}: {}; to train it again:", folder.display()))?;
    let config = quoted(&folder.join(CONFIG));
    lines.line(&format!("  wgrad train --config {config}{refit} --out OTHER"))?;
    lines.end()
}
