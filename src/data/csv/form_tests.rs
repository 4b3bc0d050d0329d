//! Tests of the forms in which tables come: compression, delimiters, headers, empty columns, marks in numbers, columns to split
//! by.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::data::split::RowPart;
use crate::data::targets::Targets;

/// Reads a table whose target is `y`, or `c3` if the first line has no `y`.
fn load(text: impl AsRef<[u8]>, options: &TableOptions) -> Result<LoadedTable> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t.csv");
    fs::write(&path, text.as_ref()).unwrap();
    Dataset::load(&path, &Target::Auto("y".into()), options)
}

fn read(text: impl AsRef<[u8]>) -> LoadedTable {
    load(text, &TableOptions::default()).unwrap()
}

fn said(text: impl AsRef<[u8]>) -> String {
    let error = load(text, &TableOptions::default()).expect_err("must be refused").to_string();
    error[error.find("t.csv").unwrap_or(0)..].to_string()
}

/// Features and target of a table whose target is a number.
fn values(table: &LoadedTable) -> (Vec<f64>, Vec<f64>) {
    let Targets::Numbers(y) = table.data.y() else { panic!("{:?}", table.data.y()) };
    (table.data.x().to_vec(), y.clone())
}

const PLAIN: &str = "a,b,y\n1.5,2,0.25\n-3,4.5,1.75\n5,6,2.5\n";

#[test]
fn tables_of_one_content_are_read_alike_in_all_forms() {
    let plain = read(PLAIN);
    assert_eq!((plain.notes.len(), plain.data.rows()), (0, 3));
    let european = PLAIN.replace(',', ";").replace('.', ",");
    let quoted = PLAIN.replace("-3", "\"-3\"");
    for (text, notes) in [
        (PLAIN.replace(',', ";"), "a semicolon between cells"),
        (PLAIN.replace(',', "\t"), "a tab between cells"),
        (PLAIN.replace(',', "|"), "a vertical bar between cells"),
        (european.clone(), "a semicolon between cells; decimals with a comma"),
        (
            format!("\u{feff}sep=;\r\n{european}"),
            "a first line that names a semicolon between cells; decimals with a comma",
        ),
        (format!("SEP=,\n{PLAIN}"), "a first line that names a comma between cells"),
        (format!("\u{feff}{PLAIN}"), ""),
        (PLAIN.replace('\n', ",,\n"), "empty columns without a name at the end, left out"),
        (
            PLAIN.replace('\n', ";\n").replace(',', ";"),
            "a semicolon between cells; an empty column without a name at the end, left out",
        ),
        (
            "a,b,y\nr1,1.5,2,0.25\nr2,-3,4.5,1.75\nr3,5,6,2.5\n".into(),
            "the header lacks a name for the first column, which is left out",
        ),
        (quoted.replace(',', ";"), "a semicolon between cells"),
        (quoted, ""),
    ] {
        let table = read(&text);
        assert_eq!(values(&table), values(&plain), "{text}");
        assert_eq!(table.notes.join("; "), notes, "{text}");
        let comma = notes.contains("with a comma");
        let want = Schema { has_decimal_comma: comma, ..plain.data.schema().clone() };
        assert_eq!(table.data.schema(), &want, "{text}");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        assert_eq!(values(&read(encoder.finish().unwrap())), values(&plain), "{text}");
    }
}

#[test]
fn lines_are_counted_in_all_forms() {
    let ragged = "a;b;y\n1;2;3\n1;2\n".to_string() + &"1;2;3\n".repeat(20);
    for (text, want) in [
        ("sep=;\na;y\n1;2\nu;3\n", "t.csv:4: column `a`"),
        ("a\ty\r\n1\t2\r\n\r\nu\t3\r\n", "t.csv:4: column `a`"),
        ("a;y\n1,5;2\n1.5;3\n", "t.csv:2: column `a`: `1,5` is not a number"),
        ("a,y,\n1,2,\n3,4,5\n", "t.csv: the header ends in a comma"),
        (&ragged, "t.csv:3: 2 columns, but the header has 3"),
    ] {
        let said = said(text);
        assert!(said.starts_with(want), "{said}");
    }
    // Behind the rows by which the form was found, all rows still have to be of it.
    let late = "a;y\n1,5;2\n".to_string() + &"1,5;2\n".repeat(20_000) + "1.5;2\n";
    assert!(said(late).starts_with("t.csv:20003: column `a`: `1.5` has a point"));
    let filled = "a,y,\n".to_string() + &"1,2,\n".repeat(600_000) + "3,4,5\n";
    let said = said(filled);
    assert!(said.starts_with("t.csv:600002: `5` stands in a column without a name"), "{said}");
}

