//! The parameters of layers: PyTorch's names, shapes, and what each starts with.

use super::{EmbeddingTable, FeatureColumns, Layer};
use crate::error::Result;
use crate::model::Init;
use crate::random::Random;

/// Kind of a parameter, for code that treats some differently, such as weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A matrix that features are multiplied by.
    Weight,
    /// Added.
    Bias,
    /// Weight or bias of a normalisation.
    Norm,
    /// A table of an embedding.
    Embedding,
    /// Frequencies of an embedding of numbers, and what belongs to them.
    NumberEmbedding,
    /// Numbers by which columns are multiplied.
    Scale,
    /// A vector of an activation.
    Activation,
    /// A vector of a layer of the user's own.
    Other,
}

/// A parameter that a layer has.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Parameter {
    /// Below the layer's own: `weight`, `0.weight`.
    pub(in crate::model) name: String,
    pub(in crate::model) shape: Vec<usize>,
    pub(in crate::model) kind: ParamKind,
    pub(in crate::model) trainable: bool,
    pub(in crate::model) start: InitSource,
}

/// Initial values of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) enum InitSource {
    /// A dense layer's weight, with its numbers of inputs and outputs.
    Weight(Init, usize, usize),
    /// A dense layer's bias, with its number of inputs.
    Bias(Init, usize),
    /// The same everywhere.
    Constant(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform within ± this number.
    Uniform(f64),
    /// A dense layer's weight of each member of an ensemble, below one another, with a layer's numbers of inputs and outputs.
    WeightOfEach(Init, usize, usize),
    /// A dense layer's bias, the same for each member of an ensemble, with a layer's numbers of inputs and outputs.
    SharedBias(Init, usize, usize),
    /// 1 or −1, either with probability ½.
    Signs,
    /// Standard normal, one number for each chunk of so many neighbours, again and again.
    NormalByChunks(Vec<usize>),
}

impl InitSource {
    /// Fills a parameter.
    #[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
    /// `first` is for the network's first dense layer.
    pub(in crate::model) fn fill(&self, values: &mut [f32], first: bool, random: &mut Random) {
        match *self {
            Self::Weight(init, inputs, outputs) => {
                init.weight(values, (inputs, outputs), first, random);
            }
            Self::WeightOfEach(init, inputs, outputs) => {
                for own in values.chunks_exact_mut((inputs * outputs).max(1)) {
                    init.weight(own, (inputs, outputs), first, random);
                }
            }
            Self::Bias(init, inputs) => init.bias(values, inputs, random),
            Self::SharedBias(init, inputs, outputs) => {
                let (one, others) = values.split_at_mut(outputs);
                init.bias(one, inputs, random);
                others.chunks_exact_mut(outputs).for_each(|other| other.copy_from_slice(one));
            }
            Self::Signs => {
                let sign = |value: &mut f32| *value = if random.unit() < 0.5 { 1.0 } else { -1.0 };
                values.iter_mut().for_each(sign);
            }
            Self::NormalByChunks(ref widths) => {
                let mut rest = values;
                for &width in widths.iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (chunk, after) = rest.split_at_mut(width.clamp(1, rest.len()));
                    chunk.fill(random.normal() as f32);
                    rest = after;
                }
            }
            Self::Constant(value) => values.fill(value as f32),
            Self::Normal(std) => {
                values.iter_mut().for_each(|value| *value = (std * random.normal()) as f32);
            }
            Self::Uniform(bound) => {
                let draw = |value: &mut f32| *value = random.uniform(-bound, bound) as f32;
                values.iter_mut().for_each(draw);
            }
        }
    }
}

impl Parameter {
    pub(super) fn new(name: &str, shape: Vec<usize>, kind: ParamKind, start: InitSource) -> Self {
        Self { name: name.into(), shape, kind, trainable: true, start }
    }

    /// One that no gradient moves.
    pub(super) fn kept(self) -> Self {
        Self { trainable: false, ..self }
    }

    /// The same under another layer.
    pub(in crate::model) fn below(mut self, place: usize) -> Self {
        self.name = format!("{place}.{}", self.name);
        self
    }
}

