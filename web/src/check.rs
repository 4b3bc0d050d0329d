//! The kernels of the visitor's adapter, compared with the reference in double precision.

use serde::Serialize;
use wgrad::device::gpu::{self, GpuDevice};
use wgrad::device::verify::{Check, shader_texts, verify_gpu, verify_plan};
use wgrad::device::{Device, DeviceInfo};
use wgrad::plan::Plan;
use wgrad::{DeviceKind, Result};

use crate::tell;

/// Result of a comparison of kernels.
#[derive(Serialize)]
pub(crate) struct CheckAnswer {
    device: String,
    passed: usize,
    failed: usize,
    /// The first failures, each in a sentence.
    failures: Vec<String>,
}

/// News while kernels are compared.
#[derive(Serialize)]
struct Checked {
    checked: usize,
    failed: usize,
}

/// An adapter.
#[derive(Serialize)]
pub(crate) struct AdapterAnswer {
    name: String,
    kind: String,
    features: Vec<String>,
    limits: Vec<(String, u64)>,
    /// True if a run takes it without being asked.
    auto: bool,
}

/// A WGSL text.
#[derive(Serialize)]
pub(crate) struct ShaderAnswer {
    kernel: &'static str,
    label: String,
    wgsl: String,
}

/// Failures that are told.
const TOLD: usize = 20;
/// Comparisons after which the page is told how many there were.
const EACH: usize = 20;

/// Returns the adapters that the browser gives.
pub(crate) fn adapters() -> Vec<AdapterAnswer> {
    let answer = |it: gpu::AdapterReport| AdapterAnswer {
        name: it.info.name,
        kind: it.info.kind,
        features: it.features,
        limits: it.limits,
        auto: it.auto,
    };
    gpu::adapters().into_iter().map(answer).collect()
}

/// Returns the WGSL texts of all kernels, for one network and for several.
pub(crate) fn shaders() -> Result<Vec<ShaderAnswer>> {
    let texts = shader_texts()?.into_iter().flat_map(|text| {
        let kernel = text.spec.name;
        text.for_adapter().map(|(label, wgsl)| ShaderAnswer { kernel, label, wgsl })
    });
    Ok(texts.collect())
}

/// Opens the adapter: a GPU, or else a software adapter.
fn any_adapter() -> Result<GpuDevice> {
    let opened =
        GpuDevice::open(&DeviceKind::Gpu).or_else(|_| GpuDevice::open(&DeviceKind::Software));
    opened.map(|it| it.0)
}

/// Compares all kernels.
pub(crate) fn verify_all() -> Result<CheckAnswer> {
    let mut device = any_adapter()?;
    let info = device.info().clone();
    counted(info, |tell| verify_gpu(&mut device, tell).map(|it| (it.passed, it.failed)))
}

/// Compares the kernels that a plan runs, and makes the device use none that gives wrong numbers.
pub(crate) fn verify_for(device: &mut GpuDevice, plan: &Plan) -> Result<CheckAnswer> {
    let info = device.info().clone();
    let mut wrong = Vec::new();
    let answer = counted(info, |tell| {
        let mut tell = |check: &Check| {
            wrong.extend(check.failure.is_some().then(|| check.clone()));
            tell(check);
        };
        verify_plan(device, plan, &mut tell).map(|it| (it.passed, it.failed))
    })?;
    wrong.iter().for_each(|check| device.avoid(check.variant));
    Ok(answer)
}

fn counted(
    device: DeviceInfo,
    work: impl FnOnce(&mut dyn FnMut(&Check)) -> Result<(usize, usize)>,
) -> Result<CheckAnswer> {
    let (mut checked, mut failed, mut failures) = (0, 0, Vec::new());
    let mut count = |check: &Check| {
        checked += 1;
        if let Some(problem) = &check.failure {
            failed += 1;
            if failures.len() < TOLD {
                let Check { form, variant, case, .. } = check;
                failures.push(format!("{form} ({variant}) {case}: {problem}"));
            }
        }
        if checked % EACH == 0 {
            tell(&Checked { checked, failed });
        }
    };
    let (passed, failed) = work(&mut count)?;
    Ok(CheckAnswer { device: device.to_string(), passed, failed, failures })
}
