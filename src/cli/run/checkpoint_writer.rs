//! Checkpoints on disk: written by a thread of their own, the last few kept, found again.
//!
//! In: checkpoints in memory. Out: `checkpoint.safetensors`, and before it `checkpoint.1.safetensors` …; and
//! `checkpoint.best.safetensors`, which is neither the newest nor moves with age.
//! Absent on purpose: when to make a checkpoint, and its content.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::checkpoint_files::{FRESH, NEWEST, best_file, checkpoint_file, checkpoint_files};
use super::folder::RunLocation;
use crate::error::{Error, Result};
use crate::export::write_checkpoint;
use crate::train::Checkpoint;

/// Factor of the time that the thread rests after a writing: epochs of a few milliseconds have no checkpoint each on disk,
/// and the loss of a checkpoint costs little more than that time of training.
const RESTS: u32 = 200;
/// Checkpoints that are to be written: the newest, the best epoch's, or one that is both.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingCheckpoints {
    pub(crate) newest: Option<Arc<Checkpoint>>,
    pub(crate) best: Option<Arc<Checkpoint>>,
}

/// Checkpoints on their way to disk.
struct Job {
    due: PendingCheckpoints,
    place: RunLocation,
    /// The history, which has to be on disk before: a checkpoint refers to epochs whose lines are there.
    history: File,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    busy: bool,
    ended: bool,
    /// True if somebody waits until all are written.
    awaited: bool,
    failed: Option<Error>,
}

#[derive(Default)]
struct WriterShared {
    state: Mutex<State>,
    changed: Condvar,
}

impl WriterShared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Writes checkpoints while training continues. Dropping the writer waits for the last one.
pub(crate) struct CheckpointWriter {
    shared: Arc<WriterShared>,
    thread: Option<JoinHandle<()>>,
}

impl CheckpointWriter {
    /// Starts the thread; the last `keep` checkpoints stay on disk.
    pub(crate) fn start(keep: u32) -> Result<Self> {
        let shared = Arc::new(WriterShared::default());
        let ours = Arc::clone(&shared);
        let work = move || {
            let mut state = ours.state();
            let mut rested = Instant::now();
            loop {
                let rest = rested.saturating_duration_since(Instant::now());
                // Someone who waits, or the end of the run, cuts the rest short.
                let hurry = state.ended || state.awaited;
                if let Some(job) = state.job.take_if(|_| hurry || rest.is_zero()) {
                    state.busy = true;
                    // The lock is released while the disk works, so that training never waits for it.
                    drop(state);
                    let begun = Instant::now();
                    let written = write(&job, keep);
                    rested = Instant::now() + RESTS * begun.elapsed();
                    state = ours.state();
                    state.busy = false;
                    // The first error is the one to report.
                    state.failed = state.failed.take().or(written.err());
                    ours.changed.notify_all();
                } else if state.ended {
                    // After the last job, since the end must not lose a checkpoint.
                    return;
                } else if state.job.is_some() {
                    state = ours.wait_for(state, rest);
                } else {
                    state = ours.wait(state);
                }
            }
        };
        let thread = std::thread::Builder::new().name("wgrad checkpoints".to_string()).spawn(work);
        let thread = thread.map_err(|source| Error::file("start a thread for", NEWEST, source))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has checkpoints written soon; earlier ones that are still waiting are replaced by newer ones.
    ///
    /// # Errors
    /// If an earlier one could not be written.
    pub(crate) fn write(
        &self,
        mut due: PendingCheckpoints,
        place: RunLocation,
        history: File,
    ) -> Result<()> {
        let mut state = self.shared.state();
        // A thread that rests with a job finds the newer one by itself, and would be woken for nothing.
        match state.job.take() {
            Some(Job { due: earlier, .. }) => {
                due.newest = due.newest.or(earlier.newest);
                due.best = due.best.or(earlier.best);
            }
            None => self.shared.changed.notify_all(),
        }
        state.job = Some(Job { due, place, history });
        state.failed.take().map_or(Ok(()), Err)
    }

    /// Waits until all checkpoints are written.
    ///
    /// # Errors
    /// If a checkpoint could not be written.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut state = self.shared.state();
        state.awaited = true;
        self.shared.changed.notify_all();
        while state.job.is_some() || state.busy {
            state = self.shared.wait(state);
        }
        state.awaited = false;
        state.failed.take().map_or(Ok(()), Err)
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, that was reported on stderr.
            let _ = thread.join();
        }
    }
}

