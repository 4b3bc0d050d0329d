//! Formulas element by element, and their sums over rows and columns: `map`, `map_rows`, `map_columns`, which `map.rs` computes,
//! and several of them one after the other: `map_chain`, `map_rows_chain`, `map_columns_chain`, which `chain.rs` computes.

use super::super::chain::{ChainArgs, ChainResults, PreparedLink};
use super::super::engine::CpuKernels;
use super::super::map::{ElementwiseArgs, SumOver};
use super::super::{CompiledMap, Real};
use super::{MatmulShape, Slots, StepWork, disjoint};
use crate::device::cases::formulas::{
    UsualFormula, chain_kernels, formulas, map_kernels, usual_formula,
};
use crate::device::cases::{
    Cases, DOWN, Fill, HALF, ROUNDOFF, TestSpec, Triple, UP, smooth, sum_error,
};
use crate::model::Activation;
use crate::plan::{
    Broadcast, Chain, ChainKind, Element, FormulaId, Kernel, Link, LinkResult, MOST_LINKS,
    MOST_OPERANDS, Step,
};

/// Returns the reduction of a formula's kernel.
fn reduction(kernel: &Kernel) -> Option<SumOver> {
    Some(match kernel {
        Kernel::Map { .. } => SumOver::Nothing,
        Kernel::MapRows { .. } => SumOver::Rows,
        Kernel::MapColumns { maximum: false, .. } => SumOver::Columns,
        Kernel::MapColumns { maximum: true, .. } => SumOver::Largest,
        _ => return None,
    })
}

pub(super) fn prepare<T: Real>(slots: &Slots<'_>) -> Option<StepWork<T>> {
    if let Kernel::Chain(chain) = &slots.step.kernel {
        return Some(prepare_chain(slots, chain));
    }
    let over = reduction(&slots.step.kernel)?;
    let formula = slots.formula();
    // Operands may overlap, so they are not borrowed as the arguments of other kernels are.
    let ranges: Vec<_> = slots.step.reads.iter().map(|&slot| slots.range(slot)).collect();
    let result = slots.range(slots.step.writes[0]);
    // Rows of the matrix that the formula goes over.
    let rows = match over {
        SumOver::Nothing => result.len() / formula.columns.max(1),
        SumOver::Rows => formula.rows(ranges.iter().map(ExactSizeIterator::len)),
        SumOver::Columns | SumOver::Largest => result.len(),
    };
    let compiled = CompiledMap::of(&formula, over);
    let sizes = MatmulShape { m: rows, n: formula.columns, k: compiled.cost() };
    Some(StepWork::<T>::new(sizes, move |engine, arenas, &step| {
        let (before, rest) = arenas.floats.split_at_mut(result.start);
        let (out, after) = rest.split_at_mut(result.len());
        let mut operands: [&[T]; MOST_OPERANDS] = [&[]; MOST_OPERANDS];
        for (operand, range) in operands.iter_mut().zip(&ranges) {
            // No step reads what it writes.
            *operand = match range.start.checked_sub(result.end) {
                Some(start) => &after[start..start + range.len()],
                None => &before[range.clone()],
            };
        }
        let (formula, compiled) = (&formula, &compiled);
        let mapped = ElementwiseArgs { formula, compiled, operands, rows, first_row: 0, step };
        engine.map(mapped, over, out);
    }))
}

/// Returns the work of a chain.
fn prepare_chain<T: Real>(slots: &Slots<'_>, chain: &Chain) -> StepWork<T> {
    let (rows, columns) = slots.plan.chain_sizes(chain, slots.step);
    let parts = chain.parts(slots.step);
    let link = |(link, part): (Link, &Step)| {
        let over = reduction(&part.kernel).expect("a link is a formula");
        let formula = slots.plan.formula(link.formula).clone();
        let compiled = CompiledMap::of(&formula, over);
        let half = slots.spec(part.writes[0]).element == Element::F16;
        PreparedLink { formula, compiled, over, arguments: link.arguments().collect(), half }
    };
    let links: Vec<PreparedLink> = chain.links().zip(&parts).map(link).collect();
    let inputs = slots.step.reads.len();
    let cost = links.iter().map(|link| link.compiled.cost()).sum();
    let sizes = MatmulShape { m: rows, n: columns, k: cost };
    let ranges = slots.floats::<{ MOST_OPERANDS + MOST_LINKS }>();
    StepWork::new(sizes, move |engine, arenas, &step| {
        let mut all = disjoint(arenas.floats, &ranges).into_iter();
        let reads: [&[T]; MOST_OPERANDS] = std::array::from_fn(|_| match all.next() {
            Some(read) => &*read,
            None => &[],
        });
        let outs: ChainResults<'_, T> = std::array::from_fn(|_| all.next().unwrap_or_default());
        let links = &links;
        engine.chain(ChainArgs { links, reads, inputs, rows, first_row: 0, step }, outs);
    })
}

/// Returns how these kernels are verified.
pub(in crate::device) fn cases() -> Vec<Cases> {
    let chains = chain_kernels().into_iter().map(|chain| Cases::of([chain], chain_spec));
    std::iter::once(Cases::of(map_kernels(), spec)).chain(chains).collect()
}

