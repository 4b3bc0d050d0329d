//! Ctrl-C and SIGTERM: at once while there is nothing to save, else at the next opportunity.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Exit;
use crate::error::{Error, Result};
use crate::report::{leave_view, notify_view};

/// A request to stop the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    armed: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on. Until [`Self::arm`] is called, the program ends at once when asked to.
    /// With `quiet` it says nothing about it.
    pub(super) fn listen(quiet: bool) -> Result<Self> {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        let listening = ctrlc::set_handler(move || {
            let again = heard.asked.swap(true, Ordering::SeqCst);
            let armed = heard.armed.load(Ordering::SeqCst);
            if again || !armed {
                // The last lines stay on the terminal.
                leave_view();
            }
            if !quiet {
                tell(match (again, armed) {
                    (_, false) => "stopped before the first step; nothing was written",
                    (false, true) => {
                        "stopping after the steps under way; Ctrl-C again to drop them"
                    }
                    (true, true) => "stopped; the steps under way are dropped",
                });
            }
            if again || !armed {
                std::process::exit(Exit::Interrupted.code().into());
            }
        });
        listening
            .map_err(|error| Error::file("listen for", "Ctrl-C", std::io::Error::other(error)))?;
        Ok(interrupt)
    }

    /// From now on there is something to save: only a second request ends the program at once.
    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Returns true if someone has asked.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Writes a line to stderr, in the place of a progress bar that may be there, or shows it in the view.
fn tell(text: &str) {
    if notify_view(text) {
        return;
    }
    let mut stderr = std::io::stderr();
    let clear = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
    // With stderr closed there is nobody to report to.
    let _ = writeln!(stderr, "{clear}{text}");
}
