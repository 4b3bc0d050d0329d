//! `wgrad bench`: fixed training steps on one or more devices, side by side.
//!
//! In: names of devices and workloads. Out: a line for each, with the ratio to the first device.

use std::time::Duration;

use serde::Serialize;

use super::profile::profile;
use crate::cli::Exit;
use crate::cli::args::BenchArgs;
use crate::cli::cache::tuning_folder;
use crate::cli::output::{Output, failed};
use crate::cli::settings::check_precision;
use crate::cli::wording::with_options;
use crate::device::verify::verify;
use crate::device::{Device, DeviceInfo, DeviceKind, Tune, Tuning, open, open_tuned};
use crate::error::{Error, Result};
use crate::plan::Precision;
use crate::report::{Console, JsonLines, count, duration};
use crate::shape::bytes_text;
use crate::train::{Measurement, PredictionTime, WORKLOADS, Workload};

#[derive(Serialize)]
struct BenchLine<'a> {
    event: &'a str,
    workload: &'a str,
    precision: &'a str,
    device: &'a str,
    adapter: String,
    step_ms: f64,
    samples_s: f64,
    gflops: f64,
    /// Seconds from opening the device to the end of the first step; the process started before.
    first_step_s: f64,
    peak_device_bytes: u64,
}

/// Rows of a batch of a network of the user's, unless they are said.
const BATCH: usize = 128;
/// Rows of the calls whose predictions are timed.
const CALLS: [usize; 5] = [1, 16, 256, 4096, 65_536];
/// Most numbers of a call: a gibibyte.
const MOST_FEATURES: usize = 1 << 28;

#[derive(Serialize)]
struct PredictLine<'a> {
    event: &'a str,
    workload: &'a str,
    device: &'a str,
    rows: usize,
    call_ms: f64,
    rows_s: f64,
}

#[derive(Serialize)]
struct MembersLine<'a> {
    event: &'a str,
    workload: &'a str,
    precision: &'a str,
    device: &'a str,
    members: usize,
    /// Milliseconds of one step of all networks.
    step_ms: f64,
    /// Rows a second of all networks together.
    samples_s: f64,
}

/// Times of one device with one workload.
struct Row {
    workload: Workload,
    device: String,
    info: DeviceInfo,
    found: Measurement,
    open_seconds: f64,
}

pub(crate) fn bench(args: &BenchArgs) -> Result<Exit> {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        let problem = format!("{}, but it must be above 0 and at most 3600", args.seconds);
        return Err(Error::setting("--seconds", problem));
    }
    if args.members.contains(&0) {
        return Err(Error::setting("--members", "0, but it must be above 0"));
    }
    let tuning = tuning(args)?;
    let precision: Precision = args.precision.parse()?;
    let mut named: Vec<Workload> =
        args.workload.iter().map(|name| Workload::by_name(name)).collect::<Result<_>>()?;
    for widths in &args.network {
        named.push(Workload::of_sizes(&sizes(widths)?, args.batch_size.unwrap_or(BATCH))?);
    }
    // Named workloads run on any device; the usual ones only where they make sense.
    let mut workloads = if named.is_empty() { WORKLOADS.to_vec() } else { named.clone() };
    workloads.iter_mut().for_each(|workload| workload.precision = precision);
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let mut out = Output::new();
    let mut rows: Vec<Row> = Vec::new();
    let devices = devices(args, precision)?;
    check_of_gpus(args, &devices, &mut console)?;
    // Device by device, so that each is verified once.
    for (name, kind) in &devices {
        if !args.no_verify {
            check(name, kind, &mut console)?;
        }
        for workload in &workloads {
            // A workload for hardware takes minutes elsewhere, so there it is timed by its name alone.
            let may_be_long = workload.hardware_only && named.is_empty();
            if args.predict {
                if !may_be_long {
                    predictions(args, workload, (name, kind), &mut out)?;
                }
                continue;
            }
            let (device, open_seconds) = opened(args, kind, &tuning)?;
            check_precision(precision, device.info())?;
            if may_be_long && !device.info().kind.ends_with("GPU") {
                console.line(&format!(
                    "{} on {name}: left out, since it takes a hardware GPU; --workload {0} times it all the same",
                    workload.name
                ));
                continue;
            }
            console.line(&format!("{} in {precision} on {name}: {}", workload.name, device.info()));
            if args.profile {
                profile(args, workload, name, device, &mut out)?;
                continue;
            }
            if !args.members.is_empty() {
                drop(device);
                members(args, workload, (name, kind, &tuning), &mut out)?;
                continue;
            }
            let row = measure(args, workload, (name, device, open_seconds), &mut console)?;
            if args.json {
                JsonLines::new(&mut out).line(&row.line()).map_err(failed)?;
            }
            rows.push(row);
        }
    }
    // The table comes last, since its ratios need all rows.
    if !args.json && !args.profile && !args.predict && args.members.is_empty() {
        table(&rows, &mut out)?;
    }
    out.end()?;
    Ok(Exit::Done)
}

