//! Recipes end to end: runs, their settings again, predictions within the range of the targets.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fmt::Write as _;

use place::Place;
use wgrad::Seed;
use wgrad::random::Purpose;

const MODEL: &str = "model.safetensors";

/// A table of numbers, texts of three sizes and gaps, with a number and a class to predict.
fn tables() -> Place {
    let place = Place::new();
    let mut random = Seed(9).stream(Purpose::Synthetic);
    let mut text = "a,b,two,four,many,y,kind\n".to_string();
    for row in 0..120 {
        let [a, b] = [(); 2].map(|()| random.normal());
        let (two, four, many) = (random.below(2), random.below(4), random.below(11));
        let gap = if row % 17 == 0 { String::new() } else { format!("{b:.4}") };
        let y = 10.0 + 2.0 * a * f64::from(two) - b + f64::from(many) / 4.0;
        let kind = if a > 0.0 { "up" } else { "down" };
        writeln!(text, "{a:.4},{gap},t{two},f{four},m{many:02},{y:.3},{kind}").unwrap();
    }
    place.write("t.csv", &text);
    place
}

#[test]
fn a_recipe_trains_and_repeats_from_its_settings() {
    let place = tables();
    for (target, other) in [("y", "kind"), ("kind", "y")] {
        let train = format!("train t.csv --target {target} --ignore {other}");
        let (_, said) =
            place.ok(&format!("{train} --recipe realmlp --epochs 2 --no-report --out {target}"));
        assert!(said.contains("recipe  realmlp, for "), "{said}");
        assert!(said.contains("as given stay epochs"), "{said}");
        let config = place.read(&format!("{target}/config.toml"));
        for part in [
            "init = \"unit-variance\"",
            "scale-texts = true",
            "drop-last = true",
            "[record]",
            "recipe = \"realmlp\"",
        ] {
            assert!(config.contains(part), "{part}: {config}");
        }
        assert_eq!(config.contains("clamp = true"), target == "y");
        // The settings alone give the same bytes.
        place.ok(&format!("train --config {target}/config.toml --no-report --out {target}2"));
        assert_eq!(
            place.bytes(&format!("{target}/{MODEL}")),
            place.bytes(&format!("{target}2/{MODEL}"))
        );
    }
    // The defaults are the recipe `plain`.
    let train = "train t.csv --target y --epochs 2 --no-report --out";
    place.ok(&format!("{train} one"));
    place.ok(&format!("{train} two --recipe plain"));
    assert_eq!(place.bytes(&format!("one/{MODEL}")), place.bytes(&format!("two/{MODEL}")));
}

/// The recipe `tabm` with a small network: the number of rows decides the batches, and patience ends the run.
#[test]
fn a_run_that_begins_with_a_model_has_its_network() {
    let place = tables();
    let train = "train t.csv --target y --ignore kind --no-report";
    place.ok(&format!("{train} --recipe realmlp --epochs 2 --out first"));
    let begin = "--init first/model.safetensors --epochs 1";
    let (_, said) =
        place.ok(&format!("{train} {begin} --optimizer sgd --lr 1e-30 --valid 0 --out next"));
    assert!(said.contains("network that of the model of --init: embedding("), "{said}");
    let layers = |run: &str| {
        let told = place.out(&format!("info {run}"));
        told[..told.find("predicts").unwrap()].to_string()
    };
    assert_eq!(layers("first"), layers("next"));
    let predicted = |run: &str| place.out(&format!("predict {run} t.csv"));
    assert_eq!(predicted("first"), predicted("next"));
    // The record has the layers, and trains the same network again.
    place.ok("train --config next/config.toml --no-report --out again");
    assert_eq!(place.bytes(&format!("next/{MODEL}")), place.bytes(&format!("again/{MODEL}")));
    // A person's network is taken as it is given, and has to fit.
    let said = place.refused(&format!("{train} {begin} --hidden 4 --out other"));
    assert!(said.contains("give the layers of those weights"), "{said}");
    // Where not all weights have to fit, the others begin anew; so does a last layer for another target.
    let numbers = "train t.csv --no-report --ignore two,four,many";
    place.ok(&format!("{numbers},kind --target y --hidden 9 --epochs 1 --out numbers"));
    let begin = "--init numbers/model.safetensors --init-strict false --epochs 1 --out classes";
    let (_, said) = place.ok(&format!("{numbers},y --target kind {begin}"));
    assert!(said.contains("network that of the model of --init: dense(9), relu, dense"), "{said}");
}

#[test]
fn tabm_takes_batches_by_the_number_of_rows_and_stops() {
    let place = tables();
    let layers = "batch_ensemble(4,dense(8),relu,dropout(0.1),dense)";
    for (target, other) in [("y", "kind"), ("kind", "y")] {
        let (_, said) = place.ok(&format!(
            "train t.csv --target {target} --ignore {other} --recipe tabm --layers {layers} --lr 0.05 --stop-patience 2 \
             --no-report --out {target}"
        ));
        assert!(said.contains("recipe  tabm, for "), "{said}");
        let config = place.read(&format!("{target}/config.toml"));
        for part in ["batch-size = 32", "scale = \"quantile\"", "epochs = 500", "recipe = \"tabm\""]
        {
            assert!(config.contains(part), "{part}: {config}");
        }
        let epochs = place.read(&format!("{target}/history.csv")).lines().count() - 1;
        assert!(epochs < 400, "{epochs}");
        place.ok(&format!("predict {target} t.csv --out {target}.csv"));
        // Without validation rows nothing stops, and the settings that need them are left out.
        place.ok(&format!(
            "train t.csv --target {target} --ignore {other} --recipe tabm --layers {layers} --valid 0 --epochs 2 --no-report \
             --out {target}0"
        ));
    }
    let rows = |count: usize| {
        let rows: String = (0..count).map(|at| format!("{},{}\n", at % 7, at % 3)).collect();
        place.write("long.csv", &format!("x,y\n{rows}"));
        let events = place.events("long.csv --target y --batch-size auto --epochs 1 --hidden 2 --valid 0 --force --no-report --out l");
        let steps = events.iter().find_map(|event| event["steps_per_epoch"].as_u64()).unwrap();
        count.div_ceil(steps as usize)
    };
    assert_eq!([2799, 2800, 4500, 6400].map(rows), [32, 64, 125, 256]);
}

