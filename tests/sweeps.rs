//! Searches for settings: learning rates and sweeps, as users meet them; a sweep that is killed goes on and ends the same.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use place::{Place, killed};
use serde_json::Value;
use wgrad::Seed;
use wgrad::random::Purpose;

/// Sweeps that are killed at work.
const KILLED: usize = 4;

const RANGES: &str = "epochs = 9\nlr = { log = [1e-4, 1e-1] }\nbatch-size = { integer = [16, 64] }\nhidden = [[8], [8, 4]]\n";

/// Returns a folder with a table of 80 rows and a file of ranges.
fn tables() -> Place {
    let place = Place::new();
    let mut random = Seed(9).stream(Purpose::Synthetic);
    let mut table = "a,b,y\n".to_string();
    for _ in 0..80 {
        let [a, b] = [(); 2].map(|()| random.normal());
        writeln!(table, "{a:.4},{b:.4},{:.4}", 10.0 + 3.0 * a - b).unwrap();
    }
    place.write("t.csv", &table);
    place.write("s.toml", RANGES);
    place
}

/// Rows of a sweep's table without the seconds, which are before the last cell; texts with commas are in quotes.
fn trial_rows(place: &Place, name: &str) -> Vec<String> {
    let cut = |line: &str| {
        let (rest, problem) = line.rsplit_once(',').unwrap();
        format!("{},{problem}", rest.rsplit_once(',').unwrap().0)
    };
    place.read(name).lines().map(cut).collect()
}

#[test]
fn a_rate_is_found_and_taken() {
    let place = tables();
    let find = "find-lr t.csv --target y --hidden 8 --rates 9 --steps 40";
    let told = place.out(find);
    assert_eq!(told.lines().count(), 10, "{told}");
    let events: Vec<Value> = place
        .out(&format!("{find} --json"))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rates = &events[..9];
    let loss = |it: &Value| it["loss"].as_f64().unwrap_or(f64::INFINITY);
    let best = rates.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    let (best, found) = (best["lr"].as_f64().unwrap(), events[9]["lr"].as_f64().unwrap());
    assert!((found * 3.0 / best - 1.0).abs() < 0.05, "{best} {found}");
    // The run takes the rate with the default range, and records it as a number.
    let auto = place.run("train t.csv --target y --hidden 8 --epochs 2 --lr auto --out r");
    let said = String::from_utf8(auto.stderr).unwrap();
    assert_eq!(auto.status.code(), Some(0), "{said}");
    let config: toml::Table = place.read("r/config.toml").parse().unwrap();
    let lr = config["lr"].as_float().unwrap();
    assert!(said.contains(&format!("lr      {lr}: a third of")), "{lr} {said}");
    place.out("train --config r/config.toml --out again");
    assert_eq!(place.bytes("r/model.safetensors"), place.bytes("again/model.safetensors"));
    for (options, want) in [
        ("--from 1 --to 0.1", "--to: 0.1, but it must be above --from"),
        ("--from 0", "--from: 0, but it must be a finite number above 0"),
        ("--rates 2", "--rates: 2, but there must be at least 3"),
        ("--from 1e-9 --to 1e-8", "no rate lowered the loss"),
    ] {
        let rest = "find-lr t.csv --target y --hidden 8 --steps 40";
        let said = place.refused(&format!("{rest} {options}"));
        assert!(said.contains(want), "{options}: {said}");
    }
}