/// Returns how kernels are chosen.
fn tuning(args: &BenchArgs) -> Result<Tuning> {
    let usual = Tuning::default();
    let tune = args.tune.as_deref().map(str::parse).transpose()?.unwrap_or(usual.tune);
    if args.tune_ms.is_some() && tune != Tune::Quick {
        let problem =
            format!("it says how long --tune quick may take, and --tune is {tune}; leave it out");
        return Err(Error::setting("--tune-ms", problem));
    }
    let budget = args.tune_ms.map_or(usual.budget, |ms| Duration::from_millis(ms.into()));
    Ok(Tuning { tune, budget, folder: tuning_folder() })
}

/// Refuses options that say how a GPU takes its kernels where all devices are the CPU; beside a GPU, the CPU is told of.
fn check_of_gpus(
    args: &BenchArgs,
    devices: &[(String, DeviceKind)],
    console: &mut Console,
) -> Result<()> {
    let given = [
        ("--single-kernels", args.single_kernels),
        ("--tune", args.tune.is_some()),
        ("--tune-ms", args.tune_ms.is_some()),
    ];
    let given: Vec<&str> =
        given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    let on_cpu = devices.iter().filter(|(_, kind)| *kind == DeviceKind::Cpu).count();
    let Some(first) = given.first().filter(|_| on_cpu > 0) else { return Ok(()) };
    if on_cpu == devices.len() {
        let problem = "it is for GPUs, and all devices are the CPU; leave it out, or name a GPU with --device";
        return Err(Error::setting(*first, problem));
    }
    console.line(&format!(
        "{} {} for GPUs, and not for the CPU",
        given.join(", "),
        if given.len() == 1 { "is" } else { "are" }
    ));
    Ok(())
}

/// Opens a device anew, so that the first step includes compiling. Returns it, and the seconds that opening took.
fn opened(args: &BenchArgs, kind: &DeviceKind, tuning: &Tuning) -> Result<(Box<dyn Device>, f64)> {
    let begun = std::time::Instant::now();
    let (mut device, _) = open_tuned(kind, tuning)?;
    if args.single_kernels {
        // Choices of an earlier run that took no whole steps, nor a form of any product.
        device.take_variants(&[]);
    }
    Ok((device, begun.elapsed().as_secs_f64()))
}

/// Times one workload on an open device, and prints the tuner's warnings, which concern its row.
fn measure(
    args: &BenchArgs,
    workload: &Workload,
    (name, mut device, open_seconds): (&str, Box<dyn Device>, f64),
    console: &mut Console,
) -> Result<Row> {
    let found = workload.measure(device.as_mut(), Duration::from_secs_f64(args.seconds))?;
    device.take_warnings().iter().for_each(|problem| console.warn(&with_options(problem)));
    let (device, info) = (name.to_string(), device.info().clone());
    Ok(Row { workload: workload.clone(), device, info, found, open_seconds })
}

/// Times predictions of one workload on one device, and prints a line for each number of rows.
fn predictions(
    args: &BenchArgs,
    workload: &Workload,
    (name, kind): (&str, &DeviceKind),
    out: &mut Output,
) -> Result<()> {
    let budget = Duration::from_secs_f64(args.seconds / CALLS.len() as f64);
    let fits = |rows: &usize| rows.saturating_mul(workload.widths[0]) <= MOST_FEATURES;
    let rows: Vec<usize> = CALLS.into_iter().filter(fits).collect();
    if !args.json {
        out.line(&format!("predictions of {} on {name}:", workload.name))?;
    }
    for PredictionTime { rows, seconds } in workload.predictions(kind, &rows, budget)? {
        let rows_s = rows as f64 / seconds;
        if args.json {
            let line = PredictLine {
                event: "predict",
                workload: &workload.name,
                device: name,
                rows,
                call_ms: 1e3 * seconds,
                rows_s,
            };
            JsonLines::new(&mut *out).line(&line).map_err(failed)?;
            continue;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rows a second, for people"
        )]
        let rows_s = count(rows_s as u64);
        let rows = count(rows as u64);
        out.line(&format!("{rows:>9} rows {:>12} {rows_s:>14} rows/s", step(seconds)))?;
    }
    Ok(())
}

