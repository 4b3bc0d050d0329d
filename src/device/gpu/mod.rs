//! The GPU device: interprets plans with WGSL kernels, through wgpu.
//!
//! In: a plan and values. Out: the CPU device's numbers, within rounding.
//! Absent on purpose: gradients, files, epochs.

mod adapter;
mod cooperative;
mod device;
mod flight;
mod kernels;
mod launch;
mod load;
mod pipeline;
mod shader;

pub use adapter::{AdapterReport, adapters};
pub use device::GpuDevice;
pub use kernels::{KERNELS, KernelSpec, Shape, Variant};
pub use shader::{assemble, consts};
