//! The kernels in f32 for use: wide vectors, threads, matrix products of our own.
//!
//! In: the arguments of `cpu::kernels`. Out: the same numbers, within rounding.
//! Absent on purpose: f64, in which the plain kernels are the reference.

mod activation;
mod approximations;
mod block_eval;
mod chain;
mod compile;
mod elementwise;
mod functions;
mod gemm;
mod instructions;
mod interpreter;
mod losses;
mod map;
mod microkernel;
mod moves;
mod pool;
mod reductions;
mod task;
mod update;

use ndarray::{ArrayView2, ArrayViewMut2};

pub use compile::Compiled;
pub use functions::F32Math;
pub use instructions::SimdLevel;
pub use map::CompiledMap;
pub use update::CompiledUpdate;

use super::chain::{ChainArgs, ChainResults};
use super::engine::CpuKernels;
use super::kernels::{self, MatmulShape};
use super::loss::{self, LossInputs, LossTargets};
use super::map::{ElementwiseArgs, SumOver, rate_in};
use super::update::{INVERSE, SquareSumArgs, UpdateArgs};
use crate::expr::Program;
use crate::graph::{ClassLoss, SHARE};
use crate::model::Activation;
use crate::plan::{BLOCK, Dropout, FACTORS, Kernel, LossVariant, MOST_OPERANDS, StepParams};
use crate::random::key;

use elementwise::in_parts;
use interpreter::AddSlices;
use losses::{LossMap, in_rows};
use map::{KnownMap, MapPart};
use microkernel::{Packing, ROWS, TERMS};
use moves::UpdateTask;
use pool::{Pool, both};
use task::{Epilogue, GemmTask, MatmulOperand};

/// Rows of a product up to which packing its right operand takes a good part of the time.
const FEW_ROWS: usize = 64;
/// Elements of a right operand from which on that pays.
const LARGE: usize = 1 << 10;
/// Elements of a right operand up to which it is kept packed for more rows, too, where packing takes a sixteenth of the time: 4 MiB.
const KEPT: usize = 1 << 20;

/// Cost of a class in a loss, in the unit of a formula's cost: mostly its exponential.
const CLASS: usize = 24;

/// The kernels in f32.
#[derive(Debug)]
pub struct SimdKernels {
    instructions: SimdLevel,
    pool: Pool,
    /// True if some step of the plan is shared among threads.
    shared: bool,
}

impl SimdKernels {
    /// Makes kernels with another instruction set, for checks.
    pub(super) fn using(instructions: SimdLevel) -> Self {
        Self { instructions, ..Self::new() }
    }

    /// Returns whether the transposed result is computed, from bᵀ's rows and a's columns, and stored transposed: if that
    /// packs and pads less. The numbers are the same.
    fn computes_transposed(&self, kernel: Kernel, MatmulShape { m, n, k }: MatmulShape) -> bool {
        // Multiplications in the time of packing an element: transposed for nt, in whole vectors for tn.
        let weight = match kernel {
            Kernel::MatmulNt { .. } => 16,
            Kernel::MatmulTn { .. } => 4,
            _ => return false,
        };
        let cost = |rows: usize, columns: usize| {
            let lanes = self.instructions.for_columns(columns).lanes();
            (rows + weight) * columns.next_multiple_of(lanes) * k
        };
        cost(n, m) + 16 * m * n < cost(m, n)
    }

    /// Computes a formula by the loop that is written out for it.
    fn run_known(&self, known: KnownMap, operands: [&[f32]; MOST_OPERANDS], out: &mut [f32]) {
        let [a, b, ..] = operands;
        match known {
            KnownMap::Activation(act) => {
                in_parts(&self.pool, (elementwise::cost(act), 1), out, &|first, out| {
                    out.copy_from_slice(&a[first..][..out.len()]);
                    elementwise::activate(act, out, self.instructions);
                });
            }
            KnownMap::ActivationGradient(act) => {
                // The gradient is multiplied in place, as after a product.
                out.copy_from_slice(a);
                self.activation_backward(act, b, out);
            }
            KnownMap::Sum => in_parts(&self.pool, (3, 1), out, &|first, out| {
                let (a, b) = (&a[first..][..out.len()], &b[first..][..out.len()]);
                self.instructions.run(AddSlices { a, b, out });
            }),
            KnownMap::Bias => in_parts(&self.pool, (3, b.len()), out, &|first, out| {
                let a = &a[first..][..out.len()];
                for (out, a) in out.chunks_exact_mut(b.len()).zip(a.chunks_exact(b.len())) {
                    self.instructions.run(AddSlices { a, b, out });
                }
            }),
            KnownMap::ColumnSums => self.sum_rows(a, out),
        }
    }

