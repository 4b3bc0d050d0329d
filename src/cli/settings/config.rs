//! Settings of a run: resolved and checked once, plain values from here on.
//!
//! In: a table. Out: rows, a network, and what training is told, as the settings want them.
//! Absent on purpose: how settings are read, which `options.rs` and `resolve.rs` know.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::network::Network;
use super::paths::path_text;
use super::raw_settings::RawSettings;
use super::recipes::TakenRecipe;
use crate::cli::cache::{table_folder, tuning_folder};
use crate::cli::wording::{with_options, without_weights};
use crate::data::{
    Arranged, Dataset, DuplicateColumn, FeatureScaling, Folds, LoadedTable, Preprocessing,
    ReadProgress, Schema, Split, SplitColumns, TableFormat, TableOptions, Target, TargetKind,
    Targets, column_names_as, is_lasting, is_workbook, list, option_value,
};
use crate::device::{DeviceInfo, DeviceKind, Tuning, free_host_memory};
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, read_fitting_weights, read_preparation, read_weights};
use crate::graph::{Group, Loss, RequiredTarget, factors};
use crate::model::{Init, ParamLayout, ParamView, Params, Sequential};
use crate::plan::Precision;
use crate::random::Seed;
use crate::report::{count, pluralize};
use crate::shape::short;
use crate::train::{
    KeepWeights, TrainOptions, Warning, check_dataset, usual_batch_size, with_input_tables,
};

/// Kind of target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Task {
    /// The kind that the column looks like.
    #[default]
    Auto,
    Classify,
    Regress,
    Labels,
}

/// Where validation rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValidSource {
    /// A share of the rows, drawn at random.
    Share(f64),
    /// A share of the rows, the last ones of the table.
    Last(f64),
    File(PathBuf),
}

/// Share of the rows that is held out unless someone says otherwise.
pub(super) const USUAL_SHARE: f64 = 0.2;

/// Where initial weights come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum InitFrom {
    Scheme(Init),
    File(PathBuf),
}

/// A run's settings.
#[derive(Clone, Debug)]
pub(crate) struct RunConfig {
    pub(crate) table: PathBuf,
    pub(crate) target: String,
    /// How the table is read: columns of row weights, groups and parts, kinds of columns, and the form of its text.
    pub(crate) reading: TableOptions,
    pub(super) task: Task,
    /// The positive one of two classes, if it is chosen.
    pub(crate) positive: Option<String>,
    pub(super) network: Network,
    /// `None` where the task decides.
    pub(super) loss: Option<Loss>,
    /// Parameters with factors of their own, each with the key of the option that names them.
    pub(super) groups: Vec<(&'static str, Group)>,
    /// All else that training is told. The loss is final once the table is known.
    pub(super) options: TrainOptions,
    pub(crate) valid: ValidSource,
    /// Seed of the drawing of validation rows and folds; `None` for that of the run.
    pub(super) split_seed: Option<Seed>,
    /// True if the learning rate is to be found before the run.
    pub(crate) lr_is_auto: bool,
    /// True if the number of training rows decides the size of batches.
    pub(super) batch_is_auto: bool,
    /// Seconds of training, for which the number of epochs is chosen before the run.
    pub(crate) time_budget: Option<f64>,
    /// Number of networks of an ensemble.
    pub(crate) members: u32,
    /// Number of folds of a cross-validation; 0 for none.
    pub(crate) folds: u32,
    /// Number of times that folds are drawn.
    pub(crate) folds_repeats: u32,
    /// The only fold to train, of all drawings.
    pub(crate) fold: Option<u32>,
    /// True if one network is trained on all rows after the folds.
    pub(crate) refit: bool,
    /// Sheet of the table of validation rows, if it is another one than that of the table.
    pub(super) valid_sheet: Option<String>,
    pub(super) start: InitFrom,
    pub(crate) device: DeviceKind,
    pub(crate) out: PathBuf,
    /// Place of event files for TensorBoard, if any are written.
    pub(super) tensorboard: TensorBoardFolder,
    /// True if all weights of a file have to fit.
    pub(super) init_strict: bool,
    /// True if columns that say what another one says are no features.
    pub(super) drop_duplicates: bool,
    pub(crate) checkpoints: CheckpointSettings,
    /// Place of tables that memory has no room for.
    pub(super) table_cache: TableCache,
    pub(super) raw: RawSettings,
}

/// Folder in which tables are kept for later runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum TableCache {
    /// The user's folder for caches, if the environment names one.
    #[default]
    Usual,
    Off,
    Folder(PathBuf),
}

impl TableCache {
    fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Usual => table_folder(),
            Self::Off => None,
            Self::Folder(folder) => Some(folder.clone()),
        }
    }
}

/// Folder of event files in a run folder.
const TENSORBOARD: &str = "tensorboard";

/// Place of event files for TensorBoard, if any are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum TensorBoardFolder {
    #[default]
    None,
    /// In the run folder.
    InRun,
    /// In a folder for several runs, which has a folder for each.
    Other(PathBuf),
}

/// Which checkpoints are on disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CheckpointSettings {
    /// Epochs between two; 0 for none.
    pub(crate) every: u32,
    /// Minutes between two, within epochs; 0 for none.
    pub(crate) minutes: f64,
    /// Number that stay.
    pub(crate) keep: u32,
}

