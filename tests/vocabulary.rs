//! `docs/vocabulary.md` is what the code says, and the tests that it names exist.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use wgrad::report::{entries, vocabulary};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_document_is_what_the_code_says() {
    let path = root().join("docs/vocabulary.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, vocabulary()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == vocabulary(),
        "docs/vocabulary.md is not up to date: UPDATE_DOCS=1 cargo test --test vocabulary"
    );
}

/// The names of a file's tests: what follows `fn` after a line with `test` as an attribute.
fn tests_of(path: &Path) -> HashSet<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut found = HashSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        marked |= line == "#[test]";
        if let Some(rest) = line.strip_prefix("fn ").filter(|_| marked) {
            found.insert(rest.split('(').next().unwrap().to_string());
            marked = false;
        }
    }
    found
}

/// The files that a test's path may stand for: `tests/FILE.rs`, or a module's file under `src/`.
fn files_of(path: &str) -> Vec<PathBuf> {
    match path.strip_suffix("::tests") {
        None => vec![root().join(format!("tests/{path}.rs"))],
        Some(module) => {
            let module = module.replace("::", "/");
            ["src/{}.rs", "src/{}/mod.rs", "src/{}/tests.rs"]
                .map(|form| root().join(form.replace("{}", &module)))
                .to_vec()
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    for (kind, entries) in entries() {
        assert!(!entries.is_empty(), "{kind}");
        let mut names = HashSet::new();
        for entry in entries {
            assert!(names.insert(entry.name), "{kind}: {} stands there twice", entry.name);
            assert!(
                !entry.formula.is_empty() && !entry.source.is_empty(),
                "{kind}: {}",
                entry.name
            );
            for test in entry.tests.split(", ") {
                let (place, name) = test
                    .rsplit_once("::")
                    .unwrap_or_else(|| panic!("{kind}: {}: \"{test}\" names no test", entry.name));
                let there = files_of(place).iter().any(|file| tests_of(file).contains(name));
                assert!(there, "{kind}: {}: there is no test {test}", entry.name);
            }
        }
    }
}