#[test]
fn a_first_line_of_data_is_no_header_unless_it_has_the_columns() {
    let rows = "1.5,2,u\n2.5,3,v\n3.5,4,u\n4.5,5,v\n";
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t.csv");
    fs::write(&path, rows).unwrap();
    let load = |target: &str, header| {
        let format = TableFormat { header, ..TableFormat::default() };
        let options = TableOptions { format, ..TableOptions::default() };
        Dataset::load(&path, &Target::Class(target.into()), &options)
    };
    let table = load("c3", None).unwrap();
    assert_eq!(table.data.schema().features, ["c1", "c2"]);
    assert_eq!(table.data.x().to_vec(), [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]);
    assert_eq!(table.notes, ["the first line looks like data: columns are named `c1` to `c3`"]);
    // A name in the first line, or the user, says that it is a header.
    assert_eq!(load("u", None).unwrap().data.rows(), 3);
    assert!(load("c3", Some(true)).unwrap_err().to_string().contains("no column `c3`"));
    let said = load("kind", None).unwrap_err().to_string();
    assert!(said.contains("taken for data") && said.contains("‘header’ yes"), "{said}");
    assert_eq!(load("c3", Some(false)).unwrap().data.rows(), 4);
    // Names above numbers are a header, also where a column is missing.
    fs::write(&path, "a,b\n1,2\n3,4\n").unwrap();
    assert!(load("c1", None).unwrap_err().to_string().contains("has `a`, `b`"));
    assert_eq!(load("c1", Some(false)).unwrap_err().to_string().matches("column `c2`").count(), 1);
}

#[test]
fn columns_of_a_table_without_names_are_those_of_the_model() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t.csv");
    fs::write(&path, "u,1.5,2\nv,2.5,3\nu,3.5,4\n").unwrap();
    let table = Dataset::from_csv(&path, Target::Class("c1".into())).unwrap();
    let rows = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut reader = FeatureReader::open(&path, table.schema())?;
        let chunk = reader.next_chunk(9)?.unwrap();
        Ok::<_, Error>((chunk.x, chunk.records[0].len(), reader.has_header()))
    };
    assert_eq!(rows("u,1,2\nv,3,4\n").unwrap(), (vec![1.0, 2.0, 3.0, 4.0], 3, false));
    // Without the target the columns are the features alone, and not those of the same places.
    assert_eq!(rows("1,2\n3,4\n").unwrap(), (vec![1.0, 2.0, 3.0, 4.0], 2, false));
    assert_eq!(rows("c3,c2\n2,1\n").unwrap(), (vec![1.0, 2.0], 2, true));
    assert!(rows("1\n2\n").unwrap_err().to_string().contains("no columns `c2`, `c3`"));
}

#[test]
fn records_of_predictions_are_as_in_the_file() {
    let table = read(PLAIN);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t.csv");
    fs::write(&path, "b;note;a;\n1.000,5;x, y;2;\n3;\"z;\";1,5;\n").unwrap();
    let mut reader = FeatureReader::open(&path, table.data.schema()).unwrap();
    let chunk = reader.next_chunk(9).unwrap().unwrap();
    assert_eq!(chunk.x, [2.0, 1000.5, 1.5, 3.0]);
    assert_eq!(chunk.records[0], vec!["1.000,5", "x, y", "2", ""]);
    assert_eq!(chunk.records[1], vec!["3", "z;", "1,5", ""]);
    assert_eq!((reader.delimiter(), reader.decimal()), (';', DecimalMark::Comma));
    assert_eq!(reader.headers().len(), 4);
    // One cell more in each row than names: new columns must not come under the wrong ones.
    fs::write(&path, "a,b\n1,2,\n3,4,\n").unwrap();
    assert_eq!(FeatureReader::open(&path, table.data.schema()).unwrap().headers().len(), 3);
    fs::write(&path, "a,b\nr,1,2\ns,3,4\n").unwrap();
    let mut reader = FeatureReader::open(&path, table.data.schema()).unwrap();
    assert_eq!(reader.headers().len(), 2);
    let chunk = reader.next_chunk(9).unwrap().unwrap();
    assert_eq!((chunk.x, chunk.records[0].len()), (vec![1.0, 2.0, 3.0, 4.0], 3));
}

