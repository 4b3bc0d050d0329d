//! The form of an option's declaration: names, help, how its value is read and how `config.toml` shows it.
//!
//! In: a row of [`super::options::OPTIONS`]. Out: the command line's argument, and its value as typed.
//! Absent on purpose: which options there are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, FromArgMatches, value_parser};
use serde::{Serialize, Serializer};

use super::config::RunConfig;
use super::options::OPTIONS;
use super::paths::parser;
use super::raw_settings::Setting;
use crate::error::Result;

/// An option. This is all that the program knows of it: the command line, files of settings and `config.toml` follow from it.
pub(crate) struct OptionRow {
    /// Key in files. On the command line two dashes stand before it.
    pub(crate) key: &'static str,
    /// Name of the value in help texts.
    pub(super) value: &'static str,
    pub(super) heading: Heading,
    /// Line for `-h`; empty for an option that only `--help` shows.
    pub(super) brief: &'static str,
    /// Text for `--help`.
    pub(super) help: &'static str,
    pub(super) takes: Takes,
    pub(super) commands: &'static [&'static str],
    /// Help of `wgrad resume`, for an option that it takes too: a line for `-h`, and a text for `--help`.
    pub(super) resume: Option<[&'static str; 2]>,
    /// Reads the value. Options are read in the table's order.
    pub(super) read: fn(&mut RunConfig, &Setting) -> Result<()>,
    /// Returns the value for `config.toml`; `None` to leave it out.
    pub(super) show: fn(&RunConfig) -> Option<Shown>,
}

/// Part of the help text that an option stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heading {
    Data,
    Network,
    Training,
    Device,
    Output,
}

impl Heading {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Data => "Data",
            Self::Network => "Network",
            Self::Training => "Training",
            Self::Device => "Device",
            Self::Output => "Output",
        }
    }
}

/// Form of a value on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Text,
    /// A text that may begin with a hyphen.
    AnyText,
    /// A path, or a text that may be one.
    Path,
    /// True or false; the option alone says true.
    Switch,
}

/// A value as `config.toml` has it.
#[derive(Debug)]
pub(super) enum Shown {
    Value(toml::Value),
    /// Tables, whose keys stand in their own order.
    Tables(Vec<Vec<(&'static str, toml::Value)>>),
}

/// A table whose keys stand in their own order.
struct Ordered<'a>(&'a [(&'static str, toml::Value)]);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(to),
            Self::Tables(tables) => to.collect_seq(tables.iter().map(|table| Ordered(table))),
        }
    }
}

impl OptionRow {
    /// What most options are.
    pub(super) const USUAL: Self = Self {
        key: "",
        value: "NAME",
        heading: Heading::Training,
        brief: "",
        help: "",
        takes: Takes::Text,
        commands: &["train", "plan"],
        resume: None,
        read: |_, _| Ok(()),
        show: |_| None,
    };

    /// The argument of a command; `None` where the command does not take the option.
    fn arg(&self, command: &str) -> Option<Arg> {
        let [brief, help] = match command {
            "resume" => self.resume?,
            _ => self.commands.contains(&command).then_some([self.brief, self.help])?,
        };
        let arg = Arg::new(self.key)
            .value_name(self.value)
            .help(brief)
            .long_help(help)
            .hide_short_help(brief.is_empty());
        let arg = match self.takes {
            Takes::Text => arg,
            Takes::AnyText => arg.allow_hyphen_values(true),
            Takes::Path => arg.value_parser(parser()),
            Takes::Switch => arg.num_args(0..=1).default_missing_value("true"),
        };
        Some(match (command, self.key) {
            ("resume", TABLE) => arg.long(TABLE).value_name("FILE"),
            ("resume", key) => arg.long(key),
            (_, TABLE) => arg,
            (_, key) => arg.long(key).help_heading(self.heading.text()),
        })
    }
}

/// The key of the table to train on, which `train` and `plan` take without dashes.
pub(super) const TABLE: &str = "table";
/// The option that names a file of settings; a file cannot name another one.
const CONFIG: &str = "config";

/// Adds the options that a command takes, in the order of help texts: by heading, and those of `-h` first.
fn with_options(name: &'static str, command: Command) -> Command {
    let mut rows: Vec<&OptionRow> = OPTIONS.iter().collect();
    if name == "resume" {
        rows.sort_by_key(|row| row.key == TABLE);
    } else {
        rows.sort_by_key(|row| (row.heading, row.brief.is_empty()));
    }
    let command = command.args(rows.into_iter().filter_map(|row| row.arg(name)));
    if name == "resume" {
        return command;
    }
    command.arg(
        Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE.toml")
            .value_parser(value_parser!(PathBuf))
            .help_heading(Heading::Output.text())
            .help("Take settings from a file of an earlier run")
            .long_help(
                "TOML file with any of these settings, such as a run folder's config.toml; options given here win",
            ),
    )
}

/// Options as typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    texts: BTreeMap<&'static str, String>,
    /// A file with more settings.
    pub(super) config: Option<PathBuf>,
}

impl Settings {
    /// Values with their keys, in the table's order.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let text = |row: &OptionRow| Some((row.key, self.text(row.key)?));
        OPTIONS.iter().filter_map(text)
    }

    /// Returns an option's value.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    /// Adds an option.
    pub(crate) fn with(mut self, key: &'static str, text: impl Into<String>) -> Self {
        debug_assert!(OPTIONS.iter().any(|row| row.key == key), "{key} is no option");
        self.texts.insert(key, text.into());
        self
    }

    /// Leaves options out.
    pub(crate) fn without(mut self, keys: &[&str]) -> Self {
        self.texts.retain(|key, _| !keys.contains(key));
        self
    }

    /// Takes more settings from a file.
    pub(crate) fn with_file(self, path: PathBuf) -> Self {
        Self { config: Some(path), ..self }
    }
}

impl Settings {
    fn of(matches: &ArgMatches) -> Self {
        let text = |row: &OptionRow| {
            // An option that the command does not take is an error to clap, and none here.
            Some((row.key, matches.try_get_one::<String>(row.key).ok()??.clone()))
        };
        let config = matches.try_get_one::<PathBuf>(CONFIG).ok().flatten().cloned();
        Self { texts: OPTIONS.iter().filter_map(text).collect(), config }
    }
}

/// Makes the type of a command's options.
macro_rules! settings_of {
    ($name:ident, $command:literal) => {
        #[doc = concat!("Options of `wgrad ", $command, "` as typed.")]
        #[derive(Clone, Debug, Default)]
        pub struct $name(pub(crate) Settings);

        impl clap::Args for $name {
            fn augment_args(command: Command) -> Command {
                with_options($command, command)
            }

            fn augment_args_for_update(command: Command) -> Command {
                with_options($command, command)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self(Settings::of(matches)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0 = Settings::of(matches);
                Ok(())
            }
        }
    };
}

settings_of!(TrainSettings, "train");
settings_of!(PlanSettings, "plan");
settings_of!(ResumeSettings, "resume");
