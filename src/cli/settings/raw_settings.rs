//! Settings as given, on the command line and in a file, each with its place.
//!
//! In: options as typed, a TOML file. Out: [`RawSettings`], which the options' rows read.
//! Absent on purpose: which values are allowed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use super::network::OF_PLAIN;
use super::option::{Settings, TABLE};
use super::options::OPTIONS;
use super::values::is_none;
use crate::data::list;
use crate::error::{Error, Result};

/// Largest file of settings, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// The table of a config.toml that is a record, not a setting.
pub(super) const RECORD: &str = "record";

/// A value and where it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    key: &'static str,
    /// As a file has it; of the command line, a text.
    value: toml::Value,
    /// `--lr`, or `run.toml: lr`.
    place: String,
}

impl Setting {
    pub(super) fn key(&self) -> &'static str {
        self.key
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
        let text = self.text()?;
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(names.map(String::from).collect())
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
        Error::setting(&self.place, problem)
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
pub(crate) struct RawSettings(BTreeMap<&'static str, Setting>);

/// Settings of optimizers. Those of a file fall with the file's optimizer, where another one is chosen.
const OF_OPTIMIZER: [&str; 6] = ["weight-decay", "momentum", "nesterov", "beta1", "beta2", "eps"];

impl RawSettings {
    /// Takes the options of the command line, and below them the settings of the file that they name.
    pub(crate) fn merge(settings: &Settings) -> Result<Self> {
        let typed = |(key, text): (&'static str, &str)| {
            let place = if key == TABLE { "TABLE".to_string() } else { format!("--{key}") };
            (key, Setting { key, value: text.into(), place })
        };
        let typed = Self(settings.texts().map(typed).collect());
        let Some(path) = &settings.config else { return Ok(typed) };
        let mut file = Self::from_file(path).map_err(|error| located("--config", error))?;
        // Settings in parentheses are part of the choice; those that are keys go with the name.
        let name = |text: String| text.split('(').next().unwrap_or("").trim().to_ascii_lowercase();
        let optimizer = |settings: &Self| settings.text("optimizer").map(name);
        if optimizer(&typed).is_some_and(|ours| Some(ours) != optimizer(&file)) {
            file.0.retain(|key, _| !OF_OPTIMIZER.contains(key));
        }
        if typed.has("layers") {
            file.0.retain(|key, _| !OF_PLAIN.contains(key));
        } else if OF_PLAIN.iter().any(|key| typed.has(key)) {
            file.0.remove("layers");
        }
        if typed.text("stop-patience").is_some_and(|text| is_none(&text)) {
            let keeps_best = typed.text("keep").or(file.text("keep")).as_deref() == Some("best");
            file.0.retain(|key, _| *key != "stop-delta" && (keeps_best || *key != "stop-metric"));
        }
        file.0.extend(typed.0);
        Ok(file)
    }

    fn from_file(path: &Path) -> Result<Self> {
        let refuse = |source| Error::file("read", path, source);
        let shown = path.display();
        let mut text = String::new();
        // A device may never end.
        let file = File::open(path).map_err(refuse)?.take(MOST_BYTES + 1);
        io::BufReader::new(file).read_to_string(&mut text).map_err(refuse)?;
        if text.len() as u64 > MOST_BYTES {
            let problem = format!(
                "more than {MOST_BYTES} bytes, which no settings need; is it the right file?"
            );
            return Err(Error::setting(shown.to_string(), problem));
        }
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            Error::setting(format!("{shown}:{line}"), format!("not TOML: {}", error.message()))
        })?;
        table.remove(RECORD);
        let mut given = Self::default();
        for key in OPTIONS.iter().map(|row| row.key) {
            if let Some(value) = table.remove(key) {
                given.0.insert(key, Setting { key, value, place: format!("{shown}: {key}") });
            }
        }
        let unknown: Vec<_> = table.keys().collect();
        let [first, rest @ ..] = unknown.as_slice() else { return Ok(given) };
        let what = if rest.is_empty() { "is not a setting" } else { "are no settings" };
        let problem = format!("{} {what}; {}", list(&unknown), advice(first));
        Err(Error::setting(shown.to_string(), problem))
    }

    /// Returns a setting, if it was given.
    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// Returns true if a setting was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Returns a setting as it would be typed.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|setting| setting.text().ok())
    }

    /// Returns the place where a setting was given; where it could be, if it was not.
    pub(super) fn place(&self, key: &str) -> String {
        self.get(key).map_or_else(|| format!("--{key}"), |setting| setting.place.clone())
    }

    /// Returns true if a setting was given on the command line.
    pub(super) fn is_typed(&self, key: &str) -> bool {
        self.get(key).is_some_and(|setting| setting.place == format!("--{key}"))
    }

    /// Names the setting that led to a file which cannot be used.
    pub(super) fn locate_file(&self, key: &str, error: Error) -> Error {
        located(&self.place(key), error)
    }

    /// Puts the place where a setting was given into an error that names an option or a field of the library.
    pub(super) fn locate(&self, error: Error) -> Error {
        match error {
            Error::Setting { name, problem } => {
                let key = name.strip_prefix("--").unwrap_or(&name).replace('_', "-");
                let is_option = OPTIONS.iter().any(|row| row.key == key && key != TABLE);
                let place = if is_option { self.place(&key) } else { name };
                Error::Setting { name: place, problem }
            }
            other => other,
        }
    }
}

