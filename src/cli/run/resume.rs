//! `wgrad resume`: a run folder in, the same folder out, as if the run had never stopped.
//!
//! Absent on purpose: the content of a checkpoint; the rest of the run, which is in `train.rs`.

use std::path::{Path, PathBuf};

use super::checkpoint_files::{checkpoint_files, delete_best_checkpoint};
use super::folder::{RunFolder, lock};
use super::folds::train_folds;
use super::members::train_members;
use super::ranks::{check as check_ranks, check_alone, follow, ranks, together};
use super::sweep::resume_sweep;
use super::train::{OpenedRun, Prepared, Run};
use super::verbosity::Verbosity;
use crate::cli::args::ResumeArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::open_run::{CONFIG, SWEEP};
use crate::cli::settings::{CHECKPOINT, RunConfig, path_text, run_config};
use crate::cli::wording::option_of;
use crate::cli::{Exit, Failure};
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, read_checkpoint, read_preparation};
use crate::shape::number;
use crate::train::{Checkpoint, TrainOptions, Trainer, Warning};

pub(crate) fn resume(args: &ResumeArgs) -> Result<Exit, Failure> {
    if args.run.join(SWEEP).is_file() {
        check_alone("a sweep")?;
        return resumed_sweep(args);
    }
    let ranks = ranks()?;
    let ranks = ranks.as_ref();
    let follows = ranks.is_some_and(|ranks| ranks.share().rank != 0);
    let quiet = args.quiet || follows;
    let (config, before) = together(ranks, || {
        let (config, before) = settings(args)?;
        if ranks.is_some() {
            check_ranks(&config)?;
        }
        Ok((config, before))
    })?;
    let of_folds = config.folds > 0 && config.fold.is_none();
    if config.members > 1 || of_folds {
        if args.checkpoint.is_some() {
            let problem = "the run is of several networks, each of which goes on from its own checkpoint; leave it out, or resume the \
                           folder of one of them";
            return Err(Error::setting("--checkpoint", problem).into());
        }
        let talk = Verbosity::of_resume(args);
        return match of_folds {
            true => train_folds(&config, talk, false),
            false => train_members(&config, talk, false),
        };
    }
    // Taken before anything is read that another process may be about to replace.
    let lock = together(ranks, || Ok(if follows { None } else { Some(lock(&args.run)?) }))?;
    let checkpoint = together(ranks, || Ok(checkpoint(args)?))?;
    let interrupt = Interrupt::listen(quiet)?;
    // Without a checkpoint the run begins again, with the weights of `--init` if there were any.
    let begins = checkpoint.is_none();
    let mut opened = together(ranks, || Ok(OpenedRun::new(&config, (begins, quiet), ranks)?))?;
    let read = checkpoint.as_ref().map(|(_, checkpoint)| checkpoint);
    let done = read.map_or((0, 0), |it| (it.epoch(), it.step()));
    let kept = read.and_then(Checkpoint::kept).map(|kept| kept.epoch);
    if let Some((path, checkpoint)) = checkpoint {
        let resumed = opened.trainer.resume(checkpoint);
        let resumed =
            resumed.map_err(|error| match with_changes(error, &config, &opened.trainer) {
                // The library knows no file, and the user no setting of that name.
                Error::Setting { name, problem } if name == CHECKPOINT => {
                    Error::setting(path.display().to_string(), problem)
                }
                other => config.locate(other),
            });
        together(ranks, || Ok(resumed?))?;
    }
    let Some(lock) = lock else {
        drop(opened.run);
        interrupt.arm();
        let trainer = &mut opened.trainer;
        return ranks.map_or(Ok(Exit::Done), |ranks| follow(trainer, &interrupt, ranks));
    };
    let (prepared, network) = opened.prepared(&config)?;
    let Prepared { mut trainer, config: text, options, mut warnings, judge, format } = prepared;
    let talk = Verbosity::of_resume(args);
    #[cfg(feature = "pictures")]
    let judge = if talk.report { judge.with_sample(&network.data.train) } else { judge };
    // The rows are not kept: the device has its own.
    drop(network);
    let steps = trainer.info().steps_per_epoch;
    warnings.extend(other_rates(args, (before.told(), &options), done, steps));
    warnings.extend(other_smoothing((before.told(), &options), done, steps));
    interrupt.arm();
    let folder = RunFolder::reopen(&config.out, &text, lock)?;
    // The folder may have the best checkpoint of epochs that are now undone.
    delete_best_checkpoint(&config.out, kept)?;
    let (history, damage) = folder.resume_history(done.0)?;
    warnings.extend(damage.map(|problem| Warning::Noted { problem }));
    let mut run = Run::new(folder, history, talk, config.checkpoints)?.judged_by(judge);
    #[cfg(feature = "pictures")]
    run.set_report(talk.report);
    run.log_to(config.tensorboard_of(&config.out), done.0);
    run.tell_format(&format);
    run.agree_with(ranks);
    run.resume_after(done, trainer.info().steps_per_epoch, options.epochs);
    run.drive(&mut trainer, &interrupt, &options, warnings)
}