#[test]
fn the_best_trial_is_a_run_that_can_be_trained_again() {
    let place = tables();
    let told = place.out("sweep t.csv --target y --config s.toml --trials 5 --out w");
    let rows = trial_rows(&place, "w/sweep.csv");
    assert_eq!(rows.len(), 6);
    assert!(
        rows[0].starts_with("trial,batch-size,hidden,lr,valid_loss,std,epoch,epochs"),
        "{}",
        rows[0]
    );
    let loss = |trial: usize| -> f64 {
        let metrics: Value =
            serde_json::from_str(&place.read(&format!("w/trials/{trial}/metrics.json"))).unwrap();
        metrics["valid_loss"].as_f64().unwrap()
    };
    let best = (0..5).min_by(|&a, &b| loss(a).total_cmp(&loss(b))).unwrap();
    assert!(told.contains(&format!("w/trials/{best}")), "{best}: {told}");
    let folder = format!("w/trials/{best}");
    assert!(place.path(&folder).join("validation.csv").exists());
    place.out(&format!("predict {folder} t.csv"));
    place.out(&format!("train --config {folder}/config.toml --out again"));
    assert_eq!(
        place.bytes("again/model.safetensors"),
        place.bytes(&format!("{folder}/model.safetensors"))
    );
    // The same trials, whatever their number; and nothing is trained again.
    place.out("resume w --quiet");
    assert_eq!(trial_rows(&place, "w/sweep.csv"), rows);
    place.out("sweep t.csv --target y --config s.toml --trials 2 --out few --quiet");
    assert_eq!(trial_rows(&place, "few/sweep.csv"), rows[..3]);
}

#[test]
fn folds_grids_and_halving() {
    let place = tables();
    fs::write(
        place.path("g.toml"),
        "epochs = 3\nhidden = [[4], [8]]\nlr = { log = [0.001, 0.1], points = 2 }",
    )
    .unwrap();
    place.out("sweep t.csv --target y --config g.toml --search grid --folds 2 --stop-metric mae --out g --quiet");
    let rows = trial_rows(&place, "g/sweep.csv");
    assert_eq!(rows.len(), 5);
    assert!(rows[0].contains("valid_mae,std"), "{}", rows[0]);
    let best = (0..4).find(|it| place.path(&format!("g/trials/{it}/out_of_fold.csv")).exists());
    let folder = format!("g/trials/{}", best.unwrap());
    assert!(place.out(&format!("info {folder}")).contains("ensemble of 2"));

    place.out("sweep t.csv --target y --config s.toml --trials 7 --search halving --out h --quiet");
    let rows = trial_rows(&place, "h/sweep.csv");
    // Seven trials of 3 epochs, the best three of which go on to 9.
    let epochs =
        |epochs: &str| rows.iter().filter(|row| row.ends_with(&format!(",{epochs},"))).count();
    assert_eq!((epochs("3"), epochs("9")), (4, 3), "{rows:#?}");
    let going = rows.iter().position(|row| row.ends_with(",9,")).unwrap() - 1;
    // A trial that went on is the run of all its epochs.
    let folder = format!("h/trials/{going}");
    place.out(&format!("train --config {folder}/config.toml --out again"));
    assert_eq!(
        place.bytes("again/model.safetensors"),
        place.bytes(&format!("{folder}/model.safetensors"))
    );
}

#[test]
fn variables_of_a_sweep_stand_in_its_layers() {
    let place = tables();
    let file = "epochs = 2\nlayers = \"{body}dense\"\n[variables]\nbody = [\"dense({width}), tanh, \"]\nwidth = [3, 5]";
    place.write("v.toml", file);
    let unused = file.replace("width}), tanh, \"]", "width}), tanh, \", \"tanh, \"]");
    place.write("u.toml", &unused);
    let said = place.run("sweep t.csv --target y --config u.toml --search grid --out u");
    let said = String::from_utf8(said.stderr).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("1 of 4 trials has the settings of others"), "{said}");
    let told = place.out("sweep t.csv --target y --config v.toml --search grid --out v");
    assert_eq!(place.read("v/sweep.csv").lines().count(), 3);
    for (trial, width) in [(0, 3), (1, 5)] {
        let config: toml::Table =
            place.read(&format!("v/trials/{trial}/config.toml")).parse().unwrap();
        let layers = config["layers"].to_string();
        assert!(layers.contains(&format!("dense({width})")), "{layers}");
    }
    // What all trials have alike is no column of the table that is shown.
    assert!(told.lines().next().unwrap().ends_with("epoch  width"), "{told}");
    // The layers of each trial, as they would be typed.
    let layers: Vec<&str> = told.lines().skip(4).take(2).collect();
    assert_eq!(told.lines().nth(3), Some("layers"), "{told}");
    for (trial, width) in [(0, 3), (1, 5)] {
        let want = format!("    {trial}  dense({width}), tanh, dense");
        assert!(layers.contains(&want.as_str()), "{want}: {told}");
    }
}

