//! Matrix products with their fusions: `matmul_nt`, `matmul_nn`, `matmul_tn`.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::super::Real;
use super::super::engine::CpuKernels;
use super::super::map::{keep, rate_in};
use super::{Slots, StepWork, borrow_once, disjoint};
use crate::device::cases::{Cases, Fill, HALF, ROUNDOFF, TestSpec, UP, smooth, sum_error};
use crate::expr::{LANES, Program};
use crate::model::Activation;
use crate::plan::{Dropout, Kernel, Phase, Step, StepParams};
use crate::random::key;

/// Sizes of a product: out `[m,n]`, summed over k.
#[derive(Clone, Copy, Debug)]
pub struct MatmulShape {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
}

fn view<T>(values: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    // Slots' lengths follow from their sizes, so this holds for every plan.
    ArrayView2::from_shape((rows, columns), values).expect("a slot has the length of its sizes")
}

fn view_mut<T>(values: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), values).expect("a slot has the length of its sizes")
}

/// out = act(a bᵀ + bias), a `[m,k]`, b `[n,k]`, bias `[n]`; `saved` gets act's argument
pub fn matmul_nt<T: Real>(
    (a, b, bias): (&[T], &[T], Option<&[T]>),
    act: Activation,
    (out, saved): (&mut [T], Option<&mut [T]>),
    MatmulShape { m, n, k }: MatmulShape,
) {
    general_mat_mul(
        T::one(),
        &view(a, m, k),
        &view(b, n, k).t(),
        T::zero(),
        &mut view_mut(out, m, n),
    );
    if let Some(bias) = bias {
        for row in out.chunks_exact_mut(n) {
            for (out, &bias) in row.iter_mut().zip(bias) {
                *out += bias;
            }
        }
    }
    if let Some(saved) = saved {
        saved.copy_from_slice(out);
    }
    if act != Activation::Identity {
        activate(act, out);
    }
}

/// out = a b, times act'(saved), a `[m,k]`, b `[k,n]`
pub fn matmul_nn<T: Real>(
    (a, b, saved): (&[T], &[T], Option<&[T]>),
    act_grad: Activation,
    out: &mut [T],
    MatmulShape { m, n, k }: MatmulShape,
) {
    general_mat_mul(T::one(), &view(a, m, k), &view(b, k, n), T::zero(), &mut view_mut(out, m, n));
    if let Some(saved) = saved {
        activation_backward(act_grad, out, saved);
    }
}

/// out = aᵀ b, a `[k,m]`, b `[k,n]`; `sums [m]` gets the sums of a's columns
pub fn matmul_tn<T: Real>(
    (a, b): (&[T], &[T]),
    (out, sums): (&mut [T], Option<&mut [T]>),
    MatmulShape { m, n, k }: MatmulShape,
) {
    general_mat_mul(
        T::one(),
        &view(a, k, m).t(),
        &view(b, k, n),
        T::zero(),
        &mut view_mut(out, m, n),
    );
    if let Some(sums) = sums {
        sum_rows(a, sums, m);
    }
}

/// Multiplies each element by its dropout factor.
#[inline(always)]
pub fn dropout<T: Real>(
    (out, columns): (&mut [T], usize),
    Dropout { stream, rate }: Dropout,
    step: &StepParams,
) {
    let (key, rate) = (key(step.seed, step.step, stream), rate_in(step, rate));
    let first = step.first_element(columns);
    // Elements are counted in 32 bits everywhere.
    for (at, out) in (0_u32..).zip(out) {
        *out *= keep(key, rate, first.wrapping_add(at));
    }
}

/// Each value becomes act of it.
pub fn activate<T: Real>(act: Activation, values: &mut [T]) {
    let program = act.value_program();
    let mut registers = program.registers::<T>();
    for values in values.chunks_mut(LANES) {
        values.copy_from_slice(of_one(program, &mut registers, values));
    }
}

/// Each value is multiplied by act' of what was saved.
pub fn activation_backward<T: Real>(act: Activation, values: &mut [T], saved: &[T]) {
    let program = act.slope_program();
    let mut registers = program.registers::<T>();
    for (values, saved) in values.chunks_mut(LANES).zip(saved.chunks(LANES)) {
        let slopes = of_one(program, &mut registers, saved);
        values.iter_mut().zip(slopes).for_each(|(value, &slope)| *value *= slope);
    }
}

/// Returns a function of one number, for each number of a block.
fn of_one<'a, T: Real>(program: &Program, registers: &'a mut [[T; LANES]], x: &[T]) -> &'a [T] {
    let input = |_, to: &mut [T]| to.copy_from_slice(x);
    program.run::<T, T::Functions>(registers, x.len(), input, |_, _| {});
    &registers[usize::from(program.outputs()[0])][..x.len()]
}

