//! Odd tables, odd names and folders that vanish: the program as users meet it, on the CPU device.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Returns the warnings in `said` other than that the network is no better than a constant answer, which is true of networks
/// that train for so few epochs.
fn warnings(said: &str) -> Vec<&str> {
    said.lines()
        .filter(|line| line.starts_with("warning: ") && !line.contains("network is no better than"))
        .collect()
}

/// A folder to work in, with a table of two classes, and of so many rows.
struct Place(TempDir);

impl Place {
    fn new(rows: u32) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let mut table = "a,b,kind\n".to_string();
        for i in 0..rows {
            let (a, b) = (f64::from(i % 7) - 3.0, f64::from(i * i % 11) / 2.0 - 2.5);
            writeln!(table, "{a},{b},{}", if a + b > 0.1 { "up" } else { "down" }).unwrap();
        }
        place.write("t.csv", &table);
        place
    }

    fn path(&self, name: impl AsRef<std::path::Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        if args[0].as_ref() != "resume" {
            command.args(["--device", "cpu"]);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Stderr of a run that must end with this code.
    fn said(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        said
    }

    /// Standard output and error of a command that has no device.
    fn without_device(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        let output = command.args(args).current_dir(self.0.path()).output().unwrap();
        text(&output.stdout) + &text(&output.stderr)
    }

    fn train(&self, more: &[&str]) -> String {
        let usual = ["train", "t.csv", "--target", "kind", "--hidden", "4", "--epochs", "1"];
        let more = if more.contains(&"--epochs") {
            [&usual[..6], more].concat()
        } else {
            [&usual, more].concat()
        };
        self.said(0, &more)
    }

    fn model(&self, run: &str) -> Vec<u8> {
        fs::read(self.path(run).join("model.safetensors")).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn tables_that_end_within_quotes_are_refused_by_all_that_read_them() {
    let place = Place::new(60);
    place.train(&["--out", "r"]);
    let table = fs::read_to_string(place.path("t.csv")).unwrap();
    let open = table.replacen("up", "\"up", 1);
    let line = 1 + open.lines().position(|line| line.contains('"')).unwrap();
    place.write("open.csv", &open);
    let want = format!("open.csv:{line}: a quote opens a cell here and is never closed");
    for args in [
        &["train", "open.csv", "--target", "kind", "--out", "q"][..],
        &["train", "open.csv", "--target", "kind", "--valid", "0", "--out", "q"],
        &["train", "t.csv", "--target", "kind", "--valid", "open.csv", "--out", "q"],
        &["predict", "r", "open.csv"],
        &["evaluate", "r", "open.csv"],
    ] {
        assert!(place.said(1, args).contains(&want), "{args:?}");
    }
    // Closed by a later quote.
    place.write("late.csv", open.replacen("down", "\"down\"", 9));
    let said = place.said(1, &["evaluate", "r", "late.csv"]);
    assert!(said.contains("text stands behind a closing quote"), "{said}");
}

#[test]
fn activations_take_their_parameters_in_every_way() {
    let place = Place::new(60);
    place.train(&["--activation", "elu(x, 0.5)", "--out", "want"]);
    let want = place.model("want");
    for (run, way) in [
        ("a", vec!["--activation", "elu(alpha=0.5)"]),
        ("b", vec!["--activation", "elu(0.5)"]),
        ("c", vec!["--activation", "ELU(x, alpha = 0.5)"]),
    ] {
        place.train(&[way, vec!["--out", run]].concat());
        assert_eq!(place.model(run), want, "{run}");
    }
    let tables = "[[layers]]\ntype = \"dense\"\nunits = 4\n[[layers]]\ntype = \"elu\"\nalpha = 0.5\n[[layers]]\ntype = \"dense\"\n";
    place.write("c.toml", tables);
    place.write("d.toml", "activation = \"elu(alpha=0.5)\"\nhidden = [4]\n");
    for (run, way) in [
        ("d", ["--layers", "dense(4), elu(x, 0.5), dense"]),
        ("e", ["--layers", "dense(4), elu(alpha=0.5), dense"]),
        ("f", ["--config", "c.toml"]),
        ("g", ["--config", "d.toml"]),
    ] {
        place.said(
            0,
            &[&["train", "t.csv", "--target", "kind", "--epochs", "1", "--out", run], &way[..]]
                .concat(),
        );
        assert_eq!(place.model(run), want, "{run}");
    }
    // The run repeats with the settings that it was given.
    place.said(0, &["train", "--config", "g/config.toml", "--out", "h"]);
    assert_eq!(place.model("h"), want);
    for (way, part) in [
        ("elu(beta=1)", "--activation: unknown argument \"beta\" of elu; known: alpha"),
        ("relu(0.5)", "--activation: relu takes x and at most 0 more, not 1"),
        ("elu(x, 1, 2)", "--activation: elu takes x and at most 1 more, not 2"),
        ("elu(0.5, alpha=1)", "--activation: alpha of elu is given twice"),
        ("softplus(beta=0)", "--activation: softplus with 0 is no finite number at x = -1"),
    ] {
        let said = place.said(2, &["train", "t.csv", "--target", "kind", "--activation", way]);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_run_that_goes_on_longer_tells_of_its_rates_or_keeps_its_schedule() {
    let place = Place::new(60);
    let rates = |run: &str| -> Vec<f64> {
        let history = fs::read_to_string(place.path(run).join("history.csv")).unwrap();
        history
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(2).unwrap().parse().unwrap())
            .collect()
    };
    for schedule in ["cosine", "one-cycle", "polynomial", "flat-cosine", "cos-log-4"] {
        let way = ["--schedule", schedule, "--force", "--out"];
        let told = |epochs: &str, more: &[&str], run: &str| {
            place.train(&[&["--epochs", epochs], more, &way[..], &[run]].concat());
        };
        told("4", &[], "r");
        let said = place.said(0, &["resume", "r", "--epochs", "6"]);
        let warning = said.lines().find(|line| line.contains("--schedule goes over")).unwrap();
        assert!(
            warning.starts_with("warning: ")
                && warning.contains("--schedule goes over 6 epochs now, and over 4 before")
                && warning.contains("the learning rate was ")
                && warning.contains("--schedule-epochs 4"),
            "{warning}"
        );
        // The old schedule, which stays where it ended.
        told("4", &[], "r");
        let before = rates("r");
        let said = place.said(0, &["resume", "r", "--epochs", "6", "--schedule-epochs", "4"]);
        assert_eq!(warnings(&said), [""; 0]);
        let after = rates("r");
        assert_eq!((&after[..4], after.len()), (&before[..], 6), "{schedule}");
        assert_eq!(after[4..], [before[3]; 2], "{schedule}");
        // A part of a longer run, and then the whole: the same bytes.
        told("6", &[], "whole");
        told("4", &["--schedule-epochs", "6"], "part");
        let said = place.said(0, &["resume", "part", "--epochs", "6"]);
        assert_eq!(warnings(&said), [""; 0]);
        assert_eq!(place.model("part"), place.model("whole"), "{schedule}");
    }
    // Others go on as they would have.
    place.train(&[
        "--epochs",
        "4",
        "--schedule",
        "step(2)",
        "--warmup",
        "1",
        "--force",
        "--out",
        "r",
    ]);
    assert_eq!(warnings(&place.said(0, &["resume", "r", "--epochs", "6"])), [""; 0]);
    place.train(&[
        "--epochs",
        "4",
        "--dropout",
        "0.1",
        "--dropout-schedule",
        "cosine",
        "--force",
        "--out",
        "r",
    ]);
    let said = place.said(0, &["resume", "r", "--epochs", "6"]);
    assert!(
        said.contains("the share of dropout was ") && !said.contains("the learning rate was"),
        "{said}"
    );
    let said = place.said(
        2,
        &["train", "t.csv", "--target", "kind", "--schedule-epochs", "2", "--warmup", "3"],
    );
    assert!(said.contains("--warmup: 3 epochs, but --schedule-epochs is 2"), "{said}");
}

/// Waits until something is so.
fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A run of many epochs, which has come to its first ones.
fn long_run(place: &Place, epochs: &str) -> Child {
    let args = [
        "train",
        "t.csv",
        "--target",
        "kind",
        "--hidden",
        "16",
        "--batch-size",
        "8",
        "--epochs",
        epochs,
        "--out",
        "r",
    ];
    let child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("a first epoch", || {
        let lines =
            fs::read_to_string(place.path("r/history.csv")).unwrap_or_default().lines().count();
        lines > 3 && place.path("r/model.safetensors").exists()
    });
    child
}

#[cfg(unix)]
#[test]
fn a_folder_that_vanishes_is_made_again() {
    for (how, epochs) in [("moved", "400"), ("removed", "400"), ("emptied", "400")] {
        let place = Place::new(600);
        let child = long_run(&place, epochs);
        match how {
            "moved" => fs::rename(place.path("r"), place.path("gone")).unwrap(),
            "removed" => fs::remove_dir_all(place.path("r")).unwrap_or_default(),
            _ => fs::read_dir(place.path("r")).unwrap().flatten().for_each(|entry| {
                let _ = fs::remove_file(entry.path());
            }),
        }
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{how}: {said}");
        assert!(said.contains("moved, removed or emptied while training"), "{how}: {said}");
        let history = fs::read_to_string(place.path("r/history.csv")).unwrap();
        assert_eq!(history.lines().count(), 401, "{how}");
        for file in ["config.toml", "metrics.json", "model.safetensors", "checkpoint.safetensors"] {
            assert!(place.path("r").join(file).exists(), "{how}: no {file}");
        }
        place.said(0, &["resume", "r", "--epochs", "401"]);
    }
}

#[cfg(unix)]
#[test]
fn another_run_in_the_place_of_a_folder_is_left_alone() {
    let place = Place::new(600);
    let child = long_run(&place, "100000");
    let signal = |name: &str| {
        assert!(
            Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success()
        );
    };
    let files = ["config.toml", "history.csv", "model.safetensors", "metrics.json"];
    place.said(0, &["train", "t.csv", "--target", "kind", "--epochs", "1", "--out", "other"]);
    signal("-STOP");
    fs::rename(place.path("r"), place.path("gone")).unwrap();
    fs::rename(place.path("other"), place.path("r")).unwrap();
    let read = |name: &&str| fs::read(place.path("r").join(name)).unwrap();
    let before: Vec<_> = files.iter().map(read).collect();
    signal("-CONT");
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("another run's is in its place") && !said.contains("kept in r/model"),
        "{said}"
    );
    assert_eq!(files.iter().map(read).collect::<Vec<_>>(), before);
}

#[test]
fn nothing_out_of_files_is_obeyed_by_a_terminal() {
    let place = Place(tempfile::tempdir().unwrap());
    let evil = "\u{1b}[2J\u{7}\u{9b}\u{202e}";
    let mut table = format!("x{evil},y{evil}\n");
    for i in 0..40 {
        let class = if i % 2 == 0 { format!("a{evil}") } else { "b".to_string() };
        writeln!(table, "{i},{class}").unwrap();
    }
    place.write("t.csv", &table);
    let target = format!("y{evil}");
    let run = format!("r{evil}");
    let train =
        ["train", "t.csv", "--target", &target, "--hidden", "4", "--epochs", "1", "--out", &run];
    let escape_controls = |args: &[&str]| {
        let output = place.run(args);
        for bytes in [&output.stdout, &output.stderr] {
            let said = text(bytes);
            let obeyed = said.chars().find(|&it| it.is_control() && it != '\n' || it == '\u{202e}');
            assert_eq!(obeyed, None, "{args:?}: {said:?}");
        }
        output.status.code()
    };
    assert_eq!(escape_controls(&train), Some(0));
    assert_eq!(escape_controls(&[&train[..], &["--force", "--json"]].concat()), Some(0));
    assert_eq!(escape_controls(&["evaluate", &run, "t.csv"]), Some(0));
    assert_eq!(escape_controls(&["evaluate", &run, "t.csv", "--json"]), Some(0));
    assert_eq!(escape_controls(&["predict", &run, "t.csv", "--json"]), Some(0));
    assert_eq!(
        escape_controls(&["predict", &run, "t.csv", "--out", &format!("p{evil}.csv")]),
        Some(0)
    );
    assert_eq!(escape_controls(&["plan", "t.csv", "--target", &target]), Some(0));
    assert_eq!(escape_controls(&["train", "t.csv", "--target", "z"]), Some(1));
    place.write("bad.csv", table.replace("3,", &format!("{evil},")));
    assert_eq!(escape_controls(&["predict", &run, "bad.csv"]), Some(1));
    // JSON says the same by numbers.
    let output = place.run(&["predict", &run, "t.csv", "--json"]);
    let line: serde_json::Value =
        serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap();
    assert!(
        [format!("a{evil}"), "b".to_string()]
            .contains(&line["predicted"].as_str().unwrap().to_string())
    );
}

#[test]
fn long_lists_and_large_numbers_are_cut() {
    let place = Place(tempfile::tempdir().unwrap());
    let n = 2000;
    let names: String = (0..n).map(|i| format!("column_{i},")).collect();
    let rows: String = (0..4).map(|i| format!("{}{}\n", "1,".repeat(n), i % 2)).collect();
    place.write("w.csv", format!("{names}y\n{rows}"));
    let said = place.said(
        0,
        &[
            "train", "w.csv", "--target", "y", "--task", "classify", "--valid", "0", "--hidden",
            "2", "--epochs", "1", "--out", "w",
        ],
    );
    assert!(said.contains("`column_19` and 1,980 more\n") && said.len() < 3000, "{said}");
    let rows: String = (0..20).map(|i| format!("{i},{}e37\n", i % 7)).collect();
    place.write("n.csv", format!("x,y\n{rows}"));
    let output = place.run(&[
        "train",
        "n.csv",
        "--target",
        "y",
        "--task",
        "regress",
        "--epochs",
        "1",
        "--metrics",
        "mape",
        "--out",
        "n",
    ]);
    let evaluated = place.run(&["evaluate", "n", "n.csv"]);
    for said in [output.stdout, output.stderr, evaluated.stdout] {
        let longest =
            text(&said).split(|it: char| !it.is_ascii_digit()).map(str::len).max().unwrap();
        assert!(longest <= 12, "{}", text(&said));
    }
    let said = place.said(2, &["train", "n.csv", "--target", "y", "--lr", "-1e300"]);
    assert!(said.contains("--lr: -1.00000e300, but"), "{said}");
}

#[test]
fn a_damaged_history_is_told_of_when_a_run_goes_on() {
    let place = Place::new(60);
    place.train(&["--epochs", "4", "--out", "r"]);
    let history = fs::read_to_string(place.path("r/history.csv")).unwrap();
    let lines: Vec<&str> = history.lines().collect();
    let damaged =
        format!("{}\n{}\n{}\n\u{7}garbage\n{}", lines[0], lines[1], &lines[2][..5], lines[4]);
    place.write("r/history.csv", damaged);
    let said = place.said(0, &["resume", "r", "--epochs", "5"]);
    assert!(
        said.contains(
            "warning: r/history.csv: damaged or lost, so that it says nothing of epochs 2, 3, 4"
        ),
        "{said}"
    );
    let history = fs::read_to_string(place.path("r/history.csv")).unwrap();
    let epochs: Vec<&str> = history.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(epochs, ["epoch", "1", "5"]);
}

#[test]
fn settings_of_parameters_are_named_and_overlaps_told() {
    let place = Place::new(60);
    for (option, value, part) in [
        (
            "--no-decay",
            "9.*",
            "--no-decay: \"9.*\" matches no parameter; there are `0.weight`, `0.bias`",
        ),
        ("--freeze", "norm", "--freeze: \"norm\" matches no parameter"),
        ("--freeze", "a b", "--freeze: \"a b\" names no parameters"),
        ("--groups", "9.*: lr=1", "--groups: \"9.*\" matches no parameter"),
    ] {
        let said = place.said(2, &["train", "t.csv", "--target", "kind", option, value]);
        assert!(said.contains(part), "{said}");
    }
    let said = place.train(&["--groups", "0.*: lr=0.5; matrix: lr=0.1, decay=0.5", "--out", "a"]);
    let want = "--groups: the parameter 0.weight is matched by 0.* and matrix, whose factors are multiplied: lr=0.05, decay=0.5";
    assert!(said.contains(want), "{said}");
    let said = place.train(&["--groups", "0.*: lr=0.5; 0.bias: frozen=true", "--out", "b"]);
    assert!(said.contains("0.bias is matched by 0.* and 0.bias, and stays frozen"), "{said}");
    let said = place.train(&[
        "--groups",
        "0.*: lr=0.5",
        "--no-decay",
        "bias",
        "--freeze",
        "2.*",
        "--out",
        "c",
    ]);
    assert_eq!(warnings(&said), [""; 0]);
}

#[test]
fn classes_with_commas_have_weights() {
    let place = Place(tempfile::tempdir().unwrap());
    let rows: String = (0..40)
        .map(|i| format!("{i},{}\n", if i % 3 == 0 { "\"late, \"\"very\"\"\"" } else { "a=b" }))
        .collect();
    place.write("t.csv", format!("x,kind\n{rows}"));
    let train = |more: &[&str]| place.train(more);
    train(&["--class-weights", "\"late, \"\"very\"\"\"=3, a=b=0.5", "--out", "a"]);
    place.write("c.toml", "[class-weights]\n\"late, \\\"very\\\"\" = 3\n\"a=b\" = 0.5\n");
    train(&["--config", "c.toml", "--out", "b"]);
    place.said(0, &["train", "--config", "b/config.toml", "--out", "c"]);
    assert_eq!(place.model("a"), place.model("b"));
    assert_eq!(place.model("a"), place.model("c"));
    train(&["--out", "d"]);
    assert_ne!(place.model("a"), place.model("d"));
    for (weights, part) in [
        ("late, very=2", "\"late\" is no class with its weight"),
        ("\"late=2", "is no class with its weight"),
        ("\"late\"x=2", "with quotes around a name"),
    ] {
        let said =
            place.said(2, &["train", "t.csv", "--target", "kind", "--class-weights", weights]);
        assert!(said.contains(part), "{said}");
    }
    place.write("c.toml", "[class-weights]\na = \"much\"\n");
    let said = place.said(2, &["train", "t.csv", "--target", "kind", "--config", "c.toml"]);
    assert!(
        said.contains("c.toml: class-weights: a table of classes must have a number for each"),
        "{said}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_text() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let place = Place::new(60);
    let odd = |name: &str| OsString::from_vec([name.as_bytes(), b"\xff"].concat());
    for (from, to) in [("t.csv", odd("t")), ("t.csv", odd("v"))] {
        fs::copy(place.path(from), place.path(to)).unwrap();
    }
    let done = |args: &[OsString]| {
        let output = place.command(args).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
    let train = [
        vec!["train".into(), odd("t"), "--valid".into(), odd("v"), "--out".into(), odd("r")],
        words("--target kind --hidden 4 --epochs 2"),
    ];
    done(&train.concat());
    done(&[vec!["resume".into(), odd("r")], words("--epochs 3")].concat());
    let config = PathBuf::from(odd("r")).join("config.toml").into_os_string();
    fs::copy(place.path(&config), place.path(odd("c"))).unwrap();
    done(&["train".into(), "--config".into(), odd("c"), "--out".into(), "again".into()]);
    let models = [odd("r"), "again".into()]
        .map(|run| fs::read(place.path(run).join("model.safetensors")).unwrap());
    assert_eq!(models[0], models[1]);
    done(&["evaluate".into(), odd("r"), odd("t")]);
    done(&["predict".into(), odd("r"), odd("t"), "--out".into(), odd("p")]);
    assert!(place.path(odd("p")).exists());
    let mut start = odd("w");
    start.push(".safetensors");
    fs::copy(place.path(odd("r")).join("model.safetensors"), place.path(&start)).unwrap();
    let init = [
        vec!["train".into(), odd("t"), "--init".into(), start, "--out".into(), "i".into()],
        words("--target kind --hidden 4 --epochs 1"),
    ];
    done(&init.concat());
    done(&["resume".into(), "i".into(), "--epochs".into(), "2".into()]);
}

#[test]
fn what_killed_runs_left_is_taken_away() {
    let place = Place::new(60);
    place.train(&["--epochs", "2", "--out", "r"]);
    let left = [
        ".model.safetensors.1.0.tmp",
        ".checkpoint.new",
        ".new/config.toml",
        ".new/history.csv",
        ".new/checkpoint.safetensors",
        ".new/.config.toml.1.0.tmp",
    ];
    let leave = || {
        fs::create_dir_all(place.path("r/.new")).unwrap();
        left.iter().for_each(|name| place.write(&format!("r/{name}"), "left"));
    };
    let names = || {
        let entries = fs::read_dir(place.path("r")).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    leave();
    place.said(0, &["resume", "r", "--epochs", "3"]);
    let whole = [
        "checkpoint.1.safetensors",
        "checkpoint.best.safetensors",
        "checkpoint.safetensors",
        "config.toml",
        "history.csv",
        "metrics.json",
        "model.safetensors",
        "report.html",
        "training_rows.bin",
        "validation.csv",
    ];
    let reports = cfg!(feature = "pictures");
    let whole: Vec<_> = whole.into_iter().filter(|it| *it != "report.html" || reports).collect();
    assert_eq!(names(), whole);
    leave();
    place.train(&["--force", "--checkpoint-every", "0", "--out", "r"]);
    // Nor is an earlier checkpoint taken for one of this run.
    assert_eq!(names(), whole[3..]);
}

#[test]
fn what_a_target_is_taken_for_is_said_where_it_may_be_wrong() {
    let place = Place::new(60);
    let rows: String = (0..600).map(|i| format!("{},{}\n", i % 13, i * 7 % 26)).collect();
    place.write("n.csv", format!("x,letter\n{rows}"));
    let train = |more: &[&str]| {
        place.said(
            0,
            &[
                &["train", "n.csv", "--target", "letter", "--epochs", "1", "--force", "--out", "n"],
                more,
            ]
            .concat(),
        )
    };
    let said = train(&[]);
    assert!(
        said.contains(
            "the target `letter` is taken for a number; it holds 26 different whole numbers"
        ),
        "{said}"
    );
    for more in [&["--task", "regress"][..], &["--task", "classify"], &["--loss", "mse"]] {
        assert!(!train(more).contains("taken for"), "{more:?}");
    }
    let mut table = fs::read_to_string(place.path("t.csv")).unwrap();
    table += "1,2,\"once\"\n";
    place.write("lone.csv", &table);
    let said =
        place.said(0, &["train", "lone.csv", "--target", "kind", "--epochs", "1", "--out", "l"]);
    assert!(
        said.contains("the class `once` (line 62) has one row only, which is for training"),
        "{said}"
    );
    let said = place.said(
        0,
        &["train", "lone.csv", "--target", "kind", "--epochs", "1", "--valid", "0", "--out", "m"],
    );
    assert!(!said.contains("one row only"), "{said}");
}

/// Rows of a column of numbers without a pattern, and what follows of a number.
fn rows(count: u32, of: impl Fn(u32, f64) -> String) -> String {
    let number = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 23) - 1.0;
    (0..count).map(|i| of(i, number(i)) + "\n").collect()
}

#[test]
fn a_run_does_not_write_over_its_own_tables() {
    let place = Place::new(120);
    let table = fs::read(place.path("t.csv")).unwrap();
    let tables = ["history.csv", "validation.csv", "out_of_fold.csv", "sweep.csv"];
    for name in tables {
        fs::copy(place.path("t.csv"), place.path(name)).unwrap();
        for args in [
            &["train", name, "--target", "kind"][..],
            &["train", "t.csv", "--target", "kind", "--valid", name],
            &["tune", name, "--target", "kind", "--trials", "9", "--recipe", "plain"],
        ] {
            let more = ["--epochs", "1", "--out", ".", "--force"];
            let said = place.said(2, &[args, &more[..]].concat());
            assert!(said.contains(name) && said.contains("would be lost"), "{args:?}: {said}");
            assert_eq!(fs::read(place.path(name)).unwrap(), table, "{args:?}");
        }
    }
    let run = ["train", "t.csv", "--target", "kind", "--epochs", "1", "--out", "r"];
    place.said(0, &run);
    let said = place.said(2, &[&run[..], &["--force", "--valid", "r/validation.csv"]].concat());
    assert!(said.contains("--valid: r/validation.csv has the name of a file"), "{said}");
    // A table of another name in the run's folder stays as it is.
    fs::copy(place.path("t.csv"), place.path("r/new.csv")).unwrap();
    place.said(
        0,
        &["train", "r/new.csv", "--target", "kind", "--epochs", "1", "--out", "r", "--force"],
    );
    assert_eq!(fs::read(place.path("r/new.csv")).unwrap(), table);
    let said = place.without_device(&["calibrate", "r", "t.csv", "--out", "t.csv", "--force"]);
    assert!(said.contains("is what this command reads"), "{said}");
    assert_eq!(fs::read(place.path("t.csv")).unwrap(), table);
}

#[test]
fn copies_of_rows_in_both_parts_are_told() {
    let place = Place::new(20);
    let ten = |line: String| vec![line; 10].join("\n");
    place.write("t.csv", format!("x,y\n{}", rows(30, |_, x| ten(format!("{x},{}", x * 2.0)))));
    for split in [&["--valid", "0.3"][..], &["--folds", "3"]] {
        let out = format!("r{}", split[1]);
        let args = ["train", "t.csv", "--target", "y", "--epochs", "1", "--out", &out];
        let said = place.said(0, &[&args[..], split].concat());
        let told: Vec<_> =
            said.lines().filter(|line| line.contains("are equal to training rows")).collect();
        assert_eq!(told.len(), 1, "{said}");
        assert!(told[0].contains("keep them together with --group"), "{said}");
    }
    // Rows of few different values are equal by chance.
    place.write("t.csv", format!("x,y\n{}", rows(300, |i, _| format!("{},{}", i % 7, i % 5))));
    let said = place.said(0, &["train", "t.csv", "--target", "y", "--epochs", "1", "--out", "s"]);
    assert!(!said.contains("are equal to training rows"), "{said}");
}

#[test]
fn doubtful_columns_and_orders_are_told() {
    let place = Place::new(20);
    for (name, table, more, want) in [
        (
            "NA of R",
            format!(
                "x,y\n{}",
                rows(90, |i, x| format!("{x},{}", ["yes", "no", "NA"][i as usize % 3]))
            ),
            &[][..],
            "warning: `NA` is a class of `y`, of 30 rows; if it marks a missing value, give --missing NA",
        ),
        (
            "percents",
            format!("x,y\n{}", rows(90, |i, x| format!("{x},{}0%", i % 9 + 1))),
            &[],
            "warning: `y` is taken for classes, but 90 of 90 cells are numbers with `%`; take `%` out of the cells to have numbers",
        ),
        (
            "codes",
            format!(
                "zip,y\n{}",
                rows(90, |i, x| format!("{},{x}", ["00123", "20100", "07001"][i as usize % 3]))
            ),
            &[],
            "warning: `zip` has whole numbers such as `00123`, and is taken for numbers",
        ),
        (
            "zones",
            format!(
                "t,y\n{}",
                rows(90, |i, x| format!(
                    "2024-03-{:02}T{:02}:00:00{},{x}",
                    i % 28 + 1,
                    i % 24,
                    ["Z", ""][i as usize % 2]
                ))
            ),
            &[],
            "warning: `t` has times with an offset from UTC and times without, which are taken for UTC",
        ),
        (
            "newest first",
            format!("day,y\n{}", rows(28, |i, x| format!("2024-02-{:02},{x}", 28 - i))),
            &["--valid", "last:0.25"],
            "warning: the last rows are for validation, but by `day` 21 of 21 training rows are later",
        ),
    ] {
        place.write("t.csv", &table);
        let args = ["train", "t.csv", "--target", "y", "--epochs", "1", "--out", "r", "--force"];
        let said = place.said(0, &[&args[..], more].concat());
        assert!(said.contains(want), "{name}: {said}");
    }
    // Each remark goes where there is no doubt.
    place.write(
        "t.csv",
        format!("x,y\n{}", rows(90, |i, x| format!("{x},{}", ["yes", "no", "NA"][i as usize % 3]))),
    );
    let args = ["train", "t.csv", "--target", "y", "--epochs", "1", "--out", "r", "--force"];
    let said = place.said(0, &[&args[..], &["--missing", "NA"]].concat());
    assert!(
        said.contains("30 rows have no value of the target")
            && !said.contains("which --missing names"),
        "{said}"
    );
    place.write(
        "t.csv",
        format!(
            "month,day,y\n{}",
            rows(28, |i, x| format!("{:02},2024-02-{:02},{x}", i % 12 + 1, i + 1))
        ),
    );
    let said = place.said(0, &[&args[..], &["--valid", "last:0.25"]].concat());
    assert!(!said.contains("are later") && !said.contains("zeros before"), "{said}");
}

#[test]
fn values_that_a_constant_column_did_not_have_change_nothing() {
    let place = Place::new(20);
    place.write("t.csv", format!("x,k,y\n{}", rows(200, |_, x| format!("{x},5,{}", x * 2.0))));
    place.write("n.csv", "x,k\n0.5,5\n0.5,6\n0.5,-1000000\n");
    for scale in ["standard", "robust", "minmax", "quantile", "log"] {
        let args = ["train", "t.csv", "--target", "y", "--epochs", "2", "--out", "r", "--force"];
        place.said(0, &[&args[..], &["--scale", scale]].concat());
        let told = place.run(&["predict", "r", "n.csv", "--quiet"]);
        let told = String::from_utf8(told.stdout).unwrap();
        let values: Vec<_> =
            told.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect();
        assert_eq!(values.len(), 3, "{told}");
        assert!(values.iter().all(|it| *it == values[0]), "{scale}: {values:?}");
        let info = place.without_device(&["info", "r"]);
        assert!(
            info.contains("5 in all training rows, so that it changes nothing"),
            "{scale}: {info}"
        );
    }
}

#[test]
fn columns_of_results_have_names_of_their_own() {
    let place = Place::new(20);
    place.write("t.csv", format!("x,fold\n{}", rows(60, |_, x| format!("{x},{}", x * 2.0))));
    place.said(
        0,
        &["train", "t.csv", "--target", "fold", "--folds", "3", "--epochs", "1", "--out", "r"],
    );
    let head = |name: &str| {
        fs::read_to_string(place.path(name)).unwrap().lines().next().unwrap().to_string()
    };
    assert_eq!(head("r/out_of_fold.csv"), "row,fold_2,fold,fold_predicted");
    place.write("s.toml", "lr = [0.1, 0.01]\nepochs = [1, 2]\n");
    let args = [
        "sweep", "t.csv", "--target", "fold", "--config", "s.toml", "--search", "grid", "--out",
        "s",
    ];
    place.said(0, &args);
    assert_eq!(
        head("s/sweep.csv"),
        "trial,epochs_tried,lr,valid_loss,std,epoch,epochs,seconds,problem"
    );
    assert!(place.without_device(&["inspect", "s/sweep.csv"]).contains("epochs_tried"));
}

#[test]
fn no_remark_is_about_a_setting_that_nobody_gave() {
    let place = Place::new(120);
    place.write("s.toml", "lr = { log = [0.001, 0.1] }\nepochs = 9\n");
    let args = ["sweep", "t.csv", "--target", "kind", "--config", "s.toml", "--out", "s"];
    let said = place.said(0, &[&args[..], &["--trials", "5", "--search", "halving"]].concat());
    assert!(!said.contains("--schedule-epochs"), "{said}");
    let args = ["train", "t.csv", "--target", "kind", "--epochs", "1", "--out", "r"];
    let said = place.said(0, &[&args[..], &["--recipe", "realmlp", "--hidden", "16"]].concat());
    assert!(!said.contains("--dropout-schedule"), "{said}");
}
