//! Figures as the program tells them: weights of rows, labels, metrics without a value, the positive class.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fmt::Write as _;

use place::{Place, event};
use serde_json::Value;

fn close(got: &Value, want: f64, what: &str) {
    let got = got.as_f64().unwrap_or_else(|| panic!("{what}: {got}"));
    assert!((got - want).abs() <= 1e-9 * (1.0 + want.abs()), "{what}: {got}, want {want}");
}

/// Rows with targets of every kind and a weight; each row as often as its weight says, or once.
fn weighed(rows: u32, repeated: bool) -> String {
    let mut table = "a,b,w,two,three,up,hot,y,z\n".to_string();
    for i in 0..rows {
        let weight = i * 7 % 11 % 4;
        let (a, b) = (f64::from(i % 7) - 3.0, f64::from(i * i % 11) / 2.0 - 2.5);
        let two = if a + b > f64::from(i % 3) - 1.0 { "yes" } else { "no" };
        let three = ["p", "q", "r"][(i % 5 % 3) as usize];
        let (up, hot) = (u8::from(a > b), u8::from(i % 4 == 0));
        let (y, z) = (3.0 * a - 0.5 * b + f64::from(i % 13), a * b);
        let (times, weight) = if repeated { (weight, 1) } else { (1, weight) };
        for _ in 0..times {
            writeln!(table, "{a},{b},{weight},{two},{three},{up},{hot},{y},{z}").unwrap();
        }
    }
    table
}

/// A table without some columns.
fn only(table: &str, kept: &[&str]) -> String {
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let line = |line: &str| {
        let cells = line.split(',').zip(&header).filter(|(_, name)| kept.contains(name));
        cells.map(|(cell, _)| cell).collect::<Vec<_>>().join(",") + "\n"
    };
    table.lines().map(line).collect()
}

#[test]
fn a_row_of_weight_2_is_as_good_as_the_row_twice_in_all_figures() {
    let place = Place::new();
    for (target, more, metrics) in [
        ("two", "", "f1,roc_auc,average_precision,ece_10,log_loss"),
        ("three", "", "top_2,f1_macro,matthews,balanced_accuracy,roc_auc"),
        ("up,hot", " --task labels", "f1_macro,f1_micro,roc_auc,brier"),
        ("y", "", "median_absolute_error,mape,explained_variance,pinball_0.3"),
        ("y,z", " --loss gaussian-nll", "coverage,median_absolute_error"),
    ] {
        let columns: Vec<&str> = ["a", "b", "w"].into_iter().chain(target.split(',')).collect();
        place.write("t.csv", &only(&weighed(40, false), &columns));
        for (name, repeated) in [("weighed", false), ("repeated", true)] {
            place.write(&format!("{name}.csv"), &only(&weighed(90, repeated), &columns));
            let args = format!(
                "t.csv --target {target}{more} --weight w --valid {name}.csv --metrics {metrics} --epochs 3 --hidden 4 \
                 --schedule plateau(patience=1) --stop-patience 2 --force --out {name}"
            );
            place.ok(&format!("train {args} --quiet"));
        }
        let [got, want] =
            ["weighed", "repeated"].map(|run| place.json(&format!("{run}/metrics.json")));
        let figures = want.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("valid_"));
        let mut compared = 0;
        for (key, value) in figures {
            close(&got[key], value.as_f64().unwrap(), &format!("{target} {key}"));
            compared += 1;
        }
        assert!(compared >= 4, "{target}: {compared}");
        assert_eq!(got["epoch"], want["epoch"]);
        let [got, want] =
            ["weighed", "repeated"].map(|name| place.evaluated(&format!("weighed {name}.csv")));
        assert!(got["rows"].as_u64().unwrap() < 90, "rows of weight 0 do not count");
        for (key, value) in want.as_object().unwrap() {
            if let Some(value) =
                value.as_f64().filter(|_| !["rows", "training_rows"].contains(&key.as_str()))
            {
                close(&got[key], value, &format!("{target} {key}"));
            }
        }
        for (got, want) in got["classes"]
            .as_array()
            .into_iter()
            .flatten()
            .zip(want["classes"].as_array().into_iter().flatten())
        {
            for key in ["precision", "recall", "f1", "weight"] {
                close(&got[key], want[key].as_f64().unwrap(), key);
            }
            assert!(got["rows"].as_f64() < got["weight"].as_f64(), "{got}");
        }
    }
    let (text, _) = place.ok("evaluate weighed weighed.csv");
    assert!(!text.contains("weight"), "numbers have no classes: {text}");
}

