//! Settings of a run: resolved and checked once, plain values from here on.
//!
//! In: texts from the command line and a file. Out: [`RunConfig`].
//! Absent on purpose: the table's contents; what depends on them is decided in [`RunConfig::options`].

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::cache::tuning_folder;
use super::course::{patience, schedule, watched};
use super::given::Given;
use super::layers::Network;
use super::paths::path_of;
use crate::data::{
    Arranged, Dataset, Preparation, Scale, Split, Target, TargetKind, Targets, column_names, list,
};
use crate::device::{DeviceInfo, DeviceKind, Tuning};
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, read_fitting_weights, read_preparation, read_weights};
use crate::graph::{Average, Group, Loss, Optimizer, Wants, factors};
use crate::model::{Init, ParamLayout, ParamView, Params, Sequential};
use crate::plan::Precision;
use crate::random::Seed;
use crate::shape::short;
use crate::train::{Keep, Metric, TrainOptions, Warning, check_dataset};

/// What the target is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Task {
    /// What its column looks like.
    #[default]
    Auto,
    Classify,
    Regress,
    Labels,
}

/// Where validation rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Valid {
    Share(f64),
    File(PathBuf),
}

/// Where initial weights come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Start {
    Scheme(Init),
    File(PathBuf),
}

/// A run's settings.
#[derive(Clone, Debug)]
pub(super) struct RunConfig {
    pub(super) table: PathBuf,
    pub(super) target: String,
    pub(super) weight: Option<String>,
    task: Task,
    /// The positive one of two classes, if it is chosen.
    pub(super) positive: Option<String>,
    pub(super) network: Network,
    /// `None` where the task decides.
    loss: Option<Loss>,
    /// All else that training is told; its loss is not final.
    options: TrainOptions,
    pub(super) valid: Valid,
    pub(super) start: Start,
    pub(super) device: DeviceKind,
    pub(super) out: PathBuf,
    /// Whether all weights of a file have to fit.
    pub(super) init_strict: bool,
    pub(super) checkpoints: Checkpoints,
    given: Given,
}

/// Which checkpoints are on disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Checkpoints {
    /// Epochs between two; 0 for none.
    pub(super) every: u32,
    /// Minutes between two, within epochs; 0 for none.
    pub(super) minutes: f64,
    /// How many stay.
    pub(super) keep: u32,
}

impl Checkpoints {
    fn of(given: &Given, every: u32) -> Result<Self> {
        let minutes = given.plain("checkpoint-minutes", "a number of minutes")?.unwrap_or(0.0);
        let keep = given.plain("keep-checkpoints", "a whole number above 0")?.unwrap_or(2);
        let refuse = |key: &str, problem: String| Err(Error::setting(given.place(key), problem));
        if !(0.0..1e9).contains(&minutes) {
            let problem = format!("{minutes}, but it must be a finite number of 0 or more");
            return refuse("checkpoint-minutes", problem);
        }
        if keep == 0 {
            let problem = "0, but it must be above 0; --checkpoint-every 0 writes none";
            return refuse("keep-checkpoints", problem.to_string());
        }
        Ok(Self { every, minutes, keep })
    }
}

