//! The formulas that are verified: each way in which an operand may lie, each number that a step brings, and each primitive function.

use std::sync::LazyLock;

use crate::expr::{Expr, Number, StepValue, Unary};
use crate::graph::{Average, Group, Loss, Optimizer, UpdateTransforms};
use crate::model::Activation;
use crate::plan::{
    Broadcast, Chain, ChainKind, Formula, FormulaId, Kernel, Link, LinkResult, Operand, Update,
    UpdatePass,
};

/// Formulas over matrices of so many columns.
fn formulas_of_maps(columns: usize) -> Vec<Formula> {
    let x = |index| Expr::input(index);
    let quantity = Expr::quantity;
    let along = |along| Operand::new(along, columns);
    let moved = |shift| Operand { shift, ..along(Broadcast::Both) };
    // One of each kind, and what a step brings.
    let all = x(0) * x(1)
        + x(2) / (2.0 + x(3))
        + quantity(StepValue::Counts) * x(0) / quantity(StepValue::Rows);
    let all = all * quantity(StepValue::Keep(3, Number(0.3)));
    let all_along = [Broadcast::Both, Broadcast::Columns, Broadcast::Rows, Broadcast::Nothing]
        .map(along)
        .to_vec();
    // Operands that overlap in part, on either side, and one that is read twice.
    let shifted = x(0) * 2.0 + x(1) - x(2).tanh();
    let mut formulas = vec![
        Formula::new(&all, all_along, columns),
        Formula::new(&shifted, vec![moved(2), moved(-3), moved(0)], columns),
        Formula::new(
            &x(0).if_less(&x(1), &x(2).max(&x(3)), &x(4).min(&x(5))),
            vec![along(Broadcast::Both); 6],
            columns,
        ),
    ];
    formulas.extend(Unary::ALL.map(|function| {
        let argument = match function {
            Unary::Exp | Unary::Expm1 => x(0).min(&80.0.into()),
            Unary::Ln => x(0).abs().max(&1e-30.into()),
            Unary::Sqrt | Unary::Log1p => x(0).abs(),
            _ => x(0),
        };
        Formula::new(&argument.unary(function), vec![along(Broadcast::Both)], columns)
    }));
    formulas.extend(usual_formulas(columns).into_iter().map(|(_, formula)| formula));
    formulas
}

/// A formula for which devices may have loops of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::device) enum UsualFormula {
    Activation(Activation),
    ActivationGradient(Activation),
    Sum,
    Bias,
    Same,
}

/// These formulas over matrices of so many columns.
fn usual_formulas(columns: usize) -> Vec<(UsualFormula, Formula)> {
    let (x, whole) = (Expr::input, Operand::new(Broadcast::Both, columns));
    let bias = Operand::new(Broadcast::Columns, columns);
    // With texts of their own, since some are among the primitive functions, and equal formulas of a plan are one.
    let named = |text: String, expr: Expr, operands| Formula {
        text,
        ..Formula::new(&expr, operands, columns)
    };
    let mut formulas = vec![
        (UsualFormula::Sum, named("sum".into(), x(0) + x(1), vec![whole; 2])),
        (UsualFormula::Bias, named("bias".into(), x(0) + x(1), vec![whole, bias])),
        (UsualFormula::Same, named("same".into(), x(0), vec![whole])),
    ];
    for act in Activation::ALL.into_iter().filter(|act| *act != Activation::Identity) {
        let gradient = named(format!("{act} gradient"), act.gradient(), vec![whole; 2]);
        formulas.extend([
            (UsualFormula::Activation(act), named(act.to_string(), act.expr(), vec![whole])),
            (UsualFormula::ActivationGradient(act), gradient),
        ]);
    }
    formulas
}

/// Returns which of the usual formulas this is.
pub(in crate::device) fn usual_formula(id: FormulaId) -> Option<UsualFormula> {
    static USUAL: LazyLock<Vec<UsualFormula>> =
        LazyLock::new(|| usual_formulas(1).into_iter().map(|it| it.0).collect());
    let first = 3 + Unary::ALL.len();
    id.index().checked_sub(first).and_then(|at| USUAL.get(at).copied())
}

