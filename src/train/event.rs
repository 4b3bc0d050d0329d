//! Events of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{EarlyStop, Metric, Metrics, Streaming};
use crate::data::{Positive, list, option_value};
use crate::device::DeviceInfo;
use crate::plan::Precision;
use crate::shape::{count, pluralize};

/// News of a run, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Everything is planned and loaded; the first step comes next.
    Started(RunInfo),
    /// Some steps of an epoch are under way.
    Progress(Progress),
    /// An epoch has ended and was validated.
    Epoch(EpochStats),
    /// A warning, which does not stop the run.
    Warned(Warning),
    /// The last epoch has ended.
    Finished(Summary),
}

/// Description of a run that is about to start.
#[derive(Clone, Debug, PartialEq)]
pub struct RunInfo {
    /// Device of the run.
    pub device: DeviceInfo,
    /// Reason for that device.
    pub reason: String,
    /// Number of rows trained on.
    pub train_rows: usize,
    /// Number of rows held out.
    pub valid_rows: usize,
    /// Description of the target: classes with their rows, or a range of numbers.
    pub target: String,
    /// Number of feature columns.
    pub features: usize,
    /// The positive class of a target of two classes, and of each label.
    pub positive: Vec<Positive>,
    /// Number of trainable numbers.
    pub parameters: usize,
    /// Number of passes over the rows.
    pub epochs: u32,
    /// Number of batches in a pass, the partial one included.
    pub steps_per_epoch: usize,
    /// Number of rows of a full batch.
    pub batch: usize,
    /// Storage type of the values between a step's kernels.
    pub precision: Precision,
    /// Largest number of bytes on the device.
    pub device_bytes: u64,
    /// Treatment of a numeric target, if it is not scaled to mean 0 and deviation 1 like the features.
    pub target_note: Option<String>,
    /// True if a schedule changes the label smoothing of the training loss; the validation loss has that of the schedule's end.
    pub smoothing_moves: bool,
    /// Streaming of the training table, if it is not on the device.
    pub streaming: Option<Streaming>,
    /// Seconds until everything was loaded.
    pub load_seconds: f64,
    /// Chosen kernel variants.
    pub variants: Vec<String>,
}

/// Position inside an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Number of its steps that were submitted to the device.
    pub step: usize,
    /// Number of its steps.
    pub steps: usize,
    /// Mean loss of the steps known so far; `None` before the first is known.
    pub loss: Option<f64>,
    /// Rows trained on per second, over the run.
    pub samples_per_second: f64,
    /// Seconds until the run ends at this speed.
    pub seconds_left: f64,
}

/// The figures of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochStats {
    /// Epoch, from 1.
    #[serde(rename = "epoch")]
    pub epoch: u32,
    /// Steps since the run began.
    #[serde(rename = "steps")]
    pub steps: u64,
    /// Loss over the epoch's rows, as the weights changed: the mean, or the sum if the reduction is a sum.
    #[serde(rename = "train_loss")]
    pub train_loss: f64,
    /// Figures of the validation part, if there is one.
    #[serde(rename = "valid")]
    pub valid: Option<Metrics>,
    /// Learning rate of the last step.
    #[serde(rename = "lr")]
    pub lr: f64,
    /// Seconds of training and validation.
    #[serde(rename = "seconds")]
    pub seconds: f64,
    /// Rows trained on per second.
    #[serde(rename = "samples_per_second")]
    pub samples_per_second: f64,
}

/// Result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Figures of the kept epoch; `None` if none was finished.
    pub kept: Option<EpochStats>,
    /// Figures of the last epoch, if this part of the run had one.
    pub last: Option<EpochStats>,
    /// Number of epochs that were run.
    pub epochs: u32,
    /// Reason why there are no more, if more were asked for.
    pub stopped: Option<EarlyStop>,
    /// Seconds since the first step.
    pub seconds: f64,
}

