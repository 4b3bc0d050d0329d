//! The two float types that the reference kernels are generic over.

use std::fmt::Debug;
use std::ops::{AddAssign, DivAssign, MulAssign, Neg, SubAssign};

use ndarray::LinalgScalar;

use super::engine::{CpuKernels, ReferenceKernels};
use super::simd::{F32Math, SimdKernels};
use crate::expr::{F64Math, Functions, Numeric};

/// f32 or f64, with the functions that kernels need.
pub trait Real:
    LinalgScalar
    + Numeric
    + Default
    + PartialOrd
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Debug
    + Send
    + Sync
{
    /// Kernels in this precision.
    type CpuKernels: CpuKernels<Self>;
    /// The primitive functions of expressions.
    type Functions: Functions<Self>;

    /// From a host number.
    fn of(value: f64) -> Self;
    /// From a value of a slot.
    fn of_f32(value: f32) -> Self;
    /// To a value of a slot.
    fn to_f32(self) -> f32;
    /// To a host number.
    fn to_f64(self) -> f64;
    /// eˣ
    fn exp(self) -> Self;
    /// ln x
    fn ln(self) -> Self;
    /// √x
    fn sqrt(self) -> Self;
    /// tanh x
    fn tanh(self) -> Self;
    /// erf x
    fn erf(self) -> Self;
}

macro_rules! real {
    ($float:ty, $engine:ty, $functions:ty, $erf:path) => {
        impl Real for $float {
            type CpuKernels = $engine;
            type Functions = $functions;

            fn of(value: f64) -> Self {
                value as $float
            }
            fn of_f32(value: f32) -> Self {
                <$float>::from(value)
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn to_f64(self) -> f64 {
                self.into()
            }
            fn exp(self) -> Self {
                <$float>::exp(self)
            }
            fn ln(self) -> Self {
                <$float>::ln(self)
            }
            fn sqrt(self) -> Self {
                <$float>::sqrt(self)
            }
            fn tanh(self) -> Self {
                <$float>::tanh(self)
            }
            fn erf(self) -> Self {
                $erf(self)
            }
        }
    };
}

real!(f32, SimdKernels, F32Math<false>, libm::erff);
real!(f64, ReferenceKernels, F64Math, libm::erf);
