//! Columns of texts, dates and gaps, from a table to a prediction.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fmt::Write as _;
use std::fs;

use place::{Place, event};
use serde_json::Value;
use wgrad::data::TableOptions;
use wgrad::prelude::*;

/// A table whose target depends on texts, many texts, a date and a number with gaps.
fn mixed(rows: u32) -> String {
    let mut text = String::from("id,port,sex,city,when,age,y\n");
    for i in 0..rows {
        let (port, sex) = (["C", "Q", "S", ""][i as usize * 7 % 4], ["f", "m"][i as usize * 5 % 2]);
        let (city, day) = (i * 13 % 20, i * 11 % 28 + 1);
        let age = f64::from(i * 37 % 101) / 2.0;
        let y = age / 10.0
            + f64::from(u8::from(port == "C")) * 3.0
            + f64::from(u8::from(sex == "m"))
            + f64::from(city) / 2.0
            + f64::from(day) / 7.0;
        let age = if i % 9 == 4 { "NA".to_string() } else { age.to_string() };
        writeln!(text, "row number {i:05},{port},{sex},city {city},2024-01-{day:02},{age},{y:.4}")
            .unwrap();
    }
    text
}

/// Cells of a column.
fn column(text: &str, name: &str) -> Vec<String> {
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|it| it == name).unwrap();
    lines.map(|line| line.split(',').nth(at).unwrap().to_string()).collect()
}

