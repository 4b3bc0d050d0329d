//! Runs of several networks: members of an ensemble and folds are the networks of runs by themselves, byte for byte; runs that are
//! killed go on and end the same; predictions are the mean.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use place::{Place, killed};
use serde_json::Value;
use wgrad::Seed;
use wgrad::random::Purpose;

/// Runs that are killed at work, of each kind.
const KILLED: usize = 5;

/// Returns a folder with a table of classes and one of numbers, of 90 rows in 18 groups.
fn tables() -> Place {
    let place = Place::new();
    let mut random = Seed(5).stream(Purpose::Synthetic);
    let (mut classes, mut numbers) = ("a,b,kind\n".to_string(), "a,b,who,y\n".to_string());
    for row in 0..90 {
        let [a, b] = [(); 2].map(|()| random.normal());
        writeln!(classes, "{a:.4},{b:.4},{}", if a * b > 0.0 { "up" } else { "down" }).unwrap();
        writeln!(numbers, "{a:.4},{b:.4},w{},{:.4}", row / 5, 50.0 + 3.0 * a - b).unwrap();
    }
    place.write("classes.csv", &classes);
    place.write("numbers.csv", &numbers);
    place
}

const MODEL: &str = "model.safetensors";
const QUICK: &str = "--hidden 8 --epochs 6 --lr 0.02";

#[test]
fn members_are_the_networks_of_runs_by_themselves() {
    let place = tables();
    let train = format!("train classes.csv --target kind {QUICK} --seed 3");
    place.out(&format!("{train} --members 3 --out e"));
    place.out(&format!("{train} --out alone"));
    assert_eq!(
        place.bytes("alone/model.safetensors"),
        place.bytes("e/members/0/model.safetensors")
    );
    place.out(&format!("{train} --members 1 --out one"));
    assert_eq!(place.bytes("alone/model.safetensors"), place.bytes("one/model.safetensors"));
    // The other seeds follow from the first, and validation rows are the same.
    let seed = Seed(3).of_member(2).0;
    let own =
        format!("train classes.csv --target kind {QUICK} --seed {seed} --split-seed 3 --out own");
    place.out(&own);
    assert_eq!(place.bytes("own/model.safetensors"), place.bytes("e/members/2/model.safetensors"));
    let config = "train --config e/members/1/config.toml --out again";
    place.out(config);
    assert_eq!(
        place.bytes("again/model.safetensors"),
        place.bytes("e/members/1/model.safetensors")
    );
    let history = String::from_utf8(place.bytes("e/history.csv")).unwrap();
    assert_eq!(history.lines().count(), 1 + 3 * 6);
    assert!(history.starts_with("member,epoch,") && history.contains("\n2,6,"), "{history}");
    // A run that is done stays as it is.
    let model = place.bytes("e/model.safetensors");
    place.out("resume e");
    assert_eq!(model, place.bytes("e/model.safetensors"));
    // More epochs are trained on from the members' checkpoints.
    place.out("resume e --epochs 9");
    place.out(
        &format!(
            "train classes.csv --target kind {QUICK} --epochs 9 --seed 3 --members 3 --out long"
        )
        .replace(" --epochs 6", ""),
    );
    assert_eq!(place.bytes("long/model.safetensors"), place.bytes("e/model.safetensors"));
}

/// Rows of a table by column.
fn columns(table: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = table.lines().map(|line| line.split(','));
    let names: Vec<&str> = lines.next().unwrap().collect();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        for (name, cell) in names.iter().zip(line) {
            columns.entry((*name).to_string()).or_default().push(cell.to_string());
        }
    }
    columns
}

fn numbers(table: &BTreeMap<String, Vec<String>>, name: &str) -> Vec<f64> {
    table[name].iter().map(|cell| cell.parse().unwrap()).collect()
}