#[test]
fn figures_of_labels_are_of_their_yes() {
    let place = Place::new();
    let mut table = "x,z,a,b,c\n".to_string();
    for i in 0..200_u32 {
        let (x, z) = (f64::from(i * 37 % 101) / 50.0 - 1.0, f64::from(i * 53 % 97) / 48.0 - 1.0);
        let text = |on: bool| if on { "yes" } else { "no" };
        let (a, b, c) = (x + 0.4 * z > 0.1, z > 0.5 && i % 3 > 0, x < 0.9);
        writeln!(table, "{x},{z},{},{},{}", text(a), text(b), text(c)).unwrap();
    }
    place.write("t.csv", &table);
    place.ok("train t.csv --target a,b,c --task labels --epochs 6 --hidden 4 --out r --quiet");
    let (predicted, _) = place.ok("predict r t.csv --quiet");
    let header: Vec<&str> = predicted.lines().next().unwrap().split(',').collect();
    assert!(header.contains(&"b_probability_yes"), "{header:?}");
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let counts = ["a", "b", "c"].map(|label| {
        let (truth, taken) = (at(label), at(&format!("{label}_predicted")));
        let mut counts = [0.0_f64; 3];
        for line in predicted.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let (truth, taken) = (cells[truth] == "yes", cells[taken] == "yes");
            for (count, on) in counts.iter_mut().zip([truth && taken, taken, truth]) {
                *count += f64::from(u8::from(on));
            }
        }
        counts
    });
    let share = |part: f64, all: f64| if all == 0.0 { 0.0 } else { part / all };
    let figures = |[hits, taken, yes]: [f64; 3]| {
        [share(hits, taken), share(hits, yes), share(2.0 * hits, taken + yes)]
    };
    let mut all = [0.0; 3];
    counts.iter().for_each(|each| all.iter_mut().zip(each).for_each(|(all, each)| *all += each));
    let got = place.evaluated("r t.csv");
    for (place, name) in ["precision", "recall", "f1"].into_iter().enumerate() {
        let mean = counts.iter().map(|&each| figures(each)[place]).sum::<f64>() / 3.0;
        close(&got[format!("{name}_macro")], mean, name);
        close(&got[format!("{name}_micro")], figures(all)[place], name);
        assert!(got.get(name).is_none(), "of which label?");
    }
    // Neither is a share of right cells.
    assert!(
        (got["f1_micro"].as_f64().unwrap() - got["precision_micro"].as_f64().unwrap()).abs() > 1e-3
    );
    let said = place.refused("train t.csv --target a,b,c --task labels --metrics f1 --out s");
    assert!(
        said.contains(
            "--metrics: f1 is for one label, and the target has several; use f1_macro or f1_micro"
        ),
        "{said}"
    );
}

/// Numbers that follow from x.
fn line(rows: u32) -> String {
    let mut table = "x,y\n".to_string();
    (0..rows).for_each(|i| writeln!(table, "{},{}", f64::from(i) * 1.5, 3 * i).unwrap());
    table
}

