//! Scaling, columns that say the same, and rare texts, from a table to a prediction.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use place::{Place, event};
use serde_json::Value;
use wgrad::data::TableOptions;
use wgrad::prelude::*;

/// A target over several powers of ten, a skewed column and its copy, a column of few values, and texts of which some are rare.
fn skewed(rows: u32) -> String {
    let mut text = String::from("income,steps,town,again,y\n");
    for i in 0..rows {
        let income = (f64::from(i * 7919 % 1009) / 150.0).exp();
        let town = match i % 10 {
            0..5 => "Ulm".to_string(),
            5..8 => "Hof".to_string(),
            8 => "Aue".to_string(),
            _ => format!("village {}", i % 90),
        };
        let y = income * (1.0 + f64::from(i % 5)) + 1.0;
        writeln!(text, "{income:.3},{},{town},{income:.3},{y:.3}", i % 5).unwrap();
    }
    text
}

/// Runs the program with arguments that have blanks in them.
fn with_args(place: &Place, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    let output = command.args(args).current_dir(place.path("")).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

fn stored(place: &Place, run: &str) -> Value {
    let (out, _) = place.ok(&format!("info {run} --json"));
    serde_json::from_str::<Value>(&out).unwrap()["preparation"].clone()
}

#[test]
fn each_method_trains_and_figures_are_in_the_targets_units() {
    let place = Place::new();
    place.write("t.csv", &skewed(400));
    let mut errors = Vec::new();
    for (scale, target) in [
        ("standard", "standard"),
        ("log", "log"),
        ("robust", "quantile"),
        ("quantile", "log"),
        ("minmax", "none"),
    ] {
        place.ok(&format!(
            "train t.csv --target y --epochs 30 --lr 0.01 --hidden 16 --ignore town --scale {scale} --target-scale {target} --out {scale} --quiet"
        ));
        let figures = place.evaluated(&format!("{scale} t.csv"));
        // The median error of a table whose target goes from 1 to 5000.
        errors.push(figures["median_absolute_error"].as_f64().unwrap());
        let told = place.ok(&format!("info {scale}")).0;
        assert!(told.contains("`y`: target, "), "{told}");
        let text = fs::read_to_string(place.path(&format!("{scale}/config.toml"))).unwrap();
        assert!(text.contains(&format!("target-scale = \"{target}\"")), "{text}");
    }
    assert!(errors[1] < errors[0] && errors.iter().all(|error| *error < 1500.0), "{errors:?}");
    // Of the logarithm of the target, the network's loss is far below that of the target itself.
    let (out, _) = place.ok("predict log t.csv --quiet");
    let mut off = 0;
    for line in out.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [y, told] = [4, 5].map(|at| cells[at].parse::<f64>().unwrap());
        off += u32::from((told / y).ln().abs() > 0.7);
    }
    assert!(off < 40, "{off} of 400 rows are off by more than a factor of 2");
}

