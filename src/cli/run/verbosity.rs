//! Amount of a command's output, and its form.

use std::io::IsTerminal as _;

use crate::cli::args::{FindLrArgs, ResumeArgs, TrainingOutput};
use crate::report::Console;

/// Amount of output, and its form.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verbosity {
    /// One JSON object an event on standard output.
    pub(crate) json: bool,
    /// Only errors.
    pub(crate) quiet: bool,
    /// Leave a report in the run folder.
    #[cfg_attr(not(feature = "pictures"), expect(dead_code, reason = "there are none"))]
    pub(crate) report: bool,
    /// Show a live view in the terminal.
    pub(crate) view: bool,
}

/// True if the arguments of a command ask for a report.
macro_rules! reports {
    ($args:expr) => {{
        #[cfg(feature = "pictures")]
        let report = !$args.no_report;
        #[cfg(not(feature = "pictures"))]
        let report = false;
        report
    }};
}

impl Verbosity {
    /// Returns where progress and warnings go.
    pub(super) fn console(self) -> Console {
        if self.quiet {
            return Console::quiet();
        }
        if self.view && self.json && std::io::stdout().is_terminal() {
            let mut console = Console::stderr();
            console.say("view", "events of --json are on the terminal, so that ordinary lines are shown in its place");
            return console;
        }
        if self.view { Console::with_view() } else { Console::stderr() }
    }

    pub(super) fn of_training(args: &TrainingOutput) -> Self {
        Self { json: args.json, quiet: args.quiet, report: reports!(args), view: args.view }
    }

    pub(super) fn of_resume(args: &ResumeArgs) -> Self {
        Self { json: args.json, quiet: args.quiet, report: reports!(args), view: args.view }
    }

    pub(super) fn of_find_lr(args: &FindLrArgs) -> Self {
        Self { json: args.json, quiet: args.quiet, report: false, view: false }
    }
}
