//! Sizes that a Parquet file states, checked before memory is taken for what they promise.
//!
//! In: the end of a file, the header of a page, a decompressed page. Out: an error for a size that the bytes at hand cannot have. The
//! decoders reserve as much memory as these sizes ask for, so a file of a few bytes could ask for all of it.
//! Absent on purpose: columns with levels of repetition, which are not read.

use std::fmt;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::Page;

use super::thrift::{FieldType, I32, Thrift, ThriftError};

/// Number of groups of columns that may stand within each other.
const DEEPEST: usize = 64;
/// Largest number of lengths of texts to one byte that they are packed in: writers have 32 to the byte where all are equal.
const LENGTHS_IN_A_BYTE: u64 = 1 << 10;

/// Size that a part of a file cannot have, or that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SizeError {
    /// Its description cannot be read.
    Form(ThriftError),
    /// More bytes than its compressed ones can become.
    Bytes { plain: u64, packed: u64 },
    /// More values than its bytes can hold.
    Values { values: u64, bytes: usize },
    /// A group with fewer columns than it states.
    Columns,
    /// Groups too deep within each other.
    Depth,
}

impl From<ThriftError> for SizeError {
    fn from(fault: ThriftError) -> Self {
        Self::Form(fault)
    }
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(ThriftError::Short) => write!(f, "its description does not end"),
            Self::Form(ThriftError::Wrong) => write!(f, "its description cannot be read"),
            Self::Bytes { plain, packed } => {
                write!(f, "its {packed} bytes cannot become the {plain} that it states")
            }
            Self::Values { values, bytes } => {
                write!(f, "its {bytes} bytes cannot hold the {values} values that it states")
            }
            Self::Columns => write!(f, "a group of columns has fewer than it states"),
            Self::Depth => write!(f, "more than {DEEPEST} groups stand within each other"),
        }
    }
}

/// Returns the largest number of bytes that one compressed byte may become, of compressions whose decoders reserve memory
/// for the size that a page states.
pub(super) fn most_expanded(compression: Compression) -> Option<u64> {
    match compression {
        // Three bytes stand for at most 64.
        Compression::SNAPPY => Some(22),
        // A byte makes a copy at most 255 bytes longer.
        Compression::LZ4 | Compression::LZ4_RAW => Some(255),
        // Two bits stand for at most 258 bytes.
        Compression::GZIP(_) => Some(1032),
        _ => None,
    }
}

/// Checks the sizes in a page's header, which the bytes begin with. At most `expanded` bytes can come of a compressed one; `None` leaves
/// them unchecked.
///
/// # Errors
///
/// [`SizeError::Form`] when the bytes hold no whole header.
pub(super) fn check_header(bytes: &[u8], expanded: Option<u64>) -> Result<(), SizeError> {
    let mut walk = Thrift(bytes);
    let (mut plain, mut packed, mut last) = (0, 0, 0);
    while let Some(kind) = walk.field(&mut last)? {
        // The decoder goes by a field's number alone, and would read another type's bytes for something else.
        match (last, kind) {
            (2, I32) => plain = walk.i32()?,
            (3, I32) => packed = walk.i32()?,
            (1 | 4, I32) => drop(walk.i32()?),
            (5, FieldType::Struct) => check_fields(&mut walk, &[I32; 4])?,
            (7, FieldType::Struct) => check_fields(&mut walk, &[I32, I32, FieldType::Bool])?,
            (8, FieldType::Struct) => {
                check_fields(&mut walk, &[I32, I32, I32, I32, I32, I32, FieldType::Bool])?;
            }
            (1..=5 | 7 | 8, _) => return Err(ThriftError::Wrong.into()),
            _ => walk.skip(kind)?,
        }
    }
    // Of sizes below zero the decoder tells.
    let (plain, packed) = (u64::try_from(plain).unwrap_or(0), u64::try_from(packed).unwrap_or(0));
    if expanded.is_some_and(|most| plain > packed.saturating_mul(most)) {
        return Err(SizeError::Bytes { plain, packed });
    }
    Ok(())
}

/// Passes over a struct whose first fields are of these types.
fn check_fields(walk: &mut Thrift<'_>, kinds: &[FieldType]) -> Result<(), ThriftError> {
    let mut last = 0;
    while let Some(kind) = walk.field(&mut last)? {
        let wanted = usize::try_from(last - 1).ok().and_then(|place| kinds.get(place));
        if wanted.is_some_and(|it| *it != kind) {
            return Err(ThriftError::Wrong);
        }
        walk.skip(kind)?;
    }
    Ok(())
}

/// Column of a file, as far as sizes depend on it.
pub(super) struct ColumnSizes {
    /// Bytes of a value of a dictionary, at least.
    value: usize,
    /// True if cells may be empty, so that levels stand before values.
    has_levels: bool,
}

impl ColumnSizes {
    pub(super) fn new(kind: Type, fixed: i32, deepest: i16) -> Self {
        let value = match kind {
            Type::BOOLEAN => 1,
            // The length of a text takes four bytes.
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => usize::try_from(fixed).unwrap_or(0).max(1),
        };
        Self { value, has_levels: deepest > 0 }
    }

