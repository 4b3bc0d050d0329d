//! Several targets, labels, weights and the losses that go with them, as users of the program meet them.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a table: two features, two numbers, two labels, a count, a class, a weight.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let mut table = "a,b,\"y,1\",p,q,up,hot,n,kind,w\n".to_string();
        for i in 0..80 {
            let (a, b) = (f64::from(i % 7) - 3.0, f64::from(i * i % 11) / 2.0 - 2.5);
            let (p, q) = (100.0 + 3.0 * a - 0.5 * b, 0.01 * (a + b));
            let (up, hot) = (if a + b > 0.1 { "yes" } else { "no" }, u8::from(a > b));
            let (n, kind) = ((0.4 * a).exp().round(), if a - b > 0.2 { "x" } else { "z" });
            writeln!(table, "{a},{b},{p},{p},{q},{up},{hot},{n},{kind},{}", i % 3).unwrap();
        }
        fs::write(place.0.path().join("t.csv"), table).unwrap();
        // The features alone, to predict from.
        fs::write(place.0.path().join("new.csv"), "b,a\n0.5,2\n-2,-3\n").unwrap();
        place
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        let output = command.args(["--device", "cpu"]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn ok(&self, args: &[&str]) -> (String, String) {
        let (code, out, err) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        (out, err)
    }

    fn refused(&self, args: &[&str], word: &str) {
        let (code, _, err) = self.run(args);
        assert!(code.is_some_and(|code| code != 0), "{args:?}: {err}");
        assert!(err.contains(word), "{args:?}: {err}");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// Trains on the table without the columns that tell the target.
    fn train(&self, target: &str, more: &[&str]) -> String {
        let fixed = ["train", "t.csv", "--out", "run", "--force", "--hidden", "16"];
        let fixed = fixed.into_iter().chain(["--target", target]);
        let usual = [["--lr", "0.02"], ["--epochs", "60"]];
        let usual = usual.into_iter().filter(|pair| !more.contains(&pair[0])).flatten();
        self.ok(&fixed.chain(usual).chain(more.iter().copied()).collect::<Vec<_>>()).1
    }
}

fn header(text: &str) -> &str {
    text.lines().next().unwrap()
}

fn numbers(line: &str) -> Vec<f64> {
    line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
}

/// The table with these columns only.
fn keep(place: &Place, columns: &[&str]) {
    let text = place.read("t.csv").replace("\"y,1\"", "y;1");
    let names: Vec<String> = header(&text).split(',').map(str::to_string).collect();
    let places: Vec<usize> =
        columns.iter().map(|name| names.iter().position(|n| n == name).unwrap()).collect();
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        places.iter().map(|&place| cells[place]).collect::<Vec<_>>().join(",")
    };
    let table: String = text.lines().map(|it| line(it) + "\n").collect();
    fs::write(place.0.path().join("t.csv"), table).unwrap();
}

#[test]
fn several_numbers_are_predicted_each_in_its_own_units() {
    let place = Place::new();
    keep(&place, &["a", "p", "b", "q"]);
    place.train("p, q", &[]);
    let (out, _) = place.ok(&["predict", "run", "new.csv"]);
    assert_eq!(header(&out), "b,a,p_predicted,q_predicted");
    let row = numbers(out.lines().nth(1).unwrap());
    assert!((row[2] - 105.75).abs() < 1.0 && (row[3] - 0.025).abs() < 0.01, "{row:?}");
    let (out, _) = place.ok(&["predict", "run", "new.csv", "--json"]);
    let event: Value = serde_json::from_str(header(&out)).unwrap();
    assert!((event["predicted"]["p_predicted"].as_f64().unwrap() - row[2]).abs() < 1e-3, "{event}");
    let (out, _) = place.ok(&["evaluate", "run", "t.csv", "--json"]);
    let event: Value = serde_json::from_str(&out).unwrap();
    let figure = |name: &str| event[name].as_f64().unwrap();
    assert!(figure("r2") > 0.95 && figure("explained_variance") >= figure("r2"), "{event}");
    // The files of the run are read back.
    assert!(place.read("run/config.toml").contains("target = \"p, q\""));
    place.ok(&["train", "--config", "run/config.toml", "--out", "again"]);
    assert_eq!(
        fs::read(place.0.path().join("run/model.safetensors")).unwrap(),
        fs::read(place.0.path().join("again/model.safetensors")).unwrap()
    );
}

#[test]
fn one_name_with_a_comma_is_one_column() {
    let place = Place::new();
    let text = place.read("t.csv");
    let lines = text.lines().map(|line| {
        if line.starts_with('a') {
            "a,b,\"y,1\"\n".into()
        } else {
            line.split(',').take(3).collect::<Vec<_>>().join(",") + "\n"
        }
    });
    let table: String = lines.collect();
    fs::write(place.0.path().join("t.csv"), table).unwrap();
    place.train("y,1", &[]);
    let (out, _) = place.ok(&["predict", "run", "new.csv"]);
    assert_eq!(header(&out), "b,a,\"y,1_predicted\"");
}

