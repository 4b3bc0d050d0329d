//! Parameters in one flat arena, with named views.
//!
//! Names and shapes are PyTorch's for an `nn.Sequential`: `0.weight [out, in]`, `0.bias [out]`, where
//! the number is the layer's place, activations counted; layers inside others have both places, `2.0.weight`.

use ndarray::ArrayViewD;

use super::Sequential;
use super::layer::{InitSource, ParamKind, Parameter};
use crate::error::{Error, Result};
use crate::random::{Purpose, Seed};
use crate::shape::elements;

/// Elements to which every view is aligned: 256 bytes of f32, WebGPU's default for binding offsets.
pub const VIEW_ALIGN: usize = 64;

/// One parameter inside the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamView {
    /// PyTorch's name: `0.weight`.
    pub name: String,
    /// `[out, in]` for weights, `[out]` for biases.
    pub shape: Vec<usize>,
    /// First element in the arena, a multiple of [`VIEW_ALIGN`] or of what [`ParamLayout::aligned`] was told.
    pub offset: usize,
    /// Kind of the parameter.
    pub kind: ParamKind,
    /// True if gradients update the parameter. Others, such as running statistics, have a gradient of zeros and no decay.
    pub trainable: bool,
}

impl ParamView {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether it has no elements; never so in a checked model.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its elements in the arena.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// Where every parameter of a model lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamLayout {
    views: Vec<ParamView>,
    len: usize,
}

impl ParamLayout {
    pub(super) fn of(parameters: &[Parameter]) -> Result<Self> {
        let mut layout = Self { views: Vec::new(), len: 0 };
        for it in parameters {
            layout.push(it.name.clone(), it.shape.clone(), (it.kind, it.trainable), VIEW_ALIGN)?;
        }
        Ok(layout)
    }

    /// Returns the same parameters, aligned to a number of elements.
    ///
    /// # Errors
    /// If they then exceed 2^32 elements.
    pub fn aligned(&self, alignment: usize) -> Result<Self> {
        let mut layout = Self { views: Vec::new(), len: 0 };
        for view in &self.views {
            let what = (view.kind, view.trainable);
            layout.push(view.name.clone(), view.shape.clone(), what, alignment)?;
        }
        Ok(layout)
    }

    fn push(
        &mut self,
        name: String,
        shape: Vec<usize>,
        (kind, trainable): (ParamKind, bool),
        alignment: usize,
    ) -> Result<()> {
        let end = elements(&shape)
            .and_then(|len| len.checked_next_multiple_of(alignment))
            .and_then(|len| self.len.checked_add(len))
            // Byte offsets and the kernels' 32-bit indices have to hold as well.
            .filter(|&end| u32::try_from(end).is_ok())
            .ok_or_else(|| {
                Error::shape(
                    format!("parameter {name}"),
                    format!(
                        "with {shape:?} the network has more than 2^32 numbers; use smaller layers"
                    ),
                )
            })?;
        self.views.push(ParamView { name, shape, offset: self.len, kind, trainable });
        self.len = end;
        Ok(())
    }

    /// The parameters, in layer order.
    pub fn views(&self) -> &[ParamView] {
        &self.views
    }

    /// Elements of the arena, with the gaps that alignment leaves.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the model has no parameters.
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Trainable numbers, without gaps.
    pub fn count(&self) -> usize {
        self.views.iter().filter(|view| view.trainable).map(ParamView::len).sum()
    }
}

/// A model's parameters: the arena and its layout. Gaps hold zeros.
///
/// ```
/// use wgrad::prelude::*;
///
/// let model = Sequential::new().dense(3).relu().dense(1);
/// let mut params = Params::init(&model, 2, Seed(1))?;
/// params.set("0.bias", &[3], &[0.1, 0.2, 0.3])?;
/// assert_eq!(params.get("0.bias"), Some([0.1, 0.2, 0.3].as_slice()));
/// let shapes: Vec<_> = params.iter().map(|(view, _)| (view.name.as_str(), view.shape.clone())).collect();
/// assert_eq!(shapes[0], ("0.weight", vec![3, 2]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    layout: ParamLayout,
    values: Vec<f32>,
}