#[test]
fn a_search_leaves_the_mean_of_networks_that_are_best_together() {
    let place = tables();
    let tune = "tune t.csv --target y --recipe plain --epochs 9 --trials 12 --stop-metric rmse";
    let told = place.out(&format!("{tune} --out t"));
    let metrics: Value = serde_json::from_str(&place.read("t/metrics.json")).unwrap();
    let members: Vec<u64> =
        metrics["members"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect();
    let (value, alone) =
        (metrics["value"].as_f64().unwrap(), metrics["best"]["value"].as_f64().unwrap());
    assert_eq!(members[0], metrics["best"]["trial"].as_u64().unwrap());
    assert!(value < alone || members.len() == 1 && value == alone, "{metrics}");
    assert!(told.trim_end().lines().last().unwrap().starts_with("t: the "), "{told}");
    // Networks of different layers may be members: all trials have the same rows.
    let layers = |trial: &u64| {
        let config = place.read(&format!("t/trials/{trial}/config.toml"));
        config.lines().find(|it| it.starts_with("layers")).unwrap().to_string()
    };
    assert!(members.len() > 1 && layers(&members[0]) != layers(&members[1]), "{metrics}");
    // The mean of the members' predictions, computed by hand, has the RMSE that is told.
    let columns = |run: &str| -> Vec<(f64, f64)> {
        let text = place.read(&format!("{run}/validation.csv"));
        let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let at = |name: &str| header.iter().position(|it| *it == name).unwrap();
        let (actual, predicted) = (at("y"), at("y_predicted"));
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[actual].parse().unwrap(), cells[predicted].parse().unwrap())
        };
        text.lines().skip(1).map(row).collect()
    };
    let whole = columns("t");
    let each: Vec<Vec<(f64, f64)>> = members
        .iter()
        .map(|trial| {
            let run = format!("t/trials/{trial}");
            let again = format!("again{trial}");
            place.out(&format!("train --config {run}/config.toml --out {again} --quiet"));
            assert_eq!(
                place.bytes(&format!("{run}/model.safetensors")),
                place.bytes(&format!("{again}/model.safetensors"))
            );
            columns(&again)
        })
        .collect();
    let mut squares = 0.0;
    for (row, (actual, predicted)) in whole.iter().enumerate() {
        let mean = each.iter().map(|it| it[row].1).sum::<f64>() / each.len() as f64;
        assert!((mean - predicted).abs() < 1e-4, "row {row}: {mean} {predicted}");
        squares += (mean - actual).powi(2);
    }
    let rmse = (squares / whole.len() as f64).sqrt();
    assert!((rmse / value - 1.0).abs() < 1e-4, "{rmse} {value}");
    // The model is used as that of any run, and one network alone on wish.
    assert_eq!(place.out("predict t t.csv").lines().count(), 81);
    place.out(&format!("{tune} --one --out one --quiet"));
    let best = format!("t/trials/{}/model.safetensors", members[0]);
    let weights = |run: &str| wgrad::export::read_ensemble(place.path(run)).unwrap();
    assert_eq!(weights("one/model.safetensors"), weights(&best));
    let alone: Value = serde_json::from_str(&place.read("one/metrics.json")).unwrap();
    assert_eq!(alone["members"].as_array().unwrap().len(), 1);
    // A table gives pictures and a report of the model.
    let said = place.run("evaluate t t.csv");
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("wgrad report t t.csv --out report.html"), "{said}");
    place.out("report t t.csv --out report.html");
    let page = place.read("report.html");
    assert!(page.contains("wgrad report t<") && !page.contains("wgrad resume"), "{page}");
    let drawn = place.out("plot t t.csv --out pictures");
    assert!(drawn.contains("pictures/residuals.svg"), "{drawn}");
    assert!(place.out("plot t --what residuals --out more").contains("more/residuals.svg"));
    assert!(place.out("plot t --out trials").contains("trials/trials.svg"));
    // What is given is not tried.
    place.out("tune t.csv --target y --recipe plain --hidden 4 --lr 0.01 --epochs 2 --trials 2 --out given --quiet");
    let header = place.read("given/sweep.csv").lines().next().unwrap().to_string();
    assert!(header.starts_with("trial,batch-size,weight-decay,valid_"), "{header}");
}

