//! `wgrad train`: a table in, a run folder out.
//!
//! A finished part is on disk before the next one starts, and is reported after that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint_files::{best_file, checkpoint_file};
use super::checkpoint_writer::{CheckpointWriter, PendingCheckpoints};
use super::folder::RunFolder;
use super::folds::train_folds;
use super::members::train_members;
use super::parts_report::{PartPlace, PartsReport};
use super::ranks::{agree_to_stop, check as check_ranks, follow, is_common, ranks, together};
use super::ready_run::{ReadyRun, constant_target};
use super::shared_rows::rows_of_ranks;
use super::verbosity::Verbosity;
use super::verdict::{Judge, Verdict};
use crate::cli::args::TrainArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::next::show_after_run;
use crate::cli::open_run::SWEEP;
use crate::cli::output::{Output, failed};
#[cfg(feature = "pictures")]
use crate::cli::pictures::training_report;
use crate::cli::settings::{CheckpointSettings, RunConfig, config_text, run_config};
use crate::cli::tables::with_bar;
use crate::cli::wording::{quoted, told, with_options, worded};
use crate::cli::{Exit, Failure};
use crate::error::{Error, Result};
use crate::export::write_model;
use crate::ranks::Ranks;
use crate::report::{Console, Figures, History, JsonLines, Outcome, TensorBoard, pluralize};
use crate::shape::number;
use crate::train::{
    Checkpoint, EpochStats, Event, KeepWeights, Progress, Summary, TrainOptions, TrainedModel,
    Trainer, Warning,
};

/// Least time between two writings of the model.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn train(args: &TrainArgs) -> Result<Exit, Failure> {
    let ranks = ranks()?;
    let ranks = ranks.as_ref();
    // Of several ranks the first one alone writes and reports.
    let follows = ranks.is_some_and(|ranks| ranks.share().rank != 0);
    let quiet = args.output.quiet || follows;
    let config = together(ranks, || {
        let config = run_config(&args.settings.0)?;
        if ranks.is_some() {
            check_ranks(&config)?;
        }
        if !follows {
            RunFolder::check(&config.out, args.force).map_err(|error| config.locate(error))?;
            RunFolder::check_tables(&config.out, config.tables())
                .map_err(|error| config.locate(error))?;
            if config.out.join(SWEEP).is_file() {
                let problem = format!(
                    "{} is the folder of a sweep, of which --force does not replace the trials; take another folder, or delete this one",
                    config.out.display()
                );
                return Err(config.locate(Error::setting("out", problem)).into());
            }
        }
        Ok(config)
    })?;
    let talk = Verbosity::of_training(&args.output);
    if let Some(recipe) = config.recipe().filter(|_| !quiet) {
        Console::stderr().say("recipe", &recipe.text());
    }
    if let Some(layers) = config.layers_of_init().filter(|_| !quiet) {
        Console::stderr().say("network", &format!("that of the model of --init: {layers}"));
    }
    if config.members > 1 {
        return train_members(&config, talk, true);
    }
    if config.folds > 0 && config.fold.is_none() {
        return train_folds(&config, talk, true);
    }
    let interrupt = Interrupt::listen(quiet)?;
    let mut opened = together(ranks, || Ok(OpenedRun::new(&config, (true, quiet), ranks)?))?;
    if let Some(ranks) = ranks.filter(|_| follows) {
        drop(opened.run);
        interrupt.arm();
        return follow(&mut opened.trainer, &interrupt, ranks);
    }
    let (prepared, network) = opened.prepared(&config)?;
    let Prepared { mut trainer, config: text, options, warnings, judge, format } = prepared;
    #[cfg(feature = "pictures")]
    let judge = if talk.report { judge.with_sample(&network.data.train) } else { judge };
    // The rows are not kept: the device has its own.
    drop(network);
    // Armed only now: before there is anything to save, an interrupt may simply end the program.
    interrupt.arm();
    let folder = RunFolder::create(&config.out, &text)?;
    let history = folder.begin_history().inspect_err(|_| folder.discard())?;
    let mut run = Run::new(folder, history, talk, config.checkpoints)?.judged_by(judge);
    #[cfg(feature = "pictures")]
    run.set_report(talk.report);
    run.log_to(config.tensorboard_of(&config.out), 0);
    run.tell_format(&format);
    run.agree_with(ranks);
    run.drive(&mut trainer, &interrupt, &options, warnings)
}

