//! The trials of a sweep: their rows and networks, and the training of some of them for the same epochs.
//!
//! In: settings of trials. Out: a run folder for each, its result.
//! Absent on purpose: which trials there are, and which of them go on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::parts::{PartsEnd, PartsSettings, RunPart, train_parts};
use super::parts_report::PartPlace;
use super::sweep_results::{SettingsByTrial, SweepTable, TrialResult};
use super::sweep_space::TrialSettings;
use super::verbosity::Verbosity;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::open_run::{CONFIG, FOLDS};
use crate::cli::settings::{FoldedTable, RunConfig, check_precision, config_text};
use crate::cli::tables::with_bar;
use crate::data::{ReadProgress, Split};
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::report::Console;
use crate::train::{Member, RunInfo, TrainOptions, Trainer, Warning};

/// Number of further trials that are looked at to see if an error or a warning is of one trial alone.
const OTHERS: usize = 3;

/// A trial's settings.
pub(super) struct SweepTrial {
    pub(super) number: usize,
    pub(super) settings: TrialSettings,
    /// For all epochs.
    pub(super) config: RunConfig,
}

/// Rows of a trial.
pub(super) enum TrialRows {
    Split(Box<Split>),
    Folds(Box<FoldedTable>),
}

/// Everything that is known before the first trial is trained.
pub(super) struct PreparedSweep {
    /// The trials to train, by their numbers.
    pub(super) trials: BTreeMap<usize, SweepTrial>,
    /// Rows of each trial.
    pub(super) rows: BTreeMap<usize, Arc<TrialRows>>,
    pub(super) info: RunInfo,
    pub(super) warnings: Vec<Warning>,
    pub(super) format: Vec<String>,
}

/// Returns true for a warning of layers, loss and settings that do not go together.
fn is_mistake(warning: &Warning) -> bool {
    matches!(warning, Warning::Mistake { .. })
}

/// Names the trial that an error is about, unless it is about all of them: then each has the same one.
fn named<'a>(
    error: Error,
    trial: &SweepTrial,
    all: impl IntoIterator<Item = &'a SweepTrial>,
    check: &dyn Fn(&SweepTrial) -> Result<()>,
) -> Error {
    let text = error.to_string();
    let is_same = |it: &SweepTrial| check(it).err().is_some_and(|other| other.to_string() == text);
    let is_shared = all.into_iter().filter(|it| it.number != trial.number).all(is_same);
    if is_shared { error } else { of_trial(error, trial.number, &trial.settings) }
}

/// Names the trial that an error is about.
pub(super) fn of_trial(error: Error, number: usize, settings: &TrialSettings) -> Error {
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

/// Reads the rows of each trial that is `own`, those with the same options once, and checks all settings. The device is
/// chosen by the first trial of all, so that each shard of a sweep has that of the whole.
pub(super) fn prepare(
    all: Vec<SweepTrial>,
    own: impl Fn(usize) -> bool,
    quiet: bool,
) -> Result<PreparedSweep> {
    let mut tables: HashMap<String, Arc<TrialRows>> = HashMap::new();
    let (mut trials, mut rows, mut info) = (BTreeMap::new(), BTreeMap::new(), None);
    let (mut warnings, mut format) = (Vec::new(), Vec::new());
    for (place, trial) in all.iter().enumerate() {
        if place > 0 && !own(trial.number) {
            continue;
        }
        let SweepTrial { number, config, .. } = trial;
        // A check of one trial, whose error is of all if the others have the same one.
        let checked = |check: &dyn Fn(&SweepTrial) -> Result<()>| {
            check(trial).map_err(|error| named(error, trial, &all, check))
        };
        checked(&|it| refuse_unsuitable(&it.config))?;
        let key = config.reading_key();
        if !tables.contains_key(&key) {
            let read = with_bar(quiet, &config.table, |progress| read_rows(config, progress));
            let (read, notes, told) = read.map_err(|error| {
                // Reading takes time, so that a few of the others speak for all.
                let mut keys = HashSet::from([key.clone()]);
                let mut few: Vec<&SweepTrial> =
                    all.iter().filter(|it| keys.insert(it.config.reading_key())).collect();
                few.truncate(OTHERS);
                named(error, trial, few, &|it| {
                    with_bar(true, &it.config.table, |progress| read_rows(&it.config, progress))
                        .map(|_| ())
                })
            })?;
            if tables.is_empty() {
                (warnings, format) = (notes, told);
            }
            tables.insert(key.clone(), Arc::new(read));
        }
        let own_rows = Arc::clone(&tables[&key]);
        let split = own_rows.splits()[0];
        checked(&|it| {
            let model = it.config.model(split)?;
            it.config.check_groups(&model, split).map(|_| ())
        })?;
        if info.is_none() {
            let begun = |it: &SweepTrial| -> Result<(Vec<Warning>, RunInfo)> {
                let (model, options) =
                    (it.config.model(split)?, it.config.options(&split.train, None));
                let trainer = Trainer::new(&model, split, &options, &it.config.device)?;
                check_precision(options.precision, &trainer.info().device)?;
                Ok((trainer.warnings().to_vec(), trainer.info().clone()))
            };
            let (mut notes, known) = begun(trial)
                .map_err(|error| named(error, trial, &all, &|it| begun(it).map(|_| ())))?;
            if notes.iter().any(is_mistake) {
                // Settings of this trial that do not go together may be those that are tried.
                let same_rows = |it: &&SweepTrial| it.config.reading_key() == key;
                for other in all.iter().filter(same_rows).skip(1).take(OTHERS) {
                    let theirs = begun(other).map(|it| it.0).unwrap_or_default();
                    notes.retain(|it| !is_mistake(it) || theirs.contains(it));
                }
            }
            warnings.extend(notes);
            info = Some(known);
        }
        if own(*number) {
            rows.insert(*number, own_rows);
        }
    }
    trials.extend(all.into_iter().filter(|it| own(it.number)).map(|it| (it.number, it)));
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
    if config.time_budget.is_some() {
        let problem = "trials are compared after the epochs that they are given; give --epochs, or take `wgrad tune`, whose budget is for all trials";
        return Err(Error::setting("--time-budget", problem));
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
    /// Returns the settings of the first trial, of which some are the same for all.
    pub(super) fn first(&self) -> &RunConfig {
        &self.trials.first_key_value().expect("there is at least one trial").1.config
    }

    /// Returns the settings that are tried, by the numbers of the trials.
    pub(super) fn settings(&self) -> SettingsByTrial<'_> {
        self.trials.iter().map(|(number, trial)| (*number, &trial.settings)).collect()
    }

    /// Returns the networks of a trial, for so many epochs.
    pub(super) fn parts(&self, trial: usize, epochs: u32) -> Result<Vec<RunPart>> {
        let SweepTrial { number, config, .. } = &self.trials[&trial];
        let config = match epochs == config.told().epochs {
            true => config.clone(),
            false => config.for_epochs(epochs),
        };
        let rows = &self.rows[&trial];
        // Trials are in the folder `trials` of the sweep's.
        let logs = config.out.ancestors().nth(2).and_then(|sweep| config.tensorboard_of(sweep));
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
            let place = PartPlace(place);
            let tensorboard = logs.as_ref().map(|logs| logs.join(place.folder()));
            Ok(RunPart { folder, config: text, member, weights: None, tensorboard, place })
        };
        rows.splits().into_iter().enumerate().map(part).collect()
    }
}

