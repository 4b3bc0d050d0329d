//! Threads that wait awake for short pieces of work.
//!
//! Waking a thread that sleeps takes about as long as predicting sixteen rows of a wide network. Helpers look for the next piece
//! for a while before they sleep, so that calls that follow one another find them awake.
//!
//! In: pieces of work. Out: their results, in order.
//! Absent on purpose: work in many parts, which rayon's threads share (`threads.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::threads;

/// Time for which a thread looks for the next piece of work before it sleeps.
const AWAKE: Duration = Duration::from_micros(200);

/// Does pieces of work at once: the first one on the caller's thread, others on helpers that no other call has, and what is left on
/// the caller's thread too. Returns the results in the order of the pieces.
pub(crate) fn at_once<T: Send + 'static>(
    pieces: Vec<impl FnOnce() -> T + Send + 'static>,
) -> Vec<T> {
    let mut free = helpers().iter().filter_map(Helper::if_free);
    let mut pieces = pieces.into_iter();
    let first = pieces.next();
    let others: Vec<_> = pieces
        .map(|piece| match free.next() {
            Some(helper) => SharedPiece::There(helper.start(piece), helper),
            None => SharedPiece::Here(piece),
        })
        .collect();
    first
        .map(|piece| piece())
        .into_iter()
        .chain(others.into_iter().map(SharedPiece::result))
        .collect()
}

/// A piece of work that has been given away, or waits for the caller.
enum SharedPiece<'a, T, F> {
    /// Its result comes from a helper, which no other call has until then.
    There(Arc<PieceOutcome<T>>, MutexGuard<'a, Helper>),
    Here(F),
}

impl<T, F: FnOnce() -> T> SharedPiece<'_, T, F> {
    fn result(self) -> T {
        match self {
            Self::Here(piece) => piece(),
            Self::There(outcome, _helper) => {
                outcome.awaited().unwrap_or_else(|it| resume_unwind(it))
            }
        }
    }
}

/// PieceOutcome of a piece of work on another thread.
struct PieceOutcome<T> {
    is_there: AtomicBool,
    result: Mutex<Option<std::thread::Result<T>>>,
}

impl<T> PieceOutcome<T> {
    fn put(&self, result: std::thread::Result<T>, caller: &Thread) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.is_there.store(true, Ordering::Release);
        caller.unpark();
    }

    fn awaited(&self) -> std::thread::Result<T> {
        let wait = Wait::new();
        while !self.is_there.load(Ordering::Acquire) {
            if wait.is_over() {
                std::thread::park();
            }
        }
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.expect("it is there")
    }
}

/// A wait that begins awake.
struct Wait(Instant);

impl Wait {
    fn new() -> Self {
        Self(Instant::now())
    }

    /// Passes a moment; returns true if it is time to sleep.
    fn is_over(&self) -> bool {
        (0..32).for_each(|_| std::hint::spin_loop());
        self.0.elapsed() > AWAKE
    }
}

type HelperJob = Box<dyn FnOnce() + Send>;

/// A thread that does one job after another.
struct Helper(Sender<HelperJob>);

impl Helper {
    /// Starts a thread; `None` if the system gives none.
    fn new() -> Option<Mutex<Self>> {
        let (sender, jobs) = channel::<HelperJob>();
        let work = move || {
            while let Some(job) = next_job(&jobs) {
                job();
            }
        };
        let name = "wgrad helper".to_string();
        std::thread::Builder::new().name(name).spawn(work).ok()?;
        Some(Mutex::new(Self(sender)))
    }

    fn if_free(helper: &Mutex<Self>) -> Option<MutexGuard<'_, Self>> {
        match helper.try_lock() {
            Ok(free) => Some(free),
            // A call that panicked has left nothing half done.
            Err(TryLockError::Poisoned(free)) => Some(free.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn start<T: Send + 'static>(
        &self,
        piece: impl FnOnce() -> T + Send + 'static,
    ) -> Arc<PieceOutcome<T>> {
        let outcome =
            Arc::new(PieceOutcome { is_there: AtomicBool::new(false), result: Mutex::new(None) });
        let (there, caller) = (Arc::clone(&outcome), std::thread::current());
        let job: HelperJob =
            Box::new(move || there.put(catch_unwind(AssertUnwindSafe(piece)), &caller));
        // A helper runs as long as the process; should it be gone all the same, the caller does its work.
        if let Err(SendError(job)) = self.0.send(job) {
            job();
        }
        outcome
    }
}

/// Returns the next job, which is looked for awake for a while; `None` once nobody can send one.
fn next_job(jobs: &Receiver<HelperJob>) -> Option<HelperJob> {
    let wait = Wait::new();
    loop {
        match jobs.try_recv() {
            Err(TryRecvError::Empty) if wait.is_over() => return jobs.recv().ok(),
            Err(TryRecvError::Empty) => {}
            job => return job.ok(),
        }
    }
}

/// Returns the process's helpers: one for each thread that shares work, but the caller's.
fn helpers() -> &'static [Mutex<Helper>] {
    static HELPERS: OnceLock<Vec<Mutex<Helper>>> = OnceLock::new();
    HELPERS.get_or_init(|| (1..threads::count()).map_while(|_| Helper::new()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_from_any_number_of_calls_at_once() {
        std::thread::scope(|scope| {
            for call in 0..6 {
                scope.spawn(move || {
                    for count in [0, 1, 2, 3, 9] {
                        // Longer than helpers stay awake, at times.
                        let piece = |piece: u64| {
                            move || {
                                std::thread::sleep(Duration::from_micros(100 * (piece % 4)));
                                call * 100 + piece
                            }
                        };
                        let got = at_once((0..count).map(piece).collect());
                        assert_eq!(got, (0..count).map(|it| call * 100 + it).collect::<Vec<_>>());
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_comes_back_and_helpers_go_on() {
        for panics in [0, 1, 2] {
            let piece = |place: usize| {
                move || {
                    assert_ne!(place, panics, "as it should");
                    place
                }
            };
            let all = || at_once((0..3).map(piece).collect());
            assert!(catch_unwind(AssertUnwindSafe(all)).is_err());
            assert_eq!(at_once(vec![|| 1, || 2]), [1, 2]);
        }
    }
}
