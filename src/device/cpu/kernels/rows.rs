//! Rows that are copied from tables or to them: `gather`, `lookup`, `lookup_grad`, `put_rows`.

use super::super::Real;
use super::{Slots, StepWork, disjoint};
use crate::device::cases::{Cases, DOWN, Fill, TestSpec, sum_error};
use crate::plan::{Kernel, StepParams};

/// out row i = table row `pick(i)`; masked rows are zero. `table [_, columns]`, `out [batch, columns]`
fn gather<T: Copy + Default>(
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
fn lookup<T: Real>(table: &[T], x: &[T], column: usize, out: &mut [T], m: usize) {
    let (n, d) = (x.len() / m.max(1), out.len() / m.max(1));
    for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(d)) {
        let row = number(x[column], table.len() / d);
        out.copy_from_slice(&table[row * d..][..d]);
    }
}

/// out row = sum of `d_y` over the valid rows that have its number, top to bottom, x `[m,n]`, `d_y` `[m,d]`, out `[v,d]`
fn lookup_grad<T: Real>(
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

/// The table's rows of this batch = x's valid rows, x `[batch,n]`
fn put_rows<T: Real>(x: &[T], out: &mut [T], n: usize, step: &StepParams) {
    let (first, rows) = (step.first as usize, step.rows as usize);
    out[first * n..(first + rows) * n].copy_from_slice(&x[..rows * n]);
}

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    Some(match slots.step.kernel {
        Kernel::Gather { ordered, .. } => gather_batch(slots, ordered),
        Kernel::Lookup { column } => {
            let (rows, _) = slots.matrix("out");
            slots.plain(move |[table, x, out], _| lookup(table, x, column as usize, out, rows))
        }
        Kernel::LookupGrad { column } => {
            let (rows, _) = slots.matrix("out");
            slots.plain(move |[x, d_y, out], step| {
                lookup_grad(x, d_y, column as usize, (out, rows), step);
            })
        }
        Kernel::PutRows => {
            let (_, columns) = slots.matrix("out");
            slots.plain(move |[x, out], step| put_rows(x, out, columns, step))
        }
        _ => return None,
    })
}

/// Returns the work that picks a batch's features and targets.
fn gather_batch<T: Real>(slots: &Slots<'_>, ordered: bool) -> StepWork<T> {
    let (rows, columns) = slots.matrix("x_out");
    let (floats, indices) = (slots.floats::<5>(), slots.indices::<5>());
    StepWork::new(slots.passed(), move |_, arenas, step| {
        let [x, _, y, x_out, y_out] = disjoint(arenas.floats, &floats);
        let [_, order, classes, _, classes_out] = disjoint(arenas.indices, &indices);
        let order = ordered.then_some(&*order);
        gather(x, order, x_out, columns, step);
        // Targets are classes or numbers; the other range is empty.
        if !classes_out.is_empty() {
            gather(classes, order, classes_out, 1, step);
        } else if !y_out.is_empty() {
            gather(y, order, y_out, y_out.len() / rows, step);
        }
    })
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    let exact = |_| (0.0, 0.0);
    vec![
        Cases::of(
            [
                Kernel::Gather { ordered: true, targets: true },
                Kernel::Gather { ordered: false, targets: false },
            ],
            move |kernel| {
                let spec = TestSpec::new(
                    |name, [m, n, _]| match name {
                        "x" => Fill::unit([m + 7, n]),
                        "order" => Fill::below(m + 7, m + 7),
                        "y" => Fill::unit([m + 7, 3]),
                        "y_out" => Fill::unit([m, 3]),
                        _ => Fill::unit([m, n]),
                    },
                    exact,
                );
                // Tables are in single precision, batches of their rows in half.
                let targets = matches!(kernel, Kernel::Gather { targets: true, .. });
                if targets { spec.half([DOWN]) } else { spec }
            },
        ),
        // The table has rows that nobody names, and numbers beyond it mean its last row.
        Cases::of([Kernel::Lookup { column: 0 }], move |_| {
            TestSpec::new(
                |name, [m, n, _]| match name {
                    "table" => Fill::unit([7, n]),
                    "x" => Fill::numbers(m, 8),
                    _ => Fill::unit([m, n]),
                },
                exact,
            )
        }),
        Cases::of([Kernel::LookupGrad { column: 0 }], |_| {
            TestSpec::new(
                |name, [m, n, _]| match name {
                    "x" => Fill::numbers(m, 8),
                    "d_y" => Fill::unit([m, n]),
                    _ => Fill::unit([7, n]),
                },
                |[m, ..]| (sum_error(m), 0.0),
            )
        }),
        Cases::of([Kernel::PutRows], move |_| {
            TestSpec::new(
                |name, [m, n, _]| Fill::unit(if name == "x" { [m, n] } else { [m + 7, n] }),
                exact,
            )
        }),
    ]
}
