//! [`Sequential`]: layers in the order in which data passes through them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Activation, Init, ParamLayout};
use crate::error::{Error, Result};
use crate::shape::bytes_text;

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// y = x Wᵀ + b with W `[units, in]` and b `[units]`
    Dense {
        /// Number of outputs.
        units: usize,
        /// Whether there is a bias.
        bias: bool,
        /// How the weights start.
        init: Init,
    },
    /// An elementwise function
    Activation(Activation),
}

/// A multi-layer perceptron: plain data, to be printed, compared and stored.
///
/// ```
/// use wgrad::model::Sequential;
/// let model = Sequential::new().dense(32).relu().dense(3);
/// assert_eq!(model.layout(4).unwrap().count(), 4 * 32 + 32 + 32 * 3 + 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequential {
    layers: Vec<Layer>,
}

/// A layer with its sizes known.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShape {
    /// The layer.
    pub layer: Layer,
    /// Columns going in.
    pub inputs: usize,
    /// Columns coming out.
    pub outputs: usize,
}

impl Sequential {
    /// A network without layers, to which layers are added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a dense layer with bias and PyTorch's initialisation.
    pub fn dense(self, units: usize) -> Self {
        self.layer(Layer::Dense { units, bias: true, init: Init::default() })
    }

    /// Adds a dense layer without bias.
    pub fn dense_without_bias(self, units: usize) -> Self {
        self.layer(Layer::Dense { units, bias: false, init: Init::default() })
    }

    /// Adds any layer.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Adds an activation.
    pub fn activation(self, activation: Activation) -> Self {
        self.layer(Layer::Activation(activation))
    }

    /// Adds a rectified linear unit.
    pub fn relu(self) -> Self {
        self.activation(Activation::Relu)
    }

    /// Adds a hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.activation(Activation::Tanh)
    }

    /// Hidden dense layers of these sizes with an activation after each, then a dense output layer.
    pub fn mlp(hidden: &[usize], activation: Activation, outputs: usize, init: Init) -> Self {
        let dense = |units| Layer::Dense { units, bias: true, init };
        hidden
            .iter()
            .fold(Self::new(), |model, &units| model.layer(dense(units)).activation(activation))
            .layer(dense(outputs))
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Sizes of every layer for inputs of so many columns.
    ///
    /// # Errors
    /// If there is no layer, or a size is zero.
    pub fn shapes(&self, inputs: usize) -> Result<Vec<LayerShape>> {
        if self.layers.is_empty() {
            return Err(Error::shape("model", "it has no layers; add at least one dense layer"));
        }
        if inputs == 0 {
            return Err(Error::shape("model", "it gets 0 input columns; at least 1 is needed"));
        }
        let mut width = inputs;
        let mut shapes = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let outputs = match layer {
                Layer::Dense { units: 0, .. } => {
                    return Err(Error::shape(
                        format!("layer {index} (dense)"),
                        "0 units; at least 1 is needed",
                    ));
                }
                Layer::Dense { units, .. } => *units,
                Layer::Activation(_) => width,
            };
            shapes.push(LayerShape { layer: layer.clone(), inputs: width, outputs });
            width = outputs;
        }
        Ok(shapes)
    }

    /// Columns that come out for inputs of so many columns.
    ///
    /// # Errors
    /// As [`Self::shapes`].
    pub fn outputs(&self, inputs: usize) -> Result<usize> {
        Ok(self.shapes(inputs)?.last().map_or(inputs, |shape| shape.outputs))
    }

    /// Where each parameter lies in the arena.
    ///
    /// # Errors
    /// As [`Self::shapes`], or if the parameters are too many to count.
    pub fn layout(&self, inputs: usize) -> Result<ParamLayout> {
        ParamLayout::of(&self.shapes(inputs)?)
    }

    /// A table of layers, shapes, parameters and bytes.
    ///
    /// # Errors
    /// As [`Self::layout`].
    pub fn summary(&self, inputs: usize) -> Result<Summary> {
        let parameters = self.layout(inputs)?.count();
        Ok(Summary { shapes: self.shapes(inputs)?, parameters })
    }
}

/// What [`Sequential::summary`] prints.
#[derive(Clone, Debug)]
pub struct Summary {
    shapes: Vec<LayerShape>,
    parameters: usize,
}

impl Summary {
    /// Trainable numbers in all.
    pub fn parameters(&self) -> usize {
        self.parameters
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<3} {:<11} {:>16} {:>12}", "", "layer", "shape", "parameters")?;
        for (index, shape) in self.shapes.iter().enumerate() {
            let (name, count) = match &shape.layer {
                Layer::Dense { bias, .. } => {
                    ("dense", shape.inputs * shape.outputs + if *bias { shape.outputs } else { 0 })
                }
                Layer::Activation(activation) => (activation.name(), 0),
            };
            let sizes = format!("{} -> {}", shape.inputs, shape.outputs);
            writeln!(f, "{index:<3} {name:<11} {sizes:>16} {count:>12}")?;
        }
        write!(f, "{} parameters, {}", self.parameters, bytes_text(4 * self.parameters as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_the_layers() {
        let model = Sequential::mlp(&[128, 64], Activation::Relu, 10, Init::Pytorch);
        let widths: Vec<_> =
            model.shapes(64).unwrap().iter().map(|s| (s.inputs, s.outputs)).collect();
        assert_eq!(widths, [(64, 128), (128, 128), (128, 64), (64, 64), (64, 10)]);
        assert_eq!(model.outputs(64).unwrap(), 10);
    }

    #[test]
    fn impossible_models_are_errors() {
        assert!(Sequential::new().shapes(3).is_err());
        assert!(Sequential::new().dense(0).shapes(3).unwrap_err().to_string().contains("layer 0"));
        assert!(Sequential::new().dense(2).shapes(0).is_err());
        assert!(Sequential::new().dense(usize::MAX).layout(3).is_err());
    }

    #[test]
    fn summary_lists_layers_and_counts() {
        let text =
            Sequential::new().dense(3).relu().dense_without_bias(2).summary(4).unwrap().to_string();
        assert!(text.contains("4 -> 3") && text.contains("relu"), "{text}");
        assert!(text.ends_with("21 parameters, 84 B"), "{text}");
    }

    #[test]
    fn a_model_survives_json() {
        let model =
            Sequential::new().dense(3).activation(Activation::LeakyRelu).dense_without_bias(2);
        let text = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<Sequential>(&text).unwrap(), model);
    }
}
