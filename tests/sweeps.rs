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
        assert!(!place.path("r").exists(), "{options}");
    }
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
