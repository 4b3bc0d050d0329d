//! Several networks that one run trains, each in a folder of its own as a run of its own: members of an ensemble, folds.
//!
//! In: rows, layers and options of each network, a folder. Out: a run folder for each, which a killed run finds again: networks
//! that are finished stay, others go on from their checkpoints.
//! Absent on purpose: what the networks are for, and figures of all of them together.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint_files::{checkpoint_files, delete_best_checkpoint};
use super::folder::{RunFolder, lock};
use super::parts_report::{PartPlace, PartsReport};
use super::train::Run;
use super::verbosity::Verbosity;
use crate::cli::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::open_run::{CONFIG, METRICS, figures_of};
use crate::cli::settings::CheckpointSettings;
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, read_checkpoint, read_model};
use crate::model::Params;
use crate::report::Console;
use crate::train::{Checkpoint, DeviceKind, Member, TrainedModel, Trainer, train_members};

/// A network of several.
pub(super) struct RunPart {
    /// Its run folder.
    pub(super) folder: PathBuf,
    /// The text of its config.toml, with which `wgrad train` trains it alone.
    pub(super) config: String,
    /// Rows, layers and options.
    pub(super) member: Member,
    /// Weights to begin with, if they are not random.
    pub(super) weights: Option<Params>,
    /// Folder of its event files for TensorBoard.
    pub(super) tensorboard: Option<PathBuf>,
    /// Words and numbers that name it, such as `member` and 3.
    pub(super) place: PartPlace,
}

/// Called when a network has been trained to its end, with its place among all.
pub(super) type OnEnd<'a> = &'a (dyn Fn(usize) -> Result<()> + Sync);

/// How several networks are trained.
pub(super) struct PartsSettings<'a> {
    /// Word for one network, such as `member`.
    pub(super) word: &'static str,
    pub(super) on_end: OnEnd<'a>,
    pub(super) device: &'a DeviceKind,
    pub(super) checkpoints: CheckpointSettings,
    pub(super) interrupt: &'a Interrupt,
    pub(super) talk: Verbosity,
}

/// Settings that do not change what is computed, and may change from one start of the program to the next.
pub(super) const ANYWHERE: [&str; 5] = ["record", "out", "device", "table", "tensorboard"];

/// A network that has been trained, as its folder has it.
pub(super) struct TrainedPart {
    pub(super) trained: TrainedModel,
    /// The content of metrics.json.
    pub(super) metrics: serde_json::Map<String, serde_json::Value>,
}

impl TrainedPart {
    /// Reads what a finished network has left.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let metrics = figures_of(folder)?.ok_or_else(|| {
            Error::model_file(
                folder,
                format!("no {METRICS}: this network is not trained to its end"),
            )
        })?;
        Ok(Self { trained: read_model(folder.join(MODEL_FILE))?, metrics })
    }
}

impl RunPart {
    /// Returns true if the network was trained to its end with these settings.
    pub(super) fn is_finished(&self) -> bool {
        let config = fs::read_to_string(self.folder.join(CONFIG)).unwrap_or_default();
        let same = settings_of(&config).is_some_and(|own| Some(own) == settings_of(&self.config));
        let ended = |part: &TrainedPart| {
            part.metrics.get("interrupted").and_then(serde_json::Value::as_bool) == Some(false)
        };
        same && TrainedPart::read(&self.folder).is_ok_and(|part| ended(&part))
    }

    /// Returns the newest checkpoint that can be read, and a warning if a newer one cannot: with an older one the same steps are
    /// done again.
    fn checkpoint(&self) -> (Option<Checkpoint>, Option<String>) {
        let mut warning = None;
        for path in checkpoint_files(&self.folder) {
            match read_checkpoint(&path) {
                Ok(checkpoint) => return (Some(checkpoint), warning),
                Err(error) => {
                    warning.get_or_insert(format!("{error}; it goes on from an earlier state"));
                }
            }
        }
        (None, warning)
    }

