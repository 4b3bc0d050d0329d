//! Numbers, names, weights and units mean what they say, from a table to a prediction.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fmt::Write as _;

use place::{Place, event};
use serde_json::Value;

/// A table of rows that a function makes of two numbers, of which the second is ten times as large and far from 0.
fn table(header: &str, rows: u32, row: impl Fn(f64, f64) -> String) -> String {
    let mut text = format!("{header}\n");
    for i in 0..rows {
        let (a, b) = (f64::from(i * 37 % 101) / 25.0 - 2.0, 50.0 + f64::from(i * 53 % 97) / 5.0);
        writeln!(text, "{}", row(a, b)).unwrap();
    }
    text
}

fn column(place: &Place, file: &str, name: &str) -> Vec<String> {
    let text = place.read(file);
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|it| it == name).unwrap();
    lines.map(|line| line.split(',').nth(at).unwrap().to_string()).collect()
}

fn numbers(place: &Place, file: &str, name: &str) -> Vec<f64> {
    column(place, file, name).iter().map(|text| text.parse().unwrap()).collect()
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} of {value}"))
}

/// Greatest difference of two columns.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn digits_behind_the_first_seven_count() {
    let place = Place::new();
    // The identifier alone decides, and in single precision both are one number.
    let ids = table("id,x,y", 120, |a, b| {
        let second = b > 60.0;
        format!(
            "{},{a},{}",
            100_100_037 + 2 * i32::from(second),
            if second { "hot" } else { "cold" }
        )
    });
    place.write("ids.csv", &ids);
    place.ok("train ids.csv --target y --epochs 30 --out ids --quiet");
    assert_eq!(number(&place.evaluated("ids ids.csv"), "accuracy"), 1.0);

    // Seconds since 1970 that differ by minutes.
    let times = table("x,t", 200, |a, _| format!("{a},{}", 1_700_000_000.0 + 200.25 * a));
    place.write("times.csv", &times);
    place.ok("train times.csv --target t --epochs 40 --lr 0.01 --out times --quiet");
    place.ok("predict times times.csv --out p.csv --quiet");
    let (truth, told) = (numbers(&place, "p.csv", "t"), numbers(&place, "p.csv", "t_predicted"));
    let squares: f64 = truth.iter().zip(&told).map(|(y, p)| (y - p).powi(2)).sum();
    let rmse = (squares / truth.len() as f64).sqrt();
    let said = number(&place.evaluated("times times.csv"), "rmse");
    assert!((said - rmse).abs() < 1e-6 * rmse && rmse < 60.0, "{said} {rmse}");

    // Beyond what single precision holds, but not once it is scaled.
    let huge = table("x,y", 60, |a, _| format!("{:e},{}", a * 1e60, 3.0 * a));
    place.write("huge.csv", &huge);
    place.ok("train huge.csv --target y --hidden none --epochs 60 --lr 0.05 --out huge --quiet");
    assert!(number(&place.evaluated("huge huge.csv"), "r2") > 0.99);
    let said = place.refused("train huge.csv --target y --scale none --out none");
    assert!(
        said.contains("column `x` has") && said.contains("32-bit floats cannot hold"),
        "{said}"
    );
    place.write("far.csv", "x\n1e59\n-1e300\n");
    let said = place.refused("predict huge far.csv");
    assert!(said.contains("far.csv:3: column `x`: -1e300 is too far"), "{said}");
    // Whole numbers beyond 2^53 are not all numbers of f64.
    let long = table("id,x,y", 60, |a, b| {
        format!("{},{a},{}", 1_234_567_890_123_456_789_i64 + i64::from(b > 60.0), b > 60.0)
    });
    place.write("long.csv", &long);
    let (_, said) = place.ok("train long.csv --target y --epochs 1 --out long");
    assert!(said.contains("double precision (64-bit) cannot hold all digits of `id`"), "{said}");
    // One value far away takes the others' digits.
    let outlier = table("id,x,y", 120, |a, b| format!("{},{a},{}", 1e12 + b.round(), a > 0.0))
        + "1e30,0,true\n";
    place.write("outlier.csv", &outlier);
    let (_, said) = place.ok("train outlier.csv --target y --epochs 1 --out outlier");
    assert!(said.contains("cannot tell all values of `id` apart"), "{said}");
}

