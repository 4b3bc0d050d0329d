//! Batches of rows of Arrow's file form and stream form.
//!
//! In: a file, or the bytes of a stream. Out: its batches of rows, one at a time.
//! Absent on purpose: buffers that are compressed with zstd.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, StreamDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};

use crate::data::byte_stream::ByteStream;

/// Number of bytes at the end of a file that say where its list of batches begins.
const FILE_END: usize = 10;
/// First bytes of a message, which old programs leave out.
const MESSAGE: [u8; 4] = [0xff; 4];
/// Most bytes that LZ4 makes of one.
const LARGEST_RATIO: i64 = 256;

/// Batches of a file, at the places that its end tells.
pub(super) struct FileRows {
    file: File,
    bytes: u64,
    decoder: FileDecoder,
    pub(super) schema: SchemaRef,
    blocks: std::vec::IntoIter<Block>,
}

/// Batches of a stream, one behind the other.
pub(super) struct StreamRows {
    source: BufReader<ByteStream>,
    decoder: StreamDecoder,
    pub(super) schema: SchemaRef,
    /// True behind the end mark.
    ended: bool,
}

impl FileRows {
    pub(super) fn open(mut file: File) -> Result<Self, ArrowError> {
        let bytes = file.metadata()?.len();
        let mut end = [0; FILE_END];
        file.seek(SeekFrom::Start(bytes.saturating_sub(FILE_END as u64)))?;
        file.read_exact(&mut end)?;
        let footer = read_footer_length(end)?;
        let begin = bytes.checked_sub((FILE_END + footer) as u64);
        let footer = read_at(&mut file, bytes, begin.unwrap_or(bytes), footer)?;
        let footer = root_as_footer(&footer)
            .map_err(|error| ArrowError::ParseError(format!("the list of batches: {error}")))?;
        let lacks = |what: &str| ArrowError::ParseError(format!("no {what}"));
        let schema = Arc::new(try_fb_to_schema(footer.schema().ok_or_else(|| lacks("schema"))?)?);
        let decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        let blocks = footer.recordBatches().ok_or_else(|| lacks("batches"))?;
        let blocks: Vec<Block> = blocks.iter().copied().collect();
        let mut rows = Self { file, bytes, decoder, schema, blocks: blocks.into_iter() };
        for block in footer.dictionaries().into_iter().flatten() {
            let message = rows.read(block)?;
            rows.decoder.read_dictionary(block, &message)?;
        }
        Ok(rows)
    }

    /// Number of batches that are still to be read.
    pub(super) fn batches(&self) -> usize {
        self.blocks.len()
    }

    /// Reads a message with its body.
    fn read(&mut self, block: &Block) -> Result<Buffer, ArrowError> {
        let number = |value: i64| {
            usize::try_from(value)
                .map_err(|_| ArrowError::ParseError(format!("a place of {value}")))
        };
        let (offset, head) = (number(block.offset())?, number(block.metaDataLength().into())?);
        let length = head.saturating_add(number(block.bodyLength())?);
        let bytes = read_at(&mut self.file, self.bytes, offset as u64, length)?;
        let begin = if bytes.starts_with(&MESSAGE) { 8 } else { 4 };
        check(bytes.get(begin..head).unwrap_or_default(), &bytes[head..])?;
        Ok(bytes.into())
    }
}

impl Iterator for FileRows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.blocks.next()?;
        let batch =
            self.read(&block).and_then(|bytes| self.decoder.read_record_batch(&block, &bytes));
        batch.transpose()
    }
}

impl StreamRows {
    pub(super) fn open(bytes: ByteStream) -> Result<Self, ArrowError> {
        let (mut source, mut decoder) = (BufReader::new(bytes), StreamDecoder::new());
        let message = message(&mut source)?;
        let Some(mut bytes) = message else {
            return Err(ArrowError::ParseError("no schema".into()));
        };
        decoder.decode(&mut bytes)?;
        let schema = decoder.schema();
        let schema = schema.ok_or_else(|| ArrowError::ParseError("no schema".into()))?;
        Ok(Self { source, decoder, schema, ended: false })
    }
}

impl Iterator for StreamRows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let decoded = match message(&mut self.source) {
                Ok(Some(mut bytes)) => self.decoder.decode(&mut bytes),
                Ok(None) => {
                    self.ended = true;
                    return None;
                }
                Err(error) => Err(error),
            };
            // Dictionaries come between the batches.
            if let Some(batch) = decoded.transpose() {
                self.ended = batch.is_err();
                return Some(batch);
            }
        }
        None
    }
}

/// Reads a part of a file, for which no more memory is taken than the file has bytes.
fn read_at(file: &mut File, bytes: u64, begin: u64, length: usize) -> io::Result<Vec<u8>> {
    if begin.checked_add(length as u64).is_none_or(|end| end > bytes) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut part = vec![0; length];
    file.seek(SeekFrom::Start(begin))?;
    file.read_exact(&mut part)?;
    Ok(part)
}

/// Reads so many bytes, in memory that grows with them.
fn read_on(source: &mut impl Read, length: usize, to: &mut Vec<u8>) -> io::Result<()> {
    if source.take(length as u64).read_to_end(to)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Reads the next message of a stream with its body; `None` at its end mark. All programs write that, so that a stream without one is
/// truncated.
fn message(source: &mut impl Read) -> Result<Option<Buffer>, ArrowError> {
    let mut bytes = Vec::new();
    source.take(4).read_to_end(&mut bytes)?;
    if bytes == MESSAGE {
        bytes.clear();
        read_on(source, 4, &mut bytes)?;
    }
    let length = <[u8; 4]>::try_from(bytes.as_slice())
        .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let length = u32::from_le_bytes(length);
    if length == 0 {
        return Ok(None);
    }
    let begin = bytes.len();
    read_on(source, length as usize, &mut bytes)?;
    let head = root_as_message(&bytes[begin..])
        .map_err(|error| ArrowError::ParseError(error.to_string()))?;
    let body = usize::try_from(head.bodyLength())
        .map_err(|_| ArrowError::ParseError("a message of negative length".into()))?;
    let end = bytes.len();
    read_on(source, body, &mut bytes)?;
    check(&bytes[begin..end], &bytes[end..])?;
    // The decoder takes a message without a body only when something comes behind it.
    bytes.extend(MESSAGE);
    Ok(Some(bytes.into()))
}

/// Checks that compressed buffers of a message promise no more bytes than they can hold, since memory is taken by that promise.
fn check(head: &[u8], body: &[u8]) -> Result<(), ArrowError> {
    let head = root_as_message(head).map_err(|error| ArrowError::ParseError(error.to_string()))?;
    let batch = head
        .header_as_record_batch()
        .or_else(|| head.header_as_dictionary_batch().and_then(|batch| batch.data()));
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else { return Ok(()) };
    for buffer in batch.buffers().into_iter().flatten() {
        // Columns without gaps have an empty buffer for these, at whose place the next one begins.
        if buffer.length() == 0 {
            continue;
        }
        let begin = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let promise = body.get(begin..).and_then(|bytes| bytes.first_chunk::<8>());
        let promise = promise.map_or(0, |bytes| i64::from_le_bytes(*bytes));
        if promise / LARGEST_RATIO > buffer.length() {
            return Err(ArrowError::ParseError(format!("a buffer that promises {promise} bytes")));
        }
    }
    Ok(())
}
