//! Files in a zip archive, as NPZ files and workbooks are.
//!
//! In: a file. Out: its parts by name, each as bytes whose checksum is right.
//! Absent on purpose: encryption, archives of several files, methods of compression other than deflate.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::byte_stream::{ByteStream, CountedBytes};

/// First bytes of an archive.
pub(super) const ZIP: &[u8] = b"PK\x03\x04";
/// Name of the list of sheets in a workbook's archive.
pub(super) const WORKBOOK: &str = "xl/workbook.xml";
/// Largest number of files in an archive.
const MOST_FILES: usize = 1 << 10;

/// A file in a zip archive.
#[derive(Debug)]
pub(super) struct ArchiveEntry {
    pub(super) name: String,
    deflated: bool,
    crc: u32,
    packed: u64,
    offset: u64,
}

impl ArchiveEntry {
    /// Opens the file for reading.
    pub(super) fn open(&self, path: &Path, taken: &Arc<AtomicU64>) -> io::Result<ByteStream> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let head = take(&mut file, 30)?;
        if !head.starts_with(ZIP) {
            return Err(damaged());
        }
        file.seek(SeekFrom::Current(i64::from(word(&head, 26)) + i64::from(word(&head, 28))))?;
        let counted = CountedBytes { inner: file.take(self.packed), taken: Arc::clone(taken) };
        let bytes = BufReader::new(counted);
        let inner: ByteStream =
            if self.deflated { Box::new(DeflateDecoder::new(bytes)) } else { Box::new(bytes) };
        Ok(Box::new(BufReader::new(ChecksummedBytes { inner, crc: Crc::new(), wanted: self.crc })))
    }
}

/// Bytes whose checksum has to be right at the end.
struct ChecksummedBytes {
    inner: ByteStream,
    crc: Crc,
    wanted: u32,
}

impl Read for ChecksummedBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer).map_err(|error| match error.raw_os_error() {
            Some(_) => error,
            None => io::Error::other(format!(
                "the zip archive is damaged ({error}); copy the file again"
            )),
        })?;
        self.crc.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.crc.sum() != self.wanted {
            return Err(io::Error::other(
                "the zip archive is damaged (its checksum differs); copy the file again",
            ));
        }
        Ok(count)
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |it| u16::from_le_bytes([it[0], it[1]]))
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) | u32::from(word(bytes, at + 2)) << 16
}

fn quad(bytes: &[u8], at: usize) -> u64 {
    u64::from(long(bytes, at)) | u64::from(long(bytes, at + 4)) << 32
}

/// Returns true for the archive of an Excel workbook.
pub(crate) fn is_workbook(path: &Path) -> bool {
    let is_list = |it: &ArchiveEntry| it.name.eq_ignore_ascii_case(WORKBOOK);
    entries(path).is_ok_and(|files| files.iter().any(is_list))
}

/// Returns the files of a zip archive.
pub(super) fn entries(path: &Path) -> io::Result<Vec<ArchiveEntry>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // The end of the directory has a comment of at most 64 KiB behind it.
    let tail = length.min((1 << 16) + 22);
    file.seek(SeekFrom::Start(length - tail))?;
    let end = take(&mut file, usize::try_from(tail).unwrap_or(0))?;
    let at = end.windows(4).rposition(|it| it == b"PK\x05\x06").ok_or_else(damaged)?;
    let (count, offset) = (word(&end, at + 10), long(&end, at + 16));
    if usize::from(count) > MOST_FILES || offset == u32::MAX {
        return Err(wrong(
            "the zip archive is too large, or has too many files; save the arrays that are needed in one of their own, with numpy.savez",
        ));
    }
    file.seek(SeekFrom::Start(offset.into()))?;
    let mut file = BufReader::new(file);
    let mut entries = Vec::new();
    for _ in 0..count {
        let head = take(&mut file, 46)?;
        if !head.starts_with(b"PK\x01\x02") {
            return Err(damaged());
        }
        let name = take(&mut file, word(&head, 28).into())?;
        let extra = take(&mut file, word(&head, 30).into())?;
        take(&mut file, word(&head, 32).into())?;
        let (mut packed, mut offset) = (u64::from(long(&head, 20)), u64::from(long(&head, 42)));
        // Sizes and places beyond 32 bits stand in a field of their own, those that are needed in this order.
        let mut wide = large_fields(&extra);
        if long(&head, 24) == u32::MAX {
            wide.next();
        }
        for value in [&mut packed, &mut offset] {
            if *value == u64::from(u32::MAX) {
                *value = wide.next().ok_or_else(damaged)?;
            }
        }
        let deflated = match word(&head, 10) {
            0 => false,
            8 => true,
            _ => {
                return Err(wrong(
                    "the zip archive is compressed in a way that is not known here; save it with numpy.savez or numpy.savez_compressed",
                ));
            }
        };
        let name = String::from_utf8_lossy(&name).into_owned();
        entries.push(ArchiveEntry { name, deflated, crc: long(&head, 16), packed, offset });
    }
    Ok(entries)
}

/// Returns the numbers of the field for large files among the extra fields of an entry.
fn large_fields(extra: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut at = 0;
    let mut field: &[u8] = &[];
    while at + 4 <= extra.len() {
        let size = usize::from(word(extra, at + 2));
        if word(extra, at) == 1 {
            field = extra.get(at + 4..at + 4 + size).unwrap_or_default();
        }
        at += 4 + size;
    }
    (0..field.len() / 8).map(|place| quad(field, 8 * place))
}

fn wrong(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, problem.into())
}

fn damaged() -> io::Error {
    wrong("the zip archive is damaged or cut off; copy the file again")
}

/// Reads so many bytes.
fn take<R: Read>(from: &mut R, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(count as u64).read_to_end(&mut bytes)?;
    if bytes.len() < count { Err(damaged()) } else { Ok(bytes) }
}
