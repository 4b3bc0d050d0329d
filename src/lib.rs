//! Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.

pub mod error;
pub mod shape;
pub mod random;
pub mod data;
pub mod model;
pub mod graph;
pub mod plan;
pub mod device;

pub use error::{Error, Result};
pub use random::Seed;
