//! The device that a user asks for, and opening it.

use std::fmt;
use std::str::FromStr;

use super::cpu::CpuDevice;
use super::{Device, Tuning};
use crate::error::{Error, Result};

/// A device as users name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// A discrete GPU, then an integrated one, then the CPU.
    #[default]
    Auto,
    /// A discrete or integrated GPU.
    Gpu,
    /// A software adapter: for tests, far slower than the CPU device.
    Software,
    /// The CPU device.
    Cpu,
    /// The adapter whose name contains this text.
    Named(String),
}

impl FromStr for DeviceKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "" => {
                return Err(Error::setting(
                    "device",
                    "empty; known: auto, gpu, software, cpu, or part of an adapter's name",
                ));
            }
            "auto" => Self::Auto,
            "gpu" => Self::Gpu,
            "software" => Self::Software,
            "cpu" => Self::Cpu,
            _ => Self::Named(name.to_string()),
        })
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Gpu => f.write_str("gpu"),
            Self::Software => f.write_str("software"),
            Self::Cpu => f.write_str("cpu"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Opens a device that chooses among its kernels by a fixed rule. Returns the device, and why it was chosen.
///
/// # Errors
/// If there is no device of this kind; the message lists the devices that there are.
pub fn open(kind: &DeviceKind) -> Result<(Box<dyn Device>, String)> {
    open_tuned(kind, &Tuning::off())
}

/// Opens a device that chooses among its kernels in this way. Returns the device, and why it was chosen.
///
/// # Errors
/// If there is no device of this kind; the message lists the devices that there are.
pub fn open_tuned(kind: &DeviceKind, tuning: &Tuning) -> Result<(Box<dyn Device>, String)> {
    let cpu = || Box::new(CpuDevice::<f32>::new()) as Box<dyn Device>;
    #[cfg(feature = "gpu")]
    let gpu = |kind: &DeviceKind| {
        let (mut device, reason) = super::gpu::GpuDevice::open(kind)?;
        device.tune(tuning.clone());
        Ok((Box::new(device) as Box<dyn Device>, reason))
    };
    match kind {
        DeviceKind::Cpu => Ok((cpu(), "asked for".to_string())),
        #[cfg(feature = "gpu")]
        DeviceKind::Auto => match gpu(&DeviceKind::Gpu) {
            Ok(found) => Ok(found),
            Err(Error::NoAdapter { .. }) => Ok((cpu(), "no GPU was found".to_string())),
            // Whatever is wrong with the GPU, the CPU works, and the reason is reported.
            Err(error) => Ok((cpu(), error.to_string())),
        },
        #[cfg(feature = "gpu")]
        _ => gpu(kind),
        #[cfg(not(feature = "gpu"))]
        DeviceKind::Auto => Ok((cpu(), "built without the feature `gpu`".to_string())),
        #[cfg(not(feature = "gpu"))]
        _ => {
            // Without GPUs there is one variant of each kernel, so nothing is tuned.
            let _ = tuning;
            Err(Error::NoAdapter {
                problem: format!(
                    "‘device’ {kind}: built without the feature `gpu`, so only the CPU is there; use ‘device’ cpu"
                ),
            })
        }
    }
}
