//! `wgrad sweep`: many runs with different settings, side by side, and the best of them.
//!
//! In: a file of settings with ranges, a number of trials. Out: a run folder for each trial, a table of all, the best one ready to
//! use. A killed sweep goes on: finished trials stay, others go on from their checkpoints.
//! Absent on purpose: the drawing of settings; the training of one network.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::folder::{RunFolder, remove_networks, remove_parts};
use super::folds::{Kept, TrainedFolds, check_same_inputs};
#[cfg(feature = "pictures")]
use super::members::warn_unwritten;
use super::members::{introduce, report_interrupted, write_json};
use super::parts::TrainedPart;
use super::ranks::check_alone;
use super::sweep_merge::merge_sweep;
use super::sweep_results::{
    Judged, SettingsByTrial, SweepTable, TrialResult, TriedSettings, best_first, best_table,
};
use super::sweep_shard::{SHARD_END, Shard, ShardEnd, TableChecksums, device_text};
use super::sweep_space::{
    SearchDimension, TrialSettings, grid_trials, is_refused, put_values, random_trials,
    take_ranges, with_values,
};
use super::sweep_trials::{PreparedSweep, Round, SweepTrial, TrialRows, of_trial, prepare};
use super::time_budget::{measure_epoch, time_text, within};
use super::tune_end::{TuneRecord, finish_tune};
use super::verbosity::Verbosity;
use super::verdict::Judge;
use crate::cli::args::SweepArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::open_run::{CONFIG, REPORT, SWEEP, SWEEP_RESULTS, TRIALS};
use crate::cli::output::{Output, failed};
#[cfg(feature = "pictures")]
use crate::cli::pictures::sweep_report;
use crate::cli::settings::{
    OF_OPTIMIZER, OF_PLAIN, RunConfig, Settings, TargetKinds, all_layers, option_key, path_of,
    path_text, read_table, run_config_knowing, text_of,
};
use crate::cli::wording::quoted;
use crate::cli::{Exit, Failure, next};
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::report::{Console, JsonLines, count, pluralize};
use crate::train::{Member, Metric, Trainer, Warning};

/// The results of earlier rounds, by which trials went on or not.
const ROUNDS: &str = "rounds.json";
/// Of successive halving, the factor of epochs from round to round, and the share of trials that go on.
const ETA: u32 = 3;
/// Number of trials of `wgrad tune` that compete with one another: three of them come to the end, and may be members of the ensemble.
const BRACKET: usize = 9;

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
pub(super) struct Sweep {
    pub(super) trials: u32,
    pub(super) search: Search,
    /// Settings that all trials have.
    pub(super) settings: toml::Table,
    pub(super) space: Vec<SearchDimension>,
    /// The part of the trials that is trained here, if not all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shard: Option<Shard>,
    /// The tables of a sweep in shards, which have to have the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tables: Option<TableChecksums>,
    /// Kinds of targets for which a recipe has settings, so that no table is read to see them again.
    #[serde(default, skip_serializing_if = "TargetKinds::is_empty")]
    pub(super) target_kinds: TargetKinds,
    /// Of `wgrad tune`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tune: Option<TuneRecord>,
    /// Why the best of the trials is not known by their losses, if it is not.
    #[serde(skip)]
    pub(super) incomparable: Option<String>,
}

