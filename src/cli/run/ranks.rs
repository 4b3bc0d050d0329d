//! Runs of several processes, as MPI's launchers start them: which process this is, and what those beside the first one do.
//!
//! In: the environment of the process. Out: this process as a rank, or a refusal.
//! Absent on purpose: the exchange, which `crate::ranks` has; folders and reports, which the first rank alone has.

use std::sync::{Mutex, PoisonError};

use crate::cli::interrupt::Interrupt;
use crate::cli::settings::RunConfig;
use crate::cli::{Exit, Failure};
use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::train::{Event, Trainer};

/// Variables by which launchers tell a process how many there are: Open MPI's, and that of MPICH and Intel MPI.
const COUNTS: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// This process as a rank, from its beginning until [`leave`].
static RANKS: Mutex<Option<Ranks>> = Mutex::new(None);

/// Returns the variable that says that there are several processes, and their number.
fn launched(variable: impl Fn(&str) -> Option<String>) -> Option<(&'static str, usize)> {
    let several = |name: &&str| {
        let count = variable(name).and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        (count > 1).then_some(count)
    };
    COUNTS.iter().find_map(|name| several(name).map(|count| (*name, count)))
}

fn of_environment() -> Option<(&'static str, usize)> {
    launched(|name| std::env::var(name).ok())
}

/// Refuses a command that several processes would do at once, each with the same files.
///
/// # Errors
/// If there are several processes.
pub(super) fn check_alone(what: &str) -> Result<()> {
    let Some((variable, count)) = of_environment() else { return Ok(()) };
    let problem = format!(
        "{count} processes were started ({variable}), and each would do the same and write the same files: {what} is for one process; \
         start it without mpirun, or, if each process has a folder of its own, without this variable (env -u {variable} wgrad …)"
    );
    Err(Error::setting("mpirun", problem))
}

/// Returns this process as a rank, if a launcher has started several; `None` for a process that is alone.
///
/// # Errors
/// If there are several processes, and the program was built without MPI, or MPI does not start.
pub(super) fn ranks() -> Result<Option<Ranks>> {
    let Some((variable, count)) = of_environment() else { return Ok(None) };
    let ranks = begin(variable, count)?;
    *RANKS.lock().unwrap_or_else(PoisonError::into_inner) = Some(ranks.clone());
    Ok(Some(ranks))
}

#[cfg(feature = "mpi")]
fn begin(variable: &str, count: usize) -> Result<Ranks> {
    let ranks = crate::ranks::of_mpi()?;
    let found = ranks.share().count;
    if found != count {
        let problem = format!(
            "{count} processes were started ({variable}), but MPI knows of {found}: mpirun and the MPI that wgrad was built with are of \
             different kinds; use the mpirun of the latter"
        );
        return Err(Error::setting("mpirun", problem));
    }
    Ok(ranks)
}

#[cfg(not(feature = "mpi"))]
fn begin(variable: &str, count: usize) -> Result<Ranks> {
    let problem = format!(
        "{count} processes were started ({variable}), but this program was built without MPI, so that each would train alone and write \
         the same folder; build it with `cargo build --release --features mpi`, start it without mpirun, or, if each process has a \
         folder of its own, without this variable (env -u {variable} wgrad …)"
    );
    Err(Error::setting("mpirun", problem))
}

/// Refuses settings that are not for several ranks.
///
/// # Errors
/// With the setting, and what to do instead.
pub(super) fn check(config: &RunConfig) -> Result<()> {
    let refuse = |name: &str, problem: &str| Err(Error::setting(name, problem));
    if config.members > 1 {
        return refuse(
            "members",
            "several networks are not trained by ranks, which share the batches of one; train them with one process, or one in each \
             (--fold, another --seed) without mpirun",
        );
    }
    if config.folds > 0 && config.fold.is_none() {
        return refuse(
            "folds",
            "the networks of several folds are not trained by ranks, which share the batches of one network; give ‘fold’ for one of \
             them, or train them with one process",
        );
    }
    if config.time_budget.is_some() {
        return refuse("time-budget", "each rank would measure a time of its own; give ‘epochs’");
    }
    if config.lr_is_auto {
        return refuse(
            "lr",
            "auto is not searched for by several ranks; find a rate with `wgrad find-lr` in one process, and give it",
        );
    }
    Ok(())
}

/// Agrees with the other ranks whether the run stops here: if any of them was asked to.
///
/// # Errors
/// If a rank is gone.
pub(super) fn agree_to_stop(ranks: &Ranks, asked: bool) -> Result<bool> {
    let all = ranks.gather(&[u8::from(asked)])?;
    Ok(all.iter().any(|wish| wish == &[1]))
}

/// Returns whether ranks agree after an event: one that all of them have.
pub(super) fn is_common(event: &Event) -> bool {
    matches!(event, Event::Progress(_) | Event::Epoch(_))
}

/// Trains as a rank that writes and reports nothing.
pub(super) fn follow(
    trainer: &mut Trainer,
    interrupt: &Interrupt,
    ranks: &Ranks,
) -> Result<Exit, Failure> {
    let mut run = || -> Result<Exit> {
        for event in trainer.fit() {
            if is_common(&event?) && agree_to_stop(ranks, interrupt.asked())? {
                return Ok(Exit::Interrupted);
            }
        }
        Ok(Exit::Done)
    };
    let place = || Some(format!("rank {} of {}", ranks.share().rank, ranks.share().count));
    run().map_err(|error| Failure { place: place(), ..Failure::from(error) })
}

/// Does the first work of a run on each rank. An error of one rank is that of all, which the first one reports.
///
/// # Errors
/// If the work fails.
pub(super) fn together<R>(
    ranks: Option<&Ranks>,
    work: impl FnOnce() -> Result<R, Failure>,
) -> Result<R, Failure> {
    let done = work();
    match (done, ranks) {
        (Err(failure), Some(ranks)) => {
            ranks.fail(&failure.to_string());
            let silent = ranks.share().rank != 0;
            Err(Failure { silent, ..failure })
        }
        (done, _) => done,
    }
}

/// Leaves the other ranks, at the very end of the program. After a failure of which the others know nothing, these are ended,
/// since they would wait for this rank.
pub(in crate::cli) fn leave(failed: Option<u8>) {
    let ranks = RANKS.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(ranks) = ranks else { return };
    if let Some(code) = failed.filter(|_| !ranks.has_failed()) {
        end_all(code);
    }
}

#[cfg(feature = "mpi")]
fn end_all(code: u8) {
    crate::ranks::abort(code);
}

#[cfg(not(feature = "mpi"))]
fn end_all(_code: u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_known_by_their_variables() {
        let of = |name: &'static str, value: &'static str| {
            launched(move |asked| (asked == name).then(|| value.to_string()))
        };
        assert_eq!(of("OMPI_COMM_WORLD_SIZE", "4"), Some(("OMPI_COMM_WORLD_SIZE", 4)));
        assert_eq!(of("PMI_SIZE", "2"), Some(("PMI_SIZE", 2)));
        for alone in [of("PMI_SIZE", "1"), of("PMI_SIZE", "many"), of("OTHER", "4")] {
            assert_eq!(alone, None);
        }
    }
}
