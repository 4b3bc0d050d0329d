//! `docs/vocabulary.md` is what the code says, and each item of it is held by tests that exist.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/held_by.rs"]
mod held_by;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use held_by::HELD_BY;
use wgrad::graph::{Average, Loss, Optimizer};
use wgrad::model::{Init, Layer, Sequential};
use wgrad::report::{entries, vocabulary};
use wgrad::train::ScheduleKind;

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
fn every_item_is_held_by_tests_that_exist() {
    let mut held = HashSet::new();
    for row in HELD_BY {
        assert!(!row.tests.is_empty(), "{}: {:?} have no test", row.kind, row.names);
        for name in row.names {
            assert!(held.insert((row.kind, *name)), "{}: {name} stands there twice", row.kind);
        }
        for test in row.tests {
            let (place, name) = test
                .rsplit_once("::")
                .unwrap_or_else(|| panic!("{}: \"{test}\" names no test", row.kind));
            let there = files_of(place).iter().any(|file| tests_of(file).contains(name));
            assert!(there, "{}: {:?}: there is no test {test}", row.kind, row.names);
        }
    }
    let mut listed = HashSet::new();
    for (kind, entries) in entries() {
        assert!(!entries.is_empty(), "{kind}");
        for entry in entries {
            let name = entry.name;
            assert!(listed.insert((kind, name)), "{kind}: {name} stands there twice");
            assert!(!entry.formula.is_empty() && !entry.source.is_empty(), "{kind}: {name}");
            assert!(
                held.contains(&(kind, name)),
                "{kind}: tests/common/held_by.rs names no test of {name}"
            );
        }
    }
    let gone: Vec<_> = held.difference(&listed).collect();
    assert!(gone.is_empty(), "tests/common/held_by.rs names what there is not: {gone:?}");
}

/// Parameters as a row lists them, with a value for each: its default, or one that suits.
fn parameters(listed: &str) -> Vec<(String, String)> {
    let mut parts: Vec<String> = Vec::new();
    let mut depth = 0;
    for part in listed.split(", ") {
        // Within brackets a comma parts nothing.
        if depth > 0 {
            let last = parts.last_mut().unwrap();
            *last = format!("{last}, {part}");
        } else {
            parts.push(part.to_string());
        }
        depth += part.matches(['(', '[']).count() as i32 - part.matches([')', ']']).count() as i32;
    }
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mut words = part.split([' ', '(']).filter(|word| !word.is_empty());
            let name = words.next().unwrap().to_string();
            let value = words.next().unwrap_or_default().trim_end_matches([')', ',']);
            let usable = value.parse::<f64>().is_ok()
                || ["true", "false", "rel", "abs", "loss", "in", "out", "epoch"].contains(&value);
            let check_precision = match name.as_str() {
                "units" | "frequencies" => "3",
                "init" => "xavier-normal",
                "columns" => "0-2 5",
                "f" => "selu",
                "milestones" => "[3, 8]",
                "gamma" if !usable => "0.5",
                "every" | "timescale" => "2",
                "value" => "0.5",
                "gain" if !usable => "relu",
                _ => value,
            };
            (name, check_precision.to_string())
        })
        .collect()
}

