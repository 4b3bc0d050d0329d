//! Arrays of numbers as tables: NPY and NPZ files of NumPy, and IDX files such as those of MNIST.
//!
//! In: bytes. Out: the text of a table between commas, with a header, and a row for each index of the first axis; all further
//! axes are columns.
//! Absent on purpose: arrays of text and of records, complex numbers.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::archive::entries;
use super::byte_stream::ByteStream;
use super::cell::shown;
use super::csv::bytes::MOST_CELLS;
use crate::shape::count;

/// Bytes of text that are made at once.
const PIECE: usize = 1 << 15;
/// Largest number of bytes of arrays in Fortran's order: the first row ends at the end of such an array, so that all of it is in memory.
const LARGEST_BY_COLUMNS: u64 = 1 << 30;
/// Largest number of bytes of an NPY header.
const LONGEST_HEADER: usize = 1 << 16;
const NPY: &[u8] = b"\x93NUMPY";

/// Type of an array's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ElementType {
    Bool,
    Unsigned(usize),
    Signed(usize),
    Float(usize),
}

impl ElementType {
    /// Number of bytes.
    fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Unsigned(size) | Self::Signed(size) | Self::Float(size) => size,
        }
    }

    /// Appends the number that stands in bytes, lowest first, as it is read again without loss.
    fn push(self, text: &mut Vec<u8>, bytes: [u8; 8]) {
        let word = u64::from_le_bytes(bytes);
        // Appending to memory cannot fail.
        let _ = match self {
            Self::Bool => write!(text, "{}", u8::from(word != 0)),
            Self::Unsigned(_) => write!(text, "{word}"),
            Self::Signed(size) => {
                let unused = 64 - 8 * size as u32;
                write!(text, "{}", (word << unused).cast_signed() >> unused)
            }
            Self::Float(2) => write!(text, "{:?}", half(word as u16)),
            Self::Float(4) => write!(text, "{:?}", f64::from(f32::from_bits(word as u32))),
            Self::Float(_) => write!(text, "{:?}", f64::from_bits(word)),
        };
    }
}

/// Returns the value of a number in half precision.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

/// Shape and numbers of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ArrayLayout {
    number: ElementType,
    /// True if the highest byte of a number stands first.
    big_endian: bool,
    shape: Vec<u64>,
    /// True if the first index changes from each number to the next, as in Fortran's order.
    by_columns: bool,
}

impl ArrayLayout {
    fn rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Number of numbers in a row, if a table may have so many columns.
    fn columns(&self) -> io::Result<usize> {
        let product = self.shape.iter().skip(1).try_fold(1_u64, |all, &size| all.checked_mul(size));
        match product.and_then(|all| usize::try_from(all).ok()) {
            Some(0) => {
                Err(wrong("the array is empty; save one with at least one row and one column"))
            }
            Some(columns) if columns <= MOST_CELLS => Ok(columns),
            _ => Err(wrong(format!(
                "the array has more than {MOST_CELLS} numbers in a row; reshape it so that each row has fewer"
            ))),
        }
    }

    /// Number of bytes of all numbers.
    fn size(&self) -> io::Result<u64> {
        let row = self.columns()? as u64 * self.number.size() as u64;
        Ok(self.rows().saturating_mul(row))
    }

    /// Places of the numbers of the first row in an array by columns, counted in numbers.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0];
        // The last index changes from each column to the next, but is the slowest one of the array.
        let mut step = usize::try_from(self.rows()).unwrap_or(usize::MAX);
        for &size in self.shape.iter().skip(1) {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            places = places
                .iter()
                .flat_map(|&place| (0..size).map(move |index| place + index * step))
                .collect();
            step = step.saturating_mul(size);
        }
        places
    }

    /// Names of the columns of an array that has rows; the first one has been read, so that the columns are there.
    fn names(&self, name: &str) -> io::Result<Vec<String>> {
        let columns = self.columns()?;
        if self.rows() == 0 {
            return Err(wrong("a header, but no rows; add some, or choose another table"));
        }
        if self.shape.len() < 2 && name != "x" {
            return Ok(vec![name.to_string()]);
        }
        Ok((0..columns).map(|column| format!("{name}{column}")).collect())
    }
}