#[test]
fn unclear_numbers_are_refused_until_someone_says_what_they_are() {
    let text = "a;y\n1,234;1\n5,678;2\n";
    assert!(said(text).contains("‘decimal’ point or ‘decimal’ comma"));
    let with = |decimal| {
        let format = TableFormat { decimal: Some(decimal), ..TableFormat::default() };
        values(&load(text, &TableOptions { format, ..TableOptions::default() }).unwrap()).0
    };
    assert_eq!(with(DecimalMark::Comma), [1.234, 5.678]);
    assert_eq!(with(DecimalMark::Point), [1234.0, 5678.0]);
    // Between commas, marks of thousands are the usual ones.
    let table = read("a,y\n\"1,234\",1\n\"12,345,678\",2.5\n0.5,3\n");
    assert_eq!(values(&table).0, [1234.0, 12_345_678.0, 0.5]);
    assert_eq!(table.notes, ["commas between thousands in `a`"]);
    assert!(said("a,y\n\"1,234\",1\n\"1,5\",2\n").contains("is not a number"));
    assert!(said("a,y\n\"1,234\",1\n2345,2\n").contains("without separators"));
    // Texts with commas stay classes.
    let table = read("a,y\n1,\"1,234\"\n2,\"1,5\"\n3,\"1,234\"\n4,\"1,5\"\n");
    assert_eq!(table.data.classes(), 2);
}

#[test]
fn bad_cells_of_one_kind_are_counted() {
    let table = |bad: &[usize]| -> String {
        let cell = |row| if bad.contains(&row) { "red".into() } else { row.to_string() };
        let rows = (0..80).map(|row| format!("{},{row},{row}\n", cell(row)));
        std::iter::once("a,b,y\n".to_string()).chain(rows).collect()
    };
    let text = said(table(&[5, 17, 29, 41, 53, 65, 77]));
    assert!(text.starts_with("t.csv:7: column `a`: `red` is not a number, but 73 of 80"), "{text}");
    assert!(text.ends_with("; the same in lines 19, 31, 43, 55 and 2 more"), "{text}");
    let text = said(table(&[5, 17]));
    assert!(text.ends_with("as texts; the same in line 19"), "{text}");
    assert!(said(table(&[5])).ends_with("as texts"));
    // Behind a row that cannot be read nothing is counted, and a repeated header is one mistake.
    assert!(said(table(&[5]).replace("7,7,7\n", "7,7,7,7\n")).starts_with("t.csv:9: 4 columns"));
    assert_eq!(said("a,b,y\n1,2,x\na,b,y\n,2,x\n").matches("repeats the header").count(), 1);
}

#[test]
fn an_index_as_pandas_writes_it_is_no_feature() {
    let table = read(",x,y\n0,1.5,2\n1,2.5,3\n2,3,4\n3,1,2\n");
    assert_eq!(table.data.schema().features, ["x"]);
    assert_eq!(table.data.x().to_vec(), [1.5, 2.5, 3.0, 1.0]);
    assert!(
        table.notes.join(";").contains("the first column, which is left out"),
        "{:?}",
        table.notes
    );
    // Cells that repeat are no index.
    assert!(said(",x,y\n0,1.5,2\n0,2.5,3\n2,3,4\n").contains("column 1 has no name"));
}

#[test]
fn columns_to_split_by_are_no_features() {
    let text = "a,who,part,y\n1,p,train,1\n2,q,valid,2\n3,p,test,3.5\n";
    let name = |name: &str| Some(name.to_string());
    let options =
        TableOptions { group: name("who"), split_column: name("part"), ..TableOptions::default() };
    let table = load(text, &options).unwrap();
    assert_eq!(table.data.schema().features, ["a"]);
    assert_eq!(table.columns.groups, Some(vec![0, 1, 0]));
    let parts = vec![RowPart::Train, RowPart::Valid, RowPart::Test];
    assert_eq!(table.columns.parts, Some(parts));
    let refused = |group: &str, part: &str, text: &str| {
        let options = TableOptions {
            group: name(group),
            split_column: name(part),
            ..TableOptions::default()
        };
        load(text, &options).unwrap_err().to_string()
    };
    assert!(refused("why", "part", text).contains("no column `why`"));
    assert!(refused("y", "part", text).contains("cannot be both"));
    assert!(refused("who", "part", &text.replace("test", "rest")).contains("`rest` is no part"));
    assert!(refused("who", "part", &text.replace("3,p", "3,")).contains("row's group"));
}