impl RunConfig {
    /// Fills in defaults and checks everything that can be checked without the table.
    pub(super) fn resolve(given: Given) -> Result<Self> {
        let missing = |key: &str, what: &str| Error::setting(key, format!("missing; {what}"));
        let table = given
            .text("table")
            .filter(|text| !text.is_empty())
            .ok_or_else(|| missing("TABLE", "name a CSV file"))?;
        let target = given
            .text("target")
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| missing("--target", &which_target(table)))?;
        let defaults = TrainOptions::default();
        let optimizer = optimizer(&given, defaults.optimizer)?;
        let options = TrainOptions {
            loss: defaults.loss,
            reduction: given.read("reduction", FromStr::from_str)?.unwrap_or(defaults.reduction),
            class_weights: given
                .read("class-weights", FromStr::from_str)?
                .unwrap_or(defaults.class_weights),
            optimizer,
            clip_norm: given.plain("clip-norm", "a number")?,
            clip_value: given.plain("clip-value", "a number")?,
            accumulate: given
                .plain("accumulate", "a whole number above 0")?
                .unwrap_or(defaults.accumulate),
            groups: groups(&given)?.into_iter().map(|(_, group)| group).collect(),
            average: given.read("average", average)?.flatten(),
            lr: given.plain("lr", "a number")?.unwrap_or(optimizer.default_lr()),
            schedule: schedule(&given, "schedule")?,
            warmup: given.plain("warmup", "a number of epochs")?.unwrap_or(defaults.warmup),
            decay_schedule: schedule(&given, "decay-schedule")?,
            dropout_schedule: schedule(&given, "dropout-schedule")?,
            epochs: given.plain("epochs", "a whole number above 0")?.unwrap_or(defaults.epochs),
            stop_patience: patience(&given)?,
            stop_metric: given
                .read("stop-metric", |name| Metric::named("--stop-metric", name))?
                .unwrap_or(defaults.stop_metric),
            stop_delta: given.plain("stop-delta", "a number")?.unwrap_or(defaults.stop_delta),
            keep: given.read("keep", FromStr::from_str)?,
            metrics: given
                .read("metrics", |names| Metric::list("--metrics", names))?
                .unwrap_or(defaults.metrics),
            batch_size: given
                .plain("batch-size", "a whole number above 0")?
                .unwrap_or(defaults.batch_size),
            shuffle: given.plain("shuffle", "true or false")?.unwrap_or(defaults.shuffle),
            scale: given.read("scale", scale)?.flatten().unwrap_or(defaults.scale),
            seed: given
                .plain("seed", "a whole number from 0 to 18446744073709551615")?
                .map_or(defaults.seed, Seed),
            precision: given.read("precision", FromStr::from_str)?.unwrap_or(defaults.precision),
            tuning: Tuning {
                tune: given.read("tune", FromStr::from_str)?.unwrap_or(defaults.tuning.tune),
                budget: given
                    .plain("tune-ms", "a whole number of milliseconds from 0 to 4294967295")?
                    .map_or(defaults.tuning.budget, |ms: u32| Duration::from_millis(ms.into())),
                folder: None,
            },
            checkpoint_every: given
                .plain("checkpoint-every", "a whole number of epochs")?
                .unwrap_or(defaults.checkpoint_every),
            on_nonfinite: given
                .read("on-nonfinite", FromStr::from_str)?
                .unwrap_or(defaults.on_nonfinite),
            device_memory: given.read("device-memory", device_memory)?.flatten(),
            preparation: None,
            schedule_epochs: given.plain("schedule-epochs", "a whole number above 0")?,
        };
        options.check().map_err(|error| given.locate(error))?;
        let network = Network::of(&given)?;
        watched(&given, &options)?;
        let checkpoints = Checkpoints::of(&given, options.checkpoint_every)?;
        Ok(Self {
            init_strict: init_strict(&given)?,
            checkpoints,
            table: path_of(table),
            target: target.to_string(),
            weight: given.text("weight").map(|text| text.trim().to_string()),
            task: given.read("task", FromStr::from_str)?.unwrap_or_default(),
            positive: given.text("positive").map(String::from),
            start: given.read("init", start)?.unwrap_or_else(|| Start::Scheme(network.init())),
            network,
            loss: given.read("loss", FromStr::from_str)?,
            options,
            valid: given.read("valid", valid)?.unwrap_or(Valid::Share(0.2)),
            device: given.read("device", FromStr::from_str)?.unwrap_or_default(),
            out: given.text("out").map_or_else(|| default_out(&path_of(table)), path_of),
            given,
        })
    }

    /// Scaling, columns and classes that the weights of `--init FILE` are for; a run that goes on has them in its own model.
    pub(super) fn origin(&self, begins: bool) -> Result<Option<Preparation>> {
        let Start::File(path) = &self.start else {
            if self.asks_for_init_scale() {
                let problem = "init belongs to weights from a model: --init model.safetensors";
                return Err(Error::setting(self.given.place("scale"), problem));
            }
            return Ok(None);
        };
        let own = self.out.join(MODEL_FILE);
        if !begins && own.is_file() {
            return read_preparation(own);
        }
        let origin =
            read_preparation(path).map_err(|error| self.given.locate_file("init", error))?;
        if self.asks_for_init_scale() && origin.is_none() {
            let problem = format!(
                "{} says nothing of scaling, as only a model.safetensors of a run does; give standard or none",
                path.display()
            );
            return Err(Error::setting(self.given.place("scale"), problem));
        }
        Ok(origin)
    }

    /// Returns true if the scaling is measured anew, although the weights of `--init FILE` were trained under another one.
    fn scales_anew(&self) -> bool {
        let file = |key| self.given.text(key).is_some() && !self.given.is_typed(key);
        let stated = self.given.is_typed("scale") || file("scale") && file("init");
        stated && !self.asks_for_init_scale()
    }

    /// Returns true if the scaling is to be that of the model that the weights come from, in so many words.
    fn asks_for_init_scale(&self) -> bool {
        self.given.text("scale").is_some_and(|text| text.trim() == INIT_SCALE)
    }

    /// Reads the table, and the validation rows; in the order of columns and classes of earlier weights, if there are any.
    pub(super) fn data(&self, origin: Option<&Preparation>) -> Result<Table> {
        let data = self.read(origin)?;
        let notes = self.notes(&data);
        let Some(origin) = origin else {
            let data = self.split(data)?;
            return Ok(Table { data, notes, features: Vec::new(), targets: Vec::new() });
        };
        let Arranged { data, features, targets } = data.arranged_like(&origin.schema);
        let problems = [features.as_slice(), &targets].concat();
        if self.init_strict && !problems.is_empty() {
            let problem = format!(
                "the model's columns or classes are not the table's: {}; rename them, or give --init-strict false, so that the \
                 layers that belong to them begin anew",
                problems.join("; ")
            );
            return Err(Error::setting(self.given.place("init"), problem));
        }
        // Outputs keep the meaning that the weights have.
        let positives = data.schema().positives();
        let turned = |class: &String| positives.iter().any(|it| it.class != class.trim());
        if self.positive.as_ref().is_some_and(turned) {
            let problem =
                "not that of the model whose weights the run begins with; leave the option out";
            return Err(Error::setting(self.given.place("positive"), problem));
        }
        Ok(Table { data: self.split(data)?, notes, features, targets })
    }

    fn read(&self, origin: Option<&Preparation>) -> Result<Dataset> {
        let read = |target: Target| match &self.weight {
            None => Dataset::from_csv(&self.table, target),
            Some(weight) => Dataset::from_csv_weighted(&self.table, target, weight),
        };
        let column = || self.target.clone();
        let data = match (self.task, self.loss.map(Loss::wants)) {
            // What the target is taken for does not depend on the rows that happen to be there.
            (Task::Auto, None | Some(Wants::Classes)) => {
                match origin.map(|origin| &origin.schema.kind) {
                    Some(TargetKind::Classes(_)) => read(Target::Class(column())),
                    Some(TargetKind::Labels(_)) if self.loss.is_none() => {
                        read(Target::Labels(column()))
                    }
                    _ => read(Target::Auto(column())),
                }
            }
            // Few whole numbers are numbers here; what are none is told of as what does not fit the loss.
            (Task::Auto, Some(Wants::Numbers | Wants::Counts | Wants::Shares)) => {
                read(Target::Number(column())).or_else(|_| read(Target::Auto(column())))
            }
            (Task::Labels, _) | (Task::Auto, Some(Wants::Labels)) => read(Target::Labels(column())),
            (Task::Classify, _) => read(Target::Class(column())),
            (Task::Regress, _) => read(Target::Number(column())),
        };
        let mut data = data.map_err(|error| self.no_table(error))?;
        if let Some(class) = &self.positive {
            data = data.with_positive(class).map_err(|error| self.locate(error))?;
        }
        // Before rows are split, so that they are where the file has them. Other mistakes in the layers are told later.
        if let Ok(model) = self.network.model(Init::default(), &data, self.outputs(&data))
            && model.outputs(data.columns()).is_ok()
        {
            check_dataset(model.tables(), &data, "")?;
        }
        Ok(data)
    }

    fn split(&self, data: Dataset) -> Result<Split> {
        match &self.valid {
            Valid::Share(share) => {
                data.split(*share, self.options.seed).map_err(|error| self.given.locate(error))
            }
            Valid::File(path) => {
                let valid = Dataset::from_csv_like(path, data.schema())
                    .map_err(|error| self.given.locate_file("valid", error))?;
                Split::with_valid(data, valid)
            }
        }
    }

    /// Where the table came from, if that was not the command line.
    fn no_table(&self, error: Error) -> Error {
        let place = self.given.place("table");
        let Error::File { .. } = error else { return error };
        if place == "TABLE" {
            return error;
        }
        let advice = if self.table.is_relative() {
            "; a relative path counts from the folder that the program runs in: go to that of the first run, \
             or name the table on the command line"
        } else {
            ""
        };
        Error::table(place, format!("{error}{advice}"))
    }

    /// What to say of parameters in several groups.
    ///
    /// # Errors
    /// If a group matches no parameter.
    pub(super) fn check_groups(&self, model: &Sequential, data: &Split) -> Result<Option<Warning>> {
        let groups = groups(&self.given)?;
        let layout = model.layout(data.train.columns())?;
        for (key, group) in &groups {
            factors(std::slice::from_ref(group), &layout)
                .map_err(|error| named(&self.given, key, error))?;
        }
        Ok(overlapping(&groups, &layout))
    }

    /// What to say of how the table was read: `data` with all its rows, before any are held out.
    fn notes(&self, data: &Dataset) -> Vec<Warning> {
        let mut notes: Vec<String> = Vec::new();
        let auto = self.task == Task::Auto && self.loss.is_none();
        if let (true, Targets::Numbers(y)) = (auto, data.y())
            && let Some(values) = repeated_whole_numbers(y.iter().copied())
        {
            notes.push(format!(
                "the target {} is taken for a number; it holds {values} different whole numbers, which repeat: if these are \
                 classes, give --task classify, and else --task regress",
                list(&[&data.schema().target])
            ));
        }
        let lone = data.lone_classes();
        if let (Valid::Share(share), Some((_, line))) = (&self.valid, lone.first())
            && *share > 0.0
        {
            let names: Vec<&str> = lone.iter().map(|(name, _)| name.as_str()).collect();
            let which = if lone.len() == 1 { "the class" } else { "the classes" };
            let have = if lone.len() == 1 { "has one row only" } else { "have one row only each" };
            let line = line.map_or(String::new(), |line| format!(" (line {line})"));
            notes.push(format!(
                "{which} {}{line} {have}, which is for training: validation says nothing of it; add rows of it, or remove it",
                list(&names)
            ));
        }
        notes.into_iter().map(|problem| Warning::Noted { problem }).collect()
    }

    /// The network for this table.
    pub(super) fn model(&self, data: &Split) -> Result<Sequential> {
        let init = match self.start {
            Start::Scheme(init) => init,
            // All weights are replaced.
            Start::File(_) => Init::default(),
        };
        let outputs = self.outputs(&data.train);
        self.network.model(init, &data.train, outputs).map_err(|error| self.given.locate(error))
    }

    /// What training is told, for this table.
    pub(super) fn options(&self, train: &Dataset, origin: Option<&Preparation>) -> TrainOptions {
        let tuning = Tuning { folder: tuning_folder(), ..self.options.tuning.clone() };
        let preparation = origin.filter(|_| !self.scales_anew()).map(|origin| {
            let mut preparation = Preparation::fit(train, self.options.scale);
            preparation.take_from(origin);
            preparation
        });
        let loss = self.loss_for(train);
        TrainOptions { loss, tuning, preparation, ..self.options.clone() }
    }

    /// What training is told but for what the table decides.
    pub(super) fn told(&self) -> &TrainOptions {
        &self.options
    }

    /// The loss that was given, or that of the task.
    fn loss_for(&self, data: &Dataset) -> Loss {
        self.loss.unwrap_or(match data.schema().kind {
            TargetKind::Classes(_) => Loss::CrossEntropy,
            TargetKind::Number | TargetKind::Numbers(_) => Loss::Mse,
            TargetKind::Labels(_) => Loss::BinaryCrossEntropy,
        })
    }

    /// Outputs that the network needs for this table.
    fn outputs(&self, data: &Dataset) -> usize {
        self.loss_for(data).outputs_for(data.outputs())
    }

    /// The weights of `--init FILE`.
    /// Out: the weights, and what is to be told of those that were not taken.
    pub(super) fn weights(
        &self,
        model: &Sequential,
        table: &Table,
        origin: Option<&Preparation>,
    ) -> Result<Option<(Params, Vec<Warning>)>> {
        let Start::File(path) = &self.start else { return Ok(None) };
        let columns = table.data.train.columns();
        let mut params = Params::init(model, columns, self.options.seed)?;
        let mut problems = [table.features.as_slice(), &table.targets].concat();
        let read = if self.init_strict {
            read_weights(path, &mut params).map(|()| Vec::new())
        } else {
            let mut anew = Vec::new();
            if !table.features.is_empty() {
                anew.extend(model.input_parameters(columns)?);
            }
            if !table.targets.is_empty() {
                anew.extend(model.output_parameters(columns)?);
            }
            read_fitting_weights(path, &mut params, &anew)
        };
        problems.extend(read.map_err(|error| self.given.locate_file("init", error))?);
        let mut warnings = Vec::new();
        if !problems.is_empty() {
            warnings.push(Warning::NotTaken { problems });
        }
        if origin.is_none() {
            warnings.push(Warning::ByPlace { file: path.display().to_string() });
        } else if self.scales_anew() {
            warnings.push(Warning::ScaledAnew { place: self.given.place("scale") });
        }
        Ok(Some((params, warnings)))
    }

    /// Epoch whose weights are kept, if that was said.
    pub(super) fn keep(&self) -> Option<Keep> {
        self.options.keep
    }

    /// Names the place where a setting was really given.
    pub(super) fn locate(&self, error: Error) -> Error {
        self.given.locate(error)
    }
}