pub(crate) fn sweep(args: &SweepArgs) -> Result<Exit, Failure> {
    if !args.merge.is_empty() {
        return merge_sweep(args);
    }
    if args.allow_missing {
        let problem = "it changes nothing without --merge; leave it out";
        return Err(Error::setting("--allow-missing", problem).into());
    }
    let shard = args.shard.as_deref().map(Shard::read).transpose()?;
    if shard.is_none() {
        check_alone("a sweep without --shard")?;
    }
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
    let typed: Vec<&str> = settings.texts().map(|it| it.0).collect();
    check_layers(&table, &space, (&typed, path))?;
    let part = shard.map_or(String::new(), |it| format!("-{}-of-{}", it.number, it.of));
    let out = place_out(&mut table, &format!("-sweep{part}"));
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
    if let Some(shard) = shard {
        shard.check(args.search, trials)?;
    }
    // Each seed would draw validation rows of its own, and figures of different rows do not compare.
    if space.iter().any(|it| it.key == "seed") && !table.contains_key("split-seed") {
        table.insert("split-seed".to_string(), 0.into());
    }
    let (tables, target_kinds) = (None, TargetKinds::default());
    let mut sweep = Sweep {
        trials,
        search: args.search,
        settings: table,
        space,
        shard,
        tables,
        target_kinds,
        tune: None,
        incomparable: None,
    };
    check_folder(&out, args.force)?;
    let tried: Vec<String> = sweep.space.iter().map(|it| it.key.clone()).collect();
    let placed = |error| as_given(error, (&typed, &tried), path);
    if shard.is_some() {
        let base = sweep.base(&out).map_err(placed)?;
        sweep.tables = Some(TableChecksums::of(&base)?);
    }
    let ended = run(sweep, &out, Verbosity::of_training(&args.output), true);
    ended.map_err(|failure| Failure { error: Box::new(placed(*failure.error)), ..failure })
}

/// Names the place where a setting was given, in an error that names the record in the sweep's folder.
pub(super) fn as_given(error: Error, (typed, tried): (&[&str], &[String]), file: &Path) -> Error {
    let Error::Setting { name, problem } = error else { return error };
    let problem = problem.replace(&format!("{SWEEP}: "), &format!("{}: ", file.display()));
    // A value of a range is given to each trial as it would be typed.
    if let Some(key) = name.strip_prefix("--").filter(|key| tried.iter().any(|it| it == key)) {
        return Error::Setting { name: format!("{}: {key}", file.display()), problem };
    }
    let record = name.strip_prefix(SWEEP).and_then(|rest| rest.strip_prefix(": "));
    let name = match record {
        None if name == SWEEP => file.display().to_string(),
        Some("table") if typed.contains(&"table") => "TABLE".to_string(),
        Some(key) if typed.contains(&key) => format!("--{key}"),
        Some(key) => format!("{}: {key}", file.display()),
        None => name,
    };
    Error::Setting { name, problem }
}

/// Refuses all layers beside ranges of what is part of plain networks: a trial would have but one of the two.
pub(super) fn check_layers(
    settings: &toml::Table,
    space: &[SearchDimension],
    (typed, file): (&[&str], &Path),
) -> Result<()> {
    let tried = |key: &str| space.iter().any(|it| !it.variable && it.key == key);
    if !settings.contains_key("layers") && !tried("layers") {
        return Ok(());
    }
    let of_plain = |key: &&&str| tried(key) || tried("layers") && settings.contains_key(**key);
    let Some(key) = OF_PLAIN.iter().find(of_plain) else { return Ok(()) };
    let place = |key: &str| match typed.contains(&key) {
        true => format!("--{key}"),
        false => format!("{}: {key}", file.display()),
    };
    let layers = if typed.contains(&"layers") { "--layers" } else { "layers" };
    Err(Error::setting(place(key), all_layers(layers)))
}

/// Returns the folder of a sweep, and puts one named after its table into the settings where none is given.
pub(super) fn place_out(settings: &mut toml::Table, ending: &str) -> PathBuf {
    let text = |key: &str| settings.get(key).and_then(toml::Value::as_str).map(str::to_string);
    let out = text("out").unwrap_or_else(|| {
        let name = PathBuf::from(text("table").unwrap_or_else(|| "table".to_string()));
        let name = name.file_stem().unwrap_or_default().to_string_lossy();
        format!("runs/{name}{ending}")
    });
    settings.entry("out").or_insert_with(|| out.clone().into());
    path_of(&out)
}

/// Refuses a folder in which something is, unless that is to be replaced.
pub(super) fn check_folder(out: &Path, force: bool) -> Result<()> {
    RunFolder::check(out, force).map_err(|error| match error {
        Error::Setting { name, problem } if out.join(SWEEP).exists() => {
            let problem = format!("{problem}; or go on with it: wgrad resume {}", quoted(out));
            Error::Setting { name, problem }
        }
        other => other,
    })
}

