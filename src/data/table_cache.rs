//! Tables as numbers on disk, for later runs: a table that is larger than memory is read as text once only.
//!
//! In: a table's file, all that decides how it is read, a folder. Out: the table that an earlier run has read, if nothing has changed.
//! Absent on purpose: the bytes of a cached table, which `table_file.rs` has; the place of the folder, which the program chooses.
//!
//! A cached table is found by the checksum of the whole table file and by the text of all settings. Size and time stamp would not do,
//! since other programs set them back; and reading a file for its checksum takes a small part of the time that reading its cells takes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::csv::LoadedTable;
use super::csv::dialect::TableFormat;
use super::numbers::NumberVec;
use super::open::is_lasting;
use super::schema::{Schema, Target, TargetKind};
use super::stored_numbers::{BLOCK_BYTES, table_memory};
use super::table_file::{Header, read_source, read_table, write_table};
use super::table_options::{ReadProgress, TableOptions};
use crate::checksum::Checksum;
use crate::error::{Error, Result};
use crate::shape::bytes_text;

/// End of the names of cached tables.
const EXTENSION: &str = ".wgradtable";
/// End of the names of files that were not finished.
const UNFINISHED: &str = ".tmp";
/// Time after its last change after which an unfinished file is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(60 * 60);
/// Time after its last use after which a cached table is deleted, when another one is written.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A file in a cache of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedTable {
    /// The file.
    pub(crate) path: PathBuf,
    /// Path of the table that it was made of; `None` for a file that was not finished or is damaged.
    pub(crate) source: Option<String>,
    /// Number of its bytes.
    pub(crate) bytes: u64,
    /// Time since its last use.
    pub(crate) unused: Duration,
}

/// A table that may be in the cache, or come into it.
#[derive(Debug)]
pub(super) struct CacheEntry {
    folder: PathBuf,
    /// Files that the table is read from.
    sources: Vec<PathBuf>,
    /// Sizes and times of these files, before any of them was read.
    before: Vec<(u64, Option<SystemTime>)>,
    /// All that decides how they are read.
    settings: String,
    /// The same for a run that let the target's kind be found, and the kind that it has to have found: a run that is resumed names it.
    found: Option<(String, Target)>,
    /// Bytes that the features may take in memory.
    memory: Option<u64>,
    /// Remark on a cached table that could not be used.
    note: Option<String>,
}

impl CacheEntry {
    /// Takes a table, and how it is to be read; `None` where the options name no cache, or the table is no file.
    pub(super) fn new(path: &Path, target: &Target, options: &TableOptions) -> Option<Self> {
        let folder = options.table_cache.clone()?;
        let sources = std::iter::once(path).chain(options.format.target_file.as_deref());
        let sources: Vec<PathBuf> = sources.map(Path::to_path_buf).collect();
        if !sources.iter().all(|path| is_lasting(path)) {
            return None;
        }
        let before = states_of(&sources)?;
        let memory = table_memory(options.host_memory);
        // All options count, also those that are added one day, but for those that change no cell.
        let options = TableOptions {
            host_memory: None,
            table_cache: None,
            progress: ReadProgress::default(),
            ..options.clone()
        };
        let settings =
            |target: &Target| format!("wgrad {} {target:?} {options:?}", env!("CARGO_PKG_VERSION"));
        let found = match target {
            Target::Class(column) | Target::Number(column) => {
                Some((settings(&Target::Auto(column.clone())), target.clone()))
            }
            Target::Auto(_) | Target::Labels(_) => None,
        };
        let settings = settings(target);
        Some(Self { folder, sources, before, settings, found, memory, note: None })
    }

