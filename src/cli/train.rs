//! `wgrad train`: a table in, a run folder out.
//!
//! What is finished is on disk before the next thing starts, and is told after that.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::args::TrainArgs;
use super::config::RunConfig;
use super::folder::RunFolder;
use super::given::Given;
use super::interrupt::Interrupt;
use super::output::{Output, failed};
use super::record::config_text;
use super::{Exit, Failure};
use crate::error::{Error, Result};
use crate::export::write_model;
use crate::report::{Console, Figures, History, JsonLines, Outcome};
use crate::train::{EpochStats, Event, Progress, Trainer};

/// Time between two writings of the model, at least.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn train(args: &TrainArgs) -> Result<Exit, Failure> {
    let config = RunConfig::resolve(Given::merge(&args.settings, args.out.as_deref())?)?;
    RunFolder::check(&config.out, args.force).map_err(|error| config.locate(error))?;
    let interrupt = Interrupt::listen()?;
    let (mut trainer, text) = prepare(&config)?;
    interrupt.arm();
    let folder = RunFolder::create(&config.out, &text)?;
    let history = folder.history().inspect_err(|_| folder.discard())?;
    let mut run = Run::new(folder, history, args);
    let end = run.watch(&mut trainer, &interrupt);
    run.console.close();
    match end {
        End::Finished => Ok(Exit::Done),
        End::Interrupted => match run.interrupted(&mut trainer) {
            Ok(()) => Ok(Exit::Interrupted),
            Err(error) => Err(run.failed(&trainer, error)),
        },
        End::Failed(error) => Err(run.failed(&trainer, error)),
    }
}

/// All that can go wrong before there is a folder. Out: the trainer, and the text of its config.toml.
fn prepare(config: &RunConfig) -> Result<(Trainer, String)> {
    let data = config.data()?;
    let (model, options) = (config.model(&data), config.options(&data));
    let weights = config.weights(&model, &data)?;
    let mut trainer = Trainer::new(&model, &data, &options, &config.device)
        .map_err(|error| config.locate(error))?;
    if let Some(weights) = weights {
        trainer.set_params(&weights)?;
    }
    let text = config_text(config, &options, trainer.info())?;
    Ok((trainer, text))
}

/// How the loop over events ended.
enum End {
    Finished,
    Interrupted,
    Failed(Error),
}

/// A run under way: its folder and those who are told of it.
struct Run {
    folder: RunFolder,
    history: History,
    console: Console,
    json: Option<JsonLines<Output>>,
    quiet: bool,
    begun: Instant,
    /// The epoch whose weights are on disk, and since when.
    saved: Option<(u32, Instant)>,
    /// How far the present epoch has come.
    progress: Option<Progress>,
}

impl Run {
    fn new(folder: RunFolder, history: History, args: &TrainArgs) -> Self {
        let run = folder.path().display().to_string();
        Self {
            history,
            console: if args.quiet { Console::quiet() } else { Console::stderr() },
            json: args.json.then(|| JsonLines::new(Output::new()).with_run(run)),
            quiet: args.quiet,
            begun: Instant::now(),
            saved: None,
            progress: None,
            folder,
        }
    }

    fn watch(&mut self, trainer: &mut Trainer, interrupt: &Interrupt) -> End {
        let mut fit = trainer.fit();
        loop {
            if interrupt.asked() {
                return End::Interrupted;
            }
            let event = match fit.next() {
                None => return End::Finished,
                Some(Err(error)) => return End::Failed(error),
                Some(Ok(event)) => event,
            };
            if let Err(error) = self.take(&event, fit.trainer()) {
                return End::Failed(error);
            }
            if matches!(event, Event::Finished(_)) {
                return End::Finished;
            }
        }
    }

    /// Writes what an event brings, then tells of it.
    fn take(&mut self, event: &Event, trainer: &Trainer) -> Result<()> {
        match event {
            Event::Progress(progress) => self.progress = Some(*progress),
            Event::Epoch(stats) => {
                self.progress = None;
                self.history.append(stats)?;
                if self.saved.is_none_or(|(_, since)| since.elapsed() >= PAUSE) {
                    self.save(trainer)?;
                }
            }
            Event::Finished(summary) => {
                self.save(trainer)?;
                if let Some(kept) = &summary.kept {
                    self.outcome(trainer, kept, summary.seconds).write(self.folder.metrics())?;
                }
            }
            Event::Started(_) | Event::Warned(_) => {}
        }
        self.console.event(event);
        if let Some(json) = &mut self.json {
            return json.event(event).map_err(failed);
        }
        match event {
            Event::Finished(summary) => self.result(summary.kept.as_ref()),
            _ => Ok(()),
        }
    }

