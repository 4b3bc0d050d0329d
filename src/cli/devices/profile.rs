//! `wgrad bench --profile`: what each kernel of a step costs, and what host and device do over whole epochs.
//!
//! In: a workload and an open device. Out: a line for each kernel, one for their sum, one for the epochs.

use std::time::Duration;

use serde::Serialize;

use crate::cli::args::BenchArgs;
use crate::cli::output::{Output, failed};
use crate::device::Device;
use crate::error::Result;
use crate::report::{JsonLines, count};
use crate::train::{Clock, EpochUse, KernelCost, Profile, Workload};

#[derive(Serialize)]
struct KernelLine<'a> {
    event: &'a str,
    workload: &'a str,
    device: &'a str,
    clock: &'a str,
    kernel: &'a str,
    sizes: &'a [usize],
    us: f64,
    gflops: f64,
    gb_s: f64,
    share: f64,
}

#[derive(Serialize)]
struct StepLine<'a> {
    event: &'a str,
    workload: &'a str,
    device: &'a str,
    clock: &'a str,
    /// Of all kernels together.
    kernels_us: f64,
    /// By the host's clock, as training runs it.
    step_us: f64,
}

#[derive(Serialize)]
struct EpochLine<'a> {
    event: &'a str,
    workload: &'a str,
    device: &'a str,
    epochs: u32,
    steps: u64,
    seconds: f64,
    busy: f64,
    busy_by: &'a str,
    encode_us_per_dispatch: f64,
    submit_us_per_dispatch: f64,
    dispatches: u64,
    submissions: u64,
    uploads: u64,
    uploaded_bytes_per_step: f64,
    reads: u64,
    read_bytes_per_step: f64,
}

pub(crate) fn profile(
    args: &BenchArgs,
    workload: &Workload,
    name: &str,
    mut device: Box<dyn Device>,
    out: &mut Output,
) -> Result<()> {
    let found = workload.profile(device.as_mut(), Duration::from_secs_f64(args.seconds))?;
    let total: f64 = found.kernels.iter().map(|cost| cost.seconds).sum();
    if !args.json {
        let how = match found.clock {
            Clock::Device => "by the device's timestamps, a pass for each kernel",
            Clock::Host => "each kernel repeated alone, by the host's clock",
            Clock::Steps => "one dispatch does whole steps, by the host's clock over many",
        };
        out.line(&format!("{} on {name}, {how}:", workload.name))?;
        for form in device.variants() {
            out.line(&format!("  {form}"))?;
        }
    }
    let (of, clock) = ((workload.name.as_ref(), name), clock_name(found.clock));
    for cost in &found.kernels {
        if args.json {
            let line = kernel_line(of, clock, cost, total);
            JsonLines::new(&mut *out).line(&line).map_err(failed)?;
        } else {
            out.line(&kernel_text(cost, total))?;
        }
    }
    sum(args, of, &found, total, out)?;
    match workload.epochs(device, found.step_seconds)? {
        Some(epochs) if args.json => {
            JsonLines::new(&mut *out).line(&epoch_line(of, &epochs)).map_err(failed)
        }
        Some(epochs) => out.line(&epoch_text(&epochs)),
        None if args.json => Ok(()),
        None => out.line(
            "whole epochs are not counted: on the CPU, and for workloads with several targets a row or very many classes",
        ),
    }
}

fn clock_name(clock: Clock) -> &'static str {
    match clock {
        Clock::Device => "timestamps",
        Clock::Host => "host",
        Clock::Steps => "steps",
    }
}

