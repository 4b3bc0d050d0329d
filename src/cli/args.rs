//! The command line as typed; nothing is checked here but the verbs and the names of options.
//!
//! Out: texts. Absent on purpose: defaults and ranges, which `config.rs` knows for all sources of settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::paths::parser;

const EXAMPLE: &str = "\
Example:
  wgrad train iris.csv --target species
  wgrad evaluate runs/iris other.csv
  wgrad predict runs/iris new.csv --out predicted.csv

A RUN is the folder that train leaves (here runs/iris), or a model.safetensors.";

/// Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "wgrad", version, about, max_term_width = 100, after_help = EXAMPLE)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Cli {
    /// Parses arguments; for wrong ones, and for `--help`, it says what there is to say and ends the program.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Self {
        Self::parse_from(joined(args))
    }
}

/// Writes `--lr -1e-3` as `--lr=-1e-3`: a negative number is a value to be refused with its reason, never an option.
fn joined(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for arg in args {
        let negative =
            arg.to_str().is_some_and(|text| text.starts_with('-') && text.parse::<f64>().is_ok());
        match joined
            .last_mut()
            .filter(|last| negative && last.to_str().is_some_and(|last| last.starts_with("--")))
        {
            Some(option) => {
                option.push("=");
                option.push(arg);
            }
            None => joined.push(arg),
        }
    }
    joined
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train on a table and leave a run folder
    Train(Box<TrainArgs>),
    /// Go on with a run where it stopped
    Resume(ResumeArgs),
    /// Loss and metrics of a run on other data
    Evaluate(EvaluateArgs),
    /// A table with the predictions (and probabilities) as new columns
    Predict(PredictArgs),
    /// A run's network for other programs: raw columns in, predictions out
    Export(ExportArgs),
    /// The adapters there are, with features and limits, and which one `auto` takes
    Adapters(AdaptersArgs),
    /// Every kernel variant against the reference, on this adapter
    Verify(VerifyArgs),
    /// Throughput of fixed training steps, devices side by side
    Bench(BenchArgs),
    /// The model and the plan that train would run, printed
    Plan(Box<PlanArgs>),
    /// Every name that options take, with formula, parameters and source, in Markdown
    Vocabulary,
}

impl Verb {
    /// Whether stdout is for programs.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Train(args) => args.json,
            Self::Resume(args) => args.json,
            Self::Evaluate(args) => args.json,
            Self::Predict(args) => args.json,
            Self::Export(args) => args.json,
            Self::Adapters(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Bench(args) => args.json,
            Self::Plan(_) | Self::Vocabulary => false,
        }
    }
}

/// `wgrad train`
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
    /// Run folder [default: runs/ and the table's name]
    #[arg(long, value_name = "FOLDER", value_parser = parser())]
    pub out: Option<String>,
    /// Replace the files of an earlier run in that folder
    #[arg(long)]
    pub force: bool,
    /// One JSON object per event on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress and no result, only errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Run folder
    pub run: PathBuf,
    /// Epochs in all, with those that the run has done [default: as the run was told]
    #[arg(long, value_name = "COUNT")]
    pub epochs: Option<String>,
    /// Epochs over which schedules that depend on the run's length go, such as those of the run so far [default: as the run was
    /// told, or --epochs]
    #[arg(long, value_name = "COUNT")]
    pub schedule_epochs: Option<String>,
    /// auto, gpu, software, cpu, or part of an adapter's name; on another one bits may differ [default: as the run was told]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Epochs of patience from here on, or none: for a run that early stopping has ended [default: as the run was told]
    #[arg(long, value_name = "EPOCHS")]
    pub stop_patience: Option<String>,
    /// How much better --stop-metric has to get to count [default: as the run was told]
    #[arg(long, value_name = "NUMBER")]
    pub stop_delta: Option<String>,
    /// The training table, if it was moved [default: as the run was told]
    #[arg(long, value_name = "FILE", value_parser = parser())]
    pub table: Option<String>,
    /// The checkpoint to go on from, such as RUN/checkpoint.best.safetensors, the best epoch's [default: the newest in RUN]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// One JSON object per event on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress and no result, only errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// What decides a run, each as typed; each is also a key of `--config`.
