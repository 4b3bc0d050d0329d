//! `wgrad train --members K`: an ensemble, whose members are trained as runs of their own.
//!
//! In: a run's settings. Out: a folder for each member, and in the run's folder the ensemble, its figures, predictions and history.
//! Absent on purpose: the training of one network.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::folder::{RunFolder, remove_networks};
use super::parts::{PartsSettings, RunPart, TrainedPart, train_parts};
use super::parts_report::PartPlace;
use super::ready_run::ReadyRun;
use super::summary::{FigureSpread, FigureTable};
use super::train::{OpenedRun, Prepared};
use super::verbosity::Verbosity;
use super::verdict::{Judge, Verdict};
use crate::cli::interrupt::Interrupt;
use crate::cli::next::show_after_run;
use crate::cli::open_run::{HISTORY, MEMBERS, METRICS};
use crate::cli::output::{Output, failed};
#[cfg(feature = "pictures")]
use crate::cli::pictures::training_report;
use crate::cli::settings::{RunConfig, config_text};
use crate::cli::tables::ROWS;
use crate::cli::wording::{quoted, worded};
use crate::cli::{Exit, Failure};
use crate::device::free_host_memory;
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, write_ensemble, write_file};
use crate::report::{Comparisons, Console, Figures, JsonLines, count, pluralize};
use crate::shape::bytes_text;
use crate::train::{
    Ensemble, EpochStats, Event, Member, Metrics, Predictor, RunInfo, TrainOptions, Warning,
};

/// Bytes of a member's settings and records.
const SETTINGS: u64 = 20 << 10;

/// End of a run of several members, as `metrics.json` and the last event have it.
#[derive(Serialize)]
struct EnsembleOutcome<'a> {
    members: usize,
    /// Figures of the ensemble on the validation rows.
    #[serde(flatten)]
    figures: Figures,
    /// Mean of the members' own figures.
    member_mean: &'a Map<String, Value>,
    /// Their standard deviation, with one degree of freedom less than there are members.
    member_std: &'a Map<String, Value>,
    /// Epoch that each member keeps.
    epochs: Vec<u64>,
    /// Seconds of training of all members together.
    seconds: f64,
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    baselines: Option<&'a Comparisons>,
    interrupted: bool,
}

/// The last event.
#[derive(Serialize)]
struct EnsembleFinished<'a> {
    event: &'static str,
    run: String,
    #[serde(flatten)]
    outcome: &'a EnsembleOutcome<'a>,
}

/// Trains the members, or goes on with them.
pub(super) fn train_members(
    config: &RunConfig,
    talk: Verbosity,
    begins: bool,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(talk.quiet)?;
    // Members that have not begun take the weights of --init, also in a run that goes on.
    let opened = OpenedRun::new(config, (true, talk.quiet), None)?;
    let (prepared, network) = opened.prepared(config)?;
    let Prepared { trainer, config: text, options, warnings, judge, format } = prepared;
    let info = trainer.info().clone();
    let warnings = [warnings, trainer.warnings().to_vec()].concat();
    // The members have devices of their own.
    drop(trainer);
    #[cfg(feature = "pictures")]
    let judge = if talk.report { judge.with_sample(&network.data.train) } else { judge };
    check_memory(config.members, info.parameters, free_host_memory())?;
    let parts = parts(config, &options, &info, network)?;
    interrupt.arm();
    let folder = open_folder(&config.out, &text, begins)?;
    let mut console = talk.console();
    format.iter().for_each(|text| console.say("table", text));
    let mut told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let shown = introduce(&mut console, (&info, &networks_text(parts.len())), talk, warnings)?;
    let settings = PartsSettings {
        word: "member",
        on_end: &|_| Ok(()),
        device: &config.device,
        checkpoints: config.checkpoints,
        interrupt: &interrupt,
        talk,
    };
    let end = train_parts(&parts, &settings, (console, shown))
        .and_then(|end| end.whole(&parts, settings.word))
        .map_err(|failure| with_advice(failure, &config.out))?;
    let mut console = end.console;
    told.extend(end.warnings);
    if end.stopped {
        report_interrupted(&mut console, &config.out);
        return Ok(Exit::Interrupted);
    }
    let run = TrainedMembers { parts: &parts, options: &options, info: &info, judge: &judge };
    run.finish(&folder, config, (talk, told), &mut console)?;
    Ok(Exit::Done)
}