fn write(job: &Job, keep: u32) -> Result<()> {
    let Job { due: PendingCheckpoints { newest, best }, place, history } = job;
    let folder = &place.path;
    if !place.is_there() {
        // A folder in its place belongs to another run.
        return Err(Error::file(
            "write",
            checkpoint_file(folder, 0),
            io::ErrorKind::NotFound.into(),
        ));
    }
    // The history first: a checkpoint refers to its lines.
    history.sync_data().map_err(|source| Error::file("write", folder, source))?;
    let fresh = folder.join(FRESH);
    let path = checkpoint_file(folder, 0);
    if let Some(newest) = newest {
        // The new file is complete before the older ones move: at any time the newest one that exists can be read.
        write_checkpoint(newest, &fresh)?;
        rotate(folder, keep).map_err(|source| Error::file("replace", &path, source))?;
        fs::rename(&fresh, &path).map_err(|source| Error::file("write", &path, source))?;
    }
    match (best, newest) {
        (None, _) => Ok(()),
        // One checkpoint that is both is written once.
        (Some(best), Some(newest)) if Arc::ptr_eq(best, newest) => {
            let both = link(&path, &fresh).and_then(|()| fs::rename(&fresh, best_file(folder)));
            both.map_err(|source| Error::file("write", best_file(folder), source))
        }
        (Some(best), _) => write_checkpoint(best, best_file(folder)),
    }
}

/// Gives a file a second name, or copies it: not all file systems have links.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
}

/// Makes room for a new checkpoint. The newest one keeps its name until it is replaced.
fn rotate(folder: &Path, keep: u32) -> io::Result<()> {
    let keep = keep.max(1);
    // Too many are there if fewer are to be kept than before.
    for path in checkpoint_files(folder).iter().skip(keep as usize) {
        fs::remove_file(path)?;
    }
    // From the oldest on, so that no file is renamed over one that is still needed.
    for age in (1..keep.saturating_sub(1)).rev() {
        let older = checkpoint_file(folder, age);
        if older.exists() {
            fs::rename(older, checkpoint_file(folder, age + 1))?;
        }
    }
    let (newest, second) = (checkpoint_file(folder, 0), checkpoint_file(folder, 1));
    if keep > 1 && newest.exists() {
        // A second name, not a new one: until the new checkpoint is in place, the newest must be found.
        link(&newest, &second)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run::checkpoint_files::all_checkpoint_files;

    #[test]
    fn the_last_ones_stay_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let held = || -> Vec<String> {
            checkpoint_files(path).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
        };
        for (turn, want) in [(1, vec!["1"]), (2, vec!["2", "1"]), (3, vec!["3", "2", "1"])] {
            rotate(path, 3).unwrap();
            crate::export::write_file(checkpoint_file(path, 0), turn.to_string().as_bytes())
                .unwrap();
            assert_eq!(held(), want);
        }
        rotate(path, 3).unwrap();
        crate::export::write_file(checkpoint_file(path, 0), b"4").unwrap();
        assert_eq!(held(), ["4", "3", "2"]);
        rotate(path, 1).unwrap();
        crate::export::write_file(checkpoint_file(path, 0), b"5").unwrap();
        assert_eq!(held(), ["5"]);
        // A name without a number has no age, so the file neither moves nor counts.
        fs::write(best_file(path), "best").unwrap();
        rotate(path, 1).unwrap();
        assert_eq!(held(), ["5"]);
        assert_eq!(all_checkpoint_files(path).len(), 2);
    }
}
