//! A bar while a whole table is read.
//!
//! In: a table, and the work that reads it. Out: the outcome of the work; a bar on standard error if that is a terminal.
//! Absent on purpose: tables that are read in parts, whose commands have a bar of their own.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::input::TableInput;
use crate::data::ReadProgress;
use crate::report::Console;

/// Time between two looks at the progress; tables that take less have no bar.
const TICK: Duration = Duration::from_millis(200);

/// Reads a table in a thread of its own, and shows how far that is.
pub(crate) fn with_bar<T: Send>(
    quiet: bool,
    table: &Path,
    read: impl FnOnce(ReadProgress) -> T + Send,
) -> T {
    let progress = ReadProgress::default();
    let mut console = if quiet { Console::quiet() } else { Console::stderr() };
    thread::scope(|scope| {
        let (ended, end) = channel();
        let of_reader = progress.clone();
        let reader = scope.spawn(move || {
            let outcome = read(of_reader);
            // Nobody looks any more if the main thread has panicked.
            let _ = ended.send(());
            outcome
        });
        let mut begun = false;
        // A reader that panics closes the channel.
        while end.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if !begun {
                console.begin_table(TableInput::of(table).bytes());
                begun = true;
            }
            console.table(progress.bytes(), progress.rows());
        }
        console.close();
        reader.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