#[test]
fn labels_are_texts_with_a_probability_each() {
    let place = Place::new();
    keep(&place, &["a", "b", "up", "hot"]);
    place.train("up,hot", &["--task", "labels", "--class-weights", "up=2"]);
    let (out, _) = place.ok(&["predict", "run", "new.csv"]);
    assert_eq!(header(&out), "b,a,up_predicted,up_probability_yes,hot_predicted,hot_probability");
    let row: Vec<&str> = out.lines().nth(1).unwrap().split(',').collect();
    assert_eq!((row[2], row[4]), ("yes", "1"), "{row:?}");
    let row: Vec<&str> = out.lines().nth(2).unwrap().split(',').collect();
    assert_eq!((row[2], row[4]), ("no", "0"), "{row:?}");
    let (out, _) = place.ok(&["predict", "run", "new.csv", "--json"]);
    let event: Value = serde_json::from_str(header(&out)).unwrap();
    assert_eq!(event["predicted"]["up"], "yes");
    assert!(event["probabilities"]["hot"].as_f64().unwrap() > 0.5);
    let (out, _) = place.ok(&["evaluate", "run", "t.csv", "--json"]);
    let event: Value = serde_json::from_str(&out).unwrap();
    let figure = |name: &str| event[name].as_f64().unwrap();
    // Rows all of whose labels are right are fewer than labels that are.
    assert!(
        figure("accuracy") > 0.9 && figure("balanced_accuracy") >= figure("accuracy") - 0.02,
        "{event}"
    );
    assert!(figure("roc_auc") > 0.95 && figure("log_loss") < 0.3, "{event}");
    assert!(event.get("confusion").is_none() && event.get("r2").is_none(), "{event}");
    assert!(place.read("run/config.toml").contains("class-weights = \"up=2\""));
    // A hinge has no probabilities.
    keep(&place, &["a", "b", "up"]);
    place.train("up", &["--loss", "binary-hinge"]);
    let (out, _) = place.ok(&["predict", "run", "new.csv"]);
    assert_eq!(header(&out), "b,a,up_predicted,up_score_yes");
    place.refused(&["evaluate", "run", "new.csv"], "there is no column `up`");
    let (out, _) = place.ok(&["evaluate", "run", "t.csv", "--json"]);
    let event: Value = serde_json::from_str(&out).unwrap();
    assert!(event["log_loss"].is_null() && event["roc_auc"].as_f64().unwrap() > 0.95, "{event}");
}

#[test]
fn quantiles_deviations_rates_and_scores_have_columns() {
    let place = Place::new();
    let all = place.read("t.csv");
    for (target, loss, want) in [
        ("p", "pinball(0.1, 0.9)", "p_quantile_0.1,p_quantile_0.9"),
        ("p", "gaussian-nll", "p_predicted,p_std"),
        ("n", "poisson-nll", "n_predicted"),
        ("kind", "hinge", "kind_predicted,kind_score_x,kind_score_z"),
        ("kind", "focal(gamma=1)", "kind_predicted,kind_probability_x,kind_probability_z"),
    ] {
        fs::write(place.0.path().join("t.csv"), &all).unwrap();
        keep(&place, &["a", "b", target]);
        let said = place.train(target, &["--loss", loss, "--epochs", "3"]);
        let told = "the target stays as it is";
        assert_eq!(said.contains(told), loss == "poisson-nll", "{said}");
        let (out, _) = place.ok(&["predict", "run", "new.csv"]);
        assert_eq!(header(&out), format!("b,a,{want}"));
        assert!(place.read("run/config.toml").contains(&format!("loss = \"{}", &loss[..4])));
        if loss.starts_with("pinball") || loss == "gaussian-nll" || loss == "poisson-nll" {
            let row = numbers(out.lines().nth(1).unwrap());
            let in_order = if row.len() > 3 && loss != "gaussian-nll" {
                row[2] < row[3]
            } else {
                row[row.len() - 1] > 0.0
            };
            assert!(in_order, "{loss}: {row:?}");
        }
    }
}

#[test]
fn intervals_cover_what_they_should() {
    let place = Place::new();
    keep(&place, &["a", "b", "p"]);
    for (loss, least) in [("pinball(0.05, 0.5, 0.95)", 0.6), ("gaussian-nll", 0.6)] {
        let more = ["--loss", loss, "--metrics", "coverage,pinball_0.95", "--epochs", "150"];
        place.train("p", &[&more[..], &["--lr", "0.01"]].concat());
        let outcome: Value = serde_json::from_str(&place.read("run/metrics.json")).unwrap();
        let covered = outcome["valid_coverage"].as_f64().unwrap();
        assert!((least..=1.0).contains(&covered), "{loss}: {outcome}");
        assert!(outcome["valid_pinball_0.95"].as_f64().unwrap() >= 0.0, "{outcome}");
        let (told, _) = place.ok(&["evaluate", "run", "t.csv", "--json"]);
        let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert!(told["coverage"].as_f64().is_some_and(|share| share >= least), "{told}");
    }
    // Other losses have no intervals.
    place.train("p", &["--metrics", "coverage", "--epochs", "1"]);
    let outcome: Value = serde_json::from_str(&place.read("run/metrics.json")).unwrap();
    assert!(outcome.get("valid_coverage").is_none_or(Value::is_null), "{outcome}");
}