#[test]
fn texts_dates_and_gaps_train_evaluate_and_predict() {
    let place = Place::new();
    place.write("t.csv", &mixed(400));
    let (_, said) = place.ok("train t.csv --target y --epochs 40 --out r");
    assert!(
        said.contains("`id` holds 400 different texts in 400 cells, which look like"),
        "{said}"
    );
    assert!(said.contains("compare linear regression without `city`"), "{said}");
    let r2 = place.evaluated("r t.csv")["r2"].as_f64().unwrap();
    assert!(r2 > 0.97, "{r2}");
    // The validation rows stand in their file as they were, and give the same figures.
    let valid = place.read("r/validation.csv");
    assert!(valid.starts_with("row,port,sex,city,when,age,y,y_predicted\n"), "{valid}");
    let all = mixed(400);
    for row in valid.lines().skip(1) {
        let (number, own) = row[..row.rfind(',').unwrap()].split_once(',').unwrap();
        let line = all.lines().nth(number.parse().unwrap()).unwrap();
        let (_, cells) = line.split_once(',').unwrap();
        // A number such as 10.5000 is written as 10.5.
        let cells = cells.replace("NA", "");
        assert_eq!(
            cells.trim_end_matches(['0', '.']),
            own.trim_end_matches(['0', '.']),
            "{number}"
        );
    }
    let figures = place.json("r/metrics.json");
    place.write("v.csv", &valid);
    let again = place.evaluated("r v.csv")["r2"].as_f64().unwrap();
    assert!((again - figures["valid_r2"].as_f64().unwrap()).abs() < 1e-6, "{again} {figures}");

    // Columns in another order, cells that training had not the like of.
    place.write(
        "new.csv",
        "note,age,when,city,sex,port\nkept,,2024-01-05,city 3,m,C\n\"as, is\",20,,nowhere,other,X\n,20,2024-01-05,city 3,,\n",
    );
    let (out, said) = place.ok("predict r new.csv");
    assert!(
        out.starts_with("note,age,when,city,sex,port,y_predicted\nkept,,2024-01-05,city 3,m,C,")
    );
    assert!(out.contains("\n\"as, is\",20,,nowhere,other,X,"), "{out}");
    let predicted: Vec<f64> =
        out.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert!(predicted.len() == 3 && predicted.iter().all(|value| value.is_finite()));
    for part in [
        "1 gap in `when` (line 3), which had none in training: the mean of the training rows stands in",
        "1 gap in `sex` (line 4), which had none in training: they count half as either text",
        "1 cell of `city` with texts that did not occur in training, such as `nowhere`: they share row 0",
        "1 cell of `port` with texts that did not occur in training, such as `X`: they count as none",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    // Training had gaps in these columns.
    assert!(!said.contains("`age`") && !said.contains("in `port`"), "{said}");
    place.write(
        "bad.csv",
        "age,when,city,sex,port\n20,2024-01-05,city 3,m,C\nold,2024-01-05,city 3,m,C\n",
    );
    let said = place.refused("predict r bad.csv");
    assert!(said.contains("bad.csv:3: column `age`: `old` is not a number"), "{said}");
    place.write("bad.csv", "age,when,city,sex,port\n20,yesterday,city 3,m,C\n");
    assert!(
        place
            .refused("predict r bad.csv")
            .contains("bad.csv:2: column `when`: `yesterday` is no date such as 2026-11-28")
    );
}

#[test]
fn runs_go_on_are_repeated_and_begin_with_weights_of_the_same_columns() {
    let place = Place::new();
    place.write("t.csv", &mixed(200));
    let model = |run: &str| fs::read(place.path(&format!("{run}/model.safetensors"))).unwrap();
    let options = "--target y --batch-size 16 --columns port:one-hot,city:embedding(3) --gaps mean --keep last --quiet";
    place.ok(&format!("train t.csv {options} --epochs 6 --out whole"));
    place.ok(&format!("train t.csv {options} --epochs 3 --out part"));
    place.ok("resume part --epochs 6 --quiet");
    assert_eq!(model("whole"), model("part"));
    place.ok("train --config whole/config.toml --out again --quiet");
    assert_eq!(model("whole"), model("again"));
    // The columns in another order, and a city more.
    let text = mixed(200);
    let turned: String = text
        .lines()
        .map(|line| {
            let mut cells: Vec<&str> = line.split(',').collect();
            cells.swap(1, 3);
            format!("{}\n", cells.join(","))
        })
        .collect();
    place.write("turned.csv", &turned.replacen("city 13", "a new one", 1));
    let (_, said) = place.ok(
        "train turned.csv --target y --init whole/model.safetensors --lr 1e-9 --optimizer sgd --epochs 1 --out begun --gaps mean",
    );
    assert!(said.contains("1 cell of `city` with texts that did not occur in training"), "{said}");
    let r2 = |run: &str| place.evaluated(&format!("{run} t.csv"))["r2"].as_f64().unwrap();
    assert!((r2("whole") - r2("begun")).abs() < 1e-3);
    // The kinds are those of the weights: these texts would be numbers by themselves.
    let codes: String = (0..80).map(|i| format!("{},{}\n", i % 30, i % 7)).collect();
    place.write("codes.csv", &format!("zip,y\n{codes}"));
    place.ok("train codes.csv --target y --task regress --columns zip:category --epochs 1 --out codes --quiet");
    place.ok(
        "train codes.csv --target y --task regress --init codes/model.safetensors --epochs 1 --out more --quiet",
    );
    let (out, _) = place.ok("info more");
    assert!(out.contains("`zip`: category, a row of an embedding's table"), "{out}");
    let said = place.refused(
        "train turned.csv --target y --init whole/model.safetensors --ignore city --out no --quiet",
    );
    assert!(said.contains("there is no column `city`"), "{said}");
}

#[test]
fn rows_of_unknown_ids_have_no_prediction() {
    let place = Place::new();
    let rows: String = (0..200)
        .map(|i| format!("{},{},{}\n", i % 8, f64::from(i * 7 % 31) / 10.0, i % 8 % 3))
        .collect();
    place.write("t.csv", &format!("user,x,y\n{rows}"));
    place.write("new.csv", "user,x,y\n1,0.5,1\n9,0.5,1\n2,0.5,2\n,0.5,2\n1.5,0.5,2\n");
    for task in ["regress", "classify"] {
        let train =
            format!("train t.csv --target y --task {task} --epochs 2 --out r --force --quiet");
        place.ok(&format!("{train} --layers embedding(user=8x4),dense(8),relu,dense"));
        let (out, said) = place.ok("predict r new.csv");
        let lines: Vec<&str> = out.lines().skip(1).collect();
        let empty = if task == "regress" { "," } else { ",,,," };
        assert!(
            lines[1] == format!("9,0.5,1{empty}") && lines[3] == format!(",0.5,2{empty}"),
            "{out}"
        );
        assert!(lines[0].len() > 10 && lines[2].len() > 10, "{out}");
        assert!(
            said.contains(
                "3 rows with an id that is no row of the embedding's table, such as 9 in `user`, a gap in `user`, 1.5 in `user`: their predictions are left empty"
            ),
            "{said}"
        );
        let (out, _) = place.ok("predict r new.csv --json --quiet");
        let second: Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
        assert!(second["row"] == 2 && second["predicted"].is_null(), "{second}");
        let (out, said) = place.ok("evaluate r new.csv --json");
        let evaluated: Value = serde_json::from_str(&out).unwrap();
        assert!(
            evaluated["rows"] == 2 && said.contains("1.5 in `user`: they are left out"),
            "{said}"
        );
    }
}

#[test]
fn columns_are_chosen_and_mistakes_are_told_with_their_place() {
    let place = Place::new();
    place.write("t.csv", &mixed(120));
    let said = place.refused("train t.csv --target y --ignore prot --out r");
    assert!(
        said.contains("--ignore: there is no column `prot`; the table has `id`, `port`"),
        "{said}"
    );
    let said = place.refused("train t.csv --target y --columns port:text --out r");
    assert!(said.contains("--columns: unknown kind `text`; known: number, category"), "{said}");
    let said = place.refused("train t.csv --target y --gaps error --out r");
    assert!(said.contains("t.csv:3: column `port`: the cell is empty"), "{said}");
    let events = place.events("t.csv --target y --features age,sex --gaps drop --epochs 1 --out r");
    let begun = event(&events, "started");
    assert_eq!((&begun["features"], &begun["train_rows"]), (&2.into(), &86.into()), "{begun}");
    place.write("t.toml", "target = \"y\"\nepochs = 1\nignore = [\"id\", \"when\"]\ncolumns = { age = \"category\" }\n");
    place.ok("train t.csv --config t.toml --out s --quiet");
    assert!(place.read("s/config.toml").contains("columns = [\"age:category\"]"));
    let (out, _) = place.ok("info s --json");
    let info: Value = serde_json::from_str(&out).unwrap();
    let columns = &info["preparation"]["schema"]["columns"];
    assert_eq!(
        (&columns[3]["name"], &columns[3]["encoding"]["kind"]),
        (&"age".into(), &"embedding".into())
    );

    // A slip among numbers is no category, and a mark of one's own is a gap.
    let rows: String = (0..50)
        .map(|i| if i == 30 { "12O,1\n".into() } else { format!("{i},{}\n", i % 3) })
        .collect();
    place.write("slip.csv", &format!("a,y\n{rows}"));
    let said = place.refused("train slip.csv --target y --out r --force");
    assert!(
        said.contains("slip.csv:32: column `a`: `12O` is not a number, but 49 of 50 cells are; correct it, or give --missing 12O"),
        "{said}"
    );
    assert!(said.contains("--columns \"a:category\""), "{said}");
    place.ok("train slip.csv --target y --out r --force --missing 12O --epochs 1 --quiet");
    // The mark is part of the model.
    place.write("more.csv", "a\n12O\n3\n");
    let (out, said) = place.ok("predict r more.csv");
    assert!(out.lines().count() == 3 && !said.contains("12O"), "{said}");
}

#[test]
fn yes_and_no_are_known_in_the_spelling_of_any_program() {
    let place = Place::new();
    let table = |yes: &str, no: &str| {
        let word = |is: bool| if is { yes } else { no };
        let rows =
            (0..80).map(|i| format!("{},{},{}\n", i % 7, word(i % 3 == 0), word(i % 2 == 0)));
        format!("a,paid,y\n{}", rows.collect::<String>())
    };
    place.write("pandas.csv", &table("True", "False"));
    place.write("polars.csv", &table("true", "false"));
    place.write("r.csv", &table("TRUE", "FALSE"));
    place.ok("train pandas.csv --target y --hidden 4 --epochs 2 --out run --quiet");
    let own = place.evaluated("run pandas.csv");
    let (predicted, _) = place.ok("predict run pandas.csv --quiet");
    let columns = |text: &str| -> Vec<String> {
        text.lines().skip(1).map(|row| row.splitn(4, ',').nth(3).unwrap().to_string()).collect()
    };
    for other in ["polars.csv", "r.csv"] {
        let (out, said) = place.ok(&format!("predict run {other}"));
        assert!(!said.contains("did not occur in training"), "{said}");
        // Predictions have the spelling of training.
        assert_eq!(columns(&out), columns(&predicted));
        assert_eq!(place.evaluated(&format!("run {other}"))["accuracy"], own["accuracy"]);
        place.ok(&format!(
            "train pandas.csv --target y --valid {other} --epochs 1 --out v --force --quiet"
        ));
    }
    // A category with both spellings has two texts, as they are.
    place.write("both.csv", &(table("True", "False") + "1,true,True\n2,true,False\n"));
    let (out, _) = place.ok("inspect both.csv");
    assert!(out.contains("an input for each of 3 texts"), "{out}");
}

#[test]
fn texts_that_look_like_numbers_or_dates_are_told_with_a_remedy() {
    let place = Place::new();
    let mut text = String::from("share,price,weight,on it,kind,y\n");
    for i in 0..60 {
        let day = if i == 0 { "closed".to_string() } else { format!("{:02}.01.2024", i % 9 + 1) };
        writeln!(text, "{}%,${}.50,{} kg,{day},type {},{}", i % 5, i % 6, i % 7, i % 3, i % 4)
            .unwrap();
    }
    place.write("t.csv", &text);
    let (_, said) = place.ok("train t.csv --target y --epochs 1 --hidden 2 --out r");
    for part in [
        "`share` is taken for texts, but 60 of 60 cells are numbers with `%`; take `%` out of the cells to have numbers",
        "`price` is taken for texts, but 60 of 60 cells are numbers with `$`",
        "`weight` is taken for texts, but 60 of 60 cells are numbers with `kg`",
        "`on it` is taken for texts, but 59 of 60 cells look like dates; give --columns \"on it:date(%d.%m.%Y)\" to take them as dates",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("`kind`"), "{said}");
    let (told, _) = place.ok("inspect t.csv");
    for part in [
        "; `share` is taken for texts, but 60 of 60 cells are numbers with `%`",
        "; `on it` is taken for texts, but 59 of 60 cells look like dates; give --columns \"on it:date(%d.%m.%Y)\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn dates_to_predict_have_the_form_of_training() {
    let place = Place::new();
    let mut text = String::from("when,x,y\n");
    for i in 0..60_u32 {
        writeln!(text, "{:02}.{:02}.2024,{},{}", i % 28 + 1, i / 28 + 1, i % 5, i % 7).unwrap();
    }
    place.write("t.csv", &text);
    place.ok("train t.csv --target y --task regress --hidden 4 --epochs 1 --columns when:date(%d.%m.%Y) --out r");
    place.write("other.csv", "when,x\n2024-08-14,1\n");
    let said = place.refused("predict r other.csv");
    let wanted = "`2024-08-14` is no date of the form `%d.%m.%Y`, which the column had in training";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn parts_of_dates_are_chosen() {
    let place = Place::new();
    let mut text = String::from("when,x,y\n");
    for i in 0..120_u32 {
        writeln!(text, "2024-{:02}-{:02},{},{}", i / 28 % 12 + 1, i % 28 + 1, i % 5, i % 7)
            .unwrap();
    }
    place.write("t.csv", &text);
    let train =
        "train t.csv --target y --task regress --hidden 4 --epochs 2 --keep last --quiet --force";
    for (rule, inputs, told) in [
        ("date(elapsed)", 2, "`when`: date: days"),
        ("date(weekday,month)", 3, "`when`: date: month, weekday"),
        // The year is the same in all rows.
        ("date", 3, "`when`: date: weekday, days"),
        (
            "date(year,month,day,weekday,day-of-year,elapsed)",
            6,
            "`when`: date: month, day, weekday, day of year, days",
        ),
    ] {
        place.ok(&format!("{train} --columns when:{rule} --out r"));
        let (info, _) = place.ok("info r");
        assert!(info.contains(told), "{rule}: {info}");
        let schema = &serde_json::from_str::<Value>(&place.ok("info r --json").0).unwrap()["preparation"]
            ["schema"];
        assert_eq!(schema["features"].as_array().unwrap().len(), inputs, "{schema}");
        // Rows that were held out are written with dates of the same parts.
        let again = place.evaluated("r r/validation.csv");
        let history = place.read("r/history.csv");
        let (names, last) = (history.lines().next().unwrap(), history.lines().last().unwrap());
        let at = names.split(',').position(|name| name == "valid_loss").unwrap();
        let loss: f64 = last.split(',').nth(at).unwrap().parse().unwrap();
        assert!((again["loss"].as_f64().unwrap() / loss - 1.0).abs() < 1e-4, "{again} {loss}");
        place.ok("predict r t.csv --quiet");
        place.ok("export r --onnx r.onnx --quiet --force");
    }
    place.write("t.toml", "target = \"y\"\ntask = \"regress\"\nepochs = 1\ncolumns = { when = \"date(month, weekday)\" }\n");
    place.ok("train t.csv --config t.toml --out s --quiet");
    assert!(place.read("s/config.toml").contains("columns = [\"when:date(month, weekday)\"]"));
    let (out, _) = place.ok("inspect t.csv --columns when:date(month,weekday)");
    assert!(out.contains("month, weekday") && !out.contains("day of year"), "{out}");
    let said = place.refused("train t.csv --target y --columns when:date(hour) --out u");
    assert!(said.contains("the dates have no time of day, and so no hour"), "{said}");
    let said = place.refused("train t.csv --target y --columns when:date(moon) --out u");
    assert!(said.contains("parts are year, month"), "{said}");
    let (_, said) =
        place.ok("train t.csv --target y --columns when:date(month,day) --epochs 1 --out v");
    assert!(
        said.contains("of `when` only month, day is kept: where rows are written again"),
        "{said}"
    );
    // All rows have the same year.
    let (_, said) = place.ok("train t.csv --target y --columns when:date(year) --epochs 1 --out u");
    assert!(
        said.contains("the parts of `when` that are asked for are the same in all training rows"),
        "{said}"
    );
}

#[test]
fn a_loss_of_ones_own_without_a_least_value_is_told_once() {
    let place = Place::new();
    place.write(
        "t.csv",
        &(0..60)
            .map(|i| format!("{},{}\n", i % 7, i % 5))
            .fold("a,y\n".to_string(), |all, row| all + &row),
    );
    let train = "train t.csv --target y --task regress --hidden 4 --epochs 8 --lr 1 --out";
    let (_, said) = place.ok(&format!("{train} r --loss custom(p-y)"));
    assert_eq!(said.matches("may fall without end").count(), 1, "{said}");
    let (_, said) = place.ok(&format!("{train} s --loss custom(abs(p-y))"));
    assert!(!said.contains("may fall without end"), "{said}");
}

#[test]
fn kinds_that_weights_of_another_run_ask_for_are_told_as_theirs() {
    let place = Place::new();
    let rows = |cell: &dyn Fn(u32) -> String| {
        (0..60)
            .map(|i| format!("{},{},{}\n", cell(i), ["a", "b", "c"][i as usize % 3], i % 5))
            .fold("x,kind,y\n".to_string(), |all, row| all + &row)
    };
    place.write("t.csv", &rows(&|i| (i % 7).to_string()));
    place.write("u.csv", &rows(&|i| format!("size {}", i % 4)));
    place.ok("train t.csv --target y --task regress --hidden 4 --epochs 1 --out r --quiet");
    let said = place.refused("train u.csv --target y --task regress --hidden 4 --epochs 1 --init r/model.safetensors --out s");
    assert!(
        said.contains("`x` is read as in the model whose weights the run begins with: correct the cells, or give --ignore x")
            && !said.contains("--columns"),
        "{said}"
    );
}

#[test]
fn tables_for_very_many_texts_are_counted_before_they_are_made() {
    let place = Place::new();
    let mut text = String::from("user,x,y\n");
    for i in 0..6000 {
        writeln!(text, "u{},{},{}", i * 7 % 2000, i % 11, f64::from(i * 13 % 17) / 4.0).unwrap();
    }
    place.write("t.csv", &text);
    let train = "train t.csv --target y --task regress --epochs 1 --hidden 4 --host-memory 10MiB";
    // Memory is counted for the weights of a table, their gradients, two means of them, and what checkpoints hold.
    let said = place.refused(&format!("{train} --columns user:embedding(600) --out r"));
    for part in [
        "but the host allows 10485760 (--host-memory); most of it is for the table of the texts of `user`, 1991 x 600 numbers (4.6 MiB)",
        "give --columns \"user:embedding(8)\" for a narrower one, a larger --min-count for fewer texts, or --ignore user",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = place
        .refused(&format!("{train} --columns user:embedding(600) --checkpoint-every 0 --out r"));
    assert!(said.contains("most of it is for the table of the texts of `user`"), "{said}");
    place.ok(&format!("{train} --columns user:embedding(8) --out narrow --quiet"));
    place.ok(&format!("{train} --columns user:category --min-count 4 --out few --quiet"));
    place.ok(&format!("{train} --ignore user --out without --quiet"));
    place.ok("train t.csv --target y --task regress --epochs 1 --hidden 4 --columns user:embedding(600) --out wide --quiet");
}

#[test]
fn long_whole_numbers_keep_their_digits_wherever_they_are_passed_on() {
    let place = Place::new();
    let id = |i: u64| 9_007_199_254_740_993 + i / 3 * 1_000_003;
    let mut text = String::from("id,row,x,y\n");
    for i in 0..60_u64 {
        writeln!(text, "{},{},{},{}", id(i), u64::MAX - i, i % 7, i % 7 * 2 + 1).unwrap();
    }
    place.write("t.csv", &text);
    let train = "train t.csv --target y --task regress --epochs 1 --hidden 4";
    let (_, said) = place.ok(&format!("{train} --ignore row --out number"));
    assert!(
        said.contains(
            "`id` has whole numbers of more digits than 64-bit floats hold, and the nearest ones are used wherever the column is read; \
             if they are names, give --ignore, or --columns \"id:category\""
        ),
        "{said}"
    );
    let ids = |text: &str| -> Vec<u64> {
        text.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect()
    };
    let want: Vec<u64> = (0..60).map(id).collect();
    let (out, _) = place.ok("predict number t.csv --quiet");
    assert_eq!(ids(&out), want);
    assert!(out.contains(",18446744073709551615,0,1,"), "{out}");
    // A category, a group and a class are texts.
    let (_, said) = place.ok(&format!("{train} --ignore row --columns id:category --out texts"));
    assert!(!said.contains("nearest"), "{said}");
    let valid: Vec<u64> = column(&place.read("texts/validation.csv"), "id")
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(valid.len() == 12 && valid.iter().all(|id| want.contains(id)), "{valid:?}");
    place.ok(&format!("{train} --ignore row --group id --out grouped --quiet"));
    let (out, _) = place.ok("inspect t.csv --columns id:category");
    assert!(out.contains("20  `9007199254740993`, `9007199255740996`"), "{out}");
    let (_, said) = place.ok(
        "train t.csv --target id --task classify --ignore row --epochs 1 --out classes --valid 0",
    );
    assert!(said.contains("one of 20 classes") && said.contains("`9007199254740993` 3"), "{said}");
    // A mark of gaps is no other number that rounds to the same one.
    let (_, said) =
        place.ok(&format!("{train} --missing 9007199254740992 --out marks --ignore row"));
    assert!(said.contains("no cell of a feature is `9007199254740992`"), "{said}");
}

#[test]
fn gaps_in_dates_are_predicted_as_they_were_trained() {
    let place = Place::new();
    let day = |i: u32| {
        if i.is_multiple_of(10) { String::new() } else { format!("2024-03-{:02}", i % 28 + 1) }
    };
    let rows: String = (0..60).map(|i| format!("{},{},{}.5\n", day(i), i % 7, i % 5)).collect();
    place.write("t.csv", &format!("d,x,y\n{rows}"));
    for scale in ["standard", "none"] {
        place.ok(&format!(
            "train t.csv --target y --task regress --epochs 2 --out r --force --quiet --scale {scale}"
        ));
        let (out, said) = place.ok("predict r t.csv");
        let predicted = column(&out, "y_predicted");
        assert!(
            predicted.len() == 60 && predicted.iter().all(|it| it.parse::<f64>().is_ok()),
            "{said}"
        );
        // Validation rows are predicted as the run predicted them.
        let valid = place.read("r/validation.csv");
        place.write("valid.csv", &valid);
        let (out, _) = place.ok("predict r valid.csv --quiet");
        let of = |text: &str, at: usize| -> Vec<String> {
            text.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().to_string()).collect()
        };
        let (before, after) = (
            column(&valid, "y_predicted"),
            of(&out, out.lines().next().unwrap().split(',').count() - 1),
        );
        for (before, after) in before.iter().zip(&after) {
            let (before, after): (f64, f64) = (before.parse().unwrap(), after.parse().unwrap());
            assert!((before - after).abs() < 1e-4 * before.abs().max(1.0), "{before} {after}");
        }
        place.ok("evaluate r t.csv --quiet");
    }
    place.ok("train t.csv --target y --task regress --valid 0 --epochs 1 --out s --quiet");
}

#[test]
fn columns_without_a_value_among_the_training_rows_are_left_out_and_told() {
    let place = Place::new();
    let late = |i: u32, text: &str| if i >= 80 { text.to_string() } else { String::new() };
    let rows: String = (0..100)
        .map(|i| {
            let (day, text) = (late(i, &format!("2024-03-{:02}", i % 28 + 1)), late(i, "a"));
            format!("{}.5,{day},{text},{},{}.5\n", i % 9, late(i, "3"), i % 7)
        })
        .collect();
    place.write("t.csv", &format!("x,d,t,n,y\n{rows}"));
    let train = "train t.csv --target y --task regress --valid last --epochs 1 --out r";
    let (_, said) = place.ok(train);
    for name in ["d", "t", "n"] {
        let told = format!("`{name}` holds nothing but gaps in the training rows, and is left out");
        assert_eq!(said.matches(&told).count(), 1, "{said}");
    }
    assert!(said.contains("80 rows to train, 20 to validate, 1 feature"), "{said}");
    place.ok("predict r t.csv --quiet");

    let said = place.refused("train t.csv --target y --features x,d --group d --out s");
    assert!(said.contains("`d` is target or weight, or the rows are split by it"), "{said}");
}

#[test]
fn inspect_and_info_tell_of_each_column() {
    let place = Place::new();
    place.write("t.csv", &mixed(100));
    let (out, _) = place.ok("inspect t.csv");
    for part in [
        "100 rows, 7 columns",
        "an input for each of 3 texts, and one for gaps",
        "a row of an embedding's table, 21 x 9",
    ] {
        assert!(out.contains(part), "{out}");
    }
    let (out, _) = place.ok("inspect t.csv --json");
    let age: Value = serde_json::from_str(out.lines().nth(5).unwrap()).unwrap();
    assert_eq!(
        (&age["name"], &age["kind"], &age["gaps"]),
        (&"age".into(), &"number".into(), &11.into())
    );
    place.ok("train t.csv --target y --epochs 1 --out r --quiet");
    let (out, _) = place.ok("info r");
    for part in [
        "embedding",
        "predicts `y`, loss mse",
        "`sex`: category: 0 is `f`, 1 is `m`",
        "`when`: date: ",
    ] {
        assert!(out.contains(part), "{out}");
    }
    place.ok("export r --onnx m.onnx --quiet");
    let said = place.refused("export r --onnx m.onnx --force --input f32");
    assert!(said.contains("--input: the model has columns with texts or gaps"), "{said}");
}

#[test]
fn gaps_without_a_number_to_stand_in_are_refused() {
    let place = Place::new();
    let rows: String = (0..40).map(|i| format!("{i},{}\n", i % 2)).collect();
    place.write("t.csv", &format!("a,y\n{rows}"));
    place.write("new.csv", "a\n3\n\n?\n4\n");
    place.ok("train t.csv --target y --epochs 1 --scale none --out r --quiet");
    let said = place.refused("predict r new.csv");
    assert!(said.contains("new.csv:3: column `a`: the cell is empty, and the model, which was trained with --scale none, has no mean"), "{said}");
    place.ok("train t.csv --target y --epochs 1 --out r --force --quiet");
    let (out, said) = place.ok("predict r new.csv");
    // A blank line is a row with an empty cell.
    assert!(said.contains("2 gaps in `a` (lines 3, 4), which had none in training"), "{said}");
    assert_eq!(out.lines().count(), 5, "{out}");
    // The mean is 0 once it is scaled: the same as the mean given.
    let mean = place.json_of_mean("r");
    place.write("mean.csv", &format!("a\n{mean}\n"));
    let (given, _) = place.ok("predict r mean.csv");
    assert_eq!(column(&out, "y_predicted")[1], column(&given, "y_predicted")[0]);
    assert_eq!(column(&out, "y_probability_0")[1], column(&given, "y_probability_0")[0]);
}

impl Place {
    /// The mean of the first input of a model.
    fn json_of_mean(&self, run: &str) -> f64 {
        let (out, _) = self.ok(&format!("info {run} --json"));
        let info: Value = serde_json::from_str(&out).unwrap();
        info["preparation"]["mean"][0].as_f64().unwrap()
    }
}

#[test]
fn the_library_refuses_what_is_not_encoded_and_numbers_that_are_none() {
    let place = Place::new();
    place.write("t.csv", &mixed(100));
    let options = TableOptions { ignore: vec!["when".into()], ..TableOptions::default() };
    let data = Dataset::from_csv_with(place.path("t.csv"), Target::number("y"), &options).unwrap();
    let model = Sequential::new().dense(8).relu().dense(1);
    let options = TrainOptions { epochs: 1, loss: Loss::Mse, ..TrainOptions::default() };
    let raw = Split { train: data.clone(), valid: None };
    let said = Trainer::new(&model, &raw, &options, &DeviceKind::Cpu).err().unwrap().to_string();
    assert!(said.contains("not inputs of a network yet; use Dataset::split"), "{said}");
    let split = data.split(0.2, Seed(1)).unwrap();
    let mut trainer = Trainer::new(&model, &split, &options, &DeviceKind::Cpu).unwrap();
    trainer.run().unwrap();
    let trained = trainer.trained();
    // Row 0 of the table is zeros, since there is no city without a name.
    let weights = trained.params.get("0.0.weight").unwrap();
    assert!(weights[..9].iter().all(|&weight| weight == 0.0) && weights[9] != 0.0);
    let predictor = Predictor::new(trained).unwrap();
    let inputs = split.train.columns();
    assert!(predictor.predict(split.train.row(0)).is_ok());
    let said = predictor.predict(&vec![f64::NAN; inputs]).unwrap_err().to_string();
    assert!(said.contains("NaN"), "{said}");
}