/// Goes on with the sweep in a folder.
pub(super) fn resume_sweep(out: &Path, talk: Verbosity) -> Result<Exit, Failure> {
    let mut sweep = Sweep::read(out)?;
    if let Some(began) = sweep.tables.clone() {
        let config = sweep.base(out)?;
        if let Some(other) = TableChecksums::of(&config)?.other_than(&began) {
            let problem = format!(
                "the {other} is not as it was when the sweep began, so that its trials would not compare with those of other shards; \
                 go on with the table as it was, or begin all shards again with --force"
            );
            return Err(Error::table(config.table.display().to_string(), problem).into());
        }
    }
    run(sweep, out, talk, false)
}

impl Sweep {
    /// Reads the record in a sweep's folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(SWEEP);
        let text =
            fs::read_to_string(&path).map_err(|source| Error::file("read", &path, source))?;
        toml::from_str(&text).map_err(|error| Error::model_file(&path, format!("damaged: {error}")))
    }

    /// Records the sweep in its folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let text =
            toml::to_string(self).map_err(|error| Error::setting(SWEEP, error.to_string()))?;
        write_file(folder.join(SWEEP), text.as_bytes())
    }

    /// Returns the settings that all trials have.
    pub(super) fn base(&mut self, out: &Path) -> Result<RunConfig> {
        // Settings of an optimizer are those of the ones that are tried.
        let variables = self.space.iter().filter(|it| it.variable || it.key == "optimizer");
        let first = variables.map(|it| (it.key.clone(), it.range.first())).collect();
        run_config_knowing(&self.given(&first, out)?, &mut self.target_kinds)
    }

    /// Returns what trials with these settings have.
    fn tried<'a>(&'a self, settings: &'a SettingsByTrial<'a>) -> TriedSettings<'a> {
        let note = self.incomparable.as_deref();
        TriedSettings { settings, space: &self.space, shared: &self.settings, note }
    }

    /// Returns true if a trial is trained here.
    pub(super) fn has(&self, trial: usize) -> bool {
        self.shard.is_none_or(|shard| shard.has(trial))
    }

    /// Returns all trials with their settings, each with its folder.
    pub(super) fn trials(&mut self, out: &Path) -> Result<Vec<SweepTrial>> {
        let seed = self.base(out)?.seed();
        let all = match self.search {
            Search::Grid => grid_trials(&self.space)?,
            Search::Random | Search::Halving => random_trials(&self.space, self.trials, seed),
        };
        let mut trials = Vec::new();
        for (number, settings) in all.iter().enumerate() {
            match self.config_of(number, settings, out) {
                Ok(config) => {
                    trials.push(SweepTrial { number, settings: settings.clone(), config });
                }
                Err(error) => {
                    // An error of the first trial may be one of all.
                    let mut others = all.iter().enumerate().skip(1);
                    let mut of_other = |(other, settings): (usize, &TrialSettings)| {
                        self.config_of(other, settings, out).err().map(|it| it.to_string())
                    };
                    let text = Some(error.to_string());
                    if number == 0 && others.all(|it| of_other(it) == text) {
                        return Err(error);
                    }
                    return Err(of_trial(error, number, settings));
                }
            }
        }
        self.incomparable = incomparable(&trials, &mut self.target_kinds);
        Ok(trials)
    }

    /// Returns the settings of a run for a trial.
    fn config_of(
        &mut self,
        number: usize,
        settings: &TrialSettings,
        out: &Path,
    ) -> Result<RunConfig> {
        let folder = out.join(TRIALS).join(number.to_string());
        let given = self.given(settings, &folder)?;
        run_config_knowing(&given, &mut self.target_kinds)
    }

    /// Returns settings with those of a trial.
    fn given(&self, trial: &TrialSettings, out: &Path) -> Result<Settings> {
        let whole = |text: &str| with_values(text, &self.space, trial);
        let mut same = self.settings.clone();
        for (_, value) in same.iter_mut().filter(|(key, _)| !is_refused(key)) {
            put_values(value, &whole);
        }
        if !same.contains_key("recipe") {
            // Trials are around the defaults, whatever the table.
            same.insert("recipe".to_string(), "plain".into());
        }
        // Beside an optimizer that is tried they count as given with it, and not as those of a file's optimizer.
        let mut of_optimizer: Vec<(&'static str, String)> = Vec::new();
        if trial.iter().any(|(key, _)| key == "optimizer") {
            for key in OF_OPTIMIZER {
                let text = same.get(key).and_then(text_of);
                of_optimizer.extend(text.inspect(|_| _ = same.remove(key)).map(|text| (key, text)));
            }
        }
        let base = Settings::default().with_table(same, SWEEP.to_string());
        let base = of_optimizer.into_iter().fold(base, |all, (key, text)| all.with(key, text));
        let variable = |key: &String| self.space.iter().any(|it| it.variable && it.key == *key);
        let with = |settings: Settings, (key, text): &(String, String)| {
            let key = option_key(key).map_err(|problem| Error::setting(key, problem))?;
            Ok(settings.with(key, whole(text)))
        };
        let mut options = trial.iter().filter(|(key, _)| !variable(key));
        Ok(options.try_fold(base, with)?.with("out", path_text(out)))
    }

    /// Warns of trials of a grid that have the settings of others, as when a variable stands in none of their texts.
    fn repeated(&self, trials: &SettingsByTrial<'_>) -> Result<Option<Warning>> {
        if self.search != Search::Grid {
            return Ok(None);
        }
        let given = trials.values().map(|trial| self.given(trial, Path::new("")));
        let texts = given.map(|settings| Ok(format!("{:?}", settings?)));
        let different: HashSet<String> = texts.collect::<Result<_>>()?;
        let repeated = trials.len() - different.len();
        let problem = format!(
            "{} of {} {} the settings of others, and the same results, since not all variables stand in their texts",
            count(repeated as u64),
            pluralize(trials.len() as u64, "trial"),
            if repeated == 1 { "has" } else { "have" }
        );
        Ok((repeated > 0).then_some(Warning::Noted { problem }))
    }

    /// Returns the number of trials that compete with one another: all, or of `wgrad tune` nine at a time.
    fn bracket(&self) -> usize {
        if self.tune.is_some() { BRACKET } else { self.trials.max(1) as usize }
    }

    /// Says how many trials there are.
    fn networks_text(&self, here: usize) -> String {
        if let Some(TuneRecord { time: Some(time), .. }) = self.tune {
            return format!(
                "the first of at most {}, {BRACKET} after {BRACKET} for {}",
                pluralize(here as u64, "trial"),
                time_text(time)
            );
        }
        format!(
            "the first of {}{}; the others have other settings",
            pluralize(self.trials.into(), "trial"),
            self.shard
                .map_or(String::new(), |shard| format!(", {here} of which are in shard {shard}"))
        )
    }

    /// Returns the epochs of each round: of successive halving a few, each with three times as many as the one before.
    fn rounds(&self, trials: usize, epochs: u32) -> Vec<u32> {
        let mut rounds = vec![epochs];
        let mut trials = u32::try_from(trials).unwrap_or(u32::MAX);
        while self.search == Search::Halving && trials > ETA && rounds[0] >= ETA {
            rounds.insert(0, rounds[0].div_ceil(ETA));
            trials = trials.div_ceil(ETA);
        }
        rounds
    }
}

