//! Numbers that represent a kernel's fusions and settings in shaders.

use crate::graph::ClassLoss;
use crate::model::Activation;
use crate::plan::{Dropout, Kernel};
use crate::shape::narrow;

/// Returns the number of an activation in shaders.
pub(super) fn number(act: Activation) -> u32 {
    let place = Activation::ALL.iter().position(|other| *other == act);
    narrow(place.expect("the list of activations has all of them"))
}

/// Fusions of a product: names in shaders, and the bits that stand for them.
pub(super) const FUSIONS: [(&str, u32); 8] = [
    ("TRANSPOSE_A", 1),
    ("TRANSPOSE_B", 2),
    ("BIAS", 4),
    ("SAVE", 8),
    ("ACTIVATE", 16),
    ("GRADIENT", 32),
    ("BIAS_GRAD", 64),
    ("SAVE_RESULT", 128),
];

/// Returns whether the instructions after a sum are so few that a loop over a tile's elements may be unrolled.
pub(super) fn short(act: Activation, dropout: bool) -> u32 {
    use Activation::{Identity, LeakyRelu, Relu};
    u32::from(!dropout && matches!(act, Identity | Relu | LeakyRelu))
}

/// Returns the bits of all fusions of a product; 0 for other kernels.
pub(super) fn fused(kernel: &Kernel) -> u32 {
    if !kernel.is_product() {
        return 0;
    }
    // The declaration's constants have the names of the bits, so no fusion is listed twice.
    let on: Vec<_> = kernel.declaration().constants().into_iter().filter(|it| it.1 == 1).collect();
    let bits = FUSIONS.iter().filter(|(name, _)| on.contains(&(name, 1)));
    bits.map(|(_, bit)| bit).sum()
}

/// Returns the activation that a kernel applies, or whose derivative it applies.
pub(super) fn activation_of(kernel: &Kernel) -> Activation {
    match *kernel {
        Kernel::MatmulNt { act, .. } | Kernel::MatmulNn { act_grad: act, .. } => act,
        _ => Activation::Identity,
    }
}

/// Returns the dropout that is fused into a product.
pub(super) fn dropout_of(kernel: &Kernel) -> Option<Dropout> {
    match *kernel {
        Kernel::MatmulNt { dropout, .. } | Kernel::MatmulNn { dropout, .. } => dropout,
        _ => None,
    }
}

/// Kinds of losses over classes: names in the shader, and their numbers.
pub(super) const CLASS_LOSSES: [(&str, u32); 4] =
    [("LABELS", 0), ("SHARES", 1), ("FOCAL", 2), ("HINGE", 3)];

/// Returns the kind of a loss over classes, and its one setting.
pub(super) fn class_loss(loss: ClassLoss) -> (u32, f64) {
    let (kind, setting) = match loss {
        ClassLoss::KlDivergence => (1, 0.0),
        ClassLoss::Focal { gamma } => (2, gamma),
        ClassLoss::Hinge { margin } => (3, margin),
        ClassLoss::CrossEntropy { label_smoothing } => (0, label_smoothing),
    };
    (CLASS_LOSSES[kind].1, setting)
}