#[test]
fn an_ensemble_predicts_the_mean_and_tells_the_spread() {
    let place = tables();
    for (table, target, column) in
        [("classes.csv", "kind", "kind_probability_up"), ("numbers.csv", "y", "y_predicted")]
    {
        let train = format!(
            "train {table} --target {target} --ignore who {QUICK} --members 3 --force --out e"
        );
        let train = if target == "kind" { train.replace(" --ignore who", "") } else { train };
        place.out(&train);
        let predicted = columns(&place.out(&format!("predict e {table} --spread")));
        let each: Vec<Vec<f64>> = (0..3)
            .map(|member| {
                let line = format!("predict e/members/{member} {table}");
                numbers(&columns(&place.out(&line)), column)
            })
            .collect();
        let (mean, spread) =
            (numbers(&predicted, column), numbers(&predicted, &format!("{column}_spread")));
        for row in 0..90 {
            let values: Vec<f64> = each.iter().map(|it| it[row]).collect();
            let want = values.iter().sum::<f64>() / 3.0;
            let squares: f64 = values.iter().map(|it| (it - want).powi(2)).sum();
            assert!((mean[row] - want).abs() < 1e-5, "{column} {row}: {} {want}", mean[row]);
            assert!((spread[row] - (squares / 2.0).sqrt()).abs() < 1e-5, "{column} {row}");
        }
        let evaluated: Value =
            serde_json::from_str(&place.out(&format!("evaluate e {table} --json"))).unwrap();
        let validation = columns(&String::from_utf8(place.bytes("e/validation.csv")).unwrap());
        assert_eq!(validation[column].len(), 18);
        assert!(evaluated["loss"].as_f64().unwrap() > 0.0);
        let metrics = place.json("e/metrics.json");
        assert_eq!(metrics["members"], 3);
        assert!(metrics["member_std"]["valid_loss"].as_f64().unwrap() > 0.0);
    }
    assert!(place.out("info e").starts_with("an ensemble of 3 networks"));
    let said = place.refused("predict e/members/0 numbers.csv --spread");
    assert!(said.contains("--spread: one network alone has no spread"), "{said}");
    let said = place.refused("predict e numbers.csv --weights e/members/0/model.safetensors");
    assert!(said.contains("--weights") && said.contains("ensemble of 3"), "{said}");
    let said = place.refused("train numbers.csv --target y --init e/model.safetensors --out i");
    assert!(said.contains("an ensemble of 3 networks, where one network is wanted"), "{said}");
}

#[test]
fn events_name_their_network() {
    let place = tables();
    let train = format!("train classes.csv --target kind {QUICK} --json");
    for (options, word) in [("--members 2 --out e", "member"), ("--folds 2 --out f", "fold")] {
        let events: Vec<Value> = place
            .out(&format!("{train} {options}"))
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let epochs = |number: u64| {
            let own = |it: &&Value| it["event"] == "epoch" && it[word] == number;
            events.iter().filter(own).count()
        };
        assert_eq!((epochs(0), epochs(1), epochs(2)), (6, 6, 0));
        let last = events.last().unwrap();
        assert_eq!((&last["event"], &last[word]), (&"finished".into(), &Value::Null));
        assert_eq!(last[format!("{word}s")], 2);
        assert!(last[format!("{word}_mean")]["valid_loss"].is_f64(), "{last}");
    }
}

#[test]
fn a_fold_is_the_run_of_a_column_that_says_its_rows() {
    let place = tables();
    place.out(&format!("train classes.csv --target kind {QUICK} --folds 3 --out f"));
    let out_of_fold = columns(&String::from_utf8(place.bytes("f/out_of_fold.csv")).unwrap());
    let table = String::from_utf8(place.bytes("classes.csv")).unwrap();
    let mut parts = String::new();
    for (row, line) in table.lines().enumerate() {
        let part = match row {
            0 => "part",
            _ if out_of_fold["fold"][row - 1] == "1" => "valid",
            _ => "train",
        };
        writeln!(parts, "{line},{part}").unwrap();
    }
    fs::write(place.path("parts.csv"), parts).unwrap();
    place.out(&format!("train parts.csv --target kind --split-column part {QUICK} --out column"));
    assert_eq!(place.bytes("column/model.safetensors"), place.bytes("f/folds/1/model.safetensors"));
    place.out(&format!("train classes.csv --target kind {QUICK} --folds 3 --fold 1 --out fold"));
    assert_eq!(place.bytes("fold/model.safetensors"), place.bytes("f/folds/1/model.safetensors"));
    // Predictions of its rows are those of its own validation rows.
    let own = columns(&String::from_utf8(place.bytes("column/validation.csv")).unwrap());
    let rows = (0..90).filter(|row| out_of_fold["fold"][*row] == "1");
    let name = "kind_probability_up";
    let told: Vec<String> = rows.map(|row| out_of_fold[name][row].clone()).collect();
    assert_eq!(told, own[name]);
    assert_eq!(out_of_fold["kind"].len(), 90);
    assert_eq!(out_of_fold["row"][89], "90");
    // Figures of all rows at once, from the table.
    let right = (0..90).filter(|&it| out_of_fold["kind"][it] == out_of_fold["kind_predicted"][it]);
    let accuracy = place.json("f/metrics.json")["valid_accuracy"].as_f64().unwrap();
    assert!((accuracy - right.count() as f64 / 90.0).abs() < 1e-12);
}

