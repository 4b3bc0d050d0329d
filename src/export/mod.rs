//! Trained networks on disk.
//!
//! In: a [`TrainedModel`](crate::train::TrainedModel), a [`Checkpoint`](crate::train::Checkpoint). Out: files that this crate and
//! others read.
//! Absent on purpose: terminals, devices.

mod checkpoint;
#[cfg(feature = "onnx")]
mod onnx;
mod safetensors;
mod weights;

use std::path::Path;

pub use checkpoint::{read_checkpoint, write_checkpoint};
#[cfg(feature = "cli")]
pub(crate) use onnx::renamed_inputs;
#[cfg(feature = "onnx")]
pub use onnx::{ONNX_OPSET, needs_double, onnx_bytes, write_onnx};
pub use safetensors::{
    ensemble_from_bytes, ensemble_to_bytes, read_ensemble, read_model, read_preparation,
    write_ensemble, write_model,
};
pub use weights::{read_fitting_weights, read_weights};

use crate::error::{Error, Result};
pub use crate::files::{AtomicFile, write_file};
use crate::train::Trainer;

/// The model's file name in a run folder.
pub const MODEL_FILE: &str = "model.safetensors";

impl Trainer {
    /// Writes the network as it is kept into a folder, as [`MODEL_FILE`]; the folder is made if need be.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|source| Error::file("create", folder, source))?;
        write_model(&self.trained(), folder.join(MODEL_FILE))
    }
}