/// Trains all trials, or goes on with them.
pub(super) fn run(
    mut sweep: Sweep,
    out: &Path,
    talk: Verbosity,
    begins: bool,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(talk.quiet)?;
    let mut begun = Instant::now();
    if begins {
        let base = sweep.base(out)?;
        RunFolder::check_tables(out, base.tables()).map_err(|error| base.locate(error))?;
    }
    let trials = sweep.trials(out)?;
    let mut prepared = prepare(trials, |trial| sweep.has(trial), talk.quiet)?;
    let repeated = sweep.repeated(&prepared.settings())?;
    prepared.warnings.extend(repeated);
    let incomparable = sweep.incomparable.clone();
    prepared.warnings.extend(incomparable.map(|problem| Warning::Noted { problem }));
    if sweep.tune.is_some() {
        check_one_model(&prepared)?;
    }
    if begins {
        let text = fit_to_time(&mut sweep, &mut prepared)?;
        text.iter().for_each(|text| talk.console().say("time", text));
    }
    let prepared = prepared;
    interrupt.arm();
    let _lock = open_folder(&sweep, out, begins)?;
    let mut console = talk.console();
    prepared.format.iter().for_each(|text| console.say("table", text));
    let told: Vec<String> = prepared.warnings.iter().map(ToString::to_string).collect();
    let text = sweep.networks_text(prepared.trials.len());
    let shown = introduce(&mut console, (&prepared.info, &text), talk, prepared.warnings.clone())?;
    let options = prepared.first().told();
    let judged = Judged { metric: options.stop_metric };
    let table = SweepTable::begin(out, &sweep.space, judged)?;
    let mut search = RunningSearch {
        out,
        prepared: &prepared,
        table: &table,
        interrupt: &interrupt,
        talk,
        console,
        told,
        shown,
        earlier: read_rounds(out),
        stages: sweep.rounds(sweep.bracket(), options.epochs).len(),
    };
    let mut results: Vec<TrialResult> = Vec::new();
    let all: Vec<usize> = prepared.trials.keys().copied().collect();
    let brackets: Vec<&[usize]> = all.chunks(sweep.bracket()).collect();
    for (bracket, own) in brackets.iter().enumerate() {
        let rounds = sweep.rounds(own.len(), options.epochs);
        let Some(of_bracket) = search.bracket((bracket, own), &rounds)? else {
            if let Some(tune) = &mut sweep.tune {
                tune.used += begun.elapsed().as_secs_f64();
                sweep.write(out)?;
            }
            report_interrupted(&mut search.console, out);
            return Ok(Exit::Interrupted);
        };
        results.extend(of_bracket);
        let seconds = begun.elapsed().as_secs_f64();
        begun = Instant::now();
        if let Some(tune) = &mut sweep.tune
            && tune.time.is_some()
            && bracket >= tune.brackets
        {
            // Brackets of a search that goes on took their time before.
            tune.brackets = bracket + 1;
            tune.used += seconds;
            tune.slowest = tune.slowest.max(seconds);
            let over = tune.is_over();
            if over {
                // So a search that goes on has the same trials, whatever its time.
                sweep.trials = u32::try_from(results.len()).unwrap_or(u32::MAX);
            }
            sweep.write(out)?;
            if over {
                break;
            }
        }
    }
    let RunningSearch { mut console, told, .. } = search;
    let known = (&prepared, &mut results[..]);
    finish(out, known, (&table, judged), (&sweep, talk), (&mut console, told))?;
    Ok(Exit::Done)
}

