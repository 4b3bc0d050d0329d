//! `wgrad sweep --merge`: the folders of all shards become the folder that the sweep would have left undivided.
//!
//! In: folders of shards. Out: a sweep's folder: all trials, the table of their results, the best one ready to use, a report.
//! Absent on purpose: training, and the table of rows: each shard has made its best trial ready.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::folder::{RunFolder, lock};
use super::parts::ANYWHERE;
use super::sweep::{Sweep, no_value, remove_earlier, report, show_next, write_report};
use super::sweep_results::{
    Judged, SettingsByTrial, SweepTable, TrialResult, best_first, read_results,
};
use super::sweep_shard::{Shard, ShardEnd};
use super::sweep_space::SearchDimension;
use super::sweep_trials::SweepTrial;
use super::verbosity::Verbosity;
use crate::cli::args::SweepArgs;
use crate::cli::open_run::{
    CONFIG, FOLDS, SWEEP, SWEEP_RESULTS, TRAINING_ROWS, TRIALS, VALIDATION,
};
use crate::cli::settings::{path_of, path_text};
use crate::cli::wording::quoted;
use crate::cli::{Exit, Failure};
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::report::pluralize;

/// Folder of event files in a sweep's folder.
const TENSORBOARD: &str = "tensorboard";

/// A shard that has ended.
struct EndedShard {
    path: PathBuf,
    shard: Shard,
    sweep: Sweep,
    end: ShardEnd,
    /// Keeps other processes out.
    _lock: Option<File>,
}

pub(super) fn merge_sweep(args: &SweepArgs) -> Result<Exit, Failure> {
    let out = place_of_merge(args)?;
    let shards = open_shards(&args.merge)?;
    let missing = missing(&shards);
    if !missing.is_empty() && !args.allow_missing {
        return Err(told_missing(&shards[0], &missing).into());
    }
    check_place(&out, &shards, args.force)?;
    let mut sweep = merged_sweep(&shards, &out, !missing.is_empty());
    let trials = sweep.trials(&out)?;
    let judged = Judged { metric: sweep.base(&out)?.told().stop_metric };
    let (settings, mut results) = results_of(&shards, &trials, judged)?;
    let talk = Verbosity::of_training(&args.output);
    let mut console = talk.console();
    let mut told = remarks(&shards);
    told.extend(sweep.incomparable.clone());
    if !missing.is_empty() {
        told.push(format!(
            "{}: the best trial is that of {} of {}; `wgrad resume {}` trains the others",
            missing_text(&missing, shards[0].shard.of),
            results.len(),
            pluralize(sweep.trials.into(), "trial"),
            quoted(&out)
        ));
    }
    told.iter().for_each(|text| console.warn(text));
    let best = best_first(&results, judged)[0].clone();
    if best.value.is_none() {
        let all: Vec<String> = args.merge.iter().map(|it| it.display().to_string()).collect();
        return Err(no_value(Path::new(&all.join(", ")), judged).into());
    }
    let ready = ready_shard(&shards, &best)?.end.ready;
    let _lock = write_folder(&out, &shards, &results, &best)?;
    SweepTable::begin(&out, &sweep.space, judged)?.finish(&mut results, &settings)?;
    sweep.write(&out)?;
    let warnings = shards.iter().flat_map(|it| it.end.warnings.clone());
    write_report(&out, distinct(warnings.chain(told)), talk, &mut console)?;
    let ranked = best_first(&results, judged);
    report(&out, (&ranked, &settings), (judged, ready), (&sweep, talk))?;
    show_next(&out, ready.then_some(best.trial), &mut console);
    Ok(Exit::Done)
}

/// Returns the folder to write, after a check that nothing was given that changes nothing.
fn place_of_merge(args: &SweepArgs) -> Result<PathBuf> {
    let settings = &args.settings.0;
    let other = settings.texts().map(|it| it.0).find(|key| *key != "out");
    if let Some(key) = other.or(settings.file().map(|_| "config")) {
        let name = if key == "table" { "TABLE".to_string() } else { format!("--{key}") };
        let problem = "it changes nothing with --merge, which takes all settings from the shards; leave it out";
        return Err(Error::setting(name, problem));
    }
    let Some(out) = settings.text("out") else {
        let problem = "missing; name a folder for the joined sweep";
        return Err(Error::setting("--out", problem));
    };
    Ok(path_of(out))
}

