//! A kernel's WGSL: constants in front, then the row's files as they are.

use std::fmt::Write as _;

use super::kernels::{KernelSpec, Variant};
use crate::model::Activation;
use crate::plan::Kernel;

/// The number that stands for an activation in shaders.
fn number(act: Activation) -> u32 {
    let place = Activation::ALL.iter().position(|other| *other == act);
    place.and_then(|place| u32::try_from(place).ok()).unwrap_or(0)
}

/// The constants that a kernel's fusions set in its shader.
pub fn consts(kernel: &Kernel) -> Vec<(&'static str, u32)> {
    let matmul = |transpose: [bool; 2], act, flags: [bool; 4]| {
        vec![
            ("TRANSPOSE_A", u32::from(transpose[0])),
            ("TRANSPOSE_B", u32::from(transpose[1])),
            ("ACT", number(act)),
            ("BIAS", u32::from(flags[0])),
            ("SAVE", u32::from(flags[1])),
            ("GRADIENT", u32::from(flags[2])),
            ("BIAS_GRAD", u32::from(flags[3])),
        ]
    };
    match *kernel {
        Kernel::Gather { ordered, targets } => vec![("ORDERED", u32::from(ordered)), ("TARGETS", u32::from(targets))],
        Kernel::MatmulNt { bias, act, save } => matmul([false, true], act, [bias, save, false, false]),
        Kernel::MatmulNn { act_grad } => {
            matmul([false, false], act_grad, [false, false, act_grad != Activation::Identity, false])
        }
        Kernel::MatmulTn { bias_grad } => {
            matmul([true, false], Activation::Identity, [false, false, false, bias_grad])
        }
        Kernel::Activate { act, bias } => vec![("ACT", number(act)), ("BIAS", u32::from(bias))],
        Kernel::ActivateGrad { act } => vec![("ACT", number(act))],
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
    for part in spec.source.iter().chain([&variant.source]) {
        wgsl += part;
    }
    wgsl
}
