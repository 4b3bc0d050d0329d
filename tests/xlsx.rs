//! Excel workbooks: values as openpyxl wrote them, by all commands; what cannot be read; damaged files.

#![cfg(all(feature = "cli", feature = "xlsx"))]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[expect(dead_code, reason = "other programs of tests use these")]
mod place;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use place::Place;
use wgrad::data::{ColumnRule, ScalingRules, TableFormat, TableOptions, inspect, inspect_with};
use wgrad::prelude::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn load(name: &str, columns: &[&str]) -> Dataset {
    let columns = columns.iter().map(|name| ((*name).to_string(), ColumnRule::Category)).collect();
    let options = TableOptions { columns, ..TableOptions::default() };
    Dataset::load(file(name), &Target::number("y"), &options).unwrap().data
}

#[test]
fn values_and_kinds_are_those_that_were_written() {
    // As text, a column of digits looks like numbers.
    let [sheet, text] =
        [load("few.xlsx", &[]), load("few-xlsx.csv", &["code"])].map(|it| it.encoded().unwrap());
    assert_eq!(sheet.schema(), text.schema());
    assert_eq!(sheet.x().to_vec(), text.x().to_vec());
    assert_eq!(sheet.y(), text.y());
    assert_eq!(sheet.rows(), 30);
    let kinds: Vec<(String, &str)> = inspect(file("few.xlsx"))
        .unwrap()
        .into_iter()
        .map(|column| (column.name, column.kind))
        .collect();
    let want = [
        ("id", "number"),
        ("code", "category"),
        ("when", "date"),
        ("at", "number"),
        ("took", "number"),
        ("open", "category"),
        ("town", "category"),
        ("count", "number"),
        ("fault", "number"),
        ("y", "number"),
    ];
    assert_eq!(kinds, want.map(|(name, kind)| (name.to_string(), kind)));
    let old = inspect(file("since-1904.xlsx")).unwrap();
    assert_eq!(old[0].examples, ["1904-01-01", "1905-01-02", "1906-01-03"]);
}

#[test]
fn all_commands_take_a_sheet_and_predict_as_of_the_same_table_as_text() {
    let place = Place::new();
    for name in ["few.xlsx", "few-xlsx.csv"] {
        fs::copy(file(name), place.path(name)).unwrap();
    }
    let (_, said) = place.ok("train few.xlsx --target y --epochs 3 --hidden 4 --out r");
    assert!(
        said.contains(
            "the sheet `May & June` of an Excel workbook; lines in messages are its rows; rows without cells are left out; for another \
             sheet give --sheet: `other`, `formulas`"
        ),
        "{said}"
    );
    let [sheet, text] =
        ["few.xlsx", "few-xlsx.csv"].map(|table| place.evaluated(&format!("r {table}")));
    assert_eq!(sheet["r2"], text["r2"]);
    let [sheet, text] =
        ["few.xlsx", "few-xlsx.csv"].map(|table| place.ok(&format!("predict r {table} --quiet")).0);
    let last = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.rsplit(',').next().unwrap().to_string()).collect()
    };
    assert_eq!(last(&sheet), last(&text));
    // Digits of long numbers are passed on as they are.
    assert!(sheet.contains("\n9007199254740994,00001,2024-02-28T06:00:00,9015,"), "{sheet}");
    place.ok("train few.xlsx --sheet other --target y --valid few.xlsx --epochs 2 --hidden 2 --out s --quiet");
    assert!(place.read("s/config.toml").contains("sheet = \"other\""));
    place.ok("resume s --epochs 3 --quiet");
    let (out, _) = place.ok("predict s few.xlsx --sheet other --quiet");
    assert!(out.starts_with("a,y,y_predicted\n1,2,"), "{out}");
    // Each of two tables may have its own sheet.
    place.ok("train few.xlsx --sheet other --target y --valid few.xlsx --valid-sheet other --epochs 2 --hidden 2 --out t --quiet");
    assert!(place.read("t/config.toml").contains("valid-sheet = \"other\""));
    let said = place.refused(
        "train few.xlsx --sheet other --target y --valid few.xlsx --valid-sheet nine --out u",
    );
    assert!(said.contains("there is no sheet `nine`"), "{said}");
    let said = place.refused("train few.xlsx --target y --valid-sheet other --out u");
    assert!(said.contains("--valid-sheet: it names the sheet of --valid FILE"), "{said}");
    // The sheet of a workbook is none of a table of text.
    place.write("valid.csv", "a,y\n1,2\n3,4\n");
    place.ok("train few.xlsx --sheet other --target y --valid valid.csv --epochs 2 --hidden 2 --out w --quiet");
    let (out, _) = place.ok("inspect few.xlsx --sheet other");
    assert!(out.contains("3 rows, 2 columns"), "{out}");
}