#[test]
fn a_metric_without_a_value_steers_no_run() {
    let place = Place::new();
    place.write("t.csv", &line(8));
    for steered in [
        "--stop-metric r2 --stop-patience 3",
        "--stop-metric explained_variance --keep best",
        "--schedule plateau(metric=r2)",
    ] {
        let said = place.refused(&format!("train t.csv --target y --valid 0.1 {steered} --out r"));
        let (option, metric) = if steered.contains("plateau") {
            ("--schedule", "r2")
        } else {
            ("--stop-metric", steered.split(' ').nth(1).unwrap())
        };
        let want = format!(
            "error: {option}: {metric} is to be watched on the validation rows, but has no value on them: there is only one row; \
             watch another metric, such as mae or rmse, or validate on other rows with --valid"
        );
        assert!(said.contains(&want), "{said}");
        assert!(!place.path("r").exists());
    }
    let classes = "x,y\n1,a\n2,b\n3,a\n4,b\n5,a\n6,b\n7,a\n8,b\n";
    place.write("c.csv", classes);
    place.write("v.csv", "x,y\n1,a\n2,a\n3,a\n");
    for (metric, why) in [
        ("roc_auc", "has no value on them: none is of class `b`"),
        ("average_precision", "has no value on them: none is of class `b`"),
        ("recall", "is 0 on them whatever is predicted: none is of the positive class `b`"),
        ("matthews", "is 0 on them whatever is predicted: they are all of one class"),
    ] {
        let said = place.refused(&format!(
            "train c.csv --target y --valid v.csv --stop-metric {metric} --stop-patience 2 --out r"
        ));
        assert!(said.contains(&format!("--stop-metric: {metric} is to be watched")), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let said = place.refused("train t.csv --target y --stop-metric coverage --keep best --out r");
    assert!(
        said.contains(
            "coverage is to be watched on the validation rows, but has no value, since the loss mse"
        ),
        "{said}"
    );
    let said = place.refused(
        "train c.csv --target y --valid v.csv --loss hinge --stop-metric log_loss --keep best --out r",
    );
    assert!(said.contains("the loss hinge gives scores and no probabilities"), "{said}");
    // One that has a value on these rows steers.
    place.ok("train t.csv --target y --valid 0.1 --stop-metric mae --stop-patience 3 --epochs 9 --out r --quiet");
}

#[test]
fn a_metric_without_a_value_is_told_of_and_null_everywhere() {
    let place = Place::new();
    place.write("t.csv", &line(8));
    let args =
        "t.csv --target y --valid 0.1 --metrics explained_variance,mape --epochs 2 --hidden 4";
    let (_, said) = place.ok(&format!("train {args} --out r"));
    let warning = "warning: --metrics: explained_variance is asked for of the validation rows, but has no value on them: there is \
                   only one row; its value stays empty";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
    let events = place.events(&format!("{args} --out s"));
    let warned = |event: &&Value| {
        event["message"].as_str().is_some_and(|text| text.contains("explained_variance"))
    };
    assert_eq!(events.iter().filter(warned).count(), 1);
    for told in [event(&events, "epoch"), event(&events, "finished"), &place.json("r/metrics.json")]
    {
        let keys: Vec<&String> =
            told.as_object().unwrap().keys().filter(|key| key.starts_with("valid_")).collect();
        for key in ["valid_r2", "valid_explained_variance"] {
            assert_eq!(told.get(key), Some(&Value::Null), "{key}: {told}");
        }
        assert_eq!(keys.len(), 6, "{keys:?}");
        assert!(told["valid_mape"].is_f64() && told.get("valid_accuracy").is_none(), "{told}");
        assert_eq!(told.get("positive").is_some(), told.get("event").is_none());
    }
    let history = place.read("r/history.csv");
    let rows: Vec<Vec<&str>> = history.lines().map(|line| line.split(',').collect()).collect();
    for name in ["valid_r2", "valid_explained_variance"] {
        let column = rows[0].iter().position(|column| *column == name).unwrap();
        assert!(rows.len() == 3 && rows[1][column].is_empty(), "{history}");
    }
    place.write("one.csv", "x,y\n3,5\n");
    let [one, all] = ["one", "t"].map(|name| place.evaluated(&format!("r {name}.csv")));
    let keys = |told: &Value| told.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&one), keys(&all), "the same keys, whatever has a value");
    assert_eq!((one.get("r2"), one["explained_variance"].is_null()), (Some(&Value::Null), true));
    assert!(all["r2"].is_f64());
}