/// Refuses more members than memory can hold: all stay in it until the last one has ended, with their settings and what the end of a
/// run makes of them.
fn check_memory(members: u32, parameters: usize, free: Option<u64>) -> Result<()> {
    let Some(free) = free else { return Ok(()) };
    // Weights as trained and as kept, in f32.
    let each = SETTINGS + 2 * size_of::<f32>() as u64 * parameters as u64;
    let all = each.saturating_mul(members.into());
    if all <= free {
        return Ok(());
    }
    let problem = format!(
        "{} would take about {} of memory, of which {} are free; at most {} fit: train fewer, or smaller networks",
        networks_text(members as usize),
        bytes_text(all),
        bytes_text(free),
        count(free / each)
    );
    Err(Error::setting("--members", problem))
}

/// Returns the members, each with its folder and settings.
fn parts(
    config: &RunConfig,
    options: &TrainOptions,
    info: &RunInfo,
    network: ReadyRun,
) -> Result<Vec<RunPart>> {
    let ReadyRun { data, model, weights, .. } = network;
    let logs = config.tensorboard_of(&config.out);
    let part = |member: u32| {
        let folder = config.out.join(MEMBERS).join(member.to_string());
        let own = config.of_member(member, folder.clone());
        let options = TrainOptions { seed: own.told().seed, ..options.clone() };
        let text = config_text(&own, &options, info)?;
        let place = PartPlace(vec![("member", member as usize)]);
        let member = Member { model: model.clone(), data: data.clone(), options };
        let tensorboard = logs.as_ref().map(|logs| logs.join(place.folder()));
        let weights = weights.clone();
        Ok(RunPart { folder, config: text, member, weights, tensorboard, place })
    };
    (0..config.members).map(part).collect()
}

/// Makes the folder of a run of several networks, or opens that of a run that goes on.
pub(super) fn open_folder(path: &Path, config: &str, begins: bool) -> Result<RunFolder> {
    if !begins {
        let lock = super::folder::lock(path)?;
        return RunFolder::reopen(path, config, lock);
    }
    if path.is_dir() {
        // Only with --force is there an earlier run. What follows is written as soon as a network is trained, so that a killed run
        // goes on.
        let lock = super::folder::lock(path)?;
        RunFolder::remove_all(path);
        drop(lock);
    }
    remove_networks(path);
    RunFolder::create(path, config)
}

/// Says how many networks a run trains.
pub(super) fn networks_text(count: usize) -> String {
    format!("{} of these networks", crate::report::count(count as u64))
}

/// Describes the run with a line of `text`, and shows the warnings of its first network. Returns those, which the others may have too.
pub(super) fn introduce(
    console: &mut Console,
    (info, text): (&RunInfo, &str),
    talk: Verbosity,
    warnings: Vec<Warning>,
) -> Result<HashSet<String>> {
    console.introduce(info);
    console.say("run", text);
    let mut json = talk.json.then(|| JsonLines::new(Output::new()));
    if let Some(json) = &mut json {
        json.event(&Event::Started(info.clone())).map_err(failed)?;
    }
    let mut shown = HashSet::new();
    for warning in warnings {
        let event = worded(&Event::Warned(warning)).into_owned();
        let Event::Warned(warning) = &event else { continue };
        if shown.insert(warning.to_string()) {
            console.event(&event);
            if let Some(json) = &mut json {
                json.event(&event).map_err(failed)?;
            }
        }
    }
    Ok(shown)
}