#[test]
fn what_a_sheet_lacks_is_told_with_its_remedy() {
    let place = Place::new();
    for name in ["few.xlsx", "few-xlsx.csv"] {
        fs::copy(file(name), place.path(name)).unwrap();
    }
    for (args, part) in [
        ("inspect few.xlsx --sheet formulas", "cell B2: a formula without its value"),
        (
            "inspect few.xlsx --sheet June",
            "there is no sheet `June`; the workbook has `May & June`, `other`, `formulas`",
        ),
        ("inspect few-xlsx.csv --sheet June", "--sheet goes with an Excel workbook"),
        ("inspect few.xlsx --decimal comma", "has no --delimiter or --decimal mark"),
    ] {
        let said = place.refused(args);
        assert!(said.contains(part), "{args}: {said}");
    }
    let stdin = fs::File::open(file("few.xlsx")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    let output = command.args(["inspect", "-"]).stdin(stdin).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("give an NPZ file or an Excel workbook by its name"), "{said}");
}

/// A zip archive of files, compressed or not.
fn zip(files: &[(String, String)], packs: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = Crc::new();
        crc.update(text.as_bytes());
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let packed = if packs { encoder.finish().unwrap() } else { text.clone().into_bytes() };
        let method = if packs { 8 } else { 0 };
        let sizes = [packed.len(), text.len()].map(|size| (size as u32).to_le_bytes()).concat();
        let lengths = [name.len() as u8, 0, 0, 0];
        let common =
            [&[method, 0, 0, 0, 0, 0], &crc.sum().to_le_bytes()[..], &sizes, &lengths].concat();
        directory.extend([&b"PK\x01\x02"[..], &[20, 0, 20, 0, 0, 0], &common, &[0; 10]].concat());
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend([&b"PK\x03\x04"[..], &[20, 0, 0, 0], &common].concat());
        bytes.extend(name.as_bytes());
        bytes.extend(packed);
    }
    let count = [files.len() as u8, 0];
    let place = [directory.len(), bytes.len()].map(|it| (it as u32).to_le_bytes()).concat();
    [bytes, directory, [&b"PK\x05\x06"[..], &[0; 4], &count, &count, &place, &[0, 0]].concat()]
        .concat()
}