#[test]
fn exported_inputs_are_as_exact_as_a_column_needs() {
    let place = Place::new();
    place.write("t.csv", &table("east,z", 80, |a, _| format!("{},{a}", 5_412_345.0 + 0.1 * a)));
    place.ok("train t.csv --target z --epochs 2 --out r --quiet");
    let exported = |args: &str| -> (Value, String) {
        let (out, said) = place.ok(&format!("export r --onnx m.onnx --force --json {args}"));
        (serde_json::from_str(&out).unwrap(), said)
    };
    let (auto, said) = exported("--input auto");
    assert_eq!(auto["input"], "f64", "{said}");
    let (single, said) = exported("--input f32");
    assert_eq!(single["input"], "f32");
    assert!(said.contains("cannot tell all values of `east` apart"), "{said}");
    place.write("plain.csv", &table("a,z", 80, |a, _| format!("{a},{a}")));
    place.ok("train plain.csv --target z --epochs 2 --out r --force --quiet");
    assert_eq!(exported("--input auto").0["input"], "f32");
}

#[test]
fn weights_of_a_model_go_by_names_under_its_scaling() {
    let place = Place::new();
    let class = |a: f64, b: f64| if 5.0 * a + b > 60.0 { "up" } else { "down" };
    place.write("a.csv", &table("a,b,kind", 200, |a, b| format!("{a},{b},{}", class(a, b))));
    // Other rows, with another order and another scale of their own.
    place.write("b.csv", &table("kind,b,a", 60, |a, b| format!("{},{b},{}", class(a, b), a.abs())));
    place.ok("train a.csv --target kind --epochs 20 --out one --quiet");
    let still = "--optimizer sgd --lr 1e-12 --epochs 1 --valid 0 --init one/model.safetensors";
    place.ok(&format!("train b.csv --target kind {still} --out two --quiet"));
    let predicted = |run: &str| {
        place.ok(&format!("predict {run} b.csv --out {run}.csv --force --quiet"));
        numbers(&place, &format!("{run}.csv"), "kind_probability_up")
    };
    assert!(apart(&predicted("one"), &predicted("two")) < 1e-6);
    assert!(place.read("two/config.toml").contains("scale = \"init\""));
    // The settings that were written down do the same again, and so does going on.
    place.ok("train --config two/config.toml --out three --quiet");
    place.ok("resume two --epochs 2 --quiet");
    assert!(apart(&predicted("one"), &predicted("three")) < 1e-6);
    assert!(apart(&predicted("one"), &predicted("two")) < 1e-6);
    // Scaled anew only where that is said, and then told.
    let (_, said) =
        place.ok(&format!("train b.csv --target kind {still} --scale standard --out four"));
    assert!(said.contains("scaled anew under weights"), "{said}");
    assert!(apart(&predicted("one"), &predicted("four")) > 0.01);
    // Another model as weights: its columns go by name, too.
    place.ok("predict one b.csv --weights two/model.safetensors --out w.csv --quiet");
    assert!(apart(&predicted("two"), &numbers(&place, "w.csv", "kind_probability_up")) < 1e-9);

    place.write("c.csv", &table("kind,c,a", 60, |a, b| format!("{},{b},{a}", class(a, b))));
    let said = place.refused(&format!("train c.csv --target kind {still} --out five"));
    assert!(said.contains("--init: the model's columns or classes are not the table's: column `c` is new; column `b` is missing"), "{said}");
    let (_, said) =
        place.ok(&format!("train c.csv --target kind {still} --init-strict false --out five"));
    assert!(
        said.contains("column `c` is new") && said.contains("`0.weight` belongs to columns"),
        "{said}"
    );
    place.write(
        "d.csv",
        &table("a,b,kind", 60, |a, b| {
            format!("{a},{b},{}", if a > 1.0 { "left" } else { class(a, b) })
        }),
    );
    let said = place.refused(&format!("train d.csv --target kind {still} --out six"));
    assert!(said.contains("class is new: `left`"), "{said}");
}

