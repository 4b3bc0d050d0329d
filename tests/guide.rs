//! The pages of the guide and of the course: their commands work, and print what the pages show.
//!
//! A block marked `sh` is run, all of a page in their order and in one folder that has `examples/datasets`; a block marked
//! `sh ignore` is not. A block marked `text` right after one that was run is what it prints, on standard output and standard error.
//! In it, a line `...` stands for any lines, and `...` within a line for any words. Figures differ a little between processors:
//! numbers with decimals may differ by 0.05 or a tenth, and these may be any: times, speeds, sizes in KiB and MiB, and the number
//! behind the word `epoch`.
//!
//! `wgrad` is the program with `--device cpu`. `cargo run --release --example NAME` is the example that Cargo built with the tests.

#![cfg(all(unix, feature = "cli", feature = "pictures"))]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A block between fences.
#[derive(Debug, PartialEq)]
struct Block {
    /// First line of its text, from 1.
    line: usize,
    /// Language and marks.
    info: String,
    text: String,
    /// True if only empty lines lie between it and the block before.
    follows: bool,
}

/// Returns the blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut follows = false;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let info = info.trim().to_string();
                open = Some(Block { line: number + 2, info, text: String::new(), follows });
            }
            (Some(_), Some("")) => {
                found.extend(open.take());
                follows = true;
            }
            (Some(block), _) => {
                block.text += line;
                block.text.push('\n');
            }
            (None, None) => follows &= line.trim().is_empty(),
        }
    }
    assert!(open.is_none(), "a block has no end");
    found
}

/// A folder in which the commands of a page run.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let datasets = desk.path("examples/datasets");
        fs::create_dir_all(&datasets).unwrap();
        for name in ["digits.csv", "flats.csv"] {
            fs::copy(format!("{ROOT}/examples/datasets/{name}"), datasets.join(name)).unwrap();
        }
        // What `cargo test` builds lies in these folders.
        let program = Path::new(env!("CARGO_BIN_EXE_wgrad"));
        let examples = program.parent().unwrap().join("examples");
        desk.script(
            "wgrad",
            &format!(
                "case \"$1 $*\" in\n*--device*) ;;\ntrain*|evaluate*|predict*|find-lr*|sweep*|plan*) \
                 set -- \"$@\" --device cpu ;;\nesac\nexec '{}' \"$@\"",
                program.display()
            ),
        );
        desk.script(
            "cargo",
            &format!(
                "[ \"$1 $2 $3\" = 'run --release --example' ] || {{ echo \"no such command: cargo $*\"; exit 9; }}\n\
                 program='{}'/\"$4\"\nshift 4\n[ \"$1\" != -- ] || shift\n\
                 [ -x \"$program\" ] || {{ echo \"$program is not there: cargo build --examples\"; exit 9; }}\n\
                 exec \"$program\" \"$@\"",
                examples.display()
            ),
        );
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, name: &str, body: &str) {
        let folder = self.path(".bin");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs commands. Returns whether all of them succeeded, and the lines of both outputs.
    fn run(&self, commands: &str) -> (bool, Vec<String>) {
        let path = self.path(".output");
        let file = fs::File::create(&path).unwrap();
        let search = format!("{}:{}", self.path(".bin").display(), std::env::var("PATH").unwrap());
        let status = Command::new("sh")
            .args(["-e", "-c", commands])
            .current_dir(self.0.path())
            .env("PATH", search)
            .env("COLUMNS", "100")
            .env("XDG_CACHE_HOME", self.path(".cache"))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .status()
            .unwrap();
        let output = fs::read_to_string(path).unwrap();
        // Without a desktop, graphics drivers complain before the program can.
        let ours = output.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR"));
        (status.success(), ours.map(str::to_string).collect())
    }
}

/// Units of figures that differ from run to run.
const OF_THE_RUN: [&str; 6] = ["ms", "s", "µs", "rows/s", "KiB", "MiB"];
/// Units of which one may stand for another, with its number.
const TIMES: [&str; 4] = ["µs", "ms", "s", "min"];

/// Returns the number of a word, and if it has decimals.
fn number(word: &str) -> Option<(f64, bool)> {
    let word = word.trim_matches(|c: char| !c.is_ascii_digit() && c != '-');
    let plain = word.replace(',', "");
    let value = plain.parse().ok()?;
    Some((value, plain.contains('.')))
}

/// Returns whether a printed word is the word that the page shows.
fn same_word(shown: &str, printed: &str, before: Option<&str>, unit: Option<&str>) -> bool {
    let bare = |word: &str| word.trim_end_matches([',', ';', ')', '.']).to_string();
    let units = [bare(shown), bare(printed)];
    let both_times = units.iter().all(|unit| TIMES.contains(&unit.as_str()));
    if shown == printed || (both_times && before.is_some_and(|word| number(word).is_some())) {
        return true;
    }
    let frame = |word: &str| word.replace(|c: char| c.is_ascii_digit() || ".,-".contains(c), "");
    let (Some((a, decimals)), Some((b, _))) = (number(shown), number(printed)) else {
        return false;
    };
    let of_the_run = unit.is_some_and(|unit| OF_THE_RUN.contains(&bare(unit).as_str()));
    let of_the_run = of_the_run || before == Some("epoch");
    let near = (a - b).abs() <= 0.05 + 0.1 * a.abs().max(b.abs());
    frame(shown) == frame(printed) && (of_the_run || (decimals && near))
}