#[test]
fn columns_are_scaled_by_name_beside_their_kinds() {
    let place = Place::new();
    place.write("t.csv", &skewed(200));
    let train = ["train", "t.csv", "--target", "y", "--epochs", "1", "--device", "cpu", "--quiet"];
    let columns = "income:log, steps:category, town:one-hot, again:robust";
    let (ok, said) =
        with_args(&place, &[&train[..], &["--columns", columns, "--out", "r"]].concat());
    assert!(ok, "{said}");
    let told = place.ok("info r").0;
    for part in [
        "`income`: number, log: of the logarithms mean ",
        "`again`: number, robust: median ",
        "`steps`: category",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // Two columns of equal values that are scaled in two ways are two inputs.
    let methods = stored(&place, "r")["curves"]["methods"].to_string();
    assert!(
        methods.starts_with("[\"log\",\"none\"") && methods.contains("\"robust\""),
        "{methods}"
    );
    let text = place.read("r/config.toml");
    assert!(text.contains("\"income:log\", \"steps:category\""), "{text}");
    place.ok("train --config r/config.toml --out again --quiet");
    assert_eq!(stored(&place, "again"), stored(&place, "r"));
    for (columns, part) in [
        ("town:log", "--columns: `town` is"),
        ("nowhere:log", "--columns: there is no column `nowhere`"),
        ("income:loud", "unknown kind `loud`"),
    ] {
        let (ok, said) =
            with_args(&place, &[&train[..], &["--columns", columns, "--out", "x"]].concat());
        assert!(
            !ok && (said.contains(part)
                || columns == "town:log" && said.contains("is not a number")),
            "{said}"
        );
    }
    let said =
        place.refused("train t.csv --target y --features income --columns steps:category --out x");
    assert!(said.contains("--columns: `steps` is no feature, since --features lacks it"), "{said}");
}

#[test]
fn losses_and_scalings_that_contradict_each_other_are_refused() {
    let place = Place::new();
    place.write("t.csv", &skewed(60));
    for (options, part) in [
        ("--loss huber --target-scale log", "--loss: huber counts in the target's own units"),
        (
            "--loss gaussian-nll --target-scale quantile",
            "--loss: gaussian-nll counts in the target's own units",
        ),
        ("--loss poisson-nll --task regress --target-scale log", "poisson-nll"),
        (
            "--task classify --target steps --target-scale log",
            "--target-scale: log, but the target is no number",
        ),
        (
            "--target-scale minmax",
            "--target-scale: unknown name \"minmax\"; known: standard, quantile, log, none",
        ),
        (
            "--scale max",
            "--scale: unknown name \"max\"; known: standard, robust, minmax, quantile, log, none",
        ),
        (
            "--layers dense(4),relu,dense,softplus --target-scale log",
            "--layers: the last layer, softplus",
        ),
    ] {
        let target = if options.contains("--target ") { "" } else { " --target y" };
        let said = place
            .refused(&format!("train t.csv --ignore town --epochs 1 --out x {options}{target}"));
        assert!(said.contains(part), "{options}: {said}");
    }
    place.ok("train t.csv --target y --ignore town --epochs 1 --out r --quiet");
    for (options, part) in [
        (
            "--target-scale log",
            "--target-scale: the scaling of the model that --init gives is kept",
        ),
        ("--columns income:log", "--columns: the scaling of the model that --init gives is kept"),
    ] {
        let said = place.refused(&format!(
            "train t.csv --target y --ignore town --epochs 1 --out x --init r/model.safetensors {options}"
        ));
        assert!(said.contains(part), "{said}");
    }
    // Weights go on under a curved scaling as they were.
    place.ok("train t.csv --target y --ignore town --epochs 2 --scale quantile --target-scale log --out q --quiet");
    place.ok("train t.csv --target y --ignore town --epochs 1 --lr 1e-12 --init q/model.safetensors --out on --quiet");
    let (a, b) = (place.evaluated("q t.csv"), place.evaluated("on t.csv"));
    let rmse = |it: &Value| it["rmse"].as_f64().unwrap();
    assert!((rmse(&a) / rmse(&b) - 1.0).abs() < 1e-6, "{a} {b}");
}

#[test]
fn the_constant_prediction_is_named_by_what_it_is_the_mean_of() {
    let place = Place::new();
    place.write("t.csv", &skewed(100));
    for (method, want) in [
        ("log", "compare always the mean by logarithms:"),
        ("quantile", "compare always the mean by ranks:"),
        ("standard", "compare always the mean:"),
    ] {
        let run =
            format!("train t.csv --target y --epochs 1 --target-scale {method} --out {method}");
        let (out, said) = place.ok(&run);
        assert!(format!("{out}{said}").contains(want), "{out}{said}");
    }
}

#[test]
fn a_column_that_says_the_same_as_another_is_left_out() {
    let place = Place::new();
    place.write("t.csv", &skewed(200));
    let (_, said) = place.ok("train t.csv --target y --epochs 1 --out r");
    assert!(
        said.contains("`again` has the values of `income` in all training rows, and is left out"),
        "{said}"
    );
    assert!(said.contains("--duplicates keep"), "{said}");
    let told = place.ok("info r").0;
    assert!(
        told.contains("`again`: left out, with the values of `income` in all training rows"),
        "{told}"
    );
    // The column is not needed any more, and passes through where it is there.
    let without: String = skewed(20).lines().fold(String::new(), |mut text, line| {
        let cells: Vec<&str> = line.split(',').collect();
        writeln!(text, "{},{},{}", cells[0], cells[1], cells[2]).unwrap();
        text
    });
    place.write("new.csv", &without);
    let (few, _) = place.ok("predict r new.csv --quiet");
    let (all, _) = place.ok("predict r t.csv --quiet");
    let last = |text: &str, row: usize| {
        text.lines().nth(row).unwrap().rsplit(',').next().unwrap().to_string()
    };
    assert_eq!(last(&few, 7), last(&all, 7));
    place.ok("train t.csv --target y --epochs 1 --init r/model.safetensors --out next --quiet");
    assert_eq!(
        stored(&place, "next")["schema"]["features"],
        stored(&place, "r")["schema"]["features"]
    );
    // It may be another column in another table, so it is told; and taken if that is asked, as a new one.
    let (_, said) =
        place.ok("train t.csv --target y --epochs 1 --init r/model.safetensors --out told");
    assert!(
        said.contains("`again` is left out, since the model whose weights the run begins with left it out as a copy of `income`"),
        "{said}"
    );
    let said = place.refused(
        "train t.csv --target y --epochs 1 --init r/model.safetensors --duplicates keep --out no",
    );
    assert!(said.contains("again"), "{said}");
    place.ok("train t.csv --target y --epochs 1 --duplicates keep --out kept --quiet");
    assert!(stored(&place, "kept")["schema"].get("duplicates").is_none());
    // A run of before such columns were left out goes on with them.
    let config = place.read("kept/config.toml").replace("duplicates = \"keep\"\n", "");
    fs::write(place.path("kept/config.toml"), config).unwrap();
    place.ok("resume kept --epochs 2 --quiet");
    assert!(place.read("kept/config.toml").contains("duplicates = \"keep\""));
}

/// A table of which `again` has the values of `x`, `same` is constant, and each `id` is there once.
fn repeated(rows: u32) -> String {
    let mut text = String::from("x,again,same,id,z,y\n");
    for i in 0..rows {
        let x = f64::from(i * 37 % 101) / 4.0;
        writeln!(text, "{x},{x},7,row {i},{},{}", i * 13 % 17, 2.0 * x + 1.0).unwrap();
    }
    text
}

/// The same without columns.
fn without(text: &str, columns: &[&str]) -> String {
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let row = |line: &str| {
        let cells = names.iter().zip(line.split(',')).filter(|(name, _)| !columns.contains(name));
        cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",") + "\n"
    };
    text.lines().map(row).collect()
}