/// Trials that are trained for the same epochs.
pub(super) struct Round<'a> {
    pub(super) prepared: &'a PreparedSweep,
    /// Numbers of the trials.
    pub(super) going: &'a [usize],
    pub(super) epochs: u32,
    /// Number of rounds before.
    pub(super) round: usize,
    /// True if no round follows.
    pub(super) last: bool,
}

impl Round<'_> {
    /// Trains the trials. Returns the result of each, in their order.
    pub(super) fn train(
        &self,
        table: &SweepTable,
        (interrupt, talk): (&Interrupt, Verbosity),
        console: (Console, HashSet<String>),
    ) -> Result<(PartsEnd, Vec<TrialResult>), Failure> {
        let Self { prepared, going, round, last, .. } = *self;
        let config = prepared.first();
        let own = going.iter().map(|&trial| prepared.parts(trial, self.epochs_of(trial)));
        let by_trial: Vec<Vec<RunPart>> = own.collect::<Result<_>>()?;
        if config.folds > 0 {
            self.write_configs(&by_trial)?;
        }
        let folders: Vec<Vec<PathBuf>> = by_trial
            .iter()
            .map(|parts| parts.iter().map(|it| it.folder.clone()).collect())
            .collect();
        let places: Vec<usize> =
            by_trial.iter().enumerate().flat_map(|(at, parts)| vec![at; parts.len()]).collect();
        let parts: Vec<RunPart> = by_trial.into_iter().flatten().collect();
        // A trial's row is there as soon as its last network is trained.
        let left: Vec<usize> = folders.iter().map(Vec::len).collect();
        let left = Mutex::new(left);
        let judged = table.judged();
        let finished: HashSet<usize> =
            (0..parts.len()).filter(|&it| parts[it].is_finished()).collect();
        let ended = |part: usize| -> Result<()> {
            let at = places[part];
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            left[at] -= 1;
            if left[at] == 0 && last {
                let under = (self.epochs_of(going[at]), round, judged);
                let result = TrialResult::read(going[at], &folders[at], under)?;
                table.append(&result, &prepared.trials[&going[at]].settings)?;
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
        let problems: HashMap<usize, String> =
            end.failed.iter().map(|(part, failure)| (places[*part], failure.to_string())).collect();
        let results = self.results(&folders, &problems, table)?;
        Ok((end, results))
    }

    /// Returns the results of trials with these folders; `problems` has those that could not be trained.
    fn results(
        &self,
        folders: &[Vec<PathBuf>],
        problems: &HashMap<usize, String>,
        table: &SweepTable,
    ) -> Result<Vec<TrialResult>> {
        let Self { prepared, going, round, last, .. } = *self;
        let result = |at: usize| {
            let epochs = self.epochs_of(going[at]);
            match problems.get(&at) {
                Some(problem) => Ok(TrialResult::failed(going[at], (epochs, round), problem)),
                None => TrialResult::read(going[at], &folders[at], (epochs, round, table.judged())),
            }
        };
        let results = (0..going.len()).map(result).collect::<Result<Vec<_>>>()?;
        for result in results.iter().filter(|it| last && it.problem.is_some()) {
            table.append(result, &prepared.trials[&result.trial].settings)?;
        }
        Ok(results)
    }

    /// Returns the epochs of a trial in this round; the last round has all of its own.
    fn epochs_of(&self, trial: usize) -> u32 {
        let all = self.prepared.trials[&trial].config.told().epochs;
        if self.last { all } else { self.epochs.min(all) }
    }

    /// Writes the settings of trials that have a network for each fold.
    fn write_configs(&self, by_trial: &[Vec<RunPart>]) -> Result<()> {
        for (&trial, parts) in self.going.iter().zip(by_trial) {
            let config = &self.prepared.trials[&trial].config;
            let options = &parts[0].member.options;
            let options = TrainOptions {
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