#[test]
fn folds_keep_groups_and_refit_trains_on_all_rows() {
    let place = tables();
    let train = format!("train numbers.csv --target y --group who {QUICK}");
    place.out(&format!("{train} --folds 3 --folds-repeats 2 --refit --out f"));
    let told = columns(&String::from_utf8(place.bytes("f/out_of_fold.csv")).unwrap());
    assert_eq!(told["row"].len(), 180);
    for first in (0..180).step_by(5) {
        assert!((first..first + 5).all(|row| told["fold"][row] == told["fold"][first]), "{first}");
    }
    let metrics = place.json("f/metrics.json");
    assert_eq!(
        (metrics["kept"].as_str(), metrics["each"].as_array().unwrap().len()),
        (Some("refit"), 6)
    );
    let epochs: Vec<f64> = metrics["each"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["epoch"].as_f64().unwrap())
        .collect();
    let mean = (epochs.iter().sum::<f64>() / 6.0).round();
    assert_eq!(metrics["refit_epochs"].as_f64().unwrap(), mean);
    let alone = format!(
        "train numbers.csv --target y --ignore who --hidden 8 --lr 0.02 --valid 0 --epochs {mean} --out a"
    );
    place.out(&alone);
    let (kept, alone) = (place.bytes("f/model.safetensors"), place.bytes("a/model.safetensors"));
    assert_eq!(weights(&kept), weights(&alone));
    // Without a schedule, the length of the folds' schedules is nothing to warn of.
    // Metrics are of the folds' validation rows; the network of all rows has none.
    place.out("train numbers.csv --target y --ignore who --hidden 2 --lr 1 --epochs 30 --folds 2 --refit --metrics mape --out g");
    assert!(place.json("g/metrics.json")["valid_mape"].is_f64());
    assert!(place.json("g/metrics.json")["refit_epochs"].as_f64() < Some(30.0));
    let settings = String::from_utf8(place.bytes("g/refit/config.toml")).unwrap();
    assert!(!settings.contains("schedule-epochs"), "{settings}");
}

/// The weights of a model file, behind its header.
fn weights(file: &[u8]) -> &[u8] {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap());
    &file[8 + usize::try_from(length).unwrap()..]
}

#[test]
fn what_does_not_go_together_is_refused() {
    let place = tables();
    let mut few = String::from_utf8(place.bytes("classes.csv")).unwrap();
    few += "0,0,rare\n0,1,rare\n";
    fs::write(place.path("rare.csv"), few).unwrap();
    // The one gap is in the training rows of two folds only.
    let gaps = String::from_utf8(place.bytes("numbers.csv")).unwrap() + ",0.5,w1,50\n";
    fs::write(place.path("gaps.csv"), gaps).unwrap();
    for (options, want) in [
        ("numbers.csv --target y --members 0", "--members: 0, but it must be above 0"),
        ("numbers.csv --target y --refit", "--refit: it belongs to --folds"),
        ("numbers.csv --target y --folds 1", "--folds: 1, but there must be at least 2"),
        ("numbers.csv --target y --folds 91", "--folds: 91 folds of 90 rows"),
        (
            "numbers.csv --target y --folds 3 --valid 0.1",
            "--valid: the folds are the validation rows",
        ),
        ("numbers.csv --target y --folds 3 --members 2", "--members: folds have a network each"),
        ("numbers.csv --target y --folds 3 --fold 3", "--fold: 3, but the 3 folds have"),
        ("numbers.csv --target y --folds 20 --group who", "--folds: 20 folds of 18 groups"),
        (
            "rare.csv --target kind --folds 3",
            "the class `rare` has 2 of these rows, fewer than the 3 folds",
        ),
        ("gaps.csv --target y --ignore who --folds 3", "give --refit"),
    ] {
        let said = place.refused(&format!("train {options} --out r"));
        assert!(said.contains(want), "{options}: {said}");
        assert!(!place.path("r").exists(), "{options}");
    }
    place.out(&format!("train numbers.csv --target y {QUICK} --members 2 --out e"));
    let said = place.refused("resume e --checkpoint e/members/0/checkpoint.safetensors");
    assert!(said.contains("--checkpoint: the run is of several networks"), "{said}");
}

/// The files of a run of several networks, without times.
fn files(run: &Path) -> (Vec<u8>, String, String) {
    let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    let cut = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        cells[..cells.len() - 2].join(",") + "\n"
    };
    let history = read("history.csv").lines().map(cut).collect();
    let metrics = read("metrics.json").lines().filter(|line| !line.contains("seconds")).collect();
    (fs::read(run.join(MODEL)).unwrap(), history, metrics)
}

