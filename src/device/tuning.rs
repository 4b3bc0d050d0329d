//! Choice among the variants of a kernel: the settings that users may give.
//!
//! In: names and numbers. Out: [`Tuning`].
//! Absent on purpose: the variants, and how they are timed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Effort that goes into the choice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Tune {
    /// None: a fixed rule for each kind of adapter.
    Off,
    /// The choices of an earlier run; else, on a hardware GPU, those that can be timed within [`Tuning::budget`].
    ///
    /// Nothing is timed where there is no [`Tuning::folder`] to keep the choice in, for two runs would then choose
    /// twice, and might differ in their bits. Nor on software adapters, where compiling one form takes up to three
    /// seconds, more than most runs would gain.
    #[default]
    Quick,
    /// Every variant that the adapter can run, for each product of the plan, however long that takes.
    Full,
}

impl Tune {
    /// Returns the name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Tune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tune {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = [Self::Off, Self::Quick, Self::Full];
        known.into_iter().find(|tune| name.eq_ignore_ascii_case(tune.name())).ok_or_else(|| {
            Error::setting("tune", format!("unknown name \"{name}\"; known: off, quick, full"))
        })
    }
}

/// Choice of a GPU among the variants of its products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Effort that goes into the choice.
    pub tune: Tune,
    /// Time for [`Tune::Quick`]: no variant is tried that is expected to end later.
    pub budget: Duration,
    /// Folder of the choices, a file for each adapter, driver, back end and version of this crate; `None` to keep them for
    /// as long as the device is open.
    pub folder: Option<PathBuf>,
}

impl Tuning {
    /// Returns the fixed rule, with no timing and no file.
    pub fn off() -> Self {
        Self { tune: Tune::Off, ..Self::default() }
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self { tune: Tune::default(), budget: Duration::from_millis(250), folder: None }
    }
}
