//! Schedules, initialisation, metrics and early stopping as users of the program meet them.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Map, Value};

/// A table of noise: two features, and a class and a number that have nothing to do with them.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let (mut classes, mut numbers) = ("a,b,kind\n".to_string(), "a,b,y\n".to_string());
    for i in 0..90_u32 {
        let (a, b, c) = (i * i % 17, i * 29 % 23, i * i * i % 19);
        writeln!(classes, "{a},{b},{}", ["x", "y", "z"][c as usize % 3]).unwrap();
        writeln!(numbers, "{a},{b},{}", f64::from(c) + 0.5).unwrap();
    }
    fs::write(place.path().join("classes.csv"), classes).unwrap();
    fs::write(place.path().join("numbers.csv"), numbers).unwrap();
    place
}

fn run(place: &Path, args: &str) -> Output {
    // Brackets in an argument hold spaces together.
    let mut depth = 0_i32;
    let args = args.split(|letter: char| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ' ' && depth == 0
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.args(args).args(["--device", "cpu"]).current_dir(place).output().unwrap()
}

/// Stdout and stderr of a run that must succeed.
fn ok(place: &Path, args: &str) -> (String, String) {
    let Output { status, stdout, stderr } = run(place, args);
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{args}: {err}");
    (out, err)
}

/// Stderr of a run that must be refused as wrong usage.
fn refused(place: &Path, args: &str) -> String {
    let output = run(place, args);
    assert_eq!(output.status.code(), Some(2), "{args}");
    String::from_utf8(output.stderr).unwrap()
}

fn json(path: &Path) -> Map<String, Value> {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A history's header and columns.
fn history(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(String::from).collect());
    (lines.next().unwrap(), lines.collect())
}

#[test]
fn a_run_stops_early_and_tells_which_epoch_it_keeps() {
    let place = place();
    let at = place.path();
    let (out, err) = ok(
        at,
        "train classes.csv --target kind --lr 0.02 --epochs 200 --stop-patience 5 --stop-metric roc_auc \
         --metrics f1_macro,top_2 --out r",
    );
    let metrics = json(&at.join("r/metrics.json"));
    let (header, rows) = history(&at.join("r/history.csv"));
    let wanted = "epoch,steps,lr,train_loss,valid_loss,valid_accuracy,valid_f1_macro,valid_top_2,valid_roc_auc,seconds,samples_per_second";
    assert_eq!(header.join(","), wanted);
    let auc: Vec<f64> = rows.iter().map(|row| row[8].parse().unwrap()).collect();
    let best = auc.iter().copied().fold(0.0, f64::max);
    let kept = auc.iter().position(|&value| value == best).unwrap() + 1;
    assert_eq!(rows.len(), kept + 5, "{auc:?}");
    assert_eq!(metrics["epoch"], kept);
    assert_eq!(metrics["stopped_after"], rows.len());
    assert_eq!(metrics["valid_roc_auc"].as_f64().unwrap(), best);
    assert!(metrics["valid_top_2"].is_f64() && metrics["interrupted"] == false);
    let all = rows.len();
    let why = format!("stopped after epoch {all}: valid roc_auc has not risen for 5 epochs\n");
    assert!(err.contains(&(why + &format!("kept    epoch {kept}, the best of {all}\n"))), "{err}");
    assert!(out.starts_with(&format!("r: epoch {kept}, train loss ")), "{out}");
    assert!(out.contains(", top_2 0.") && out.contains(", roc_auc 0."), "{out}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_keeps_its_best_epoch() {
    let place = place();
    let at = place.path();
    let args = "train classes.csv --target kind --lr 0.02 --epochs 1000000 --keep best --out r --device cpu";
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.args(args.split(' ')).current_dir(at).stderr(std::process::Stdio::piped());
    let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let begun = std::time::Instant::now();
    // Long after the best epoch of what is noise.
    while fs::read_to_string(at.join("r/history.csv")).unwrap_or_default().lines().count() < 100 {
        assert!(begun.elapsed().as_secs() < 60, "no epochs end");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    let (_, rows) = history(&at.join("r/history.csv"));
    let loss = |row: &Vec<String>| row[4].parse::<f64>().unwrap();
    let best = rows.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    let metrics = json(&at.join("r/metrics.json"));
    assert_eq!(metrics["epoch"].to_string(), best[0]);
    assert_eq!(metrics["valid_loss"].as_f64().unwrap(), loss(best));
    assert_eq!(metrics["interrupted"], true);
    let told = format!(
        "{} epochs finished; the weights of epoch {}, the best, are in r",
        rows.len(),
        best[0]
    );
    assert!(said.contains(&told), "{said}");
    assert!(said.contains(&format!("--epochs {} ", 1_000_000 - rows.len())), "{said}");
}

#[test]
fn all_choices_are_recorded_and_read_back() {
    let place = place();
    let at = place.path();
    ok(
        at,
        "train numbers.csv --target y --epochs 40 --stop-patience 4 --stop-metric mape --stop-delta 0.001 \
         --keep last --metrics pinball_0.9,explained_variance --schedule plateau(patience=1, metric=mae) \
         --warmup 1 --decay-schedule flat-cosine --dropout-schedule step(every=2.5) \
         --init orthogonal(gain=relu) --out r",
    );
    let config = fs::read_to_string(at.join("r/config.toml")).unwrap();
    for line in [
        "schedule = \"plateau(factor=0.1, patience=1, threshold=0.0001, mode=rel, cooldown=0, min=0, eps=0.00000001, metric=mae)\"",
        "decay-schedule = \"flat-cosine(flat=0.5, end=0)\"",
        "dropout-schedule = \"step(every=2.5, gamma=0.1)\"",
        "stop-patience = 4",
        "stop-metric = \"mape\"",
        "stop-delta = 0.001",
        "keep = \"last\"",
        "metrics = [\"pinball_0.9\", \"explained_variance\"]",
        "init = \"orthogonal(gain=1.4142135623730951)\"",
    ] {
        assert!(config.lines().any(|there| there == line), "no {line} in {config}");
    }
    ok(at, "train --config r/config.toml --out s");
    let again = fs::read_to_string(at.join("s/config.toml")).unwrap();
    assert_eq!(config.replace("out = \"r\"", ""), again.replace("out = \"s\"", ""));
    let model = |run: &str| fs::read(at.join(run).join("model.safetensors")).unwrap();
    assert_eq!(model("r"), model("s"));
    ok(at, "train --config r/config.toml --stop-patience none --metrics none --epochs 8 --out u");
    assert_eq!(history(&at.join("u/history.csv")).1.len(), 8);
    // Other weights to start from, and nothing watched, in spite of the file.
    fs::write(at.join("t.toml"), "stop-patience = 3\ninit = \"siren(omega=6)\"\n").unwrap();
    ok(at, "train numbers.csv --target y --config t.toml --stop-patience none --epochs 6 --out t");
    let config = fs::read_to_string(at.join("t/config.toml")).unwrap();
    assert!(config.contains("init = \"siren(omega=6)\"") && !config.contains("stop-"), "{config}");
    assert_eq!(history(&at.join("t/history.csv")).1.len(), 6);
    assert!(!json(&at.join("t/metrics.json")).contains_key("stopped_after"));
    ok(at, "evaluate r numbers.csv");
}

#[test]
fn what_does_not_fit_is_refused_with_the_setting_that_it_belongs_to() {
    let place = place();
    for (options, want) in [
        ("--valid 0 --stop-patience 3", "--stop-patience: loss of validation rows is watched, but"),
        (
            "--valid 0 --metrics brier",
            "--metrics: they are those of validation rows, but there are",
        ),
        ("--metrics mape", "--metrics: mape is for numbers, and the target is a class"),
        ("--metrics top_3", "--metrics: top_3 is 1 for 3 classes"),
        (
            "--metrics auc",
            "--metrics: unknown name \"auc\"; known: loss, accuracy, balanced_accuracy",
        ),
        ("--keep last --stop-metric brier", "--stop-metric: nothing is watched"),
        ("--keep first", "--keep: unknown name \"first\"; known: best, last"),
        (
            "--schedule cosine(eta_min=0)",
            "--schedule: unknown argument \"eta_min\"; cosine has end",
        ),
        (
            "--decay-schedule linear",
            "--decay-schedule: unknown name \"linear\"; known: constant, step",
        ),
        ("--schedule cos-log-4 --warmup 1", "--warmup: cos-log-4 rises from 0 by itself"),
        (
            "--init kaiming-normal(gain=gelu)",
            "--init: gain of kaiming-normal is \"gelu\"; give a number",
        ),
    ] {
        let said = refused(place.path(), &format!("train classes.csv --target kind {options}"));
        assert!(said.contains(want), "{options}: {said}");
    }
}

#[test]
fn evaluation_gives_all_figures() {
    let place = place();
    let at = place.path();
    ok(at, "train classes.csv --target kind --epochs 3 --out r");
    let (out, _) = ok(at, "evaluate r classes.csv");
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with("90 rows, loss ") && lines[0].contains(", accuracy "), "{out}");
    for name in
        ["balanced_accuracy", "top_2", "f1_macro", "matthews", "log_loss", "roc_auc", "ece_15"]
    {
        assert!(lines.iter().any(|line| line.starts_with(&format!("  {name} "))), "{name}: {out}");
    }
    assert!(lines.iter().any(|line| line.starts_with("  class  precision")), "{out}");
    // Three classes, each with its figures and its counts.
    assert_eq!(lines.iter().filter(|line| line.starts_with("  y ")).count(), 2, "{out}");
    let (out, _) = ok(at, "evaluate r classes.csv --json");
    let got: Map<String, Value> = serde_json::from_str(&out).unwrap();
    let counts: Vec<Vec<u64>> = serde_json::from_value(got["confusion"].clone()).unwrap();
    assert_eq!(counts.iter().flatten().sum::<u64>(), 90);
    let hits = (counts[0][0] + counts[1][1] + counts[2][2]) as f64;
    assert_eq!(got["accuracy"].as_f64().unwrap(), hits / 90.0);
    assert_eq!(got["f1_micro"], got["accuracy"]);
    let classes = got["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 3);
    for (class, counts) in classes.iter().zip(&counts) {
        assert_eq!(class["rows"].as_u64().unwrap(), counts.iter().sum::<u64>());
        assert!(class["precision"].is_f64() && class["f1"].is_f64() && class["class"].is_string());
    }
    // Rows of one class: an area under a curve is not defined, and says so.
    let table = fs::read_to_string(at.join("classes.csv")).unwrap();
    let one: Vec<_> =
        table.lines().filter(|line| !line.ends_with(",x") && !line.ends_with(",y")).collect();
    fs::write(at.join("one.csv"), one.join("\n")).unwrap();
    let (out, _) = ok(at, "evaluate r one.csv --json");
    let got: Map<String, Value> = serde_json::from_str(&out).unwrap();
    assert!(got["roc_auc"].is_null() && got["brier"].is_f64());
    let (out, _) = ok(at, "evaluate r one.csv");
    assert!(out.lines().any(|line| line.starts_with("  roc_auc") && line.ends_with(" -")), "{out}");
}