fn wrong(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, problem.into())
}

/// Returns true for the first bytes of an array.
pub(super) fn is_array(first: &[u8]) -> bool {
    first.starts_with(NPY) || is_idx(first)
}

fn is_idx(first: &[u8]) -> bool {
    matches!(first, [0, 0, 8 | 9 | 0x0b..=0x0e, 1..=8, ..])
}

/// Reads so many bytes, or says that the header ends.
fn take<R: Read>(from: &mut R, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(count as u64).read_to_end(&mut bytes)?;
    if bytes.len() < count {
        Err(wrong("the array's header ends in the middle: the file is truncated; copy it again"))
    } else {
        Ok(bytes)
    }
}

/// Reads the header of an array.
fn layout(from: &mut impl Read) -> io::Result<ArrayLayout> {
    let first = take(from, 4)?;
    if is_idx(&first) {
        let number = match first[2] {
            8 => ElementType::Unsigned(1),
            9 => ElementType::Signed(1),
            0x0b => ElementType::Signed(2),
            0x0c => ElementType::Signed(4),
            0x0d => ElementType::Float(4),
            _ => ElementType::Float(8),
        };
        let sizes = take(from, 4 * usize::from(first[3]))?;
        let shape = sizes.as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size).into());
        return Ok(ArrayLayout {
            number,
            big_endian: true,
            shape: shape.collect(),
            by_columns: false,
        });
    }
    let rest = take(from, 4)?;
    if [first, rest[..2].to_vec()].concat() != NPY {
        return Err(wrong(
            "an array that does not begin as an NPY file does; save it again with numpy.save",
        ));
    }
    let length = match rest[2] {
        1 => take(from, 2)?.iter().rev().fold(0, |all, &byte| all << 8 | usize::from(byte)),
        2 | 3 => take(from, 4)?.iter().rev().fold(0, |all, &byte| all << 8 | usize::from(byte)),
        version => {
            return Err(wrong(format!(
                "NPY version {version} is not known; save it again with numpy.save"
            )));
        }
    };
    if length > LONGEST_HEADER {
        return Err(wrong(format!(
            "an NPY header of more than {LONGEST_HEADER} bytes: it is damaged, or no array of numbers; save it again with numpy.save"
        )));
    }
    npy_layout(&String::from_utf8_lossy(&take(from, length)?))
}

/// Reads the header of an NPY file, such as `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }`.
fn npy_layout(text: &str) -> io::Result<ArrayLayout> {
    let value = |key: &str| -> io::Result<&str> {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let place = quoted.iter().find_map(|key| text.find(key).map(|at| at + key.len()));
        let value = place.and_then(|at| text[at..].trim_start().strip_prefix(':'));
        value.map(str::trim_start).ok_or_else(|| {
            wrong(format!(
                "the NPY header has no {key}: it is damaged; save it again with numpy.save"
            ))
        })
    };
    let quoted = value("descr")?;
    let name = quoted.strip_prefix(['\'', '"']).and_then(|text| text.split(['\'', '"']).next());
    let name = name.ok_or_else(|| wrong("an array of records; save each field as a column"))?;
    let (order, kind) = match name.split_at_checked(1) {
        Some((order @ ("<" | ">" | "|" | "="), kind)) => (order, kind),
        _ => ("<", name),
    };
    let number = match kind {
        "b1" | "?" => ElementType::Bool,
        "u1" | "u2" | "u4" | "u8" => ElementType::Unsigned(usize::from(kind.as_bytes()[1] - b'0')),
        "i1" | "i2" | "i4" | "i8" => ElementType::Signed(usize::from(kind.as_bytes()[1] - b'0')),
        "f2" | "f4" | "f8" => ElementType::Float(usize::from(kind.as_bytes()[1] - b'0')),
        _ => {
            let remedy = if kind.starts_with(['U', 'S', 'O', 'T']) {
                "give texts a number each, as with numpy.unique(values, return_inverse=True)[1], or save the table as CSV or Parquet"
            } else {
                "convert it, as with astype(\"float64\")"
            };
            let problem =
                format!("an array of type {}, but numbers are needed; {remedy}", shown(name));
            return Err(wrong(problem));
        }
    };
    let shape = value("shape")?.strip_prefix('(').and_then(|text| text.split(')').next());
    let sizes = shape.map(|text| text.split(',').map(str::trim).filter(|size| !size.is_empty()));
    let shape: Option<Vec<u64>> =
        sizes.and_then(|sizes| sizes.map(|size| size.parse().ok()).collect());
    let shape = shape.ok_or_else(|| wrong("the shape in the NPY header cannot be read: it is damaged; save it again with numpy.save"))?;
    let by_columns = value("fortran_order")?.starts_with("True") && shape.len() > 1;
    if shape.is_empty() {
        return Err(wrong(
            "a single number, but a table has rows; save an array with a row for each example",
        ));
    }
    Ok(ArrayLayout { number, big_endian: order == ">", shape, by_columns })
}