/// A run before it has a folder.
pub(crate) struct Prepared {
    pub(crate) trainer: Trainer,
    /// The text of config.toml.
    pub(crate) config: String,
    pub(crate) options: TrainOptions,
    /// Warnings about table and weights.
    pub(crate) warnings: Vec<Warning>,
    pub(crate) judge: Judge,
    /// Remarks on an unusual form of the tables' text.
    pub(crate) format: Vec<String>,
}

/// A run with its rows on a device.
pub(crate) struct OpenedRun {
    pub(crate) trainer: Trainer,
    pub(crate) run: ReadyRun,
    format: Vec<String>,
}

impl OpenedRun {
    /// Reads the rows and opens the device; of several ranks each does so at the same time. A resumed run does not begin with the weights
    /// of `--init`.
    pub(crate) fn new(
        config: &RunConfig,
        (begins, quiet): (bool, bool),
        ranks: Option<&Ranks>,
    ) -> Result<Self> {
        let origin = config.origin(begins)?;
        let read =
            || with_bar(quiet, &config.table, |progress| config.data(origin.as_ref(), progress));
        let (mut table, ranks) = match ranks {
            Some(ranks) => {
                let (table, ranks) = rows_of_ranks(ranks, (config, origin.as_ref()), read)?;
                (table, Some(ranks))
            }
            None => (read()?, None),
        };
        let format = std::mem::take(&mut table.format);
        let run = ReadyRun::new(config, table, origin.as_ref(), (begins, quiet))?;
        let trainer = run.trainer_of(ranks.as_ref()).map_err(|error| config.locate(error))?;
        Ok(Self { trainer, run, format })
    }

    /// Does all else that can fail before there is a folder, for a run that writes and reports. Returns the run, and the rows and layers.
    pub(crate) fn prepared(self, config: &RunConfig) -> Result<(Prepared, ReadyRun)> {
        let Self { trainer, mut run, format } = self;
        let options = run.options.clone();
        let text = config_text(config, &options, trainer.info())?;
        let judge = Judge::new(&trainer, &run.data, &options);
        let mut warnings = std::mem::take(&mut run.warnings);
        warnings.extend(config.without_effect(&run.data.train, &trainer.info().device));
        warnings.extend(constant_target(&run.data.train));
        warnings.extend(judge.leak(config));
        Ok((Prepared { trainer, config: text, options, warnings, judge, format }, run))
    }
}

/// End of the loop over events.
enum End {
    Finished,
    Interrupted,
    Failed(Error),
}

/// A run under way: its folder and the reports on it.
pub(crate) struct Run {
    folder: RunFolder,
    checkpoints: CheckpointSettings,
    /// Writes checkpoints, if there are to be any.
    keeper: Option<CheckpointWriter>,
    /// Time at which the last checkpoint was handed over.
    handed: Instant,
    /// Warnings that were shown about files that cannot be written.
    unwritten: Vec<String>,
    /// The epoch of the best checkpoint that was handed over.
    best: Option<u32>,
    /// Number of epochs that had ended when this part of the run began.
    begun_after: Option<u32>,
    /// The run in the position in which it was interrupted.
    stopped: Option<Arc<Checkpoint>>,
    history: History,
    /// Event files for TensorBoard, if there are to be any.
    tensorboard: Option<TensorBoard>,
    /// Their folder.
    logs: Option<PathBuf>,
    console: Console,
    json: Option<JsonLines<Output>>,
    quiet: bool,
    begun: Instant,
    /// The epoch whose weights are on disk, and the time of writing.
    saved: Option<(u32, Instant)>,
    /// Number of epochs that have ended, and of their steps.
    ended: (u32, u64),
    /// Progress of the present epoch.
    progress: Option<Progress>,
    /// Warnings to show once training has begun.
    warnings: Vec<Warning>,
    /// Judges the network at the end.
    judge: Option<Judge>,
    /// Reports for all networks, and the number of this one, if the run is one of several networks.
    part: Option<(usize, Arc<PartsReport>)>,
    /// The other ranks, if there are any, with which the run stops.
    ranks: Option<Ranks>,
    /// True if the run leaves a report.
    #[cfg(feature = "pictures")]
    report: bool,
    /// Warnings so far, for the report.
    #[cfg(feature = "pictures")]
    told: Vec<String>,
}

