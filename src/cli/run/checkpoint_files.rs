//! Names of the checkpoints in a run folder.
//!
//! In: a folder. Out: the paths of its checkpoints: `checkpoint.safetensors`, the newest; `checkpoint.1.safetensors` …, older ones;
//! and `checkpoint.best.safetensors`, the best epoch's.
//! Absent on purpose: their content, but for the epoch of the best one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::export::read_checkpoint;

/// The newest checkpoint's file name in a run folder.
pub(super) const NEWEST: &str = "checkpoint.safetensors";

/// The file name of the best epoch's checkpoint.
const BEST: &str = "checkpoint.best.safetensors";

/// Name of a checkpoint that is whole, but not in its place yet.
pub(super) const FRESH: &str = ".checkpoint.new";

/// Returns the file of the checkpoint that is `age` places older than the newest.
pub(super) fn checkpoint_file(folder: &Path, age: u32) -> PathBuf {
    match age {
        0 => folder.join(NEWEST),
        _ => folder.join(format!("checkpoint.{age}.safetensors")),
    }
}

/// Returns the file of the best epoch's checkpoint.
pub(super) fn best_file(folder: &Path) -> PathBuf {
    folder.join(BEST)
}

/// Returns all checkpoint files in a folder, including the best epoch's.
pub(super) fn all_checkpoint_files(folder: &Path) -> Vec<PathBuf> {
    let best = Some(best_file(folder)).filter(|path| path.exists());
    checkpoint_files(folder).into_iter().chain(best).collect()
}

/// Returns the files of the last checkpoints in a folder, the newest first.
pub(super) fn checkpoint_files(folder: &Path) -> Vec<PathBuf> {
    let age = |path: &Path| -> Option<u32> {
        let name = path.file_name()?.to_str()?;
        if name == NEWEST {
            return Some(0);
        }
        name.strip_prefix("checkpoint.")?.strip_suffix(".safetensors")?.parse().ok()
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((age(&entry.path())?, entry.path()))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Removes the best epoch's checkpoint if the run continues from a position at which another epoch was the best, or none.
pub(super) fn delete_best_checkpoint(run: &Path, kept: Option<u32>) -> Result<()> {
    let path = best_file(run);
    // A file that cannot be read would be of no use, so it goes too.
    let goes = path.exists() && read_checkpoint(&path).map_or(true, |it| Some(it.epoch()) != kept);
    if !goes {
        return Ok(());
    }
    fs::remove_file(&path).map_err(|source| Error::file("replace", path, source))
}