/// Says how a run goes on whose network failed.
pub(super) fn with_advice(failure: Failure, run: &Path) -> Failure {
    let advice = format!("when that is mended, `wgrad resume {}` goes on", quoted(run));
    let saved = failure.saved.map_or(advice.clone(), |saved| format!("{saved}; {advice}"));
    Failure { saved: Some(saved), ..failure }
}

/// Says how a run goes on that the user stopped.
pub(super) fn report_interrupted(console: &mut Console, run: &Path) {
    console
        .line("interrupted; to go on where it stopped, with the results of a run that never did:");
    console.line(&format!("  wgrad resume {}", quoted(run)));
}

/// Members that are all trained.
struct TrainedMembers<'a> {
    parts: &'a [RunPart],
    options: &'a TrainOptions,
    info: &'a RunInfo,
    judge: &'a Judge,
}

impl TrainedMembers<'_> {
    /// Writes the ensemble and its figures.
    fn finish(
        &self,
        folder: &RunFolder,
        config: &RunConfig,
        (talk, mut told): (Verbosity, Vec<String>),
        console: &mut Console,
    ) -> Result<()> {
        let read = self.parts.iter().map(|part| TrainedPart::read(&part.folder));
        let trained = read.collect::<Result<Vec<TrainedPart>>>()?;
        let figures = FigureTable::of(&trained);
        let (spread, seconds) = (figures.spread(), figures.sum("seconds"));
        let epochs: Vec<u64> = trained
            .iter()
            .map(|it| it.metrics.get("epoch").and_then(Value::as_u64).unwrap_or(0))
            .collect();
        let networks: Vec<_> = trained.into_iter().map(|it| it.trained).collect();
        let mut warnings: Vec<Warning> = same_weights(&networks).into_iter().collect();
        let ensemble = Ensemble::new(networks)?;
        let path = folder.path();
        write_ensemble(&ensemble, path.join(MODEL_FILE))?;
        write_history(self.parts, path, "member")?;
        self.judge.write_digest(path)?;
        self.judge.write_validation(&ensemble, path)?;
        let (metrics, verdict) = self.judged(&ensemble, config, &spread)?;
        warnings.extend(verdict.warning);
        let outcome = EnsembleOutcome {
            members: ensemble.members().len(),
            figures: Figures::new(spread.mean_of("train_loss"), metrics.as_ref()),
            member_mean: &spread.mean,
            member_std: &spread.std,
            epochs,
            seconds,
            device: &self.info.device.to_string(),
            baselines: metrics.is_some().then_some(&verdict.comparisons),
            interrupted: false,
        };
        write_json(&outcome, &path.join(METRICS))?;
        verdict.lines.iter().for_each(|line| console.say("compare", line));
        told.extend(warnings.iter().map(ToString::to_string));
        report_warnings(console, talk, warnings)?;
        #[cfg(feature = "pictures")]
        if talk.report {
            let rows = self.judge.rows_to_show();
            let written = training_report(path, ensemble.clone(), &rows, told);
            warn_unwritten(written.map(|_| ()), talk, console)?;
        }
        // Without reports nobody asks for them.
        #[cfg(not(feature = "pictures"))]
        drop(told);
        for line in spread.lines() {
            console.say("members", &line);
        }
        if talk.json {
            let run = path.display().to_string();
            let line = EnsembleFinished { event: "finished", run, outcome: &outcome };
            JsonLines::new(Output::new()).line(&line).map_err(failed)?;
        } else if !talk.quiet {
            let count = pluralize(ensemble.members().len() as u64, "member");
            let mut text = format!("{}: ensemble of {count}", path.display());
            if let Some(metrics) = &metrics {
                text += &format!("; validated on {metrics}");
            }
            Output::new().line(&text)?;
        }
        show_after_run(console, path, config.tensorboard_of(path).as_deref());
        Ok(())
    }

    /// Returns the ensemble's figures on the validation rows, and compares them with simpler predictions.
    fn judged(
        &self,
        ensemble: &Ensemble,
        config: &RunConfig,
        spread: &FigureSpread,
    ) -> Result<(Option<Metrics>, Verdict)> {
        let metrics = match &self.parts[0].member.data.valid {
            Some(valid) => {
                let predictor = Predictor::on_device(ensemble, &config.device, Some(ROWS))?;
                Some(predictor.evaluate_as(valid, self.options)?)
            }
            None => None,
        };
        let kept = EpochStats {
            epoch: 0,
            steps: 0,
            train_loss: spread.mean_of("train_loss").unwrap_or(f64::NAN),
            valid: metrics.clone(),
            lr: self.options.lr,
            seconds: 0.0,
            samples_per_second: 0.0,
        };
        let verdict = self.judge.compare(ensemble.first(), &kept)?;
        Ok((metrics, verdict))
    }
}