    /// out = sums of x's columns
    fn sum_rows(&self, x: &[f32], out: &mut [f32]) {
        let n = out.len();
        in_parts(&self.pool, (x.len() / n.max(1), reductions::SUMS), out, &|first, out| {
            self.instructions.run(reductions::SumRows { x, out, n, first });
        });
    }

    /// Multiplies each element by act' of the saved value.
    fn activation_backward(&self, act: Activation, saved: &[f32], out: &mut [f32]) {
        in_parts(&self.pool, (elementwise::cost(act), 1), out, &|first, out| {
            let saved = &saved[first..][..out.len()];
            elementwise::activation_backward(act, out, saved, self.instructions);
        });
    }

    /// Returns whether a product `nt` computes the transposed result.
    fn exchanges_operands(&self, product: MatmulShape) -> bool {
        let kernel =
            Kernel::MatmulNt { bias: false, act: Activation::Identity, save: false, dropout: None };
        self.computes_transposed(kernel, product)
    }

    /// Applies an activation that the epilogue of a product does not know.
    fn activate_later(&self, act: Option<Activation>, out: &mut [f32]) {
        let Some(act) = act else { return };
        in_parts(&self.pool, (elementwise::cost(act), 1), out, &|_, out| {
            elementwise::activate(act, out, self.instructions);
        });
    }

    /// Computes a product with the instruction set that suits its columns.
    fn multiply(&self, part: GemmTask<'_>) {
        gemm::multiply(self.instructions.for_columns(part.out.dim().1), &self.pool, part);
    }

    /// Computes a product of a matrix with its own transpose.
    fn multiply_symmetric(
        &self,
        (left, right): (MatmulOperand<'_>, MatmulOperand<'_>),
        out: &mut [f32],
        k: usize,
    ) {
        let size = out.len().isqrt();
        let out = view_mut(out, size, size);
        let part = GemmTask { left, right, k, at: (0, 0), out, finish: Epilogue::Store };
        gemm::multiply_symmetric(self.instructions.for_columns(size), &self.pool, part);
    }
}

/// Returns the activation that the epilogue of a product applies, and the one for a second pass: the epilogue does not know activations
/// with an expression only.
fn activations_of(act: Activation) -> (Activation, Option<Activation>) {
    match activation::is_written_out(act) {
        true => (act, None),
        false => (Activation::Identity, Some(act)),
    }
}

/// Returns whether both operands are the same memory, so that their product is symmetric.
fn is_same(a: &[f32], b: &[f32]) -> bool {
    std::ptr::eq(a, b)
}

fn view<T>(values: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    // Slots' lengths follow from their sizes, so this holds for every plan.
    ArrayView2::from_shape((rows, columns), values).expect("a slot has the length of its sizes")
}

fn view_mut<T>(values: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), values).expect("a slot has the length of its sizes")
}

impl CpuKernels<f32> for SimdKernels {
    fn new() -> Self {
        Self { instructions: SimdLevel::widest(), pool: Pool::new(), shared: false }
    }

    fn of_one_thread() -> Self {
        Self { pool: Pool::of_one_thread(), ..Self::new() }
    }

    fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn name(&self) -> &'static str {
        self.instructions.name()
    }

    fn products(&self) -> String {
        let (name, lanes) = (self.instructions.name(), self.instructions.lanes());
        format!("{name}, tiles of {ROWS}x{lanes}, sums of {TERMS} terms")
    }

    // Reserved here, since a step must not allocate.
    fn prepare(&mut self, steps: &[(Kernel, MatmulShape)]) {
        let products = steps.iter().filter(|(kernel, _)| kernel.is_product());
        let scratch = products.map(|&(kernel, product)| {
            let columns =
                if self.computes_transposed(kernel, product) { product.m } else { product.n };
            gemm::scratch(columns, product.k, self.instructions.for_columns(columns).lanes())
        });
        self.pool.reserve(scratch.max().unwrap_or(0));
        // A plan of small steps never enters the pool, whose entry alone would cost more than it saves.
        self.shared = steps.iter().any(|&(kernel, MatmulShape { m, n, k })| {
            if kernel.is_product() { gemm::shared(m * n * k) } else { map::shared(m * n * k) }
        });
    }

    fn enter<R: Send>(&self, steps: impl FnOnce() -> R + Send) -> R {
        if self.shared { self.pool.enter(steps) } else { steps() }
    }

    fn matmul_nt(
        &self,
        (a, b, bias): (&[f32], &[f32], Option<&[f32]>),
        act: Activation,
        (out, saved): (&mut [f32], Option<&mut [f32]>),
        product: MatmulShape,
    ) {
        let MatmulShape { m, n, k } = product;
        let plain = bias.is_none() && act == Activation::Identity && saved.is_none();
        if plain && is_same(a, b) {
            let left = MatmulOperand::Rows { values: a, stride: k };
            let right = MatmulOperand::Columns { values: a, stride: k };
            return self.multiply_symmetric((left, right), out, k);
        }
        let along_rows = self.exchanges_operands(product);
        let (mut result, mut saved) =
            (view_mut(&mut *out, m, n), saved.map(|saved| view_mut(saved, m, n)));
        let (mut left, mut right) = (a, b);
        // The axes of the results are exchanged instead of the numbers, so the epilogue writes to the right places.
        if along_rows {
            (left, right) = (b, a);
            (result, saved) = (result.reversed_axes(), saved.map(ArrayViewMut2::reversed_axes));
        }
        let left = MatmulOperand::Rows { values: left, stride: k };
        let right = MatmulOperand::Columns { values: right, stride: k };
        let (first, later) = activations_of(act);
        let finish = Epilogue::Activate { bias, along_rows, act: first, saved };
        self.multiply(GemmTask { left, right, k, at: (0, 0), out: result, finish });
        self.activate_later(later, out);
    }

    fn packs_nt(&self, product: MatmulShape) -> bool {
        let MatmulShape { m, n, k } = product;
        let pays = n * k >= LARGE && (m <= FEW_ROWS || n * k <= KEPT);
        // Exchanged operands need no packing of the weights, but compute whole vectors of rows, of which there are fewer here.
        pays && (m <= ROWS || !self.exchanges_operands(product))
    }

    fn pack_nt(&self, b: &[f32], MatmulShape { n, k, .. }: MatmulShape) -> Vec<f32> {
        let right = MatmulOperand::Columns { values: b, stride: k };
        self.instructions.for_columns(n).run(Packing { right, columns: n, k })
    }

    fn matmul_nt_packed(
        &self,
        (a, packed, bias): (&[f32], &[f32], Option<&[f32]>),
        act: Activation,
        (out, saved): (&mut [f32], Option<&mut [f32]>),
        MatmulShape { m, n, k }: MatmulShape,
    ) {
        let left = MatmulOperand::Rows { values: a, stride: k };
        let right = MatmulOperand::Panels { values: packed };
        let (first, later) = activations_of(act);
        let saved = saved.map(|saved| view_mut(saved, m, n));
        let finish = Epilogue::Activate { bias, along_rows: false, act: first, saved };
        let result = view_mut(&mut *out, m, n);
        self.multiply(GemmTask { left, right, k, at: (0, 0), out: result, finish });
        self.activate_later(later, out);
    }

    fn matmul_nn(
        &self,
        (a, b, saved): (&[f32], &[f32], Option<&[f32]>),
        act: Activation,
        out: &mut [f32],
        MatmulShape { m, n, k }: MatmulShape,
    ) {
        let finish = match saved {
            Some(saved) if activation::is_written_out(act) => {
                Epilogue::Gradient { act, saved: view(saved, m, n) }
            }
            _ => Epilogue::Store,
        };
        let left = MatmulOperand::Rows { values: a, stride: k };
        let right = MatmulOperand::Rows { values: b, stride: n };
        self.multiply(GemmTask { left, right, k, at: (0, 0), out: view_mut(out, m, n), finish });
        if let (Some(saved), false) = (saved, activation::is_written_out(act)) {
            self.activation_backward(act, saved, out);
        }
    }

    fn matmul_tn(
        &self,
        (a, b): (&[f32], &[f32]),
        (out, sums): (&mut [f32], Option<&mut [f32]>),
        product: MatmulShape,
    ) {
        let MatmulShape { m, n, k } = product;
        if sums.is_none() && is_same(a, b) {
            let left = MatmulOperand::Columns { values: a, stride: m };
            let right = MatmulOperand::Rows { values: a, stride: m };
            return self.multiply_symmetric((left, right), out, k);
        }
        let mut left = MatmulOperand::Columns { values: a, stride: m };
        let mut right = MatmulOperand::Rows { values: b, stride: n };
        let mut out = view_mut(out, m, n);
        if self.computes_transposed(Kernel::MatmulTn { bias_grad: false }, product) {
            left = MatmulOperand::Columns { values: b, stride: n };
            right = MatmulOperand::Rows { values: a, stride: m };
            out = out.reversed_axes();
        }
        let multiply =
            || self.multiply(GemmTask { left, right, k, at: (0, 0), out, finish: Epilogue::Store });
        // The sums read a as well, and depend on nothing else, so both can run at once.
        match sums {
            Some(sums) => {
                let shared = self.pool.threads() > 1 && gemm::shared(m * n * k);
                both(shared, multiply, || self.sum_rows(a, sums));
            }
            None => multiply(),
        }
    }

    fn dropout(
        &self,
        (out, columns): (&mut [f32], usize),
        dropout: Option<Dropout>,
        step: &StepParams,
    ) {
        let Some(Dropout { stream, rate }) = dropout else { return };
        // The mask follows from seed, step, stream and element, so parts need nothing from one another.
        let of = (key(step.seed, step.step, stream), rate_in(step, rate));
        let before = step.first_element(columns) as usize;
        // A hash is about six operations.
        in_parts(&self.pool, (8, 1), out, &|first, out| {
            let first = before + first;
            elementwise::apply_dropout(of, first, out, self.instructions);
        });
    }

    fn map(&self, mapped: ElementwiseArgs<'_, f32>, over: SumOver, out: &mut [f32]) {
        match mapped.compiled.known {
            Some(known) => self.run_known(known, mapped.operands, out),
            None => MapPart::new(mapped, over, out).divide(self.instructions, &self.pool),
        }
    }

    fn chain(&self, chain: ChainArgs<'_, f32>, outs: ChainResults<'_, f32>) {
        // Sums over rows are shared by columns, formula by formula.
        if chain.by_rows() { chain::divide(self, chain, outs) } else { chain.run(self, outs) }
    }

    fn loss_mse(
        &self,
        prediction: &[f32],
        target: &[f32],
        (row_loss, d): (&mut [f32], &mut [f32]),
        n: usize,
        step: &StepParams,
    ) {
        let part = reductions::MsePart::new(prediction, target, (row_loss, d), n, step);
        part.divide(self.instructions, &self.pool);
    }

    fn loss_cross_entropy(
        &self,
        logits: &[f32],
        labels: &[u32],
        outs: (&mut [f32], &mut [f32]),
        n: usize,
        step: &StepParams,
    ) {
        in_rows(&self.pool, CLASS, outs, &|first, row_loss, d| {
            kernels::rows_of_cross_entropy(logits, labels, (first, row_loss, d), n, step);
        });
    }

    fn loss_map(
        &self,
        (form, _, compiled): (&LossVariant, &Program, &Compiled),
        (prediction, target): (&[f32], &[f32]),
        extra: LossInputs<'_, f32>,
        outs: (&mut [f32], &mut [f32]),
        step: &StepParams,
    ) {
        let batch = outs.0.len();
        let loss = LossMap { form, compiled, prediction, target, extra, step, batch };
        in_rows(&self.pool, compiled.cost(), outs, &|first, row_loss, d| {
            loss.run(first, row_loss, d, self.instructions);
        });
    }

    fn loss_classes(
        &self,
        of: ClassLoss,
        from: (&[f32], LossTargets<'_, f32>),
        extra: LossInputs<'_, f32>,
        outs: (&mut [f32], &mut [f32]),
        step: &StepParams,
    ) {
        in_rows(&self.pool, CLASS, outs, &|first, row_loss, d| {
            loss::rows_of_classes(of, from, extra, (first, row_loss, d), step);
        });
    }

    #[expect(clippy::cast_possible_truncation, reason = "a share in single precision")]
    fn square_sums(&self, of: SquareSumArgs<'_, f32>, sums: &mut [f32], step: &StepParams) {
        let SquareSumArgs { x, gathered, scaling, table } = of;
        let share = gathered.map_or(1.0, |_| step.scalars[SHARE] as f32);
        let scale = share * scaling.map_or(1.0, |scaling| scaling[INVERSE]);
        in_parts(&self.pool, (2 * BLOCK, 1), sums, &|first, sums| {
            let part = first * BLOCK..(first + sums.len()) * BLOCK;
            let gathered = gathered.map(|gathered| &gathered[part.clone()]);
            self.instructions.run(reductions::SquareSums { x: &x[part], gathered, scale, sums });
            let Some(table) = table else { return };
            for (block, sum) in (first..).zip(sums) {
                if table[(1 + block) * FACTORS] == 0.0 {
                    *sum = 0.0;
                }
            }
        });
    }

    fn update(&self, updated: UpdateArgs<'_, f32>) {
        match updated.compiled.known {
            Some(known) => known.run(updated, self.instructions, &self.pool),
            None => UpdateTask(updated).divide(self.instructions, &self.pool),
        }
    }
}
