//! Members of an ensemble that shares its weights, whose columns stand side by side: `repeat_columns`, `sum_blocks`,
//! `member_mean`.

use super::super::Real;
use super::{Slots, StepWork};
use crate::device::cases::{Cases, Fill, TestSpec, sum_error};
use crate::graph::MemberOutputs;
use crate::plan::Kernel;

/// out = x's columns several times side by side, x `[_,n]`, out `[_,times n]`
fn repeat_columns<T: Real>(x: &[T], out: &mut [T], n: usize, times: usize) {
    for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(times * n)) {
        out.chunks_exact_mut(n).for_each(|out| out.copy_from_slice(x));
    }
}

/// out = the sum of x's blocks of columns, first to last, x `[_,blocks n]`, out `[_,n]`
fn sum_blocks<T: Real>(x: &[T], out: &mut [T], n: usize, blocks: usize) {
    for (x, out) in x.chunks_exact(blocks * n).zip(out.chunks_exact_mut(n)) {
        out.fill(T::zero());
        for x in x.chunks_exact(n) {
            out.iter_mut().zip(x).for_each(|(out, &x)| *out += x);
        }
    }
}

/// out = outputs of a network that would predict the mean of the members' predictions, x `[_,members n]`, out `[_,n]`
fn member_mean<T: Real>(x: &[T], out: &mut [T], (n, members): (usize, usize), of: MemberOutputs) {
    let mut logs = vec![0.0; members * n];
    for (x, out) in x.chunks_exact(members * n).zip(out.chunks_exact_mut(n)) {
        // In f64: outputs are few compared with the products that give them.
        logs.iter_mut().zip(x).for_each(|(log, x)| *log = x.to_f64());
        if of == MemberOutputs::Classes {
            for logits in logs.chunks_exact_mut(n) {
                let sum = log_sum_exp(logits.iter().copied());
                logits.iter_mut().for_each(|log| *log -= sum);
            }
        }
        for (column, out) in out.iter_mut().enumerate() {
            let values = logs.iter().copied().skip(column).step_by(n);
            let count = members as f64;
            *out = T::of(match of {
                MemberOutputs::Values => values.sum::<f64>() / count,
                MemberOutputs::Classes | MemberOutputs::Logarithms => {
                    log_sum_exp(values) - count.ln()
                }
                MemberOutputs::Labels => {
                    let side =
                        |sign: f64| log_sum_exp(values.clone().map(|x| log_sigmoid(sign * x)));
                    side(1.0) - side(-1.0)
                }
            });
        }
    }
}

/// Returns ln Σ exp x, which no x makes too large.
fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    top + values.map(|x| (x - top).exp()).sum::<f64>().ln()
}

/// Returns ln σ(x).
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    let (of_x, of_out) = (|| slots.matrix("x").1, || slots.matrix("out").1);
    Some(match slots.step.kernel {
        Kernel::RepeatColumns { times } => {
            let n = of_x();
            slots.plain(move |[x, out], _| repeat_columns(x, out, n, times as usize))
        }
        Kernel::SumBlocks { blocks } => {
            let n = of_out();
            slots.plain(move |[x, out], _| sum_blocks(x, out, n, blocks as usize))
        }
        Kernel::MemberMean { members, of } => {
            let sizes = (of_out(), members as usize);
            slots.plain(move |[x, out], _| member_mean(x, out, sizes, of))
        }
        _ => return None,
    })
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    const BLOCKS: usize = 5;
    let sizes = [[1, 1, 1], [5, 1, 3], [63, 7, 1], [65, 16, 1], [300, 19, 1]];
    let blocks = 5;
    vec![
        Cases::of([Kernel::RepeatColumns { times: blocks }], move |_| {
            let sized = |name: &str, [m, n, _]: [usize; 3]| match name {
                "out" => Fill::unit([m, BLOCKS * n]),
                _ => Fill::unit([m, n]),
            };
            TestSpec::new(sized, |_| (0.0, 0.0)).sizes(sizes)
        }),
        Cases::of([Kernel::SumBlocks { blocks }], move |_| {
            let sized = |name: &str, [m, n, _]: [usize; 3]| match name {
                "x" => Fill::unit([m, BLOCKS * n]),
                _ => Fill::unit([m, n]),
            };
            TestSpec::new(sized, |_| (2.0 * sum_error(BLOCKS), 0.0)).sizes(sizes)
        }),
        Cases::of(
            MemberOutputs::ALL.map(|of| Kernel::MemberMean { members: blocks, of }),
            move |_| {
                let sized = |name: &str, [m, n, _]: [usize; 3]| match name {
                    // Logits far apart, whose probabilities single precision cannot hold.
                    "x" => Fill::within(40.0, [m, BLOCKS * n]),
                    _ => Fill::unit([m, n]),
                };
                TestSpec::new(sized, |_| (5e-5, 2e-6)).sizes(sizes)
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_repeated_and_blocks_added() {
        let mut wide = [0.0; 12];
        repeat_columns(&[1.0, 2.0, 3.0, 4.0], &mut wide, 2, 3);
        assert_eq!(wide, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0]);
        let mut narrow = [0.0; 4];
        sum_blocks(&[1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0], &mut narrow, 2, 2);
        assert_eq!(narrow, [11.0, 22.0, 33.0, 44.0]);
    }

    /// The mean of two members, by the definition of each meaning.
    #[test]
    fn outputs_mean_the_mean_of_the_members() {
        let x = [0.5, -1.0, 2.0, 2.0, 0.25, -3.0];
        let mean = |of| {
            let mut out = [0.0_f64; 3];
            member_mean(&x, &mut out, (3, 2), of);
            out
        };
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} {want}");
        let softmax = |logits: &[f64]| -> Vec<f64> {
            let sum: f64 = logits.iter().map(|x| x.exp()).sum();
            logits.iter().map(|x| x.exp() / sum).collect()
        };
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (one, other) = (softmax(&x[..3]), softmax(&x[3..]));
        let all = MemberOutputs::ALL.map(mean);
        let [values, classes, labels, logarithms] = all;
        let told = softmax(&classes);
        for at in 0..3 {
            let (a, b) = (x[at], x[at + 3]);
            close(values[at], (a + b) / 2.0);
            close(told[at], (one[at] + other[at]) / 2.0);
            close(sigmoid(labels[at]), (sigmoid(a) + sigmoid(b)) / 2.0);
            close(logarithms[at].exp(), (a.exp() + b.exp()) / 2.0);
        }
    }

    #[test]
    fn extreme_outputs_stay_numbers_and_nan_is_kept() {
        for of in MemberOutputs::ALL {
            let mut out = [0.0_f32; 2];
            member_mean(&[500.0, -500.0, -500.0, 500.0], &mut out, (2, 2), of);
            assert!(out.iter().all(|it| it.is_finite()), "{of:?}: {out:?}");
            member_mean(&[f32::NAN, 0.0, 1.0, 0.0], &mut out, (2, 2), of);
            assert!(out[0].is_nan(), "{of:?}: {out:?}");
        }
    }
}