/// A run's rows, and how their columns and targets differ from those that the weights of `--init FILE` are for.
pub(super) struct Table {
    pub(super) data: Split,
    /// Remarks on them.
    pub(super) notes: Vec<Warning>,
    /// Differences of the feature columns.
    features: Vec<String>,
    /// Differences of the targets.
    targets: Vec<String>,
}

/// The value of `--scale` for the scaling of the model that the weights come from.
pub(super) const INIT_SCALE: &str = "init";

/// A scale; `None` for that of the model that the weights come from.
fn scale(text: &str) -> Result<Option<Scale>> {
    if text.trim() == INIT_SCALE { Ok(None) } else { text.parse().map(Some) }
}

/// How many different values there are, if all are whole numbers and each occurs ten times on the average: they may be classes.
fn repeated_whole_numbers(y: impl Iterator<Item = f64>) -> Option<usize> {
    let mut values = HashSet::new();
    let mut rows = 0_usize;
    for value in y {
        if value.fract() != 0.0 {
            return None;
        }
        values.insert(value.to_bits());
        rows += 1;
    }
    (values.len() > 1 && rows / 10 >= values.len() && values.len() <= 1000).then_some(values.len())
}

/// Whether all weights of `--init FILE` have to fit.
fn init_strict(given: &Given) -> Result<bool> {
    let strict = given.plain("init-strict", "true or false")?;
    let from_file = matches!(given.read("init", start)?, Some(Start::File(_)));
    if strict == Some(false) && !from_file {
        let problem = "it belongs to weights from a file: --init FILE.safetensors";
        return Err(Error::setting(given.place("init-strict"), problem));
    }
    Ok(strict.unwrap_or(true))
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "classify" => Ok(Self::Classify),
            "regress" => Ok(Self::Regress),
            "labels" => Ok(Self::Labels),
            _ => Err(Error::setting(
                "--task",
                format!("unknown name \"{name}\"; known: auto, classify, regress, labels"),
            )),
        }
    }
}