impl Params {
    /// Returns initial values for a model with this number of input columns, all from one seed.
    ///
    /// # Errors
    /// As [`Sequential::layout`].
    pub fn init(model: &Sequential, inputs: usize, seed: Seed) -> Result<Self> {
        let mut params = Self::zeros(model.layout(inputs)?);
        let mut random = seed.stream(Purpose::Init);
        let mut first = true;
        for (view, parameter) in params.layout.views.iter().zip(model.parameters(inputs)?) {
            parameter.start.fill(&mut params.values[view.range()], first, &mut random);
            let weight =
                matches!(parameter.start, InitSource::Weight(..) | InitSource::WeightOfEach(..));
            first &= !weight;
        }
        Ok(params)
    }

    /// All zeros.
    pub fn zeros(layout: ParamLayout) -> Self {
        let values = vec![0.0; layout.len()];
        Self { layout, values }
    }

    /// From an arena as a device returns it.
    ///
    /// # Errors
    /// If its length is not the layout's.
    pub fn from_arena(layout: ParamLayout, values: Vec<f32>) -> Result<Self> {
        if values.len() != layout.len() {
            let problem = format!(
                "{} values, but the layout has {}; read all of the device's",
                values.len(),
                layout.len()
            );
            return Err(Error::shape("parameters", problem));
        }
        Ok(Self { layout, values })
    }

    /// The same values in a layout that aligns them otherwise.
    pub fn laid_out(&self, layout: ParamLayout) -> Self {
        let mut params = Self::zeros(layout);
        for ((_, values), to) in self.iter().zip(&params.layout.views) {
            params.values[to.range()].copy_from_slice(values);
        }
        params
    }

    /// Where each parameter lies.
    pub fn layout(&self) -> &ParamLayout {
        &self.layout
    }

    /// The whole arena.
    pub fn arena(&self) -> &[f32] {
        &self.values
    }

    /// Name, shape and values of each parameter, in layer order.
    pub fn iter(&self) -> impl Iterator<Item = (&ParamView, &[f32])> {
        self.layout.views.iter().map(|view| (view, &self.values[view.range()]))
    }

    /// Values of the parameter of this name, in row-major order; `None` if there is none.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.view(name).map(|view| &self.values[view.range()])
    }

    /// The parameter of this name as an array of its own shape; `None` if there is none.
    pub fn array(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        let view = self.view(name)?;
        ArrayViewD::from_shape(view.shape.as_slice(), &self.values[view.range()]).ok()
    }

    /// Euclidean norm of all values together.
    pub fn norm(&self) -> f64 {
        norm(&self.values)
    }

    /// Euclidean norm of the parameter of this name; `None` if there is none.
    pub fn norm_of(&self, name: &str) -> Option<f64> {
        self.get(name).map(norm)
    }

    /// Names and Euclidean norms of all parameters, in layer order.
    pub fn norms(&self) -> impl Iterator<Item = (&str, f64)> {
        self.iter().map(|(view, values)| (view.name.as_str(), norm(values)))
    }

    fn view(&self, name: &str) -> Option<&ParamView> {
        self.layout.views.iter().find(|view| view.name == name)
    }

    /// Sets all values of the parameter with this index in the layout.
    pub(crate) fn put(&mut self, place: usize, values: &[f32]) {
        let range = self.layout.views[place].range();
        self.values[range].copy_from_slice(values);
    }

    /// Sets one parameter.
    ///
    /// # Errors
    /// If there is none of this name, or its shape differs; the message names both.
    pub fn set(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        let Some(view) = self.layout.views.iter().find(|view| view.name == name) else {
            let known: Vec<_> = self.layout.views.iter().map(|v| v.name.as_str()).collect();
            return Err(Error::shape(
                name,
                format!("the model has no such parameter; it has {}", known.join(", ")),
            ));
        };
        if view.shape != shape || values.len() != view.len() {
            return Err(Error::shape(
                name,
                format!("shape {shape:?}, but the model has {:?}", view.shape),
            ));
        }
        self.values[view.range()].copy_from_slice(values);
        Ok(())
    }
}

