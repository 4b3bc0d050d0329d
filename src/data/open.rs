//! Bytes of a table, decompressed where they are compressed.
//!
//! In: bytes of any source. Out: the table's own bytes, or the text of an array, and how many of the source were taken for them.
//! Absent on purpose: what the bytes mean.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flate2::read::MultiGzDecoder;

use super::archive::{ZIP, is_workbook};
use super::arrays::{ArrayText, is_array};
use super::byte_stream::{ByteStream, CountedBytes, GzipDecoder, ReadAhead, ZstdDecoder};
#[cfg(feature = "parquet")]
use super::columnar::{ARROW_FILE, ColumnarText, PARQUET};
use super::kinds::DeclaredType;
use super::sheet_rows::SheetRows;
#[cfg(feature = "xlsx")]
use super::xlsx::SheetText;
use crate::files::bytes_in_memory;

/// Number of bytes that show which format a file has.
pub(super) const MAGIC: usize = 6;
/// Stands for standard input as a table.
const STDIN: &str = "-";
#[cfg(not(feature = "parquet"))]
const PARQUET: &[u8] = b"PAR1";
const ARROW_STREAM: &[u8] = &[0xff; 4];
#[cfg(feature = "parquet")]
const COLUMNS_PROBLEM: &str = "the data is Parquet or an Arrow file, which are read from their ends: give the file by its name, not by \
                               a pipe or compressed; Arrow's stream form may come by a pipe";
#[cfg(not(feature = "parquet"))]
const COLUMNS_PROBLEM: &str = "the data is Parquet or Arrow, which this program was built without; install it with `cargo install \
                               --path . --features parquet`, or save the table as CSV";

#[cfg(not(feature = "xlsx"))]
const WORKBOOK_PROBLEM: &str = "the file is an Excel workbook, which this program was built without; install it with `cargo install \
                                --path . --features xlsx`, or save the sheet as CSV in UTF-8";

const MEMORY_PROBLEM: &str = "the table is a workbook, an archive or Parquet, which are not read in memory; save it as CSV in UTF-8, or give it \
                              as a file";

const PACKED_PROBLEM: &str = "the file holds Parquet, Arrow, a workbook or an archive within gzip or zstd; decompress it first: such files \
                              compress their data themselves";

/// Bytes of a table, without compression; of an array, the text of a table.
pub(super) struct TableBytes {
    bytes: ByteStream,
    /// Bytes taken from the source, if these are not the table's own.
    taken: Option<Arc<AtomicU64>>,
    /// Description of a table that was no text.
    array: Option<ArrayNotes>,
    /// True for a file, whose next bytes are there already; those of a pipe may come in hours.
    pub(super) at_hand: bool,
}

/// Description of a table whose text was made here, of an array or of columns.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrayNotes {
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
    /// Types of the columns, as far as the file declares them.
    pub(super) declared: Vec<Option<DeclaredType>>,
    /// Rows of a workbook's sheet, whose first one may be no header; `None` for anything else.
    pub(super) sheet: Option<SheetRows>,
}