    /// Trains the network to its end, from its checkpoint if it has one.
    fn train(
        &self,
        (number, trainer): (usize, &mut Trainer),
        (settings, report): (&PartsSettings<'_>, &Arc<PartsReport>),
    ) -> Result<(), Failure> {
        if settings.interrupt.asked() {
            return Ok(());
        }
        let parent = self.folder.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|source| Error::file("create", parent, source))?;
        let lock = if self.folder.is_dir() { lock(&self.folder)? } else { None };
        let (checkpoint, warning) = self.checkpoint();
        warning.iter().for_each(|text| report.tell(number, text));
        let talk = Verbosity { quiet: true, ..settings.talk };
        let part = (number, self.place.clone(), Arc::clone(report));
        let options = &self.member.options;
        let mut run = if let Some(checkpoint) = checkpoint {
            let done = (checkpoint.epoch(), checkpoint.step());
            let best = checkpoint.kept().map(|kept| kept.epoch);
            trainer.resume(checkpoint)?;
            let folder = RunFolder::reopen(&self.folder, &self.config, lock)?;
            delete_best_checkpoint(&self.folder, best)?;
            let (history, damage) = folder.resume_history(done.0)?;
            damage.iter().for_each(|text| report.tell(number, text));
            report.resumes(number, done.0);
            let mut run = Run::new(folder, history, talk, settings.checkpoints)?.into_part(part);
            run.log_to(self.tensorboard.clone(), done.0);
            run.resume_after(done, trainer.info().steps_per_epoch, options.epochs);
            run
        } else {
            drop(lock);
            if let Some(weights) = &self.weights {
                trainer.set_params(weights)?;
            }
            RunFolder::remove_all(&self.folder);
            let folder = RunFolder::create(&self.folder, &self.config)?;
            let history = folder.begin_history()?;
            let mut run = Run::new(folder, history, talk, settings.checkpoints)?.into_part(part);
            run.log_to(self.tensorboard.clone(), 0);
            run
        };
        run.drive(trainer, settings.interrupt, options, Vec::new())?;
        if self.is_finished() {
            (settings.on_end)(number)?;
        }
        Ok(())
    }
}

/// Returns the settings of a config.toml that decide what is computed.
fn settings_of(config: &str) -> Option<toml::Table> {
    let mut table: toml::Table = config.parse().ok()?;
    ANYWHERE.iter().for_each(|key| _ = table.remove(*key));
    (!table.is_empty()).then_some(table)
}

/// End of the training of several networks.
pub(super) struct PartsEnd {
    pub(super) console: Console,
    /// True if the user stopped the program.
    pub(super) stopped: bool,
    /// Networks that could not be trained, with their places among all.
    pub(super) failed: Vec<(usize, Failure)>,
    /// Warnings that were shown, each with the name of its network.
    pub(super) warnings: Vec<String>,
}

/// Several networks that are all trained.
pub(super) struct TrainedParts {
    pub(super) console: Console,
    /// True if the user stopped the program.
    pub(super) stopped: bool,
    /// Warnings that were shown, each with the name of its network.
    pub(super) warnings: Vec<String>,
}

/// Trains all networks that are not finished.
///
/// # Errors
/// If the device cannot be opened. A network that cannot be trained leaves the others alone.
pub(super) fn train_parts(
    parts: &[RunPart],
    settings: &PartsSettings<'_>,
    (console, shown): (Console, HashSet<String>),
) -> Result<PartsEnd, Failure> {
    let finished: Vec<usize> = (0..parts.len()).filter(|&it| parts[it].is_finished()).collect();
    let left: Vec<usize> = (0..parts.len()).filter(|it| !finished.contains(it)).collect();
    let epochs = parts.first().map_or(0, |part| part.member.options.epochs);
    let counts = (parts.len(), finished.as_slice(), epochs);
    let places = parts.iter().map(|part| part.place.text()).collect();
    let report = Arc::new(PartsReport::new((settings.word, places), console, counts, shown));
    let members: Vec<Member> = left.iter().map(|&part| parts[part].member.clone()).collect();
    let results = train_members(&members, settings.device, |place, trainer| {
        let number = left[place];
        Ok(parts[number].train((number, trainer), (settings, &report)))
    })?;
    let report = Arc::into_inner(report).expect("all threads have ended");
    let (console, warnings) = report.end();
    let mut failed: Vec<(usize, Failure)> = Vec::new();
    for (&number, result) in left.iter().zip(results) {
        if let Err(failure) = result.map_err(Failure::from).and_then(|trained| trained) {
            failed.push((number, failure));
        }
    }
    Ok(PartsEnd { console, stopped: settings.interrupt.asked(), failed, warnings })
}

impl PartsEnd {
    /// Returns the end of a training in which no network failed.
    ///
    /// # Errors
    /// If a network could not be trained: the first one's, after the others are told.
    pub(super) fn whole(self, parts: &[RunPart], word: &str) -> Result<TrainedParts, Failure> {
        let Self { mut console, stopped, mut failed, warnings } = self;
        if failed.is_empty() {
            return Ok(TrainedParts { console, stopped, warnings });
        }
        let trained = parts.iter().filter(|part| part.is_finished()).count();
        for (number, failure) in &failed[1..] {
            console.line(&format!("{}: {failure}", parts[*number].place.text()));
        }
        let (number, failure) = failed.swap_remove(0);
        let others = format!("{trained} of {} {word}s are trained", parts.len());
        Err(failure.of_part(parts[number].place.text(), &others))
    }
}