impl Default for RunConfig {
    fn default() -> Self {
        let options = TrainOptions::default();
        Self {
            table: PathBuf::new(),
            target: String::new(),
            reading: TableOptions::default(),
            task: Task::default(),
            positive: None,
            network: Network::default(),
            loss: None,
            groups: Vec::new(),
            checkpoints: CheckpointSettings {
                every: options.checkpoint_every,
                minutes: 0.0,
                keep: 2,
            },
            options,
            valid: ValidSource::Share(USUAL_SHARE),
            split_seed: None,
            lr_is_auto: false,
            batch_is_auto: false,
            time_budget: None,
            members: 1,
            folds: 0,
            folds_repeats: 1,
            fold: None,
            refit: false,
            tensorboard: TensorBoardFolder::None,
            valid_sheet: None,
            start: InitFrom::Scheme(Init::default()),
            device: DeviceKind::default(),
            out: PathBuf::new(),
            init_strict: true,
            drop_duplicates: true,
            table_cache: TableCache::default(),
            raw: RawSettings::default(),
        }
    }
}

impl RunConfig {
    /// The same settings with what the table has decided, for the record of a run.
    pub(super) fn with_options(&self, options: &TrainOptions) -> Self {
        Self { options: options.clone(), ..self.clone() }
    }

    /// Scaling, columns and classes that the weights of `--init FILE` are for; a run that goes on has them in its own model.
    pub(crate) fn origin(&self, begins: bool) -> Result<Option<Preprocessing>> {
        let origin = self.origin_of(begins)?;
        if origin.is_none() || self.scales_anew() {
            return Ok(origin);
        }
        let refuse = |key: &str| {
            let problem = "the scaling of the model that --init gives is kept; give --scale standard, or another method, to scale anew";
            Err(Error::setting(self.raw.place(key), problem))
        };
        match (self.options.target_scale, self.options.column_scales.is_empty()) {
            (Some(_), _) => refuse("target-scale"),
            (None, false) => refuse("columns"),
            (None, true) => Ok(origin),
        }
    }

    /// Reads the scaling that the weights of `--init FILE` were trained under.
    fn origin_of(&self, begins: bool) -> Result<Option<Preprocessing>> {
        let InitFrom::File(path) = &self.start else {
            if self.asks_for_init_scale() {
                let problem = "init keeps the scaling of a model whose weights the run begins with, and there is none; give --init model.safetensors, \
                     or --scale standard or another method";
                return Err(Error::setting(self.raw.place("scale"), problem));
            }
            return Ok(None);
        };
        let own = self.out.join(MODEL_FILE);
        if !begins && own.is_file() {
            return read_preparation(own);
        }
        let origin = read_preparation(path).map_err(|error| self.raw.locate_file("init", error))?;
        if self.asks_for_init_scale() && origin.is_none() {
            let problem = format!(
                "{} says nothing of scaling, as only a model.safetensors of a run does; give standard or another method",
                path.display()
            );
            return Err(Error::setting(self.raw.place("scale"), problem));
        }
        Ok(origin)
    }

    /// Returns true if the scaling is measured anew, although the weights of `--init FILE` were trained under another one.
    fn scales_anew(&self) -> bool {
        let file = |key| self.raw.has(key) && !self.raw.is_of_this_run(key);
        let stated = self.raw.is_of_this_run("scale") || file("scale") && file("init");
        stated && !self.asks_for_init_scale()
    }

    /// Returns true if the scaling is to be that of the model that the weights come from, in so many words.
    fn asks_for_init_scale(&self) -> bool {
        self.raw.text("scale").is_some_and(|text| text.trim() == INIT_SCALE)
    }

    /// Reads the table, and the validation rows; in the order of columns and classes of earlier weights, if there are any.
    pub(crate) fn data(
        &self,
        origin: Option<&Preprocessing>,
        progress: ReadProgress,
    ) -> Result<PreparedTable> {
        let (table, left_out) = self.read(origin, progress)?;
        let Some(origin) = origin else { return self.prepared(table) };
        let LoadedTable { data, columns, notes: format } = table;
        let mut format = self.format_text(&self.table, &format);
        let mut notes = self.notes(&data);
        notes.extend(left_out);
        let (data, other_kinds) = data.encoded_like(&origin.schema);
        let Arranged { data, mut features, targets } = data.arranged_like(&origin.schema);
        // Names of inputs say less than the column that is missing or of another kind.
        if let Some(problem) = other_kinds {
            features = vec![problem];
        }
        let problems = [features.as_slice(), &targets].concat();
        if self.init_strict && !problems.is_empty() {
            let problem = format!(
                "the model's columns or classes are not the table's: {}; rename them, or give --init-strict false, so that the \
                 layers that belong to them begin anew",
                problems.join("; ")
            );
            return Err(Error::setting(self.raw.place("init"), problem));
        }
        // Outputs keep the meaning that the weights have.
        let positives = data.schema().positives();
        let turned = |class: &String| positives.iter().any(|it| it.class != class.trim());
        if self.positive.as_ref().is_some_and(turned) {
            let problem =
                "not that of the model whose weights the run begins with; leave the option out";
            return Err(Error::setting(self.raw.place("positive"), problem));
        }
        let data = self.split(data, &columns, &mut format, false)?;
        notes.extend(self.split_notes(&data, &columns));
        Ok(PreparedTable { data, notes, format, preparation: None, features, targets })
    }