/// Returns whether a printed line is the line that the page shows.
fn same_line(shown: &str, printed: &str) -> bool {
    let (shown, printed): (Vec<&str>, Vec<&str>) =
        (shown.split_whitespace().collect(), printed.split_whitespace().collect());
    same_words(&shown, &printed, None)
}

fn same_words(shown: &[&str], printed: &[&str], before: Option<&str>) -> bool {
    match (shown, printed) {
        ([], []) => true,
        (["...", rest @ ..], _) => {
            (0..=printed.len()).any(|left_out| same_words(rest, &printed[left_out..], None))
        }
        ([a, rest_a @ ..], [b, rest_b @ ..]) => {
            same_word(a, b, before, rest_a.first().copied()) && same_words(rest_a, rest_b, Some(a))
        }
        _ => false,
    }
}

/// Compares the lines that a page shows with those that were printed. Returns how many shown lines fit, where not all do.
fn compare(shown: &[&str], printed: &[&str], skips: bool) -> Result<(), usize> {
    match shown {
        [] if skips || printed.is_empty() => Ok(()),
        [] => Err(0),
        ["...", rest @ ..] => compare(rest, printed, true).map_err(|fit| fit + 1),
        [line, rest @ ..] => {
            let limit = if skips { printed.len() } else { printed.len().min(1) };
            let mut most = 0;
            // Behind lines that are left out, the first line that fits may not be the one that is meant.
            for at in (0..limit).filter(|&at| same_line(line, printed[at])) {
                match compare(rest, &printed[at + 1..], false) {
                    Ok(()) => return Ok(()),
                    Err(fit) => most = most.max(fit + 1),
                }
            }
            Err(most)
        }
    }
}

/// Returns the shown line that was not printed, if there is one.
fn missing(shown: &str, printed: &[String]) -> Option<String> {
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let printed: Vec<&str> = printed.iter().map(|line| line.trim_end()).collect();
    let fit = compare(&shown, &printed, false).err()?;
    Some(shown.get(fit).map_or("(the end of the output)".to_string(), |line| line.to_string()))
}

/// Returns the first problem of a page, or the number of commands and of outputs that are right.
fn check(desk: &Desk, page: &str) -> Result<(usize, usize), String> {
    let (mut commands, mut outputs) = (0, 0);
    let mut printed: Option<Vec<String>> = None;
    for block in blocks(page) {
        let place = format!("line {}", block.line);
        match block.info.as_str() {
            "sh" => {
                let (succeeded, lines) = desk.run(&block.text);
                // A page may show a command that fails, as the marks of its shell: `! wgrad ...`.
                if !succeeded {
                    return Err(format!("{place}: {} failed:\n{}", block.text, lines.join("\n")));
                }
                commands += 1;
                printed = Some(lines);
            }
            "text" if block.follows => {
                if let Some(lines) = printed.take() {
                    if let Some(line) = missing(&block.text, &lines) {
                        return Err(format!("{place}: no line\n{line}\nin\n{}", lines.join("\n")));
                    }
                    outputs += 1;
                }
            }
            "sh ignore" | "text" | "toml" | "rust" | "rust,no_run" | "python" | "csv" | "" => {
                printed = None
            }
            other => return Err(format!("{place}: a block is marked `{other}`")),
        }
    }
    Ok((commands, outputs))
}

/// Runs a page that must be right.
fn run(path: &str) {
    let page = fs::read_to_string(format!("{ROOT}/{path}")).unwrap();
    let checked = check(&Desk::new(), &page).unwrap_or_else(|problem| panic!("{path}: {problem}"));
    assert!(checked.0 > 0, "{path} has no commands");
}