/// An array whose rows are written as text.
struct ArrayRows {
    layout: ArrayLayout,
    columns: usize,
    source: ByteStream,
    /// Row that was read last.
    row: Vec<u8>,
    /// All numbers of an array by columns, and the places of those of its first row.
    whole: Option<(Vec<u8>, Vec<usize>)>,
}

impl ArrayRows {
    /// Reads the header, and the first row if there is one; arrays by columns as a whole, whose bytes are taken from `left`.
    fn open(mut source: ByteStream, left: &mut u64) -> io::Result<Self> {
        let layout = layout(&mut source)?;
        let columns = layout.columns()?;
        let mut array = Self { layout, columns, source, row: Vec::new(), whole: None };
        if array.layout.by_columns {
            let size = array.layout.size()?;
            *left = left.checked_sub(size).ok_or_else(|| {
                wrong(format!(
                    "more than {} MiB of numbers in Fortran's order, which cannot be read row by row; save the array with \
                     numpy.ascontiguousarray",
                    LARGEST_BY_COLUMNS >> 20
                ))
            })?;
            let whole = array.bytes(size, 0)?;
            array.whole = Some((whole, array.layout.places()));
        }
        if array.layout.rows() > 0 {
            array.next(0)?;
        }
        Ok(array)
    }

    /// Reads so many bytes, in which the row of this number begins.
    fn bytes(&mut self, size: u64, number: u64) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.row);
        bytes.clear();
        // The memory grows with the bytes that are there, not with the header's promise.
        self.source.by_ref().take(size).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < size {
            return Err(io::Error::other(format!(
                "the array ends after {} of {} rows: the file is truncated; copy it again",
                count(number),
                count(self.layout.rows())
            )));
        }
        Ok(bytes)
    }

    /// Reads the next row.
    fn next(&mut self, number: u64) -> io::Result<()> {
        let size = self.layout.number.size();
        let Some((whole, places)) = &self.whole else {
            self.row = self.bytes((self.columns * size) as u64, number)?;
            return Ok(());
        };
        self.row.clear();
        // The array is in memory, so its rows can be counted.
        let first = usize::try_from(number).unwrap_or(usize::MAX);
        for place in places {
            self.row.extend_from_slice(&whole[(first + place) * size..][..size]);
        }
        Ok(())
    }

    fn push(&self, text: &mut Vec<u8>) {
        for bytes in self.row.chunks_exact(self.layout.number.size()) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            if self.layout.big_endian {
                word[..bytes.len()].reverse();
            }
            self.layout.number.push(text, word);
            text.push(b',');
        }
    }

    /// Checks that the file ends with the last row.
    fn end(&mut self) -> io::Result<()> {
        if self.source.read(&mut [0])? == 0 {
            return Ok(());
        }
        Err(io::Error::other("the file goes on behind the array's last row: it is damaged"))
    }
}

