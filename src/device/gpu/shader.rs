//! A kernel's WGSL: constants and what its numbers are kept in in front, then the row's files as they are.

use std::fmt::Write as _;

use super::kernels::{KernelSpec, Variant};
use crate::expr::{Number, Quantity};
use crate::graph::{Input, Loss, PassKind};
use crate::model::Activation;
use crate::plan::{Dropout, Element, Formula, Kernel, LossForm, Scaling, Stored, Update};

/// The number that stands for an activation in shaders.
pub(super) fn number(act: Activation) -> u32 {
    let place = Activation::ALL.iter().position(|other| *other == act);
    place.and_then(|place| u32::try_from(place).ok()).unwrap_or(0)
}

/// What may be fused into a product: names in shaders, and the bits that stand for them.
pub(super) const FUSIONS: [(&str, u32); 7] = [
    ("TRANSPOSE_A", 1),
    ("TRANSPOSE_B", 2),
    ("BIAS", 4),
    ("SAVE", 8),
    ("ACTIVATE", 16),
    ("GRADIENT", 32),
    ("BIAS_GRAD", 64),
];

/// Whether what follows a sum is a handful of instructions, so that a loop over a tile's elements may be unrolled.
pub(super) fn short(act: Activation, dropout: bool) -> u32 {
    use Activation::{Identity, LeakyRelu, Relu};
    u32::from(!dropout && matches!(act, Identity | Relu | LeakyRelu))
}

/// The bits of all that is fused into a product; 0 for other kernels.
pub(super) fn fused(kernel: &Kernel) -> u32 {
    let acts = |act: Activation| act != Activation::Identity;
    let on = match *kernel {
        Kernel::MatmulNt { bias, act, save, .. } => {
            vec![("TRANSPOSE_B", true), ("BIAS", bias), ("SAVE", save), ("ACTIVATE", acts(act))]
        }
        Kernel::MatmulNn { act_grad, .. } => vec![("GRADIENT", acts(act_grad))],
        Kernel::MatmulTn { bias_grad } => vec![("TRANSPOSE_A", true), ("BIAS_GRAD", bias_grad)],
        _ => vec![],
    };
    let bit = |name: &str| FUSIONS.iter().find(|(other, _)| *other == name).map_or(0, |it| it.1);
    on.into_iter().filter(|(_, on)| *on).map(|(name, _)| bit(name)).sum()
}

/// The activation that a kernel applies, or whose gradient it applies.
pub(super) fn activation_of(kernel: &Kernel) -> Activation {
    match *kernel {
        Kernel::MatmulNt { act, .. }
        | Kernel::MatmulNn { act_grad: act, .. }
        | Kernel::Activate { act, .. }
        | Kernel::ActivateGrad { act } => act,
        _ => Activation::Identity,
    }
}

/// The dropout that is fused into a product.
pub(super) fn dropout_of(kernel: &Kernel) -> Option<Dropout> {
    match *kernel {
        Kernel::MatmulNt { dropout, .. } | Kernel::MatmulNn { dropout, .. } => dropout,
        _ => None,
    }
}

/// Whether what a product saves is the activation's result, before dropout, instead of its argument.
fn saves_result(kernel: &Kernel) -> bool {
    let Kernel::MatmulNt { act, save: true, dropout: Some(_), .. } = kernel else { return false };
    act.gradient_from_output()
}

