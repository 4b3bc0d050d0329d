//! A table that one process has read, for others on the same machine: they open its file, and hold little of it in memory.
//!
//! In: training and validation rows, ready for a network. Out: a temporary file, and in another process the same rows from it.
//! Absent on purpose: which processes share a table, and how they hear of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::csv::LoadedTable;
use super::split::{Split, SplitColumns};
use super::table::Dataset;
use super::table_file::{Header, read_table_within, write_table_to};
use crate::error::{Error, Result};
use crate::files::{FilePart, TempFile};

/// Use of the temporary file, for messages.
const PURPOSE: &str = "the table as numbers, for the other ranks of this machine";
/// Bytes of features from which on a process leaves them in the file: rows in memory are found faster, and so few take little of it.
/// Tests have small tables, and should leave some of them in the file.
const LARGE: u64 = if cfg!(test) { 1 << 10 } else { 4 << 20 };

/// A table in a file that other processes may open, for as long as this value is there.
#[derive(Debug)]
pub(crate) struct SharedTable {
    file: TempFile,
    place: SharedPlace,
}

/// The place of a shared table, as other processes are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SharedPlace {
    path: PathBuf,
    /// Text in the file that no other file has.
    key: String,
    /// Bytes of the training rows, and behind them of the validation rows, if there are any.
    train: u64,
    valid: Option<u64>,
    /// Bytes that features may take in memory, if those of the first process are in a file, since they are more.
    memory: Option<u64>,
}

impl SharedTable {
    /// Writes training and validation rows into a temporary file.
    ///
    /// # Errors
    /// If the file cannot be written, as on a full disk.
    pub(crate) fn new(data: &Split) -> Result<Self> {
        let mut file = TempFile::create_for_others(PURPOSE)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let key = format!("shared by process {} at {} ns", std::process::id(), now.as_nanos());
        let train = append(&mut file, &data.train, &key)?;
        let valid = data.valid.as_ref().map(|valid| append(&mut file, valid, &key)).transpose()?;
        let memory = data.train.memory.filter(|_| data.train.is_stored());
        let place = SharedPlace { path: file.path_for_others(), key, train, valid, memory };
        Ok(Self { file, place })
    }

    pub(crate) fn place(&self) -> &SharedPlace {
        &self.place
    }

    /// Removes the file's name, if it has one: after that only processes that have opened the file can use it.
    pub(crate) fn forget_name(&mut self) {
        self.file.forget_name();
    }
}

/// Appends rows to a file. Returns the number of their bytes.
fn append(file: &mut TempFile, data: &Dataset, key: &str) -> Result<u64> {
    let (columns, notes) = (SplitColumns::default(), Vec::new());
    let table = LoadedTable { data: data.clone(), columns, notes };
    let header = Header::new(&table, key, data.source().to_owned());
    let (_, length) = write_table_to(&header, &table, |bytes| file.append(bytes))?;
    Ok(length)
}

impl SharedPlace {
    /// Opens the rows. Features of a large table stay in the file. Rows do not know their places in the table, which only reports ask for.
    ///
    /// # Errors
    /// If the file is not there, or is another one.
    pub(crate) fn open(&self) -> Result<Split> {
        let path = Path::new(&self.path);
        let failed = |source| Error::file("read", path, source);
        let file = File::open(path).map_err(failed)?;
        // Blocks of rows have to be of one size on all ranks, which depends on whether the table is in memory.
        let least = if self.memory.is_some() { 0 } else { LARGE };
        let rows = |first: u64, length: u64| -> Result<Dataset> {
            let file = FilePart::new(path.to_path_buf(), file.try_clone().map_err(failed)?, first);
            let table = read_table_within(path, (file, length), &self.key, Some(least))?;
            Ok(Dataset { memory: self.memory, ..table.data })
        };
        let train = rows(0, self.train)?;
        let valid = self.valid.map(|length| rows(self.train, length)).transpose()?;
        Ok(Split { train, valid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{TableOptions, Target};
    use crate::random::Seed;

    /// Rows with texts, gaps, weights and numbers of both precisions.
    fn split(rows: u32, valid: f64) -> Split {
        let folder = tempfile::tempdir().unwrap();
        let row = |i: u32| {
            let gap = if i.is_multiple_of(7) { String::new() } else { format!("{}", i % 13) };
            let kind = ["yes", "no", "perhaps"][i as usize % 3];
            format!("{},{gap},town {},{},{kind}\n", f64::from(i) / 10.0, i % 5, i % 3 + 1)
        };
        let text: String = (0..rows).map(row).collect();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, format!("size,count,town,weight,y\n{text}")).unwrap();
        let options = TableOptions { weight: Some("weight".into()), ..TableOptions::default() };
        let data = Dataset::load(&path, &Target::class("y"), &options).unwrap().data;
        data.split(valid, Seed(1)).unwrap()
    }

    #[test]
    fn rows_from_the_file_are_those_that_were_written() {
        for (rows, valid, stored) in [(400, 0.5, true), (400, 0.0, true), (12, 0.25, false)] {
            let mut data = split(rows, valid);
            let mut shared = SharedTable::new(&data).unwrap();
            // As it arrives in another process.
            let told = serde_json::to_string(shared.place()).unwrap();
            let place: SharedPlace = serde_json::from_str(&told).unwrap();
            let opened = place.open().unwrap();
            shared.forget_name();
            drop(shared);
            assert_eq!(opened.train.is_stored(), stored, "{rows}");
            // Rows in a file need no memory for a second copy of them.
            assert!(opened.train.host_memory().is_none());
            if let Some(valid) = &mut data.valid {
                assert!(valid.places.take().is_some());
            }
            assert_eq!(opened, data, "{rows}");
            assert!(opened.train.weights().is_some() && opened.train.columns() > 4);
        }
    }

    #[test]
    fn another_file_under_the_same_path_is_refused() {
        let data = split(40, 0.25);
        let (one, other) = (SharedTable::new(&data).unwrap(), SharedTable::new(&data).unwrap());
        let place = SharedPlace { path: other.place().path.clone(), ..one.place().clone() };
        assert!(place.open().is_err());
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("nothing", None), ("empty", Some("")), ("other", Some("a,b\n"))] {
            let path = folder.path().join(name);
            bytes.into_iter().for_each(|bytes| std::fs::write(&path, bytes).unwrap());
            assert!(SharedPlace { path, ..one.place().clone() }.open().is_err(), "{name}");
        }
        assert!(one.place().open().is_ok());
    }
}
