//! Opening an adapter: its features and limits, and where its errors go.
//!
//! In: which adapter. Out: a device without a plan.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::GpuDevice;
use super::adapter::{describe, pick};
use super::cooperative::AdapterFeatures;
use super::device::{error_text, keep_first};
use super::families::AdapterFamily;
use super::in_flight::InFlight;
use super::pipeline::Pipelines;
use super::select::{Choices, KernelSelector};
use super::tune::Tuner;
use crate::device::{DeviceKind, Tuning};
use crate::error::{Error, Result};
use crate::host::waiting::block_on;

/// Features that are requested if the adapter has them: subgroups for products, if all are of one size; timestamps for
/// callers that measure; half precision for plans that ask for it.
const WANTED: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::SHADER_F16);

impl GpuDevice {
    /// Opens the requested adapter with all its limits. Returns the device, and why this adapter was chosen.
    ///
    /// # Errors
    /// If there is no adapter of this kind, or its driver does not open it.
    pub fn open(kind: &DeviceKind) -> Result<(Self, String)> {
        let (adapter, reason) = pick(kind)?;
        let opened = block_on(Self::open_adapter(&adapter, AdapterFeatures::none()));
        opened.map(|device| (device, reason))
    }

    /// Opens the same adapter again after the device was lost.
    pub(super) fn open_again(&mut self) -> Result<()> {
        let extras = || {
            if self.opened_half {
                AdapterFeatures::cooperative(&self.adapter)
            } else {
                AdapterFeatures::none()
            }
        };
        let opened = block_on(Self::open_adapter(&self.adapter, extras()));
        let mut opened = match opened {
            Ok(opened) => opened,
            // A driver that was restarted appears as another adapter of the same name.
            Err(_) => Self::open(&DeviceKind::Named(self.info.name.clone()))?.0,
        };
        opened.opened_half = self.opened_half;
        opened.binding_limit = self.binding_limit;
        // The tuner and the choices outlive the device, so that a run goes on with the same kernels.
        std::mem::swap(&mut opened.tuner, &mut self.tuner);
        std::mem::swap(&mut opened.chooser, &mut self.chooser);
        opened.meter = self.meter.take();
        if let Some(meter) = &mut opened.meter {
            meter.renew(&opened.device);
        }
        *self = opened;
        Ok(())
    }

    pub(super) async fn open_adapter(
        adapter: &wgpu::Adapter,
        extras: AdapterFeatures,
    ) -> Result<Self> {
        let info = describe(adapter);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: extras.features | adapter.features() & WANTED,
            experimental_features: extras.experimental,
            // wgpu's default limits are far below those of most adapters.
            required_limits: adapter.limits(),
            // By default wgpu would reserve 192 MiB for the smallest network.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| Error::Device {
            adapter: info.name.clone(),
            problem: format!(
                "cannot be opened: {error}; update its driver, or use another ‘device’, such as cpu"
            ),
        })?;
        let failure = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&failure);
        // Without a handler, wgpu panics on an error.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            keep_first(&kept, error_text(&error));
        }));
        let lost = Arc::new(AtomicBool::new(false));
        let (kept, gone) = (Arc::clone(&failure), Arc::clone(&lost));
        device.set_device_lost_callback(move |reason, message| {
            // A device that was dropped is lost too, but nobody asks any more.
            gone.store(true, Ordering::SeqCst);
            keep_first(&kept, format!("the device was lost ({reason:?}): {message}"));
        });
        let chooser = KernelSelector {
            ends_loops: ends_loops(&info.driver),
            software: info.is_software(),
            family: AdapterFamily::of(&info.name, info.is_software()),
            subgroup: fixed_subgroup(adapter),
            half: adapter.features().contains(wgpu::Features::SHADER_F16),
            cooperative: extras.sizes,
            forced: None,
            earlier: None,
            usual: None,
            offered: &[],
            choices: Choices::default(),
        };
        Ok(Self {
            info,
            adapter: adapter.clone(),
            opened_half: false,
            device,
            queue,
            failure,
            lost,
            pipelines: Pipelines::default(),
            loaded: None,
            flight: InFlight::default(),
            losses: Vec::new(),
            members: Vec::new(),
            pending: 0,
            binding_limit: adapter.limits().max_storage_buffer_binding_size,
            chooser,
            tuner: Tuner::new(Tuning::off()),
            meter: None,
        })
    }
}

/// Returns whether a driver, by its name and version, is a lavapipe that ends loops early: Mesa 22.3 was seen to, Mesa 25.0
/// was seen not to.
fn ends_loops(driver: &str) -> bool {
    let version = driver.split("Mesa ").nth(1).and_then(|rest| rest.split('.').next());
    let major = version.and_then(|major| major.parse::<u32>().ok());
    driver.contains("llvmpipe") && major.is_some_and(|major| major < 25)
}

/// Returns the size of an adapter's subgroups, if it is the same for all.
fn fixed_subgroup(adapter: &wgpu::Adapter) -> Option<u32> {
    let info = adapter.get_info();
    let fixed = info.subgroup_min_size == info.subgroup_max_size;
    (fixed && adapter.features().contains(wgpu::Features::SUBGROUP))
        .then_some(info.subgroup_min_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_end_loops_are_known_by_their_version() {
        assert!(ends_loops("llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"));
        assert!(!ends_loops("llvmpipe Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)"));
        assert!(!ends_loops("radv Mesa 22.3.6") && !ends_loops("SwiftShader driver"));
    }
}