impl Summary {
    /// Epoch whose weights are kept, from 1; `None` if none was finished.
    pub fn best_epoch(&self) -> Option<u32> {
        self.kept.as_ref().map(|kept| kept.epoch)
    }

    /// Training loss of the kept epoch.
    pub fn train_loss(&self) -> Option<f64> {
        self.kept.as_ref().map(|kept| kept.train_loss)
    }

    /// Figures of the kept epoch on the validation rows; `None` without such rows.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.kept.as_ref()?.valid.as_ref()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epochs = if self.epochs == 1 { "epoch" } else { "epochs" };
        let Some(kept) = &self.kept else { return write!(f, "{} {epochs}", self.epochs) };
        let loss = Metric::Loss.shown(kept.train_loss);
        write!(f, "epoch {} of {}, train loss {loss}", kept.epoch, self.epochs)?;
        if let Some(valid) = &kept.valid {
            write!(f, "; validated on {valid}")?;
        }
        match &self.stopped {
            Some(stopped) => write!(f, "; {stopped}"),
            None => Ok(()),
        }
    }
}

/// Something to know that stops nothing; its text says what to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// The batch is larger than the data.
    OneBatch {
        /// Rows asked for.
        batch: usize,
        /// Rows there are.
        rows: usize,
    },
    /// Layers, losses or settings that do not go together; `docs/mistakes.md` lists them.
    Mistake {
        /// Problem and remedy.
        problem: String,
    },
    /// A software adapter trains.
    SoftwareAdapter,
    /// The device did something otherwise than it should.
    Device {
        /// Problem and consequence.
        problem: String,
    },
    /// Feature columns that hold one value only.
    ConstantColumns {
        /// Their names.
        columns: Vec<String>,
    },
    /// Feature columns that number the rows.
    Identifiers {
        /// Their names.
        columns: Vec<String>,
    },
    /// Feature columns each of which determines the target alone.
    Revealing {
        /// Their names.
        columns: Vec<String>,
    },
    /// A network that is no better than a prediction without one.
    NoBetter {
        /// Says what it is compared with, and both losses.
        problem: String,
    },
    /// Steps of an epoch that changed nothing, because gradients were too large for half precision.
    StepsSkipped {
        /// The epoch, from 1.
        epoch: u32,
        /// How many of its steps.
        skipped: u32,
        /// The loss scale at its end, a power of two.
        scale: f64,
    },
    /// Steps of an epoch that were left out, because a loss or a gradient was no finite number.
    StepsLost {
        /// The epoch, from 1.
        epoch: u32,
        /// Number of updates.
        skipped: u32,
        /// Batches of each.
        batches: u32,
    },
    /// The device has not the memory for a batch's steps.
    SmallerSteps {
        /// The limit that was exceeded.
        problem: String,
        /// Rows of a batch.
        batch: usize,
        /// Rows of a step.
        step: usize,
    },
    /// Tensors of a file of weights that do not fit, and were left out as wished.
    NotTaken {
        /// The parameters, each with its problem.
        problems: Vec<String>,
    },
    /// A run continues from a checkpoint, but not with the bits of the earlier run.
    OtherBits {
        /// Differences from the earlier run.
        differences: Vec<String>,
    },
    /// The device was lost, and training went on.
    DeviceLost {
        /// The driver's message.
        problem: String,
        /// From where.
        place: String,
        /// Number of epochs that had ended there; later ones are reported again.
        ended: u32,
        /// True if its kernels are the same.
        same: bool,
    },
    /// Numbers that are not finite made the run go back.
    WentBack {
        /// The value that was not finite, and its step.
        problem: String,
        /// To where.
        place: String,
        /// Number of epochs that had ended there; later ones are reported again.
        ended: u32,
        /// Factor of the learning rate from now on.
        slowed: f64,
    },
    /// Something about settings, table or folder that is not as one may think.
    Noted {
        /// Problem, consequence and remedy.
        problem: String,
    },
    /// A file could not be written, and training went on.
    NotWritten {
        /// Why, and what follows from it.
        problem: String,
    },
    /// Setting of the loss that does not suit the target.
    Target {
        /// Says what does not suit, and what to do.
        problem: String,
    },
    /// Columns whose values differ by less than single precision can represent.
    LostDigits {
        /// Their names.
        columns: Vec<String>,
    },
    /// Weights of classes under batches too small for a mean over their own weights.
    SmallBatches {
        /// Rows of a batch, with those that are accumulated.
        batch: usize,
    },
    /// Weights of a file that names no columns and no classes.
    ByPlace {
        /// The file.
        file: String,
    },
    /// Scaling that is not the one under which the weights of a file were trained.
    ScaledAnew {
        /// The setting that asks for it.
        place: String,
    },
    /// Rows of weight 0.
    LeftOut {
        /// Number of them.
        rows: usize,
    },
    /// A metric that was asked for and has no value on the validation rows.
    Undefined {
        /// The metric.
        metric: Metric,
        /// Why.
        problem: String,
    },
    /// A watched metric had no value after an epoch; reported once.
    NoValue {
        /// The epoch, from 1.
        epoch: u32,
        /// Name of the option by which the metric is watched.
        option: &'static str,
        /// The metric.
        metric: Metric,
    },
    /// A number to predict that is the same in all training rows.
    ConstantTarget {
        /// The column's name.
        column: String,
        /// The value.
        value: String,
    },
}