/// The constants that a kernel's fusions set in its shader. Products of a variant whose fusions are uniforms take
/// `usual`, the plan's activation, where they have none of their own: so all of them share one pipeline.
pub fn consts(kernel: &Kernel, variant: &Variant, usual: Activation) -> Vec<(&'static str, u32)> {
    let act = activation_of(kernel);
    match *kernel {
        Kernel::Gather { ordered, targets } => {
            vec![("ORDERED", u32::from(ordered)), ("TARGETS", u32::from(targets))]
        }
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
            let (act, fused) = match (variant.one_pipeline, act) {
                (false, _) => (act, fused(kernel)),
                (true, Activation::Identity) => (usual, 0),
                (true, _) => (act, 0),
            };
            let mut consts = FUSIONS.to_vec();
            consts.extend([
                ("ACT", number(act)),
                ("SHORT_ACT", short(act, dropout_of(kernel).is_some())),
                ("FUSED", fused),
                ("ONE_PIPELINE", u32::from(variant.one_pipeline)),
                ("DROPOUT", u32::from(dropout_of(kernel).is_some())),
                ("SAVE_RESULT", u32::from(saves_result(kernel))),
            ]);
            consts
        }
        Kernel::Activate { bias, .. } => vec![("ACT", number(act)), ("BIAS", u32::from(bias))],
        Kernel::ActivateGrad { .. } => vec![("ACT", number(act))],
        Kernel::LossCrossEntropy { scaled } | Kernel::LossMse { scaled } => {
            vec![("SCALED", u32::from(scaled))]
        }
        Kernel::LossMap(form) => {
            let width = form.loss.formula().map_or(1, |formula| formula.predictions());
            let mut consts = loss_consts(form);
            consts.push(("WIDTH", u32::try_from(width).unwrap_or(1)));
            consts
        }
        Kernel::LossClasses(form) => {
            let mut consts = loss_consts(form);
            consts.extend(CLASS_LOSSES);
            consts.push(("KIND", class_loss(form.loss).0));
            consts
        }
        Kernel::CheckFinite { loss } => vec![("LOSS", u32::from(loss))],
        Kernel::Rescale { scaled, guarded } => vec![
            ("GROW_AFTER", Scaling::GROW_AFTER),
            ("LARGEST", Scaling::LARGEST),
            ("SCALED", u32::from(scaled)),
            ("GUARDED", u32::from(guarded)),
        ],
        Kernel::UpdateSgd { momentum, nesterov, scaled, guarded, .. } => vec![
            ("MOMENTUM", u32::from(momentum != 0.0)),
            ("NESTEROV", u32::from(nesterov)),
            ("SCALED", u32::from(scaled)),
            ("GUARDED", u32::from(guarded)),
        ],
        Kernel::UpdateAdam { decoupled, scaled, guarded, .. } => vec![
            ("DECOUPLED", u32::from(decoupled)),
            ("SCALED", u32::from(scaled)),
            ("GUARDED", u32::from(guarded)),
        ],
        Kernel::UpdateRunning { momentum, unbiased, guarded } => vec![
            ("MEAN", u32::from(momentum.is_none())),
            ("UNBIASED", u32::from(unbiased)),
            ("GUARDED", u32::from(guarded)),
        ],
        Kernel::MapColumns { maximum, .. } => vec![("MAXIMUM", u32::from(maximum))],
        Kernel::Update(update) => {
            let states = if update.pass == PassKind::Second { 0 } else { update.states.into() };
            vec![
                ("WEIGHT", u32::from(update.pass != PassKind::First)),
                ("STATES", states),
                ("GATHERS", u32::from(update.gathers)),
                ("AVERAGES", u32::from(update.averages)),
                ("TABLE", u32::from(update.table)),
                ("SCALED", u32::from(update.scaled)),
                ("GUARDED", u32::from(update.guarded)),
            ]
        }
        Kernel::SquareSums { gradient, gathers, scaled } => vec![
            ("GRADIENT", u32::from(gradient)),
            ("GATHERS", u32::from(gathers)),
            ("SCALED", u32::from(scaled)),
        ],
        Kernel::Lookup { .. }
        | Kernel::LookupGrad { .. }
        | Kernel::Map { .. }
        | Kernel::MapRows { .. }
        | Kernel::Add
        | Kernel::SumRows
        | Kernel::LogLoss
        | Kernel::PutRows
        | Kernel::ClipNorm { .. }
        | Kernel::TrustRatios => vec![],
    }
}

fn loss_consts(form: LossForm) -> Vec<(&'static str, u32)> {
    vec![
        ("CONSTANTS", u32::from(form.constants)),
        ("WEIGHTS", u32::from(form.weights)),
        ("SCALED", u32::from(form.scaled)),
    ]
}

/// Kinds of losses over classes: names in the shader, and their numbers.
const CLASS_LOSSES: [(&str, u32); 4] = [("LABELS", 0), ("SHARES", 1), ("FOCAL", 2), ("HINGE", 3)];

/// The kind of a loss over classes, and its one setting.
pub(super) fn class_loss(loss: Loss) -> (u32, f64) {
    let (name, setting) = match loss {
        Loss::KlDivergence => ("SHARES", 0.0),
        Loss::Focal { gamma } => ("FOCAL", gamma),
        Loss::Hinge { margin } => ("HINGE", margin),
        Loss::SmoothedCrossEntropy { label_smoothing } => ("LABELS", label_smoothing),
        _ => ("LABELS", 0.0),
    };
    (CLASS_LOSSES.iter().find(|(other, _)| *other == name).map_or(0, |it| it.1), setting)
}

/// The function `loss_of` that an elementwise loss's shader calls.
fn loss_text(form: LossForm) -> String {
    let Some(formula) = form.loss.formula() else { return String::new() };
    let names = ["p", "y", "c", "raw"];
    let input = |index: u8| (*names.get(usize::from(index)).unwrap_or(&"0.0")).to_string();
    let (statements, results) = formula.program().wgsl(input, quantity);
    let result = |index: usize| results.get(index).map_or("0.0", String::as_str);
    format!(
        "alias V = f32;\n\
         struct Loss {{\n    value: f32,\n    slope: f32,\n    slope2: f32,\n}}\n\
         fn loss_of(p: f32, y: f32, c: f32, raw: f32) -> Loss {{\n{statements}    \
         return Loss({}, {}, {});\n}}\n",
        result(0),
        result(1),
        result(2)
    )
}

const HALF: &str = include_str!("../../../shaders/half.wgsl");
const READ_F32: &str = include_str!("../../../shaders/read_f32.wgsl");
const READ_F16: &str = include_str!("../../../shaders/read_f16.wgsl");
const WRITE_F32: &str = include_str!("../../../shaders/write_f32.wgsl");
const WRITE_F16: &str = include_str!("../../../shaders/write_f16.wgsl");