/// Reads `NAME(KEY=VALUE)` with each parameter, by its name in both spellings, and all of them together.
fn every_way(
    name: &str,
    listed: &str,
    needed: &[&str],
    read: &dyn Fn(&str) -> Result<String, String>,
) {
    let known = parameters(listed);
    let needs: Vec<String> = known
        .iter()
        .filter(|(key, _)| needed.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut ways = vec![if needs.is_empty() {
        name.to_string()
    } else {
        format!("{name}({})", needs.join(", "))
    }];
    for (key, value) in &known {
        for key in [key.replace('-', "_"), key.replace('_', "-")] {
            let mut all: Vec<String> =
                needs.iter().filter(|it| !it.starts_with(&format!("{key}="))).cloned().collect();
            all.push(format!("{key}={value}"));
            ways.push(format!("{name}({})", all.join(", ")));
        }
    }
    let all: Vec<String> = known.iter().map(|(key, value)| format!("{key}={value}")).collect();
    ways.push(format!("{name}({})", all.join(", ")));
    for way in &ways {
        let written = read(way).unwrap_or_else(|error| panic!("{way}: {error}"));
        assert_eq!(read(&written), Ok(written.clone()), "{way}");
    }
    let wrong = [needs, vec!["nonsense=1".to_string()]].concat().join(", ");
    let said = read(&format!("{name}({wrong})")).expect_err("an unknown parameter must be refused");
    assert!(said.contains("nonsense"), "{name}: {said}");
}

/// Reads and writes.
fn parsed<T: std::str::FromStr<Err = wgrad::Error> + std::fmt::Display>(
    text: &str,
) -> Result<String, String> {
    text.parse::<T>().map(|it| it.to_string()).map_err(|error| error.to_string())
}

#[test]
fn every_parameter_is_taken_in_every_way_that_the_document_promises() {
    for (kind, entries) in entries() {
        for entry in entries {
            let (name, listed) = (entry.name, entry.parameters);
            match kind {
                "Activations" => {
                    every_way(name, listed, &[], &parsed::<Layer>);
                    every_way(name, listed, &[], &parsed::<Sequential>);
                    for (key, value) in parameters(listed) {
                        let value: f64 = value.parse().unwrap();
                        let other = value * 0.5;
                        let want = parsed::<Layer>(&format!("{name}({key}={other})")).unwrap();
                        assert_ne!(want, parsed::<Layer>(name).unwrap());
                        for way in [
                            format!("{name}(x, {other})"),
                            format!("{name}({other})"),
                            format!("{name}(x, {key}={other})"),
                        ] {
                            assert_eq!(parsed::<Layer>(&way).unwrap(), want, "{way}");
                        }
                    }
                }
                // A gate's units are a layer in front of it.
                "Layers" if ["glu", "swiglu", "geglu"].contains(&name) => {
                    assert!(parsed::<Sequential>(&format!("{name}(units=3)")).is_ok());
                    assert_eq!(
                        parsed::<Sequential>(&format!("{name}(3)")),
                        parsed::<Sequential>(&format!("{name}(units=3)"))
                    );
                }
                "Layers"
                    if ["residual", "branches", "embedding", "custom", "batch_ensemble"]
                        .contains(&name) =>
                {
                    let body = match name {
                        "residual" => "dense(3), relu",
                        "branches" => "(dense(3)), (identity)",
                        "embedding" => "0=12x4",
                        "batch_ensemble" => "8, mini=true, dense(4), relu, dense(3)",
                        _ => "x * x1, 1",
                    };
                    assert_eq!(
                        parsed::<Sequential>(&format!("{name}({body})")).unwrap(),
                        format!("{name}({body})")
                    );
                }
                "Layers" => {
                    every_way(name, listed, &["units", "frequencies", "f"], &parsed::<Sequential>)
                }
                // A quantile or more, without a name.
                "Losses" if name == "pinball" => {
                    assert!(
                        parsed::<Loss>("pinball(0.5)").is_ok()
                            && parsed::<Loss>("pinball(0.1, 0.9)").is_ok()
                    );
                }
                "Losses" => every_way(name, listed, &[], &parsed::<Loss>),
                "Optimizers" => every_way(name, listed, &[], &parsed::<Optimizer>),
                "Averaged weights" => every_way(name, listed, &[], &parsed::<Average>),
                "Schedules" => {
                    let needed: &[&str] =
                        if name == "inverse-sqrt" { &[] } else { &["every", "milestones"] };
                    let needed = if name == "exponential" { &["gamma"][..] } else { needed };
                    every_way(name, listed, needed, &parsed::<ScheduleKind>);
                }
                "Initialisation" => every_way(name, listed, &["value"], &parsed::<Init>),
                "Metrics" => {}
                "Recipes" => {
                    assert_eq!(name.parse::<wgrad::train::Recipe>().unwrap().name, name);
                }
                other => panic!("nothing reads {other}"),
            }
        }
    }
}
