//! The program with tables of all forms: what it says of them, what it writes, and how rows are split.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder to work in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the program. Returns whether it succeeded, standard output, and standard error on one line.
    fn run(&self, args: &str) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args.split(' ')).current_dir(self.0.path()).stdin(Stdio::null());
        if !args.starts_with("resume") {
            command.args(["--device", "cpu"]);
        }
        let output = command.output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let err = err.split_whitespace().collect::<Vec<_>>().join(" ");
        (output.status.success(), out, err)
    }

    /// Standard error of a run that must succeed.
    fn ok(&self, args: &str) -> String {
        let (good, _, err) = self.run(args);
        assert!(good, "{args}: {err}");
        err
    }

    fn refused(&self, args: &str) -> String {
        let (good, _, err) = self.run(args);
        assert!(!good, "{args}: {err}");
        err
    }
}

/// Rows of two features and a number, as text between commas with a header.
fn plain() -> String {
    let mut text = "a,b,y\n".to_string();
    for i in 0..60 {
        let (a, b) = (f64::from(i % 7) - 3.0, f64::from(i * i % 11) / 2.0 - 2.5);
        writeln!(text, "{a:.1},{b:.1},{:.2}", 100.0 + 3.0 * a - 0.5 * b).unwrap();
    }
    text
}

fn european(text: &str) -> String {
    text.replace(',', ";").replace('.', ",")
}

const TRAIN: &str = "--epochs 2 --hidden 4 --force --out run";

#[test]
fn predictions_are_written_in_the_form_of_the_table() {
    let place = Place::new();
    let text = plain();
    place.write("plain.csv", &text);
    place.write("european.csv", european(&text));
    place.write("headless.csv", text.split_once('\n').unwrap().1);
    let said = place.ok(&format!("train european.csv --target y {TRAIN}"));
    assert!(
        said.contains("table european.csv: a semicolon between cells; decimals with a comma"),
        "{said}"
    );
    // A network takes tables of other forms than the one that it was trained on.
    let said = place.ok("predict run plain.csv --out plain.out");
    assert!(!said.contains("table "), "{said}");
    let said = place.ok("predict run european.csv --out european.out");
    assert!(
        said.contains("the result has the same sign between cells, decimals with a comma"),
        "{said}"
    );
    let (plain, other) = (place.text("plain.out"), place.text("european.out"));
    assert_eq!(european(&plain), other);
    assert_eq!(plain.lines().next(), Some("a,b,y,y_predicted"));
    let figures = |table: &str| place.run(&format!("evaluate run {table} --json")).1;
    assert_eq!(figures("plain.csv"), figures("european.csv"));

    place.ok(&format!("train headless.csv --target c3 {TRAIN}"));
    let said = place.ok("predict run headless.csv --out headless.out");
    assert!(said.contains("columns are named `c1` to `c3`; the result has no header, and at the end `c3_predicted`"), "{said}");
    let rows = place.text("headless.out");
    assert_eq!(rows.lines().count(), 60);
    assert!(rows.starts_with("-3.0,-2.5,"), "{rows}");
}

#[test]
fn what_is_stated_of_a_table_is_kept_and_followed() {
    let place = Place::new();
    let mut text = "a:y\n".to_string();
    (0..50).for_each(|i| writeln!(text, "{},{:03}:{i}", i % 9 + 1, i * 7).unwrap());
    place.write("t.csv", &text);
    let said = place.refused(&format!("train t.csv --target y {TRAIN}"));
    assert!(said.contains("no column `y`"), "{said}");
    let said = place.refused(&format!("train t.csv --target y --delimiter : {TRAIN}"));
    assert!(said.contains("give --decimal point or --decimal comma"), "{said}");
    let said = place.ok(&format!(
        "train t.csv --target y --delimiter : --decimal comma --checkpoint-every 1 {TRAIN}"
    ));
    assert!(said.contains("a `:` between cells; decimals with a comma"), "{said}");
    let config = place.text("run/config.toml");
    assert!(
        config.contains("delimiter = \":\"") && config.contains("decimal = \"comma\""),
        "{config}"
    );
    place.ok("resume run --epochs 3");
    assert_eq!(place.text("run/history.csv").lines().count(), 4);
    let first = place.ok("train --config run/config.toml --out again");
    assert!(first.contains("a `:` between cells"), "{first}");
    place.ok("evaluate run t.csv --delimiter : --decimal comma");
    assert!(place.refused("evaluate run t.csv --delimiter x").contains("known: auto, comma"));
    assert!(place.refused("predict run t.csv --decimal dot").contains("known: auto, point, comma"));
    let said = place.refused(&format!("train t.csv --target y --header maybe {TRAIN}"));
    assert!(said.contains("known: auto, yes, no"), "{said}");
}

