//! Recipes: settings that go together, as data.
//!
//! In: a name. Out: a text of settings with the keys of files for `--config`.
//! Absent on purpose: reading the settings, which the program does.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::vocabulary::{Entry, entry};

/// Settings that go together, under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The name in options and files.
    pub name: &'static str,
    /// Description in a few words.
    pub about: &'static str,
    /// Its settings, in TOML: `[all]`, and those for targets of a kind in `[classes]`, `[numbers]` and `[labels]`; of `auto` the
    /// recipe to take, by the number of training rows.
    pub settings: &'static str,
    /// Settings to try around it, in TOML with the same sections, each with ranges as files of `wgrad sweep` have them.
    pub space: &'static str,
}

impl Recipe {
    /// Every recipe, in the order of [`Self::VOCABULARY`].
    pub const ALL: [Self; 4] = [
        Self {
            name: "auto",
            about: "plain or realmlp, by the number of training rows",
            settings: include_str!("recipes/auto.toml"),
            space: "",
        },
        Self {
            name: "plain",
            about: "the defaults",
            settings: include_str!("recipes/plain.toml"),
            space: include_str!("spaces/plain.toml"),
        },
        Self {
            name: "realmlp",
            about: "RealMLP-TD of arXiv:2407.04491",
            settings: include_str!("recipes/realmlp.toml"),
            space: include_str!("spaces/realmlp.toml"),
        },
        Self {
            name: "tabm",
            about: "TabM of arXiv:2410.24210",
            settings: include_str!("recipes/tabm.toml"),
            space: include_str!("spaces/tabm.toml"),
        },
    ];

    /// Entries of all recipes.
    pub const VOCABULARY: &'static [Entry] = &[
        entry(
            "auto",
            "plain up to 1,500 training rows and above 100,000, else realmlp with 64 epochs, or 24 above 10,000 rows, and cross-entropy \
             without smoothing",
            "",
            "wgrad; measured in docs/recipe.md",
        ),
        entry(
            "plain",
            "the defaults: two hidden layers of 128 and 64, relu, adamw at 0.001, 30 epochs",
            "",
            "wgrad",
        ),
        entry(
            "realmlp",
            "robust scaling, pbld, scale, three layers of 256 with parametric activations and dropout, unit-variance, 256 epochs of \
             cos-log-4; other constants for classes than for numbers",
            "",
            "RealMLP-TD; Holzmueller et al. 2024, arXiv:2407.04491; pytabkit 1.8.0",
        ),
        entry(
            "tabm",
            "ranks of numbers as if normal, batch_ensemble of 32 members with three layers of 512, relu and dropout, adamw at 0.002, \
             batches by the number of rows, patience of 16 epochs",
            "",
            "TabM; Gorishniy et al. 2025, arXiv:2410.24210; tabm 0.0.3; batches of TabArena",
        ),
    ];
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|recipe| recipe.name == wanted).ok_or_else(|| {
            let known = Self::ALL.map(|recipe| recipe.name).join(", ");
            Error::setting("recipe", format!("unknown name \"{name}\"; known: {known}"))
        })
    }
}