/// Arrays side by side as the text of a table.
pub(super) struct ArrayText {
    arrays: Vec<ArrayRows>,
    rows: u64,
    /// Number of rows that were written.
    done: u64,
    text: Vec<u8>,
    /// Bytes of the text that were read.
    read: usize,
    /// Names of the columns, in the order of the arrays.
    names: Vec<String>,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
}

impl fmt::Debug for ArrayText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayText").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl ArrayText {
    /// Opens an NPY or IDX array, and perhaps a second one with the target of each row.
    pub(super) fn open(source: ByteStream, target: Option<ByteStream>) -> io::Result<Self> {
        let mut left = LARGEST_BY_COLUMNS;
        let mut arrays = vec![ArrayRows::open(source, &mut left)?];
        let mut names = arrays[0].layout.names("x")?;
        if let Some(target) = target {
            let target = ArrayRows::open(target, &mut left)?;
            if target.columns != 1 {
                return Err(wrong(format!(
                    "the array that ‘target’ names has {} numbers in each row, but it must have one; for several, put them beside the \
                     features and name their columns",
                    target.columns
                )));
            }
            names.push("y".into());
            if target.layout.rows() != arrays[0].layout.rows() {
                return Err(wrong(format!(
                    "the array has {} rows, but the one that ‘target’ names has {}; give arrays of the same rows",
                    count(arrays[0].layout.rows()),
                    count(target.layout.rows())
                )));
            }
            arrays.push(target);
        }
        Self::beside(arrays, names, Vec::new())
    }

    /// Opens the arrays of an NPZ file that have the same number of rows: those that have the columns that `wanted` asks for,
    /// else those of the first array.
    pub(super) fn npz(
        path: &Path,
        wanted: &dyn Fn(&[&str]) -> bool,
        taken: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let mut arrays = Vec::new();
        let mut left = LARGEST_BY_COLUMNS;
        for entry in entries(path)? {
            let Some(name) = entry.name.strip_suffix(".npy") else { continue };
            let rows = ArrayRows::open(entry.open(path, taken)?, &mut left).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", shown(name)))
            })?;
            arrays.push((name.to_string(), rows));
        }
        if arrays.is_empty() {
            return Err(wrong(
                "the file is a zip archive without NPY arrays, as spreadsheets of other programs than Excel are; unpack it, or save the sheet as CSV in UTF-8",
            ));
        }
        // An array without rows is one of the others, if any has rows.
        let mut counts: Vec<u64> = Vec::new();
        for (_, rows) in &arrays {
            if rows.layout.rows() > 0 && !counts.contains(&rows.layout.rows()) {
                counts.push(rows.layout.rows());
            }
        }
        if counts.is_empty() {
            counts.push(0);
        }
        let names_of = |count: u64| -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for (name, rows) in arrays.iter().filter(|(_, rows)| rows.layout.rows() == count) {
                names.extend(rows.layout.names(name)?);
            }
            Ok(names)
        };
        let mut chosen = None;
        for &count in &counts {
            let names = names_of(count)?;
            let fits = wanted(&names.iter().map(String::as_str).collect::<Vec<_>>());
            if fits || chosen.is_none() {
                chosen = Some((count, names));
            }
            if fits {
                break;
            }
        }
        let (count, names) = chosen.unwrap_or_default();
        let (used, others): (Vec<_>, Vec<_>) =
            arrays.into_iter().partition(|(_, rows)| rows.layout.rows() == count);
        let others: Vec<String> = others.iter().map(|(name, _)| shown(name)).collect();
        let notes = match others.as_slice() {
            [] => Vec::new(),
            [..] => {
                vec![format!("left out, since the number of rows differs: {}", others.join(", "))]
            }
        };
        Self::beside(used.into_iter().map(|(_, rows)| rows).collect(), names, notes)
    }

    fn beside(arrays: Vec<ArrayRows>, names: Vec<String>, others: Vec<String>) -> io::Result<Self> {
        let rows = arrays.first().map_or(0, |array| array.layout.rows());
        let columns = match names.as_slice() {
            [one] => format!("an array with the column {}", shown(one)),
            [first, .., last] => {
                format!("an array with the columns {} to {}", shown(first), shown(last))
            }
            [] => String::new(),
        };
        let mut notes = vec![format!("{columns}; its first row is line 2 in messages")];
        notes.extend(others);
        Ok(Self { arrays, rows, done: 0, text: Vec::new(), read: 0, names, notes })
    }

    /// Makes the next piece of text. Returns false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.read = 0;
        if !self.names.is_empty() {
            for name in std::mem::take(&mut self.names) {
                // Names of an archive may hold anything.
                self.text.extend(format!("\"{}\",", name.replace('"', "\"\"")).into_bytes());
            }
            self.end_row();
        }
        while self.done < self.rows && self.text.len() < PIECE {
            // The first row was read when the arrays were opened.
            for array in &mut self.arrays {
                if self.done > 0 {
                    array.next(self.done)?;
                }
                array.push(&mut self.text);
            }
            self.end_row();
            self.done += 1;
        }
        if self.text.is_empty() {
            self.arrays.iter_mut().try_for_each(ArrayRows::end)?;
        }
        Ok(!self.text.is_empty())
    }

    /// Replaces the comma behind the last cell.
    fn end_row(&mut self) {
        self.text.pop();
        self.text.push(b'\n');
    }
}