/// Updates that are verified, by the names of their optimizers: those whose expressions have every kind of input and result.
fn updates() -> Vec<(UpdateTransforms, &'static str, bool)> {
    let all = UpdateTransforms {
        accumulate: true,
        clip_norm: Some(0.5),
        clip_value: Some(0.3),
        groups: vec![Group::without_decay("bias")],
        average: Some(Average::Ema { decay: 0.9, warmup: 0.0 }),
        skips: false,
    };
    let guarded = UpdateTransforms { skips: true, ..all.clone() };
    let plain = UpdateTransforms::default;
    let skips = UpdateTransforms { skips: true, ..plain() };
    vec![
        (plain(), "adam(amsgrad=true, weight-decay=0.01)", false),
        (all.clone(), "rmsprop(centered=true, momentum=0.9, weight-decay=0.01)", false),
        (all.clone(), "lamb", false),
        (guarded, "nadam(weight-decay=0.01)", false),
        (plain(), "muon", false),
        (plain(), "lion(weight-decay=0.01)", true),
        (all.clone(), "radam(weight-decay=0.01)", true),
        (all, "adam(amsgrad=true, weight-decay=0.01)", true),
        // Optimizers for which devices may have loops of their own.
        (plain(), "sgd(weight-decay=0.01)", false),
        (plain(), "sgd(momentum=0.9, weight-decay=0.01)", false),
        (plain(), "sgd(momentum=0.9, nesterov=true, weight-decay=0.01)", true),
        (plain(), "adam(weight-decay=0.01)", false),
        (plain(), "adam(beta1=0.5, beta2=0.5)", true),
        (plain(), "adamw", true),
        (skips.clone(), "sgd(momentum=0.9)", false),
        (skips, "adamw", false),
    ]
}

/// The passes of these, each with what its kernel is told. They are derived once, since each of many cases asks for them.
pub(in crate::device) fn passes() -> &'static [(Formula, Update)] {
    static PASSES: LazyLock<Vec<(Formula, Update)>> = LazyLock::new(derived_passes);
    &PASSES
}

fn derived_passes() -> Vec<(Formula, Update)> {
    let mut passes = Vec::new();
    let before = formulas_of_maps(1).len();
    for (moves, name, scaled) in updates() {
        let Ok(optimizer) = Optimizer::by_name(name) else { continue };
        for pass in UpdatePass::all(&optimizer, &moves, !moves.groups.is_empty(), scaled) {
            let place = u16::try_from(before + passes.len()).expect("the formulas are few");
            let update = Update { formula: FormulaId(place), ..pass.update };
            passes.push((pass.formula, update));
        }
    }
    passes
}

/// The elementwise losses, with the places of their formulas among all; one of them of the user's own.
pub(in crate::device) fn loss_formulas() -> impl Iterator<Item = (FormulaId, Loss)> {
    static LOSSES: LazyLock<Vec<(FormulaId, Loss)>> = LazyLock::new(numbered_losses);
    LOSSES.iter().cloned()
}

fn numbered_losses() -> Vec<(FormulaId, Loss)> {
    let first = formulas_of_maps(1).len() + passes().len();
    let custom = Loss::custom("abs(y - p) / (1 + exp(-abs(p)))").into_iter();
    let losses = Loss::all().into_iter().map(|loss| match loss {
        Loss::PoissonNll { .. } => Loss::PoissonNll { full: true },
        other => other,
    });
    let losses = losses.chain(custom).filter(|loss| loss.formula().is_some()).enumerate();
    let numbered = losses.map(|(index, loss)| {
        (FormulaId(u16::try_from(first + index).expect("the formulas are few")), loss)
    });
    numbered.collect()
}

/// The formulas of the chains that are verified, over matrices of so many columns.
fn chain_formulas(columns: usize) -> Vec<Formula> {
    let (x, quantity) = (Expr::input, Expr::quantity);
    let along = |along| Operand::new(along, columns);
    let [both, column, row] = [Broadcast::Both, Broadcast::Columns, Broadcast::Rows].map(along);
    let named = |name: &str, expr: Expr, operands: &[Operand]| Formula {
        text: name.to_string(),
        ..Formula::new(&expr, operands.to_vec(), columns)
    };
    let mean = |x: Expr| x * quantity(StepValue::Counts) / quantity(StepValue::Rows);
    let keep = quantity(StepValue::Keep(5, Number(0.3)));
    let largest = named("chain largest", x(0) - x(1), &[both, column]);
    let sum = named("chain sum", (x(0) - x(1)) * (1.0 / columns as f64), &[both, row]);
    let scaled = named(
        "chain scaled",
        (x(0) - x(1)) / (x(2).square() + 1.0).sqrt() * x(3),
        &[both, row, row, column],
    );
    let dropped = named("chain dropped", x(0).tanh() * keep + x(1) * x(2), &[both, both, row]);
    let counted = named("chain counted", mean(x(0)), &[both]);
    let squares = named("chain squares", mean((x(0) - x(1)).square()), &[both, column]);
    vec![largest, sum, scaled, dropped, counted, squares]
}

