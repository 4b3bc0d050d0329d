//! Threads, where the host starts any: a browser's WebAssembly has one thread.

/// Returns true if threads can be started; without them, work that threads would share is done by the caller, with the same results.
pub(crate) fn are_there() -> bool {
    #[cfg(test)]
    if ALONE.get() {
        return false;
    }
    !cfg!(target_family = "wasm")
}

/// Runs two halves, at once if there are threads.
pub(crate) fn join<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if are_there() { rayon::join(one, other) } else { (one(), other()) }
}

#[cfg(test)]
thread_local! {
    static ALONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs a test's work on this thread as on a host that starts no threads.
#[cfg(test)]
pub(crate) fn without<R>(work: impl FnOnce() -> R) -> R {
    ALONE.set(true);
    let result = work();
    ALONE.set(false);
    result
}