impl fmt::Debug for TableBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableBytes").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Read for TableBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl TableBytes {
    /// Opens a file, or standard input for `-`. Of an archive of arrays, those are read that have the columns that `wanted` asks for; `target` is the file of
    /// an array's target.
    ///
    /// # Errors
    ///
    /// When reading fails, and for formats that no table may have.
    pub(super) fn open(
        path: &Path,
        (target, sheet): (Option<&Path>, Option<&str>),
        wanted: &dyn Fn(&[&str]) -> bool,
    ) -> io::Result<Self> {
        if path == Path::new(STDIN) {
            return Self::of(io::stdin(), (target, sheet));
        }
        if let Some(bytes) = bytes_in_memory(path) {
            return Self::of_memory(bytes, (target, sheet));
        }
        let mut file = File::open(path)?;
        let first = peek(&mut file)?;
        if first.starts_with(ZIP) && is_workbook(path) {
            return Self::of_sheet(path, (target, sheet));
        }
        if target.is_none() && sheet.is_none() && first.starts_with(ZIP) {
            let taken = Arc::new(AtomicU64::new(0));
            let text = ArrayText::npz(path, wanted, &taken)?;
            let array = Some(ArrayNotes { notes: text.notes.clone(), ..ArrayNotes::default() });
            return Ok(Self { bytes: Box::new(text), taken: Some(taken), array, at_hand: true });
        }
        #[cfg(feature = "parquet")]
        if target.is_none()
            && sheet.is_none()
            && (first.starts_with(PARQUET) || first.starts_with(ARROW_FILE))
        {
            let taken = Arc::new(AtomicU64::new(0));
            let text = ColumnarText::file(file, &first, Arc::clone(&taken))?;
            return Self::of_columns(text, taken);
        }
        let at_hand = file.metadata()?.is_file();
        Ok(Self { at_hand, ..Self::of(io::Cursor::new(first).chain(file), (target, sheet))? })
    }

    /// Reads bytes that are in memory.
    fn of_memory(bytes: Arc<[u8]>, notes: (Option<&Path>, Option<&str>)) -> io::Result<Self> {
        if needs_file(&bytes) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, MEMORY_PROBLEM));
        }
        Ok(Self { at_hand: true, ..Self::of(io::Cursor::new(bytes), notes)? })
    }

    /// Looks at the first bytes, decompresses gzip and zstd, and turns an array into text.
    ///
    /// # Errors
    ///
    /// As for [`Self::open`].
    pub(super) fn of(
        source: impl Read + Send + 'static,
        (target, sheet): (Option<&Path>, Option<&str>),
    ) -> io::Result<Self> {
        if sheet.is_some() {
            let problem =
                "‘sheet’ goes with an Excel workbook, which the table is not; leave the option out";
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let (mut bytes, packed, taken) = unpacked(source)?;
        let first = peek(&mut bytes)?;
        if packed && needs_file(&first) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, PACKED_PROBLEM));
        }
        let array = is_array(&first);
        #[cfg(feature = "parquet")]
        if first.starts_with(ARROW_STREAM) && target.is_none() {
            let bytes: ByteStream = Box::new(io::Cursor::new(first).chain(bytes));
            return Self::of_columns(ColumnarText::stream(bytes)?, taken);
        }
        let bytes: ByteStream = Box::new(io::Cursor::new(first).chain(bytes));
        if !array {
            if target.is_some() {
                let problem =
                    "a file of the target goes with an array, and the table is none; name a column";
                return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
            }
            return Ok(Self { bytes, taken: packed.then_some(taken), array: None, at_hand: false });
        }
        let target = target.map(|path| -> io::Result<ByteStream> {
            let (bytes, _, _) = unpacked(File::open(path)?)?;
            Ok(bytes)
        });
        let text = ArrayText::open(bytes, target.transpose()?)?;
        let array = Some(ArrayNotes { notes: text.notes.clone(), ..ArrayNotes::default() });
        Ok(Self { bytes: Box::new(text), taken: Some(taken), array, at_hand: false })
    }

    /// Reads a sheet of a workbook in a thread of its own.
    #[cfg(feature = "xlsx")]
    fn of_sheet(path: &Path, (target, sheet): (Option<&Path>, Option<&str>)) -> io::Result<Self> {
        if target.is_some() {
            let problem = "a file of the target goes with an array, and the table is a workbook; name a column";
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let taken = Arc::new(AtomicU64::new(0));
        let text = SheetText::open(path, sheet, &taken)?;
        let array = Some(ArrayNotes {
            notes: text.notes.clone(),
            declared: text.declared.clone(),
            sheet: Some(text.rows.clone()),
        });
        let bytes = Box::new(ReadAhead::start(text)?);
        Ok(Self { bytes, taken: Some(taken), array, at_hand: false })
    }

    /// Says how a program is built that reads workbooks.
    #[cfg(not(feature = "xlsx"))]
    fn of_sheet(_: &Path, _: (Option<&Path>, Option<&str>)) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, WORKBOOK_PROBLEM))
    }

    /// Reads columns in a thread of its own.
    #[cfg(feature = "parquet")]
    fn of_columns(text: ColumnarText, taken: Arc<AtomicU64>) -> io::Result<Self> {
        let (notes, declared) = (text.notes.clone(), text.declared.clone());
        let array = Some(ArrayNotes { notes, declared, sheet: None });
        let bytes = Box::new(ReadAhead::start(text)?);
        Ok(Self { bytes, taken: Some(taken), array, at_hand: false })
    }

    /// Returns the counter of bytes that were taken from the source; `None` if these are the table's own.
    pub(super) fn counter(&self) -> Option<Arc<AtomicU64>> {
        self.taken.clone()
    }

    /// Returns the description of a table that was no text.
    pub(super) fn array_notes(&self) -> Option<&ArrayNotes> {
        self.array.as_ref()
    }
}