/// Refuses half precision on the CPU device, which would compute in single and round: slower and less exact, for nothing.
pub(super) fn suits(precision: Precision, device: &DeviceInfo) -> Result<()> {
    if precision == Precision::F32 || !device.is_cpu() {
        return Ok(());
    }
    let problem = format!(
        "f16 is for GPUs, and the device is the {}; use --precision f32, or a --device that has f16: `wgrad adapters` \
         shows them",
        device.name
    );
    Err(Error::setting("--precision", problem))
}

/// An optimizer with the settings that it has; one that it does not have is an error.
fn optimizer(given: &Given, default: Optimizer) -> Result<Optimizer> {
    let mut optimizer = given.read("optimizer", Optimizer::by_name)?.unwrap_or(default);
    let mut set = |key: &str, value: &dyn Fn() -> Result<Option<f64>>| -> Result<()> {
        if given.text(key).is_none() {
            return Ok(());
        }
        optimizer.must_have(key).map_err(|error| given.locate(error))?;
        value()?.map_or(Ok(()), |value| optimizer.set(key, value))
    };
    for key in ["momentum", "beta1", "beta2", "eps", "weight-decay"] {
        set(key, &|| given.plain(key, "a number"))?;
    }
    let flag = |on: bool| f64::from(u8::from(on));
    set("nesterov", &|| Ok(given.plain("nesterov", "true or false")?.map(flag)))?;
    Ok(optimizer)
}