#[test]
fn validation_rows_that_all_weigh_nothing_are_refused() {
    let place = Place::new();
    place.write("t.csv", "x,w,y\n1,1,2\n2,1,3\n3,1,5\n");
    place.write("v.csv", "x,w,y\n1,0,2\n2,0,3\n");
    let said = place.refused("train t.csv --target y --weight w --valid v.csv --out r");
    assert!(said.contains("weight"), "{said}");
}

/// Rows of two texts, of which one is rarer and lies to the right.
fn fraud() -> String {
    let mut table = "x,status\n".to_string();
    for i in 0..300_u32 {
        let on = i % 5 == 0;
        let x = f64::from(i * 37 % 101) / 50.0 - 1.0 + if on { 4.0 } else { 0.0 };
        writeln!(table, "{x},{}", if on { "fraud" } else { "legit" }).unwrap();
    }
    table
}

#[test]
fn the_positive_class_is_named_and_can_be_chosen() {
    let place = Place::new();
    place.write("t.csv", &fraud());
    for (run, loss, more, class) in [
        ("a", "binary-cross-entropy", "", "legit"),
        ("b", "binary-cross-entropy", " --positive fraud", "fraud"),
        ("c", "cross-entropy", "", "legit"),
        ("d", "cross-entropy", " --positive fraud", "fraud"),
        ("e", "binary-hinge", " --positive fraud", "fraud"),
    ] {
        let args = format!(
            "t.csv --target status --loss {loss}{more} --metrics recall --epochs 8 --lr 0.03"
        );
        let (out, said) = place.ok(&format!("train {args} --json --out {run}"));
        let started: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert_eq!(started["positive"]["status"], class);
        let other = if class == "fraud" { "legit" } else { "fraud" };
        let order = if class == "legit" { ", the later in the order of classes" } else { "" };
        let want = format!(
            "data    the positive class of `status` is `{class}`{order}; the other is `{other}` (--positive chooses)"
        );
        assert!(said.lines().take(4).any(|line| line == want), "{said}");
        assert_eq!(place.json(&format!("{run}/metrics.json"))["positive"]["status"], class);
        let chosen = place.read(&format!("{run}/config.toml")).contains("positive = \"fraud\"");
        assert_eq!(chosen, class == "fraud");
        let (text, _) = place.ok(&format!("evaluate {run} t.csv --quiet"));
        assert!(text.contains(&format!("the positive class is `{class}`")), "{text}");
        let told = place.evaluated(&format!("{run} t.csv"));
        assert_eq!(told["positive"]["status"], class);

        let word = if loss == "binary-hinge" { "score" } else { "probability" };
        let (table, _) = place.ok(&format!("predict {run} t.csv --quiet"));
        let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
        let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
        let column = at(&format!("status_{word}_{class}"));
        if loss != "cross-entropy" {
            assert_eq!(header.len(), 4, "{header:?}");
        }
        // Target, prediction and figures are of one class.
        let rows: Vec<Vec<&str>> =
            table.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let (truth, taken) = (at("status"), at("status_predicted"));
        let middle = if word == "score" { 0.0 } else { 0.5 };
        let score = |row: &Vec<&str>| row[column].parse::<f64>().unwrap();
        for row in &rows {
            assert_eq!(score(row) > middle, row[taken] == class, "{row:?}");
        }
        let (of_it, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row[truth] == class);
        let hits = of_it.iter().filter(|row| row[taken] == class).count() as f64;
        let below: Vec<f64> = others.into_iter().map(score).collect();
        let (mut pairs, mut ordered) = (0.0, 0.0);
        for above in of_it.iter().map(|row| score(row)) {
            for below in &below {
                pairs += 1.0;
                ordered += f64::from(u8::from(*below < above)) / 2.0;
                ordered += f64::from(u8::from(*below <= above)) / 2.0;
            }
        }
        let of_it = of_it.len() as f64;
        close(&told["recall"], hits / of_it, "recall");
        assert!((told["roc_auc"].as_f64().unwrap() - ordered / pairs).abs() < 1e-3, "{told}");
        assert!(ordered / pairs > 0.9, "it learns: {ordered} of {pairs}");
    }
    let (json, _) = place.ok("predict a t.csv --json --quiet");
    let row: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(row["positive"]["status"], "legit");
    // A run that goes on keeps it.
    place.ok("resume b --epochs 9 --quiet");
    assert_eq!(place.evaluated("b t.csv")["positive"]["status"], "fraud");
    assert_eq!(place.json("b/metrics.json")["positive"]["status"], "fraud");
    place.ok("train --config b/config.toml --epochs 1 --out f --quiet");
    assert_eq!(place.json("f/metrics.json")["positive"]["status"], "fraud");
}

