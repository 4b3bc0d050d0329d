//! Declaration of an option: names, help, how its value is read and how `config.toml` shows it.
//!
//! Absent on purpose: which options there are; the command line.

use serde::{Serialize, Serializer};

use super::config::RunConfig;
use super::raw_settings::RawSetting;
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
    pub(super) read: fn(&mut RunConfig, &RawSetting) -> Result<()>,
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
    /// A path behind an equals sign; the option alone says true.
    OptionalPath,
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
    /// An option of training with a text for its value, for the fields that a row leaves out.
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
}