#[derive(Debug, Default, Args)]
pub struct Settings {
    /// CSV file with a header; all columns but the target are features
    #[arg(value_parser = parser())]
    pub table: Option<String>,
    /// The column to predict, or several between commas
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// Column that says how much each row counts, 0 or more; it is no feature [default: all rows count the same]
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
    /// auto, classify, regress, or labels for yes or no in each target column [default: auto, by the loss or by what
    /// the target column holds]
    #[arg(long)]
    pub task: Option<String>,
    /// Which of two classes, or which value of every label, is the positive one, of which the probability of a label,
    /// precision, recall, f1 and rankings are [default: the later in the order of classes]
    #[arg(long, value_name = "CLASS", allow_hyphen_values = true)]
    pub positive: Option<String>,
    /// Sizes of the hidden layers, or none [default: 128,64]
    #[arg(long, value_name = "SIZES", allow_hyphen_values = true)]
    pub hidden: Option<String>,
    /// A name such as relu, gelu or silu (a wrong one lists all), or an expression of x such as "x * sigmoid(x)"
    /// [default: relu]
    #[arg(long, value_name = "NAME")]
    pub activation: Option<String>,
    /// none, batch, layer or rms: normalisation after each hidden layer, before its activation [default: none]
    #[arg(long, value_name = "NAME")]
    pub norm: Option<String>,
    /// Share of each hidden layer's outputs that is dropped while training [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub dropout: Option<String>,
    /// All layers instead of hidden ones of these sizes, such as "dense(64), batch_norm, relu, dropout(0.1),
    /// residual(dense(64), relu), dense"; a last dense without units gets what the task needs
    #[arg(long, value_name = "LAYERS")]
    pub layers: Option<String>,
    /// For classes cross-entropy, focal or hinge; for numbers mse, mae, huber, smooth-l1, log-cosh, pinball(0.1,0.5,0.9),
    /// gaussian-nll, poisson-nll or kl-divergence; for labels binary-cross-entropy, binary-focal or binary-hinge; with
    /// arguments such as huber(delta=1.5) or cross-entropy(label-smoothing=0.1) [default: by the task]
    #[arg(long, value_name = "NAME")]
    pub loss: Option<String>,
    /// mean or sum of the losses of a batch's rows [default: mean]
    #[arg(long, value_name = "NAME")]
    pub reduction: Option<String>,
    /// balanced, or how much each class counts, such as a=2,b=1, with quotes around a name that has a comma in it:
    /// '"a, b"=2'; of labels, how much yes counts [default: none]
    #[arg(long, value_name = "WEIGHTS")]
    pub class_weights: Option<String>,
    /// sgd, adam, adamw, rmsprop, adagrad, adadelta, adamax, nadam, radam, lion, lamb, muon or schedule-free, or one with
    /// settings, such as "adam(amsgrad=true)" [default: adamw]
    #[arg(long, value_name = "NAME")]
    pub optimizer: Option<String>,
    /// Peak learning rate [default: 0.001] (of sgd, adam, adamw, radam, lamb and muon; others have PyTorch's, or that of
    /// their paper)
    #[arg(long, value_name = "RATE")]
    pub lr: Option<String>,
    /// Weight decay [default: 0.01 for adamw and lamb, 0.1 for muon, 0 for the others]
    #[arg(long, value_name = "RATE")]
    pub weight_decay: Option<String>,
    /// Momentum, for sgd and rmsprop [default: 0], and for muon [default: 0.95]
    #[arg(long, value_name = "SHARE")]
    pub momentum: Option<String>,
    /// Nesterov's momentum, for sgd [default: false] and for muon [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    pub nesterov: Option<String>,
    /// Decay of the gradients' mean, for adam, adamw and their kin [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    pub beta1: Option<String>,
    /// Decay of the squares' mean, for adam, adamw and their kin [default: 0.999]
    #[arg(long, value_name = "SHARE")]
    pub beta2: Option<String>,
    /// Keeps the divisor from 0, for all but sgd and lion [default: 1e-8 for most]
    #[arg(long, value_name = "NUMBER")]
    pub eps: Option<String>,
    /// Largest norm of all gradients together; larger ones are scaled down [default: none]
    #[arg(long, value_name = "NORM")]
    pub clip_norm: Option<String>,
    /// Largest size of an element of the gradients [default: none]
    #[arg(long, value_name = "SIZE")]
    pub clip_value: Option<String>,
    /// Batches whose gradients are added up before weights move, as one batch of all their rows [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub accumulate: Option<String>,
    /// ema or swa: averaged weights for validation and the saved model, or one with settings, such as
    /// "ema(decay=0.99)" or "swa(start=20)" [default: none]
    #[arg(long, value_name = "NAME")]
    pub average: Option<String>,
    /// Parameters without weight decay: bias, norm, matrix, or names such as "0.*", between commas [default: none]
    #[arg(long, value_name = "PARAMETERS")]
    pub no_decay: Option<String>,
    /// Parameters that stay as they are, named likewise [default: none]
    #[arg(long, value_name = "PARAMETERS")]
    pub freeze: Option<String>,
    /// Parameters with factors of learning rate and decay, such as "0.*: lr=0.1, decay=0; 2.*: frozen=true"
    #[arg(long, value_name = "GROUPS")]
    pub groups: Option<String>,
    /// How the learning rate goes over the run: constant, step, multi-step, exponential, polynomial, cosine,
    /// cosine-restarts, one-cycle, flat-cosine, cos-log-4, inverse-sqrt or plateau, with arguments such as
    /// "step(every=10, gamma=0.5)", where times are epochs [default: constant]
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,
    /// Epochs over which the learning rate rises at first, such as 0.5 [default: 0]
    #[arg(long, value_name = "EPOCHS")]
    pub warmup: Option<String>,
    /// How the weight decay goes over the run, as --schedule, without the warm-up [default: constant]
    #[arg(long, value_name = "NAME")]
    pub decay_schedule: Option<String>,
    /// How the dropout rates go over the run, as --schedule, without the warm-up [default: constant]
    #[arg(long, value_name = "NAME")]
    pub dropout_schedule: Option<String>,
    /// Epochs over which schedules that depend on the run's length go; after them they stay where they are, so that a run can
    /// go on for longer, or be cut in parts [default: --epochs]
    #[arg(long, value_name = "COUNT")]
    pub schedule_epochs: Option<String>,
    /// Passes over the training rows [default: 30]
    #[arg(long, value_name = "COUNT")]
    pub epochs: Option<String>,
    /// Stop after so many epochs in which --stop-metric got no better, or none for never [default: none]
    #[arg(long, value_name = "EPOCHS")]
    pub stop_patience: Option<String>,
    /// Metric of the validation rows that early stopping and --keep best watch [default: loss]
    #[arg(long, value_name = "NAME")]
    pub stop_metric: Option<String>,
    /// How much better it has to get to count [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub stop_delta: Option<String>,
    /// best or last: which epoch's weights are kept [default: best where there are validation rows]
    #[arg(long, value_name = "NAME")]
    pub keep: Option<String>,
    /// More metrics of the validation rows for each epoch, such as f1_macro,roc_auc,top_3 or mape [default: none]
    #[arg(long, value_name = "NAMES")]
    pub metrics: Option<String>,
    /// Rows of a batch [default: 32]
    #[arg(long, value_name = "ROWS")]
    pub batch_size: Option<String>,
    /// Share of the rows to validate on (0 for none), or a table of such rows [default: 0.2]
    #[arg(long, value_name = "SHARE|FILE", value_parser = parser())]
    pub valid: Option<String>,
    /// Whether rows come in a new order each epoch [default: true]
    #[arg(long, value_name = "true|false")]
    pub shuffle: Option<String>,
    /// standard (mean 0, deviation 1) or none, for features and a numeric target; init for that of the model whose weights
    /// --init gives [default: standard], or init where there is one
    #[arg(long, value_name = "NAME")]
    pub scale: Option<String>,
    /// Number from which all random choices follow [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<String>,
    /// How weights start: pytorch, kaiming-uniform, kaiming-normal, xavier-uniform, xavier-normal, lecun-uniform,
    /// lecun-normal, orthogonal, trunc-normal, constant, siren or ntk, with arguments such as
    /// "kaiming-normal(gain=tanh, fan=out)"; or weights from a file [default: pytorch, and siren for
    /// the activation siren]
    #[arg(long, value_name = "SCHEME|FILE.safetensors", value_parser = parser())]
    pub init: Option<String>,
    /// Whether all weights of a file given with --init have to fit; with false those that fit are taken, and the others
    /// begin anew: for a new head [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    pub init_strict: Option<String>,
    /// f32, or f16 on a GPU: half precision for what lies between a step's kernels [default: f32]
    #[arg(long, value_name = "NAME")]
    pub precision: Option<String>,
    /// auto, gpu, software, cpu, or part of an adapter's name [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// off, quick or full: how much time goes into choosing the GPU's kernels; quick times them on hardware GPUs, once
    /// for each network [default: quick]
    #[arg(long, value_name = "NAME")]
    pub tune: Option<String>,
    /// Milliseconds that quick may take [default: 250]
    #[arg(long, value_name = "COUNT")]
    pub tune_ms: Option<String>,
    /// Epochs after which a checkpoint is written, to go on from with `wgrad resume`; 0 for none [default: 1]
    #[arg(long, value_name = "EPOCHS")]
    pub checkpoint_every: Option<String>,
    /// Minutes after which one is written besides, also within an epoch; 0 for none [default: 0]
    #[arg(long, value_name = "MINUTES")]
    pub checkpoint_minutes: Option<String>,
    /// How many of the last checkpoints stay on disk; where the best epoch is kept, its own stays besides, as
    /// checkpoint.best.safetensors [default: 2]
    #[arg(long, value_name = "COUNT")]
    pub keep_checkpoints: Option<String>,
    /// What to do when a loss, a gradient or a weight is no finite number: stop, go back to the last checkpoint and halve
    /// the learning rate, or skip the step, which then changes nothing [default: stop]
    #[arg(long, value_name = "stop|back|skip")]
    pub on_nonfinite: Option<String>,
    /// Memory that the run may take on the device, such as 512MiB; a table beyond it streams [default: all]
    #[arg(long, value_name = "SIZE")]
    pub device_memory: Option<String>,
    /// TOML file with any of these settings, such as a run folder's config.toml; options given here win
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
}

