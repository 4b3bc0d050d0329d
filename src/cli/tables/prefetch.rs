//! Reading ahead: a thread reads the next parts of a table while earlier ones are processed.
//!
//! In: a function that reads a part. Out: the parts in their order, then the first error or the end.
//! Absent on purpose: the content of a part.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::error::{Error, Result};

/// Largest number of parts that wait to be taken.
const WAITING: usize = 2;
/// Time to wait for a part before asking if someone wants to stop: a pipe may bring nothing for hours.
const PATIENCE: Duration = Duration::from_millis(100);

/// A thread that reads. Dropping the prefetcher leaves the thread to itself, since it may be waiting for a pipe.
pub(crate) struct Prefetcher<T> {
    parts: Receiver<Result<T>>,
    thread: Option<JoinHandle<()>>,
}

/// The next part, or the end.
pub(crate) enum Next<T> {
    Part(T),
    End,
    /// The user wants to stop.
    Stopped,
}

impl<T: Send + 'static> Prefetcher<T> {
    /// Starts to read; `next` returns `None` at the end.
    pub(crate) fn start(
        mut next: impl FnMut() -> Result<Option<T>> + Send + 'static,
    ) -> Result<Self> {
        // A bounded channel, so that a fast reader does not fill the memory.
        let (to, parts) = sync_channel(WAITING);
        let work = move || {
            while let Some(part) = next().transpose() {
                let failed = part.is_err();
                // After an error the position in the table is unknown, so reading ends.
                if to.send(part).is_err() || failed {
                    return;
                }
            }
        };
        let thread = Builder::new().name("wgrad reading".to_string()).spawn(work);
        let thread =
            thread.map_err(|source| Error::file("start a thread for", "the table", source))?;
        Ok(Self { parts, thread: Some(thread) })
    }

    /// Waits for the next part, or until the user wants to stop.
    pub(crate) fn next(&mut self, stop: impl Fn() -> bool) -> Result<Next<T>> {
        loop {
            match self.parts.recv_timeout(PATIENCE) {
                Ok(part) => return part.map(Next::Part),
                Err(RecvTimeoutError::Timeout) if stop() => return Ok(Next::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // A panic of the thread must not look like the table's end.
                    if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                        std::panic::resume_unwind(panic);
                    }
                    return Ok(Next::End);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_order_and_end_with_the_first_error() {
        let mut numbers = 0..7;
        let mut ahead = Prefetcher::start(move || Ok(numbers.next())).unwrap();
        let mut got = vec![];
        while let Next::Part(number) = ahead.next(|| false).unwrap() {
            got.push(number);
        }
        assert_eq!(got, [0, 1, 2, 3, 4, 5, 6]);
        let mut left = 3;
        let mut ahead = Prefetcher::start(move || {
            left -= 1;
            if left == 0 { Err(Error::table("t.csv:3", "no")) } else { Ok(Some(left)) }
        })
        .unwrap();
        assert!(matches!(ahead.next(|| false), Ok(Next::Part(2))));
        assert!(matches!(ahead.next(|| false), Ok(Next::Part(1))));
        assert!(ahead.next(|| false).is_err());
        assert!(matches!(ahead.next(|| false), Ok(Next::End)));
    }

    #[test]
    fn a_silent_pipe_can_be_left() {
        let (quiet, waits) = std::sync::mpsc::channel::<()>();
        let mut ahead = Prefetcher::start(move || Ok(waits.recv().ok())).unwrap();
        assert!(matches!(ahead.next(|| true), Ok(Next::Stopped)));
        drop(quiet);
        assert!(matches!(ahead.next(|| false), Ok(Next::End)));
    }

    #[test]
    #[should_panic(expected = "a bug")]
    fn a_panic_is_not_the_end() {
        let mut ahead = Prefetcher::<()>::start(|| panic!("a bug")).unwrap();
        let _ = ahead.next(|| false);
    }
}