/// Says that trials are judged by losses that do not compare, if they are.
fn incomparable(trials: &[SweepTrial], known: &mut TargetKinds) -> Option<String> {
    let (first, others) = trials.split_first()?;
    if first.config.told().stop_metric != Metric::Loss {
        return None;
    }
    let terms = first.config.loss_terms();
    let others: Vec<_> = others.iter().map(|it| it.config.loss_terms()).collect();
    let differs = |place: &usize| others.iter().any(|it| it[*place].1 != terms[*place].1);
    let mut which: Vec<&str> =
        (0..terms.len()).filter(differs).map(|place| terms[place].0).collect();
    let scales = |trial: &SweepTrial| trial.config.told().scaling().target_method();
    if !which.contains(&"target-scale")
        && others_differ(trials, scales)
        && known.are_numbers(&first.config)
    {
        which.push("scale, which scales the target too");
    }
    (!which.is_empty()).then(|| {
        format!(
            "the trials differ in {}, so that the values of their losses do not compare, and the best one by them may not be the best: \
             give --stop-metric, such as accuracy for classes or rmse for numbers",
            which.join(" and ")
        )
    })
}

/// Returns whether a trial has another value than the first one.
fn others_differ<T: PartialEq>(trials: &[SweepTrial], value: impl Fn(&SweepTrial) -> T) -> bool {
    let mut values = trials.iter().map(value);
    let first = values.next();
    values.any(|it| Some(it) != first)
}