impl Settings {
    /// Every setting under its key, as typed.
    pub(super) fn entries(&self) -> [(&'static str, &Option<String>); 56] {
        [
            ("table", &self.table),
            ("target", &self.target),
            ("weight", &self.weight),
            ("task", &self.task),
            ("positive", &self.positive),
            ("hidden", &self.hidden),
            ("activation", &self.activation),
            ("norm", &self.norm),
            ("dropout", &self.dropout),
            ("layers", &self.layers),
            ("loss", &self.loss),
            ("reduction", &self.reduction),
            ("class-weights", &self.class_weights),
            ("optimizer", &self.optimizer),
            ("lr", &self.lr),
            ("weight-decay", &self.weight_decay),
            ("momentum", &self.momentum),
            ("nesterov", &self.nesterov),
            ("beta1", &self.beta1),
            ("beta2", &self.beta2),
            ("eps", &self.eps),
            ("clip-norm", &self.clip_norm),
            ("clip-value", &self.clip_value),
            ("accumulate", &self.accumulate),
            ("average", &self.average),
            ("no-decay", &self.no_decay),
            ("freeze", &self.freeze),
            ("groups", &self.groups),
            ("schedule", &self.schedule),
            ("warmup", &self.warmup),
            ("decay-schedule", &self.decay_schedule),
            ("dropout-schedule", &self.dropout_schedule),
            ("schedule-epochs", &self.schedule_epochs),
            ("epochs", &self.epochs),
            ("stop-patience", &self.stop_patience),
            ("stop-metric", &self.stop_metric),
            ("stop-delta", &self.stop_delta),
            ("keep", &self.keep),
            ("metrics", &self.metrics),
            ("batch-size", &self.batch_size),
            ("valid", &self.valid),
            ("shuffle", &self.shuffle),
            ("scale", &self.scale),
            ("seed", &self.seed),
            ("init", &self.init),
            ("init-strict", &self.init_strict),
            ("precision", &self.precision),
            ("device", &self.device),
            ("tune", &self.tune),
            ("tune-ms", &self.tune_ms),
            ("checkpoint-every", &self.checkpoint_every),
            ("checkpoint-minutes", &self.checkpoint_minutes),
            ("keep-checkpoints", &self.keep_checkpoints),
            ("on-nonfinite", &self.on_nonfinite),
            ("device-memory", &self.device_memory),
            // Not a setting of the computation, but part of what config.toml records.
            ("out", &None),
        ]
    }
}

/// `wgrad evaluate`
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// CSV file of any length with the columns of the training table, the target among them; - for standard input
    pub table: PathBuf,
    /// Weights of this safetensors file in place of the run's, under PyTorch's names
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// auto, gpu, software, cpu, or part of an adapter's name
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress, only the result and errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad predict`
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// CSV file of any length with the feature columns of the training table; - for standard input
    pub table: PathBuf,
    /// Weights of this safetensors file in place of the run's, under PyTorch's names
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// File for the table with the predictions, there once it is whole; - for standard output [default: -]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace FILE if it is there
    #[arg(long)]
    pub force: bool,
    /// auto, gpu, software, cpu, or part of an adapter's name
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// One JSON object per row on stdout; with --out FILE, one in all
    #[arg(long)]
    pub json: bool,
    /// No progress, only the result and errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// Weights of this safetensors file in place of the run's, under PyTorch's names
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// ONNX file to write
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
    /// f32, f64 or auto: precision of the columns that go in [default: auto, f64 where a column needs it]
    #[arg(long, value_name = "NAME")]
    pub input: Option<String>,
    /// Replace FILE if it is there
    #[arg(long)]
    pub force: bool,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress, only errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad adapters`
#[derive(Debug, Args)]
pub struct AdaptersArgs {
    /// One JSON object per device on stdout
    #[arg(long)]
    pub json: bool,
}

/// `wgrad verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// auto, gpu, software, cpu, or part of an adapter's name
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// One JSON object per check on stdout
    #[arg(long)]
    pub json: bool,
    /// Only failures and the sum
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// cpu, gpu, software, auto, or part of an adapter's name; may be repeated [default: cpu, and gpu if there is one]
    #[arg(long)]
    pub device: Vec<String>,
    /// tiny, mnist, wide or large; may be repeated [default: all that suit the device]
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// f32 or f16
    #[arg(long, value_name = "NAME", default_value = "f32")]
    pub precision: String,
    /// Seconds to time each workload for
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Tell where the time goes instead: each kernel of a step with GFLOP/s, GB/s and its share, and how busy the
    /// device is over whole epochs
    #[arg(long)]
    pub profile: bool,
    /// off, quick or full: how much time goes into choosing the GPU's kernels
    #[arg(long, value_name = "NAME", default_value = "quick")]
    pub tune: String,
    /// Milliseconds that quick may take
    #[arg(long, value_name = "COUNT", default_value_t = 250)]
    pub tune_ms: u32,
    /// Time without checking the device's kernels first
    #[arg(long)]
    pub no_verify: bool,
    /// One JSON object per workload and device on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress, only the table
    #[arg(long)]
    pub quiet: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn keys_of_files_are_the_options_names() {
        Cli::command().debug_assert();
        let settings = Settings::default();
        let keys: Vec<_> = settings.entries().into_iter().map(|(key, _)| key).collect();
        let command = Cli::command();
        let train = command.find_subcommand("train").unwrap();
        let mut options: Vec<_> =
            train.get_arguments().map(|arg| arg.get_long().unwrap_or("table")).collect();
        // What says where to read and how to talk decides nothing about the run.
        options.retain(|name| !["config", "force", "json", "quiet", "help"].contains(name));
        assert_eq!(keys, options);
    }

