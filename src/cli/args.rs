//! The command line as typed; nothing is checked here but the commands and the names of options.
//!
//! Out: texts. Absent on purpose: the options of a run, which `settings` declares; defaults and ranges.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::run::Search;
use super::settings::{
    FindLrSettings, PlanSettings, ResumeSettings, SweepSettings, TrainSettings, table_format,
};
use crate::data::TableFormat;
use crate::error::Result;

/// Widest line of a help text.
const WIDTH: usize = 80;

const BRIEF: &str = "\
Begin with: wgrad train iris.csv --target species
`wgrad COMMAND -h` shows a command's usual options, `wgrad COMMAND --help` all.";

const EXAMPLE: &str = "\
Example:
  wgrad train iris.csv --target species
  wgrad evaluate runs/iris other.csv
  wgrad predict runs/iris new.csv --out predicted.csv

A RUN is the folder that train leaves (here runs/iris), or a model.safetensors.
`wgrad COMMAND -h` shows a command's usual options, `wgrad COMMAND --help` all.";

const TRAIN_BRIEF: &str = "`wgrad train --help` shows all options.";
const TRAIN_LONG: &str = "\
Settings of the training are also keys of a file for --config, without dashes.
`wgrad vocabulary` lists all activations, losses, optimizers, schedules, schemes
and metrics with their arguments.

Example:
  wgrad train houses.csv --target price --hidden 256,256 --activation silu \\
      --epochs 100 --lr 3e-3 --schedule one-cycle --warmup 2";

