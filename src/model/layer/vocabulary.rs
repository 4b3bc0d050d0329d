//! Entries of layers for the document of the vocabulary.

use crate::vocabulary::{Entry, entry};

/// Every layer but activations, in the order in which messages list them.
pub(super) const VOCABULARY: &[Entry] = &[
    entry(
        "dense",
        "y = x Wᵀ + b; with ntk y = x Wᵀ/√in + b",
        "units, bias true, init pytorch, ntk false",
        "torch.nn.Linear; Jacot et al. 2018, arXiv:1806.07572",
    ),
    entry(
        "dropout",
        "training: 0 with probability rate, else x/(1 − rate); else x",
        "rate 0.5",
        "torch.nn.Dropout",
    ),
    entry(
        "batch_norm",
        "y = (x − mean)/√(var + eps) · weight + bias by columns; running statistics outside of training",
        "eps 1e-5, momentum 0.1, affine true",
        "torch.nn.BatchNorm1d",
    ),
    entry(
        "layer_norm",
        "y = (x − mean)/√(var + eps) · weight + bias by rows",
        "eps 1e-5, affine true",
        "torch.nn.LayerNorm",
    ),
    entry(
        "rms_norm",
        "y = x/√(mean x² + eps) · weight by rows",
        "eps 1.1920929e-7, affine true",
        "torch.nn.RMSNorm",
    ),
    entry("residual", "y = x + f(x)", "layers", "He et al. 2015, arXiv:1512.03385"),
    entry("branches", "y = [f₁(x), f₂(x) …]", "stacks of layers", "torch.cat"),
    entry(
        "embedding",
        "columns with whole numbers become rows of tables; the others follow",
        "COLUMN=VOCABULARYxDIMENSION for each table",
        "torch.nn.Embedding",
    ),
    entry(
        "pbld",
        "y = [e, x], e = weight cos(2π frequency x + phase) + shift for each column x by itself",
        "frequencies 16, outputs 3, sigma 0.1, columns (those that are numbers)",
        "Holzmüller et al. 2024, arXiv:2407.04491",
    ),
    entry(
        "pl",
        "y = [e, other columns], e = weight_cos cos z + weight_sin sin z + shift, z = 2π frequency x for each column x by itself",
        "frequencies 8, outputs 4, sigma 0.1, columns (those that are numbers)",
        "Holzmüller et al. 2024, arXiv:2407.04491",
    ),
    entry(
        "plr",
        "as pl, with max(e, 0) in place of e",
        "frequencies 8, outputs 4, sigma 0.1, columns (those that are numbers)",
        "Gorishniy et al. 2022, arXiv:2203.05556",
    ),
    entry(
        "ple",
        "y = [e, other columns], e = weight p + linear x + shift for each column x by itself, p_b = (x − start of bin b)/(its width) from 0 to 1, first and last bin open; bins between quantiles of the training rows",
        "bins 48, outputs 16, columns (those that are numbers)",
        "Gorishniy et al. 2022, arXiv:2203.05556; rtdl_num_embeddings 0.0.12, version B",
    ),
    entry(
        "parametric",
        "y = x + weight (f(x) − x), a weight for each column that starts at 1",
        "f (the name of an activation)",
        "Holzmüller et al. 2024, arXiv:2407.04491",
    ),
    entry("scale", "y = weight · x + bias, a number for each column", "bias true", "wgrad"),
    entry(
        "fourier",
        "y = [cos 2πBx, sin 2πBx], B normal with deviation sigma",
        "frequencies, sigma 1, learned false",
        "Tancik et al. 2020, arXiv:2006.10739",
    ),
    entry(
        "prelu",
        "y = x for x > 0, else weight · x",
        "per_column false, start 0.25",
        "torch.nn.PReLU",
    ),
    entry(
        "glu",
        "y = a σ(b), a and b the halves of the columns",
        "units: a dense layer of twice as many goes before",
        "torch.nn.GLU",
    ),
    entry("swiglu", "y = a b σ(b)", "units as glu", "Shazeer 2020, arXiv:2002.05202"),
    entry("geglu", "y = a b Φ(b)", "units as glu", "Shazeer 2020, arXiv:2002.05202"),
    entry("softmax", "y = eˣ/Σ eˣ by rows", "", "torch.nn.Softmax"),
    entry("log_softmax", "y = x − ln Σ eˣ by rows", "", "torch.nn.LogSoftmax"),
    entry(
        "batch_ensemble",
        "mean of members with these layers: dense y = ((x ⊙ r) Wᵀ) ⊙ s + b, W shared, r, s, b of each member; the last dense not shared; mini: b too is shared, r in front alone",
        "members 32, mini false, layers",
        "TabM; Gorishniy et al. 2025, arXiv:2410.24210; Wen et al. 2020, arXiv:2002.06715",
    ),
    entry(
        "custom",
        "y = f(x, x1, x2 …), an expression with learned vectors",
        "f, what each vector starts with",
        "wgrad",
    ),
];
