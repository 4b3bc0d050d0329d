//! Ensembles of networks that share the weights of their layers.
//!
//! In: the number of members, their layers, and the columns of each feature that comes in. Out: sizes and parameters.
//! Absent on purpose: what they compute, which is built of graph operations in `graph/batch_ensemble.rs`.

use serde::{Deserialize, Serialize};

use super::parameters::{InitSource, Parameter};
use super::{Layer, LayerPlace, MOST_SIDE_BY_SIDE, ParamKind, WrongLayer};
use crate::error::{Error, Result};
use crate::model::{Init, Sequential};

/// An ensemble of networks that share the weights of their layers: the whole network, or its end behind embeddings.
///
/// Member i has every dense layer but the last as y = ((x ⊙ rᵢ) Wᵀ) ⊙ sᵢ + bᵢ, where all members have the same `weight` W, and
/// `r`, `s` and `bias` have a vector for each member, one after the other (Wen et al. 2020, arXiv:2002.06715). The last dense layer
/// has a matrix and a bias for each member. Other layers work on each member by itself. The loss is the mean of the members'
/// losses; the prediction is the mean of their predictions. It is the network of TabM (Gorishniy et al. 2025, arXiv:2410.24210).
///
/// Weights start as [`Init`] says, and all members with the same `bias`. The first `r` starts with signs at random; behind an
/// embedding it starts normal, with one number for all columns of a feature. All other `r` and `s` start at 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchEnsemble {
    /// Number of members.
    pub members: usize,
    /// True if members differ by their first `r` and by the last layer alone, and share all else.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub mini: bool,
    /// Layers of a member; the last one is dense.
    pub layers: Sequential,
}

/// Columns of the features that come into an ensemble.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::model) struct FeatureColumns {
    /// Number of columns of each feature; empty if each feature is one column.
    pub(in crate::model) widths: Vec<usize>,
    /// True if an embedding made them.
    pub(in crate::model) embedded: bool,
}

impl FeatureColumns {
    /// Returns the columns of the features behind a layer with this number of input columns.
    pub(in crate::model) fn behind(self, layer: &Layer, inputs: usize) -> Self {
        // More columns cannot come into an ensemble, and a list of very many would not fit into memory.
        if inputs > MOST_SIDE_BY_SIDE {
            return Self::default();
        }
        match layer {
            Layer::Embedding(tables) => {
                let rest = inputs - tables.len().min(inputs);
                let of_tables = tables.iter().map(|table| table.dimension);
                let widths = of_tables.chain(std::iter::repeat_n(1, rest)).collect();
                Self { widths, embedded: true }
            }
            Layer::NumberEmbedding(numbers) => {
                let mut behind = vec![numbers.outputs; numbers.embedded(inputs).len()];
                // Features of several columns stay together where all their columns pass.
                let passed = numbers.passed(inputs);
                let widths = if self.widths.is_empty() { vec![1; inputs] } else { self.widths };
                let mut first = 0;
                for width in widths {
                    let columns = passed.iter().filter(|it| (first..first + width).contains(*it));
                    behind.extend(Some(columns.count()).filter(|&count| count > 0));
                    first += width;
                }
                Self { widths: behind, embedded: true }
            }
            // These leave every column in its place.
            Layer::Activation(_)
            | Layer::Dropout { .. }
            | Layer::BatchNorm { .. }
            | Layer::LayerNorm { .. }
            | Layer::RmsNorm { .. }
            | Layer::Parametric(_)
            | Layer::Scale { .. }
            | Layer::Prelu { .. }
            | Layer::Custom(_) => self,
            _ => Self::default(),
        }
    }
}

impl BatchEnsemble {
    /// Returns the number of columns that come out: those of one member.
    pub(super) fn sizes(&self, inputs: usize, place: &LayerPlace) -> Result<usize, WrongLayer> {
        if self.members == 0 {
            return Err("0 members, but at least 1 is needed".to_string().into());
        }
        let inside = place.inside(None);
        let outputs = self.layers.outputs_at(inputs, &inside)?;
        self.check_inside(&self.layers, &inside)?;
        if !matches!(self.layers.layers().last(), Some(Layer::Dense { .. })) {
            let problem = "its last layer must be dense, which gives each member outputs of its own; end it with dense";
            return Err(problem.to_string().into());
        }
        let widest = self.layers.max_width(inputs)?.saturating_mul(self.members);
        if widest > MOST_SIDE_BY_SIDE {
            return Err(format!(
                "the members have {widest} columns side by side, but at most {MOST_SIDE_BY_SIDE} are possible; use fewer members \
                 or narrower layers"
            )
            .into());
        }
        Ok(outputs)
    }