/// Refuses a search whose model could not be kept: folds in which columns become other inputs.
fn check_one_model(prepared: &PreparedSweep) -> Result<()> {
    for rows in prepared.rows.values() {
        let TrialRows::Folds(table) = &**rows else { continue };
        if check_same_inputs(&table.splits).is_err() {
            let problem = "each fold's training rows decide how columns become inputs, and these differ, so that the folds' networks \
                           cannot be one model; leave --folds out, and validation rows choose, or take `wgrad sweep` and train the best \
                           trial with --refit";
            return Err(Error::setting("--folds", problem));
        }
    }
    Ok(())
}

/// Lowers the epochs of a search with a time, if the time is not enough for the first trials. Returns what is to be told of it.
fn fit_to_time(sweep: &mut Sweep, prepared: &mut PreparedSweep) -> Result<Option<String>> {
    let Some(TuneRecord { time: Some(time), .. }) = sweep.tune else { return Ok(None) };
    let config = prepared.first();
    let (device, epochs) = (config.device.clone(), config.told().epochs);
    let own: Vec<usize> = prepared.trials.keys().copied().take(sweep.bracket()).collect();
    let parts = own.iter().map(|&trial| prepared.parts(trial, epochs));
    let parts = parts.collect::<Result<Vec<_>>>()?.into_iter().flatten();
    let members: Vec<Member> = parts.map(|part| part.member).collect();
    let epoch = measure_epoch(&members, &device)?;
    // In each round the trials that are left train for the epochs that are new.
    let rounds = sweep.rounds(own.len(), epochs);
    let (mut left, mut before, mut all) = (own.len(), 0, 0.0);
    for &until in &rounds {
        let share = if epoch.shares_cores { left as f64 / own.len() as f64 } else { 1.0 };
        all += share * epoch.all * f64::from(until - before);
        (left, before) = (left.div_ceil(ETA as usize), until);
    }
    if all <= time {
        return Ok(None);
    }
    let fewer = within(time, all / f64::from(epochs), epochs);
    for trial in prepared.trials.values_mut() {
        trial.config = trial.config.of_epochs(fewer);
    }
    prepared.info.epochs = fewer;
    sweep.settings.insert("epochs".to_string(), i64::from(fewer).into());
    Ok(Some(format!(
        "the first {} would take about {} with {} each, so that they have {}; more time gives better networks",
        pluralize(own.len() as u64, "trial"),
        time_text(all),
        pluralize(epochs.into(), "epoch"),
        count(fewer.into())
    )))
}

/// A sweep under way.
struct RunningSearch<'a> {
    out: &'a Path,
    prepared: &'a PreparedSweep,
    table: &'a SweepTable,
    interrupt: &'a Interrupt,
    talk: Verbosity,
    console: Console,
    /// Warnings so far.
    told: Vec<String>,
    /// Warnings that need not be shown again.
    shown: HashSet<String>,
    /// Results of rounds, by which trials went on or not, of one bracket after the other.
    earlier: Vec<BracketRounds>,
    /// Rounds of a whole bracket. A smaller one has fewer; its trials that came to the end are in the last of these all the same.
    stages: usize,
}

/// The results of the rounds of a bracket but for the last.
type BracketRounds = Vec<Vec<TrialResult>>;