#[test]
fn a_positive_class_that_there_is_not_is_refused() {
    let place = Place::new();
    place.write("two.csv", &only(&weighed(60, false), &["a", "b", "two"]));
    place.write("three.csv", &only(&weighed(60, false), &["a", "b", "three"]));
    place.write("labels.csv", &only(&weighed(60, false), &["a", "b", "up", "hot"]));
    place.write("y.csv", &only(&weighed(60, false), &["a", "b", "y"]));
    for (args, want) in [
        (
            "two.csv --target two --positive maybe",
            "--positive: `maybe` is no class of `two`; there are `no`, `yes`",
        ),
        (
            "three.csv --target three --positive p",
            "but `three` has 3: `p`, `q`, `r`; leave the option out",
        ),
        (
            "three.csv --target three --metrics f1",
            "--metrics: f1 is for two classes, of which one is the positive one",
        ),
        (
            "y.csv --target y --task regress --positive 1",
            "`y` is a number; use --task classify or labels",
        ),
        (
            "labels.csv --target up,hot --task labels --positive yes",
            "`yes` does not stand in `up`, which holds `0`, `1`; it has to be a value of every label",
        ),
    ] {
        let said = place.refused(&format!("train {args} --out r"));
        assert!(said.contains(want), "{said}");
        assert!(!place.path("r").exists());
    }
    place.write("c.toml", "table = \"two.csv\"\ntarget = \"two\"\npositive = \"maybe\"\n");
    let said = place.refused("train --config c.toml --out r");
    assert!(said.contains("c.toml: positive: `maybe` is no class"), "{said}");
    // 0 and 1 say themselves which is which, as long as nobody turns them round.
    place.ok("train labels.csv --target up,hot --task labels --epochs 1 --out r --quiet");
    let (table, _) = place.ok("predict r labels.csv --quiet");
    assert!(
        table.starts_with("a,b,up,hot,up_predicted,up_probability,hot_predicted,hot_probability\n")
    );
    place.ok(
        "train labels.csv --target up,hot --task labels --positive 0 --epochs 1 --out s --quiet",
    );
    let (table, _) = place.ok("predict s labels.csv --quiet");
    assert!(table.lines().next().unwrap().ends_with("hot_predicted,hot_probability_0"), "{table}");
}

