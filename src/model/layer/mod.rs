//! [`Layer`]: what a network is made of, and how many columns each layer gives.
//!
//! In: a layer's settings. Out: sizes, checked; parameters (`parameters.rs`); a text form (`text.rs`).
//! Absent on purpose: what layers compute, which is built of graph operations in `graph/forward.rs`.

mod batch_ensemble;
mod custom;
mod numbers;
mod parameters;
mod spec;
mod text;
mod vocabulary;

use serde::{Deserialize, Serialize};

pub use batch_ensemble::BatchEnsemble;
pub(super) use batch_ensemble::FeatureColumns;
pub use custom::CustomLayer;
pub(crate) use numbers::runs;
pub use numbers::{NumberEmbedding, NumberEmbeddingKind};
pub use parameters::ParamKind;
pub(super) use parameters::{InitSource, Parameter};
pub(crate) use spec::LayerPlace;
#[cfg(feature = "cli")]
pub(crate) use spec::LayerSpec;
pub use text::LayerParser;
use vocabulary::VOCABULARY;

use super::{Activation, Init, Sequential};
use crate::error::{Error, Result};

/// The difference between 1 and the next larger f32: RMS norm's `eps` where none is given, as in `torch.nn.RMSNorm`.
pub(crate) const RMS_EPS: f64 = f32::EPSILON as f64;

/// Columns that branches may give together. Other layers have weights for the columns that they add; with branches, a few
/// bytes of a file could ask for any number.
const MOST_SIDE_BY_SIDE: usize = 1 << 20;

/// One layer of a network. Formulas, defaults and names of parameters are those of `torch.nn` where it has the layer.
/// Masked rows of a batch are left out of the statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// y = x Wᵀ + b with `weight` W `[units, in]` and `bias` b `[units]` (`torch.nn.Linear`); with `ntk`
    /// y = x Wᵀ/√in + b (Jacot et al. 2018, arXiv:1806.07572), for weights that start standard normal
    Dense {
        /// Number of outputs.
        units: usize,
        /// True if there is a bias.
        bias: bool,
        /// How the weights start.
        init: Init,
        /// True if the product is divided by √in.
        #[serde(default, skip_serializing_if = "is_false")]
        ntk: bool,
    },
    /// An elementwise function
    Activation(Activation),
    /// While training, 0 with probability `rate`, else x/(1 − rate); otherwise x (`torch.nn.Dropout`)
    Dropout {
        /// Share of elements that become 0, below 1.
        rate: f64,
    },
    /// y = (x − mean)/√(var + eps) · `weight` + `bias` by columns (`torch.nn.BatchNorm1d`; Ioffe and Szegedy 2015,
    /// arXiv:1502.03167). While training, mean and var are the batch's; otherwise `running_mean` and `running_var`, of
    /// which each step gives `momentum` to the batch's mean and unbiased variance. A batch of one row has no unbiased
    /// variance and leaves `running_var` as it is.
    BatchNorm {
        /// Keeps the divisor from 0.
        eps: f64,
        /// Weight of the newest batch in the running statistics.
        momentum: f64,
        /// True if there are `weight` and `bias`.
        affine: bool,
    },
    /// y = (x − mean)/√(var + eps) · `weight` + `bias`, mean and biased variance of each row (`torch.nn.LayerNorm`;
    /// Ba et al. 2016, arXiv:1607.06450)
    LayerNorm {
        /// Keeps the divisor from 0.
        eps: f64,
        /// True if there are `weight` and `bias`.
        affine: bool,
    },
    /// y = x/√(mean of x² + eps) · `weight`, the mean over each row (`torch.nn.RMSNorm`; Zhang and Sennrich 2019,
    /// arXiv:1910.07467)
    RmsNorm {
        /// Keeps the divisor from 0; without one the difference between 1 and the next larger f32.
        eps: Option<f64>,
        /// True if there is `weight`.
        affine: bool,
    },
    /// y = x + f(x), f the layers inside, which give as many columns as they get (He et al. 2015, arXiv:1512.03385).
    /// Names are those of a `torch.nn.Sequential` in its place: `2.0.weight`
    Residual(Sequential),
    /// The outputs of several stacks of layers for the same x, side by side (`torch.cat` over a `ModuleList`):
    /// parameters `2.0.1.weight` of branch 0's layer 1
    Branches(Vec<Sequential>),
    /// Columns with whole numbers become rows of tables, in the order of the tables; the other columns follow as they are
    /// (`torch.nn.Embedding` in a `ModuleList`): `0.1.weight` `[vocabulary, dimension]` of table 1. Only as first layer
    Embedding(Vec<EmbeddingTable>),
    /// Each column by itself becomes several: waves of learned frequencies, and a linear map of them
    NumberEmbedding(NumberEmbedding),
    /// y = x + `weight` · (f(x) − x), a weight for each column that starts at 1: the function at first, and the identity where
    /// it is 0 (Holzmüller et al. 2024, arXiv:2407.04491)
    Parametric(Activation),
    /// y = `weight` · x, and + `bias`, a number for each column
    Scale {
        /// True if there is a bias.
        bias: bool,
    },
    /// y = [cos 2πz, sin 2πz] with z = x Bᵀ, B `weight` `[frequencies, in]`, which starts normal with deviation `sigma`
    /// (Tancik et al. 2020, arXiv:2006.10739), and learns or stays
    Fourier {
        /// Rows of B; the layer gives twice as many columns.
        frequencies: usize,
        /// B's standard deviation.
        sigma: f64,
        /// True if B learns.
        learned: bool,
    },
    /// y = x for x > 0, else `weight` · x (`torch.nn.PReLU`; He et al. 2015, arXiv:1502.01852)
    Prelu {
        /// True if each column has a slope of its own.
        per_column: bool,
        /// Initial value of the slopes.
        start: f64,
    },
    /// y = a · g(b), a the first half of the columns and b the second
    Gated(Gate),
    /// y = eˣ / Σ eˣ over each row (`torch.nn.Softmax`); losses on logits do not want it
    Softmax,
    /// y = x − ln Σ eˣ over each row (`torch.nn.LogSoftmax`)
    LogSoftmax,
    /// y = f(x, learned vectors), an expression of the user's
    Custom(CustomLayer),
    /// Networks that share the weights of their layers; only as last layer
    BatchEnsemble(BatchEnsemble),
}

