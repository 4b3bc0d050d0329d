//! Where settings come from: the command line, and below it a file.
//!
//! In: options as typed, a TOML file. Out: [`RawSettings`], in which the command line wins.
//! Absent on purpose: which values are allowed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::arguments::Settings;
use super::network::OF_PLAIN;
use super::options::OPTIONS;
use super::raw_settings::{RawSettings, SettingSource, located};
use super::values::is_none;
use crate::data::list;
use crate::error::{Error, Result};
use crate::vocabulary::Call;

/// Largest file of settings, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// The table of a config.toml that is a record, not a setting.
pub(super) const RECORD: &str = "record";

/// Settings of optimizers. Those of a file fall with the file's optimizer, where another one is chosen.
pub(crate) const OF_OPTIMIZER: [&str; 6] =
    ["weight-decay", "momentum", "nesterov", "beta1", "beta2", "eps"];

/// Takes the options of the command line, and below them the settings of the file that they name.
pub(crate) fn merge(settings: &Settings) -> Result<RawSettings> {
    let mut typed = RawSettings::default();
    for (key, text) in settings.texts() {
        typed.insert(key, text, SettingSource::CommandLine);
    }
    let (table, shown) = match (&settings.config, &settings.base) {
        (Some(path), _) => (
            read_table(path).map_err(|error| located("--config", error))?,
            path.display().to_string(),
        ),
        (None, Some((table, shown))) => (table.clone(), shown.clone()),
        (None, None) => return Ok(typed),
    };
    Ok(over(from_table(table, &shown)?, typed))
}

/// Puts settings over those of a file, which lose what others exclude.
pub(super) fn over(mut file: RawSettings, typed: RawSettings) -> RawSettings {
    // Settings in parentheses are part of the choice; those that are keys go with the name.
    let name = |text: String| text.split('(').next().unwrap_or("").trim().to_ascii_lowercase();
    let optimizer = |settings: &RawSettings| settings.text("optimizer").map(name);
    if optimizer(&typed).is_some_and(|ours| Some(ours) != optimizer(&file)) {
        file.remove(&OF_OPTIMIZER);
    }
    let inside = typed.text("optimizer").map_or_else(Vec::new, |text| in_parentheses(&text));
    file.remove(&inside.iter().map(String::as_str).collect::<Vec<_>>());
    if typed.has("layers") {
        file.remove(&OF_PLAIN);
    } else if typed.has("hidden") {
        // Another network; what else is of plain networks would throw the file's layers away without a word, and is refused beside them.
        file.remove(&["layers"]);
    }
    if typed.text("stop-patience").is_some_and(|text| is_none(&text)) {
        let keeps_best = typed.text("keep").or(file.text("keep")).as_deref() == Some("best");
        file.remove(if keeps_best { &["stop-delta"] } else { &["stop-delta", "stop-metric"] });
    }
    file.extend(typed);
    file
}

/// Returns the names of the settings that the text of an optimizer has in parentheses.
pub(super) fn in_parentheses(optimizer: &str) -> Vec<String> {
    let settings = Call::parse("optimizer", optimizer).and_then(|mut call| call.settings());
    // A text that cannot be read is told of where its value is needed.
    settings.unwrap_or_default().into_iter().map(|(name, _)| name).collect()
}

/// Reads a file of settings.
pub(crate) fn read_table(path: &Path) -> Result<toml::Table> {
    let refuse = |source| Error::file("read", path, source);
    let shown = path.display();
    let mut text = String::new();
    // A device may never end.
    let file = File::open(path).map_err(refuse)?.take(MOST_BYTES + 1);
    io::BufReader::new(file).read_to_string(&mut text).map_err(refuse)?;
    if text.len() as u64 > MOST_BYTES {
        let problem =
            format!("more than {MOST_BYTES} bytes, which no settings need; is it the right file?");
        return Err(Error::setting(shown.to_string(), problem));
    }
    text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        Error::setting(format!("{shown}:{line}"), format!("not TOML: {}", error.message()))
    })
}

/// Takes the settings of a table that is shown so in messages.
pub(super) fn from_table(mut table: toml::Table, shown: &str) -> Result<RawSettings> {
    table.remove(RECORD);
    let mut given = RawSettings::default();
    for key in OPTIONS.iter().map(|row| row.key) {
        if let Some(value) = table.remove(key) {
            given.insert(key, value, SettingSource::File(shown.to_string()));
        }
    }
    let unknown: Vec<_> = table.keys().collect();
    let [first, rest @ ..] = unknown.as_slice() else { return Ok(given) };
    let what = if rest.is_empty() { "is not a setting" } else { "are no settings" };
    let problem = format!("{} {what}; {}", list(&unknown), advice(first));
    Err(Error::setting(shown, problem))
}

/// Returns the key of an option.
///
/// # Errors
/// A text with near names, if there is no such option.
pub(crate) fn option_key(key: &str) -> Result<&'static str, String> {
    let known = OPTIONS.iter().map(|row| row.key).find(|known| *known == key);
    known.ok_or_else(|| format!("not a setting; {}", advice(key)))
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
    use crate::cli::settings::resolve::resolve;

    fn merged(file: &str, settings: Settings) -> Result<RawSettings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, file).unwrap();
        merge(&settings.with_file(path))
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
        let error = merged(file, settings).and_then(resolve).unwrap_err();
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
        let file = "lr = 0.1\n[[layers]]\ntype = \"dense\"\n";
        let given = merged(file, typed("hidden", "8").with("norm", "rms")).unwrap();
        assert_eq!(given.text("norm").as_deref(), Some("rms"));
        assert!(given.has("lr") && !given.has("layers"));
        for (key, value) in [("norm", "rms"), ("dropout", "0.1"), ("activation", "silu")] {
            let settings = typed("table", "a.csv").with("target", "y").with(key, value);
            let said = merged(file, settings).and_then(resolve).unwrap_err().to_string();
            assert!(said.starts_with(&format!("--{key}: ")), "{said}");
            assert!(said.contains("run.toml: layers says what all layers are"), "{said}");
        }
        assert!(
            refused("layers = [1]").contains("run.toml: layers: layer 0 (1): it must be a table")
        );
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
        // Names of options, and names of the library’s fields; what was not given keeps its name.
        assert!(place("--stop-patience").ends_with("run.toml: stop-patience"));
        assert!(place("stop_patience").ends_with("run.toml: stop-patience"));
        assert_eq!(
            (place("lr"), place("--lr"), place("seed")),
            ("--lr".into(), "--lr".into(), "seed".into())
        );
        assert_eq!((place("TABLE"), place("a field")), ("TABLE".into(), "a field".into()));
    }
}