/// Goes on with a sweep.
fn resumed_sweep(args: &ResumeArgs) -> Result<Exit, Failure> {
    let given = args.settings.0.texts().next().map(|(key, _)| key);
    if let Some(key) = given.or(args.checkpoint.as_ref().map(|_| CHECKPOINT)) {
        let problem =
            "a sweep goes on as it began; leave it out, or resume the folder of one of its trials";
        return Err(Error::setting(format!("--{key}"), problem).into());
    }
    resume_sweep(&args.run, Verbosity::of_resume(args))
}

/// Returns an error that says what has changed in the table, if a checkpoint is refused for that: the model in the run's folder has the
/// columns as they were.
fn with_changes(error: Error, config: &RunConfig, trainer: &Trainer) -> Error {
    if !matches!(error, Error::Setting { .. }) {
        return error;
    }
    let Ok(Some(was)) = read_preparation(config.out.join(MODEL_FILE)) else { return error };
    let changes = trainer.trained().preparation.schema.changes(&was.schema);
    if changes.is_empty() {
        return error;
    }
    let problem = format!(
        "the table is not as it was when the run began: {}; go on with the table as it was, or begin a new run from the run's weights \
         with ‘init’",
        changes.join("; ")
    );
    Error::table(config.table.display().to_string(), problem)
}

/// Returns a warning, if the run is to have another length than before, and its schedules depend on it.
fn other_rates(
    args: &ResumeArgs,
    (before, now): (&TrainOptions, &TrainOptions),
    (epochs, step): (u32, usize),
    steps_per_epoch: usize,
) -> Option<Warning> {
    let (old, new) = (before.scheduled_epochs(), now.scheduled_epochs());
    let which = now.length_dependent();
    if which.is_empty() || old == new || (epochs, step) == (0, 0) {
        return None;
    }
    // Compared at the step where the run continues, since that is where the rate jumps.
    let moves = now.updates_per_epoch(steps_per_epoch) as u64;
    let next = u64::from(epochs) * moves + step as u64 / u64::from(now.accumulate.max(1));
    let [then, next] = [
        before.schedules(steps_per_epoch).factors(next.saturating_sub(1)),
        now.schedules(steps_per_epoch).factors(next),
    ];
    let pairs = [
        ("schedule", "the learning rate", then.lr, next.lr),
        ("decay_schedule", "the share of weight decay", then.weight_decay, next.weight_decay),
        ("dropout_schedule", "the share of dropout", then.dropout, next.dropout),
        ("smoothing_schedule", "the share of label smoothing", then.smoothing, next.smoothing),
    ];
    let rates: Vec<String> = pairs
        .into_iter()
        .filter(|(option, ..)| which.contains(option))
        .map(|(_, what, then, next)| format!("{what} was {} and is {}", number(then), number(next)))
        .collect();
    let keep = if args.settings.0.text("schedule-epochs").is_some() {
        String::new()
    } else {
        format!(
            "; to keep the old schedule, and its last rate after epoch {old}, resume with --schedule-epochs {old}"
        )
    };
    let options: Vec<String> = which.iter().filter_map(|name| option_of(name)).collect();
    let problem = format!(
        "{} {} over {new} epochs now, and over {old} before: from the last step done to the next one, {}. The results will not be \
         those of a run that had {new} epochs from its beginning{keep}",
        options.join(" and "),
        if which.len() == 1 { "goes" } else { "go" },
        rates.join(", ")
    );
    Some(Warning::Noted { problem })
}