/// A column whose numbers are rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingTable {
    /// Which of the input's columns, from 0.
    pub column: usize,
    /// Rows of the table: numbers go from 0 to one less.
    pub vocabulary: usize,
    /// Columns of the table.
    pub dimension: usize,
}

/// Activation of the second half of a gated unit's columns (Dauphin et al. 2016, arXiv:1612.08083; Shazeer 2020,
/// arXiv:2002.05202).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// σ(b), as `torch.nn.GLU`
    Glu,
    /// b σ(b)
    Swiglu,
    /// b Φ(b)
    Geglu,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Self; 3] = [Self::Glu, Self::Swiglu, Self::Geglu];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glu => "glu",
            Self::Swiglu => "swiglu",
            Self::Geglu => "geglu",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Layer {
    /// Entries of all layers besides activations, for the document of the vocabulary.
    pub const VOCABULARY: &'static [crate::vocabulary::Entry] = VOCABULARY;

    /// A dense layer with bias and PyTorch's initialisation.
    pub fn dense(units: usize) -> Self {
        Self::dense_from(units, Init::default())
    }

    /// A dense layer with bias whose weights start like this; those of [`Init::Ntk`] and [`Init::UnitVariance`] bring the NTK
    /// parametrisation.
    pub fn dense_from(units: usize, init: Init) -> Self {
        Self::Dense { units, bias: true, init, ntk: init.is_ntk() }
    }

    /// A batch norm with PyTorch's settings.
    pub fn batch_norm() -> Self {
        Self::BatchNorm { eps: 1e-5, momentum: 0.1, affine: true }
    }

    /// A layer norm with PyTorch's settings.
    pub fn layer_norm() -> Self {
        Self::LayerNorm { eps: 1e-5, affine: true }
    }

    /// An RMS norm with PyTorch's settings.
    pub fn rms_norm() -> Self {
        Self::RmsNorm { eps: None, affine: true }
    }

    /// The name in options, files and tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dense { .. } => "dense",
            Self::Activation(activation) => activation.name(),
            Self::Dropout { .. } => "dropout",
            Self::BatchNorm { .. } => "batch_norm",
            Self::LayerNorm { .. } => "layer_norm",
            Self::RmsNorm { .. } => "rms_norm",
            Self::Residual(_) => "residual",
            Self::Branches(_) => "branches",
            Self::Embedding(_) => "embedding",
            Self::NumberEmbedding(numbers) => numbers.kind.name(),
            Self::Parametric(_) => "parametric",
            Self::Scale { .. } => "scale",
            Self::Fourier { .. } => "fourier",
            Self::Prelu { .. } => "prelu",
            Self::Gated(gate) => gate.name(),
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
            Self::Custom(_) => "custom",
            Self::BatchEnsemble(_) => "batch_ensemble",
        }
    }

    /// Returns the number of output columns for `inputs` columns.
    ///
    /// # Errors
    /// If settings or sizes are impossible; the message names the layer by its place.
    pub(super) fn outputs(&self, inputs: usize, place: &LayerPlace) -> Result<usize> {
        self.sizes(inputs, place).map_err(|wrong| match wrong {
            WrongLayer::Itself(problem) => {
                let named = place.named(&self.to_string());
                Error::setting("layers", format!("{named}: {problem}"))
            }
            WrongLayer::Inside(error) => error,
        })
    }

    fn sizes(&self, inputs: usize, place: &LayerPlace) -> Result<usize, WrongLayer> {
        let positive = |value: usize, what: &str| match value {
            0 => Err(format!("0 {what}, but at least 1 is needed")),
            _ => Ok(value),
        };
        let within = |name: &str, value: f64, fits: bool, range: &str| {
            if fits { Ok(()) } else { Err(format!("{name} {value}, but it must be {range}")) }
        };
        let eps_fits =
            |eps: f64| within("eps", eps, eps > 0.0 && eps.is_finite(), "a finite number above 0");
        match self {
            Self::Dense { units, .. } => Ok(positive(*units, "units")?),
            Self::Activation(_)
            | Self::Parametric(_)
            | Self::Scale { .. }
            | Self::Softmax
            | Self::LogSoftmax => Ok(inputs),
            Self::Dropout { rate } => {
                within("rate", *rate, (0.0..1.0).contains(rate), "at least 0 and below 1")?;
                Ok(inputs)
            }
            Self::BatchNorm { eps, momentum, .. } => {
                eps_fits(*eps)?;
                let fits = (0.0..=1.0).contains(momentum);
                within("momentum", *momentum, fits, "at least 0 and at most 1")?;
                Ok(inputs)
            }
            Self::LayerNorm { eps, .. } => Ok(eps_fits(*eps).map(|()| inputs)?),
            Self::RmsNorm { eps, .. } => Ok(eps_fits(eps.unwrap_or(RMS_EPS)).map(|()| inputs)?),
            Self::Residual(inner) => {
                // An embedding reads raw columns, so it cannot stand inside another layer.
                outermost(inner)?;
                let outputs = inner.outputs_at(inputs, &place.inside(None))?;
                if outputs == inputs {
                    return Ok(inputs);
                }
                Err(WrongLayer::Itself(format!(
                    "the layers inside give {outputs} columns for {inputs}, so that their sum with the input makes no sense; \
                     let the last of them give {inputs}"
                )))
            }
            Self::Branches(branches) => {
                positive(branches.len(), "branches")?;
                let mut sum = 0_usize;
                for (index, branch) in branches.iter().enumerate() {
                    outermost(branch)?;
                    let outputs = branch.outputs_at(inputs, &place.inside(Some(index)))?;
                    sum = sum.saturating_add(outputs);
                }
                if sum > MOST_SIDE_BY_SIDE {
                    return Err(WrongLayer::Itself(format!(
                        "{sum} columns side by side, but at most {MOST_SIDE_BY_SIDE} are possible; let the branches give fewer"
                    )));
                }
                Ok(sum)
            }
            Self::Embedding(tables) => Ok(embedded(tables, inputs)?),
            Self::NumberEmbedding(numbers) => Ok(numbers.sizes(inputs)?),
            Self::Fourier { frequencies, sigma, .. } => {
                let fits = *sigma > 0.0 && sigma.is_finite();
                within("sigma", *sigma, fits, "a finite number above 0")?;
                // Two columns for each frequency: a cosine and a sine.
                Ok(positive(*frequencies, "frequencies")?.saturating_mul(2))
            }
            Self::Prelu { start, .. } => {
                within("start", *start, start.is_finite(), "a finite number")?;
                Ok(inputs)
            }
            Self::Gated(_) if inputs.is_multiple_of(2) => Ok(inputs / 2),
            Self::Gated(_) => Err(WrongLayer::Itself(format!(
                "{inputs} columns come in, but two halves are needed; let the layer before it give an even number"
            ))),
            Self::Custom(custom) => Ok(custom.check().map(|()| inputs)?),
            Self::BatchEnsemble(it) => it.sizes(inputs, place),
        }
    }
}

