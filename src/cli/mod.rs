//! The program: verbs, options, exit codes.
//!
//! In: arguments. Out: a run folder, tables, text; an exit code.
//! Absent on purpose: kernels.

mod args;
mod cache;
mod devices;
mod export;
mod in_memory;
mod interrupt;
mod next;
mod open_run;
mod output;
#[cfg(feature = "pictures")]
mod pictures;
mod run;
mod settings;
mod tables;
mod trial_rank;
mod wording;

use std::fmt;

pub use args::{Cli, Verb};
pub use in_memory::{NamedSettings, OF_RUN_FOLDERS, named_settings};
pub use run::ReadyRun;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use settings::check_settings;

use crate::error::{Error, Result, caught};
use crate::report::{JsonLines, escape_controls};
use output::Output;

/// End of the program when nothing went wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done,
    /// All was done, and what was checked is wrong.
    ChecksFailed,
    /// Someone stopped it.
    Interrupted,
}

impl Exit {
    /// The exit code: 0, 1, or 130 as shells have it for Ctrl-C.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::ChecksFailed => 1,
            Self::Interrupted => 130,
        }
    }
}

/// An error, and what was saved all the same.
#[derive(Debug)]
pub struct Failure {
    error: Box<Error>,
    saved: Option<String>,
    /// The network of several, or the rank, that it is about.
    place: Option<String>,
    /// True if another process reports it.
    silent: bool,
}

impl Failure {
    /// The exit code: 2 for wrong usage, 1 for all else.
    pub fn code(&self) -> u8 {
        if matches!(*self.error, Error::Setting { .. }) { 2 } else { 1 }
    }

    /// True if another of several processes reports it.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// The line for stderr. Names out of files are in it, so nothing that a terminal would obey may be left.
    pub fn line(&self) -> String {
        format!("error: {}", escape_controls(&self.to_string()))
    }
}

impl Failure {
    /// Names the network of several that could not be trained, and says what there is of the others.
    fn of_part(self, place: String, others: &str) -> Self {
        let saved = self.saved.map_or(others.to_string(), |saved| format!("{saved}; {others}"));
        Self { place: Some(place), saved: Some(saved), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error: Box::new(error), saved: None, place: None, silent: false }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&wording::told(&self.error))?;
        match &self.saved {
            Some(saved) => write!(f, "; {saved}"),
            None => Ok(()),
        }
    }
}

/// Does what the arguments say.
///
/// # Errors
/// With a message for people; nothing is left behind that was not finished, unless the message says so.
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    let json = cli.verb.json();
    let outcome = caught(|| done(cli));
    if let (Err(failure), true) = (&outcome, json) {
        // If stdout is what failed, stderr has to do.
        let _ = JsonLines::new(Output::new()).error(&failure.to_string(), failure.code());
    }
    outcome
}

/// Prints all names with their formulas and parameters.
fn vocabulary() -> Result<Exit> {
    let mut out = Output::new();
    out.line(crate::report::vocabulary().trim_end())?;
    out.end()?;
    Ok(Exit::Done)
}

/// Leaves the other processes of a run that MPI's launcher has started, if there are any: the last thing that a process does. `failed` is
/// the exit code of a process that failed.
pub fn leave_ranks(failed: Option<u8>) {
    run::leave_ranks(failed);
}

fn done(cli: Cli) -> Result<Exit, Failure> {
    match cli.verb {
        Verb::Train(args) => run::train(&args),
        Verb::Resume(args) => run::resume(&args),
        #[cfg(feature = "pictures")]
        Verb::Evaluate(args) => Ok(pictures::evaluate(&args)?),
        #[cfg(not(feature = "pictures"))]
        Verb::Evaluate(args) => Ok(tables::evaluate(&args, None)?),
        Verb::Predict(args) => Ok(tables::predict(&args)?),
        Verb::Inspect(args) => Ok(tables::inspect(&args)?),
        Verb::Info(args) => Ok(tables::info(&args)?),
        #[cfg(feature = "pictures")]
        Verb::Plot(args) => Ok(pictures::plot(&args)?),
        #[cfg(feature = "pictures")]
        Verb::Report(args) => Ok(pictures::report(&args)?),
        Verb::Calibrate(args) => Ok(tables::calibrate(&args)?),
        Verb::Export(args) => Ok(export::export(&args)?),
        Verb::Adapters(args) => Ok(devices::adapters(&args)?),
        Verb::Cache(args) => Ok(cache::cache(&args)?),
        Verb::Verify(args) => Ok(devices::verify(&args)?),
        Verb::Bench(args) => Ok(devices::bench(&args)?),
        Verb::Plan(args) => Ok(run::plan(&args)?),
        Verb::Sweep(args) => run::sweep(&args),
        Verb::Tune(args) => run::tune(&args),
        Verb::FindLr(args) => Ok(run::find_lr(&args)?),
        Verb::Vocabulary => Ok(vocabulary()?),
    }
}