    #[test]
    fn negative_numbers_are_values() {
        let args =
            ["wgrad", "--lr", "-1e-3", "--seed", "-inf", "--force", "a", "-1", "--lr", "--epochs"];
        let want = ["wgrad", "--lr=-1e-3", "--seed=-inf", "--force", "a", "-1", "--lr", "--epochs"];
        assert_eq!(joined(args.map(OsString::from)), want);
    }

    #[test]
    fn help_states_the_defaults() {
        use crate::train::TrainOptions;
        let command = Cli::command();
        let train = command.find_subcommand("train").unwrap();
        let options = TrainOptions::default();
        for (option, default) in [
            ("lr", options.lr.to_string()),
            ("epochs", options.epochs.to_string()),
            ("batch-size", options.batch_size.to_string()),
            ("schedule", options.schedule.to_string()),
            ("warmup", options.warmup.to_string()),
            ("decay-schedule", options.decay_schedule.to_string()),
            ("dropout-schedule", options.dropout_schedule.to_string()),
            ("stop-metric", options.stop_metric.to_string()),
            ("stop-delta", options.stop_delta.to_string()),
            ("optimizer", options.optimizer.name().to_string()),
            ("scale", options.scale.to_string()),
            ("tune", options.tuning.tune.to_string()),
            ("tune-ms", options.tuning.budget.as_millis().to_string()),
            ("precision", options.precision.to_string()),
        ] {
            let help = train
                .get_arguments()
                .find(|arg| arg.get_long() == Some(option))
                .unwrap()
                .get_help();
            let help = help.unwrap().to_string();
            assert!(help.contains(&format!("[default: {default}]")), "{option} {default}: {help}");
        }
    }
}
