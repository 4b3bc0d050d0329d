//! Commands that come next, as lines at the end of a command and of reports.
//!
//! In: a run, a sweep. Out: commands as they are typed.

use std::path::Path;

use super::open_run::REPORT;
use super::wording::quoted;
use crate::report::Console;

/// A command and its purpose in a few words.
pub(super) struct NextStep {
    #[cfg_attr(not(feature = "pictures"), expect(dead_code, reason = "only reports tell it"))]
    pub(super) purpose: &'static str,
    pub(super) command: String,
}

impl NextStep {
    fn new(purpose: &'static str, command: String) -> Self {
        Self { purpose, command }
    }
}

/// Returns commands for a run that has come to its end.
pub(super) fn after_run(run: &Path) -> Vec<NextStep> {
    let run = quoted(run);
    vec![
        NextStep::new(
            "Predict the rows of another table",
            format!("wgrad predict {run} TABLE --out predicted.csv"),
        ),
        NextStep::new(
            "Figures on other rows that have the target",
            format!("wgrad evaluate {run} TABLE"),
        ),
        NextStep::new(
            "The network for other programs",
            format!("wgrad export {run} --onnx model.onnx"),
        ),
    ]
}

/// Shows the commands after a run, and where its report is.
pub(super) fn show_after_run(console: &mut Console, run: &Path, logs: Option<&Path>) {
    let mut commands: Vec<String> = after_run(run).into_iter().map(|it| it.command).collect();
    let report = run.join(REPORT);
    if report.exists() {
        console.say("report", &report.display().to_string());
    } else if cfg!(feature = "pictures") {
        commands.push(format!("wgrad report {}", quoted(run)));
    }
    commands.extend(logs.map(|logs| format!("tensorboard --logdir {}", quoted(logs))));
    show(console, &commands);
}

/// Shows commands, each in a line of its own, so that it can be copied.
pub(super) fn show(console: &mut Console, commands: &[String]) {
    console.line("next:");
    commands.iter().for_each(|command| console.line(&format!("  {command}")));
}
