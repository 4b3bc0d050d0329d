//! The kernels of plans in one precision.
//!
//! In: a step's slots and sizes. Out: the results of the kernel of that name. f64 uses the plain kernels throughout, so
//! that the reference shares no product, loss or update with the kernels that it judges.

use super::chain::{ChainArgs, ChainResults};
use super::kernels::{self, MatmulShape};
use super::loss::{self, LossInputs, LossTargets};
use super::map::{ElementwiseArgs, SumOver};
use super::update::{SquareSumArgs, UpdateArgs, square_sums};
use super::{Compiled, Real};
use crate::expr::Program;
use crate::graph::ClassLoss;
use crate::model::Activation;
use crate::plan::{Dropout, Kernel, LossVariant, StepParams};

/// The kernels of plans: the plain ones, unless an implementation has its own.
pub trait CpuKernels<T: Real>: std::fmt::Debug + Send + Sync + Sized {
    /// Makes the kernels without memory.
    fn new() -> Self;

    /// Makes the same kernels for the thread that calls alone.
    fn of_one_thread() -> Self {
        Self::new()
    }

    /// Returns the number of threads that the kernels use.
    fn threads(&self) -> usize;

    /// Returns the name of the instructions, for [`crate::device::DeviceInfo`].
    fn name(&self) -> &'static str;

    /// Describes the products, for the record of a run: the order of additions depends on them.
    fn products(&self) -> String;

    /// Allocates the memory that steps of these sizes need; for a kernel that is no product, m · n · k is its cost.
    fn prepare(&mut self, _steps: &[(Kernel, MatmulShape)]) {}

    /// Runs steps on the thread where they are fastest.
    fn enter<R: Send>(&self, steps: impl FnOnce() -> R + Send) -> R {
        steps()
    }

    /// See [`kernels::matmul_nt`].
    fn matmul_nt(
        &self,
        factors: (&[T], &[T], Option<&[T]>),
        act: Activation,
        outs: (&mut [T], Option<&mut [T]>),
        product: MatmulShape,
    ) {
        kernels::matmul_nt(factors, act, outs, product);
    }

    /// Returns true if products of this size, whose right operand stays as it is, are faster when it is packed once by
    /// [`Self::pack_nt`].
    fn packs_nt(&self, _product: MatmulShape) -> bool {
        false
    }

    /// Packs the right operand of [`Self::matmul_nt`] for [`Self::matmul_nt_packed`].
    fn pack_nt(&self, b: &[T], _product: MatmulShape) -> Vec<T> {
        b.to_vec()
    }

    /// Computes the product of [`Self::matmul_nt`] with a right operand that [`Self::pack_nt`] has packed: the same bits.
    fn matmul_nt_packed(
        &self,
        factors: (&[T], &[T], Option<&[T]>),
        act: Activation,
        outs: (&mut [T], Option<&mut [T]>),
        product: MatmulShape,
    ) {
        self.matmul_nt(factors, act, outs, product);
    }

    /// See [`kernels::matmul_nn`].
    fn matmul_nn(
        &self,
        factors: (&[T], &[T], Option<&[T]>),
        act_grad: Activation,
        out: &mut [T],
        product: MatmulShape,
    ) {
        kernels::matmul_nn(factors, act_grad, out, product);
    }

    /// See [`kernels::matmul_tn`].
    fn matmul_tn(
        &self,
        factors: (&[T], &[T]),
        outs: (&mut [T], Option<&mut [T]>),
        product: MatmulShape,
    ) {
        kernels::matmul_tn(factors, outs, product);
    }

    /// See [`kernels::dropout`].
    fn dropout(&self, out: (&mut [T], usize), dropout: Option<Dropout>, step: &StepParams) {
        if let Some(dropout) = dropout {
            kernels::dropout(out, dropout, step);
        }
    }

    /// See [`ElementwiseArgs::run`].
    fn map(&self, mapped: ElementwiseArgs<'_, T>, over: SumOver, out: &mut [T]) {
        mapped.run::<T::Functions>(over, out);
    }

    /// See [`ChainArgs::run`].
    fn chain(&self, chain: ChainArgs<'_, T>, outs: ChainResults<'_, T>) {
        chain.run(self, outs);
    }

    /// See [`UpdateArgs::run`].
    fn update(&self, updated: UpdateArgs<'_, T>) {
        updated.run::<T::Functions>();
    }

    /// See [`kernels::loss_mse`].
    fn loss_mse(
        &self,
        prediction: &[T],
        target: &[T],
        outs: (&mut [T], &mut [T]),
        n: usize,
        step: &StepParams,
    ) {
        kernels::loss_mse(prediction, target, outs, n, step);
    }

    /// See [`kernels::loss_cross_entropy`].
    fn loss_cross_entropy(
        &self,
        logits: &[T],
        labels: &[u32],
        outs: (&mut [T], &mut [T]),
        n: usize,
        step: &StepParams,
    ) {
        kernels::loss_cross_entropy(logits, labels, outs, n, step);
    }

    /// See [`loss::loss_map`]; the compiled program is the same program, prepared for wide vectors.
    fn loss_map(
        &self,
        (form, program, _): (&LossVariant, &Program, &Compiled),
        from: (&[T], &[T]),
        extra: LossInputs<'_, T>,
        outs: (&mut [T], &mut [T]),
        step: &StepParams,
    ) {
        loss::loss_map((form, program), from, extra, outs, step);
    }

    /// See [`loss::loss_classes`].
    fn loss_classes(
        &self,
        of: ClassLoss,
        from: (&[T], LossTargets<'_, T>),
        extra: LossInputs<'_, T>,
        outs: (&mut [T], &mut [T]),
        step: &StepParams,
    ) {
        loss::loss_classes(of, from, extra, outs, step);
    }

    /// See [`square_sums`].
    fn square_sums(&self, of: SquareSumArgs<'_, T>, sums: &mut [T], step: &StepParams) {
        square_sums(of, sums, step);
    }
}

/// The plain kernels: one thread, ndarray's products.
#[derive(Debug)]
pub struct ReferenceKernels;

impl<T: Real> CpuKernels<T> for ReferenceKernels {
    fn new() -> Self {
        Self
    }

    fn threads(&self) -> usize {
        1
    }

    fn name(&self) -> &'static str {
        "plain"
    }

    fn products(&self) -> String {
        "ndarray".to_string()
    }
}