const SWEEP_LONG: &str = "\
Example of a file for --config:
  epochs = 20
  lr = { log = [1e-4, 1e-1] }
  dropout = { linear = [0, 0.5] }
  batch-size = { integer = [16, 128] }
  optimizer = [\"adamw\", \"sgd(momentum=0.9)\"]
  hidden = [[64], [128, 64]]";

/// Trains multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "wgrad", version, about, max_term_width = WIDTH, after_help = BRIEF, after_long_help = EXAMPLE)]
pub struct Cli {
    /// Remedy.
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

/// Commands of the program.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train on a table and leave a run folder
    #[command(disable_help_flag = true, override_usage = "wgrad train TABLE --target COLUMN [OPTIONS]",
        after_help = TRAIN_BRIEF, after_long_help = TRAIN_LONG)]
    Train(Box<TrainArgs>),
    /// Go on with a run where it stopped
    ///
    /// The results are those of a run that never stopped, bit for bit on the same device.
    Resume(ResumeArgs),
    /// Loss and metrics of a run on other data
    ///
    /// The table is read a few thousand rows at a time, so that it may be of any length.
    Evaluate(EvaluateArgs),
    /// A table with the predictions as new columns
    ///
    /// For classes and labels their probabilities are columns too. The table is read a few thousand rows at a time, so that it
    /// may be of any length: `wgrad predict RUN big.csv.gz --out - | gzip > predicted.csv.gz`.
    Predict(PredictArgs),
    /// The columns of a table, and what train would make of them
    ///
    /// Kind, gaps, different values, range and examples of each column, of all of its cells.
    Inspect(InspectArgs),
    /// A run's layers, and what becomes of each column
    ///
    /// The scaling, the texts of categories, and what stands in for gaps, as they are stored in the model.
    Info(InfoArgs),
    /// Pictures of a run as SVG files
    ///
    /// Loss and metrics by epoch; of classes the confusion matrix, ROC, precision and recall, and calibration; of numbers predicted
    /// against actual, residuals and intervals; importance of columns, dependence on them, maps of embeddings, the network.
    #[cfg(feature = "pictures")]
    Plot(PlotArgs),
    /// The report of a run as one HTML page
    ///
    /// Figures, pictures, columns, preprocessing, network and settings, without a script and without anything from elsewhere.
    #[cfg(feature = "pictures")]
    Report(ReportArgs),
    /// A model whose probabilities are right as often as they say
    ///
    /// Raw outputs of a model for classes or labels are divided by a temperature: the one of the least log loss on rows that the model
    /// was not trained on (temperature scaling, Guo et al. 2017). The likeliest class of a single network stays the same.
    Calibrate(CalibrateArgs),
    /// A run's network as an ONNX file, for other programs
    ///
    /// The file takes the table's columns as they are and gives predictions in the target's units.
    Export(ExportArgs),
    /// The adapters there are, and which one `auto` takes
    ///
    /// Each with its features and limits.
    Adapters(AdaptersArgs),
    /// The tables in the cache, and their sizes
    ///
    /// `wgrad train` keeps a table that is larger than memory there as numbers, so that later runs on the same table start at once.
    Cache(CacheArgs),
    /// Check every kernel of a device against the reference
    ///
    /// Each kernel and variant computes awkward sizes, and its results are compared with those of plain loops in double
    /// precision. The exit code is 1 if one is wrong.
    Verify(VerifyArgs),
    /// Time fixed training steps, devices side by side
    ///
    /// Each device is verified first: nothing is timed that computes wrong numbers.
    Bench(BenchArgs),
    /// Print the model and the plan that train would run
    #[command(
        disable_help_flag = true,
        override_usage = "wgrad plan TABLE --target COLUMN [OPTIONS]",
        after_help = "`wgrad plan --help` shows all options.",
        after_long_help = ""
    )]
    Plan(Box<PlanArgs>),
    /// Try many settings and leave the best run
    ///
    /// The file of --config has ranges of settings, such as lr = { log = [1e-4, 1e-1] }. Each trial has a run folder of its own in
    /// the sweep's folder, and a row in its sweep.csv; `wgrad resume` goes on with a sweep that was stopped.
    #[command(
        disable_help_flag = true,
        override_usage = "wgrad sweep TABLE --target COLUMN --config FILE.toml [OPTIONS]",
        after_help = "`wgrad sweep --help` shows all options.",
        after_long_help = SWEEP_LONG
    )]
    Sweep(Box<SweepArgs>),
    /// Search for good settings, and leave an ensemble of the best networks
    ///
    /// The settings of --recipe are tried over ranges that are known to matter; those that you give stay. Most trials end early, the
    /// best go on. `wgrad resume` goes on with a search that was stopped.
    #[command(
        disable_help_flag = true,
        override_usage = "wgrad tune TABLE --target COLUMN [--time-budget TIME] [OPTIONS]",
        after_help = "`wgrad tune --help` shows all options.",
        after_long_help = ""
    )]
    Tune(Box<TuneArgs>),
    /// Try learning rates for a few steps each, and suggest one
    ///
    /// Every rate trains from the same weights on the same batches, and the losses that they come to are shown.
    #[command(
        name = "find-lr",
        disable_help_flag = true,
        override_usage = "wgrad find-lr TABLE --target COLUMN [OPTIONS]",
        after_help = "`wgrad find-lr --help` shows all options.",
        after_long_help = ""
    )]
    FindLr(Box<FindLrArgs>),
    /// Print every name that options take, with its formula
    ///
    /// Layers, activations, losses, optimizers, schedules, schemes and metrics with parameters and sources, in Markdown.
    Vocabulary,
}

impl Verb {
    /// Returns true if stdout is for programs.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Train(args) => args.output.json,
            Self::Resume(args) => args.json,
            Self::Evaluate(args) => args.json,
            Self::Predict(args) => args.json,
            Self::Inspect(args) => args.json,
            Self::Info(args) => args.json,
            #[cfg(feature = "pictures")]
            Self::Plot(args) => args.json,
            #[cfg(feature = "pictures")]
            Self::Report(args) => args.json,
            Self::Calibrate(args) => args.json,
            Self::Export(args) => args.json,
            Self::Adapters(args) => args.json,
            Self::Cache(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Bench(args) => args.json,
            Self::FindLr(args) => args.json,
            Self::Sweep(args) => args.output.json,
            Self::Tune(args) => args.output.json,
            Self::Plan(_) | Self::Vocabulary => false,
        }
    }
}