/// out = sums of x's columns, x `[_,n]`, out `[n]`
pub fn sum_rows<T: Real>(x: &[T], out: &mut [T], n: usize) {
    out.fill(T::zero());
    for row in x.chunks_exact(n) {
        for (out, &x) in out.iter_mut().zip(row) {
            *out += x;
        }
    }
}

/// Weights that no step of a plan changes, and that products pack once instead of in every step.
#[derive(Debug)]
pub(super) struct PackedWeights<T> {
    /// The weights' elements in the arena.
    range: Range<usize>,
    /// `None` until a step has packed the weights that are there now.
    packed: Mutex<Option<Vec<T>>>,
}

impl<T> PackedWeights<T> {
    /// Drops the packed weights if some of these elements are written.
    pub(super) fn forget(&self, written: &Range<usize>) {
        if written.start < self.range.end && self.range.start < written.end {
            *self.packed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// Returns the place for packed weights of a product whose right operand stays the same from step to step: no step of the plan writes
/// it, as in plans of predictions. Only the host does.
fn packed_weights<T: Real>(slots: &Slots<'_>, range: &Range<usize>) -> Option<PackedWeights<T>> {
    let slot = slots.step.slot("b")?;
    let buffer = slots.spec(slot).buffer;
    let phases = [Phase::Train, Phase::Eval, Phase::Measure];
    let mut steps = phases.into_iter().flat_map(|phase| slots.plan.steps(phase));
    let is_written = |step: &Step| step.writes.iter().any(|it| slots.spec(*it).buffer == buffer);
    let fixed = matches!(slots.step.kernel, Kernel::MatmulNt { .. }) && !steps.any(is_written);
    fixed.then(|| PackedWeights { range: range.clone(), packed: Mutex::new(None) })
}

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    let kernel = slots.step.kernel;
    if !kernel.is_product() {
        return None;
    }
    let mut floats = slots.floats::<5>();
    let same = borrow_once(&mut floats);
    let ((m, n), (rows, columns)) = (slots.matrix("out"), slots.matrix("a"));
    // The summed dimension is that of a's rows or columns, as the product transposes it.
    let k = if matches!(kernel, Kernel::MatmulTn { .. }) { rows } else { columns };
    let sizes = MatmulShape { m, n, k };
    let weights = if same { None } else { packed_weights::<T>(slots, &floats[1]) };
    let weights = weights.map(Arc::new);
    let kept = weights.clone();
    let work = StepWork::<T>::new(sizes, move |engine, arenas, step| {
        let [a, b, extra, out, extra_out] = disjoint(arenas.floats, &floats);
        // An operand that is both is stored as the first alone.
        let (a, b, extra) = (&*a, if same { &*a } else { &*b }, &*extra);
        match kernel {
            Kernel::MatmulNt { bias, act, save, dropout } => {
                // With dropout, the derivative may need the result before dropout, so that result is saved.
                let result = dropout.is_some() && act.gradient_from_output();
                let saved = (save && !result).then_some(&mut *extra_out);
                let bias = bias.then_some(extra);
                match weights.as_ref().filter(|_| engine.packs_nt(sizes)) {
                    Some(weights) => {
                        let mut packed =
                            weights.packed.lock().unwrap_or_else(PoisonError::into_inner);
                        let packed = packed.get_or_insert_with(|| engine.pack_nt(b, sizes));
                        engine.matmul_nt_packed((a, packed, bias), act, (out, saved), sizes);
                    }
                    None => engine.matmul_nt((a, b, bias), act, (out, saved), sizes),
                }
                // Copied before dropout overwrites it.
                if save && result {
                    extra_out.copy_from_slice(out);
                }
                engine.dropout((out, sizes.n), dropout, step);
            }
            Kernel::MatmulNn { act_grad, dropout } => {
                let saved = (act_grad != Activation::Identity).then_some(extra);
                // The derivative and the mask are both factors of an element, so their order does not matter.
                engine.matmul_nn((a, b, saved), act_grad, out, sizes);
                engine.dropout((out, sizes.n), dropout, step);
            }
            Kernel::MatmulTn { bias_grad } => {
                engine.matmul_tn((a, b), (out, bias_grad.then_some(extra_out)), sizes);
            }
            _ => unreachable!("only products come here"),
        }
    });
    Some(StepWork { weights: kept, ..work })
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    vec![Cases::of(kernels(), spec)]
}

/// Returns the kernels of this kind.
fn kernels() -> Vec<Kernel> {
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
fn spec(kernel: Kernel) -> TestSpec {
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
