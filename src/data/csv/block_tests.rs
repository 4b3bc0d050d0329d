//! Blocks, of 256 bytes in tests: rows and lines are those of the whole text, wherever it is cut.

use std::fmt::Write as _;

use super::*;
use crate::data::column::ColumnEncoding;
use crate::data::schema::TargetKind;
use crate::data::targets::Targets;

fn load(text: &str, target: Target) -> Result<Dataset> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Ok(Dataset::load(file.path(), &target, &TableOptions::default())?.data)
}

/// Cells of a row, and the row as text of several lines.
fn row(i: usize) -> (f64, &'static str, f64, String) {
    let number = if i % 9 == 4 { f64::NAN } else { i as f64 / 4.0 };
    let text = ["north, east", "south\nwest", "the \"x\"", "up", ""][i * 7 % 5];
    let y = (i % 31) as f64 + 0.5;
    let cell = if number.is_nan() { String::new() } else { number.to_string() };
    let quoted = match text.contains([',', '\n', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    };
    // An empty line here and there is no row.
    let end = ["\n", "\r\n", "\n\n"][i % 3];
    (number, text, y, format!("{cell},{quoted},{y}{end}"))
}

#[test]
fn rows_are_the_same_wherever_a_block_ends() {
    // Each length of the header moves all ends of blocks.
    for pad in [1, 17, 64, 101, 200] {
        let mut text = format!("{},text,y\n", "n".repeat(pad));
        let rows: Vec<_> = (0..400).map(row).collect();
        rows.iter().for_each(|row| text += &row.3);
        let data = load(&text, Target::number("y")).unwrap();
        assert_eq!((data.rows(), data.columns()), (400, 2));
        // Texts in order are indices.
        let order = ["north, east", "south\nwest", "the \"x\"", "up"];
        for (i, (number, text, y, _)) in rows.iter().enumerate() {
            let read = data.row(i).to_vec();
            assert!(read[0] == *number || read[0].is_nan() && number.is_nan(), "row {i}");
            let place = order.iter().position(|it| it == text).map_or(f64::NAN, |it| it as f64);
            assert!(read[1] == place || read[1].is_nan() && place.is_nan(), "row {i}: {read:?}");
            assert!(matches!(data.y(), Targets::Numbers(all) if all[i] == *y));
        }
    }
}

#[test]
fn mistakes_have_the_line_of_the_whole_text() {
    for (bad, problem) in [
        ("1,2\n", "2 columns, but the header has 3"),
        ("1,up,2,3\n", "4 columns, but the header has 3"),
        ("1,\"a\"b,2\n", "text stands behind a closing quote"),
        ("1,\"a,2\n", "is never closed"),
        ("1,u\0p,2\n", "a NUL byte"),
        ("n,text,y\n", "repeats the header"),
        ("1,up,oops\n", "`oops` is not a number"),
    ] {
        for place in [3, 150, 290, 399] {
            let (mut text, mut line) = ("n,text,y\n".to_string(), 0);
            for i in 0..400 {
                if i == place {
                    line = text.matches('\n').count() + 1;
                    text += bad;
                }
                text += &row(i).3;
            }
            // An open quote ends at the next one, whose cell goes on behind it.
            let quotes = bad.matches('"').count() == 1;
            let said = load(&text, Target::number("y")).unwrap_err().to_string();
            let lines = format!(":{line}: ");
            assert!(quotes || said.contains(&lines), "{bad:?} at {line}: {said}");
            assert!(quotes || said.contains(problem), "{said}");
            assert!(
                !quotes || said.contains(&format!("in line {line}")) || said.contains(&lines),
                "{line}: {said}"
            );
        }
    }
}

#[test]
fn texts_that_do_not_fit_are_told_with_the_first_lines() {
    let mut text = "a,y\n".to_string();
    for i in 0..3000 {
        let cell = if i > 0 && i % 400 == 0 { "x".to_string() } else { i.to_string() };
        writeln!(text, "{cell},{}", i % 2).unwrap();
    }
    let said = load(&text, Target::class("y")).unwrap_err().to_string();
    assert!(
        said.contains(":402: column `a`: `x` is not a number, but 2,993 of 3,000 cells are"),
        "{said}"
    );
    assert!(said.contains("the same in lines 802, 1202, 1602, 2002 and 2 more"), "{said}");
}

#[test]
fn texts_that_come_after_very_many_numbers_are_read_again() {
    let mut text = "a,y\n".to_string();
    for i in 0..12_000 {
        let cell = if i < 5000 { i.to_string() } else { format!("t{}", i % 2) };
        writeln!(text, "{cell},{}", i % 3).unwrap();
    }
    let data = load(&text, Target::class("y")).unwrap().encoded().unwrap();
    let ColumnEncoding::Embedding { values, .. } = &data.schema().columns[0].encoding else {
        panic!("no texts")
    };
    assert_eq!((values.len(), values[1].as_str(), values[5001].as_str()), (5002, "1", "t1"));
    // Row 0 of an embedding's table is that of gaps.
    assert_eq!(data.row(1).to_vec(), [2.0]);
    assert_eq!(data.row(11_999).to_vec(), [5002.0]);
}

#[test]
fn very_many_numbers_of_a_target_are_kept_as_numbers_with_their_gaps() {
    let mut text = "a,y\n".to_string();
    for i in 0..12_000 {
        let cell = if i % 100 == 7 { "NA".to_string() } else { format!("{}", i as f64 / 8.0) };
        writeln!(text, "{i},{cell}").unwrap();
    }
    let data = load(&text, Target::auto("y")).unwrap();
    let Targets::Numbers(y) = data.y() else { panic!("no numbers") };
    assert_eq!(
        (y.len(), data.row(7).to_vec(), y[7], y[11_879]),
        (11_880, vec![8.0], 1.0, 1499.875)
    );
    // A text decides that they are classes after all, or is a mistake.
    let late = |rows: usize| {
        let mut text = text.replace("NA", "1.5");
        (0..rows).for_each(|_| text += "1,late\n");
        load(&text, Target::auto("y"))
    };
    let said = late(10).unwrap_err().to_string();
    assert!(said.contains(":12002: column `y`: `late` is not a number"), "{said}");
    let TargetKind::Classes(classes) = late(20_000).unwrap().schema().kind.clone() else {
        panic!("no classes")
    };
    assert_eq!(classes.len(), 11_881);
    let said = load(&(text + "1,late\n"), Target::number("y")).unwrap_err().to_string();
    assert!(said.contains("`NA` is no number but a missing value"), "{said}");
}

#[test]
fn a_mark_of_the_order_of_bytes_is_text_where_a_block_begins() {
    // Quotes take the rows to the parser, which takes such a mark from the beginning of its text.
    let mark = '\u{feff}';
    let rows: String = (0..200).map(|i| format!("{mark}u,\"{i}\"\n{mark}\"v\",{i}\n")).collect();
    let data = load(&format!("y,n\n{rows}"), Target::class("y")).unwrap();
    let TargetKind::Classes(classes) = data.schema().kind.clone() else { panic!("not classes") };
    assert_eq!(classes, ["\u{feff}\"v\"", "\u{feff}u"]);
}