/// Output of a command that trains into a folder.
#[derive(Debug, Args)]
pub struct TrainingOutput {
    /// Leave out report.html
    #[cfg(feature = "pictures")]
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub no_report: bool,
    /// Curves and figures on the terminal
    ///
    /// The view follows the window's size. Where standard error is no terminal, ordinary lines are shown.
    #[arg(long, help_heading = "Output", hide_short_help = true, conflicts_with = "quiet")]
    pub view: bool,
    /// One JSON object per event on stdout
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub json: bool,
    /// No progress and no result, only errors
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub quiet: bool,
}

/// `wgrad train`
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The settings.
    #[command(flatten)]
    pub settings: TrainSettings,
    /// Replace the files of an earlier run in the run folder
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub force: bool,
    /// Options of what the command tells, and how.
    #[command(flatten)]
    pub output: TrainingOutput,
    /// Print the usual options with -h, all with --help
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    pub help: Option<bool>,
}

/// `wgrad resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Run folder
    pub run: PathBuf,
    /// The settings that may be given anew.
    #[command(flatten)]
    pub settings: ResumeSettings,
    /// Checkpoint to go on from [default: the newest]
    ///
    /// A file of RUN, such as checkpoint.best.safetensors, the best epoch's.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Leave out report.html
    #[cfg(feature = "pictures")]
    #[arg(long)]
    pub no_report: bool,
    /// Curves and figures on the terminal
    ///
    /// The view follows the window's size. Where standard error is no terminal, ordinary lines are shown.
    #[arg(long, conflicts_with = "quiet")]
    pub view: bool,
    /// One JSON object per event on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress and no result, only errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad sweep`
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The settings of all trials.
    #[command(flatten)]
    pub settings: SweepSettings,
    /// Number of trials [default: 20]
    #[arg(long, value_name = "COUNT", help_heading = "Search")]
    pub trials: Option<u32>,
    /// random, grid or halving
    ///
    /// random draws them, grid takes all combinations, and halving draws them and goes on with the best third for three times the
    /// epochs, again and again until --epochs.
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Search",
        value_enum,
        default_value = "random",
        hide_possible_values = true
    )]
    pub search: Search,
    /// Train one of several parts of the trials, such as 3/8
    ///
    /// Shard 3/8 has every eighth trial, from the third, whatever the others do: on another machine, or at another time. --merge joins the
    /// folders when all have ended.
    #[arg(long, value_name = "I/N", help_heading = "Search")]
    pub shard: Option<String>,
    /// Join the folders of all shards into --out
    ///
    /// All settings are those of the shards, and no table is read. What is left is what the sweep would have left undivided.
    #[arg(
        long,
        value_name = "FOLDER",
        num_args = 1..,
        help_heading = "Search",
        conflicts_with_all = ["trials", "search", "shard", "view"]
    )]
    pub merge: Vec<PathBuf>,
    /// Join shards although some are missing
    ///
    /// `wgrad resume` trains their trials in the joined folder.
    #[arg(long, help_heading = "Search", hide_short_help = true)]
    pub allow_missing: bool,
    /// Replace the files of an earlier sweep in the folder
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub force: bool,
    /// Options of what the command tells, and how.
    #[command(flatten)]
    pub output: TrainingOutput,
    /// Print the usual options with -h, all with --help
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    pub help: Option<bool>,
}

/// `wgrad tune`
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// The settings of all trials.
    #[command(flatten)]
    pub settings: SweepSettings,
    /// Number of trials [default: 27, or as many as --time-budget is enough for]
    #[arg(long, value_name = "COUNT", help_heading = "Search")]
    pub trials: Option<u32>,
    /// Keep the best network alone, and no ensemble
    ///
    /// Otherwise the model is the mean of up to eight networks, taken one after the other as long as the mean gets better on the
    /// validation rows.
    #[arg(long, help_heading = "Search")]
    pub one: bool,
    /// Replace the files of an earlier search in the folder
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub force: bool,
    /// Options of what the command tells, and how.
    #[command(flatten)]
    pub output: TrainingOutput,
    /// Print the usual options with -h, all with --help
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    pub help: Option<bool>,
}

