//! `wgrad adapters`: what can train here, and what `--device auto` takes.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::cli::Exit;
use crate::cli::args::AdaptersArgs;
use crate::cli::output::{Output, failed};
use crate::device::{DeviceInfo, DeviceKind, open};
use crate::error::Result;
use crate::report::{JsonLines, count};

/// A device that is there.
struct Found {
    info: DeviceInfo,
    /// True if `--device auto` takes the device.
    auto: bool,
    features: Vec<String>,
    limits: Vec<(String, u64)>,
}

#[derive(Serialize)]
struct AdapterLine<'a> {
    event: &'a str,
    name: &'a str,
    kind: &'a str,
    backend: &'a str,
    driver: &'a str,
    auto: bool,
    features: &'a [String],
    limits: Limits<'a>,
}

/// Limits in their own order.
struct Limits<'a>(&'a [(String, u64)]);

impl Serialize for Limits<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

pub(crate) fn adapters(args: &AdaptersArgs) -> Result<Exit> {
    let found = found()?;
    let mut out = Output::new();
    for device in &found {
        if args.json {
            let DeviceInfo { name, kind, backend, driver } = &device.info;
            let (features, limits) = (&device.features, Limits(&device.limits));
            let line = AdapterLine {
                event: "adapter",
                name,
                kind,
                backend,
                driver,
                auto: device.auto,
                features,
                limits,
            };
            JsonLines::new(&mut out).line(&line).map_err(failed)?;
        } else {
            out.line(&text(device))?;
        }
    }
    if let Some(taken) = found.iter().find(|device| device.auto).filter(|_| !args.json) {
        out.line(&format!("--device auto takes {}", taken.info.name))?;
    }
    out.end()?;
    Ok(Exit::Done)
}

fn text(device: &Found) -> String {
    let mut text = format!("{}\n", device.info);
    if !device.features.is_empty() {
        text += &format!("  features  {}\n", device.features.join(", "));
    }
    let width = device.limits.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &device.limits {
        text += &format!("  {name:<width$}  {:>16}\n", count(*value));
    }
    text
}

/// Every adapter, and the CPU last.
fn found() -> Result<Vec<Found>> {
    let mut found = gpus();
    let (cpu, _) = open(&DeviceKind::Cpu)?;
    let auto = found.iter().all(|device| !device.auto);
    found.push(Found { info: cpu.info().clone(), auto, features: vec![], limits: vec![] });
    Ok(found)
}

#[cfg(feature = "gpu")]
fn gpus() -> Vec<Found> {
    let reports = crate::device::gpu::adapters();
    reports
        .into_iter()
        .map(|r| Found { info: r.info, auto: r.auto, features: r.features, limits: r.limits })
        .collect()
}

#[cfg(not(feature = "gpu"))]
fn gpus() -> Vec<Found> {
    vec![]
}
