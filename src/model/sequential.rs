//! [`Sequential`]: layers in the order in which data passes through them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::layer::{FeatureColumns, LayerPlace, Parameter};
use super::{
    Activation, BatchEnsemble, CustomLayer, EmbeddingTable, Gate, Init, Layer, ParamKind,
    ParamLayout, ParamView,
};
use crate::error::{Error, Result};
use crate::shape::{bytes_text, count, pluralize};

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
        self.layer(Layer::dense(units))
    }

    /// Adds a dense layer without bias.
    pub fn dense_without_bias(self, units: usize) -> Self {
        self.layer(Layer::Dense { units, bias: false, init: Init::default(), ntk: false })
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

    /// Adds dropout of this fraction of elements.
    pub fn dropout(self, rate: f64) -> Self {
        self.layer(Layer::Dropout { rate })
    }

    /// Adds a batch norm with PyTorch's settings.
    pub fn batch_norm(self) -> Self {
        self.layer(Layer::batch_norm())
    }

    /// Adds a layer norm with PyTorch's settings.
    pub fn layer_norm(self) -> Self {
        self.layer(Layer::layer_norm())
    }

    /// Adds an RMS norm with PyTorch's settings.
    pub fn rms_norm(self) -> Self {
        self.layer(Layer::rms_norm())
    }

    /// Adds x + f(x) with these layers as f.
    pub fn residual(self, inner: Self) -> Self {
        self.layer(Layer::Residual(inner))
    }

    /// Adds stacks of layers for the same x, whose outputs stand side by side.
    pub fn branches(self, branches: impl IntoIterator<Item = Self>) -> Self {
        self.layer(Layer::Branches(branches.into_iter().collect()))
    }

    /// Adds tables for columns with whole numbers; only as first layer.
    pub fn embedding(self, tables: impl IntoIterator<Item = EmbeddingTable>) -> Self {
        self.layer(Layer::Embedding(tables.into_iter().collect()))
    }

    /// Adds a learned factor and summand for each column.
    pub fn scale(self) -> Self {
        self.layer(Layer::Scale { bias: true })
    }

    /// Adds cosines and sines of this many random frequencies, which stay as they are.
    pub fn fourier(self, frequencies: usize, sigma: f64) -> Self {
        self.layer(Layer::Fourier { frequencies, sigma, learned: false })
    }

    /// Adds a rectifier that learns one slope for negative numbers.
    pub fn prelu(self) -> Self {
        self.layer(Layer::Prelu { per_column: false, start: 0.25 })
    }

    /// Adds a gated unit, which halves the columns.
    pub fn gated(self, gate: Gate) -> Self {
        self.layer(Layer::Gated(gate))
    }

    /// Adds a dense layer of twice as many units and a gated unit, so that `units` come out.
    pub fn dense_gated(self, units: usize, gate: Gate) -> Self {
        self.dense(units.saturating_mul(2)).gated(gate)
    }

    /// Adds a layer of the caller's own.
    pub fn custom(self, custom: CustomLayer) -> Self {
        self.layer(Layer::Custom(custom))
    }

    /// Hidden dense layers of these sizes with an activation after each, then a dense output layer.
    pub fn mlp(hidden: &[usize], activation: Activation, outputs: usize, init: Init) -> Self {
        let dense = |units| Layer::dense_from(units, init);
        hidden
            .iter()
            .fold(Self::new(), |model, &units| model.layer(dense(units)).activation(activation))
            .layer(dense(outputs))
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns the sizes of every layer for this number of input columns.
    ///
    /// # Errors
    /// If there is no layer, or a size is zero.
    pub fn shapes(&self, inputs: usize) -> Result<Vec<LayerShape>> {
        self.shapes_at(inputs, &LayerPlace::default())
    }

    /// Returns the sizes of every layer of a stack whose first one has this place.
    fn shapes_at(&self, inputs: usize, first: &LayerPlace) -> Result<Vec<LayerShape>> {
        let wrong = |problem: String| Error::setting("layers", problem);
        if self.layers.is_empty() {
            return Err(wrong("there are no layers; add at least one dense layer".into()));
        }
        if inputs == 0 {
            return Err(wrong("they get 0 input columns; at least 1 is needed".into()));
        }
        let mut width = inputs;
        let mut shapes = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let place = first.plus(index);
            if index > 0 && matches!(layer, Layer::Embedding(_)) {
                let named = place.named(&layer.to_string());
                return Err(wrong(format!("{named}: it must be the network's first layer")));
            }
            let last = index + 1 == self.layers.len() && place.depth() == 0;
            if !last && matches!(layer, Layer::BatchEnsemble(_)) {
                let named = place.named(&layer.to_string());
                return Err(wrong(format!(
                    "{named}: it must be the network's last layer; put what follows inside of it"
                )));
            }
            let outputs = layer.outputs(width, &place)?;
            shapes.push(LayerShape { layer: layer.clone(), inputs: width, outputs });
            width = outputs;
        }
        Ok(shapes)
    }

    /// Returns the number of output columns for this number of input columns.
    ///
    /// # Errors
    /// As [`Self::shapes`].
    pub fn outputs(&self, inputs: usize) -> Result<usize> {
        self.outputs_at(inputs, &LayerPlace::default())
    }

    /// Returns the number of output columns of a stack whose first layer has this place.
    pub(super) fn outputs_at(&self, inputs: usize, first: &LayerPlace) -> Result<usize> {
        Ok(self.shapes_at(inputs, first)?.last().map_or(inputs, |shape| shape.outputs))
    }

    /// The parameters, in layer order, named by the layers' places.
    pub(super) fn parameters(&self, inputs: usize) -> Result<Vec<Parameter>> {
        let mut all = Vec::new();
        let mut features = FeatureColumns::default();
        for (place, shape) in self.shapes(inputs)?.into_iter().enumerate() {
            let inside = match &shape.layer {
                Layer::BatchEnsemble(it) => it.parameters(shape.inputs, &features)?,
                layer => layer.parameters(shape.inputs)?,
            };
            all.extend(inside.into_iter().map(|parameter| parameter.below(place)));
            features = features.behind(&shape.layer, shape.inputs);
        }
        Ok(all)
    }

    /// The last layer, if it is an ensemble that shares its weights.
    pub fn batch_ensemble(&self) -> Option<&BatchEnsemble> {
        match self.layers.last() {
            Some(Layer::BatchEnsemble(it)) => Some(it),
            _ => None,
        }
    }

    /// Returns the largest dropout rate of all layers, also of those inside of others; 0 if there is none.
    pub(crate) fn largest_dropout(&self) -> f64 {
        let rates = self.layers.iter().map(|layer| match layer {
            Layer::Dropout { rate } => *rate,
            Layer::Residual(inner) => inner.largest_dropout(),
            Layer::BatchEnsemble(it) => it.layers.largest_dropout(),
            Layer::Branches(all) => all.iter().map(Self::largest_dropout).fold(0.0, f64::max),
            _ => 0.0,
        });
        rates.fold(0.0, f64::max)
    }

    /// Returns the same layers with other dropout rates.
    pub(crate) fn with_dropout(&self, other: &dyn Fn(f64) -> f64) -> Self {
        let layers = self.layers.iter().map(|layer| match layer {
            Layer::Dropout { rate } => Layer::Dropout { rate: other(*rate) },
            Layer::Residual(inner) => Layer::Residual(inner.with_dropout(other)),
            Layer::BatchEnsemble(it) => {
                let layers = it.layers.with_dropout(other);
                Layer::BatchEnsemble(BatchEnsemble { layers, ..it.clone() })
            }
            Layer::Branches(all) => {
                Layer::Branches(all.iter().map(|inner| inner.with_dropout(other)).collect())
            }
            other => other.clone(),
        });
        Self { layers: layers.collect() }
    }

    /// The input's columns that hold numbers of tables' rows, with those tables.
    pub fn tables(&self) -> &[EmbeddingTable] {
        match self.layers.first() {
            Some(Layer::Embedding(tables)) => tables,
            _ => &[],
        }
    }

    /// Returns the columns of the widest inner value, for this number of input columns.
    ///
    /// # Errors
    /// As [`Self::shapes`].
    pub fn max_width(&self, inputs: usize) -> Result<usize> {
        let mut max_width = inputs;
        for shape in self.shapes(inputs)? {
            let inside = match &shape.layer {
                Layer::Residual(inner) => inner.max_width(shape.inputs)?,
                Layer::BatchEnsemble(it) => it.max_width(shape.inputs)?,
                Layer::Branches(branches) => {
                    let all = branches.iter().map(|branch| branch.max_width(shape.inputs));
                    all.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0)
                }
                _ => 0,
            };
            max_width = max_width.max(inside).max(shape.outputs);
        }
        Ok(max_width)
    }

    /// Where each parameter lies in the arena.
    ///
    /// # Errors
    /// As [`Self::shapes`], or if the parameters are too many to count.
    pub fn layout(&self, inputs: usize) -> Result<ParamLayout> {
        ParamLayout::of(&self.parameters(inputs)?)
    }

    /// Names of the parameters that belong to single input columns: those whose shape changes with the number of columns, or
    /// all of the first layer that has some where another number is impossible.
    ///
    /// # Errors
    /// As [`Self::layout`].
    pub fn input_parameters(&self, inputs: usize) -> Result<Vec<String>> {
        let layout = self.layout(inputs)?;
        let views = layout.views();
        let Ok(wider) = self.layout(inputs + 1) else {
            return Ok(of_layer(views, views.first()));
        };
        // An embedding of numbers names its columns, so its sizes may stay.
        let of_columns = |view: &ParamView| view.kind == ParamKind::NumberEmbedding;
        let changed =
            views.iter().zip(wider.views()).filter(|(a, b)| a.shape != b.shape || of_columns(a));
        Ok(changed.map(|(view, _)| view.name.clone()).collect())
    }

    /// Names of the parameters of the last layer that has some: they belong to single outputs.
    ///
    /// # Errors
    /// As [`Self::layout`].
    pub fn output_parameters(&self, inputs: usize) -> Result<Vec<String>> {
        let layout = self.layout(inputs)?;
        let Some(ensemble) = self.batch_ensemble() else {
            return Ok(of_layer(layout.views(), layout.views().last()));
        };
        // The last layer of the members, which is inside of the network's last layer.
        let place = |layers: &[Layer]| layers.len().saturating_sub(1);
        let last = format!("{}.{}.", place(&self.layers), place(ensemble.layers.layers()));
        let own = layout.views().iter().filter(|view| view.name.starts_with(&last));
        Ok(own.map(|view| view.name.clone()).collect())
    }

    /// A table of layers, shapes, parameters and bytes.
    ///
    /// # Errors
    /// As [`Self::layout`].
    pub fn summary(&self, inputs: usize) -> Result<ModelSummary> {
        let layout = self.layout(inputs)?;
        let trainable = layout.views().iter().filter(|view| view.trainable);
        let counts = trainable.map(|view| (view.name.clone(), view.len())).collect();
        Ok(ModelSummary { shapes: self.shapes(inputs)?, counts })
    }
}

