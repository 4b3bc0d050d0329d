//! Parquet files of one column `y` with three rows, made byte by byte: they may state any size.

/// Types of Thrift's fields.
const WHOLE: u8 = 5;
const LONG: u8 = 6;
const TEXT: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A struct in Thrift's compact form.
#[derive(Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    last: u8,
}

impl Fields {
    fn begin(&mut self, number: u8, kind: u8) {
        self.bytes.push((number - self.last) << 4 | kind);
        self.last = number;
    }

    fn number(mut self, number: u8, kind: u8, value: i64) -> Self {
        self.begin(number, kind);
        self.bytes.extend(unsigned(((value << 1) ^ (value >> 63)).cast_unsigned()));
        self
    }

    pub(crate) fn whole(self, number: u8, value: i32) -> Self {
        self.number(number, WHOLE, value.into())
    }

    fn long(self, number: u8, value: usize) -> Self {
        self.number(number, LONG, value as i64)
    }

    pub(crate) fn text(mut self, number: u8, text: &str) -> Self {
        self.begin(number, TEXT);
        self.bytes.extend(unsigned(text.len() as u64));
        self.bytes.extend(text.as_bytes());
        self
    }

    fn list(mut self, number: u8, kind: u8, elements: &[Vec<u8>]) -> Self {
        self.begin(number, LIST);
        self.bytes.push(0xf0 | kind);
        self.bytes.extend(unsigned(elements.len() as u64));
        self.bytes.extend(elements.concat());
        self
    }

    pub(crate) fn part(mut self, number: u8, fields: Self) -> Self {
        self.begin(number, STRUCT);
        self.bytes.extend(fields.end());
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

pub(crate) fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Parquet's numbers for types, compressions and encodings.
pub(crate) const INT32: i32 = 1;
pub(crate) const INT64: i32 = 2;
pub(crate) const BYTES: i32 = 6;
pub(crate) const PLAIN: i32 = 0;

/// A page of data without levels that states a size after decompression.
pub(crate) fn data(body: &[u8], plain: i32, values: i32, encoding: i32) -> Vec<u8> {
    let about = Fields::default().whole(1, values).whole(2, encoding).whole(3, 3).whole(4, 3);
    let header = Fields::default().whole(1, 0).whole(2, plain).whole(3, body.len() as i32);
    [&header.part(5, about).end(), body].concat()
}

/// A page with a dictionary that states a number of values.
pub(crate) fn dictionary(body: &[u8], values: i32) -> Vec<u8> {
    let length = body.len() as i32;
    let header = Fields::default().whole(1, 2).whole(2, length).whole(3, length);
    let about = Fields::default().whole(1, values).whole(2, PLAIN);
    [&header.part(7, about).end(), body].concat()
}

/// A group of columns, as the description of a file has it.
pub(crate) fn group(name: &str, columns: i32) -> Vec<u8> {
    Fields::default().whole(3, 0).text(4, name).whole(5, columns).end()
}

/// A column without gaps, of texts if it has bytes.
pub(crate) fn column(kind: i32) -> Vec<u8> {
    let column = Fields::default().whole(1, kind).whole(3, 0).text(4, "y");
    if kind == BYTES { column.whole(6, 0).end() } else { column.end() }
}

/// A group with the one column alone.
pub(crate) fn flat(kind: i32) -> [Vec<u8>; 2] {
    [group("rows", 1), column(kind)]
}

/// A file with these groups and columns; the only column has these pages, a dictionary first if it says so.
pub(crate) fn file(
    groups: &[Vec<u8>],
    (kind, codec): (i32, i32),
    pages: &[u8],
    has_dictionary: bool,
) -> Vec<u8> {
    let path = [unsigned(1), b"y".to_vec()].concat();
    let mut about = Fields::default()
        .whole(1, kind)
        .list(2, WHOLE, &[vec![0]])
        .list(3, TEXT, &[path])
        .whole(4, codec)
        .long(5, 3)
        .long(6, pages.len())
        .long(7, pages.len())
        .long(9, 4);
    if has_dictionary {
        about = about.long(11, 4);
    }
    let chunk = Fields::default().long(2, 4).part(3, about).end();
    let rows = Fields::default().list(1, STRUCT, &[chunk]).long(2, pages.len()).long(3, 3);
    let end = Fields::default()
        .whole(1, 1)
        .list(2, STRUCT, groups)
        .long(3, 3)
        .list(4, STRUCT, &[rows.end()])
        .end();
    let length = (end.len() as u32).to_le_bytes();
    [b"PAR1", pages, &end, &length, b"PAR1"].concat()
}