/// `wgrad find-lr`
#[derive(Debug, Args)]
pub struct FindLrArgs {
    /// The settings.
    #[command(flatten)]
    pub settings: FindLrSettings,
    /// Lowest rate
    #[arg(long, value_name = "RATE", help_heading = "Rates", default_value_t = 1e-6)]
    pub from: f64,
    /// Highest rate
    #[arg(long, value_name = "RATE", help_heading = "Rates", default_value_t = 1.0)]
    pub to: f64,
    /// Number of rates
    #[arg(long, value_name = "COUNT", help_heading = "Rates", default_value_t = 25)]
    pub rates: usize,
    /// Steps of training at each rate
    #[arg(long, value_name = "COUNT", help_heading = "Rates", default_value_t = 100)]
    pub steps: usize,
    /// SVG file of the loss by the rate
    #[cfg(feature = "pictures")]
    #[arg(long, value_name = "FILE.svg", help_heading = "Output", hide_short_help = true)]
    pub picture: Option<PathBuf>,
    /// One JSON object per rate on stdout
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub json: bool,
    /// No progress, only the rates
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub quiet: bool,
    /// Print the usual options with -h, all with --help
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    pub help: Option<bool>,
}

/// `wgrad plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The settings.
    #[command(flatten)]
    pub settings: PlanSettings,
    /// Print the usual options with -h, all with --help
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    pub help: Option<bool>,
}

/// Form of a table's text.
#[derive(Debug, Args)]
pub struct FormatArgs {
    /// Sign between cells [default: auto]
    ///
    /// comma, semicolon, tab, bar, space, or the sign itself; auto finds it by the first rows.
    #[arg(long, value_name = "SIGN", allow_hyphen_values = true, hide_short_help = true)]
    pub delimiter: Option<String>,
    /// Mark before decimals [default: auto]
    ///
    /// point (1.5, and 1,234.5) or comma (1,5, and 1.234,5); auto finds it by the first rows.
    #[arg(long, value_name = "MARK", hide_short_help = true)]
    pub decimal: Option<String>,
    /// yes if the first line has names [default: auto]
    ///
    /// yes, no or auto; without names, columns are c1, c2 and so on.
    #[arg(long, value_name = "yes|no", hide_short_help = true)]
    pub header: Option<String>,
    /// Sheet of an Excel workbook [default: the first not hidden]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub sheet: Option<String>,
}

impl FormatArgs {
    /// Reads the arguments.
    pub(super) fn read(&self) -> Result<TableFormat> {
        let texts = [&self.delimiter, &self.decimal, &self.header, &self.sheet];
        table_format(texts.map(|it| it.as_deref()))
    }

    /// Reads the arguments of a command whose table may be left out.
    pub(super) fn read_for(&self, table: Option<&std::path::Path>) -> Result<TableFormat> {
        let given = [
            ("--delimiter", &self.delimiter),
            ("--decimal", &self.decimal),
            ("--header", &self.header),
            ("--sheet", &self.sheet),
        ];
        match given.into_iter().find(|(_, value)| table.is_none() && value.is_some()) {
            Some((option, _)) => {
                let problem = "it says how TABLE is read, and no table is given; give one, or leave the option out";
                Err(crate::error::Error::setting(option, problem))
            }
            None => self.read(),
        }
    }
}