proptest! {
    #[test]
    fn tables_between_commas_are_read_as_ever(
        cells in prop::collection::vec(("[0-9]{1,3}(\\.[0-9])?", "[a-z0-9;|\t.]{1,4}"), 1..20),
        names in "[a-z0-9;|]{1,3}",
    ) {
        let mut text = format!("x{names},y\n");
        for (number, class) in cells {
            text += &format!("{number},{class}\n");
        }
        let format = TableFormat {
            delimiter: Some(','), header: Some(true), ..TableFormat::default()
        };
        let stated = load(&text, &TableOptions { format, ..TableOptions::default() });
        let found = load(&text, &TableOptions::default());
        match (stated, found) {
            (Ok(stated), Ok(found)) => prop_assert_eq!(stated.data.x(), found.data.x()),
            (stated, found) => prop_assert_eq!(stated.is_err(), found.is_err(), "{}", text),
        }
    }
}

#[test]
fn texts_beside_numbers_with_a_decimal_comma_stay_as_they_are() {
    let rows: String = (0..12).map(|i| format!("{};{i}\n", ["2,5", "1$5", "x"][i % 3])).collect();
    let table = read(format!("a;y\n{rows}"));
    let data = table.data.encoded().unwrap();
    let [column] = data.schema().columns.as_slice() else { panic!("{:?}", data.schema()) };
    assert_eq!(column.encoding.values(), ["1$5", "2,5", "x"]);
    assert_eq!(data.row(0).to_vec(), [0.0, 1.0, 0.0]);
    // The same table to predict has the same inputs.
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t.csv");
    fs::write(&path, format!("a;y\n{rows}")).unwrap();
    let again = Dataset::from_csv_like(&path, data.schema()).unwrap();
    assert_eq!(again.x(), data.x());
    assert!(again.odd_cells().is_empty());
}

#[test]
fn points_that_may_stand_between_thousands_are_told_or_refused() {
    let text = "price;n;y\n900;1;0\n1.004;2;1\n998;1;0\n1.017;3;1\n";
    let table = read(text);
    assert_eq!(table.data.row(1).at(0), 1.004);
    let note = "1.234 is 1 and a part in `price`; if its points stand between thousands, give ‘decimal’ comma";
    assert!(table.notes.iter().any(|it| it == note), "{:?}", table.notes);
    let clear = read(text.replace(";3;1", ";0.5;1"));
    assert!(!clear.notes.iter().any(|it| it.contains("thousands")), "{:?}", clear.notes);
    // A model of decimal commas does not take 1.500 for 1 and a half.
    let commas = read("price;n;y\n1.000,00;1;0\n1.250,50;2;1\n");
    assert!(commas.data.schema().has_decimal_comma);
    assert!(!table.data.schema().has_decimal_comma);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t.csv");
    let first = |text: &str, format: &TableFormat| {
        fs::write(&path, text).unwrap();
        let mut reader = FeatureReader::open_as(&path, commas.data.schema(), format)?;
        Ok::<_, Error>(reader.next_chunk(9)?.unwrap().x[0])
    };
    let found = TableFormat::default();
    let said = first("price;n\n1.500;2\n", &found).unwrap_err().to_string();
    assert!(said.contains("‘decimal’ point or ‘decimal’ comma"), "{said}");
    for (decimal, want) in [(DecimalMark::Comma, 1500.0), (DecimalMark::Point, 1.5)] {
        let stated = TableFormat { decimal: Some(decimal), ..TableFormat::default() };
        assert_eq!(first("price;n\n1.500;2\n", &stated).unwrap(), want);
    }
    let said = first("price;n\n1.500;2,5\n", &found).unwrap_err().to_string();
    assert!(said.contains("has a point"), "{said}");
    assert_eq!(first("price;n\n1.5;2\n", &found).unwrap(), 1.5);
    assert_eq!(first("price;n\n1500;2\n", &found).unwrap(), 1500.0);
    assert_eq!(first("price;n\n1.500,0;2\n", &found).unwrap(), 1500.0);
}