#[test]
fn validation_rows_without_the_weights_of_training_are_told() {
    let place = Place::new();
    let rows: String = (0..60).map(|i| format!("{i},{},{}\n", i % 7, i % 3 + 1)).collect();
    place.write("t.csv", format!("x,y,w\n{rows}"));
    place.write("without.csv", "x,y\n1,2\n3,4\n");
    place.write("with.csv", "x,y,w\n1,2,3\n3,4,1\n");
    let train = |valid: &str| {
        place.ok(&format!("train t.csv --target y --weight w --valid {valid} {TRAIN}"))
    };
    let said = train("without.csv");
    assert!(
        said.contains("without.csv has no column `w`: all validation rows count the same"),
        "{said}"
    );
    assert!(!train("with.csv").contains("has no column"));
    let said = place.refused(&format!("train t.csv --target y --table-cache= {TRAIN}"));
    assert!(said.contains("--table-cache: an empty text is no folder"), "{said}");
}

#[test]
fn rows_are_split_by_time_groups_and_columns() {
    let place = Place::new();
    let mut text = "day,who,part,y\n".to_string();
    for i in 0..60 {
        let part = ["train", "valid", "train", "test"][i % 4];
        writeln!(text, "{i},{},{part},{:.2}", i / 5, i as f64 * 0.5).unwrap();
    }
    let numbers = text.replace("train", "1").replace("valid", "2").replace("test", "3");
    place.write("t.csv", &numbers);
    let days = |run: &str| -> Vec<usize> {
        let rows = place.text(&format!("{run}/validation.csv"));
        let days = |row: &str| {
            let mut cells = row.split(',').map(|cell| cell.parse::<f64>().unwrap_or(-1.0) as usize);
            let (number, day) = (cells.next().unwrap(), cells.next().unwrap());
            // Days count the rows of this table from 0.
            assert_eq!(number, day + 1, "{row}");
            day
        };
        rows.lines().skip(1).map(days).collect()
    };
    place.ok(&format!("train t.csv --target y --valid last {TRAIN}"));
    assert_eq!(days("run"), (48..60).collect::<Vec<_>>());
    place.ok(&format!("train t.csv --target y --valid last:0.1 {TRAIN}"));
    assert_eq!(days("run"), (54..60).collect::<Vec<_>>());
    assert!(place.text("run/config.toml").contains("valid = \"last:0.1\""));
    place.ok("resume run --epochs 3");
    assert_eq!(days("run"), (54..60).collect::<Vec<_>>());

    place.ok(&format!("train t.csv --target y --group who {TRAIN}"));
    let held = days("run");
    assert!((10..=15).contains(&held.len()), "{held:?}");
    assert!(held.chunks(5).all(|days| days[0] % 5 == 0 && days[4] == days[0] + 4), "{held:?}");
    assert!(place.text("run/validation.csv").starts_with("row,day,part,y"));

    place.write("t.csv", &text);
    let said = place.ok(&format!("train t.csv --target y --split-column part {TRAIN}"));
    assert_eq!(days("run"), (0..60).filter(|day| day % 4 == 1).collect::<Vec<_>>());
    assert!(said.contains("15 rows of t.csv for a test by column `part` left out"), "{said}");
    assert!(said.contains("30 rows to train, 15 to validate"), "{said}");
    place.ok("resume run --epochs 3");
    for (options, want) in [
        ("--split-column part --valid 0.3", "--valid: --split-column says which rows"),
        ("--split-column part --group who", "--group: --split-column says which rows"),
        ("--group who --valid last", "--group: groups are drawn at random"),
        ("--valid last:2", "--valid: \"last:2\" is no share of the last rows"),
        ("--group why", "no column `why`"),
    ] {
        let said = place.refused(&format!("train t.csv --target y {options} {TRAIN}"));
        assert!(said.contains(want), "{said}");
    }
}

