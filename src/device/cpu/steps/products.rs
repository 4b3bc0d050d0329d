//! Matrix products with their fusions: `matmul_nt`, `matmul_nn`, `matmul_tn`.

use std::ops::Range;

use super::super::Real;
use super::super::engine::CpuKernels;
use super::super::kernels::MatmulShape;
use super::{Slots, StepWork, borrow_once, disjoint};
use crate::model::Activation;
use crate::plan::{Kernel, StepParams};

#[derive(Debug)]
pub(super) struct ProductStep {
    kernel: Kernel,
    sizes: MatmulShape,
    /// Both operands, the bias or the saved value, the result, and the value to save or the sums.
    floats: [Range<usize>; 5],
    /// True if both operands are one matrix, which is then stored as the first alone.
    same: bool,
}

pub(super) fn product(slots: &Slots<'_>) -> StepWork {
    let mut floats = slots.floats(["a", "b", "extra", "out", "extra_out"]);
    let same = borrow_once(&mut floats);
    let ((m, n), (rows, columns)) = (slots.matrix("out"), slots.matrix("a"));
    let kernel = slots.step.kernel;
    // The summed dimension is that of a's rows or columns, as the product transposes it.
    let k = if matches!(kernel, Kernel::MatmulTn { .. }) { rows } else { columns };
    StepWork::Product(ProductStep { kernel, sizes: MatmulShape { m, n, k }, floats, same })
}

impl ProductStep {
    pub(super) fn sizes(&self) -> MatmulShape {
        self.sizes
    }

    pub(super) fn run<T: Real>(&self, engine: &T::CpuKernels, floats: &mut [T], step: &StepParams) {
        let [a, b, extra, out, extra_out] = disjoint(floats, &self.floats);
        let (a, b, extra) = (&*a, if self.same { &*a } else { &*b }, &*extra);
        match self.kernel {
            Kernel::MatmulNt { bias, act, save, dropout } => {
                // With dropout, the derivative may need the result before dropout, so that result is saved.
                let result = dropout.is_some() && act.gradient_from_output();
                let saved = (save && !result).then_some(&mut *extra_out);
                engine.matmul_nt((a, b, bias.then_some(extra)), act, (out, saved), self.sizes);
                // Copied before dropout overwrites it.
                if save && result {
                    extra_out.copy_from_slice(out);
                }
                engine.dropout(out, dropout, step);
            }
            Kernel::MatmulNn { act_grad, dropout } => {
                let saved = (act_grad != Activation::Identity).then_some(extra);
                // The derivative and the mask are both factors of an element, so their order does not matter.
                engine.matmul_nn((a, b, saved), act_grad, out, self.sizes);
                engine.dropout(out, dropout, step);
            }
            Kernel::MatmulTn { bias_grad } => {
                engine.matmul_tn((a, b), (out, bias_grad.then_some(extra_out)), self.sizes);
            }
            _ => unreachable!("only products come here"),
        }
    }
}
