//! Options on the command line: the arguments of each command, and their values as typed.
//!
//! In: the table of options, what clap has read. Out: [`Settings`].
//! Absent on purpose: what the values mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, FromArgMatches, value_parser};

use super::option::{Heading, OptionRow, Takes};
use super::options::OPTIONS;
use super::paths::parser;
use super::raw_settings::TABLE;

/// The option that names a file of settings; a file cannot name another one.
const CONFIG: &str = "config";

/// Makes the argument of a command; `None` where the command does not take the option.
fn arg(row: &OptionRow, command: &str) -> Option<Arg> {
    let [brief, help] = match command {
        "resume" => row.resume?,
        // Rates are tried with the settings that decide a plan, but for the rate itself.
        "find-lr" if row.key == "lr" => return None,
        "find-lr" => row.commands.contains(&"plan").then_some([row.brief, row.help])?,
        _ => row.commands.contains(&command).then_some([row.brief, row.help])?,
    };
    let arg = Arg::new(row.key)
        .value_name(row.value)
        .help(brief)
        .long_help(help)
        .hide_short_help(brief.is_empty());
    let arg = match row.takes {
        Takes::Text => arg,
        Takes::AnyText => arg.allow_hyphen_values(true),
        Takes::Path => arg.value_parser(parser()),
        Takes::Switch => arg.num_args(0..=1).default_missing_value("true"),
        Takes::OptionalPath => arg
            .value_parser(parser())
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
    };
    Some(match (command, row.key) {
        ("resume", TABLE) => arg.long(TABLE).value_name("FILE"),
        ("resume", key) => arg.long(key),
        (_, TABLE) => arg,
        (_, key) => arg.long(key).help_heading(row.heading.text()),
    })
}

/// Adds the options that a command takes, in the order of help texts: by heading, and those of `-h` first.
fn add_options(name: &'static str, command: Command) -> Command {
    let mut rows: Vec<&OptionRow> = OPTIONS.iter().collect();
    if name == "resume" {
        rows.sort_by_key(|row| row.key == TABLE);
    } else {
        rows.sort_by_key(|row| (row.heading, row.brief.is_empty()));
    }
    let command = command.args(rows.into_iter().filter_map(|row| arg(row, name)));
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
    /// Settings that are below those of the file, and the name of their place.
    pub(super) base: Option<(toml::Table, String)>,
}

impl Settings {
    /// Values with their keys.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.texts.iter().map(|(&key, text)| (key, text.as_str()))
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

    /// Takes more settings from a table of a file that was read already.
    pub(crate) fn with_table(self, table: toml::Table, shown: String) -> Self {
        Self { config: None, base: Some((table, shown)), ..self }
    }

    /// Returns the file with more settings.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn of(matches: &ArgMatches) -> Self {
        let text = |row: &OptionRow| {
            // An option that the command does not take is an error to clap, and none here.
            Some((row.key, matches.try_get_one::<String>(row.key).ok()??.clone()))
        };
        let config = matches.try_get_one::<PathBuf>(CONFIG).ok().flatten().cloned();
        Self { texts: OPTIONS.iter().filter_map(text).collect(), config, base: None }
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
                add_options($command, command)
            }

            fn augment_args_for_update(command: Command) -> Command {
                add_options($command, command)
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
settings_of!(FindLrSettings, "find-lr");
settings_of!(SweepSettings, "train");
settings_of!(ResumeSettings, "resume");