    /// The last line, on stdout.
    fn result(&self, kept: Option<&EpochStats>) -> Result<()> {
        let (Some(kept), false) = (kept, self.quiet) else { return Ok(()) };
        let mut text = format!(
            "{}: epoch {}, train loss {:.4}",
            self.folder.path().display(),
            kept.epoch,
            kept.train_loss
        );
        if let Some(valid) = &kept.valid {
            text += &format!("; validated on {valid}");
        }
        Output::new().line(&text)
    }

    /// Writes the weights of the last good epoch, if they are not on disk.
    fn save(&mut self, trainer: &Trainer) -> Result<()> {
        let Some(epoch) = trainer.kept().map(|kept| kept.epoch) else { return Ok(()) };
        if self.saved.is_none_or(|(saved, _)| saved != epoch) {
            write_model(&trainer.trained(), self.folder.model())?;
            self.saved = Some((epoch, Instant::now()));
        }
        Ok(())
    }

    fn outcome(&self, trainer: &Trainer, kept: &EpochStats, seconds: f64) -> Outcome {
        let device = trainer.info().device.to_string();
        Outcome {
            epoch: kept.epoch,
            steps: kept.steps,
            figures: Figures::of(kept),
            seconds,
            device,
            interrupted: false,
        }
    }

    /// Keeps the last good epoch, or takes the folder away if there is none.
    fn failed(&mut self, trainer: &Trainer, error: Error) -> Failure {
        // If this cannot be written either, the first error is the one to tell.
        let _ = self.save(trainer);
        match self.saved {
            Some((epoch, _)) => {
                let model = self.folder.model();
                Failure {
                    error: Box::new(error),
                    saved: Some(format!(
                        "the last good epoch ({epoch}) is kept in {}",
                        model.display()
                    )),
                }
            }
            None => {
                self.folder.discard();
                error.into()
            }
        }
    }

    /// Keeps the weights as they are now.
    fn interrupted(&mut self, trainer: &mut Trainer) -> Result<()> {
        let steps_per_epoch = trainer.info().steps_per_epoch as u64;
        let (epoch, done) = trainer.kept().map_or((0, 0), |kept| (kept.epoch, kept.steps));
        let progress = self.progress.take();
        let steps =
            progress.map_or(done, |p| u64::from(p.epoch - 1) * steps_per_epoch + p.step as u64);
        if steps == 0 {
            self.folder.discard();
            self.console.line("interrupted before the first step; nothing is kept");
            return Ok(());
        }
        let kept = trainer.kept().cloned();
        let present = trainer.params()?;
        let finite = present.arena().iter().all(|value| value.is_finite());
        let outcome = if let Some(kept) = kept.as_ref().filter(|_| !finite || steps == done) {
            self.save(trainer)?;
            Outcome {
                interrupted: true,
                ..self.outcome(trainer, kept, self.begun.elapsed().as_secs_f64())
            }
        } else if finite {
            trainer.keep_present()?;
            let valid = trainer.validate()?;
            let loss = progress.and_then(|p| p.loss).or(kept.map(|kept| kept.train_loss));
            write_model(&trainer.trained(), self.folder.model())?;
            self.saved = Some((epoch, Instant::now()));
            let (seconds, device) =
                (self.begun.elapsed().as_secs_f64(), trainer.info().device.to_string());
            Outcome {
                epoch,
                steps,
                figures: Figures::new(loss, valid.as_ref()),
                seconds,
                device,
                interrupted: true,
            }
        } else {
            self.folder.discard();
            self.console.line("interrupted; the weights were not finite, so nothing is kept");
            return Ok(());
        };
        outcome.write(self.folder.metrics())?;
        if let Some(json) = &mut self.json {
            json.interrupted(&outcome).map_err(failed)?;
        }
        let (model, next): (PathBuf, PathBuf) = (self.folder.model(), self.folder.next());
        let Outcome { steps, epoch, .. } = outcome;
        self.console.line(&format!(
            "interrupted after step {steps}, {epoch} epochs finished; the weights are in {}",
            model.display()
        ));
        self.console.line(&format!(
            "to train on from there: wgrad train --config {} --init {} --out {}",
            self.folder.config().display(),
            model.display(),
            next.display()
        ));
        Ok(())
    }
}
