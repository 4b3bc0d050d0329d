//! Excel workbooks as tables: whole archives, and the files within one, whose checksums are right.

use super::{allowance, check_again, with_file};
use crate::memory::within;
use flate2::Crc;
use wgrad::data::{ScalingRules, TableOptions, column_names, inspect_with};
use wgrad::{Dataset, Target};

/// Bytes that a workbook takes beside what its length asks for: names of 16,384 columns, and buffers of its files.
const FIXED: usize = 16 << 20;
/// Files of a workbook, in the order in which an input has them.
const FILES: [&str; 5] = [
    "xl/sheet.xml",
    "xl/sharedStrings.xml",
    "xl/styles.xml",
    "xl/workbook.xml",
    "xl/_rels/workbook.xml.rels",
];
/// List of sheets that a workbook has where an input has none.
const SHEETS: &[u8] =
    br#"<workbook><workbookPr/><sheets><sheet name="s" r:id="a"/><sheet name="t" r:id="b"/></sheets></workbook>"#;
/// Names of the sheets' files that a workbook has where an input has none.
const PLACES: &[u8] =
    br#"<Relationships><Relationship Id="a" Type="/worksheet" Target="sheet.xml"/><Relationship Id="b" Type="/worksheet" Target="/xl/sheet.xml"/></Relationships>"#;

/// The first byte says whether the rest is an archive or files with a zero byte between them, and how the table is read.
pub fn xlsx(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let is_archive = how & 1 != 0;
    let file = if is_archive { rest.to_vec() } else { workbook(rest) };
    let allowed = if is_archive { allowance(&file) } else { FIXED + allowance(rest) };
    let column = ["y", "a"][usize::from(how >> 1) % 2].to_string();
    let target = match how & 12 {
        0 => Target::Number(column),
        4 => Target::Class(column),
        _ => Target::Auto(column),
    };
    let mut options = TableOptions::default();
    options.format.sheet = (how & 16 != 0).then(|| "t".to_string());
    options.format.header = match how & 96 {
        32 => Some(true),
        64 => Some(false),
        _ => None,
    };
    with_file("xlsx", &file, |path| {
        within(allowed, || {
            let _ = column_names(path);
        });
        let _ = within(2 * allowed, || inspect_with(path, &options, &ScalingRules::default()));
        let read = within(2 * allowed, || Dataset::load(path, &target, &options));
        let Ok(read) = read.and_then(|read| read.data.encoded()) else { return };
        check_again(path, &read, &options);
    });
}

/// Returns a workbook with these files; those that are not given are usual ones.
fn workbook(data: &[u8]) -> Vec<u8> {
    let mut given = data.split(|&byte| byte == 0);
    let files = FILES.map(|name| {
        let bytes = given.next().unwrap_or_default();
        match name {
            "xl/sheet.xml" => {
                [&b"<worksheet><sheetData>"[..], bytes, b"</sheetData></worksheet>"].concat()
            }
            "xl/workbook.xml" if bytes.is_empty() => SHEETS.to_vec(),
            "xl/_rels/workbook.xml.rels" if bytes.is_empty() => PLACES.to_vec(),
            "xl/sharedStrings.xml" => [&b"<sst>"[..], bytes, b"</sst>"].concat(),
            _ if bytes.is_empty() => b"<styleSheet/>".to_vec(),
            _ => bytes.to_vec(),
        }
    });
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in FILES.iter().zip(&files) {
        let mut crc = Crc::new();
        crc.update(bytes);
        let size = (bytes.len() as u32).to_le_bytes();
        let length = (name.len() as u16).to_le_bytes();
        // Neither compressed nor with a time.
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &crc.sum().to_le_bytes()[..],
            &size,
            &size,
            &length,
            &[0; 2],
        ]
        .concat();
        directory.extend([&b"PK\x01\x02\x14\0"[..], &common, &[0; 10]].concat());
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        archive.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), bytes].concat());
    }
    let count = [FILES.len() as u8, 0];
    let place = [directory.len(), archive.len()].map(|it| (it as u32).to_le_bytes()).concat();
    let end = [&b"PK\x05\x06"[..], &[0; 4], &count, &count, &place, &[0; 2]].concat();
    [archive, directory, end].concat()
}
