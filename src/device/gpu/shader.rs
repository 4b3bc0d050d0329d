//! A kernel's WGSL: constants and what its numbers are kept in in front, then the row's files as they are.

use std::fmt::Write as _;

use super::kernels::{KernelSpec, Variant};
use crate::expr::{Number, Quantity};
use crate::model::Activation;
use crate::plan::{Dropout, Element, Formula, Kernel, Scaling, Stored};

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
        Kernel::Rescale => {
            vec![("GROW_AFTER", Scaling::GROW_AFTER), ("LARGEST", Scaling::LARGEST)]
        }
        Kernel::UpdateSgd { momentum, nesterov, scaled, .. } => vec![
            ("MOMENTUM", u32::from(momentum != 0.0)),
            ("NESTEROV", u32::from(nesterov)),
            ("SCALED", u32::from(scaled)),
        ],
        Kernel::UpdateAdam { decoupled, scaled, .. } => {
            vec![("DECOUPLED", u32::from(decoupled)), ("SCALED", u32::from(scaled))]
        }
        Kernel::UpdateRunning { unbiased, .. } => vec![("UNBIASED", u32::from(unbiased))],
        Kernel::MapColumns { maximum, .. } => vec![("MAXIMUM", u32::from(maximum))],
        Kernel::Lookup { .. }
        | Kernel::LookupGrad { .. }
        | Kernel::Map { .. }
        | Kernel::MapRows { .. }
        | Kernel::Add
        | Kernel::SumRows
        | Kernel::LogLoss
        | Kernel::PutRows
        | Kernel::CheckFinite => {
            vec![]
        }
    }
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

/// The function `formula` of a kernel that names one, in WGSL; nothing for others.
pub fn generated(kernel: &Kernel, formulas: &[Formula]) -> String {
    let Some(formula) = kernel.formula().and_then(|id| formulas.get(usize::from(id.0))) else {
        return String::new();
    };
    let input = |index: u8| format!("load{index}(row, column)");
    let (body, out) = formula.program.wgsl(input, quantity);
    format!("fn formula(row: u32, column: u32) -> f32 {{\n{body}    return {};\n}}\n", out[0])
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