#[test]
fn rows_of_weight_0_change_no_byte() {
    let place = Place::new();
    let row =
        |a: f64, b: f64| format!("{a},{b},{},{}", 1.0 + (b * 5.0).round() % 3.0, 3.0 * a - b / 9.0);
    let good = table("a,b,w,y", 150, row);
    let mut lines: Vec<String> = good.lines().map(String::from).collect();
    for at in [2, 40, 90] {
        lines.insert(at, "NA,,0,-999999999".into());
    }
    place.write("good.csv", &good);
    place.write("bad.csv", &(lines.join("\n") + "\n"));
    let train = |name: &str| {
        let (_, said) =
            place.ok(&format!("train {name}.csv --target y --weight w --epochs 3 --out {name}"));
        (std::fs::read(place.path(&format!("{name}/model.safetensors"))).unwrap(), said)
    };
    let ((with, said), (without, _)) = (train("bad"), train("good"));
    assert!(with == without, "the models differ");
    assert!(said.contains("3 rows of weight 0 are left out"), "{said}");
    let (a, b) = (place.evaluated("good good.csv"), place.evaluated("good bad.csv"));
    assert_eq!(a, b);
}

#[test]
fn a_weight_counts_the_same_in_every_batch() {
    let place = Place::new();
    // Half of the rows are 10 and weigh 100, the others are 0 and weigh 1: their mean is 9.90.
    let mut text = "x,w,y\n".to_string();
    for i in 0..400 {
        writeln!(
            text,
            "{},{},{}",
            f64::from(i * 7 % 13),
            if i % 2 == 0 { 1 } else { 100 },
            i % 2 * 10
        )
        .unwrap();
    }
    place.write("t.csv", &text);
    for batch in [1, 4, 400] {
        let lr = if batch == 400 { 0.5 } else { 0.003 };
        place.ok(&format!(
            "train t.csv --target y --task regress --weight w --batch-size {batch} --valid 0 --hidden none --optimizer sgd --lr {lr} --epochs 40 --out r{batch} --quiet"
        ));
        place.ok(&format!("predict r{batch} t.csv --out p{batch}.csv --quiet"));
        let told = numbers(&place, &format!("p{batch}.csv"), "y_predicted");
        let mean = told.iter().sum::<f64>() / told.len() as f64;
        assert!((mean - 9.901).abs() < 0.3, "batches of {batch}: {mean}");
    }
}

#[test]
fn losses_and_last_layers_count_in_the_targets_units() {
    let place = Place::new();
    // One row in seven is far too high.
    let mut text = "x,y\n".to_string();
    for i in 0..280 {
        let x = f64::from(i * 37 % 101) / 25.0 - 2.0;
        let y = 10_000.0 + 500.0 * x + if i % 7 == 0 { 20_000.0 } else { 0.0 };
        writeln!(text, "{x},{y}").unwrap();
    }
    place.write("t.csv", &text);
    place.write("clean.csv", &table("x,y", 100, |a, _| format!("{a},{}", 10_000.0 + 500.0 * a)));
    place.ok("train t.csv --target y --loss huber(delta=100) --hidden none --epochs 150 --lr 0.02 --valid 0 --out huber --quiet");
    let said = place.evaluated("huber clean.csv");
    // Those rows pull by 100 each and no more: 100/6 in the mean.
    assert!(number(&said, "mae") < 60.0, "{said}");
    let (_, said) = place.ok("train t.csv --target y --loss huber --epochs 1 --out plain");
    assert!(said.contains("delta 1 of huber counts in the target's own units"), "{said}");

    let (_, said) = place.ok("train clean.csv --target y --layers dense(8),relu,dense,softplus --epochs 200 --lr 0.02 --out price");
    assert!(said.contains("divided by its size and not shifted"), "{said}");
    assert!(number(&place.evaluated("price clean.csv"), "r2") > 0.98);
    let said = place
        .refused("train clean.csv --target y --layers dense(8),relu,dense,sigmoid --out share");
    assert!(said.contains("sigmoid, gives numbers from 0 to 1, but `y` goes from"), "{said}");
}