impl RunningSearch<'_> {
    /// Trains some trials in rounds of so many epochs, after each but the last of which the best third goes on. Returns `None` if the
    /// user stops the program.
    fn bracket(
        &mut self,
        (bracket, trials): (usize, &[usize]),
        rounds: &[u32],
    ) -> Result<Option<Vec<TrialResult>>, Failure> {
        let (prepared, judged) = (self.prepared, self.table.judged());
        if self.earlier.len() <= bracket {
            self.earlier.resize_with(bracket + 1, Vec::new);
        }
        self.earlier[bracket].truncate(rounds.len().saturating_sub(1));
        let (mut going, mut results) = (trials.to_vec(), Vec::new());
        for (round, &epochs) in rounds.iter().enumerate() {
            let last = round + 1 == rounds.len();
            let of_round = match self.earlier[bracket].get(round) {
                Some(known) => known.clone(),
                None => {
                    let stage = if last { self.stages.max(rounds.len()) - 1 } else { round };
                    let under = Round { prepared, going: &going, epochs, round: stage, last };
                    let console = std::mem::replace(&mut self.console, Console::quiet());
                    let known = (console, self.shown.clone());
                    let (end, of_round) =
                        under.train(self.table, (self.interrupt, self.talk), known)?;
                    self.console = end.console;
                    self.told.extend(end.warnings);
                    if end.stopped {
                        return Ok(None);
                    }
                    for (place, failure) in &end.failed {
                        self.shown.insert(format!("{place}: {failure}"));
                    }
                    of_round
                }
            };
            if last {
                results.extend(of_round);
                break;
            }
            let (on, ended) = halved(&of_round, judged);
            if self.earlier[bracket].len() <= round {
                self.earlier[bracket].push(of_round);
                write_json(&self.earlier, &self.out.join(ROUNDS))?;
            }
            for result in &ended {
                self.table.append(result, &prepared.trials[&result.trial].settings)?;
            }
            let text = format!(
                "{} of {} go on after {}",
                on.len(),
                pluralize(going.len() as u64, "trial"),
                pluralize(epochs.into(), "epoch")
            );
            self.console.say("halving", &text);
            results.extend(ended);
            going = on;
        }
        Ok(Some(results))
    }
}

/// Writes the results in their order, completes the best trial, and reports.
fn finish(
    out: &Path,
    (prepared, results): (&PreparedSweep, &mut [TrialResult]),
    (table, judged): (&SweepTable, Judged),
    (sweep, talk): (&Sweep, Verbosity),
    (console, told): (&mut Console, Vec<String>),
) -> Result<()> {
    let settings = prepared.settings();
    table.finish(results, &settings)?;
    let ranked = best_first(results, judged);
    let best = ranked[0].value.map(|_| ranked[0].trial);
    let ready = best.map_or(Ok(false), |best| complete(prepared, best));
    // After that, since it has the commands for which the best trial has to be complete.
    write_report(out, told.clone(), talk, console)?;
    let ready = ready?;
    if let Some(shard) = sweep.shard {
        let end = ShardEnd {
            created_by: concat!("wgrad ", env!("CARGO_PKG_VERSION")).to_string(),
            device: device_text(&prepared.info.device),
            best,
            ready,
            warnings: told,
        };
        end.write(out)?;
        report_shard(out, (&ranked, &settings), judged, (sweep, shard, talk))?;
        show_merge(out, console);
        return Ok(());
    }
    let best = best.ok_or_else(|| no_value(out, judged))?;
    if let Some(tune) = sweep.tune {
        let told = (&sweep.tried(&settings), tune.one, talk);
        return finish_tune(out, (prepared, &ranked), judged, told, console);
    }
    report(out, (&ranked, &settings), (judged, ready), (sweep, talk))?;
    show_next(out, ready.then_some(best), console);
    Ok(())
}

/// An error that says that there is no best trial.
pub(super) fn no_value(out: &Path, judged: Judged) -> Error {
    let metric = judged.metric;
    let problem = format!("no trial came to an end with a value of {metric}: see sweep.csv");
    Error::model_file(out, problem)
}

/// Writes the report, if one is wanted.
pub(super) fn write_report(
    out: &Path,
    told: Vec<String>,
    talk: Verbosity,
    console: &mut Console,
) -> Result<()> {
    #[cfg(feature = "pictures")]
    if talk.report {
        return warn_unwritten(sweep_report(out, told), talk, console);
    }
    // Without reports nobody asks for them.
    let _ = (out, told, talk, console);
    Ok(())
}

/// Makes the folder and records the sweep, or opens that of a sweep that goes on. Keeps other processes out.
fn open_folder(sweep: &Sweep, out: &Path, begins: bool) -> Result<Option<fs::File>> {
    fs::create_dir_all(out).map_err(|source| Error::file("create", out, source))?;
    let lock = super::folder::lock(out)?;
    // A shard that goes on has not ended.
    let _ = fs::remove_file(out.join(SHARD_END));
    if begins {
        remove_earlier(out);
        sweep.write(out)?;
    }
    Ok(lock)
}