/// Puts a place before an error that names a file only.
fn located(place: &str, error: Error) -> Error {
    match error {
        Error::File { .. } => Error::table(place, error.to_string()),
        other => other,
    }
}

/// Returns a value as it would be typed; `None` for tables and dates.
pub(super) fn text_of(value: &toml::Value) -> Option<String> {
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

/// Suggests a near name, or lists all.
fn advice(key: &str) -> String {
    let keys: Vec<&str> = OPTIONS.iter().map(|row| row.key).collect();
    let wanted = key.to_ascii_lowercase().replace('_', "-");
    let mut near: Vec<(usize, &str)> = keys
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&wanted, known), *known))
        .filter(|(steps, known)| *steps <= known.len().max(3) / 3)
        .collect();
    near.sort_unstable();
    match near.first() {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known are {}", keys.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::config::RunConfig;

    fn merged(file: &str, settings: Settings) -> Result<RawSettings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, file).unwrap();
        RawSettings::merge(&settings.with_file(path))
    }

    /// One setting as typed.
    fn typed(key: &'static str, text: &str) -> Settings {
        Settings::default().with(key, text)
    }

    /// Settings as they would be typed; an empty text for those that were not given.
    fn texts<const N: usize>(given: &RawSettings, keys: [&str; N]) -> [String; N] {
        keys.map(|key| given.text(key).unwrap_or_default())
    }

    fn refused(file: &str) -> String {
        let settings = typed("table", "a.csv").with("target", "y");
        let error = merged(file, settings).and_then(RunConfig::resolve).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        error.to_string()
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file =
            "lr = 0.1\nepochs = 3\nhidden = [8, 4]\nnesterov = true\n[record]\nanything = 1\n";
        let given = merged(file, typed("lr", "0.5")).unwrap();
        let keys = ["lr", "epochs", "hidden", "nesterov", "eps"];
        assert_eq!(texts(&given, keys), ["0.5", "3", "8,4", "true", ""]);
        assert!(given.place("epochs").ends_with("run.toml: epochs"));
        assert_eq!((given.place("lr"), given.place("eps")), ("--lr".into(), "--eps".into()));
    }

    #[test]
    fn another_optimizer_drops_the_files_settings_of_the_old_one() {
        let file = "optimizer = \"adamw\"\nbeta1 = 0.8\nlr = 0.1\n";
        let with =
            |name: &str| texts(&merged(file, typed("optimizer", name)).unwrap(), ["beta1", "lr"]);
        assert_eq!(with("sgd"), ["", "0.1"]);
        assert_eq!(with("AdamW"), ["0.8", "0.1"]);
        assert_eq!(with("adamw(amsgrad=true)"), ["0.8", "0.1"]);
    }

    #[test]
    fn all_layers_and_those_of_a_plain_network_drop_each_other() {
        let file = "hidden = [8]\nnorm = \"batch\"\nlr = 0.1\n";
        let given = merged(file, typed("layers", "dense")).unwrap();
        assert_eq!(texts(&given, ["hidden", "norm", "layers", "lr"]), ["", "", "dense", "0.1"]);
        let given =
            merged("lr = 0.1\n[[layers]]\ntype = \"dense\"\n", typed("norm", "rms")).unwrap();
        assert_eq!(given.text("norm").as_deref(), Some("rms"));
        assert!(given.has("lr") && !given.has("layers"));
        assert!(refused("layers = [1]").contains("run.toml: layers: a layer must be"));
    }

    #[test]
    fn no_early_stopping_drops_what_the_file_says_of_it() {
        let file = "stop-patience = 3\nstop-metric = \"accuracy\"\nstop-delta = 0.1\n";
        let without = |file: &str| {
            let given = merged(file, typed("stop-patience", "none")).unwrap();
            texts(&given, ["stop-metric", "stop-delta"])
        };
        assert_eq!(without(file), ["", ""]);
        assert_eq!(without(&format!("{file}keep = \"best\"\n")), ["accuracy", ""]);
    }

    #[test]
    fn unknown_keys_are_refused_with_near_names() {
        assert!(
            refused("epoch = 3")
                .ends_with("run.toml: `epoch` is not a setting; did you mean `epochs`?")
        );
        assert!(refused("batch_size = 3").contains("did you mean `batch-size`?"));
        assert!(
            refused("qqqqqq = 3\nzzz = 1")
                .contains("`qqqqqq`, `zzz` are no settings; known are table, target")
        );
        assert!(refused("force = true").contains("known are"));
        assert!(refused("lr = 0.1\nepochs = \n").contains("run.toml:2: not TOML"));
        assert!(refused("lr = 1979-05-27").contains("run.toml: lr: it must be"));
        assert!(refused("hidden = [[1]]").contains("run.toml: hidden: it must be"));
    }

    #[test]
    fn errors_of_the_library_get_the_place_where_a_setting_was_given() {
        let given = merged("stop-patience = 3\n", typed("lr", "1")).unwrap();
        let place = |name: &str| match given.locate(Error::setting(name, "wrong")) {
            Error::Setting { name, .. } => name,
            other => other.to_string(),
        };
        // Names of options, and names of the library's fields.
        assert!(place("--stop-patience").ends_with("run.toml: stop-patience"));
        assert!(place("stop_patience").ends_with("run.toml: stop-patience"));
        assert_eq!(
            (place("lr"), place("--lr"), place("seed")),
            ("--lr".into(), "--lr".into(), "--seed".into())
        );
        assert_eq!((place("TABLE"), place("a field")), ("TABLE".into(), "a field".into()));
    }
}
