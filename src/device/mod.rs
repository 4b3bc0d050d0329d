//! Devices, which run plans: the trait [`Device`] and its kinds.
//!
//! In: a plan and values. Out: results.
//! Absent on purpose: gradients, files, epochs. Above this trait nothing knows that a GPU exists; below
//! it nothing differentiates.

mod cases;
pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
mod half;
mod kind;
mod member_hub;
mod memory;
mod rank_device;
mod tuning;
mod utilization;
pub mod verify;

use std::ops::Range;

pub use kind::{DeviceKind, open, open_tuned};
pub(crate) use member_hub::{MemberHandle, MemberHub};
pub(crate) use memory::available as free_host_memory;
pub use rank_device::RankDevice;
pub use tuning::{Tune, Tuning};
pub use utilization::Usage;

use crate::error::Result;
use crate::plan::{InitialValues, Phase, Plan, Slot, StepParams};
use crate::ranks::Ranks;

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

    /// Returns whether there are no values.
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

/// Runs plans. Devices may move from thread to thread, so that a model in use can be shared.
pub trait Device: Send {
    /// Returns the description of this device.
    fn info(&self) -> &DeviceInfo;

    /// Creates everything that a plan needs: memory, pipelines. All memory starts at zero.
    ///
    /// # Errors
    /// If the plan is too large for the device, or the driver fails.
    fn load(&mut self, plan: &Plan) -> Result<()>;

    /// Copies values from the host to the device, to a slot's elements from `first` on.
    ///
    /// # Errors
    /// If the values do not fit the slot, or the device failed.
    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()>;

    /// Uploads the step parameters of a phase's next steps, at most [`crate::plan::WINDOW`] of them.
    ///
    /// # Errors
    /// If there are too many, or the device failed.
    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> Result<()>;

    /// Returns the number of steps to give to [`Self::run`] at once: few enough for the system's watchdogs and for progress
    /// reports to come often, enough to keep the device busy. The number changes as steps are measured.
    fn steps_per_submission(&self, phase: Phase) -> u32;

    /// Runs steps of the window, with no host in between. The call may return before the steps are done.
    ///
    /// # Errors
    /// If the device failed.
    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()>;

    /// Runs a part of one step of the window: the plan's steps from an index to another, of a plan that is loaded for that. Losses
    /// of such steps are left in the log.
    ///
    /// # Errors
    /// If the device has no such parts, or failed.
    fn run_part(&mut self, _phase: Phase, _step: u32, _part: Range<usize>) -> Result<()> {
        let problem =
            "it runs no parts of a step, as ranks need; use another ‘device’, such as cpu";
        Err(crate::error::Error::Device {
            adapter: self.info().name.clone(),
            problem: problem.into(),
        })
    }

    /// Returns the exchange with the other ranks, if the device is that of one rank among several: then a batch's rows are shared
    /// among them.
    fn ranks(&self) -> Option<&Ranks> {
        None
    }

    /// Returns the losses of training steps that were run and not yet taken, in order: those known without waiting for the
    /// newest steps, or with `wait` all of them.
    ///
    /// # Errors
    /// If the device failed.
    fn take_losses(&mut self, wait: bool) -> Result<Vec<f32>>;

    /// Waits, then copies the first `len` elements of a slot of floats from the device to the host.
    ///
    /// # Errors
    /// If the slot holds no floats or fewer than `len`, or the device failed.
    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>>;

    /// Returns the largest number of bytes of a slot that is bound whole, if anything limits it.
    fn slot_limit(&self) -> Option<u64>;

    /// Returns the largest number of bytes that this device takes for a plan: the plan's buffers, and everything beside
    /// them (step parameters, results on their way back, values on their way in).
    fn bytes_for(&self, plan: &Plan) -> u64;

    /// Returns the chosen kernel variants, a line each: the order of additions depends on them.
    fn variants(&self) -> Vec<String>;

