//! Threads that share a step's work, and each thread's scratch memory.
//!
//! In: work that can be halved. Out: the same numbers on any number of threads.
//! Absent on purpose: arithmetic.

use std::sync::{Mutex, PoisonError};

/// The process's threads, as one device uses them, and the scratch of each.
///
/// All devices of a process, and whatever else in it uses rayon, share one pool: together they never run more threads
/// than the processor has cores.
#[derive(Debug)]
pub(super) struct Pool {
    threads: usize,
    /// One for each thread of the pool and one for the thread that calls.
    scratch: Vec<Mutex<Vec<f32>>>,
}

impl Pool {
    /// The process's pool; without one (the system gives no thread) the caller's thread does everything.
    pub(super) fn new() -> Self {
        let threads = match rayon::ThreadPoolBuilder::new().build_global() {
            // It has a source only if the system refused; otherwise the pool is there already.
            Err(error) if std::error::Error::source(&error).is_some() => 1,
            _ => rayon::current_num_threads(),
        };
        let scratch = (0..=threads).map(|_| Mutex::new(Vec::new())).collect();
        Self { threads, scratch }
    }

    /// Threads that share work.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Gives each thread so many floats.
    pub(super) fn reserve(&mut self, floats: usize) {
        for scratch in &mut self.scratch {
            *scratch.get_mut().unwrap_or_else(PoisonError::into_inner) = vec![0.0; floats];
        }
    }

    /// Runs work with this thread's scratch.
    pub(super) fn with_scratch<R>(&self, work: impl FnOnce(&mut [f32]) -> R) -> R {
        let index = rayon::current_thread_index().map_or(0, |index| index + 1);
        // Nothing is kept in it from one part to the next, so that a panic leaves nothing wrong there.
        let mut scratch =
            self.scratch[index % self.scratch.len()].lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut scratch)
    }

    /// Runs work on one of the pool's threads, where [`both`] costs least.
    pub(super) fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if self.threads > 1 { rayon::join(work, || ()).0 } else { work() }
    }
}

/// Runs two halves, at once if they are shared.
pub(super) fn both(shared: bool, one: impl FnOnce() + Send, other: impl FnOnce() + Send) {
    if shared {
        rayon::join(one, other);
    } else {
        one();
        other();
    }
}
