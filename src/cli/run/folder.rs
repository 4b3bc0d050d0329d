//! The run folder: looked at early, made late, and taken away if nothing came of the run.
//! An earlier run in it is replaced once the new one has a model.
//!
//! Absent on purpose: what the files hold.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint_files::{FRESH, all_checkpoint_files, checkpoint_files};
use crate::cli::open_run::{
    CONFIG, FOLDS, HISTORY, MEMBERS, METRICS, OUT_OF_FOLD, REFIT, REPORT, SWEEP, SWEEP_RESULTS,
    TRAINING_ROWS, TRIALS, VALIDATION,
};
use crate::cli::wording::quoted;
use crate::error::{Error, Result};
use crate::export::MODEL_FILE;
use crate::files::{is_at, write_file};
use crate::report::History;

/// All that a run leaves. Only these are ever replaced or taken away.
const FILES: [&str; 7] = [CONFIG, HISTORY, MODEL_FILE, METRICS, VALIDATION, TRAINING_ROWS, REPORT];
/// Files that runs of several networks and sweeps leave beside these.
const FURTHER_FILES: [&str; 3] = [OUT_OF_FOLD, SWEEP_RESULTS, SWEEP];
/// Folders of a run's parts.
const OWN_FOLDERS: [&str; 5] = [MEMBERS, FOLDS, REFIT, TRIALS, NEW];
/// Files that a run writes at its end, or with its first model: an earlier run's would say something else.
const LATE: [&str; 4] = [METRICS, VALIDATION, TRAINING_ROWS, REPORT];
/// Where a run's files are at first, if an earlier run's are in their place.
const NEW: &str = ".new";

/// A run's folder.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Folders that were made for it, outermost first.
    made: Vec<PathBuf>,
    /// True if the files are still in [`NEW`], and those of an earlier run untouched.
    apart: bool,
    /// Keeps other processes out, as long as it is open. `None` where the system does not lock folders.
    lock: Option<File>,
    /// The settings' text, for a folder that is made again.
    config: String,
}

/// A run's place on disk, for whoever writes into it later: a folder that has come there since is another run's.
#[derive(Debug)]
pub(crate) struct RunLocation {
    /// Where the files are.
    pub(crate) path: PathBuf,
    /// The run's folder, and what it was when this was taken.
    root: PathBuf,
    folder: Option<File>,
}

impl RunLocation {
    /// True if the run's folder is where it was.
    pub(crate) fn is_there(&self) -> bool {
        is_folder_at(self.folder.as_ref(), &self.root)
    }
}

fn is_folder_at(folder: Option<&File>, path: &Path) -> bool {
    folder.map_or_else(|| path.is_dir(), |folder| is_at(folder, path))
}