/// Parameters with factors of their own, from all three settings that speak of them, each with the setting's key.
fn groups(given: &Given) -> Result<Vec<(&'static str, Group)>> {
    let listed = |key: &'static str, make: fn(&str) -> Group| {
        let names = given.text(key).unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).map(|name| (key, make(name))).collect::<Vec<_>>()
    };
    let texts = |text: &str| -> Result<Vec<Group>> {
        text.split(';').filter(|part| !part.trim().is_empty()).map(str::parse).collect()
    };
    let of_groups = given.read("groups", texts)?.unwrap_or_default().into_iter();
    let mut groups: Vec<_> = of_groups.map(|group| ("groups", group)).collect();
    groups.extend(listed("no-decay", Group::without_decay));
    groups.extend(listed("freeze", Group::frozen));
    for (key, group) in &groups {
        group.check().map_err(|error| named(given, key, error))?;
    }
    Ok(groups)
}

/// An error of a group under the setting that the group comes from.
fn named(given: &Given, key: &str, error: Error) -> Error {
    match error {
        Error::Setting { problem, .. } => Error::setting(given.place(key), problem),
        other => other,
    }
}

/// A warning, if groups of `--groups` say different things of one parameter.
fn overlapping(groups: &[(&'static str, Group)], layout: &ParamLayout) -> Option<Warning> {
    let of_view = |view: &ParamView| {
        let mine: Vec<&Group> =
            groups.iter().map(|(_, group)| group).filter(|group| group.has(view)).collect();
        let several = |factor: fn(&Group) -> f64| {
            mine.iter().filter(|group| factor(group) != 1.0 && factor(group) != 0.0).count() > 1
                || mine.iter().any(|group| factor(group) == 0.0)
                    && mine.iter().any(|group| ![0.0, 1.0].contains(&factor(group)))
        };
        let (lr, decay) = (several(|group| group.lr), several(|group| group.decay));
        let frozen = mine.iter().any(|group| group.frozen);
        let stays = frozen && mine.iter().any(|group| !group.frozen && group.lr != 1.0);
        if !(lr || decay || stays) {
            return None;
        }
        let patterns: Vec<&str> = mine.iter().map(|group| group.matches.as_str()).collect();
        let product =
            |factor: fn(&Group) -> f64| mine.iter().map(|group| factor(group)).product::<f64>();
        let follows = if frozen {
            "and stays frozen, whatever the others say".to_string()
        } else {
            format!(
                "whose factors are multiplied: lr={}, decay={}",
                short(product(|group| group.lr)),
                short(product(|group| group.decay))
            )
        };
        Some(format!("{} is matched by {}, {follows}", view.name, patterns.join(" and ")))
    };
    let told: Vec<String> = layout.views().iter().filter_map(of_view).collect();
    let first = told.first()?;
    let others = match told.len() - 1 {
        0 => String::new(),
        more => format!("; so it is for {more} more"),
    };
    Some(Warning::Noted { problem: format!("--groups: the parameter {first}{others}") })
}

/// How weights are averaged; `none` for not at all.
fn average(text: &str) -> Result<Option<Average>> {
    if text.trim().eq_ignore_ascii_case("none") { Ok(None) } else { text.parse().map(Some) }
}

/// Bytes, with or without a unit of 1024; `auto` for what the device allows.
fn device_memory(text: &str) -> Result<Option<u64>> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let units = [("", 0), ("b", 0), ("kib", 10), ("mib", 20), ("gib", 30), ("tib", 40)];
    let unit = unit.trim().to_ascii_lowercase();
    let scale = units.into_iter().find(|(name, _)| *name == unit).map(|(_, shift)| 1_u64 << shift);
    let bytes =
        number.parse().ok().zip(scale).map(|(number, scale): (f64, u64)| number * scale as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    match bytes {
        Some(bytes) if (0.0..9e18).contains(&bytes) => Ok(Some(bytes as u64)),
        _ => {
            let problem = format!(
                "\"{text}\" is not a size; write bytes, or sizes such as 512MiB or 1.5GiB, or auto"
            );
            Err(Error::setting("--device-memory", problem))
        }
    }
}

fn valid(text: &str) -> Result<Valid> {
    match text.trim().parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(Valid::Share(share)),
        Ok(share) => {
            let share: f64 = share;
            Err(Error::setting(
                "--valid",
                format!("{share}, but a share must be at least 0 and below 1; or name a table"),
            ))
        }
        Err(_) if text.trim().is_empty() => {
            Err(Error::setting("--valid", "empty; give a share such as 0.2, or name a table"))
        }
        Err(_) => Ok(Valid::File(path_of(text))),
    }
}

fn start(text: &str) -> Result<Start> {
    let path = path_of(text);
    let file =
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"));
    if file { Ok(Start::File(path)) } else { text.parse().map(Start::Scheme) }
}

/// What to do without a target: the columns there are, if the table can be read.
fn which_target(table: &str) -> String {
    let path = path_of(table);
    let columns = column_names(&path).ok().filter(|names| !names.is_empty());
    let there = columns.map(|names| format!(": {} has {}", path.display(), list(&names)));
    format!("name the column to predict{}", there.unwrap_or_default())
}

fn default_out(table: &Path) -> PathBuf {
    let name = table.file_stem().filter(|name| !["", ".", ".."].iter().any(|dots| name == dots));
    Path::new("runs").join(name.unwrap_or("run".as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Settings;
    use crate::cli::layers::Norm;
    use crate::model::{Activation, Layer};

    fn resolved(change: impl FnOnce(&mut Settings)) -> Result<RunConfig> {
        let mut settings = Settings {
            table: Some("data/iris.csv".into()),
            target: Some("y".into()),
            ..Settings::default()
        };
        change(&mut settings);
        RunConfig::resolve(Given::merge(&settings, None)?)
    }

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        resolved(change).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let config = resolved(|_| {}).unwrap();
        assert_eq!(config.options, TrainOptions::default());
        let plain = Network::Plain {
            hidden: vec![128, 64],
            norm: Norm::None,
            activation: Layer::Activation(Activation::Relu),
            dropout: 0.0,
        };
        assert_eq!((config.network, config.out), (plain, PathBuf::from("runs/iris")));
        assert_eq!((config.valid, config.device), (Valid::Share(0.2), DeviceKind::Auto));
    }

    #[test]
    fn run_folders_are_named_like_tables() {
        for (table, want) in [
            ("data/iris.csv", "runs/iris"),
            ("...csv", "runs/run"),
            ("a/..csv", "runs/run"),
            (".csv", "runs/.csv"),
            ("..", "runs/run"),
            ("a.b.csv", "runs/a.b"),
        ] {
            assert_eq!(default_out(Path::new(table)), PathBuf::from(want), "{table}");
        }
    }

    #[test]
    fn sizes_have_units_of_1024_or_none() {
        for (text, want) in [
            ("1000000", Some(1_000_000)),
            ("512MiB", Some(512 << 20)),
            (" 1.5 gib ", Some(3 << 29)),
            ("64 KiB", Some(64 << 10)),
            ("7b", Some(7)),
            ("auto", None),
        ] {
            assert_eq!(device_memory(text).unwrap(), want, "{text}");
        }
        for bad in ["", "MiB", "12MB", "1.2.3GiB", "-1", "1e9", "99999999TiB", "all"] {
            let said = device_memory(bad).unwrap_err().to_string();
            assert!(said.starts_with("--device-memory: ") && said.contains("512MiB"), "{said}");
        }
        assert_eq!(
            refused(|s| s.device_memory = Some("0".into())),
            "--device-memory: 0, but it must be above 0"
        );
    }

    #[test]
    fn settings_of_other_optimizers_are_refused() {
        let said = refused(|s| s.momentum = Some("0.9".into()));
        let owners = "it belongs to sgd, rmsprop and muon";
        assert_eq!(said, format!("--momentum: the optimizer adamw has no such setting; {owners}"));
        let said = refused(|s| (s.optimizer, s.eps) = (Some("sgd".into()), Some("1e-7".into())));
        assert!(
            said.contains("--eps: the optimizer sgd") && said.contains("adam, adamw, rmsprop"),
            "{said}"
        );
        let config = resolved(|s| {
            (s.optimizer, s.momentum, s.nesterov) =
                (Some("sgd".into()), Some("0.9".into()), Some("true".into()))
        });
        let want = Optimizer::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 };
        assert_eq!(config.unwrap().options.optimizer, want);
    }

    #[test]
    fn what_surrounds_the_optimizer_is_read_or_refused() {
        let config = resolved(|s| {
            s.optimizer = Some("lion(beta2=0.9)".into());
            s.weight_decay = Some("0.1".into());
            s.clip_norm = Some("1".into());
            s.accumulate = Some("4".into());
            s.average = Some("swa(start=2)".into());
            s.groups = Some("0.*: lr=0.5".into());
            (s.no_decay, s.freeze) = (Some("bias, norm".into()), Some("2.*".into()));
        });
        let options = config.unwrap().options;
        assert_eq!(options.optimizer.to_string(), "lion(beta2=0.9, weight-decay=0.1)");
        assert_eq!((options.lr, options.clip_norm, options.accumulate), (1e-4, Some(1.0), 4));
        assert_eq!(options.average, Some(Average::Swa { start: 2, each_step: false }));
        let groups: Vec<_> = options.groups.iter().map(Group::to_string).collect();
        assert_eq!(groups, ["0.*: lr=0.5", "bias: decay=0", "norm: decay=0", "2.*: frozen=true"]);
        for (said, want) in [
            (refused(|s| s.clip_norm = Some("0".into())), "--clip-norm: 0, but it must be"),
            (refused(|s| s.clip_value = Some("x".into())), "--clip-value: \"x\" is not a number"),
            (
                refused(|s| s.accumulate = Some("0".into())),
                "--accumulate: 0, but it must be above 0",
            ),
            (refused(|s| s.average = Some("mean".into())), "--average: unknown name \"mean\""),
            (refused(|s| s.groups = Some("bias".into())), "--groups: \"bias\" has no colon"),
            (
                refused(|s| s.optimizer = Some("sgd(nu=1)".into())),
                "--optimizer: sgd has no setting \"nu\"",
            ),
        ] {
            assert!(said.starts_with(want), "{said}");
        }
    }

    #[test]
    fn impossible_values_name_their_option() {
        assert_eq!(refused(|s| s.lr = Some("-1".into())), "--lr: -1, but it must be above 0");
        assert_eq!(refused(|s| s.lr = Some("fast".into())), "--lr: \"fast\" is not a number");
        assert_eq!(
            refused(|s| s.epochs = Some("-3".into())),
            "--epochs: \"-3\" is not a whole number above 0"
        );
        assert_eq!(
            refused(|s| s.batch_size = Some("0".into())),
            "--batch-size: 0, but it must be above 0"
        );
        assert!(
            refused(|s| s.valid = Some("1".into())).starts_with("--valid: 1, but a share must be")
        );
        assert!(
            refused(|s| s.init = Some("ones".into())).contains("--init: unknown scheme \"ones\"")
        );
        assert_eq!(
            refused(|s| s.tune = Some("slow".into())),
            "--tune: unknown name \"slow\"; known: off, quick, full"
        );
        assert!(
            refused(|s| s.tune_ms = Some("-1".into()))
                .starts_with("--tune-ms: \"-1\" is not a whole")
        );
        assert!(refused(|s| s.seed = Some("-1".into())).starts_with("--seed: \"-1\""));
        assert!(
            refused(|s| s.task = Some("cluster".into())).contains("known: auto, classify, regress")
        );
        assert_eq!(
            refused(|s| s.lr = Some("inf".into())),
            "--lr: inf, but it must be a finite number above 0"
        );
        assert_eq!(
            refused(|s| s.warmup = Some("-1".into())),
            "--warmup: -1, but it must be a finite number of 0 or more"
        );
        assert_eq!(
            refused(|s| {
                (s.keep, s.stop_metric) = (Some("last".into()), Some("accuracy".into()));
            }),
            "--stop-metric: nothing is watched; it belongs to --stop-patience and --keep best"
        );
        assert_eq!(
            refused(|s| (s.keep, s.stop_delta) = (Some("best".into()), Some("0.1".into()))),
            "--stop-delta: nothing is watched; it belongs to --stop-patience"
        );
        assert_eq!(
            refused(|s| s.stop_patience = Some("0".into())),
            "--stop-patience: 0, but it must be above 0"
        );
        assert!(refused(|s| s.keep = Some("first".into())).contains("known: best, last"));
        assert!(
            refused(|s| s.metrics = Some("f1_macro,f2".into()))
                .starts_with("--metrics: unknown name \"f2\"; known: loss, accuracy")
        );
        assert!(
            refused(|s| s.dropout_schedule = Some("cosine(1, 2)".into()))
                .starts_with("--dropout-schedule: 2 arguments are too many; cosine has end")
        );
        assert_eq!(
            refused(|s| s.beta1 = Some("1".into())),
            "--beta1: 1, but it must be at least 0 and below 1"
        );
        assert_eq!(
            refused(|s| s.norm = Some("group".into())),
            "--norm: unknown name \"group\"; known: none, batch, layer, rms"
        );
        assert!(refused(|s| s.dropout = Some("1".into())).starts_with("--dropout: 1, but it must"));
        let both = |s: &mut Settings| {
            (s.layers, s.dropout) = (Some("dense".into()), Some("0.1".into()));
        };
        assert!(refused(both).starts_with("--dropout: --layers says what all layers are"));
        assert!(refused(|s| s.target = Some(" ".into())).starts_with("--target: missing"));
        assert!(refused(|s| s.target = None).starts_with("--target: missing"));
        assert!(refused(|s| s.table = None).starts_with("TABLE: missing"));
    }
}
