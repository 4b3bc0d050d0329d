//! One function for each kernel of a plan: the computation that it must do, in f32 or f64, written plainly.
//!
//! All matrices are row-major slices with their sizes beside them. `rows` is the number of a batch's valid rows; the others
//! are masked.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::Real;
use super::map::{keep, rate_in};
use crate::expr::{LANES, Program};
use crate::model::Activation;
use crate::plan::{Dropout, LossScaler, StepParams};
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

/// out row i = table row `pick(i)`; masked rows are zero. `table [_, columns]`, `out [batch, columns]`
pub fn gather<T: Copy + Default>(
    table: &[T],
    order: Option<&[u32]>,
    out: &mut [T],
    columns: usize,
    step: &StepParams,
) {
    let (first, rows) = (step.first as usize, step.rows as usize);
    for (i, out) in out.chunks_exact_mut(columns).enumerate() {
        if i < rows {
            let row = order.map_or(first + i, |order| order[first + i] as usize);
            out.copy_from_slice(&table[row * columns..][..columns]);
        } else {
            out.fill(T::default());
        }
    }
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
pub fn dropout<T: Real>(out: &mut [T], Dropout { stream, rate }: Dropout, step: &StepParams) {
    let (key, rate) = (key(step.seed, step.step, stream), rate_in(step, rate));
    // Elements are counted in 32 bits everywhere.
    for (at, out) in (0_u32..).zip(out) {
        *out *= keep(key, rate, at);
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

/// out ← (1 − momentum) out + momentum · stat, with stat times rows / (rows − 1) if it is unbiased; if guarded, a statistic
/// that is not finite changes nothing; without a momentum of its own the kernel takes the fraction in the step parameters
pub fn update_running<T: Real>(
    stat: &[T],
    out: &mut [T],
    (momentum, unbiased, guarded): (Option<f64>, bool, bool),
    step: &StepParams,
) {
    let momentum = momentum.unwrap_or(step.scalars[crate::graph::SHARE]);
    let rows = f64::from(step.rows);
    // One row has no unbiased variance.
    if unbiased && step.rows < 2 {
        return;
    }
    let factor = if unbiased { momentum * rows / (rows - 1.0) } else { momentum };
    for (out, &stat) in out.iter_mut().zip(stat) {
        if guarded && !stat.to_f64().is_finite() {
            continue;
        }
        *out = T::of(1.0 - momentum) * *out + T::of(factor) * stat;
    }
}

/// Returns an integer from a table of features, below `rows`.
fn number<T: Real>(value: T, rows: usize) -> usize {
    let value = value.to_f64().max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is not negative"
    )]
    (value as usize).min(rows.saturating_sub(1))
}

/// out row = table row of the number in x's column, x `[m,n]`, table `[_,d]`, out `[m,d]`
pub fn lookup<T: Real>(table: &[T], x: &[T], column: usize, out: &mut [T], m: usize) {
    let (n, d) = (x.len() / m.max(1), out.len() / m.max(1));
    for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(d)) {
        let row = number(x[column], table.len() / d);
        out.copy_from_slice(&table[row * d..][..d]);
    }
}

