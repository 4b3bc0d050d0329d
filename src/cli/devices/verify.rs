//! `wgrad verify`: every kernel variant against the reference, on this adapter.
//!
//! In: checks as they come. Out: a line per failure, and the sum; on demand a line per kernel and variant too.

use serde::Serialize;

use crate::cli::Exit;
use crate::cli::args::VerifyArgs;
use crate::cli::output::{Output, failed};
use crate::device::verify::{Check, verify as verify_device};
use crate::error::Result;
use crate::report::JsonLines;

#[derive(Serialize)]
struct VerifyLine<'a> {
    event: &'a str,
    kernel: &'a str,
    form: &'a str,
    variant: &'a str,
    case: &'a str,
    /// Largest error as a fraction of the tolerance.
    worst: f64,
    failure: Option<&'a str>,
}

#[derive(Serialize)]
struct Sum<'a> {
    event: &'a str,
    device: &'a str,
    passed: usize,
    failed: usize,
    /// True if the forms in half precision were checked too.
    half: bool,
}

/// Width of the column of names.
const NAME: usize = 42;

/// Collects checks, and reports a kernel variant when the next one begins.
struct ProgressPrinter {
    out: Output,
    json: bool,
    quiet: bool,
    /// True if each kernel and variant has a line.
    verbose: bool,
    name: String,
    checks: usize,
    failures: usize,
    worst: f64,
    /// An error of writing, which is reported at the end; the checks continue.
    outcome: Result<()>,
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<Exit> {
    let kind = args.device.parse()?;
    let mut teller = ProgressPrinter {
        out: Output::new(),
        json: args.json,
        quiet: args.quiet,
        verbose: args.verbose,
        name: String::new(),
        checks: 0,
        failures: 0,
        worst: 0.0,
        outcome: Ok(()),
    };
    let tally = verify_device(&kind, &mut |check| teller.take(check))?;
    teller.end_of_variant();
    let ProgressPrinter { mut out, outcome, .. } = teller;
    outcome?;
    if args.json {
        let (device, passed, wrong) = (&tally.device.name, tally.passed, tally.failed);
        let sum = Sum { event: "finished", device, passed, failed: wrong, half: tally.half };
        JsonLines::new(&mut out).line(&sum).map_err(failed)?;
    } else {
        if !tally.half {
            out.line("forms in half precision were left out: this adapter has none (SHADER_F16)")?;
        }
        if tally.failed > 0 {
            out.line("this device computes wrong numbers: train on another --device, or update its driver and verify it again")?;
        }
        out.line(&format!("{}: {} passed, {} failed", tally.device, tally.passed, tally.failed))?;
    }
    out.end()?;
    Ok(if tally.failed == 0 { Exit::Done } else { Exit::ChecksFailed })
}

impl ProgressPrinter {
    fn take(&mut self, check: &Check) {
        let Check { kernel, form, variant, case, worst, failure } = check;
        let failure = failure.as_deref();
        if self.json {
            if self.outcome.is_ok() && (!self.quiet || failure.is_some()) {
                let line = VerifyLine {
                    event: "check",
                    kernel,
                    form,
                    variant,
                    case,
                    worst: *worst,
                    failure,
                };
                self.outcome = JsonLines::new(&mut self.out).line(&line).map_err(failed);
            }
            return;
        }
        let name = format!("{form} [{variant}]");
        if name != self.name {
            self.end_of_variant();
            self.name = name;
        }
        self.checks += 1;
        // An error that is not even a number is the worst of all.
        self.worst = if worst.is_nan() { f64::INFINITY } else { self.worst.max(*worst) };
        if let Some(failure) = failure {
            self.failures += 1;
            self.line(&format!("{} {case}: {failure}", self.name));
        }
    }

    fn end_of_variant(&mut self) {
        if self.checks > 0 && self.verbose {
            let verdict = if self.failures == 0 { "ok" } else { "FAILED" };
            let (name, checks, worst) = (&self.name, self.checks, self.worst);
            let figures = format!("{checks:>3} cases, {worst:.3} of limit: {verdict}");
            // The figures of a long name stand below it, in their column.
            let text = if name.len() > NAME {
                format!("{name}\n{:<NAME$} {figures}", "")
            } else {
                format!("{name:<NAME$} {figures}")
            };
            self.line(&text);
        }
        (self.checks, self.failures, self.worst) = (0, 0, 0.0);
    }

    fn line(&mut self, text: &str) {
        if self.outcome.is_ok() {
            self.outcome = self.out.line(text);
        }
    }
}