#[test]
fn a_run_says_what_its_network_is_worth() {
    let place = Place::new();
    let class = |a: f64, b: f64| if a * (b - 60.0) > 0.0 { "up" } else { "down" };
    place.write("t.csv", &table("a,b,kind", 300, |a, b| format!("{a},{b},{}", class(a, b))));
    let events = place.events("t.csv --target kind --epochs 60 --lr 0.02 --out r");
    assert!(
        event(&events, "started")["target"]
            .as_str()
            .unwrap()
            .starts_with("`kind`, one of 2 classes, with their rows: `down` ")
    );
    let (compared, ended) = (event(&events, "compared"), event(&events, "finished"));
    let metrics = place.json("r/metrics.json");
    assert_eq!(compared["constant"], metrics["baselines"]["constant"]);
    assert_eq!(compared["linear"]["name"], "logistic regression");
    // A product of signs is nothing that a plane could part.
    let accuracy = |value: &Value| number(value, "valid_accuracy");
    assert!(accuracy(&compared["linear"]) < 0.75 && accuracy(ended) > 0.9, "{compared} {ended}");
    // The best epoch is kept, whichever that is.
    let losses = numbers(&place, "r/history.csv", "valid_loss");
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((number(ended, "valid_loss") - best).abs() < 1e-12);
    // The file of the validation rows gives the same figure.
    let (truth, told) = (
        column(&place, "r/validation.csv", "kind"),
        column(&place, "r/validation.csv", "kind_predicted"),
    );
    let right = truth.iter().zip(&told).filter(|(a, b)| a == b).count();
    assert_eq!(truth.len(), 60);
    assert!((right as f64 / 60.0 - accuracy(ended)).abs() < 1e-12);

    let (out, said) = place.ok("evaluate r t.csv --json");
    let evaluated: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(evaluated["training_rows"], 240);
    assert!(
        said.contains("240 of 300 rows are equal to rows that this run was trained on"),
        "{said}"
    );
    place.write("v.csv", &place.read("r/validation.csv"));
    let (out, said) = place.ok("evaluate r v.csv --json");
    let evaluated: Value = serde_json::from_str(&out).unwrap();
    assert!(evaluated["training_rows"] == 0 && !said.contains("trained on"), "{said}");

    let (_, said) =
        place.ok("train t.csv --target kind --epochs 3 --lr 1e-9 --optimizer sgd --out bad");
    assert!(said.contains("the network is no better than"), "{said}");
    // Noise is learnt by heart.
    place.write(
        "noise.csv",
        &table("a,b,kind", 120, |a, b| {
            format!("{a},{b},{}", (a * 7919.0 + b * 104_729.0).sin() > 0.0)
        }),
    );
    let (_, said) = place.ok("train noise.csv --target kind --epochs 200 --lr 0.01 --out noise");
    assert!(said.contains("the best of 200") && said.contains("over-fitted since then"), "{said}");
}

#[test]
fn odd_columns_are_pointed_out() {
    let place = Place::new();
    let mut text = "row_id,same,x,copy,y\n".to_string();
    for i in 0..100 {
        let x = f64::from(i * 37 % 101) / 25.0;
        let y = x * x + f64::from(i * 53 % 97) / 50.0;
        writeln!(text, "{i},7,{x},{},{y}", 1.0 - 2.0 * y).unwrap();
    }
    place.write("t.csv", &text);
    let (_, said) = place.ok("train t.csv --target y --epochs 1 --out r");
    for want in [
        "columns with one value only tell the network nothing: `same`",
        "`row_id` seems to number the rows",
        "`copy` tells the target without any other column",
        "predict `y`, a number from",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }
}
