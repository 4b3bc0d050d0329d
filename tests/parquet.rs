//! Parquet and Arrow files: values as pandas reads them, in all compressions, by all commands; damaged files.

#![cfg(all(feature = "cli", feature = "parquet"))]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use place::Place;
use wgrad::data::{ColumnRule, FeatureReader, TableOptions, TargetKind, inspect};
use wgrad::prelude::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn load(name: &str, options: &TableOptions) -> Dataset {
    Dataset::load(file(name), &Target::number("y"), options).unwrap().data
}

/// Options for the table as pandas writes it to CSV, where texts of digits look like numbers.
fn of_csv() -> TableOptions {
    TableOptions { columns: vec![("zip".into(), ColumnRule::Category)], ..TableOptions::default() }
}

/// Checks that two tables have the same columns, inputs and targets.
fn assert_same(read: Dataset, want: Dataset, name: &str) {
    let (read, want) = (read.encoded().unwrap(), want.encoded().unwrap());
    assert_eq!(read.schema(), want.schema(), "{name}");
    assert_eq!(read.y(), want.y(), "{name}");
    assert_eq!(read.x(), want.x(), "{name}");
}

#[test]
fn columns_of_all_types_have_the_values_that_pandas_reads() {
    let want = load("mixed.csv", &of_csv());
    assert_eq!(want.rows(), 60);
    for name in ["mixed.parquet", "mixed.arrow"] {
        assert_same(load(name, &TableOptions::default()), want.clone(), name);
    }
    let told: Vec<(String, &str, usize)> = inspect(file("mixed.parquet"))
        .unwrap()
        .into_iter()
        .map(|it| (it.name, it.kind, it.gaps))
        .collect();
    let kind = |name: &str| told.iter().find(|it| it.0 == name).map(|it| (it.1, it.2)).unwrap();
    // Gaps at rows 3, 3 + n, …, counted by hand.
    for (name, want) in [
        ("i8", ("number", 9)),
        ("u64", ("number", 0)),
        ("f64", ("number", 7)),
        ("flag", ("category", 5)),
        ("money", ("number", 6)),
        ("city", ("category", 8)),
        ("zip", ("category", 0)),
        ("kind", ("category", 15)),
        ("day", ("date", 5)),
        ("at_zone", ("date", 0)),
        ("took", ("number", 0)),
    ] {
        assert_eq!(kind(name), want, "{name}");
    }
}

#[test]
fn all_compressions_and_forms_hold_the_same_table() {
    let few = ["city", "kind", "f64"].map(String::from).to_vec();
    let options = TableOptions { features: Some(few), ..TableOptions::default() };
    let want = load("mixed.csv", &options);
    for name in [
        "few-none.parquet",
        "few-gzip.parquet",
        "few-lz4.parquet",
        "few-zstd.parquet",
        "few-v2.parquet",
        "few-polars.parquet",
        "few.feather",
        "few-polars.arrow",
    ] {
        assert_same(load(name, &options), want.clone(), name);
    }
    let refused = Dataset::from_csv(file("few-zstd.feather"), Target::number("y")).unwrap_err();
    assert!(refused.to_string().contains("zstd within; write it with lz4"), "{refused}");
    let refused = Dataset::from_csv(file("few-brotli.parquet"), Target::number("y")).unwrap_err();
    let want = "Parquet data that is compressed with brotli within; write it with snappy, gzip, lz4 or zstd";
    assert!(refused.to_string().contains(want), "{refused}");
}

#[test]
fn compressed_columns_without_gaps_are_read() {
    let data = load("whole.feather", &TableOptions::default());
    assert_eq!((data.rows(), data.columns()), (400, 1));
    assert!((0..400).all(|row| *data.row(row).to_vec() == [(row % 7) as f64]));
    assert!(matches!(data.y(), Targets::Numbers(all) if all[..3] == [0.0, 0.5, 1.0]));
}

#[test]
fn all_commands_take_them_and_predictions_are_those_of_the_same_table_as_text() {
    let place = Place::new();
    for name in ["mixed.parquet", "mixed.csv", "mixed.arrow"] {
        fs::copy(file(name), place.path(name)).unwrap();
    }
    let (_, said) = place.ok("train mixed.parquet --target y --epochs 3 --hidden 4 --out r");
    assert!(said.contains("Parquet data; the first row is line 2"), "{said}");
    place.ok("plan mixed.parquet --target y");
    place.ok("inspect mixed.parquet");
    let [packed, text] =
        ["mixed.parquet", "mixed.csv"].map(|table| place.evaluated(&format!("r {table}")));
    assert_eq!(packed["r2"], text["r2"]);
    let [packed, text] = ["mixed.parquet", "mixed.csv"].map(|table| {
        let (out, _) = place.ok(&format!("predict r {table}"));
        out
    });
    let last = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.rsplit(',').next().unwrap().to_string()).collect()
    };
    assert_eq!(last(&packed), last(&text));
    assert_eq!(packed.lines().count(), 61);
    let (head, first) = (packed.lines().next().unwrap(), packed.lines().nth(2).unwrap());
    assert!(head.starts_with("i8,u8,i16,") && head.ends_with(",y,y_predicted"), "{head}");
    assert!(
        first.contains(",\"Rome, east\",00001,b,2024-02-21,1970-01-01T04:59:58.250,"),
        "{first}"
    );
    // A stream comes by a pipe.
    place.ok("train mixed.arrow --target y --epochs 3 --hidden 4 --out s");
    let run = |stdin: Stdio, table: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(["predict", "s", table, "--device", "cpu"]).current_dir(place.path(""));
        let output = command.stdin(stdin).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let bytes = fs::File::open(file("mixed.arrow")).unwrap();
    let (out, said) = run(bytes.into(), "-");
    assert_eq!(out, run(Stdio::null(), "mixed.arrow").0, "{said}");
    assert_eq!(out.lines().count(), 61);
    let (_, said) = run(fs::File::open(file("mixed.parquet")).unwrap().into(), "-");
    assert!(said.contains("give the file by its name"), "{said}");
}