/// Makes a test of each page, and of all together that none is left out.
macro_rules! pages {
    ($($test:ident: $path:literal,)*) => {
        $(#[test] fn $test() { run($path); })*

        #[test]
        fn every_page_is_run() {
            for folder in ["docs/guide", "docs/course"] {
                for file in fs::read_dir(format!("{ROOT}/{folder}")).unwrap() {
                    let name = file.unwrap().file_name().into_string().unwrap();
                    let path = format!("{folder}/{name}");
                    // The server is a package of its own, which the gate builds.
                    let without = ["README.md", "09-server.md"].contains(&name.as_str());
                    assert!(without || [$($path),*].contains(&path.as_str()), "{path} is not run");
                }
            }
        }
    };
}

pages! {
    first_model: "docs/guide/01-first-model.md",
    your_own_table: "docs/guide/02-your-own-table.md",
    targets: "docs/guide/03-targets.md",
    good_enough: "docs/guide/04-good-enough.md",
    network_and_loss: "docs/guide/05-network-and-loss.md",
    gpu_or_cpu: "docs/guide/06-gpu-or-cpu.md",
    more_than_memory: "docs/guide/07-more-than-memory.md",
    predict_serve_export: "docs/guide/08-predict-serve-export.md",
    reproduce_and_resume: "docs/guide/09-reproduce-and-resume.md",
    library: "docs/guide/10-library.md",
    own_parts: "docs/guide/11-own-parts.md",
    when_something_goes_wrong: "docs/guide/12-when-something-goes-wrong.md",
    course_xor: "docs/course/01-xor.md",
    course_spirals: "docs/course/02-spirals.md",
    course_image: "docs/course/03-image.md",
    course_quantiles: "docs/course/04-quantiles.md",
    course_digits: "docs/course/05-digits.md",
    course_texts_and_gaps: "docs/course/06-texts-and-gaps.md",
    course_own_parts: "docs/course/07-own-parts.md",
    course_ensemble_and_folds: "docs/course/08-ensemble-and-folds.md",
}

/// Returns the variants of a public enum, by the indentation of its source.
fn variants(source: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("{ROOT}/{source}")).unwrap();
    let body = text.split_once(&format!("pub enum {name} {{\n")).unwrap().1;
    let body = body.split("\n}\n").next().unwrap();
    let names = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = names.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.trim_end_matches([' ', '{', ',']).to_string()).collect()
}

/// Each error and each warning has its row in the guide.
#[test]
fn every_error_and_warning_has_its_remedy() {
    let page = "docs/guide/12-when-something-goes-wrong.md";
    let page = fs::read_to_string(format!("{ROOT}/{page}")).unwrap();
    let (errors, warnings) = page.split_once("\n## Warnings\n").unwrap();
    for (rows, source, name, least) in
        [(errors, "src/error.rs", "Error", 10), (warnings, "src/train/event.rs", "Warning", 20)]
    {
        let variants = variants(source, name);
        assert!(variants.len() >= least, "{variants:?}");
        for variant in variants {
            assert!(rows.contains(&format!("\n| `{variant}` | ")), "{name}::{variant} has no row");
        }
    }
}

/// Links between pages lead to files, and pictures are there.
#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for folder in ["docs/guide", "docs/course", "docs"] {
        for file in fs::read_dir(format!("{ROOT}/{folder}")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|it| it != "md") {
                continue;
            }
            let page = fs::read_to_string(&path).unwrap();
            for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap();
                // Code has brackets, too.
                if target.is_empty() || target.contains("://") || target.contains([' ', '&']) {
                    continue;
                }
                let there = path.parent().unwrap().join(target);
                assert!(there.exists(), "{}: there is no {link}", path.display());
                links += 1;
            }
        }
    }
    assert!(links > 30, "{links} links");
}

#[test]
fn wrong_lines_and_failing_commands_are_found() {
    let desk = Desk::new();
    let page =
        |command: &str, output: &str| format!("```sh\n{command}\n```\n\n```text\n{output}\n```\n");
    let command = "printf 'one 1\\ntwo 2.01 of 7\\nlast\\n'";
    for right in
        ["one 1\ntwo 2.04 of 7\nlast", "...\ntwo 2.01 ...\nlast", "one 1\n...", "...\nlast"]
    {
        assert_eq!(check(&desk, &page(command, right)), Ok((1, 1)), "{right}");
    }
    for wrong in [
        "one 2\n...",
        "one 1\nlast",
        "one 1\ntwo 2.01 of 8\nlast",
        "one 1\ntwo 3.5 of 7\nlast",
        "one 1\ntwo 2.01 of 7",
        "last\n...",
        "...\none",
        "...\nlast\nlast",
    ] {
        assert!(check(&desk, &page(command, wrong)).is_err(), "{wrong}");
    }
    let twice = "printf 'a\\nb\\na\\nc\\n'";
    assert_eq!(check(&desk, &page(twice, "...\na\nc")), Ok((1, 1)));
    assert!(check(&desk, &page("wgrad no-such-command", "...")).is_err());
    assert!(check(&desk, &page("false\necho one 1", "...")).is_err());
    assert_eq!(check(&desk, &page("! wgrad no-such-command", "error: ...\n...")), Ok((1, 1)));
}

#[test]
fn figures_of_the_run_may_be_any() {
    for (shown, printed) in [
        ("done in 79 ms, at 629,394 rows/s", "done in 1.2 s, at 1,394 rows/s"),
        ("kept epoch 28, the best of 30", "kept epoch 24, the best of 30"),
        ("accuracy 99.16 %", "accuracy 98.61 %"),
        ("device  CPU ...", "device  CPU (cpu, avx2, 8 threads): as asked for"),
    ] {
        assert!(same_line(shown, printed), "{shown}");
    }
    for (shown, printed) in [
        ("1,438 rows to train", "1,439 rows to train"),
        ("loss 0.1", "loss NaN"),
        ("accuracy 99.16 %", "accuracy 75.61 %"),
        ("best of 30", "best of 31"),
        ("in s", "in ms"),
    ] {
        assert!(!same_line(shown, printed), "{shown}");
    }
}