    /// Takes a table that is read as one of this schema; `None` if it is no file.
    pub(super) fn like(
        path: &Path,
        (schema, format): (&Schema, &TableFormat),
        (folder, memory): (&Path, Option<u64>),
    ) -> Option<Self> {
        let sources = vec![path.to_path_buf()];
        let sources: Vec<PathBuf> = sources.into_iter().chain(format.target_file.clone()).collect();
        if !sources.iter().all(|path| is_lasting(path)) {
            return None;
        }
        // The texts of categories may be very many.
        let mut sum = Checksum::default();
        sum.text(&format!("{schema:?}"));
        let version = env!("CARGO_PKG_VERSION");
        Some(Self {
            folder: folder.to_path_buf(),
            before: states_of(&sources)?,
            sources,
            settings: format!("wgrad {version} like {:016x} {format:?}", sum.value()),
            found: None,
            memory,
            note: None,
        })
    }

    /// Returns the table from the cache, if it is there.
    pub(super) fn load(&mut self) -> Option<LoadedTable> {
        match self.load_as(&self.settings) {
            Some(Ok(table)) => return Some(table),
            Some(Err(error)) => self.note = Some(format!("its cache is made again: {error}")),
            None => {}
        }
        let (settings, target) = self.found.as_ref()?;
        let table = self.load_as(settings)?.ok()?;
        let is_asked = match target {
            Target::Class(_) => matches!(table.data.schema.kind, TargetKind::Classes(_)),
            _ => matches!(table.data.schema.kind, TargetKind::Number | TargetKind::Numbers(_)),
        };
        Some(table).filter(|_| is_asked)
    }

    /// Returns the table that was read with these settings; `None` if there is none, an error if it is damaged.
    fn load_as(&self, settings: &str) -> Option<Result<LoadedTable>> {
        // A checksum takes time, so it is made only if a table of the same size and settings is there.
        let start = self.start_of_name(settings);
        let is_like = |path: &PathBuf| name_of(path).starts_with(&start);
        files_of(&self.folder).find(is_like)?;
        let path = self.folder.join(self.name(settings).ok()?);
        let file = File::open(&path).ok()?;
        // Now it was used; if the system does not keep that, it may be deleted earlier.
        let _ = file.set_modified(SystemTime::now());
        let table = read_table((&path, file), settings, self.memory).map(|mut table| {
            table.data.source = self.sources[0].display().to_string();
            table.notes.push(format!(
                "read from its cache, {} ({}); `wgrad cache clear` deletes it",
                path.display(),
                bytes_text(size_of_file(&path))
            ));
            table
        });
        Some(table)
    }

    /// Keeps a table that was read in the cache, if it is larger than memory; the features are in the cache's file from then on. A
    /// remark says so, or why it cannot be kept, which is no error: the table is there.
    pub(super) fn keep(self, mut table: LoadedTable) -> LoadedTable {
        if !table.data.is_stored() {
            return table;
        }
        let told = match self.write(&table) {
            Ok((path, x)) => {
                table.data.x = Arc::new(x);
                let all: u64 = files_of(&self.folder).map(|path| size_of_file(&path)).sum();
                format!(
                    "kept as numbers in {} for later runs with the same settings ({} of {} in that folder; `wgrad cache` shows them)",
                    path.display(),
                    bytes_text(size_of_file(&path)),
                    bytes_text(all)
                )
            }
            Err(error) => format!("not kept for later runs: {error}"),
        };
        // Last, since remarks on the form of the text are kept with the table, and remarks on the cache are not.
        table.notes.extend(self.note);
        table.notes.push(told);
        table
    }

    /// Writes the table. Returns its file, and its features there.
    fn write(&self, table: &LoadedTable) -> Result<(PathBuf, NumberVec)> {
        let failed = |source| Error::file("write", &self.folder, source);
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let unread = |source| Error::file("read", &self.sources[0], source);
        let path = self.folder.join(self.name(&self.settings).map_err(unread)?);
        if states_of(&self.sources).as_ref() != Some(&self.before) {
            let problem = "it changed while it was read";
            return Err(Error::table(self.sources[0].display().to_string(), problem));
        }
        self.tidy(&path);
        let source = &self.sources[0];
        let source = fs::canonicalize(source).unwrap_or_else(|_| source.clone());
        let header = Header::new(table, &self.settings, source.display().to_string());
        let x = write_table(&path, &header, table)?;
        Ok((path, x))
    }

