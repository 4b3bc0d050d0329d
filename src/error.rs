//! The one error type of the crate.
//!
//! Every message says where, what was expected, what was found and, where it is known, what to do.
//! Absent on purpose: exit codes and colours, which belong to the program.

use std::path::{Path, PathBuf};

/// What can go wrong when a table is read, a network planned, or a device used.
///
/// A user's file, option or adapter never causes a panic: a panic is a bug of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`, `create` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A table that cannot be used as it is.
    #[error("{place}: {problem}")]
    Table {
        /// File, and line or column where known: `iris.csv:17`.
        place: String,
        /// Expected, found, remedy.
        problem: String,
    },
    /// A model file that is damaged or of another kind.
    #[error("{}: {problem}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// Expected, found, remedy.
        problem: String,
    },
    /// A setting outside of what it may be; the caller's mistake, not the data's.
    #[error("{name}: {problem}")]
    Setting {
        /// The option as users write it: `--batch-size`.
        name: String,
        /// Expected and found.
        problem: String,
    },
    /// A model, or a graph, whose shapes do not fit.
    #[error("{place}: {problem}")]
    Shape {
        /// Layer or operation.
        place: String,
        /// Both shapes.
        problem: String,
    },
    /// No adapter, or none of the wanted kind.
    #[error("{problem}")]
    NoAdapter {
        /// What was looked for and what there is.
        problem: String,
    },
    /// An adapter that is too small for the work.
    #[error("{what} needs {need} bytes, but {adapter} allows {limit} ({limit_name}); {remedy}")]
    TooLarge {
        /// The tensor or table concerned.
        what: String,
        /// Bytes wanted.
        need: u64,
        /// The adapter's name.
        adapter: String,
        /// Bytes allowed.
        limit: u64,
        /// The limit's name in WebGPU.
        limit_name: &'static str,
        /// What to do.
        remedy: String,
    },
    /// The device has not the memory that was asked for.
    #[error("{adapter}: {problem}")]
    OutOfMemory {
        /// The adapter's name.
        adapter: String,
        /// What to do.
        problem: String,
    },
    /// The device failed: validation, lost.
    #[error("{adapter}: {problem}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// What the driver said, and what to do.
        problem: String,
    },
    /// The loss, or what should have made it smaller, became NaN or infinite.
    #[error(
        "{what} became {loss} at step {step} (epoch {epoch}) with learning rate {lr:?}; \
         try a smaller --lr, a warm-up (--warmup), or look for extreme values in the data"
    )]
    Diverged {
        /// Global step, from 1.
        step: u64,
        /// Epoch, from 1.
        epoch: u32,
        /// Learning rate of that step.
        lr: f64,
        /// The value itself.
        loss: f32,
        /// Whose value it is: `the loss`, `a weight`, `the validation loss`.
        what: &'static str,
    },
    /// Every step of an epoch was skipped.
    #[error(
        "all {steps} steps of epoch {epoch} were skipped, since in each a loss or a gradient was no finite number, so nothing is \
         learned; try a smaller --lr, --scale standard, or look for extreme values in the data"
    )]
    NothingLearned {
        /// Epoch, from 1.
        epoch: u32,
        /// Moves of the weights that it would have had.
        steps: u32,
    },
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A file that could not be used: `File` with its path attached.
    pub fn file(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::File { action, path: path.as_ref().to_path_buf(), source }
    }

    /// A setting that is not allowed, under the name that users write.
    pub fn setting(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Setting { name: name.into(), problem: problem.into() }
    }

    /// Shapes that do not fit, at a layer or an operation.
    pub fn shape(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Shape { place: place.into(), problem: problem.into() }
    }

    /// A table that cannot be used, with the place in it.
    pub fn table(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Table { place: place.into(), problem: problem.into() }
    }

    /// A model file that cannot be used.
    pub fn model_file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::ModelFile { path: path.as_ref().to_path_buf(), problem: problem.into() }
    }
}