/// Removes what an earlier run or sweep has left in a folder.
pub(super) fn remove_earlier(out: &Path) {
    RunFolder::remove_all(out);
    remove_networks(out);
    remove_parts(&out.join(TRIALS));
    for name in [SWEEP, SWEEP_RESULTS, ROUNDS, SHARD_END] {
        // A file that cannot be removed is replaced later, or is an error then.
        let _ = fs::remove_file(out.join(name));
    }
}

/// Returns the results of earlier rounds; none where they cannot be read, after which the rounds are judged again.
fn read_rounds(out: &Path) -> Vec<BracketRounds> {
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
    let SweepTrial { config, .. } = &prepared.trials[&best];
    let parts = prepared.parts(best, config.told().epochs)?;
    let read = parts.iter().map(|part| TrainedPart::read(&part.folder));
    let trained: Vec<TrainedPart> = read.collect::<Result<_>>()?;
    match &*prepared.rows[&best] {
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
            let talk = Verbosity { quiet: true, ..Verbosity::default() };
            folds.finish(&config.out, &kept, (talk, Vec::new()), &mut Console::quiet())?;
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

/// The last event of a shard.
#[derive(Serialize)]
struct ShardFinished {
    event: &'static str,
    run: String,
    shard: usize,
    shards: usize,
    trials: usize,
    metric: String,
}

/// Reports the best trials of a shard, and that it is a part.
fn report_shard(
    out: &Path,
    (ranked, settings): (&[&TrialResult], &SettingsByTrial<'_>),
    judged: Judged,
    (sweep, shard, talk): (&Sweep, Shard, Verbosity),
) -> Result<()> {
    if talk.json {
        let line = ShardFinished {
            event: "finished",
            run: out.display().to_string(),
            shard: shard.number,
            shards: shard.of,
            trials: ranked.len(),
            metric: judged.metric.to_string(),
        };
        return JsonLines::new(Output::new()).line(&line).map_err(failed);
    }
    if talk.quiet {
        return Ok(());
    }
    let mut lines = Output::new();
    for line in best_table(ranked, &sweep.tried(settings), judged) {
        lines.line(&line)?;
    }
    let trials = pluralize(sweep.trials.into(), "trial");
    let told = format!(
        "shard {shard} has {} of {trials}; the best of all is known when all shards are merged",
        ranked.len()
    );
    lines.line(&told)?;
    lines.end()
}

/// Shows where a shard's report is, and the command that merges all shards.
fn show_merge(out: &Path, console: &mut Console) {
    let report = out.join(REPORT);
    if report.exists() {
        console.say("report", &report.display().to_string());
    }
    next::show(console, &["wgrad sweep --merge FOLDER_OF_EACH_SHARD --out OTHER".to_string()]);
}

/// Shows where the report is, and the commands that come next.
pub(super) fn show_next(out: &Path, best: Option<usize>, console: &mut Console) {
    let report = out.join(REPORT);
    let best = best.map(|it| quoted(&out.join(TRIALS).join(it.to_string())));
    let predict = best.iter().map(|it| format!("wgrad predict {it} TABLE --out predicted.csv"));
    let mut commands: Vec<String> = predict.collect();
    if report.exists() {
        console.say("report", &report.display().to_string());
        commands.extend(best.map(|it| format!("wgrad report {it}")));
    } else if cfg!(feature = "pictures") {
        commands.push(format!("wgrad report {}", quoted(out)));
    }
    next::show(console, &commands);
}

/// Reports the best trials, and how the best one is used.
pub(super) fn report(
    out: &Path,
    (ranked, settings): (&[&TrialResult], &SettingsByTrial<'_>),
    (judged, ready): (Judged, bool),
    (sweep, talk): (&Sweep, Verbosity),
) -> Result<()> {
    let best = ranked[0];
    let folder = out.join(TRIALS).join(best.trial.to_string());
    if talk.json {
        let own = settings[&best.trial].iter().map(|(key, text)| (key.as_str(), text.as_str()));
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
    for line in best_table(ranked, &sweep.tried(settings), judged) {
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
