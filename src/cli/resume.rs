//! `wgrad resume`: a run folder in, the same folder out, as if the run had never stopped.
//!
//! Absent on purpose: what a checkpoint holds; how the rest of the run goes, which `train.rs` knows.

use std::path::{Path, PathBuf};

use super::args::{ResumeArgs, Settings};
use super::config::RunConfig;
use super::folder::{CONFIG, RunFolder, lock};
use super::given::Given;
use super::interrupt::Interrupt;
use super::keeper::{best_file, checkpoint_files};
use super::train::{Prepared, Run, Talk, prepare};
use super::{Exit, Failure};
use crate::error::{Error, Result};
use crate::export::read_checkpoint;
use crate::train::Checkpoint;

pub(super) fn resume(args: &ResumeArgs) -> Result<Exit, Failure> {
    let config = settings(args)?;
    // Before anything is read that another process may be about to replace.
    let lock = lock(&args.run)?;
    let checkpoint = checkpoint(args)?;
    let interrupt = Interrupt::listen(args.quiet)?;
    let mut prepared = prepare(&config, checkpoint.is_none())?;
    let done = checkpoint.as_ref().map_or((0, 0), |it| (it.epoch(), it.step()));
    let kept = checkpoint.as_ref().and_then(|it| it.kept()).map(|kept| kept.epoch);
    if let Some(checkpoint) = checkpoint {
        prepared.trainer.resume(checkpoint).map_err(|error| config.locate(error))?;
    }
    let Prepared { mut trainer, config: text, options, warnings } = prepared;
    interrupt.arm();
    let folder = RunFolder::reopen(&config.out, &text, lock)?;
    forget_best(&config.out, kept)?;
    let history = folder.resume_history(done.0)?;
    let talk = Talk { json: args.json, quiet: args.quiet };
    let mut run = Run::new(folder, history, talk, config.checkpoints)?;
    run.go_on_after(done, trainer.info().steps_per_epoch, options.epochs);
    run.drive(&mut trainer, &interrupt, &options, warnings)
}

/// The settings of the run, with those that are given anew.
fn settings(args: &ResumeArgs) -> Result<RunConfig> {
    let path = args.run.join(CONFIG);
    if !path.is_file() {
        let problem = if args.run.is_dir() {
            format!(
                "no {CONFIG} in this folder: it is no run, or one that had not begun; train again"
            )
        } else {
            "no such folder; give the one that `wgrad train` made".to_string()
        };
        return Err(Error::model_file(&args.run, problem));
    }
    let settings = Settings {
        table: args.table.clone(),
        epochs: args.epochs.clone(),
        device: args.device.clone(),
        config: Some(path),
        ..Settings::default()
    };
    let out = args.run.display().to_string();
    let resolve = |settings: &Settings| RunConfig::resolve(Given::merge(settings, Some(&out))?);
    let as_it_was = resolve(&settings)?;
    if args.stop_patience.is_none() && args.stop_delta.is_none() {
        return Ok(as_it_was);
    }
    // Which epoch is kept is no matter of how long the run goes on.
    let keep = as_it_was.keep().map(|keep| keep.name().to_string());
    let (stop_patience, stop_delta) = (args.stop_patience.clone(), args.stop_delta.clone());
    resolve(&Settings { stop_patience, stop_delta, keep, ..settings })
}

/// Takes away the best epoch's checkpoint if the run goes on from where another epoch was the best, or none.
fn forget_best(run: &Path, kept: Option<u32>) -> Result<()> {
    let path = best_file(run);
    let goes = path.exists() && read_checkpoint(&path).map_or(true, |it| Some(it.epoch()) != kept);
    if !goes {
        return Ok(());
    }
    std::fs::remove_file(&path).map_err(|source| Error::file("replace", path, source))
}

/// The checkpoint to go on from; `None` for a run that was stopped before it wrote one.
fn checkpoint(args: &ResumeArgs) -> Result<Option<Checkpoint>> {
    if let Some(path) = &args.checkpoint {
        return read_checkpoint(path).map(Some);
    }
    let files = checkpoint_files(&args.run);
    let Some((newest, older)) = files.split_first() else {
        return if RunFolder::is_finished(&args.run) {
            Err(no_checkpoint(&args.run))
        } else {
            Ok(None)
        };
    };
    read_checkpoint(newest).map(Some).map_err(|error| advised(error, &args.run, newest, older))
}

fn no_checkpoint(run: &Path) -> Error {
    let problem = "it is finished, and has kept no checkpoint; `wgrad train` with its config.toml as --config and its \
                   model.safetensors as --init trains on from its weights";
    Error::model_file(run, problem)
}

/// Says what to do about a checkpoint that cannot be read.
fn advised(error: Error, run: &Path, newest: &Path, older: &[PathBuf]) -> Error {
    let problem = match error {
        Error::ModelFile { problem, .. } => problem,
        other => return other,
    };
    let advice = match older.iter().find(|path| read_checkpoint(path).is_ok()) {
        Some(path) => format!(
            "an older one can be read: wgrad resume {} --checkpoint {}",
            run.display(),
            path.display()
        ),
        None => format!(
            "no older one can be read: take this file away to begin the run again, or begin one from the weights of the last \
             epoch saved: wgrad train --config {} --init {} --out OTHER",
            run.join(CONFIG).display(),
            run.join(crate::export::MODEL_FILE).display()
        ),
    };
    Error::model_file(newest, format!("{problem}; {advice}"))
}