/// Names of the parameters of the outermost layer that one of them belongs to.
fn of_layer(views: &[ParamView], one: Option<&ParamView>) -> Vec<String> {
    let layer = |view: &ParamView| view.name.split('.').next().unwrap_or_default().to_string();
    let wanted = one.map(layer);
    let same = views.iter().filter(|view| Some(layer(view)) == wanted);
    same.map(|view| view.name.clone()).collect()
}

/// Table that [`Sequential::summary`] prints.
#[derive(Clone, Debug)]
pub struct ModelSummary {
    shapes: Vec<LayerShape>,
    /// Names of the trainable parameters, with the number of their elements.
    counts: Vec<(String, usize)>,
}

impl ModelSummary {
    /// Trainable numbers in all.
    pub fn parameters(&self) -> usize {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for ModelSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<3} {:<11} {:>16} {:>12}", "", "layer", "shape", "parameters")?;
        rows(f, &self.shapes, "", &self.counts)?;
        let parameters = self.parameters();
        write!(
            f,
            "{}, {}",
            pluralize(parameters as u64, "parameter"),
            bytes_text(4 * parameters as u64)
        )
    }
}

/// A row for each layer, and below it those of the layers inside, whose parameters it counts too.
fn rows(
    f: &mut fmt::Formatter<'_>,
    shapes: &[LayerShape],
    place: &str,
    counts: &[(String, usize)],
) -> fmt::Result {
    for (index, shape) in shapes.iter().enumerate() {
        let inside = |model: &Sequential| model.shapes(shape.inputs).map_err(|_| fmt::Error);
        let (name, sizes) = (shape.layer.name(), format!("{} -> {}", shape.inputs, shape.outputs));
        let place = format!("{place}{index}");
        let below = format!("{place}.");
        let own = counts.iter().filter(|(name, _)| name.starts_with(&below));
        let parameters = count(own.map(|(_, count)| *count as u64).sum());
        writeln!(f, "{place:<3} {name:<11} {sizes:>16} {parameters:>12}")?;
        match &shape.layer {
            Layer::Residual(inner) => rows(f, &inside(inner)?, &below, counts)?,
            Layer::BatchEnsemble(it) => rows(f, &inside(&it.layers)?, &below, counts)?,
            Layer::Branches(branches) => {
                for (branch, inner) in branches.iter().enumerate() {
                    rows(f, &inside(inner)?, &format!("{below}{branch}."), counts)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
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
    fn parameters_are_told_with_commas() {
        let told = Sequential::new().dense(64).relu().dense(3).summary(128).unwrap().to_string();
        assert!(told.contains("128 -> 64        8,256\n"), "{told}");
    }

    #[test]
    fn impossible_models_are_errors() {
        assert!(Sequential::new().shapes(3).is_err());
        assert!(
            Sequential::new()
                .dense(0)
                .shapes(3)
                .unwrap_err()
                .to_string()
                .contains("layers: layer 0 (dense(0)): 0 units")
        );
        assert!(Sequential::new().dense(2).shapes(0).is_err());
        assert!(Sequential::new().dense(usize::MAX).layout(3).is_err());
        // No weights say that these columns are meant.
        let ten = || Sequential::new().branches((0..10).map(|_| Sequential::new().tanh()));
        let wide =
            (0..7).fold(Sequential::new(), |model, _| model.layer(ten().layers()[0].clone()));
        let said = wide.shapes(1).unwrap_err().to_string();
        assert!(said.contains("(ta…): 10000000 columns side by side"), "{said}");
    }

    #[test]
    fn summary_lists_layers_and_counts() {
        let text =
            Sequential::new().dense(3).relu().dense_without_bias(2).summary(4).unwrap().to_string();
        assert!(text.contains("4 -> 3") && text.contains("relu"), "{text}");
        assert!(text.ends_with("21 parameters, 84 B"), "{text}");
    }

    #[test]
    fn summary_lists_layers_inside_others() {
        let inner = Sequential::new().dense(4).batch_norm();
        let model =
            Sequential::new().residual(inner.clone()).branches([inner, Sequential::new().tanh()]);
        let text = model.summary(4).unwrap().to_string();
        for row in [
            "0   residual              4 -> 4           28",
            "0.1 batch_norm",
            "1.0.0 dense",
            "1.1.0 tanh",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        // Running statistics are no parameters that learn.
        assert!(text.ends_with("56 parameters, 224 B"), "{text}");
    }

    #[test]
    fn the_summary_counts_what_members_have_of_their_own() {
        let model: Sequential =
            "batch_ensemble(3, dense(4), relu, residual(dense(4)), dense(2))".parse().unwrap();
        let text = model.summary(5).unwrap().to_string();
        // A shared matrix, and factors and a bias for each of three members; three matrices and biases at the end.
        let whole = format!("0   batch_ensemble {:>16} {:>12}", "5 -> 2", 141);
        for row in [
            whole.as_str(),
            "0.0 dense                 5 -> 4           59",
            "0.2.0 dense",
            "0.3 dense                 4 -> 2           30",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        assert!(text.ends_with("141 parameters, 564 B"), "{text}");
        assert_eq!(model.output_parameters(5).unwrap(), ["0.3.weight", "0.3.bias"]);
        let of_inputs = model.input_parameters(5).unwrap();
        assert_eq!(of_inputs, ["0.0.weight", "0.0.r"]);
    }

    #[test]
    fn models_of_earlier_versions_are_read() {
        let old = r#"[{"dense":{"units":3,"bias":true,"init":"pytorch"}},{"activation":"relu"}]"#;
        let model: Sequential = serde_json::from_str(old).unwrap();
        assert_eq!(model, Sequential::new().dense(3).relu());
        assert_eq!(serde_json::to_string(&model).unwrap(), old);
    }

    #[test]
    fn a_model_survives_json() {
        let model =
            Sequential::new().dense(3).activation(Activation::LeakyRelu).dense_without_bias(2);
        let text = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<Sequential>(&text).unwrap(), model);
    }
}