/// `wgrad evaluate`
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// CSV file with the training table's columns, or -
    ///
    /// Columns may come in another order; the target must be among them. - stands for standard input.
    pub table: PathBuf,
    /// Array with the target, for a table that is one
    ///
    /// An NPY or IDX file with one number for each row of a TABLE of these formats.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub target: Option<PathBuf>,
    /// Weights of this file in place of the run's
    ///
    /// A safetensors file with PyTorch's names, or another run's model.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The form of the table's text.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Device, such as auto, gpu or cpu
    ///
    /// auto, gpu, software, cpu, or part of an adapter's name; `wgrad adapters` lists them.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// HTML page to write, with figures and pictures
    #[cfg(feature = "pictures")]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
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
    /// CSV file with the training table's features, or -
    ///
    /// Columns may come in another order, and there may be others. - stands for standard input.
    pub table: PathBuf,
    /// Weights of this file in place of the run's
    ///
    /// A safetensors file with PyTorch's names, or another run's model.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The form of the table's text.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Add columns with the spread over an ensemble's members
    ///
    /// The standard deviation of the members' predictions, in the same units, as a column NAME_spread for each column of numbers.
    #[arg(long)]
    pub spread: bool,
    /// File for the result [default: standard output]
    ///
    /// The file is there once it is whole. - stands for standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the result's file if it is there
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Device, such as auto, gpu or cpu
    ///
    /// auto, gpu, software, cpu, or part of an adapter's name; `wgrad adapters` lists them.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// One JSON object per row on stdout
    ///
    /// With --out FILE, one in all.
    #[arg(long)]
    pub json: bool,
    /// No progress, only the result and errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Table of any form, or - for standard input
    pub table: PathBuf,
    /// Kinds of columns, as for train
    ///
    /// Such as "zip:category, when:date(%d.%m.%Y)".
    #[arg(long, value_name = "KINDS")]
    pub columns: Option<String>,
    /// Columns that are no features, between commas
    #[arg(long, value_name = "COLUMNS")]
    pub ignore: Option<String>,
    /// Texts that mark a missing value, as for train
    #[arg(long, value_name = "MARKS", allow_hyphen_values = true)]
    pub missing: Option<String>,
    /// Texts up to which each has an input of its own [default: 16]
    #[arg(long, value_name = "TEXTS", hide_short_help = true)]
    pub one_hot: Option<usize>,
    /// Training rows that a text needs for a place of its own [default: 1]
    #[arg(long, value_name = "ROWS", hide_short_help = true)]
    pub min_count: Option<usize>,
    /// The form of the table's text.
    #[command(flatten)]
    pub format: FormatArgs,
    /// One JSON object per column on stdout
    #[arg(long)]
    pub json: bool,
}

/// `wgrad info`
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `wgrad plot`
#[cfg(feature = "pictures")]
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// Table with the target [default: the run's validation rows]
    ///
    /// Pictures of predictions and columns show its rows; of more than 10,000 rows, some evenly chosen ones.
    pub table: Option<PathBuf>,
    /// Pictures between commas, such as loss,roc [default: all]
    ///
    /// loss, metrics, learning-rate; confusion, roc, precision-recall, calibration; predicted-actual, residuals, intervals,
    /// quantiles; importance, dependence, embedding; network, class-figures.
    #[arg(long, value_name = "NAMES")]
    pub what: Option<String>,
    /// Folder for the files [default: pictures in the run folder]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// The form of the table's text.
    #[command(flatten)]
    pub format: FormatArgs,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress, only the names of files and errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad report`
#[cfg(feature = "pictures")]
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// Table with the target [default: the run's validation rows]
    ///
    /// Figures, pictures and columns are of its rows; of more than 10,000 rows, some evenly chosen ones.
    pub table: Option<PathBuf>,
    /// File to write [default: report.html in the run folder]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The form of the table's text.
    #[command(flatten)]
    pub format: FormatArgs,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress, only the name of the file and errors
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad calibrate`
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Run folder, or a model.safetensors
    pub run: PathBuf,
    /// Table with the target [default: the run's validation rows]
    ///
    /// Rows that the model was not trained on; of more than 10,000, some evenly chosen ones.
    pub table: Option<PathBuf>,
    /// Model file to write, such as calibrated.safetensors
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The form of the table's text.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Replace the model file if it is there
    #[arg(long)]
    pub force: bool,
    /// One JSON object on stdout
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
    /// ONNX file to write
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
    /// Weights of this file in place of the run's
    ///
    /// A safetensors file with PyTorch's names, or another run's model.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Precision of the columns [default: auto]
    ///
    /// f32, f64 or auto, which takes f64 where a column of the training table needs it.
    #[arg(long, value_name = "NAME")]
    pub input: Option<String>,
    /// Replace the ONNX file if it is there
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