/// Keeps other processes of this program out of a folder until what comes back is dropped. `None` where the system does not
/// lock folders.
///
/// # Errors
/// If one is at work there.
pub(crate) fn lock(path: &Path) -> Result<Option<File>> {
    let Ok(folder) = File::open(path) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => {
            let problem =
                "another wgrad is training in this folder; wait until it ends, or stop it";
            Err(Error::model_file(path, problem))
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Removes what a run of several networks has left in a folder, and of the networks' folders only those files that a run writes.
pub(super) fn remove_networks(path: &Path) {
    [MEMBERS, FOLDS].iter().for_each(|name| remove_parts(&path.join(name)));
    remove_part(&path.join(REFIT));
    // A file that cannot be removed is replaced later, or is an error then.
    let _ = fs::remove_file(path.join(OUT_OF_FOLD));
}

/// Removes the folders of networks that an earlier run has left in a folder: those whose names are numbers.
pub(super) fn remove_parts(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.parse::<u32>().is_ok()) {
            remove_part(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// Removes the folder of a network that an earlier run has left, if nothing else is in it.
fn remove_part(folder: &Path) {
    // Trials may have folders of folds; a link may lead anywhere.
    if folder.symlink_metadata().is_ok_and(|about| about.is_dir()) {
        remove_networks(folder);
    }
    RunFolder::remove_all(folder);
    // A folder with something in it stays.
    let _ = fs::remove_dir(folder);
}

impl RunFolder {
    /// Checks that a run may go there. Nothing is made or changed.
    pub(crate) fn check(path: &Path, force: bool) -> Result<()> {
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
                "{} is there and not empty; give a new name with --out {}, or replace the run in it with --force",
                path.display(),
                quoted(&free_name(path))
            );
            return Err(Error::setting("--out", problem));
        }
        Ok(())
    }

    /// Refuses tables that the run would write over, or take away with an earlier run in its folder. Nothing is made or changed.
    pub(crate) fn check_tables<'a>(
        path: &Path,
        tables: impl IntoIterator<Item = (&'static str, &'a Path)>,
    ) -> Result<()> {
        let Ok(folder) = fs::canonicalize(path) else { return Ok(()) };
        for (option, table) in tables {
            let Ok(place) = fs::canonicalize(table) else { continue };
            let Ok(within) = place.strip_prefix(&folder) else { continue };
            let parts: Vec<_> = within.iter().filter_map(|part| part.to_str()).collect();
            let Some((name, folders)) = parts.split_last() else { continue };
            let own_folder = folders.first().is_none_or(|first| OWN_FOLDERS.contains(first));
            let own_name = FILES.contains(name) || FURTHER_FILES.contains(name);
            if own_folder && own_name {
                let problem = format!(
                    "{} has the name of a file that the run writes into its folder {}, so that it would be lost; copy it to another \
                     folder, or choose another folder for the run",
                    table.display(),
                    path.display()
                );
                return Err(Error::setting(option, problem));
            }
        }
        Ok(())
    }

    /// Makes the folder and writes the settings. An earlier run in it stays as it is until [`Self::flush`].
    pub(crate) fn create(path: &Path, config: &str) -> Result<Self> {
        let absent = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut made: Vec<PathBuf> =
            path.ancestors().take_while(absent).map(Path::to_path_buf).collect();
        made.reverse();
        fs::create_dir_all(path).map_err(|source| Error::file("create", path, source))?;
        let lock = lock(path)?;
        let config = config.to_string();
        let apart = FILES.iter().any(|name| path.join(name).symlink_metadata().is_ok());
        let mut folder = Self { path: path.to_path_buf(), made, apart, lock, config };
        folder.sweep_all();
        if apart {
            folder.made.push(path.join(NEW));
        }
        let begun = folder.begin();
        if begun.is_err() {
            folder.discard();
        }
        begun.map(|()| folder)
    }

    /// Removes the files of an earlier run and its checkpoints.
    pub(crate) fn remove_all(path: &Path) {
        all_checkpoint_files(path).iter().for_each(|path| _ = fs::remove_file(path));
        Self::remove_files(path);
    }

    /// Removes the files of an earlier run, except for its checkpoints.
    pub(crate) fn remove_files(path: &Path) {
        for name in FILES {
            // A file that cannot be removed is replaced later, or is an error then.
            let _ = fs::remove_file(path.join(name));
        }
        sweep(path);
    }

    /// Goes on with the run in a folder, whose settings are written anew.
    pub(crate) fn reopen(path: &Path, config: &str, lock: Option<File>) -> Result<Self> {
        let (path, made, config) = (path.to_path_buf(), Vec::new(), config.to_string());
        let folder = Self { path, made, apart: false, lock, config };
        folder.unfinish()?;
        folder.sweep_all();
        write_file(folder.config(), folder.config.as_bytes())?;
        Ok(folder)
    }

    /// Where the files are, for whoever writes them later.
    pub(crate) fn place_now(&self) -> RunLocation {
        let folder = self.lock.as_ref().and_then(|lock| lock.try_clone().ok());
        RunLocation { path: self.place(), root: self.path.clone(), folder }
    }

    /// True if the folder is where it was, and not moved, removed or replaced.
    pub(crate) fn is_there(&self) -> bool {
        is_folder_at(self.lock.as_ref(), &self.path)
    }

    /// Makes a folder again that is not there any more, and writes the settings.
    ///
    /// # Errors
    /// If it cannot be made, or another run has come to its place.
    pub(crate) fn make_again(&mut self) -> Result<()> {
        if !self.is_there() {
            fs::create_dir_all(&self.path)
                .map_err(|source| Error::file("create", &self.path, source))?;
            let new = lock(&self.path)?;
            let of_run = |name: &&str| self.path.join(name).symlink_metadata().is_ok();
            if FILES.iter().any(of_run) || !checkpoint_files(&self.path).is_empty() {
                let problem = "the run's folder was taken away while it trained, and another run's is in its place; this run ends \
                               with the files that went with its folder";
                return Err(Error::model_file(&self.path, problem));
            }
            (self.lock, self.apart) = (new, false);
            self.made.clear();
        }
        self.begin()
    }

    /// Takes away what earlier runs left that were killed: files half written, and a run that had not come to its first model.
    fn sweep_all(&self) {
        sweep(&self.path);
        let new = self.path.join(NEW);
        sweep(&new);
        for path in FILES.iter().map(|name| new.join(name)).chain(all_checkpoint_files(&new)) {
            // A file that cannot be removed is replaced, or does no harm.
            let _ = fs::remove_file(path);
        }
        // A folder with something in it stays.
        let _ = fs::remove_dir(new);
    }

    /// Returns true if a run in this folder has come to its end, or was stopped with what it had saved.
    pub(crate) fn is_finished(path: &Path) -> bool {
        path.join(METRICS).exists()
    }

    /// Takes away what says that the run was finished.
    fn unfinish(&self) -> Result<()> {
        for path in LATE.map(|name| self.path.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("replace", path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn begin(&self) -> Result<()> {
        let place = self.place();
        fs::create_dir_all(&place).map_err(|source| Error::file("create", &place, source))?;
        write_file(place.join(CONFIG), self.config.as_bytes())
    }

    /// Where the files are for the time being.
    pub(crate) fn place(&self) -> PathBuf {
        if self.apart { self.path.join(NEW) } else { self.path.clone() }
    }

    /// Puts this run's files, its model among them, in the place of an earlier run's.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.apart {
            return Ok(());
        }
        // The file that marks a finished run goes first: a crash from here on leaves an unfinished run.
        self.unfinish()?;
        // Then what an earlier run could go on from, which would be with the settings of this one.
        for path in all_checkpoint_files(&self.path) {
            fs::remove_file(&path).map_err(|source| Error::file("replace", path, source))?;
        }
        remove_networks(&self.path);
        for name in [MODEL_FILE, CONFIG, HISTORY] {
            let target = self.path.join(name);
            fs::rename(self.place().join(name), &target)
                .map_err(|source| Error::file("replace", target, source))?;
        }
        for path in all_checkpoint_files(&self.place()) {
            if let Some(name) = path.file_name() {
                let target = self.path.join(name);
                fs::rename(&path, &target)
                    .map_err(|source| Error::file("replace", target, source))?;
            }
        }
        // A folder with something in it stays.
        let _ = fs::remove_dir(self.place());
        self.apart = false;
        Ok(())
    }

    /// Returns true if the files of an earlier run are in the folder as they were.
    pub(crate) fn keeps_earlier(&self) -> bool {
        self.apart
    }

    /// Takes away what the run has written.
    pub(crate) fn discard(&self) {
        if !self.is_there() {
            // The files there now are not this run's.
            return;
        }
        // Whatever cannot be removed stays; the error that led here is the one to report.
        for name in FILES {
            let _ = fs::remove_file(self.place().join(name));
        }
        for path in all_checkpoint_files(&self.place()) {
            let _ = fs::remove_file(path);
        }
        sweep(&self.place());
        for path in self.made.iter().rev() {
            // A folder with something in it stays.
            let _ = fs::remove_dir(path);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.path.join(MODEL_FILE)
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// Where to write the model: also before [`Self::flush`].
    pub(crate) fn new_model(&self) -> PathBuf {
        self.place().join(MODEL_FILE)
    }

    /// Where the history is in the end.
    pub(crate) fn history(&self) -> PathBuf {
        self.path.join(HISTORY)
    }

    pub(crate) fn begin_history(&self) -> Result<History> {
        History::create(self.place().join(HISTORY))
    }

    /// Returns the history of a run that continues after `epochs` epochs, and the problem of its file, if there is one.
    pub(crate) fn resume_history(&self, epochs: u32) -> Result<(History, Option<String>)> {
        History::resume(self.history(), epochs)
    }

    /// Where the history is for the time being.
    pub(crate) fn history_now(&self) -> PathBuf {
        self.place().join(HISTORY)
    }

    /// True if settings and, once it was written, the model are in the folder.
    pub(crate) fn is_whole(&self, has_model: bool) -> bool {
        let place = self.place();
        place.join(CONFIG).exists() && (!has_model || place.join(MODEL_FILE).exists())
    }

    /// A name like this one's that is free: `runs/a-2`.
    pub(crate) fn next(&self) -> PathBuf {
        free_name(&self.path)
    }
}

/// Returns a name like a folder's that is free: `runs/a-2`.
fn free_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or("run".as_ref()).to_string_lossy();
    (2_u32..)
        .map(|n| path.with_file_name(format!("{name}-{n}")))
        .find(|path| !path.exists())
        .unwrap_or_default()
}

/// Takes away what was being written in a folder when the program was killed.
fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == FRESH || name.starts_with('.') && name.ends_with(".tmp") {
            // A file that cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn an_earlier_run_stays_until_the_new_one_has_a_model() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("r");
        fs::create_dir(&path).unwrap();
        for name in FILES.iter().chain(&["notes.txt"]) {
            fs::write(path.join(name), "old").unwrap();
        }
        let count = || fs::read_dir(&path).unwrap().count();
        let folder = RunFolder::create(&path, "new").unwrap();
        folder.begin_history().unwrap();
        fs::write(folder.new_model(), "new").unwrap();
        assert!(folder.keeps_earlier());
        folder.discard();
        drop(folder);
        assert_eq!(count(), 8);
        assert!(FILES.iter().all(|name| text(&path.join(name)) == "old"));

        let mut folder = RunFolder::create(&path, "new").unwrap();
        folder.begin_history().unwrap();
        fs::write(folder.new_model(), "new").unwrap();
        let other = RunFolder::create(&path, "other").unwrap_err().to_string();
        assert!(cfg!(windows) || other.contains("another wgrad is training"), "{other}");
        folder.flush().unwrap();
        assert_eq!(count(), 4, "all but what is written late");
        assert_eq!((text(&folder.config()), text(&folder.model())), ("new".into(), "new".into()));
        assert_eq!(text(&folder.history()), "");
        assert_eq!(text(&path.join("notes.txt")), "old");
        assert_eq!(folder.new_model(), folder.model());
    }
}
