//! Where the program keeps what it may lose: the system's folder for caches; and `wgrad cache`, which shows and deletes tables there.
//!
//! In: the environment, which nothing below the program looks at. Out: a folder that may not be there yet; lines about tables.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Exit;
use super::args::{CacheArgs, CacheTask};
use super::output::{Output, failed};
use crate::data::{CachedTable, cached_tables, clear_cached_tables};
use crate::error::{Error, Result};
use crate::report::{JsonLines, pluralize};
use crate::shape::bytes_text;

/// The folder for the choices of kernels; `None` where the environment names no home.
pub(super) fn tuning_folder() -> Option<PathBuf> {
    Some(folder(std::env::consts::OS, |name| std::env::var_os(name))?.join("tuning"))
}

/// The folder for tables that memory has no place for; `None` where the environment names no home.
pub(super) fn table_folder() -> Option<PathBuf> {
    Some(folder(std::env::consts::OS, |name| std::env::var_os(name))?.join("tables"))
}

/// A table of the cache, for programs.
#[derive(Serialize)]
struct TableLine<'a> {
    event: &'a str,
    file: String,
    /// Path of the table; absent for a file that was not finished or is damaged.
    table: Option<&'a str>,
    bytes: u64,
    unused_days: u64,
}

/// Deleted tables, for programs.
#[derive(Serialize)]
struct ClearedLine<'a> {
    event: &'a str,
    files: usize,
    bytes: u64,
}

/// Shows or deletes the tables of a cache.
pub(super) fn cache(args: &CacheArgs) -> Result<Exit> {
    let none =
        || Error::setting("--table-cache", "the environment names no folder for caches; name one");
    let folder = args.table_cache.clone().or_else(table_folder).ok_or_else(none)?;
    let mut out = Output::new();
    match args.task {
        Some(CacheTask::Clear) => {
            let (files, bytes) = clear_cached_tables(&folder)?;
            if args.json {
                let line = ClearedLine { event: "cleared", files, bytes };
                JsonLines::new(&mut out).line(&line).map_err(failed)?;
            } else {
                let files = pluralize(files as u64, "file");
                let line = format!("{}: {files} deleted, {}", folder.display(), bytes_text(bytes));
                out.line(&line)?;
            }
        }
        None => {
            let tables = cached_tables(&folder);
            for table in &tables {
                if args.json {
                    let (file, unused_days) =
                        (table.path.display().to_string(), days(table.unused));
                    let (source, bytes) = (table.source.as_deref(), table.bytes);
                    let line =
                        TableLine { event: "cached", file, table: source, bytes, unused_days };
                    JsonLines::new(&mut out).line(&line).map_err(failed)?;
                } else {
                    out.line(&text(table))?;
                }
            }
            if !args.json {
                let (count, bytes) = (tables.len() as u64, tables.iter().map(|it| it.bytes).sum());
                let count = pluralize(count, "table");
                out.line(&format!("{}: {count}, {}", folder.display(), bytes_text(bytes)))?;
            }
        }
    }
    out.end()?;
    Ok(Exit::Done)
}

fn text(table: &CachedTable) -> String {
    let source = table.source.as_deref().unwrap_or("not finished, or damaged");
    let used = match days(table.unused) {
        0 => "used today".to_owned(),
        days => format!("used {} ago", pluralize(days, "day")),
    };
    format!("{:>10}  {used:<18}  {source}", bytes_text(table.bytes))
}

fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

fn folder(system: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // An empty or relative path would lead to another folder from each place: the specifications say to ignore it.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = |inside: &str| absolute("HOME").map(|home| home.join(inside));
    let caches = match system {
        "windows" => absolute("LOCALAPPDATA"),
        "macos" => home("Library/Caches"),
        _ => absolute("XDG_CACHE_HOME").or_else(|| home(".cache")),
    };
    caches.map(|caches| caches.join("wgrad"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn caches_lie_where_each_system_has_them() {
        let found = |system: &str, set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            folder(system, variable).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/a");
        let want = |path: &str| Some(path.to_string());
        assert_eq!(found("linux", &[home]), want("/home/a/.cache/wgrad"));
        let xdg = ("XDG_CACHE_HOME", "/tmp/c");
        assert_eq!(found("linux", &[home, xdg]), want("/tmp/c/wgrad"));
        assert_eq!(found("macos", &[home, xdg]), want("/home/a/Library/Caches/wgrad"));
        let local = ("LOCALAPPDATA", "/users/a/local");
        assert_eq!(found("windows", &[home, local]), want("/users/a/local/wgrad"));
        assert_eq!(found("windows", &[home]), None);
        // Relative and empty paths count as not given.
        let relative = ("XDG_CACHE_HOME", "c");
        assert_eq!(found("linux", &[home, relative]), want("/home/a/.cache/wgrad"));
        assert_eq!(found("linux", &[("HOME", "")]), None);
    }
}