fn kill_and_go_on(options: &str) {
    let place = tables();
    let mut random = Seed(23).stream(Purpose::Synthetic);
    let train = format!("train {options} --hidden 16 --epochs 30 --quiet");
    let begun = Instant::now();
    place.out(&format!("{train} --out whole"));
    let whole = begun.elapsed();
    let want = files(&place.path("whole"));
    let (mut count, mut tries) = (0, 0);
    while count < KILLED {
        tries += 1;
        assert!(tries < 20 * KILLED, "only {count} runs were killed at work");
        let run = place.path("killed");
        let _ = fs::remove_dir_all(&run);
        let at_work =
            killed(place.command(&format!("{train} --out killed")), whole.mul_f64(random.unit()));
        if !at_work || !run.join("config.toml").exists() {
            // It was over, or had not begun.
            continue;
        }
        count += 1;
        // Each second run is killed again while it goes on.
        if random.below(2) == 0 {
            killed(place.command("resume killed --quiet"), whole.mul_f64(random.unit()));
        }
        place.out("resume killed --quiet");
        let got = files(&run);
        assert!(got == want, "a run that went on is another: {:?}", got.1);
    }
}

#[test]
fn killed_ensembles_end_as_if_they_were_not() {
    kill_and_go_on("classes.csv --target kind --members 3");
}

#[test]
fn killed_folds_end_as_if_they_were_not() {
    kill_and_go_on("numbers.csv --target y --ignore who --folds 3 --refit");
}

#[test]
fn folds_are_compared_with_simple_predictions_of_the_same_folds() {
    let place = tables();
    let (_, said) = place.ok(&format!("train classes.csv --target kind {QUICK} --folds 3 --out f"));
    let rows = columns(&place.read("f/out_of_fold.csv"));
    let kinds = rows["kind"].iter().zip(&rows["fold"]);
    let ups = |fold: &str, held: bool| {
        let own = kinds.clone().filter(|(_, of)| (of.as_str() == fold) == held);
        let (ups, all) =
            own.fold((0, 0), |it, (kind, _)| (it.0 + usize::from(kind == "up"), it.1 + 1));
        ups as f64 / f64::from(all)
    };
    // The class that is more frequent in the two other folds.
    let right = |fold| if ups(fold, false) > 0.5 { ups(fold, true) } else { 1.0 - ups(fold, true) };
    let want = ["0", "1", "2"].map(right).iter().sum::<f64>() / 3.0;
    let baselines = &place.json("f/metrics.json")["baselines"];
    let got = baselines["constant"]["valid_accuracy"].as_f64().unwrap();
    assert!((got - want).abs() < 1e-9, "{got} {want}");
    let told = format!(
        "mean of 3 folds: 90 rows, loss {:.4}",
        baselines["constant"]["valid_loss"].as_f64().unwrap()
    );
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("compare always ") && said.contains(&told), "{said}");
    assert!(said.contains("compare logistic regression, mean of 3 folds: 90 rows"), "{said}");
    assert!(place.read("f/report.html").contains(">logistic regression, mean of 3 folds</th>"));
    // A model that is linear itself has no linear one beside it, and the report says so.
    place.out("train classes.csv --target kind --layers dense --epochs 1 --out line");
    let told = "No linear model is compared: the network is one itself.";
    assert!(place.read("line/report.html").contains(told));
    assert_eq!(
        place.json("line/metrics.json")["baselines"]["without_linear"],
        "the network is one itself"
    );
    place.out("train classes.csv --target kind --valid 0 --epochs 1 --out all");
    assert!(
        place
            .read("all/report.html")
            .contains("No simple predictions are compared: no rows were held out.")
    );
}

#[test]
fn a_run_of_one_network_leaves_nothing_of_several_that_it_replaces() {
    let place = tables();
    let train = format!("train classes.csv --target kind {QUICK} --out z --quiet");
    for (more, left) in [
        (" --folds 2 --refit", &["folds", "refit", "out_of_fold.csv"][..]),
        (" --members 2", &["members"]),
    ] {
        place.out(&format!("{train}{more} --force"));
        assert!(left.iter().all(|name| place.path("z").join(name).exists()), "{more}");
        place.write("z/notes.txt", "mine");
        // An error before the first model leaves the earlier run as it was.
        place.refused(&format!("{train} --force --lr 1e38 --on-nonfinite stop --clip-norm -1"));
        assert!(left.iter().all(|name| place.path("z").join(name).exists()), "{more}");
        place.out(&format!("{train} --force"));
        assert!(left.iter().all(|name| !place.path("z").join(name).exists()), "{more}");
        assert!(place.path("z/model.safetensors").exists() && place.path("z/notes.txt").exists());
    }
}