/// Warns of a report that could not be written, which is no reason to call a run failed.
#[cfg(feature = "pictures")]
pub(super) fn warn_unwritten(
    written: Result<()>,
    talk: Verbosity,
    console: &mut Console,
) -> Result<()> {
    let Err(error) = written else { return Ok(()) };
    let problem = format!(
        "{error}; all other files are there all the same; `wgrad report` writes the report"
    );
    report_warnings(console, talk, vec![Warning::NotWritten { problem }])
}

/// Shows warnings at the end of a run.
pub(super) fn report_warnings(
    console: &mut Console,
    talk: Verbosity,
    warnings: Vec<Warning>,
) -> Result<()> {
    for warning in warnings {
        let event = worded(&Event::Warned(warning)).into_owned();
        console.event(&event);
        if talk.json {
            JsonLines::new(Output::new()).event(&event).map_err(failed)?;
        }
    }
    Ok(())
}

/// Returns a warning if two members are the same network.
fn same_weights(networks: &[crate::train::TrainedModel]) -> Option<Warning> {
    let (first, other) = (0..networks.len()).find_map(|member| {
        let same = |it: &crate::train::TrainedModel| it.params == networks[member].params;
        networks[..member].iter().position(same).map(|first| (first, member))
    })?;
    let problem = format!(
        "members {first} and {other} have the same weights: nothing random differs between them, such as initial weights, the order \
         of rows or dropout, so that the ensemble is no better than one network"
    );
    Some(Warning::Noted { problem })
}

/// Writes the histories of all networks into one table, with the number of the network before each line.
pub(super) fn write_history(parts: &[RunPart], folder: &Path, word: &str) -> Result<()> {
    let mut text = String::new();
    for (number, part) in parts.iter().enumerate() {
        let path: PathBuf = part.folder.join(HISTORY);
        let own = std::fs::read_to_string(&path);
        let own = own.map_err(|source| Error::file("read", &path, source))?;
        let mut lines = own.lines();
        let header = lines.next().unwrap_or_default();
        if text.is_empty() {
            text = format!("{word},{header}\n");
        }
        lines.for_each(|line| text += &format!("{number},{line}\n"));
    }
    write_file(folder.join(HISTORY), text.as_bytes())
}

/// Writes a JSON object over several lines.
pub(super) fn write_json(value: &impl Serialize, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Error::file("write", path, error.into()))?;
    write_file(path, format!("{text}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_memory_cannot_hold_are_refused() {
        assert!(check_memory(1000, 10_000, Some(1 << 30)).is_ok());
        assert!(check_memory(u32::MAX, 10_000, None).is_ok());
        let said = check_memory(1_000_000, 10_000, Some(1 << 30)).unwrap_err().to_string();
        let want = "--members: 1,000,000 of these networks would take about 93.6 GiB of memory, of which 1.0 GiB are free; at most 10,686 fit";
        assert!(said.starts_with(want), "{said}");
    }
}
