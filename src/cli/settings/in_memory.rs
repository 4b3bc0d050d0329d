//! Settings by the names of the program's options, without a command line.
//!
//! In: names and texts. Out: a [`RunConfig`].
//! Absent on purpose: which settings there are.

use super::config::RunConfig;
use super::init_network::with_network;
use super::options::OPTIONS;
use super::raw_settings::{RawSettings, SettingSource, TABLE};
use super::recipes::{TargetKinds, with_recipe};
use super::resolve::resolve;
use super::sources::option_key;
use crate::error::{Error, Result};

/// Reads the settings of a run of a table with a target. Names may have `_` for `-`; errors have them as they are given.
pub(crate) fn config_of(table: &str, target: &str, settings: &[(&str, &str)]) -> Result<RunConfig> {
    let mut raw = RawSettings::default();
    let call = |name: &str| SettingSource::Call(name.to_string());
    raw.insert(TABLE, table, call(TABLE));
    raw.insert("target", target, call("target"));
    for (name, text) in settings {
        let key = option_key(&name.replace('_', "-"));
        let key = key.map_err(|problem| Error::setting(*name, problem))?;
        raw.insert(key, *text, call(name));
    }
    if raw.text("recipe").as_deref() == Some("auto") && !std::path::Path::new(table).is_file() {
        let problem = "auto chooses by the number of rows of a table, and these rows are in memory: give plain, realmlp or tabm";
        return Err(Error::setting(raw.place("recipe"), problem));
    }
    resolve(with_recipe(with_network(raw), &mut TargetKinds::default())?)
}

/// Returns the names of all options of a training, each with its help text.
pub(crate) fn option_helps() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPTIONS.iter().map(|row| (row.key, row.help))
}

impl RunConfig {
    /// Returns the same settings, with columns kept that say what others say.
    ///
    /// # Errors
    /// If it was asked to leave them out.
    pub(crate) fn with_all_columns(&self) -> Result<Self> {
        if self.states("duplicates") && self.drop_duplicates {
            let problem = "rows in memory have no names by which columns could be left out; leave them out of the array";
            return Err(self.locate(Error::setting("duplicates", problem)));
        }
        Ok(Self { drop_duplicates: false, ..self.clone() })
    }

    /// Returns the same settings for another table.
    pub(crate) fn of_table(&self, table: &str, target: &str) -> Self {
        Self { table: table.into(), target: target.to_string(), ..self.clone() }
    }
}
