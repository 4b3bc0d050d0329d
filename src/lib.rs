//! Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.

pub mod data;
pub mod error;
pub mod random;

pub use error::{Error, Result};
pub use random::Seed;
