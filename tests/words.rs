//! Names and comments use the field's words: retired names do not come back, one type name means one thing, and a doc comment
//! begins with a verb or a noun.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Retired names, and those that took their place; `docs/glossary.md` explains the terms.
const RETIRED: [(&str, &str); 58] = [
    ("Ahead", "Prefetcher"),
    ("Alone", "ScalarEval"),
    ("Along", "Broadcast"),
    ("Assessment", "StreamingEvaluator"),
    ("Beside", "TempFile"),
    ("Between", "BetweenPasses"),
    ("Captured", "DeviceState"),
    ("Chooser", "KernelSelector"),
    ("Earlier", "PreviousChoices"),
    ("Extent", "VariesAlong"),
    ("Fall", "PlateauReduction"),
    ("Feed", "BlockUploader"),
    ("Fitted", "LoadedPlan"),
    ("Flight", "InFlight"),
    ("Goal", "LossTargets"),
    ("Held", "Inner"),
    ("Instructions", "SimdLevel"),
    ("Join", "FusedMulAdd"),
    ("Keep", "KeepWeights"),
    ("Keeper", "CheckpointWriter"),
    ("Lane", "DevicePool"),
    ("Launch", "Dispatch"),
    ("Life", "Lifetime"),
    ("LossForm", "LossVariant"),
    ("Marks", "EarlyStoppingState"),
    ("Moment", "UpdateContext"),
    ("Moves", "UpdateTransforms"),
    ("Origin", "RunFingerprint"),
    ("Outcomes", "ScoredRows"),
    ("Pace", "OptimizerSchedule"),
    ("Past", "OptimizerHostState"),
    ("Preparation", "Preprocessing"),
    ("Quantity", "StepValue"),
    ("Room", "MemoryPlanner"),
    ("Running", "RunningStat"),
    ("Sink", "PredictionWriter"),
    ("Squared", "SquareSumArgs"),
    ("StepRow", "StepParams"),
    ("Stored", "StorageTypes"),
    ("Talk", "Verbosity"),
    ("Tally", "ConfusionCounts"),
    ("Teller", "ProgressPrinter"),
    ("Told", "PredictionColumns"),
    ("Updated", "UpdateArgs"),
    ("Wants", "RequiredTarget"),
    ("Watch", "EarlyStopping"),
    ("forget_best", "delete_best_checkpoint"),
    ("give_steps", "submit_steps"),
    ("go_on_after", "resume_after"),
    ("goes_into_its_users", "can_inline"),
    ("harmless", "escape_controls"),
    ("learn_of", "record_losses"),
    ("side_by_side", "concat"),
    ("take_up", "restore_state"),
    ("tells_scores", "outputs_are_scores"),
    ("times_slopes", "activation_backward"),
    ("under_guard", "with_guard"),
    ("without_use", "dead_nodes"),
];
/// Words that say nothing of what follows.
const EMPTY_BEGINNINGS: [&str; 5] = ["What ", "Whether ", "Those ", "That ", "So many "];

/// Returns all Rust files below a folder of the repository.
fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|it| it == "rs") {
                files.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    files
}

/// Returns the code of a file: texts and comments become blanks, lines stay.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    let blank = |out: &mut String, part: &str| {
        out.extend(part.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
    };
    while at < bytes.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with('"') {
            let mut end = 1;
            while end < rest.len() && bytes[at + end] != b'"' {
                end += if bytes[at + end] == b'\\' { 2 } else { 1 };
            }
            end + 1
        } else if rest.starts_with("'\"'") {
            3
        } else {
            let letter = rest.chars().next().unwrap();
            out.push(letter);
            at += letter.len_utf8();
            continue;
        };
        let length = length.min(rest.len());
        blank(&mut out, &rest[..length]);
        at += length;
    }
    out
}

/// Returns the identifiers of a line.
fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

/// Returns the retired names in a file, each with its line and its replacement.
fn retired(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in code(text).lines().enumerate() {
        for name in identifiers(line) {
            // A variant of an enum, such as `StepValue::Keep`, is another thing.
            if let Some((old, new)) = RETIRED.iter().find(|(old, _)| *old == name)
                && !line.contains(&format!("::{old}"))
                && !line.trim_start().starts_with(&format!("{old}("))
                && line.trim() != format!("{old},")
                && !line.trim_start().starts_with(&format!("{old} {{"))
            {
                found.push(format!("{}: `{old}` is retired: use `{new}`", number + 1));
            }
        }
    }
    found
}

#[test]
fn retired_names_stay_away() {
    assert_eq!(
        retired("let a = \"Keeper\"; // Keeper\nstruct Keeper;"),
        ["2: `Keeper` is retired: use `CheckpointWriter`"]
    );
    let found: Vec<String> = ["src", "tests", "benches", "examples"]
        .iter()
        .flat_map(|folder| rust_files(folder))
        .filter(|(path, _)| !path.ends_with("words.rs"))
        .flat_map(|(path, text)| {
            retired(&text).into_iter().map(move |it| format!("{}:{it}", path.display()))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_type_name_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in rust_files("src") {
        let text = code(&text);
        // Helpers of tests are nobody's vocabulary.
        let text = text.split("#[cfg(test)]\nmod").next().unwrap();
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let mut words = identifiers(line).filter(|word| !word.is_empty());
            let kind =
                words.find(|word| ["struct", "enum", "trait", "type", "fn", "impl"].contains(word));
            if let (Some("struct" | "enum" | "trait" | "type"), Some(name)) = (kind, words.next()) {
                places.entry(name.to_string()).or_default().push(path.display().to_string());
            }
        }
    }
    assert!(places.len() > 300, "{} type names are found", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "names with two meanings: {places:#?}");
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    let mut found = Vec::new();
    for (path, text) in ["src", "tests", "benches", "examples"].iter().flat_map(|it| rust_files(it))
    {
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let said = line.strip_prefix("/// ").or(line.strip_prefix("//! "));
            let first = !before.starts_with("//") || ["///", "//!"].contains(&before);
            if let Some(said) = said.filter(|_| first)
                && EMPTY_BEGINNINGS.iter().any(|word| said.starts_with(word))
            {
                found.push(format!("{}:{}: {said}", path.display(), number + 1));
            }
            before = line;
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
