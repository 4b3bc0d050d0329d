//! Runs of rows in memory, for bindings of other languages.
//!
//! In: settings by the names of the program's options, rows or a table. Out: what a [`crate::train::Trainer`] is made of.
//! Absent on purpose: training, run folders, and what the other language looks like.

use super::run::{ReadyRun, constant_target};
use super::settings::{PreparedTable, RunConfig, config_of, option_helps};
use crate::data::{Dataset, LoadedTable, Preprocessing, ReadProgress, SplitColumns};
use crate::device::DeviceInfo;
use crate::error::{Error, Result};
use crate::train::Warning;

/// Options of `wgrad train` that rows in memory have no use for: they name files of the run, or runs of several folders.
pub const OF_RUN_FOLDERS: [&str; 12] = [
    "out",
    "checkpoint-every",
    "checkpoint-minutes",
    "keep-checkpoints",
    "table-cache",
    "tensorboard",
    "folds",
    "folds-repeats",
    "fold",
    "refit",
    "table",
    "target",
];

/// Returns the names of the options that [`NamedSettings`] takes, each with its help text.
pub fn named_settings() -> Vec<(&'static str, &'static str)> {
    option_helps().filter(|(name, _)| !OF_RUN_FOLDERS.contains(name)).collect()
}

/// Settings of a run by the names of the program's options, such as `batch-size` or `batch_size`, each with the text that would be typed.
///
/// ```
/// use wgrad::cli::NamedSettings;
/// use wgrad::prelude::*;
///
/// let data = wgrad::data::synth::xor(200, 0.2, Seed(1));
/// let settings = NamedSettings::new([("hidden", "8"), ("epochs", "5"), ("device", "cpu")])?;
/// let run = settings.of_rows(data)?;
/// assert_eq!(run.trainer()?.run()?.epochs, 5);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NamedSettings(RunConfig);

impl NamedSettings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// If there is no option of a name, a value is wrong, settings exclude each other, or one is of [`OF_RUN_FOLDERS`].
    pub fn new<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let settings: Vec<(&str, &str)> = settings.into_iter().collect();
        for (name, _) in &settings {
            if OF_RUN_FOLDERS.contains(&name.replace('_', "-").as_str()) {
                let problem = "it belongs to run folders of the program, which rows in memory have none of; leave it out";
                return Err(Error::setting(*name, problem));
            }
        }
        Ok(Self(config_of("rows in memory", "y", &settings)?))
    }

    /// Puts the name by which a setting was given into an error that names an option or a field.
    pub fn locate(&self, error: Error) -> Error {
        self.0.locate(error)
    }

    /// Prepares a run of rows in memory.
    ///
    /// # Errors
    /// If the settings do not fit the rows.
    pub fn of_rows(&self, data: Dataset) -> Result<ReadyRun> {
        if self.0.starts_from_file() {
            let problem = "a file goes with a table that has the names of its columns; give the name of an initialisation";
            return Err(self.0.locate(Error::setting("init", problem)));
        }
        // All columns stay, so that rows to predict have as many.
        let config = self.0.with_all_columns()?;
        let data = match &self.0.positive {
            Some(class) => data.with_positive(class).map_err(|error| self.0.locate(error))?,
            None => data,
        };
        let columns = SplitColumns::default();
        let table = config.prepared(LoadedTable { data, columns, notes: Vec::new() })?;
        ready(&self.0, table, None)
    }

    /// Returns remarks on settings that have no effect on these training rows, or on this device.
    pub fn without_effect(&self, train: &Dataset, device: &DeviceInfo) -> Vec<Warning> {
        self.0.without_effect(train, device)
    }

    /// Prepares a run of a table in a file with the column `target`.
    ///
    /// # Errors
    /// If the table cannot be read, or the settings do not fit it.
    pub fn of_table(&self, table: &str, target: &str) -> Result<ReadyRun> {
        let config = self.0.of_table(table, target);
        let origin = config.origin(true)?;
        let table = config.data(origin.as_ref(), ReadProgress::default())?;
        ready(&config, table, origin.as_ref())
    }
}

fn ready(
    config: &RunConfig,
    table: PreparedTable,
    origin: Option<&Preprocessing>,
) -> Result<ReadyRun> {
    let mut run = ReadyRun::new(config, table, origin, (true, true))?;
    run.warnings.extend(constant_target(&run.data.train));
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth;
    use crate::random::Seed;

    fn refused(settings: &[(&str, &str)]) -> String {
        NamedSettings::new(settings.iter().copied()).unwrap_err().to_string()
    }

    #[test]
    fn settings_are_those_of_the_program() {
        let settings = [("batch_size", "16"), ("lr", "0.5"), ("hidden", "8,4"), ("members", "3")];
        let run = NamedSettings::new(settings).unwrap();
        let run = run.of_rows(synth::xor(60, 0.2, Seed(1))).unwrap();
        assert_eq!((run.options.batch_size, run.options.lr), (16, 0.5));
        assert_eq!((run.data.train.rows(), run.ensemble().len()), (48, 3));
        assert_eq!(run.model.outputs(2).unwrap(), 2);
        let seeds: Vec<Seed> = run.ensemble().iter().map(|it| it.options.seed).collect();
        assert_eq!(seeds[1], Seed(0).of_member(1));
    }

    #[test]
    fn what_is_wrong_is_named_as_it_was_given() {
        assert!(refused(&[("batch_siz", "3")]).contains("did you mean `batch-size`?"));
        let said = refused(&[("batch_size", "many")]);
        assert!(said.starts_with("batch_size: ") && said.contains("many"), "{said}");
        assert!(refused(&[("out", "x")]).starts_with("out: it belongs to run folders"));
        assert!(refused(&[("tensorboard", "true")]).starts_with("tensorboard: it belongs to run"));
        assert!(refused(&[("members", "0")]).starts_with("members: 0"));
        let settings = NamedSettings::new([("precision", "f16"), ("device", "cpu")]).unwrap();
        let run = settings.of_rows(synth::xor(60, 0.2, Seed(1))).unwrap();
        let said = settings.locate(run.trainer().err().unwrap()).to_string();
        assert!(said.starts_with("precision: f16 is for GPUs"), "{said}");
    }
}
