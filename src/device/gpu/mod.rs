//! The GPU device: interprets plans with WGSL kernels, through wgpu.
//!
//! In: a plan and values. Out: the CPU device's numbers, within rounding.
//! Absent on purpose: gradients, files, epochs.

mod adapter;
mod cache;
mod choice;
mod codes;
mod cooperative;
mod device;
mod encode;
mod flight;
mod kernels;
mod launch;
mod limits;
mod load;
mod open;
mod pipeline;
mod sequence;
mod shader;
mod sizes;
mod timing;
mod tune;

pub use adapter::{AdapterReport, adapters};
pub use device::GpuDevice;
pub use kernels::{KERNELS, KernelSpec, SEQUENCE, SEQUENCE_BINDINGS, Shape, Variant};
pub use sequence::sequence_consts;
pub use shader::{assemble, consts, generated};
pub use sizes::{Arguments, Grid, Sizes};
