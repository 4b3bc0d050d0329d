//! Tests of `../csv.rs`: real and damaged tables.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::data::schema::TargetKind;
use crate::data::table_options::{ColumnRule, GapRule};
use crate::data::targets::Targets;
use crate::data::{ColumnEncoding, Oddities, Split};
use crate::random::Seed;

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/datasets/digits.csv");

/// A folder that holds `t.csv`.
fn table(bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn auto(name: &str) -> Target {
    Target::Auto(name.into())
}

fn read(bytes: impl AsRef<[u8]>) -> Result<Dataset> {
    let (_dir, path) = table(bytes);
    Dataset::from_csv(path, auto("y"))
}

/// The error's text from the file's name on.
fn said<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    let err = outcome.expect_err("must be refused");
    assert!(matches!(err, Error::Table { .. }), "{err:?}");
    let text = err.to_string();
    text[text.find("t.csv").unwrap_or(0)..].to_owned()
}

#[test]
fn digits_are_read_and_split() {
    let data = Dataset::from_csv(DIGITS, auto("digit")).unwrap();
    assert_eq!((data.rows(), data.columns(), data.classes()), (1797, 64, 10));
    let labels = (0..10).map(|d| d.to_string()).collect();
    assert_eq!(data.schema().kind, TargetKind::Classes(labels));
    assert_eq!(data.schema().features[63], "pixel_7_7");
    assert_eq!(data.row(0).to_vec()[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
    assert!(data.x().iter().all(|v| (0.0..=16.0).contains(&v)));
    let Targets::Classes(y) = data.y() else { panic!("numbers") };
    assert_eq!(y[..4], [0, 1, 2, 3]);

    assert_eq!(Dataset::from_csv_like(DIGITS, data.schema()).unwrap().x(), data.x());
    let split = data.split(0.2, Seed(0)).unwrap();
    let valid = split.valid.unwrap();
    assert_eq!((split.train.rows(), valid.rows()), (1438, 359));
}

#[test]
fn harmless_oddities_are_read() {
    let plain = read("a,y,b\n1,u,2\n3,v,4\n5,u,6\n7,v,8\n").unwrap();
    assert_eq!(plain.schema().features, ["a", "b"]);
    assert_eq!(plain.x().to_vec(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    for odd in [
        "\u{feff}a,y,b\n1,u,2\n3,v,4\n5,u,6\n7,v,8",
        "a,y,b\r\n1,u,2\r\n3,v,4\r\n5,u,6\r\n7,v,8\r\n",
        "\"a\",\"y\",\"b\"\n\"1\",\"u\",2\n3,v,4\n5,u,6\n7,v,8\n",
        "\n\na,y,b\n\n1,u,2\n3,v,4\n\n\n5,u,6\n7,v,8\n\n",
        "a,y,b\r1,u,2\r3,v,4\r5,u,6\r7,v,8\r",
        "\u{feff}\"a\",\"y\",\"b\"\n1,u,2\n3,v,4\n5,u,6\n7,v,8",
        "a,y,b\n1,\"u\" ,2\n3,v,4\n5,u,6\n7,v,\"8\"\t",
        " a, y ,b\n 1 ,u, 2\n+3.0,v ,4e0\n5.,u,.6e1\n7,v,0008\n",
    ] {
        let got = read(odd).unwrap();
        assert_eq!(
            (got.schema(), got.x(), got.y()),
            (plain.schema(), plain.x(), plain.y()),
            "{odd}"
        );
    }
    let constant = read("a,y\n1,3\n2,3\n4,3\n").unwrap();
    assert_eq!(constant.y(), &Targets::Numbers(vec![3.0; 3]));
}

#[test]
fn damaged_tables_are_refused_with_a_place() {
    for (bytes, want) in [
        ("", "t.csv: the file is empty"),
        ("\n\n", "t.csv: the file is empty"),
        ("a,y\n", "t.csv: a header, but no rows"),
        ("a,y\n1,2\n1,2,3\n", "t.csv:3: 3 columns, but the header has 2"),
        ("a,y\n1,2\n  \n3,4\n", "t.csv:3: 1 column, but the header has 2: a line of blanks"),
        ("a,y\n# half\n3,4\n", "t.csv:2: 1 column, but the header has 2; if the line is a comment"),
        ("a,y\n1,2,\n", "t.csv:2: 3 columns, but the header has 2; the line ends in a comma"),
        ("a,y,\n1,2,3\n", "t.csv: the header ends in a comma"),
        ("a\u{1b}[2J,y\n1,2\nx,2\n", "t.csv:3: column `a\\u{1b}[2J`: `x` is not a number"),
        (
            "a,y\n\"1,000\",2\n1000,2\n",
            "t.csv:2: column `a`: `1,000` is not a number, and features must be numbers; write thousands",
        ),
        ("a,y\n1,2\n1\n", "t.csv:3: 1 column, but the header has 2"),
        ("a,y\n1,2\n\"1,2\n3,4\n", "t.csv:3: a quote opens a cell here and is never closed"),
        ("a,y\n1,2\n\"1\n\"\n3,4\n", "t.csv:3: 1 column, but the header has 2; a quoted cell"),
        // A quote in the last cell would swallow all rows behind it.
        ("a,y\n1,u\n2,\"v\n3,u\n4,v\n", "t.csv:3: a quote opens a cell here and is never closed"),
        ("a,y\r\n1,u\r\n\r\n2,\"v\"\"\r\n3,u\r\n", "t.csv:4: a quote opens a cell here"),
        ("\"a,y\n1,u\n", "t.csv:1: a quote opens a cell here"),
        ("a,y\r1,u\r\"2,v\r3,u\r", "t.csv:3: a quote opens a cell here"),
        ("a,y\n1,u\n2,\"", "t.csv:3: a quote opens a cell here"),
        // One that a later quote closes would merge the rows between.
        (
            "a,y\n1,u\n2,\"v\n3,u\n4,\"w\"\n5,u\n",
            "t.csv:5: text stands behind a closing quote; the quotes were opened in line 3",
        ),
        (
            "a,y\n1,\"u\"v\n",
            "t.csv:2: text stands behind a closing quote; the quotes were opened here",
        ),
        ("a,y\n1,u\n2,v\0\n", "t.csv:3: a NUL byte"),
        ("a,y\n1,u\n\0\0\0", "t.csv:3: a NUL byte"),
        ("a,y\n1,u\n2,v\na,y\n3,u\n", "t.csv:4: the line repeats the header"),
        ("a,y\r1,2\rx,2\r", "t.csv:3: column `a`: `x`"),
        ("a,y\n1,2\n3,4\n5", "t.csv:4: 1 column, but the header has 2"),
        ("a,y\n1,2\nred,2\n", "t.csv:3: column `a`: `red` is not a number, but 1 of 2 cells is"),
        (
            "a,y\n\"1,5\",2\n",
            "t.csv:2: column `a`: `1,5` is not a number, and features must be numbers; write",
        ),
        ("a,y\n1,2\n-inf,2\n", "t.csv:3: column `a`: `-inf` is not a finite number"),
        ("a,y\nNaN,2\n", "t.csv: no column is left for features: `a` holds nothing but gaps"),
        ("a,y\n1,\n2, \n", "t.csv: no row is left: 2 rows have no value of the target `y`"),
        ("a,y\n1,2\n1e309,2\n", "t.csv:3: column `a`: `1e309` is too large for a number"),
        ("a,y\n1,2\n1,1e309\n1,3\n", "t.csv:3: column `y`: `1e309` is too large"),
        ("a,z\n1,2\n", "t.csv: there is no column `y`; the table has `a`, `z`"),
        (
            "a;b;y\n1;2\n1;2;3\n",
            "t.csv: there is no column `y`; the header is one column that contains a semicolon",
        ),
        ("a,b,a,y\n1,2,3,4\n", "t.csv: columns 1 and 3 are both named `a`"),
        (",y\n1,2\n", "t.csv: column 1 has no name"),
        ("y\n1\n", "t.csv: the target `y` is the only column"),
        ("a,y\n1,u\n2,u\n3,u\n", "t.csv: column `y`: every row has the class `u`"),
    ] {
        let said = said(read(bytes));
        assert!(said.starts_with(want), "{bytes:?}\n got {said}\nwant {want}");
    }
    let text = said(read(b"a,y\n1,2\n1,\xff\xfe\n"));
    assert!(text.starts_with("t.csv:3: column 2 is not UTF-8"), "{text}");
    let text = said(read(b"\xff\xfea\0,\0y\0\n\0"));
    assert!(text.starts_with("t.csv:1: the file is UTF-16 text"), "{text}");
    let text = said(read(b"a\0,\0y\0\n\0"));
    assert!(text.starts_with("t.csv:1: a NUL byte") && text.contains("UTF-16"), "{text}");
    let long = format!("a,y\n1,1\n{},1\n", "x".repeat(5000));
    // The cell is cut wherever the message names it.
    assert!(said(read(long)).len() < 400);

    let missing = Dataset::from_csv("no/such.csv", auto("y")).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read no/such.csv"), "{missing}");
    let folder = Dataset::from_csv(env!("CARGO_MANIFEST_DIR"), auto("y")).unwrap_err();
    assert!(matches!(folder, Error::File { .. }), "{folder}");
}

#[test]
fn quotes_within_cells_are_letters_and_cells_may_have_lines() {
    let data = read(
        "a,y\n1,5\" pipe\n2,\"late,\n\"\"very\"\"\"\n3,5\" pipe\n4,\"late,\n\"\"very\"\"\"\n5,5\" pipe\n",
    );
    let data = data.unwrap();
    let labels = ["5\" pipe", "late,\n\"very\""].map(String::from).to_vec();
    assert_eq!((data.rows(), &data.schema().kind), (5, &TargetKind::Classes(labels)));
}

/// Gives its bytes a few at a time, as a pipe may.
struct Drops(Vec<u8>, usize);

impl std::io::Read for Drops {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.1.min(self.0.len()).min(buffer.len());
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0.drain(..n);
        Ok(n)
    }
}

#[test]
fn what_is_wrong_is_found_wherever_parts_of_the_file_end() {
    let schema = read("a,y\n1,u\n2,v\n3,u\n4,v\n5,v\n").unwrap().schema;
    for (text, want) in [
        (
            "\u{feff}\"a\",y\n1,\"u\"\"\"\n2,\"v\n3,u\n",
            "s:3: a quote opens a cell here and is never closed",
        ),
        (
            "a,y\n1,\"u\"\r\n2,\"v\n3,\"u\"\n",
            "s:4: text stands behind a closing quote; the quotes were opened in line 3",
        ),
        ("a,y\n1,u\n2,v\n\0", "s:4: a NUL byte"),
    ] {
        for drop in [1, 2, 3, 5, 64] {
            let bytes = Drops(text.as_bytes().to_vec(), drop);
            let mut reader = FeatureReader::from_reader(bytes, "s", &schema);
            let outcome = reader
                .as_mut()
                .map_err(|error| error.to_string())
                .and_then(|reader| reader.next_chunk(9).map_err(|error| error.to_string()));
            let said = outcome.unwrap_err();
            assert!(said.starts_with(want), "{drop}: {said}");
        }
    }
    let bytes = Drops("\u{feff}\"a\",y\n\"1\",\"u\n\"\"v\"\n2,w".into(), 1);
    let chunk =
        FeatureReader::from_reader(bytes, "s", &schema).unwrap().next_chunk(9).unwrap().unwrap();
    assert_eq!((chunk.x, chunk.lines), (vec![1.0, 2.0], vec![2, 4]));
    assert_eq!(chunk.records[0], vec!["1", "u\n\"v"]);
}

#[test]
fn rows_of_commas_alone_are_refused_or_come_one_by_one() {
    let many = 3 << 20;
    let schema = read("a,y\n1,u\n2,v\n3,u\n4,v\n5,v\n").unwrap().schema;
    let stream =
        |text: String| FeatureReader::from_reader(std::io::Cursor::new(text), "s", &schema);
    let said = stream(",".repeat(many)).unwrap_err().to_string();
    assert_eq!(said, "s:1: a row of more than 2097152 columns; is the end of a line missing?");
    let commas = ",".repeat(1 << 20);
    let mut reader = stream(format!("a{commas}\n1{commas}\n2{commas}\n")).unwrap();
    // The ends of a million empty cells take eight times their commas.
    assert_eq!(reader.next_chunk(9).unwrap().unwrap().lines, [2]);
    assert_eq!(reader.next_chunk(9).unwrap().unwrap().lines, [3]);
}

#[test]
fn lines_are_those_of_an_editor() {
    for (bytes, want) in [
        ("a,y\r\n1,2\r\nx,2\r\n", 3),
        ("a,y\r\n1,2\r\n\r\n\r\nx,2", 5),
        ("\u{feff}a,y\n\n1,2\n\n\nx,2", 6),
        ("a,y\n1,2\n1,\"u\nv\"\nx,2\n", 5),
        ("a,y\n1,2\nx,\"u\n\nv\"\n", 3),
        ("\r\na,y\r\n1,2\r\n1,\"u\r\nv\"\r\n\r\nx,\"\r\n\"\r\n1,1", 7),
        ("a,y\n1,2\r\n\nx,2\r\n", 4),
    ] {
        let said = said(read(bytes));
        assert!(said.starts_with(&format!("t.csv:{want}: column `a`: `x`")), "{bytes:?} {said}");
    }
    // Far beyond the parser's buffer.
    let many = format!("a,y\r\n{}x,2\r\n", "12345,1\r\n".repeat(40_000));
    let said = said(read(many));
    assert!(said.starts_with("t.csv:40002: column `a`"), "{said}");
}

#[test]
fn a_lone_class_is_known_with_its_line() {
    let data = read("a,y\n1,u\n2,u\n\n3,rare\n4,v\n5,v\n6,v\n").unwrap();
    assert_eq!(data.classes(), 3);
    assert_eq!(data.lone_classes(), [("rare".to_string(), Some(5))]);
    assert!(data.split(0.4, Seed(0)).unwrap().train.x().to_vec().contains(&3.0));
}

#[test]
fn like_tables_match_by_name() {
    let train = read("a,y,b\n1,u,2\n3,v,4\n5,u,6\n7,v,8\n").unwrap();
    let like = |bytes: &str| {
        let (_dir, path) = table(bytes);
        Dataset::from_csv_like(path, train.schema())
    };
    let other = like(",note,b,y,a,note\n0,x,2,v,1,\n1,,4,v,3,\n").unwrap();
    assert_eq!(other.schema(), train.schema());
    assert_eq!(
        (other.x().to_vec(), other.y()),
        (vec![1.0, 2.0, 3.0, 4.0], &Targets::Classes(vec![1, 1]))
    );
    let text = said(like("a,y,b\n1,u,2\n3,w,4\n"));
    assert_eq!(
        text,
        "t.csv:3: column `y`: class `w` did not occur in training, which knew `u`, `v`; correct it, or remove the row"
    );
    assert_eq!(
        said(like("a,z\n1,2\n")),
        "t.csv: there are no columns `b`, `y`; the table has `a`, `z`; is this the right table?"
    );
    assert!(said(like("a,y,b,a\n1,u,2,3\n")).contains("both named `a`"));

    let number = read("a,y\n1,0.5\n").unwrap();
    let (_dir, path) = table("y,a\n7,1\nx,1\n");
    let text = said(Dataset::from_csv_like(path, number.schema()));
    assert!(text.starts_with("t.csv:3: column `y`: `x` is not a number"), "{text}");
}

#[test]
fn features_stream_in_chunks_with_their_records() {
    let schema = read("a,y,b\n1,u,2\n3,v,4\n5,u,6\n7,v,8\n").unwrap().schema;
    let (_dir, path) = table("id,b, a \np 1,2,1\n\"q,\",4,3\nr, 6 ,5\n");
    let mut reader = FeatureReader::open(&path, &schema).unwrap();
    assert_eq!(*reader.headers(), vec!["id", "b", " a "]);
    let first = reader.next_chunk(2).unwrap().unwrap();
    assert_eq!(first.x, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(first.records[1], vec!["q,", "4", "3"]);
    assert_eq!(first.lines, [2, 3]);
    let last = reader.next_chunk(2).unwrap().unwrap();
    assert_eq!((last.x, last.records[0].get(1)), (vec![5.0, 6.0], Some(" 6 ")));
    assert!(reader.next_chunk(2).unwrap().is_none());
    assert!(reader.next_chunk(2).unwrap().is_none());

    let (_dir, path) = table("a\n1\n");
    assert!(said(FeatureReader::open(path, &schema)).contains("no column `b`"));
    let (_dir, path) = table("a,b\n1,2\n1,no\n");
    let text = said(FeatureReader::open(path, &schema).unwrap().next_chunk(9));
    assert!(text.starts_with("t.csv:3: column `b`: `no`"), "{text}");
    let (_dir, path) = table("a,b\n");
    assert!(said(FeatureReader::open(path, &schema).unwrap().next_chunk(9)).contains("no rows"));
}

#[test]
fn parts_are_the_whole_table_whatever_their_size() {
    let data = read("a,w,y,b\n1,2,u,2\n3,0,v,4\n5,1,u,6\n7,1,v,8\n9,3,v,1\n").unwrap();
    let (_dir, path) = table("y,b,a,w\nu,1,2,3\n\nv,4,5,6\n\"u\",7,8,9\nv,1,1,0\nu,0,0,2\n");
    let whole = Dataset::from_csv_like(&path, data.schema()).unwrap();
    for rows in [1, 2, 3, 5, 100] {
        let mut reader = PartReader::open(&path, data.schema()).unwrap();
        let (mut x, mut y, mut lines, mut parts) = (vec![], vec![], vec![], 0);
        while let Some(part) = reader.next_part(rows).unwrap() {
            let Targets::Classes(classes) = &part.y else { panic!("numbers") };
            assert!(part.lines.len() <= rows && classes.len() == part.lines.len());
            x.extend(part.x);
            y.extend(classes);
            lines.extend(part.lines);
            parts += 1;
        }
        assert_eq!((x, &Targets::Classes(y)), (whole.x().to_vec(), whole.y()));
        assert_eq!((lines, parts), (vec![2, 4, 5, 6, 7], 5_usize.div_ceil(rows)));
        assert!(reader.next_part(rows).unwrap().is_none());
    }
}

#[test]
fn streams_are_read_as_files_are_and_memory_is_used_again() {
    let schema = read("a,y,b\n1,u,2\n3,v,4\n5,u,6\n7,v,8\n").unwrap().schema;
    let stream =
        |text: &'static str| FeatureReader::from_reader(text.as_bytes(), "stream", &schema);
    let mut reader = stream("b,a\n2,1\n4,3\n6,5\n").unwrap();
    let mut chunk = RowChunk::default();
    assert!(reader.refill(&mut chunk, 2).unwrap());
    assert_eq!((chunk.x.as_slice(), chunk.records.len()), (&[1.0, 2.0, 3.0, 4.0][..], 2));
    assert!(reader.refill(&mut chunk, 2).unwrap());
    assert_eq!((chunk.x.as_slice(), chunk.lines.as_slice()), (&[5.0, 6.0][..], &[4][..]));
    assert_eq!((chunk.records.len(), chunk.records[0].get(0)), (1, Some("6")));
    assert!(!reader.refill(&mut chunk, 2).unwrap());
    assert_eq!(reader.bytes(), 16);
    let text = stream("b,a\n2,1\n4,x\n").unwrap().next_chunk(9).unwrap_err().to_string();
    assert!(text.starts_with("stream:3: column `a`: `x`"), "{text}");
    assert_eq!(
        stream("").unwrap_err().to_string(),
        "stream: the file is empty; a header line with the columns' names is needed"
    );
    // Very long rows come alone.
    let long = format!("b,a,note\n1,2,{0}\n3,4,{0}\n", "x".repeat(5 << 20));
    let mut reader = FeatureReader::from_reader(std::io::Cursor::new(long), "s", &schema).unwrap();
    assert_eq!(reader.next_chunk(9).unwrap().unwrap().lines, [2]);
    assert_eq!(reader.next_chunk(9).unwrap().unwrap().lines, [3]);
}

#[test]
fn several_targets_are_columns_in_the_order_asked_for() {
    let (_dir, path) = table("a,p,b,q\n1,10,2,0\n3,20,4,1\n5,30,6,1\n");
    let data = Dataset::from_csv(&path, auto("q, p")).unwrap();
    assert_eq!(data.schema().features, ["a", "b"]);
    assert_eq!((data.schema().target.as_str(), data.schema().targets()), ("q,p", vec!["q", "p"]));
    assert_eq!(data.y(), &Targets::Columns(vec![0.0, 10.0, 1.0, 20.0, 1.0, 30.0], 2));
    // Another table, its columns in another order.
    let (_dir, path) = table("p,x,q,b,a\n7,no,1,2,1\n");
    let like = Dataset::from_csv_like(&path, data.schema()).unwrap();
    assert_eq!(
        (like.x().to_vec(), like.y()),
        (vec![1.0, 2.0], &Targets::Columns(vec![1.0, 7.0], 2))
    );
    let (_dir, path) = table("p,b,a\n7,2,1\n");
    assert!(said(Dataset::from_csv_like(&path, data.schema())).contains("no column `q`"));
    let (_dir, path) = table("p,q\n7,2\n");
    assert!(said(Dataset::from_csv(&path, auto("p,q"))).contains("no column is left for features"));
    let (_dir, path) = table("a,p,q\n7,2,no\n");
    let said = said(Dataset::from_csv(&path, auto("p,q")));
    assert!(said.starts_with("t.csv:2: column `q`: `no` is not a number"), "{said}");
    assert!(said.ends_with("take yes or no in each column with ‘task’ labels"), "{said}");
}

#[test]
fn a_name_with_commas_is_one_column_first() {
    let (_dir, path) = table("a,\"a,b\",b\n1,2,3\n4,5,6\n");
    let data = Dataset::from_csv(&path, Target::Number("a,b".into())).unwrap();
    assert_eq!((data.schema().features.len(), data.y()), (2, &Targets::Numbers(vec![2.0, 5.0])));
}

#[test]
fn labels_are_two_texts_or_0_and_1() {
    let labels = |names: &str| Target::Labels(names.into());
    let (_dir, path) = table("a,up,hot,odd\n1,yes,0,x\n2,no,0,x\n3,yes,0.0,y\n");
    let data = Dataset::from_csv(&path, labels("up,hot,odd")).unwrap();
    let TargetKind::Labels(read) = &data.schema().kind else { panic!("no labels") };
    let values: Vec<[&str; 2]> =
        read.iter().map(|label| label.values.each_ref().map(|it| &**it)).collect();
    assert_eq!(values, [["no", "yes"], ["0", "1"], ["x", "y"]]);
    let Targets::Columns(y, 3) = data.y() else { panic!("{:?}", data.y()) };
    assert_eq!(*y, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    let (_dir, path) = table("odd,a,hot,up\ny,1,1.0,no\n");
    let like = Dataset::from_csv_like(&path, data.schema()).unwrap();
    assert_eq!(like.y(), &Targets::Columns(vec![0.0, 1.0, 1.0], 3));
    let (_dir, path) = table("odd,a,hot,up\ny,1,1,perhaps\n");
    let text = said(Dataset::from_csv_like(&path, data.schema()));
    assert!(text.starts_with("t.csv:2: column `up`: class `perhaps` did not occur"), "{text}");
    for (cells, want) in
        [("x\nx", "every row has the same text"), ("1\n2\n3", "3 different values, `1`, `2`, `3`")]
    {
        let rows: String = cells.lines().map(|cell| format!("1,{cell}\n")).collect();
        let (_dir, path) = table(format!("a,y\n{rows}"));
        let text = said(Dataset::from_csv(&path, labels("y")));
        assert!(text.contains(want) && text.contains("a label is one of two texts"), "{text}");
    }
}

#[test]
fn weights_are_a_column_of_their_own() {
    // The cells of a row of weight 0 are not read.
    let (_dir, path) = table("a,w,y\n1,2,0.5\nNA,0,?\n3,1,1.5\n");
    let data = Dataset::from_csv_weighted(&path, auto("y"), "w").unwrap();
    assert_eq!((data.schema().features.len(), data.weights()), (1, Some(&[2.0, 1.0][..])));
    assert_eq!((data.left_out(), data.x().to_vec()), (1, vec![1.0, 3.0]));
    assert_eq!(Dataset::from_csv_like(&path, data.schema()).unwrap(), data);
    let (_dir, path) = table("y,a\n1,2\n");
    let like = Dataset::from_csv_like(&path, data.schema()).unwrap();
    assert_eq!((like.weights(), like.rows()), (None, 1));
    let (_dir, path) = table("y,a,w\n1,2,0\n2,3,0\n");
    assert!(said(Dataset::from_csv_weighted(&path, auto("y"), "w")).contains("all weights are 0"));
    let (_dir, path) = table("y,a,w\n1,2,1\n2,3,NA\n");
    assert!(
        said(Dataset::from_csv_weighted(&path, auto("y"), "w")).starts_with("t.csv:3: column `w`")
    );
    let (_dir, path) = table("y,a,w\n1,2,True\n2,3,False\n");
    let want = "t.csv:2: column `w`: `True` is no weight, which is a number";
    assert!(said(Dataset::from_csv_weighted(&path, auto("y"), "w")).starts_with(want));
}

#[test]
fn a_whole_number_names_a_group_in_either_form() {
    let (_dir, path) =
        table("g,x,y\n1,1,2\n1.0,2,3\n-2.00,3,4\n-2,4,5\n01,5,6\n1.5,6,7\n1.0a,7,8\n1.,8,9\n");
    let options = TableOptions { group: Some("g".into()), ..TableOptions::default() };
    let read = Dataset::load(&path, &auto("y"), &options).unwrap();
    assert_eq!(read.columns.groups.as_deref(), Some(&[0, 0, 1, 1, 2, 3, 4, 5][..]));
}

/// Any finite f64, all exponents alike.
fn finite() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite())
}

proptest! {
    // Files are slow; the values inside are many.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn values_survive_a_table(
        rows in prop::collection::vec((finite(), finite(), "[ -~é\n]{0,6}"), 2..30), crlf: bool
    ) {
        let (dir, path) = table("");
        let terminator = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().terminator(terminator).from_path(&path).unwrap();
        writer.write_record(["a", "label", "y"]).unwrap();
        // A letter in front keeps labels from being empty or numbers; spaces at the ends are trimmed.
        let label = |i: usize, text: &str| format!("L{} {text}", i % 2).trim().to_owned();
        for (i, (a, y, text)) in rows.iter().enumerate() {
            writer.write_record([a.to_string(), label(i, text), format!("{y:e}")]).unwrap();
        }
        writer.flush().unwrap();
        let schema = Schema { features: vec!["y".into(), "a".into()], target: "a".into(), kind: TargetKind::Number, ..Schema::default() };
        let data = Dataset::from_csv_like(&path, &schema).unwrap();
        let want: Vec<u64> = rows.iter().flat_map(|r| [r.1.to_bits(), r.0.to_bits()]).collect();
        prop_assert_eq!(data.x().iter().map(|v| v.to_bits()).collect::<Vec<_>>(), want);

        let mut reader = FeatureReader::open(&path, &schema).unwrap();
        let chunk = reader.next_chunk(rows.len() + 1).unwrap().unwrap();
        for (i, (record, (_, _, text))) in chunk.records.iter().zip(&rows).enumerate() {
            prop_assert_eq!(record.get(1).unwrap(), label(i, text));
        }
        drop(dir);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[ay01\",\r\n.;-]{0,80}") {
        let _ = read(&bytes);
        let _ = read(format!("a,y\n{text}"));
        let _ = read(text);
    }
}

fn with(bytes: &str, options: &TableOptions) -> Result<Dataset> {
    let (_dir, path) = table(bytes);
    Dataset::from_csv_with(path, auto("y"), options)
}

fn encoding(data: &Dataset, column: usize) -> &ColumnEncoding {
    &data.schema().columns[column].encoding
}

#[test]
fn columns_are_left_out_or_chosen_by_name() {
    let text = "id,a,b,y\n7,1,2,3\n8,2,3,4\n9,4,5,6\n";
    let names = |options: &TableOptions| with(text, options).unwrap().schema().features.clone();
    let usual = TableOptions::default;
    assert_eq!(names(&TableOptions { ignore: vec!["id".into()], ..usual() }), ["a", "b"]);
    assert_eq!(names(&TableOptions { features: Some(vec!["b".into()]), ..usual() }), ["b"]);
    let rules = vec![("a".to_string(), ColumnRule::Ignore)];
    assert_eq!(names(&TableOptions { columns: rules, ..usual() }), ["id", "b"]);
    let refused =
        |ignore: &str| with(text, &TableOptions { ignore: vec![ignore.into()], ..usual() });
    let said = refused("ida").unwrap_err().to_string();
    assert_eq!(said, "ignore: there is no column `ida`; the table has `id`, `a`, `b`, `y`");
    assert!(refused("y").unwrap_err().to_string().contains("`y` is target or weight"));
}

#[test]
fn texts_gaps_and_dates_become_inputs() {
    let text = "age,port,sex,when,y\n20,C,m,2020-01-01,1.5\n,S,f,2020-01-03,2.5\n40,,m,2020-01-02,3.5\n30,C,f,2020-02-01,4\n";
    let data = read(text).unwrap();
    assert!(!data.is_encoded());
    let data = data.encoded().unwrap();
    let features = &data.schema().features;
    assert_eq!(
        features[..6],
        ["age", "age is missing", "port=C", "port=S", "port is missing", "sex=m"]
    );
    // All dates are of one year, in which the day of the year says what the days say.
    assert_eq!(features[6..], ["when weekday", "when days"]);
    // The median of 20, 40 and 30 stands in for the gap.
    assert_eq!(data.row(0).to_vec()[..6], [20.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(data.row(1).to_vec()[..6], [30.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(data.row(2).to_vec()[..6], [40.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    assert_eq!(data.row(3).to_vec()[6], 5.0);
    assert_eq!(data.row(1).at(7) - data.row(0).at(7), 2.0);
    // The schema survives its text, and other tables are read by it.
    let schema: Schema =
        serde_json::from_str(&serde_json::to_string(data.schema()).unwrap()).unwrap();
    assert_eq!(&schema, data.schema());
    let (_dir, path) = table(text);
    let again = Dataset::from_csv_like(&path, &schema).unwrap();
    assert_eq!(again.x(), data.x());
    assert!(again.odd_cells().is_empty());
    #[cfg(feature = "cli")]
    assert_eq!(schema.cells_of(&data.row(2).to_vec()), ["40", "", "m", "2020-01-02"]);
}

#[test]
fn cells_that_training_had_not_the_like_of_are_known() {
    let data = read("age,port,y\n20,C,1.5\n21,S,2.5\n25,Q,3.5\n30,C,4\n").unwrap();
    let schema = data.encoded().unwrap().schema;
    let (_dir, path) = table("port,age\nX,3\n,4\nC,NA\nS,?\n");
    let chunk = FeatureReader::open(path, &schema).unwrap().next_chunk(9).unwrap().unwrap();
    assert_eq!(chunk.x[..8], [3.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0]);
    assert!(chunk.x[8].is_nan() && chunk.x[12].is_nan());
    assert_eq!(chunk.x[9..12], [1.0, 0.0, 0.0]);
    let odd =
        |row, column, text: Option<&str>| OddCell { row, column, text: text.map(String::from) };
    assert_eq!(
        chunk.odd,
        [odd(0, 1, Some("X")), odd(1, 1, None), odd(2, 0, None), odd(3, 0, None)]
    );
    let mut oddities = Oddities::default();
    oddities.add(&chunk.odd, &chunk.lines);
    assert_eq!(
        oddities.told(&schema),
        [
            "2 gaps in `age` (lines 4, 5), which had none in training: the mean of the training rows stands in",
            "1 gap in `port` (line 3), which had none in training: they count as none of the known texts",
            "1 cell of `port` with texts that did not occur in training, such as `X`: they count as none of the known texts",
        ]
    );
}

#[test]
fn the_training_rows_alone_decide_what_columns_become() {
    // The only gap and the only `rare` are in rows that may be held out.
    let rows: String =
        (0..40).map(|i| format!("{i},{},{}\n", ["p", "q", "r"][i % 3], i % 7)).collect();
    let read = |text: String| {
        let (_dir, path) = table(text);
        Dataset::from_csv(path, Target::number("y")).unwrap()
    };
    let train = read(format!("a,b,y\n{rows}"));
    let valid = read("a,b,y\n,p,1\n3,rare,2\n5,q,3\n".into());
    let split = Split::with_valid(train, valid).unwrap();
    let valid = split.valid.unwrap();
    assert_eq!(split.train.schema().features, ["a", "b=p", "b=q", "b=r"]);
    // The mean of the training rows.
    assert_eq!(valid.x().to_vec()[..8], [19.5, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]);
    assert_eq!(valid.odd_cells().len(), 2);
    // Many texts are rows of a table, which is as wide as their number says.
    let rows: String = (0..60).map(|i| format!("v{:02},{}\n", i % 20, i % 7)).collect();
    let data = read(format!("c,y\n{rows}")).split(0.2, Seed(1)).unwrap().train;
    let ColumnEncoding::Embedding { values, dimension, gaps: false, .. } = encoding(&data, 0)
    else {
        panic!("{:?}", encoding(&data, 0))
    };
    assert!(
        values.len() > 16
            && *dimension == (1.6 * (values.len() as f64).powf(0.56)).round() as usize
    );
    assert!(data.x().iter().all(|v| v >= 1.0 && v <= values.len() as f64));
}

#[test]
fn gaps_are_filled_refused_or_dropped_as_asked() {
    let text = "a,b,y\n1,5,1\n2,5,2\n9,,3\n-1,6,4\n?,7,5\n";
    let fill = |gaps: GapRule| {
        let data = with(text, &TableOptions { gaps, ..TableOptions::default() });
        data.and_then(Dataset::encoded).map(|data| data.row(data.rows() - 1).at(0))
    };
    assert_eq!(fill(GapRule::Median).unwrap(), 1.5);
    assert_eq!(fill(GapRule::Mean).unwrap(), 2.75);
    assert_eq!(fill(GapRule::Zero).unwrap(), 0.0);
    assert!(said(fill(GapRule::Error)).starts_with("t.csv:4: column `b`: the cell is empty"));
    let dropped =
        with(text, &TableOptions { gaps: GapRule::Drop, ..TableOptions::default() }).unwrap();
    assert_eq!((dropped.rows(), dropped.is_encoded()), (3, true));
    assert_eq!(
        dropped.notes(),
        ["1 cell of `a` with `?` is taken for gaps", "2 rows have a gap in a feature: left out"]
    );
    // Weights count in the median as rows would.
    let options = TableOptions { weight: Some("w".into()), ..TableOptions::default() };
    let data = with("a,w,y\n1,1,1\n2,5,2\n,1,3\n8,1,4\n9,1,5\n", &options).unwrap();
    assert_eq!(data.encoded().unwrap().row(2).at(0), 2.0);
    // Marks of the user's, which may look like numbers, are stored.
    let options = TableOptions { missing: Some(vec!["-1".into()]), ..TableOptions::default() };
    let data = with("a,y\n1,1\n-1,2\n3,-1\n4,4\n", &options).unwrap().encoded().unwrap();
    assert_eq!(data.x().to_vec(), [1.0, 0.0, 2.5, 1.0, 4.0, 0.0]);
    assert_eq!(data.schema().missing.as_deref(), Some(&["-1".to_string()][..]));
}

#[test]
fn rows_without_a_target_are_left_out_and_classes_may_be_called_none() {
    let data = read("a,y\n1,2.5\n2,\n3,NA\n4,?\n5,3.5\n").unwrap();
    assert_eq!((data.rows(), data.y()), (2, &Targets::Numbers(vec![2.5, 3.5])));
    assert_eq!(data.notes(), ["3 rows have no value of the target `y`: left out"]);
    let data = read("a,y\n1,None\n2,mild\n3,None\n4,\n5,mild\n6,mild\n").unwrap();
    let TargetKind::Classes(classes) = &data.schema().kind else { panic!("numbers") };
    assert_eq!((classes.len(), data.rows()), (2, 5));
    // Of several targets one gap is enough, and a class whose rows all go is none.
    let (_dir, path) = table("a,y,z\n1,2,3\n2,,4\n3,4,nan\n4,5,6\n");
    let data = Dataset::from_csv(&path, auto("y,z")).unwrap();
    assert_eq!(data.y(), &Targets::Columns(vec![2.0, 3.0, 5.0, 6.0], 2));
    let mut reader = PartReader::open(&path, data.schema()).unwrap();
    assert_eq!(reader.next_part(9).unwrap().unwrap().lines, [2, 5]);
    assert_eq!(reader.without_target(), 2);
    // Classes that are numbers have marks of gaps, too.
    let (_dir, path) = table("a,y\n1,0\n2,1\n3,NA\n4,0\n5,1\n6,1\n7,0\n");
    let data = Dataset::from_csv(&path, auto("y")).unwrap();
    assert_eq!((data.classes(), data.rows()), (2, 6));
    assert_eq!(Dataset::from_csv_like(&path, data.schema()).unwrap().y(), data.y());
}

#[test]
fn tables_of_numbers_alone_are_as_they_were() {
    let data = read("a,b,y\n1,2,3.5\n3,4,5.5\n").unwrap();
    assert!(data.is_encoded() && data.notes().is_empty());
    let split = Split { train: data.split(0.0, Seed(0)).unwrap().train, valid: None };
    let fit = crate::data::Preprocessing::fit(&split.train, crate::data::FeatureScaling::Standard);
    // The text in the files of models, to the letter.
    assert_eq!(
        serde_json::to_string(&fit).unwrap(),
        r#"{"schema":{"features":["a","b"],"target":"y","kind":"number"},"scale":"standard","mean":[2.0,3.0],"std":[1.0,1.0],"target_mean":4.5,"target_std":1.0}"#
    );
}