    /// Checks the numbers of values that a decompressed page states.
    ///
    /// # Errors
    ///
    /// [`SizeError::Values`] when the page's bytes cannot hold so many.
    pub(super) fn check(&self, page: &Page) -> Result<(), SizeError> {
        let (values, encoding) = match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                if *num_values as usize > buf.len() / self.value {
                    return Err(SizeError::Values {
                        values: (*num_values).into(),
                        bytes: buf.len(),
                    });
                }
                return Ok(());
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                let levels = match def_level_encoding {
                    _ if !self.has_levels => Some(0),
                    Encoding::RLE => {
                        buf.first_chunk().map(|it| 4 + u32::from_le_bytes(*it) as usize)
                    }
                    // One bit each, since no column that is read has cells within cells.
                    _ => Some((*num_values as usize).div_ceil(8)),
                };
                (levels.and_then(|it| after(buf, it)), *encoding)
            }
            Page::DataPageV2 {
                buf, encoding, def_levels_byte_len, rep_levels_byte_len, ..
            } => {
                let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                (after(buf, levels), *encoding)
            }
        };
        // Of a page that is shorter than its levels the decoder tells.
        let Some(values) = values else { return Ok(()) };
        match encoding {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => check_lengths(values).map(drop),
            Encoding::DELTA_BYTE_ARRAY => check_lengths(check_lengths(values)?).map(drop),
            _ => Ok(()),
        }
    }
}

fn after(bytes: &Bytes, count: usize) -> Option<&[u8]> {
    bytes.get(count..)
}

/// Checks the number of packed lengths that bytes begin with. Returns the bytes after them.
fn check_lengths(bytes: &[u8]) -> Result<&[u8], SizeError> {
    let count = |walk: &mut Thrift<'_>| -> Result<(u64, u64, u64), ThriftError> {
        let (block, parts) = (walk.unsigned()?, walk.unsigned()?);
        let values = walk.unsigned()?;
        walk.unsigned()?;
        Ok((block, parts, values))
    };
    let mut walk = Thrift(bytes);
    // Of lengths that are none, and of those that end too early, the decoder tells.
    let Ok((block, parts, values)) = count(&mut walk) else { return Ok(&[]) };
    if values > (bytes.len() as u64).saturating_mul(LENGTHS_IN_A_BYTE) {
        return Err(SizeError::Values { values, bytes: bytes.len() });
    }
    let part = block.checked_div(parts).unwrap_or(0);
    if part == 0 {
        return Ok(&[]);
    }
    // The first value stands in the beginning.
    let mut left = values.saturating_sub(1);
    while left > 0 {
        let widths = walk.unsigned().map(|_| walk.0);
        if widths.is_err() || walk.pass(parts).is_err() {
            return Ok(&[]);
        }
        for width in widths.unwrap_or_default().iter().take(usize::try_from(parts).unwrap_or(0)) {
            // Parts after the last value have widths, but no bytes.
            if left == 0 {
                break;
            }
            if walk.pass(u64::from(*width).saturating_mul(part) / 8).is_err() {
                return Ok(&[]);
            }
            left = left.saturating_sub(part);
        }
    }
    Ok(walk.0)
}

/// Checks the columns in the description of a file, each group of which states how many it has.
///
/// # Errors
///
/// [`SizeError::Columns`] when a group has fewer columns than it states, [`SizeError::Depth`] when groups stand too deep within each
/// other.
pub(super) fn check_columns(description: &[u8]) -> Result<(), SizeError> {
    let mut walk = Thrift(description);
    let mut last = 0;
    while let Some(kind) = walk.field(&mut last)? {
        match (last, kind) {
            (2, FieldType::List) => check_groups(&mut walk)?,
            (2, _) => return Err(ThriftError::Wrong.into()),
            _ => walk.skip(kind)?,
        }
    }
    Ok(())
}

/// Checks a list of groups and columns, in which a group stands before its columns.
fn check_groups(walk: &mut Thrift<'_>) -> Result<(), SizeError> {
    let (kind, length) = walk.list()?;
    if length > 0 && kind != FieldType::Struct {
        return Err(ThriftError::Wrong.into());
    }
    // Numbers of columns that groups still lack, the innermost group last.
    let mut lacking = Vec::new();
    for place in 0..length {
        let (mut columns, mut last) = (0, 0);
        while let Some(kind) = walk.field(&mut last)? {
            match (last, kind) {
                (5, I32) => columns = walk.i32()?,
                (5, _) => return Err(ThriftError::Wrong.into()),
                _ => walk.skip(kind)?,
            }
        }
        let columns = u64::try_from(columns).map_err(|_| SizeError::Columns)?;
        if columns >= length - place {
            return Err(SizeError::Columns);
        }
        if let Some(left) = lacking.last_mut() {
            *left -= 1;
        }
        if columns > 0 {
            lacking.push(columns);
        }
        while lacking.last() == Some(&0) {
            lacking.pop();
        }
        if lacking.len() > DEEPEST {
            return Err(SizeError::Depth);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    /// The header of a page that states these sizes.
    fn header(plain: usize, packed: usize) -> Vec<u8> {
        let number = |mut value: usize| {
            value *= 2;
            let mut bytes = Vec::new();
            while value >= 0x80 {
                bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
            bytes
        };
        [&[0x15, 0, 0x15][..], &number(plain), &[0x15], &number(packed), &[0]].concat()
    }

    #[test]
    fn what_gzip_packs_best_is_not_refused() {
        let zeros = vec![0; 1 << 23];
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&zeros).unwrap();
        let packed = encoder.finish().unwrap().len();
        let most = most_expanded(Compression::GZIP(Default::default()));
        assert_eq!(check_header(&header(zeros.len(), packed), most), Ok(()));
        // The limit is close to what a file can have.
        let wrong = SizeError::Bytes { plain: 1 << 23, packed: packed as u64 * 9 / 10 };
        assert_eq!(check_header(&header(zeros.len(), packed * 9 / 10), most), Err(wrong));
    }

    #[test]
    fn a_header_that_goes_on_is_read_on() {
        let whole = header(300, 300);
        for end in 0..whole.len() {
            let read = check_header(&whole[..end], Some(1));
            assert_eq!(read, Err(SizeError::Form(ThriftError::Short)), "{end}");
        }
        assert_eq!(check_header(&whole, Some(1)), Ok(()));
    }
}
