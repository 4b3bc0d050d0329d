//! Settings as texts, from the command line and a file, each with the place it comes from.
//!
//! In: arguments, a TOML file. Out: [`Given`], from which `config.rs` takes values.
//! Absent on purpose: which values are allowed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use super::args::Settings;
use super::layers::{OF_PLAIN, layers_text};
use super::wording::{option_of, with_options};
use crate::data::list;
use crate::error::{Error, Result};
use crate::train::ClassWeights;

/// Bytes of a file of settings at most.
const MOST_BYTES: u64 = 1 << 20;

/// The table of a config.toml that is a record, not a setting.
pub(super) const RECORD: &str = "record";

/// A setting's text and where it was given.
#[derive(Clone, Debug, PartialEq)]
struct Text {
    text: String,
    /// `--lr`, or `run.toml: lr`.
    place: String,
}

/// All settings that were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Given(BTreeMap<&'static str, Text>);

/// What belongs to one optimizer: a file's values fall with its choice.
const OF_OPTIMIZER: [&str; 6] = ["weight-decay", "momentum", "nesterov", "beta1", "beta2", "eps"];

impl Given {
    /// Settings of the command line, and below them those of its `--config`.
    pub(super) fn merge(settings: &Settings, out: Option<&str>) -> Result<Self> {
        let mut typed = Self::default();
        let given =
            settings.entries().into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?)));
        for (key, text) in given.chain(out.map(|out| ("out", out))) {
            let place = if key == "table" { "TABLE".to_string() } else { format!("--{key}") };
            typed.0.insert(key, Text { text: text.to_string(), place });
        }
        let Some(path) = &settings.config else { return Ok(typed) };
        let mut file = Self::from_file(path, &settings.entries().map(|(key, _)| key))
            .map_err(|error| located("--config", error))?;
        // Settings in parentheses are part of the choice; those that are keys go with the name.
        let name = |text: &str| text.split('(').next().unwrap_or(text).trim().to_ascii_lowercase();
        let (ours, theirs) = (typed.text("optimizer"), file.text("optimizer"));
        if ours.is_some() && ours.map(name) != theirs.map(name) {
            file.0.retain(|key, _| !OF_OPTIMIZER.contains(key));
        }
        if ours_has(&typed, &["layers"]) {
            file.0.retain(|key, _| !OF_PLAIN.contains(key));
        } else if ours_has(&typed, &OF_PLAIN) {
            file.0.remove("layers");
        }
        if typed.text("stop-patience").is_some_and(|text| text.trim().eq_ignore_ascii_case("none"))
        {
            let keeps_best = typed.text("keep").or(file.text("keep")) == Some("best");
            file.0.retain(|key, _| *key != "stop-delta" && (keeps_best || *key != "stop-metric"));
        }
        file.0.extend(typed.0);
        Ok(file)
    }

    fn from_file(path: &Path, keys: &[&'static str]) -> Result<Self> {
        let refuse = |source| Error::file("read", path, source);
        let shown = path.display();
        let mut text = String::new();
        // A device may never end.
        let file = File::open(path).map_err(refuse)?.take(MOST_BYTES + 1);
        io::BufReader::new(file).read_to_string(&mut text).map_err(refuse)?;
        if text.len() as u64 > MOST_BYTES {
            let problem = format!("more than {MOST_BYTES} bytes, which no settings need");
            return Err(Error::setting(shown.to_string(), problem));
        }
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            Error::setting(format!("{shown}:{line}"), format!("not TOML: {}", error.message()))
        })?;
        let mut given = Self::default();
        let unknown: Vec<_> =
            table.keys().filter(|key| *key != RECORD && !keys.contains(&key.as_str())).collect();
        if let [first, rest @ ..] = unknown.as_slice() {
            let what = if rest.is_empty() { "is not a setting" } else { "are no settings" };
            return Err(Error::setting(
                shown.to_string(),
                format!("{} {what}; {}", list(&unknown), advice(first, keys)),
            ));
        }
        for &key in keys {
            let Some(value) = table.get(key) else { continue };
            let place = format!("{shown}: {key}");
            if let (toml::Value::Table(weights), "class-weights") = (value, key) {
                let pairs: Option<Vec<(&str, String)>> = weights
                    .iter()
                    .map(|(name, weight)| Some((name.as_str(), number_of(weight)?)))
                    .collect();
                let pairs = pairs.filter(|pairs| !pairs.is_empty()).ok_or_else(|| {
                    Error::setting(&place, "a table of classes must have a number for each")
                })?;
                let text = ClassWeights::text_of(pairs.into_iter());
                given.0.insert(key, Text { text, place });
                continue;
            }
            if key == "layers" {
                let text = layers_text(value).map_err(|problem| Error::setting(&place, problem))?;
                given.0.insert(key, Text { text, place });
                continue;
            }
            let text = text_of(value).ok_or_else(|| {
                Error::setting(
                    &place,
                    "it must be a text, a number, true or false, a list of numbers, or of tables for groups",
                )
            })?;
            given.0.insert(key, Text { text, place });
        }
        Ok(given)
    }

    /// A setting as it was given.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|given| given.text.as_str())
    }

    /// Where a setting was given; where it could be, if it was not.
    pub(super) fn place(&self, key: &str) -> String {
        self.0.get(key).map_or_else(|| format!("--{key}"), |given| given.place.clone())
    }

    /// Returns true if a setting was given on the command line.
    pub(super) fn is_typed(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|given| given.place == format!("--{key}"))
    }

    /// A setting by its own way of reading; `None` if it was not given.
    pub(super) fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        self.text(key).map(|text| read(text).map_err(|error| self.locate(error))).transpose()
    }

    /// A number, or any other text whose meaning is plain.
    pub(super) fn plain<T: FromStr>(&self, key: &str, wanted: &str) -> Result<Option<T>> {
        self.text(key)
            .map(|text| {
                text.trim().parse().map_err(|_| {
                    Error::setting(self.place(key), format!("\"{text}\" is not {wanted}"))
                })
            })
            .transpose()
    }

    /// Names the setting that led to a file which cannot be used.
    pub(super) fn locate_file(&self, key: &str, error: Error) -> Error {
        located(&self.place(key), error)
    }

    /// Names the place where a setting was really given, in an error that speaks of an option.
    pub(super) fn locate(&self, error: Error) -> Error {
        match error {
            Error::Setting { name, problem } => {
                let place = option_of(&name).map(|option| self.place(&option[2..]));
                Error::setting(place.unwrap_or(name), with_options(&problem))
            }
            other => other,
        }
    }
}

