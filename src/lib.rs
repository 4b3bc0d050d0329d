//! Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.
//!
//! Modules in reading order; each may use those before it, never those after it:
//! [`error`], [`shape`], [`random`], [`data`], [`model`], [`graph`], [`plan`], [`device`], [`train`],
//! `export`, `report`, `cli`.

pub mod error;
pub mod shape;
// Kept in the order of the road, not of the alphabet.
pub mod random;

pub mod data;

pub mod model;

pub mod graph;

pub mod plan;

pub mod device;

pub mod train;

pub use error::{Error, Result};
pub use random::Seed;
