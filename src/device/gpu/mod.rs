//! The GPU device: interprets plans with WGSL kernels, through wgpu.
//!
//! In: a plan and values. Out: the CPU device's numbers, within rounding.
//! Absent on purpose: gradients, files, epochs.

mod adapter;
mod cache;
mod codes;
mod cooperative;
mod device;
mod dispatch;
mod encode;
mod families;
mod fused_step;
mod fused_text;
mod in_flight;
mod kernels;
mod limits;
mod load;
mod member_text;
mod members;
mod open;
mod pipeline;
mod select;
mod shader;
mod shader_files;
mod sizes;
mod timing;
mod tune;

pub use adapter::{AdapterReport, adapters};
pub use device::GpuDevice;
pub use fused_step::whole_step_wgsl;
pub use kernels::{KERNELS, KernelSpec, MatrixShape, SEQUENCE, SEQUENCE_BINDINGS, Variant};
pub use member_text::text_for_members;
pub use pipeline::text_for_adapter;
pub use shader::{assemble, consts, generated};
pub use sizes::{Arguments, DispatchSizes, Grid};

pub use crate::host::waiting::yield_to_browser;