/// Whether one of these settings was given.
fn ours_has(given: &Given, keys: &[&str]) -> bool {
    keys.iter().any(|key| given.text(key).is_some())
}

/// Puts a place before an error that names a file only.
fn located(place: &str, error: Error) -> Error {
    match error {
        Error::File { .. } => Error::table(place, error.to_string()),
        other => other,
    }
}

/// A number as it would be typed.
fn number_of(value: &toml::Value) -> Option<String> {
    matches!(value, toml::Value::Integer(_) | toml::Value::Float(_)).then(|| text_of(value))?
}

/// A value as it would be typed.
pub(super) fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(values)
            if !values.is_empty() && values.iter().all(toml::Value::is_table) =>
        {
            let groups: Option<Vec<_>> = values.iter().map(group_of).collect();
            groups.map(|groups| groups.join("; "))
        }
        toml::Value::Array(values) => {
            let parts: Option<Vec<String>> =
                values.iter().filter(|value| !value.is_array()).map(text_of).collect();
            parts.filter(|parts| parts.len() == values.len()).map(|parts| parts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// A table of `[[groups]]` as `--groups` has it.
fn group_of(value: &toml::Value) -> Option<String> {
    let table = value.as_table()?;
    let matches = table.get("match").map_or("", |it| it.as_str().unwrap_or_default());
    let settings: Option<Vec<_>> = table
        .iter()
        .filter(|(key, _)| *key != "match")
        .map(|(key, value)| Some(format!("{key}={}", text_of(value)?)))
        .collect();
    Some(format!("{matches}: {}", settings?.join(", ")))
}

/// Near names, or all.
fn advice(key: &str, keys: &[&str]) -> String {
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

    fn merged(file: &str, settings: Settings) -> Result<Given> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, file).unwrap();
        Given::merge(&Settings { config: Some(path), ..settings }, None)
    }

    fn refused(file: &str) -> String {
        let error = merged(file, Settings::default()).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        error.to_string()
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file =
            "lr = 0.1\nepochs = 3\nhidden = [8, 4]\nnesterov = true\n[record]\nanything = 1\n";
        let given =
            merged(file, Settings { lr: Some("0.5".into()), ..Settings::default() }).unwrap();
        assert_eq!((given.text("lr"), given.text("epochs")), (Some("0.5"), Some("3")));
        assert_eq!(
            (given.text("hidden"), given.text("nesterov"), given.text("eps")),
            (Some("8,4"), Some("true"), None)
        );
        assert!(given.place("epochs").ends_with("run.toml: epochs"));
        assert_eq!((given.place("lr"), given.place("eps")), ("--lr".into(), "--eps".into()));
    }

    #[test]
    fn another_optimizer_drops_the_files_settings_of_the_old_one() {
        let file = "optimizer = \"adamw\"\nbeta1 = 0.8\nlr = 0.1\n";
        let with = |name: &str| {
            merged(file, Settings { optimizer: Some(name.into()), ..Settings::default() }).unwrap()
        };
        assert_eq!((with("sgd").text("beta1"), with("sgd").text("lr")), (None, Some("0.1")));
        assert_eq!(with("AdamW").text("beta1"), Some("0.8"));
    }

    #[test]
    fn all_layers_and_those_of_a_plain_network_drop_each_other() {
        let layers = Settings { layers: Some("dense".into()), ..Settings::default() };
        let given = merged("hidden = [8]\nnorm = \"batch\"\nlr = 0.1\n", layers).unwrap();
        let texts = ["hidden", "norm", "layers", "lr"].map(|key| given.text(key));
        assert_eq!(texts, [None, None, Some("dense"), Some("0.1")]);
        let norm = Settings { norm: Some("rms".into()), ..Settings::default() };
        let given = merged("lr = 0.1\n[[layers]]\ntype = \"dense\"\n", norm).unwrap();
        assert_eq!((given.text("norm"), given.text("layers")), (Some("rms"), None));
        assert!(refused("layers = [1]").contains("run.toml: layers: a layer must be"));
    }

    #[test]
    fn tables_of_groups_are_read_as_typed() {
        let file =
            "[[groups]]\nmatch = \"0.*\"\nlr = 0.5\n[[groups]]\nmatch = \"bias\"\nfrozen = true\n";
        let given = merged(file, Settings::default()).unwrap();
        assert_eq!(given.text("groups"), Some("0.*: lr=0.5; bias: frozen=true"));
    }

    #[test]
    fn no_early_stopping_drops_what_the_file_says_of_it() {
        let file = "stop-patience = 3\nstop-metric = \"accuracy\"\nstop-delta = 0.1\n";
        let without = |file: &str| {
            let never = Some("none".to_string());
            merged(file, Settings { stop_patience: never, ..Settings::default() }).unwrap()
        };
        let given = without(file);
        assert_eq!((given.text("stop-metric"), given.text("stop-delta")), (None, None));
        let given = without(&format!("{file}keep = \"best\"\n"));
        assert_eq!((given.text("stop-metric"), given.text("stop-delta")), (Some("accuracy"), None));
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
}