/// Opens the folders, in the order of the shards, and checks that they are of one sweep.
fn open_shards(folders: &[PathBuf]) -> Result<Vec<EndedShard>> {
    for (place, folder) in folders.iter().enumerate() {
        if folders[..place].iter().any(|other| canonical(other) == canonical(folder)) {
            let problem = format!("{} is given twice; leave one of them out", folder.display());
            return Err(Error::setting("--merge", problem));
        }
    }
    let mut shards: Vec<EndedShard> =
        folders.iter().map(|it| EndedShard::open(it)).collect::<Result<_>>()?;
    shards.sort_by_key(|it| it.shard.number);
    let (first, others) = shards.split_first().expect("there is at least one folder");
    others.iter().try_for_each(|other| check_same(first, other))?;
    for pair in shards.windows(2) {
        if pair[0].shard.number == pair[1].shard.number {
            let problem = format!(
                "shard {} is given twice: {} and {}; leave one of them out",
                pair[0].shard,
                pair[0].path.display(),
                pair[1].path.display()
            );
            return Err(Error::setting("--merge", problem));
        }
    }
    Ok(shards)
}

impl EndedShard {
    fn open(path: &Path) -> Result<Self> {
        let refuse = |problem: String| Err(Error::model_file(path, problem));
        if !path.is_dir() {
            return refuse(
                "no such folder; give those that `wgrad sweep --shard` left".to_string(),
            );
        }
        if !path.join(SWEEP).is_file() {
            return refuse(format!(
                "no {SWEEP} in this folder: it is no sweep; give the folders that `wgrad sweep --shard` left"
            ));
        }
        let lock = lock(path)?;
        let sweep = Sweep::read(path)?;
        let Some(shard) = sweep.shard else {
            return refuse("a whole sweep, which is no shard; leave it out".to_string());
        };
        let Some(end) = ShardEnd::read(path)? else {
            return refuse(format!(
                "shard {shard} has not ended; `wgrad resume {}` goes on with it",
                quoted(path)
            ));
        };
        Ok(Self { path: path.to_path_buf(), shard, sweep, end, _lock: lock })
    }
}

/// Checks that two shards are of one sweep.
fn check_same(a: &EndedShard, b: &EndedShard) -> Result<()> {
    let Some((what, there, here)) = difference(a, b) else { return Ok(()) };
    let problem = format!(
        "not a shard of the same sweep as {}: {what}: {here}, and there {there}; merge shards of one sweep, or train one of the two \
         again, with the same settings and tables and --force",
        a.path.display()
    );
    Err(Error::model_file(&b.path, problem))
}

/// Returns what is not the same in two sweeps, and what each has.
fn difference(a: &EndedShard, b: &EndedShard) -> Option<(String, String, String)> {
    let (one, other) = (&a.sweep, &b.sweep);
    let found = |what: &str, of: &dyn Fn(&EndedShard) -> String| {
        let (of_a, of_b) = (of(a), of(b));
        (of_a != of_b).then(|| (what.to_string(), of_a, of_b))
    };
    let setting = |key: &str, it: &EndedShard| {
        let value = it.sweep.settings.get(key);
        value.map_or("not given".to_string(), ToString::to_string)
    };
    let range = |key: &str, it: &EndedShard| {
        let range = it.sweep.space.iter().find(|it| it.key == key);
        range.map_or("no range".to_string(), SearchDimension::text)
    };
    // Files are compared by their contents.
    let tables = one.tables.as_ref().zip(other.tables.as_ref());
    let by_contents = |key: &str| {
        key == "valid" && tables.is_some_and(|it| it.0.valid.is_some() && it.1.valid.is_some())
    };
    let keys = || one.settings.keys().chain(other.settings.keys());
    let free = |key: &&String| !ANYWHERE.contains(&key.as_str()) && !by_contents(key);
    let contents = || {
        let which = tables?.0.other_than(tables?.1)?;
        let key = if which == "table" { which } else { "valid" };
        let told = format!("{} with other contents", setting(key, b));
        Some((format!("the {which}"), setting(key, a), told))
    };
    found("number of shards", &|it| it.shard.of.to_string())
        .or_else(|| found("search", &|it| format!("{:?}", it.sweep.search).to_lowercase()))
        .or_else(|| found("number of trials", &|it| it.sweep.trials.to_string()))
        .or_else(|| keys().filter(free).find_map(|key| found(key, &|it| setting(key, it))))
        .or_else(|| {
            let mut tried = one.space.iter().chain(&other.space).map(|it| it.key.as_str());
            tried.find_map(|key| found(key, &|it| range(key, it)))
        })
        .or_else(contents)
}