    /// Splits a table whose columns and classes nothing decides but its own rows.
    pub(crate) fn prepared(&self, table: LoadedTable) -> Result<PreparedTable> {
        let LoadedTable { data, columns, notes: format } = table;
        let mut format = self.format_text(&self.table, &format);
        let mut notes = self.notes(&data);
        let data = self.split(data, &columns, &mut format, true)?;
        notes.extend(self.split_notes(&data, &columns));
        let (features, targets) = (Vec::new(), Vec::new());
        Ok(PreparedTable { data, notes, format, preparation: None, features, targets })
    }

    /// Tells of columns of the table, of these names, that are left out since the model left them out that the weights come from.
    fn left_out_by(&self, origin: &Preprocessing, names: &[String]) -> Vec<Warning> {
        let names: HashSet<&String> = names.iter().collect();
        let duplicates = origin.schema.duplicates.iter().filter(|_| self.drop_duplicates);
        let there: Vec<&DuplicateColumn> =
            duplicates.filter(|it| names.contains(&it.column)).collect();
        let told = |it: &[&DuplicateColumn]| {
            let columns: Vec<&str> = it.iter().map(|it| it.column.as_str()).collect();
            let others: Vec<&str> = it.iter().map(|it| it.same_as.as_str()).collect();
            let (is, them, copies, advice) = match it.len() {
                1 => ("is", "it", "a copy", "if it is another column now, give it another name"),
                _ => {
                    ("are", "them", "copies", "give another name to one that is another column now")
                }
            };
            let problem = format!(
                "{} {is} left out, since the model whose weights the run begins with left {them} out as {copies} of {}; {advice}, or \
                 ‘duplicates’ keep",
                list(&columns),
                list(&others)
            );
            Warning::Noted { problem }
        };
        // Each by itself, or very many in one sentence.
        let at_once = if there.len() <= 3 { 1 } else { there.len() };
        there.chunks(at_once).map(told).collect()
    }

    /// Leaves out columns that say what another one says, if the run does so.
    fn without_duplicates(&self, data: Split) -> Result<Split> {
        if !self.drop_duplicates {
            return Ok(data);
        }
        // A column that the layers look up is not as the other one.
        let outputs = self.outputs(&data.train);
        let model = self.network.model(Init::default(), &data.train, outputs);
        let ids = model.map_or(Vec::new(), |model| model.tables().to_vec());
        let kept: Vec<usize> = ids.iter().map(|table| table.column).collect();
        data.without_duplicates(&kept, &self.options.scaling())
    }

    /// Returns the seed from which the drawing of validation rows and folds follows.
    pub(crate) fn seed_of_split(&self) -> Seed {
        self.split_seed.unwrap_or(self.options.seed)
    }

    /// Returns the settings of one member of the ensemble, which `wgrad train` trains alone in the same way.
    pub(crate) fn of_member(&self, member: u32, out: PathBuf) -> Self {
        let seed = self.options.seed.of_member(member);
        let options = TrainOptions { seed, ..self.options.clone() };
        // Without rows that are drawn, and with the run's own seed, the setting says nothing.
        let split_seed = Some(self.seed_of_split()).filter(|split| *split != seed);
        let tensorboard = TensorBoardFolder::None;
        Self { options, split_seed, members: 1, out, tensorboard, ..self.clone() }
    }

    /// Returns the folder of event files for TensorBoard of a run, or a sweep, in the folder `out`; `None` if none are asked for.
    pub(crate) fn tensorboard_of(&self, out: &Path) -> Option<PathBuf> {
        match &self.tensorboard {
            TensorBoardFolder::None => None,
            TensorBoardFolder::InRun => Some(out.join(TENSORBOARD)),
            // Runs side by side in one folder can be compared.
            TensorBoardFolder::Other(folder) => {
                Some(folder.join(out.file_name().unwrap_or(TENSORBOARD.as_ref())))
            }
        }
    }

    /// Returns the same settings for a part of the run: so many epochs of it, with schedules as for all of them.
    pub(crate) fn for_epochs(&self, epochs: u32) -> Self {
        let schedule_epochs = self.schedule_epochs_of(epochs);
        let options = TrainOptions { epochs, schedule_epochs, ..self.options.clone() };
        Self { options, ..self.clone() }
    }

    /// Returns the length of the schedules for a run of so many epochs that has those of the whole run, if it has to be said.
    fn schedule_epochs_of(&self, epochs: u32) -> Option<u32> {
        // Without a schedule, its length only says how long a warm-up may be.
        let counts =
            !self.options.length_dependent().is_empty() || self.options.warmup > f64::from(epochs);
        Some(self.options.scheduled_epochs()).filter(|it| counts && *it != epochs)
    }

    /// Returns the same settings for so many epochs in all, as if these had been given.
    pub(crate) fn of_epochs(&self, epochs: u32) -> Self {
        let options = TrainOptions { epochs, ..self.options.clone() };
        Self { options, time_budget: None, ..self.clone() }
    }