    /// Refuses layers that cannot work on each member by itself.
    fn check_inside(&self, layers: &Sequential, first: &LayerPlace) -> Result<(), WrongLayer> {
        for (index, layer) in layers.layers().iter().enumerate() {
            let place = first.plus(index);
            let problem = match layer {
                Layer::Dense { init: Init::UnitVariance, .. } => {
                    "unit-variance measures layers that stand one after the other; give it another start, such as init=ntk"
                }
                Layer::Dense { .. }
                | Layer::Activation(_)
                | Layer::Dropout { .. }
                | Layer::Prelu { per_column: false, .. } => continue,
                Layer::Residual(inner) => {
                    self.check_inside(inner, &place.inside(None))?;
                    continue;
                }
                Layer::Custom(custom) if custom.start().is_empty() => continue,
                Layer::BatchNorm { .. }
                | Layer::Parametric(_)
                | Layer::Scale { .. }
                | Layer::Prelu { .. }
                | Layer::Custom(_) => match self.mini {
                    false => continue,
                    true => {
                        "it has numbers for each member's columns, which members with mini=true do not have; leave it or mini out"
                    }
                },
                _ => {
                    "it does not work on each member of a batch_ensemble by itself; inside may stand dense, activations, dropout, \
                     batch_norm, scale, prelu, parametric, custom, and residual with these"
                }
            };
            let named = place.named(&layer.to_string());
            return Err(Error::setting("layers", format!("{named}: {problem}")).into());
        }
        Ok(())
    }

    /// Returns the number of columns of the widest inner value: all members' side by side.
    pub(in crate::model) fn max_width(&self, inputs: usize) -> Result<usize> {
        Ok(self.layers.max_width(inputs)?.saturating_mul(self.members))
    }

    /// Returns the parameters for these features that come in, with so many columns in all.
    pub(in crate::model) fn parameters(
        &self,
        inputs: usize,
        features: &FeatureColumns,
    ) -> Result<Vec<Parameter>> {
        let widths = &features.widths;
        let start = match features.embedded {
            false => InitSource::Signs,
            true if widths.is_empty() => InitSource::Normal(1.0),
            true => InitSource::NormalByChunks(widths.clone()),
        };
        let mut all = Vec::new();
        let mut start = Some(start);
        if self.mini {
            let start = start.take().unwrap_or(InitSource::Signs);
            let shape = vec![self.members * inputs];
            all.push(Parameter::new("r", shape, ParamKind::Scale, start));
        }
        let shapes = self.layers.shapes(inputs)?;
        let last = shapes.len().saturating_sub(1);
        for (index, shape) in shapes.into_iter().enumerate() {
            let inside = match shape.layer {
                Layer::Dense { units, bias, init, .. } if index == last => {
                    self.own_dense((shape.inputs, units), bias, init)
                }
                layer => self.of_layer(&layer, shape.inputs, &mut start)?,
            };
            all.extend(inside.into_iter().map(|parameter| parameter.below(index)));
        }
        Ok(all)
    }

    /// Returns the parameters of a layer that all members have. The first dense layer takes the start of the first `r`.
    fn of_layer(
        &self,
        layer: &Layer,
        inputs: usize,
        start: &mut Option<InitSource>,
    ) -> Result<Vec<Parameter>> {
        match layer {
            Layer::Dense { units, bias, init, .. } => {
                let r = start.take().unwrap_or(InitSource::Constant(1.0));
                Ok(self.shared_dense((inputs, *units), *bias, *init, r))
            }
            Layer::Residual(inner) => {
                let mut all = Vec::new();
                for (index, shape) in inner.shapes(inputs)?.into_iter().enumerate() {
                    let inside = self.of_layer(&shape.layer, shape.inputs, start)?.into_iter();
                    all.extend(inside.map(|parameter| parameter.below(index)));
                }
                Ok(all)
            }
            // Every column of every member has numbers of its own.
            other => other.parameters(inputs * self.members),
        }
    }

    fn shared_dense(
        &self,
        (inputs, units): (usize, usize),
        bias: bool,
        init: Init,
        r: InitSource,
    ) -> Vec<Parameter> {
        let of = Parameter::new;
        let start = InitSource::Weight(init, inputs, units);
        let mut all = vec![of("weight", vec![units, inputs], ParamKind::Weight, start)];
        if self.mini {
            let start = InitSource::Bias(init, inputs);
            all.extend(bias.then(|| of("bias", vec![units], ParamKind::Bias, start)));
            return all;
        }
        let ones = InitSource::Constant(1.0);
        all.push(of("r", vec![self.members * inputs], ParamKind::Scale, r));
        all.push(of("s", vec![self.members * units], ParamKind::Scale, ones));
        let start = InitSource::SharedBias(init, inputs, units);
        all.extend(bias.then(|| of("bias", vec![self.members * units], ParamKind::Bias, start)));
        all
    }

    /// Returns the parameters of the last layer, of which each member has its own.
    fn own_dense(&self, (inputs, units): (usize, usize), bias: bool, init: Init) -> Vec<Parameter> {
        let all = self.members * units;
        let start = InitSource::WeightOfEach(init, inputs, units);
        let mut own = vec![Parameter::new("weight", vec![all, inputs], ParamKind::Weight, start)];
        let start = InitSource::Bias(init, inputs);
        own.extend(bias.then(|| Parameter::new("bias", vec![all], ParamKind::Bias, start)));
        own
    }
}