/// out row = sum of `d_y` over the valid rows that have its number, top to bottom, x `[m,n]`, `d_y` `[m,d]`, out `[v,d]`
pub fn lookup_grad<T: Real>(
    x: &[T],
    d_y: &[T],
    column: usize,
    (out, v): (&mut [T], usize),
    step: &StepParams,
) {
    out.fill(T::zero());
    let d = out.len() / v.max(1);
    let n = x.len() / (d_y.len() / d.max(1)).max(1);
    let rows = x.chunks_exact(n).zip(d_y.chunks_exact(d)).take(step.rows as usize);
    for (x, d_y) in rows {
        let row = number(x[column], v);
        for (out, &d_y) in out[row * d..][..d].iter_mut().zip(d_y) {
            *out += d_y;
        }
    }
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

/// Row loss = log Σ exp(logits) − logits\[label\]; gradient = (softmax − onehot) / rows. Logits `[batch,n]`.
pub fn loss_cross_entropy<T: Real>(
    logits: &[T],
    labels: &[u32],
    (row_loss, d_logits): (&mut [T], &mut [T]),
    n: usize,
    step: &StepParams,
) {
    rows_of_cross_entropy(logits, labels, (0, row_loss, d_logits), n, step);
}

/// Computes some rows of the loss, from `first` on: the results are those of these rows, everything else is of the whole batch.
pub(super) fn rows_of_cross_entropy<T: Real>(
    logits: &[T],
    labels: &[u32],
    (first, row_loss, d_logits): (usize, &mut [T], &mut [T]),
    n: usize,
    step: &StepParams,
) {
    let rows = T::of(f64::from(step.rows));
    let logits = &logits[first * n..];
    for (i, (logits, d)) in logits.chunks_exact(n).zip(d_logits.chunks_exact_mut(n)).enumerate() {
        if first + i >= step.rows as usize {
            row_loss[i] = T::zero();
            d.fill(T::zero());
            continue;
        }
        // NaN must not be lost here: a maximum that skips it would hide it from the loss. The largest logit is subtracted,
        // so that no exponential overflows.
        let max = logits.iter().fold(logits[0], |max, &x| if x > max { x } else { max });
        let mut sum = T::zero();
        for (d, &x) in d.iter_mut().zip(logits) {
            *d = (x - max).exp();
            sum += *d;
        }
        let label = labels[first + i] as usize;
        row_loss[i] = sum.ln() - (logits[label] - max);
        for (class, d) in d.iter_mut().enumerate() {
            let hot = if class == label { T::one() } else { T::zero() };
            *d = (*d / sum - hot) / rows;
        }
    }
}

/// Row loss = mean over columns of (prediction − target)²; gradient = 2 (prediction − target) / (rows · n).
pub fn loss_mse<T: Real>(
    prediction: &[T],
    target: &[T],
    (row_loss, d): (&mut [T], &mut [T]),
    n: usize,
    step: &StepParams,
) {
    let columns = T::of(n as f64);
    let scale = T::of(2.0 / (f64::from(step.rows) * n as f64));
    for (i, loss) in row_loss.iter_mut().enumerate() {
        let counts = i < step.rows as usize;
        let mut sum = T::zero();
        for at in i * n..(i + 1) * n {
            let error = if counts { prediction[at] - target[at] } else { T::zero() };
            sum += error * error;
            d[at] = scale * error;
        }
        *loss = sum / columns;
    }
}

/// log\[step\] = mean of the losses of the valid rows
pub fn log_loss<T: Real>(row_loss: &[T], log: &mut [T], step: &StepParams) {
    let rows = step.rows as usize;
    let sum = row_loss[..rows].iter().fold(T::zero(), |sum, &loss| sum + loss);
    log[step.log as usize] = sum / T::of(f64::from(step.rows));
}

/// Returns the numbers of the slot `scaling`.
fn scaling_of<T: Real>(slot: &[T]) -> LossScaler {
    let mut values = [0.0; LossScaler::LEN];
    values.iter_mut().zip(slot).for_each(|(to, from)| *to = from.to_f32());
    LossScaler::of(values)
}

fn put<T: Real>(scaling: LossScaler, slot: &mut [T]) {
    slot.iter_mut().zip(scaling.values()).for_each(|(to, from)| *to = T::of_f32(from));
}

/// Multiplies the loss's gradient by the loss scale.
pub fn scale<T: Real>(d: &mut [T], scaling: &[T]) {
    let scale = scaling_of(scaling).scale;
    d.iter_mut().for_each(|d| *d *= T::of_f32(scale));
}

/// Notes an overflow if a gradient is NaN or infinite, and [`LossScaler::LOST`] if the loss is.
pub fn check_finite<T: Real>(g: &[T], loss: Option<T>, scaling: &mut [T]) {
    let mut noted = scaling_of(scaling);
    // 0 · g is 0 only if g is finite; without a branch for each element, this is vectorised.
    let bad = |part: &[T]| part.iter().fold(false, |bad, &g| bad | (g * T::zero() != T::zero()));
    if g.chunks(512).any(bad) {
        noted.overflow = noted.overflow.max(1.0);
    }
    if loss.is_some_and(|loss| !loss.to_f64().is_finite()) {
        noted.overflow = LossScaler::LOST;
    }
    put(noted, scaling);
}

/// Ends a step where losses that are not finite are skipped: such a step's loss becomes NaN, so that the host leaves it
/// out, and the next update begins with the flag cleared. Returns whether the loss scale, if there is one, has to be
/// adjusted.
pub fn end_guarded<T: Real>(scaling: &mut [T], loss: &mut T, scaled: bool, apply: bool) -> bool {
    let mut next = scaling_of(scaling);
    let lost = next.overflow > 1.0;
    if next.overflow != 0.0 && (lost || !scaled) {
        *loss = T::of(f64::NAN);
    }
    // The flag stays until the update's last step, so that the whole update is skipped.
    if apply && (lost || !scaled) {
        next.overflow = 0.0;
        put(next, scaling);
    }
    apply && scaled && !lost
}

/// Adjusts the loss scale for the next step: half after an overflow, twice after [`LossScaler::GROW_AFTER`] steps without one.
pub fn rescale<T: Real>(scaling: &mut [T]) {
    let mut next = scaling_of(scaling);
    let largest = LossScaler::LARGEST as f32;
    if next.overflow != 0.0 {
        (next.overflow, next.good, next.skipped) = (0.0, 0.0, next.skipped + 1.0);
        if next.inverse < largest {
            (next.scale, next.inverse) = (0.5 * next.scale, 2.0 * next.inverse);
        }
    } else {
        next.good += 1.0;
        if next.good >= LossScaler::GROW_AFTER as f32 {
            next.good = 0.0;
            if next.scale < largest {
                (next.scale, next.inverse) = (2.0 * next.scale, 0.5 * next.inverse);
            }
        }
    }
    put(next, scaling);
}

/// The table's rows of this batch = x's valid rows, x `[batch,n]`
pub fn put_rows<T: Real>(x: &[T], out: &mut [T], n: usize, step: &StepParams) {
    let (first, rows) = (step.first as usize, step.rows as usize);
    out[first * n..(first + rows) * n].copy_from_slice(&x[..rows * n]);
}