/// Euclidean norm, added up in f64.
fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_name() {
        let mut params = Params::zeros(Sequential::new().dense(2).layout(3).unwrap());
        params.set("0.weight", &[2, 3], &[3.0, 0.0, 0.0, 0.0, 0.0, 4.0]).unwrap();
        params.set("0.bias", &[2], &[0.0, 12.0]).unwrap();
        assert_eq!(params.get("0.bias"), Some(&[0.0, 12.0][..]));
        assert_eq!(params.array("0.weight").unwrap()[[1, 2]], 4.0);
        assert_eq!((params.get("weight"), params.norm_of("weight")), (None, None));
        assert_eq!((params.norm_of("0.weight"), params.norm()), (Some(5.0), 13.0));
        assert_eq!(params.norms().collect::<Vec<_>>(), [("0.weight", 5.0), ("0.bias", 12.0)]);
    }
    use crate::model::{Init, Layer};

    #[test]
    fn views_are_aligned_and_named_as_in_pytorch() {
        let model = Sequential::new().dense(3).relu().dense(2);
        let layout = model.layout(5).unwrap();
        let names: Vec<_> = layout.views().iter().map(|v| (v.name.as_str(), v.offset)).collect();
        assert_eq!(names, [("0.weight", 0), ("0.bias", 64), ("2.weight", 128), ("2.bias", 192)]);
        assert_eq!((layout.len(), layout.count()), (256, 26));
    }

    #[test]
    fn gaps_stay_zero_and_seeds_decide() {
        let model = Sequential::new().dense(3).relu().dense(2);
        let params = Params::init(&model, 5, Seed(1)).unwrap();
        assert_eq!(params, Params::init(&model, 5, Seed(1)).unwrap());
        assert_ne!(params, Params::init(&model, 5, Seed(2)).unwrap());
        assert!(params.arena()[15..64].iter().all(|&v| v == 0.0));
        assert!(params.iter().all(|(_, values)| values.iter().any(|&v| v != 0.0)));
    }

    #[test]
    fn the_first_dense_layer_is_known_as_such() {
        let init = Init::Siren { omega: 30.0 };
        let dense = |units| Layer::Dense { units, bias: true, init, ntk: false };
        // An activation in front makes no other layer the first.
        let model = Sequential::new().tanh().layer(dense(400)).tanh().layer(dense(100));
        let params = Params::init(&model, 25, Seed(1)).unwrap();
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        let largest: Vec<f32> = params.iter().map(|(_, values)| largest(values)).collect();
        for (got, bound) in
            [(largest[0], 1.0 / 25.0), (largest[2], (6.0 / 400.0_f32).sqrt() / 30.0)]
        {
            assert!(got <= bound && got > 0.99 * bound, "{largest:?}, want {bound}");
        }
    }

    #[test]
    fn wrong_names_and_shapes_are_named() {
        let mut params = Params::zeros(Sequential::new().dense(3).layout(5).unwrap());
        assert!(
            params
                .set("1.weight", &[3, 5], &[0.0; 15])
                .unwrap_err()
                .to_string()
                .contains("0.weight, 0.bias")
        );
        assert!(
            params.set("0.weight", &[5, 3], &[0.0; 15]).unwrap_err().to_string().contains("[3, 5]")
        );
        params.set("0.bias", &[3], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(params.arena()[64..67], [1.0, 2.0, 3.0]);
    }
}
