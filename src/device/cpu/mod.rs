//! The CPU device: interprets plans, in f32 for use and in f64 as the oracle of all tests.
//!
//! In: a plan and values. Out: the same numbers as any other device, within rounding.
//! Absent on purpose: wgpu.

pub mod chain;
mod device;
mod engine;
pub mod kernels;
pub mod loss;
pub mod map;
mod real;
mod simd;
pub mod update;

pub use device::CpuDevice;
pub use real::Real;
pub use simd::{Compiled, CompiledMap, CompiledUpdate, F32Math, SimdLevel};