/// Temperature scaling changes probabilities, and with one network neither the likeliest class nor the order of rows.
#[test]
fn calibrated_models_have_the_least_log_loss_and_the_same_classes() {
    let place = Place::new();
    let table = weighed(300, false);
    for (target, more) in [
        ("two", ""),
        ("three", ""),
        ("three", " --members 2"),
        ("up,hot", " --task labels"),
        ("two", " --weight w"),
    ] {
        let columns: Vec<&str> = ["a", "b", "w"].into_iter().chain(target.split(',')).collect();
        place.write("t.csv", &only(&table, &columns));
        let ignore = if more.contains("weight") { "" } else { " --ignore w" };
        place.ok(&format!(
            "train t.csv --target {target} --epochs 40 --lr 0.02 --keep last --out r --force --no-report --quiet{more}{ignore}"
        ));
        let (told, _) = place.ok("calibrate r --out c.safetensors --force --json");
        let told: Value = serde_json::from_str(&told).unwrap();
        let number = |it: &Value, key: &str| it[key].as_f64().unwrap();
        assert!(number(&told, "log_loss") < number(&told, "log_loss_before"), "{target}: {told}");
        let figures = |run: &str| -> Value {
            let out = place.out(&format!("evaluate {run} r/validation.csv --json --quiet"));
            serde_json::from_str(&out).unwrap()
        };
        let (before, after) = (figures("r"), figures("c.safetensors"));
        for (it, key) in [(&before, "log_loss_before"), (&after, "log_loss")] {
            let got = number(it, "log_loss");
            assert!(
                (got - number(&told, key)).abs() < 1e-5 * got,
                "{target}{more} {key}: {got} {told}"
            );
        }
        if !more.contains("members") {
            assert_eq!(before["accuracy"], after["accuracy"], "{target}");
        }
        // A calibrated model has the least loss already.
        let again = place
            .out("calibrate c.safetensors r/validation.csv --out d.safetensors --force --json");
        let again: Value = serde_json::from_str(&again).unwrap();
        assert!((number(&again, "temperature") - 1.0).abs() < 1e-3, "{target}: {again}");
    }
    let said = place.refused("calibrate r --out c.safetensors");
    assert!(said.contains("is there already"), "{said}");
    // Rows that the network was trained on.
    for command in [
        "calibrate r t.csv --out f.safetensors",
        "report r t.csv --out f.html",
        "plot r t.csv --what roc --out f",
    ] {
        let (_, said) = place.ok(command);
        assert!(
            said.contains("of 218 rows are equal to rows that this run was trained on"),
            "{command}: {said}"
        );
    }
    assert!(place.read("f.html").contains("of 218 rows are equal to rows"));
    // Rows of the run that were edited are not taken for its own, and the message says how to go on.
    let rows = place.read("r/validation.csv");
    let lines = rows.lines().count();
    for changed in
        [rows.replacen(",yes,", ",no,", 1), rows.trim_end().rsplit_once('\n').unwrap().0.into()]
    {
        assert_ne!(changed, rows);
        place.write("r/validation.csv", &changed);
        let said = place.refused("calibrate r --out g.safetensors");
        let told = format!("changed after the run had written {} validation rows", lines - 1);
        assert!(said.contains(&told), "{said}");
        let command = "calibrate r r/validation.csv --out g.safetensors";
        assert!(said.contains(&format!("wgrad {command};")), "{said}");
        place.ok(&format!("{} --force", command.replace("g.safe", "taken.safe")));
    }
    place.write("r/validation.csv", &rows);
    place.ok("calibrate r --out g.safetensors --force");
    std::fs::remove_file(place.path("r/validation.csv")).unwrap();
    let said = place.refused("calibrate r --out h.safetensors");
    let told = format!(
        "validation.csv with {} validation rows is no more in r; put the file back",
        lines - 1
    );
    assert!(said.contains(&told) && said.contains("calibrate r TABLE --out"), "{said}");
    place.ok(
        "train t.csv --target two --ignore w --epochs 1 --valid 0 --out all --no-report --quiet",
    );
    let said = place.refused("calibrate all --out h.safetensors");
    assert!(
        said.contains("TABLE: missing: this run has no validation rows; name a table"),
        "{said}"
    );
    let said = place.refused("calibrate c.safetensors --out e.safetensors");
    assert!(said.contains("TABLE: missing: c.safetensors is a model alone"), "{said}");
    place.write("t.csv", &only(&table, &["a", "b", "y"]));
    place.ok("train t.csv --target y --epochs 1 --out n --no-report --quiet");
    let said = place.refused("calibrate n --out n.safetensors");
    assert!(said.contains("predicts numbers"), "{said}");
    assert!(!place.path("n.safetensors").exists());
}
