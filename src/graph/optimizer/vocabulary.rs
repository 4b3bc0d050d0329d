//! Entries of all optimizers for the document of the vocabulary.

use crate::vocabulary::Entry;

/// Entries of all optimizers, in the table's order.
pub(super) const VOCABULARY: &[Entry] = &[
    Entry {
        name: "sgd",
        formula: "g ← g + wd·w; v ← µ v + (1 − dampening) g; w ← w − lr (nesterov ? g + µ v : v)",
        parameters: "momentum 0, dampening 0, nesterov false, weight-decay 0",
        source: "torch.optim.SGD",
    },
    Entry {
        name: "adam",
        formula: "g ← g + wd·w; m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; w ← w − lr m̂ / (√v̂ + eps); amsgrad: the largest v so far",
        parameters: "beta1 0.9, beta2 0.999, eps 1e-8, weight-decay 0, amsgrad false",
        source: "torch.optim.Adam; Kingma and Ba 2014, arXiv:1412.6980",
    },
    Entry {
        name: "adamw",
        formula: "w ← w − lr·wd·w, then adam without decay",
        parameters: "beta1 0.9, beta2 0.999, eps 1e-8, weight-decay 0.01, amsgrad false",
        source: "torch.optim.AdamW; Loshchilov and Hutter 2017, arXiv:1711.05101",
    },
    Entry {
        name: "rmsprop",
        formula: "g ← g + wd·w; s ← α s + (1 − α) g²; centered: s less the square of g's running mean; w ← w − lr (µ-velocity of g / (√s + eps))",
        parameters: "alpha 0.99, eps 1e-8, weight-decay 0, momentum 0, centered false",
        source: "torch.optim.RMSprop; Hinton 2012, Neural Networks for Machine Learning, lecture 6",
    },
    Entry {
        name: "adagrad",
        formula: "g ← g + wd·w; s ← s + g²; w ← w − lr / (1 + (t − 1) lr-decay) · g / (√s + eps)",
        parameters: "lr-decay 0, weight-decay 0, initial-accumulator 0, eps 1e-10",
        source: "torch.optim.Adagrad; Duchi et al. 2011, JMLR 12",
    },
    Entry {
        name: "adadelta",
        formula: "g ← g + wd·w; s ← ρ s + (1 − ρ) g²; d = √(u + eps) / √(s + eps) · g; u ← ρ u + (1 − ρ) d²; w ← w − lr d",
        parameters: "rho 0.9, eps 1e-6, weight-decay 0",
        source: "torch.optim.Adadelta; Zeiler 2012, arXiv:1212.5701",
    },
    Entry {
        name: "adamax",
        formula: "g ← g + wd·w; m ← β₁ m + (1 − β₁) g; u ← max(β₂ u, |g| + eps); w ← w − lr / (1 − β₁ᵗ) · m / u",
        parameters: "beta1 0.9, beta2 0.999, eps 1e-8, weight-decay 0",
        source: "torch.optim.Adamax; Kingma and Ba 2014, arXiv:1412.6980",
    },
    Entry {
        name: "nadam",
        formula: "µₜ = β₁ (1 − 0.96^(t ψ) / 2); w ← w − lr ((1 − µₜ) g / (1 − Πµ) + µₜ₊₁ m / (1 − Πµ·µₜ₊₁)) / (√v̂ + eps)",
        parameters: "beta1 0.9, beta2 0.999, eps 1e-8, weight-decay 0, momentum-decay 4e-3 (ψ), decoupled false",
        source: "torch.optim.NAdam; Dozat 2016, ICLR workshop",
    },
    Entry {
        name: "radam",
        formula: "ρ∞ = 2 / (1 − β₂) − 1; ρₜ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ); w ← w − lr m̂ · (ρₜ > 5 ? r √(1 − β₂ᵗ) / (√v + eps) : 1)",
        parameters: "beta1 0.9, beta2 0.999, eps 1e-8, weight-decay 0, decoupled false",
        source: "torch.optim.RAdam; Liu et al. 2019, arXiv:1908.03265",
    },
    Entry {
        name: "lion",
        formula: "w ← w − lr (sign(β₁ m + (1 − β₁) g) + wd·w); m ← β₂ m + (1 − β₂) g",
        parameters: "beta1 0.9, beta2 0.99, weight-decay 0",
        source: "Chen et al. 2023, arXiv:2302.06675, algorithm 2",
    },
    Entry {
        name: "lamb",
        formula: "r = m̂ / (√v̂ + eps) + wd·w; w ← w − lr |w| / |r| · r, with norms over each parameter, and 1 for their ratio where one is 0",
        parameters: "beta1 0.9, beta2 0.999, eps 1e-6, weight-decay 0.01",
        source: "You et al. 2019, arXiv:1904.00962, algorithm 2, φ the identity",
    },
    Entry {
        name: "muon",
        formula: "v ← µ v + g; O = orthogonal part of (nesterov ? g + µ v : v), by X ← 3.4445 X − 4.775 X Xᵀ X + 2.0315 (X Xᵀ)² X from X = v / |v|; w ← w − lr·wd·w − lr √max(1, rows/columns) O, or match-rms: lr 0.2 √max(rows, columns); adamw with eps 1e-8 for what is no matrix",
        parameters: "momentum 0.95, nesterov true, weight-decay 0.1, eps 1e-7, steps 5, match-rms false, beta1 0.9, beta2 0.999",
        source: "torch.optim.Muon (adjust_lr_fn original, match_rms_adamw) but in single precision; Jordan et al. 2024, kellerjordan.github.io/posts/muon",
    },
    Entry {
        name: "schedule-free",
        formula: "z ← z − lr (g / (√v̂ + eps) + wd·y); x ← (1 − c) x + c z, c = (tʳ lr_maxᵖ)'s share of its sum so far; y = β₁ x + (1 − β₁) z; gradients at y, validation and the saved weights at x",
        parameters: "beta1 0.9, beta2 0.999, eps 1e-8, weight-decay 0, r 0, lr-power 2 (p)",
        source: "AdamW of Defazio et al. 2024, arXiv:2405.15682",
    },
];
