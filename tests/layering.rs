//! Imports point one way: a file of a module names only modules at or before it in the crate's order.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

/// A file under `src/<m>/`, or `src/<m>.rs`, may name only modules that appear at or before `<m>`.
const ORDER: [&str; 19] = [
    "error",
    "shape",
    "random",
    "checksum",
    "host",
    "files",
    "vocabulary",
    "picture",
    "expr",
    "data",
    "model",
    "graph",
    "plan",
    "ranks",
    "device",
    "train",
    "export",
    "report",
    "cli",
];
/// They join all modules and belong to none.
const EXEMPT: [&str; 2] = ["lib.rs", "main.rs"];

/// The Rust text without comments and without what stands in quotes.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if let Some(hashes) = raw_string(rest) {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = &rest[hashes + 2..];
            rest = body.find(&close).map_or("", |end| &body[end + close.len()..]);
        } else if c == '"' {
            rest = after_string(&rest[1..]);
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            // A quote, or an escape, as a character.
            rest = rest[2..].find('\'').map_or("", |end| &rest[end + 3..]);
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

/// The number of `#` of a raw string that begins here.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    body[hashes..].starts_with('"').then_some(hashes)
}

/// Returns the text after the end of a string whose beginning is cut off.
fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// The words that follow a path's prefix: one, or the first ones of each item of a group in braces.
fn first_words(after: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let after = after.trim_start();
    let Some(group) = after.strip_prefix('{') else { return vec![word(after)] };
    let (mut depth, mut start, mut words) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                words.push(word(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Modules named as `crate::module`, and as `super::module` where that reaches the crate's root from a file
/// `depth` modules below it.
fn named(code: &str, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    for prefix in ["crate".to_string(), vec!["super"; depth].join("::")] {
        for (at, _) in code.match_indices(&prefix) {
            let before = code[..at].trim_end();
            if code[..at].ends_with(in_word) || before.ends_with("::") {
                continue;
            }
            if let Some(after) = code[at + prefix.len()..].trim_start().strip_prefix("::") {
                let words = first_words(after);
                // `super` reaches other things too; only the road's modules matter there.
                let road = |word: &String| prefix == "crate" || ORDER.contains(&word.as_str());
                found.extend(words.into_iter().filter(road));
            }
        }
    }
    found
}

/// Returns what is wrong with a file; `path` is relative to `src`.
fn violations(path: &Path, text: &str) -> Vec<String> {
    let parts: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let Some(place) = ORDER.iter().position(|module| parts[0] == *module) else {
        return vec![format!("{}: its module has no place in the order", path.display())];
    };
    let depth = parts.iter().filter(|part| *part != "mod").count();
    let complain = |word: String| match ORDER.iter().position(|module| word == *module) {
        Some(other) if other <= place => None,
        Some(_) => Some(format!(
            "{}: {} comes before {word}, which it names",
            path.display(),
            ORDER[place]
        )),
        None => {
            Some(format!("{}: crate::{word} is no module; name the one it is from", path.display()))
        }
    };
    named(&code_of(text), depth).into_iter().filter_map(complain).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    assert!(found.len() > 30, "only {} files in {}", found.len(), src.display());
    let mut wrong = Vec::new();
    for path in found {
        let inside = path.strip_prefix(&src).unwrap();
        if !EXEMPT.iter().any(|name| inside == Path::new(name)) {
            wrong.extend(violations(inside, &std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_made_up_violation_is_found() {
    let plan = Path::new("plan/fuse.rs");
    for (text, modules) in [
        ("use crate::device::Device;", vec!["device"]),
        ("use crate::{error::{Error, Result}, train, graph::Graph};", vec!["train"]),
        (
            "use crate::{\n    cli::{\n        args, config},\n    device,\n};",
            vec!["cli", "device"],
        ),
        ("fn f() -> crate :: train::Trainer {}", vec!["train"]),
        ("pub(in crate::report) fn f() {}", vec!["report"]),
        ("use super::super::device;", vec!["device"]),
        ("let url = \"//\"; crate::cli::run()", vec!["cli"]),
        ("let quote = '\"'; crate::cli::run(); let quote = '\"';", vec!["cli"]),
        ("let raw = r#\"\"\"#; crate::cli::run(\"\")", vec!["cli"]),
    ] {
        let got = violations(plan, text);
        assert_eq!(got.len(), modules.len(), "{text}: {got:?}");
        for (message, module) in got.iter().zip(modules) {
            assert!(message.contains(&format!("plan comes before {module},")), "{text}: {message}");
        }
    }
    assert!(violations(plan, "use crate::Result;")[0].contains("crate::Result is no module"));
    assert!(
        violations(Path::new("data/mod.rs"), "use super::model;")[0]
            .contains("data comes before model")
    );
    assert!(violations(Path::new("other.rs"), "")[0].contains("no place in the order"));
}

#[test]
fn what_is_allowed_passes() {
    for text in [
        "use crate::plan::Slot; use crate::graph::{Graph, Op}; use crate::error::Result;",
        "use super::device; use super::{Plan, cli};",
        "//! [`crate::device`]\n/* crate::cli */ // crate::train",
        "let text = \"crate::device \\\" crate::cli\"; let raw = r#\"crate::train\"#;",
        "use super_crate::device; use mycrate::train;",
        "fn life<'a>(x: &'a str) -> &'a str { x }",
    ] {
        assert_eq!(violations(Path::new("plan/fuse.rs"), text), Vec::<String>::new(), "{text}");
    }
}