    /// Returns the files that rows and targets come from, each with the option that names it.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let valid = match &self.valid {
            ValidSource::File(path) => Some(path.as_path()),
            _ => None,
        };
        let target = Path::new(&self.target);
        [("table", Some(self.table.as_path())), ("valid", valid), ("target", Some(target))]
            .into_iter()
            .filter_map(|(option, path)| Some((option, path.filter(|path| path.is_file())?)))
    }

    /// Returns the seed of the run.
    pub(crate) fn seed(&self) -> Seed {
        self.options.seed
    }

    /// Returns true if the run begins with the weights of a file.
    pub(crate) fn starts_from_file(&self) -> bool {
        matches!(self.start, InitFrom::File(_))
    }

    /// Returns a text that is the same for runs whose rows are read and split alike.
    pub(crate) fn reading_key(&self) -> String {
        // Of layers, only tables of columns decide something: those columns are kept, and have to hold indices.
        let has_tables = |text: &String| text.to_ascii_lowercase().contains("embedding");
        let layers = self.network.layers.as_ref().map(|it| &it.text);
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {:?}",
            self.reading,
            self.task,
            self.positive,
            self.valid,
            self.seed_of_split(),
            self.drop_duplicates,
            self.loss.as_ref().map(Loss::wants),
            self.folds,
            self.folds_repeats,
            layers.filter(|text| has_tables(text)),
            self.options.scale,
            self.options.column_scales,
        )
    }

    /// Returns the settings of one fold, which `wgrad train` trains alone in the same way. A second drawing of folds has other
    /// seeds.
    pub(crate) fn of_fold(&self, fold: u32, out: PathBuf) -> Self {
        let seed = self.options.seed.of_member(fold / self.folds.max(1));
        let options = TrainOptions { seed, ..self.options.clone() };
        let split_seed = Some(self.seed_of_split()).filter(|split| *split != seed);
        let tensorboard = TensorBoardFolder::None;
        Self {
            options,
            split_seed,
            fold: Some(fold),
            refit: false,
            out,
            tensorboard,
            ..self.clone()
        }
    }

    /// Returns the settings of a network that is trained on all rows for so many epochs, with schedules as the folds had them.
    pub(crate) fn of_refit(&self, epochs: u32, out: PathBuf) -> Self {
        let options = TrainOptions {
            epochs,
            schedule_epochs: self.schedule_epochs_of(epochs),
            stop_patience: None,
            stop_delta: TrainOptions::default().stop_delta,
            stop_metric: TrainOptions::default().stop_metric,
            keep: Some(KeepWeights::Last),
            // These are of validation rows, which only the folds have.
            metrics: Vec::new(),
            ..self.options.clone()
        };
        let valid = ValidSource::Share(0.0);
        let reading =
            TableOptions { ignore: self.ignored_with_group(), group: None, ..self.reading.clone() };
        let tensorboard = TensorBoardFolder::None;
        let base = Self { options, valid, reading, out, tensorboard, ..self.clone() };
        Self { folds: 0, folds_repeats: 1, fold: None, refit: false, split_seed: None, ..base }
    }

    /// Returns the columns that are no features, with that of groups.
    fn ignored_with_group(&self) -> Vec<String> {
        self.reading.ignore.iter().chain(&self.reading.group).cloned().collect()
    }

    /// Draws the folds of a drawing, from 0.
    fn drawn_folds(&self, data: &Dataset, columns: &SplitColumns, drawing: u32) -> Result<Folds> {
        let seed = self.seed_of_split().of_member(drawing);
        let folds = data.folds(self.folds, columns.groups.as_deref(), seed);
        folds.map_err(|error| self.raw.locate(error))
    }

    /// Reads the table, and splits its rows once for each fold of each drawing.
    pub(crate) fn data_of_folds(&self, progress: ReadProgress) -> Result<FoldedTable> {
        let (LoadedTable { data, columns, notes }, left_out) = self.read(None, progress)?;
        let format = self.format_text(&self.table, &notes);
        let mut notes = self.notes(&data);
        notes.extend(left_out);
        let (mut folds, mut splits) = (Vec::new(), Vec::new());
        for drawing in 0..self.folds_repeats {
            let drawn = self.drawn_folds(&data, &columns, drawing)?;
            for fold in 0..self.folds {
                let split = data.clone().split_by_part(&drawn.parts(fold));
                splits.push(self.without_duplicates(split.map_err(|it| self.raw.locate(it))?)?);
            }
            folds.push(drawn);
        }
        let whole = match self.refit {
            true => {
                let split = Split { train: data.clone().encoded()?, valid: None };
                Some(self.without_duplicates(split)?)
            }
            false => None,
        };
        Ok(FoldedTable { data, whole, folds, splits, notes, format })
    }

    /// Returns what was taken of a recipe, if one was named.
    pub(crate) fn recipe(&self) -> Option<&TakenRecipe> {
        self.raw.recipe()
    }

    /// Reads the table to see what kind its target is of, and about how many rows it trains on.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of rows, which lies between none and all"
    )]
    pub(super) fn target_and_rows(&self, progress: ReadProgress) -> Result<(TargetKind, usize)> {
        let (LoadedTable { data, .. }, _) = self.read(None, progress)?;
        let held = match &self.valid {
            _ if self.folds > 0 => 1.0 / f64::from(self.folds),
            ValidSource::Share(share) | ValidSource::Last(share) => *share,
            ValidSource::File(_) => 0.0,
        };
        let rows = (data.rows() as f64 * (1.0 - held)).round() as usize;
        Ok((data.schema().kind.clone(), rows))
    }

    /// Returns true if a setting was given.
    pub(crate) fn states(&self, key: &str) -> bool {
        self.raw.has(key)
    }

    /// Reads the table, as that of a model whose weights the run begins with. Returns with it the warnings of columns that are left out
    /// since that model left them out.
    fn read(
        &self,
        origin: Option<&Preprocessing>,
        progress: ReadProgress,
    ) -> Result<(LoadedTable, Vec<Warning>)> {
        // Columns are of the kinds that the weights were trained with.
        let of_kinds = |origin: &&Preprocessing| {
            !origin.schema.columns.is_empty() || !origin.schema.duplicates.is_empty()
        };
        let (reading, left_out) = match origin.filter(of_kinds) {
            Some(_)
                if !is_lasting(&self.table)
                    && (self.table.exists() || self.table.as_os_str() == "-") =>
            {
                let problem = "weights of a model whose table had texts or gaps go with a file, not with standard input";
                return Err(Error::table(self.table.display().to_string(), problem));
            }
            Some(origin) => {
                let names = column_names_as(&self.table, &self.target, &self.reading.format);
                let names = names.map_err(|error| self.no_table(error))?;
                let reading = origin.schema.reading(&self.reading, &names, self.drop_duplicates);
                (reading, self.left_out_by(origin, &names))
            }
            None => (self.reading.clone(), Vec::new()),
        };
        let (host_memory, table_cache) = (self.host_memory(), self.table_cache.folder());
        let reading = TableOptions { host_memory, table_cache, progress, ..reading };
        let read = |target: Target| Dataset::load(&self.table, &target, &reading);
        let column = || self.target.clone();
        let data = match (self.task, self.loss.as_ref().map(Loss::wants)) {
            // The kind of the target does not depend on the rows that happen to be there.
            (Task::Auto, None | Some(RequiredTarget::Classes)) => {
                match origin.map(|origin| &origin.schema.kind) {
                    Some(TargetKind::Classes(_)) => read(Target::Class(column())),
                    Some(TargetKind::Labels(_)) if self.loss.is_none() => {
                        read(Target::Labels(column()))
                    }
                    _ => read(Target::Auto(column())),
                }
            }
            // Few whole numbers are numbers here; texts are reported as a misfit of the loss.
            (
                Task::Auto,
                Some(RequiredTarget::Numbers | RequiredTarget::Counts | RequiredTarget::Shares),
            ) => read(Target::Number(column())).or_else(|error| match is_lasting(&self.table) {
                true => read(Target::Auto(column())),
                false => Err(error),
            }),
            (Task::Labels, _) | (Task::Auto, Some(RequiredTarget::Labels)) => {
                read(Target::Labels(column()))
            }
            (Task::Classify, _) => read(Target::Class(column())),
            (Task::Regress, _) => read(Target::Number(column())),
        };
        let LoadedTable { mut data, columns, notes } = data.map_err(|error| {
            let error = self.no_table(self.raw.locate(error));
            match origin {
                Some(origin) => self.of_origin(&origin.schema, error),
                None => error,
            }
        })?;
        if let Some(class) = &self.positive {
            data = data.with_positive(class).map_err(|error| self.locate(error))?;
        }
        // Before rows are split, so that they are where the file has them. Other mistakes in the layers are told later.
        if let Ok(model) = self.network.model(Init::default(), &data, self.outputs(&data))
            && model.outputs(data.columns()).is_ok()
        {
            check_dataset(model.tables(), &data, "")?;
        }
        Ok((LoadedTable { data, columns, notes }, left_out))
    }

    /// Says in an error of a column that its kind is that of the model whose weights the run begins with.
    fn of_origin(&self, schema: &Schema, error: Error) -> Error {
        let Error::Table { place, problem, at } = error else { return error };
        let own = at.column.as_ref().filter(|name| {
            let is_ruled = self.reading.columns.iter().any(|(ruled, _)| ruled == *name);
            !is_ruled && schema.columns.iter().any(|column| column.name == **name)
        });
        let problem = match own {
            Some(name) => {
                // The weights do not fit another kind, which helps elsewhere.
                let found = problem.split("; ").next().unwrap_or_default();
                format!(
                    "{found}; {} is read as in the model whose weights the run begins with: correct the cells, or give --ignore {} and \
                     --init-strict false",
                    list(&[name]),
                    option_value(name, "")
                )
            }
            None => problem,
        };
        Error::Table { place, problem, at }
    }

    /// Returns the memory that the run may take on the host: what the user allows, else all that is free.
    fn host_memory(&self) -> Option<u64> {
        self.reading.host_memory.or_else(free_host_memory)
    }

    /// Holds out the validation rows; with `drop`, columns that say what another one says are left out. Adds to `format` what is unusual
    /// in the form of another table.
    fn split(
        &self,
        data: Dataset,
        columns: &SplitColumns,
        format: &mut Vec<String>,
        drop: bool,
    ) -> Result<Split> {
        let dropped = |split| if drop { self.without_duplicates(split) } else { Ok(split) };
        let split = match &self.valid {
            _ if self.fold.is_some() => {
                let fold = self.fold.unwrap_or(0);
                let drawn = self.drawn_folds(&data, columns, fold / self.folds.max(1))?;
                data.split_by_part(&drawn.parts(fold % self.folds.max(1)))
            }
            _ if columns.parts.is_some() => data.split_by_part(columns),
            ValidSource::Share(share) if columns.groups.is_some() => {
                data.split_by_group(*share, columns, self.seed_of_split())
            }
            ValidSource::Share(share) => data.split(*share, self.seed_of_split()),
            ValidSource::Last(share) => data.split_last(*share),
            ValidSource::File(path) => {
                // The other table need not have the columns that are left out.
                let train = dropped(Split { train: data.encoded()?, valid: None })?.train;
                let folder = self.table_cache.folder();
                let place = (self.host_memory(), folder.as_deref());
                let (valid, notes) =
                    Dataset::load_like_kept(path, train.schema(), &self.valid_format(path), place)
                        .map_err(|error| self.raw.locate_file("valid", error))?;
                format.extend(self.format_text(path, &notes));
                return Split::with_valid(train, valid);
            }
        };
        dropped(split.map_err(|error| self.raw.locate(error))?)
    }

    /// Returns the form of the table of validation rows, where it is stated. The sheet of the training table counts if both are workbooks.
    fn valid_format(&self, path: &Path) -> TableFormat {
        let of_table = self.reading.format.sheet.clone().filter(|_| is_workbook(path));
        TableFormat { sheet: self.valid_sheet.clone().or(of_table), ..self.reading.format.clone() }
    }

    /// Returns a line on what is unusual in the form of a table's text, if anything is.
    fn format_text(&self, table: &Path, notes: &[String]) -> Vec<String> {
        if notes.is_empty() {
            return Vec::new();
        }
        let mut text = with_options(&notes.join("; "));
        if let TableCache::Folder(folder) = &self.table_cache {
            // The command looks into the usual folder unless it is told of another one.
            let option = format!("--table-cache {}`", option_value(&path_text(folder), ""));
            for command in ["`wgrad cache clear`", "`wgrad cache`"] {
                text =
                    text.replace(command, &format!("{} {option}", command.trim_end_matches('`')));
            }
        }
        vec![format!("{}: {text}", table.display())]
    }

    /// Returns a remark if the table of validation rows lacks the weights that training rows have.
    fn unweighted_note(&self, data: &Split) -> Option<String> {
        let (ValidSource::File(path), Some(valid)) = (&self.valid, &data.valid) else {
            return None;
        };
        let weight = data.train.schema().weight.as_deref()?;
        valid.weights().is_none().then(|| {
            let lacks = without_weights(path.display(), weight, "validation rows");
            format!("{lacks}, also where the best epoch is chosen; add the column to weigh them")
        })
    }

    /// Returns remarks on a split that a column or the order of rows has made.
    fn split_notes(&self, data: &Split, columns: &SplitColumns) -> Vec<Warning> {
        let mut notes: Vec<String> = data.train.storage_note().into_iter().collect();
        notes.extend(self.unweighted_note(data));
        let tests = columns.test_rows();
        if tests > 0 {
            notes.push(format!(
                "{} of {} for a test by column {} left out of training and validation; save them as a table of their own for \
                 `wgrad evaluate`",
                pluralize(tests as u64, "row"),
                self.table.display(),
                list(&[self.reading.split_column.as_deref().unwrap_or_default()])
            ));
        }
        let drawn = matches!(self.valid, ValidSource::Share(_))
            && self.folds == 0
            && columns.parts.is_none()
            && columns.groups.is_none();
        // A share that is drawn has each class in both parts.
        if let (false, TargetKind::Classes(classes), Targets::Classes(y)) =
            (drawn, &data.train.schema().kind, data.train.y())
        {
            let seen: HashSet<u32> = y.iter().copied().collect();
            let classes = (0_u32..).zip(classes).filter(|(class, _)| !seen.contains(class));
            let unseen: Vec<&String> = classes.map(|(_, name)| name).collect();
            if !unseen.is_empty() {
                notes.push(format!(
                    "no training row is of {} {}: the network cannot learn it; split the rows in another way",
                    if unseen.len() == 1 { "the class" } else { "the classes" },
                    list(&unseen)
                ));
            }
        }
        notes.into_iter().map(|problem| Warning::Noted { problem }).collect()
    }

    /// Where the table came from, if that was not the command line.
    fn no_table(&self, error: Error) -> Error {
        let place = self.raw.place("table");
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

    /// Returns a warning about parameters in several groups.
    ///
    /// # Errors
    /// If a group matches no parameter.
    pub(crate) fn check_groups(&self, model: &Sequential, data: &Split) -> Result<Option<Warning>> {
        let layout = model.layout(data.train.columns())?;
        for (key, group) in &self.groups {
            // The setting that the group comes from, whichever of the three the error names.
            let named = |error| match error {
                Error::Setting { problem, .. } => Error::setting(self.raw.place(key), problem),
                other => other,
            };
            factors(std::slice::from_ref(group), &layout).map_err(named)?;
        }
        let overlap = overlapping(&self.groups, &layout);
        Ok(overlap.or_else(|| changed_in_vain(&self.groups, &layout)))
    }

    /// Returns remarks on how the table was read. `data` has all rows, before any are held out.
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
        let drawn = self.reading.group.is_none() && self.reading.split_column.is_none();
        if let (ValidSource::Share(share), Some((_, line))) = (&self.valid, lone.first())
            && *share > 0.0
            && drawn
            && self.folds == 0
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
    pub(crate) fn model(&self, data: &Split) -> Result<Sequential> {
        let init = match self.start {
            InitFrom::Scheme(init) => init,
            // All weights are replaced.
            InitFrom::File(_) => Init::default(),
        };
        let outputs = self.outputs(&data.train);
        let model = self.network.model(init, &data.train, outputs);
        let model = model.map_err(|error| self.raw.locate(error))?;
        let model = with_input_tables(&model, &data.train)?;
        // Checked here, where an error can name the place of the setting, such as a file.
        model.shapes(data.train.columns()).map_err(|error| self.raw.locate(error))?;
        Ok(model)
    }

    /// Returns the options of training for this table.
    pub(crate) fn options(&self, train: &Dataset, origin: Option<&Preprocessing>) -> TrainOptions {
        let tuning = Tuning { folder: tuning_folder(), ..self.options.tuning.clone() };
        let preparation = self.preparation(train, origin);
        let loss = self.loss_for(train);
        let batch_size = self.batch_size(train);
        TrainOptions { loss, tuning, preparation, batch_size, ..self.options.clone() }
    }

    /// Returns the scaling of this table by that of earlier weights, if the run keeps the latter.
    pub(crate) fn preparation(
        &self,
        train: &Dataset,
        origin: Option<&Preprocessing>,
    ) -> Option<Preprocessing> {
        let origin = origin.filter(|_| !self.scales_anew())?;
        let mut preparation = Preprocessing::fit(train, self.options.scale);
        preparation.take_from(origin);
        Some(preparation)
    }

    /// Returns the rows of a batch for this table: as given, or by the number of its rows.
    fn batch_size(&self, train: &Dataset) -> usize {
        if self.batch_is_auto { usual_batch_size(train.rows()) } else { self.options.batch_size }
    }

    /// Returns what decides the meaning of the loss's values beside the table, each with the name of its setting.
    pub(crate) fn loss_terms(&self) -> [(&'static str, String); 6] {
        let TrainOptions { reduction, class_weights, target_scale, .. } = &self.options;
        let loss = self.loss.as_ref();
        // Validation rows have the smoothing of the schedule's end; the number of steps decides it but for its last digits.
        let smooths = loss.is_some_and(|loss| loss.label_smoothing() > 0.0);
        let smoothing = smooths.then(|| self.options.schedules(100).smoothing.last());
        [
            ("loss", loss.map_or(String::new(), Loss::to_string)),
            ("reduction", reduction.to_string()),
            ("class-weights", class_weights.to_string()),
            ("target-scale", target_scale.map_or(String::new(), |method| method.to_string())),
            ("smoothing-schedule", smoothing.map_or(String::new(), |share| share.to_string())),
            ("task", format!("{:?}", self.task)),
        ]
    }

    /// Options of training, but for those that the table decides.
    pub(crate) fn told(&self) -> &TrainOptions {
        &self.options
    }

    /// The loss that was given, or that of the task.
    fn loss_for(&self, data: &Dataset) -> Loss {
        self.loss.clone().unwrap_or_else(|| Loss::usual(&data.schema().kind))
    }

    /// Outputs that the network needs for this table.
    fn outputs(&self, data: &Dataset) -> usize {
        self.loss_for(data).outputs_for(data.outputs())
    }

    /// The weights of `--init FILE`.
    /// Out: the weights, and what is to be told of those that were not taken.
    pub(crate) fn weights(
        &self,
        model: &Sequential,
        table: &PreparedTable,
        origin: Option<&Preprocessing>,
    ) -> Result<Option<(Params, Vec<Warning>)>> {
        let InitFrom::File(path) = &self.start else { return Ok(None) };
        let columns = table.data.train.columns();
        let mut params = Params::init(model, columns, self.options.seed)?;
        let mut problems = [table.features.as_slice(), &table.targets].concat();
        let read = if self.init_strict {
            read_weights(path, &mut params).map(|()| Vec::new()).map_err(|error| match error {
                Error::ModelFile { path, problem } => {
                    let advice = "give the layers of those weights, or --init-strict false to take what fits";
                    Error::model_file(path, format!("{problem}; {advice}"))
                }
                other => other,
            })
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
        problems.extend(read.map_err(|error| self.raw.locate_file("init", error))?);
        let mut warnings = Vec::new();
        if !problems.is_empty() {
            warnings.push(Warning::NotTaken { problems });
        }
        if origin.is_none() {
            warnings.push(Warning::ByPlace { file: path.display().to_string() });
        } else if self.scales_anew() {
            warnings.push(Warning::ScaledAnew { place: self.raw.place("scale") });
        }
        Ok(Some((params, warnings)))
    }

    /// Returns those of some settings that were given for this run, as they are named there.
    pub(crate) fn typed(&self, keys: &[&'static str]) -> Vec<String> {
        let typed = keys.iter().filter(|key| self.raw.is_of_this_run(key));
        typed.map(|key| self.raw.place(key)).collect()
    }

    /// Returns remarks on settings that have no effect on this table or device.
    pub(crate) fn without_effect(&self, train: &Dataset, device: &DeviceInfo) -> Vec<Warning> {
        let mut notes = Vec::new();
        let names = |keys: Vec<String>| keys.join(" and ");
        let has_texts = train.schema().columns.iter().any(|column| column.encoding.is_category());
        let of_texts = self.typed(&["min-count", "one-hot", "embedding-width"]);
        if !of_texts.is_empty() && !has_texts {
            notes.push(format!(
                "no column is taken for texts, so {} changes nothing",
                names(of_texts)
            ));
        }
        let of_tables = self.typed(&["embedding-width"]);
        if !of_tables.is_empty() && has_texts && train.input_tables().next().is_none() {
            notes.push(format!(
                "no column of texts has a table of an embedding, as columns of more than --one-hot texts have, so {} changes nothing",
                names(of_tables)
            ));
        }
        let drawn = self.reading.split_column.is_none()
            && matches!(self.valid, ValidSource::Share(share) if share > 0.0);
        let of_drawing = self.typed(&["split-seed"]);
        if !of_drawing.is_empty() && !drawn && self.folds == 0 {
            notes.push(format!(
                "no validation rows are drawn at random, so {} changes nothing",
                names(of_drawing)
            ));
        }
        let as_is = train.number_inputs().len() == train.columns();
        let scaled = self.typed(&["scale-texts"]);
        if self.options.scale_texts
            && !scaled.is_empty()
            && (as_is || self.options.scale == FeatureScaling::None)
        {
            notes.push(format!(
                "no input stands for a text or a gap and is scaled, so {} changes nothing",
                names(scaled)
            ));
        }
        let (rows, batch) = (train.rows(), self.batch_size(train));
        let dropped = self.typed(&["drop-last"]);
        if self.options.drop_last
            && !dropped.is_empty()
            && (rows < batch || rows.is_multiple_of(batch))
        {
            notes.push(format!(
                "the {} training rows leave no smaller batch behind whole ones of {}, so {} changes nothing",
                count(rows as u64),
                count(batch as u64),
                names(dropped)
            ));
        }
        let of_gpus = self.typed(&["tune", "tune-ms"]);
        if !of_gpus.is_empty() && device.is_cpu() {
            notes.push(format!("{} is for GPUs, and changes nothing on the CPU", names(of_gpus)));
        }
        notes.into_iter().map(|problem| Warning::Noted { problem }).collect()
    }

    /// Names the place where a setting was really given.
    pub(crate) fn locate(&self, error: Error) -> Error {
        self.raw.locate(error)
    }
}

/// A run's rows, and how their columns and targets differ from those that the weights of `--init FILE` are for.
pub(crate) struct PreparedTable {
    pub(crate) data: Split,
    /// Remarks on them.
    pub(crate) notes: Vec<Warning>,
    /// Remarks on an unusual form of the tables' text.
    pub(crate) format: Vec<String>,
    /// Their scaling by that of earlier weights, where it is known already.
    pub(crate) preparation: Option<Preprocessing>,
    /// Differences of the feature columns.
    pub(crate) features: Vec<String>,
    /// Differences of the targets.
    pub(crate) targets: Vec<String>,
}

/// A table whose rows are split once for each fold.
pub(crate) struct FoldedTable {
    /// All rows, as they were read.
    pub(crate) data: Dataset,
    /// All rows to train on, if a network is to be trained on them.
    pub(crate) whole: Option<Split>,
    /// The folds of each drawing.
    pub(crate) folds: Vec<Folds>,
    /// Training and validation rows of each fold, one drawing after the other.
    pub(crate) splits: Vec<Split>,
    /// Remarks on the rows.
    pub(crate) notes: Vec<Warning>,
    /// Remarks on an unusual form of the table's text.
    pub(crate) format: Vec<String>,
}

/// The value of `--scale` for the scaling of the model that the weights come from.
pub(super) const INIT_SCALE: &str = "init";

/// Number of different values, if all are whole numbers and each occurs ten times on the average: they may be classes.
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
pub(crate) fn check_precision(precision: Precision, device: &DeviceInfo) -> Result<()> {
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

/// A warning, if all parameters whose rate or weight decay a group of `--groups` changes are frozen.
fn changed_in_vain(groups: &[(&'static str, Group)], layout: &ParamLayout) -> Option<Warning> {
    let is_frozen = |view: &ParamView| groups.iter().any(|(_, it)| it.frozen && it.has(view));
    let in_vain = |group: &&Group| {
        let mut own = layout.views().iter().filter(|view| group.has(view)).peekable();
        let changes = group.decay != 1.0 || ![0.0, 1.0].contains(&group.lr);
        changes && own.peek().is_some() && own.all(is_frozen)
    };
    let own = groups.iter().filter(|(key, _)| *key == "groups").map(|(_, group)| group);
    let group = own.into_iter().find(in_vain)?;
    let (name, factor) = if group.decay == 1.0 { ("lr", group.lr) } else { ("decay", group.decay) };
    let problem = format!(
        "--groups: {name}={} of {} changes nothing, since all parameters that it matches are frozen; leave it out, or freeze fewer",
        short(factor),
        group.matches
    );
    Some(Warning::Noted { problem })
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
        more => format!("; the same holds for {more} more"),
    };
    Some(Warning::Noted { problem: format!("--groups: the parameter {first}{others}") })
}
