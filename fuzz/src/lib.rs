//! Code that all fuzz targets share. Each file of `src/bin/` is a program that libFuzzer runs over and over; see `scripts/fuzz.sh`.
//!
//! `targets` and `memory` are compiled into `tests/hostile.rs` too, which replays the kept inputs without libFuzzer.

pub mod memory;
pub mod targets;

pub use libfuzzer_sys;

#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

/// A program that gives inputs to a function.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $run(data));
    };
}
