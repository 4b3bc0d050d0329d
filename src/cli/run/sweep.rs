//! `wgrad sweep`: many runs with different settings, side by side, and the best of them.
//!
//! In: a file of settings with ranges, a number of trials. Out: a run folder for each trial, a table of all, the best one ready to
//! use. A killed sweep goes on: finished trials stay, others go on from their checkpoints.
//! Absent on purpose: the drawing of settings; the training of one network.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use super::folds::{FOLDS, Kept, TrainedFolds, check_same_inputs};
use super::members::{introduce, report_interrupted, report_warnings, write_json};
use super::parts::{
    Part, PartsEnd, PartsSettings, TrainedPart, remove_part, remove_parts, train_parts,
};
use super::parts_report::PartPlace;
use super::sweep_results::{Judged, SweepTable, TrialResult, best_first};
use super::sweep_space::{Dimension, TrialSettings, grid_trials, random_trials, take_ranges};
use super::train::Verbosity;
use super::verdict::Judge;
use crate::cli::args::SweepArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::open_run::CONFIG;
use crate::cli::output::{Output, failed};
use crate::cli::settings::{
    FoldedTable, RunConfig, Settings, check_precision, config_text, option_key, path_text,
    read_table, run_config,
};
use crate::cli::tables::with_bar;
use crate::cli::wording::quoted;
use crate::cli::{Exit, Failure};
use crate::data::{ReadProgress, Split};
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::report::{Console, JsonLines, pluralize};
use crate::train::{Member, RunInfo, Trainer, Warning};

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
    space: Vec<Dimension>,
}

/// A trial's settings.
struct Trial {
    number: usize,
    settings: TrialSettings,
    /// For all epochs.
    config: RunConfig,
}

/// Rows of a trial.
enum TrialRows {
    Split(Box<Split>),
    Folds(Box<FoldedTable>),
}