/// Returns how a chain is verified.
fn chain_spec(kernel: Kernel) -> TestSpec {
    let Kernel::Chain(chain) = kernel else { unreachable!("other kernels are not of this kind") };
    TestSpec::new(
        move |name, [m, n, _]| {
            let index: usize = name[1..].parse().expect("slots are numbered");
            // Each read slot lies as its first user says; results as their formulas are summed.
            let along = |link: Link| {
                let at = link.arguments().position(|argument| argument == index)?;
                Some(formulas(n)[link.formula.index()].operands[at].along)
            };
            if name.starts_with('x') {
                return match chain.links().find_map(along) {
                    Some(Broadcast::Both) => Fill::unit([m, n]),
                    Some(Broadcast::Columns) => Fill::unit([n]),
                    Some(Broadcast::Rows) => Fill::unit([m]),
                    _ => Fill::unit([1]),
                };
            }
            match chain.links().nth(index).map(|link| link.result) {
                Some(LinkResult::Elements) => Fill::unit([m, n]),
                // Sums have the length of the other axis.
                _ if chain.kind == ChainKind::Rows => Fill::unit([n]),
                _ => Fill::unit([m]),
            }
        },
        // Later formulas take the errors of earlier ones times small factors.
        |[m, n, _]| (4.0 * sum_error(m.max(n)) + 4e-6, 2e-5),
    )
    .cpu_sizes([[129, 300, 129], [9, 2100, 7]])
    .half([HALF, UP, DOWN])
}

/// Returns how a kernel of this kind is verified.
fn spec(kernel: Kernel) -> TestSpec {
    match kernel {
        Kernel::MapRows { formula, .. } => TestSpec::new(
            move |name, [m, n, _]| operand(formula, name, m, n).unwrap_or(Fill::unit([n])),
            |[m, ..]| (4.0 * sum_error(m) + 1e-6, 0.0),
        )
        .cpu_sizes([[129, 300, 129]])
        .half([UP]),
        Kernel::MapColumns { formula, .. } => TestSpec::new(
            move |name, [m, n, _]| operand(formula, name, m, n).unwrap_or(Fill::unit([m])),
            |[_, n, _]| (4.0 * sum_error(n) + 1e-6, 0.0),
        ),
        Kernel::Map { formula, .. } => {
            if let Some(usual) = usual_formula(formula) {
                return usual_spec(formula, usual);
            }
            let spec = TestSpec::new(
                move |name, [m, n, _]| operand(formula, name, m, n).unwrap_or(Fill::unit([m, n])),
                // Exponentials of 80 err by 163 units in the last place.
                |_| (4e-6, 2e-5),
            );
            if is_function(formula) { spec.sizes([[1, 1, 1], [9, 13, 9]]) } else { spec }
        }
        _ => unreachable!("other kernels are not of this kind"),
    }
}

/// Returns how one of the usual formulas is verified.
fn usual_spec(formula: FormulaId, usual: UsualFormula) -> TestSpec {
    let values = move |name: &str, [m, n, _]: Triple| match (name, usual) {
        ("x0", UsualFormula::Activation(_)) => Fill::extreme([m, n]),
        // These activations save their output, which is at most 1.
        ("x1", UsualFormula::ActivationGradient(Activation::Tanh | Activation::Sigmoid)) => {
            Fill::unit([m, n])
        }
        ("x1", UsualFormula::ActivationGradient(_)) => Fill::extreme([m, n]),
        _ => operand(formula, name, m, n).unwrap_or(Fill::unit([m, n])),
    };
    let limits = move |_| match usual {
        // 30 x is rounded, for |x| up to 8 by 240 u; the derivative multiplies this by 30.
        UsualFormula::Activation(Activation::Siren) => (2.0 * 240.0 * ROUNDOFF, 2e-5),
        UsualFormula::ActivationGradient(Activation::Siren) => {
            (2.0 * 30.0 * 240.0 * ROUNDOFF, 2e-5)
        }
        UsualFormula::Activation(act) | UsualFormula::ActivationGradient(act) => {
            activation_limits(act)
        }
        UsualFormula::Sum | UsualFormula::Bias | UsualFormula::Same => (0.0, ROUNDOFF),
    };
    let spec = TestSpec::new(values, limits).half([HALF, DOWN, UP]);
    if usual == UsualFormula::Sum {
        // It tests the folded grid for all elementwise kernels.
        spec.sizes([[1, 1, 1], [31, 57, 31], [65_537, 65, 65_537]])
    } else {
        spec
    }
}

/// Returns the limits of an activation's error, with that of adding a bias.
fn activation_limits(act: Activation) -> (f64, f64) {
    let (abs, rel) = smooth(act);
    (abs + 8.0 * ROUNDOFF, rel + 4.0 * ROUNDOFF)
}

/// Returns whether a formula is a single function, as those after the first three are: these need extreme values.
fn is_function(formula: FormulaId) -> bool {
    formula.0 > 2 && usual_formula(formula).is_none()
}

/// Returns the values of a formula's operand over `[m, n]` with a name such as `x0`; `None` for the result.
fn operand(id: FormulaId, name: &str, m: usize, n: usize) -> Option<Fill> {
    let index: usize = name.strip_prefix('x')?.parse().expect("operands are numbered");
    let formulas = formulas(n);
    let operand = formulas[usize::from(id.0)].operands[index];
    Some(match operand.along {
        Broadcast::Both if is_function(id) => Fill::extreme([m, n]),
        Broadcast::Both => Fill::unit([m, n]),
        Broadcast::Columns => Fill::unit([n]),
        Broadcast::Rows => Fill::unit([m]),
        Broadcast::Nothing => Fill::unit([1]),
    })
}
