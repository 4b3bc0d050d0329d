//! Networks as plain data: layers, sizes and named parameters.
//!
//! In: layers as a user names them. Out: [`Sequential`], and [`Params`] in one flat arena.
//! Absent on purpose: graphs, devices, training.

mod activation;
mod init;
mod layer;
mod orthogonal;
mod params;
mod sequential;

pub(crate) use activation::call;
pub use activation::{Activation, expression};
pub use init::{Fan, Init, gain};
pub(crate) use layer::RMS_EPS;
pub(crate) use layer::runs;
pub use layer::{
    BatchEnsemble, CustomLayer, EmbeddingTable, Gate, Layer, LayerParser, NumberEmbedding,
    NumberEmbeddingKind, ParamKind,
};
#[cfg(feature = "cli")]
pub(crate) use layer::{LayerPlace, LayerSpec};
pub use params::{ParamLayout, ParamView, Params, VIEW_ALIGN};
pub use sequential::{LayerShape, ModelSummary, Sequential};