/// A workbook with sheets by name and rows, and texts that cells share.
fn workbook_of(sheets: &[(&str, &str)], texts: &str, packs: bool) -> Vec<u8> {
    let (mut list, mut places, mut files) = (String::new(), String::new(), Vec::new());
    for (at, (name, rows)) in sheets.iter().enumerate() {
        // Such as `s|state="hidden"`.
        let (name, attribute) = name.split_once('|').unwrap_or((name, ""));
        list += &format!(r#"<sheet name="{name}" {attribute} r:id="rId{at}"/>"#);
        places +=
            &format!(r#"<Relationship Id="rId{at}" Type="x/worksheet" Target="/xl/s{at}.xml"/>"#);
        let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
        files.push((format!("xl/s{at}.xml"), sheet));
    }
    let formats =
        r#"<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#;
    for (name, text) in [
        ("xl/workbook.xml", format!("<workbook><sheets>{list}</sheets></workbook>")),
        ("xl/_rels/workbook.xml.rels", format!("<Relationships>{places}</Relationships>")),
        ("xl/styles.xml", formats.to_owned()),
        ("xl/sharedStrings.xml", format!("<sst>{texts}</sst>")),
    ] {
        files.push((name.to_owned(), text));
    }
    zip(&files, packs)
}

/// A workbook with the rows of a sheet, and texts that cells share.
fn workbook(rows: &str, texts: &str) -> Vec<u8> {
    workbook_of(&[("s", rows)], texts, true)
}

#[test]
fn hostile_workbooks_are_refused_within_the_stated_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.xlsx");
    let read = |rows: &str, texts: &str| {
        fs::write(&path, workbook(rows, texts)).unwrap();
        inspect(&path).map_err(|error| error.to_string())
    };
    let head = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c t="str"><v>b &amp; c</v></c></row>"#;
    let good =
        read(&format!(r#"{head}<row><c s="1"><v>60</v></c><c t="b"><v>1</v></c></row>"#), "");
    let good = good.unwrap();
    assert_eq!((good[0].examples[0].as_str(), good[1].name.as_str()), ("1900-02-28", "b & c"));
    for (rows, part) in [
        (
            r#"<row r="3"><c r="A3"><v>1</v></c></row><row r="2"/>"#,
            "rows that do not come in their order",
        ),
        (r#"<row r="0"><c><v>1</v></c></row>"#, "rows that do not come in their order"),
        (
            r#"<row r="2"><c r="B2"><v>1</v></c><c r="A2"/></row>"#,
            "cells that do not come in their order",
        ),
        (r#"<row r="2"><c r="XFE2"><v>1</v></c></row>"#, "more columns than a sheet has"),
        (r#"<row r="2"><c r="2"/></row>"#, "a cell without a place"),
        (r#"<row r="2"><c t="s"><v>7</v></c></row>"#, "cell A2: a text that the workbook lacks"),
        (r#"<row r="2"><c><v>12O</v></c></row>"#, "cell A2: `12O` is no number"),
        (r#"<row r="2"><c s="1"><v>-3</v></c></row>"#, "cell A2: -3 is no date"),
        (r#"<row r="2"><c t="str"><v>&#0;</v></c></row>"#, "an entity that stands for nothing"),
        (r#"<row r="2"><c><v>1</v></row>"#, "damaged"),
    ] {
        let said = read(&format!("{head}{rows}"), "").unwrap_err();
        assert!(said.contains(part), "{rows}: {said}");
    }
    assert_eq!(read("", "").unwrap_err(), format!("{}: the sheet `s` is empty", path.display()));
    let deep = format!("{head}{}", "<a>".repeat(100));
    assert!(read(&deep, "").unwrap_err().contains("too many elements within one another"));
    let long = format!(r#"{head}<row><c t="str"><v>{}</v></c></row>"#, "x".repeat(3 << 20));
    assert!(read(&long, "").unwrap_err().contains("a text of more than 1048576 bytes"));
    let entities = format!(r#"{head}<row><c t="str"><v>{}</v></c></row>"#, "&lt;".repeat(3 << 20));
    assert!(read(&entities, "").unwrap_err().contains("a longer text than cells have"));
    // A few hundred KiB that hold more than is allowed in memory.
    let text = format!("<si><t>{}</t></si>", "x".repeat(1 << 15));
    let said = read(head, &text.repeat((256 << 5) + 1)).unwrap_err();
    assert!(said.contains("more than 256 MiB of texts; save the sheet as CSV"), "{said}");
    assert!(fs::metadata(&path).unwrap().len() < 4 << 20);
    // The program ends with the same words where it may take no more than 1 GiB.
    #[cfg(target_os = "linux")]
    {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 1048576; exec \"$0\" inspect \"$1\""]);
        let output = shell.arg(env!("CARGO_BIN_EXE_wgrad")).arg(&path).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("more than 256 MiB of texts"), "{said}");
    }
}

fn write_bytes(place: &Place, name: &str, bytes: &[u8]) {
    fs::write(place.path(name), bytes).unwrap();
}

/// Rows of a sheet, counted from 1: numbers as they are, other words as texts, and those behind an apostrophe; a dot is no cell.
fn rows_of(rows: &[(u32, &str)]) -> String {
    let mut all = String::new();
    for (row, cells) in rows {
        all += &format!(r#"<row r="{row}">"#);
        for (cell, column) in cells.split(' ').zip('A'..) {
            all += &match (cell, cell.parse::<f64>()) {
                (".", _) => String::new(),
                (_, Ok(_)) => format!(r#"<c r="{column}{row}"><v>{cell}</v></c>"#),
                _ => {
                    let text = cell.trim_start_matches('\'');
                    format!(r#"<c r="{column}{row}" t="str"><v>{text}</v></c>"#)
                }
            };
        }
        all += "</row>";
    }
    all
}

#[test]
fn a_sheet_without_a_header_keeps_its_first_row() {
    let place = Place::new();
    let rows: Vec<(u32, String)> =
        (0..40).map(|i| (i + 1, format!("{} {}.5 {}", i + 5, i % 7, i * 2))).collect();
    let rows: Vec<(u32, &str)> = rows.iter().map(|(row, cells)| (*row, cells.as_str())).collect();
    write_bytes(&place, "t.xlsx", &workbook(&rows_of(&rows), ""));
    let text: String =
        rows.iter().map(|(_, cells)| format!("{}\n", cells.replace(' ', ","))).collect();
    place.write("t.csv", &text);
    let told = "the first line looks like data: columns are named `c1` to `c3`";
    let (out, said) = place.ok("inspect t.xlsx");
    assert!(out.starts_with("40 rows, 3 columns"), "{out}");
    assert!(said.contains(told), "{said}");
    let (of_text, said) = place.ok("inspect t.csv");
    assert_eq!(out, of_text);
    assert!(said.contains(told), "{said}");
    for table in ["t.xlsx", "t.csv"] {
        let (_, said) =
            place.ok(&format!("train {table} --target c3 --epochs 2 --hidden 4 --out {table}.run"));
        assert!(said.contains(told), "{said}");
    }
    assert_eq!(
        place.ok("predict t.xlsx.run t.xlsx --quiet").0,
        place.ok("predict t.csv.run t.csv --quiet").0
    );
    // Names that are numbers are a header if it is said, or if they are asked for.
    let (out, said) = place.ok("inspect t.xlsx --header yes");
    assert!(out.starts_with("39 rows, 3 columns") && out.contains("\n`0.5` "), "{out}");
    assert!(!said.contains("looks like data"), "{said}");
    let (_, said) = place.ok("train t.xlsx --target 0.5 --epochs 1 --hidden 2 --out named");
    assert!(!said.contains("looks like data"), "{said}");
    write_bytes(
        &place,
        "named.xlsx",
        &workbook(&rows_of(&[(1, "a y"), (2, "b 1"), (3, "c 2")]), ""),
    );
    let (out, said) = place.ok("inspect named.xlsx --header no");
    assert!(out.starts_with("3 rows, 2 columns") && out.contains("`c2`"), "{out}");
    assert!(said.contains("no header: columns are named `c1` to `c2`"), "{said}");
}

#[test]
fn names_of_rows_as_pandas_writes_them_are_left_out() {
    let place = Place::new();
    let rows: Vec<(u32, String)> =
        (0..30).map(|i| (i + 2, format!("{i} '0{} {}.25", i % 3, i * 2))).collect();
    let mut all = vec![(1, ". town y")];
    all.extend(rows.iter().map(|(row, cells)| (*row, cells.as_str())));
    write_bytes(&place, "t.xlsx", &workbook(&rows_of(&all), ""));
    let (out, said) = place.ok("inspect t.xlsx");
    assert!(out.starts_with("30 rows, 2 columns"), "{out}");
    // The types that cells declare stay with their columns.
    assert!(out.contains("`town`  category") && out.contains("`y`     number"), "{out}");
    let told = "the header lacks a name for the first column, which is left out";
    assert!(said.contains(told), "{said}");
    let (_, said) = place.ok("train t.xlsx --target y --epochs 2 --hidden 4 --out r");
    assert!(said.contains(told), "{said}");
    let (out, _) = place.ok("predict r t.xlsx --quiet");
    assert!(out.starts_with(",town,y,y_predicted\n0,00,0.25,"), "{out}");
    // A column of other cells without a name is still a mistake.
    write_bytes(
        &place,
        "t.xlsx",
        &workbook(&rows_of(&[(1, ". y"), (2, "3 1"), (3, "3 2"), (4, "4 2")]), ""),
    );
    let said = place.refused("inspect t.xlsx");
    assert!(said.contains("column 1 has no name in the header"), "{said}");
}

#[test]
fn the_first_sheet_that_is_shown_is_read_and_told() {
    let place = Place::new();
    let rows = |name: &str| rows_of(&[(1, &format!("{name} y")), (2, "1 2"), (3, "3 4")]);
    let [first, second, third] = ["a", "b", "c"].map(rows);
    let sheets = [
        ("old|state=\"hidden\"", first.as_str()),
        ("now|state=\"visible\"", &second),
        ("void", ""),
        ("more", &third),
        ("deep|state=\"veryHidden\"", &first),
    ];
    write_bytes(&place, "t.xlsx", &workbook_of(&sheets, "", true));
    let (out, said) = place.ok("inspect t.xlsx");
    assert!(out.contains("`b`"), "{out}");
    let told = "the sheet `now` of an Excel workbook; lines in messages are its rows; for another sheet give --sheet: `void`, `more`; for \
                a hidden sheet give --sheet: `old`, `deep`";
    assert!(said.contains(told), "{said}");
    assert!(place.ok("inspect t.xlsx --sheet old").0.contains("`a`"));
    let said = place.refused("inspect t.xlsx --sheet void");
    let told =
        "the sheet `void` is empty; for another sheet give --sheet: `now`, `more`; for a hidden";
    assert!(said.contains(told), "{said}");
    write_bytes(&place, "t.xlsx", &workbook_of(&sheets[..1], "", true));
    assert!(place.ok("inspect t.xlsx").0.contains("`a`"));
}

#[test]
fn lines_in_messages_are_rows_of_the_sheet() {
    let place = Place::new();
    let good = [(3, "a y"), (5, "1 2"), (6, "2 3"), (9, "3 4"), (10, "4 5")];
    write_bytes(&place, "good.xlsx", &workbook(&rows_of(&good), ""));
    place.ok("train good.xlsx --target y --task regress --epochs 1 --hidden 2 --out r --valid 0");
    let mut bad = good;
    bad[3].1 = "3 x";
    write_bytes(&place, "bad.xlsx", &workbook(&rows_of(&bad), ""));
    let said = place.refused("train bad.xlsx --target y --task regress --epochs 1 --out s");
    assert!(said.contains("bad.xlsx:9: "), "{said}");
    let said = place.refused("evaluate r bad.xlsx");
    assert!(said.contains("bad.xlsx:9: "), "{said}");
    // Without a header the first row is a line, too.
    let bare = [(3, "5 2"), (6, "2 3"), (9, "3 x"), (11, "4 5")];
    write_bytes(&place, "bare.xlsx", &workbook(&rows_of(&bare), ""));
    let said = place.refused("train bare.xlsx --header no --target c2 --task regress --out s");
    assert!(said.contains("bare.xlsx:9: "), "{said}");
}

#[test]
fn a_title_above_the_header_is_told() {
    let place = Place::new();
    write_bytes(
        &place,
        "t.xlsx",
        &workbook(&rows_of(&[(2, "Report"), (3, "a y"), (4, "1 2")]), ""),
    );
    let told = "row 2 looks like a title: `Report` is its only cell, and columns behind it have no name; delete the row, so that the first \
                one has the columns' names";
    for args in ["inspect t.xlsx", "train t.xlsx --target y --out r"] {
        let said = place.refused(args);
        assert!(said.contains(told), "{said}");
    }
    write_bytes(&place, "t.xlsx", &workbook(&rows_of(&[(1, "a y"), (2, "1 2 3"), (3, "1 3")]), ""));
    let said = place.refused("inspect t.xlsx");
    assert!(
        said.contains("columns behind `y` have cells, but no name in row 1; name them"),
        "{said}"
    );
}

#[test]
fn a_changed_cell_is_an_error_though_it_is_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.xlsx");
    let rows = r#"<row r="1"><c t="str"><v>a</v></c></row><row r="2"><c><v>123456</v></c></row>"#;
    // The part behind the rows is longer than the readers' buffers.
    let rest = "<x>1</x>".repeat(1 << 15);
    let rows = format!("{rows}</sheetData>{rest}<sheetData>");
    let stored = workbook_of(&[("s", &rows)], "", false);
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        inspect(&path).map_err(|error| error.to_string())
    };
    assert_eq!(read(&stored).unwrap()[0].examples, ["123456"]);
    let place = stored.windows(6).position(|it| it == b"123456").unwrap();
    // The last ones make of it a cell that is no number, and no element.
    for byte in [b'7', b'x', b'<'] {
        let mut changed = stored.clone();
        changed[place] = byte;
        let said = read(&changed).unwrap_err();
        let file = path.display().to_string();
        assert!(said.contains("its checksum differs); copy the file again"), "{said}");
        assert!(said.contains(&file), "{said}");
    }
    // A changed text that cells share is found too, and a changed format.
    let shared = r#"<row r="1"><c t="s"><v>0</v></c></row><row r="2"><c><v>1</v></c></row>"#;
    let stored = workbook_of(&[("s", shared)], "<si><t>name</t></si>", false);
    for (part, other) in
        [("<t>name", "<t>game"), ("\"14\"", "\"15\""), ("name=\"s\"", "name=\"t\"")]
    {
        let place = stored.windows(part.len()).position(|it| it == part.as_bytes()).unwrap();
        let mut changed = stored.clone();
        changed[place..place + part.len()].copy_from_slice(other.as_bytes());
        let said = read(&changed).unwrap_err();
        assert!(said.contains("its checksum differs"), "{part}: {said}");
    }
}

#[test]
fn damaged_workbooks_are_errors_or_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    let format = TableFormat::default();
    let options = TableOptions { format, ..TableOptions::default() };
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let read = inspect_with(&path, &options, &ScalingRules::default());
        read.map(|columns| columns[0].cells)
    };
    let whole = fs::read(file("few.xlsx")).unwrap();
    assert_eq!(read(&whole).unwrap(), 30);
    for part in 0..24 {
        let end = 8 + (whole.len() - 8) * part / 24;
        let said = read(&whole[..end]).unwrap_err().to_string();
        assert!(said.contains("damaged") || said.contains("cut off"), "{end}: {said}");
    }
    let mut state = 1_u64;
    for _ in 0..500 {
        let mut bytes = whole.clone();
        for _ in 0..2 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let place = (state >> 33) as usize % bytes.len();
            bytes[place] = (state >> 25) as u8;
        }
        // Any outcome is good but a crash, and rows that nobody has written.
        if let Ok(rows) = read(&bytes) {
            assert!(rows <= 30, "{rows}");
        }
    }
}