/// Chains of these formulas, of each kind.
pub(in crate::device) fn chain_kernels() -> Vec<Kernel> {
    let first = formulas_of_maps(1).len() + passes().len() + loss_formulas().count();
    let link = |at: usize, result, arguments: &[u8]| {
        let formula = FormulaId(u16::try_from(first + at).expect("the formulas are few"));
        Link::new(formula, result, arguments)
    };
    use LinkResult::{Elements, Largest, Sum};
    // Reads a matrix, a value for each column and one for each row; its results are numbered from 3 on.
    let norm = [
        link(0, Largest, &[0, 1]),
        link(1, Sum, &[0, 3]),
        link(2, Elements, &[0, 3, 4, 1]),
        link(3, Elements, &[5, 0, 2]),
        link(1, Sum, &[6, 2]),
    ];
    // The same, but for two sums that nothing else reads.
    let inner = [0, 1, 2, 3, 4].map(|at| {
        let mut link = norm[at];
        link.stored = at > 1;
        link
    });
    let stats = [link(4, Sum, &[0]), link(5, Sum, &[0, 1])];
    // Reads as the first one, and sums what it has computed.
    let summed = [link(3, Elements, &[0, 0, 2]), link(4, Sum, &[3]), link(5, Sum, &[3, 1])];
    let elements = [link(2, Elements, &[0, 2, 2, 1]), link(3, Elements, &[3, 0, 2])];
    vec![
        Kernel::Chain(Chain::new(ChainKind::Columns, 3, &norm)),
        Kernel::Chain(Chain::new(ChainKind::Columns, 3, &inner)),
        Kernel::Chain(Chain::new(ChainKind::Rows, 1, &stats)),
        Kernel::Chain(Chain::new(ChainKind::Rows, 3, &summed)),
        Kernel::Chain(Chain::new(ChainKind::Elements, 3, &elements)),
    ]
}

/// All formulas that are verified; those of maps go over matrices of so many columns.
pub fn formulas(columns: usize) -> Vec<Formula> {
    let mut formulas = formulas_of_maps(columns);
    formulas.extend(passes().iter().map(|(formula, _)| formula.clone()));
    formulas.extend(loss_formulas().filter_map(|(_, loss)| {
        let (program, text) = (loss.planned_formula()?.program(), loss.to_string());
        Some(Formula { program, text, operands: vec![], columns: 0 })
    }));
    formulas.extend(chain_formulas(columns));
    formulas
}

/// The elementwise kernels of these formulas.
pub(in crate::device) fn map_kernels() -> Vec<Kernel> {
    let of = |index: usize, formula: &Formula| {
        let id = FormulaId(u16::try_from(index).expect("the formulas are few"));
        (id, u8::try_from(formula.operands.len()).expect("a kernel has a few operands"))
    };
    let mut kernels = Vec::new();
    for (index, formula) in formulas_of_maps(1).iter().enumerate() {
        let (formula, operands) = of(index, formula);
        kernels.push(Kernel::Map { formula, operands });
        // The ways of summing do not depend on what is summed.
        let same = usual_formula(formula) == Some(UsualFormula::Same);
        if index < 2 || same {
            kernels.push(Kernel::MapRows { formula, operands });
            kernels.push(Kernel::MapColumns { formula, operands, maximum: index != 0 });
        }
    }
    kernels
}

/// The updates in single precision; those with a loss scale are among the kernels in half precision.
pub(in crate::device) fn update_kernels() -> Vec<Kernel> {
    let updates = passes().iter().map(|(_, update)| *update);
    updates.filter(|update| !update.scaled).map(Kernel::Update).collect()
}