    /// Makes the next load take the variants of kernels that such lines name, as far as the device has them: those of an
    /// earlier run of the same plan. Devices with nothing to choose ignore the call.
    fn take_variants(&mut self, _variants: &[String]) {}

    /// Returns whether the device is lost for good, and needs [`Self::reopen`].
    fn lost(&self) -> bool {
        false
    }

    /// Opens the device again, as it was before anything was loaded; measurements of the device stay known.
    ///
    /// # Errors
    /// If the device cannot be opened any more.
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

    /// Returns the variant that runs whole training steps in one dispatch, if the loaded plan is run in this way: then no
    /// kernel of a step runs by itself.
    fn whole_steps(&self) -> Option<&'static str> {
        None
    }

    /// Runs steps of the window and waits, with each kernel between two readings of the device's own clock. Returns for
    /// each step that was run, at least one, the seconds of each of the plan's steps; `None`, with nothing run, if the
    /// device has no such clock. The losses are not reported.
    ///
    /// # Errors
    /// If the device failed.
    fn time_steps(&mut self, _phase: Phase, _steps: Range<u32>) -> Result<Option<Vec<Vec<f64>>>> {
        Ok(None)
    }

    /// Returns the device as one that runs several members side by side; `None` for a device that gains nothing by it.
    fn members(&mut self) -> Option<&mut dyn MemberDevice> {
        None
    }
}

/// Writes the values that slots of a plan start with, rounded to single precision.
///
/// # Errors
/// As [`Device::write`].
fn write_starts(device: &mut dyn Device, plan: &Plan) -> Result<()> {
    for (slot, start) in plan.starts() {
        match start {
            InitialValues::Floats(values) => {
                let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                device.write(*slot, 0, Values::F32(&values))?;
            }
            InitialValues::Indices(values) => device.write(*slot, 0, Values::U32(values))?,
        }
    }
    Ok(())
}

/// A device that runs the same steps of several networks, the members, in the same dispatches. Each member has its own
/// values of all slots but the plan's shared ones, which any member writes for all.
pub trait MemberDevice {
    /// Returns the largest number of members that one dispatch of a plan can have; 1 if members cannot be side by side.
    fn most_members(&self, plan: &Plan) -> u32;

    /// Does what [`Device::load`] does for so many members, but for the plan's values to start from, which may be each
    /// member's own.
    ///
    /// # Errors
    /// If the plan is too large for the device so many times, or the driver fails.
    fn load_members(&mut self, plan: &Plan, members: u32) -> Result<()>;

    /// Copies values from the host to a member's slot, as [`Device::write`] does.
    ///
    /// # Errors
    /// If the values do not fit the slot, or the device failed.
    fn write_member(
        &mut self,
        member: u32,
        slot: Slot,
        first: usize,
        values: Values<'_>,
    ) -> Result<()>;

    /// Takes the step parameters of a member's next steps, as [`Device::write_steps`] does.
    ///
    /// # Errors
    /// If there are too many.
    fn write_member_steps(&mut self, member: u32, phase: Phase, rows: &[StepParams]) -> Result<()>;

    /// Runs `count` steps of the members `of`, each from a step of its own window on.
    ///
    /// # Errors
    /// If the device failed.
    fn run_members(&mut self, phase: Phase, of: &[(u32, u32)], count: u32) -> Result<()>;

    /// Returns a member's losses, as [`Device::take_losses`] does.
    ///
    /// # Errors
    /// If the device failed.
    fn take_member_losses(&mut self, member: u32, wait: bool) -> Result<Vec<f32>>;

    /// Waits, then copies the first `len` elements of a slot of floats of these members, in their order.
    ///
    /// # Errors
    /// If the slot holds no floats or fewer than `len`, or the device failed.
    fn read_members(&mut self, members: &[u32], slot: Slot, len: usize) -> Result<Vec<Vec<f32>>>;
}