/// Returns the numbers of shards that were not given.
fn missing(shards: &[EndedShard]) -> Vec<usize> {
    let given = |number: &usize| shards.iter().any(|it| it.shard.number == *number);
    (1..=shards[0].shard.of).filter(|number| !given(number)).collect()
}

fn missing_text(missing: &[usize], of: usize) -> String {
    let numbers: Vec<String> = missing.iter().map(ToString::to_string).collect();
    match missing.len() {
        1 => format!("shard {} of {of} is missing", numbers[0]),
        _ => format!("shards {} of {of} are missing", numbers.join(", ")),
    }
}

fn told_missing(first: &EndedShard, missing: &[usize]) -> Error {
    let of = first.shard.of;
    let problem = format!(
        "{}; give their folders too, train them with --shard {}/{of}, or merge without them by --allow-missing",
        missing_text(missing, of),
        missing[0]
    );
    Error::setting("--merge", problem)
}

/// Returns the one name of a folder that may have several.
fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Checks that the folder may be written, and is none of those that are read.
fn check_place(out: &Path, shards: &[EndedShard], force: bool) -> Result<()> {
    let place = canonical(out);
    for shard in shards {
        let path = canonical(&shard.path);
        if path == place || path.starts_with(place.join(TRIALS)) {
            let problem = format!("{} is a shard; give another folder", shard.path.display());
            return Err(Error::setting("--out", problem));
        }
    }
    RunFolder::check(out, force)
}

/// Returns the sweep that the shards are of. One with missing shards keeps the checksums, since it may go on.
fn merged_sweep(shards: &[EndedShard], out: &Path, goes_on: bool) -> Sweep {
    let first = &shards[0].sweep;
    let mut settings = first.settings.clone();
    settings.insert("out".to_string(), path_text(out).into());
    Sweep {
        trials: first.trials,
        search: first.search,
        settings,
        space: first.space.clone(),
        shard: None,
        tables: first.tables.clone().filter(|_| goes_on),
        target_kinds: first.target_kinds.clone(),
        tune: None,
        incomparable: None,
    }
}

/// Returns the settings and the results of all trials of the shards.
fn results_of<'a>(
    shards: &[EndedShard],
    trials: &'a [SweepTrial],
    judged: Judged,
) -> Result<(SettingsByTrial<'a>, Vec<TrialResult>)> {
    let (mut all, mut results) = (SettingsByTrial::new(), Vec::new());
    for EndedShard { path, shard, sweep, .. } in shards {
        let own = trials.iter().filter(|it| shard.has(it.number));
        let own: SettingsByTrial<'_> = own.map(|it| (it.number, &it.settings)).collect();
        results.extend(read_results(path, (&own, &sweep.space), judged)?);
        all.extend(own);
    }
    results.sort_by_key(|it| it.trial);
    Ok((all, results))
}

/// Returns what is to be told of shards that did not run in the same way.
fn remarks(shards: &[EndedShard]) -> Vec<String> {
    let by = |of: fn(&ShardEnd) -> &str| {
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for shard in shards {
            groups.entry(of(&shard.end)).or_default().push(shard.shard.number.to_string());
        }
        let told = groups.iter().map(|(name, shards)| match shards.len() {
            1 => format!("{name} (shard {})", shards[0]),
            _ => format!("{name} (shards {})", shards.join(", ")),
        });
        (groups.len() > 1).then(|| told.collect::<Vec<_>>().join(", "))
    };
    let devices = by(|end| &end.device).map(|told| {
        format!("trials were trained on different devices, whose last digits differ: {told}")
    });
    let versions = by(|end| &end.created_by)
        .map(|told| format!("trials were trained by different versions of the program: {told}"));
    devices.into_iter().chain(versions).collect()
}