/// Times several networks of one workload side by side on one device, and prints a line for each number of networks.
fn members(
    args: &BenchArgs,
    workload: &Workload,
    (name, kind, tuning): (&str, &DeviceKind, &Tuning),
    out: &mut Output,
) -> Result<()> {
    let budget = Duration::from_secs_f64(args.seconds / args.members.len() as f64);
    if !args.json {
        out.line(&format!("{} on {name}, networks side by side:", workload.name))?;
    }
    let mut first = None;
    for &members in &args.members {
        let (device, _) = opened(args, kind, tuning)?;
        let Some(found) = workload.measure_members(device, members, budget)? else {
            let problem = format!(
                "{members}, but {name} cannot hold so many networks of {} in one dispatch; give fewer",
                workload.name
            );
            return Err(Error::setting("--members", problem));
        };
        let samples_s = (workload.batch * members) as f64 / found.step_seconds;
        if args.json {
            let line = MembersLine {
                event: "members",
                workload: &workload.name,
                precision: workload.precision.name(),
                device: name,
                members,
                step_ms: 1e3 * found.step_seconds,
                samples_s,
            };
            JsonLines::new(&mut *out).line(&line).map_err(failed)?;
            continue;
        }
        let each = found.step_seconds / members as f64;
        let base = *first.get_or_insert(each);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rows a second, for people"
        )]
        let samples_s = count(samples_s as u64);
        out.line(&format!(
            "{:>6} {:<8} {:>10} a step of all, {:>10} a step of each, {samples_s:>14} rows/s, ratio {:.2}",
            count(members as u64),
            if members == 1 { "network" } else { "networks" },
            step(found.step_seconds),
            step(each),
            base / each,
        ))?;
    }
    Ok(())
}

/// Reads widths between commas.
fn sizes(text: &str) -> Result<Vec<usize>> {
    let read = |width: &str| width.trim().parse().ok();
    text.split(',').map(read).collect::<Option<Vec<usize>>>().ok_or_else(|| {
        let problem =
            format!("\"{text}\", but widths are whole numbers between commas, such as 64,64,64,10");
        Error::setting("--network", problem)
    })
}

/// Returns the requested devices; without any, the CPU and a GPU if there is one, or the GPU alone for half precision.
fn devices(args: &BenchArgs, precision: Precision) -> Result<Vec<(String, DeviceKind)>> {
    if !args.device.is_empty() {
        return args.device.iter().map(|name| Ok((name.clone(), name.parse()?))).collect();
    }
    let mut devices = vec![("cpu".to_string(), DeviceKind::Cpu)];
    if precision == Precision::F16 {
        // Half precision is for GPUs, so only a GPU is timed.
        return Ok(vec![("gpu".to_string(), DeviceKind::Gpu)]);
    }
    if open(&DeviceKind::Gpu).is_ok() {
        devices.push(("gpu".to_string(), DeviceKind::Gpu));
    }
    Ok(devices)
}

/// Verifies a device: nothing is timed on a device that computes wrong numbers.
fn check(name: &str, kind: &DeviceKind, console: &mut Console) -> Result<()> {
    console.line(&format!("verifying {name} (--no-verify leaves this out)"));
    let tally = verify(kind, &mut |_| {})?;
    if tally.failed == 0 {
        return Ok(());
    }
    let problem = format!(
        "{} of its kernels' checks failed, so it is not timed; `wgrad verify --device {name}` shows which",
        tally.failed
    );
    Err(Error::Device { adapter: tally.device.name, problem })
}

impl Row {
    fn samples(&self) -> f64 {
        self.workload.batch as f64 / self.found.step_seconds
    }

    fn gflops(&self) -> f64 {
        self.workload.operations() / self.found.step_seconds / 1e9
    }

    fn line(&self) -> BenchLine<'_> {
        BenchLine {
            event: "bench",
            workload: &self.workload.name,
            precision: self.workload.precision.name(),
            device: &self.device,
            adapter: self.info.to_string(),
            step_ms: 1e3 * self.found.step_seconds,
            samples_s: self.samples(),
            gflops: self.gflops(),
            first_step_s: self.open_seconds + self.found.first_step_seconds,
            peak_device_bytes: self.found.device_bytes,
        }
    }
}

fn table(rows: &[Row], out: &mut Output) -> Result<()> {
    out.line(&format!(
        "{:<9} {:<10} {:>10} {:>21} {:>12} {:>9} {:>10} {:>10} {:>7}",
        "workload",
        "device",
        "step",
        "fastest..slowest",
        "rows/s",
        "GFLOP/s",
        "first step",
        "memory",
        "ratio"
    ))?;
    for row in rows {
        // The first device of the same workload has the ratio 1.
        let base = rows.iter().find(|other| other.workload == row.workload).unwrap_or(row);
        let (fastest, slowest) = row.found.spread;
        let spread = format!("{}..{}", step(fastest), step(slowest));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rows a second, for people"
        )]
        let samples = count(row.samples() as u64);
        out.line(&format!(
            "{:<9} {:<10} {:>10} {spread:>21} {samples:>12} {:>9.1} {:>10} {:>10} {:>7.2}",
            row.workload.name,
            row.device,
            step(row.found.step_seconds),
            row.gflops(),
            duration(row.open_seconds + row.found.first_step_seconds),
            bytes_text(row.found.device_bytes),
            base.found.step_seconds / row.found.step_seconds,
        ))?;
    }
    Ok(())
}

/// Returns the time of a step, with the digits that matter.
fn step(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.1} us", 1e6 * seconds)
    } else {
        format!("{:.2} ms", 1e3 * seconds)
    }
}
