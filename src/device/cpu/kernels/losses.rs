//! Losses with their gradients: `loss_map`, `loss_classes`, which `loss.rs` computes. The plain cross-entropy and the plain squared
//! error have loops of their own, which are faster; a step takes them if its loss or its program is that one.

use super::super::engine::CpuKernels;
use super::super::loss::{LossInputs, LossTargets};
use super::super::{Compiled, Real};
use super::scaling::scaling_of;
use super::{MatmulShape, Slots, StepWork, disjoint};
use crate::device::cases::formulas::loss_formulas;
use crate::device::cases::{Cases, DOWN, Fill, ROUNDOFF, TestSpec, Triple, sum_error};
use crate::expr::Program;
use crate::graph::{ClassLoss, Loss, Quantiles, RequiredTarget};
use crate::plan::{FormulaId, Kernel, LossVariant, StepParams};

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
pub(in crate::device::cpu) fn rows_of_cross_entropy<T: Real>(
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

/// Multiplies the loss's gradient by the loss scale.
fn scale<T: Real>(d: &mut [T], scaling: &[T]) {
    let scale = scaling_of(scaling).scale;
    d.iter_mut().for_each(|d| *d *= T::of_f32(scale));
}

/// Loop that computes a loss.
enum LossKind {
    /// The plain cross-entropy.
    CrossEntropy,
    /// The plain squared error.
    Mse,
    /// A formula for each element, and the same prepared for wide vectors.
    Map(Program, Box<Compiled>),
    Classes(ClassLoss),
}

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    let (kind, form) = match slots.step.kernel {
        Kernel::LossMap { form, .. } => {
            let formula = slots.formula();
            if form.is_plain() && formula.is_mse() {
                (LossKind::Mse, form)
            } else {
                let compiled = Box::new(Compiled::of_loss(&formula.program, &form));
                (LossKind::Map(formula.program, compiled), form)
            }
        }
        Kernel::LossClasses { loss, form } => {
            let plain = form.is_plain() && loss == ClassLoss::CROSS_ENTROPY;
            (if plain { LossKind::CrossEntropy } else { LossKind::Classes(loss) }, form)
        }
        _ => return None,
    };
    let (floats, indices) = (slots.floats::<7>(), slots.indices::<7>());
    let sizes = match &kind {
        LossKind::Map(_, compiled) => MatmulShape { m: 1, n: floats[6].len(), k: compiled.cost() },
        _ => MatmulShape { m: 1, n: floats[5].len(), k: 4 },
    };
    Some(StepWork::<T>::new(sizes, move |engine, arenas, step| {
        let [prediction, goal, constants, weights, scaling, row_loss, gradient] =
            disjoint(arenas.floats, &floats);
        // Targets are either classes or numbers, so one of the two ranges is empty.
        let classes = &arenas.indices[indices[1].clone()];
        // The gradient has the sizes of the predictions, of which a slot's length alone tells the columns.
        let columns = gradient.len() / row_loss.len();
        let (prediction, goal, outs) = (&*prediction, &*goal, (row_loss, &mut *gradient));
        let extra = LossInputs {
            constants: form.constants.then_some(&*constants),
            weights: form.weights.then_some(&*weights),
            members: form.members as usize,
        };
        match &kind {
            LossKind::CrossEntropy => {
                engine.loss_cross_entropy(prediction, classes, outs, columns, step);
            }
            LossKind::Mse => engine.loss_mse(prediction, goal, outs, columns, step),
            LossKind::Map(program, compiled) => {
                engine.loss_map((&form, program, compiled), (prediction, goal), extra, outs, step);
            }
            LossKind::Classes(loss) => {
                let goal = if Loss::from(*loss).classes() {
                    LossTargets::Classes(classes)
                } else {
                    LossTargets::Numbers(goal)
                };
                engine.loss_classes(*loss, (prediction, goal), extra, outs, step);
            }
        }
        // The loss itself is logged unscaled, so only the gradient is multiplied.
        if form.scaled {
            scale(gradient, scaling);
        }
    }))
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    vec![Cases::of([kernels(), of_members()].concat(), spec)]
}