/// Number of items of a list that are shown.
const SHOWN: usize = 20;
/// Number of letters of a name that are shown.
const LONGEST: usize = 40;

/// Returns the words for the items of a list that are not shown.
fn more<T>(all: &[T]) -> String {
    match all.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// The beginning of a name that may be of any length.
fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        None => name.to_string(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

/// Columns and what they do.
/// Names up to ten columns as an option takes them.
fn option_list(columns: &[String]) -> String {
    const SHOWN: usize = 10;
    if columns.len() == 1 {
        return option_value(&columns[0], "");
    }
    let quoted = |name: &String| match name.contains([',', '"']) {
        true => format!("\\\"{}\\\"", name.replace('"', "\\\"\\\"")),
        false => name.clone(),
    };
    let names = columns.iter().take(SHOWN).map(quoted).collect::<Vec<_>>().join(", ");
    format!("\"{names}\"")
}

fn verb(columns: &[String], one: &str, many: &str) -> String {
    format!("{} {}", list(columns), if columns.len() == 1 { one } else { many })
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneBatch { batch, rows } => {
                write!(
                    f,
                    "‘batch_size’ {} is more than the {} training rows: each epoch is one step over all of them",
                    count(*batch as u64),
                    count(*rows as u64)
                )
            }
            Self::SoftwareAdapter => {
                write!(f, "this is a software adapter, meant for tests; ‘device’ cpu is far faster")
            }
            Self::Device { problem }
            | Self::NotWritten { problem }
            | Self::NoBetter { problem }
            | Self::Noted { problem }
            | Self::Mistake { problem }
            | Self::Target { problem } => f.write_str(problem),
            Self::LostDigits { columns } => write!(
                f,
                "single precision (32-bit) cannot tell all values of {} apart even after scaling: they differ in digits too far \
                 behind the first; take out extreme values, subtract what they have in common, or treat them as classes",
                list(columns)
            ),
            Self::SmallBatches { batch } => write!(
                f,
                "‘class_weights’ with batches of {}: as in PyTorch, each batch's mean is over its own weights, so that \
                 they cancel in a batch of few classes; use a larger ‘batch_size’ or ‘accumulate’, or ‘reduction’ sum",
                pluralize(*batch as u64, "row")
            ),
            Self::ByPlace { file } => write!(
                f,
                "{file} names no columns and no classes: its weights are taken in the order of the table's columns and classes"
            ),
            Self::ScaledAnew { place } => write!(
                f,
                "{place}: columns are scaled anew under weights that were trained under another scaling; ‘scale’ init keeps that"
            ),
            Self::LeftOut { rows } => {
                let were = if *rows == 1 { "is" } else { "are" };
                write!(f, "{} of weight 0 {were} left out", pluralize(*rows as u64, "row"))
            }
            Self::Undefined { metric, problem } => {
                write!(
                    f,
                    "‘metrics’: {metric} is asked for of the validation rows, but {problem}{}. Take {}, or validate on other rows \
                     with ‘valid’",
                    // A figure that is 0 by definition has a value.
                    if problem.starts_with("is 0") { "" } else { "; its value stays empty" },
                    metric.instead()
                )
            }
            Self::NoValue { epoch, option, metric } => {
                write!(
                    f,
                    "‘{option}’: {metric} has no value after epoch {epoch}: epochs without one count as neither better nor worse; if \
                     they go on, watch another metric, such as {}",
                    metric.instead()
                )
            }
            Self::ConstantColumns { columns } => {
                write!(f, "columns with one value only tell the network nothing: {}", list(columns))
            }
            Self::Identifiers { columns } => write!(
                f,
                "{} to number the rows: a network can only learn that by heart; take it out of the table, unless it means more, such as time",
                verb(columns, "seems", "seem")
            ),
            Self::Revealing { columns } => write!(
                f,
                "{} the target without any other column: is that known when a prediction is wanted? If not, give ‘ignore’ {}, or \
                 take it out of the table",
                verb(columns, "tells", "tell"),
                option_list(columns)
            ),
            Self::StepsSkipped { epoch, skipped, scale } => {
                let (steps, were) = if *skipped == 1 { ("step", "was") } else { ("steps", "were") };
                write!(
                    f,
                    "{} {steps} of epoch {epoch} {were} skipped: gradients times the loss scale were too large for half \
                     precision; the scale is {scale} now. A few are usual while it settles; if they go on, use ‘precision’ f32",
                    count((*skipped).into())
                )
            }
            Self::StepsLost { epoch, skipped, batches } => {
                let (steps, were) = if *skipped == 1 { ("step", "was") } else { ("steps", "were") };
                let of = match batches {
                    1 => String::new(),
                    more => format!(", each of {more} batches,"),
                };
                write!(
                    f,
                    "{} {steps} of epoch {epoch}{of} {were} skipped: a loss or a gradient was no finite number. Nothing \
                     was changed there, and the training loss leaves them out; look for extreme values in the data",
                    count((*skipped).into())
                )
            }
            Self::SmallerSteps { problem, batch, step } => write!(
                f,
                "{problem}; so batches of {} are trained on in steps of {}, whose gradients are added up: the same \
                 result within rounding",
                pluralize(*batch as u64, "row"),
                count(*step as u64)
            ),
            Self::NotTaken { problems } => write!(
                f,
                "parameters that begin anew, or were not asked for: {}{}",
                problems[..problems.len().min(SHOWN)].join("; "),
                more(problems)
            ),
            Self::OtherBits { differences } => write!(
                f,
                "the results will not be those of the uninterrupted run bit for bit: {}{}",
                differences[..differences.len().min(SHOWN)].join("; "),
                more(differences)
            ),
            Self::DeviceLost { problem, place, same, .. } => {
                let bits =
                    if *same { "with the same bits" } else { "with other forms of its kernels" };
                write!(
                    f,
                    "{problem}; it was opened again, and training goes on from {place}, {bits}"
                )
            }
            Self::WentBack { problem, place, slowed, .. } => write!(
                f,
                "{problem}; training goes back to {place}, with the learning rate times {} from there on",
                crate::shape::short(*slowed)
            ),
            Self::ConstantTarget { column, value } => {
                write!(
                    f,
                    "the target {} is {value} in all training rows: there is nothing to learn; is it the right column?",
                    short(column)
                )
            }
        }
    }
}
