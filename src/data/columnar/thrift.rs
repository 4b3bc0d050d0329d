//! A walk over data in Thrift's compact form, which describes the parts of a Parquet file.
//!
//! In: bytes. Out: fields, whole numbers and lists, one after the other; what is not needed is passed over. Takes no memory.
//! Absent on purpose: maps, which no part of a Parquet file has, and values other than whole numbers.

/// Number of structs and lists that may stand within each other.
const DEPTH: usize = 64;

/// Type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FieldType {
    /// A field that is true or false by its type alone; in a list, a byte.
    Bool,
    Byte,
    /// A whole number of 16, 32 or 64 bits.
    Whole(u8),
    Double,
    Binary,
    List,
    Struct,
    Uuid,
}

/// Type of a whole number of 32 bits.
pub(super) const I32: FieldType = FieldType::Whole(32);

impl FieldType {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 | 2 => Self::Bool,
            3 => Self::Byte,
            4 => Self::Whole(16),
            5 => I32,
            6 => Self::Whole(64),
            7 => Self::Double,
            8 => Self::Binary,
            // A set is written as a list is.
            9 | 10 => Self::List,
            12 => Self::Struct,
            13 => Self::Uuid,
            _ => return None,
        })
    }
}

/// Reason why bytes cannot be walked over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ThriftError {
    /// The bytes end within a value.
    Short,
    /// No such data are of Thrift's form, or of Parquet's.
    Wrong,
}

/// The bytes that are still to be walked over.
#[derive(Clone, Copy)]
pub(super) struct Thrift<'a>(pub(super) &'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Result<u8, ThriftError> {
        let (&byte, rest) = self.0.split_first().ok_or(ThriftError::Short)?;
        self.0 = rest;
        Ok(byte)
    }

    /// Passes over so many bytes.
    pub(super) fn pass(&mut self, bytes: u64) -> Result<(), ThriftError> {
        let bytes = usize::try_from(bytes).map_err(|_| ThriftError::Short)?;
        self.0 = self.0.get(bytes..).ok_or(ThriftError::Short)?;
        Ok(())
    }

    /// Reads a number of at most 64 bits, seven in each byte.
    pub(super) fn unsigned(&mut self) -> Result<u64, ThriftError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(ThriftError::Wrong);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(ThriftError::Wrong)
    }

    /// Reads a whole number of 32 bits.
    pub(super) fn i32(&mut self) -> Result<i32, ThriftError> {
        let number = self.unsigned()?;
        let sign = 0_i64.wrapping_sub((number & 1).cast_signed());
        i32::try_from((number >> 1).cast_signed() ^ sign).map_err(|_| ThriftError::Wrong)
    }

    /// Reads which field of a struct comes next, after the one with the number `last`; `None` at the struct's end.
    pub(super) fn field(&mut self, last: &mut i32) -> Result<Option<FieldType>, ThriftError> {
        let byte = self.byte()?;
        if byte & 0x0f == 0 {
            return Ok(None);
        }
        let kind = FieldType::of(byte & 0x0f).ok_or(ThriftError::Wrong)?;
        *last = if byte >> 4 == 0 { self.i32()? } else { *last + i32::from(byte >> 4) };
        if !(0..=0x7fff).contains(last) {
            return Err(ThriftError::Wrong);
        }
        Ok(Some(kind))
    }

    /// Reads the beginning of a list: the type of its elements, and their number, which the bytes that are left can hold.
    pub(super) fn list(&mut self) -> Result<(FieldType, u64), ThriftError> {
        let byte = self.byte()?;
        // Some programs write no type for a list without elements.
        if byte == 0 {
            return Ok((FieldType::Byte, 0));
        }
        let kind = FieldType::of(byte & 0x0f).ok_or(ThriftError::Wrong)?;
        let length = if byte >> 4 == 15 { self.unsigned()? } else { u64::from(byte >> 4) };
        if length > self.0.len() as u64 {
            return Err(ThriftError::Short);
        }
        Ok((kind, length))
    }

    /// Passes over the value of a struct's field.
    pub(super) fn skip(&mut self, kind: FieldType) -> Result<(), ThriftError> {
        match kind {
            FieldType::Bool => Ok(()),
            _ => self.skip_within(kind, DEPTH),
        }
    }

    /// Passes over a value in which so many others may stand within each other. An element of a list takes a byte at least.
    fn skip_within(&mut self, kind: FieldType, depth: usize) -> Result<(), ThriftError> {
        let inner = depth.checked_sub(1).ok_or(ThriftError::Wrong)?;
        match kind {
            FieldType::Bool | FieldType::Byte => self.pass(1),
            FieldType::Whole(_) => self.unsigned().map(drop),
            FieldType::Double => self.pass(8),
            FieldType::Uuid => self.pass(16),
            FieldType::Binary => {
                let length = self.unsigned()?;
                self.pass(length)
            }
            FieldType::List => {
                let (kind, length) = self.list()?;
                (0..length).try_for_each(|_| self.skip_within(kind, inner))
            }
            FieldType::Struct => {
                let mut last = 0;
                while let Some(kind) = self.field(&mut last)? {
                    if kind != FieldType::Bool {
                        self.skip_within(kind, inner)?;
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_after_their_last_bits() {
        let read = |bytes: &[u8]| Thrift(bytes).unsigned();
        assert_eq!(read(&[0xac, 0x02]), Ok(300));
        let largest = [&[0xff; 9][..], &[1]].concat();
        assert_eq!(read(&largest), Ok(u64::MAX));
        assert_eq!(read(&largest[..9]), Err(ThriftError::Short));
        assert_eq!(read(&[&[0xff; 9][..], &[2]].concat()), Err(ThriftError::Wrong));
        let whole = |bytes: &[u8]| Thrift(bytes).i32();
        assert_eq!((whole(&[3]), whole(&[4])), (Ok(-2), Ok(2)));
        assert_eq!(whole(&[0xfe, 0xff, 0xff, 0xff, 0x0f]), Ok(i32::MAX));
        assert_eq!(whole(&[0x80, 0x80, 0x80, 0x80, 0x10]), Err(ThriftError::Wrong));
    }

    #[test]
    fn values_are_passed_over_to_their_ends() {
        let skip = |kind, bytes: &[u8]| {
            let mut walk = Thrift(bytes);
            walk.skip(kind).map(|()| bytes.len() - walk.0.len())
        };
        // A true field 1, field 3 with a text of two letters, field 20 with a list of two numbers, the end; then something else.
        let fields = [0x11, 0x28, 2, b'a', b'b', 0x09, 40, 0x25, 0x80, 1, 7, 0, 99];
        assert_eq!(skip(FieldType::Struct, &fields), Ok(12));
        for end in 0..12 {
            assert_eq!(skip(FieldType::Struct, &fields[..end]), Err(ThriftError::Short), "{end}");
        }
        // More elements than bytes, and lists in each other.
        assert_eq!(skip(FieldType::List, &[0xf1, 0xff, 0x7f, 1]), Err(ThriftError::Short));
        assert_eq!(skip(FieldType::List, &[0x19; 80]), Err(ThriftError::Wrong));
        assert_eq!(skip(FieldType::Struct, &[0x1b, 0, 0]), Err(ThriftError::Wrong));
    }
}