impl Layer {
    /// Returns the parameters for `inputs` input columns, in the order of a `state_dict`.
    ///
    /// # Errors
    /// If sizes of inner layers are impossible.
    pub(in crate::model) fn parameters(&self, inputs: usize) -> Result<Vec<Parameter>> {
        let of = Parameter::new;
        // Most parameters are vectors with an entry for each column.
        let vector = |name: &str, kind: ParamKind, start: f64| {
            of(name, vec![inputs], kind, InitSource::Constant(start))
        };
        // Names and start values are those of PyTorch, so that its files can be read.
        let affine = |affine: bool| {
            let both = [("weight", 1.0), ("bias", 0.0)];
            let both = both.into_iter().filter(move |_| affine);
            both.map(|(name, start)| vector(name, ParamKind::Norm, start)).collect::<Vec<_>>()
        };
        Ok(match self {
            Self::Dense { units, bias, init, .. } => {
                let (weight, start) =
                    (vec![*units, inputs], InitSource::Weight(*init, inputs, *units));
                let mut all = vec![of("weight", weight, ParamKind::Weight, start)];
                if *bias {
                    let start = InitSource::Bias(*init, inputs);
                    all.push(of("bias", vec![*units], ParamKind::Bias, start));
                }
                all
            }
            Self::BatchNorm { affine: both, .. } => {
                let mut all = affine(*both);
                // Running statistics are stored like parameters, but no gradient changes them.
                all.push(vector("running_mean", ParamKind::Norm, 0.0).kept());
                all.push(vector("running_var", ParamKind::Norm, 1.0).kept());
                all
            }
            Self::LayerNorm { affine: both, .. } => affine(*both),
            Self::RmsNorm { affine: one, .. } => {
                affine(*one).into_iter().filter(|parameter| parameter.name == "weight").collect()
            }
            Self::Scale { bias } => {
                let mut all = vec![vector("weight", ParamKind::Scale, 1.0)];
                all.extend(bias.then(|| vector("bias", ParamKind::Bias, 0.0)));
                all
            }
            Self::Fourier { frequencies, sigma, learned } => {
                let (shape, start) = (vec![*frequencies, inputs], InitSource::Normal(*sigma));
                let weight = of("weight", shape, ParamKind::Weight, start);
                // Fixed frequencies are stored too, since predictions need them.
                vec![if *learned { weight } else { weight.kept() }]
            }
            Self::Prelu { per_column, start } => {
                let columns = if *per_column { inputs } else { 1 };
                let start = InitSource::Constant(*start);
                vec![of("weight", vec![columns], ParamKind::Activation, start)]
            }
            Self::NumberEmbedding(numbers) => numbers.parameters(inputs),
            Self::Parametric(_) => vec![vector("weight", ParamKind::Activation, 1.0)],
            Self::Embedding(tables) => {
                let table = |(place, table): (usize, &EmbeddingTable)| {
                    let shape = vec![table.vocabulary, table.dimension];
                    // Each table has its index in the name, as several may stand in one layer.
                    of("weight", shape, ParamKind::Embedding, InitSource::Normal(1.0)).below(place)
                };
                tables.iter().enumerate().map(table).collect()
            }
            Self::Custom(custom) => {
                let numbered = (1..).zip(custom.start());
                numbered
                    .map(|(index, &start)| vector(&format!("x{index}"), ParamKind::Other, start))
                    .collect()
            }
            Self::Residual(inner) => inner.parameters(inputs)?,
            Self::BatchEnsemble(it) => it.parameters(inputs, &FeatureColumns::default())?,
            Self::Branches(branches) => {
                let mut all = Vec::new();
                for (place, branch) in branches.iter().enumerate() {
                    let inside = branch.parameters(inputs)?.into_iter();
                    // The index of the branch tells equal layers of different branches apart.
                    all.extend(inside.map(|parameter| parameter.below(place)));
                }
                all
            }
            Self::Activation(_)
            | Self::Dropout { .. }
            | Self::Gated(_)
            | Self::Softmax
            | Self::LogSoftmax => vec![],
        })
    }
}