#[test]
fn a_search_with_folds_has_the_figures_of_its_folds() {
    let place = tables();
    place.out("tune t.csv --target y --recipe plain --hidden 4 --epochs 2 --trials 2 --folds 2 --out t --quiet");
    let read = |name: &str| -> Value { serde_json::from_str(&place.read(name)).unwrap() };
    let own = read("t/metrics.json");
    let best = read(&format!("t/trials/{}/metrics.json", own["best"]["trial"]));
    assert!(best["valid_rmse"].as_f64().is_some(), "{best}");
    assert_eq!(own["valid_rmse"], best["valid_rmse"]);
    let told = place.out("info t");
    assert!(told.contains("valid rmse: ") && told.contains("valid r2: "), "{told}");
    let said = place.run("evaluate t t.csv");
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("rows are equal to rows that this run was trained on"), "{said}");
}

#[test]
fn a_search_that_is_killed_ends_as_if_it_were_not() {
    let place = tables();
    let tune = "tune t.csv --target y --recipe plain --hidden 8 --epochs 27 --trials 12 --quiet";
    let begun = Instant::now();
    place.out(&format!("{tune} --out whole"));
    let whole = begun.elapsed();
    let mut random = Seed(5).stream(Purpose::Synthetic);
    for _ in 0..3 {
        let _ = fs::remove_dir_all(place.path("killed"));
        killed(place.command(&format!("{tune} --out killed")), whole.mul_f64(random.unit()));
        if !place.path("killed/sweep.toml").exists() {
            place.out(&format!("{tune} --out killed --force"));
        }
        place.out("resume killed --quiet");
        assert_eq!(place.bytes("killed/model.safetensors"), place.bytes("whole/model.safetensors"));
        assert_eq!(trial_rows(&place, "killed/sweep.csv"), trial_rows(&place, "whole/sweep.csv"));
    }
}

#[test]
fn a_time_decides_the_number_of_trials_and_of_epochs() {
    let place = tables();
    place.out("tune t.csv --target y --recipe plain --hidden 8 --epochs 9 --time-budget 1s --out t --quiet");
    let sweep: toml::Table = place.read("t/sweep.toml").parse().unwrap();
    let trials = sweep["trials"].as_integer().unwrap();
    assert_eq!(place.read("t/sweep.csv").lines().count() as i64, trials + 1);
    assert!(trials % 9 == 0 && trials >= 9, "{trials}");
    // A search that has ended says the same again.
    let before = place.bytes("t/model.safetensors");
    place.out("resume t --quiet");
    assert_eq!(place.bytes("t/model.safetensors"), before);
    // No time is enough for so many epochs: there are fewer, and all trials have the same.
    place.out(
        "tune t.csv --target y --recipe plain --hidden 8 --epochs 3000000 --time-budget 1s --out few --quiet",
    );
    let sweep: toml::Table = place.read("few/sweep.toml").parse().unwrap();
    assert!(sweep["settings"]["epochs"].as_integer().unwrap() < 3_000_000);
    let output =
        place.run("train t.csv --target y --hidden 4 --epochs 3000000 --time-budget 0.5s --out r");
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("so that 500 ms are enough") && said.contains("of 3,000,000 epochs"),
        "{said}"
    );
    let config: toml::Table = place.read("r/config.toml").parse().unwrap();
    let epochs = config["epochs"].as_integer().unwrap();
    assert!((1..3_000_000).contains(&epochs) && !config.contains_key("time-budget"), "{epochs}");
    place.out("train t.csv --target y --hidden 4 --epochs 2 --time-budget 1h --folds 2 --refit --out f --quiet");
    let config: toml::Table = place.read("f/config.toml").parse().unwrap();
    assert_eq!(config["epochs"].as_integer(), Some(2));
}