impl Read for ArrayText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() && !self.refill()? {
            return Ok(0);
        }
        let count = (&self.text[self.read..]).read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::Crc;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// An NPY file.
    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [NPY, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    fn idx(kind: u8, sizes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, sizes.len() as u8];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        [bytes, data.to_vec()].concat()
    }

    fn text(array: Vec<u8>, target: Option<Vec<u8>>) -> Result<String, String> {
        let source = |bytes| -> ByteStream { Box::new(io::Cursor::new(bytes)) };
        let mut text = String::new();
        let read = ArrayText::open(source(array), target.map(source));
        let read = read.and_then(|mut array| array.read_to_string(&mut text));
        read.map(|_| text.replace('"', "")).map_err(|error| error.to_string())
    }

    #[test]
    fn arrays_by_columns_become_the_same_text() {
        let by_columns = |array: Vec<u8>| {
            let at = array.windows(6).position(|it| it == b"False,").unwrap();
            [&array[..at], b"True, ", &array[at + 6..]].concat()
        };
        let text_of = |shape, data: &[u8]| text(by_columns(npy("|u1", shape, data)), None);
        assert_eq!(text_of("(2, 3)", &[1, 4, 2, 5, 3, 6]).unwrap(), "x0,x1,x2\n1,2,3\n4,5,6\n");
        // Element (i, j, k) is at i + 2 j + 4 k.
        let three = text_of("(2, 2, 3)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).unwrap();
        assert_eq!(three, "x0,x1,x2,x3,x4,x5\n0,4,8,2,6,10\n1,5,9,3,7,11\n");
        let shorts = by_columns(npy(">i2", "(2, 2)", &[0, 1, 0, 3, 0, 2, 0, 4]));
        assert_eq!(text(shorts, None).unwrap(), "x0,x1\n1,2\n3,4\n");
        let said = text_of("(2, 3)", &[1, 4, 2, 5, 3]).unwrap_err();
        assert!(said.contains("ends after 0 of 2 rows: the file is truncated"), "{said}");
        let said = text_of("(2, 3)", &[1; 7]).unwrap_err();
        assert!(said.contains("goes on behind the array's last row"), "{said}");
        let said = text_of("(1000000000, 2)", &[1, 2]).unwrap_err();
        assert!(said.contains("more than 1024 MiB of numbers in Fortran's order"), "{said}");
        assert!(said.contains("ascontiguousarray"), "{said}");
    }

    #[test]
    fn arrays_of_all_numbers_become_text_without_loss() {
        let doubles: Vec<u8> =
            [0.1_f64, -2.5, 1e300, 4.0].iter().flat_map(|it| it.to_le_bytes()).collect();
        assert_eq!(
            text(npy("<f8", "(2, 2)", &doubles), None).unwrap(),
            "x0,x1\n0.1,-2.5\n1e300,4.0\n"
        );
        let single = 0.1_f32.to_be_bytes();
        let want = format!("x0\n{:?}\n", f64::from(0.1_f32));
        assert_eq!(text(npy(">f4", "(1,)", &single), None).unwrap(), want);
        let halves = [0x3c00_u16, 0xc100, 0x0001, 0x7bff].map(u16::to_le_bytes).concat();
        assert_eq!(
            text(npy("<f2", "(4, 1)", &halves), None).unwrap(),
            format!("x0\n1.0\n-2.5\n{:?}\n65504.0\n", 2_f64.powi(-24))
        );
        assert_eq!(
            text(npy("<i2", "(2,)", &[0xff, 0xff, 0, 0x80]), None).unwrap(),
            "x0\n-1\n-32768\n"
        );
        let large = u64::MAX.to_le_bytes();
        assert_eq!(text(npy("<u8", "(1,)", &large), None).unwrap(), "x0\n18446744073709551615\n");
        assert_eq!(text(npy("|b1", "(2, 1)", &[1, 0]), None).unwrap(), "x0\n1\n0\n");
        // Pixels of pictures are columns, and labels stand beside them.
        let pictures = idx(8, &[2, 1, 3], &[1, 2, 3, 4, 5, 255]);
        let labels = idx(8, &[2], &[7, 9]);
        assert_eq!(
            text(pictures.clone(), Some(labels)).unwrap(),
            "x0,x1,x2,y\n1,2,3,7\n4,5,255,9\n"
        );
        let shorts = idx(0x0b, &[2], &[0xff, 0xfe, 0, 3]);
        assert_eq!(text(pictures, Some(shorts)).unwrap(), "x0,x1,x2,y\n1,2,3,-2\n4,5,255,3\n");
    }

    #[test]
    fn hostile_arrays_are_refused() {
        let eight = [0_u8; 64];
        for (array, want) in [
            (npy("<f8", "(9, 1)", &eight), "ends after 8 of 9 rows"),
            (npy("<f8", "(7, 1)", &eight), "goes on behind"),
            (npy("<f8", "(1, 9999999)", &eight), "more than 2097152 numbers"),
            (npy("<f8", "(1, 99999999999, 99999999999)", &eight), "more than 2097152"),
            (npy("<f8", "(18446744073709551615, 2000000)", &eight), "ends after 0 of"),
            (npy("<f8", "(3, 0)", &eight), "is empty"),
            (npy("<f8", "(0, 1999999)", &[]), "no rows"),
            (idx(8, &[0, 65_246, 1], &[]), "no rows"),
            (npy("<f8", "()", &eight), "a single number"),
            (npy("<f8", "(3, -1)", &eight), "shape"),
            (npy("<U5", "(1,)", &eight), "type `<U5`"),
            (npy("<c8", "(1,)", &eight), "type `<c8`"),
            (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "ends in the middle"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{".to_vec(), "more than 65536 bytes"),
            (b"\x93NUMPY\x09\x00\x01\x00{".to_vec(), "version 9"),
            (b"\x93NUMPY\x01\x00\x02\x00{}".to_vec(), "no descr"),
            (idx(8, &[u32::MAX, u32::MAX, u32::MAX], &eight), "more than 2097152"),
            (idx(8, &[4, 4], &eight[..15]), "ends after 3 of 4"),
            (idx(8, &[2], &[]), "ends after 0 of 2"),
        ] {
            let said = text(array, None).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
        let said = text(idx(8, &[3], &[1, 2, 3]), Some(idx(8, &[2], &[1, 2]))).unwrap_err();
        assert!(
            said.contains(
                "3 rows, but the one that ‘target’ names has 2; give arrays of the same rows"
            ),
            "{said}"
        );
        let said = text(idx(8, &[1], &[1]), Some(idx(8, &[1, 2], &[1, 2]))).unwrap_err();
        assert!(said.contains("2 numbers in each row"), "{said}");
    }

    /// A zip archive of files, every second one compressed.
    fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (place, (name, data)) in files.iter().enumerate() {
            let mut crc = Crc::new();
            crc.update(data);
            let packed = if place % 2 == 0 {
                data.clone()
            } else {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            };
            let sizes = [packed.len(), data.len()].map(|size| (size as u32).to_le_bytes()).concat();
            let method = [if place % 2 == 0 { 0 } else { 8 }, 0];
            let lengths = [name.len() as u8, 0, 0, 0];
            let common = [[0; 4].as_slice(), &crc.sum().to_le_bytes(), &sizes, &lengths].concat();
            directory.extend(
                [b"PK\x01\x02".as_slice(), &[20, 0, 20, 0, 0, 0], &method, &common, &[0; 10]]
                    .concat(),
            );
            directory.extend((bytes.len() as u32).to_le_bytes());
            directory.extend(name.as_bytes());
            bytes.extend([b"PK\x03\x04".as_slice(), &[20, 0, 0, 0], &method, &common].concat());
            bytes.extend(name.as_bytes());
            bytes.extend(packed);
        }
        let count = [files.len() as u8, 0];
        let place = [directory.len(), bytes.len()].map(|it| (it as u32).to_le_bytes()).concat();
        let end = [b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &place, &[0, 0]].concat();
        [bytes, directory, end].concat()
    }

    #[test]
    fn arrays_of_an_archive_stand_side_by_side() {
        let files = [
            ("x.npy", npy("|u1", "(2, 2)", &[1, 2, 3, 4])),
            ("y.npy", npy("|u1", "(2,)", &[8, 9])),
            ("x_test.npy", npy("|u1", "(3, 2)", &[0; 6])),
            ("t.npy", npy("|u1", "(3,)", &[5, 6, 7])),
            ("notes.txt", b"none".to_vec()),
        ];
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("t.npz");
        let read = |bytes: &[u8], wanted: &str| {
            std::fs::write(&path, bytes).unwrap();
            let mut text = String::new();
            let taken = Arc::default();
            let mut array = ArrayText::npz(&path, &|names| names.contains(&wanted), &taken)?;
            array.read_to_string(&mut text)?;
            Ok::<_, io::Error>((text.replace('"', ""), array.notes.join("; ")))
        };
        let whole = zip(&files);
        let (text, notes) = read(&whole, "y").unwrap();
        assert_eq!(text, "x0,x1,y\n1,2,8\n3,4,9\n");
        assert!(
            notes.ends_with("left out, since the number of rows differs: `x_test`, `t`"),
            "{notes}"
        );
        assert_eq!(read(&whole, "t").unwrap().0, "x_test0,x_test1,t\n0,0,5\n0,0,6\n0,0,7\n");
        // An array without rows is left out, unless no other is there.
        let mut lacking = files.to_vec();
        lacking.insert(0, ("none.npy", npy("|u1", "(0, 2)", &[])));
        let (text, notes) = read(&zip(&lacking[..3]), "y").unwrap();
        assert_eq!(text, "x0,x1,y\n1,2,8\n3,4,9\n");
        assert!(notes.ends_with("left out, since the number of rows differs: `none`"), "{notes}");
        assert!(read(&zip(&lacking[..1]), "y").unwrap_err().to_string().contains("no rows"));
        // Each byte of the data is under a checksum.
        let data = whole.windows(4).position(|it| it == [1, 2, 3, 4]).unwrap();
        let mut damaged = whole.clone();
        damaged[data] = 7;
        assert!(read(&damaged, "y").unwrap_err().to_string().contains("checksum"));
        assert!(read(&whole[..whole.len() - 30], "y").unwrap_err().to_string().contains("cut off"));
        assert!(read(&zip(&files[4..]), "y").unwrap_err().to_string().contains("without NPY"));
    }
}
