//! Products within blocks of columns: `block_nt`, `block_nn`, `block_tn`.

use rayon::prelude::*;

use super::super::Real;
use super::{Slots, StepWork};
use crate::device::cases::{Cases, Fill, TestSpec, sum_error};
use crate::host::threads;
use crate::plan::Kernel;

/// Multiplications from which threads pay.
const WORTHWHILE: usize = 1 << 16;
/// Parts of a large product, so that threads that are held up can be helped.
const PARTS: usize = 16;

/// Sums that are carried side by side, so that a compiler can add them at once.
const SIDE_BY_SIDE: usize = 8;

/// Sizes of a product within blocks.
#[derive(Clone, Copy, Debug)]
struct BlockShape {
    /// Number of blocks.
    blocks: usize,
    /// Rows of a block of b, or of the result.
    n: usize,
    /// Columns of a block of b, or of the result.
    k: usize,
}

/// Sum of products of two vectors.
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); SIDE_BY_SIDE];
    let (of_a, of_b) = (a.chunks_exact(SIDE_BY_SIDE), b.chunks_exact(SIDE_BY_SIDE));
    let mut rest = T::zero();
    for (&a, &b) in of_a.remainder().iter().zip(of_b.remainder()) {
        rest += a * b;
    }
    for (a, b) in of_a.zip(of_b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.into_iter().fold(rest, |sum, part| sum + part)
}