#[test]
fn nested_columns_are_refused_by_name_or_left_out_by_name() {
    let place = Place::new();
    fs::copy(file("nested.parquet"), place.path("t.parquet")).unwrap();
    let said = place.refused("train t.parquet --target y --out r");
    assert!(said.contains("column `tags`: it holds lists of Int32"), "{said}");
    assert!(said.contains("give --ignore tags"), "{said}");
    let said = place.refused("train t.parquet --target place --ignore tags,raw --out r");
    assert!(said.contains("column `place`: it holds records"), "{said}");
    place.ok("train t.parquet --target y --ignore tags,place,raw --task regress --epochs 2 --hidden 2 --out r");
    let (out, said) = place.ok("predict r t.parquet");
    assert!(out.starts_with("a,tags,place,raw,y,y_predicted\n1.5,,,,1.0,"), "{out}");
    assert!(said.contains("`tags` holds lists of Int32, which are left empty"), "{said}");
    let (out, _) = place.ok("inspect t.parquet");
    assert!(
        out.contains("the column holds bytes, which are no inputs; give --ignore raw"),
        "{out}"
    );
}

#[test]
fn declared_types_decide_kinds() {
    let read = Dataset::from_csv(file("digits.parquet"), Target::auto("digit")).unwrap();
    let TargetKind::Classes(classes) = &read.schema().kind else { panic!("no classes") };
    assert_eq!(classes, &["0", "1", "2"]);
    // As numbers these were taken for their size.
    let place = Place::new();
    fs::copy(file("index.parquet"), place.path("t.parquet")).unwrap();
    let (_, said) =
        place.ok("train t.parquet --target y --task regress --epochs 1 --hidden 2 --out r");
    assert!(said.contains("`__index_level_0__` is the index of a data frame"), "{said}");
    let header = place.read("r/validation.csv").lines().next().unwrap().to_string();
    assert_eq!(header, "row,a,y,y_predicted");
    // A null of the only column is a row.
    assert_eq!(inspect(file("one.parquet")).unwrap()[0].cells, 3);
}

#[test]
fn damaged_files_are_errors_or_tables_and_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        inspect(&path).map(|columns| columns[0].cells)
    };
    for name in
        ["mixed.parquet", "few-v2.parquet", "few-gzip.parquet", "few.feather", "mixed.arrow"]
    {
        let whole = fs::read(file(name)).unwrap();
        assert_eq!(read(&whole).unwrap(), 60, "{name}");
        // The beginning of a file is none.
        for part in 0..24 {
            let end = 8 + (whole.len() - 8) * part / 24;
            let said = read(&whole[..end]).unwrap_err().to_string();
            assert!(said.contains("damaged") || said.contains("truncated"), "{name} {end}: {said}");
        }
        let mut state = 1_u64;
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let place = (state >> 33) as usize % bytes.len();
                bytes[place] = (state >> 25) as u8;
            }
            // Any outcome is good but a crash, and rows that nobody has written.
            if let Ok(rows) = read(&bytes) {
                assert!(rows <= 10_000, "{name}: {rows}");
            }
        }
    }
    #[cfg(target_os = "linux")]
    {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 1 << 20, "{peak}");
    }
}

#[test]
fn a_row_of_a_table_is_told_by_its_place() {
    let mut reader = FeatureReader::open(
        file("mixed.parquet"),
        load("mixed.csv", &of_csv()).encoded().unwrap().schema(),
    )
    .unwrap();
    let lines: Vec<u64> = reader.next_chunk(100).unwrap().unwrap().lines;
    assert_eq!(lines, (2..62).collect::<Vec<u64>>());
}

#[test]
fn decoders_that_panic_are_an_error_of_one_line() {
    let place = Place::new();
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/columns");
    for name in ["found-page-without-dictionary", "found-buffer-beyond-the-end"] {
        // The first byte is none of the file.
        let bytes = fs::read(corpus.join(name)).unwrap();
        fs::write(place.path("t"), &bytes[1..]).unwrap();
        for args in ["inspect t", "train t --target y"] {
            let said = place.refused(args);
            let one = said.starts_with("error: ") && said.trim_end().lines().count() == 1;
            assert!(one && said.contains("damaged"), "{name} {args}: {said}");
        }
    }
}
