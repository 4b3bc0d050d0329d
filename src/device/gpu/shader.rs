//! A kernel's WGSL: constants in front, then the row's files as they are.

use std::fmt::Write as _;

use super::kernels::{KernelSpec, Variant};
use crate::model::Activation;
use crate::plan::Kernel;

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

/// Whether an activation is a handful of instructions, so that a loop over a tile's elements may be unrolled.
pub(super) fn short(act: Activation) -> u32 {
    use Activation::{Identity, LeakyRelu, Relu};
    u32::from(matches!(act, Identity | Relu | LeakyRelu))
}

/// The bits of all that is fused into a product; 0 for other kernels.
pub(super) fn fused(kernel: &Kernel) -> u32 {
    let acts = |act: Activation| act != Activation::Identity;
    let on = match *kernel {
        Kernel::MatmulNt { bias, act, save } => {
            vec![("TRANSPOSE_B", true), ("BIAS", bias), ("SAVE", save), ("ACTIVATE", acts(act))]
        }
        Kernel::MatmulNn { act_grad } => vec![("GRADIENT", acts(act_grad))],
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
        | Kernel::MatmulNn { act_grad: act }
        | Kernel::Activate { act, .. }
        | Kernel::ActivateGrad { act } => act,
        _ => Activation::Identity,
    }
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
                ("SHORT_ACT", short(act)),
                ("FUSED", fused),
                ("ONE_PIPELINE", u32::from(variant.one_pipeline)),
            ]);
            consts
        }
        Kernel::Activate { bias, .. } => vec![("ACT", number(act)), ("BIAS", u32::from(bias))],
        Kernel::ActivateGrad { .. } => vec![("ACT", number(act))],
        Kernel::UpdateSgd { momentum, nesterov, .. } => {
            vec![("MOMENTUM", u32::from(momentum != 0.0)), ("NESTEROV", u32::from(nesterov))]
        }
        Kernel::UpdateAdam { decoupled, .. } => vec![("DECOUPLED", u32::from(decoupled))],
        Kernel::Add
        | Kernel::SumRows
        | Kernel::LossCrossEntropy
        | Kernel::LossMse
        | Kernel::LogLoss
        | Kernel::PutRows => vec![],
    }
}

/// The WGSL of one variant with these constants.
pub fn assemble(spec: &KernelSpec, variant: &Variant, consts: &[(&str, u32)]) -> String {
    let mut wgsl = String::new();
    for (name, value) in variant.consts.iter().chain(consts) {
        let _ = writeln!(wgsl, "const {name}: u32 = {value}u;");
    }
    if consts.iter().any(|(name, _)| *name == "ACT") {
        for act in Activation::ALL {
            let _ = writeln!(wgsl, "const {}: u32 = {}u;", act.name().to_uppercase(), number(act));
        }
    }
    for part in spec.source.iter().chain(variant.source) {
        wgsl += part;
    }
    wgsl
}