#[test]
fn wrong_searches_are_refused() {
    let place = tables();
    for (options, want) in [
        (
            "--time-budget soon",
            "--time-budget: \"soon\" is no time; give one such as 90s, 10m or 2h",
        ),
        ("--trials 0", "--trials: 0, but it must be above 0"),
        ("--members 2", "--members: a trial is one network"),
        ("--valid 0", "--valid: trials are judged by validation rows"),
        (
            "--recipe plain --hidden 4 --lr 0.1 --weight-decay 0 --batch-size 8",
            "nothing is left to try",
        ),
        ("--lr auto", "--lr: trials are compared with given rates"),
    ] {
        let said = place.refused(&format!("tune t.csv --target y {options} --out r"));
        assert!(said.contains(want), "{options}: {said}");
        // What holds for the whole search is told of no trial.
        assert!(!said.contains("trial 0"), "{options}: {said}");
        assert!(!place.path("r").exists(), "{options}");
    }
    let said = place.refused("tune - --target y --task regress --out r");
    assert!(said.contains("TABLE: standard input is read once"), "{said}");
    place.write("e.toml", "epochs = [3, 6]");
    let said = place.refused("tune t.csv --target y --config e.toml --out r");
    assert!(said.contains("e.toml: epochs: the best trials go on"), "{said}");
    // A training does not leave the trials of a search beside its model.
    place.out(
        "tune t.csv --target y --recipe plain --hidden 4 --epochs 2 --trials 2 --out t --quiet",
    );
    let said = place.refused("train t.csv --target y --hidden 4 --epochs 1 --out t --force");
    assert!(said.contains("t is the folder of a sweep"), "{said}");
    let said = place.refused("tune t.csv --target y --recipe plain --out t");
    assert!(said.contains("or go on with it: wgrad resume t"), "{said}");
    let said = place.refused("sweep t.csv --target y --config s.toml --time-budget 5s --out r");
    assert!(said.contains("--time-budget: trials are compared after the epochs"), "{said}");
}