/// `wgrad cache`
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Task; without one the tables are shown.
    #[command(subcommand)]
    pub task: Option<CacheTask>,
    /// Folder of the cache [default: wgrad/tables among the user's caches]
    #[arg(long, value_name = "FOLDER", global = true)]
    pub table_cache: Option<PathBuf>,
    /// One JSON object per table on stdout
    #[arg(long, global = true)]
    pub json: bool,
}

/// Tasks of `wgrad cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum CacheTask {
    /// Delete all tables in the cache
    Clear,
}

/// `wgrad verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Device, such as auto, gpu or cpu
    ///
    /// auto, gpu, software, cpu, or part of an adapter's name; `wgrad adapters` lists them.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Show each kernel and variant, not failures alone
    #[arg(short, long, conflicts_with_all = ["quiet", "json"])]
    pub verbose: bool,
    /// One JSON object per check on stdout
    #[arg(long)]
    pub json: bool,
    /// Only failures and the sum, also with --json
    #[arg(long)]
    pub quiet: bool,
}

/// `wgrad bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Devices [default: cpu, and gpu if there is one]
    ///
    /// cpu, gpu, software, auto, or part of an adapter's name; may be repeated, for devices side by side.
    #[arg(long)]
    pub device: Vec<String>,
    /// tiny, mnist, wide or large [default: all that suit]
    ///
    /// May be repeated. Without it all are timed that suit the device.
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// A network of these widths, such as 64,64,64,10
    ///
    /// From the inputs to the outputs; relu between layers, Adam; squared error for one output, else cross-entropy. May be repeated.
    #[arg(long, value_name = "WIDTHS")]
    pub network: Vec<String>,
    /// Rows of a batch of such a network [default: 128]
    #[arg(long, value_name = "ROWS", requires = "network", conflicts_with = "predict")]
    pub batch_size: Option<usize>,
    /// Dispatch each kernel by itself, no whole steps at once
    ///
    /// On a GPU one dispatch does whole steps of a small network; this is for comparing.
    #[arg(long)]
    pub single_kernels: bool,
    /// f32 or f16
    #[arg(long, value_name = "NAME", default_value = "f32")]
    pub precision: String,
    /// Seconds to time each workload for
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Tell where the time goes instead
    ///
    /// Each kernel of a step with GFLOP/s, GB/s and its share, and how busy the device is over whole epochs.
    #[arg(long)]
    pub profile: bool,
    /// Time predictions instead of training
    ///
    /// Calls for 1, 16, 256, 4,096 and 65,536 rows, as another program makes them.
    #[arg(long, conflicts_with_all = ["profile", "single_kernels", "precision", "tune", "tune_ms"])]
    pub predict: bool,
    /// Time so many networks side by side, such as 1,16,128
    ///
    /// Members of an ensemble, folds or trials train in this way: on a GPU in the same dispatches, on the CPU one on each core.
    /// The figures are those of all networks together.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', conflicts_with_all = ["profile", "predict"])]
    pub members: Vec<usize>,
    /// Time for choosing kernels [default: quick]
    ///
    /// off, quick or full: how much time goes into choosing the GPU's kernels.
    #[arg(long, value_name = "NAME", conflicts_with = "single_kernels")]
    pub tune: Option<String>,
    /// Milliseconds that quick may take [default: 250]
    #[arg(long, value_name = "COUNT", conflicts_with = "single_kernels")]
    pub tune_ms: Option<u32>,
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

    /// Long names of a command's options.
    fn options(command: &str) -> Vec<String> {
        let cli = Cli::command();
        let command = cli.find_subcommand(command).unwrap();
        command.get_arguments().filter_map(|arg| arg.get_long()).map(String::from).collect()
    }

    #[test]
    fn commands_take_their_options() {
        Cli::command().debug_assert();
        let [train, plan, resume] = ["train", "plan", "resume"].map(options);
        // A plan has no folder, and says nothing for programs.
        let of_runs = ["out", "force", "no-report", "json", "quiet", "view", "tensorboard"];
        // It prints the plan of one network, and times nothing.
        let of_several = ["members", "folds", "folds-repeats", "fold", "refit", "time-budget"];
        let of_runs = [of_runs.as_slice(), &of_several].concat();
        let both: Vec<_> = train.iter().filter(|name| !of_runs.contains(&name.as_str())).collect();
        assert_eq!(both, plan.iter().collect::<Vec<_>>());
        assert!(train.len() > 50, "{train:?}");
        let anew = ["table", "schedule-epochs", "epochs", "stop-patience", "stop-delta", "device"];
        assert!(anew.iter().all(|name| resume.contains(&(*name).to_string())), "{resume:?}");
        assert!(!resume.contains(&"lr".to_string()));
    }

    /// A command's help texts: of `-h`, and of `--help`.
    fn help(command: &str) -> [String; 2] {
        let mut cli = Cli::command();
        cli.build();
        let command =
            if command.is_empty() { &mut cli } else { cli.find_subcommand_mut(command).unwrap() };
        [command.render_help(), command.render_long_help()].map(|text| text.to_string())
    }

    #[test]
    fn help_texts_fit_a_terminal_and_differ() {
        let cli = Cli::command();
        let commands: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(commands.len(), if cfg!(feature = "pictures") { 19 } else { 17 });
        for command in commands.iter().chain(&[""]) {
            let [brief, long] = help(command);
            assert!(brief.lines().count() < 40, "{brief}");
            assert!(long.len() > brief.len(), "{brief}\n{long}");
            for line in brief.lines().chain(long.lines()) {
                assert!(line.chars().count() <= WIDTH, "{command}: {line}");
            }
            // An option of `-h` has one line.
            let options = brief.split("Arguments:").nth(1).unwrap_or_default();
            for line in options.lines().filter(|line| line.starts_with("  ")) {
                let begins =
                    line.trim_start().starts_with(['-', '<', '[']) || line.starts_with("  wgrad");
                assert!(begins, "{command}: {line:?}\n{brief}");
            }
        }
    }

    #[test]
    fn brief_help_is_a_selection_and_names_the_rest() {
        let [brief, long] = help("train");
        let shown = |text: &str| text.lines().filter(|line| line.starts_with("      --")).count();
        assert!((10..=14).contains(&shown(&brief)), "{brief}");
        // Without those of the example.
        let all = options("train").iter().filter(|name| *name != "help").count();
        assert_eq!(shown(long.split("Example:").next().unwrap()), all, "{long}");
        assert!(brief.contains("`wgrad train --help` shows all options"), "{brief}");
        let headings = ["Data:", "Network:", "Training:", "Device:", "Output:"];
        for text in [&brief, &long] {
            let places: Vec<_> = headings.map(|it| text.find(&format!("\n{it}\n")).unwrap()).into();
            assert!(places.is_sorted(), "{text}");
        }
        // Most used first.
        assert!(long.find("--valid").unwrap() < long.find("--positive").unwrap(), "{long}");
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
            ("smoothing-schedule", options.smoothing_schedule.to_string()),
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
                .get_long_help();
            let help = help.unwrap().to_string();
            assert!(help.contains(&format!("[default: {default}]")), "{option} {default}: {help}");
        }
    }
}
