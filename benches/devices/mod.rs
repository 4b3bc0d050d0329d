//! The devices that this build and this machine have.

#![expect(clippy::print_stderr, reason = "a benchmark says which devices it has and lacks")]

use wgrad::device::{Device, DeviceKind, open};

/// The CPU device, a GPU and a software adapter, as far as they are there.
pub(crate) fn devices() -> Vec<(&'static str, Box<dyn Device>)> {
    let mut devices = Vec::new();
    for (name, kind) in
        [("cpu", DeviceKind::Cpu), ("gpu", DeviceKind::Gpu), ("software", DeviceKind::Software)]
    {
        match open(&kind) {
            Ok((device, _)) => {
                eprintln!("{name}: {}", device.info());
                devices.push((name, device));
            }
            Err(error) => eprintln!("{name} is left out: {error}"),
        }
    }
    devices
}