/// A mistake of a layer.
enum WrongLayer {
    /// The problem of the layer itself.
    Itself(String),
    /// The error of a layer inside, which names that layer's place.
    Inside(Error),
}

impl From<String> for WrongLayer {
    fn from(problem: String) -> Self {
        Self::Itself(problem)
    }
}

impl From<Error> for WrongLayer {
    fn from(error: Error) -> Self {
        Self::Inside(error)
    }
}

/// Refuses an embedding inside other layers, which the preparation of columns would not see.
fn outermost(inner: &Sequential) -> Result<(), String> {
    if inner.tables().is_empty() {
        return Ok(());
    }
    Err("an embedding stands inside; let it be the network's first layer".into())
}

/// Columns of an embedding's output: those of its tables, and those that it leaves.
fn embedded(tables: &[EmbeddingTable], inputs: usize) -> Result<usize, String> {
    if tables.is_empty() {
        return Err(
            "0 tables, but at least 1 is needed; write one such as embedding(0=12x4)".into()
        );
    }
    let mut sum = inputs - tables.len().min(inputs);
    for (index, table) in tables.iter().enumerate() {
        let column = table.column;
        if column >= inputs {
            return Err(format!("there is no column {column}; there are {inputs}, counted from 0"));
        }
        if tables[..index].iter().any(|other| other.column == column) {
            return Err(format!("column {column} has two tables; leave one of them out"));
        }
        // Whole numbers are exact in f32 up to here.
        if !(1..=1 << 24).contains(&table.vocabulary) || table.dimension == 0 {
            return Err(format!(
                "a table of {} x {} for column {column}, but it needs 1 to 16,777,216 rows and at least 1 column",
                table.vocabulary, table.dimension
            ));
        }
        sum = sum.saturating_add(table.dimension);
    }
    Ok(sum)
}