    /// Deletes files that nobody needs: those that were not finished, those that were not used for long, and those of earlier contents
    /// of the same table.
    fn tidy(&self, path: &Path) {
        let start = settings_sum(&self.settings);
        let own = fs::canonicalize(&self.sources[0]).ok();
        for cached in cached_tables(&self.folder) {
            let of_same = name_of(&cached.path).starts_with(&start)
                && cached.path != path
                && cached.source.is_some()
                && cached.source == own.as_ref().map(|it| it.display().to_string());
            let left = name_of(&cached.path).ends_with(UNFINISHED) && cached.unused > ABANDONED;
            if of_same || left || cached.unused > UNUSED {
                // Another run may have deleted it already.
                let _ = fs::remove_file(&cached.path);
            }
        }
    }

    /// Returns the part of a name that is known without reading the table.
    fn start_of_name(&self, settings: &str) -> String {
        let bytes: u64 = self.before.iter().map(|(bytes, _)| bytes).sum();
        format!("{}{bytes}-", settings_sum(settings))
    }

    /// Reads the table's files for their checksum. Returns the name of the file in the cache.
    fn name(&self, settings: &str) -> io::Result<String> {
        let mut sum = Checksum::default();
        let mut block = vec![0; BLOCK_BYTES];
        for path in &self.sources {
            let (mut file, mut length) = (File::open(path)?, 0);
            loop {
                let read = fill(&mut file, &mut block)?;
                sum.bytes(&block[..read]);
                length += read;
                if read < block.len() {
                    break;
                }
            }
            sum.length(length);
        }
        Ok(format!("{}{:016x}{EXTENSION}", self.start_of_name(settings), sum.value()))
    }
}

/// Returns the part of a name that stands for the settings.
fn settings_sum(settings: &str) -> String {
    let mut sum = Checksum::default();
    sum.text(settings);
    format!("{:016x}-", sum.value())
}

/// Reads until the block is full or the file ends. Returns the number of bytes.
fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Returns sizes and times of files; `None` if one of them is gone.
fn states_of(paths: &[PathBuf]) -> Option<Vec<(u64, Option<SystemTime>)>> {
    let state = |path: &PathBuf| path.metadata().map(|it| (it.len(), it.modified().ok())).ok();
    paths.iter().map(state).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn size_of_file(path: &Path) -> u64 {
    path.metadata().map_or(0, |it| it.len())
}

/// Returns the files of a cache, finished or not; other files in the folder are none of its own.
fn files_of(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).ok().into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| {
        let name = name_of(path);
        name.ends_with(EXTENSION) || name.contains(EXTENSION) && name.ends_with(UNFINISHED)
    })
}

/// Returns the tables in a cache, those that were used last first.
pub(crate) fn cached_tables(folder: &Path) -> Vec<CachedTable> {
    let table = |path: PathBuf| {
        // A file that another run deleted in between is no file of the cache any more.
        let about = path.metadata().ok()?;
        let unused = about.modified().ok().and_then(|it| it.elapsed().ok()).unwrap_or_default();
        let is_finished = name_of(&path).ends_with(EXTENSION);
        let source = if is_finished { read_source(&path).ok() } else { None };
        Some(CachedTable { path, source, bytes: about.len(), unused })
    };
    let mut tables: Vec<CachedTable> = files_of(folder).filter_map(table).collect();
    tables.sort_by(|a, b| (a.unused, &a.path).cmp(&(b.unused, &b.path)));
    tables
}

/// Deletes all tables of a cache. Returns their number and bytes.
///
/// # Errors
/// If one cannot be deleted.
#[cfg(any(feature = "cli", test))]
pub(crate) fn clear_cached_tables(folder: &Path) -> Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for cached in cached_tables(folder) {
        match fs::remove_file(&cached.path) {
            Ok(()) => (files, bytes) = (files + 1, bytes + cached.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("delete", &cached.path, error)),
        }
    }
    Ok((files, bytes))
}

#[cfg(test)]
mod tests;
