//! The vector instructions of the processor, and the one function through which code compiled for them is called.
//!
//! In: [`Work`], written once in safe Rust. Out: its result, computed by the widest vectors available.
//! Absent on purpose: intrinsics; the compiler vectorises.

/// An instruction set that this processor has. The only way to one is through those [available].
///
/// [available]: SimdLevel::available
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimdLevel(Set);

/// Instruction sets that work is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// Instructions that every processor of the architecture has.
    Baseline,
    /// 256 bits and fused multiply-add: x86 since about 2013.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A computation, compiled once for each instruction set.
///
/// `run` and what it calls in its inner loops must be `#[inline(always)]`, or the compiler may leave them outside
/// of the function that has the wide vectors.
pub(super) trait Work {
    /// Result.
    type Out;

    /// Runs the computation. `FUSED`: whether [`fused`] is one instruction. `LANES`: columns of a product's tile, two vectors.
    fn run<const FUSED: bool, const LANES: usize>(self) -> Self::Out;
}

/// Returns a · b + c: rounded once if the processor does that in one instruction, else twice.
#[inline(always)]
pub(super) fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Two vectors of 4 floats; four of them if there are 32 registers.
const BASELINE_LANES: usize = if BASELINE_FUSED { 16 } else { 8 };
const BASELINE_FUSED: bool = cfg!(target_arch = "aarch64");

impl SimdLevel {
    /// Returns the levels that this processor has, the widest last.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let mut found = vec![Self(Set::Baseline)];
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self(Set::Avx2));
                // The set needs AVX2 as well: the compiled function uses both.
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                    found.push(Self(Set::Avx512));
                }
            }
            found
        }
        #[cfg(not(target_arch = "x86_64"))]
        vec![Self(Set::Baseline)]
    }

    /// Returns the widest level that this processor has.
    pub fn widest() -> Self {
        Self::available().pop().unwrap_or(Self(Set::Baseline))
    }

    /// Returns the level's name, as records and `wgrad verify` show it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline if BASELINE_FUSED => "neon",
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// Returns the level for a result of `columns` columns: narrow ones would leave most of the widest vectors empty.
    pub(super) fn for_columns(self, columns: usize) -> Self {
        let narrower = match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => Self(Set::Avx2),
            _ => self,
        };
        if columns <= narrower.lanes() { narrower } else { self }
    }

    /// Returns the columns of a product's tile.
    pub(super) fn lanes(self) -> usize {
        match self.0 {
            Set::Baseline => BASELINE_LANES,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => 16,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => 32,
        }
    }

    /// Runs a computation with these instructions.
    pub(super) fn run<W: Work>(self, work: W) -> W::Out {
        let run: unsafe fn(W) -> W::Out = match self.0 {
            Set::Baseline => |work| work.run::<BASELINE_FUSED, BASELINE_LANES>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::<W>,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::<W>,
        };
        #[expect(
            unsafe_code,
            reason = "a function compiled for wider vectors can be called no other way"
        )]
        // SAFETY: sets other than the baseline come from `available` alone, which asked the processor, or are
        // part of one that does, as AVX2 is of AVX-512 there.
        unsafe {
            run(work)
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<W: Work>(work: W) -> W::Out {
    work.run::<true, 16>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512<W: Work>(work: W) -> W::Out {
    work.run::<true, 32>()
}