/// Returns true for formats that are not read from their first byte to the last.
fn needs_file(first: &[u8]) -> bool {
    [ZIP, PARQUET, b"ARROW1"].iter().any(|format| first.starts_with(format))
}

/// Returns true for a file that may be opened more than once; a pipe may not.
pub(crate) fn is_lasting(path: &Path) -> bool {
    let is_file = || path.metadata().is_ok_and(|about| about.is_file());
    path != Path::new(STDIN) && (bytes_in_memory(path).is_some() || is_file())
}

/// Returns true for a file of an array, compressed or not.
pub(super) fn is_array_file(path: &Path) -> bool {
    if !is_lasting(path) {
        return false;
    }
    let first = match bytes_in_memory(path) {
        Some(bytes) => unpacked(io::Cursor::new(bytes)).and_then(|it| peek(&mut { it.0 })),
        None => File::open(path).and_then(|file| peek(&mut unpacked(file)?.0)),
    };
    first.is_ok_and(|first| is_array(&first))
}

/// Reads the first bytes.
fn peek(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(MAGIC);
    source.take(MAGIC as u64).read_to_end(&mut first)?;
    Ok(first)
}

/// Decompresses bytes, if they are compressed. Returns whether they are, and the counter of those that were taken.
fn unpacked(
    mut source: impl Read + Send + 'static,
) -> io::Result<(ByteStream, bool, Arc<AtomicU64>)> {
    let first = peek(&mut source)?;
    if let Some(problem) = other_format(&first) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
    }
    let gzip = first.starts_with(&[0x1f, 0x8b]);
    // A frame with data, or one to be skipped.
    let zstd = matches!(*first, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    let taken = Arc::new(AtomicU64::new(0));
    let all = io::Cursor::new(first).chain(source);
    let counted = CountedBytes { inner: all, taken: Arc::clone(&taken) };
    let bytes: ByteStream = match (gzip, zstd) {
        (true, _) => Box::new(ReadAhead::start(GzipDecoder(MultiGzDecoder::new(counted)))?),
        (_, true) => Box::new(ReadAhead::start(ZstdDecoder::new(counted))?),
        _ => Box::new(counted),
    };
    Ok((bytes, gzip || zstd, taken))
}

