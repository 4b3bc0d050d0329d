//! Cases of matrix products, with their fusions.

use super::super::smooth;
use super::{Fill, HALF, ROUNDOFF, TestSpec, UP, sum_error};
use crate::model::Activation;
use crate::plan::{Dropout, Kernel};

/// Returns the kernels of this kind.
pub(super) fn kernels() -> Vec<Kernel> {
    let act = Activation::Identity;
    let mut kernels = vec![
        Kernel::MatmulNt { bias: false, act, save: false, dropout: None },
        Kernel::MatmulTn { bias_grad: false },
        Kernel::MatmulTn { bias_grad: true },
    ];
    for act in Activation::ALL {
        let save = !act.gradient_from_output();
        // Formulas that the CPU has loops for, and one of the others.
        if (act as usize) <= Activation::Silu as usize || act == Activation::Mish {
            kernels.push(Kernel::MatmulNt { bias: true, act, save, dropout: None });
            kernels.push(Kernel::MatmulNn { act_grad: act, dropout: None });
        }
    }
    // With dropout, a relu's result is saved beside the dropped one, and a gelu's argument as without dropout.
    for act in [Activation::Relu, Activation::Gelu] {
        let dropout = Some(Dropout { stream: 2, rate: 0.3 });
        kernels.push(Kernel::MatmulNt { bias: true, act, save: true, dropout });
        kernels.push(Kernel::MatmulNn { act_grad: act, dropout });
    }
    kernels
}

/// Returns how a product is verified.
pub(super) fn spec(kernel: Kernel) -> TestSpec {
    let spec = TestSpec::new(
        move |name, [m, n, k]| {
            let transposed = matches!(kernel, Kernel::MatmulTn { .. });
            let forward = matches!(kernel, Kernel::MatmulNt { .. });
            Fill::unit(match name {
                "a" if transposed => vec![k, m],
                "a" => vec![m, k],
                "b" if forward => vec![n, k],
                "b" => vec![k, n],
                // The bias of a forward product; a backward one has the saved values.
                "extra" if forward => vec![n],
                "extra_out" if transposed => vec![m],
                _ => vec![m, n],
            })
        },
        move |[_, _, k]| match kernel {
            Kernel::MatmulNt { act, .. } | Kernel::MatmulNn { act_grad: act, .. } => {
                let (abs, rel) = smooth(act);
                (2.0 * sum_error(k + 1) + 4.0 * ROUNDOFF + abs, rel)
            }
            _ => (2.0 * sum_error(k + 1), 0.0),
        },
    );
    // Sizes around each tile's edges: one less, equal, one more.
    let many = [
        [1, 1, 1],
        [1, 17, 3],
        [7, 1, 5],
        [8, 16, 8],
        [9, 15, 7],
        [16, 16, 17],
        [63, 65, 64],
        [67, 13, 131],
        [130, 129, 19],
        // More than 65,535 workgroups for the small tiles.
        [2, 16 * 65_535 + 17, 1],
    ];
    let few = [[1, 1, 1], [17, 33, 9], [65, 31, 66]];
    let spec = spec.cpu_sizes([
        [5, 33, 15],
        [6, 32, 16],
        [13, 31, 257],
        // Narrow and tall, wide and flat: products that are computed transposed.
        [3, 70, 12],
        [64, 1, 32],
        [130, 10, 300],
        [10, 130, 129],
        // Shared among threads, cut by columns and by rows; more columns than are packed at once.
        [101, 97, 131],
        [260, 150, 30],
        [20, 400, 600],
    ]);
    // Variants in half precision are those that plans contain: the last layer's result and the gradients of weights are in
    // single precision.
    match kernel {
        Kernel::MatmulNt { bias: false, .. } => spec.sizes(many).half([UP]),
        // Hidden layers, and the last one.
        Kernel::MatmulNt { act: Activation::Identity, .. } => spec.sizes(few).half([HALF, UP]),
        Kernel::MatmulTn { bias_grad: true } => spec.sizes(many).half([UP]),
        Kernel::MatmulTn { .. } => spec.sizes(few).half([UP]),
        _ => spec.sizes(few).half([HALF]),
    }
}
