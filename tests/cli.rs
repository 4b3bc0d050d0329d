//! The program as users meet it: exit codes, messages, files, JSON lines. All on the CPU device, but for half precision.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tempfile::TempDir;

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/datasets/digits.csv");

/// A folder to work in, with tables.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        // Two classes that a line parts, and a number that is a line.
        let (mut classes, mut numbers) = ("a,b,kind\n".to_string(), "a,b,y\n".to_string());
        for i in 0..60 {
            let (a, b) = (f64::from(i % 7) - 3.0, f64::from(i * i % 11) / 2.0 - 2.5);
            writeln!(classes, "{a},{b},{}", if a + b > 0.1 { "up" } else { "down" }).unwrap();
            writeln!(numbers, "{a},{b},{}", 100.0 + 3.0 * a - 0.5 * b).unwrap();
        }
        place.write("classes.csv", &classes);
        place.write("numbers.csv", &numbers);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        if matches!(args[0], "train" | "evaluate" | "predict") && !args.contains(&"--device") {
            command.args(["--device", "cpu"]);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Stdout of a run that must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Stderr of a run that must fail with this code, one message, nothing on stdout, and no folder left.
    fn refused(&self, code: i32, args: &[&str], words: &[&str]) {
        let before = self.names();
        let output = self.run(args);
        // Without a desktop, graphics drivers complain on stderr before the program can.
        let said = text(&output.stderr);
        let ours = |line: &&str| !line.contains("XDG_RUNTIME_DIR");
        let said: String = said.lines().filter(ours).map(|line| format!("{line}\n")).collect();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        if !args.contains(&"--json") {
            assert_eq!(text(&output.stdout), "", "{args:?}");
        }
        assert_eq!(said.matches("error: ").count(), 1, "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{args:?}: no `{word}` in {said}");
        }
        assert_eq!(self.names(), before, "{args:?} left something behind");
    }

    /// Everything in the folder, at any depth.
    fn names(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, names: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, names);
                }
                names.push(path);
            }
        }
        let mut names = vec![];
        walk(self.0.path(), &mut names);
        names.sort();
        names
    }

    fn json(&self, name: &str) -> Map<String, Value> {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// JSON lines, each of which must begin with its event.
fn events(text: &str) -> Vec<(String, Map<String, Value>)> {
    text.lines()
        .map(|line| {
            assert!(line.starts_with("{\"event\":\""), "{line}");
            let map: Map<String, Value> = serde_json::from_str(line).unwrap();
            (map["event"].as_str().unwrap().to_string(), map)
        })
        .collect()
}

/// True if the program makes reports.
const PICTURES: bool = cfg!(feature = "pictures");

#[test]
fn a_classification_leaves_a_whole_run() {
    let place = Place::new();
    let output =
        place.run(&["train", DIGITS, "--target", "digit", "--epochs", "2", "--out", "runs/d"]);
    let (said, result) = (text(&output.stderr), text(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("device  CPU") && said.contains("asked for"), "{said}");
    assert!(
        said.contains("1,438 rows to train, 359 to validate, 64 features")
            && said.contains("17,226 parameters"),
        "{said}"
    );
    assert_eq!(said.lines().filter(|line| line.starts_with("epoch ")).count(), 2, "{said}");
    assert!(
        said.contains("epoch 2/2  loss ") && !said.contains('\u{1b}') && !said.contains('\r'),
        "{said}"
    );
    assert!(result.starts_with("runs/d: epoch 2, ") && result.lines().count() == 1, "{result}");
    let mut files: Vec<_> =
        fs::read_dir(place.path("runs/d")).unwrap().map(|e| e.unwrap().file_name()).collect();
    files.sort();
    // The one of the epoch before, if there was time to write it.
    files.retain(|name| name != "checkpoint.1.safetensors");
    let want = [
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
    let want: Vec<_> = want.into_iter().filter(|it| *it != "report.html" || PICTURES).collect();
    assert_eq!(files, want);
    let history = fs::read_to_string(place.path("runs/d/history.csv")).unwrap();
    let lines: Vec<_> = history.lines().collect();
    assert_eq!(
        lines[0],
        "epoch,steps,lr,train_loss,valid_loss,valid_accuracy,seconds,samples_per_second"
    );
    assert!(lines.len() == 3 && lines[2].starts_with("2,90,0.001,"), "{history}");
    let metrics = place.json("runs/d/metrics.json");
    assert!(metrics["valid_accuracy"].as_f64().unwrap() > 0.8, "{metrics:?}");
    assert_eq!(
        (metrics["epoch"].as_u64(), metrics["steps"].as_u64(), &metrics["interrupted"]),
        (Some(2), Some(90), &Value::Bool(false))
    );
}

#[test]
fn a_regression_learns_the_line() {
    let place = Place::new();
    let options = [
        "--target", "y", "--hidden", "none", "--lr", "0.1", "--epochs", "60", "--out", "r",
        "--quiet",
    ];
    let output = place.run(&[&["train", "numbers.csv"], &options[..]].concat());
    assert_eq!(
        (output.status.code(), output.stdout.len(), output.stderr.len()),
        (Some(0), 0, 0),
        "{}",
        text(&output.stderr)
    );
    let metrics = place.json("r/metrics.json");
    assert!(
        metrics["valid_r2"].as_f64().unwrap() > 0.999
            && metrics["valid_rmse"].as_f64().unwrap() < 0.3,
        "{metrics:?}"
    );
    assert!(!metrics.contains_key("valid_accuracy"));
    let table = place.ok(&["predict", "r", "numbers.csv"]);
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("a,b,y,y_predicted"));
    for line in lines {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        assert!((cells[2] - cells[3]).abs() < 1.0, "{line}");
    }
}

#[test]
fn one_seed_gives_one_model_also_from_the_written_config() {
    let place = Place::new();
    let base = [
        "train",
        "classes.csv",
        "--target",
        "kind",
        "--hidden",
        "8",
        "--epochs",
        "3",
        "--batch-size",
        "7",
    ];
    let run = |more: &[&str]| place.ok(&[&base[..], more].concat());
    run(&[
        "--seed",
        "18446744073709551615",
        "--out",
        "a",
        "--optimizer",
        "sgd",
        "--momentum",
        "0.9",
        "--nesterov",
    ]);
    run(&[
        "--seed",
        "18446744073709551615",
        "--out",
        "b",
        "--optimizer",
        "sgd",
        "--momentum",
        "0.9",
        "--nesterov",
        "true",
    ]);
    run(&["--seed", "1", "--out", "c", "--optimizer", "sgd", "--momentum", "0.9", "--nesterov"]);
    place.ok(&["train", "--config", "a/config.toml", "--out", "d"]);
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(model("a"), model("b"));
    assert_eq!(model("a"), model("d"));
    assert_ne!(model("a"), model("c"));
    let config = |run: &str| fs::read_to_string(place.path(run).join("config.toml")).unwrap();
    assert_eq!(config("a").replace("out = \"a\"", ""), config("d").replace("out = \"d\"", ""));
    assert!(
        config("a").contains("nesterov = true") && config("a").contains("[record]"),
        "{}",
        config("a")
    );
    // The command line wins over the file.
    place.ok(&["train", "--config", "a/config.toml", "--out", "e", "--epochs", "1"]);
    assert_eq!(place.json("e/metrics.json")["epoch"], 1);
}

/// The transforms around the optimizer are in the record as they were given, from options and from a file's tables alike.
#[test]
fn a_run_with_groups_and_averages_is_repeated_from_its_record() {
    let place = Place::new();
    let base = ["train", "classes.csv", "--target", "kind", "--hidden", "8", "--epochs", "3"];
    let more = [
        "--optimizer",
        "nadam(momentum-decay=0.01)",
        "--weight-decay",
        "0.1",
        "--clip-norm",
        "0.5",
        "--accumulate",
        "2",
        "--average",
        "swa(start=1)",
        "--no-decay",
        "bias",
        "--freeze",
        "2.bias",
        "--out",
        "a",
    ];
    place.ok(&[&base[..], &more[..]].concat());
    place.ok(&["train", "--config", "a/config.toml", "--out", "b"]);
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(model("a"), model("b"));
    let config = |run: &str| fs::read_to_string(place.path(run).join("config.toml")).unwrap();
    assert_eq!(config("a").replace("out = \"a\"", ""), config("b").replace("out = \"b\"", ""));
    for part in [
        "optimizer = \"nadam(weight-decay=0.1, momentum-decay=0.01)\"",
        "lr = 0.002",
        "[[groups]]\nmatch = \"2.bias\"",
    ] {
        assert!(config("a").contains(part), "{part}: {}", config("a"));
    }
    // Without what is frozen and averaged, other weights come out.
    place.ok(&["train", "--config", "a/config.toml", "--average", "none", "--out", "c"]);
    assert_ne!(model("a"), model("c"));
    place.refused(2, &[&base[..], &["--freeze", "9.*"]].concat(), &["9.*", "0.weight"]);
}

#[test]
fn json_lines_tell_of_the_run_in_order() {
    let place = Place::new();
    let out = place.ok(&[
        "train",
        "classes.csv",
        "--target",
        "kind",
        "--epochs",
        "3",
        "--batch-size",
        "500",
        "--keep",
        "last",
        "--json",
        "--out",
        "r",
    ]);
    let events = events(&out);
    let names: Vec<_> =
        events.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "progress").collect();
    let (first, names) = names.split_at(2);
    assert_eq!(first, ["started", "warning"]);
    // Of a network that learns little in three steps there may be another warning.
    let names: Vec<_> = names.iter().filter(|name| **name != "warning").collect();
    assert_eq!(names, [&"epoch", &"epoch", &"epoch", &"compared", &"finished"]);
    assert!(events[1].1["message"].as_str().unwrap().contains("--batch-size 500"));
    let last = &events.last().unwrap().1;
    assert_eq!((&last["run"], &last["epoch"]), (&Value::from("r"), &Value::from(3)));
    let metrics = place.json("r/metrics.json");
    for key in ["train_loss", "valid_loss", "valid_accuracy"] {
        assert!(last[key].is_f64() && last[key] == metrics[key], "{key}");
    }
    for args in [
        &["adapters", "--json"][..],
        &["evaluate", "r", "classes.csv", "--json"],
        &["predict", "r", "classes.csv", "--json"],
    ] {
        assert!(!self::events(&place.ok(args)).is_empty(), "{args:?}");
    }
}

#[test]
fn a_table_beyond_the_budget_streams_to_the_same_model() {
    let place = Place::new();
    let train = ["train", DIGITS, "--target", "digit", "--hidden", "16", "--epochs", "2"];
    let with = |more: &[&'static str]| [&train[..], more].concat();
    let whole = events(&place.ok(&with(&["--out", "whole", "--json"])));
    assert!(whole[0].1["stream_block_rows"].is_null());
    let args = with(&["--out", "blocks", "--device-memory", "128KiB"]);
    let output = place.run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // A long line of progress goes on below.
    let said = text(&output.stderr).replace("\n        ", " ");
    assert!(
        said.contains("data    streams in blocks of ") && said.contains("budget 128.0 KiB"),
        "{said}"
    );
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(model("whole"), model("blocks"));

    let config = fs::read_to_string(place.path("blocks/config.toml")).unwrap();
    assert!(
        config.contains("device-memory = \"131072\"") && config.contains("data = \"streams"),
        "{config}"
    );
    let again = ["train", "--config", "blocks/config.toml", "--out", "again", "--json"];
    let again = events(&place.ok(&again));
    assert_eq!(again[0].1["stream_block_rows"].as_u64().unwrap() % 32, 0);
    assert!(again[0].1["device_bytes"].as_u64().unwrap() <= 131_072);
    assert_eq!(model("whole"), model("again"));

    let plan = place.ok(&[
        "plan",
        DIGITS,
        "--target",
        "digit",
        "--hidden",
        "16",
        "--device-memory",
        "128KiB",
    ]);
    assert!(plan.contains("\ndata streams in blocks of "), "{plan}");
    place.refused(
        1,
        &with(&["--device-memory", "10KiB"]),
        &["blocks of 32 rows", "10240 (--device-memory)"],
    );
    place.refused(2, &with(&["--device-memory", "much"]), &["--device-memory: \"much\"", "512MiB"]);
}

#[test]
fn a_table_beyond_the_hosts_memory_trains_the_same_model() {
    let place = Place::new();
    let train = ["train", DIGITS, "--target", "digit", "--hidden", "16", "--epochs", "2"];
    let with = |more: &[&'static str]| [&train[..], more].concat();
    place.ok(&with(&["--out", "whole"]));
    let stored = ["--host-memory", "800KiB", "--table-cache", "cache"];
    let with_cache = |out: &'static str| with(&[&stored[..], &["--out", out]].concat());
    let output = place.run(&with_cache("stored"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stderr).replace("\n        ", " ");
    // 1,438 rows of 64 numbers; a fifth and half of 800 KiB.
    for part in [
        "the features take 359.5 KiB, more than the 160.0 KiB",
        "half of the host memory is 400.0 KiB",
        "digits.csv: kept as numbers in cache/",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(model("whole"), model("stored"));
    let config = fs::read_to_string(place.path("stored/config.toml")).unwrap();
    assert!(config.contains("host-memory = \"819200\""), "{config}");
    assert!(config.contains("table-cache = \"cache\""), "{config}");
    // The next run does not read the text again.
    let output = place.run(&with_cache("cached"));
    let said = text(&output.stderr).replace("\n        ", " ");
    assert!(said.contains("digits.csv: read from its cache, cache/"), "{said}");
    assert_eq!(model("whole"), model("cached"));
    let shown = place.ok(&["cache", "--table-cache", "cache"]);
    assert!(shown.contains("digits.csv") && shown.contains("cache: 1 table, "), "{shown}");
    let [cached] = &events(&place.ok(&["cache", "--table-cache", "cache", "--json"]))[..] else {
        panic!("one table")
    };
    let bytes = fs::metadata(cached.1["file"].as_str().map(|name| place.path(name)).unwrap());
    assert_eq!(cached.1["bytes"], bytes.unwrap().len());
    // Remarks name the folder that the command needs.
    assert!(said.contains("`wgrad cache clear --table-cache cache` deletes it"), "{said}");
    // So does a table of validation rows.
    fs::copy(DIGITS, place.path("valid.csv")).unwrap();
    let of_file =
        |out: &'static str| with(&[&stored[..], &["--valid", "valid.csv", "--out", out]].concat());
    place.ok(&with(&["--table-cache", "none", "--valid", "valid.csv", "--out", "read"]));
    for (out, part) in [
        ("first", "valid.csv: kept as numbers in cache/"),
        ("second", "valid.csv: read from its cache, cache/"),
    ] {
        let output = place.run(&of_file(out));
        let said = text(&output.stderr).replace("\n        ", " ");
        assert!(said.contains(part), "{said}");
        assert_eq!(model("read"), model(out));
    }
    let cleared = place.ok(&["cache", "clear", "--table-cache", "cache"]);
    assert!(cleared.starts_with("cache: 2 files deleted, "), "{cleared}");
    assert_eq!(fs::read_dir(place.path("cache")).unwrap().count(), 0);
    let none = ["--host-memory", "800KiB", "--table-cache", "none", "--out", "uncached"];
    let output = place.run(&with(&none));
    assert!(!text(&output.stderr).contains("kept as numbers"));
    place.refused(
        1,
        &with(&["--host-memory", "10KiB", "--table-cache", "none"]),
        &["half of the host's memory", "blocks of 32 rows", "allows 10240 (--host-memory)"],
    );
    place.refused(2, &with(&["--host-memory", "0"]), &["--host-memory: 0", "2GiB"]);
}

/// A table with a column of numbers that name rows.
fn write_colours(place: &Place) {
    let row = |i: usize| format!("{},{},{}\n", i % 7, i % 3, (i % 7) as f64 * (i % 3) as f64);
    let rows: String = (0..60).map(row).collect();
    place.write("colours.csv", format!("size,colour,y\n{rows}"));
}

#[test]
fn all_layers_are_said_in_one_option_or_in_the_file() {
    let place = Place::new();
    write_colours(&place);
    let layers = "embedding(colour=3x2), dense(8), batch_norm, silu, dropout(0.1), residual(dense(8), tanh), dense";
    let train = ["train", "colours.csv", "--target", "y", "--task", "regress", "--epochs", "3"];
    place.ok(&[&train[..], &["--layers", layers, "--out", "r"]].concat());
    let config = fs::read_to_string(place.path("r/config.toml")).unwrap();
    assert!(config.contains(&format!("layers = \"{layers}\"")), "{config}");
    assert!(!config.contains("hidden") && !config.contains("activation"), "{config}");
    place.ok(&["train", "--config", "r/config.toml", "--out", "again"]);
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(model("r"), model("again"));
    place.write(
        "f.toml",
        "table = \"colours.csv\"\ntarget = \"y\"\ntask = \"regress\"\nepochs = 3\n\
         [[layers]]\ntype = \"embedding\"\ntables = [{ column = \"colour\", vocabulary = 3, dimension = 2 }]\n\
         [[layers]]\ntype = \"dense\"\nunits = 8\n[[layers]]\ntype = \"batch_norm\"\n[[layers]]\ntype = \"silu\"\n\
         [[layers]]\ntype = \"dropout\"\nrate = 0.1\n\
         [[layers]]\ntype = \"residual\"\nlayers = [{ type = \"dense\", units = 8 }, { type = \"tanh\" }]\n\
         [[layers]]\ntype = \"dense\"\n",
    );
    place.ok(&["train", "--config", "f.toml", "--out", "file"]);
    assert_eq!(model("r"), model("file"));

    place.ok(&["evaluate", "r", "colours.csv"]);
    place.write("new.csv", "size,colour\n1,2\n1,3\n");
    // A row of an id that no table has stays without a prediction.
    let out = place.ok(&["predict", "r", "new.csv"]);
    assert!(out.ends_with("\n1,3,\n") && out.lines().count() == 3, "{out}");
    let with = |more: &[&'static str]| [&train[..], more].concat();
    for (args, parts) in [
        (
            &["--layers", "dense(8), swish7, dense"][..],
            &["--layers: layer 1 (swish7): unknown layer; known: dense"][..],
        ),
        (&["--layers", "dense(8, width=3)"], &["unknown argument \"width\" of dense"]),
        (&["--layers", "embedding(color=3x2), dense"], &["\"color\"", "`size`, `colour`"]),
        (&["--layers", "dense", "--norm", "batch"], &["--norm: --layers says"]),
        (&["--norm", "group"], &["--norm", "none, batch, layer, rms"]),
        (&["--dropout", "1"], &["--dropout: 1, but"]),
        (&["--activation", "x +"], &["--activation: \"x +\": expected"]),
    ] {
        place.refused(2, &with(args), parts);
    }
    place.refused(
        1,
        &with(&["--layers", "embedding(colour=2x2), dense"]),
        &["row 3: 2 in column `colour`"],
    );
}

#[test]
fn a_message_says_where_and_what_to_do() {
    let place = Place::new();
    place.write("t.csv", format!("a,b,y\n{}", "1,2,u\n2,1,v\n".repeat(10)));
    place.write("one.csv", "a,y\n1,u\n2,u\n");
    place.write("light.csv", "a,w,y\n1,0,2\n2,0,3\n");
    place.write("f.toml", "layers = [\"dense(4)\", { type = \"dropout\", rate = 3 }, \"dense\"]\n");
    let plan = |args: &'static str| [&["plan"], &args.split(' ').collect::<Vec<_>>()[..]].concat();
    for (code, args, said) in [
        (
            2,
            "t.csv --target y --layers dense(4),dropout(2),dense",
            "--layers: layer 1 (dropout(2)): rate 2, but it must be at least 0 and below 1",
        ),
        (
            2,
            "t.csv --target y --config f.toml",
            "f.toml: layers: layer 1 (dropout(3)): rate 3, but it must be at least 0 and below 1",
        ),
        (
            2,
            "t.csv --target y --layers residual(dense(5)),dense",
            "--layers: layer 0 (residual(dense(5))): the layers inside give 5 columns for 2, so that their sum with the input \
             makes no sense; let the last of them give 2",
        ),
        (
            2,
            "t.csv --target y --layers branches((dense(4)),(relu,dense(0))),dense",
            "--layers: layer 0.1.1 (dense(0)): 0 units, but at least 1 is needed",
        ),
        (
            2,
            "t.csv --target y --layers dense(4),dense(7)",
            "--layers: the last one gives 7 outputs, but the target needs 2; let it give 2, as a dense layer with so many units \
             does",
        ),
        (
            2,
            "t.csv --target y --layers dense(4),,dense",
            "--layers: nothing stands at place 1 of \"dense(4),,dense\"; remove a comma, or write what is missing",
        ),
        (
            2,
            "t.csv --target y --layers dense(4",
            "--layers: \"dense(4\" leaves a parenthesis open; close it",
        ),
        (
            1,
            "t.csv --target y --hidden 4000000000",
            "parameter 0.weight: with [4000000000, 2] the network has more than 2^32 numbers; use smaller layers",
        ),
        (
            1,
            "one.csv --target y",
            "one.csv: column `y`: every row has the class `u`; add rows of another class, or choose another --target",
        ),
        (
            1,
            "light.csv --target y --weight w",
            "light.csv: all weights are 0, so that no row would count; name another column in --weight, or leave it out",
        ),
        (
            1,
            "light.csv --target y --weight y",
            "light.csv: column `y` cannot be both target and weight; name another column in --weight, or leave it out",
        ),
        (
            1,
            "light.csv --target y --ignore a,w",
            "light.csv: no column is left for features, which takes at least one: leave one out of --ignore, or name one in \
             --features",
        ),
        (
            1,
            "light.csv --target y --group y",
            "light.csv: column `y` cannot be both target or weight and the column by which rows are split; name another one in \
             --group or --split-column",
        ),
        (
            2,
            "t.csv --target y --class-weights q=2",
            "--class-weights: q is none of the classes `u`, `v`; correct its name",
        ),
        (1, "t.csv --target y,y", "t.csv: the target `y` is named twice; name it once in --target"),
        (
            2,
            "light.csv --target y --optimizer custom(v=g)",
            "--optimizer: custom: nothing is assigned to w, the weight; end with such as w = w - lr * g",
        ),
        (
            2,
            "t.csv --target y --layers custom(x+x1),dense",
            "--layers: layer 0 (custom(x+x1)): \"x + x1\" uses x1, but 0 learned vectors are given a start; give each one, as in \
             custom(x + x1, 0.5)",
        ),
    ] {
        let want = format!("error: {said}\n");
        place.refused(code, &plan(args), &[&want]);
    }
}

#[test]
fn norms_dropout_and_expressions_stand_after_each_hidden_layer() {
    let place = Place::new();
    write_colours(&place);
    let train = [
        "--target",
        "y",
        "--task",
        "regress",
        "--hidden",
        "8,4",
        "--norm",
        "layer",
        "--dropout",
        "0.1",
    ];
    let plan = [&["plan", "colours.csv"], &train[..], &["--activation", "x * sigmoid(x)"]].concat();
    let plan = place.ok(&plan);
    let rows = [
        "dense",
        "layer_norm",
        "custom",
        "dropout",
        "dense",
        "layer_norm",
        "custom",
        "dropout",
        "dense",
    ];
    for (index, name) in rows.iter().enumerate() {
        assert!(plan.contains(&format!("\n{index}   {name} ")), "{index} {name}: {plan}");
    }
    let more = ["--activation", "x * sigmoid(x)", "--epochs", "2", "--out", "r"];
    place.ok(&[&["train", "colours.csv"], &train[..], &more].concat());
    let config = fs::read_to_string(place.path("r/config.toml")).unwrap();
    for part in ["activation = \"x * sigmoid(x)\"", "norm = \"layer\"", "dropout = 0.1"] {
        assert!(config.contains(part), "{part}: {config}");
    }
    place.ok(&["train", "--config", "r/config.toml", "--out", "again"]);
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(model("r"), model("again"));
}

#[test]
fn evaluation_agrees_with_training() {
    let place = Place::new();
    for (table, target, keys) in [
        ("classes.csv", "kind", &["loss", "accuracy"][..]),
        ("numbers.csv", "y", &["loss", "r2", "mae", "rmse"]),
    ] {
        let all = fs::read_to_string(place.path(table)).unwrap();
        let lines: Vec<_> = all.lines().collect();
        place.write("train.csv", lines[..41].join("\n"));
        place.write("valid.csv", [&lines[..1], &lines[41..]].concat().join("\n"));
        let run = format!("run-{target}");
        place.ok(&[
            "train",
            "train.csv",
            "--target",
            target,
            "--valid",
            "valid.csv",
            "--epochs",
            "5",
            "--out",
            &run,
        ]);
        let metrics = place.json(&format!("{run}/metrics.json"));
        // A model file will do as well as its folder.
        for what in [run.clone(), format!("{run}/model.safetensors")] {
            let (name, got) =
                events(&place.ok(&["evaluate", &what, "valid.csv", "--json"])).remove(0);
            assert_eq!((name.as_str(), &got["rows"]), ("evaluated", &Value::from(20)));
            for key in keys {
                let (got, want) = (
                    got[*key].as_f64().unwrap(),
                    metrics[&format!("valid_{key}")].as_f64().unwrap(),
                );
                // Other batch sizes may add in another order.
                assert!((got - want).abs() <= 1e-6 * (1.0 + want.abs()), "{key}: {got} {want}");
            }
        }
        let plain = place.ok(&["evaluate", &run, "valid.csv"]);
        assert!(plain.starts_with("20 rows, loss "), "{plain}");
        let shown = if target == "kind" { "\n  roc_auc " } else { "\n  explained_variance " };
        assert!(plain.contains(shown) && plain.contains("precision") == (target == "kind"));
    }
}

#[test]
fn predictions_are_new_columns_beside_rows_in_order() {
    let place = Place::new();
    place.ok(&[
        "train",
        "classes.csv",
        "--target",
        "kind",
        "--hidden",
        "8",
        "--epochs",
        "40",
        "--lr",
        "0.01",
        "--out",
        "r",
    ]);
    // More rows than are read at once, columns in another order, a text column, and no target.
    let mut table = "id,b,a\n".to_string();
    for i in 0..5000 {
        writeln!(
            table,
            "\"row, {i}\",{},{}",
            f64::from(i * i % 11) / 2.0 - 2.5,
            f64::from(i % 7) - 3.0
        )
        .unwrap();
    }
    place.write("new.csv", &table);
    assert_eq!(place.ok(&["predict", "r", "new.csv", "--out", "out.csv"]), "");
    let written = fs::read_to_string(place.path("out.csv")).unwrap();
    assert_eq!(written, place.ok(&["predict", "r", "new.csv"]));
    let mut right = 0;
    for (i, (line, source)) in written.lines().zip(table.lines()).enumerate() {
        let rest = line.strip_prefix(source).unwrap_or_else(|| panic!("{i}: {line}"));
        if i == 0 {
            assert_eq!(rest, ",kind_predicted,kind_probability_down,kind_probability_up");
            continue;
        }
        let cells: Vec<_> = rest.split(',').skip(1).collect();
        let (down, up): (f64, f64) = (cells[1].parse().unwrap(), cells[2].parse().unwrap());
        assert!((down + up - 1.0).abs() < 1e-6, "{line}");
        assert_eq!(cells[0], if up > down { "up" } else { "down" }, "{line}");
        let values: Vec<f64> =
            source.rsplit(',').take(2).map(|cell| cell.parse().unwrap()).collect();
        right += usize::from((cells[0] == "up") == (values[0] + values[1] > 0.1));
    }
    assert_eq!(written.lines().count(), 5001);
    assert!(right > 4700, "{right}");
    place.refused(1, &["predict", "r", "out.csv.missing"], &["cannot read out.csv.missing"]);
    place.refused(1, &["predict", "r", "numbers.csv", "--out", "out.csv/x"], &["out.csv/x"]);
    place.write("taken.csv", "a,b,kind_predicted\n1,2,3\n");
    let output = place.run(&["predict", "r", "taken.csv"]);
    let (said, table) = (text(&output.stderr), text(&output.stdout));
    assert!(
        said.contains("a column kind_predicted already; the new one is kind_predicted_2"),
        "{said}"
    );
    assert!(
        table.starts_with("a,b,kind_predicted,kind_predicted_2,kind_probability_down,"),
        "{table}"
    );
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("1,2,3,")), "{table}");
    place.write("other.csv", "a,c\n1,2\n");
    place.refused(
        1,
        &["predict", "r", "other.csv"],
        &["other.csv", "no column `b`", "`c`", "is this the right table?"],
    );
    place.write("bad.csv", "a,b\n1,2\n1,x\n");
    place.refused(
        1,
        &["predict", "r", "bad.csv", "--out", "never.csv"],
        &["bad.csv:3", "column `b`", "`x`"],
    );
    place.write("strange.csv", "a,b,kind\n1,2,sideways\n");
    place.refused(
        1,
        &["evaluate", "r", "strange.csv"],
        &["strange.csv:2", "`sideways`", "`down`, `up`"],
    );
}

#[test]
fn bad_tables_are_refused_with_place_and_remedy() {
    let place = Place::new();
    let rows = |text: &str, line: &str| format!("{text}{}", line.repeat(10));
    for (table, words) in [
        (String::new(), &["t.csv", "empty", "header"][..]),
        ("a,y\n".into(), &["t.csv", "no rows"]),
        (rows("a,y\n1,2,3\n", "1,2\n"), &["t.csv:2", "3 columns", "header has 2"]),
        (
            rows("a,y\n1,2\nred,2\n", "1,2\n"),
            &[
                "t.csv:3",
                "column `a`",
                "`red`",
                "11 of 12 cells are",
                "--missing red",
                "a:category",
            ],
        ),
        (rows("a,y\ninf,2\n", "1,2\n"), &["t.csv:2", "column `a`", "`inf`", "finite"]),
        (rows("a,a,y\n1,2,3\n", "1,2,3\n"), &["t.csv", "both named `a`", "rename"]),
        (rows("a,target\n1,2\n", "1,2\n"), &["t.csv", "no column `y`", "`a`, `target`"]),
        (rows("a,y\n1,\"once\n", "1,u\n2,v\n"), &["t.csv:2", "a quote opens a cell here"]),
        (
            rows("a,y\n", "1,same\n"),
            &["t.csv", "every row has the class `same`", "add rows of another class"],
        ),
        (rows("a;b;y\n", "1;2\n"), &["t.csv", "semicolon"]),
        (rows("a|b|y\n", "1|2\n"), &["t.csv", "vertical bar"]),
        (rows("# from a friend\na,y\n", "1,2\n"), &["t.csv", "comment"]),
        (rows("a,y,\n1,2,3\n", "1,2,\n"), &["t.csv", "the header ends in a comma"]),
        (rows("a,y\n1,2,\n", "1,2\n"), &["t.csv:2", "the line ends in a comma"]),
        (rows("a,y\n \n", "1,2\n"), &["t.csv:2", "a line of blanks"]),
        (rows("a,y\n\"1,000\",2\n1000,2\n", "1,2\n"), &["t.csv:2", "thousands without separators"]),
        (rows("\u{1b}[2J,y\nx,2\n", "1,2\n"), &["column `\\u{1b}[2J`"]),
    ] {
        place.write("t.csv", &table);
        place.refused(1, &["train", "t.csv", "--target", "y"], words);
    }
    place.write("t.csv", [b"a,y\n1,\xff\n".as_slice()].concat());
    place.refused(1, &["train", "t.csv", "--target", "y"], &["t.csv:2", "UTF-8"]);
    place.refused(
        1,
        &["train", "absent.csv", "--target", "y"],
        &["cannot read absent.csv", "No such file"],
    );
    place.refused(
        1,
        &["train", "classes.csv", "--target", "kind", "--valid", "no.csv"],
        &["--valid: cannot read no.csv"],
    );
    place.refused(
        1,
        &["train", "classes.csv", "--target", "kind", "--init", "no.safetensors"],
        &["--init: cannot read no.safetensors"],
    );
    place.refused(
        1,
        &["train", DIGITS, "--target", "digt"],
        &["no column `digt`", "did you mean `digit`?"],
    );
}

#[test]
fn wrong_usage_is_code_2_and_leaves_nothing() {
    let place = Place::new();
    for (options, words) in [
        (&["--lr", "-1"][..], &["--lr: -1", "above 0"][..]),
        (&["--lr", "-1e-3"], &["--lr: -0.001", "above 0"]),
        (&["--lr", "fast"], &["--lr: \"fast\" is not a number"]),
        (&["--lr", "nan"], &["--lr: NaN"]),
        (&["--lr", "inf"], &["--lr: inf", "a finite number above 0"]),
        (&["--warmup", "-1"], &["--warmup: -1, but it must be a finite number of 0 or more"]),
        (&["--beta1", "1"], &["--beta1: 1, but it must be at least 0 and below 1"]),
        (
            &["--optimizer", "sgd", "--momentum", "1"],
            &["--momentum: 1, but it must be at least 0 and below 1"],
        ),
        (&["--epochs", "-3"], &["--epochs: \"-3\"", "above 0"]),
        (&["--epochs", "0"], &["--epochs: 0", "above 0"]),
        (&["--batch-size", "0"], &["--batch-size: 0"]),
        (&["--hidden", "64,-2"], &["--hidden", "\"-2\"", "none"]),
        (&["--hidden", "-2"], &["--hidden", "\"-2\""]),
        (&["--hidden", "64,0"], &["--hidden", "\"0\""]),
        (&["--valid", "1.5"], &["--valid: 1.5", "below 1"]),
        (&["--valid", "-0.1"], &["--valid: -0.1"]),
        (&["--seed", "-1"], &["--seed: \"-1\""]),
        (&["--warmup", "31"], &["--warmup", "31", "30"]),
        (&["--activation", "rilu"], &["--activation", "\"rilu\"", "relu, leaky_relu"]),
        (&["--loss", "l3"], &["--loss", "\"l3\"", "cross-entropy, focal", "mse, mae"]),
        (&["--loss", "mse"], &["--loss", "mse does not fit", "classes"]),
        (&["--optimizer", "lyon"], &["--optimizer", "\"lyon\"", "sgd, adam, adamw"]),
        (&["--schedule", "steps"], &["--schedule", "\"steps\"", "one-cycle"]),
        (&["--schedule", "step"], &["--schedule: step needs every: write step(every=NUMBER)"]),
        (&["--scale", "maxmin"], &["--scale", "maxmin", "standard"]),
        (&["--task", "cluster"], &["--task", "auto, classify, regress"]),
        (&["--init", "ones"], &["--init", "\"ones\"", "kaiming-uniform"]),
        (&["--momentum", "0.9"], &["--momentum", "adamw", "sgd"]),
        (&["--optimizer", "sgd", "--beta1", "0.9"], &["--beta1", "sgd", "adam, adamw"]),
        (&["--optimizer", "sgd", "--nesterov"], &["--nesterov", "--momentum"]),
        (&["--nesterov", "maybe"], &["--nesterov", "sgd"]),
        (&["--shuffle", "maybe"], &["--shuffle", "true or false"]),
        (&["--precision", "bf16"], &["--precision", "bf16", "f32, f16"]),
        (
            &["--precision", "f16", "--device", "cpu"],
            &["--precision: f16 is for GPUs", "--precision f32", "wgrad adapters"],
        ),
        (&["--device", ""], &["--device", "auto, gpu, software, cpu"]),
        (&["--epoch", "3"], &["'--epoch'", "--epochs"]),
        (&["--lr"], &["--lr", "value is required"]),
    ] {
        let mut args = vec!["train", "classes.csv", "--target", "kind"];
        args.extend(options);
        if options == ["--lr"] {
            args.push("--quiet");
        }
        place.refused(2, &args, words);
    }
    place.refused(
        2,
        &["train", "classes.csv"],
        &["--target: missing", "classes.csv has `a`, `b`, `kind`"],
    );
    place.refused(
        2,
        &["train", "absent.csv"],
        &["--target: missing; name the column to predict\n"],
    );
    place.refused(
        1,
        &["plan", "classes.csv", "--target", "kind", "--device", "no-such-adapter"],
        &["no-such-adapter"],
    );
    place.refused(2, &["train", "--target", "kind"], &["TABLE: missing"]);
    place.refused(2, &["trian", "classes.csv"], &["'trian'", "train"]);
    place.refused(
        1,
        &["train", "classes.csv", "--target", "kind", "--device", "no-such-adapter"],
        &["no-such-adapter"],
    );
    place.refused(
        2,
        &["train", "numbers.csv", "--target", "y", "--loss", "cross-entropy"],
        &["--loss", "numbers"],
    );
    let output = place.run(&["--help"]);
    assert!(output.status.success() && text(&output.stdout).contains("predict"));
    assert!(text(&output.stdout).contains("A RUN is the folder that train leaves"));
}

#[test]
fn settings_files_are_checked() {
    let place = Place::new();
    for (file, code, words) in [
        ("epoch = 3\n", 2, &["f.toml", "`epoch`", "did you mean `epochs`?"][..]),
        ("batch_size = 3\n", 2, &["did you mean `batch-size`?"]),
        ("lr = \"quick\"\n", 2, &["f.toml: lr", "\"quick\" is not a number"]),
        ("lr = -0.5\n", 2, &["f.toml: lr: -0.5", "above 0"]),
        ("lr = 0.5\nepochs =\n", 2, &["f.toml:2", "not TOML"]),
        ("hidden = [8, 0]\n", 2, &["f.toml: hidden", "\"0\""]),
    ] {
        place.write("f.toml", file);
        place.refused(
            code,
            &["train", "classes.csv", "--target", "kind", "--config", "f.toml"],
            words,
        );
    }
    place.refused(
        1,
        &["train", "classes.csv", "--target", "kind", "--config", "g.toml"],
        &["--config: cannot read g.toml"],
    );
    place.write("h.toml", "table = \"absent.csv\"\ntarget = \"kind\"\nvalid = \"v.csv\"\n");
    place.refused(
        1,
        &["train", "--config", "h.toml"],
        &["h.toml: table: cannot read absent.csv", "relative path", "first run"],
    );
    place.refused(
        1,
        &["train", "classes.csv", "--config", "h.toml"],
        &["h.toml: valid: cannot read v.csv"],
    );
    place.write("f.toml", "table = \"classes.csv\"\ntarget = \"kind\"\nhidden = []\nepochs = 1\nvalid = 0\nout = \"here\"\n");
    place.ok(&["train", "--config", "f.toml"]);
    let config = fs::read_to_string(place.path("here/config.toml")).unwrap();
    assert!(config.contains("hidden = []") && config.contains("valid = 0.0"), "{config}");
    assert!(!place.json("here/metrics.json").contains_key("valid_loss"));
}

#[test]
fn run_folders_are_only_replaced_when_told_to() {
    let place = Place::new();
    let train = ["train", "classes.csv", "--target", "kind", "--epochs", "1", "--out", "r"];
    fs::create_dir(place.path("r")).unwrap();
    place.ok(&train);
    place.write("r/notes.txt", "mine");
    place.refused(2, &train, &["--out", "r is there and not empty", "--force"]);
    let first = fs::read(place.path("r/model.safetensors")).unwrap();
    place.ok(&[&train[..], &["--force", "--seed", "5"]].concat());
    assert_ne!(fs::read(place.path("r/model.safetensors")).unwrap(), first);
    assert_eq!(fs::read(place.path("r/notes.txt")).unwrap(), b"mine");
    // Bad input does not touch the run that is there.
    place.refused(
        1,
        &["train", "absent.csv", "--target", "kind", "--out", "r", "--force"],
        &["absent.csv"],
    );
    // Nor does a run that fails before it has a model.
    let files = |names: &[&str]| -> Vec<Vec<u8>> {
        names.iter().map(|name| fs::read(place.path("r").join(name)).unwrap()).collect()
    };
    let all = ["config.toml", "history.csv", "metrics.json", "model.safetensors", "notes.txt"];
    let before = files(&all);
    place.refused(
        1,
        &[
            "train",
            "numbers.csv",
            "--target",
            "y",
            "--optimizer",
            "sgd",
            "--lr",
            "1e30",
            "--out",
            "r",
            "--force",
            "--quiet",
        ],
        &["learning rate 1e30;", "the earlier run in r is as it was"],
    );
    assert_eq!(files(&all), before);
    place.refused(
        2,
        &["train", "classes.csv", "--target", "kind", "--out", "classes.csv"],
        &["--out", "no folder"],
    );
    place.refused(
        2,
        &["train", "classes.csv", "--target", "kind", "--out", "classes.csv/in"],
        &["classes.csv is no folder"],
    );
    if cfg!(target_os = "linux") {
        place.refused(
            1,
            &["train", "classes.csv", "--target", "kind", "--out", "/proc/no/run"],
            &["cannot create /proc/no/run"],
        );
    }
}

#[test]
fn damaged_and_foreign_models_are_refused() {
    let place = Place::new();
    place.ok(&[
        "train",
        "classes.csv",
        "--target",
        "kind",
        "--hidden",
        "8",
        "--epochs",
        "1",
        "--out",
        "r",
    ]);
    let model = fs::read(place.path("r/model.safetensors")).unwrap();
    let evaluate = ["evaluate", "r", "classes.csv"];
    let init =
        ["train", "classes.csv", "--target", "kind", "--init", "w.safetensors", "--hidden", "8"];
    for (bytes, words) in [
        (model[..model.len() - 5].to_vec(), &["cut off", "train again"][..]),
        (model[..40].to_vec(), &["cut off"]),
        (b"garbage, and more of it".to_vec(), &["not a safetensors file"]),
        (vec![], &["not a safetensors file"]),
    ] {
        place.write("r/model.safetensors", &bytes);
        place.write("w.safetensors", &bytes);
        place.refused(1, &evaluate, &[&["r/model.safetensors"], words].concat());
        place.refused(1, &["predict", "r", "classes.csv"], words);
        place.refused(1, &init, &[&["w.safetensors"], words].concat());
    }
    let foreign = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    let bytes = [&(foreign.len() as u64).to_le_bytes()[..], foreign.as_bytes(), &[0; 4]].concat();
    place.write("r/model.safetensors", &bytes);
    place.refused(1, &evaluate, &["r/model.safetensors", "not a model of wgrad", "--init"]);
    place.write("w.safetensors", &bytes);
    place.refused(1, &init, &["`0.weight` [8, 2] is missing", "`w` is not in the model"]);
    place.write("w.safetensors", &model);
    place.refused(
        1,
        &["train", "classes.csv", "--target", "kind", "--init", "w.safetensors", "--hidden", "9"],
        &["`0.weight` has the shape [8, 2], but the model needs [9, 2]", "`0.bias`", "`2.weight`"],
    );
    place.refused(1, &["evaluate", "nowhere", "classes.csv"], &["nowhere", "no such run"]);
    fs::remove_file(place.path("r/model.safetensors")).unwrap();
    place.refused(1, &evaluate, &["r: no model.safetensors"]);
}

#[test]
fn weights_can_be_the_start() {
    let place = Place::new();
    let train = ["train", "classes.csv", "--target", "kind", "--hidden", "8", "--epochs"];
    place.ok(&[&train[..], &["20", "--lr", "0.01", "--out", "a"]].concat());
    place.ok(&[&train[..], &["1", "--lr", "1e-9", "--out", "b", "--init", "a/model.safetensors"]]
        .concat());
    place.ok(&[&train[..], &["1", "--lr", "1e-9", "--out", "c"]].concat());
    let loss =
        |run: &str| place.json(&format!("{run}/metrics.json"))["valid_loss"].as_f64().unwrap();
    assert!(
        (loss("a") - loss("b")).abs() < 1e-4 && loss("c") > 1.2 * loss("a"),
        "{} {} {}",
        loss("a"),
        loss("b"),
        loss("c")
    );
}

#[test]
fn a_run_can_be_used_with_other_weights() {
    let place = Place::new();
    let train = ["train", "classes.csv", "--target", "kind", "--epochs", "1", "--hidden"];
    for (width, seed, run) in [("8", "1", "a"), ("8", "2", "b"), ("9", "2", "c")] {
        place.ok(&[&train[..], &[width, "--seed", seed, "--valid", "0", "--out", run]].concat());
    }
    let weights = |run: &str| format!("{run}/model.safetensors");
    let (of_b, of_c) = (weights("b"), weights("c"));
    for command in [&["predict", "a", "classes.csv"][..], &["evaluate", "a", "classes.csv"]] {
        let own = place.ok(command);
        let others = place.ok(&[command, &["--weights", &of_b]].concat());
        // All rows are those of training in both runs, so that scaling is the same.
        assert_eq!(others, place.ok(&[&[command[0], "b"], &command[2..]].concat()));
        assert_ne!(others, own);
        let words = ["c/model.safetensors", "`0.weight` has the shape [9, 2]", "needs [8, 2]"];
        place.refused(1, &[command, &["--weights", &of_c]].concat(), &words);
    }
    for (command, option) in
        [(&["predict", "a", "classes.csv"][..], "--out"), (&["export", "a"], "--onnx")]
    {
        let onto = [command, &[option, &of_b, "--weights", &of_b, "--force"]].concat();
        place.refused(2, &onto, &[option, "is what this command reads"]);
    }
}

#[test]
fn divergence_keeps_the_last_good_epoch_or_nothing() {
    let place = Place::new();
    place.refused(
        1,
        &["train", "numbers.csv", "--target", "y", "--optimizer", "sgd", "--lr", "1e30", "--quiet"],
        &["the loss became", "step", "--lr"],
    );
    // Errors of a linear model grow by a factor at each step, until they leave the range of f32.
    let run = [
        "train",
        "numbers.csv",
        "--target",
        "y",
        "--optimizer",
        "sgd",
        "--lr",
        "3",
        "--hidden",
        "none",
    ];
    let output = place.run(
        &[&run[..], &["--batch-size", "60", "--epochs", "500", "--out", "r", "--quiet"]].concat(),
    );
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let history = fs::read_to_string(place.path("r/history.csv")).unwrap();
    let epochs = history.lines().count() - 1;
    assert!(epochs > 3 && epochs < 499, "{epochs}");
    assert!(said.contains("the best epoch (1) is kept in r/model.safetensors"), "{said}");
    assert!(!place.path("r/metrics.json").exists());
    let output = place.run(&["evaluate", "r", "numbers.csv"]);
    assert_eq!(output.status.code(), Some(0));
    let warning = "warning: this run did not finish (no metrics.json)";
    assert_eq!(text(&output.stderr).matches(warning).count(), 1);
    assert!(text(&place.run(&["predict", "r", "numbers.csv"]).stderr).contains(warning));
}

#[test]
fn predictions_that_are_no_numbers_are_errors_with_a_line() {
    let place = Place::new();
    for (table, target) in [("numbers.csv", "y"), ("classes.csv", "kind")] {
        place.ok(&[
            "train", table, "--target", target, "--epochs", "1", "--scale", "none", "--out", target,
        ]);
        let far = "3e38,1,1\n";
        let last = if target == "y" { far.to_string() } else { far.replace(",1\n", ",up\n") };
        let mut rows = fs::read_to_string(place.path(table)).unwrap();
        rows += &last;
        // Both features: no signs of weights make this a finite sum.
        rows = rows.replace("3e38,1,", "3e38,-3e38,");
        place.write("far.csv", &rows);
        let words = &["far.csv:62", "not a finite number", "3e38", "correct or remove the row"];
        for verb in ["predict", "evaluate"] {
            let output = place.run(&[verb, target, "far.csv"]);
            let said = text(&output.stderr);
            assert_eq!(
                (output.status.code(), text(&output.stdout)),
                (Some(1), String::new()),
                "{said}"
            );
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
    // A number that is beyond an f32 only in the target's own units.
    let mut rows = "a,y\n".to_string();
    for i in 0..20 {
        writeln!(rows, "{i},{}e36", 10 * i).unwrap();
    }
    place.write("big.csv", &rows);
    place.ok(&[
        "train", "big.csv", "--target", "y", "--hidden", "none", "--lr", "0.1", "--out", "big",
        "--quiet",
    ]);
    place.write("more.csv", "a\n60\n");
    let table = place.ok(&["predict", "big", "more.csv"]);
    let predicted: f64 = table.lines().nth(1).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    assert!(predicted.is_finite() && predicted > 3.5e38, "{table}");
}

#[test]
fn exported_files_are_told_of_and_not_overwritten() {
    let place = Place::new();
    place.ok(&["train", "classes.csv", "--target", "kind", "--out", "r", "--epochs", "2"]);
    assert_eq!(place.ok(&["export", "r", "--onnx", "m.onnx"]), "");
    let first = fs::read(place.path("m.onnx")).unwrap();
    place.refused(2, &["export", "r", "--onnx", "m.onnx"], &["--onnx: m.onnx is there", "--force"]);
    let told = place.ok(&["export", "r", "--onnx", "m.onnx", "--force", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["event"], &told["opset"]), (&"finished".into(), &17.into()));
    assert_eq!(told["bytes"], first.len());
    assert_eq!(fs::read(place.path("m.onnx")).unwrap(), first);
    let onto_itself = ["export", "r", "--onnx", "r/model.safetensors", "--force"];
    place.refused(2, &onto_itself, &["is what this command reads"]);
    place.refused(1, &["export", "none", "--onnx", "n.onnx"], &["no such run"]);
}

#[test]
fn predictions_do_not_overwrite_what_is_there() {
    let place = Place::new();
    place.ok(&["train", "classes.csv", "--target", "kind", "--epochs", "1", "--out", "r"]);
    let table = fs::read(place.path("classes.csv")).unwrap();
    for more in [&[][..], &["--force"]] {
        for out in ["classes.csv", "./r/../classes.csv", "r/model.safetensors"] {
            let args = ["predict", "r", "classes.csv", "--out", out];
            place.refused(2, &[&args, more].concat(), &["--out", "is what this command reads"]);
        }
    }
    assert_eq!(fs::read(place.path("classes.csv")).unwrap(), table);
    let predict = ["predict", "r", "classes.csv", "--out", "p.csv"];
    place.ok(&predict);
    for (out, name) in [
        ("new.csv.gz", "new.csv"),
        ("new.parquet", "new.csv"),
        ("new.json", "new.csv"),
        ("new.tsv", "new.csv"),
    ] {
        let args = ["predict", "r", "classes.csv", "--out", out];
        let want = format!("predictions are written as CSV; give a name such as {name}");
        place.refused(2, &args, &["--out", &want]);
    }
    place.write("p.csv", "mine");
    place.refused(2, &predict, &["--out", "p.csv is there already", "--force"]);
    assert_eq!(fs::read(place.path("p.csv")).unwrap(), b"mine");
    place.ok(&[&predict[..], &["--force"]].concat());
    assert_ne!(fs::read(place.path("p.csv")).unwrap(), b"mine");
}

#[test]
fn codes_are_classes_of_their_own() {
    let place = Place::new();
    let mut rows = "a,code\n".to_string();
    for i in 0..40 {
        writeln!(rows, "{},{}", i % 4, ["01", "1", "1e3", "1000"][i % 4]).unwrap();
    }
    place.write("codes.csv", &rows);
    place.ok(&["train", "codes.csv", "--target", " code ", "--epochs", "1", "--out", "r"]);
    let table = place.ok(&["predict", "r", "codes.csv"]);
    let wanted = "a,code,code_predicted,code_probability_01,code_probability_1,code_probability_1000,code_probability_1e3";
    assert_eq!(table.lines().next(), Some(wanted));
}

#[test]
fn errors_are_events_too() {
    let place = Place::new();
    place.ok(&["train", "classes.csv", "--target", "kind", "--epochs", "1", "--out", "r"]);
    for (code, args) in [
        (1, &["train", "absent.csv", "--target", "kind", "--json"][..]),
        (2, &["train", "classes.csv", "--target", "kind", "--lr", "0", "--json"]),
        (
            1,
            &[
                "train",
                "numbers.csv",
                "--target",
                "y",
                "--optimizer",
                "sgd",
                "--lr",
                "1e30",
                "--json",
            ],
        ),
        (1, &["evaluate", "nowhere", "classes.csv", "--json"]),
        (1, &["predict", "r", "absent.csv", "--json"]),
        (1, &["verify", "--device", "no-such-adapter", "--json"]),
        (2, &["bench", "--seconds", "0", "--json"]),
    ] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let (name, last) = events(&text(&output.stdout)).pop().unwrap();
        assert_eq!((name.as_str(), &last["code"]), ("error", &Value::from(code)), "{args:?}");
        let said = format!("error: {}", last["message"].as_str().unwrap());
        assert!(text(&output.stderr).contains(&said), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn small_runs_are_told_of_in_the_singular_and_strange_names_are_harmless() {
    let place = Place::new();
    place.write("t.csv", "a\u{1b}[2J,y\n1,3\n2,3\n3,3\n");
    let args = ["train", "t.csv", "--target", "y", "--epochs", "1", "--valid", "0", "--out", "r"];
    let output = place.run(&[&args[..], &["--batch-size", "3"]].concat());
    let said = text(&output.stderr);
    assert!(said.contains("3 rows to train, 1 feature\n"), "{said}");
    assert!(said.contains("1 epoch of 1 step, batches of 3 rows\n"), "{said}");
    assert!(said.contains("warning: the target y is 3 in all training rows"), "{said}");
    place.write("one.csv", "a\u{1b}[2J,y\n5,3\n");
    let output = place.run(&["predict", "r", "one.csv"]);
    assert!(text(&output.stderr).contains("1 row in "), "{}", text(&output.stderr));
    assert!(place.ok(&["evaluate", "r", "one.csv"]).starts_with("1 row, loss "));
    // Constant, and so named in a warning.
    place.write("t.csv", "a\u{1b}[2J,y\n1,3\n1,4\n1,5\n");
    let output = place.run(&[&args[..], &["--force"]].concat());
    let said = text(&output.stderr);
    assert!(
        said.contains("tell the network nothing: `a\\u{1b}[2J`") && !said.contains('\u{1b}'),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_a_usable_model() {
    for signal in ["-INT", "-TERM"] {
        let place = Place::new();
        let args = [
            "train", DIGITS, "--target", "digit", "--epochs", "1000000", "--out", "my r", "--json",
        ];
        let child =
            place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        let lines = || {
            fs::read_to_string(place.path("my r/history.csv")).unwrap_or_default().lines().count()
        };
        while lines() < 3 {
            assert!(begun.elapsed() < Duration::from_secs(60), "no epoch ends");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        let (name, last) = events(&text(&output.stdout)).pop().unwrap();
        assert_eq!(name, "interrupted");
        assert!(said.contains("stopping after the steps under way; Ctrl-C again"), "{said}");
        let metrics = place.json("my r/metrics.json");
        assert_eq!(metrics["interrupted"], true);
        assert_eq!(metrics["steps"], last["steps"]);
        // The figures are those of the weights on disk.
        let hint = said.lines().find_map(|line| line.split("wgrad train ").nth(1)).unwrap();
        assert!(said.contains("a fresh optimizer"), "{said}");
        let left = 1_000_000 - metrics["epoch"].as_u64().unwrap();
        assert!(hint.contains(&format!("--epochs {left} ")), "{hint}");
        // As a shell takes it, but for one epoch.
        let shown = hint.replace(&left.to_string(), "1");
        let shell = format!("exec \"$0\" train {shown} --lr 1e-12 --weight-decay 0");
        let mut next = Command::new("sh");
        next.args(["-c", &shell, env!("CARGO_BIN_EXE_wgrad")]).current_dir(place.0.path());
        let output = next.output().unwrap();
        assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
        let (got, want) = (place.json("my r-2/metrics.json"), &metrics["valid_loss"]);
        let (got, want) = (got["valid_loss"].as_f64().unwrap(), want.as_f64().unwrap());
        assert!((got - want).abs() < 1e-3 * (1e-3 + want), "{got} {want}");
        place.ok(&["evaluate", "my r", DIGITS]);
    }
}

/// Starts the program, and asks it to stop once it has said or done something.
#[cfg(unix)]
fn stopped(place: &Place, args: &[&str], ready: impl Fn() -> bool) -> (Option<i32>, String) {
    let child = place.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{args:?} does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[cfg(unix)]
#[test]
fn an_interrupted_prediction_says_what_is_not_there() {
    let place = Place::new();
    place.ok(&["train", "classes.csv", "--target", "kind", "--epochs", "1", "--out", "r"]);
    place.write("long.csv", format!("a,b\n{}", "1,2\n".repeat(3_000_000)));
    let before = place.names().len();
    // The temporary file shows that rows are under way.
    let args = ["predict", "r", "long.csv", "--out", "p.csv"];
    let (code, said) = stopped(&place, &args, || place.names().len() > before);
    assert_eq!(code, Some(130), "{said}");
    assert!(
        said.contains("stopped after ") && said.contains(" rows; p.csv was not written"),
        "{said}"
    );
    assert_eq!(place.names().len(), before);
}

#[cfg(unix)]
#[test]
fn an_interrupt_before_the_first_step_says_so() {
    let place = Place::new();
    // A pipe that nobody writes to: the table is being read for as long as it takes.
    let pipe = place.path("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let begun = Instant::now();
    let args = ["train", "pipe.csv", "--target", "y"];
    let (code, said) = stopped(&place, &args, || begun.elapsed() > Duration::from_millis(1500));
    assert_eq!(
        (code, said.as_str()),
        (Some(130), "stopped before the first step; nothing was written\n")
    );
    assert!(!place.path("runs").exists());
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_error_but_a_full_disk_is() {
    let place = Place::new();
    place.ok(&["train", "classes.csv", "--target", "kind", "--epochs", "1", "--out", "r"]);
    let mut table = "a,b\n".to_string();
    table += &"1,2\n".repeat(50_000);
    place.write("long.csv", table);
    for args in [
        &["predict", "r", "long.csv"][..],
        &["predict", "r", "long.csv", "--json"],
        &["plan", DIGITS, "--target", "digit"],
    ] {
        let mut child =
            place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("panicked"));
    }
    if cfg!(target_os = "linux") {
        let full = || fs::File::options().write(true).open("/dev/full").unwrap();
        for args in [
            &["predict", "r", "long.csv"][..],
            &["evaluate", "r", "classes.csv"],
            &["adapters"],
            &["plan", DIGITS, "--target", "digit"],
        ] {
            let output = place.command(args).stdout(full()).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{args:?}");
            assert!(
                text(&output.stderr).contains("cannot write standard output"),
                "{args:?}: {}",
                text(&output.stderr)
            );
        }
        place.refused(
            1,
            &["predict", "r", "long.csv", "--out", "/dev/full"],
            &["cannot write /dev/full"],
        );
    }
}

#[test]
fn plans_and_adapters_are_printed() {
    let place = Place::new();
    let plan = place.ok(&["plan", DIGITS, "--target", "digit", "--hidden", "16"]);
    assert!(
        plan.contains("64 -> 16")
            && plan.contains("matmul_nt +bias +relu")
            && plan.contains("memory: "),
        "{plan}"
    );
    assert!(!plan.contains("f16"), "{plan}");
    let half = place.ok(&["plan", DIGITS, "--target", "digit", "--precision", "f16"]);
    for part in ["x[32,64]:f16", "check_finite", "half_params", "rescale"] {
        assert!(half.contains(part), "{part}: {half}");
    }
    assert!(!place.path("runs").exists());
    let adapters = place.ok(&["adapters"]);
    assert!(
        adapters.contains("CPU (cpu") && adapters.contains("--device auto takes"),
        "{adapters}"
    );
}

#[test]
#[cfg(feature = "gpu")]
fn half_precision_is_recorded_and_read_back_or_refused() {
    let place = Place::new();
    let software = ["--device", "software", "--epochs", "2", "--precision", "f16"];
    let args = [&["train", DIGITS, "--target", "digit", "--out", "half"], &software[..]].concat();
    let adapters = place.ok(&["adapters"]);
    let Some((_, software)) = adapters.split_once("(software adapter") else {
        assert!(std::env::var_os("REQUIRE_GPU").is_none(), "no software adapter: {adapters}");
        let skipped = b"SKIPPED, no software adapter\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped);
        return;
    };
    let features = software.lines().find(|line| line.trim().starts_with("features")).unwrap();
    if !features.contains("f16") {
        place.refused(1, &args, &["SHADER_F16", "--precision f32"]);
        return;
    }
    let output = place.run(&args);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("in half precision (f16)"), "{said}");
    let config = std::fs::read_to_string(place.path("half/config.toml")).unwrap();
    assert!(config.contains("precision = \"f16\""), "{config}");
    let again = ["train", "--config", "half/config.toml", "--out", "again"];
    let again = place.ok(&[&again[..], &["--device", "software", "--json"]].concat());
    let (name, started) = &events(&again)[0];
    assert_eq!((name.as_str(), &started["precision"]), ("started", &Value::from("f16")));
    let weights =
        |run: &str| std::fs::read(place.path(&format!("{run}/model.safetensors"))).unwrap();
    assert_eq!(weights("half"), weights("again"));
}

#[test]
fn kernels_are_verified() {
    let place = Place::new();
    let said = place.ok(&["verify", "--device", "cpu"]);
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("CPU (cpu") && last.ends_with(" passed, 0 failed"), "{said}");
    assert!(said.lines().count() <= 2, "the sum, and forms that were left out: {said}");
    let rows = place.ok(&["verify", "--device", "cpu", "-v"]);
    assert!(rows.lines().last() == said.lines().last() && rows.lines().count() > 50, "{rows}");
    assert!(rows.contains("matmul_nt +bias +relu f16 [") && rows.contains("rescale ["), "{rows}");
    for row in rows.lines().filter(|line| line.contains(" cases, ")) {
        assert!(row.ends_with(" of limit: ok") && row.chars().count() <= 80, "{row}");
    }
    let events = events(&place.ok(&["verify", "--device", "cpu", "--json"]));
    let (name, sum) = events.last().unwrap();
    assert_eq!((name.as_str(), &sum["passed"]), ("finished", &Value::from(events.len() - 1)));
}

#[test]
fn bench_times_a_network_of_any_sizes_by_single_kernels_too() {
    let bench = |args: &[&str]| {
        let usual = ["bench", "--seconds", "0.01", "--no-verify", "--quiet"];
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(usual).args(args).output().unwrap()
    };
    let sizes = ["--network", "4,8,3", "--batch-size", "16", "--device", "software"];
    // A whole step by one dispatch, then its kernels.
    for (more, kernels) in [(&[] as &[&str], 1), (&["--single-kernels"], 5)] {
        let output = bench(&[&sizes, more, &["--profile", "--json"]].concat());
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["workload"] == "4-8-3"), "{lines:?}");
        let found = lines.iter().filter(|line| line["event"] == "kernel").count();
        assert!(found == 1 && kernels == 1 || found >= kernels && kernels > 1, "{lines:?}");
    }
    let output = bench(&["--network", "4,8,3", "--predict", "--device", "cpu", "--json"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows: Vec<_> = lines.iter().map(|line| line["rows"].as_u64().unwrap()).collect();
    assert_eq!(rows, [1, 16, 256, 4096, 65_536]);
    for line in &lines {
        let (call, rate) = (line["call_ms"].as_f64().unwrap(), line["rows_s"].as_f64().unwrap());
        let by_call = 1e3 * line["rows"].as_f64().unwrap() / call;
        assert!(call > 0.0 && (rate / by_call - 1.0).abs() < 1e-9, "{line}");
    }
    for (network, said) in [("4,x", "whole numbers between commas"), ("4", "at least two widths")] {
        let output = bench(&["--network", network]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{error}");
        assert!(error.contains("--network"), "{error}");
    }
}

#[test]
fn bench_prints_a_line_for_each_workload() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "bench",
        "--device",
        "cpu",
        "--workload",
        "tiny",
        "--seconds",
        "0.01",
        "--no-verify",
        "--json",
    ];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_wgrad"))
        .args(args)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["step_ms", "samples_s", "gflops", "first_step_s", "peak_device_bytes"] {
        assert!(line[key].as_f64().unwrap() > 0.0, "{key}: {line}");
    }
    assert_eq!((line["workload"].as_str(), line["device"].as_str()), (Some("tiny"), Some("cpu")));
    let wrong = std::process::Command::new(env!("CARGO_BIN_EXE_wgrad"))
        .args(["bench", "--workload", "huge"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("tiny, mnist, wide, large"));
}

#[test]
fn profile_tells_of_each_kernel_and_of_a_step() {
    let wgrad = |args: &[&str]| {
        let args = [&["bench", "--device", "cpu", "--workload", "tiny"], args].concat();
        std::process::Command::new(env!("CARGO_BIN_EXE_wgrad")).args(args).output().unwrap()
    };
    let output = wgrad(&["--profile", "--seconds", "0.05", "--no-verify", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (step, kernels) = lines.split_last().unwrap();
    assert_eq!(kernels.len(), 12);
    assert!(kernels.iter().all(|line| line["event"] == "kernel" && line["clock"] == "host"));
    let sum: f64 = kernels.iter().map(|line| line["us"].as_f64().unwrap()).sum();
    assert_eq!(step["event"], "step");
    assert!((step["kernels_us"].as_f64().unwrap() - sum).abs() < 1e-6 * sum, "{step} {sum}");
    assert!(step["step_us"].as_f64().unwrap() > 0.0);
    for (args, said) in
        [(["--tune", "slow"], "--tune: unknown name"), (["--tune-ms", "-1"], "tune-ms")]
    {
        let wrong = wgrad(&args);
        assert_eq!(wrong.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&wrong.stderr).contains(said), "{wrong:?}");
    }
}

/// Under a launcher of several processes each would write the same folder, unless they are ranks of one run.
#[test]
fn several_processes_do_not_write_one_folder() {
    let place = Place::new();
    place.write("sweep.toml", "epochs = 1\nhidden = [[4], [8]]\n");
    let train = ["train", "classes.csv", "--target", "kind", "--out", "run", "--epochs", "1"];
    let sweep =
        ["sweep", "classes.csv", "--target", "kind", "--config", "sweep.toml", "--device", "cpu"];
    let started =
        |variable: &str, args: &[&str]| place.command(args).env(variable, "4").output().unwrap();
    for variable in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let output = started(variable, &train);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        // With MPI, the process asks it, and there are no others.
        let why = if cfg!(feature = "mpi") { "MPI knows of 1" } else { "--features mpi" };
        assert!(said.contains(&format!("4 processes were started ({variable})")), "{said}");
        assert!(said.contains(why) && !place.path("run").exists(), "{said}");
        let output = started(variable, &sweep);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("a sweep without --shard is for one process"), "{said}");
    }
    place.ok(&train);
    let output = started("PMI_SIZE", &["resume", "run", "--epochs", "2"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    // Shards have folders of their own, and one process of a launcher is alone.
    let shard = [&sweep[..], &["--shard", "1/2", "--out", "shard"]].concat();
    let output = started("PMI_SIZE", &shard);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let alone = ["train", "classes.csv", "--target", "kind", "--out", "other", "--epochs", "1"];
    let output = place.command(&alone).env("PMI_SIZE", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
