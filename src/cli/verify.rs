//! `wgrad verify`: every kernel variant against the reference, on this adapter.

use super::Exit;
use super::args::VerifyArgs;
use crate::error::Result;

#[cfg(feature = "gpu")]
pub(super) fn verify(args: &VerifyArgs) -> Result<Exit> {
    use serde::Serialize;

    use super::output::{Output, failed};
    use crate::device::gpu::verify::{Check, Tally, verify};
    use crate::report::JsonLines;

    #[derive(Serialize)]
    struct Line<'a> {
        event: &'a str,
        kernel: &'a str,
        variant: &'a str,
        case: &'a str,
        worst: f64,
        failure: Option<&'a str>,
    }

    #[derive(Serialize)]
    struct Sum<'a> {
        event: &'a str,
        device: &'a str,
        passed: usize,
        failed: usize,
    }

    /// A kernel variant and how its checks went so far.
    #[derive(Default)]
    struct Variant {
        name: String,
        checks: usize,
        failures: usize,
        worst: f64,
    }

    impl Variant {
        fn text(&self) -> String {
            let verdict = if self.failures == 0 { "ok" } else { "FAILED" };
            format!(
                "{:<48} {:>5} checks, worst {:.3} of the tolerance, {verdict}",
                self.name, self.checks, self.worst
            )
        }
    }

    let kind = args.device.parse()?;
    let mut out = Output::new();
    // What cannot be written is told at the end; the checks go on.
    let mut outcome = Ok(());
    let mut variant = Variant::default();
    let tally: Tally = verify(&kind, &mut |check: &Check| {
        let failure = check.failure.as_deref();
        let mut lines = Vec::new();
        if args.json {
            let Check { kernel, variant, case, worst, .. } = check;
            let line = Line { event: "check", kernel, variant, case, worst: *worst, failure };
            if outcome.is_ok() && (!args.quiet || failure.is_some()) {
                outcome = JsonLines::new(&mut out).line(&line).map_err(failed);
            }
            return;
        }
        let name = format!("{} {}", check.kernel, check.variant);
        if name != variant.name {
            if variant.checks > 0 && !args.quiet {
                lines.push(variant.text());
            }
            variant = Variant { name, ..Variant::default() };
        }
        variant.checks += 1;
        variant.worst =
            if check.worst.is_nan() { f64::INFINITY } else { variant.worst.max(check.worst) };
        if let Some(failure) = failure {
            variant.failures += 1;
            lines.push(format!("{} {}: {failure}", variant.name, check.case));
        }
        for line in lines {
            if outcome.is_ok() {
                outcome = out.line(&line);
            }
        }
    })?;
    outcome?;
    let Tally { device, passed, failed: wrong } = tally;
    if args.json {
        let sum = Sum { event: "finished", device: &device.name, passed, failed: wrong };
        JsonLines::new(&mut out).line(&sum).map_err(failed)?;
    } else {
        if variant.checks > 0 && !args.quiet {
            out.line(&variant.text())?;
        }
        out.line(&format!("{device}: {passed} passed, {wrong} failed"))?;
    }
    out.end()?;
    Ok(if wrong == 0 { Exit::Done } else { Exit::ChecksFailed })
}

#[cfg(not(feature = "gpu"))]
pub(super) fn verify(_args: &VerifyArgs) -> Result<Exit> {
    let problem =
        "built without the feature `gpu`, so that there are no kernels to verify".to_string();
    Err(crate::error::Error::NoAdapter { problem })
}