#[test]
fn a_method_by_name_does_not_keep_a_copy_that_has_it_too() {
    let place = Place::new();
    place.write("t.csv", &repeated(80));
    let features = |run: &str| stored(&place, run)["schema"]["features"].to_string();
    let train = |more: &[&str]| {
        let all = ["train", "t.csv", "--target", "y", "--epochs", "1", "--quiet"];
        let (ok, said) = with_args(&place, &[&all[..], more].concat());
        assert!(ok, "{said}");
    };
    train(&["--out", "both", "--columns", "x:robust, again:robust"]);
    assert_eq!(features("both"), r#"["x","same","z"]"#);
    assert_eq!(stored(&place, "both")["curves"]["methods"][0], "robust");
    train(&["--out", "same", "--columns", "again:standard"]);
    assert_eq!(features("same"), r#"["x","same","z"]"#);
    train(&["--out", "other", "--columns", "again:log"]);
    assert_eq!(features("other"), r#"["x","again","same","z"]"#);
    place.ok("resume both --epochs 2 --quiet");
    let inspected = |columns: &str| place.ok(&format!("inspect t.csv --columns {columns}")).0;
    let told = "left out, since it has the values of `x`";
    assert!(inspected("x:log,again:log").contains(told));
    assert!(!inspected("again:log").contains(told));
}

#[test]
fn other_tables_need_no_column_that_is_left_out() {
    let place = Place::new();
    place.write("t.csv", &repeated(80));
    place.write("few.csv", &without(&repeated(30), &["again", "id"]));
    place.ok("train t.csv --target y --epochs 1 --valid few.csv --out r --quiet");
    assert_eq!(stored(&place, "r")["schema"]["features"].to_string(), r#"["x","same","z"]"#);
    place.ok("resume r --epochs 2 --quiet");
    place.ok("evaluate r few.csv --quiet");
    place.ok("predict r few.csv --quiet");
    // A constant column is a feature, and is needed.
    place.write("no.csv", &without(&repeated(30), &["again", "same"]));
    let said = place.refused("train t.csv --target y --epochs 1 --valid no.csv --out s");
    assert!(said.contains("no.csv") && said.contains("`same`"), "{said}");
    place.ok("train t.csv --target y --epochs 1 --valid no.csv --ignore same --out s --quiet");
    place.ok("evaluate s no.csv --quiet");
}

#[test]
fn a_table_whose_copies_have_changed_is_told_of_when_a_run_goes_on() {
    let place = Place::new();
    let table = repeated(80);
    place.write("t.csv", &table);
    place.ok("train t.csv --target y --epochs 1 --out r --quiet");
    let last = table.trim_end().rfind('\n').unwrap();
    let changed = table[..last].replacen("9.25,9.25", "9.25,9.5", 1) + &table[last..];
    assert_ne!(changed, table);
    place.write("t.csv", &changed);
    let said = place.refused("resume r --epochs 2");
    assert!(
        said.contains("the table is not as it was when the run began: `again` had the values of `x` in all training rows and was left out, and has others now; go on"),
        "{said}"
    );
    // The other way round.
    place.ok("train t.csv --target y --epochs 1 --out s --quiet");
    place.write("t.csv", &table);
    let said = place.refused("resume s --epochs 2");
    assert!(
        said.contains(
            "`again` has the values of `x` in all training rows now and is left out, and had others"
        ),
        "{said}"
    );
    place.write("t.csv", &without(&table, &["z"]));
    let said = place.refused("resume r --epochs 2");
    assert!(said.contains("when the run began: column `z` is missing; go on"), "{said}");
    // The copy itself need not be there.
    place.write("t.csv", &without(&table, &["again"]));
    place.ok("resume r --epochs 2 --quiet");
}

#[test]
fn rare_texts_share_one_place_and_are_counted() {
    let place = Place::new();
    place.write("t.csv", &skewed(400));
    let (_, said) =
        place.ok("train t.csv --target y --epochs 2 --min-count 20 --valid last --out r");
    // 320 training rows: 32 in nine villages.
    assert!(
        said.contains("9 texts have fewer than 20 training rows in `town`, 32 with all of them: they share one input"),
        "{said}"
    );
    let told = place.ok("info r").0;
    assert!(
        told.contains("an input for each of `Aue`, `Hof`, `Ulm`, one for 9 rare texts (32 rows) and all others"),
        "{told}"
    );
    // The shared input is 1 in the rows of villages, and in no others.
    let options = TableOptions { min_count: 20, ..TableOptions::default() };
    let data = Dataset::from_csv_with(place.path("t.csv"), Target::number("y"), &options).unwrap();
    let Split { train, .. } = data.split_last(0.2).unwrap();
    let names = &train.schema().features;
    let rare = names.iter().position(|name| name == "town is rare").unwrap();
    let ones: Vec<usize> =
        train.column(rare).zip(0..).filter(|it| it.0 == 1.0).map(|it| it.1).collect();
    assert_eq!(ones, (0..320).filter(|row| row % 10 == 9).collect::<Vec<_>>());
    // An unknown text is taken as a rare one.
    place.write("new.csv", "income,steps,town\n5,1,village 9\n5,1,nowhere\n5,1,Ulm\n");
    let (out, _) = place.ok("predict r new.csv --quiet");
    let told: Vec<&str> = out.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
    assert!(told[1] == told[2] && told[1] != told[3], "{out}");
    // The validation rows give the same figures where they are read again.
    let events = place.events("t.csv --target y --epochs 2 --min-count 20 --valid last --out j");
    let figures = &event(&events, "finished")["valid_rmse"];
    assert_eq!(place.json("j/metrics.json")["valid_rmse"], *figures);
    let again = place.evaluated("j j/validation.csv");
    assert!(
        (again["rmse"].as_f64().unwrap() / figures.as_f64().unwrap() - 1.0).abs() < 1e-6,
        "{again} {figures}"
    );
    place.ok("train t.csv --target y --epochs 1 --one-hot 0 --min-count 20 --out e --quiet");
    let town = stored(&place, "e")["schema"]["columns"][2]["encoding"].clone();
    assert_eq!(town["kind"], "embedding");
    assert_eq!(town["values"], serde_json::json!(["Aue", "Hof", "Ulm"]));
    assert_eq!(town["pooled"]["texts"], 9);
}

#[test]
fn what_was_asked_of_a_table_is_told_or_refused() {
    let place = Place::new();
    place.write("t.csv", &skewed(60));
    // A mark of gaps that no cell has; an offset that no place has; groups without rows to hold out.
    let (_, said) = place.ok("train t.csv --target y --epochs 1 --missing -999,Ulm --out r");
    assert!(said.contains("no cell of a feature is `-999`, which --missing names"), "{said}");
    let (_, said) = place.ok("plan t.csv --target y");
    assert!(said.contains("`again` has the values of `income`"), "{said}");
    let said = place.refused("train t.csv --target y --group town --valid 0 --out x");
    assert!(said.contains("--group: with --valid 0 no rows are held out"), "{said}");
    let said = place.refused("train t.csv --target y --delimiter ; --out x");
    assert!(
        said.contains("the header is one column that contains a comma: give --delimiter comma"),
        "{said}"
    );
    let marked: String = (0..60)
        .map(|i| format!("{},{i}\n", if i == 7 { "NA".into() } else { i.to_string() }))
        .collect();
    place.write("na.csv", &format!("a,y\n{marked}"));
    let said = place.refused("train na.csv --target y --missing -1 --out x");
    assert!(said.contains("na.csv:9: column `a`: `NA` is no number but looks like a missing value; name it in --missing"), "{said}");
    let (out, _) = place.ok("inspect t.csv --ignore town --columns steps:category --missing Ulm");
    assert!(
        out.contains("left out, as it is asked") && out.contains("an input for each of 5 texts"),
        "{out}"
    );
}

#[test]
fn weights_of_a_model_with_other_texts_are_refused() {
    let place = Place::new();
    place.write("t.csv", &skewed(100));
    place.write("other.csv", &skewed(100).replace("Ulm", "Jena"));
    for table in ["t", "other"] {
        place.ok(&format!(
            "train {table}.csv --target y --one-hot 0 --epochs 1 --out {table} --quiet"
        ));
    }
    let said = place.refused("predict t t.csv --weights other/model.safetensors");
    assert!(said.contains("other texts in `town`; give the model itself as RUN"), "{said}");
    place.ok("predict t t.csv --weights t/model.safetensors --quiet");
}

#[test]
fn a_decimal_mark_that_was_stated_holds_for_predictions() {
    let place = Place::new();
    let rows: String = (0..60).map(|i| format!("{}.500,{};{i}\n", i + 1, i % 10)).collect();
    place.write("t.csv", &format!("a;y\n{rows}"));
    place.ok("train t.csv --target y --task regress --decimal comma --epochs 1 --out r --quiet");
    // Alone, 1.150 looks like 1.15.
    place.write("new.csv", "a;b\n1.150;x\n2.250;y\n");
    place.write("plain.csv", "a,b\n1150,x\n2250,y\n");
    let last =
        |text: &str| text.lines().nth(1).unwrap().rsplit([',', ';']).next().unwrap().to_string();
    let (marked, _) = place.ok("predict r new.csv --quiet");
    let told = marked.lines().nth(1).unwrap().rsplit(';').next().unwrap().replace(',', ".");
    let (plain, _) = place.ok("predict r plain.csv --quiet --decimal point");
    let (a, b) = (told.parse::<f64>().unwrap(), last(&plain).parse::<f64>().unwrap());
    assert!((a - b).abs() < 1e-9, "{marked} {plain}");
    // A column of one name with decimal commas is not taken for names of rows.
    place.write("one.csv", "a\n1,5\n7,25\n3,0\n");
    let said = place.refused("predict r one.csv --quiet");
    assert!(
        said.contains("below one name each row has two numbers with a comma between"),
        "{said}"
    );
    let (out, _) = place.ok("predict r one.csv --quiet --delimiter semicolon");
    assert_eq!(out.lines().count(), 4, "{out}");
}