#[test]
fn a_part_of_a_plain_network_does_not_replace_that_of_a_recipe() {
    let place = tables();
    let told = |recipe: &str, option: &str| {
        for command in ["train", "tune"] {
            let begun = format!("{command} t.csv --target y --ignore kind --recipe {recipe}");
            let said = place.refused(&format!("{begun} {option} --out r"));
            let key = option.split(' ').next().unwrap();
            let want = format!(
                "{key}: it is for a plain network, and that of the recipe {recipe} is `layers = \""
            );
            assert!(
                said.contains(&want) && said.contains("or --recipe plain"),
                "{command}: {said}"
            );
            assert!(!place.path("r").exists());
        }
    };
    told("realmlp", "--dropout 0.3");
    told("realmlp", "--activation gelu");
    told("tabm", "--norm batch");
    place.write("s.toml", "recipe = \"realmlp\"\nepochs = 2\ndropout = [0.1, 0.2]\n");
    place.write("u.toml", "recipe = \"realmlp\"\ndropout = [0.1, 0.2]\n");
    for command in
        ["sweep t.csv --config s.toml --trials 2", "tune t.csv --config u.toml --trials 2"]
    {
        let said = place.refused(&format!("{command} --target y --ignore kind --out r"));
        assert!(said.contains(".toml: dropout: it is for a plain network"), "{command}: {said}");
        assert!(!said.contains("sweep.toml"), "{command}: {said}");
    }
    // Sizes of hidden layers ask for a network of one's own, and the line says what is given.
    let train = "train t.csv --target y --ignore kind --recipe realmlp --epochs 1 --no-report --force --out r";
    let (_, said) = place.ok(&format!("{train} --hidden 8 --dropout 0.3"));
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let end =
        "as given stay epochs; not taken, since something else is given in place of it: layers";
    assert!(said.contains(end), "{said}");
    let (_, said) = place.ok(&format!("{train} --optimizer sgd"));
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = "as given stay epochs, optimizer; not taken, since something else is given in place of it: beta1, beta2, eps, weight-decay";
    assert!(said.contains(end), "{said}");
    // What an optimizer has in parentheses is no setting of the recipe any more.
    place.ok(&format!("{train} --optimizer adamw(beta2=0.9)"));
    let config = place.read("r/config.toml");
    assert!(config.contains("beta2 = 0.9\n") && config.contains("weight-decay = 0.02"), "{config}");
}

#[test]
fn members_of_a_recipe_have_seeds_of_their_own() {
    let place = tables();
    let train = "train t.csv --target kind --ignore y --recipe realmlp --epochs 2 --no-report";
    place.ok(&format!("{train} --members 2 --out e"));
    let [first, second] = [0, 1].map(|it| place.bytes(&format!("e/members/{it}/{MODEL}")));
    assert_ne!(first, second);
    place.ok(&format!("{train} --out alone"));
    assert_eq!(place.bytes(&format!("alone/{MODEL}")), first);
    place.ok("predict e t.csv --out told.csv");
}

#[test]
fn runs_of_a_recipe_go_on() {
    let place = tables();
    let train =
        "train t.csv --target y --ignore kind --recipe realmlp --schedule-epochs 4 --no-report";
    place.ok(&format!("{train} --epochs 4 --out whole"));
    place.ok(&format!("{train} --epochs 2 --out part"));
    place.ok("resume part --epochs 4 --no-report");
    assert_eq!(place.bytes(&format!("whole/{MODEL}")), place.bytes(&format!("part/{MODEL}")));
}

/// Rows far from those of training, where a network would give any number.
#[test]
fn predictions_of_numbers_stay_within_the_targets() {
    let place = Place::new();
    let rows: String = (0..40).map(|at| format!("{at},{}\n", 3 * at)).collect();
    place.write("line.csv", &format!("x,y\n{rows}"));
    place.write("far.csv", "x\n-1000\n1000\n20\n");
    let train =
        "train line.csv --target y --valid 0 --hidden none --lr 0.1 --epochs 60 --optimizer adam";
    place.ok(&format!("{train} --out free"));
    place.ok(&format!("{train} --clamp --out kept"));
    let told = |run: &str| -> Vec<f64> {
        let (out, _) = place.ok(&format!("predict {run} far.csv"));
        let last = |line: &str| line.rsplit(',').next().unwrap().parse().unwrap();
        out.lines().skip(1).map(last).collect()
    };
    let (free, kept) = (told("free"), told("kept"));
    assert!(free[0] < -100.0 && free[1] > 1000.0, "{free:?}");
    assert_eq!(kept[..2], [0.0, 117.0]);
    assert_eq!(kept[2], free[2]);
}

#[test]
fn an_epoch_of_whole_batches_leaves_rows_out() {
    let place = tables();
    let train = "t.csv --target y --ignore kind --epochs 2 --batch-size 50 --valid 0 --no-report";
    let steps = |options: &str| -> u64 {
        let events = place.events(&format!("{train} {options}"));
        let begun = events.iter().find_map(|event| event["steps_per_epoch"].as_u64());
        begun.unwrap()
    };
    assert_eq!((steps("--out a"), steps("--drop-last --out b")), (3, 2));
}
