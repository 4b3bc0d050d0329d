//! Sizes that several files of the GPU device agree on.

/// Bytes between two rows of a table of uniforms: the alignment that WebGPU asks for.
pub(super) const UNIFORM_STRIDE: u64 = 256;
/// Bytes of a step's row that a kernel sees.
pub(super) const STEP_BYTES: u64 = size_of::<super::encode::MemberRow>() as u64;
/// Steps of one dispatch of a sequence at most: their rows are a uniform of 16 KiB, which every adapter allows.
pub(super) const MAX_STEPS: u32 = 64;