/// Everything that is known before the first trial is trained.
struct PreparedSweep {
    trials: Vec<Trial>,
    rows: Vec<Arc<TrialRows>>,
    info: RunInfo,
    warnings: Vec<Warning>,
    format: Vec<String>,
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
    fn trials(&self, out: &Path) -> Result<Vec<Trial>> {
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
            Ok(Trial { number, settings, config })
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

/// Names the trial that an error is about.
fn of_trial(error: Error, number: usize, settings: &TrialSettings) -> Error {
    let told: Vec<String> = settings.iter().map(|(key, text)| format!("{key} {text}")).collect();
    let place = format!("trial {number} ({})", told.join(", "));
    match error {
        Error::Setting { name, problem } => Error::setting(place, format!("{name}: {problem}")),
        Error::Shape { place: layer, problem } => {
            Error::setting(place, format!("{layer}: {problem}"))
        }
        other => other,
    }
}

/// Reads the rows of each trial, those with the same options once, and checks all settings.
fn prepare(sweep: &Sweep, out: &Path, quiet: bool) -> Result<PreparedSweep> {
    let trials = sweep.trials(out)?;
    let mut tables: HashMap<String, Arc<TrialRows>> = HashMap::new();
    let (mut rows, mut info) = (Vec::new(), None);
    let (mut warnings, mut format) = (Vec::new(), Vec::new());
    for Trial { number, settings, config } in &trials {
        let named = |error| of_trial(error, *number, settings);
        refuse_unsuitable(config).map_err(named)?;
        let key = config.reading_key();
        if !tables.contains_key(&key) {
            let read = with_bar(quiet, &config.table, |progress| read_rows(config, progress));
            let (read, notes, told) = read.map_err(named)?;
            if tables.is_empty() {
                (warnings, format) = (notes, told);
            }
            tables.insert(key.clone(), Arc::new(read));
        }
        let of_trial = Arc::clone(&tables[&key]);
        let split = of_trial.splits()[0];
        let (model, options) =
            (config.model(split).map_err(named)?, config.options(&split.train, None));
        config.check_groups(&model, split).map_err(named)?;
        if info.is_none() {
            let trainer = Trainer::new(&model, split, &options, &config.device).map_err(named)?;
            check_precision(options.precision, &trainer.info().device).map_err(named)?;
            warnings.extend_from_slice(trainer.warnings());
            info = Some(trainer.info().clone());
        }
        rows.push(of_trial);
    }
    let info = info.expect("there is at least one trial");
    Ok(PreparedSweep { trials, rows, info, warnings, format })
}

/// Refuses settings of a run that have no meaning in a sweep.
fn refuse_unsuitable(config: &RunConfig) -> Result<()> {
    if config.members > 1 {
        let problem = "a trial is one network, or one for each of --folds; train the best one's ensemble afterwards";
        return Err(Error::setting("--members", problem));
    }
    if config.fold.is_some() {
        return Err(Error::setting("--fold", "a sweep judges by all folds; leave it out"));
    }
    if config.refit {
        let problem = "the best trial is trained on all rows by `wgrad train` with its config.toml and --refit; leave it out";
        return Err(Error::setting("--refit", problem));
    }
    if config.lr_is_auto {
        let problem = "trials are compared with given rates; give a number, or a range";
        return Err(Error::setting("--lr", problem));
    }
    if config.starts_from_file() {
        let problem = "trials begin with random weights; leave --init FILE out";
        return Err(Error::setting("--init", problem));
    }
    Ok(())
}

/// Reads the rows of a trial. Returns with them remarks on the rows and on the form of the table.
fn read_rows(
    config: &RunConfig,
    progress: ReadProgress,
) -> Result<(TrialRows, Vec<Warning>, Vec<String>)> {
    if config.folds > 0 {
        let table = config.data_of_folds(progress)?;
        check_same_inputs(&table.splits)?;
        let (notes, format) = (table.notes.clone(), table.format.clone());
        return Ok((TrialRows::Folds(Box::new(table)), notes, format));
    }
    let table = config.data(None, progress)?;
    if table.data.valid.is_none() {
        let problem = "trials are judged by validation rows, and there are none; give --valid a share, or --folds";
        return Err(Error::setting("--valid", problem));
    }
    Ok((TrialRows::Split(Box::new(table.data)), table.notes, table.format))
}

impl TrialRows {
    fn splits(&self) -> Vec<&Split> {
        match self {
            Self::Split(split) => vec![split],
            Self::Folds(table) => table.splits.iter().collect(),
        }
    }
}

impl PreparedSweep {
    /// Returns the networks of a trial, for so many epochs.
    fn parts(&self, trial: usize, epochs: u32) -> Result<Vec<Part>> {
        let Trial { number, config, .. } = &self.trials[trial];
        let config = match epochs == config.told().epochs {
            true => config.clone(),
            false => config.for_epochs(epochs),
        };
        let rows = &self.rows[trial];
        let several = matches!(**rows, TrialRows::Folds(_));
        let part = |(fold, split): (usize, &Split)| {
            let (own, place) = match several {
                false => (config.clone(), vec![("trial", *number)]),
                true => {
                    let folder = config.out.join(FOLDS).join(fold.to_string());
                    let own = config.of_fold(fold as u32, folder);
                    (own, vec![("trial", *number), ("fold", fold)])
                }
            };
            let (model, options) = (own.model(split)?, own.options(&split.train, None));
            let text = config_text(&own, &options, &self.info)?;
            let folder = own.out.clone();
            let member = Member { model, data: split.clone(), options };
            Ok(Part { folder, config: text, member, weights: None, place: PartPlace(place) })
        };
        rows.splits().into_iter().enumerate().map(part).collect()
    }
}

/// Trains all trials, or goes on with them.
fn run(sweep: &Sweep, out: &Path, talk: Verbosity, begins: bool) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(talk.quiet)?;
    let prepared = prepare(sweep, out, talk.quiet)?;
    interrupt.arm();
    let _lock = open_folder(sweep, out, begins)?;
    let mut console = if talk.quiet { Console::quiet() } else { Console::stderr() };
    prepared.format.iter().for_each(|text| console.say("table", text));
    let count = prepared.trials.len();
    let mut shown =
        introduce(&mut console, (&prepared.info, count), talk, prepared.warnings.clone())?;
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
                let under = Round { prepared: &prepared, going: &going, epochs, last };
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
    let settings: Vec<&TrialSettings> = prepared.trials.iter().map(|it| &it.settings).collect();
    table.finish(&mut results, &settings)?;
    let ranked = best_first(&results, judged);
    let Some(best) = ranked.first().filter(|best| best.value.is_some()) else {
        let problem =
            format!("no trial came to an end with a value of {}: see sweep.csv", judged.metric);
        return Err(Error::model_file(out, problem).into());
    };
    complete(&prepared, best.trial)?;
    report(out, (&ranked, &settings), judged, (sweep, talk))?;
    Ok(Exit::Done)
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

/// Trials that are trained for the same epochs.
struct Round<'a> {
    prepared: &'a PreparedSweep,
    going: &'a [usize],
    epochs: u32,
    last: bool,
}

impl Round<'_> {
    /// Trains the trials. Returns the result of each, in their order.
    fn train(
        &self,
        table: &SweepTable,
        (interrupt, talk): (&Interrupt, Verbosity),
        console: (Console, HashSet<String>),
    ) -> Result<(PartsEnd, Vec<TrialResult>), Failure> {
        let Self { prepared, going, epochs, last } = *self;
        let config = &prepared.trials[0].config;
        let own = going.iter().map(|&trial| prepared.parts(trial, self.epochs_of(trial)));
        let by_trial: Vec<Vec<Part>> = own.collect::<Result<_>>()?;
        if !matches!(*prepared.rows[0], TrialRows::Split(_)) {
            self.write_configs(&by_trial)?;
        }
        let folders: Vec<Vec<PathBuf>> = by_trial
            .iter()
            .map(|parts| parts.iter().map(|it| it.folder.clone()).collect())
            .collect();
        let places: Vec<usize> =
            by_trial.iter().enumerate().flat_map(|(at, parts)| vec![at; parts.len()]).collect();
        let parts: Vec<Part> = by_trial.into_iter().flatten().collect();
        // A trial's row is there as soon as its last network is trained.
        let left: Vec<usize> = folders.iter().map(Vec::len).collect();
        let left = Mutex::new(left);
        let judged = table.judged();
        let finished: HashSet<usize> =
            (0..parts.len()).filter(|&it| parts[it].is_finished()).collect();
        let ended = |part: usize| -> Result<()> {
            let at = places[part];
            let mut left = left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            left[at] -= 1;
            if left[at] == 0 && last {
                let result = TrialResult::read(going[at], &folders[at], (epochs, judged))?;
                table.append(&result, &prepared.trials[going[at]].settings)?;
            }
            Ok(())
        };
        finished.iter().try_for_each(|&part| ended(part))?;
        let settings = PartsSettings {
            word: "trial",
            on_end: &ended,
            device: &config.device,
            checkpoints: config.checkpoints,
            interrupt,
            talk,
        };
        let mut end = train_parts(&parts, &settings, console)?;
        for (part, failure) in &end.failed {
            end.console.warn(&format!("{}: {failure}", parts[*part].place.text()));
        }
        if end.stopped {
            return Ok((end, Vec::new()));
        }
        let failures: HashMap<usize, String> =
            end.failed.iter().map(|(part, failure)| (places[*part], failure.to_string())).collect();
        let result = |at: usize| match failures.get(&at) {
            Some(problem) => Ok(TrialResult::failed(going[at], epochs, problem)),
            None => TrialResult::read(going[at], &folders[at], (epochs, judged)),
        };
        let results = (0..going.len()).map(result).collect::<Result<Vec<_>>>()?;
        if last {
            for result in results.iter().filter(|it| it.problem.is_some()) {
                table.append(result, &prepared.trials[result.trial].settings)?;
            }
        }
        Ok((end, results))
    }

