//! The one error type of the crate.
//!
//! Every message says where, what was expected, what was found and, where it is known, what to do. Settings have the names of their
//! fields: `lr` as the name of an [`Error::Setting`], ‘lr’ within a text.
//! Absent on purpose: exit codes, colours and names of options, which belong to the program.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Anything that can go wrong when a table is read, a network planned, or a device used.
///
/// A user's file, option or adapter never causes a panic: a panic is a bug of this crate. Match on the variants and their fields; the
/// texts are for people, and later versions may change them.
///
/// ```
/// use wgrad::{Dataset, Error, Target};
///
/// # let folder = std::env::temp_dir().join(format!("wgrad-error-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("houses.csv");
/// std::fs::write(&path, "size,price\n100,1.5\nlarge,2\n")?;
/// match Dataset::from_csv(&path, Target::number("price")) {
///     Err(Error::Table { at, .. }) => {
///         assert_eq!((at.line, at.column.as_deref()), (Some(3), Some("size")));
///     }
///     other => panic!("{other:?}"),
/// }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The attempt: `read`, `write`, `create` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A table that cannot be used as it is.
    #[error("{place}: {problem}")]
    #[non_exhaustive]
    Table {
        /// File, and line where known, as a text: `iris.csv:17`.
        place: String,
        /// Expected, found, remedy.
        problem: String,
        /// The same place in parts.
        at: Box<TablePlace>,
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
        /// Name of the field: `batch_size`.
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
        /// Adapter that was looked for, and those that there are.
        problem: String,
    },
    /// An adapter that is too small for the work.
    #[error(
        "{what} needs {need} bytes, but {adapter} allows {limit} ({}); {remedy}",
        limit_text(limit_name)
    )]
    TooLarge {
        /// The tensor or table concerned.
        what: String,
        /// Bytes wanted.
        need: u64,
        /// The adapter's name.
        adapter: String,
        /// Bytes allowed.
        limit: u64,
        /// Name of the limit in WebGPU; `device_memory` for the option of that name.
        limit_name: &'static str,
        /// The way out.
        remedy: String,
    },
    /// The device has not the memory that was asked for.
    #[error("{adapter}: {problem}")]
    OutOfMemory {
        /// The adapter's name.
        adapter: String,
        /// The way out.
        problem: String,
    },
    /// The device failed: validation, lost.
    #[error("{adapter}: {problem}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// The driver's words, and the way out.
        problem: String,
    },
    /// The loss, or what should have made it smaller, became NaN or infinite.
    #[error(
        "{what} became {loss} at step {step} (epoch {epoch}) with learning rate {lr:?}; \
         try a smaller ‘lr’, a warm-up (‘warmup’), or look for extreme values in the data"
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
         learned; try a smaller ‘lr’, ‘scale’ standard, or look for extreme values in the data"
    )]
    NothingLearned {
        /// Epoch, from 1.
        epoch: u32,
        /// Moves of the weights that it would have had.
        steps: u32,
    },
}

/// The limit that the option of this name sets.
pub(crate) const DEVICE_MEMORY: &str = "device_memory";
/// Name of the limit on the host's memory in an error.
pub(crate) const HOST_MEMORY: &str = "host_memory";

/// A limit's name in a text: that of an option in the quotes that options have.
fn limit_text(name: &str) -> String {
    if [DEVICE_MEMORY, HOST_MEMORY].contains(&name) {
        format!("‘{name}’")
    } else {
        name.to_string()
    }
}

/// A place in a table, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TablePlace {
    /// The file, or `arrays` for arrays of the caller's.
    pub file: Option<String>,
    /// Line of the file, from 1.
    pub line: Option<u64>,
    /// Row of an array, from 0.
    pub row: Option<usize>,
    /// Name of the column.
    pub column: Option<String>,
}

/// Number of calls of [`caught`] under way.
static CATCHING: AtomicUsize = AtomicUsize::new(0);

/// Ends work that cannot return an error, such as an iterator over numbers of a temporary file; [`caught`] returns the error. Panics where
/// nothing would return it.
pub(crate) fn give_up(error: Error) -> ! {
    if CATCHING.load(Ordering::Relaxed) == 0 {
        panic!("{error}");
    }
    // No hook prints it, since the program has no fault.
    resume_unwind(Box::new(error))
}

/// Does work. Returns the error, too, with which [`give_up`] has ended it.
pub(crate) fn caught<T, E: From<Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    CATCHING.fetch_add(1, Ordering::Relaxed);
    // Values that the work has changed are not used after the error.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CATCHING.fetch_sub(1, Ordering::Relaxed);
    match outcome {
        Ok(done) => done,
        Err(cause) => match cause.downcast::<Error>() {
            Ok(error) => Err(E::from(*error)),
            Err(cause) => resume_unwind(cause),
        },
    }
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A file that could not be used: `File` with its path attached.
    pub fn file(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::File { action, path: path.as_ref().to_path_buf(), source }
    }

    /// A setting that is not allowed, under the name of its field.
    pub fn setting(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Setting { name: name.into(), problem: problem.into() }
    }

    /// Shapes that do not fit, at a layer or an operation.
    pub fn shape(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Shape { place: place.into(), problem: problem.into() }
    }

    /// A table that cannot be used, with the place in it.
    pub fn table(file: impl Into<String>, problem: impl Into<String>) -> Self {
        let place = file.into();
        let at = Box::new(TablePlace { file: Some(place.clone()), ..TablePlace::default() });
        Self::Table { place, problem: problem.into(), at }
    }

    /// Adds a line of the file, from 1, to an error about a table.
    #[must_use]
    pub fn at_line(mut self, number: u64) -> Self {
        if let Self::Table { place, at, .. } = &mut self {
            *place = format!("{place}:{number}");
            at.line = Some(number);
        }
        self
    }

    /// Adds a row of an array, from 0, to an error about a table, whose text names the row already.
    #[must_use]
    pub fn at_row(mut self, index: usize) -> Self {
        if let Self::Table { at, .. } = &mut self {
            at.row = Some(index);
        }
        self
    }

    /// Adds a column to an error about a table, whose text names the column already.
    #[must_use]
    pub fn at_column(mut self, name: &str) -> Self {
        if let Self::Table { at, .. } = &mut self {
            at.column = Some(name.to_string());
        }
        self
    }

    /// A model file that cannot be used.
    pub fn model_file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::ModelFile { path: path.as_ref().to_path_buf(), problem: problem.into() }
    }
}
