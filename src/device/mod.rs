//! Devices, which run plans: the trait [`Device`] and its kinds.
//!
//! In: a plan and values. Out: results.
//! Absent on purpose: gradients, files, epochs. Above this trait nothing knows that a GPU exists; below
//! it nothing differentiates.

pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
mod half;
mod kind;
mod memory;
mod tuning;
mod utilization;
pub mod verify;

use std::ops::Range;

pub use kind::{DeviceKind, open, open_tuned};
pub(crate) use memory::available as free_host_memory;
pub use tuning::{Tune, Tuning};
pub use utilization::Usage;

use crate::error::Result;
use crate::plan::{Phase, Plan, Slot, StepParams};

/// Values for a slot, of the slot's kind.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Floats.
    F32(&'a [f32]),
    /// Row numbers or classes.
    U32(&'a [u32]),
}

impl Values<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U32(values) => values.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Description of a device, for messages and records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name of the processor or adapter.
    pub name: String,
    /// `cpu`, `discrete GPU`, `integrated GPU`, `software adapter` …
    pub kind: String,
    /// `Vulkan`, `Metal`, `Dx12`, `Gl`; or the number of threads.
    pub backend: String,
    /// Driver and version.
    pub driver: String,
}

/// [`DeviceInfo::kind`] of the CPU device.
pub(crate) const CPU: &str = "cpu";
/// [`DeviceInfo::kind`] of software adapters.
pub(crate) const SOFTWARE: &str = "software adapter";

impl DeviceInfo {
    /// Returns whether this is the CPU device.
    pub fn is_cpu(&self) -> bool {
        self.kind == CPU
    }

    /// Returns whether this is an adapter without hardware.
    pub fn is_software(&self) -> bool {
        self.kind == SOFTWARE
    }
}

impl std::fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.kind, self.backend)?;
        if !self.driver.is_empty() {
            write!(f, ", {}", self.driver)?;
        }
        write!(f, ")")
    }
}

/// Runs plans. Devices go from thread to thread, so that a model in use may be shared.
pub trait Device: Send {
    /// Returns the description of this device.
    fn info(&self) -> &DeviceInfo;

    /// Makes everything that a plan needs: memory, pipelines. All memory starts at zero.
    ///
    /// # Errors
    /// If the plan is too large for the device, or the driver fails.
    fn load(&mut self, plan: &Plan) -> Result<()>;

    /// Host to device: fills a slot's elements from `first` on.
    ///
    /// # Errors
    /// If the values do not fit the slot, or the device failed.
    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()>;

    /// The changing numbers of a phase's coming steps, at most [`crate::plan::WINDOW`] of them.
    ///
    /// # Errors
    /// If there are too many, or the device failed.
    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> Result<()>;

    /// How many steps to give to [`Self::run`] at once: few enough for the system's watchdogs and for news
    /// to arrive often, enough to keep the device busy. It changes as steps are measured.
    fn steps_per_submission(&self, phase: Phase) -> u32;

    /// Runs steps of the window, with no host in between. It may return before they are done.
    ///
    /// # Errors
    /// If the device failed.
    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()>;

    /// The losses of training steps that were run and not yet taken, in order: those known without
    /// waiting for the newest work, or with `wait` all.
    ///
    /// # Errors
    /// If the device failed.
    fn take_losses(&mut self, wait: bool) -> Result<Vec<f32>>;

    /// Waits, then device to host: the first `len` elements of a slot of floats.
    ///
    /// # Errors
    /// If the slot holds no floats or fewer, or the device failed.
    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>>;

    /// Bytes that a slot bound whole may have at most, if anything limits them.
    fn slot_limit(&self) -> Option<u64>;

    /// Bytes that this device takes for a plan at most: the plan's buffers, and all that stands beside them
    /// (steps' numbers, results on their way back, values on their way in).
    fn bytes_for(&self, plan: &Plan) -> u64;

    /// Which kernel variants were chosen, a line each: the order of additions depends on them.
    fn variants(&self) -> Vec<String>;

    /// Makes the next load take the forms of kernels that such lines name, as far as the device has them: those of an earlier
    /// run of the same plan. Devices with nothing to choose do nothing.
    fn take_variants(&mut self, _variants: &[String]) {}

    /// Returns whether the device is gone for good, and needs [`Self::reopen`].
    fn lost(&self) -> bool {
        false
    }

    /// Opens the device again, as it was before anything was loaded; what was found out about it stays known.
    ///
    /// # Errors
    /// If it cannot be had any more.
    fn reopen(&mut self) -> Result<()> {
        Ok(())
    }

    /// Returns new warnings, each once: variants of kernels that gave wrong numbers, a
    /// file of choices that cannot be used.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Returns how host and device were used since the last call. The first call only begins the counting; on devices that share the
    /// host's processor there is nothing to count.
    fn take_usage(&mut self) -> Option<Usage> {
        None
    }

    /// The form that does whole training steps in one dispatch, if what is loaded is done so: then no kernel of a step runs
    /// by itself.
    fn whole_steps(&self) -> Option<&'static str> {
        None
    }

    /// Runs steps of the window and waits, each kernel by itself between two readings of the device's own clock: for each
    /// step that was run, at least one, the seconds of each of the plan's steps. `None`, and nothing run, where the device
    /// has no such clock. The losses are not told.
    ///
    /// # Errors
    /// If the device failed.
    fn time_steps(&mut self, _phase: Phase, _steps: Range<u32>) -> Result<Option<Vec<Vec<f64>>>> {
        Ok(None)
    }
}
