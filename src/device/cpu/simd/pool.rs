//! Threads that share a step's work, and each thread's scratch memory.
//!
//! In: work that can be halved. Out: the same numbers on any number of threads.
//! Absent on purpose: arithmetic.

use std::sync::{Mutex, PoisonError};

use crate::host::threads;

/// Bytes of a line of the cache, and of the widest vectors.
const LINE: usize = 64;

/// The process's threads, as one device uses them, and a scratch memory for each.
///
/// All devices of a process, and everything else in it that uses rayon, share one pool: together they never run more
/// threads than the processor has cores.
#[derive(Debug)]
pub(super) struct Pool {
    threads: usize,
    /// Scratch memory for each thread of the pool, and for the thread that calls.
    scratch: Vec<Mutex<Vec<f32>>>,
}

impl Pool {
    /// Takes the process's pool; if the system gives no threads, the caller's thread does everything.
    pub(super) fn new() -> Self {
        Self::of_threads(if threads::are_there() { started() } else { 1 })
    }

    /// Takes no other thread than the caller's.
    pub(super) fn of_one_thread() -> Self {
        Self::of_threads(1)
    }

    fn of_threads(threads: usize) -> Self {
        // One more than threads, since the caller may be a thread outside of the pool.
        let scratch = (0..=threads).map(|_| Mutex::new(Vec::new())).collect();
        Self { threads, scratch }
    }

    /// Returns the number of threads that share work.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Gives each thread a scratch memory of this many floats.
    pub(super) fn reserve(&mut self, floats: usize) {
        for scratch in &mut self.scratch {
            let floats = floats + LINE / size_of::<f32>();
            *scratch.get_mut().unwrap_or_else(PoisonError::into_inner) = vec![0.0; floats];
        }
    }

    /// Runs work with this thread's scratch, which begins with a line of the cache: a load of a wide vector that lies in two
    /// lines takes twice as long on some processors.
    pub(super) fn with_scratch<R>(&self, work: impl FnOnce(&mut [f32]) -> R) -> R {
        let thread = if threads::are_there() { rayon::current_thread_index() } else { None };
        let index = thread.map_or(0, |index| index + 1);
        // No part relies on what an earlier one left in the scratch, so a panic leaves nothing wrong there.
        let mut scratch =
            self.scratch[index % self.scratch.len()].lock().unwrap_or_else(PoisonError::into_inner);
        let first = scratch.as_ptr().align_offset(LINE).min(scratch.len());
        work(&mut scratch[first..])
    }

    /// Runs work on one of the pool's threads, on which [`both`] costs least.
    pub(super) fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if self.threads > 1 { threads::join(work, || ()).0 } else { work() }
    }
}

/// Returns the number of the pool's threads: the first device of the process starts them, later ones find them.
fn started() -> usize {
    match rayon::ThreadPoolBuilder::new().build_global() {
        // The error has a source only if the system refused the threads; otherwise the pool exists already.
        Err(error) if std::error::Error::source(&error).is_some() => 1,
        _ => rayon::current_num_threads(),
    }
}

/// Runs two halves, at once if they are shared.
pub(super) fn both(shared: bool, one: impl FnOnce() + Send, other: impl FnOnce() + Send) {
    if shared {
        threads::join(one, other);
    } else {
        one();
        other();
    }
}