impl Run {
    pub(crate) fn new(
        folder: RunFolder,
        history: History,
        talk: Verbosity,
        checkpoints: CheckpointSettings,
    ) -> Result<Self> {
        let run = folder.path().display().to_string();
        let keeps = checkpoints.every > 0 || checkpoints.minutes > 0.0;
        let keeper = if keeps { Some(CheckpointWriter::start(checkpoints.keep)?) } else { None };
        Ok(Self {
            history,
            tensorboard: None,
            logs: None,
            checkpoints,
            keeper,
            handed: Instant::now(),
            unwritten: Vec::new(),
            best: None,
            begun_after: None,
            stopped: None,
            console: talk.console(),
            json: talk.json.then(|| JsonLines::new(Output::new()).with_run(run)),
            quiet: talk.quiet,
            begun: Instant::now(),
            saved: None,
            ended: (0, 0),
            progress: None,
            warnings: Vec::new(),
            judge: None,
            part: None,
            ranks: None,
            #[cfg(feature = "pictures")]
            report: false,
            #[cfg(feature = "pictures")]
            told: Vec::new(),
            folder,
        })
    }

    /// Writes event files for TensorBoard into a folder, from the epoch after `epochs` on.
    pub(crate) fn log_to(&mut self, folder: Option<PathBuf>, epochs: u32) {
        self.tensorboard = folder.as_ref().map(|folder| TensorBoard::new(folder, epochs));
        self.logs = folder;
    }

    /// Writes into the event files. A failure does not end the run.
    fn log(&mut self, write: impl FnOnce(&mut TensorBoard) -> Result<()>) -> Result<()> {
        let Some(log) = &mut self.tensorboard else { return Ok(()) };
        let written = write(log);
        self.report_unwritten(written, "training goes on, and the curves of TensorBoard lack this")
    }

    /// Stops together with the other ranks of the run, if there are any.
    pub(crate) fn agree_with(&mut self, ranks: Option<&Ranks>) {
        self.ranks = ranks.cloned();
    }

    /// Reports what is unusual in the form of the tables' text.
    pub(crate) fn tell_format(&mut self, format: &[String]) {
        format.iter().for_each(|text| self.console.say("table", text));
    }

    /// Reports as one network of several: its place among all, its name, and the reports for all.
    pub(crate) fn into_part(
        self,
        (number, place, report): (usize, PartPlace, Arc<PartsReport>),
    ) -> Self {
        let json = self.json.map(|json| json.of_part(place.0));
        Self { json, part: Some((number, report)), ..self }
    }

    /// Decides whether the run leaves a report.
    #[cfg(feature = "pictures")]
    pub(crate) fn set_report(&mut self, report: bool) {
        self.report = report;
    }

    /// Compares the network with simpler predictions at the end.
    pub(crate) fn judged_by(self, judge: Judge) -> Self {
        Self { judge: Some(judge), ..self }
    }

    /// Reports that the run continues after `epochs` epochs, and `step` steps of the next one.
    pub(crate) fn resume_after(
        &mut self,
        (epochs, step): (u32, usize),
        steps_per_epoch: usize,
        all: u32,
    ) {
        self.ended = (epochs, u64::from(epochs) * steps_per_epoch as u64);
        self.begun_after = Some(epochs);
        let place = match (epochs, step) {
            (0, 0) => "the beginning: there is no checkpoint yet".to_string(),
            (_, 0) => format!("the end of epoch {epochs} of {all}"),
            _ => format!("step {step} of epoch {} of {all}", epochs + 1),
        };
        self.console.line(&format!("the run goes on from {place}"));
    }