/// Returns a warning, if the validation loss has another label smoothing than that of the epochs so far.
fn other_smoothing(
    (before, now): (&TrainOptions, &TrainOptions),
    done: (u32, usize),
    steps_per_epoch: usize,
) -> Option<Warning> {
    let [was, is] = [before, now].map(|it| it.schedules(steps_per_epoch).smoothing.last());
    // The options of a run that is to be resumed say its loss only where it was given.
    let smooths = now.loss.label_smoothing() > 0.0;
    if was == is || !smooths || done == (0, 0) {
        return None;
    }
    let old = before.scheduled_epochs();
    let problem = format!(
        "the validation loss has the label smoothing of the end of --smoothing-schedule, a share of {} now and of {} before: losses of \
         the epochs so far, by which the best one is kept, do not compare with later ones; resume with --schedule-epochs {old} to keep it",
        number(is),
        number(was)
    );
    Some(Warning::Noted { problem })
}

/// Returns the settings of the run with the new ones, and the settings as they were.
fn settings(args: &ResumeArgs) -> Result<(RunConfig, RunConfig)> {
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
    let given = args.settings.0.clone().with_file(path).with("out", path_text(&args.run));
    // Runs that began before such columns were left out have them.
    let given = match run_config(&given.clone().without(&["epochs"]))?.states("duplicates") {
        true => given,
        false => given.with("duplicates", "keep"),
    };
    // Early stopping may be changed freely: it decides when the run ends, not what is computed.
    let stops = ["stop-patience", "stop-delta"];
    let before =
        run_config(&given.clone().without(&stops).without(&["epochs", "schedule-epochs"]))?;
    let as_it_was = run_config(&given.clone().without(&stops))?;
    if stops.iter().all(|key| given.text(key).is_none()) {
        return Ok((as_it_was, before));
    }
    // Which epoch is kept must not change with the settings of early stopping.
    let given = match as_it_was.told().keep {
        Some(keep) => given.with("keep", keep.name()),
        None => given,
    };
    Ok((run_config(&given)?, before))
}

/// Returns the checkpoint to continue from, and its file; `None` for a run that was stopped before it wrote one.
fn checkpoint(args: &ResumeArgs) -> Result<Option<(PathBuf, Checkpoint)>> {
    if let Some(path) = &args.checkpoint {
        return read_checkpoint(path).map(|it| Some((path.clone(), it)));
    }
    let files = checkpoint_files(&args.run);
    let Some((newest, older)) = files.split_first() else {
        // A finished run without checkpoints must not be trained again from its beginning.
        return if RunFolder::is_finished(&args.run) {
            Err(no_checkpoint(&args.run))
        } else {
            Ok(None)
        };
    };
    let read = read_checkpoint(newest);
    let read = read.map_err(|error| advised(error, &args.run, newest, older))?;
    Ok(Some((newest.clone(), read)))
}

fn no_checkpoint(run: &Path) -> Error {
    let problem = "it is finished, and has kept no checkpoint; `wgrad train` with its config.toml as --config and its \
                   model.safetensors as --init trains on from its weights";
    Error::model_file(run, problem)
}

/// Returns an error that says what to do about a checkpoint that cannot be read.
fn advised(error: Error, run: &Path, newest: &Path, older: &[PathBuf]) -> Error {
    let problem = match error {
        Error::ModelFile { problem, .. } => problem,
        other => return other,
    };
    // The user is told only of a file that can be read.
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