/// Returns the losses with the inputs that each may have.
fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    let own = loss_formulas().map(|(_, loss)| loss).filter(|loss| matches!(loss, Loss::Custom(_)));
    for (index, loss) in Loss::all().into_iter().chain(own).enumerate() {
        // Each has something that the others have not, so that a few pipelines show all there is.
        let constants = matches!(loss.wants(), RequiredTarget::Classes | RequiredTarget::Labels)
            || matches!(loss, Loss::Pinball(_));
        let (weights, mean) = (index % 2 == 0, loss != Loss::Mae);
        let form = LossVariant { mean, constants, weights, scaled: false, members: 1 };
        kernels.push(match loss {
            Loss::Classes(ClassLoss::CrossEntropy { .. }) => {
                Kernel::LossClasses { loss: ClassLoss::CrossEntropy { label_smoothing: 0.1 }, form }
            }
            Loss::Classes(loss) => Kernel::LossClasses { loss, form },
            loss => by_formula(&loss, form),
        });
    }
    // The plain ones, for which devices may have other loops.
    let form =
        LossVariant { mean: true, constants: false, weights: false, scaled: false, members: 1 };
    let loss = ClassLoss::CROSS_ENTROPY;
    kernels.extend([Kernel::LossClasses { loss, form }, by_formula(&Loss::Mse, form)]);
    kernels
}

/// Returns losses of members side by side.
fn of_members() -> Vec<Kernel> {
    let form =
        LossVariant { mean: true, constants: false, weights: true, scaled: false, members: 3 };
    let sum = LossVariant { mean: false, ..form };
    vec![
        Kernel::LossClasses { loss: ClassLoss::CROSS_ENTROPY, form },
        Kernel::LossClasses { loss: ClassLoss::KlDivergence, form },
        by_formula(&Loss::Mse, form),
        by_formula(&Loss::Mae, sum),
        by_formula(&Loss::BinaryCrossEntropy, LossVariant { constants: true, ..sum }),
        by_formula(&Loss::Pinball(Quantiles::MEDIAN), LossVariant { constants: true, ..form }),
    ]
}

/// Returns how a loss of members side by side is verified: predictions for each of three members, targets once.
fn members_spec(kernel: Kernel) -> TestSpec {
    let values = move |name: &str, [m, n, k]: Triple| match name {
        "logits" | "prediction" => {
            Fill { sizes: vec![m, 3 * n], ..argument(kernel, name, [m, n, k]) }
        }
        "d_logits" | "d_prediction" => Fill::unit([m, 3 * n]),
        _ => argument(kernel, name, [m, n, k]),
    };
    with_divisor(
        TestSpec::new(values, limits).sizes([[1, 2, 1], [63, 6, 61], [130, 12, 130]]),
        false,
    )
}

/// Returns an argument of a loss of one network.
fn argument(kernel: Kernel, name: &str, sizes: Triple) -> Fill {
    match kernel {
        Kernel::LossClasses { loss, .. } => classes_argument(loss, name, sizes),
        Kernel::LossMap { formula, .. } => {
            let found = loss_formulas().find(|(id, _)| *id == formula);
            let (_, loss) = found.expect("the kernel is one of those above");
            map_argument(&loss, name, sizes[0], sizes[1])
        }
        _ => unreachable!("other kernels are not of this kind"),
    }
}

fn is_mse(formula: FormulaId) -> bool {
    loss_formulas().any(|(id, loss)| id == formula && loss == Loss::Mse)
}

/// Returns the kernel of an elementwise loss.
fn by_formula(loss: &Loss, form: LossVariant) -> Kernel {
    let (formula, loss) = loss_formulas()
        .find(|(_, it)| it.name() == loss.name())
        .expect("each elementwise loss has a formula");
    let width = u8::try_from(loss.predictions_each()).expect("a loss has a few inputs");
    Kernel::LossMap { formula, width, form }
}

