//! Helpers of the integration tests: comparisons that can fail, seeds, sizes, stored PyTorch results, and a
//! device driven by hand. `tests/helpers.rs` tests the comparisons themselves.

#![allow(dead_code, reason = "each test binary uses some of the helpers only")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says so")]
#![allow(unreachable_pub, reason = "each test binary compiles this module for itself")]

pub mod drive;
pub mod oracle;

use wgrad::Seed;
use wgrad::graph::{Optimizer, OptimizerSchedule, UpdateContext};
use wgrad::plan::SCALARS;
use wgrad::random::Purpose;

/// Seeds of tests that try several.
pub const SEEDS: [Seed; 3] = [Seed(1), Seed(2), Seed(3)];

/// How far a number may lie from its reference: `abs + rel * |reference|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// For references near 0.
    pub abs: f64,
    /// Share of the reference.
    pub rel: f64,
}

impl Tolerance {
    /// The same share of each reference and of the largest of them, for sums whose small results are
    /// differences of large terms.
    pub fn scaled<W: Copy + Into<f64>>(rel: f64, want: &[W]) -> Self {
        let largest = want.iter().map(|&w| w.into().abs()).fold(0.0, f64::max);
        Self { abs: rel * largest, rel }
    }
}

/// Panics unless each number lies within the tolerance of its reference. NaN and infinity fail, in either.
pub fn assert_close<G, W>(what: &str, got: &[G], want: &[W], tolerance: Tolerance)
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    assert_eq!(got.len(), want.len(), "{what}: lengths differ");
    let Tolerance { abs, rel } = tolerance;
    assert!(abs.is_finite() && rel.is_finite(), "{what}: the tolerance is {tolerance:?}");
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let (g, w): (f64, f64) = (g.into(), w.into());
        // Otherwise the limit were infinite or NaN.
        assert!(w.is_finite(), "{what}[{i}]: the reference itself is {w}");
        let limit = abs + rel * w.abs();
        assert!((g - w).abs() <= limit, "{what}[{i}]: got {g:?}, want {w:?}, limit {limit:e}");
    }
}

/// Returns `len` standard normal numbers.
pub fn normal(len: usize, seed: Seed) -> Vec<f64> {
    let mut random = seed.stream(Purpose::Synthetic);
    (0..len).map(|_| random.normal()).collect()
}

/// The same as floats of single precision.
pub fn normal_f32(len: usize, seed: Seed) -> Vec<f32> {
    normal(len, seed).into_iter().map(|value| value as f32).collect()
}

/// Returns the scalars of a run's first update.
pub fn first_scalars(optimizer: &Optimizer, lr: f64) -> [f64; SCALARS] {
    let moment = UpdateContext { lr, decay: 1.0, epoch: 0, last: false };
    OptimizerSchedule::new(optimizer.clone(), None).next(moment)
}

/// Returns `len` classes below `classes`.
pub fn labels(len: usize, classes: u32, seed: Seed) -> Vec<u32> {
    let mut random = seed.stream(Purpose::Synthetic);
    (0..len).map(|_| random.below(classes)).collect()
}

/// Which adapter the GPU tests use: a real one, else a software adapter. Without one, tests pass over with a
/// loud word, or fail if `REQUIRE_GPU` is set.
#[cfg(feature = "gpu")]
pub fn gpu_kind() -> Option<wgrad::device::DeviceKind> {
    use wgrad::device::DeviceKind;
    use wgrad::device::gpu::GpuDevice;
    let mut reasons = Vec::new();
    for kind in [DeviceKind::Gpu, DeviceKind::Software] {
        match GpuDevice::open(&kind) {
            Ok(_) => return Some(kind),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    assert!(std::env::var_os("REQUIRE_GPU").is_none(), "no adapter: {reasons:?}");
    eprintln!("SKIPPED, no adapter: {reasons:?}");
    None
}

/// The CPU, and the adapter if there is one.
pub fn kinds() -> Vec<wgrad::device::DeviceKind> {
    let kinds = vec![wgrad::device::DeviceKind::Cpu];
    #[cfg(feature = "gpu")]
    let kinds = kinds.into_iter().chain(gpu_kind()).collect();
    kinds
}

/// An open GPU or software adapter, as [`gpu_kind`] finds it.
#[cfg(feature = "gpu")]
pub fn gpu() -> Option<wgrad::device::gpu::GpuDevice> {
    let kind = gpu_kind()?;
    Some(wgrad::device::gpu::GpuDevice::open(&kind).expect("it was opened a moment ago").0)
}

/// The CPU, which only rounds to half precision, and the adapter if it has it.
pub fn half_kinds() -> Vec<wgrad::device::DeviceKind> {
    use std::io::Write as _;
    let mut kinds = vec![wgrad::device::DeviceKind::Cpu];
    #[cfg(feature = "gpu")]
    if let Some(kind) = gpu_kind() {
        use wgrad::device::Device as _;
        let (device, _) = wgrad::device::gpu::GpuDevice::open(&kind).unwrap();
        if device.has_half() {
            kinds.push(kind);
        } else {
            // Past the harness, which would keep it to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED on {}: no half precision", device.info());
        }
    }
    kinds
}