/// y += factor x
fn add_scaled<T: Real>(y: &mut [T], factor: T, x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// Calls `row` with each row of `a`, `columns` wide, and the row of the result, `width` wide: on all threads if there are many
/// multiplications. No sum crosses rows, so threads change no bits.
fn by_rows<T: Real>(
    (a, columns): (&[T], usize),
    (out, width): (&mut [T], usize),
    multiplications: usize,
    row: impl Fn(&[T], &mut [T]) + Sync,
) {
    let rows = a.len() / columns;
    let most = if multiplications < WORTHWHILE { rows } else { rows.div_ceil(PARTS) };
    threads::by_rows((a, columns), (out, width), most, row);
}

/// out = a bᵀ within each block, a `[_,g k]`, b `[g n,k]`, out `[_,g n]`
fn block_nt<T: Real>(a: &[T], b: &[T], out: &mut [T], BlockShape { blocks, n, k }: BlockShape) {
    let multiplications = out.len() * k;
    by_rows((a, blocks * k), (out, blocks * n), multiplications, |a, out| {
        let of_blocks = a.chunks_exact(k).zip(b.chunks_exact(n * k)).zip(out.chunks_exact_mut(n));
        for ((a, b), out) in of_blocks {
            if let [a] = *a {
                // A single term needs no sum, and all of the block's results are products with it.
                out.iter_mut().zip(b).for_each(|(out, &b)| *out = T::zero() + a * b);
                continue;
            }
            for (out, b) in out.iter_mut().zip(b.chunks_exact(k)) {
                *out = dot(a, b);
            }
        }
    });
}

/// out = a b within each block, a `[_,g n]`, b `[g n,k]`, out `[_,g k]`
fn block_nn<T: Real>(a: &[T], b: &[T], out: &mut [T], BlockShape { blocks, n, k }: BlockShape) {
    let multiplications = a.len() * k;
    by_rows((a, blocks * n), (out, blocks * k), multiplications, |a, out| {
        out.fill(T::zero());
        let of_blocks = a.chunks_exact(n).zip(b.chunks_exact(n * k)).zip(out.chunks_exact_mut(k));
        for ((a, b), out) in of_blocks {
            for (&a, b) in a.iter().zip(b.chunks_exact(k)) {
                add_scaled(out, a, b);
            }
        }
    });
}

/// out = aᵀ b within each block, summed from top to bottom, a `[_,g n]`, b `[_,g k]`, out `[g n,k]`
fn block_tn<T: Real>(a: &[T], b: &[T], out: &mut [T], BlockShape { blocks, n, k }: BlockShape) {
    // Some blocks of all rows: each thread has its own part of the result, so that sums keep their order.
    let some = |first: usize, out: &mut [T]| {
        out.fill(T::zero());
        let count = out.len() / (n * k);
        for (a, b) in a.chunks_exact(blocks * n).zip(b.chunks_exact(blocks * k)) {
            let (a, b) = (&a[first * n..][..count * n], &b[first * k..][..count * k]);
            let of_blocks =
                a.chunks_exact(n).zip(b.chunks_exact(k)).zip(out.chunks_exact_mut(n * k));
            for ((a, b), out) in of_blocks {
                if let [b] = *b {
                    add_scaled(out, b, a);
                    continue;
                }
                for (&a, out) in a.iter().zip(out.chunks_exact_mut(k)) {
                    add_scaled(out, a, b);
                }
            }
        }
    };
    if a.len() * k < WORTHWHILE || !threads::are_there() {
        return some(0, out);
    }
    let part = blocks.div_ceil(PARTS).max(1);
    out.par_chunks_mut(part * n * k).enumerate().for_each(|(at, out)| some(at * part, out));
}

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    let (of_a, of_b) = (|| slots.matrix("a").1, || slots.matrix("b").1);
    let shape = |blocks: u32, n: usize, k: usize| {
        let blocks = blocks.max(1) as usize;
        BlockShape { blocks, n: n / blocks, k }
    };
    Some(match slots.step.kernel {
        Kernel::BlockNt { blocks } => {
            let shape = shape(blocks, slots.matrix("out").1, of_b());
            slots.plain(move |[a, b, out], _| block_nt(a, b, out, shape))
        }
        Kernel::BlockNn { blocks } => {
            let shape = shape(blocks, of_a(), of_b());
            slots.plain(move |[a, b, out], _| block_nn(a, b, out, shape))
        }
        Kernel::BlockTn { blocks } => {
            let shape = shape(blocks, of_a(), slots.matrix("out").1);
            slots.plain(move |[a, b, out], _| block_tn(a, b, out, shape))
        }
        _ => return None,
    })
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    const BLOCKS: usize = 3;
    let blocks = 3;
    let kernels =
        [Kernel::BlockNt { blocks }, Kernel::BlockNn { blocks }, Kernel::BlockTn { blocks }];
    let spec = |kernel: Kernel| {
        TestSpec::new(
            move |name, [m, n, k]| {
                let (wide, narrow) = ([m, BLOCKS * n], [m, BLOCKS * k]);
                Fill::unit(match (kernel, name) {
                    (Kernel::BlockNt { .. }, "a") | (Kernel::BlockNn { .. }, "out") => narrow,
                    (Kernel::BlockTn { .. }, "b") => narrow,
                    (Kernel::BlockTn { .. }, "out") => [BLOCKS * n, k],
                    (_, "b") => [BLOCKS * n, k],
                    _ => wide,
                })
            },
            move |[m, n, k]| {
                let terms = match kernel {
                    Kernel::BlockNt { .. } => k,
                    Kernel::BlockNn { .. } => n,
                    _ => m,
                };
                (2.0 * sum_error(terms + 1), 0.0)
            },
        )
        .sizes([[1, 1, 1], [5, 1, 3], [63, 3, 16], [65, 16, 1], [64, 7, 63], [300, 2, 19]])
    };
    vec![Cases::of(kernels, spec)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern that blocks or rows could share.
    fn numbers(count: usize, seed: usize) -> Vec<f64> {
        (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1009) as f64 / 1009.0 - 0.5).collect()
    }

    #[test]
    fn many_multiplications_on_all_threads_give_the_products() {
        for (m, blocks, n, k) in [(300, 37, 16, 1), (300, 19, 3, 16), (70, 40, 5, 7)] {
            assert!(m * blocks * n * k >= WORTHWHILE);
            let shape = BlockShape { blocks, n, k };
            let (wide, narrow) = (numbers(m * blocks * n, 1), numbers(m * blocks * k, 2));
            let factor = numbers(blocks * n * k, 3);
            let (mut nt, mut nn) = (vec![0.0; wide.len()], vec![0.0; narrow.len()]);
            let mut tn = vec![0.0; factor.len()];
            block_nt(&narrow, &factor, &mut nt, shape);
            block_nn(&wide, &factor, &mut nn, shape);
            block_tn(&wide, &narrow, &mut tn, shape);
            let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-10, "{got} {want}");
            let of_factor = |block: usize, i: usize, j: usize| factor[(block * n + i) * k + j];
            for row in 0..m {
                for block in 0..blocks {
                    let wide = &wide[(row * blocks + block) * n..][..n];
                    let narrow = &narrow[(row * blocks + block) * k..][..k];
                    for i in 0..n {
                        let want = (0..k).map(|j| narrow[j] * of_factor(block, i, j)).sum();
                        close(nt[(row * blocks + block) * n + i], want);
                    }
                    for j in 0..k {
                        let want = (0..n).map(|i| wide[i] * of_factor(block, i, j)).sum();
                        close(nn[(row * blocks + block) * k + j], want);
                    }
                }
            }
            for block in 0..blocks {
                for (i, j) in (0..n).flat_map(|i| (0..k).map(move |j| (i, j))) {
                    let term = |row: usize| {
                        wide[(row * blocks + block) * n + i]
                            * narrow[(row * blocks + block) * k + j]
                    };
                    close(tn[(block * n + i) * k + j], (0..m).map(term).sum());
                }
            }
        }
    }
}