    /// Trains to the end, or until the user or an error stops the run.
    pub(crate) fn drive(
        &mut self,
        trainer: &mut Trainer,
        interrupt: &Interrupt,
        options: &TrainOptions,
        warnings: Vec<Warning>,
    ) -> Result<Exit, Failure> {
        self.warnings = warnings;
        let end = self.watch(trainer, interrupt);
        // The progress line is closed first, or the next message would be written into it.
        self.console.close();
        match end {
            End::Finished => Ok(Exit::Done),
            End::Interrupted => match self.interrupted(trainer, options) {
                Ok(()) => Ok(Exit::Interrupted),
                Err(error) => Err(self.failed(trainer, error)),
            },
            End::Failed(error) => Err(self.failed(trainer, error)),
        }
    }

    /// Takes the events of the run, until it ends.
    fn watch(&mut self, trainer: &mut Trainer, interrupt: &Interrupt) -> End {
        let mut fit = trainer.fit();
        let mut stops = self.ranks.is_none() && interrupt.asked();
        loop {
            if stops {
                let begun = self.progress.is_some() || self.ended.0 > 0;
                if begun && self.keeper.is_some() {
                    // Without a checkpoint of this step there is that of the last epoch.
                    self.stopped = fit.checkpoint().ok();
                }
                return End::Interrupted;
            }
            let event = match fit.next() {
                None => return End::Finished,
                Some(Err(error)) => return End::Failed(error),
                Some(Ok(event)) => event,
            };
            // The folder is up to date before anything is reported, so that a report can be trusted.
            if let Err(error) = self.take(&event, fit.trainer()) {
                return End::Failed(error);
            }
            if matches!(event, Event::Finished(_)) {
                return End::Finished;
            }
            // Several ranks stop after the same step, or some would wait for the others.
            let agreed = match &self.ranks {
                None => Ok(interrupt.asked()),
                Some(ranks) if is_common(&event) => agree_to_stop(ranks, interrupt.asked()),
                Some(_) => Ok(false),
            };
            stops = match agreed {
                Ok(stops) => stops,
                Err(error) => return End::Failed(error),
            };
            // Long epochs have checkpoints in between, by the clock.
            let pause = self.checkpoints.minutes * 60.0;
            if pause > 0.0 && self.handed.elapsed().as_secs_f64() >= pause {
                let newest = match fit.checkpoint() {
                    Ok(checkpoint) => Some(checkpoint),
                    Err(error) => return End::Failed(error),
                };
                if let Err(error) = self.hand(PendingCheckpoints { newest, best: None }) {
                    return End::Failed(error);
                }
            }
        }
    }