/// Returns the shard that has made the best trial ready to use.
fn ready_shard<'a>(shards: &'a [EndedShard], best: &TrialResult) -> Result<&'a EndedShard> {
    let shard = shards.iter().find(|it| it.shard.has(best.trial)).expect("it has the trial");
    if shard.end.best == Some(best.trial) {
        return Ok(shard);
    }
    let problem = format!(
        "its best trial is not trial {}, as {} has it: the files were changed; `wgrad resume {}` writes them again",
        best.trial,
        SWEEP_RESULTS,
        quoted(&shard.path)
    );
    Err(Error::model_file(&shard.path, problem))
}

/// Makes the folder with the trials of all shards. Until the record of the sweep is written, no command takes it for one.
fn write_folder(
    out: &Path,
    shards: &[EndedShard],
    results: &[TrialResult],
    best: &TrialResult,
) -> Result<Option<File>> {
    fs::create_dir_all(out).map_err(|source| Error::file("create", out, source))?;
    let lock = lock(out)?;
    remove_earlier(out);
    let copied = shards.iter().try_for_each(|shard| {
        for result in results.iter().filter(|it| shard.shard.has(it.trial)) {
            copy_trial(shard, result, out, result.trial == best.trial)?;
        }
        let logs = shard.path.join(TENSORBOARD);
        if logs.is_dir() { copy_folder(&logs, &out.join(TENSORBOARD), &[]) } else { Ok(()) }
    });
    if copied.is_err() {
        remove_earlier(out);
        // A folder with something in it stays.
        let _ = fs::remove_dir(out);
    }
    copied.map(|()| lock)
}

/// Copies the folder of a trial. The best one of a shard that is not the best of all is as other trials are.
fn copy_trial(shard: &EndedShard, result: &TrialResult, out: &Path, best: bool) -> Result<()> {
    let place = Path::new(TRIALS).join(result.trial.to_string());
    let (from, to) = (shard.path.join(&place), out.join(&place));
    if !from.is_dir() {
        if result.problem.is_some() {
            return Ok(());
        }
        let problem = format!(
            "no such folder, but trial {} has a result; `wgrad resume {}` trains it again",
            result.trial,
            quoted(&shard.path)
        );
        return Err(Error::model_file(from, problem));
    }
    let folds = from.join(FOLDS);
    if best || !folds.is_dir() {
        return copy_folder(&from, &to, if best { &[] } else { &[VALIDATION, TRAINING_ROWS] });
    }
    copy_folder(&folds, &to.join(FOLDS), &[])?;
    copy_file(&from.join(CONFIG), &to)
}

/// Copies the files of a folder and of those in it, but for some names.
fn copy_folder(from: &Path, to: &Path, without: &[&str]) -> Result<()> {
    fs::create_dir_all(to).map_err(|source| Error::file("create", to, source))?;
    let refuse = |source| Error::file("read", from, source);
    for entry in fs::read_dir(from).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let (path, name) = (entry.path(), entry.file_name());
        // Files that were being written when the program was killed.
        if name.to_str().is_some_and(|name| name.starts_with('.') || without.contains(&name)) {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name), &[])?;
        } else {
            copy_file(&path, to)?;
        }
    }
    Ok(())
}

/// Copies a file into a folder. Settings name the folder that they are in.
fn copy_file(from: &Path, folder: &Path) -> Result<()> {
    let name = from.file_name().unwrap_or_default();
    let to = folder.join(name);
    if name == CONFIG {
        let text = fs::read_to_string(from).map_err(|source| Error::file("read", from, source))?;
        return write_file(to, moved(&text, from, folder)?.as_bytes());
    }
    let copied = fs::copy(from, &to);
    copied.map(|_| ()).map_err(|source| Error::file("write", &to, source))
}

/// Returns a config.toml whose run folder is another one.
fn moved(text: &str, from: &Path, folder: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Place {
        out: toml::Spanned<String>,
    }
    let place: Place = toml::from_str(text)
        .map_err(|error| Error::model_file(from, format!("damaged: {error}")))?;
    let mut text = text.to_string();
    text.replace_range(place.out.span(), &toml::Value::from(path_text(folder)).to_string());
    Ok(text)
}

/// Returns each text once.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}
