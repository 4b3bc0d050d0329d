//! Settings as given, each with its place.
//!
//! In: values of the command line and of a file. Out: texts and numbers, or the problem of a value and its place.
//! Absent on purpose: which settings there are, and which values are allowed.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::recipes::TakenRecipe;
use crate::data::parts_of;
use crate::error::{Error, Result};

/// The key of the table to train on, which `train` and `plan` take without dashes.
pub(super) const TABLE: &str = "table";

/// Name by which the library means the file that a run continues from, and not the option that names one.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SettingSource {
    /// On the command line.
    CommandLine,
    /// In a call of the library, under this name.
    Call(String),
    /// In a file, or settings like those of a file, that are shown so.
    File(String),
}

impl SettingSource {
    /// Returns the place of a setting in messages: `--lr`, or `run.toml: lr`.
    fn place(&self, key: &str) -> String {
        match self {
            Self::CommandLine if key == TABLE => "TABLE".to_string(),
            Self::CommandLine => format!("--{key}"),
            Self::Call(name) => name.clone(),
            Self::File(shown) => format!("{shown}: {key}"),
        }
    }

    /// Returns true for two settings of the command line, of the same call, or of the same file.
    fn is_that_of(&self, other: &Self) -> bool {
        self == other || matches!((self, other), (Self::Call(_), Self::Call(_)))
    }
}

/// A value and where it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RawSetting {
    key: &'static str,
    /// As a file has it; of the command line, a text.
    value: toml::Value,
    source: SettingSource,
}

impl RawSetting {
    pub(super) fn key(&self) -> &'static str {
        self.key
    }

    /// Returns the place of the value in messages.
    pub(super) fn place(&self) -> String {
        self.source.place(self.key)
    }

    /// Returns true if the value stands in a file that is shown so.
    pub(super) fn is_of(&self, shown: &str) -> bool {
        matches!(&self.source, SettingSource::File(file) if file == shown)
    }

    pub(super) fn value(&self) -> &toml::Value {
        &self.value
    }

    /// Returns the value as it would be typed.
    ///
    /// # Errors
    /// If it is a table or a date.
    pub(super) fn text(&self) -> Result<String> {
        text_of(&self.value).ok_or_else(|| {
            self.wrong(
                "it must be a text, a number, true or false, a list of numbers, or of tables for groups",
            )
        })
    }

    /// Returns the names between commas.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        Ok(parts_of(&self.text()?, false))
    }

    /// Reads a number, or any other text whose meaning is plain.
    pub(super) fn plain<T: FromStr>(&self, wanted: &str) -> Result<T> {
        let text = self.text()?;
        text.trim().parse().map_err(|_| self.wrong(format!("\"{text}\" is not {wanted}")))
    }

    /// Reads a text that has its own messages.
    pub(super) fn parse<T: FromStr<Err = Error>>(&self) -> Result<T> {
        self.read(str::parse)
    }

    /// Reads a text in its own way.
    pub(super) fn read<T>(&self, read: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        read(&self.text()?)
    }

    /// An error about the value, with its place.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::setting(self.place(), problem)
    }

    /// Puts the value's place into an error that came of reading it.
    pub(super) fn locate(&self, error: Error) -> Error {
        match error {
            Error::Setting { problem, .. } => self.wrong(problem),
            other => other,
        }
    }
}

/// All settings that were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RawSettings {
    given: BTreeMap<&'static str, RawSetting>,
    /// Note of what was taken of a recipe, if one was named.
    recipe: Option<TakenRecipe>,
}

impl RawSettings {
    /// Adds a setting with the place where it was given.
    pub(super) fn insert(
        &mut self,
        key: &'static str,
        value: impl Into<toml::Value>,
        source: SettingSource,
    ) {
        self.given.insert(key, RawSetting { key, value: value.into(), source });
    }

    /// Returns the same settings with a note of what was taken of a recipe.
    pub(super) fn taking(self, recipe: TakenRecipe) -> Self {
        Self { recipe: Some(recipe), ..self }
    }

    /// Returns what was taken of a recipe.
    pub(super) fn recipe(&self) -> Option<&TakenRecipe> {
        self.recipe.as_ref()
    }

    /// Returns the keys of all settings.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.given.keys().copied()
    }

    /// Leaves settings out.
    pub(super) fn remove(&mut self, keys: &[&str]) {
        self.given.retain(|key, _| !keys.contains(key));
    }

    /// Adds all settings of another source, which win over those that are there.
    pub(super) fn extend(&mut self, other: Self) {
        self.given.extend(other.given);
    }

    /// Returns a setting, if it was given.
    pub(super) fn get(&self, key: &str) -> Option<&RawSetting> {
        self.given.get(key)
    }

    /// Returns true if a setting was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Returns a setting as it would be typed.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|setting| setting.text().ok())
    }

    /// Returns the place where a setting was given; where it could be, if it was not.
    pub(super) fn place(&self, key: &str) -> String {
        self.get(key).map_or_else(|| SettingSource::CommandLine.place(key), RawSetting::place)
    }

    /// Returns true if a setting was given for this run, on the command line or in a call. A file may be that of another run, which has
    /// all settings.
    pub(super) fn is_of_this_run(&self, key: &str) -> bool {
        self.get(key).is_some_and(|setting| !matches!(setting.source, SettingSource::File(_)))
    }

    /// Returns true if both settings were given, and in one source: on the command line, in a call, or in the same file.
    pub(super) fn are_of_one_source(&self, one: &str, other: &str) -> bool {
        let both = self.get(one).zip(self.get(other));
        both.is_some_and(|(one, other)| one.source.is_that_of(&other.source))
    }

    /// Names the setting that led to a file which cannot be used.
    pub(super) fn locate_file(&self, key: &str, error: Error) -> Error {
        located(&self.place(key), error)
    }

    /// Puts the place where a setting was given into an error that names an option or a field of the library.
    pub(super) fn locate(&self, error: Error) -> Error {
        match error {
            Error::Setting { name, problem } => {
                let key =
                    name.strip_prefix("--").map_or_else(|| name.replace('_', "-"), str::to_string);
                // A setting that was not given keeps the library's name, and the program words it when it tells the error.
                let given = self.get(&key).filter(|_| name != CHECKPOINT);
                Error::setting(given.map_or(name, RawSetting::place), problem)
            }
            other => other,
        }
    }
}

/// Puts a place before an error that names a file only.
pub(super) fn located(place: &str, error: Error) -> Error {
    match error {
        Error::File { .. } => Error::table(place, error.to_string()),
        other => other,
    }
}

/// Returns a value as it would be typed; `None` for tables and dates.
pub(crate) fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(values) => {
            let parts: Option<Vec<String>> =
                values.iter().filter(|value| !value.is_array()).map(text_of).collect();
            parts.filter(|parts| parts.len() == values.len()).map(|parts| parts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