#[test]
fn wrong_sweeps_are_refused_and_failed_trials_told() {
    let place = tables();
    fs::write(place.path("none.toml"), "epochs = 3").unwrap();
    fs::write(place.path("wrong.toml"), "dropout = [0.1, 2]").unwrap();
    fs::write(place.path("grid.toml"), "lr = { log = [0.1, 1] }").unwrap();
    for (options, want) in [
        ("--config s.toml --lr 0.1", "--lr: s.toml has a range for it"),
        ("--config none.toml", "no ranges in this file"),
        ("--config wrong.toml --trials 9", "(dropout 2): --dropout: 2, but it must"),
        ("--config grid.toml --search grid", "lr: a grid needs the number of values"),
        ("--config s.toml --members 2", "--members: a trial is one network"),
        ("--config s.toml --valid 0", "--valid: trials are judged by validation rows"),
        ("--config s.toml --trials 0", "--trials: 0, but it must be above 0"),
    ] {
        let said = place.refused(&format!("sweep t.csv --target y {options} --out r"));
        assert!(said.contains(want), "{options}: {said}");
        let is_of_one = options.contains("wrong.toml");
        assert_eq!(said.contains("error: trial "), is_of_one, "{said}");
        assert!(!place.path("r").exists(), "{options}");
    }
    // The place is that where the setting was given.
    place.write("all.toml", "epochs = -1\nlr = [0.1, 0.2]");
    let said = place.refused("sweep t.csv --target y --config all.toml --out r");
    assert!(said.contains("error: all.toml: epochs: "), "{said}");
    let said = place.refused("sweep t.csv --target y --config s.toml --batch-size 0 --out r");
    assert!(said.contains("--batch-size"), "{said}");
    // Layers that are tried are part of how rows are read, and the problem is one of all trials.
    place.write("layers.toml", "layers = { list = [\"dense\", \"dense(3), dense\"] }");
    let said = place
        .refused("sweep t.csv --target y --config layers.toml --search grid --valid 0 --out r");
    assert!(said.contains("error: --valid: trials are judged"), "{said}");
    place.write("last.toml", "layers = \"dense({width})\"\n[variables]\nwidth = [3, 3, 3]");
    let said = place.refused("sweep t.csv --target y --config last.toml --trials 3 --out r");
    assert!(said.contains("error: --layers: the last one gives 3 outputs"), "{said}");
    place.write("last.toml", "layers = \"dense({width}), dense\"\n[variables]\nwidth = [1, 0]");
    let said = place.refused("sweep t.csv --target y --config last.toml --search grid --out r");
    assert!(said.contains("trial 1 (width 0): "), "{said}");
    place.write("twice.toml", "lr = [0.1, 0.2, 0.1]");
    let said = place.refused("sweep t.csv --target y --config twice.toml --search grid --out r");
    assert!(said.contains("lr: 0.1 is there twice"), "{said}");
    place.write(
        "circle.toml",
        "layers = \"{a}dense\"\n[variables]\na = [\"{b}\"]\nb = [\"{a}\", \"\"]",
    );
    let said = place.refused("sweep none.csv --target y --config circle.toml --out r");
    assert!(said.contains("circle.toml: variables.a: its values come back to it"), "{said}");
    fs::write(
        place.path("far.toml"),
        "epochs = 3\nhidden = [4]\noptimizer = \"sgd\"\nlr = [0.01, 1e30]",
    )
    .unwrap();
    let output = place.run("sweep t.csv --target y --config far.toml --search grid --out f");
    assert_eq!(output.status.code(), Some(0));
    let text = place.read("f/sweep.csv");
    assert!(text.lines().nth(2).unwrap().contains("with learning rate 1e30"), "{text}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("f/trials/0"));
    assert!(place.refused("resume f --epochs 5").contains("--epochs: a sweep goes on as it began"));
}

#[test]
fn all_layers_beside_parts_of_plain_networks_are_refused() {
    let place = tables();
    let layers = "layers = \"dense(3), relu, dense\"\n";
    for command in ["sweep", "tune"] {
        let run = |more: &str| {
            place.refused(&format!("{command} t.csv --target y --config x.toml{more} --out r"))
        };
        let want = "x.toml: dropout: layers says what all layers are; write it there, or leave one of the two out";
        place.write("x.toml", &format!("{layers}dropout = [0.1, 0.2]"));
        assert!(run("").contains(want), "{command}: {}", run(""));
        place.write("x.toml", &format!("{layers}hidden = [[8], [8, 8]]"));
        assert!(run("").contains("x.toml: hidden: layers says"), "{command}: {}", run(""));
        place.write("x.toml", "norm = [\"none\", \"batch\"]");
        let said = run(" --layers dense(3),relu,dense");
        assert!(said.contains("x.toml: norm: --layers says"), "{command}: {said}");
        place.write(
            "x.toml",
            "layers = [[\"dense(3), dense\"], [\"dense\"]]\nactivation = \"gelu\"",
        );
        assert!(run("").contains("x.toml: activation: layers says"), "{command}: {}", run(""));
        // A list of networks that is one value would be one network of all their layers.
        place.write("x.toml", "layers = [\"dense(16), relu, dense\", \"{b}dense\"]\nlr = [0.1, 0.01]\n[variables]\nb = [\"relu, \", \"tanh, \"]");
        let said = run("");
        let want = "x.toml: layers: a list of texts is one network, and each of these may be one by itself; write each network as a list: \
                    layers = [[\"dense(16), relu, dense\"], [\"{b}dense\"]]";
        assert!(said.contains(want), "{command}: {said}");
        assert!(!place.path("r").exists());
    }
    // Layers of one network in a list, and networks in lists, are what they were.
    place.write(
        "x.toml",
        "epochs = 1\nlayers = [\"dense(3)\", \"relu\", \"dense\"]\nlr = [0.1, 0.01]",
    );
    place.out("sweep t.csv --target y --config x.toml --search grid --out one --quiet");
    assert!(place.read("one/trials/1/config.toml").contains("layers = \"dense(3), relu, dense\""));
    place.write("x.toml", "epochs = 1\nlayers = [[\"dense(3), relu, dense\"], [\"dense\"]]");
    place.out("sweep t.csv --target y --config x.toml --search grid --out two --quiet");
    assert!(place.read("two/trials/0/config.toml").contains("layers = \"dense(3), relu, dense\""));
    assert!(place.read("two/trials/1/config.toml").contains("layers = \"dense\""));
}

#[test]
fn settings_of_all_trials_stay_with_an_optimizer_that_is_tried() {
    let place = tables();
    let grid = "sweep t.csv --target y --config x.toml --search grid";
    place.write(
        "x.toml",
        "epochs = 1\nhidden = \"4\"\noptimizer = [\"sgd\", \"adamw\"]\nweight-decay = 0.25",
    );
    place.out(&format!("{grid} --out a --quiet"));
    for trial in [0, 1] {
        let config = place.read(&format!("a/trials/{trial}/config.toml"));
        assert!(config.contains("weight-decay = 0.25"), "{config}");
    }
    place.write(
        "x.toml",
        "epochs = 1\noptimizer = [\"sgd(momentum=0.9)\", \"sgd\"]\nmomentum = 0.5",
    );
    let said = place.refused(&format!("{grid} --out b"));
    assert!(said.contains("optimizer = \"sgd(momentum=0.9)\" says it too"), "{said}");
    place.write("x.toml", "epochs = 1\noptimizer = \"sgd(momentum=0.9)\"\nmomentum = [0.5, 0.1]");
    let said = place.refused(&format!("{grid} --momentum 0.1 --out b"));
    assert!(said.contains("has a range for it"), "{said}");
}

#[test]
fn trials_are_judged_by_the_same_rows() {
    let place = tables();
    let grid = "sweep t.csv --target y --config x.toml --search grid";
    place.write("x.toml", "epochs = 1\nhidden = \"4\"\nseed = [0, 1]");
    place.out(&format!("{grid} --out a --quiet"));
    for trial in [0, 1] {
        let config = place.read(&format!("a/trials/{trial}/config.toml"));
        assert!(config.contains(&format!("\nseed = {trial}\n")), "{config}");
        assert!(config.contains("split-seed = 0"), "{config}");
    }
    for (range, want) in [
        ("gaps = [\"median\", \"drop\"]", "x.toml: gaps: drop cannot be one of several values"),
        (
            "positive = [\"p\", \"q\"]",
            "x.toml: positive: it cannot be tried, since it decides rows or places",
        ),
        ("lr-x = 3", "x.toml: `lr-x` is not a setting"),
    ] {
        place.write("x.toml", &format!("epochs = 1\nlr = [0.1, 0.01]\n{range}"));
        let said = place.refused(&format!("{grid} --out b"));
        assert!(said.contains(want), "{said}");
    }
}

#[test]
fn losses_that_do_not_compare_are_told_where_they_choose() {
    let place = tables();
    let sweep = "sweep t.csv --target y --config x.toml --search grid";
    let told = |file: &str, more: &str| {
        place.write("x.toml", &format!("epochs = 1\nhidden = \"4\"\n{file}"));
        let (out, said) = place.ok(&format!("{sweep}{more} --out r --force"));
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let both = [said, out]
            .map(|text| text.contains("so that the values of their losses do not compare"));
        assert_eq!(both[0], both[1], "{file}");
        both[0]
    };
    for (file, more, want) in [
        ("loss = [\"mse\", \"huber\"]", "", true),
        ("loss = [\"mse\", \"huber\"]", " --stop-metric rmse", false),
        ("reduction = [\"mean\", \"sum\"]", "", true),
        ("target-scale = [\"standard\", \"log\"]", "", true),
        ("scale = [\"standard\", \"none\"]", "", true),
        ("scale = [\"standard\", \"robust\"]", "", false),
        ("scale = [\"standard\", \"none\"]\ntarget-scale = \"standard\"", "", false),
        ("loss = \"huber\"\nlr = [0.1, 0.01]", "", false),
        ("lr = [0.1, 0.01]", "", false),
    ] {
        assert_eq!(told(file, more), want, "{file} {more}");
    }
    let rows: String =
        (0..40).map(|row| format!("{},{}\n", row % 7, ["p", "q"][row % 2])).collect();
    place.write("t.csv", &format!("a,y\n{rows}"));
    for (file, more, want) in [
        ("class-weights = [\"none\", \"balanced\"]", "", true),
        ("class-weights = [\"none\", \"balanced\"]", " --stop-metric accuracy", false),
        ("scale = [\"standard\", \"none\"]", "", false),
        ("loss = \"cross-entropy(label-smoothing={s})\"\n[variables]\ns = [0.1, 0.3]", "", true),
        (
            "loss = \"cross-entropy(label-smoothing=0.3)\"\nsmoothing-schedule = [\"constant\", \"cosine\"]",
            "",
            true,
        ),
        ("smoothing-schedule = [\"constant\", \"cosine\"]", "", false),
    ] {
        assert_eq!(told(file, more), want, "{file} {more}");
    }
}

#[test]
fn killed_sweeps_end_as_if_they_were_not() {
    let place = tables();
    let mut random = Seed(31).stream(Purpose::Synthetic);
    let sweep = "sweep t.csv --target y --config s.toml --trials 7 --search halving --quiet";
    let begun = Instant::now();
    place.out(&format!("{sweep} --out whole"));
    let whole = begun.elapsed();
    let want = trial_rows(&place, "whole/sweep.csv");
    let (mut count, mut tries) = (0, 0);
    while count < KILLED {
        tries += 1;
        assert!(tries < 20 * KILLED, "only {count} sweeps were killed at work");
        let _ = fs::remove_dir_all(place.path("killed"));
        let at_work =
            killed(place.command(&format!("{sweep} --out killed")), whole.mul_f64(random.unit()));
        if !at_work || !place.path("killed/sweep.toml").exists() {
            // It was over, or had not begun.
            continue;
        }
        count += 1;
        if random.below(2) == 0 {
            killed(place.command("resume killed --quiet"), whole.mul_f64(random.unit()));
        }
        place.out("resume killed --quiet");
        assert_eq!(trial_rows(&place, "killed/sweep.csv"), want);
        for trial in 0..7 {
            let model = |run: &str| place.bytes(&format!("{run}/trials/{trial}/model.safetensors"));
            assert_eq!(model("killed"), model("whole"), "trial {trial}");
        }
    }
}