    /// Has checkpoints written by a thread of their own while training continues.
    fn hand(&mut self, due: PendingCheckpoints) -> Result<()> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        if due.newest.is_some() {
            self.handed = Instant::now();
        }
        let history = self.history.file()?;
        let written = keeper.write(due, self.folder.place_now(), history);
        self.report_unwritten(written, "training goes on, and the next one is tried")
    }

    /// Waits for checkpoints that are being written.
    fn flush(&mut self) -> Result<()> {
        let written = self.keeper.as_ref().map_or(Ok(()), CheckpointWriter::flush);
        self.report_unwritten(written, "`wgrad resume` can go on from an earlier checkpoint only")
    }

    /// Warns of a file that could not be written, once for each reason: a full disk is no reason to end a run, which may
    /// last longer than the disk stays full.
    fn report_unwritten(&mut self, written: Result<()>, then: &str) -> Result<()> {
        let Err(error) = written else { return Ok(()) };
        let problem = format!("{}; {then}", told(&error));
        if self.unwritten.contains(&problem) {
            return Ok(());
        }
        self.unwritten.push(problem.clone());
        self.tell(Warning::NotWritten { problem })
    }

    /// Removes the best epoch's checkpoint if the run goes back to before that epoch.
    fn delete_best_checkpoint(&mut self, ended: u32) -> Result<()> {
        if self.best.take_if(|best| *best > ended).is_some() {
            // The writer may be writing this very file.
            self.flush()?;
            // The file may never have been written, so a failure is ignored.
            let _ = std::fs::remove_file(best_file(&self.folder.place()));
        }
        Ok(())
    }

    /// Makes the folder again, if the folder or a file in it was removed. Returns whether it was.
    fn mend(&mut self) -> Result<bool> {
        let whole = self.folder.is_there()
            && self.folder.is_whole(self.saved.is_some())
            && self.history.is_at(self.folder.history_now());
        if whole {
            return Ok(false);
        }
        self.folder.make_again()?;
        self.history.write_again(self.folder.history_now())?;
        // The model is gone, so the next save must write it even if the epoch is the same.
        self.saved = None;
        let problem = format!(
            "{} was moved, removed or emptied while training; it was made again with settings, history and model",
            self.folder.path().display()
        );
        self.tell(Warning::NotWritten { problem })?;
        Ok(true)
    }

    /// Does the same as [`Self::mend`], but lets training continue after a failure, to try again after the next epoch.
    fn try_to_mend(&mut self) -> Result<bool> {
        match self.mend() {
            Err(error @ Error::File { .. }) => {
                self.report_unwritten(Err(error), "training goes on, and it is tried again")?;
                Ok(false)
            }
            other => other,
        }
    }

    /// Keeps the text of a warning for the report.
    fn note(&mut self, event: &Event) {
        #[cfg(feature = "pictures")]
        if let Event::Warned(warning) = event {
            self.told.push(warning.to_string());
        }
        // Without reports nobody asks for it.
        #[cfg(not(feature = "pictures"))]
        let _ = event;
    }

    /// Writes the report of a run that has come to its end.
    #[cfg(feature = "pictures")]
    fn write_report(&self, trainer: &Trainer, verdict: &Verdict) -> Result<()> {
        let rows = self.judge.as_ref().map(Judge::rows_to_show).unwrap_or_default();
        let mut warnings = self.told.clone();
        warnings.extend(verdict.warning.as_ref().map(ToString::to_string));
        training_report(self.folder.path(), trainer.trained(), &rows, warnings).map(|_| ())
    }

    /// Shows a warning.
    fn tell(&mut self, warning: Warning) -> Result<()> {
        let event = worded(&Event::Warned(warning)).into_owned();
        self.note(&event);
        self.console.event(&event);
        if let Some((number, report)) = &self.part {
            report.event(*number, &event);
        }
        match &mut self.json {
            Some(json) => json.event(&event).map_err(failed),
            None => Ok(()),
        }
    }

    /// Writes the files of an event, then reports the event.
    fn take(&mut self, event: &Event, trainer: &Trainer) -> Result<()> {
        let mut verdict = Verdict::default();
        match event {
            Event::Progress(progress) => self.progress = Some(*progress),
            Event::Epoch(stats) => self.take_epoch(stats, trainer)?,
            Event::Finished(summary) => verdict = self.take_end(summary, trainer)?,
            Event::Warned(Warning::DeviceLost { ended, .. } | Warning::WentBack { ended, .. }) => {
                self.try_to_mend()?;
                self.history.cut(*ended)?;
                self.log(|log| log.go_back(*ended))?;
                self.delete_best_checkpoint(*ended)?;
                // The checkpoint on disk may be of a later step than the run is at now.
                if let Some(newest) = trainer.checkpoint().cloned() {
                    self.hand(PendingCheckpoints { newest: Some(newest), best: None })?;
                }
            }
            Event::Started(_) | Event::Warned(_) => {}
        }
        let event = &*worded(event);
        self.note(event);
        self.console.event(event);
        if let Some((number, report)) = &self.part {
            report.event(*number, event);
        }
        verdict.lines.iter().for_each(|line| self.console.say("compare", line));
        verdict
            .warning
            .iter()
            .for_each(|warning| self.console.warn(&with_options(&warning.to_string())));
        if let Some(json) = &mut self.json {
            json.event(event).map_err(failed)?;
        }
        // The run ended at once, for the reason that ended it before; the user should know how to go on.
        if let Event::Finished(Summary { stopped: Some(stopped), .. }) = event
            && self.begun_after == Some(self.ended.0)
        {
            self.report_stopped(stopped.patience);
        }
        match event {
            // Warnings about the table come after the header that introduces the run.
            Event::Started(_) => std::mem::take(&mut self.warnings)
                .into_iter()
                .try_for_each(|warning| self.take(&Event::Warned(warning), trainer)),
            Event::Finished(summary) => {
                if self.json.is_none() {
                    self.result(summary.kept.as_ref())?;
                }
                if self.part.is_none() && summary.kept.is_some() {
                    let logs = self.logs.as_deref();
                    show_after_run(&mut self.console, self.folder.path(), logs);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes the files of an epoch.
    fn take_epoch(&mut self, stats: &EpochStats, trainer: &Trainer) -> Result<()> {
        self.progress = None;
        self.ended = (stats.epoch, stats.steps);
        // Before the history is written, since its file may be gone with the folder.
        let mended = self.try_to_mend()?;
        self.history.append(stats)?;
        self.log(|log| log.epoch(stats))?;
        if self.saved.is_none() {
            // The first write reports a folder that takes no model at once; later ones may fail for a while.
            self.save(trainer)?;
        } else if self.saved.is_some_and(|(_, since)| since.elapsed() >= PAUSE) {
            let saved = self.save(trainer);
            self.report_unwritten(saved, "training goes on, and it is tried again")?;
        }
        let every = self.checkpoints.every;
        // After a mended folder the checkpoint is missing there too, whichever epoch it is of.
        let newest = trainer.checkpoint().filter(|it| mended || it.epoch() == stats.epoch);
        let newest = newest.filter(|_| every > 0).cloned();
        let best = trainer.best_checkpoint().cloned();
        self.best = best.as_ref().map(|best| best.epoch()).or(self.best);
        if newest.is_some() || best.is_some() {
            self.hand(PendingCheckpoints { newest, best })?;
        }
        Ok(())
    }

    /// Writes the last files of the run, and compares its model with simple predictions.
    fn take_end(&mut self, summary: &Summary, trainer: &Trainer) -> Result<Verdict> {
        // The last files have to be written now, so this failure is an error.
        if self.mend()?
            && let Some(newest) = trainer.checkpoint().cloned()
        {
            self.hand(PendingCheckpoints { newest: Some(newest), best: None })?;
        }
        self.save(trainer)?;
        // The summary is reported only when all files are complete.
        self.flush()?;
        let Some(kept) = &summary.kept else { return Ok(Verdict::default()) };
        let stopped_after = summary.stopped.map(|stopped| stopped.epoch);
        let outcome = self.outcome(trainer, kept, summary.seconds);
        let verdict = self.judge(&trainer.trained(), kept)?;
        let baselines = Some(verdict.comparisons.clone());
        Outcome { stopped_after, baselines, ..outcome }.write(self.folder.metrics())?;
        #[cfg(feature = "pictures")]
        if self.report {
            let written = self.write_report(trainer, &verdict);
            let then = "the model is there all the same; `wgrad report` writes the report";
            self.report_unwritten(written, then)?;
        }
        Ok(verdict)
    }

    /// Compares the kept epoch with simpler predictions, reports the comparison to programs, and writes the validation rows.
    fn judge(&mut self, trained: &TrainedModel, kept: &EpochStats) -> Result<Verdict> {
        let Some(judge) = &self.judge else { return Ok(Verdict::default()) };
        let written = judge.write_validation(&trained.into(), self.folder.path());
        let verdict = judge.compare(trained, kept)?;
        self.report_unwritten(written, "the model is there all the same")?;
        if let Some(json) = &mut self.json {
            json.compared(&verdict.comparisons).map_err(failed)?;
            if let Some(warning) = &verdict.warning {
                json.event(&Event::Warned(warning.clone())).map_err(failed)?;
            }
        }
        Ok(verdict)
    }

    /// Reports how to continue a run that early stopping had ended before.
    fn report_stopped(&mut self, patience: u32) {
        let run = quoted(self.folder.path());
        self.console.line(
            "early stopping had ended this run; to train on, give it more patience, or none:",
        );
        self.console
            .line(&format!("  wgrad resume {run} --stop-patience {}", patience.saturating_mul(2)));
    }

    /// Writes the last line, on stdout.
    fn result(&self, kept: Option<&EpochStats>) -> Result<()> {
        let (Some(kept), false) = (kept, self.quiet) else { return Ok(()) };
        let mut text = format!(
            "{}: epoch {}, train loss {}",
            self.folder.path().display(),
            kept.epoch,
            number(kept.train_loss)
        );
        if let Some(valid) = &kept.valid {
            text += &format!("; validated on {valid}");
        }
        Output::new().line(&text)
    }

    /// Writes the weights of the last good epoch, unless they are on disk.
    fn save(&mut self, trainer: &Trainer) -> Result<()> {
        let Some(epoch) = trainer.kept().map(|kept| kept.epoch) else { return Ok(()) };
        if self.saved.is_none_or(|(saved, _)| saved != epoch) {
            self.write(trainer, epoch)?;
        }
        Ok(())
    }

    /// Writes the kept weights. With the first ones, the run replaces an earlier one in the folder.
    fn write(&mut self, trainer: &Trainer, epoch: u32) -> Result<()> {
        write_model(&trainer.trained(), self.folder.new_model())?;
        if self.folder.keeps_earlier() {
            // Checkpoints move to their final place with the model.
            self.flush()?;
        }
        self.folder.flush()?;
        self.history.moved_to(self.folder.history());
        self.saved = Some((epoch, Instant::now()));
        // Also in a folder that was made again.
        if let Some(judge) = &self.judge {
            judge.write_digest(self.folder.path())?;
        }
        Ok(())
    }

    /// Removes the files of the run, and reports an earlier run that is still there.
    fn discard(&mut self) -> Option<String> {
        // Files that cannot be completed are removed anyway.
        let _ = self.flush();
        self.folder.discard();
        let kept = || format!("the earlier run in {} is as it was", self.folder.path().display());
        self.folder.keeps_earlier().then(kept)
    }

    fn outcome(&self, trainer: &Trainer, kept: &EpochStats, seconds: f64) -> Outcome {
        let device = trainer.info().device.to_string();
        Outcome {
            epoch: kept.epoch,
            steps: kept.steps,
            figures: Figures::of(kept),
            positive: trainer.info().positive.clone(),
            stopped_after: None,
            seconds,
            device,
            baselines: None,
            interrupted: false,
        }
    }

    /// Keeps the last good epoch, or removes the folder if there is none.
    fn failed(&mut self, trainer: &Trainer, error: Error) -> Failure {
        // If this cannot be written either, the first error is the one to report.
        let there = self.mend().is_ok() && self.save(trainer).is_ok();
        // Files from before may still be there, or be gone with their folder.
        let there = there || self.folder.is_there() && self.folder.model().exists();
        match self.saved {
            Some(_) if !there => Failure {
                saved: Some(format!("nothing of this run is in {}", self.folder.path().display())),
                ..error.into()
            },
            Some((epoch, _)) => {
                let model = self.folder.model();
                let which = match trainer.keeps() {
                    KeepWeights::Best => "best epoch",
                    KeepWeights::Last => "last good epoch",
                };
                let mut saved = format!("the {which} ({epoch}) is kept in {}", model.display());
                // Errors that follow from the numbers would come again.
                let passing = matches!(
                    error,
                    Error::File { .. } | Error::Device { .. } | Error::OutOfMemory { .. }
                );
                if passing && checkpoint_file(self.folder.path(), 0).exists() {
                    let run = quoted(self.folder.path());
                    saved += &format!("; when that is mended, `wgrad resume {run}` goes on");
                }
                Failure { saved: Some(saved), ..error.into() }
            }
            None => Failure { saved: self.discard(), ..error.into() },
        }
    }

    /// Keeps the present weights, or those of the best epoch if that one is kept.
    fn interrupted(&mut self, trainer: &mut Trainer, options: &TrainOptions) -> Result<()> {
        let steps_per_epoch = trainer.info().steps_per_epoch as u64;
        let (epoch, done) = self.ended;
        // Steps of the epoch under way count, even if its progress was the last event.
        let progress = self.progress.take();
        let steps =
            progress.map_or(done, |p| u64::from(p.epoch - 1) * steps_per_epoch + p.step as u64);
        if steps == 0 {
            return self.nothing_kept("interrupted before the first step; nothing is kept");
        }
        self.mend()?;
        // Read before the kept weights are chosen: a run may have diverged since the last epoch.
        let kept = trainer.kept().cloned();
        let present = trainer.params()?;
        let finite = present.arena().iter().all(|value| value.is_finite());
        let best = trainer.keeps() == KeepWeights::Best;
        // The kept epoch's weights, if they are the best, if the present ones are not finite, or if no step came after them.
        let outcome = if let Some(kept) = kept.as_ref().filter(|_| best || !finite || steps == done)
        {
            self.save(trainer)?;
            Outcome {
                interrupted: true,
                ..self.outcome(trainer, kept, self.begun.elapsed().as_secs_f64())
            }
        } else if finite {
            // The present weights have no figures yet, so they are validated now.
            trainer.keep_current()?;
            let valid = trainer.validate()?;
            let loss = progress.and_then(|p| p.loss).or(kept.map(|kept| kept.train_loss));
            self.write(trainer, epoch)?;
            let (seconds, device) =
                (self.begun.elapsed().as_secs_f64(), trainer.info().device.to_string());
            Outcome {
                epoch,
                steps,
                figures: Figures::new(loss, valid.as_ref()),
                positive: trainer.info().positive.clone(),
                stopped_after: None,
                seconds,
                device,
                baselines: None,
                interrupted: true,
            }
        } else {
            let text = "interrupted; the weights were not finite, so nothing is kept";
            return self.nothing_kept(text);
        };
        outcome.write(self.folder.metrics())?;
        if let Some(checkpoint) = self.stopped.take() {
            self.hand(PendingCheckpoints { newest: Some(checkpoint), best: None })?;
            self.flush()?;
        }
        if let Some(json) = &mut self.json {
            json.interrupted(&outcome).map_err(failed)?;
        }
        self.report_interrupted(&outcome, (epoch, steps), options);
        Ok(())
    }

    /// Reports an interrupt that leaves nothing behind.
    fn nothing_kept(&mut self, text: &str) -> Result<()> {
        let earlier = self.discard().map(|earlier| format!("; {earlier}"));
        self.console.line(&format!("{text}{}", earlier.unwrap_or_default()));
        Ok(())
    }

    /// Reports where the weights are, and how to continue with them.
    fn report_interrupted(
        &mut self,
        kept: &Outcome,
        (epochs, steps): (u32, u64),
        options: &TrainOptions,
    ) {
        let model = self.folder.model();
        let (weights, steps) = if kept.epoch == epochs {
            ("the weights".to_string(), kept.steps)
        } else {
            (format!("the weights of epoch {}, the best,", kept.epoch), steps)
        };
        self.console.line(&format!(
            "interrupted after step {steps}, {} finished; {weights} are in {}",
            pluralize(epochs.into(), "epoch"),
            model.display()
        ));
        if self.keeper.is_some() {
            self.console
                .line("to go on where it stopped, with the results of a run that never did:");
            self.console.line(&format!("  wgrad resume {}", quoted(self.folder.path())));
        }
        let left = options.epochs.saturating_sub(epochs).max(1);
        // A warm-up that is longer than the remaining epochs would be refused.
        let warmup = if options.warmup > f64::from(left) { " --warmup 0" } else { "" };
        self.console.line(&format!(
            "to train on from these weights, in a new run with a fresh optimizer and schedule, for the {} left:",
            pluralize(left.into(), "epoch")
        ));
        self.console.line(&format!(
            "  wgrad train --config {} --init {} --epochs {left}{warmup} --out {}",
            quoted(&self.folder.config()),
            quoted(&model),
            quoted(&self.folder.next())
        ));
    }
}
