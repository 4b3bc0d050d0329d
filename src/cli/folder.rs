//! The run folder: looked at early, made late, and taken away if nothing came of the run.
//!
//! Absent on purpose: what the files hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, write_file};
use crate::report::History;

const CONFIG: &str = "config.toml";
const HISTORY: &str = "history.csv";
const METRICS: &str = "metrics.json";
/// All that a run leaves. Only these are ever replaced or taken away.
const FILES: [&str; 4] = [CONFIG, HISTORY, MODEL_FILE, METRICS];

/// A run's folder.
#[derive(Debug)]
pub(super) struct RunFolder {
    path: PathBuf,
    /// Folders that were made for it, outermost first.
    made: Vec<PathBuf>,
}

impl RunFolder {
    /// Whether a run may go there. Nothing is made or changed.
    pub(super) fn check(path: &Path, force: bool) -> Result<()> {
        if path.as_os_str().is_empty() {
            return Err(Error::setting("--out", "empty; name a folder"));
        }
        // The nearest that is there must be a folder.
        let there = path.ancestors().find(|path| path.symlink_metadata().is_ok());
        if let Some(there) = there.filter(|there| !there.is_dir()) {
            let problem = format!(
                "{} is no folder, so that {} cannot be one; choose another",
                there.display(),
                path.display()
            );
            return Err(Error::setting("--out", problem));
        }
        let mut entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::file("read", path, error)),
        };
        if entries.next().is_some() && !force {
            let problem = format!(
                "{} is there and not empty; choose another, or replace the run in it with --force",
                path.display()
            );
            return Err(Error::setting("--out", problem));
        }
        Ok(())
    }

    /// Makes the folder, without the files of an earlier run, and writes the settings.
    pub(super) fn create(path: &Path, config: &str) -> Result<Self> {
        let absent = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut made: Vec<PathBuf> =
            path.ancestors().take_while(absent).map(Path::to_path_buf).collect();
        made.reverse();
        let folder = Self { path: path.to_path_buf(), made };
        let begun = folder.begin(config);
        if begun.is_err() {
            folder.discard();
        }
        begun.map(|()| folder)
    }

    fn begin(&self, config: &str) -> Result<()> {
        fs::create_dir_all(&self.path)
            .map_err(|source| Error::file("create", &self.path, source))?;
        for file in FILES.map(|name| self.path.join(name)) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("replace", file, error));
                }
                _ => {}
            }
        }
        write_file(self.path.join(CONFIG), config.as_bytes())
    }

    /// Takes away what the run has written.
    pub(super) fn discard(&self) {
        // Whatever cannot be removed stays; the error that led here is the one to tell.
        for name in FILES {
            let _ = fs::remove_file(self.path.join(name));
        }
        for path in self.made.iter().rev() {
            // A folder with something in it stays.
            let _ = fs::remove_dir(path);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    pub(super) fn model(&self) -> PathBuf {
        self.path.join(MODEL_FILE)
    }

    pub(super) fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    pub(super) fn history(&self) -> Result<History> {
        History::create(self.path.join(HISTORY))
    }

    /// A name like this one's that is free: `runs/a-2`.
    pub(super) fn next(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or("run".as_ref()).to_string_lossy();
        (2_u32..)
            .map(|n| self.path.with_file_name(format!("{name}-{n}")))
            .find(|path| !path.exists())
            .unwrap_or_default()
    }
}