/// All of these files.
pub(super) const PRECISIONS: [&str; 5] = [HALF, READ_F32, READ_F16, WRITE_F32, WRITE_F16];

/// The files that say what a kernel's numbers are kept in.
fn kept(variant: &Variant, stored: Stored) -> [&'static str; 4] {
    [
        if stored.half() { HALF } else { "" },
        variant.cooperative.map_or("", |shape| shape.source),
        if stored.read == Element::F16 { READ_F16 } else { READ_F32 },
        if stored.write == Element::F16 { WRITE_F16 } else { WRITE_F32 },
    ]
}

/// The function `formula` of a kernel that names one, or that of an elementwise loss, in WGSL; nothing for others.
pub fn generated(kernel: &Kernel, formulas: &[Formula]) -> String {
    if let Kernel::LossMap(form) = kernel {
        return loss_text(*form);
    }
    let Some(formula) = kernel.formula().and_then(|id| formulas.get(usize::from(id.0))) else {
        return String::new();
    };
    if let Kernel::Update(update) = kernel {
        return generated_update(*update, formula);
    }
    let input = |index: u8| format!("load{index}(row, column)");
    let (body, out) = formula.program.wgsl(input, quantity);
    format!("fn formula(row: u32, column: u32) -> f32 {{\n{body}    return {};\n}}\n", out[0])
}

/// The function of the kernel `update`.
fn generated_update(update: Update, formula: &Formula) -> String {
    let input = |index: u8| match Input::of(index) {
        Input::Weight => "weight[at]".to_string(),
        Input::Gradient => "gradient[at]".to_string(),
        Input::State(state) => format!("state{state}[at]"),
        Input::Gathered => "gathered[at]".to_string(),
        Input::Average => "average[at]".to_string(),
        Input::Rate => "V(row.x)".to_string(),
        Input::Decay => "V(row.y)".to_string(),
        Input::Trust => "V(row.z)".to_string(),
        Input::Matrix => "V(row.w)".to_string(),
        Input::Clip => "V(factors[0].x)".to_string(),
        Input::Inverse => "V(scaling[INVERSE])".to_string(),
    };
    let (body, out) = formula.program.wgsl(input, quantity);
    let mut out = out.into_iter();
    let mut result = |there: bool| {
        let name = if there { out.next() } else { None };
        name.unwrap_or_else(|| "V()".to_string())
    };
    let (weight, states) = match update.pass {
        PassKind::Whole => (true, update.states),
        PassKind::First => (false, update.states),
        PassKind::Second => (true, 0),
    };
    let mut results = vec![result(weight)];
    results.extend((0..3).map(|state| result(state < states)));
    results.extend([result(update.averages), result(update.gathers)]);
    let results = results.join(", ");
    format!("fn formula(at: u32, row: V) -> Results {{\n{body}    return Results({results});\n}}\n")
}

/// What stands for a step's number in WGSL, in a function of `row` and `column`.
fn quantity(quantity: Quantity) -> String {
    match quantity {
        Quantity::Rows => "step.rows".to_string(),
        Quantity::Counts => "select(0.0, 1.0, row < step.rows)".to_string(),
        Quantity::Keep(stream, Number(rate)) => {
            format!("keep({stream}u, {:?}f, row * params.n + column)", rate as f32)
        }
        Quantity::Scalar(index) => format!("step.s{index}"),
    }
}

/// What `shaders/activation.wgsl` leaves to the host: value and slope of an activation that it does not know.
fn by_formula(act: Activation) -> String {
    // Those that it knows are compiled out.
    let act = if act.is_written_out() { Activation::Identity } else { act };
    let mut wgsl = String::new();
    for (name, program) in [("value", act.value_program()), ("slope", act.slope_program())] {
        let (body, out) = program.wgsl(|_| "x".to_string(), |_| "0.0".to_string());
        let body = body.replace("V(", "f32(");
        let _ = writeln!(
            wgsl,
            "fn {name}_by_formula(x: f32) -> f32 {{\n{body}    return {};\n}}",
            out[0]
        );
    }
    wgsl
}

/// The WGSL of one variant with these constants and this text of the host's, for numbers kept like this.
pub fn assemble(
    spec: &KernelSpec,
    variant: &Variant,
    stored: Stored,
    consts: &[(&str, u32)],
    generated: &str,
) -> String {
    let mut wgsl = kept(variant, stored).concat();
    for (name, value) in variant.consts.iter().chain(consts) {
        let _ = writeln!(wgsl, "const {name}: u32 = {value}u;");
    }
    if consts.iter().any(|(name, _)| *name == "ACT") {
        for act in Activation::ALL {
            let _ = writeln!(wgsl, "const {}: u32 = {}u;", act.name().to_uppercase(), number(act));
        }
    }
    if let Some((_, act)) = consts.iter().find(|(name, _)| *name == "ACT") {
        wgsl += &by_formula(Activation::ALL[*act as usize]);
    }
    wgsl += generated;
    for part in spec.source.iter().chain(variant.source) {
        wgsl += part;
    }
    wgsl
}