    /// Returns the epochs of a trial in this round; the last round has all of its own.
    fn epochs_of(&self, trial: usize) -> u32 {
        let all = self.prepared.trials[trial].config.told().epochs;
        if self.last { all } else { self.epochs.min(all) }
    }

    /// Writes the settings of trials that have a network for each fold.
    fn write_configs(&self, by_trial: &[Vec<Part>]) -> Result<()> {
        for (&trial, parts) in self.going.iter().zip(by_trial) {
            let config = &self.prepared.trials[trial].config;
            let options = &parts[0].member.options;
            let options = crate::train::TrainOptions {
                seed: config.told().seed,
                epochs: config.told().epochs,
                schedule_epochs: config.told().schedule_epochs,
                ..options.clone()
            };
            let text = config_text(config, &options, &self.prepared.info)?;
            let folder = &config.out;
            fs::create_dir_all(folder).map_err(|source| Error::file("create", folder, source))?;
            write_file(folder.join(CONFIG), text.as_bytes())?;
        }
        Ok(())
    }
}

/// Writes the files of the best trial that the others lack: predictions of validation rows, the digest of training rows, and with
/// folds the ensemble.
fn complete(prepared: &PreparedSweep, best: usize) -> Result<()> {
    let Trial { config, .. } = &prepared.trials[best];
    let parts = prepared.parts(best, config.told().epochs)?;
    let read = parts.iter().map(|part| TrainedPart::read(&part.folder));
    let trained: Vec<TrainedPart> = read.collect::<Result<_>>()?;
    match &*prepared.rows[best] {
        TrialRows::Split(split) => {
            let Member { model, options, .. } = &parts[0].member;
            let trainer = Trainer::new(model, split, options, &config.device)?;
            let judge = Judge::new(&trainer, split, options);
            judge.write_digest(&config.out)?;
            judge.write_validation(&(&trained[0].trained).into(), &config.out)
        }
        TrialRows::Folds(table) => {
            let (trained, info) = (&trained[..], &prepared.info);
            let folds = TrainedFolds { table, parts: &parts, info, trained, config };
            let kept = Kept { ensemble: folds.ensemble()?, refit: None, seconds: 0.0 };
            let talk = Verbosity { json: false, quiet: true };
            folds.finish(&config.out, &kept, talk, &mut Console::quiet())
        }
    }
}

/// The last event.
#[derive(Serialize)]
struct Finished<'a> {
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
    judged: Judged,
    (sweep, talk): (&Sweep, Verbosity),
) -> Result<()> {
    let best = ranked[0];
    let folder = out.join(TRIALS).join(best.trial.to_string());
    if talk.json {
        let own = settings[best.trial].iter().map(|(key, text)| (key.as_str(), text.as_str()));
        let line = Finished {
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
    let mut out_lines = Output::new();
    for line in super::sweep_results::best_table(ranked, (settings, &sweep.space), judged) {
        out_lines.line(&line)?;
    }
    out_lines
        .line(&format!("the best one is ready to use: {}; to train it again:", folder.display()))?;
    out_lines
        .line(&format!("  wgrad train --config {} --out OTHER", quoted(&folder.join(CONFIG))))?;
    report_warnings(&mut Console::stderr(), talk, Vec::new())
}
