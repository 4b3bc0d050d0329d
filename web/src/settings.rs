//! Settings of a run as the page gives them, and what they make of a table: the same as those of the program.

use serde::{Deserialize, Serialize};
use wgrad::data::{Dataset, TableInMemory, TableOptions};
use wgrad::train::{TrainOptions, usual_batch_size};
use wgrad::{Activation, DeviceKind, Error, Init, Loss, Result, Seed, Sequential, Split, Target};

/// Settings of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Column to predict.
    pub(crate) target: String,
    /// `auto`, `classify` or `regress`.
    pub(crate) task: String,
    /// Columns that are left out.
    pub(crate) ignore: Vec<String>,
    /// Units of the hidden layers, such as `128,64`; none for a linear model.
    pub(crate) hidden: String,
    pub(crate) activation: String,
    pub(crate) optimizer: String,
    pub(crate) lr: f64,
    pub(crate) epochs: u32,
    /// Rows of a batch; `None` for a number that suits the table.
    pub(crate) batch_size: Option<usize>,
    /// Share of the rows that is held out.
    pub(crate) valid: f64,
    /// Epochs without an improvement after which the run stops; `None` to run all.
    pub(crate) stop_patience: Option<u32>,
    pub(crate) seed: u64,
    /// `auto`, `gpu` or `cpu`.
    pub(crate) device: String,
}

/// Rows, layers and options of a run.
pub(crate) struct Ready {
    pub(crate) data: Split,
    pub(crate) model: Sequential,
    pub(crate) options: TrainOptions,
    pub(crate) device: DeviceKind,
    pub(crate) notes: Vec<String>,
}

impl Settings {
    /// Reads the table, and makes layers and options for it.
    pub(crate) fn ready(&self, table: &TableInMemory) -> Result<Ready> {
        let target = match self.task.as_str() {
            "auto" => Target::auto(&self.target),
            "classify" => Target::class(&self.target),
            "regress" => Target::number(&self.target),
            other => return Err(unknown("task", other, "auto, classify, regress")),
        };
        let reading = TableOptions { ignore: self.ignore.clone(), ..TableOptions::default() };
        let loaded = Dataset::load(table, &target, &reading)?;
        let loss = Loss::usual(&loaded.data.schema().kind);
        let seed = Seed(self.seed);
        let options = TrainOptions {
            lr: self.lr,
            epochs: self.epochs,
            optimizer: self.optimizer.parse()?,
            stop_patience: self.stop_patience,
            seed,
            ..TrainOptions::default()
        };
        let split = loaded.data.split(self.valid, seed)?;
        let split = split.without_duplicates(&[], &options.scaling())?;
        let batch = self.batch_size.unwrap_or_else(|| usual_batch_size(split.train.rows()));
        // Nothing is copied for checkpoints, which the page does not write.
        let options = TrainOptions { loss, batch_size: batch, checkpoint_every: 0, ..options };
        options.check()?;
        let outputs = options.loss.outputs_for(split.train.outputs());
        let model = Sequential::mlp(&self.units()?, self.activation()?, outputs, Init::default());
        Ok(Ready { data: split, model, options, device: self.device()?, notes: loaded.notes })
    }

    /// Returns the units of the hidden layers.
    fn units(&self) -> Result<Vec<usize>> {
        let parts = self.hidden.split(',').map(str::trim).filter(|part| !part.is_empty());
        let unit = |part: &str| {
            let number: Option<usize> = part.parse().ok().filter(|&units| units > 0);
            let problem =
                || format!("‘{part}’ is no number of units; write numbers such as 128,64");
            number.ok_or_else(|| Error::setting("hidden", problem()))
        };
        parts.map(unit).collect()
    }

    fn activation(&self) -> Result<Activation> {
        self.activation.parse()
    }

    fn device(&self) -> Result<DeviceKind> {
        match self.device.as_str() {
            "auto" => Ok(DeviceKind::Auto),
            "gpu" => Ok(DeviceKind::Gpu),
            "software" => Ok(DeviceKind::Software),
            "cpu" => Ok(DeviceKind::Cpu),
            other => Err(unknown("device", other, "auto, gpu, software, cpu")),
        }
    }

    /// Returns the settings as the program's `config.toml` would have them.
    pub(crate) fn text(&self, batch: usize) -> String {
        let quoted = |text: &str| format!("{text:?}");
        let mut text = format!(
            "target = {}\ntask = {}\nhidden = {}\nactivation = {}\noptimizer = {}\nlr = {}\nepochs = {}\nbatch-size = {batch}\nvalid = {}\nseed = {}\n",
            quoted(&self.target),
            quoted(&self.task),
            quoted(&self.hidden),
            quoted(&self.activation),
            quoted(&self.optimizer),
            self.lr,
            self.epochs,
            self.valid,
            self.seed,
        );
        if let Some(patience) = self.stop_patience {
            text += &format!("stop-patience = {patience}\n");
        }
        if !self.ignore.is_empty() {
            text += &format!("ignore = {}\n", quoted(&self.ignore.join(",")));
        }
        text
    }
}

fn unknown(setting: &'static str, name: &str, known: &str) -> Error {
    Error::setting(setting, format!("unknown name ‘{name}’; known: {known}"))
}