/// The sum of the kernels beside the time of a step: where they differ, time is spent between kernels, or by measuring.
fn sum(
    args: &BenchArgs,
    (workload, device): (&str, &str),
    found: &Profile,
    total: f64,
    out: &mut Output,
) -> Result<()> {
    let (kernels_us, step_us) = (1e6 * total, 1e6 * found.step_seconds);
    if args.json {
        let (event, clock) = ("step", clock_name(found.clock));
        let line = StepLine { event, workload, device, clock, kernels_us, step_us };
        return JsonLines::new(&mut *out).line(&line).map_err(failed);
    }
    out.line(&format!(
        "{:<26} {:>12} {kernels_us:>10.1} us, {:.0} % of a step's {step_us:.1} us by the host's clock",
        "sum",
        "",
        100.0 * kernels_us / step_us
    ))?;
    let why = match found.clock {
        _ if kernels_us <= step_us => return Ok(()),
        Clock::Device => {
            "each kernel is timed in a pass of its own, whose beginning and end count; in a step, kernels follow one another in one pass"
        }
        Clock::Host => {
            "each kernel is repeated alone, and its call counts each time; in a step, kernels share it"
        }
        Clock::Steps => return Ok(()),
    };
    out.line(&format!("the sum is more than a step: {why}, so take the shares, not the times"))
}

/// Floating-point operations and bytes a second, in billions.
fn rates(cost: &KernelCost) -> (f64, f64) {
    (cost.operations / cost.seconds / 1e9, cost.bytes as f64 / cost.seconds / 1e9)
}

fn kernel_line<'a>(
    (workload, device): (&'a str, &'a str),
    clock: &'a str,
    cost: &'a KernelCost,
    total: f64,
) -> KernelLine<'a> {
    let (gflops, gb_s) = rates(cost);
    KernelLine {
        event: "kernel",
        workload,
        device,
        clock,
        kernel: &cost.kernel,
        sizes: &cost.sizes,
        us: 1e6 * cost.seconds,
        gflops,
        gb_s,
        share: cost.seconds / total,
    }
}

fn kernel_text(cost: &KernelCost, total: f64) -> String {
    let (gflops, gb_s) = rates(cost);
    let sizes: Vec<String> = cost.sizes.iter().map(usize::to_string).collect();
    let (kernel, sizes, share) = (&cost.kernel, sizes.join("x"), 100.0 * cost.seconds / total);
    let gflops = if gflops > 0.0 { format!("{gflops:.2}") } else { String::new() };
    let us = 1e6 * cost.seconds;
    format!(
        "{kernel:<26} {sizes:>12} {us:>10.1} us {gflops:>9} GFLOP/s {gb_s:>8.2} GB/s {share:>6.1} %"
    )
}

fn epoch_line<'a>((workload, device): (&'a str, &'a str), found: &EpochUse) -> EpochLine<'a> {
    let usage = &found.usage;
    let (dispatches, steps) = (usage.dispatches.max(1) as f64, found.steps.max(1) as f64);
    EpochLine {
        event: "epochs",
        workload,
        device,
        epochs: found.epochs,
        steps: found.steps,
        seconds: usage.seconds,
        busy: usage.busy_seconds / usage.seconds,
        busy_by: if usage.by_timestamps { "timestamps" } else { "completions" },
        encode_us_per_dispatch: 1e6 * usage.encode_seconds / dispatches,
        submit_us_per_dispatch: 1e6 * usage.submit_seconds / dispatches,
        dispatches: usage.dispatches,
        submissions: usage.submissions,
        uploads: usage.uploads,
        uploaded_bytes_per_step: usage.uploaded_bytes as f64 / steps,
        reads: usage.reads,
        read_bytes_per_step: usage.read_bytes as f64 / steps,
    }
}

fn epoch_text(found: &EpochUse) -> String {
    let line = epoch_line(("", ""), found);
    let by = if found.usage.by_timestamps {
        "by timestamps around each submission"
    } else {
        "at most, by when the host learnt of each submission's end"
    };
    format!(
        "{} epochs of {} steps with validation, {:.2} s: device busy {:.1} % ({by}); \
         encoding {:.2} us and submitting {:.2} us a dispatch; {} submissions of {} dispatches; \
         {} uploads, {:.0} bytes a step; {} reads, {:.0} bytes a step",
        line.epochs,
        line.steps / u64::from(line.epochs.max(1)),
        line.seconds,
        100.0 * line.busy,
        line.encode_us_per_dispatch,
        line.submit_us_per_dispatch,
        line.submissions,
        count(line.dispatches),
        line.uploads,
        line.uploaded_bytes_per_step,
        line.reads,
        line.read_bytes_per_step,
    )
}
