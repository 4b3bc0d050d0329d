//! A shard of a sweep: the trials of one machine of several, which need not talk to one another.
//!
//! In: a text such as 3/8, tables. Out: numbers of trials, checksums of tables, and `shard.json` at the end of a shard.
//! Absent on purpose: training; the merge.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::members::write_json;
use super::sweep::Search;
use crate::cli::settings::{RunConfig, ValidSource};
use crate::device::DeviceInfo;
use crate::error::{Error, Result};

/// Record of a shard that has ended, for the merge.
pub(super) const SHARD_END: &str = "shard.json";

/// One of several parts of a sweep. Shard 3 of 8 has every eighth trial, from the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shard {
    /// From 1.
    pub(super) number: usize,
    /// Number of shards.
    pub(super) of: usize,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, self.of)
    }
}

impl Shard {
    /// Reads a text such as 3/8.
    ///
    /// # Errors
    /// If it is no such text, or there is no such shard.
    pub(super) fn read(text: &str) -> Result<Self> {
        let refuse = |problem: String| Err(Error::setting("--shard", problem));
        let numbers = text.split_once('/').and_then(|(number, of)| {
            Some((number.trim().parse::<usize>().ok()?, of.trim().parse::<usize>().ok()?))
        });
        match numbers {
            None => refuse(format!(
                "\"{text}\" is no shard; give its number and how many there are, such as 3/8"
            )),
            Some((_, 0)) => refuse(format!("{text}: there must be at least one shard")),
            Some((number, of)) if number == 0 || number > of => {
                refuse(format!("{text}: shards are numbered from 1 to {of}"))
            }
            Some((number, of)) => Ok(Self { number, of }),
        }
    }

    /// Checks that a sweep can be divided in this way.
    ///
    /// # Errors
    /// If its trials are compared while they are trained, or a shard would have none.
    pub(super) fn check(self, search: Search, trials: u32) -> Result<()> {
        if search == Search::Halving {
            let problem = "halving compares all trials with one another after each round, which shards cannot; \
                           give --search random or grid, or leave --shard out";
            return Err(Error::setting("--shard", problem));
        }
        if self.of > trials as usize {
            let problem = format!(
                "{} shards, but the sweep has only {}, so that some would have none; give at most {trials} shards",
                self.of,
                crate::report::pluralize(trials.into(), "trial")
            );
            return Err(Error::setting("--shard", problem));
        }
        Ok(())
    }

    /// Returns true if a trial is in this shard.
    pub(super) fn has(self, trial: usize) -> bool {
        trial % self.of == self.number - 1
    }
}

/// Checksums of the tables that a sweep reads, by which shards are known to have had the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableChecksums {
    pub(super) table: String,
    /// Of the table of validation rows, if it is a file of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) valid: Option<String>,
}

impl TableChecksums {
    /// Reads the tables of a run.
    pub(super) fn of(config: &RunConfig) -> Result<Self> {
        let valid = match &config.valid {
            ValidSource::File(path) => Some(file_checksum(path, "--valid")?),
            _ => None,
        };
        Ok(Self { table: file_checksum(&config.table, "TABLE")?, valid })
    }

    /// Returns the name of the option whose file is not the same in another sweep.
    pub(super) fn other_than(&self, other: &Self) -> Option<&'static str> {
        if self.table != other.table {
            return Some("table");
        }
        (self.valid != other.valid).then_some("table of validation rows")
    }
}

fn file_checksum(path: &Path, option: &str) -> Result<String> {
    // A table that can be read only once has no checksum before it is trained on.
    if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        let problem = format!(
            "{} is no file, and shards are compared by the bytes of their tables; give a file",
            path.display()
        );
        return Err(Error::setting(option, problem));
    }
    Ok(format!("{:016x}", crate::cli::tables::file_checksum(path)?))
}

/// Record that a shard leaves at its end beside its trials.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ShardEnd {
    /// Program and version.
    pub(super) created_by: String,
    pub(super) device: String,
    /// The best trial of this shard, if one has a value.
    pub(super) best: Option<usize>,
    /// False if the networks of its folds cannot be one ensemble.
    pub(super) ready: bool,
    /// Warnings that were shown.
    pub(super) warnings: Vec<String>,
}

/// Names a device with all that decides the last digits of its results, which the number of threads does not.
pub(super) fn device_text(device: &DeviceInfo) -> String {
    let backend = device.backend.split(',').next().unwrap_or_default();
    let parts = [backend, device.driver.as_str()].into_iter().filter(|it| !it.is_empty());
    format!("{} ({})", device.name, parts.collect::<Vec<_>>().join(", "))
}

impl ShardEnd {
    /// Writes the file that says that a shard has ended.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        write_json(self, &folder.join(SHARD_END))
    }

    /// Reads the file; `None` for a shard that has not ended.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(SHARD_END);
        if !path.exists() {
            return Ok(None);
        }
        let text =
            fs::read_to_string(&path).map_err(|source| Error::file("read", &path, source))?;
        let damaged = |error| Error::model_file(&path, format!("damaged: {error}"));
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trial_is_in_one_shard() {
        for of in 1..6 {
            for trial in 0..20 {
                let having = (1..=of).filter(|&number| Shard { number, of }.has(trial));
                assert_eq!(having.collect::<Vec<_>>(), [trial % of + 1]);
            }
        }
    }

    #[test]
    fn wrong_shards_are_refused() {
        assert_eq!(Shard::read(" 3/8 ").unwrap(), Shard { number: 3, of: 8 });
        for (text, want) in [
            ("0/8", "0/8: shards are numbered from 1 to 8"),
            ("9/8", "9/8: shards are numbered from 1 to 8"),
            ("1/0", "at least one shard"),
            ("3", "such as 3/8"),
            ("-1/8", "such as 3/8"),
            ("/8", "such as 3/8"),
            ("1/2/3", "such as 3/8"),
        ] {
            let said = Shard::read(text).unwrap_err().to_string();
            assert!(said.contains(want), "{text}: {said}");
        }
    }

    #[test]
    fn checksums_tell_tables_apart() {
        let place = tempfile::tempdir().unwrap();
        let of = |bytes: &[u8]| {
            let path = place.path().join("t.csv");
            fs::write(&path, bytes).unwrap();
            file_checksum(&path, "TABLE").unwrap()
        };
        // More than is read at once.
        let size = 1 << 20;
        let long = vec![7; size + 5];
        let mut other = long.clone();
        other[size + 4] = 8;
        let all = [
            of(b""),
            of(b"a,b\n1,2\n"),
            of(b"a,b\n1,3\n"),
            of(b"a,b\n1,2\n\0"),
            of(&long),
            of(&other),
        ];
        for (place, sum) in all.iter().enumerate() {
            assert!(!all[..place].contains(sum), "{place}");
        }
        assert_eq!(of(&long), all[4]);
        let said = file_checksum(place.path(), "TABLE").unwrap_err().to_string();
        assert!(said.contains("is no file"), "{said}");
    }
}
