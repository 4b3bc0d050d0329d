//! Where the program keeps what it may lose: the system's folder for caches.
//!
//! In: the environment, which nothing below the program looks at. Out: a folder that may not be there yet.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder for the choices of kernels; `None` where the environment names no home.
pub(super) fn tuning_folder() -> Option<PathBuf> {
    folder(std::env::consts::OS, |name| std::env::var_os(name))
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
    caches.map(|caches| caches.join("wgrad").join("tuning"))
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
        assert_eq!(found("linux", &[home]), want("/home/a/.cache/wgrad/tuning"));
        let xdg = ("XDG_CACHE_HOME", "/tmp/c");
        assert_eq!(found("linux", &[home, xdg]), want("/tmp/c/wgrad/tuning"));
        assert_eq!(found("macos", &[home, xdg]), want("/home/a/Library/Caches/wgrad/tuning"));
        let local = ("LOCALAPPDATA", "/users/a/local");
        assert_eq!(found("windows", &[home, local]), want("/users/a/local/wgrad/tuning"));
        assert_eq!(found("windows", &[home]), None);
        // Relative and empty paths count as not given.
        let relative = ("XDG_CACHE_HOME", "c");
        assert_eq!(found("linux", &[home, relative]), want("/home/a/.cache/wgrad/tuning"));
        assert_eq!(found("linux", &[("HOME", "")]), None);
    }
}