/// Returns how a loss is verified.
fn spec(kernel: Kernel) -> TestSpec {
    match kernel {
        Kernel::LossClasses { form, .. } | Kernel::LossMap { form, .. } if form.members != 1 => {
            members_spec(kernel)
        }
        Kernel::LossClasses { loss, form }
            if form.is_plain() && loss == ClassLoss::CROSS_ENTROPY =>
        {
            TestSpec::new(
                |name, [m, n, _]| match name {
                    "logits" => Fill::within(8.0, [m, n]),
                    "goal" => Fill::below(m, n),
                    _ => common(name, m, n),
                },
                |_| (1e-5, 2e-5),
            )
            .half([DOWN])
        }
        Kernel::LossMap { formula, form, .. } if form.is_plain() && is_mse(formula) => {
            TestSpec::new(
                |name, [m, n, _]| common(name, m, n),
                |[_, n, _]| (sum_error(n), 8.0 * ROUNDOFF),
            )
            .cpu_sizes([[130, 17, 99], [300, 257, 300]])
            .half([DOWN])
        }
        Kernel::LossMap { formula, .. } => {
            let (_, loss) = loss_formulas()
                .find(|(id, _)| *id == formula)
                .expect("the kernel is one of those above");
            // Half precision is in the last line of the shader's text alone: one variant of each kernel is enough.
            let half = loss == Loss::Mae;
            let spec =
                TestSpec::new(move |name, [m, n, _]| map_argument(&loss, name, m, n), limits);
            // Columns in pairs, for mean and variance.
            with_divisor(spec.sizes([[1, 2, 1], [63, 6, 61], [130, 12, 130]]), half)
        }
        Kernel::LossClasses { loss, .. } => {
            let spec =
                TestSpec::new(move |name, sizes| classes_argument(loss, name, sizes), limits);
            let half = loss == ClassLoss::KlDivergence;
            with_divisor(spec.sizes([[1, 2, 1], [63, 7, 61], [130, 13, 130]]), half)
        }
        _ => unreachable!("other kernels are not of this kind"),
    }
}

/// Arguments that all losses have alike: predictions, targets, weights of rows, the loss scale, and what is written.
fn common(name: &str, m: usize, n: usize) -> Fill {
    match name {
        "weights" => Fill::positive([m, 1]),
        "scaling" => Fill::scaling(0),
        "row_loss" => Fill::unit([m]),
        _ => Fill::unit([m, n]),
    }
}

/// Predictions are up to 1e4 in size, and a row's loss is a sum of its columns.
fn limits(_: Triple) -> (f64, f64) {
    (2e-6, 4e-6)
}

fn with_divisor(spec: TestSpec, half: bool) -> TestSpec {
    TestSpec { divisor: Some(37.5), half: half.then_some(DOWN).into_iter().collect(), ..spec }
}

fn classes_argument(loss: ClassLoss, name: &str, [m, n, _]: Triple) -> Fill {
    match name {
        "logits" => Fill::extreme([m, n]),
        "goal" if Loss::from(loss).classes() => Fill::below(m, n),
        "goal" => Fill::positive([m, n]),
        "constants" => Fill::positive([n]),
        _ => common(name, m, n),
    }
}

fn map_argument(loss: &Loss, name: &str, m: usize, n: usize) -> Fill {
    let (wants, targets) = (loss.wants(), loss.targets_for(n).unwrap_or(n));
    match (name, wants) {
        // Of a rate's logarithm; the rate itself overflows early.
        ("prediction", RequiredTarget::Counts) => Fill::within(8.0, [m, n]),
        ("prediction", _) => Fill::extreme([m, n]),
        ("goal", RequiredTarget::Labels) => Fill::truths([m, targets]),
        ("goal", RequiredTarget::Counts) => Fill::positive([m, targets]),
        ("goal", _) => Fill::unit([m, targets]),
        ("constants", RequiredTarget::Labels) => Fill::positive([targets]),
        ("constants", _) => Fill::positive([loss.outputs_each()]),
        _ => common(name, m, n),
    }
}