#[test]
fn arrays_are_tables() {
    let place = Place::new();
    let (mut pictures, mut labels) =
        (vec![0, 0, 8, 3, 0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2], vec![0, 0, 8, 1, 0, 0, 0, 80]);
    for i in 0..80_u8 {
        pictures.extend([i * 3, 200 - i]);
        labels.push(u8::from(i > 40));
    }
    place.write("pictures", &pictures);
    place.write("labels", &labels);
    let said = place.ok(&format!("train pictures --target labels {TRAIN}"));
    assert!(said.contains("an array with the columns `x0` to `y`"), "{said}");
    assert!(said.contains("predict `y`, one of 2 classes"), "{said}");
    let (good, out, err) = place.run("evaluate run pictures --target labels --json");
    assert!(good && out.contains("\"rows\":80"), "{err}");
    let (good, out, err) = place.run("predict run pictures");
    assert!(good && out.starts_with("x0,x1,y_predicted"), "{err}");
    place.ok("resume run --epochs 3");
    assert!(place.refused("evaluate run pictures").contains("no column `y`"));
    let said = place.refused("predict run pictures --delimiter ;");
    assert!(said.contains("the file is no text, and has no --delimiter"), "{said}");
    // A column that is taken for texts is read a second time.
    for i in 0..80_u8 {
        pictures[16 + 2 * usize::from(i)] = i % 3;
    }
    place.write("pictures", &pictures);
    place.ok(&format!("train pictures --target labels --columns x0:category {TRAIN}"));
    place.write("labels", &labels[..60]);
    let said = place.refused(&format!("train pictures --target labels {TRAIN}"));
    assert!(said.contains("the array ends after 52 of 80 rows"), "{said}");
}

/// A table of texts and numbers.
fn with_texts(rows: usize) -> String {
    let mut text = "city,a,y\n".to_string();
    for i in 0..rows {
        let (city, a) = (i * 7 % 30, i % 13);
        writeln!(text, "city {city},{},{}", a as f64 / 2.0, a + city).unwrap();
    }
    text
}

#[test]
fn a_table_with_texts_comes_by_a_pipe() {
    let place = Place::new();
    place.write("t.csv", with_texts(4000));
    let piped = |args: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args.split(' ')).current_dir(place.path(""));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = fs::read(place.path("t.csv")).unwrap();
        // An error may close the pipe early.
        let writer = std::thread::spawn(move || _ = stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), said)
    };
    let train = "--target y --task regress --epochs 1 --hidden 4 --device cpu";
    let (good, _, said) = piped(&format!("train - {train} --out piped"));
    assert!(good, "{said}");
    place.ok(&format!("train t.csv {} --out read", train.replace(" --device cpu", "")));
    let model = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(model("piped"), model("read"));
    let (good, out, said) = piped("inspect -");
    assert!(good && out.starts_with("4,000 rows, 3 columns"), "{said}");
    let (good, _, said) = piped(&format!("plan - {train}"));
    assert!(good, "{said}");
    // Texts behind very many numbers take a second reading.
    let mut text = "a,y\n".to_string();
    (0..12_000).for_each(|i| {
        let cell = if i < 5000 { i.to_string() } else { "x".into() };
        writeln!(text, "{cell},{}", i % 3).unwrap();
    });
    place.write("t.csv", text);
    let (good, _, said) = piped(&format!("train - {train} --out late"));
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        !good && said.contains("column `a`: texts after very many different numbers"),
        "{said}"
    );
    let (good, _, said) = piped(&format!("train - {train} --columns a:category --out late"));
    assert!(good, "{said}");
}

/// Rows of weight 0, without a target, or with a gap that drops them are left out, and counted all the same.
#[test]
fn rows_of_predictions_have_their_numbers_in_the_table() {
    let place = Place::new();
    let mut text = "id,x,w,y\n".to_string();
    for i in 1..=240 {
        let x = if i % 10 == 7 { String::new() } else { (i % 6).to_string() };
        let y = if i % 10 == 5 { String::new() } else { i.to_string() };
        writeln!(text, "{i},{x},{},{y}", u8::from(i % 10 != 3)).unwrap();
    }
    place.write("t.csv", &text);
    let columns = |file: &str, name: &str| -> Vec<(String, String)> {
        let text = place.text(file);
        let header = text.lines().next().unwrap();
        let place = header.split(',').position(|it| it == name).unwrap();
        let cells = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[0].to_string(), cells[place].to_string())
        };
        text.lines().skip(1).map(cells).collect()
    };
    let train = "train t.csv --target y --task regress --weight w --gaps drop --epochs 1 --hidden 2 --no-report --quiet";
    for (more, rows) in [("", 34), (" --valid last", 34), (" --valid t.csv", 192)] {
        place.ok(&format!("{train}{more} --out run --force"));
        for name in ["id", "y"] {
            let found = columns("run/validation.csv", name);
            assert_eq!(found.len(), rows, "{more}");
            assert!(found.iter().all(|(row, id)| row == id), "{more} {name}: {found:?}");
        }
    }
    place.ok(&format!("{train} --folds 3 --out folds"));
    let found = columns("folds/out_of_fold.csv", "y");
    assert_eq!(found.len(), 168);
    assert!(found.iter().all(|(row, y)| row == y), "{found:?}");
    // A column of the table keeps its name.
    place.write("t.csv", text.replace("id,x", "row,x"));
    place.ok(&format!("{train} --out run --force"));
    assert!(place.text("run/validation.csv").starts_with("row_2,row,x,y,w,y_predicted\n"));
}
