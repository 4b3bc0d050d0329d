//! The loss log, and the slot of the loss scale and of skipped steps: `log_loss`, `check_finite`, `rescale`.

use super::super::Real;
use super::{Slots, StepWork};
use crate::device::cases::{Cases, Fill, ROUNDOFF, TestSpec, scalings};
use crate::plan::{Kernel, LossScaler, StepParams};

/// Number of losses whose sum is taken in the device's own precision.
const SUMMED: usize = 1 << 10;

/// log\[step\] = mean of the losses of the valid rows
fn log_loss<T: Real>(row_loss: &[T], log: &mut [T], step: &StepParams) {
    let rows = step.rows as usize;
    // In f32 a long sum stops growing: each term is lost in it.
    let blocks = row_loss[..rows].chunks(SUMMED);
    let sum = |block: &[T]| block.iter().fold(T::zero(), |sum, &loss| sum + loss).to_f64();
    let total: f64 = blocks.map(sum).sum();
    log[step.log as usize] = T::of(total) / T::of(f64::from(step.rows));
}

/// Returns the numbers of the slot `scaling`.
pub(super) fn scaling_of<T: Real>(slot: &[T]) -> LossScaler {
    let mut values = [0.0; LossScaler::LEN];
    values.iter_mut().zip(slot).for_each(|(to, from)| *to = from.to_f32());
    LossScaler::of(values)
}

fn put<T: Real>(scaling: LossScaler, slot: &mut [T]) {
    slot.iter_mut().zip(scaling.values()).for_each(|(to, from)| *to = T::of_f32(from));
}

/// Notes an overflow if a gradient is NaN or infinite, and [`LossScaler::LOST`] if the loss is.
fn check_finite<T: Real>(g: &[T], loss: Option<T>, scaling: &mut [T]) {
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
fn end_guarded<T: Real>(scaling: &mut [T], loss: &mut T, scaled: bool, apply: bool) -> bool {
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
fn rescale<T: Real>(scaling: &mut [T]) {
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

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    Some(match slots.step.kernel {
        Kernel::LogLoss => slots.plain(|[row_loss, log], step| log_loss(row_loss, log, step)),
        Kernel::CheckFinite { loss } => slots.plain(move |[gradient, log, scaling], step| {
            // The step's own loss, which `log_loss` has written before.
            check_finite(gradient, loss.then(|| log[step.log as usize]), scaling);
        }),
        Kernel::Rescale { scaled, guarded } => slots.plain(move |[scaling, log], step| {
            let at = step.log as usize;
            // Without a guard there is only the loss scale to adjust, after every update.
            if !guarded || end_guarded(scaling, &mut log[at], scaled, step.apply) {
                rescale(scaling);
            }
        }),
        _ => return None,
    })
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    vec![
        Cases::of([Kernel::LogLoss], |_| {
            TestSpec::new(
                |name, [m, ..]| Fill::unit(if name == "row_loss" { [m] } else { [8] }),
                |[m, ..]| ((m as f64 + 4.0) * ROUNDOFF, 4.0 * ROUNDOFF),
            )
        }),
        // The third is the place of an infinite element, from 1; 0 for none.
        Cases::of(
            [Kernel::CheckFinite { loss: false }, Kernel::CheckFinite { loss: true }],
            |_| {
                TestSpec::new(
                    |name, [_, n, k]| match name {
                        "gradient" => Fill::floats([n], move |random, i| match i + 1 {
                            place if place != k => random.uniform(-1.0, 1.0),
                            place if place == n => f64::NEG_INFINITY,
                            _ => f64::NAN,
                        }),
                        "log_in" => Fill::log(n == 256 || k == n),
                        _ => Fill::scaling(0),
                    },
                    |_| (0.0, 0.0),
                )
                .arena()
                .sizes([[1, 128, 0], [1, 1792, 1792], [1, 1792, 0], [1, 256, 1]])
            },
        ),
        // The third says after which steps: `scalings` has them.
        Cases::of(
            [
                Kernel::Rescale { scaled: true, guarded: false },
                Kernel::Rescale { scaled: true, guarded: true },
                Kernel::Rescale { scaled: false, guarded: true },
            ],
            |_| {
                TestSpec::new(
                    |name, [.., k]| {
                        if name == "scaling" { Fill::scaling(k) } else { Fill::log(false) }
                    },
                    |_| (0.0, 0.0),
                )
                .sizes((0..scalings().len()).map(|after| [1, 1, after]).collect::<Vec<_>>())
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_loss_of_millions_of_rows_is_right_in_single_precision() {
        let losses = vec![0.8_f32; 4_000_000];
        let (mut log, step) = ([0.0], StepParams { rows: 4_000_000, ..StepParams::default() });
        log_loss(&losses, &mut log, &step);
        assert!((log[0] - 0.8).abs() < 1e-5, "{}", log[0]);
    }
}