/// Names a format that is no table and no compression that can be undone here, with the remedy.
fn other_format(first: &[u8]) -> Option<&'static str> {
    match first {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Some("the file is compressed with xz; decompress it first (`xz -d`)")
        }
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41] => {
            Some("the file is compressed with bzip2; decompress it first (`bunzip2`)")
        }
        [b'7', b'z', 0xbc, 0xaf, ..] => Some("the file is a 7z archive; unpack it first"),
        [0x04, 0x22, 0x4d, 0x18, ..] => {
            Some("the file is compressed with lz4; decompress it first (`lz4 -d`)")
        }
        [b'P', b'K', 3, 4, ..] => Some(
            "the data is a zip archive; unpack it, or give an NPZ file or an Excel workbook by its name",
        ),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, ..] => Some(
            "the file is a workbook of Excel 97 (.xls) or one with a password; save the sheet as .xlsx without a password, or as CSV in UTF-8",
        ),
        _ if first.starts_with(PARQUET) || first.starts_with(b"ARROW1") => Some(COLUMNS_PROBLEM),
        #[cfg(not(feature = "parquet"))]
        _ if first.starts_with(ARROW_STREAM) => Some(COLUMNS_PROBLEM),
        [b'F', b'E', b'A', b'1', ..] => Some(
            "the file is Feather of version 1; save the table as Feather of version 2, as Parquet or as CSV",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        let mut table = TableBytes::of(io::Cursor::new(bytes), (None, None))
            .map_err(|error| error.to_string())?;
        table.read_to_end(&mut all).map(|_| all).map_err(|error| error.to_string())
    }

    #[test]
    fn compressed_bytes_are_found_by_their_content() {
        let text: Vec<u8> =
            (0..30_000).flat_map(|i| format!("{i},{}\n", i % 7).into_bytes()).collect();
        let (a, b) = text.split_at(12_345);
        for pack in [gzip, zstd] {
            assert_eq!(read(pack(&text)).unwrap(), text);
            // Files that were joined are members one behind the other.
            assert_eq!(read([pack(a), pack(b)].concat()).unwrap(), text);
            assert_eq!(read([pack(b""), pack(&text)].concat()).unwrap(), text);
        }
        for plain in [b"".as_slice(), b"a", b"\x1f", b"a,b\n1,2\n"] {
            assert_eq!(read(plain.to_vec()).unwrap(), plain);
        }
        // A frame that is to be skipped stands before the data.
        let note =
            [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], zstd(&text).as_slice()].concat();
        assert_eq!(read([zstd(b""), note].concat()).unwrap(), text);
    }

    #[test]
    fn truncated_and_damaged_data_are_errors() {
        let text: Vec<u8> =
            (0..20_000_u32).flat_map(|i| format!("{}\n", i * i).into_bytes()).collect();
        for (pack, format) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd")] {
            let packed = pack(&text);
            for end in [packed.len() - 1, packed.len() / 2, 12] {
                let said = read(packed[..end].to_vec()).unwrap_err();
                assert!(said.contains(format) && said.contains("truncated"), "{end}: {said}");
            }
            let mut wrong = packed.clone();
            let last = wrong.len() - 6;
            wrong[last] ^= 0x55;
            let middle = wrong.len() / 2;
            wrong[middle] ^= 0x55;
            let said = read(wrong).unwrap_err();
            assert!(said.contains(format), "{said}");
            let said = read([packed, b"more".to_vec()].concat()).unwrap_err();
            assert!(said.contains("damaged") || said.contains("truncated"), "{said}");
        }
    }

    #[test]
    fn other_formats_are_named() {
        for (first, name) in [
            (b"\xfd7zXZ\0".as_slice(), "xz"),
            (b"BZh91AY", "bzip2"),
            (b"PK\x03\x04..", "zip"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel 97"),
            (b"PAR1....", "Parquet"),
            #[cfg(not(feature = "parquet"))]
            (b"ARROW1..", "--features parquet"),
            #[cfg(not(feature = "parquet"))]
            (b"\xff\xff\xff\xff\x10\0", "--features parquet"),
        ] {
            assert!(read(first.to_vec()).unwrap_err().contains(name), "{name}");
        }
        for within in [b"PAR1....", b"ARROW1..", b"PK\x03\x04...."] {
            let said = read(gzip(within)).unwrap_err();
            assert!(said.contains("within gzip or zstd; decompress it first"), "{said}");
        }
        // The beginning of a name is none of them.
        assert_eq!(read(b"PARK,BZh9\n".to_vec()).unwrap(), b"PARK,BZh9\n");
    }
}