#[test]
fn rows_have_weights() {
    let place = Place::new();
    keep(&place, &["a", "b", "p", "w"]);
    place.train("p", &["--weight", "w", "--reduction", "sum", "--lr", "0.001"]);
    let config = place.read("run/config.toml");
    assert!(
        config.contains("weight = \"w\"") && config.contains("reduction = \"sum\""),
        "{config}"
    );
    // Rows that are predicted need no weight, and those that are judged may have one.
    place.ok(&["predict", "run", "new.csv"]);
    place.ok(&["evaluate", "run", "t.csv"]);
    keep(&place, &["a", "b", "p"]);
    place.ok(&["evaluate", "run", "t.csv"]);
    place.refused(&["train", "t.csv", "--target", "p", "--weight", "w"], "there is no column `w`");
    place.refused(&["train", "t.csv", "--target", "p", "--weight", "p"], "both target and weight");
    fs::write(place.0.path().join("t.csv"), "a,w,p\n1,1,2\n2,-1,3\n3,1,1\n").unwrap();
    place.refused(
        &["train", "t.csv", "--target", "p", "--weight", "w"],
        "t.csv:3: column `w`: a weight of `-1`",
    );
}

#[test]
fn classes_have_weights() {
    let place = Place::new();
    keep(&place, &["a", "b", "kind"]);
    place.train(
        "kind",
        &["--class-weights", "balanced", "--loss", "cross-entropy(label-smoothing=0.1)"],
    );
    let config = place.read("run/config.toml");
    assert!(config.contains("loss = \"cross-entropy(label_smoothing=0.1)\""), "{config}");
    place.ok(&["evaluate", "run", "t.csv"]);
}

#[test]
fn what_does_not_go_together_is_refused_with_a_remedy() {
    let place = Place::new();
    let train = |more: &[&'static str]| [&["train", "t.csv", "--target"], more].concat();
    for (more, word) in [
        (&["p,r"][..], "there is no column `r`"),
        (&["p,p"], "the target `p` is named twice; name it once in --target"),
        (&["up,hot", "--task", "classify"], "use --task labels"),
        (&["up,hot"], "column `up`: `no` is not a number"),
        (&["n", "--task", "labels"], "but a label is one of two texts, or 0 or 1"),
        (&["p", "--loss", "huber(delta=0)"], "--loss: delta of huber is 0"),
        (&["p", "--loss", "hubert"], "known: cross-entropy, focal"),
        (&["kind", "--task", "classify", "--loss", "mae"], "--task regress"),
        (&["p", "--class-weights", "balanced"], "use --weight for rows"),
        (&["q", "--loss", "poisson-nll"], "poisson-nll needs targets of 0 or more"),
        (&["p", "--reduction", "median"], "known: mean, sum"),
    ] {
        let mut table = place.read("t.csv").replace("\"y,1\"", "y");
        // Texts are no features.
        for text in ["yes", "no", "x", "z"] {
            let other = more[0].contains("up") && matches!(text, "yes" | "no")
                || more[0].contains("kind") && matches!(text, "x" | "z");
            if !other {
                table = table.replace(&format!(",{text},"), ",1,");
            }
        }
        fs::write(place.0.path().join("u.csv"), table).unwrap();
        let mut args = train(more);
        args[1] = "u.csv";
        place.refused(&args, word);
    }
}

#[test]
fn a_model_of_before_still_loads() {
    // Written when a target was one column, all rows counted the same and a loss was a name.
    let about = r#"{"format":1,"version":"0.1.0","model":[{"dense":{"units":1,"bias":true,"init":"pytorch"}}],"loss":"mse","preparation":{"schema":{"features":["a"],"target":"y","kind":"number"},"scale":"standard","mean":[1.0],"std":[2.0],"target_mean":10.0,"target_std":4.0}}"#;
    let header = serde_json::json!({
        "__metadata__": {"wgrad": about},
        "0.bias": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "0.weight": {"dtype": "F32", "shape": [1, 1], "data_offsets": [4, 8]},
    })
    .to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend([0.5_f32, 2.0].iter().flat_map(|value| value.to_le_bytes()));
    let place = Place::new();
    fs::write(place.0.path().join("old.safetensors"), file).unwrap();
    let (out, _) = place.ok(&["predict", "old.safetensors", "new.csv"]);
    // (2 - 1)/2 · 2 + 0.5, times 4 and 10 more
    assert_eq!(out.lines().nth(1), Some("0.5,2,16.0"), "{out}");
}
